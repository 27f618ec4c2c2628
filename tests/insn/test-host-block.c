/*
 * The whole engine against the host processor.
 *
 * The same bytes run in a child process (tests/lib/host-cpu.c) and on the
 * software CPU, in user mode, in a window of memory at the same addresses:
 * single instructions of every row, then blocks of random instructions with
 * forward branches, which is where lazy and dead flags, specialised handlers
 * and exact faults are. Everything must come out the same.
 *
 * RHEA_TEST_SEED, RHEA_TEST_N (blocks; single instructions are a tenth of it
 * per row), RHEA_TEST_LEN (instructions in a block, default random to 16),
 * RHEA_TEST_ROW (only rows of this name).
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "target-x86/flags.h"
#include "tests/lib/engine-vm.h"
#include "tests/lib/host-compare.h"
#include "tests/lib/host-cpu.h"
#include "tests/lib/insn-gen.h"

enum {
    BATCH = 512,
    EXC_NONE = -1,
    MAX_REPORTS = 20,
    PHYS_MEM = 0x300000, /* where the window and the code page really are */
    PHYS_CODE = 0x310000,
    PAGE = 4096,
    USER_PTE = 7,
    CODE_END = 0xf4, /* HLT, which is #GP in user mode */
};

typedef struct Engine {
    Evm *vm;
    X86State base; /* user mode, before the registers are loaded */
} Engine;

/* ---- the machine ------------------------------------------------------------------ */

/* Only the window and the code are there for user mode, as on the host. */
static void map_user(Evm *vm)
{
    uint64_t *pd = evm_ptr(vm, EVM_TABLES + 2 * PAGE);

    pd[0] &= ~(uint64_t)4;
    for (unsigned i = 1; i < 4 * 512; i++) {
        pd[i] = i << 21 == HOST_CODE ? pd[i] : 0;
    }
    for (unsigned i = 0; i < 512; i++) {
        evm_map(vm, HOST_CODE + i * PAGE, 0);
    }
    evm_map(vm, HOST_CODE, PHYS_CODE | USER_PTE);
    for (unsigned i = 0; i < HOST_MEM_SIZE; i += PAGE) {
        evm_map(vm, HOST_MEM + i, (PHYS_MEM + i) | USER_PTE);
    }
}

/*
 * What a KVM without VT-x and AMD-V does differently from a processor, each
 * seen on a bare vCPU, with nothing of ours in between:
 *
 * - FXSAVE, FXRSTOR: in 64-bit code an address that is not a multiple of 16
 *   is no #GP (in 32-bit code it is).
 * - AAM, AAD: AX and PF are right; SF and ZF are always clear.
 * - ENTER with 66h in 32-bit and 64-bit code pushes the whole EBP or RBP and
 *   writes all of it (two bytes are right); in 16-bit code it is right, and a
 *   nesting level is an internal error, which we complete.
 *
 * And STOS or MOV across two pages whose second faults has written its part of
 * the first; where both are there it is right. That is seldom met and stays in.
 */
static const char kvm_differs[] = "FXSAVE FXRSTOR AAM AAD ENTER ";

static void engine_limit(Engine *e)
{
    if (evm_is_tcg(e->vm)) {
        gen_limit(NULL, NULL);
        return;
    }
    gen_limit(e->vm->model,
              kvm_cpu(e->vm->c)->kvm->probe.interprets ? kvm_differs : NULL);
}

static void engine_init(Engine *e)
{
    X86State *s;

    e->vm = evm_new(EVM_USER64);
    engine_limit(e);
    s = &e->vm->c->s;
    map_user(e->vm);
    memset(evm_ptr(e->vm, PHYS_CODE), CODE_END, PAGE);
    s->cr4 |= CR4_OSXSAVE;
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    e->base = *s;
    cpu_raise(e->vm->c, CPU_FLUSH);
}

