/*
 * PCI hot plug by ACPI: the registers as the DSDT's methods use them, the event,
 * what a guest may do that it should not, and state.
 */
#include "tests/qtest/pci-test.h"
#include "hw/acpi/pcihp.h"
#include "hw/acpi/pm.h"
#include "system/hotplug.h"
#include "util/keyval.h"

extern const DeviceClass acpi_pm_class;

enum { GPE_STS = PM_DEFAULT_BASE + PM_GPE0_OFF, GPE_EN = GPE_STS + 4 };

typedef struct Rig {
    PciTest t;
    Device *pm, *piix4;
    char *deleted; /* ids, "a b " */
} Rig;

static uint32_t reg(Rig *r, unsigned off)
{
    return (uint32_t)as_load(r->t.q.m->io, PCIHP_BASE + off, 4);
}

static void set_reg(Rig *r, unsigned off, uint32_t v)
{
    as_store(r->t.q.m->io, PCIHP_BASE + off, v, 4);
}

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    Rig *r = opaque;
    const EventValue *id = event_value(values, "device");
    char *old = r->deleted;

    if (!strcmp(event, "DEVICE_DELETED")) {
        r->deleted = g_strconcat(old, id->s ? id->s : "?", " ", NULL);
        g_free(old);
    }
}

static void rig_start(Rig *r)
{
    Machine *m;

    memset(r, 0, sizeof(*r));
    pt_start(&r->t);
    m = r->t.q.m;
    r->deleted = g_strdup("");
    r->pm = qtest_device(&r->t.q, &acpi_pm_class);
    r->piix4 = device_new_class(m, &piix4_pm_class, NULL);
    piix4_pm_set_pm(r->piix4, r->pm);
    g_assert_true(device_set(r->piix4, "addr", "1.3", NULL));
    qtest_realize(r->piix4);
    pci_config_write(container_of(r->piix4, PciDevice, dev), PIIX4_PMBASE,
                     PM_DEFAULT_BASE, 4);
    pci_config_write(container_of(r->piix4, PciDevice, dev), PIIX4_PMREGMISC, 1,
                     1);
    as_store(m->io, GPE_EN, 1 << PCIHP_GPE, 1);
    machine_watch(m, on_event, r);
}

static void rig_end(Rig *r)
{
    machine_unwatch(r->t.q.m, on_event, r);
    g_free(r->deleted);
    pt_end(&r->t);
}

static bool add(Rig *r, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "driver", NULL);

    return hotplug_add(r->t.q.m, kv, errp);
}

static Device *find(Rig *r, const char *id)
{
    GPtrArray *all = r->t.q.m->devices;

    for (guint i = 0; i < all->len; i++) {
        if (!g_strcmp0(((Device *)all->pdata[i])->id, id)) {
            return all->pdata[i];
        }
    }
    return NULL;
}

/* What _E01 sees: the event, who came and who shall go. */
static void expect(Rig *r, uint32_t up, uint32_t down)
{
    g_assert_cmpint(r->t.q.level[PM_SCI_GSI], ==, 1);
    as_store(r->t.q.m->io, GPE_STS, 1 << PCIHP_GPE, 1);
    g_assert_cmpint(r->t.q.level[PM_SCI_GSI], ==, 0);
    g_assert_cmphex(reg(r, PCIHP_UP), ==, up);
    g_assert_cmphex(reg(r, PCIHP_UP), ==, 0); /* reading clears it */
    g_assert_cmphex(reg(r, PCIHP_DOWN), ==, down);
}

static void test_life(void)
{
    Rig r;

    rig_start(&r);
    g_assert_cmphex(reg(&r, PCIHP_RMV), ==, 0xfffffffc);
    g_assert_true(add(&r, "edu,id=a,addr=4", NULL));
    expect(&r, 1 << 4, 0);
    g_assert_cmphex(pt_read(&r.t, 4, PCI_VENDOR_ID, 2), ==, 0x1234);
    g_assert_cmphex(pt_read(&r.t, 4, PCI_COMMAND, 2), ==, 0);
    g_assert_true(hotplug_request(find(&r, "a"), NULL));
    expect(&r, 0, 1 << 4);
    g_assert_true(hotplug_request(find(&r, "a"), NULL)); /* again */
    expect(&r, 0, 1 << 4);
    g_assert_cmpstr(r.deleted, ==, "");
    set_reg(&r, PCIHP_EJECT, 1 << 4);
    g_assert_cmpstr(r.deleted, ==, "a ");
    g_assert_null(find(&r, "a"));
    g_assert_cmphex(reg(&r, PCIHP_DOWN), ==, 0);
    g_assert_cmphex(pt_read(&r.t, 4, PCI_VENDOR_ID, 2), ==, 0xffff);
    g_assert_true(add(&r, "edu,id=a,addr=4", NULL)); /* the place is free */
    rig_end(&r);
}

/* All functions of a slot go together. */
static void test_functions(void)
{
    Rig r;

    rig_start(&r);
    g_assert_true(add(&r, "edu,id=f1,addr=5.1,multifunction=on", NULL));
    g_assert_true(add(&r, "edu,id=f0,addr=5.0,multifunction=on", NULL));
    g_assert_true(add(&r, "edu,id=other,addr=6", NULL));
    g_assert_true(hotplug_request(find(&r, "f1"), NULL));
    expect(&r, 3 << 5, 1 << 5);
    set_reg(&r, PCIHP_EJECT, 3 << 5); /* the lowest alone */
    g_assert_cmpstr(r.deleted, ==, "f1 f0 ");
    rig_end(&r);
}

