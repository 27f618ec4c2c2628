/*
 * MSI-X: a table of messages in a BAR. PCI Local Bus 3.0, 6.8.2.
 *
 * The BAR belongs to MSI-X alone: the table from its start, the pending bits
 * in the second half of 4 KiB, or behind a table that needs more, as in QEMU.
 * Table and pending bits are one run of bytes, pd->msix_bytes, as the guest
 * sees them.
 *
 * A message that is masked (by its own bit or by the function's) sets its
 * pending bit, and is sent when the mask goes.
 */
#include "util/osdep.h"
#include <sys/eventfd.h>
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/pci/pci-regs.h"
#include "hw/intc/apic.h"
#include "hw/pci/pci.h"
#include "system/host-kernel.h"

enum { /* offsets in the capability */
       MSIX_CONTROL = 2,
       MSIX_TABLE = 4,
       MSIX_PBA = 8,
       MSIX_LEN = 12,
};

enum {
    MSIX_FUNCTION_MASK = 0x4000, /* in control */
    MSIX_ENABLE = 0x8000,
    ENTRY_SIZE = 16,
    ENTRY_DATA = 8,
    ENTRY_CONTROL = 12,
    ENTRY_MASKED = 1,
    BAR_MIN = 4096,
};

/* A vector whose message the kernel sends. */
typedef struct VectorFd {
    int fd;  /* -1: none yet */
    int gsi; /* the kernel's number for the message; -1: none yet */
    bool on; /* writes to fd send it */
} VectorFd;

struct Msix {
    PciDevice *pd;
    Region bar;
    unsigned cap, n;
    unsigned pba; /* offset of the pending bits in the BAR */
    bool active;  /* enabled and not masked as a whole, when last looked at */
    void (*changed)(PciDevice *pd, int vector);
    VectorFd *fds; /* of each vector; NULL: not in use */
};

static uint8_t *entry(const PciDevice *pd, unsigned vector)
{
    return pd->msix_bytes + vector * ENTRY_SIZE;
}

static uint8_t *pending_byte(const PciDevice *pd, unsigned vector)
{
    return pd->msix_bytes + pd->msix->n * ENTRY_SIZE + vector / 8;
}

static uint16_t msix_control(const PciDevice *pd)
{
    return ld_le16(pd->config + pd->msix->cap + MSIX_CONTROL);
}

bool msix_enabled(const PciDevice *pd)
{
    return pd->msix && (msix_control(pd) & MSIX_ENABLE);
}

unsigned msix_vectors(const PciDevice *pd)
{
    return pd->msix ? pd->msix->n : 0;
}

static bool msix_active(const PciDevice *pd)
{
    return (msix_control(pd) & (MSIX_ENABLE | MSIX_FUNCTION_MASK)) ==
           MSIX_ENABLE;
}

bool msix_message(const PciDevice *pd, unsigned vector, uint64_t *addr,
                  uint32_t *data)
{
    if (vector >= msix_vectors(pd) || !msix_active(pd) ||
        (entry(pd, vector)[ENTRY_CONTROL] & ENTRY_MASKED)) {
        return false;
    }
    *addr = ld_le64(entry(pd, vector));
    *data = ld_le32(entry(pd, vector) + ENTRY_DATA);
    return true;
}

/* ---- irqfds ------------------------------------------------------------------------ */

static const HostKernelOps *host_ops(const PciDevice *pd)
{
    return pd->dev.machine->host->ops;
}

static void fd_switch(PciDevice *pd, VectorFd *f, bool on)
{
    if (f->on != on &&
        host_ops(pd)->irqfd_set(pd->dev.machine, f->fd, -1, f->gsi, on) == 0) {
        f->on = on;
    }
}

