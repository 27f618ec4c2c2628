/*
 * AVX and AVX2 instructions that have no SSE form: broadcasts, permutations,
 * variable shifts, masked moves, gathers. SDM 2C, V.
 *
 * Broadcasts, permutations and shifts are element moves in C on 32-byte
 * buffers. Masked moves touch only the elements that the mask selects: the
 * others raise no fault. A gather commits element by element and clears their
 * masks, so that it can go on after a fault.
 */
#include "util/osdep.h"
#include "target-x86/sem-vec.h"

typedef union Elements {
    uint8_t b[32];
    uint32_t d[8];
    uint64_t q[4];
    V v[2];
} Elements;

static inline unsigned vec_bytes(const Insn *in)
{
    return in->vex_l ? 32 : 16;
}

/* Register @r, upper half zero for 128-bit forms. */
static inline Elements elements(const X86Cpu *c, const Insn *in, unsigned r)
{
    VPair p = v_pair(c, in, r);
    Elements e;

    e.v[0] = p.lo;
    e.v[1] = p.hi;
    return e;
}

static inline Elements elements_src(X86Cpu *c, const Insn *in)
{
    VPair p = v_src(c, in);
    Elements e;

    e.v[0] = p.lo;
    e.v[1] = p.hi;
    return e;
}

static inline void elements_put(X86Cpu *c, const Insn *in, const Elements *e)
{
    v_put(c, in, (VPair) { e->v[0], in->vex_l ? e->v[1] : v_zero() });
}

/* ---- zero ------------------------------------------------------------------------- */

static void zero_registers(X86Cpu *c, unsigned from)
{
    for (unsigned i = 0; i < (c->mode.code64 ? 16 : 8); i++) {
        memset(c->s.vec[i] + from, 0, 32 - from);
    }
}

SEM(VZEROUPPER)
{
    zero_registers(c, 16);
}

SEM(VZEROALL)
{
    zero_registers(c, 0);
}

/* ---- broadcasts ------------------------------------------------------------------- */

static inline void broadcast(X86Cpu *c, const Insn *in, V v)
{
    v_put(c, in, (VPair) { v, in->vex_l ? v : v_zero() });
}

SEM(VBROADCASTSS)
{
    broadcast(c, in, _mm_shuffle_epi32(v_src_low(c, in, 4), 0));
}

SEM(VBROADCASTSD)
{
    V v = v_src_low(c, in, 8);

    broadcast(c, in, _mm_unpacklo_epi64(v, v));
}

SEM(VPBROADCASTB)
{
    uint64_t v = v_q0(v_src_low(c, in, 1));

    broadcast(c, in, _mm_set1_epi8((char)v));
}

SEM(VPBROADCASTW)
{
    uint64_t v = v_q0(v_src_low(c, in, 2));

    broadcast(c, in, _mm_set1_epi16((short)v));
}

SEM(VPBROADCASTD)
{
    sem_VBROADCASTSS(c, in);
}

SEM(VPBROADCASTQ)
{
    sem_VBROADCASTSD(c, in);
}

SEM(VBROADCASTF128)
{
    broadcast(c, in, v_mem128(c, in));
}

SEM(VBROADCASTI128)
{
    broadcast(c, in, v_mem128(c, in));
}

/* ---- 128-bit lanes ---------------------------------------------------------------- */

static V choose_lane(VPair a, VPair b, unsigned sel)
{
    if (sel & 8) {
        return v_zero();
    }
    switch (sel & 3) {
    case 0:
        return a.lo;
    case 1:
        return a.hi;
    case 2:
        return b.lo;
    default:
        return b.hi;
    }
}

static void permute_lanes(X86Cpu *c, const Insn *in)
{
    VPair s = v_src(c, in), a = v_src1(c, in);
    unsigned imm = (uint8_t)in->imm;

    v_put(c, in,
          (VPair) { choose_lane(a, s, imm), choose_lane(a, s, imm >> 4) });
}

SEM(VPERM2F128)
{
    permute_lanes(c, in);
}

SEM(VPERM2I128)
{
    permute_lanes(c, in);
}

static void insert_lane(X86Cpu *c, const Insn *in)
{
    V s = v_src128(c, in);
    VPair d = v_src1(c, in);

    if (in->imm & 1) {
        d.hi = s;
    } else {
        d.lo = s;
    }
    v_put(c, in, d);
}

SEM(VINSERTF128)
{
    insert_lane(c, in);
}

SEM(VINSERTI128)
{
    insert_lane(c, in);
}

