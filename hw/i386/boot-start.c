/*
 * Boot plans carried out: memory, then the state of a processor.
 *
 * The state entered is the one that Documentation/x86/boot.rst, the multiboot
 * specifications and the PVH boot ABI have in common: flat segments, interrupts
 * off, a GDT with the selectors Linux wants.
 */
#include "util/osdep.h"
#include "target-x86/cpuid.h"
#include <sys/random.h>
#include "util/bits.h"
#include "util/log.h"
#include "hw/i386/boot.h"
#include "hw/misc/loader.h"

/* A flat descriptor with attributes @attr (SEG_*). SDM 3A, 3.4.5. */
static uint64_t boot_descriptor(uint32_t attr, uint64_t base, uint32_t limit)
{
    return (uint64_t)(limit & 0xffff) | (base & 0xffffff) << 16 |
           (uint64_t)(attr & 0xf0ff00) << 32 |
           (uint64_t)(limit & 0xf0000) << 32 | (base & 0xff000000) << 32;
}

#define ATTR_DATA   (SEG_P | SEG_S | SEG_RW | SEG_A)
#define ATTR_CODE   (ATTR_DATA | SEG_CODE)
#define ATTR_DATA32 (ATTR_DATA | SEG_DB | SEG_G)
#define ATTR_CODE32 (ATTR_CODE | SEG_DB | SEG_G)
#define ATTR_CODE64 (ATTR_CODE | SEG_L | SEG_G)
#define ATTR_TSS    (SEG_P | 0xb00) /* busy, 32- or 64-bit */

/* GDT, TSS and, for BOOT_LONG, page tables, which boot_cpu_enter() refers to. */
static void boot_write_mode_tables(AddressSpace *mem, BootMode mode)
{
    uint8_t gdt[BOOT_GDT_SIZE] = { 0 };
    uint8_t tss[0x68] = { 0 };
    uint32_t code = mode == BOOT_LONG ? ATTR_CODE64 : ATTR_CODE32;

    if (mode != BOOT_PROTECTED && mode != BOOT_LONG) {
        return;
    }
    st_le64(gdt + BOOT_SEL_CODE32, boot_descriptor(ATTR_CODE32, 0, 0xfffff));
    st_le64(gdt + BOOT_SEL_CODE, boot_descriptor(code, 0, 0xfffff));
    st_le64(gdt + BOOT_SEL_DATA, boot_descriptor(ATTR_DATA32, 0, 0xfffff));
    st_le64(gdt + BOOT_SEL_TSS, boot_descriptor(ATTR_TSS, BOOT_TSS, 0x67));
    st_le64(gdt + BOOT_SEL_CODE64, boot_descriptor(ATTR_CODE64, 0, 0xfffff));
    as_write(mem, BOOT_GDT, gdt, sizeof(gdt));
    as_write(mem, BOOT_TSS, tss, sizeof(tss));
    if (mode == BOOT_LONG) {
        uint64_t page[512] = { 0 };

        page[0] = GUINT64_TO_LE(BOOT_PAGE_TABLES + 0x1000 + 3);
        as_write(mem, BOOT_PAGE_TABLES, page, sizeof(page));
        for (unsigned i = 0; i < 4; i++) {
            page[i] = GUINT64_TO_LE(BOOT_PAGE_TABLES + 0x2000 + i * 4096 + 3);
        }
        as_write(mem, BOOT_PAGE_TABLES + 0x1000, page, sizeof(page));
        for (unsigned i = 0; i < 4 * 512; i++) {
            page[i % 512] = GUINT64_TO_LE((uint64_t)i << 21 | 0x83);
            if (i % 512 == 511) {
                as_write(mem, BOOT_PAGE_TABLES + 0x2000 + i / 512 * 4096, page,
                         sizeof(page));
            }
        }
    }
}

static void boot_zero(AddressSpace *mem, hwaddr addr, uint64_t len)
{
    static const uint8_t zeros[65536];

    while (len) {
        size_t n = MIN(len, sizeof(zeros));

        as_write(mem, addr, zeros, n);
        addr += n;
        len -= n;
    }
}

