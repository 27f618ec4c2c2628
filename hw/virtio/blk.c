/*
 * virtio-blk: disks. virtio 1.2, 5.2.
 *
 * A request is a header of 16 bytes the device reads, data, and a status byte
 * the device writes. However the driver cuts them into buffers, the data goes
 * between guest memory and the block layer without a copy.
 *
 * Errors of the host go to the guest, or stop the machine (werror=, rerror=):
 * then the request waits, still taken as far as the ring is concerned, and
 * starts again when the machine goes on, here or where its state was loaded.
 *
 * Not modelled: SCSI commands (legacy), lifetime, secure erase, zones.
 */
#include "util/osdep.h"
#include <sys/timerfd.h>
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"
#include "util/mainloop.h"
#include "util/trace.h"
#include "hw/block/disk-props.h"
#include "hw/block/errors.h"
#include "hw/virtio/virtio.h"
#include "system/later.h"

extern const DeviceClass virtio_blk_device_class, virtio_blk_pci_class;

enum {
    F_SEG_MAX = 2,
    F_GEOMETRY = 4,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,
};

/* Offsets in the configuration space, 5.2.4. */
enum {
    CFG_CAPACITY = 0,
    CFG_SEG_MAX = 12,
    CFG_CYLINDERS = 16,
    CFG_HEADS = 18,
    CFG_SECTORS = 19,
    CFG_BLK_SIZE = 20,
    CFG_PHYSICAL_EXP = 24,
    CFG_MIN_IO_SIZE = 26,
    CFG_OPT_IO_SIZE = 28,
    CFG_WRITEBACK = 32,
    CFG_NUM_QUEUES = 34,
    CFG_MAX_DISCARD_SECTORS = 36,
    CFG_MAX_DISCARD_SEG = 40,
    CFG_DISCARD_ALIGNMENT = 44,
    CFG_MAX_ZEROES_SECTORS = 48,
    CFG_MAX_ZEROES_SEG = 52,
    CFG_ZEROES_MAY_UNMAP = 56,
    CFG_SIZE = 60,
};

enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
};

enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

enum {
    SECTOR = 512,
    HEADER_SIZE = 16,
    SEGMENT_SIZE = 16, /* of a discard */
    SEGMENT_F_UNMAP = 1,
    ID_SIZE = 20,
    MAX_SECTORS = INT32_MAX / SECTOR, /* of a request */
    QUEUES_AUTO = 0xffff,
};

/* See blk_notify(). */
enum {
    HOLD_WINDOW_NS = 150000,
    HOLD_WINDOWS = 4,
    HOLD_REQUESTS = 16,
    HOLD_PAUSE_MAX = 256,
};

typedef struct VirtioBlk {
    VirtioDevice v;
    Drive *drive;
    Blk *blk;
    unsigned in_flight;
    struct BlkRequest *stopped, **stopped_end; /* until the machine goes on */
    DriveErrors on_error;
    bool writeback;
    bool saved_writeback; /* at power-on */
    /* Interrupts that are held back, see blk_notify(). */
    int hold_fd; /* timer; -1: there is none */
    unsigned hold_watch;
    unsigned held, windows;  /* requests; windows since the first of them */
    unsigned pause, pausing; /* so many requests are not held back; still */
    uint64_t started, started_before; /* requests, until the window began */

    char *drive_prop; /* properties */
    char *serial, *write_cache, *werror, *rerror;
    uint32_t logical, physical, min_io, opt_io; /* bytes */
    uint32_t discard_granularity;
    uint32_t cyls, heads, secs;
    uint32_t max_discard, max_zeroes; /* sectors */
    uint32_t bootindex;
    uint16_t num_queues, queue_size;
    bool config_wce, discard, write_zeroes, seg_max_adjust, share_rw, merging;
} VirtioBlk;

