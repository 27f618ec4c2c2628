/*
 * Bytes to Insn, from the table insn.def. SDM 2, chapter 2; AMD APM 3, 1.
 *
 * The rows are sorted once, at the first call, into a small tree per opcode:
 * the slot of [64-bit or not][map][opcode] is a row, or a node that asks for
 * one more thing: mandatory prefix, modrm, W, L. These tables are the only
 * variables here and never change afterwards.
 *
 * There is one bounds check: decoding works on 32 readable bytes (a padded
 * copy if there are fewer), and whether more were looked at than exist, or
 * than an instruction may have, is asked at the end. So @pos must count every
 * byte whose value mattered.
 *
 * Where vendors differ Intel is followed: 66 does not shorten near branches in
 * 64-bit mode. Prefixes: the last of F2 and F3 wins, a REX counts only right
 * before the opcode, ES CS SS DS overrides are nothing in 64-bit mode.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "target-x86/decode.h"

/* ---- the tree ------------------------------------------------------------------ */

enum { /* slot values: 0 is #UD, 1.. is row + 1, else NODE | kind | index */
       NODE = 0x8000,
       NODE_KIND = 0x6000,
       NODE_PREFIX = 0 << 13, /* by PFX_* */
       NODE_MODRM = 1 << 13,  /* by modrm_index() */
       NODE_W = 2 << 13,
       NODE_L = 3 << 13,
       NODE_INDEX = 0x1fff,
       MODRM_SLOTS = 8 + 64, /* reg of memory forms, register forms */
       MAX_PREFIX_NODES = 640,
       MAX_MODRM_NODES = 256,
       MAX_WL_NODES = 384,
       MAX_ROWS_PER_SLOT = 48,
};

/* What follows from a row's operands, worked out once. */
enum {
    PLAN_REG_BYTE = 1 << 0,
    PLAN_RM_BYTE = 1 << 1,
    PLAN_REG_LOW = 1 << 2, /* mm register: REX.R is nothing */
    PLAN_RM_LOW = 1 << 3,
    PLAN_Z = 1 << 4, /* rm is in the opcode */
    PLAN_SEG = 1 << 5,
    PLAN_CR = 1 << 6,
    PLAN_DR = 1 << 7,
    PLAN_VSIB = 1 << 8,
    PLAN_IS4 = 1 << 9,
    PLAN_IMM = 1 << 10, /* imm[] has something */
    PLAN_SPECIAL = PLAN_SEG | PLAN_CR | PLAN_DR | PLAN_VSIB | PLAN_IS4,
};

typedef struct RowPlan {
    uint16_t flags;
    uint8_t imm[2]; /* ImmKind */
} RowPlan;

typedef enum ImmKind {
    IMM_NONE,
    IMM_B,
    IMM_W,
    IMM_V,
    IMM_BS,
    IMM_ZS,
    IMM_FAR,
    IMM_MOFFS,
} ImmKind;

typedef struct Tables {
    uint16_t root[2][MAP_COUNT * 256];
    uint16_t prefix[MAX_PREFIX_NODES][4];
    uint16_t modrm[MAX_MODRM_NODES][MODRM_SLOTS];
    uint16_t wl[MAX_WL_NODES][2];
    unsigned n_prefix, n_modrm, n_wl;
    RowPlan *plan;
    uint16_t xchg; /* row of 91: what 90 is with REX.B */
    GString *conflicts;
    unsigned n_conflicts;
} Tables;

typedef struct RowSet {
    uint16_t row[MAX_ROWS_PER_SLOT];
    unsigned n;
} RowSet;

static Tables tables;

static bool row_set_equal(const RowSet *a, const RowSet *b)
{
    return a->n == b->n && !memcmp(a->row, b->row, a->n * sizeof(*a->row));
}

static inline unsigned modrm_index(uint8_t modrm)
{
    return modrm >= 0xc0 ? modrm - 0xc0u + 8 : (modrm >> 3) & 7;
}

