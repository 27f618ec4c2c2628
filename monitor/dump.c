/*
 * dump-guest-memory: an ELF core file that crash and gdb read. One PT_LOAD per
 * stretch of RAM at its physical address, and notes with the registers: an
 * NT_PRSTATUS per processor, as the kernel's core dumps have, and QEMU's own
 * with the segments and control registers.
 */
#include "util/osdep.h"
#include <elf.h>
#include "util/bits.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "monitor/guest-memory.h"

/* struct elf_prstatus of x86-64: what we fill in. */
enum {
    PRSTATUS_SIZE = 336,
    PRSTATUS_PID = 32,
    PRSTATUS_REGS = 112,
};

enum { QEMU_NOTE_VERSION = 1, QEMU_NOTE_SIZE = 440 };

typedef struct Piece {
    hwaddr base, size;
} Piece;

/* ---- notes ----------------------------------------------------------------- */

static void add_u32(GByteArray *b, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    g_byte_array_append(b, (const uint8_t *)&v, sizeof(v));
}

static void add_u64(GByteArray *b, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(b, (const uint8_t *)&v, sizeof(v));
}

static void pad_to(GByteArray *b, guint size)
{
    while (b->len < size) {
        g_byte_array_append(b, (const uint8_t *)"", 1);
    }
}

static void add_note(GByteArray *b, const char *name, uint32_t type,
                     const GByteArray *desc)
{
    size_t name_len = strlen(name) + 1;

    add_u32(b, (uint32_t)name_len);
    add_u32(b, desc->len);
    add_u32(b, type);
    g_byte_array_append(b, (const uint8_t *)name, (guint)name_len);
    pad_to(b, (b->len + 3) & ~3u);
    g_byte_array_append(b, desc->data, desc->len);
    pad_to(b, (b->len + 3) & ~3u);
}

static void add_prstatus(GByteArray *b, const X86Cpu *cpu)
{
    const X86State *s = &cpu->s;
    static const uint8_t first[] = { R_R15, R_R14, R_R13, R_R12, R_RBP,
                                     R_RBX, R_R11, R_R10, R_R9,  R_R8,
                                     R_RAX, R_RCX, R_RDX, R_RSI, R_RDI };
    g_autoptr(GByteArray) d = g_byte_array_new();

    pad_to(d, PRSTATUS_PID);
    add_u32(d, cpu->index + 1);
    pad_to(d, PRSTATUS_REGS);
    for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
        add_u64(d, s->gpr[first[i]]);
    }
    add_u64(d, s->gpr[R_RAX]); /* orig_rax: no system call */
    add_u64(d, s->rip);
    add_u64(d, s->seg[S_CS].sel);
    add_u64(d, s->rflags);
    add_u64(d, s->gpr[R_RSP]);
    add_u64(d, s->seg[S_SS].sel);
    add_u64(d, s->seg[S_FS].base);
    add_u64(d, s->seg[S_GS].base);
    add_u64(d, s->seg[S_DS].sel);
    add_u64(d, s->seg[S_ES].sel);
    add_u64(d, s->seg[S_FS].sel);
    add_u64(d, s->seg[S_GS].sel);
    pad_to(d, PRSTATUS_SIZE);
    add_note(b, "CORE", NT_PRSTATUS, d);
}

static void add_segment(GByteArray *d, uint32_t sel, uint32_t limit,
                        uint32_t flags, uint64_t base)
{
    add_u32(d, sel);
    add_u32(d, limit);
    add_u32(d, flags);
    add_u32(d, 0);
    add_u64(d, base);
}

static void add_seg(GByteArray *d, const X86Seg *seg)
{
    add_segment(d, seg->sel, seg->limit, seg->attr, seg->base);
}

static void add_qemu_state(GByteArray *b, const X86Cpu *cpu)
{
    const X86State *s = &cpu->s;
    static const uint8_t gprs[] = { R_RAX, R_RBX, R_RCX, R_RDX,
                                    R_RSI, R_RDI, R_RSP, R_RBP };
    static const uint8_t segs[] = { S_CS, S_DS, S_ES, S_FS, S_GS, S_SS };
    g_autoptr(GByteArray) d = g_byte_array_new();

    add_u32(d, QEMU_NOTE_VERSION);
    add_u32(d, QEMU_NOTE_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(gprs); i++) {
        add_u64(d, s->gpr[gprs[i]]);
    }
    for (unsigned i = R_R8; i <= R_R15; i++) {
        add_u64(d, s->gpr[i]);
    }
    add_u64(d, s->rip);
    add_u64(d, s->rflags);
    for (size_t i = 0; i < G_N_ELEMENTS(segs); i++) {
        add_seg(d, &s->seg[segs[i]]);
    }
    add_seg(d, &s->ldt);
    add_seg(d, &s->tr);
    add_segment(d, 0, s->gdt_limit, 0, s->gdt_base);
    add_segment(d, 0, s->idt_limit, 0, s->idt_base);
    add_u64(d, s->cr0);
    add_u64(d, 0);
    add_u64(d, s->cr2);
    add_u64(d, s->cr3);
    add_u64(d, s->cr4);
    add_u64(d, s->kernel_gs_base);
    add_note(b, "QEMU", 0, d);
}

