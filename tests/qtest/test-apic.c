/* Local APICs: priorities, messages, LVT, timer, x2APIC, the 8259 at LINT0. */
#include "tests/qtest/qtest.h"
#include "hw/intc/apic.h"
#include "target-x86/cpu.h"

enum { CPUS = 4 };

enum { /* register offsets */
       ID = 0x20,
       VERSION = 0x30,
       TPR = 0x80,
       PPR = 0xa0,
       EOI = 0xb0,
       LDR = 0xd0,
       DFR = 0xe0,
       SVR = 0xf0,
       ISR = 0x100,
       TMR = 0x180,
       IRR = 0x200,
       ESR = 0x280,
       ICR = 0x300,
       ICR2 = 0x310,
       LVTT = 0x320,
       LINT0 = 0x350,
       LINT1 = 0x360,
       LVTERR = 0x370,
       TMICT = 0x380,
       TMCCT = 0x390,
       DCR = 0x3e0,
};

typedef struct ApicTest {
    QTest q;
    X86Cpu *cpu[CPUS];
    Device *dev[CPUS];
    IrqLine pic;
    int pic_vector; /* what the fake 8259 answers */
    unsigned pic_acks;
    unsigned eois, last_eoi;
} ApicTest;

/* A fake processor. */
void cpu_raise(X86Cpu *cpu, uint32_t bits)
{
    __atomic_or_fetch(&cpu->pending, bits, __ATOMIC_RELEASE);
}

void cpu_lower(X86Cpu *cpu, uint32_t bits)
{
    __atomic_and_fetch(&cpu->pending, ~bits, __ATOMIC_RELEASE);
}

X86State *cpu_state(X86Cpu *cpu)
{
    return &cpu->s;
}

uint64_t x86_tsc(X86Cpu *cpu)
{
    return clock_ns(cpu->machine->vclock) + cpu->s.tsc_offset;
}

static int fake_pic_ack(void *opaque)
{
    ApicTest *t = opaque;

    t->pic_acks++;
    irq_set(&t->pic, 0);
    return t->pic_vector;
}

static void fake_eoi(void *opaque, uint8_t vector)
{
    ApicTest *t = opaque;

    t->eois++;
    t->last_eoi = vector;
}

static void apic_start(ApicTest *t)
{
    memset(t, 0, sizeof(*t));
    qtest_start(&t->q);
    t->q.m->ncpus = CPUS;
    t->q.m->cpu = t->cpu;
    for (unsigned i = 0; i < CPUS; i++) {
        t->cpu[i] = g_new0(X86Cpu, 1);
        t->cpu[i]->index = i;
        t->cpu[i]->apic_id = i;
        t->cpu[i]->machine = t->q.m;
        t->dev[i] = device_new_class(t->q.m, &apic_class, NULL);
        apic_attach(t->dev[i], t->cpu[i]);
        qtest_realize(t->dev[i]);
    }
    t->pic = apic_connect_pic(t->q.m, fake_pic_ack, t);
    apic_connect_ioapic(t->q.m, fake_eoi, t);
}

static void apic_end(ApicTest *t)
{
    X86Cpu *cpu[CPUS];

    memcpy(cpu, t->cpu, sizeof(cpu));
    qtest_end(&t->q);
    for (unsigned i = 0; i < CPUS; i++) {
        g_assert_null(cpu[i]->apic);
        g_free(cpu[i]);
    }
}

static uint32_t rd(ApicTest *t, int cpu, unsigned reg)
{
    return t->cpu[cpu]->apic_ops->mmio_read(t->cpu[cpu], reg, 4);
}

static void wr(ApicTest *t, int cpu, unsigned reg, uint32_t value)
{
    t->cpu[cpu]->apic_ops->mmio_write(t->cpu[cpu], reg, value, 4);
}

static int ack(ApicTest *t, int cpu)
{
    return t->cpu[cpu]->apic_ops->ack_irq(t->cpu[cpu]);
}

static bool irq(ApicTest *t, int cpu)
{
    return cpu_pending(t->cpu[cpu]) & CPU_IRQ;
}

static void soft_enable(ApicTest *t)
{
    for (unsigned i = 0; i < CPUS; i++) {
        wr(t, i, SVR, 0x1ff);
    }
}

