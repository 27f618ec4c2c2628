/*
 * vmdk: from a file to extents. Every number of a header or descriptor is
 * checked against the file it is in before anything is allocated for it.
 */
#include "util/osdep.h"
#include "block/vmdk.h"

#include "util/bits.h"
#include "util/error.h"

enum { LINE_MAX_LEN = 700 };

/* ---- the descriptor ----------------------------------------------------------- */

static const char *find_line(const char *desc, const char *key)
{
    size_t n = strlen(key);

    for (const char *p = desc; p; p = strchr(p, '\n')) {
        while (*p == '\n' || *p == '\r' || *p == ' ' || *p == '\t') {
            p++;
        }
        if (g_ascii_strncasecmp(p, key, n) == 0) {
            const char *q = p + n + strspn(p + n, " \t");

            if (*q == '=') {
                return q + 1 + strspn(q + 1, " \t");
            }
        }
    }
    return NULL;
}

/* "KEY=value" at the beginning of a line; quotes are taken off. NULL: none. */
static char *vmdk_desc_value(const char *desc, const char *key)
{
    const char *p = find_line(desc, key);

    if (!p) {
        return NULL;
    }
    if (*p == '"') {
        p++;
        return g_strndup(p, strcspn(p, "\"\r\n"));
    }
    return g_strndup(p, strcspn(p, " \t\r\n"));
}

static bool desc_hex(const char *desc, const char *key, uint32_t *out)
{
    g_autofree char *v = vmdk_desc_value(desc, key);

    if (!v || !g_ascii_isxdigit(v[0])) {
        return false;
    }
    *out = (uint32_t)g_ascii_strtoull(v, NULL, 16);
    return true;
}

static char *read_text(BlockNode *file, uint64_t off, uint64_t room,
                       GError **errp)
{
    uint64_t have = off < file->size ? file->size - off : 0;
    size_t len = MIN(MIN(have, room ? room : VMDK_DESC_MAX), VMDK_DESC_MAX);
    char *text = g_malloc0(len + 1);
    int ret = len ? block_pread(file, off, text, len) : 0;

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VMDK descriptor");
        g_free(text);
        return NULL;
    }
    return text;
}

/* The descriptor of @bn: a new string, NULL: unreadable. */
static char *vmdk_read_desc(BlockNode *bn, GError **errp)
{
    const VmdkState *s = bn->s;

    return read_text(bn->file, s->desc_off, s->desc_room, errp);
}

/* @text with another CID, or NULL when it holds none. */
static char *with_cid(const char *text, uint32_t cid)
{
    const char *p = find_line(text, "CID");

    return p ? g_strdup_printf("%.*s%08x%s", (int)(p - text), text, cid,
                               p + strspn(p, "0123456789abcdefABCDEF"))
             : NULL;
}

/* With the lock, which also makes it once. */
static int touch_cid(BlockNode *bn)
{
    VmdkState *s = bn->s;
    uint32_t cid = g_random_int_range(0, G_MAXINT32) + 1u;
    g_autofree char *old = vmdk_read_desc(bn, NULL), *text = NULL;
    int ret;

    text = old ? with_cid(old, cid) : NULL;
    if (!text) {
        return old ? 0 : -EIO; /* a bare extent without descriptor */
    }
    if (s->desc_room && strlen(text) > s->desc_room) {
        return -ENOSPC;
    }
    ret = block_pwrite(bn->file, s->desc_off, text, strlen(text));
    if (ret == 0) {
        s->cid = cid;
    }
    return ret;
}

