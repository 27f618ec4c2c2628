/*
 * What the capabilities do not tell, from a guest of a few instructions in a
 * VM of its own: what CPUID says there, after KVM_SET_CPUID2, how fast guest
 * code runs, and whether what CPUID promises is executed. Behind /dev/kvm there
 * may be an interpreter.
 */
#include "util/osdep.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "accel/kvm/kvm.h"

enum {
    MEMORY = 0x10000,
    CODE = 0x1000,
    LEAVES = 0x1800, /* pairs: leaf, subleaf */
    ANSWERS = 0x2000,
    LOOPS = 20000,
};

/* Real mode: CPUID for EBP pairs at SI, answers to DI; a loop; HLT. */
extern const uint8_t probe_program[], probe_program_end[];
__asm__(".pushsection .rodata\n"
        ".code16\n"
        "probe_program:\n"
        "1: movl (%si), %eax\n"
        "movl 4(%si), %ecx\n"
        "cpuid\n"
        "movl %eax, (%di)\n"
        "movl %ebx, 4(%di)\n"
        "movl %ecx, 8(%di)\n"
        "movl %edx, 12(%di)\n"
        "addw $8, %si\n"
        "addw $16, %di\n"
        "decl %ebp\n"
        "jnz 1b\n"
        "movl $20000, %ecx\n"
        "outb %al, $0x80\n"
        "2: decl %ecx\n"
        "jnz 2b\n"
        "hlt\n"
        "probe_program_end:\n"
        ".code64\n"
        ".popsection\n");

/* Where features are, and what XSAVE has. */
static const uint32_t leaves[KVM_PROBE_LEAVES][2] = {
    { 1, 0 },          { 7, 0 },   { 7, 1 },          { 7, 2 },
    { 0xd, 0 },        { 0xd, 1 }, { 0x80000001, 0 }, { 0x80000008, 0 },
    { 0x80000007, 0 }, { 6, 0 },
};

typedef struct Scratch {
    int vm, cpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
} Scratch;

