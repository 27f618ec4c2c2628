/*
 * virtio-balloon: memory that the guest gives back. virtio 1.2, 5.5.
 *
 * Pages that the guest puts into the balloon, or reports as free, go back to the
 * host (MADV_DONTNEED); it may use them again at any time and then finds zeroes.
 * While a snapshot lies under the RAM nothing is given back: dropped pages would
 * show the snapshot's old bytes.
 *
 * Not modelled: free page hints (they serve live migration).
 */
#include "util/osdep.h"
#include <sys/mman.h>
#include "hw/virtio/balloon.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

extern const DeviceClass virtio_balloon_device_class, virtio_balloon_pci_class;

enum {
    F_MUST_TELL_HOST = 0,
    F_STATS_VQ = 1,
    F_DEFLATE_ON_OOM = 2,
    F_PAGE_POISON = 4,
    F_REPORTING = 5,
};

enum {
    CFG_NUM_PAGES = 0,
    CFG_ACTUAL = 4,
    CFG_POISON = 12,
    CFG_SIZE = 16,
};

enum {
    QUEUE_SIZE = 128,
    STATS_QUEUE_SIZE = 128,
    REPORTING_QUEUE_SIZE = 32,
    PFN_SHIFT = 12,
    PAGE = 1 << PFN_SHIFT,
    STAT_SIZE = 10, /* u16 tag, u64 value */
    PFNS_AT_ONCE = 256,
    PFNS_MAX = 1 << 20, /* of one buffer; drivers give some hundreds */
};

typedef struct VirtioBalloon {
    VirtioDevice v;
    VirtQueue *inflate, *deflate, *stats_vq, *reporting;
    VirtElem *stats_elem; /* the guest waits for us to ask */
    uint32_t num_pages, actual, poison;
    uint64_t stats[BALLOON_STATS];
    int64_t stats_when;
    Timer poll;

    bool deflate_on_oom, page_poison, free_page_reporting; /* properties */
    uint32_t poll_seconds;
} VirtioBalloon;

static VirtioBalloon *balloon_of(VirtioDevice *v)
{
    return container_of(v, VirtioBalloon, v);
}

/* ---- pages ---------------------------------------------------------------------- */

static void give_back(VirtioBalloon *s, hwaddr addr, hwaddr len)
{
    Machine *m = s->v.pci.dev.machine;
    uint8_t *p = as_ram(m->mem, addr, len, true);
    const FlatRange *f = as_find(m->mem, addr);

    if (!p) {
        log_mask(LOG_GUEST_ERROR,
                 "virtio-balloon: 0x%" PRIx64 " is not in RAM\n", addr);
        return;
    }
    if (m->snapshot || !f->region->ram_owned) {
        return;
    }
    if (madvise(p, len, MADV_DONTNEED) == 0) {
        as_ram_written(m->mem, addr, len);
    }
}

/* Runs of neighbours go in one call. */
typedef struct Run {
    hwaddr addr, len;
} Run;

static void run_flush(VirtioBalloon *s, Run *run)
{
    if (run->len) {
        give_back(s, run->addr, run->len);
    }
    run->len = 0;
}

static void run_add(VirtioBalloon *s, Run *run, hwaddr addr)
{
    if (run->len && run->addr + run->len == addr) {
        run->len += PAGE;
    } else if (run->len && addr + PAGE == run->addr) {
        run->addr = addr;
        run->len += PAGE;
    } else {
        run_flush(s, run);
        *run = (Run) { addr, PAGE };
    }
}

