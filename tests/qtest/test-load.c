/*
 * One machine's state over another's.
 *
 * Two boards with many devices, each touched by a guest of its own until they
 * differ in everything: then the state of one is loaded into the other, which
 * must save the same bytes again, and go on as the first one does: the same
 * accesses leave the same state in both. A stream that is refused in the end,
 * with the devices already loaded, must leave no trace either.
 *
 * What wires and routers remember is in no state: only the second half sees it.
 */
#include "util/osdep.h"
#include <zlib.h>
#include "tests/lib/line.h"
#include "tests/lib/monitor-vm.h"
#include "util/bits.h"
#include "util/mainloop.h"
#include "accel/accel.h"
#include "hw/acpi/pcihp.h"
#include "hw/block/drive.h"
#include "hw/i386/pc.h"
#include "hw/input/i8042.h"
#include "system/snapshot-stream.h"
#include "target-x86/cpu.h"

enum {
    ROUNDS = 60, /* TEST_LOAD_ROUNDS: others */
    OPS = 300,
    RAM = 1 << 20,
    CHUNK_HEAD = 16,
    CHUNK_CPU = 4,
    CHUNK_RAM = 5,
    LINES = 3,
};

typedef struct Side {
    Machine *m;
    Line *line[LINES];
} Side;

typedef struct BoardOf {
    const char *name;
    unsigned ncpus;
    const char *const devices[16];
} BoardOf;

static const BoardOf boards[] = {
    { "pc",
      2,
      { "edu", "edu", "pci-testdev", "pvpanic", "isa-debug-exit", "i6300esb",
        "virtio-rng-pci", "virtio-balloon-pci", "virtio-serial-pci",
        "virtconsole", "virtio-scsi-pci", "virtio-blk-pci,drive=d" } },
    { "microvm",
      1,
      { "virtio-rng-device", "virtio-balloon-device", "virtio-serial-device",
        "virtio-blk-device,drive=d", "isa-debug-exit" } },
};

/* ---- a side ------------------------------------------------------------------- */

static void add_device(Machine *m, const char *text)
{
    g_auto(GStrv) part = g_strsplit(text, ",", 2);
    g_autoptr(GError) err = NULL;
    Device *dev = device_new(m, part[0], NULL, &err);

    g_assert_no_error(err);
    if (part[1]) {
        char *value = strchr(part[1], '=');

        *value++ = '\0';
        device_set(dev, part[1], value, &err);
        g_assert_no_error(err);
    }
    device_realize(dev, &err);
    g_assert_no_error(err);
}

static void side_init(Side *s, const BoardOf *b)
{
    Machine *m = s->m = mvm_prepare(b->name, clock_new_manual());
    g_autoptr(GError) err = NULL;

    m->cfg.ram_size = RAM;
    m->cfg.no_shutdown = true;
    m->cfg.ncpus = m->cfg.max_cpus = m->ncpus = b->ncpus;
    m->cfg.cores = b->ncpus;
    for (unsigned i = 0; i < LINES; i++) {
        g_autofree char *id = g_strdup_printf("serial%u", i);

        s->line[i] = line_new(m, id);
        m->serial[i] = &s->line[i]->c;
    }
    mvm_build(m);
    drive_add(m, "file=null-co://,format=raw,if=none,id=d,size=1M", &err);
    g_assert_no_error(err);
    for (const char *const *d = b->devices; *d; d++) {
        add_device(m, *d);
    }
    machine_reset(m);
}

static void side_fini(Side *s)
{
    snap_forget(s->m);
    mvm_free(s->m);
}

/* ---- a guest, and who sits before the machine ----------------------------------- */

typedef enum OpKind {
    OP_SPACE, /* any register of a map */
    OP_CHIP,  /* one of a few that do much */
    OP_APIC,
    OP_CONFIG, /* of PCI */
    OP_TIME,
    OP_LINE, /* bytes at a serial line, room at its other end */
    OP_KEY,
    OP_POWER,
    OP_KINDS
} OpKind;

typedef struct Op {
    OpKind kind;
    bool port, write;
    unsigned a, b, size;
    uint64_t value;
} Op;

typedef struct Chip {
    bool port;
    unsigned base, len;
    unsigned index; /* a register that says which one the next one is */
} Chip;

