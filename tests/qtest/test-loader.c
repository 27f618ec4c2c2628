/*
 * -device loader: what is in memory after a reset, what is refused, and where
 * a processor would start. A machine with RAM and no CPU.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/misc/loader.h"

typedef struct Fixture {
    Machine *m;
    Region ram;
    char *dir, *raw, *elf;
} Fixture;

enum { RAM_SIZE = 0x10000, ELF_AT = 0x2000 };

/* An ELF32 of one segment of 4 bytes, 16 in memory. */
static void write_elf(const char *name)
{
    uint8_t p[52 + 32 + 4] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };

    st_le16(p + 16, 2);
    st_le16(p + 18, 3);
    st_le32(p + 24, ELF_AT + 2);
    st_le32(p + 28, 52);
    st_le16(p + 42, 32);
    st_le16(p + 44, 1);
    st_le32(p + 52, 1);
    st_le32(p + 56, 52 + 32);
    st_le32(p + 60, ELF_AT);
    st_le32(p + 64, ELF_AT);
    st_le32(p + 68, 4);
    st_le32(p + 72, 16);
    memcpy(p + 84, "abcd", 4);
    g_assert_true(g_file_set_contents(name, (const char *)p, sizeof(p), NULL));
}

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = machine_new(NULL, clock_new_manual());
    f->m->ncpus = 2;
    g_assert_true(region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    as_map(f->m->mem, 0, &f->ram, 0);
    f->dir = g_dir_make_tmp("rhea-loader-XXXXXX", NULL);
    f->raw = g_build_filename(f->dir, "raw", NULL);
    f->elf = g_build_filename(f->dir, "elf", NULL);
    g_assert_true(g_file_set_contents(f->raw, "rawbytes", 8, NULL));
    write_elf(f->elf);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    unlink(f->raw);
    unlink(f->elf);
    rmdir(f->dir);
    g_free(f->raw);
    g_free(f->elf);
    g_free(f->dir);
    while (f->m->devices->len) {
        device_free(g_ptr_array_index(f->m->devices, 0));
    }
    as_unmap(&f->ram);
    region_fini(&f->ram);
    machine_free(f->m);
}

/* @props: name and value in turn, NULL at the end. */
static Device *make(Fixture *f, const char *const *props)
{
    Device *dev = device_new_class(f->m, &loader_class, NULL);

    for (; props[0]; props += 2) {
        g_assert_true(device_set(dev, props[0], props[1], NULL));
    }
    return dev;
}

#define MAKE(f, ...) make(f, (const char *const[]) { __VA_ARGS__, NULL })

static Device *ready(Device *dev)
{
    g_autoptr(GError) err = NULL;

    g_assert_true(device_realize(dev, &err));
    g_assert_no_error(err);
    dev->cls->reset(dev);
    return dev;
}

static void refused(Device *dev, const char *part)
{
    g_autoptr(GError) err = NULL;

    g_assert_false(device_realize(dev, &err));
    g_assert_nonnull(strstr(err->message, part));
    device_free(dev);
}

static void assert_memory(Fixture *f, hwaddr addr, const char *want, size_t len)
{
    uint8_t got[64];

    as_read(f->m->mem, addr, got, len);
    g_assert_cmpmem(got, len, want, len);
}

static void test_raw(Fixture *f, gconstpointer data)
{
    Device *dev =
        ready(MAKE(f, "file", f->raw, "addr", "0x1000", "cpu-num", "1"));
    LoaderStart st;

    assert_memory(f, 0x0fff, "\0rawbytes\0", 10);
    as_store(f->m->mem, 0x1000, 0, 8); /* the guest writes over it */
    dev->cls->reset(dev);
    assert_memory(f, 0x1000, "rawbytes", 8);
    g_assert_true(loader_get_start(dev, &st));
    g_assert_cmpuint(st.cpu, ==, 1);
    g_assert_cmpuint(st.elf_bits, ==, 0);
    g_assert_cmphex(st.entry, ==, 0x1000);
}

static void test_elf(Fixture *f, gconstpointer data)
{
    Device *dev;
    LoaderStart st;

    as_store(f->m->mem, ELF_AT + 4, UINT64_MAX, 8);
    dev = ready(MAKE(f, "file", f->elf, "cpu-num", "0"));
    assert_memory(f, ELF_AT, "abcd\0\0\0\0\0\0\0\0", 12);
    g_assert_true(loader_get_start(dev, &st));
    g_assert_cmpuint(st.elf_bits, ==, 32);
    g_assert_cmphex(st.entry, ==, ELF_AT + 2);

    dev = ready(MAKE(f, "file", f->elf, "addr", "0x3000", "force-raw", "on"));
    assert_memory(f, 0x3000, "\177ELF", 4);
    g_assert_false(loader_get_start(dev, &st));
}

static void test_data(Fixture *f, gconstpointer data)
{
    ready(MAKE(f, "addr", "0x100", "data", "0x11223344", "data-len", "4"));
    assert_memory(f, 0x100, "\x44\x33\x22\x11\0", 5);
    ready(MAKE(f, "addr", "0x110", "data", "0x11223344", "data-len", "6",
               "data-be", "on"));
    assert_memory(f, 0x110, "\0\0\x11\x22\x33\x44\0", 7);
    ready(MAKE(f, "addr", "0x120", "data", "0", "data-len", "8"));
}

static void test_refused(Fixture *f, gconstpointer data)
{
    refused(MAKE(f, "addr", "0"), "give file=");
    refused(MAKE(f, "file", f->raw, "data", "1"), "not both");
    refused(MAKE(f, "file", "/nowhere/at/all"), "Could not open");
    refused(MAKE(f, "file", f->raw, "addr", "0xfffc"), "not in RAM");
    refused(MAKE(f, "file", f->raw, "addr", "0xfffffffffffffffc"),
            "not in RAM");
    refused(MAKE(f, "data", "1", "data-len", "9"), "1 to 8");
    refused(MAKE(f, "data", "256", "data-len", "1"), "more than");
    refused(MAKE(f, "addr", "0", "cpu-num", "2"), "no CPU 2");
    g_assert_cmpuint(f->m->devices->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add(name, Fixture, NULL, set_up, fn, tear_down)
    ADD("/loader/raw", test_raw);
    ADD("/loader/elf", test_elf);
    ADD("/loader/data", test_data);
    ADD("/loader/refused", test_refused);
#undef ADD
    return g_test_run();
}
