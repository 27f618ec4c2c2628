/*
 * The pair of 8259A interrupt controllers of a PC, and their ELCR.
 *
 * Intel 8259A data sheet (231468); the ELCR is the PIIX3's (290550, 4.2.6).
 * An edge stays latched in IRR until it is acknowledged even if the line
 * drops before, unlike the chip, where it becomes a spurious IR7: the timer's
 * square wave must not get lost in a slow guest. Level requests do vanish and
 * are then spurious.
 *
 * Where the host's kernel has the chips (system/host-kernel.h), their state is
 * fetched before it is looked at and given back after it changed.
 *
 * Not modelled: MCS-80/85 mode (vector as a CALL), buffered mode, LTIM of
 * ICW1 (a PC's chip set has the ELCR instead).
 */
#include "util/osdep.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/intc/i8259.h"
#include "system/host-kernel.h"

#define ICW1_IC4   0x01u /* ICW4 will follow */
#define ICW1_SNGL  0x02u /* no ICW3 */
#define ICW1_LTIM  0x08u
#define ICW1_INIT  0x10u
#define ICW4_UPM   0x01u
#define ICW4_AEOI  0x02u
#define ICW4_SFNM  0x10u
#define OCW3_SEL   0x08u
#define OCW3_RR    0x02u
#define OCW3_RIS   0x01u
#define OCW3_POLL  0x04u
#define OCW3_ESMM  0x40u
#define OCW3_SMM   0x20u
#define OCW2_R     0x80u
#define OCW2_SL    0x40u
#define OCW2_EOI   0x20u
#define CASCADE_IR 2

typedef struct Pic {
    uint8_t irr, imr, isr;
    uint8_t line;     /* the inputs as they are */
    uint8_t elcr;     /* 1: level-triggered */
    uint8_t top;      /* IR with the highest priority */
    uint8_t base;     /* ICW2: vector of IR0 */
    uint8_t icw3;     /* kept for nothing but reading a dump */
    uint8_t init;     /* ICW expected next: 0 (none), 2, 3, 4 */
    bool icw4_wanted; /* IC4 of ICW1 */
    bool single;      /* SNGL of ICW1 */
    bool read_isr;    /* OCW3: port 0 reads ISR, not IRR */
    bool poll;        /* OCW3: the next read is an acknowledge */
    bool special_mask;
    bool aeoi, rotate_aeoi, sfnm;
} Pic;

typedef struct PicPair {
    Device dev;
    Pic pic[2]; /* master, slave */
    Region master_ports, slave_ports, elcr_ports;
    IrqLine intr;
    bool intr_level;
    uint64_t rises[16]; /* of the inputs: "info irq" */
} PicPair;

static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/* ---- in the host's kernel -------------------------------------------------- */

static void pic_fetch_chip(PicPair *s, unsigned n)
{
    Pic *p = &s->pic[n];
    HostPic h;

    s->dev.machine->host->ops->get_pic(s->dev.machine, n, &h);
    *p = (Pic) {
        .irr = h.irr,
        .imr = h.imr,
        .isr = h.isr,
        .line = h.line,
        .elcr = h.elcr & elcr_writable[n],
        .top = h.top & 7,
        .base = h.base,
        .icw3 = p->icw3,
        .init = h.init,
        .icw4_wanted = h.icw4_wanted,
        .read_isr = h.read_isr,
        .poll = h.poll,
        .special_mask = h.special_mask,
        .aeoi = h.aeoi,
        .rotate_aeoi = h.rotate_aeoi,
        .sfnm = h.sfnm,
    };
}

static void pic_give_chip(PicPair *s, unsigned n)
{
    const Pic *p = &s->pic[n];
    HostPic h = {
        .irr = p->irr,
        .imr = p->imr,
        .isr = p->isr,
        .line = p->line,
        .elcr = p->elcr,
        .top = p->top,
        .base = p->base,
        .init = p->init,
        .icw4_wanted = p->icw4_wanted,
        .read_isr = p->read_isr,
        .poll = p->poll,
        .special_mask = p->special_mask,
        .aeoi = p->aeoi,
        .rotate_aeoi = p->rotate_aeoi,
        .sfnm = p->sfnm,
    };

    s->dev.machine->host->ops->set_pic(s->dev.machine, n, &h);
}

/* Before this model looks at its state, and after it changed it. */
static void pic_fetch(PicPair *s)
{
    if (host_has_irqchip(s->dev.machine)) {
        pic_fetch_chip(s, 0);
        pic_fetch_chip(s, 1);
    }
}

static void pic_give(PicPair *s)
{
    if (host_has_irqchip(s->dev.machine)) {
        pic_give_chip(s, 0);
        pic_give_chip(s, 1);
    }
}

