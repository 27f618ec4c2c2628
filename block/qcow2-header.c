/*
 * The header of qcow2: reading, checking, writing.
 *
 * Cluster 0 holds, one after another: the header (72 bytes in version 2,
 * header_length in version 3), extensions of type, length and data padded to 8,
 * and the name of the backing file. What we do not know, fields behind ours and
 * extensions, is kept and written back.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"

static const struct {
    uint8_t kind, bit; /* kind 0: incompatible, 1: compatible, 2: autoclear */
    const char *name;
} feature_names[] = {
    { 0, 0, "dirty bit" },
    { 0, 1, "corrupt bit" },
    { 0, 2, "external data file" },
    { 0, 3, "compression type" },
    { 0, 4, "extended L2 entries" },
    { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },
    { 2, 1, "raw external data" },
};

enum { FEATURE_ENTRY = 48, FEATURE_NAME_MAX = 46 };

/* ---- checks ----------------------------------------------------------------------- */

bool qcow2_valid_table(const Qcow2State *s, uint64_t off, uint64_t entries,
                       size_t entry_len, uint64_t max_bytes, const char *name,
                       GError **errp)
{
    uint64_t size;

    if (entries > max_bytes / entry_len) {
        error_setg(errp, "%s too large", name);
        return false;
    }
    size = entries * entry_len;
    if (off > INT64_MAX - size || (off & (s->cluster_size - 1))) {
        error_setg(errp, "%s offset invalid", name);
        return false;
    }
    return true;
}

static void parse_fields(Qcow2Header *h, const uint8_t *p)
{
    h->version = ld_be32(p + 4);
    h->backing_off = ld_be64(p + 8);
    h->backing_len = ld_be32(p + 16);
    h->cluster_bits = ld_be32(p + 20);
    h->size = ld_be64(p + 24);
    h->crypt_method = ld_be32(p + 32);
    h->l1_size = ld_be32(p + 36);
    h->l1_offset = ld_be64(p + 40);
    h->reftable_offset = ld_be64(p + 48);
    h->reftable_clusters = ld_be32(p + 56);
    h->nb_snapshots = ld_be32(p + 60);
    h->snapshots_offset = ld_be64(p + 64);
    h->refcount_order = 4;
    h->header_length = QCOW2_V2_HEADER;
    if (h->version >= 3) {
        h->incompatible = ld_be64(p + 72);
        h->compatible = ld_be64(p + 80);
        h->autoclear = ld_be64(p + 88);
        h->refcount_order = ld_be32(p + 96);
        h->header_length = ld_be32(p + 100);
        if (h->header_length > QCOW2_V3_HEADER) {
            h->compression_type = p[104];
        }
    }
}

static bool check_fields(const Qcow2Header *h, GError **errp)
{
    uint64_t cluster;

    if (h->version < 2 || h->version > 3) {
        error_setg(errp, "Unsupported qcow2 version %u", h->version);
        return false;
    }
    if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
        h->cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        error_setg(errp, "Unsupported cluster size: 2^%u", h->cluster_bits);
        return false;
    }
    cluster = UINT64_C(1) << h->cluster_bits;
    if (h->version >= 3 && h->header_length < QCOW2_V3_HEADER) {
        error_setg(errp, "qcow2 header too short");
        return false;
    }
    if (h->header_length > cluster) {
        error_setg(errp, "qcow2 header exceeds cluster size");
        return false;
    }
    if (h->backing_off > cluster) {
        error_setg(errp, "Invalid backing file offset");
        return false;
    }
    if (h->size > INT64_MAX) {
        error_setg(errp, "Image size %" PRIu64 " is too large", h->size);
        return false;
    }
    if (h->refcount_order > 6) {
        error_setg(errp, "Reference count entry width too large; may not "
                         "exceed 64 bits");
        return false;
    }
    return true;
}

