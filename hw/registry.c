/*
 * All device classes and machines, in the order that -device help and
 * -machine help show them.
 */
#include "util/osdep.h"
#include "system/machine.h"

/* clang-format off: one row a line */
extern const MachineClass pc_machine;
extern const MachineClass none_machine;

extern const DeviceClass isa_serial_class;
extern const DeviceClass isa_debugcon_class;
extern const DeviceClass loader_class;

/* Made by machines only; listed for snapshots and tests. */
extern const DeviceClass i8259_class;
extern const DeviceClass ioapic_class;
extern const DeviceClass apic_class;
extern const DeviceClass i8254_class;
extern const DeviceClass mc146818_class;

const DeviceClass *const device_classes[] = {
    &isa_serial_class,
    &isa_debugcon_class,
    &loader_class,
    &i8259_class,
    &ioapic_class,
    &apic_class,
    &i8254_class,
    &mc146818_class,
    NULL,
};

const MachineClass *const machine_classes[] = {
    &pc_machine,
    &none_machine,
    NULL,
};
