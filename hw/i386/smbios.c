/*
 * SMBIOS structures: DMTF DSP0134 2.8, chapter 7; entry points of 2.x and 3.0,
 * chapter 5.2.
 *
 * The texts are QEMU's where programs look at them ("QEMU", the machine's name):
 * guests detect virtual machines with them. -smbios type=N,field=value changes
 * those of the table below. Not modelled: -smbios file=, types 8 and 41.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/keyval.h"
#include "hw/i386/smbios.h"

#define DIMM_MAX (16 * GIB)

/* ---- options ---------------------------------------------------------------------- */

typedef struct SmbiosField {
    unsigned type;
    const char *name;
    const char *defval;
} SmbiosField;

static const SmbiosField smbios_fields[] = {
    { 0, "vendor", "Rhea" },
    { 0, "version", RHEA_VERSION },
    { 0, "date", "04/01/2014" },
    { 0, "release", "0.0" },
    { 0, "uefi", "off" },
    { 1, "manufacturer", "QEMU" },
    { 1, "product", "Standard PC (i440FX + PIIX, 1996)" },
    { 1, "version", "pc-i440fx-7.2" },
    { 1, "serial", NULL },
    { 1, "uuid", NULL },
    { 1, "sku", NULL },
    { 1, "family", NULL },
    { 2, "manufacturer", "QEMU" },
    { 2, "product", "Standard PC (i440FX + PIIX, 1996)" },
    { 2, "version", "pc-i440fx-7.2" },
    { 2, "serial", NULL },
    { 2, "asset", NULL },
    { 2, "location", NULL },
    { 3, "manufacturer", "QEMU" },
    { 3, "version", "pc-i440fx-7.2" },
    { 3, "serial", NULL },
    { 3, "asset", NULL },
    { 3, "sku", NULL },
    { 4, "sock_pfx", "CPU " },
    { 4, "manufacturer", "QEMU" },
    { 4, "version", "pc-i440fx-7.2" },
    { 4, "serial", NULL },
    { 4, "asset", NULL },
    { 4, "part", NULL },
    { 4, "max-speed", "2000" },
    { 4, "current-speed", "2000" },
    { 17, "loc_pfx", "DIMM " },
    { 17, "bank", NULL },
    { 17, "manufacturer", "QEMU" },
    { 17, "serial", NULL },
    { 17, "asset", NULL },
    { 17, "part", NULL },
    { 17, "speed", "0" },
};

static const SmbiosField *smbios_field(unsigned type, const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(smbios_fields); i++) {
        const SmbiosField *f = &smbios_fields[i];

        if (f->type == type && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

static bool smbios_type_known(unsigned type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(smbios_fields); i++) {
        if (smbios_fields[i].type == type) {
            return true;
        }
    }
    return type == 11;
}

/* "550e8400-e29b-41d4-a716-446655440000". */
static bool uuid_parse_text(const char *text, uint8_t out[16])
{
    unsigned n = 0;

    for (unsigned i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : !g_ascii_isxdigit(text[i])) {
            return false;
        }
        if (!dash) {
            unsigned v = g_ascii_xdigit_value(text[i]);

            out[n / 2] = n % 2 ? out[n / 2] | v : v << 4;
            n++;
        }
    }
    return text[36] == '\0';
}

static bool smbios_set_uuid(SmbiosTexts *t, const char *text, GError **errp)
{
    t->has_uuid = uuid_parse_text(text, t->uuid);
    if (!t->has_uuid) {
        error_setg(errp, "'%s' is no UUID: 8-4-4-4-12 hexadecimal digits are",
                   text);
    }
    return t->has_uuid;
}

/* Numbers among the texts. */
static bool smbios_check_value(const SmbiosField *f, const char *value,
                               GError **errp)
{
    bool is_speed = g_str_has_suffix(f->name, "speed");
    unsigned major, minor;
    uint64_t speed;
    bool on;
    char end;

    if (strcmp(f->name, "uefi") == 0) {
        return parse_bool(value, &on, errp);
    }
    if (is_speed && (!parse_u64(value, &speed, NULL) || speed > 0xffff)) {
        error_setg(errp, "-smbios %s must be 0 to 65535, not '%s'", f->name,
                   value);
        return false;
    }
    if (strcmp(f->name, "release") == 0 &&
        (sscanf(value, "%u.%u%c", &major, &minor, &end) != 2 || major > 255 ||
         minor > 255)) {
        error_setg(errp,
                   "-smbios release must be two numbers like 1.2, not "
                   "'%s'",
                   value);
        return false;
    }
    if (strlen(value) > 1024) {
        error_setg(errp, "-smbios %s is longer than 1024 characters", f->name);
        return false;
    }
    return true;
}

