/*
 * Line editing. One byte comes in at a time; escape sequences are a small
 * state machine (VT100 cursor keys, Home, End, Delete).
 */
#include "util/osdep.h"
#include "monitor/readline.h"

enum { RL_MAX = 4095, RL_HISTORY = 64 };
enum { RL_NORMAL, RL_ESC, RL_CSI, RL_SS3 };
enum {
    KEY_CTRL_A = 1,
    KEY_CTRL_B = 2,
    KEY_CTRL_C = 3,
    KEY_CTRL_D = 4,
    KEY_CTRL_E = 5,
    KEY_CTRL_F = 6,
    KEY_BACKSPACE = 8,
    KEY_TAB = 9,
    KEY_CTRL_K = 11,
    KEY_CTRL_L = 12,
    KEY_CTRL_N = 14,
    KEY_CTRL_P = 16,
    KEY_CTRL_U = 21,
    KEY_CTRL_W = 23,
    KEY_ESC = 27,
    KEY_DELETE = 127,
};

struct Readline {
    const ReadlineOps *ops;
    void *opaque;
    char *prompt;
    GString *buf;
    size_t pos;
    int state;
    int csi_arg;
    GPtrArray *history;
    int hist_at; /* index shown, or -1: the line being typed */
    char *typed; /* the line left behind when history is shown */
};

Readline *readline_new(const char *prompt, const ReadlineOps *ops, void *opaque)
{
    Readline *rl = g_new0(Readline, 1);

    rl->ops = ops;
    rl->opaque = opaque;
    rl->prompt = g_strdup(prompt);
    rl->buf = g_string_new(NULL);
    rl->history = g_ptr_array_new_with_free_func(g_free);
    rl->hist_at = -1;
    return rl;
}

void readline_free(Readline *rl)
{
    g_free(rl->prompt);
    g_free(rl->typed);
    g_string_free(rl->buf, TRUE);
    g_ptr_array_unref(rl->history);
    g_free(rl);
}

static void rl_out(Readline *rl, const char *text)
{
    rl->ops->output(rl->opaque, text, strlen(text));
}

/* The text from the cursor on, then the cursor back to where it belongs. */
static void rl_redraw_tail(Readline *rl)
{
    size_t tail = rl->buf->len - rl->pos;

    rl_out(rl, rl->buf->str + rl->pos);
    rl_out(rl, "\033[K");
    if (tail) {
        g_autofree char *back = g_strdup_printf("\033[%zuD", tail);

        rl_out(rl, back);
    }
}

static void rl_to(Readline *rl, size_t pos)
{
    g_autofree char *move = NULL;

    if (pos < rl->pos) {
        move = g_strdup_printf("\033[%zuD", rl->pos - pos);
    } else if (pos > rl->pos) {
        move = g_strdup_printf("\033[%zuC", pos - rl->pos);
    }
    if (move) {
        rl_out(rl, move);
    }
    rl->pos = pos;
}

static void rl_insert(Readline *rl, const char *text, size_t len)
{
    if (rl->buf->len + len > RL_MAX) {
        return;
    }
    g_string_insert_len(rl->buf, rl->pos, text, len);
    rl->ops->output(rl->opaque, text, len);
    rl->pos += len;
    if (rl->pos < rl->buf->len) {
        rl_redraw_tail(rl);
    }
}

static void rl_erase(Readline *rl, size_t from, size_t to)
{
    if (from >= to || to > rl->buf->len) {
        return;
    }
    rl_to(rl, from);
    g_string_erase(rl->buf, from, to - from);
    rl_redraw_tail(rl);
}

static void rl_replace(Readline *rl, const char *text)
{
    rl_to(rl, 0);
    g_string_assign(rl->buf, text);
    rl_redraw_tail(rl);
    rl_to(rl, rl->buf->len);
}

static void rl_history_add(Readline *rl, const char *line)
{
    guint n = rl->history->len;

    if (!*line || (n && !strcmp(g_ptr_array_index(rl->history, n - 1), line))) {
        return;
    }
    if (n == RL_HISTORY) {
        g_ptr_array_remove_index(rl->history, 0);
    }
    g_ptr_array_add(rl->history, g_strdup(line));
}

static void rl_history_move(Readline *rl, int step)
{
    int n = rl->history->len;
    int at = rl->hist_at < 0 ? n : rl->hist_at;

    at += step;
    if (at < 0 || at > n || (at == n && rl->hist_at < 0)) {
        return;
    }
    if (rl->hist_at < 0) {
        g_free(rl->typed);
        rl->typed = g_strdup(rl->buf->str);
    }
    rl->hist_at = at == n ? -1 : at;
    rl_replace(rl, at == n ? rl->typed : g_ptr_array_index(rl->history, at));
}

void readline_prompt(Readline *rl)
{
    rl_out(rl, rl->prompt);
    if (rl->buf->len) {
        rl_out(rl, rl->buf->str);
        rl->pos = rl->buf->len;
    }
}

void readline_reset(Readline *rl)
{
    g_string_truncate(rl->buf, 0);
    rl->pos = 0;
    rl->state = RL_NORMAL;
    rl->hist_at = -1;
}

