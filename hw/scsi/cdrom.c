/*
 * Commands that only CD-ROM drives have: one track, one session, read only.
 * MMC-6 6.5, 6.6, 6.23, 6.26.
 */
#include "util/osdep.h"
#include "hw/scsi/disk.h"
#include "util/bits.h"

enum {
    DATA_TRACK = 0x14, /* ADR 1, CONTROL: data */
    LEAD_OUT = 0xaa,
    PROFILE_CD = 0x08,
    PROFILE_DVD = 0x10,
    CD_BLOCKS_MAX = 80 * 60 * 75 + 1, /* larger: a DVD */
    CLASS_MEDIA = 4,
    TRAY_OPEN = 1,
    MEDIA_PRESENT = 2,
};

/* ---- table of contents ----------------------------------------------------------- */

/* A place as a number of blocks, or as 0, minute, second, frame. */
static void put_place(uint8_t *p, uint64_t lba, bool msf)
{
    uint64_t frames = lba + 150;

    st_be32(p, (uint32_t)lba);
    if (msf) {
        p[0] = 0;
        p[1] = (uint8_t)MIN(frames / 75 / 60, 255);
        p[2] = (uint8_t)(frames / 75 % 60);
        p[3] = (uint8_t)(frames % 75);
    }
}

static size_t put_track(uint8_t *p, uint8_t track, uint64_t lba, bool msf)
{
    p[1] = DATA_TRACK;
    p[2] = track;
    put_place(p + 4, lba, msf);
    return 8;
}

static size_t toc_tracks(const ScsiDisk *s, uint8_t *p, unsigned first,
                         bool msf)
{
    size_t n = 0;

    if (first <= 1) {
        n += put_track(p, 1, 0, msf);
    }
    return n + put_track(p + n, LEAD_OUT, disk_blocks(s), msf);
}

/* Entries of 11 bytes: first and last track, lead-out, track 1. */
static size_t toc_full(const ScsiDisk *s, uint8_t *p)
{
    static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(points); i++, p += 11) {
        p[0] = 1; /* session */
        p[1] = DATA_TRACK;
        p[3] = points[i];
        if (points[i] == 0xa2 || points[i] == 1) {
            put_place(p + 7, points[i] == 1 ? 0 : disk_blocks(s), true);
        } else {
            p[8] = 1;
        }
    }
    return 11 * G_N_ELEMENTS(points);
}

void cd_read_toc(ScsiRequest *r)
{
    const ScsiDisk *s = disk_of(r);
    bool msf = r->cdb[1] & 2;
    unsigned format = r->cdb[2] & 15, first = r->cdb[6];
    uint8_t buf[64] = { 0 };
    size_t n = 4;

    if (!format) {
        format = r->cdb[9] >> 6; /* where old drivers put it */
    }
    if (format > 2 || (!format && first > 1 && first != LEAD_OUT)) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (format == 0) {
        n += toc_tracks(s, buf + 4, first, msf);
    } else if (format == 1) {
        n += put_track(buf + 4, 1, 0, msf);
    } else {
        n += toc_full(s, buf + 4);
    }
    st_be16(buf, (uint16_t)(n - 2));
    buf[2] = buf[3] = 1;
    scsi_reply(r, buf, n, ld_be16(r->cdb + 7));
}

/* ---- what it is ---------------------------------------------------------------------- */

static uint16_t current_profile(const ScsiDisk *s)
{
    if (!disk_ready(s)) {
        return 0;
    }
    return disk_blocks(s) < CD_BLOCKS_MAX ? PROFILE_CD : PROFILE_DVD;
}

/* Features 0 (profiles), 1 (core), 3 (removable). */
void cd_get_configuration(ScsiRequest *r)
{
    /* clang-format off */
    static const uint8_t features[] = {
        0, 0, 0x03, 8,  0, PROFILE_DVD, 0, 0,  0, PROFILE_CD, 0, 0,
        0, 1, 0x0b, 8,  0, 0, 0, 1,  1, 0, 0, 0, /* physical interface: SCSI */
        0, 3, 0x07, 4,  0x29, 0, 0, 0,           /* a tray that can be locked */
    };
    /* clang-format on */
    uint16_t profile = current_profile(disk_of(r));
    uint8_t buf[8 + sizeof(features)] = { 0 };

    st_be32(buf, sizeof(buf) - 4);
    st_be16(buf + 6, profile);
    memcpy(buf + 8, features, sizeof(features));
    buf[8 + 6] = profile == PROFILE_DVD;
    buf[8 + 10] = profile == PROFILE_CD;
    scsi_reply(r, buf, sizeof(buf), ld_be16(r->cdb + 7));
}

void cd_read_disc_information(ScsiRequest *r)
{
    uint8_t buf[34] = { 0 };

    if (r->cdb[1] & 7) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    st_be16(buf, sizeof(buf) - 2);
    buf[2] = 0x0e; /* complete, last session complete */
    buf[3] = buf[4] = buf[5] = buf[6] = 1;
    buf[7] = 0x20; /* unrestricted use */
    scsi_reply(r, buf, sizeof(buf), ld_be16(r->cdb + 7));
}

void cd_mechanism_status(ScsiRequest *r)
{
    uint8_t buf[8] = { 0 };

    buf[1] = disk_of(r)->tray_open ? 0x10 : 0;
    buf[5] = 1; /* one slot */
    scsi_reply(r, buf, sizeof(buf), ld_be16(r->cdb + 8));
}

/* ---- events ------------------------------------------------------------------------------ */

void cd_get_event_status(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);
    uint8_t buf[8] = { 0, 2, 0x80, 1 << CLASS_MEDIA };
    size_t n = 4;

    if (!(r->cdb[1] & 1)) { /* only polled */
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (r->cdb[4] & 1 << CLASS_MEDIA) {
        n = 8;
        buf[1] = 6;
        buf[2] = CLASS_MEDIA;
        buf[4] = s->event;
        buf[5] = (uint8_t)((s->tray_open ? TRAY_OPEN : 0) |
                           (disk_ready(s) ? MEDIA_PRESENT : 0));
        s->event = 0;
    }
    scsi_reply(r, buf, n, ld_be16(r->cdb + 7));
}
