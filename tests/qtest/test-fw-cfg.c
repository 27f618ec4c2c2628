/* fw_cfg: by bytes and by DMA, the directory, -fw_cfg, broken requests. */
#include "tests/qtest/qtest.h"
#include "util/bits.h"
#include "hw/nvram/fw_cfg.h"

typedef struct FwTest {
    QTest q;
    Region ram;
    Device *dev;
} FwTest;

static void fw_start(FwTest *t)
{
    GError *err = NULL;

    qtest_start(&t->q);
    memset(&t->ram, 0, sizeof(t->ram));
    g_assert_true(region_init_ram(&t->ram, "ram", MIB, &err));
    as_map(t->q.m->mem, 0, &t->ram, 0);
    t->dev = qtest_device(&t->q, &fw_cfg_class);
}

static void fw_end(FwTest *t)
{
    as_unmap(&t->ram);
    region_fini(&t->ram);
    qtest_end(&t->q);
}

static void select_key(FwTest *t, unsigned key)
{
    as_store(t->q.m->io, 0x510, key, 2);
}

static void get(FwTest *t, unsigned key, void *buf, unsigned n)
{
    select_key(t, key);
    for (unsigned i = 0; i < n; i++) {
        ((uint8_t *)buf)[i] = inb(&t->q, 0x511);
    }
}

/* A request at 1000; the control word afterwards. */
static uint32_t dma(FwTest *t, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t req[16], result[4];

    st_be32(req, control);
    st_be32(req + 4, len);
    st_be64(req + 8, addr);
    as_write(t->q.m->mem, 0x1000, req, sizeof(req));
    as_store(t->q.m->io, 0x514, 0, 4);
    as_store(t->q.m->io, 0x518, GUINT32_SWAP_LE_BE(0x1000), 4);
    as_read(t->q.m->mem, 0x1000, result, sizeof(result));
    return ld_be32(result);
}

static void test_items(void)
{
    FwTest t;
    uint8_t buf[16];

    fw_start(&t);
    get(&t, FW_CFG_SIGNATURE, buf, 6);
    g_assert_cmpmem(buf, 6, "QEMU\0\0", 6); /* zeros after the end */
    get(&t, FW_CFG_ID, buf, 4);
    g_assert_cmphex(ld_le32(buf), ==, 3);
    fw_cfg_add_u16(t.dev, FW_CFG_NB_CPUS, 0x1234);
    fw_cfg_add_u32(t.dev, FW_CFG_ARCH_LOCAL + 7, 0x12345678);
    fw_cfg_add_u64(t.dev, FW_CFG_RAM_SIZE, UINT64_C(0x1122334455667788));
    get(&t, FW_CFG_NB_CPUS, buf, 2);
    g_assert_cmphex(ld_le16(buf), ==, 0x1234);
    get(&t, FW_CFG_ARCH_LOCAL + 7, buf, 4);
    g_assert_cmphex(ld_le32(buf), ==, 0x12345678);
    get(&t, FW_CFG_RAM_SIZE, buf, 8);
    g_assert_cmphex(ld_le64(buf), ==, UINT64_C(0x1122334455667788));
    fw_cfg_add_u16(t.dev, FW_CFG_NB_CPUS, 2); /* replaced */
    get(&t, FW_CFG_NB_CPUS, buf, 2);
    g_assert_cmphex(ld_le16(buf), ==, 2);
    get(&t, 0x7777, buf, 4);
    g_assert_cmphex(ld_le32(buf), ==, 0);
    fw_end(&t);
}

static void test_files(void)
{
    FwTest t;
    uint8_t dir[4 + 2 * 64], buf[8];
    GError *err = NULL;

    fw_start(&t);
    get(&t, FW_CFG_FILE_DIR, dir, 4);
    g_assert_cmpuint(ld_be32(dir), ==, 0);
    g_assert_true(fw_cfg_add_file(t.dev, "etc/e820", "abc", 3, &err));
    g_assert_true(fw_cfg_add_file(t.dev, "opt/x", "x", 1, &err));
    g_assert_true(fw_cfg_add_file(t.dev, "etc/e820", "12345", 5, &err));
    get(&t, FW_CFG_FILE_DIR, dir, sizeof(dir));
    g_assert_cmpuint(ld_be32(dir), ==, 2);
    g_assert_cmpuint(ld_be32(dir + 4), ==, 5);
    g_assert_cmpuint(ld_be16(dir + 8), ==, 0x20);
    g_assert_cmpstr((char *)dir + 12, ==, "etc/e820");
    g_assert_cmpuint(ld_be16(dir + 4 + 64 + 4), ==, 0x21);
    g_assert_cmpstr((char *)dir + 4 + 64 + 8, ==, "opt/x");
    get(&t, 0x20, buf, 6);
    g_assert_cmpmem(buf, 6, "12345", 6);
    g_assert_false(fw_cfg_add_file(
        t.dev, "opt/0123456789012345678901234567890123456789012345678901", "",
        0, &err));
    g_assert_nonnull(strstr(err->message, "too long (max. 55 char)"));
    g_error_free(err);
    fw_end(&t);
}

