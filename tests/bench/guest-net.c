/*
 * What runs in the guest of run-net: moves bytes over one TCP connection.
 *
 *   guest-net send|recv HOST PORT MIB     connects
 *   guest-net send|recv - PORT MIB        listens
 *
 * busybox's nc writes 1 KiB at a time, which measures nothing but that.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 256 << 10 };

static int open_socket(const char *host, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    in.sin_port = htons((uint16_t)port);
    if (strcmp(host, "-")) {
        inet_pton(AF_INET, host, &in.sin_addr);
        return connect(fd, (struct sockaddr *)&in, sizeof(in)) ? -1 : fd;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 1)) {
        return -1;
    }
    printf("listening %d\n", port);
    fflush(stdout);
    return accept(fd, NULL, NULL);
}

int main(int argc, char **argv)
{
    char *buf = calloc(1, CHUNK);
    long long left;
    ssize_t n = 1;
    int fd;

    if (argc < 5) {
        return 2;
    }
    fd = open_socket(argv[2], atoi(argv[3]));
    left = atoll(argv[4]) << 20;
    while (fd >= 0 && left > 0 && n > 0) {
        n = argv[1][0] == 's' ? write(fd, buf, CHUNK) : read(fd, buf, CHUNK);
        left -= n;
    }
    if (fd < 0 || left > 0) {
        perror("guest-net");
        return 1;
    }
    if (argv[1][0] == 'r') { /* tell that all is here */
        return write(fd, "done", 4) == 4 ? 0 : 1;
    }
    /* Until all is there: the guest may be switched off next. */
    shutdown(fd, SHUT_WR);
    return read(fd, buf, 1) == 0 ? 0 : 1;
}
