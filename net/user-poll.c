/*
 * libslirp's sockets and timers on the main loop.
 *
 * libslirp names its sockets anew before each sleep. They live in an epoll set
 * that is changed only where what it waits for changed, and the main loop watches the
 * set: a GPollFD that comes or goes would wake the loop every time.
 */
#include "util/osdep.h"
#if CONFIG_LIBSLIRP
#include "net/user.h"

#include <sys/epoll.h>

enum { EVENTS = 64 };

typedef struct PollFd {
    uint32_t have, want; /* EPOLL*: in the set, and wished for */
    uint32_t ready;
    unsigned round; /* the last one in which it was wished for */
} PollFd;

struct UserPoll {
    int epfd;
    GPollFD gfd;
    unsigned round;
    GArray *by_fd; /* of PollFd */
    GArray *named; /* of int: the descriptors of this round */
    GArray *before;
    int64_t deadline; /* in us; -1: none */
};

typedef struct PollSource {
    GSource source;
    UserPort *u;
} PollSource;

static PollFd *poll_fd(UserPoll *p, int fd)
{
    if ((guint)fd >= p->by_fd->len) {
        g_array_set_size(p->by_fd, (guint)fd + 1);
    }
    return &g_array_index(p->by_fd, PollFd, fd);
}

static const struct {
    int slirp;
    uint32_t epoll;
} event_map[] = {
    { SLIRP_POLL_IN, EPOLLIN },   { SLIRP_POLL_OUT, EPOLLOUT },
    { SLIRP_POLL_PRI, EPOLLPRI }, { SLIRP_POLL_ERR, EPOLLERR },
    { SLIRP_POLL_HUP, EPOLLHUP },
};

static int user_add_poll(int fd, int events, void *opaque)
{
    UserPoll *p = opaque;
    PollFd *pf = poll_fd(p, fd);

    pf->want = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(event_map); i++) {
        pf->want |= events & event_map[i].slirp ? event_map[i].epoll : 0;
    }
    pf->round = p->round;
    g_array_append_val(p->named, fd);
    return (int)p->named->len - 1;
}

static int user_get_revents(int index, void *opaque)
{
    UserPoll *p = opaque;
    int fd = g_array_index(p->named, int, index), events = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(event_map); i++) {
        events |=
            poll_fd(p, fd)->ready & event_map[i].epoll ? event_map[i].slirp : 0;
    }
    return events;
}

static void epoll_change(UserPoll *p, int fd, uint32_t want)
{
    PollFd *pf = poll_fd(p, fd);
    struct epoll_event ev = { .events = want, .data.fd = fd };

    if (pf->have == want) {
        return;
    }
    if (!want) {
        epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, &ev);
    } else if (epoll_ctl(p->epfd, pf->have ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                         &ev) < 0) {
        /* Closed and opened again behind our back. */
        epoll_ctl(p->epfd, pf->have ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev);
    }
    pf->have = want;
}

/*
 * In ms. What libslirp says counts from now, each time that it is asked, but it
 * looks at its timers only in slirp_pollfds_poll(): the first deadline since
 * then stands, or whatever else wakes the loop would push it out for ever.
 */
static int poll_timeout(UserPoll *p, uint32_t ms)
{
    int64_t now = g_get_monotonic_time();
    int64_t due = now + 1000 * (int64_t)ms;

    if (ms > INT32_MAX) {
        p->deadline = -1;
        return -1;
    }
    if (p->deadline < 0 || due < p->deadline) {
        p->deadline = due;
    }
    return (int)MAX((p->deadline - now + 999) / 1000, 0);
}

static gboolean poll_prepare(GSource *source, gint *timeout)
{
    UserPort *u = ((PollSource *)source)->u;
    UserPoll *p = u->poll_state;
    uint32_t ms = UINT32_MAX;
    GArray *t = p->before;

    p->before = p->named;
    p->named = t;
    g_array_set_size(p->named, 0);
    p->round++;
    slirp_pollfds_fill(u->slirp, &ms, user_add_poll, p);
    for (guint i = 0; i < p->before->len; i++) {
        int fd = g_array_index(p->before, int, i);

        if (poll_fd(p, fd)->round != p->round) {
            epoll_change(p, fd, 0);
        }
    }
    for (guint i = 0; i < p->named->len; i++) {
        int fd = g_array_index(p->named, int, i);

        epoll_change(p, fd, poll_fd(p, fd)->want);
    }
    *timeout = poll_timeout(p, ms);
    return FALSE;
}

