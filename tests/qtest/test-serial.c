/* The 16550A: registers, FIFOs, interrupts, loopback, a slow host end. */
#include "tests/qtest/qtest.h"
#include "chardev/chardev.h"
#include "hw/char/serial.h"
#include "system/event.h"

/* A fake host end: takes @room bytes and keeps what it took. */
static struct {
    const CharClient *client;
    void *opaque;
    GString *got;
    size_t room;
    unsigned resumes, attached;
    bool shared;
} host;

static Chardev fake_chardev = { .id = (char *)"fake" };

bool chardev_attach(Chardev *c, const CharClient *client, void *opaque,
                    GError **errp)
{
    if (host.attached && !host.shared) {
        error_setg(errp, "chardev 'fake' is taken");
        return false;
    }
    host.client = client;
    host.opaque = opaque;
    host.attached++;
    return true;
}

void chardev_detach(Chardev *c, void *opaque)
{
    host.attached--;
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    size_t n = MIN(len, host.room);

    g_string_append_len(host.got, buf, n);
    host.room -= n;
    return n;
}

void chardev_resume(Chardev *c)
{
    host.resumes++;
}

enum { COM1 = 0x3f8, DATA = COM1, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static Device *serial_start(QTest *q)
{
    Device *dev;

    qtest_start(q);
    if (host.got) {
        g_string_free(host.got, true);
    }
    memset(&host, 0, sizeof(host));
    host.got = g_string_new(NULL);
    host.room = 1000000;
    dev = device_new_class(q->m, &isa_serial_class, NULL);
    isa_serial_set_chardev(dev, &fake_chardev);
    qtest_realize(dev);
    return dev;
}

static void host_sends(const char *text)
{
    size_t len = strlen(text);

    g_assert_cmpuint(host.client->can_receive(host.opaque), >=, len);
    host.client->receive(host.opaque, (const uint8_t *)text, len);
}

static void test_registers(void)
{
    /* After reset, and what sticks of ff. */
    static const struct {
        unsigned port, reset, sticks;
    } row[] = {
        { IER, 0x00, 0x0f }, { LCR, 0x00, 0xff }, { MCR, 0x08, 0x1f },
        { LSR, 0x60, 0x60 }, { SCR, 0x00, 0xff }, { IIR, 0x01, 0xc1 },
    };
    QTest q;

    serial_start(&q);
    g_assert_cmphex(inb(&q, MSR), ==, 0xb0);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        g_assert_cmphex(inb(&q, row[i].port), ==, row[i].reset);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        outb(&q, row[i].port, 0xff);
        if (row[i].port == LCR) {
            g_assert_cmphex(inb(&q, LCR), ==, 0xff);
            g_assert_cmphex(inb(&q, DATA), ==, 0x0c); /* the divisor */
            g_assert_cmphex(inb(&q, IER), ==, 0x00);
            outb(&q, DATA, 0x34);
            outb(&q, IER, 0x12);
            g_assert_cmphex(inb(&q, DATA), ==, 0x34);
            g_assert_cmphex(inb(&q, IER), ==, 0x12);
            outb(&q, LCR, 0x03);
            outb(&q, IER, 0x00);
        } else if (row[i].port == MCR) {
            outb(&q, MCR, 0x0b);
        } else if (row[i].port != IER) {
            g_assert_cmphex(inb(&q, row[i].port), ==, row[i].sticks);
        } else {
            g_assert_cmphex(inb(&q, IER), ==, 0x0f);
        }
    }
    qtest_end(&q);
}

