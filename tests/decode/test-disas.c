/* Disassembly for the monitor: layout, and whose word counts. */
#include "util/osdep.h"
#include "target-x86/disas.h"

typedef struct Case {
    unsigned bits;
    uint8_t p[16];
    const char *line;
} Case;

/* clang-format off */
static const Case cases[] = {
    { 16, { 0xea, 0x5b, 0xe0, 0x00, 0xf0 },
      "0xfffffff0:  ea 5b e0 00 f0           ljmpw    $0xf000:$0xe05b" },
    { 32, { 0x40 },
      "0xfffffff0:  40                       incl     %eax" },
    { 64, { 0xc3 },
      "0xfffffff0:  c3                       retq" },
    { 64, { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 },
      "0xfffffff0:  48 b8 01 02 03 04 05 06  movabsq  $0x807060504030201, "
      "%rax\n0xfffffff8:  07 08" },
    { 64, { 0x06 },
      "0xfffffff0:  06                       .byte    0x06" },
    { 64, { 0x0f, 0x01, 0xee },
      "0xfffffff0:  0f 01 ee                 rdpkru" },
    { 64, { 0x66, 0xe8, 0x10, 0, 0, 0 },
      "0xfffffff0:  66 e8 10 00 00 00        call     0x100000006" },
};
/* clang-format on */

static void test_lines(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        int len = disas_line(cases[i].p, 16, cases[i].bits, 0xfffffff0, out);

        g_assert_cmpstr(out->str, ==, cases[i].line);
        g_assert_cmpint(len, >, 0);
    }
}

static void test_many(void)
{
    static const uint8_t p[] = { 0xfa, 0xf4, 0xeb };
    g_autoptr(GString) out = g_string_new(NULL);

    g_assert_cmpuint(x86_disas(out, p, 3, 0x7c00, 16, 0), ==, 2);
    g_assert_cmpstr(out->str, ==,
                    "0x00007c00:  fa                       cli\n"
                    "0x00007c01:  f4                       hlt\n");
    g_assert_cmpuint(x86_disas(out, p, 3, 0x7c00, 16, 1), ==, 1);
}

static void test_short(void)
{
    static const uint8_t p[] = { 0x48, 0xb8, 1 };
    g_autoptr(GString) out = g_string_new(NULL);

    g_assert_cmpint(disas_one(p, sizeof(p), 64, 0, out), ==, 0);
    g_assert_cmpint(disas_one(p, 0, 64, 0, out), ==, 0);
    g_assert_cmpstr(out->str, ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disas/lines", test_lines);
    g_test_add_func("/disas/many", test_many);
    g_test_add_func("/disas/short", test_short);
    return g_test_run();
}
