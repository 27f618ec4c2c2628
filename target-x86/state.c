/*
 * X86State as a table: snapshots, and the test that saves and loads it. In
 * the order of cpu.h. What follows from it is made anew after loading.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "target-x86/cpu.h"
#include "target-x86/flags.h"

static const VMField seg_fields[] = {
    VM_U16(X86Seg, sel),   VM_BOOL(X86Seg, unusable), VM_U32(X86Seg, attr),
    VM_U32(X86Seg, limit), VM_U64(X86Seg, base),      VM_FIELDS_END,
};

static const VMState vmstate_seg = {
    .name = "x86-segment",
    .version = 1,
    .fields = seg_fields,
};

static const VMField state_fields[] = {
    VM_U64_ARRAY(X86State, gpr, 16),
    VM_U64(X86State, rip),
    VM_U64(X86State, rflags),
    VM_SUB_ARRAY(X86State, seg, S_COUNT, vmstate_seg),
    VM_SUB(X86State, ldt, vmstate_seg),
    VM_SUB(X86State, tr, vmstate_seg),
    VM_U64(X86State, gdt_base),
    VM_U64(X86State, idt_base),
    VM_U32(X86State, gdt_limit),
    VM_U32(X86State, idt_limit),
    VM_U64(X86State, cr0),
    VM_U64(X86State, cr2),
    VM_U64(X86State, cr3),
    VM_U64(X86State, cr4),
    VM_U64(X86State, cr8),
    VM_U64_ARRAY(X86State, dr, 8),
    VM_U64_ARRAY(X86State, pdpte, 4),
    VM_U64(X86State, efer),
    VM_U64(X86State, star),
    VM_U64(X86State, lstar),
    VM_U64(X86State, cstar),
    VM_U64(X86State, sfmask),
    VM_U64(X86State, kernel_gs_base),
    VM_U64(X86State, sysenter_cs),
    VM_U64(X86State, sysenter_esp),
    VM_U64(X86State, sysenter_eip),
    VM_U64(X86State, pat),
    VM_U64(X86State, tsc_aux),
    VM_U64(X86State, xcr0),
    VM_U64(X86State, tsc_offset),
    VM_U64(X86State, tsc_adjust),
    VM_U64(X86State, apic_base),
    VM_U64(X86State, misc_enable),
    VM_U64(X86State, debugctl),
    VM_U64(X86State, xss),
    VM_U64(X86State, spec_ctrl),
    VM_U64(X86State, smbase),
    VM_U64(X86State, mtrr_def),
    VM_U64_ARRAY(X86State, mtrr_fixed, 11),
    VM_U64_ARRAY(X86State, mtrr_base, 8),
    VM_U64_ARRAY(X86State, mtrr_mask, 8),
    VM_U64(X86State, mcg_status),
    VM_U64(X86State, mcg_ctl),
    VM_U64_ARRAY(X86State, mce, 40),
    VM_U64(X86State, feature_control),
    VM_U64(X86State, clock_modulation),
    VM_U64(X86State, therm_interrupt),
    VM_U64(X86State, hwcr),
    VM_U64(X86State, syscfg),
    VM_U64(X86State, de_cfg),
    VM_U64(X86State, vm_cr),
    VM_U64(X86State, vm_hsave_pa),
    VM_U64_ARRAY(X86State, amd_cfg, 8),
    VM_U64(X86State, pv_wall_clock),
    VM_U64(X86State, pv_system_time),
    VM_U32(X86State, pkru),
    VM_BUFFER(X86State, st),
    VM_U16(X86State, fcw),
    VM_U16(X86State, fsw),
    VM_U16(X86State, fop),
    VM_U8(X86State, ftw),
    VM_U64(X86State, fip),
    VM_U64(X86State, fdp),
    VM_U16(X86State, fcs),
    VM_U16(X86State, fds),
    VM_BUFFER(X86State, vec),
    VM_U32(X86State, mxcsr),
    VM_U8(X86State, mp_state),
    VM_U8(X86State, sipi_vector),
    VM_BOOL(X86State, halted),
    VM_BOOL(X86State, irq_shadow),
    VM_BOOL(X86State, ss_shadow),
    VM_BOOL(X86State, nmi_masked),
    VM_BOOL(X86State, in_smm),
    VM_BOOL(X86State, a20_masked),
    VM_U64_SINCE(X86State, pv_clock, 2),
    VM_FIELDS_END,
};

/* A stream is not to be trusted: values that no processor can hold would
 * confuse everything that relies on them. */
