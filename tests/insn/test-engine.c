/*
 * The block engine: what only shows when instructions run one after another.
 *
 * Self-modifying code, page-crossing code and data, faults in the middle of
 * things, events between instructions, single step, counting.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "accel/tcg/tcg.h"
#include "target-x86/access.h"
#include "util/bits.h"

static uint64_t *reg(Evm *vm, unsigned r)
{
    return &vm->c->s.gpr[r];
}

/* ---- plain running ------------------------------------------------------------ */

EVM_PROGRAM(sum, "xor %eax, %eax\n"
                 "mov $1000, %ecx\n"
                 "1: add %rcx, %rax\n"
                 "dec %ecx\n"
                 "jnz 1b\n"
                 "hlt\n");

static void test_loop(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, sum);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 500500);
    g_assert_cmpuint(*reg(vm, R_RCX), ==, 0);
    if (evm_is_tcg(vm)) {
        g_assert_cmpuint(tcg_insn_count(vm->c), ==, 2 + 3000 + 1);
    }
    g_assert_cmphex(vm->c->s.rip, ==, EVM_CODE + (evm_sum_end - evm_sum));
    g_assert_cmphex(vm->c->s.rflags & FL_ARITH, ==, FL_ZF | FL_PF);
    evm_free(vm);
}

EVM_PROGRAM(calls, "lea 1f(%rip), %rbx\n"
                   "mov $3, %ecx\n"
                   "0: push %rcx\n"
                   "call 1f\n"
                   "call *%rbx\n"
                   "pop %rcx\n"
                   "loop 0b\n"
                   "hlt\n"
                   ".balign 4096\n"
                   "1: inc %rax\n"
                   "ret\n");

static void test_calls(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, calls);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 6);
    g_assert_cmphex(*reg(vm, R_RSP), ==, EVM_STACK);
    evm_free(vm);
}

EVM_PROGRAM(behind, "lea 2f(%rip), %rdx\n"
                    "mov %rdx, 3f(%rip)\n"
                    "mov $1000, %ecx\n"
                    "1: call *3f(%rip)\n"
                    "dec %ecx\n"
                    "jnz 1b\n"
                    "hlt\n"
                    "2: inc %rax\n"
                    "ret\n"
                    "3: .quad 0\n");

/* RIP as a base register stands behind the others. */
static void test_behind(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, behind);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 1000);
    evm_free(vm);
}

/* ---- counting ------------------------------------------------------------------ */

EVM_PROGRAM(forever, "1: inc %rax\n"
                     "jmp 1b\n");

static void test_limit(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    if (!evm_is_tcg(vm)) {
        g_test_skip("only the software CPU counts instructions");
        evm_free(vm);
        return;
    }
    EVM_LOAD(vm, EVM_CODE, forever);
    g_assert_cmpint(evm_run(vm, 100000), ==, EVM_LIMIT);
    g_assert_cmpuint(tcg_insn_count(vm->c), >=, 100000);
    g_assert_cmpuint(tcg_insn_count(vm->c), <=, 100000 + BLOCK_MAX);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, tcg_insn_count(vm->c) / 2);
    evm_free(vm);
}

/* ---- faults ---------------------------------------------------------------------- */

EVM_PROGRAM(fault, "mov $7, %eax\n"
                   "add $1, %eax\n"
                   "mov (%rbx), %ecx\n"
                   "mov $9, %eax\n"
                   "hlt\n");

static void test_page_fault(void)
{
    Evm *vm = evm_new(EVM_LONG64);
    EvmFrame f;

    EVM_LOAD(vm, EVM_CODE, fault);
    evm_map(vm, EVM_DATA + 0x5000, 0);
    *reg(vm, R_RBX) = EVM_DATA + 0x5004;
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
    f = evm_frame(vm, EXC_PF);
    g_assert_cmphex(f.error, ==, 0);
    g_assert_cmphex(f.rip, ==, EVM_CODE + 5 + 3);
    g_assert_cmphex(f.rflags & FL_ARITH, ==, 0);
    g_assert_cmphex(vm->c->s.cr2, ==, EVM_DATA + 0x5004);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 8);
    evm_free(vm);
}

