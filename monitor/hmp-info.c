/* info: what the machine looks like. */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "chardev/chardev.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/pci/pci.h"
#include "accel/kvm/kvm.h"
#include "monitor/hmp.h"
#include "monitor/symbols.h"

void hmp_info_status(Monitor *mon, const Args *args)
{
    RunState s = mon_machine(mon)->state;

    mon_printf(mon, "VM status: %s", s == RUN_RUNNING ? "running" : "paused");
    if (s != RUN_RUNNING && s != RUN_PAUSED) {
        mon_printf(mon, " (%s)", run_state_name(s));
    }
    mon_puts(mon, "\n");
}

void hmp_info_version(Monitor *mon, const Args *args)
{
    mon_puts(mon, "7.2.0 (Rhea " RHEA_VERSION ")\n");
}

void hmp_info_name(Monitor *mon, const Args *args)
{
    const char *name = mon_machine(mon)->cfg.name;

    if (name) {
        mon_printf(mon, "%s\n", name);
    }
}

void hmp_info_uuid(Monitor *mon, const Args *args)
{
    const char *uuid = mon_machine(mon)->cfg.uuid;

    mon_printf(mon, "%s\n",
               uuid ? uuid : "00000000-0000-0000-0000-000000000000");
}

void hmp_info_cpus(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);

    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        mon_printf(mon, "%c CPU #%u: thread_id=%d\n",
                   m->cpu[i] == mon_cpu(mon) ? '*' : ' ', i,
                   cpu_thread_id(m->cpu[i]));
    }
}

static void print_registers(Monitor *mon, X86Cpu *cpu)
{
    g_autoptr(GString) out = g_string_new(NULL);

    cpu_state(cpu);
    x86_dump(cpu, out, true);
    mon_printf(mon, "\nCPU#%u\n%s", cpu->index, out->str);
}

void hmp_info_registers(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    int64_t index = args_int(args, "vcpu", -1);
    bool held;

    if (!m->cpu || index >= (int64_t)m->ncpus || index < -1) {
        mon_printf(mon, "CPU#%d not available\n", (int)MAX(index, 0));
        return;
    }
    held = mon_cpus_hold(mon);
    if (args_bool(args, "all", false)) {
        for (unsigned i = 0; i < m->ncpus; i++) {
            print_registers(mon, m->cpu[i]);
        }
    } else {
        print_registers(mon, index < 0 ? mon_cpu(mon) : m->cpu[index]);
    }
    mon_cpus_release(mon, held);
}

void hmp_info_mtree(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    bool flat = args_bool(args, "flatview", false);
    g_autoptr(GString) out = g_string_new(NULL);

    as_dump(m->mem, out, flat);
    as_dump(m->io, out, flat);
    mon_puts(mon, out->str);
}

void hmp_info_pci(Monitor *mon, const Args *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    pci_dump(mon_machine(mon), out);
    mon_puts(mon, out->str);
}

typedef void DumpFn(Device *dev, GString *out);

/* All devices of a class. */
static void dump_class(Machine *m, const DeviceClass *cls, DumpFn *dump,
                       GString *out)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];

        if (dev->cls == cls) {
            dump(dev, out);
        }
    }
}

void hmp_info_pic(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    g_autoptr(GString) out = g_string_new(NULL);

    dump_class(m, &ioapic_class, ioapic_dump, out);
    dump_class(m, &i8259_class, i8259_dump, out);
    mon_puts(mon, out->str);
}

void hmp_info_lapic(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    int64_t index = args_int(args, "index", -1);
    X86Cpu *cpu = index < 0                             ? mon_cpu(mon)
                  : index < (int64_t)m->ncpus && m->cpu ? m->cpu[index]
                                                        : NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    bool held;

    if (!cpu || !cpu->apic) {
        mon_puts(mon, "No local APIC available\n");
        return;
    }
    held = mon_cpus_hold(mon);
    apic_dump(cpu, out);
    mon_cpus_release(mon, held);
    mon_puts(mon, out->str);
}

void hmp_info_kvm(Monitor *mon, const Args *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    kvm_info(mon_machine(mon), out);
    mon_puts(mon, out->str);
}

void hmp_info_exits(Monitor *mon, const Args *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    kvm_info_exits(mon_machine(mon), out);
    mon_puts(mon, out->str);
}

void hmp_info_chardev(Monitor *mon, const Args *args)
{
    GHashTableIter it;
    void *id, *c;

    g_hash_table_iter_init(&it, mon_machine(mon)->chardevs);
    while (g_hash_table_iter_next(&it, &id, &c)) {
        mon_printf(mon, "%s: filename=%s\n", (const char *)id,
                   ((Chardev *)c)->where);
    }
}

void hmp_info_history(Monitor *mon, const Args *args)
{
    GPtrArray *h = mon_history(mon);

    for (guint i = 0; h && i < h->len; i++) {
        mon_printf(mon, "%u: '%s'\n", i, (char *)g_ptr_array_index(h, i));
    }
}

void hmp_info_symbol(Monitor *mon, const Args *args)
{
    const Symbols *all = monitors_symbols(mon_machine(mon));
    uint64_t addr = (uint64_t)args_int(args, "addr", 0), offset;
    const char *name = symbols_at(all, addr, &offset);

    if (!name) {
        mon_printf(mon, "No symbol at %#" PRIx64 "%s\n", addr,
                   symbols_count(all) ? "" : ": the kernel has no symbols");
    } else if (offset) {
        mon_printf(mon, "%s + %#" PRIx64 "\n", name, offset);
    } else {
        mon_printf(mon, "%s\n", name);
    }
}
