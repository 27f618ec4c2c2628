/* Device classes by name, properties, -global, life and its errors. */
#include "util/osdep.h"
#include "system/machine.h"
#include "util/error.h"

typedef struct Fake {
    Device dev;
    bool b;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64, size;
    char *s;
    Chardev *c;
} Fake;

static GString *story; /* what the devices went through */
static bool refuse;

static bool fake_realize(Device *dev, GError **errp)
{
    if (refuse) {
        error_setg(errp, "will not");
        return false;
    }
    g_string_append_printf(story, "+%s ", dev->id);
    return true;
}

static void fake_unrealize(Device *dev)
{
    g_string_append_printf(story, "-%s ", dev->id);
}

static const Property fake_props[] = {
    { "flag", PROP_BOOL, offsetof(Fake, b), true, "a flag" },
    { "u8", PROP_U8, offsetof(Fake, u8), 8, "" },
    { "u16", PROP_U16, offsetof(Fake, u16), 16, "" },
    { "u32", PROP_U32, offsetof(Fake, u32), 32, "" },
    { "u64", PROP_U64, offsetof(Fake, u64), UINT64_MAX, "" },
    { "size", PROP_SIZE, offsetof(Fake, size), 4096, "" },
    { "name", PROP_STRING, offsetof(Fake, s), (uintptr_t) "none", "" },
    { "chardev", PROP_CHARDEV, offsetof(Fake, c), 0, "" },
    { .kind = PROP_END },
};

static const DeviceClass fake_class = {
    .name = "fake-serial",
    .desc = "Nothing",
    .bus = "isa",
    .size = sizeof(Fake),
    .props = fake_props,
    .realize = fake_realize,
    .unrealize = fake_unrealize,
};

static const DeviceClass bare_class = { .name = "bare",
                                        .size = sizeof(Device) };
static const DeviceClass inner_class = { .name = "fake-inner",
                                         .size = sizeof(Device),
                                         .internal = true };

const DeviceClass *const device_classes[] = { &fake_class, &bare_class,
                                              &inner_class, NULL };

static Machine *start(void)
{
    story = g_string_new(NULL);
    refuse = false;
    return machine_new(NULL, clock_new_manual());
}

static void end(Machine *m, const char *expected)
{
    machine_free(m);
    g_assert_cmpstr(story->str, ==, expected);
    g_string_free(story, true);
}

static Device *make(Machine *m, const char *id)
{
    g_autoptr(GError) err = NULL;
    Device *dev = device_new(m, "fake-serial", id, &err);

    g_assert_no_error(err);
    return dev;
}

