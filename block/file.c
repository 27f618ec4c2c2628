/*
 * Files and block devices of the host: the bottom of nearly every chain.
 *
 * A read past the end gives zeroes and a write there makes the file longer:
 * formats allocate at its end. With O_DIRECT, requests that the device cannot
 * take as they are go through an aligned copy; such writes, which must read
 * their surroundings first, go one at a time.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/file-lock.h"

#include "util/error.h"
#include "util/fdset.h"
#include "util/iov.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum {
    BOUNCE_ALIGN = 4096,
    FILL_BUF = 1 << 20,
};

typedef struct FileState {
    int fd;
    bool is_device;
    bool direct;
    gint no_punch, no_zero_range, no_seek; /* the file system cannot; atomic */
    GMutex edge; /* one unaligned O_DIRECT write at a time */
} FileState;

/* ---- open ------------------------------------------------------------------------ */

static const char *file_path(BlockNode *bn)
{
    const char *name = bn->filename;

    if (g_str_has_prefix(name, "file:")) {
        name += strlen("file:");
    } else if (g_str_has_prefix(name, "host_device:")) {
        name += strlen("host_device:");
    }
    return name;
}

static uint64_t file_length(int fd, bool *device)
{
    struct stat st;
    uint64_t size = 0;

    *device = false;
    if (fstat(fd, &st) < 0) {
        return 0;
    }
    if (S_ISBLK(st.st_mode)) {
        *device = true;
        return ioctl(fd, BLKGETSIZE64, &size) < 0 ? 0 : size;
    }
    return (uint64_t)st.st_size;
}

/* The smallest transfer that O_DIRECT takes here. */
static uint32_t file_probe_align(int fd)
{
    void *buf = NULL;
    uint32_t align;

    if (posix_memalign(&buf, BOUNCE_ALIGN, BOUNCE_ALIGN)) {
        return BOUNCE_ALIGN;
    }
    for (align = 512; align < BOUNCE_ALIGN; align *= 2) {
        if (pread(fd, buf, align, 0) >= 0) {
            break;
        }
    }
    free(buf);
    return align;
}

static int file_open_fd(BlockNode *bn, const char *path, GError **errp)
{
    int mode = (bn->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    int fd;

    if (bn->flags & BLOCK_DIRECT) {
        mode |= O_DIRECT;
    }
    fd = fdset_open(path, mode, 0);
    if (fd < 0 && !bn->read_only && (bn->flags & BLOCK_AUTO_RDONLY) &&
        (errno == EACCES || errno == EROFS || errno == EPERM)) {
        bn->read_only = true;
        fd = fdset_open(path, (mode & ~O_ACCMODE) | O_RDONLY, 0);
    }
    if (fd < 0) {
        int e = errno;

        if (e == EINVAL && (mode & O_DIRECT)) {
            error_setg(errp,
                       "Could not open '%s': the file system does not "
                       "support O_DIRECT (cache=none); use "
                       "cache=writeback",
                       path);
        } else {
            error_setg_errno(errp, e, "Could not open '%s'", path);
        }
    }
    return fd;
}

static bool file_take_locks(BlockNode *bn, int fd, KeyVal *options,
                            GError **errp)
{
    const char *locking = keyval_get(options, "locking");
    unsigned perm = PERM_CONSISTENT_READ, shared = PERM_ALL;

    if (locking && strcmp(locking, "off") == 0) {
        return true;
    }
    if (locking && strcmp(locking, "on") && strcmp(locking, "auto")) {
        error_setg(errp, "locking must be on, off or auto, not '%s'", locking);
        return false;
    }
    if (bn->flags & BLOCK_FORCE_SHARE) {
        return true;
    }
    if (!bn->read_only) {
        perm |= PERM_WRITE;
        perm |= bn->flags & BLOCK_RESIZE ? PERM_RESIZE : 0;
    }
    if (bn->flags & BLOCK_NO_SHARE) {
        shared &= ~(PERM_WRITE | PERM_RESIZE);
    }
    return file_lock(fd, file_path(bn), perm, shared, errp);
}

static bool file_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    FileState *s = bn->s;
    const char *path;
    struct stat st;

    keyval_get(options, "aio"); /* how to submit is block/blk.c's matter */
    if (!bn->filename || !bn->filename[0]) {
        error_setg(errp, "The 'file' block driver requires a file name");
        return false;
    }
    path = file_path(bn);
    s->fd = file_open_fd(bn, path, errp);
    if (s->fd < 0) {
        return false;
    }
    if (fstat(s->fd, &st) == 0 && !S_ISREG(st.st_mode) &&
        !S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode)) {
        error_setg(errp, "Could not open '%s': %s", path,
                   S_ISDIR(st.st_mode) ? "it is a directory"
                                       : "it is neither a file nor a device");
        close(s->fd);
        return false;
    }
    if (!file_take_locks(bn, s->fd, options, errp)) {
        close(s->fd);
        return false;
    }
    bn->size = file_length(s->fd, &s->is_device);
    bn->growable = !s->is_device;
    s->direct = bn->flags & BLOCK_DIRECT;
    bn->align = s->direct ? file_probe_align(s->fd) : 1;
    g_mutex_init(&s->edge);
    if (bn->flags & BLOCK_TEMPORARY) {
        unlink(path);
    }
    return true;
}

