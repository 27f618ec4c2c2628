/*
 * QEMU's firmware configuration device: named blobs for the guest.
 *
 * Ports 510 (selector), 511 (data), 514 (DMA address, big-endian). Specified
 * in QEMU's docs/specs/fw_cfg.rst. Machine lock held.
 */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include "system/machine.h"

enum { /* selectors */
       FW_CFG_SIGNATURE = 0x00,
       FW_CFG_ID = 0x01,
       FW_CFG_UUID = 0x02,
       FW_CFG_RAM_SIZE = 0x03,
       FW_CFG_NOGRAPHIC = 0x04,
       FW_CFG_NB_CPUS = 0x05,
       FW_CFG_KERNEL_ADDR = 0x07,
       FW_CFG_KERNEL_SIZE = 0x08,
       FW_CFG_INITRD_ADDR = 0x0a,
       FW_CFG_INITRD_SIZE = 0x0b,
       FW_CFG_BOOT_DEVICE = 0x0c,
       FW_CFG_NUMA = 0x0d,
       FW_CFG_BOOT_MENU = 0x0e,
       FW_CFG_MAX_CPUS = 0x0f,
       FW_CFG_KERNEL_ENTRY = 0x10,
       FW_CFG_KERNEL_DATA = 0x11,
       FW_CFG_INITRD_DATA = 0x12,
       FW_CFG_CMDLINE_ADDR = 0x13,
       FW_CFG_CMDLINE_SIZE = 0x14,
       FW_CFG_CMDLINE_DATA = 0x15,
       FW_CFG_SETUP_ADDR = 0x16,
       FW_CFG_SETUP_SIZE = 0x17,
       FW_CFG_SETUP_DATA = 0x18,
       FW_CFG_FILE_DIR = 0x19,
       FW_CFG_FILE_FIRST = 0x20,
       FW_CFG_ARCH_LOCAL = 0x8000,
       FW_CFG_ACPI_TABLES = FW_CFG_ARCH_LOCAL + 0,
       FW_CFG_SMBIOS_ENTRIES = FW_CFG_ARCH_LOCAL + 1,
       FW_CFG_IRQ0_OVERRIDE = FW_CFG_ARCH_LOCAL + 2,
       FW_CFG_E820_TABLE = FW_CFG_ARCH_LOCAL + 3,
       FW_CFG_HPET = FW_CFG_ARCH_LOCAL + 4,
};

/* Realizing it adds signature, id, and the files of cfg.fw_cfg. */
extern const DeviceClass fw_cfg_class;

/* Adding a key again replaces what it held. @dev is realized. */
void fw_cfg_add_u16(Device *dev, uint16_t key, uint16_t value);
void fw_cfg_add_u32(Device *dev, uint16_t key, uint32_t value);
void fw_cfg_add_u64(Device *dev, uint16_t key, uint64_t value);
/* A named file, "etc/e820"; at most 55 bytes of name. Replaces one of the
 * same name. Error: name too long or no room in the directory. */
bool fw_cfg_add_file(Device *dev, const char *name, const void *data,
                     size_t len, GError **errp);

#endif
