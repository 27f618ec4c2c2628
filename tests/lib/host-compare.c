/* See host-compare.h. */
#include "util/osdep.h"
#include "tests/lib/host-compare.h"

enum { EXC_NONE = -1 };

/* ---- states ------------------------------------------------------------------- */

void host_state_to_cpu(const HostState *h, X86State *s)
{
    memcpy(s->gpr, h->gpr, sizeof(s->gpr));
    s->rip = HOST_INSN;
    s->rflags = h->rflags;
    memcpy(s->vec, h->ymm, sizeof(s->vec));
    memcpy(&s->fcw, h->fx, 2);
    memcpy(&s->fsw, h->fx + 2, 2);
    s->ftw = h->fx[4];
    memcpy(&s->mxcsr, h->fx + 24, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(s->st[(i + (s->fsw >> 11)) & 7], h->fx + 32 + 16 * i, 10);
    }
    s->fop = 0;
    s->fip = s->fdp = 0;
    s->fcs = s->fds = 0;
}

void host_state_from_cpu(const X86State *s, HostState *h)
{
    memset(h->fx, 0, sizeof(h->fx));
    memcpy(h->gpr, s->gpr, sizeof(h->gpr));
    h->rflags = s->rflags;
    h->rip = s->rip;
    memcpy(h->ymm, s->vec, sizeof(h->ymm));
    memcpy(h->fx, &s->fcw, 2);
    memcpy(h->fx + 2, &s->fsw, 2);
    h->fx[4] = s->ftw;
    memcpy(h->fx + 6, &s->fop, 2);
    memcpy(h->fx + 8, &s->fip, 8);
    memcpy(h->fx + 16, &s->fdp, 8);
    memcpy(h->fx + 24, &s->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(h->fx + 32 + 16 * i, s->st[(i + (s->fsw >> 11)) & 7], 10);
    }
}

/* ---- differences -------------------------------------------------------------- */

void host_put_bytes(GString *s, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(s, "%02x", p[i]);
    }
}

/* The first difference, "" if there is none. */
static void difference(GString *d, const char *what, unsigned n, const void *in,
                       const void *host, const void *ours, unsigned len)
{
    if (memcmp(host, ours, len)) {
        g_string_append_printf(d, "\n    %s%u: in ", what, n);
        host_put_bytes(d, in, len);
        g_string_append(d, " host ");
        host_put_bytes(d, host, len);
        g_string_append(d, " ours ");
        host_put_bytes(d, ours, len);
    }
}

static void compare_fpu(GString *d, const HostState *in, const HostState *host,
                        const HostState *ours)
{
    difference(d, "fcw", 0, in->fx, host->fx, ours->fx, 2);
    difference(d, "fsw", 0, in->fx + 2, host->fx + 2, ours->fx + 2, 2);
    difference(d, "ftw", 0, in->fx + 4, host->fx + 4, ours->fx + 4, 1);
    difference(d, "mxcsr", 0, in->fx + 24, host->fx + 24, ours->fx + 24, 4);
    for (unsigned i = 0; i < 8; i++) {
        difference(d, "st", i, in->fx + 32 + 16 * i, host->fx + 32 + 16 * i,
                   ours->fx + 32 + 16 * i, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        difference(d, "ymm", i, in->ymm[i], host->ymm[i], ours->ymm[i], 32);
    }
}

static void compare_mem(GString *d, const HostState *in, const HostState *host,
                        const HostState *ours)
{
    if (!memcmp(host->mem, ours->mem, HOST_MEM_SIZE)) {
        return;
    }
    for (unsigned i = 0; i < HOST_MEM_SIZE; i += 16) {
        difference(d, "mem+", i, in->mem + i, host->mem + i, ours->mem + i, 16);
    }
}

/* At the top of a segment of 4 GiB a processor may wrap or raise #GP; BOUND may
 * read both bounds first, CALL push before it looks where it goes; MOVS and
 * CMPS have two operands that can fault. */
static bool may_choose(const Insn *in, const HostJob *job)
{
    return (job->bits == 32 && job->out.vector == EXC_PF &&
            (job->out.cr2 >= 0xfffff000 || job->out.cr2 < 64)) ||
           (job->out.vector == EXC_BR && insn_is(in, "BOUND")) ||
           insn_is(in, "MOVS CMPS CALL");
}

/* The page counts, not which part of a long operand is touched first (nor which
 * of two operands). Who owns kernel addresses is the host's secret. */
static bool same_fault(const HostState *host, const HostState *ours)
{
    bool kernel = host->cr2 >> 47;

    return host->cr2 / 4096 == ours->cr2 / 4096 &&
           ((host->error ^ ours->error) & (kernel ? 6 : 7)) == 0;
}

/*
 * Where the host leaves traces that no manual promises, mostly of faults:
 * gathers may have finished some elements, CALL to a non-canonical address has
 * pushed (or found no stack), FSTP m80 has written one page, REP with 32-bit
 * addresses may clear upper halves, the x87 has become MMX. Unmasked overflow
 * and underflow have their own idea of what is inexact.
 */
static void forgive(const Insn *in, const HostJob *job, HostState *ours)
{
    const HostState *host = &job->out;
    const InsnRow *row = &insn_rows[in->id];

    if (job->bits == 32) { /* upper halves are undefined on the way back */
        for (unsigned i = 0; i < 16; i++) {
            ours->gpr[i] =
                (host->gpr[i] & ~(uint64_t)UINT32_MAX) | (uint32_t)ours->gpr[i];
        }
    }
    if (row->attr & IA_STRING && in->adsize == 2) {
        static const uint8_t regs[] = { R_RCX, R_RSI, R_RDI };

        for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
            ours->gpr[regs[i]] =
                (host->gpr[regs[i]] >> 32 << 32) | (uint32_t)ours->gpr[regs[i]];
        }
    }
    if (host->vector == EXC_NONE) {
        return;
    }
    if (host->vector == EXC_XM && (host->fx[25] & 12) != 12) { /* OM, UM */
        ours->fx[24] = (ours->fx[24] & ~0x20) | (host->fx[24] & 0x20);
    }
    if (in->vsib) {
        memcpy(ours->ymm[in->reg], host->ymm[in->reg], 32);
        memcpy(ours->ymm[in->vvvv], host->ymm[in->vvvv], 32);
    }
    if (row->attr & IA_MMX) {
        memcpy(ours->fx, host->fx, 24);
        memcpy(ours->fx + 32, host->fx + 32, 128);
    }
    if (insn_is(in, "CALL") || row->op[0].size == OPS_T) {
        memcpy(ours->mem, host->mem, HOST_MEM_SIZE);
    }
}

