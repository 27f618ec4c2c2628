/*
 * Kernel loaders against hand-made images: what is planned for good ones, one
 * clear line for each bad one. No machine, no CPU.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/i386/boot.h"

/* ---- images ------------------------------------------------------------------ */

typedef struct Img {
    uint8_t *p;
    size_t len;
} Img;

static Img img_new(size_t len)
{
    return (Img) { g_malloc0(len), len };
}

enum { BZ_SETUP = 4 * 512, BZ_PAYLOAD = 4096 };

/* A bzImage of protocol 2.15 that wants 16 MiB + 8 MiB. */
static Img bzimage(bool wide)
{
    Img i = img_new(BZ_SETUP + BZ_PAYLOAD);
    uint8_t *p = i.p;

    p[0x1f1] = 3;
    st_le32(p + 0x1f4, BZ_PAYLOAD / 16);
    st_le16(p + 0x1fe, 0xaa55);
    p[0x200] = 0xeb;
    p[0x201] = 0x6a;
    memcpy(p + 0x202, "HdrS", 4);
    st_le16(p + 0x206, 0x20f);
    p[0x211] = 1;
    st_le32(p + 0x214, 0x100000);
    st_le32(p + 0x22c, 0x7fffffff);
    st_le32(p + 0x230, 0x200000);
    p[0x234] = 1;
    st_le16(p + 0x236, wide ? 3 : 0);
    st_le32(p + 0x238, 2047);
    st_le64(p + 0x258, 0x1000000);
    st_le32(p + 0x260, 0x800000);
    memset(p + BZ_SETUP, 0x90, BZ_PAYLOAD);
    return i;
}

typedef struct Seg {
    uint32_t type;
    uint64_t vaddr, paddr, filesz, memsz;
    const void *data;
} Seg;

/* An ELF with its segments' bytes one after another behind the headers. */
static Img elf(unsigned bits, uint64_t entry, const Seg *seg, unsigned n)
{
    unsigned eh = bits == 64 ? 64 : 52, ph = bits == 64 ? 56 : 32;
    size_t len = eh + n * ph, off = len;
    Img i;

    for (unsigned k = 0; k < n; k++) {
        len += seg[k].filesz;
    }
    i = img_new(len);
    memcpy(i.p, "\177ELF", 4);
    i.p[4] = bits == 64 ? 2 : 1;
    i.p[5] = 1;
    i.p[6] = 1;
    st_le16(i.p + 16, 2);
    st_le16(i.p + 18, bits == 64 ? 62 : 3);
    st_le32(i.p + 20, 1);
    if (bits == 64) {
        st_le64(i.p + 24, entry);
        st_le64(i.p + 32, eh);
        st_le16(i.p + 52, eh);
        st_le16(i.p + 54, ph);
        st_le16(i.p + 56, n);
    } else {
        st_le32(i.p + 24, entry);
        st_le32(i.p + 28, eh);
        st_le16(i.p + 40, eh);
        st_le16(i.p + 42, ph);
        st_le16(i.p + 44, n);
    }
    for (unsigned k = 0; k < n; k++) {
        uint8_t *h = i.p + eh + k * ph;

        st_le32(h, seg[k].type);
        if (bits == 64) {
            st_le64(h + 8, off);
            st_le64(h + 16, seg[k].vaddr);
            st_le64(h + 24, seg[k].paddr);
            st_le64(h + 32, seg[k].filesz);
            st_le64(h + 40, seg[k].memsz);
        } else {
            st_le32(h + 4, off);
            st_le32(h + 8, seg[k].vaddr);
            st_le32(h + 12, seg[k].paddr);
            st_le32(h + 16, seg[k].filesz);
            st_le32(h + 20, seg[k].memsz);
        }
        if (seg[k].data) {
            memcpy(i.p + off, seg[k].data, seg[k].filesz);
        }
        off += seg[k].filesz;
    }
    return i;
}

/* ---- running a loader --------------------------------------------------------- */

typedef struct Result {
    BootPlan *plan;
    GError *err;
    bool ok;
    E820 e820;
} Result;

typedef struct Opts {
    uint64_t mib; /* of RAM; 0: 64 */
    const char *cmdline;
    size_t initrd; /* bytes; 0: none */
    unsigned modules;
    size_t dtb; /* bytes; 0: none */
} Opts;

