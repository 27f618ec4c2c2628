/*
 * Looking at memory and ports: x, xp, p, i, o, sum, memsave, info mem, info
 * tlb. Layouts are QEMU's, since scripts cut them apart.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include "util/bits.h"
#include "accel/accel.h"
#include "accel/cpus.h"
#include "monitor/guest-memory.h"
#include "monitor/hmp.h"
#include "target-x86/disas.h"

enum { INSN_MAX = 15 };

typedef struct MemReader {
    Monitor *mon;
    bool physical;
} MemReader;

static bool reader_get(const MemReader *r, uint64_t addr, uint8_t *buf,
                       size_t len)
{
    return guest_read(mon_machine(r->mon), r->physical ? NULL : mon_cpu(r->mon),
                      addr, buf, len);
}

static unsigned code_bits(const X86State *s)
{
    if (s->efer & EFER_LMA && s->seg[S_CS].attr & SEG_L) {
        return 64;
    }
    return s->seg[S_CS].attr & SEG_DB ? 32 : 16;
}

static void dump_insns(const MemReader *r, MemFormat fmt, uint64_t addr)
{
    unsigned bits = code_bits(&mon_cpu(r->mon)->s);

    for (int i = 0; i < fmt.count; i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        uint8_t buf[INSN_MAX];
        size_t n = INSN_MAX;

        while (n && !reader_get(r, addr, buf, n)) {
            n--; /* up to the end of what is mapped */
        }
        if (!n) {
            mon_printf(r->mon, "0x%08" PRIx64 ":  Cannot access memory\n",
                       addr);
            return;
        }
        addr += x86_disas(text, buf, n, addr, bits, 1);
        mon_puts(r->mon, text->str);
    }
}

static int digits(const MemFormat *fmt)
{
    switch (fmt->format) {
    case 'o':
        return (fmt->size * 8 + 2) / 3;
    case 'd':
    case 'u':
        return (fmt->size * 8 * 10 + 32) / 33;
    default:
        return fmt->size * 2;
    }
}

static void print_char(Monitor *mon, unsigned c)
{
    if (c == '\'' || c == '\\') {
        mon_printf(mon, "'\\%c'", c);
    } else if (c >= 32 && c < 127) {
        mon_printf(mon, "'%c'", c);
    } else if (c == '\n' || c == '\r') {
        mon_printf(mon, "'\\%c'", c == '\n' ? 'n' : 'r');
    } else {
        mon_printf(mon, "'\\x%02x'", c);
    }
}

static void print_cell(Monitor *mon, const MemFormat *fmt, uint64_t v)
{
    int w = digits(fmt);

    switch (fmt->format) {
    case 'o':
        mon_printf(mon, " 0%*" PRIo64, w, v);
        break;
    case 'd':
        mon_printf(mon, " %*" PRId64, w, bits_sext(v, fmt->size * 8));
        break;
    case 'u':
        mon_printf(mon, " %*" PRIu64, w, v);
        break;
    case 'c':
        mon_puts(mon, " ");
        print_char(mon, v & 0xff);
        break;
    default:
        mon_printf(mon, " 0x%0*" PRIx64, w, v);
        break;
    }
}

static void dump_cells(const MemReader *r, MemFormat fmt, uint64_t addr)
{
    int line = fmt.size == 1 ? 8 : 16;
    uint64_t left;

    if (fmt.format == 'c') {
        fmt.size = 1;
        line = 8;
    }
    left = (uint64_t)fmt.count * fmt.size;
    while (left) {
        size_t n = MIN(left, (uint64_t)line);
        uint8_t buf[16] = { 0 };

        if (!reader_get(r, addr, buf, n)) {
            mon_printf(r->mon, "%016" PRIx64 ": Cannot access memory\n", addr);
            return;
        }
        mon_printf(r->mon, "%016" PRIx64 ":", addr);
        for (size_t i = 0; i < n; i += fmt.size) {
            uint64_t v = 0;

            memcpy(&v, buf + i, fmt.size);
            print_cell(r->mon, &fmt, v);
        }
        mon_puts(r->mon, "\n");
        addr += n;
        left -= n;
    }
}

static void dump_memory(Monitor *mon, const Args *args, bool physical)
{
    MemReader r = { .mon = mon, .physical = physical };
    MemFormat fmt = args_format(args, "fmt");
    uint64_t addr = args_int(args, "addr", 0);
    bool held;

    if (!mon_cpu(mon) && (!physical || fmt.format == 'i')) {
        mon_puts(mon, "Can not dump without CPU\n");
        return;
    }
    held = mon_cpus_hold(mon);
    if (fmt.format == 'i') {
        cpu_state(mon_cpu(mon));
        dump_insns(&r, fmt, addr);
    } else {
        dump_cells(&r, fmt, addr);
    }
    mon_cpus_release(mon, held);
}

void hmp_x(Monitor *mon, const Args *args)
{
    dump_memory(mon, args, false);
}

void hmp_xp(Monitor *mon, const Args *args)
{
    dump_memory(mon, args, true);
}

