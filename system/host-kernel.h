/*
 * What the host's kernel does in place of our devices and threads, where the
 * accelerator offers it: m->host, which is NULL under tcg. hw/ calls through
 * these pointers and knows of no accelerator.
 *
 * Writes of the guest as eventfds, without an exit to the vCPU's thread: a
 * device says region_add_event() (system/memory.h), mapped or not, under any
 * accelerator, and handles both ways to hear of the write -- its RegionOps
 * and the eventfd -- alike: the engine chooses. With host_ioeventfd() false
 * the eventfd never becomes readable, so there is no need to make one:
 *
 *     if (host_ioeventfd(m)) {
 *         fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
 *         region_add_event(&dev->notify, queue * 4, 0, false, 0, fd);
 *         ... watch fd in the main loop: read it, handle the queue
 *     }
 *
 * MSIs: apic_deliver_msi() takes the right way by itself. A thread without the
 * machine lock (or the kernel: vhost) can send one through an eventfd:
 *
 *     if (m->host && m->host->ops->irqfd_set) {
 *         gsi = m->host->ops->route_add(m, msi_addr, msi_data);
 *         m->host->ops->irqfd_set(m, fd, -1, gsi, true);   writes to fd
 *     }
 *
 * Interrupt controllers in the kernel (-machine kernel-irqchip=on, split): the
 * state travels in the structs below, whose fields are the data sheets'. The
 * devices of hw/intc and hw/timer stay as they are in "info qtree" and in
 * snapshots and fetch their state before it is saved or shown.
 */
#ifndef SYSTEM_HOST_KERNEL_H
#define SYSTEM_HOST_KERNEL_H

#include "system/machine.h"

/* One 8259A. */
typedef struct HostPic {
    uint8_t irr, imr, isr, line, elcr;
    uint8_t top;  /* IR with the highest priority */
    uint8_t base; /* ICW2 */
    uint8_t init; /* ICW expected next: 0 (none), 2, 3, 4 */
    bool icw4_wanted, read_isr, poll, special_mask, aeoi, rotate_aeoi, sfnm;
} HostPic;

typedef struct HostIoApic {
    uint8_t id, select;
    uint32_t line; /* the pins as they are */
    uint64_t rte[24];
} HostIoApic;

typedef struct HostPitChannel {
    uint32_t count; /* 1 to 65536 */
    int64_t loaded; /* virtual time at which it began, ns */
    uint16_t latch;
    uint8_t latched;    /* bytes of latch still to be read */
    uint8_t read_next;  /* next of a pair: 0 low, 1 high byte */
    uint8_t write_next; /* likewise */
    uint8_t write_lsb;
    bool status_latched;
    uint8_t status;
    uint8_t access; /* RW1 RW0: 1 LSB, 2 MSB, 3 both */
    uint8_t mode;
    bool bcd, gate;
} HostPitChannel;

typedef struct HostPit {
    HostPitChannel ch[3];
    bool speaker;     /* port 61, bit 1 */
    bool hpet_legacy; /* OUT 0 goes nowhere: the HPET has its place */
} HostPit;

/* Machine lock held in all but irqfds' writes. NULL: not there. */
typedef struct HostKernelOps {
    /* Interrupt input @gsi of the controllers that the kernel has. */
    void (*set_gsi)(Machine *m, unsigned gsi, int level);
    void (*send_msi)(Machine *m, uint64_t addr, uint32_t data);
    /* Messages by number, for irqfds: a new GSI, or -errno. */
    int (*route_add)(Machine *m, uint64_t addr, uint32_t data);
    void (*route_set)(Machine *m, int gsi, uint64_t addr, uint32_t data);
    void (*route_del)(Machine *m, int gsi);
    /* Whoever writes to @fd raises @gsi: a pulse, or (@resample_fd not -1) a
     * level until the guest's EOI, which makes @resample_fd readable. Or no
     * more (@on false). 0 or -errno. */
    int (*irqfd_set)(Machine *m, int fd, int resample_fd, int gsi, bool on);
    /* An I/O APIC of ours tells what pin @pin sends: a message, or nothing. The
     * kernel reports EOIs of level-triggered ones to @m->host->eoi. */
    void (*set_pin)(Machine *m, unsigned pin, bool used, uint64_t addr,
                    uint32_t data);
    void (*get_pic)(Machine *m, unsigned chip, HostPic *pic);
    void (*set_pic)(Machine *m, unsigned chip, const HostPic *pic);
    void (*get_ioapic)(Machine *m, HostIoApic *io);
    void (*set_ioapic)(Machine *m, const HostIoApic *io);
    void (*get_pit)(Machine *m, HostPit *pit);
    void (*set_pit)(Machine *m, const HostPit *pit);
} HostKernelOps;

typedef struct HostKernel {
    const HostKernelOps *ops;
    bool ioeventfd; /* region_add_event() has an effect */
    bool lapic;     /* local APICs are the kernel's (split, on) */
    bool irqchip;   /* 8259s and I/O APIC, too (on) */
    bool pit;       /* and the 8254 */
    /* Set by the I/O APIC. Machine lock held. */
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
} HostKernel;

static inline bool host_ioeventfd(const Machine *m)
{
    return m->host && m->host->ioeventfd;
}

static inline bool host_has_lapic(const Machine *m)
{
    return m->host && m->host->lapic;
}

static inline bool host_has_irqchip(const Machine *m)
{
    return m->host && m->host->irqchip;
}

/* false: the controllers are ours, drive them. */
static inline bool host_set_gsi(Machine *m, unsigned gsi, int level)
{
    if (!host_has_irqchip(m)) {
        return false;
    }
    m->host->ops->set_gsi(m, gsi, level);
    return true;
}

static inline bool host_has_pit(const Machine *m)
{
    return m->host && m->host->pit;
}

/* The HPET takes the 8254's place at IRQ 0, or gives it back: a kernel's 8254
 * does not drive a line of ours that could be cut. */
static inline void host_set_hpet_legacy(Machine *m, bool on)
{
    HostPit pit;

    if (host_has_pit(m)) {
        m->host->ops->get_pit(m, &pit);
        pit.hpet_legacy = on;
        m->host->ops->set_pit(m, &pit);
    }
}

#endif
