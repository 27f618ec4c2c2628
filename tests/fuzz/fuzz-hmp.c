/*
 * A person's keyboard: bytes to the line editor, lines to commands and typed
 * arguments, Tab to completion. Nothing is run.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "hw/block/drive.h"
#include "monitor/monitor.h"
#include "monitor/readline.h"

static void output(void *opaque, const char *text, size_t len)
{
}

static void line(void *opaque, const char *text)
{
    g_autoptr(GError) err = NULL;

    g_assert_true(monitor_check_line(opaque, text, &err) == (err == NULL));
}

static GPtrArray *complete(void *opaque, const char *before, const char *word)
{
    return monitor_complete(opaque, before, word);
}

static const ReadlineOps ops = { output, line, complete };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Machine *m = machine_new(NULL, NULL);
    Readline *rl = readline_new("(qemu) ", &ops, m);

    for (size_t i = 0; i < len; i++) {
        readline_key(rl, data[i]);
    }
    readline_key(rl, '\r');
    readline_free(rl);
    monitors_close(m); /* symbols were looked for */
    drives_free(m);
    machine_free(m);
    return 0;
}