typedef struct BlkRequest {
    VirtElem elem; /* first */
    VirtioBlk *s;
    VirtQueue *vq;
    struct BlkRequest *next;
    uint32_t type;
    uint64_t off, len; /* bytes */
    struct iovec *iov; /* the data, a part of elem.in or elem.out */
    int n;
    uint8_t *status; /* the last byte of elem.in, which iov leaves out */
    BlkOp op;
    unsigned flags;
} BlkRequest;

static VirtioBlk *blk_of(VirtioDevice *v)
{
    return container_of(v, VirtioBlk, v);
}

/* ---- the end of a request ------------------------------------------------------------ */

static void request_end(BlkRequest *r, uint8_t status)
{
    size_t written = r->elem.in_len;

    trace(virtio_blk_req_complete, (void *)r->s, (void *)r, status);
    *r->status = status;
    r->elem.in[r->elem.n_in - 1].iov_len++; /* see request_parse() */
    virtq_push(r->vq, &r->elem, written);
}

/* ---- interrupts -------------------------------------------------------------------------- */

/*
 * A guest with many requests gives them to us one by one, and a disk in the page
 * cache is quick: the first would be done, and interrupt the guest, before it
 * has come to the second. So the interrupt waits for a moment. If more requests
 * come in that time it was worth it, and the guest takes care of all of them at
 * once; if not, as many of the next requests as did not need it are not held
 * back, twice as many each time: a guest that waits for each of its requests
 * loses nothing. And it comes when the guest has nothing else to do, at once
 * then.
 */
static void hold_arm(VirtioBlk *s, bool on)
{
    const struct itimerspec t = { .it_value = { .tv_nsec =
                                                    on ? HOLD_WINDOW_NS : 0 } };

    timerfd_settime(s->hold_fd, 0, &t, NULL);
    s->started_before = s->started;
}

static bool hold_later(void *opaque, bool idle);

static void hold_end(VirtioBlk *s)
{
    if (!s->held) {
        return;
    }
    s->held = s->windows = 0;
    hold_arm(s, false);
    machine_not_later(s->v.pci.dev.machine, hold_later, s);
    for (unsigned i = 0; i < s->v.n_queues; i++) {
        virtq_notify(s->v.queue[i]);
    }
}

static bool hold_expired(int fd, GIOCondition cond, void *opaque)
{
    VirtioBlk *s = opaque;
    uint64_t n;

    if (read(fd, &n, sizeof(n)) != sizeof(n) || !s->held) {
        return true;
    }
    if (s->started == s->started_before) {
        s->pause = MIN(MAX(2 * s->pause, 4), HOLD_PAUSE_MAX);
        s->pausing = s->pause;
        hold_end(s);
    } else if (++s->windows == HOLD_WINDOWS) {
        s->pause = 0;
        hold_end(s);
    } else {
        hold_arm(s, true);
    }
    return true;
}

/* LaterFn: a guest that waits is not made to wait longer. */
static bool hold_later(void *opaque, bool idle)
{
    VirtioBlk *s = opaque;

    if (idle) {
        hold_end(s);
    }
    return idle || !s->held;
}

static void blk_notify(VirtioBlk *s, VirtQueue *vq)
{
    Machine *m = s->v.pci.dev.machine;

    if (s->hold_fd < 0 || m->state != RUN_RUNNING || machine_is_idle(m)) {
        virtq_notify(vq);
        return;
    }
    if (s->pausing) {
        s->pausing--;
        virtq_notify(vq);
        return;
    }
    if (!s->held++) {
        if (m->cpus_look && !machine_later(m, hold_later, s)) {
            s->held = 0;
            virtq_notify(vq);
            return;
        }
        hold_arm(s, true);
    } else if (s->held == HOLD_REQUESTS) {
        s->pause = 0;
        hold_end(s);
    }
}

static void hold_init(VirtioBlk *s)
{
    s->hold_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->hold_fd >= 0) {
        s->hold_watch = mainloop_add_fd(s->hold_fd, G_IO_IN, hold_expired, s);
    }
}

