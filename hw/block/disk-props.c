/* What the properties of every disk have in common, whatever its bus. */
#include "util/osdep.h"
#include "hw/block/disk-props.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/keyval.h"

static bool check_block_size(const char *name, uint32_t size, GError **errp)
{
    if (!is_pow2(size) || size < 512 || size > 2 * MIB) {
        error_setg(errp,
                   "%s must be a power of two between 512 and 2097152, not %u",
                   name, size);
        return false;
    }
    return true;
}

bool disk_check_block_sizes(uint32_t logical, uint32_t physical, GError **errp)
{
    if (!check_block_size("logical_block_size", logical, errp) ||
        !check_block_size("physical_block_size", physical, errp)) {
        return false;
    }
    if (logical > physical) {
        error_setg(errp,
                   "logical_block_size > physical_block_size not supported");
        return false;
    }
    return true;
}

bool disk_write_cache(const char *text, const BlockNode *bn, bool *on,
                      GError **errp)
{
    *on = !bn || !(bn->flags & BLOCK_WRITETHROUGH);
    if (text && strcmp(text, "auto") != 0 && !parse_bool(text, on, NULL)) {
        error_setg(errp, "write-cache must be on, off or auto, not '%s'", text);
        return false;
    }
    return true;
}
