/*
 * target-x86/access.h as the software CPU implements it: what the TLB keeps,
 * what a flush takes, and everything that is not plain RAM.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "accel/tcg/tcg.h"
#include "target-x86/access.h"
#include "target-x86/cpuid.h"
#include "target-x86/seg.h"
#include "util/bits.h"

enum { PTE = 7, PTE_G = 0x100, AT = EVM_DATA };

/* One access, with a fault caught: its vector, or -1. */
static int vector;
static uint64_t value;

static uint64_t load(Evm *vm, uint64_t lin, unsigned size)
{
    vector = -1;
    value = 0;
    if (sigsetjmp(vm->c->unwind, 0) == 0) {
        value = mem_ld(vm->c, S_DS, lin, size);
    } else {
        vector = vm->c->fault.vector;
    }
    return value;
}

static int store(Evm *vm, uint64_t lin, uint64_t v, unsigned size)
{
    vector = -1;
    if (sigsetjmp(vm->c->unwind, 0) == 0) {
        mem_st(vm->c, S_DS, lin, v, size);
    } else {
        vector = vm->c->fault.vector;
    }
    return vector;
}

/* Also serves what is waiting, so that the mode is known to the engine. */
static Evm *start(EvmMode mode)
{
    Evm *vm = evm_new(mode);

    *(uint8_t *)evm_ptr(vm, EVM_CODE) = 0xf4;
    if (mode != EVM_USER64) {
        evm_run(vm, 0);
    } else {
        vm->c->s.halted = true;
        tcg_accel.run(vm->c);
    }
    return vm;
}

static uint32_t *word(Evm *vm, hwaddr addr)
{
    return evm_ptr(vm, addr);
}

/* ---- flushing ----------------------------------------------------------------------- */

static void test_invlpg(void)
{
    Evm *vm = start(EVM_LONG64);

    *word(vm, AT + 0x3000) = 3;
    *word(vm, AT + 0x4000) = 4;
    evm_map(vm, AT, (AT + 0x3000) | PTE);
    tlb_flush(vm->c, true);
    g_assert_cmpuint(load(vm, AT, 4), ==, 3);
    evm_map(vm, AT, (AT + 0x4000) | PTE);
    g_assert_cmpuint(load(vm, AT, 4), ==, 3); /* the TLB may, and does */
    tlb_flush_page(vm->c, AT + 0xfff);
    g_assert_cmpuint(load(vm, AT, 4), ==, 4);
    evm_map(vm, AT, 0);
    tlb_flush_page(vm->c, AT);
    load(vm, AT, 4);
    g_assert_cmpint(vector, ==, EXC_PF);
    g_assert_cmphex(vm->c->fault.cr2, ==, AT);
    evm_free(vm);
}

/* loadvm writes memory and then asks for a flush: the flush is not lost among
 * the requests that the writes made. */
static void test_state_loaded(void)
{
    Evm *vm = start(EVM_LONG64);

    *word(vm, AT + 0x3000) = 3;
    *word(vm, AT + 0x4000) = 4;
    evm_map(vm, AT, (AT + 0x3000) | PTE);
    tlb_flush(vm->c, true);
    g_assert_cmpuint(load(vm, AT, 4), ==, 3);
    evm_map(vm, AT, (AT + 0x4000) | PTE);
    as_ram_written(vm->m->mem, 0, EVM_RAM);
    cpu_raise(vm->c, CPU_FLUSH);
    vm->c->s.halted = true;
    tcg_accel.run(vm->c);
    g_assert_cmpuint(load(vm, AT, 4), ==, 4);
    evm_free(vm);
}

