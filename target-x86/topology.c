/*
 * APIC ids: a field each for thread, core, die and package, as wide as the
 * topology needs. SDM 3A, 8.9.
 */
#include "util/osdep.h"
#include "target-x86/cpuid.h"

/* Bits that hold the numbers 0 to @n - 1. */
static unsigned topo_width(unsigned n)
{
    return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

unsigned cpu_topo_core_shift(const CpuModel *cm)
{
    return topo_width(cm->threads);
}

unsigned cpu_topo_die_shift(const CpuModel *cm)
{
    return cpu_topo_core_shift(cm) + topo_width(cm->cores);
}

unsigned cpu_topo_package_shift(const CpuModel *cm)
{
    return cpu_topo_die_shift(cm) + topo_width(cm->dies);
}

uint32_t cpu_model_apic_id(const CpuModel *cm, unsigned index)
{
    unsigned thread = index % cm->threads;
    unsigned core = index / cm->threads % cm->cores;
    unsigned die = index / cm->threads / cm->cores % cm->dies;
    unsigned package = index / cm->threads / cm->cores / cm->dies;

    return thread | core << cpu_topo_core_shift(cm) |
           die << cpu_topo_die_shift(cm) |
           package << cpu_topo_package_shift(cm);
}
