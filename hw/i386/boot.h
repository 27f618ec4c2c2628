/*
 * Starting a guest without firmware.
 *
 * A loader only decides: it reads an image (bytes, hostile) and fills a
 * BootPlan with what to put where and how to start processor 0. The board
 * carries the plan out at every reset, so a guest that reboots starts afresh.
 * Loaders know no Machine and no files: tests and the fuzzer call them alone.
 *
 * The area E0000-FFFFF (RAM, reserved in the memory map) is where everything
 * goes that firmware would have left behind:
 *
 *   E0000  page tables of long mode, 4 GiB mapped one to one
 *   E6000  GDT and TSS
 *   E7000  what the loader hands over: boot_params, start info, command line
 *   F0000  ACPI, SMBIOS, MP tables
 *   FFE00  what interrupts without a handler find, two BIOS entry points
 */
#ifndef HW_I386_BOOT_H
#define HW_I386_BOOT_H

#include <sys/stat.h>
#include "hw/i386/e820.h"
#include "target-x86/cpu.h"

#define BOOT_PAGE_TABLES 0xe0000
#define BOOT_GDT         0xe6000
#define BOOT_TSS         0xe6100
#define BOOT_AREA        0xe7000
#define BOOT_AREA_END    0xf0000
#define BOOT_TABLES      0xf0000
#define BOOT_TABLES_END  0xffe00
#define BOOT_HLT_TABLE   0xffe00 /* -flat: one HLT for each interrupt vector */
#define BOOT_BIOS        0xfff00 /* a few BIOS entry points */
#define BOOT_STACK       0x9fc00 /* RSP where a protocol does not say */

/* Selectors in the GDT at BOOT_GDT; 10 and 18 are those Linux asks for. */
enum {
    BOOT_SEL_CODE32 = 0x08,
    BOOT_SEL_CODE = 0x10, /* of the mode that was entered */
    BOOT_SEL_DATA = 0x18,
    BOOT_SEL_TSS = 0x20,
    BOOT_SEL_CODE64 = 0x30,
    BOOT_GDT_SIZE = 0x38,
};

typedef struct BootPlan BootPlan;

typedef enum BootMode {
    BOOT_NOTHING, /* the processor is halted */
    BOOT_REAL,
    BOOT_PROTECTED, /* 32-bit, flat, no paging */
    BOOT_LONG,      /* 64-bit, flat, 4 GiB mapped one to one */
} BootMode;

typedef struct BootChunk {
    hwaddr addr;
    uint64_t size; /* bytes; what @data does not cover is zero */
    GBytes *data;  /* may be NULL */
} BootChunk;

/* An image file: looked at through a mapping while the plan is made, read into
 * guest memory at every reset, never held in memory twice. */
typedef struct BootFile {
    char *name;
    int fd;
    const uint8_t *map;
    size_t len;
    struct stat st; /* when the plan was made */
    GBytes *bytes;  /* the mapping */
    bool warned;    /* that it changed */
} BootFile;

struct BootPlan {
    const char *protocol; /* "Linux, 64-bit boot protocol": for the log */
    BootMode mode;
    uint64_t entry;
    uint64_t gpr[16];
    uint64_t rflags;    /* besides bit 1 */
    uint64_t cr4;       /* besides PAE */
    hwaddr random_seed; /* refilled at every reset; 0: none */
    uint32_t random_len;
    GArray *chunks;   /* of BootChunk, later ones over earlier ones */
    GPtrArray *files; /* of BootFile; chunks point into their mappings */
    hwaddr area_next; /* free from here in the boot area */
    hwaddr tables_next;
    uint64_t low_end;  /* RAM below belongs to the kernel and its modules */
    uint64_t high_end; /* RAM from here on is given away already */
};

typedef struct BootModule {
    GBytes *data;
    char *cmdline; /* as typed after -initrd: "file args" */
} BootModule;

/* What a loader is told of the machine and the command line. */
typedef struct BootEnv {
    const E820 *e820;
    const char *kernel_name;
    const char *cmdline; /* "" if none */
    BootModule *modules;
    unsigned n_modules;
    GBytes *dtb; /* or NULL */
    hwaddr rsdp; /* 0: no ACPI */
    GBytes *rsdp_copy;
    GBytes *smbios; /* structure table, or NULL */
    uint8_t smbios_major, smbios_minor;
} BootEnv;

