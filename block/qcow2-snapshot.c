/*
 * Internal snapshots: a copy of the L1 table, with one more reference on all
 * that it leads to, and an entry in the snapshot table. VM state lies in guest
 * clusters behind the end of the disk.
 *
 * Each operation is one step for the disk, see qcow2-shadow.c. All with the gate
 * closed: no transfer is under way.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

#include "util/error.h"

enum {
    ENTRY_FIXED = 40,
    EXTRA_KNOWN = 24, /* vm state size, disk size, icount */
    EXTRA_MAX = 1024,
};

/* ---- the table -------------------------------------------------------------------- */

static void snapshot_clear(Qcow2Snapshot *sn)
{
    if (sn->extra) {
        g_byte_array_unref(sn->extra);
    }
}

void qcow2_free_snapshots(Qcow2State *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->h.nb_snapshots; i++) {
        snapshot_clear(&s->snapshots[i]);
    }
    g_clear_pointer(&s->snapshots, g_free);
}

static void copy_text(char *to, size_t size, const uint8_t *from, size_t len)
{
    len = MIN(len, size - 1);
    memcpy(to, from, len);
    to[len] = 0;
}

/* Bytes used, or 0: it does not fit in @len. */
static size_t parse_entry(const Qcow2State *s, Qcow2Snapshot *sn,
                          const uint8_t *p, size_t len)
{
    size_t id_len, name_len, extra, total;

    if (len < ENTRY_FIXED) {
        return 0;
    }
    sn->l1_offset = ld_be64(p);
    sn->l1_size = ld_be32(p + 8);
    id_len = ld_be16(p + 12);
    name_len = ld_be16(p + 14);
    sn->info.date_sec = ld_be32(p + 16);
    sn->info.date_nsec = ld_be32(p + 20);
    sn->info.vm_clock_nsec = ld_be64(p + 24);
    sn->info.vm_state_size = ld_be32(p + 32);
    extra = ld_be32(p + 36);
    total = ENTRY_FIXED + extra + id_len + name_len;
    if (extra > EXTRA_MAX || total > len) {
        return 0;
    }
    p += ENTRY_FIXED;
    sn->info.disk_size = s->h.size;
    sn->info.icount = UINT64_MAX;
    if (extra >= 8 && ld_be64(p)) {
        sn->info.vm_state_size = ld_be64(p);
    }
    if (extra >= 16) {
        sn->info.disk_size = ld_be64(p + 8);
    }
    if (extra >= 24) {
        sn->info.icount = ld_be64(p + 16);
    }
    sn->extra = g_byte_array_new();
    if (extra > EXTRA_KNOWN) {
        g_byte_array_append(sn->extra, p + EXTRA_KNOWN,
                            (guint)(extra - EXTRA_KNOWN));
    }
    copy_text(sn->info.id, sizeof(sn->info.id), p + extra, id_len);
    copy_text(sn->info.name, sizeof(sn->info.name), p + extra + id_len,
              name_len);
    sn->disk_len = total;
    return (total + 7) & ~(size_t)7;
}

bool qcow2_read_snapshots(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t file = bn->file->size, len;
    g_autofree uint8_t *buf = NULL;
    uint32_t n = s->h.nb_snapshots;
    size_t at = 0;

    if (!n) {
        return true;
    }
    len = s->h.snapshots_offset < file ? file - s->h.snapshots_offset : 0;
    len = MIN(len, QCOW2_MAX_SNAPSHOT_TABLE);
    if ((uint64_t)n * ENTRY_FIXED > len) {
        error_setg(errp, "Snapshot table with %u entries ends behind the file",
                   n);
        return false;
    }
    buf = g_try_malloc(len);
    s->snapshots = g_try_new0(Qcow2Snapshot, n);
    if (!buf || !s->snapshots ||
        block_pread(bn->file, s->h.snapshots_offset, buf, len) < 0) {
        error_setg(errp, "Failed to read snapshot table");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        Qcow2Snapshot *sn = &s->snapshots[i];
        size_t used = at <= len ? parse_entry(s, sn, buf + at, len - at) : 0;

        if (!used) {
            error_setg(errp,
                       "Snapshot table entry %u is broken: it ends "
                       "behind the file or has too much extra data",
                       i);
            return false;
        }
        at += used;
        if (!qcow2_valid_table(s, sn->l1_offset, sn->l1_size, 8,
                               QCOW2_MAX_L1_BYTES, "Snapshot L1 table", errp)) {
            return false;
        }
    }
    s->snapshots_len = at;
    return true;
}

