/* The keyboard controller with keyboard and mouse, as drivers talk to it. */
#include "tests/qtest/qtest.h"
#include "util/mainloop.h"
#include "hw/input/i8042.h"

enum { DATA = 0x60, CMD = 0x64, OBF = 0x01, AUX = 0x20 };

static Device *kbc_start(QTest *q)
{
    Device *dev;

    qtest_start(q);
    dev = device_new_class(q->m, &i8042_class, NULL);
    i8042_set_a20(dev, (IrqLine) { qtest_line, q, 20 });
    qtest_realize(dev);
    return dev;
}

/* All that waits, as hex; the mouse's bytes with an m. */
static char *drain(QTest *q)
{
    GString *s = g_string_new(NULL);
    unsigned st;

    while ((st = inb(q, CMD)) & OBF) {
        g_string_append_printf(s, "%s%s%02x", s->len ? " " : "",
                               st & AUX ? "m" : "", inb(q, DATA));
    }
    return g_string_free(s, false);
}

#define EXPECT(q, want) \
    do { \
        g_autofree char *got_ = drain(q); \
        g_assert_cmpstr(got_, ==, want); \
    } while (0)

static void cmd(QTest *q, unsigned c)
{
    outb(q, CMD, c);
}

static void cmd_data(QTest *q, unsigned c, unsigned d)
{
    outb(q, CMD, c);
    outb(q, DATA, d);
}

static void mouse(QTest *q, unsigned d)
{
    cmd_data(q, 0xd4, d);
}

static void test_controller(void)
{
    QTest q;

    kbc_start(&q);
    g_assert_cmphex(inb(&q, CMD), ==, 0x14);
    cmd(&q, 0x20);
    g_assert_cmphex(inb(&q, CMD), ==, 0x1d);
    EXPECT(&q, "65");
    cmd(&q, 0xaa);
    EXPECT(&q, "55");
    cmd(&q, 0xab);
    EXPECT(&q, "00");
    cmd(&q, 0xa9);
    EXPECT(&q, "00");
    cmd_data(&q, 0x60, 0x74);
    cmd(&q, 0x20);
    EXPECT(&q, "74");
    cmd(&q, 0xa8);
    cmd(&q, 0x20);
    EXPECT(&q, "54");
    cmd(&q, 0xa7);
    cmd(&q, 0xae);
    cmd(&q, 0x20);
    EXPECT(&q, "64");
    cmd_data(&q, 0x7f, 0x99); /* RAM */
    cmd(&q, 0x3f);
    EXPECT(&q, "99");
    /* Linux's loop test of the AUX port, and its interrupt. */
    cmd_data(&q, 0x60, 0x07);
    cmd_data(&q, 0xd3, 0x5a);
    g_assert_cmphex(inb(&q, CMD) & (OBF | AUX), ==, OBF | AUX);
    g_assert_cmpint(q.level[12], ==, 1);
    g_assert_cmpint(q.level[1], ==, 0);
    EXPECT(&q, "m5a");
    g_assert_cmpint(q.level[12], ==, 0);
    cmd_data(&q, 0xd2, 0xa5);
    g_assert_cmpint(q.level[1], ==, 1);
    EXPECT(&q, "a5");
    g_assert_cmphex(inb(&q, DATA), ==, 0xa5); /* stays readable */
    cmd(&q, 0x77);
    outb(&q, DATA, 0);
    cmd(&q, 0x90); /* no such command */
    EXPECT(&q, "");
    qtest_end(&q);
}

static void test_a20_and_reset(void)
{
    QTest q;

    kbc_start(&q);
    q.m->cfg.no_reboot = true;
    q.m->state = RUN_RUNNING;
    g_assert_cmpint(q.level[20], ==, 1);
    cmd(&q, 0xdd);
    g_assert_cmpint(q.level[20], ==, 0);
    cmd(&q, 0xd0);
    EXPECT(&q, "cd");
    cmd(&q, 0xdf);
    g_assert_cmpint(q.level[20], ==, 1);
    cmd_data(&q, 0xd1, 0x01);
    g_assert_cmpint(q.level[20], ==, 0);
    cmd_data(&q, 0xd1, 0x03);
    g_assert_cmpint(q.level[20], ==, 1);
    cmd(&q, 0xff); /* pulses nothing */
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpint(q.m->state, ==, RUN_RUNNING);
    cmd(&q, 0xfe);
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpint(q.m->state, ==, RUN_SHUTDOWN); /* -no-reboot */
    qtest_end(&q);
}

