/*
 * All device classes and machines, in the order that -device help and
 * -machine help show them.
 */
#include "util/osdep.h"
#include "system/machine.h"

extern const MachineClass pc_machine, none_machine;

extern const DeviceClass i8259_class, isa_serial_class, isa_debugcon_class;

const DeviceClass *const device_classes[] = {
    &i8259_class,
    &isa_serial_class,
    &isa_debugcon_class,
    NULL,
};

const MachineClass *const machine_classes[] = {
    &pc_machine,
    &none_machine,
    NULL,
};
