/*
 * virtio-scsi on an mmio slot with disks in memory and a CD-ROM drive: commands,
 * pages, task management, events, errors, and drivers that break the rules.
 */
#include "tests/lib/virtio-rig.h"
#include "system/hotplug.h"
#include "util/keyval.h"

extern const DeviceClass virtio_scsi_device_class;
extern const DeviceClass scsi_hd_class, scsi_cd_class;

enum {
    RAM = 16 << 20,
    DISK = 1 << 20,
    DISKS = 3,
    HEAD = 51,
    RESP = 108,
    GOOD = 0,
    CHECK = 2,
    S_OK = 0,
    S_OVERRUN = 1,
    S_ABORTED = 2,
    S_BAD_TARGET = 3,
    S_RESET = 4,
    S_FAILURE = 9,
    S_SUCCEEDED = 10,
    S_REJECTED = 11,
    S_BAD_LUN = 12,
    NOTHING = 0xee,
};

typedef struct Rig {
    QTest q;
    Region ram;
    Device *slot, *board, *disk[DISKS];
    VDriver d;
    VRing control, events, r;
    MemDisk mem[DISKS];
    unsigned target, lun;
    hwaddr data, resp; /* of the last command */
    unsigned stops, io_errors, trays;
} Rig;

static void rig_event(Machine *m, const char *event, const EventValue *values,
                      void *opaque)
{
    Rig *g = opaque;

    g->stops += !strcmp(event, "STOP");
    g->io_errors += !strcmp(event, "BLOCK_IO_ERROR");
    g->trays += !strcmp(event, "DEVICE_TRAY_MOVED");
}

/* Drive d0, d1, ... of a disk in memory, each byte its block's number. */
static void add_drive(Rig *g, unsigned i)
{
    g_autofree char *id = g_strdup_printf("d%u", i);

    rig_drive(&g->q, &g->mem[i], id, DISK);
    for (unsigned at = 0; at < DISK; at++) {
        g->mem[i].bytes->data[at] = (uint8_t)(at / 512 + i);
    }
}

static bool plug(Rig *g, unsigned i, const DeviceClass *cls, const char *props,
                 GError **errp)
{
    g_autofree char *drive = g_strdup_printf("d%u", i);

    g->disk[i] = device_new_class(g->q.m, cls, NULL);
    rig_set(g->disk[i], props);
    g_assert_true(device_set(g->disk[i], "drive", drive, NULL));
    if (!device_realize(g->disk[i], errp)) {
        device_free(g->disk[i]);
        return false;
    }
    g->disk[i]->cls->reset(g->disk[i]);
    return true;
}

static void rig_ready(Rig *g)
{
    g_assert_true(vd_negotiate(&g->d, VD_ALL));
    vd_ring(&g->d, &g->control, 0, 16);
    vd_ring(&g->d, &g->events, 1, 16);
    vd_ring(&g->d, &g->r, 2, 64);
    vd_driver_ok(&g->d);
    vd_settle();
}

static void rig_board(Rig *g)
{
    memset(g, 0, sizeof(*g));
    g->slot = rig_slot(&g->q, &g->ram, RAM, false, &g->d);
    machine_watch(g->q.m, rig_event, g);
    g->board = device_new_class(g->q.m, &virtio_scsi_device_class, "board");
    qtest_realize(g->board);
    for (unsigned i = 0; i < DISKS; i++) {
        add_drive(g, i);
    }
}

/* Disks at 0:0 (with @props) and 0:5, a CD-ROM drive at 1:0. */
static void start(Rig *g, const char *props)
{
    rig_board(g);
    g_assert_true(plug(g, 0, &scsi_hd_class, props, NULL));
    g_assert_true(plug(g, 1, &scsi_hd_class, "scsi-id=0,lun=5", NULL));
    g_assert_true(plug(g, 2, &scsi_cd_class, "", NULL));
    rig_ready(g);
}

static void rig_end(Rig *g)
{
    rig_unplug(&g->q);
    vd_settle();
    machine_unwatch(g->q.m, rig_event, g);
    drives_free(g->q.m);
    region_fini(&g->ram);
    qtest_end(&g->q);
    for (unsigned i = 0; i < DISKS; i++) {
        mem_disk_clear(&g->mem[i]);
    }
}

/* ---- commands ---------------------------------------------------------------------- */

static void put_lun(Rig *g, hwaddr at)
{
    as_store(g->q.m->mem, at, 1 | g->target << 8, 4);
    as_store(g->q.m->mem, at + 2, 0x40, 1);
    as_store(g->q.m->mem, at + 3, g->lun, 1);
    as_store(g->q.m->mem, at + 4, 0, 4);
}

