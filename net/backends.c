/* The back ends of -netdev, in the order that -netdev help shows. */
#include "util/osdep.h"
#include "net/internal.h"

const NetBackend *const net_backends[] = {
    &net_socket, &net_stream, &net_dgram, &net_hub, &net_tap,
#if CONFIG_LIBSLIRP
    &net_user,
#endif
    NULL,
};
