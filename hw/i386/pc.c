/*
 * Machine "pc": a PC of the i440FX generation, yet without firmware.
 *
 * RAM has a hole below 4 GiB: what would end above 3.5 GiB is cut at 3 GiB and
 * goes on at 4 GiB, as in QEMU, so that gigabyte pages stay whole. A0000-BFFFF
 * is left to a video card.
 *
 * Interrupts: a device drives m->gsi[n], which reaches the 8259 pair (n below
 * 16) and the I/O APIC, there with ISA interrupt 0 on pin 2. Line 0 and 8 pass
 * through the HPET, which can take the place of the 8254 and the RTC.
 *
 * When it is taken apart: devices belong to machine->devices, regions and the
 * boot plan to the board.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/acpi/pm.h"
#include "hw/char/serial.h"
#include "hw/i386/pc.h"
#include "hw/input/i8042.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/misc/loader.h"
#include "hw/misc/misc.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "system/host-kernel.h"
#include "target-x86/cpuid.h"

#define PC_HOLE_FROM  UINT64_C(0xe0000000) /* RAM that reaches here is cut */
#define PC_HOLE_START UINT64_C(0xc0000000) /* ... there */

extern const MachineClass pc_machine;

/* ---- memory --------------------------------------------------------------------- */

static bool pc_split_ram(PcBoard *b, uint64_t size, GError **errp)
{
    uint64_t cut = size >= PC_HOLE_FROM ? PC_HOLE_START : size;

    if (size < MIB || size > (UINT64_C(1) << 46)) {
        error_setg(errp,
                   "machine 'pc' takes from 1 MiB to 64 TiB of memory, not "
                   "%" PRIu64 " bytes",
                   size);
        return false;
    }
    if (b->opts.max_below_4g) {
        if (b->opts.max_below_4g < MIB ||
            b->opts.max_below_4g > 4 * GIB - 32 * MIB) {
            error_setg(errp, "-machine max-ram-below-4g must be 1M to 4064M");
            return false;
        }
        cut = MIN(size, b->opts.max_below_4g & ~(MIB - 1));
    }
    b->below_4g = cut;
    b->above_4g = size - cut;
    return true;
}

void pc_map_window(PcBoard *b, Region *r, const char *name, hwaddr base,
                   hwaddr offset, uint64_t size)
{
    if (size) {
        region_init_alias(r, name, &b->ram, offset, size);
        as_map(b->machine->mem, base, r, 0);
    }
}

bool pc_map_ram(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;

    if (!pc_split_ram(b, m->cfg.ram_size, errp) ||
        !machine_init_ram(m, &b->ram, "pc.ram", errp)) {
        return false;
    }
    as_begin(m->mem);
    pc_map_window(b, &b->ram_low, "ram-low", 0, 0, 0xa0000);
    pc_map_window(b, &b->ram_below_4g, "ram-below-4g", MIB, MIB,
                  b->below_4g - MIB);
    pc_map_window(b, &b->ram_above_4g, "ram-above-4g", 4 * GIB, b->below_4g,
                  b->above_4g);
    as_commit(m->mem);
    e820_init_pc(&b->e820, b->below_4g, b->above_4g);
    return true;
}

/* ---- interrupts ------------------------------------------------------------------ */

static void pc_gsi_drive(PcBoard *b, int n, int level)
{
    if (host_set_gsi(b->machine, (unsigned)n, level)) {
        return;
    }
    if (n < 16) {
        irq_set(&b->pic_in[n], level);
    }
    irq_set(&b->ioapic_in[n == 0 ? 2 : n], level);
}

static void pc_gsi_set(void *opaque, int n, int level)
{
    PcBoard *b = opaque;

    if (n < 16) {
        b->gsi_by[n] = (b->gsi_by[n] & ~1) | (level != 0);
        level = b->gsi_by[n] != 0;
    }
    pc_gsi_drive(b, n, level);
}

void pc_pirq_set(void *opaque, int n, int level)
{
    PcBoard *b = opaque;

    b->gsi_by[n] = (b->gsi_by[n] & ~2) | (level ? 2 : 0);
    pc_gsi_drive(b, n, b->gsi_by[n] != 0);
}

/* On: address line 20 works. Every CPU drops what it translated. */
static void pc_a20_set(void *opaque, int n, int level)
{
    PcBoard *b = opaque;
    Machine *m = b->machine;

    for (unsigned i = 0; i < m->ncpus; i++) {
        bool masked = !level;

        if (__atomic_exchange_n(&m->cpu[i]->s.a20_masked, masked,
                                __ATOMIC_SEQ_CST) != masked) {
            cpu_raise(m->cpu[i], CPU_FLUSH);
        }
    }
    if (b->port92) {
        port92_a20_changed(b->port92, level);
    }
}