static void test_transmit(void)
{
    QTest q;

    serial_start(&q);
    for (const char *p = "Hi!\n"; *p; p++) {
        outb(&q, DATA, *p);
        g_assert_cmphex(inb(&q, LSR), ==, 0x60);
    }
    g_assert_cmpstr(host.got->str, ==, "Hi!\n");

    /* The THRE interrupt: when enabled, again after every byte, gone by
     * reading IIR. */
    outb(&q, IER, 0x02);
    g_assert_cmpint(q.level[4], ==, 1);
    g_assert_cmphex(inb(&q, IIR), ==, 0x02);
    g_assert_cmpint(q.level[4], ==, 0);
    g_assert_cmphex(inb(&q, IIR), ==, 0x01);
    outb(&q, DATA, 'x');
    g_assert_cmpint(q.level[4], ==, 1);
    outb(&q, DATA, 'y');
    g_assert_cmpint(q.level[4], ==, 1);
    g_assert_cmpuint(q.rises[4], ==, 3); /* an edge for each */
    /* Linux's test for a broken THRE interrupt. */
    g_assert_cmphex(inb(&q, IIR), ==, 0x02);
    outb(&q, IER, 0);
    outb(&q, IER, 2);
    g_assert_cmphex(inb(&q, IIR), ==, 0x02);
    qtest_end(&q);
}

static void test_slow_host(void)
{
    QTest q;

    serial_start(&q);
    outb(&q, IIR, 0x01);
    outb(&q, IER, 0x02);
    inb(&q, IIR);
    host.room = 0;
    for (int i = 0; i < 16; i++) {
        outb(&q, DATA, 'a' + i);
        g_assert_cmphex(inb(&q, LSR), ==, 0x00);
    }
    outb(&q, DATA, '!'); /* lost: the FIFO is full */
    g_assert_cmpint(q.level[4], ==, 0);
    host.room = 3;
    host.client->writable(host.opaque);
    g_assert_cmpstr(host.got->str, ==, "abc");
    g_assert_cmphex(inb(&q, LSR), ==, 0x00);
    outb(&q, DATA, 'q');
    host.room = 100;
    host.client->writable(host.opaque);
    g_assert_cmpstr(host.got->str, ==, "abcdefghijklmnopq");
    g_assert_cmphex(inb(&q, LSR), ==, 0x60);
    g_assert_cmpint(q.level[4], ==, 1);
    qtest_end(&q);
}

static void test_receive(void)
{
    QTest q;

    serial_start(&q);
    outb(&q, IER, 0x01);
    g_assert_cmpuint(host.client->can_receive(host.opaque), ==, 1);
    host_sends("z");
    g_assert_cmpuint(host.client->can_receive(host.opaque), ==, 0);
    g_assert_cmphex(inb(&q, LSR), ==, 0x61);
    g_assert_cmphex(inb(&q, IIR), ==, 0x04);
    g_assert_cmpint(q.level[4], ==, 1);
    host.resumes = 0;
    g_assert_cmphex(inb(&q, DATA), ==, 'z');
    g_assert_cmpuint(host.resumes, ==, 1);
    g_assert_cmpint(q.level[4], ==, 0);
    g_assert_cmphex(inb(&q, LSR), ==, 0x60);

    /* FIFO with trigger 8: the interrupt at the eighth byte. */
    outb(&q, IIR, 0x81);
    g_assert_cmpuint(host.client->can_receive(host.opaque), ==, 16);
    host_sends("1234567");
    g_assert_cmpint(q.level[4], ==, 0);
    g_assert_cmphex(inb(&q, IIR), ==, 0xc1);
    host_sends("8");
    g_assert_cmphex(inb(&q, IIR), ==, 0xc4);
    g_assert_cmphex(inb(&q, DATA), ==, '1');
    g_assert_cmphex(inb(&q, IIR), ==, 0xc1);
    /* The rest after four characters of 9600 baud, 7 bits as LCR is 0. */
    qtest_step(&q, 4 * 7 * NS_PER_SEC / 9600 - 1000);
    g_assert_cmphex(inb(&q, IIR), ==, 0xc1);
    qtest_step(&q, 2000);
    g_assert_cmphex(inb(&q, IIR), ==, 0xcc);
    g_assert_cmpint(q.level[4], ==, 1);
    g_assert_cmphex(inb(&q, DATA), ==, '2');
    g_assert_cmphex(inb(&q, IIR), ==, 0xc1); /* the clock starts again */
    outb(&q, IIR, 0x83);
    g_assert_cmphex(inb(&q, LSR), ==, 0x60);
    qtest_end(&q);
}

