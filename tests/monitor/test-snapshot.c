/*
 * Snapshots: the stream of a machine, good and bad, and savevm and loadvm with
 * disks. SNAPSHOT_MUTATIONS says how many damaged streams are tried; with it set
 * every shorter stream is, too.
 */
#include "util/osdep.h"
#include "config.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>
#include "tests/lib/cli-vm.h"
#include "util/bits.h"
#include "block/block.h"
#include "hw/block/drive.h"
#include "system/migrate.h"
#include "system/snapshot-stream.h"
#include "system/snapshot.h"
#include "accel/accel.h"
#include "target-x86/cpu.h"
#include "util/mainloop.h"

enum {
    HEAD = 16,
    CHUNK_ABOUT = 1,
    CHUNK_DEVICE = 3,
    CHUNK_RAM = 5,
    CHUNK_PAGES = 6,
};

static char *dir; /* for images */

/* ---- streams in memory ------------------------------------------------------------ */

typedef struct Memory {
    GByteArray *data;
    size_t at;
} Memory;

static int mem_write(void *opaque, const void *buf, size_t len)
{
    g_byte_array_append(opaque, buf, (guint)len);
    return 0;
}

static int mem_read(void *opaque, void *buf, size_t len)
{
    Memory *mem = opaque;

    if (mem->data->len - mem->at < len) {
        return -EIO;
    }
    if (len) { /* @buf may be NULL */
        memcpy(buf, mem->data->data + mem->at, len);
    }
    mem->at += len;
    return 0;
}

static GByteArray *save(Machine *m, bool zstd)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GByteArray) state = snap_take_state(m, &err);
    GByteArray *out = g_byte_array_new();
    SnapSink sink = { mem_write, out, zstd, NULL };

    g_assert_no_error(err);
    snap_write(m, state, &sink, &err);
    g_assert_no_error(err);
    return out;
}

/* False, and the machine is as it was, or it is what @data says. */
static bool load(Machine *m, GByteArray *data, GError **errp)
{
    Memory mem = { data, 0 };
    SnapSource src = { mem_read, &mem };
    SnapImage *img = snap_read(m, &src, "test", errp), *before;

    if (!img) {
        return false;
    }
    before = snap_try(m, img, errp);
    if (!before) {
        snap_free(img);
        return false;
    }
    snap_free(before);
    return snap_take_ram(m, img, errp);
}

static bool same(const GByteArray *a, const GByteArray *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* A machine in the middle of something. */
static Machine *busy_machine(const char *more)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *line =
        g_strconcat("-machine pc -accel tcg -m 4 -serial null ", more, NULL);
    Machine *m = cvm_new(line, &err);
    /* inc word [0x2000]; out 0x80, al; jmp . - 9 */
    static const uint8_t code[] = { 0xff, 0x06, 0x00, 0x20,
                                    0xe6, 0x80, 0xeb, 0xf8 };

    g_assert_no_error(err);
    as_write_rom(m->mem, 0x1000, code, sizeof(code));
    cpu_state(m->cpu[0])->rip = 0x1000;
    m->cpu[0]->s.seg[S_CS].base = 0;
    m->cpu[0]->s.seg[S_CS].sel = 0;
    m->cpu[0]->s.halted = false;
    x86_update_mode(m->cpu[0]);
    return m;
}

/* Runs until the word at @addr is another one. */
static uint32_t run_on(Machine *m, hwaddr addr)
{
    uint32_t old = (uint32_t)as_load(m->mem, addr, 2), now;

    do {
        cvm_run(m, 1000);
        now = (uint32_t)as_load(m->mem, addr, 2);
    } while (now == old);
    return now;
}

