/*
 * vhdx: playing back the log that a crash left. Microsoft, [MS-VHDX], 2.3.
 *
 * The log is a ring of entries, each whole sectors long with a sum over all of
 * it. Those that matter form the chain of consecutive numbers whose last entry,
 * the head, has the highest number and names as its tail an entry of the same
 * chain. From tail to head each descriptor puts a sector, or zeroes, into the
 * file.
 *
 * Everything is checked before anything is written: a log that is wrong leaves
 * the image as it is. It comes from outside: its size, and how many bytes of
 * overlapping entries are summed up, are bounded.
 */
#include "util/osdep.h"
#include "block/format.h"
#include "block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"

enum {
    SECTOR = VHDX_LOG_SECTOR,
    LOG_MAX = 64 << 20,
    SUM_MAX = 16, /* times the log's length */
    ENTRY_HEAD = 64,
    DESC_LEN = 32,
};

typedef struct Entry {
    uint32_t len; /* 0: there is none in this sector */
    uint32_t tail, descs;
    uint64_t seq, flushed, last;
    bool seen; /* in a chain */
} Entry;

typedef struct Log {
    BlockNode *bn;
    uint8_t *bytes; /* twice, so that an entry never wraps */
    uint64_t len, sectors;
    Entry *entry; /* of each sector */
} Log;

static void log_clear(Log *l)
{
    g_free(l->bytes);
    g_free(l->entry);
}

static bool damaged(const Log *l, const char *what, GError **errp)
{
    error_setg(errp, "the log of VHDX image '%s' is damaged: %s",
               l->bn->filename, what);
    return false;
}

/* ---- reading ------------------------------------------------------------------- */

static bool log_load(Log *l, uint64_t off, uint64_t len, GError **errp)
{
    int ret;

    if (!len || len > LOG_MAX || len % SECTOR) {
        return damaged(l, "its size", errp);
    }
    l->len = len;
    l->sectors = len / SECTOR;
    l->bytes = g_try_malloc(2 * len);
    l->entry = g_try_new0(Entry, l->sectors);
    if (!l->bytes || !l->entry) {
        error_setg(errp, "not enough memory for the VHDX log");
        return false;
    }
    ret = block_pread(l->bn->file, off, l->bytes, len);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHDX log");
        return false;
    }
    memcpy(l->bytes + len, l->bytes, len);
    return true;
}

static bool sum_right(uint8_t *p, uint32_t len)
{
    uint32_t sum = ld_le32(p + 4), real;

    st_le32(p + 4, 0);
    real = format_crc32c(0, p, len);
    st_le32(p + 4, sum);
    return real == sum;
}

/* The entry that begins in sector @i, if one does; *@budget bytes may still be
 * summed up. */
static void find_entry(Log *l, uint64_t i, const uint8_t *guid,
                       uint64_t *budget)
{
    uint8_t *p = l->bytes + i * SECTOR;
    uint32_t len = ld_le32(p + 8);
    Entry e = { .len = len,
                .tail = ld_le32(p + 12),
                .seq = ld_le64(p + 16),
                .descs = ld_le32(p + 24),
                .flushed = ld_le64(p + 48),
                .last = ld_le64(p + 56) };

    if (memcmp(p, "loge", 4) != 0 || memcmp(p + 32, guid, 16) != 0 || !len ||
        len % SECTOR || len > l->len || len > *budget || !e.seq ||
        e.tail % SECTOR || e.tail >= l->len ||
        e.descs > (len - ENTRY_HEAD) / DESC_LEN) {
        return;
    }
    *budget -= len;
    if (sum_right(p, len)) {
        l->entry[i] = e;
    }
}

static uint64_t next_of(const Log *l, uint64_t i)
{
    return (i + l->entry[i].len / SECTOR) % l->sectors;
}

/* Follows the chain from @start; its last entry, or UINT64_MAX if that one's
 * tail is not in it. */
static uint64_t chain_head(Log *l, uint64_t start)
{
    uint64_t i = start, n = l->entry[start].len / SECTOR;
    bool has_tail = false;

    for (;;) {
        uint64_t next = next_of(l, i);

        l->entry[i].seen = true;
        n += l->entry[next].len / SECTOR;
        if (n > l->sectors || !l->entry[next].len ||
            l->entry[next].seq != l->entry[i].seq + 1) {
            break;
        }
        i = next;
    }
    for (uint64_t k = start;; k = next_of(l, k)) {
        has_tail |= k == l->entry[i].tail / SECTOR;
        if (k == i) {
            return has_tail ? i : UINT64_MAX;
        }
    }
}

