/*
 * What firmware would have left in memory before it starts a kernel: the BIOS
 * data area, ACPI, SMBIOS and MP tables; and the machine information for guests
 * that read none of them.
 *
 * The interrupt vectors point at an IRET at F000:FF53, where PC BIOSes have
 * one: a real-mode guest that calls a BIOS service comes back unharmed and
 * unserved. At FFFF:0, where programs jump to reboot, is a reset by the
 * keyboard controller.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/acpi/pm.h"
#include "hw/acpi/tables.h"
#include "hw/i386/machine-info.h"
#include "hw/i386/mptable.h"
#include "hw/i386/pc.h"
#include "hw/i386/smbios.h"
#include "hw/intc/apic.h"
#include "hw/intc/ioapic.h"
#include "hw/timer/hpet.h"
#include "hw/virtio/mmio.h"
#include "target-x86/cpuid.h"

enum {
    BDA = 0x400,
    BDA_COM = 0x00,  /* four port addresses */
    BDA_EBDA = 0x0e, /* segment */
    BDA_EQUIPMENT = 0x10,
    BDA_MEM_KIB = 0x13, /* below the EBDA */
    BDA_VIDEO_COLS = 0x4a,
    BDA_KBD_START = 0x80, /* of the keyboard buffer, and its end */
    BDA_KBD_END = 0x82,
    IRET_STUB = 0xfff53,
    RESET_STUB = 0xffff0,
};

static const uint16_t com_port[MACHINE_SERIALS] = { 0x3f8, 0x2f8, 0x3e8,
                                                    0x2e8 };

static void pc_plan_bda(PcBoard *b)
{
    static const uint8_t iret[1] = { 0xcf }, ebda_kib[1] = { 1 };
    /* mov al, 0xfe; out 0x64, al; 1: hlt; jmp 1b */
    static const uint8_t reset[] = { 0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd };
    g_autoptr(GBytes) stub = g_bytes_new_static(iret, 1);
    g_autoptr(GBytes) reboot = g_bytes_new_static(reset, sizeof(reset));
    g_autoptr(GBytes) ebda = g_bytes_new_static(ebda_kib, 1);
    g_autoptr(GBytes) low = NULL;
    uint8_t page[0x500] = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < 256; i++) {
        st_le16(page + i * 4, IRET_STUB & 0xffff);
        st_le16(page + i * 4 + 2, 0xf000);
    }
    for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
        if (b->machine->serial[i]) {
            st_le16(page + BDA + BDA_COM + i * 2, com_port[i]);
            n++;
        }
    }
    st_le16(page + BDA + BDA_EBDA, 0x9fc0);
    st_le16(page + BDA + BDA_EQUIPMENT, n << 9 | 6); /* FPU, mouse */
    st_le16(page + BDA + BDA_MEM_KIB, 639);
    st_le16(page + BDA + BDA_VIDEO_COLS, 80);
    st_le16(page + BDA + BDA_KBD_START, 0x1e);
    st_le16(page + BDA + BDA_KBD_END, 0x3e);
    low = g_bytes_new(page, sizeof(page));
    boot_plan_add(b->plan, 0, sizeof(page), low);
    boot_plan_add(b->plan, 0x9fc00, 1, ebda);
    boot_plan_add(b->plan, IRET_STUB, 1, stub);
    boot_plan_add(b->plan, RESET_STUB, sizeof(reset), reboot);
}

static void pc_acpi_pci(const PcBoard *b, AcpiConfig *cfg)
{
    PciWindows w = pc_pci_windows(b);

    cfg->has_pci = true;
    cfg->pci_mem = w.mem.base;
    cfg->pci_mem_last = w.mem.end - 1;
    if (w.mem64.end > w.mem64.base) {
        cfg->pci_mem64 = w.mem64.base;
        cfg->pci_mem64_last = w.mem64.end - 1;
    }
}

/* Slots of virtio-mmio that have a device. */
static void pc_acpi_virtio(Machine *m, AcpiConfig *cfg)
{
    VirtioMmioSlot slot;

    for (guint i = 0; i < m->devices->len; i++) {
        if (virtio_mmio_slot(m->devices->pdata[i], &slot) && slot.device &&
            cfg->n_virtio < ACPI_MAX_VIRTIO) {
            cfg->virtio[cfg->n_virtio].base = (uint32_t)slot.base;
            cfg->virtio[cfg->n_virtio].len = VIRTIO_MMIO_SIZE;
            cfg->virtio[cfg->n_virtio++].irq = slot.gsi;
        }
    }
}