typedef struct SmbiosWalk {
    SmbiosTexts *t;
    unsigned type;
    GError *err;
} SmbiosWalk;

static void smbios_take(const char *key, const char *value, void *opaque)
{
    SmbiosWalk *w = opaque;
    const SmbiosField *f = smbios_field(w->type, key);

    if (w->err || strcmp(key, "type") == 0) {
        return;
    }
    if (w->type == 11 && strcmp(key, "value") == 0) {
        g_ptr_array_add(w->t->oem, g_strdup(value));
    } else if (!f) {
        GString *list = g_string_new(w->type == 11 ? " value" : NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(smbios_fields); i++) {
            if (smbios_fields[i].type == w->type) {
                g_string_append_printf(list, " %s", smbios_fields[i].name);
            }
        }
        error_setg(&w->err, "-smbios type=%u has no field '%s'; it has:%s",
                   w->type, key, list->str);
        g_string_free(list, TRUE);
    } else if (strcmp(key, "uuid") == 0) {
        smbios_set_uuid(w->t, value, &w->err);
    } else if (smbios_check_value(f, value, &w->err)) {
        g_hash_table_insert(w->t->text, g_strdup_printf("%u.%s", w->type, key),
                            g_strdup(value));
    }
}

static bool smbios_parse_one(SmbiosTexts *t, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL, errp);
    SmbiosWalk walk = { .t = t };
    uint64_t type;

    if (!kv) {
        return false;
    }
    if (keyval_get(kv, "file")) {
        error_setg(errp, "-smbios file= is not supported yet");
        return false;
    }
    if (!keyval_get(kv, "type")) {
        error_setg(errp, "-smbios %s: type= is missing", text);
        return false;
    }
    if (!keyval_u64(kv, "type", 0, &type, errp)) {
        return false;
    }
    if (type > 255 || !smbios_type_known(type)) {
        error_setg(errp,
                   "-smbios type=%" PRIu64
                   " is not supported: 0, 1, 2, 3, 4, 11 and 17 are",
                   type);
        return false;
    }
    walk.type = type;
    keyval_foreach(kv, smbios_take, &walk);
    if (walk.err) {
        g_propagate_error(errp, walk.err);
        return false;
    }
    return true;
}

