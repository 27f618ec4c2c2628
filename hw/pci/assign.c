/*
 * What firmware does with BARs: an address for each, inside the windows that
 * the host bridge's tables announce.
 *
 * The order is SeaBIOS's, so that a guest finds its devices about where it has
 * them under QEMU: the largest first, all memory BARs in one run that ends at
 * the end of the window, those that can be prefetched in one below it, I/O
 * from the start of its window. 64-bit BARs go above 4 GiB only if they do not
 * fit below.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/log.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"

enum { MEM_GRAIN = 4096 }; /* pages are not shared */

typedef struct Want {
    PciDevice *pd;
    int n;
    uint64_t size;
} Want;

typedef enum Kind { KIND_IO, KIND_MEM, KIND_PREFETCH, KIND_MEM64 } Kind;

/* The largest 64-bit BAR that is tried below 4 GiB. */
#define LOW_MAX (UINT64_C(64) << 20)

static Kind bar_kind(const PciBar *bar)
{
    if (bar->type & PCI_BAR_IO) {
        return KIND_IO;
    }
    if ((bar->type & PCI_BAR_MEM64) && bar->size > LOW_MAX) {
        return KIND_MEM64;
    }
    return bar->type & PCI_BAR_PREFETCH ? KIND_PREFETCH : KIND_MEM;
}

static int want_cmp(const void *a, const void *b)
{
    const Want *x = a, *y = b;

    if (x->size != y->size) {
        return x->size > y->size ? -1 : 1;
    }
    return x->pd->devfn != y->pd->devfn ? x->pd->devfn - y->pd->devfn
                                        : x->n - y->n;
}

/* The BARs of @kind, the largest first. */
static GArray *collect(PciBus *bus, Kind kind)
{
    GArray *list = g_array_new(false, false, sizeof(Want));

    for (unsigned i = 0; i < PCI_DEVFNS; i++) {
        PciDevice *pd = pci_bus_device(bus, i);

        for (int n = 0; pd && n < PCI_REGIONS; n++) {
            Want w = { pd, n, pd->bar[n].size };

            if (pd->bar[n].region && bar_kind(&pd->bar[n]) == kind) {
                w.size = kind == KIND_IO ? w.size : MAX(w.size, MEM_GRAIN);
                g_array_append_val(list, w);
            }
        }
    }
    g_array_sort(list, want_cmp);
    return list;
}

static void bar_set(PciDevice *pd, int n, uint64_t addr)
{
    unsigned off = n == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS + 4 * n;

    pci_config_write(pd, off, (uint32_t)addr, 4);
    if (pd->bar[n].type & PCI_BAR_MEM64) {
        pci_config_write(pd, off + 4, addr >> 32, 4);
    }
}

static uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

/* Gives the addresses from @base on. Sizes fall, so all but the first are
 * aligned by themselves. 64-bit BARs that find no place go to @spill. */
static void place(const GArray *list, uint64_t base, uint64_t end,
                  GArray *spill)
{
    for (guint i = 0; i < list->len; i++) {
        const Want *w = &g_array_index(list, Want, i);
        uint64_t at = align_up(base, w->size);

        if (at >= base && at <= end && w->size <= end - at) {
            bar_set(w->pd, w->n, at);
            base = at + w->size;
        } else if (spill && (w->pd->bar[w->n].type & PCI_BAR_MEM64)) {
            g_array_append_vals(spill, w, 1);
        } else {
            warn_report("no room for BAR %d of %s in slot %u: %" PRIu64 " KiB",
                        w->n, w->pd->dev.cls->name, PCI_SLOT(w->pd->devfn),
                        w->size / KIB);
        }
    }
}

/* Where a run that ends at @end begins; 0 if it does not fit. */
static uint64_t run_base(const GArray *list, const PciWindow *w, uint64_t end)
{
    uint64_t sum = 0, align = MEM_GRAIN, base;

    for (guint i = 0; i < list->len; i++) {
        const Want *want = &g_array_index(list, Want, i);

        sum += want->size; /* sizes below 4 GiB, at most 7 * 256 of them */
        align = MAX(align, want->size);
    }
    if (sum > end - w->base) {
        return w->base;
    }
    base = (end - sum) & ~(align - 1);
    return MAX(base, w->base);
}

static void decode_on(PciBus *bus)
{
    for (unsigned i = 0; i < PCI_DEVFNS; i++) {
        PciDevice *pd = pci_bus_device(bus, i);
        unsigned bits = 0;

        for (int n = 0; pd && n < PCI_BARS; n++) {
            if (pd->bar[n].region) {
                bits |= pd->bar[n].type & PCI_BAR_IO ? PCI_COMMAND_IO
                                                     : PCI_COMMAND_MEMORY;
            }
        }
        if (bits) {
            pci_config_write(pd, PCI_COMMAND,
                             ld_le16(pd->config + PCI_COMMAND) | bits, 2);
        }
    }
}

void pci_assign(PciBus *bus, const PciWindows *w)
{
    g_autoptr(GArray) io = collect(bus, KIND_IO);
    g_autoptr(GArray) mem = collect(bus, KIND_MEM);
    g_autoptr(GArray) pref = collect(bus, KIND_PREFETCH);
    g_autoptr(GArray) mem64 = collect(bus, KIND_MEM64);
    uint64_t mem_base = run_base(mem, &w->mem, w->mem.end);

    place(io, w->io.base, w->io.end, NULL);
    place(mem, mem_base, w->mem.end, mem64);
    place(pref, run_base(pref, &w->mem, mem_base), mem_base, mem64);
    g_array_sort(mem64, want_cmp);
    place(mem64, w->mem64.base, w->mem64.end, NULL);
    decode_on(bus);
}
