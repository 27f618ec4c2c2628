/* Objects, character devices, memory and input for people. */
#include "util/osdep.h"
#include "chardev/chardev.h"
#include "hw/block/drive.h"
#include "monitor/fds.h"
#include "monitor/hmp.h"
#include "monitor/keys.h"
#include "monitor/qmp.h"
#include "system/hotplug.h"
#include "system/object.h"
#include "util/keyval.h"

/* ---- what the command line's options make --------------------------------------- */

/* By its address: arguments are worked out in any order. */
static void report(Monitor *mon, bool ok, GError **err)
{
    if (!ok) {
        mon_report(mon, *err);
    }
}

void hmp_object_add(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    bool ok = object_add(mon_machine(mon), args_str(args, "object"), &err);

    report(mon, ok, &err);
}

void hmp_object_del(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    bool ok = object_del(mon_machine(mon), args_str(args, "id"), &err);

    report(mon, ok, &err);
}

void hmp_device_add(Monitor *mon, const Args *args)
{
    g_autoptr(KeyVal) options = NULL;
    GError *err = NULL;

    options = keyval_parse(args_str(args, "device"), "driver", &err);
    report(mon, options && hotplug_add(mon_machine(mon), options, &err), &err);
}

void hmp_drive_add(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    bool ok = drive_add(mon_machine(mon), args_str(args, "opts"), &err);

    report(mon, ok, &err);
    mon_puts(mon, ok ? "OK\n" : "");
}

void hmp_drive_del(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    bool ok = drive_del(mon_machine(mon), args_str(args, "id"), &err);

    report(mon, ok, &err);
}

void hmp_chardev_add(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    Machine *m = mon_machine(mon);
    bool ok = chardev_new(m->chardevs, args_str(args, "args"), &err) != NULL;

    report(mon, ok, &err);
}

/* ---- keys and mouse ----------------------------------------------------------------- */

/* "ctrl-alt-f1", or numbers such as 0x1d-0x38. */
void hmp_sendkey(Monitor *mon, const Args *args)
{
    g_auto(GStrv) names = g_strsplit(args_str(args, "keys"), "-", KEYS_MAX + 1);
    int64_t hold = args_int(args, "hold-time", KEYS_HOLD_MS);
    uint16_t codes[KEYS_MAX];
    GError *err = NULL;
    unsigned n = 0;

    for (char **k = names; *k; k++) {
        char *end = *k;
        uint64_t number =
            g_str_has_prefix(*k, "0x") ? g_ascii_strtoull(*k, &end, 16) : 0;
        uint16_t code = number && !*end && number <= 0xffff ? (uint16_t)number
                                                            : key_code(*k);

        if (!code || n == KEYS_MAX) {
            mon_printf(mon, "invalid parameter: %s\n", *k);
            return;
        }
        codes[n++] = code;
    }
    hold = hold > 0 ? MIN(hold, 60000) : KEYS_HOLD_MS;
    report(mon, keys_send(mon_machine(mon), codes, n, (unsigned)hold, &err),
           &err);
}

/* "-5"; words, so that "10 -5" is not one expression. NULL: 0. */
static int motion(const char *text)
{
    gint64 v = text ? g_ascii_strtoll(text, NULL, 0) : 0;

    return (int)CLAMP(v, -10000, 10000);
}

void hmp_mouse_move(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    bool ok = keys_mouse_move(mon_machine(mon), motion(args_str(args, "dx")),
                              motion(args_str(args, "dy")),
                              motion(args_str(args, "dz")), &err);

    report(mon, ok, &err);
}

void hmp_mouse_set(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    Device *dev = keys_device(mon_machine(mon), &err);

    if (!dev) {
        mon_report(mon, err);
    } else if (args_int(args, "index", 0) != 0) {
        mon_puts(mon, "Error: there is one mouse, 0\n");
    }
}

void hmp_mouse_button(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    unsigned state = args_int(args, "state", 0) & 7;

    /* Here 2 is the middle and 4 the right one. */
    state = (state & 1) | (state & 2) << 1 | (state & 4) >> 1;
    report(mon, keys_mouse_buttons(mon_machine(mon), state, &err), &err);
}

/* ---- printing what QMP returns ------------------------------------------------------- */

