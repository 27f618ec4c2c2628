/*
 * Page walks: every paging mode, every right and every bit of the error code,
 * reserved bits, accessed and dirty bits. SDM 3A, chapter 4.
 */
#include "util/osdep.h"
#include "target-x86/mmu.h"
#include "util/bits.h"

enum { RAM = 1 << 20 };
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (UINT64_C(1) << 63)

typedef struct Fix {
    X86State s;
    MmuBus bus;
    MmuCache cache;
    uint8_t *ram;
    MmuPage page;
    uint32_t error;
} Fix;

static void *fix_ram(void *opaque, hwaddr addr)
{
    Fix *f = opaque;

    return addr < RAM ? f->ram + addr : NULL;
}

static uint64_t fix_load(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static Fix *fix_new(void)
{
    Fix *f = g_new0(Fix, 1);

    f->ram = g_malloc0(RAM);
    f->bus = (MmuBus) {
        .ram = fix_ram,
        .load = fix_load,
        .opaque = f,
        .phys_bits = 40,
        .page1gb = true,
    };
    f->s.cr0 = CR0_PE | CR0_PG | CR0_WP;
    return f;
}

static void fix_free(Fix *f)
{
    g_free(f->ram);
    g_free(f);
}

static void put(Fix *f, hwaddr addr, uint64_t v)
{
    st_le64(f->ram + addr, v);
}

static uint64_t get(Fix *f, hwaddr addr)
{
    return ld_le64(f->ram + addr);
}

static bool walk(Fix *f, uint64_t lin, MmuAccess access, MmuCtx ctx)
{
    return mmu_walk(&f->s, &f->bus, NULL, lin, access, ctx, true, &f->page,
                    &f->error);
}

/* The walk fails with this error code. */
#define FAULTS(f, lin, access, ctx, code) \
    do { \
        g_assert_false(walk(f, lin, access, ctx)); \
        g_assert_cmphex((f)->error, ==, code); \
    } while (0)
#define GOES(f, lin, access, ctx, addr) \
    do { \
        g_assert_true(walk(f, lin, access, ctx)); \
        g_assert_cmphex((f)->page.phys, ==, addr); \
    } while (0)

/* ---- modes ------------------------------------------------------------------------ */

/* 4 levels: PML4 at 0x1000, PDPT 0x2000, PD 0x3000, PT 0x4000. */
static void four_levels(Fix *f)
{
    f->s.cr4 = CR4_PAE;
    f->s.efer = EFER_LME | EFER_LMA | EFER_NXE;
    f->s.cr3 = 0x1000;
    put(f, 0x1000, 0x2000 | P | W | U);
    put(f, 0x1000 + 511 * 8, 0x2000 | P | W | U);
    put(f, 0x2000, 0x3000 | P | W | U);
    put(f, 0x3000, 0x4000 | P | W | U);
    put(f, 0x4000 + 5 * 8, 0x77000 | P | W | U);
}

static void test_off(void)
{
    Fix *f = fix_new();

    f->s.cr0 = CR0_PE;
    GOES(f, 0x12345678, MMU_STORE, MMU_USER, 0x12345000);
    g_assert_cmphex(f->page.prot, ==, MMU_R | MMU_W | MMU_X);
    f->bus.a20_masked = true;
    GOES(f, 0x12345678, MMU_LOAD, MMU_USER, 0x12245000);
    fix_free(f);
}

static void test_32(void)
{
    Fix *f = fix_new();

    f->s.cr3 = 0x1018; /* PWT and PCD do not matter */
    st_le32(f->ram + 0x1000 + 3 * 4, 0x2000 | P | W | U);
    st_le32(f->ram + 0x2000 + 7 * 4, 0x33000 | P | W | U);
    GOES(f, 0x00c07abc, MMU_LOAD, MMU_USER, 0x33000);
    g_assert_cmpuint(f->page.shift, ==, 12);
    g_assert_cmphex(f->page.prot, ==, MMU_R | MMU_X); /* not dirty yet */
    g_assert_cmphex(ld_le32(f->ram + 0x1000 + 12), ==, 0x2000 | P | W | U | A);
    g_assert_cmphex(ld_le32(f->ram + 0x2000 + 28), ==, 0x33000 | P | W | U | A);
    GOES(f, 0x00c07abc, MMU_STORE, MMU_USER, 0x33000);
    g_assert_cmphex(f->page.prot, ==, MMU_R | MMU_W | MMU_X);
    g_assert_cmphex(ld_le32(f->ram + 0x2000 + 28), ==,
                    0x33000 | P | W | U | A | D);
    FAULTS(f, 0x00c08000, MMU_LOAD, MMU_USER, PF_U);
    FAULTS(f, 0x01000000, MMU_STORE, MMU_KERNEL, PF_W);
    /* PS means nothing without CR4.PSE: the entry is a table then. */
    st_le32(f->ram + 0x1000, 0x00000000 | PS | P | W | U);
    st_le32(f->ram + 4, 0x44000 | P | W | U);
    GOES(f, 0x1000, MMU_LOAD, MMU_KERNEL, 0x44000);
    fix_free(f);
}

static void test_pse(void)
{
    Fix *f = fix_new();

    f->s.cr3 = 0x1000;
    f->s.cr4 = CR4_PSE | CR4_PGE;
    st_le32(f->ram + 0x1000 + 4, 0x0f400000 | PS | P | W | U | G);
    GOES(f, 0x00712345, MMU_LOAD, MMU_USER, 0x0f712000);
    g_assert_cmpuint(f->page.shift, ==, 22);
    g_assert_true(f->page.global);
    /* PSE-36: bits 13-20 are address bits 32-39. */
    st_le32(f->ram + 0x1000 + 8, 0x0f400000 | 0xa5 << 13 | PS | P | W | U);
    GOES(f, 0x00812345, MMU_LOAD, MMU_USER, UINT64_C(0xa50f412000));
    st_le32(f->ram + 0x1000 + 8, 0x0f400000 | 1 << 21 | PS | P | W | U);
    FAULTS(f, 0x00812345, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    f->bus.phys_bits = 36;
    st_le32(f->ram + 0x1000 + 8, 0x0f400000 | 0x10 << 13 | PS | P | W | U);
    FAULTS(f, 0x00812345, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

static void test_pae(void)
{
    Fix *f = fix_new();

    f->s.cr4 = CR4_PAE;
    f->s.efer = EFER_NXE;
    f->s.pdpte[3] = 0x2000 | P;
    put(f, 0x2000 + 2 * 8, 0x3000 | P | W | U);
    put(f, 0x3000 + 1 * 8, UINT64_C(0x1200055000) | P | W | U);
    put(f, 0x2000 + 3 * 8, 0x00a00000 | PS | P | W | U);
    GOES(f, 0xc0401fff, MMU_LOAD, MMU_USER, UINT64_C(0x1200055000));
    GOES(f, 0xc0612345, MMU_LOAD, MMU_USER, 0x00a12000);
    g_assert_cmpuint(f->page.shift, ==, 21);
    FAULTS(f, 0x40000000, MMU_LOAD, MMU_USER, PF_U);
    /* Bits 52 to 62 are reserved here. */
    put(f, 0x3000 + 1 * 8, UINT64_C(1) << 52 | 0x55000 | P | W | U);
    FAULTS(f, 0xc0401fff, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

static void test_4_levels(void)
{
    Fix *f = fix_new();

    four_levels(f);
    GOES(f, 0x5123, MMU_LOAD, MMU_USER, 0x77000);
    GOES(f, UINT64_C(0xffffff8000005123), MMU_LOAD, MMU_USER, 0x77000);
    for (int i = 1; i <= 3; i++) {
        g_assert_cmphex(get(f, i * 0x1000) & (A | D), ==, A);
    }
    FAULTS(f, UINT64_C(0x8000000000), MMU_LOAD, MMU_USER, PF_U);
    FAULTS(f, 0x40000000, MMU_LOAD, MMU_USER, PF_U);
    FAULTS(f, 0x200000, MMU_LOAD, MMU_USER, PF_U);
    FAULTS(f, 0x6000, MMU_FETCH, MMU_USER, PF_U | PF_I);
    /* 2 MiB and 1 GiB. */
    put(f, 0x3000 + 8, UINT64_C(0x600000) | 0x1000 | PS | P | W | U);
    GOES(f, 0x212345, MMU_LOAD, MMU_USER, 0x612000); /* bit 12 is PAT */
    put(f, 0x2000 + 8, UINT64_C(0x80000000) | PS | P | W | U);
    GOES(f, 0x4abcd123, MMU_LOAD, MMU_USER, 0x8abcd000);
    g_assert_cmpuint(f->page.shift, ==, 30);
    /* Bits 52 to 58 are the program's. */
    put(f, 0x4000 + 5 * 8, UINT64_C(0x07f0000000077000) | P | W | U);
    GOES(f, 0x5123, MMU_LOAD, MMU_USER, 0x77000);
    fix_free(f);
}

static void test_5_levels(void)
{
    Fix *f = fix_new();

    four_levels(f);
    f->s.cr4 |= CR4_LA57;
    f->s.cr3 = 0x8000;
    put(f, 0x8000 + 8, 0x1000 | P | W | U);
    GOES(f, UINT64_C(1) << 48 | 0x5123, MMU_LOAD, MMU_USER, 0x77000);
    FAULTS(f, 0x5123, MMU_LOAD, MMU_USER, PF_U);
    put(f, 0x8000 + 8, 0x1000 | PS | P | W | U);
    FAULTS(f, UINT64_C(1) << 48 | 0x5123, MMU_LOAD, MMU_USER,
           PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

/* ---- rights ----------------------------------------------------------------------------- */

static void test_user_supervisor(void)
{
    Fix *f = fix_new();

    four_levels(f);
    /* One level without U is enough. */
    for (hwaddr at = 0x1000; at <= 0x3000; at += 0x1000) {
        uint64_t old = get(f, at);

        put(f, at, old & ~(uint64_t)U);
        FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U);
        GOES(f, 0x5000, MMU_LOAD, MMU_KERNEL, 0x77000);
        put(f, at, old);
    }
    fix_free(f);
}

static void test_write(void)
{
    Fix *f = fix_new();

    four_levels(f);
    put(f, 0x3000, 0x4000 | P | U);
    FAULTS(f, 0x5000, MMU_STORE, MMU_USER, PF_P | PF_W | PF_U);
    FAULTS(f, 0x5000, MMU_STORE, MMU_KERNEL, PF_P | PF_W);
    g_assert_cmphex(get(f, 0x4000 + 40) & (A | D), ==,
                    0); /* nothing happened */
    GOES(f, 0x5000, MMU_LOAD, MMU_USER, 0x77000);
    f->s.cr0 &= ~(uint64_t)CR0_WP;
    FAULTS(f, 0x5000, MMU_STORE, MMU_USER, PF_P | PF_W | PF_U);
    GOES(f, 0x5000, MMU_STORE, MMU_KERNEL, 0x77000);
    g_assert_cmphex(f->page.prot, ==, MMU_R | MMU_W | MMU_X);
    fix_free(f);
}

static void test_nx(void)
{
    Fix *f = fix_new();

    four_levels(f);
    put(f, 0x2000, NX | 0x3000 | P | W | U);
    FAULTS(f, 0x5000, MMU_FETCH, MMU_USER, PF_P | PF_U | PF_I);
    FAULTS(f, 0x5000, MMU_FETCH, MMU_KERNEL, PF_P | PF_I);
    GOES(f, 0x5000, MMU_LOAD, MMU_USER, 0x77000);
    g_assert_cmphex(f->page.prot, ==, MMU_R);
    /* Without EFER.NXE the bit is reserved, and nobody says "fetch". */
    f->s.efer &= ~(uint64_t)EFER_NXE;
    FAULTS(f, 0x5000, MMU_FETCH, MMU_USER, PF_P | PF_U | PF_RSVD);
    FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

static void test_smep_smap(void)
{
    Fix *f = fix_new();

    four_levels(f);
    f->s.cr4 |= CR4_SMEP;
    FAULTS(f, 0x5000, MMU_FETCH, MMU_KERNEL, PF_P | PF_I);
    FAULTS(f, 0x5000, MMU_FETCH, MMU_KERNEL_AC, PF_P | PF_I);
    GOES(f, 0x5000, MMU_FETCH, MMU_USER, 0x77000);
    f->s.efer &= ~(uint64_t)EFER_NXE;
    FAULTS(f, 0x5000, MMU_FETCH, MMU_KERNEL, PF_P | PF_I);
    f->s.cr4 ^= CR4_SMEP | CR4_SMAP;
    FAULTS(f, 0x5000, MMU_LOAD, MMU_KERNEL, PF_P);
    FAULTS(f, 0x5000, MMU_STORE, MMU_KERNEL, PF_P | PF_W);
    GOES(f, 0x5000, MMU_FETCH, MMU_KERNEL, 0x77000);
    g_assert_cmphex(f->page.prot, ==, MMU_X);
    GOES(f, 0x5000, MMU_LOAD, MMU_KERNEL_AC, 0x77000);
    GOES(f, 0x5000, MMU_LOAD, MMU_USER, 0x77000);
    put(f, 0x3000, 0x4000 | P | W);
    GOES(f, 0x5000, MMU_LOAD, MMU_KERNEL, 0x77000);
    fix_free(f);
}

static void test_pku(void)
{
    Fix *f = fix_new();

    four_levels(f);
    put(f, 0x4000 + 40, UINT64_C(9) << 59 | 0x77000 | P | W | U);
    f->s.pkru = 1u << 18;                          /* AD of key 9 */
    GOES(f, 0x5000, MMU_STORE, MMU_USER, 0x77000); /* CR4.PKE is off */
    f->s.cr4 |= CR4_PKE;
    FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_PK);
    FAULTS(f, 0x5000, MMU_LOAD, MMU_KERNEL, PF_P | PF_PK);
    GOES(f, 0x5000, MMU_FETCH, MMU_USER, 0x77000);
    f->s.pkru = 1u << 19; /* WD */
    GOES(f, 0x5000, MMU_LOAD, MMU_USER, 0x77000);
    g_assert_cmphex(f->page.prot, ==, MMU_R | MMU_X);
    FAULTS(f, 0x5000, MMU_STORE, MMU_USER, PF_P | PF_W | PF_U | PF_PK);
    FAULTS(f, 0x5000, MMU_STORE, MMU_KERNEL, PF_P | PF_W | PF_PK);
    f->s.cr0 &= ~(uint64_t)CR0_WP;
    GOES(f, 0x5000, MMU_STORE, MMU_KERNEL, 0x77000);
    /* Keys are for user pages. */
    put(f, 0x3000, 0x4000 | P | W);
    f->s.pkru = UINT32_MAX;
    GOES(f, 0x5000, MMU_STORE, MMU_KERNEL, 0x77000);
    fix_free(f);
}

static void test_reserved(void)
{
    Fix *f = fix_new();

    four_levels(f);
    for (hwaddr at = 0x1000; at <= 0x4000; at += 0x1000) {
        hwaddr entry = at == 0x4000 ? 0x4000 + 40 : at;
        uint64_t old = get(f, entry);

        put(f, entry, old | UINT64_C(1) << 40);
        FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
        put(f, entry, old | UINT64_C(1) << 51);
        FAULTS(f, 0x5000, MMU_STORE, MMU_KERNEL, PF_P | PF_W | PF_RSVD);
        /* Not present: the other bits are nobody's business. */
        put(f, entry, (old | UINT64_C(1) << 51) & ~(uint64_t)P);
        FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_U);
        put(f, entry, old);
    }
    put(f, 0x1000, 0x2000 | PS | P | W | U);
    FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    put(f, 0x1000, 0x2000 | P | W | U);
    put(f, 0x3000 + 8, 0x602000 | PS | P | W | U); /* bits 13-20 of 2 MiB */
    FAULTS(f, 0x212345, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    put(f, 0x2000 + 8, 0x80200000 | PS | P | W | U); /* bits 13-29 of 1 GiB */
    FAULTS(f, 0x4abcd123, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    put(f, 0x2000 + 8, 0x80000000 | PS | P | W | U);
    f->bus.page1gb = false;
    FAULTS(f, 0x4abcd123, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

/* ---- accessed, dirty, caching ----------------------------------------------------------------- */

static void test_no_side_effects(void)
{
    Fix *f = fix_new();

    four_levels(f);
    g_assert_true(mmu_walk(&f->s, &f->bus, NULL, 0x5000, MMU_STORE, MMU_USER,
                           false, &f->page, &f->error));
    for (int i = 1; i <= 3; i++) {
        g_assert_cmphex(get(f, i * 0x1000) & (A | D), ==, 0);
    }
    g_assert_cmphex(get(f, 0x4000 + 40) & (A | D), ==, 0);
    fix_free(f);
}

static void test_cache(void)
{
    Fix *f = fix_new();

    four_levels(f);
    g_assert_true(mmu_walk(&f->s, &f->bus, &f->cache, 0x5000, MMU_LOAD,
                           MMU_USER, true, &f->page, &f->error));
    /* The upper levels are remembered: nobody looks at them again. */
    put(f, 0x1000, 0);
    put(f, 0x4000 + 6 * 8, 0x78000 | P | U);
    g_assert_true(mmu_walk(&f->s, &f->bus, &f->cache, 0x6000, MMU_LOAD,
                           MMU_USER, true, &f->page, &f->error));
    g_assert_cmphex(f->page.phys, ==, 0x78000);
    g_assert_cmphex(get(f, 0x4000 + 6 * 8) & A, ==, A);
    g_assert_false(mmu_walk(&f->s, &f->bus, &f->cache, 0x6000, MMU_STORE,
                            MMU_USER, true, &f->page, &f->error));
    g_assert_cmphex(f->error, ==, PF_P | PF_W | PF_U);
    mmu_cache_clear(&f->cache);
    g_assert_false(mmu_walk(&f->s, &f->bus, &f->cache, 0x6000, MMU_LOAD,
                            MMU_USER, true, &f->page, &f->error));
    g_assert_cmphex(f->error, ==, PF_U);
    fix_free(f);
}

/* Tables that are not in RAM: all ones, which has reserved bits set. */
static void test_outside(void)
{
    Fix *f = fix_new();

    four_levels(f);
    put(f, 0x3000, 0x40000000 | P | W | U);
    FAULTS(f, 0x5000, MMU_LOAD, MMU_USER, PF_P | PF_U | PF_RSVD);
    fix_free(f);
}

/* ---- all pages ----------------------------------------------------------------------------------- */

static bool list_one(void *opaque, uint64_t lin, hwaddr phys, unsigned shift,
                     uint64_t entry, uint64_t rights)
{
    g_string_append_printf(opaque, "%" PRIx64 ">%" PRIx64 "/%u ", lin, phys,
                           shift);
    return true;
}

static void test_list(void)
{
    Fix *f = fix_new();
    g_autoptr(GString) out = g_string_new(NULL);

    four_levels(f);
    put(f, 0x1000, 0);
    put(f, 0x3000 + 8, 0x600000 | PS | P | W);
    mmu_foreach(&f->s, &f->bus, list_one, out);
    g_assert_cmpstr(out->str, ==,
                    "ffffff8000005000>77000/12 ffffff8000200000>600000/21 ");
    fix_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mmu/off", test_off);
    g_test_add_func("/mmu/32", test_32);
    g_test_add_func("/mmu/pse", test_pse);
    g_test_add_func("/mmu/pae", test_pae);
    g_test_add_func("/mmu/4-levels", test_4_levels);
    g_test_add_func("/mmu/5-levels", test_5_levels);
    g_test_add_func("/mmu/rights/user", test_user_supervisor);
    g_test_add_func("/mmu/rights/write", test_write);
    g_test_add_func("/mmu/rights/nx", test_nx);
    g_test_add_func("/mmu/rights/smep-smap", test_smep_smap);
    g_test_add_func("/mmu/rights/pku", test_pku);
    g_test_add_func("/mmu/reserved", test_reserved);
    g_test_add_func("/mmu/no-side-effects", test_no_side_effects);
    g_test_add_func("/mmu/cache", test_cache);
    g_test_add_func("/mmu/outside", test_outside);
    g_test_add_func("/mmu/list", test_list);
    return g_test_run();
}
