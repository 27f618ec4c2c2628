/*
 * What exits cost: "info kvm", "info exits".
 *
 * Counted by the vCPU's thread under a lock of its own, which nobody else
 * wants but while the monitor looks.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"

/* By number; names are those of the documentation. */
static const char *const exit_names[] = {
    [KVM_EXIT_UNKNOWN] = "UNKNOWN",
    [KVM_EXIT_EXCEPTION] = "EXCEPTION",
    [KVM_EXIT_IO] = "IO",
    [KVM_EXIT_HYPERCALL] = "HYPERCALL",
    [KVM_EXIT_DEBUG] = "DEBUG",
    [KVM_EXIT_HLT] = "HLT",
    [KVM_EXIT_MMIO] = "MMIO",
    [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
    [KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
    [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
    [KVM_EXIT_INTR] = "INTR",
    [KVM_EXIT_SET_TPR] = "SET_TPR",
    [KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS",
    [KVM_EXIT_NMI] = "NMI",
    [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
    [KVM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
    [KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
    [KVM_EXIT_X86_WRMSR] = "X86_WRMSR",
    [KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
};

const char *kvm_exit_name(unsigned reason)
{
    if (reason < G_N_ELEMENTS(exit_names) && exit_names[reason]) {
        return exit_names[reason];
    }
    return "other";
}

/* ---- counting --------------------------------------------------------------------- */

static guint place_hash(gconstpointer p)
{
    const KvmPlace *pl = p;

    return (guint)(pl->addr * 2654435761u) ^ pl->mmio << 1 ^ pl->write;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
    const KvmPlace *x = a, *y = b;

    return x->addr == y->addr && x->mmio == y->mmio && x->write == y->write;
}

void kvm_stats_init(KvmStats *st)
{
    g_mutex_init(&st->lock);
    st->places = g_hash_table_new_full(place_hash, place_equal, g_free, NULL);
    st->completed =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void kvm_stats_fini(KvmStats *st)
{
    g_hash_table_unref(st->places);
    g_hash_table_unref(st->completed);
    g_mutex_clear(&st->lock);
}

static void stats_add_place(KvmStats *st, int64_t ns)
{
    enum { PLACES_MAX = 4096 }; /* a guest can touch any number */
    KvmPlace *pl = g_hash_table_lookup(st->places, &st->place);

    if (!pl && g_hash_table_size(st->places) < PLACES_MAX) {
        pl = g_new(KvmPlace, 1);
        *pl = st->place;
        g_hash_table_add(st->places, pl);
    }
    if (pl) {
        pl->count++;
        pl->ns += ns;
    }
}

void kvm_stats_exit(KvmCpu *kc, unsigned reason, int64_t ns)
{
    KvmStats *st = &kc->stats;

    reason = MIN(reason, (unsigned)KVM_EXITS_MAX - 1);
    g_mutex_lock(&st->lock);
    st->exits[reason]++;
    st->ns[reason] += ns;
    if (st->has_place) {
        stats_add_place(st, ns);
        st->has_place = false;
    }
    g_mutex_unlock(&st->lock);
}

void kvm_stats_place(KvmCpu *kc, uint64_t addr, bool mmio, bool write)
{
    kc->stats.place = (KvmPlace) { .addr = addr, .mmio = mmio, .write = write };
    kc->stats.has_place = true;
}

void kvm_stats_completed(KvmCpu *kc, const char *mnemonic)
{
    KvmStats *st = &kc->stats;
    uint64_t *n;

    g_mutex_lock(&st->lock);
    st->failures++;
    n = g_hash_table_lookup(st->completed, mnemonic);
    if (!n) {
        n = g_new0(uint64_t, 1);
        g_hash_table_insert(st->completed, g_strdup(mnemonic), n);
    }
    ++*n;
    g_mutex_unlock(&st->lock);
}

/* ---- telling ------------------------------------------------------------------------- */

bool kvm_enabled(const Machine *m)
{
    return m->accel && m->accel->ops == &kvm_accel;
}

typedef struct KvmSum {
    KvmStats all;
    GArray *places;    /* KvmPlace */
    GPtrArray *names;  /* mnemonics, owned */
    GArray *name_hits; /* uint64_t, beside them */
} KvmSum;

static void sum_place(GArray *places, const KvmPlace *p)
{
    for (guint i = 0; i < places->len; i++) {
        KvmPlace *have = &g_array_index(places, KvmPlace, i);

        if (place_equal(have, p)) {
            have->count += p->count;
            have->ns += p->ns;
            return;
        }
    }
    g_array_append_val(places, *p);
}

static void sum_name(KvmSum *sum, const char *name, uint64_t hits)
{
    for (guint i = 0; i < sum->names->len; i++) {
        if (!strcmp(g_ptr_array_index(sum->names, i), name)) {
            g_array_index(sum->name_hits, uint64_t, i) += hits;
            return;
        }
    }
    g_ptr_array_add(sum->names, g_strdup(name));
    g_array_append_val(sum->name_hits, hits);
}

static void sum_add(KvmSum *sum, KvmStats *st)
{
    GHashTableIter it;
    void *k, *v;

    g_mutex_lock(&st->lock);
    for (unsigned i = 0; i < KVM_EXITS_MAX; i++) {
        sum->all.exits[i] += st->exits[i];
        sum->all.ns[i] += st->ns[i];
    }
    sum->all.failures += st->failures;
    sum->all.bursts += st->bursts;
    sum->all.burst_insns += st->burst_insns;
    sum->all.burst_ns += st->burst_ns;
    sum->all.in_kvm_ns += st->in_kvm_ns;
    g_hash_table_iter_init(&it, st->places);
    while (g_hash_table_iter_next(&it, &k, NULL)) {
        sum_place(sum->places, k);
    }
    g_hash_table_iter_init(&it, st->completed);
    while (g_hash_table_iter_next(&it, &k, &v)) {
        sum_name(sum, k, *(uint64_t *)v);
    }
    g_mutex_unlock(&st->lock);
}

static gint place_cmp(gconstpointer a, gconstpointer b)
{
    const KvmPlace *x = a, *y = b;

    return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static void sum_machine(KvmSum *sum, Machine *m)
{
    memset(sum, 0, sizeof(*sum));
    sum->places = g_array_new(false, false, sizeof(KvmPlace));
    sum->names = g_ptr_array_new_with_free_func(g_free);
    sum->name_hits = g_array_new(false, false, sizeof(uint64_t));
    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        sum_add(sum, &kvm_cpu(m->cpu[i])->stats);
    }
    g_array_sort(sum->places, place_cmp);
}

static void sum_free(KvmSum *sum)
{
    g_array_unref(sum->places);
    g_ptr_array_unref(sum->names);
    g_array_unref(sum->name_hits);
}

void kvm_info(Machine *m, GString *out)
{
    const KvmAccel *a;
    KvmSum sum;

    g_string_append_printf(out, "kvm support: %s\n",
                           kvm_enabled(m) ? "enabled" : "disabled");
    if (!kvm_enabled(m)) {
        return;
    }
    a = container_of(m->accel, KvmAccel, accel);
    g_string_append_printf(
        out, "speed: about %.1f million instructions/s%s%s\n",
        a->probe.insns_per_sec / 1e6,
        a->probe.interprets ? " (this KVM interprets)" : "",
        a->probe.adds_cpuid ? "; CPUID shows more than -cpu gives" : "");
    sum_machine(&sum, m);
    g_string_append_printf(out, "time: %.3f s in KVM_RUN, %.3f s in software\n",
                           sum.all.in_kvm_ns / 1e9, sum.all.burst_ns / 1e9);
    g_string_append_printf(out,
                           "executed in software: %" PRIu64
                           " instructions, in %" PRIu64 " bursts\n",
                           sum.all.burst_insns, sum.all.bursts);
    g_string_append_printf(
        out, "refused by KVM, completed in software: %" PRIu64 "%s\n",
        sum.all.failures, sum.names->len ? ", by instruction:" : "");
    for (guint i = 0; i < sum.names->len; i++) {
        g_string_append_printf(out, "  %-20s %10" PRIu64 "\n",
                               (const char *)g_ptr_array_index(sum.names, i),
                               g_array_index(sum.name_hits, uint64_t, i));
    }
    sum_free(&sum);
}

static void foreach_place(const KvmPlace *p, KvmStatFn *fn, void *opaque)
{
    const char *name = p->mmio ? (p->write ? "mmio-write" : "mmio-read")
                               : (p->write ? "out" : "in");

    fn(KVM_STAT_PLACE, name, p->addr, p->count, p->ns, opaque);
}

void kvm_stats_foreach(Machine *m, KvmStatFn *fn, void *opaque)
{
    KvmSum sum;

    if (!kvm_enabled(m)) {
        return;
    }
    sum_machine(&sum, m);
    for (unsigned i = 0; i < KVM_EXITS_MAX; i++) {
        if (sum.all.exits[i]) {
            fn(KVM_STAT_EXIT, kvm_exit_name(i), 0, sum.all.exits[i],
               sum.all.ns[i], opaque);
        }
    }
    for (guint i = 0; i < sum.places->len; i++) {
        foreach_place(&g_array_index(sum.places, KvmPlace, i), fn, opaque);
    }
    for (guint i = 0; i < sum.names->len; i++) {
        fn(KVM_STAT_COMPLETED, g_ptr_array_index(sum.names, i), 0,
           g_array_index(sum.name_hits, uint64_t, i), 0, opaque);
    }
    fn(KVM_STAT_ENGINE, "kvm", 0, 0, sum.all.in_kvm_ns, opaque);
    fn(KVM_STAT_ENGINE, "software", 0, sum.all.burst_insns, sum.all.burst_ns,
       opaque);
    sum_free(&sum);
}

void kvm_stats(X86Cpu *c, CpuStatFn *fn, void *opaque)
{
    KvmStats *st = &kvm_cpu(c)->stats;

    g_mutex_lock(&st->lock);
    for (unsigned i = 0; i < KVM_EXITS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("exits %s", kvm_exit_name(i));

        if (st->exits[i]) {
            fn(name, st->exits[i], opaque);
        }
    }
    fn("instructions completed in software", st->burst_insns, opaque);
    g_mutex_unlock(&st->lock);
}

static void exits_reasons(const KvmSum *sum, GString *out)
{
    g_string_append(out, "why KVM_RUN came back           count   handled in us"
                         "  ns each\n");
    for (unsigned i = 0; i < KVM_EXITS_MAX; i++) {
        g_autofree char *name =
            g_strdup_printf("KVM_EXIT_%s", kvm_exit_name(i));
        uint64_t n = sum->all.exits[i];

        if (n) {
            g_string_append_printf(
                out, "%-24s %12" PRIu64 " %15.0f %8" PRIu64 "\n", name, n,
                sum->all.ns[i] / 1e3, sum->all.ns[i] / n);
        }
    }
}

/* Whose port or address it is now. */
static const char *place_owner(Machine *m, const KvmPlace *p)
{
    const FlatRange *fr = as_find(p->mmio ? m->mem : m->io, p->addr);

    if (p->mmio &&
        (p->addr & PAGE_MASK) == (m->cpu[0]->s.apic_base & PAGE_MASK)) {
        return "local APIC";
    }
    return fr ? fr->region->name : "nothing there";
}

static void exits_place(Machine *m, const KvmPlace *p, GString *out)
{
    const char *what = p->mmio ? "mmio" : p->write ? "out" : "in";

    g_string_append_printf(
        out, "%-4s %s%9" PRIx64 " %19" PRIu64 " %15.0f %8" PRIu64 "  %s\n",
        what, p->mmio ? (p->write ? "wr " : "rd ") : "   ", p->addr, p->count,
        p->ns / 1e3, p->ns / p->count, place_owner(m, p));
}

void kvm_info_exits(Machine *m, GString *out)
{
    enum { SHOWN = 40 };
    KvmSum sum;

    if (!kvm_enabled(m)) {
        g_string_append(out, "only -accel kvm has exits\n");
        return;
    }
    sum_machine(&sum, m);
    exits_reasons(&sum, out);
    if (sum.places->len) {
        g_string_append(out,
                        "\nport or address                 count   handled "
                        "in us  ns each  device\n");
    }
    for (guint i = 0; i < sum.places->len && i < SHOWN; i++) {
        exits_place(m, &g_array_index(sum.places, KvmPlace, i), out);
    }
    if (sum.places->len > SHOWN) {
        g_string_append_printf(out, "and %u more\n", sum.places->len - SHOWN);
    }
    sum_free(&sum);
}
