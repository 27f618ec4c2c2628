/*
 * The human monitor without a terminal: every command of the tables in every
 * run state with no, wrong, too many and hostile arguments, and the texts that
 * scripts look for. The machine is "pc" with the software CPU, stopped or
 * running a loop.
 */
#include "util/osdep.h"
#include "target-x86/cpu.h"
#include "tests/lib/monitor-vm.h"

static char *run(Machine *m, const char *line)
{
    GString *out = g_string_new(NULL);

    monitor_run_line(m, line, out);
    return g_string_free(out, FALSE);
}

typedef struct Text {
    const char *line, *want; /* want: a pattern of g_pattern_match */
} Text;

static const Text texts[] = {
    { "info status", "VM status: paused (prelaunch)\n" },
    { "nosuch", "unknown command: 'nosuch'\n" },
    { "info nosuch", "unknown command: 'info nosuch'\n" },
    { "systen_reset", "unknown command: 'systen_reset' (did you mean "
                      "'system_reset'?)\n" },
    { "info statu", "unknown command: 'info statu' (did you mean "
                    "'status'?)\n" },
    { "device_add e1000", "Error: 'e1000' is not a valid device model name*" },
    { "device_add ib700", "Error: Bus 'isa.0' does not support hotplugging\n" },
    { "device_add", "*device_add*" },
    { "device_add edu,id=e,addr=1f", "" },
    { "device_add edu,id=e", "Error: Duplicate device ID 'e'\n" },
    { "device_add edu,addr=1f", "Error: PCI: slot 31 function 0 not *" },
    { "device_del e", "" },
    { "device_del e", "" }, /* no guest listens: asked again */
    { "device_del f", "Error: Device 'f' not found\n" },
    { "chardev-add ringbuf,id=hot", "" },
    { "ringbuf_read hot 10", "\n" },
    { "info qtree", "bus: main-system-bus\n  type System\n*  bus: pci.0\n"
                    "    type PCI\n    dev: i440FX*bus: isa.0*dev: edu, id "
                    "\"e\"\n      dma_mask = 268435455 (0xfffffff)\n*class "
                    "*, addr 00:1f.0, pci id 1234:11e8*bar 0: mem at *" },
    { "info usb", "info usb: there is no USB\n" },
    { "watchdog_action bark", "Error: *'bark' (reset, shutdown, poweroff, *" },
    { "watchdog_action pause", "" },
    { "info irq", "IRQ statistics for i8259:\n*for ioapic:\n*" },
    { "info jit", "CPU 0 (tcg)\n*blocks decoded*" },
    { "info ramblock", "*Block Name*0x0000000000000000 *" },
    { "info numa", "0 nodes\n" },
    { "info qdm", "*name \"isa-serial\", bus ISA*" },
    { "gpa2hva 0x1000", "Host virtual address for 0x1000 is 0x*" },
    { "gpa2hva 0xfffffffff", "Error: No memory is mapped at address "
                             "0xfffffffff\n" },
    { "gpa2hpa 0xfffffffff", "Error: No memory is mapped*" },
    { "mouse_set 0", "" },
    { "mouse_set 1", "Error: there is one mouse, 0\n" },
    { "system_wakeup", "Error: wake-up from suspend*" },
    { "print 1+2*3", "0x7\n" },
    { "p/d (1+2)*3", "9\n" },
    { "p/c 65", "'A'\n" },
    { "p/x -1", "0xffffffffffffffff\n" },
    { "p $rip", "0x1000\n" },
    { "p $nosuch", "print|p: unknown register\nTry*" },
    { "p 1/0", "print|p: division by zero\nTry*" },
    { "p 1+", "print|p: unexpected end of expression\nTry*" },
    { "p 9999999999999999999999", "print|p: number too large\nTry*" },
    { "xp/2xb 0x1000", "0000000000001000: 0xeb 0xfe\n" },
    { "xp/1xw 0x1000", "0000000000001000: 0x0000feeb\n" },
    { "x/1i $eip", "0x00001000:  eb fe * jmp * 0x1000\n" },
    { "x/2i $pc", "0x00001000:*0x00001002:*" },
    { "stop now", "stop|s: extraneous characters*" },
    { "cpu 7", "Error: invalid CPU index*" },
    { "info version", "7.2.0 (Rhea *)\n" },
    { "info uuid", "00000000-0000-0000-0000-000000000000\n" },
    { "info cpus", "\\* CPU #0: thread_id=*" },
    { "info registers", "*CPU#0*EIP=00001000*CR0=*" },
    { "info mem", "PG disabled\n" },
    { "info mtree", "*00000000fee00000*|*00000000fec00000*" },
    { "info pic", "ioapic0:*pic0: irr=*pic1: irr=*" },
    { "help", "*system_reset*" },
    { "#", "unknown command: '#'\n" },
    { "help x", "*for example: x/10i*" },
    { "help info registers", "info registers *--*\n" },
    { "sendkey ctrl-nosuch", "invalid parameter: nosuch\n" },
    { "sendkey ctrl-alt-delete", "" },
    { "mouse_move 10 -5", "" },
    { "mouse_button 1", "" },
    { "chardev-add ringbuf,id=hmp0,size=4k", "" },
    { "object_add secret,id=hmps,data=x", "" },
    { "object_del hmps", "" },
    { "object_del hmps", "Error: object 'hmps' not found*" },
    { "pmemsave 0 0xffffffffffff /dev/null", "Error: Invalid addr*" },
    { "help info", "*info registers*" },
    { "help stop", "stop|s *--*" },
    { "i /b 0x64", "portb[0x0064] = 0x*" },
    { "sum 0x1000 2", "*\n" },
    { "gva2gpa 0x1000", "gpa: 0x1000\n" },
    { "log nosuch", "Error: *nosuch*" },
    { "info stats", "CPU 0 (tcg)\n*instructions *Ports *Memory-mapped*" },
    { "info trace-events serial_*",
      "serial_read : state 0\nserial_write : state 0\n" },
    { "trace-event serial_w* on", "" },
    { "info trace-events serial_*",
      "serial_read : state 0\nserial_write : state 1\n" },
    { "trace-event serial_write off", "" },
    { "trace-event nosuch on", "Error: unknown event \"nosuch\"\n" },
    { "memsave 0 1 /nosuch/file", "Error: Could not open '/nosuch/file'*" },
#if CONFIG_JSON_C
    { "migrate_set_parameter max-bandwidth 1", "" },
    { "info migrate_parameters", "max-bandwidth: 1048576 bytes/second\n" },
    { "migrate_set_parameter nosuch 1", "Error: invalid parameter 'nosuch'*" },
    { "info migrate_capabilities", "events: on\n" },
    { "migrate_set_capability xbzrle on", "Error: *xbzrle*" },
    { "info memory-devices", "" },
    { "info dump", "Status: none\n" },
    { "info hotpluggable-cpus", "Hotpluggable CPUs:\n*vcpus_count: \"1\"*" },
    { "getfd x", "Error: No file descriptor supplied via SCM_RIGHTS\n" },
    { "closefd x", "Error: File descriptor named 'x' not found\n" },
    { "info mice", "\\* Mouse #0: QEMU PS/2 Mouse\n" },
    { "info memory_size_summary", "base memory: 16777216\nplugged*" },
    { "info block", "" },
    { "info qom-tree", "/machine (pc-i440fx-7.2-machine)\n*/unattached*" },
    { "qom-get /machine type", "\"pc-i440fx-7.2-machine\"\n" },
    { "qom-list /nosuch", "Error: Device '/nosuch' not found\n" },
    { "ringbuf_write hmp0 hello", "" },
    { "ringbuf_read hmp0 100", "hello\n" },
    { "chardev-remove hmp0", "" },
    { "chardev-remove hmp0", "Error: Chardev 'hmp0' not found\n" },
    { "eject nosuch", "Error: Device 'nosuch' not found\n" },
#endif
};

