/* Where an NBD server is, see nbd-address.h. */
#include "util/osdep.h"
#include "block/nbd-address.h"

#include "util/error.h"

static const char default_port[] = "10809";

static bool parse_query(NbdAddress *a, const char *query, const char *uri,
                        GError **errp)
{
    g_autoptr(GHashTable) t =
        query ? g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, errp)
              : NULL;

    if (query && !t) {
        return false;
    }
    a->path = t ? g_strdup(g_hash_table_lookup(t, "socket")) : NULL;
    if (!a->path || !a->path[0] || g_hash_table_size(t) != 1) {
        error_setg(errp,
                   "'%s' must name its socket: nbd+unix:///export?socket=path",
                   uri);
        return false;
    }
    return true;
}

/* nbd://[host][:port]/export, nbd+tcp: the same, nbd+unix:///export?socket= */
static bool parse_uri(NbdAddress *a, const char *text, GError **errp)
{
    g_autoptr(GUri) u = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, errp);
    const char *scheme = u ? g_uri_get_scheme(u) : NULL, *host;

    if (!u) {
        g_prefix_error(errp, "Invalid URI '%s': ", text);
        return false;
    }
    a->export = g_strdup(g_uri_get_path(u) + strspn(g_uri_get_path(u), "/"));
    host = g_uri_get_host(u);
    if (strcmp(scheme, "nbd+unix") == 0) {
        if ((host && host[0]) || g_uri_get_port(u) != -1) {
            error_setg(errp, "'%s': nbd+unix takes neither host nor port",
                       text);
            return false;
        }
        return parse_query(a, g_uri_get_query(u), text, errp);
    }
    if (strcmp(scheme, "nbd") != 0 && strcmp(scheme, "nbd+tcp") != 0) {
        error_setg(errp,
                   "'%s': the transport is not supported (nbd, nbd+tcp or "
                   "nbd+unix)",
                   text);
        return false;
    }
    if (g_uri_get_query(u)) {
        error_setg(errp, "'%s': nbd over TCP takes no parameters", text);
        return false;
    }
    a->host = g_strdup(host && host[0] ? host : "localhost");
    a->port = g_uri_get_port(u) == -1
                  ? g_strdup(default_port)
                  : g_strdup_printf("%d", g_uri_get_port(u));
    return true;
}

/* nbd:unix:PATH, nbd:HOST:PORT, both with :exportname=NAME */
static bool parse_old(NbdAddress *a, const char *text, GError **errp)
{
    const char *p = text + strlen("nbd:");
    const char *e = strstr(p, ":exportname=");
    g_autofree char *where = e ? g_strndup(p, (gsize)(e - p)) : g_strdup(p);
    char *colon;

    a->export = g_strdup(e ? e + strlen(":exportname=") : "");
    if (g_str_has_prefix(where, "unix:")) {
        a->path = g_strdup(where + strlen("unix:"));
        if (a->path[0]) {
            return true;
        }
    }
    colon = strrchr(where, ':');
    if (a->path || !colon || colon == where || !colon[1]) {
        error_setg(errp,
                   "Invalid NBD address '%s': nbd:HOST:PORT or nbd:unix:PATH",
                   text);
        return false;
    }
    a->port = g_strdup(colon + 1);
    a->host = where[0] == '[' && colon[-1] == ']'
                  ? g_strndup(where + 1, (gsize)(colon - where - 2))
                  : g_strndup(where, (gsize)(colon - where));
    return true;
}

static char *either(KeyVal *o, const char *key, const char *server_key)
{
    const char *v = keyval_get(o, key), *w = keyval_get(o, server_key);

    return g_strdup(v ? v : w);
}

static bool parse_options(NbdAddress *a, KeyVal *o, GError **errp)
{
    const char *type = keyval_get(o, "server.type");
    const char *export = keyval_get(o, "export");

    a->host = either(o, "host", "server.host");
    a->port = either(o, "port", "server.port");
    a->path = either(o, "path", "server.path");
    a->export = g_strdup(export ? export : "");
    if (type && strcmp(type, "inet") && strcmp(type, "unix")) {
        error_setg(errp, "server.type must be inet or unix, not '%s'", type);
    } else if (a->path && (a->host || a->port)) {
        error_setg(errp, "path and host/port may not be used at the same time");
    } else if (!a->path && !a->host) {
        error_setg(errp, "NBD server address missing: give path or host");
    } else if (type && (strcmp(type, "unix") == 0) != (a->path != NULL)) {
        error_setg(errp, "server.type=%s does not go with %s", type,
                   a->path ? "a path" : "a host");
    } else {
        a->port = a->path || a->port ? a->port : g_strdup(default_port);
        return true;
    }
    return false;
}

bool nbd_address_parse(NbdAddress *a, const char *filename, KeyVal *options,
                       GError **errp)
{
    bool ok;

    memset(a, 0, sizeof(*a));
    if (!filename) {
        ok = parse_options(a, options, errp);
    } else if (strstr(filename, "://")) {
        ok = parse_uri(a, filename, errp);
    } else if (g_str_has_prefix(filename, "nbd:")) {
        ok = parse_old(a, filename, errp);
    } else {
        error_setg(errp, "'%s' is no NBD address", filename);
        ok = false;
    }
    if (ok && strlen(a->export) > 4096) {
        error_setg(errp, "export name too long");
        ok = false;
    }
    if (!ok) {
        nbd_address_clear(a);
    }
    return ok;
}

void nbd_address_clear(NbdAddress *a)
{
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->export);
    memset(a, 0, sizeof(*a));
}

char *nbd_address_text(const NbdAddress *a)
{
    g_autofree char *export = g_uri_escape_string(a->export, "/", true);
    g_autofree char *path =
        a->path ? g_uri_escape_string(a->path, "/", true) : NULL;
    bool v6 = a->host && strchr(a->host, ':');

    if (path) {
        return g_strdup_printf("nbd+unix://%s%s?socket=%s",
                               export[0] ? "/" : "", export, path);
    }
    return g_strdup_printf("nbd://%s%s%s:%s%s%s", v6 ? "[" : "", a->host,
                           v6 ? "]" : "", a->port, export[0] ? "/" : "",
                           export);
}
