/*
 * A tiny guest that means harm: it writes and reads everything that it reaches,
 * with random values: every BAR of every function on bus 0, configuration space,
 * the ports of the board, its fixed memory-mapped registers; and it gives virtio
 * devices rings of rubbish. It never ends: tests/boot/hammer.py resets it.
 *
 * A plain 64-bit ELF file as pcidisk.c. Devices may write over it, and it may
 * reset or stop the machine: that is part of it, but rare, so that it gets
 * somewhere. A point on port 0xe9 for each 4096 steps.
 */
#include <stddef.h>
#include <stdint.h>

static void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static void in(uint16_t port, unsigned width)
{
    uint32_t v;

    if (width == 0) {
        __asm__ volatile("inb %1, %%al" : "=a"(v) : "Nd"(port));
    } else if (width == 1) {
        __asm__ volatile("inw %1, %%ax" : "=a"(v) : "Nd"(port));
    } else {
        __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    }
}

static uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

/* ---- chance --------------------------------------------------------------------- */

static uint64_t seed;

static uint32_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static uint32_t below(uint32_t n)
{
    return rnd() % n;
}

enum { RUBBISH = 1 << 20, MEMORY = 64 << 20 };

/* For devices to read and to write. */
static uint64_t rubbish[RUBBISH / 8] __attribute__((aligned(4096)));

static uint64_t value(void)
{
    switch (below(8)) {
    case 0:
        return 0;
    case 1:
        return ~0ull;
    case 2:
        return below(16);
    case 3:
        return 1ull << below(64);
    case 4:
    case 5:
        return (uintptr_t)rubbish + below(RUBBISH);
    case 6:
        return below(65536);
    default:
        return (uint64_t)rnd() << 32 | rnd();
    }
}

/* ---- what there is ----------------------------------------------------------------- */

enum { BARS_MAX = 64, FUNCTIONS = 256, BAR0 = 0x10, REGISTERS = 0x4000 };

static struct {
    uint64_t at;
    uint32_t size;
    int port;
} bars[BARS_MAX];
static unsigned n_bars;
static uint8_t functions[FUNCTIONS];
static unsigned n_functions;

static uint32_t address(unsigned fn, unsigned reg)
{
    return 0x80000000 | fn << 8 | (reg & 0xfc);
}

static uint32_t config(unsigned fn, unsigned reg)
{
    outl(0xcf8, address(fn, reg));
    return inl(0xcfc);
}

static void config_put(unsigned fn, unsigned reg, uint32_t v)
{
    outl(0xcf8, address(fn, reg));
    outl(0xcfc, v);
}

static void find_bars(unsigned fn)
{
    for (unsigned i = 0; i < 6 && n_bars < BARS_MAX; i++) {
        unsigned reg = BAR0 + 4 * i;
        uint32_t low = config(fn, reg), size;
        uint64_t at = low & (low & 1 ? ~3u : ~15u);

        config_put(fn, reg, ~0u);
        size = -(config(fn, reg) & (low & 1 ? 0xfffcu : ~15u));
        config_put(fn, reg, low);
        if ((low & 7) == 4) {
            at |= (uint64_t)config(fn, BAR0 + 4 * ++i) << 32;
        }
        if (at && size && at >> 32 == 0) {
            bars[n_bars].at = at;
            bars[n_bars].size = low & 1 ? size & 0xffff : size;
            bars[n_bars++].port = low & 1;
        }
    }
}

static void find(void)
{
    for (unsigned fn = 0; fn < FUNCTIONS; fn++) {
        if ((config(fn, 0) & 0xffff) != 0xffff) {
            functions[n_functions++] = (uint8_t)fn;
            find_bars(fn);
            config_put(fn, 4, 7);
        }
    }
}

/* ---- harm ---------------------------------------------------------------------------- */

/* Resets, power, A20: once in a while. Wide accesses reach them, too. */
static int deadly(unsigned port)
{
    static const struct {
        uint16_t first, last;
    } ports[] = { { 0x600, 0x63f }, { 0xcf9, 0xcf9 }, { 0x92, 0x92 },
                  { 0x64, 0x64 },   { 0x501, 0x501 }, { 0xf4, 0xf4 } };

    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (port + 3 >= ports[i].first && port <= ports[i].last) {
            return 1;
        }
    }
    return 0;
}

static void port(unsigned at)
{
    unsigned width = below(3);
    uint64_t v = value();

    if (deadly(at) && below(4096)) {
        in((uint16_t)at, width);
    } else if (rnd() & 1) {
        in((uint16_t)at, width);
    } else if (width == 0) {
        outb((uint16_t)at, (uint8_t)v);
    } else if (width == 1) {
        outw((uint16_t)at, (uint16_t)v);
    } else {
        outl((uint16_t)at, (uint32_t)v);
    }
}