/* INVLPG anywhere in a large page drops all of it. */
static void test_invlpg_large(void)
{
    Evm *vm = start(EVM_LONG64);
    uint64_t *pd = evm_ptr(vm, EVM_TABLES + 2 * PAGE_SIZE);

    *word(vm, 0x400000) = 40;
    *word(vm, 0x412000) = 41;
    *word(vm, 0x600000) = 60;
    *word(vm, 0x612000) = 61;
    g_assert_cmpuint(load(vm, 0x400000, 4), ==, 40);
    g_assert_cmpuint(load(vm, 0x412000, 4), ==, 41);
    pd[2] = 0x600000 | 0x80 | PTE;
    tlb_flush_page(vm->c, 0x4ff000);
    g_assert_cmpuint(load(vm, 0x400000, 4), ==, 60);
    g_assert_cmpuint(load(vm, 0x412000, 4), ==, 61);
    evm_free(vm);
}

static void test_globals(void)
{
    Evm *vm = start(EVM_LONG64);

    vm->c->s.cr4 |= CR4_PGE;
    *word(vm, AT + 0x3000) = 3;
    *word(vm, AT + 0x4000) = 4;
    evm_map(vm, AT, (AT + 0x3000) | PTE | PTE_G);
    evm_map(vm, AT + 0x1000, (AT + 0x3000) | PTE);
    tlb_flush(vm->c, true);
    load(vm, AT, 4);
    load(vm, AT + 0x1000, 4);
    evm_map(vm, AT, (AT + 0x4000) | PTE | PTE_G);
    evm_map(vm, AT + 0x1000, (AT + 0x4000) | PTE);
    x86_set_cr3(vm->c, vm->c->s.cr3);
    g_assert_cmpuint(load(vm, AT, 4), ==, 3);
    g_assert_cmpuint(load(vm, AT + 0x1000, 4), ==, 4);
    tlb_flush(vm->c, false);
    g_assert_cmpuint(load(vm, AT, 4), ==, 3);
    tlb_flush_page(vm->c, AT); /* INVLPG takes global ones too */
    g_assert_cmpuint(load(vm, AT, 4), ==, 4);
    evm_free(vm);
}

/* More fills than the log holds: nothing is forgotten. */
static void test_full_log(void)
{
    Evm *vm = start(EVM_LONG64);
    uint64_t n = 600;

    for (uint64_t i = 0; i < n; i++) {
        evm_map(vm, 0x800000 + i * PAGE_SIZE, (0x800000 + i * PAGE_SIZE) | PTE);
        *word(vm, 0x800000 + i * PAGE_SIZE) = i;
    }
    tlb_flush(vm->c, true);
    for (uint64_t i = 0; i < n; i++) {
        g_assert_cmpuint(load(vm, 0x800000 + i * PAGE_SIZE, 4), ==, i);
    }
    for (uint64_t i = 0; i < n; i++) {
        evm_map(vm, 0x800000 + i * PAGE_SIZE, 0);
    }
    tlb_flush(vm->c, false);
    for (uint64_t i = 0; i < n; i++) {
        load(vm, 0x800000 + i * PAGE_SIZE, 4);
        g_assert_cmpint(vector, ==, EXC_PF);
    }
    evm_free(vm);
}

/* Under KVM the host decides what there is. */
static bool has_or_skip(Evm *vm, CpuFeature f)
{
    if (cpu_has(vm->c, f)) {
        return true;
    }
    g_test_skip("this processor has it not");
    evm_free(vm);
    return false;
}