/* clang-format off */
EVM_PROGRAM(kicked, /* a slow instruction, whose device kicks; then, a jump */
    "nop\n"
    "nop\n"
    "nop\n"
    "mov %eax, (%rbx)\n"
    "add $1, %ecx\n"
    "jmp . + 0x4000\n");
/* clang-format on */

static void kick_write(void *opaque, hwaddr offset, uint64_t v, unsigned size)
{
    X86Cpu *c = opaque;

    c->machine->accel->ops->kick(c);
}

/* The block ends at the kick; what the fetch that follows finds is at its own
 * address, and not as far behind it as the slow instruction is in its block. */
static void test_kicked_fetch(void)
{
    static const RegionOps ops = { .write = kick_write };
    Evm *vm = evm_new(EVM_LONG64);
    hwaddr to = EVM_CODE + (evm_kicked_end - evm_kicked) - 5 + 0x4000;
    Region r;

    region_init_io(&r, "kick", 0x1000, &ops, vm->c);
    as_map(vm->m->mem, 0x80000000, &r, 0);
    EVM_LOAD(vm, EVM_CODE, kicked);
    for (unsigned i = 0; i < 4; i++) { /* translated, too */
        evm_mode(vm, EVM_LONG64);
        evm_map(vm, to & PAGE_MASK, 0);
        *reg(vm, R_RBX) = 0x80000000;
        g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
        g_assert_cmphex(vm->c->s.cr2, ==, to);
        g_assert_cmphex(evm_frame(vm, EXC_PF).rip, ==, to);
        g_assert_cmpuint(*reg(vm, R_RCX), ==, 1);
    }
    as_unmap(&r);
    evm_free(vm);
}

static void test_undefined(void)
{
    static const uint8_t ud2[] = { 0x90, 0x0f, 0x0b };
    static const uint8_t lng[] = { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                   0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                   0x66, 0x66, 0x66, 0x90 };
    Evm *vm = evm_new(EVM_LONG64);

    evm_write(vm, EVM_CODE, ud2, sizeof(ud2));
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_UD);
    g_assert_cmphex(evm_frame(vm, EXC_UD).rip, ==, EVM_CODE + 1);
    vm->c->s.rip = EVM_CODE + 0x100;
    evm_write(vm, EVM_CODE + 0x100, lng, sizeof(lng));
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_GP);
    g_assert_cmphex(evm_frame(vm, EXC_GP).rip, ==, EVM_CODE + 0x100);
    evm_free(vm);
}

static void test_triple(void)
{
    static const uint8_t ud2[] = { 0x0f, 0x0b };
    Evm *vm = evm_new(EVM_LONG64);

    evm_write(vm, EVM_CODE, ud2, sizeof(ud2));
    vm->c->s.idt_limit = 0;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_TRIPLE);
    evm_free(vm);
}

/* User code cannot run privileged instructions, nor see the kernel's page. */
EVM_PROGRAM(user, "inc %eax\n"
                  "cli\n");

static void test_user(void)
{
    Evm *vm = evm_new(EVM_USER64);

    EVM_LOAD(vm, EVM_CODE, user);
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_GP);
    g_assert_cmphex(evm_frame(vm, EXC_GP).rip, ==, EVM_CODE + 2);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 1);
    evm_mode(vm, EVM_USER64);
    evm_map(vm, EVM_CODE, EVM_CODE | 3); /* supervisor */
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
    g_assert_cmphex(evm_frame(vm, EXC_PF).error, ==, 0x15);
    evm_free(vm);
}

/* ---- self-modifying code ------------------------------------------------------------ */

