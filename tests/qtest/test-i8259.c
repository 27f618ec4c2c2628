/* The 8259 pair: initialization, priorities, modes, spurious requests. */
#include "tests/qtest/qtest.h"
#include "hw/intc/i8259.h"

enum { INTR = 20 }; /* the pair's output, written down as this line */

static Device *pic_start(QTest *q)
{
    Device *dev;

    qtest_start(q);
    dev = device_new_class(q->m, &i8259_class, NULL);
    i8259_set_output(dev, (IrqLine) { qtest_line, q, INTR });
    qtest_realize(dev);
    return dev;
}

static void pic_init(QTest *q, unsigned icw4)
{
    outb(q, 0x20, 0x11);
    outb(q, 0x21, 0x30);
    outb(q, 0x21, 0x04);
    outb(q, 0x21, icw4);
    outb(q, 0xa0, 0x11);
    outb(q, 0xa1, 0x38);
    outb(q, 0xa1, 0x02);
    outb(q, 0xa1, icw4);
}

static void set(Device *dev, int irq, int level)
{
    IrqLine line = i8259_input(dev, irq);

    irq_set(&line, level);
}

static void pulse(Device *dev, int irq)
{
    set(dev, irq, 0);
    set(dev, irq, 1);
}

static void test_init_words(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x01);
    g_assert_cmphex(inb(&q, 0x21), ==, 0); /* ICW1 clears IMR */
    outb(&q, 0x21, 0xfb);
    outb(&q, 0xa1, 0x5a);
    g_assert_cmphex(inb(&q, 0x21), ==, 0xfb);
    g_assert_cmphex(inb(&q, 0xa1), ==, 0x5a);
    outb(&q, 0x21, 0);
    set(dev, 1, 1);
    g_assert_cmpint(q.level[INTR], ==, 1);
    g_assert_true(i8259_intr(dev));
    g_assert_cmphex(i8259_ack(dev), ==, 0x31);
    g_assert_cmpint(q.level[INTR], ==, 0);

    /* Single, no ICW4: ICW2 and then at once OCW1. */
    outb(&q, 0x20, 0x12);
    outb(&q, 0x21, 0x47);
    outb(&q, 0x21, 0x77);
    g_assert_cmphex(inb(&q, 0x21), ==, 0x77);
    outb(&q, 0x21, 0);
    pulse(dev, 6);
    g_assert_cmphex(i8259_ack(dev), ==, 0x46);
    qtest_end(&q);
}

static void test_priorities_and_eoi(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x01);
    pulse(dev, 5);
    pulse(dev, 3);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x28); /* IRR */
    g_assert_cmphex(i8259_ack(dev), ==, 0x33);
    outb(&q, 0x20, 0x0b); /* read ISR */
    g_assert_cmphex(inb(&q, 0x20), ==, 0x08);
    g_assert_cmpint(q.level[INTR], ==, 0); /* 5 waits for 3 */
    pulse(dev, 1);
    g_assert_cmpint(q.level[INTR], ==, 1); /* 1 does not */
    g_assert_cmphex(i8259_ack(dev), ==, 0x31);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x0a);
    outb(&q, 0x20, 0x20); /* non-specific EOI: the highest */
    g_assert_cmphex(inb(&q, 0x20), ==, 0x08);
    outb(&q, 0x20, 0x63); /* specific EOI of 3 */
    g_assert_cmphex(inb(&q, 0x20), ==, 0x00);
    g_assert_cmphex(i8259_ack(dev), ==, 0x35);
    outb(&q, 0x20, 0x0a);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x00);
    qtest_end(&q);
}

static void test_cascade(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x01);
    pulse(dev, 12);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x04);
    g_assert_cmphex(inb(&q, 0xa0), ==, 0x10);
    g_assert_cmphex(i8259_ack(dev), ==, 0x3c);
    pulse(dev, 8);
    g_assert_cmpint(q.level[INTR], ==, 0); /* the master is busy with IR2 */
    outb(&q, 0xa0, 0x20);
    outb(&q, 0x20, 0x20);
    g_assert_cmpint(q.level[INTR], ==, 1);
    g_assert_cmphex(i8259_ack(dev), ==, 0x38);
    outb(&q, 0xa0, 0x20);
    outb(&q, 0x20, 0x20);

    /* A slave request that is masked away leaves nothing behind. */
    pulse(dev, 10);
    g_assert_cmpint(q.level[INTR], ==, 1);
    outb(&q, 0xa1, 0xff);
    g_assert_cmpint(q.level[INTR], ==, 0);
    qtest_end(&q);
}

static void test_special_fully_nested(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x11);
    pulse(dev, 12);
    g_assert_cmphex(i8259_ack(dev), ==, 0x3c);
    pulse(dev, 5);
    g_assert_cmpint(q.level[INTR], ==, 0);
    pulse(dev, 9); /* better than 12, of the same slave */
    g_assert_cmpint(q.level[INTR], ==, 1);
    g_assert_cmphex(i8259_ack(dev), ==, 0x39);
    qtest_end(&q);
}

static void test_spurious(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x01);
    pulse(dev, 4);
    outb(&q, 0x21, 0x10); /* masked between INTR and INTA */
    g_assert_cmphex(i8259_ack(dev), ==, 0x37);
    outb(&q, 0x20, 0x0b);
    g_assert_cmphex(inb(&q, 0x20), ==, 0); /* no ISR bit: that tells it */
    outb(&q, 0x21, 0);
    g_assert_cmphex(i8259_ack(dev), ==, 0x34);

    /* A level request that goes away. */
    outb(&q, 0x4d0, 0x20);
    outb(&q, 0x20, 0x20);
    set(dev, 5, 1);
    g_assert_cmpint(q.level[INTR], ==, 1);
    set(dev, 5, 0);
    g_assert_cmpint(q.level[INTR], ==, 0);
    g_assert_cmphex(i8259_ack(dev), ==, 0x37);
    qtest_end(&q);
}

