/*
 * Every device class that has state, twice.
 *
 * First with states that a guest can reach: random accesses and time, save,
 * load into a second instance, save again and compare; then both get the same
 * accesses and must give the same answers.
 *
 * Then with random values in the fields, which post_load may refuse or bring
 * in order: what it took must be safe to run with, and must save and load
 * unchanged from then on. Last the stream is cut at every byte (it must be
 * refused) and its bits are flipped (anything but a crash).
 */
#include "util/osdep.h"
#include "hw/block/drive.h"
#include "hw/intc/apic.h"
#include "hw/pci/i440fx.h"
#include "hw/virtio/mmio.h"
#include "system/machine.h"
#include "target-x86/cpu.h"

extern const DeviceClass virtio_scsi_pci_class, virtio_serial_pci_class;

enum { ROUNDS = 200, ACCESSES = 60, RUN_NS = 20000 };

/* ---- random values, through the table ------------------------------------------ */

static void randomize(const VMState *desc, void *obj, unsigned one_in);

static void random_bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)g_test_rand_int();
    }
}

static void randomize_timer(Timer *t, int64_t now)
{
    if (g_test_rand_bit()) {
        timer_arm(t, now + g_test_rand_int_range(0, 1000000));
    } else {
        timer_cancel(t);
    }
}

static void randomize_element(const VMField *f, void *p, unsigned one_in)
{
    switch (f->kind) {
    case VM_UINT:
        if (f->is_bool) {
            *(bool *)p = g_test_rand_bit();
            break;
        }
        random_bytes(p, f->size);
        if (g_test_rand_bit()) { /* small numbers are likelier to be legal */
            memset(p, 0, f->size);
            *(uint8_t *)p = (uint8_t)g_test_rand_int_range(0, 8);
        }
        break;
    case VM_BYTES:
        random_bytes(p, f->size);
        break;
    case VM_TIMER:
        randomize_timer(p, clock_ns(((Timer *)p)->clock));
        break;
    case VM_STRUCT:
        randomize(f->sub, p, one_in);
        break;
    case VM_BLOB: /* see randomize() */
    case VM_END:
        break;
    }
}

static void randomize_blob(const VMField *f, void *obj)
{
    uint32_t len = *(uint32_t *)((char *)obj + f->len_offset);

    random_bytes(*(uint8_t **)((char *)obj + f->offset), len);
}

/* About one field of @one_in gets a new value. */
static void randomize(const VMState *desc, void *obj, unsigned one_in)
{
    for (const VMField *f = desc->fields; f->kind != VM_END; f++) {
        if (f->kind == VM_BLOB && g_test_rand_int_range(0, (int)one_in) == 0) {
            randomize_blob(f, obj);
        }
        for (uint32_t i = 0; i < vmstate_count(f, obj); i++) {
            void *p = vmstate_element(f, obj, i);

            if (f->kind == VM_STRUCT ||
                g_test_rand_int_range(0, (int)one_in) == 0) {
                randomize_element(f, p, one_in);
            }
        }
    }
}

/* ---- one device, twice ------------------------------------------------------------ */

typedef struct Pair {
    Machine *m[2];
    Device *dev[2];
} Pair;

static void no_line(void *opaque, int n, int level)
{
}

/* ---- a device that wants more than a machine ---------------------------------- */

typedef struct OneCpu {
    X86Cpu cpu, *list[1];
    Region window;
} OneCpu;

static uint64_t window_read(void *opaque, hwaddr offset, unsigned size)
{
    X86Cpu *cpu = opaque;

    return cpu->apic_ops->mmio_read(cpu, offset, size);
}

static void window_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    X86Cpu *cpu = opaque;

    cpu->apic_ops->mmio_write(cpu, offset, value, size);
}

/* A local APIC sits on a processor, which reads and writes it. */
static void give_cpu(Machine *m, Device *dev)
{
    static const RegionOps ops = { .read = window_read, .write = window_write };
    OneCpu *one = g_new0(OneCpu, 1);

    one->cpu.machine = m;
    one->list[0] = &one->cpu;
    m->cpu = one->list;
    m->ncpus = 1;
    m->board = one;
    apic_attach(dev, &one->cpu);
    region_init_io(&one->window, "apic", 4096, &ops, &one->cpu);
    as_map(m->mem, APIC_DEFAULT_BASE, &one->window, 0);
}