/* ---- devices --------------------------------------------------------------------- */

/* Realizes @dev, which machine->devices owns from here on; frees it if not. */
bool pc_realize(Device *dev, GError **errp)
{
    if (!device_realize(dev, errp)) {
        device_free(dev);
        return false;
    }
    return true;
}

bool pc_add(PcBoard *b, const DeviceClass *cls, Device **out, GError **errp)
{
    Device *dev = device_new_class(b->machine, cls, NULL);

    if (!pc_realize(dev, errp)) {
        return false;
    }
    if (out) {
        *out = dev;
    }
    return true;
}

/* What the CPU model says of the local APIC. */
static bool pc_apic_features(Device *dev, const CpuModel *cm, GError **errp)
{
    g_autofree char *bits = g_strdup_printf("%u", cm->phys_bits);

    return device_set(dev, "enabled",
                      cpu_model_has(cm, FEAT_APIC) ? "on" : "off", errp) &&
           device_set(dev, "x2apic",
                      cpu_model_has(cm, FEAT_X2APIC) ? "on" : "off", errp) &&
           device_set(dev, "tsc-deadline",
                      cpu_model_has(cm, FEAT_TSC_DEADLINE) ? "on" : "off",
                      errp) &&
           device_set(dev, "phys-bits", bits, errp);
}

static bool pc_add_apics(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;

    for (unsigned i = 0; i < m->ncpus; i++) {
        Device *dev = device_new_class(m, &apic_class, NULL);

        apic_attach(dev, m->cpu[i]);
        if (m->cpu[i]->model &&
            !pc_apic_features(dev, m->cpu[i]->model, errp)) {
            device_free(dev);
            return false;
        }
        if (!pc_realize(dev, errp)) {
            return false;
        }
    }
    m->cpus_nmi = apic_nmi;
    return true;
}

/* The 8259 pair answers to the local APICs' LINT0. */
static bool pc_add_pic(PcBoard *b, GError **errp)
{
    Device *dev;

    if (!b->opts.pic) {
        return true;
    }
    dev = device_new_class(b->machine, &i8259_class, NULL);
    i8259_set_output(dev, apic_connect_pic(b->machine, i8259_ack, dev));
    if (!pc_realize(dev, errp)) {
        return false;
    }
    b->pic = dev;
    for (unsigned i = 0; i < 16; i++) {
        b->pic_in[i] = i8259_input(dev, i);
    }
    return true;
}

bool pc_add_interrupts(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;

    if (!pc_add_apics(b, errp) || !pc_add_pic(b, errp) ||
        !pc_add(b, &ioapic_class, &b->ioapic, errp)) {
        return false;
    }
    for (int i = 0; i < MACHINE_GSIS; i++) {
        b->ioapic_in[i] = ioapic_input(b->ioapic, i);
        m->gsi[i] = (IrqLine) { pc_gsi_set, b, i };
    }
    return true;
}

/* The HPET sits between the 8254, the RTC and their interrupts. */
bool pc_add_timers(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;
    IrqLine irq0 = m->gsi[0], irq8 = m->gsi[8];
    Device *dev;

    if (b->opts.hpet) {
        if (!pc_add(b, &hpet_class, &b->hpet, errp)) {
            return false;
        }
        irq0 = hpet_legacy_input(b->hpet, HPET_LEGACY_PIT);
        irq8 = hpet_legacy_input(b->hpet, HPET_LEGACY_RTC);
    }
    if (b->opts.pit) {
        dev = device_new_class(m, &i8254_class, NULL);
        i8254_set_output(dev, irq0);
        if (!pc_realize(dev, errp)) {
            return false;
        }
        b->pit = dev;
    }
    if (!b->opts.rtc) {
        return true;
    }
    dev = device_new_class(m, &mc146818_class, NULL);
    mc146818_set_output(dev, irq8);
    if (!pc_realize(dev, errp)) {
        return false;
    }
    b->rtc = dev;
    mc146818_set_memory(dev, b->below_4g, b->above_4g);
    mc146818_set_cmos(dev, 0x14, 0x06);         /* FPU, PS/2 mouse */
    mc146818_set_cmos(dev, 0x5f, m->ncpus - 1); /* as SeaBIOS expects */
    return true;
}

