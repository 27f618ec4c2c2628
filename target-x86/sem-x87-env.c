/*
 * x87 control: control and status word, tags, environments. SDM 1, 8.1.
 *
 * Control instructions do not touch FIP, FDP and FOP. FNSTENV and FNSAVE have
 * four formats: 14 or 28 bytes, protected or real (and virtual-8086) mode; the
 * latter has linear addresses and the opcode where the others have selectors.
 */
#include "util/osdep.h"
#include "target-x86/sem-x87.h"

/* Bits 6 is always set; 7 and 13-15 are always clear. */
static uint16_t fcw_valid(uint16_t v)
{
    return (v & 0x1f3f) | 0x40;
}

SEM(FNINIT)
{
    x87_init(c);
}

SEM(FNCLEX)
{
    c->s.fsw &= ~(FSW_FLAGS | FSW_SF);
    x87_update_es(c);
}

SEM(FLDCW)
{
    c->s.fcw = fcw_valid((uint16_t)v_mem(c, in, 2));
    x87_update_es(c);
}

SEM(FNSTCW)
{
    mem_st(c, in->seg, op_addr(c, in), c->s.fcw, 2);
}

SEM(FNSTSW)
{
    if (in->is_mem) {
        mem_st(c, in->seg, op_addr(c, in), c->s.fsw, 2);
    } else {
        gpr_set(c, R_RAX, c->s.fsw, 2);
    }
}

SEM(FNOP)
{
    if (insn_rows[in->id].opcode == 0xd9) { /* not the 8087's FENI, FDISI */
        x87_note(c, in);
    }
}

SEM(FWAIT)
{
    if ((c->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)) {
        x86_raise(c, EXC_NM);
    }
    x87_check_pending(c);
}

/* ---- tags and TOP ---------------------------------------------------------------- */

static inline void turn_stack(X86Cpu *c, unsigned by)
{
    unsigned top = (c->s.fsw + (by << FSW_TOP_SHIFT)) & FSW_TOP;

    c->s.fsw = (uint16_t)((c->s.fsw & ~(FSW_TOP | FSW_C1)) | top);
}

SEM(FINCSTP)
{
    x87_note(c, in);
    turn_stack(c, 1);
}

SEM(FDECSTP)
{
    x87_note(c, in);
    turn_stack(c, 7);
}

SEM(FFREE)
{
    x87_note(c, in);
    c->s.ftw &= ~(1u << x87_phys(c, in->rm & 7));
    c->s.fsw &= ~FSW_C1;
}

SEM(FFREEP) /* what it leaves in the tags is best known by the processor */
{
    x87_run_whole(c, in);
}

/* The full tag word: 00 valid, 01 zero, 10 special, 11 empty. */
static unsigned tag_of(const uint8_t *st)
{
    uint64_t man;
    uint16_t exp;

    memcpy(&man, st, 8);
    memcpy(&exp, st + 8, 2);
    exp &= 0x7fff;
    if (exp == 0 && man == 0) {
        return 1;
    }
    return exp == 0 || exp == 0x7fff || !(man >> 63) ? 2 : 0;
}

static uint16_t tags_full(const X86State *s)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        tags |= (s->ftw >> i & 1 ? tag_of(s->st[i]) : 3) << 2 * i;
    }
    return (uint16_t)tags;
}

static uint8_t tags_abridged(uint16_t full)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        tags |= (full >> 2 * i & 3) == 3 ? 0 : 1u << i;
    }
    return (uint8_t)tags;
}

/* ---- environments ------------------------------------------------------------------ */

enum { ENV_WORDS = 7 };

static bool env_is_real(const X86Cpu *c)
{
    return !c->mode.protected_mode;
}