static void test_priority(void)
{
    QTest q;

    serial_start(&q);
    outb(&q, MCR, 0x08);
    inb(&q, MSR);
    outb(&q, IER, 0x0f);
    outb(&q, MCR, 0x18); /* loopback drops CTS and DSR */
    outb(&q, MCR, 0x08);
    host_sends("a");
    host.client->event(host.opaque, CHAR_BREAK);
    g_assert_cmphex(inb(&q, IIR), ==, 0x06);
    g_assert_cmphex(inb(&q, LSR), ==, 0x73); /* BI, and an overrun */
    g_assert_cmphex(inb(&q, IIR), ==, 0x04);
    inb(&q, DATA);
    g_assert_cmphex(inb(&q, IIR), ==, 0x02);
    g_assert_cmphex(inb(&q, IIR), ==, 0x00);
    g_assert_cmphex(inb(&q, MSR) & 0x0f, ==, 0x03);
    g_assert_cmphex(inb(&q, IIR), ==, 0x01);
    g_assert_cmpint(q.level[4], ==, 0);
    qtest_end(&q);
}

static void test_loopback(void)
{
    static const uint8_t mcr_to_msr[][2] = {
        { 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 },
        { 0x14, 0x40 }, { 0x18, 0x80 }, { 0x1f, 0xf0 },
    };
    QTest q;

    serial_start(&q);
    for (unsigned i = 0; i < G_N_ELEMENTS(mcr_to_msr); i++) {
        outb(&q, MCR, mcr_to_msr[i][0]);
        g_assert_cmphex(inb(&q, MSR) & 0xf0, ==, mcr_to_msr[i][1]);
    }
    outb(&q, MCR, 0x14);
    inb(&q, MSR);
    outb(&q, MCR, 0x10); /* RI falls: TERI */
    g_assert_cmphex(inb(&q, MSR), ==, 0x04);
    g_assert_cmphex(inb(&q, MSR), ==, 0x00);

    g_assert_cmpuint(host.client->can_receive(host.opaque), ==, 0);
    outb(&q, DATA, 0xae);
    g_assert_cmphex(inb(&q, LSR), ==, 0x61);
    outb(&q, DATA, 0xaf); /* overrun: the register has the newer byte */
    g_assert_cmphex(inb(&q, LSR), ==, 0x63);
    g_assert_cmphex(inb(&q, DATA), ==, 0xaf);
    g_assert_cmpuint(host.got->len, ==, 0);
    outb(&q, LCR, 0x43);
    g_assert_cmphex(inb(&q, LSR), ==, 0x71);
    host.resumes = 0;
    outb(&q, MCR, 0x0b);
    g_assert_cmpuint(host.resumes, ==, 1);
    qtest_end(&q);
}