/* A message that may be sent has a route; any other is ours to keep. */
static void fd_update(PciDevice *pd, unsigned vector)
{
    VectorFd *f = &pd->msix->fds[vector];
    Machine *m = pd->dev.machine;
    uint64_t addr;
    uint32_t data;

    if (!msix_message(pd, vector, &addr, &data) ||
        addr >> 20 != APIC_DEFAULT_BASE >> 20) {
        fd_switch(pd, f, false);
        return;
    }
    if (f->fd < 0) {
        f->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (f->gsi < 0) {
        f->gsi = host_ops(pd)->route_add(m, addr, data);
    } else {
        host_ops(pd)->route_set(m, f->gsi, addr, data);
    }
    if (f->fd >= 0 && f->gsi >= 0) {
        fd_switch(pd, f, true);
    }
}

static void fd_free(PciDevice *pd, VectorFd *f)
{
    fd_switch(pd, f, false);
    if (f->gsi >= 0) {
        host_ops(pd)->route_del(pd->dev.machine, f->gsi);
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
}

void msix_use_irqfds(PciDevice *pd, bool on)
{
    Msix *x = pd->msix;
    Machine *m = pd->dev.machine;

    if (!x || on == (x->fds != NULL) ||
        (on && (!host_has_lapic(m) || !m->host->ops->irqfd_set))) {
        return;
    }
    if (on) {
        x->fds = g_new(VectorFd, x->n);
        for (unsigned v = 0; v < x->n; v++) {
            x->fds[v] = (VectorFd) { -1, -1, false };
            fd_update(pd, v);
        }
        return;
    }
    for (unsigned v = 0; v < x->n; v++) {
        fd_free(pd, &x->fds[v]);
    }
    g_clear_pointer(&x->fds, g_free);
}

int msix_irqfd(const PciDevice *pd, unsigned vector)
{
    const Msix *x = pd->msix;

    return vector < msix_vectors(pd) && x->fds && x->fds[vector].on &&
                   pci_bus_master(pd)
               ? x->fds[vector].fd
               : -1;
}

/* ---- messages ---------------------------------------------------------------------- */

static void msix_send(PciDevice *pd, unsigned vector, uint64_t addr,
                      uint32_t data)
{
    const uint64_t one = 1;
    int fd = msix_irqfd(pd, vector);

    if (fd < 0 || write(fd, &one, sizeof(one)) != sizeof(one)) {
        pci_send_msi(pd, addr, data);
    }
}

void msix_notify(PciDevice *pd, unsigned vector)
{
    uint64_t addr;
    uint32_t data;

    if (vector >= msix_vectors(pd) || !msix_enabled(pd)) {
        return;
    }
    if (msix_message(pd, vector, &addr, &data)) {
        msix_send(pd, vector, addr, data);
    } else {
        *pending_byte(pd, vector) |= 1 << vector % 8;
    }
}

/* Sends @vector if it waited and may go now. */
static void msix_release(PciDevice *pd, unsigned vector)
{
    uint8_t *byte = pending_byte(pd, vector), bit = 1 << vector % 8;
    uint64_t addr;
    uint32_t data;

    if ((*byte & bit) && msix_message(pd, vector, &addr, &data)) {
        *byte &= ~bit;
        msix_send(pd, vector, addr, data);
    }
}

/* Of one vector, or with -1 of all. */
static void msix_tell(PciDevice *pd, int vector)
{
    for (unsigned v = 0; pd->msix->fds && v < pd->msix->n; v++) {
        if (vector < 0 || v == (unsigned)vector) {
            fd_update(pd, v);
        }
    }
    if (pd->msix->changed) {
        pd->msix->changed(pd, vector);
    }
}

void msix_watch(PciDevice *pd, void (*changed)(PciDevice *pd, int vector))
{
    if (pd->msix) {
        pd->msix->changed = changed;
    }
}

void msix_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    bool active = msix_active(pd);

    if (active == pd->msix->active) {
        return;
    }
    pd->msix->active = active;
    msix_tell(pd, -1);
    for (unsigned v = 0; active && v < pd->msix->n; v++) {
        msix_release(pd, v);
    }
}

/* ---- the BAR ---------------------------------------------------------------------- */

/* The bytes at @offset, NULL if there are none; table only for writes. */
static uint8_t *msix_at(const Msix *x, hwaddr offset, unsigned size, bool write)
{
    unsigned table = x->n * ENTRY_SIZE;
    unsigned pba_len = x->pd->msix_len - table;

    if (offset < table && size <= table - offset) {
        return x->pd->msix_bytes + offset;
    }
    if (!write && offset >= x->pba && offset - x->pba < pba_len &&
        size <= pba_len - (offset - x->pba)) {
        return x->pd->msix_bytes + table + (offset - x->pba);
    }
    return NULL;
}

static uint64_t msix_read(void *opaque, hwaddr offset, unsigned size)
{
    Msix *x = opaque;
    const uint8_t *p = msix_at(x, offset, size, false);

    return p ? ld_le(p, size) : 0;
}

static void msix_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    Msix *x = opaque;
    PciDevice *pd = x->pd;
    uint8_t *p = msix_at(x, offset, size, true);
    unsigned vector = offset / ENTRY_SIZE;

    if (!p || size < 4) {
        log_mask(LOG_GUEST_ERROR,
                 "%s: write of %u bytes at %" PRIx64 " of the MSI-X table\n",
                 pd->dev.cls->name, size, offset);
        return;
    }
    st_le(p, value, size);
    st_le32(entry(pd, vector) + ENTRY_CONTROL,
            entry(pd, vector)[ENTRY_CONTROL] & ENTRY_MASKED);
    entry(pd, vector)[0] &= ~3u;
    msix_tell(pd, (int)vector);
    if (msix_enabled(pd)) {
        msix_release(pd, vector);
    }
}

