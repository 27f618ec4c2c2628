/* A typed line to its command: lookup, help, completion. */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/block/drive.h"
#include "monitor/absent.h"
#include "monitor/hmp.h"
#include "util/nearest.h"
#include "util/trace.h"

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

static bool is_heading(const HmpCommand *c)
{
    return c->name[0] == '#';
}

static const HmpCommand *find(const HmpCommand *table, const char *word)
{
    for (const HmpCommand *c = table; c->name; c++) {
        if (!is_heading(c) && name_matches(c->name, word)) {
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

        for (char **p = parts; *p && !is_heading(c); p++) {
            g_ptr_array_add(names, g_strdup(*p));
        }
    }
    return names;
}

/* QEMU has it, or a name is near: then more than that it is unknown. */
static void report_unknown(Monitor *mon, const HmpCommand *table,
                           const char *text)
{
    const char *why = absent_why(text), *space = strrchr(text, ' ');
    g_autoptr(GPtrArray) names = all_names(table);
    g_autofree char *hint =
        did_you_mean(space ? space + 1 : text, names_end(names), " (");

    if (why) {
        mon_printf(mon, "%s: %s\n", text, why);
    } else {
        mon_printf(mon, "unknown command: '%s'%s\n", text, hint);
    }
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
            report_unknown(mon, table, path->str);
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
    trace(handle_hmp_command, (void *)mon, line);
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

bool hmp_check(Monitor *mon, const char *line, GError **errp)
{
    const char *rest = line;
    const HmpCommand *c = parse_command(mon, line, &rest);
    g_autoptr(Args) args = NULL;

    if (!c) {
        error_setg(errp, "no such command");
        return false;
    }
    args = args_parse_line(mon, c->args, rest, errp);
    return args != NULL;
}

/* ---- help ---------------------------------------------------------------------- */

static void help_line(Monitor *mon, const char *prefix, const HmpCommand *c)
{
    mon_printf(mon, "%s%s %s -- %.*s\n", prefix, c->name, c->params,
               (int)strcspn(c->help, "\n"), c->help);
}

/* The one line, and the example. */
static void help_command(Monitor *mon, const char *prefix, const HmpCommand *c)
{
    const char *example = strchr(c->help, '\n');

    help_line(mon, prefix, c);
    if (example) {
        mon_printf(mon, "for example: %s\n", example + 1);
    }
}

static void help_table(Monitor *mon, const char *prefix,
                       const HmpCommand *table)
{
    for (const HmpCommand *c = table; c->name; c++) {
        if (is_heading(c)) {
            mon_printf(mon, "%s%s:\n", c == table ? "" : "\n", c->help);
        } else {
            help_line(mon, prefix, c);
        }
    }
}

void hmp_print_help(Monitor *mon, const char *name)
{
    g_auto(GStrv) words = g_strsplit(name ? name : "", " ", 2);
    const HmpCommand *c, *sub;

    if (!name || !*name) {
        help_table(mon, "", hmp_commands);
        mon_puts(mon, "\n\"help cmd\" shows more of one; Tab completes.\n");
        return;
    }
    c = find(hmp_commands, words[0]);
    if (!c) {
        report_unknown(mon, hmp_commands, name);
    } else if (c->sub && words[1]) {
        sub = find(c->sub, words[1]);
        if (sub) {
            help_command(mon, "info ", sub);
        } else {
            report_unknown(mon, c->sub, name);
        }
    } else if (c->sub) {
        help_table(mon, "info ", c->sub);
    } else {
        help_command(mon, "", c);
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

static void add_copy(GPtrArray *names, const char *name)
{
    if (name) {
        g_ptr_array_add(names, g_strdup(name));
    }
}

static void add_disks(Machine *m, GPtrArray *names)
{
    GPtrArray *drives = machine_drives(m);
    g_autoptr(GPtrArray) nodes = block_graph_nodes(machine_block_graph(m));

    for (guint i = 0; i < drives->len; i++) {
        add_copy(names, ((const Drive *)drives->pdata[i])->id);
    }
    for (guint i = 0; i < nodes->len; i++) {
        const BlockNode *bn = nodes->pdata[i];

        if (bn->name[0] != '#') {
            add_copy(names, bn->name);
        }
    }
}

static void add_devices(GPtrArray *devices, GPtrArray *names)
{
    for (guint i = 0; devices && i < devices->len; i++) {
        add_copy(names, ((const Device *)devices->pdata[i])->id);
    }
}

static void add_keys(GHashTable *table, GPtrArray *names)
{
    GHashTableIter it;
    void *key;

    g_hash_table_iter_init(&it, table);
    while (g_hash_table_iter_next(&it, &key, NULL)) {
        add_copy(names, key);
    }
}

/* Words for an argument of @type; NULL: no idea. */
static GPtrArray *complete_word(Monitor *mon, char type, const char *word)
{
    Machine *m = mon_machine(mon);
    GPtrArray *names;

    if (type == 'F') {
        return complete_file(word);
    }
    names = g_ptr_array_new_with_free_func(g_free);
    switch (type) {
    case 'B':
        add_disks(m, names);
        break;
    case 'C':
        add_keys(m->chardevs, names);
        break;
    case 'D':
        add_devices(m->devices, names);
        break;
    case 'O':
        add_devices(m->objects, names);
        break;
    default:
        break;
    }
    return starting_with(names, word);
}

/* The type of the argument number @n of @grammar; flags are not counted. */
static char argument_type(const char *grammar, int n)
{
    ArgSpec spec;

    while (args_next_spec(&grammar, &spec)) {
        if (spec.type != '-' && spec.type != 'f' && n-- == 0) {
            return spec.type;
        }
    }
    return 0;
}

GPtrArray *hmp_complete(Monitor *mon, const char *before, const char *word)
{
    const HmpCommand *table = hmp_commands;
    const HmpCommand *c = NULL;
    g_auto(GStrv) words = g_strsplit_set(before, " ", -1);
    int n_args = 0;

    for (char **w = words; *w; w++) {
        if (!**w) {
            continue;
        }
        if (table) {
            c = find(table, *w);
            table = c ? c->sub : NULL;
        } else if (**w != '-' && **w != '/') {
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
    return complete_word(mon, argument_type(c->args, n_args), word);
}
