/*
 * One machine, two engines: what one saves the other loads and goes on with,
 * the processor as well as the interrupt controllers, whoever has them; a
 * debugger's steps and breakpoints show the same. Skipped without KVM.
 */
#include "util/osdep.h"
#include <sys/eventfd.h>
#include "accel/kvm/kvm.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/timer/i8254.h"
#include "target-x86/cpuid.h"
#include "tests/lib/engine-vm.h"
#include "util/bits.h"

static bool no_kvm(void)
{
    if (!kvm_accel.available(NULL)) {
        g_test_skip("no KVM here");
        return true;
    }
    return false;
}

/* ---- the processor --------------------------------------------------------------- */

/* clang-format off */
EVM_PROGRAM(sums,
    "mov $0x200000, %rbx\n"
    "mov $40, %ecx\n"
    "fninit\n"
    "fldz\n"
    "fld1\n"
    "mov $3, %eax\n"
    "cvtsi2sd %eax, %xmm0\n"
    "movapd %xmm0, %xmm1\n"
    "1: faddp\n"
    "fld1\n"
    "mulsd %xmm0, %xmm1\n"
    "movsd %xmm1, (%rbx,%rcx,8)\n"
    "add %rcx, %rax\n"
    "rol $7, %rax\n"
    "push %rax\n"
    "loop 1b\n"
    "fstpl (%rbx)\n"
    "fstpl 8(%rbx)\n"
    "hlt\n");
/* clang-format on */

static void move(Evm *from, Evm *to)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    size_t at = 0;

    cpu_state(from->c);
    memcpy(evm_ptr(to, 0), evm_ptr(from, 0), EVM_RAM);
    g_assert_true(vmstate_save(bytes, &vmstate_x86, from->c, &err));
    cpu_state(to->c);
    g_assert_true(vmstate_load(bytes, &at, &vmstate_x86, to->c, &err));
    g_assert_no_error(err);
    cpu_raise(to->c, CPU_FLUSH);
}

/* To and fro, every few instructions. */
static void test_processor(void)
{
    Evm *vm[2], *plain;
    const uint64_t end = EVM_CODE + (evm_sums_end - evm_sums);
    unsigned at = 0, moves = 0;

    if (no_kvm()) {
        return;
    }
    vm[0] = evm_new_on(EVM_LONG64, "tcg");
    vm[1] = evm_new_on(EVM_LONG64, "kvm");
    plain = evm_new_on(EVM_LONG64, "tcg");
    EVM_LOAD(plain, EVM_CODE, sums);
    g_assert_cmpint(evm_run(plain, 0), ==, EVM_HALT);
    EVM_LOAD(vm[0], EVM_CODE, sums);
    vm[0]->c->s.gpr[R_RDX] = plain->c->s.gpr[R_RDX];
    while (vm[at]->c->s.rip != end) { /* behind HLT */
        for (unsigned i = 0; i < 17 && vm[at]->c->s.rip != end; i++) {
            evm_single_step(vm[at]);
        }
        move(vm[at], vm[!at]);
        at = !at;
        moves++;
        g_assert_cmpuint(moves, <, 100);
    }
    g_assert_cmpuint(moves, >, 10);
    g_assert_cmpmem(plain->c->s.gpr, sizeof(plain->c->s.gpr), vm[at]->c->s.gpr,
                    sizeof(plain->c->s.gpr));
    g_assert_cmpmem(plain->c->s.vec, sizeof(plain->c->s.vec), vm[at]->c->s.vec,
                    sizeof(plain->c->s.vec));
    g_assert_cmphex(plain->c->s.rip, ==, vm[at]->c->s.rip);
    g_assert_cmpmem(evm_ptr(plain, EVM_DATA), 8192, evm_ptr(vm[at], EVM_DATA),
                    8192);
    evm_free(plain);
    evm_free(vm[0]);
    evm_free(vm[1]);
}

