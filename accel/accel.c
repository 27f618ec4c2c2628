/*
 * The accelerators, and which of those asked for gets the machine.
 *
 * The texts are QEMU's: programs that start "-accel kvm:tcg" read them to find
 * out what they got.
 */
#include "util/osdep.h"
#include "accel/accel.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"

extern const AccelOps tcg_accel; /* accel/tcg/tcg.c */
extern const AccelOps kvm_accel; /* accel/kvm/kvm.c */

/* In the order of -accel help; the first is the default. */
const AccelOps *const accels[] = {
    &tcg_accel,
    &kvm_accel,
    NULL,
};

const AccelOps *accel_find(const char *name)
{
    for (unsigned i = 0; accels[i]; i++) {
        if (strcmp(accels[i]->name, name) == 0) {
            return accels[i];
        }
    }
    return NULL;
}

/* These wires stay in the address space when the accelerator is closed. */
static void accel_map_changed(void *opaque, const FlatMap *map)
{
    const Machine *m = opaque;

    if (m->accel && m->accel->ops->map_changed) {
        m->accel->ops->map_changed(m->accel, map);
    }
}

static void accel_io_changed(void *opaque, const FlatMap *map)
{
    const Machine *m = opaque;

    if (m->accel && m->accel->ops->io_changed) {
        m->accel->ops->io_changed(m->accel, map);
    }
}

static void accel_ram_written(void *opaque, hwaddr addr, hwaddr len)
{
    const Machine *m = opaque;

    if (m->accel && m->accel->ops->ram_written) {
        m->accel->ops->ram_written(m->accel, addr, len);
    }
}

static void accel_attach(Machine *m, Accel *accel)
{
    m->accel = accel;
    as_watch(m->mem, accel_map_changed, m);
    as_watch(m->io, accel_io_changed, m);
    as_set_ram_hook(m->mem, accel_ram_written, m);
    accel_map_changed(m, as_flat(m->mem));
    accel_io_changed(m, as_flat(m->io));
}

static bool accel_try(Machine *m, const char *name, KeyVal *options,
                      GError **errp)
{
    const AccelOps *ops = accel_find(name);
    GError *err = NULL;
    Accel *accel = NULL;

    if (!ops) {
        error_setg(errp, "-accel %s: invalid accelerator %s", name, name);
        return false;
    }
    accel = ops->open(m, options, &err); /* it says itself why it cannot */
    if (!accel) {
        error_setg(errp, "-accel %s: failed to initialize %s: %s", name, name,
                   err->message);
        g_error_free(err);
        return false;
    }
    accel->ops = ops;
    accel->machine = m;
    accel_attach(m, accel);
    return true;
}

/* For people, where no program waits for the exact line. */
static void accel_add_hint(GError *err)
{
    g_autoptr(GString) s = g_string_new(err->message);

    for (unsigned i = 0; accels[i]; i++) {
        g_string_append_printf(s, "%s%s",
                               i ? ", " : " (there are: ", accels[i]->name);
    }
    g_string_append_c(s, ')');
    g_free(err->message);
    err->message = g_string_free(g_steal_pointer(&s), false);
}

/* ---- options -------------------------------------------------------------------- */

typedef struct KeyCheck {
    GPtrArray *known;
    char *bad; /* the first that nobody knows */
} KeyCheck;

static void check_key(const char *key, const char *value, void *opaque)
{
    KeyCheck *kc = opaque;

    for (guint i = 0; i < kc->known->len; i++) {
        if (!strcmp(g_ptr_array_index(kc->known, i), key)) {
            return;
        }
    }
    if (!kc->bad) {
        kc->bad = g_strdup(key);
    }
}

bool accel_check_options(const char *names, KeyVal *options, GError **errp)
{
    g_auto(GStrv) list = g_strsplit(names, ":", -1);
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    KeyCheck kc = { .known = known };
    g_autofree char *hint = NULL, *bad = NULL;

    g_ptr_array_add(known, (char *)"accel");
    for (char **name = list; *name; name++) {
        const AccelOps *ops = accel_find(*name);

        for (unsigned i = 0; ops && ops->options && ops->options[i]; i++) {
            g_ptr_array_add(known, (char *)ops->options[i]);
        }
    }
    keyval_foreach(options, check_key, &kc);
    bad = kc.bad;
    if (bad) {
        hint = did_you_mean(bad, names_end(known), "; ");
        error_setg(errp, "-accel %s: there is no option '%s'%s", names, bad,
                   hint);
    }
    return !bad;
}

/* ---- opening -------------------------------------------------------------------- */

bool accel_open(Machine *m, const char *names, KeyVal *options, GError **errp)
{
    g_auto(GStrv) list = g_strsplit(names, ":", -1);
    g_autoptr(GError) last = NULL;

    for (char **name = list; *name; name++) {
        GError *err = NULL;

        if (!**name) {
            continue;
        }
        if (accel_try(m, *name, options, &err)) {
            if (last) {
                error_report("%s", last->message);
                error_report("falling back to %s", *name);
            }
            return true;
        }
        if (last) {
            error_report("%s", last->message);
            g_error_free(last);
        }
        last = err;
    }
    if (last) {
        accel_add_hint(last);
        g_propagate_error(errp, g_steal_pointer(&last));
    } else {
        error_setg(errp, "no accelerator in '%s'; the default is %s", names,
                   accels[0]->name);
    }
    return false;
}

void accel_close(Machine *m)
{
    Accel *accel = m->accel;

    if (accel) {
        m->accel = NULL;
        m->host = NULL;
        accel->ops->close(accel);
    }
}