static const Chip chips[] = {
    { true, 0x20, 2, 0 },
    { true, 0xa0, 2, 0 },
    { true, 0x4d0, 2, 0 },
    { true, 0x40, 4, 0 },
    { true, 0x61, 1, 0 },
    { true, 0x70, 2, 0x70 },
    { true, 0x60, 5, 0 },
    { true, 0x92, 1, 0 },
    { true, 0x3f8, 8, 0 },
    { true, 0x2f8, 8, 0 },
    { true, 0x3e8, 8, 0 },
    { true, 0x600, 12, 0 },
    { false, 0xfec00000, 4, 0xfec00000 },
    { false, 0xfed00000, 0x160, 0 },
};

static Op op_random(void)
{
    uint64_t value = (uint64_t)g_test_rand_int();

    if (g_test_rand_bit()) { /* small ones mean more */
        value &= 0xff;
    }
    return (Op) {
        .kind = g_test_rand_bit() ? OP_CHIP
                                  : (OpKind)g_test_rand_int_range(0, OP_KINDS),
        .port = g_test_rand_bit(),
        .write = g_test_rand_int_range(0, 4) != 0,
        .a = (unsigned)g_test_rand_int_range(0, 1 << 16),
        .b = (unsigned)g_test_rand_int_range(0, 1 << 16),
        .size = 1u << g_test_rand_int_range(0, 3),
        .value = value,
    };
}

static void access_at(AddressSpace *as, hwaddr at, const Op *o, unsigned size)
{
    if (o->write) {
        as_store(as, at, o->value, size);
    } else {
        as_load(as, at, size);
    }
}

static void do_space(Side *s, const Op *o)
{
    AddressSpace *as = o->port ? s->m->io : s->m->mem;
    const FlatMap *map = as_flat(as);
    const FlatRange *r = &map->range[o->a % map->n];

    if (o->port && r->base >= PCIHP_BASE && r->base < PCIHP_BASE + 16) {
        return; /* another machine */
    }
    access_at(as, r->base + o->b % r->size, o, o->size);
}

static void do_chip(Side *s, const Op *o)
{
    const Chip *c = &chips[o->a % G_N_ELEMENTS(chips)];
    AddressSpace *as = c->port ? s->m->io : s->m->mem;
    hwaddr at = c->base + o->b % c->len;

    if (c->port && c->index) {
        as_store(as, c->index, o->b & 0x7f, 1);
        at = c->index + 1;
    } else if (c->index) { /* the I/O APIC */
        as_store(as, c->index, o->b % 0x40, 4);
        at = c->index + 0x10;
    }
    access_at(as, at, o, c->port ? 1 : 4);
}

static void do_apic(Side *s, const Op *o)
{
    X86Cpu *cpu = s->m->cpu[o->a % s->m->ncpus];
    unsigned reg = o->b & 0x3f;

    if (o->size == 1) {
        cpu->apic_ops->ack_irq(cpu);
    } else if (o->write) {
        cpu->apic_ops->mmio_write(cpu, reg * 16, (uint32_t)o->value, 4);
    } else {
        cpu->apic_ops->mmio_read(cpu, reg * 16, 4);
    }
}

static void do_config(Side *s, const Op *o)
{
    unsigned slot = o->a % 16, reg = o->b & 0xff;

    if (o->a & 0x100) {
        reg = o->b & 1 ? 0x04 : 0x60 + (o->b >> 1 & 3); /* command, routes */
    }
    as_store(s->m->io, 0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc), 4);
    access_at(s->m->io, 0xcfc + (reg & 3), o, 1);
}

static void do_line(Side *s, const Op *o)
{
    Line *line = s->line[o->a % LINES];

    if (o->write) {
        uint8_t buf[8];

        memset(buf, (int)o->value, sizeof(buf));
        line_send(line, buf, o->b % sizeof(buf));
    } else {
        line_make_room(line, o->b & 1 ? SIZE_MAX : o->b % 32);
    }
}

static void do_key(Side *s, const Op *o)
{
    PcBoard *b = s->m->board;

    if (!b->i8042) {
        return;
    }
    if (o->write) {
        i8042_key(b->i8042, 1 + o->a % 80, o->b & 1);
    } else {
        i8042_mouse(b->i8042, (int)(o->a % 9) - 4, 0, 0, o->b & 7);
    }
}