static Result load(const Img *img, const Opts *o)
{
    uint64_t ram = (o->mib ? o->mib : 64) * MIB;
    Result r = { .plan = boot_plan_new() };
    BootModule mods[4] = { { NULL, NULL } };
    g_autoptr(GBytes) image = g_bytes_new_static(img->p, img->len);
    BootEnv env = { .e820 = &r.e820,
                    .kernel_name = "k",
                    .cmdline = o->cmdline ? o->cmdline : "",
                    .modules = mods,
                    .n_modules = o->modules ? o->modules : o->initrd != 0,
                    .rsdp = BOOT_TABLES };

    e820_init_pc(&r.e820, ram, 0);
    if (o->dtb) {
        env.dtb = g_bytes_new_take(g_malloc0(o->dtb), o->dtb);
    }
    for (unsigned i = 0; i < env.n_modules; i++) {
        mods[i].data = g_bytes_new_take(g_malloc0(o->initrd), o->initrd);
        mods[i].cmdline = g_strdup_printf("mod%u arg", i);
    }
    r.ok = boot_load_kernel(r.plan, &env, image, &r.err);
    g_assert_true(r.ok == (r.err == NULL));
    if (env.dtb) {
        g_bytes_unref(env.dtb);
    }
    for (unsigned i = 0; i < env.n_modules; i++) {
        g_bytes_unref(mods[i].data);
        g_free(mods[i].cmdline);
    }
    return r;
}

static void result_free(Result *r)
{
    boot_plan_free(r->plan);
    g_clear_error(&r->err);
}

/* The planned bytes at @addr, or NULL. @len: how many there must be. */
static const uint8_t *planned(const Result *r, hwaddr addr, size_t len)
{
    const uint8_t *found = NULL;

    for (unsigned i = 0; i < r->plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(r->plan->chunks, BootChunk, i);
        size_t have = 0;
        const uint8_t *p = c->data ? g_bytes_get_data(c->data, &have) : NULL;

        if (p && addr >= c->addr && addr - c->addr < have &&
            len <= have - (addr - c->addr)) {
            found = p + (addr - c->addr); /* the last one wins */
        }
    }
    return found;
}

static void assert_fails(Img img, const Opts *o, const char *part)
{
    Result r = load(&img, o);

    g_assert_false(r.ok);
    if (!strstr(r.err->message, part) || strchr(r.err->message, '\n')) {
        g_error("wanted '%s' in: %s", part, r.err->message);
    }
    result_free(&r);
    g_free(img.p);
}

/* Nothing may be planned outside RAM but in the two areas of boot.h. */
static void assert_in_ram(const Result *r)
{
    for (unsigned i = 0; i < r->plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(r->plan->chunks, BootChunk, i);

        g_assert_true(
            e820_is_ram(&r->e820, c->addr, c->size) ||
            (c->addr >= BOOT_AREA && c->size <= BOOT_TABLES_END - c->addr));
    }
}

/* ---- Linux --------------------------------------------------------------------- */

static void test_linux_64(void)
{
    Img img = bzimage(true);
    Opts o = { .cmdline = "console=ttyS0", .initrd = 5000 };
    Result r = load(&img, &o);
    const uint8_t *bp, *text;
    uint32_t initrd;

    g_assert_no_error(r.err);
    assert_in_ram(&r);
    g_assert_cmpint(r.plan->mode, ==, BOOT_LONG);
    g_assert_cmphex(r.plan->entry, ==, 0x100200);
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    g_assert_nonnull(bp);
    g_assert_cmphex(ld_le32(bp + 0x202), ==, 0x53726448);
    g_assert_cmphex(bp[0x210], !=, 0); /* a loader's id */
    g_assert_cmphex(bp[0x1ef], ==, 0); /* the sentinel */
    g_assert_cmphex(ld_le64(bp + 0x70), ==, BOOT_TABLES);
    text = planned(&r, ld_le32(bp + 0x228), 14);
    g_assert_cmpstr((const char *)text, ==, "console=ttyS0");
    g_assert_cmpuint(bp[0x1e8], ==, r.e820.n);
    g_assert_cmphex(ld_le64(bp + 0x2d0 + 8), ==, 0x9fc00);
    g_assert_cmphex(ld_le32(bp + 0x2d0 + 16), ==, E820_RAM);
    initrd = ld_le32(bp + 0x218);
    g_assert_cmpuint(ld_le32(bp + 0x21c), ==, 5000);
    g_assert_cmphex(initrd, ==, 64 * MIB - 8192); /* the highest page */
    g_assert_nonnull(planned(&r, initrd, 5000));
    g_assert_cmpuint(*planned(&r, 0x100000, BZ_PAYLOAD), ==, 0x90);
    g_assert_cmphex(r.plan->random_seed, !=, 0);
    result_free(&r);
    g_free(img.p);
}