static void test_dma(void)
{
    FwTest t;
    uint8_t buf[32];
    GError *err = NULL;

    fw_start(&t);
    g_assert_cmphex(GUINT32_SWAP_LE_BE(as_load(t.q.m->io, 0x514, 4)), ==,
                    0x51454d55); /* "QEMU" */
    g_assert_cmphex(GUINT32_SWAP_LE_BE(as_load(t.q.m->io, 0x518, 4)), ==,
                    0x20434647); /* " CFG" */
    g_assert_true(fw_cfg_add_file(t.dev, "f", "0123456789", 10, &err));
    g_assert_cmphex(dma(&t, 0x20 << 16 | 0x0a, 4, 0x2000), ==, 0);
    as_read(t.q.m->mem, 0x2000, buf, 4);
    g_assert_cmpmem(buf, 4, "0123", 4);
    g_assert_cmphex(dma(&t, 0x04, 3, 0), ==, 0); /* skip */
    memset(buf, 0xee, sizeof(buf));
    as_write(t.q.m->mem, 0x3000, buf, sizeof(buf));
    g_assert_cmphex(dma(&t, 0x02, 8, 0x3000), ==, 0);
    as_read(t.q.m->mem, 0x3000, buf, 9);
    g_assert_cmpmem(buf, 9, "789\0\0\0\0\0\xee", 9);
    g_assert_cmphex(inb(&t.q, 0x511), ==, 0);
    g_assert_cmphex(dma(&t, 0x20 << 16 | 0x08, 0, 0), ==, 0); /* select */
    g_assert_cmphex(inb(&t.q, 0x511), ==, '0');
    /* Wrong ones. */
    g_assert_cmphex(dma(&t, 0x10, 4, 0x2000), ==, 1); /* write */
    g_assert_cmphex(dma(&t, 0x20 << 16 | 0x0a, 4, 0x80000000), ==, 1);
    g_assert_cmphex(dma(&t, 0x20 << 16 | 0x0a, 0xffffffff, 0xf0000), ==, 1);
    g_assert_cmphex(dma(&t, 0x20 << 16 | 0x0a, 16, UINT64_MAX - 3), ==, 1);
    g_assert_cmphex(dma(&t, 0x04, 0xffffffff, 0), ==, 0);
    g_assert_cmphex(dma(&t, 0x04, 0xffffffff, 0), ==, 0);
    g_assert_cmphex(inb(&t.q, 0x511), ==, 0);
    as_store(t.q.m->io, 0x518, 0xffffffff, 4); /* no such request */
    fw_end(&t);
}

static void expect_option(const char *option, bool want, GError **errp)
{
    QTest q;
    Device *dev;
    GPtrArray *old;
    bool ok;

    qtest_start(&q);
    old = q.m->cfg.fw_cfg;
    q.m->cfg.fw_cfg = g_ptr_array_new();
    g_ptr_array_add(q.m->cfg.fw_cfg, (char *)option);
    dev = device_new_class(q.m, &fw_cfg_class, NULL);
    ok = device_realize(dev, errp);
    if (ok) {
        FwTest t = { .q = q, .dev = dev };
        uint8_t buf[4];

        get(&t, 0x20, buf, 3);
        g_assert_cmpmem(buf, 3, "a,b", 3);
    } else {
        device_free(dev);
    }
    g_ptr_array_unref(q.m->cfg.fw_cfg);
    q.m->cfg.fw_cfg = old;
    qtest_end(&q);
    g_assert_cmpint(ok, ==, want);
}

static void test_options(void)
{
    static const char *const bad[] = {
        "opt/x",
        "name=opt/x,file=/nonexistent/file",
        "name=opt/x,string=a,file=b",
        "string=a",
        "name=opt/x,string=a,bogus=1",
    };
    GError *err = NULL;

    expect_option("name=opt/x,string=a,,b", true, &err);
    expect_option("opt/x,string=a,,b", true, &err);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        expect_option(bad[i], false, &err);
        g_test_message("%s", err->message);
        g_assert_nonnull(strstr(err->message, "-fw_cfg"));
        g_clear_error(&err);
    }
}

static void test_state_and_garbage(void)
{
    FwTest t, other;

    fw_start(&t);
    fw_start(&other);
    select_key(&t, FW_CFG_SIGNATURE);
    inb(&t.q, 0x511);
    qtest_check_state(t.dev, other.dev);
    g_assert_cmphex(inb(&other.q, 0x511), ==, 'E');
    qtest_garbage(&t.q, t.q.m->io, 0x510, 2);
    qtest_garbage(&t.q, t.q.m->io, 0x514, 8);
    fw_end(&t);
    fw_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fw-cfg/items", test_items);
    g_test_add_func("/fw-cfg/files", test_files);
    g_test_add_func("/fw-cfg/dma", test_dma);
    g_test_add_func("/fw-cfg/options", test_options);
    g_test_add_func("/fw-cfg/state-garbage", test_state_and_garbage);
    return g_test_run();
}