static void test_pcid(void)
{
    Evm *vm = start(EVM_LONG64);
    uint64_t other = 0xa00000, *pml4 = evm_ptr(vm, other);

    if (!has_or_skip(vm, FEAT_PCID)) {
        return;
    }
    /* A second address space: AT is somewhere else in it. */
    memcpy(pml4, evm_ptr(vm, EVM_TABLES), 6 * PAGE_SIZE);
    pml4[0] = (other + 0x1000) | PTE;
    pml4[512] = (other + 0x2000) | PTE;
    pml4[1024 + AT / (2 << 20)] = 0x400000 | 0x80 | PTE;
    *word(vm, AT) = 1;
    *word(vm, 0x400000) = 2;
    g_assert_true(x86_set_cr4(vm->c, vm->c->s.cr4 | CR4_PCIDE | CR4_PGE));

    g_assert_cmpuint(load(vm, AT, 4), ==, 1);
    x86_set_cr3(vm->c, other | 5);
    g_assert_cmpuint(load(vm, AT, 4), ==, 2);
    /* Back without a flush, to what the first one had. */
    *(uint64_t *)evm_ptr(vm, EVM_TABLES + 2 * PAGE_SIZE + 8 * (AT >> 21)) =
        0x600000 | 0x80 | PTE;
    *word(vm, 0x600000) = 6;
    x86_set_cr3(vm->c, EVM_TABLES | UINT64_C(1) << 63);
    g_assert_cmpuint(load(vm, AT, 4), ==, 1);
    x86_set_cr3(vm->c, EVM_TABLES);
    g_assert_cmpuint(load(vm, AT, 4), ==, 6);
    /* The other kept its own. */
    pml4[1024 + AT / (2 << 20)] = 0x600000 | 0x80 | PTE;
    x86_set_cr3(vm->c, other | 5 | UINT64_C(1) << 63);
    g_assert_cmpuint(load(vm, AT, 4), ==, 2);
    tlb_flush_pcid(vm->c, 5);
    g_assert_cmpuint(load(vm, AT, 4), ==, 6);
    /* More PCIDs than there is room for. */
    for (unsigned i = 10; i < 40; i++) {
        x86_set_cr3(vm->c, other | i | UINT64_C(1) << 63);
        g_assert_cmpuint(load(vm, AT, 4), ==, 6);
    }
    x86_set_cr3(vm->c, EVM_TABLES | UINT64_C(1) << 63);
    g_assert_cmpuint(load(vm, AT, 4), ==, 6);
    evm_free(vm);
}

/* ---- rights -------------------------------------------------------------------------------- */

static void test_dirty(void)
{
    Evm *vm = start(EVM_LONG64);
    uint64_t *pte;

    evm_map(vm, AT, AT | PTE);
    pte = evm_ptr(vm, 0xc00000 + (AT >> 21) * PAGE_SIZE);
    tlb_flush(vm->c, true);
    load(vm, AT, 4);
    g_assert_cmphex(*pte & 0x60, ==, 0x20);
    g_assert_cmpint(store(vm, AT, 1, 4), ==, -1);
    g_assert_cmphex(*pte & 0x60, ==, 0x60);
    evm_free(vm);
}

/* A store over two pages of which the second cannot be written: the first
 * is not touched, nor marked dirty by the access that did not happen. */
static void test_crossing(void)
{
    Evm *vm = start(EVM_LONG64);

    evm_map(vm, AT, AT | PTE);
    evm_map(vm, AT + 0x1000, (AT + 0x1000) | 5);
    tlb_flush(vm->c, true);
    *word(vm, AT + 0xffc) = 0x11111111;
    g_assert_cmpint(store(vm, AT + 0xffe, UINT64_MAX, 4), ==, EXC_PF);
    g_assert_cmphex(vm->c->fault.cr2, ==, AT + 0x1000);
    g_assert_cmphex(*word(vm, AT + 0xffc), ==, 0x11111111);
    *word(vm, AT + 0x1000) = 0x22222222;
    g_assert_cmphex(load(vm, AT + 0xffe, 4), ==, 0x22221111);
    evm_free(vm);
}

static void test_smap(void)
{
    Evm *vm = start(EVM_LONG64);

    if (!has_or_skip(vm, FEAT_SMAP)) {
        return;
    }
    evm_map(vm, AT + 0x1000, (AT + 0x1000) | 3);
    g_assert_true(x86_set_cr4(vm->c, vm->c->s.cr4 | CR4_SMAP));
    tcg_sync((TcgCpu *)vm->c);
    load(vm, AT, 4);
    g_assert_cmpint(vector, ==, EXC_PF);
    g_assert_cmphex(vm->c->fault.error, ==, 1);
    load(vm, AT + 0x1000, 4);
    g_assert_cmpint(vector, ==, -1);
    vm->c->s.rflags |= FL_AC; /* STAC */
    tcg_sync((TcgCpu *)vm->c);
    load(vm, AT, 4);
    g_assert_cmpint(vector, ==, -1);
    vm->c->s.rflags &= ~(uint64_t)FL_AC;
    tcg_sync((TcgCpu *)vm->c);
    load(vm, AT, 4);
    g_assert_cmpint(vector, ==, EXC_PF);
    evm_free(vm);
}