static void test_round_trip(gconstpointer zstd)
{
    Machine *m = busy_machine("");
    g_autoptr(GByteArray) a = NULL, b = NULL, c = NULL;
    g_autoptr(GError) err = NULL;
    uint32_t n[3];

    n[0] = run_on(m, 0x2000);
    a = save(m, zstd != NULL);
    n[1] = run_on(m, 0x2000);
    g_assert_cmpuint(n[0], !=, n[1]);
    g_assert_true(load(m, a, &err));
    g_assert_cmpuint(as_load(m->mem, 0x2000, 2), ==, n[0]);
    b = save(m, zstd != NULL);
    g_assert_true(same(a, b));
    n[2] = run_on(m, 0x2000);
    g_assert_cmpuint(n[2], !=, n[0]);
    c = save(m, zstd != NULL);
    g_assert_false(same(a, c));
    cvm_free(m);
}

static void flat_seg(X86Seg *seg, uint32_t attr)
{
    *seg = (X86Seg) { .sel = 8, .attr = attr, .limit = UINT32_MAX };
}

/* mov eax, [0x5000]; mov [0x8000], eax; jmp; with paging, all of it mapped to
 * where it is. */
static Machine *paged_machine(void)
{
    static const uint8_t code[] = { 0xa1, 0x00, 0x50, 0x00, 0x00, 0xa3,
                                    0x00, 0x80, 0x00, 0x00, 0xeb, 0xf4 };
    Machine *m = busy_machine("");
    X86State *s = cpu_state(m->cpu[0]);

    as_write_rom(m->mem, 0x1000, code, sizeof(code));
    as_store(m->mem, 0x10000, 0x11003, 4);
    for (unsigned i = 0; i < 16; i++) {
        as_store(m->mem, 0x11000 + 4 * i, (i << 12) | 3, 4);
    }
    flat_seg(&s->seg[S_CS], SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_A | SEG_DB);
    flat_seg(&s->seg[S_DS], SEG_P | SEG_S | SEG_RW | SEG_A | SEG_DB);
    s->cr3 = 0x10000;
    s->cr0 |= CR0_PE | CR0_PG;
    x86_update_mode(m->cpu[0]);
    return m;
}

/* Page tables go back, and so do what processors remember of them. */
static void test_page_tables(void)
{
    Machine *m = paged_machine();
    g_autoptr(GByteArray) a = NULL;
    g_autoptr(GError) err = NULL;

    as_store(m->mem, 0x5000, 1, 4);
    as_store(m->mem, 0x6000, 2, 4);
    g_assert_cmpuint(run_on(m, 0x8000), ==, 1);
    a = save(m, false);
    as_store(m->mem, 0x11000 + 4 * 5, 0x6003, 4);
    cpu_raise(m->cpu[0], CPU_FLUSH);
    g_assert_cmpuint(run_on(m, 0x8000), ==, 2);
    g_assert_true(load(m, a, &err));
    as_store(m->mem, 0x8000, 0, 4);
    g_assert_cmpuint(run_on(m, 0x8000), ==, 1);
    cvm_free(m);
}

static void expect_refusal(const char *other, const char *message)
{
    Machine *m = busy_machine("");
    g_autoptr(GByteArray) a = save(m, false), before = NULL, after = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *line = g_strconcat("-accel tcg ", other, NULL);

    cvm_free(m);
    m = cvm_new(line, &err);
    g_assert_no_error(err);
    before = save(m, false);
    g_assert_false(load(m, a, &err));
    g_assert_cmpstr(err->message, ==, message);
    after = save(m, false);
    g_assert_true(same(before, after));
    cvm_free(m);
}

static void test_other_machine(void)
{
    expect_refusal("-machine pc -m 8 -serial null",
                   "snapshot 'test' is of another machine: it has 'memory "
                   "4194304', this one has 'memory 8388608'");
    expect_refusal("-machine pc -m 4 -serial null -smp 2",
                   "snapshot 'test' is of another machine: it has 'cpus 1', "
                   "this one has 'cpus 2'");
    expect_refusal("-machine pc -m 4",
                   "snapshot 'test' is of another machine: it has 'device "
                   "isa-serial.0', which this one has not");
    expect_refusal("-machine pc -m 4 -serial null -serial null",
                   "snapshot 'test' is of another machine: it lacks 'device "
                   "isa-serial.1', which this one has");
}

