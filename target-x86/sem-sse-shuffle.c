/*
 * Shuffles, blends, inserts and extracts with an immediate: the host wants the
 * immediate at compile time, so these are element moves in C.
 */
#include "util/osdep.h"
#include "target-x86/sem-vec.h"

/* ---- shuffles --------------------------------------------------------------- */

static inline V dwords(const uint32_t *p, unsigned a, unsigned b,
                       const uint32_t *q, unsigned d, unsigned e)
{
    return _mm_set_epi32((int)q[e & 3], (int)q[d & 3], (int)p[b & 3],
                         (int)p[a & 3]);
}

/* Two dwords of @a below two of @b, by the four fields of @imm. */
static inline V shuffle32(V a, V b, unsigned imm)
{
    uint32_t p[4], q[4];

    v_st(p, a);
    v_st(q, b);
    return dwords(p, imm, imm >> 2, q, imm >> 4, imm >> 6);
}

/* Four words of @v by the fields of @imm. */
static inline uint64_t shuffle16(uint64_t v, unsigned imm)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 4; i++) {
        r |= (v >> (imm >> 2 * i & 3) * 16 & 0xffff) << 16 * i;
    }
    return r;
}

SEM(PSHUFD)
{
    VPair s = v_src(c, in);

    s.lo = shuffle32(s.lo, s.lo, (unsigned)in->imm);
    if (in->vex_l) {
        s.hi = shuffle32(s.hi, s.hi, (unsigned)in->imm);
    }
    v_put(c, in, s);
}

SEM(PSHUFLW)
{
    VPair s = v_src(c, in);
    unsigned imm = (uint8_t)in->imm;

    s.lo = v_128(shuffle16(v_q0(s.lo), imm), v_q1(s.lo));
    s.hi = v_128(shuffle16(v_q0(s.hi), imm), v_q1(s.hi));
    v_put(c, in, s);
}

SEM(PSHUFHW)
{
    VPair s = v_src(c, in);
    unsigned imm = (uint8_t)in->imm;

    s.lo = v_128(v_q0(s.lo), shuffle16(v_q1(s.lo), imm));
    s.hi = v_128(v_q0(s.hi), shuffle16(v_q1(s.hi), imm));
    v_put(c, in, s);
}

SEM(PSHUFW)
{
    uint64_t s = v_q0(mm_src(c, in));

    mm_put(c, in->reg, shuffle16(s, (uint8_t)in->imm));
}

SEM(SHUFPS)
{
    VPair s = v_src(c, in), d = v_src1(c, in);

    d.lo = shuffle32(d.lo, s.lo, (unsigned)in->imm);
    if (in->vex_l) {
        d.hi = shuffle32(d.hi, s.hi, (unsigned)in->imm);
    }
    v_put(c, in, d);
}

static inline V shuffle64(V a, V b, unsigned imm)
{
    uint64_t lo = imm & 1 ? v_q1(a) : v_q0(a);
    uint64_t hi = imm & 2 ? v_q1(b) : v_q0(b);

    return v_128(lo, hi);
}

SEM(SHUFPD)
{
    VPair s = v_src(c, in), d = v_src1(c, in);

    d.lo = shuffle64(d.lo, s.lo, (unsigned)in->imm);
    d.hi = shuffle64(d.hi, s.hi, (unsigned)in->imm >> 2);
    v_put(c, in, d);
}

/* ---- blends ------------------------------------------------------------------- */

/* Element masks from the low bits of @imm. */
static inline V mask16(unsigned imm)
{
    V bits = _mm_set_epi16(0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1);

    return _mm_cmpeq_epi16(
        _mm_and_si128(_mm_set1_epi16((short)(imm & 0xff)), bits), bits);
}

static inline V mask32(unsigned imm)
{
    V bits = _mm_set_epi32(8, 4, 2, 1);

    return _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32((int)imm), bits), bits);
}

static inline V mask64(unsigned imm)
{
    return v_128(imm & 1 ? UINT64_MAX : 0, imm & 2 ? UINT64_MAX : 0);
}

static inline void blend(X86Cpu *c, const Insn *in, V mask_lo, V mask_hi)
{
    VPair s = v_src(c, in), d = v_src1(c, in);

    d.lo = v_select(mask_lo, d.lo, s.lo);
    d.hi = v_select(mask_hi, d.hi, s.hi);
    v_put(c, in, d);
}

SEM(PBLENDW)
{
    V mask = mask16((unsigned)in->imm);

    blend(c, in, mask, mask);
}

SEM(BLENDPS)
{
    blend(c, in, mask32((unsigned)in->imm), mask32((unsigned)in->imm >> 4));
}