static bool pc_add_input(PcBoard *b, GError **errp)
{
    IrqLine a20 = { pc_a20_set, b, 0 };
    Device *dev;

    if (b->opts.i8042) {
        dev = device_new_class(b->machine, &i8042_class, NULL);
        i8042_set_a20(dev, a20);
        if (!pc_realize(dev, errp)) {
            return false;
        }
        b->i8042 = dev;
    }
    dev = device_new_class(b->machine, &port92_class, NULL);
    port92_set_a20(dev, a20);
    if (!pc_realize(dev, errp)) {
        return false;
    }
    b->port92 = dev;
    return true;
}

bool pc_add_serials(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;

    for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        Device *dev;

        if (!m->serial[i]) {
            continue;
        }
        dev = device_new_class(m, &isa_serial_class, NULL);
        isa_serial_set_chardev(dev, m->serial[i]);
        if (!device_set(dev, "index", index, errp)) {
            device_free(dev);
            return false;
        }
        if (!pc_realize(dev, errp)) {
            return false;
        }
    }
    return true;
}

bool pc_add_debugcon(PcBoard *b, GError **errp)
{
    Device *dev;

    if (!b->machine->debugcon) {
        return true;
    }
    dev = device_new_class(b->machine, &isa_debugcon_class, NULL);
    isa_debugcon_set_chardev(dev, b->machine->debugcon);
    return pc_realize(dev, errp);
}

bool pc_add_fw_cfg(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;
    uint8_t map[E820_MAX * 20];

    if (!pc_add(b, &fw_cfg_class, &b->fw_cfg, errp)) {
        return false;
    }
    fw_cfg_add_u64(b->fw_cfg, FW_CFG_RAM_SIZE, m->cfg.ram_size);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_NOGRAPHIC, 1);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_NB_CPUS, m->ncpus);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_MAX_CPUS, m->ncpus);
    fw_cfg_add_u32(b->fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    for (unsigned i = 0; i < b->e820.n; i++) {
        const E820Entry *e = &b->e820.entry[i];

        memcpy(map + i * 20, &e->addr, 8);
        memcpy(map + i * 20 + 8, &e->size, 8);
        memcpy(map + i * 20 + 16, &e->type, 4);
    }
    return fw_cfg_add_file(b->fw_cfg, "etc/e820", map, b->e820.n * 20, errp);
}

bool pc_add_pm(PcBoard *b, GError **errp)
{
    if (!b->opts.acpi) {
        return true;
    }
    if (!pc_add(b, &acpi_pm_class, &b->pm, errp)) {
        return false;
    }
    b->machine->power_button = acpi_pm_power_button(b->pm);
    return true;
}

static bool pc_add_devices(PcBoard *b, GError **errp)
{
    Device *cf9;

    return pc_add_interrupts(b, errp) && pc_add_timers(b, errp) &&
           pc_add_pm(b, errp) && pc_add_input(b, errp) &&
           pc_add(b, &cf9_class, &cf9, errp) && pc_add_pci(b, cf9, errp) &&
           pc_add(b, &port80_class, NULL, errp) && pc_add_fw_cfg(b, errp) &&
           pc_add_serials(b, errp) && pc_add_debugcon(b, errp);
}

static void pc_on_halt(X86Cpu *cpu)
{
    PcBoard *b = cpu->machine->board;

    flat_halted(b->flat, cpu);
}

/* ---- the machine ------------------------------------------------------------------ */

bool pc_plan_boot(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;
    BootEnv env = { .e820 = &b->e820, .cmdline = "", .kernel_name = "" };
    bool has_flat = m->cfg.flat && m->cfg.flat->len;
    bool ok;

    b->plan = boot_plan_new();
    if (m->cfg.firmware) {
        error_setg(errp, "-bios is not supported yet: boot with -kernel or "
                         "-flat");
        return false;
    }
    if (m->cfg.kernel && has_flat) {
        error_setg(errp, "-kernel and -flat exclude each other");
        return false;
    }
    if (!m->cfg.kernel && (m->cfg.initrd || m->cfg.append || m->cfg.dtb)) {
        error_setg(errp, "%s only allowed with -kernel option",
                   m->cfg.append   ? "-append"
                   : m->cfg.initrd ? "-initrd"
                                   : "-dtb");
        return false;
    }
    ok = pc_plan_tables(b, &env, errp);
    if (ok && m->cfg.kernel) {
        ok = boot_from_config(b->plan, &env, m, errp);
    } else if (ok && has_flat) {
        b->flat = flat_new(m, &env, b->plan, errp);
        ok = b->flat != NULL;
        m->on_halt = ok ? pc_on_halt : NULL;
    }
    if (env.rsdp_copy) {
        g_bytes_unref(env.rsdp_copy);
    }
    if (env.smbios) {
        g_bytes_unref(env.smbios);
    }
    return ok;
}

