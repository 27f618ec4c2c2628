/*
 * QMP as clients see it: requests, errors, events, sessions that misbehave.
 * The tables themselves are walked in test-qmp-tables.c.
 */
#include "util/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/lib/monitor-vm.h"
#include "chardev/chardev.h"

#if CONFIG_JSON_C

static void expect_text(json_object *o, const char *want, const char *request)
{
    g_autofree char *got = o ? js_text(o) : g_strdup("nothing");

    if (!g_pattern_match_simple(want, got)) {
        g_test_message("%s: wanted %s, got %s", request, want, got);
        g_test_fail();
    }
    json_object_put(o);
}

static void expect(Client *c, const char *request, const char *want)
{
    expect_text(client_ask(c, request), want, request);
}

typedef struct Case {
    const char *request, *want;
} Case;

/* What QEMU 7.2 answers. */
static const Case cases[] = {
    { "{'execute':'query-status'}",
      "{\"return\": {\"status\": \"prelaunch\", \"singlestep\": false, "
      "\"running\": false}}" },
    { "{\"execute\": \"query-name\", \"id\": {\"a\": [1, \"x\"]}}",
      "{\"return\": {}, \"id\": {\"a\": [1, \"x\"]}}" },
    { "{'execute':'trace-event-set-state','arguments':"
      "{'name':'serial_*','enable':true}}",
      "{\"return\": {}}" },
    { "{'execute':'trace-event-get-state','arguments':{'name':'serial_read'}}",
      "{\"return\": [{\"name\": \"serial_read\", \"state\": \"enabled\", "
      "\"vcpu\": false}]}" },
    { "{'execute':'trace-event-set-state','arguments':"
      "{'name':'*','enable':false}}",
      "{\"return\": {}}" },
    { "{'execute':'trace-event-get-state','arguments':{'name':'nosuch'}}",
      "*unknown event \\\"nosuch\\\"*" },
    { "{\"execute\":\"nosuch\",\"id\":1}",
      "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command "
      "nosuch has not been found\"}, \"id\": 1}" },
    { "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}",
      "*\"Parameter 'x' is unexpected\"*" },
    { "{\"execute\":\"memsave\",\"arguments\":{\"val\":1,\"size\":1}}",
      "*\"Parameter 'filename' is missing\"*" },
    { "{\"execute\":\"memsave\",\"arguments\":{\"val\":\"s\",\"size\":1,"
      "\"filename\":\"x\"}}",
      "*\"Invalid parameter type for 'val', expected: integer\"*" },
    { "{\"execute\":\"memsave\",\"arguments\":{\"val\":1,\"size\":1,"
      "\"filename\":5}}",
      "*\"Invalid parameter type for 'filename', expected: string\"*" },
    { "{\"execute\":\"set-action\",\"arguments\":{\"panic\":\"foo\"}}",
      "*\"Parameter 'panic' does not accept value 'foo'\"*" },
    { "{\"execute\":\"singlestep\"}",
      "*CommandNotFound*\"The command singlestep has not been found: steps *" },
    { "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"x\"}}",
      "*DeviceNotFound*\"Device 'x' not found\"*" },
    { "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"edu\","
      "\"id\":\"e0\",\"dma_mask\":4096}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"e0\","
      "\"property\":\"dma_mask\"}}",
      "*\"return\": 4096*" },
    { "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"e0\","
      "\"property\":\"hotplugged\"}}",
      "*\"return\": true*" },
    { "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"e0\"}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":"
      "\"qcode\",\"data\":\"nosuch\"}]}}",
      "*\"Parameter 'data' does not accept value 'nosuch'\"*" },
    { "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":"
      "\"qcode\",\"data\":\"ctrl\"},{\"type\":\"number\",\"data\":30}]}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{"
      "\"type\":\"btn\",\"data\":{\"button\":\"left\",\"down\":true}},{"
      "\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":5}},{"
      "\"type\":\"key\",\"data\":{\"down\":true,\"key\":{\"type\":"
      "\"qcode\",\"data\":\"a\"}}}]}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{"
      "\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":5}}]}}",
      "*\"there is no device for 'abs' events: *" },
    { "{\"execute\":\"migrate-set-parameters\",\"arguments\":{"
      "\"max-bandwidth\":1000000}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"query-migrate-parameters\"}",
      "*\"max-bandwidth\": 1000000}*" },
    { "{\"execute\":\"watchdog-set-action\",\"arguments\":{\"action\":"
      "\"pause\"}}",
      "*\"return\": {}*" },
    { "{\"execute\":\"stop\",\"foo\":1}",
      "*\"QMP input member 'foo' is unexpected\"*" },
    { "{\"execute\":5}", "*\"QMP input member 'execute' must be a string\"*" },
    { "{\"execute\":\"stop\",\"arguments\":5}",
      "*\"QMP input member 'arguments' must be an object\"*" },
    { "{\"arguments\":{}}", "*\"QMP input lacks member 'execute'\"*" },
    { "{\"exec-oob\":\"query-status\"}",
      "*\"QMP input member 'exec-oob' is unexpected\"*" },
    { "[1]", "*\"QMP input must be a JSON object\"*" },
    { "5\n", "*\"QMP input must be a JSON object\"*" },
    { "{\"execute\":\"qmp_capabilities\"}",
      "*CommandNotFound*Capabilities negotiation is already complete, command "
      "ignored*" },
    { "{\"execute\":\"query-version\"}", "*\"major\": 7*Rhea*" },
    { "{\"execute\":\"query-target\"}", "{\"return\": {\"arch\": "
                                        "\"x86_64\"}}" },
    { "{\"execute\":\"query-kvm\"}", "*\"enabled\": false, \"present\": *" },
    { "{\"execute\":\"query-uuid\"}",
      "*\"UUID\": \"00000000-0000-0000-0000-000000000000\"*" },
    { "{\"execute\":\"query-cpus-fast\"}",
      "*\"thread-id\": *\"qom-path\": \"/machine/unattached/device[0]\", "
      "\"cpu-index\": 0, \"target\": \"x86_64\"*" },
    { "{\"execute\":\"query-memory-size-summary\"}",
      "{\"return\": {\"base-memory\": 16777216, \"plugged-memory\": 0}}" },
    { "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/x\"}}",
      "*\"DeviceNotFound\", \"desc\": \"Device '/x' not found\"*" },
    { "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/\"}}",
      "*\"objects\"*child<container>*" },
    { "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\","
      "\"property\":\"foo\"}}",
      "*\"Property 'pc-i440fx-7.2-machine.foo' not found\"*" },
    { "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\","
      "\"property\":\"type\"}}",
      "{\"return\": \"pc-i440fx-7.2-machine\"}" },
    { "{\"execute\":\"qom-get\",\"arguments\":{\"path\":"
      "\"/machine/unattached/device[0]\",\"property\":\"apic\"}}",
      "{\"return\": true}" },
    { "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":"
      "\"isa-debug-exit\"}}",
      "*\"iobase\"*\"default-value\": 1281*" },
    { "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":"
      "\"foo\"}}",
      "*DeviceNotFound*Device 'foo' not found*" },
    { "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
      "\"info status\"}}",
      "{\"return\": \"VM status: paused (prelaunch)*r*n\"}" },
    { "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
      "\"info status\",\"cpu-index\":7}}",
      "*\"Parameter 'cpu-index' expects a CPU number\"*" },
    { "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"x\"}}",
      "*\"No file descriptor supplied via SCM_RIGHTS\"*" },
    { "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"x\"}}",
      "*\"File descriptor named 'x' not found\"*" },
    { "{\"execute\":\"chardev-remove\",\"arguments\":{\"id\":\"x\"}}",
      "*\"Chardev 'x' not found\"*" },
    { "{\"execute\":\"query-cpu-model-expansion\",\"arguments\":{\"type\":"
      "\"static\",\"model\":{\"name\":\"max\"}}}",
      "*\"name\": \"base\", \"props\": {*\"sse2\": true*" },
    { "{\"execute\":\"query-cpu-model-expansion\",\"arguments\":{\"type\":"
      "\"full\",\"model\":{\"name\":\"Haswell\",\"props\":{\"avx2\":false}}}}",
      "*\"name\": \"Haswell\", *\"avx2\": false*" },
    { "{\"execute\":\"query-cpu-model-expansion\",\"arguments\":{\"type\":"
      "\"full\",\"model\":{\"name\":\"nosuch\"}}}",
      "*unable to find CPU model 'nosuch'*" },
};