static void extract_lane(X86Cpu *c, const Insn *in)
{
    const uint8_t *p = c->s.vec[in->reg] + (in->imm & 1 ? 16 : 0);

    if (in->is_mem) {
        mem_st_buf(c, in->seg, op_addr(c, in), p, 16);
    } else {
        v_put_reg(c, in, in->rm, (VPair) { v_ld(p), v_zero() });
    }
}

SEM(VEXTRACTF128)
{
    extract_lane(c, in);
}

SEM(VEXTRACTI128)
{
    extract_lane(c, in);
}

/* ---- permutations ------------------------------------------------------------------ */

/* VPERMILPS and PD stay within lanes; by a vector or, in 0F3A, an immediate. */
static inline bool by_imm(const Insn *in)
{
    return insn_rows[in->id].op[2].kind == OPK_IMM;
}

SEM(VPERMILPS)
{
    bool imm = by_imm(in);
    Elements s = elements_src(c, in), r, a;

    a = imm ? s : elements(c, in, in->vvvv);
    for (unsigned i = 0; i < 8; i++) {
        unsigned sel =
            imm ? (unsigned)in->imm >> (i & 3) * 2 : (unsigned)s.d[i];

        r.d[i] = a.d[(i & 4) | (sel & 3)];
    }
    elements_put(c, in, &r);
}

SEM(VPERMILPD)
{
    bool imm = by_imm(in);
    Elements s = elements_src(c, in), r, a;

    a = imm ? s : elements(c, in, in->vvvv);
    for (unsigned i = 0; i < 4; i++) {
        unsigned sel = imm ? (unsigned)in->imm >> i : (unsigned)(s.q[i] >> 1);

        r.q[i] = a.q[(i & 2) | (sel & 1)];
    }
    elements_put(c, in, &r);
}

/* Across lanes: the first source has the indices, the second the data. */
static void permute_dwords(X86Cpu *c, const Insn *in)
{
    Elements s = elements_src(c, in), idx = elements(c, in, in->vvvv), r;

    for (unsigned i = 0; i < 8; i++) {
        r.d[i] = s.d[idx.d[i] & 7];
    }
    elements_put(c, in, &r);
}

SEM(VPERMD)
{
    permute_dwords(c, in);
}

SEM(VPERMPS)
{
    permute_dwords(c, in);
}

static void permute_qwords(X86Cpu *c, const Insn *in)
{
    Elements s = elements_src(c, in), r;

    for (unsigned i = 0; i < 4; i++) {
        r.q[i] = s.q[in->imm >> 2 * i & 3];
    }
    elements_put(c, in, &r);
}

SEM(VPERMQ)
{
    permute_qwords(c, in);
}

SEM(VPERMPD)
{
    permute_qwords(c, in);
}

/* ---- variable shifts ------------------------------------------------------------------ */

SEM(VPSLLVD)
{
    Elements n = elements_src(c, in), a = elements(c, in, in->vvvv);

    for (unsigned i = 0; i < 8; i++) {
        a.d[i] = n.d[i] < 32 ? a.d[i] << n.d[i] : 0;
    }
    elements_put(c, in, &a);
}

SEM(VPSLLVQ)
{
    Elements n = elements_src(c, in), a = elements(c, in, in->vvvv);

    for (unsigned i = 0; i < 4; i++) {
        a.q[i] = n.q[i] < 64 ? a.q[i] << n.q[i] : 0;
    }
    elements_put(c, in, &a);
}

SEM(VPSRLVD)
{
    Elements n = elements_src(c, in), a = elements(c, in, in->vvvv);

    for (unsigned i = 0; i < 8; i++) {
        a.d[i] = n.d[i] < 32 ? a.d[i] >> n.d[i] : 0;
    }
    elements_put(c, in, &a);
}

SEM(VPSRLVQ)
{
    Elements n = elements_src(c, in), a = elements(c, in, in->vvvv);

    for (unsigned i = 0; i < 4; i++) {
        a.q[i] = n.q[i] < 64 ? a.q[i] >> n.q[i] : 0;
    }
    elements_put(c, in, &a);
}

SEM(VPSRAVD)
{
    Elements n = elements_src(c, in), a = elements(c, in, in->vvvv);

    for (unsigned i = 0; i < 8; i++) {
        a.d[i] = (uint32_t)((int32_t)a.d[i] >> MIN(n.d[i], 31));
    }
    elements_put(c, in, &a);
}

/* ---- masked moves ---------------------------------------------------------------------- */

static inline uint64_t element_addr(const Insn *in, uint64_t base, unsigned i,
                                    unsigned size)
{
    uint64_t off = base + i * size;

    return in->adsize == 3 ? off : (uint32_t)off;
}