GString *host_compare(const HostJob *job, HostState *ours, const Insn *in,
                      uint64_t flag_mask)
{
    GString *d = g_string_new(NULL);
    const HostState *host = &job->out;

    forgive(in, job, ours);

    if (host->vector != ours->vector && !may_choose(in, job)) {
        g_string_append_printf(d, "\n    exception: host %d ours %d",
                               (int)host->vector, (int)ours->vector);
    } else if (host->vector == EXC_PF && ours->vector == EXC_PF &&
               !same_fault(host, ours) && !insn_is(in, "MOVS CMPS")) {
        g_string_append_printf(d,
                               "\n    #PF: host %" PRIx64 " error %x, ours "
                               "%" PRIx64 " error %x",
                               host->cr2, (unsigned)host->error, ours->cr2,
                               (unsigned)ours->error);
    }
    if (host->rip != ours->rip) {
        g_string_append_printf(d, "\n    rip: host %" PRIx64 " ours %" PRIx64,
                               host->rip, ours->rip);
    }
    if ((host->rflags ^ ours->rflags) & flag_mask) {
        g_string_append_printf(d, "\n    flags: in %03x host %03x ours %03x",
                               (unsigned)(job->in.rflags & 0xfff),
                               (unsigned)(host->rflags & flag_mask),
                               (unsigned)(ours->rflags & flag_mask));
    }
    for (unsigned i = 0; i < 16; i++) {
        if (host->gpr[i] != ours->gpr[i]) {
            g_string_append_printf(d,
                                   "\n    gpr%u: in %016" PRIx64
                                   " host %016" PRIx64 " ours %016" PRIx64,
                                   i, job->in.gpr[i], host->gpr[i],
                                   ours->gpr[i]);
        }
    }
    compare_fpu(d, &job->in, host, ours);
    compare_mem(d, &job->in, host, ours);
    return d;
}

void host_describe(GString *d, const HostJob *job, const Insn *in)
{
    const HostState *s = &job->in;
    uint64_t at = 0;
    uint32_t mxcsr;

    memcpy(&mxcsr, s->fx + 24, 4);
    g_string_append_printf(
        d, "\n    in: flags %03x rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64,
        (unsigned)(s->rflags & 0xfff), s->gpr[0], s->gpr[1], s->gpr[2]);
    g_string_append_printf(
        d, " reg[%u] %" PRIx64 " rm[%u] %" PRIx64 " mxcsr %04x", in->reg,
        s->gpr[in->reg & 15], in->rm, s->gpr[in->rm & 15], mxcsr);
    if (row_has_operand(&insn_rows[in->id], OPK_V) ||
        row_has_operand(&insn_rows[in->id], OPK_U)) {
        g_string_append(d, "\n    in: V ");
        host_put_bytes(d, s->ymm[in->reg & 15], 32);
        g_string_append(d, "\n        H ");
        host_put_bytes(d, s->ymm[in->vvvv], 32);
        g_string_append(d, "\n        W ");
        host_put_bytes(d, s->ymm[in->rm & 15], 32);
    }
    if (in->is_mem && in->base < 16) {
        at = s->gpr[in->base] + (int64_t)in->disp +
             (in->index < 16 && !in->vsib ? s->gpr[in->index] << in->scale : 0);
        g_string_append_printf(d, "\n    in: memory %" PRIx64 " ", at);
        if (at >= HOST_MEM && at < HOST_MEM + HOST_MEM_SIZE - 32) {
            host_put_bytes(d, s->mem + (at - HOST_MEM), 32);
        }
    }
}