/* Which protocol an image wants, in the order of detection. */
typedef enum BootKind {
    BOOT_KIND_UNKNOWN,
    BOOT_KIND_LINUX,
    BOOT_KIND_MULTIBOOT,
    BOOT_KIND_MULTIBOOT2,
    BOOT_KIND_ELF, /* PVH note or plain */
} BootKind;

BootPlan *boot_plan_new(void);
void boot_plan_free(BootPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BootPlan, boot_plan_free)

/* Puts @data at @addr, zeros behind it up to @size bytes. Takes no reference
 * away from the caller. The caller has checked the range. */
void boot_plan_add(BootPlan *plan, hwaddr addr, uint64_t size, GBytes *data);
/* Places a copy of @len bytes in the boot area; 0 and an error if full. */
hwaddr boot_plan_place(BootPlan *plan, const void *data, size_t len,
                       unsigned align, GError **errp);
/* The same among the tables, F0000-FFFFF. */
hwaddr boot_plan_place_table(BootPlan *plan, const void *data, size_t len,
                             unsigned align, GError **errp);

/* Any kernel. @errp says what was looked for. */
bool boot_load_kernel(BootPlan *plan, const BootEnv *env, GBytes *image,
                      GError **errp);
bool boot_linux_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                     GError **errp);
bool boot_multiboot_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                         GError **errp);
bool boot_multiboot2_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                          GError **errp);
bool boot_elf_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                   GError **errp);

/*
 * Fills a Linux "zero page" but for the setup header and the initrd, and
 * returns its address. @setup_header: bytes from 1F1 on, or NULL: one is made
 * up (plain ELF kernels). Documentation/x86/boot.rst.
 */
hwaddr boot_linux_params(BootPlan *plan, const BootEnv *env,
                         const uint8_t *setup_header, size_t header_len,
                         uint64_t initrd, uint64_t initrd_len, GError **errp);

/* Modules one after another from low_end upwards, page aligned; addresses go
 * to @addr[]. Below 4 GiB. */
bool boot_place_modules(BootPlan *plan, const BootEnv *env, uint64_t *addr,
                        GError **errp);
/* Room for @len bytes as high as @max allows, page aligned, above low_end. */
bool boot_find_high(BootPlan *plan, const BootEnv *env, uint64_t len,
                    uint64_t max, uint64_t *addr);

/* At reset, machine lock held: memory, then the state of @cpu. */
void boot_plan_apply(const BootPlan *plan, AddressSpace *mem);
void boot_plan_start(const BootPlan *plan, X86Cpu *cpu);
/* MTRRs of all processors, as firmware would have set them. */
void boot_memory_types_init(Machine *m);
/* The state of a processor about to run @entry; general registers zero. */
void boot_cpu_enter(X86Cpu *cpu, BootMode mode, uint64_t entry);

/* Reads -kernel, -initrd, -append, -dtb of @m and plans the start. @env has
 * the rest filled in. */
bool boot_from_config(BootPlan *plan, BootEnv *env, Machine *m, GError **errp);
/* The bytes of a file; a regular one is mapped and belongs to @plan's files.
 * @what as in "could not open @what file 'x': ...". */
GBytes *boot_read_file(BootPlan *plan, const char *what, const char *name,
                       GError **errp);

/* boot-flat.c: -flat. */
typedef struct FlatBoot FlatBoot;
FlatBoot *flat_new(Machine *m, const BootEnv *env, BootPlan *plan,
                   GError **errp);
void flat_free(FlatBoot *flat);
void flat_reset(FlatBoot *flat);
/* From the vCPU's thread, lock not held: @cpu executed HLT. */
void flat_halted(FlatBoot *flat, X86Cpu *cpu);
/* The options of -flat for "-flat help". */
const char *flat_help(void);

/* Starts the processors that -device loader,cpu-num= names. */
void boot_start_loaders(Machine *m);

#endif
