/* Descriptor sets: numbers, access modes, what is closed when. */
#include "util/osdep.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include "util/fdset.h"

static char *path;

static void list_one(int64_t set, int fd, const char *text, void *opaque)
{
    g_string_append_printf(opaque, "%d:%s ", (int)set, text ? text : "-");
}

static void test_sets(void)
{
    int rd = open(path, O_RDONLY | O_CLOEXEC);
    int rw = open(path, O_RDWR | O_CLOEXEC);
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *text = NULL;
    gsize len;
    int fd;

    g_assert_cmpint(fdset_add(rd, -1, NULL, NULL), ==, 0);
    g_assert_cmpint(fdset_add(rw, 5, "both", NULL), ==, 5);
    g_assert_cmpint(fdset_add(dup(rd), -1, NULL, NULL), ==, 1);
    fdset_foreach(list_one, list);
    g_assert_cmpstr(list->str, ==, "0:- 1:- 5:both ");
    fd = fdset_open("/dev/fdset/5", O_RDWR, 0);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    close(fd);
    g_assert_cmpint(fdset_open("/dev/fdset/0", O_RDWR, 0), ==, -1);
    g_assert_cmpint(errno, ==, EACCES);
    g_assert_cmpint(fdset_open("/dev/fdset/4", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_cmpint(fdset_open("/dev/fdset/5x", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(fdset_open("/dev/fdset/-1", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(fdset_open("/dev/fdset/", O_RDONLY, 0), ==, -1);
    for (int i = 0; i < 2; i++) { /* their place in the file is shared */
        g_clear_pointer(&text, g_free);
        g_assert_true(file_get_contents("/dev/fdset/0", &text, &len, NULL));
        g_assert_cmpuint(len, ==, 5);
    }
    g_assert_false(fdset_remove(5, rd, NULL));
    g_assert_true(fdset_remove(5, rw, NULL));
    g_assert_true(fdset_remove(0, -1, NULL));
    g_assert_true(fdset_remove(1, -1, NULL));
    g_assert_false(fdset_remove(1, -1, NULL));
    g_assert_cmpint(fcntl(rw, F_GETFD), ==, -1);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    path = g_build_filename(g_get_tmp_dir(), "rhea-fdset", NULL);
    g_assert_true(g_file_set_contents(path, "hello", 5, NULL));
    g_test_add_func("/fdset/sets", test_sets);
    ret = g_test_run();
    g_unlink(path);
    g_free(path);
    return ret;
}