static bool try_move(Evm *from, Evm *to, uint32_t *version, GError **errp)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    size_t at = 0;

    g_assert_true(vmstate_save(bytes, &vmstate_x86, from->c, NULL));
    *version = ld_be32(bytes->data + 1 + strlen("x86-cpu"));
    return vmstate_load(bytes, &at, &vmstate_x86, to->c, errp);
}

/* AVX-512's registers are in a snapshot if the guest uses them; then it loads
 * where there are such, and nowhere else. */
static void test_ext(void)
{
    Evm *a = evm_new_on(EVM_LONG64, "tcg"), *b = evm_new_on(EVM_LONG64, "tcg");
    g_autoptr(GError) err = NULL;
    uint32_t version;

    a->c->has_ext = b->c->has_ext = true;
    a->c->s.xcr0 = 3;
    memset(b->c->ext, 0x11, X86_EXT_SIZE);
    g_assert_true(try_move(a, b, &version, NULL));
    g_assert_cmpuint(version, ==, 2); /* as if there were none */
    g_assert_cmpuint(b->c->ext[0] | b->c->ext[X86_EXT_SIZE - 1], ==, 0);

    a->c->s.xcr0 = 0xe7;
    a->c->ext_bv = 0xe0;
    for (unsigned i = 0; i < X86_EXT_SIZE; i++) {
        a->c->ext[i] = (uint8_t)(i * 3);
    }
    g_assert_true(try_move(a, b, &version, NULL));
    g_assert_cmpuint(version, ==, 3);
    g_assert_cmphex(b->c->ext_bv, ==, 0xe0);
    g_assert_cmpmem(a->c->ext, X86_EXT_SIZE, b->c->ext, X86_EXT_SIZE);

    b->c->has_ext = false;
    g_assert_false(try_move(a, b, &version, &err));
    g_assert_nonnull(strstr(err->message, "the guest uses AVX-512, which this "
                                          "processor has not: "));
    a->c->s.xcr0 = 7; /* not switched on: nothing is lost */
    g_assert_true(try_move(a, b, &version, NULL));
    g_assert_cmphex(b->c->ext_bv, ==, 0);
    x86_reset(a->c);
    g_assert_cmphex(a->c->ext_bv, ==, 0);
    evm_free(a);
    evm_free(b);
}

/* The default model has nothing that only KVM executes, whatever the host has:
 * its machines go on under the software CPU. */
static void test_models(void)
{
    static const struct {
        const char *text;
        bool hopes;
    } rows[] = {
        { NULL, false },
        { "max", false },
        { "max,+avx512f", true },
        { "host", true },
        { "Skylake-Server,check=off", true },
    };
    MachineConfig cfg = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        CpuModel *cm = cpu_model_make(rows[i].text, &cfg, NULL);

        g_assert_nonnull(cm);
        g_assert_false(cpu_model_has(cm, FEAT_AVX512F));
        g_assert_cmpint(cpu_model_hopes(cm, FEAT_AVX512F), ==, rows[i].hopes);
        cpu_model_free(cm);
    }
}

EVM_PROGRAM(xsave, "mov $0x200000, %rbx\n"
                   "mov $-1, %eax\n"
                   "mov $-1, %edx\n"
                   "xsave (%rbx)\n"
                   "hlt\n");

/* A host may have components in other places than Intel's (AMD's leave no room
 * for MPX): its model says where, and XSAVE in software goes there, too. */
