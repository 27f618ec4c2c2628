/* The "user" back end, shared by its files. */
#ifndef NET_USER_H
#define NET_USER_H

#include <slirp/libslirp.h>
#include "net/internal.h"

typedef struct UserPort UserPort;
typedef struct UserPoll UserPoll;

struct UserPort {
    NetPort port;
    Slirp *slirp;
    GSource *poll;
    UserPoll *poll_state; /* of user-poll.c */
    GPtrArray *guestfwds; /* of GuestFwd (user-fwd.c) */
    struct in_addr net, mask, host;
    struct in_addr dhcp_start;
    bool ping_checked;
    bool room; /* guestfwd chardevs may be read again */
};

UserPort *user_of(NetPort *port); /* NULL: another back end */

/* user-poll.c: libslirp's sockets and timers on the main loop. */
void user_poll_start(UserPort *u);
void user_poll_stop(UserPort *u);
int64_t user_clock_ns(void *opaque);
void *user_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque);
void user_timer_free(void *timer, void *opaque);
void user_timer_mod(void *timer, int64_t expire_ms, void *opaque);
void user_register_fd(int fd, void *opaque);
void user_unregister_fd(int fd, void *opaque);

/* user-fwd.c: hostfwd= and guestfwd=. */
bool user_add_hostfwd(UserPort *u, const char *text, GError **errp);
bool user_add_guestfwd(UserPort *u, const char *text, const NetEnv *env,
                       GError **errp);
void user_notify(void *opaque); /* libslirp has room for guestfwd input */
/* What that leads to, outside of libslirp. */
void user_resume_guestfwds(UserPort *u);
void user_free_guestfwds(UserPort *u);

#endif
