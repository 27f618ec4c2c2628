/*
 * The i440FX host bridge: configuration ports, shadow RAM, SMRAM.
 *
 * Intel 82441FX data sheet (290549): CONFADD and CONFDATA 3.1, PAM 3.2.18,
 * SMRAM 3.2.24.
 *
 * Each part of C0000-FFFFF is RAM, RAM that cannot be written, or not there
 * (PCI: firmware's ROM). "Write only" is "not there" for reads and would be
 * RAM for writes; as in QEMU writes are lost then.
 *
 * There is no system management mode, so SMRAM matters only while D_OPEN shows
 * the RAM behind A0000-BFFFF to everybody.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/misc/misc.h"
#include "hw/pci/i440fx.h"

enum {
    CONFADD = 0xcf8,
    CONFDATA = 0xcfc,
    PAM_PARTS = 13,
    PAM_FIRST = 0xc0000,
    PAM_PART = 0x4000,
    PAM_BIOS = 0xf0000, /* the last part has 64 KiB */
    PAM_END = 0x100000,
    SMRAM_BASE = 0xa0000,
    SMRAM_SIZE = 0x20000,
};

#define CONFADD_MASK UINT32_C(0x80fffffc)
#define PAM_READ     1u
#define PAM_WRITE    2u
#define SMRAM_OPEN   0x40u
#define SMRAM_LOCK   0x10u
#define SMRAM_ENABLE 0x08u

typedef struct PamPart {
    Region ram, rom;
} PamPart;

typedef struct I440fx {
    PciDevice pci;
    Region address, data;
    uint32_t confadd;
    PciBus *bus;
    Region *ram; /* NULL: none (device tests) */
    Device *cf9;
    PamPart part[PAM_PARTS];
    Region smram;
} I440fx;

extern const DeviceClass i440fx_class;

static I440fx *i440fx_of(Device *dev)
{
    return container_of(dev, I440fx, pci.dev);
}

/* ---- ports --------------------------------------------------------------------- */

static uint64_t address_read(void *opaque, hwaddr offset, unsigned size)
{
    I440fx *s = opaque;

    if (offset == 0 && size == 4) {
        return s->confadd;
    }
    return offset == 1 && size == 1 && s->cf9 ? cf9_get(s->cf9) : UINT32_MAX;
}

static void address_write(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
    I440fx *s = opaque;

    if (offset == 0 && size == 4) {
        s->confadd = value & CONFADD_MASK;
    } else if (offset == 1 && size == 1 && s->cf9) {
        cf9_set(s->cf9, value);
    }
}

static uint64_t data_read(void *opaque, hwaddr offset, unsigned size)
{
    I440fx *s = opaque;

    return pci_bus_config_read(s->bus, s->confadd, offset, size);
}

static void data_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    I440fx *s = opaque;

    pci_bus_config_write(s->bus, s->confadd, offset, value, size);
}

static const RegionOps address_ops = {
    .read = address_read,
    .write = address_write,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps data_ops = {
    .read = data_read,
    .write = data_write,
    .min_size = 1,
    .max_size = 4,
};

/* ---- memory -------------------------------------------------------------------- */

static unsigned part_base(unsigned i)
{
    return i == PAM_PARTS - 1 ? PAM_BIOS : PAM_FIRST + i * PAM_PART;
}

/* PAM_READ and PAM_WRITE of part @i. The BIOS area comes first, in the upper
 * half of its register. */
static unsigned part_mode(const I440fx *s, unsigned i)
{
    unsigned nibble = i == PAM_PARTS - 1 ? 1 : i + 2;

    return s->pci.config[I440FX_PAM + nibble / 2] >> nibble % 2 * 4 & 3;
}

static void show(I440fx *s, Region *r, hwaddr base, int priority, bool on)
{
    if (on && !r->as) {
        as_map(s->pci.dev.machine->mem, base, r, priority);
    } else if (!on) {
        as_unmap(r);
    }
}

static void memory_update(I440fx *s)
{
    AddressSpace *mem = s->pci.dev.machine->mem;
    uint8_t smram = s->pci.config[I440FX_SMRAM];

    if (!s->ram) {
        return;
    }
    as_begin(mem);
    for (unsigned i = 0; i < PAM_PARTS; i++) {
        unsigned mode = part_mode(s, i);

        show(s, &s->part[i].ram, part_base(i), 0,
             mode == (PAM_READ | PAM_WRITE));
        show(s, &s->part[i].rom, part_base(i), 0, mode == PAM_READ);
    }
    show(s, &s->smram, SMRAM_BASE, 1,
         (smram & SMRAM_OPEN) && (smram & SMRAM_ENABLE));
    as_commit(mem);
}

static void memory_init(I440fx *s)
{
    for (unsigned i = 0; i < PAM_PARTS; i++) {
        unsigned base = part_base(i);
        unsigned size = (i == PAM_PARTS - 1 ? PAM_END - base : PAM_PART);
        PamPart *p = &s->part[i];

        region_init_alias(&p->ram, "pam-ram", s->ram, base, size);
        p->rom = (Region) {
            .name = "pam-rom",
            .kind = REGION_ROM,
            .size = size,
            .ram = s->ram->ram + base,
        };
    }
    region_init_alias(&s->smram, "smram-open", s->ram, SMRAM_BASE, SMRAM_SIZE);
}

static void memory_fini(I440fx *s)
{
    for (unsigned i = 0; i < PAM_PARTS; i++) {
        as_unmap(&s->part[i].ram);
        as_unmap(&s->part[i].rom);
    }
    as_unmap(&s->smram);
}

/* D_LCK closes SMRAM and keeps its register as it is until the next reset. */
static void smram_lock(I440fx *s)
{
    uint8_t *reg = &s->pci.config[I440FX_SMRAM];

    if (*reg & SMRAM_LOCK) {
        *reg &= ~SMRAM_OPEN;
        s->pci.wmask[I440FX_SMRAM] = 0;
    }
}

static void i440fx_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    I440fx *s = container_of(pd, I440fx, pci);

    if (off + size > I440FX_PAM && off <= I440FX_SMRAM) {
        smram_lock(s);
        memory_update(s);
    }
}

