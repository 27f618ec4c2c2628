/* Every back end, in the order -chardev help shows. */
#include "util/osdep.h"
#include "chardev/internal.h"

const CharBackend *const char_backends[] = {
    &char_null, &char_file,    &char_pipe,   &char_stdio, &char_pty,
    &char_mux,  &char_ringbuf, &char_socket, NULL,
};
