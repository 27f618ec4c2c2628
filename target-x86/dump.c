/*
 * A processor as text, in the layout that readers of "info registers" and of
 * QEMU's logs know.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"

typedef struct Dump {
    const X86State *s;
    GString *out;
    bool code64, lma;
} Dump;

static const char *const seg_names[S_COUNT] = { "ES", "CS", "SS",
                                                "DS", "FS", "GS" };

static const char *const sys_types[2][16] = {
    { "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate",
      "IntGate16", "TrapGate16", "Reserved", "TSS32-avl", "Reserved",
      "TSS32-busy", "CallGate32", "Reserved", "IntGate32", "TrapGate32" },
    { "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved",
      "Reserved", "Reserved", "Reserved", "TSS64-avl", "Reserved", "TSS64-busy",
      "CallGate64", "Reserved", "IntGate64", "TrapGate64" },
};

static char dump_bit(uint64_t v, uint64_t bit, char c)
{
    return v & bit ? c : '-';
}

/* Descriptor bits 16-19 of the upper half: the limit as it was written. */
static uint32_t dump_seg_word(const X86Seg *sg)
{
    uint32_t limit = sg->attr & SEG_G ? sg->limit >> 12 : sg->limit;

    return sg->unusable ? 0 : sg->attr | (limit & 0xf0000);
}

static void dump_seg(const Dump *d, const char *name, const X86Seg *sg)
{
    uint32_t attr = sg->attr;

    g_string_append_printf(d->out,
                           d->code64 ? "%-3s=%04x %016" PRIx64 " %08x %08x"
                                     : "%-3s=%04x %08" PRIx64 " %08x %08x",
                           name, sg->sel, sg->base, sg->limit,
                           dump_seg_word(sg));
    if (d->s->cr0 & CR0_PE && attr & SEG_P && !sg->unusable) {
        g_string_append_printf(d->out, " DPL=%u ",
                               (attr & SEG_DPL) >> SEG_DPL_SHIFT);
        if (!(attr & SEG_S)) {
            g_string_append(d->out, sys_types[d->lma][attr >> 8 & 15]);
        } else if (attr & SEG_CODE) {
            g_string_append_printf(d->out, "%s [%c%c%c]",
                                   attr & SEG_L    ? "CS64"
                                   : attr & SEG_DB ? "CS32"
                                                   : "CS16",
                                   dump_bit(attr, SEG_CE, 'C'),
                                   dump_bit(attr, SEG_RW, 'R'),
                                   dump_bit(attr, SEG_A, 'A'));
        } else {
            g_string_append_printf(d->out, "%s [%c%c%c]",
                                   attr & SEG_DB || d->lma ? "DS  " : "DS16",
                                   dump_bit(attr, SEG_CE, 'E'),
                                   dump_bit(attr, SEG_RW, 'W'),
                                   dump_bit(attr, SEG_A, 'A'));
        }
    }
    g_string_append_c(d->out, '\n');
}

static void dump_gprs(const Dump *d)
{
    static const struct {
        const char *name;
        uint8_t reg;
    } regs[] = {
        { "AX", R_RAX }, { "BX", R_RBX }, { "CX", R_RCX }, { "DX", R_RDX },
        { "SI", R_RSI }, { "DI", R_RDI }, { "BP", R_RBP }, { "SP", R_RSP },
    };
    const uint64_t *gpr = d->s->gpr;

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        const char *end = i % 4 == 3 ? "\n" : " ";

        g_string_append_printf(
            d->out, d->code64 ? "R%s=%016" PRIx64 "%s" : "E%s=%08" PRIx64 "%s",
            regs[i].name,
            d->code64 ? gpr[regs[i].reg] : (uint32_t)gpr[regs[i].reg], end);
    }
    for (unsigned i = 8; d->code64 && i < 16; i++) {
        g_string_append_printf(d->out, "R%-2u=%016" PRIx64 "%s", i, gpr[i],
                               i % 4 == 3 ? "\n" : " ");
    }
}