/* The immediate of the very next instruction. */
EVM_PROGRAM(smc_next, "mov $5, %ecx\n"
                      "xor %eax, %eax\n"
                      "1: movb %cl, 2f+1(%rip)\n"
                      "2: mov $0x55, %dl\n"
                      "add %dl, %al\n"
                      "dec %ecx\n"
                      "jnz 1b\n"
                      "hlt\n");

static void test_smc_next(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, smc_next);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 5 + 4 + 3 + 2 + 1);
    if (evm_is_tcg(vm)) {
        g_assert_cmpuint(tcg_insn_count(vm->c), ==, 2 + 5 * 5 + 1);
    }
    evm_free(vm);
}

/* A function somewhere else in the page, rewritten between calls. */
EVM_PROGRAM(smc_far, "mov $200, %ecx\n"
                     "xor %eax, %eax\n"
                     "1: movl %ecx, 3f+1(%rip)\n"
                     "call 3f\n"
                     "add %rdx, %rax\n"
                     "dec %ecx\n"
                     "jnz 1b\n"
                     "hlt\n"
                     ".balign 256\n"
                     "3: mov $0x55555555, %edx\n"
                     "ret\n");

static void test_smc_far(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, smc_far);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 200 * 201 / 2);
    evm_free(vm);
}

/* The same page under another linear address; then written by rep stos. */
EVM_PROGRAM(smc_alias, "call *%rbx\n"
                       "movb $0x02, 2(%rsi)\n"
                       "call *%rbx\n"
                       "mov $0x90, %al\n"
                       "mov %rsi, %rdi\n"
                       "mov $3, %ecx\n"
                       "rep stosb\n"
                       "call *%rbx\n"
                       "hlt\n");

static void test_smc_alias(void)
{
    static const uint8_t callee[] = { 0x83, 0xc2, 0x01, 0xc3 }; /* add $1 */
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, smc_alias);
    evm_write(vm, EVM_DATA, callee, sizeof(callee));
    evm_map(vm, EVM_DATA + 0x7000, EVM_DATA | 7);
    *reg(vm, R_RBX) = EVM_DATA;
    *reg(vm, R_RSI) = EVM_DATA + 0x7000;
    *reg(vm, R_RDX) = 0;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RDX), ==, 1 + 2);
    evm_free(vm);
}

/* Data and code in one granule: the code must not change, nor be lost. */
EVM_PROGRAM(mixed, "mov $3000, %ecx\n"
                   "1: incl 2f(%rip)\n"
                   "dec %ecx\n"
                   "jnz 1b\n"
                   "hlt\n"
                   "2: .long 0\n");

static void test_mixed(void)
{
    Evm *vm = evm_new(EVM_LONG64);
    uint64_t blocks;

    EVM_LOAD(vm, EVM_CODE, mixed);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(
        ld_le32(evm_ptr(vm, EVM_CODE + (evm_mixed_end - evm_mixed) - 4)), ==,
        3000);
    blocks = ((TcgCpu *)vm->c)->n_blocks;
    g_assert_cmpuint(blocks, <, 6100);
    evm_free(vm);
}

/* Somebody else (a disk) writes to memory that was executed. */
static void test_dma(void)
{
    static const uint8_t one[] = { 0xb0, 0x01, 0xf4 }; /* mov $1, %al; hlt */
    static const uint8_t two[] = { 0xb0, 0x02, 0xf4 };
    Evm *vm = evm_new(EVM_LONG64);

    evm_write(vm, EVM_CODE, one, sizeof(one));
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX) & 0xff, ==, 1);
    evm_write(vm, EVM_CODE, two, sizeof(two));
    vm->c->s.rip = EVM_CODE;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX) & 0xff, ==, 2);
    evm_free(vm);
}

/* ---- across pages ------------------------------------------------------------------------ */

