/*
 * A machine as a stream, see snapshot-stream.h. All numbers big-endian.
 *
 *   stream = "RHEAVM01", chunk..., END chunk
 *   chunk  = u32 type, u32 crc, u64 length, payload
 *
 *   ABOUT  lines "key value": what the machine is made of; the reader compares
 *          them with its own and names the first difference
 *   CLOCK  u64 virtual nanoseconds
 *   DEVICE string name, then a section of vmstate.c
 *   CPU    u32 index, u32 pending events, then a section
 *   RAM    string name, u64 size: the pages that follow belong to it
 *   PAGES  u64 first page, u32 count, u32 how (0 raw, 1 zstd), their bytes
 *   END    empty
 *
 * crc is zlib's of the payload, of PAGES only of its first 16 bytes. A string is
 * u32 length and bytes. ABOUT is first, RAM and PAGES are last; pages that do not
 * occur are zero.
 */
#include "util/osdep.h"
#include <zlib.h>
#include "config.h"
#if CONFIG_LIBZSTD
#include <zstd.h>
#endif
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "accel/accel.h"
#include "system/snapshot-names.h"
#include "system/snapshot-ram.h"
#include "system/snapshot-stream.h"

static const char MAGIC[8] = "RHEAVM01";

enum {
    CHUNK_END,
    CHUNK_ABOUT,
    CHUNK_CLOCK,
    CHUNK_DEVICE,
    CHUNK_CPU,
    CHUNK_RAM,
    CHUNK_PAGES,
    CHUNK_TYPES,

    HEAD_SIZE = 16,
    PAGES_HEAD = 16,
    RUN_PAGES = 256,      /* at most, in one PAGES chunk */
    STATE_MAX = 64 << 20, /* the longest chunk that is not PAGES */
    PAGES_RAW = 0,
    PAGES_ZSTD = 1,
    ZSTD_LEVEL = 1,
    PENDING_KEPT = CPU_IRQ | CPU_NMI | CPU_SMI | CPU_INIT | CPU_SIPI,
};

/* ---- bytes ---------------------------------------------------------------------- */

static void put32(GByteArray *out, uint32_t v)
{
    uint8_t buf[4];

    st_be32(buf, v);
    g_byte_array_append(out, buf, sizeof(buf));
}

static void put64(GByteArray *out, uint64_t v)
{
    uint8_t buf[8];

    st_be64(buf, v);
    g_byte_array_append(out, buf, sizeof(buf));
}

static void put_string(GByteArray *out, const char *s)
{
    put32(out, (uint32_t)strlen(s));
    g_byte_array_append(out, (const uint8_t *)s, (guint)strlen(s));
}

static void fill_head(uint8_t *head, uint32_t type, const void *summed,
                      size_t n_summed, uint64_t len)
{
    st_be32(head, type);
    st_be32(head + 4, (uint32_t)crc32(0, summed, (uInt)n_summed));
    st_be64(head + 8, len);
}

static void put_chunk(GByteArray *out, uint32_t type, const GByteArray *body)
{
    uint8_t head[HEAD_SIZE];

    fill_head(head, type, body->data, body->len, body->len);
    g_byte_array_append(out, head, sizeof(head));
    g_byte_array_append(out, body->data, body->len);
}

/* ---- what the machine is ----------------------------------------------------------- */

/* One line for each thing that must be the same on both sides. */
static char *about(Machine *m)
{
    GString *s = g_string_new(NULL);
    g_autoptr(GPtrArray) ram = snap_regions(m);

    g_string_append_printf(s, "machine %s\n", m->cls ? m->cls->name : "");
    g_string_append_printf(s, "memory %" PRIu64 "\n", m->cfg.ram_size);
    g_string_append_printf(s, "cpus %u\n", m->ncpus);
    for (guint i = 0; i < ram->len; i++) {
        const Region *r = ram->pdata[i];

        g_string_append_printf(s, "ram %s %" PRIu64 "\n", r->name, r->size);
    }
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];

        if (dev->cls->vmstate) {
            g_autofree char *name = snap_device_name(m, dev);

            g_string_append_printf(s, "device %s\n", name);
        }
    }
    return g_string_free(s, FALSE);
}

/* ---- writing ---------------------------------------------------------------------- */