static void test_canonical(void)
{
    Evm *vm = start(EVM_LONG64);

    load(vm, UINT64_C(0x0000800000000000), 1);
    g_assert_cmpint(vector, ==, EXC_GP);
    load(vm, UINT64_C(0x00007ffffffffffd), 8);
    g_assert_cmpint(vector, ==, EXC_GP);
    load(vm, UINT64_C(0xffff7fffffffffff), 1);
    g_assert_cmpint(vector, ==, EXC_GP);
    load(vm, UINT64_C(0xffff800000000000), 1);
    g_assert_cmpint(vector, ==, EXC_PF);
    evm_free(vm);
}

static void test_alignment(void)
{
    Evm *vm = start(EVM_USER64);

    vm->c->s.cr0 |= CR0_AM;
    vm->c->s.rflags |= FL_AC;
    tcg_sync((TcgCpu *)vm->c);
    load(vm, AT, 8);
    g_assert_cmpint(vector, ==, -1);
    load(vm, AT + 2, 4);
    g_assert_cmpint(vector, ==, EXC_AC);
    g_assert_cmpint(store(vm, AT + 1, 0, 2), ==, EXC_AC);
    load(vm, AT + 2, 2);
    g_assert_cmpint(vector, ==, -1);
    evm_free(vm);
}

/* ---- not RAM --------------------------------------------------------------------------------- */

typedef struct Dev {
    hwaddr offset;
    uint64_t value;
    unsigned size, n;
} Dev;

static uint64_t dev_read(void *opaque, hwaddr offset, unsigned size)
{
    Dev *d = opaque;

    d->offset = offset;
    d->size = size;
    d->n++;
    return UINT64_C(0x8877665544332211) >> (offset * 8 & 63);
}

static void dev_write(void *opaque, hwaddr offset, uint64_t v, unsigned size)
{
    Dev *d = opaque;

    d->offset = offset;
    d->value = v;
    d->size = size;
    d->n++;
}

static const RegionOps dev_ops = {
    .read = dev_read,
    .write = dev_write,
    .min_size = 1,
    .max_size = 8,
};

static void test_mmio(void)
{
    Evm *vm = start(EVM_LONG64);
    Region r;
    Dev d = { 0 };

    region_init_io(&r, "dev", 0x1000, &dev_ops, &d);
    as_map(vm->m->mem, 0x80000000, &r, 0);
    g_assert_cmphex(load(vm, 0x80000004, 4), ==, 0x88776655);
    g_assert_cmpint(store(vm, 0x80000010, 0xabcd, 2), ==, -1);
    g_assert_cmphex(d.offset, ==, 0x10);
    g_assert_cmphex(d.value, ==, 0xabcd);
    g_assert_cmpuint(d.size, ==, 2);
    g_assert_cmpuint(d.n, ==, 2); /* once each, and no byte more */
    /* Nothing there. */
    g_assert_cmphex(load(vm, 0x90000000, 4), ==, 0xffffffff);
    /* Gone, and RAM in its place. */
    as_unmap(&r);
    tcg_accel.run(vm->c); /* serves the request */
    g_assert_cmphex(load(vm, 0x80000004, 4), ==, 0xffffffff);
    evm_free(vm);
}

/* A device whose write changes the map: the next access sees it. */
typedef struct Switch {
    Evm *vm;
    Region on_top;
} Switch;

static void switch_write(void *opaque, hwaddr offset, uint64_t v, unsigned size)
{
    Switch *s = opaque;

    if (v) {
        as_map(s->vm->m->mem, 0x300000, &s->on_top, 1);
    } else {
        as_unmap(&s->on_top);
    }
}