static void op_do(Side *s, const Op *o)
{
    switch (o->kind) {
    case OP_SPACE:
        do_space(s, o);
        break;
    case OP_CHIP:
        do_chip(s, o);
        break;
    case OP_APIC:
        do_apic(s, o);
        break;
    case OP_CONFIG:
        do_config(s, o);
        break;
    case OP_TIME:
        clock_step(s->m->vclock, (int64_t)o->a * (o->b & 1 ? 10 : 1000));
        break;
    case OP_LINE:
        do_line(s, o);
        break;
    case OP_KEY:
        do_key(s, o);
        break;
    case OP_POWER:
        if (o->a % 16 == 0) {
            irq_pulse(&s->m->power_button);
        }
        break;
    case OP_KINDS:
        break;
    }
}

/* What the machine asked its main loop for; it never runs. */
static void settle(Side *s)
{
    while (mainloop_iterate(false)) {
    }
    s->m->state = RUN_PAUSED;
}

static void run_one(Side *s)
{
    for (unsigned i = 0; i < OPS; i++) {
        Op o = op_random();

        op_do(s, &o);
    }
    settle(s);
}

static void run_both(Side side[2])
{
    for (unsigned i = 0; i < OPS; i++) {
        Op o = op_random();

        op_do(&side[0], &o);
        op_do(&side[1], &o);
    }
    settle(&side[0]);
    settle(&side[1]);
}

/* The host's ends are in no state. */
static void same_ends(Side side[2])
{
    for (unsigned i = 0; i < LINES; i++) {
        side[1].line[i]->room = side[0].line[i]->room;
    }
}

/* ---- streams ---------------------------------------------------------------------- */

typedef struct Memory {
    GByteArray *data;
    size_t at;
} Memory;

static int mem_write(void *opaque, const void *buf, size_t len)
{
    if (len) {
        g_byte_array_append(opaque, buf, (guint)len);
    }
    return 0;
}

static int mem_read(void *opaque, void *buf, size_t len)
{
    Memory *mem = opaque;

    if (mem->data->len - mem->at < len) {
        return -EIO;
    }
    if (len) {
        memcpy(buf, mem->data->data + mem->at, len);
    }
    mem->at += len;
    return 0;
}

static GByteArray *save(Side *s)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GByteArray) state = snap_take_state(s->m, &err);
    GByteArray *out = g_byte_array_new();
    SnapSink sink = { mem_write, out, false, NULL };

    g_assert_no_error(err);
    snap_write(s->m, state, &sink, &err);
    g_assert_no_error(err);
    return out;
}

static bool load(Side *s, GByteArray *data, GError **errp)
{
    Memory mem = { data, 0 };
    SnapSource src = { mem_read, &mem };
    SnapImage *img = snap_read(s->m, &src, "test", errp), *before;

    if (!img) {
        g_error("%s", (*errp)->message);
    }
    before = snap_try(s->m, img, errp);
    if (!before) {
        snap_free(img);
        return false;
    }
    snap_free(before);
    return snap_take_ram(s->m, img, errp);
}

/* A processor's part is a byte too long: seen when all devices are loaded. */
static GByteArray *refused_late(const GByteArray *a)
{
    GByteArray *out = g_byte_array_new();
    size_t at = 8;

    while (ld_be32(a->data + at) != CHUNK_RAM) {
        at += CHUNK_HEAD + ld_be64(a->data + at + 8);
        if (ld_be32(a->data + at) == CHUNK_CPU) {
            const uint8_t *body = a->data + at + CHUNK_HEAD;
            uint64_t len = ld_be64(a->data + at + 8);

            g_byte_array_append(out, a->data, (guint)(at + CHUNK_HEAD + len));
            g_byte_array_append(out, (const uint8_t *)"", 1);
            st_be64(out->data + at + 8, len + 1);
            st_be32(out->data + at + 4,
                    (uint32_t)crc32(crc32(0, body, (uInt)len),
                                    (const uint8_t *)"", 1));
            g_byte_array_append(out, body + len,
                                (guint)(a->len - at - CHUNK_HEAD - len));
            return out;
        }
    }
    g_assert_not_reached();
}

/* The first piece of the state that differs; RAM is what the devices make of
 * it. */
