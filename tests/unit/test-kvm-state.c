/*
 * State to the kernel and back; kicks. Skipped where there is no KVM.
 */
#include "util/osdep.h"
#include <pthread.h>
#include "accel/kvm/kvm.h"
#include "tests/lib/engine-vm.h"
#include "target-x86/cpuid.h"
#include "target-x86/seg.h"
#include "util/bits.h"

static Evm *vm_or_skip(void)
{
    Evm *vm = evm_new_on(EVM_LONG64, "kvm");

    if (!vm) {
        g_test_skip("no KVM here");
    }
    return vm;
}

static void fill(X86State *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = UINT64_C(0x0123456789abcdef) * (i + 1);
        for (unsigned j = 0; j < 16; j++) {
            s->vec[i][j] = i * 16 + j;
        }
    }
    s->rflags = 2 | FL_CF | FL_OF | FL_ID;
    s->seg[S_FS].base = 0x7fff12345678;
    s->seg[S_GS].base = 0xffff888012345678;
    s->gdt_base = 0xfffffe0000001000;
    s->gdt_limit = 0x7f;
    s->idt_base = 0xfffffe0000000000;
    s->cr2 = 0xdeadbeef000;
    s->star = UINT64_C(0x0023001000000000);
    s->lstar = 0xffffffff81a00000;
    s->cstar = 0xffffffff81a01000;
    s->sfmask = 0x47700;
    s->kernel_gs_base = 0x1234567000;
    s->sysenter_cs = 0x10;
    s->sysenter_esp = 0xfffffe0000003000;
    s->sysenter_eip = 0xffffffff81a02000;
    s->dr[0] = 0x1000;
    s->dr[3] = 0x3000;
    s->fcw = 0x37f;
    s->fsw = 0x3800; /* TOP is 7 */
    s->ftw = 0x81;
    for (unsigned i = 0; i < 8; i++) {
        memset(s->st[i], 0x11 * (i + 1), 10);
    }
    s->mxcsr = 0x1fa0;
    s->nmi_masked = true;
    s->irq_shadow = true;
    s->tsc_aux = 0x1234;
    s->xcr0 = 3;
}

static void same(const X86State *a, const X86State *b)
{
    g_assert_cmpmem(a->gpr, sizeof(a->gpr), b->gpr, sizeof(b->gpr));
    g_assert_cmphex(a->rip, ==, b->rip);
    g_assert_cmphex(a->rflags, ==, b->rflags);
    for (unsigned i = 0; i < S_COUNT; i++) {
        g_assert_cmphex(a->seg[i].sel, ==, b->seg[i].sel);
        g_assert_cmphex(a->seg[i].base, ==, b->seg[i].base);
        g_assert_cmphex(a->seg[i].limit, ==, b->seg[i].limit);
        g_assert_cmphex(a->seg[i].attr, ==, b->seg[i].attr);
    }
    g_assert_cmphex(a->tr.base, ==, b->tr.base);
    g_assert_cmphex(a->tr.attr, ==, b->tr.attr);
    g_assert_cmphex(a->gdt_base, ==, b->gdt_base);
    g_assert_cmphex(a->gdt_limit, ==, b->gdt_limit);
    g_assert_cmphex(a->idt_base, ==, b->idt_base);
    g_assert_cmphex(a->cr0, ==, b->cr0);
    g_assert_cmphex(a->cr2, ==, b->cr2);
    g_assert_cmphex(a->cr3, ==, b->cr3);
    g_assert_cmphex(a->cr4, ==, b->cr4);
    g_assert_cmphex(a->efer, ==, b->efer);
    g_assert_cmphex(a->star, ==, b->star);
    g_assert_cmphex(a->lstar, ==, b->lstar);
    g_assert_cmphex(a->cstar, ==, b->cstar);
    g_assert_cmphex(a->sfmask, ==, b->sfmask);
    g_assert_cmphex(a->kernel_gs_base, ==, b->kernel_gs_base);
    g_assert_cmphex(a->sysenter_cs, ==, b->sysenter_cs);
    g_assert_cmphex(a->sysenter_esp, ==, b->sysenter_esp);
    g_assert_cmphex(a->sysenter_eip, ==, b->sysenter_eip);
    g_assert_cmphex(a->pat, ==, b->pat);
    g_assert_cmpmem(a->dr, 32, b->dr, 32);
    g_assert_cmphex(a->dr[6], ==, b->dr[6]);
    g_assert_cmphex(a->dr[7], ==, b->dr[7]);
    g_assert_cmphex(a->fcw, ==, b->fcw);
    g_assert_cmphex(a->fsw, ==, b->fsw);
    g_assert_cmphex(a->ftw, ==, b->ftw);
    g_assert_cmpmem(a->st, sizeof(a->st), b->st, sizeof(b->st));
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpmem(a->vec[i], 16, b->vec[i], 16);
    }
    g_assert_cmphex(a->mxcsr, ==, b->mxcsr);
    g_assert_cmpint(a->nmi_masked, ==, b->nmi_masked);
    g_assert_cmpint(a->irq_shadow, ==, b->irq_shadow);
    g_assert_cmpint(a->ss_shadow, ==, b->ss_shadow);
    g_assert_cmphex(a->tsc_aux, ==, b->tsc_aux);
    g_assert_cmphex(a->xcr0, ==, b->xcr0);
}

