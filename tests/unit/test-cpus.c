/*
 * vCPU threads with an accelerator whose guest is a C function: it counts its
 * "instructions" and looks at pending events between them, like the real one.
 */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "accel/triple.h"
#include "target-x86/seg.h"
#include "util/error.h"
#include "util/mainloop.h"

typedef struct FakeCpu {
    X86Cpu cpu;
    uint64_t count; /* atomic: instructions */
    uint64_t resets;
    bool in_instruction; /* must never be seen true from outside */
    unsigned irqs;       /* taken */
    CpuExit next;        /* what run() says once; KICKED: nothing */
    unsigned pulls, pushes;
} FakeCpu;

static void (*guest_step)(FakeCpu *f); /* one instruction */
static unsigned init_fails_at;

static FakeCpu *fake(X86Cpu *cpu)
{
    return container_of(cpu, FakeCpu, cpu);
}

/* ---- what the processor would bring ------------------------------------------ */

void x86_reset(X86Cpu *cpu)
{
    g_assert_false(fake(cpu)->in_instruction);
    fake(cpu)->resets++;
    cpu->s.halted = false;
    cpu->s.mp_state = cpu->index ? MP_WAIT_SIPI : MP_RUNNABLE;
}

/* The report wants a whole processor. */
void cpu_report_triple(X86Cpu *cpu)
{
}

bool x86_has_work(const X86Cpu *cpu)
{
    uint32_t p = cpu_pending(cpu);

    return cpu->s.mp_state == MP_WAIT_SIPI ? p & CPU_SIPI : p & CPU_IRQ;
}

static void take_events(FakeCpu *f)
{
    X86Cpu *cpu = &f->cpu;

    if (cpu_pending(cpu) & CPU_SIPI) {
        cpu_lower(cpu, CPU_SIPI);
        cpu->s.mp_state = MP_RUNNABLE;
    }
    if (cpu_pending(cpu) & CPU_IRQ) {
        cpu_lower(cpu, CPU_IRQ);
        cpu->s.halted = false;
        __atomic_fetch_add(&f->irqs, 1, __ATOMIC_RELAXED);
    }
}

/* ---- the accelerator --------------------------------------------------------- */

static bool fake_cpu_init(X86Cpu *cpu, GError **errp)
{
    g_assert_cmpuint((uintptr_t)cpu % 64, ==, 0);
    if (init_fails_at && cpu->index == init_fails_at) {
        error_setg(errp, "no more");
        return false;
    }
    return true;
}

static CpuExit fake_run(X86Cpu *cpu)
{
    FakeCpu *f = fake(cpu);

    for (;;) {
        CpuExit next = f->next;

        take_events(f);
        if (cpu_pending(cpu) & CPU_STOP) {
            return CPU_EXIT_KICKED;
        }
        if (next != CPU_EXIT_KICKED) {
            f->next = CPU_EXIT_KICKED;
            return next;
        }
        if (cpu->s.halted || cpu->s.mp_state == MP_WAIT_SIPI) {
            return CPU_EXIT_HALTED;
        }
        f->in_instruction = true;
        __atomic_fetch_add(&f->count, 1, __ATOMIC_RELAXED);
        if (guest_step) {
            guest_step(f);
        }
        f->in_instruction = false;
    }
}

static void fake_kick(X86Cpu *cpu)
{
}

static void fake_pull(X86Cpu *cpu)
{
    fake(cpu)->pulls++;
}

static void fake_push(X86Cpu *cpu)
{
    fake(cpu)->pushes++;
}

static const AccelOps fake_ops = {
    .name = "fake",
    .cpu_size = sizeof(FakeCpu),
    .cpu_init = fake_cpu_init,
    .run = fake_run,
    .kick = fake_kick,
};

static const AccelOps fake_state_ops = {
    .name = "fake",
    .cpu_size = sizeof(FakeCpu),
    .cpu_init = fake_cpu_init,
    .run = fake_run,
    .kick = fake_kick,
    .pull = fake_pull,
    .push = fake_push,
};

static Accel accel;

