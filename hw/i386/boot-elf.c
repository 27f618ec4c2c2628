/*
 * ELF kernels: with a PVH note, and plain ones.
 *
 * PVH (Xen docs/misc/pvh.pandoc, hvm_start_info): 32-bit protected mode at the
 * address in the note, EBX points at a start info with memory map, modules and
 * command line. This is also how an uncompressed Linux vmlinux starts.
 *
 * Plain: an ELF32 is entered in 32-bit protected mode, an ELF64 in long mode,
 * 4 GiB mapped one to one, RSP below the EBDA. RSI points at a Linux zero page
 * so that even a vmlinux without the note finds its memory map.
 *
 * Segments go to p_paddr. An entry point that lies in a segment's virtual
 * range is translated with it: higher-half kernels are entered where they are.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "hw/i386/boot.h"
#include "hw/i386/boot-elf.h"

#define PT_LOAD             1
#define PT_NOTE             4
#define ET_EXEC             2
#define ET_DYN              3
#define EM_386              3
#define EM_X86_64           62
#define XEN_ELFNOTE_PHYS32  18
#define HVM_START_MAGIC     0x336ec578
#define HVM_START_INFO_SIZE 56
#define HVM_MODLIST_ENTRY   32
#define HVM_MEMMAP_ENTRY    24

/* A range of the file, compared without adding. */
static bool elf_in_file(uint64_t off, uint64_t len, size_t file_len)
{
    return off <= file_len && len <= file_len - off;
}

bool elf_is(GBytes *image)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);

    return len >= 20 && memcmp(p, "\177ELF", 4) == 0;
}

typedef struct ElfHeader {
    uint16_t type, machine, phentsize, phnum, shentsize, shnum, shstrndx;
    uint64_t entry, phoff, shoff;
} ElfHeader;

static bool elf_read_header(ElfImage *elf, ElfHeader *h, const uint8_t *p,
                            size_t len, const char *name, GError **errp)
{
    if (len < 52 || (p[4] == 2 && len < 64)) {
        error_setg(errp, "ELF file '%s' is truncated: no whole header", name);
        return false;
    }
    if ((p[4] != 1 && p[4] != 2) || p[5] != 1) {
        error_setg(errp,
                   "ELF file '%s' is neither 32- nor 64-bit "
                   "little-endian",
                   name);
        return false;
    }
    elf->bits = p[4] == 2 ? 64 : 32;
    h->type = ld_le16(p + 16);
    h->machine = ld_le16(p + 18);
    if (elf->bits == 64) {
        h->entry = ld_le64(p + 24);
        h->phoff = ld_le64(p + 32);
        h->shoff = ld_le64(p + 40);
        p += 52;
    } else {
        h->entry = ld_le32(p + 24);
        h->phoff = ld_le32(p + 28);
        h->shoff = ld_le32(p + 32);
        p += 40;
    }
    h->phentsize = ld_le16(p + 2);
    h->phnum = ld_le16(p + 4);
    h->shentsize = ld_le16(p + 6);
    h->shnum = ld_le16(p + 8);
    h->shstrndx = ld_le16(p + 10);
    return true;
}

static bool elf_check_header(const ElfImage *elf, const ElfHeader *h,
                             size_t len, const char *name, GError **errp)
{
    unsigned want = elf->bits == 64 ? 56 : 32;

    if (h->machine != EM_386 && h->machine != EM_X86_64) {
        error_setg(errp,
                   "ELF file '%s' is for machine %u, not for i386 (3) or "
                   "x86-64 (62)",
                   name, h->machine);
        return false;
    }
    if (h->type != ET_EXEC && h->type != ET_DYN) {
        error_setg(errp,
                   "ELF file '%s' is of type %u, not an executable: link it",
                   name, h->type);
        return false;
    }
    if (h->phnum == 0) {
        error_setg(errp, "ELF file '%s' has no program headers", name);
        return false;
    }
    if (h->phentsize < want ||
        !elf_in_file(h->phoff, (uint64_t)h->phnum * h->phentsize, len)) {
        error_setg(
            errp,
            "ELF file '%s' is truncated: %u program headers at 0x%" PRIx64
            ", %zu bytes in all",
            name, h->phnum, h->phoff, len);
        return false;
    }
    return true;
}

/* Looks for the Xen note among those of one PT_NOTE; bad notes end it. */
static void elf_scan_notes(ElfImage *elf, const uint8_t *p, size_t len)
{
    size_t pos = 0;

    while (len - pos >= 12) {
        uint32_t namesz = ld_le32(p + pos), descsz = ld_le32(p + pos + 4);
        uint32_t type = ld_le32(p + pos + 8);
        uint64_t name = pos + 12;
        uint64_t desc = name + (((uint64_t)namesz + 3) & ~UINT64_C(3));
        uint64_t end = desc + (((uint64_t)descsz + 3) & ~UINT64_C(3));

        if (desc > len || descsz > len - desc) {
            return;
        }
        if (type == XEN_ELFNOTE_PHYS32 && namesz == 4 && descsz >= 4 &&
            memcmp(p + name, "Xen", 4) == 0) {
            elf->has_pvh = true;
            elf->pvh_entry = ld_le32(p + desc);
        }
        if (end > len) {
            return;
        }
        pos = end;
    }
}

