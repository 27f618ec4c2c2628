/* snapshot: list, create, apply and delete internal snapshots. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

static int list(BlockNode *bn)
{
    GError *err = NULL;
    g_autoptr(GArray) all = NULL;
    g_autoptr(GString) text = g_string_new(NULL);

    if (!bn->drv->snapshots) {
        return 0;
    }
    all = bn->drv->snapshots->list(bn, &err);
    if (!all) {
        img_error(err, "%s", "");
        return 1;
    }
    block_add_snapshots(text, all);
    fputs(text->str, stdout);
    return 0;
}

static int create(BlockNode *bn, const char *name)
{
    gint64 now = g_get_real_time();
    SnapshotInfo info = {
        .date_sec = (uint64_t)now / 1000000,
        .date_nsec = (uint32_t)(now % 1000000) * 1000,
    };
    GError *err = NULL;

    g_strlcpy(info.name, name, sizeof(info.name));
    if (!bn->drv->snapshots) {
        error_report("Could not create snapshot '%s': %d (%s)", name, -ENOTSUP,
                     g_strerror(ENOTSUP));
        return 1;
    }
    if (!bn->drv->snapshots->create(bn, &info, &err)) {
        img_error(err, "Could not create snapshot '%s': ", name);
        return 1;
    }
    return 0;
}

static int apply(BlockNode *bn, const char *name)
{
    GError *err = NULL;
    SnapshotInfo info;

    if (!bn->drv->snapshots) {
        error_report("Could not apply snapshot '%s': Block driver does not "
                     "support snapshots",
                     name);
        return 1;
    }
    if (!block_snapshot_find(bn, name, &info, NULL)) {
        error_report("Could not apply snapshot '%s': Failed to load snapshot: "
                     "%s",
                     name, g_strerror(ENOENT));
        return 1;
    }
    if (!bn->drv->snapshots->apply(bn, name, &err)) {
        img_error(err, "Could not apply snapshot '%s': ", name);
        return 1;
    }
    return 0;
}

static int delete (BlockNode *bn, const char *name)
{
    GError *err = NULL;
    SnapshotInfo info;

    if (!bn->drv->snapshots || !block_snapshot_find(bn, name, &info, NULL)) {
        error_report("Could not delete snapshot '%s': snapshot not found",
                     name);
        return 1;
    }
    if (!bn->drv->snapshots->remove(bn, name, &err)) {
        img_error(err, "Could not delete snapshot '%s': ", name);
        return 1;
    }
    return 0;
}

int cmd_snapshot(ImgArgs *a)
{
    static const char actions[] = "lacd";
    int action = 0, ret = 0;
    const char *name;
    BlockNode *bn;

    for (guint i = 0; i < a->opts->len; i++) {
        int ch = g_array_index(a->opts, ImgOpt, i).ch;

        if (ch < 256 && strchr(actions, ch)) {
            if (action) {
                img_usage("Cannot mix '-l', '-a', '-c', '-d'");
            }
            action = ch;
        }
    }
    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    name = action ? img_opt(a, action) : NULL;
    bn = img_open_arg(a, a->files[0],
                      !action || action == 'l' ? 0 : BLOCK_RDWR | BLOCK_UNMAP);
    if (!bn) {
        return 1;
    }
    ret = !action         ? 0 /* as QEMU: it can be opened */
          : action == 'l' ? list(bn)
          : action == 'c' ? create(bn, name)
          : action == 'a' ? apply(bn, name)
                          : delete (bn, name);
    img_close(bn, &ret);
    return ret;
}