void qcow2_set_geometry(Qcow2State *s)
{
    s->cluster_bits = s->h.cluster_bits;
    s->cluster_size = UINT64_C(1) << s->cluster_bits;
    s->ext_l2 = s->h.incompatible & INCOMPAT_EXTL2;
    s->l2_entry_size = s->ext_l2 ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->ext_l2 ? 4 : 3);
    s->nsub = s->ext_l2 ? QCOW2_SUBCLUSTERS : 1;
    s->sc_bits = s->cluster_bits - (s->ext_l2 ? 5 : 0);
    s->refblock_bits = s->cluster_bits + 3 - s->h.refcount_order;
    s->refcount_max = bits_mask(1u << s->h.refcount_order);
    s->csize_shift = 62 - (s->cluster_bits - 8);
    s->csize_mask = (UINT64_C(1) << (s->cluster_bits - 8)) - 1;
    s->coffset_mask = (UINT64_C(1) << s->csize_shift) - 1;
    s->slice = (unsigned)MIN(s->cluster_size, QCOW2_SLICE);
}

/* What the features and the rest say together. */
static bool check_geometry(Qcow2State *s, GError **errp)
{
    const Qcow2Header *h = &s->h;
    uint64_t need;

    if (s->ext_l2 && s->cluster_bits < 14) {
        error_setg(errp, "Extended L2 entries are only supported with cluster "
                         "sizes of at least 16384 bytes");
        return false;
    }
    if (h->compression_type && !(h->incompatible & INCOMPAT_COMPRESSION)) {
        error_setg(errp, "qcow2: Compression type incompatible feature bit "
                         "must be set");
        return false;
    }
    if ((h->incompatible & INCOMPAT_COMPRESSION) &&
        h->compression_type == COMPRESSION_ZLIB) {
        error_setg(errp, "qcow2: Compression type incompatible feature bit "
                         "must not be set");
        return false;
    }
    if (h->compression_type > COMPRESSION_ZSTD ||
        (h->compression_type == COMPRESSION_ZSTD && !CONFIG_LIBZSTD)) {
        error_setg(errp, "qcow2: unknown compression type: %u%s",
                   h->compression_type,
                   h->compression_type == COMPRESSION_ZSTD
                       ? " (zstd, which this build lacks)"
                       : "");
        return false;
    }
    if (h->crypt_method > CRYPT_LUKS) {
        error_setg(errp, "Unsupported encryption method %u", h->crypt_method);
        return false;
    }
    if (h->reftable_clusters == 0) {
        error_setg(errp, "Image does not contain a reference count table");
        return false;
    }
    if (!qcow2_valid_table(
            s, h->reftable_offset,
            (uint64_t)h->reftable_clusters * (s->cluster_size / 8), 8,
            QCOW2_MAX_REFTABLE_BYTES, "Reference count table", errp) ||
        !qcow2_valid_table(s, h->snapshots_offset, h->nb_snapshots, 40,
                           QCOW2_MAX_SNAPSHOTS * UINT64_C(40), "Snapshot table",
                           errp) ||
        !qcow2_valid_table(s, h->l1_offset, h->l1_size, 8, QCOW2_MAX_L1_BYTES,
                           "Active L1 table", errp)) {
        return false;
    }
    need = h->size ? (h->size - 1) / qcow2_l2_range(s) + 1 : 0;
    if (need > INT_MAX) {
        error_setg(errp,
                   "Image is too big: %" PRIu64
                   " bytes need a larger L1 table than 32 MiB",
                   s->h.size);
        return false;
    }
    if (h->l1_size < need) {
        error_setg(errp, "L1 table is too small");
        return false;
    }
    return true;
}

/* ---- extensions ---------------------------------------------------------------------- */

static void ext_free(gpointer p)
{
    g_byte_array_unref(((Qcow2Ext *)p)->data);
}

/* The name of an unknown feature by the image's own table. */
static void append_feature(GString *to, const GByteArray *names, unsigned bit)
{
    for (guint i = 0; names && i + FEATURE_ENTRY <= names->len;
         i += FEATURE_ENTRY) {
        const uint8_t *e = names->data + i;

        if (e[0] == 0 && e[1] == bit && e[2]) {
            g_string_append_printf(to, "%s%.*s", to->len ? ", " : "",
                                   FEATURE_NAME_MAX, e + 2);
            return;
        }
    }
    g_string_append_printf(to, "%sUnknown incompatible feature: %" PRIx64,
                           to->len ? ", " : "", UINT64_C(1) << bit);
}