static void hold_fini(VirtioBlk *s)
{
    machine_not_later(s->v.pci.dev.machine, hold_later, s);
    if (s->hold_fd >= 0) {
        mainloop_remove(s->hold_watch);
        close(s->hold_fd);
    }
}

static void request_end_now(BlkRequest *r, uint8_t status)
{
    VirtioBlk *s = r->s;
    VirtQueue *vq = r->vq;

    request_end(r, status);
    blk_notify(s, vq);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void request_stop(BlkRequest *r)
{
    VirtioBlk *s = r->s;

    r->next = NULL;
    *s->stopped_end = r;
    s->stopped_end = &r->next;
    machine_request_stop(s->v.pci.dev.machine, RUN_IO_ERROR);
}

static void request_failed(BlkRequest *r, int err)
{
    VirtioBlk *s = r->s;

    switch (drive_error(&s->on_error, s->v.pci.dev.machine, s->blk,
                        r->op == BLK_READ, err)) {
    case ON_ERROR_STOP:
        request_stop(r);
        break;
    case ON_ERROR_IGNORE:
        request_end_now(r, S_OK);
        break;
    default:
        request_end_now(r, S_IOERR);
    }
}

static void request_done(void *opaque, int ret)
{
    BlkRequest *r = opaque;

    r->s->in_flight--;
    if (ret < 0) {
        request_failed(r, -ret);
    } else {
        request_end_now(r, S_OK);
    }
}

static void request_submit(BlkRequest *r)
{
    bool data = r->op == BLK_READ || r->op == BLK_WRITE;

    r->s->in_flight++;
    blk_submit(r->s->blk, r->op, r->off, r->len, data ? r->iov : NULL,
               data ? r->n : 0, r->flags, request_done, r);
}

/* ---- what the driver wants -------------------------------------------------------------- */

/* Cuts @skip bytes off the front of an array. */
static void iov_skip(struct iovec **iov, int *n, size_t skip)
{
    while (*n && skip >= (*iov)->iov_len) {
        skip -= (*iov)->iov_len;
        ++*iov;
        --*n;
    }
    if (*n) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + skip;
        (*iov)->iov_len -= skip;
    }
}

/*
 * Header, status byte, data. The last in buffer is made shorter by the status
 * byte until the request ends, and may be empty then. False: the driver left
 * out what must be there.
 */
static bool request_parse(BlkRequest *r, uint64_t *sector)
{
    VirtElem *e = &r->elem;
    uint8_t head[HEADER_SIZE];
    struct iovec *last;

    if (iov_to_buf(e->out, e->n_out, 0, head, HEADER_SIZE) < HEADER_SIZE ||
        !e->n_in) {
        virtio_broken(&r->s->v, "a request without %s",
                      e->n_in ? "a header" : "room for the status");
        return false;
    }
    r->type = ld_le32(head);
    *sector = ld_le64(head + 8);
    last = &e->in[e->n_in - 1];
    r->status = (uint8_t *)last->iov_base + --last->iov_len;
    if (r->type & T_OUT) {
        r->iov = e->out;
        r->n = e->n_out;
        r->len = e->out_len - HEADER_SIZE;
        iov_skip(&r->iov, &r->n, HEADER_SIZE);
    } else {
        r->iov = e->in;
        r->n = e->n_in - !last->iov_len;
        r->len = e->in_len - 1;
    }
    return true;
}

/* The place is whole logical blocks of the disk. */
static bool range_is_ok(const VirtioBlk *s, uint64_t sector, uint64_t len)
{
    uint64_t size = blk_size(s->blk);

    return sector <= size / SECTOR && len <= size - sector * SECTOR &&
           !(sector * SECTOR % s->logical) && !(len % s->logical);
}