static void elf_read_phdr(const ElfImage *elf, const uint8_t *p, uint32_t *type,
                          ElfSegment *seg)
{
    *type = ld_le32(p);
    if (elf->bits == 64) {
        *seg = (ElfSegment) { .off = ld_le64(p + 8),
                              .vaddr = ld_le64(p + 16),
                              .paddr = ld_le64(p + 24),
                              .filesz = ld_le64(p + 32),
                              .memsz = ld_le64(p + 40) };
    } else {
        *seg = (ElfSegment) { .off = ld_le32(p + 4),
                              .vaddr = ld_le32(p + 8),
                              .paddr = ld_le32(p + 12),
                              .filesz = ld_le32(p + 16),
                              .memsz = ld_le32(p + 20) };
    }
}

static bool elf_add_segment(ElfImage *elf, const ElfSegment *seg,
                            const char *name, GError **errp)
{
    if (seg->memsz < seg->filesz) {
        error_setg(errp,
                   "ELF file '%s': a segment of 0x%" PRIx64
                   " bytes in the file has only 0x%" PRIx64 " in memory",
                   name, seg->filesz, seg->memsz);
        return false;
    }
    if (seg->memsz == 0) {
        return true;
    }
    if (seg->paddr > UINT64_MAX - seg->memsz) {
        error_setg(errp,
                   "ELF file '%s': segment at 0x%" PRIx64 " of 0x%" PRIx64
                   " bytes is not in memory",
                   name, seg->paddr, seg->memsz);
        return false;
    }
    elf->low = MIN(elf->low, seg->paddr);
    elf->high = MAX(elf->high, seg->paddr + seg->memsz);
    g_array_append_val(elf->segments, *seg);
    return true;
}

static void elf_translate_entry(ElfImage *elf)
{
    for (unsigned i = 0; i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);

        if (elf->entry >= s->vaddr && elf->entry - s->vaddr < s->memsz) {
            elf->entry = s->paddr + (elf->entry - s->vaddr);
            return;
        }
    }
}

bool elf_parse(ElfImage *elf, GBytes *image, const char *name, GError **errp)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);
    ElfHeader h;

    *elf = (ElfImage) { .low = UINT64_MAX };
    if (!elf_read_header(elf, &h, p, len, name, errp) ||
        !elf_check_header(elf, &h, len, name, errp)) {
        return false;
    }
    elf->segments = g_array_new(FALSE, FALSE, sizeof(ElfSegment));
    elf->entry = h.entry;
    for (unsigned i = 0; i < h.phnum; i++) {
        ElfSegment seg;
        uint32_t type;

        elf_read_phdr(elf, p + h.phoff + i * h.phentsize, &type, &seg);
        if (type != PT_LOAD && type != PT_NOTE) {
            continue;
        }
        if (!elf_in_file(seg.off, seg.filesz, len)) {
            error_setg(
                errp,
                "ELF file '%s' is truncated: a segment ends at 0x%" PRIx64
                ", the file at 0x%zx",
                name, seg.off + seg.filesz, len);
            elf_clear(elf);
            return false;
        }
        if (type == PT_NOTE) {
            elf_scan_notes(elf, p + seg.off, seg.filesz);
        } else if (!elf_add_segment(elf, &seg, name, errp)) {
            elf_clear(elf);
            return false;
        }
    }
    if (elf->segments->len == 0) {
        error_setg(errp, "ELF file '%s' has nothing to load", name);
        elf_clear(elf);
        return false;
    }
    elf_translate_entry(elf);
    if (h.shnum && h.shentsize >= (elf->bits == 64 ? 64 : 40) &&
        elf_in_file(h.shoff, (uint64_t)h.shnum * h.shentsize, len)) {
        elf->shoff = h.shoff;
        elf->shnum = h.shnum;
        elf->shentsize = h.shentsize;
        elf->shstrndx = h.shstrndx;
    }
    return true;
}

void elf_clear(ElfImage *elf)
{
    if (elf->segments) {
        g_array_unref(elf->segments);
        elf->segments = NULL;
    }
}

bool elf_place(const ElfImage *elf, BootPlan *plan, const E820 *e820,
               uint64_t delta, GBytes *image, const char *name, GError **errp)
{
    for (unsigned i = 0; i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);
        g_autoptr(GBytes) data = NULL;

        if (!e820_is_ram(e820, s->paddr + delta, s->memsz)) {
            g_autofree char *ram = e820_describe_ram(e820);

            error_setg(errp,
                       "ELF file '%s': segment at 0x%" PRIx64 " of 0x%" PRIx64
                       " bytes is outside RAM (%s)",
                       name, s->paddr + delta, s->memsz, ram);
            return false;
        }
        data = g_bytes_new_from_bytes(image, s->off, s->filesz);
        boot_plan_add(plan, s->paddr + delta, s->memsz, data);
    }
    plan->low_end = MAX(plan->low_end, elf->high + delta);
    return true;
}