#if CONFIG_JSON_C

void hmp_device_del(Monitor *mon, const Args *args)
{
    hmp_do(mon, "device_del", hmp_args(args, "id"));
}

void hmp_chardev_remove(Monitor *mon, const Args *args)
{
    hmp_do(mon, "chardev-remove", hmp_args(args, "id"));
}

void hmp_chardev_send_break(Monitor *mon, const Args *args)
{
    hmp_do(mon, "chardev-send-break", hmp_args(args, "id"));
}

void hmp_ringbuf_write(Monitor *mon, const Args *args)
{
    hmp_do(mon, "ringbuf-write", hmp_args(args, "device", "data"));
}

void hmp_getfd(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!fds_take_passed(mon, args_str(args, "fdname"), &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_closefd(Monitor *mon, const Args *args)
{
    hmp_do(mon, "closefd", hmp_args(args, "fdname"));
}

/* Bytes that a terminal would act on are shown as \ooo. */
static void print_bytes(Monitor *mon, const char *s)
{
    for (; *s; s++) {
        if ((*s >= 0x20 && *s != 0x7f && *s != '\\') || *s == '\n' ||
            *s == '\t' || *s & 0x80) {
            mon_printf(mon, "%c", *s);
        } else {
            mon_printf(mon, *s == '\\' ? "\\\\" : "\\%03o", (uint8_t)*s);
        }
    }
    mon_puts(mon, "\n");
}

void hmp_ringbuf_read(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");
    g_autoptr(json_object) text = NULL;

    js_int(o, "size", args_int(args, "size", 0));
    text = hmp_call(mon, "ringbuf-read", o);
    if (text) {
        print_bytes(mon, json_object_get_string(text));
    }
}

void hmp_dump_guest_memory(Monitor *mon, const Args *args)
{
    json_object *o = json_object_new_object();

    js_bool(o, "paging", args_bool(args, "paging", false));
    js_fmt(o, "protocol", "file:%s", args_str(args, "filename"));
    if (args_has(args, "begin")) {
        js_int(o, "begin", args_int(args, "begin", 0));
    }
    if (args_has(args, "length")) {
        js_int(o, "length", args_int(args, "length", 0));
    }
    hmp_do(mon, "dump-guest-memory", o);
}

void hmp_info_mice(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list = hmp_call(mon, "query-mice", NULL);

    if (list && !json_object_array_length(list)) {
        mon_puts(mon, "No mouse devices connected\n");
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        mon_printf(mon, "%c Mouse #%" PRId64 ": %s%s\n",
                   js_get_bool(o, "current") ? '*' : ' ',
                   js_get_int(o, "index"), js_get_str(o, "name"),
                   js_get_bool(o, "absolute") ? " (absolute)" : "");
    }
}

void hmp_info_memory_size(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) o = hmp_call(mon, "query-memory-size-summary", NULL);

    mon_printf(mon, "base memory: %" PRId64 "\nplugged memory: %" PRId64 "\n",
               js_get_int(o, "base-memory"), js_get_int(o, "plugged-memory"));
}

void hmp_info_memory_devices(Monitor *mon, const Args *args)
{
    hmp_do(mon, "query-memory-devices", NULL); /* an empty list */
}

void hmp_info_dump(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) o = hmp_call(mon, "query-dump", NULL);

    if (o) {
        mon_printf(mon, "Status: %s\n", js_get_str(o, "status"));
    }
}

static void print_cpu_place(Monitor *mon, json_object *cpu)
{
    json_object *props = js_get(cpu, "props");

    mon_printf(mon, "  type: \"%s\"\n  vcpus_count: \"%" PRId64 "\"\n",
               js_get_str(cpu, "type"), js_get_int(cpu, "vcpus-count"));
    mon_printf(mon, "  qom_path: \"%s\"\n  CPUInstance Properties:\n",
               js_get_str(cpu, "qom-path"));
    json_object_object_foreach(props, key, v)
    {
        mon_printf(mon, "    %s: \"%" PRId64 "\"\n", key,
                   json_object_get_int64(v));
    }
}

