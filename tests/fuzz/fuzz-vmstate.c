/* A stream that claims to be a device's state. */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "system/vmstate.h"

typedef struct Inner {
    uint32_t a;
    bool flag;
} Inner;

typedef struct Outer {
    uint8_t u8;
    uint16_t u16[3];
    bool on;
    char buf[5];
    Inner in[2];
    Timer timer;
    uint64_t newer;
} Outer;

static const VMState vmstate_inner = {
    .name = "in",
    .version = 1,
    .min_version = 1,
    .fields =
        (const VMField[]) {
            VM_U32(Inner, a),
            VM_BOOL(Inner, flag),
            VM_FIELDS_END,
        },
};

static const VMState vmstate_outer = {
    .name = "out",
    .version = 2,
    .min_version = 1,
    .fields =
        (const VMField[]) {
            VM_U8(Outer, u8),
            VM_U16_ARRAY(Outer, u16, 3),
            VM_BOOL(Outer, on),
            VM_BUFFER(Outer, buf),
            VM_SUB_ARRAY(Outer, in, 2, vmstate_inner),
            VM_TIMER_FIELD(Outer, timer),
            VM_U64_SINCE(Outer, newer, 2),
            VM_FIELDS_END,
        },
};

static void no_fire(void *opaque)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    g_autoptr(GByteArray) in = g_byte_array_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    Clock *clk = clock_new_manual();
    size_t pos = 0;
    Outer o = { 0 };

    timer_init(&o.timer, clk, no_fire, NULL);
    g_byte_array_append(in, data, (guint)len);
    if (vmstate_load(in, &pos, &vmstate_outer, &o, &err)) {
        g_assert_cmpuint(pos, <=, len);
        g_assert_true(vmstate_save(out, &vmstate_outer, &o, NULL));
        if (data[7] == 2) { /* the same version: the same bytes */
            g_assert_cmpmem(in->data, pos, out->data, out->len);
        }
    } else {
        g_assert_nonnull(err);
    }
    clock_free(clk);
    return 0;
}