static void inflate_elem(VirtioBalloon *s, const VirtElem *e)
{
    uint64_t pages = s->v.pci.dev.machine->cfg.ram_size >> PFN_SHIFT;
    size_t end = 4 * MIN(pages, PFNS_MAX); /* each of them once */
    uint8_t pfns[4 * PFNS_AT_ONCE];
    Run run = { 0 };
    size_t n;

    if (e->out_len > end) {
        log_mask(LOG_GUEST_ERROR,
                 "virtio-balloon: a list of %zu pages, the first %zu count\n",
                 e->out_len / 4, end / 4);
    }
    for (size_t at = 0; (n = iov_to_buf(e->out, e->n_out, at, pfns,
                                        MIN(sizeof(pfns), end - at))) >= 4;
         at += n & ~(size_t)3) {
        for (size_t i = 0; i + 4 <= n; i += 4) {
            run_add(s, &run, (hwaddr)ld_le32(pfns + i) << PFN_SHIFT);
        }
    }
    run_flush(s, &run);
}

static void balloon_inflate(VirtioDevice *v, VirtQueue *vq)
{
    VirtElem *e;

    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        inflate_elem(balloon_of(v), e);
        virtq_push(vq, e, 0);
    }
    virtq_notify(vq);
}

/* Pages come back by being used. */
static void balloon_deflate(VirtioDevice *v, VirtQueue *vq)
{
    VirtElem *e;

    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        virtq_push(vq, e, 0);
    }
    virtq_notify(vq);
}

/* Free pages are buffers that the device may write: it empties them. With a
 * poison that is not zero they must keep it. */
static void balloon_report(VirtioDevice *v, VirtQueue *vq)
{
    VirtioBalloon *s = balloon_of(v);
    VirtElem *e;

    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        for (int i = 0; i < e->n_in && !s->poison; i++) {
            hwaddr from = (e->in_addr[i] + PAGE - 1) & ~(hwaddr)(PAGE - 1);
            hwaddr to =
                (e->in_addr[i] + e->in[i].iov_len) & ~(hwaddr)(PAGE - 1);

            if (to > from) {
                give_back(s, from, to - from);
            }
        }
        virtq_push(vq, e, 0);
    }
    virtq_notify(vq);
}

/* ---- statistics ------------------------------------------------------------------ */

static void stats_forget(VirtioBalloon *s)
{
    memset(s->stats, 0xff, sizeof(s->stats));
    s->stats_when = 0;
}

static void stats_parse(VirtioBalloon *s, const VirtElem *e)
{
    uint8_t stat[STAT_SIZE];

    for (size_t at = 0;
         at < STATS_QUEUE_SIZE * STAT_SIZE &&
         iov_to_buf(e->out, e->n_out, at, stat, STAT_SIZE) == STAT_SIZE;
         at += STAT_SIZE) {
        uint16_t tag = ld_le16(stat);

        if (tag < BALLOON_STATS) {
            s->stats[tag] = ld_le64(stat + 2);
        }
    }
    s->stats_when = g_get_real_time() / G_USEC_PER_SEC;
}

static void stats_arm(VirtioBalloon *s)
{
    if (s->poll_seconds) {
        timer_arm(&s->poll, clock_ns(s->v.pci.dev.machine->vclock) +
                                (int64_t)s->poll_seconds * 1000000000);
    }
}

/* The guest answers; its buffer stays here until we ask again. */
static void balloon_stats_come(VirtioDevice *v, VirtQueue *vq)
{
    VirtioBalloon *s = balloon_of(v);
    VirtElem *e;

    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        if (s->stats_elem) { /* it has only one to give */
            virtq_push(vq, s->stats_elem, 0);
            virtq_notify(vq);
        }
        s->stats_elem = e;
        stats_parse(s, e);
        stats_arm(s);
    }
}

static void stats_ask(void *opaque)
{
    VirtioBalloon *s = opaque;

    if (!s->stats_elem) {
        stats_arm(s);
        return;
    }
    virtq_push(s->stats_vq, s->stats_elem, 0);
    s->stats_elem = NULL;
    virtq_notify(s->stats_vq);
}

/* ---- the device ------------------------------------------------------------------- */

