/*
 * The guest's half of "make bench T=disk": I/O on a disk, one line each. dd-*
 * are what dd bs=1M does, through the page cache, the writes with conv=fsync;
 * the others are direct, as fio does them: seq-* with psync, rand-*-N with
 * libaio, 4 KiB, iodepth=N; rand-mix is 70 % reads.
 *
 *   guest-io DEVICE [NAME...]
 *
 *   IO name begins
 *   IO name count: rate unit
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, BLOCK = 4096, DEPTH_MAX = 32 };
enum { MIX = 2 }; /* neither read nor write */

static uint64_t disk_size;
static uint8_t *buffer;
static uint32_t seed = 12345;

static uint32_t next_random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 4;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    printf("IO %s: %s\n", what, strerror(errno));
    exit(1);
}

/* From the start to the end and again. */
static void sequential(int fd, int write, size_t size, long count)
{
    double start = now(), t;
    uint64_t at = 0, done = 0;

    while (count--) {
        ssize_t n = write ? pwrite(fd, buffer, size, (off_t)at)
                          : pread(fd, buffer, size, (off_t)at);

        if (n != (ssize_t)size) {
            die("transfer");
        }
        done += size;
        at = at + 2 * size <= disk_size ? at + size : 0;
    }
    t = now() - start;
    printf("%.1f MB/s\n", (double)done / t / 1e6);
}

/* Nothing of the disk is in memory, nothing of it is to be written. */
static void sequential_cached(const char *device, int to_disk, size_t size,
                              long count)
{
    int fd = open(device, to_disk ? O_WRONLY : O_RDONLY);
    double start, t;

    if (fd < 0 || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) {
        die(device);
    }
    start = now();
    for (long i = 0; i < count; i++) {
        ssize_t n = to_disk ? write(fd, buffer, size) : read(fd, buffer, size);

        if (n != (ssize_t)size) {
            die("transfer");
        }
    }
    if (to_disk && fsync(fd)) {
        die("fsync");
    }
    t = now() - start;
    printf("%.1f MB/s\n", (double)size * (double)count / t / 1e6);
    close(fd);
}

static int next_is_write(int write)
{
    return write == MIX ? next_random() % 10 >= 7 : write;
}

static void submit(aio_context_t ctx, struct iocb *cb, int fd, int write)
{
    memset(cb, 0, sizeof(*cb));
    cb->aio_fildes = (uint32_t)fd;
    cb->aio_lio_opcode =
        next_is_write(write) ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    cb->aio_buf = (uintptr_t)buffer;
    cb->aio_nbytes = BLOCK;
    cb->aio_offset = next_random() % (disk_size / BLOCK) * BLOCK;
    if (syscall(SYS_io_submit, ctx, 1L, &cb) != 1) {
        die("io_submit");
    }
}

/* @depth requests of 4 KiB are always on their way. */
static void random_blocks(int fd, int write, int depth, long count)
{
    static struct iocb cbs[DEPTH_MAX];
    struct io_event ev[DEPTH_MAX];
    aio_context_t ctx = 0;
    double start = now(), t;
    long done = 0;

    if (syscall(SYS_io_setup, DEPTH_MAX, &ctx)) {
        die("io_setup");
    }
    for (int i = 0; i < depth; i++) {
        submit(ctx, &cbs[i], fd, write);
    }
    while (done < count) {
        long n = syscall(SYS_io_getevents, ctx, 1L, (long)DEPTH_MAX, ev, NULL);

        for (long i = 0; i < n; i++) {
            submit(ctx, (struct iocb *)(uintptr_t)ev[i].obj, fd, write);
        }
        done += n;
    }
    t = now() - start;
    syscall(SYS_io_destroy, ctx);
    printf("%.0f IO/s\n", (double)done / t);
}

static const struct test {
    const char *name;
    int write, depth; /* depth 0: sequential; -1: through the page cache */
    size_t size;
    long count;
} tests[] = {
    { "seq-read-1M", 0, 0, MIB, 1000 },    { "seq-write-1M", 1, 0, MIB, 500 },
    { "seq-read-64K", 0, 0, 65536, 5000 }, { "rand-read-1", 0, 1, 0, 10000 },
    { "rand-read-32", 0, 32, 0, 20000 },   { "rand-write-1", 1, 1, 0, 10000 },
    { "rand-write-32", 1, 32, 0, 20000 },  { "rand-mix-8", MIX, 8, 0, 10000 },
    { "dd-read", 0, -1, MIB, 250 },        { "dd-write", 1, -1, MIB, 200 },
};

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], name)) {
            return 1;
        }
    }
    return argc == 0;
}

static void measure(const char *device, int argc, char **argv)
{
    int fd = open(device, O_RDWR | O_DIRECT);

    if (fd < 0) {
        die(device);
    }
    disk_size = (uint64_t)lseek(fd, 0, SEEK_END);
    buffer = aligned_alloc(BLOCK, MIB);
    memset(buffer, 0x5a, MIB);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        const struct test *t = &tests[i];

        if (!wanted(t->name, argc, argv)) {
            continue;
        }
        printf("IO %s begins\n", t->name);
        fflush(stdout);
        printf("IO %s %ld: ", t->name, t->count);
        if (t->depth < 0) {
            sequential_cached(device, t->write, t->size, t->count);
        } else if (t->depth) {
            random_blocks(fd, t->write, t->depth, t->count);
        } else {
            sequential(fd, t->write, t->size, t->count);
        }
        fflush(stdout);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        printf("guest-io DEVICE [NAME...]\n");
        return 1;
    }
    measure(argv[1], argc - 2, argv + 2);
    return 0;
}