SmbiosTexts *smbios_parse(const GPtrArray *options, const char *uuid,
                          GError **errp)
{
    g_autoptr(SmbiosTexts) t = g_new0(SmbiosTexts, 1);

    t->text = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    t->oem = g_ptr_array_new_with_free_func(g_free);
    if (uuid && !smbios_set_uuid(t, uuid, errp)) {
        return NULL;
    }
    for (unsigned i = 0; options && i < options->len; i++) {
        if (!smbios_parse_one(t, g_ptr_array_index(options, i), errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&t);
}

void smbios_texts_free(SmbiosTexts *t)
{
    if (t) {
        g_hash_table_unref(t->text);
        g_ptr_array_unref(t->oem);
        g_free(t);
    }
}

/* The text of a field, or NULL. */
static const char *smbios_text(const SmbiosTexts *t, unsigned type,
                               const char *name)
{
    g_autofree char *key = g_strdup_printf("%u.%s", type, name);
    const char *v = g_hash_table_lookup(t->text, key);

    return v ? v : smbios_field(type, name)->defval;
}

static unsigned smbios_number(const SmbiosTexts *t, unsigned type,
                              const char *name)
{
    uint64_t v = 0;

    parse_u64(smbios_text(t, type, name), &v, NULL);
    return v;
}

/* ---- structures -------------------------------------------------------------------- */

typedef struct SmbiosBuild {
    const SmbiosConfig *cfg;
    SmbiosTables *t;
    uint8_t s[64]; /* the structure being made */
    unsigned len;
    GString *strings; /* of it, each with its NUL */
    unsigned n_strings;
} SmbiosBuild;

static void sm_begin(SmbiosBuild *b, unsigned type, unsigned len,
                     unsigned handle)
{
    memset(b->s, 0, sizeof(b->s));
    b->s[0] = type;
    b->s[1] = len;
    st_le16(b->s + 2, handle);
    b->len = len;
    g_string_truncate(b->strings, 0);
    b->n_strings = 0;
}

/* A text: its number goes to @off; 0 if there is none. */
static void sm_string(SmbiosBuild *b, unsigned off, const char *text)
{
    if (text && text[0]) {
        g_string_append_len(b->strings, text, strlen(text) + 1);
        b->s[off] = ++b->n_strings;
    }
}

/* The configured text of field @name. */
static void sm_text(SmbiosBuild *b, unsigned off, const char *name)
{
    sm_string(b, off, smbios_text(b->cfg->texts, b->s[0], name));
}

static void sm_end(SmbiosBuild *b)
{
    static const uint8_t zeros[2];
    GByteArray *out = b->t->bytes;
    guint from = out->len;

    g_byte_array_append(out, b->s, b->len);
    g_byte_array_append(out, (const uint8_t *)b->strings->str, b->strings->len);
    g_byte_array_append(out, zeros, b->n_strings ? 1 : 2);
    b->t->count++;
    b->t->max_len = MAX(b->t->max_len, out->len - from);
}

static void sm_type0(SmbiosBuild *b)
{
    unsigned major = 0, minor = 0;
    bool uefi = false;

    parse_bool(smbios_text(b->cfg->texts, 0, "uefi"), &uefi, NULL);
    sscanf(smbios_text(b->cfg->texts, 0, "release"), "%u.%u", &major, &minor);
    sm_begin(b, 0, 24, 0);
    sm_text(b, 4, "vendor");
    sm_text(b, 5, "version");
    st_le16(b->s + 6, 0xe000);
    sm_text(b, 8, "date");
    st_le64(b->s + 10, 8);         /* characteristics: not supported */
    b->s[19] = uefi ? 0x1c : 0x14; /* virtual machine, (UEFI,) targeted */
    b->s[20] = major;
    b->s[21] = minor;
    b->s[22] = 0xff;
    b->s[23] = 0xff;
    sm_end(b);
}

static void sm_type1(SmbiosBuild *b)
{
    const uint8_t *u = b->cfg->texts->uuid;

    sm_begin(b, 1, 27, 0x100);
    sm_text(b, 4, "manufacturer");
    sm_text(b, 5, "product");
    sm_text(b, 6, "version");
    sm_text(b, 7, "serial");
    if (b->cfg->texts->has_uuid) { /* 7.2.1: the first three are swapped */
        st_le32(b->s + 8, ld_be32(u));
        st_le16(b->s + 12, ld_be16(u + 4));
        st_le16(b->s + 14, ld_be16(u + 6));
        memcpy(b->s + 16, u + 8, 8);
    }
    b->s[24] = 6; /* power switch */
    sm_text(b, 25, "sku");
    sm_text(b, 26, "family");
    sm_end(b);
}

/* A base board only if somebody described one, as QEMU does. */
static void sm_type2(SmbiosBuild *b)
{
    GHashTableIter it;
    gpointer key;
    bool wanted = false;

    g_hash_table_iter_init(&it, b->cfg->texts->text);
    while (g_hash_table_iter_next(&it, &key, NULL)) {
        wanted |= g_str_has_prefix(key, "2.");
    }
    if (!wanted) {
        return;
    }
    sm_begin(b, 2, 15, 0x200);
    sm_text(b, 4, "manufacturer");
    sm_text(b, 5, "product");
    sm_text(b, 6, "version");
    sm_text(b, 7, "serial");
    sm_text(b, 8, "asset");
    b->s[9] = 1; /* hosting board */
    sm_text(b, 10, "location");
    st_le16(b->s + 11, 0x300);
    b->s[13] = 0xa; /* motherboard */
    sm_end(b);
}

static void sm_type3(SmbiosBuild *b)
{
    sm_begin(b, 3, 22, 0x300);
    sm_text(b, 4, "manufacturer");
    b->s[5] = 1; /* other */
    sm_text(b, 6, "version");
    sm_text(b, 7, "serial");
    sm_text(b, 8, "asset");
    b->s[9] = b->s[10] = b->s[11] = 3; /* safe */
    b->s[12] = 2;                      /* security: unknown */
    sm_text(b, 21, "sku");
    sm_end(b);
}

static void sm_type4(SmbiosBuild *b, unsigned socket)
{
    const SmbiosConfig *c = b->cfg;
    unsigned threads = c->cores * c->threads;
    g_autofree char *name =
        g_strdup_printf("%s%x", smbios_text(c->texts, 4, "sock_pfx"), socket);

    sm_begin(b, 4, 42, 0x400 + socket);
    sm_string(b, 4, name);
    b->s[5] = 3; /* central processor */
    b->s[6] = 1; /* family: other */
    sm_text(b, 7, "manufacturer");
    st_le32(b->s + 8, c->cpu_signature);
    st_le32(b->s + 12, c->cpu_features);
    sm_string(b, 16,
              c->cpu_name ? c->cpu_name : smbios_text(c->texts, 4, "version"));
    st_le16(b->s + 20, smbios_number(c->texts, 4, "max-speed"));
    st_le16(b->s + 22, smbios_number(c->texts, 4, "current-speed"));
    b->s[24] = 0x41; /* populated, enabled */
    b->s[25] = 1;    /* upgrade: other */
    st_le16(b->s + 26, 0xffff);
    st_le16(b->s + 28, 0xffff);
    st_le16(b->s + 30, 0xffff);
    sm_text(b, 32, "serial");
    sm_text(b, 33, "asset");
    sm_text(b, 34, "part");
    b->s[35] = b->s[36] = MIN(c->cores, 255);
    b->s[37] = MIN(threads, 255);
    st_le16(b->s + 38, 2); /* characteristics: unknown */
    st_le16(b->s + 40, 1); /* family 2 */
    sm_end(b);
}

static void sm_type11(SmbiosBuild *b)
{
    GPtrArray *oem = b->cfg->texts->oem;

    if (oem->len == 0) {
        return;
    }
    sm_begin(b, 11, 5, 0xe00);
    for (unsigned i = 0; i < oem->len && i < 255; i++) {
        sm_string(b, 4, g_ptr_array_index(oem, i));
    }
    sm_end(b);
}

static void sm_type16(SmbiosBuild *b, uint64_t ram, unsigned dimms)
{
    uint64_t kib = ram / KIB;

    sm_begin(b, 16, 23, 0x1000);
    b->s[4] = 1; /* location: other */
    b->s[5] = 3; /* system memory */
    b->s[6] = 6; /* multi-bit ECC */
    st_le32(b->s + 7, kib < 0x80000000 ? kib : 0x80000000);
    st_le16(b->s + 11, 0xfffe);
    st_le16(b->s + 13, MIN(dimms, 0xffff));
    st_le64(b->s + 15, kib < 0x80000000 ? 0 : ram);
    sm_end(b);
}

static void sm_type17(SmbiosBuild *b, unsigned n, uint64_t size)
{
    const SmbiosTexts *t = b->cfg->texts;
    g_autofree char *name =
        g_strdup_printf("%s%u", smbios_text(t, 17, "loc_pfx"), n);
    uint64_t mib = size / MIB;

    sm_begin(b, 17, 40, 0x1100 + n);
    st_le16(b->s + 4, 0x1000);
    st_le16(b->s + 6, 0xfffe);
    st_le16(b->s + 8, 0xffff);
    st_le16(b->s + 10, 0xffff);
    st_le16(b->s + 12, mib < 0x7fff ? mib : 0x7fff);
    st_le32(b->s + 28, mib < 0x7fff ? 0 : mib);
    b->s[14] = 9; /* DIMM */
    sm_string(b, 16, name);
    sm_text(b, 17, "bank");
    b->s[18] = 7; /* RAM */
    st_le16(b->s + 19, 2);
    st_le16(b->s + 21, smbios_number(t, 17, "speed"));
    sm_text(b, 23, "manufacturer");
    sm_text(b, 24, "serial");
    sm_text(b, 25, "asset");
    sm_text(b, 26, "part");
    st_le16(b->s + 32, smbios_number(t, 17, "speed"));
    sm_end(b);
}

static void sm_type19(SmbiosBuild *b, unsigned n, uint64_t start, uint64_t size,
                      unsigned dimms)
{
    uint64_t end = start + size - 1;

    sm_begin(b, 19, 31, 0x1300 + n);
    if (end / KIB < UINT32_MAX) {
        st_le32(b->s + 4, start / KIB);
        st_le32(b->s + 8, end / KIB);
    } else {
        st_le32(b->s + 4, UINT32_MAX);
        st_le32(b->s + 8, UINT32_MAX);
        st_le64(b->s + 15, start);
        st_le64(b->s + 23, end);
    }
    st_le16(b->s + 12, 0x1000);
    b->s[14] = MIN(dimms, 255);
    sm_end(b);
}

static void sm_memory(SmbiosBuild *b)
{
    uint64_t below = b->cfg->ram_below_4g, above = b->cfg->ram_above_4g;
    uint64_t ram = below + above;
    unsigned dimms = MIN((ram + DIMM_MAX - 1) / DIMM_MAX, 256);

    sm_type16(b, ram, dimms);
    for (unsigned i = 0; i < dimms; i++) {
        uint64_t size = i + 1 < dimms ? DIMM_MAX : ram - i * DIMM_MAX;

        sm_type17(b, i, size);
    }
    sm_type19(b, 0, 0, below, dimms);
    if (above) {
        sm_type19(b, 1, 4 * GIB, above, dimms);
    }
}

void smbios_build(SmbiosTables *t, const SmbiosConfig *cfg)
{
    SmbiosBuild b = { .cfg = cfg, .t = t };

    *t = (SmbiosTables) { .bytes = g_byte_array_new() };
    b.strings = g_string_new(NULL);
    sm_type0(&b);
    sm_type1(&b);
    sm_type2(&b);
    sm_type3(&b);
    for (unsigned i = 0; i < cfg->sockets; i++) {
        sm_type4(&b, i);
    }
    sm_type11(&b);
    sm_memory(&b);
    sm_begin(&b, 32, 11, 0x2000); /* boot status: no errors */
    sm_end(&b);
    sm_begin(&b, 127, 4, 0x7f00);
    sm_end(&b);
    g_string_free(b.strings, TRUE);
}

void smbios_clear(SmbiosTables *t)
{
    if (t->bytes) {
        g_byte_array_unref(t->bytes);
        t->bytes = NULL;
    }
}

/* ---- entry points --------------------------------------------------------------------- */

static uint8_t smbios_checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--) {
        sum += *p++;
    }
    return -sum;
}

