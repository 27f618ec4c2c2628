/* Address spaces: who answers, how accesses are cut, what changes do. */
#include "util/osdep.h"
#include "system/memory.h"

/* A device that keeps bytes and writes down what it was asked. */
typedef struct Probe {
    uint8_t bytes[64];
    GString *log;
} Probe;

static uint64_t probe_read(void *opaque, hwaddr offset, unsigned size)
{
    Probe *p = opaque;
    uint64_t v = 0;

    g_string_append_printf(p->log, "r%" PRIu64 ":%u ", offset, size);
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)p->bytes[(offset + i) % sizeof(p->bytes)] << (8 * i);
    }
    return v;
}

static void probe_write(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    Probe *p = opaque;

    g_string_append_printf(p->log, "w%" PRIu64 ":%u=%" PRIx64 " ", offset, size,
                           value);
}

static void probe_init(Probe *p)
{
    for (unsigned i = 0; i < sizeof(p->bytes); i++) {
        p->bytes[i] = (uint8_t)(i + 1);
    }
    p->log = g_string_new(NULL);
}

static void expect_log(Probe *p, const char *text)
{
    g_assert_cmpstr(p->log->str, ==, text);
    g_string_truncate(p->log, 0);
}

#define OPS(min, max) \
    { \
        .read = probe_read, .write = probe_write, .min_size = (min), \
        .max_size = (max) \
    }
static const RegionOps ops_default = OPS(0, 0);
static const RegionOps ops_byte = OPS(1, 1);
static const RegionOps ops_dword = OPS(4, 4);
static const RegionOps ops_qword = OPS(1, 8);

static void test_split_and_widen(void)
{
    static const struct {
        const RegionOps *ops;
        hwaddr addr;
        unsigned size;
        const char *reads, *writes; /* of 0x8877665544332211 */
    } rows[] = {
        { &ops_default, 0, 1, "r0:1 ", "w0:1=11 " },
        { &ops_default, 1, 2, "r1:2 ", "w1:2=2211 " },
        { &ops_default, 0, 8, "r0:4 r4:4 ", "w0:4=44332211 w4:4=88776655 " },
        { &ops_default, 2, 4, "r2:2 r4:2 ", "w2:2=2211 w4:2=4433 " },
        { &ops_default, 1, 4, "r1:2 r3:1 r4:1 ", "w1:2=2211 w3:1=33 w4:1=44 " },
        { &ops_byte, 5, 4, "r5:1 r6:1 r7:1 r8:1 ",
          "w5:1=11 w6:1=22 w7:1=33 w8:1=44 " },
        { &ops_dword, 6, 1, "r4:4 ", "w4:4=110000 " },
        { &ops_dword, 8, 2, "r8:4 ", "w8:4=2211 " },
        { &ops_dword, 8, 8, "r8:4 r12:4 ", "w8:4=44332211 w12:4=88776655 " },
        { &ops_dword, 6, 4, "r4:4 r8:4 ", "w4:4=22110000 w8:4=4433 " },
        { &ops_qword, 8, 8, "r8:8 ", "w8:8=8877665544332211 " },
        { &ops_qword, 4, 8, "r4:4 r8:4 ", "w4:4=44332211 w8:4=88776655 " },
    };
    Probe p;

    probe_init(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AddressSpace *as = as_new("test", 0, NULL);
        uint64_t want = 0;
        Region r;

        region_init_io(&r, "probe", 64, rows[i].ops, &p);
        as_map(as, 0x1000, &r, 0);
        for (unsigned b = 0; b < rows[i].size; b++) {
            want |= (rows[i].addr + b + 1) << (8 * b);
        }
        g_assert_cmphex(as_load(as, 0x1000 + rows[i].addr, rows[i].size), ==,
                        want);
        expect_log(&p, rows[i].reads);
        as_store(as, 0x1000 + rows[i].addr, UINT64_C(0x8877665544332211),
                 rows[i].size);
        expect_log(&p, rows[i].writes);
        as_free(as);
    }
    g_string_free(p.log, true);
}