static bool is_pci(const DeviceClass *cls)
{
    return cls->bus && strcmp(cls->bus, "PCI") == 0;
}

/* What a device sits on is made by another one: PCI's by the host bridge. */
static bool give_bus(Machine *m, const DeviceClass *cls, GError **errp)
{
    static const struct {
        const char *bus;
        const DeviceClass *maker;
    } makers[] = {
        { "PCI", &i440fx_class },
        { "virtio-bus", &virtio_mmio_class },
        { "SCSI", &virtio_scsi_pci_class },
        { "virtio-serial-bus", &virtio_serial_pci_class },
    };

    for (size_t i = 0; cls->bus && i < G_N_ELEMENTS(makers); i++) {
        const DeviceClass *maker = makers[i].maker;
        Device *dev;

        if (strcmp(cls->bus, makers[i].bus) != 0 || cls == maker) {
            continue;
        }
        if (!give_bus(m, maker, errp)) {
            return false;
        }
        dev = device_new_class(m, maker, NULL);
        if (!device_realize(dev, errp)) {
            device_free(dev);
            return false;
        }
        maker->reset(dev);
    }
    return true;
}

/* A disk of zeroes for who wants one, which no other machine has. */
static bool give_drive(Machine *m, Device *dev, GError **errp)
{
    const Property *p = dev->cls->props;

    while (p && p->kind != PROP_END && p->kind != PROP_DRIVE) {
        p++;
    }
    return !p || p->kind == PROP_END ||
           (drive_add(m, "file=null-co://,format=raw,if=none,id=d0", errp) &&
            device_set(dev, p->name, "d0", errp));
}

static bool pair_init(Pair *p, const DeviceClass *cls, GError **errp)
{
    static const MachineClass bare = { .name = "bare", .max_cpus = 1 };

    memset(p, 0, sizeof(*p));
    for (int i = 0; i < 2; i++) {
        Machine *m = machine_new(&bare, clock_new_manual());

        p->m[i] = m;
        for (int g = 0; g < MACHINE_GSIS; g++) {
            m->gsi[g] = (IrqLine) { no_line, NULL, g };
        }
        clock_step(m->vclock, 1000000);
        p->dev[i] = device_new_class(m, cls, NULL);
        if (cls == &apic_class) {
            give_cpu(m, p->dev[i]);
        }
        if (!give_bus(m, cls, errp) || !give_drive(m, p->dev[i], errp) ||
            !device_realize(p->dev[i], errp)) {
            return false;
        }
        if (cls->reset) {
            cls->reset(p->dev[i]);
        }
    }
    return true;
}

static void pair_fini(Pair *p)
{
    for (int i = 0; i < 2; i++) {
        void *board;

        if (!p->m[i]) {
            continue; /* the first one would not do */
        }
        board = p->m[i]->board;
        if (p->dev[i] && !p->dev[i]->realized) {
            device_free(p->dev[i]);
        }
        while (p->m[i]->devices->len) { /* before their disks */
            device_free(p->m[i]->devices->pdata[p->m[i]->devices->len - 1]);
        }
        drives_free(p->m[i]);
        machine_free(p->m[i]);
        g_free(board);
    }
}

static GByteArray *save(const VMState *desc, void *obj)
{
    GByteArray *out = g_byte_array_new();
    g_autoptr(GError) err = NULL;

    vmstate_save(out, desc, obj, &err);
    g_assert_no_error(err);
    return out;
}

static bool load(const VMState *desc, void *obj, GByteArray *in, GError **errp)
{
    size_t pos = 0;
    bool ok = vmstate_load(in, &pos, desc, obj, errp);

    g_assert_true(!ok || pos == in->len);
    return ok;
}

static void expect_same(const VMState *desc, void *x, GByteArray *a, void *y,
                        GByteArray *b)
{
    if (a->len != b->len || memcmp(a->data, b->data, a->len) != 0) {
        g_autoptr(GString) s = g_string_new(NULL), t = g_string_new(NULL);

        vmstate_dump(s, desc, x);
        vmstate_dump(t, desc, y);
        g_test_message("saved:\n%s\nloaded:\n%s", s->str, t->str);
        g_test_fail();
    }
}

static GByteArray *save_dev(Device *dev)
{
    return save(dev->cls->vmstate, dev);
}

