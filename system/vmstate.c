/*
 * Saving and loading by table. The stream, all numbers big-endian:
 *
 *   section = u8 name length, name, u32 version, u32 payload length, payload
 *   payload = the fields in table order, without padding; a VM_STRUCT element
 *             is a section of its own
 *
 * A loader trusts nothing: the payload must hold exactly the fields that its
 * version has, and every bool is 0 or 1.
 */
#include "util/osdep.h"
#include "system/vmstate.h"

#include "util/bits.h"
#include "util/error.h"

/* ---- numbers of 1, 2, 4, 8 bytes --------------------------------------------- */

static uint64_t host_get(const void *p, uint32_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return *(const uint16_t *)p;
    case 4:
        return *(const uint32_t *)p;
    default:
        return *(const uint64_t *)p;
    }
}

static void host_put(void *p, uint32_t size, uint64_t v)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case 2:
        *(uint16_t *)p = (uint16_t)v;
        break;
    case 4:
        *(uint32_t *)p = (uint32_t)v;
        break;
    default:
        *(uint64_t *)p = v;
        break;
    }
}

static void put_be(GByteArray *out, uint64_t v, uint32_t size)
{
    uint8_t buf[8];

    st_be64(buf, v);
    g_byte_array_append(out, buf + 8 - size, size);
}

/* The bytes of a VM_BLOB of @obj. */
static uint8_t *blob_bytes(const VMField *f, const void *obj, uint32_t *len)
{
    *len = *(const uint32_t *)((const char *)obj + f->len_offset);
    return *(uint8_t *const *)((const char *)obj + f->offset);
}

uint32_t vmstate_count(const VMField *f, const void *obj)
{
    return f->by_pointer ? *(const unsigned *)((const char *)obj + f->count_at)
                         : f->count;
}

void *vmstate_element(const VMField *f, void *obj, uint32_t i)
{
    char *field = (char *)obj + f->offset;

    return f->by_pointer ? (*(void ***)field)[i] : field + (size_t)i * f->size;
}

/* ---- save ------------------------------------------------------------------ */

static void save_blob(GByteArray *out, const VMField *f, const void *obj)
{
    uint32_t len;
    const uint8_t *bytes = blob_bytes(f, obj, &len);

    put_be(out, len, 4);
    if (len) {
        g_byte_array_append(out, bytes, len);
    }
}

static bool save_field(GByteArray *out, const VMField *f, void *obj,
                       GError **errp)
{
    for (uint32_t i = 0, n = vmstate_count(f, obj); i < n; i++) {
        void *p = vmstate_element(f, obj, i);

        switch (f->kind) {
        case VM_UINT:
            put_be(out, host_get(p, f->size), f->size);
            break;
        case VM_BYTES:
            g_byte_array_append(out, p, f->size);
            break;
        case VM_TIMER:
            put_be(out, (uint64_t)((Timer *)p)->expire, 8);
            break;
        case VM_STRUCT:
            if (!vmstate_save(out, f->sub, p, errp)) {
                return false;
            }
            break;
        case VM_BLOB:
            save_blob(out, f, obj);
            break;
        case VM_END:
            break;
        }
    }
    return true;
}

bool vmstate_save(GByteArray *out, const VMState *desc, void *obj,
                  GError **errp)
{
    size_t name_len = strlen(desc->name);
    guint len_at, start;
    int version;

    g_assert(name_len < 256);
    if (desc->pre_save) {
        desc->pre_save(obj);
    }
    put_be(out, name_len, 1);
    g_byte_array_append(out, (const uint8_t *)desc->name, (guint)name_len);
    version = desc->save_version ? desc->save_version(obj) : desc->version;
    put_be(out, (uint32_t)version, 4);
    len_at = out->len;
    put_be(out, 0, 4);
    start = out->len;
    for (const VMField *f = desc->fields; f->kind != VM_END; f++) {
        if (version >= f->since && !save_field(out, f, obj, errp)) {
            return false;
        }
    }
    st_be32(out->data + len_at, out->len - start);
    return true;
}