int vmdk_touch_cid(BlockNode *bn)
{
    VmdkState *s = bn->s;
    int ret = 0;

    if (g_atomic_int_get(&s->cid_fresh)) {
        return 0;
    }
    g_mutex_lock(&s->lock);
    if (!g_atomic_int_get(&s->cid_fresh)) {
        ret = touch_cid(bn);
        g_atomic_int_set(&s->cid_fresh, ret == 0);
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

static bool parse_desc(BlockNode *bn, const char *desc, GError **errp)
{
    VmdkState *s = bn->s;
    g_autofree char *type = vmdk_desc_value(desc, "createType");
    g_autofree char *parent = vmdk_desc_value(desc, "parentFileNameHint");

    if (!type) {
        error_setg(errp, "invalid VMDK image descriptor");
        return false;
    }
    g_strlcpy(s->create_type, type, sizeof(s->create_type));
    s->cid = s->parent_cid = VMDK_NO_CID;
    if (!desc_hex(desc, "CID", &s->cid) ||
        !desc_hex(desc, "parentCID", &s->parent_cid)) {
        error_setg(errp, "the VMDK descriptor has no CID or no parentCID");
        return false;
    }
    if (parent && parent[0] && s->parent_cid != VMDK_NO_CID) {
        bn->backing_name = g_steal_pointer(&parent);
        bn->backing_fmt = g_strdup("vmdk"); /* no other has a CID */
    }
    return true;
}

/* ---- extents -------------------------------------------------------------------- */

static VmdkExtent *add_extent(VmdkState *s, BlockNode *file, GError **errp)
{
    VmdkExtent *e;
    uint64_t start = 0;

    if (s->n >= VMDK_MAX_EXTENTS) {
        error_setg(errp, "more than %d extents", VMDK_MAX_EXTENTS);
        return NULL;
    }
    if (s->n) {
        start = s->extents[s->n - 1].start + s->extents[s->n - 1].size;
    }
    s->extents = g_renew(VmdkExtent, s->extents, s->n + 1);
    e = &s->extents[s->n++];
    memset(e, 0, sizeof(*e));
    e->file = file;
    e->start = start;
    return e;
}

static bool set_size(VmdkExtent *e, uint64_t sectors, GError **errp)
{
    if (sectors > INT64_MAX / VMDK_SECTOR ||
        sectors * VMDK_SECTOR > INT64_MAX - e->start) {
        error_setg(errp, "the extent claims %" PRIu64 " sectors", sectors);
        return false;
    }
    e->size = sectors * VMDK_SECTOR;
    return true;
}

static uint32_t *read_directory(const VmdkExtent *e, uint64_t off,
                                const char *what, GError **errp)
{
    uint64_t len = (uint64_t)e->gds * 4;
    uint32_t *gd;
    int ret;

    if (off > e->file->size || len > e->file->size - off) {
        error_setg(errp,
                   "Could not read %s table from extent '%s': it is to be at "
                   "%" PRIu64 ", where the file ends",
                   what, e->file->filename, off);
        return NULL;
    }
    gd = g_try_malloc(MAX(len, 4));
    if (!gd) {
        error_setg(errp,
                   "a directory of %" PRIu32 " tables needs too much "
                   "memory",
                   e->gds);
        return NULL;
    }
    ret = block_pread(e->file, off, gd, len);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read %s table from extent '%s'",
                         what, e->file->filename);
        g_free(gd);
        return NULL;
    }
    for (uint32_t i = 0; i < e->gds; i++) {
        gd[i] = GUINT32_FROM_LE(gd[i]);
    }
    return gd;
}

/* What both headers say: the grain's size and the directory's. */
static bool set_tables(VmdkExtent *e, uint64_t grain_sectors, uint32_t gtes,
                       GError **errp)
{
    uint64_t reach, n;

    if (!grain_sectors || grain_sectors > VMDK_MAX_GRAIN / VMDK_SECTOR ||
        (e->compressed && grain_sectors > VMDK_MAX_PACKED / VMDK_SECTOR)) {
        error_setg(errp, "Invalid granularity, image may be corrupt");
        return false;
    }
    e->grain = (uint32_t)(grain_sectors * VMDK_SECTOR);
    e->gtes = gtes;
    reach = (uint64_t)e->grain * gtes; /* at most 2^30 * 2^12 */
    n = e->size / reach + (e->size % reach != 0);
    if (n > VMDK_MAX_GD) {
        error_setg(errp, "L1 size too big");
        return false;
    }
    e->gds = (uint32_t)n;
    e->gd = read_directory(e, e->gd_off, "l1", errp);
    if (!e->gd) {
        return false;
    }
    if (e->rgd_off) {
        e->rgd = read_directory(e, e->rgd_off, "l1 backup", errp);
    }
    return !e->rgd_off || e->rgd;
}

/* The header behind the data, where "streamOptimized" writers leave it. */
static bool read_footer(BlockNode *file, uint8_t *h, GError **errp)
{
    uint8_t f[3 * VMDK_SECTOR]; /* marker, header, end of stream */
    const uint8_t *eos = f + 2 * VMDK_SECTOR;

    if (file->size < sizeof(f) ||
        block_pread(file, file->size - sizeof(f), f, sizeof(f)) < 0) {
        error_setg(errp, "Failed to read footer");
        return false;
    }
    /* marker: value, size, type; 3 is a footer, 0 the end */
    if (memcmp(f + VMDK_SECTOR, "KDMV", 4) != 0 || ld_le32(f + 8) != 0 ||
        ld_le32(f + 12) != 3 || ld_le64(eos) != 0 || ld_le32(eos + 8) != 0 ||
        ld_le32(eos + 12) != 0) {
        error_setg(errp, "the VMDK footer is invalid");
        return false;
    }
    memcpy(h, f + VMDK_SECTOR, VMDK_HEADER);
    if (ld_le64(h + K_GD) == VMDK_GD_AT_END) {
        error_setg(errp, "the VMDK footer names no grain directory");
        return false;
    }
    return true;
}