static uint64_t balloon_features(VirtioDevice *v)
{
    VirtioBalloon *s = balloon_of(v);

    return VIRTIO_BIT(F_STATS_VQ) |
           (s->deflate_on_oom ? VIRTIO_BIT(F_DEFLATE_ON_OOM) : 0) |
           (s->page_poison ? VIRTIO_BIT(F_PAGE_POISON) : 0) |
           (s->free_page_reporting ? VIRTIO_BIT(F_REPORTING) : 0);
}

static void balloon_get_config(VirtioDevice *v, uint8_t *config)
{
    VirtioBalloon *s = balloon_of(v);

    st_le32(config + CFG_NUM_PAGES, s->num_pages);
    st_le32(config + CFG_ACTUAL, s->actual);
    st_le32(config + CFG_POISON, s->poison);
}

static uint64_t actual_bytes(const VirtioBalloon *s)
{
    uint64_t ram = s->v.pci.dev.machine->cfg.ram_size;
    uint64_t taken = (uint64_t)s->actual << PFN_SHIFT;

    return ram > taken ? ram - taken : 0;
}

static void balloon_set_config(VirtioDevice *v, const uint8_t *config)
{
    VirtioBalloon *s = balloon_of(v);
    uint32_t old = s->actual;

    s->actual = ld_le32(config + CFG_ACTUAL);
    s->poison = virtio_has(v, F_PAGE_POISON) ? ld_le32(config + CFG_POISON) : 0;
    if (s->actual != old) {
        machine_emit(v->pci.dev.machine, "BALLOON_CHANGE",
                     EVENT_INT("actual", (int64_t)actual_bytes(s)));
    }
}

static void balloon_dev_reset(VirtioDevice *v)
{
    VirtioBalloon *s = balloon_of(v);

    if (s->stats_elem) {
        virtq_forget(s->stats_vq, s->stats_elem);
        s->stats_elem = NULL;
    }
    timer_cancel(&s->poll);
    stats_forget(s);
    s->poison = 0;
}

static const VirtioOps virtio_balloon_ops = {
    .name = "virtio-balloon",
    .id = 5,
    .pci_class = 0x00ff00,
    .config_size = CFG_SIZE,
    .features = balloon_features,
    .get_config = balloon_get_config,
    .set_config = balloon_set_config,
    .reset = balloon_dev_reset,
};

/* ---- the monitor ------------------------------------------------------------------ */

static VirtioBalloon *find_balloon(Machine *m, GError **errp)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];

        if (dev->cls == &virtio_balloon_pci_class ||
            dev->cls == &virtio_balloon_device_class) {
            return container_of(dev, VirtioBalloon, v.pci.dev);
        }
    }
    error_set_class(errp, ERROR_CLASS_DEVICE_NOT_ACTIVE,
                    "No balloon device has been activated");
    return NULL;
}

bool balloon_set(Machine *m, uint64_t bytes, GError **errp)
{
    VirtioBalloon *s = find_balloon(m, errp);

    if (!s) {
        return false;
    }
    if (!bytes) {
        error_setg(errp, "Parameter 'target' expects a size");
        return false;
    }
    bytes = MIN(bytes, m->cfg.ram_size);
    s->num_pages = (uint32_t)((m->cfg.ram_size - bytes) >> PFN_SHIFT);
    virtio_config_changed(&s->v);
    return true;
}

bool balloon_actual(Machine *m, uint64_t *bytes, GError **errp)
{
    VirtioBalloon *s = find_balloon(m, errp);

    if (s) {
        *bytes = actual_bytes(s);
    }
    return s != NULL;
}

bool balloon_stats(Machine *m, uint64_t stats[BALLOON_STATS], int64_t *when,
                   GError **errp)
{
    VirtioBalloon *s = find_balloon(m, errp);

    if (s) {
        memcpy(stats, s->stats, sizeof(s->stats));
        *when = s->stats_when;
    }
    return s != NULL;
}

bool balloon_poll_stats(Machine *m, uint32_t seconds, GError **errp)
{
    VirtioBalloon *s = find_balloon(m, errp);

    if (s) {
        s->poll_seconds = seconds;
        timer_cancel(&s->poll);
        stats_arm(s);
    }
    return s != NULL;
}