static void file_close(BlockNode *bn)
{
    FileState *s = bn->s;

    close(s->fd);
    g_mutex_clear(&s->edge);
}

/* ---- transfers -------------------------------------------------------------------- */

/* All of it; a read that meets the end of the file is filled with zeroes. */
static int file_transfer(FileState *s, bool write, uint64_t off,
                         const struct iovec *iov, int n)
{
    size_t len = iov_size(iov, n), done = 0;

    while (done < len) {
        struct iovec part[64];
        int k = 0;
        size_t skip = done;
        ssize_t r;

        for (int i = 0; i < n && k < (int)G_N_ELEMENTS(part); i++) {
            if (skip >= iov[i].iov_len) {
                skip -= iov[i].iov_len;
                continue;
            }
            part[k].iov_base = (uint8_t *)iov[i].iov_base + skip;
            part[k++].iov_len = iov[i].iov_len - skip;
            skip = 0;
        }
        r = write ? pwritev(s->fd, part, k, (off_t)(off + done))
                  : preadv(s->fd, part, k, (off_t)(off + done));
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return -errno;
        }
        if (r == 0) {
            if (write) {
                return -ENOSPC;
            }
            iov_memset(iov, n, done, 0, len - done);
            break;
        }
        done += (size_t)r;
    }
    return 0;
}

static bool file_aligned(BlockNode *bn, uint64_t off, const struct iovec *iov,
                         int n)
{
    const FileState *s = bn->s;
    uint64_t bits = off;

    if (!s->direct) {
        return true;
    }
    for (int i = 0; i < n; i++) {
        bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    }
    return !(bits & (bn->align - 1));
}

/* Through an aligned copy, a megabyte at a time. */
static int file_bounce(BlockNode *bn, bool write, uint64_t off,
                       const struct iovec *iov, int n)
{
    FileState *s = bn->s;
    size_t len = iov_size(iov, n), done = 0;
    uint64_t mask = bn->align - 1;
    void *buf = NULL;
    int ret = 0;

    if (posix_memalign(&buf, BOUNCE_ALIGN, FILL_BUF + BOUNCE_ALIGN)) {
        return -ENOMEM;
    }
    if (write) {
        g_mutex_lock(&s->edge);
    }
    while (done < len && ret == 0) {
        uint64_t at = off + done, start = at & ~mask;
        size_t part = MIN(len - done, FILL_BUF - (at - start));
        struct iovec b = { buf, (at - start + part + mask) & ~mask };
        bool whole = !write || (at == start && b.iov_len == part);

        if (!write || !whole) {
            ret = file_transfer(s, false, start, &b, 1);
        }
        if (ret == 0 && write) {
            iov_to_buf(iov, n, done, (uint8_t *)buf + (at - start), part);
            ret = file_transfer(s, true, start, &b, 1);
        } else if (ret == 0) {
            iov_from_buf(iov, n, done, (uint8_t *)buf + (at - start), part);
        }
        done += part;
    }
    if (write) {
        g_mutex_unlock(&s->edge);
    }
    free(buf);
    return ret;
}

static int file_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    return file_aligned(bn, off, iov, n)
               ? file_transfer(bn->s, false, off, iov, n)
               : file_bounce(bn, false, off, iov, n);
}

