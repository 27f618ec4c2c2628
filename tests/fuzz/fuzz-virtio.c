/*
 * A guest's driver gone wild: registers of a virtio-mmio slot, rings, requests.
 *
 * The first byte chooses the device (a row of devices[], which a new device kind
 * joins), the second the interface; then come operations of an opcode and a few
 * bytes. Addresses are mostly in RAM, where the rings and buffers are, so that
 * requests get through; the others are what a driver must not name.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/mem-disk.h"
#include "tests/lib/virtio-driver.h"
#include "hw/block/drive.h"
#include "net/net.h"
#include "util/iov.h"
#include "util/log.h"

extern const DeviceClass virtio_scsi_device_class;
extern const DeviceClass scsi_hd_class, scsi_cd_class;
extern const DeviceClass virtio_blk_device_class;
extern const DeviceClass virtio_net_device_class;

enum { RAM = 1 << 18, BASE = 0xfeb00000, DISK = 1 << 16, QUEUES = 4 };

typedef struct Fuzz {
    Machine *m;
    Region ram;
    Device *slot, *dev;
    MemDisk disk;
    NetPort *peer; /* the other end of a card's cable; or NULL */
    VDriver d;
    VRing ring[QUEUES];
    const uint8_t *p, *end;
} Fuzz;

typedef struct FuzzDevice {
    const DeviceClass *cls;
    void (*prepare)(Fuzz *f); /* before f->dev exists; may be NULL */
    const char *prop, *value; /* one that it needs; may be NULL */
    void (*plug)(Fuzz *f);    /* what sits in it; may be NULL */
    void (*drain)(Fuzz *f);   /* waits for what is on its way; may be NULL */
} FuzzDevice;

/* ---- devices ------------------------------------------------------------------ */

static void blk_prepare(Fuzz *f)
{
    Drive *d = g_new0(Drive, 1);

    mem_disk_init(&f->disk, NULL, 0);
    g_byte_array_set_size(f->disk.bytes, DISK);
    memset(f->disk.bytes->data, 0, DISK);
    f->disk.max = DISK;
    d->id = g_strdup("d0");
    d->text = g_strdup("memory");
    d->machine = f->m;
    d->blk =
        blk_new("d0", mem_disk_node(&f->disk, BLOCK_RDWR), BLK_AIO_THREADS);
    g_ptr_array_add(machine_drives(f->m), d);
}

static void blk_wait(Fuzz *f)
{
    blk_drain(drive_find(f->m, "d0")->blk);
}

/* A disk at 0:0 and an empty CD-ROM drive at 1:0. */
static void scsi_plug(Fuzz *f)
{
    Device *hd = device_new_class(f->m, &scsi_hd_class, NULL);
    Device *cd = device_new_class(f->m, &scsi_cd_class, NULL);

    device_set(hd, "drive", "d0", NULL);
    g_assert_true(device_realize(hd, NULL));
    g_assert_true(device_realize(cd, NULL));
}

/* Everything that the card sends comes back. */
static bool echo_frame(NetPort *port, const NetFrame *f)
{
    net_send_queued(port, f);
    return true;
}

static void net_prepare(Fuzz *f)
{
    static const NetPortOps ops = { .type = "echo", .receive = echo_frame };

    f->peer = net_port_new(sizeof(NetPort), &ops, "n0");
    net_port_add(f->m->netdevs, f->peer);
}

static const FuzzDevice devices[] = {
    { &virtio_blk_device_class, blk_prepare, "drive", "d0", NULL, blk_wait },
    { &virtio_net_device_class, net_prepare, "netdev", "n0", NULL, NULL },
    { &virtio_scsi_device_class, blk_prepare, NULL, NULL, scsi_plug, blk_wait },
};

/* ---- input ---------------------------------------------------------------------- */

static unsigned take(Fuzz *f)
{
    return f->p < f->end ? *f->p++ : 0;
}

static uint32_t take16(Fuzz *f)
{
    uint32_t v = take(f);

    return v | take(f) << 8;
}

static uint32_t take32(Fuzz *f)
{
    uint32_t v = take16(f);

    return v | take16(f) << 16;
}

static hwaddr take_addr(Fuzz *f)
{
    static const hwaddr odd[] = {
        0,           RAM - 1,         RAM - 16,          RAM,        BASE,
        BASE + 0x50, UINT64_MAX - 15, UINT64_C(1) << 63, UINT32_MAX,
    };
    unsigned kind = take(f);

    return kind < 0xe0 ? take16(f) * 4 % RAM : odd[kind % G_N_ELEMENTS(odd)];
}

