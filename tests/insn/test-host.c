/*
 * Every user-mode row of insn.def against the host processor.
 *
 * Random encodings with random and boundary operands (tests/lib/insn-gen.c) run
 * on the host (in a child, tests/lib/host-cpu.c) and through decode_insn() and
 * the row's sem function (tests/lib/fake-access.c); registers, flags, ymm, x87,
 * MXCSR, memory and exceptions must come out the same. What the engine checks
 * before it calls a sem function (alignment, pending x87 exceptions) is done
 * here. test-host-block.c does the same through the engine.
 *
 * RHEA_TEST_SEED, RHEA_TEST_N (encodings per row and mode), RHEA_TEST_ROW (only
 * rows of this name).
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "target-x86/operand.h"
#include "tests/lib/fake-access.h"
#include "tests/lib/host-compare.h"
#include "tests/lib/host-cpu.h"
#include "tests/lib/insn-gen.h"

enum {
    BATCH = 512,
    EXC_NONE = -1,
    MAX_REPORTS = 3, /* per row */
};

/* ---- our side ------------------------------------------------------------------ */

/* What the engine finds before it calls the function: a vector, or -1. */
static int engine_check(X86Cpu *c, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];

    if (row->attr & (IA_FWAIT | IA_MMX) && c->s.fsw & ~c->s.fcw & 0x3f) {
        return EXC_MF;
    }
    if (row->attr & IA_ALIGN && in->is_mem) {
        for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
            unsigned kind = row->op[i].kind;

            if ((kind == OPK_M || kind == OPK_W) &&
                op_addr(c, in) % op_size(in, i)) {
                return EXC_GP;
            }
        }
    }
    return EXC_NONE;
}

/* The instruction through decoder and sem function. */
static void run_ours(FakeCpu *f, const HostJob *job, HostState *out)
{
    X86Cpu *c = &f->cpu;
    Insn in;
    FakeExit how;

    fake_mode(f, job->bits == 64 ? FAKE_LONG64 : FAKE_COMPAT32);
    fake_set_cpl(f, 3);
    host_state_to_cpu(&job->in, &c->s);
    memcpy(f->ram, job->in.mem, HOST_MEM_SIZE);
    out->vector = EXC_NONE;
    out->error = out->cr2 = 0;
    if (decode_insn(job->bytes, job->len, job->bits, &in) != DECODE_OK) {
        out->vector = EXC_UD;
    } else {
        out->vector = engine_check(c, &in);
    }
    while (out->vector == EXC_NONE) {
        uint64_t next = insn_next_rip(c, &in);

        how = fake_exec(f, insn_rows[in.id].sem, &in);
        if (how == FAKE_FAULT) {
            out->vector = c->fault.vector;
            out->error = c->fault.error;
            out->cr2 = c->fault.cr2;
        } else if (how == FAKE_DONE && !(insn_rows[in.id].attr & IA_JUMP)) {
            c->s.rip = next;
        }
        if (how != FAKE_RESTART) {
            break;
        }
    }
    flags_sync(c);
    host_state_from_cpu(&c->s, out);
    memcpy(out->mem, f->ram, HOST_MEM_SIZE);
}

/* ---- rows ------------------------------------------------------------------------ */

typedef struct Run {
    FakeCpu *f;
    HostJob *jobs;
    Insn in[BATCH];
    unsigned n;
    unsigned done, bad, lost, faults;
    unsigned reports; /* of the row that was reported last */
    unsigned reported;
} Run;

/* Undefined flags are compared too, sem functions run the host's instruction;
 * but for OF of shifts by a constant, which need not be as those by CL. */
static uint64_t compared_flags(const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    bool by_imm = row->map == MAP_M1 && (row->opcode & ~1) == 0xc0;

    return (FL_ARITH | FL_DF) & ~(by_imm ? row->fl_undef & FL_OF : 0);
}

static void run_batch(Run *r)
{
    static HostState ours;

    host_run_jobs(r->jobs, r->n);
    for (unsigned i = 0; i < r->n; i++) {
        HostJob *job = &r->jobs[i];
        g_autoptr(GString) d = NULL;
        g_autoptr(GString) bytes = g_string_new(NULL);

        if (!job->done) {
            r->lost++;
            continue;
        }
        r->done++;
        r->faults += job->out.vector >= 0;
        run_ours(r->f, job, &ours);
        d = host_compare(job, &ours, &r->in[i], compared_flags(&r->in[i]));
        if (d->len == 0) {
            continue;
        }
        r->bad++;
        r->reports = r->reported == r->in[i].id ? r->reports + 1 : 0;
        r->reported = r->in[i].id;
        if (r->reports < MAX_REPORTS) {
            host_describe(d, job, &r->in[i]);
            host_put_bytes(bytes, job->bytes, job->len);
            g_test_message("%s, %u bits, %s:%s", insn_rows[r->in[i].id].name,
                           job->bits, bytes->str, d->str);
        }
    }
    r->n = 0;
}

static void run_row(Run *r, unsigned id, unsigned bits, unsigned count)
{
    unsigned tries = 0;

    for (unsigned i = 0; i < count && tries < 20 * count; tries++) {
        if (gen_single(&r->jobs[r->n], id, bits, &r->in[r->n])) {
            i++;
            r->n++;
        }
        if (r->n == BATCH) {
            run_batch(r);
        }
    }
    if (tries >= 20 * count) {
        g_test_message("%s: no encoding found", insn_rows[id].name);
        r->bad++;
    }
}

static uint64_t env_number(const char *name, uint64_t fallback)
{
    const char *s = g_getenv(name);

    return s ? g_ascii_strtoull(s, NULL, 0) : fallback;
}

static void test_rows(gconstpointer data)
{
    unsigned bits = GPOINTER_TO_UINT(data);
    uint64_t count = env_number("RHEA_TEST_N", 12), seed;
    const char *only = g_getenv("RHEA_TEST_ROW");
    Run *r;

    if (!host_cpu_usable()) {
        g_test_skip("the host has no AVX, or the addresses are taken");
        return;
    }
    seed = env_number("RHEA_TEST_SEED", 1);
    g_test_message("RHEA_TEST_SEED=%" PRIu64, seed);
    gen_seed(seed);
    r = g_new0(Run, 1);
    r->f = fake_new(FAKE_LONG64, HOST_MEM, HOST_MEM_SIZE);
    r->jobs = host_jobs_new(BATCH);
    for (unsigned id = 0; id < insn_row_count; id++) {
        const InsnRow *row = &insn_rows[id];

        if (gen_row_usable(id) && (!only || !strcmp(only, row->name)) &&
            !(row->attr & (bits == 64 ? IA_I64 : IA_O64))) {
            run_row(r, id, bits, count);
        }
    }
    run_batch(r);
    g_test_message("%u instructions, %u faulted, %u lost, %u differ", r->done,
                   r->faults, r->lost, r->bad);
    if (r->bad || r->lost) {
        g_test_fail();
    }
    host_jobs_free(r->jobs, BATCH);
    fake_free(r->f);
    g_free(r);
}

/* No row is without its function. */
static void test_all_written(void)
{
    for (unsigned id = 0; id < insn_row_count; id++) {
        if (!insn_rows[id].sem) {
            g_test_message("%s has no sem function", insn_rows[id].name);
            g_test_fail();
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/all-written", test_all_written);
    g_test_add_data_func("/host/64", (void *)64, test_rows);
    g_test_add_data_func("/host/32", (void *)32, test_rows);
    return g_test_run();
}
