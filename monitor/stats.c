/*
 * The counters of processors and devices as text.
 *
 * They are plain numbers, each written by one thread (a vCPU's own) or under
 * the machine lock (a region's), and count on through resets.
 */
#include "util/osdep.h"
#include "accel/accel.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "monitor/stats.h"
#include "system/host-kernel.h"
#include "target-x86/seg.h"

enum { REGIONS_SHOWN = 40 };

static void stat_line(const char *name, uint64_t value, void *opaque)
{
    g_string_append_printf(opaque, "  %-34s %14" PRIu64 "\n", name, value);
}

static void stat_engine(X86Cpu *cpu, GString *out)
{
    const AccelOps *ops = cpu->machine->accel->ops;

    g_string_append_printf(out, "CPU %u (%s)\n", cpu->index, ops->name);
    if (ops->stats) {
        ops->stats(cpu, stat_line, out);
    }
}

static void stat_cpu(X86Cpu *cpu, GString *out)
{
    uint64_t all = 0;

    stat_engine(cpu, out);
    for (unsigned i = 0; i < G_N_ELEMENTS(cpu->vectors); i++) {
        all += cpu->vectors[i];
    }
    stat_line("interrupts delivered in software", all, out);
    for (unsigned i = 0; i < G_N_ELEMENTS(cpu->vectors); i++) {
        const char *name = x86_vector_name(i);
        g_autofree char *text =
            g_strdup_printf("  vector 0x%02x %s", i, name ? name : "");

        if (cpu->vectors[i]) {
            stat_line(text, cpu->vectors[i], out);
        }
    }
}

static uint64_t stat_sum(const Region *r)
{
    return r->n_reads + r->n_writes;
}

static gint stat_busier(gconstpointer a, gconstpointer b)
{
    uint64_t x = stat_sum(*(Region *const *)a);
    uint64_t y = stat_sum(*(Region *const *)b);

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Regions that are mapped now, each once. */
static void stat_collect(AddressSpace *as, GPtrArray *all)
{
    const FlatMap *map = as_flat(as);

    for (unsigned i = 0; i < map->n; i++) {
        Region *r = map->range[i].region;

        if (r->kind == REGION_IO && stat_sum(r) &&
            !g_ptr_array_find(all, r, NULL)) {
            g_ptr_array_add(all, r);
        }
    }
}

static void stat_regions(const char *title, AddressSpace *as, GString *out)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    stat_collect(as, all);
    g_ptr_array_sort(all, stat_busier);
    g_string_append_printf(out, "%-36s %14s %14s\n", title, "reads", "writes");
    for (guint i = 0; i < all->len && i < REGIONS_SHOWN; i++) {
        const Region *r = g_ptr_array_index(all, i);

        g_string_append_printf(out, "  %-34s %14" PRIu64 " %14" PRIu64 "\n",
                               r->name, r->n_reads, r->n_writes);
    }
    if (all->len > REGIONS_SHOWN) {
        g_string_append_printf(out, "  and %u more\n",
                               all->len - REGIONS_SHOWN);
    }
}

void stats_print(Machine *m, GString *out)
{
    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        stat_cpu(m->cpu[i], out);
    }
    stat_regions("Ports", m->io, out);
    stat_regions("Memory-mapped registers", m->mem, out);
}

void stats_print_jit(Machine *m, GString *out)
{
    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        stat_engine(m->cpu[i], out);
    }
}

static void stat_inputs(const Device *dev, const uint64_t *rises, unsigned n,
                        GString *out)
{
    g_string_append_printf(out, "IRQ statistics for %s:\n", dev->cls->name);
    for (unsigned i = 0; i < n; i++) {
        if (rises[i]) {
            g_string_append_printf(out, "%2u: %" PRIu64 "\n", i, rises[i]);
        }
    }
}

void stats_print_irq(Machine *m, GString *out)
{
    if (host_has_irqchip(m)) {
        g_string_append(out, "The interrupt controllers are in the host's "
                             "kernel, which does not count: start with "
                             "-machine kernel-irqchip=off, or look at the "
                             "guest's /proc/interrupts\n");
        return;
    }
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (dev->cls == &i8259_class) {
            stat_inputs(dev, i8259_rises(dev), 16, out);
        } else if (dev->cls == &ioapic_class) {
            stat_inputs(dev, ioapic_rises(dev), IOAPIC_PINS, out);
        }
    }
}

/* As QEMU's, but for what we have not: the offset in the address space of all
 * RAM, and what migration used of it. */
void stats_print_ram(Machine *m, GString *out)
{
    const FlatMap *map = as_flat(m->mem);

    g_string_append_printf(out, "%24s %18s %18s %s\n", "Block Name", "Address",
                           "Size", "HVA");
    for (unsigned i = 0; i < map->n; i++) {
        const FlatRange *r = &map->range[i];

        if (r->region->kind == REGION_RAM || r->region->kind == REGION_ROM) {
            g_string_append_printf(
                out, "%24s 0x%016" PRIx64 " 0x%016" PRIx64 " %p\n",
                r->region->name, r->base, r->size,
                (void *)(r->region->ram + r->offset));
        }
    }
}