/* mov $imm64, %rax with its immediate on the next page, which moves. */
static void test_crossing_code(void)
{
    static const uint8_t mov[] = { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xf4 };
    Evm *vm = evm_new(EVM_LONG64);
    uint64_t at = EVM_DATA + 0x1000 - 4;
    EvmFrame f;

    evm_write(vm, at, mov, sizeof(mov));
    vm->c->s.rip = at;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0x0807060504030201);

    /* Another second page. */
    evm_map(vm, EVM_DATA + 0x1000, (EVM_DATA + 0x9000) | 7);
    memset(evm_ptr(vm, EVM_DATA + 0x9000), 0xf4, 32);
    tlb_flush_page(vm->c, EVM_DATA + 0x1000);
    vm->c->s.rip = at;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0xf4f4f4f4f4f40201);

    /* Written to there. */
    *(uint8_t *)evm_ptr(vm, EVM_DATA + 0x9000) = 0xee;
    as_ram_written(vm->m->mem, EVM_DATA + 0x9000, 1);
    vm->c->s.rip = at;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0xf4f4f4f4f4ee0201);

    /* Gone. */
    evm_map(vm, EVM_DATA + 0x1000, 0);
    tlb_flush_page(vm->c, EVM_DATA + 0x1000);
    vm->c->s.rip = at;
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
    f = evm_frame(vm, EXC_PF);
    g_assert_cmphex(f.rip, ==, at);
    g_assert_cmphex(vm->c->s.cr2, ==, EVM_DATA + 0x1000);
    g_assert_cmphex(f.error, ==, 0x10);
    evm_free(vm);
}

EVM_PROGRAM(cross_data, "mov (%rbx), %rax\n"
                        "mov %rcx, (%rbx)\n"
                        "lock incq (%rbx)\n"
                        "hlt\n");

static void test_crossing_data(void)
{
    Evm *vm = evm_new(EVM_LONG64);
    uint64_t at = EVM_DATA + 0x1000 - 3;

    EVM_LOAD(vm, EVM_CODE, cross_data);
    evm_map(vm, EVM_DATA + 0x1000, (EVM_DATA + 0x9000) | 7);
    memcpy(evm_ptr(vm, at), "abc", 3);
    memcpy(evm_ptr(vm, EVM_DATA + 0x9000), "defgh", 5);
    *reg(vm, R_RBX) = at;
    *reg(vm, R_RCX) = 0x4847464544434240;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0x6867666564636261);
    g_assert_cmpmem(evm_ptr(vm, at), 3, "ABC", 3);
    g_assert_cmpmem(evm_ptr(vm, EVM_DATA + 0x9000), 5, "DEFGH", 5);

    /* The second page is read-only: not a byte of the first may change. */
    evm_map(vm, EVM_DATA + 0x1000, (EVM_DATA + 0x9000) | 5);
    tlb_flush(vm->c, true);
    vm->c->s.rip = EVM_CODE;
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
    g_assert_cmphex(evm_frame(vm, EXC_PF).error, ==, 3);
    g_assert_cmphex(vm->c->s.cr2, ==, EVM_DATA + 0x1000);
    if (evm_is_tcg(vm)) { /* KVM's own emulator writes page by page */
        g_assert_cmpmem(evm_ptr(vm, at), 3, "ABC", 3);
    }
    evm_free(vm);
}

/* ---- strings -------------------------------------------------------------------------------- */

EVM_PROGRAM(rep, "rep movsb\n"
                 "hlt\n");

static void test_rep_fault(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, rep);
    memset(evm_ptr(vm, EVM_DATA), 0x77, 0x3000);
    evm_map(vm, EVM_DATA + 0x12000, 0);
    *reg(vm, R_RSI) = EVM_DATA + 5;
    *reg(vm, R_RDI) = EVM_DATA + 0x10000 + 9;
    *reg(vm, R_RCX) = 0x2800;
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_PF);
    g_assert_cmphex(evm_frame(vm, EXC_PF).rip, ==, EVM_CODE);
    g_assert_cmphex(vm->c->s.cr2, ==, EVM_DATA + 0x12000);
    g_assert_cmphex(*reg(vm, R_RDI), ==, EVM_DATA + 0x12000);
    g_assert_cmphex(*reg(vm, R_RSI), ==, EVM_DATA + 5 + 0x2000 - 9);
    g_assert_cmphex(*reg(vm, R_RCX), ==, 0x2800 - (0x2000 - 9));
    g_assert_cmphex(*(uint8_t *)evm_ptr(vm, EVM_DATA + 0x11fff), ==, 0x77);
    evm_free(vm);
}