static bool set_base(ApicTest *t, int cpu, uint64_t v)
{
    return t->cpu[cpu]->apic_ops->set_base(t->cpu[cpu], v);
}

static bool rdmsr(ApicTest *t, int cpu, uint32_t msr, uint64_t *v)
{
    return t->cpu[cpu]->apic_ops->msr_read(t->cpu[cpu], msr, v);
}

static bool wrmsr(ApicTest *t, int cpu, uint32_t msr, uint64_t v)
{
    return t->cpu[cpu]->apic_ops->msr_write(t->cpu[cpu], msr, v);
}

static void test_registers(void)
{
    /* Reset value, what stays of all ones; on CPU 1, software-enabled. */
    static const struct {
        unsigned reg;
        uint32_t reset, sticks;
    } row[] = {
        { ID, 0x01000000, 0xff000000 },
        { VERSION, 0x00050014, 0x00050014 },
        { TPR, 0, 0xff },
        { PPR, 0xff, 0xff },
        { LDR, 0, 0xff000000 },
        { DFR, 0xffffffff, 0xffffffff },
        { SVR, 0x1ff, 0x3ff },
        { ESR, 0, 0 },
        { ICR2, 0, 0xff000000 },
        { LVTT, 0x10000, 0x700ff },
        { 0x330, 0x10000, 0x107ff },
        { 0x340, 0x10000, 0x107ff },
        { LINT0, 0x10000, 0x1a7ff },
        { LINT1, 0x10000, 0x1a7ff },
        { LVTERR, 0x10000, 0x100ff },
        { DCR, 0, 0xb },
        { ISR, 0, 0 },
        { IRR + 0x70, 0, 0 },
    };
    ApicTest t;

    apic_start(&t);
    g_assert_cmphex(rd(&t, 1, SVR), ==, 0xff);
    g_assert_cmphex(t.cpu[0]->s.apic_base, ==, 0xfee00900);
    g_assert_cmphex(t.cpu[1]->s.apic_base, ==, 0xfee00800);
    g_assert_cmphex(rd(&t, 0, LINT0), ==, 0x700);
    soft_enable(&t);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        g_assert_cmphex(rd(&t, 1, row[i].reg), ==, row[i].reset);
        wr(&t, 1, row[i].reg, 0xffffffff);
        g_assert_cmphex(rd(&t, 1, row[i].reg), ==, row[i].sticks);
    }
    /* Software-disabling masks every LVT, for good. */
    wr(&t, 1, LVTERR, 0xfe);
    wr(&t, 1, SVR, 0xff);
    g_assert_cmphex(rd(&t, 1, LVTERR), ==, 0x100fe);
    wr(&t, 1, LVTERR, 0xfe);
    g_assert_cmphex(rd(&t, 1, LVTERR), ==, 0x100fe);
    /* Registers that are not there. */
    wr(&t, 1, SVR, 0x1ff);
    g_assert_cmphex(rd(&t, 1, 0x40), ==, 0);
    wr(&t, 1, ESR, 0);
    g_assert_cmphex(rd(&t, 1, ESR), ==, 0x80);
    wr(&t, 1, ESR, 0);
    g_assert_cmphex(rd(&t, 1, ESR), ==, 0);
    apic_end(&t);
}

