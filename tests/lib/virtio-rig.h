/*
 * What the tests of virtio devices build upon: RAM, one mmio slot with a guest's
 * driver on it, disks in memory.
 */
#ifndef TESTS_LIB_VIRTIO_RIG_H
#define TESTS_LIB_VIRTIO_RIG_H

#include "hw/block/drive.h"
#include "hw/virtio/mmio.h"
#include "tests/lib/mem-disk.h"
#include "tests/lib/virtio-driver.h"
#include "tests/qtest/qtest.h"

enum { BASE = 0xfeb00000 }; /* the first slot */

/* @ram of @size bytes at 0, and @d for the slot, which comes back. */
static inline Device *rig_slot(QTest *q, Region *ram, uint64_t size,
                               bool legacy, VDriver *d)
{
    Device *slot;

    qtest_start(q);
    g_assert_true(region_init_ram(ram, "ram", size, NULL));
    as_map(q->m->mem, 0, ram, 0);
    slot = device_new_class(q->m, &virtio_mmio_class, NULL);
    g_assert_true(
        device_set(slot, "force-legacy", legacy ? "on" : "off", NULL));
    qtest_realize(slot);
    *d = (VDriver) {
        .m = q->m, .base = BASE, .legacy = legacy, .next = 0x10000
    };
    return slot;
}

/* The devices go, the last first. */
static inline void rig_unplug(QTest *q)
{
    while (q->m->devices->len) {
        device_free(q->m->devices->pdata[q->m->devices->len - 1]);
    }
}

/* @props: "serial=x,num-queues=2". */
static inline void rig_set(Device *dev, const char *props)
{
    g_auto(GStrv) list = g_strsplit(props, ",", 0);

    for (char **p = list; *p && **p; p++) {
        char *eq = strchr(*p, '=');

        *eq = '\0';
        g_assert_true(device_set(dev, *p, eq + 1, NULL));
    }
}

/* A drive @id of @size zeroes, which live in @disk. */
static inline void rig_drive(QTest *q, MemDisk *disk, const char *id,
                             unsigned size)
{
    Drive *d = g_new0(Drive, 1);

    mem_disk_init(disk, NULL, 0);
    g_byte_array_set_size(disk->bytes, size);
    memset(disk->bytes->data, 0, size);
    d->id = g_strdup(id);
    d->text = g_strdup("memory");
    d->machine = q->m;
    d->blk = blk_new(id, mem_disk_node(disk, BLOCK_RDWR), BLK_AIO_DEFAULT);
    g_ptr_array_add(machine_drives(q->m), d);
}

#endif