static void test_by_name(void)
{
    Machine *m = start();
    g_autoptr(GError) err = NULL;

    g_assert_true(device_class_find("bare") == &bare_class);
    g_assert_null(device_class_find("nosuch"));
    g_assert_null(device_new(m, "fake-serail", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "'fake-serail' is not a valid device model name; "
                    "did you mean 'fake-serial'?");
    g_clear_error(&err);
    g_assert_null(device_new(m, "zzz", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "'zzz' is not a valid device model name "
                    "(-device help lists them)");
    g_clear_error(&err);
    g_assert_null(device_new(m, "e1000e", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "'e1000e' is not a valid device model name: there is no "
                    "such network card; use virtio-net-pci");
    g_clear_error(&err);
    g_assert_null(device_new(m, "fake-inner", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "'fake-inner' is part of the machine and cannot be added "
                    "with -device");
    end(m, "");
}

static void test_defaults_and_values(void)
{
    Machine *m = start();
    Device *dev = make(m, "a");
    Fake *f = container_of(dev, Fake, dev);
    Chardev *c = (Chardev *)&story; /* any address will do */

    g_assert_true(f->b);
    g_assert_cmpuint(f->u8, ==, 8);
    g_assert_cmpuint(f->u16, ==, 16);
    g_assert_cmpuint(f->u32, ==, 32);
    g_assert_cmpuint(f->u64, ==, UINT64_MAX);
    g_assert_cmpuint(f->size, ==, 4096);
    g_assert_cmpstr(f->s, ==, "none");
    g_assert_null(f->c);
    g_hash_table_insert(m->chardevs, (char *)"ser0", c);
    g_assert_true(device_set(dev, "flag", "off", NULL) && !f->b);
    g_assert_true(device_set(dev, "u8", "255", NULL) && f->u8 == 255);
    g_assert_true(device_set(dev, "u16", "0x3f8", NULL) && f->u16 == 0x3f8);
    g_assert_true(device_set(dev, "size", "2G", NULL) && f->size == 2 * GIB);
    g_assert_true(device_set(dev, "name", "x", NULL));
    g_assert_true(device_set(dev, "name", "y", NULL));
    g_assert_cmpstr(f->s, ==, "y");
    g_assert_true(device_set(dev, "chardev", "ser0", NULL) && f->c == c);
    device_free(dev);
    end(m, "");
}

static void test_bad_values(void)
{
    static const struct {
        const char *prop, *value, *message;
    } rows[] = {
        { "flag", "maybe",
          "Property 'fake-serial.flag' expects 'on' or 'off', not 'maybe'" },
        { "u8", "256",
          "Property 'fake-serial.u8' expects a number up to 255, not '256'" },
        { "u16", "0x10000",
          "Property 'fake-serial.u16' expects a number up to 65535, not "
          "'0x10000'" },
        { "u32", "-1",
          "Property 'fake-serial.u32' expects a number up to 4294967295, not "
          "'-1'" },
        { "size", "big",
          "Property 'fake-serial.size' expects a size such as 64M up to "
          "18446744073709551615, not 'big'" },
        { "chardev", "nosuch",
          "Property 'fake-serial.chardev' can't find value 'nosuch'" },
        { "chardve", "x",
          "Property 'fake-serial.chardve' not found; did you mean "
          "'chardev'?" },
        { "qqqqqq", "x",
          "Property 'fake-serial.qqqqqq' not found (-device "
          "fake-serial,help lists them)" },
    };
    Machine *m = start();
    Device *dev = make(m, "a");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_false(device_set(dev, rows[i].prop, rows[i].value, &err));
        g_assert_cmpstr(err->message, ==, rows[i].message);
    }
    device_free(dev);
    end(m, "");
}

static void test_globals(void)
{
    Machine *m = start();
    Device *dev;

    g_ptr_array_add(m->cfg.globals, g_strdup("fake-serial.u8=1"));
    g_ptr_array_add(m->cfg.globals, g_strdup("nosuch.u8=2"));
    g_ptr_array_add(m->cfg.globals, g_strdup("fake-serial-2.u16=2"));
    g_ptr_array_add(m->cfg.globals, g_strdup("fake-serial.name=a=b,c"));
    dev = make(m, NULL);
    g_assert_cmpuint(container_of(dev, Fake, dev)->u8, ==, 1);
    g_assert_cmpuint(container_of(dev, Fake, dev)->u16, ==, 16);
    g_assert_cmpstr(container_of(dev, Fake, dev)->s, ==, "a=b,c");
    g_assert_true(device_set(dev, "u8", "3", NULL)); /* -device wins */
    g_assert_cmpuint(container_of(dev, Fake, dev)->u8, ==, 3);
    device_free(dev);
    end(m, "");
}

static void test_bad_global(void)
{
    Machine *m = start();
    g_autoptr(GError) err = NULL;
    Device *dev;

    g_ptr_array_add(m->cfg.globals, g_strdup("bare.x=1"));
    dev = device_new_class(m, &bare_class, NULL);
    g_assert_false(device_realize(dev, &err));
    g_assert_true(g_str_has_prefix(err->message,
                                   "can't apply global bare.x=1: "
                                   "Property 'bare.x' not found"));
    device_free(dev);
    end(m, "");
}

/* "virtio-blk-device" and "virtio-pci" speak of "virtio-blk-pci". */
static void test_global_of_parts(void)
{
    static const DeviceClass pci = { .name = "virtio-blk-pci" };
    static const DeviceClass mmio = { .name = "virtio-blk-device" };

    g_assert_true(device_global_fits(&pci, "virtio-blk-pci.x=1"));
    g_assert_true(device_global_fits(&pci, "virtio-blk-device.x=1"));
    g_assert_true(device_global_fits(&pci, "virtio-pci.x=1"));
    g_assert_false(device_global_fits(&pci, "virtio-net-device.x=1"));
    g_assert_false(device_global_fits(&pci, "virtio-blk-pc.x=1"));
    g_assert_false(device_global_fits(&mmio, "virtio-blk-pci.x=1"));
    g_assert_true(device_global_fits(&mmio, "virtio-blk-device.x=1"));
}

static void test_life(void)
{
    Machine *m = start();
    Device *a = make(m, "a"), *b = make(m, "b"), *c = make(m, "c");
    g_autoptr(GError) err = NULL;

    g_assert_true(device_realize(a, NULL));
    g_assert_true(device_realize(b, NULL));
    refuse = true;
    g_assert_false(device_realize(c, &err));
    g_assert_cmpstr(err->message, ==, "will not");
    g_clear_error(&err);
    device_free(c);
    refuse = false;
    c = make(m, "a");
    g_assert_false(device_realize(c, &err));
    g_assert_cmpstr(err->message, ==, "Duplicate device ID 'a'");
    g_clear_error(&err);
    device_free(c);
    c = make(m, "c");
    g_assert_true(device_realize(c, NULL));
    g_assert_false(device_set(c, "u8", "1", &err));
    g_assert_cmpstr(err->message, ==,
                    "Attempt to set property 'u8' on device 'c' (type "
                    "'fake-serial') after it was realized");
    device_free(b);
    g_assert_cmpuint(m->devices->len, ==, 2);
    end(m, "+a +b +c -b -c -a "); /* the last one goes first */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device/by-name", test_by_name);
    g_test_add_func("/device/values", test_defaults_and_values);
    g_test_add_func("/device/bad-values", test_bad_values);
    g_test_add_func("/device/globals", test_globals);
    g_test_add_func("/device/bad-global", test_bad_global);
    g_test_add_func("/device/global-of-parts", test_global_of_parts);
    g_test_add_func("/device/life", test_life);
    return g_test_run();
}