static void test_round_trip(void)
{
    Evm *vm = vm_or_skip();
    X86State want;

    if (!vm) {
        return;
    }
    fill(&vm->c->s);
    want = vm->c->s;
    kvm_push(vm->c);
    memset(&vm->c->s, 0xff, offsetof(X86State, mp_state));
    /* What the kernel does not hold. */
    vm->c->s.apic_base = want.apic_base;
    vm->c->s.mtrr_def = want.mtrr_def;
    if (!cpu_has(vm->c, FEAT_RDTSCP)) {
        vm->c->s.tsc_aux = want.tsc_aux;
    }
    if (!cpu_has(vm->c, FEAT_XSAVE) || !kvm_cpu(vm->c)->kvm->caps.xcrs) {
        vm->c->s.xcr0 = want.xcr0;
    }
    if (!kvm_cpu(vm->c)->kvm->caps.debugregs) {
        memcpy(vm->c->s.dr, want.dr, sizeof(want.dr));
    }
    kvm_pull(vm->c);
    same(&want, &vm->c->s);
    evm_free(vm);
}

/* AVX-512's registers: all of them, some of them, none. Where guests have none,
 * the kernel's copy of the host's has room for them all the same. */
static void test_ext(void)
{
    static const uint64_t bits[] = { 0xe0, 0x20, 0xc0, 0 };
    Evm *vm = vm_or_skip();
    uint8_t want[X86_EXT_SIZE];
    X86Cpu *c;

    if (!vm) {
        return;
    }
    c = vm->c;
    c->has_ext = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
        for (unsigned j = 0; j < X86_EXT_SIZE; j++) {
            c->ext[j] = (uint8_t)(j * 7 + i + 1);
        }
        c->ext_bv = bits[i];
        memcpy(want, c->ext, sizeof(want));
        for (unsigned n = XSAVE_OPMASK; n <= XSAVE_HI16; n++) {
            const XsaveComponent *x = &xsave_components[n];

            if (!(bits[i] & x->bit)) {
                memset(want + x->ext, 0, x->size);
            }
        }
        kvm_push(c);
        if (kvm_cpu(c)->failed) {
            g_test_skip("this host has no AVX-512");
            break;
        }
        memset(c->ext, 0xa5, sizeof(c->ext));
        c->ext_bv = 0xe0;
        kvm_pull(c);
        g_assert_cmphex(c->ext_bv, ==, bits[i]);
        g_assert_cmpmem(c->ext, sizeof(c->ext), want, sizeof(want));
    }
    evm_free(vm);
}