static bool check_features(Qcow2State *s, const GByteArray *names,
                           GError **errp)
{
    uint64_t unknown = s->h.incompatible & ~(uint64_t)INCOMPAT_ALL;
    g_autoptr(GString) text = g_string_new("");

    if (!unknown) {
        return true;
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        if (unknown >> bit & 1) {
            append_feature(text, names, bit);
        }
    }
    error_setg(errp, "Unsupported qcow2 feature(s): %s", text->str);
    return false;
}

static bool take_ext(BlockNode *bn, uint32_t type, const uint8_t *data,
                     uint32_t len, GByteArray **names, GError **errp)
{
    Qcow2State *s = bn->s;
    Qcow2Ext e;

    switch (type) {
    case EXT_BACKING_FORMAT:
        if (len >= 16) {
            error_setg(errp,
                       "ERROR: ext_backing_format: len=%u too large "
                       "(>=16)",
                       len);
            return false;
        }
        g_free(bn->backing_fmt);
        bn->backing_fmt = g_strndup((const char *)data, len);
        return true;
    case EXT_FEATURE_NAMES:
        if (!*names) {
            *names = g_byte_array_new();
            g_byte_array_append(*names, data, len);
        }
        return true;
    case EXT_CRYPTO:
        if (len < 16 || s->h.crypt_method != CRYPT_LUKS) {
            error_setg(errp,
                       "CRYPTO header extension size %u, but expected "
                       "size 16 and LUKS",
                       len);
            return false;
        }
        s->crypto_hdr.off = ld_be64(data);
        s->crypto_hdr.len = ld_be64(data + 8);
        return true;
    case EXT_BITMAPS:
        if (!s->bitmap_ext) {
            s->bitmap_ext = g_byte_array_new();
            g_byte_array_append(s->bitmap_ext, data, len);
        }
        return true;
    case EXT_DATA_FILE:
        g_free(s->data_file_name);
        s->data_file_name = g_strndup((const char *)data, len);
        return true;
    default:
        e.type = type;
        e.data = g_byte_array_new();
        g_byte_array_append(e.data, data, len);
        g_array_append_val(s->exts, e);
        return true;
    }
}

static bool read_exts(BlockNode *bn, const uint8_t *buf, uint64_t end,
                      GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t at = s->h.header_length;
    g_autoptr(GByteArray) names = NULL;

    while (end >= 8 && at <= end - 8) {
        uint32_t type = ld_be32(buf + at), len = ld_be32(buf + at + 4);

        at += 8;
        if (type == EXT_END) {
            break;
        }
        if (len > end - at) {
            error_setg(errp, "Header extension too large");
            return false;
        }
        if (!take_ext(bn, type, buf + at, len, &names, errp)) {
            return false;
        }
        at += (len + UINT64_C(7)) & ~UINT64_C(7);
    }
    return check_features(s, names, errp);
}