static void test_requests(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        expect(c, cases[i].request, cases[i].want);
    }
    client_free(c);
    mvm_free(m);
}

static void test_negotiation(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, false);

    expect_text(client_line(c, false),
                "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": *, \"minor\": "
                "2, \"major\": 7}, \"package\": \"*\"}, \"capabilities\": "
                "[\"oob\"]}}",
                "greeting");
    expect(c, "{'execute':'query-status','id':7}",
           "*\"CommandNotFound\", \"desc\": \"Expecting capabilities "
           "negotiation with 'qmp_capabilities'\"}, \"id\": 7}");
    machine_emit(m, "STOP");
    client_no_line(c, true);
    expect(c, "{'execute':'qmp_capabilities','arguments':{'enable':['x']}}",
           "*does not accept value 'x'*");
    expect(c, "{'execute':'qmp_capabilities','arguments':{'enable':5}}",
           "*expected: array*");
    expect(c, "{'execute':'qmp_capabilities'}", "{\"return\": {}}");
    expect(c, "{'execute':'query-status'}", "*prelaunch*");
    machine_emit(m, "STOP");
    expect_text(client_line(c, true),
                "{\"timestamp\": {\"seconds\": *, \"microseconds\": *}, "
                "\"event\": \"STOP\"}",
                "event");
    client_free(c);
    mvm_free(m);
}

