/*
 * The guest's x87 instruction on the host, with the guest's whole x87 state:
 * the general path of sem-x87.h. Also pending exceptions.
 *
 * There is one snippet of host code for each of the 8 x87 opcodes x 64 register
 * forms, and x 8 memory forms:
 *
 *     frstor [rdi]; instruction (memory operand at [rsi]); fnsave [rdi];
 *     pushf; pop rax; ret
 *
 * FNSAVE does not wait, so an unmasked exception that the instruction raised is
 * only reported in the saved status word, and it leaves the host as FNINIT
 * does. Control instructions (FLDENV, FNINIT, ...) have snippets that are never
 * called. FCMOVcc would need the guest's flags: not here either.
 */
#include "util/osdep.h"
#include "target-x86/sem-x87.h"

#define SNIPPET_SIZE 16
#define SNIPPET_MEM  512 /* the first one with a memory operand */

/* clang-format off */
asm(".text\n"
    ".balign 16\n"
    "x87_snippets:\n"
    ".set x87_op, 0xd8\n"
    ".rept 8\n"
    "  .set x87_rm, 0xc0\n"
    "  .rept 64\n"
    "    .byte 0xdd, 0x27\n"           /* frstor (%rdi) */
    "    .byte x87_op, x87_rm\n"
    "    .byte 0xdd, 0x37\n"           /* fnsave (%rdi) */
    "    .byte 0x9c, 0x58, 0xc3\n"     /* pushf; pop %rax; ret */
    "    .balign 16\n"
    "    .set x87_rm, x87_rm + 1\n"
    "  .endr\n"
    "  .set x87_op, x87_op + 1\n"
    ".endr\n"
    ".set x87_op, 0xd8\n"
    ".rept 8\n"
    "  .set x87_rm, 0x06\n"            /* (%rsi), /0 to /7 */
    "  .rept 8\n"
    "    .byte 0xdd, 0x27\n"
    "    .byte x87_op, x87_rm\n"
    "    .byte 0xdd, 0x37\n"
    "    .byte 0x9c, 0x58, 0xc3\n"
    "    .balign 16\n"
    "    .set x87_rm, x87_rm + 8\n"
    "  .endr\n"
    "  .set x87_op, x87_op + 1\n"
    ".endr\n");
/* clang-format on */

extern const uint8_t x87_snippets[] __attribute__((visibility("hidden")));
typedef uint64_t Snippet(void *image, void *mem);

static Snippet *x87_snippet(const Insn *in)
{
    unsigned op = insn_rows[in->id].opcode & 7;
    unsigned n = in->is_mem ? SNIPPET_MEM + op * 8 + (in->reg & 7)
                            : op * 64 + (in->reg & 7) * 8 + (in->rm & 7);

    return (Snippet *)(uintptr_t)(x87_snippets + n * SNIPPET_SIZE);
}

typedef struct X87Image { /* FNSAVE, 32-bit protected mode */
    uint32_t fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
    uint8_t st[8][10]; /* ST(0) first */
} X87Image;

/* Earlier exceptions stay behind: only those of the instruction come back. */
static void image_from_state(const X86Cpu *c, X87Image *img)
{
    const X86State *s = &c->s;

    memset(img, 0, sizeof(*img));
    img->fcw = s->fcw;
    img->fsw = s->fsw & (FSW_CC | FSW_TOP);
    for (unsigned i = 0; i < 8; i++) {
        img->ftw |= (s->ftw >> i & 1 ? 0u : 3u) << 2 * i;
        memcpy(img->st[i], s->st[x87_phys(c, i)], 10);
    }
}

static void image_to_state(X86Cpu *c, const X87Image *img)
{
    X86State *s = &c->s;

    s->fsw = (uint16_t)((s->fsw & (FSW_FLAGS | FSW_SF)) |
                        (img->fsw & ~(FSW_ES | FSW_B)));
    s->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        s->ftw |= (img->ftw >> 2 * i & 3) == 3 ? 0 : 1u << i;
    }
    for (unsigned i = 0; i < 8; i++) {
        memcpy(s->st[x87_phys(c, i)], img->st[i], 10);
    }
    x87_update_es(c);
}

uint64_t x87_run_whole(X86Cpu *c, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    bool store = in->is_mem && row->op[0].kind == OPK_M && !(row->attr & IA_RO);
    uint64_t off = 0, rflags;
    unsigned size = 0, unmasked;
    uint8_t mem[16];
    X87Image img;

    if (in->is_mem) {
        off = op_addr(c, in);
        size = op_size(in, row->op[0].kind == OPK_M ? 0 : 1);
        if (!store) {
            mem_ld_buf(c, in->seg, off, mem, size);
        }
    }
    image_from_state(c, &img);
    rflags = x87_snippet(in)(&img, mem);
    unmasked = img.fsw & ~(unsigned)c->s.fcw & FSW_FLAGS;
    if (store && !(unmasked & ~FSW_PE)) {
        mem_st_buf(c, in->seg, off, mem, size);
    }
    if (in->is_mem) {
        x87_note_mem(c, in, off);
    } else {
        x87_note(c, in);
    }
    image_to_state(c, &img);
    return rflags;
}

/* ---- status ----------------------------------------------------------------------- */

/* FERR#, as a PC wires it: to IRQ 13. */
static void x87_set_ferr(X86Cpu *c, int level)
{
    if (c->machine) {
        machine_lock(c->machine);
        irq_set(&c->machine->gsi[13], level);
        machine_unlock(c->machine);
    }
}

void x87_update_es(X86Cpu *c)
{
    bool was = c->s.fsw & FSW_ES;

    if (c->s.fsw & ~c->s.fcw & FSW_FLAGS) {
        c->s.fsw |= FSW_ES | FSW_B;
        return;
    }
    c->s.fsw &= ~(FSW_ES | FSW_B);
    if (was && !(c->s.cr0 & CR0_NE)) {
        x87_set_ferr(c, 0);
    }
}

void x87_init(X86Cpu *c)
{
    X86State *s = &c->s;

    s->fcw = FCW_DEFAULT;
    s->fsw &= FSW_ES;
    x87_update_es(c);
    s->fsw = 0;
    s->ftw = 0;
    s->fop = 0;
    s->fip = 0;
    s->fdp = 0;
    s->fcs = 0;
    s->fds = 0;
}

/* Without CR0.NE the processor waits for the interrupt that FERR# makes. One
 * that cannot come would hang the guest: then the instruction goes on, as with
 * IGNNE# asserted. */
void x87_check_pending(X86Cpu *c)
{
    if (!(c->s.fsw & FSW_ES)) {
        return;
    }
    if (c->s.cr0 & CR0_NE) {
        x86_raise(c, EXC_MF);
    }
    x87_set_ferr(c, 1);
    if ((c->s.rflags & FL_IF) && (cpu_pending(c) & CPU_IRQ)) {
        x86_restart(c);
    }
}
