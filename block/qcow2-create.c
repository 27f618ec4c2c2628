/* qcow2: new images, and what one would need ("measure"). */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"

enum { DEFAULT_CLUSTER = 65536 };

typedef struct CreateParams {
    uint64_t size, cluster_size, refcount_bits;
    bool v3, lazy, ext_l2, data_file_raw;
    uint8_t compression;
    const char *prealloc, *backing, *backing_fmt, *data_file;
    const char *encrypt;
    Qcow2CryptoOpts crypto;
} CreateParams;

/* ---- options ---------------------------------------------------------------------- */

static bool parse_compat(const char *compat, CreateParams *p, GError **errp)
{
    if (!compat || strcmp(compat, "1.1") == 0 || strcmp(compat, "v3") == 0) {
        p->v3 = true;
    } else if (strcmp(compat, "0.10") != 0 && strcmp(compat, "v2") != 0) {
        error_setg(errp, "Invalid parameter '%s' (compat is 0.10 or 1.1)",
                   compat);
        return false;
    }
    return true;
}

static bool is_luks(const CreateParams *p)
{
    return p->encrypt && strcmp(p->encrypt, "luks") == 0;
}

static bool parse_params(KeyVal *o, CreateParams *p, GError **errp)
{
    const char *comp = keyval_get(o, "compression_type");
    bool enc;

    if (!parse_compat(keyval_get(o, "compat"), p, errp) ||
        !keyval_size(o, "size", 1, 0, &p->size, errp) ||
        !keyval_bool(o, "extended_l2", false, &p->ext_l2, errp) ||
        !keyval_size(o, "cluster_size", 1, DEFAULT_CLUSTER, &p->cluster_size,
                     errp) ||
        !keyval_u64(o, "refcount_bits", 16, &p->refcount_bits, errp) ||
        !keyval_bool(o, "lazy_refcounts", false, &p->lazy, errp) ||
        !keyval_bool(o, "data_file_raw", false, &p->data_file_raw, errp) ||
        !keyval_bool(o, "encryption", false, &enc, errp)) {
        return false;
    }
    p->prealloc = keyval_get(o, "preallocation");
    p->prealloc = p->prealloc ? p->prealloc : "off";
    p->backing = keyval_get(o, "backing_file");
    p->backing_fmt = keyval_get(o, "backing_fmt");
    p->data_file = keyval_get(o, "data_file");
    p->encrypt = keyval_get(o, "encrypt.format");
    p->encrypt = p->encrypt ? p->encrypt : enc ? "aes" : NULL;
    p->crypto.secret = keyval_get(o, "encrypt.key-secret");
    p->crypto.cipher_alg = keyval_get(o, "encrypt.cipher-alg");
    p->crypto.cipher_mode = keyval_get(o, "encrypt.cipher-mode");
    p->crypto.ivgen_alg = keyval_get(o, "encrypt.ivgen-alg");
    p->crypto.ivgen_hash = keyval_get(o, "encrypt.ivgen-hash-alg");
    p->crypto.hash_alg = keyval_get(o, "encrypt.hash-alg");
    if (!keyval_u64(o, "encrypt.iter-time", 2000, &p->crypto.iter_ms, errp)) {
        return false;
    }
    if (comp && strcmp(comp, "zstd") == 0) {
        p->compression = COMPRESSION_ZSTD;
    } else if (comp && strcmp(comp, "zlib") != 0) {
        error_setg(errp,
                   "Invalid parameter '%s' (compression_type is zlib or "
                   "zstd)",
                   comp);
        return false;
    }
    p->size = (p->size + 511) & ~UINT64_C(511);
    return true;
}

static bool check_v3_only(const CreateParams *p, GError **errp)
{
    const char *what = NULL;

    if (p->v3) {
        return true;
    }
    what = p->lazy                  ? "Lazy refcounts"
           : p->ext_l2              ? "Extended L2 entries"
           : p->data_file           ? "External data files"
           : p->compression         ? "Non-zlib compression type"
           : p->refcount_bits != 16 ? "Different refcount widths than 16 bits"
                                    : NULL;
    if (what) {
        error_setg(errp,
                   "%s %s supported with compatibility level 1.1 and "
                   "above (use version=v3 or greater)",
                   what,
                   p->refcount_bits != 16 && !p->lazy ? "require" : "only");
    }
    return what == NULL;
}

