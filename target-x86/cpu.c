/*
 * A processor from power-on: reset, INIT, the time-stamp counter.
 * SDM 3A, 9.1, table 9-1.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "system/machine.h"
#include "target-x86/cpu.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"

enum {
    APIC_BASE_ADDR = 0xfee00000,
    APIC_BASE_BSP = 1 << 8,
    APIC_BASE_EN = 1 << 11,
};

static const X86Seg reset_data = { .attr = SEG_P | SEG_S | SEG_RW | SEG_A,
                                   .limit = 0xffff };

/* What RESET and INIT have in common. */
static void cpu_reset_core(X86Cpu *cpu)
{
    X86State *s = &cpu->s;

    memset(s->gpr, 0, sizeof(s->gpr));
    s->gpr[R_RDX] = cpu->model ? cpu_model_signature(cpu->model) : 0;
    s->rip = 0xfff0;
    s->rflags = 2;
    for (unsigned i = 0; i < S_COUNT; i++) {
        s->seg[i] = reset_data;
    }
    s->seg[S_CS].sel = 0xf000;
    s->seg[S_CS].base = 0xffff0000;
    s->seg[S_CS].attr |= SEG_CODE;
    s->ldt = (X86Seg) { .attr = SEG_P | 2 << SEG_TYPE_SHIFT, .limit = 0xffff };
    s->tr = (X86Seg) { .attr = SEG_P | 11 << SEG_TYPE_SHIFT, .limit = 0xffff };
    s->gdt_base = s->idt_base = 0;
    s->gdt_limit = s->idt_limit = 0xffff;
    s->cr0 = (s->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
    memset(s->pdpte, 0, sizeof(s->pdpte));
    memset(s->dr, 0, sizeof(s->dr));
    s->dr[6] = DR6_INIT;
    s->dr[7] = DR7_INIT;
    s->efer = 0;
    s->debugctl = 0;
    s->mp_state = s->apic_base & APIC_BASE_BSP ? MP_RUNNABLE : MP_WAIT_SIPI;
    /* sipi_vector stays: the SIPI may have come right behind this INIT. */
    s->halted = s->irq_shadow = s->ss_shadow = false;
    s->nmi_masked = s->in_smm = false;
}

static void cpu_reset_msrs(X86Cpu *cpu)
{
    X86State *s = &cpu->s;

    s->pat = UINT64_C(0x0007040600070406);
    s->apic_base =
        APIC_BASE_ADDR | APIC_BASE_EN | (cpu->index == 0 ? APIC_BASE_BSP : 0);
    /* Fast strings; no branch trace or event sampling. */
    s->misc_enable = 1 | 1 << 11 | 1 << 12;
    if (cpu->model && cpu_has(cpu, FEAT_MONITOR)) {
        s->misc_enable |= 1 << 18;
    }
    s->feature_control = 1; /* locked, nothing enabled */
    s->smbase = 0x30000;
    s->mcg_ctl = UINT64_MAX;
    for (unsigned i = 0; i < G_N_ELEMENTS(s->mce); i += 4) {
        s->mce[i] = UINT64_MAX;
    }
    s->xcr0 = XCR0_X87;
}

/* -d cpu_reset: what the processor was doing. */
static void cpu_log_reset(X86Cpu *cpu)
{
    if (log_enabled(LOG_RESET)) {
        g_autoptr(GString) text = g_string_new(NULL);

        x86_dump(cpu, text, false);
        log_write("CPU Reset (CPU %u)\n%s", cpu->index, text->str);
    }
}

void x86_reset(X86Cpu *cpu)
{
    X86State *s = &cpu->s;
    bool a20_masked = s->a20_masked; /* the board's, not the processor's */

    cpu_log_reset(cpu);
    memset(s, 0, sizeof(*s));
    memset(cpu->ext, 0, sizeof(cpu->ext));
    cpu->ext_bv = 0;
    s->a20_masked = a20_masked;
    s->cr0 = CR0_CD | CR0_NW;
    cpu_reset_msrs(cpu);
    cpu_reset_core(cpu);
    s->fcw = 0x40;
    s->ftw = 0xff; /* all hold +0.0 */
    s->mxcsr = 0x1f80;
    cpu->lazy.op = FLAGS_EXACT;
    cpu->insn = NULL;
    cpu->n_recent = 0;
    cpu->chain_len = 0;
    x86_update_mode(cpu);
}

void x86_init(X86Cpu *cpu)
{
    cpu_log_reset(cpu);
    cpu_reset_core(cpu);
    cpu->lazy.op = FLAGS_EXACT;
    cpu->insn = NULL;
    if (cpu->apic_ops) {
        machine_lock(cpu->machine);
        cpu->apic_ops->init_reset(cpu);
        machine_unlock(cpu->machine);
    }
    tlb_flush(cpu, true);
    x86_update_mode(cpu);
}

uint64_t x86_tsc(X86Cpu *cpu)
{
    uint64_t ns = cpu->machine ? (uint64_t)clock_ns(cpu->machine->vclock) : 0;

    if (x86_tsc_hz(cpu) == NS_PER_SEC) {
        return ns + cpu->s.tsc_offset;
    }
    return muldiv64(ns, x86_tsc_hz(cpu), NS_PER_SEC) + cpu->s.tsc_offset;
}
