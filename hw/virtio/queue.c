/*
 * Split virtqueues. virtio 1.2, 2.7; legacy layout: 2.7.2.
 *
 * The driver owns the descriptor table and the available ring, the device the
 * used ring. All three are guest memory that vCPUs change while we look: every
 * value is fetched once and checked before it is used.
 *
 * Who sees what when: a driver fills descriptors, then moves avail.idx (our
 * acquire pairs with its release); we fill a used element, then move used.idx
 * with release. Before either side decides not to disturb the other it must
 * have published its index, hence the full fences before the two looks at flags
 * and event indices (2.7.7, 2.7.10).
 *
 * Rings and buffers are RAM. What is not (device registers, holes) breaks the
 * device: no driver asks for it, and QEMU carries it out only as long as its
 * one bounce buffer is free.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/virtio/queue.h"

enum {
    DESC_SIZE = 16,
    DESC_F_NEXT = 1,
    DESC_F_WRITE = 2,
    DESC_F_INDIRECT = 4,
    AVAIL_F_NO_INTERRUPT = 1,
    USED_F_NO_NOTIFY = 1,
    RING_IDX = 2,  /* in both rings: flags, idx, then the ring */
    RING_ELEM = 4, /* ... from here */
    USED_ELEM_SIZE = 8,
    IOV_MAX_PARTS = VIRTQ_MAX_SIZE, /* buffers of one request */
};

/* ---- the ring in memory --------------------------------------------------------- */

static AddressSpace *virtq_mem(const VirtQueue *vq)
{
    return vq->v->pci.dev.machine->mem;
}

static uint16_t ring_load(const uint8_t *p, int order)
{
    uint16_t v = order == __ATOMIC_ACQUIRE
                     ? __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE)
                     : __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);

    return GUINT16_FROM_LE(v);
}

/* Release: what was written before is seen first. */
static void ring_store(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, GUINT16_TO_LE(v), __ATOMIC_RELEASE);
}

static void ring_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool has_event_idx(const VirtQueue *vq)
{
    return virtio_has(vq->v, VIRTIO_F_EVENT_IDX);
}

static bool virtq_map(VirtQueue *vq, uint64_t generation)
{
    AddressSpace *mem = virtq_mem(vq);
    VirtqSetup *s = &vq->s;
    unsigned event = has_event_idx(vq) ? 2 : 0;
    RingMap m = {
        .generation = generation,
        .desc_addr = s->desc,
        .avail_addr = s->avail,
        .used_addr = s->used,
        .size = s->size,
        .desc = as_ram(mem, s->desc, DESC_SIZE * s->size, false),
        .avail = as_ram(mem, s->avail, RING_ELEM + 2 * s->size + event, false),
        .used = as_ram(mem, s->used,
                       RING_ELEM + USED_ELEM_SIZE * s->size + event, true),
    };

    if (s->desc % 16 || s->avail % 2 || s->used % 4 || !m.desc || !m.avail ||
        !m.used) {
        vq->map.generation = 0;
        virtio_broken(vq->v,
                      "queue %u: its rings at 0x%" PRIx64 ", 0x%" PRIx64
                      " and 0x%" PRIx64 " are not in RAM or not aligned",
                      vq->index, s->desc, s->avail, s->used);
        return false;
    }
    vq->map = m;
    return true;
}

/* The ring may be used, and vq->map is right. */
static bool virtq_open(VirtQueue *vq)
{
    const VirtioDevice *v = vq->v;
    const RingMap *m = &vq->map;
    uint64_t generation = as_generation(virtq_mem(vq)) + 1;

    if (!vq->s.enabled || v->broken ||
        (virtio_has(v, VIRTIO_F_VERSION_1) &&
         !(v->status & VIRTIO_S_DRIVER_OK)) ||
        (v->transport->may_dma && !v->transport->may_dma(vq->v))) {
        return false;
    }
    return (m->generation == generation && m->desc_addr == vq->s.desc &&
            m->avail_addr == vq->s.avail && m->used_addr == vq->s.used &&
            m->size == vq->s.size) ||
           virtq_map(vq, generation);
}

bool virtq_ready(VirtQueue *vq)
{
    return virtq_open(vq);
}

