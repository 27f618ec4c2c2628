/*
 * UNMAP and WRITE SAME: commands whose one block or list stands for many. They
 * go to the block layer in steps, each of which can fail and be tried again.
 */
#include "util/osdep.h"
#include "hw/scsi/disk.h"
#include "util/bits.h"

enum {
    UNMAP_HEADER = 8,
    UNMAP_DESCRIPTOR = 16,
    SAME_NO_DATA = 0x01,     /* NDOB, WRITE SAME(16) */
    SAME_UNMAP = 0x08,       /* UNMAP; 0x10 is ANCHOR */
    SAME_CHUNK = 512 * 1024, /* bytes of copies in one write */
};

/* ---- UNMAP ------------------------------------------------------------------- */

static const uint8_t *unmap_descriptor(const ScsiRequest *r, uint64_t i)
{
    return r->buffer + UNMAP_HEADER + i * UNMAP_DESCRIPTOR;
}

static unsigned unmap_count(const ScsiRequest *r)
{
    return ld_be16(r->buffer + 2) / UNMAP_DESCRIPTOR;
}

/* r->left: descriptors that are done. */
static void unmap_step(ScsiRequest *r)
{
    uint32_t logical = disk_of(r)->logical;
    const uint8_t *d;

    if (r->left == unmap_count(r)) {
        scsi_end(r, SCSI_GOOD);
        return;
    }
    d = unmap_descriptor(r, r->left++);
    disk_submit(r, BLK_DISCARD, ld_be64(d) * logical,
                (uint64_t)ld_be32(d + 8) * logical, 0, unmap_step);
}

/* All of it is looked at before any of it is done. */
void disk_unmap(ScsiRequest *r)
{
    size_t len = ld_be16(r->cdb + 7);

    if (r->cdb[1] & 1) { /* ANCHOR */
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (len < UNMAP_HEADER) {
        if (len) {
            scsi_check(r, SENSE_PARAMETER_LENGTH);
        } else {
            scsi_end(r, SCSI_GOOD);
        }
        return;
    }
    if (!scsi_take_params(r, len)) {
        return;
    }
    if (ld_be16(r->buffer + 2) > len - UNMAP_HEADER ||
        ld_be16(r->buffer + 2) % UNMAP_DESCRIPTOR) {
        scsi_check(r, SENSE_PARAMETER_LENGTH);
        return;
    }
    for (unsigned i = 0; i < unmap_count(r); i++) {
        const uint8_t *d = unmap_descriptor(r, i);

        if (!disk_check_range(r, ld_be64(d), ld_be32(d + 8))) {
            return;
        }
    }
    r->left = 0;
    unmap_step(r);
}

/* ---- WRITE SAME ----------------------------------------------------------------- */

static bool all_zero(const uint8_t *p, size_t len)
{
    return !p[0] && !memcmp(p, p + 1, len - 1);
}

/* r->left: bytes from r->off + r->len on; r->slice[0] has the copies. */
static void same_step(ScsiRequest *r)
{
    uint64_t off = r->off + r->len, n;

    n = MIN(r->left, MAX(SAME_CHUNK, disk_of(r)->logical));
    if (!n) {
        scsi_end(r, SCSI_GOOD);
        return;
    }
    r->left -= n;
    r->slice->iov_len = n;
    disk_submit(r, BLK_WRITE, off, n, 0, same_step);
}

static void same_copies(ScsiRequest *r, uint64_t off, uint64_t len)
{
    uint32_t logical = disk_of(r)->logical;
    size_t chunk = MIN(len, MAX(SAME_CHUNK, logical));
    uint8_t *copies = g_malloc(chunk);

    for (size_t at = 0; at < chunk; at += logical) {
        memcpy(copies + at, r->buffer, logical);
    }
    g_free(r->buffer);
    r->buffer = copies;
    r->slice = g_new(struct iovec, 1);
    r->slice->iov_base = copies;
    r->iov = r->slice;
    r->n = 1;
    r->off = off;
    r->len = 0;
    r->left = len;
    same_step(r);
}

void disk_write_same(ScsiRequest *r)
{
    uint32_t logical = disk_of(r)->logical;
    bool form16 = r->cdb[0] == 0x93, no_data = form16 && r->cdb[1] & 1;
    uint64_t lba = form16 ? ld_be64(r->cdb + 2) : ld_be32(r->cdb + 2);
    uint64_t blocks = form16 ? ld_be32(r->cdb + 10) : ld_be16(r->cdb + 7);
    unsigned allowed = SAME_UNMAP | (form16 ? SAME_NO_DATA : 0);

    if (r->cdb[1] & ~allowed || !blocks) { /* WSNZ: as page b0h says */
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (!disk_check_range(r, lba, blocks)) {
        return;
    }
    if (!no_data && !scsi_take_params(r, logical)) {
        return;
    }
    if (no_data || all_zero(r->buffer, logical)) {
        disk_submit(r, BLK_ZERO, lba * logical, blocks * logical,
                    r->cdb[1] & SAME_UNMAP ? ZERO_MAY_UNMAP : 0, NULL);
        return;
    }
    same_copies(r, lba * logical, blocks * logical);
}
