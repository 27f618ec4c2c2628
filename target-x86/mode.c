/*
 * The processor's mode, worked out from CR0, CR4, EFER, XCR0, RFLAGS, CS, SS
 * and the other segments. SDM 3A, 2.1 and 3.
 *
 * "Flat" is what nearly all code runs in: the four old segments begin at 0 and
 * end at 4 GiB, so an offset is a linear address and no limit can be hit. In
 * 64-bit mode it holds by definition.
 */
#include "util/osdep.h"
#include "target-x86/mode.h"

/* A data segment that covers all 32-bit addresses and may be written. */
static bool mode_flat_data(const X86Seg *sg)
{
    return sg->base == 0 && sg->limit == UINT32_MAX && !sg->unusable &&
           (sg->attr & (SEG_P | SEG_S | SEG_CODE | SEG_CE | SEG_RW)) ==
               (SEG_P | SEG_S | SEG_RW);
}

static bool mode_flat(const X86State *s)
{
    return s->seg[S_CS].base == 0 && s->seg[S_CS].limit == UINT32_MAX &&
           mode_flat_data(&s->seg[S_SS]) && mode_flat_data(&s->seg[S_DS]) &&
           mode_flat_data(&s->seg[S_ES]);
}

static uint32_t mode_key(const X86State *s, const X86Mode *m)
{
    uint32_t key = (uint32_t)m->cpl << MODE_CPL_SHIFT;

    key |= m->code_bits == 64 ? MODE_CODE64 : 0;
    key |= m->code_bits == 32 ? MODE_CODE32 : 0;
    key |= m->stack_size == 8 ? MODE_STACK64 : 0;
    key |= m->stack_size == 4 ? MODE_STACK32 : 0;
    key |= m->protected_mode ? MODE_PROT : 0;
    key |= m->vm86 ? MODE_VM86 : 0;
    key |= m->flat ? MODE_FLAT : 0;
    key |= m->slow ? MODE_SLOW : 0;
    key |= m->long_mode ? MODE_LMA : 0;
    key |= s->cr0 & CR0_TS ? MODE_TS : 0;
    key |= s->cr0 & CR0_EM ? MODE_EM : 0;
    key |= s->cr0 & CR0_MP ? MODE_MP : 0;
    key |= s->cr4 & CR4_OSFXSR ? MODE_SSE : 0;
    if ((s->cr4 & CR4_OSXSAVE) && (s->xcr0 & XCR0_SSE) &&
        (s->xcr0 & XCR0_AVX)) {
        key |= MODE_AVX;
    }
    if (s->rflags & FL_AC) {
        if (m->cpl == 3) {
            key |= s->cr0 & CR0_AM ? MODE_AC : 0;
        } else {
            key |= s->cr4 & CR4_SMAP ? MODE_SMAP_OPEN : 0;
        }
    }
    return key;
}

void x86_update_mode(X86Cpu *cpu)
{
    X86Mode *m = &cpu->mode;
    const X86State *s = &cpu->s;
    uint32_t cs = s->seg[S_CS].attr, ss = s->seg[S_SS].attr;

    m->vm86 = (s->cr0 & CR0_PE) && (s->rflags & FL_VM);
    m->protected_mode = (s->cr0 & CR0_PE) && !m->vm86;
    m->paging = s->cr0 & CR0_PG;
    m->long_mode = s->efer & EFER_LMA;
    m->code64 = m->long_mode && m->protected_mode && (cs & SEG_L);
    m->code_bits = m->code64 ? 64 : cs & SEG_DB ? 32 : 16;
    m->stack_size = m->code64 ? 8 : ss & SEG_DB ? 4 : 2;
    m->cpl = m->vm86              ? 3
             : !m->protected_mode ? 0
                                  : (ss & SEG_DPL) >> SEG_DPL_SHIFT;
    m->flat = m->code64 || (!m->vm86 && mode_flat(s));
    m->slow = (s->rflags & FL_TF) || (s->dr[7] & 0xff);
    m->key = mode_key(s, m);
}