static Machine *start_with(unsigned ncpus, const AccelOps *ops)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    g_autoptr(GError) err = NULL;

    guest_step = NULL;
    init_fails_at = 0;
    accel.ops = ops;
    accel.machine = m;
    m->accel = &accel;
    m->ncpus = ncpus;
    mainloop_set_lock(&m->lock);
    g_assert_true(cpus_create(m, &err));
    g_assert_no_error(err);
    machine_reset(m);
    return m;
}

static Machine *start(unsigned ncpus)
{
    return start_with(ncpus, &fake_ops);
}

static void end(Machine *m)
{
    cpus_destroy(m);
    mainloop_set_lock(NULL);
    machine_free(m);
}

static uint64_t count_of(Machine *m, unsigned i)
{
    return __atomic_load_n(&fake(m->cpu[i])->count, __ATOMIC_RELAXED);
}

/* Each wait for a vCPU takes a time slice on a busy host: as many rounds as there
 * are in ten seconds. */
static bool in_time(int64_t start)
{
    return g_get_monotonic_time() - start < 10 * G_USEC_PER_SEC;
}

static void wait_progress(Machine *m, unsigned i)
{
    uint64_t before = count_of(m, i);

    while (count_of(m, i) == before) {
        g_thread_yield();
    }
}

static void sipi_all(Machine *m)
{
    for (unsigned i = 1; i < m->ncpus; i++) {
        cpu_raise(m->cpu[i], CPU_SIPI);
    }
}

/* ---- pause ------------------------------------------------------------------- */

static void step_yield(FakeCpu *f)
{
    g_thread_yield(); /* fewer cores than vCPUs */
}

static void test_pause_resume(void)
{
    Machine *m = start(4);
    int64_t start_us = g_get_monotonic_time();

    guest_step = step_yield;
    g_usleep(2000);
    g_assert_cmpuint(count_of(m, 0), ==, 0); /* created paused */
    machine_start(m, NULL);
    sipi_all(m);
    for (unsigned round = 0; round < 150 && in_time(start_us); round++) {
        uint64_t n;

        for (unsigned i = 0; i < m->ncpus && round % 10 == 0; i++) {
            wait_progress(m, i);
        }
        machine_stop(m, RUN_PAUSED);
        n = count_of(m, round % 4);
        for (unsigned i = 0; i < m->ncpus; i++) {
            g_assert_false(fake(m->cpu[i])->in_instruction);
        }
        g_thread_yield();
        g_assert_cmpuint(count_of(m, round % 4), ==, n);
        machine_start(m, NULL);
    }
    end(m); /* while they run */
}

static void test_many_cpus(void)
{
    Machine *m = start(64);

    guest_step = step_yield;
    machine_start(m, NULL);
    wait_progress(m, 0);
    for (unsigned i = 1; i < 64; i++) {
        g_assert_cmpuint(count_of(m, i), ==, 0); /* wait for SIPI, asleep */
    }
    sipi_all(m);
    for (unsigned i = 0; i < 64; i++) {
        wait_progress(m, i);
    }
    machine_reset(m);
    g_assert_cmpuint(fake(m->cpu[63])->resets, ==, 2);
    wait_progress(m, 0);
    machine_stop(m, RUN_PAUSED);
    end(m);
}

/* The vCPUs sit in a device register, for which they need the lock that the
 * main thread holds while it pauses them. */
static uint64_t reg_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static const RegionOps reg_ops = { .read = reg_read };

static void step_io(FakeCpu *f)
{
    as_load(f->cpu.machine->io, 0x10, 1);
}

static void test_pause_under_io(void)
{
    Machine *m = start(3);
    Region r;

    region_init_io(&r, "reg", 1, &reg_ops, NULL);
    as_map(m->io, 0x10, &r, 0);
    guest_step = step_io;
    machine_start(m, NULL);
    sipi_all(m);
    for (unsigned i = 0; i < 300; i++) {
        machine_lock(m);
        machine_lock(m);
        machine_stop(m, RUN_PAUSED);
        machine_start(m, NULL);
        machine_unlock(m);
        machine_unlock(m);
    }
    cpus_destroy(m);
    end(m);
}