/* The head with the highest number; UINT64_MAX: the log is empty. */
static uint64_t find_head(Log *l)
{
    uint64_t best = UINT64_MAX;

    for (uint64_t i = 0; i < l->sectors; i++) {
        uint64_t head;

        if (!l->entry[i].len || l->entry[i].seen) {
            continue;
        }
        head = chain_head(l, i);
        if (head != UINT64_MAX &&
            (best == UINT64_MAX || l->entry[head].seq > l->entry[best].seq)) {
            best = head;
        }
    }
    return best;
}

/* ---- descriptors ------------------------------------------------------------------ */

static int put_sector(Log *l, const uint8_t *desc, const uint8_t *data)
{
    uint8_t buf[SECTOR];

    memcpy(buf, desc + 8, 8); /* leading, the sector's, trailing bytes */
    memcpy(buf + 8, data + 8, SECTOR - 12);
    memcpy(buf + SECTOR - 4, desc + 4, 4);
    return block_pwrite(l->bn->file, ld_le64(desc + 16), buf, SECTOR);
}

/* Checks the descriptors of entry @i, or (@apply) does what they say: 0, or
 * -errno; -EILSEQ: wrong. */
static int entry_run(Log *l, uint64_t i, bool apply)
{
    const Entry *e = &l->entry[i];
    const uint8_t *p = l->bytes + i * SECTOR, *desc = p + ENTRY_HEAD;
    uint64_t at = (ENTRY_HEAD + (uint64_t)e->descs * DESC_LEN + SECTOR - 1) /
                  SECTOR * SECTOR;
    int ret = 0;

    for (uint32_t n = 0; n < e->descs && ret == 0; n++, desc += DESC_LEN) {
        uint64_t off = ld_le64(desc + 16), len = SECTOR;
        bool zero = memcmp(desc, "zero", 4) == 0;

        if ((!zero && memcmp(desc, "desc", 4) != 0) ||
            ld_le64(desc + 24) != e->seq) {
            return -EILSEQ;
        }
        if (zero) {
            len = ld_le64(desc + 8);
        } else if (at > e->len - SECTOR || memcmp(p + at, "data", 4) != 0 ||
                   ld_le32(p + at + 4) != e->seq >> 32 ||
                   ld_le32(p + at + SECTOR - 4) != (uint32_t)e->seq) {
            return -EILSEQ;
        }
        if (off % SECTOR || len % SECTOR || len > e->last ||
            off > e->last - len) {
            return -EILSEQ;
        }
        if (apply) {
            ret = zero ? block_zero(l->bn->file, off, len, ZERO_MAY_UNMAP)
                       : put_sector(l, desc, p + at);
        }
        at += zero ? 0 : SECTOR;
    }
    return ret;
}

static int chain_run(Log *l, uint64_t head, bool apply)
{
    uint64_t i = l->entry[head].tail / SECTOR;
    int ret;

    while ((ret = entry_run(l, i, apply)) == 0 && i != head) {
        i = next_of(l, i);
    }
    return ret;
}

/* Zeroes beyond the end, and what the file had grown to. */
static bool log_apply(Log *l, uint64_t head, GError **errp)
{
    const Entry *e = &l->entry[head];
    int ret;

    if (e->last > l->bn->file->size &&
        !block_resize(l->bn->file, e->last, "off", false, errp)) {
        return false;
    }
    ret = chain_run(l, head, true);
    ret = ret < 0 ? ret : block_flush(l->bn->file);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not play back the VHDX log");
    }
    return ret == 0;
}

bool vhdx_log_replay(BlockNode *bn, uint64_t off, uint64_t len,
                     const uint8_t *guid, GError **errp)
{
    Log l = { .bn = bn };
    uint64_t budget = SUM_MAX * len, head;
    bool ok = log_load(&l, off, len, errp);

    for (uint64_t i = 0; ok && i < l.sectors; i++) {
        find_entry(&l, i, guid, &budget);
    }
    head = ok ? find_head(&l) : UINT64_MAX;
    if (ok && head == UINT64_MAX) {
        ok = damaged(&l, "no entry is whole", errp);
    } else if (ok && (l.entry[head].flushed > bn->file->size ||
                      l.entry[head].last > 2 * VHDX_MAX_SIZE)) {
        ok = damaged(&l, "the file is shorter than it was", errp);
    } else if (ok && chain_run(&l, head, false) < 0) {
        ok = damaged(&l, "a descriptor is wrong", errp);
    }
    ok = ok && log_apply(&l, head, errp);
    log_clear(&l);
    return ok;
}
