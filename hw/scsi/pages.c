/*
 * What a disk or CD-ROM drive says of itself: INQUIRY and its pages, mode pages,
 * capacity. SPC-4 6.6, 7.5, 7.8; SBC-3 6.5, 6.6; MMC-6 7.
 */
#include "util/osdep.h"
#include "hw/scsi/disk.h"
#include "util/bits.h"

enum {
    INQUIRY_SIZE = 36,
    ANSWER_MAX = 256,
    READ_CAPACITY_16 = 0x10,
    PAGE_ALL = 0x3f,
    DPOFUA = 0x10,
    WRITE_PROTECT = 0x80,
    WCE = 0x04,
    MODE_SELECT_PF = 0x10,
    MODE_SELECT_SP = 0x01,
    CACHING = 0x08,
};

/* Mode sense, PC field. */
enum { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED };

/* ---- INQUIRY ------------------------------------------------------------------ */

/* Left-aligned, blanks behind. */
static void put_text(uint8_t *p, const char *text, size_t len)
{
    memset(p, ' ', len);
    memcpy(p, text, MIN(strlen(text), len));
}

static size_t vpd_pages(const ScsiDisk *s, uint8_t *p);

static size_t vpd_serial(const ScsiDisk *s, uint8_t *p)
{
    size_t n = s->serial ? strlen(s->serial) : 0;

    memcpy(p, s->serial ? s->serial : "", n);
    return n;
}

static size_t vpd_identification(const ScsiDisk *s, uint8_t *p)
{
    size_t n = strlen(s->device_id), at = 0;

    if (n) { /* ASCII, vendor specific */
        p[0] = 2;
        p[3] = (uint8_t)n;
        memcpy(p + 4, s->device_id, n);
        at = 4 + n;
    }
    if (s->wwn) { /* binary, NAA */
        p[at] = 1;
        p[at + 1] = 3;
        p[at + 3] = 8;
        st_be64(p + at + 4, s->wwn);
        at += 12;
    }
    return at;
}

static size_t vpd_limits(const ScsiDisk *s, uint8_t *p)
{
    uint32_t unit = s->discard_granularity / s->logical;

    p[0] = 1; /* WSNZ */
    st_be16(p + 2, (uint16_t)MIN(s->min_io / s->logical, UINT16_MAX));
    st_be32(p + 8, s->opt_io / s->logical);
    if (unit) {
        st_be32(p + 16, UINT32_MAX); /* blocks of an UNMAP */
        st_be32(p + 20, 255);        /* its descriptors */
        st_be32(p + 24, unit);
    }
    return 0x3c;
}

static size_t vpd_characteristics(const ScsiDisk *s, uint8_t *p)
{
    st_be16(p, s->rotation_rate);
    return 0x3c;
}

static size_t vpd_provisioning(const ScsiDisk *s, uint8_t *p)
{
    p[1] = s->discard_granularity ? 0xe0 : 0; /* LBPU, LBPWS, LBPWS10 */
    p[2] = s->discard_granularity ? 2 : 0;    /* thin */
    return 4;
}

typedef struct VpdPage {
    uint8_t code;
    bool only_hd;
    size_t (*put)(const ScsiDisk *s, uint8_t *p); /* behind the header */
} VpdPage;

static const VpdPage vpd_table[] = {
    { 0x00, false, vpd_pages },          { 0x80, false, vpd_serial },
    { 0x83, false, vpd_identification }, { 0xb0, true, vpd_limits },
    { 0xb1, true, vpd_characteristics }, { 0xb2, true, vpd_provisioning },
};

static bool has_page(const ScsiDisk *s, const VpdPage *page)
{
    return !(page->only_hd && s->is_cd) &&
           !(page->put == vpd_serial && !s->serial);
}

static size_t vpd_pages(const ScsiDisk *s, uint8_t *p)
{
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(vpd_table); i++) {
        if (has_page(s, &vpd_table[i])) {
            p[n++] = vpd_table[i].code;
        }
    }
    return n;
}

static uint8_t peripheral_type(const ScsiDisk *s)
{
    return s->is_cd ? SCSI_TYPE_CD : SCSI_TYPE_DISK;
}

static void inquiry_page(ScsiRequest *r, size_t alloc)
{
    const ScsiDisk *s = disk_of(r);
    uint8_t buf[ANSWER_MAX] = { peripheral_type(s), r->cdb[2] };

    for (size_t i = 0; i < G_N_ELEMENTS(vpd_table); i++) {
        if (vpd_table[i].code == r->cdb[2] && has_page(s, &vpd_table[i])) {
            size_t n = vpd_table[i].put(s, buf + 4);

            st_be16(buf + 2, (uint16_t)n);
            scsi_reply(r, buf, 4 + n, alloc);
            return;
        }
    }
    scsi_check(r, SENSE_INVALID_FIELD);
}

