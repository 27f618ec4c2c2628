/*
 * A triple fault in words. SDM 3A, 6.15, table 6-5.
 *
 * All exceptions of the chain happened at one CS:RIP: the first is what the
 * instruction did, each further one came while the one before was being
 * delivered, and so tells what the processor did not find: a gate, a handler's
 * segment, a stack.
 */
#include "util/osdep.h"
#include "target-x86/mmu.h"
#include "target-x86/seg.h"

static const struct {
    const char *name, *text;
} vectors[] = {
    [EXC_DE] = { "#DE", "divide error" },
    [EXC_DB] = { "#DB", "debug exception" },
    [EXC_NMI] = { "NMI", "non-maskable interrupt" },
    [EXC_BP] = { "#BP", "breakpoint" },
    [EXC_OF] = { "#OF", "overflow" },
    [EXC_BR] = { "#BR", "bound range exceeded" },
    [EXC_UD] = { "#UD", "invalid opcode" },
    [EXC_NM] = { "#NM", "device not available" },
    [EXC_DF] = { "#DF", "double fault" },
    [EXC_TS] = { "#TS", "invalid TSS" },
    [EXC_NP] = { "#NP", "segment not present" },
    [EXC_SS] = { "#SS", "stack fault" },
    [EXC_GP] = { "#GP", "general protection" },
    [EXC_PF] = { "#PF", "page fault" },
    [EXC_MF] = { "#MF", "x87 error" },
    [EXC_AC] = { "#AC", "alignment check" },
    [EXC_MC] = { "#MC", "machine check" },
    [EXC_XM] = { "#XM", "SIMD error" },
};

const char *x86_vector_name(unsigned vector)
{
    return vector < G_N_ELEMENTS(vectors) ? vectors[vector].name : NULL;
}

static void triple_pf(const X86Fault *f, GString *out)
{
    uint32_t e = f->error;
    const char *what = e & PF_I ? "fetch" : e & PF_W ? "write" : "read";
    const char *why = e & PF_RSVD ? "reserved bit set in a page table"
                      : e & PF_P  ? "not allowed"
                                  : "not present";

    g_string_append_printf(out, " (%s, %s, %s), CR2=%016" PRIx64, what, why,
                           e & PF_U ? "user" : "supervisor", f->cr2);
}

/* A selector's error code. SDM 3A, 6.13. */
static void triple_selector(const X86Fault *f, GString *out)
{
    uint32_t e = f->error;

    if (e & 2) {
        g_string_append_printf(out, " (IDT entry 0x%02x)", e >> 3);
    } else if (e & ~3u) {
        g_string_append_printf(out, " (%s selector 0x%04x)",
                               e & 4 ? "LDT" : "GDT", e & 0xfffc);
    }
}

static void triple_fault(const X86Fault *f, GString *out)
{
    const char *name = x86_vector_name((unsigned)f->vector);

    if (name) {
        g_string_append_printf(out, "%s %s", name, vectors[f->vector].text);
    } else {
        g_string_append_printf(out, "exception 0x%02x", (unsigned)f->vector);
    }
    if (!f->has_error) {
        return;
    }
    g_string_append_printf(out, ", error %04x", f->error);
    if (f->vector == EXC_PF) {
        triple_pf(f, out);
    } else {
        triple_selector(f, out);
    }
}

static void triple_chain(const X86Cpu *c, GString *out)
{
    for (unsigned i = 0; i < c->chain_len; i++) {
        const X86Link *l = &c->chain[i];
        const char *name = x86_vector_name((unsigned)l->during);

        g_string_append_printf(out, "  %u: ", i + 1);
        triple_fault(&l->fault, out);
        if (l->during >= 0) {
            g_string_append_printf(out, ", delivering %s",
                                   name ? name : "that");
        }
        g_string_append_c(out, '\n');
    }
}

static void triple_before(const X86Cpu *c, GString *out)
{
    unsigned n = MIN(c->n_recent, (unsigned)X86_RECENT);

    if (n) {
        g_string_append(out, "Exceptions that reached a handler before, "
                             "oldest first:\n");
    }
    for (unsigned i = c->n_recent - n; i != c->n_recent; i++) {
        const X86Delivered *d = &c->recent[i % X86_RECENT];

        g_string_append(out, "  ");
        triple_fault(&d->fault, out);
        g_string_append_printf(out, ", at %04x:%016" PRIx64 "\n", d->cs,
                               d->rip);
    }
}

void x86_triple_report(const X86Cpu *c, GString *out)
{
    g_string_append_printf(out,
                           "Triple fault on CPU %u at %04x:%016" PRIx64 "\n",
                           c->index, c->s.seg[S_CS].sel, c->s.rip);
    triple_chain(c, out);
    triple_before(c, out);
}
