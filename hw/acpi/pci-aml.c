/*
 * PCI in the DSDT: the host bridge with its windows and its interrupt table,
 * and the link devices that program the PIIX3's router.
 *
 * ACPI 6.4: _PRT 6.2.13, link devices 6.2.13.1 ("configurable"), _CRS of a
 * host bridge 6.4.3.5. PCI Firmware 3.2, 4.1.
 *
 * Names are QEMU's (PCI0, ISA, PRQ0-3, LNKA-D, LNKS), so that a guest's logs
 * and paths look the same. Slot 1, pin A is the power management function,
 * whose interrupt is not routed: LNKS.
 *
 * Hot plug: every slot but the board's has an object with _EJ0; the event's
 * method notifies those whose bit is set in the registers of pcihp.c.
 */
#include "util/osdep.h"
#include "hw/acpi/pci-aml.h"
#include "hw/acpi/pcihp.h"
#include "hw/acpi/pm.h"

enum {
    LINKS = 4,
    SLOTS = 32,
    PINS = 4,
    PIRQ_REGISTERS = 0x60,
    PIRQ_OFF = 0x80
};

static const uint32_t link_choices[] = { 5, 10, 11 };

static void pci_windows(Aml *a, const AcpiConfig *cfg)
{
    aml_name_resources(a, "_CRS");
    aml_res_bus_range(a, 0, 255);
    aml_res_io(a, 0xcf8, 8);
    aml_res_io_range(a, 0, 0xcf7);
    aml_res_io_range(a, 0xd00, 0xffff);
    aml_res_mem_range(a, 0xa0000, 0xbffff, true);
    aml_res_mem_range(a, cfg->pci_mem, cfg->pci_mem_last, false);
    if (cfg->pci_mem64_last) {
        aml_res_mem_range(a, cfg->pci_mem64, cfg->pci_mem64_last, true);
    }
    aml_end_resources(a);
}

/* Package { address, pin, link, 0 } for every pin of every slot. */
static void pci_routes(Aml *a)
{
    aml_name_package(a, "_PRT", SLOTS * PINS);
    for (unsigned i = 0; i < SLOTS * PINS; i++) {
        unsigned slot = i / PINS, pin = i % PINS;
        char link[] = "\\_SB.LNKA";

        link[strlen(link) - 1] += (char)((slot + pin + 3) % LINKS);
        if (slot == 1 && pin == 0) {
            link[strlen(link) - 1] = 'S';
        }
        aml_package(a, 4);
        aml_int(a, slot << 16 | 0xffff);
        aml_int(a, pin);
        aml_ref(a, link);
        aml_int(a, 0);
        aml_end(a);
    }
    aml_end(a);
}

void aml_pci_begin(Aml *a, const AcpiConfig *cfg)
{
    aml_device(a, "PCI0");
    aml_name_eisaid(a, "_HID", "PNP0A03");
    aml_name_int(a, "_ADR", 0);
    aml_name_int(a, "_UID", 0);
    pci_windows(a, cfg);
    pci_routes(a);
    aml_device(a, "ISA");
    aml_name_int(a, "_ADR", 0x00010000);
    aml_op_region(a, "P40C", AML_PCI_CONFIG, PIRQ_REGISTERS, LINKS);
    aml_field(a, "P40C");
    for (unsigned i = 0; i < LINKS; i++) {
        char name[] = "PRQ0";

        name[3] += (char)i;
        aml_field_unit(a, name, 8);
    }
    aml_end(a);
}

/* Return (Arg & mask ? 9 : b): present, and enabled if it is routed. */
static void link_status(Aml *a, const char *reg)
{
    aml_method(a, "_STA", 0);
    aml_if(a);
    aml_op(a, AML_AND);
    aml_ref(a, reg);
    aml_int(a, PIRQ_OFF);
    aml_op(a, AML_NO_TARGET);
    aml_return_int(a, 0x9);
    aml_end(a);
    aml_return_int(a, 0xb);
    aml_end(a);
}

static void link_disable(Aml *a, const char *reg)
{
    aml_method(a, "_DIS", 0);
    aml_op(a, AML_OR);
    aml_ref(a, reg);
    aml_int(a, PIRQ_OFF);
    aml_ref(a, reg);
    aml_end(a);
}

/* The number in the register, put into a resource template. */
static void link_current(Aml *a, const char *reg)
{
    static const uint32_t none[] = { 0 };

    aml_method(a, "_CRS", 0);
    aml_name_resources(a, "PRR0");
    aml_res_irqs(a, none, 1);
    aml_end_resources(a);
    aml_op(a, AML_DWORD_FIELD);
    aml_ref(a, "PRR0");
    aml_int(a, AML_RES_IRQ_OFFSET);
    aml_ref(a, "PRRI");
    aml_if(a);
    aml_op(a, AML_LESS);
    aml_ref(a, reg);
    aml_int(a, PIRQ_OFF);
    aml_op(a, AML_STORE);
    aml_ref(a, reg);
    aml_ref(a, "PRRI");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_ref(a, "PRR0");
    aml_end(a);
}

static void link_set(Aml *a, const char *reg)
{
    aml_method(a, "_SRS", 1);
    aml_op(a, AML_DWORD_FIELD);
    aml_arg(a, 0);
    aml_int(a, AML_RES_IRQ_OFFSET);
    aml_ref(a, "PRRI");
    aml_op(a, AML_STORE);
    aml_ref(a, "PRRI");
    aml_ref(a, reg);
    aml_end(a);
}

