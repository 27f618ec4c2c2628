/*
 * See host-run.h. The code page holds a stub, the instruction, and the way
 * back; it is rewritten for each call.
 *
 * 32-bit code needs no kernel support: the 32-bit user code segment is in the
 * GDT of every x86-64 Linux, so a far jump there and back will do, with code
 * and stack below 4 GiB.
 */
#include "util/osdep.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include "tests/lib/host-run.h"

enum {
    CODE_SIZE = 4096,
    PAGE_SIZE = 65536,
    FLAG_BITS = 0xcd5,
    USER32_CS = 0x23
};

static sigjmp_buf host_fault;

static void host_signal(int sig)
{
    siglongjmp(host_fault, sig);
}

static const int host_sigs[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS };

static void host_catch(struct sigaction old[4])
{
    struct sigaction sa = { .sa_handler = host_signal, .sa_flags = SA_NODEFER };

    for (unsigned i = 0; i < G_N_ELEMENTS(host_sigs); i++) {
        sigaction(host_sigs[i], &sa, &old[i]);
    }
}

static void host_release(const struct sigaction old[4])
{
    for (unsigned i = 0; i < G_N_ELEMENTS(host_sigs); i++) {
        sigaction(host_sigs[i], &old[i], NULL);
    }
}

static uint8_t *host_page(void)
{
    static uint8_t *page;

    if (!page) {
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        g_assert(page != MAP_FAILED);
    }
    return page;
}

/*
 * The stub is called with rDI = HostRegs. It saves what the ABI keeps, loads
 * all but rSP, runs, stores all; the pointer waits on the stack.
 */
/* clang-format off */
static const uint8_t stub_head[] = {
    0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, /* push */
    0x57,                                           /* push rdi */
    0xff, 0xb7, 0x80, 0x00, 0x00, 0x00,             /* push [rdi+80] */
    0x9d,                                           /* popf */
    0x48, 0x8b, 0x07,                               /* mov rax, [rdi] */
    0x48, 0x8b, 0x4f, 0x08, 0x48, 0x8b, 0x57, 0x10, /* rcx rdx */
    0x48, 0x8b, 0x5f, 0x18, 0x48, 0x8b, 0x6f, 0x28, /* rbx rbp */
    0x48, 0x8b, 0x77, 0x30,                         /* rsi */
    0x4c, 0x8b, 0x47, 0x40, 0x4c, 0x8b, 0x4f, 0x48, /* r8 r9 */
    0x4c, 0x8b, 0x57, 0x50, 0x4c, 0x8b, 0x5f, 0x58, /* r10 r11 */
    0x4c, 0x8b, 0x67, 0x60, 0x4c, 0x8b, 0x6f, 0x68, /* r12 r13 */
    0x4c, 0x8b, 0x77, 0x70, 0x4c, 0x8b, 0x7f, 0x78, /* r14 r15 */
    0x48, 0x8b, 0x7f, 0x38,                         /* rdi */
};
static const uint8_t stub_tail[] = {
    0x57, 0x9c,                                     /* push rdi, pushf */
    0x48, 0x8b, 0x7c, 0x24, 0x10,                   /* mov rdi, [rsp+16] */
    0x8f, 0x87, 0x80, 0x00, 0x00, 0x00,             /* pop [rdi+80] */
    0x8f, 0x47, 0x38,                               /* pop [rdi+38] */
    0x48, 0x89, 0x07,                               /* rax */
    0x48, 0x89, 0x4f, 0x08, 0x48, 0x89, 0x57, 0x10, /* rcx rdx */
    0x48, 0x89, 0x5f, 0x18, 0x48, 0x89, 0x6f, 0x28, /* rbx rbp */
    0x48, 0x89, 0x77, 0x30,                         /* rsi */
    0x4c, 0x89, 0x47, 0x40, 0x4c, 0x89, 0x4f, 0x48, /* r8 r9 */
    0x4c, 0x89, 0x57, 0x50, 0x4c, 0x89, 0x5f, 0x58, /* r10 r11 */
    0x4c, 0x89, 0x67, 0x60, 0x4c, 0x89, 0x6f, 0x68, /* r12 r13 */
    0x4c, 0x89, 0x77, 0x70, 0x4c, 0x89, 0x7f, 0x78, /* r14 r15 */
    0x5f,                                           /* pop rdi */
    0xfc,                                           /* cld */
    0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
};
/* clang-format on */