/* These decide: S_OK has it submitted. */
static uint8_t request_transfer(BlkRequest *r, uint64_t sector)
{
    r->op = r->type == T_IN ? BLK_READ : BLK_WRITE;
    r->off = sector * SECTOR;
    if (r->op == BLK_READ) {
        trace(virtio_blk_handle_read, (void *)r->s, (void *)r, sector,
              (uint64_t)r->len / SECTOR);
    } else {
        trace(virtio_blk_handle_write, (void *)r->s, (void *)r, sector,
              (uint64_t)r->len / SECTOR);
    }
    if (!range_is_ok(r->s, sector, r->len)) {
        log_mask(LOG_GUEST_ERROR,
                 "virtio-blk: %" PRIu64 " bytes at sector %" PRIu64
                 " are beyond the disk or no whole blocks\n",
                 r->len, sector);
        return S_IOERR;
    }
    return S_OK;
}

static uint8_t request_range(BlkRequest *r, bool offered, uint32_t max)
{
    bool zeroes = r->type == T_WRITE_ZEROES;
    uint8_t seg[SEGMENT_SIZE];
    uint32_t sectors, flags;

    if (!offered) {
        return S_UNSUPP;
    }
    if (r->len != SEGMENT_SIZE) { /* max_*_seg says one */
        virtio_broken(&r->s->v, "%s with %" PRIu64 " bytes of ranges",
                      zeroes ? "zeroes" : "a discard", r->len);
        return S_IOERR;
    }
    iov_to_buf(r->iov, r->n, 0, seg, SEGMENT_SIZE);
    sectors = ld_le32(seg + 8);
    flags = ld_le32(seg + 12);
    if (flags & ~(uint32_t)SEGMENT_F_UNMAP || (!zeroes && flags)) {
        return S_UNSUPP;
    }
    r->op = zeroes ? BLK_ZERO : BLK_DISCARD;
    r->flags = flags ? ZERO_MAY_UNMAP : 0;
    r->off = ld_le64(seg) * SECTOR;
    r->len = (uint64_t)sectors * SECTOR;
    return sectors <= max && range_is_ok(r->s, ld_le64(seg), r->len) ? S_OK
                                                                     : S_IOERR;
}

static uint8_t request_decide(BlkRequest *r, uint64_t sector)
{
    const VirtioBlk *s = r->s;

    switch (r->type) {
    case T_IN:
    case T_OUT:
        return request_transfer(r, sector);
    case T_FLUSH:
        r->op = BLK_FLUSH;
        r->off = r->len = 0;
        return S_OK;
    case T_DISCARD:
        return request_range(r, s->discard, s->max_discard);
    case T_WRITE_ZEROES:
        return request_range(r, s->write_zeroes, s->max_zeroes);
    default:
        return S_UNSUPP;
    }
}

static void request_get_id(BlkRequest *r)
{
    const VirtioBlk *s = r->s;
    char id[ID_SIZE] = { 0 };

    memcpy(id, s->serial, MIN(strlen(s->serial), ID_SIZE));
    iov_from_buf(r->iov, r->n, 0, id, ID_SIZE);
    request_end(r, S_OK);
}

/* True: it has ended already. */
static bool request_start(BlkRequest *r)
{
    uint64_t sector;
    uint8_t status;

    r->flags = 0;
    if (!request_parse(r, &sector)) {
        virtq_forget(r->vq, &r->elem);
        return false;
    }
    if (r->type == T_GET_ID) {
        request_get_id(r);
        return true;
    }
    status = request_decide(r, sector);
    if (status == S_OK) {
        request_submit(r);
    } else {
        request_end(r, status);
    }
    return status != S_OK;
}

static void blk_handle(VirtioDevice *v, VirtQueue *vq)
{
    VirtioBlk *s = blk_of(v);
    bool ended = false;
    BlkRequest *r;

    blk_plug(s->blk);
    do {
        virtq_want_notify(vq, false);
        while ((r = virtq_pop(vq, sizeof(*r)))) {
            r->s = s;
            r->vq = vq;
            s->started++;
            ended |= request_start(r);
        }
    } while (virtq_want_notify(vq, true));
    blk_unplug(s->blk);
    if (ended) {
        virtq_notify(vq);
    }
}

