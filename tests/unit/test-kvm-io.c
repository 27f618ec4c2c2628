/*
 * Writes of the guest without an exit: ioeventfds and coalesced writes, with
 * ports and memory, as regions move. Skipped where there is no KVM.
 */
#include "util/osdep.h"
#include <sys/eventfd.h>
#include "accel/kvm/kvm.h"
#include "tests/lib/engine-vm.h"

enum { MMIO = 0x20000000, PORT = 0x510 };

/* A device that writes down what it sees. */
typedef struct Probe {
    Region r;
    GString *log;
} Probe;

static uint64_t probe_read(void *opaque, hwaddr offset, unsigned size)
{
    Probe *p = opaque;

    g_string_append_printf(p->log, "r%x ", (unsigned)offset);
    return 0;
}

static void probe_write(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    Probe *p = opaque;

    g_string_append_printf(p->log, "w%x:%u=%x ", (unsigned)offset, size,
                           (unsigned)value);
}

static const RegionOps probe_ops = { .read = probe_read, .write = probe_write };

static void probe_init(Probe *p, hwaddr size)
{
    region_init_io(&p->r, "probe", size, &probe_ops, p);
    p->log = g_string_new(NULL);
}

static void probe_fini(Probe *p)
{
    as_unmap(&p->r);
    g_string_free(p->log, true);
}

static void expect_log(Probe *p, const char *text)
{
    g_assert_cmpstr(p->log->str, ==, text);
    g_string_truncate(p->log, 0);
}

static Evm *vm_or_skip(bool (*has)(const KvmCaps *caps))
{
    Evm *vm = evm_new_on(EVM_LONG64, "kvm");

    if (!vm) {
        g_test_skip("no KVM here");
    } else if (!has(&kvm_cpu(vm->c)->kvm->caps)) {
        g_test_skip("this host's KVM has it not");
        evm_free(vm);
        return NULL;
    }
    return vm;
}

static bool has_events(const KvmCaps *caps)
{
    return caps->ioeventfd && caps->ioevent_any;
}

static bool has_ring(const KvmCaps *caps)
{
    return caps->coalesced_page && caps->coalesced_pio;
}