static bool load_dev(Device *dev, GByteArray *in, GError **errp)
{
    return load(dev->cls->vmstate, dev, in, errp);
}

static void expect_same_dev(Device *dev[2], GByteArray *a, GByteArray *b)
{
    expect_same(dev[0]->cls->vmstate, dev[0], a, dev[1], b);
}

/* ---- a guest ----------------------------------------------------------------- */

typedef struct Access {
    bool port, write;
    bool config;    /* of a PCI function */
    unsigned range; /* of the flat map */
    hwaddr offset;
    unsigned size;
    uint64_t value;
    int64_t then_ns; /* time that passes */
} Access;

static void access_random(Access *a)
{
    *a = (Access) {
        .port = g_test_rand_int_range(0, 4) > 0,
        .write = g_test_rand_bit(),
        .config = g_test_rand_int_range(0, 3) == 0,
        .range = (unsigned)g_test_rand_int_range(0, 16),
        .offset = (hwaddr)g_test_rand_int_range(0, 1024),
        .size = 1u << g_test_rand_int_range(0, 3),
        .value = (uint64_t)g_test_rand_int(),
        .then_ns = g_test_rand_bit() ? g_test_rand_int_range(0, 100000) : 0,
    };
}

static uint64_t access_config(Device *dev, const Access *a)
{
    PciDevice *pd = container_of(dev, PciDevice, dev);
    unsigned off = a->offset % PCI_CONFIG_SIZE & ~(a->size - 1);

    if (a->write) {
        pci_config_write(pd, off, (uint32_t)a->value, a->size);
        return 0;
    }
    return pci_config_read(pd, off, a->size);
}

/* What the guest sees. */
static uint64_t access_do(Device *dev, const Access *a)
{
    Machine *m = dev->machine;
    AddressSpace *as = a->port ? m->io : m->mem;
    const FlatMap *map = as_flat(as);
    const FlatRange *f;
    uint64_t v = 0;

    if (a->config && is_pci(dev->cls)) {
        return access_config(dev, a);
    }
    if (map->n) {
        f = &map->range[a->range % map->n];
        if (a->write) {
            as_store(as, f->base + a->offset % f->size, a->value, a->size);
        } else {
            v = as_load(as, f->base + a->offset % f->size, a->size);
        }
    }
    clock_step(m->vclock, a->then_ns);
    return v;
}

static void run_both(Pair *p)
{
    for (unsigned i = 0; i < ACCESSES; i++) {
        Access a;

        access_random(&a);
        g_assert_cmphex(access_do(p->dev[0], &a), ==, access_do(p->dev[1], &a));
    }
}

static void run_one(Device *dev)
{
    for (unsigned i = 0; i < ACCESSES; i++) {
        Access a;

        access_random(&a);
        access_do(dev, &a);
    }
    clock_step(dev->machine->vclock, RUN_NS);
}

static void same_time(Pair *p)
{
    int64_t t0 = clock_ns(p->m[0]->vclock), t1 = clock_ns(p->m[1]->vclock);

    clock_step(p->m[t0 < t1 ? 0 : 1]->vclock, ABS(t0 - t1));
}

/* The devices that the one under test needs. */
static void same_others(Pair *p)
{
    for (guint i = 0; i < p->m[0]->devices->len; i++) {
        Device *from = p->m[0]->devices->pdata[i];
        Device *to = p->m[1]->devices->pdata[i];
        g_autoptr(GByteArray) s = NULL;
        g_autoptr(GError) err = NULL;

        if (from != p->dev[0]) {
            s = save_dev(from);
            load_dev(to, s, &err);
            g_assert_no_error(err);
        }
    }
}

/* ---- the tests -------------------------------------------------------------------- */

static void reset(const DeviceClass *cls, Device *dev)
{
    if (cls->reset) {
        cls->reset(dev);
    }
}

static void test_reachable(Pair *p, const DeviceClass *cls)
{
    for (unsigned round = 0; round < ROUNDS && !g_test_failed(); round++) {
        g_autoptr(GByteArray) one = NULL, two = NULL;
        g_autoptr(GError) err = NULL;

        reset(cls, p->dev[0]);
        if (round > 0) {
            run_one(p->dev[0]);
            same_time(p);
        }
        same_others(p);
        one = save_dev(p->dev[0]);
        load_dev(p->dev[1], one, &err);
        g_assert_no_error(err);
        two = save_dev(p->dev[1]);
        expect_same_dev(p->dev, one, two);
        run_both(p);
    }
}