static void test_linux_32(void)
{
    Img img = bzimage(false);
    Opts o = { 0 };
    Result r = load(&img, &o);
    const uint8_t *bp;

    g_assert_no_error(r.err);
    g_assert_cmpint(r.plan->mode, ==, BOOT_PROTECTED);
    g_assert_cmphex(r.plan->entry, ==, 0x100000);
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    g_assert_cmphex(ld_le32(bp + 0x218), ==, 0);
    g_assert_cmphex(ld_le32(bp + 0x21c), ==, 0);
    result_free(&r);

    st_le16(img.p + 0x206, 0x20b); /* older than XLF_KERNEL_64 */
    st_le16(img.p + 0x236, 1);
    r = load(&img, &o);
    g_assert_cmpint(r.plan->mode, ==, BOOT_PROTECTED);
    result_free(&r);
    g_free(img.p);
}

/* An initrd must lie below what the header allows. */
static void test_linux_initrd_max(void)
{
    Img img = bzimage(true);
    Opts o = { .mib = 2048, .initrd = 4096 };
    Result r;
    const uint8_t *bp;

    st_le32(img.p + 0x22c, 0x37ffffff);
    r = load(&img, &o);
    g_assert_no_error(r.err);
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    g_assert_cmphex(ld_le32(bp + 0x218), ==, 0x37fff000);
    result_free(&r);
    g_free(img.p);
}

/* The setup_data list: a device tree under the initrd, then a random seed. */
static void test_linux_setup_data(void)
{
    Img img = bzimage(true);
    Opts o = { .initrd = 4096, .dtb = 100 };
    Result r = load(&img, &o);
    const uint8_t *bp, *node;
    uint64_t addr;

    g_assert_no_error(r.err);
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    addr = ld_le64(bp + 0x250);
    node = planned(&r, addr, 16);
    g_assert_cmpuint(ld_le32(node + 8), ==, 2);
    g_assert_cmpuint(ld_le32(node + 12), ==, 100);
    g_assert_nonnull(planned(&r, addr + 16, 100));
    g_assert_cmphex(addr + 116, <=, ld_le32(bp + 0x218));
    addr = ld_le64(node);
    node = planned(&r, addr, 48);
    g_assert_cmpuint(ld_le32(node + 8), ==, 9);
    g_assert_cmphex(r.plan->random_seed, ==, addr + 16);
    g_assert_cmpuint(r.plan->random_len, ==, ld_le32(node + 12));
    g_assert_cmphex(ld_le64(node), ==, 0);
    result_free(&r);

    st_le16(img.p + 0x206, 0x208); /* the field does not exist yet */
    r = load(&img, &o);
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    g_assert_cmphex(ld_le64(bp + 0x250), ==, 0);
    result_free(&r);
    o.dtb = 63 * MIB;
    st_le16(img.p + 0x206, 0x20f);
    assert_fails(img, &o, "does not fit");
}

static Img bz_with(unsigned off, uint32_t value, unsigned size)
{
    Img img = bzimage(true);

    if (size == 2) {
        st_le16(img.p + off, value);
    } else {
        st_le32(img.p + off, value);
    }
    return img;
}

static Img cut(Img img, size_t len)
{
    img.len = len;
    return img;
}

static void test_linux_bad(void)
{
    g_autofree char *line = g_strnfill(2048, 'x');
    Opts o = { 0 }, small = { .mib = 20 }, tight = { .initrd = 41 * MIB };
    Opts text = { .cmdline = line };

    assert_fails(cut(bzimage(true), 0x210), &o, "truncated");
    assert_fails(cut(bzimage(true), BZ_SETUP), &o, "truncated");
    assert_fails(cut(bzimage(true), BZ_SETUP + 4000), &o, "truncated");
    assert_fails(bz_with(0x206, 0x201, 2), &o, "2.02");
    assert_fails(bz_with(0x210, 0, 2), &o, "zImage");
    assert_fails(bzimage(true), &small, "needs memory up to 24 MiB");
    assert_fails(bz_with(0x214, 0x8000, 4), &o, "needs memory");
    assert_fails(bz_with(0x214, 0xfffff000, 4), &o, "needs memory");
    assert_fails(bz_with(0x25c, 0xffffffff, 4), &o, "needs memory");
    assert_fails(bzimage(true), &tight, "does not fit");
    assert_fails(bzimage(true), &text, "takes 2047");
}