/* The device at a byte is the one that would win it by the rules. */
static void test_overlaps_against_pixels(void)
{
    enum { SPAN = 256, REGIONS = 12 };

    for (unsigned round = 0; round < 2000; round++) {
        AddressSpace *as = as_new("test", SPAN, NULL);
        int owner[SPAN], prio[SPAN];
        hwaddr offset[SPAN];
        Region r[REGIONS];

        memset(owner, -1, sizeof(owner));
        as_begin(as);
        for (int i = 0; i < REGIONS; i++) {
            hwaddr base = (hwaddr)g_test_rand_int_range(0, SPAN);
            hwaddr size = (hwaddr)g_test_rand_int_range(1, SPAN);
            int p = g_test_rand_int_range(-2, 3);

            region_init_io(&r[i], "r", size, &ops_default, NULL);
            as_map(as, base, &r[i], p);
            for (hwaddr a = base; a < SPAN && a - base < size; a++) {
                if (owner[a] < 0 || p >= prio[a]) {
                    owner[a] = i;
                    prio[a] = p;
                    offset[a] = a - base;
                }
            }
        }
        as_commit(as);
        for (hwaddr a = 0; a < SPAN; a++) {
            const FlatRange *f = as_find(as, a);

            if (owner[a] < 0) {
                g_assert_null(f);
            } else {
                g_assert_true(f->region == &r[owner[a]]);
                g_assert_cmpuint(f->offset + (a - f->base), ==, offset[a]);
            }
        }
        for (unsigned i = 1; i < as_flat(as)->n; i++) {
            const FlatRange *f = &as_flat(as)->range[i];

            g_assert_cmpuint(f[-1].base + f[-1].size, <=, f->base);
        }
        as_free(as);
    }
}

static void test_alias(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    Region ram, low, high, twice, past, self;

    g_assert_true(region_init_ram(&ram, "ram", 0x10000, NULL));
    region_init_alias(&low, "low", &ram, 0, 0x8000);
    region_init_alias(&high, "high", &ram, 0x8000, 0x10000); /* clipped */
    region_init_alias(&twice, "twice", &high, 0x100, 0x100);
    region_init_alias(&past, "past", &ram, 0x10000, 0x1000);
    region_init_alias(&self, "self", &self, 0, 0x1000);
    as_map(as, 0, &low, 0);
    as_map(as, UINT64_C(0x100000000), &high, 0);
    as_map(as, 0x20000, &twice, 0);
    as_map(as, 0x30000, &past, 0);
    as_map(as, 0x40000, &self, 0);
    as_store(as, UINT64_C(0x100000104), 0x12345678, 4);
    g_assert_cmphex(as_load(as, 0x20004, 4), ==, 0x12345678);
    g_assert_true(as_ram(as, 0x20004, 4, true) == ram.ram + 0x8104);
    g_assert_null(as_find(as, UINT64_C(0x100008000)));
    g_assert_null(as_find(as, 0x30000));
    g_assert_null(as_find(as, 0x40000));

    /* Neighbours in RAM and in the map become one range. */
    as_unmap(&high);
    region_init_alias(&high, "high", &ram, 0x8000, 0x8000);
    as_map(as, 0x8000, &high, 0);
    g_assert_cmpuint(as_find(as, 0)->size, ==, 0x10000);
    g_assert_nonnull(as_ram(as, 0x7ff0, 0x20, true));
    as_free(as);
    region_fini(&ram);
}

static void test_open_bus(void)
{
    AddressSpace *as = as_new("I/O", 65536, NULL);
    uint8_t buf[16];
    Region r;
    Probe p;

    probe_init(&p);
    region_init_io(&r, "probe", 2, &ops_default, &p);
    as_map(as, 0x80, &r, 0);
    g_assert_cmphex(as_load(as, 0x90, 4), ==, 0xffffffff);
    g_assert_cmphex(as_load(as, 0x7f, 4), ==, 0xff0201ff); /* both sides */
    expect_log(&p, "r0:2 ");
    g_assert_cmphex(as_load(as, 0xffff, 4), ==, 0xffffffff);
    g_assert_cmphex(as_load(as, UINT64_MAX, 8), ==, UINT64_MAX);
    g_assert_false(as_read(as, 0x7e, buf, 8));
    g_assert_cmpmem(buf, 8, "\xff\xff\x01\x02\xff\xff\xff\xff", 8);
    g_assert_false(as_write(as, 0x70, buf, 4));
    g_assert_true(as_read(as, 0x80, buf, 2));
    as_free(as);
    g_string_free(p.log, true);
}

static void test_whole_space(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    Region all, top;
    Probe p;

    probe_init(&p);
    region_init_io(&all, "all", UINT64_MAX, &ops_qword, &p);
    region_init_io(&top, "top", UINT64_MAX, &ops_byte, &p);
    as_map(as, 0, &all, 0);
    as_map(as, UINT64_MAX, &top, 1); /* clipped to the last byte */
    g_assert_cmpuint(as_flat(as)->n, ==, 2);
    g_assert_true(as_find(as, UINT64_MAX)->region == &top);
    g_assert_true(as_find(as, UINT64_MAX - 1)->region == &all);
    g_assert_cmphex(as_load(as, UINT64_MAX, 1), ==, 1);
    as_free(as);
    g_string_free(p.log, true);
}

