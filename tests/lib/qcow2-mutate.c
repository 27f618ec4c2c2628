/* See qcow2-mutate.h. */
#include "util/osdep.h"
#include "tests/lib/qcow2-mutate.h"

#include "util/bits.h"

typedef struct Image {
    uint8_t *p;
    size_t len;
    GRand *r;
    uint64_t cluster;
} Image;

static uint32_t below(Image *m, uint32_t n)
{
    return n ? (uint32_t)g_rand_int(m->r) % n : 0;
}

/* Whether @n bytes at @off are in the image. */
static bool inside(const Image *m, uint64_t off, size_t n)
{
    return n <= m->len && off <= m->len - n;
}

static uint64_t get(const Image *m, uint64_t off, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; inside(m, off, width) && i < width; i++) {
        v = v << 8 | m->p[off + i];
    }
    return v;
}

static void put(Image *m, uint64_t off, unsigned width, uint64_t v)
{
    for (unsigned i = 0; inside(m, off, width) && i < width; i++) {
        m->p[off + width - 1 - i] = (uint8_t)(v >> (8 * i));
    }
}

/* An offset of one of the image's own tables. */
static uint64_t some_place(Image *m)
{
    static const unsigned at[] = { 8, 40, 48, 64 };
    uint64_t off;

    switch (below(m, 4)) {
    case 0:
        return below(m, (uint32_t)(m->len / m->cluster + 2)) * m->cluster;
    case 1: /* where a table of tables leads to */
        off = get(m, at[1 + below(m, 2)], 8);
        return get(m, off, 8) & UINT64_C(0xfffffffffffe00);
    case 2:
        return m->len;
    default:
        return get(m, at[below(m, 4)], 8);
    }
}

static uint64_t bad_value(Image *m, uint64_t was)
{
    static const uint64_t likely[] = {
        0,
        1,
        2,
        511,
        512,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        UINT64_C(1) << 32,
        UINT64_C(1) << 55,
        UINT64_C(1) << 56,
        UINT64_C(1) << 61,
        UINT64_C(1) << 62,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX,
        UINT64_MAX - 511,
    };

    switch (below(m, 8)) {
    case 0:
    case 1:
        return likely[below(m, G_N_ELEMENTS(likely))];
    case 2:
        return was + 1;
    case 3:
        return was - 1;
    case 4:
        return was ^ UINT64_C(1) << below(m, 64);
    case 5:
        return some_place(m) | (was & UINT64_C(0xc000000000000001));
    case 6:
        return some_place(m) | UINT64_C(1) << 63;
    default:
        return (uint64_t)g_rand_int(m->r) << 32 | g_rand_int(m->r);
    }
}

static void change(Image *m, uint64_t off, unsigned width)
{
    put(m, off, width, bad_value(m, get(m, off, width)));
}

static void change_header(Image *m)
{
    static const struct {
        uint8_t off, width;
    } fields[] = {
        { 4, 4 },  { 8, 8 },  { 16, 4 }, { 20, 4 }, { 24, 8 },  { 32, 4 },
        { 36, 4 }, { 40, 8 }, { 48, 8 }, { 56, 4 }, { 60, 4 },  { 64, 8 },
        { 72, 8 }, { 80, 8 }, { 88, 8 }, { 96, 4 }, { 100, 4 }, { 104, 1 },
    };
    uint32_t i = below(m, G_N_ELEMENTS(fields));

    change(m, fields[i].off, fields[i].width);
}

/* An entry of a table of 8-byte entries at @off. */
static void change_entry(Image *m, uint64_t off, uint32_t n)
{
    change(m, off + 8 * (uint64_t)below(m, MIN(n, 64)), 8);
}

static uint64_t first_of(const Image *m, uint64_t table, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < 64; i++) {
        uint64_t e = get(m, table + 8 * (uint64_t)i, 8);

        if (e & UINT64_C(0xfffffffffffe00)) {
            return e & UINT64_C(0xfffffffffffe00);
        }
    }
    return 0;
}

static void change_extension(Image *m)
{
    uint64_t off = get(m, 4, 4) >= 3 ? get(m, 100, 4) : 72;

    for (unsigned i = below(m, 6); i; i--) {
        uint64_t len = get(m, off + 4, 4);

        if (!inside(m, off, 16) || len > m->len) {
            return;
        }
        off += 8 + ((len + 7) & ~UINT64_C(7));
    }
    switch (below(m, 3)) {
    case 0: {
        static const uint32_t types[] = { 0xe2792aca, 0x6803f857, 0x23852875,
                                          0x0537be77, 0x44415441, 0 };
        put(m, off, 4, types[below(m, G_N_ELEMENTS(types))]);
        break;
    }
    case 1:
        change(m, off + 4, 4);
        break;
    default:
        change(m, off + 8 + 8 * below(m, 4), 8);
    }
}

static void change_snapshot(Image *m)
{
    static const struct {
        uint8_t off, width;
    } fields[] = {
        { 0, 8 },  { 8, 4 },  { 12, 2 }, { 14, 2 },
        { 32, 4 }, { 36, 4 }, { 40, 8 }, { 48, 8 },
    };
    uint32_t i = below(m, G_N_ELEMENTS(fields));
    uint64_t table = get(m, 64, 8), l1 = get(m, table, 8);

    switch (below(m, 3)) {
    case 0:
        change_entry(m, l1, 8);
        break;
    case 1:
        change_entry(m, first_of(m, l1, 8), 64);
        break;
    default:
        change(m, table + fields[i].off, fields[i].width);
    }
}

/* The directory that the bitmaps extension names, wherever that is. */
static void change_bitmap(Image *m)
{
    for (uint64_t off = 72; off + 32 <= m->len && off < 1024; off += 8) {
        uint64_t dir = get(m, off + 24, 8), table = get(m, dir, 8);

        if (get(m, off, 4) == 0x23852875) {
            switch (below(m, 3)) {
            case 0:
                change_entry(m, table, 8);
                break;
            case 1:
                change(m, dir + 8 + 4 * below(m, 4), 4);
                break;
            default:
                change(m, dir, 8);
            }
            return;
        }
    }
}

void qcow2_mutate(uint8_t *image, size_t len, uint32_t seed)
{
    Image m = { image, len, g_rand_new_with_seed(seed), 0 };
    uint64_t bits = get(&m, 20, 4), l1 = get(&m, 40, 8), reft = get(&m, 48, 8);

    m.cluster = UINT64_C(1) << (bits >= 9 && bits <= 21 ? bits : 16);
    switch (below(&m, 8)) {
    case 0:
    case 1:
        change_header(&m);
        break;
    case 2:
        change_entry(&m, l1, (uint32_t)get(&m, 36, 4));
        break;
    case 3:
        change_entry(&m, first_of(&m, l1, 64), (uint32_t)(m.cluster / 8));
        break;
    case 4:
        if (below(&m, 2)) {
            change_entry(&m, reft, (uint32_t)(m.cluster / 8));
        } else { /* a refcount */
            change(&m,
                   first_of(&m, reft, 64) +
                       below(&m, (uint32_t)MIN(m.cluster, 256)),
                   1);
        }
        break;
    case 5:
        change_extension(&m);
        break;
    case 6:
        change_snapshot(&m);
        break;
    default:
        change_bitmap(&m);
    }
    g_rand_free(m.r);
}