static bool take_devices(Machine *m, GByteArray *out, GError **errp)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        g_autoptr(GByteArray) body = g_byte_array_new();
        g_autofree char *name = NULL;

        if (!dev->cls->vmstate) {
            continue;
        }
        name = snap_device_name(m, dev);
        put_string(body, name);
        if (!vmstate_save(body, dev->cls->vmstate, dev, errp)) {
            return false;
        }
        put_chunk(out, CHUNK_DEVICE, body);
    }
    return true;
}

static bool take_cpus(Machine *m, GByteArray *out, GError **errp)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        g_autoptr(GByteArray) body = g_byte_array_new();

        cpu_state(m->cpu[i]);
        put32(body, i);
        put32(body, cpu_pending(m->cpu[i]) & PENDING_KEPT);
        if (!vmstate_save(body, &vmstate_x86, m->cpu[i], errp)) {
            return false;
        }
        put_chunk(out, CHUNK_CPU, body);
    }
    return true;
}

GByteArray *snap_take_state(Machine *m, GError **errp)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autofree char *text = about(m);

    g_byte_array_append(body, (const uint8_t *)text, (guint)strlen(text));
    put_chunk(out, CHUNK_ABOUT, body);
    g_byte_array_set_size(body, 0);
    put64(body, (uint64_t)clock_ns(m->vclock));
    put_chunk(out, CHUNK_CLOCK, body);
    if (!take_devices(m, out, errp) || !take_cpus(m, out, errp)) {
        return NULL;
    }
    return g_steal_pointer(&out);
}

typedef struct Writer {
    const SnapSink *sink;
    int ret;
    uint64_t ram_before; /* bytes of the regions before this one */
#if CONFIG_LIBZSTD
    ZSTD_CCtx *zstd;
    uint8_t *packed;
    size_t packed_size;
#endif
} Writer;

static bool emit(Writer *w, const void *buf, size_t len)
{
    if (!w->ret) {
        w->ret = w->sink->write(w->sink->opaque, buf, len);
    }
    return w->ret == 0;
}

/* Packs a run if that makes it smaller; else *@data stays. */
static uint32_t pack(Writer *w, const uint8_t **data, size_t *len)
{
#if CONFIG_LIBZSTD
    size_t n;

    if (!w->zstd) {
        return PAGES_RAW;
    }
    n = ZSTD_compressCCtx(w->zstd, w->packed, w->packed_size, *data, *len,
                          ZSTD_LEVEL);
    if (!ZSTD_isError(n) && n < *len) {
        *data = w->packed;
        *len = n;
        return PAGES_ZSTD;
    }
#endif
    return PAGES_RAW;
}

static void show_progress(const Writer *w, uint64_t in_region)
{
    if (w->sink->ram_done) {
        __atomic_store_n(w->sink->ram_done, w->ram_before + in_region,
                         __ATOMIC_RELAXED);
    }
}

static bool write_run(void *opaque, uint64_t page, unsigned n,
                      const uint8_t *data)
{
    Writer *w = opaque;
    uint8_t head[HEAD_SIZE + PAGES_HEAD];
    size_t len = (size_t)n * SNAP_PAGE;
    uint32_t how = pack(w, &data, &len);

    show_progress(w, (page + n) * SNAP_PAGE);
    st_be64(head + HEAD_SIZE, page);
    st_be32(head + HEAD_SIZE + 8, n);
    st_be32(head + HEAD_SIZE + 12, how);
    fill_head(head, CHUNK_PAGES, head + HEAD_SIZE, PAGES_HEAD,
              PAGES_HEAD + len);
    return emit(w, head, sizeof(head)) && emit(w, data, len);
}

static const SnapRam *ram_under(Machine *m, const Region *r);

static bool write_ram(Machine *m, Writer *w)
{
    g_autoptr(GPtrArray) regions = snap_regions(m);

    for (guint i = 0; i < regions->len; i++) {
        const Region *r = regions->pdata[i];
        g_autoptr(GByteArray) body = g_byte_array_new();
        g_autoptr(GByteArray) chunk = g_byte_array_new();

        put_string(body, r->name);
        put64(body, r->size);
        put_chunk(chunk, CHUNK_RAM, body);
        if (!emit(w, chunk->data, chunk->len) ||
            !snap_each_run(r, ram_under(m, r), RUN_PAGES, write_run, w)) {
            return false;
        }
        show_progress(w, r->size);
        w->ram_before += r->size;
    }
    return true;
}

