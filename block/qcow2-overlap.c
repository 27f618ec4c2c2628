/*
 * Before a write: does it hit a table that lies there? A damaged or hostile
 * image, whose refcounts or entries lead to its own metadata, is marked corrupt
 * rather than destroyed. Option overlap-check, as QEMU's.
 *
 * Tables with one place (header, L1, refcount table, snapshot table) are
 * compared; the clusters of those with many go through a filter of bits by
 * hash, made when it is first needed, and a hit is confirmed by a search.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"

enum { FILTER_BITS = 16, FILTER_MANY = 1 << 12 };

typedef struct OverlapKind {
    const char *option, *name;
} OverlapKind;

/* In the order of the OVERLAP_* bits. */
static const OverlapKind kinds[] = {
    { "main-header", "qcow2_header" },
    { "active-l1", "active L1 table" },
    { "active-l2", "active L2 table" },
    { "refcount-table", "refcount table" },
    { "refcount-block", "refcount block" },
    { "snapshot-table", "snapshot table" },
    { "inactive-l1", "inactive L1 table" },
    { "inactive-l2", "inactive L2 table" },
    { "bitmap-directory", "bitmap directory" },
};

enum {
    OVERLAP_CONSTANT = OVERLAP_HEADER | OVERLAP_L1 | OVERLAP_REFTABLE |
                       OVERLAP_SNAPSHOTS | OVERLAP_BITMAPS,
    OVERLAP_CACHED =
        OVERLAP_CONSTANT | OVERLAP_L2 | OVERLAP_REFBLOCK | OVERLAP_INACTIVE_L1,
    OVERLAP_ALL = OVERLAP_CACHED | OVERLAP_INACTIVE_L2,
    FILTERED = OVERLAP_L2 | OVERLAP_REFBLOCK | OVERLAP_INACTIVE_L1 |
               OVERLAP_INACTIVE_L2,
};

/* For each hash of a cluster, which kinds of tables are (or were) there. */
struct Qcow2Overlap {
    uint16_t seen[1 << FILTER_BITS];
};

/* ---- options ----------------------------------------------------------------------- */

static bool parse_template(const char *text, unsigned *mask, GError **errp)
{
    static const struct {
        const char *name;
        unsigned mask;
    } templates[] = {
        { "none", 0 },
        { "constant", OVERLAP_CONSTANT },
        { "cached", OVERLAP_CACHED },
        { "all", OVERLAP_ALL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(templates); i++) {
        if (strcmp(text, templates[i].name) == 0) {
            *mask = templates[i].mask;
            return true;
        }
    }
    error_setg(errp,
               "Unsupported value '%s' for qcow2 option 'overlap-check'. "
               "Allowed are any of the following: none, constant, cached, all",
               text);
    return false;
}

bool qcow2_overlap_options(Qcow2State *s, KeyVal *options, GError **errp)
{
    const char *text = keyval_get(options, "overlap-check");
    const char *template = keyval_get(options, "overlap-check.template");

    s->overlap_mask = OVERLAP_CACHED;
    if (text && template && strcmp(text, template) != 0) {
        error_setg(errp, "Conflicting values for qcow2 options 'overlap-check' "
                         "and 'overlap-check.template'");
        return false;
    }
    text = text ? text : template;
    if (text && !parse_template(text, &s->overlap_mask, errp)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *key =
            g_strdup_printf("overlap-check.%s", kinds[i].option);
        bool on;

        if (!keyval_bool(options, key, s->overlap_mask >> i & 1, &on, errp)) {
            return false;
        }
        s->overlap_mask &= ~(1u << i);
        s->overlap_mask |= (unsigned)on << i;
    }
    return true;
}

/* ---- tables of many places ------------------------------------------------------------ */

static unsigned filter_hash(uint64_t cluster)
{
    return (unsigned)(cluster * UINT64_C(0x9e3779b97f4a7c15) >>
                      (64 - FILTER_BITS));
}

/* More than there is room for: whoever asks has to search. */
static void filter_fill(Qcow2State *s, unsigned kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(s->overlap->seen); i++) {
        s->overlap->seen[i] |= (uint16_t)kind;
    }
}

static void filter_add(Qcow2State *s, unsigned kind, uint64_t off, uint64_t len)
{
    uint64_t c = off >> s->cluster_bits;
    uint64_t n = ((off & (s->cluster_size - 1)) + len - 1) / s->cluster_size;

    if (len && n >= FILTER_MANY) {
        filter_fill(s, kind);
        return;
    }
    for (uint64_t i = 0; len && i <= n; i++) {
        s->overlap->seen[filter_hash(c + i)] |= (uint16_t)kind;
    }
}

/* Of snapshot @i, in host order; NULL: unreadable. */
static uint64_t *inactive_l1(BlockNode *bn, const Qcow2Snapshot *sn)
{
    uint64_t *l1 = g_try_new0(uint64_t, (gsize)sn->l1_size + 1);

    if (!l1 ||
        block_pread(bn->file, sn->l1_offset, l1, (size_t)sn->l1_size * 8) < 0) {
        g_free(l1);
        return NULL;
    }
    for (uint32_t i = 0; i < sn->l1_size; i++) {
        l1[i] = ld_be64(&l1[i]) & ENTRY_OFFSET;
    }
    return l1;
}

