/* Disks for people: what the functions of qmp-block.c return, in words. */
#include "util/osdep.h"
#include "block/info-text.h"
#include "hw/block/drive.h"
#include "monitor/hmp.h"
#include "monitor/qmp.h"

#if CONFIG_JSON_C

json_object *hmp_call(Monitor *mon, const char *name, json_object *args)
{
    g_autoptr(GError) err = NULL;
    json_object *o = qmp_call(mon_machine(mon), name, args, &err);

    if (!o) {
        mon_report(mon, g_steal_pointer(&err));
    }
    return o;
}

/* ---- info block ------------------------------------------------------------ */

static void print_cache(Monitor *mon, json_object *inserted)
{
    json_object *cache = js_get(inserted, "cache");

    mon_printf(mon, "    Cache mode:       %s%s%s\n",
               js_get_bool(cache, "writeback") ? "writeback" : "writethrough",
               js_get_bool(cache, "direct") ? ", direct" : "",
               js_get_bool(cache, "no-flush") ? ", ignore flushes" : "");
}

static void print_limits(Monitor *mon, json_object *i)
{
    static const char *const names[] = { "bps",     "bps_rd",  "bps_wr", "iops",
                                         "iops_rd", "iops_wr", "bps_max" };
    bool any = false;

    for (size_t k = 0; k < G_N_ELEMENTS(names); k++) {
        any |= js_get_int(i, names[k]) != 0;
    }
    if (!any) {
        return;
    }
    mon_puts(mon, "    I/O throttling:  ");
    for (size_t k = 0; k < G_N_ELEMENTS(names); k++) {
        mon_printf(mon, " %s=%" PRId64, names[k], js_get_int(i, names[k]));
    }
    mon_puts(mon, "\n");
}

/* Behind "name: " or "name (node): ". */
static void print_inserted(Monitor *mon, json_object *i)
{
    mon_printf(mon, "%s (%s%s%s)\n", js_get_str(i, "file"),
               js_get_str(i, "drv"), js_get_bool(i, "ro") ? ", read-only" : "",
               js_get_bool(i, "encrypted") ? ", encrypted" : "");
}

static void print_image(Monitor *mon, json_object *i)
{
    if (js_get_str(i, "backing_file")) {
        mon_printf(mon, "    Backing file:     %s (chain depth: %" PRId64 ")\n",
                   js_get_str(i, "backing_file"),
                   js_get_int(i, "backing_file_depth"));
    }
    print_limits(mon, i);
}

static void print_verbose(Monitor *mon, json_object *i)
{
    BlockGraph *graph = machine_block_graph(mon_machine(mon));
    BlockNode *bn = block_graph_find(graph, js_get_str(i, "node-name"));
    g_autoptr(GString) text = g_string_new("\nImages:\n");

    for (; bn; bn = bn->backing) {
        g_autoptr(InfoItem) d = block_describe(bn);

        block_add_description(text, bn, d);
    }
    mon_puts(mon, text->str);
}

static void print_drive(Monitor *mon, json_object *o, bool verbose)
{
    json_object *i = js_get(o, "inserted");
    const char *device = js_get_str(o, "device");
    const char *qdev = js_get_str(o, "qdev");

    if (device[0]) {
        mon_puts(mon, device);
    } else {
        mon_puts(mon, qdev ? qdev : "");
    }
    if (i && js_get_str(i, "node-name")) {
        mon_printf(mon, "%s(%s)", device[0] || qdev ? " " : "",
                   js_get_str(i, "node-name"));
    }
    mon_puts(mon, ": ");
    if (i) {
        print_inserted(mon, i);
    } else {
        mon_puts(mon, "[not inserted]\n");
    }
    if (qdev) {
        mon_printf(mon, "    Attached to:      %s\n", qdev);
    }
    if (js_get_bool(o, "removable")) {
        mon_printf(mon, "    Removable device: %slocked, tray %s\n",
                   js_get_bool(o, "locked") ? "" : "not ",
                   js_get_bool(o, "tray_open") ? "open" : "closed");
    }
    if (i) {
        print_cache(mon, i);
        print_image(mon, i);
    }
    if (i && verbose) {
        print_verbose(mon, i);
    }
}

