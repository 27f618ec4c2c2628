/*
 * Multiboot 1 (Multiboot Specification 0.6.96) and 2 (2.0).
 *
 * Both enter 32-bit protected mode without paging, EAX holding the loader's
 * magic and EBX the address of the boot information. ELF32 and ELF64 images are
 * taken, and the a.out kludge (addresses in the header). The information goes
 * to the boot area (boot.h), modules page aligned behind the kernel.
 *
 * As in QEMU: the multiboot 1 command line begins with the kernel's name (GRUB
 * and multiboot 2: without), a module's text is all that was typed for it.
 *
 * Not modelled: VBE and graphics (text is reported to those who ask for a
 * framebuffer), drives, APM, EFI.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "hw/i386/boot.h"
#include "hw/i386/boot-elf.h"

#define MB_LOADER_NAME  "rhea"
#define TEXT_ADDR       0xb8000
#define TEXT_COLS       80
#define TEXT_ROWS       25
#define FRAMEBUFFER_EGA 2

/* Where the image goes and starts, from the a.out kludge or the ELF. */
typedef struct MbImage {
    bool is_elf;
    ElfImage elf;
    uint64_t delta;                             /* relocation, multiboot 2 */
    uint64_t load, load_len, file_off, mem_len; /* a.out kludge */
    uint64_t entry;
} MbImage;

/* The four addresses of the a.out kludge, wherever they stood. */
typedef struct MbAddresses {
    uint32_t header, load, load_end, bss_end;
} MbAddresses;

/* "kernel args", as GRUB passes it. */
static char *mb_cmdline(const BootEnv *env)
{
    return env->cmdline[0]
               ? g_strdup_printf("%s %s", env->kernel_name, env->cmdline)
               : g_strdup(env->kernel_name);
}

static bool mb_kludge(MbImage *mb, const MbAddresses *a, uint64_t header_off,
                      GBytes *image, const char *name, GError **errp)
{
    size_t len = g_bytes_get_size(image);
    uint64_t before = (uint64_t)a->header - a->load;

    if (a->header < a->load || before > header_off) {
        error_setg(errp,
                   "multiboot kernel '%s': header address 0x%x does not fit "
                   "load address 0x%x",
                   name, a->header, a->load);
        return false;
    }
    mb->file_off = header_off - before;
    mb->load = a->load;
    mb->load_len =
        a->load_end ? (uint64_t)a->load_end - a->load : len - mb->file_off;
    if (a->load_end && a->load_end < a->load) {
        error_setg(errp,
                   "multiboot kernel '%s': load end 0x%x is below load "
                   "address 0x%x",
                   name, a->load_end, a->load);
        return false;
    }
    if (mb->load_len > len - mb->file_off) {
        error_setg(errp,
                   "multiboot kernel '%s' is truncated: its header wants "
                   "0x%" PRIx64 " bytes, the file has 0x%" PRIx64,
                   name, mb->load_len, len - mb->file_off);
        return false;
    }
    mb->mem_len = mb->load_len;
    if (a->bss_end > a->load + mb->load_len) {
        mb->mem_len = a->bss_end - a->load;
    }
    return true;
}

static bool mb_place(MbImage *mb, BootPlan *plan, const BootEnv *env,
                     GBytes *image, GError **errp)
{
    g_autoptr(GBytes) data = NULL;

    if (mb->is_elf) {
        return elf_place(&mb->elf, plan, env->e820, mb->delta, image,
                         env->kernel_name, errp);
    }
    if (!e820_is_ram(env->e820, mb->load, mb->mem_len)) {
        g_autofree char *ram = e820_describe_ram(env->e820);

        error_setg(errp,
                   "multiboot kernel '%s': 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " are outside RAM (%s)",
                   env->kernel_name, mb->mem_len, mb->load, ram);
        return false;
    }
    data = g_bytes_new_from_bytes(image, mb->file_off, mb->load_len);
    boot_plan_add(plan, mb->load, mb->mem_len, data);
    plan->low_end = MAX(plan->low_end, mb->load + mb->mem_len);
    return true;
}

