/*
 * What is said when KVM cannot be used: files that play /dev/kvm, and hosts
 * that are made up, so that every message is seen on every host.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "accel/kvm/host.h"

static void open_fails(const char *path, const char *part)
{
    g_autoptr(GError) err = NULL;
    int fd, vm;

    g_assert_false(kvm_host_open(path, &fd, &vm, &err));
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(vm, ==, -1);
    g_assert_nonnull(strstr(err->message, part));
    g_assert_null(strchr(err->message, '\n'));
    g_test_message("%s", err->message);
}

static void test_missing(void)
{
    open_fails("/nonexistent/kvm", "there is no /nonexistent/kvm: ");
}

static void test_other_device(void)
{
    open_fails("/dev/null", "/dev/null is something else than KVM");
    open_fails("/dev/zero", "/dev/zero is something else than KVM");
}

static void test_permission(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("kvm-XXXXXX", &path, NULL);
    bool root = geteuid() == 0;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fchmod(fd, 0), ==, 0);
    close(fd);
    if (root) { /* which no mode keeps out */
        g_assert_cmpint(seteuid(65534), ==, 0);
    }
    open_fails(path, "no permission to open ");
    open_fails(path, "usermod -aG kvm ");
    if (root) {
        g_assert_cmpint(seteuid(0), ==, 0);
    }
    unlink(path);
}

static void test_directory(void)
{
    open_fails("/", "cannot open /: ");
}

/* ---- hosts that are made up --------------------------------------------------------- */

/* One at a time: what the functions below answer. */
typedef struct Fake {
    const char *name;
    int open_errno; /* 0: it opens */
    int version;
    int vm_errno; /* 0: there is one */
    unsigned missing_cap;
    const char *vendor; /* of 12 letters */
    bool vmx, svm, hypervisor;
    const char *cpuinfo, *misc; /* NULL: cannot be read */
    const char *want;
} Fake;

static const Fake *fake;

static int fake_open(const char *path, int flags)
{
    if (fake->open_errno) {
        errno = fake->open_errno;
        return -1;
    }
    return open("/dev/null", flags);
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return fake->version;
    case KVM_CREATE_VM:
        errno = fake->vm_errno;
        return fake->vm_errno ? -1 : dup(fd);
    case KVM_CHECK_EXTENSION:
        return (uintptr_t)arg == fake->missing_cap ? 0 : 1;
    default:
        errno = ENOTTY;
        return -1;
    }
}

static void fake_cpuid(uint32_t leaf, uint32_t r[4])
{
    memset(r, 0, 16);
    switch (leaf) {
    case 0:
        r[0] = 1;
        memcpy(&r[1], fake->vendor, 4);
        memcpy(&r[3], fake->vendor + 4, 4);
        memcpy(&r[2], fake->vendor + 8, 4);
        break;
    case 1:
        r[2] = (uint32_t)fake->vmx << 5 | (uint32_t)fake->hypervisor << 31;
        break;
    case 0x40000000:
        memcpy(&r[1], "FakeHypervis", 12);
        break;
    case 0x80000000:
        r[0] = 0x80000001;
        break;
    case 0x80000001:
        r[2] = (uint32_t)fake->svm << 2;
        break;
    default:
        break;
    }
}

static bool fake_read_file(const char *path, char **text)
{
    const char *t = !strcmp(path, "/proc/cpuinfo") ? fake->cpuinfo
                    : !strcmp(path, "/proc/misc")  ? fake->misc
                                                   : NULL;

    *text = g_strdup(t);
    return t;
}

static const KvmHost fake_host = {
    .open = fake_open,
    .ioctl = fake_ioctl,
    .cpuid = fake_cpuid,
    .read_file = fake_read_file,
};

#define INTEL    .vendor = "GenuineIntel"
#define AMD      .vendor = "AuthenticAMD"
#define NO_MISC  .misc = "235 autofs\n229 fuse\n"
#define HAS_MISC .misc = "235 autofs\n232 kvm\n"

