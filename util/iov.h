/* Scattered buffers. Nothing here goes past the end of either side. */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include "util/osdep.h"

size_t iov_size(const struct iovec *iov, int n);
/* Copies up to @len bytes beginning @off bytes into @iov; how many it was. */
size_t iov_to_buf(const struct iovec *iov, int n, size_t off, void *buf,
                  size_t len);
size_t iov_from_buf(const struct iovec *iov, int n, size_t off, const void *buf,
                    size_t len);
size_t iov_memset(const struct iovec *iov, int n, size_t off, int c,
                  size_t len);
/* @len bytes of @iov from @off as an array of their own: how many elements.
 * @out has room for @n. */
int iov_slice(const struct iovec *iov, int n, size_t off, size_t len,
              struct iovec *out);

#endif