static bool matches(const char *want, const char *got)
{
    g_auto(GStrv) any = g_strsplit(want, "*|*", -1);

    if (!any[0] || !any[1]) {
        return g_pattern_match_simple(want[0] == '\\' ? want + 1 : want, got);
    }
    for (char **p = any; *p; p++) {
        g_autofree char *stripped = g_strdup(*p);

        g_strdelimit(stripped, "*", ' ');
        if (strstr(got, g_strstrip(stripped))) {
            return true;
        }
    }
    return false;
}

static void test_texts(void)
{
    Machine *m = mvm_new();

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *got = run(m, texts[i].line);

        if (!matches(texts[i].want, got)) {
            g_test_message("line '%s': wanted '%s', got '%s'", texts[i].line,
                           texts[i].want, got);
            g_test_fail();
        }
    }
    mvm_free(m);
}

/* Names from this program's own symbol table, and from a System.map. */
static void test_symbols(void)
{
    Machine *m = mvm_new();
    g_autofree char *none = run(m, "p main"), *p = NULL, *at = NULL, *k = NULL;
    g_autofree char *behind = NULL, *wrong = NULL;

    g_assert_nonnull(strstr(none, "unknown symbol 'main' (the kernel has no"));
    mvm_free(m);
    m = mvm_new();
    m->cfg.kernel = g_strdup("/proc/self/exe");
    p = run(m, "p main");
    g_assert_true(g_str_has_prefix(p, "0x"));
    at = run(m, "info symbol main");
    g_assert_cmpstr(at, ==, "main\n");
    behind = run(m, "info symbol main+1");
    g_assert_cmpstr(behind, ==, "main + 0x1\n");
    wrong = run(m, "p nosuch_symbol");
    g_assert_nonnull(strstr(wrong, "unknown symbol 'nosuch_symbol'\n"));
    mvm_free(m);

    mvm_enter_dir();
    g_file_set_contents("vmlinuz-1.2", "x", 1, NULL);
    g_file_set_contents("System.map-1.2",
                        "zz\n0000000000001000 T start_kernel\n1004 t a.b\n"
                        "12\nffffffff81000000 D _text\n1008 ",
                        -1, NULL);
    m = mvm_new();
    m->cfg.kernel = g_strdup("vmlinuz-1.2");
    k = run(m, "xp/2xb start_kernel");
    g_assert_cmpstr(k, ==, "0000000000001000: 0xeb 0xfe\n");
    g_free(k);
    k = run(m, "p a.b-start_kernel*1");
    g_assert_cmpstr(k, ==, "0x4\n");
    mvm_free(m);
    mvm_leave_dir();
}

