/*
 * A guest that touches everything its board has: ports and memory-mapped
 * registers in every width, the local APIC, interrupt inputs, time, states of
 * single devices, what the host's side of the serial line does. The boards are
 * the real ones, with the devices that nothing has by itself.
 *
 * The first byte chooses the board, then come operations of an opcode and a few
 * bytes. A register is named by the piece of the map that it is in and its
 * offset there, so that most accesses find one. A board is built once, and again
 * when a guest has ejected something; each input begins with what reset leaves
 * of it, and the time and memory of then.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/line.h"
#include "tests/lib/monitor-vm.h"
#include "util/mainloop.h"
#include "target-x86/cpu.h"

enum { OPS_MAX = 400, RAM_AT = 0x10000, RAM = 1 << 20, START_NS = 1000000 };

typedef struct Fuzz {
    Machine *m;
    Line *line;
    GPtrArray *fresh; /* of GByteArray: the devices' first states, or NULL */
    FuzzInput in;
} Fuzz;

static const struct {
    const char *name;
    const char *const devices[8];
} boards[] = {
    { "pc",
      { "edu", "pci-testdev", "pc-testdev", "pvpanic", "isa-debug-exit",
        "virtio-rng-pci", "virtio-balloon-pci" } },
    { "microvm", { "virtio-rng-device", "isa-debug-exit" } },
};

/* ---- input ---------------------------------------------------------------------- */

/* ---- operations ------------------------------------------------------------------ */

static void access_space(Fuzz *f, AddressSpace *as, bool write)
{
    const FlatMap *map = as_flat(as);
    const FlatRange *r = &map->range[take(&f->in) % map->n];
    hwaddr at = r->base + take16(&f->in) % r->size;
    unsigned size = 1u << take(&f->in) % (as == f->m->io ? 3 : 4);

    if (write) {
        uint64_t low = take32(&f->in);

        as_store(as, at, low | low << 32, size);
    } else {
        as_load(as, at, size);
    }
}

static void op_out(Fuzz *f)
{
    access_space(f, f->m->io, true);
}

static void op_in(Fuzz *f)
{
    access_space(f, f->m->io, false);
}

static void op_store(Fuzz *f)
{
    access_space(f, f->m->mem, true);
}

static void op_load(Fuzz *f)
{
    access_space(f, f->m->mem, false);
}

/* The same port again and again: data ports, index and data. */
static void op_burst(Fuzz *f)
{
    unsigned port = take16(&f->in), size = 1u << take(&f->in) % 3;

    for (unsigned n = take(&f->in) % 64; n; n--) {
        if (n % 8 == 7) {
            as_load(f->m->io, port, size);
        } else {
            as_store(f->m->io, port, take(&f->in), size);
        }
    }
}

static void op_apic(Fuzz *f)
{
    X86Cpu *cpu = f->m->cpu[0];
    unsigned how = take(&f->in), reg = take(&f->in);
    uint64_t v;

    switch (how % 6) {
    case 0:
        cpu->apic_ops->mmio_write(cpu, reg * 16, take32(&f->in), 4);
        break;
    case 1:
        cpu->apic_ops->mmio_read(cpu, reg * 16 + how / 64, 1u << how / 16 % 4);
        break;
    case 2:
        cpu->apic_ops->msr_write(cpu, 0x800 + reg, take32(&f->in));
        break;
    case 3:
        cpu->apic_ops->msr_read(cpu, 0x800 + reg, &v);
        break;
    case 4:
        cpu->apic_ops->set_base(cpu, 0xfee00000 | (hwaddr)reg << 8);
        break;
    default:
        cpu->apic_ops->set_tpr(cpu, reg % 16);
        cpu->apic_ops->ack_irq(cpu);
    }
}

static void op_line(Fuzz *f)
{
    unsigned n = take(&f->in);

    irq_set(&f->m->gsi[n % MACHINE_GSIS], n >> 7);
}

static void op_time(Fuzz *f)
{
    clock_step(f->m->vclock, (int64_t)take16(&f->in) * 1000);
}

/* What devices read by themselves: tables, descriptors, commands. */
static void op_memory(Fuzz *f)
{
    hwaddr at = RAM_AT + take(&f->in) * 16;

    for (unsigned n = take(&f->in) % 64; n; n--) {
        as_store(f->m->mem, at++, take(&f->in), 1);
    }
}

static void op_loop(Fuzz *f)
{
    for (unsigned n = take(&f->in) % 4; n; n--) {
        mainloop_iterate(false);
    }
}

