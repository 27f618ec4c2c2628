/*
 * A guest's driver gone wild: registers of a virtio device behind each of its
 * interfaces, rings, requests, and what the host's side does meanwhile.
 *
 * The first byte chooses the device (a row of devices[], which a new device kind
 * joins), the second the interface; then come operations of an opcode and a few
 * bytes. Addresses are mostly in RAM, where the rings and buffers are, so that
 * requests get through; the others are what a driver must not name.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/line.h"
#include "tests/lib/virtio-faces.h"
#include "hw/virtio/balloon.h"
#include "net/net.h"

extern const DeviceClass virtio_scsi_device_class, virtio_scsi_pci_class;
extern const DeviceClass scsi_hd_class, scsi_cd_class;
extern const DeviceClass virtio_blk_device_class, virtio_blk_pci_class;
extern const DeviceClass virtio_net_device_class, virtio_net_pci_class;
extern const DeviceClass virtio_rng_device_class, virtio_rng_pci_class;
extern const DeviceClass virtio_balloon_device_class, virtio_balloon_pci_class;
extern const DeviceClass virtio_serial_device_class, virtio_serial_pci_class;
extern const DeviceClass virtconsole_class, virtserialport_class;

enum { RAM = 1 << 18, ROM = 0xf0000, DISK = 1 << 16, QUEUES = 6 };

typedef struct Fuzz {
    VirtioRig g;
    Machine *m; /* of g */
    Region rom;
    MemDisk disk;
    NetPort *peer; /* the other end of a card's cable; or NULL */
    Line *line[2]; /* of virtio-serial's ports; or NULL */
    VRing ring[QUEUES];
    FuzzInput in;
} Fuzz;

typedef struct FuzzDevice {
    const DeviceClass *mmio, *pci;
    void (*prepare)(Fuzz *f); /* before the device exists; may be NULL */
    const char *props;        /* that it needs: "name=value,..." */
    void (*plug)(Fuzz *f);    /* what sits in it; may be NULL */
    void (*drain)(Fuzz *f);   /* waits for what is on its way; may be NULL */
} FuzzDevice;

/* ---- devices ------------------------------------------------------------------ */

