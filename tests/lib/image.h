/*
 * Disk images for tests of the block layer, in a directory of the test's own.
 * What fails here fails the test.
 */
#ifndef TESTS_LIB_IMAGE_H
#define TESTS_LIB_IMAGE_H

#include "block/block.h"

/* Before the first image, and at the end, when the test has removed them. */
void image_dir_make(void);
void image_dir_remove(void);
const char *image_dir(void);
char *path_of(const char *name); /* in the directory; to be freed */

void create(const char *name, const char *fmt, const char *opts);
BlockNode *open_as(const char *name, const char *fmt, unsigned flags);
void close_bn(BlockNode *bn);
void remove_file(const char *name);

/* The bytes of a new image; needs no directory. */
GByteArray *make_image(const char *fmt, const char *opts);

#endif
