/*
 * Machine code as text, for the monitor and -d in_asm.
 *
 * A handle is opened for each call: this is for people, and capstone's handles
 * must not be shared between threads.
 */
#include "util/osdep.h"
#include "target-x86/disas.h"

#include <capstone/capstone.h>

enum { DISAS_BYTES = 8 }; /* shown on the first line of an instruction */

static cs_mode disas_mode(unsigned code_bits)
{
    return code_bits == 64   ? CS_MODE_64
           : code_bits == 32 ? CS_MODE_32
                             : CS_MODE_16;
}

static void disas_line(GString *out, uint64_t addr, const uint8_t *bytes,
                       size_t len, const char *mnemonic, const char *operands)
{
    g_string_append_printf(out, "0x%08" PRIx64 ":  ", addr);
    for (size_t i = 0; i < DISAS_BYTES; i++) {
        if (i < len) {
            g_string_append_printf(out, "%02x ", bytes[i]);
        } else {
            g_string_append(out, "   ");
        }
    }
    g_string_append_printf(out, " %-8s %s\n", mnemonic, operands);
    if (len > DISAS_BYTES) {
        g_string_append_printf(out, "0x%08" PRIx64 ":  ", addr + DISAS_BYTES);
        for (size_t i = DISAS_BYTES; i < len; i++) {
            g_string_append_printf(out, "%02x ", bytes[i]);
        }
        g_string_append_c(out, '\n');
    }
}

size_t x86_disas(GString *out, const uint8_t *bytes, size_t len, uint64_t addr,
                 unsigned code_bits, unsigned max)
{
    const uint8_t *p = bytes;
    size_t left = len;
    cs_insn *insn;
    csh cs;

    if (cs_open(CS_ARCH_X86, disas_mode(code_bits), &cs) != CS_ERR_OK) {
        return 0;
    }
    cs_option(cs, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    insn = cs_malloc(cs);
    for (unsigned n = 0; left > 0 && (max == 0 || n < max); n++) {
        const uint8_t *at = p;

        if (cs_disasm_iter(cs, &p, &left, &addr, insn)) {
            disas_line(out, insn->address, at, insn->size, insn->mnemonic,
                       insn->op_str);
        } else {
            char text[8];

            snprintf(text, sizeof(text), "0x%02x", *p);
            disas_line(out, addr, p, 1, ".byte", text);
            p++;
            left--;
            addr++;
        }
    }
    cs_free(insn, 1);
    cs_close(&cs);
    return len - left;
}