static const char *const hostile[] = {
    "",
    " ",
    " 1",
    " -1 -1 -1 -1",
    " x y z /dev/null",
    " 0xffffffffffffffff 0xffffffffffffffff",
    " \"unclosed",
    " /9999999999xg $rip",
    " /1i 0xffffffffffffffff",
    " ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1",
    " %s%s%s%n",
    " \377\376\001",
};

/* quit and reset only ask the main loop, which does not run here. */
static void run_all(Machine *m, const HmpCommand *table, const char *prefix,
                    RunState state)
{
    for (const HmpCommand *c = table; c->name; c++) {
        g_auto(GStrv) names = g_strsplit(c->name, "|", -1);

        if (c->name[0] == '#') {
            continue; /* a heading */
        }
        if (c->sub) {
            run_all(m, c->sub, "info ", state);
            continue;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
            g_autofree char *line =
                g_strdup_printf("%s%s%s", prefix, names[0], hostile[i]);
            g_autofree char *out = NULL;

            if (!strcmp(names[0], "logfile")) {
                continue; /* would write where the text says */
            }
            mvm_enter(m, state);
            out = run(m, line);
            g_assert_nonnull(out);
        }
    }
}

static void test_every_command(void)
{
    Machine *m = mvm_new();
    g_autofree char *status = NULL;

    mvm_enter_dir();
    m->cfg.no_shutdown = true;
    for (RunState state = 0; state <= MVM_LAST_STATE; state++) {
        mvm_enter(m, state);
        run_all(m, hmp_commands, "", state);
    }
    mvm_enter(m, RUN_PAUSED);
    status = run(m, "info status");
    g_assert_cmpstr(status, ==, "VM status: paused\n");
    mvm_free(m);
    mvm_leave_dir();
}

