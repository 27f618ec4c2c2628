/* Stream sockets on addresses that are known already. */
#include "util/osdep.h"
#include "util/sockets.h"

#include <sys/un.h>
#include <unistd.h>

static bool bind_and_listen(int fd, const struct sockaddr *sa, socklen_t len)
{
    int one = 1;

    if (sa->sa_family == AF_UNIX) {
        unlink(((const struct sockaddr_un *)sa)->sun_path);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    return bind(fd, sa, len) == 0 && listen(fd, 1) == 0;
}

bool socket_join(int fd, const struct sockaddr *sa, socklen_t len, bool server)
{
    bool ok = server ? bind_and_listen(fd, sa, len) : connect(fd, sa, len) == 0;

    if (!ok) {
        int saved = errno;

        close(fd);
        errno = saved;
    }
    return ok;
}
