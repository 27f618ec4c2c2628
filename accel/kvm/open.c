/*
 * From /dev/kvm to a virtual machine: the node, the API's version, a VM. They
 * are believed in that order; CPUID and /proc only explain a failure, in one line that
 * says what it is and what to do.
 */
#include "util/osdep.h"
#include <cpuid.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "accel/kvm/host.h"
#include "util/error.h"
#include "util/log.h"

/* ---- this host ------------------------------------------------------------------ */

static int real_open(const char *path, int flags)
{
    return open(path, flags);
}

static int real_ioctl(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg);
}

static void real_cpuid(uint32_t leaf, uint32_t r[4])
{
    __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]);
}

static bool real_read_file(const char *path, char **text)
{
    return g_file_get_contents(path, text, NULL, NULL);
}

const KvmHost kvm_real_host = {
    .open = real_open,
    .ioctl = real_ioctl,
    .cpuid = real_cpuid,
    .read_file = real_read_file,
};

/* " kvm-vm": which of the descriptors @fd is, as the kernel calls it. */
static void fd_name(int fd, char name[64])
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *to = g_file_read_link(link, NULL);
    const char *at = to ? to : "";

    if (g_str_has_prefix(at, "anon_inode:")) {
        at += strlen("anon_inode:");
    } else if (strrchr(at, '/')) {
        at = strrchr(at, '/') + 1; /* of /dev/kvm */
    }
    g_snprintf(name, 64, "%s%s", *at ? " " : "", at);
}

static int log_call(int fd, const char *name, int r)
{
    if (log_enabled(LOG_KVM)) {
        int err = errno;
        char of[64];

        fd_name(fd, of);
        if (r < 0) {
            log_write("kvm: ioctl(%d%s, %s): %s\n", fd, of, name,
                      strerror(err));
        } else {
            log_write("kvm: ioctl(%d%s, %s): %d\n", fd, of, name, r);
        }
        errno = err;
    }
    return r;
}

int kvm_call(int fd, unsigned long request, const char *name, void *arg)
{
    return log_call(fd, name, ioctl(fd, request, arg));
}

#define HOST_CALL(host, fd, request) \
    log_call((fd), #request, (host)->ioctl((fd), (request), NULL))

/* ---- the processor -------------------------------------------------------------- */

void kvm_host_cpu(const KvmHost *host, KvmHostCpu *h)
{
    uint32_t r[4], max;

    memset(h, 0, sizeof(*h));
    host->cpuid(0, r);
    max = r[0];
    memcpy(h->vendor, &r[1], 4);
    memcpy(h->vendor + 4, &r[3], 4);
    memcpy(h->vendor + 8, &r[2], 4);
    if (max >= 1) {
        host->cpuid(1, r);
        h->vmx = r[2] >> 5 & 1;
        h->hypervisor = r[2] >> 31;
    }
    host->cpuid(0x80000000, r);
    if (r[0] >= 0x80000001) {
        host->cpuid(0x80000001, r);
        h->svm = r[2] >> 2 & 1;
    }
    if (h->hypervisor) {
        host->cpuid(0x40000000, r);
        memcpy(h->hypervisor_id, &r[1], 12);
    }
}

/* ---- explaining ------------------------------------------------------------------ */

/* Does the text of @path have @word between blanks? -1: there is no text. */
static int file_has(const KvmHost *host, const char *path, const char *word)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;

    if (!host->read_file(path, &text)) {
        return -1;
    }
    words = g_strsplit_set(text, " \t\n", -1);
    return g_strv_contains((const char *const *)words, word);
}

/* VT-x or AMD-V is there: switched off, or only the module is missing? The
 * kernel takes the flag away when the firmware has locked it. */
static char *explain_module(const KvmHost *host, const KvmHostCpu *h)
{
    const char *name = h->vmx ? "VT-x" : "AMD-V";
    const char *flag = h->vmx ? "vmx" : "svm";
    const char *module = h->vmx ? "kvm_intel" : "kvm_amd";

    if (file_has(host, "/proc/cpuinfo", flag) == 0) {
        return g_strdup_printf("the processor has %s, but the firmware "
                               "disabled it (no \"%s\" in /proc/cpuinfo): "
                               "switch it on in the firmware setup",
                               name, flag);
    }
    return g_strdup_printf("the processor has %s, but the module %s is "
                           "missing: modprobe %s (if that fails, dmesg says "
                           "why; %s may be disabled in the firmware setup)",
                           name, module, module, name);
}

/* Why there is no KVM, and what to do. */
static char *host_explain(const KvmHost *host)
{
    KvmHostCpu h;

    kvm_host_cpu(host, &h);
    if (h.vmx || h.svm) {
        return explain_module(host, &h);
    }
    if (h.hypervisor) {
        return g_strdup("this is itself a virtual machine without VT-x or "
                        "AMD-V: turn on nested virtualization in its host, or "
                        "use -accel tcg");
    }
    return g_strdup("CPUID shows neither VT-x nor AMD-V: the processor has "
                    "none, or the firmware hides it; switch it on in the "
                    "firmware setup, or use -accel tcg");
}

/* The kernel has KVM, and this name does not lead there. */
static char *explain_missing_node(const KvmHost *host, const char *path)
{
    if (file_has(host, "/proc/misc", "kvm") == 1) {
        return g_strdup_printf("the kernel has KVM, only this node is missing: "
                               "mknod %s c 10 232 (a container is given it "
                               "from outside: --device " KVM_NODE ")",
                               path);
    }
    return host_explain(host);
}

/* ---- opening ---------------------------------------------------------------------- */

/* Would the mode let us? */
static bool mode_allows(const char *path)
{
    return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0;
}