/* Without translation, so that the bytes are the keyboard's. */
static void test_keyboard_commands(void)
{
    static const struct {
        const char *send, *want;
    } row[] = {
        { "ff", "fa aa" },
        { "f2", "fa ab 83" },
        { "ed 02", "fa fa" },
        { "ee", "ee" },
        { "f3 20", "fa fa" },
        { "f4", "fa" },
        { "f5", "fa" },
        { "f6", "fa" },
        { "f0 00", "fa fa 02" },
        { "f0 01", "fa fa" },
        { "f0 00", "fa fa 01" },
        { "f0 07", "fa fe" },
        { "f0 02", "fa fa" },
        { "e0", "fe" },
        { "f8", "fa" },
        { "fb 1c", "fa fa" },
        { "ed ed 01", "fa fa fa" },
    };
    QTest q;

    kbc_start(&q);
    cmd_data(&q, 0x60, 0x05);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        for (const char *p = row[i].send; *p; p += p[2] ? 3 : 2) {
            outb(&q, DATA, strtoul(p, NULL, 16));
        }
        g_test_message("%s", row[i].send);
        EXPECT(&q, row[i].want);
    }
    outb(&q, DATA, 0xf2);
    g_assert_cmphex(inb(&q, DATA), ==, 0xfa);
    outb(&q, DATA, 0xfe); /* resend: after what waits */
    EXPECT(&q, "ab 83 ab");
    cmd_data(&q, 0x60, 0x45);
    outb(&q, DATA, 0xf2);
    EXPECT(&q, "fa ab 41"); /* translated */
    qtest_end(&q);
}

static void test_keys(void)
{
    static const struct {
        unsigned code;
        const char *xlate, *set1, *set2, *set3;
    } row[] = {
        { 0x1e, "1e 9e", "1e 9e", "1c f0 1c", "1c f0 1c" },
        { 0x01, "01 81", "01 81", "76 f0 76", "08 f0 08" },
        { 0x41, "41 c1", "41 c1", "83 f0 83", "37 f0 37" }, /* F7 */
        { 0x58, "58 d8", "58 d8", "07 f0 07", "5e f0 5e" },
        { 0xe048, "e0 48 e0 c8", "e0 48 e0 c8", "e0 75 e0 f0 75", "63 f0 63" },
        { 0xc8, "e0 48 e0 c8", "e0 48 e0 c8", "e0 75 e0 f0 75", "63 f0 63" },
        { 0xe05b, "e0 5b e0 db", "e0 5b e0 db", "e0 1f e0 f0 1f", "8b f0 8b" },
        { 0xe11d, "e1 1d 45 e1 9d c5", "e1 1d 45 e1 9d c5",
          "e1 14 77 e1 f0 14 f0 77", "62 f0 62" },
        { 0xe037, "e0 2a e0 37 e0 b7 e0 aa", "e0 2a e0 37 e0 b7 e0 aa",
          "e0 12 e0 7c e0 f0 7c e0 f0 12", "57 f0 57" },
    };
    QTest q;
    Device *dev = kbc_start(&q);

    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        const char *want[4] = { row[i].xlate, row[i].set1, row[i].set2,
                                row[i].set3 };

        for (unsigned set = 0; set < 4; set++) {
            outb(&q, DATA, 0xf0);
            outb(&q, DATA, set ? set : 2);
            cmd_data(&q, 0x60, set ? 0x05 : 0x45);
            g_free(drain(&q));
            g_assert_true(i8042_key(dev, row[i].code, true));
            g_assert_cmpint(q.level[1], ==, 1);
            g_assert_true(i8042_key(dev, row[i].code, false));
            g_test_message("%x in set %u", row[i].code, set);
            EXPECT(&q, want[set]);
            g_assert_cmpint(q.level[1], ==, 0);
        }
    }
    /* One interrupt for each byte. */
    cmd_data(&q, 0x60, 0x05);
    outb(&q, DATA, 0xf6);
    EXPECT(&q, "fa");
    q.rises[1] = 0;
    i8042_key(dev, 0x1e, true);
    i8042_key(dev, 0x1e, false);
    EXPECT(&q, "1c f0 1c");
    g_assert_cmpuint(q.rises[1], ==, 3);
    /* The port off: keys wait. Scanning off: they do not. */
    cmd(&q, 0xad);
    i8042_key(dev, 0x1e, true);
    EXPECT(&q, "");
    cmd(&q, 0xae);
    EXPECT(&q, "1c");
    outb(&q, DATA, 0xf5);
    i8042_key(dev, 0x1e, true);
    EXPECT(&q, "fa");
    outb(&q, DATA, 0xf4);
    EXPECT(&q, "fa");
    /* The queue ends somewhere, with whole keys. */
    for (unsigned i = 0; i < 200; i++) {
        if (!i8042_key(dev, 0xe048, false)) {
            break;
        }
        g_assert_cmpuint(i, <, 100);
    }
    {
        g_autofree char *all = drain(&q);

        g_assert_true(g_str_has_suffix(all, "e0 f0 75"));
    }
    qtest_end(&q);
}

