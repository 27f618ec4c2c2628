/*
 * The configuration header of type 0 and the capabilities we make. PCI Local
 * Bus 3.0, 6.1, 6.2 and 6.8.
 */
#ifndef HW_PCI_PCI_REGS_H
#define HW_PCI_PCI_REGS_H

enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_PROG = 0x09,
    PCI_CLASS_DEVICE = 0x0a,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BASE_ADDRESS = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM_ADDRESS = 0x30,
    PCI_CAPABILITY_LIST = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_HEADER_SIZE = 0x40,
};

enum {
    PCI_COMMAND_IO = 0x0001,
    PCI_COMMAND_MEMORY = 0x0002,
    PCI_COMMAND_MASTER = 0x0004,
    PCI_COMMAND_SERR = 0x0100,
    PCI_COMMAND_INTX_DISABLE = 0x0400,
    PCI_STATUS_INTERRUPT = 0x0008,
    PCI_STATUS_CAP_LIST = 0x0010,
    PCI_STATUS_FAST_BACK = 0x0080,
    PCI_STATUS_DEVSEL_MEDIUM = 0x0200,
    PCI_STATUS_ERRORS = 0xf900, /* a one clears them */
    PCI_HEADER_MULTIFUNCTION = 0x80,
    PCI_ROM_ENABLE = 0x01,
};

enum {
    PCI_CAP_MSI = 0x05,
    PCI_CAP_VENDOR = 0x09,
    PCI_CAP_MSIX = 0x11,
};

#define PCI_SLOT(devfn)       ((unsigned)(devfn) >> 3)
#define PCI_FUNC(devfn)       ((unsigned)(devfn)&7)
#define PCI_DEVFN(slot, func) ((uint8_t)((slot) << 3 | (func)))

#endif