/* ---- load ------------------------------------------------------------------ */

typedef struct Reader {
    const uint8_t *p;
    size_t left;
} Reader;

static const uint8_t *reader_take(Reader *r, size_t n)
{
    const uint8_t *p = r->p;

    if (n > r->left) {
        return NULL;
    }
    r->p += n;
    r->left -= n;
    return p;
}

static bool reader_be(Reader *r, uint32_t size, uint64_t *v)
{
    const uint8_t *p = reader_take(r, size);

    if (!p) {
        return false;
    }
    *v = 0;
    for (uint32_t i = 0; i < size; i++) {
        *v = *v << 8 | p[i];
    }
    return true;
}

static bool load_section(Reader *r, const VMState *desc, void *obj,
                         GError **errp);

static bool load_timer(Timer *t, int64_t expire)
{
    if (expire < -1 || !t->clock) {
        return false;
    }
    if (expire < 0) {
        timer_cancel(t);
    } else {
        timer_arm(t, expire);
    }
    return true;
}

/* One element that is not a struct. */
static bool load_element(Reader *r, const VMState *desc, const VMField *f,
                         void *p, GError **errp)
{
    const uint8_t *bytes = NULL;
    uint64_t v = 0;
    bool valid = true;

    if (f->kind == VM_BYTES ? !(bytes = reader_take(r, f->size))
                            : !reader_be(r, f->size, &v)) {
        error_setg(errp, "state of '%s' ends inside field '%s'", desc->name,
                   f->name);
        return false;
    }
    if (f->kind == VM_BYTES) {
        memcpy(p, bytes, f->size);
    } else if (f->kind == VM_TIMER) {
        valid = load_timer(p, (int64_t)v);
    } else if (f->is_bool && v > 1) {
        valid = false;
    } else {
        host_put(p, f->size, v);
    }
    if (!valid) {
        error_setg(errp, "state of '%s': %" PRIu64 " is no value for '%s'",
                   desc->name, v, f->name);
    }
    return valid;
}

static bool load_blob(Reader *r, const VMState *desc, const VMField *f,
                      const void *obj, GError **errp)
{
    const uint8_t *bytes;
    uint32_t want;
    uint8_t *to = blob_bytes(f, obj, &want);
    uint64_t len;

    if (!reader_be(r, 4, &len) || !(bytes = reader_take(r, len))) {
        error_setg(errp, "state of '%s' ends inside field '%s'", desc->name,
                   f->name);
        return false;
    }
    if (len != want) {
        error_setg(errp,
                   "state of '%s': '%s' has %" PRIu64 " bytes; this device "
                   "has %u",
                   desc->name, f->name, len, want);
        return false;
    }
    if (len) {
        memcpy(to, bytes, len);
    }
    return true;
}

static bool load_field(Reader *r, const VMState *desc, const VMField *f,
                       void *obj, GError **errp)
{
    if (f->kind == VM_BLOB) {
        return load_blob(r, desc, f, obj, errp);
    }
    for (uint32_t i = 0, n = vmstate_count(f, obj); i < n; i++) {
        void *p = vmstate_element(f, obj, i);

        if (!(f->kind == VM_STRUCT ? load_section(r, f->sub, p, errp)
                                   : load_element(r, desc, f, p, errp))) {
            return false;
        }
    }
    return true;
}

