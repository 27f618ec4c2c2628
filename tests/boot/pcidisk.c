/*
 * A tiny guest that finds a virtio disk on the PCI bus, reads its first sector
 * by the interface that the disk has (modern by its capabilities, or legacy by
 * I/O BAR 0), prints it and whether INTx was raised, and powers off.
 *
 * A plain 64-bit ELF file: it starts in long mode, the first 4 GiB mapped one to
 * one, interrupts off; BARs are assigned. It polls: what is tested here is the
 * device seen through an engine, not the engine's interrupts. Nothing of Rhea is
 * linked or included. virtio 1.2, 4.1; PCI 3.0, 6.
 */
#include <stddef.h>
#include <stdint.h>

/* ---- ports, text ---------------------------------------------------------------- */

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

static uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void put(char c)
{
    while (!(inb(0x3fd) & 0x20)) {
    }
    outb(0x3f8, (uint8_t)c);
}

static void puts(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

/* ---- configuration space ------------------------------------------------------------ */

enum { ID = 0, COMMAND = 4, BAR0 = 0x10, CAPABILITIES = 0x34 };
enum { BLK_LEGACY = 0x10011af4, BLK_MODERN = 0x10421af4 };

static uint32_t config(unsigned slot, unsigned reg)
{
    outl(0xcf8, 0x80000000 | slot << 11 | (reg & ~3u));
    return inl(0xcfc);
}

static uint8_t config8(unsigned slot, unsigned reg)
{
    return (uint8_t)(config(slot, reg) >> (reg % 4 * 8));
}

static void config_put(unsigned slot, unsigned reg, uint32_t v)
{
    outl(0xcf8, 0x80000000 | slot << 11 | reg);
    outl(0xcfc, v);
}

/* The slot of the first virtio disk, -1 without one. */
static int find_disk(void)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        uint32_t id = config(slot, ID);

        if (id == BLK_LEGACY || id == BLK_MODERN) {
            return (int)slot;
        }
    }
    return -1;
}

/* Where virtio's capability of @type leads, NULL: nowhere. *cap: where it is. */
static volatile uint8_t *structure(unsigned slot, unsigned type, unsigned *cap)
{
    unsigned at = config8(slot, CAPABILITIES) & ~3u;

    for (; at; at = config8(slot, at + 1) & ~3u) {
        if (config8(slot, at) == 9 && config8(slot, at + 3) == type) {
            unsigned bar = BAR0 + 4 * config8(slot, at + 4);
            uint64_t base = config(slot, bar);

            if ((base & 6) == 4) {
                base |= (uint64_t)config(slot, bar + 4) << 32;
            }
            *cap = at;
            return (uint8_t *)(base & ~15ull) + config(slot, at + 8);
        }
    }
    return NULL;
}

/* ---- the queue ------------------------------------------------------------------------ */

enum { MAX = 1024 };

static char ring[65536] __attribute__((aligned(4096)));
static uint64_t *const descs = (void *)ring;
static uint16_t *avail_idx;
static volatile uint16_t *used_idx;

/* The layout of legacy devices, which modern ones take as well. */
static void lay_out(unsigned size)
{
    avail_idx = (void *)(ring + 16 * size + 2);
    used_idx = (void *)(ring + ((18 * size + 6 + 4095) & ~4095u) + 2);
}

static void describe(int i, const volatile void *p, uint32_t len,
                     uint32_t flags)
{
    descs[2 * i] = (uintptr_t)p;
    descs[2 * i + 1] = len | (uint64_t)flags << 32 | (uint64_t)(i + 1) << 48;
}

static const uint64_t header[2]; /* read, sector 0 */
static char data[513];
static volatile uint8_t status = 0xff;

static void offer(void)
{
    describe(0, header, sizeof(header), 1);
    describe(1, data, 512, 1 | 2);
    describe(2, &status, 1, 2);
    avail_idx[1] = 0;
    __asm__ volatile("" : : : "memory");
    *avail_idx = 1;
    __sync_synchronize();
}

static void wait(void)
{
    while (*used_idx == 0) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* ---- the two interfaces ------------------------------------------------------------- */

/* What the interrupt status is afterwards. */
static unsigned read_legacy(uint16_t io)
{
    unsigned size, isr;

    outb(io + 18, 0); /* reset, acknowledge, driver */
    outb(io + 18, 1);
    outb(io + 18, 3);
    outl(io + 4, 0); /* no features */
    outw(io + 14, 0);
    size = (uint16_t)(inl(io + 12));
    lay_out(size > MAX ? MAX : size);
    outl(io + 8, (uint32_t)((uintptr_t)ring >> 12));
    outb(io + 18, 7);
    offer();
    outw(io + 16, 0);
    wait();
    while (!((isr = inb(io + 19)) & 1)) { /* may come later */
    }
    return isr;
}

static void put64(volatile uint8_t *reg, const volatile void *p)
{
    *(volatile uint32_t *)reg = (uint32_t)(uintptr_t)p;
    *(volatile uint32_t *)(reg + 4) = (uint32_t)((uintptr_t)p >> 32);
}

static unsigned read_modern(unsigned slot)
{
    unsigned cap, at = 0, raised;
    volatile uint8_t *common = structure(slot, 1, &cap);
    volatile uint8_t *isr = structure(slot, 3, &cap);
    volatile uint8_t *notify = structure(slot, 2, &at);

    if (!common || !isr || !notify) {
        puts("no capabilities\n");
        return 0;
    }
    common[20] = 0;
    common[20] = 1;
    common[20] = 3;
    *(volatile uint32_t *)(common + 8) = 1; /* VERSION_1 and no more */
    *(volatile uint32_t *)(common + 12) = 1;
    common[20] = 11;
    if (!(common[20] & 8)) {
        puts("the device refused its features\n");
        return 0;
    }
    *(volatile uint16_t *)(common + 22) = 0;
    *(volatile uint16_t *)(common + 24) = 8;
    lay_out(8);
    put64(common + 32, descs);
    put64(common + 40, avail_idx - 1);
    put64(common + 48, used_idx - 1);
    notify += *(volatile uint16_t *)(common + 30) * config(slot, at + 16);
    *(volatile uint16_t *)(common + 28) = 1;
    common[20] = 15;
    offer();
    *(volatile uint16_t *)notify = 0;
    wait();
    while (!((raised = *isr) & 1)) {
    }
    return raised;
}

static void run(void)
{
    int slot = find_disk();
    unsigned isr, cap;
    int modern;

    if (slot < 0) {
        puts("no virtio disk\n");
        return;
    }
    config_put((unsigned)slot, COMMAND, 7); /* answers and may master */
    modern = structure((unsigned)slot, 1, &cap) != NULL;
    isr = modern ? read_modern((unsigned)slot)
                 : read_legacy(config((unsigned)slot, BAR0) & ~3u);
    puts(modern ? "modern: " : "legacy: ");
    puts(status == 0 ? data : "error");
    puts(isr & 1 ? ", interrupt\n" : ", no interrupt\n");
}

void _start(void);
__attribute__((section(".text.start"))) void _start(void)
{
    run();
    outw(0x604, 0x2000); /* off */
    for (;;) {
        __asm__ volatile("hlt");
    }
}
