/*
 * What exits cost, as "info exits", "info kvm" and x-query-kvm-exits tell it:
 * the counts are those of the guest's accesses, the places are where they went,
 * the time is at least what a slow device took. Skipped without KVM.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "monitor/json.h"
#include "monitor/monitor.h"
#include "tests/lib/engine-vm.h"
#if CONFIG_JSON_C
#include "monitor/qmp-cmds.h"
#endif

enum {
    MMIO = 0x20000000,
    PORT = 0x510,
    SLOW = 4, /* offset of the register that takes its time */
    SLOW_US = 30000,
};

static uint64_t dev_read(void *opaque, hwaddr offset, unsigned size)
{
    if (offset == SLOW) {
        g_usleep(SLOW_US);
    }
    return 0;
}

static void dev_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
}

static const RegionOps dev_ops = { .read = dev_read, .write = dev_write };

/* 7 OUT, 5 IN (one slow), 3 stores, 2 loads; then what KVM's emulator has not. */
EVM_PROGRAM(accesses, "mov $0x510, %edx\n"
                      "mov $7, %ecx\n"
                      "1: outb %al, %dx\n"
                      "loop 1b\n"
                      "mov $4, %ecx\n"
                      "2: inw %dx, %ax\n"
                      "loop 2b\n"
                      "mov $0x514, %edx\n"
                      "inl %dx, %eax\n"
                      "mov $0x20000000, %ebx\n"
                      "mov %eax, (%rbx)\n"
                      "mov %eax, (%rbx)\n"
                      "mov %eax, 8(%rbx)\n"
                      "mov (%rbx), %eax\n"
                      "mov 8(%rbx), %eax\n"
                      "paddd 16(%rbx), %xmm0\n"
                      "hlt\n");

typedef struct Rig {
    Evm *vm;
    Region io, mem;
} Rig;

/* No turns: every access is to be an exit. */
static bool rig_init(Rig *r)
{
    r->vm = evm_new_with(EVM_LONG64, "kvm", "kvm,turns=off", NULL);
    if (!r->vm) {
        g_test_skip("no KVM here");
        return false;
    }
    region_init_io(&r->io, "ports", 8, &dev_ops, r);
    region_init_io(&r->mem, "memory", 64, &dev_ops, r);
    as_map(r->vm->m->io, PORT, &r->io, 0);
    as_map(r->vm->m->mem, MMIO, &r->mem, 0);
    EVM_LOAD(r->vm, EVM_CODE, accesses);
    return true;
}

static void rig_fini(Rig *r)
{
    as_unmap(&r->io);
    as_unmap(&r->mem);
    evm_free(r->vm);
}

static void rig_run(Rig *r)
{
    evm_mode(r->vm, EVM_LONG64);
    kvm_cpu(r->vm->c)->burst_end = 0; /* the next failure is a first one */
    g_assert_cmpint(evm_run(r->vm, 0), ==, EVM_HALT);
}

/* ---- the numbers --------------------------------------------------------------------- */

typedef struct Want {
    KvmStatKind kind;
    const char *name;
    uint64_t addr, count; /* of one round */
    uint64_t min_us;
} Want;

static const Want wants[] = {
    { KVM_STAT_EXIT, "IO", 0, 12, SLOW_US },
    { KVM_STAT_PLACE, "out", PORT, 7, 0 },
    { KVM_STAT_PLACE, "in", PORT, 4, 0 },
    { KVM_STAT_PLACE, "in", PORT + SLOW, 1, SLOW_US },
    { KVM_STAT_PLACE, "mmio-write", MMIO, 2, 0 },
    { KVM_STAT_PLACE, "mmio-write", MMIO + 8, 1, 0 },
    { KVM_STAT_PLACE, "mmio-read", MMIO, 1, 0 },
    { KVM_STAT_PLACE, "mmio-read", MMIO + 8, 1, 0 },
};

typedef struct Found {
    const Want *want;
    uint64_t count, ns;
    unsigned hits;
} Found;