/* Every length of a good image is either loaded or refused. */
static void test_linux_every_cut(void)
{
    Img img = bzimage(true);
    Opts o = { 0 };

    for (size_t len = 0; len < img.len; len += 7) {
        Img part = { g_memdup2(img.p, len ? len : 1), len };
        Result r = load(&part, &o);

        g_assert_false(r.ok && len + 15 < img.len);
        result_free(&r);
        g_free(part.p);
    }
    g_free(img.p);
}

/* ---- ELF ----------------------------------------------------------------------- */

static const uint8_t code[16] = { 0xf4 };

static void test_elf_plain(void)
{
    Seg s = { 1, 0xffffffff80200000, 0x200000, 16, 32, code };
    Img img = elf(64, 0xffffffff80200004, &s, 1);
    Opts o = { .initrd = 100 };
    Result r = load(&img, &o);
    const uint8_t *bp;

    g_assert_no_error(r.err);
    assert_in_ram(&r);
    g_assert_cmpint(r.plan->mode, ==, BOOT_LONG);
    g_assert_cmphex(r.plan->entry, ==, 0x200004); /* translated */
    bp = planned(&r, r.plan->gpr[R_RSI], 4096);
    g_assert_cmphex(ld_le32(bp + 0x218), ==, 0x201000); /* behind it */
    result_free(&r);
    g_free(img.p);

    s.vaddr = s.paddr;
    img = elf(32, 0x200000, &s, 1);
    r = load(&img, &o);
    g_assert_no_error(r.err);
    g_assert_cmpint(r.plan->mode, ==, BOOT_PROTECTED);
    result_free(&r);
    g_free(img.p);
}

static void test_elf_pvh(void)
{
    uint8_t note[20] = {
        4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0
    };
    Seg s[2] = { { 1, 0x200000, 0x200000, 16, 4096, code },
                 { 4, 0, 0, 20, 20, note } };
    Opts o = { .initrd = 10, .cmdline = "x" };
    const uint8_t *info, *mod, *map;
    Img img;
    Result r;

    st_le32(note + 16, 0x200008);
    img = elf(64, 0x200000, s, 2);
    r = load(&img, &o);
    g_assert_no_error(r.err);
    assert_in_ram(&r);
    g_assert_cmpint(r.plan->mode, ==, BOOT_PROTECTED);
    g_assert_cmphex(r.plan->entry, ==, 0x200008);
    info = planned(&r, r.plan->gpr[R_RBX], 56);
    g_assert_cmphex(ld_le32(info), ==, 0x336ec578);
    g_assert_cmpuint(ld_le32(info + 12), ==, 1);
    g_assert_cmphex(ld_le64(info + 32), ==, BOOT_TABLES);
    mod = planned(&r, ld_le64(info + 16), 32);
    g_assert_cmphex(ld_le64(mod), ==, 0x201000);
    g_assert_cmpuint(ld_le64(mod + 8), ==, 10);
    g_assert_cmpuint(ld_le32(info + 48), ==, r.e820.n);
    map = planned(&r, ld_le64(info + 40), 24);
    g_assert_cmphex(ld_le64(map + 8), ==, 0x9fc00);
    result_free(&r);
    g_free(img.p);

    st_le32(note + 16, 0xf0000000);
    assert_fails(elf(64, 0x200000, s, 2), &o, "PVH entry");
}

static Img elf_with(unsigned off, uint32_t value, unsigned size)
{
    Seg s = { 1, 0x200000, 0x200000, 16, 32, code };
    Img img = elf(64, 0x200000, &s, 1);

    if (size == 1) {
        img.p[off] = value;
    } else if (size == 2) {
        st_le16(img.p + off, value);
    } else {
        st_le32(img.p + off, value);
    }
    return img;
}