static int host_vector(int sig)
{
    return sig == SIGFPE ? 0 : sig == SIGILL ? 6 : sig == SIGSEGV ? 13 : 14;
}

static int host_call(void (*fn)(HostRegs *), HostRegs *r)
{
    struct sigaction old[4];
    HostRegs copy = *r;
    int sig;

    host_catch(old);
    sig = sigsetjmp(host_fault, 1);
    if (sig == 0) {
        fn(&copy);
        copy.flags &= FLAG_BITS;
        *r = copy;
    } else {
        asm volatile("cld");
    }
    host_release(old);
    return sig ? host_vector(sig) : -1;
}

int host_run(const void *bytes, size_t len, HostRegs *r)
{
    uint8_t *page = host_page();

    r->flags = (r->flags & FLAG_BITS) | 2;
    memcpy(page, stub_head, sizeof(stub_head));
    memcpy(page + sizeof(stub_head), bytes, len);
    memcpy(page + sizeof(stub_head) + len, stub_tail, sizeof(stub_tail));
    return host_call((void (*)(HostRegs *))(void *)page, r);
}

/* In 32-bit mode: eax at *edi, flags at 0x80(edi); rsp moved to our page. */
int host_run32(const void *bytes, size_t len, HostRegs *r)
{
    static const uint8_t head64[] = {
        0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41,
        0x56, 0x41, 0x57, 0x49, 0x89, 0xe4, /* mov r12, rsp */
        0x49, 0x89, 0xfd,                   /* mov r13, rdi */
        0x89, 0xf4,                         /* mov esp, esi: below 4 GiB */
        0x8b, 0x07,                         /* mov eax, [rdi] */
        0x8b, 0x9f, 0x80, 0x00, 0x00, 0x00, /* mov ebx, [rdi+80] */
        0xff, 0x2a,                         /* jmp far [rdx] */
    };
    static const uint8_t head32[] = { 0x53, 0x9d }; /* push ebx; popf */
    static const uint8_t tail32[] = { 0x9c, 0x5b }; /* pushf; pop ebx */
    static const uint8_t tail64[] = {
        0x41, 0x89, 0x45, 0x00,                   /* mov [r13], eax */
        0x41, 0x89, 0x9d, 0x80, 0x00, 0x00, 0x00, /* mov [r13+80], ebx */
        0x4c, 0x89, 0xe4,                         /* mov rsp, r12 */
        0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
    };
    uint8_t *page = host_page(), *p = page, *at32;
    struct {
        uint32_t off;
        uint16_t sel;
    } __attribute__((packed)) far;
    struct sigaction old[4];
    HostRegs copy = *r;
    uint16_t cs;
    uint32_t back;
    int sig;

    if ((uintptr_t)page >> 32) {
        return -2;
    }
    asm("mov %%cs, %0" : "=r"(cs));
    copy.flags = (copy.flags & FLAG_BITS & ~0x400) | 2;
    p = mempcpy(p, head64, sizeof(head64));
    at32 = p;
    p = mempcpy(p, head32, sizeof(head32));
    p = mempcpy(p, bytes, len);
    p = mempcpy(p, tail32, sizeof(tail32));
    *p++ = 0xea; /* jmp far cs:back */
    back = (uintptr_t)p + 6;
    p = mempcpy(p, &back, 4);
    p = mempcpy(p, &cs, 2);
    mempcpy(p, tail64, sizeof(tail64));
    far.off = (uintptr_t)at32;
    far.sel = USER32_CS;
    memcpy(page + CODE_SIZE, &far, sizeof(far));

    host_catch(old);
    sig = sigsetjmp(host_fault, 1);
    if (sig == 0) {
        ((void (*)(HostRegs *, void *, void *))(void *)page)(
            &copy, page + PAGE_SIZE - 64, page + CODE_SIZE);
        copy.flags &= FLAG_BITS;
        *r = copy;
    }
    host_release(old);
    return sig == 0 ? -1 : sig == SIGFPE ? 0 : -2;
}
