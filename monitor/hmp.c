/* A typed line to its command: lookup, help, completion. */
#include "util/osdep.h"
#include "util/error.h"
#include "util/keyval.h"
#include "monitor/hmp.h"

/* "quit|q": whether @word is one of the names. */
static bool name_matches(const char *names, const char *word)
{
    size_t n = strlen(word);

    while (*names) {
        size_t len = strcspn(names, "|");

        if (len == n && !memcmp(names, word, n)) {
            return true;
        }
        names += len + (names[len] == '|');
    }
    return false;
}

static const HmpCommand *find(const HmpCommand *table, const char *word)
{
    for (const HmpCommand *c = table; c->name; c++) {
        if (name_matches(c->name, word)) {
            return c;
        }
    }
    return NULL;
}

/* Each name of a table, aliases apart. */
static GPtrArray *all_names(const HmpCommand *table)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (const HmpCommand *c = table; c->name; c++) {
        g_auto(GStrv) parts = g_strsplit(c->name, "|", -1);

        for (char **p = parts; *p; p++) {
            g_ptr_array_add(names, g_strdup(*p));
        }
    }
    return names;
}

static void report_unknown(Monitor *mon, const char *text)
{
    mon_printf(mon, "unknown command: '%s'\n", text);
}

static char *first_word(const char **p)
{
    const char *start;

    *p += strspn(*p, " ");
    start = *p;
    /* "x/4xw": the format belongs to the arguments. */
    *p += strcspn(*p, " /");
    return g_strndup(start, *p - start);
}

static const HmpCommand *parse_command(Monitor *mon, const char *line,
                                       const char **rest)
{
    const HmpCommand *table = hmp_commands;
    g_autoptr(GString) path = g_string_new(NULL);

    for (;;) {
        g_autofree char *word = first_word(rest);
        const HmpCommand *c;

        if (!*word && path->len) {
            return NULL; /* "info" alone: its help */
        }
        c = find(table, word);
        g_string_append_printf(path, "%s%s", path->len ? " " : "", word);
        if (!c) {
            report_unknown(mon, path->str);
            return NULL;
        }
        if (!c->sub) {
            return c;
        }
        table = c->sub;
        if (!(*rest)[strspn(*rest, " ")]) {
            hmp_print_help(mon, path->str);
            return NULL;
        }
    }
}

void hmp_run(Monitor *mon, const char *line)
{
    const char *rest = line;
    const HmpCommand *c;
    g_autoptr(GError) err = NULL;
    g_autoptr(Args) args = NULL;

    if (!line[strspn(line, " ")]) {
        return;
    }
    c = parse_command(mon, line, &rest);
    if (!c) {
        return;
    }
    args = args_parse_line(mon, c->args, rest, &err);
    if (!args) {
        mon_printf(mon, "%s: %s\n", c->name, err->message);
        mon_printf(mon, "Try \"help %.*s\" for more information\n",
                   (int)strcspn(c->name, "|"), c->name);
        return;
    }
    c->run(mon, args);
}

/* ---- help ---------------------------------------------------------------------- */

static void help_line(Monitor *mon, const char *prefix, const HmpCommand *c)
{
    mon_printf(mon, "%s%s %s -- %s\n", prefix, c->name, c->params, c->help);
}

void hmp_print_help(Monitor *mon, const char *name)
{
    g_auto(GStrv) words = g_strsplit(name ? name : "", " ", 2);
    const HmpCommand *c;

    if (!name || !*name) {
        for (c = hmp_commands; c->name; c++) {
            help_line(mon, "", c);
        }
        return;
    }
    c = find(hmp_commands, words[0]);
    if (c && c->sub) {
        for (const HmpCommand *s = c->sub; s->name; s++) {
            if (!words[1] || name_matches(s->name, words[1])) {
                g_autofree char *prefix = g_strdup_printf("%s ", c->name);

                help_line(mon, prefix, s);
            }
        }
    } else if (c) {
        help_line(mon, "", c);
    } else {
        report_unknown(mon, name);
    }
}

/* ---- completion ------------------------------------------------------------------ */

static GPtrArray *starting_with(GPtrArray *names, const char *word)
{
    for (guint i = names->len; i-- > 0;) {
        if (!g_str_has_prefix(g_ptr_array_index(names, i), word)) {
            g_ptr_array_remove_index(names, i);
        }
    }
    return names;
}

static GPtrArray *complete_file(const char *word)
{
    g_autofree char *dir_name = g_path_get_dirname(*word ? word : "x");
    const char *slash = strrchr(word, '/');
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(dir_name, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *full =
            slash ? g_strdup_printf("%.*s%s", (int)(slash + 1 - word), word,
                                    entry)
                  : g_strdup(entry);

        if (g_str_has_prefix(full, word)) {
            g_ptr_array_add(names, g_steal_pointer(&full));
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    return names;
}

GPtrArray *hmp_complete(Monitor *mon, const char *before, const char *word)
{
    const HmpCommand *table = hmp_commands;
    const HmpCommand *c = NULL;
    g_auto(GStrv) words = g_strsplit_set(before, " ", -1);
    int n_args = 0;
    const char *grammar;
    ArgSpec spec;

    for (char **w = words; *w; w++) {
        if (!**w) {
            continue;
        }
        if (table) {
            c = find(table, *w);
            table = c ? c->sub : NULL;
        } else {
            n_args++;
        }
    }
    if (table) {
        return starting_with(all_names(table), word);
    }
    if (!c) {
        return NULL;
    }
    if (name_matches(c->name, "help")) {
        return starting_with(all_names(hmp_commands), word);
    }
    grammar = c->args;
    while (args_next_spec(&grammar, &spec)) {
        if (n_args-- == 0) {
            return spec.type == 'F' ? complete_file(word) : NULL;
        }
    }
    return NULL;
}