void disk_inquiry(ScsiRequest *r)
{
    const ScsiDisk *s = disk_of(r);
    size_t alloc = ld_be16(r->cdb + 3);
    uint8_t buf[INQUIRY_SIZE] = { peripheral_type(s) };

    if (r->cdb[1] & 1) {
        inquiry_page(r, alloc);
        return;
    }
    if (r->cdb[1] & 2 || r->cdb[2]) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    buf[1] = s->is_cd || s->removable ? 0x80 : 0;
    buf[2] = 5;        /* SPC-3 */
    buf[3] = 0x10 | 2; /* HISUP */
    buf[4] = INQUIRY_SIZE - 5;
    buf[7] = 2; /* CMDQUE */
    put_text(buf + 8, s->vendor, 8);
    put_text(buf + 16, s->product, 16);
    put_text(buf + 32, s->ver, 4);
    scsi_reply(r, buf, sizeof(buf), alloc);
}

/* ---- mode pages ---------------------------------------------------------------------- */

static size_t mode_recovery(const ScsiDisk *s, uint8_t *p)
{
    p[0] = 0x80; /* AWRE */
    p[1] = s->is_cd ? 0x20 : 0;
    return 10;
}

static size_t mode_geometry(const ScsiDisk *s, uint8_t *p)
{
    uint64_t cylinders = CLAMP(disk_blocks(s) / (16 * 63), 2, 0xffffff);

    st_be32(p, (uint32_t)cylinders << 8);
    p[3] = 16;
    st_be16(p + 18, s->rotation_rate > 1 ? s->rotation_rate : 5400);
    return 22;
}

static size_t mode_caching(const ScsiDisk *s, uint8_t *p)
{
    p[0] = s->writeback ? WCE : 0;
    return 18;
}

/* It reads CD-R, CD-RW and DVDs, and has a tray that can be locked. */
static size_t mode_capabilities(const ScsiDisk *s, uint8_t *p)
{
    p[0] = 0x3b;
    p[2] = 0x7f;
    p[3] = 0xff;
    p[4] = (uint8_t)(0x2d | (s->locked ? 2 : 0));
    st_be16(p + 6, 50 * 176); /* kB/s */
    st_be16(p + 8, 2);
    st_be16(p + 10, 2048); /* KiB of cache */
    st_be16(p + 12, 16 * 176);
    st_be16(p + 16, 16 * 176);
    st_be16(p + 18, 16 * 176);
    return 20;
}

typedef struct ModePage {
    uint8_t code;
    bool hd, cd;
    size_t (*put)(const ScsiDisk *s, uint8_t *p); /* behind its 2 bytes */
} ModePage;

static const ModePage mode_table[] = {
    { 0x01, true, true, mode_recovery },
    { 0x04, true, false, mode_geometry },
    { CACHING, true, true, mode_caching },
    { 0x2a, false, true, mode_capabilities },
};

static size_t put_mode_page(const ScsiDisk *s, const ModePage *page,
                            unsigned pc, uint8_t *p)
{
    ScsiDisk standard = *s;
    size_t n;

    standard.writeback = s->saved_writeback;
    n = page->put(pc == PC_DEFAULT ? &standard : s, p + 2);
    if (pc == PC_CHANGEABLE) {
        memset(p + 2, 0, n);
        p[2] = page->code == CACHING ? WCE : 0;
    }
    p[0] = page->code;
    p[1] = (uint8_t)n;
    return 2 + n;
}

/* All of those that @code means. 0: there is none. */
static size_t put_mode_pages(const ScsiDisk *s, unsigned code, unsigned pc,
                             uint8_t *p)
{
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(mode_table); i++) {
        const ModePage *page = &mode_table[i];

        if ((code == PAGE_ALL || code == page->code) &&
            (s->is_cd ? page->cd : page->hd)) {
            n += put_mode_page(s, page, pc, p + n);
        }
    }
    return n;
}

static size_t put_block_descriptor(const ScsiDisk *s, uint8_t *p)
{
    uint64_t blocks = disk_blocks(s);

    st_be32(p, blocks > 0xffffff ? 0 : (uint32_t)blocks);
    st_be32(p + 4, s->logical & 0xffffff);
    return 8;
}

static uint8_t device_specific(const ScsiDisk *s)
{
    return (uint8_t)((s->dpofua ? DPOFUA : 0) |
                     (!s->is_cd && blk_read_only(s->blk) ? WRITE_PROTECT : 0));
}

void disk_mode_sense(ScsiRequest *r)
{
    const ScsiDisk *s = disk_of(r);
    bool form6 = r->cdb[0] == 0x1a, descriptor = !(r->cdb[1] & 8);
    unsigned code = r->cdb[2] & 0x3f, pc = r->cdb[2] >> 6;
    size_t head = form6 ? 4 : 8, n = head, pages;
    uint8_t buf[ANSWER_MAX] = { 0 };

    if (pc == PC_SAVED) {
        scsi_check(r, SENSE_NO_SAVED_PARAM);
        return;
    }
    descriptor = descriptor && !s->is_cd && disk_ready(s);
    if (descriptor) {
        n += put_block_descriptor(s, buf + n);
    }
    pages = put_mode_pages(s, code, pc, buf + n);
    if ((!pages && code) || (r->cdb[3] && r->cdb[3] != 0xff)) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    n += pages;
    if (form6) {
        buf[0] = (uint8_t)(n - 1);
        buf[2] = device_specific(s);
        buf[3] = descriptor ? 8 : 0;
    } else {
        st_be16(buf, (uint16_t)(n - 2));
        buf[3] = device_specific(s);
        st_be16(buf + 6, descriptor ? 8 : 0);
    }
    scsi_reply(r, buf, n, form6 ? r->cdb[4] : ld_be16(r->cdb + 7));
}