static bool mb_start(const MbImage *mb, BootPlan *plan, const BootEnv *env,
                     uint32_t magic, hwaddr info, GError **errp)
{
    if (mb->entry > UINT32_MAX || !e820_is_ram(env->e820, mb->entry, 1)) {
        error_setg(errp,
                   "multiboot kernel '%s': entry 0x%" PRIx64
                   " is not in RAM below 4 GiB",
                   env->kernel_name, mb->entry);
        return false;
    }
    plan->mode = BOOT_PROTECTED;
    plan->entry = mb->entry;
    plan->gpr[R_RAX] = magic;
    plan->gpr[R_RBX] = info;
    return true;
}

/*
 * The section headers for the kernel, addresses made physical; symbol and
 * string tables that no segment loads are placed behind the kernel. An empty
 * array if there are none.
 */
static GByteArray *mb_sections(MbImage *mb, BootPlan *plan, const BootEnv *env,
                               GBytes *image)
{
    const uint8_t *p = g_bytes_get_data(image, NULL);
    GByteArray *out = g_byte_array_new();
    bool wide = mb->elf.bits == 64;
    size_t len = g_bytes_get_size(image);

    if (!mb->is_elf || !mb->elf.shoff ||
        (uint64_t)mb->elf.shnum * mb->elf.shentsize > 16384) {
        return out;
    }
    g_byte_array_append(out, p + mb->elf.shoff,
                        mb->elf.shnum * mb->elf.shentsize);
    for (unsigned i = 0; i < mb->elf.shnum; i++) {
        uint8_t *s = out->data + i * mb->elf.shentsize;
        uint32_t type = ld_le32(s + 4);
        uint64_t off = wide ? ld_le64(s + 24) : ld_le32(s + 16);
        uint64_t size = wide ? ld_le64(s + 32) : ld_le32(s + 20);
        uint64_t addr;

        if ((type != 2 && type != 3) || size == 0 || off > len ||
            size > len - off || (wide ? ld_le64(s + 16) : ld_le32(s + 12))) {
            continue;
        }
        if (e820_find_low(env->e820, size, 16, plan->low_end, plan->high_end,
                          &addr)) {
            g_autoptr(GBytes) data = g_bytes_new_from_bytes(image, off, size);

            boot_plan_add(plan, addr, size, data);
            plan->low_end = addr + size;
            if (wide) {
                st_le64(s + 16, addr);
            } else {
                st_le32(s + 12, addr);
            }
        }
    }
    return out;
}

/* ---- multiboot 1 ------------------------------------------------------------------ */

enum {
    MB1_PAGE_ALIGN = 1 << 0,
    MB1_MEMORY_INFO = 1 << 1,
    MB1_VIDEO_MODE = 1 << 2,
    MB1_KNOWN = 7,
    MB1_REQUIRED = 0xffff,
    MB1_ADDRESSES = 1 << 16,
    MB1_BOOT_MAGIC = 0x2badb002,
    MBI_SIZE = 120,
    MBI_MEMORY = 1 << 0,
    MBI_CMDLINE = 1 << 2,
    MBI_MODS = 1 << 3,
    MBI_ELF_SHDR = 1 << 5,
    MBI_MMAP = 1 << 6,
    MBI_LOADER_NAME = 1 << 9,
    MBI_FRAMEBUFFER = 1 << 12,
};

static bool mb1_find_header(GBytes *image, size_t *off)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);

    for (size_t i = 0; i + 12 <= MIN(len, 8192); i += 4) {
        if (ld_le32(p + i) == 0x1badb002 &&
            ld_le32(p + i) + ld_le32(p + i + 4) + ld_le32(p + i + 8) == 0) {
            *off = i;
            return true;
        }
    }
    return false;
}