static void error_permission(const char *path, GError **errp)
{
    struct stat st;
    struct group *gr;
    struct passwd *pw = getpwuid(geteuid());
    const char *user = pw ? pw->pw_name : "USER";

    if (stat(path, &st) < 0) {
        error_setg(errp,
                   "no permission to open %s (nor to look at it): "
                   "usermod -aG kvm %s and log in again",
                   path, user);
        return;
    }
    if (mode_allows(path)) {
        error_setg(errp,
                   "no permission to open %s, though its mode gives it: the "
                   "rules of a container (start it with --device %s) or of a "
                   "security module forbid it",
                   path, path);
        return;
    }
    gr = getgrgid(st.st_gid);
    if ((st.st_mode & 060) != 060 || st.st_gid == 0) {
        error_setg(errp,
                   "no permission to open %s (mode %03o, group %s): let "
                   "group kvm have it (chgrp kvm %s; chmod 660 %s), then "
                   "usermod -aG kvm %s and log in again",
                   path, st.st_mode & 0777, gr ? gr->gr_name : "?", path, path,
                   user);
        return;
    }
    error_setg(errp,
               "no permission to open %s (mode %03o), which belongs to group "
               "%s: usermod -aG %s %s and log in again",
               path, st.st_mode & 0777, gr ? gr->gr_name : "?",
               gr ? gr->gr_name : "GROUP", user);
}

static bool is_out_of_resources(int err)
{
    return err == ENOMEM || err == EMFILE || err == ENFILE || err == ENOSPC ||
           err == EAGAIN;
}

/* For errno @err of @what: what there is too little of. */
static void error_resources(const char *what, int err, GError **errp)
{
    const char *hint = err == EMFILE   ? "raise ulimit -n"
                       : err == ENFILE ? "raise fs.file-max"
                                       : "end other virtual machines, or give "
                                         "the host more memory";

    error_setg(errp, "%s: out of resources (%s): %s", what, strerror(err),
               hint);
}

static int host_open_node(const KvmHost *host, const char *path, GError **errp)
{
    int fd = host->open(path, O_RDWR | O_CLOEXEC), err = errno;
    g_autofree char *why = NULL;

    if (fd >= 0) {
        log_mask(LOG_KVM, "kvm: open(\"%s\"): %d\n", path, fd);
        return fd;
    }
    log_mask(LOG_KVM, "kvm: open(\"%s\"): %s\n", path, strerror(err));
    switch (err) {
    case ENOENT:
    case ENOTDIR:
        why = explain_missing_node(host, path);
        error_setg(errp, "there is no %s: %s", path, why);
        break;
    case EACCES:
    case EPERM:
        error_permission(path, errp);
        break;
    case ENXIO:
    case ENODEV:
        why = host_explain(host);
        error_setg(errp, "%s has no driver behind it: %s", path, why);
        break;
    default:
        if (is_out_of_resources(err)) {
            error_resources("cannot open /dev/kvm", err, errp);
        } else {
            error_setg(errp,
                       "cannot open %s: %s; the node of KVM is the "
                       "character device 10, 232",
                       path, strerror(err));
        }
    }
    return -1;
}

static bool host_check_version(const KvmHost *host, int fd, const char *path,
                               GError **errp)
{
    int version = HOST_CALL(host, fd, KVM_GET_API_VERSION);

    if (version < 0) {
        error_setg(errp,
                   "%s is something else than KVM (it does not know "
                   "KVM_GET_API_VERSION): ls -l %s should say \"10, 232\"",
                   path, path);
        return false;
    }
    if (version != KVM_API_VERSION) {
        error_setg(errp,
                   "%s speaks version %d of the KVM API, %d is needed: use a "
                   "kernel from 2.6.22 on",
                   path, version, KVM_API_VERSION);
        return false;
    }
    return true;
}

static int host_create_vm(const KvmHost *host, int fd, GError **errp)
{
    g_autofree char *why = NULL;
    int vm, err, tries = 0;

    do { /* a signal ends it early */
        vm = HOST_CALL(host, fd, KVM_CREATE_VM);
        err = errno;
    } while (vm < 0 && err == EINTR && ++tries < 100);
    if (vm >= 0) {
        return vm;
    }
    switch (err) {
    case EBUSY:
        error_setg(errp, "KVM cannot make a virtual machine: the processor's "
                         "VT-x or AMD-V is taken by another hypervisor (such "
                         "as VirtualBox); end that one first");
        break;
    case ENODEV:
    case EOPNOTSUPP:
    case EIO:
        why = host_explain(host);
        error_setg(errp, "KVM cannot make a virtual machine: %s", why);
        break;
    default:
        if (is_out_of_resources(err)) {
            error_resources("KVM cannot make another virtual machine", err,
                            errp);
        } else {
            error_setg(errp,
                       "KVM cannot make a virtual machine: %s; dmesg may say "
                       "more",
                       strerror(err));
        }
    }
    return -1;
}

bool kvm_host_open_of(const KvmHost *host, const char *path, int *fd, int *vm,
                      GError **errp)
{
    path = path ? path : KVM_NODE;
    *vm = -1;
    *fd = host_open_node(host, path, errp);
    if (*fd < 0) {
        return false;
    }
    if (host_check_version(host, *fd, path, errp)) {
        *vm = host_create_vm(host, *fd, errp);
    }
    if (*vm >= 0 && !kvm_host_check_caps(host, *vm, errp)) {
        close(*vm);
        *vm = -1;
    }
    if (*vm < 0) {
        close(*fd);
        *fd = -1;
        return false;
    }
    return true;
}

bool kvm_host_open(const char *path, int *fd, int *vm, GError **errp)
{
    return kvm_host_open_of(&kvm_real_host, path, fd, vm, errp);
}