static void test_elf_bad(void)
{
    Opts o = { 0 }, big = { .initrd = 63 * MIB };

    assert_fails(cut(elf_with(0, 0x7f, 1), 40), &o, "truncated");
    assert_fails(cut(elf_with(0, 0x7f, 1), 100), &o, "truncated");
    assert_fails(cut(elf_with(0, 0x7f, 1), 130), &o, "truncated");
    assert_fails(elf_with(4, 3, 1), &o, "neither 32- nor 64-bit");
    assert_fails(elf_with(5, 2, 1), &o, "little-endian");
    assert_fails(elf_with(16, 1, 2), &o, "not an executable");
    assert_fails(elf_with(18, 183, 2), &o, "for machine 183");
    assert_fails(elf_with(56, 0, 2), &o, "no program headers");
    assert_fails(elf_with(54, 8, 2), &o, "truncated");
    assert_fails(elf_with(56, 65535, 2), &o, "truncated");
    assert_fails(elf_with(36, 0xffffffff, 4), &o, "truncated");
    assert_fails(elf_with(64, 5, 4), &o, "nothing to load");
    assert_fails(elf_with(64 + 24, 0xf0000, 4), &o, "outside RAM");
    assert_fails(elf_with(64 + 24, 0x4000000, 4), &o, "outside RAM");
    assert_fails(elf_with(64 + 28, 0xffffffff, 4), &o, "outside RAM");
    assert_fails(elf_with(64 + 40, 8, 4), &o, "only 0x8 in memory");
    assert_fails(elf_with(64 + 44, 0xffffffff, 4), &o, "outside RAM");
    assert_fails(elf_with(24, 0x5000000, 4), &o, "entry");
    assert_fails(elf_with(0, 0x7f, 1), &big, "does not fit");
}

static void test_not_a_kernel(void)
{
    Opts o = { 0 };

    assert_fails(img_new(1), &o, "not a kernel");
    assert_fails(img_new(100000), &o, "not a kernel");
    assert_fails(cut(img_new(1), 0), &o, "not a kernel");
}

/* ---- multiboot ------------------------------------------------------------------ */

/* An ELF32 whose segment begins with @header. */
static Img mb_elf(const uint32_t *header, unsigned words)
{
    uint8_t text[512] = { 0 };
    Seg s = { 1, 0x100000, 0x100000, sizeof(text), 4096, text };
    uint32_t off = 52 + 32;

    /* Aligned in the file, whatever the headers before it take. */
    off = (8 - off % 8) % 8;
    for (unsigned i = 0; i < words; i++) {
        st_le32(text + off + i * 4, header[i]);
    }
    return elf(32, 0x100100, &s, 1);
}

static void test_mb1(void)
{
    uint32_t h[] = { 0x1badb002, 7, -(0x1badb002u + 7) };
    Img img = mb_elf(h, 3);
    Opts o = { .modules = 2, .initrd = 5, .cmdline = "a b" };
    Result r = load(&img, &o);
    const uint8_t *mbi, *mods;

    g_assert_no_error(r.err);
    assert_in_ram(&r);
    g_assert_cmpint(r.plan->mode, ==, BOOT_PROTECTED);
    g_assert_cmphex(r.plan->entry, ==, 0x100100);
    g_assert_cmphex(r.plan->gpr[R_RAX], ==, 0x2badb002);
    mbi = planned(&r, r.plan->gpr[R_RBX], 116);
    g_assert_cmphex(ld_le32(mbi), ==, 0x124d);
    g_assert_cmpuint(ld_le32(mbi + 4), ==, 639);
    g_assert_cmpuint(ld_le32(mbi + 8), ==, 63 * 1024);
    g_assert_cmpstr((const char *)planned(&r, ld_le32(mbi + 16), 6), ==,
                    "k a b");
    g_assert_cmpuint(ld_le32(mbi + 20), ==, 2);
    mods = planned(&r, ld_le32(mbi + 24), 32);
    g_assert_cmphex(ld_le32(mods), ==, 0x101000);
    g_assert_cmphex(ld_le32(mods + 4), ==, 0x101005);
    g_assert_cmphex(ld_le32(mods + 16), ==, 0x102000);
    g_assert_cmpstr((const char *)planned(&r, ld_le32(mods + 24), 9), ==,
                    "mod1 arg");
    result_free(&r);
    g_free(img.p);
}

static Img mb1_kludge(uint32_t header, uint32_t load_addr, uint32_t load_end,
                      uint32_t bss_end, uint32_t entry)
{
    Img img = img_new(600);
    uint32_t h[] = { 0x1badb002, 0x10000,   -(0x1badb002u + 0x10000),
                     header,     load_addr, load_end,
                     bss_end,    entry };

    for (unsigned i = 0; i < G_N_ELEMENTS(h); i++) {
        st_le32(img.p + 64 + i * 4, h[i]);
    }
    return img;
}