static bool sectors_to_bytes(uint64_t v, uint64_t *out, const char *what,
                             GError **errp)
{
    if (v > INT64_MAX / VMDK_SECTOR) {
        error_setg(errp, "the VMDK header's %s is at sector 0x%" PRIx64, what,
                   v);
        return false;
    }
    *out = v * VMDK_SECTOR;
    return true;
}

static bool check_kdmv(BlockNode *bn, const BlockNode *file, const uint8_t *h,
                       GError **errp)
{
    uint32_t version = ld_le32(h + K_VERSION), gtes = ld_le32(h + K_GTES);
    bool deflate = ld_le16(h + K_COMPRESS) == K_DEFLATE;
    uint64_t overhead;

    if (version > 3) {
        error_setg(errp, "Unsupported VMDK version %" PRIu32, version);
    } else if (version == 3 && !deflate && !bn->read_only &&
               !(bn->flags & BLOCK_NO_IO)) {
        /* version 3 says no more than that a change log may have to be kept */
        error_setg(errp, "VMDK version 3 must be read only");
    } else if (ld_le16(h + K_COMPRESS) > K_DEFLATE) {
        error_setg(errp, "VMDK compression %u is not supported",
                   ld_le16(h + K_COMPRESS));
    } else if (gtes > VMDK_GTES) {
        error_setg(errp, "L2 table size too big");
    } else if (!gtes || !ld_le64(h + K_GRAIN)) {
        error_setg(errp, "L1 entry size is invalid");
    } else if (!sectors_to_bytes(ld_le64(h + K_OVERHEAD), &overhead,
                                 "first grain", errp)) {
        return false;
    } else if (file->size < overhead) {
        error_setg(errp, "File truncated, expecting at least %" PRIu64 " bytes",
                   overhead);
    } else {
        return true;
    }
    return false;
}

static bool open_kdmv(BlockNode *bn, BlockNode *file, const uint8_t *first,
                      GError **errp)
{
    uint8_t h[VMDK_HEADER];
    uint32_t flags;
    VmdkExtent *e;

    memcpy(h, first, sizeof(h));
    if (ld_le64(h + K_GD) == VMDK_GD_AT_END && !read_footer(file, h, errp)) {
        return false;
    }
    if (!check_kdmv(bn, file, h, errp)) {
        return false;
    }
    e = add_extent(bn->s, file, errp);
    if (!e) {
        return false;
    }
    flags = ld_le32(h + K_FLAGS);
    e->version = ld_le32(h + K_VERSION);
    e->compressed = ld_le16(h + K_COMPRESS) == K_DEFLATE;
    e->has_marker = flags & K_FLAG_MARKERS;
    e->has_zero_grain = flags & K_FLAG_ZERO_GRAIN;
    return set_size(e, ld_le64(h + K_CAPACITY), errp) &&
           sectors_to_bytes(ld_le64(h + K_OVERHEAD), &e->overhead,
                            "first grain", errp) &&
           sectors_to_bytes(ld_le64(h + K_GD), &e->gd_off, "grain directory",
                            errp) &&
           sectors_to_bytes(flags & K_FLAG_RGD ? ld_le64(h + K_RGD) : 0,
                            &e->rgd_off, "second grain directory", errp) &&
           set_tables(e, ld_le64(h + K_GRAIN), ld_le32(h + K_GTES), errp);
}

/* "COWD": the sparse extents of ESX; all numbers have 32 bits. */
static bool open_cowd(BlockNode *bn, BlockNode *file, const uint8_t *h,
                      GError **errp)
{
    VmdkExtent *e = add_extent(bn->s, file, errp);

    if (!e) {
        return false;
    }
    e->version = 1;
    e->gd_off = (uint64_t)ld_le32(h + 20) * VMDK_SECTOR;
    e->overhead = e->gd_off + (uint64_t)ld_le32(h + 24) * 4;
    return set_size(e, ld_le32(h + 12), errp) &&
           set_tables(e, ld_le32(h + 16), VMDK_COWD_GTES, errp);
}

