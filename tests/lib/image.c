/* Disk images for tests of the block layer. */
#include "util/osdep.h"
#include "tests/lib/image.h"

#include <glib/gstdio.h>

static char *dir;

void image_dir_make(void)
{
    dir = g_dir_make_tmp("rhea-image-XXXXXX", NULL);
}

void image_dir_remove(void)
{
    g_rmdir(dir);
    g_clear_pointer(&dir, g_free);
}

const char *image_dir(void)
{
    return dir;
}

char *path_of(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void create_at(const char *path, const char *fmt, const char *opts)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, &err);

    g_assert_no_error(err);
    block_create(path, fmt, kv, 0, &err);
    g_assert_no_error(err);
}

void create(const char *name, const char *fmt, const char *opts)
{
    g_autofree char *path = path_of(name);

    create_at(path, fmt, opts);
}

BlockNode *open_as(const char *name, const char *fmt, unsigned flags)
{
    g_autofree char *path = path_of(name);
    g_autoptr(GError) err = NULL;
    BlockNode *bn = block_open(path, fmt, NULL, flags, &err);

    g_assert_no_error(err);
    return bn;
}

void close_bn(BlockNode *bn)
{
    g_autoptr(GError) err = NULL;

    block_close(bn, &err);
    g_assert_no_error(err);
}

void remove_file(const char *name)
{
    g_autofree char *path = path_of(name);

    g_unlink(path);
}

GByteArray *make_image(const char *fmt, const char *opts)
{
    g_autofree char *path =
        g_build_filename(g_get_tmp_dir(), "rhea-image-XXXXXX", NULL);
    GByteArray *a = g_byte_array_new();
    g_autofree char *data = NULL;
    int fd = g_mkstemp(path);
    gsize len;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    create_at(path, fmt, opts);
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_byte_array_append(a, (guint8 *)data, (guint)len);
    g_unlink(path);
    return a;
}