static void print_nodes(Monitor *mon, const char *only, bool verbose)
{
    g_autoptr(json_object) list =
        hmp_call(mon, "query-named-block-nodes", NULL);

    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        json_object *i = json_object_array_get_idx(list, k);
        const char *name = js_get_str(i, "node-name");

        if (only && strcmp(only, name)) {
            continue;
        }
        mon_printf(mon, "%s: ", name);
        print_inserted(mon, i);
        print_cache(mon, i);
        print_image(mon, i);
        if (verbose) {
            print_verbose(mon, i);
        }
    }
}

void hmp_info_block(Monitor *mon, const Args *args)
{
    const char *only = args_str(args, "device");
    bool verbose = args_bool(args, "verbose", false), any = false;
    g_autoptr(json_object) list = NULL;

    if (args_bool(args, "nodes", false)) {
        print_nodes(mon, only, verbose);
        return;
    }
    list = hmp_call(mon, "query-block", NULL);
    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        json_object *o = json_object_array_get_idx(list, k);

        if (only && strcmp(only, js_get_str(o, "device"))) {
            continue;
        }
        mon_puts(mon, any ? "\n" : "");
        print_drive(mon, o, verbose);
        any = true;
    }
    if (only && !any) {
        print_nodes(mon, only, verbose);
    }
}

void hmp_info_blockstats(Monitor *mon, const Args *args)
{
    static const char *const names[] = {
        "rd_bytes",         "wr_bytes",
        "rd_operations",    "wr_operations",
        "flush_operations", "wr_total_time_ns",
        "rd_total_time_ns", "flush_total_time_ns",
        "rd_merged",        "wr_merged",
    };
    g_autoptr(json_object) list = hmp_call(mon, "query-blockstats", NULL);

    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        json_object *o = json_object_array_get_idx(list, k);
        json_object *stats = js_get(o, "stats");
        const char *name = js_get_str(o, "device");

        mon_printf(mon,
                   "%s:", name && name[0] ? name : js_get_str(o, "node-name"));
        for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
            mon_printf(mon, " %s=%" PRId64, names[n],
                       js_get_int(stats, names[n]));
        }
        mon_puts(mon, "\n");
    }
}

/* ---- doing ------------------------------------------------------------------- */

json_object *hmp_args_of(const Args *args, const char *const *names)
{
    json_object *o = json_object_new_object();

    for (; *names; names++) {
        js_str(o, *names, args_str(args, *names));
    }
    return o;
}

void hmp_do(Monitor *mon, const char *name, json_object *args)
{
    json_object_put(hmp_call(mon, name, args));
}

void hmp_block_resize(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    js_int(o, "size", args_int(args, "size", 0));
    hmp_do(mon, "block_resize", o);
}

void hmp_block_set_io_throttle(Monitor *mon, const Args *args)
{
    static const char *const names[] = { "bps",  "bps_rd",  "bps_wr",
                                         "iops", "iops_rd", "iops_wr" };
    json_object *o = hmp_args(args, "device");

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        js_int(o, names[i], args_int(args, names[i], 0));
    }
    hmp_do(mon, "block_set_io_throttle", o);
}

void hmp_eject(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    js_bool(o, "force", args_bool(args, "force", false));
    hmp_do(mon, "eject", o);
}

void hmp_change(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    js_str(o, "filename", args_str(args, "target"));
    js_str(o, "format", args_str(args, "arg"));
    js_str(o, "read-only-mode", args_str(args, "read-only-mode"));
    hmp_do(mon, "blockdev-change-medium", o);
}

#endif
