/*
 * Notifications as eventfds: where the engine below can turn a write of the
 * guest into a signal (ioeventfd, KVM), the vCPU does not leave the guest, and
 * the main loop runs the queue.
 */
#include "util/osdep.h"
#include <sys/eventfd.h>
#include "hw/virtio/virtio.h"
#include "system/event.h"
#include "system/host-kernel.h"
#include "util/mainloop.h"

typedef struct QueueEvent {
    VirtioDevice *v;
    unsigned queue;
    int fd; /* -1: none */
    unsigned watch;
} QueueEvent;

struct VirtioEvents {
    VirtioNotifyPlace place[VIRTIO_NOTIFY_PLACES];
    unsigned n_places, n;
    QueueEvent event[];
};

static bool event_ready(int fd, GIOCondition cond, void *opaque)
{
    QueueEvent *e = opaque;
    uint64_t n;

    if (read(fd, &n, sizeof(n)) == sizeof(n)) {
        virtio_run_queue(e->v, e->queue);
    }
    return true;
}

static void event_attach(const VirtioEvents *all, const QueueEvent *e, bool on)
{
    void (*fn)(Region *, hwaddr, unsigned, bool, uint64_t, int) =
        on ? region_add_event : region_del_event;

    for (unsigned i = 0; i < all->n_places; i++) {
        const VirtioNotifyPlace *p = &all->place[i];

        fn(p->region, p->offset + e->queue * p->stride, p->size, !p->stride,
           p->stride ? 0 : e->queue, e->fd);
    }
}

void virtio_events_start(VirtioDevice *v, const VirtioNotifyPlace *place,
                         unsigned n_places)
{
    Machine *m = v->pci.dev.machine;
    VirtioEvents *all;

    g_assert(n_places <= VIRTIO_NOTIFY_PLACES);
    if (v->events || !host_ioeventfd(m)) {
        return;
    }
    all = g_malloc0(sizeof(*all) + v->n_queues * sizeof(all->event[0]));
    memcpy(all->place, place, n_places * sizeof(*place));
    all->n_places = n_places;
    all->n = v->n_queues;
    v->events = all;
    as_begin(m->mem);
    as_begin(m->io);
    for (unsigned i = 0; i < all->n; i++) {
        QueueEvent *e = &all->event[i];

        *e = (QueueEvent) { v, i, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 0 };
        if (e->fd >= 0) {
            e->watch = mainloop_add_fd(e->fd, G_IO_IN, event_ready, e);
            event_attach(all, e, true);
        }
    }
    as_commit(m->io);
    as_commit(m->mem);
}

void virtio_events_stop(VirtioDevice *v)
{
    Machine *m = v->pci.dev.machine;
    VirtioEvents *all = v->events;

    if (!all) {
        return;
    }
    as_begin(m->mem);
    as_begin(m->io);
    for (unsigned i = 0; i < all->n; i++) {
        if (all->event[i].fd >= 0) {
            event_attach(all, &all->event[i], false);
            mainloop_remove(all->event[i].watch);
        }
    }
    as_commit(m->io);
    as_commit(m->mem);
    for (unsigned i = 0; i < all->n; i++) {
        if (all->event[i].fd >= 0) {
            close(all->event[i].fd);
        }
    }
    v->events = NULL;
    g_free(all);
}