static void test_xsave_layout(void)
{
    static const uint16_t amd[] = { 576, 832, 896, 1408, 2432 };
    Evm *vm = evm_new_on(EVM_LONG64, "tcg");
    uint32_t r[4];

    vm->c->has_ext = true;
    memcpy(vm->model->xsave_off, amd, sizeof(amd));
    cpu_model_give(vm->model, FEAT_PKU);
    x86_cpuid(vm->c, 0xd, 9, r);
    g_assert_cmpuint(r[REG_EBX], ==, 2432);
    x86_cpuid(vm->c, 0xd, 6, r);
    g_assert_cmpuint(r[REG_EBX], ==, 896);
    x86_cpuid(vm->c, 0xd, 0, r);
    g_assert_cmpuint(r[REG_ECX], ==, 2440);
    g_assert_cmphex(r[REG_EAX], ==, 0x2e7);

    EVM_LOAD(vm, EVM_CODE, xsave);
    vm->c->s.cr4 |= CR4_OSXSAVE;
    vm->c->s.xcr0 = 0x2e7;
    vm->c->s.pkru = 0x55555554;
    vm->c->ext_bv = 0xe0;
    memset(vm->c->ext, 0x77, X86_EXT_SIZE);
    vm->c->ext[0] = 0x70;
    vm->c->ext[X86_EXT_SIZE - 1] = 0x7e;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(ld_le32(evm_ptr(vm, EVM_DATA + 2432)), ==, 0x55555554);
    g_assert_cmphex(ld_le32(evm_ptr(vm, EVM_DATA + 832)), ==, 0x77777770);
    g_assert_cmphex(ld_le32(evm_ptr(vm, EVM_DATA + 2428)), ==, 0x7e777777);
    evm_free(vm);
}

/* A state that KVM does not take (features it has not) is the software CPU's,
 * until KVM takes it again. */
static void test_unfit(void)
{
    uint64_t insns;
    KvmCpu *kc;
    Evm *vm;

    if (no_kvm()) {
        return;
    }
    vm = evm_new_with(EVM_LONG64, "kvm", "kvm,turns=off", NULL);
    kc = kvm_cpu(vm->c);
    if (cpu_has(vm->c, FEAT_PCID)) {
        g_test_skip("this KVM has what the guest is to use");
        evm_free(vm);
        return;
    }
    EVM_LOAD(vm, EVM_CODE, sums);
    vm->c->s.cr4 |= CR4_PCIDE;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_true(kc->unfit);
    g_assert_false(kc->failed);
    insns = kc->stats.burst_insns;
    g_assert_cmpuint(insns, >, 300);
    g_assert_cmpuint(kc->stats.in_kvm_ns, ==, 0);
    g_assert_cmphex(vm->c->s.rip, ==, EVM_CODE + (evm_sums_end - evm_sums));

    evm_mode(vm, EVM_LONG64); /* a reset */
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_false(kc->unfit);
    g_assert_cmpuint(kc->stats.in_kvm_ns, >, 0);
    evm_free(vm);
}

/* A guest that has measured its TSC finds it at the same rate. */
static void test_tsc(void)
{
    Evm *kvm, *tcg;

    if (no_kvm()) {
        return;
    }
    kvm = evm_new_on(EVM_LONG64, "kvm");
    tcg = evm_new_on(EVM_LONG64, "tcg");
    kvm_push(kvm->c);
    kvm->c->state_in_accel = true;
    move(kvm, tcg);
    g_assert_cmpuint(x86_tsc_hz(tcg->c), ==, x86_tsc_hz(kvm->c));
    g_assert_cmpuint(x86_tsc(tcg->c), ==, x86_tsc(kvm->c));
    evm_free(kvm);
    evm_free(tcg);
}

/* ---- debugging ----------------------------------------------------------------------- */

/* "b" and the address of each breakpoint, "s" and that of each step. */
static char *debug_trace(const char *engine)
{
    Evm *vm = evm_new_on(EVM_LONG64, engine);
    const AccelOps *ops = vm->m->accel->ops;
    hwaddr at[] = { EVM_CODE + 35, EVM_CODE + 0x100 };
    GString *out = g_string_new(NULL);

    EVM_LOAD(vm, EVM_CODE, sums);
    for (unsigned i = 0; i < 6; i++) {
        CpuExit exit;

        g_assert_true(ops->set_debug(vm->c, at, 2, false));
        do {
            exit = ops->run(vm->c);
        } while (exit == CPU_EXIT_KICKED);
        g_string_append_printf(out, "b%d:%" PRIx64 ",%" PRIx64 " ", exit,
                               cpu_state(vm->c)->rip, vm->c->s.gpr[R_RCX]);
        g_assert_true(ops->set_debug(vm->c, NULL, 0, false));
        for (unsigned j = 0; j < 3; j++) {
            exit = evm_single_step(vm);
            g_string_append_printf(out, "s%d:%" PRIx64 " ", exit, vm->c->s.rip);
        }
    }
    evm_mode(vm, EVM_LONG64); /* reset, in the middle of it */
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_string_append_printf(out, "end %" PRIx64, vm->c->s.rip);
    evm_free(vm);
    return g_string_free(out, false);
}