static int read_head(BlockNode *file, uint8_t *h, GError **errp)
{
    int ret;

    memset(h, 0, VMDK_HEADER);
    ret = block_pread(file, 0, h, MIN(file->size, VMDK_HEADER));
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read header from file '%s'",
                         file->filename);
    }
    return ret;
}

static bool open_sparse(BlockNode *bn, BlockNode *file, GError **errp)
{
    uint8_t h[VMDK_HEADER];

    if (read_head(file, h, errp) < 0) {
        return false;
    }
    if (memcmp(h, "KDMV", 4) == 0) {
        return open_kdmv(bn, file, h, errp);
    }
    if (memcmp(h, "COWD", 4) == 0) {
        return open_cowd(bn, file, h, errp);
    }
    error_setg(errp, "Image not in VMDK format");
    return false;
}

/* ---- extents of a descriptor ------------------------------------------------------- */

typedef struct ExtentLine {
    char access[10], type[16], name[512];
    uint64_t sectors, off;
    int fields;
} ExtentLine;

/* RW 4192256 SPARSE "disk-s001.vmdk"; RW 4096 FLAT "disk-flat.vmdk" 0 */
static bool parse_line(const char *p, ExtentLine *l)
{
    memset(l, 0, sizeof(*l));
    l->fields = sscanf(p, "%9s %" SCNu64 " %15s \"%511[^\n\r\"]\" %" SCNu64,
                       l->access, &l->sectors, l->type, l->name, &l->off);
    return strcmp(l->access, "RW") == 0 || strcmp(l->access, "RDONLY") == 0 ||
           strcmp(l->access, "NOACCESS") == 0;
}

static bool line_valid(const ExtentLine *l, const char *p, GError **errp)
{
    bool flat = strcmp(l->type, "FLAT") == 0, known;

    if (strcmp(l->type, "ZERO") == 0 && l->fields >= 3) {
        return true;
    }
    known = flat || strcmp(l->type, "VMFS") == 0 ||
            strcmp(l->type, "SPARSE") == 0 ||
            strcmp(l->type, "VMFSSPARSE") == 0;
    if (l->fields < 4 || (flat && l->fields != 5) || !l->sectors ||
        l->off > INT64_MAX / VMDK_SECTOR) {
        error_setg(errp, "Invalid extent line: %.*s", (int)strcspn(p, "\r\n"),
                   p);
    } else if (strcmp(l->access, "RW") != 0) {
        error_setg(errp, "extent '%s' is %s: only RW is supported", l->name,
                   l->access);
    } else if (!known) {
        error_setg(errp, "extent '%s': type %s is not supported", l->name,
                   l->type);
    } else {
        return true;
    }
    return false;
}

static BlockNode *open_extent_file(BlockNode *bn, const char *name,
                                   GError **errp)
{
    const BlockDriver *proto;
    g_autofree char *path = NULL;

    if (name[0] != '/' && !block_has_protocol(name) &&
        g_str_has_prefix(bn->file->filename, "json:")) {
        error_setg(errp,
                   "Cannot use relative paths with VMDK descriptor file '%s'",
                   bn->file->filename);
        return NULL;
    }
    path = block_combine_path(bn->file->filename, name);
    proto = block_find_protocol(path, errp);
    if (!proto) {
        return NULL;
    }
    if (bn->flags & BLOCK_TEMPORARY) {
        error_setg(errp, "a temporary image must be one file");
        return NULL;
    }
    return block_open(path, proto->name, NULL,
                      bn->file->read_only ? bn->file->flags & ~BLOCK_RDWR
                                          : bn->file->flags,
                      errp);
}

static bool open_flat(BlockNode *bn, BlockNode *file, const ExtentLine *l,
                      GError **errp)
{
    VmdkExtent *e = add_extent(bn->s, file, errp);

    if (!e) {
        return false;
    }
    e->flat = true;
    e->flat_off = l->off * VMDK_SECTOR;
    e->version = 1;
    return set_size(e, l->sectors, errp);
}

static bool open_line(BlockNode *bn, const ExtentLine *l, GError **errp)
{
    VmdkState *s = bn->s;
    unsigned before = s->n;
    BlockNode *file;
    bool ok;

    if (strcmp(l->type, "ZERO") == 0) {
        if (!open_flat(bn, NULL, l, errp)) {
            return false;
        }
        s->extents[s->n - 1].zero = true;
        return true;
    }
    file = open_extent_file(bn, l->name, errp);
    if (!file) {
        return false;
    }
    ok = strcmp(l->type, "FLAT") == 0 || strcmp(l->type, "VMFS") == 0
             ? open_flat(bn, file, l, errp)
             : open_sparse(bn, file, errp);
    if (s->n == before) {
        block_close(file, NULL);
        return ok;
    }
    s->extents[s->n - 1].own_file = true;
    g_strlcpy(s->extents[s->n - 1].type, l->type, 16);
    return ok;
}