static void test_priorities(void)
{
    ApicTest t;

    apic_start(&t);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x40, false);
    g_assert_false(irq(&t, 0)); /* software-disabled: not accepted */
    soft_enable(&t);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x41, false);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x62, false);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x65, false);
    g_assert_true(irq(&t, 0));
    g_assert_cmphex(rd(&t, 0, IRR + 0x30), ==, 0x24);
    g_assert_cmphex(ack(&t, 0), ==, 0x65);
    g_assert_cmphex(rd(&t, 0, ISR + 0x30), ==, 0x20);
    g_assert_cmphex(rd(&t, 0, PPR), ==, 0x60);
    g_assert_false(irq(&t, 0)); /* 62 is of the same class */
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x70, false);
    g_assert_true(irq(&t, 0));
    g_assert_cmphex(ack(&t, 0), ==, 0x70);
    wr(&t, 0, EOI, 0);
    g_assert_cmphex(rd(&t, 0, PPR), ==, 0x60);
    wr(&t, 0, EOI, 0);
    g_assert_cmphex(ack(&t, 0), ==, 0x62);
    wr(&t, 0, EOI, 0);
    g_assert_true(irq(&t, 0));
    wr(&t, 0, TPR, 0x45);
    g_assert_false(irq(&t, 0));
    g_assert_cmphex(rd(&t, 0, PPR), ==, 0x45);
    g_assert_cmpint(ack(&t, 0), ==, -1); /* went away meanwhile */
    t.cpu[0]->apic_ops->set_tpr(t.cpu[0], 3);
    g_assert_cmphex(rd(&t, 0, TPR), ==, 0x30);
    g_assert_cmpuint(t.cpu[0]->apic_ops->get_tpr(t.cpu[0]), ==, 3);
    g_assert_cmphex(ack(&t, 0), ==, 0x41);
    wr(&t, 0, EOI, 0);
    wr(&t, 0, EOI, 0); /* one too many */
    g_assert_cmpuint(t.eois, ==, 0);

    /* Level: TMR, and the I/O APIC hears of the EOI. */
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x81, true);
    g_assert_cmphex(rd(&t, 0, TMR + 0x40), ==, 0x2);
    g_assert_cmphex(ack(&t, 0), ==, 0x81);
    wr(&t, 0, EOI, 0);
    g_assert_cmpuint(t.eois, ==, 1);
    g_assert_cmphex(t.last_eoi, ==, 0x81);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x81, false);
    g_assert_cmphex(rd(&t, 0, TMR + 0x40), ==, 0);

    /* An illegal vector. */
    wr(&t, 0, LVTERR, 0x3f);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x0f, false);
    wr(&t, 0, ESR, 0);
    g_assert_cmphex(rd(&t, 0, ESR), ==, 0x40);
    g_assert_cmphex(rd(&t, 0, IRR + 0x10), ==, 0x80000000);
    wr(&t, 0, LVTERR, 0x01); /* its own vector is illegal: no end of stack */
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x0f, false);
    apic_end(&t);
}

/* Which CPUs have @vector in IRR, as a mask; takes it away. */
static unsigned who_got(ApicTest *t, unsigned vector)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < CPUS; i++) {
        if (ack(t, i) == (int)vector) {
            mask |= 1u << i;
            wr(t, i, EOI, 0);
        }
    }
    return mask;
}

static void test_destinations(void)
{
    static const struct {
        uint32_t icr, dest;
        unsigned got;
    } row[] = {
        { 0x04050, 2, 0x4 },    /* physical */
        { 0x04050, 0xff, 0xf }, /* broadcast */
        { 0x04050, 9, 0x0 },    /* nobody */
        { 0x04850, 0x05, 0x5 }, /* logical, flat: LDR is 1 << i */
        { 0x04850, 0xff, 0xf },
        { 0x44050, 3, 0x2 },    /* self (the sender is 1) */
        { 0x84050, 3, 0xf },    /* all */
        { 0xc4050, 3, 0xd },    /* all but self */
        { 0x04950, 0x0c, 0x4 }, /* lowest priority of 2 and 3 */
    };
    ApicTest t;

    apic_start(&t);
    soft_enable(&t);
    for (unsigned i = 0; i < CPUS; i++) {
        wr(&t, i, LDR, 0x01000000u << i);
    }
    wr(&t, 3, TPR, 0x20);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        wr(&t, 1, ICR2, row[i].dest << 24);
        wr(&t, 1, ICR, row[i].icr);
        g_assert_cmphex(rd(&t, 1, ICR), ==, row[i].icr); /* idle */
        g_assert_cmphex(who_got(&t, 0x50), ==, row[i].got);
    }
    wr(&t, 2, TPR, 0x30);
    wr(&t, 1, ICR2, 0x0cu << 24);
    wr(&t, 1, ICR, 0x4950);
    g_assert_cmphex(who_got(&t, 0x50), ==, 0x8);
    /* Clusters of two: 10 + {1, 2}, 20 + {1, 2}. */
    for (unsigned i = 0; i < CPUS; i++) {
        wr(&t, i, DFR, 0);
        wr(&t, i, LDR, ((i / 2 + 1) << 4 | 1u << i % 2) << 24);
    }
    wr(&t, 1, ICR2, 0x23u << 24);
    wr(&t, 1, ICR, 0x4850);
    g_assert_cmphex(who_got(&t, 0x50), ==, 0xc);
    wr(&t, 1, ICR2, 0x12u << 24);
    wr(&t, 1, ICR, 0x4850);
    g_assert_cmphex(who_got(&t, 0x50), ==, 0x2);
    wr(&t, 1, ICR, 0x4805); /* illegal vector */
    wr(&t, 1, ESR, 0);
    g_assert_cmphex(rd(&t, 1, ESR), ==, 0x20);
    apic_deliver_msi(t.q.m, 0xfee02000, 0x4061);
    g_assert_cmphex(who_got(&t, 0x61), ==, 0x4);
    apic_deliver_msi(t.q.m, 0xfee2300c, 0x0062);
    g_assert_cmphex(who_got(&t, 0x62), ==, 0xc);
    apic_end(&t);
}