static void test_level(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    outb(&q, 0x4d0, 0xff);
    outb(&q, 0x4d1, 0xff);
    g_assert_cmphex(inb(&q, 0x4d0), ==, 0xf8); /* 0, 1, 2 are edge */
    g_assert_cmphex(inb(&q, 0x4d1), ==, 0xde); /* 8 and 13 are edge */
    g_assert_cmphex(as_load(q.m->io, 0x4d0, 2), ==, 0xdef8);
    pic_init(&q, 0x01);
    set(dev, 11, 1);
    g_assert_cmphex(i8259_ack(dev), ==, 0x3b);
    outb(&q, 0xa0, 0x20);
    outb(&q, 0x20, 0x20);
    g_assert_cmphex(i8259_ack(dev), ==, 0x3b); /* still asked for */
    set(dev, 11, 0);
    outb(&q, 0xa0, 0x20);
    outb(&q, 0x20, 0x20);
    g_assert_cmpint(q.level[INTR], ==, 0);
    /* Edge: once, however long the line is high. */
    pulse(dev, 1);
    g_assert_cmphex(i8259_ack(dev), ==, 0x31);
    outb(&q, 0x20, 0x20);
    g_assert_cmpint(q.level[INTR], ==, 0);
    qtest_end(&q);
}

static void test_auto_eoi_and_rotation(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x03);
    pulse(dev, 3);
    g_assert_cmphex(i8259_ack(dev), ==, 0x33);
    outb(&q, 0x20, 0x0b);
    g_assert_cmphex(inb(&q, 0x20), ==, 0);
    outb(&q, 0x20, 0x80); /* rotate in automatic EOI mode */
    pulse(dev, 3);
    g_assert_cmphex(i8259_ack(dev), ==, 0x33);
    pulse(dev, 3);
    pulse(dev, 4);
    g_assert_cmphex(i8259_ack(dev), ==, 0x34); /* 3 is the lowest now */
    g_assert_cmphex(i8259_ack(dev), ==, 0x33);

    pic_init(&q, 0x01);
    outb(&q, 0x20, 0xc4); /* set priority: 4 lowest, 5 highest */
    pulse(dev, 0);
    pulse(dev, 6);
    g_assert_cmphex(i8259_ack(dev), ==, 0x36);
    outb(&q, 0x20, 0xa0); /* rotate on non-specific EOI */
    g_assert_cmphex(i8259_ack(dev), ==, 0x30);
    outb(&q, 0x20, 0xe0); /* rotate on specific EOI of 0 */
    pulse(dev, 0);
    pulse(dev, 7);
    g_assert_cmphex(i8259_ack(dev), ==, 0x37);
    qtest_end(&q);
}

static void test_poll_and_special_mask(void)
{
    QTest q;
    Device *dev = pic_start(&q);

    pic_init(&q, 0x01);
    outb(&q, 0x20, 0x0c);
    g_assert_cmphex(inb(&q, 0x20) & 0x80, ==, 0);
    pulse(dev, 4);
    outb(&q, 0x20, 0x0c);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x84);
    outb(&q, 0x20, 0x0b);
    g_assert_cmphex(inb(&q, 0x20), ==, 0x10);

    pulse(dev, 6);
    g_assert_cmpint(q.level[INTR], ==, 0);
    outb(&q, 0x21, 0x10);
    outb(&q, 0x20, 0x68); /* special mask mode: masked 4 blocks nothing */
    g_assert_cmpint(q.level[INTR], ==, 1);
    g_assert_cmphex(i8259_ack(dev), ==, 0x36);
    outb(&q, 0x20, 0x20); /* the EOI is for 6: 4 is masked */
    g_assert_cmphex(inb(&q, 0x20), ==, 0x10);
    outb(&q, 0x20, 0x48);
    pulse(dev, 6);
    g_assert_cmpint(q.level[INTR], ==, 0);
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = pic_start(&q);
    Device *copy = pic_start(&other);

    pic_init(&q, 0x11);
    outb(&q, 0x4d0, 0x20);
    pulse(dev, 5);
    pulse(dev, 12);
    qtest_check_state(dev, copy);
    g_assert_cmpint(other.level[INTR], ==, 1);
    g_assert_cmphex(i8259_ack(copy), ==, 0x3c);
    qtest_garbage(&q, q.m->io, 0x20, 2);
    qtest_garbage(&q, q.m->io, 0xa0, 2);
    qtest_garbage(&q, q.m->io, 0x4d0, 2);
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8259/init-words", test_init_words);
    g_test_add_func("/i8259/priorities", test_priorities_and_eoi);
    g_test_add_func("/i8259/cascade", test_cascade);
    g_test_add_func("/i8259/sfnm", test_special_fully_nested);
    g_test_add_func("/i8259/spurious", test_spurious);
    g_test_add_func("/i8259/level", test_level);
    g_test_add_func("/i8259/rotation", test_auto_eoi_and_rotation);
    g_test_add_func("/i8259/poll-smm", test_poll_and_special_mask);
    g_test_add_func("/i8259/state-garbage", test_state_and_garbage);
    return g_test_run();
}