/* ---- operations --------------------------------------------------------------------- */

static void op_write_register(Fuzz *f)
{
    unsigned reg = take(f) * 2, size = 1u << (take(f) % 4);

    as_store(f->m->mem, BASE + reg, take32(f), size);
}

static void op_read_register(Fuzz *f)
{
    unsigned reg = take(f) * 2, size = 1u << (take(f) % 4);

    as_load(f->m->mem, BASE + reg, size);
}

static void op_negotiate(Fuzz *f)
{
    uint64_t want = take32(f) | (uint64_t)take(f) << 32;

    vd_negotiate(&f->d, want | VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void op_queue(Fuzz *f)
{
    unsigned q = take(f) % QUEUES;

    f->d.next = 4096 * (1 + 4 * q);
    vd_ring(&f->d, &f->ring[q], q, 1u << (take(f) % 8));
}

static void op_ok(Fuzz *f)
{
    vd_driver_ok(&f->d);
}

static void op_desc(Fuzz *f)
{
    VRing *r = &f->ring[take(f) % QUEUES];
    hwaddr table = r->size ? r->desc : 4096;
    unsigned i = take(f), flags = take(f), next = take(f);
    hwaddr addr = take_addr(f);
    uint32_t len = take16(f);

    if (flags & 0x80) { /* a table elsewhere */
        table = take_addr(f);
    }
    vd_desc(&f->d, table, i, addr, len ? len : take32(f), flags & 7, next);
}

static void op_offer(Fuzz *f)
{
    VRing *r = &f->ring[take(f) % QUEUES];
    unsigned head = take(f);

    if (r->size) {
        vd_offer(&f->d, r, head);
        vd_kick(&f->d, r);
    }
}

/* A whole request, as blk's: header, data, status. */
static void op_request(Fuzz *f)
{
    VRing *r = &f->ring[take(f) % QUEUES];
    hwaddr at = 0x20000 + take(f) * 256;
    unsigned type = take(f), sector = take(f), len = take16(f), head;

    if (!r->size) {
        return;
    }
    as_store(f->m->mem, at, type, 4);
    as_store(f->m->mem, at + 8, sector, 8);
    head = vd_add(&f->d, r, at, 16, 0, true);
    if (len) {
        vd_add(&f->d, r, at + 16, len, type & 1 ? 0 : VD_WRITE, true);
    }
    vd_add(&f->d, r, at + 0x1000, 1, VD_WRITE, false);
    vd_offer(&f->d, r, head);
    vd_kick(&f->d, r);
}

/* A frame from the cable, with whatever it says is left to do. */
static void op_frame(Fuzz *f)
{
    uint8_t bytes[256];
    size_t repeat = 1 + take(f), n = take(f), len = repeat * n;
    g_autofree uint8_t *buf = g_malloc(len + 1);
    struct iovec iov = { buf, len };
    NetFrame frame = { .iov = &iov, .n = 1, .queue = take(f) };

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)take(f);
    }
    for (size_t i = 0; i < repeat; i++) {
        memcpy(buf + i * n, bytes, n);
    }
    frame.off.flags = (uint8_t)take(f);
    frame.off.gso_type = (uint8_t)take(f);
    frame.off.hdr_len = (uint16_t)take16(f);
    frame.off.gso_size = (uint16_t)take16(f);
    frame.off.csum_start = (uint16_t)take(f);
    frame.off.csum_offset = (uint16_t)take(f);
    if (f->peer) {
        net_set_accepts(f->peer, take(f));
        net_send_queued(f->peer, &frame);
    }
}

/* A SCSI command, its response and data; or a task management request. */
static void op_scsi(Fuzz *f)
{
    unsigned queue = take(f) % QUEUES, where = take(f), head;
    unsigned in = take16(f), out = take16(f);
    hwaddr at = 0x20000 + (where >> 1) * 256;
    VRing *r = &f->ring[queue];

    if (!r->size) {
        return;
    }
    as_store(f->m->mem, at, 1 | (where & 1) << 8, 8);
    for (unsigned n = queue ? 16 : 0; queue && n; n--) {
        as_store(f->m->mem, at + 19 + 16 - n, take(f), 1);
    }
    if (!queue) {
        as_store(f->m->mem, at, 0, 4);
        as_store(f->m->mem, at + 4, take(f) % 9, 4);
        as_store(f->m->mem, at + 8, 1 | (where & 1) << 8, 8);
    }
    head = vd_add(&f->d, r, at, queue ? 51 : 24, 0, true);
    if (out && queue) {
        vd_add(&f->d, r, at + 51, out, 0, true);
    }
    vd_add(&f->d, r, at + 0x1000, 108, VD_WRITE, in > 0);
    if (in) {
        vd_add(&f->d, r, at + 0x2000, in, VD_WRITE, false);
    }
    vd_offer(&f->d, r, head);
    vd_kick(&f->d, r);
}