static bool row_wants_modrm(const InsnRow *r, uint8_t modrm)
{
    bool mem = modrm < 0xc0;
    unsigned reg = (modrm >> 3) & 7, value = r->modrm >> 8;

    switch (r->modrm & 0xff) {
    case MODRM_M:
        return mem;
    case MODRM_G:
        return !mem;
    case MODRM_RN:
        return reg == value;
    case MODRM_MN:
        return mem && reg == value;
    case MODRM_GN:
        return !mem && reg == value;
    case MODRM_BYTE:
        return modrm == value;
    }
    return true;
}

/* May the row be chosen if @dim has value @v? @dim is a NODE_* kind. */
static bool row_matches(const InsnRow *r, unsigned dim, unsigned v)
{
    switch (dim) {
    case NODE_PREFIX:
        return r->prefixes >> v & 1;
    case NODE_MODRM:
        return row_wants_modrm(r, v < 8 ? v << 3 : v - 8 + 0xc0);
    case NODE_W:
        return !(r->attr & (v ? IA_W0 : IA_W1));
    default:
        return !(r->attr & (v ? IA_VEX_L0 : IA_VEX_L1));
    }
}

static bool row_cares(const InsnRow *r, unsigned dim)
{
    unsigned kind = r->modrm & 0xff;

    switch (dim) {
    case NODE_PREFIX:
        return r->prefixes != 0xf;
    case NODE_MODRM:
        return kind != MODRM_NO && kind != MODRM_RM && kind != MODRM_RR;
    case NODE_W:
        return r->attr & (IA_W0 | IA_W1);
    default:
        return r->attr & (IA_VEX_L0 | IA_VEX_L1);
    }
}

static uint16_t tree_conflict(Tables *t, const RowSet *set)
{
    const InsnRow *a = &insn_rows[set->row[0]], *b = &insn_rows[set->row[1]];

    g_string_append_printf(t->conflicts, "map %u opcode %02x: %s and %s\n",
                           a->map, a->opcode, a->name, b->name);
    t->n_conflicts++;
    return set->row[0] + 1;
}

/* The node with these children: an old one if there is one like it, which
 * happens below modrm nodes. */
static uint16_t tree_node(Tables *t, unsigned dim, const uint16_t *child,
                          unsigned ways)
{
    uint16_t *pool = t->wl[0];
    unsigned *n = &t->n_wl, max = MAX_WL_NODES, i;

    if (dim == NODE_PREFIX) {
        pool = t->prefix[0], n = &t->n_prefix, max = MAX_PREFIX_NODES;
    } else if (dim == NODE_MODRM) {
        pool = t->modrm[0], n = &t->n_modrm, max = MAX_MODRM_NODES;
    }
    for (i = 0; i < *n && dim != NODE_PREFIX; i++) {
        const uint16_t *old = pool + i * ways;

        if (old[0] == child[0] && old[1] == child[1] &&
            !memcmp(old, child, ways * sizeof(*child))) {
            return NODE | dim | i;
        }
    }
    i = *n;
    g_assert(i < max);
    memcpy(pool + i * ways, child, ways * sizeof(*child));
    *n = i + 1;
    return NODE | dim | i;
}

/* The slot for @set, which already agrees in the dimensions before @dim. */
static uint16_t tree_build(Tables *t, const RowSet *set, unsigned dim)
{
    static const uint8_t all_ways[] = { 4, MODRM_SLOTS, 2, 2 };
    unsigned ways = all_ways[dim >> 13 & 3];
    bool cares = false, differ = false;
    uint16_t child[MODRM_SLOTS] = { 0 };
    RowSet subs[2], *sub = &subs[0], *last = &subs[1];

    if (set->n == 0) {
        return 0;
    }
    if (dim > NODE_L) {
        return set->n == 1 ? set->row[0] + 1 : tree_conflict(t, set);
    }
    for (unsigned i = 0; i < set->n; i++) {
        cares |= row_cares(&insn_rows[set->row[i]], dim);
    }
    if (!cares) {
        return tree_build(t, set, dim + (1 << 13));
    }
    for (unsigned v = 0; v < ways; v++) {
        sub->n = 0;
        for (unsigned i = 0; i < set->n; i++) {
            if (row_matches(&insn_rows[set->row[i]], dim, v)) {
                sub->row[sub->n++] = set->row[i];
            }
        }
        if (v > 0 && row_set_equal(sub, last)) {
            child[v] = child[v - 1];
        } else {
            child[v] = tree_build(t, sub, dim + (1 << 13));
            last = sub;
            sub = last == &subs[0] ? &subs[1] : &subs[0];
        }
        differ |= child[v] != child[0];
    }
    return differ ? tree_node(t, dim, child, ways) : child[0];
}