void smbios_entry_v2(const SmbiosTables *t, uint32_t addr,
                     uint8_t out[SMBIOS_V2_LEN])
{
    memset(out, 0, SMBIOS_V2_LEN);
    memcpy(out, "_SM_", 4);
    out[5] = SMBIOS_V2_LEN;
    out[6] = SMBIOS_MAJOR;
    out[7] = SMBIOS_MINOR;
    st_le16(out + 8, t->max_len);
    memcpy(out + 16, "_DMI_", 5);
    st_le16(out + 22, MIN(t->bytes->len, 0xffff));
    st_le32(out + 24, addr);
    st_le16(out + 28, t->count);
    out[30] = SMBIOS_MAJOR << 4 | SMBIOS_MINOR;
    out[21] = smbios_checksum(out + 16, 15);
    out[4] = smbios_checksum(out, SMBIOS_V2_LEN);
}

void smbios_entry_v3(const SmbiosTables *t, uint64_t addr,
                     uint8_t out[SMBIOS_V3_LEN])
{
    memset(out, 0, SMBIOS_V3_LEN);
    memcpy(out, "_SM3_", 5);
    out[6] = SMBIOS_V3_LEN;
    out[7] = 3;
    out[10] = 1; /* revision of the entry point */
    st_le32(out + 12, t->bytes->len);
    st_le64(out + 16, addr);
    out[5] = smbios_checksum(out, SMBIOS_V3_LEN);
}