/* ---- names ------------------------------------------------------------------------ */

/* Makes the checksums right again, so that damage gets past them. */
static void mend_sums(GByteArray *a)
{
    size_t at = 8;

    while (a->len - at >= HEAD) {
        uint8_t *head = a->data + at;
        uint64_t len = ld_be64(head + 8);
        uint64_t summed = ld_be32(head) == CHUNK_PAGES ? MIN(len, 16) : len;

        at += HEAD;
        if (len > a->len - at) {
            return;
        }
        st_be32(head + 4, (uint32_t)crc32(0, a->data + at, (uInt)summed));
        at += len;
    }
}

#define THREE_RNGS \
    "-machine pc -accel tcg -m 4 -serial null " \
    "-device virtio-rng-pci,id=a,addr=4 -device virtio-rng-pci,addr=5 " \
    "-device virtio-rng-pci,id=c,addr=6"

/* How older versions numbered them. */
static const char *old_name(const char *name)
{
    return !strcmp(name, "virtio-rng-pci (a)")   ? "virtio-rng-pci.0 (a)"
           : !strcmp(name, "virtio-rng-pci.0")   ? "virtio-rng-pci.1"
           : !strcmp(name, "virtio-rng-pci (c)") ? "virtio-rng-pci.2 (c)"
                                                 : name;
}

static GString *old_about(const char *text, gsize len)
{
    g_autofree char *copy = g_strndup(text, len);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    GString *out = g_string_new(NULL);

    for (char **p = lines; *p && **p; p++) {
        bool device = g_str_has_prefix(*p, "device ");

        g_string_append_printf(out, "%s%s\n", device ? "device " : "",
                               device ? old_name(*p + 7) : *p);
    }
    return out;
}

static void old_device(GString *out, const uint8_t *p, gsize len)
{
    gsize n = ld_be32(p);
    g_autofree char *name = g_strndup((const char *)p + 4, n);
    const char *now = old_name(name);
    uint8_t be[4];

    st_be32(be, (uint32_t)strlen(now));
    g_string_append_len(out, (const char *)be, 4);
    g_string_append(out, now);
    g_string_append_len(out, (const char *)p + 4 + n, (gssize)(len - 4 - n));
}

/* @a as a version of before would have written it. */
static GByteArray *as_before(const GByteArray *a)
{
    GByteArray *out = g_byte_array_new();
    size_t at = 8;

    g_byte_array_append(out, a->data, 8);
    while (a->len - at >= HEAD) {
        const uint8_t *head = a->data + at;
        uint64_t len = ld_be64(head + 8);
        GString *body = NULL;
        uint8_t be[HEAD];

        memcpy(be, head, HEAD);
        if (ld_be32(head) == CHUNK_ABOUT) {
            body = old_about((const char *)head + HEAD, len);
        } else {
            body = g_string_new(NULL);
            if (ld_be32(head) == CHUNK_DEVICE) {
                old_device(body, head + HEAD, len);
            } else {
                g_string_append_len(body, (const char *)head + HEAD,
                                    (gssize)len);
            }
        }
        st_be64(be + 8, body->len);
        g_byte_array_append(out, be, HEAD);
        g_byte_array_append(out, (const uint8_t *)body->str, (guint)body->len);
        g_string_free(body, TRUE);
        at += HEAD + len;
    }
    mend_sums(out);
    return out;
}

static Machine *new_machine(const char *line)
{
    g_autoptr(GError) err = NULL;
    Machine *m = cvm_new(line, &err);

    g_assert_no_error(err);
    return m;
}

