/* Bit fields of integers, and integers in byte buffers. */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include "util/osdep.h"

static inline uint64_t bits_mask(unsigned len)
{
    return len >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << len) - 1;
}

static inline uint64_t bits_extract(uint64_t v, unsigned start, unsigned len)
{
    return (v >> start) & bits_mask(len);
}

static inline uint64_t bits_deposit(uint64_t v, unsigned start, unsigned len,
                                    uint64_t field)
{
    uint64_t mask = bits_mask(len) << start;

    return (v & ~mask) | ((field << start) & mask);
}

/* The low @bits bits of @v as a signed number. */
static inline int64_t bits_sext(uint64_t v, unsigned bits)
{
    return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

#define BITS_LOAD_STORE(name, type, conv_to, conv_from) \
    static inline type ld_##name(const void *p) \
    { \
        type v; \
        memcpy(&v, p, sizeof(v)); \
        return conv_from(v); \
    } \
    static inline void st_##name(void *p, type v) \
    { \
        v = conv_to(v); \
        memcpy(p, &v, sizeof(v)); \
    }

BITS_LOAD_STORE(le16, uint16_t, GUINT16_TO_LE, GUINT16_FROM_LE)
BITS_LOAD_STORE(le32, uint32_t, GUINT32_TO_LE, GUINT32_FROM_LE)
BITS_LOAD_STORE(le64, uint64_t, GUINT64_TO_LE, GUINT64_FROM_LE)
BITS_LOAD_STORE(be16, uint16_t, GUINT16_TO_BE, GUINT16_FROM_BE)
BITS_LOAD_STORE(be32, uint32_t, GUINT32_TO_BE, GUINT32_FROM_BE)
BITS_LOAD_STORE(be64, uint64_t, GUINT64_TO_BE, GUINT64_FROM_BE)
#undef BITS_LOAD_STORE

/* The same for @size bytes, 0 to 8, of any number. */
static inline uint64_t ld_le(const void *p, unsigned size)
{
    const uint8_t *byte = p;
    uint64_t v = 0;

    switch (size) {
    case 1:
        return *byte;
    case 2:
        return ld_le16(p);
    case 4:
        return ld_le32(p);
    case 8:
        return ld_le64(p);
    default:
        for (unsigned i = 0; i < size; i++) {
            v |= (uint64_t)byte[i] << (8 * i);
        }
        return v;
    }
}

static inline void st_le(void *p, uint64_t v, unsigned size)
{
    uint8_t *byte = p;

    switch (size) {
    case 1:
        *byte = (uint8_t)v;
        break;
    case 2:
        st_le16(p, (uint16_t)v);
        break;
    case 4:
        st_le32(p, (uint32_t)v);
        break;
    case 8:
        st_le64(p, v);
        break;
    default:
        for (unsigned i = 0; i < size; i++) {
            byte[i] = (uint8_t)(v >> (8 * i));
        }
    }
}

#endif