uint64_t snap_ram_size(Machine *m)
{
    g_autoptr(GPtrArray) regions = snap_regions(m);
    uint64_t sum = 0;

    for (guint i = 0; i < regions->len; i++) {
        sum += ((const Region *)regions->pdata[i])->size;
    }
    return sum;
}

static bool writer_init(Writer *w, GError **errp)
{
    if (!w->sink->zstd) {
        return true;
    }
#if CONFIG_LIBZSTD
    w->zstd = ZSTD_createCCtx();
    w->packed_size = ZSTD_compressBound(RUN_PAGES * SNAP_PAGE);
    w->packed = g_malloc(w->packed_size);
    return true;
#else
    error_setg(errp, "this build has no zstd (libzstd was not there): "
                     "save without compression");
    return false;
#endif
}

static void writer_fini(Writer *w)
{
#if CONFIG_LIBZSTD
    ZSTD_freeCCtx(w->zstd);
    g_free(w->packed);
#endif
}

bool snap_write(Machine *m, const GByteArray *state, const SnapSink *sink,
                GError **errp)
{
    Writer w = { .sink = sink };
    uint8_t end[HEAD_SIZE];
    bool ok;

    if (!writer_init(&w, errp)) {
        return false;
    }
    fill_head(end, CHUNK_END, end, 0, 0);
    ok = emit(&w, MAGIC, sizeof(MAGIC)) && emit(&w, state->data, state->len) &&
         write_ram(m, &w) && emit(&w, end, sizeof(end));
    if (!ok) {
        error_setg_errno(errp, -w.ret, "cannot write the machine's state");
    }
    writer_fini(&w);
    return ok;
}

/* ---- reading ---------------------------------------------------------------------- */

/* The state of one device or CPU; a section of vmstate.c from @at on. */
typedef struct SnapState {
    GByteArray *data;
    size_t at;
    Device *dev; /* or: */
    X86Cpu *cpu;
    uint32_t pending;
} SnapState;

struct SnapImage {
    Machine *m;
    char *name, *identity;
    int64_t clock;
    bool have_about, have_clock;
    GArray *devices, *cpus; /* of SnapState */
    GPtrArray *ram;         /* of SnapRam */
};

static void state_clear(void *p)
{
    SnapState *s = p;

    g_byte_array_unref(s->data);
}

static SnapImage *image_new(Machine *m, const char *name)
{
    SnapImage *img = g_new0(SnapImage, 1);

    img->m = m;
    img->name = g_strdup(name);
    img->devices = g_array_new(FALSE, TRUE, sizeof(SnapState));
    img->cpus = g_array_new(FALSE, TRUE, sizeof(SnapState));
    g_array_set_clear_func(img->devices, state_clear);
    g_array_set_clear_func(img->cpus, state_clear);
    img->ram = g_ptr_array_new_with_free_func((GDestroyNotify)snap_ram_free);
    return img;
}

void snap_free(SnapImage *img)
{
    if (!img) {
        return;
    }
    g_array_free(img->devices, TRUE);
    g_array_free(img->cpus, TRUE);
    g_ptr_array_free(img->ram, TRUE);
    g_free(img->name);
    g_free(img->identity);
    g_free(img);
}

typedef struct Reader {
    const SnapSource *src;
    SnapImage *img;
    GByteArray *body; /* of the chunk; of PAGES only its head */
    size_t at;
    uint64_t len; /* of the whole payload */
    SnapRam *ram; /* whose pages come */
    uint64_t next_page;
    uint8_t *packed;
    GHashTable *seen; /* of snap_name_of_now() */
    bool ended;
} Reader;

static bool bad(Reader *r, GError **errp, const char *what)
{
    error_setg(errp, "snapshot '%s' is damaged: %s", r->img->name, what);
    return false;
}

static bool fetch(Reader *r, void *buf, size_t len, GError **errp)
{
    int ret = r->src->read(r->src->opaque, buf, len);

    if (ret == 0) {
        return true;
    }
    if (ret == -EIO) {
        return bad(r, errp, "it ends too early or cannot be read");
    }
    error_setg_errno(errp, -ret, "cannot read snapshot '%s'", r->img->name);
    return false;
}