/* Behind each ring is one more word, the event index of the other side. */
static uint8_t *used_event(const VirtQueue *vq)
{
    return vq->map.avail + RING_ELEM + 2 * vq->map.size;
}

static uint8_t *avail_event(const VirtQueue *vq)
{
    return vq->map.used + RING_ELEM + USED_ELEM_SIZE * vq->map.size;
}

static void used_written(VirtQueue *vq, const uint8_t *p, unsigned len)
{
    as_ram_written(virtq_mem(vq),
                   vq->map.used_addr + (hwaddr)(p - vq->map.used), len);
}

/* ---- does anything wait? -------------------------------------------------------- */

/* Looks at the guest's index. False: it is broken. */
static bool virtq_look(VirtQueue *vq)
{
    uint16_t idx = ring_load(vq->map.avail + RING_IDX, __ATOMIC_ACQUIRE);

    if ((uint16_t)(idx - vq->next_avail) > vq->map.size) {
        virtio_broken(vq->v,
                      "queue %u: the available index jumped from %u to %u, "
                      "the ring has %u entries",
                      vq->index, vq->next_avail, idx, vq->map.size);
        return false;
    }
    vq->seen_avail = idx;
    return true;
}

/* Something waits in the ring as far as we can see now. */
static bool virtq_has_new(VirtQueue *vq)
{
    return vq->seen_avail != vq->next_avail ||
           (virtq_look(vq) && vq->seen_avail != vq->next_avail);
}

static void virtq_ask_notify(VirtQueue *vq, bool on)
{
    uint8_t *p = vq->map.used;

    vq->no_notify = !on;
    if (!has_event_idx(vq)) {
        ring_store(p, on ? 0 : USED_F_NO_NOTIFY);
        used_written(vq, p, 2);
    } else if (on) {
        p = avail_event(vq);
        ring_store(p, vq->next_avail);
        used_written(vq, p, 2);
    }
}

bool virtq_want_notify(VirtQueue *vq, bool on)
{
    if (!virtq_open(vq)) {
        return false;
    }
    virtq_ask_notify(vq, on);
    if (!on) {
        return false;
    }
    ring_fence();
    return vq->n_again || virtq_has_new(vq);
}

/* As virtq_has_new(), and when it says no the guest will notify us (unless the
 * device asked it not to, and then looks again itself). */
static bool virtq_wait_new(VirtQueue *vq)
{
    if (virtq_has_new(vq)) {
        return true;
    }
    if (vq->v->broken || vq->no_notify || !has_event_idx(vq)) {
        return false;
    }
    virtq_ask_notify(vq, true);
    ring_fence();
    return virtq_has_new(vq);
}

/* ---- descriptors ----------------------------------------------------------------- */