static gboolean poll_check(GSource *source)
{
    UserPoll *p = ((PollSource *)source)->u->poll_state;

    return p->gfd.revents ||
           (p->deadline >= 0 && g_get_monotonic_time() >= p->deadline);
}

static gboolean poll_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    UserPort *u = ((PollSource *)source)->u;
    UserPoll *p = u->poll_state;
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(p->epfd, ev, EVENTS, 0);

    for (int i = 0; i < n; i++) {
        poll_fd(p, ev[i].data.fd)->ready = ev[i].events;
    }
    p->deadline = -1;
    slirp_pollfds_poll(u->slirp, 0, user_get_revents, p);
    for (int i = 0; i < n; i++) {
        poll_fd(p, ev[i].data.fd)->ready = 0;
    }
    if (u->room) {
        user_resume_guestfwds(u);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs poll_funcs = { poll_prepare, poll_check, poll_dispatch,
                                   NULL,         NULL,       NULL };

void user_register_fd(int fd, void *opaque)
{
}

/* It is closed next: the kernel takes it out of the set. */
void user_unregister_fd(int fd, void *opaque)
{
    UserPort *u = opaque;
    UserPoll *p = u->poll_state;

    if (p && fd >= 0) {
        epoll_change(p, fd, 0);
        poll_fd(p, fd)->ready = 0;
    }
}

void user_poll_start(UserPort *u)
{
    UserPoll *p = g_new0(UserPoll, 1);

    p->epfd = epoll_create1(EPOLL_CLOEXEC);
    p->by_fd = g_array_new(FALSE, TRUE, sizeof(PollFd));
    p->named = g_array_new(FALSE, FALSE, sizeof(int));
    p->before = g_array_new(FALSE, FALSE, sizeof(int));
    p->gfd = (GPollFD) { .fd = p->epfd, .events = G_IO_IN };
    p->deadline = -1;
    u->poll_state = p;
    u->poll = g_source_new(&poll_funcs, sizeof(PollSource));
    ((PollSource *)u->poll)->u = u;
    g_source_add_poll(u->poll, &p->gfd);
    g_source_attach(u->poll, NULL);
}

void user_poll_stop(UserPort *u)
{
    UserPoll *p = u->poll_state;

    if (!p) {
        return;
    }
    g_source_destroy(u->poll);
    g_source_unref(u->poll);
    close(p->epfd);
    g_array_unref(p->by_fd);
    g_array_unref(p->named);
    g_array_unref(p->before);
    g_free(p);
    u->poll_state = NULL;
}

/* ---- timers ----------------------------------------------------------------------- */

typedef struct UserTimer {
    SlirpTimerCb cb;
    void *opaque;
    guint id;
} UserTimer;

int64_t user_clock_ns(void *opaque)
{
    return g_get_monotonic_time() * 1000;
}

void *user_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->cb = cb;
    t->opaque = cb_opaque;
    return t;
}

static void timer_stop(UserTimer *t)
{
    if (t->id) {
        g_source_remove(t->id);
        t->id = 0;
    }
}

void user_timer_free(void *timer, void *opaque)
{
    timer_stop(timer);
    g_free(timer);
}

static gboolean timer_fire(gpointer opaque)
{
    UserTimer *t = opaque;

    t->id = 0;
    t->cb(t->opaque);
    return G_SOURCE_REMOVE;
}

void user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    UserTimer *t = timer;
    int64_t wait = expire_ms - g_get_monotonic_time() / 1000;

    timer_stop(t);
    t->id = g_timeout_add((guint)CLAMP(wait, 0, INT32_MAX), timer_fire, t);
}
#endif