static void rl_enter(Readline *rl)
{
    g_autofree char *line = g_strdup(rl->buf->str);

    rl_out(rl, "\r\n");
    rl_history_add(rl, line);
    readline_reset(rl);
    rl->ops->line(rl->opaque, line);
}

static size_t rl_word_start(Readline *rl)
{
    size_t p = rl->pos;

    while (p && rl->buf->str[p - 1] != ' ') {
        p--;
    }
    return p;
}

/* How many first characters all of @words share. */
static size_t common_prefix(GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    size_t len = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *w = g_ptr_array_index(words, i);
        size_t n = 0;

        while (n < len && w[n] == first[n]) {
            n++;
        }
        len = n;
    }
    return len;
}

static void rl_list(Readline *rl, GPtrArray *words)
{
    rl_out(rl, "\r\n");
    for (guint i = 0; i < words->len; i++) {
        g_autofree char *text =
            g_strdup_printf("%-20s%s", (char *)g_ptr_array_index(words, i),
                            i % 4 == 3 || i + 1 == words->len ? "\r\n" : " ");

        rl_out(rl, text);
    }
    readline_prompt(rl);
}

static void rl_complete(Readline *rl)
{
    size_t start = rl_word_start(rl);
    g_autofree char *before = g_strndup(rl->buf->str, start);
    g_autofree char *word = g_strndup(rl->buf->str + start, rl->pos - start);
    g_autoptr(GPtrArray) words = rl->ops->complete(rl->opaque, before, word);
    size_t shared, have = strlen(word);
    const char *first;

    if (!words || !words->len) {
        return;
    }
    first = g_ptr_array_index(words, 0);
    shared = common_prefix(words);
    if (shared > have) {
        rl_insert(rl, first + have, shared - have);
    }
    if (words->len == 1) {
        rl_insert(rl, " ", 1);
    } else if (shared <= have) {
        rl_list(rl, words);
    }
}

static void rl_csi(Readline *rl, uint8_t b)
{
    if (b >= '0' && b <= '9') {
        rl->csi_arg = (rl->csi_arg * 10 + b - '0') % 1000;
        return;
    }
    rl->state = RL_NORMAL;
    switch (b) {
    case 'A':
        rl_history_move(rl, -1);
        break;
    case 'B':
        rl_history_move(rl, 1);
        break;
    case 'C':
        rl_to(rl, MIN(rl->pos + 1, rl->buf->len));
        break;
    case 'D':
        rl_to(rl, rl->pos ? rl->pos - 1 : 0);
        break;
    case 'H':
        rl_to(rl, 0);
        break;
    case 'F':
        rl_to(rl, rl->buf->len);
        break;
    case '~':
        if (rl->csi_arg == 1 || rl->csi_arg == 7) {
            rl_to(rl, 0);
        } else if (rl->csi_arg == 4 || rl->csi_arg == 8) {
            rl_to(rl, rl->buf->len);
        } else if (rl->csi_arg == 3) {
            rl_erase(rl, rl->pos, rl->pos + 1);
        }
        break;
    default:
        break;
    }
}

static void rl_plain(Readline *rl, uint8_t b)
{
    switch (b) {
    case '\r':
    case '\n':
        rl_enter(rl);
        break;
    case KEY_CTRL_A:
        rl_to(rl, 0);
        break;
    case KEY_CTRL_E:
        rl_to(rl, rl->buf->len);
        break;
    case KEY_CTRL_B:
        rl_to(rl, rl->pos ? rl->pos - 1 : 0);
        break;
    case KEY_CTRL_F:
        rl_to(rl, MIN(rl->pos + 1, rl->buf->len));
        break;
    case KEY_CTRL_C:
        rl_out(rl, "^C\r\n");
        readline_reset(rl);
        readline_prompt(rl);
        break;
    case KEY_CTRL_D:
        rl_erase(rl, rl->pos, rl->pos + 1);
        break;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        if (rl->pos) {
            rl_erase(rl, rl->pos - 1, rl->pos);
        }
        break;
    case KEY_TAB:
        rl_complete(rl);
        break;
    case KEY_CTRL_K:
        rl_erase(rl, rl->pos, rl->buf->len);
        break;
    case KEY_CTRL_U:
        rl_erase(rl, 0, rl->pos);
        break;
    case KEY_CTRL_W:
        rl_erase(rl, rl_word_start(rl), rl->pos);
        break;
    case KEY_CTRL_L:
        rl_out(rl, "\033[2J\033[1;1H");
        readline_prompt(rl);
        break;
    case KEY_CTRL_N:
        rl_history_move(rl, 1);
        break;
    case KEY_CTRL_P:
        rl_history_move(rl, -1);
        break;
    case KEY_ESC:
        rl->state = RL_ESC;
        break;
    default:
        if (b >= ' ') {
            rl_insert(rl, (const char *)&b, 1);
        }
        break;
    }
}

void readline_key(Readline *rl, uint8_t b)
{
    switch (rl->state) {
    case RL_ESC:
        rl->state = b == '[' ? RL_CSI : b == 'O' ? RL_SS3 : RL_NORMAL;
        rl->csi_arg = 0;
        break;
    case RL_CSI:
    case RL_SS3:
        rl_csi(rl, b);
        break;
    default:
        rl_plain(rl, b);
        break;
    }
}

GPtrArray *readline_history(Readline *rl)
{
    return rl->history;
}
