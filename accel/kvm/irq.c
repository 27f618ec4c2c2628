/*
 * Interrupt controllers in the kernel: HostKernelOps (system/host-kernel.h) on
 * KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI and
 * KVM_IRQFD.
 *
 * kernel-irqchip=on puts the 8259s, the I/O APIC, the local APICs and the 8254
 * there; split only the local APICs: then our I/O APIC writes what its pins
 * send into the routing table, where the kernel sees whose EOI it must report,
 * and our 8259 interrupts with KVM_INTERRUPT.
 *
 * GSI 0 reaches pin 2 of the I/O APIC, as on every PC.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"

enum { IOAPIC_PINS = 24, PIC_PINS = 8 };

static KvmAccel *irq_accel(Machine *m)
{
    return container_of(m->host, KvmAccel, host);
}

/* ---- the routing table ---------------------------------------------------------- */

typedef struct kvm_irq_routing_entry Route;

static Route *route_find(KvmAccel *a, uint32_t gsi)
{
    for (guint i = 0; i < a->routes->len; i++) {
        Route *r = &g_array_index(a->routes, Route, i);

        if (r->gsi == gsi && r->type == KVM_IRQ_ROUTING_MSI) {
            return r;
        }
    }
    return NULL;
}

static void routes_commit(KvmAccel *a)
{
    size_t bytes = a->routes->len * sizeof(Route);
    g_autofree struct kvm_irq_routing *t =
        g_malloc0(sizeof(struct kvm_irq_routing) + bytes);

    t->nr = a->routes->len;
    memcpy(t->entries, a->routes->data, bytes);
    if (KVM_CALL(a->vm, KVM_SET_GSI_ROUTING, t) < 0) {
        error_report("kvm: KVM_SET_GSI_ROUTING: %s", strerror(errno));
    }
}

static void route_pin(KvmAccel *a, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    Route r = { .gsi = gsi,
                .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = { chip, pin } };

    g_array_append_val(a->routes, r);
}

/* Of kernel-irqchip=on. */
static void routes_of_pc(KvmAccel *a)
{
    for (uint32_t gsi = 0; gsi < 2 * PIC_PINS; gsi++) {
        route_pin(a, gsi,
                  gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER
                                 : KVM_IRQCHIP_PIC_SLAVE,
                  gsi % PIC_PINS);
    }
    for (uint32_t gsi = 0; gsi < IOAPIC_PINS; gsi++) {
        if (gsi != 2) {
            route_pin(a, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
        }
    }
    routes_commit(a);
}

static void route_set_msi(Route *r, uint64_t addr, uint32_t data)
{
    r->u.msi.address_lo = (uint32_t)addr;
    r->u.msi.address_hi = (uint32_t)(addr >> 32);
    r->u.msi.data = data;
}

static void route_put(KvmAccel *a, uint32_t gsi, uint64_t addr, uint32_t data)
{
    Route *r = route_find(a, gsi),
          new = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };

    if (!r) {
        g_array_append_val(a->routes, new);
        r = &g_array_index(a->routes, Route, a->routes->len - 1);
    }
    route_set_msi(r, addr, data);
    routes_commit(a);
}

static void route_remove(KvmAccel *a, uint32_t gsi)
{
    Route *r = route_find(a, gsi);

    if (r) {
        g_array_remove_index(a->routes, r - (Route *)(void *)a->routes->data);
        routes_commit(a);
    }
}

static int irq_route_add(Machine *m, uint64_t addr, uint32_t data)
{
    KvmAccel *a = irq_accel(m);
    uint32_t gsi = IOAPIC_PINS;

    while (route_find(a, gsi)) {
        gsi++;
    }
    if (gsi >= a->caps.irq_routes) {
        return -ENOSPC;
    }
    route_put(a, gsi, addr, data);
    return (int)gsi;
}

static void irq_route_set(Machine *m, int gsi, uint64_t addr, uint32_t data)
{
    route_put(irq_accel(m), (uint32_t)gsi, addr, data);
}

static void irq_route_del(Machine *m, int gsi)
{
    route_remove(irq_accel(m), (uint32_t)gsi);
}

static void irq_set_pin(Machine *m, unsigned pin, bool used, uint64_t addr,
                        uint32_t data)
{
    KvmAccel *a = irq_accel(m);
    const Route *r = route_find(a, pin);

    if (!used) {
        route_remove(a, pin);
    } else if (!r || r->u.msi.address_lo != (uint32_t)addr ||
               r->u.msi.data != data) {
        route_put(a, pin, addr, data);
    }
}

/* ---- interrupts --------------------------------------------------------------------- */

