/*
 * Kernels of work, to be run as /init of a guest: one line per kernel with the
 * time of one round of its loop. run-bench compares emulators with it.
 *
 * Each kernel runs for a while, three times; the best counts. "insns" says how
 * many instructions a round has (0: not countable). With NAME ROUNDS as
 * arguments only that kernel runs, so often: to measure from outside.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct Kernel {
    const char *name;
    unsigned insns; /* of a round */
    void (*run)(uint64_t rounds);
} Kernel;

static uint8_t *buf;
static double sink;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void k_regs(uint64_t n)
{
    __asm__ volatile("1: add %%rax, %%rbx\n"
                     "xor %%rbx, %%rcx\n"
                     "lea 3(%%rcx,%%rdx,2), %%rax\n"
                     "shl $3, %%rdx\n"
                     "sub %%rcx, %%rdx\n"
                     "and $0x7fffffff, %%eax\n"
                     "or %%rax, %%rdx\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     :
                     : "rax", "rbx", "rcx", "rdx", "cc");
}

static void k_mem(uint64_t n)
{
    __asm__ volatile("1: mov %k0, %%ecx\n"
                     "and $0xfff, %%ecx\n"
                     "mov (%1,%%rcx,4), %%eax\n"
                     "add 4(%1,%%rcx,4), %%eax\n"
                     "mov %%eax, 8(%1,%%rcx,4)\n"
                     "addl $5, 16(%1)\n"
                     "mov 16(%1), %%rdx\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     : "r"(buf)
                     : "rax", "rcx", "rdx", "cc", "memory");
}

static void k_crc(uint64_t n)
{
    const uint32_t *table = (const uint32_t *)buf;

    __asm__ volatile("mov $-1, %%eax\n"
                     "1: movzbl %b0, %%ecx\n"
                     "movzbl %%al, %%edx\n"
                     "xor %%ecx, %%edx\n"
                     "shr $8, %%eax\n"
                     "xor (%1,%%rdx,4), %%eax\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     : "r"(table)
                     : "rax", "rcx", "rdx", "cc", "memory");
}

static void k_bytes(uint64_t n)
{
    __asm__ volatile("1: movzwl %w0, %%ecx\n"
                     "movb %%cl, (%1,%%rcx)\n"
                     "cmpb $7, 1(%1,%%rcx)\n"
                     "je 2f\n"
                     "inc %%eax\n"
                     "2: dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     : "r"(buf)
                     : "rax", "rcx", "cc", "memory");
}

/* One pointer in each of 4096 pages. */
static void *chain_make(void)
{
    uint8_t *pages = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (unsigned i = 0; i < 4096; i++) {
        unsigned next = (i * 1237 + 511) & 4095;

        *(void **)(pages + i * 4096 + (i & 63) * 64) =
            pages + next * 4096 + (next & 63) * 64;
    }
    return pages;
}

static void k_chase(uint64_t n)
{
    static void **p;

    p = p ? p : chain_make();
    while (n--) {
        p = *p;
    }
    sink += (double)(uintptr_t)p;
}

static __attribute__((noinline, noclone)) unsigned fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void k_calls(uint64_t n)
{
    while (n--) {
        sink += fib(10);
    }
}

static void k_bytecode(uint64_t n)
{
    static const uint8_t code[] = { 0, 1, 2, 1, 0, 3, 2, 1, 0, 1, 3, 4 };
    static const void *const ops[] = { &&add, &&sub, &&shl, &&xor, &&loop };
    uint64_t acc = 1, tmp = 3;
    const uint8_t *pc = code;

    goto *ops[*pc++];
add:
    acc += tmp;
    goto *ops[*pc++];
sub:
    tmp -= acc;
    goto *ops[*pc++];
shl:
    acc <<= 1;
    goto *ops[*pc++];
    xor : tmp ^= acc;
    goto *ops[*pc++];
loop:
    pc = code;
    if (--n) {
        goto *ops[*pc++];
    }
    sink += acc;
}