/* ---- configuration ------------------------------------------------------------------------- */

static uint64_t blk_features(VirtioDevice *v)
{
    const VirtioBlk *s = blk_of(v);
    uint64_t f = VIRTIO_BIT(F_SEG_MAX) | VIRTIO_BIT(F_GEOMETRY) |
                 VIRTIO_BIT(F_BLK_SIZE) | VIRTIO_BIT(F_TOPOLOGY);

    if (blk_read_only(s->blk)) {
        f |= VIRTIO_BIT(F_RO);
    }
    if (s->config_wce) {
        f |= VIRTIO_BIT(F_CONFIG_WCE);
    }
    if (s->config_wce || s->writeback) {
        f |= VIRTIO_BIT(F_FLUSH);
    }
    if (s->num_queues > 1) {
        f |= VIRTIO_BIT(F_MQ);
    }
    if (s->discard) {
        f |= VIRTIO_BIT(F_DISCARD);
    }
    if (s->write_zeroes) {
        f |= VIRTIO_BIT(F_WRITE_ZEROES);
    }
    return f;
}

static void blk_set_writeback(VirtioBlk *s, bool on)
{
    s->writeback = on;
    blk_set_write_cache(s->blk, on);
}

/* A driver that cannot flush must not need to. 5.2.6.2 */
static bool blk_set_features(VirtioDevice *v, uint64_t features)
{
    if (!(features & VIRTIO_BIT(F_CONFIG_WCE))) {
        blk_set_writeback(blk_of(v), features >> F_FLUSH & 1 &&
                                         blk_of(v)->saved_writeback);
    }
    return true;
}

/* As many cylinders as a disk of @size has, with the usual heads and sectors
 * unless given. */
static void blk_get_geometry(const VirtioBlk *s, uint8_t *config)
{
    uint32_t heads = s->heads ? s->heads : 16, secs = s->secs ? s->secs : 63;
    uint64_t cyls = blk_size(s->blk) / SECTOR / (heads * secs);

    st_le16(config + CFG_CYLINDERS,
            (uint16_t)(s->cyls ? s->cyls : CLAMP(cyls, 2, 16383)));
    config[CFG_HEADS] = (uint8_t)heads;
    config[CFG_SECTORS] = (uint8_t)secs;
}

static void blk_get_config(VirtioDevice *v, uint8_t *config)
{
    const VirtioBlk *s = blk_of(v);
    uint32_t granularity =
        s->discard_granularity ? s->discard_granularity : s->logical;

    st_le64(config + CFG_CAPACITY, blk_size(s->blk) / SECTOR);
    st_le32(config + CFG_SEG_MAX,
            s->seg_max_adjust ? (uint32_t)s->queue_size - 2 : 126);
    blk_get_geometry(s, config);
    st_le32(config + CFG_BLK_SIZE, s->logical);
    config[CFG_PHYSICAL_EXP] = (uint8_t)__builtin_ctz(s->physical / s->logical);
    st_le16(config + CFG_MIN_IO_SIZE, (uint16_t)(s->min_io / s->logical));
    st_le32(config + CFG_OPT_IO_SIZE, s->opt_io / s->logical);
    config[CFG_WRITEBACK] = s->writeback;
    st_le16(config + CFG_NUM_QUEUES, s->num_queues);
    if (s->discard) {
        st_le32(config + CFG_MAX_DISCARD_SECTORS, s->max_discard);
        st_le32(config + CFG_MAX_DISCARD_SEG, 1);
        st_le32(config + CFG_DISCARD_ALIGNMENT, granularity / SECTOR);
    }
    if (s->write_zeroes) {
        st_le32(config + CFG_MAX_ZEROES_SECTORS, s->max_zeroes);
        st_le32(config + CFG_MAX_ZEROES_SEG, 1);
        config[CFG_ZEROES_MAY_UNMAP] = 1;
    }
}