static bool state_check(const X86State *s, GError **errp)
{
    if (s->mp_state > MP_WAIT_SIPI) {
        error_setg(errp, "CPU state: no such run state %u", s->mp_state);
        return false;
    }
    if (s->cr0 & CR0_PG && !(s->cr0 & CR0_PE)) {
        error_setg(errp, "CPU state: paging without protected mode");
        return false;
    }
    if (s->efer & EFER_LMA &&
        (!(s->efer & EFER_LME) || !(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE))) {
        error_setg(errp, "CPU state: long mode without PAE paging");
        return false;
    }
    return true;
}

/* A snapshot's TSC goes on at its own rate: the guest has measured it. */
#define MIN_TSC_HZ UINT64_C(1000000)
#define MAX_TSC_HZ UINT64_C(100000000000)

/* AVX-512 that the guest has switched on cannot be taken away from it. */
static bool ext_post_load(X86Cpu *cpu, int version, GError **errp)
{
    if (version < 3) {
        cpu->ext_bv = 0;
        memset(cpu->ext, 0, sizeof(cpu->ext));
    }
    if (!cpu->has_ext && (cpu->s.xcr0 & XCR0_EXT)) {
        error_setg(errp,
                   "CPU state: the guest uses AVX-512, which this processor "
                   "has not: load it with -accel kvm -cpu host where -accel "
                   "kvm,help finds such a processor, or start the guest "
                   "anew with -cpu ...,-avx512f");
        return false;
    }
    cpu->ext_bv &= cpu->has_ext ? XCR0_EXT : 0;
    return true;
}

static bool state_post_load(void *obj, int version, GError **errp)
{
    X86Cpu *cpu = obj;

    if (!state_check(&cpu->s, errp)) {
        return false;
    }
    if (version < 2 || cpu->tsc_hz > MAX_TSC_HZ ||
        (cpu->tsc_hz && cpu->tsc_hz < MIN_TSC_HZ)) {
        cpu->tsc_hz = 0;
    }
    if (!ext_post_load(cpu, version, errp)) {
        return false;
    }
    cpu->s.rflags = (cpu->s.rflags & 0x3f7fd7) | 2;
    cpu->lazy.op = FLAGS_EXACT;
    cpu->insn = NULL;
    x86_update_mode(cpu);
    return true;
}

static const VMState vmstate_x86_state = {
    .name = "x86-state",
    .version = 2,
    .min_version = 1,
    .fields = state_fields,
};

static const VMField cpu_fields[] = {
    VM_SUB(X86Cpu, s, vmstate_x86_state),
    VM_U64_SINCE(X86Cpu, tsc_hz, 2),
    VM_U64_SINCE(X86Cpu, ext_bv, 3),
    VM_BUFFER_SINCE(X86Cpu, ext, 3),
    VM_FIELDS_END,
};

/* 3: the guest uses AVX-512. */
static int cpu_save_version(void *obj)
{
    const X86Cpu *cpu = obj;

    return cpu->has_ext && (cpu->ext_bv || (cpu->s.xcr0 & XCR0_EXT)) ? 3 : 2;
}

/* Of an X86Cpu; the accelerator drops its translations itself. */
const VMState vmstate_x86 = {
    .name = "x86-cpu",
    .version = 3,
    .min_version = 1,
    .fields = cpu_fields,
    .save_version = cpu_save_version,
    .post_load = state_post_load,
};