static void put_entry(GByteArray *a, Qcow2Snapshot *sn)
{
    static const uint8_t pad[8];
    const SnapshotInfo *i = &sn->info;
    uint8_t p[ENTRY_FIXED + EXTRA_KNOWN] = { 0 };
    size_t id = strlen(i->id), name = strlen(i->name);

    st_be64(p, sn->l1_offset);
    st_be32(p + 8, sn->l1_size);
    st_be16(p + 12, (uint16_t)id);
    st_be16(p + 14, (uint16_t)name);
    st_be32(p + 16, (uint32_t)i->date_sec);
    st_be32(p + 20, i->date_nsec);
    st_be64(p + 24, i->vm_clock_nsec);
    st_be32(p + 32,
            i->vm_state_size > UINT32_MAX ? 0 : (uint32_t)i->vm_state_size);
    st_be32(p + 36, EXTRA_KNOWN + (sn->extra ? sn->extra->len : 0));
    st_be64(p + 40, i->vm_state_size);
    st_be64(p + 48, i->disk_size);
    st_be64(p + 56, i->icount);
    sn->disk_len = sizeof(p) + (sn->extra ? sn->extra->len : 0) + id + name;
    g_byte_array_append(a, p, sizeof(p));
    if (sn->extra) {
        g_byte_array_append(a, sn->extra->data, sn->extra->len);
    }
    g_byte_array_append(a, (const uint8_t *)i->id, (guint)id);
    g_byte_array_append(a, (const uint8_t *)i->name, (guint)name);
    g_byte_array_append(a, pad, (8 - a->len % 8) % 8);
}

static uint64_t table_bytes(const Qcow2Snapshot *snapshots, uint32_t n)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < n; i++) {
        len = (len + 7) & ~UINT64_C(7);
        len += snapshots[i].disk_len;
    }
    return len;
}

/* A new table from @snapshots, which is that of @s then; the old one is freed.
 * Part of a shadow; when that is undone, the caller puts back s->snapshots. */
static int put_snapshots(BlockNode *bn, Qcow2Snapshot *snapshots, uint32_t n)
{
    Qcow2State *s = bn->s;
    g_autoptr(GByteArray) a = g_byte_array_new();
    uint64_t old_off = s->h.snapshots_offset, off = 0;
    uint64_t old_len = s->snapshots_len;
    int ret = 0;

    for (uint32_t i = 0; i < n; i++) {
        put_entry(a, &snapshots[i]);
    }
    if (a->len > QCOW2_MAX_SNAPSHOT_TABLE) {
        return -EFBIG;
    }
    if (a->len) {
        ret = qcow2_alloc(bn, to_clusters(s, a->len), false, &off);
        if (ret == 0) {
            ret = block_pwrite(bn->file, off, a->data, a->len);
        }
    }
    if (ret == 0 && old_off && old_len) {
        ret = qcow2_refcount_add(bn, old_off, old_len, -1);
    }
    s->h.snapshots_offset = off;
    s->h.nb_snapshots = n;
    s->snapshots = snapshots;
    s->snapshots_len = table_bytes(snapshots, n);
    return ret;
}

/* ---- references ---------------------------------------------------------------------- */

static int read_l2(BlockNode *bn, uint64_t table, uint32_t l1_idx, uint8_t *buf)
{
    Qcow2State *s = bn->s;

    if (table & (s->cluster_size - 1)) {
        return qcow2_corrupt(
            bn, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#x)", table,
            l1_idx);
    }
    return block_pread(bn->file, table, buf, s->cluster_size);
}