/* ---- PVH ----------------------------------------------------------------------- */

static hwaddr pvh_place_modules(BootPlan *plan, const BootEnv *env,
                                GError **errp)
{
    g_autofree uint8_t *list = g_malloc0(env->n_modules * HVM_MODLIST_ENTRY);
    g_autofree uint64_t *addr = g_new0(uint64_t, env->n_modules);

    if (!boot_place_modules(plan, env, addr, errp)) {
        return 0;
    }
    for (unsigned i = 0; i < env->n_modules; i++) {
        uint8_t *e = list + i * HVM_MODLIST_ENTRY;

        st_le64(e, addr[i]);
        st_le64(e + 8, g_bytes_get_size(env->modules[i].data));
    }
    return boot_plan_place(plan, list, env->n_modules * HVM_MODLIST_ENTRY, 8,
                           errp);
}

static hwaddr pvh_place_memmap(BootPlan *plan, const E820 *e820, GError **errp)
{
    uint8_t map[E820_MAX * HVM_MEMMAP_ENTRY] = { 0 };

    for (unsigned i = 0; i < e820->n; i++) {
        uint8_t *e = map + i * HVM_MEMMAP_ENTRY;

        st_le64(e, e820->entry[i].addr);
        st_le64(e + 8, e820->entry[i].size);
        st_le32(e + 16, e820->entry[i].type);
    }
    return boot_plan_place(plan, map, e820->n * HVM_MEMMAP_ENTRY, 8, errp);
}

static bool pvh_load(BootPlan *plan, const BootEnv *env, const ElfImage *elf,
                     GError **errp)
{
    uint8_t info[HVM_START_INFO_SIZE] = { 0 };
    hwaddr cmdline, mods = 0, memmap, start;

    if (!e820_is_ram(env->e820, elf->pvh_entry, 1)) {
        error_setg(errp, "'%s': PVH entry 0x%x is outside RAM",
                   env->kernel_name, elf->pvh_entry);
        return false;
    }
    cmdline =
        boot_plan_place(plan, env->cmdline, strlen(env->cmdline) + 1, 1, errp);
    memmap = cmdline ? pvh_place_memmap(plan, env->e820, errp) : 0;
    if (memmap && env->n_modules) {
        mods = pvh_place_modules(plan, env, errp);
    }
    if (!memmap || (env->n_modules && !mods)) {
        return false;
    }
    st_le32(info, HVM_START_MAGIC);
    st_le32(info + 4, 1);
    st_le32(info + 12, env->n_modules);
    st_le64(info + 16, mods);
    st_le64(info + 24, cmdline);
    st_le64(info + 32, env->rsdp);
    st_le64(info + 40, memmap);
    st_le32(info + 48, env->e820->n);
    start = boot_plan_place(plan, info, sizeof(info), 8, errp);
    if (!start) {
        return false;
    }
    plan->protocol = "ELF with a PVH note";
    plan->mode = BOOT_PROTECTED;
    plan->entry = elf->pvh_entry;
    plan->gpr[R_RBX] = start;
    return true;
}

/* ---- plain ELF ------------------------------------------------------------------- */

static bool elf_load_plain(BootPlan *plan, const BootEnv *env,
                           const ElfImage *elf, GError **errp)
{
    g_autofree uint64_t *addr = g_new0(uint64_t, env->n_modules + 1);
    uint64_t len = 0;
    hwaddr params;

    if (!e820_is_ram(env->e820, elf->entry, 1)) {
        error_setg(errp, "ELF file '%s': entry 0x%" PRIx64 " is outside RAM",
                   env->kernel_name, elf->entry);
        return false;
    }
    if (!boot_place_modules(plan, env, addr, errp)) {
        return false;
    }
    if (env->n_modules) {
        len = g_bytes_get_size(env->modules[0].data);
    }
    params = boot_linux_params(plan, env, NULL, 0, addr[0], len, errp);
    if (!params) {
        return false;
    }
    plan->protocol = elf->bits == 64 ? "plain ELF64, long mode"
                                     : "plain ELF32, protected mode";
    plan->mode = elf->bits == 64 ? BOOT_LONG : BOOT_PROTECTED;
    plan->entry = elf->entry;
    plan->gpr[R_RSP] = BOOT_STACK;
    plan->gpr[R_RSI] = params;
    return true;
}

bool boot_elf_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                   GError **errp)
{
    ElfImage elf;
    bool ok;

    if (!elf_parse(&elf, image, env->kernel_name, errp)) {
        return false;
    }
    ok = elf_place(&elf, plan, env->e820, 0, image, env->kernel_name, errp) &&
         (elf.has_pvh ? pvh_load(plan, env, &elf, errp)
                      : elf_load_plain(plan, env, &elf, errp));
    elf_clear(&elf);
    return ok;
}
