/*
 * What the capabilities do not tell, from a guest of a few instructions in a
 * VM of its own: whether CPUID is answered from KVM_SET_CPUID2, and how fast
 * guest code runs. Behind /dev/kvm there may be an interpreter.
 */
#include "util/osdep.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "accel/kvm/kvm.h"

enum { CODE = 0x1000, MEMORY = 0x2000, LOOPS = 20000, MARK = 1 };

/* Real mode: CPUID leaf 1, ECX to ESI; then a loop; HLT. */
static const uint8_t program[] = {
    0x66, 0xb8, 1,    0,    0,    0,    0x66, 0x31,         0xc9,
    0x0f, 0xa2, 0x66, 0x89, 0xce, 0x66, 0xb9, LOOPS & 0xff, LOOPS >> 8,
    0,    0,    0x66, 0x49, 0x75, 0xfc, 0xf4,
};

typedef struct Scratch {
    int vm, cpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
} Scratch;

static bool scratch_cpuid(Scratch *s)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[2];
    } list = {
        .head.nent = 2,
        .entry = { { .function = 0, .eax = 1 },
                   { .function = 1, .ecx = MARK } },
    };

    return ioctl(s->cpu, KVM_SET_CPUID2, &list) == 0;
}

static bool scratch_start(Scratch *s)
{
    struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
    struct kvm_sregs sregs;

    if (ioctl(s->cpu, KVM_GET_SREGS, &sregs) < 0) {
        return false;
    }
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    memcpy(s->memory + CODE, program, sizeof(program));
    return ioctl(s->cpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(s->cpu, KVM_SET_REGS, &regs) == 0;
}

static bool scratch_make(Scratch *s, int fd, size_t run_size)
{
    struct kvm_userspace_memory_region r = { .memory_size = MEMORY };

    s->run_size = run_size;
    s->vm = ioctl(fd, KVM_CREATE_VM, 0);
    s->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->vm < 0 || s->memory == MAP_FAILED) {
        return false;
    }
    r.userspace_addr = (uintptr_t)s->memory;
    ioctl(s->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
    if (ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0) {
        return false;
    }
    s->cpu = ioctl(s->vm, KVM_CREATE_VCPU, 0);
    if (s->cpu < 0) {
        return false;
    }
    s->run =
        mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->cpu, 0);
    return s->run != MAP_FAILED && scratch_cpuid(s) && scratch_start(s);
}

static void scratch_end(Scratch *s)
{
    if (s->run != MAP_FAILED) {
        munmap(s->run, s->run_size);
    }
    if (s->cpu >= 0) {
        close(s->cpu);
    }
    if (s->memory != MAP_FAILED) {
        munmap(s->memory, MEMORY);
    }
    if (s->vm >= 0) {
        close(s->vm);
    }
}

void kvm_probe_guest(int fd, size_t run_size, KvmProbe *p)
{
    Scratch s = {
        .vm = -1, .cpu = -1, .run = MAP_FAILED, .memory = MAP_FAILED
    };
    struct kvm_regs regs;
    int64_t start;

    *p = (KvmProbe) { 0 };
    if (scratch_make(&s, fd, run_size)) {
        start = kvm_host_ns();
        if (ioctl(s.cpu, KVM_RUN, 0) == 0 &&
            s.run->exit_reason == KVM_EXIT_HLT &&
            ioctl(s.cpu, KVM_GET_REGS, &regs) == 0) {
            int64_t ns = MAX(kvm_host_ns() - start, 1);

            p->insns_per_sec = 2ull * LOOPS * NS_PER_SEC / ns;
            p->native_cpuid = (uint32_t)regs.rsi != MARK;
            p->interprets = p->insns_per_sec < 50 * 1000 * 1000;
        }
    }
    scratch_end(&s);
}