/* ---- plans ----------------------------------------------------------------------- */

static unsigned plan_imm(const InsnOperand *o)
{
    switch (o->kind) {
    case OPK_IMM:
    case OPK_REL:
        return o->size == OPS_BS || (o->kind == OPK_REL && o->size == OPS_B)
                   ? IMM_BS
               : o->size == OPS_B ? IMM_B
               : o->size == OPS_W ? IMM_W
               : o->size == OPS_Z ? IMM_ZS
                                  : IMM_V;
    case OPK_FAR:
        return IMM_FAR;
    case OPK_MOFFS:
        return IMM_MOFFS;
    case OPK_L:
        return IMM_B;
    }
    return IMM_NONE;
}

static unsigned plan_flags(const InsnOperand *o)
{
    bool byte = o->size == OPS_B;

    switch (o->kind) {
    case OPK_G:
        return byte ? PLAN_REG_BYTE : 0;
    case OPK_E:
    case OPK_R:
        return byte ? PLAN_RM_BYTE : 0;
    case OPK_Z:
        return PLAN_Z | (byte ? PLAN_RM_BYTE : 0);
    case OPK_P:
        return PLAN_REG_LOW;
    case OPK_Q:
    case OPK_N:
    case OPK_STI:
        return PLAN_RM_LOW;
    case OPK_SEG:
        return PLAN_SEG;
    case OPK_CR:
        return PLAN_CR;
    case OPK_DR:
        return PLAN_DR;
    case OPK_VSIB:
        return PLAN_VSIB;
    case OPK_L:
        return PLAN_IS4;
    }
    return 0;
}

static RowPlan plan_row(const InsnRow *r)
{
    RowPlan plan = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(r->op); i++) {
        unsigned imm = plan_imm(&r->op[i]);

        plan.flags |= plan_flags(&r->op[i]);
        if (imm) {
            plan.imm[n++] = imm;
            plan.flags |= PLAN_IMM;
        }
    }
    return plan;
}

static void tables_make(Tables *t)
{
    RowSet(*sets)[MAP_COUNT * 256] = g_malloc0(2 * sizeof(*sets));

    t->conflicts = g_string_new(NULL);
    t->plan = g_new(RowPlan, insn_row_count);
    for (unsigned id = 0; id < insn_row_count; id++) {
        const InsnRow *r = &insn_rows[id];
        unsigned n = r->attr & IA_PLUS_R ? 8 : 1;

        t->plan[id] = plan_row(r);
        for (unsigned i = 0; i < 2 * n; i++) {
            RowSet *set = &sets[i & 1][r->map * 256 + r->opcode + (i >> 1)];

            if (!(r->attr & (i & 1 ? IA_I64 : IA_O64))) {
                g_assert(set->n < MAX_ROWS_PER_SLOT);
                set->row[set->n++] = id;
            }
        }
        if (r->map == MAP_M1 && r->opcode == 0x91) {
            t->xchg = id;
        }
    }
    for (unsigned i = 0; i < MAP_COUNT * 256; i++) {
        const RowSet *a = &sets[0][i], *b = &sets[1][i];
        uint16_t slot = tree_build(t, a, NODE_PREFIX);

        t->root[0][i] = slot;
        t->root[1][i] =
            row_set_equal(a, b) ? slot : tree_build(t, b, NODE_PREFIX);
    }
    g_free(sets);
}