static void expect_same(const GByteArray *a, const GByteArray *b,
                        const char *when, unsigned round)
{
    size_t at = 8;

    while (ld_be32(a->data + at) != CHUNK_RAM) {
        size_t len = CHUNK_HEAD + ld_be64(a->data + at + 8);

        if (memcmp(a->data + at, b->data + at, len) != 0) {
            size_t i = CHUNK_HEAD;
            const char *name = (char *)a->data + at + CHUNK_HEAD + 4;
            guint name_len = ld_be32(a->data + at + CHUNK_HEAD);

            while (a->data[at + i] == b->data[at + i]) {
                i++;
            }
            g_test_message(
                "round %u, %s: chunk %u (%.*s), byte %zu: %02x, %02x", round,
                when, ld_be32(a->data + at), (int)MIN(name_len, 40), name,
                i - CHUNK_HEAD - 4 - name_len, a->data[at + i],
                b->data[at + i]);
            g_test_fail();
        }
        at += len;
    }
}

/* ---- the tests -------------------------------------------------------------------- */

static void test_board(gconstpointer data)
{
    const BoardOf *b = data;
    const char *want = g_getenv("TEST_LOAD_ROUNDS");
    unsigned rounds = want ? (unsigned)atoi(want) : ROUNDS;
    Side side[2];

    for (int i = 0; i < 2; i++) {
        side_init(&side[i], b);
    }
    for (unsigned round = 0; round < rounds && !g_test_failed(); round++) {
        g_autoptr(GByteArray) one = NULL, two = NULL, bad = NULL, other = NULL;
        g_autoptr(GError) err = NULL;

        run_one(&side[0]);
        run_one(&side[1]);
        one = save(&side[0]);
        other = save(&side[1]);
        same_ends(side);
        load(&side[1], one, &err);
        g_assert_no_error(err);
        two = save(&side[1]);
        expect_same(one, two, "loaded", round);
        run_both(side);
        g_byte_array_unref(g_steal_pointer(&one));
        g_byte_array_unref(g_steal_pointer(&two));
        one = save(&side[0]);
        two = save(&side[1]);
        expect_same(one, two, "went on", round);

        bad = refused_late(other);
        g_assert_false(load(&side[1], bad, &err));
        g_byte_array_unref(g_steal_pointer(&two));
        two = save(&side[1]);
        expect_same(one, two, "refused", round);
        run_both(side);
        g_byte_array_unref(g_steal_pointer(&one));
        g_byte_array_unref(g_steal_pointer(&two));
        one = save(&side[0]);
        two = save(&side[1]);
        expect_same(one, two, "went on after the refusal", round);
    }
    for (int i = 0; i < 2; i++) {
        side_fini(&side[i]);
    }
}

static void write_port(Side *s, unsigned port, unsigned value)
{
    as_store(s->m->io, port, value, 1);
}

/*
 * On a busy host the timer of the 8254 has not fired yet when the machine is
 * stopped: by its counter OUT is high, the line is still low. It rises when the
 * timer fires, not when the state is loaded.
 */
static void test_late_timer(void)
{
    g_autoptr(GByteArray) one = NULL, two = NULL;
    g_autoptr(GError) err = NULL;
    Machine *m;
    Side s;

    side_init(&s, &boards[0]);
    m = s.m;
    m->state = RUN_PAUSED;
    write_port(&s, 0x20, 0x11);
    write_port(&s, 0x21, 0x20);
    write_port(&s, 0x21, 4);
    write_port(&s, 0x21, 1);
    write_port(&s, 0x21, 0xff);
    write_port(&s, 0x43, 0x30); /* mode 0: low, high after 1000 ticks */
    write_port(&s, 0x40, 1000 & 0xff);
    write_port(&s, 0x40, 1000 >> 8);
    clock_step(m->vclock, 100000);
    clock_set(m->vclock, clock_ns(m->vclock) + 1000000);
    g_assert_cmphex(as_load(m->io, 0x20, 1), ==, 0);
    one = save(&s);
    load(&s, one, &err);
    g_assert_no_error(err);
    two = save(&s);
    expect_same(one, two, "loaded", 0);
    g_assert_cmphex(as_load(m->io, 0x20, 1), ==, 0);
    clock_step(m->vclock, 1);
    g_assert_cmphex(as_load(m->io, 0x20, 1), ==, 1);
    side_fini(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(boards); i++) {
        g_autofree char *path =
            g_strdup_printf("/load/%s-%u", boards[i].name, boards[i].ncpus);

        g_test_add_data_func(path, &boards[i], test_board);
    }
    g_test_add_func("/load/late-timer", test_late_timer);
    return g_test_run();
}