static void test_debug(void)
{
    g_autofree char *tcg = NULL, *kvm = NULL;

    if (no_kvm()) {
        return;
    }
    tcg = debug_trace("tcg");
    kvm = debug_trace("kvm");
    g_assert_cmpstr(tcg, ==, kvm);
}

/* ---- the interrupt controllers ---------------------------------------------------------- */

static const MachineClass chips_class = { .name = "chips",
                                          .max_cpus = 1,
                                          .irqchip = true };

enum { APIC, PIC, IOAPIC, PIT, CHIPS };

typedef struct Board {
    Evm *vm;
    Device *dev[CHIPS];
} Board;

static void board_make(Board *b, const char *engine, const char *options)
{
    static const DeviceClass *const cls[CHIPS] = { &apic_class, &i8259_class,
                                                   &ioapic_class,
                                                   &i8254_class };
    g_autoptr(GError) err = NULL;

    b->vm = evm_new_with(EVM_LONG64, engine, options, &chips_class);
    for (unsigned i = 0; i < CHIPS; i++) {
        b->dev[i] = device_new_class(b->vm->m, cls[i], NULL);
        if (i == APIC) {
            apic_attach(b->dev[i], b->vm->c);
        }
        g_assert_true(device_realize(b->dev[i], &err));
        g_assert_no_error(err);
    }
    for (unsigned i = 0; i < CHIPS; i++) {
        cls[i]->reset(b->dev[i]);
    }
}

static void board_free(Board *b)
{
    for (unsigned i = CHIPS; i-- > 0;) {
        device_free(b->dev[i]);
    }
    evm_free(b->vm);
}

static char *board_dump(Board *b)
{
    GString *out = g_string_new(NULL);
    char *tick;

    apic_dump(b->vm->c, out);
    i8259_dump(b->dev[PIC], out);
    ioapic_dump(b->dev[IOAPIC], out);
    tick = strstr(out->str, "pic0: irr=01");
    if (tick) { /* a kernel's 8254 has begun to tick, our clock stands */
        tick[strlen("pic0: irr=0")] = '0';
    }
    return g_string_free(out, false);
}

/* clang-format off */
#define OUT(port, value) "mov $" #value ", %al\nout %al, $" #port "\n"
#define MMIO(addr, value) "mov $" #addr ", %ebx\nmovl $" #value ", (%rbx)\n"
EVM_PROGRAM(setup,
    OUT(0x20, 0x11) OUT(0x21, 0x30) OUT(0x21, 4) OUT(0x21, 1) OUT(0x21, 0xfb)
    OUT(0xa0, 0x11) OUT(0xa1, 0x38) OUT(0xa1, 2) OUT(0xa1, 3) OUT(0xa1, 0x7e)
    OUT(0x43, 0xb4) OUT(0x42, 0x34) OUT(0x42, 0x12)
    MMIO(0xfec00000, 0x18) MMIO(0xfec00010, 0x8941)
    MMIO(0xfec00000, 0x19) MMIO(0xfec00010, 0x01000000)
    MMIO(0xfec00000, 0x1e) MMIO(0xfec00010, 0x00059)
    MMIO(0xfee000f0, 0x1ff) MMIO(0xfee000d0, 0x01000000)
    MMIO(0xfee00080, 0x20) MMIO(0xfee00370, 0xfe)
    MMIO(0xfee003e0, 0x0b) MMIO(0xfee00320, 0x200ef)
    MMIO(0xfee00380, 0) MMIO(0xfee00350, 0x700)
    "nop\n");
