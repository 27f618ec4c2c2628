/*
 * The PIIX4's power management function: where the ACPI registers and the
 * SMBus controller are in I/O space.
 *
 * Intel 82371AB data sheet (290562), chapter 7: PMBASE 7.1.11, PMREGMISC
 * 7.1.20, SMBBA 7.1.21, SMBHSTCFG 7.1.23; SMBus registers 7.3. The ACPI
 * registers are those of hw/acpi/pm.c.
 *
 * The SMBus has nobody on it: every transaction ends with "no response" at
 * once. Slave and snoop registers do nothing. Its base after power-on is
 * QEMU's, B100.
 *
 * PCI hot plug, QEMU's addition, is hw/acpi/pcihp.c.
 *
 * Not modelled: device monitors, SMIs, thermal and clock control.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/acpi/pcihp.h"
#include "hw/acpi/pm.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/pci-regs.h"

enum {
    SMB_BASE = 0xb100,
    SMB_LEN = 16,
    SMB_HSTSTS = 0,
    SMB_HSTCNT = 2,
    SMB_DATA = 3,     /* command, address, data 0 and 1 */
    SMB_DATA_END = 7, /* block data is behind it */
    SMB_BLOCK = 7,
    SMB_BLOCK_LEN = 32,
};

#define HSTSTS_INTR    0x02u
#define HSTSTS_DEV_ERR 0x04u
#define HSTSTS_CLEAR   0x1eu /* ones clear */
#define HSTCNT_START   0x40u
#define HSTCNT_KEPT    0x1du

typedef struct Piix4Pm {
    PciDevice pci;
    Device *pm; /* NULL: none (device tests) */
    PciHp hotplug;
    Region smb;
    uint8_t hststs, hstcnt, hstdata[4];
    uint8_t block[SMB_BLOCK_LEN], block_index;
} Piix4Pm;

extern const DeviceClass piix4_pm_class;

static Piix4Pm *piix4_of(Device *dev)
{
    return container_of(dev, Piix4Pm, pci.dev);
}

void piix4_pm_set_pm(Device *dev, Device *pm)
{
    piix4_of(dev)->pm = pm;
}

/* ---- SMBus ----------------------------------------------------------------------- */

static uint64_t smb_read(void *opaque, hwaddr offset, unsigned size)
{
    Piix4Pm *s = opaque;
    uint8_t v;

    switch (offset) {
    case SMB_HSTSTS:
        return s->hststs;
    case SMB_HSTCNT:
        s->block_index = 0; /* a read rewinds the block's pointer */
        return s->hstcnt;
    case SMB_DATA ... SMB_DATA_END - 1:
        return s->hstdata[offset - SMB_DATA];
    case SMB_BLOCK:
        v = s->block[s->block_index];
        s->block_index = (s->block_index + 1) % SMB_BLOCK_LEN;
        return v;
    default:
        return 0;
    }
}

static void smb_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
    Piix4Pm *s = opaque;

    switch (offset) {
    case SMB_HSTSTS:
        s->hststs &= ~(value & HSTSTS_CLEAR);
        break;
    case SMB_HSTCNT:
        s->hstcnt = value & HSTCNT_KEPT;
        if (value & HSTCNT_START) {
            s->hststs |= HSTSTS_DEV_ERR | HSTSTS_INTR;
        }
        break;
    case SMB_DATA ... SMB_DATA_END - 1:
        s->hstdata[offset - SMB_DATA] = value;
        break;
    case SMB_BLOCK:
        s->block[s->block_index] = value;
        s->block_index = (s->block_index + 1) % SMB_BLOCK_LEN;
        break;
    default:
        break;
    }
}

static const RegionOps smb_ops = {
    .read = smb_read,
    .write = smb_write,
    .min_size = 1,
    .max_size = 1,
};

/* ---- bases ----------------------------------------------------------------------- */