typedef struct Writes {
    hwaddr addr, len;
    unsigned n;
} Writes;

static void on_ram_written(void *opaque, hwaddr addr, hwaddr len)
{
    Writes *w = opaque;

    w->addr = addr;
    w->len = len;
    w->n++;
}

static void test_ram_rom_and_hook(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    Writes w = { 0 };
    Region ram, rom;
    uint8_t buf[8];

    g_assert_true(region_init_ram(&ram, "ram", 3 * MIB, NULL));
    g_assert_true(region_init_rom(&rom, "bios", 0x1000, NULL));
    as_map(as, 0, &ram, 0);
    as_map(as, 0xf000, &rom, 1);
    as_set_ram_hook(as, on_ram_written, &w);
    g_assert_true(as_write_rom(as, 0xeffc, "abcdefgh", 8));
    g_assert_cmpuint(w.n, ==, 2);
    g_assert_true(as_read(as, 0xeffc, buf, 8));
    g_assert_cmpmem(buf, 8, "abcdefgh", 8);
    w.n = 0;
    g_assert_true(as_write(as, 0xeffc, "12345678", 8));
    g_assert_cmpuint(w.n, ==, 1);
    g_assert_cmphex(w.addr, ==, 0xeffc);
    g_assert_cmpuint(w.len, ==, 4);
    as_store(as, 0xf000, 0, 4);
    g_assert_cmpuint(w.n, ==, 1);
    g_assert_true(as_read(as, 0xeffc, buf, 8));
    g_assert_cmpmem(buf, 8, "1234efgh", 8);
    as_store(as, 0x2000, 0xa5, 1);
    g_assert_cmphex(w.addr, ==, 0x2000);
    g_assert_nonnull(as_ram(as, 0xf000, 0x1000, false));
    g_assert_null(as_ram(as, 0xf000, 0x1000, true));
    g_assert_null(as_ram(as, 0xe000, 0x1001, false));
    g_assert_null(as_ram(as, 3 * MIB - 1, UINT64_MAX, true));
    g_assert_null(as_ram(as, 3 * MIB, 1, true));
    g_assert_nonnull(as_ram(as, 3 * MIB - 1, 1, true));
    as_free(as);
    region_fini(&ram);
    region_fini(&rom);
}

static void count_change(void *opaque, const FlatMap *map)
{
    ++*(unsigned *)opaque;
}

static void test_changes(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    const FlatMap *one, *two;
    unsigned changes = 0;
    Region a, b;

    region_init_io(&a, "a", 16, &ops_default, NULL);
    region_init_io(&b, "b", 16, &ops_default, NULL);
    as_watch(as, count_change, &changes);
    as_map(as, 0, &a, 0);
    g_assert_cmpuint(changes, ==, 1);
    one = as_flat(as);
    as_begin(as);
    as_begin(as);
    as_map(as, 16, &b, 0);
    as_commit(as);
    g_assert_cmpuint(changes, ==, 1);
    as_unmap(&b);
    as_map(as, 32, &b, 0);
    as_commit(as);
    g_assert_cmpuint(changes, ==, 2);
    two = as_flat(as);
    g_assert_cmpuint(one->n, ==, 1); /* the old one is still there */
    as_unmap(&b);
    g_assert_true(as_flat(as) == one); /* and comes back */
    as_map(as, 32, &b, 0);
    g_assert_true(as_flat(as) == two);
    as_begin(as);
    as_unmap(&a);
    as_map(as, 0, &a, 5);
    as_commit(as);
    g_assert_cmpuint(changes, ==, 4); /* nothing moved */
    as_free(as);
    g_assert_null(a.as);
}

/* Events are the accelerator's business; here they are only kept and told. */
static void test_events(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    unsigned changes = 0;
    Region a;

    region_init_io(&a, "a", 16, &ops_default, NULL);
    region_add_event(&a, 4, 2, false, 0, 7); /* before it is mapped */
    as_watch(as, count_change, &changes);
    as_map(as, 0, &a, 0);
    g_assert_cmpuint(changes, ==, 1);
    region_add_event(&a, 8, 0, true, 5, 8);
    g_assert_cmpuint(changes, ==, 2);
    g_assert_cmpuint(a.events->len, ==, 2);
    region_del_event(&a, 8, 0, true, 6, 8); /* another one's value */
    g_assert_cmpuint(a.events->len, ==, 2);
    region_del_event(&a, 8, 0, true, 5, 8);
    region_del_event(&a, 4, 2, false, 0, 7);
    g_assert_null(a.events);
    region_del_event(&a, 4, 2, false, 0, 7);
    changes = 0;
    region_set_coalesced(&a, true);
    region_set_coalesced(&a, true);
    g_assert_cmpuint(changes, ==, 1);
    as_free(as);
}

