/* State tables: the round trip, and streams that were tampered with. */
#include "util/osdep.h"
#include "system/vmstate.h"
#include "util/error.h"

typedef struct Inner {
    uint32_t a;
    bool flag;
} Inner;

typedef struct Outer {
    uint8_t u8;
    uint16_t u16[3];
    int64_t i64;
    bool on, flags[2];
    char buf[5];
    Inner one, two[2];
    Timer timer;
    uint32_t newer;
    uint32_t derived; /* from u8, by post_load */
    unsigned saves;
} Outer;

static const VMState vmstate_inner = {
    .name = "inner",
    .version = 1,
    .fields =
        (const VMField[]) {
            VM_U32(Inner, a),
            VM_BOOL(Inner, flag),
            VM_FIELDS_END,
        },
};

static void outer_pre_save(void *obj)
{
    ((Outer *)obj)->saves++;
}

static bool outer_post_load(void *obj, int version, GError **errp)
{
    Outer *o = obj;

    if (o->u8 == 0xee) {
        error_setg(errp, "u8 is 0xee");
        return false;
    }
    o->derived = o->u8 * 2u;
    return true;
}

static const VMField outer_fields[] = {
    VM_U8(Outer, u8),
    VM_U16_ARRAY(Outer, u16, 3),
    VM_I64(Outer, i64),
    VM_BOOL(Outer, on),
    VM_BOOL_ARRAY(Outer, flags, 2),
    VM_BUFFER(Outer, buf),
    VM_SUB(Outer, one, vmstate_inner),
    VM_SUB_ARRAY(Outer, two, 2, vmstate_inner),
    VM_TIMER_FIELD(Outer, timer),
    VM_U32_SINCE(Outer, newer, 3),
    VM_FIELDS_END,
};

static const VMState vmstate_outer = {
    .name = "outer",
    .version = 3,
    .min_version = 2,
    .fields = outer_fields,
    .pre_save = outer_pre_save,
    .post_load = outer_post_load,
};

static const VMState vmstate_outer_v2 = { .name = "outer",
                                          .version = 2,
                                          .fields = outer_fields };

static Clock *clk;

static void no_fire(void *opaque)
{
}

static void outer_init(Outer *o)
{
    memset(o, 0, sizeof(*o));
    timer_init(&o->timer, clk, no_fire, NULL);
}

static void outer_fill(Outer *o)
{
    *o = (Outer) {
        .u8 = 0x12,
        .u16 = { 1, 0x8000, 0xffff },
        .i64 = -2,
        .on = true,
        .flags = { false, true },
        .buf = { 'h', 'e', 0, 'l', 'o' },
        .one = { 0xdeadbeef, true },
        .two = { { 1, false }, { 2, true } },
        .newer = 77,
    };
    timer_init(&o->timer, clk, no_fire, NULL);
    timer_arm(&o->timer, 12345);
}

static GByteArray *save(Outer *o)
{
    GByteArray *out = g_byte_array_new();

    g_assert_true(vmstate_save(out, &vmstate_outer, o, NULL));
    return out;
}

static bool load(GByteArray *in, Outer *o, GError **errp)
{
    size_t pos = 0;
    bool ok;

    outer_init(o);
    ok = vmstate_load(in, &pos, &vmstate_outer, o, errp);
    timer_cancel(&o->timer);
    return ok;
}

static void setup(Outer *o)
{
    clk = clock_new_manual();
    outer_fill(o);
}