static void test_random(Pair *p, const DeviceClass *cls)
{
    unsigned taken = 0;

    for (unsigned round = 0; round < ROUNDS && !g_test_failed(); round++) {
        g_autoptr(GByteArray) one = NULL, two = NULL, three = NULL;
        g_autoptr(GError) err = NULL;

        same_time(p);
        reset(cls, p->dev[0]);
        randomize(cls->vmstate, p->dev[0], 1u << (round % 6));
        one = save_dev(p->dev[0]);
        if (!load_dev(p->dev[1], one, &err)) {
            g_assert_nonnull(err);
            reset(cls, p->dev[1]);
            continue;
        }
        g_assert_no_error(err);
        taken++;
        two = save_dev(p->dev[1]);
        reset(cls, p->dev[0]);
        load_dev(p->dev[0], two, &err);
        g_assert_no_error(err);
        three = save_dev(p->dev[0]);
        expect_same_dev(p->dev, two, three);
        run_one(p->dev[1]);
    }
    g_test_message("%s: %u of %u random states taken", cls->name, taken,
                   ROUNDS);
}

/* The state of @from; @to is what hostile streams are loaded into. */
static void test_cut(const VMState *desc, void *from, void *to)
{
    g_autoptr(GByteArray) whole = save(desc, from);

    for (guint len = 0; len < whole->len; len++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(cut, whole->data, len);
        g_assert_false(load(desc, to, cut, &err));
        g_assert_nonnull(err);
    }
}

static void test_flip(const VMState *desc, void *from, void *to)
{
    g_autoptr(GByteArray) s = save(desc, from);
    guint step = MAX(8 * s->len / 4000, 1);

    for (guint bit = 0; bit < 8 * s->len; bit += step) {
        g_autoptr(GError) err = NULL;

        s->data[bit / 8] ^= 1 << (bit % 8);
        g_assert_true(load(desc, to, s, &err) == (err == NULL));
        s->data[bit / 8] ^= 1 << (bit % 8);
    }
}

static void test_class(gconstpointer data)
{
    const DeviceClass *cls = data;
    g_autoptr(GError) err = NULL;
    Pair p;

    if (!pair_init(&p, cls, &err)) {
        g_test_skip(err->message);
        pair_fini(&p);
        return;
    }
    test_reachable(&p, cls);
    test_random(&p, cls);
    reset(cls, p.dev[0]);
    test_cut(cls->vmstate, p.dev[0], p.dev[1]);
    test_flip(cls->vmstate, p.dev[0], p.dev[1]);
    pair_fini(&p);
}

static void test_cpu(void)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    X86Cpu *a = g_new0(X86Cpu, 1), *b = g_new0(X86Cpu, 1);
    const VMState *desc = &vmstate_x86;
    unsigned taken = 0;

    a->machine = b->machine = m;
    for (unsigned round = 0; round < 10 * ROUNDS; round++) {
        g_autoptr(GByteArray) one = NULL, two = NULL, three = NULL;
        g_autoptr(GError) err = NULL;

        randomize(desc, a, 1u << (round % 10));
        one = save(desc, a);
        if (!load(desc, b, one, &err)) {
            g_assert_nonnull(err);
            memset(&a->s, 0, sizeof(a->s));
            continue;
        }
        g_assert_no_error(err);
        taken++;
        two = save(desc, b);
        load(desc, a, two, &err);
        g_assert_no_error(err);
        three = save(desc, a);
        expect_same(desc, b, two, a, three);
    }
    g_test_message("x86-cpu: %u random states taken", taken);
    g_assert_cmpuint(taken, >, 0);
    memset(&a->s, 0, sizeof(a->s));
    test_cut(desc, a, b);
    test_flip(desc, a, b);
    g_free(a);
    g_free(b);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; device_classes[i]; i++) {
        const DeviceClass *cls = device_classes[i];
        g_autofree char *path = g_strdup_printf("/state/%s", cls->name);

        if (cls->vmstate) {
            g_test_add_data_func(path, cls, test_class);
        }
    }
    g_test_add_func("/state/x86-cpu", test_cpu);
    return g_test_run();
}