static bool check_encryption(const CreateParams *p, GError **errp)
{
    if (strcmp(p->encrypt, "luks") != 0 && strcmp(p->encrypt, "aes") != 0) {
        error_setg(errp, "encrypt.format must be luks or aes, not '%s'",
                   p->encrypt);
        return false;
    }
    if (!CONFIG_NETTLE) {
        error_setg(errp, "this build lacks nettle (nettle-dev)");
        return false;
    }
    if (!p->crypto.secret) {
        error_setg(errp, "Parameter 'encrypt.key-secret' is required for "
                         "cipher");
        return false;
    }
    if (is_luks(p) && !qcow2_crypto_header_size(&p->crypto, errp)) {
        return false;
    }
    if (p->data_file_raw) {
        error_setg(errp, "Encryption and data-file-raw cannot be used at the "
                         "same time");
        return false;
    }
    return true;
}

static bool check_params(const CreateParams *p, GError **errp)
{
    static const char *const modes[] = { "off", "metadata", "falloc", "full" };
    bool known = false;

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        known |= strcmp(p->prealloc, modes[i]) == 0;
    }
    if (!known) {
        error_setg(errp,
                   "Invalid parameter '%s' (preallocation is off, "
                   "metadata, falloc or full)",
                   p->prealloc);
        return false;
    }
    if (!is_pow2(p->cluster_size) ||
        p->cluster_size < (1u << QCOW2_MIN_CLUSTER_BITS) ||
        p->cluster_size > (1u << QCOW2_MAX_CLUSTER_BITS)) {
        error_setg(errp,
                   "Cluster size must be a power of two between %d and "
                   "%dk",
                   1 << QCOW2_MIN_CLUSTER_BITS,
                   1 << (QCOW2_MAX_CLUSTER_BITS - 10));
        return false;
    }
    if (p->ext_l2 && p->cluster_size < 16384) {
        error_setg(errp, "Extended L2 entries are only supported with cluster "
                         "sizes of at least 16384 bytes");
        return false;
    }
    if (!is_pow2(p->refcount_bits) || p->refcount_bits > 64) {
        error_setg(errp, "Refcount width must be a power of two and may not "
                         "exceed 64 bits");
        return false;
    }
    if (p->backing && strcmp(p->prealloc, "off") != 0 && !p->ext_l2) {
        error_setg(errp, "Backing file and preallocation can only be used at "
                         "the same time if extended_l2 is enabled");
        return false;
    }
    if (p->data_file_raw && !p->data_file) {
        error_setg(errp, "data-file-raw requires data-file");
        return false;
    }
    if (p->data_file_raw && p->backing) {
        error_setg(errp, "Backing file and data-file-raw cannot be used at "
                         "the same time");
        return false;
    }
    if (p->compression == COMPRESSION_ZSTD && !CONFIG_LIBZSTD) {
        error_setg(errp, "this build lacks zstd (libzstd-dev)");
        return false;
    }
    return (!p->encrypt || check_encryption(p, errp)) && check_v3_only(p, errp);
}

/* ---- layout -------------------------------------------------------------------------- */

/*
 * [header][refcount table][refcount blocks][L1], each whole clusters. The
 * blocks cover themselves, so their number is found by trying.
 */
typedef struct Layout {
    uint64_t table_at, blocks_at, l1_at, crypto_at, end; /* clusters */
    uint64_t l1_entries;
} Layout;

static void plan_layout(const Qcow2State *s, Layout *l)
{
    uint64_t per_table = s->cluster_size / 8, blocks = 1, tables = 1, l1;
    uint64_t crypto = to_clusters(s, s->crypto_hdr.len);

    l->l1_entries = s->h.size ? (s->h.size - 1) / qcow2_l2_range(s) + 1 : 0;
    l1 = MAX(to_clusters(s, l->l1_entries * 8), 1);
    for (;;) {
        uint64_t total = 1 + tables + blocks + l1 + crypto;
        uint64_t b = (total >> s->refblock_bits) + 1;
        uint64_t t = (b + per_table - 1) / per_table;

        if (b <= blocks && t <= tables) {
            break;
        }
        blocks = MAX(b, blocks);
        tables = MAX(t, tables);
    }
    l->table_at = 1;
    l->blocks_at = 1 + tables;
    l->l1_at = l->blocks_at + blocks;
    l->crypto_at = l->l1_at + l1;
    l->end = l->crypto_at + crypto;
}