static void test_mb1_kludge(void)
{
    Img img = mb1_kludge(0x100040, 0x100000, 0x100200, 0x101000, 0x100100);
    Opts o = { 0 };
    Result r = load(&img, &o);
    const BootChunk *c;

    g_assert_no_error(r.err);
    c = &g_array_index(r.plan->chunks, BootChunk, 0);
    g_assert_cmphex(c->addr, ==, 0x100000);
    g_assert_cmpuint(g_bytes_get_size(c->data), ==, 0x200);
    g_assert_cmpuint(c->size, ==, 0x1000);
    g_assert_cmphex(r.plan->entry, ==, 0x100100);
    result_free(&r);
    g_free(img.p);

    assert_fails(mb1_kludge(0x100000, 0x100040, 0, 0, 0x100100), &o,
                 "does not fit load address");
    assert_fails(mb1_kludge(0x100100, 0x100000, 0, 0, 0x100100), &o,
                 "does not fit load address");
    assert_fails(mb1_kludge(0x100040, 0x100000, 0x200000, 0, 0x100100), &o,
                 "truncated");
    assert_fails(mb1_kludge(0x100040, 0x100000, 0x1000, 0, 0x100100), &o,
                 "below load");
    assert_fails(mb1_kludge(0x100040, 0x100000, 0, 0xffffffff, 0x100100), &o,
                 "outside RAM");
    assert_fails(mb1_kludge(0x100040, 0x100000, 0, 0, 0xf0000000), &o, "entry");
}

static void test_mb1_bad(void)
{
    uint32_t h[] = { 0x1badb002, 9, -(0x1badb002u + 9) };
    uint32_t no_elf[] = { 0x1badb002, 0, -0x1badb002u };
    Img img = img_new(600);
    Opts o = { 0 };

    assert_fails(mb_elf(h, 3), &o, "unknown features 0x8");
    for (unsigned i = 0; i < 3; i++) {
        st_le32(img.p + i * 4, no_elf[i]);
    }
    assert_fails(img, &o, "no ELF file");
}

/* The payload of the first information tag of @type, or NULL. */
static const uint8_t *mb2_find(const uint8_t *info, uint32_t type,
                               uint32_t *size)
{
    uint32_t total = ld_le32(info);

    for (uint32_t pos = 8; pos + 8 <= total;) {
        *size = ld_le32(info + pos + 4);
        g_assert_cmpuint(*size, >=, 8);
        if (ld_le32(info + pos) == type) {
            return info + pos + 8;
        }
        pos += (*size + 7) & ~7u;
    }
    return NULL;
}

static void mb2_seal(uint32_t *h, unsigned words)
{
    h[2] = words * 4;
    h[3] = -(h[0] + h[1] + h[2]);
}

static void test_mb2(void)
{
    uint32_t h[] = { 0xe85250d6, 0, 0, 0, 5, 20, 0, 0, 0, 0, 0, 8 };
    Opts o = { .modules = 1, .initrd = 5, .cmdline = "a b" };
    const uint8_t *info, *tag;
    uint32_t size;
    Img img;
    Result r;

    mb2_seal(h, G_N_ELEMENTS(h));
    img = mb_elf(h, G_N_ELEMENTS(h));
    r = load(&img, &o);
    g_assert_no_error(r.err);
    assert_in_ram(&r);
    g_assert_cmphex(r.plan->gpr[R_RAX], ==, 0x36d76289);
    g_assert_cmphex(r.plan->gpr[R_RBX] % 8, ==, 0);
    info = planned(&r, r.plan->gpr[R_RBX], 8);
    g_assert_nonnull(planned(&r, r.plan->gpr[R_RBX], ld_le32(info)));
    tag = mb2_find(info, 1, &size);
    g_assert_cmpstr((const char *)tag, ==, "a b");
    tag = mb2_find(info, 3, &size);
    g_assert_cmphex(ld_le32(tag), ==, 0x101000);
    g_assert_cmpstr((const char *)tag + 8, ==, "mod0 arg");
    mb2_find(info, 6, &size);
    g_assert_cmpuint(size, ==, 16 + r.e820.n * 24);
    tag = mb2_find(info, 8, &size);
    g_assert_cmpuint(tag[21], ==, 2);
    g_assert_nonnull(mb2_find(info, 0, &size));
    result_free(&r);
    g_free(img.p);
}

