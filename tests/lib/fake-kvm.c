/*
 * Another host's KVM, for programs: LD_PRELOAD=fake-kvm.so, and FAKE_KVM says
 * what is different about it, words separated by commas:
 *
 *   open=ERRNO      opening /dev/kvm fails (a number)
 *   version=N       of the API; nothing behind the node is asked
 *   vm=ERRNO        KVM_CREATE_VM fails; nothing behind the node is asked
 *   cap=N           this capability is not there, and cannot be enabled
 *   msr=INDEX       KVM_GET_MSRS and KVM_SET_MSRS stop there, if asked for more
 *                   than one: what a test of one MSR took is refused later
 *   avx512=B        KVM_GET_SUPPORTED_CPUID has AVX-512; a processor whose XCR0
 *                   is set to 0xe7 before it runs executes it (1) or not
 *   again=N         the 50th exit of a vCPU for port 0x80, or for a read of the
 *                   I/O APIC's page, comes N times more without the kernel:
 *                   what the program does for it is all that is left
 *
 * What is not different goes to the KVM that is there.
 */
#include "util/osdep.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int kvm_fd = -1, vcpu_fd = -1;
static struct kvm_run *vcpu_run; /* of the last vCPU that was made */
static unsigned long again;
static unsigned bench_exits;

/* The @i-th number of "@word=..."; false: there is none. */
static bool said(const char *word, unsigned i, unsigned long *value)
{
    const char *p = getenv("FAKE_KVM");
    size_t n = strlen(word);

    for (; p && *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
        if (!strncmp(p, word, n) && p[n] == '=' && i-- == 0) {
            *value = strtoul(p + n + 1, NULL, 0);
            return true;
        }
    }
    return false;
}

static bool said_this(const char *word, unsigned long value)
{
    unsigned long v;

    for (unsigned i = 0; said(word, i, &v); i++) {
        if (v == value) {
            return true;
        }
    }
    return false;
}

static int fails(unsigned long err)
{
    errno = (int)err;
    return -1;
}

int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    bool node = strcmp(path, "/dev/kvm") == 0;
    unsigned long v;
    unsigned mode;
    va_list ap;
    int fd;

    va_start(ap, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    if (node && said("open", 0, &v)) {
        return fails(v);
    }
    if (node && (said("version", 0, &v) || said("vm", 0, &v))) {
        path = "/dev/null";
    }
    fd = next(path, flags, mode);
    if (node) {
        kvm_fd = fd;
    }
    return fd;
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

/* How many MSRs come before the first that is refused. */
static unsigned msrs_taken(const struct kvm_msrs *m)
{
    const struct kvm_msr_entry *e = m->entries;
    unsigned n = 0;

    while (n < m->nmsrs && (m->nmsrs == 1 || !said_this("msr", e[n].index))) {
        n++;
    }
    return n;
}

static int msrs(int (*next)(int, unsigned long, ...), int fd,
                unsigned long request, struct kvm_msrs *m)
{
    unsigned wanted = m->nmsrs;
    int r = 0;

    m->nmsrs = msrs_taken(m);
    if (m->nmsrs) {
        r = next(fd, request, m);
    }
    m->nmsrs = wanted;
    return r;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    void *(*next)(void *, size_t, int, int, int, off_t) =
        dlsym(RTLD_NEXT, "mmap");
    void *p = next(addr, len, prot, flags, fd, offset);

    if (fd >= 0 && fd == vcpu_fd && p != MAP_FAILED) {
        vcpu_run = p;
    }
    return p;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

static bool is_bench_exit(const struct kvm_run *r)
{
    return (r->exit_reason == KVM_EXIT_IO && r->io.port == 0x80) ||
           (r->exit_reason == KVM_EXIT_MMIO && !r->mmio.is_write &&
            r->mmio.phys_addr >> 12 == 0xfec00);
}

static bool avx512_probe; /* the last vCPU is to try one instruction */

static void avx512_supported(struct kvm_cpuid2 *list)
{
    for (unsigned i = 0; i < list->nent; i++) {
        struct kvm_cpuid_entry2 *e = &list->entries[i];

        if (e->function == 1) { /* XSAVE, AVX */
            e->ecx |= 1u << 26 | 1u << 28;
        } else if (e->function == 7 && e->index == 0) { /* AVX2; F DQ ... */
            e->ebx |=
                1u << 5 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
        }
    }
}

static int run(int (*next)(int, unsigned long, ...), int fd)
{
    unsigned long executes;
    int r;

    if (avx512_probe && fd == vcpu_fd && said("avx512", 0, &executes)) {
        avx512_probe = false;
        vcpu_run->exit_reason = executes ? KVM_EXIT_HLT : KVM_EXIT_SHUTDOWN;
        return 0;
    }
    if (again) {
        again--;
        return 0;
    }
    r = next(fd, KVM_RUN, NULL);
    if (r == 0 && vcpu_run && fd == vcpu_fd && is_bench_exit(vcpu_run) &&
        ++bench_exits == 50) {
        said("again", 0, &again);
    }
    return r;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    unsigned long v;
    va_list ap;
    void *arg;
    int r;

    if (!next) {
        next = dlsym(RTLD_NEXT, "ioctl");
    }
    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    switch (request) {
    case KVM_RUN:
        return run(next, fd);
    case KVM_CREATE_VCPU:
        r = next(fd, request, arg);
        vcpu_fd = r;
        vcpu_run = NULL;
        bench_exits = 0;
        avx512_probe = false;
        return r;
    case KVM_SET_XCRS:
        avx512_probe |= ((struct kvm_xcrs *)arg)->xcrs[0].value == 0xe7;
        break;
    case KVM_GET_SUPPORTED_CPUID:
        r = next(fd, request, arg);
        if (r == 0 && said("avx512", 0, &v)) {
            avx512_supported(arg);
        }
        return r;
    case KVM_GET_API_VERSION:
        if (fd == kvm_fd && said("version", 0, &v)) {
            return (int)v;
        }
        if (fd == kvm_fd && said("vm", 0, &v)) {
            return KVM_API_VERSION;
        }
        break;
    case KVM_CREATE_VM:
        if (said("vm", 0, &v)) {
            return fails(v);
        }
        break;
    case KVM_CHECK_EXTENSION:
        if (said_this("cap", (unsigned long)arg)) {
            return 0;
        }
        break;
    case KVM_ENABLE_CAP:
        if (said_this("cap", ((struct kvm_enable_cap *)arg)->cap)) {
            return fails(EINVAL);
        }
        break;
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return msrs(next, fd, request, arg);
    default:
        break;
    }
    return next(fd, request, arg);
}