static GByteArray *make_notes(Machine *m)
{
    GByteArray *b = g_byte_array_new();

    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        cpu_state(m->cpu[i]);
        add_prstatus(b, m->cpu[i]);
    }
    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        add_qemu_state(b, m->cpu[i]);
    }
    return b;
}

/* ---- memory ------------------------------------------------------------------- */

/* RAM between @begin and @end, neighbours joined. */
static GArray *find_pieces(Machine *m, hwaddr begin, hwaddr end)
{
    const FlatMap *map = as_flat(m->mem);
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));

    for (unsigned i = 0; i < map->n; i++) {
        const FlatRange *r = &map->range[i];
        hwaddr from = MAX(r->base, begin);
        hwaddr to = MIN(r->base + (r->size - 1), end - 1);
        Piece *last =
            pieces->len ? &g_array_index(pieces, Piece, pieces->len - 1) : NULL;
        Piece p = { from, to - from + 1 };

        if (r->region->kind != REGION_RAM || from > to) {
            continue;
        }
        if (last && last->base + last->size == p.base) {
            last->size += p.size;
        } else {
            g_array_append_val(pieces, p);
        }
    }
    return pieces;
}

static bool write_all(int fd, const void *buf, size_t len, GError **errp)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_setg_errno(errp, n ? errno : EIO,
                             "dump: failed to save "
                             "memory");
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_piece(Machine *m, int fd, Piece p, GError **errp)
{
    enum { STEP = 1 << 20 };
    g_autofree uint8_t *buf = g_malloc(STEP);

    for (uint64_t done = 0; done < p.size;) {
        size_t n = MIN(p.size - done, STEP);

        as_read(m->mem, p.base + done, buf, n);
        if (!write_all(fd, buf, n, errp)) {
            return false;
        }
        done += n;
    }
    return true;
}

/* ---- the file -------------------------------------------------------------------- */

static void make_header(Elf64_Ehdr *h, unsigned n)
{
    *h = (Elf64_Ehdr) { .e_type = ET_CORE,
                        .e_machine = EM_X86_64,
                        .e_version = EV_CURRENT,
                        .e_phoff = sizeof(*h),
                        .e_ehsize = sizeof(*h),
                        .e_phentsize = sizeof(Elf64_Phdr),
                        .e_phnum = (Elf64_Half)n };
    memcpy(h->e_ident, ELFMAG, SELFMAG);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_ident[EI_VERSION] = EV_CURRENT;
}

static GByteArray *make_headers(const GArray *pieces, size_t notes_len)
{
    GByteArray *out = g_byte_array_new();
    Elf64_Ehdr h;
    Elf64_Phdr note = { .p_type = PT_NOTE };
    uint64_t at = sizeof(h) + (pieces->len + 1) * sizeof(note);

    make_header(&h, pieces->len + 1);
    g_byte_array_append(out, (const uint8_t *)&h, sizeof(h));
    note.p_offset = at;
    note.p_filesz = note.p_memsz = notes_len;
    g_byte_array_append(out, (const uint8_t *)&note, sizeof(note));
    at += notes_len;
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *p = &g_array_index(pieces, Piece, i);
        Elf64_Phdr load = { .p_type = PT_LOAD,
                            .p_offset = at,
                            .p_paddr = p->base,
                            .p_filesz = p->size,
                            .p_memsz = p->size };

        g_byte_array_append(out, (const uint8_t *)&load, sizeof(load));
        at += p->size;
    }
    return out;
}

static bool write_dump(Machine *m, int fd, const GArray *pieces, GError **errp)
{
    g_autoptr(GByteArray) notes = make_notes(m);
    g_autoptr(GByteArray) headers = make_headers(pieces, notes->len);
    bool ok = write_all(fd, headers->data, headers->len, errp) &&
              write_all(fd, notes->data, notes->len, errp);

    for (guint i = 0; ok && i < pieces->len; i++) {
        ok = write_piece(m, fd, g_array_index(pieces, Piece, i), errp);
    }
    return ok;
}

bool guest_dump_elf(Machine *m, int fd, hwaddr begin, uint64_t len,
                    uint64_t *total, GError **errp)
{
    hwaddr end = len && len <= UINT64_MAX - begin ? begin + len : UINT64_MAX;
    bool held = guest_hold(m), ok;
    g_autoptr(GArray) pieces = find_pieces(m, begin, end);

    *total = 0;
    for (guint i = 0; i < pieces->len; i++) {
        *total += g_array_index(pieces, Piece, i).size;
    }
    if (!pieces->len) {
        error_setg(errp, "dump: no guest memory to dump");
        ok = false;
    } else if (pieces->len > UINT16_MAX - 2) {
        error_setg(errp, "dump: guest memory is in too many pieces");
        ok = false;
    } else {
        ok = write_dump(m, fd, pieces, errp);
    }
    guest_release(m, held);
    if (close(fd) && ok) {
        error_setg_errno(errp, errno, "dump: closing the file");
        ok = false;
    }
    return ok;
}
