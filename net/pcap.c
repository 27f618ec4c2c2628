/* pcap files: draft-ietf-opsawg-pcap. */
#include "util/osdep.h"
#include "net/pcap.h"

#include <fcntl.h>
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

enum { LINKTYPE_ETHERNET = 1 };

typedef struct FileHeader {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snaplen, linktype;
} FileHeader;

typedef struct RecordHeader {
    uint32_t sec, usec, kept, len;
} RecordHeader;

struct Pcap {
    int fd;
    uint32_t maxlen;
    char *path;
    bool failed;
};

Pcap *pcap_open(const char *path, uint32_t maxlen, GError **errp)
{
    /* In the host's byte order: the magic number tells. */
    const FileHeader h = { .magic = 0xa1b2c3d4,
                           .major = 2,
                           .minor = 4,
                           .snaplen = maxlen,
                           .linktype = LINKTYPE_ETHERNET };
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    Pcap *p;

    if (fd < 0 || write(fd, &h, sizeof(h)) != sizeof(h)) {
        error_setg_errno(errp, errno, "can't write the capture file %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    p = g_new0(Pcap, 1);
    p->fd = fd;
    p->maxlen = maxlen;
    p->path = g_strdup(path);
    return p;
}

void pcap_write(Pcap *p, const struct iovec *iov, int n)
{
    int64_t now = g_get_real_time();
    size_t len = iov_size(iov, n);
    RecordHeader h = { (uint32_t)(now / 1000000), (uint32_t)(now % 1000000),
                       (uint32_t)MIN(len, p->maxlen), (uint32_t)len };
    g_autofree uint8_t *buf = NULL;
    size_t total = sizeof(h) + h.kept;

    if (p->failed) {
        return;
    }
    buf = g_malloc(total); /* one write: a reader never sees half a record */
    memcpy(buf, &h, sizeof(h));
    iov_to_buf(iov, n, 0, buf + sizeof(h), h.kept);
    if (write(p->fd, buf, total) != (ssize_t)total) {
        warn_report("capture file %s: %s; no more frames are written", p->path,
                    g_strerror(errno));
        p->failed = true;
    }
}

void pcap_close(Pcap *p)
{
    if (p) {
        close(p->fd);
        g_free(p->path);
        g_free(p);
    }
}
