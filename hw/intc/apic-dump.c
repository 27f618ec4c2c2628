/* The local APIC as "info lapic" prints it. */
#include "util/osdep.h"
#include "hw/intc/apic-internal.h"

static const char *const mode_names[8] = {
    "Fixed", "Lowest", "SMI", "(3)", "NMI", "INIT", "SIPI", "ExtINT"
};

static void apic_dump_lvt(const Apic *a, int entry, const char *name,
                          GString *out)
{
    static const char *const timer_mode[] = { "one-shot", "periodic",
                                              "tsc-deadline", "(3)" };
    uint32_t lvt = a->lvt[entry];

    g_string_append_printf(out, "%-8s 0x%08x %s %-5s %-6s", name, lvt,
                           lvt & 0x2000 ? "active-lo" : "active-hi",
                           lvt & LVT_LEVEL ? "level" : "edge",
                           lvt & LVT_MASKED ? "masked" : "");
    if (entry == LVT_TIMER) {
        g_string_append_printf(out, " %s (vec %u)\n", timer_mode[lvt >> 17 & 3],
                               lvt & LVT_VECTOR);
    } else {
        g_string_append_printf(out, " %s (vec %u)\n", mode_names[lvt >> 8 & 7],
                               lvt & LVT_VECTOR);
    }
}

static void apic_dump_vectors(const Apic *a, const char *name,
                              const uint32_t *set, GString *out)
{
    g_string_append_printf(out, "%-8s", name);
    for (int v = 0; v < 256; v++) {
        if (vec_test(set, v)) {
            g_string_append_printf(out, " %d%s", v,
                                   vec_test(a->tmr, v) ? "(level)" : "");
        }
    }
    g_string_append(out, vec_highest(set) < 0 ? " (none)\n" : "\n");
}

void apic_dump(X86Cpu *cpu, GString *out)
{
    const Apic *a = cpu->apic;

    cpu_state(cpu); /* brings the registers from the host's kernel */
    if (!a || !a->present) {
        g_string_append_printf(out, "CPU %u has no local APIC\n", cpu->index);
        return;
    }
    g_string_append_printf(out, "dumping local APIC state for CPU %u\n\n",
                           cpu->index);
    apic_dump_lvt(a, LVT_LINT0, "LVT0", out);
    apic_dump_lvt(a, LVT_LINT1, "LVT1", out);
    apic_dump_lvt(a, LVT_PERF, "LVTPC", out);
    apic_dump_lvt(a, LVT_ERROR, "LVTERR", out);
    apic_dump_lvt(a, LVT_THERMAL, "LVTTHMR", out);
    apic_dump_lvt(a, LVT_TIMER, "LVTT", out);
    g_string_append_printf(out,
                           "Timer    DCR=0x%x (divide by %u) "
                           "initial_count = %u current_count = %u\n",
                           a->dcr, 1u << apic_timer_shift(a), a->tmict,
                           apic_timer_count(a));
    g_string_append_printf(out, "SPIV     0x%08x APIC %s, spurious vec %u\n",
                           a->svr,
                           !apic_on(a)       ? "off"
                           : apic_soft_on(a) ? "enabled"
                                             : "disabled",
                           a->svr & LVT_VECTOR);
    g_string_append_printf(out, "ICR      0x%08x %s %s\nICR2     0x%08x\n",
                           a->icr,
                           a->icr & ICR_LOGICAL ? "logical" : "physical",
                           mode_names[a->icr >> 8 & 7], a->icr_high);
    g_string_append_printf(out, "ESR      0x%08x\n", a->esr);
    apic_dump_vectors(a, "ISR", a->isr, out);
    apic_dump_vectors(a, "IRR", a->irr, out);
    g_string_append_printf(
        out,
        "\n%s ID 0x%x TPR 0x%02x DFR 0x%02x LDR 0x%02x "
        "PPR 0x%02x\n",
        apic_x2(a) ? "x2APIC" : "APIC", apic_x2(a) ? cpu->apic_id : a->xapic_id,
        a->tpr, a->dfr >> 28, apic_x2(a) ? a->ldr : a->ldr >> 24, apic_ppr(a));
}