static void filter_make(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    s->overlap = g_new0(Qcow2Overlap, 1);
    for (uint32_t i = 0; i < s->h.l1_size; i++) {
        if (s->l1[i] & ENTRY_OFFSET) {
            filter_add(s, OVERLAP_L2, s->l1[i] & ENTRY_OFFSET, 1);
        }
    }
    for (uint32_t i = 0; i < s->reftable_len; i++) {
        if (s->reftable[i] & REFT_OFFSET) {
            filter_add(s, OVERLAP_REFBLOCK, s->reftable[i] & REFT_OFFSET, 1);
        }
    }
    for (uint32_t k = 0; k < s->h.nb_snapshots; k++) {
        const Qcow2Snapshot *sn = &s->snapshots[k];
        g_autofree uint64_t *l1 =
            s->overlap_mask & OVERLAP_INACTIVE_L2 ? inactive_l1(bn, sn) : NULL;

        if (k >= FILTER_MANY) {
            filter_fill(s, OVERLAP_INACTIVE_L1 | OVERLAP_INACTIVE_L2);
            break;
        }
        filter_add(s, OVERLAP_INACTIVE_L1, sn->l1_offset,
                   (uint64_t)sn->l1_size * 8);
        for (uint32_t i = 0; l1 && i < sn->l1_size; i++) {
            if (l1[i]) {
                filter_add(s, OVERLAP_INACTIVE_L2, l1[i], 1);
            }
        }
    }
}

void qcow2_overlap_add(Qcow2State *s, unsigned kind, uint64_t off)
{
    if (s->overlap) {
        filter_add(s, kind, off, 1);
    }
}

void qcow2_overlap_forget(Qcow2State *s)
{
    g_clear_pointer(&s->overlap, g_free);
}

static bool overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && a < b + blen && b < a + alen;
}

static bool in_table(const Qcow2State *s, const uint64_t *table, uint32_t n,
                     uint64_t mask, uint64_t off, uint64_t len)
{
    for (uint32_t i = 0; i < n; i++) {
        if ((table[i] & mask) &&
            overlaps(off, len, table[i] & mask, s->cluster_size)) {
            return true;
        }
    }
    return false;
}

/* Those of @seen that are there in fact. */
static unsigned confirm(BlockNode *bn, unsigned seen, uint64_t off,
                        uint64_t len)
{
    Qcow2State *s = bn->s;
    unsigned hit = 0;

    if ((seen & OVERLAP_L2) &&
        in_table(s, s->l1, s->h.l1_size, ENTRY_OFFSET, off, len)) {
        hit |= OVERLAP_L2;
    }
    if ((seen & OVERLAP_REFBLOCK) &&
        in_table(s, s->reftable, s->reftable_len, REFT_OFFSET, off, len)) {
        hit |= OVERLAP_REFBLOCK;
    }
    for (uint32_t k = 0; k < s->h.nb_snapshots; k++) {
        const Qcow2Snapshot *sn = &s->snapshots[k];
        g_autofree uint64_t *l1 = NULL;

        if ((seen & OVERLAP_INACTIVE_L1) &&
            overlaps(off, len, sn->l1_offset, (uint64_t)sn->l1_size * 8)) {
            hit |= OVERLAP_INACTIVE_L1;
        }
        if (seen & OVERLAP_INACTIVE_L2) {
            l1 = inactive_l1(bn, sn);
        }
        if (l1 && in_table(s, l1, sn->l1_size, ENTRY_OFFSET, off, len)) {
            hit |= OVERLAP_INACTIVE_L2;
        }
    }
    return hit;
}

/* ---- the check --------------------------------------------------------------------------- */

static unsigned constant_hits(const Qcow2State *s, uint64_t off, uint64_t len)
{
    const uint8_t *ext =
        s->bitmap_ext && s->bitmap_ext->len >= 24 ? s->bitmap_ext->data : NULL;
    uint64_t dir_len = ext ? ld_be64(ext + 8) : 0;
    uint64_t dir_off = ext ? ld_be64(ext + 16) : 0;
    const struct {
        unsigned kind;
        uint64_t off, len;
    } fixed[] = {
        { OVERLAP_HEADER, 0, s->cluster_size },
        { OVERLAP_L1, s->h.l1_offset, (uint64_t)s->h.l1_size * 8 },
        { OVERLAP_REFTABLE, s->h.reftable_offset,
          (uint64_t)s->h.reftable_clusters << s->cluster_bits },
        { OVERLAP_SNAPSHOTS, s->h.snapshots_offset, s->snapshots_len },
        { OVERLAP_HEADER, s->crypto_hdr.off, s->crypto_hdr.len },
        { OVERLAP_BITMAPS, dir_off, dir_len },
    };
    unsigned hit = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (overlaps(off, len, fixed[i].off, fixed[i].len)) {
            hit |= fixed[i].kind;
        }
    }
    return hit;
}

unsigned qcow2_overlap(BlockNode *bn, uint64_t off, uint64_t len,
                       unsigned ignore)
{
    Qcow2State *s = bn->s;
    unsigned mask = s->overlap_mask & ~ignore, seen = 0, hit;

    if (!mask || (bn->flags & BLOCK_CHECK)) { /* repair knows what it does */
        return 0;
    }
    hit = constant_hits(s, off, len) & mask;
    if (hit || !(mask & FILTERED)) {
        return hit;
    }
    if (!s->overlap) {
        filter_make(bn);
    }
    for (uint64_t at = start_of_cluster(s, off); at < off + len;
         at += s->cluster_size) {
        seen |= s->overlap->seen[filter_hash(at >> s->cluster_bits)];
    }
    seen &= mask;
    return G_LIKELY(!seen) ? 0 : confirm(bn, seen, off, len);
}

int qcow2_check_write(BlockNode *bn, uint64_t off, uint64_t len,
                      unsigned ignore)
{
    unsigned hit = qcow2_overlap(bn, off, len, ignore);

    if (G_LIKELY(!hit)) {
        return 0;
    }
    return qcow2_corrupt(
        bn, "Preventing invalid write on %s (overlaps with %s)",
        ignore ? "metadata" : "data", kinds[g_bit_nth_lsf(hit, -1)].name);
}
