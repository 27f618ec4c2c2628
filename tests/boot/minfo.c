/*
 * A guest that knows nothing of ACPI or PCI. All it needs is the machine
 * information (docs/machine-info.md): where memory, the I/O APIC and the devices
 * are. It drives a virtio device over mmio, with interrupts: reads random bytes
 * from virtio-rng, or else the first sector of a virtio-blk disk; then powers
 * off.
 *
 * A plain 64-bit ELF file: it starts in long mode, the first 4 GiB mapped one to
 * one, interrupts off. Nothing of Rhea is linked or included.
 */
#include <stddef.h>
#include <stdint.h>

/* ---- docs/machine-info.md ---------------------------------------------------- */

struct memory {
    uint64_t base, size;
    uint32_t use, reserved; /* 1 RAM, 2 RAM to keep, 3 device registers */
};

struct device {
    char kind[16];
    uint64_t base;
    uint32_t size, irq, flags, id;
};

struct info {
    char magic[8];
    uint32_t version, size, sum, cpus;
    uint64_t lapic, ioapic;
    uint32_t ioapic_inputs, reserved;
    uint32_t memory, n_memory;   /* offset and number of struct memory */
    uint32_t devices, n_devices; /* of struct device */
};

/* Four bytes that say where it is; through a variable, as compilers take small
 * addresses for mistakes. */
static const uint32_t *volatile const info_pointer = (uint32_t *)0x4f0;

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The first device of that kind with that id; any id if it is -1. */
static const struct device *find(const struct info *info, const char *kind,
                                 int id)
{
    const struct device *d = (void *)((char *)info + info->devices);

    for (uint32_t i = 0; i < info->n_devices; i++) {
        if (same(d[i].kind, kind) && (id < 0 || d[i].id == (uint32_t)id)) {
            return &d[i];
        }
    }
    return NULL;
}

static int info_is_good(const struct info *info)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < info->size / 4; i++) {
        sum += ((const uint32_t *)info)[i];
    }
    /* the version, 1, stands behind the magic */
    return same(info->magic, "RHEAINFO\1") && sum == 0;
}

/* ---- ports, text ---------------------------------------------------------------- */

static void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static uint16_t serial;

static void put(char c)
{
    while (!(inb(serial + 5) & 0x20)) {
    }
    outb(serial, (uint8_t)c);
}

static void puts(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

static void puthex(uint64_t v, int digits)
{
    while (digits--) {
        put("0123456789abcdef"[v >> (4 * digits) & 15]);
    }
}

/* ---- interrupts ------------------------------------------------------------------- */

enum { VECTOR = 0x40, CODE = 0x10 };

struct gate {
    uint16_t low, selector, flags, mid;
    uint32_t high, zero;
};

static struct gate idt[256];
static volatile int interrupts;
static volatile uint32_t *lapic, *ioapic, *mmio;

struct frame;

__attribute__((interrupt)) static void on_interrupt(struct frame *f)
{
    uint32_t isr = mmio[0x60 / 4];

    mmio[0x64 / 4] = isr; /* acknowledge at the device */
    interrupts++;
    lapic[0xb0 / 4] = 0; /* and at the local APIC */
}

static void ioapic_write(uint32_t reg, uint32_t v)
{
    ioapic[0] = reg;
    ioapic[4] = v;
}

static void set_up_interrupts(const struct info *info, uint32_t irq)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };
    uint64_t handler = (uintptr_t)on_interrupt;

    idt[VECTOR] = (struct gate) {
        (uint16_t)handler,         CODE, 0x8e00, (uint16_t)(handler >> 16),
        (uint32_t)(handler >> 32), 0,
    };
    __asm__ volatile("lidt %0" : : "m"(idtr));
    if (find(info, "pic", -1)) {
        outb(0x21, 0xff);
        outb(0xa1, 0xff);
    }
    lapic = (void *)info->lapic;
    ioapic = (void *)info->ioapic;
    lapic[0xf0 / 4] = 0x1ff; /* on */
    ioapic_write(0x10 + 2 * irq + 1, lapic[0x20 / 4] & 0xff000000);
    ioapic_write(0x10 + 2 * irq, VECTOR); /* edge, active high, fixed */
}

/* ---- virtio over mmio --------------------------------------------------------------- */

enum { QUEUE = 8 };

static struct {
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } desc[QUEUE];
    uint16_t avail_flags, avail_idx, avail[QUEUE], used_event;
} ring __attribute__((aligned(4096)));

/* A legacy device wants it on the page behind. */
static volatile struct {
    uint16_t flags, idx;
    struct {
        uint32_t id, len;
    } elem[QUEUE];
    uint16_t avail_event;
} used __attribute__((aligned(4096), section(".bss.used")));

static char legacy_ring[2 * 4096] __attribute__((aligned(4096)));

static void address(int reg, const volatile void *p)
{
    mmio[reg / 4] = (uint32_t)(uintptr_t)p;
    mmio[reg / 4 + 1] = (uint32_t)((uintptr_t)p >> 32);
}