static bool open_lines(BlockNode *bn, const char *desc, GError **errp)
{
    VmdkState *s = bn->s;
    ExtentLine l;

    for (const char *p = desc; p; p = strchr(p, '\n')) {
        char line[LINE_MAX_LEN + 1] = "";

        p += *p == '\n';
        /* a copy: sscanf() looks for the end of its text each time */
        memcpy(line, p, MIN(strcspn(p, "\n"), LINE_MAX_LEN));
        if (!parse_line(line, &l)) {
            continue;
        }
        if (!line_valid(&l, line, errp) || !open_line(bn, &l, errp)) {
            return false;
        }
    }
    if (!s->n) {
        error_setg(errp, "the VMDK descriptor names no extent");
        return false;
    }
    return true;
}

static bool open_descriptor(BlockNode *bn, const char *desc, GError **errp)
{
    static const char *const known[] = {
        "monolithicFlat",     "vmfs", "vmfsSparse", "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat", NULL
    };
    VmdkState *s = bn->s;

    if (!parse_desc(bn, desc, errp)) {
        return false;
    }
    if (!g_strv_contains(known, s->create_type)) {
        error_setg(errp, "Unsupported image type '%s'", s->create_type);
        return false;
    }
    return open_lines(bn, desc, errp);
}

/* One file: header, descriptor, grains. */
static bool open_monolithic(BlockNode *bn, const uint8_t *h, GError **errp)
{
    VmdkState *s = bn->s;
    g_autofree char *desc = NULL, *type = NULL;
    uint64_t room = ld_le64(h + K_DESC_SIZE);

    g_strlcpy(s->create_type, "monolithicSparse", sizeof(s->create_type));
    s->cid = s->parent_cid = VMDK_NO_CID;
    if (memcmp(h, "KDMV", 4) == 0 && ld_le64(h + K_DESC)) {
        if (!sectors_to_bytes(ld_le64(h + K_DESC), &s->desc_off, "descriptor",
                              errp)) {
            return false;
        }
        room = MIN(room, VMDK_DESC_MAX / VMDK_SECTOR) * VMDK_SECTOR;
        s->desc_room = (uint32_t)(room ? room : VMDK_SECTOR);
        desc = vmdk_read_desc(bn, errp);
        if (!desc) {
            return false;
        }
        type = vmdk_desc_value(desc, "createType");
        if (!ld_le64(h + K_CAPACITY) && type) {
            return open_descriptor(bn, desc, errp);
        }
        if (!parse_desc(bn, desc, errp)) {
            return false;
        }
    } else {
        /* An extent of a set, looked at by itself: nothing to update. */
        s->cid_fresh = 1;
    }
    return open_sparse(bn, bn->file, errp);
}

bool vmdk_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    VmdkState *s = bn->s;
    uint8_t h[VMDK_HEADER];
    bool ok;

    if (bn->file->size < 4) {
        error_setg(errp, "File is too small, not a valid image");
        return false;
    }
    if (read_head(bn->file, h, errp) < 0) {
        return false;
    }
    g_mutex_init(&s->lock);
    if (memcmp(h, "KDMV", 4) == 0 || memcmp(h, "COWD", 4) == 0) {
        ok = open_monolithic(bn, h, errp);
    } else {
        g_autofree char *desc = vmdk_read_desc(bn, errp);

        ok = desc && open_descriptor(bn, desc, errp);
    }
    if (!ok) {
        vmdk_close(bn);
        return false;
    }
    bn->size = s->extents[s->n - 1].start + s->extents[s->n - 1].size;
    return true;
}

void vmdk_close(BlockNode *bn)
{
    VmdkState *s = bn->s;

    for (unsigned i = 0; i < s->n; i++) {
        VmdkExtent *e = &s->extents[i];

        for (unsigned k = 0; k < VMDK_CACHED; k++) {
            g_free(e->cache[k].gte);
        }
        g_free(e->gd);
        g_free(e->rgd);
        if (e->own_file) {
            block_close(e->file, NULL);
        }
    }
    g_free(s->extents);
    s->extents = NULL;
    s->n = 0;
    g_mutex_clear(&s->lock);
}