static bool read_backing_name(BlockNode *bn, const uint8_t *buf, GError **errp)
{
    const Qcow2Header *h = &((Qcow2State *)bn->s)->h;
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;

    if (!h->backing_off) {
        return true;
    }
    if (h->backing_len > QCOW2_MAX_BACKING_NAME ||
        h->backing_len > cluster - h->backing_off) {
        error_setg(errp, "Backing file name too long");
        return false;
    }
    if (h->backing_len) {
        bn->backing_name =
            g_strndup((const char *)buf + h->backing_off, h->backing_len);
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------- */

bool qcow2_read_header(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = NULL;
    uint8_t head[QCOW2_OUR_HEADER] = { 0 };
    uint64_t cluster, end;
    int ret = block_pread(bn->file, 0, head, sizeof(head));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read qcow2 header");
        return false;
    }
    if (ld_be32(head) != QCOW2_MAGIC) {
        error_setg(errp, "Image is not in qcow2 format");
        return false;
    }
    parse_fields(&s->h, head);
    if (!check_fields(&s->h, errp)) {
        return false;
    }
    cluster = UINT64_C(1) << s->h.cluster_bits;
    buf = g_try_malloc0(cluster);
    ret = buf ? block_pread(bn->file, 0, buf, cluster) : -ENOMEM;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read qcow2 header");
        return false;
    }
    s->exts = g_array_new(false, false, sizeof(Qcow2Ext));
    g_array_set_clear_func(s->exts, ext_free);
    s->unknown = g_byte_array_new();
    if (s->h.header_length > QCOW2_OUR_HEADER) {
        g_byte_array_append(s->unknown, buf + QCOW2_OUR_HEADER,
                            s->h.header_length - QCOW2_OUR_HEADER);
    }
    end = s->h.backing_off ? s->h.backing_off : cluster;
    if (s->h.backing_off && s->h.backing_off < s->h.header_length) {
        error_setg(errp, "Invalid backing file offset");
        return false;
    }
    if (!read_exts(bn, buf, end, errp) || !read_backing_name(bn, buf, errp)) {
        return false;
    }
    qcow2_set_geometry(s);
    if (!check_geometry(s, errp)) {
        return false;
    }
    bn->size = s->h.size;
    return true;
}

void qcow2_free_header(Qcow2State *s)
{
    g_clear_pointer(&s->exts, g_array_unref);
    g_clear_pointer(&s->unknown, g_byte_array_unref);
    g_clear_pointer(&s->bitmap_ext, g_byte_array_unref);
    g_clear_pointer(&s->data_file_name, g_free);
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put_ext(GByteArray *a, uint32_t type, const void *data,
                    uint32_t len)
{
    static const uint8_t pad[8];
    uint8_t head[8];

    st_be32(head, type);
    st_be32(head + 4, len);
    g_byte_array_append(a, head, sizeof(head));
    g_byte_array_append(a, data, len);
    g_byte_array_append(a, pad, (8 - len % 8) % 8);
}

static void put_features(GByteArray *a)
{
    uint8_t table[G_N_ELEMENTS(feature_names) * FEATURE_ENTRY] = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(feature_names); i++) {
        uint8_t *e = table + i * FEATURE_ENTRY;

        e[0] = feature_names[i].kind;
        e[1] = feature_names[i].bit;
        memcpy(e + 2, feature_names[i].name, strlen(feature_names[i].name));
    }
    put_ext(a, EXT_FEATURE_NAMES, table, sizeof(table));
}

static void put_fields(GByteArray *a, const Qcow2Header *h)
{
    uint8_t p[QCOW2_OUR_HEADER] = { 0 };

    st_be32(p, QCOW2_MAGIC);
    st_be32(p + 4, h->version);
    st_be32(p + 20, h->cluster_bits);
    st_be64(p + 24, h->size);
    st_be32(p + 32, h->crypt_method);
    st_be32(p + 36, h->l1_size);
    st_be64(p + 40, h->l1_offset);
    st_be64(p + 48, h->reftable_offset);
    st_be32(p + 56, h->reftable_clusters);
    st_be32(p + 60, h->nb_snapshots);
    st_be64(p + 64, h->snapshots_offset);
    st_be64(p + 72, h->incompatible);
    st_be64(p + 80, h->compatible);
    st_be64(p + 88, h->autoclear);
    st_be32(p + 96, h->refcount_order);
    p[104] = h->compression_type;
    g_byte_array_append(a, p,
                        h->version >= 3 ? QCOW2_OUR_HEADER : QCOW2_V2_HEADER);
}