static void test_startup(void)
{
    ApicTest t;

    apic_start(&t);
    wr(&t, 0, ICR2, 1u << 24);
    wr(&t, 0, ICR, 0xc500); /* INIT, assert */
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, CPU_INIT);
    t.cpu[1]->pending = 0;
    wr(&t, 0, ICR, 0x8500); /* de-assert: nothing */
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, 0);
    wr(&t, 0, ICR, 0x4699);
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, CPU_SIPI);
    g_assert_cmphex(t.cpu[1]->s.sipi_vector, ==, 0x99);
    wr(&t, 0, ICR, 0x4400);
    wr(&t, 0, ICR, 0x4200);
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, CPU_SIPI | CPU_NMI | CPU_SMI);
    wr(&t, 0, ICR, 0xc500); /* INIT voids the SIPI */
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, CPU_INIT | CPU_NMI | CPU_SMI);
    g_assert_cmphex(cpu_pending(t.cpu[0]), ==, 0);

    /* INIT: registers as after reset, but not the ids. */
    soft_enable(&t);
    wr(&t, 1, ID, 0x07000000);
    wr(&t, 1, TPR, 0x33);
    t.cpu[1]->apic_ops->init_reset(t.cpu[1]);
    g_assert_cmphex(rd(&t, 1, SVR), ==, 0xff);
    g_assert_cmphex(rd(&t, 1, TPR), ==, 0);
    g_assert_cmphex(rd(&t, 1, ID), ==, 0x07000000);

    for (unsigned i = 0; i < CPUS; i++) {
        t.cpu[i]->pending = 0;
    }
    wr(&t, 2, SVR, 0x1ff);
    wr(&t, 2, LINT1, 0x400);
    apic_nmi(t.q.m);
    g_assert_cmphex(cpu_pending(t.cpu[2]), ==, CPU_NMI);
    g_assert_cmphex(cpu_pending(t.cpu[1]), ==, 0); /* masked */
    apic_end(&t);
}

