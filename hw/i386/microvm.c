/*
 * Machine "microvm": processors, interrupts, a timer, a serial line, and slots
 * for virtio devices. No PCI, no firmware, nothing to probe: the quickest way
 * to a guest's first line.
 *
 * The slots are announced where a kernel looks: in the DSDT, as LNRO0005, or
 * without ACPI on the kernel's command line (unless auto-kernel-cmdline=off),
 * and always in the machine information of docs/machine-info.md. Only those
 * that have a device: which is known at reset, so the start is planned again
 * there when it changed.
 *
 * Their interrupts are among the ISA ones, so that a guest with nothing but
 * the 8259 pair has them too: 5, 6, 7, 10, 11, 12, 14 and 15 are nobody else's
 * here.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "hw/i386/pc.h"
#include "hw/misc/misc.h"
#include "hw/virtio/mmio.h"

extern const MachineClass microvm_machine;

#define MICROVM_VIRTIO_BASE UINT64_C(0xfeb00000)

static const uint8_t slot_irq[] = { 5, 6, 7, 10, 11, 12, 14, 15 };

typedef struct MicroBoard {
    PcBoard pc; /* first */
    Region ram_bios;
    unsigned planned; /* the slots that the plan announces, a bit each */
} MicroBoard;

static MicroBoard *micro_of(Machine *m)
{
    return container_of(m->board, MicroBoard, pc);
}

/* ---- the start ------------------------------------------------------------------------- */

static unsigned micro_slots(const Machine *m)
{
    VirtioMmioSlot slot;
    unsigned found = 0, n = 0;

    for (guint i = 0; i < m->devices->len; i++) {
        if (virtio_mmio_slot(m->devices->pdata[i], &slot)) {
            found |= slot.device ? 1u << n : 0;
            n++;
        }
    }
    return found;
}

/* "virtio_mmio.device=512@0xfeb00000:5" for each. */
static char *micro_cmdline(const Machine *m, unsigned slots)
{
    GString *s = g_string_new(m->cfg.append ? m->cfg.append : "");

    for (unsigned i = 0; i < G_N_ELEMENTS(slot_irq); i++) {
        if (slots >> i & 1) {
            g_string_append_printf(
                s, "%svirtio_mmio.device=%d@0x%" PRIx64 ":%u",
                s->len ? " " : "", VIRTIO_MMIO_SIZE,
                MICROVM_VIRTIO_BASE + i * VIRTIO_MMIO_SIZE, slot_irq[i]);
        }
    }
    return g_string_free(s, FALSE);
}

static bool micro_plan(MicroBoard *mb, GError **errp)
{
    PcBoard *b = &mb->pc;
    Machine *m = b->machine;
    char *given = m->cfg.append;
    bool ok;

    mb->planned = micro_slots(m);
    if (m->cfg.kernel && !b->opts.acpi && b->opts.auto_cmdline) {
        m->cfg.append = micro_cmdline(m, mb->planned);
    }
    ok = pc_plan_boot(b, errp);
    if (m->cfg.append != given) {
        g_free(m->cfg.append);
        m->cfg.append = given;
    }
    return ok;
}

/* What a plan needs was there when the first one was made; a longer command
 * line may still not fit. */
static void micro_plan_again(MicroBoard *mb)
{
    PcBoard *b = &mb->pc;
    BootPlan *plan = b->plan;
    FlatBoot *flat = b->flat;
    unsigned planned = mb->planned;
    g_autoptr(GError) err = NULL;

    b->plan = NULL;
    b->flat = NULL;
    if (micro_plan(mb, &err)) {
        boot_plan_free(plan);
        flat_free(flat);
        return;
    }
    warn_report("the guest is not told of its new virtio devices: %s",
                err->message);
    boot_plan_free(b->plan);
    flat_free(b->flat);
    b->plan = plan;
    b->flat = flat;
    mb->planned = planned;
}

/* ---- devices --------------------------------------------------------------------------- */

static bool micro_add_slot(PcBoard *b, unsigned i, GError **errp)
{
    Device *dev = device_new_class(b->machine, &virtio_mmio_class, NULL);
    g_autofree char *base =
        g_strdup_printf("%" PRIu64, MICROVM_VIRTIO_BASE + i * VIRTIO_MMIO_SIZE);
    g_autofree char *gsi = g_strdup_printf("%u", slot_irq[i]);
    g_autofree char *name = g_strdup_printf("virtio-mmio-bus.%u", i);

    if (!device_set(dev, "base", base, errp) ||
        !device_set(dev, "gsi", gsi, errp) ||
        !device_set(dev, "name", name, errp)) {
        device_free(dev);
        return false;
    }
    return pc_realize(dev, errp);
}

static bool micro_add_slots(PcBoard *b, GError **errp)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(slot_irq); i++) {
        if (!micro_add_slot(b, i, errp)) {
            return false;
        }
    }
    return true;
}

static bool micro_add_devices(PcBoard *b, GError **errp)
{
    return pc_add_interrupts(b, errp) && pc_add_timers(b, errp) &&
           pc_add_pm(b, errp) && pc_add(b, &cf9_class, NULL, errp) &&
           pc_add_fw_cfg(b, errp) &&
           (!b->opts.isa_serial || pc_add_serials(b, errp)) &&
           pc_add_debugcon(b, errp) && micro_add_slots(b, errp);
}

/* ---- the machine ----------------------------------------------------------------------- */

static bool micro_map_ram(MicroBoard *mb, GError **errp)
{
    PcBoard *b = &mb->pc;

    if (!pc_map_ram(b, errp)) {
        return false;
    }
    pc_map_window(b, &mb->ram_bios, "ram-bios", 0xc0000, 0xc0000, 0x40000);
    return true;
}

static bool micro_build(Machine *m, GError **errp)
{
    MicroBoard *mb = g_new0(MicroBoard, 1);
    PcBoard *b = &mb->pc;

    b->machine = m;
    m->board = b;
    return machine_read_options(m, &b->opts, errp) && micro_map_ram(mb, errp) &&
           pc_prepare_cpus(b, errp) && micro_plan(mb, errp) &&
           micro_add_devices(b, errp);
}

static void micro_reset(Machine *m)
{
    MicroBoard *mb = micro_of(m);

    if (micro_slots(m) != mb->planned) {
        micro_plan_again(mb);
    }
    pc_reset(m);
}

static void micro_unbuild(Machine *m)
{
    if (m->board) {
        pc_unmap(&micro_of(m)->ram_bios);
        pc_unbuild(m);
    }
}

const MachineClass microvm_machine = {
    .name = "microvm",
    .desc = "microvm (i386)",
    .max_cpus = MACHINE_MAX_CPUS,
    .virtio_bus = "virtio-bus",
    .print_options = machine_print_options,
    .build = micro_build,
    .reset = micro_reset,
    .unbuild = micro_unbuild,
};
