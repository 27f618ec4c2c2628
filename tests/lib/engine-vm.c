/* See engine-vm.h. */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "accel/cpus.h"
#include "accel/tcg/tcg.h"
#include "target-x86/cpuid.h"
#include "target-x86/seg.h"
#include "util/bits.h"
#include "util/keyval.h"

static const MachineClass evm_class = { .name = "engine test", .max_cpus = 8 };

#define EVM_OPTIONS "kvm,turns=off" /* what KVM can do, it does */

enum { STUB_SIZE = 16, PTE = 0x7 };

void *evm_ptr(Evm *vm, hwaddr addr)
{
    return vm->ram.ram + addr;
}

void evm_write(Evm *vm, hwaddr addr, const void *bytes, size_t len)
{
    as_write(vm->m->mem, addr, bytes, len);
}

/* Identity: PML4, PDPT, four page directories of 2 MiB pages. */
static void evm_tables(Evm *vm)
{
    uint64_t *pml4 = evm_ptr(vm, EVM_TABLES), *pdpt = pml4 + 512;

    memset(pml4, 0, 6 * PAGE_SIZE);
    pml4[0] = (EVM_TABLES + PAGE_SIZE) | PTE;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t *pd = pml4 + 512 * (2 + i);

        pdpt[i] = (EVM_TABLES + (2 + i) * PAGE_SIZE) | PTE;
        for (unsigned j = 0; j < 512; j++) {
            pd[j] = ((uint64_t)i << 30) | j << 21 | 0x80 | PTE;
        }
    }
}

void evm_map(Evm *vm, uint64_t lin, uint64_t entry)
{
    uint64_t *pd = (uint64_t *)evm_ptr(vm, EVM_TABLES + 2 * PAGE_SIZE);
    uint64_t *pde = &pd[lin >> 21], *pt;
    hwaddr table = 0xc00000 + (lin >> 21) * PAGE_SIZE;

    g_assert(lin < 1 << 30);
    pt = evm_ptr(vm, table);
    if (*pde & 0x80) {
        for (unsigned i = 0; i < 512; i++) {
            pt[i] = (lin & ~0x1fffffull) | i << 12 | PTE;
        }
        *pde = table | PTE;
    }
    pt[lin >> 12 & 511] = entry;
}

static void evm_seg(X86Cpu *c, unsigned seg, uint16_t sel, uint32_t attr,
                    uint32_t limit)
{
    c->s.seg[seg] = (X86Seg) {
        .sel = sel,
        .attr = attr,
        .limit = limit,
    };
}

/* GDT: 8 code64, 0x10 data, 0x18 code32, 0x20 user code64, 0x28 user data,
 * 0x30 TSS, 0x40 user code32. */
static void evm_descriptors(Evm *vm)
{
    static const uint64_t gdt[] = {
        0,
        0x00af9b000000ffff,
        0x00cf93000000ffff,
        0x00cf9b000000ffff,
        0x00affb000000ffff,
        0x00cff3000000ffff,
        0x0000890000000067 | (uint64_t)EVM_TSS << 16,
        0,
        0x00cffb000000ffff,
    };

    memcpy(evm_ptr(vm, EVM_GDT), gdt, sizeof(gdt));
    memset(evm_ptr(vm, EVM_TSS), 0, 104);
    st_le64(evm_ptr(vm, EVM_TSS + 4), EVM_STACK - 0x1000); /* RSP0 */
}

static void evm_idt(Evm *vm, bool wide)
{
    uint8_t *idt = evm_ptr(vm, EVM_IDT);

    memset(idt, 0, PAGE_SIZE);
    memset(evm_ptr(vm, EVM_STUBS), 0xf4, 256 * STUB_SIZE);
    for (unsigned i = 0; i < 256; i++) {
        uint64_t at = EVM_STUBS + i * STUB_SIZE;
        uint8_t *gate = idt + i * (wide ? 16 : 8);

        st_le16(gate, at);
        st_le16(gate + 2, wide ? 8 : 0x18);
        st_le16(gate + 4, i == 3 || i == 0x80 ? 0xee00 : 0x8e00);
        st_le16(gate + 6, at >> 16);
    }
}

static void evm_ivt(Evm *vm)
{
    memset(evm_ptr(vm, EVM_STUBS), 0xf4, 256 * STUB_SIZE);
    for (unsigned i = 0; i < 256; i++) {
        st_le32(evm_ptr(vm, i * 4), EVM_STUBS + i * STUB_SIZE);
    }
}