/* Whatever comes, the session goes on. */
static const Case malformed[] = {
    { "}", "*JSON parse error*" },
    { "]", "*JSON parse error*" },
    { ",", "*JSON parse error*" },
    { "{]", "*JSON parse error*" },
    { "{\"execute\" \"stop\"}", "*JSON parse error*" },
    { "{\"execute\": }", "*JSON parse error*" },
    { "{\"a\":\"\xc3\x28\"}", "*JSON parse error*" },
    { "{\"a\":\"\n", "*JSON parse error*" },
    { "\"unfinished\n", "*JSON parse error*" },
    { "hello\n", "*JSON parse error*" },
    { "{\"a\":\xff", "*JSON parse error*" },
    { "null ", "*must be a JSON object*" },
    { "\"string\"", "*must be a JSON object*" },
    { "{}", "*lacks member 'execute'*" },
    { "{\"execute\":\"a\\u0000b\"}", "*has not been found*" },
    { "{\"execute\":\"query-name\",\"arguments\":{\"\\u0000\":1}}",
      "*unexpected*" },
};

static void test_malformed(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    for (size_t i = 0; i < G_N_ELEMENTS(malformed); i++) {
        expect(c, malformed[i].request, malformed[i].want);
        expect(c, "{'execute':'query-name','id':1}",
               "{\"return\": {}, \"id\": 1}");
    }
    client_free(c);
    mvm_free(m);
}

/* The same request in any pieces. */
static void test_pieces(void)
{
    static const char text[] =
        "{\"execute\":\"query-name\",\"id\":\"a}\\\"]\"}";
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        g_autofree char *head = g_strndup(text, cut);

        client_send(c, head);
        client_send(c, text + cut);
        expect_text(client_line(c, false), "{\"return\": {}, \"id\": *", text);
    }
    client_send(c, "{'execute':'query-name','id':1}{'execute':'query-name',"
                   "'id':2}\n\n  {'execute':'query-name','id':3}");
    for (int i = 1; i <= 3; i++) {
        g_autoptr(json_object) o = client_line(c, false);

        g_assert_cmpint(js_get_int(o, "id"), ==, i);
    }
    client_free(c);
    mvm_free(m);
}

