/*
 * Devices: a class says what can be made, an instance is made of it.
 *
 * Life: device_new -> properties set -> realize -> reset -> (runs) ->
 * unrealize -> free. realize may fail and then leaves nothing behind; reset
 * cannot fail and puts every guest-visible field in its power-on state.
 * Everything here runs in the main thread with the machine lock held.
 */
#ifndef SYSTEM_DEVICE_H
#define SYSTEM_DEVICE_H

#include "system/vmstate.h"

typedef struct Machine Machine;
typedef struct KeyVal KeyVal;
typedef struct Device Device;

typedef enum PropKind {
    PROP_BOOL, /* bool */
    PROP_U8,
    PROP_U16,
    PROP_U32,
    PROP_U64,
    PROP_SIZE,    /* uint64_t, "64M" */
    PROP_STRING,  /* char *, owned by the device; defval is a const char * */
    PROP_CHARDEV, /* Chardev *, by its id */
    PROP_DRIVE,   /* char *, its id: drive_take() in realize() */
    PROP_NETDEV,  /* char *, its id: found and connected in realize() */
    PROP_END,
} PropKind;

typedef struct Property {
    const char *name; /* as typed after -device NAME, */
    PropKind kind;
    size_t offset;
    uint64_t defval;
    const char *help; /* shown by -device NAME,help */
} Property;

/* What -device help lists it under. */
typedef enum DeviceCategory {
    DEVICE_UNCATEGORIZED,
    DEVICE_BRIDGE,
    DEVICE_STORAGE,
    DEVICE_NETWORK,
    DEVICE_INPUT, /* serial lines, too, as in QEMU */
    DEVICE_MISC,
    DEVICE_WATCHDOG,
    DEVICE_CATEGORIES,
} DeviceCategory;

typedef struct DeviceClass {
    const char *name;  /* as typed after -device */
    const char *alias; /* another name for the same, or NULL */
    const char *desc;
    DeviceCategory category;
    const char *bus;        /* "ISA", "PCI", "virtio-bus"; NULL: none */
    size_t size;            /* of the instance; a Device comes first in it */
    const Property *props;  /* ends with PROP_END; may be NULL */
    const VMState *vmstate; /* NULL: has no state of its own */
    bool internal;          /* made by machines only, not by -device */
    /* Lines of others end in it, and a rise is remembered: its state is loaded
     * after theirs. */
    bool has_inputs;
    bool (*realize)(Device *dev, GError **errp);
    void (*reset)(Device *dev);
    void (*unrealize)(Device *dev);
} DeviceClass;

struct Device {
    const DeviceClass *cls;
    Machine *machine;
    char *id;
    Device *parent; /* whose bus it sits on, if that is a device */
    bool realized;
    bool hotplugged;    /* by device_add */
    bool unplugged;     /* is being taken out by device_del */
    bool leaving;       /* device_free() is at it */
    GError *bad_global; /* that could not be set: realize says so */
    unsigned users;     /* of an object: see system/object.h */
};

/* hw/registry.c: one NULL-terminated table, in the order -device help shows. */
extern const DeviceClass *const device_classes[];

/* As device_class_get(). Defaults are set, then -global values of the machine. */
Device *device_new(Machine *m, const char *cls, const char *id, GError **errp);
/* For classes that a machine names directly. */
Device *device_new_class(Machine *m, const DeviceClass *cls, const char *id);
bool device_set(Device *dev, const char *prop, const char *value,
                GError **errp);
/* The value of property @name if that is a number; false: it is not, or there is
 * none. */
bool device_number(const Device *dev, const char *name, uint64_t *value);
/* Is the -global "driver.prop=value" for devices of @cls? */
bool device_global_fits(const DeviceClass *cls, const char *global);
/* Every pair but driver, qom-type and id. */
bool device_set_options(Device *dev, KeyVal *options, GError **errp);
/* Appends to machine->devices. On failure the caller frees the device. */
bool device_realize(Device *dev, GError **errp);
/* Unrealizes if realized, leaves machine->devices, frees. */
void device_free(Device *dev);
/* @name (or alias) as in "-device help": the class or NULL. */
const DeviceClass *device_class_find(const char *name);
/* The same; NULL sets @errp, which says what there is instead of a device of
 * QEMU, or names the nearest class. */
const DeviceClass *device_class_get(const char *name, GError **errp);
/* The text of -device help. */
void device_classes_print(GString *out);
const char *prop_kind_name(PropKind kind); /* "bool", "uint8", "str" */

#endif