static void test_names(void)
{
    Machine *m = new_machine(THREE_RNGS);
    g_autoptr(GByteArray) a = save(m, false), old = as_before(a), b = NULL;
    g_autoptr(GError) err = NULL;

    g_assert_cmpuint(old->len, >, a->len);
    g_assert_true(load(m, old, &err));
    b = save(m, false);
    g_assert_true(same(a, b));
    cvm_free(m);

    m = new_machine("-machine pc -accel tcg -m 4 -serial null "
                    "-device virtio-rng-pci,id=c,addr=6 "
                    "-device virtio-rng-pci,addr=5 "
                    "-device virtio-rng-pci,id=a,addr=4");
    load(m, a, &err);
    g_assert_no_error(err);
    load(m, old, &err);
    g_assert_no_error(err);
    cvm_free(m);

    m = new_machine("-machine pc -accel tcg -m 4 -serial null "
                    "-device virtio-rng-pci,id=a "
                    "-device virtio-rng-pci,addr=5 "
                    "-device virtio-rng-pci,id=c,addr=6");
    g_assert_false(load(m, a, &err));
    g_assert_true(strstr(err->message, "'a': it sat in slot 4.0; this one "
                                       "sits in 2.0: give addr="));
    cvm_free(m);
}

/* ---- damaged streams --------------------------------------------------------------- */

/* Devices with much to say. */
static const char much[] =
    "-device virtio-rng-pci -device virtio-balloon-pci "
    "-device virtio-serial-pci -device virtconsole -device edu "
    "-device pci-testdev -drive if=none,id=d,driver=null-co,size=1M "
    "-device virtio-blk-pci,drive=d -device virtio-scsi-pci";

static void test_cut(void)
{
    bool all = g_getenv("SNAPSHOT_MUTATIONS") != NULL;
    Machine *m = busy_machine(all ? much : "");
    g_autoptr(GByteArray) a = save(m, false), now = NULL;

    for (guint len = 0; len < a->len; len += all ? 1 : len < 20000 ? 7 : 97) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(cut, a->data, len);
        g_assert_false(load(m, cut, &err));
        g_assert_nonnull(err);
    }
    now = save(m, false);
    g_assert_true(same(a, now));
    cvm_free(m);
}

/* @state is what stands in the stream @a behind its first word. Names the piece
 * that differs. */
static void expect_same_state(const GByteArray *a, const GByteArray *state,
                              const char *after)
{
    const uint8_t *p = a->data + 8;
    size_t at = 0;

    while (state->len - at >= HEAD) {
        size_t len = HEAD + ld_be64(state->data + at + 8);

        if (memcmp(p + at, state->data + at, len)) {
            g_error("not the same after '%s': chunk %u: %.*s", after,
                    ld_be32(state->data + at), 40,
                    (const char *)state->data + at + HEAD + 4);
        }
        at += len;
    }
}

/* Where the pages begin. */
static guint state_end(const GByteArray *a)
{
    size_t at = 8;

    while (ld_be32(a->data + at) != CHUNK_RAM) {
        at += HEAD + ld_be64(a->data + at + 8);
    }
    return (guint)at;
}

static void damage(GByteArray *a, guint state)
{
    /* Mostly where the state is: RAM is never wrong. */
    guint end = g_test_rand_int_range(0, 8) ? state : a->len;

    for (int n = g_test_rand_int_range(1, 5); n > 0; n--) {
        guint at = (guint)g_test_rand_int_range(0, (gint)end);

        a->data[at] = g_test_rand_bit()
                          ? (uint8_t)g_test_rand_int()
                          : a->data[at] ^ (1u << g_test_rand_int_range(0, 8));
    }
    if (g_test_rand_int_range(0, 8)) {
        mend_sums(a);
    }
}

static void test_damage(void)
{
    const char *want = g_getenv("SNAPSHOT_MUTATIONS");
    int rounds = want ? atoi(want) : 3000, taken = 0;
    Machine *m = busy_machine(much);
    g_autoptr(GByteArray) good = NULL, now = NULL;
    g_autoptr(GError) err = NULL;

    cvm_run(m, 500);
    good = save(m, false);
    for (int i = 0; i < rounds; i++) {
        g_autoptr(GByteArray) bad = g_byte_array_new();
        g_autoptr(GError) why = NULL;

        g_byte_array_append(bad, good->data, good->len);
        damage(bad, state_end(good));
        if (!load(m, bad, &why)) {
            g_autoptr(GByteArray) state = snap_take_state(m, NULL);

            g_assert_nonnull(why);
            expect_same_state(good, state, why->message);
            continue;
        }
        taken++;
        if (taken % 8 == 0) {
            cvm_run(m, 200);
            m->state = RUN_PAUSED; /* whatever it came to */
        }
        g_assert_true(load(m, good, &err));
        g_assert_no_error(err);
    }
    now = save(m, false);
    g_assert_true(same(good, now));
    g_assert_cmpint(taken, >, rounds / 20); /* the checks do not refuse all */
    g_assert_cmpint(taken, <, rounds);
    cvm_free(m);
}