static void engine_mode(Engine *e, unsigned bits)
{
    X86Cpu *c = e->vm->c;

    c->s = e->base;
    c->lazy.op = FLAGS_EXACT;
    if (bits == 32) {
        c->s.seg[S_CS].sel = 0x43;
        c->s.seg[S_CS].attr = (c->s.seg[S_CS].attr & ~SEG_L) | SEG_DB;
    }
}

/* What the handler's stub found: the state of the instruction's start or end. */
static void engine_result(Engine *e, int vector, unsigned len, HostState *out)
{
    X86Cpu *c = e->vm->c;
    EvmFrame f = evm_frame(e->vm, vector);

    flags_sync(c);
    host_state_from_cpu(&c->s, out);
    out->vector = vector;
    out->rip = f.rip;
    out->rflags = f.rflags;
    out->gpr[R_RSP] = f.rsp;
    out->error = f.error;
    out->cr2 = c->s.cr2;
    if (out->cr2 < 0x200000) {
        out->error &= ~1u; /* our tables are there, but not for user mode */
    }
    if (vector == EXC_GP && out->rip - HOST_INSN >= len) {
        out->vector = EXC_NONE; /* the HLT behind the code */
        out->error = 0;
    } else if (vector == EXC_PF && out->cr2 == out->rip) {
        out->vector = EXC_NONE; /* a jump to nowhere */
    }
}

static void engine_run(Engine *e, const HostJob *job, HostState *out)
{
    X86Cpu *c = e->vm->c;
    hwaddr at = PHYS_CODE + (HOST_INSN & (PAGE - 1));
    int vector;

    engine_mode(e, job->bits);
    host_state_to_cpu(&job->in, &c->s);
    x86_update_mode(c);
    evm_write(e->vm, at, job->bytes, job->len);
    memcpy(evm_ptr(e->vm, PHYS_MEM), job->in.mem, HOST_MEM_SIZE);
    /* Nothing jumps back; KVM would have to step to count. */
    vector = evm_run(e->vm, evm_is_tcg(e->vm) ? 1000000 : 0);
    engine_result(e, vector, job->len, out);
    memcpy(out->mem, evm_ptr(e->vm, PHYS_MEM), HOST_MEM_SIZE);
    memset(evm_ptr(e->vm, at), CODE_END, job->len);
}

/* ---- comparing ------------------------------------------------------------------------ */

typedef struct Run {
    Engine e;
    HostJob *jobs;
    uint32_t undefined[BATCH][HOST_BYTES + 1]; /* gen_block() */
    unsigned n;
    unsigned done, bad, lost, faults;
} Run;

/* The instruction at @rip, or the only one; a NOP if there is neither. */
static Insn insn_at(const HostJob *job, uint64_t rip)
{
    static const uint8_t nop = 0x90;
    uint64_t at = rip - HOST_INSN;
    Insn in;

    if (decode_insn(job->bytes, job->len, job->bits, &in) == DECODE_OK &&
        in.len == job->len) {
        return in;
    }
    if (at >= job->len || decode_insn(job->bytes + at, job->len - at, job->bits,
                                      &in) != DECODE_OK) {
        decode_insn(&nop, 1, 64, &in);
    }
    return in;
}

static void list_code(GString *d, const HostJob *job)
{
    for (unsigned at = 0; at < job->len;) {
        Insn in;

        if (decode_insn(job->bytes + at, job->len - at, job->bits, &in) !=
            DECODE_OK) {
            break;
        }
        g_string_append_printf(d, "\n    +%02x %s ", at, insn_rows[in.id].name);
        host_put_bytes(d, job->bytes + at, in.len);
        at += in.len;
    }
}

static void check_job(Run *r, const HostJob *job, const uint32_t *undefined)
{
    static HostState ours;
    uint64_t at = job->out.rip - HOST_INSN;
    uint32_t unsure = at <= job->len ? undefined[at] : 0;
    Insn in = insn_at(job, job->out.rip);
    g_autoptr(GString) d = NULL;

    engine_run(&r->e, job, &ours);
    d = host_compare(job, &ours, &in, (FL_ARITH | FL_DF) & ~(uint64_t)unsure);
    if (d->len > 0 && r->bad++ < MAX_REPORTS) {
        list_code(d, job);
        host_describe(d, job, &in);
        g_test_message("%u bits:%s", job->bits, d->str);
    }
}

