/* Stream sockets on addresses that are known already. Any thread. */
#ifndef UTIL_SOCKETS_H
#define UTIL_SOCKETS_H

#include <stdbool.h>
#include <sys/socket.h>

/* @fd connects to @sa, or as @server binds it and listens for one; a file of a
 * unix socket's name makes room. False: @fd is closed and errno says why. */
bool socket_join(int fd, const struct sockaddr *sa, socklen_t len, bool server);

#endif