static void irq_set_gsi(Machine *m, unsigned gsi, int level)
{
    struct kvm_irq_level l = { .irq = gsi, .level = level };

    if (KVM_CALL(irq_accel(m)->vm, KVM_IRQ_LINE, &l) < 0) {
        error_report("kvm: KVM_IRQ_LINE %u: %s", gsi, strerror(errno));
    }
    if (level) {
        kvm_end_bursts(m);
    }
}

/* What nobody accepts is lost, as on the bus. */
static void irq_send_msi(Machine *m, uint64_t addr, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)addr,
        .address_hi = (uint32_t)(addr >> 32),
        .data = data,
    };

    KVM_CALL(irq_accel(m)->vm, KVM_SIGNAL_MSI, &msi);
    kvm_end_bursts(m);
}

static int irq_irqfd_set(Machine *m, int fd, int resample_fd, int gsi, bool on)
{
    struct kvm_irqfd k = {
        .fd = (uint32_t)fd,
        .gsi = (uint32_t)gsi,
        .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };

    if (on && resample_fd >= 0) {
        k.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        k.resamplefd = (uint32_t)resample_fd;
    }
    return KVM_CALL(irq_accel(m)->vm, KVM_IRQFD, &k) < 0 ? -errno : 0;
}

/* ---- the controllers' state ------------------------------------------------------------- */

static void chip_call(Machine *m, unsigned long request, const char *name,
                      void *arg)
{
    if (kvm_call(irq_accel(m)->vm, request, name, arg) < 0) {
        error_report("kvm: %s: %s", name, strerror(errno));
    }
}

#define CHIP_CALL(m, request, arg) chip_call((m), (request), #request, (arg))

static void irq_get_pic(Machine *m, unsigned chip, HostPic *p)
{
    struct kvm_irqchip k = { .chip_id = chip };
    const struct kvm_pic_state *s = &k.chip.pic;

    CHIP_CALL(m, KVM_GET_IRQCHIP, &k);
    *p = (HostPic) {
        .irr = s->irr,
        .imr = s->imr,
        .isr = s->isr,
        .line = s->last_irr,
        .elcr = s->elcr,
        .top = s->priority_add & 7,
        .base = s->irq_base,
        .init = s->init_state ? s->init_state + 1 : 0,
        .icw4_wanted = s->init4,
        .read_isr = s->read_reg_select,
        .poll = s->poll,
        .special_mask = s->special_mask,
        .aeoi = s->auto_eoi,
        .rotate_aeoi = s->rotate_on_auto_eoi,
        .sfnm = s->special_fully_nested_mode,
    };
}

static void irq_set_pic(Machine *m, unsigned chip, const HostPic *p)
{
    struct kvm_irqchip k = { .chip_id = chip };
    struct kvm_pic_state *s = &k.chip.pic;

    CHIP_CALL(m, KVM_GET_IRQCHIP, &k); /* elcr_mask stays */
    s->irr = p->irr;
    s->imr = p->imr;
    s->isr = p->isr;
    s->last_irr = p->line;
    s->elcr = p->elcr;
    s->priority_add = p->top;
    s->irq_base = p->base;
    s->init_state = p->init ? p->init - 1 : 0;
    s->init4 = p->icw4_wanted;
    s->read_reg_select = p->read_isr;
    s->poll = p->poll;
    s->special_mask = p->special_mask;
    s->auto_eoi = p->aeoi;
    s->rotate_on_auto_eoi = p->rotate_aeoi;
    s->special_fully_nested_mode = p->sfnm;
    CHIP_CALL(m, KVM_SET_IRQCHIP, &k);
}

static void irq_get_ioapic(Machine *m, HostIoApic *io)
{
    struct kvm_irqchip k = { .chip_id = KVM_IRQCHIP_IOAPIC };

    CHIP_CALL(m, KVM_GET_IRQCHIP, &k);
    io->id = k.chip.ioapic.id;
    io->select = k.chip.ioapic.ioregsel;
    io->line = k.chip.ioapic.irr;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        io->rte[i] = k.chip.ioapic.redirtbl[i].bits;
    }
}

static void irq_set_ioapic(Machine *m, const HostIoApic *io)
{
    struct kvm_irqchip k = { .chip_id = KVM_IRQCHIP_IOAPIC };

    CHIP_CALL(m, KVM_GET_IRQCHIP, &k); /* base_address stays */
    k.chip.ioapic.id = io->id;
    k.chip.ioapic.ioregsel = io->select;
    k.chip.ioapic.irr = io->line;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        k.chip.ioapic.redirtbl[i].bits = io->rte[i];
    }
    CHIP_CALL(m, KVM_SET_IRQCHIP, &k);
}

