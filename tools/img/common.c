/* What the commands share: options, opening, sizes as text, snapshots' table. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

#include <math.h>
#include <stdarg.h>
#include <time.h>

const char *img_opt(const ImgArgs *a, int ch)
{
    for (guint i = a->opts->len; i-- > 0;) {
        const ImgOpt *o = &g_array_index(a->opts, ImgOpt, i);

        if (o->ch == ch) {
            return o->value;
        }
    }
    return NULL;
}

bool img_has(const ImgArgs *a, int ch)
{
    return img_opt(a, ch) != NULL;
}

/* It neither begins nor ends with a comma that joining would make double. */
static bool options_well_formed(const char *o)
{
    size_t len = strlen(o), commas = 0;

    while (commas < len && o[len - 1 - commas] == ',') {
        commas++;
    }
    return len && o[0] != ',' && commas % 2 == 0;
}

bool img_join_options(const ImgArgs *a, char **out)
{
    GString *s = NULL;

    for (guint i = 0; i < a->opts->len; i++) {
        const ImgOpt *o = &g_array_index(a->opts, ImgOpt, i);

        if (o->ch != 'o') {
            continue;
        }
        if (!options_well_formed(o->value)) {
            error_report("Invalid option list: %s", o->value);
            if (s) {
                g_string_free(s, TRUE);
            }
            return false;
        }
        if (s) {
            g_string_append_printf(s, ",%s", o->value);
        } else {
            s = g_string_new(o->value);
        }
    }
    *out = s ? g_string_free(s, FALSE) : NULL;
    return true;
}

void img_usage(const char *fmt, ...)
{
    char *text;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("%s", text);
    g_free(text); /* exit() runs no clean-up */
    fprintf(stderr, "Try '%s --help' for more information\n", log_progname());
    exit(1);
}

bool img_json(const ImgArgs *a)
{
    const char *o = img_opt(a, IMG_OUTPUT);

    if (!o || strcmp(o, "human") == 0) {
        return false;
    }
    if (strcmp(o, "json") != 0) {
        error_report("--output must be used with human or json as argument.");
        exit(1);
    }
    return true;
}

void img_say(const ImgArgs *a, const char *fmt, ...)
{
    va_list ap;

    if (!img_has(a, 'q')) {
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
    }
}

void img_error(GError *err, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("%s%s", text, err ? err->message : "");
    g_clear_error(&err);
}

bool img_size(const char *text, const char *what, int64_t min, int64_t max,
              int64_t *out)
{
    uint64_t v;

    if (text[0] == '-' || !parse_size(text, 1, &v, NULL)) {
        error_report("Invalid %s specified. You may use k, M, G, T, P or E "
                     "suffixes for",
                     what);
        error_report("kilobytes, megabytes, gigabytes, terabytes, petabytes "
                     "and exabytes.");
        return false;
    }
    if (v > (uint64_t)max || v < (uint64_t)min) {
        error_report("Invalid %s specified. Must be between %" PRId64
                     " and %" PRId64 ".",
                     what, min, max);
        return false;
    }
    *out = (int64_t)v;
    return true;
}

/* ---- images --------------------------------------------------------------------- */

BlockNode *img_open(const ImgArgs *a, bool image_opts, const char *name,
                    const char *fmt, unsigned flags)
{
    g_autoptr(KeyVal) opts = NULL;
    GError *err = NULL;
    BlockNode *bn = NULL;

    if (image_opts && fmt) {
        error_report("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    if (image_opts) {
        opts = keyval_parse(name, NULL, &err);
        if (!opts) {
            img_error(err, "%s", "");
            return NULL;
        }
        bn = block_open(NULL, NULL, opts, flags, &err);
    } else {
        bn = block_open(name, fmt, NULL, flags, &err);
    }
    if (!bn) {
        img_error(err, "Could not open '%s': ", name);
    }
    return bn;
}

BlockNode *img_open_arg(const ImgArgs *a, const char *name, unsigned flags)
{
    if (img_has(a, 'U')) {
        flags |= BLOCK_FORCE_SHARE;
    }
    return img_open(a, img_has(a, IMG_IMAGE_OPTS), name, img_opt(a, 'f'),
                    flags);
}

void img_close(BlockNode *bn, int *ret)
{
    GError *err = NULL;

    if (!block_close(bn, &err)) {
        img_error(err, "%s", "");
        *ret = *ret ? *ret : 1;
    }
}

typedef struct Unknown {
    const CreateOpt *known;
    const char *key; /* NULL: none */
} Unknown;

static void look_unknown(const char *key, const char *value, void *opaque)
{
    Unknown *u = opaque;
    const CreateOpt *o = u->known;

    while (o->kind != OPT_END &&
           (o->amend == AMEND_ONLY || strcmp(o->name, key) != 0)) {
        o++;
    }
    u->key = o->kind == OPT_END ? key : u->key;
}

const char *img_unknown_option(const BlockDriver *drv, KeyVal *kv)
{
    Unknown u = { drv->create_opts, NULL };

    if (u.known) {
        keyval_foreach(kv, look_unknown, &u);
    }
    return u.key;
}

bool img_is_help(const char *options)
{
    g_auto(GStrv) words = g_strsplit(options, ",", -1);

    for (char **w = words; *w; w++) {
        if (strcmp(*w, "help") == 0 || strcmp(*w, "?") == 0) {
            return true;
        }
    }
    return false;
}

/* ---- "-o help" --------------------------------------------------------------------- */

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_lines(GPtrArray *lines, const CreateOpt *o, bool amend)
{
    static const char *const types[] = { [OPT_SIZE] = "size",
                                         [OPT_STR] = "str",
                                         [OPT_BOOL] = "bool (on/off)",
                                         [OPT_NUM] = "num" };

    for (; o && o->kind != OPT_END; o++) {
        g_autofree char *head = NULL;
        char *line;
        bool known = false;

        if (o->amend == (amend ? CREATE_OPT : AMEND_ONLY)) {
            continue;
        }
        head = g_strdup_printf("  %s=<%s>", o->name, types[o->kind]);
        line = o->help ? g_strdup_printf("%-24s - %s", head, o->help)
                       : g_strdup(head);
        for (guint i = 0; i < lines->len; i++) {
            known |= g_str_has_prefix(lines->pdata[i], head);
        }
        if (known) {
            g_free(line);
        } else {
            g_ptr_array_add(lines, line);
        }
    }
}

void img_print_options(const char *fmt, const char *filename)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    const BlockDriver *drv = block_find_driver(fmt), *proto = NULL;
    GError *err = NULL;

    if (!drv) {
        error_report("Unknown file format '%s'", fmt);
        exit(1);
    }
    if (!drv->create_opts) {
        error_report("Format driver '%s' does not support image creation", fmt);
        exit(1);
    }
    add_lines(lines, drv->create_opts, false);
    if (filename) {
        proto = block_find_protocol(filename, &err);
        if (!proto) {
            img_error(err, "%s", "");
            exit(1);
        }
        if (!proto->create_opts) {
            error_report("Protocol driver '%s' does not support image "
                         "creation",
                         proto->name);
            exit(1);
        }
        add_lines(lines, proto->create_opts, false);
        printf("Supported options:\n");
    } else {
        printf("Supported %s options:\n", fmt);
    }
    g_ptr_array_sort(lines, by_text);
    for (guint i = 0; i < lines->len; i++) {
        printf("%s\n", (char *)lines->pdata[i]);
    }
    if (!filename && drv->is_format && strcmp(fmt, "raw") != 0) {
        printf("\nThe protocol level may support further options.\n"
               "Specify the target filename to include those options.\n");
    }
}
