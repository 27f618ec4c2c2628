/*
 * Guest memory with a name: memory-backend-ram (anonymous), -memfd (a
 * descriptor that other processes may be given) and -file (a file, or a file
 * in a directory such as hugetlbfs). One of them becomes the machine's memory
 * with -machine memory-backend=ID; -mem-path makes one by itself.
 */
#include "util/osdep.h"
#include "system/object.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "util/error.h"
#include "util/fdset.h"

typedef struct MemoryBackend {
    Device dev;
    uint64_t size; /* properties, to readonly */
    bool share, prealloc, merge, dump, discard_data, reserve, readonly;
    char *mem_path;
    int fd; /* -1: none */
    void *ram;
} MemoryBackend;

static size_t backend_len(const MemoryBackend *b)
{
    size_t page = (size_t)getpagesize();

    return (b->size + page - 1) & ~(page - 1);
}

/* Maps b->fd, or nothing but memory if there is none. */
static bool backend_map(MemoryBackend *b, GError **errp)
{
    int flags = b->share ? MAP_SHARED : MAP_PRIVATE;
    int prot = b->readonly && b->share ? PROT_READ : PROT_READ | PROT_WRITE;
    size_t len = backend_len(b);

    flags |= b->fd < 0 ? MAP_ANONYMOUS : 0;
    flags |= b->reserve ? 0 : MAP_NORESERVE;
    flags |= b->prealloc ? MAP_POPULATE : 0;
    b->ram = mmap(NULL, len, prot, flags, b->fd, 0);
    if (b->ram == MAP_FAILED) {
        b->ram = NULL;
        error_setg_errno(errp, errno,
                         "cannot set up guest memory '%s' of %" PRIu64 " MiB",
                         b->dev.id, b->size / MIB);
        return false;
    }
    if (b->fd < 0) {
        madvise(b->ram, len, MADV_HUGEPAGE);
    }
    if (b->merge) {
        madvise(b->ram, len, MADV_MERGEABLE);
    }
    if (!b->dump) {
        madvise(b->ram, len, MADV_DONTDUMP);
    }
    return true;
}

static bool check_size(MemoryBackend *b, GError **errp)
{
    b->fd = -1;
    if (!b->size) {
        error_setg(errp, "Parameter 'size' is missing, as in size=64M");
        return false;
    }
    if (b->size > SIZE_MAX / 4) {
        error_setg(errp, "property 'size' of %s doesn't take so large a value",
                   b->dev.cls->name);
        return false;
    }
    return true;
}

static bool ram_realize(Device *dev, GError **errp)
{
    MemoryBackend *b = container_of(dev, MemoryBackend, dev);

    return check_size(b, errp) && backend_map(b, errp);
}