static void bases_update(Piix4Pm *s)
{
    const uint8_t *c = s->pci.config;
    AddressSpace *io = s->pci.dev.machine->io;

    if (s->pm) {
        acpi_pm_set_base(s->pm, ld_le16(c + PIIX4_PMBASE) & 0xffc0,
                         c[PIIX4_PMREGMISC] & 1);
    }
    as_begin(io);
    as_unmap(&s->smb);
    if (c[PIIX4_SMBHSTCFG] & 1) {
        as_map(io, ld_le16(c + PIIX4_SMBBASE) & 0xfff0, &s->smb, 0);
    }
    as_commit(io);
}

static void piix4_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    if (off + size > PIIX4_PMBASE) {
        bases_update(container_of(pd, Piix4Pm, pci));
    }
}

/* ---- device ---------------------------------------------------------------------- */

static void config_init(PciDevice *pd)
{
    st_le16(pd->config + PCI_STATUS,
            PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pd->config[PIIX4_PMBASE] = 1; /* I/O */
    st_le16(pd->wmask + PIIX4_PMBASE, 0xffc0);
    pd->wmask[PIIX4_PMREGMISC] = 1;
    st_le16(pd->config + PIIX4_SMBBASE, SMB_BASE | 1);
    st_le16(pd->wmask + PIIX4_SMBBASE, 0xfff0);
    pd->config[PIIX4_SMBHSTCFG] = 0x09;
    pd->wmask[PIIX4_SMBHSTCFG] = 0x0f;
    memset(pd->wmask + 0x44, 0xff,
           0x80 - 0x44); /* counters, device resources */
    pd->config_written = piix4_config_written;
}

static bool piix4_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x8086,
                                .device = 0x7113,
                                .class_code = 0x068000,
                                .revision = 3,
                                .irq_pin = 1 };
    Piix4Pm *s = piix4_of(dev);

    if (!pci_realize(&s->pci, &ids, errp)) {
        return false;
    }
    config_init(&s->pci);
    region_init_io(&s->smb, "piix4-smbus", SMB_LEN, &smb_ops, s);
    if (s->pm) {
        pcihp_init(&s->hotplug, s->pci.bus, s->pm);
    }
    return true;
}

static void piix4_reset(Device *dev)
{
    Piix4Pm *s = piix4_of(dev);

    s->hststs = s->hstcnt = s->block_index = 0;
    memset(s->hstdata, 0, sizeof(s->hstdata));
    memset(s->block, 0, sizeof(s->block));
    pci_reset(&s->pci);
    bases_update(s);
    if (s->pm) {
        pcihp_reset(&s->hotplug);
    }
}

static void piix4_unrealize(Device *dev)
{
    Piix4Pm *s = piix4_of(dev);

    if (s->pm) {
        pcihp_fini(&s->hotplug);
    }
    as_unmap(&s->smb);
    pci_unrealize(&s->pci);
}

static bool piix4_post_load(void *obj, int version, GError **errp)
{
    Piix4Pm *s = obj;

    s->block_index %= SMB_BLOCK_LEN;
    bases_update(s);
    return true;
}

static const Property piix4_props[] = {
    PCI_PROPS,
    { .kind = PROP_END },
};

static const VMField piix4_fields[] = {
    VM_SUB(Piix4Pm, pci, vmstate_pci_device),
    VM_U8(Piix4Pm, hststs),
    VM_U8(Piix4Pm, hstcnt),
    VM_BUFFER(Piix4Pm, hstdata),
    VM_BUFFER(Piix4Pm, block),
    VM_U8(Piix4Pm, block_index),
    VM_U32_SINCE(Piix4Pm, hotplug.up, 2),
    VM_U32_SINCE(Piix4Pm, hotplug.down, 2),
    VM_U32_SINCE(Piix4Pm, hotplug.select, 2),
    VM_FIELDS_END,
};

static const VMState vmstate_piix4 = {
    .name = "PIIX4_PM",
    .version = 2,
    .min_version = 1,
    .fields = piix4_fields,
    .post_load = piix4_post_load,
};

const DeviceClass piix4_pm_class = {
    .name = "PIIX4_PM",
    .desc = "PM",
    .bus = "PCI",
    .size = sizeof(Piix4Pm),
    .props = piix4_props,
    .vmstate = &vmstate_piix4,
    .internal = true,
    .realize = piix4_realize,
    .reset = piix4_reset,
    .unrealize = piix4_unrealize,
};
