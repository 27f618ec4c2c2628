/* Where an NBD server is: the ways in which QEMU lets it be written. */
#ifndef BLOCK_NBD_ADDRESS_H
#define BLOCK_NBD_ADDRESS_H

#include "util/keyval.h"

typedef struct NbdAddress {
    char *host, *port; /* TCP; or */
    char *path;        /* a Unix socket */
    char *export;      /* "" is the default export */
} NbdAddress;

/*
 * From @filename (nbd://host:port/export, nbd+unix:///export?socket=path,
 * nbd:host:port:exportname=export, nbd:unix:path; may be NULL) or the options
 * host, port, path, export, server.type, server.host, server.port and
 * server.path.
 */
bool nbd_address_parse(NbdAddress *a, const char *filename, KeyVal *options,
                       GError **errp);
void nbd_address_clear(NbdAddress *a);
/* As a URI, which nbd_address_parse() takes again. */
char *nbd_address_text(const NbdAddress *a);

#endif
