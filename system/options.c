/* Command line words to options. No option is known here by name. */
#include "util/osdep.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/nearest.h"
#include "system/options.h"

static const OptionDef *option_find(const OptionDef *defs, const char *name)
{
    for (const OptionDef *d = defs; d->help; d++) {
        if (d->name && !strcmp(d->name, name)) {
            return d;
        }
    }
    return NULL;
}

static void option_unknown(const OptionDef *defs, const char *word,
                           const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (const OptionDef *d = defs; d->help; d++) {
        if (d->name) {
            g_ptr_array_add(names, (char *)d->name);
        }
    }
    near = nearest_name(name, names_end(names));
    if (near) {
        error_setg(errp, "%s: invalid option (did you mean -%s?)", word, near);
    } else {
        error_setg(errp, "%s: invalid option (-help lists them)", word);
    }
}

GArray *options_parse(int argc, char **argv, const OptionDef *defs,
                      const char *bare, GError **errp)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(OptionGiven));

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        OptionGiven given = { NULL, NULL };
        const char *name;

        if (word[0] != '-' || !word[1]) {
            given.def = option_find(defs, bare);
            given.arg = word;
            g_array_append_val(list, given);
            continue;
        }
        name = word + (word[1] == '-' ? 2 : 1);
        given.def = option_find(defs, name);
        if (!given.def) {
            option_unknown(defs, word, name, errp);
            return NULL;
        }
        if (given.def->arg[0]) {
            if (i + 1 >= argc) {
                error_setg(errp, "%s: requires an argument: %s", word,
                           given.def->arg);
                return NULL;
            }
            given.arg = argv[++i];
        }
        g_array_append_val(list, given);
    }
    return g_steal_pointer(&list);
}

enum { HELP_COLUMN = 16, HELP_WIDTH = 79 };

/* @text behind the option, folded at the right margin. */
static void help_fold(GString *out, const char *text)
{
    size_t col = HELP_COLUMN;

    g_string_append_printf(out, "%*s", HELP_COLUMN, "");
    while (*text) {
        size_t len = strcspn(text, " ");

        if (col > HELP_COLUMN && col + 1 + len > HELP_WIDTH) {
            g_string_append_printf(out, "\n%*s", HELP_COLUMN, "");
            col = HELP_COLUMN;
        } else if (col > HELP_COLUMN) {
            g_string_append_c(out, ' ');
            col++;
        }
        g_string_append_len(out, text, len);
        col += len;
        text += len + (text[len] == ' ');
    }
    g_string_append_c(out, '\n');
}

void options_print_help(const OptionDef *defs, GString *out)
{
    for (const OptionDef *d = defs; d->help; d++) {
        if (!d->name) {
            g_string_append_printf(out, "\n%s:\n", d->help);
            continue;
        }
        g_string_append_printf(out, "-%s %s\n", d->name, d->arg);
        help_fold(out, d->help);
    }
}