/* +1, -1 on the clusters of an L2 table. */
static int l2_refcounts(BlockNode *bn, const uint8_t *buf, int delta)
{
    Qcow2State *s = bn->s;
    unsigned n = 1u << s->l2_bits;
    int ret = 0;

    for (unsigned i = 0; i < n && ret == 0; i++) {
        uint64_t e = l2_entry(s, buf, i), off = e & ENTRY_OFFSET,
                 len = s->cluster_size;

        if (e & OFLAG_COMPRESSED) {
            qcow2_compressed_range(s, e, &off, &len);
        } else if (off & (len - 1)) {
            return qcow2_corrupt(bn, "Cluster %#" PRIx64 " unaligned", off);
        }
        if (off) {
            ret = qcow2_refcount_add(bn, off, len, delta);
        }
    }
    return ret;
}

/* +1, -1 on all that an L1 table (host order) leads to. */
static int l1_refcounts(BlockNode *bn, const uint64_t *l1, uint32_t n,
                        int delta)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && ret == 0; i++) {
        uint64_t table = l1[i] & ENTRY_OFFSET;

        if (!table) {
            continue;
        }
        ret = read_l2(bn, table, i, buf);
        if (ret == 0) {
            ret = l2_refcounts(bn, buf, delta);
        }
        if (ret == 0) {
            ret = qcow2_refcount_add(bn, table, s->cluster_size, delta);
        }
    }
    return ret;
}

/* A table in place of one that is given up. */
static int replace_l2(BlockNode *bn, uint64_t *table, const uint8_t *buf)
{
    Qcow2State *s = bn->s;
    uint64_t old = *table;
    int ret = qcow2_alloc(bn, 1, false, table);

    if (ret == 0) {
        ret = block_pwrite(bn->file, *table, buf, s->cluster_size);
    }
    return ret == 0 ? qcow2_refcount_add(bn, old, s->cluster_size, -1) : ret;
}

/* COPIED of one entry as its refcount wants it. */
static int fix_entry(BlockNode *bn, uint64_t *e)
{
    Qcow2State *s = bn->s;
    uint64_t count;
    int ret;

    if (!(*e & ENTRY_OFFSET) || (*e & OFLAG_COMPRESSED)) {
        return 0;
    }
    ret = qcow2_refcount(bn, (*e & ENTRY_OFFSET) >> s->cluster_bits, false,
                         &count);
    if (ret == 0) {
        *e = count == 1 ? *e | OFLAG_COPIED : *e & ~OFLAG_COPIED;
    }
    return ret;
}

static int fix_l2(BlockNode *bn, uint64_t table)
{
    Qcow2State *s = bn->s;
    unsigned per = qcow2_slice_entries(s);
    int ret = 0;

    for (uint64_t at = 0; at < s->cluster_size && ret == 0; at += s->slice) {
        bool changed = false;
        uint8_t *slice;

        ret = qcow2_cache_get(bn, s->l2_cache, table + at, false, &slice);
        for (unsigned i = 0; i < per && ret == 0; i++) {
            uint64_t e = l2_entry(s, slice, i), was = e;

            ret = s->data_file ? 0 : fix_entry(bn, &e);
            if (e != was) {
                l2_set(s, slice, i, e, l2_bitmap(s, slice, i));
                changed = true;
            }
        }
        if (changed) {
            qcow2_cache_dirty(s->l2_cache, slice);
        }
    }
    return ret;
}

int qcow2_fix_copied(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = 0;

    for (uint32_t i = 0; i < s->h.l1_size && ret == 0; i++) {
        uint64_t was = s->l1[i];

        if (!(was & ENTRY_OFFSET)) {
            continue;
        }
        ret = fix_l2(bn, was & ENTRY_OFFSET);
        if (ret == 0) {
            ret = fix_entry(bn, &s->l1[i]);
        }
        if (s->l1[i] != was) {
            s->l1_dirty_first = s->l1_dirty ? MIN(s->l1_dirty_first, i) : i;
            s->l1_dirty_end = s->l1_dirty ? MAX(s->l1_dirty_end, i + 1) : i + 1;
            s->l1_dirty = true;
        }
    }
    return ret;
}