static void k_adc(uint64_t n)
{
    __asm__ volatile("1: add %%rax, %%rbx\n"
                     "adc %%rcx, %%rdx\n"
                     "adc $0, %%rsi\n"
                     "adc %%rax, %%rdi\n"
                     "sbb %%rbx, %%rcx\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "cc");
}

static void k_muldiv(uint64_t n)
{
    __asm__ volatile("mov $12345, %%ecx\n"
                     "1: mov %0, %%rax\n"
                     "mul %%rcx\n"
                     "div %%rcx\n"
                     "imul %%rcx, %%rax\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     :
                     : "rax", "rcx", "rdx", "cc");
}

static void k_fp(uint64_t n)
{
    double a = 1.5, b = 1.000001;

    __asm__ volatile("1: mulsd %2, %1\n"
                     "addsd %2, %1\n"
                     "subsd %2, %1\n"
                     "cvttsd2si %1, %%eax\n"
                     "ucomisd %2, %1\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n), "+x"(a)
                     : "x"(b)
                     : "rax", "cc");
    sink += a;
}

static void k_pint(uint64_t n)
{
    __asm__ volatile("1: movdqu (%1), %%xmm0\n"
                     "paddd %%xmm0, %%xmm1\n"
                     "pxor %%xmm1, %%xmm2\n"
                     "pshufd $0x1b, %%xmm2, %%xmm3\n"
                     "pmulld %%xmm3, %%xmm0\n"
                     "punpcklbw %%xmm1, %%xmm3\n"
                     "psrld $3, %%xmm3\n"
                     "movdqu %%xmm3, 64(%1)\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     : "r"(buf)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "cc", "memory");
}

static void k_pfloat(uint64_t n)
{
    memset(buf, 0, 256);
    __asm__ volatile("xorps %%xmm1, %%xmm1\n"
                     "xorps %%xmm3, %%xmm3\n"
                     "1: movaps (%1), %%xmm0\n"
                     "mulps %%xmm0, %%xmm1\n"
                     "addps %%xmm0, %%xmm1\n"
                     "maxps %%xmm1, %%xmm3\n"
                     "shufps $0x1b, %%xmm3, %%xmm3\n"
                     "addpd %%xmm1, %%xmm3\n"
                     "movaps %%xmm3, 64(%1)\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     : "+r"(n)
                     : "r"(buf)
                     : "xmm0", "xmm1", "xmm3", "cc", "memory");
}

static void k_x87(uint64_t n)
{
    __asm__ volatile("fld1\n"
                     "1: fld1\n"
                     "fadd %%st(1), %%st\n"
                     "fmul %%st(1), %%st\n"
                     "fsqrt\n"
                     "fstp %%st(1)\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     "fstp %%st(0)\n"
                     : "+r"(n)
                     :
                     : "cc");
}

static void k_rep_movs(uint64_t n)
{
    while (n--) {
        void *d = buf, *s = buf + 65536;
        size_t c = 4096;

        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
    }
}

static void k_rep_stos(uint64_t n)
{
    while (n--) {
        void *d = buf;
        size_t c = 512;

        __asm__ volatile("rep stosq" : "+D"(d), "+c"(c) : "a"(0) : "memory");
    }
}

static void k_syscall(uint64_t n)
{
    while (n--) {
        syscall(SYS_getppid);
    }
}

static void k_fault(uint64_t n)
{
    static const size_t size = 1 << 20;

    while (n > 0) {
        uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (size_t i = 0; i < size && n > 0; i += 4096, n--) {
            p[i] = 1;
        }
        munmap(p, size);
    }
}

static void k_fork(uint64_t n)
{
    while (n--) {
        pid_t pid = fork();

        if (pid == 0) {
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

static void k_pipe(uint64_t n)
{
    int a[2], b[2];
    char c = 0;
    pid_t pid;

    if (pipe(a) || pipe(b)) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        while (read(a[0], &c, 1) == 1 && c == 0) {
            if (write(b[1], &c, 1) != 1) {
                break;
            }
        }
        _exit(0);
    }
    while (n--) {
        if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) {
            break;
        }
    }
    c = 1;
    if (write(a[1], &c, 1) == 1) {
        waitpid(pid, NULL, 0);
    }
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
}

static void k_smc(uint64_t n)
{
    static uint8_t *code;

    if (!code) {
        code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(code, "\xb8\0\0\0\0\x01\xc0\xc3", 8); /* mov, add, ret */
    }
    while (n--) {
        *(volatile uint32_t *)(code + 1) = n;
        ((int (*)(void))code)();
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void k_qsort(uint64_t n)
{
    uint32_t *v = (uint32_t *)buf, x = 1;

    while (n--) {
        for (int i = 0; i < 1000; i++) {
            v[i] = x = x * 1664525 + 1013904223;
        }
        qsort(v, 1000, 4, compare);
    }
}

static const Kernel kernels[] = {
    { "registers", 9, k_regs },
    { "memory", 9, k_mem },
    { "crc-table", 7, k_crc },
    { "byte-stores", 7, k_bytes },
    { "pointer-chase", 3, k_chase },
    { "calls", 0, k_calls },
    { "bytecode", 0, k_bytecode },
    { "adc-chain", 7, k_adc },
    { "mul-div", 6, k_muldiv },
    { "qsort-1000", 0, k_qsort },
    { "scalar-float", 7, k_fp },
    { "packed-int", 10, k_pint },
    { "packed-float", 9, k_pfloat },
    { "x87", 7, k_x87 },
    { "rep-movs-4K", 0, k_rep_movs },
    { "rep-stos-4K", 0, k_rep_stos },
    { "syscall", 0, k_syscall },
    { "page-fault", 0, k_fault },
    { "fork", 0, k_fork },
    { "pipe-switch", 0, k_pipe },
    { "self-modified", 0, k_smc },
};

/* Nanoseconds of a round. */
static double measure(const Kernel *k)
{
    double best = 1e30;
    uint64_t n = 1;

    for (double t = 0; t < 0.05 && n < UINT64_C(1) << 40;) {
        t = now();
        k->run(n);
        t = now() - t;
        if (t < 0.05) {
            n = t < 0.001 ? n * 8 : (uint64_t)(n * 0.07 / t) + 1;
        }
    }
    for (int i = 0; i < 3; i++) {
        double t = now();

        k->run(n);
        t = (now() - t) * 1e9 / n;
        best = t < best ? t : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    if (getpid() == 1) {
        mkdir("/proc", 0755);
        mount("proc", "/proc", "proc", 0, NULL);
    }
    buf = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(buf, 1, 1 << 20);
    for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        const Kernel *k = &kernels[i];
        double ns;

        if (argc > 1 && strcmp(k->name, argv[1]) != 0) {
            continue;
        }
        if (argc > 2) {
            k->run(strtoull(argv[2], NULL, 0));
            continue;
        }
        ns = measure(k);
        if (k->insns) {
            printf("BENCH %-16s %10.2f ns %8.0f Minsn/s\n", k->name, ns,
                   k->insns * 1e3 / ns);
        } else {
            printf("BENCH %-16s %10.2f ns\n", k->name, ns);
        }
        fflush(stdout);
    }
    if (getpid() == 1) {
        reboot(RB_POWER_OFF);
    }
    return sink == 0.1;
}