/* clang-format on */

/* Instructions of @setup, one by one: HLT would be the kernel's. */
static void board_setup(Board *b)
{
    const uint64_t end = EVM_CODE + (evm_setup_end - evm_setup) - 1;

    EVM_LOAD(b->vm, EVM_CODE, setup);
    while (cpu_state(b->vm->c)->rip < end) {
        g_assert_cmpint(evm_single_step(b->vm), ==, CPU_EXIT_DEBUG);
    }
}

static void board_move(Board *from, Board *to)
{
    g_autoptr(GError) err = NULL;

    for (unsigned i = 0; i < CHIPS; i++) {
        const VMState *desc = from->dev[i]->cls->vmstate;
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        size_t at = 0;

        g_assert_true(vmstate_save(bytes, desc, from->dev[i], &err));
        g_assert_true(vmstate_load(bytes, &at, desc, to->dev[i], &err));
        g_assert_no_error(err);
    }
    move(from->vm, to->vm);
}

/* So that the kernel has it, and tells. */
static void board_settle(Board *b)
{
    if (kvm_enabled(b->vm->m)) {
        kvm_push(b->vm->c);
        b->vm->c->state_in_accel = true;
        cpu_state(b->vm->c);
    }
}

/* The channel's count, without the time since. */
static void same_pit(Board *a, Board *b)
{
    as_store(a->vm->m->io, 0x43, 0xe8, 1); /* read back: status of channel 2 */
    as_store(b->vm->m->io, 0x43, 0xe8, 1);
    g_assert_cmphex(as_load(a->vm->m->io, 0x42, 1) & 0x3f, ==,
                    as_load(b->vm->m->io, 0x42, 1) & 0x3f);
}

static void chips(const char *options)
{
    g_autofree char *one = NULL, *two = NULL, *three = NULL, *four = NULL;
    Board tcg, kvm, back;

    board_make(&tcg, "tcg", "tcg");
    board_make(&kvm, "kvm", options);
    board_make(&back, "kvm", options);
    board_setup(&tcg);
    board_setup(&kvm);
    one = board_dump(&tcg);
    two = board_dump(&kvm);
    g_assert_cmpstr(one, ==, two);
    same_pit(&tcg, &kvm);

    board_move(&tcg, &back); /* tcg -> kvm */
    board_settle(&back);
    three = board_dump(&back);
    g_assert_cmpstr(one, ==, three);
    same_pit(&tcg, &back);
    tcg.vm->c->apic_ops->init_reset(tcg.vm->c);
    board_move(&kvm, &tcg); /* kvm -> tcg */
    four = board_dump(&tcg);
    g_assert_cmpstr(two, ==, four);
    board_free(&tcg);
    board_free(&kvm);
    board_free(&back);
}

/* Not every host's KVM has the controllers of these options. */
static bool no_chips(const char *options)
{
    KvmCaps caps;
    int fd, vm;

    if (no_kvm() || !kvm_host_open(NULL, &fd, &vm, NULL)) {
        return true;
    }
    kvm_host_caps(vm, &caps);
    close(vm);
    close(fd);
    if ((strstr(options, "=split") && !caps.split_irqchip) ||
        (strstr(options, "=on") && !caps.irqchip) ||
        (!strstr(options, "=off") &&
         (!caps.signal_msi || !caps.irq_routes || !caps.mp_state))) {
        g_test_skip("this host's KVM has no such interrupt controllers");
        return true;
    }
    return false;
}

static void test_chips(gconstpointer options)
{
    if (!no_chips(options)) {
        chips(options);
    }
}

static bool has_irr(Board *b, unsigned vector)
{
    uint8_t page[1024];
    uint64_t deadline;

    board_settle(b);
    b->vm->c->apic_ops->get_page(b->vm->c, page, &deadline);
    return page[0x200 + vector / 32 * 16 + vector % 32 / 8] >> (vector % 8) & 1;
}