/* The file whose mapping holds @p, or NULL. */
static const BootFile *boot_file_of(const BootPlan *plan, const uint8_t *p)
{
    for (unsigned i = 0; i < plan->files->len; i++) {
        const BootFile *f = g_ptr_array_index(plan->files, i);

        if (p >= f->map && p < f->map + f->len) {
            return f;
        }
    }
    return NULL;
}

/* Straight into guest memory. What the file no longer has is zero. */
static bool boot_read_into(AddressSpace *mem, hwaddr addr, const BootFile *f,
                           off_t off, size_t len)
{
    uint8_t *p = as_ram(mem, addr, len, true);
    size_t done = 0;
    ssize_t n = 1;

    if (!p) {
        return false;
    }
    while (done < len && n > 0) {
        n = pread(f->fd, p + done, len - done, off + (off_t)done);
        if (n > 0) {
            done += n;
        } else if (n < 0 && errno == EINTR) {
            n = 1;
        }
    }
    memset(p + done, 0, len - done);
    as_ram_written(mem, addr, len);
    return true;
}

/* Bytes of a file that has shrunk must not be touched in its mapping. */
static void boot_write_chunk(const BootPlan *plan, AddressSpace *mem,
                             hwaddr addr, const uint8_t *p, size_t len)
{
    const BootFile *f = boot_file_of(plan, p);

    if (!f || !boot_read_into(mem, addr, f, p - f->map, len)) {
        as_write(mem, addr, p, len);
    }
}

static void boot_check_files(const BootPlan *plan)
{
    for (unsigned i = 0; i < plan->files->len; i++) {
        BootFile *f = g_ptr_array_index(plan->files, i);
        struct stat now;

        if (!f->warned && fstat(f->fd, &now) == 0 &&
            (now.st_size != f->st.st_size ||
             now.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
             now.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)) {
            warn_report("'%s' was changed while the machine ran: a restart of "
                        "the emulator, not of the guest, is needed",
                        f->name);
            f->warned = true;
        }
    }
}

void boot_plan_apply(const BootPlan *plan, AddressSpace *mem)
{
    uint8_t seed[256];

    boot_check_files(plan);
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(plan->chunks, BootChunk, i);
        size_t len = 0;

        if (c->data) {
            const uint8_t *p = g_bytes_get_data(c->data, &len);

            boot_write_chunk(plan, mem, c->addr, p, len);
        }
        boot_zero(mem, c->addr + len, c->size - len);
    }
    if (plan->random_seed && plan->random_len <= sizeof(seed) &&
        getrandom(seed, plan->random_len, 0) == (ssize_t)plan->random_len) {
        as_write(mem, plan->random_seed, seed, plan->random_len);
    }
    boot_write_mode_tables(mem, plan->mode);
}

static void boot_set_seg(X86Seg *seg, unsigned sel, uint32_t attr,
                         uint64_t base, uint32_t limit)
{
    *seg = (X86Seg) { .sel = sel, .attr = attr, .base = base, .limit = limit };
}

/* CS base 0 where it can be; above 64 KiB the segment follows the entry. */
static void boot_enter_real(X86State *s, uint64_t entry)
{
    uint64_t base = entry < 0x10000 ? 0 : entry & 0xffff0;

    for (unsigned i = 0; i < S_COUNT; i++) {
        boot_set_seg(&s->seg[i], 0, ATTR_DATA, 0, 0xffff);
    }
    boot_set_seg(&s->seg[S_CS], base >> 4, ATTR_CODE, base, 0xffff);
    s->rip = entry - base;
    s->cr0 = CR0_ET;
    s->cr4 = 0;
    s->efer = 0;
    s->idt_base = 0;
    s->idt_limit = 0x3ff;
}