static bool mb1_read_image(MbImage *mb, uint32_t flags, size_t off,
                           GBytes *image, const char *name, GError **errp)
{
    size_t len;
    const uint8_t *h = (const uint8_t *)g_bytes_get_data(image, &len) + off;
    MbAddresses a;

    if (flags & MB1_REQUIRED & ~MB1_KNOWN) {
        error_setg(errp, "multiboot kernel '%s' requires unknown features 0x%x",
                   name, flags & MB1_REQUIRED & ~MB1_KNOWN);
        return false;
    }
    if (!(flags & MB1_ADDRESSES)) {
        if (!elf_is(image)) {
            error_setg(errp,
                       "multiboot kernel '%s' is no ELF file and its header "
                       "gives no addresses (flag 16)",
                       name);
            return false;
        }
        if (!elf_parse(&mb->elf, image, name, errp)) {
            return false;
        }
        mb->is_elf = true;
        mb->entry = mb->elf.entry;
        return true;
    }
    if (len - off < 32) {
        error_setg(errp, "multiboot kernel '%s' is truncated: header at 0x%zx",
                   name, off);
        return false;
    }
    a = (MbAddresses) { ld_le32(h + 12), ld_le32(h + 16), ld_le32(h + 20),
                        ld_le32(h + 24) };
    mb->entry = ld_le32(h + 28);
    return mb_kludge(mb, &a, off, image, name, errp);
}

static hwaddr mb1_modules(BootPlan *plan, const BootEnv *env, GError **errp)
{
    g_autofree uint8_t *list = g_malloc0(env->n_modules * 16);
    g_autofree uint64_t *addr = g_new0(uint64_t, env->n_modules);

    if (!boot_place_modules(plan, env, addr, errp)) {
        return 0;
    }
    for (unsigned i = 0; i < env->n_modules; i++) {
        const BootModule *mod = &env->modules[i];
        hwaddr text = boot_plan_place(plan, mod->cmdline,
                                      strlen(mod->cmdline) + 1, 1, errp);

        if (!text) {
            return 0;
        }
        st_le32(list + i * 16, addr[i]);
        st_le32(list + i * 16 + 4, addr[i] + g_bytes_get_size(mod->data));
        st_le32(list + i * 16 + 8, text);
    }
    return boot_plan_place(plan, list, env->n_modules * 16, 4, errp);
}

static hwaddr mb1_mmap(BootPlan *plan, const E820 *e820, GError **errp)
{
    uint8_t map[E820_MAX * 24];

    for (unsigned i = 0; i < e820->n; i++) {
        uint8_t *e = map + i * 24;

        st_le32(e, 20); /* of the entry behind this field */
        st_le64(e + 4, e820->entry[i].addr);
        st_le64(e + 12, e820->entry[i].size);
        st_le32(e + 20, e820->entry[i].type);
    }
    return boot_plan_place(plan, map, e820->n * 24, 4, errp);
}

static bool mb1_add_sections(uint8_t *mbi, MbImage *mb, BootPlan *plan,
                             const BootEnv *env, GBytes *image, GError **errp)
{
    g_autoptr(GByteArray) sections = mb_sections(mb, plan, env, image);
    hwaddr addr;

    if (sections->len == 0) {
        return true;
    }
    addr = boot_plan_place(plan, sections->data, sections->len, 8, errp);
    st_le32(mbi + 28, mb->elf.shnum);
    st_le32(mbi + 32, mb->elf.shentsize);
    st_le32(mbi + 36, addr);
    st_le32(mbi + 40, mb->elf.shstrndx);
    st_le32(mbi, ld_le32(mbi) | MBI_ELF_SHDR);
    return addr != 0;
}

static void mb_framebuffer(uint8_t *p)
{
    st_le64(p, TEXT_ADDR);
    st_le32(p + 8, TEXT_COLS * 2);
    st_le32(p + 12, TEXT_COLS);
    st_le32(p + 16, TEXT_ROWS);
    p[20] = 16;
    p[21] = FRAMEBUFFER_EGA;
}