static void evm_flat(X86Cpu *c, EvmMode mode)
{
    const uint32_t data = 0xc09300, data3 = 0xc0f300;
    bool user = mode == EVM_USER64;

    for (unsigned i = 0; i < S_COUNT; i++) {
        evm_seg(c, i, user ? 0x2b : 0x10, user ? data3 : data, UINT32_MAX);
    }
    if (mode == EVM_PROT32) {
        evm_seg(c, S_CS, 0x18, 0xc09b00, UINT32_MAX);
    } else {
        evm_seg(c, S_CS, user ? 0x23 : 8, user ? 0xa0fb00 : 0xa09b00,
                UINT32_MAX);
    }
}

void evm_mode(Evm *vm, EvmMode mode)
{
    X86Cpu *c = vm->c;
    X86State *s = &c->s;

    c->state_in_accel = false;
    x86_reset(c);
    s->rip = EVM_CODE;
    s->gpr[R_RSP] = EVM_STACK;
    s->idt_limit = 0xfff;
    s->halted = false;
    s->mp_state = MP_RUNNABLE;
    if (mode == EVM_REAL) {
        evm_ivt(vm);
        evm_seg(c, S_CS, 0, 0x9b00, 0xffff);
        s->rip = 0x7c00;
        s->gpr[R_RSP] = 0x7000;
        s->idt_limit = 0x3ff;
    } else {
        evm_tables(vm);
        evm_descriptors(vm);
        evm_idt(vm, mode != EVM_PROT32);
        evm_flat(c, mode);
        s->gdt_base = EVM_GDT;
        s->gdt_limit = 0x47;
        s->idt_base = EVM_IDT;
        s->tr = (X86Seg) {
            .sel = 0x30,
            .attr = 0x8b00,
            .limit = 0x67,
            .base = EVM_TSS,
        };
        s->cr0 = CR0_PE | CR0_ET | CR0_NE;
        s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
        if (mode != EVM_PROT32) {
            s->cr0 |= CR0_PG | CR0_WP;
            s->cr3 = EVM_TABLES;
            s->cr4 |= CR4_PAE;
            s->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
        }
    }
    x86_update_mode(c);
    cpu_raise(c, CPU_FLUSH);
}

Evm *evm_new(EvmMode mode)
{
    const char *engine = g_getenv("EVM_ENGINE");
    Evm *vm = evm_new_on(mode, engine ? engine : "tcg");

    if (!vm) {
        g_printerr("EVM_ENGINE=%s cannot be used here\n", engine);
        exit(77);
    }
    return vm;
}

/* EVM_JIT in the environment: "off", or executions before translation. */
static void evm_set_jit(KeyVal *options)
{
    const char *jit = g_getenv("EVM_JIT");

    if (jit && !strcmp(jit, "off")) {
        keyval_set(options, "jit", "off");
    } else if (jit) {
        keyval_set(options, "jit-threshold", jit);
    }
}

/* The machine, without processors. NULL: there is no such engine here. */
static Evm *evm_machine(const char *engine, const char *text,
                        const MachineClass *cls)
{
    const AccelOps *ops = accel_find(engine);
    g_autoptr(KeyVal) options = NULL;
    Evm *vm;
    GError *err = NULL;

    if (!ops || (ops->available && !ops->available(NULL))) {
        return NULL;
    }
    vm = g_new0(Evm, 1);

    vm->m = machine_new(cls ? cls : &evm_class, clock_new_manual());
    g_assert_true(region_init_ram(&vm->ram, "ram", EVM_RAM, &err));
    as_map(vm->m->mem, 0, &vm->ram, 0);
    options = keyval_parse(text, "accel", &err);
    evm_set_jit(options);
    g_assert_true(accel_open(vm->m, engine, options, &err));
    vm->m->cpu_model = vm->model = cpu_model_new("max", &vm->m->cfg, &err);
    g_assert_no_error(err);
    if (ops->limit_model) {
        ops->limit_model(vm->m->accel, vm->model);
    }
    return vm;
}

static void evm_on_halt(X86Cpu *c)
{
    Evm *vm = c->machine->board;

    __atomic_fetch_or(&vm->halted, 1u << c->index, __ATOMIC_SEQ_CST);
}

Evm *evm_new_smp(EvmMode mode, unsigned ncpus)
{
    Evm *vm = evm_machine("tcg", EVM_OPTIONS, NULL);
    GError *err = NULL;

    vm->smp = true;
    vm->m->board = vm;
    vm->m->on_halt = evm_on_halt;
    vm->m->ncpus = ncpus;
    g_assert_true(cpus_create(vm->m, &err));
    for (unsigned i = ncpus; i-- > 0;) {
        vm->c = vm->m->cpu[i];
        evm_mode(vm, mode);
    }
    return vm;
}

