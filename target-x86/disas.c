/*
 * Disassembly by capstone, with our own decoder as the judge: what it calls
 * undefined is printed as a byte, and where capstone knows no better (RDPKRU,
 * F3 prefixes in 16-bit code, near branches with 66) our row's name stands.
 */
#include "util/osdep.h"
#include <capstone/capstone.h>
#include "target-x86/disas.h"
#include "target-x86/insn.h"

/* A capstone handle may not be shared, so each thread has its own three. */
typedef struct Disas {
    csh handle[3];
    cs_insn *insn;
} Disas;

static void disas_free(gpointer data)
{
    Disas *d = data;

    if (d->insn) {
        cs_free(d->insn, 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(d->handle); i++) {
        if (d->handle[i]) {
            cs_close(&d->handle[i]);
        }
    }
    g_free(d);
}

/* NULL: capstone does not want to. */
static cs_insn *disas_capstone(const uint8_t *p, size_t n, unsigned code_bits,
                               uint64_t pc)
{
    static GPrivate per_thread = G_PRIVATE_INIT(disas_free);
    static const cs_mode mode[] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
    Disas *d = g_private_get(&per_thread);
    unsigned i = code_bits / 32;

    if (!d) {
        d = g_new0(Disas, 1);
        g_private_set(&per_thread, d);
    }
    if (!d->handle[i]) {
        if (cs_open(CS_ARCH_X86, mode[i], &d->handle[i]) != CS_ERR_OK) {
            d->handle[i] = 0;
            return NULL;
        }
        cs_option(d->handle[i], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
        d->insn = d->insn ? d->insn : cs_malloc(d->handle[i]);
    }
    return cs_disasm_iter(d->handle[i], &p, &n, &pc, d->insn) ? d->insn : NULL;
}

static void disas_row(const Insn *in, uint64_t pc, GString *out)
{
    const InsnRow *row = &insn_rows[in->id];
    g_autofree char *name = g_ascii_strdown(row->name, -1);

    if (row->op[0].kind == OPK_REL) {
        g_string_append_printf(out, "%-8s 0x%" PRIx64, name,
                               pc + in->len + in->imm);
    } else {
        g_string_append(out, name);
    }
}

int disas_one(const uint8_t *p, size_t n, unsigned code_bits, uint64_t pc,
              GString *out)
{
    DecodeResult res;
    cs_insn *cs;
    Insn in;

    res = decode_insn(p, n, code_bits, &in);
    if (res == DECODE_SHORT) {
        return 0;
    }
    if (res != DECODE_OK) {
        g_string_append_printf(out, "%-8s 0x%02x", ".byte", p[0]);
        return 1;
    }
    cs = disas_capstone(p, in.len, code_bits, pc);
    if (!cs || cs->size != in.len) {
        disas_row(&in, pc, out);
    } else if (cs->op_str[0]) {
        g_string_append_printf(out, "%-8s %s", cs->mnemonic, cs->op_str);
    } else {
        g_string_append(out, cs->mnemonic);
    }
    return in.len;
}

int disas_line(const uint8_t *p, size_t n, unsigned code_bits, uint64_t pc,
               GString *out)
{
    enum { PER_LINE = 8 };
    g_autoptr(GString) text = g_string_new(NULL);
    int len = disas_one(p, n, code_bits, pc, text);

    for (int at = 0; at < len; at += PER_LINE) {
        g_string_append_printf(out, "%s0x%08" PRIx64 ": ", at ? "\n" : "",
                               pc + at);
        for (int i = at; i < at + PER_LINE && (i < len || at == 0); i++) {
            if (i < len) {
                g_string_append_printf(out, " %02x", p[i]);
            } else {
                g_string_append(out, "   ");
            }
        }
        if (at == 0) {
            g_string_append_printf(out, "  %s", text->str);
        }
    }
    return len;
}

size_t x86_disas(GString *out, const uint8_t *bytes, size_t len, uint64_t addr,
                 unsigned code_bits, unsigned max)
{
    size_t at = 0;

    for (unsigned lines = 0; at < len && (max == 0 || lines < max); lines++) {
        int n = disas_line(bytes + at, len - at, code_bits, addr + at, out);

        if (n == 0) {
            break;
        }
        g_string_append_c(out, '\n');
        at += n;
    }
    return at;
}