static void boot_enter_flat(X86State *s, BootMode mode, uint64_t entry)
{
    for (unsigned i = 0; i < S_COUNT; i++) {
        boot_set_seg(&s->seg[i], BOOT_SEL_DATA, ATTR_DATA32, 0, 0xffffffff);
    }
    boot_set_seg(&s->seg[S_CS], BOOT_SEL_CODE,
                 mode == BOOT_LONG ? ATTR_CODE64 : ATTR_CODE32, 0, 0xffffffff);
    boot_set_seg(&s->tr, BOOT_SEL_TSS, ATTR_TSS, BOOT_TSS, 0x67);
    s->gdt_base = BOOT_GDT;
    s->gdt_limit = BOOT_GDT_SIZE - 1;
    s->idt_base = 0;
    s->idt_limit = 0;
    s->cr0 = CR0_PE | CR0_ET;
    s->cr4 = 0;
    s->efer = 0;
    if (mode == BOOT_LONG) {
        s->cr0 |= CR0_PG;
        s->cr3 = BOOT_PAGE_TABLES;
        s->cr4 = CR4_PAE;
        s->efer = EFER_LME | EFER_LMA;
    }
    s->rip = entry;
}

void boot_cpu_enter(X86Cpu *cpu, BootMode mode, uint64_t entry)
{
    X86State *s = cpu_state(cpu);

    memset(s->gpr, 0, sizeof(s->gpr));
    s->rflags = 2;
    s->mp_state = MP_RUNNABLE;
    s->halted = mode == BOOT_NOTHING;
    s->a20_masked = false;
    if (mode == BOOT_REAL) {
        boot_enter_real(s, entry);
    } else if (mode != BOOT_NOTHING) {
        boot_enter_flat(s, mode, entry);
    }
    x86_update_mode(cpu);
}

/*
 * Memory types as firmware leaves them: everything cached, but for the video
 * memory and the hole below 4 GiB. Without it a kernel takes the MTRRs for
 * disabled and then does without the PAT.
 */
static void boot_memory_types(X86State *s, unsigned phys_bits)
{
    enum { WB = 6, MTRR_E = 0x800, MTRR_FE = 0x400, MTRR_VALID = 0x800 };
    static const uint64_t all_wb = UINT64_C(0x0606060606060606);

    for (unsigned i = 0; i < G_N_ELEMENTS(s->mtrr_fixed); i++) {
        s->mtrr_fixed[i] = i == 2 ? 0 : all_wb; /* 2: A0000 to BFFFF */
    }
    s->mtrr_base[0] = UINT64_C(0xc0000000); /* uncached */
    s->mtrr_mask[0] =
        (bits_mask(phys_bits) & ~UINT64_C(0x3fffffff)) | MTRR_VALID;
    s->mtrr_def = MTRR_E | MTRR_FE | WB;
}

void boot_memory_types_init(Machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        boot_memory_types(cpu_state(m->cpu[i]), cpu_phys_bits(m->cpu[i]));
    }
}

void boot_plan_start(const BootPlan *plan, X86Cpu *cpu)
{
    X86State *s = cpu_state(cpu);

    boot_cpu_enter(cpu, plan->mode, plan->entry);
    memcpy(s->gpr, plan->gpr, sizeof(s->gpr));
    s->rflags = plan->rflags | 2;
    s->cr4 |= plan->cr4;
    x86_update_mode(cpu);
    log_mask(LOG_RESET, "boot: %s, entry 0x%" PRIx64 "\n",
             plan->protocol ? plan->protocol : "nothing to boot", plan->entry);
}

/* An ELF says what it is; a plain address below 1 MiB means real mode. */
static BootMode boot_loader_mode(const LoaderStart *st)
{
    if (st->elf_bits == 64) {
        return BOOT_LONG;
    }
    return st->elf_bits == 32 || st->entry >= MIB ? BOOT_PROTECTED : BOOT_REAL;
}

void boot_start_loaders(Machine *m)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        LoaderStart st;

        if (loader_get_start(g_ptr_array_index(m->devices, i), &st) &&
            st.cpu < m->ncpus) {
            boot_write_mode_tables(m->mem, boot_loader_mode(&st));
            boot_cpu_enter(m->cpu[st.cpu], boot_loader_mode(&st), st.entry);
        }
    }
}
