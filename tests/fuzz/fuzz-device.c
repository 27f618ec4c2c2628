/*
 * -device: one text a line, on the board "pc" with a disk d0 and a line c0 for
 * those who ask. What was made is used a little (reset, state out and in) and
 * goes in the end. Nothing on the host is named: such lines are left out.
 */
#include "util/osdep.h"
#include "hw/block/drive.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/line.h"
#include "tests/lib/monitor-vm.h"
#include "util/keyval.h"
#include "util/mainloop.h"

enum { LINES_MAX = 16, MADE_MAX = 12 };

static bool touches_host(const char *text)
{
    return strpbrk(text, "/\\") || strstr(text, "file") ||
           strstr(text, "loader");
}

static Device *make(Machine *m, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "driver", errp);
    Device *dev;

    if (!kv || !keyval_get(kv, "driver")) { /* the command line asks for one */
        return NULL;
    }
    dev = device_new(m, keyval_get(kv, "driver"), keyval_get(kv, "id"), errp);
    if (dev &&
        (!device_set_options(dev, kv, errp) || !device_realize(dev, errp))) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

static void use(Device *dev)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    GError *err = NULL;
    size_t pos = 0;

    if (dev->cls->reset) {
        dev->cls->reset(dev);
    }
    if (dev->cls->vmstate) {
        vmstate_save(s, dev->cls->vmstate, dev, NULL);
        vmstate_load(s, &pos, dev->cls->vmstate, dev, &err);
        g_assert_no_error(err);
    }
}

static Machine *build(void)
{
    Machine *m = mvm_prepare("pc", clock_new_manual());

    m->cfg.ram_size = 2 * MIB;
    m->cfg.no_shutdown = true;
    line_new(m, "c0")->room = SIZE_MAX;
    mvm_build(m);
    g_assert_true(drive_add(m, "if=none,id=d0,driver=null-co,size=1M", NULL));
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Machine *m;
    g_auto(GStrv) lines = input_lines(data, len, LINES_MAX);
    guint before;

    m = m ? m : build();
    before = m->devices->len;
    for (char **l = lines; *l && m->devices->len < before + MADE_MAX; l++) {
        g_autoptr(GError) err = NULL;
        Device *dev = touches_host(*l) ? NULL : make(m, *l, &err);

        if (dev) {
            use(dev);
        }
        g_assert_true(!dev || !err);
        if (err && strchr(err->message, '\n')) {
            g_error("'%s': more than a line: '%s'", *l, err->message);
        }
    }
    while (mainloop_iterate(false)) {
    }
    while (m->devices->len > before) {
        device_free(m->devices->pdata[m->devices->len - 1]);
    }
    return 0;
}
