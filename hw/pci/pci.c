/*
 * One PCI function: configuration space, BARs, capabilities, interrupt pin,
 * state. PCI Local Bus 3.0, chapter 6.
 *
 * config[] is what the guest reads. A write goes through wmask[] and
 * w1cmask[], then the consequences are drawn: BARs move, the pin follows the
 * command register, MSI and MSI-X look at their capabilities, and last the
 * device hears of it.
 *
 * Memory BARs lie below everything the board maps (priority -1: RAM hides
 * them), I/O BARs above ISA ports, as in QEMU. A BAR at address 0, or one that
 * ends above what it can address, is not mapped: that is what sizing it looks like.
 *
 * Not modelled: parity and system errors, BIST, wait cycles; the bits of the
 * command register that ask for them read back as zero or have no effect.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "hw/intc/apic.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"
#include "util/trace.h"

enum {
    MEM_PRIORITY = -1,
    IO_PRIORITY = 1,
    DEFAULT_SUB_VENDOR = 0x1af4, /* as QEMU's devices have it */
    DEFAULT_SUB_DEVICE = 0x1100,
    ROM_MIN = 2048,
    ROM_MAX = 16 << 20,
};

static Machine *machine_of(const PciDevice *pd)
{
    return pd->dev.machine;
}

static uint16_t command(const PciDevice *pd)
{
    return ld_le16(pd->config + PCI_COMMAND);
}

/* ---- BARs --------------------------------------------------------------------- */

static unsigned bar_offset(int n)
{
    return n == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS + 4 * n;
}