static int write_layout(BlockNode *bn, const Layout *l)
{
    Qcow2State *s = bn->s;
    uint64_t blocks = l->l1_at - l->blocks_at;
    size_t bytes = (size_t)((l->l1_at - l->table_at) << s->cluster_bits);
    g_autofree uint8_t *buf = g_try_malloc0(bytes);
    uint8_t *counts;
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    counts = buf + ((l->blocks_at - l->table_at) << s->cluster_bits);
    for (uint64_t b = 0; b < blocks; b++) {
        st_be64(buf + b * 8, (l->blocks_at + b) << s->cluster_bits);
    }
    for (uint64_t c = 0; c < l->end; c++) {
        qcow2_refcount_put(
            s, counts + ((c >> s->refblock_bits) << s->cluster_bits),
            c & bits_mask(s->refblock_bits), 1);
    }
    ret = block_pwrite(bn->file, l->table_at << s->cluster_bits, buf, bytes);
    if (ret == 0) {
        ret = block_zero(bn->file, l->l1_at << s->cluster_bits,
                         (l->end - l->l1_at) << s->cluster_bits, 0);
    }
    return ret == 0 ? qcow2_write_header(bn) : ret;
}

static void fill_header(Qcow2Header *h, const CreateParams *p)
{
    memset(h, 0, sizeof(*h));
    h->version = p->v3 ? 3 : 2;
    h->cluster_bits = (unsigned)g_bit_nth_lsf(p->cluster_size, -1);
    h->size = p->size;
    h->crypt_method = is_luks(p)   ? CRYPT_LUKS
                      : p->encrypt ? CRYPT_AES
                                   : CRYPT_NONE;
    h->refcount_order = (unsigned)g_bit_nth_lsf(p->refcount_bits, -1);
    h->compression_type = p->compression;
    h->incompatible = (p->ext_l2 ? INCOMPAT_EXTL2 : 0) |
                      (p->data_file ? INCOMPAT_DATA_FILE : 0) |
                      (p->compression ? INCOMPAT_COMPRESSION : 0);
    h->compatible = p->lazy ? COMPAT_LAZY_REFCOUNTS : 0;
    h->autoclear = p->data_file_raw ? AUTOCLEAR_DATA_FILE_RAW : 0;
}

/* The empty image, by a node that exists for this alone. */
static bool create_image(BlockNode *file, const CreateParams *p, GError **errp)
{
    Qcow2State s = { 0 };
    BlockNode bn = { .s = &s, .file = file };
    Layout l;
    int ret;

    fill_header(&s.h, p);
    qcow2_set_geometry(&s);
    s.crypto_hdr.len =
        is_luks(p) ? qcow2_crypto_header_size(&p->crypto, errp) : 0;
    plan_layout(&s, &l);
    s.crypto_hdr.off = l.crypto_at << s.cluster_bits;
    if (l.l1_entries * 8 > QCOW2_MAX_L1_BYTES) {
        error_setg(errp, "The image size is too large for file format 'qcow2' "
                         "(try using a larger cluster size)");
        return false;
    }
    s.h.reftable_offset = l.table_at << s.cluster_bits;
    s.h.reftable_clusters = (uint32_t)(l.blocks_at - l.table_at);
    s.h.l1_offset = l.l1_at << s.cluster_bits;
    s.h.l1_size = (uint32_t)l.l1_entries;
    s.unknown = g_byte_array_new();
    s.exts = g_array_new(false, false, sizeof(Qcow2Ext));
    s.data_file_name = g_strdup(p->data_file);
    bn.backing_name = (char *)p->backing;
    bn.backing_fmt = (char *)p->backing_fmt;
    ret = write_layout(&bn, &l);
    qcow2_free_header(&s);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         ret == -ENOSPC ? "Could not write the qcow2 header "
                                          "(the backing file's name may be "
                                          "too long for a cluster)"
                                        : "Could not write qcow2 header");
    }
    return ret == 0 &&
           (!is_luks(p) ||
            qcow2_crypto_create(file, s.crypto_hdr.off, &p->crypto, errp));
}