/* ---- priorities ---------------------------------------------------------------- */

/* 0 is the highest priority. */
static unsigned pic_rank(const Pic *p, unsigned ir)
{
    return (ir - p->top) & 7;
}

/* Rank of the most urgent bit of @set, 8 if there is none. */
static unsigned pic_best(const Pic *p, uint8_t set)
{
    unsigned rank = 0;

    while (rank < 8 && !(set & (1u << ((p->top + rank) & 7)))) {
        rank++;
    }
    return rank;
}

/* The IR that asks for INT now, or -1. "Fully Nested Mode". */
static int pic_pending(const Pic *p, bool master)
{
    uint8_t busy = p->special_mask ? p->isr & ~p->imr : p->isr;
    unsigned want = pic_best(p, p->irr & ~p->imr);

    if (p->sfnm && master && want == pic_rank(p, CASCADE_IR)) {
        /* The slave may interrupt its own service routine with better. */
        busy &= ~(1u << CASCADE_IR);
    }
    if (want == 8 || want >= pic_best(p, busy)) {
        return -1;
    }
    return (p->top + want) & 7;
}

static void pic_set_ir(Pic *p, unsigned ir, int level)
{
    uint8_t bit = 1u << ir;

    if (p->elcr & bit) {
        p->irr = level ? p->irr | bit : p->irr & ~bit;
    } else if (level && !(p->line & bit)) {
        p->irr |= bit;
    }
    p->line = level ? p->line | bit : p->line & ~bit;
}

/* Carries the slave's INT to the master and the master's to the CPU. */
static void pic_update(PicPair *s)
{
    bool slave;

    if (host_has_irqchip(s->dev.machine)) {
        return;
    }
    slave = pic_pending(&s->pic[1], false) >= 0;

    pic_set_ir(&s->pic[0], CASCADE_IR, slave);
    if (!slave) {
        s->pic[0].irr &= ~(1u << CASCADE_IR); /* as the chip does; see above */
    }
    s->intr_level = pic_pending(&s->pic[0], true) >= 0;
    irq_set(&s->intr, s->intr_level);
}

/* What INTA does to one chip that accepts request @ir. */
static void pic_accept(Pic *p, unsigned ir)
{
    uint8_t bit = 1u << ir;

    if (!(p->elcr & bit)) {
        p->irr &= ~bit;
    }
    if (!p->aeoi) {
        p->isr |= bit;
    } else if (p->rotate_aeoi) {
        p->top = (ir + 1) & 7;
    }
}

int i8259_ack(void *opaque)
{
    PicPair *s = container_of((Device *)opaque, PicPair, dev);
    Pic *master = &s->pic[0], *slave = &s->pic[1];
    int ir = pic_pending(master, true), slave_ir;
    int vector;

    if (ir < 0) {
        ir = 7;
        vector = master->base + ir;
    } else if (ir == CASCADE_IR) {
        pic_accept(master, ir);
        slave_ir = pic_pending(slave, false);
        if (slave_ir >= 0) {
            pic_accept(slave, slave_ir);
        } else {
            slave_ir = 7;
        }
        vector = slave->base + slave_ir;
    } else {
        pic_accept(master, ir);
        vector = master->base + ir;
    }
    /* INT falls during INTA: the next request of the slave is a new edge. */
    pic_set_ir(master, CASCADE_IR, 0);
    pic_update(s);
    trace(pic_interrupt, ir, vector);
    return vector;
}

bool i8259_intr(Device *dev)
{
    return container_of(dev, PicPair, dev)->intr_level;
}

static void pic_icw1(Pic *p, uint8_t value)
{
    if (value & ICW1_LTIM) {
        log_mask(LOG_UNIMP, "i8259: LTIM ignored, level is set in ELCR\n");
    }
    /* Edge latches are cleared; level requests stay as they are. */
    p->irr = p->line & p->elcr;
    p->imr = 0;
    p->isr = 0;
    p->top = 0;
    p->read_isr = false;
    p->poll = false;
    p->special_mask = false;
    p->aeoi = p->rotate_aeoi = p->sfnm = false;
    p->single = value & ICW1_SNGL;
    p->icw4_wanted = value & ICW1_IC4;
    p->init = 2;
}

static void pic_ocw2(Pic *p, uint8_t value)
{
    unsigned ir = value & 7;
    bool specific = value & OCW2_SL;
    unsigned rank;

    if (!(value & OCW2_EOI)) {
        if (!specific) {
            p->rotate_aeoi = value & OCW2_R;
        } else if (value & OCW2_R) {
            p->top = (ir + 1) & 7; /* set priority */
        }
        return;
    }
    if (!specific) {
        rank = pic_best(p, p->special_mask ? p->isr & ~p->imr : p->isr);
        if (rank == 8) {
            return;
        }
        ir = (p->top + rank) & 7;
    }
    p->isr &= ~(1u << ir);
    if (value & OCW2_R) {
        p->top = (ir + 1) & 7;
    }
}