/* Puts a command into the ring. @in, @out: bytes of g->data. */
static hwaddr offer(Rig *g, const char *cdb, uint32_t in, uint32_t out)
{
    g_auto(GStrv) bytes = g_strsplit(cdb, " ", 0);
    hwaddr head = vd_alloc(&g->d, HEAD, 16), resp = vd_alloc(&g->d, RESP, 16);
    unsigned first;

    memset(g->ram.ram + head, 0, HEAD);
    memset(g->ram.ram + resp, NOTHING, RESP);
    put_lun(g, head);
    as_store(g->q.m->mem, head + 8, 0x77, 8);
    for (unsigned i = 0; bytes[i]; i++) {
        g->ram.ram[head + 19 + i] = (uint8_t)strtoul(bytes[i], NULL, 16);
    }
    first = vd_add(&g->d, &g->r, head, HEAD, 0, true);
    if (out) {
        vd_add(&g->d, &g->r, g->data, out, 0, true);
    }
    vd_add(&g->d, &g->r, resp, RESP, VD_WRITE, in > 0);
    if (in) {
        vd_add(&g->d, &g->r, g->data, in, VD_WRITE, false);
    }
    vd_offer(&g->d, &g->r, first);
    g->resp = resp;
    return resp;
}

static unsigned response(Rig *g)
{
    return g->ram.ram[g->resp + 11];
}

/* The status; anything but OK as a response is 0x100 more. */
static unsigned command(Rig *g, const char *cdb, uint32_t in, uint32_t out)
{
    if (!g->data) {
        g->data = vd_alloc(&g->d, 1 << 20, 4096);
    }
    offer(g, cdb, in, out);
    vd_kick(&g->d, &g->r);
    vd_wait(&g->d, &g->r);
    return response(g) ? 0x100 + response(g) : g->ram.ram[g->resp + 10];
}

/* The sense data of the last command. */
static unsigned sense(Rig *g)
{
    const uint8_t *p = g->ram.ram + g->resp;

    g_assert_cmphex(p[10], ==, CHECK);
    g_assert_cmpuint(p[0], ==, 18);
    g_assert_cmphex(p[12], ==, 0x70);
    return (unsigned)p[12 + 2] << 16 | (unsigned)p[12 + 12] << 8 | p[12 + 13];
}

static uint8_t *data(Rig *g)
{
    return g->ram.ram + g->data;
}

static void at(Rig *g, unsigned target, unsigned lun)
{
    g->target = target;
    g->lun = lun;
}