static bool create_data_file(const char *filename, const CreateParams *p,
                             GError **errp)
{
    g_autofree char *path = NULL;
    BlockNode *bn;

    if (!p->data_file) {
        return true;
    }
    path = block_combine_path(filename, p->data_file);
    bn = block_create_file(path, p->data_file_raw ? p->size : 0, NULL, errp);
    return bn && block_close(bn, errp);
}

bool qcow2_create(const char *filename, KeyVal *opts, GError **errp)
{
    CreateParams p = { 0 };
    BlockNode *bn;
    bool ok;

    if (!parse_params(opts, &p, errp) || !check_params(&p, errp) ||
        !create_data_file(filename, &p, errp)) {
        return false;
    }
    bn = block_create_file(filename, 0, opts, errp);
    if (!bn) {
        return false;
    }
    ok = create_image(bn, &p, errp);
    ok = block_close(bn, ok ? errp : NULL) && ok;
    if (!ok || strcmp(p.prealloc, "off") == 0) {
        return ok;
    }
    bn = block_open(
        filename, "qcow2", NULL,
        BLOCK_RDWR | BLOCK_NO_BACKING | BLOCK_NO_FLUSH | BLOCK_NO_IO, errp);
    ok = bn && qcow2_preallocate(bn, 0, p.size, p.prealloc, errp);
    return block_close(bn, ok ? errp : NULL) && ok;
}

const CreateOpt qcow2_create_opts[] = {
    { "backing_file", OPT_STR, "File name of a base image", AMEND_TOO },
    { "backing_fmt", OPT_STR, "Image format of the base image", AMEND_TOO },
    { "cluster_size", OPT_SIZE, "qcow2 cluster size", CREATE_OPT },
    { "compat", OPT_STR, "Compatibility level (v2 [0.10] or v3 [1.1])",
      AMEND_TOO },
    { "compression_type", OPT_STR,
      "Compression method used for image cluster compression", CREATE_OPT },
    { "data_file", OPT_STR, "File name of an external data file", AMEND_TOO },
    { "data_file_raw", OPT_BOOL,
      "The external data file must stay valid as a raw image", AMEND_TOO },
    { "encrypt.cipher-alg", OPT_STR, "Name of encryption cipher algorithm",
      CREATE_OPT },
    { "encrypt.cipher-mode", OPT_STR, "Name of encryption cipher mode",
      CREATE_OPT },
    { "encrypt.format", OPT_STR,
      "Encrypt the image, format choices: 'aes', 'luks'", CREATE_OPT },
    { "encrypt.hash-alg", OPT_STR, "Name of encryption hash algorithm",
      CREATE_OPT },
    { "encrypt.iter-time", OPT_NUM, "Time to spend in PBKDF in milliseconds",
      AMEND_TOO },
    { "encrypt.ivgen-alg", OPT_STR, "Name of IV generator algorithm",
      CREATE_OPT },
    { "encrypt.ivgen-hash-alg", OPT_STR, "Name of IV generator hash algorithm",
      CREATE_OPT },
    { "encrypt.key-secret", OPT_STR,
      "ID of secret providing qcow AES key or LUKS passphrase", CREATE_OPT },
    { "encrypt.keyslot", OPT_NUM,
      "Select a single keyslot to modify explicitly", AMEND_ONLY },
    { "encrypt.new-secret", OPT_STR,
      "New secret to set in the matching keyslots. Empty string to erase",
      AMEND_ONLY },
    { "encrypt.old-secret", OPT_STR,
      "Select all keyslots that match this password", AMEND_ONLY },
    { "encrypt.state", OPT_STR,
      "Select new state of affected keyslots (active/inactive)", AMEND_ONLY },
    { "encryption", OPT_BOOL,
      "Encrypt the image with format 'aes'. (Deprecated in favor of "
      "encrypt.format=aes)",
      CREATE_OPT },
    { "extended_l2", OPT_BOOL, "Extended L2 tables", CREATE_OPT },
    { "extent_size_hint", OPT_SIZE,
      "Extent size hint for the image file, 0 to disable", CREATE_OPT },
    { "lazy_refcounts", OPT_BOOL, "Postpone refcount updates", AMEND_TOO },
    { "nocow", OPT_BOOL, "Turn off copy-on-write (valid only on btrfs)",
      CREATE_OPT },
    { "preallocation", OPT_STR,
      "Preallocation mode (allowed values: off, metadata, falloc, full)",
      CREATE_OPT },
    { "refcount_bits", OPT_NUM, "Width of a reference count entry in bits",
      AMEND_TOO },
    { "size", OPT_SIZE, "Virtual disk size", AMEND_TOO },
    { NULL, OPT_END, NULL, CREATE_OPT },
};

