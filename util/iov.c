/* See iov.h. */
#include "util/osdep.h"
#include "util/iov.h"

size_t iov_size(const struct iovec *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

typedef enum IovOp { IOV_TO_BUF, IOV_FROM_BUF, IOV_MEMSET } IovOp;

static size_t iov_walk(const struct iovec *iov, int n, size_t off, IovOp op,
                       uint8_t *buf, int c, size_t len)
{
    size_t done = 0;

    for (int i = 0; i < n && done < len; i++) {
        uint8_t *base = iov[i].iov_base;
        size_t part;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - off, len - done);
        switch (op) {
        case IOV_TO_BUF:
            memcpy(buf + done, base + off, part);
            break;
        case IOV_FROM_BUF:
            /* Both may be guest memory, of two devices on one cable. */
            memmove(base + off, buf + done, part);
            break;
        case IOV_MEMSET:
            memset(base + off, c, part);
            break;
        }
        done += part;
        off = 0;
    }
    return done;
}

size_t iov_to_buf(const struct iovec *iov, int n, size_t off, void *buf,
                  size_t len)
{
    return iov_walk(iov, n, off, IOV_TO_BUF, buf, 0, len);
}

size_t iov_from_buf(const struct iovec *iov, int n, size_t off, const void *buf,
                    size_t len)
{
    return iov_walk(iov, n, off, IOV_FROM_BUF, (uint8_t *)buf, 0, len);
}

size_t iov_memset(const struct iovec *iov, int n, size_t off, int c, size_t len)
{
    return iov_walk(iov, n, off, IOV_MEMSET, NULL, c, len);
}

int iov_slice(const struct iovec *iov, int n, size_t off, size_t len,
              struct iovec *out)
{
    int k = 0;

    for (int i = 0; i < n && len; i++) {
        size_t part;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - off, len);
        out[k].iov_base = (uint8_t *)iov[i].iov_base + off;
        out[k++].iov_len = part;
        len -= part;
        off = 0;
    }
    return k;
}