/* A unit says once that it was reset. */
static void awake(Rig *g)
{
    g_assert_cmphex(command(g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(g), ==, 0x062900);
    g_assert_cmphex(command(g, "0", 0, 0), ==, GOOD);
}

/* ---- what works --------------------------------------------------------------------- */

static void test_inquiry(void)
{
    Rig g;

    start(&g, "serial=S-1,wwn=0x5000c500a1b2c3d4,rotation_rate=1,"
              "discard_granularity=8192,ver=1.2");
    g_assert_cmphex(command(&g, "12 0 0 0 24 0", 36, 0), ==, GOOD);
    g_assert_cmpmem(data(&g) + 8, 28, "QEMU    QEMU HARDDISK   1.2 ", 28);
    g_assert_cmphex(data(&g)[0], ==, 0);
    g_assert_cmphex(command(&g, "12 0 0 0 5 0", 5, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "12 1 0 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 10, "\0\0\0\6\0\x80\x83\xb0\xb1\xb2", 10);
    g_assert_cmpuint(ld_le32(g.ram.ram + g.resp + 4), ==, 245); /* residual */
    g_assert_cmphex(command(&g, "12 1 80 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 7, "\0\x80\0\3S-1", 7);
    g_assert_cmphex(command(&g, "12 1 83 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpmem(data(&g) + 3, 8, "\x13\2\0\0\3S-1", 8);
    g_assert_cmpmem(data(&g) + 11, 12, "\1\3\0\x8\x50\0\xc5\0\xa1\xb2\xc3\xd4",
                    12);
    g_assert_cmphex(command(&g, "12 1 b0 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpuint(ld_be32(data(&g) + 28), ==, 16);
    g_assert_cmphex(command(&g, "12 1 b1 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpuint(ld_be16(data(&g) + 4), ==, 1);
    g_assert_cmphex(command(&g, "12 1 b2 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmphex(ld_be32(data(&g) + 4), ==, 0x00e00200);
    g_assert_cmphex(command(&g, "12 1 99 0 ff 0", 255, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052400);
    g_assert_cmphex(command(&g, "12 0 0 0 ff 0", 36, 0), ==, 0x100 + S_OVERRUN);
    at(&g, 1, 0);
    g_assert_cmphex(command(&g, "12 0 0 0 24 0", 36, 0), ==, GOOD);
    g_assert_cmphex(ld_be16(data(&g)), ==, 0x0580);
    g_assert_cmphex(command(&g, "12 1 0 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 6, "\5\0\0\2\0\x83", 6);
    rig_end(&g);
}

static void test_units(void)
{
    Rig g;

    start(&g, "");
    g_assert_cmphex(command(&g, "a0 0 0 0 0 0 0 0 0 40 0 0", 64, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 24,
                    "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0", 24);
    awake(&g);
    at(&g, 0, 5);
    awake(&g);
    at(&g, 0, 1);
    g_assert_cmphex(command(&g, "12 0 0 0 24 0", 36, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[0], ==, 0x7f);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052500);
    g_assert_cmphex(command(&g, "3 0 0 0 12 0", 18, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[12], ==, 0x25);
    at(&g, 7, 0);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, 0x100 + S_BAD_TARGET);
    rig_end(&g);
}

static void test_read_write(void)
{
    Rig g;

    start(&g, "");
    awake(&g);
    g_assert_cmphex(command(&g, "25 0 0 0 0 0 0 0 0 0", 8, 0), ==, GOOD);
    g_assert_cmphex(ld_be32(data(&g)), ==, DISK / 512 - 1);
    g_assert_cmphex(ld_be32(data(&g) + 4), ==, 512);
    g_assert_cmphex(command(&g, "9e 10 0 0 0 0 0 0 0 0 0 0 0 20 0 0", 32, 0),
                    ==, GOOD);
    g_assert_cmphex(ld_be64(data(&g)), ==, DISK / 512 - 1);
    g_assert_cmphex(data(&g)[14], ==, 0x80);
    g_assert_cmphex(command(&g, "8 0 0 7 2 0", 1024, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[511], ==, 7);
    g_assert_cmphex(data(&g)[512], ==, 8);
    memset(data(&g), 0xa5, 4096);
    g_assert_cmphex(command(&g, "2a 8 0 0 0 20 0 0 2 0", 0, 1024), ==, GOOD);
    g_assert_cmphex(command(&g, "8a 0 0 0 0 0 0 0 0 22 0 0 0 1 0 0", 0, 512),
                    ==, GOOD);
    g_assert_cmphex(command(&g, "aa 0 0 0 0 23 0 0 0 1 0 0", 0, 512), ==, GOOD);
    g_assert_cmphex(command(&g, "2e 0 0 0 0 24 0 0 1 0", 0, 512), ==, GOOD);
    g_assert_cmphex(command(&g, "35 0 0 0 0 0 0 0 0 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "28 8 0 0 0 1f 0 0 7 0", 4096, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[0], ==, 0x1f);
    for (unsigned i = 512; i < 6 * 512; i++) {
        g_assert_cmphex(data(&g)[i], ==, 0xa5);
    }
    g_assert_cmphex(data(&g)[6 * 512], ==, 0x25);
    g_assert_cmpuint(ld_le32(g.ram.ram + g.resp + 4), ==, 512);
    g_assert_cmphex(command(&g, "a8 0 0 0 7 ff 0 0 0 1 0 0", 512, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "88 0 0 0 0 0 0 0 8 0 0 0 0 1 0 0", 512, 0), ==,
                    CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052100);
    g_assert_cmphex(
        command(&g, "88 0 ff ff ff ff ff ff ff ff ff ff ff ff 0 0", 512, 0), ==,
        CHECK);
    g_assert_cmphex(command(&g, "28 0 0 0 0 0 0 0 2 0", 512, 0), ==,
                    0x100 + S_OVERRUN);
    g_assert_cmphex(command(&g, "2f 0 0 0 0 0 0 8 0 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "2f 0 0 0 0 1 0 8 0 0", 0, 0), ==, CHECK);
    g_assert_cmphex(command(&g, "e7", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052000);
    at(&g, 0, 5); /* another disk */
    awake(&g);
    g_assert_cmphex(command(&g, "28 0 0 0 0 20 0 0 1 0", 512, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[0], ==, 0x21);
    rig_end(&g);
}

/* The header of the response and the data in one buffer, however cut. */
static void test_any_layout(void)
{
    static const uint32_t cuts[] = { 1, 13, 50, 108, 109, 5000 };
    Rig g;

    start(&g, "");
    awake(&g);
    for (size_t c = 0; c < G_N_ELEMENTS(cuts); c++) {
        hwaddr m = vd_alloc(&g.d, 1024, 16), t = vd_alloc(&g.d, 16384, 16);
        uint32_t all = RESP + 512;
        unsigned n = 0, head;

        memset(g.ram.ram + m, 0, 1024);
        put_lun(&g, m);
        g.ram.ram[m + 19] = 8;
        g.ram.ram[m + 19 + 3] = 9;
        g.ram.ram[m + 19 + 4] = 1;
        vd_desc(&g.d, t, n++, m, 20, VD_NEXT, 1);
        vd_desc(&g.d, t, n++, m + 20, HEAD - 20, VD_NEXT, 2);
        for (uint32_t o = 0; o < all; o += cuts[c], n++) {
            vd_desc(&g.d, t, n, m + 64 + o, MIN(cuts[c], all - o),
                    VD_WRITE | (o + cuts[c] < all ? VD_NEXT : 0), n + 1);
        }
        head = vd_add(&g.d, &g.r, t, 16 * n, VD_INDIRECT, false);
        vd_offer(&g.d, &g.r, head);
        vd_kick(&g.d, &g.r);
        g_assert_cmpuint(vd_wait(&g.d, &g.r), ==, all);
        g_assert_cmphex(g.ram.ram[m + 64 + 10], ==, GOOD);
        for (unsigned i = 0; i < 512; i++) {
            g_assert_cmphex(g.ram.ram[m + 64 + RESP + i], ==, 9);
        }
    }
    rig_end(&g);
}

static void test_erase(void)
{
    Rig g;
    const uint8_t *disk;

    start(&g, "");
    awake(&g);
    disk = g.mem[0].bytes->data;
    memset(data(&g), 0, 512);
    st_be16(data(&g), 38);
    st_be16(data(&g) + 2, 32);
    st_be64(data(&g) + 8, 8);
    st_be32(data(&g) + 16, 8);
    st_be64(data(&g) + 24, 2048 - 8);
    st_be32(data(&g) + 32, 8);
    g_assert_cmphex(command(&g, "42 0 0 0 0 0 0 0 28 0", 0, 40), ==, GOOD);
    st_be32(data(&g) + 32, 9);
    g_assert_cmphex(command(&g, "42 0 0 0 0 0 0 0 28 0", 0, 40), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052100);
    g_assert_cmphex(command(&g, "42 0 0 0 0 0 0 0 27 0", 0, 40), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x051a00);
    g_assert_cmphex(command(&g, "42 0 0 0 0 0 0 0 28 0", 0, 20), ==,
                    0x100 + S_OVERRUN);
    memset(data(&g), 0, 512); /* zeroes, with and without UNMAP */
    g_assert_cmphex(command(&g, "41 8 0 0 0 10 0 0 4 0", 0, 512), ==, GOOD);
    g_assert_cmphex(command(&g, "93 1 0 0 0 0 0 0 0 14 0 0 0 4 0 0", 0, 0), ==,
                    GOOD);
    for (unsigned i = 16 * 512; i < 24 * 512; i++) {
        g_assert_cmphex(disk[i], ==, 0);
    }
    g_assert_cmphex(disk[24 * 512], ==, 24);
    for (unsigned i = 0; i < 512; i++) {
        data(&g)[i] = (uint8_t)(i * 7);
    }
    g_assert_cmphex(command(&g, "93 0 0 0 0 0 0 0 1 0 0 0 6 0 0 0", 0, 512), ==,
                    GOOD);
    for (unsigned i = 0; i < 1536 * 512; i++) {
        g_assert_cmphex(disk[256 * 512 + i], ==, (uint8_t)(i % 512 * 7));
    }
    g_assert_cmphex(disk[1792 * 512], ==, 1792 & 0xff);
    g_assert_cmphex(command(&g, "41 0 0 0 0 10 0 0 0 0", 0, 512), ==, CHECK);
    g_assert_cmphex(command(&g, "41 0 0 0 8 0 0 0 1 0", 0, 512), ==, CHECK);
    rig_end(&g);
}

static void test_mode(void)
{
    uint8_t *mode;
    Rig g;

    start(&g, "");
    awake(&g);
    g_assert_cmphex(command(&g, "1a 0 3f 0 ff 0", 255, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[2], ==, 0x10);
    g_assert_cmphex(data(&g)[3], ==, 8);
    g_assert_cmphex(ld_be32(data(&g) + 8), ==, 512);
    g_assert_cmphex(command(&g, "1a 8 8 0 18 0", 24, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 7, "\x17\0\x10\0\x8\x12\4", 7);
    mode = data(&g);
    mode[0] = 0;
    mode[6] = 0; /* the write cache is turned off */
    g_assert_cmphex(command(&g, "15 10 0 0 18 0", 0, 24), ==, GOOD);
    g_assert_cmphex(command(&g, "5a 8 8 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[10], ==, 0);
    g_assert_cmphex(command(&g, "5a 8 88 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[10], ==, 4); /* the default */
    g_assert_cmphex(command(&g, "5a 8 48 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[10], ==, 4); /* what can change */
    g_assert_cmphex(command(&g, "5a 8 c8 0 0 0 0 0 40 0", 64, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x053900);
    g_assert_cmphex(command(&g, "1a 8 8 0 18 0", 24, 0), ==, GOOD);
    mode[7] = 1; /* must not change */
    g_assert_cmphex(command(&g, "15 10 0 0 18 0", 0, 24), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052600);
    g_assert_cmphex(command(&g, "15 10 0 0 3 0", 0, 3), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x051a00);
    for (unsigned n = 4; n < 24; n++) { /* cut */
        g_assert_cmphex(command(&g, "1a 8 8 0 18 0", 24, 0), ==, GOOD);
        g_autofree char *cdb = g_strdup_printf("15 10 0 0 %x 0", n);
        g_assert_cmphex(command(&g, cdb, 0, n), ==, n == 4 ? GOOD : CHECK);
    }
    rig_end(&g);
}

static void test_cd(void)
{
    Rig g;
    Drive *d;

    start(&g, "");
    at(&g, 1, 0);
    awake(&g);
    g_assert_cmphex(command(&g, "25", 8, 0), ==, GOOD);
    g_assert_cmphex(ld_be32(data(&g)), ==, DISK / 2048 - 1);
    g_assert_cmphex(ld_be32(data(&g) + 4), ==, 2048);
    g_assert_cmphex(command(&g, "28 0 0 0 0 2 0 0 1 0", 2048, 0), ==, GOOD);
    g_assert_cmphex(data(&g)[0], ==, 8 + 2);
    g_assert_cmphex(command(&g, "2a 0 0 0 0 2 0 0 1 0", 0, 2048), ==, CHECK);
    g_assert_cmphex(command(&g, "43 0 0 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 12, "\0\x12\1\1\0\x14\1\0\0\0\0\0", 12);
    g_assert_cmphex(ld_be32(data(&g) + 16), ==, DISK / 2048);
    g_assert_cmphex(command(&g, "43 2 2 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmphex(ld_be16(data(&g)), ==, 46);
    g_assert_cmphex(command(&g, "46 0 0 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    g_assert_cmphex(ld_be16(data(&g) + 6), ==, 8);
    g_assert_cmphex(command(&g, "51 0 0 0 0 0 0 0 22 0", 34, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "bd 0 0 0 0 0 0 0 0 8 0 0", 8, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "5a 0 2a 0 0 0 0 0 40 0", 64, 0), ==, GOOD);
    /* locked, then not */
    g_assert_cmphex(command(&g, "1e 0 0 0 1 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "1b 0 0 0 2 0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x055302);
    g_assert_cmphex(command(&g, "1e 0 0 0 0 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "1b 0 0 0 2 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "28 0 0 0 0 2 0 0 1 0", 2048, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x023a02);
    g_assert_cmphex(command(&g, "1b 0 0 0 3 0", 0, 0), ==, GOOD);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x062800);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, GOOD);
    /* the monitor takes the disc and gives it back */
    d = drive_find(g.q.m, "d2");
    g_assert_true(d->cdrom);
    d->media_changed(d->user, false);
    g_assert_cmphex(command(&g, "4a 1 0 0 10 0 0 0 8 0", 8, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 6, "\0\6\4\x10\3\1", 6);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x063a00);
    d->media_changed(d->user, true);
    g_assert_cmphex(command(&g, "4a 1 0 0 10 0 0 0 8 0", 8, 0), ==, GOOD);
    g_assert_cmpmem(data(&g), 6, "\0\6\4\x10\2\2", 6);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, GOOD);
    g_assert_cmpuint(g.trays, ==, 4);
    rig_end(&g);
}

/* ---- task management and events ------------------------------------------------------ */

static unsigned task(Rig *g, unsigned subtype, uint64_t tag)
{
    hwaddr m = vd_alloc(&g->d, 32, 16);
    unsigned head;

    as_store(g->q.m->mem, m, 0, 4);
    as_store(g->q.m->mem, m + 4, subtype, 4);
    put_lun(g, m + 8);
    as_store(g->q.m->mem, m + 16, tag, 8);
    head = vd_add(&g->d, &g->control, m, 24, 0, true);
    vd_add(&g->d, &g->control, m + 24, 1, VD_WRITE, false);
    vd_offer(&g->d, &g->control, head);
    vd_kick(&g->d, &g->control);
    vd_wait(&g->d, &g->control);
    return g->ram.ram[m + 24];
}

static void test_tasks(void)
{
    Rig g;

    start(&g, "rerror=stop");
    awake(&g);
    g_assert_cmpuint(task(&g, 6, 0x77), ==, S_OK);
    g_assert_cmpuint(task(&g, 2, 0), ==, S_REJECTED);
    g_assert_cmpuint(task(&g, 99, 0), ==, S_REJECTED);
    g_assert_cmpuint(task(&g, 0, 0x77), ==, S_OK);
    at(&g, 0, 1);
    g_assert_cmpuint(task(&g, 5, 0), ==, S_BAD_LUN);
    at(&g, 9, 0);
    g_assert_cmpuint(task(&g, 4, 0), ==, S_BAD_TARGET);
    at(&g, 0, 0);
    g_assert_cmpuint(task(&g, 5, 0), ==, S_OK); /* the unit was reset */
    awake(&g);
    g_assert_cmpuint(task(&g, 4, 0), ==, S_OK); /* and both of the target */
    awake(&g);
    at(&g, 0, 5);
    awake(&g);
    /* commands that are on their way end, one way or the other */
    at(&g, 0, 0);
    for (unsigned subtype = 0; subtype < 6; subtype++) {
        hwaddr resp = offer(&g, "28 0 0 0 0 0 0 1 0 0", 131072, 0);

        vd_kick(&g.d, &g.r);
        task(&g, subtype, 0x77);
        vd_wait(&g.d, &g.r);
        g_assert_true(g.ram.ram[resp + 11] == S_OK ||
                      g.ram.ram[resp + 11] == S_RESET ||
                      g.ram.ram[resp + 11] == S_ABORTED);
    }
    rig_end(&g);
}

static void test_events(void)
{
    Rig g;
    Drive *d;
    hwaddr e;
    unsigned head;

    start(&g, "");
    g_assert_true(g.d.features & 4);
    awake(&g);
    d = drive_find(g.q.m, "d1");
    d->resized(d->user); /* nobody has given a buffer */
    e = vd_alloc(&g.d, 32, 16);
    head = vd_add(&g.d, &g.events, e, 16, VD_WRITE, false);
    vd_offer(&g.d, &g.events, head);
    vd_kick(&g.d, &g.events);
    g_assert_cmpuint(vd_wait(&g.d, &g.events), ==, 16);
    g_assert_cmphex(ld_le32(g.ram.ram + e), ==, 0x80000000);
    head = vd_add(&g.d, &g.events, e, 16, VD_WRITE, false);
    vd_offer(&g.d, &g.events, head);
    vd_kick(&g.d, &g.events);
    vd_settle();
    d->resized(d->user);
    g_assert_cmpuint(vd_wait(&g.d, &g.events), ==, 16);
    g_assert_cmphex(ld_le32(g.ram.ram + e), ==, 3);
    g_assert_cmphex(ld_be32(g.ram.ram + e + 4), ==, 0x01000005);
    g_assert_cmphex(ld_le32(g.ram.ram + e + 12), ==, 0x092a);
    at(&g, 0, 5);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x062900);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x062a09);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, GOOD);
    rig_end(&g);
}

/* One event of the kind and reason, for unit 0:5. */
static void expect_event(Rig *g, hwaddr e, uint32_t kind, uint32_t reason)
{
    g_assert_cmpuint(vd_wait(&g->d, &g->events), ==, 16);
    g_assert_cmphex(ld_le32(g->ram.ram + e), ==, kind);
    g_assert_cmphex(ld_be32(g->ram.ram + e + 4), ==, 0x01000005);
    g_assert_cmphex(ld_le32(g->ram.ram + e + 12), ==, reason);
}

static void offer_event(Rig *g, hwaddr e)
{
    unsigned head = vd_add(&g->d, &g->events, e, 16, VD_WRITE, false);

    vd_offer(&g->d, &g->events, head);
    vd_kick(&g->d, &g->events);
    vd_settle();
}

/* A unit goes and comes: the events, and what its place says meanwhile. */
static void test_hotplug(void)
{
    g_autoptr(KeyVal) options =
        keyval_parse("scsi-hd,drive=d2,scsi-id=0,lun=5", "driver", NULL);
    Rig g;
    hwaddr e;

    rig_board(&g);
    g_assert_true(plug(&g, 0, &scsi_hd_class, "", NULL));
    g_assert_true(plug(&g, 1, &scsi_hd_class, "scsi-id=0,lun=5", NULL));
    rig_ready(&g);
    awake(&g);
    e = vd_alloc(&g.d, 32, 16);
    offer_event(&g, e);
    g_assert_true(hotplug_request(g.disk[1], NULL));
    expect_event(&g, e, 1, 2); /* transport reset: removed */
    g_assert_null(drive_find(g.q.m, "d1"));
    at(&g, 0, 5);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x052500);
    offer_event(&g, e);
    g_assert_true(hotplug_add(g.q.m, options, NULL));
    expect_event(&g, e, 1, 1); /* rescan */
    g_assert_cmphex(command(&g, "0", 0, 0), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x062900);
    g_assert_cmphex(command(&g, "0", 0, 0), ==, GOOD);
    rig_end(&g);
}

/* ---- errors of the host ------------------------------------------------------------------ */

/* A machine that stopped at a write for which there was no room; its response. */
static hwaddr start_stopped(Rig *g)
{
    hwaddr resp;

    start(g, "werror=stop");
    awake(g);
    g_assert_true(machine_start(g->q.m, NULL));
    memset(data(g), 0x5a, 512);
    g->mem[0].fail_at = g->mem[0].writes + 1;
    g->mem[0].fail_errno = ENOSPC;
    resp = offer(g, "2a 0 0 0 0 20 0 0 1 0", 0, 512);
    vd_kick(&g->d, &g->r);
    while (!g->stops) {
        mainloop_iterate(true);
    }
    return resp;
}

static void test_stop(void)
{
    Rig g;
    hwaddr resp;

    resp = start_stopped(&g);
    g_assert_cmpuint(g.stops, ==, 1);
    g_assert_cmpuint(g.io_errors, ==, 1);
    g_assert_cmphex(g.ram.ram[resp + 11], ==, NOTHING);
    g_assert_true(machine_start(g.q.m, NULL));
    vd_wait(&g.d, &g.r);
    g_assert_cmphex(g.ram.ram[resp + 11], ==, S_OK);
    g_assert_cmphex(g.ram.ram[resp + 10], ==, GOOD);
    g_assert_cmphex(g.mem[0].bytes->data[32 * 512], ==, 0x5a);
    rig_end(&g);
}

static void test_report(void)
{
    Rig g;

    start(&g, "werror=report");
    awake(&g);
    g.mem[0].fail_at = g.mem[0].writes + 1;
    g.mem[0].fail_errno = ENOSPC;
    g_assert_cmphex(command(&g, "2a 0 0 0 0 20 0 0 1 0", 0, 512), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x072707);
    g.mem[0].fail_at = g.mem[0].writes + 1;
    g.mem[0].fail_errno = EIO;
    g_assert_cmphex(command(&g, "2a 0 0 0 0 20 0 0 1 0", 0, 512), ==, CHECK);
    g_assert_cmphex(sense(&g), ==, 0x0b0006);
    rig_end(&g);
}

/* The state is taken while a command waits; where it is loaded, it starts. */
static void test_state(void)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    Rig g;
    hwaddr resp;
    size_t pos = 0;
    unsigned head;
    uint32_t len;

    resp = start_stopped(&g);
    vmstate_save(s, g.board->cls->vmstate, g.board, NULL);
    g.board->cls->reset(g.board);
    g_assert_true(vmstate_load(s, &pos, g.board->cls->vmstate, g.board, NULL));
    g_assert_false(vd_take(&g.d, &g.r, &head, &len));
    g_assert_true(machine_start(g.q.m, NULL));
    vd_kick(&g.d, &g.r);
    vd_wait(&g.d, &g.r);
    g_assert_cmphex(g.ram.ram[resp + 10], ==, GOOD);
    g_assert_cmphex(g.mem[0].bytes->data[32 * 512], ==, 0x5a);
    rig_end(&g);
}

/* Reset with a command under way, in all states of it. */
static void test_reset(void)
{
    Rig g;

    start(&g, "");
    awake(&g);
    for (int i = 0; i < 20; i++) {
        offer(&g, "28 0 0 0 0 0 0 1 0 0", 131072, 0);
        vd_kick(&g.d, &g.r);
        for (int n = 0; n < i % 4; n++) {
            mainloop_iterate(false);
        }
        vd_write(&g.d, VD_STATUS, 0);
        vd_settle();
        g.d.next = g.data + (1 << 20);
        rig_ready(&g);
    }
    g_assert_cmphex(command(&g, "0", 0, 0), ==, GOOD);
    rig_end(&g);
}

/* ---- drivers and users who are wrong ------------------------------------------------------- */

static void test_config(void)
{
    Rig g;

    start(&g, "");
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG), ==, 1);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 4), ==, 254);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 20), ==, 96);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 24), ==, 32);
    g_assert_cmphex(vd_read(&g.d, VD_CONFIG + 28), ==, 255 << 16);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 32), ==, 16383);
    vd_write(&g.d, VD_CONFIG + 20, 18);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 20), ==, 18);
    vd_write(&g.d, VD_CONFIG + 24, 256);
    g_assert_true(vd_read(&g.d, VD_STATUS) & VIRTIO_S_NEEDS_RESET);
    vd_write(&g.d, VD_STATUS, 0);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 20), ==, 96);
    rig_end(&g);
}

static void test_hostile(void)
{
    Rig g;
    unsigned head;

    start(&g, "");
    awake(&g);
    memset(g.ram.ram + g.data, 0, 512); /* an address that is none */
    head = vd_add(&g.d, &g.r, g.data, HEAD, 0, true);
    vd_add(&g.d, &g.r, g.data + 64, RESP, VD_WRITE, false);
    vd_offer(&g.d, &g.r, head);
    vd_kick(&g.d, &g.r);
    vd_wait(&g.d, &g.r);
    g_assert_cmphex(data(&g)[64 + 11], ==, S_BAD_TARGET);
    offer(&g, "28 0 0 0 0 0 0 0 1 0", 512, 512); /* both ways */
    vd_kick(&g.d, &g.r);
    vd_wait(&g.d, &g.r);
    g_assert_cmphex(response(&g), ==, S_FAILURE);
    head = vd_add(&g.d, &g.r, g.data, HEAD - 1, 0, true); /* too short */
    vd_add(&g.d, &g.r, g.data + 64, RESP, VD_WRITE, false);
    vd_offer(&g.d, &g.r, head);
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_true(vd_read(&g.d, VD_STATUS) & VIRTIO_S_NEEDS_RESET);
    rig_end(&g);
}

/* Every opcode with every pattern of a few: an end, and no harm. */
static void test_all_opcodes(void)
{
    static const unsigned fill[] = { 0, 1, 0x10, 0x7f, 0xff };
    Rig g;

    start(&g, "");
    g.data = vd_alloc(&g.d, 1 << 20, 4096);
    for (unsigned unit = 0; unit < 2; unit++) {
        at(&g, unit, 0);
        for (unsigned op = 0; op < 256; op++) {
            for (size_t f = 0; f < G_N_ELEMENTS(fill); f++) {
                g_autofree char *cdb = g_strdup_printf(
                    "%x %x 0 0 %x 0 %x %x 4 %x %x %x 0 0 0 0", op, fill[f],
                    fill[f], fill[f], fill[f], fill[f], fill[f], fill[f]);

                g.d.next = g.data + (2 << 20);
                command(&g, cdb, f & 1 ? 4096 : 0, f & 1 ? 0 : 4096);
            }
        }
    }
    rig_end(&g);
}

static void refused(Rig *g, const DeviceClass *cls, const char *props,
                    const char *message)
{
    g_autoptr(GError) err = NULL;

    g_assert_false(plug(g, 2, cls, props, &err));
    g_assert_nonnull(err);
    if (!strstr(err->message, message)) {
        g_test_message("%s", err->message);
    }
    g_assert_nonnull(strstr(err->message, message));
}

static void test_refused(void)
{
    Rig g;

    rig_board(&g);
    g_assert_true(plug(&g, 0, &scsi_hd_class, "bus=board.0,scsi-id=3", NULL));
    g_assert_true(plug(&g, 1, &scsi_hd_class, "scsi-id=3", NULL));
    refused(&g, &scsi_hd_class, "bus=other.0", "Bus 'other.0' not found");
    refused(&g, &scsi_hd_class, "scsi-id=3,lun=1", "lun already used");
    refused(&g, &scsi_hd_class, "scsi-id=256", "bad scsi device id");
    refused(&g, &scsi_hd_class, "lun=16384", "bad scsi device lun");
    refused(&g, &scsi_hd_class, "channel=1", "bad scsi channel");
    refused(&g, &scsi_hd_class, "logical_block_size=100", "power of two");
    refused(&g, &scsi_hd_class, "vendor=ABCDEFGHI", "at most 8");
    refused(&g, &scsi_cd_class, "logical_block_size=512", "must be 2048");
    refused(&g, &scsi_hd_class, "werror=no", "werror must be");
    g_assert_true(plug(&g, 2, &scsi_hd_class, "", NULL));
    rig_end(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-scsi/inquiry", test_inquiry);
    g_test_add_func("/virtio-scsi/units", test_units);
    g_test_add_func("/virtio-scsi/read-write", test_read_write);
    g_test_add_func("/virtio-scsi/any-layout", test_any_layout);
    g_test_add_func("/virtio-scsi/erase", test_erase);
    g_test_add_func("/virtio-scsi/mode", test_mode);
    g_test_add_func("/virtio-scsi/cd", test_cd);
    g_test_add_func("/virtio-scsi/tasks", test_tasks);
    g_test_add_func("/virtio-scsi/events", test_events);
    g_test_add_func("/virtio-scsi/hotplug", test_hotplug);
    g_test_add_func("/virtio-scsi/stop", test_stop);
    g_test_add_func("/virtio-scsi/report", test_report);
    g_test_add_func("/virtio-scsi/state", test_state);
    g_test_add_func("/virtio-scsi/reset", test_reset);
    g_test_add_func("/virtio-scsi/config", test_config);
    g_test_add_func("/virtio-scsi/hostile", test_hostile);
    g_test_add_func("/virtio-scsi/all-opcodes", test_all_opcodes);
    g_test_add_func("/virtio-scsi/refused", test_refused);
    return g_test_run();
}
