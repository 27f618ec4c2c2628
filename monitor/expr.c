/*
 * Expressions of x, xp, p, print: "$rip+4*8". Recursive descent, depth-bound
 * since the text may come from a program.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/hmp.h"
#include "monitor/regs.h"
#include "monitor/symbols.h"

enum { EXPR_DEPTH = 64 };

typedef struct Expr {
    Monitor *mon;
    const char *p;
    int depth;
    GError **errp;
} Expr;

static bool expr_or(Expr *e, int64_t *v);

static void skip_space(Expr *e)
{
    while (*e->p == ' ') {
        e->p++;
    }
}

static bool expr_register(Expr *e, int64_t *v)
{
    g_autofree char *name = NULL;
    uint64_t value;
    size_t n = 0;

    while (g_ascii_isalnum(e->p[n]) || e->p[n] == '_' || e->p[n] == '.') {
        n++;
    }
    name = g_strndup(e->p, n);
    if (mon_linear_pc(e->mon) &&
        (!strcmp(name, "rip") || !strcmp(name, "eip") || !strcmp(name, "ip"))) {
        g_free(name);
        name = g_strdup("pc");
    }
    if (!mon_cpu(e->mon)) {
        error_setg(e->errp, "No CPU available");
        return false;
    }
    if (!monitor_register(mon_cpu(e->mon), name, &value)) {
        error_setg(e->errp, "unknown register");
        return false;
    }
    e->p += n;
    *v = value;
    return true;
}

static bool expr_number(Expr *e, int64_t *v)
{
    char *end;

    if (!g_ascii_isdigit(*e->p)) {
        if (*e->p) {
            error_setg(e->errp, "invalid char '%c' in expression", *e->p);
        } else {
            error_setg(e->errp, "unexpected end of expression");
        }
        return false;
    }
    errno = 0;
    *v = (int64_t)g_ascii_strtoull(e->p, &end, 0);
    if (errno == ERANGE) {
        error_setg(e->errp, "number too large");
        return false;
    }
    e->p = end;
    return true;
}

static bool is_name(char c)
{
    return g_ascii_isalpha(c) || c == '_';
}

/* "start_kernel", when the guest's kernel says where that is. */
static bool expr_symbol(Expr *e, int64_t *v)
{
    const Symbols *all = monitors_symbols(mon_machine(e->mon));
    size_t len = 1;
    g_autofree char *name = NULL;
    uint64_t addr;

    while (is_name(e->p[len]) || g_ascii_isdigit(e->p[len]) ||
           e->p[len] == '.') {
        len++;
    }
    name = g_strndup(e->p, len);
    if (!symbols_find(all, name, &addr)) {
        error_setg(e->errp, "unknown symbol '%s'%s", name,
                   symbols_count(all)
                       ? ""
                       : " (the kernel has no symbols; $rip is a "
                         "register)");
        return false;
    }
    *v = (int64_t)addr;
    e->p += len;
    return true;
}

static bool expr_unary(Expr *e, int64_t *v)
{
    bool ok;

    if (++e->depth > EXPR_DEPTH) {
        error_setg(e->errp, "expression too deep");
        return false;
    }
    skip_space(e);
    switch (*e->p) {
    case '+':
        e->p++;
        ok = expr_unary(e, v);
        break;
    case '-':
        e->p++;
        ok = expr_unary(e, v);
        *v = ok ? -*v : 0;
        break;
    case '~':
        e->p++;
        ok = expr_unary(e, v);
        *v = ok ? ~*v : 0;
        break;
    case '(':
        e->p++;
        ok = expr_or(e, v);
        if (ok && *e->p != ')') {
            error_setg(e->errp, "')' expected");
            ok = false;
        }
        e->p += ok;
        break;
    case '\'':
        if (!e->p[1] || e->p[2] != '\'') {
            error_setg(e->errp, "missing terminating ' character");
            return false;
        }
        *v = (uint8_t)e->p[1];
        e->p += 3;
        ok = true;
        break;
    case '$':
        e->p++;
        ok = expr_register(e, v);
        break;
    default:
        ok = is_name(*e->p) ? expr_symbol(e, v) : expr_number(e, v);
        break;
    }
    e->depth--;
    skip_space(e);
    return ok;
}

/* "memsave 0 1 /tmp/file": no division, but the next word. */
static bool at_path(const Expr *e)
{
    return e->p[0] == '/' && e->p[-1] == ' ' && g_ascii_isalpha(e->p[1]);
}

static bool expr_product(Expr *e, int64_t *v)
{
    int64_t r;

    if (!expr_unary(e, v)) {
        return false;
    }
    while ((*e->p == '*' || *e->p == '/' || *e->p == '%') && !at_path(e)) {
        char op = *e->p++;

        if (!expr_unary(e, &r)) {
            return false;
        }
        if (op == '*') {
            *v *= r;
        } else if (!r || (*v == INT64_MIN && r == -1)) {
            error_setg(e->errp, "division by zero");
            return false;
        } else {
            *v = op == '/' ? *v / r : *v % r;
        }
    }
    return true;
}

static bool expr_sum(Expr *e, int64_t *v)
{
    int64_t r;

    if (!expr_product(e, v)) {
        return false;
    }
    while (*e->p == '+' || *e->p == '-') {
        char op = *e->p++;

        if (!expr_product(e, &r)) {
            return false;
        }
        *v = op == '+' ? *v + r : *v - r;
    }
    return true;
}

static bool expr_or(Expr *e, int64_t *v)
{
    int64_t r;

    if (!expr_sum(e, v)) {
        return false;
    }
    while (*e->p == '&' || *e->p == '|' || *e->p == '^') {
        char op = *e->p++;

        if (!expr_sum(e, &r)) {
            return false;
        }
        *v = op == '&' ? *v & r : op == '|' ? *v | r : *v ^ r;
    }
    return true;
}

bool monitor_expr(Monitor *mon, const char **p, int64_t *out, GError **errp)
{
    Expr e = { .mon = mon, .p = *p, .errp = errp };

    if (!expr_or(&e, out)) {
        return false;
    }
    *p = e.p;
    return true;
}