static void test_huge(void)
{
    static const struct {
        const char *head, *unit, *tail, *want;
        size_t n;
    } lines[] = {
        { "{\"execute\":\"query-name\",\"arguments\":{\"x\":\"", "a", "\"}}\n",
          "*'x' is unexpected*", 10 << 20 },
        { "{\"execute\":\"query-name\",\"arguments\":{\"x\":\"", "a", "\"}}\n",
          "*size limit exceeded*", 20 << 20 },
        { "", "{", "\n", "*nesting depth limit exceeded*", 100000 },
        { "", "[", "\n", "*nesting depth limit exceeded*", 10 << 20 },
        { "[", "1,", "1]\n", "*token count limit exceeded*", 5 << 20 },
        { "[", "{},", "1]\n", "*token count limit exceeded*", 3 << 20 },
        { "", "a", "\n", "*JSON parse error*", 10 << 20 },
        { "\"", "\\\\", "\"\n", "*must be a JSON object*", 5 << 20 },
        { "", " ", "{}", "*lacks member*", 10 << 20 },
    };
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GString) line = g_string_new(lines[i].head);

        for (size_t k = 0; k < lines[i].n; k++) {
            g_string_append(line, lines[i].unit);
        }
        g_string_append(line, lines[i].tail);
        expect(c, line->str, lines[i].want);
        expect(c, "{'execute':'query-name','id':1}",
               "{\"return\": {}, \"id\": 1}");
    }
    client_free(c);
    mvm_free(m);
}

/* Sends @text without running the main loop meanwhile. */
static size_t stuff(Client *c, const char *text)
{
    ssize_t n = send(c->fd, text, strlen(text), MSG_NOSIGNAL);

    return n > 0 ? (size_t)n : 0;
}

/* A client that never reads is not read from for long, and others do not
 * notice; when it reads at last, it gets every answer. */
static void test_never_reads(void)
{
    static const char request[] = "{\"execute\":\"query-commands\"}\n";
    Machine *m = mvm_new();
    Client *deaf = client_new(m, true);
    Client *other = client_new(m, true);
    unsigned sent = 0, idle = 0, got = 0;

    while (idle < 50) {
        if (stuff(deaf, request) == strlen(request)) {
            sent++;
            idle = 0;
        } else {
            idle++;
        }
        client_settle(m);
        g_assert_cmpuint(sent, <, 100000);
    }
    for (unsigned i = 0; i < 1000; i++) {
        machine_emit(m, "RESUME"); /* dropped */
    }
    expect(other, "{'execute':'query-name'}", "{\"return\": {}}");
    while (got < sent) {
        json_object *o = client_line(deaf, false);

        g_assert_nonnull(o);
        json_object_put(o);
        got++;
    }
    expect(deaf, "{'execute':'query-name'}", "{\"return\": {}}");
    client_free(deaf);
    client_free(other);
    mvm_free(m);
}

/* Half a request, then nobody; one end closed; at once. */
static void test_half_open(void)
{
    static const char *const last_words[] = {
        "", "{", "{\"execute\":\"", "{\"execute\":\"query-name\"}", "\"", "[[",
    };
    Machine *m = mvm_new();

    for (size_t i = 0; i < G_N_ELEMENTS(last_words); i++) {
        for (int how = 0; how < 3; how++) {
            Client *c = client_new(m, how > 0);

            if (last_words[i][0]) {
                stuff(c, last_words[i]);
            }
            if (how == 2) {
                shutdown(c->fd, SHUT_WR);
                client_settle(m);
                machine_emit(m, "STOP");
            }
            client_free(c);
            machine_emit(m, "STOP");
        }
    }
    mvm_free(m);
}

static unsigned open_files(void)
{
    GDir *d = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (d && g_dir_read_name(d)) {
        n++;
    }
    if (d) {
        g_dir_close(d);
    }
    return n;
}

static int knock(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        close(fd); /* too many wait already */
        return -1;
    }
    return fd;
}

/* Thousands come, some at once, say a little and go; then one comes that means
 * it. QMP and HMP. */