/* What the COPIED flags of an active L2 table must be, into @buf. */
static int right_flags(BlockNode *bn, uint8_t *buf, bool *changed)
{
    Qcow2State *s = bn->s;
    unsigned n = 1u << s->l2_bits;
    int ret = 0;

    *changed = false;
    for (unsigned i = 0; i < n && ret == 0; i++) {
        uint64_t was = l2_entry(s, buf, i), e = was;

        ret = fix_entry(bn, &e);
        if (e != was) {
            l2_set(s, buf, i, e, l2_bitmap(s, buf, i));
            *changed = true;
        }
    }
    return ret;
}

/* The active tables' COPIED flags after refcounts have changed: what would
 * change gets a new table. @shared: tables that a snapshot has too may hold
 * flags that are wrong (those of a snapshot that becomes active). */
static int copied_anew(BlockNode *bn, bool shared)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < s->h.l1_size && ret == 0; i++) {
        uint64_t table = s->l1[i] & ENTRY_OFFSET, count;
        bool changed = false;

        if (!table) {
            continue;
        }
        ret = qcow2_refcount(bn, table >> s->cluster_bits, false, &count);
        if (ret == 0 && (count == 1 || shared)) {
            ret = read_l2(bn, table, i, buf);
            if (ret == 0) {
                ret = right_flags(bn, buf, &changed);
            }
        }
        if (ret == 0 && changed) {
            ret = replace_l2(bn, &table, buf);
        }
        s->l1[i] = table | (count == 1 || changed ? OFLAG_COPIED : 0);
    }
    return ret;
}

static uint64_t vmstate_base(const Qcow2State *s)
{
    uint64_t range = qcow2_l2_range(s);

    return (s->h.size + range - 1) / range * range;
}

/* ---- operations --------------------------------------------------------------------------- */

static int find_snapshot(const Qcow2State *s, const char *id_or_name)
{
    for (int by_name = 0; by_name < 2; by_name++) {
        for (uint32_t i = 0; i < s->h.nb_snapshots; i++) {
            const SnapshotInfo *sn = &s->snapshots[i].info;

            if (strcmp(by_name ? sn->name : sn->id, id_or_name) == 0) {
                return (int)i;
            }
        }
    }
    return -1;
}

static void next_id(const Qcow2State *s, char *id, size_t size)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < s->h.nb_snapshots; i++) {
        max = MAX(max, g_ascii_strtoull(s->snapshots[i].info.id, NULL, 10));
    }
    g_snprintf(id, (gulong)size, "%" PRIu64, max + 1);
}

static uint64_t *load_l1(BlockNode *bn, const Qcow2Snapshot *sn, uint32_t n)
{
    uint64_t *l1 = g_try_new0(uint64_t, MAX(n, 1));
    uint32_t have = MIN(n, sn->l1_size);

    if (!l1 || block_pread(bn->file, sn->l1_offset, l1, (size_t)have * 8) < 0) {
        g_free(l1);
        return NULL;
    }
    for (uint32_t i = 0; i < have; i++) {
        l1[i] = ld_be64(&l1[i]);
    }
    return l1;
}

/* Entry @i of the active L1 goes to @to too, or (VM state) alone; nothing in it
 * is COPIED any more. */
static int share_l2(BlockNode *bn, uint32_t i, bool alone, uint8_t *buf,
                    uint64_t *to)
{
    Qcow2State *s = bn->s;
    uint64_t table = s->l1[i] & ENTRY_OFFSET;
    bool flags = false;
    int ret;

    if (!table) {
        return 0;
    }
    ret = read_l2(bn, table, i, buf);
    for (unsigned k = 0; k < 1u << s->l2_bits && ret == 0; k++) {
        uint64_t e = l2_entry(s, buf, k);

        if (e & OFLAG_COPIED) {
            l2_set(s, buf, k, e & ~OFLAG_COPIED, l2_bitmap(s, buf, k));
            flags = true;
        }
    }
    if (ret == 0 && flags) {
        ret = replace_l2(bn, &table, buf);
    }
    if (ret == 0 && !alone) {
        ret = l2_refcounts(bn, buf, 1);
        if (ret == 0) {
            ret = qcow2_refcount_add(bn, table, s->cluster_size, 1);
        }
    }
    *to = table;
    s->l1[i] = alone ? 0 : table;
    return ret;
}

