/*
 * qcow2 images nobody meant well with: open, info, read, check, repair. The
 * first byte says what happens; the rest is the image. Work is bounded by what
 * is there, not by what the image claims.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/fuzz-image.h"
#include "tests/lib/mem-disk.h"
#include "tests/lib/qcow2-mutate.h"

enum { MAX_DISK = 16 << 20 };

static void write_around(BlockNode *bn)
{
    uint8_t buf[3000];
    SnapshotInfo info = { .name = "fuzz" };

    memset(buf, 0xa5, sizeof(buf));
    for (uint64_t i = 0; i < 4 && bn->size > sizeof(buf); i++) {
        block_pwrite(bn, (bn->size - sizeof(buf)) / 3 * i, buf, sizeof(buf));
    }
    block_zero(bn, 0, MIN(bn->size, 200000), ZERO_MAY_UNMAP);
    block_discard(bn, 0, MIN(bn->size, 200000));
    bn->drv->snapshots->create(bn, &info, NULL);
    bn->drv->snapshots->apply(bn, "1", NULL);
    bn->drv->snapshots->remove(bn, "1", NULL);
    block_flush(bn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    MemDisk d;
    BlockNode *bn;
    unsigned what = len ? data[0] % 4 : 0, flags;
    CheckResult res = { 0 };

    if (!len) {
        return 0;
    }
    flags = what == 0   ? BLOCK_CHECK
            : what == 1 ? BLOCK_CHECK | BLOCK_RDWR
            : what == 2 ? BLOCK_RDWR | BLOCK_UNMAP
                        : 0;
    mem_disk_init(&d, data + 1, len - 1);
    d.max = MAX_DISK;
    bn = block_open_over(mem_disk_node(&d, flags & BLOCK_RDWR), "qcow2", NULL,
                         flags | BLOCK_NO_BACKING, NULL);
    if (bn) {
        info_free(block_specific(bn));
        read_around(bn);
        if (what == 2) {
            write_around(bn);
        }
        res.messages = g_string_new("");
        block_check(bn, &res,
                    what == 1 ? CHECK_FIX_ERRORS | CHECK_FIX_LEAKS : 0, NULL);
        g_string_free(res.messages, true);
        read_around(bn);
        block_close(bn, NULL);
    }
    mem_disk_clear(&d);
    return 0;
}

/* libFuzzer's own changes, and ours, which know the tables. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max,
                               unsigned seed);
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t len,
                                              size_t max);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max,
                               unsigned seed)
{
    if (len < 200 || seed % 8 == 0) {
        return LLVMFuzzerMutate(data, len, max);
    }
    for (unsigned n = 1 + seed % 3; n; n--) {
        qcow2_mutate(data + 1, len - 1, seed++);
    }
    return len;
}