static void test_crowd(gconstpointer hmp)
{
    enum { ROUNDS = 300, AT_ONCE = 12 };
    static const char *const words[] = {
        "", "{", "{'execute':'query-status'}", "\n", "info status\n", "[[[["
    };
    Machine *m = mvm_new();
    g_autoptr(GError) err = NULL;
    g_autofree char *answer = NULL;
    unsigned before;
    char buf[4096];
    int fd;
    ssize_t n = 0;

    mvm_enter_dir();
    g_assert_true(monitor_open(
        m,
        chardev_new(m->chardevs, "socket,id=s,path=sock,server=on,wait=off",
                    &err),
        hmp ? 0 : MON_QMP, &err));
    g_assert_no_error(err);
    client_settle(m);
    before = open_files();
    for (unsigned i = 0; i < ROUNDS; i++) {
        int fds[AT_ONCE];

        for (unsigned k = 0; k < AT_ONCE; k++) {
            const char *text = words[(i + k) % G_N_ELEMENTS(words)];

            fds[k] = knock("sock");
            if (fds[k] >= 0 && text[0]) {
                send(fds[k], text, strlen(text), MSG_NOSIGNAL);
            }
            if (i % 3 == 0) {
                client_settle(m);
            }
        }
        for (unsigned k = 0; k < AT_ONCE; k++) {
            if (fds[k] >= 0) {
                close(fds[k]);
            }
        }
        client_settle(m);
    }
    g_assert_cmpuint(open_files(), <=, before + 1);
    fd = knock("sock");
    g_assert_cmpint(fd, >=, 0);
    client_settle(m);
    n = read(fd, buf, sizeof(buf) - 1);
    g_assert_cmpint(n, >, 0);
    buf[n] = 0;
    g_assert_nonnull(strstr(buf, hmp ? "(qemu) " : "\"QMP\""));
    close(fd);
    mvm_free(m);
    mvm_leave_dir();
}

static void test_oob(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, false);
    GString *flood = g_string_new(NULL);
    unsigned oob_at = 0, n = 0;
    json_object *o;

    json_object_put(client_line(c, false));
    expect(c, "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}",
           "{\"return\": {}}");
    expect(c, "{'exec-oob':'stop','id':1}",
           "*\"The command stop does not support OOB\"}, \"id\": 1}");
    expect(c, "{'exec-oob':'stop','execute':'stop'}", "*clashes with*");
    for (int i = 0; i < 5; i++) {
        g_string_append(flood, "{'execute':'query-commands','id':'in'}");
    }
    g_string_append(flood, "{'exec-oob':'query-status','id':'oob'}");
    stuff(c, flood->str);
    while (n < 6 && (o = client_line(c, false))) {
        n++;
        if (!strcmp(js_get_str(o, "id"), "oob")) {
            oob_at = n;
        }
        json_object_put(o);
    }
    g_assert_cmpuint(n, ==, 6);
    g_assert_cmpuint(oob_at, <, 6); /* it overtook */
    g_string_free(flood, TRUE);
    client_free(c);
    mvm_free(m);
}

#define SET_POLL(n) \
    "{'execute':'qom-set','arguments':{'path':'/machine/peripheral/b'," \
    "'property':'guest-stats-polling-interval','value':" n "}}"

/* The guest's numbers; none has come. */
static void test_balloon(void)
{
    const char *get = "{'execute':'qom-get','arguments':{'path':"
                      "'/machine/peripheral/b','property':'guest-stats'}}";
    Machine *m = mvm_new();
    Client *c = client_new(m, true);
    Device *dev = device_new(m, "virtio-balloon-pci", "b", NULL);

    g_assert_true(device_realize(dev, NULL));
    dev->cls->reset(dev);
    expect(c, get,
           "{\"return\": {\"stats\": *\"stat-free-memory\": "
           "18446744073709551615*, \"last-update\": 0}}");
    expect(c, SET_POLL("2"), "{\"return\": {}}");
    expect(c,
           "{'execute':'qom-get','arguments':{'path':'/machine/peripheral/b',"
           "'property':'guest-stats-polling-interval'}}",
           "{\"return\": 2}");
    expect(c, SET_POLL("-2"), "*\"timer value must be greater than zero\"*");
    expect(c, SET_POLL("4294967296"), "*\"timer value is too big\"*");
    client_free(c);
    mvm_free(m);
}

