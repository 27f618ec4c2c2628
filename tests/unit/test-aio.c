/* The ring that the kernel reads requests from. */
#include "util/osdep.h"
#include "util/aio.h"
#include "util/mainloop.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

typedef struct Read {
    int ret;
    bool done;
} Read;

static void on_done(void *opaque, int ret)
{
    Read *r = opaque;

    g_assert_false(r->done);
    r->done = true;
    r->ret = ret;
}

static gboolean too_late(void *opaque)
{
    g_error("a request never ended");
    return G_SOURCE_REMOVE;
}

/* The kernel stops at one that it finds wrong; those behind it are not lost. */
static void test_wrong_one(void)
{
    struct iovec *bad = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char buf[8];
    struct iovec good[2] = { { buf, 4 }, { buf + 4, 4 } };
    Read r[9] = { 0 };
    guint guard;
    Aio *aio;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    g_assert_true(bad != MAP_FAILED && fd >= 0);
    aio = aio_new(false);
    if (!aio_is_uring(aio)) {
        g_test_skip("no io_uring here");
        aio_free(aio);
        close(fd);
        return;
    }
    memcpy(bad, good, sizeof(good));
    for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
        aio_submit(aio, AIO_READ, fd, 0, i % 3 == 1 ? bad : good, 2, on_done,
                   &r[i]);
    }
    munmap(bad, PAGE);
    aio_kick(aio);
    guard = g_timeout_add_seconds(100, too_late, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
        while (!r[i].done) {
            mainloop_iterate(true);
        }
        g_assert_cmpint(r[i].ret, ==, i % 3 == 1 ? -EFAULT : 8);
    }
    g_source_remove(guard);
    aio_free(aio);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/aio/wrong-one", test_wrong_one);
    return g_test_run();
}
