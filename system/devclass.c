/* Finding a device class by the name typed after -device. */
#include "util/osdep.h"
#include "system/device.h"
#include "system/object.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/nearest.h"

const DeviceClass *device_class_find(const char *name)
{
    for (unsigned i = 0; device_classes[i]; i++) {
        if (strcmp(device_classes[i]->name, name) == 0 ||
            g_strcmp0(device_classes[i]->alias, name) == 0) {
            return device_classes[i];
        }
    }
    return NULL;
}

/* Devices of QEMU that are not here, by pattern, and what there is instead. The
 * first row that fits counts. */
static const struct {
    const char *pattern, *instead;
} absent[] = {
#define NO_CARD "there is no such network card; use virtio-net-pci"
#define NO_DISK \
    "there is no such disk controller; use virtio-blk-pci, or " \
    "virtio-scsi-pci with scsi-hd and scsi-cd"
#define NO_SCREEN "there are no screens; use -nographic"
#define NO_SOUND  "there is no sound; leave it out"
#define NO_USB    "there is no USB; keyboard and mouse are PS/2"
#define NO_BRIDGE "there are no PCI bridges; devices go on bus pci.0"
#define NO_SHARE \
    "host directories are not shared; put the files on a disk " \
    "or into the -initrd"
    { "e1000*", NO_CARD },
    { "i825*", NO_CARD },
    { "igb*", NO_CARD },
    { "ne2k_*", NO_CARD },
    { "pcnet", NO_CARD },
    { "rtl8139", NO_CARD },
    { "tulip", NO_CARD },
    { "usb-net", NO_CARD },
    { "vmxnet3", NO_CARD },
    { "ahci", NO_DISK },
    { "am53c974", NO_DISK },
    { "dc390", NO_DISK },
    { "floppy", NO_DISK },
    { "ich9-ahci", NO_DISK },
    { "ide-*", NO_DISK },
    { "isa-fdc", NO_DISK },
    { "isa-ide", NO_DISK },
    { "lsi53c*", NO_DISK },
    { "megasas*", NO_DISK },
    { "mptsas1068", NO_DISK },
    { "nvme*", NO_DISK },
    { "piix?-ide", NO_DISK },
    { "pvscsi", NO_DISK },
    { "scsi-block", NO_DISK },
    { "scsi-generic", NO_DISK },
    { "sd-card", NO_DISK },
    { "sdhci-pci", NO_DISK },
    { "usb-storage", NO_DISK },
    { "usb-uas", NO_DISK },
    { "vhost-scsi*", NO_DISK },
    { "vhost-user-blk*", NO_DISK },
    { "vhost-user-scsi*", NO_DISK },
    { "ati-vga", NO_SCREEN },
    { "bochs-display", NO_SCREEN },
    { "cirrus-vga", NO_SCREEN },
    { "isa-*vga", NO_SCREEN },
    { "qxl*", NO_SCREEN },
    { "ramfb", NO_SCREEN },
    { "secondary-vga", NO_SCREEN },
    { "VGA", NO_SCREEN },
    { "vhost-user-*gpu*", NO_SCREEN },
    { "virtio-gpu*", NO_SCREEN },
    { "virtio-vga*", NO_SCREEN },
    { "vmware-svga", NO_SCREEN },
    { "AC97", NO_SOUND },
    { "adlib", NO_SOUND },
    { "cs4231a", NO_SOUND },
    { "ES1370", NO_SOUND },
    { "gus", NO_SOUND },
    { "hda-*", NO_SOUND },
    { "ich9-intel-hda", NO_SOUND },
    { "intel-hda", NO_SOUND },
    { "sb16", NO_SOUND },
    { "usb-audio", NO_SOUND },
    { "*-usb-?hci*", NO_USB },
    { "*usb-uhci*", NO_USB },
    { "*-xhci", NO_USB },
    { "pci-ohci", NO_USB },
    { "usb-*", NO_USB },
    { "virtio-input-*", NO_USB },
    { "virtio-keyboard*", NO_USB },
    { "virtio-mouse*", NO_USB },
    { "virtio-tablet*", NO_USB },
    { "i82801b11-bridge", NO_BRIDGE },
    { "ioh3420", NO_BRIDGE },
    { "pci-bridge*", NO_BRIDGE },
    { "pcie-*", NO_BRIDGE },
    { "pxb*", NO_BRIDGE },
    { "x3130-upstream", NO_BRIDGE },
    { "xio3130-downstream", NO_BRIDGE },
    { "vhost-user-fs*", NO_SHARE },
    { "virtio-9p*", NO_SHARE },
    { "intel-iommu", "there is no IOMMU; leave it out" },
    { "virtio-iommu*", "there is no IOMMU; leave it out" },
    { "nvdimm", "memory is not plugged in; -m says how much there is" },
    { "pc-dimm", "memory is not plugged in; -m says how much there is" },
    { "virtio-mem*", "memory is not plugged in; use virtio-balloon-pci" },
    { "virtio-pmem*", "memory is not plugged in; use virtio-blk-pci" },
    { "pci-serial*", "serial ports are ISA devices; use isa-serial" },
    { "pvpanic-pci", "use pvpanic, on the ISA bus" },
    { "tpm-*", "there is no trusted platform module; leave it out" },
    { "vfio-*", "the host's devices stay with the host; leave it out" },
    { "vhost-*vsock*", "use virtio-serial-pci with a virtserialport" },
#undef NO_CARD
#undef NO_DISK
#undef NO_SCREEN
#undef NO_SOUND
#undef NO_USB
#undef NO_BRIDGE
#undef NO_SHARE
};