/* Fills the information; false with an error when something does not fit. */
static bool mb1_info(uint8_t *mbi, uint32_t header_flags, BootPlan *plan,
                     const BootEnv *env, GError **errp)
{
    g_autofree char *cmdline = mb_cmdline(env);
    uint32_t flags =
        MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER_NAME;
    hwaddr text, name, map, mods = 0;

    text = boot_plan_place(plan, cmdline, strlen(cmdline) + 1, 1, errp);
    name = text ? boot_plan_place(plan, MB_LOADER_NAME, sizeof(MB_LOADER_NAME),
                                  1, errp)
                : 0;
    map = name ? mb1_mmap(plan, env->e820, errp) : 0;
    if (map && env->n_modules) {
        mods = mb1_modules(plan, env, errp);
    }
    if (!map || (env->n_modules && !mods)) {
        return false;
    }
    st_le32(mbi + 4, 639);
    st_le32(mbi + 8, e820_high_memory_end(env->e820) / 1024 - 1024);
    st_le32(mbi + 16, text);
    st_le32(mbi + 20, env->n_modules);
    st_le32(mbi + 24, mods);
    st_le32(mbi + 44, env->e820->n * 24);
    st_le32(mbi + 48, map);
    st_le32(mbi + 64, name);
    if (header_flags & MB1_VIDEO_MODE) {
        mb_framebuffer(mbi + 88);
        flags |= MBI_FRAMEBUFFER;
    }
    st_le32(mbi, ld_le32(mbi) | flags);
    return true;
}

bool boot_multiboot_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                         GError **errp)
{
    const uint8_t *p = g_bytes_get_data(image, NULL);
    uint8_t mbi[MBI_SIZE] = { 0 };
    MbImage mb = { 0 };
    uint32_t flags;
    hwaddr info = 0;
    size_t off;
    bool ok;

    if (!mb1_find_header(image, &off)) {
        error_setg(errp, "'%s' has no multiboot header", env->kernel_name);
        return false;
    }
    flags = ld_le32(p + off + 4);
    ok = mb1_read_image(&mb, flags, off, image, env->kernel_name, errp) &&
         mb_place(&mb, plan, env, image, errp) &&
         mb1_info(mbi, flags, plan, env, errp) &&
         mb1_add_sections(mbi, &mb, plan, env, image, errp);
    if (ok) {
        info = boot_plan_place(plan, mbi, sizeof(mbi), 8, errp);
        ok = info && mb_start(&mb, plan, env, MB1_BOOT_MAGIC, info, errp);
    }
    plan->protocol = "multiboot";
    elf_clear(&mb.elf);
    return ok;
}

/* ---- multiboot 2 ------------------------------------------------------------------ */

enum {
    MB2_BOOT_MAGIC = 0x36d76289,
    MB2_MAX_INFO = 21, /* the last information tag of the specification */
};

/* Header tags. */
enum {
    MB2_TAG_END,
    MB2_TAG_INFO_REQUEST,
    MB2_TAG_ADDRESS,
    MB2_TAG_ENTRY,
    MB2_TAG_CONSOLE,
    MB2_TAG_FRAMEBUFFER,
    MB2_TAG_MODULE_ALIGN,
    MB2_TAG_EFI_BS,
    MB2_TAG_EFI32_ENTRY,
    MB2_TAG_EFI64_ENTRY,
    MB2_TAG_RELOCATABLE,
};

/* Information tags. */
enum {
    MB2_INFO_END = 0,
    MB2_INFO_CMDLINE = 1,
    MB2_INFO_LOADER = 2,
    MB2_INFO_MODULE = 3,
    MB2_INFO_MEMORY = 4,
    MB2_INFO_MMAP = 6,
    MB2_INFO_FRAMEBUFFER = 8,
    MB2_INFO_SECTIONS = 9,
    MB2_INFO_SMBIOS = 13,
    MB2_INFO_RSDP1 = 14,
    MB2_INFO_RSDP2 = 15,
    MB2_INFO_LOAD_BASE = 21,
};

typedef struct Mb2Header {
    bool has_addresses, has_entry, has_framebuffer, relocatable;
    MbAddresses addr;
    uint32_t entry;
    uint32_t min, max, align, preference; /* relocatable */
    size_t off;
} Mb2Header;

static bool mb2_find_header(GBytes *image, size_t *off, size_t *header_len)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);

    for (size_t i = 0; i + 16 <= MIN(len, 32768); i += 8) {
        if (ld_le32(p + i) == 0xe85250d6 &&
            ld_le32(p + i) + ld_le32(p + i + 4) + ld_le32(p + i + 8) +
                    ld_le32(p + i + 12) ==
                0) {
            *off = i;
            *header_len = ld_le32(p + i + 8);
            return true;
        }
    }
    return false;
}

