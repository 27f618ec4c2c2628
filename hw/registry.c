/*
 * All device classes and machines, in the order that -device help and
 * -machine help show them.
 */
#include "util/osdep.h"
#include "system/hotplug.h"
#include "system/machine.h"

/* One row a line: */
/* clang-format off */
extern const MachineClass pc_machine;
extern const MachineClass microvm_machine;
extern const MachineClass none_machine;

extern const DeviceClass isa_serial_class;
extern const DeviceClass isa_debugcon_class;
extern const DeviceClass virtio_blk_pci_class;
extern const DeviceClass virtio_blk_device_class;
extern const DeviceClass virtio_scsi_pci_class;
extern const DeviceClass virtio_scsi_device_class;
extern const DeviceClass scsi_hd_class;
extern const DeviceClass scsi_cd_class;
extern const DeviceClass virtio_rng_pci_class;
extern const DeviceClass virtio_rng_device_class;
extern const DeviceClass virtio_balloon_pci_class;
extern const DeviceClass virtio_balloon_device_class;
extern const DeviceClass virtio_serial_pci_class;
extern const DeviceClass virtio_serial_device_class;
extern const DeviceClass virtconsole_class;
extern const DeviceClass virtserialport_class;
extern const DeviceClass loader_class;
extern const DeviceClass debugexit_class;
extern const DeviceClass pvpanic_class;
extern const DeviceClass pc_testdev_class;
extern const DeviceClass edu_class;
extern const DeviceClass i6300esb_class;
extern const DeviceClass ib700_class;
extern const DeviceClass pci_testdev_class;
extern const DeviceClass virtio_net_pci_class;
extern const DeviceClass virtio_net_device_class;

/* For -object. */
extern const DeviceClass rng_random_object;
extern const DeviceClass rng_builtin_object;
extern const DeviceClass secret_object;
extern const DeviceClass iothread_object;
extern const DeviceClass memory_backend_ram;
extern const DeviceClass memory_backend_memfd;
extern const DeviceClass memory_backend_file;
extern const DeviceClass filter_dump_object;

/* Made by machines only; listed for snapshots and tests. */
extern const DeviceClass i8259_class;
extern const DeviceClass ioapic_class;
extern const DeviceClass apic_class;
extern const DeviceClass i8254_class;
extern const DeviceClass mc146818_class;
extern const DeviceClass hpet_class;
extern const DeviceClass acpi_pm_class;
extern const DeviceClass i8042_class;
extern const DeviceClass port92_class;
extern const DeviceClass cf9_class;
extern const DeviceClass port80_class;
extern const DeviceClass fw_cfg_class;
extern const DeviceClass virtio_mmio_class;
extern const DeviceClass i440fx_class;
extern const DeviceClass piix3_class;
extern const DeviceClass piix4_pm_class;

const DeviceClass *const device_classes[] = {
    &isa_serial_class,
    &isa_debugcon_class,
    &virtio_blk_pci_class,
    &virtio_blk_device_class,
    &virtio_scsi_pci_class,
    &virtio_scsi_device_class,
    &scsi_hd_class,
    &scsi_cd_class,
    &virtio_rng_pci_class,
    &virtio_rng_device_class,
    &virtio_balloon_pci_class,
    &virtio_balloon_device_class,
    &virtio_serial_pci_class,
    &virtio_serial_device_class,
    &virtconsole_class,
    &virtserialport_class,
    &loader_class,
    &debugexit_class,
    &pvpanic_class,
    &pc_testdev_class,
    &edu_class,
    &i6300esb_class,
    &ib700_class,
    &pci_testdev_class,
    &virtio_net_pci_class,
    &virtio_net_device_class,
    &rng_random_object,
    &rng_builtin_object,
    &secret_object,
    &iothread_object,
    &memory_backend_ram,
    &memory_backend_memfd,
    &memory_backend_file,
    &filter_dump_object,
    &i8259_class,
    &ioapic_class,
    &apic_class,
    &i8254_class,
    &mc146818_class,
    &hpet_class,
    &acpi_pm_class,
    &i8042_class,
    &port92_class,
    &cf9_class,
    &port80_class,
    &fw_cfg_class,
    &virtio_mmio_class,
    &i440fx_class,
    &piix3_class,
    &piix4_pm_class,
    NULL,
};

extern const HotplugBus pci_hotplug_bus;
extern const HotplugBus scsi_hotplug_bus;
extern const HotplugBus virtio_serial_hotplug_bus;

const HotplugBus *const hotplug_buses[] = {
    &pci_hotplug_bus,
    &scsi_hotplug_bus,
    &virtio_serial_hotplug_bus,
    NULL,
};

const MachineClass *const machine_classes[] = {
    &pc_machine,
    &microvm_machine,
    &none_machine,
    NULL,
};