static void pic_ocw3(Pic *p, uint8_t value)
{
    if (value & OCW3_POLL) {
        p->poll = true;
    }
    if (value & OCW3_RR) {
        p->read_isr = value & OCW3_RIS;
    }
    if (value & OCW3_ESMM) {
        p->special_mask = value & OCW3_SMM;
    }
}

static void pic_icw4(Pic *p, uint8_t value)
{
    if (!(value & ICW4_UPM)) {
        log_mask(LOG_UNIMP, "i8259: MCS-80 mode is not modelled\n");
    }
    p->sfnm = value & ICW4_SFNM;
    p->aeoi = value & ICW4_AEOI;
}

/* Port 1: OCW1, or the next word of an initialization. */
static void pic_write_data(Pic *p, uint8_t value)
{
    switch (p->init) {
    case 2:
        p->base = value & 0xf8;
        p->init = !p->single ? 3 : p->icw4_wanted ? 4 : 0;
        break;
    case 3:
        p->icw3 = value;
        p->init = p->icw4_wanted ? 4 : 0;
        break;
    case 4:
        pic_icw4(p, value);
        p->init = 0;
        break;
    default:
        p->imr = value;
        break;
    }
}

static void pic_write(PicPair *s, Pic *p, unsigned port, uint8_t value)
{
    pic_fetch(s);
    if (port == 1) {
        pic_write_data(p, value);
    } else if (value & ICW1_INIT) {
        pic_icw1(p, value);
    } else if (value & OCW3_SEL) {
        pic_ocw3(p, value);
    } else {
        pic_ocw2(p, value);
    }
    pic_give(s);
    pic_update(s);
}

/* "Poll Command": a read that acknowledges. */
static uint8_t pic_poll(PicPair *s, Pic *p)
{
    int ir = pic_pending(p, p == &s->pic[0]);

    p->poll = false;
    if (ir < 0) {
        return 0x07;
    }
    pic_accept(p, ir);
    pic_give(s);
    pic_update(s);
    return 0x80 | ir;
}

static uint8_t pic_read(PicPair *s, Pic *p, unsigned port)
{
    pic_fetch(s);
    if (p->poll) {
        return pic_poll(s, p);
    }
    if (port == 1) {
        return p->imr;
    }
    return p->read_isr ? p->isr : p->irr;
}

static uint64_t pic_master_read(void *opaque, hwaddr offset, unsigned size)
{
    PicPair *s = opaque;

    return pic_read(s, &s->pic[0], offset);
}

static void pic_master_write(void *opaque, hwaddr offset, uint64_t value,
                             unsigned size)
{
    PicPair *s = opaque;

    pic_write(s, &s->pic[0], offset, value);
}

static uint64_t pic_slave_read(void *opaque, hwaddr offset, unsigned size)
{
    PicPair *s = opaque;

    return pic_read(s, &s->pic[1], offset);
}

static void pic_slave_write(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size)
{
    PicPair *s = opaque;

    pic_write(s, &s->pic[1], offset, value);
}

static uint64_t pic_elcr_read(void *opaque, hwaddr offset, unsigned size)
{
    PicPair *s = opaque;

    pic_fetch(s);
    return s->pic[offset].elcr;
}

static void pic_elcr_write(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
    PicPair *s = opaque;
    Pic *p = &s->pic[offset];
    uint8_t old;

    pic_fetch(s);
    old = p->elcr;
    p->elcr = value & elcr_writable[offset];
    /* A pin that becomes level-triggered asks for what its line says. */
    p->irr &= ~(p->elcr & ~old);
    p->irr |= p->line & p->elcr;
    pic_give(s);
    pic_update(s);
}

static void pic_input(void *opaque, int n, int level)
{
    PicPair *s = opaque;

    trace(pic_set_irq, n < 8, n & 7, level);
    s->rises[n] += level && !(s->pic[n >> 3].line >> (n & 7) & 1);
    if (host_set_gsi(s->dev.machine, (unsigned)n, level)) {
        return;
    }
    pic_set_ir(&s->pic[n >> 3], n & 7, level);
    pic_update(s);
}

const uint64_t *i8259_rises(const Device *dev)
{
    return container_of(dev, PicPair, dev)->rises;
}

IrqLine i8259_input(Device *dev, int irq)
{
    PicPair *s = container_of(dev, PicPair, dev);

    if (irq < 0 || irq > 15 || irq == CASCADE_IR) {
        return (IrqLine) { .set = NULL };
    }
    return (IrqLine) { pic_input, s, irq };
}