static void test_pic(void)
{
    ApicTest t;

    apic_start(&t);
    t.pic_vector = 0x31;
    irq_set(&t.pic, 1); /* LINT0 of CPU 0 is open after reset */
    g_assert_true(irq(&t, 0));
    g_assert_false(irq(&t, 1));
    g_assert_cmphex(ack(&t, 0), ==, 0x31);
    g_assert_cmpuint(t.pic_acks, ==, 1);
    g_assert_false(irq(&t, 0));
    g_assert_cmphex(rd(&t, 0, ISR + 0x10), ==, 0); /* not the APIC's */

    soft_enable(&t);
    wr(&t, 0, LINT0, 0x10700);
    irq_set(&t.pic, 1);
    g_assert_false(irq(&t, 0));
    wr(&t, 0, LINT0, 0x700);
    g_assert_true(irq(&t, 0));
    wr(&t, 0, LINT0, 0x10700);
    g_assert_false(irq(&t, 0));
    g_assert_cmpint(ack(&t, 0), ==, -1);
    irq_set(&t.pic, 0);

    /* Disabled by IA32_APIC_BASE: straight to the boot processor. */
    g_assert_true(set_base(&t, 0, 0xfee00100));
    g_assert_true(set_base(&t, 1, 0xfee00000));
    irq_set(&t.pic, 1);
    g_assert_true(irq(&t, 0));
    g_assert_false(irq(&t, 1));
    g_assert_cmphex(ack(&t, 0), ==, 0x31);
    g_assert_cmphex(rd(&t, 0, VERSION), ==, 0xffffffff);
    apic_nmi(t.q.m);
    g_assert_cmphex(cpu_pending(t.cpu[0]), ==, CPU_NMI);
    g_assert_true(set_base(&t, 0, 0xfee00900));
    g_assert_cmphex(rd(&t, 0, SVR), ==, 0xff); /* as after reset */

    /* LINT0 with mode fixed: edge, then level with remote IRR. */
    soft_enable(&t);
    wr(&t, 1, SVR, 0x1ff);
    wr(&t, 2, LINT0, 0x45);
    irq_set(&t.pic, 1);
    g_assert_cmphex(ack(&t, 2), ==, 0x45);
    wr(&t, 2, EOI, 0);
    g_assert_false(irq(&t, 2));
    irq_set(&t.pic, 0);
    wr(&t, 2, LINT0, 0x8046);
    irq_set(&t.pic, 1);
    g_assert_cmphex(rd(&t, 2, LINT0), ==, 0xc046);
    g_assert_cmphex(ack(&t, 2), ==, 0x46);
    wr(&t, 2, EOI, 0);
    g_assert_true(irq(&t, 2)); /* still high */
    irq_set(&t.pic, 0);
    g_assert_cmphex(ack(&t, 2), ==, 0x46);
    wr(&t, 2, EOI, 0);
    g_assert_false(irq(&t, 2));
    g_assert_cmphex(rd(&t, 2, LINT0), ==, 0x8046);
    g_assert_cmpuint(t.eois, ==, 0);

    /* ExtINT as a message. */
    t.pic_vector = 0x38;
    apic_deliver(t.q.m, 3, false, APIC_DM_EXTINT, 0, false);
    g_assert_true(irq(&t, 3));
    g_assert_cmphex(ack(&t, 3), ==, 0x38);
    g_assert_false(irq(&t, 3));
    apic_end(&t);
}

static void test_timer(void)
{
    ApicTest t;
    unsigned n = 0;

    apic_start(&t);
    soft_enable(&t);
    wr(&t, 1, LVTT, 0x55);
    wr(&t, 1, DCR, 0xb); /* divide by 1 */
    wr(&t, 1, TMICT, 1000000);
    qtest_step(&t.q, 400000);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 600000);
    wr(&t, 1, DCR, 0x0); /* by 2: the count stays */
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 600000);
    qtest_step(&t.q, 1000000);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 100000);
    g_assert_false(irq(&t, 1));
    qtest_step(&t.q, 200000);
    g_assert_cmphex(ack(&t, 1), ==, 0x55);
    wr(&t, 1, EOI, 0);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 0);
    /* To periodic after it has expired: stays at zero. */
    wr(&t, 1, LVTT, 0x20055);
    qtest_step(&t.q, NS_PER_SEC);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 0);
    g_assert_false(irq(&t, 1));

    wr(&t, 1, DCR, 0xa);    /* by 128 */
    wr(&t, 1, TMICT, 7813); /* 1 ms and a bit */
    for (int i = 0; i < 1000; i++) {
        qtest_step(&t.q, 1000100);
        if (irq(&t, 1)) {
            g_assert_cmphex(ack(&t, 1), ==, 0x55);
            wr(&t, 1, EOI, 0);
            n++;
        }
    }
    g_assert_cmpuint(n, ==, 1000);
    /* Periodic to one-shot: the count goes on, once. */
    qtest_step(&t.q, 500000);
    n = rd(&t, 1, TMCCT);
    g_assert_cmpuint(n, >, 0);
    wr(&t, 1, LVTT, 0x55);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, n);
    qtest_step(&t.q, 1100000);
    ack(&t, 1);
    wr(&t, 1, EOI, 0);
    qtest_step(&t.q, NS_PER_SEC);
    g_assert_false(irq(&t, 1));

    /* Masked: counts, without a word. */
    wr(&t, 1, LVTT, 0x10055);
    wr(&t, 1, TMICT, 100);
    qtest_step(&t.q, 5 * 128);
    g_assert_cmpuint(rd(&t, 1, TMCCT), ==, 95);
    qtest_step(&t.q, NS_PER_SEC);
    g_assert_false(irq(&t, 1));
    /* Zero stops; a period of nothing does not hang the host. */
    wr(&t, 1, LVTT, 0x20055);
    wr(&t, 1, DCR, 0xb);
    wr(&t, 1, TMICT, 1);
    qtest_step(&t.q, NS_PER_SEC / 10);
    wr(&t, 1, TMICT, 0);
    while (irq(&t, 1)) {
        ack(&t, 1);
        wr(&t, 1, EOI, 0);
    }
    qtest_step(&t.q, NS_PER_SEC);
    g_assert_false(irq(&t, 1));
    apic_end(&t);
}