/* How often @fd was signalled since the last look. */
static uint64_t signals(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* clang-format off */
EVM_PROGRAM(writes,
    "mov $0x20000000, %rbx\n"
    "movl $1, 0(%rbx)\n"
    "movw $2, 4(%rbx)\n"
    "movl $3, 4(%rbx)\n"
    "movl $5, 8(%rbx)\n"
    "movl $6, 8(%rbx)\n"
    "mov $0x510, %edx\n"
    "mov $7, %eax\n"
    "outl %eax, %dx\n"
    "outw %ax, %dx\n"
    "mov (%rbx), %eax\n"
    "hlt\n");
/* clang-format on */

static void run(Evm *vm)
{
    evm_mode(vm, EVM_LONG64);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
}

static void test_ioeventfd(void)
{
    Evm *vm = vm_or_skip(has_events);
    int any = eventfd(0, EFD_NONBLOCK), five = eventfd(0, EFD_NONBLOCK),
        port = eventfd(0, EFD_NONBLOCK);
    Probe mem, io;

    if (vm) {
        probe_init(&mem, 16);
        probe_init(&io, 4);
        EVM_LOAD(vm, EVM_CODE, writes);
        g_assert_true(host_ioeventfd(vm->m));
        region_add_event(&mem.r, 4, 0, false, 0, any);
        as_map(vm->m->mem, MMIO, &mem.r, 0);
        as_map(vm->m->io, PORT, &io.r, 0);
        region_add_event(&mem.r, 8, 4, true, 5, five);
        region_add_event(&io.r, 0, 2, false, 0, port);
        run(vm);
        expect_log(&mem, "w0:4=1 w8:4=6 r0 ");
        expect_log(&io, "w0:4=7 ");
        g_assert_cmpuint(signals(any), ==, 2);
        g_assert_cmpuint(signals(five), ==, 1);
        g_assert_cmpuint(signals(port), ==, 1);

        region_del_event(&mem.r, 8, 4, true, 5, five);
        as_unmap(&io.r); /* somewhere else: what was there is gone */
        as_map(vm->m->io, PORT + 8, &io.r, 0);
        run(vm);
        expect_log(&mem, "w0:4=1 w8:4=5 w8:4=6 r0 ");
        expect_log(&io, "");
        g_assert_cmpuint(signals(any), ==, 2);
        g_assert_cmpuint(signals(port), ==, 0);
        region_del_event(&mem.r, 4, 0, false, 0, any);
        region_del_event(&io.r, 0, 2, false, 0, port);
        g_assert_cmpuint(kvm_cpu(vm->c)->kvm->io_events->len, ==, 0);
        probe_fini(&mem);
        probe_fini(&io);
        evm_free(vm);
    }
    close(any);
    close(five);
    close(port);
}

static void test_coalesced(void)
{
    Evm *vm = vm_or_skip(has_ring);
    KvmAccel *a;
    Probe mem, io;

    if (!vm) {
        return;
    }
    a = kvm_cpu(vm->c)->kvm;
    probe_init(&mem, 16);
    probe_init(&io, 4);
    EVM_LOAD(vm, EVM_CODE, writes);
    region_set_coalesced(&mem.r, true);
    as_map(vm->m->mem, MMIO, &mem.r, 0);
    as_map(vm->m->io, PORT, &io.r, 0);
    region_set_coalesced(&io.r, true);
    run(vm);
    /* The read comes last, and everything before it. */
    expect_log(&mem, "w0:4=1 w4:2=2 w4:4=3 w8:4=5 w8:4=6 r0 ");
    expect_log(&io, "w0:4=7 w0:2=7 ");
    g_assert_cmpuint(a->coalesced, ==, 7);
    region_set_coalesced(&mem.r, false);
    region_set_coalesced(&io.r, false);
    g_assert_cmpuint(a->zones->len, ==, 0);
    run(vm);
    expect_log(&mem, "w0:4=1 w4:2=2 w4:4=3 w8:4=5 w8:4=6 r0 ");
    g_assert_cmpuint(a->coalesced, ==, 7);
    probe_fini(&mem);
    probe_fini(&io);
    evm_free(vm);
}

/* ---- an access in pieces ------------------------------------------------------------ */

typedef struct Stopper {
    Region r;
    Evm *vm;
    unsigned reads;
} Stopper;

static uint64_t stopper_read(void *opaque, hwaddr offset, unsigned size)
{
    Stopper *st = opaque;

    if (st->reads++ == 0) {
        cpu_raise(st->vm->c, CPU_STOP);
    }
    return UINT64_C(0x1111111111111111) * (offset / 8 + 1);
}

/* clang-format off */
EVM_PROGRAM(wide,
    "mov $0x20000000, %rbx\n"
    "movdqu (%rbx), %xmm0\n"
    "nop\n"
    "hlt\n");
/* clang-format on */

/* A stop between the two pieces of a load waits for the second. */
static void test_pieces(void)
{
    static const RegionOps ops = { .read = stopper_read };
    Evm *vm = evm_new_with(EVM_LONG64, "kvm", "kvm,turns=off", NULL);
    Stopper st = { .vm = vm };
    uint64_t want[2] = { UINT64_C(0x1111111111111111),
                         UINT64_C(0x2222222222222222) };

    if (!vm) {
        g_test_skip("no KVM here");
        return;
    }
    region_init_io(&st.r, "stopper", 16, &ops, &st);
    as_map(vm->m->mem, MMIO, &st.r, 0);
    EVM_LOAD(vm, EVM_CODE, wide);
    g_assert_cmpint(kvm_accel.run(vm->c), ==, CPU_EXIT_KICKED);
    cpu_state(vm->c);
    cpu_lower(vm->c, CPU_STOP);
    g_assert_cmphex(vm->c->s.rip, ==, EVM_CODE + (evm_wide_end - evm_wide) - 2);
    g_assert_cmpmem(vm->c->s.vec[0], 16, want, 16);
    g_assert_cmpuint(st.reads, ==, 4); /* of 4 bytes each: nothing twice */
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(st.reads, ==, 4);
    as_unmap(&st.r);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/io/ioeventfd", test_ioeventfd);
    g_test_add_func("/kvm/io/coalesced", test_coalesced);
    g_test_add_func("/kvm/io/pieces", test_pieces);
    return g_test_run();
}
