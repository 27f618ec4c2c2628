/*
 * -drive, -blockdev and -object: one text a line, the first character says
 * which ('d', 'b', 'o', and 'x' deletes the node or object of that name).
 * Nothing on the host is named: such lines are left out.
 */
#include "util/osdep.h"
#include "hw/block/drive.h"
#include "system/object.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"

enum { LINES_MAX = 32 };

static const MachineClass fuzz_machine = { .name = "fuzz",
                                           .virtio_bus = "PCI" };

/* Files, sockets, memory without end, and temporary overlays. In JSON the word
 * "file" may be, as the place of a node under another one. */
static bool touches_host(const char *text)
{
    static const char *const plain[] = { "file", "path", "nbd",  "/",  "memory",
                                         ":",    "snap", "json", "\\", NULL };
    static const char *const in_json[] = { "filename", "path", "nbd",    "/",
                                           "host",     "\\",   "config", NULL };
    const char *const *words = text[0] == 'j' ? in_json : plain;

    for (int i = 0; words[i]; i++) {
        if (strstr(text, words[i])) {
            return true;
        }
    }
    return false;
}

static bool open_json(const char *text, GError **errp)
{
    g_autofree char *name = g_strconcat("json:", text, NULL);
    BlockNode *bn = block_open(name, NULL, NULL, BLOCK_RDWR, errp);
    uint8_t buf[512];

    if (!bn) {
        return false;
    }
    if (bn->size >= sizeof(buf)) {
        block_pread(bn, bn->size - sizeof(buf), buf, sizeof(buf));
    }
    block_close(bn, NULL);
    return true;
}

static void run_line(Machine *m, const char *line)
{
    g_autoptr(GError) err = NULL;
    bool ok = true;

    switch (line[0]) {
    case 'd':
        ok = drive_add(m, line + 1, &err);
        break;
    case 'b':
        ok = blockdev_add(m, line + 1, &err);
        break;
    case 'o':
        ok = object_add(m, line + 1, &err);
        break;
    case 'j':
        ok = open_json(line + 1, &err);
        break;
    case 'x':
        blockdev_del(m, line + 1, NULL);
        object_del(m, line + 1, NULL);
        drive_del(m, line + 1, NULL);
        break;
    default:
        break;
    }
    g_assert_true(ok == (err == NULL));
    if (err && strchr(err->message, '\n')) {
        g_error("'%s': more than a line: '%s'", line, err->message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    g_auto(GStrv) lines = input_lines(data, len, LINES_MAX);
    Machine *m = machine_new(&fuzz_machine, NULL);

    for (char **l = lines; *l; l++) {
        if (!touches_host(*l)) {
            run_line(m, *l);
        }
    }
    drives_free(m);
    objects_free(m);
    machine_free(m);
    return 0;
}