static void test_round_trip(void)
{
    g_autoptr(GByteArray) one = NULL, two = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) err = NULL;
    size_t pos = 0;
    Outer a, b;

    setup(&a);
    outer_init(&b);
    one = save(&a);
    g_assert_cmpuint(a.saves, ==, 1);
    g_assert_true(vmstate_load(one, &pos, &vmstate_outer, &b, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(pos, ==, one->len);
    g_assert_cmpuint(b.derived, ==, 0x24);
    g_assert_cmpint(b.timer.expire, ==, 12345);
    g_assert_cmpint(b.i64, ==, -2);
    g_assert_cmpuint(b.two[1].a, ==, 2);
    two = save(&b);
    g_assert_cmpmem(one->data, one->len, two->data, two->len);

    /* name, version, length, then big-endian fields */
    g_assert_cmpmem(one->data, 13, "\5outer\0\0\0\3\0\0\0", 13);
    vmstate_dump(text, &vmstate_outer, &a);
    g_assert_nonnull(strstr(text->str, "  u16 = 0x1 0x8000 0xffff\n"));
    g_assert_nonnull(strstr(text->str, "  two[1]:\n    a = 0x2\n"));
    g_assert_nonnull(strstr(text->str, "  buf = 6865006c6f\n"));
    clock_free(clk);
}

static void test_several_sections(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Inner a = { 5, true }, b = { 6, false }, x, y;
    size_t pos = 0;

    g_assert_true(vmstate_save(out, &vmstate_inner, &a, NULL));
    g_assert_true(vmstate_save(out, &vmstate_inner, &b, NULL));
    g_assert_true(vmstate_load(out, &pos, &vmstate_inner, &x, NULL));
    g_assert_true(vmstate_load(out, &pos, &vmstate_inner, &y, NULL));
    g_assert_cmpuint(pos, ==, out->len);
    g_assert_true(x.a == 5 && x.flag && y.a == 6 && !y.flag);
    g_assert_false(vmstate_load(out, &pos, &vmstate_inner, &y, NULL));
    g_assert_cmpuint(pos, ==, out->len);
}

/* A prefix of the stream, in its own memory so that ASan sees an overrun. */
static void test_cut_everywhere(void)
{
    g_autoptr(GByteArray) whole = NULL;
    Outer a, b;

    setup(&a);
    whole = save(&a);
    for (guint len = 0; len < whole->len; len++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(cut, whole->data, len);
        g_assert_false(load(cut, &b, &err));
        g_assert_nonnull(err);
    }
    clock_free(clk);
}

static void test_bit_flips(void)
{
    g_autoptr(GByteArray) s = NULL;
    unsigned refused = 0;
    Outer a, b;

    setup(&a);
    s = save(&a);
    for (guint bit = 0; bit < 8 * s->len; bit++) {
        g_autoptr(GError) err = NULL;
        bool ok;

        s->data[bit / 8] ^= 1 << (bit % 8);
        ok = load(s, &b, &err);
        g_assert_true(ok == (err == NULL));
        refused += !ok;
        if (ok) { /* then it is a state like any other */
            g_autoptr(GByteArray) again = g_byte_array_new();

            g_assert_true(vmstate_save(again, &vmstate_outer, &b, NULL));
        }
        s->data[bit / 8] ^= 1 << (bit % 8);
    }
    g_assert_cmpuint(refused, >=, 8 * 14); /* the whole header, at least */
    clock_free(clk);
}

static void test_random_bytes(void)
{
    Outer a, b;

    setup(&a);
    for (unsigned round = 0; round < 5000; round++) {
        g_autoptr(GByteArray) s = save(&a);
        g_autoptr(GError) err = NULL;
        int n = g_test_rand_int_range(1, 10);

        for (int i = 0; i < n; i++) {
            s->data[g_test_rand_int_range(0, (int)s->len)] =
                (uint8_t)g_test_rand_int();
        }
        g_assert_true(load(s, &b, &err) == (err == NULL));
    }
    clock_free(clk);
}

static void expect_refusal(GByteArray *s, const char *text)
{
    g_autoptr(GError) err = NULL;
    Outer b;

    g_assert_false(load(s, &b, &err));
    g_assert_cmpstr(err->message, ==, text);
}

static void test_messages(void)
{
    g_autoptr(GByteArray) s = NULL;
    Outer a;

    setup(&a);
    s = save(&a);
    s->data[9] = 9;
    expect_refusal(s, "state of 'outer' has version 9, this build reads 2 to "
                      "3");
    s->data[9] = 1;
    expect_refusal(s, "state of 'outer' has version 1, this build reads 2 to "
                      "3");
    s->data[9] = 3;
    s->data[1] = 'O';
    expect_refusal(s, "expected the state of 'outer', found 'Outer'");
    s->data[1] = 'o';
    s->data[13]--; /* length */
    expect_refusal(s, "state of 'outer' ends inside field 'newer'");
    s->data[13] += 2;
    expect_refusal(s, "state of 'outer' is cut short");
    g_byte_array_append(s, (const uint8_t *)"", 1);
    expect_refusal(s, "state of 'outer' has 1 bytes too many");
    s->data[13]--;
    s->data[14] = 0xee;
    expect_refusal(s, "u8 is 0xee");
    s->data[14] = 0;
    s->data[14 + 15] = 2;
    expect_refusal(s, "state of 'outer': 2 is no value for 'on'");
    clock_free(clk);
}

static void test_older_version(void)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    VMField old[G_N_ELEMENTS(outer_fields)];
    VMState v2 = vmstate_outer_v2;
    g_autoptr(GError) err = NULL;
    size_t pos = 0;
    Outer a, b;

    setup(&a);
    memcpy(old, outer_fields, sizeof(old));
    old[G_N_ELEMENTS(old) - 2].kind = VM_END; /* without `newer` */
    v2.fields = old;
    g_assert_true(vmstate_save(s, &v2, &a, NULL));
    outer_init(&b);
    b.newer = 5;
    g_assert_true(vmstate_load(s, &pos, &vmstate_outer, &b, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(b.newer, ==, 5); /* as reset left it */
    g_assert_cmpuint(b.u8, ==, a.u8);
    clock_free(clk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmstate/round-trip", test_round_trip);
    g_test_add_func("/vmstate/sections", test_several_sections);
    g_test_add_func("/vmstate/cut", test_cut_everywhere);
    g_test_add_func("/vmstate/bit-flips", test_bit_flips);
    g_test_add_func("/vmstate/random", test_random_bytes);
    g_test_add_func("/vmstate/messages", test_messages);
    g_test_add_func("/vmstate/older", test_older_version);
    return g_test_run();
}
