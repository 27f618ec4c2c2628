/*
 * The block engine alone: loops on a machine of RAM, CPU time per instruction.
 *
 *   build/tests/bench/bench-engine [NAME]
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "accel/tcg/tcg.h"

#include <time.h>

EVM_PROGRAM(regs, "1: add %rax, %rbx\n"
                  "xor %rbx, %rcx\n"
                  "lea 3(%rcx,%rdx,2), %rax\n"
                  "shl $3, %rdx\n"
                  "sub %rcx, %rdx\n"
                  "and $0x7fffffff, %eax\n"
                  "or %rax, %rdx\n"
                  "dec %rbp\n"
                  "jnz 1b\n"
                  "hlt\n");
EVM_PROGRAM(mem, "1: mov %ebp, %ecx\n"
                 "and $0xfff, %ecx\n"
                 "mov (%rdi,%rcx,4), %eax\n"
                 "add 4(%rdi,%rcx,4), %eax\n"
                 "mov %eax, 8(%rdi,%rcx,4)\n"
                 "addl $5, 16(%rdi)\n"
                 "mov 16(%rdi), %rdx\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "hlt\n");
EVM_PROGRAM(crc, "1: movzbl %bpl, %ecx\n"
                 "movzbl %al, %edx\n"
                 "xor %ecx, %edx\n"
                 "shr $8, %eax\n"
                 "xor (%rdi,%rdx,4), %eax\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "hlt\n");
EVM_PROGRAM(bytes, "1: movzwl %bp, %ecx\n"
                   "movb %cl, (%rdi,%rcx)\n"
                   "cmpb $7, 1(%rdi,%rcx)\n"
                   "je 2f\n"
                   "inc %eax\n"
                   "2: dec %rbp\n"
                   "jnz 1b\n"
                   "hlt\n");
EVM_PROGRAM(adc, "1: add %rax, %rbx\n"
                 "adc %rcx, %rdx\n"
                 "adc $0, %rsi\n"
                 "adc %rax, %rdi\n"
                 "sbb %rbx, %rcx\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "hlt\n");
EVM_PROGRAM(calls, "1: call 2f\n"
                   "dec %rbp\n"
                   "jnz 1b\n"
                   "hlt\n"
                   "2: push %rbx\n"
                   "push %r12\n"
                   "mov %rdi, %rbx\n"
                   "call 3f\n"
                   "pop %r12\n"
                   "pop %rbx\n"
                   "ret\n"
                   ".balign 4096\n"
                   "3: lea 1(%rax), %rax\n"
                   "ret\n");
EVM_PROGRAM(muldiv, "mov $12345, %ecx\n"
                    "1: mov %rbp, %rax\n"
                    "mul %rcx\n"
                    "div %rcx\n"
                    "imul %rcx, %rax\n"
                    "dec %rbp\n"
                    "jnz 1b\n"
                    "hlt\n");
EVM_PROGRAM(fp, "1: mulsd %xmm1, %xmm0\n"
                "addsd %xmm1, %xmm0\n"
                "subsd %xmm1, %xmm0\n"
                "cvttsd2si %xmm0, %eax\n"
                "ucomisd %xmm1, %xmm0\n"
                "dec %rbp\n"
                "jnz 1b\n"
                "hlt\n");
EVM_PROGRAM(pint, "1: movdqu (%rdi), %xmm0\n"
                  "paddd %xmm0, %xmm1\n"
                  "pxor %xmm1, %xmm2\n"
                  "pshufd $0x1b, %xmm2, %xmm3\n"
                  "pmulld %xmm3, %xmm0\n"
                  "punpcklbw %xmm1, %xmm3\n"
                  "psrld $3, %xmm3\n"
                  "movdqu %xmm3, 64(%rdi)\n"
                  "dec %rbp\n"
                  "jnz 1b\n"
                  "hlt\n");
EVM_PROGRAM(pfloat, "1: movaps (%rdi), %xmm0\n"
                    "mulps %xmm0, %xmm1\n"
                    "addps %xmm0, %xmm1\n"
                    "maxps %xmm1, %xmm3\n"
                    "shufps $0x1b, %xmm3, %xmm3\n"
                    "addpd %xmm1, %xmm3\n"
                    "movaps %xmm3, 64(%rdi)\n"
                    "dec %rbp\n"
                    "jnz 1b\n"
                    "hlt\n");
EVM_PROGRAM(x87, "fninit\n"
                 "fld1\n"
                 "1: fld1\n"
                 "fadd %st(1), %st\n"
                 "fmul %st(1), %st\n"
                 "fsqrt\n"
                 "fstp %st(1)\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "hlt\n");
EVM_PROGRAM(movs, "1: mov $4096, %ecx\n"
                  "lea 0x10000(%rbx), %rsi\n"
                  "mov %rbx, %rdi\n"
                  "rep movsb\n"
                  "dec %rbp\n"
                  "jnz 1b\n"
                  "hlt\n");
EVM_PROGRAM(smc, "1: mov %ebp, 2f+1(%rip)\n"
                 "call 2f\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "hlt\n"
                 ".balign 256\n"
                 "2: mov $0, %eax\n"
                 "add %eax, %eax\n"
                 "ret\n");
/* User mode; the kernel's entry is at 0x2000 into it. */
EVM_PROGRAM(sys, "1: syscall\n"
                 "dec %rbp\n"
                 "jnz 1b\n"
                 "ud2\n"
                 ".balign 4096\n"
                 ".skip 4096\n"
                 "swapgs\n"
                 "mov %rsp, %r10\n"
                 "sti\n"
                 "cli\n"
                 "swapgs\n"
                 "sysretq\n");

