/*
 * The TSC under KVM: right on a busy host, standing still while the machine
 * does. The kernel's TSC is played, because some KVMs ignore what is written to
 * it, and so is time; all else is the KVM that is there.
 */
#include "util/osdep.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include "accel/kvm/kvm.h"
#include "tests/lib/engine-vm.h"
#include "util/bits.h"

#define MSR_TSC 0x10u

enum { MS = 1000 * 1000 };

/* As kvm_synchronize_tsc() of the kernel keeps it. */
typedef struct FakeTsc {
    Machine *m; /* NULL: not played */
    uint64_t hz, offset;
    int64_t stopped;  /* ns that the host's clock is ahead of the machine's */
    uint64_t written; /* when it was set last: that, and then */
    int64_t written_ns;
    unsigned asked, ignored;
    unsigned slow; /* so many answers come late */
} FakeTsc;

static FakeTsc fake;

static int64_t host_ns(void)
{
    return clock_ns(fake.m->vclock) + fake.stopped;
}

static uint64_t cycles(int64_t ns)
{
    return muldiv64((uint64_t)ns, fake.hz, NS_PER_SEC);
}

static uint64_t fake_count(void)
{
    return cycles(host_ns()) + fake.offset;
}

/* But for what is lost in rounding. */
static void assert_same(uint64_t a, uint64_t b)
{
    g_assert_cmpuint(a, <=, b + 4);
    g_assert_cmpuint(b, <=, a + 4);
}

static void fake_get(uint64_t *tsc)
{
    clock_step(fake.m->vclock, 2000); /* the way there */
    *tsc = fake_count();
    clock_step(fake.m->vclock, 2000); /* and back */
    fake.asked++;
    if (fake.slow) {
        fake.slow--;
        clock_step(fake.m->vclock, 100 * MS);
    }
}

/* A count that is less than a second off shall be the other processors'. */
static void fake_set(uint64_t tsc)
{
    int64_t now = host_ns();
    uint64_t same = fake.written + cycles(now - fake.written_ns);

    if (fake.written && tsc < same + fake.hz && tsc + fake.hz > same) {
        fake.ignored++;
        return;
    }
    fake.offset = tsc - cycles(now);
    fake.written = tsc;
    fake.written_ns = now;
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
    int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    struct kvm_msrs *m;
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    m = arg;
    if (!fake.m || (request != KVM_GET_MSRS && request != KVM_SET_MSRS) ||
        m->nmsrs != 1 || m->entries[0].index != MSR_TSC) {
        return next(fd, request, arg);
    }
    if (request == KVM_GET_MSRS) {
        uint64_t tsc;

        fake_get(&tsc);
        m->entries[0].data = tsc;
    } else {
        fake_set(m->entries[0].data);
    }
    return 1;
}

/* A machine that runs, its state in the kernel. */
static Evm *tsc_vm(void)
{
    Evm *vm = evm_new_on(EVM_LONG64, "kvm");
    KvmCpu *kc;

    if (!vm) {
        g_test_skip("no KVM here");
        return NULL;
    }
    kc = kvm_cpu(vm->c);
    if (!kc->tsc_hz) {
        g_test_skip("this host does not tell its TSC's frequency");
        evm_free(vm);
        return NULL;
    }
    fake = (FakeTsc) { .m = vm->m, .hz = kc->tsc_hz, .stopped = NS_PER_SEC };
    clock_step(vm->m->vclock, 50 * MS);
    g_assert_true(machine_start(vm->m, NULL));
    kvm_push(vm->c);
    vm->c->state_in_accel = true;
    clock_step(vm->m->vclock, 50 * MS);
    assert_same(fake_count(), x86_tsc(vm->c));
    return vm;
}

static void tsc_vm_free(Evm *vm)
{
    fake.m = NULL;
    evm_free(vm);
}

/*
 * The thread loses its processor for 100 ms after the kernel looked, three
 * times: an answer that old is not what the guest gets.
 */
static void test_busy(void)
{
    Evm *vm = tsc_vm();

    if (!vm) {
        return;
    }
    fake.slow = 3;
    kvm_pull(vm->c);
    g_assert_cmpuint(fake.slow, ==, 0);
    g_assert_cmpuint(fake.asked, ==, 4);
    assert_same(x86_tsc(vm->c), fake_count());
    tsc_vm_free(vm);
}

/* Never in time: the pull ends all the same. */
static void test_always_busy(void)
{
    Evm *vm = tsc_vm();

    if (!vm) {
        return;
    }
    fake.slow = 1000;
    kvm_pull(vm->c);
    g_assert_cmpuint(fake.asked, <, 20);
    g_assert_cmpuint(x86_tsc(vm->c), <=, fake_count() + cycles(60 * MS));
    g_assert_cmpuint(x86_tsc(vm->c) + cycles(60 * MS), >=, fake_count());
    tsc_vm_free(vm);
}

/* The guest goes on with the count that it had. */
static void check_stop(int64_t ns, bool looked)
{
    Evm *vm = tsc_vm();
    uint64_t at_stop;
    int64_t stopped_at;

    if (!vm) {
        return;
    }
    machine_stop(vm->m, RUN_PAUSED);
    at_stop = fake_count();
    stopped_at = clock_ns(vm->m->vclock);
    for (unsigned i = 0; i < 2; i++) {
        fake.stopped += ns / 2;
        if (looked) {
            cpu_state(vm->c);
            assert_same(x86_tsc(vm->c), at_stop);
        }
    }
    g_assert_true(machine_start(vm->m, NULL));
    if (!vm->c->state_in_accel) {
        kvm_push(vm->c);
        vm->c->state_in_accel = true;
    }
    assert_same(fake_count() - at_stop,
                cycles(clock_ns(vm->m->vclock) - stopped_at));
    g_assert_cmpuint(fake.ignored, ==, 0);
    clock_step(vm->m->vclock, 50 * MS);
    kvm_pull(vm->c);
    assert_same(x86_tsc(vm->c), fake_count());
    tsc_vm_free(vm);
}

static void test_stop(void)
{
    check_stop(200 * MS, false); /* the kernel's rule of a second */
    check_stop(3600 * NS_PER_SEC, false);
}

static void test_stop_looked(void)
{
    check_stop(200 * MS, true);
    check_stop(10 * NS_PER_SEC, true);
}

/* A count that the software CPU's guest wrote is not lost in a stop. */
static void test_stop_written(void)
{
    Evm *vm = tsc_vm();

    if (!vm) {
        return;
    }
    cpu_state(vm->c);
    vm->c->s.tsc_offset += cycles(1000 * NS_PER_SEC);
    vm->c->state_in_accel = false;
    machine_stop(vm->m, RUN_PAUSED);
    g_assert_true(machine_start(vm->m, NULL));
    kvm_push(vm->c);
    g_assert_cmpuint(fake_count(), >=, cycles(1000 * NS_PER_SEC));
    tsc_vm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/tsc/busy", test_busy);
    g_test_add_func("/kvm/tsc/always-busy", test_always_busy);
    g_test_add_func("/kvm/tsc/stop", test_stop);
    g_test_add_func("/kvm/tsc/stop-looked", test_stop_looked);
    g_test_add_func("/kvm/tsc/stop-written", test_stop_written);
    return g_test_run();
}
