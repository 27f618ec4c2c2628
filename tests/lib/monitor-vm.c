/* See monitor-vm.h. */
#include "util/osdep.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include "tests/lib/monitor-vm.h"
#include "util/keyval.h"
#include "util/mainloop.h"
#include "accel/cpus.h"
#include "chardev/chardev.h"
#include "hw/block/drive.h"
#include "system/migrate.h"
#include "system/object.h"
#include "target-x86/cpuid.h"

enum { PATIENCE_S = 500 };

static const MachineClass *board_class(const char *name)
{
    unsigned i = 0;

    while (strcmp(machine_classes[i]->name, name) != 0) {
        i++;
    }
    return machine_classes[i];
}

Machine *mvm_prepare(const char *board, Clock *clk)
{
    Machine *m = machine_new(board_class(board), clk);

    signal(SIGPIPE, SIG_IGN); /* as main() does */
    m->cfg.ram_size = 16 * MIB;
    m->cfg.ncpus = m->cfg.max_cpus = m->ncpus = 1;
    m->cfg.sockets = m->cfg.dies = m->cfg.cores = m->cfg.threads = 1;
    machine_lock(m);
    return m;
}

void mvm_build(Machine *m)
{
    static const uint8_t loop[] = { 0xeb, 0xfe }; /* jmp . */
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) options = keyval_new();

    accel_open(m, "tcg", options, &err);
    g_assert_no_error(err);
    m->cpu_model = cpu_model_new("max", &m->cfg, &err);
    g_assert_no_error(err);
    cpus_create(m, &err);
    g_assert_no_error(err);
    m->cls->build(m, &err);
    g_assert_no_error(err);
    machine_reset(m);
    as_write_rom(m->mem, 0x1000, loop, sizeof(loop));
    m->cpu[0]->s.rip = 0x1000;
    m->cpu[0]->s.seg[S_CS].base = 0;
    m->cpu[0]->s.seg[S_CS].sel = 0;
    x86_update_mode(m->cpu[0]);
}

Machine *mvm_new(void)
{
    Machine *m = mvm_prepare("pc", NULL);

    mvm_build(m);
    return m;
}

static void free_chardevs(Machine *m)
{
    GHashTableIter it;
    void *c;

    g_hash_table_iter_init(&it, m->chardevs);
    while (g_hash_table_iter_next(&it, NULL, &c)) {
        g_hash_table_iter_remove(&it);
        chardev_free(c);
    }
}

void mvm_free(Machine *m)
{
    CpuModel *cm = (CpuModel *)m->cpu_model;

    while (mainloop_iterate(false)) {
    }
    cpus_pause(m);
    monitors_close(m);
    while (m->devices->len) {
        device_free(g_ptr_array_index(m->devices, m->devices->len - 1));
    }
    objects_free(m);
    drives_free(m);
    migrate_free(m);
    cpus_destroy(m);
    accel_close(m);
    free_chardevs(m);
    machine_unlock(m);
    machine_free(m);
    cpu_model_free(cm);
}

static char *home_dir;

void mvm_enter_dir(void)
{
    g_autofree char *dir = g_dir_make_tmp("monitor-XXXXXX", NULL);

    home_dir = g_get_current_dir();
    g_assert_cmpint(g_chdir(dir), ==, 0);
}

void mvm_leave_dir(void)
{
    g_autofree char *dir = g_get_current_dir();
    GDir *d = g_dir_open(".", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_unlink(name);
    }
    g_dir_close(d);
    g_assert_cmpint(g_chdir(home_dir), ==, 0);
    g_rmdir(dir);
    g_clear_pointer(&home_dir, g_free);
}

/* A snapshot or a migration goes on beside the main loop. */
static void wait_until_free(Machine *m)
{
    while (m->held) {
        mainloop_iterate(true);
    }
}

void mvm_enter(Machine *m, RunState state)
{
    g_autoptr(GError) err = NULL;

    wait_until_free(m);
    m->state = m->state == RUN_RUNNING ? RUN_RUNNING : RUN_PAUSED;
    if (state == RUN_RUNNING) {
        machine_start(m, &err);
        g_assert_no_error(err);
    } else {
        machine_stop(m, state);
        m->state = state;
    }
}

#if CONFIG_JSON_C

void client_settle(Machine *m)
{
    while (mainloop_iterate(false)) {
    }
}

Client *client_new(Machine *m, bool negotiate)
{
    Client *c = g_new0(Client, 1);
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    Chardev *chr;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    c->m = m;
    c->fd = fds[0];
    c->in = g_string_new(NULL);
    c->id = g_strdup_printf("client%u", g_hash_table_size(m->chardevs));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    text = g_strdup_printf("socket,id=%s,fd=%d", c->id, fds[1]);
    chr = chardev_new(m->chardevs, text, &err);
    g_assert_no_error(err);
    g_assert_true(monitor_open(m, chr, MON_QMP, &err));
    if (negotiate) {
        json_object_put(client_line(c, false));
        json_object_put(client_ask(c, "{'execute':'qmp_capabilities'}"));
    }
    return c;
}

void client_free(Client *c)
{
    close(c->fd);
    client_settle(c->m);
    for (int i = 0; i < 2; i++) {
        g_queue_foreach(&c->lines[i], (GFunc)(void *)json_object_put, NULL);
        g_queue_clear(&c->lines[i]);
    }
    g_string_free(c->in, TRUE);
    g_free(c->id);
    g_free(c);
}

void client_send(Client *c, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else {
            g_assert_cmpint(errno, ==, EAGAIN);
        }
        client_settle(c->m);
    }
}

static void client_read(Client *c)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(c->fd, buf, sizeof(buf))) > 0) {
        g_string_append_len(c->in, buf, n);
    }
}

static void sort_lines(Client *c)
{
    char *end;

    while ((end = strstr(c->in->str, "\r\n"))) {
        json_object *o;

        *end = '\0';
        o = json_tokener_parse(c->in->str);
        if (!o) {
            g_error("not JSON: %s", c->in->str);
        }
        g_queue_push_tail(&c->lines[js_get(o, "event") != NULL], o);
        g_string_erase(c->in, 0, end + 2 - c->in->str);
    }
}

/* NULL when none has come. */
static json_object *line_within(Client *c, bool events, unsigned seconds)
{
    int64_t end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;

    do {
        client_settle(c->m);
        client_read(c);
        sort_lines(c);
        if (!g_queue_is_empty(&c->lines[events])) {
            return g_queue_pop_head(&c->lines[events]);
        }
        g_usleep(500);
    } while (g_get_monotonic_time() < end);
    return NULL;
}

json_object *client_line(Client *c, bool events)
{
    json_object *o = line_within(c, events, PATIENCE_S);

    if (!o) {
        g_error("no %s came in %d s", events ? "event" : "reply", PATIENCE_S);
    }
    return o;
}

void client_no_line(Client *c, bool events)
{
    g_autoptr(json_object) o = line_within(c, events, 1);

    if (o) {
        g_error("nobody waits for %s", json_object_to_json_string(o));
    }
}

json_object *client_ask(Client *c, const char *text)
{
    client_send(c, text);
    return client_line(c, false);
}

json_object *client_cause(Client *c, const char *text)
{
    g_autoptr(json_object) reply = client_ask(c, text);

    g_assert_nonnull(js_get(reply, "return"));
    return client_line(c, true);
}

#endif