static void test_run_state(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    expect_text(client_cause(c, "{'execute':'cont'}"), "*\"RESUME\"}", "cont");
    expect(c, "{'execute':'query-status'}",
           "*\"status\": \"running\"*\"running\": true*");
    expect_text(client_cause(c, "{'execute':'stop'}"), "*\"STOP\"}", "stop");
    expect_text(client_cause(c, "{'execute':'system_reset'}"),
                "*\"RESET\", \"data\": {\"guest\": false, \"reason\": "
                "\"host-qmp-system-reset\"}}",
                "reset");
    expect_text(client_cause(c, "{'execute':'system_powerdown'}"),
                "*\"POWERDOWN\"}", "powerdown");
    m->cfg.no_shutdown = true;
    machine_request_shutdown(m, 0);
    expect_text(client_line(c, true),
                "*\"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
                "\"guest-shutdown\"}}",
                "shutdown");
    expect(c, "{'execute':'query-status'}", "*\"status\": \"shutdown\"*");
    expect(c, "{'execute':'cont'}",
           "*Resetting the Virtual Machine is required*");
    client_free(c);
    mvm_free(m);
}

/* The first at once, the last after a second, the others never. */
static void test_rate(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);
    int64_t start = g_get_monotonic_time(), took;

    for (int i = 0; i < 100; i++) {
        machine_emit(m, "RTC_CHANGE", EVENT_INT("offset", i),
                     EVENT_STR("qom-path", "/machine/rtc"));
        machine_emit(m, "VSERPORT_CHANGE", EVENT_STR("id", i % 2 ? "a" : "b"),
                     EVENT_BOOL("open", i < 50));
    }
    expect_text(client_line(c, true), "*RTC_CHANGE*\"offset\": 0,*", "first");
    expect_text(client_line(c, true), "*VSERPORT_CHANGE*\"b\", \"open\": true*",
                "b");
    expect_text(client_line(c, true), "*VSERPORT_CHANGE*\"a\", \"open\": true*",
                "a");
    for (int i = 0; i < 3; i++) {
        expect_text(client_line(c, true), "*\"event\": *", "last");
    }
    took = g_get_monotonic_time() - start;
    g_assert_cmpint(took, >=, 900000);
    client_no_line(c, true);
    client_free(c);
    mvm_free(m);
}

static void send_fd(Client *c, const char *text, int fd)
{
    struct iovec iov = { (char *)text, strlen(text) };
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control) };

    control.h.cmsg_len = CMSG_LEN(sizeof(int));
    control.h.cmsg_level = SOL_SOCKET;
    control.h.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
    g_assert_cmpint(sendmsg(c->fd, &msg, 0), ==, (ssize_t)strlen(text));
}