/* ---- device -------------------------------------------------------------------- */

enum { SMRAM_WRITABLE = 0x78 };

void i440fx_set_ram(Device *dev, Region *ram)
{
    i440fx_of(dev)->ram = ram;
}

void i440fx_set_reset_control(Device *dev, Device *cf9)
{
    i440fx_of(dev)->cf9 = cf9;
}

/* Registers without an effect here, so that firmware finds what it wrote. */
static void config_init(PciDevice *pd)
{
    memset(pd->wmask + 0x50, 0xff, I440FX_PAM - 0x50);
    memset(pd->wmask + I440FX_PAM, 0x33, 7);
    memset(pd->wmask + 0x60, 0xff, 0x69 - 0x60); /* DRAM rows, holes */
    memset(pd->wmask + 0x70, 0xff, 2);           /* timers */
    pd->wmask[0x90] = 0xff;                      /* error command */
    st_le16(pd->w1cmask + 0x91, 0xffff);         /* error status */
    pd->config[I440FX_SMRAM] = 0x02;
    pd->wmask[I440FX_SMRAM] = SMRAM_WRITABLE;
    /* The guest may lock it: written or not, it changes. */
    pd->dynmask[I440FX_SMRAM] = SMRAM_WRITABLE;
    pd->config_written = i440fx_config_written;
}

static bool i440fx_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x8086,
                                .device = 0x1237,
                                .class_code = 0x060000,
                                .revision = 2 };
    I440fx *s = i440fx_of(dev);
    AddressSpace *io = dev->machine->io;

    s->bus = pci_bus_new(dev->machine, "pci.0");
    if (!pci_realize(&s->pci, &ids, errp)) {
        pci_bus_free(s->bus);
        return false;
    }
    config_init(&s->pci);
    if (s->ram) {
        memory_init(s);
    }
    region_init_io(&s->address, "pci-conf-idx", 4, &address_ops, s);
    region_init_io(&s->data, "pci-conf-data", 4, &data_ops, s);
    as_begin(io);
    as_map(io, CONFADD, &s->address, 0);
    as_map(io, CONFDATA, &s->data, 0);
    as_commit(io);
    return true;
}

static void i440fx_reset(Device *dev)
{
    I440fx *s = i440fx_of(dev);

    s->confadd = 0;
    s->pci.wmask[I440FX_SMRAM] = SMRAM_WRITABLE;
    pci_reset(&s->pci);
    memory_update(s);
}

static void i440fx_unrealize(Device *dev)
{
    I440fx *s = i440fx_of(dev);

    memory_fini(s);
    as_unmap(&s->address);
    as_unmap(&s->data);
    pci_unrealize(&s->pci);
    pci_bus_free(s->bus);
}

static bool i440fx_post_load(void *obj, int version, GError **errp)
{
    I440fx *s = obj;

    s->confadd &= CONFADD_MASK;
    s->pci.wmask[I440FX_SMRAM] = SMRAM_WRITABLE;
    smram_lock(s);
    memory_update(s);
    return true;
}

static const VMField i440fx_fields[] = {
    VM_SUB(I440fx, pci, vmstate_pci_device),
    VM_U32(I440fx, confadd),
    VM_FIELDS_END,
};

static const VMState vmstate_i440fx = {
    .name = "i440FX",
    .version = 1,
    .min_version = 1,
    .fields = i440fx_fields,
    .post_load = i440fx_post_load,
};

const DeviceClass i440fx_class = {
    .name = "i440FX",
    .desc = "Host bridge",
    .bus = "PCI",
    .size = sizeof(I440fx),
    .vmstate = &vmstate_i440fx,
    .internal = true,
    .realize = i440fx_realize,
    .reset = i440fx_reset,
    .unrealize = i440fx_unrealize,
};