static void memory(uint64_t at)
{
    volatile void *p = (void *)at;
    int read = rnd() & 1;
    uint64_t v = value();

    switch (below(4)) {
    case 0:
        read ? (void)*(volatile uint8_t *)p
             : (void)(*(volatile uint8_t *)p = (uint8_t)v);
        break;
    case 1:
        read ? (void)*(volatile uint16_t *)p
             : (void)(*(volatile uint16_t *)p = (uint16_t)v);
        break;
    case 2:
        read ? (void)*(volatile uint32_t *)p
             : (void)(*(volatile uint32_t *)p = (uint32_t)v);
        break;
    default:
        read ? (void)*(volatile uint64_t *)p
             : (void)(*(volatile uint64_t *)p = v);
    }
}

static void bar(void)
{
    unsigned i = below(n_bars), off;

    off = below(bars[i].size < REGISTERS ? bars[i].size : REGISTERS);
    if (rnd() & 3) {
        off &= 0x7f; /* where the registers are */
    }
    if (bars[i].port) {
        port((uint16_t)(bars[i].at + off % bars[i].size));
    } else {
        memory(bars[i].at + off);
    }
}

static void board(void)
{
    static const uint64_t places[] = { 0xfee00000, 0xfec00000, 0xfed00000,
                                       0xa0000,    0xf0000,    0xfffc0000 };

    switch (below(3)) {
    case 0:
        port(below(0x1000));
        break;
    case 1:
        port(below(0x100)); /* the old chips */
        break;
    default:
        memory(places[below(6)] + below(0x500));
    }
}

/* Not what makes a device deaf or moves its BARs; and seldom what takes the memory
 * below 1 MiB away, where the page tables are. */
enum { PAM = 0x58, SMRAM = 0x72 };

static void configuration(void)
{
    unsigned fn = functions[below(n_functions)], reg = below(256);

    if ((reg >= 4 && reg < 6) || (reg >= BAR0 && reg < 0x28)) {
        config_put(fn, 4, 7);
    } else if (rnd() & 1 && (fn || reg < PAM || reg > SMRAM || !below(256))) {
        config_put(fn, reg, (uint32_t)value());
    } else {
        config(fn, reg);
    }
}

static void litter(void)
{
    for (unsigned n = below(64); n; n--) {
        rubbish[below(RUBBISH / 8)] = value();
    }
    /* descriptors that lead to the next, of sizes that are possible */
    for (unsigned n = below(64); n; n--) {
        unsigned i = below(RUBBISH / 16) * 2;

        rubbish[i] = (uintptr_t)rubbish + below(RUBBISH);
        rubbish[i + 1] =
            below(4096) | (uint64_t)below(8) << 32 | (uint64_t)below(256) << 48;
    }
}

/* A modern virtio device at memory BAR @i is brought up, more or less. */
static void virtio(void)
{
    unsigned i = below(n_bars);
    volatile uint8_t *p = (void *)bars[i].at;
    unsigned queues = 1 + below(4);

    if (bars[i].port || bars[i].size < REGISTERS) {
        return;
    }
    p[20] = 0;
    p[20] = 3;
    for (unsigned k = 0; k < 2; k++) {
        *(volatile uint32_t *)(p + 8) = k;
        *(volatile uint32_t *)(p + 12) = k ? 1 : rnd();
    }
    p[20] = 11;
    for (unsigned q = 0; q < queues; q++) {
        *(volatile uint16_t *)(p + 22) = (uint16_t)q;
        *(volatile uint16_t *)(p + 24) = (uint16_t)(1u << below(9));
        for (unsigned k = 0; k < 3; k++) {
            *(volatile uint32_t *)(p + 32 + 8 * k) =
                (uint32_t)(uintptr_t)rubbish + below(RUBBISH / 16) * 16;
            *(volatile uint32_t *)(p + 36 + 8 * k) = 0;
        }
        *(volatile uint16_t *)(p + 28) = 1;
    }
    p[20] = 15;
    for (unsigned n = below(32); n; n--) {
        litter();
        *(volatile uint16_t *)(p + 0x3000 + below(queues) * 4) =
            (uint16_t)below(queues);
    }
}

static void step(void)
{
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
        board();
        break;
    case 3:
        configuration();
        break;
    case 4:
        virtio();
        break;
    case 5:
        litter();
        break;
    default:
        bar();
    }
}

void _start(void);
__attribute__((section(".text.start"))) void _start(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    seed = ((uint64_t)high << 32 | low) | 1;
    n_bars = n_functions = 0;
    find();
    for (unsigned n = 0;; n++) {
        if (n % 4096 == 0) {
            outb(0xe9, '.');
        }
        step();
    }
}