/* The kernel has the eventfds' messages done by a thread of its own. */
static void wait_irr(Board *b, unsigned vector)
{
    while (!has_irr(b, vector)) {
        g_usleep(1000);
    }
}

/* Messages to the local APIC: by call, by eventfd, from a pin. */
static void test_messages(gconstpointer options)
{
    const HostKernelOps *ops;
    int fd = eventfd(0, EFD_NONBLOCK), gsi;
    uint64_t n = 1;
    Machine *m;
    Board b;

    if (no_chips(options)) {
        close(fd);
        return;
    }
    board_make(&b, "kvm", options);
    board_setup(&b);
    board_settle(&b);
    m = b.vm->m;
    ops = m->host->ops;
    apic_deliver_msi(m, 0xfee00000, 0x51);
    g_assert_true(has_irr(&b, 0x51));
    gsi = ops->route_add(m, 0xfee00000, 0x52);
    g_assert_cmpint(gsi, >=, 24);
    g_assert_cmpint(ops->irqfd_set(m, fd, -1, gsi, true), ==, 0);
    g_assert_false(has_irr(&b, 0x52));
    g_assert_cmpint(write(fd, &n, sizeof(n)), ==, sizeof(n));
    wait_irr(&b, 0x52);
    ops->route_set(m, gsi, 0xfee00000, 0x63);
    g_assert_cmpint(write(fd, &n, sizeof(n)), ==, sizeof(n));
    wait_irr(&b, 0x63);
    g_assert_cmpint(ops->irqfd_set(m, fd, -1, gsi, false), ==, 0);
    ops->route_del(m, gsi);
    {
        IrqLine pin = ioapic_input(b.dev[IOAPIC], 7); /* vector 59, edge */

        irq_pulse(&pin);
        g_assert_true(has_irr(&b, 0x59));
    }
    board_free(&b);
    close(fd);
}

/* HLT and waiting for SIPI, where they are the kernel's. */
static void test_mp_state(gconstpointer options)
{
    static const struct {
        bool halted;
        uint8_t mp_state;
    } rows[] = { { true, MP_RUNNABLE },
                 { false, MP_WAIT_SIPI },
                 { false, MP_RUNNABLE } };
    Board b;

    if (no_chips(options)) {
        return;
    }
    board_make(&b, "kvm", options);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        X86State *s = &b.vm->c->s;

        s->halted = rows[i].halted;
        s->mp_state = rows[i].mp_state;
        kvm_push(b.vm->c);
        s->halted = !rows[i].halted;
        s->mp_state =
            rows[i].mp_state == MP_RUNNABLE ? MP_WAIT_SIPI : MP_RUNNABLE;
        b.vm->c->state_in_accel = true;
        cpu_state(b.vm->c);
        g_assert_cmpint(s->mp_state, ==, rows[i].mp_state);
        g_assert_cmpint(s->halted, ==, rows[i].halted);
    }
    board_free(&b);
}

/* ---- dirty pages ---------------------------------------------------------------------------- */

EVM_PROGRAM(writes, "movl $1, 0x205000\n"
                    "movl $1, 0x209ffc\n"
                    "hlt\n");

static bool dirty(const unsigned long *bitmap, hwaddr addr)
{
    uint64_t page = addr >> PAGE_SHIFT;

    return bitmap[page / 64] >> (page % 64) & 1;
}

/*
 * A turn's burst that begins at an access to the APIC leaves that to the
 * kernel: an interrupt arrives there at any time, and giving back registers
 * that were fetched before would lose it. (Two processors never got to user
 * space.)
 */