static int file_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n, unsigned flags)
{
    int ret;

    if (flags & WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    ret = file_aligned(bn, off, iov, n)
              ? file_transfer(bn->s, true, off, iov, n)
              : file_bounce(bn, true, off, iov, n);
    if (ret == 0) {
        block_grew(bn, off + iov_size(iov, n));
    }
    return ret;
}

static int file_fallocate(FileState *s, int mode, uint64_t off, uint64_t len)
{
    int r;

    do {
        r = fallocate(s->fd, mode, (off_t)off, (off_t)len);
    } while (r < 0 && errno == EINTR);
    if (r == 0) {
        return 0;
    }
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV ? -ENOTSUP
                                                                     : -errno;
}

static int device_ioctl(FileState *s, unsigned long what, uint64_t off,
                        uint64_t len)
{
    uint64_t range[2] = { off, len };

    return ioctl(s->fd, what, range) < 0 ? -ENOTSUP : 0;
}

static int file_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    FileState *s = bn->s;
    int ret;

    if (s->is_device) {
        return device_ioctl(s, BLKDISCARD, off, len);
    }
    if (g_atomic_int_get(&s->no_punch)) {
        return -ENOTSUP;
    }
    ret =
        file_fallocate(s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
    if (ret == -ENOTSUP) {
        g_atomic_int_set(&s->no_punch, 1);
    }
    return ret;
}

static int file_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    FileState *s = bn->s;
    uint64_t size = __atomic_load_n(&bn->size, __ATOMIC_RELAXED);
    int ret = -ENOTSUP;

    if (s->is_device) {
        return device_ioctl(s, BLKZEROOUT, off, len);
    }
    if (off >= size && (flags & ZERO_MAY_UNMAP)) {
        ret = ftruncate(s->fd, (off_t)(off + len)) < 0 ? -errno : 0;
    } else if ((flags & ZERO_MAY_UNMAP) && off + len <= size) {
        ret = file_discard(bn, off, len);
    }
    if (ret < 0 && !g_atomic_int_get(&s->no_zero_range)) {
        ret = file_fallocate(s, FALLOC_FL_ZERO_RANGE, off, len);
        if (ret == -ENOTSUP) {
            g_atomic_int_set(&s->no_zero_range, 1);
        }
    }
    if (ret == 0) {
        block_grew(bn, off + len);
    }
    return ret;
}

static int file_flush(BlockNode *bn)
{
    FileState *s = bn->s;

    if (bn->flags & BLOCK_NO_FLUSH) {
        return 0;
    }
    return fdatasync(s->fd) < 0 ? -errno : 0;
}

/* Holes by lseek(); it costs a call, so not where speed matters. */
static int file_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                    BlockExtent *out)
{
    FileState *s = bn->s;
    off_t data, hole;

    out->kind = EXTENT_DATA;
    out->allocated = true;
    out->has_offset = out->in_place = true;
    out->host_offset = off;
    out->file = bn;
    out->len = len;
    if ((flags & MAP_NOWAIT) || g_atomic_int_get(&s->no_seek) || s->is_device) {
        return 0;
    }
    data = lseek(s->fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        g_atomic_int_set(&s->no_seek, 1);
        return 0;
    }
    if (data < 0 || (uint64_t)data > off) {
        out->kind = EXTENT_ZERO;
        out->allocated = false;
        out->len = data < 0 ? len : MIN(len, (uint64_t)data - off);
        return 0;
    }
    hole = lseek(s->fd, (off_t)off, SEEK_HOLE);
    if (hole > (off_t)off) {
        out->len = MIN(len, (uint64_t)hole - off);
    }
    return 0;
}

/* ---- size ------------------------------------------------------------------------- */

static int file_fill(FileState *s, uint64_t off, uint64_t len)
{
    g_autofree void *buf = g_malloc0(FILL_BUF);
    int ret = 0;

    while (len && ret == 0) {
        struct iovec iov = { buf, MIN(len, FILL_BUF) };

        ret = file_transfer(s, true, off, &iov, 1);
        off += iov.iov_len;
        len -= iov.iov_len;
    }
    return ret;
}

/* From @old to @size, as @prealloc says. */
static int file_extend(FileState *s, uint64_t old, uint64_t size,
                       const char *prealloc)
{
    int ret = 0;

    if (ftruncate(s->fd, (off_t)size) < 0) {
        return -errno;
    }
    if (size > old && strcmp(prealloc, "falloc") == 0) {
        ret = -posix_fallocate(s->fd, (off_t)old, (off_t)(size - old));
    } else if (size > old && strcmp(prealloc, "full") == 0) {
        ret = file_fill(s, old, size - old);
        if (ret == 0 && fsync(s->fd) < 0) {
            ret = -errno;
        }
    }
    if (ret < 0 && ftruncate(s->fd, (off_t)old) < 0) {
        return ret; /* the first error says it */
    }
    return ret;
}