static void blk_set_config(VirtioDevice *v, const uint8_t *config)
{
    VirtioBlk *s = blk_of(v);

    if (virtio_has(v, F_CONFIG_WCE)) {
        blk_set_writeback(s, config[CFG_WRITEBACK] & 1);
    }
}

static void blk_resized(Device *dev)
{
    virtio_config_changed(&container_of(dev, VirtioBlk, v.pci.dev)->v);
}

/* ---- stop, go on, reset ---------------------------------------------------------------------- */

static BlkRequest *take_stopped(VirtioBlk *s)
{
    BlkRequest *list = s->stopped;

    s->stopped = NULL;
    s->stopped_end = &s->stopped;
    return list;
}

static void blk_machine_event(Machine *m, const char *event,
                              const EventValue *values, void *opaque)
{
    VirtioBlk *s = opaque;
    BlkRequest *next;

    if (strcmp(event, "STOP") == 0) {
        hold_end(s); /* nobody must miss it in the state that is saved now */
    }
    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    for (BlkRequest *r = take_stopped(s); r; r = next) {
        next = r->next;
        request_submit(r);
    }
}

static void forget_stopped(VirtioBlk *s)
{
    BlkRequest *next;

    for (BlkRequest *r = take_stopped(s); r; r = next) {
        next = r->next;
        virtq_forget(r->vq, &r->elem);
    }
}

static bool blk_busy(VirtioDevice *v)
{
    return blk_of(v)->in_flight != 0;
}

static void blk_reset(VirtioDevice *v)
{
    VirtioBlk *s = blk_of(v);

    blk_drain(s->blk);
    forget_stopped(s);
    s->held = s->windows = s->pause = s->pausing = 0;
    blk_set_writeback(s, s->saved_writeback);
}

static const VirtioOps virtio_blk_ops = {
    .name = "virtio-blk",
    .id = 2,
    .pci_class = 0x010000, /* a SCSI controller, as drivers expect */
    .config_size = CFG_SIZE,
    .patient = true,
    .features = blk_features,
    .set_features = blk_set_features,
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .busy = blk_busy,
    .reset = blk_reset,
};

/* ---- properties -------------------------------------------------------------------------------- */

static bool check_io_size(const VirtioBlk *s, const char *name, uint32_t size,
                          GError **errp)
{
    if (size % s->logical) {
        error_setg(errp, "%s must be a multiple of logical_block_size (%u)",
                   name, s->logical);
        return false;
    }
    return true;
}

static bool check_topology(VirtioBlk *s, GError **errp)
{
    s->logical = s->logical ? s->logical : SECTOR;
    s->physical = s->physical ? s->physical : MAX(s->logical, SECTOR);
    if (!disk_check_block_sizes(s->logical, s->physical, errp) ||
        !check_io_size(s, "min_io_size", s->min_io, errp) ||
        !check_io_size(s, "opt_io_size", s->opt_io, errp) ||
        !check_io_size(s, "discard_granularity", s->discard_granularity,
                       errp)) {
        return false;
    }
    if (s->min_io / s->logical > UINT16_MAX) {
        error_setg(errp, "min_io_size must not exceed %u logical blocks",
                   UINT16_MAX);
        return false;
    }
    if (s->heads > 255 || s->secs > 255 || s->cyls > 65535) {
        error_setg(errp, "cyls must be at most 65535, heads and secs 255");
        return false;
    }
    return true;
}