/* A descriptor goes in, is a chardev's, carries bytes. */
static void test_fds(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);
    int pair[2];
    char buf[8] = "";

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    send_fd(c, "{'execute':'getfd','arguments':{'fdname':'s'}}", pair[1]);
    expect_text(client_line(c, false), "{\"return\": {}}", "getfd");
    close(pair[1]);
    expect(c,
           "{'execute':'chardev-add','arguments':{'id':'new','backend':{"
           "'type':'socket','data':{'server':false,'addr':{'type':'fd','data':{"
           "'str':'s'}}}}}}",
           "{\"return\": {}}");
    g_assert_cmpuint(
        chardev_write(g_hash_table_lookup(m->chardevs, "new"), "hello", 5), ==,
        5);
    g_assert_cmpint(read(pair[0], buf, sizeof(buf)), ==, 5);
    g_assert_cmpstr(buf, ==, "hello");
    expect(c, "{'execute':'chardev-remove','arguments':{'id':'new'}}",
           "{\"return\": {}}");
    send_fd(c, "{'execute':'getfd','arguments':{'fdname':'s'}}", pair[0]);
    expect_text(client_line(c, false), "{\"return\": {}}", "getfd");
    expect(c, "{'execute':'closefd','arguments':{'fdname':'s'}}",
           "{\"return\": {}}");
    send_fd(c, "{'execute':'add-fd','arguments':{'fdset-id':7,'opaque':'o'}}",
            pair[0]);
    expect_text(client_line(c, false),
                "{\"return\": {\"fd\": *, \"fdset-id\": 7}}", "add-fd");
    expect(c, "{'execute':'query-fdsets'}",
           "{\"return\": [{\"fdset-id\": 7, \"fds\": [{\"fd\": *, "
           "\"opaque\": \"o\"}]}]}");
    expect(c, "{'execute':'remove-fd','arguments':{'fdset-id':7}}",
           "{\"return\": {}}");
    expect(c, "{'execute':'remove-fd','arguments':{'fdset-id':7}}",
           "*\"File descriptor named 'fdset-id:7' not found\"*");
    send_fd(c, "{'execute':'getfd','arguments':{'fdname':'left'}}", pair[0]);
    close(pair[0]);
    client_free(c);
    mvm_free(m);
}

static void test_chardevs(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);

    expect(c,
           "{'execute':'chardev-add','arguments':{'id':'r','backend':{'type':"
           "'ringbuf','data':{'size':4096}}}}",
           "{\"return\": {}}");
    expect(c,
           "{'execute':'ringbuf-write','arguments':{'device':'r','data':"
           "'aGk=','format':'base64'}}",
           "{\"return\": {}}");
    expect(c, "{'execute':'ringbuf-read','arguments':{'device':'r','size':9}}",
           "{\"return\": \"hi\"}");
    expect(c, "{'execute':'query-chardev'}", "*\"label\": \"r\"*");
    expect(c,
           "{'execute':'chardev-add','arguments':{'id':'r','backend':{'type':"
           "'null','data':{}}}}",
           "*already exists*");
    expect(c,
           "{'execute':'chardev-add','arguments':{'id':'p','backend':{'type':"
           "'pty','data':{}}}}",
           "{\"return\": {\"pty\": \"/dev/pts/*\"}}");
    expect(c, "{'execute':'chardev-remove','arguments':{'id':'r'}}",
           "{\"return\": {}}");
    expect(c,
           "{'execute':'chardev-add','arguments':{'id':'x','backend':{'type':"
           "'nosuch','data':{}}}}",
           "*'nosuch' is not a valid char driver name*");
    client_free(c);
    mvm_free(m);
}

static void test_dump(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true);
    g_autofree char *path =
        g_strdup_printf("%s/dump-%d", g_get_tmp_dir(), (int)getpid());
    g_autofree char *request = g_strdup_printf(
        "{'execute':'dump-guest-memory','arguments':{'paging':false,"
        "'protocol':'file:%s'}}",
        path);
    g_autofree char *data = NULL;
    gsize len;

    expect_text(client_cause(c, request),
                "*\"DUMP_COMPLETED\", \"data\": {\"result\": {\"total\": *, "
                "\"status\": \"completed\"*",
                "dump");
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpmem(data, 4, "\177ELF", 4);
    g_assert_cmpuint(len, >, 15 * MIB);
    unlink(path);
    expect(c,
           "{'execute':'dump-guest-memory','arguments':{'paging':true,"
           "'protocol':'file:/x'}}",
           "*paging=true is not supported*");
    expect(c,
           "{'execute':'dump-guest-memory','arguments':{'paging':false,"
           "'protocol':'file:/nosuch/x'}}",
           "*Could not open '/nosuch/x'*");
    client_free(c);
    mvm_free(m);
}

/* ---- a command that runs the main loop ------------------------------------------- */

static struct {
    Client *other;
    char *path;
    int old, fd;
} in_the_middle;