static const char *instead_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        if (g_pattern_match_simple(absent[i].pattern, name)) {
            return absent[i].instead;
        }
    }
    return NULL;
}

static void no_such_class(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *instead = instead_of(name), *near;

    if (instead) {
        error_setg(errp, "'%s' is not a valid device model name: %s", name,
                   instead);
        return;
    }
    for (unsigned i = 0; device_classes[i]; i++) {
        if (!device_classes[i]->internal &&
            !object_class_is(device_classes[i])) {
            g_ptr_array_add(names, (char *)device_classes[i]->name);
        }
    }
    near = nearest_name(name, names_end(names));
    if (near) {
        error_setg(errp,
                   "'%s' is not a valid device model name; "
                   "did you mean '%s'?",
                   name, near);
    } else {
        error_setg(errp,
                   "'%s' is not a valid device model name "
                   "(-device help lists them)",
                   name);
    }
}

const DeviceClass *device_class_get(const char *name, GError **errp)
{
    const DeviceClass *c = device_class_find(name);

    if (!c) {
        no_such_class(name, errp);
    }
    return c;
}

Device *device_new(Machine *m, const char *cls, const char *id, GError **errp)
{
    const DeviceClass *c = device_class_get(cls, errp);

    if (!c) {
        return NULL;
    }
    if (object_class_is(c)) {
        error_setg(errp,
                   "'%s' is not a device: it is added with -object %s,id=", cls,
                   cls);
        return NULL;
    }
    if (c->internal) {
        error_setg(errp,
                   "'%s' is part of the machine and cannot be added with "
                   "-device",
                   cls);
        return NULL;
    }
    return device_new_class(m, c, id);
}

/* ---- lists --------------------------------------------------------------------- */

/* As QEMU heads them, and in its order. */
static const struct {
    DeviceCategory category;
    const char *heading;
} categories[DEVICE_CATEGORIES] = {
    { DEVICE_BRIDGE, "Controller/Bridge/Hub devices" },
    { DEVICE_STORAGE, "Storage devices" },
    { DEVICE_NETWORK, "Network devices" },
    { DEVICE_INPUT, "Input devices" },
    { DEVICE_MISC, "Misc devices" },
    { DEVICE_WATCHDOG, "Watchdog devices" },
    { DEVICE_UNCATEGORIZED, "Uncategorized devices" },
};

static void print_class(GString *out, const DeviceClass *dc)
{
    g_string_append_printf(out, "name \"%s\"", dc->name);
    if (dc->bus) {
        g_string_append_printf(out, ", bus %s", dc->bus);
    }
    if (dc->alias) {
        g_string_append_printf(out, ", alias \"%s\"", dc->alias);
    }
    g_string_append_printf(out, ", desc \"%s\"\n", dc->desc);
}

void device_classes_print(GString *out)
{
    for (unsigned c = 0; c < G_N_ELEMENTS(categories); c++) {
        bool any = false;

        for (unsigned i = 0; device_classes[i]; i++) {
            const DeviceClass *dc = device_classes[i];

            if (dc->internal || object_class_is(dc) ||
                dc->category != categories[c].category) {
                continue;
            }
            if (!any) {
                g_string_append_printf(out, "%s%s:\n", out->len ? "\n" : "",
                                       categories[c].heading);
            }
            any = true;
            print_class(out, dc);
        }
    }
}

const char *prop_kind_name(PropKind kind)
{
    static const char *const names[] = {
        [PROP_BOOL] = "bool",  [PROP_U8] = "uint8",    [PROP_U16] = "uint16",
        [PROP_U32] = "uint32", [PROP_U64] = "uint64",  [PROP_SIZE] = "size",
        [PROP_STRING] = "str", [PROP_CHARDEV] = "str", [PROP_DRIVE] = "str",
        [PROP_NETDEV] = "str",
    };

    return names[kind];
}