typedef struct Bench {
    const char *name;
    const uint8_t *code, *end;
    unsigned insns;  /* of a round */
    unsigned rounds; /* thousands */
} Bench;

#define B(name, insns, rounds) \
    { \
#name, evm_##name, evm_##name##_end, insns, rounds \
    }

static const Bench benches[] = {
    B(regs, 9, 10000),  B(mem, 9, 10000), B(crc, 7, 10000),
    B(bytes, 7, 8000),  B(adc, 7, 8000),  B(calls, 12, 5000),
    B(muldiv, 6, 3000), B(fp, 7, 3000),   B(pint, 10, 2000),
    B(pfloat, 9, 2000), B(x87, 7, 1000),  B(movs, 6, 500),
    B(smc, 7, 500),     B(sys, 9, 1000),
};

static double cpu_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void bench(const Bench *b)
{
    bool user = strcmp(b->name, "sys") == 0;
    Evm *vm = evm_new(user ? EVM_USER64 : EVM_LONG64);
    X86State *s = &vm->c->s;
    double best = 1e9;

    evm_write(vm, EVM_CODE, b->code, b->end - b->code);
    for (int i = 0; i < 3; i++) {
        uint64_t n = tcg_insn_count(vm->c);
        double t;

        evm_mode(vm, user ? EVM_USER64 : EVM_LONG64);
        s->gpr[R_RBP] = b->rounds * 1000;
        s->gpr[R_RDI] = s->gpr[R_RBX] = EVM_DATA;
        s->star = UINT64_C(0x0013000800000000);
        s->lstar = EVM_CODE + 0x2000;
        s->sfmask = 0x700;
        t = cpu_seconds();
        evm_run(vm, 0);
        t = cpu_seconds() - t;
        n = tcg_insn_count(vm->c) - n;
        if (t * 1e9 / (b->rounds * 1e3) < best) {
            best = t * 1e9 / (b->rounds * 1e3);
        }
        g_assert(n >= b->rounds * UINT64_C(1000));
    }
    printf("%-8s %9.2f ns per round %8.2f ns per instruction %6.0f M/s\n",
           b->name, best, best / b->insns, b->insns * 1e3 / best);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(benches); i++) {
        if (argc < 2 || strcmp(argv[1], benches[i].name) == 0) {
            bench(&benches[i]);
        }
    }
    return 0;
}
