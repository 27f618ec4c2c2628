/* Choosing an accelerator; the lines that programs read. */
#include "util/osdep.h"
#include "accel/accel.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"

static bool broken;
static unsigned changes, writes, closed;

static Accel *fake_open(Machine *m, KeyVal *options, GError **errp)
{
    if (broken) {
        error_setg(errp, "Permission denied");
        return NULL;
    }
    return g_new0(Accel, 1);
}

static void fake_close(Accel *accel)
{
    closed++;
    g_free(accel);
}

static void fake_map_changed(Accel *accel, const FlatMap *map)
{
    changes++;
}

static void fake_ram_written(Accel *accel, hwaddr addr, hwaddr len)
{
    writes++;
}

const AccelOps tcg_accel, kvm_accel; /* instead of the real ones */
const AccelOps tcg_accel = {
    .name = "tcg",
    .open = fake_open,
    .close = fake_close,
    .map_changed = fake_map_changed,
    .ram_written = fake_ram_written,
};

static Accel *never_open(Machine *m, KeyVal *options, GError **errp)
{
    error_setg(errp, "not on this host");
    return NULL;
}

static const char *const kvm_options[] = { "device", "turns", NULL };

const AccelOps kvm_accel = {
    .name = "kvm",
    .options = kvm_options,
    .open = never_open,
};

static void open_fails(const char *names, const char *message)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    g_autoptr(GError) err = NULL;

    g_assert_false(accel_open(m, names, NULL, &err));
    g_assert_cmpstr(err->message, ==, message);
    g_assert_null(m->accel);
    accel_close(m);
    machine_free(m);
}

static void test_errors(void)
{
    broken = false;
    open_fails("hvf",
               "-accel hvf: invalid accelerator hvf (there are: tcg, kvm)");
    open_fails("", "no accelerator in ''; the default is tcg");
    broken = true;
    open_fails("tcg", "-accel tcg: failed to initialize tcg: Permission denied "
                      "(there are: tcg, kvm)");
    broken = false;
}

static void test_wires(void)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    Region ram;

    g_assert_true(accel_open(m, "tcg", NULL, NULL));
    g_assert_true(m->accel->machine == m);
    g_assert_cmpuint(changes, ==, 1);
    g_assert_true(region_init_ram(&ram, "ram", 4096, NULL));
    as_map(m->mem, 0, &ram, 0);
    g_assert_cmpuint(changes, ==, 2);
    as_store(m->mem, 0, 1, 1);
    g_assert_cmpuint(writes, ==, 1);
    accel_close(m);
    g_assert_cmpuint(closed, ==, 1);
    as_store(m->mem, 0, 1, 1);
    as_unmap(&ram);
    g_assert_cmpuint(changes, ==, 2);
    g_assert_cmpuint(writes, ==, 1);
    region_fini(&ram);
    machine_free(m);
}

static void fallback(const char *names)
{
    Machine *m = machine_new(NULL, clock_new_manual());

    log_set_progname("/usr/bin/qemu-system-x86_64");
    g_assert_true(accel_open(m, names, NULL, NULL));
    accel_close(m);
    machine_free(m);
}

static void test_fallback(void)
{
    if (g_test_subprocess()) {
        fallback("hvf:kvm:tcg");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(
        "qemu-system-x86_64: -accel hvf: invalid accelerator hvf\n"
        "qemu-system-x86_64: -accel kvm: failed to initialize kvm: "
        "not on this host\n"
        "qemu-system-x86_64: falling back to tcg\n");
}

static void test_quiet(void)
{
    if (g_test_subprocess()) {
        fallback(":tcg:hvf");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("");
}

static void check_options(const char *names, const char *text, const char *want)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "accel", NULL);
    g_autoptr(GError) err = NULL;

    g_assert_cmpint(accel_check_options(names, kv, &err), ==, !want);
    g_assert_cmpstr(err ? err->message : NULL, ==, want);
}

/* Of several engines an option may be any one's. */
static void test_options(void)
{
    check_options("kvm", "kvm,turns=off,device=/x", NULL);
    check_options("kvm:tcg", "tcg,turns=off", NULL);
    check_options("tcg", "tcg,turns=off",
                  "-accel tcg: there is no option 'turns'");
    check_options("hvf:kvm", "kvm,turn=off",
                  "-accel hvf:kvm: there is no option 'turn'; did you mean "
                  "'turns'?");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/accel/errors", test_errors);
    g_test_add_func("/accel/wires", test_wires);
    g_test_add_func("/accel/fallback", test_fallback);
    g_test_add_func("/accel/options", test_options);
    g_test_add_func("/accel/quiet", test_quiet);
    return g_test_run();
}