static bool pc_plan_acpi(PcBoard *b, const uint32_t *apic_ids, BootEnv *env,
                         GError **errp)
{
    Machine *m = b->machine;
    AcpiTables t;
    AcpiConfig cfg = {
        .apic_ids = apic_ids,
        .n_cpus = m->ncpus,
        .ioapic_base = IOAPIC_DEFAULT_BASE,
        .apic_base = APIC_DEFAULT_BASE,
        .pm_base = PM_DEFAULT_BASE,
        .has_pic = b->opts.pic,
        .has_pit = b->opts.pit,
        .has_hpet = b->opts.hpet,
        .has_i8042 = b->opts.i8042,
        .has_fw_cfg = true,
        .has_rtc = b->opts.rtc,
        .hpet_base = HPET_DEFAULT_BASE,
        .hpet_block_id = HPET_BLOCK_ID,
    };
    bool ok;

    if (b->has_pci) {
        pc_acpi_pci(b, &cfg);
    }
    memcpy(cfg.oem_id, b->opts.oem_id, sizeof(cfg.oem_id));
    memcpy(cfg.oem_table_id, b->opts.oem_table_id, sizeof(cfg.oem_table_id));
    for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
        cfg.com[i] = m->serial[i] && b->opts.isa_serial;
    }
    pc_acpi_virtio(m, &cfg);
    acpi_tables_build(&t, &cfg, BOOT_TABLES);
    env->rsdp =
        boot_plan_place_table(b->plan, t.bytes->data, t.bytes->len, 64, errp);
    ok = env->rsdp != 0;
    g_assert(!ok || env->rsdp == t.rsdp); /* the first table placed */
    if (ok) {
        env->rsdp_copy = g_bytes_new(t.bytes->data, t.rsdp_len);
    }
    acpi_tables_clear(&t);
    return ok;
}

/* CPUID leaf 1, EAX and EDX; zero if there is no model (tests). */
static void pc_cpu_words(const X86Cpu *cpu, uint32_t *signature,
                         uint32_t *features)
{
    uint32_t words[4] = { 0 };

    if (cpu->model) {
        x86_cpuid(cpu, 1, 0, words);
    }
    *signature = words[0];
    *features = words[3];
}

static bool pc_plan_smbios(PcBoard *b, BootEnv *env, GError **errp)
{
    Machine *m = b->machine;
    g_autoptr(SmbiosTexts) texts =
        smbios_parse(m->cfg.smbios, m->cfg.uuid, errp);
    SmbiosConfig cfg = {
        .texts = texts,
        .ram_below_4g = b->below_4g,
        .ram_above_4g = b->above_4g,
        .sockets = MAX(m->cfg.sockets, 1),
        .cores = MAX(m->cfg.cores, 1) * MAX(m->cfg.dies, 1),
        .threads = MAX(m->cfg.threads, 1),
    };
    uint8_t v2[SMBIOS_V2_LEN], v3[SMBIOS_V3_LEN];
    SmbiosTables t;
    hwaddr addr;
    bool ok;

    if (!texts) {
        return false;
    }
    pc_cpu_words(m->cpu[0], &cfg.cpu_signature, &cfg.cpu_features);
    smbios_build(&t, &cfg);
    addr =
        boot_plan_place_table(b->plan, t.bytes->data, t.bytes->len, 16, errp);
    ok = addr != 0;
    if (ok && b->opts.smbios_v2) {
        smbios_entry_v2(&t, addr, v2);
        ok = boot_plan_place_table(b->plan, v2, sizeof(v2), 16, errp) != 0;
    }
    if (ok && b->opts.smbios_v3) {
        smbios_entry_v3(&t, addr, v3);
        ok = boot_plan_place_table(b->plan, v3, sizeof(v3), 16, errp) != 0;
    }
    if (ok) {
        env->smbios = g_bytes_new(t.bytes->data, t.bytes->len);
        env->smbios_major = SMBIOS_MAJOR;
        env->smbios_minor = SMBIOS_MINOR;
    }
    smbios_clear(&t);
    return ok;
}

static bool pc_plan_mptable(PcBoard *b, const uint32_t *apic_ids, GError **errp)
{
    MpConfig cfg = {
        .apic_ids = apic_ids,
        .n_cpus = b->machine->ncpus,
        .apic_base = APIC_DEFAULT_BASE,
        .ioapic_base = IOAPIC_DEFAULT_BASE,
        .pci_irq = b->has_pci ? pc_pci_irq : NULL,
    };
    hwaddr at = (b->plan->tables_next + 15) & ~(hwaddr)15;
    g_autoptr(GByteArray) mp = NULL;

    pc_cpu_words(b->machine->cpu[0], &cfg.cpu_signature, &cfg.cpu_features);
    mp = mptable_build(&cfg, at);
    return boot_plan_place_table(b->plan, mp->data, mp->len, 16, errp) != 0;
}