typedef struct Desc {
    hwaddr addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;

/* A request on its way from descriptors to an element. */
typedef struct Chain {
    VirtQueue *vq;
    const FlatRange
        *range; /* of the last buffer: the next one is often there */
    unsigned n_out, n_in;
    size_t out_len, in_len;
    hwaddr addr[IOV_MAX_PARTS];
    struct iovec iov[IOV_MAX_PARTS];
} Chain;

/* One fetch: the guest may be writing. */
static Desc desc_load(const uint8_t *table, unsigned i)
{
    const uint64_t *p = (const uint64_t *)(table + (size_t)DESC_SIZE * i);
    uint64_t lo = GUINT64_FROM_LE(__atomic_load_n(p, __ATOMIC_RELAXED));
    uint64_t hi = GUINT64_FROM_LE(__atomic_load_n(p + 1, __ATOMIC_RELAXED));

    return (Desc) {
        .addr = lo,
        .len = (uint32_t)hi,
        .flags = (uint16_t)(hi >> 32),
        .next = (uint16_t)(hi >> 48),
    };
}

/* The bytes of RAM at @addr, at most @len; NULL: none, or they are ROM and
 * @write. */
static void *chain_ram(Chain *c, hwaddr addr, bool write, size_t *len)
{
    const FlatRange *f = c->range;
    hwaddr skip;

    if (!f || addr - f->base >= f->size) {
        f = c->range = as_find(virtq_mem(c->vq), addr);
    }
    if (!f || (f->region->kind != REGION_RAM &&
               (write || f->region->kind != REGION_ROM))) {
        return NULL;
    }
    skip = addr - f->base;
    *len = MIN(*len, f->size - skip);
    return f->region->ram + f->offset + skip;
}

/* A buffer may go over the border of two pieces of RAM. */
static bool chain_add(Chain *c, hwaddr addr, size_t len, bool write)
{
    if (!len) {
        virtio_broken(c->vq->v, "queue %u: a buffer of zero bytes",
                      c->vq->index);
        return false;
    }
    if (!write && c->n_in) {
        virtio_broken(c->vq->v,
                      "queue %u: a buffer to read behind one to write",
                      c->vq->index);
        return false;
    }
    while (len) {
        unsigned i = c->n_out + c->n_in;
        size_t n = len;
        void *p = chain_ram(c, addr, write, &n);

        if (!p) {
            virtio_broken(c->vq->v,
                          "queue %u: the buffer at 0x%" PRIx64 " is not RAM",
                          c->vq->index, addr);
            return false;
        }
        if (i == IOV_MAX_PARTS) {
            virtio_broken(c->vq->v,
                          "queue %u: more than %d buffers in a request",
                          c->vq->index, IOV_MAX_PARTS);
            return false;
        }
        c->iov[i] = (struct iovec) { p, n };
        c->addr[i] = addr;
        *(write ? &c->n_in : &c->n_out) += 1;
        *(write ? &c->in_len : &c->out_len) += n;
        addr += n;
        len -= n;
    }
    return true;
}

/* The table that an indirect descriptor points at; NULL: broken. */
static const uint8_t *chain_indirect(Chain *c, const Desc *d, unsigned *entries)
{
    VirtQueue *vq = c->vq;
    const uint8_t *table;

    if (!virtio_has(vq->v, VIRTIO_F_INDIRECT_DESC)) {
        virtio_broken(vq->v,
                      "queue %u: an indirect descriptor, which was not "
                      "negotiated",
                      vq->index);
        return NULL;
    }
    if (!d->len || d->len % DESC_SIZE) {
        virtio_broken(vq->v, "queue %u: an indirect table of %u bytes",
                      vq->index, d->len);
        return NULL;
    }
    table = as_ram(virtq_mem(vq), d->addr, d->len, false);
    if (!table) {
        virtio_broken(
            vq->v, "queue %u: the indirect table at 0x%" PRIx64 " is not RAM",
            vq->index, d->addr);
        return NULL;
    }
    *entries = d->len / DESC_SIZE;
    return table;
}

/* Follows a chain in @table of @entries. A loop is longer than the table. */
static bool chain_walk(Chain *c, const uint8_t *table, unsigned entries,
                       unsigned i, bool indirect)
{
    unsigned limit = MIN(entries, (unsigned)IOV_MAX_PARTS);
    unsigned deep;
    Desc d;

    for (unsigned n = 0; n < limit; n++) {
        if (i >= entries) {
            virtio_broken(c->vq->v, "queue %u: descriptor %u of %u",
                          c->vq->index, i, entries);
            return false;
        }
        d = desc_load(table, i);
        if (d.flags & DESC_F_INDIRECT) {
            const uint8_t *t = indirect ? NULL : chain_indirect(c, &d, &deep);

            if (indirect) {
                virtio_broken(c->vq->v, "queue %u: indirect in indirect",
                              c->vq->index);
            }
            return t && chain_walk(c, t, deep, 0, true);
        }
        if (!chain_add(c, d.addr, d.len, d.flags & DESC_F_WRITE)) {
            return false;
        }
        if (!(d.flags & DESC_F_NEXT)) {
            return true;
        }
        i = d.next;
    }
    virtio_broken(c->vq->v, "queue %u: a chain of more than %u descriptors",
                  c->vq->index, limit);
    return false;
}

static bool chain_read(Chain *c, VirtQueue *vq, unsigned head)
{
    c->vq = vq;
    c->range = NULL;
    c->n_out = c->n_in = 0;
    c->out_len = c->in_len = 0;
    return chain_walk(c, vq->map.desc, vq->map.size, head, false);
}

/* ---- taking and giving back ------------------------------------------------------ */

static bool bit_test(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static void bit_flip(uint64_t *map, unsigned i)
{
    map[i / 64] ^= UINT64_C(1) << (i % 64);
}

static unsigned bit_first(const uint64_t *map)
{
    for (unsigned i = 0; i < VIRTQ_MAX_SIZE / 64; i++) {
        if (map[i]) {
            return i * 64 + (unsigned)__builtin_ctzll(map[i]);
        }
    }
    return VIRTQ_MAX_SIZE;
}

static VirtElem *elem_new(const Chain *c, size_t size)
{
    unsigned n = c->n_out + c->n_in;
    size_t head = (size + 15) & ~(size_t)15;
    VirtElem *e =
        g_malloc(head + n * sizeof(struct iovec) + c->n_in * sizeof(hwaddr));

    e->out = (struct iovec *)((char *)e + head);
    e->in = e->out + c->n_out;
    e->in_addr = (hwaddr *)(e->out + n);
    e->n_out = (int)c->n_out;
    e->n_in = (int)c->n_in;
    e->out_len = c->out_len;
    e->in_len = c->in_len;
    memcpy(e->out, c->iov, n * sizeof(struct iovec));
    memcpy(e->in_addr, c->addr + c->n_out, c->n_in * sizeof(hwaddr));
    return e;
}

/* The head that is next; VIRTQ_MAX_SIZE: none. */
static unsigned virtq_next_head(VirtQueue *vq)
{
    unsigned head;

    if (vq->n_again) {
        return bit_first(vq->again);
    }
    if (!virtq_wait_new(vq)) {
        return VIRTQ_MAX_SIZE;
    }
    head = ring_load(vq->map.avail + RING_ELEM +
                         2 * (vq->next_avail & (vq->map.size - 1)),
                     __ATOMIC_RELAXED);
    if (head >= vq->map.size) {
        virtio_broken(vq->v, "queue %u: descriptor %u of %u", vq->index, head,
                      vq->map.size);
        return VIRTQ_MAX_SIZE;
    }
    if (bit_test(vq->in_flight, head)) {
        virtio_broken(vq->v, "queue %u: descriptor %u is in use already",
                      vq->index, head);
        return VIRTQ_MAX_SIZE;
    }
    return head;
}

void *virtq_pop(VirtQueue *vq, size_t size)
{
    unsigned head;
    VirtElem *e;
    Chain c;

    if (!virtq_open(vq)) {
        return NULL;
    }
    head = virtq_next_head(vq);
    if (head == VIRTQ_MAX_SIZE || !chain_read(&c, vq, head)) {
        return NULL;
    }
    e = elem_new(&c, size);
    e->head = (uint16_t)head;
    e->epoch = vq->epoch;
    e->again = vq->n_again;
    if (e->again) {
        bit_flip(vq->again, head);
        vq->n_again--;
    } else {
        bit_flip(vq->in_flight, head);
        vq->n_in_flight++;
        vq->next_avail++;
    }
    return e;
}

/* False: the queue was reset meanwhile, the element is of no use. */
static bool elem_is_ours(const VirtQueue *vq, const VirtElem *e)
{
    return e->epoch == vq->epoch;
}

void virtq_unpop(VirtQueue *vq, VirtElem *e)
{
    if (elem_is_ours(vq, e)) {
        if (e->again) {
            bit_flip(vq->again, e->head);
            vq->n_again++;
        } else {
            bit_flip(vq->in_flight, e->head);
            vq->n_in_flight--;
            vq->next_avail--;
        }
    }
    g_free(e);
}

void virtq_forget(VirtQueue *vq, VirtElem *e)
{
    if (elem_is_ours(vq, e)) {
        bit_flip(vq->in_flight, e->head);
        vq->n_in_flight--;
    }
    g_free(e);
}

static void elem_mark_written(VirtQueue *vq, const VirtElem *e, size_t written)
{
    for (int i = 0; i < e->n_in && written; i++) {
        size_t n = MIN(written, e->in[i].iov_len);

        as_ram_written(virtq_mem(vq), e->in_addr[i], n);
        written -= n;
    }
}

static void virtq_publish(VirtQueue *vq, unsigned head, size_t written)
{
    uint8_t *p = vq->map.used + RING_ELEM +
                 USED_ELEM_SIZE * (vq->used_idx & (vq->map.size - 1));

    st_le32(p, head);
    st_le32(p + 4, (uint32_t)MIN(written, UINT32_MAX));
    used_written(vq, p, USED_ELEM_SIZE);
    vq->used_idx++;
    ring_store(vq->map.used + RING_IDX, vq->used_idx);
    used_written(vq, vq->map.used + RING_IDX, 2);
}

void virtq_push(VirtQueue *vq, VirtElem *e, size_t written)
{
    if (elem_is_ours(vq, e)) {
        bit_flip(vq->in_flight, e->head);
        vq->n_in_flight--;
        elem_mark_written(vq, e, written);
        if (virtq_open(vq)) {
            virtq_publish(vq, e->head, written);
        }
    }
    g_free(e);
}

unsigned virtq_waiting(VirtQueue *vq)
{
    if (!virtq_ready(vq)) {
        return 0;
    }
    return (uint16_t)(ring_load(vq->map.avail + RING_IDX, __ATOMIC_RELAXED) -
                      vq->next_avail);
}

void virtq_available(VirtQueue *vq, size_t *in, size_t *out, size_t in_max,
                     size_t out_max)
{
    uint16_t idx = vq->next_avail;
    Chain c;

    *in = *out = 0;
    if (!virtq_open(vq) || !virtq_wait_new(vq)) {
        return;
    }
    for (virtq_look(vq); idx != vq->seen_avail; idx++) {
        unsigned head = ring_load(vq->map.avail + RING_ELEM +
                                      2 * (idx & (vq->map.size - 1)),
                                  __ATOMIC_RELAXED);

        if (!chain_read(&c, vq, head)) {
            *in = *out = 0;
            return;
        }
        *in += c.in_len;
        *out += c.out_len;
        if (*in >= in_max && *out >= out_max) {
            break;
        }
    }
}

/* ---- interrupts ------------------------------------------------------------------- */

/* 2.7.7.1: is the event index among those that were passed? */
static bool index_passed(uint16_t event, uint16_t now, uint16_t before)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

static bool virtq_wants_interrupt(VirtQueue *vq)
{
    uint16_t before = vq->signalled;
    bool valid = vq->signalled_valid;

    ring_fence();
    if (virtio_has(vq->v, VIRTIO_F_NOTIFY_ON_EMPTY) && !vq->n_in_flight &&
        !virtq_has_new(vq)) {
        return true;
    }
    if (!has_event_idx(vq)) {
        return !(ring_load(vq->map.avail, __ATOMIC_RELAXED) &
                 AVAIL_F_NO_INTERRUPT);
    }
    vq->signalled = vq->used_idx;
    vq->signalled_valid = true;
    return !valid || index_passed(ring_load(used_event(vq), __ATOMIC_RELAXED),
                                  vq->used_idx, before);
}

void virtq_notify(VirtQueue *vq)
{
    VirtioDevice *v = vq->v;

    if (virtq_open(vq) && virtq_wants_interrupt(vq)) {
        v->isr |= VIRTIO_ISR_QUEUE;
        v->transport->interrupt(v, vq->s.vector);
    }
}

/* ---- set-up ----------------------------------------------------------------------- */

void virtq_reset(VirtQueue *vq)
{
    vq->s = (VirtqSetup) {
        .max_size = vq->s.max_size,
        .size = vq->s.max_size,
        .vector = VIRTIO_NO_VECTOR,
    };
    vq->next_avail = vq->seen_avail = vq->used_idx = 0;
    vq->signalled = 0;
    vq->signalled_valid = vq->no_notify = false;
    memset(vq->in_flight, 0, sizeof(vq->in_flight));
    memset(vq->again, 0, sizeof(vq->again));
    vq->n_in_flight = vq->n_again = 0;
    vq->epoch++;
    memset(&vq->map, 0, sizeof(vq->map));
}

VirtqSetup *virtq_setup(VirtioDevice *v, unsigned queue)
{
    return queue < v->n_queues ? &v->queue[queue]->s : NULL;
}

void virtq_set_size(VirtioDevice *v, unsigned queue, unsigned size)
{
    VirtqSetup *s = virtq_setup(v, queue);

    /* Requests of a ring that is being reset are known by their heads. */
    if (!s || s->enabled || v->queue[queue]->n_in_flight || !is_pow2(size) ||
        size > s->max_size) {
        log_mask(LOG_GUEST_ERROR, "%s: queue %u cannot have %u entries (now)\n",
                 v->ops->name, queue, size);
        return;
    }
    s->size = size;
}

void virtq_set_enabled(VirtioDevice *v, unsigned queue, bool on)
{
    VirtqSetup *s = virtq_setup(v, queue);

    if (!s || s->enabled == on) {
        return;
    }
    if (on) {
        s->enabled = true;
    } else {
        virtq_reset(v->queue[queue]);
    }
}

void virtq_set_legacy(VirtioDevice *v, unsigned queue, hwaddr base,
                      unsigned align)
{
    VirtqSetup *s = virtq_setup(v, queue);
    uint16_t vector;
    unsigned size;
    hwaddr end;

    if (!s) {
        return;
    }
    vector = s->vector;
    size = s->size;
    virtq_set_enabled(v, queue, false);
    s->vector = vector; /* programmed before the address */
    s->size = size;
    if (!base) {
        return;
    }
    s->desc = base;
    s->avail = base + (hwaddr)DESC_SIZE * size;
    end = s->avail + RING_ELEM + 2 * (hwaddr)size + 2;
    s->used = (end + align - 1) & ~(hwaddr)(align - 1);
    virtq_set_enabled(v, queue, true);
}

/* ---- state ------------------------------------------------------------------------ */

static unsigned bits_count(const uint64_t *map)
{
    unsigned n = 0;

    for (unsigned i = 0; i < VIRTQ_MAX_SIZE / 64; i++) {
        n += (unsigned)__builtin_popcountll(map[i]);
    }
    return n;
}

/* Heads beyond the ring are of no ring. */
static bool bits_fit(const uint64_t *map, unsigned size)
{
    for (unsigned i = size; i < VIRTQ_MAX_SIZE; i++) {
        if (bit_test(map, i)) {
            return false;
        }
    }
    return true;
}

static bool virtq_post_load(void *obj, int version, GError **errp)
{
    VirtQueue *vq = obj;

    if (!is_pow2(vq->s.size) || vq->s.size > vq->s.max_size) {
        error_setg(errp, "virtio queue %u cannot have %u entries", vq->index,
                   vq->s.size);
        vq->s.size = vq->s.max_size;
        return false;
    }
    if (!bits_fit(vq->in_flight, vq->s.size)) {
        error_setg(errp, "virtio queue %u: a request beyond its %u entries",
                   vq->index, vq->s.size);
        memset(vq->in_flight, 0, sizeof(vq->in_flight));
        return false;
    }
    vq->n_in_flight = vq->n_again = bits_count(vq->in_flight);
    memcpy(vq->again, vq->in_flight, sizeof(vq->again));
    vq->seen_avail = vq->next_avail;
    vq->epoch++; /* elements of the time before are forgotten */
    memset(&vq->map, 0, sizeof(vq->map));
    return true;
}

const VMState vmstate_virtq = {
    .name = "virtq",
    .version = 1,
    .min_version = 1,
    .post_load = virtq_post_load,
    .fields =
        (const VMField[]) {
            VM_U32(VirtQueue, s.size),
            VM_U64(VirtQueue, s.desc),
            VM_U64(VirtQueue, s.avail),
            VM_U64(VirtQueue, s.used),
            VM_BOOL(VirtQueue, s.enabled),
            VM_U16(VirtQueue, s.vector),
            VM_U16(VirtQueue, next_avail),
            VM_U16(VirtQueue, used_idx),
            VM_U16(VirtQueue, signalled),
            VM_BOOL(VirtQueue, signalled_valid),
            VM_BOOL(VirtQueue, no_notify),
            VM_U64_ARRAY(VirtQueue, in_flight, VIRTQ_MAX_SIZE / 64),
            VM_FIELDS_END,
        },
};
