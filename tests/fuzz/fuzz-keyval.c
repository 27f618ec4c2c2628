/* Option strings, as text and JSON, and the values in them. */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "util/keyval.h"
#include "util/nearest.h"

static void read_value(const char *key, const char *value, void *opaque)
{
    KeyVal *kv = opaque;
    uint64_t n;
    bool b;

    g_assert_cmpstr(keyval_get(kv, key), ==, value);
    keyval_bool(kv, key, false, &b, NULL);
    keyval_u64(kv, key, 0, &n, NULL);
    keyval_size(kv, key, MIB, 0, &n, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = { "isa-serial", "virtio-net-pci", NULL };
    g_autofree char *text = g_strndup((const char *)data, len);
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, "driver", &err);

    g_assert_true((kv == NULL) == (err != NULL));
    if (kv) {
        keyval_foreach(kv, read_value, kv);
        g_assert_null(keyval_unused(kv));
    }
    nearest_name(text, names);
    return 0;
}
