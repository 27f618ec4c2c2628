/* check: are the tables of an image consistent; -r repairs. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

enum { EXIT_FAILED = 1, EXIT_CORRUPT = 2, EXIT_LEAKS = 3, EXIT_NO_CHECK = 63 };

static void add_nonzero(InfoItem *d, const char *name, uint64_t v)
{
    if (v) {
        info_add_int(d, name, v);
    }
}

static void print_json(const char *filename, const char *fmt,
                       const CheckResult *r)
{
    g_autoptr(InfoItem) d = info_new(INFO_DICT);
    g_autofree char *text = NULL;

    info_add_str(d, "filename", filename);
    info_add_str(d, "format", fmt);
    info_add_int(d, "check-errors", r->check_errors);
    add_nonzero(d, "image-end-offset", r->image_end_offset);
    add_nonzero(d, "corruptions", r->corruptions);
    add_nonzero(d, "leaks", r->leaks);
    add_nonzero(d, "corruptions-fixed", r->corruptions_fixed);
    add_nonzero(d, "leaks-fixed", r->leaks_fixed);
    add_nonzero(d, "total-clusters", r->total_clusters);
    add_nonzero(d, "allocated-clusters", r->allocated_clusters);
    add_nonzero(d, "fragmented-clusters", r->fragmented_clusters);
    add_nonzero(d, "compressed-clusters", r->compressed_clusters);
    text = info_json_text(d);
    printf("%s\n", text);
}

static void print_human(const ImgArgs *a, const CheckResult *r)
{
    if (!r->corruptions && !r->leaks && !r->check_errors) {
        img_say(a, "No errors were found on the image.\n");
    }
    if (r->corruptions) {
        img_say(a,
                "\n%" PRIu64 " errors were found on the image.\n"
                "Data may be corrupted, or further writes to the image may "
                "corrupt it.\n",
                r->corruptions);
    }
    if (r->leaks) {
        img_say(a,
                "\n%" PRIu64 " leaked clusters were found on the image.\n"
                "This means waste of disk space, but no harm to data.\n",
                r->leaks);
    }
    if (r->check_errors) {
        img_say(a,
                "\n%" PRIu64 " internal errors have occurred during the "
                "check.\n",
                r->check_errors);
    }
    if (r->total_clusters && r->allocated_clusters) {
        double n = (double)r->allocated_clusters;

        img_say(a,
                "%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% "
                "fragmented, %0.2f%% compressed clusters\n",
                r->allocated_clusters, r->total_clusters,
                n * 100 / (double)r->total_clusters,
                (double)r->fragmented_clusters * 100 / n,
                (double)r->compressed_clusters * 100 / n);
    }
    if (r->image_end_offset) {
        img_say(a, "Image end offset: %" PRIu64 "\n", r->image_end_offset);
    }
}

/* One run; what it found goes to stderr, also with -q or JSON on stdout. */
static bool run_check(BlockNode *bn, CheckResult *r, unsigned fix)
{
    g_autoptr(GString) found = g_string_new(NULL);
    GError *err = NULL;
    bool ok;

    memset(r, 0, sizeof(*r));
    r->messages = found;
    ok = block_check(bn, r, fix, &err);
    fputs(found->str, stderr);
    r->messages = NULL;
    if (!ok) {
        img_error(err, "Check failed: ");
    }
    return ok;
}

static int check_node(const ImgArgs *a, BlockNode *bn, const char *filename,
                      unsigned fix, bool json)
{
    CheckResult r;

    if (!bn->drv->check) {
        error_report("This image format does not support checks");
        return EXIT_NO_CHECK;
    }
    if (!run_check(bn, &r, fix)) {
        return EXIT_FAILED;
    }
    if (r.corruptions_fixed || r.leaks_fixed) {
        uint64_t leaks = r.leaks_fixed, corruptions = r.corruptions_fixed;

        if (!json) {
            img_say(a,
                    "The following inconsistencies were found and repaired:\n"
                    "\n    %" PRIu64 " leaked clusters\n    %" PRIu64
                    " corruptions\n\nDouble checking the fixed image now...\n",
                    leaks, corruptions);
        }
        if (!run_check(bn, &r, 0)) {
            return EXIT_FAILED;
        }
        r.leaks_fixed = leaks;
        r.corruptions_fixed = corruptions;
    }
    if (json) {
        print_json(filename, bn->drv->name, &r);
    } else {
        print_human(a, &r);
    }
    return r.check_errors  ? EXIT_FAILED
           : r.corruptions ? EXIT_CORRUPT
           : r.leaks       ? EXIT_LEAKS
                           : 0;
}

int cmd_check(ImgArgs *a)
{
    const char *repair = img_opt(a, 'r'), *cache = img_opt(a, 'T');
    bool json = img_json(a);
    unsigned flags = BLOCK_CHECK | BLOCK_UNMAP, fix = 0;
    BlockNode *bn;
    int ret;

    if (repair && strcmp(repair, "leaks") == 0) {
        fix = CHECK_FIX_LEAKS;
    } else if (repair && strcmp(repair, "all") == 0) {
        fix = CHECK_FIX_LEAKS | CHECK_FIX_ERRORS;
    } else if (repair) {
        img_usage("Unknown option value for -r (expecting 'leaks' or 'all'): "
                  "%s",
                  repair);
    }
    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    flags |= fix ? BLOCK_RDWR : 0;
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid source cache option: %s", cache);
        return 1;
    }
    bn = img_open_arg(a, a->files[0], flags);
    if (!bn) {
        return 1;
    }
    ret = check_node(a, bn, a->files[0], fix, json);
    img_close(bn, &ret);
    return ret;
}
