/*
 * Registers as gdb knows them: one table makes the target description and says
 * where each one is.
 *
 * The description is that of x86-64 in every mode: gdb keeps one layout while
 * the guest goes from real to long mode, and never finds a packet "too long".
 * Outside of long mode rip is the linear address (CS base added), because gdb's
 * breakpoints and memory are linear, too.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "monitor/gdbstub.h"
#include "target-x86/cpu.h"

typedef enum RegKind {
    REG_PLAIN, /* @size bytes at @offset of X86State, @bits in gdb */
    REG_PC,
    REG_FTAG, /* two bits a register, ours has one */
    REG_ST,   /* by stack position: ST0 is the top */
} RegKind;

typedef struct Reg {
    const char *feature; /* the first of a feature names it */
    const char *name, *type;
    unsigned bits;
    RegKind kind;
    size_t offset;
    unsigned size;
} Reg;

#define S(f) offsetof(X86State, f)
#define PLAIN(name, type, bits, f, size) \
    { \
        NULL, name, type, bits, REG_PLAIN, S(f), size \
    }
#define GPR(name, n)  PLAIN(name, "int64", 64, gpr[n], 8)
#define SEL(name, n)  PLAIN(name, "int32", 32, seg[n].sel, 2)
#define BASE(name, n) PLAIN(name, "int64", 64, seg[n].base, 8)
#define ST(n) \
    { \
        NULL, "st" #n, "i387_ext", 80, REG_ST, n, 10 \
    }
#define XMM(n)  PLAIN("xmm" #n, "vec128", 128, vec[n], 16)
#define YMMH(n) PLAIN("ymm" #n "h", "uint128", 128, vec[n][16], 16)

static const Reg regs[] = {
    { "org.gnu.gdb.i386.core", "rax", "int64", 64, REG_PLAIN, S(gpr[R_RAX]),
      8 },
    GPR("rbx", R_RBX),
    GPR("rcx", R_RCX),
    GPR("rdx", R_RDX),
    GPR("rsi", R_RSI),
    GPR("rdi", R_RDI),
    PLAIN("rbp", "data_ptr", 64, gpr[R_RBP], 8),
    PLAIN("rsp", "data_ptr", 64, gpr[R_RSP], 8),
    GPR("r8", 8),
    GPR("r9", 9),
    GPR("r10", 10),
    GPR("r11", 11),
    GPR("r12", 12),
    GPR("r13", 13),
    GPR("r14", 14),
    GPR("r15", 15),
    { NULL, "rip", "code_ptr", 64, REG_PC, S(rip), 8 },
    PLAIN("eflags", "i386_eflags", 32, rflags, 4),
    SEL("cs", S_CS),
    SEL("ss", S_SS),
    SEL("ds", S_DS),
    SEL("es", S_ES),
    SEL("fs", S_FS),
    SEL("gs", S_GS),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    PLAIN("fctrl", "int", 32, fcw, 2),
    PLAIN("fstat", "int", 32, fsw, 2),
    { NULL, "ftag", "int", 32, REG_FTAG, S(ftw), 1 },
    PLAIN("fiseg", "int", 32, fcs, 2),
    PLAIN("fioff", "int", 32, fip, 4),
    PLAIN("foseg", "int", 32, fds, 2),
    PLAIN("fooff", "int", 32, fdp, 4),
    PLAIN("fop", "int", 32, fop, 2),
    { "org.gnu.gdb.i386.sse", "xmm0", "vec128", 128, REG_PLAIN, S(vec[0]), 16 },
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    PLAIN("mxcsr", "i386_mxcsr", 32, mxcsr, 4),
    { "org.gnu.gdb.i386.segments", "fs_base", "int64", 64, REG_PLAIN,
      S(seg[S_FS].base), 8 },
    BASE("gs_base", S_GS),
    { "org.gnu.gdb.i386.avx", "ymm0h", "uint128", 128, REG_PLAIN, S(vec[0][16]),
      16 },
    YMMH(1),
    YMMH(2),
    YMMH(3),
    YMMH(4),
    YMMH(5),
    YMMH(6),
    YMMH(7),
    YMMH(8),
    YMMH(9),
    YMMH(10),
    YMMH(11),
    YMMH(12),
    YMMH(13),
    YMMH(14),
    YMMH(15),
    { "org.rhea.i386.system", "k_gs_base", "int64", 64, REG_PLAIN,
      S(kernel_gs_base), 8 },
    PLAIN("cr0", "int64", 64, cr0, 8),
    PLAIN("cr2", "int64", 64, cr2, 8),
    PLAIN("cr3", "int64", 64, cr3, 8),
    PLAIN("cr4", "int64", 64, cr4, 8),
    PLAIN("cr8", "int64", 64, cr8, 8),
    PLAIN("efer", "int64", 64, efer, 8),
    BASE("cs_base", S_CS),
    BASE("ss_base", S_SS),
    BASE("ds_base", S_DS),
    BASE("es_base", S_ES),
    PLAIN("gdt_base", "int64", 64, gdt_base, 8),
    PLAIN("idt_base", "int64", 64, idt_base, 8),
};

/* ---- the description ----------------------------------------------------------------- */

