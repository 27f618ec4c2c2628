/*
 * Changes of a qcow2 image that know its structure: header fields, table
 * entries, snapshots, extensions and bitmaps get values that are likely to
 * hurt. For libFuzzer and for a test with seeds.
 */
#ifndef TESTS_LIB_QCOW2_MUTATE_H
#define TESTS_LIB_QCOW2_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* One change in place. Works on any bytes; the same @seed does the same. */
void qcow2_mutate(uint8_t *image, size_t len, uint32_t seed);

#endif