/* The snapshot's L1, which leads to all that the active one did. VM state is
 * the snapshot's alone from now on. */
static int share_l1(BlockNode *bn, Qcow2Snapshot *sn)
{
    Qcow2State *s = bn->s;
    uint32_t n = s->h.l1_size;
    uint64_t disk = vmstate_base(s) / qcow2_l2_range(s);
    g_autofree uint64_t *l1 = g_try_new0(uint64_t, MAX(n, 1));
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);
    int ret = l1 && buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && ret == 0; i++) {
        ret = share_l2(bn, i, i >= disk, buf, &l1[i]);
    }
    sn->l1_size = n;
    if (ret == 0) {
        ret = qcow2_alloc(bn, to_clusters(s, MAX((uint64_t)n * 8, 1)), false,
                          &sn->l1_offset);
    }
    return ret == 0 ? qcow2_write_table(bn, l1, n, sn->l1_offset) : ret;
}

/*
 * The end of a change of the table from @old to @now, both arrays: the new one
 * stands if @ret is 0 and it reaches the disk, else the old one as before.
 */
static int end_change(BlockNode *bn, Qcow2Snapshot *old, Qcow2Snapshot *now,
                      int ret)
{
    Qcow2State *s = bn->s;

    if (ret < 0) {
        qcow2_shadow_abort(bn);
    } else {
        ret = qcow2_shadow_commit(bn);
    }
    if (ret < 0) {
        s->snapshots = old;
    }
    g_free(ret < 0 ? now : old);
    return ret;
}

static int create_locked(BlockNode *bn, SnapshotInfo *info)
{
    Qcow2State *s = bn->s;
    Qcow2Snapshot *old = s->snapshots, *now, *sn;
    uint32_t n = s->h.nb_snapshots;
    int ret;

    if (n >= QCOW2_MAX_SNAPSHOTS) {
        return -EFBIG;
    }
    if (s->data_file) {
        return -ENOTSUP;
    }
    now = g_new0(Qcow2Snapshot, n + 1);
    if (n) {
        memcpy(now, s->snapshots, n * sizeof(*now));
    }
    sn = &now[n];
    sn->info = *info;
    if (!sn->info.id[0]) {
        next_id(s, sn->info.id, sizeof(sn->info.id));
    }
    sn->info.disk_size = bn->size;
    ret = qcow2_shadow_begin(bn);
    if (ret < 0) {
        g_free(now);
        return ret;
    }
    ret = share_l1(bn, sn);
    if (ret == 0) {
        ret = put_snapshots(bn, now, n + 1);
    }
    ret = end_change(bn, old, now, ret);
    if (ret == 0) {
        *info = sn->info;
    }
    return ret;
}

static bool snapshot_create(BlockNode *bn, SnapshotInfo *info, GError **errp)
{
    Qcow2State *s = bn->s;
    int ret;

    if (bn->read_only) {
        error_setg(errp, "the image is read-only");
        return false;
    }
    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    ret = create_locked(bn, info);
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not create snapshot '%s'%s",
                         info->name,
                         ret == -ENOTSUP ? " in an image with an external data "
                                           "file"
                                         : "");
    }
    return ret == 0;
}