static void backend_unrealize(Device *dev)
{
    MemoryBackend *b = container_of(dev, MemoryBackend, dev);

    if (b->ram) {
        if (b->discard_data) {
            madvise(b->ram, backend_len(b), MADV_REMOVE);
        }
        munmap(b->ram, backend_len(b));
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
}

/* The file has the size, or gets it; what is longer stays as it is. */
static bool backend_extend(MemoryBackend *b, const char *what, GError **errp)
{
    struct stat st;

    if (fstat(b->fd, &st) < 0 ||
        (S_ISREG(st.st_mode) && (uint64_t)st.st_size < b->size &&
         ftruncate(b->fd, (off_t)backend_len(b)) < 0)) {
        error_setg_errno(errp, errno,
                         "can't size backing store %s for guest "
                         "RAM",
                         what);
        return false;
    }
    return true;
}

static bool finish_fd(MemoryBackend *b, const char *what, GError **errp)
{
    if (b->fd < 0) {
        error_setg_errno(errp, errno,
                         "can't open backing store %s for guest RAM", what);
        return false;
    }
    if ((b->readonly || backend_extend(b, what, errp)) &&
        backend_map(b, errp)) {
        return true;
    }
    close(b->fd);
    return false;
}

static bool memfd_realize(Device *dev, GError **errp)
{
    MemoryBackend *b = container_of(dev, MemoryBackend, dev);

    if (!check_size(b, errp)) {
        return false;
    }
    b->fd = memfd_create(dev->id, MFD_CLOEXEC);
    return finish_fd(b, "memfd", errp);
}

/* In a directory: a file that is gone as soon as it is open. */
static int open_in_dir(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "rhea_back_mem.XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static bool file_realize(Device *dev, GError **errp)
{
    MemoryBackend *b = container_of(dev, MemoryBackend, dev);

    if (!check_size(b, errp)) {
        return false;
    }
    if (!b->mem_path || !b->mem_path[0]) {
        error_setg(errp, "Parameter 'mem-path' is missing");
        return false;
    }
    if (g_file_test(b->mem_path, G_FILE_TEST_IS_DIR)) {
        b->fd = open_in_dir(b->mem_path);
    } else {
        b->fd = fdset_open(b->mem_path,
                           b->readonly ? O_RDONLY : O_RDWR | O_CREAT, 0644);
    }
    return finish_fd(b, b->mem_path, errp);
}

bool machine_use_memory_backend(Machine *m, const char *id, GError **errp)
{
    Device *dev = object_find(m, id, "memory-backend-", NULL);
    MemoryBackend *b;

    if (!dev) {
        error_setg(errp,
                   "Memory backend '%s' not found (-object "
                   "memory-backend-ram,id=%s,size=)",
                   id, id);
        return false;
    }
    b = container_of(dev, MemoryBackend, dev);
    if (m->cfg.ram_given && m->cfg.ram_size != b->size) {
        error_setg(errp,
                   "Machine memory size (%" PRIu64 " MiB) does not match the "
                   "size of the memory backend (%" PRIu64 " MiB)",
                   m->cfg.ram_size / MIB, b->size / MIB);
        return false;
    }
    if (b->readonly && b->share) {
        error_setg(errp, "Memory backend '%s' cannot be written", id);
        return false;
    }
    m->cfg.ram_size = b->size;
    m->ram_host = b->ram;
    object_ref(dev);
    return true;
}

/* ---- classes --------------------------------------------------------------- */

/* clang-format off */
#define BACKEND_PROPS(shared) \
    { "size", PROP_SIZE, offsetof(MemoryBackend, size), 0, "bytes, as 64M" }, \
    { "share", PROP_BOOL, offsetof(MemoryBackend, share), shared, \
      "other processes see what is written" }, \
    { "prealloc", PROP_BOOL, offsetof(MemoryBackend, prealloc), 0, \
      "touch all of it at the start" }, \
    { "merge", PROP_BOOL, offsetof(MemoryBackend, merge), 1, \
      "equal pages may be merged (KSM)" }, \
    { "dump", PROP_BOOL, offsetof(MemoryBackend, dump), 1, \
      "part of a core dump" }, \
    { "reserve", PROP_BOOL, offsetof(MemoryBackend, reserve), 0, \
      "swap space is set aside" }
/* clang-format on */

static const Property ram_props[] = {
    BACKEND_PROPS(0),
    { .kind = PROP_END },
};

static const Property memfd_props[] = {
    BACKEND_PROPS(1),
    { .kind = PROP_END },
};

static const Property file_props[] = {
    BACKEND_PROPS(0),
    { "mem-path", PROP_STRING, offsetof(MemoryBackend, mem_path), 0,
      "file, or directory for one" },
    { "discard-data", PROP_BOOL, offsetof(MemoryBackend, discard_data), 0,
      "give its space back at the end" },
    { "readonly", PROP_BOOL, offsetof(MemoryBackend, readonly), 0,
      "the file is only read" },
    { .kind = PROP_END },
};

const DeviceClass memory_backend_ram = {
    .name = "memory-backend-ram",
    .desc = "Guest memory",
    .bus = OBJECT_BUS,
    .size = sizeof(MemoryBackend),
    .props = ram_props,
    .realize = ram_realize,
    .unrealize = backend_unrealize,
};

const DeviceClass memory_backend_memfd = {
    .name = "memory-backend-memfd",
    .desc = "Guest memory behind a descriptor",
    .bus = OBJECT_BUS,
    .size = sizeof(MemoryBackend),
    .props = memfd_props,
    .realize = memfd_realize,
    .unrealize = backend_unrealize,
};

const DeviceClass memory_backend_file = {
    .name = "memory-backend-file",
    .desc = "Guest memory in a file",
    .bus = OBJECT_BUS,
    .size = sizeof(MemoryBackend),
    .props = file_props,
    .realize = file_realize,
    .unrealize = backend_unrealize,
};
