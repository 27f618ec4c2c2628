/*
 * Names of images: protocols, and where a name found inside an image leads.
 *
 * A backing file's name is relative to the directory of the image that holds
 * it, unless it is absolute or begins with a protocol, as in QEMU.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "util/error.h"

#include <sys/stat.h>

bool block_has_protocol(const char *filename)
{
    const char *p = filename + strcspn(filename, ":/");

    return *p == ':' && p > filename;
}

const BlockDriver *block_find_driver(const char *name)
{
    for (unsigned i = 0; block_drivers[i]; i++) {
        if (strcmp(block_drivers[i]->name, name) == 0) {
            return block_drivers[i];
        }
    }
    return NULL;
}

static bool is_device(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

const BlockDriver *block_find_protocol(const char *filename, GError **errp)
{
    /* "nbd+unix://": what is behind the plus is the driver's matter */
    size_t len = strcspn(filename, ":/+");

    if (!block_has_protocol(filename)) {
        return block_find_driver(is_device(filename) ? "host_device" : "file");
    }
    for (unsigned i = 0; block_drivers[i]; i++) {
        const char *prefix = block_drivers[i]->prefix;

        if (prefix && strlen(prefix) == len + 1 &&
            strncmp(prefix, filename, len) == 0) {
            return block_drivers[i];
        }
    }
    error_setg(errp, "Unknown protocol '%.*s'", (int)strcspn(filename, ":"),
               filename);
    return NULL;
}

char *block_combine_path(const char *base, const char *name)
{
    const char *dir = base, *slash;

    if (name[0] == '/' || block_has_protocol(name)) {
        return g_strdup(name);
    }
    if (block_has_protocol(base)) {
        dir = strchr(base, ':') + 1;
    }
    slash = strrchr(dir, '/');
    return g_strdup_printf(
        "%.*s%s", (int)(slash ? slash + 1 - base : dir - base), base, name);
}

char *block_backing_path(const BlockNode *bn)
{
    if (!bn->backing_name) {
        return NULL;
    }
    if (g_str_has_prefix(bn->filename, "json:")) {
        return g_strdup(bn->backing_name);
    }
    return block_combine_path(bn->filename, bn->backing_name);
}

BlockNode *block_find_in_chain(BlockNode *bn, const char *filename)
{
    for (BlockNode *parent = NULL; bn; parent = bn, bn = bn->backing) {
        if (strcmp(bn->filename, filename) == 0 ||
            (parent && parent->backing_name &&
             strcmp(parent->backing_name, filename) == 0)) {
            return bn;
        }
    }
    return NULL;
}