static void run_batch(Run *r)
{
    host_run_jobs(r->jobs, r->n);
    for (unsigned i = 0; i < r->n; i++) {
        const HostJob *job = &r->jobs[i];

        if (!job->done) {
            r->lost++;
            continue;
        }
        r->done++;
        r->faults += job->out.vector >= 0;
        check_job(r, job, r->undefined[i]);
    }
    r->n = 0;
}

/* ---- tests ------------------------------------------------------------------------------- */

static uint64_t env_number(const char *name, uint64_t fallback)
{
    const char *s = g_getenv(name);

    return s ? g_ascii_strtoull(s, NULL, 0) : fallback;
}

static void add_singles(Run *r, unsigned id, unsigned bits, unsigned count)
{
    const InsnRow *row = &insn_rows[id];
    const char *only = g_getenv("RHEA_TEST_ROW");
    Insn in;

    if (!gen_row_usable(id) || row->attr & (bits == 64 ? IA_I64 : IA_O64) ||
        (only && strcmp(only, row->name))) {
        return;
    }
    for (unsigned i = 0, tries = 0; i < count && tries < 20 * count; tries++) {
        if (gen_single(&r->jobs[r->n], id, bits, &in)) {
            r->undefined[r->n][0] = 0;
            r->undefined[r->n][r->jobs[r->n].len] = row->fl_undef;
            r->n++;
            i++;
        }
        if (r->n == BATCH) {
            run_batch(r);
        }
    }
}

static void run_singles(Run *r, unsigned bits, uint64_t n)
{
    for (unsigned id = 0; id < insn_row_count; id++) {
        add_singles(r, id, bits, n);
    }
}

static void run_blocks(Run *r, unsigned bits, uint64_t n)
{
    uint64_t len = env_number("RHEA_TEST_LEN", 0);

    while (n-- > 0) {
        gen_block(&r->jobs[r->n], bits, len ? len : 1 + gen_below(16),
                  r->undefined[r->n]);
        if (++r->n == BATCH) {
            run_batch(r);
        }
    }
}

typedef struct Plan {
    const char *path;
    void (*run)(Run *r, unsigned bits, uint64_t n);
    unsigned bits, share; /* of RHEA_TEST_N */
} Plan;

static const Plan plans[] = {
    { "/host-block/singles-64", run_singles, 64, 1000 },
    { "/host-block/singles-32", run_singles, 32, 1000 },
    { "/host-block/blocks-64", run_blocks, 64, 1 },
    { "/host-block/blocks-32", run_blocks, 32, 1 },
};

static void test_plan(gconstpointer data)
{
    const Plan *plan = data;
    uint64_t seed = env_number("RHEA_TEST_SEED", 1);
    Run *r;

    if (!host_cpu_usable()) {
        g_test_skip("the host has no AVX, or the addresses are taken");
        return;
    }
    g_test_message("RHEA_TEST_SEED=%" PRIu64, seed);
    gen_seed(seed);
    r = g_new0(Run, 1);
    engine_init(&r->e);
    r->jobs = host_jobs_new(BATCH);
    plan->run(r, plan->bits, env_number("RHEA_TEST_N", 2000) / plan->share);
    run_batch(r);
    g_test_message("%u done, %u faulted, %u lost, %u differ", r->done,
                   r->faults, r->lost, r->bad);
    if (r->bad || r->lost) {
        g_test_fail();
    }
    host_jobs_free(r->jobs, BATCH);
    evm_free(r->e.vm);
    g_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(plans); i++) {
        g_test_add_data_func(plans[i].path, &plans[i], test_plan);
    }
    return g_test_run();
}