/* Information tags that the kernel cannot do without must be known ones. */
static bool mb2_check_request(const uint8_t *p, uint32_t size, bool optional,
                              const char *name, GError **errp)
{
    for (uint32_t i = 8; i + 4 <= size; i += 4) {
        uint32_t type = ld_le32(p + i);

        if (type > MB2_MAX_INFO && !optional) {
            error_setg(errp,
                       "multiboot2 kernel '%s' requires information tag %u, "
                       "which does not exist",
                       name, type);
            return false;
        }
    }
    return true;
}

/* Bytes that a tag of @type has at least. */
static uint32_t mb2_tag_size(unsigned type)
{
    switch (type) {
    case MB2_TAG_ADDRESS:
    case MB2_TAG_RELOCATABLE:
        return 24;
    case MB2_TAG_FRAMEBUFFER:
        return 20;
    case MB2_TAG_ENTRY:
    case MB2_TAG_CONSOLE:
        return 12;
    default:
        return 8;
    }
}

static bool mb2_read_tag(Mb2Header *h, const uint8_t *p, uint32_t size,
                         const char *name, GError **errp)
{
    unsigned type = ld_le16(p);
    bool optional = ld_le16(p + 2) & 1;

    if (size < mb2_tag_size(type)) {
        error_setg(errp, "multiboot2 kernel '%s': header tag %u has %u bytes",
                   name, type, size);
        return false;
    }
    switch (type) {
    case MB2_TAG_INFO_REQUEST:
        return mb2_check_request(p, size, optional, name, errp);
    case MB2_TAG_ADDRESS:
        h->has_addresses = true;
        h->addr = (MbAddresses) { ld_le32(p + 8), ld_le32(p + 12),
                                  ld_le32(p + 16), ld_le32(p + 20) };
        return true;
    case MB2_TAG_ENTRY:
        h->has_entry = true;
        h->entry = ld_le32(p + 8);
        return true;
    case MB2_TAG_FRAMEBUFFER:
        h->has_framebuffer = true;
        return true;
    case MB2_TAG_RELOCATABLE:
        h->relocatable = true;
        h->min = ld_le32(p + 8);
        h->max = ld_le32(p + 12);
        h->align = ld_le32(p + 16);
        h->preference = ld_le32(p + 20);
        return true;
    case MB2_TAG_CONSOLE:
    case MB2_TAG_MODULE_ALIGN:
    case MB2_TAG_EFI_BS:
    case MB2_TAG_EFI32_ENTRY:
    case MB2_TAG_EFI64_ENTRY:
        return true;
    default:
        if (!optional) {
            error_setg(errp,
                       "multiboot2 kernel '%s' requires unknown header tag %u",
                       name, type);
        }
        return optional;
    }
}

static bool mb2_read_header(Mb2Header *h, GBytes *image, const char *name,
                            GError **errp)
{
    size_t len, header_len, pos;
    const uint8_t *p = g_bytes_get_data(image, &len);

    if (!mb2_find_header(image, &h->off, &header_len)) {
        error_setg(errp, "'%s' has no multiboot2 header", name);
        return false;
    }
    p += h->off;
    if (ld_le32(p + 4) != 0) {
        error_setg(errp,
                   "multiboot2 kernel '%s' is for architecture %u, not for "
                   "i386 (0)",
                   name, ld_le32(p + 4));
        return false;
    }
    if (header_len < 16 || header_len > len - h->off) {
        error_setg(errp,
                   "multiboot2 kernel '%s' is truncated: its header has "
                   "%zu bytes",
                   name, header_len);
        return false;
    }
    for (pos = 16; header_len - pos >= 8;) {
        uint32_t size = ld_le32(p + pos + 4);

        if (ld_le16(p + pos) == MB2_TAG_END) {
            return true;
        }
        if (size < 8 || size > header_len - pos) {
            error_setg(errp,
                       "multiboot2 kernel '%s': bad size %u of header tag %u",
                       name, size, ld_le16(p + pos));
            return false;
        }
        if (!mb2_read_tag(h, p + pos, size, name, errp)) {
            return false;
        }
        pos += MIN((size + 7) & ~7u, header_len - pos);
    }
    return true;
}