/* APIC ids, and whether the processors can address the memory. */
bool pc_prepare_cpus(PcBoard *b, GError **errp)
{
    Machine *m = b->machine;
    uint64_t end = b->above_4g ? 4 * GIB + b->above_4g : b->below_4g;

    for (unsigned i = 0; i < m->ncpus; i++) {
        const CpuModel *cm = m->cpu[i]->model;

        if (!cm) {
            continue;
        }
        m->cpu[i]->apic_id = cpu_model_apic_id(cm, i);
        if (cm->phys_bits < 64 && (end - 1) >> cm->phys_bits) {
            error_setg(errp,
                       "%" PRIu64 " MiB of memory end beyond the %u address "
                       "bits of CPU model '%s'",
                       m->cfg.ram_size / MIB, cm->phys_bits, cm->name);
            return false;
        }
    }
    return true;
}

static bool pc_build(Machine *m, GError **errp)
{
    PcBoard *b = g_new0(PcBoard, 1);

    b->machine = m;
    b->has_pci = true;
    m->board = b;
    return machine_read_options(m, &b->opts, errp) && pc_map_ram(b, errp) &&
           pc_prepare_cpus(b, errp) && pc_plan_boot(b, errp) &&
           pc_add_devices(b, errp);
}

/*
 * Memory types as firmware leaves them: all is write-back but the video window
 * and the hole below 4 GiB. SDM 3A, 12.11.2. INIT keeps them, so this serves
 * the processors that start later.
 */
static void pc_set_mtrrs(const PcBoard *b, X86Cpu *cpu)
{
    const uint64_t wb = UINT64_C(0x0606060606060606);
    uint64_t hole = b->below_4g > 3 * GIB ? 4 * GIB - 512 * MIB : 3 * GIB;
    X86State *s = cpu_state(cpu);
    uint64_t phys;

    if (!cpu->model || !cpu_model_has(cpu->model, FEAT_MTRR)) {
        return;
    }
    phys = (UINT64_C(1) << cpu->model->phys_bits) - 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(s->mtrr_fixed); i++) {
        s->mtrr_fixed[i] = i == 2 ? 0 : wb; /* 2: A0000-BFFFF */
    }
    s->mtrr_base[0] = hole;
    s->mtrr_mask[0] = (~(4 * GIB - hole - 1) & phys) | 0x800;
    s->mtrr_def = 0xc06; /* on, fixed ranges on, write-back */
}

static bool pc_loader_starts(Machine *m)
{
    LoaderStart st;

    for (unsigned i = 0; i < m->devices->len; i++) {
        if (loader_get_start(g_ptr_array_index(m->devices, i), &st)) {
            return true;
        }
    }
    return false;
}

void pc_reset(Machine *m)
{
    PcBoard *b = m->board;

    if (b->has_pci) {
        pc_pci_setup(b);
    }
    boot_plan_apply(b->plan, m->mem);
    boot_memory_types_init(m);
    for (unsigned i = 0; i < m->ncpus; i++) {
        pc_set_mtrrs(b, m->cpu[i]);
    }
    boot_plan_start(b->plan, m->cpu[0]);
    boot_start_loaders(m);
    if (b->flat) {
        flat_reset(b->flat);
    }
    if (b->plan->mode == BOOT_NOTHING && !b->warned_nothing &&
        !pc_loader_starts(m)) {
        warn_report("nothing to boot and no firmware: the processor waits; "
                    "give -kernel or -flat");
        b->warned_nothing = true;
    }
}

void pc_unmap(Region *r)
{
    if (r->as) {
        as_unmap(r);
    }
}

void pc_unbuild(Machine *m)
{
    PcBoard *b = m->board;

    if (!b) {
        return;
    }
    pc_unmap(&b->ram_low);
    pc_unmap(&b->ram_below_4g);
    pc_unmap(&b->ram_above_4g);
    if (b->ram.ram) {
        region_fini(&b->ram);
    }
    flat_free(b->flat);
    boot_plan_free(b->plan);
    g_free(b);
    m->board = NULL;
}

const MachineClass pc_machine = {
    .name = "pc",
    .alias = "pc-i440fx-7.2",
    .desc = "Standard PC (i440FX + PIIX, 1996)",
    .max_cpus = MACHINE_MAX_CPUS,
    .virtio_bus = "PCI",
    .irqchip = true,
    .print_options = machine_print_options,
    .build = pc_build,
    .reset = pc_reset,
    .unbuild = pc_unbuild,
};