static inline bool element_masked_in(const Elements *mask, unsigned i,
                                     unsigned size)
{
    return mask->b[i * size + size - 1] & 0x80;
}

static void masked_load(X86Cpu *c, const Insn *in, unsigned size)
{
    Elements mask = elements(c, in, in->vvvv), r;
    uint64_t base = op_addr(c, in);

    memset(&r, 0, sizeof(r));
    for (unsigned i = 0; i < vec_bytes(in) / size; i++) {
        if (element_masked_in(&mask, i, size)) {
            uint64_t v =
                mem_ld(c, in->seg, element_addr(in, base, i, size), size);

            memcpy(r.b + i * size, &v, size);
        }
    }
    elements_put(c, in, &r);
}

static void masked_store(X86Cpu *c, const Insn *in, unsigned size)
{
    Elements mask = elements(c, in, in->vvvv), s = elements(c, in, in->reg);
    uint64_t base = op_addr(c, in);

    for (unsigned i = 0; i < vec_bytes(in) / size; i++) {
        if (element_masked_in(&mask, i, size)) {
            mem_probe(c, in->seg, element_addr(in, base, i, size), size, true);
        }
    }
    for (unsigned i = 0; i < vec_bytes(in) / size; i++) {
        if (element_masked_in(&mask, i, size)) {
            uint64_t v = 0;

            memcpy(&v, s.b + i * size, size);
            mem_st(c, in->seg, element_addr(in, base, i, size), v, size);
        }
    }
}

static inline void masked_move(X86Cpu *c, const Insn *in, unsigned size)
{
    if (v_to_rm(in)) {
        masked_store(c, in, size);
    } else {
        masked_load(c, in, size);
    }
}

SEM(VMASKMOVPS)
{
    masked_move(c, in, 4);
}

SEM(VMASKMOVPD)
{
    masked_move(c, in, 8);
}

SEM(VPMASKMOVD)
{
    masked_move(c, in, 4);
}

SEM(VPMASKMOVQ)
{
    masked_move(c, in, 8);
}

/* ---- gathers ------------------------------------------------------------------------------ */

/* Base and displacement: what op_addr() would give, without the index, which
 * is a vector register here, and not yet cut to the address size. */
static uint64_t gather_base(const X86Cpu *c, const Insn *in)
{
    uint64_t base = (uint64_t)(int64_t)in->disp;

    if (in->base < 16) {
        base += c->s.gpr[in->base];
    }
    return base;
}

static inline int64_t gather_index(const Elements *e, unsigned i, bool q)
{
    return q ? (int64_t)e->q[i] : (int32_t)e->d[i];
}

/*
 * @size: of an element; @q: indices have 8 bytes, else 4. There are as many
 * elements as the wider of the two allows in a register. Destination and mask
 * change with every element loaded, so that a fault leaves what is done.
 */
static void gather(X86Cpu *c, const Insn *in, unsigned size, bool q)
{
    unsigned n = vec_bytes(in) / MAX(size, q ? 8u : 4u);
    uint8_t *dst = c->s.vec[in->reg], *mask = c->s.vec[in->vvvv];
    Elements idx;
    uint64_t base = gather_base(c, in);

    if (in->reg == in->vvvv || in->reg == in->index || in->vvvv == in->index) {
        x86_raise(c, EXC_UD);
    }
    memcpy(&idx, c->s.vec[in->index], 32);
    for (unsigned i = 0; i < n; i++) {
        if (mask[i * size + size - 1] & 0x80) {
            uint64_t off =
                base + ((uint64_t)gather_index(&idx, i, q) << in->scale);
            uint64_t v =
                mem_ld(c, in->seg, in->adsize == 3 ? off : (uint32_t)off, size);

            memcpy(dst + i * size, &v, size);
            memset(mask + i * size, 0, size);
        }
    }
    memset(dst + n * size, 0, 32 - n * size);
    memset(mask, 0, 32);
}

SEM(VGATHERDPS)
{
    gather(c, in, 4, false);
}

SEM(VGATHERDPD)
{
    gather(c, in, 8, false);
}

SEM(VGATHERQPS)
{
    gather(c, in, 4, true);
}

SEM(VGATHERQPD)
{
    gather(c, in, 8, true);
}

SEM(VPGATHERDD)
{
    gather(c, in, 4, false);
}

SEM(VPGATHERDQ)
{
    gather(c, in, 8, false);
}

SEM(VPGATHERQD)
{
    gather(c, in, 4, true);
}

SEM(VPGATHERQQ)
{
    gather(c, in, 8, true);
}