static inline const Tables *tables_get(void)
{
    static gsize ready;

    if (g_once_init_enter(&ready)) {
        tables_make(&tables);
        g_once_init_leave(&ready, 1);
    }
    return &tables;
}

unsigned decode_conflicts(GString *out)
{
    const Tables *t = tables_get();

    g_string_append(out, t->conflicts->str);
    return t->n_conflicts;
}

/* ---- prefixes ---------------------------------------------------------------------- */

typedef struct Decoder {
    const uint8_t *p; /* DECODE_ROOM bytes can be read */
    unsigned pos;     /* looked at so far */
    unsigned code_bits;
    uint8_t rex; /* REX byte, or the same bits of a VEX prefix */
    uint8_t rep; /* REP_* */
    uint8_t pfx; /* PFX_*: what the row is chosen by */
    int8_t seg;  /* override, or -1 */
    bool p66, p67, lock, vex, vex_l;
    uint8_t vvvv;
    uint8_t map, opcode, modrm;
} Decoder;

enum {
    DECODE_MAX = 15,  /* longest instruction */
    DECODE_ROOM = 48, /* longest thing that decode_insn() may look at */
    REX_W = 8,
    REX_R = 4,
    REX_X = 2,
    REX_B = 1,
};

enum { /* kinds of bytes before the opcode */
       B_OPCODE,
       B_REX, /* in 64-bit mode */
       B_66,
       B_67,
       B_LOCK,
       B_F2,
       B_F3,
       B_SEG, /* + S_* */
};

static const uint8_t byte_kind[256] = {
    [0x26] = B_SEG + S_ES,   [0x2e] = B_SEG + S_CS, [0x36] = B_SEG + S_SS,
    [0x3e] = B_SEG + S_DS,   [0x64] = B_SEG + S_FS, [0x65] = B_SEG + S_GS,
    [0x40 ... 0x4f] = B_REX, [0x66] = B_66,         [0x67] = B_67,
    [0xf0] = B_LOCK,         [0xf2] = B_F2,         [0xf3] = B_F3,
};

static void decode_prefix(Decoder *d, unsigned kind)
{
    switch (kind) {
    case B_66:
        d->p66 = true;
        break;
    case B_67:
        d->p67 = true;
        break;
    case B_LOCK:
        d->lock = true;
        break;
    case B_F2:
        d->rep = REP_F2;
        break;
    case B_F3:
        d->rep = REP_F3;
        break;
    default:
        if (d->code_bits != 64 || kind >= B_SEG + S_FS) {
            d->seg = kind - B_SEG;
        }
    }
}

static bool decode_prefixes(Decoder *d)
{
    for (;;) {
        uint8_t b = d->p[d->pos++];
        unsigned kind = byte_kind[b];

        if (likely(kind == B_OPCODE || (kind == B_REX && d->code_bits != 64))) {
            d->opcode = b;
            return true;
        }
        if (d->pos >= DECODE_MAX) {
            d->pos = DECODE_MAX + 1; /* there would be an opcode, too */
            return false;
        }
        if (kind == B_REX) {
            d->rex = b;
        } else {
            d->rex = 0;
            decode_prefix(d, kind);
        }
    }
}

/* C4 and C5 are VEX in 64-bit mode, else if LES and LDS could not be meant. */
static bool decode_is_vex(Decoder *d)
{
    if (d->opcode != 0xc4 && d->opcode != 0xc5) {
        return false;
    }
    return d->code_bits == 64 || d->p[d->pos] >= 0xc0;
}

