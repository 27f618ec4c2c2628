/*
 * Registers by name. $pc is the linear address of the next instruction (CS
 * base added), so that "x/10i $pc" shows the right bytes in every mode; $rip
 * and $eip are the register, except where x asks for an address (expr.c).
 */
#include "util/osdep.h"
#include "monitor/regs.h"

typedef struct RegName {
    const char *name;
    size_t offset;
    uint8_t size;
    uint8_t shift; /* AH and friends: 8 */
} RegName;

#define S(f) offsetof(X86State, f)
#define GPR(n, r64, r32, r16) \
    { r64, S(gpr) + 8 * (n), 8, 0 }, { r32, S(gpr) + 8 * (n), 4, 0 }, \
    { \
        r16, S(gpr) + 8 * (n), 2, 0 \
    }
#define GPRX(n) \
    { "r" #n, S(gpr) + 8 * (n), 8, 0 }, \
    { \
        "r" #n "d", S(gpr) + 8 * (n), 4, 0 \
    }
#define SEG(n, name) \
    { name, S(seg) + (n) * sizeof(X86Seg) + offsetof(X86Seg, sel), 2, 0 }, \
        { name ".base", \
          S(seg) + (n) * sizeof(X86Seg) + offsetof(X86Seg, base), 8, 0 }, \
    { \
        name ".limit", \
            S(seg) + (n) * sizeof(X86Seg) + offsetof(X86Seg, limit), 4, 0 \
    }

static const RegName reg_names[] = {
    GPR(R_RAX, "rax", "eax", "ax"),
    GPR(R_RCX, "rcx", "ecx", "cx"),
    GPR(R_RDX, "rdx", "edx", "dx"),
    GPR(R_RBX, "rbx", "ebx", "bx"),
    GPR(R_RSP, "rsp", "esp", "sp"),
    GPR(R_RBP, "rbp", "ebp", "bp"),
    GPR(R_RSI, "rsi", "esi", "si"),
    GPR(R_RDI, "rdi", "edi", "di"),
    GPRX(8),
    GPRX(9),
    GPRX(10),
    GPRX(11),
    GPRX(12),
    GPRX(13),
    GPRX(14),
    GPRX(15),
    { "al", S(gpr), 1, 0 },
    { "ah", S(gpr), 1, 8 },
    { "cl", S(gpr) + 8, 1, 0 },
    { "dl", S(gpr) + 16, 1, 0 },
    { "bl", S(gpr) + 24, 1, 0 },
    { "rip", S(rip), 8, 0 },
    { "eip", S(rip), 8, 0 },
    { "ip", S(rip), 2, 0 },
    { "rflags", S(rflags), 8, 0 },
    { "eflags", S(rflags), 4, 0 },
    SEG(S_ES, "es"),
    SEG(S_CS, "cs"),
    SEG(S_SS, "ss"),
    SEG(S_DS, "ds"),
    SEG(S_FS, "fs"),
    SEG(S_GS, "gs"),
    { "fs_base", S(seg[S_FS].base), 8, 0 },
    { "gs_base", S(seg[S_GS].base), 8, 0 },
    { "k_gs_base", S(kernel_gs_base), 8, 0 },
    { "gdt_base", S(gdt_base), 8, 0 },
    { "idt_base", S(idt_base), 8, 0 },
    { "gdt_limit", S(gdt_limit), 4, 0 },
    { "idt_limit", S(idt_limit), 4, 0 },
    { "ldt", S(ldt.sel), 2, 0 },
    { "tr", S(tr.sel), 2, 0 },
    { "cr0", S(cr0), 8, 0 },
    { "cr2", S(cr2), 8, 0 },
    { "cr3", S(cr3), 8, 0 },
    { "cr4", S(cr4), 8, 0 },
    { "cr8", S(cr8), 8, 0 },
    { "efer", S(efer), 8, 0 },
    { "mxcsr", S(mxcsr), 4, 0 },
    { "dr0", S(dr[0]), 8, 0 },
    { "dr1", S(dr[1]), 8, 0 },
    { "dr2", S(dr[2]), 8, 0 },
    { "dr3", S(dr[3]), 8, 0 },
    { "dr6", S(dr[6]), 8, 0 },
    { "dr7", S(dr[7]), 8, 0 },
};

bool monitor_register(X86Cpu *cpu, const char *name, uint64_t *value)
{
    const X86State *s = cpu_state(cpu);

    if (!strcmp(name, "pc")) {
        *value = s->rip + (s->efer & EFER_LMA && s->seg[S_CS].attr & SEG_L
                               ? 0
                               : s->seg[S_CS].base);
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(reg_names); i++) {
        const RegName *r = &reg_names[i];

        if (!strcmp(r->name, name)) {
            uint64_t v = 0;

            memcpy(&v, (const char *)s + r->offset + r->shift / 8, r->size);
            *value = v;
            return true;
        }
    }
    return false;
}