/* ---- class ---------------------------------------------------------------------- */

static bool balloon_realize(Device *dev, GError **errp)
{
    VirtioBalloon *s = container_of(dev, VirtioBalloon, v.pci.dev);

    if (find_balloon(dev->machine, NULL)) {
        error_setg(errp, "Only one balloon device is supported");
        return false;
    }
    stats_forget(s);
    timer_init(&s->poll, dev->machine->vclock, stats_ask, s);
    s->inflate = virtio_add_queue(&s->v, QUEUE_SIZE, balloon_inflate);
    s->deflate = virtio_add_queue(&s->v, QUEUE_SIZE, balloon_deflate);
    s->stats_vq = virtio_add_queue(&s->v, STATS_QUEUE_SIZE, balloon_stats_come);
    if (s->free_page_reporting) {
        s->reporting =
            virtio_add_queue(&s->v, REPORTING_QUEUE_SIZE, balloon_report);
    }
    return virtio_realize(&s->v, &virtio_balloon_ops, errp);
}

static void balloon_unrealize(Device *dev)
{
    VirtioBalloon *s = container_of(dev, VirtioBalloon, v.pci.dev);

    balloon_dev_reset(&s->v);
    virtio_unrealize(&s->v);
}

static void balloon_reset(Device *dev)
{
    VirtioBalloon *s = container_of(dev, VirtioBalloon, v.pci.dev);

    virtio_reset(&s->v);
    s->actual = 0;
}

/* What the guest waits for with its statistics comes again from the ring. */
static bool balloon_post_load(void *obj, int version, GError **errp)
{
    VirtioBalloon *s = obj;

    g_clear_pointer(&s->stats_elem, g_free);
    return true;
}

VIRTIO_VMSTATES(balloon, "virtio-balloon", VirtioBalloon, balloon_post_load,
                VM_U32(VirtioBalloon, num_pages), VM_U32(VirtioBalloon, actual),
                VM_U32(VirtioBalloon, poison),
                VM_TIMER_FIELD(VirtioBalloon, poll))

/* clang-format off */
#define BALLOON_PROPS \
    { "deflate-on-oom", PROP_BOOL, offsetof(VirtioBalloon, deflate_on_oom), 0, \
      "the guest may take pages back when it runs out of memory" }, \
    { "page-poison", PROP_BOOL, offsetof(VirtioBalloon, page_poison), 1, \
      "the guest may say what its free pages are filled with" }, \
    { "free-page-reporting", PROP_BOOL, \
      offsetof(VirtioBalloon, free_page_reporting), 0, \
      "take pages that the guest reports as free" }, \
    { "guest-stats-polling-interval", PROP_U32, \
      offsetof(VirtioBalloon, poll_seconds), 0, \
      "seconds between two statistics of the guest; 0: none" }
/* clang-format on */

static const Property balloon_device_props[] = {
    BALLOON_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_balloon_device_class = {
    .name = "virtio-balloon-device",
    .desc = "Memory balloon, on virtio-mmio",
    .category = DEVICE_MISC,
    .bus = "virtio-bus",
    .size = sizeof(VirtioBalloon),
    .props = balloon_device_props,
    .vmstate = &vmstate_balloon_device,
    .realize = balloon_realize,
    .reset = balloon_reset,
    .unrealize = balloon_unrealize,
};

static const Property balloon_pci_props[] = {
    BALLOON_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_balloon_pci_class = {
    .name = "virtio-balloon-pci",
    .alias = "virtio-balloon",
    .desc = "Memory balloon",
    .category = DEVICE_MISC,
    .bus = "PCI",
    .size = sizeof(VirtioBalloon),
    .props = balloon_pci_props,
    .vmstate = &vmstate_balloon_pci,
    .realize = balloon_realize,
    .reset = balloon_reset,
    .unrealize = balloon_unrealize,
};