void hmp_info_hotpluggable_cpus(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list =
        hmp_call(mon, "query-hotpluggable-cpus", NULL);

    mon_puts(mon, "Hotpluggable CPUs:\n");
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        print_cpu_place(mon, json_object_array_get_idx(list, i));
    }
}

static const char *yes(json_object *o, const char *key)
{
    return js_get_bool(o, key) ? "true" : "false";
}

void hmp_info_memdev(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list = hmp_call(mon, "query-memdev", NULL);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        mon_printf(mon,
                   "memory backend: %s\n  size:  %" PRId64 "\n  merge: %s\n"
                   "  dump: %s\n  prealloc: %s\n  share: %s\n  reserve: %s\n"
                   "  policy: %s\n  host nodes: \n",
                   js_get_str(o, "id"), js_get_int(o, "size"), yes(o, "merge"),
                   yes(o, "dump"), yes(o, "prealloc"), yes(o, "share"),
                   yes(o, "reserve"), js_get_str(o, "policy"));
    }
    mon_puts(mon, "\n");
}

void hmp_info_iothreads(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list = hmp_call(mon, "query-iothreads", NULL);
    static const char *const names[] = { "poll-max-ns", "poll-grow",
                                         "poll-shrink", "aio-max-batch" };

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        mon_printf(mon, "%s:\n  thread_id=%" PRId64 "\n", js_get_str(o, "id"),
                   js_get_int(o, "thread-id"));
        for (size_t k = 0; k < G_N_ELEMENTS(names); k++) {
            mon_printf(mon, "  %s=%" PRId64 "\n", names[k],
                       js_get_int(o, names[k]));
        }
    }
}

/* ---- the tree --------------------------------------------------------------------------- */

static json_object *list_path(Monitor *mon, const char *path)
{
    json_object *o = json_object_new_object();

    js_str(o, "path", path);
    return hmp_call(mon, "qom-list", o);
}

void hmp_qom_list(Monitor *mon, const Args *args)
{
    const char *path = args_str(args, "path");
    g_autoptr(json_object) list = list_path(mon, path ? path : "/");

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        mon_printf(mon, "%s (%s)\n", js_get_str(o, "name"),
                   js_get_str(o, "type"));
    }
}

void hmp_qom_get(Monitor *mon, const Args *args)
{
    json_object *o = json_object_new_object();
    g_autoptr(json_object) v = NULL;
    g_autoptr(GString) text = g_string_new(NULL);

    js_str(o, "path", args_str(args, "path"));
    js_str(o, "property", args_str(args, "property"));
    v = hmp_call(mon, "qom-get", o);
    if (v) {
        js_print(v, true, text);
        mon_printf(mon, "%s\n", text->str);
    }
}

void hmp_qom_set(Monitor *mon, const Args *args)
{
    hmp_do(mon, "qom-set", hmp_args(args, "path", "property", "value"));
}

/* "child<isa-serial>" to "isa-serial"; false: no child. */
static bool child_type(const char *type, char *out, size_t size)
{
    if (!g_str_has_prefix(type, "child<")) {
        return false;
    }
    g_strlcpy(out, type + strlen("child<"), size);
    out[strcspn(out, ">")] = '\0';
    return true;
}

static void print_tree(Monitor *mon, const char *path, int depth)
{
    g_autoptr(json_object) list = list_path(mon, path);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);
        const char *name = js_get_str(o, "name");
        g_autofree char *child =
            g_strdup_printf("%s/%s", strcmp(path, "/") ? path : "", name);
        char type[128];

        if (child_type(js_get_str(o, "type"), type, sizeof(type))) {
            mon_printf(mon, "%*s/%s (%s)\n", depth * 2, "", name, type);
            print_tree(mon, child, depth + 1);
        }
    }
}

void hmp_info_qom_tree(Monitor *mon, const Args *args)
{
    const char *path = args_str(args, "path");
    g_autoptr(json_object) o = json_object_new_object();
    g_autoptr(json_object) type = NULL;

    path = path ? path : "/machine";
    js_str(o, "path", path);
    js_str(o, "property", "type");
    type = hmp_call(mon, "qom-get", json_object_get(o));
    if (type) {
        mon_printf(mon, "%s (%s)\n", path, json_object_get_string(type));
        print_tree(mon, path, 1);
    }
}

#endif