void i8259_set_output(Device *dev, IrqLine intr)
{
    container_of(dev, PicPair, dev)->intr = intr;
}

void i8259_dump(Device *dev, GString *out)
{
    PicPair *s = container_of(dev, PicPair, dev);

    pic_fetch(s);
    for (int i = 0; i < 2; i++) {
        const Pic *p = &s->pic[i];

        g_string_append_printf(out,
                               "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d "
                               "irq_base=%02x rr_sel=%d elcr=%02x fnm=%d\n",
                               i, p->irr, p->imr, p->isr, p->top, p->base,
                               p->read_isr, p->elcr, p->sfnm);
    }
}

static const RegionOps pic_master_ops = {
    .read = pic_master_read,
    .write = pic_master_write,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps pic_slave_ops = {
    .read = pic_slave_read,
    .write = pic_slave_write,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps pic_elcr_ops = {
    .read = pic_elcr_read,
    .write = pic_elcr_write,
    .min_size = 1,
    .max_size = 1,
};

static void pic_reset(Device *dev)
{
    PicPair *s = container_of(dev, PicPair, dev);

    pic_fetch(s);
    for (int i = 0; i < 2; i++) {
        uint8_t line = s->pic[i].line;

        s->pic[i] = (Pic) { .line = line };
    }
    s->pic[0].line &= ~(1u << CASCADE_IR);
    pic_give(s);
    pic_update(s);
}

static bool pic_realize(Device *dev, GError **errp)
{
    PicPair *s = container_of(dev, PicPair, dev);
    AddressSpace *io = dev->machine->io;

    region_init_io(&s->master_ports, "pic-master", 2, &pic_master_ops, s);
    region_init_io(&s->slave_ports, "pic-slave", 2, &pic_slave_ops, s);
    region_init_io(&s->elcr_ports, "pic-elcr", 2, &pic_elcr_ops, s);
    s->master_ports.in_kernel = s->slave_ports.in_kernel =
        s->elcr_ports.in_kernel = host_has_irqchip(dev->machine);
    as_map(io, 0x20, &s->master_ports, 0);
    as_map(io, 0xa0, &s->slave_ports, 0);
    as_map(io, 0x4d0, &s->elcr_ports, 0);
    return true;
}

static void pic_unrealize(Device *dev)
{
    PicPair *s = container_of(dev, PicPair, dev);

    as_unmap(&s->master_ports);
    as_unmap(&s->slave_ports);
    as_unmap(&s->elcr_ports);
}

static void pic_pre_save(void *obj)
{
    pic_fetch(obj);
}

static bool pic_post_load(void *obj, int version, GError **errp)
{
    PicPair *s = obj;

    for (int i = 0; i < 2; i++) {
        s->pic[i].top &= 7;
        s->pic[i].elcr &= elcr_writable[i];
    }
    pic_give(s);
    pic_update(s);
    return true;
}

static const VMField pic_chip_fields[] = {
    VM_U8(Pic, irr),      VM_U8(Pic, imr),
    VM_U8(Pic, isr),      VM_U8(Pic, line),
    VM_U8(Pic, elcr),     VM_U8(Pic, top),
    VM_U8(Pic, base),     VM_U8(Pic, icw3),
    VM_U8(Pic, init),     VM_BOOL(Pic, icw4_wanted),
    VM_BOOL(Pic, single), VM_BOOL(Pic, read_isr),
    VM_BOOL(Pic, poll),   VM_BOOL(Pic, special_mask),
    VM_BOOL(Pic, aeoi),   VM_BOOL(Pic, rotate_aeoi),
    VM_BOOL(Pic, sfnm),   VM_FIELDS_END,
};

static const VMState vmstate_pic_chip = {
    .name = "i8259-chip",
    .version = 1,
    .min_version = 1,
    .fields = pic_chip_fields,
};

static const VMField pic_fields[] = {
    VM_SUB_ARRAY(PicPair, pic, 2, vmstate_pic_chip),
    VM_FIELDS_END,
};

static const VMState vmstate_pic = {
    .name = "i8259",
    .version = 1,
    .min_version = 1,
    .fields = pic_fields,
    .pre_save = pic_pre_save,
    .post_load = pic_post_load,
};

const DeviceClass i8259_class = {
    .name = "i8259",
    .desc = "Pair of 8259A interrupt controllers",
    .bus = "ISA",
    .size = sizeof(PicPair),
    .vmstate = &vmstate_pic,
    .internal = true,
    .has_inputs = true,
    .realize = pic_realize,
    .reset = pic_reset,
    .unrealize = pic_unrealize,
};
