/* What is said when KVM cannot be used, with files that play /dev/kvm. */
#include "util/osdep.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "accel/kvm/kvm.h"
#include "util/error.h"

static void open_fails(const char *path, const char *part)
{
    g_autoptr(GError) err = NULL;
    int fd, vm;

    g_assert_false(kvm_host_open(path, &fd, &vm, &err));
    g_assert_cmpint(fd, ==, -1);
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
    g_test_add_func("/kvm/host/report", test_report);
    g_test_add_func("/kvm/host/available", test_available);
    return g_test_run();
}