static bool prealloc_known(const char *prealloc, GError **errp)
{
    if (strcmp(prealloc, "off") && strcmp(prealloc, "falloc") &&
        strcmp(prealloc, "full")) {
        error_setg(errp, "Unsupported preallocation mode '%s'", prealloc);
        return false;
    }
    return true;
}

static bool file_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                        bool shrink, GError **errp)
{
    FileState *s = bn->s;
    int ret;

    if (!prealloc_known(prealloc, errp)) {
        return false;
    }
    if (s->is_device) {
        if (size > bn->size) {
            error_setg(errp, "Cannot grow device files");
            return false;
        }
        return true;
    }
    if (size > INT64_MAX) {
        error_setg(errp, "Image is too large");
        return false;
    }
    ret = file_extend(s, bn->size, size, prealloc);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to resize the file '%s'",
                         bn->filename);
        return false;
    }
    __atomic_store_n(&bn->size, size, __ATOMIC_RELAXED);
    return true;
}

static bool file_create(const char *filename, KeyVal *opts, GError **errp)
{
    const char *path =
        g_str_has_prefix(filename, "file:") ? filename + 5 : filename;
    const char *prealloc = keyval_get(opts, "preallocation");
    FileState s = { 0 };
    uint64_t size;
    bool ok, nocow;
    int ret;

    if (!prealloc) {
        prealloc = "off";
    }
    keyval_get(opts, "extent_size_hint");
    if (!keyval_size(opts, "size", 1, 0, &size, errp) ||
        !keyval_bool(opts, "nocow", false, &nocow, errp) ||
        !prealloc_known(prealloc, errp)) {
        return false;
    }
    s.fd = fdset_open(path, O_RDWR | O_CREAT, 0644);
    if (s.fd < 0) {
        error_setg_errno(errp, errno, "Could not create '%s'", path);
        return false;
    }
    ok = file_lock(s.fd, path, PERM_WRITE | PERM_RESIZE,
                   PERM_ALL & ~PERM_RESIZE, errp);
    if (!ok) {
        close(s.fd);
        return false;
    }
    if (nocow) {
        int attr;

        if (ioctl(s.fd, FS_IOC_GETFLAGS, &attr) == 0) {
            attr |= FS_NOCOW_FL;
            /* Only btrfs knows it; elsewhere it changes nothing. */
            (void)ioctl(s.fd, FS_IOC_SETFLAGS, &attr);
        }
    }
    ret = ftruncate(s.fd, 0) < 0 ? -errno : file_extend(&s, 0, size, prealloc);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "Could not resize '%s' to %" PRIu64 " bytes", path,
                         size);
    }
    if (close(s.fd) < 0 && ret == 0) {
        error_setg_errno(errp, errno, "Could not close '%s'", path);
        ret = -1;
    }
    return ret == 0;
}

/* Files have no clusters; "info" shows that the file is not dirty. */
static void file_get_info(BlockNode *bn, BlockInfo *out)
{
}

static uint64_t file_allocated(BlockNode *bn)
{
    const FileState *s = bn->s;
    struct stat st;

    return fstat(s->fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static int file_fd(BlockNode *bn)
{
    return ((FileState *)bn->s)->fd;
}

static int host_device_probe(const uint8_t *head, size_t len,
                             const char *filename)
{
    return 0;
}

const CreateOpt block_file_create_opts[] = {
    { "size", OPT_SIZE, "Virtual disk size", CREATE_OPT },
    { "preallocation", OPT_STR,
      "Preallocation mode (allowed values: off, falloc, full)", CREATE_OPT },
    { "nocow", OPT_BOOL, "Turn off copy-on-write (valid only on btrfs)",
      CREATE_OPT },
    { "extent_size_hint", OPT_SIZE,
      "Extent size hint for the image file, 0 to disable", CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};

#define FILE_DRIVER_FUNCTIONS \
    .size = sizeof(FileState), .open = file_open, .close = file_close, \
    .read = file_read, .write = file_write, .zero = file_zero, \
    .discard = file_discard, .flush = file_flush, .map = file_map, \
    .resize = file_resize, .get_info = file_get_info, \
    .allocated = file_allocated, .fd = file_fd

const BlockDriver block_file = {
    .name = "file",
    .prefix = "file:",
    .create = file_create,
    .create_opts = block_file_create_opts,
    FILE_DRIVER_FUNCTIONS,
};

const BlockDriver block_host_device = {
    .name = "host_device",
    .prefix = "host_device:",
    .probe = host_device_probe,
    FILE_DRIVER_FUNCTIONS,
};
