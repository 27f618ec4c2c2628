/* What several of the small image formats need. */
#include "util/osdep.h"
#include "block/format.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

static G_GNUC_PRINTF(2, 0) void say(CheckResult *res, const char *text,
                                    va_list ap)
{
    if (res->messages) {
        g_string_append_vprintf(res->messages, text, ap);
    }
}

void format_corrupt(CheckResult *res, const char *text, ...)
{
    va_list ap;

    res->corruptions++;
    va_start(ap, text);
    say(res, text, ap);
    va_end(ap);
}

void format_note(CheckResult *res, const char *text, ...)
{
    va_list ap;

    va_start(ap, text);
    say(res, text, ap);
    va_end(ap);
}

bool format_no_repair(unsigned fix, GError **errp)
{
    if (fix) {
        error_setg(errp, "This image format does not support repair");
    }
    return !fix;
}

bool format_lock(GMutex *lock, unsigned flags)
{
    if (flags & MAP_NOWAIT) {
        return g_mutex_trylock(lock);
    }
    g_mutex_lock(lock);
    return true;
}

int format_pieces(BlockNode *bn, uint64_t off, const struct iovec *iov, int n,
                  uint64_t block, FormatPiece *one)
{
    size_t len = iov_size(iov, n), done = 0;
    g_autofree struct iovec *part = g_new(struct iovec, (gsize)n);
    int ret = 0;

    while (done < len && ret == 0) {
        uint64_t at = off + done;
        size_t m = MIN(len - done, block - at % block);

        ret = one(bn, at, part, iov_slice(iov, n, done, m, part));
        done += m;
    }
    return ret;
}

BlockNode *format_create_file(const char *filename, uint64_t size, KeyVal *opts,
                              GError **errp)
{
    const BlockDriver *proto = block_find_protocol(filename, errp);

    if (proto && !proto->create) {
        error_setg(errp,
                   "images of this format grow at the end of their file, and "
                   "'%s' has a fixed size: use qcow2, vdi or raw",
                   filename);
        return NULL;
    }
    return proto ? block_create_file(filename, size, opts, errp) : NULL;
}

void format_random_uuid(uint8_t out[16])
{
    for (unsigned i = 0; i < 16; i += 4) {
        st_le32(out + i, g_random_int());
    }
    out[6] = (out[6] & 0x0f) | 0x40;
    out[8] = (out[8] & 0x3f) | 0x80;
}

uint32_t format_crc32c(uint32_t crc, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    crc = ~crc;
    while (len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    return ~crc;
}