static void test_burst_at_apic(void)
{
    static const uint8_t code[] = {
        0xa1, 0x80, 0x00, 0xe0, 0xfe, 0, 0, 0, 0, 0x90
    }; /* mov TPR, %eax */
    X86State *s;
    Board b;

    if (no_chips("=split")) {
        return;
    }
    board_make(&b, "kvm", "kvm,turns=off,kernel-irqchip=split");
    s = &b.vm->c->s;
    evm_write(b.vm, EVM_CODE, code, sizeof(code));
    s->rip = EVM_CODE;
    s->apic_base = 0xfee00900;
    b.vm->c->apic_changed = false;
    g_assert_cmpint(tcg_run_burst(b.vm->c, 2, false), ==, CPU_EXIT_KICKED);
    g_assert_cmphex(s->rip, ==, EVM_CODE);
    g_assert_false(b.vm->c->apic_changed);
    /* What KVM refused is done, whatever it is. */
    g_assert_cmpint(tcg_run_burst(b.vm->c, 2, true), ==, CPU_EXIT_KICKED);
    g_assert_cmphex(s->rip, >, EVM_CODE);
    board_free(&b);
}

/* One that the software CPU must complete there: what arrives meanwhile stays. */
static void test_completed_at_apic(void)
{
    static const uint8_t code[] = {
        0xa3, 0x80, 0x00, 0xe0, 0xfe, 0, 0, 0, 0, 0x90
    }; /* mov %eax, TPR */
    X86Cpu *c;
    Board b;

    if (no_chips("=split")) {
        return;
    }
    board_make(&b, "kvm", "kvm,turns=off,kernel-irqchip=split");
    board_setup(&b);
    c = b.vm->c;
    c->s.apic_base = 0xfee00900;
    board_settle(&b);
    apic_deliver_msi(b.vm->m, 0xfee00000, 0x51);
    g_assert_true(has_irr(&b, 0x51));
    evm_write(b.vm, EVM_CODE, code, sizeof(code));
    c->s.rip = EVM_CODE;
    c->s.gpr[R_RAX] = 0x20;
    g_assert_cmpint(tcg_run_burst(c, 1, true), ==, CPU_EXIT_KICKED);
    g_assert_true(c->apic_changed);
    apic_deliver_msi(b.vm->m, 0xfee00000, 0x52);
    g_assert_true(has_irr(&b, 0x52));
    g_assert_true(has_irr(&b, 0x51));
    g_assert_false(c->apic_changed);
    g_assert_cmphex(c->apic_ops->get_tpr(c), ==, 2);
    /* A reset does not keep them. */
    b.dev[APIC]->cls->reset(b.dev[APIC]);
    apic_deliver_msi(b.vm->m, 0xfee00000, 0x53);
    g_assert_false(has_irr(&b, 0x51));
    g_assert_false(has_irr(&b, 0x53));
    board_free(&b);
}

/* In a burst, an interrupt that the kernel's APIC gets from a device of ours
 * makes the burst end: it is KVM that delivers it. */
static void msi_write(void *opaque, hwaddr offset, uint64_t v, unsigned size)
{
    apic_deliver_msi(opaque, 0xfee00000, 0x51);
}

static void test_burst_ends(void)
{
    static const RegionOps ops = { .write = msi_write };
    static const uint8_t code[] = { 0xe6, 0xe0, 0xeb, 0xfe }; /* OUT; JMP . */
    Region r;
    Board b;

    if (no_chips("=split")) {
        return;
    }
    board_make(&b, "kvm", "kvm,turns=off,kernel-irqchip=split");
    region_init_io(&r, "msi", 1, &ops, b.vm->m);
    as_map(b.vm->m->io, 0xe0, &r, 0);
    evm_write(b.vm, EVM_CODE, code, sizeof(code));
    b.vm->c->s.rip = EVM_CODE;
    g_assert_cmpint(kvm_run_soft(kvm_cpu(b.vm->c), 1 << 26), ==,
                    CPU_EXIT_KICKED);
    g_assert_cmpuint(tcg_insn_count(b.vm->c), <, 1 << 20);
    as_unmap(&r);
    board_free(&b);
}

/* KVM's turn is over when the thread has had some of it, whatever the clock on
 * the wall says; without APICs in the kernel, by that clock. */