static volatile uint16_t *used_idx;
static uint16_t *avail_idx, *avail;
static uint64_t *descs;

static int start_device(void)
{
    int legacy = mmio[0x04 / 4] == 1;

    mmio[0x70 / 4] = 0; /* reset, acknowledge, driver */
    mmio[0x70 / 4] = 1;
    mmio[0x70 / 4] = 3;
    mmio[0x24 / 4] = 0; /* no features */
    mmio[0x20 / 4] = 0;
    if (!legacy) {
        mmio[0x24 / 4] = 1;
        mmio[0x20 / 4] = 1; /* but VERSION_1 */
        mmio[0x70 / 4] = 11;
        if (!(mmio[0x70 / 4] & 8)) {
            return 0;
        }
    }
    mmio[0x30 / 4] = 0;
    mmio[0x38 / 4] = QUEUE;
    if (legacy) {
        mmio[0x28 / 4] = 4096;
        mmio[0x3c / 4] = 4096;
        mmio[0x40 / 4] = (uint32_t)((uintptr_t)legacy_ring >> 12);
        descs = (void *)legacy_ring;
        avail_idx = (void *)(legacy_ring + 16 * QUEUE + 2);
        used_idx = (void *)(legacy_ring + 4096 + 2);
    } else {
        address(0x80, ring.desc);
        address(0x90, &ring.avail_flags);
        address(0xa0, &used);
        mmio[0x44 / 4] = 1;
        descs = (void *)ring.desc;
        avail_idx = &ring.avail_idx;
        used_idx = &used.idx;
    }
    avail = avail_idx + 1;
    mmio[0x70 / 4] = mmio[0x70 / 4] | 4;
    return 1;
}

static void describe(int i, const volatile void *p, uint32_t len,
                     uint32_t flags)
{
    descs[2 * i] = (uintptr_t)p;
    descs[2 * i + 1] = len | (uint64_t)flags << 32 | (uint64_t)(i + 1) << 48;
}

/* Offers the chain at descriptor 0 and sleeps until it is done. */
static void transfer(void)
{
    uint16_t before = *used_idx;

    avail[*avail_idx % QUEUE] = 0;
    __asm__ volatile("" : : : "memory");
    ++*avail_idx;
    __sync_synchronize();
    mmio[0x50 / 4] = 0;
    do { /* at least once: the ring may be quicker than the interrupt */
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    } while (*used_idx == before);
}

/* ---- what it does -------------------------------------------------------------------- */

static void show(const struct info *info)
{
    static const char *const uses[] = { "?", "RAM", "keep", "device" };
    const struct memory *mem = (void *)((char *)info + info->memory);
    const struct device *d = (void *)((char *)info + info->devices);

    for (uint32_t i = 0; i < info->n_memory; i++) {
        puts("memory ");
        puthex(mem[i].base, 10);
        put('+');
        puthex(mem[i].size, 10);
        put(' ');
        puts(uses[mem[i].use & 3]);
        put('\n');
    }
    for (uint32_t i = 0; i < info->n_devices; i++) {
        puts(d[i].flags & 1 ? "port   " : "device ");
        puthex(d[i].base, 8);
        put(' ');
        puts(d[i].kind);
        put('\n');
    }
}

static void read_random(void)
{
    static volatile uint8_t bytes[16];

    describe(0, bytes, sizeof(bytes), 2);
    transfer();
    puts("random ");
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        puthex(bytes[i], 2);
    }
    put('\n');
}

static void read_sector(void)
{
    static const uint64_t header[2]; /* read, sector 0 */
    static char data[513];
    static volatile uint8_t status = 0xff;

    describe(0, header, sizeof(header), 1);
    describe(1, data, 512, 1 | 2);
    describe(2, &status, 1, 2);
    transfer();
    puts(status == 0 ? "sector " : "disk error ");
    puts(data);
    put('\n');
}

static void run(const struct info *info)
{
    const struct device *rng = find(info, "virtio-mmio", 4);
    const struct device *d = rng ? rng : find(info, "virtio-mmio", 2);

    if (!d) {
        puts("no virtio-rng, no virtio-blk\n");
        return;
    }
    mmio = (void *)d->base;
    set_up_interrupts(info, d->irq);
    if (!start_device()) {
        puts("the device refused its features\n");
        return;
    }
    (rng ? read_random : read_sector)();
    puts(interrupts ? "interrupt seen\n" : "no interrupt\n");
}

void _start(void);
__attribute__((section(".text.start"))) void _start(void)
{
    const struct info *info = (void *)(uintptr_t)*info_pointer;
    const struct device *d = find(info, "serial", 0);

    serial = d ? (uint16_t)d->base : 0x3f8;
    if (!info_is_good(info)) {
        puts("no machine information\n");
    } else {
        puts("machine information\n");
        show(info);
        run(info);
    }
    d = find(info, "acpi-pm", -1);
    if (d) {
        outw((uint16_t)d->base + 4, 0x2000); /* off */
    }
    outb(0xcf9, 6); /* no such thing: reset */
    for (;;) {
        __asm__ volatile("hlt");
    }
}