/* An interrupt that KVM accepted but did not begin is in nobody's register:
 * the pull enters the handler. */
static void test_injected(void)
{
    struct kvm_interrupt intr = { .irq = 0x30 };
    Evm *vm = vm_or_skip();
    X86Cpu *c;

    if (!vm) {
        return;
    }
    if (!kvm_cpu(vm->c)->kvm->caps.events) {
        g_test_skip("this host's KVM has no KVM_GET_VCPU_EVENTS");
        evm_free(vm);
        return;
    }
    c = vm->c;
    c->s.rflags |= FL_IF;
    kvm_push(c);
    g_assert_cmpint(KVM_CALL(kvm_cpu(c)->fd, KVM_INTERRUPT, &intr), ==, 0);
    kvm_pull(c);
    g_assert_cmphex(c->s.rip, ==, EVM_STUBS + 0x30 * 16);
    g_assert_cmphex(evm_frame(vm, 0x30).rip, ==, EVM_CODE);
    g_assert_cmphex(c->s.rflags & FL_IF, ==, 0);
    evm_free(vm);
}

/* An exception with it: the interrupt is not lost, the fault comes again. */
static void test_injected_both(void)
{
    struct kvm_vcpu_events ev = { 0 };
    Evm *vm = vm_or_skip();
    KvmCpu *kc;

    if (!vm) {
        return;
    }
    kc = kvm_cpu(vm->c);
    if (!kc->kvm->caps.events) {
        g_test_skip("this host's KVM has no KVM_GET_VCPU_EVENTS");
        evm_free(vm);
        return;
    }
    kvm_push(vm->c);
    ev.exception.injected = 1;
    ev.exception.nr = EXC_PF;
    ev.exception.has_error_code = 1;
    ev.exception.error_code = 4;
    ev.interrupt.injected = 1;
    ev.interrupt.nr = 0x30;
    if (KVM_CALL(kc->fd, KVM_SET_VCPU_EVENTS, &ev) < 0) {
        g_test_skip("this host's KVM does not take both");
        evm_free(vm);
        return;
    }
    kvm_pull(vm->c);
    g_assert_cmphex(vm->c->s.rip, ==, EVM_STUBS + 0x30 * 16);
    g_assert_cmphex(evm_frame(vm, 0x30).rip, ==, EVM_CODE);
    evm_free(vm);
}

typedef struct Spin {
    Evm *vm;
    CpuExit exit;
    int64_t ended;
} Spin;