static void test_turn(void)
{
    static const struct {
        const char *options;
        bool over;
    } rows[] = {
        { "kvm,kernel-irqchip=split", false },
        { "kvm,kernel-irqchip=off", true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows) && !no_chips(rows[i].options);
         i++) {
        struct timespec ts;
        KvmCpu *kc;
        Board b;

        board_make(&b, "kvm", rows[i].options);
        kc = kvm_cpu(b.vm->c);
        kc->turns = true;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        kc->burst_end_cpu = ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
        kc->burst_end = kvm_host_ns() - NS_PER_SEC; /* it slept */
        g_assert_cmpint(kvm_turn_over(kc), ==, rows[i].over);
        kc->burst_end_cpu -= NS_PER_SEC;
        g_assert_true(kvm_turn_over(kc));
        kc->burst_end = kvm_host_ns() + NS_PER_SEC;
        g_assert_false(kvm_turn_over(kc));
        board_free(&b);
    }
}

static void test_dirty(void)
{
    unsigned long bitmap[EVM_RAM / PAGE_SIZE / 64] = { 0 };
    Evm *vm;

    if (no_kvm()) {
        return;
    }
    vm = evm_new_on(EVM_LONG64, "kvm");
    EVM_LOAD(vm, EVM_CODE, writes);
    kvm_accel.dirty_sync(vm->m->accel, &vm->ram, bitmap);
    g_assert_true(dirty(bitmap, 0x205000)); /* the first time: everything */
    memset(bitmap, 0, sizeof(bitmap));
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    kvm_accel.dirty_sync(vm->m->accel, &vm->ram, bitmap);
    g_assert_true(dirty(bitmap, 0x205000));
    g_assert_true(dirty(bitmap, 0x209000));
    g_assert_false(dirty(bitmap, 0x206000));
    memset(bitmap, 0, sizeof(bitmap));
    kvm_accel.dirty_sync(vm->m->accel, &vm->ram, bitmap);
    g_assert_false(dirty(bitmap, 0x205000));
    evm_mode(vm, EVM_LONG64); /* the page is noticed once more */
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    kvm_accel.dirty_sync(vm->m->accel, &vm->ram, bitmap);
    g_assert_true(dirty(bitmap, 0x205000));
    g_assert_false(dirty(bitmap, 0x206000));
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/cross/processor", test_processor);
    g_test_add_func("/kvm/cross/unfit", test_unfit);
    g_test_add_func("/kvm/cross/ext", test_ext);
    g_test_add_func("/kvm/cross/models", test_models);
    g_test_add_func("/kvm/cross/xsave-layout", test_xsave_layout);
    g_test_add_func("/kvm/cross/tsc", test_tsc);
    g_test_add_func("/kvm/cross/debug", test_debug);
    g_test_add_data_func("/kvm/cross/chips/off", "kvm,kernel-irqchip=off",
                         test_chips);
    g_test_add_data_func("/kvm/cross/chips/split", "kvm,kernel-irqchip=split",
                         test_chips);
    g_test_add_data_func("/kvm/cross/chips/on", "kvm,kernel-irqchip=on",
                         test_chips);
    g_test_add_data_func("/kvm/messages/split", "kvm,kernel-irqchip=split",
                         test_messages);
    g_test_add_data_func("/kvm/messages/on", "kvm,kernel-irqchip=on",
                         test_messages);
    g_test_add_data_func("/kvm/mp-state/split", "kvm,kernel-irqchip=split",
                         test_mp_state);
    g_test_add_data_func("/kvm/mp-state/on", "kvm,kernel-irqchip=on",
                         test_mp_state);
    g_test_add_func("/kvm/burst-at-apic", test_burst_at_apic);
    g_test_add_func("/kvm/completed-at-apic", test_completed_at_apic);
    g_test_add_func("/kvm/burst-ends", test_burst_ends);
    g_test_add_func("/kvm/turn", test_turn);
    g_test_add_func("/kvm/dirty", test_dirty);
    return g_test_run();
}