/* ---- the 8254 ---------------------------------------------------------------------------- */

enum { RW_LSB = 1, RW_MSB, RW_WORD0, RW_WORD1 }; /* of the kernel */

/* The kernel's time is the monotonic clock's; ours stands while stopped. */
static int64_t pit_clock_ahead(Machine *m)
{
    return kvm_host_ns() - clock_ns(m->vclock);
}

static void pit_from_kvm(const struct kvm_pit_channel_state *k,
                         HostPitChannel *c, int64_t ahead)
{
    *c = (HostPitChannel) {
        .count = CLAMP(k->count, 1, 0x10000),
        .loaded = k->count_load_time - ahead,
        .latch = k->latched_count,
        .latched = k->count_latched == 0          ? 0
                   : k->count_latched == RW_WORD0 ? 2
                                                  : 1,
        .read_next = k->count_latched == RW_MSB || k->read_state == RW_WORD1,
        .write_next = k->write_state == RW_WORD1,
        .write_lsb = k->write_latch,
        .status_latched = k->status_latched,
        .status = k->status,
        .access = k->rw_mode >= RW_LSB && k->rw_mode <= RW_WORD0 ? k->rw_mode
                                                                 : RW_WORD0,
        .mode = k->mode > 5 ? k->mode & 3 : k->mode,
        .bcd = k->bcd,
        .gate = k->gate,
    };
}

static void pit_to_kvm(const HostPitChannel *c, struct kvm_pit_channel_state *k,
                       int64_t ahead)
{
    bool both = c->access == RW_WORD0;

    *k = (struct kvm_pit_channel_state) {
        .count = c->count,
        .latched_count = c->latch,
        .count_latched = c->latched == 0                       ? 0
                         : c->latched == 2                     ? RW_WORD0
                         : c->read_next || c->access == RW_MSB ? RW_MSB
                                                               : RW_LSB,
        .status_latched = c->status_latched,
        .status = c->status,
        .read_state = both && c->read_next ? RW_WORD1 : c->access,
        .write_state = both && c->write_next ? RW_WORD1 : c->access,
        .write_latch = c->write_lsb,
        .rw_mode = c->access,
        .mode = c->mode,
        .bcd = c->bcd,
        .gate = c->gate,
        .count_load_time = c->loaded + ahead,
    };
}

static void irq_get_pit(Machine *m, HostPit *pit)
{
    struct kvm_pit_state2 k = { 0 };
    int64_t ahead = pit_clock_ahead(m);

    CHIP_CALL(m, KVM_GET_PIT2, &k);
    for (unsigned i = 0; i < G_N_ELEMENTS(pit->ch); i++) {
        pit_from_kvm(&k.channels[i], &pit->ch[i], ahead);
    }
    pit->speaker = k.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
    pit->hpet_legacy = k.flags & KVM_PIT_FLAGS_HPET_LEGACY;
}

static void irq_set_pit(Machine *m, const HostPit *pit)
{
    struct kvm_pit_state2 k = {
        .flags = (pit->speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0) |
                 (pit->hpet_legacy ? KVM_PIT_FLAGS_HPET_LEGACY : 0),
    };
    int64_t ahead = pit_clock_ahead(m);

    for (unsigned i = 0; i < G_N_ELEMENTS(pit->ch); i++) {
        pit_to_kvm(&pit->ch[i], &k.channels[i], ahead);
    }
    CHIP_CALL(m, KVM_SET_PIT2, &k);
}

/* ---- which of them -------------------------------------------------------------------------- */

static const HostKernelOps irq_ops = {
    .set_gsi = irq_set_gsi,
    .send_msi = irq_send_msi,
    .route_add = irq_route_add,
    .route_set = irq_route_set,
    .route_del = irq_route_del,
    .irqfd_set = irq_irqfd_set,
    .set_pin = irq_set_pin,
    .get_pic = irq_get_pic,
    .set_pic = irq_set_pic,
    .get_ioapic = irq_get_ioapic,
    .set_ioapic = irq_set_ioapic,
    .get_pit = irq_get_pit,
    .set_pit = irq_set_pit,
};

/* Without controllers in the kernel there are no MSIs to route. */
static const HostKernelOps no_irq_ops = { 0 };

typedef enum IrqMode { IRQ_DEFAULT, IRQ_OFF, IRQ_SPLIT, IRQ_ON } IrqMode;