static int64_t cpu_time(clockid_t clk)
{
    struct timespec t;

    g_assert_cmpint(clock_gettime(clk, &t), ==, 0);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static void *spin(void *opaque)
{
    Spin *s = opaque;

    s->exit = s->vm->m->accel->ops->run(s->vm->c);
    s->ended = cpu_time(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

EVM_PROGRAM(counts, "1: incl 0x200000\n"
                    "jmp 1b\n");

/* How much longer the guest executes, in CPU time: the host may be busy. Of
 * several tries the best, because it may turn to others in ours, too. */
static void test_kick(void)
{
    Evm *vm = vm_or_skip();
    int64_t best = INT64_MAX;
    uint32_t *count;

    if (!vm) {
        return;
    }
    EVM_LOAD(vm, EVM_CODE, counts);
    count = evm_ptr(vm, EVM_DATA);
    for (unsigned i = 0; i < 10; i++) {
        Spin s = { .vm = vm };
        pthread_t thread;
        clockid_t clk;
        int64_t start;

        __atomic_store_n(&vm->c->pending, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(count, 0, __ATOMIC_SEQ_CST);
        g_assert_cmpint(pthread_create(&thread, NULL, spin, &s), ==, 0);
        while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < 1000) {
            g_usleep(100); /* it is in the guest */
        }
        g_assert_cmpint(pthread_getcpuclockid(thread, &clk), ==, 0);
        start = cpu_time(clk);
        __atomic_fetch_or(&vm->c->pending, CPU_STOP, __ATOMIC_SEQ_CST);
        vm->m->accel->ops->kick(vm->c);
        pthread_join(thread, NULL);
        g_assert_cmpint(s.exit, ==, CPU_EXIT_KICKED);
        best = MIN(best, s.ended - start);
    }
    g_test_message("best of 10: %.3f ms", best / 1e6);
    g_assert_cmpint(best, <, 10000000);
    __atomic_store_n(&vm->c->pending, 0, __ATOMIC_SEQ_CST);
    evm_free(vm);
}

static void test_breakpoint(void)
{
    static const uint8_t nops[] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xf4 };
    Evm *vm = vm_or_skip();
    hwaddr at[6];

    if (!vm) {
        return;
    }
    for (unsigned n = 1; n <= 6; n++) { /* debug registers, then software */
        at[n - 1] = EVM_CODE + n;
    }
    for (unsigned n = 1; n <= 6; n += 5) {
        evm_mode(vm, EVM_LONG64);
        evm_write(vm, EVM_CODE, nops, sizeof(nops));
        g_assert_true(kvm_accel.set_debug(vm->c, at, n, false));
        g_assert_cmpint(kvm_accel.run(vm->c), ==, CPU_EXIT_DEBUG);
        g_assert_cmphex(cpu_state(vm->c)->rip, ==, EVM_CODE + 1);
        g_assert_true(kvm_accel.set_debug(vm->c, NULL, 0, false));
        g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    }
    evm_free(vm);
}

/* wrmsr of the time's address, then its page is read by us. */
EVM_PROGRAM(kvmclock, "mov $0x4b564d01, %ecx\n"
                      "mov $0x200001, %eax\n"
                      "xor %edx, %edx\n"
                      "wrmsr\n"
                      "outb %al, $0x80\n"
                      "hlt\n");

/* The kernel fills the page; the clock stands still while we keep it. */
static void test_kvmclock(void)
{
    Evm *vm = vm_or_skip();
    KvmCpu *kc;
    uint64_t kept, ran;
    int64_t start;

    if (!vm) {
        return;
    }
    kc = kvm_cpu(vm->c);
    vm->model->kvm_features = KVM_CPUID_CLOCK;
    EVM_LOAD(vm, EVM_CODE, kvmclock);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(vm->c->s.pv_system_time, ==, EVM_DATA | 1);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, EVM_DATA)) & 1, ==, 0); /* version */
    g_assert_cmpuint(ld_le32(evm_ptr(vm, EVM_DATA)), !=, 0);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, EVM_DATA + 24)), !=, 0); /* factor */

    kvm_clock_keep(kc);
    kept = vm->c->s.pv_clock;
    g_assert_cmpuint(kept, !=, 0);
    g_usleep(50000);
    start = kvm_host_ns();
    kvm_clock_give(kc);
    kvm_clock_keep(kc);
    ran = (uint64_t)(kvm_host_ns() - start);
    g_assert_cmpuint(vm->c->s.pv_clock, >=, kept);
    g_assert_cmpuint(vm->c->s.pv_clock - kept, <=, ran + ran / 100);

    /* A reset takes the page away from the kernel. */
    evm_mode(vm, EVM_LONG64);
    kvm_push(vm->c);
    kvm_pull(vm->c);
    g_assert_cmphex(vm->c->s.pv_system_time, ==, 0);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/state/round-trip", test_round_trip);
    g_test_add_func("/kvm/state/ext", test_ext);
    g_test_add_func("/kvm/state/injected", test_injected);
    g_test_add_func("/kvm/state/injected-both", test_injected_both);
    g_test_add_func("/kvm/state/kvmclock", test_kvmclock);
    g_test_add_func("/kvm/kick", test_kick);
    g_test_add_func("/kvm/breakpoint", test_breakpoint);
    return g_test_run();
}
