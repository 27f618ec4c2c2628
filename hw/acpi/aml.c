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
    OP_EXT_MUTEX = 0x01,
    OP_EXT_ACQUIRE = 0x23,
    OP_EXT_RELEASE = 0x27,
    OP_EXT_REGION = 0x80,
    OP_EXT_FIELD = 0x81,
    OP_EXT_DEVICE = 0x82,
    OP_MULTI_NAME = 0x2f,
    OP_ARG0 = 0x68,
    OP_IF = 0xa0,
    OP_RETURN = 0xa4,
    RES_IRQ = 0x22,
    RES_IO = 0x47,
    RES_END = 0x79,
    RES_MEM32_FIXED = 0x86,
    RES_DWORD_RANGE = 0x87,
    RES_WORD_RANGE = 0x88,
    RES_INTERRUPT = 0x89,
    RES_QWORD_RANGE = 0x8a,
};

/* Kinds of address ranges, and that both ends are fixed. 6.4.3.5. */
enum {
    RANGE_MEMORY = 0,
    RANGE_IO = 1,
    RANGE_BUS = 2,
    RANGE_FIXED = 0x0c, /* minimum and maximum */
    RANGE_MEM_WRITABLE = 0x01,
    RANGE_MEM_CACHEABLE = 0x02,
    RANGE_IO_ENTIRE = 0x03,
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

/* "\\_SB", "COM1", "\\_SB.PCI0.ISA". 20.2.2. */
static void aml_path(Aml *a, const char *name)
{
    unsigned n = 1;

    if (*name == '\\') {
        aml_byte(a, *name++);
    }
    for (const char *p = name; *p; p++) {
        n += *p == '.';
    }
    if (n == 2) {
        aml_byte(a, OP_DUAL_NAME);
    } else if (n > 2) {
        aml_byte(a, OP_MULTI_NAME);
        aml_byte(a, n);
    }
    for (; n; n--) {
        size_t len = strcspn(name, ".");

        aml_segment(a, name, len);
        name += len + 1;
    }
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
    aml_byte(a, 0x08 | (n_args & 7)); /* serialized: it may make names */
}

static void aml_name(Aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_path(a, name);
}

void aml_name_package(Aml *a, const char *name, unsigned n)
{
    aml_name(a, name);
    aml_package(a, n);
}

void aml_package(Aml *a, unsigned n)
{
    aml_byte(a, OP_PACKAGE);
    aml_open(a);
    aml_byte(a, n);
}

void aml_op(Aml *a, AmlOp op)
{
    aml_byte(a, op);
}

void aml_arg(Aml *a, unsigned n)
{
    aml_byte(a, OP_ARG0 + n);
}

void aml_ref(Aml *a, const char *name)
{
    aml_path(a, name);
}

void aml_if(Aml *a)
{
    aml_byte(a, OP_IF);
    aml_open(a);
}

void aml_op_region(Aml *a, const char *name, unsigned space, uint64_t offset,
                   uint64_t len)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_EXT_REGION);
    aml_path(a, name);
    aml_byte(a, space);
    aml_int(a, offset);
    aml_int(a, len);
}

static void aml_field_flags(Aml *a, const char *region, uint8_t flags)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_EXT_FIELD);
    aml_open(a);
    aml_path(a, region);
    aml_byte(a, flags);
}

void aml_field(Aml *a, const char *region)
{
    aml_field_flags(a, region, 0x01); /* bytes; no lock; other bits stay */
}

void aml_field_dwords(Aml *a, const char *region)
{
    aml_field_flags(a, region, 0x43);
}

static void aml_mutex_op(Aml *a, uint8_t op, const char *name)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, op);
    aml_path(a, name);
}

void aml_mutex(Aml *a, const char *name)
{
    aml_mutex_op(a, OP_EXT_MUTEX, name);
    aml_byte(a, 0); /* synchronization level */
}

void aml_acquire(Aml *a, const char *name)
{
    aml_mutex_op(a, OP_EXT_ACQUIRE, name);
    aml_byte(a, 0xff); /* for ever */
    aml_byte(a, 0xff);
}

void aml_release(Aml *a, const char *name)
{
    aml_mutex_op(a, OP_EXT_RELEASE, name);
}

void aml_field_unit(Aml *a, const char *name, unsigned bits)
{
    g_assert(bits < 64);
    aml_segment(a, name, strlen(name));
    aml_byte(a, bits);
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

void aml_res_irqs(Aml *a, const uint32_t *irq, unsigned n)
{
    /* Length; consumer, level, active high, shared; how many. */
    uint8_t d[5] = { RES_INTERRUPT, 2 + 4 * n, 0, 0x09, n };

    aml_bytes(a, d, sizeof(d));
    for (unsigned i = 0; i < n; i++) {
        uint8_t le[4];

        st_le32(le, irq[i]);
        aml_bytes(a, le, 4);
    }
}

/* Granularity, minimum, maximum, translation, length, of @width bytes each. */
static void aml_range(Aml *a, uint8_t tag, unsigned width, unsigned kind,
                      unsigned flags, uint64_t first, uint64_t last)
{
    const uint64_t values[5] = { 0, first, last, 0, last - first + 1 };
    uint8_t d[6] = { tag, 3 + 5 * width, 0, kind, RANGE_FIXED, flags };

    aml_bytes(a, d, sizeof(d));
    for (unsigned i = 0; i < 5; i++) {
        uint8_t le[8];

        st_le64(le, values[i]);
        aml_bytes(a, le, width);
    }
}

void aml_res_bus_range(Aml *a, uint16_t first, uint16_t last)
{
    aml_range(a, RES_WORD_RANGE, 2, RANGE_BUS, 0, first, last);
}

void aml_res_io_range(Aml *a, uint16_t first, uint16_t last)
{
    aml_range(a, RES_WORD_RANGE, 2, RANGE_IO, RANGE_IO_ENTIRE, first, last);
}

void aml_res_mem_range(Aml *a, uint64_t first, uint64_t last, bool cacheable)
{
    unsigned flags = RANGE_MEM_WRITABLE | (cacheable ? RANGE_MEM_CACHEABLE : 0);

    if (last <= UINT32_MAX) {
        aml_range(a, RES_DWORD_RANGE, 4, RANGE_MEMORY, flags, first, last);
    } else {
        aml_range(a, RES_QWORD_RANGE, 8, RANGE_MEMORY, flags, first, last);
    }
}