static const RegionOps msix_ops = {
    .read = msix_read,
    .write = msix_write,
    .min_size = 1,
    .max_size = 8,
};

/* ---- life ------------------------------------------------------------------------- */

static void msix_mask_all(PciDevice *pd)
{
    memset(pd->msix_bytes, 0, pd->msix_len);
    for (unsigned v = 0; v < pd->msix->n; v++) {
        entry(pd, v)[ENTRY_CONTROL] = ENTRY_MASKED;
    }
}

bool msix_init(PciDevice *pd, unsigned n, int bar, GError **errp)
{
    unsigned pba = BAR_MIN / 2, pba_len = (n + 63) / 64 * 8, size = BAR_MIN;
    unsigned cap;
    Msix *x;

    if (n < 1 || n > MSIX_MAX_VECTORS) {
        error_setg(errp, "%s: 1 to %d MSI-X vectors are possible, not %u",
                   pd->dev.cls->name, MSIX_MAX_VECTORS, n);
        return false;
    }
    cap = pci_add_cap(pd, PCI_CAP_MSIX, MSIX_LEN, errp);
    if (!cap) {
        return false;
    }
    if (n * ENTRY_SIZE > pba) {
        pba = n * ENTRY_SIZE;
    }
    while (size < pba + pba_len) {
        size *= 2;
    }
    x = g_new0(Msix, 1);
    x->pd = pd;
    x->cap = cap;
    x->n = n;
    x->pba = pba;
    pd->msix = x;
    pd->msix_len = n * ENTRY_SIZE + pba_len;
    pd->msix_bytes = g_malloc0(pd->msix_len);
    msix_mask_all(pd);
    st_le16(pd->config + cap + MSIX_CONTROL, n - 1);
    st_le16(pd->wmask + cap + MSIX_CONTROL, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    st_le32(pd->config + cap + MSIX_TABLE, bar);
    st_le32(pd->config + cap + MSIX_PBA, pba | bar);
    region_init_io(&x->bar, "msix", size, &msix_ops, x);
    pci_add_bar(pd, bar, PCI_BAR_MEM32, &x->bar);
    return true;
}

/* With config[] already as after power-on. */
void msix_reset(PciDevice *pd)
{
    msix_mask_all(pd);
    pd->msix->active = false;
    msix_tell(pd, -1);
}

/* After the BAR is unmapped. */
void msix_free(PciDevice *pd)
{
    msix_use_irqfds(pd, false);
    g_clear_pointer(&pd->msix_bytes, g_free);
    pd->msix_len = 0;
    g_clear_pointer(&pd->msix, g_free);
}

bool msix_loaded(PciDevice *pd, GError **errp)
{
    for (unsigned v = 0; v < pd->msix->n; v++) {
        if (ld_le32(entry(pd, v) + ENTRY_CONTROL) > ENTRY_MASKED ||
            (entry(pd, v)[0] & 3)) {
            error_setg(errp, "state of '%s': MSI-X vector %u is impossible",
                       pd->dev.cls->name, v);
            return false;
        }
    }
    pd->msix->active = msix_active(pd);
    msix_tell(pd, -1);
    return true;
}