/* ---- halt, wake, kick --------------------------------------------------------- */

static void step_halt(FakeCpu *f)
{
    f->cpu.s.halted = true;
}

static unsigned irqs_of(Machine *m, unsigned i)
{
    return __atomic_load_n(&fake(m->cpu[i])->irqs, __ATOMIC_RELAXED);
}

/* No wake-up is lost, however the raise falls into going to sleep. */
static void test_halt_wake(void)
{
    Machine *m = start(2);
    int64_t start_us = g_get_monotonic_time();
    unsigned n;

    guest_step = step_halt;
    machine_start(m, NULL);
    sipi_all(m);
    for (n = 0; n < 4000 && in_time(start_us); n++) {
        unsigned i = n % 2, before = irqs_of(m, i);

        cpu_raise(m->cpu[i], CPU_IRQ);
        while (irqs_of(m, i) == before) {
            g_thread_yield();
        }
    }
    g_assert_cmpuint(irqs_of(m, 0), ==, (n + 1) / 2);
    end(m);
}

/* vCPUs that wake one another, as with inter-processor interrupts. */
static void step_ping(FakeCpu *f)
{
    Machine *m = f->cpu.machine;

    cpu_raise(m->cpu[(f->cpu.index + 1) % m->ncpus], CPU_IRQ);
    f->cpu.s.halted = true;
}

static void test_ping_pong(void)
{
    Machine *m = start(3);
    int64_t start_us = g_get_monotonic_time();

    guest_step = step_ping;
    machine_start(m, NULL);
    sipi_all(m);
    while (irqs_of(m, 0) < 2000 && (in_time(start_us) || !irqs_of(m, 0))) {
        g_thread_yield();
    }
    end(m);
}

static void on_halt(X86Cpu *cpu)
{
    machine_request_shutdown(cpu->machine, 3);
}

/* Somebody wants the vCPU to stop during the very HLT. */
static void step_halt_kicked(FakeCpu *f)
{
    step_halt(f);
    cpu_raise(&f->cpu, CPU_STOP);
}

static void test_on_halt(const void *kicked)
{
    Machine *m = start(1);

    guest_step = kicked ? step_halt_kicked : step_halt;
    m->on_halt = on_halt;
    machine_start(m, NULL);
    mainloop_run();
    g_assert_cmpint(m->exit_code, ==, 3);
    g_assert_cmpuint(count_of(m, 0), ==, 1);
    end(m);
}

/* ---- exits and requests -------------------------------------------------------- */

static void exit_once(Machine *m, CpuExit what)
{
    machine_stop(m, RUN_PAUSED);
    fake(m->cpu[0])->next = what;
    machine_start(m, NULL);
}

static void loop_until(Machine *m, RunState state)
{
    while (m->state != state) {
        mainloop_iterate(true);
    }
}

static void test_exits(void)
{
    Machine *m = start(1);
    uint64_t resets = fake(m->cpu[0])->resets;

    machine_start(m, NULL);
    exit_once(m, CPU_EXIT_DEBUG);
    loop_until(m, RUN_DEBUG);
    machine_start(m, NULL);
    wait_progress(m, 0);
    exit_once(m, CPU_EXIT_TRIPLE_FAULT);
    while (fake(m->cpu[0])->resets == resets) {
        mainloop_iterate(true);
    }
    wait_progress(m, 0);
    g_assert_cmpint(m->state, ==, RUN_RUNNING);
    exit_once(m, CPU_EXIT_FAILED);
    loop_until(m, RUN_INTERNAL_ERROR);
    end(m);
}

/* After a write to a reset register not one instruction more. */
static void reset_write(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    machine_request_reset(opaque, RESET_GUEST);
}

static const RegionOps reset_ops = { .read = reg_read, .write = reset_write };
static uint64_t after_reset; /* instructions since the last reset */

static void step_reset(FakeCpu *f)
{
    after_reset++;
    if (f->cpu.index == 0 && after_reset == 10) {
        as_store(f->cpu.machine->io, 0xcf9, 6, 1);
    }
}