static const char *irq_option(Machine *m, KeyVal *options)
{
    static const char *const names[] = { "kernel-irqchip", "kernel_irqchip" };
    const char *v = NULL;

    for (unsigned i = 0; !v && i < G_N_ELEMENTS(names); i++) {
        v = options ? keyval_get(options, names[i]) : NULL;
        if (!v && m->cfg.machine_opts) {
            v = keyval_get(m->cfg.machine_opts, names[i]);
        }
    }
    return v;
}

static bool irq_read_option(Machine *m, KeyVal *options, IrqMode *mode,
                            GError **errp)
{
    const char *v = irq_option(m, options);

    *mode = IRQ_DEFAULT;
    if (!v) {
        return true;
    }
    *mode = !strcmp(v, "split") ? IRQ_SPLIT : IRQ_DEFAULT;
    if (!strcmp(v, "on") || !strcmp(v, "true") || !strcmp(v, "yes")) {
        *mode = IRQ_ON;
    } else if (!strcmp(v, "off") || !strcmp(v, "false") || !strcmp(v, "no")) {
        *mode = IRQ_OFF;
    }
    if (*mode == IRQ_DEFAULT) {
        error_setg(errp, "kernel-irqchip must be on, split or off, not '%s'",
                   v);
        return false;
    }
    return true;
}

/* What this machine or this host cannot have: why. */
static const char *irq_refused(const KvmAccel *a, IrqMode mode)
{
    const Machine *m = a->accel.machine;

    if (mode <= IRQ_OFF) {
        return NULL;
    }
    if (!m->cls || !m->cls->irqchip) {
        return "this machine has no interrupt controllers";
    }
    if (m->cfg.flat && m->cfg.flat->len) {
        return "-flat ends at HLT, which the kernel would keep to itself";
    }
    if (!a->caps.signal_msi || !a->caps.irq_routes || !a->caps.mp_state) {
        return "this host's KVM has no KVM_SIGNAL_MSI";
    }
    if (mode == IRQ_SPLIT ? !a->caps.split_irqchip : !a->caps.irqchip) {
        return "this host's KVM has it not";
    }
    return NULL;
}

/* As QEMU: on. But an interpreter's kernel would delay their interrupts while
 * the software CPU has its turns. */
static IrqMode irq_default(KvmAccel *a)
{
    KvmProbe p;

    if (irq_refused(a, IRQ_ON)) {
        return IRQ_OFF;
    }
    kvm_probe_guest(a->fd, a->run_size, a->supported, &p);
    return p.done && !p.interprets ? IRQ_ON : IRQ_OFF;
}

static bool irq_create(KvmAccel *a, IrqMode mode, GError **errp)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP,
                                    .args = { IOAPIC_PINS } };

    if (mode == IRQ_SPLIT) {
        if (KVM_CALL(a->vm, KVM_ENABLE_CAP, &split) < 0) {
            error_setg_errno(errp, errno, "KVM_CAP_SPLIT_IRQCHIP");
            return false;
        }
    } else if (KVM_CALL(a->vm, KVM_CREATE_IRQCHIP, 0) < 0) {
        error_setg_errno(errp, errno, "KVM_CREATE_IRQCHIP");
        return false;
    }
    a->host.lapic = true;
    if (mode == IRQ_ON) {
        a->host.irqchip = true;
        routes_of_pc(a);
        a->host.pit =
            a->caps.pit2 && KVM_CALL(a->vm, KVM_CREATE_PIT2, &pit) == 0;
    }
    return true;
}

bool kvm_irq_open(KvmAccel *a, KeyVal *options, GError **errp)
{
    IrqMode mode;
    const char *why;

    a->host.ops = &no_irq_ops;
    if (!irq_read_option(a->accel.machine, options, &mode, errp)) {
        return false;
    }
    if (mode == IRQ_DEFAULT) {
        mode = irq_default(a);
    }
    why = irq_refused(a, mode);
    if (why) {
        error_setg(errp, "kernel-irqchip=%s: %s; use off",
                   mode == IRQ_ON ? "on" : "split", why);
        return false;
    }
    if (mode == IRQ_OFF) {
        return true;
    }
    a->host.ops = &irq_ops;
    return irq_create(a, mode, errp);
}

void kvm_irq_exit_eoi(KvmAccel *a, uint8_t vector)
{
    Machine *m = a->accel.machine;

    machine_lock(m);
    if (a->host.eoi) {
        a->host.eoi(a->host.eoi_opaque, vector);
    }
    machine_unlock(m);
}

void kvm_irq_init(KvmAccel *a)
{
    a->routes = g_array_new(false, true, sizeof(Route));
}

void kvm_irq_close(KvmAccel *a)
{
    g_array_unref(a->routes);
}