static void test_deadline(void)
{
    ApicTest t;
    uint64_t v = 1;

    apic_start(&t);
    soft_enable(&t);
    t.cpu[0]->s.tsc_offset = 1000;
    g_assert_true(wrmsr(&t, 0, 0x6e0, 12345)); /* not in this mode: ignored */
    g_assert_true(rdmsr(&t, 0, 0x6e0, &v));
    g_assert_cmpuint(v, ==, 0);
    wr(&t, 0, LVTT, 0x40077);
    wr(&t, 0, TMICT, 1000);
    g_assert_cmpuint(rd(&t, 0, TMICT), ==, 0);
    g_assert_true(wrmsr(&t, 0, 0x6e0, 101000));
    g_assert_true(rdmsr(&t, 0, 0x6e0, &v));
    g_assert_cmpuint(v, ==, 101000);
    qtest_step(&t.q, 99999);
    g_assert_false(irq(&t, 0));
    qtest_step(&t.q, 10);
    g_assert_cmphex(ack(&t, 0), ==, 0x77);
    wr(&t, 0, EOI, 0);
    g_assert_true(rdmsr(&t, 0, 0x6e0, &v));
    g_assert_cmpuint(v, ==, 0);
    g_assert_true(wrmsr(&t, 0, 0x6e0, 5)); /* past: at once */
    g_assert_cmphex(ack(&t, 0), ==, 0x77);
    wr(&t, 0, EOI, 0);
    g_assert_true(wrmsr(&t, 0, 0x6e0, UINT64_MAX));
    qtest_step(&t.q, 1000 * NS_PER_SEC);
    g_assert_false(irq(&t, 0));
    g_assert_true(wrmsr(&t, 0, 0x6e0, x86_tsc(t.cpu[0]) + 1000));
    wr(&t, 0, LVTT, 0x77); /* another mode: disarmed */
    qtest_step(&t.q, NS_PER_SEC);
    g_assert_false(irq(&t, 0));
    apic_end(&t);
}

static void test_base(void)
{
    static const struct {
        uint64_t from, to;
        bool ok;
    } row[] = {
        /* figure "Local x2APIC State Transitions" */
        { 0xfee00800, 0xfee00c00, true },
        { 0xfee00c00, 0xfee00800, false },
        { 0xfee00c00, 0xfee00000, true },
        { 0xfee00000, 0xfee00c00, false },
        { 0xfee00000, 0xfee00400, false },
        { 0xfee00800, 0xfee00400, false },
        { 0xfee00800, 0xfee00a00, false },
        { 0xfee00800, 0xfee00801, false },
        { 0xfee00800, 0x10fee00800, true },
        { 0xfee00000, 0xfee00800, true },
        { 0xfee00800, UINT64_C(0xffff0000fee00800), false },
    };
    ApicTest t;

    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        apic_start(&t);
        if (row[i].from & 0x400) {
            g_assert_true(set_base(&t, 1, row[i].from | 0x800));
        }
        g_assert_true(set_base(&t, 1, row[i].from));
        g_assert_cmpint(set_base(&t, 1, row[i].to), ==, row[i].ok);
        g_assert_cmphex(t.cpu[1]->s.apic_base, ==,
                        row[i].ok ? row[i].to : row[i].from);
        apic_end(&t);
    }
}