/* The page at @p is one we have, and differs where it may. */
static bool page_is_ok(const ScsiDisk *s, const uint8_t *p, size_t len)
{
    uint8_t now[ANSWER_MAX] = { 0 }, mask[ANSWER_MAX] = { 0 };
    size_t n = put_mode_pages(s, p[0] & 0x3f, PC_CURRENT, now);

    if ((p[0] & 0x3f) == PAGE_ALL || !n || n > len || n != 2 + (size_t)p[1]) {
        return false;
    }
    put_mode_pages(s, p[0] & 0x3f, PC_CHANGEABLE, mask);
    for (size_t i = 2; i < n; i++) {
        if ((p[i] ^ now[i]) & ~mask[i]) {
            return false;
        }
    }
    return true;
}

/* First all are looked at, then (@apply) they count. */
static bool walk_pages(ScsiDisk *s, const uint8_t *p, size_t len, bool apply)
{
    while (len) {
        size_t n;

        if (len < 2 || p[0] & 0x40 || !page_is_ok(s, p, len)) {
            return false;
        }
        if (apply && (p[0] & 0x3f) == CACHING) {
            disk_set_writeback(s, p[2] & WCE);
        }
        n = 2 + (size_t)p[1];
        p += n;
        len -= n;
    }
    return true;
}

/* Where the pages begin; 0: the header or the block descriptor is bad. */
static size_t skip_mode_header(const ScsiDisk *s, const uint8_t *p, size_t len,
                               bool form6)
{
    size_t head = form6 ? 4 : 8, n;

    if (len < head) {
        return 0;
    }
    n = form6 ? p[3] : ld_be16(p + 6);
    if ((n && n != 8) || n > len - head) {
        return 0;
    }
    if (n && (ld_be32(p + head + 4) & 0xffffff) != s->logical) {
        return 0;
    }
    return head + n;
}

void disk_mode_select(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);
    bool form6 = r->cdb[0] == 0x15;
    size_t len = form6 ? r->cdb[4] : ld_be16(r->cdb + 7), at;
    bool before = s->writeback;

    if ((r->cdb[1] & (MODE_SELECT_PF | MODE_SELECT_SP)) != MODE_SELECT_PF) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (!len) {
        scsi_end(r, SCSI_GOOD);
        return;
    }
    if (!scsi_take_params(r, len)) {
        return;
    }
    at = skip_mode_header(s, r->buffer, len, form6);
    if (!at) {
        scsi_check(r, SENSE_PARAMETER_LENGTH);
    } else if (!walk_pages(s, r->buffer + at, len - at, false)) {
        scsi_check(r, SENSE_INVALID_PARAM);
    } else {
        walk_pages(s, r->buffer + at, len - at, true);
        if (before && !s->writeback && disk_ready(s)) {
            disk_submit(r, BLK_FLUSH, 0, 0, 0, NULL);
        } else {
            scsi_end(r, SCSI_GOOD);
        }
    }
}

/* ---- capacity ------------------------------------------------------------------------------ */

/* A disk without a single block has no last one. */
static bool last_block(ScsiRequest *r, uint64_t *last)
{
    uint64_t blocks = disk_blocks(disk_of(r));

    *last = blocks - 1;
    if (!blocks) {
        scsi_check(r, SENSE_NO_MEDIUM);
    }
    return blocks > 0;
}

void disk_read_capacity(ScsiRequest *r)
{
    const ScsiDisk *s = disk_of(r);
    uint8_t buf[8];
    uint64_t last;

    if (!(r->cdb[8] & 1) && ld_be32(r->cdb + 2)) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (last_block(r, &last)) {
        st_be32(buf, (uint32_t)MIN(last, UINT32_MAX));
        st_be32(buf + 4, s->logical);
        scsi_reply(r, buf, sizeof(buf), sizeof(buf));
    }
}

void disk_service_in(ScsiRequest *r)
{
    const ScsiDisk *s = disk_of(r);
    uint8_t buf[32] = { 0 };
    uint64_t last;

    if ((r->cdb[1] & 31) != READ_CAPACITY_16) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (last_block(r, &last)) {
        st_be64(buf, last);
        st_be32(buf + 8, s->logical);
        buf[13] = (uint8_t)__builtin_ctz(s->physical / s->logical);
        buf[14] = s->discard_granularity && !s->is_cd ? 0x80 : 0; /* LBPME */
        scsi_reply(r, buf, sizeof(buf), ld_be32(r->cdb + 10));
    }
}
