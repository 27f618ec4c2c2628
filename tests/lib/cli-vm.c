/* See cli-vm.h. */
#include "util/osdep.h"
#include "tests/lib/cli-vm.h"
#include "util/mainloop.h"
#include "system/cli.h"

Machine *cvm_new(const char *line, GError **errp)
{
    g_autofree char *all = g_strconcat(
        "rhea -display none -nodefaults -monitor none -S ", line, NULL);
    g_auto(GStrv) argv = NULL;
    g_autoptr(Cli) cli = NULL;
    Machine *m;
    int argc;

    if (!g_shell_parse_argv(all, &argc, &argv, errp)) {
        return NULL;
    }
    cli = cli_parse(argc, argv, errp);
    m = cli ? cli_build(cli, errp) : NULL;
    if (m) {
        machine_lock(m);
    }
    return m;
}

void cvm_free(Machine *m)
{
    while (mainloop_iterate(false)) {
    }
    machine_unlock(m);
    cli_teardown(m);
}

void cvm_run(Machine *m, unsigned us)
{
    int64_t end = g_get_monotonic_time() + us;

    if (!machine_start(m, NULL)) {
        return;
    }
    while (g_get_monotonic_time() < end && m->state == RUN_RUNNING) {
        unsigned held = machine_unlock_all(m);

        g_usleep(50);
        machine_relock(m, held);
        while (mainloop_iterate(false)) {
        }
    }
    machine_stop(m, RUN_PAUSED);
    while (mainloop_iterate(false)) {
    }
}