static void find(KvmStatKind kind, const char *name, uint64_t addr,
                 uint64_t count, uint64_t ns, void *opaque)
{
    Found *f = opaque;

    if (kind == f->want->kind && !strcmp(name, f->want->name) &&
        addr == f->want->addr) {
        f->count = count;
        f->ns = ns;
        f->hits++;
    }
}

static Found found(Rig *r, const Want *want)
{
    Found f = { .want = want };

    kvm_stats_foreach(r->vm->m, find, &f);
    return f;
}

/* A kernel to come may execute PADDD on a device's memory by itself. */
static bool refuses(Rig *r)
{
    static const Want error = { .kind = KVM_STAT_EXIT,
                                .name = "INTERNAL_ERROR" };

    return found(r, &error).hits > 0;
}

static void test_numbers(void)
{
    static const Want completed = { .kind = KVM_STAT_COMPLETED,
                                    .name = "PADDD" };
    static const Want mmio = { .kind = KVM_STAT_EXIT, .name = "MMIO" };
    static const Want hlt = { .kind = KVM_STAT_EXIT, .name = "HLT" };
    static const Want in_kvm = { .kind = KVM_STAT_ENGINE, .name = "kvm" };
    static const Want soft = { .kind = KVM_STAT_ENGINE, .name = "software" };
    Rig r;

    if (!rig_init(&r)) {
        return;
    }
    for (unsigned round = 1; round <= 3; round++) {
        rig_run(&r);
        for (unsigned i = 0; i < G_N_ELEMENTS(wants); i++) {
            Found f = found(&r, &wants[i]);

            g_assert_cmpuint(f.hits, ==, 1);
            g_assert_cmpuint(f.count, ==, round * wants[i].count);
            g_assert_cmpuint(f.ns, >, 0);
            g_assert_cmpuint(f.ns, >=, round * wants[i].min_us * 1000);
            g_assert_cmpuint(f.ns, <, 60 * NS_PER_SEC);
        }
        /* The emulator may try, and ask for a piece of the operand first. */
        g_assert_cmpuint(found(&r, &mmio).count, >=, round * 5);
        if (refuses(&r)) {
            g_assert_cmpuint(found(&r, &completed).count, ==, round);
            g_assert_cmpuint(found(&r, &soft).count, >=, round);
            g_assert_cmpuint(found(&r, &soft).ns, >, 0);
        }
        g_assert_cmpuint(found(&r, &in_kvm).ns, >, 0);
        /* A burst of one: HLT is KVM's again. */
        g_assert_cmpuint(found(&r, &hlt).count, ==, round);
    }
    rig_fini(&r);
}

/* ---- the texts ----------------------------------------------------------------------- */

static char *monitor(Rig *r, const char *line)
{
    GString *out = g_string_new(NULL);

    machine_lock(r->vm->m);
    monitor_run_line(r->vm->m, line, out);
    machine_unlock(r->vm->m);
    return g_string_free(out, false);
}

/* A line of @text: @what, a count, microseconds, and ns each, which agree. */
static void expect_row(const char *text, const char *what, uint64_t count)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    size_t n = strlen(what);

    for (char **l = lines; *l; l++) {
        uint64_t got, us, each;

        if (strncmp(*l, what, n)) {
            continue;
        }
        g_assert_cmpint(sscanf(*l + n, "%" SCNu64 " %" SCNu64 " %" SCNu64, &got,
                               &us, &each),
                        ==, 3);
        g_assert_cmpuint(got, ==, count);
        g_assert_cmpuint(us, <=, (each + 1) * count / 1000 + 1);
        g_assert_cmpuint(us + 1, >=, each * count / 1000);
        return;
    }
    g_error("no line \"%s\" in:\n%s", what, text);
}

