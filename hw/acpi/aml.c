/*
 * Writes ACPI Machine Language. ACPI 6.4, 20.2 (grammar) and 6.4 (resources).
 *
 * A package's length stands before its contents and takes 1 to 4 bytes, itself
 * included: it is inserted when the package is closed.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/acpi/aml.h"

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_EXT = 0x5b,
    OP_EXT_DEVICE = 0x82,
    OP_RETURN = 0xa4,
    RES_IRQ = 0x22,
    RES_IO = 0x47,
    RES_END = 0x79,
    RES_MEM32_FIXED = 0x86,
};

static void aml_byte(Aml *a, uint8_t v)
{
    g_byte_array_append(a->out, &v, 1);
}

static void aml_bytes(Aml *a, const void *p, size_t len)
{
    g_byte_array_append(a->out, p, len);
}

static void aml_open(Aml *a)
{
    g_assert(a->depth < AML_MAX_DEPTH);
    a->start[a->depth++] = a->out->len;
}

/* Makes room at @at and moves what follows. */
static void aml_insert(Aml *a, guint at, const uint8_t *p, size_t len)
{
    guint tail = a->out->len - at;

    g_byte_array_set_size(a->out, a->out->len + len);
    memmove(a->out->data + at + len, a->out->data + at, tail);
    memcpy(a->out->data + at, p, len);
}

/* PkgLength of @len bytes of contents. 20.2.4. */
static unsigned aml_pkg_length(uint8_t out[4], size_t len)
{
    unsigned n = 1;

    if (len + 1 <= 0x3f) {
        out[0] = len + 1;
        return 1;
    }
    while (n < 3 && len + n + 1 >= (size_t)1 << (4 + 8 * n)) {
        n++;
    }
    len += n + 1;
    out[0] = n << 6 | (len & 0xf);
    for (unsigned i = 0; i < n; i++) {
        out[i + 1] = len >> (4 + 8 * i);
    }
    return n + 1;
}

void aml_end(Aml *a)
{
    uint8_t prefix[4];
    guint at;
    unsigned n;

    g_assert(a->depth > 0);
    at = a->start[--a->depth];
    n = aml_pkg_length(prefix, a->out->len - at);
    aml_insert(a, at, prefix, n);
}

/* One name segment, padded with underscores. */
static void aml_segment(Aml *a, const char *seg, size_t len)
{
    char padded[4] = { '_', '_', '_', '_' };

    memcpy(padded, seg, MIN(len, 4));
    aml_bytes(a, padded, 4);
}

/* "\\_SB", "COM1", "\\_SB.COM1". 20.2.2. */
static void aml_path(Aml *a, const char *name)
{
    const char *dot;

    if (*name == '\\') {
        aml_byte(a, *name++);
    }
    dot = strchr(name, '.');
    if (dot) {
        g_assert(!strchr(dot + 1, '.'));
        aml_byte(a, OP_DUAL_NAME);
        aml_segment(a, name, dot - name);
        name = dot + 1;
    }
    aml_segment(a, name, strlen(name));
}

void aml_scope(Aml *a, const char *name)
{
    aml_byte(a, OP_SCOPE);
    aml_open(a);
    aml_path(a, name);
}

void aml_device(Aml *a, const char *name)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_EXT_DEVICE);
    aml_open(a);
    aml_path(a, name);
}

void aml_method(Aml *a, const char *name, unsigned n_args)
{
    aml_byte(a, OP_METHOD);
    aml_open(a);
    aml_path(a, name);
    aml_byte(a, n_args & 7);
}

static void aml_name(Aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_path(a, name);
}

void aml_name_package(Aml *a, const char *name, unsigned n)
{
    aml_name(a, name);
    aml_byte(a, OP_PACKAGE);
    aml_open(a);
    aml_byte(a, n);
}

void aml_int(Aml *a, uint64_t value)
{
    uint8_t le[8];

    st_le64(le, value);
    if (value <= 1) {
        aml_byte(a, value); /* ZeroOp, OneOp */
    } else if (value <= 0xff) {
        aml_byte(a, OP_BYTE);
        aml_bytes(a, le, 1);
    } else if (value <= 0xffff) {
        aml_byte(a, OP_WORD);
        aml_bytes(a, le, 2);
    } else if (value <= 0xffffffff) {
        aml_byte(a, OP_DWORD);
        aml_bytes(a, le, 4);
    } else {
        aml_byte(a, OP_QWORD);
        aml_bytes(a, le, 8);
    }
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
    aml_name(a, name);
    aml_int(a, value);
}

void aml_name_string(Aml *a, const char *name, const char *text)
{
    aml_name(a, name);
    aml_byte(a, OP_STRING);
    aml_bytes(a, text, strlen(text) + 1);
}

/* Three letters of five bits, four hex digits, big-endian. 19.3.4. */
void aml_name_eisaid(Aml *a, const char *name, const char *id)
{
    uint32_t v = 0;

    g_assert(strlen(id) == 7);
    for (unsigned i = 0; i < 3; i++) {
        v = v << 5 | ((unsigned)(id[i] - 0x40) & 0x1f);
    }
    for (unsigned i = 3; i < 7; i++) {
        v = v << 4 | ((unsigned)g_ascii_xdigit_value(id[i]) & 0xf);
    }
    aml_name(a, name);
    aml_byte(a, OP_DWORD);
    v = GUINT32_TO_BE(v);
    aml_bytes(a, &v, 4);
}

void aml_return_int(Aml *a, uint64_t value)
{
    aml_byte(a, OP_RETURN);
    aml_int(a, value);
}

/*
 * The size of the buffer stands in front of the bytes, as a word here so that
 * its own length does not depend on it.
 */
void aml_name_resources(Aml *a, const char *name)
{
    static const uint8_t size_word[3] = { OP_WORD, 0, 0 };

    aml_name(a, name);
    aml_byte(a, OP_BUFFER);
    aml_open(a);
    aml_bytes(a, size_word, 3);
}

void aml_end_resources(Aml *a)
{
    guint at = a->start[a->depth - 1];

    aml_byte(a, RES_END);
    aml_byte(a, 0); /* checksum: 0 means not used */
    st_le16(a->out->data + at + 1, a->out->len - at - 3);
    aml_end(a);
}

void aml_res_io(Aml *a, uint16_t base, uint8_t len)
{
    uint8_t d[8] = { RES_IO, 1 /* decodes 16 bits */ };

    st_le16(d + 2, base);
    st_le16(d + 4, base);
    d[6] = 1;
    d[7] = len;
    aml_bytes(a, d, sizeof(d));
}

void aml_res_irq(Aml *a, unsigned irq)
{
    uint8_t d[3] = { RES_IRQ };

    st_le16(d + 1, 1u << irq);
    aml_bytes(a, d, sizeof(d));
}

void aml_res_mem32(Aml *a, uint32_t base, uint32_t len, bool writable)
{
    uint8_t d[12] = { RES_MEM32_FIXED, 9, 0, writable };

    st_le32(d + 4, base);
    st_le32(d + 8, len);
    aml_bytes(a, d, sizeof(d));
}