bool evm_run_all(Evm *vm, unsigned seconds)
{
    unsigned all = (1u << vm->m->ncpus) - 1;

    cpus_resume(vm->m);
    for (unsigned i = 0; i < seconds * 1000; i++) {
        if (__atomic_load_n(&vm->halted, __ATOMIC_SEQ_CST) == all) {
            break;
        }
        g_usleep(1000);
    }
    cpus_pause(vm->m);
    return vm->halted == all;
}

Evm *evm_new_on(EvmMode mode, const char *engine)
{
    return evm_new_with(mode, engine, EVM_OPTIONS, NULL);
}

Evm *evm_new_with(EvmMode mode, const char *engine, const char *options,
                  const MachineClass *cls)
{
    const AccelOps *ops = accel_find(engine);
    Evm *vm = evm_machine(engine, options, cls);
    GError *err = NULL;

    if (!vm) {
        return NULL;
    }
    vm->c = g_malloc0(ops->cpu_size);
    vm->c->model = vm->m->cpu_model;
    vm->c->machine = vm->m;
    vm->m->ncpus = 1;
    vm->m->cpu = &vm->c;
    g_assert_true(ops->cpu_init(vm->c, &err));
    evm_mode(vm, mode);
    return vm;
}

bool evm_is_tcg(const Evm *vm)
{
    return vm->m->accel->ops == &tcg_accel;
}

void evm_free(Evm *vm)
{
    if (vm->smp) {
        cpus_destroy(vm->m);
        vm->c = NULL;
    } else {
        vm->m->accel->ops->cpu_exit(vm->c);
    }
    accel_close(vm->m);
    as_unmap(&vm->ram);
    region_fini(&vm->ram);
    machine_free(vm->m);
    cpu_model_free(vm->model);
    g_free(vm->c);
    g_free(vm);
}

CpuExit evm_single_step(Evm *vm)
{
    const AccelOps *ops = vm->m->accel->ops;
    CpuExit exit;

    ops->set_debug(vm->c, NULL, 0, true);
    do {
        exit = ops->run(vm->c);
    } while (exit == CPU_EXIT_KICKED);
    cpu_state(vm->c);
    ops->set_debug(vm->c, NULL, 0, false);
    return exit;
}

/* Only the software CPU can count instructions. */
static CpuExit evm_run_steps(Evm *vm, uint64_t max)
{
    CpuExit exit = CPU_EXIT_DEBUG;

    while (max-- && exit == CPU_EXIT_DEBUG) {
        exit = evm_single_step(vm);
    }
    return exit;
}

static CpuExit evm_run_free(Evm *vm, uint64_t max)
{
    const AccelOps *ops = vm->m->accel->ops;
    CpuExit exit;

    if (ops == &tcg_accel) {
        tcg_set_limit(vm->c, max);
    } else if (max) {
        return evm_run_steps(vm, max);
    }
    do {
        exit = ops->run(vm->c);
    } while (exit == CPU_EXIT_KICKED);
    if (ops == &tcg_accel) {
        tcg_set_limit(vm->c, 0);
    }
    cpu_state(vm->c);
    return exit;
}

int evm_run(Evm *vm, uint64_t max)
{
    X86Cpu *c = vm->c;
    CpuExit exit;

    c->s.halted = false;
    exit = evm_run_free(vm, max);
    if (exit == CPU_EXIT_TRIPLE_FAULT) {
        return EVM_TRIPLE;
    }
    if (exit == CPU_EXIT_DEBUG) {
        return EVM_LIMIT;
    }
    g_assert_cmpint(exit, ==, CPU_EXIT_HALTED);
    if (c->s.rip - EVM_STUBS <= 256 * STUB_SIZE) {
        return (c->s.rip - 1 - EVM_STUBS) / STUB_SIZE;
    }
    return EVM_HALT;
}

EvmFrame evm_frame(Evm *vm, int vector)
{
    const uint64_t with_error = 0x00027d00 | 1 << EXC_AC;
    uint64_t *sp = evm_ptr(vm, vm->c->s.gpr[R_RSP]);
    EvmFrame f = { 0 };

    if (vector < 32 && with_error >> vector & 1) {
        f.error = *sp++;
    }
    f.rip = sp[0];
    f.cs = sp[1];
    f.rflags = sp[2];
    f.rsp = sp[3];
    f.ss = sp[4];
    return f;
}