int qcow2_write_header(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    g_autoptr(GByteArray) a = g_byte_array_new();
    guint used;
    int ret;

    put_fields(a, &s->h);
    if (s->h.version >= 3) {
        g_byte_array_append(a, s->unknown->data, s->unknown->len);
        s->h.header_length = a->len;
        st_be32(a->data + 100, a->len);
    }
    if (bn->backing_fmt && bn->backing_fmt[0]) {
        put_ext(a, EXT_BACKING_FORMAT, bn->backing_fmt,
                (uint32_t)strlen(bn->backing_fmt));
    }
    if (s->data_file_name && (s->h.incompatible & INCOMPAT_DATA_FILE)) {
        put_ext(a, EXT_DATA_FILE, s->data_file_name,
                (uint32_t)strlen(s->data_file_name));
    }
    if (s->h.crypt_method == CRYPT_LUKS) {
        uint8_t e[16];

        st_be64(e, s->crypto_hdr.off);
        st_be64(e + 8, s->crypto_hdr.len);
        put_ext(a, EXT_CRYPTO, e, sizeof(e));
    }
    if (s->h.version >= 3) {
        put_features(a);
    }
    if (s->bitmap_ext) {
        put_ext(a, EXT_BITMAPS, s->bitmap_ext->data, s->bitmap_ext->len);
    }
    for (guint i = 0; i < s->exts->len; i++) {
        const Qcow2Ext *e = &g_array_index(s->exts, Qcow2Ext, i);

        put_ext(a, e->type, e->data->data, e->data->len);
    }
    put_ext(a, EXT_END, "", 0);
    s->h.backing_off = s->h.backing_len = 0;
    if (bn->backing_name) {
        s->h.backing_off = a->len;
        s->h.backing_len = (uint32_t)strlen(bn->backing_name);
        st_be64(a->data + 8, s->h.backing_off);
        st_be32(a->data + 16, s->h.backing_len);
        g_byte_array_append(a, (const uint8_t *)bn->backing_name,
                            s->h.backing_len);
    }
    if (a->len > s->cluster_size) {
        return -ENOSPC;
    }
    used = a->len; /* nothing of a longer one before is left over */
    g_byte_array_set_size(a, MAX(used, (guint)MIN(s->cluster_size, 4096)));
    memset(a->data + used, 0, a->len - used);
    ret = block_pwrite(bn->file, 0, a->data, a->len);
    s->unsynced = true;
    return ret;
}

int qcow2_set_incompatible(BlockNode *bn, uint64_t set, uint64_t clear)
{
    Qcow2State *s = bn->s;
    uint64_t now = (s->h.incompatible | set) & ~clear;
    uint8_t be[8];
    int ret;

    if (s->h.version < 3) {
        return set ? -ENOTSUP : 0;
    }
    if (now == s->h.incompatible) {
        return 0;
    }
    st_be64(be, now);
    ret = block_pwrite(bn->file, 72, be, sizeof(be));
    if (ret == 0) {
        s->h.incompatible = now;
        ret = qcow2_fsync(bn);
    }
    return ret;
}

InfoItem *qcow2_specific(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    InfoItem *d = info_new(INFO_DICT);

    info_add_str(d, "compat", s->h.version < 3 ? "0.10" : "1.1");
    info_add_str(d, "compression-type",
                 s->h.compression_type == COMPRESSION_ZSTD ? "zstd" : "zlib");
    if (s->h.version >= 3) {
        info_add_bool(d, "lazy-refcounts",
                      s->h.compatible & COMPAT_LAZY_REFCOUNTS);
    }
    info_add_int(d, "refcount-bits", UINT64_C(1) << s->h.refcount_order);
    if (s->h.version >= 3) {
        info_add_bool(d, "corrupt", s->h.incompatible & INCOMPAT_CORRUPT);
        info_add_bool(d, "extended-l2", s->ext_l2);
        qcow2_bitmaps_info(bn, d);
        if (s->data_file_name) {
            info_add_str(d, "data-file", s->data_file_name);
        }
        if (s->h.incompatible & INCOMPAT_DATA_FILE) {
            info_add_bool(d, "data-file-raw",
                          s->h.autoclear & AUTOCLEAR_DATA_FILE_RAW);
        }
    }
    if (s->h.crypt_method) {
        info_add(d, "encrypt", qcow2_crypto_info(bn));
    }
    return d;
}