static const Fake fakes[] = {
    { .name = "module-intel",
      .open_errno = ENOENT,
      INTEL,
      .vmx = true,
      .cpuinfo = "flags\t\t: fpu vme vmx smx\n",
      NO_MISC,
      .want = "there is no /dev/kvm: the processor has VT-x, but the module "
              "kvm_intel is missing: modprobe kvm_intel (if that fails, dmesg "
              "says why; VT-x may be disabled in the firmware setup)" },
    { .name = "module-amd",
      .open_errno = ENOENT,
      AMD,
      .svm = true,
      .cpuinfo = "flags\t\t: fpu svm\n",
      NO_MISC,
      .want = "there is no /dev/kvm: the processor has AMD-V, but the module "
              "kvm_amd is missing: modprobe kvm_amd (if that fails, dmesg "
              "says why; AMD-V may be disabled in the firmware setup)" },
    { .name = "module-behind-node", /* a static node, from modules.devname */
      .open_errno = ENODEV,
      INTEL,
      .vmx = true,
      .cpuinfo = "flags\t\t: fpu vme vmx\n",
      NO_MISC,
      .want = "/dev/kvm has no driver behind it: the processor has VT-x, but "
              "the module kvm_intel is missing: modprobe kvm_intel (if that "
              "fails, dmesg says why; VT-x may be disabled in the firmware "
              "setup)" },
    { .name = "firmware-intel",
      .open_errno = ENOENT,
      INTEL,
      .vmx = true,
      .cpuinfo = "flags\t\t: fpu vme\nvmx_flags: none\n",
      NO_MISC,
      .want = "there is no /dev/kvm: the processor has VT-x, but the firmware "
              "disabled it (no \"vmx\" in /proc/cpuinfo): switch it on in the "
              "firmware setup" },
    { .name = "firmware-amd",
      .open_errno = ENXIO,
      AMD,
      .svm = true,
      .cpuinfo = "flags\t\t: fpu\n",
      NO_MISC,
      .want = "/dev/kvm has no driver behind it: the processor has AMD-V, but "
              "the firmware disabled it (no \"svm\" in /proc/cpuinfo): switch "
              "it on in the firmware setup" },
    { .name = "absent",
      .open_errno = ENOENT,
      INTEL,
      .cpuinfo = "flags\t\t: fpu\n",
      NO_MISC,
      .want = "there is no /dev/kvm: CPUID shows neither VT-x nor AMD-V: the "
              "processor has none, or the firmware hides it; switch it on in "
              "the firmware setup, or use -accel tcg" },
    { .name = "nested",
      .open_errno = ENOENT,
      INTEL,
      .hypervisor = true,
      NO_MISC,
      .want = "there is no /dev/kvm: this is itself a virtual machine without "
              "VT-x or AMD-V: turn on nested virtualization in its host, or "
              "use -accel tcg" },
    { .name = "node-only", /* a container */
      .open_errno = ENOENT,
      INTEL,
      .hypervisor = true,
      HAS_MISC,
      .want = "there is no /dev/kvm: the kernel has KVM, only this node is "
              "missing: mknod /dev/kvm c 10 232 (a container is given it from "
              "outside: --device /dev/kvm)" },
    { .name = "old-version",
      .version = 10,
      INTEL,
      .want = "/dev/kvm speaks version 10 of the KVM API, 12 is needed: use a "
              "kernel from 2.6.22 on" },
    { .name = "not-kvm",
      .version = -1,
      INTEL,
      .want = "/dev/kvm is something else than KVM (it does not know "
              "KVM_GET_API_VERSION): ls -l /dev/kvm should say \"10, 232\"" },
    { .name = "vm-memory",
      .version = KVM_API_VERSION,
      .vm_errno = ENOMEM,
      INTEL,
      .want = "KVM cannot make another virtual machine: out of resources "
              "(Cannot allocate memory): end other virtual machines, or give "
              "the host more memory" },
    { .name = "vm-descriptors",
      .version = KVM_API_VERSION,
      .vm_errno = EMFILE,
      INTEL,
      .want = "KVM cannot make another virtual machine: out of resources (Too "
              "many open files): raise ulimit -n" },
    { .name = "vm-files",
      .version = KVM_API_VERSION,
      .vm_errno = ENFILE,
      INTEL,
      .want = "KVM cannot make another virtual machine: out of resources (Too "
              "many open files in system): raise fs.file-max" },
    { .name = "open-descriptors",
      .open_errno = EMFILE,
      INTEL,
      .want = "cannot open /dev/kvm: out of resources (Too many open files): "
              "raise ulimit -n" },
    { .name = "vm-busy",
      .version = KVM_API_VERSION,
      .vm_errno = EBUSY,
      INTEL,
      .want = "KVM cannot make a virtual machine: the processor's VT-x or "
              "AMD-V is taken by another hypervisor (such as VirtualBox); end "
              "that one first" },
    { .name = "vm-firmware",
      .version = KVM_API_VERSION,
      .vm_errno = EOPNOTSUPP,
      INTEL,
      .vmx = true,
      .cpuinfo = "flags\t\t: fpu\n",
      .want = "KVM cannot make a virtual machine: the processor has VT-x, but "
              "the firmware disabled it (no \"vmx\" in /proc/cpuinfo): switch "
              "it on in the firmware setup" },
    { .name = "vm-other",
      .version = KVM_API_VERSION,
      .vm_errno = EINVAL,
      INTEL,
      .want = "KVM cannot make a virtual machine: Invalid argument; dmesg may "
              "say more" },
    { .name = "old-kernel",
      .version = KVM_API_VERSION,
      .missing_cap = KVM_CAP_IMMEDIATE_EXIT,
      INTEL,
      .want = "the host's KVM is too old: it lacks KVM_CAP_IMMEDIATE_EXIT (a "
              "running processor can be called back); use a kernel from 4.12 "
              "on" },
};

