/*
 * An input that is read piece by piece: what a fuzzer decides from. Behind its
 * end there are zeroes.
 */
#ifndef TESTS_LIB_FUZZ_INPUT_H
#define TESTS_LIB_FUZZ_INPUT_H

#include "util/osdep.h"

typedef struct FuzzInput {
    const uint8_t *p, *end;
} FuzzInput;

static inline bool more(const FuzzInput *in)
{
    return in->p < in->end;
}

static inline unsigned take(FuzzInput *in)
{
    return more(in) ? *in->p++ : 0;
}

static inline uint32_t take16(FuzzInput *in)
{
    uint32_t v = take(in);

    return v | take(in) << 8;
}

static inline uint32_t take32(FuzzInput *in)
{
    uint32_t v = take16(in);

    return v | take16(in) << 16;
}

/* The first @max lines, none of which has a newline in it. */
static inline char **input_lines(const uint8_t *data, size_t len, guint max)
{
    g_autofree char *text = g_strndup((const char *)data, len);
    char **lines = g_strsplit(text, "\n", (int)max + 1);

    if (g_strv_length(lines) > max) {
        g_clear_pointer(&lines[max], g_free); /* all the others */
    }
    return lines;
}

#endif