/* ---- measure ----------------------------------------------------------------------------- */

static uint64_t round_to(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) / unit * unit;
}

static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster_size,
                               uint64_t bits)
{
    uint64_t per_block = cluster_size * 8 / bits, per_table = cluster_size / 8;
    uint64_t table = 0, blocks = 0, last, n = 0;

    do {
        last = n;
        blocks = (clusters + table + blocks + per_block - 1) / per_block;
        table = (blocks + per_table - 1) / per_table;
        n = clusters + blocks + table;
    } while (n != last);
    return (blocks + table) * cluster_size;
}

/* The size of the file when every cluster is allocated. */
static uint64_t full_size(const CreateParams *p, uint64_t size)
{
    uint64_t c = p->cluster_size, e = p->ext_l2 ? 16 : 8;
    uint64_t total = round_to(size, c), meta = c;
    uint64_t l2 = round_to(total / c, c / e);
    uint64_t l1;

    meta += l2 * e;
    l1 = round_to(l2 * e / c, c / 8);
    meta += l1 * 8;
    meta += refcount_bytes((total + meta) / c, c, p->refcount_bits);
    return meta + total;
}

static bool measure_data(BlockNode *in, uint64_t cluster, uint64_t *required,
                         GError **errp)
{
    *required = 0;
    for (uint64_t off = 0; off < in->size;) {
        BlockExtent e;
        int ret =
            block_map_chain(in, NULL, off, in->size - off, &e, NULL, NULL);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Unable to get block status");
            return false;
        }
        if (e.kind == EXTENT_DATA || e.kind == EXTENT_COMPRESSED) {
            e.len = MIN(round_to(off + e.len, cluster), in->size) - off;
            *required += off % cluster + e.len;
        }
        off += e.len;
    }
    return true;
}

/* Of the stored bitmaps of @in, if all were copied. */
static uint64_t bitmaps_size(BlockNode *in, uint64_t cluster)
{
    g_autoptr(GArray) list = in->drv->bitmaps->list(in, NULL);
    uint64_t total = 0, directory = 0;

    for (guint i = 0; list && i < list->len; i++) {
        const BitmapInfo *b = &g_array_index(list, BitmapInfo, i);
        uint64_t bits = round_to(in->size, b->granularity) / b->granularity;
        uint64_t n = round_to(round_to(bits, 8) / 8, cluster) / cluster;

        total += n * cluster + round_to(n * 8, cluster);
        directory += round_to(24 + strlen(b->name), 8);
    }
    return total + round_to(directory, cluster);
}

bool qcow2_measure(KeyVal *opts, BlockNode *in, MeasureInfo *out, GError **errp)
{
    CreateParams p = { 0 };
    uint64_t virt, required = 0;

    if (!parse_params(opts, &p, errp) || !check_params(&p, errp)) {
        return false;
    }
    virt = in ? in->size : p.size;
    virt = round_to(virt, p.cluster_size);
    if (to_clusters(&(Qcow2State) { .cluster_size = p.cluster_size,
                                    .cluster_bits = (unsigned)g_bit_nth_lsf(
                                        p.cluster_size, -1) },
                    virt) /
            (p.cluster_size / (p.ext_l2 ? 16 : 8)) >
        QCOW2_MAX_L1_BYTES / 8) {
        error_setg(errp, "The image size is too large (try using a larger "
                         "cluster size)");
        return false;
    }
    if (in && !measure_data(in, p.cluster_size, &required, errp)) {
        return false;
    }
    if (strcmp(p.prealloc, "full") == 0 || strcmp(p.prealloc, "falloc") == 0) {
        required = virt;
    }
    out->fully_allocated = full_size(&p, virt);
    out->required = out->fully_allocated - virt + required;
    if (in && in->drv->bitmaps) {
        out->has_bitmaps = true;
        out->bitmaps = bitmaps_size(in, p.cluster_size);
    }
    return true;
}