static bool get32(Reader *r, uint32_t *v)
{
    if (r->body->len - r->at < 4) {
        return false;
    }
    *v = ld_be32(r->body->data + r->at);
    r->at += 4;
    return true;
}

static bool get64(Reader *r, uint64_t *v)
{
    if (r->body->len - r->at < 8) {
        return false;
    }
    *v = ld_be64(r->body->data + r->at);
    r->at += 8;
    return true;
}

/* Freed by the caller; NULL: damaged. */
static char *get_string(Reader *r)
{
    uint32_t len;
    char *s;

    if (!get32(r, &len) || r->body->len - r->at < len ||
        memchr(r->body->data + r->at, 0, len)) {
        return NULL;
    }
    s = g_strndup((const char *)r->body->data + r->at, len);
    r->at += len;
    return s;
}

/* The first line of @a that is not in @b, or NULL. Freed by the caller. */
static char *line_not_in(const char *a, const char *b)
{
    g_auto(GStrv) la = g_strsplit(a, "\n", -1);
    g_auto(GStrv) lb = g_strsplit(b, "\n", -1);

    for (char **p = la; *p; p++) {
        if (**p && !g_strv_contains((const char *const *)lb, *p)) {
            return g_strdup(*p);
        }
    }
    return NULL;
}

/* The names of devices in @text as they are now; takes @text. */
static char *about_of_now(char *text)
{
    g_autoptr(GHashTable) seen = snap_names_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_free(text);
    for (char **p = lines; *p; p++) {
        if (g_str_has_prefix(*p, "device ")) {
            g_autofree char *name =
                snap_name_of_now(*p + strlen("device "), seen);

            g_free(*p);
            *p = g_strconcat("device ", name, NULL);
        }
    }
    return g_strjoinv("\n", lines);
}

static bool read_about(Reader *r, GError **errp)
{
    g_autofree char *theirs =
        about_of_now(g_strndup((char *)r->body->data, r->body->len));
    g_autofree char *ours = about(r->img->m);
    g_autofree char *more = line_not_in(theirs, ours);
    g_autofree char *less = line_not_in(ours, theirs);
    g_autofree char *shown = more ? g_strescape(more, NULL) : NULL;

    r->img->have_about = true;
    if (!more && !less) {
        return true;
    }
    if (more && less) {
        error_setg(errp,
                   "snapshot '%s' is of another machine: it has '%s', this one "
                   "has '%s'",
                   r->img->name, shown, less);
    } else if (more) {
        error_setg(errp,
                   "snapshot '%s' is of another machine: it has '%s', which "
                   "this one has not",
                   r->img->name, shown);
    } else {
        error_setg(errp,
                   "snapshot '%s' is of another machine: it lacks '%s', which "
                   "this one has",
                   r->img->name, less);
    }
    return false;
}

static bool read_clock(Reader *r, GError **errp)
{
    uint64_t ns;

    if (!get64(r, &ns) || ns > INT64_MAX / 2) {
        return bad(r, errp, "no clock");
    }
    r->img->clock = (int64_t)ns;
    r->img->have_clock = true;
    return true;
}

static void keep_state(Reader *r, GArray *list, guint at, SnapState st)
{
    st.data = g_byte_array_ref(r->body);
    st.at = r->at;
    g_array_insert_val(list, at, st);
    r->body = g_byte_array_new(); /* the list has the old one */
    g_byte_array_unref(st.data);
}

/* Its place among the machine's devices that have state; or, NULL, how many of
 * them there are. */
static guint device_place(Machine *m, const Device *dev)
{
    guint n = 0;

    for (guint i = 0; i < m->devices->len && m->devices->pdata[i] != dev; i++) {
        n += ((Device *)m->devices->pdata[i])->cls->vmstate != NULL;
    }
    return n;
}

/* NULL: there is none with state. */
static Device *device_named(Machine *m, const char *name)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        g_autofree char *own = snap_device_name(m, dev);

        if (dev->cls->vmstate && !strcmp(name, own)) {
            return dev;
        }
    }
    return NULL;
}