static void dump_flags(const Dump *d, unsigned cpl)
{
    const X86State *s = d->s;
    uint64_t fl = s->rflags;

    g_string_append_printf(d->out,
                           d->code64 ? "RIP=%016" PRIx64 " RFL=%08x"
                                     : "EIP=%08" PRIx64 " EFL=%08x",
                           s->rip, (uint32_t)fl);
    g_string_append_printf(
        d->out, " [%c%c%c%c%c%c%c] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n",
        dump_bit(fl, FL_DF, 'D'), dump_bit(fl, FL_OF, 'O'),
        dump_bit(fl, FL_SF, 'S'), dump_bit(fl, FL_ZF, 'Z'),
        dump_bit(fl, FL_AF, 'A'), dump_bit(fl, FL_PF, 'P'),
        dump_bit(fl, FL_CF, 'C'), cpl, s->irq_shadow || s->ss_shadow,
        !s->a20_masked, s->in_smm, s->halted);
}

static void dump_control(const Dump *d)
{
    const X86State *s = d->s;

    g_string_append_printf(d->out,
                           d->lma ? "GDT=     %016" PRIx64 " %08x\n"
                                    "IDT=     %016" PRIx64 " %08x\n"
                                  : "GDT=     %08" PRIx64 " %08x\n"
                                    "IDT=     %08" PRIx64 " %08x\n",
                           s->gdt_base, s->gdt_limit, s->idt_base,
                           s->idt_limit);
    g_string_append_printf(
        d->out,
        d->lma ? "CR0=%08x CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08x\n"
               : "CR0=%08x CR2=%08" PRIx64 " CR3=%08" PRIx64 " CR4=%08x\n",
        (uint32_t)s->cr0, s->cr2, s->cr3, (uint32_t)s->cr4);
    for (unsigned i = 0; i < 4; i++) {
        g_string_append_printf(d->out, "DR%u=%016" PRIx64 " ", i, s->dr[i]);
    }
    g_string_append_printf(d->out, "\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\n",
                           s->dr[6], s->dr[7]);
}

static void dump_x87(const Dump *d)
{
    const X86State *s = d->s;
    unsigned top = s->fsw >> 11 & 7;

    g_string_append_printf(d->out,
                           "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n",
                           s->fcw, s->fsw, top, s->ftw, s->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t mant;
        uint16_t exp;

        memcpy(&mant, s->st[i], 8);
        memcpy(&exp, s->st[i] + 8, 2);
        g_string_append_printf(d->out, "FPR%u=%016" PRIx64 " %04x%s", i, mant,
                               exp, i & 1 ? "\n" : " ");
    }
}

static void dump_vectors(const Dump *d)
{
    bool avx = d->s->xcr0 & XCR0_AVX;

    for (unsigned i = 0; i < (d->code64 ? 16 : 8); i++) {
        uint64_t q[4];

        memcpy(q, d->s->vec[i], sizeof(q));
        if (avx) {
            g_string_append_printf(d->out,
                                   "YMM%02u=%016" PRIx64 " %016" PRIx64
                                   " %016" PRIx64 " %016" PRIx64 "\n",
                                   i, q[3], q[2], q[1], q[0]);
        } else {
            g_string_append_printf(d->out,
                                   "XMM%02u=%016" PRIx64 " %016" PRIx64 "%s", i,
                                   q[1], q[0], i & 1 ? "\n" : " ");
        }
    }
}

void x86_dump(X86Cpu *cpu, GString *out, bool fpu)
{
    const X86State *s = &cpu->s;
    Dump d = { .s = s, .out = out, .lma = s->efer & EFER_LMA };
    unsigned cpl =
        s->cr0 & CR0_PE ? (s->seg[S_SS].attr & SEG_DPL) >> SEG_DPL_SHIFT : 0;

    flags_sync(cpu);
    d.code64 = d.lma && s->seg[S_CS].attr & SEG_L;
    dump_gprs(&d);
    dump_flags(&d, cpl);
    for (unsigned i = 0; i < S_COUNT; i++) {
        dump_seg(&d, seg_names[i], &s->seg[i]);
    }
    dump_seg(&d, "LDT", &s->ldt);
    dump_seg(&d, "TR", &s->tr);
    dump_control(&d);
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", s->efer);
    if (fpu) {
        dump_x87(&d);
        dump_vectors(&d);
    }
}