/* ---- machine information ------------------------------------------------------- */

static void pc_info_add(GArray *list, InfoDevice d)
{
    g_array_append_val(list, d);
}

static void pc_info_virtio(const Machine *m, GArray *list)
{
    VirtioMmioSlot slot;

    for (guint i = 0; i < m->devices->len; i++) {
        if (virtio_mmio_slot(m->devices->pdata[i], &slot) && slot.device) {
            pc_info_add(list, (InfoDevice) { "virtio-mmio", slot.base,
                                             VIRTIO_MMIO_SIZE, slot.gsi, 0,
                                             slot.device->ops->id });
        }
    }
}

/* In the order of their addresses, those in memory first. */
static GArray *pc_info_devices(const PcBoard *b)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(InfoDevice));
    const InfoDevice fixed[] = {
        { "pic", 0x20, 2, INFO_NO_IRQ, INFO_PORTS, 0 },
        { "pit", 0x40, 4, 2, INFO_PORTS, 0 },
        { "rtc", 0x70, 2, 8, INFO_PORTS, 0 },
        { "fw-cfg", 0x510, 12, INFO_NO_IRQ, INFO_PORTS, 0 },
        { "acpi-pm", PM_DEFAULT_BASE, PM_IO_LEN, PM_SCI_GSI,
          INFO_PORTS | INFO_LEVEL, 0 },
        { "reset", 0xcf9, 1, INFO_NO_IRQ, INFO_PORTS, 0 },
        { "pci", 0xcf8, 8, INFO_NO_IRQ, INFO_PORTS, 0 },
    };
    const bool there[] = { b->opts.pic,  b->opts.pit, b->opts.rtc, true,
                           b->opts.acpi, true,        b->has_pci };

    pc_info_virtio(b->machine, list);
    if (b->opts.hpet) {
        pc_info_add(list, (InfoDevice) { "hpet", HPET_DEFAULT_BASE, 1024,
                                         INFO_NO_IRQ, 0, 0 });
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (there[i]) {
            pc_info_add(list, fixed[i]);
        }
    }
    for (unsigned i = 0; i < MACHINE_SERIALS && b->opts.isa_serial; i++) {
        if (b->machine->serial[i]) {
            pc_info_add(list, (InfoDevice) { "serial", com_port[i], 8,
                                             i % 2 ? 3 : 4, INFO_PORTS, i });
        }
    }
    return list;
}

static bool pc_plan_info(PcBoard *b, GError **errp)
{
    g_autoptr(GArray) devices = pc_info_devices(b);
    const MachineInfo info = {
        .cpus = b->machine->ncpus,
        .lapic = APIC_DEFAULT_BASE,
        .ioapic = IOAPIC_DEFAULT_BASE,
        .ioapic_inputs = IOAPIC_PINS,
        .e820 = &b->e820,
        .devices = devices,
    };
    g_autoptr(GByteArray) bytes = machine_info_build(&info);
    g_autoptr(GBytes) pointer = NULL;
    hwaddr at =
        boot_plan_place_table(b->plan, bytes->data, bytes->len, 16, errp);
    uint8_t le[4];

    if (!at) {
        return false;
    }
    st_le32(le, (uint32_t)at);
    pointer = g_bytes_new(le, sizeof(le));
    boot_plan_add(b->plan, MACHINE_INFO_POINTER, sizeof(le), pointer);
    return true;
}

bool pc_plan_tables(PcBoard *b, BootEnv *env, GError **errp)
{
    Machine *m = b->machine;
    g_autofree uint32_t *apic_ids = g_new0(uint32_t, m->ncpus);

    for (unsigned i = 0; i < m->ncpus; i++) {
        apic_ids[i] = m->cpu[i]->apic_id;
    }
    pc_plan_bda(b);
    if (b->opts.acpi && !pc_plan_acpi(b, apic_ids, env, errp)) {
        return false;
    }
    return pc_plan_mptable(b, apic_ids, errp) &&
           (!b->has_pci || pc_plan_pir(b, errp)) &&
           pc_plan_smbios(b, env, errp) && pc_plan_info(b, errp);
}