/* The disks are not at rest: somebody else asks meanwhile. */
static void ask_in_the_middle(Machine *m)
{
    Client *c = in_the_middle.other;

    client_send(c, "{'execute':'cont'}{'execute':'query-status'}");
    client_no_line(c, false);
    g_assert_cmpint(m->state, ==, RUN_PAUSED);
}

static void test_one_at_a_time(void)
{
    Machine *m = mvm_new();
    Client *c = client_new(m, true), *other = client_new(m, true);
    g_autoptr(json_object) first = NULL, status = NULL;

    mvm_enter(m, RUN_RUNNING);
    in_the_middle.other = other;
    m->settle_disks = ask_in_the_middle;
    expect(c, "{'execute':'stop'}", "{\"return\": {}}");
    m->settle_disks = NULL;
    first = client_line(other, false);
    expect_text(json_object_get(first), "{\"return\": {}}", "cont");
    status = client_line(other, false);
    expect_text(json_object_get(status), "*\"status\": \"running\"*", "status");
    client_free(c);
    client_free(other);
    mvm_free(m);
}

static int connect_to(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
    return fd;
}

/* What has come until now. */
static char *read_some(Machine *m, int fd)
{
    char buf[65536];
    ssize_t n;

    client_settle(m);
    n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    return g_strndup(buf, (gsize)MAX(n, 0));
}

/* Its client goes, and another one comes. */
static void swap_in_the_middle(Machine *m)
{
    close(in_the_middle.old);
    client_settle(m);
    in_the_middle.fd = connect_to(in_the_middle.path);
    client_settle(m);
}

/* The reply is not for who came since. Commands of who may use exec-oob run beside
 * the reading, so that it sees the hangup. */
static void test_next_client(void)
{
    Machine *m = mvm_new();
    static const char ask[] =
        "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}"
        "{'execute':'stop'}";
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    Chardev *chr;
    int fd;

    mvm_enter_dir();
    in_the_middle.path = (char *)"qmp";
    chr = chardev_new(m->chardevs, "socket,id=s,path=qmp,server=on,wait=off",
                      &err);
    g_assert_no_error(err);
    g_assert_true(monitor_open(m, chr, MON_QMP, &err));
    mvm_enter(m, RUN_RUNNING);
    m->settle_disks = swap_in_the_middle;
    in_the_middle.old = fd = connect_to("qmp");
    text = read_some(m, fd);
    g_assert_nonnull(strstr(text, "QMP"));
    g_assert_cmpint(send(fd, ask, strlen(ask), 0), ==, (ssize_t)strlen(ask));
    client_settle(m);
    m->settle_disks = NULL;
    g_free(text);
    text = read_some(m, in_the_middle.fd);
    g_assert_nonnull(strstr(text, "QMP"));
    g_assert_null(strstr(text, "return"));
    close(in_the_middle.fd);
    client_settle(m);
    mvm_free(m);
    mvm_leave_dir();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/requests", test_requests);
    g_test_add_func("/qmp/negotiation", test_negotiation);
    g_test_add_func("/qmp/malformed", test_malformed);
    g_test_add_func("/qmp/pieces", test_pieces);
    g_test_add_func("/qmp/huge", test_huge);
    g_test_add_func("/qmp/never-reads", test_never_reads);
    g_test_add_func("/qmp/half-open", test_half_open);
    g_test_add_data_func("/qmp/crowd", NULL, test_crowd);
    g_test_add_data_func("/hmp/crowd", "hmp", test_crowd);
    g_test_add_func("/qmp/oob", test_oob);
    g_test_add_func("/qmp/balloon", test_balloon);
    g_test_add_func("/qmp/run-state", test_run_state);
    g_test_add_func("/qmp/rate", test_rate);
    g_test_add_func("/qmp/fds", test_fds);
    g_test_add_func("/qmp/one-at-a-time", test_one_at_a_time);
    g_test_add_func("/qmp/next-client", test_next_client);
    g_test_add_func("/qmp/chardevs", test_chardevs);
    g_test_add_func("/qmp/dump", test_dump);
    return g_test_run();
}

#else

int main(void)
{
    puts("1..1\nok 1 # SKIP built without json-c");
    return 0;
}

#endif
