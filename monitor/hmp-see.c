/* info stats, irq, jit and other lists of what is there; trace events. */
#include "util/osdep.h"
#include "monitor/hmp.h"
#include "monitor/stats.h"
#include "util/trace.h"

typedef void PrintFn(Machine *m, GString *out);

static void print_held(Monitor *mon, PrintFn *fn)
{
    g_autoptr(GString) out = g_string_new(NULL);
    bool held = mon_cpus_hold(mon);

    fn(mon_machine(mon), out);
    mon_cpus_release(mon, held);
    mon_puts(mon, out->str);
}

void hmp_info_stats(Monitor *mon, const Args *args)
{
    print_held(mon, stats_print);
}

void hmp_info_irq(Monitor *mon, const Args *args)
{
    print_held(mon, stats_print_irq);
}

void hmp_info_jit(Monitor *mon, const Args *args)
{
    print_held(mon, stats_print_jit);
}

void hmp_info_ramblock(Monitor *mon, const Args *args)
{
    print_held(mon, stats_print_ram);
}

void hmp_info_numa(Monitor *mon, const Args *args)
{
    mon_puts(mon, "0 nodes\n");
}

void hmp_info_qdm(Monitor *mon, const Args *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    device_classes_print(out);
    mon_puts(mon, out->str);
}

void hmp_info_trace_events(Monitor *mon, const Args *args)
{
    const char *pattern = args_str(args, "name");

    for (unsigned i = 0; trace_name(i); i++) {
        if (!pattern || trace_matches(i, pattern)) {
            mon_printf(mon, "%s : state %u\n", trace_name(i), trace_on[i]);
        }
    }
}

void hmp_trace_event(Monitor *mon, const Args *args)
{
    const char *name = args_str(args, "name");

    if (!trace_set(name, args_bool(args, "option", false))) {
        mon_printf(mon, "Error: unknown event \"%s\"\n", name);
    }
}