static void test_texts(void)
{
    g_autofree char *exits = NULL, *kvm = NULL, *before = NULL;
    Rig r;

    if (!rig_init(&r)) {
        return;
    }
    before = monitor(&r, "info exits");
    g_assert_null(strstr(before, "out "));
    rig_run(&r);
    rig_run(&r);
    exits = monitor(&r, "info exits");
    expect_row(exits, "KVM_EXIT_IO ", 24);
    expect_row(exits, "KVM_EXIT_HLT ", 2);
    expect_row(exits, "out           510 ", 14);
    expect_row(exits, "in            510 ", 8);
    expect_row(exits, "in            514 ", 2);
    expect_row(exits, "mmio wr  20000000 ", 4);
    expect_row(exits, "mmio rd  20000008 ", 2);
    g_assert_nonnull(strstr(exits, "  ports\n"));
    g_assert_nonnull(strstr(exits, "  memory\n"));
    /* Those that came most often first. */
    g_assert_true(strstr(exits, "out           510") <
                  strstr(exits, "in            510"));
    kvm = monitor(&r, "info kvm");
    g_assert_true(g_str_has_prefix(kvm, "kvm support: enabled\nspeed: about "));
    if (refuses(&r)) {
        g_assert_nonnull(strstr(kvm, "\nexecuted in software: 2 instructions, "
                                     "in 2 bursts\nrefused by KVM, completed "
                                     "in software: 2, by instruction:\n"));
        g_assert_nonnull(strstr(kvm, "\n  PADDD                         2\n"));
    }
    rig_fini(&r);
}

/* ---- for programs --------------------------------------------------------------------- */

#if CONFIG_JSON_C

/* Of the list @name the member where @key is @value (and address is @addr). */
static json_object *member(json_object *all, const char *name, const char *key,
                           const char *value, int64_t addr)
{
    json_object *list = json_object_object_get(all, name);

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);
        json_object *a = json_object_object_get(o, "address");

        if (!strcmp(js_get_str(o, key), value) &&
            (!a || json_object_get_int64(a) == addr)) {
            return o;
        }
    }
    return NULL;
}

static int64_t number(json_object *o, const char *key)
{
    g_assert_nonnull(o);
    return json_object_get_int64(json_object_object_get(o, key));
}

static void test_qmp(void)
{
    json_object *all, *slow;
    Rig r;

    if (!rig_init(&r)) {
        return;
    }
    rig_run(&r);
    all = qmp_query_kvm_exits(r.vm->m, NULL, NULL);
    g_assert_cmpint(number(member(all, "exits", "reason", "IO", 0), "count"),
                    ==, 12);
    slow = member(all, "places", "access", "in", PORT + SLOW);
    g_assert_cmpint(number(slow, "count"), ==, 1);
    g_assert_cmpint(number(slow, "ns"), >=, SLOW_US * 1000);
    g_assert_cmpint(
        number(member(all, "places", "access", "mmio-write", MMIO), "count"),
        ==, 2);
    if (refuses(&r)) {
        g_assert_cmpint(
            number(member(all, "completed", "instruction", "PADDD", 0),
                   "count"),
            ==, 1);
    }
    g_assert_cmpint(number(member(all, "engines", "engine", "kvm", 0), "ns"), >,
                    0);
    json_object_put(all);
    rig_fini(&r);
}

#endif

/* Under the software CPU: no exits, and that is said. */
static void test_tcg(void)
{
    Rig r = { .vm = evm_new_on(EVM_LONG64, "tcg") };
    g_autofree char *exits = monitor(&r, "info exits");
    g_autofree char *kvm = monitor(&r, "info kvm");

    g_assert_cmpstr(exits, ==, "only -accel kvm has exits\n");
    g_assert_cmpstr(kvm, ==, "kvm support: disabled\n");
    evm_free(r.vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/stats/numbers", test_numbers);
    g_test_add_func("/kvm/stats/texts", test_texts);
#if CONFIG_JSON_C
    g_test_add_func("/kvm/stats/qmp", test_qmp);
#endif
    g_test_add_func("/kvm/stats/tcg", test_tcg);
    return g_test_run();
}