static const RegionOps switch_ops = { .write = switch_write };

static void test_map_change(void)
{
    Evm *vm = start(EVM_LONG64);
    Switch s = { .vm = vm };
    Region r;
    Dev d = { 0 };

    region_init_io(&r, "switch", 0x1000, &switch_ops, &s);
    region_init_io(&s.on_top, "window", 0x1000, &dev_ops, &d);
    as_map(vm->m->mem, 0x80000000, &r, 0);
    *word(vm, 0x300000) = 0x1234;
    g_assert_cmphex(load(vm, 0x300000, 4), ==, 0x1234);
    store(vm, 0x80000000, 1, 4);
    g_assert_cmphex(load(vm, 0x300000, 4), ==, 0x44332211);
    store(vm, 0x80000000, 0, 4);
    g_assert_cmphex(load(vm, 0x300000, 4), ==, 0x1234);
    as_unmap(&r);
    evm_free(vm);
}

static void test_rom(void)
{
    Evm *vm = start(EVM_LONG64);
    GError *err = NULL;
    Region r;

    g_assert_true(region_init_rom(&r, "rom", 0x1000, &err));
    as_map(vm->m->mem, 0x80000000, &r, 0);
    st_le32(r.ram + 8, 0x600d);
    g_assert_cmpint(store(vm, 0x80000008, 0xbad, 4), ==, -1);
    g_assert_cmphex(load(vm, 0x80000008, 4), ==, 0x600d);
    /* It can be executed: mov $5, %al; hlt */
    memcpy(r.ram, "\xb0\x05\xf4", 3);
    vm->c->s.rip = 0x80000000;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(vm->c->s.gpr[R_RAX] & 0xff, ==, 5);
    as_unmap(&r);
    region_fini(&r);
    evm_free(vm);
}

/* Code fetched from a device, byte by byte. */
static uint64_t code_read(void *opaque, hwaddr offset, unsigned size)
{
    static const uint8_t code[] = { 0xb8, 1, 2, 3, 4, 0xff, 0xc0, 0xf4 };

    return offset < sizeof(code) ? code[offset] : 0xf4;
}

static const RegionOps code_ops = { .read = code_read, .max_size = 1 };

static void test_code_in_device(void)
{
    Evm *vm = start(EVM_LONG64);
    Region r;

    region_init_io(&r, "code", 0x1000, &code_ops, NULL);
    as_map(vm->m->mem, 0x80000000, &r, 0);
    vm->c->s.rip = 0x80000000;
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(vm->c->s.gpr[R_RAX], ==, 0x04030202);
    as_unmap(&r);
    evm_free(vm);
}

static uint64_t apic_read(X86Cpu *c, hwaddr offset, unsigned size)
{
    return 0xa1c0000 | offset;
}

static void test_apic_page(void)
{
    static const ApicOps ops = { .mmio_read = apic_read };
    Evm *vm = start(EVM_LONG64);

    vm->c->apic_ops = &ops;
    vm->c->s.apic_base = 0x300000 | 0x800;
    tcg_sync((TcgCpu *)vm->c);
    g_assert_cmphex(load(vm, 0x300020, 4), ==, 0xa1c0020);
    vm->c->s.apic_base = 0x300000; /* disabled: what is under it */
    tcg_sync((TcgCpu *)vm->c);
    g_assert_cmphex(load(vm, 0x300020, 4), ==, 0);
    evm_free(vm);
}

static void test_a20(void)
{
    Evm *vm = start(EVM_REAL);

    *word(vm, 0x500) = 0x11;
    *word(vm, 0x100500) = 0x22;
    vm->c->s.seg[S_DS].base = 0xffff0;
    vm->c->s.seg[S_DS].sel = 0xffff;
    vm->c->s.a20_masked = true;
    tcg_sync((TcgCpu *)vm->c);
    g_assert_cmphex(load(vm, 0x510, 4), ==, 0x11);
    vm->c->s.a20_masked = false;
    tcg_sync((TcgCpu *)vm->c);
    g_assert_cmphex(load(vm, 0x510, 4), ==, 0x22);
    evm_free(vm);
}