static void blk_prepare(Fuzz *f)
{
    rig_drive(&f->g.t.q, &f->disk, "d0", DISK);
    f->disk.max = DISK;
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

static void serial_prepare(Fuzz *f)
{
    f->line[0] = line_new(f->m, "c0");
    f->line[1] = line_new(f->m, "c1");
}

/* Places 0 and 1 have lines, 2 goes nowhere, 3 is empty. */
static void serial_plug(Fuzz *f)
{
    static const struct {
        const DeviceClass *cls;
        const char *chardev, *name;
    } ports[] = {
        { &virtconsole_class, "c0", NULL },
        { &virtserialport_class, "c1", "org.test.1" },
        { &virtserialport_class, NULL, "org.test.2" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        Device *port = device_new_class(f->m, ports[i].cls, NULL);

        if (ports[i].chardev) {
            device_set(port, "chardev", ports[i].chardev, NULL);
        }
        if (ports[i].name) {
            device_set(port, "name", ports[i].name, NULL);
        }
        g_assert_true(device_realize(port, NULL));
    }
}

/* clang-format off */
static const FuzzDevice devices[] = {
    { &virtio_blk_device_class, &virtio_blk_pci_class,
      blk_prepare, "drive=d0", NULL, blk_wait },
    { &virtio_net_device_class, &virtio_net_pci_class,
      net_prepare, "netdev=n0", NULL, NULL },
    { &virtio_scsi_device_class, &virtio_scsi_pci_class,
      blk_prepare, "", scsi_plug, blk_wait },
    { &virtio_rng_device_class, &virtio_rng_pci_class,
      NULL, "max-bytes=4096,period=10", NULL, NULL },
    { &virtio_balloon_device_class, &virtio_balloon_pci_class,
      NULL, "free-page-reporting=on,deflate-on-oom=on,"
            "guest-stats-polling-interval=1", NULL, NULL },
    { &virtio_serial_device_class, &virtio_serial_pci_class,
      serial_prepare, "max_ports=4", serial_plug, NULL },
};
/* clang-format on */

/* ---- input ---------------------------------------------------------------------- */

static hwaddr take_addr(Fuzz *f)
{
    static const hwaddr odd[] = {
        0,
        PT_RAM - 1,
        PT_RAM - 16,
        PT_RAM,
        RIG_MMIO_BASE,
        RIG_MMIO_BASE + 0x50,
        UINT64_MAX - 15,
        UINT64_C(1) << 63,
        UINT32_MAX,
        ROM,
        RIG_MODERN,
        RIG_MSIX,
    };
    unsigned kind = take(&f->in);

    return kind < 0xe0 ? take16(&f->in) * 4 % RAM
                       : odd[kind % G_N_ELEMENTS(odd)];
}

/* ---- operations --------------------------------------------------------------------- */

/* A register, most often; or anywhere in the windows of the function. */
static void access_register(Fuzz *f, bool write)
{
    static const hwaddr window[] = { RIG_MODERN, RIG_MODERN + 0x1000,
                                     RIG_MODERN + 0x2000, RIG_MODERN + 0x3000,
                                     RIG_MSIX };
    unsigned reg = take(&f->in) * 2, how = take(&f->in), size = 1u << (how % 4);
    AddressSpace *as = vd_space(&f->g.d);
    hwaddr at = f->g.d.base + reg + (how >> 6 & 1);

    if (rig_is_pci(&f->g)) {
        at = f->g.d.base + (reg / 2) % 64;
        if (how & 8) {
            at = window[(how >> 4) % G_N_ELEMENTS(window)] + reg / 2;
            as = f->m->mem;
        } else if (how & 16) {
            at = RIG_LEGACY + (reg / 2) % 64;
            as = f->m->io;
        }
    }
    if (write) {
        as_store(as, at, take32(&f->in), size);
    } else {
        as_load(as, at, size);
    }
}

static void op_write_register(Fuzz *f)
{
    access_register(f, true);
}

static void op_read_register(Fuzz *f)
{
    access_register(f, false);
}

static void op_config(Fuzz *f)
{
    unsigned off = take(&f->in), how = take(&f->in), size = 1u << (how % 3);
    PciDevice *pd = container_of(f->g.dev, PciDevice, dev);

    if (!rig_is_pci(&f->g)) {
        return;
    }
    off &= ~(size - 1);
    if (how & 4) {
        pci_config_read(pd, off, size);
    } else if (how & 8) {
        rig_map(&f->g);
    } else {
        pci_config_write(pd, off, take32(&f->in), size);
    }
}

static void op_negotiate(Fuzz *f)
{
    uint64_t want = take32(&f->in) | (uint64_t)take(&f->in) << 32;

    vd_negotiate(&f->g.d, want | VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void op_queue(Fuzz *f)
{
    unsigned q = take(&f->in) % QUEUES;

    f->g.d.next = 4096 * (1 + 4 * q);
    vd_ring(&f->g.d, &f->ring[q], q, 1u << (take(&f->in) % 8));
}

/* A ring of any size, anywhere. */
static void op_wild_queue(Fuzz *f)
{
    VDriver *d = &f->g.d;
    unsigned q = take(&f->in) % QUEUES;
    VRing *r = &f->ring[q];

    vd_write(d, VD_QUEUE_SEL, q);
    vd_write(d, VD_QUEUE_NUM, take16(&f->in));
    r->queue = q;
    r->desc = take_addr(f);
    r->avail = take_addr(f);
    r->used = take_addr(f);
    vd_write_address(d, VD_DESC, r->desc);
    vd_write_address(d, VD_AVAIL, r->avail);
    vd_write_address(d, VD_USED, r->used);
    vd_write(d, VD_QUEUE_ALIGN, 1u << take(&f->in) % 32);
    vd_write(d, VD_QUEUE_PFN, (uint32_t)(r->desc >> 12));
    vd_write(d, VD_QUEUE_READY, take(&f->in));
    r->size = MAX(vd_read(d, VD_QUEUE_NUM_MAX), 1);
}

/* The available index jumps. */
static void op_index(Fuzz *f)
{
    VRing *r = &f->ring[take(&f->in) % QUEUES];

    r->avail_idx = (uint16_t)take16(&f->in);
    as_store(f->m->mem, r->avail + 2, r->avail_idx, 2);
    vd_kick(&f->g.d, r);
}

static void op_ok(Fuzz *f)
{
    vd_driver_ok(&f->g.d);
}

static void op_desc(Fuzz *f)
{
    VRing *r = &f->ring[take(&f->in) % QUEUES];
    hwaddr table = r->size ? r->desc : 4096;
    unsigned i = take(&f->in), flags = take(&f->in), next = take(&f->in);
    hwaddr addr = take_addr(f);
    uint32_t len = take16(&f->in);

    if (flags & 0x80) { /* a table elsewhere */
        table = take_addr(f);
    }
    vd_desc(&f->g.d, table, i, addr, len ? len : take32(&f->in), flags & 7,
            next);
}

static void op_offer(Fuzz *f)
{
    VRing *r = &f->ring[take(&f->in) % QUEUES];
    unsigned head = take(&f->in);

    if (r->size) {
        vd_offer(&f->g.d, r, head);
        vd_kick(&f->g.d, r);
    }
}

/* A whole request, as blk's: header, data, status. */
static void op_request(Fuzz *f)
{
    VRing *r = &f->ring[take(&f->in) % QUEUES];
    hwaddr at = 0x20000 + take(&f->in) * 256;
    unsigned type = take(&f->in), sector = take(&f->in), len = take16(&f->in),
             head;

    if (!r->size) {
        return;
    }
    as_store(f->m->mem, at, type, 4);
    as_store(f->m->mem, at + 8, sector, 8);
    head = vd_add(&f->g.d, r, at, 16, 0, true);
    if (len) {
        vd_add(&f->g.d, r, at + 16, len, type & 1 ? 0 : VD_WRITE, true);
    }
    vd_add(&f->g.d, r, at + 0x1000, 1, VD_WRITE, false);
    vd_offer(&f->g.d, r, head);
    vd_kick(&f->g.d, r);
}

/* A frame from the cable, with whatever it says is left to do. */
static void op_frame(Fuzz *f)
{
    uint8_t bytes[256] = { 0 };
    size_t repeat = 1 + take(&f->in), n = take(&f->in), len = repeat * n;
    g_autofree uint8_t *buf = g_malloc(len + 1);
    struct iovec iov = { buf, len };
    NetFrame frame = { .iov = &iov, .n = 1, .queue = take(&f->in) };

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)take(&f->in);
    }
    for (size_t i = 0; i < repeat; i++) {
        memcpy(buf + i * n, bytes, n);
    }
    frame.off.flags = (uint8_t)take(&f->in);
    frame.off.gso_type = (uint8_t)take(&f->in);
    frame.off.hdr_len = (uint16_t)take16(&f->in);
    frame.off.gso_size = (uint16_t)take16(&f->in);
    frame.off.csum_start = (uint16_t)take(&f->in);
    frame.off.csum_offset = (uint16_t)take(&f->in);
    if (f->peer) {
        net_set_accepts(f->peer, take(&f->in));
        net_send_queued(f->peer, &frame);
    }
}

/* A SCSI command, its response and data; or a task management request. */
static void op_scsi(Fuzz *f)
{
    unsigned queue = take(&f->in) % QUEUES, where = take(&f->in), head;
    unsigned in = take16(&f->in), out = take16(&f->in);
    hwaddr at = 0x20000 + (where >> 1) * 256;
    VRing *r = &f->ring[queue];

    if (!r->size) {
        return;
    }
    as_store(f->m->mem, at, 1 | (where & 1) << 8, 8);
    for (unsigned n = queue ? 16 : 0; queue && n; n--) {
        as_store(f->m->mem, at + 19 + 16 - n, take(&f->in), 1);
    }
    if (!queue) {
        as_store(f->m->mem, at, 0, 4);
        as_store(f->m->mem, at + 4, take(&f->in) % 9, 4);
        as_store(f->m->mem, at + 8, 1 | (where & 1) << 8, 8);
    }
    head = vd_add(&f->g.d, r, at, queue ? 51 : 24, 0, true);
    if (out && queue) {
        vd_add(&f->g.d, r, at + 51, out, 0, true);
    }
    vd_add(&f->g.d, r, at + 0x1000, 108, VD_WRITE, in > 0);
    if (in) {
        vd_add(&f->g.d, r, at + 0x2000, in, VD_WRITE, false);
    }
    vd_offer(&f->g.d, r, head);
    vd_kick(&f->g.d, r);
}

static void op_memory(Fuzz *f)
{
    hwaddr at = take_addr(f);

    for (unsigned n = take(&f->in) % 32; n; n--) {
        as_store(f->m->mem, at++, take(&f->in), 1);
    }
}

static void op_loop(Fuzz *f)
{
    for (unsigned n = take(&f->in) % 8; n; n--) {
        mainloop_iterate(false);
    }
}

static void op_stop(Fuzz *f)
{
    g_assert_true(machine_start(f->m, NULL));
    if (take(&f->in) & 1) {
        machine_stop(f->m, RUN_PAUSED);
    }
}

static void op_machine_reset(Fuzz *f)
{
    f->g.dev->cls->reset(f->g.dev);
    if (f->g.slot) {
        f->g.slot->cls->reset(f->g.slot);
    }
    rig_map(&f->g);
}

static void op_time(Fuzz *f)
{
    qtest_step(&f->g.t.q, (int64_t)take16(&f->in) * 1000000);
}

/* Bytes for the guest, room for its own, or somebody comes or goes. */
static void op_line(Fuzz *f)
{
    unsigned what = take(&f->in), n = take(&f->in);
    Line *line = f->line[what & 1];
    uint8_t buf[256];

    if (!line) {
        return;
    }
    switch (what >> 1 & 3) {
    case 0:
        memset(buf, (int)n, sizeof(buf));
        line_send(line, buf, n);
        break;
    case 1:
        line_make_room(line, n & 1 ? SIZE_MAX : n);
        break;
    default:
        chardev_event(&line->c, n & 1 ? CHAR_OPENED : CHAR_CLOSED);
        break;
    }
}

/* A run of page numbers, as the balloon's driver writes them. */
static void op_pages(Fuzz *f)
{
    hwaddr at = 0x20000 + take(&f->in) * 256;
    uint32_t page = take16(&f->in), step = take(&f->in);

    for (unsigned n = take(&f->in); n; n--) {
        as_store(f->m->mem, at, page, 4);
        at += 4;
        page += step;
    }
}

static void op_monitor(Fuzz *f)
{
    uint64_t stats[BALLOON_STATS];
    int64_t when;

    balloon_set(f->m, (uint64_t)take(&f->in) << 14, NULL);
    balloon_stats(f->m, stats, &when, NULL);
}

/* The state goes out and comes back, perhaps with a byte changed. */
static void op_state(Fuzz *f)
{
    const DeviceClass *cls = f->g.dev->cls;
    g_autoptr(GByteArray) s = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    unsigned at = take16(&f->in), flip = take(&f->in);
    size_t pos = 0;
    bool ok;

    vmstate_save(s, cls->vmstate, f->g.dev, NULL);
    s->data[at % s->len] ^= flip;
    ok = vmstate_load(s, &pos, cls->vmstate, f->g.dev, &err);
    if (!ok && !flip) {
        g_error("%s: %s", cls->name, err->message);
    }
    if (!ok) {
        op_machine_reset(f);
    }
}

static void (*const ops[])(Fuzz *f) = {
    op_write_register, op_read_register, op_negotiate, op_queue,  op_ok,
    op_desc,           op_offer,         op_request,   op_memory, op_loop,
    op_stop,           op_machine_reset, op_state,     op_frame,  op_scsi,
    op_config,         op_wild_queue,    op_index,     op_time,   op_line,
    op_pages,          op_monitor,
};

/* ---- one input -------------------------------------------------------------------------- */

static void fuzz_start(Fuzz *f, const FuzzDevice *fd, RigKind kind)
{
    rig_start(&f->g, kind);
    f->m = f->g.t.q.m;
    g_assert_true(region_init_rom(&f->rom, "rom", 4096, NULL));
    as_map(f->m->mem, ROM, &f->rom, 1);
    if (fd->prepare) {
        fd->prepare(f);
    }
    rig_set(rig_device(&f->g, fd->mmio, fd->pci), fd->props);
    rig_plug(&f->g);
    if (fd->plug) {
        fd->plug(f);
    }
    g_assert_true(machine_start(f->m, NULL));
}

static void fuzz_end(Fuzz *f, const FuzzDevice *fd)
{
    vd_settle();
    if (fd->drain) {
        fd->drain(f);
    }
    rig_drop_devices(&f->g);
    net_free_all(f->m->netdevs);
    drives_free(f->m);
    if (f->disk.bytes) {
        mem_disk_clear(&f->disk);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (f->line[i]) {
            line_free(f->m, f->line[i]);
        }
    }
    as_unmap(&f->rom);
    region_fini(&f->rom);
    rig_end(&f->g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Fuzz f = { .in = { data, data + len } };
    const FuzzDevice *fd = &devices[take(&f.in) % G_N_ELEMENTS(devices)];
    unsigned n = 0;

    fuzz_start(&f, fd, take(&f.in) % RIG_KINDS);
    while (more(&f.in) && n++ < 200) {
        ops[take(&f.in) % G_N_ELEMENTS(ops)](&f);
    }
    fuzz_end(&f, fd);
    return 0;
}