static const char sse_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
    "<field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/>"
    "<field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/>"
    "<field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>"
    "<flags id=\"i386_mxcsr\" size=\"4\">"
    "<field name=\"IE\" start=\"0\" end=\"0\"/>"
    "<field name=\"DE\" start=\"1\" end=\"1\"/>"
    "<field name=\"ZE\" start=\"2\" end=\"2\"/>"
    "<field name=\"OE\" start=\"3\" end=\"3\"/>"
    "<field name=\"UE\" start=\"4\" end=\"4\"/>"
    "<field name=\"PE\" start=\"5\" end=\"5\"/>"
    "<field name=\"DAZ\" start=\"6\" end=\"6\"/>"
    "<field name=\"IM\" start=\"7\" end=\"7\"/>"
    "<field name=\"DM\" start=\"8\" end=\"8\"/>"
    "<field name=\"ZM\" start=\"9\" end=\"9\"/>"
    "<field name=\"OM\" start=\"10\" end=\"10\"/>"
    "<field name=\"UM\" start=\"11\" end=\"11\"/>"
    "<field name=\"PM\" start=\"12\" end=\"12\"/>"
    "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

static const char core_types[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    "<field name=\"CF\" start=\"0\" end=\"0\"/>"
    "<field name=\"\" start=\"1\" end=\"1\"/>"
    "<field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/>"
    "<field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/>"
    "<field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/>"
    "<field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/>"
    "<field name=\"NT\" start=\"14\" end=\"14\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/>"
    "<field name=\"VM\" start=\"17\" end=\"17\"/>"
    "<field name=\"AC\" start=\"18\" end=\"18\"/>"
    "<field name=\"VIF\" start=\"19\" end=\"19\"/>"
    "<field name=\"VIP\" start=\"20\" end=\"20\"/>"
    "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>";

char *gdb_target_xml(void)
{
    GString *s = g_string_new(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
        "<target><architecture>i386:x86-64</architecture>");

    for (size_t i = 0; i < G_N_ELEMENTS(regs); i++) {
        const Reg *r = &regs[i];

        if (r->feature) {
            g_string_append_printf(s, "%s<feature name=\"%s\">%s",
                                   i ? "</feature>" : "", r->feature,
                                   i == 0                       ? core_types
                                   : strstr(r->feature, ".sse") ? sse_types
                                                                : "");
        }
        g_string_append_printf(s,
                               "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>",
                               r->name, r->bits, r->type);
    }
    g_string_append(s, "</feature></target>");
    return g_string_free(s, FALSE);
}

unsigned gdb_reg_count(void)
{
    return G_N_ELEMENTS(regs);
}

/* ---- values -------------------------------------------------------------------------- */

static unsigned st_index(const X86State *s, unsigned n)
{
    return ((s->fsw >> 11) + n) & 7;
}

/* What a debugger needs of a tag is empty (3) or not (0). */
static uint64_t full_tags(const X86State *s)
{
    uint64_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        tags |= s->ftw >> i & 1 ? 0 : UINT64_C(3) << (2 * i);
    }
    return tags;
}

static uint64_t rip_base(const X86Cpu *cpu)
{
    const X86State *s = &cpu->s;

    return s->efer & EFER_LMA && s->seg[S_CS].attr & SEG_L ? 0
                                                           : s->seg[S_CS].base;
}

bool gdb_reg_read(X86Cpu *cpu, unsigned reg, GByteArray *out)
{
    uint8_t buf[16] = { 0 };
    const X86State *s;
    const Reg *r = &regs[reg];

    if (reg >= G_N_ELEMENTS(regs)) {
        return false;
    }
    s = cpu_state(cpu);
    switch (r->kind) {
    case REG_PLAIN:
        memcpy(buf, (const char *)s + r->offset, r->size);
        break;
    case REG_PC:
        st_le64(buf, s->rip + rip_base(cpu));
        break;
    case REG_FTAG:
        st_le32(buf, (uint32_t)full_tags(s));
        break;
    case REG_ST:
        memcpy(buf, s->st[st_index(s, (unsigned)r->offset)], 10);
        break;
    }
    g_byte_array_append(out, buf, r->bits / 8);
    return true;
}

static void write_tags(X86State *s, uint16_t tags)
{
    s->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        s->ftw |= (tags >> (2 * i) & 3) != 3 ? 1u << i : 0;
    }
}

/* A selector keeps its hidden part: a debugger's write is not a load. */
size_t gdb_reg_write(X86Cpu *cpu, unsigned reg, const uint8_t *buf, size_t len)
{
    const Reg *r = &regs[reg];
    X86State *s;

    if (reg >= G_N_ELEMENTS(regs) || len < r->bits / 8) {
        return 0;
    }
    s = cpu_state(cpu);
    switch (r->kind) {
    case REG_PLAIN:
        memcpy((char *)s + r->offset, buf, r->size);
        if (r->offset == S(rflags)) {
            s->rflags = (s->rflags & 0x3f7fd7) | 2;
        }
        x86_update_mode(cpu);
        break;
    case REG_PC:
        s->rip = ld_le64(buf) - rip_base(cpu);
        break;
    case REG_FTAG:
        write_tags(s, ld_le16(buf));
        break;
    case REG_ST:
        memcpy(s->st[st_index(s, (unsigned)r->offset)], buf, 10);
        break;
    }
    return r->bits / 8;
}