static void test_four_ports(void)
{
    static const uint16_t base[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    QTest q;
    Device *dev;
    GError *err = NULL;

    qtest_start(&q);
    for (unsigned i = 0; i < G_N_ELEMENTS(base); i++) {
        qtest_device(&q, &isa_serial_class);
        outb(&q, base[i] + 7, 0x5a);
        g_assert_cmphex(inb(&q, base[i] + 7), ==, 0x5a);
    }
    outb(&q, 0x2f8 + 1, 2);
    g_assert_cmpint(q.level[3], ==, 1);
    g_assert_cmpint(q.level[4], ==, 0);
    inb(&q, 0x2e8 + 2); /* COM4 does not pull COM2's line down */
    g_assert_cmpint(q.level[3], ==, 1);
    dev = device_new_class(q.m, &isa_serial_class, NULL);
    g_assert_false(device_realize(dev, &err));
    g_assert_nonnull(strstr(err->message, "index must be 0 to 3"));
    g_error_free(err);
    device_free(dev);
    qtest_end(&q);
}

static void test_debugcon(void)
{
    QTest q;
    Device *dev;

    serial_start(&q);
    qtest_end(&q);
    g_assert_cmpuint(host.attached, ==, 0);
    qtest_start(&q);
    dev = device_new_class(q.m, &isa_debugcon_class, NULL);
    isa_debugcon_set_chardev(dev, &fake_chardev);
    qtest_realize(dev);
    g_assert_cmphex(inb(&q, 0xe9), ==, 0xe9);
    outb(&q, 0xe9, 'a');
    host.room = 0;
    outb(&q, 0xe9, 'b');
    outb(&q, 0xe9, 'c');
    g_assert_cmpstr(host.got->str, ==, "a");
    host.room = 1;
    host.client->writable(host.opaque);
    host.room = 10;
    outb(&q, 0xe9, 'd'); /* does not overtake */
    host.client->writable(host.opaque);
    g_assert_cmpstr(host.got->str, ==, "abcd");
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev, *copy;

    dev = serial_start(&q);
    host.shared = true;
    qtest_start(&other);
    copy = device_new_class(other.m, &isa_serial_class, NULL);
    isa_serial_set_chardev(copy, &fake_chardev);
    qtest_realize(copy);
    host.client = NULL;
    outb(&q, IIR, 0xc1);
    outb(&q, IER, 0x0f);
    host.room = 0;
    outb(&q, MCR, 0x10);
    outb(&q, DATA, 'h');
    outb(&q, DATA, 'i');
    outb(&q, MCR, 0x0b);
    outb(&q, DATA, 'x');
    qtest_check_state(dev, copy);
    g_assert_cmphex(inb(&other, DATA), ==, 'h');
    qtest_garbage(&q, q.m->io, COM1, 8);
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

/* COM1 and COM3: the line falls when both have let it go. */
static void test_shared_line(void)
{
    enum { COM3 = 0x3e8 };
    QTest q;
    Device *dev;

    serial_start(&q);
    dev = device_new_class(q.m, &isa_serial_class, NULL);
    g_assert_true(device_set(dev, "index", "2", NULL));
    qtest_realize(dev);
    outb(&q, IER, 0x02);
    outb(&q, COM3 + 1, 0x02);
    g_assert_cmpint(q.level[4], ==, 1);
    g_assert_cmphex(inb(&q, IIR), ==, 0x02);
    g_assert_cmphex(inb(&q, IIR), ==, 0x01);
    g_assert_cmpint(q.level[4], ==, 1);
    g_assert_cmphex(inb(&q, COM3 + 2), ==, 0x02);
    g_assert_cmpint(q.level[4], ==, 0);
    qtest_end(&q);
}

/* A load may still be undone: nothing is sent and nothing asked for before the
 * machine runs. */
static void test_load_sends_later(void)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    const VMState *desc = isa_serial_class.vmstate;
    QTest q;
    Device *dev = serial_start(&q);
    size_t pos = 0;

    host.room = 0;
    outb(&q, DATA, 'x');
    g_assert_true(vmstate_save(state, desc, dev, NULL));
    isa_serial_class.reset(dev);
    host.room = 100;
    host.resumes = 0;
    g_assert_true(vmstate_load(state, &pos, desc, dev, NULL));
    g_assert_cmpuint(host.got->len, ==, 0);
    machine_emit(q.m, "RESUME");
    g_assert_cmpstr(host.got->str, ==, "x");
    g_assert_cmpuint(host.resumes, ==, 1);
    qtest_end(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/serial/registers", test_registers);
    g_test_add_func("/serial/transmit", test_transmit);
    g_test_add_func("/serial/slow-host", test_slow_host);
    g_test_add_func("/serial/receive", test_receive);
    g_test_add_func("/serial/priority", test_priority);
    g_test_add_func("/serial/loopback", test_loopback);
    g_test_add_func("/serial/four-ports", test_four_ports);
    g_test_add_func("/serial/debugcon", test_debugcon);
    g_test_add_func("/serial/shared-line", test_shared_line);
    g_test_add_func("/serial/load-sends-later", test_load_sends_later);
    g_test_add_func("/serial/state-garbage", test_state_and_garbage);
    return g_test_run();
}