/* ---- segments ------------------------------------------------------------------------------------ */

static void test_segments(void)
{
    Evm *vm = start(EVM_PROT32);
    X86Seg *ds = &vm->c->s.seg[S_DS];

    *word(vm, AT + 0x100) = 0x55;
    ds->base = AT;
    ds->limit = 0x103;
    tcg_sync((TcgCpu *)vm->c);
    g_assert_cmphex(load(vm, 0x100, 4), ==, 0x55);
    load(vm, 0x101, 4);
    g_assert_cmpint(vector, ==, EXC_GP);
    load(vm, 0xffffffff, 4);
    g_assert_cmpint(vector, ==, EXC_GP);
    /* Expand-down: what was inside is out, and the other way round. */
    ds->attr |= SEG_CE;
    load(vm, 0x100, 4);
    g_assert_cmpint(vector, ==, EXC_GP);
    load(vm, 0x104, 4);
    g_assert_cmpint(vector, ==, -1);
    ds->attr &= ~SEG_DB; /* up to 64 KiB */
    load(vm, 0xfffd, 4);
    g_assert_cmpint(vector, ==, EXC_GP);
    ds->attr = (ds->attr & ~(SEG_CE | SEG_RW)) | SEG_DB;
    g_assert_cmpint(store(vm, 0x10, 0, 4), ==, EXC_GP); /* read-only */
    ds->unusable = true;
    load(vm, 0x10, 4);
    g_assert_cmpint(vector, ==, EXC_GP);
    evm_free(vm);
}

/* ---- runs and atomics -------------------------------------------------------------------------------- */

static void test_run(void)
{
    Evm *vm = start(EVM_LONG64);
    uint64_t avail = 0;

    g_assert_true(mem_run(vm->c, S_DS, AT + 0x10, 4, 1, true, &avail) ==
                  (uint8_t *)evm_ptr(vm, AT + 0x10));
    g_assert_cmphex(avail, ==, 0xff0);
    g_assert_nonnull(mem_run(vm->c, S_DS, AT + 0x10, 4, -1, true, &avail));
    g_assert_cmphex(avail, ==, 0x14);
    g_assert_null(mem_run(vm->c, S_DS, AT + 0xffe, 4, 1, false, &avail));
    g_assert_null(mem_run(vm->c, S_DS, 0x90000000, 4, 1, false, &avail));
    g_assert_true(mem_atomic(vm->c, S_DS, AT + 0x21, 8) ==
                  evm_ptr(vm, AT + 0x21));
    g_assert_null(mem_atomic(vm->c, S_DS, AT + 0xffd, 8));
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tlb/flush/invlpg", test_invlpg);
    g_test_add_func("/tlb/flush/state-loaded", test_state_loaded);
    g_test_add_func("/tlb/flush/invlpg-large", test_invlpg_large);
    g_test_add_func("/tlb/flush/globals", test_globals);
    g_test_add_func("/tlb/flush/full-log", test_full_log);
    g_test_add_func("/tlb/flush/pcid", test_pcid);
    g_test_add_func("/tlb/rights/dirty", test_dirty);
    g_test_add_func("/tlb/rights/crossing", test_crossing);
    g_test_add_func("/tlb/rights/smap", test_smap);
    g_test_add_func("/tlb/rights/canonical", test_canonical);
    g_test_add_func("/tlb/rights/alignment", test_alignment);
    g_test_add_func("/tlb/device/mmio", test_mmio);
    g_test_add_func("/tlb/device/map-change", test_map_change);
    g_test_add_func("/tlb/device/rom", test_rom);
    g_test_add_func("/tlb/device/code", test_code_in_device);
    g_test_add_func("/tlb/device/apic", test_apic_page);
    g_test_add_func("/tlb/a20", test_a20);
    g_test_add_func("/tlb/segments", test_segments);
    g_test_add_func("/tlb/run", test_run);
    return g_test_run();
}
