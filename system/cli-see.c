/* Options that show what the machine does: -trace, -dfilter, --stats-on-exit. */
#include "util/osdep.h"
#include "monitor/stats.h"
#include "system/cli-opts.h"
#include "util/log.h"
#include "util/trace.h"

OPT_FN(dfilter)
{
    if (!log_set_ranges(arg, errp)) {
        g_prefix_error(errp, "-dfilter: ");
        return false;
    }
    return true;
}

OPT_FN(stats_on_exit)
{
    cli->cfg.stats_on_exit = true;
    return true;
}

OPT_FN(trace)
{
    static const char *const keys[] = { "enable", "events", "file", NULL };
    g_autoptr(KeyVal) kv = NULL;
    const char *enable, *events, *file;

    if (cli_is_help(arg)) {
        for (unsigned i = 0; trace_name(i); i++) {
            cli_print(cli, "%s\n", trace_name(i));
        }
        return true;
    }
    kv = keyval_parse(arg, "enable", errp);
    if (!kv) {
        return false;
    }
    enable = keyval_get(kv, "enable");
    events = keyval_get(kv, "events");
    file = keyval_get(kv, "file");
    if (!cli_refuse_unused(kv, "trace", keys, errp)) {
        return false;
    }
    if (enable) {
        trace_enable(enable);
    }
    if ((events && !trace_load_events(events, errp)) ||
        (file && !trace_set_file(file, errp))) {
        g_prefix_error(errp, "-trace: ");
        return false;
    }
    return true;
}

void cli_print_stats(Machine *m)
{
    g_autoptr(GString) text = NULL;

    if (m->cfg.stats_on_exit) {
        text = g_string_new("statistics\n");
        stats_print(m, text);
        g_string_truncate(text, text->len - 1);
        info_report("%s", text->str);
    }
}