/* Name, version and length; @body is left with the payload. */
static bool load_header(Reader *r, const VMState *desc, uint64_t *version,
                        Reader *body, GError **errp)
{
    size_t want = strlen(desc->name);
    const uint8_t *name;
    uint64_t name_len, len;

    if (!reader_be(r, 1, &name_len) || !(name = reader_take(r, name_len)) ||
        !reader_be(r, 4, version) || !reader_be(r, 4, &len)) {
        error_setg(errp, "state of '%s' is cut short", desc->name);
        return false;
    }
    if (name_len != want || memcmp(name, desc->name, want) != 0) {
        g_autofree char *found = g_strndup((const char *)name, name_len);
        g_autofree char *shown = g_strescape(found, NULL);

        error_setg(errp, "expected the state of '%s', found '%s'", desc->name,
                   shown);
        return false;
    }
    if (*version > (uint64_t)desc->version ||
        *version < (uint64_t)desc->min_version) {
        error_setg(errp,
                   "state of '%s' has version %" PRIu64
                   ", this build reads %d to %d",
                   desc->name, *version, desc->min_version, desc->version);
        return false;
    }
    body->left = len;
    body->p = reader_take(r, len);
    if (!body->p) {
        error_setg(errp, "state of '%s' is cut short", desc->name);
        return false;
    }
    return true;
}

static bool load_section(Reader *r, const VMState *desc, void *obj,
                         GError **errp)
{
    uint64_t version;
    Reader body;

    if (!load_header(r, desc, &version, &body, errp)) {
        return false;
    }
    for (const VMField *f = desc->fields; f->kind != VM_END; f++) {
        if (version >= f->since && !load_field(&body, desc, f, obj, errp)) {
            return false;
        }
    }
    if (body.left) {
        error_setg(errp, "state of '%s' has %zu bytes too many", desc->name,
                   body.left);
        return false;
    }
    return !desc->post_load || desc->post_load(obj, (int)version, errp);
}

bool vmstate_load(GByteArray *in, size_t *pos, const VMState *desc, void *obj,
                  GError **errp)
{
    Reader r = { in->data + *pos, in->len - *pos };

    g_assert(*pos <= in->len);
    if (!load_section(&r, desc, obj, errp)) {
        return false;
    }
    *pos = in->len - r.left;
    return true;
}

/* ---- dump ------------------------------------------------------------------ */

static void dump_section(GString *out, const VMState *desc, void *obj,
                         unsigned indent);

static void dump_bytes(GString *out, const uint8_t *p, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        g_string_append_printf(out, "%02x", p[i]);
    }
}

static void dump_field(GString *out, const VMField *f, void *obj,
                       unsigned indent)
{
    if (f->kind == VM_STRUCT) {
        for (uint32_t i = 0, n = vmstate_count(f, obj); i < n; i++) {
            g_string_append_printf(out, "%*s%s", (int)indent, "", f->name);
            if (n > 1) {
                g_string_append_printf(out, "[%u]", i);
            }
            g_string_append(out, ":\n");
            dump_section(out, f->sub, vmstate_element(f, obj, i), indent + 2);
        }
        return;
    }
    g_string_append_printf(out, "%*s%s =", (int)indent, "", f->name);
    for (uint32_t i = 0, n = vmstate_count(f, obj); i < n; i++) {
        void *p = vmstate_element(f, obj, i);

        g_string_append_c(out, ' ');
        if (f->kind == VM_BYTES) {
            dump_bytes(out, p, f->size);
        } else if (f->kind == VM_BLOB) {
            uint32_t len;
            const uint8_t *bytes = blob_bytes(f, obj, &len);

            dump_bytes(out, bytes, len);
        } else if (f->kind == VM_TIMER) {
            g_string_append_printf(out, "%" PRId64, ((Timer *)p)->expire);
        } else {
            g_string_append_printf(out, "0x%" PRIx64, host_get(p, f->size));
        }
    }
    g_string_append_c(out, '\n');
}

static void dump_section(GString *out, const VMState *desc, void *obj,
                         unsigned indent)
{
    for (const VMField *f = desc->fields; f->kind != VM_END; f++) {
        dump_field(out, f, obj, indent);
    }
}

void vmstate_dump(GString *out, const VMState *desc, void *obj)
{
    if (desc->pre_save) {
        desc->pre_save(obj);
    }
    g_string_append_printf(out, "%s (version %d)\n", desc->name, desc->version);
    dump_section(out, desc, obj, 2);
}