/* SDM 2A, 2.3.5. */
static bool decode_vex(Decoder *d)
{
    uint8_t b = d->p[d->pos++];
    unsigned map = 1;

    if (d->p66 || d->rep || d->lock || d->rex) {
        return false;
    }
    d->rex = ~b >> 5 & REX_R;
    if (d->opcode == 0xc4) {
        d->rex = ~b >> 5 & (REX_R | REX_X | REX_B);
        map = b & 0x1f;
        b = d->p[d->pos++];
        d->rex |= b >> 4 & REX_W;
    }
    if (map < 1 || map > 3) {
        return false;
    }
    d->vex = true;
    d->vex_l = b & 4;
    d->vvvv = ~b >> 3 & 15;
    d->pfx = b & 3;
    d->map = MAP_V2 + map - 1;
    d->opcode = d->p[d->pos++];
    if (d->code_bits != 64) {
        d->rex &= REX_W;
    }
    return true;
}

static bool decode_opcode(Decoder *d)
{
    if (!decode_prefixes(d)) {
        return false;
    }
    if (unlikely(decode_is_vex(d))) {
        return decode_vex(d);
    }
    d->pfx = d->rep == REP_F2   ? PFX_F2
             : d->rep == REP_F3 ? PFX_F3
             : d->p66           ? PFX_66
                                : PFX_NONE;
    d->map = MAP_M1;
    if (d->opcode == 0x0f) {
        d->map = MAP_M2;
        d->opcode = d->p[d->pos++];
        if (d->opcode == 0x38 || d->opcode == 0x3a) {
            d->map = d->opcode == 0x38 ? MAP_M38 : MAP_M3A;
            d->opcode = d->p[d->pos++];
        }
    }
    return true;
}

/* ---- the row ------------------------------------------------------------------------- */

/* Row, or -1. Looks at the modrm byte (and counts it) if rows differ by it. */
static int decode_row(const Tables *t, Decoder *d)
{
    unsigned slot = t->root[d->code_bits == 64][d->map * 256 + d->opcode];
    bool saw_modrm = false;

    while (slot & NODE) {
        unsigned i = slot & NODE_INDEX;

        switch (slot & NODE_KIND) {
        case NODE_PREFIX:
            slot = t->prefix[i][d->pfx];
            break;
        case NODE_MODRM:
            slot = t->modrm[i][modrm_index(d->p[d->pos])];
            saw_modrm = true;
            break;
        case NODE_W:
            slot = t->wl[i][(d->rex & REX_W) != 0];
            break;
        default:
            slot = t->wl[i][d->vex_l];
        }
    }
    if (slot == 0) {
        d->pos += saw_modrm;
    }
    return (int)slot - 1;
}

/* ---- modrm --------------------------------------------------------------------------- */

static inline int32_t decode_disp(Decoder *d, unsigned bytes)
{
    const uint8_t *p = d->p + d->pos;

    d->pos += bytes;
    switch (bytes) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)ld_le16(p);
    case 4:
        return (int32_t)ld_le32(p);
    default:
        return 0;
    }
}

static void decode_mem16(Decoder *d, Insn *in)
{
    static const uint8_t base[] = { R_RBX, R_RBX, R_RBP, R_RBP,
                                    R_RSI, R_RDI, R_RBP, R_RBX };
    static const uint8_t index[] = { R_RSI, R_RDI, R_RSI, R_RDI };
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

    in->base = base[rm];
    if (rm < 4) {
        in->index = index[rm];
    }
    if (mod == 0 && rm == 6) {
        in->base = INSN_NONE;
        mod = 2;
    }
    in->seg = in->base == R_RBP ? S_SS : S_DS;
    in->disp = decode_disp(d, mod);
}

static void decode_mem(Decoder *d, Insn *in)
{
    static const uint8_t disp_bytes[] = { 0, 1, 4 };
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
    unsigned bytes = disp_bytes[mod];

    if (rm == 4) {
        uint8_t sib = d->p[d->pos++];
        unsigned index = (sib >> 3 & 7) | (d->rex & REX_X) << 2;

        in->scale = sib >> 6;
        in->index = index == 4 ? INSN_NONE : index;
        rm = sib & 7;
        if (rm == 5 && mod == 0) {
            in->base = INSN_NONE;
            bytes = 4;
        } else {
            in->base = rm | (d->rex & REX_B) << 3;
        }
    } else if (rm == 5 && mod == 0) {
        in->base = in->code64 ? INSN_RIP : INSN_NONE;
        bytes = 4;
    } else {
        in->base = rm | (d->rex & REX_B) << 3;
    }
    in->seg = in->base == R_RSP || in->base == R_RBP ? S_SS : S_DS;
    in->disp = decode_disp(d, bytes);
}