/* Where a relocatable image goes; it stays where it was linked if it may. */
static bool mb2_relocate(MbImage *mb, const Mb2Header *h, const BootEnv *env,
                         GError **errp)
{
    uint64_t size = mb->elf.high - mb->elf.low;
    uint64_t align = h->align ? h->align : 1;
    uint64_t max = (uint64_t)h->max + 1, base;
    bool found;

    if (!is_pow2(align)) {
        error_setg(errp,
                   "multiboot2 kernel '%s': alignment 0x%x is not a "
                   "power of two",
                   env->kernel_name, h->align);
        return false;
    }
    if (h->preference == 0 && mb->elf.low >= h->min && mb->elf.high <= max &&
        mb->elf.low % align == 0 && e820_is_ram(env->e820, mb->elf.low, size)) {
        return true;
    }
    found = h->preference == 2 ? e820_find_high(env->e820, size, align,
                                                MAX(h->min, MIB), max, &base)
                               : e820_find_low(env->e820, size, align,
                                               MAX(h->min, MIB), max, &base);
    if (!found) {
        error_setg(errp,
                   "multiboot2 kernel '%s': no room for 0x%" PRIx64
                   " bytes between 0x%x and 0x%x",
                   env->kernel_name, size, h->min, h->max);
        return false;
    }
    mb->delta = base - mb->elf.low;
    mb->entry += mb->delta;
    return true;
}

static bool mb2_read_image(MbImage *mb, const Mb2Header *h, GBytes *image,
                           const BootEnv *env, GError **errp)
{
    if (h->has_addresses) {
        if (!h->has_entry) {
            error_setg(errp,
                       "multiboot2 kernel '%s' gives addresses but no entry "
                       "address",
                       env->kernel_name);
            return false;
        }
        mb->entry = h->entry;
        return mb_kludge(mb, &h->addr, h->off, image, env->kernel_name, errp);
    }
    if (!elf_is(image)) {
        error_setg(errp,
                   "multiboot2 kernel '%s' is no ELF file and its header "
                   "gives no addresses (tag 2)",
                   env->kernel_name);
        return false;
    }
    if (!elf_parse(&mb->elf, image, env->kernel_name, errp)) {
        return false;
    }
    mb->is_elf = true;
    mb->entry = h->has_entry ? h->entry : mb->elf.entry;
    return !h->relocatable || mb2_relocate(mb, h, env, errp);
}

/* Appends a tag with @len bytes of payload and pads it to eight. */
static void mb2_tag(GByteArray *out, uint32_t type, const void *data,
                    size_t len)
{
    static const uint8_t zeros[8];
    uint8_t head[8];

    st_le32(head, type);
    st_le32(head + 4, 8 + len);
    g_byte_array_append(out, head, 8);
    g_byte_array_append(out, data, len);
    g_byte_array_append(out, zeros, -len & 7);
}

static void mb2_add_text(GByteArray *out, uint32_t type, const char *text)
{
    mb2_tag(out, type, text, strlen(text) + 1);
}

static void mb2_add_memory(GByteArray *out, const E820 *e820)
{
    uint8_t mem[8], map[8 + E820_MAX * 24] = { 0 };

    st_le32(mem, 639);
    st_le32(mem + 4, e820_high_memory_end(e820) / 1024 - 1024);
    mb2_tag(out, MB2_INFO_MEMORY, mem, sizeof(mem));
    st_le32(map, 24);
    for (unsigned i = 0; i < e820->n; i++) {
        uint8_t *e = map + 8 + i * 24;

        st_le64(e, e820->entry[i].addr);
        st_le64(e + 8, e820->entry[i].size);
        st_le32(e + 16, e820->entry[i].type);
    }
    mb2_tag(out, MB2_INFO_MMAP, map, 8 + e820->n * 24);
}