static void op_serial(Fuzz *f)
{
    unsigned what = take(&f->in), n = take(&f->in);
    uint8_t buf[32];

    memset(buf, (int)n, sizeof(buf));
    switch (what % 3) {
    case 0:
        line_send(f->line, buf, n % sizeof(buf));
        break;
    case 1:
        line_make_room(f->line, n & 1 ? SIZE_MAX : n);
        break;
    default:
        chardev_event(&f->line->c, n % 3 == 0   ? CHAR_OPENED
                                   : n % 3 == 1 ? CHAR_CLOSED
                                                : CHAR_BREAK);
    }
}

/* Out and in again, perhaps with a byte changed. */
static void op_state(Fuzz *f)
{
    GPtrArray *devices = f->m->devices;
    Device *dev = devices->pdata[take(&f->in) % devices->len];
    unsigned at = take16(&f->in), flip = take(&f->in);
    g_autoptr(GByteArray) s = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    size_t pos = 0;
    bool ok;

    if (!dev->cls->vmstate) {
        return;
    }
    vmstate_save(s, dev->cls->vmstate, dev, NULL);
    if (s->len) {
        s->data[at % s->len] ^= flip;
    }
    ok = vmstate_load(s, &pos, dev->cls->vmstate, dev, &err);
    if (!ok && !flip) {
        g_error("%s: %s", dev->cls->name, err->message);
    }
    if (!ok) {
        dev->cls->reset(dev);
    }
}

static void op_reset(Fuzz *f)
{
    machine_reset(f->m);
}

static void (*const ops[])(Fuzz *f) = {
    op_out,  op_in,     op_store, op_load,   op_burst, op_apic,  op_line,
    op_time, op_memory, op_loop,  op_serial, op_state, op_reset,
};

/* ---- one input -------------------------------------------------------------------- */

static void drop_state(GByteArray *s)
{
    if (s) {
        g_byte_array_unref(s);
    }
}

static void keep_fresh(Fuzz *f)
{
    GPtrArray *devices = f->m->devices;

    f->fresh = g_ptr_array_new_with_free_func((GDestroyNotify)drop_state);
    for (guint i = 0; i < devices->len; i++) {
        Device *dev = devices->pdata[i];
        GByteArray *s = dev->cls->vmstate ? g_byte_array_new() : NULL;

        if (s) {
            vmstate_save(s, dev->cls->vmstate, dev, NULL);
        }
        g_ptr_array_add(f->fresh, s);
    }
}

static void build(Fuzz *f, unsigned board)
{
    Machine *m = f->m = mvm_prepare(boards[board].name, clock_new_manual());

    m->cfg.ram_size = RAM;
    m->cfg.no_shutdown = true;
    f->line = line_new(m, "serial0");
    m->serial[0] = &f->line->c;
    mvm_build(m);
    for (const char *const *name = boards[board].devices; *name; name++) {
        Device *dev = device_new(m, *name, NULL, NULL);

        g_assert_nonnull(dev);
        g_assert_true(device_realize(dev, NULL));
    }
    clock_step(m->vclock, START_NS);
    machine_reset(m);
    keep_fresh(f);
}

/* Reset, and built again if a device is gone: a guest may eject some, and a
 * state may have a removal that the reset completes. */
static void rebuild(Fuzz *f, unsigned board)
{
    Machine *m = f->m;

    if (m) {
        while (mainloop_iterate(false)) {
        }
        m->state = RUN_PRELAUNCH;
        machine_reset(m);
    }
    if (m && m->devices->len != f->fresh->len) {
        g_ptr_array_unref(f->fresh);
        mvm_free(m);
        f->m = NULL;
    }
    if (!f->m) {
        build(f, board);
    }
}

/* As it was when it was built. */
static void restart(Fuzz *f, unsigned board)
{
    Machine *m;

    rebuild(f, board);
    m = f->m;
    memset(as_ram(m->mem, RAM_AT, RAM / 2, true), 0, RAM / 2);
    clock_set(m->vclock, START_NS);
    for (guint i = 0; i < f->fresh->len; i++) {
        Device *dev = m->devices->pdata[i];
        GError *err = NULL;
        size_t pos = 0;

        if (f->fresh->pdata[i]) {
            vmstate_load(f->fresh->pdata[i], &pos, dev->cls->vmstate, dev,
                         &err);
            g_assert_no_error(err);
        }
    }
    f->line->room = 0;
    f->line->c.is_open = true;
    g_byte_array_set_size(f->line->in, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Fuzz fuzz[G_N_ELEMENTS(boards)];
    unsigned board = len ? data[0] % G_N_ELEMENTS(boards) : 0;
    Fuzz *f = &fuzz[board];

    restart(f, board);
    f->in = (FuzzInput) { data + (len > 0), data + len };
    for (unsigned n = 0; more(&f->in) && n < OPS_MAX; n++) {
        ops[take(&f->in) % G_N_ELEMENTS(ops)](f);
    }
    return 0;
}