static void decode_modrm(Decoder *d, Insn *in, const InsnRow *row)
{
    d->modrm = d->p[d->pos++];
    in->reg = (d->modrm >> 3 & 7) | (d->rex & REX_R) << 1;
    if (d->modrm >= 0xc0 || (row->modrm & 0xff) == MODRM_RR) {
        in->rm = (d->modrm & 7) | (d->rex & REX_B) << 3;
        return;
    }
    in->is_mem = 1;
    if (in->adsize == 1) {
        decode_mem16(d, in);
    } else {
        decode_mem(d, in);
    }
}

/* ---- immediates ------------------------------------------------------------------------ */

static inline uint64_t decode_u(Decoder *d, unsigned bytes)
{
    const uint8_t *p = d->p + d->pos;

    d->pos += bytes;
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        return ld_le16(p);
    case 4:
        return ld_le32(p);
    default:
        return ld_le64(p);
    }
}

static uint64_t decode_imm(Decoder *d, const Insn *in, unsigned kind)
{
    uint64_t off;

    switch (kind) {
    case IMM_B:
        return decode_u(d, 1);
    case IMM_BS:
        return (int8_t)decode_u(d, 1);
    case IMM_W:
        return decode_u(d, 2);
    case IMM_V:
        return decode_u(d, 1u << in->opsize);
    case IMM_ZS:
        return in->opsize == 1 ? (uint64_t)(int16_t)decode_u(d, 2)
                               : (uint64_t)(int32_t)decode_u(d, 4);
    case IMM_FAR:
        off = decode_u(d, in->opsize == 1 ? 2 : 4);
        return off | decode_u(d, 2) << 32;
    default: /* IMM_MOFFS */
        return decode_u(d, 1u << in->adsize);
    }
}

static void decode_imms(Decoder *d, Insn *in, const RowPlan *plan)
{
    unsigned at = d->pos;

    in->imm = decode_imm(d, in, plan->imm[0]);
    if (plan->imm[1]) {
        unsigned shift = 8 * (d->pos - at);

        in->imm |= decode_imm(d, in, plan->imm[1]) << shift;
    }
}

/* ---- putting it together ------------------------------------------------------------------ */

static unsigned decode_opsize(const Decoder *d, const InsnRow *row)
{
    /* 66 as the only way to the row is no operand size prefix. */
    bool p66 = d->p66 && row->prefixes != 1 << PFX_66;

    if (d->code_bits == 64) {
        if (row->attr & IA_F64 || d->rex & REX_W) {
            return 3;
        }
        return p66 ? 1 : row->attr & IA_D64 ? 3 : 2;
    }
    return (d->code_bits == 32) != p66 ? 2 : 1;
}

static unsigned decode_adsize(const Decoder *d)
{
    switch (d->code_bits) {
    case 64:
        return d->p67 ? 2 : 3;
    case 32:
        return d->p67 ? 1 : 2;
    default:
        return d->p67 ? 2 : 1;
    }
}

/* Four to seven are AH CH DH BH, unless there is a REX. */
static inline unsigned decode_byte_reg(const Insn *in, unsigned r)
{
    return !in->rex && r >= 4 && r <= 7 ? INSN_HIGH + r : r;
}