/* The board stays, whatever the guest ejects; other buses are empty. */
static void test_hostile(void)
{
    Rig r;

    rig_start(&r);
    g_assert_true(add(&r, "edu,id=a,addr=2", NULL));
    for (unsigned slot = 0; slot < 2; slot++) {
        set_reg(&r, PCIHP_EJECT, 1u << slot);
    }
    set_reg(&r, PCIHP_EJECT, 0);
    set_reg(&r, PCIHP_EJECT, 1u << 31);
    set_reg(&r, PCIHP_SELECT, 7);
    g_assert_cmphex(reg(&r, PCIHP_RMV), ==, 0);
    g_assert_cmphex(reg(&r, PCIHP_UP), ==, 0);
    set_reg(&r, PCIHP_EJECT, 1 << 2);
    g_assert_cmpstr(r.deleted, ==, "");
    set_reg(&r, PCIHP_SELECT, 0);
    set_reg(&r, PCIHP_EJECT, 1 << 2); /* nobody asked for it */
    g_assert_cmpstr(r.deleted, ==, "a ");
    g_assert_cmphex(pt_read(&r.t, 1, PCI_VENDOR_ID, 2), ==, 0x8086);
    qtest_garbage(&r.t.q, r.t.q.m->io, PCIHP_BASE, PCIHP_LEN);
    rig_end(&r);
}

/* A reset takes out what the guest was asked for. */
static void test_reset(void)
{
    Rig r;

    rig_start(&r);
    g_assert_true(add(&r, "edu,id=a,addr=8", NULL));
    g_assert_true(add(&r, "edu,id=b,addr=9", NULL));
    g_assert_true(hotplug_request(find(&r, "a"), NULL));
    machine_reset(r.t.q.m);
    g_assert_cmpstr(r.deleted, ==, "a ");
    g_assert_cmphex(reg(&r, PCIHP_UP), ==, 0);
    g_assert_cmphex(reg(&r, PCIHP_DOWN), ==, 0);
    g_assert_nonnull(find(&r, "b"));
    rig_end(&r);
}

static void expect_error(Rig *r, const char *text, const char *want)
{
    g_autoptr(GError) err = NULL;
    guint n = r->t.q.m->devices->len;

    g_assert_false(add(r, text, &err));
    g_assert_nonnull(strstr(err->message, want));
    g_assert_cmpuint(r->t.q.m->devices->len, ==, n);
}

static void test_refused(void)
{
    g_autoptr(GError) err = NULL;
    Rig r;

    rig_start(&r);
    expect_error(&r, "id=a", "Parameter 'driver' is missing");
    expect_error(&r, "edu,id=1", "expects an identifier");
    expect_error(&r, "edu,addr=1.3", "in use by PIIX4_PM");
    expect_error(&r, "edu,bus=pci.9", "Bus 'pci.9' not found");
    expect_error(&r, "ib700", "Bus 'isa.0' does not support hotplugging");
    expect_error(&r, "PIIX3", "part of the machine");
    g_assert_false(hotplug_request(r.piix4, &err));
    g_assert_cmpstr(err->message, ==,
                    "Device 'PIIX4_PM' does not support hotplugging");
    rig_end(&r);
}

/* Without ACPI nobody would tell the guest. */
static void test_no_acpi(void)
{
    g_autoptr(KeyVal) kv = keyval_parse("edu", "driver", NULL);
    g_autoptr(GError) err = NULL;
    PciTest t;

    pt_start(&t);
    g_assert_false(hotplug_add(t.q.m, kv, &err));
    g_assert_cmpstr(err->message, ==,
                    "Bus 'pci.0' does not support hotplugging");
    pt_end(&t);
}

static void test_state(void)
{
    Rig a, b;

    rig_start(&a);
    rig_start(&b);
    for (unsigned i = 0; i < 2; i++) {
        Rig *r = i ? &b : &a;

        g_assert_true(add(r, "edu,id=x,addr=4", NULL));
        g_assert_true(add(r, "edu,id=y,addr=a", NULL));
    }
    set_reg(&b, PCIHP_SELECT, 3);
    g_assert_true(hotplug_request(find(&a, "x"), NULL));
    qtest_check_state(a.piix4, b.piix4);
    qtest_check_state(a.pm, b.pm);
    expect(&b, 1 << 4 | 1 << 10, 1 << 4);
    set_reg(&b, PCIHP_EJECT, 1 << 4);
    g_assert_cmpstr(b.deleted, ==, "x ");
    rig_end(&a);
    rig_end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pcihp/life", test_life);
    g_test_add_func("/pcihp/functions", test_functions);
    g_test_add_func("/pcihp/hostile", test_hostile);
    g_test_add_func("/pcihp/reset", test_reset);
    g_test_add_func("/pcihp/refused", test_refused);
    g_test_add_func("/pcihp/no-acpi", test_no_acpi);
    g_test_add_func("/pcihp/state", test_state);
    return g_test_run();
}
