/*
 * One virtio device on a machine of RAM, behind any of the four interfaces, and
 * the driver of virtio-driver.h at it.
 */
#ifndef TESTS_LIB_VIRTIO_FACES_H
#define TESTS_LIB_VIRTIO_FACES_H

#include "tests/lib/virtio-rig.h"
#include "tests/qtest/pci-test.h"

typedef enum RigKind {
    RIG_MMIO,
    RIG_MMIO_LEGACY,
    RIG_PCI, /* transitional: the legacy interface is there, too */
    RIG_PCI_LEGACY,
    RIG_KINDS,
} RigKind;

enum {
    RIG_SLOT = 4, /* of the bus */
    RIG_MMIO_BASE = BASE,
    RIG_MODERN = 0xe0000000,
    RIG_MSIX = 0xe1000000,
    RIG_LEGACY = 0xc000,
    RIG_DATA = 0x10000, /* where vd_alloc() begins */
};

typedef struct VirtioRig {
    PciTest t; /* of which only the queue and RAM are used on mmio */
    RigKind kind;
    Device *slot; /* mmio's; else NULL */
    Device *dev;
    VDriver d;
} VirtioRig;

static inline bool rig_is_pci(const VirtioRig *g)
{
    return g->kind >= RIG_PCI;
}

static inline const char *rig_kind_name(RigKind kind)
{
    static const char *const names[] = { "mmio", "mmio-legacy", "pci",
                                         "pci-legacy" };

    return names[kind];
}

/* A machine without the device. */
static inline void rig_start(VirtioRig *g, RigKind kind)
{
    memset(g, 0, sizeof(*g));
    g->kind = kind;
    if (rig_is_pci(g)) {
        pt_start(&g->t);
    } else {
        g->slot = rig_slot(&g->t.q, &g->t.ram, PT_RAM, kind == RIG_MMIO_LEGACY,
                           &g->d);
    }
    g->t.q.m->cfg.ram_size = PT_RAM;
}

/* The device, not realized yet. */
static inline Device *rig_device(VirtioRig *g, const DeviceClass *mmio,
                                 const DeviceClass *pci)
{
    g->dev = device_new_class(g->t.q.m, rig_is_pci(g) ? pci : mmio, "dev0");
    if (rig_is_pci(g)) {
        g_assert_true(device_set(g->dev, "addr", "4", NULL));
    }
    return g->dev;
}

/* BARs where the driver looks for them. */
static inline void rig_map(VirtioRig *g)
{
    if (rig_is_pci(g)) {
        pt_write(&g->t, RIG_SLOT, 0x10, RIG_LEGACY, 4);
        pt_write(&g->t, RIG_SLOT, 0x14, RIG_MSIX, 4);
        pt_write(&g->t, RIG_SLOT, 0x20, RIG_MODERN, 4);
        pt_write(&g->t, RIG_SLOT, 0x24, 0, 4);
        pt_enable(&g->t, RIG_SLOT);
    }
}

/* Realizes it; the driver has not begun. */
static inline void rig_plug(VirtioRig *g)
{
    static const hwaddr base[] = { RIG_MMIO_BASE, RIG_MMIO_BASE, RIG_MODERN,
                                   RIG_LEGACY };

    qtest_realize(g->dev);
    rig_map(g);
    g->d = (VDriver) {
        .m = g->t.q.m,
        .kind = g->kind == RIG_PCI          ? VD_PCI
                : g->kind == RIG_PCI_LEGACY ? VD_PCI_LEGACY
                                            : VD_MMIO,
        .base = base[g->kind],
        .legacy = g->kind == RIG_MMIO_LEGACY || g->kind == RIG_PCI_LEGACY,
        .next = RIG_DATA,
    };
}

/* Reset, features, and no ring yet. */
static inline void rig_negotiate(VirtioRig *g, uint64_t features)
{
    g_assert_true(vd_negotiate(
        &g->d, features | (g->d.legacy ? 0 : VIRTIO_BIT(VIRTIO_F_VERSION_1))));
}

/* Memory and all devices of @from go into @to, which was made the same way. */
static inline void rig_copy(VirtioRig *from, VirtioRig *to)
{
    GPtrArray *a = from->t.q.m->devices, *b = to->t.q.m->devices;

    qtest_step(&to->t.q,
               clock_ns(from->t.q.m->vclock) - clock_ns(to->t.q.m->vclock));
    memcpy(to->t.ram.ram, from->t.ram.ram, PT_RAM);
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++) {
        Device *src = a->pdata[i], *dst = b->pdata[i];
        g_autoptr(GByteArray) s = g_byte_array_new();
        GError *err = NULL;
        size_t pos = 0;

        if (!src->cls->vmstate) {
            continue;
        }
        vmstate_save(s, src->cls->vmstate, src, &err);
        g_assert_no_error(err);
        vmstate_load(s, &pos, dst->cls->vmstate, dst, &err);
        g_assert_no_error(err);
    }
    to->d = from->d;
    to->d.m = to->t.q.m;
}

/* @fn for each interface: "/virtio-rng/pci/NAME". */
static inline void rig_add_tests(const char *device, const char *name,
                                 void (*fn)(gconstpointer kind))
{
    for (int kind = 0; kind < RIG_KINDS; kind++) {
        g_autofree char *path = g_strdup_printf(
            "/%s/%s/%s", device, rig_kind_name((RigKind)kind), name);

        g_test_add_data_func(path, GINT_TO_POINTER(kind), fn);
    }
}

/* Devices go first, with what sits in them before them. */
static inline void rig_drop_devices(VirtioRig *g)
{
    GPtrArray *devices = g->t.q.m->devices;

    vd_settle();
    while (devices->len) {
        device_free(devices->pdata[devices->len - 1]);
    }
    vd_settle();
}

static inline void rig_end(VirtioRig *g)
{
    rig_drop_devices(g);
    if (rig_is_pci(g)) {
        pt_end(&g->t);
    } else {
        as_unmap(&g->t.ram);
        region_fini(&g->t.ram);
        qtest_end(&g->t.q);
    }
}

#endif