/* The seven words, 16 or 32 bits each. */
static void env_words(const X86Cpu *c, uint32_t w[ENV_WORDS], bool wide)
{
    const X86State *s = &c->s;
    uint32_t fip = (uint32_t)s->fip, fdp = (uint32_t)s->fdp;
    uint32_t ones = wide ? 0xffff0000 : 0;

    w[0] = s->fcw | ones;
    w[1] = s->fsw | ones;
    w[2] = tags_full(s) | ones;
    if (env_is_real(c)) {
        fip += (uint32_t)s->fcs << 4;
        fdp += (uint32_t)s->fds << 4;
        w[3] = (fip & 0xffff) | ones;
        w[4] = (fip >> 16) << 12 | s->fop;
        w[5] = (fdp & 0xffff) | ones;
        w[6] = (fdp >> 16) << 12;
    } else {
        w[3] = fip;
        w[4] = wide ? s->fcs | (uint32_t)s->fop << 16 : s->fcs;
        w[5] = fdp;
        w[6] = s->fds | ones;
    }
}

static unsigned env_put(const X86Cpu *c, const Insn *in, uint8_t *buf)
{
    uint32_t w[ENV_WORDS];
    unsigned size = in->opsize == 1 ? 2 : 4;

    env_words(c, w, size == 4);
    for (unsigned i = 0; i < ENV_WORDS; i++) {
        memcpy(buf + i * size, &w[i], size);
    }
    return ENV_WORDS * size;
}

static void env_get(X86Cpu *c, const Insn *in, const uint8_t *buf)
{
    X86State *s = &c->s;
    uint32_t w[ENV_WORDS] = { 0 };
    unsigned size = in->opsize == 1 ? 2 : 4;

    for (unsigned i = 0; i < ENV_WORDS; i++) {
        memcpy(&w[i], buf + i * size, size);
    }
    s->fcw = fcw_valid((uint16_t)w[0]);
    s->fsw = (uint16_t)((w[1] & ~FSW_ES) | (s->fsw & FSW_ES));
    s->ftw = tags_abridged((uint16_t)w[2]);
    if (env_is_real(c)) {
        s->fip = (w[3] & 0xffff) | (w[4] >> 12 & (size == 4 ? 0xffff : 0xf))
                                       << 16;
        s->fcs = 0;
        s->fop = w[4] & 0x7ff;
        s->fdp = (w[5] & 0xffff) | (w[6] >> 12 & (size == 4 ? 0xffff : 0xf))
                                       << 16;
        s->fds = 0;
    } else {
        s->fip = w[3];
        s->fcs = (uint16_t)w[4];
        s->fop = size == 4 ? w[4] >> 16 & 0x7ff : 0;
        s->fdp = w[5];
        s->fds = (uint16_t)w[6];
    }
    x87_update_es(c);
}

static unsigned env_size(const Insn *in)
{
    return ENV_WORDS * (in->opsize == 1 ? 2 : 4);
}

SEM(FNSTENV)
{
    uint8_t buf[ENV_WORDS * 4];
    unsigned len = env_put(c, in, buf);

    mem_st_buf(c, in->seg, op_addr(c, in), buf, len);
    c->s.fcw |= FSW_FLAGS;
    x87_update_es(c);
}

SEM(FLDENV)
{
    uint8_t buf[ENV_WORDS * 4];

    mem_ld_buf(c, in->seg, op_addr(c, in), buf, env_size(in));
    env_get(c, in, buf);
}

SEM(FNSAVE)
{
    uint8_t buf[ENV_WORDS * 4 + 80];
    unsigned len = env_put(c, in, buf);

    for (unsigned i = 0; i < 8; i++) {
        memcpy(buf + len + 10 * i, x87_st(c, i), 10);
    }
    mem_st_buf(c, in->seg, op_addr(c, in), buf, len + 80);
    x87_init(c);
}

SEM(FRSTOR)
{
    uint8_t buf[ENV_WORDS * 4 + 80];
    unsigned len = env_size(in);

    mem_ld_buf(c, in->seg, op_addr(c, in), buf, len + 80);
    env_get(c, in, buf);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(x87_st(c, i), buf + len + 10 * i, 10);
    }
}