/* As in a container that was not given the node: its mode is not the reason. */
static void test_forbidden(void)
{
    static const Fake host = { .open_errno = EPERM };
    g_autoptr(GError) err = NULL;
    int fd, vm;

    fake = &host;
    g_assert_false(kvm_host_open_of(&fake_host, "/dev/null", &fd, &vm, &err));
    g_assert_cmpstr(err->message, ==,
                    "no permission to open /dev/null, though its mode gives "
                    "it: the rules of a container (start it with --device "
                    "/dev/null) or of a security module forbid it");
}

/* The whole line, and the report says the same. */
static void test_fake(gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *line = NULL;
    int fd, vm;

    fake = data;
    g_assert_false(kvm_host_open_of(&fake_host, NULL, &fd, &vm, &err));
    g_assert_cmpstr(err->message, ==, fake->want);
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(vm, ==, -1);
    kvm_host_report_of(&fake_host, NULL, out);
    line = g_strdup_printf("usable      no, because %s\nprocessor   %s, VT-x "
                           "%s, AMD-V %s",
                           fake->want, fake->vendor, fake->vmx ? "yes" : "no",
                           fake->svm ? "yes" : "no");
    g_assert_true(g_str_has_prefix(out->str, line));
    g_assert_cmpint(!!strstr(out->str, "itself a virtual machine (\"Fake"), ==,
                    fake->hypervisor);
}

/* Open, version and a VM are trusted before CPUID: no VT-x, and usable. */
static void test_trust(void)
{
    static const Fake host = { .version = KVM_API_VERSION,
                               INTEL,
                               .hypervisor = true,
                               .missing_cap = KVM_CAP_X86_SMM };
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;
    int fd, vm;

    fake = &host;
    g_assert_true(kvm_host_open_of(&fake_host, NULL, &fd, &vm, &err));
    g_assert_no_error(err);
    close(fd);
    close(vm);
    kvm_host_report_of(&fake_host, NULL, out);
    g_assert_true(g_str_has_prefix(
        out->str,
        "usable      yes: /dev/kvm opens, speaks version 12 and makes a "
        "virtual machine\n"
        "processor   GenuineIntel, VT-x no, AMD-V no, itself a virtual "
        "machine (\"FakeHypervis\")\n\ncapability "));
    g_assert_nonnull(strstr(out->str,
                            "\nKVM_CAP_X86_SMM                    "
                            "      0  system management mode (not used)\n"));
    g_assert_nonnull(strstr(out->str, "\nKVM_CAP_IRQFD                      "
                                      "      1  interrupts from an eventfd\n"));
}

/* ---- this host ---------------------------------------------------------------------- */

static void test_report(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    kvm_host_report("/dev/null", out);
    g_assert_nonnull(strstr(out->str, "no, because /dev/null is something"));
    g_assert_nonnull(strstr(out->str, "processor   "));
}

/* -accel help and -accel kvm,help agree with what opening says. */
static void test_available(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;

    kvm_host_report(NULL, out);
    if (kvm_accel.available(&err)) {
        g_assert_nonnull(strstr(out->str, "usable      yes"));
        g_assert_nonnull(strstr(out->str, "KVM_CAP_USER_MEMORY"));
    } else {
        g_assert_nonnull(strstr(out->str, err->message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/host/missing", test_missing);
    g_test_add_func("/kvm/host/other-device", test_other_device);
    g_test_add_func("/kvm/host/permission", test_permission);
    g_test_add_func("/kvm/host/directory", test_directory);
    for (size_t i = 0; i < G_N_ELEMENTS(fakes); i++) {
        g_autofree char *name =
            g_strdup_printf("/kvm/host/fake/%s", fakes[i].name);

        g_test_add_data_func(name, &fakes[i], test_fake);
    }
    g_test_add_func("/kvm/host/forbidden", test_forbidden);
    g_test_add_func("/kvm/host/trust", test_trust);
    g_test_add_func("/kvm/host/report", test_report);
    g_test_add_func("/kvm/host/available", test_available);
    return g_test_run();
}
