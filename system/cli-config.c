/*
 * -readconfig: options from a file in QEMU's form, and -set, which changes an
 * option that was given before.
 *
 *     [drive "d0"]            -drive id=d0,file=a.img
 *       file = "a.img"
 */
#include "util/osdep.h"
#include "system/cli-opts.h"

#include "util/error.h"
#include "util/nearest.h"
#include "util/fdset.h"

/* Groups whose name is not that of the option. */
static const struct {
    const char *group, *option;
} groups[] = {
    { "memory", "m" },
    { "smp-opts", "smp" },
    { "boot-opts", "boot" },
    { "acpi", "acpitable" },
};

/* What may be in a file: options that are lists of values. */
static const char *const group_names[] = {
    "drive",   "device", "netdev",     "chardev", "mon",
    "machine", "memory", "smp-opts",   "rtc",     "boot-opts",
    "global",  "name",   "object",     "icount",  "accel",
    "fw_cfg",  "action", "overcommit", "msg",     "add-fd",
    "net",     "nic",    "numa",       "sandbox", "fsdev",
    "virtfs",  "tpmdev", "option-rom", "acpi",    "smbios",
    "spice",   "trace",  "iscsi",      "plugin",  "semihosting-config",
    NULL,
};

static const OptionDef *group_option(const char *group, GError **errp)
{
    g_autofree char *hint = NULL;
    const char *name = group;

    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (strcmp(group, groups[i].group) == 0) {
            name = groups[i].option;
        }
    }
    for (const OptionDef *d = option_defs;
         d->help && g_strv_contains(group_names, group); d++) {
        if (d->name && strcmp(d->name, name) == 0) {
            return d;
        }
    }
    hint = did_you_mean(group, group_names, " (");
    error_setg(errp, "There is no option group '%s'%s", group, hint);
    return NULL;
}

static void append_pair(GString *text, const char *key, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    g_autofree char *quoted = g_strjoinv(",,", parts);

    g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", key, quoted);
}

/* ---- the file ------------------------------------------------------------------------ */

typedef struct Config {
    Cli *cli;
    const OptionDef *def; /* of the group being read; NULL: none yet */
    GString *text;        /* its values */
} Config;

static bool group_end(Config *c, GError **errp)
{
    bool ok = true;

    if (c->def) {
        ok = c->def->handle(c->cli, c->def, c->text->str, errp);
        c->def = NULL;
    }
    g_string_truncate(c->text, 0);
    return ok;
}

static bool parse_error(const char *line, GError **errp)
{
    error_setg(errp,
               "parse error at '%s': a line is [group], [group \"id\"], "
               "name = \"value\" or # comment",
               line);
    return false;
}

/* "[group]" or "[group "id"]" */
static bool group_begin(Config *c, const char *line, GError **errp)
{
    g_autoptr(GRegex) re = g_regex_new(
        "^\\[([^\\s\"\\]]+)(?:\\s+\"([^\"]*)\")?\\s*\\]$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *group = NULL, *id = NULL;

    if (!g_regex_match(re, line, 0, &match)) {
        return parse_error(line, errp);
    }
    group = g_match_info_fetch(match, 1);
    id = g_match_info_fetch(match, 2);
    c->def = group_option(group, errp);
    if (c->def && id && id[0]) {
        append_pair(c->text, "id", id);
    }
    return c->def != NULL;
}

/* name = "value" */
static bool group_value(Config *c, const char *line, GError **errp)
{
    g_autoptr(GRegex) re =
        g_regex_new("^([^\\s=]+)\\s*=\\s*\"([^\"]*)\"$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *key = NULL, *value = NULL;

    if (!g_regex_match(re, line, 0, &match)) {
        return parse_error(line, errp);
    }
    if (!c->def) {
        error_setg(errp, "no group defined before '%s'", line);
        return false;
    }
    key = g_match_info_fetch(match, 1);
    value = g_match_info_fetch(match, 2);
    append_pair(c->text, key, value);
    return true;
}

static bool config_line(Config *c, char *line, GError **errp)
{
    g_strstrip(line);
    if (!line[0] || line[0] == '#') {
        return true;
    }
    if (line[0] == '[') {
        return group_end(c, errp) && group_begin(c, line, errp);
    }
    return group_value(c, line, errp);
}

OPT_FN(readconfig)
{
    g_autofree char *content = NULL;
    g_auto(GStrv) lines = NULL;
    Config c = { .cli = cli };
    gsize len;
    unsigned n;
    bool ok = true;

    if (!file_get_contents(arg, &content, &len, errp)) {
        g_prefix_error(errp, "-readconfig %s: ", arg);
        return false;
    }
    if (strlen(content) != len || !g_utf8_validate(content, -1, NULL)) {
        error_setg(errp, "-readconfig %s: this is not a text", arg);
        return false;
    }
    lines = g_strsplit(content, "\n", -1);
    c.text = g_string_new(NULL);
    for (n = 0; ok && lines[n]; n++) {
        ok = config_line(&c, lines[n], errp);
    }
    ok = ok && group_end(&c, errp);
    g_string_free(c.text, true);
    if (!ok) {
        g_prefix_error(errp, "%s:%u: ", arg, n);
    }
    return ok;
}

/* ---- -set ------------------------------------------------------------------------------ */

/* "group.id.arg=value" */
OPT_FN(set)
{
    g_autoptr(GRegex) re =
        g_regex_new("^([^.=]+)\\.([^.=]+)\\.([^=]+)=(.*)$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GString) pair = g_string_new(NULL);
    g_autofree char *group = NULL, *id = NULL, *key = NULL, *value = NULL;
    g_autofree char *changed = NULL;
    char **text;

    if (!g_utf8_validate(arg, -1, NULL) || !g_regex_match(re, arg, 0, &match)) {
        error_setg(errp, "-set %s: can't parse; it is group.id.arg=value", arg);
        return false;
    }
    group = g_match_info_fetch(match, 1);
    id = g_match_info_fetch(match, 2);
    key = g_match_info_fetch(match, 3);
    value = g_match_info_fetch(match, 4);
    text = cli_find_option(cli, group, id);
    if (!text) {
        error_setg(errp, "-set %s: there is no %s \"%s\" defined before it",
                   arg, group, id);
        return false;
    }
    append_pair(pair, key, value);
    changed = g_strdup_printf("%s,%s", *text, pair->str);
    cli_set_string(text, changed);
    return true;
}