static void test_dump(void)
{
    AddressSpace *as = as_new("memory", 0, NULL);
    g_autoptr(GString) s = g_string_new(NULL);
    Region ram, low, io;

    g_assert_true(region_init_ram(&ram, "pc.ram", 0x20000, NULL));
    region_init_alias(&low, "ram-below-4g", &ram, 0, 0x20000);
    region_init_io(&io, "vga-lowmem", 0x1000, &ops_default, NULL);
    as_map(as, 0x4000, &io, 1);
    as_map(as, 0, &low, 0);
    as_dump(as, s, false);
    g_assert_cmpstr(
        s->str, ==,
        "address-space: memory\n"
        "  0000000000000000-ffffffffffffffff (prio 0, i/o): memory\n"
        "    0000000000000000-000000000001ffff (prio 0, ram): alias "
        "ram-below-4g @pc.ram 0000000000000000-000000000001ffff\n"
        "    0000000000004000-0000000000004fff (prio 1, i/o): vga-lowmem\n"
        "\n");
    g_string_truncate(s, 0);
    as_dump(as, s, true);
    g_assert_cmpstr(
        s->str, ==,
        "FlatView\n AS \"memory\", root: memory\n"
        " Root memory region: memory\n"
        "  0000000000000000-0000000000003fff (prio 0, ram): pc.ram\n"
        "  0000000000004000-0000000000004fff (prio 1, i/o): vga-lowmem\n"
        "  0000000000005000-000000000001ffff (prio 0, ram): pc.ram "
        "@0000000000005000\n"
        "\n");
    as_free(as);
    region_fini(&ram);
}

static void test_ram_errors(void)
{
    g_autoptr(GError) err = NULL;
    Region r;

    g_assert_false(region_init_ram(&r, "ram", 0, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_assert_false(region_init_ram(&r, "ram", UINT64_C(1) << 60, &err));
    g_assert_true(g_str_has_prefix(err->message, "cannot allocate "));
}

/* vCPUs look up and access while the map flips: for SAN=tsan. */
typedef struct Flipper {
    AddressSpace *as;
    bool stop;
} Flipper;

static gpointer flip_reader(gpointer opaque)
{
    Flipper *f = opaque;

    while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
        uint64_t v = as_load(f->as, 0x1000, 4);

        g_assert_true(v == 0x04030201 || v == 0xffffffff);
    }
    return NULL;
}

static void test_flip_under_readers(void)
{
    static GRecMutex lock;
    Flipper f = { .as = as_new("memory", 0, &lock) };
    GThread *t[3];
    Region r;
    Probe p;

    probe_init(&p);
    region_init_io(&r, "probe", 64, &ops_default, &p);
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        t[i] = g_thread_new("reader", flip_reader, &f);
    }
    for (unsigned i = 0; i < 2000; i++) {
        g_rec_mutex_lock(&lock);
        as_map(f.as, 0x1000, &r, 0);
        g_rec_mutex_unlock(&lock);
        g_rec_mutex_lock(&lock);
        as_unmap(&r);
        g_string_truncate(p.log, 0);
        g_rec_mutex_unlock(&lock);
    }
    __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        g_thread_join(t[i]);
    }
    as_free(f.as);
    g_string_free(p.log, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/split-widen", test_split_and_widen);
    g_test_add_func("/memory/overlaps", test_overlaps_against_pixels);
    g_test_add_func("/memory/alias", test_alias);
    g_test_add_func("/memory/open-bus", test_open_bus);
    g_test_add_func("/memory/whole-space", test_whole_space);
    g_test_add_func("/memory/ram-rom-hook", test_ram_rom_and_hook);
    g_test_add_func("/memory/changes", test_changes);
    g_test_add_func("/memory/events", test_events);
    g_test_add_func("/memory/dump", test_dump);
    g_test_add_func("/memory/ram-errors", test_ram_errors);
    g_test_add_func("/memory/flip", test_flip_under_readers);
    return g_test_run();
}