static void count_reset(Machine *m)
{
    g_assert_true(after_reset == 0 || after_reset == 10);
    after_reset = 0;
}

static void test_reset_holds(void)
{
    static const MachineClass board = { .name = "b", .reset = count_reset };
    Machine *m = start(1);
    Region r;

    m->cls = &board;
    after_reset = 0;
    guest_step = step_reset;
    region_init_io(&r, "reset", 1, &reset_ops, m);
    as_map(m->io, 0xcf9, &r, 0);
    machine_start(m, NULL);
    while (fake(m->cpu[0])->resets < 200) {
        mainloop_iterate(true);
    }
    cpus_destroy(m);
    end(m);
}

/* ---- work ------------------------------------------------------------------------ */

static void work_in_work(X86Cpu *cpu, void *opaque)
{
    ++*(unsigned *)opaque;
}

static void work_here(X86Cpu *cpu, void *opaque)
{
    FakeCpu *f = fake(cpu);

    g_assert_false(f->in_instruction);
    machine_lock(cpu->machine); /* the caller has let go of it */
    machine_unlock(cpu->machine);
    cpu_run_on(cpu, work_in_work, opaque);
}

static void test_run_on(void)
{
    Machine *m = start(3);
    unsigned n = 0;

    guest_step = step_yield;
    cpu_run_on(m->cpu[1], work_here, &n); /* paused */
    g_assert_cmpuint(n, ==, 1);
    machine_start(m, NULL);
    cpu_run_on(m->cpu[1], work_here, &n); /* waits for SIPI */
    sipi_all(m);
    for (unsigned i = 0; i < 300; i++) {
        machine_lock(m);
        cpu_run_on(m->cpu[i % 3], work_here, &n);
        machine_unlock(m);
    }
    g_assert_cmpuint(n, ==, 302);
    end(m);
}

/* ---- exclusive sections ------------------------------------------------------------ */

static struct {
    unsigned a, b; /* plain: the sections guard them */
    unsigned done; /* atomic */
} shared;

static void step_exclusive(FakeCpu *f)
{
    if (f->count % 3 == 0) {
        cpus_exclusive_begin(&f->cpu);
        g_assert_cmpuint(shared.a, ==, shared.b);
        shared.a++;
        g_thread_yield();
        shared.b++;
        __atomic_store_n(&shared.done, shared.b, __ATOMIC_RELAXED);
        cpus_exclusive_end(&f->cpu);
    }
}

static void run_exclusive(unsigned ncpus, unsigned rounds)
{
    Machine *m = start(ncpus);
    int64_t start_us = g_get_monotonic_time();

    memset(&shared, 0, sizeof(shared));
    guest_step = step_exclusive;
    machine_start(m, NULL);
    sipi_all(m);
    for (unsigned i = 0; i < rounds && in_time(start_us); i++) {
        unsigned want = __atomic_load_n(&shared.done, __ATOMIC_RELAXED) + ncpus;
        unsigned n = 0;

        while (__atomic_load_n(&shared.done, __ATOMIC_RELAXED) < want) {
            g_thread_yield();
        }
        cpu_run_on(m->cpu[i % ncpus], work_here, &n);
        machine_stop(m, RUN_PAUSED);
        g_assert_cmpuint(shared.a, ==, shared.b); /* never in the middle */
        for (unsigned c = 0; c < ncpus; c++) {
            g_assert_false(fake(m->cpu[c])->in_instruction);
        }
        machine_start(m, NULL);
    }
    end(m);
}

static void test_exclusive(void)
{
    run_exclusive(1, 20);
    run_exclusive(2, 40);
    run_exclusive(4, 40);
    run_exclusive(16, 4);
}

