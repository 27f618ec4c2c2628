/* Guest memory for commands. */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "monitor/guest-memory.h"

enum { PAGE = 4096 };

bool guest_hold(Machine *m)
{
    bool running = m->state == RUN_RUNNING && m->cpu;

    if (running) {
        machine_pin(m);
    }
    return running;
}

void guest_release(Machine *m, bool held)
{
    if (held) {
        machine_unpin(m);
    }
}

bool guest_translate(X86Cpu *cpu, uint64_t lin, hwaddr *phys)
{
    const AccelOps *ops = cpu->machine->accel->ops;

    return ops->translate && ops->translate(cpu, lin, phys);
}

bool guest_read(Machine *m, X86Cpu *cpu, uint64_t addr, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (!cpu) {
        as_read(m->mem, addr, buf, len);
        return true;
    }
    while (len) {
        size_t n = MIN(len, PAGE - (addr & (PAGE - 1)));
        hwaddr phys;

        if (!guest_translate(cpu, addr, &phys) ||
            !as_read(m->mem, phys, p, n)) {
            return false;
        }
        addr += n;
        p += n;
        len -= n;
    }
    return true;
}

static bool save_to(Machine *m, X86Cpu *cpu, uint64_t addr, uint64_t len,
                    FILE *f, GError **errp)
{
    uint8_t buf[PAGE];

    while (len) {
        size_t n = MIN(len, sizeof(buf));

        if (!guest_read(m, cpu, addr, buf, n)) {
            error_setg(errp,
                       "Invalid addr 0x%016" PRIx64 "/size %" PRIu64
                       " specified",
                       addr, len);
            return false;
        }
        if (fwrite(buf, 1, n, f) != n) {
            error_setg_errno(errp, errno, "writing memory to file failed");
            return false;
        }
        addr += n;
        len -= n;
    }
    return true;
}

/* Behind the last address where something answers. */
static hwaddr end_of_memory(Machine *m)
{
    const FlatMap *map = as_flat(m->mem);
    const FlatRange *last = map->n ? &map->range[map->n - 1] : NULL;

    return last ? last->base + last->size : 0;
}

/* Nobody wants exabytes of nothing on the disk. */
static bool fits(Machine *m, X86Cpu *cpu, uint64_t addr, uint64_t len,
                 GError **errp)
{
    hwaddr end = end_of_memory(m);

    if (!cpu && (addr > end || len > end - addr)) {
        error_setg(errp,
                   "Invalid addr 0x%016" PRIx64 "/size %" PRIu64
                   " specified: memory ends at 0x%" PRIx64,
                   addr, len, end);
        return false;
    }
    return true;
}

bool guest_save(Machine *m, X86Cpu *cpu, uint64_t addr, uint64_t len,
                const char *path, GError **errp)
{
    bool held, ok;
    FILE *f;

    if (!fits(m, cpu, addr, len, errp)) {
        return false;
    }
    f = fopen(path, "wbe");
    if (!f) {
        error_setg_errno(errp, errno, "Could not open '%s'", path);
        return false;
    }
    held = guest_hold(m);
    ok = save_to(m, cpu, addr, len, f, errp);
    guest_release(m, held);
    if (fclose(f) && ok) {
        error_setg_errno(errp, errno, "writing '%s'", path);
        ok = false;
    }
    return ok;
}