static void test_mouse(void)
{
    QTest q;
    Device *dev = kbc_start(&q);

    cmd_data(&q, 0x60, 0x47);
    mouse(&q, 0xff);
    EXPECT(&q, "mfa maa m00");
    mouse(&q, 0xf2);
    EXPECT(&q, "mfa m00");
    mouse(&q, 0xe9);
    EXPECT(&q, "mfa m00 m02 m64");
    i8042_mouse(dev, 5, 5, 0, 1);
    EXPECT(&q, ""); /* not enabled */
    mouse(&q, 0xf6);
    mouse(&q, 0xf4);
    EXPECT(&q, "mfa mfa");
    q.rises[12] = 0;
    i8042_mouse(dev, 3, -2, 0, 1);
    EXPECT(&q, "m29 m03 mfe");
    g_assert_cmpuint(q.rises[12], ==, 3);
    i8042_mouse(dev, 0, 0, 0, 1); /* nothing new */
    EXPECT(&q, "");
    i8042_mouse(dev, -200, 0, 0, 0);
    EXPECT(&q, "m18 m80 m00 m18 mb8 m00");
    /* The knocks: wheel, five buttons. */
    mouse(&q, 0xf3);
    mouse(&q, 200);
    mouse(&q, 0xf3);
    mouse(&q, 100);
    mouse(&q, 0xf3);
    mouse(&q, 80);
    mouse(&q, 0xf2);
    EXPECT(&q, "mfa mfa mfa mfa mfa mfa mfa m03");
    i8042_mouse(dev, 0, 0, -1, 0);
    EXPECT(&q, "m08 m00 m00 mff");
    mouse(&q, 0xf3);
    mouse(&q, 200);
    mouse(&q, 0xf3);
    mouse(&q, 200);
    mouse(&q, 0xf3);
    mouse(&q, 80);
    mouse(&q, 0xf2);
    EXPECT(&q, "mfa mfa mfa mfa mfa mfa mfa m04");
    i8042_mouse(dev, 0, 1, 1, 0x10);
    EXPECT(&q, "m08 m00 m01 m21");
    qtest_end(&q);
}

static void test_mouse_modes(void)
{
    QTest q;
    Device *dev = kbc_start(&q);

    cmd_data(&q, 0x60, 0x47);
    mouse(&q, 0xf4);
    EXPECT(&q, "mfa");
    /* Remote mode: only when asked. */
    mouse(&q, 0xf0);
    EXPECT(&q, "mfa");
    i8042_mouse(dev, 7, 0, 0, 0);
    EXPECT(&q, "");
    mouse(&q, 0xeb);
    EXPECT(&q, "mfa m08 m07 m00");
    /* Wrap mode. */
    mouse(&q, 0xee);
    mouse(&q, 0xf2);
    mouse(&q, 0xec);
    EXPECT(&q, "mfa mf2 mfa");
    mouse(&q, 0xe1);
    EXPECT(&q, "mfe");
    /* A flood of motion is summed up. */
    mouse(&q, 0xea);
    EXPECT(&q, "mfa");
    for (int i = 0; i < 1000; i++) {
        i8042_mouse(dev, 1, 0, 0, 0);
    }
    g_free(drain(&q));
    i8042_mouse(dev, 0, 0, 0, 1);
    {
        g_autofree char *rest = drain(&q);

        g_assert_true(g_str_has_prefix(rest, "m09 m7f m00"));
    }
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = kbc_start(&q), *copy = kbc_start(&other);

    outb(&q, DATA, 0xed);
    i8042_key(dev, 0x1e, true);
    qtest_check_state(dev, copy);
    EXPECT(&other, "fa 1e");
    for (int i = 0; i < 100000; i++) {
        outb(&q, g_test_rand_bit() ? DATA : CMD, g_test_rand_int() & 0xff);
        i8042_key(dev, g_test_rand_int() & 0xffff, g_test_rand_bit());
        i8042_mouse(dev, g_test_rand_int(), g_test_rand_int(),
                    g_test_rand_int(), g_test_rand_int());
        if (g_test_rand_bit()) {
            inb(&q, DATA);
        }
    }
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8042/controller", test_controller);
    g_test_add_func("/i8042/a20-reset", test_a20_and_reset);
    g_test_add_func("/i8042/keyboard", test_keyboard_commands);
    g_test_add_func("/i8042/keys", test_keys);
    g_test_add_func("/i8042/mouse", test_mouse);
    g_test_add_func("/i8042/mouse-modes", test_mouse_modes);
    g_test_add_func("/i8042/state-garbage", test_state_and_garbage);
    return g_test_run();
}