/* While one is in the section, nobody else executes anything. */
static void step_alone(FakeCpu *f)
{
    Machine *m = f->cpu.machine;

    if (f->cpu.index == 0 && f->count % 100 == 0) {
        uint64_t before = 0, after = 0;

        cpus_exclusive_begin(&f->cpu);
        for (unsigned i = 1; i < m->ncpus; i++) {
            g_assert_false(fake(m->cpu[i])->in_instruction);
            before += count_of(m, i);
        }
        for (unsigned i = 0; i < 10; i++) {
            g_thread_yield();
        }
        for (unsigned i = 1; i < m->ncpus; i++) {
            after += count_of(m, i);
        }
        g_assert_cmpuint(before, ==, after);
        cpus_exclusive_end(&f->cpu);
        __atomic_fetch_add(&shared.done, 1, __ATOMIC_RELAXED);
    }
}

static void test_exclusive_alone(void)
{
    Machine *m = start(4);

    memset(&shared, 0, sizeof(shared));
    guest_step = step_alone;
    machine_start(m, NULL);
    sipi_all(m);
    while (__atomic_load_n(&shared.done, __ATOMIC_RELAXED) < 50) {
        g_thread_yield();
    }
    end(m);
}

/* ---- the rest ------------------------------------------------------------------------ */

static void test_state_moves(void)
{
    Machine *m = start_with(1, &fake_state_ops);
    FakeCpu *f = fake(m->cpu[0]);

    machine_start(m, NULL);
    wait_progress(m, 0);
    machine_stop(m, RUN_PAUSED);
    g_assert_cmpuint(f->pushes, ==, 1);
    g_assert_cmpuint(f->pulls, ==, 0);
    g_assert_true(cpu_state(&f->cpu) == &f->cpu.s);
    cpu_state(&f->cpu);
    g_assert_cmpuint(f->pulls, ==, 1);
    machine_start(m, NULL);
    wait_progress(m, 0);
    machine_stop(m, RUN_PAUSED);
    g_assert_cmpuint(f->pushes, ==, 2);
    end(m);
}

static void test_create_fails(void)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    g_autoptr(GError) err = NULL;

    accel.ops = &fake_ops;
    m->accel = &accel;
    m->ncpus = 3;
    init_fails_at = 2;
    g_assert_false(cpus_create(m, &err));
    g_assert_cmpstr(err->message, ==, "no more");
    g_assert_null(m->cpu);
    g_assert_null(m->cpus_pause);
    cpus_destroy(m);
    machine_free(m);
}

static int ack_seven(X86Cpu *cpu)
{
    return 7;
}

static void test_events_without_threads(void)
{
    static const ApicOps ops = { .ack_irq = ack_seven };
    Machine *m = machine_new(NULL, clock_new_manual());
    X86Cpu cpu = { .machine = m };

    cpu_raise(&cpu, CPU_IRQ | CPU_NMI);
    g_assert_cmphex(cpu_pending(&cpu), ==, CPU_IRQ | CPU_NMI);
    g_assert_cmpint(cpu_ack_irq(&cpu), ==, -1);
    g_assert_cmphex(cpu_pending(&cpu), ==, CPU_NMI);
    cpu.apic_ops = &ops;
    g_assert_cmpint(cpu_ack_irq(&cpu), ==, 7);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpus/pause-resume", test_pause_resume);
    g_test_add_func("/cpus/many", test_many_cpus);
    g_test_add_func("/cpus/pause-under-io", test_pause_under_io);
    g_test_add_func("/cpus/halt-wake", test_halt_wake);
    g_test_add_func("/cpus/ping-pong", test_ping_pong);
    g_test_add_data_func("/cpus/on-halt", NULL, test_on_halt);
    g_test_add_data_func("/cpus/on-halt-kicked", "", test_on_halt);
    g_test_add_func("/cpus/exits", test_exits);
    g_test_add_func("/cpus/reset-holds", test_reset_holds);
    g_test_add_func("/cpus/run-on", test_run_on);
    g_test_add_func("/cpus/exclusive", test_exclusive);
    g_test_add_func("/cpus/exclusive-alone", test_exclusive_alone);
    g_test_add_func("/cpus/state", test_state_moves);
    g_test_add_func("/cpus/create-fails", test_create_fails);
    g_test_add_func("/cpus/no-threads", test_events_without_threads);
    return g_test_run();
}