/* The list is in the machine's order, whatever the stream's is. */
static bool read_device(Reader *r, GError **errp)
{
    GArray *list = r->img->devices;
    Machine *m = r->img->m;
    g_autofree char *name = get_string(r), *now = NULL;
    SnapState st = { 0 };
    guint at = 0;

    now = name ? snap_name_of_now(name, r->seen) : NULL;
    st.dev = now ? device_named(m, now) : NULL;
    if (!st.dev) {
        return bad(r, errp, "a device that the machine has not");
    }
    while (at < list->len &&
           device_place(m, g_array_index(list, SnapState, at).dev) <
               device_place(m, st.dev)) {
        at++;
    }
    if (at < list->len && g_array_index(list, SnapState, at).dev == st.dev) {
        return bad(r, errp, "a device's state is there twice");
    }
    keep_state(r, list, at, st);
    return true;
}

static bool read_cpu(Reader *r, GError **errp)
{
    SnapState st = { 0 };
    uint32_t index;

    if (!get32(r, &index) || !get32(r, &st.pending) ||
        index != r->img->cpus->len || index >= r->img->m->ncpus ||
        st.pending & ~(uint32_t)PENDING_KEPT) {
        return bad(r, errp, "a processor that the machine has not");
    }
    st.cpu = r->img->m->cpu[index];
    keep_state(r, r->img->cpus, index, st);
    return true;
}

static Region *region_named(Machine *m, const char *name, uint64_t size)
{
    g_autoptr(GPtrArray) regions = snap_regions(m);

    for (guint i = 0; i < regions->len; i++) {
        Region *r = regions->pdata[i];

        if (!strcmp(r->name, name) && r->size == size) {
            return r;
        }
    }
    return NULL;
}

static bool read_ram(Reader *r, GError **errp)
{
    g_autofree char *name = get_string(r);
    uint64_t size;

    if (!name || !get64(r, &size) || r->at != r->body->len ||
        !region_named(r->img->m, name, size)) {
        return bad(r, errp, "RAM that the machine has not");
    }
    for (guint i = 0; i < r->img->ram->len; i++) {
        if (!strcmp(((SnapRam *)r->img->ram->pdata[i])->name, name)) {
            return bad(r, errp, "the same RAM twice");
        }
    }
    r->ram = snap_ram_new(name, size, errp);
    r->next_page = 0;
    if (!r->ram) {
        return false;
    }
    g_ptr_array_add(r->img->ram, r->ram);
    return true;
}

static bool unpack(Reader *r, uint8_t *to, size_t want, uint64_t len,
                   GError **errp)
{
#if CONFIG_LIBZSTD
    size_t n;

    if (!r->packed) {
        r->packed = g_malloc(RUN_PAGES * SNAP_PAGE);
    }
    if (!fetch(r, r->packed, len, errp)) {
        return false;
    }
    n = ZSTD_decompress(to, want, r->packed, len);
    return n == want || bad(r, errp, "pages that do not unpack");
#else
    error_setg(errp,
               "snapshot '%s' is compressed with zstd, which this build lacks",
               r->img->name);
    return false;
#endif
}

static bool read_pages(Reader *r, GError **errp)
{
    uint64_t page, pages = r->ram ? r->ram->size / SNAP_PAGE : 0;
    uint64_t len = r->len - PAGES_HEAD;
    uint32_t n, how;

    if (!get64(r, &page) || !get32(r, &n) || !get32(r, &how) || !n ||
        n > RUN_PAGES || page < r->next_page || page >= pages ||
        n > pages - page || how > PAGES_ZSTD ||
        (how == PAGES_RAW ? len != (uint64_t)n * SNAP_PAGE
                          : !len || len >= (uint64_t)n * SNAP_PAGE)) {
        return bad(r, errp, "pages outside the RAM");
    }
    r->next_page = page + n;
    if (how == PAGES_ZSTD) {
        return unpack(r, r->ram->map + page * SNAP_PAGE, (size_t)n * SNAP_PAGE,
                      len, errp);
    }
    return fetch(r, r->ram->map + page * SNAP_PAGE, len, errp);
}

static bool all_there(Reader *r, GError **errp)
{
    SnapImage *img = r->img;
    g_autoptr(GPtrArray) regions = snap_regions(img->m);

    r->ended = true;
    return (img->have_clock &&
            img->devices->len == device_place(img->m, NULL) &&
            img->cpus->len == img->m->ncpus && img->ram->len == regions->len) ||
           bad(r, errp, "parts are missing");
}