static void test_mb2_relocatable(void)
{
    uint32_t h[] = { 0xe85250d6, 0,        0,        0, 10, 24,
                     0x400000,   0x7fffff, 0x200000, 2, 0,  8 };
    Opts o = { 0 };
    const uint8_t *tag;
    uint32_t size;
    Img img;
    Result r;

    mb2_seal(h, G_N_ELEMENTS(h));
    img = mb_elf(h, G_N_ELEMENTS(h));
    r = load(&img, &o);
    g_assert_no_error(r.err);
    g_assert_cmphex(r.plan->entry, ==, 0x600100);
    tag = mb2_find(planned(&r, r.plan->gpr[R_RBX], 8), 21, &size);
    g_assert_cmphex(ld_le32(tag), ==, 0x600000);
    result_free(&r);
    g_free(img.p);

    h[6] = 0x8000000; /* beyond RAM */
    h[7] = 0xffffffff;
    assert_fails(mb_elf(h, G_N_ELEMENTS(h)), &o, "no room");
    h[8] = 3;
    assert_fails(mb_elf(h, G_N_ELEMENTS(h)), &o, "power of two");
}

static void test_mb2_bad(void)
{
    uint32_t h[] = { 0xe85250d6, 0, 0, 0, 0, 8, 0, 8 };
    Opts o = { 0 };

    h[4] = 99; /* unknown, required */
    mb2_seal(h, 8);
    assert_fails(mb_elf(h, 8), &o, "unknown header tag 99");
    h[4] = 99 | 1 << 16; /* optional */
    {
        Img img = mb_elf(h, 8);
        Result r = load(&img, &o);

        g_assert_no_error(r.err);
        result_free(&r);
        g_free(img.p);
    }
    h[5] = 4;
    assert_fails(mb_elf(h, 8), &o, "bad size 4");
    h[5] = 400;
    assert_fails(mb_elf(h, 8), &o, "bad size 400");
    h[4] = 3;
    h[5] = 8;
    assert_fails(mb_elf(h, 8), &o, "tag 3 has 8 bytes");
    h[4] = 1;
    h[5] = 12;
    h[6] = 77;
    assert_fails(mb_elf(h, 8), &o, "information tag 77");
    h[1] = 4;
    mb2_seal(h, 8);
    assert_fails(mb_elf(h, 8), &o, "architecture 4");
    h[1] = 0;
    h[2] = 8;
    h[3] = -(h[0] + 8);
    assert_fails(mb_elf(h, 8), &o, "truncated");
}

/* Command lines that do not fit what there is for them. */
static void test_area_full(void)
{
    uint32_t h[] = { 0x1badb002, 0, -0x1badb002u };
    g_autofree char *line = g_strnfill(100000, 'x');
    Opts o = { .cmdline = line };

    assert_fails(mb_elf(h, 3), &o, "command lines");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loaders/linux/64", test_linux_64);
    g_test_add_func("/loaders/linux/32", test_linux_32);
    g_test_add_func("/loaders/linux/initrd-max", test_linux_initrd_max);
    g_test_add_func("/loaders/linux/setup-data", test_linux_setup_data);
    g_test_add_func("/loaders/linux/bad", test_linux_bad);
    g_test_add_func("/loaders/linux/every-cut", test_linux_every_cut);
    g_test_add_func("/loaders/elf/plain", test_elf_plain);
    g_test_add_func("/loaders/elf/pvh", test_elf_pvh);
    g_test_add_func("/loaders/elf/bad", test_elf_bad);
    g_test_add_func("/loaders/not-a-kernel", test_not_a_kernel);
    g_test_add_func("/loaders/multiboot/elf", test_mb1);
    g_test_add_func("/loaders/multiboot/kludge", test_mb1_kludge);
    g_test_add_func("/loaders/multiboot/bad", test_mb1_bad);
    g_test_add_func("/loaders/multiboot2/elf", test_mb2);
    g_test_add_func("/loaders/multiboot2/relocatable", test_mb2_relocatable);
    g_test_add_func("/loaders/multiboot2/bad", test_mb2_bad);
    g_test_add_func("/loaders/area-full", test_area_full);
    return g_test_run();
}