static void test_x2apic(void)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
        bool ok;
    } row[] = {
        { 0x802, 0, false },       { 0x803, 0, false },
        { 0x808, 0x100, false },   { 0x808, 0x20, true },
        { 0x80a, 0, false },       { 0x80b, 0, true },
        { 0x80b, 1, false },       { 0x80d, 0, false },
        { 0x80e, 0, false },       { 0x80f, 0x1ff, true },
        { 0x80f, 0x11ff, false },  { 0x810, 0, false },
        { 0x828, 0, true },        { 0x828, 1, false },
        { 0x82f, 0, false },       { 0x830, 0x2000, false },
        { 0x831, 0, false },       { 0x832, 0x80, true },
        { 0x832, 0x80080, false }, { 0x837, 0x100fe, true },
        { 0x837, 0x1fe, false },   { 0x838, UINT64_C(1) << 32, false },
        { 0x838, 0, true },        { 0x839, 0, false },
        { 0x83e, 0xb, true },      { 0x83e, 0x4, false },
        { 0x83f, 0x100, false },   { 0x8ff, 0, false },
        { 0x900, 0, false },       { 0x7ff, 0, false },
    };
    ApicTest t;
    uint64_t v;

    apic_start(&t);
    soft_enable(&t);
    g_assert_false(rdmsr(&t, 1, 0x802, &v));
    t.cpu[1]->apic_id = 0x123;
    g_assert_true(set_base(&t, 1, 0xfee00c00));
    g_assert_cmphex(rd(&t, 1, VERSION), ==, 0xffffffff); /* no memory now */
    g_assert_true(rdmsr(&t, 1, 0x802, &v));
    g_assert_cmphex(v, ==, 0x123);
    g_assert_true(rdmsr(&t, 1, 0x80d, &v));
    g_assert_cmphex(v, ==, 0x120008);
    g_assert_false(rdmsr(&t, 1, 0x80e, &v));
    g_assert_false(rdmsr(&t, 1, 0x80b, &v));
    g_assert_false(rdmsr(&t, 1, 0x83f, &v));
    g_assert_true(rdmsr(&t, 1, 0x80f, &v));
    g_assert_cmphex(v, ==, 0x1ff); /* kept */
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        g_assert_cmpint(wrmsr(&t, 1, row[i].msr, row[i].value), ==, row[i].ok);
    }
    g_assert_true(wrmsr(&t, 1, 0x808, 0));
    g_assert_true(wrmsr(&t, 1, 0x83f, 0x90)); /* self IPI */
    g_assert_cmphex(ack(&t, 1), ==, 0x90);
    wrmsr(&t, 1, 0x80b, 0);
    /* To an xAPIC; to itself, logically and physically; to all. */
    g_assert_true(wrmsr(&t, 1, 0x830, UINT64_C(2) << 32 | 0x4091));
    g_assert_cmphex(ack(&t, 2), ==, 0x91);
    g_assert_true(wrmsr(&t, 1, 0x830, UINT64_C(0x120008) << 32 | 0x4892));
    g_assert_cmphex(ack(&t, 1), ==, 0x92);
    wrmsr(&t, 1, 0x80b, 0);
    g_assert_true(wrmsr(&t, 1, 0x830, UINT64_C(0x123) << 32 | 0x4093));
    g_assert_true(rdmsr(&t, 1, 0x830, &v));
    g_assert_cmphex(v, ==, UINT64_C(0x12300004093));
    g_assert_cmphex(ack(&t, 1), ==, 0x93);
    wrmsr(&t, 1, 0x80b, 0);
    g_assert_true(wrmsr(&t, 1, 0x830, UINT64_C(0xffffffff) << 32 | 0x4094));
    g_assert_cmphex(ack(&t, 0), ==, 0x94);
    g_assert_cmphex(ack(&t, 1), ==, 0x94);
    apic_deliver(t.q.m, 0xff, false, APIC_DM_FIXED, 0xa0, false);
    g_assert_cmphex(ack(&t, 1), ==, 0xa0);
    /* INIT leaves it in x2APIC mode. */
    t.cpu[1]->apic_ops->init_reset(t.cpu[1]);
    g_assert_true(rdmsr(&t, 1, 0x80d, &v));
    g_assert_cmphex(v, ==, 0x120008);
    g_assert_true(rdmsr(&t, 1, 0x80f, &v));
    g_assert_cmphex(v, ==, 0xff);
    apic_end(&t);
}