/* Head and payload; of PAGES only the payload's head, the rest is read where it
 * belongs. */
static bool read_chunk_body(Reader *r, uint32_t *type, GError **errp)
{
    uint8_t head[HEAD_SIZE];
    size_t want;

    if (!fetch(r, head, sizeof(head), errp)) {
        return false;
    }
    *type = ld_be32(head);
    r->len = ld_be64(head + 8);
    r->at = 0;
    if (*type >= CHUNK_TYPES || (*type == CHUNK_PAGES && r->len < PAGES_HEAD) ||
        (*type != CHUNK_PAGES && r->len > STATE_MAX)) {
        return bad(r, errp, "no such chunk");
    }
    want = *type == CHUNK_PAGES ? PAGES_HEAD : (size_t)r->len;
    g_byte_array_set_size(r->body, (guint)want);
    if (!fetch(r, r->body->data, want, errp)) {
        return false;
    }
    return ld_be32(head + 4) == crc32(0, r->body->data, (uInt)want) ||
           bad(r, errp, "a checksum is wrong");
}

/* The image, or NULL when it did not go well. */
static SnapImage *reader_end(Reader *r, bool ok)
{
    g_byte_array_unref(r->body);
    g_hash_table_unref(r->seen);
    g_free(r->packed);
    if (!ok) {
        snap_free(r->img);
        return NULL;
    }
    return r->img;
}

static bool read_chunk(Reader *r, GError **errp)
{
    static bool (*const readers[CHUNK_TYPES])(Reader *, GError **) = {
        [CHUNK_END] = all_there,    [CHUNK_ABOUT] = read_about,
        [CHUNK_CLOCK] = read_clock, [CHUNK_DEVICE] = read_device,
        [CHUNK_CPU] = read_cpu,     [CHUNK_RAM] = read_ram,
        [CHUNK_PAGES] = read_pages,
    };
    uint32_t type;

    if (!read_chunk_body(r, &type, errp)) {
        return false;
    }
    if ((type == CHUNK_ABOUT) == r->img->have_about) {
        return bad(r, errp, "it must begin with what machine it is of");
    }
    return readers[type](r, errp);
}

static bool read_magic(Reader *r, GError **errp)
{
    char magic[sizeof(MAGIC)];

    if (!fetch(r, magic, sizeof(magic), errp)) {
        return false;
    }
    if (memcmp(magic, MAGIC, sizeof(magic)) != 0) {
        error_setg(errp,
                   "snapshot '%s' was not made by this program: the state in "
                   "it is of another format (QEMU's?)",
                   r->img->name);
        return false;
    }
    return true;
}

SnapImage *snap_read(Machine *m, const SnapSource *src, const char *name,
                     GError **errp)
{
    Reader r = { .src = src, .img = image_new(m, name) };
    bool ok;

    r.body = g_byte_array_new();
    r.seen = snap_names_new();
    ok = read_magic(&r, errp);
    while (ok && !r.ended) {
        ok = read_chunk(&r, errp);
    }
    return reader_end(&r, ok);
}

/* ---- applying ---------------------------------------------------------------------- */

static bool load_state(const SnapState *st, GError **errp)
{
    size_t at = st->at;
    bool ok;

    if (st->cpu) {
        cpu_state(st->cpu);
        ok = vmstate_load(st->data, &at, &vmstate_x86, st->cpu, errp);
    } else {
        ok = vmstate_load(st->data, &at, st->dev->cls->vmstate, st->dev, errp);
    }
    if (ok && at != st->data->len) {
        error_setg(errp, "state is longer than it should be");
        ok = false;
    }
    return ok;
}

/*
 * Each device drives its lines as its state says, and until all have done so
 * the levels are some of the old machine's and some of the new one's: what they
 * end in would take that for interrupts. So first all lines fall, and what has
 * inputs is loaded last, with the levels and the interrupts that it had. What a
 * line ends in was made before what drives it: from the end, a 8259 comes
 * before the local APIC that it interrupts.
 */
