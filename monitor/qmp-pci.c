/* QMP about PCI functions. */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/pci/pci.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

enum { /* offsets in the header. PCI 3.0, figure 6-1 */
       CFG_VENDOR = 0x00,
       CFG_DEVICE = 0x02,
       CFG_CLASS = 0x0a,
       CFG_SUB_VENDOR = 0x2c,
       CFG_SUB_DEVICE = 0x2e,
       CFG_IRQ_LINE = 0x3c,
       CFG_IRQ_PIN = 0x3d,
};

static unsigned word(const PciDevice *pd, unsigned off)
{
    return pd->config[off] | pd->config[off + 1] << 8;
}

static void put_region(json_object *list, const PciBar *bar, int n)
{
    json_object *o = js_add(list, json_object_new_object());
    bool io = bar->type & PCI_BAR_IO;

    js_int(o, "bar", n);
    if (!io) {
        js_bool(o, "prefetch", bar->type & PCI_BAR_PREFETCH);
        js_bool(o, "mem_type_64", bar->type & PCI_BAR_MEM64);
    }
    js_u64(o, "size", bar->size);
    /* Nowhere: all ones, as QEMU has it. */
    js_int(o, "address", (int64_t)bar->addr);
    js_str(o, "type", io ? "io" : "memory");
}

static void put_device(json_object *o, const PciDevice *pd, unsigned bus)
{
    json_object *cls = js_put(o, "class_info", json_object_new_object());
    json_object *id = js_put(o, "id", json_object_new_object());
    json_object *regions = js_put(o, "regions", json_object_new_array());

    js_int(o, "bus", bus);
    js_int(o, "slot", pd->devfn >> 3);
    js_int(o, "function", pd->devfn & 7);
    js_str(o, "qdev_id", pd->dev.id ? pd->dev.id : "");
    js_int(cls, "class", word(pd, CFG_CLASS));
    js_str(cls, "desc", pci_class_name((uint16_t)word(pd, CFG_CLASS)));
    js_int(id, "vendor", word(pd, CFG_VENDOR));
    js_int(id, "device", word(pd, CFG_DEVICE));
    js_int(id, "subsystem-vendor", word(pd, CFG_SUB_VENDOR));
    js_int(id, "subsystem", word(pd, CFG_SUB_DEVICE));
    js_int(o, "irq_pin", pd->config[CFG_IRQ_PIN]);
    if (pd->config[CFG_IRQ_PIN]) {
        js_int(o, "irq", pd->config[CFG_IRQ_LINE]);
    }
    for (int i = 0; i < PCI_REGIONS; i++) {
        if (pd->bar[i].region) {
            put_region(regions, &pd->bar[i], i);
        }
    }
}

json_object *qmp_query_pci(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    for (guint b = 0; m->pci_buses && b < m->pci_buses->len; b++) {
        json_object *o = js_add(list, json_object_new_object());
        json_object *devices;

        js_int(o, "bus", b);
        devices = js_put(o, "devices", json_object_new_array());
        for (unsigned fn = 0; fn < PCI_DEVFNS; fn++) {
            const PciDevice *pd =
                pci_bus_device(m->pci_buses->pdata[b], (uint8_t)fn);

            if (pd) {
                put_device(js_add(devices, json_object_new_object()), pd, b);
            }
        }
    }
    return list;
}

#endif