/* Lines of megabytes, as human-monitor-command brings them. */
static void test_long_lines(void)
{
    static const struct {
        const char *head, *unit;
        size_t n;
    } lines[] = {
        { "", "a", 10 << 20 },
        { "", " ", 10 << 20 },
        { "p ", "(", 10 << 20 },
        { "p 1", "+1", 1 << 20 },
        { "p ", "-", 10 << 20 },
        { "p $", "r", 10 << 20 },
        { "p ", "9", 10 << 20 },
        { "x/", "1", 1 << 20 },
        { "log ", "int,", 1 << 20 },
        { "sendkey ", "a-", 1 << 20 },
        { "help ", "info ", 1 << 20 },
        { "object_add ", "a=b,", 1 << 20 },
        { "chardev-add ", ",", 10 << 20 },
        { "trace-event ", "*", 100000 },
        { "info trace-events ", "*a", 50000 },
        { "migrate -", "d", 10 << 20 },
        { "savevm ", "\\\"", 1 << 20 },
    };
    Machine *m = mvm_new();

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GString) line = g_string_new(lines[i].head);
        clock_t start = clock(); /* of this process: others may be busy */
        g_autofree char *out = NULL;

        for (size_t k = 0; k < lines[i].n; k++) {
            g_string_append(line, lines[i].unit);
        }
        out = run(m, line->str);
        g_assert_nonnull(out);
        if (clock() - start > 30 * CLOCKS_PER_SEC) {
            g_error("'%s%s...' took too long", lines[i].head, lines[i].unit);
        }
    }
    mvm_free(m);
}

static void test_stop_and_cont(void)
{
    Machine *m = mvm_new();
    g_autofree char *a = NULL, *b = NULL, *c = NULL, *regs = NULL;

    g_free(run(m, "cont"));
    a = run(m, "info status");
    g_assert_cmpstr(a, ==, "VM status: running\n");
    regs = run(m, "info registers"); /* while it runs */
    g_assert_nonnull(strstr(regs, "EIP=00001000"));
    b = run(m, "info status");
    g_assert_cmpstr(b, ==, "VM status: running\n");
    g_free(run(m, "stop"));
    c = run(m, "info status");
    g_assert_cmpstr(c, ==, "VM status: paused\n");
    mvm_free(m);
}

/* The button is wired to LINT1, which guests mask on all processors but one. */
static void test_nmi(void)
{
    enum { SVR = 0xf0, LVT_LINT1 = 0x360, MODE_NMI = 0x400 };
    Machine *m = mvm_new();
    X86Cpu *cpu = m->cpu[0];

    g_free(run(m, "nmi"));
    g_assert_false(cpu_pending(cpu) & CPU_NMI); /* masked after reset */
    cpu->apic_ops->mmio_write(cpu, SVR, 0x1ff, 4);
    cpu->apic_ops->mmio_write(cpu, LVT_LINT1, MODE_NMI, 4);
    g_free(run(m, "nmi"));
    g_assert_true(cpu_pending(cpu) & CPU_NMI);
    mvm_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hmp/texts", test_texts);
    g_test_add_func("/hmp/symbols", test_symbols);
    g_test_add_func("/hmp/every-command", test_every_command);
    g_test_add_func("/hmp/long-lines", test_long_lines);
    g_test_add_func("/hmp/stop-and-cont", test_stop_and_cont);
    g_test_add_func("/hmp/nmi", test_nmi);
    return g_test_run();
}