static bool load_devices(const SnapImage *img, GError **errp)
{
    const GArray *list = img->devices;

    for (unsigned i = 0; i < MACHINE_GSIS; i++) {
        irq_set(&img->m->gsi[i], 0);
    }
    for (guint i = 0; i < list->len; i++) {
        const SnapState *st = &g_array_index(list, SnapState, i);

        if (!st->dev->cls->has_inputs && !load_state(st, errp)) {
            return false;
        }
    }
    for (guint i = list->len; i > 0; i--) {
        const SnapState *st = &g_array_index(list, SnapState, i - 1);

        if (st->dev->cls->has_inputs && !load_state(st, errp)) {
            return false;
        }
    }
    return true;
}

static bool load_cpus(const SnapImage *img, GError **errp)
{
    for (guint i = 0; i < img->cpus->len; i++) {
        if (!load_state(&g_array_index(img->cpus, SnapState, i), errp)) {
            return false;
        }
    }
    return true;
}

static void apply_pending(const SnapImage *img)
{
    for (guint i = 0; i < img->cpus->len; i++) {
        const SnapState *st = &g_array_index(img->cpus, SnapState, i);

        cpu_lower(st->cpu, PENDING_KEPT & ~st->pending);
        cpu_raise(st->cpu, st->pending | CPU_FLUSH);
    }
}

static bool apply_states(SnapImage *img, GError **errp)
{
    clock_set(img->m->vclock, img->clock);
    if (!load_devices(img, errp) || !load_cpus(img, errp)) {
        return false;
    }
    apply_pending(img);
    return true;
}

static bool apply_ram(SnapImage *img, GError **errp)
{
    Machine *m = img->m;

    for (guint i = 0; i < img->ram->len; i++) {
        SnapRam *s = img->ram->pdata[i];

        if (!snap_ram_apply(s, region_named(m, s->name, s->size), errp)) {
            return false;
        }
    }
    return true;
}

static const SnapRam *ram_under(Machine *m, const Region *r)
{
    const SnapImage *img = m->snapshot;

    for (guint i = 0; img && i < img->ram->len; i++) {
        const SnapRam *s = img->ram->pdata[i];

        if (s->mapped == r) {
            return s;
        }
    }
    return NULL;
}

typedef struct Memory {
    const GByteArray *data;
    size_t at;
} Memory;

static int memory_read(void *opaque, void *buf, size_t len)
{
    Memory *mem = opaque;

    if (mem->data->len - mem->at < len) {
        return -EIO;
    }
    memcpy(buf, mem->data->data + mem->at, len);
    mem->at += len;
    return 0;
}

/* What snap_take_state() says of this very machine. */
static SnapImage *own_state(Machine *m, GError **errp)
{
    g_autoptr(GByteArray) state = snap_take_state(m, errp);
    Memory mem = { .data = state };
    SnapSource src = { memory_read, &mem };
    Reader r = { .src = &src, .img = image_new(m, "the machine") };
    bool ok = state != NULL;

    r.body = g_byte_array_new();
    r.seen = snap_names_new();
    while (ok && mem.at < state->len) {
        ok = read_chunk(&r, errp);
    }
    return reader_end(&r, ok);
}

SnapImage *snap_try(Machine *m, SnapImage *img, GError **errp)
{
    g_autoptr(GError) err = NULL;
    SnapImage *before = own_state(m, errp);

    if (before && !apply_states(img, &err)) {
        error_setg(errp, "snapshot '%s' does not fit: %s", img->name,
                   err->message);
        snap_undo(m, g_steal_pointer(&before));
    }
    return before;
}

void snap_undo(Machine *m, SnapImage *before)
{
    g_autoptr(GError) err = NULL;

    if (!apply_states(before, &err)) {
        error_report("the machine's state could not be put back: %s",
                     err->message);
    }
    snap_free(before);
}

bool snap_take_ram(Machine *m, SnapImage *img, GError **errp)
{
    if (!apply_ram(img, errp)) {
        return false;
    }
    if (m->snapshot != img) {
        snap_free(m->snapshot);
    }
    m->snapshot = img;
    return true;
}

void snap_set_identity(SnapImage *img, const char *id)
{
    g_free(img->identity);
    img->identity = g_strdup(id);
}

const char *snap_identity(const SnapImage *img)
{
    return img->identity;
}

void snap_forget(Machine *m)
{
    snap_free(m->snapshot);
    m->snapshot = NULL;
}