static void link_device(Aml *a, unsigned i)
{
    char name[] = "LNKA", reg[] = "\\_SB.PCI0.ISA.PRQ0";

    name[3] += (char)i;
    reg[strlen(reg) - 1] += (char)i;
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", i);
    aml_name_resources(a, "_PRS");
    aml_res_irqs(a, link_choices, G_N_ELEMENTS(link_choices));
    aml_end_resources(a);
    link_status(a, reg);
    link_disable(a, reg);
    link_current(a, reg);
    link_set(a, reg);
    aml_end(a);
}

/* The wire of power management: always connected, always to the same. */
static void link_fixed(Aml *a)
{
    static const uint32_t sci[] = { PM_SCI_GSI };
    static const char *const names[] = { "_PRS", "_CRS" };

    aml_device(a, "LNKS");
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", LINKS);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        aml_name_resources(a, names[i]);
        aml_res_irqs(a, sci, 1);
        aml_end_resources(a);
    }
    aml_name_int(a, "_STA", 0xb);
    aml_method(a, "_DIS", 0);
    aml_end(a);
    aml_method(a, "_SRS", 1);
    aml_end(a);
    aml_end(a);
}

/* ---- hot plug ------------------------------------------------------------------ */

/* A 32-bit register, or two in a row, as fields of a region of their own. */
static void hotplug_registers(Aml *a, const char *region, unsigned offset,
                              const char *first, const char *second)
{
    aml_op_region(a, region, AML_IO, PCIHP_BASE + offset, second ? 8 : 4);
    aml_field_dwords(a, region);
    aml_field_unit(a, first, 32);
    if (second) {
        aml_field_unit(a, second, 32);
    }
    aml_end(a);
}

static void hotplug_resources(Aml *a)
{
    aml_device(a, "PHPR");
    aml_name_eisaid(a, "_HID", "PNP0A06");
    aml_name_string(a, "_UID", "PCI Hotplug resources");
    aml_name_int(a, "_STA", 0xb);
    aml_name_resources(a, "_CRS");
    aml_res_io(a, PCIHP_BASE, PCIHP_LEN);
    aml_end_resources(a);
    aml_end(a);
}

/* PCEJ(bus, slot) */
static void hotplug_eject(Aml *a)
{
    aml_method(a, "PCEJ", 2);
    aml_acquire(a, "BLCK");
    aml_op(a, AML_STORE);
    aml_arg(a, 0);
    aml_ref(a, "BNUM");
    aml_op(a, AML_SHIFT_LEFT);
    aml_int(a, 1);
    aml_arg(a, 1);
    aml_ref(a, "B0EJ");
    aml_release(a, "BLCK");
    aml_return_int(a, 0);
    aml_end(a);
}

static void slot_name(char *name, unsigned slot)
{
    g_snprintf(name, 5, "S%02X_", slot << 3);
}

static void hotplug_slot(Aml *a, unsigned slot)
{
    char name[5];

    slot_name(name, slot);
    aml_device(a, name);
    aml_name_int(a, "_ADR", slot << 16);
    aml_name_int(a, "_SUN", slot);
    aml_method(a, "_EJ0", 1);
    aml_ref(a, "PCEJ");
    aml_int(a, 0);
    aml_ref(a, "_SUN");
    aml_end(a);
    aml_end(a);
}

/* DVNT(slots, what): Notify each of the slots. */
static void hotplug_notify(Aml *a)
{
    aml_method(a, "DVNT", 2);
    for (unsigned slot = PCIHP_FIRST_SLOT; slot < SLOTS; slot++) {
        char name[5];

        slot_name(name, slot);
        aml_if(a);
        aml_op(a, AML_AND);
        aml_arg(a, 0);
        aml_int(a, UINT32_C(1) << slot);
        aml_op(a, AML_NO_TARGET);
        aml_op(a, AML_NOTIFY);
        aml_ref(a, name);
        aml_arg(a, 1);
        aml_end(a);
    }
    aml_end(a);
}

/* PCNT(): 1, device check, where one came; 3, eject request, where one goes. */
static void hotplug_look(Aml *a)
{
    aml_method(a, "PCNT", 0);
    aml_op(a, AML_STORE);
    aml_int(a, 0);
    aml_ref(a, "BNUM");
    aml_ref(a, "DVNT");
    aml_ref(a, "PCIU");
    aml_int(a, 1);
    aml_ref(a, "DVNT");
    aml_ref(a, "PCID");
    aml_int(a, 3);
    aml_end(a);
}

static void pci_hotplug(Aml *a)
{
    hotplug_resources(a);
    hotplug_registers(a, "PCST", PCIHP_UP, "PCIU", "PCID");
    hotplug_registers(a, "SEJ", PCIHP_EJECT, "B0EJ", NULL);
    hotplug_registers(a, "BNMR", PCIHP_SELECT, "BNUM", NULL);
    aml_mutex(a, "BLCK");
    hotplug_eject(a);
    for (unsigned slot = PCIHP_FIRST_SLOT; slot < SLOTS; slot++) {
        hotplug_slot(a, slot);
    }
    hotplug_notify(a);
    hotplug_look(a);
}

void aml_pci_events(Aml *a)
{
    aml_scope(a, "\\_GPE");
    aml_method(a, "_E01", 0);
    aml_acquire(a, "\\_SB.PCI0.BLCK");
    aml_ref(a, "\\_SB.PCI0.PCNT");
    aml_release(a, "\\_SB.PCI0.BLCK");
    aml_end(a);
    aml_end(a);
}

void aml_pci_end(Aml *a)
{
    aml_end(a); /* ISA */
    pci_hotplug(a);
    aml_end(a); /* PCI0 */
    for (unsigned i = 0; i < LINKS; i++) {
        link_device(a, i);
    }
    link_fixed(a);
}