static bool check_queues(VirtioBlk *s, GError **errp)
{
    if (s->num_queues == QUEUES_AUTO) {
        s->num_queues = strcmp(s->v.pci.dev.cls->bus, "PCI") == 0
                            ? (uint16_t)MAX(s->v.pci.dev.machine->ncpus, 1)
                            : 1;
    }
    if (!s->num_queues || s->num_queues > VIRTIO_MAX_QUEUES) {
        error_setg(errp, "num-queues must be 1 to %d, not %u",
                   VIRTIO_MAX_QUEUES, s->num_queues);
        return false;
    }
    if (!is_pow2(s->queue_size) || s->queue_size > VIRTQ_MAX_SIZE ||
        s->queue_size < 4) {
        error_setg(errp,
                   "queue-size must be a power of two from 4 to %d, not %u",
                   VIRTQ_MAX_SIZE, s->queue_size);
        return false;
    }
    if (!s->max_discard || s->max_discard > MAX_SECTORS || !s->max_zeroes ||
        s->max_zeroes > MAX_SECTORS) {
        error_setg(errp,
                   "max-discard-sectors and max-write-zeroes-sectors must be "
                   "1 to %d",
                   MAX_SECTORS);
        return false;
    }
    return true;
}

static bool check_cache(VirtioBlk *s, GError **errp)
{
    bool on;

    if (!disk_write_cache(s->write_cache, blk_node(s->blk), &on, errp)) {
        return false;
    }
    s->saved_writeback = on;
    blk_set_writeback(s, on);
    return true;
}

static bool check_medium(VirtioBlk *s, GError **errp)
{
    if (!blk_node(s->blk)) {
        error_setg(errp, "Device needs media, but drive is empty");
        return false;
    }
    if (!s->serial) {
        s->serial = g_strdup(s->drive->serial ? s->drive->serial : "");
    }
    if (strlen(s->serial) > ID_SIZE) {
        error_setg(errp, "serial has %zu characters, at most %d fit",
                   strlen(s->serial), ID_SIZE);
        return false;
    }
    return true;
}

/* ---- life ----------------------------------------------------------------------------------------- */

static bool blk_check(VirtioBlk *s, GError **errp)
{
    return check_medium(s, errp) && check_topology(s, errp) &&
           check_queues(s, errp) &&
           drive_errors_parse(&s->on_error, s->drive, s->werror, s->rerror,
                              errp) &&
           check_cache(s, errp);
}

static bool blk_realize(Device *dev, GError **errp)
{
    VirtioBlk *s = container_of(dev, VirtioBlk, v.pci.dev);

    s->drive = drive_take(dev->machine, s->drive_prop, dev, errp);
    if (!s->drive) {
        return false;
    }
    s->blk = s->drive->blk;
    take_stopped(s);
    if (!blk_check(s, errp)) {
        drive_release(s->drive);
        return false;
    }
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(&s->v, s->queue_size, blk_handle);
    }
    if (!virtio_realize(&s->v, &virtio_blk_ops, errp)) {
        drive_release(s->drive);
        return false;
    }
    s->drive->resized = blk_resized;
    hold_init(s);
    machine_watch(dev->machine, blk_machine_event, s);
    return true;
}

static void blk_unrealize(Device *dev)
{
    VirtioBlk *s = container_of(dev, VirtioBlk, v.pci.dev);

    blk_drain(s->blk);
    forget_stopped(s);
    machine_unwatch(dev->machine, blk_machine_event, s);
    hold_fini(s);
    virtio_unrealize(&s->v);
    drive_release(s->drive);
}

static void blk_class_reset(Device *dev)
{
    virtio_reset(&container_of(dev, VirtioBlk, v.pci.dev)->v);
}

static bool blk_post_load(void *obj, int version, GError **errp)
{
    VirtioBlk *s = obj;

    forget_stopped(s);
    blk_set_write_cache(s->blk, s->writeback);
    return true;
}

VIRTIO_VMSTATES(virtio_blk, "virtio-blk", VirtioBlk, blk_post_load,
                VM_BOOL(VirtioBlk, writeback))

/* clang-format off */
#define PROP(name, kind, field, defval, help) \
    { name, kind, offsetof(VirtioBlk, field), defval, help }