/* Where the guest wants BAR @n, by its registers. */
static uint64_t bar_wanted(const PciDevice *pd, int n)
{
    const PciBar *bar = &pd->bar[n];
    const uint8_t *reg = pd->config + bar_offset(n);
    uint64_t addr = bar->type & PCI_BAR_MEM64 ? ld_le64(reg) : ld_le32(reg);
    uint64_t last;

    if (!(command(pd) &
          (bar->type & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) ||
        (n == PCI_ROM && !(addr & PCI_ROM_ENABLE))) {
        return PCI_BAR_UNMAPPED;
    }
    addr &= ~(bar->size - 1);
    last = addr + (bar->size - 1);
    if (addr == 0 || last < addr || last == UINT64_MAX) {
        return PCI_BAR_UNMAPPED;
    }
    if (bar->type & PCI_BAR_IO) {
        return last > 0xffff ? PCI_BAR_UNMAPPED : addr;
    }
    if (!(bar->type & PCI_BAR_MEM64) && last >= UINT32_MAX) {
        return PCI_BAR_UNMAPPED;
    }
    return addr;
}

static void bar_move(PciDevice *pd, PciBar *bar, uint64_t to)
{
    bool io = bar->type & PCI_BAR_IO;

    if (to == bar->addr) {
        return;
    }
    if (bar->addr != PCI_BAR_UNMAPPED) {
        as_unmap(bar->region);
    }
    bar->addr = to;
    if (to != PCI_BAR_UNMAPPED) {
        as_map(io ? machine_of(pd)->io : machine_of(pd)->mem, to, bar->region,
               io ? IO_PRIORITY : MEM_PRIORITY);
    }
}

static void bars_update(PciDevice *pd)
{
    as_begin(machine_of(pd)->mem);
    as_begin(machine_of(pd)->io);
    for (int n = 0; n < PCI_REGIONS; n++) {
        if (pd->bar[n].region) {
            bar_move(pd, &pd->bar[n], bar_wanted(pd, n));
        }
    }
    as_commit(machine_of(pd)->io);
    as_commit(machine_of(pd)->mem);
}

static void bars_unmap(PciDevice *pd)
{
    for (int n = 0; n < PCI_REGIONS; n++) {
        if (pd->bar[n].region) {
            bar_move(pd, &pd->bar[n], PCI_BAR_UNMAPPED);
        }
    }
}

void pci_add_bar(PciDevice *pd, int n, uint8_t type, Region *r)
{
    uint8_t *config = pd->config + bar_offset(n);
    uint8_t *wmask = pd->wmask + bar_offset(n);
    uint64_t mask = ~(r->size - 1);

    g_assert(n >= 0 && n < PCI_REGIONS && !pd->bar[n].region);
    g_assert(is_pow2(r->size) && r->size >= (type & PCI_BAR_IO ? 4 : 16));
    pd->bar[n] = (PciBar) { r, type, r->size, PCI_BAR_UNMAPPED };
    if (n == PCI_ROM) {
        mask |= PCI_ROM_ENABLE;
    } else {
        config[0] |= type;
    }
    if (type & PCI_BAR_MEM64) {
        g_assert(n < PCI_BARS - 1 && !pd->bar[n + 1].region);
        st_le64(wmask, mask);
    } else {
        st_le32(wmask, (uint32_t)mask);
    }
}

/* ---- expansion ROM --------------------------------------------------------------- */

static bool rom_load(PciDevice *pd, GError **errp)
{
    g_autofree char *bytes = NULL;
    g_autoptr(GError) err = NULL;
    size_t len, size = ROM_MIN;

    if (!pd->romfile || !*pd->romfile || !pd->rombar) {
        return true;
    }
    if (!g_file_get_contents(pd->romfile, &bytes, &len, &err)) {
        error_setg(errp, "failed to find romfile \"%s\": %s", pd->romfile,
                   err->message);
        return false;
    }
    if (!len || len > ROM_MAX) {
        error_setg(errp, "romfile \"%s\" has %zu bytes; 1 to %d are possible",
                   pd->romfile, len, ROM_MAX);
        return false;
    }
    while (size < len) {
        size *= 2;
    }
    if (!region_init_rom(&pd->rom, "pci-rom", size, errp)) {
        return false;
    }
    memcpy(pd->rom.ram, bytes, len);
    pci_add_bar(pd, PCI_ROM, PCI_BAR_MEM32, &pd->rom);
    return true;
}

/* ---- configuration space --------------------------------------------------------- */

static bool touches(unsigned off, unsigned size, unsigned first, unsigned len)
{
    return off < first + len && first < off + size;
}

/* INTx again, after something that gates it changed. */
static void pci_update_irq(PciDevice *pd)
{
    int pin = pd->config[PCI_INTERRUPT_PIN];
    bool out = pd->irq_level && pin &&
               !(command(pd) & PCI_COMMAND_INTX_DISABLE) && !msi_enabled(pd) &&
               !msix_enabled(pd);

    if (pd->irq_level) {
        pd->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        pd->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
    if (out != pd->irq_out) {
        pd->irq_out = out;
        pci_bus_set_irq(pd, pin - 1, out);
    }
}

/* What a new value of some bytes of config[] leads to. */
static void config_changed(PciDevice *pd, unsigned off, unsigned size)
{
    if (touches(off, size, PCI_COMMAND, 2) ||
        touches(off, size, PCI_BASE_ADDRESS, 4 * PCI_BARS) ||
        touches(off, size, PCI_ROM_ADDRESS, 4)) {
        bars_update(pd);
    }
    if (pd->msi_cap) {
        msi_config_written(pd, off, size);
    }
    if (pd->msix) {
        msix_config_written(pd, off, size);
    }
    pci_update_irq(pd);
}

uint32_t pci_config_read(PciDevice *pd, unsigned off, unsigned size)
{
    uint32_t value;

    if (size > 4 || off > PCI_CONFIG_SIZE - size) {
        return UINT32_MAX;
    }
    if (pd->config_reading) {
        pd->config_reading(pd, off, size);
    }
    value = (uint32_t)ld_le(pd->config + off, size);
    trace(pci_cfg_read, pd->dev.cls->name, off, value);
    return value;
}

void pci_config_write(PciDevice *pd, unsigned off, uint32_t value,
                      unsigned size)
{
    if (size > 4 || off > PCI_CONFIG_SIZE - size) {
        return;
    }
    trace(pci_cfg_write, pd->dev.cls->name, off, value);
    for (unsigned i = 0; i < size; i++) {
        uint8_t v = value >> (8 * i), *byte = &pd->config[off + i];

        *byte &= ~(v & pd->w1cmask[off + i]);
        *byte = (*byte & ~pd->wmask[off + i]) | (v & pd->wmask[off + i]);
    }
    config_changed(pd, off, size);
    if (pd->config_written) {
        pd->config_written(pd, off, size);
    }
}

unsigned pci_add_cap(PciDevice *pd, uint8_t id, unsigned size, GError **errp)
{
    unsigned at = pd->cap_end ? pd->cap_end : PCI_HEADER_SIZE;
    unsigned len = (size + 3) & ~3u;

    if (len < 4 || len > PCI_CONFIG_SIZE - at) {
        error_setg(errp,
                   "%s: no room for a capability of %u bytes in the "
                   "configuration space",
                   pd->dev.cls->name, size);
        return 0;
    }
    pd->cap_end = at + len;
    pd->config[at] = id;
    pd->config[at + 1] = pd->config[PCI_CAPABILITY_LIST];
    pd->config[PCI_CAPABILITY_LIST] = at;
    pd->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    return at;
}

/* ---- interrupts and DMA ------------------------------------------------------------ */

void pci_set_irq(PciDevice *pd, int level)
{
    pd->irq_level = level != 0;
    pci_update_irq(pd);
}

bool pci_bus_master(const PciDevice *pd)
{
    return command(pd) & PCI_COMMAND_MASTER;
}

bool pci_dma_read(PciDevice *pd, hwaddr addr, void *buf, size_t len)
{
    if (!pci_bus_master(pd)) {
        memset(buf, 0xff, len);
        return false;
    }
    return as_read(machine_of(pd)->mem, addr, buf, len);
}

bool pci_dma_write(PciDevice *pd, hwaddr addr, const void *buf, size_t len)
{
    return pci_bus_master(pd) && as_write(machine_of(pd)->mem, addr, buf, len);
}

void pci_send_msi(PciDevice *pd, uint64_t addr, uint32_t data)
{
    if (!pci_bus_master(pd)) {
        return;
    }
    if (addr >> 20 == APIC_DEFAULT_BASE >> 20) {
        apic_deliver_msi(machine_of(pd), addr, data);
    } else { /* any other address is memory */
        as_store(machine_of(pd)->mem, addr, data, 4);
    }
}

/* ---- life ------------------------------------------------------------------------ */

static void header_init(PciDevice *pd, const PciIds *ids)
{
    uint8_t *c = pd->config;

    st_le16(c + PCI_VENDOR_ID, ids->vendor);
    st_le16(c + PCI_DEVICE_ID, ids->device);
    c[PCI_REVISION_ID] = ids->revision;
    c[PCI_CLASS_PROG] = ids->class_code;
    st_le16(c + PCI_CLASS_DEVICE, ids->class_code >> 8);
    c[PCI_HEADER_TYPE] = pd->multifunction ? PCI_HEADER_MULTIFUNCTION : 0;
    st_le16(c + PCI_SUBSYSTEM_VENDOR_ID,
            ids->sub_vendor ? ids->sub_vendor : DEFAULT_SUB_VENDOR);
    st_le16(c + PCI_SUBSYSTEM_ID,
            ids->sub_vendor ? ids->sub_device : DEFAULT_SUB_DEVICE);
    c[PCI_INTERRUPT_PIN] = ids->irq_pin;
}

static void masks_init(PciDevice *pd)
{
    st_le16(pd->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                                         PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
                                         PCI_COMMAND_INTX_DISABLE);
    st_le16(pd->w1cmask + PCI_STATUS, PCI_STATUS_ERRORS);
    pd->dynmask[PCI_STATUS] = PCI_STATUS_INTERRUPT;
    pd->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    pd->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

bool pci_realize(PciDevice *pd, const PciIds *ids, GError **errp)
{
    PciBus *bus = pci_bus_find(pd->dev.machine, pd->bus_prop);

    if (!bus) {
        if (pd->bus_prop) {
            error_setg(errp, "Bus '%s' not found", pd->bus_prop);
        } else {
            error_setg(errp, "No 'PCI' bus found for device '%s'",
                       pd->dev.cls->name);
        }
        return false;
    }
    header_init(pd, ids);
    masks_init(pd);
    if (!pci_bus_add(bus, pd, errp)) {
        return false;
    }
    if (!rom_load(pd, errp)) {
        pci_unrealize(pd);
        return false;
    }
    return true;
}

void pci_reset(PciDevice *pd)
{
    if (!pd->has_power_on) {
        memcpy(pd->power_on, pd->config, sizeof(pd->config));
        pd->has_power_on = true;
    }
    memcpy(pd->config, pd->power_on, sizeof(pd->config));
    pd->irq_level = false;
    if (pd->msix) {
        msix_reset(pd);
    }
    bars_update(pd);
    pci_update_irq(pd);
}

void pci_unrealize(PciDevice *pd)
{
    if (!pd->bus) {
        return;
    }
    pd->irq_level = false;
    pci_update_irq(pd);
    bars_unmap(pd);
    pci_bus_remove(pd);
    if (pd->msix) {
        msix_free(pd);
    }
    if (pd->rom.ram) {
        region_fini(&pd->rom);
    }
}

/* ---- state ------------------------------------------------------------------------- */

static void pci_pre_save(void *obj)
{
    PciDevice *pd = obj;

    memcpy(pd->state, pd->config, sizeof(pd->state));
    pd->state_devfn = pd->devfn;
}

/* What neither guest nor function can change is another device's. */
static bool pci_post_load(void *obj, int version, GError **errp)
{
    PciDevice *pd = obj;

    if (version >= 2 && pd->state_devfn != pd->devfn) {
        error_setg(errp,
                   "state of '%s': it sat in slot %x.%x; this one sits in "
                   "%x.%x: give addr=",
                   pd->dev.id ? pd->dev.id : pd->dev.cls->name,
                   PCI_SLOT(pd->state_devfn), PCI_FUNC(pd->state_devfn),
                   PCI_SLOT(pd->devfn), PCI_FUNC(pd->devfn));
        return false;
    }
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t may = pd->wmask[i] | pd->w1cmask[i] | pd->dynmask[i];

        if ((pd->state[i] ^ pd->config[i]) & ~may) {
            error_setg(errp,
                       "state of '%s': configuration byte %02x is %02x; this "
                       "device has %02x",
                       pd->dev.cls->name, i, pd->state[i], pd->config[i]);
            return false;
        }
    }
    memcpy(pd->config, pd->state, sizeof(pd->config));
    if (pd->msix && !msix_loaded(pd, errp)) {
        return false;
    }
    bars_update(pd);
    pci_update_irq(pd);
    return true;
}

static const VMField pci_fields[] = {
    VM_BUFFER(PciDevice, state),
    VM_BOOL(PciDevice, irq_level),
    VM_BLOB_FIELD(PciDevice, msix_bytes, msix_len),
    VM_U8_SINCE(PciDevice, state_devfn, 2),
    VM_FIELDS_END,
};

const VMState vmstate_pci_device = {
    .name = "pci",
    .version = 2,
    .min_version = 1,
    .fields = pci_fields,
    .pre_save = pci_pre_save,
    .post_load = pci_post_load,
};