static bool mb2_add_modules(GByteArray *out, BootPlan *plan, const BootEnv *env,
                            GError **errp)
{
    g_autofree uint64_t *addr = g_new0(uint64_t, env->n_modules);

    if (!boot_place_modules(plan, env, addr, errp)) {
        return false;
    }
    for (unsigned i = 0; i < env->n_modules; i++) {
        const BootModule *mod = &env->modules[i];
        size_t text = strlen(mod->cmdline) + 1;
        g_autofree uint8_t *tag = g_malloc0(8 + text);

        st_le32(tag, addr[i]);
        st_le32(tag + 4, addr[i] + g_bytes_get_size(mod->data));
        memcpy(tag + 8, mod->cmdline, text);
        mb2_tag(out, MB2_INFO_MODULE, tag, 8 + text);
    }
    return true;
}

static void mb2_add_sections(GByteArray *out, MbImage *mb, BootPlan *plan,
                             const BootEnv *env, GBytes *image)
{
    g_autoptr(GByteArray) sections = mb_sections(mb, plan, env, image);
    g_autofree uint8_t *tag = g_malloc0(12 + (size_t)sections->len);

    if (sections->len) {
        st_le32(tag, mb->elf.shnum);
        st_le32(tag + 4, mb->elf.shentsize);
        st_le32(tag + 8, mb->elf.shstrndx);
        memcpy(tag + 12, sections->data, sections->len);
        mb2_tag(out, MB2_INFO_SECTIONS, tag, 12 + sections->len);
    }
}

static void mb2_add_tables(GByteArray *out, const BootEnv *env)
{
    if (env->rsdp_copy) {
        size_t len;
        const void *p = g_bytes_get_data(env->rsdp_copy, &len);

        mb2_tag(out, MB2_INFO_RSDP1, p, MIN(len, 20));
        mb2_tag(out, MB2_INFO_RSDP2, p, len);
    }
    if (env->smbios) {
        size_t len;
        const void *p = g_bytes_get_data(env->smbios, &len);
        g_autofree uint8_t *tag = g_malloc0(8 + len);

        tag[0] = env->smbios_major;
        tag[1] = env->smbios_minor;
        memcpy(tag + 8, p, len);
        mb2_tag(out, MB2_INFO_SMBIOS, tag, 8 + len);
    }
}

static bool mb2_info(GByteArray *out, MbImage *mb, const Mb2Header *h,
                     BootPlan *plan, const BootEnv *env, GBytes *image,
                     GError **errp)
{
    static const uint8_t head[8];

    g_byte_array_append(out, head, sizeof(head));
    mb2_add_text(out, MB2_INFO_CMDLINE, env->cmdline);
    mb2_add_text(out, MB2_INFO_LOADER, MB_LOADER_NAME);
    mb2_add_memory(out, env->e820);
    if (!mb2_add_modules(out, plan, env, errp)) {
        return false;
    }
    mb2_add_sections(out, mb, plan, env, image);
    if (h->has_framebuffer) {
        uint8_t fb[24] = { 0 };

        mb_framebuffer(fb);
        mb2_tag(out, MB2_INFO_FRAMEBUFFER, fb, sizeof(fb));
    }
    mb2_add_tables(out, env);
    if (h->relocatable) {
        uint8_t base[4];

        st_le32(base, mb->is_elf ? mb->elf.low + mb->delta : mb->load);
        mb2_tag(out, MB2_INFO_LOAD_BASE, base, sizeof(base));
    }
    mb2_tag(out, MB2_INFO_END, NULL, 0);
    st_le32(out->data, out->len);
    return true;
}

bool boot_multiboot2_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                          GError **errp)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Mb2Header h = { 0 };
    MbImage mb = { 0 };
    hwaddr info = 0;
    bool ok;

    ok = mb2_read_header(&h, image, env->kernel_name, errp) &&
         mb2_read_image(&mb, &h, image, env, errp) &&
         mb_place(&mb, plan, env, image, errp) &&
         mb2_info(out, &mb, &h, plan, env, image, errp);
    if (ok) {
        info = boot_plan_place(plan, out->data, out->len, 8, errp);
        ok = info && mb_start(&mb, plan, env, MB2_BOOT_MAGIC, info, errp);
    }
    plan->protocol = "multiboot2";
    elf_clear(&mb.elf);
    return ok;
}