/* Registers that not every number names; false: #UD. */
static bool decode_special(Decoder *d, Insn *in, unsigned flags)
{
    if (flags & PLAN_SEG) {
        in->reg &= 7;
        return in->reg <= S_GS;
    }
    if (flags & PLAN_CR) {
        return 0x11d >> in->reg & 1; /* 0, 2, 3, 4, 8 */
    }
    if (flags & PLAN_DR) {
        return in->reg < 8;
    }
    if (flags & PLAN_IS4 && !in->code64) {
        in->imm &= 0x7f;
    }
    if (flags & PLAN_VSIB) {
        if (in->adsize == 1 || (d->modrm & 7) != 4) {
            return false;
        }
        in->vsib = 1;
        in->index = in->index == INSN_NONE ? 4 : in->index;
        return in->reg != in->vvvv && in->reg != in->index &&
               in->vvvv != in->index;
    }
    return true;
}

static void decode_registers(const Decoder *d, Insn *in, unsigned flags)
{
    if (flags & PLAN_Z) {
        in->rm = (d->opcode & 7) | (d->rex & REX_B) << 3;
    }
    if (flags & PLAN_REG_BYTE) {
        in->reg = decode_byte_reg(in, in->reg);
    }
    if (flags & PLAN_RM_BYTE) {
        in->rm = decode_byte_reg(in, in->rm);
    }
    if (flags & PLAN_REG_LOW) {
        in->reg &= 7;
    }
    if (flags & PLAN_RM_LOW) {
        in->rm &= 7;
    }
}

static bool decode_rest(const Tables *t, Decoder *d, Insn *in)
{
    int id = decode_row(t, d);
    const InsnRow *row;
    const RowPlan *plan;

    if (id < 0) {
        return false;
    }
    if (unlikely(d->opcode == 0x90 && d->map == MAP_M1 && d->rex & REX_B)) {
        id = t->xchg;
    }
    row = &insn_rows[id];
    plan = &t->plan[id];
    in->id = id;
    in->opsize = decode_opsize(d, row);
    in->adsize = decode_adsize(d);
    in->code64 = d->code_bits == 64;
    in->rex = d->rex != 0 && !d->vex;
    in->rex_w = in->code64 && d->rex & REX_W;
    in->p66 = d->p66;
    in->lock = d->lock;
    in->vex = d->vex;
    in->vex_l = d->vex_l;
    in->vvvv = in->code64 ? d->vvvv : d->vvvv & 7;
    in->seg = S_DS;
    in->base = in->index = INSN_NONE;
    in->rep = row->prefixes & 1 << PFX_NONE ? d->rep : REP_NONE;
    if ((row->modrm & 0xff) != MODRM_NO) {
        decode_modrm(d, in, row);
    }
    if (plan->flags & PLAN_IMM) {
        decode_imms(d, in, plan);
    } else if (d->map == MAP_M1 && (d->opcode & 0xf8) == 0xd8) {
        in->imm = d->modrm; /* for the x87's FOP */
    }
    decode_registers(d, in, plan->flags);
    if (d->seg >= 0) {
        in->seg = d->seg;
        in->has_seg = 1;
    }
    if (plan->flags & PLAN_SPECIAL && !decode_special(d, in, plan->flags)) {
        return false;
    }
    if (unlikely(d->lock) && !(row->attr & IA_LOCK && in->is_mem)) {
        return false;
    }
    return !(row->attr & IA_VEX_NOVVVV && d->vvvv);
}

DecodeResult decode_insn(const uint8_t *p, size_t avail, unsigned code_bits,
                         Insn *out)
{
    uint8_t copy[DECODE_ROOM];
    Decoder d = { .p = p, .code_bits = code_bits, .seg = -1 };
    bool ok;

    if (avail < DECODE_ROOM) {
        memset(copy, 0, sizeof(copy));
        memcpy(copy, p, avail);
        d.p = copy;
    }
    memset(out, 0, sizeof(*out));
    ok = decode_opcode(&d) && decode_rest(tables_get(), &d, out);
    if (unlikely(d.pos > DECODE_MAX || d.pos > avail)) {
        return d.pos > DECODE_MAX && avail >= DECODE_MAX ? DECODE_LONG
                                                         : DECODE_SHORT;
    }
    out->len = d.pos;
    return ok ? DECODE_OK : DECODE_UD;
}