static void op_memory(Fuzz *f)
{
    hwaddr at = take_addr(f);

    for (unsigned n = take(f) % 32; n; n--) {
        as_store(f->m->mem, at++, take(f), 1);
    }
}

static void op_loop(Fuzz *f)
{
    for (unsigned n = take(f) % 8; n; n--) {
        mainloop_iterate(false);
    }
}

static void op_stop(Fuzz *f)
{
    g_assert_true(machine_start(f->m, NULL));
    if (take(f) & 1) {
        machine_stop(f->m, RUN_PAUSED);
    }
}

static void op_machine_reset(Fuzz *f)
{
    f->dev->cls->reset(f->dev);
    f->slot->cls->reset(f->slot);
}

/* The state goes out and comes back, perhaps with a byte changed. */
static void op_state(Fuzz *f)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    unsigned at = take16(f), flip = take(f);
    size_t pos = 0;

    if (f->dev->cls->vmstate) {
        vmstate_save(s, f->dev->cls->vmstate, f->dev, NULL);
        s->data[at % s->len] ^= flip;
        vmstate_load(s, &pos, f->dev->cls->vmstate, f->dev, &err);
    }
}

static void (*const ops[])(Fuzz *f) = {
    op_write_register, op_read_register, op_negotiate, op_queue,  op_ok,
    op_desc,           op_offer,         op_request,   op_memory, op_loop,
    op_stop,           op_machine_reset, op_state,     op_frame,  op_scsi,
};

/* ---- one input -------------------------------------------------------------------------- */

static void quiet(void *opaque, int n, int level)
{
}

static void fuzz_start(Fuzz *f, const FuzzDevice *fd, bool legacy)
{
    static const MachineClass fake = { .name = "fake", .max_cpus = 1 };

    f->m = machine_new(&fake, clock_new_manual());
    for (int i = 0; i < MACHINE_GSIS; i++) {
        f->m->gsi[i] = (IrqLine) { quiet, NULL, i };
    }
    g_assert_true(region_init_ram(&f->ram, "ram", RAM, NULL));
    as_map(f->m->mem, 0, &f->ram, 0);
    f->slot = device_new_class(f->m, &virtio_mmio_class, NULL);
    device_set(f->slot, "force-legacy", legacy ? "on" : "off", NULL);
    g_assert_true(device_realize(f->slot, NULL));
    if (fd->prepare) {
        fd->prepare(f);
    }
    f->dev = device_new_class(f->m, fd->cls, NULL);
    if (fd->prop) {
        device_set(f->dev, fd->prop, fd->value, NULL);
    }
    g_assert_true(device_realize(f->dev, NULL));
    if (fd->plug) {
        fd->plug(f);
    }
    f->dev->cls->reset(f->dev);
    f->d = (VDriver) { .m = f->m, .base = BASE, .legacy = legacy };
}

static void fuzz_end(Fuzz *f, const FuzzDevice *fd)
{
    vd_settle();
    if (fd->drain) {
        fd->drain(f);
    }
    while (f->m->devices->len) {
        device_free(f->m->devices->pdata[f->m->devices->len - 1]);
    }
    vd_settle();
    net_free_all(f->m->netdevs);
    drives_free(f->m);
    if (f->disk.bytes) {
        mem_disk_clear(&f->disk);
    }
    region_fini(&f->ram);
    machine_free(f->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Fuzz f = { .p = data, .end = data + len };
    const FuzzDevice *fd = &devices[take(&f) % G_N_ELEMENTS(devices)];
    unsigned n = 0;

    fuzz_start(&f, fd, take(&f) & 1);
    while (f.p < f.end && n++ < 200) {
        ops[take(&f) % G_N_ELEMENTS(ops)](&f);
    }
    fuzz_end(&f, fd);
    return 0;
}