#define BLK_PROPS \
    PROP("drive", PROP_DRIVE, drive_prop, 0, \
         "disk: id of -drive or node name of -blockdev"), \
    PROP("serial", PROP_STRING, serial, 0, \
         "what the guest reads as the disk's serial number"), \
    PROP("num-queues", PROP_U16, num_queues, QUEUES_AUTO, \
         "request queues (on PCI one for each CPU, else 1)"), \
    PROP("queue-size", PROP_U16, queue_size, 256, "entries of each queue"), \
    PROP("seg-max-adjust", PROP_BOOL, seg_max_adjust, 1, \
         "allow as many buffers in a request as the queue has room for"), \
    PROP("logical_block_size", PROP_U32, logical, 0, \
         "smallest unit of transfer, bytes (512)"), \
    PROP("physical_block_size", PROP_U32, physical, 0, \
         "smallest unit written without reading, bytes"), \
    PROP("min_io_size", PROP_U32, min_io, 0, "smallest good transfer, bytes"), \
    PROP("opt_io_size", PROP_U32, opt_io, 0, "best transfer, bytes"), \
    PROP("discard", PROP_BOOL, discard, 1, "offer discards"), \
    PROP("discard_granularity", PROP_U32, discard_granularity, 0, \
         "unit of discards, bytes"), \
    PROP("max-discard-sectors", PROP_U32, max_discard, MAX_SECTORS, \
         "sectors of one discard"), \
    PROP("write-zeroes", PROP_BOOL, write_zeroes, 1, "offer write zeroes"), \
    PROP("max-write-zeroes-sectors", PROP_U32, max_zeroes, MAX_SECTORS, \
         "sectors of one write zeroes"), \
    PROP("write-cache", PROP_STRING, write_cache, (uintptr_t)"auto", \
         "at power-on: on, off, or auto, as the drive's cache="), \
    PROP("config-wce", PROP_BOOL, config_wce, 1, \
         "the guest may turn the write cache on and off"), \
    PROP("werror", PROP_STRING, werror, 0, \
         "when a write fails: report, stop, ignore, enospc"), \
    PROP("rerror", PROP_STRING, rerror, 0, \
         "when a read fails: report, stop, ignore"), \
    PROP("share-rw", PROP_BOOL, share_rw, 0, \
         "others may write to the image as well"), \
    PROP("request-merging", PROP_BOOL, merging, 1, \
         "accepted: the block layer decides"), \
    PROP("cyls", PROP_U32, cyls, 0, "cylinders of the old geometry"), \
    PROP("heads", PROP_U32, heads, 0, "heads"), \
    PROP("secs", PROP_U32, secs, 0, "sectors of a track"), \
    PROP("bootindex", PROP_U32, bootindex, UINT32_MAX, \
         "for firmware: place in the boot order")
/* clang-format on */

static const Property virtio_blk_device_props[] = {
    BLK_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_blk_device_class = {
    .name = "virtio-blk-device",
    .desc = "Disk, on virtio-mmio",
    .category = DEVICE_STORAGE,
    .bus = "virtio-bus",
    .size = sizeof(VirtioBlk),
    .props = virtio_blk_device_props,
    .vmstate = &vmstate_virtio_blk_device,
    .realize = blk_realize,
    .reset = blk_class_reset,
    .unrealize = blk_unrealize,
};

static const Property virtio_blk_pci_props[] = {
    BLK_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_blk_pci_class = {
    .name = "virtio-blk-pci",
    .alias = "virtio-blk",
    .desc = "Disk",
    .category = DEVICE_STORAGE,
    .bus = "PCI",
    .size = sizeof(VirtioBlk),
    .props = virtio_blk_pci_props,
    .vmstate = &vmstate_virtio_blk_pci,
    .realize = blk_realize,
    .reset = blk_class_reset,
    .unrealize = blk_unrealize,
};
