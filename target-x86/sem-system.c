/*
 * System instructions: descriptor table registers, control and debug
 * registers, MSRs, fast system calls, and what else SDM 2 marks as "for use by
 * the operating system". Privilege and mode conditions that insn.def states
 * (IA_PRIV, IA_PROT, IA_O64, the CPUID feature) have been checked already.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/fpu.h"
#include "target-x86/msr.h"
#include "target-x86/operand.h"
#include "target-x86/seg.h"

#define SEM(name) void sem_##name(X86Cpu *c, const Insn *in)

static G_NORETURN void sys_gp(X86Cpu *c, uint16_t sel)
{
    x86_raise_err(c, EXC_GP, sel & ~3u);
}

static void sys_need_cpl0(X86Cpu *c)
{
    if (c->mode.cpl != 0) {
        x86_raise(c, EXC_UD);
    }
}

static uint8_t sys_opcode(const Insn *in)
{
    return insn_rows[in->id].opcode;
}

/* ---- GDTR, IDTR, LDTR, TR ------------------------------------------------------ */

/* CR4.UMIP keeps these from programs. */
static void sys_umip(X86Cpu *c)
{
    if (c->s.cr4 & CR4_UMIP && c->mode.cpl != 0) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

static void sys_store_table(X86Cpu *c, const Insn *in, uint64_t base,
                            uint32_t limit)
{
    uint8_t buf[10];

    sys_umip(c);
    buf[0] = (uint8_t)limit;
    buf[1] = (uint8_t)(limit >> 8);
    memcpy(buf + 2, &base, 8);
    mem_st_buf(c, in->seg, op_addr(c, in), buf, in->code64 ? 10 : 6);
}

SEM(SGDT)
{
    sys_store_table(c, in, c->s.gdt_base, c->s.gdt_limit);
}

SEM(SIDT)
{
    sys_store_table(c, in, c->s.idt_base, c->s.idt_limit);
}

static void sys_load_table(X86Cpu *c, const Insn *in, uint64_t *base,
                           uint32_t *limit)
{
    uint8_t buf[10] = { 0 };
    uint64_t b;

    mem_ld_buf(c, in->seg, op_addr(c, in), buf, in->code64 ? 10 : 6);
    memcpy(&b, buf + 2, 8);
    if (in->code64) {
        if (!x86_canonical_max(c, b)) {
            sys_gp(c, 0);
        }
    } else if (in->opsize == 1) {
        b &= 0xffffff;
    }
    *base = b;
    *limit = buf[0] | (uint32_t)buf[1] << 8;
}

SEM(LGDT)
{
    sys_load_table(c, in, &c->s.gdt_base, &c->s.gdt_limit);
}

SEM(LIDT)
{
    sys_load_table(c, in, &c->s.idt_base, &c->s.idt_limit);
}

SEM(SLDT)
{
    sys_umip(c);
    op_write(c, in, 0, c->s.ldt.sel);
}

SEM(STR)
{
    sys_umip(c);
    op_write(c, in, 0, c->s.tr.sel);
}

/* A descriptor of the GDT for LDTR or TR. */
static void sys_read_system(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    if (sel & 4 || !desc_read(c, sel, d)) {
        sys_gp(c, sel);
    }
}

/* Its 64-bit base in long mode, and the present bit. */
static uint64_t sys_system_base(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    uint64_t base;

    if (c->mode.long_mode && !desc_read_hi(c, sel, d)) {
        sys_gp(c, sel);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
    base = desc_base(d) | (uint64_t)d->hi2 << 32;
    if (c->mode.long_mode && !x86_canonical_max(c, base)) {
        sys_gp(c, sel);
    }
    return base;
}

SEM(LLDT)
{
    uint16_t sel = (uint16_t)op_read(c, in, 0);
    uint64_t base;
    SegDesc d = { 0 };

    if (!(sel & ~3u)) {
        c->s.ldt = (X86Seg) { .sel = sel, .unusable = true };
        return;
    }
    sys_read_system(c, sel, &d);
    if (d.hi & SEG_S || desc_type(&d) != DESC_LDT) {
        sys_gp(c, sel);
    }
    base = sys_system_base(c, sel, &d);
    c->s.ldt = (X86Seg) { .sel = sel,
                          .attr = d.hi & 0x00f0ff00,
                          .limit = desc_limit(&d),
                          .base = base };
}

SEM(LTR)
{
    uint16_t sel = (uint16_t)op_read(c, in, 0);
    uint64_t base;
    SegDesc d = { 0 };

    if (!(sel & ~3u)) {
        sys_gp(c, 0);
    }
    sys_read_system(c, sel, &d);
    if (d.hi & SEG_S || (desc_type(&d) != DESC_TSS32 &&
                         (desc_type(&d) != DESC_TSS16 || c->mode.long_mode))) {
        sys_gp(c, sel);
    }
    base = sys_system_base(c, sel, &d);
    desc_set_busy(c, d.lin, true);
    c->s.tr = (X86Seg) { .sel = sel,
                         .attr = (d.hi & 0x00f0ff00) | 2 << SEG_TYPE_SHIFT,
                         .limit = desc_limit(&d),
                         .base = base };
}

/* ---- looking at descriptors ---------------------------------------------------- */

/* The descriptor of @sel, if CPL and RPL may see it. */
static bool sys_visible(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    if (!desc_read(c, sel, d)) {
        return false;
    }
    if (desc_is_code(d) && d->hi & SEG_CE) {
        return true;
    }
    return desc_dpl(d) >= c->mode.cpl && desc_dpl(d) >= (sel & 3u);
}

/* Types that exist for LAR: gates too, which have no limit for LSL. */
static bool sys_type_ok(const X86Cpu *c, const SegDesc *d, bool gates)
{
    uint32_t legacy = 1 << DESC_TSS16 | 1 << DESC_LDT | 1 << DESC_TSS16_BUSY |
                      1 << DESC_TSS32 | 1 << DESC_TSS32_BUSY;
    uint32_t lm = 1 << DESC_LDT | 1 << DESC_TSS32 | 1 << DESC_TSS32_BUSY;

    if (d->hi & SEG_S) {
        return true;
    }
    if (gates) {
        legacy |= 1 << DESC_CALL16 | 1 << DESC_TASK_GATE | 1 << DESC_CALL32;
        lm |= 1 << DESC_CALL32;
    }
    return (c->mode.long_mode ? lm : legacy) >> desc_type(d) & 1;
}

SEM(LAR)
{
    uint16_t sel = (uint16_t)op_read(c, in, 1);
    SegDesc d = { 0 };
    bool ok = sys_visible(c, sel, &d) && sys_type_ok(c, &d, true);

    if (ok) {
        op_write(c, in, 0, d.hi & 0x00f0ff00);
    }
    flags_change(c, FL_ZF, ok ? FL_ZF : 0);
}

SEM(LSL)
{
    uint16_t sel = (uint16_t)op_read(c, in, 1);
    SegDesc d = { 0 };
    bool ok = sys_visible(c, sel, &d) && sys_type_ok(c, &d, false);

    if (ok) {
        op_write(c, in, 0, desc_limit(&d));
    }
    flags_change(c, FL_ZF, ok ? FL_ZF : 0);
}

SEM(VERR)
{
    uint16_t sel = (uint16_t)op_read(c, in, 0);
    SegDesc d = { 0 };
    bool ok = sys_visible(c, sel, &d) && d.hi & SEG_S &&
              (!(d.hi & SEG_CODE) || d.hi & SEG_RW);

    flags_change(c, FL_ZF, ok ? FL_ZF : 0);
}

SEM(VERW)
{
    uint16_t sel = (uint16_t)op_read(c, in, 0);
    SegDesc d = { 0 };
    bool ok = sys_visible(c, sel, &d) && desc_is_writable_data(&d);

    flags_change(c, FL_ZF, ok ? FL_ZF : 0);
}

SEM(ARPL)
{
    uint16_t dst = (uint16_t)op_read_rmw(c, in, 0);
    uint16_t src = (uint16_t)op_read(c, in, 1);
    bool less = (dst & 3) < (src & 3);

    if (less) {
        op_write(c, in, 0, (dst & ~3u) | (src & 3));
    }
    flags_change(c, FL_ZF, less ? FL_ZF : 0);
}

/* ---- CR and DR --------------------------------------------------------------------- */

SEM(SMSW)
{
    sys_umip(c);
    op_write(c, in, 0, c->s.cr0);
}

SEM(LMSW)
{
    uint64_t v = op_read(c, in, 0) & 0xf;

    /* PE can be set this way, not cleared. */
    x86_set_cr0(c, (c->s.cr0 & ~UINT64_C(0xe)) | v);
}

SEM(CLTS)
{
    c->s.cr0 &= ~(uint64_t)CR0_TS;
    x86_update_mode(c);
}

static uint64_t sys_read_cr8(X86Cpu *c)
{
    uint64_t v = c->s.cr8;

    if (c->apic_ops) {
        machine_lock(c->machine);
        v = c->apic_ops->get_tpr(c);
        machine_unlock(c->machine);
    }
    return v;
}

static uint64_t sys_read_cr(X86Cpu *c, unsigned n)
{
    switch (n) {
    case 0:
        return c->s.cr0;
    case 2:
        return c->s.cr2;
    case 3:
        return c->s.cr3;
    case 4:
        return c->s.cr4;
    case 8:
        return sys_read_cr8(c);
    default:
        x86_raise(c, EXC_UD);
    }
}

static void sys_write_cr(X86Cpu *c, unsigned n, uint64_t v)
{
    switch (n) {
    case 0:
        x86_set_cr0(c, v);
        break;
    case 2:
        c->s.cr2 = v;
        break;
    case 3:
        x86_set_cr3(c, v);
        break;
    case 4:
        x86_set_cr4(c, v);
        break;
    case 8:
        x86_set_cr8(c, v);
        break;
    default:
        x86_raise(c, EXC_UD);
    }
}

SEM(MOV_CR)
{
    unsigned size = in->code64 ? 8 : 4;

    if (sys_opcode(in) == 0x20) {
        gpr_set(c, in->rm, sys_read_cr(c, in->reg), size);
    } else {
        sys_write_cr(c, in->reg, gpr_get(c, in->rm, size));
    }
}

SEM(MOV_DR)
{
    unsigned size = in->code64 ? 8 : 4, n = in->reg;

    if (n > 7 || (c->s.cr4 & CR4_DE && (n == 4 || n == 5))) {
        x86_raise(c, EXC_UD);
    }
    if (c->s.dr[7] & DR7_GD) {
        x86_raise_gd(c);
    }
    if (n == 4 || n == 5) {
        n += 2;
    }
    if (sys_opcode(in) == 0x21) {
        gpr_set(c, in->rm, c->s.dr[n], size);
    } else {
        x86_set_dr(c, n, gpr_get(c, in->rm, size));
    }
}

SEM(XGETBV)
{
    uint32_t n = (uint32_t)c->s.gpr[R_RCX];
    uint64_t v = c->s.xcr0;

    if (!(c->s.cr4 & CR4_OSXSAVE)) {
        x86_raise(c, EXC_UD);
    }
    if (n > 1 || (n == 1 && !cpu_has(c, FEAT_XGETBV1))) {
        sys_gp(c, 0);
    }
    if (n == 1) {
        v &= xsave_in_use(c);
    }
    c->s.gpr[R_RAX] = (uint32_t)v;
    c->s.gpr[R_RDX] = v >> 32;
}

SEM(XSETBV)
{
    if (!(c->s.cr4 & CR4_OSXSAVE)) {
        x86_raise(c, EXC_UD);
    }
    if ((uint32_t)c->s.gpr[R_RCX] != 0) {
        sys_gp(c, 0);
    }
    x86_set_xcr0(c, (uint32_t)c->s.gpr[R_RAX] | c->s.gpr[R_RDX] << 32);
}

/* ---- MSRs, time, identity ------------------------------------------------------------ */

static void sys_set_edx_eax(X86Cpu *c, uint64_t v)
{
    c->s.gpr[R_RAX] = (uint32_t)v;
    c->s.gpr[R_RDX] = v >> 32;
}

SEM(RDMSR)
{
    uint64_t v;

    if (!x86_rdmsr(c, (uint32_t)c->s.gpr[R_RCX], &v)) {
        sys_gp(c, 0);
    }
    sys_set_edx_eax(c, v);
}

SEM(WRMSR)
{
    uint64_t v = (uint32_t)c->s.gpr[R_RAX] | c->s.gpr[R_RDX] << 32;

    if (!x86_wrmsr(c, (uint32_t)c->s.gpr[R_RCX], v)) {
        sys_gp(c, 0);
    }
}

static void sys_check_tsd(X86Cpu *c)
{
    if (c->s.cr4 & CR4_TSD && c->mode.cpl != 0) {
        sys_gp(c, 0);
    }
}

SEM(RDTSC)
{
    sys_check_tsd(c);
    sys_set_edx_eax(c, x86_tsc(c));
}

SEM(RDTSCP)
{
    sys_check_tsd(c);
    sys_set_edx_eax(c, x86_tsc(c));
    c->s.gpr[R_RCX] = (uint32_t)c->s.tsc_aux;
}

SEM(RDPID)
{
    op_write(c, in, 0, c->s.tsc_aux);
}

/* There are no performance counters, so no number is a valid one. */
SEM(RDPMC)
{
    if (c->mode.cpl == 0 || c->s.cr4 & CR4_PCE) {
        log_mask(LOG_UNIMP, "RDPMC %x: no performance counters\n",
                 (uint32_t)c->s.gpr[R_RCX]);
    }
    sys_gp(c, 0);
}

SEM(CPUID)
{
    uint32_t r[4];

    x86_cpuid(c, (uint32_t)c->s.gpr[R_RAX], (uint32_t)c->s.gpr[R_RCX], r);
    c->s.gpr[R_RAX] = r[REG_EAX];
    c->s.gpr[R_RBX] = r[REG_EBX];
    c->s.gpr[R_RCX] = r[REG_ECX];
    c->s.gpr[R_RDX] = r[REG_EDX];
}

/* ---- caches and TLBs ------------------------------------------------------------------- */

/* Caches are the host's and coherent. */
SEM(INVD)
{
}

SEM(WBINVD)
{
}

SEM(WBNOINVD)
{
}

SEM(INVLPG)
{
    uint64_t base = in->code64 && in->seg < S_FS ? 0 : c->s.seg[in->seg].base;
    uint64_t lin = base + op_addr(c, in);

    tlb_flush_page(c, in->code64 ? lin : (uint32_t)lin);
}

SEM(INVPCID)
{
    uint64_t type = gpr_get(c, in->reg, in->code64 ? 8 : 4), desc[2];
    uint16_t pcid;

    mem_ld_buf(c, in->seg, op_addr(c, in), desc, 16);
    pcid = desc[0] & 0xfff;
    if (type > 3 || desc[0] >> 12 ||
        (type < 2 && pcid && !(c->s.cr4 & CR4_PCIDE)) ||
        (type == 0 && !x86_canonical(c, desc[1]))) {
        sys_gp(c, 0);
    }
    switch (type) {
    case 0:
        tlb_flush_page_pcid(c, desc[1], pcid);
        break;
    case 1:
        tlb_flush_pcid(c, pcid);
        break;
    default:
        tlb_flush(c, type == 2);
        break;
    }
}

/* ---- protection keys, SMAP, FS and GS ---------------------------------------------------- */

static void sys_check_pku(X86Cpu *c, bool write)
{
    if (!(c->s.cr4 & CR4_PKE)) {
        x86_raise(c, EXC_UD);
    }
    if ((uint32_t)c->s.gpr[R_RCX] || (write && (uint32_t)c->s.gpr[R_RDX])) {
        sys_gp(c, 0);
    }
}

SEM(RDPKRU)
{
    sys_check_pku(c, false);
    sys_set_edx_eax(c, c->s.pkru);
}

SEM(WRPKRU)
{
    uint32_t v = (uint32_t)c->s.gpr[R_RAX];

    sys_check_pku(c, true);
    if (v != c->s.pkru) {
        c->s.pkru = v;
        tlb_flush(c, true); /* rights are cached with translations */
    }
}

static void sys_set_ac(X86Cpu *c, uint32_t ac)
{
    sys_need_cpl0(c);
    c->s.rflags = (c->s.rflags & ~(uint64_t)FL_AC) | ac;
    x86_update_mode(c);
}

SEM(CLAC)
{
    sys_set_ac(c, 0);
}

SEM(STAC)
{
    sys_set_ac(c, FL_AC);
}

SEM(SWAPGS)
{
    uint64_t base = c->s.seg[S_GS].base;

    c->s.seg[S_GS].base = c->s.kernel_gs_base;
    c->s.kernel_gs_base = base;
}

static void sys_check_fsgsbase(X86Cpu *c)
{
    if (!(c->s.cr4 & CR4_FSGSBASE)) {
        x86_raise(c, EXC_UD);
    }
}

static void sys_write_base(X86Cpu *c, const Insn *in, unsigned seg)
{
    uint64_t v = op_read(c, in, 0);

    sys_check_fsgsbase(c);
    if (!x86_canonical_max(c, v)) {
        sys_gp(c, 0);
    }
    c->s.seg[seg].base = v;
}

SEM(RDFSBASE)
{
    sys_check_fsgsbase(c);
    op_write(c, in, 0, c->s.seg[S_FS].base);
}

SEM(RDGSBASE)
{
    sys_check_fsgsbase(c);
    op_write(c, in, 0, c->s.seg[S_GS].base);
}

SEM(WRFSBASE)
{
    sys_write_base(c, in, S_FS);
}

SEM(WRGSBASE)
{
    sys_write_base(c, in, S_GS);
}

/* ---- waiting -------------------------------------------------------------------------------- */

SEM(HLT)
{
    c->s.halted = true;
}

/*
 * The monitored line is not watched. MWAIT may end at any time, so: with
 * interrupts on and no other processor to write the line it is HLT; else the
 * host's scheduler gets a turn and the guest looks again.
 */
SEM(MONITOR)
{
    unsigned seg = in->has_seg ? in->seg : S_DS;

    sys_need_cpl0(c);
    if ((uint32_t)c->s.gpr[R_RCX]) {
        sys_gp(c, 0);
    }
    mem_probe(c, seg, gpr_get(c, R_RAX, 1u << in->adsize), 1, false);
}

SEM(MWAIT)
{
    sys_need_cpl0(c);
    if ((uint32_t)c->s.gpr[R_RCX] & ~1u) {
        sys_gp(c, 0);
    }
    if (c->machine && c->machine->ncpus == 1 && c->s.rflags & FL_IF) {
        c->s.halted = true;
    } else {
        g_thread_yield();
    }
}

SEM(RSM)
{
    x86_raise(c,
              EXC_UD); /* outside system management mode, which there is not */
}

/* ---- fast system calls ------------------------------------------------------------------------ */

/* Flat segments by fiat; no descriptor is read. */
static void sys_flat_cs(X86Cpu *c, uint16_t sel, unsigned dpl, bool code64)
{
    c->s.seg[S_CS] = (X86Seg) {
        .sel = sel,
        .attr = SEG_G | SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_A |
                dpl << SEG_DPL_SHIFT | (code64 ? SEG_L : SEG_DB),
        .limit = 0xffffffff,
    };
}

static void sys_flat_ss(X86Cpu *c, uint16_t sel, unsigned dpl)
{
    c->s.seg[S_SS] = (X86Seg) {
        .sel = sel,
        .attr = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_RW | SEG_A |
                dpl << SEG_DPL_SHIFT,
        .limit = 0xffffffff,
    };
}

static bool sys_amd(const X86Cpu *c)
{
    return c->model->vendor == VENDOR_AMD;
}

/* AMD has SYSCALL outside 64-bit mode too. APM 3, SYSCALL. */
SEM(SYSCALL)
{
    X86State *s = &c->s;
    uint16_t sel = s->star >> 32 & 0xfffc;
    uint64_t next = insn_next_rip(c, in);

    if (!(s->efer & EFER_SCE) || (!c->mode.code64 && !sys_amd(c))) {
        x86_raise(c, EXC_UD);
    }
    if (c->mode.long_mode) {
        s->gpr[R_RCX] = next;
        s->gpr[R_R11] = flags_get(c) & ~(uint64_t)FL_RF;
        s->rip = c->mode.code64 ? s->lstar : s->cstar;
        s->rflags = (s->rflags & ~(s->sfmask | FL_RF)) | 2;
    } else {
        s->gpr[R_RCX] = (uint32_t)next;
        s->rip = (uint32_t)s->star;
        s->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
    }
    sys_flat_cs(c, sel, 0, c->mode.long_mode);
    sys_flat_ss(c, sel + 8, 0);
    x86_update_mode(c);
}

SEM(SYSRET)
{
    X86State *s = &c->s;
    uint16_t sel = (uint16_t)(s->star >> 48) | 3;
    bool to64 = c->mode.code64 && in->opsize == 3;
    uint64_t rip = s->gpr[R_RCX];

    if (!(s->efer & EFER_SCE) || (!c->mode.code64 && !sys_amd(c))) {
        x86_raise(c, EXC_UD);
    }
    /* Intel checks here, AMD when the address is used. */
    if (to64 && !sys_amd(c) && !x86_canonical(c, rip)) {
        sys_gp(c, 0);
    }
    if (c->mode.long_mode) {
        s->rflags = (s->gpr[R_R11] & 0x3c7fd7) | 2;
        c->lazy.op = FLAGS_EXACT;
    } else {
        s->rflags |= FL_IF;
    }
    s->rip = to64 ? rip : (uint32_t)rip;
    sys_flat_cs(c, to64 ? sel + 16 : sel, 3, to64);
    sys_flat_ss(c, sel + 8, 3);
    x86_update_mode(c);
}

SEM(SYSENTER)
{
    X86State *s = &c->s;
    uint16_t sel = s->sysenter_cs & 0xfffc;
    bool lm = c->mode.long_mode;

    if (!(s->cr0 & CR0_PE) || !sel) {
        sys_gp(c, 0);
    }
    if (lm && sys_amd(c)) {
        x86_raise(c, EXC_UD);
    }
    s->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
    s->gpr[R_RSP] = lm ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    s->rip = lm ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    sys_flat_cs(c, sel, 0, lm);
    sys_flat_ss(c, sel + 8, 0);
    x86_update_mode(c);
}

SEM(SYSEXIT)
{
    X86State *s = &c->s;
    uint16_t sel = (uint16_t)s->sysenter_cs;
    bool to64 = c->mode.code64 && in->opsize == 3;
    uint64_t rip = s->gpr[R_RDX], rsp = s->gpr[R_RCX];

    if (!(s->cr0 & CR0_PE) || !(sel & ~3u)) {
        sys_gp(c, 0);
    }
    if (c->mode.long_mode && sys_amd(c)) {
        x86_raise(c, EXC_UD);
    }
    if (to64 && (!x86_canonical(c, rip) || !x86_canonical(c, rsp))) {
        sys_gp(c, 0);
    }
    s->rip = to64 ? rip : (uint32_t)rip;
    s->gpr[R_RSP] = to64 ? rsp : (uint32_t)rsp;
    sel += to64 ? 32 : 16;
    sys_flat_cs(c, sel | 3, 3, to64);
    sys_flat_ss(c, (sel + 8) | 3, 3);
    x86_update_mode(c);
}
