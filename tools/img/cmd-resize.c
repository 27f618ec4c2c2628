/* resize: a larger or smaller disk. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

static bool known_prealloc(const char *mode)
{
    static const char *const modes[] = { "off", "metadata", "falloc", "full",
                                         NULL };

    for (unsigned i = 0; modes[i]; i++) {
        if (strcmp(mode, modes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int resize_node(const ImgArgs *a, BlockNode *bn, int sign, uint64_t n,
                       const char *prealloc)
{
    uint64_t old = bn->size, size;
    GError *err = NULL;

    if ((sign < 0 && n >= old) || (sign == 0 && n == 0) ||
        (sign > 0 && n > INT64_MAX - old)) {
        error_report("New image size must be positive");
        return 1;
    }
    size = sign < 0 ? old - n : sign > 0 ? old + n : n;
    if (size <= old && strcmp(prealloc, "off") != 0) {
        error_report("Preallocation can only be used for growing images");
        return 1;
    }
    if (size < old && !img_has(a, IMG_SHRINK)) {
        error_report("Use the --shrink option to perform a shrink operation.");
        warn_report("Shrinking an image will delete all data beyond the "
                    "shrunken image's end. Before performing such an "
                    "operation, make sure there is no important data there.");
        return 1;
    }
    if (!block_resize(bn, size, prealloc, img_has(a, IMG_SHRINK), &err)) {
        img_error(err, "%s", "");
        return 1;
    }
    img_say(a, "Image resized.\n");
    return 0;
}

int cmd_resize(ImgArgs *a)
{
    const char *prealloc = img_opt(a, IMG_PREALLOCATION);
    const char *text;
    BlockNode *bn;
    uint64_t n;
    int sign = 0, ret = 0;

    prealloc = prealloc ? prealloc : "off";
    if (!known_prealloc(prealloc)) {
        error_report("Invalid preallocation mode '%s'", prealloc);
        return 1;
    }
    if (a->nfiles < 2) {
        img_usage("Not enough arguments");
    }
    if (a->nfiles > 2) {
        img_usage("Expecting image file name and size");
    }
    text = a->files[1];
    if (text[0] == '+' || text[0] == '-') {
        sign = *text++ == '+' ? 1 : -1;
    }
    if (!parse_size(text, 1, &n, NULL)) {
        error_report("Parameter 'size' expects a non-negative number below "
                     "2^64\nOptional suffix k, M, G, T, P or E means kilo-, "
                     "mega-, giga-, tera-, peta-\nand exabytes, respectively.");
        return 1;
    }
    bn = img_open_arg(a, a->files[0], BLOCK_RDWR | BLOCK_RESIZE | BLOCK_UNMAP);
    if (!bn) {
        return 1;
    }
    ret = resize_node(a, bn, sign, n, prealloc);
    img_close(bn, &ret);
    return ret;
}
