/* -d and -D. */
#include "util/osdep.h"
#include "util/log.h"
#include "util/error.h"

#include <glib/gstdio.h>

static void test_parse(void)
{
    g_autoptr(GError) err = NULL;
    int mask;

    g_assert_true(log_parse("int,guest_errors", &mask, &err));
    g_assert_cmphex(mask, ==, LOG_INT | LOG_GUEST_ERROR);
    g_assert_true(log_parse("", &mask, &err) && mask == 0);
    g_assert_true(log_parse("all", &mask, &err));
    g_assert_true((mask & LOG_KVM) && !(mask & LOG_NOCHAIN));
    g_assert_true(log_parse("none", &mask, &err) && mask == 0);
    g_assert_no_error(err);
    g_assert_false(log_parse("int,xyz", &mask, &err));
    g_assert_true(
        g_str_has_prefix(err->message, "unknown log item 'xyz'; there are: "));
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-log-XXXXXX", NULL);
    g_autofree char *pattern = g_build_filename(dir, "a%d.log", NULL);
    g_autofree char *name = g_strdup_printf("%s/a%d.log", dir, (int)getpid());
    g_autofree char *bad = g_build_filename(dir, "%s", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;

    g_assert_true(log_set_file(pattern, &err));
    log_set_flags(LOG_INT);
    log_mask(LOG_INT, "vector %d\n", 14);
    log_mask(LOG_EXEC, "not this\n");
    g_assert_false(log_set_file(bad, &err));
    g_assert_nonnull(strstr(err->message, "may only be one %d"));
    g_clear_error(&err);
    g_assert_false(log_set_file("/nosuch/dir/x", &err));
    g_assert_nonnull(strstr(err->message, "could not open log file"));
    g_assert_true(log_set_file(NULL, NULL));
    g_assert_true(g_file_get_contents(name, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "vector 14\n");
    g_unlink(name);
    g_rmdir(dir);
    log_set_flags(0);
}

static void test_reports(void)
{
    if (g_test_subprocess()) {
        log_set_progname("./build/rhea");
        error_report("one %d", 1);
        warn_report("two");
        info_report("three");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("rhea: one 1\nrhea: warning: two\n"
                              "rhea: info: three\n");
}

static void test_errno(void)
{
    g_autoptr(GError) err = NULL;

    error_setg_errno(&err, ENOENT, "could not open '%s'", "x");
    g_assert_cmpstr(err->message, ==,
                    "could not open 'x': No such file or directory");
    error_setg(NULL, "nobody listens");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/parse", test_parse);
    g_test_add_func("/log/file", test_file);
    g_test_add_func("/log/reports", test_reports);
    g_test_add_func("/error/errno", test_errno);
    return g_test_run();
}
