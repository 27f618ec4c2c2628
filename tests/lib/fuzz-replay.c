/*
 * main() for a libFuzzer target where there is no libFuzzer: each file of
 * tests/fuzz/corpus/NAME, a few hundred small changes of each, and the empty
 * input. Speaks TAP. --seed=N repeats a run; files that are named are run once
 * instead; other options are ignored.
 */
#include "util/osdep.h"

#include "tests/lib/fuzz.h"

enum { CHANGES = 300, GROW_MAX = 64 };

static unsigned test_no;

static void run(const uint8_t *data, size_t len)
{
    g_autofree uint8_t *copy = g_malloc(len ? len : 1); /* ASan sees its end */

    if (len) {
        memcpy(copy, data, len);
    }
    LLVMFuzzerTestOneInput(copy, len);
}

static void change(GRand *r, GByteArray *a)
{
    guint at = a->len ? (guint)g_rand_int_range(r, 0, (int)a->len) : 0;
    uint8_t junk[GROW_MAX];

    switch (g_rand_int_range(r, 0, 4)) {
    case 0:
        if (a->len) {
            a->data[at] ^= 1 << g_rand_int_range(r, 0, 8);
        }
        break;
    case 1:
        if (a->len) {
            a->data[at] = (uint8_t)g_rand_int(r);
        }
        break;
    case 2:
        g_byte_array_set_size(a, at); /* cut */
        break;
    default:
        for (unsigned i = 0; i < sizeof(junk); i++) {
            junk[i] = (uint8_t)g_rand_int(r);
        }
        g_byte_array_append(a, junk, (guint)g_rand_int_range(r, 1, GROW_MAX));
    }
}

static void replay(const char *name, const uint8_t *data, size_t len,
                   uint32_t seed)
{
    GRand *r = g_rand_new_with_seed(seed);

    run(data, len);
    for (unsigned i = 0; i < CHANGES; i++) {
        g_autoptr(GByteArray) a = g_byte_array_new();

        g_byte_array_append(a, data, (guint)len);
        for (int n = g_rand_int_range(r, 1, 5); n > 0; n--) {
            change(r, a);
        }
        run(a->data, a->len);
    }
    g_rand_free(r);
    printf("ok %u %s\n", ++test_no, name);
    fflush(stdout);
}

static void run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        g_error("cannot read %s", path);
    }
    run((const uint8_t *)data, len);
    printf("ok %u %s\n", ++test_no, path);
}

static void replay_dir(const char *dir, uint32_t seed)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_autofree char *data = NULL;
        gsize len;

        if (g_file_get_contents(path, &data, &len, NULL)) {
            replay(path, (const uint8_t *)data, len, seed);
        }
    }
    if (d) {
        g_dir_close(d);
    }
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "fuzz-");
    const char *dash;
    uint32_t seed = g_random_int();
    g_autofree char *dir = NULL;

    for (dash = name; dash; dash = strstr(dash + 1, "fuzz-")) {
        name = dash; /* the last one is the file's name */
    }
    for (int i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--seed=")) {
            seed = (uint32_t)strtoul(argv[i] + 7, NULL, 0);
        } else if (argv[i][0] != '-') {
            run_file(argv[i]);
        }
    }
    if (test_no) {
        printf("1..%u\n", test_no);
        return 0;
    }
    printf("# --seed=%u\n", seed);
    fflush(stdout);
    dir = g_build_filename("tests/fuzz/corpus", name ? name + 5 : "", NULL);
    replay("the empty input", (const uint8_t *)"", 0, seed);
    replay_dir(dir, seed);
    printf("1..%u\n", test_no);
    return 0;
}
