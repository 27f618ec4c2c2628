/* info mem, info tlb: the page tables of a processor, in QEMU's layout. */
#include "util/osdep.h"
#include "monitor/hmp.h"
#include "target-x86/cpuid.h"
#include "target-x86/mmu.h"

enum { /* bits of a leaf entry. SDM 3A, table 4-20 */
       PTE_W = 1 << 1,
       PTE_U = 1 << 2,
       PTE_PWT = 1 << 3,
       PTE_PCD = 1 << 4,
       PTE_A = 1 << 5,
       PTE_D = 1 << 6,
       PTE_G = 1 << 8,
};

typedef struct MemRun {
    Monitor *mon;
    uint64_t start, end;
    int rights; /* of PTE_U and PTE_W; -1: no run */
} MemRun;

static void *bus_ram(void *opaque, hwaddr addr)
{
    return as_ram(opaque, addr, 8, false);
}

static uint64_t bus_load(void *opaque, hwaddr addr, unsigned size)
{
    return as_load(opaque, addr, size);
}

typedef bool WalkFn(void *opaque, uint64_t lin, hwaddr phys, unsigned shift,
                    uint64_t entry, uint64_t rights);

static bool walk(Monitor *mon, WalkFn *fn, void *opaque)
{
    X86Cpu *cpu = mon_cpu(mon);
    MmuBus bus = { .ram = bus_ram, .load = bus_load };
    bool held;

    if (!cpu) {
        mon_puts(mon, "No CPU available\n");
        return false;
    }
    held = mon_cpus_hold(mon);
    bus.opaque = cpu->machine->mem;
    bus.phys_bits = cpu_phys_bits(cpu);
    bus.page1gb = true;
    bus.a20_masked = cpu_state(cpu)->a20_masked;
    if (cpu->s.cr0 & CR0_PG) {
        mmu_foreach(&cpu->s, &bus, fn, opaque);
    } else {
        mon_puts(mon, "PG disabled\n");
    }
    mon_cpus_release(mon, held);
    return true;
}

static bool print_page(void *opaque, uint64_t lin, hwaddr phys, unsigned shift,
                       uint64_t entry, uint64_t rights)
{
    mon_printf(opaque, "%016" PRIx64 ": %016" PRIx64 " %c%c%c%c%c%c%c%c%c\n",
               lin, phys, entry >> 63 ? 'X' : '-', entry & PTE_G ? 'G' : '-',
               shift > 12 ? 'P' : '-', entry & PTE_D ? 'D' : '-',
               entry & PTE_A ? 'A' : '-', entry & PTE_PCD ? 'C' : '-',
               entry & PTE_PWT ? 'T' : '-', entry & PTE_U ? 'U' : '-',
               entry & PTE_W ? 'W' : '-');
    return true;
}

void hmp_info_tlb(Monitor *mon, const Args *args)
{
    walk(mon, print_page, mon);
}

static void run_print(const MemRun *r)
{
    if (r->rights >= 0) {
        mon_printf(
            r->mon, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n",
            r->start, r->end, r->end - r->start, r->rights & PTE_U ? 'u' : '-',
            r->rights & PTE_W ? 'w' : '-');
    }
}

static bool run_add(void *opaque, uint64_t lin, hwaddr phys, unsigned shift,
                    uint64_t entry, uint64_t rights)
{
    MemRun *r = opaque;
    int now = rights & (PTE_U | PTE_W);

    if (r->rights != now || r->end != lin) {
        run_print(r);
        r->start = lin;
        r->rights = now;
    }
    r->end = lin + (UINT64_C(1) << shift);
    return true;
}

void hmp_info_mem(Monitor *mon, const Args *args)
{
    MemRun r = { .mon = mon, .rights = -1 };

    walk(mon, run_add, &r);
    run_print(&r);
}