SEM(VPBLENDD)
{
    blend(c, in, mask32((unsigned)in->imm), mask32((unsigned)in->imm >> 4));
}

SEM(BLENDPD)
{
    blend(c, in, mask64((unsigned)in->imm), mask64((unsigned)in->imm >> 2));
}

/* The mask operand of the variable blends: xmm0, or a fourth register. */
static inline VPair blend_mask(const X86Cpu *c, const Insn *in)
{
    return v_pair(c, in, in->vex ? (uint8_t)in->imm >> 4 : 0);
}

SEM(PBLENDVB)
{
    VPair m = blend_mask(c, in);

    blend(c, in, _mm_cmpgt_epi8(v_zero(), m.lo),
          _mm_cmpgt_epi8(v_zero(), m.hi));
}

SEM(BLENDVPS)
{
    VPair m = blend_mask(c, in);

    blend(c, in, _mm_srai_epi32(m.lo, 31), _mm_srai_epi32(m.hi, 31));
}

static inline V sign64(V v)
{
    return _mm_shuffle_epi32(_mm_srai_epi32(v, 31), 0xf5);
}

SEM(BLENDVPD)
{
    VPair m = blend_mask(c, in);

    blend(c, in, sign64(m.lo), sign64(m.hi));
}

/* ---- one element in, one element out -------------------------------------------- */

/* GPR or memory source of @size bytes. */
static inline uint64_t insert_src(X86Cpu *c, const Insn *in, unsigned size)
{
    return in->is_mem ? v_mem(c, in, size) : c->s.gpr[in->rm & 15];
}

static inline void insert(X86Cpu *c, const Insn *in, unsigned size)
{
    uint64_t v = insert_src(c, in, size);
    unsigned n = (uint8_t)in->imm & (16 / size - 1);
    uint8_t buf[16];

    v_st(buf, v_reg(c, v_first(in)));
    memcpy(buf + n * size, &v, size);
    v_put128(c, in, v_ld(buf));
}

SEM(PINSRB)
{
    insert(c, in, 1);
}

SEM(PINSRW)
{
    if (v_is_mmx(in)) {
        uint64_t v = insert_src(c, in, 2), d = mm_get(c, in->reg);
        unsigned shift = (in->imm & 3) * 16;

        d = (d & ~(UINT64_C(0xffff) << shift)) | (v & 0xffff) << shift;
        mm_put(c, in->reg, d);
        return;
    }
    insert(c, in, 2);
}

SEM(PINSRD)
{
    insert(c, in, in->rex_w ? 8 : 4);
}

static inline void extract(X86Cpu *c, const Insn *in, unsigned size)
{
    unsigned n = (uint8_t)in->imm & (16 / size - 1);
    uint64_t v = 0;

    memcpy(&v, c->s.vec[in->reg] + n * size, size);
    if (in->is_mem) {
        mem_st(c, in->seg, op_addr(c, in), v, size);
    } else {
        gpr_set(c, in->rm & 15, v, size == 8 ? 8 : 4);
    }
}

SEM(PEXTRB)
{
    extract(c, in, 1);
}

SEM(PEXTRW)
{
    unsigned n = (uint8_t)in->imm;

    if (v_is_mmx(in)) {
        uint64_t v = mm_get(c, in->rm) >> (n & 3) * 16;

        mm_enter(c);
        gpr_set(c, in->reg, (uint16_t)v, 4);
    } else if (insn_rows[in->id].op[0].kind == OPK_G) { /* 0F C5 */
        uint16_t v;

        memcpy(&v, c->s.vec[in->rm] + (n & 7) * 2, 2);
        gpr_set(c, in->reg, v, 4);
    } else { /* 0F3A 15 */
        extract(c, in, 2);
    }
}

SEM(PEXTRD)
{
    extract(c, in, in->rex_w ? 8 : 4);
}

SEM(EXTRACTPS)
{
    extract(c, in, 4);
}

SEM(INSERTPS)
{
    unsigned imm = (uint8_t)in->imm;
    uint32_t d[4], v;

    if (in->is_mem) {
        v = (uint32_t)v_mem(c, in, 4);
    } else {
        memcpy(&v, c->s.vec[in->rm] + (imm >> 6) * 4, 4);
    }
    v_st(d, v_reg(c, v_first(in)));
    d[imm >> 4 & 3] = v;
    for (unsigned i = 0; i < 4; i++) {
        if (imm >> i & 1) {
            d[i] = 0;
        }
    }
    v_put128(c, in, v_ld(d));
}
