/*
 * Machine "none": memory, a processor, no devices but those of -device.
 *
 * Device tests run on it; and -device loader,cpu-num=0 gives it something to
 * do. RAM is one piece from address 0 on, without any hole.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/i386/boot.h"
#include "hw/i386/machine-opts.h"

typedef struct NoneBoard {
    Region ram;
} NoneBoard;

extern const MachineClass none_machine;

static bool none_build(Machine *m, GError **errp)
{
    NoneBoard *b;
    PcOptions opts;

    if (!machine_read_options(m, &opts, errp)) {
        return false;
    }
    if (m->cfg.kernel || (m->cfg.flat && m->cfg.flat->len)) {
        error_setg(errp, "machine 'none' boots nothing: use "
                         "-machine pc");
        return false;
    }
    b = g_new0(NoneBoard, 1);
    m->board = b;
    if (m->cfg.ram_size) {
        if (!machine_init_ram(m, &b->ram, "ram", errp)) {
            return false;
        }
        as_map(m->mem, 0, &b->ram, 0);
    }
    return true;
}

/* Nothing to run, so the processors wait unless a loader starts them. */
static void none_reset(Machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        boot_cpu_enter(m->cpu[i], BOOT_NOTHING, 0);
    }
    boot_start_loaders(m);
}

static void none_unbuild(Machine *m)
{
    NoneBoard *b = m->board;

    if (b && b->ram.ram) {
        as_unmap(&b->ram);
        region_fini(&b->ram);
    }
    g_free(b);
    m->board = NULL;
}

const MachineClass none_machine = {
    .name = "none",
    .desc = "empty machine",
    .max_cpus = 1,
    .print_options = machine_print_options,
    .build = none_build,
    .reset = none_reset,
    .unbuild = none_unbuild,
};
