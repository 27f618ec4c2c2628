/*
 * The decoder under libFuzzer: byte 0 chooses the mode, the rest are the bytes.
 * Nothing may be read behind them (they are copied to the end of an
 * allocation), lengths must hold when the input is cut, and capstone must
 * agree on length and name, or oracle.c know why not.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "target-x86/insn.h"
#include "tests/decode/oracle.h"

static void check_cut(const uint8_t *p, unsigned bits, const Insn *whole)
{
    Insn in;

    for (unsigned n = 0; n < whole->len; n++) {
        g_assert(decode_insn(p, n, bits, &in) == DECODE_SHORT);
    }
    g_assert(decode_insn(p, whole->len, bits, &in) == DECODE_OK);
    g_assert(!memcmp(&in, whole, sizeof(in)));
}

static void check_oracle(const uint8_t *p, size_t n, unsigned bits,
                         DecodeResult res, const Insn *in)
{
    Opinion o = oracle_ask(ORACLE_CAPSTONE, p, n, bits);

    if (o.valid == (res == DECODE_OK) &&
        (!o.valid || (o.len == in->len && oracle_same_name(in, o.name)))) {
        return;
    }
    g_assert(oracle_excuse(ORACLE_CAPSTONE, p, n, bits, res, in, &o));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned bits;
    uint8_t *p;
    DecodeResult res;
    Insn in;

    if (size < 2) {
        return 0;
    }
    bits = 16 << data[0] % 3;
    size--;
    p = g_memdup2(data + 1, size);
    res = decode_insn(p, size, bits, &in);
    if (res == DECODE_OK) {
        g_assert(in.len <= 15 && in.len <= size && in.id < insn_row_count);
        check_cut(p, bits, &in);
    }
    if (size >= 15 && res != DECODE_LONG) {
        check_oracle(p, 15, bits, res, &in);
    }
    g_free(p);
    return 0;
}