static bool scratch_start(Scratch *s)
{
    struct kvm_regs regs = { .rip = CODE,
                             .rflags = 2,
                             .rsi = LEAVES,
                             .rdi = ANSWERS,
                             .rbp = KVM_PROBE_LEAVES };
    struct kvm_sregs sregs;

    if (ioctl(s->cpu, KVM_GET_SREGS, &sregs) < 0) {
        return false;
    }
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    memcpy(s->memory + CODE, probe_program, probe_program_end - probe_program);
    memcpy(s->memory + LEAVES, leaves, sizeof(leaves));
    return ioctl(s->cpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(s->cpu, KVM_SET_REGS, &regs) == 0;
}

static bool scratch_make(Scratch *s, int fd, size_t run_size,
                         struct kvm_cpuid2 *cpuid)
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
    return s->run != MAP_FAILED && ioctl(s->cpu, KVM_SET_CPUID2, cpuid) == 0 &&
           scratch_start(s);
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

/* Runs to the OUT, and then the loop. */
static bool scratch_run(Scratch *s, int64_t *ns)
{
    int64_t start;

    if (ioctl(s->cpu, KVM_RUN, 0) < 0 || s->run->exit_reason != KVM_EXIT_IO) {
        return false;
    }
    start = kvm_host_ns();
    if (ioctl(s->cpu, KVM_RUN, 0) < 0 || s->run->exit_reason != KVM_EXIT_HLT) {
        return false;
    }
    *ns = MAX(kvm_host_ns() - start, 1);
    return true;
}

void kvm_probe_guest(int fd, size_t run_size, struct kvm_cpuid2 *cpuid,
                     KvmProbe *p)
{
    Scratch s = {
        .vm = -1, .cpu = -1, .run = MAP_FAILED, .memory = MAP_FAILED
    };
    int64_t ns;

    *p = (KvmProbe) { 0 };
    if (scratch_make(&s, fd, run_size, cpuid) && scratch_run(&s, &ns)) {
        p->done = true;
        p->insns_per_sec = 2ull * LOOPS * NS_PER_SEC / ns;
        p->interprets = p->insns_per_sec < 50 * 1000 * 1000;
        memcpy(p->answer, s.memory + ANSWERS, sizeof(p->answer));
    }
    scratch_end(&s);
}

/* ---- an instruction ------------------------------------------------------------- */

/* vpxord %zmm0, %zmm0, %zmm0; hlt */
static const uint8_t evex_code[] = { 0x62, 0xf1, 0x7d, 0x48, 0xef, 0xc0, 0xf4 };

/* Protected mode without paging: an EVEX prefix is BOUND in real mode. */
static bool scratch_prot32(Scratch *s)
{
    struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 0xe7 };
    struct kvm_segment flat = { .limit = 0xffffffff,
                                .selector = 8,
                                .type = 11,
                                .present = 1,
                                .db = 1,
                                .s = 1,
                                .g = 1 };
    struct kvm_sregs sregs;

    if (ioctl(s->cpu, KVM_GET_SREGS, &sregs) < 0) {
        return false;
    }
    sregs.cs = flat;
    flat.selector = 16;
    flat.type = 3;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
    sregs.cr0 = 0x31;              /* ET, NE, PE */
    sregs.cr4 = 1 << 18 | 3u << 9; /* OSXSAVE, OSFXSR, OSXMMEXCPT */
    return ioctl(s->cpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(s->cpu, KVM_SET_XCRS, &xcrs) == 0 &&
           ioctl(s->cpu, KVM_SET_REGS, &regs) == 0;
}

bool kvm_probe_avx512(int fd, size_t run_size, struct kvm_cpuid2 *cpuid)
{
    Scratch s = {
        .vm = -1, .cpu = -1, .run = MAP_FAILED, .memory = MAP_FAILED
    };
    bool ok = false;

    if (scratch_make(&s, fd, run_size, cpuid) && scratch_prot32(&s)) {
        memcpy(s.memory + CODE, evex_code, sizeof(evex_code));
        ok =
            ioctl(s.cpu, KVM_RUN, 0) == 0 && s.run->exit_reason == KVM_EXIT_HLT;
    }
    scratch_end(&s);
    return ok;
}

/* ---- SYSCALL ----------------------------------------------------------------------- */

enum { /* of a guest in long mode; physical, and linear in user mode */
       US_CODE = 0x1000,
       US_PML4 = 0x4000,
       US_PDPT = 0x5000,
       US_PD = 0x6000,
       US_GDT = 0x7000,
       US_IDT = 0x7100, /* not everything in it is a gate */
       US_TSS = 0x8000,
       US_STACK = 0xa000,
       US_STUB = 0xb000,
       US_ENTRY = 0xc000,
       US_MEMORY = 0x10000,
       US_KERNEL = 0x200000, /* + physical: the kernel's view */
       US_CS = 0x10,
       US_USER_CS = 0x33,
       US_USER_DS = 0x2b,
       US_TR = 0x38,
};

typedef struct MsrThree {
    struct {
        uint32_t nmsrs, padding;
    } head;
    struct kvm_msr_entry entry[3];
} MsrThree;

static void user_gate(uint8_t *idt, unsigned vector, uint64_t to)
{
    uint64_t lo = (to & 0xffff) | (uint64_t)US_CS << 16 |
                  UINT64_C(0x8e00) << 32 | (to >> 16 & 0xffff) << 48;

    memcpy(idt + vector * 16, &lo, 8);
}

/* Page 0 is the user's, what is mapped at 2 MiB the same for the kernel. */
static void user_memory(uint8_t *m)
{
    static const uint64_t gdt[] = {
        0,
        0,
        0x00af9b000000ffff,
        0x00cf93000000ffff,
        0,
        0x00cff3000000ffff,
        0x00affb000000ffff,
        0x0000890000000067 | (uint64_t)(US_TSS & 0xffff) << 16 |
            UINT64_C(0x20) << 32,
        0,
    };
    uint64_t entry[3] = { US_PDPT | 7, US_PD | 7, 0x87 }, kernel = 0x83;
    uint64_t rsp0 = US_KERNEL + US_STACK;

    memset(m, 0, US_MEMORY);
    memcpy(m + US_PML4, &entry[0], 8);
    memcpy(m + US_PDPT, &entry[1], 8);
    memcpy(m + US_PD, &entry[2], 8);
    memcpy(m + US_PD + 8, &kernel, 8);
    memcpy(m + US_GDT, gdt, sizeof(gdt));
    memcpy(m + US_TSS + 4, &rsp0, 8);
    user_gate(m + US_IDT, 6, US_KERNEL + US_STUB);
    user_gate(m + US_IDT, 13, US_KERNEL + US_STUB);
    user_gate(m + US_IDT, 14, US_KERNEL + US_STUB);
    m[US_STUB] = m[US_ENTRY] = 0xf4;
    m[US_CODE] = 0x0f; /* SYSCALL */
    m[US_CODE + 1] = 0x05;
}

static bool user_start(Scratch *s)
{
    struct kvm_regs regs = { .rip = US_CODE, .rflags = 2, .rsp = US_STACK };
    struct kvm_segment data = { .limit = 0xffffffff,
                                .selector = US_USER_DS,
                                .type = 3,
                                .present = 1,
                                .dpl = 3,
                                .db = 1,
                                .s = 1,
                                .g = 1 };
    MsrThree msrs = {
        .head.nmsrs = 3,
        .entry = { { .index = 0xc0000081, .data = UINT64_C(0x230010) << 32 },
                   { .index = 0xc0000082, .data = US_KERNEL + US_ENTRY },
                   { .index = 0xc0000084, .data = 0x700 } },
    };
    struct kvm_sregs sr;

    if (ioctl(s->cpu, KVM_GET_SREGS, &sr) < 0) {
        return false;
    }
    sr.ds = sr.es = sr.fs = sr.gs = sr.ss = data;
    data.selector = US_USER_CS;
    data.type = 11;
    data.l = 1;
    data.db = 0;
    sr.cs = data;
    sr.tr = (struct kvm_segment) { .base = US_KERNEL + US_TSS,
                                   .limit = 0x67,
                                   .selector = US_TR,
                                   .type = 11,
                                   .present = 1 };
    sr.gdt.base = US_KERNEL + US_GDT;
    sr.gdt.limit = 9 * 8 - 1;
    sr.idt.base = US_KERNEL + US_IDT;
    sr.idt.limit = 15 * 16 - 1;
    sr.cr0 = 0x80010031; /* PG, WP, NE, ET, PE */
    sr.cr3 = US_PML4;
    sr.cr4 = 0x20;   /* PAE */
    sr.efer = 0x501; /* LMA, LME, SCE */
    return ioctl(s->cpu, KVM_SET_SREGS, &sr) == 0 &&
           ioctl(s->cpu, KVM_SET_MSRS, &msrs) == 3 &&
           ioctl(s->cpu, KVM_SET_REGS, &regs) == 0;
}

bool kvm_probe_syscall(int fd, size_t run_size, struct kvm_cpuid2 *cpuid)
{
    Scratch s = {
        .vm = -1, .cpu = -1, .run = MAP_FAILED, .memory = MAP_FAILED
    };
    struct kvm_regs regs;
    bool ok = true; /* what cannot be asked is no reason */

    if (scratch_make(&s, fd, run_size, cpuid)) {
        user_memory(s.memory);
        if (user_start(&s) && ioctl(s.cpu, KVM_RUN, 0) == 0 &&
            s.run->exit_reason == KVM_EXIT_HLT &&
            ioctl(s.cpu, KVM_GET_REGS, &regs) == 0) {
            ok = regs.rip == US_KERNEL + US_ENTRY + 1;
        }
    }
    scratch_end(&s);
    return ok;
}

/* ---- answers ----------------------------------------------------------------------- */

const uint32_t *kvm_probe_leaf(const KvmProbe *p, uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; p->done && i < KVM_PROBE_LEAVES; i++) {
        if (leaves[i][0] == leaf && leaves[i][1] == sub) {
            return p->answer[i];
        }
    }
    return NULL;
}