/* ---- single step and breakpoints --------------------------------------------------------------- */

EVM_PROGRAM(step, "pushf\n"
                  "orl $0x100, (%rsp)\n"
                  "popf\n"
                  "inc %eax\n"
                  "inc %eax\n"
                  "hlt\n");

static void test_trap_flag(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    EVM_LOAD(vm, EVM_CODE, step);
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_DB);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 1);
    g_assert_cmphex(evm_frame(vm, EXC_DB).rip, ==, EVM_CODE + 11);
    g_assert_cmphex(vm->c->s.dr[6] & 0x400f, ==, 0x4000);
    evm_free(vm);
}

EVM_PROGRAM(watch, "mov %rdi, %dr0\n"
                   "mov $0xd0001, %eax\n"
                   "mov %rax, %dr7\n"
                   "movl $1, -4(%rdi)\n"
                   "movl $2, (%rdi)\n"
                   "movl $3, 4(%rdi)\n"
                   "hlt\n");

static void test_watchpoint(void)
{
    Evm *vm = evm_new(EVM_LONG64);

    int how;

    EVM_LOAD(vm, EVM_CODE, watch);
    *reg(vm, R_RDI) = EVM_DATA + 0x100;
    how = evm_run(vm, 0);
    if (how == EVM_HALT && !evm_is_tcg(vm)) {
        g_test_skip("this KVM interprets, without watchpoints");
        evm_free(vm);
        return;
    }
    g_assert_cmpint(how, ==, EXC_DB);
    g_assert_cmphex(vm->c->s.dr[6] & 0x400f, ==, 1);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, EVM_DATA + 0x100)), ==, 2);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, EVM_DATA + 0x104)), ==, 0);
    evm_free(vm);
}

static void test_debugger(void)
{
    Evm *vm = evm_new(EVM_LONG64);
    hwaddr bp = EVM_CODE + 7;

    EVM_LOAD(vm, EVM_CODE, sum);
    g_assert_true(tcg_accel.set_debug(vm->c, &bp, 1, false));
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(tcg_accel.run(vm->c), ==, CPU_EXIT_DEBUG);
        g_assert_cmphex(vm->c->s.rip, ==, bp);
        g_assert_cmpuint(*reg(vm, R_RCX), ==, 1000 - i);
    }
    g_assert_true(tcg_accel.set_debug(vm->c, NULL, 0, true));
    g_assert_cmpint(tcg_accel.run(vm->c), ==, CPU_EXIT_DEBUG);
    g_assert_cmphex(vm->c->s.rip, ==, bp + 3);
    g_assert_true(tcg_accel.set_debug(vm->c, NULL, 0, false));
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmpuint(*reg(vm, R_RAX), ==, 500500);
    evm_free(vm);
}

/* ---- events ---------------------------------------------------------------------------------------- */

EVM_PROGRAM(shadow, "sti\n"
                    "inc %eax\n"
                    "inc %eax\n"
                    "hlt\n");

static int ack_0x40(X86Cpu *c)
{
    cpu_lower(c, CPU_IRQ);
    return 0x40;
}

static uint8_t no_tpr(X86Cpu *c)
{
    return 0;
}