/* ---- disks ------------------------------------------------------------------------- */

static char *image(const char *name, const char *format)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(KeyVal) options = keyval_new();
    g_autoptr(GError) err = NULL;

    keyval_set(options, "size", "4194304");
    block_create(path, format, options, 0, &err);
    g_assert_no_error(err);
    return g_steal_pointer(&path);
}

static void set_byte(Machine *m, const char *id, uint8_t v)
{
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };

    memset(buf, v, sizeof(buf));
    g_assert_cmpint(
        block_pwritev(blk_node(drive_find(m, id)->blk), 65536, &iov, 1, 0), ==,
        0);
}

static uint8_t get_byte(Machine *m, const char *id)
{
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };

    g_assert_cmpint(
        block_preadv(blk_node(drive_find(m, id)->blk), 65536, &iov, 1), ==, 0);
    return buf[100];
}

static Machine *machine_with_disks(const char *fmt2)
{
    g_autofree char *a = image("a.img", "qcow2"), *b = image("b.img", fmt2);
    g_autofree char *line =
        g_strdup_printf("-drive if=none,id=a,format=qcow2,file=%s "
                        "-drive if=none,id=b,format=%s,file=%s",
                        a, fmt2, b);

    return busy_machine(line);
}

static void test_disks(void)
{
    Machine *m = machine_with_disks("qcow2");
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) list = g_string_new(NULL);

    set_byte(m, "a", 1);
    set_byte(m, "b", 2);
    as_store(m->mem, 0x5000, 3, 1);
    g_assert_true(snapshot_save(m, "one", false, NULL, &err));
    for (int i = 0; i < 20; i++) {
        set_byte(m, "a", 0x11);
        set_byte(m, "b", 0x22);
        as_store(m->mem, 0x5000, 0x33, 1);
        as_store(m->mem, 0x200000, 0x44, 4);
        cvm_run(m, 300);
        g_assert_true(snapshot_load(m, "one", NULL, &err));
        g_assert_cmpuint(get_byte(m, "a"), ==, 1);
        g_assert_cmpuint(get_byte(m, "b"), ==, 2);
        g_assert_cmpuint(as_load(m->mem, 0x5000, 1), ==, 3);
        g_assert_cmpuint(as_load(m->mem, 0x200000, 4), ==, 0);
    }
    g_assert_false(snapshot_save(m, "one", false, NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "Snapshot 'one' already exists in one or more devices");
    g_clear_error(&err);
    set_byte(m, "a", 7);
    g_assert_true(snapshot_save(m, "two", true, NULL, &err));
    g_assert_true(snapshot_load(m, "one", NULL, &err));
    g_assert_cmpuint(get_byte(m, "a"), ==, 1);
    g_assert_true(snapshot_load(m, "two", NULL, &err));
    g_assert_cmpuint(get_byte(m, "a"), ==, 7);
    g_assert_true(snapshot_list(m, list, &err));
    g_assert_nonnull(strstr(list->str, "\n--        one "));
    g_assert_nonnull(strstr(list->str, "\n--        two "));
    g_assert_true(snapshot_delete(m, "one", NULL, &err));
    g_assert_false(snapshot_load(m, "one", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "Snapshot 'one' does not exist in one or more devices");
    g_assert_cmpuint(get_byte(m, "a"), ==, 7);
    cvm_free(m);
}

#if CONFIG_LIBZSTD
/* Pages of one byte: a tenth is far more than they need when packed. */
static void test_compressed(void)
{
    g_autofree char *line = NULL;
    g_autofree char *a = image("a.img", "qcow2");
    uint64_t size[2];

    line = g_strdup_printf("-machine x-snapshot-zstd=on "
                           "-drive if=none,id=a,format=qcow2,file=%s",
                           a);
    for (int i = 0; i < 2; i++) {
        Machine *m = busy_machine(i ? line : strstr(line, "-drive"));
        g_autoptr(GError) err = NULL;
        SnapshotInfo info;

        for (unsigned at = 0x10000; at < 0x90000; at += 4) {
            as_store(m->mem, at, 0x5a5a5a5a, 4);
        }
        g_assert_true(snapshot_save(m, "one", true, NULL, &err));
        g_assert_true(block_snapshot_find(blk_node(drive_find(m, "a")->blk),
                                          "one", &info, &err));
        size[i] = info.vm_state_size;
        as_store(m->mem, 0x20000, 0, 4);
        g_assert_true(snapshot_load(m, "one", NULL, &err));
        g_assert_cmpuint(as_load(m->mem, 0x20000, 4), ==, 0x5a5a5a5a);
        cvm_free(m);
    }
    g_assert_cmpuint(size[0], >, 0x80000);
    g_assert_cmpuint(size[1], <, size[0] - 0x80000 + 0x80000 / 10);
}
#endif

static void test_refused(void)
{
    Machine *m = machine_with_disks("raw");
    g_autoptr(GError) err = NULL;

    g_assert_false(snapshot_save(m, "x", true, NULL, &err));
    g_assert_cmpstr(
        err->message, ==,
        "Device 'b' is writable but does not support snapshots (its "
        "format is raw): use a qcow2 image, or readonly=on");
    cvm_free(m);
    g_clear_error(&err);
    m = busy_machine("");
    g_assert_false(snapshot_save(m, "x", true, NULL, &err));
    g_assert_true(g_str_has_prefix(err->message, "No block device can store"));
    cvm_free(m);
}

/* What is in the image does not fit: neither machine nor disks change. */
static void test_failed_load(void)
{
    Machine *m = machine_with_disks("qcow2");
    g_autoptr(GByteArray) before = NULL, after = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *line = NULL;

    set_byte(m, "a", 1);
    g_assert_true(snapshot_save(m, "one", false, NULL, &err));
    cvm_free(m);
    line = g_strdup_printf("-machine pc -accel tcg -m 8 "
                           "-drive if=none,id=a,format=qcow2,file=%s/a.img "
                           "-drive if=none,id=b,format=qcow2,file=%s/b.img",
                           dir, dir);
    m = cvm_new(line, &err);
    g_assert_no_error(err);
    set_byte(m, "a", 9);
    before = save(m, false);
    g_assert_false(snapshot_load(m, "one", NULL, &err));
    g_assert_nonnull(strstr(err->message, "'memory 4194304'"));
    after = save(m, false);
    g_assert_true(same(before, after));
    g_assert_cmpuint(get_byte(m, "a"), ==, 9);
    cvm_free(m);
}

/* ---- migration --------------------------------------------------------------------- */

static void test_migrate(void)
{
    g_autofree char *uri = g_strdup_printf("file:%s/state", dir);
    g_autofree char *line = g_strdup_printf("-incoming %s", uri);
    Machine *m = busy_machine("");
    g_autoptr(GByteArray) a = NULL, b = NULL;
    g_autoptr(GError) err = NULL;
    MigrateInfo info;

    cvm_run(m, 1000);
    a = save(m, false);
    g_assert_true(migrate_start(m, uri, &err));
    migrate_wait(m);
    migrate_query(m, &info);
    g_assert_cmpstr(migrate_status_name(info.status), ==, "completed");
    g_assert_cmpuint(info.bytes, ==, a->len);
    g_assert_cmpstr(run_state_name(m->state), ==, "postmigrate");
    g_assert_false(migrate_start(m, "ftp:x", &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    cvm_free(m);

    line = (g_free(line), g_strdup_printf("-machine pc -accel tcg -m 4 "
                                          "-serial null -incoming %s",
                                          uri));
    m = cvm_new(line, &err);
    g_assert_no_error(err);
    migrate_wait(m);
    b = save(m, false);
    g_assert_true(same(a, b));
    cvm_free(m);
}

/* One that waits for another machine does not forget it when it is told to go
 * itself. */
static void test_migrate_both(void)
{
    g_autofree char *path = g_strdup_printf("%s/both", dir);
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    g_autofree char *line = g_strdup_printf("-incoming %s", uri);
    Machine *to = busy_machine(line), *from = busy_machine("");
    g_autoptr(GByteArray) a = NULL, b = NULL;
    g_autoptr(GError) err = NULL;
    MigrateInfo info;

    g_assert_false(migrate_start(to, "file:/dev/null", &err));
    g_assert_cmpstr(err->message, ==,
                    "Guest is waiting for an incoming migration");
    g_clear_error(&err);
    a = save(from, false);
    g_assert_true(migrate_start(from, uri, &err));
    migrate_wait(from);
    migrate_query(to, &info);
    while (info.status == MIGRATE_NONE || info.status == MIGRATE_ACTIVE) {
        mainloop_iterate(true);
        migrate_query(to, &info);
    }
    g_assert_cmpstr(migrate_status_name(info.status), ==, "completed");
    b = save(to, false);
    g_assert_true(same(a, b));
    cvm_free(from);
    cvm_free(to);
    g_unlink(path);
}

static int connect_to(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
    return fd;
}

static Machine *waiting_machine(const char *uri)
{
    g_autofree char *line = g_strdup_printf("-machine pc -accel tcg -m 4 "
                                            "-serial null -incoming %s",
                                            uri);
    g_autoptr(GError) err = NULL;
    Machine *m = cvm_new(line, &err);

    g_assert_no_error(err);
    return m;
}

/* What comes at the socket instead of a machine. */
static GByteArray *garbage(unsigned kind, const GByteArray *good)
{
    GByteArray *a = g_byte_array_new();
    uint8_t head[8 + HEAD] = "RHEAVM01";

    switch (kind) {
    case 0: /* nothing */
        break;
    case 1:
        g_byte_array_append(a, (const uint8_t *)"GET / HTTP/1.0\r\n\r\n", 18);
        break;
    case 2: /* a chunk that claims to be of 2 to the 64 bytes */
        memset(head + 8, 0xff, HEAD);
        st_be32(head + 8, 1);
        g_byte_array_append(a, head, sizeof(head));
        break;
    case 3: /* half of a good one, then nobody */
        g_byte_array_append(a, good->data, good->len / 2);
        break;
    case 4: /* megabytes of noise behind a good beginning */
        g_byte_array_append(a, good->data, 3000);
        for (unsigned i = 0; i < 4 << 20; i += 4) {
            uint32_t v = (uint32_t)g_test_rand_int();

            g_byte_array_append(a, (uint8_t *)&v, 4);
        }
        break;
    default: /* another version */
        g_byte_array_append(a, good->data, good->len);
        a->data[7] = '2';
    }
    return a;
}

/* Sends while the machine reads; it may hang up early. */
static void feed(int fd, const GByteArray *a)
{
    for (guint at = 0; at < a->len;) {
        ssize_t n = send(fd, a->data + at, MIN(a->len - at, 60000),
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) {
            return;
        }
        at += n > 0 ? (guint)n : 0;
        mainloop_iterate(false);
    }
}

/* The stream is refused with one line, and the process ends as QEMU's does. */
static void test_migrate_garbage(void)
{
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    g_autoptr(GByteArray) good = NULL;
    Machine *m = busy_machine("");

    good = save(m, false);
    cvm_free(m);
    for (unsigned kind = 0; kind < 6; kind++) {
        g_autoptr(GByteArray) bad = garbage(kind, good);
        MigrateInfo info;
        int fd;

        m = waiting_machine(uri);
        fd = connect_to(path);
        while (mainloop_iterate(false)) {
        }
        feed(fd, bad);
        close(fd);
        migrate_wait(m);
        migrate_query(m, &info);
        g_assert_cmpstr(migrate_status_name(info.status), ==, "failed");
        g_assert_nonnull(info.error);
        g_assert_null(strchr(info.error, '\n'));
        cvm_free(m);
        g_unlink(path);
    }
}

/* Somebody connects and says nothing (a socket), or never will (a pipe): the
 * machine can still be ended. */
static void test_migrate_silence(void)
{
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autofree char *uri = g_strconcat("unix:", path, NULL), *pipe_uri = NULL;
    Machine *m = waiting_machine(uri);
    int fd = connect_to(path), pipes[2];

    while (mainloop_iterate(false)) {
    }
    g_assert_cmpint(send(fd, "RHEAVM01", 8, MSG_NOSIGNAL), ==, 8);
    cvm_free(m);
    close(fd);
    g_unlink(path);

    g_assert_cmpint(pipe(pipes), ==, 0);
    pipe_uri = g_strdup_printf("fd:%d", pipes[0]);
    m = waiting_machine(pipe_uri);
    while (mainloop_iterate(false)) {
    }
    cvm_free(m);
    close(pipes[1]);
}

/* A reader that never reads: the migration can be cancelled, and the machine
 * runs on. */
static void test_migrate_deaf(void)
{
    Machine *m = busy_machine("");
    g_autofree char *uri = NULL;
    MigrateInfo info;
    int pipes[2];

    for (unsigned at = 0x10000; at < 0x90000; at += 4) {
        as_store(m->mem, at, at, 4);
    }
    g_assert_cmpint(pipe(pipes), ==, 0);
    uri = g_strdup_printf("fd:%d", pipes[1]);
    g_assert_true(machine_start(m, NULL));
    g_assert_true(migrate_start(m, uri, NULL));
    for (unsigned i = 0; i < 20; i++) {
        mainloop_iterate(false);
        g_usleep(1000);
    }
    migrate_cancel(m);
    migrate_wait(m);
    migrate_query(m, &info);
    g_assert_cmpstr(migrate_status_name(info.status), ==, "cancelled");
    g_assert_cmpstr(run_state_name(m->state), ==, "running");
    cvm_free(m);
    close(pipes[0]);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("rhea-snapshot-XXXXXX", NULL);
    g_test_add_data_func("/stream/round-trip", NULL, test_round_trip);
#if CONFIG_LIBZSTD
    g_test_add_data_func("/stream/zstd", "zstd", test_round_trip);
#endif
    g_test_add_func("/snapshot/names", test_names);
    g_test_add_func("/stream/page-tables", test_page_tables);
    g_test_add_func("/stream/other-machine", test_other_machine);
    g_test_add_func("/stream/cut", test_cut);
    g_test_add_func("/stream/damage", test_damage);
    g_test_add_func("/savevm/disks", test_disks);
#if CONFIG_LIBZSTD
    g_test_add_func("/savevm/compressed", test_compressed);
#endif
    g_test_add_func("/savevm/refused", test_refused);
    g_test_add_func("/savevm/failed-load", test_failed_load);
    g_test_add_func("/migrate/file", test_migrate);
    g_test_add_func("/migrate/file-both", test_migrate_both);
    g_test_add_func("/migrate/garbage", test_migrate_garbage);
    g_test_add_func("/migrate/silence", test_migrate_silence);
    g_test_add_func("/migrate/deaf", test_migrate_deaf);
    ret = g_test_run();
    for (const char *const *f =
             (const char *const[]) { "a.img", "b.img", "state", NULL };
         *f; f++) {
        g_autofree char *path = g_build_filename(dir, *f, NULL);

        g_unlink(path);
    }
    g_rmdir(dir);
    g_free(dir);
    return ret;
}