/* The snapshot's tables become the active ones too. Part of a shadow. */
static int apply_l1(BlockNode *bn, const Qcow2Snapshot *sn)
{
    Qcow2State *s = bn->s;
    uint32_t n = MAX(s->h.l1_size, sn->l1_size);
    g_autofree uint64_t *l1 = load_l1(bn, sn, n), *old = NULL;
    uint32_t old_n = s->h.l1_size;
    int ret = l1 ? 0 : -EIO;

    for (uint32_t i = 0; i < n && ret == 0; i++) {
        l1[i] &= ~OFLAG_COPIED;
    }
    if (ret == 0) {
        ret = l1_refcounts(bn, l1, n, 1);
    }
    if (ret < 0) {
        return ret;
    }
    old = s->l1;
    s->l1 = g_steal_pointer(&l1);
    s->h.l1_size = n;
    ret = l1_refcounts(bn, old, old_n, -1);
    return ret == 0 ? copied_anew(bn, true) : ret;
}

static int apply_locked(BlockNode *bn, const Qcow2Snapshot *sn)
{
    Qcow2State *s = bn->s;
    int ret = qcow2_shadow_begin(bn);

    if (ret < 0) {
        return ret;
    }
    ret = apply_l1(bn, sn);
    if (ret < 0) {
        qcow2_shadow_abort(bn);
        return ret;
    }
    s->h.size = bn->size = sn->info.disk_size;
    ret = qcow2_shadow_commit(bn);
    qcow2_cache_empty(s->l2_cache);
    return ret;
}

static bool snapshot_apply(BlockNode *bn, const char *id_or_name, GError **errp)
{
    Qcow2State *s = bn->s;
    int i, ret;

    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    i = find_snapshot(s, id_or_name);
    ret = i < 0 ? -ENOENT : bn->read_only ? -EROFS : 0;
    if (ret == 0) {
        ret = apply_locked(bn, &s->snapshots[i]);
    }
    qcow2_bitmaps_mark(s, 0, bn->size);
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not apply snapshot '%s'",
                         id_or_name);
    }
    return ret == 0;
}

static int remove_locked(BlockNode *bn, int at)
{
    Qcow2State *s = bn->s;
    Qcow2Snapshot *old = s->snapshots, sn = old[at], *now;
    uint32_t n = s->h.nb_snapshots - 1;
    g_autofree uint64_t *l1 = load_l1(bn, &sn, sn.l1_size);
    int ret = l1 ? qcow2_shadow_begin(bn) : -EIO;

    if (ret < 0) {
        return ret;
    }
    now = g_new0(Qcow2Snapshot, n + 1);
    memcpy(now, old, (size_t)at * sizeof(sn));
    memcpy(now + at, old + at + 1, (n - (uint32_t)at) * sizeof(sn));
    ret = l1_refcounts(bn, l1, sn.l1_size, -1);
    if (ret == 0) {
        ret = qcow2_refcount_add(bn, sn.l1_offset,
                                 MAX((uint64_t)sn.l1_size * 8, 1), -1);
    }
    if (ret == 0) {
        ret = copied_anew(bn, false);
    }
    if (ret == 0) {
        ret = put_snapshots(bn, now, n);
    }
    ret = end_change(bn, old, now, ret);
    if (ret == 0) {
        snapshot_clear(&sn);
    }
    return ret;
}

static bool snapshot_remove(BlockNode *bn, const char *id_or_name,
                            GError **errp)
{
    Qcow2State *s = bn->s;
    int i, ret;

    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    i = find_snapshot(s, id_or_name);
    ret = i < 0 ? -ENOENT : bn->read_only ? -EROFS : remove_locked(bn, i);
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (i < 0) {
        error_setg(errp, "snapshot not found");
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not delete snapshot '%s'",
                         id_or_name);
    }
    return ret == 0;
}

static GArray *snapshot_list(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    GArray *list = g_array_new(false, true, sizeof(SnapshotInfo));

    g_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->h.nb_snapshots; i++) {
        g_array_append_val(list, s->snapshots[i].info);
    }
    g_mutex_unlock(&s->lock);
    return list;
}

