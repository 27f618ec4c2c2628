/*
 * Prints docs/instructions.md from insn.def: every encoding that is emulated.
 * "make docs" compares it with the file.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "target-x86/insn.h"

static const char *feature_name(unsigned feature)
{
    static const char *const names[] = {
        "every processor",
#define FEAT(name, leaf, sub, reg, bit, qemu_name) qemu_name,
#include "target-x86/features.def"
#undef FEAT
    };

    return names[feature];
}

static const char *operand_name(const InsnOperand *o)
{
    static const struct {
        const char *name;
        uint8_t kind, size, reg;
    } codes[] = {
#define OPERAND(code, kind, size, reg) { #code, OPK_##kind, OPS_##size, reg },
#include "target-x86/operands.def"
#undef OPERAND
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].kind == o->kind && codes[i].size == o->size &&
            codes[i].reg == o->reg) {
            return codes[i].name;
        }
    }
    g_assert_not_reached();
}

/* ---- columns -------------------------------------------------------------------- */

static void put_vex(GString *s, const InsnRow *row)
{
    static const char *const pp[] = { "", ".66", ".F3", ".F2" };
    static const char *const map[] = { "0F", "0F38", "0F3A" };

    g_string_append_printf(s, "VEX%s%s.%s%s ",
                           row->attr & IA_VEX_L0   ? ".128"
                           : row->attr & IA_VEX_L1 ? ".256"
                                                   : "",
                           pp[__builtin_ctz(row->prefixes)],
                           map[row->map - MAP_V2],
                           row->attr & IA_W0   ? ".W0"
                           : row->attr & IA_W1 ? ".W1"
                                               : "");
}

static void put_legacy(GString *s, const InsnRow *row)
{
    static const char *const prefix[] = { "NP ", "66 ", "F3 ", "F2 " };
    static const char *const map[] = { "", "0F ", "0F 38 ", "0F 3A " };

    if (is_pow2(row->prefixes)) {
        g_string_append(s, prefix[__builtin_ctz(row->prefixes)]);
    }
    if (row->attr & IA_W1) {
        g_string_append(s, "REX.W ");
    }
    g_string_append(s, map[row->map]);
}

static void put_encoding(GString *s, const InsnRow *row)
{
    unsigned value = row->modrm >> 8;

    if (row->map >= MAP_V2) {
        put_vex(s, row);
    } else {
        put_legacy(s, row);
    }
    g_string_append_printf(s, "%02X%s", row->opcode,
                           row->attr & IA_PLUS_R ? "+r" : "");
    switch (row->modrm & 0xff) {
    case MODRM_NO:
        break;
    case MODRM_RN:
    case MODRM_MN:
    case MODRM_GN:
        g_string_append_printf(s, " /%u", value);
        break;
    case MODRM_BYTE:
        g_string_append_printf(s, " %02X", value);
        break;
    default:
        g_string_append(s, " /r");
    }
}

static void put_operands(GString *s, const InsnRow *row)
{
    for (unsigned i = 0; i < 4 && row->op[i].kind != OPK_NONE; i++) {
        g_string_append_printf(s, "%s%s", i ? ", " : "",
                               operand_name(&row->op[i]));
    }
}

static void put_flag_set(GString *s, const char *what, uint32_t set)
{
    static const struct {
        uint32_t bit;
        char letter;
    } flags[] = {
        { FL_OF, 'O' }, { FL_SF, 'S' }, { FL_ZF, 'Z' }, { FL_AF, 'A' },
        { FL_PF, 'P' }, { FL_CF, 'C' }, { FL_DF, 'D' }, { FL_IF, 'I' },
    };

    if (set & (FL_ARITH | FL_DF | FL_IF)) {
        g_string_append_printf(s, "%s%s ", s->len ? " " : "", what);
        for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
            if (set & flags[i].bit) {
                g_string_append_c(s, flags[i].letter);
            }
        }
    }
}

static void put_notes(GString *s, const InsnRow *row)
{
    static const struct {
        uint32_t bit;
        const char *text;
    } notes[] = {
        { IA_LOCK, "LOCK" },
        { IA_STRING, "REP" },
        { IA_PRIV, "CPL 0" },
        { IA_PROT, "protected mode" },
        { IA_I64, "not in 64-bit mode" },
        { IA_O64, "64-bit mode only" },
        { IA_ALIGN, "aligned" },
        { IA_HINT, "hint" },
    };
    uint32_t attr = row->attr;

    if (row->map >= MAP_V2) {
        attr &= ~IA_PROT; /* all of them */
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(notes); i++) {
        if (attr & notes[i].bit) {
            g_string_append_printf(s, "%s%s", s->len ? ", " : "",
                                   notes[i].text);
        }
    }
    if (row->attr & IA_FALLBACK) {
        g_string_append_printf(s, "%swithout it %s", s->len ? ", " : "",
                               row[1].name);
    }
}

/* ---- the page -------------------------------------------------------------------- */

static void print_row(const InsnRow *row)
{
    g_autoptr(GString) encoding = g_string_new(NULL);
    g_autoptr(GString) operands = g_string_new(NULL);
    g_autoptr(GString) flags = g_string_new(NULL);
    g_autoptr(GString) notes = g_string_new(NULL);

    put_encoding(encoding, row);
    put_operands(operands, row);
    put_flag_set(flags, "reads", row->fl_read);
    put_flag_set(flags, "writes", row->fl_write);
    put_flag_set(flags, "undefined", row->fl_undef);
    put_notes(notes, row);
    printf("| %s | %s | %s | %s | %s |\n", row->name, encoding->str,
           operands->str, flags->str, notes->str);
}

static void print_feature(unsigned feature)
{
    bool first = true;

    for (unsigned id = 0; id < insn_row_count; id++) {
        if (insn_rows[id].feature != feature) {
            continue;
        }
        if (first) {
            printf("\n## %s\n\n"
                   "| instruction | encoding | operands | flags | notes |\n"
                   "|---|---|---|---|---|\n",
                   feature_name(feature));
            first = false;
        }
        print_row(&insn_rows[id]);
    }
}

int main(void)
{
    printf("# Instructions\n\n"
           "Printed by `make docs` from target-x86/insn.def: the %u encodings "
           "that the software\nCPU executes, by the CPUID feature they need. "
           "Everything else raises #UD. Operands\nare in the letters of the "
           "Intel manual's appendix A.2 (target-x86/operands.def).\n",
           insn_row_count);
    for (unsigned feature = 0; feature < FEAT_COUNT; feature++) {
        print_feature(feature);
    }
    return 0;
}
