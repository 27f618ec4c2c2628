/*
 * Prints the reference part of docs/monitor.md ("monitor") or docs/qmp.md
 * ("qmp") from the monitors' tables; "make docs" puts it behind what people
 * wrote there.
 */
#include "util/osdep.h"
#include "monitor/absent.h"
#include "monitor/qmp.h"

/* ---- text --------------------------------------------------------------------- */

/* In a table's cell. */
static void print_cell(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '|') {
            putchar('\\');
        }
        putchar(text[i]);
    }
}

/* ---- HMP ------------------------------------------------------------------------ */

static void print_hmp_row(const char *prefix, const HmpCommand *c)
{
    const char *example = strchr(c->help, '\n');

    printf("| `%s", prefix);
    print_cell(c->name, strlen(c->name));
    printf("%s", c->params[0] ? " " : "");
    print_cell(c->params, strlen(c->params));
    printf("` | ");
    print_cell(c->help, strcspn(c->help, "\n"));
    if (example) {
        printf(": `");
        print_cell(example + 1, strlen(example + 1));
        putchar('`');
    }
    printf(" |\n");
}

static void print_hmp(const char *prefix, const HmpCommand *table)
{
    for (const HmpCommand *c = table; c->name; c++) {
        if (c->name[0] == '#') {
            printf("\n### %s%s\n\n| command | what it does |\n|---|---|\n",
                   prefix[0] ? "info: " : "", c->help);
        } else {
            print_hmp_row(prefix, c);
        }
    }
}

static void print_absent(void)
{
    printf("\n## What QEMU 7.2 has and Rhea has not\n\n"
           "Commands of both monitors.\n\n| commands | why |\n|---|---|\n");
    for (const AbsentCommand *a = absent_commands; a->names; a++) {
        g_auto(GStrv) names = g_strsplit(a->names, "|", -1);
        g_autofree char *text = g_strjoinv("`, `", names);

        printf("| `%s` | %s |\n", text, a->why);
    }
}

static int print_monitor(void)
{
    print_hmp("", hmp_commands);
    print_hmp("info ", hmp_info_commands);
    print_absent();
    return 0;
}

/* ---- QMP ------------------------------------------------------------------------- */

#if CONFIG_JSON_C

static const char *letter_name(char letter)
{
    switch (letter) {
    case 's':
    case 'F':
        return "string";
    case 'i':
        return "integer";
    case 'n':
        return "number";
    case 'b':
        return "boolean";
    case 'q':
        return "any value";
    default:
        return NULL;
    }
}

/* Up to a space. */
static void print_type(const char *type)
{
    size_t len = strcspn(type, " ");
    const char *letter = letter_name(type[0]);

    if (type[0] == '[') {
        printf("list of ");
        print_type(type + 1);
    } else if (type[0] == 'e') {
        g_autofree char *words = g_strndup(type + 2, len - 3);
        g_auto(GStrv) each = g_strsplit(words, "|", -1);
        g_autofree char *text = g_strjoinv("`, `", each);

        printf("`%s`", text);
    } else if (letter) {
        printf("%s", letter);
    } else {
        printf("%.*s", (int)len, type);
    }
}

static void print_members(const char *def)
{
    ArgSpec spec;

    while (args_next_spec(&def, &spec)) {
        if (!strcmp(spec.name, "*")) {
            printf("- and what belongs to the kind that is named\n");
            continue;
        }
        printf("- `%s`%s: ", spec.name, spec.optional ? " (optional)" : "");
        print_type(spec.full);
        putchar('\n');
    }
}

static void print_commands(void)
{
    printf("\n## Commands\n");
    for (const QmpCommand *c = qmp_commands; c->name; c++) {
        printf("\n### %s\n\n%c%s.%s\n", c->name, g_ascii_toupper(c->help[0]),
               c->help + 1,
               c->flags & CMD_OOB ? " May be sent with `exec-oob`." : "");
        if (c->args[0]) {
            printf("\n");
            print_members(c->args);
        }
        if (c->ret[0]) {
            printf("\nReturns: ");
            print_type(c->ret);
            printf("\n");
        }
    }
}

static void print_events(void)
{
    printf("\n## Events\n");
    for (const QmpEvent *e = qmp_events; e->name; e++) {
        printf("\n### %s\n\n%c%s.\n", e->name, g_ascii_toupper(e->help[0]),
               e->help + 1);
        if (e->rate_ms) {
            printf("At most one in %u ms%s%s.\n", e->rate_ms,
                   e->rate_by ? " for each " : "",
                   e->rate_by ? e->rate_by : "");
        }
        if (e->data[0]) {
            printf("\n");
            print_members(e->data);
        }
    }
}

static void print_types(void)
{
    printf("\n## Types\n");
    for (const QmpType *t = qmp_types; t->name; t++) {
        printf("\n### %s\n\n", t->name);
        if (t->def[0] == '=') {
            printf("One of ");
            print_type(t->def + 1);
            printf("\n");
        } else {
            print_members(t->def);
        }
    }
}

static int print_qmp(void)
{
    print_commands();
    print_events();
    print_types();
    return 0;
}

#else

static int print_qmp(void)
{
    fprintf(stderr, "built without json-c\n");
    return 77;
}

#endif

int main(int argc, char **argv)
{
    return argc == 2 && !strcmp(argv[1], "monitor") ? print_monitor()
           : argc == 2 && !strcmp(argv[1], "qmp")   ? print_qmp()
                                                    : 1;
}