static bool snapshot_load(BlockNode *bn, const char *id_or_name, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t *l1;
    int i;

    if (!bn->read_only) {
        error_setg(errp, "a snapshot can be shown by a read-only image only");
        return false;
    }
    g_mutex_lock(&s->lock);
    i = find_snapshot(s, id_or_name);
    l1 = i < 0 ? NULL : load_l1(bn, &s->snapshots[i], s->snapshots[i].l1_size);
    if (l1) {
        g_free(s->l1);
        s->l1 = l1;
        s->h.l1_size = s->snapshots[i].l1_size;
        bn->size = s->snapshots[i].info.disk_size;
        qcow2_cache_empty(s->l2_cache);
    }
    g_mutex_unlock(&s->lock);
    if (!l1) {
        error_setg(errp, "%s",
                   i < 0 ? "Can't find snapshot"
                         : "Could not read the snapshot's L1 "
                           "table");
    }
    return l1 != NULL;
}

/* ---- VM state ------------------------------------------------------------------------------- */

static void view_end(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    if (s->l1_aside) {
        g_free(s->l1);
        s->l1 = g_steal_pointer(&s->l1_aside);
        s->h.l1_size = (uint32_t)s->aside_size;
        bn->size = s->aside_disk_size;
        qcow2_cache_empty(s->l2_cache);
    }
}

static int view_begin(BlockNode *bn, const Qcow2Snapshot *sn)
{
    Qcow2State *s = bn->s;
    int ret = bn->read_only ? 0 : qcow2_flush_locked(bn);
    uint64_t *l1 = ret < 0 ? NULL : load_l1(bn, sn, sn->l1_size);

    if (!l1) {
        return ret < 0 ? ret : -EIO;
    }
    s->l1_aside = s->l1;
    s->aside_size = s->h.l1_size;
    s->aside_disk_size = bn->size;
    s->l1 = l1;
    s->h.l1_size = sn->l1_size;
    bn->size = sn->info.disk_size;
    qcow2_cache_empty(s->l2_cache);
    return 0;
}

static bool snapshot_view(BlockNode *bn, const char *id_or_name, GError **errp)
{
    Qcow2State *s = bn->s;
    int i = -1, ret = 0;

    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    view_end(bn);
    if (id_or_name) {
        i = find_snapshot(s, id_or_name);
        ret = i < 0 ? -ENOENT : view_begin(bn, &s->snapshots[i]);
    }
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot look into snapshot '%s'",
                         id_or_name);
    }
    return ret == 0;
}

static int vmstate_read(BlockNode *bn, uint64_t off, void *buf, size_t len)
{
    Qcow2State *s = bn->s;
    uint64_t base = vmstate_base(s);
    int ret;

    if (len > INT64_MAX - base || off > INT64_MAX - base - len) {
        return -EINVAL;
    }
    block_event(bn->file, BLKDBG_VMSTATE_LOAD);
    block_gate_enter(&bn->gate, true);
    ret = qcow2_read_guest(bn, base + off, buf, len);
    block_gate_leave(&bn->gate);
    return ret;
}

static int vmstate_write(BlockNode *bn, uint64_t off, const void *buf,
                         size_t len)
{
    Qcow2State *s = bn->s;
    uint64_t base = vmstate_base(s), end, need;
    int ret = 0;

    if (bn->read_only || len > INT64_MAX - base ||
        off > INT64_MAX - base - len) {
        return -EINVAL;
    }
    end = base + off + len;
    need = (end + qcow2_l2_range(s) - 1) / qcow2_l2_range(s);
    block_event(bn->file, BLKDBG_VMSTATE_SAVE);
    g_mutex_lock(&s->lock);
    if (need > s->h.l1_size) {
        ret = qcow2_grow_l1(bn, need);
    }
    g_mutex_unlock(&s->lock);
    if (ret == 0) {
        block_gate_enter(&bn->gate, true);
        ret = qcow2_write_guest(bn, base + off, buf, len);
        block_gate_leave(&bn->gate);
    }
    return ret;
}

const SnapshotOps qcow2_snapshot_ops = {
    .create = snapshot_create,
    .apply = snapshot_apply,
    .remove = snapshot_remove,
    .list = snapshot_list,
    .load = snapshot_load,
    .view = snapshot_view,
    .vmstate_read = vmstate_read,
    .vmstate_write = vmstate_write,
};