void hmp_print(Monitor *mon, const Args *args)
{
    int64_t v = args_int(args, "val", 0);

    switch (args_format(args, "fmt").format) {
    case 'o':
        mon_printf(mon, "%#" PRIo64 "\n", v);
        break;
    case 'd':
        mon_printf(mon, "%" PRId64 "\n", v);
        break;
    case 'u':
        mon_printf(mon, "%" PRIu64 "\n", (uint64_t)v);
        break;
    case 'c':
        print_char(mon, v & 0xff);
        mon_puts(mon, "\n");
        break;
    default:
        mon_printf(mon, "%#" PRIx64 "\n", (uint64_t)v);
        break;
    }
}

/* b, h, w: 1, 2, 4 bytes; a port has no more. */
static int port_size(const Args *args)
{
    MemFormat fmt = args_format(args, "fmt");

    return MIN(fmt.size, 4);
}

static char port_suffix(int size)
{
    return size == 1 ? 'b' : size == 2 ? 'w' : 'l';
}

void hmp_port_in(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    int size = port_size(args);
    uint16_t port = args_int(args, "addr", 0);

    if (args_has(args, "index")) { /* an index register, then its data */
        as_store(m->io, port, args_int(args, "index", 0) & 0xff, 1);
        port++;
    }
    mon_printf(mon, "port%c[0x%04x] = 0x%0*" PRIx64 "\n", port_suffix(size),
               port, size * 2, as_load(m->io, port, size));
}

void hmp_port_out(Monitor *mon, const Args *args)
{
    int size = port_size(args);

    as_store(mon_machine(mon)->io, args_int(args, "addr", 0) & 0xffff,
             args_int(args, "val", 0), size);
}

void hmp_sum(Monitor *mon, const Args *args)
{
    uint64_t addr = args_int(args, "start", 0);
    uint64_t len = args_int(args, "size", 0);
    uint16_t sum = 0;

    if (len > GIB) {
        mon_puts(mon, "Error: size must be at most 1G\n");
        return;
    }
    for (uint64_t i = 0; i < len; i++) {
        /* BSD checksum */
        sum = (uint16_t)((sum >> 1) | (sum << 15));
        sum += (uint8_t)as_load(mon_machine(mon)->mem, addr + i, 1);
    }
    mon_printf(mon, "%05d\n", sum);
}

static void save_memory(Monitor *mon, const Args *args, X86Cpu *cpu)
{
    GError *err = NULL;

    if (!guest_save(mon_machine(mon), cpu, (uint64_t)args_int(args, "val", 0),
                    (uint64_t)args_int(args, "size", 0),
                    args_str(args, "filename"), &err)) {
        mon_report(mon, err);
    }
}

void hmp_memsave(Monitor *mon, const Args *args)
{
    if (!mon_cpu(mon)) {
        mon_puts(mon, "Error: No CPU available\n");
        return;
    }
    save_memory(mon, args, mon_cpu(mon));
}

void hmp_pmemsave(Monitor *mon, const Args *args)
{
    save_memory(mon, args, NULL);
}

/* The host's view of guest memory; NULL, and a line that says why. */
static uint8_t *host_of(Monitor *mon, uint64_t addr)
{
    uint8_t *p = as_ram(mon_machine(mon)->mem, addr, 1, false);

    if (!p) {
        mon_printf(mon, "Error: No memory is mapped at address 0x%" PRIx64 "\n",
                   addr);
    }
    return p;
}

void hmp_gpa2hva(Monitor *mon, const Args *args)
{
    uint64_t addr = (uint64_t)args_int(args, "addr", 0);
    uint8_t *p = host_of(mon, addr);

    if (p) {
        mon_printf(mon, "Host virtual address for 0x%" PRIx64 " is %p\n", addr,
                   (void *)p);
    }
}

/* /proc/self/pagemap: bit 63 present, bits 0-54 the page, 0 for who is not
 * root. proc(5). */
void hmp_gpa2hpa(Monitor *mon, const Args *args)
{
    uint64_t addr = (uint64_t)args_int(args, "addr", 0), entry = 0;
    uint64_t page_size = (uint64_t)getpagesize(), page;
    uint8_t *p = host_of(mon, addr);
    int fd = p ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;

    if (!p) {
        return;
    }
    if (fd < 0 || pread(fd, &entry, sizeof(entry),
                        (off_t)((uintptr_t)p / page_size * sizeof(entry))) !=
                      sizeof(entry)) {
        entry = 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    page = entry & ((UINT64_C(1) << 55) - 1);
    if (!(entry >> 63) || !page) {
        mon_puts(mon, entry >> 63 ? "Error: the host tells this only to root\n"
                                  : "Error: the page is not in memory now\n");
        return;
    }
    mon_printf(mon,
               "Host physical address for 0x%" PRIx64 " is 0x%" PRIx64 "\n",
               addr, page * page_size + (uintptr_t)p % page_size);
}

void hmp_gva2gpa(Monitor *mon, const Args *args)
{
    X86Cpu *cpu = mon_cpu(mon);
    hwaddr phys;
    bool held, ok;

    if (!cpu) {
        mon_puts(mon, "No CPU available\n");
        return;
    }
    held = mon_cpus_hold(mon);
    ok = guest_translate(cpu, args_int(args, "addr", 0), &phys);
    mon_cpus_release(mon, held);
    if (ok) {
        mon_printf(mon, "gpa: %#" PRIx64 "\n", phys);
    } else {
        mon_puts(mon, "Unmapped\n");
    }
}