static void test_features_off(void)
{
    ApicTest t;
    Device *dev;
    GError *err = NULL;
    uint64_t v;

    apic_start(&t);
    device_free(t.dev[0]);
    dev = device_new_class(t.q.m, &apic_class, NULL);
    apic_attach(dev, t.cpu[0]);
    g_assert_true(device_set(dev, "x2apic", "off", &err));
    g_assert_true(device_set(dev, "tsc-deadline", "off", &err));
    qtest_realize(dev);
    g_assert_false(set_base(&t, 0, 0xfee00d00));
    g_assert_false(rdmsr(&t, 0, 0x6e0, &v));
    g_assert_false(wrmsr(&t, 0, 0x6e0, 1));
    soft_enable(&t);
    wr(&t, 0, LVTT, 0x60055);
    g_assert_cmphex(rd(&t, 0, LVTT), ==, 0x20055);
    device_free(dev);
    dev = device_new_class(t.q.m, &apic_class, NULL);
    apic_attach(dev, t.cpu[0]);
    g_assert_true(device_set(dev, "enabled", "off", &err));
    qtest_realize(dev);
    apic_connect_pic(t.q.m, fake_pic_ack, &t);
    g_assert_cmphex(t.cpu[0]->s.apic_base, ==, 0);
    g_assert_false(set_base(&t, 0, 0xfee00900));
    t.pic_vector = 0x20;
    irq_set(&t.pic, 1);
    g_assert_cmphex(ack(&t, 0), ==, 0x20);
    apic_end(&t);
}

static void test_state_and_garbage(void)
{
    ApicTest t, other;

    apic_start(&t);
    apic_start(&other);
    soft_enable(&t);
    wr(&t, 0, LVTT, 0x20055);
    wr(&t, 0, TMICT, 100000);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x81, true);
    apic_deliver(t.q.m, 0, false, APIC_DM_FIXED, 0x91, true);
    ack(&t, 0);
    wr(&t, 0, TPR, 0x10);
    g_assert_true(set_base(&t, 0, 0xfee00d00));
    qtest_check_state(t.dev[0], other.dev[0]);
    g_assert_cmphex(other.cpu[0]->s.apic_base, ==, 0xfee00d00);
    g_assert_false(irq(&other, 0));
    wrmsr(&other, 0, 0x80b, 0);
    g_assert_true(irq(&other, 0));
    for (int i = 0; i < 100000; i++) {
        unsigned cpu = g_test_rand_int_range(0, CPUS);
        unsigned reg = g_test_rand_int_range(0, 0x100) << 4;
        uint32_t value = g_test_rand_int();

        wr(&t, cpu, g_test_rand_bit() ? reg : reg & 0x3f0, value);
        rd(&t, cpu, reg);
        wrmsr(&t, cpu, 0x800 + (reg >> 4), value & 0xfff);
        wrmsr(&t, cpu, 0x6e0, value);
        rdmsr(&t, cpu, 0x800 + (reg >> 4), &(uint64_t) { 0 });
        if (i % 8 == 0) {
            set_base(&t, cpu, 0xfee00000 | (value & 0xd00));
            qtest_step(&t.q, value % 1000000);
            ack(&t, cpu);
            irq_set(&t.pic, value & 1);
        }
    }
    for (unsigned i = 0; i < CPUS; i++) {
        qtest_check_state(t.dev[i], other.dev[i]);
    }
    {
        g_autoptr(GString) text = g_string_new(NULL);

        apic_dump(t.cpu[0], text);
        g_assert_nonnull(strstr(text->str, "LVT0"));
    }
    apic_end(&t);
    apic_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apic/registers", test_registers);
    g_test_add_func("/apic/priorities", test_priorities);
    g_test_add_func("/apic/destinations", test_destinations);
    g_test_add_func("/apic/startup", test_startup);
    g_test_add_func("/apic/pic", test_pic);
    g_test_add_func("/apic/timer", test_timer);
    g_test_add_func("/apic/deadline", test_deadline);
    g_test_add_func("/apic/base", test_base);
    g_test_add_func("/apic/x2apic", test_x2apic);
    g_test_add_func("/apic/features-off", test_features_off);
    g_test_add_func("/apic/state-garbage", test_state_and_garbage);
    return g_test_run();
}