static void test_sti_shadow(void)
{
    static const ApicOps ops = { .ack_irq = ack_0x40, .get_tpr = no_tpr };
    Evm *vm = evm_new(EVM_LONG64);

    vm->c->apic_ops = &ops;
    EVM_LOAD(vm, EVM_CODE, shadow);
    cpu_raise(vm->c, CPU_IRQ);
    g_assert_cmpint(evm_run(vm, 0), ==, 0x40);
    if (evm_is_tcg(vm)) {
        g_assert_cmpuint(*reg(vm, R_RAX), ==, 1);
        g_assert_cmphex(evm_frame(vm, 0x40).rip, ==, EVM_CODE + 3);
    }
    g_assert_cmpuint(*reg(vm, R_RAX), >=, 1); /* KVM may come a little later */
    evm_free(vm);
}

/* ---- other modes --------------------------------------------------------------------------------------- */

static void test_real_mode(void)
{
    /* mov $0x1234, %ax; mov %ax, %ds; movb $0x5a, (0x10); ljmp 0x100:0x0 */
    static const uint8_t boot[] = { 0xb8, 0x34, 0x12, 0x8e, 0xd8,
                                    0xc6, 0x06, 0x10, 0x00, 0x5a,
                                    0xea, 0x00, 0x00, 0x00, 0x01 };
    static const uint8_t next[] = { 0x40, 0xeb, 0x01, 0x40, 0xf4 };
    Evm *vm = evm_new(EVM_REAL);

    evm_write(vm, 0x7c00, boot, sizeof(boot));
    evm_write(vm, 0x1000, next, sizeof(next));
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0x1235);
    g_assert_cmphex(*(uint8_t *)evm_ptr(vm, 0x12350), ==, 0x5a);
    g_assert_cmphex(vm->c->s.rip, ==, 5);
    g_assert_cmphex(vm->c->s.seg[S_CS].base, ==, 0x1000);
    evm_free(vm);
}

/* The segment's limit: the last byte is there, a word at it is not. */
static void test_limit_fault(void)
{
    /* mov (0xffff), %al; mov (0xffff), %ax */
    static const uint8_t code[] = { 0xa0, 0xff, 0xff, 0xa1, 0xff, 0xff };
    Evm *vm = evm_new(EVM_REAL);

    evm_write(vm, 0x7c00, code, sizeof(code));
    *(uint8_t *)evm_ptr(vm, 0xffff) = 0x42;
    g_assert_cmpint(evm_run(vm, 0), ==, EXC_GP);
    g_assert_cmphex(*reg(vm, R_RAX), ==, 0x42);
    g_assert_cmphex(ld_le16(evm_ptr(vm, vm->c->s.gpr[R_RSP])), ==, 0x7c03);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/loop", test_loop);
    g_test_add_func("/engine/calls", test_calls);
    g_test_add_func("/engine/behind", test_behind);
    g_test_add_func("/engine/limit", test_limit);
    g_test_add_func("/engine/fault/page", test_page_fault);
    g_test_add_func("/engine/fault/kicked-fetch", test_kicked_fetch);
    g_test_add_func("/engine/fault/undefined", test_undefined);
    g_test_add_func("/engine/fault/triple", test_triple);
    g_test_add_func("/engine/fault/user", test_user);
    g_test_add_func("/engine/smc/next", test_smc_next);
    g_test_add_func("/engine/smc/far", test_smc_far);
    g_test_add_func("/engine/smc/alias", test_smc_alias);
    g_test_add_func("/engine/smc/mixed", test_mixed);
    g_test_add_func("/engine/smc/dma", test_dma);
    g_test_add_func("/engine/crossing/code", test_crossing_code);
    g_test_add_func("/engine/crossing/data", test_crossing_data);
    g_test_add_func("/engine/rep/fault", test_rep_fault);
    g_test_add_func("/engine/debug/tf", test_trap_flag);
    g_test_add_func("/engine/debug/watch", test_watchpoint);
    g_test_add_func("/engine/debug/debugger", test_debugger);
    g_test_add_func("/engine/event/sti", test_sti_shadow);
    g_test_add_func("/engine/mode/real", test_real_mode);
    g_test_add_func("/engine/mode/limit", test_limit_fault);
    return g_test_run();
}
