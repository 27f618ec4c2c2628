/* Hubs: see net/hub.c. */
#ifndef NET_HUB_H
#define NET_HUB_H

#include "net/net.h"

/* One more port of hub @hub, named @id; the caller adds it to @ports. */
NetPort *net_hub_add(GPtrArray *ports, unsigned hub, const char *id);

#endif
