/*
 * Encrypted qcow2.
 *
 * "luks": a LUKS 1 header lies in clusters of its own; sectors are enciphered
 * with their host offset as IV. LUKS On-Disk Format Specification 1.2.
 * "aes": the old way, AES-128-CBC with the password as key and the guest's
 * sector number as IV: no protection worth the name, read for old images.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"
#include "util/secret.h"

#if CONFIG_NETTLE
#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/xts.h>

enum {
    SECTOR = 512,
    LUKS_HEADER = 592,
    LUKS_SLOTS = 8,
    LUKS_SLOT_AT = 208,
    LUKS_SLOT_SIZE = 48,
    LUKS_ACTIVE = 0x00ac71f3,
    LUKS_STRIPES = 4000,
    LUKS_DIGEST = 20,
    LUKS_SALT = 32,
    MAX_KEY = 64,
    MAX_HASH = 64,
    MAX_ITERATIONS = 100000000, /* more is an attack, not protection */
};

typedef struct Cipher {
    bool xts;
    size_t key_len; /* of one AES key */
    union {
        struct aes128_ctx a128;
        struct aes256_ctx a256;
    } enc, dec, tweak;
    nettle_cipher_func *enc_fn, *dec_fn;
} Cipher;

typedef struct Hash {
    const char *name;
    size_t size;
} Hash;

static const Hash hashes[] = {
    { "sha1", SHA1_DIGEST_SIZE },
    { "sha256", SHA256_DIGEST_SIZE },
    { "sha512", SHA512_DIGEST_SIZE },
};

struct Qcow2Crypto {
    Cipher cipher;
    bool luks;
};

/* ---- pieces ---------------------------------------------------------------------- */

static bool cipher_init(Cipher *c, const uint8_t *key, size_t len, bool xts)
{
    size_t one = xts ? len / 2 : len;

    memset(c, 0, sizeof(*c));
    c->xts = xts;
    c->key_len = one;
    if (one == 16) {
        aes128_set_encrypt_key(&c->enc.a128, key);
        aes128_set_decrypt_key(&c->dec.a128, key);
        aes128_set_encrypt_key(&c->tweak.a128, key + (xts ? 16 : 0));
        c->enc_fn = (nettle_cipher_func *)aes128_encrypt;
        c->dec_fn = (nettle_cipher_func *)aes128_decrypt;
    } else if (one == 32) {
        aes256_set_encrypt_key(&c->enc.a256, key);
        aes256_set_decrypt_key(&c->dec.a256, key);
        aes256_set_encrypt_key(&c->tweak.a256, key + (xts ? 32 : 0));
        c->enc_fn = (nettle_cipher_func *)aes256_encrypt;
        c->dec_fn = (nettle_cipher_func *)aes256_decrypt;
    } else {
        return false;
    }
    return true;
}

/* Whole sectors, the first of number @sector ("plain64"). */
static void cipher_run(const Cipher *c, bool encrypt, uint64_t sector,
                       uint8_t *p, size_t len)
{
    for (; len >= SECTOR; len -= SECTOR, p += SECTOR, sector++) {
        uint8_t iv[16] = { 0 };

        st_le64(iv, sector);
        if (c->xts && encrypt) {
            xts_encrypt_message(&c->enc, &c->tweak, c->enc_fn, iv, SECTOR, p,
                                p);
        } else if (c->xts) {
            xts_decrypt_message(&c->dec, &c->tweak, c->dec_fn, c->enc_fn, iv,
                                SECTOR, p, p);
        } else if (encrypt) {
            cbc_encrypt(&c->enc, c->enc_fn, 16, iv, SECTOR, p, p);
        } else {
            cbc_decrypt(&c->dec, c->dec_fn, 16, iv, SECTOR, p, p);
        }
    }
}

static const Hash *find_hash(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
        if (strcmp(hashes[i].name, name) == 0) {
            return &hashes[i];
        }
    }
    return NULL;
}

static void derive(const Hash *h, const uint8_t *pass, size_t len,
                   const uint8_t *salt, uint32_t iterations, uint8_t *out,
                   size_t out_len)
{
    if (h->size == SHA1_DIGEST_SIZE) {
        pbkdf2_hmac_sha1(len, pass, iterations, LUKS_SALT, salt, out_len, out);
    } else if (h->size == SHA256_DIGEST_SIZE) {
        pbkdf2_hmac_sha256(len, pass, iterations, LUKS_SALT, salt, out_len,
                           out);
    } else {
        struct hmac_sha512_ctx ctx;

        hmac_sha512_set_key(&ctx, len, pass);
        PBKDF2(&ctx, hmac_sha512_update, hmac_sha512_digest, SHA512_DIGEST_SIZE,
               iterations, LUKS_SALT, salt, out_len, out);
    }
}

static void hash_block(const Hash *h, uint32_t n, const uint8_t *in, size_t len,
                       uint8_t *out)
{
    uint8_t be[4], full[MAX_HASH];

    st_be32(be, n);
    if (h->size == SHA1_DIGEST_SIZE) {
        struct sha1_ctx c;

        sha1_init(&c);
        sha1_update(&c, 4, be);
        sha1_update(&c, len, in);
        sha1_digest(&c, SHA1_DIGEST_SIZE, full);
    } else if (h->size == SHA256_DIGEST_SIZE) {
        struct sha256_ctx c;

        sha256_init(&c);
        sha256_update(&c, 4, be);
        sha256_update(&c, len, in);
        sha256_digest(&c, SHA256_DIGEST_SIZE, full);
    } else {
        struct sha512_ctx c;

        sha512_init(&c);
        sha512_update(&c, 4, be);
        sha512_update(&c, len, in);
        sha512_digest(&c, SHA512_DIGEST_SIZE, full);
    }
    memcpy(out, full, MIN(len, h->size));
}

/* The anti-forensic splitter backwards: @stripes pieces to one key. */
static void af_merge(const Hash *h, const uint8_t *in, uint32_t stripes,
                     uint8_t *key, size_t len)
{
    uint8_t next[MAX_KEY];

    memset(key, 0, len);
    for (uint32_t i = 0; i < stripes; i++) {
        for (size_t k = 0; k < len; k++) {
            key[k] ^= in[(size_t)i * len + k];
        }
        if (i == stripes - 1) {
            break;
        }
        for (size_t at = 0, n = 0; at < len; at += h->size, n++) {
            hash_block(h, (uint32_t)n, key + at, MIN(h->size, len - at),
                       next + at);
        }
        memcpy(key, next, len);
    }
}

/* ---- LUKS ------------------------------------------------------------------------ */

typedef struct Luks {
    uint8_t head[LUKS_HEADER];
    char cipher[33], mode[33], hash[33];
    uint32_t key_len, digest_iterations;
    bool xts;
    const Hash *h;
} Luks;

static void text_field(const uint8_t *p, char out[33])
{
    memcpy(out, p, 32);
    out[32] = 0;
}

static bool luks_read(BlockNode *bn, Luks *l, GError **errp)
{
    Qcow2State *s = bn->s;

    if (s->crypto_hdr.len < LUKS_HEADER ||
        (s->crypto_hdr.off & (s->cluster_size - 1)) ||
        s->crypto_hdr.off > INT64_MAX - s->crypto_hdr.len ||
        block_pread(bn->file, s->crypto_hdr.off, l->head, LUKS_HEADER) < 0) {
        error_setg(errp, "the encryption header of the image is missing");
        return false;
    }
    if (memcmp(l->head, "LUKS\xba\xbe", 6) || ld_be16(l->head + 6) != 1) {
        error_setg(errp, "Volume is not in LUKS format");
        return false;
    }
    text_field(l->head + 8, l->cipher);
    text_field(l->head + 40, l->mode);
    text_field(l->head + 72, l->hash);
    l->key_len = ld_be32(l->head + 108);
    l->digest_iterations = ld_be32(l->head + 164);
    l->h = find_hash(l->hash);
    l->xts = strcmp(l->mode, "xts-plain64") == 0;
    if (strcmp(l->cipher, "aes") ||
        (!l->xts && strcmp(l->mode, "cbc-plain64") &&
         strcmp(l->mode, "cbc-plain"))) {
        error_setg(errp,
                   "LUKS cipher %s-%s is not supported (aes with "
                   "xts-plain64 or cbc-plain64)",
                   l->cipher, l->mode);
        return false;
    }
    if (!l->h) {
        error_setg(errp,
                   "LUKS hash '%s' is not supported (sha1, sha256, "
                   "sha512)",
                   l->hash);
        return false;
    }
    if (!l->key_len || l->key_len > MAX_KEY || (l->key_len & 15) ||
        l->digest_iterations > MAX_ITERATIONS) {
        error_setg(errp,
                   "LUKS key of %u bytes, %u iterations: the header is "
                   "broken",
                   l->key_len, l->digest_iterations);
        return false;
    }
    return true;
}

/* The master key, if @pass opens slot @i. */
static bool luks_try_slot(BlockNode *bn, const Luks *l, unsigned i,
                          GBytes *pass, uint8_t *key)
{
    Qcow2State *s = bn->s;
    const uint8_t *slot = l->head + LUKS_SLOT_AT + (size_t)i * LUKS_SLOT_SIZE;
    uint64_t at = (uint64_t)ld_be32(slot + 40) * SECTOR;
    size_t len = (size_t)l->key_len * LUKS_STRIPES;
    size_t padded = (len + SECTOR - 1) / SECTOR * SECTOR;
    g_autofree uint8_t *material = NULL;
    uint8_t k[MAX_KEY], digest[LUKS_DIGEST];
    gsize n;
    const uint8_t *p = g_bytes_get_data(pass, &n);
    Cipher c;

    if (ld_be32(slot) != LUKS_ACTIVE || ld_be32(slot + 44) != LUKS_STRIPES ||
        !ld_be32(slot + 4) || ld_be32(slot + 4) > MAX_ITERATIONS ||
        padded > s->crypto_hdr.len || at > s->crypto_hdr.len - padded) {
        return false;
    }
    material = g_try_malloc(padded);
    if (!material ||
        block_pread(bn->file, s->crypto_hdr.off + at, material, padded) < 0) {
        return false;
    }
    derive(l->h, p, n, slot + 8, ld_be32(slot + 4), k, l->key_len);
    if (!cipher_init(&c, k, l->key_len, l->xts)) {
        return false;
    }
    cipher_run(&c, false, 0, material, padded);
    af_merge(l->h, material, LUKS_STRIPES, key, l->key_len);
    derive(l->h, key, l->key_len, l->head + 132, MAX(l->digest_iterations, 1),
           digest, LUKS_DIGEST);
    return memcmp(digest, l->head + 112, LUKS_DIGEST) == 0;
}

static bool luks_open(BlockNode *bn, Qcow2Crypto *c, GBytes *pass,
                      GError **errp)
{
    uint8_t key[MAX_KEY];
    Luks l;
    bool ok = false;

    if (!luks_read(bn, &l, errp)) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && !ok; i++) {
        ok = luks_try_slot(bn, &l, i, pass, key);
    }
    if (!ok) {
        error_setg(errp, "Invalid password, cannot unlock any keyslot");
        return false;
    }
    return cipher_init(&c->cipher, key, l.key_len, l.xts);
}

/* ---- a new header ------------------------------------------------------------------ */

enum {
    NEW_KEY = 64, /* two AES-256 keys */
    NEW_MATERIAL_AT = 4096,
    NEW_MATERIAL = (NEW_KEY * LUKS_STRIPES + 4095) / 4096 * 4096,
    TRIAL_ITERATIONS = 20000,
    MIN_ITERATIONS = 1000,
};

uint64_t qcow2_crypto_header_size(void)
{
    return NEW_MATERIAL_AT + (uint64_t)LUKS_SLOTS * NEW_MATERIAL;
}

static bool random_bytes(uint8_t *p, size_t len, GError **errp)
{
    if (getentropy(p, MIN(len, 256)) < 0) {
        error_setg_errno(errp, errno, "no random numbers for the key");
        return false;
    }
    return len <= 256 || random_bytes(p + 256, len - 256, errp);
}

/* As many as take @ms here. */
static uint32_t iterations_for(const Hash *h, GBytes *pass, uint64_t ms)
{
    uint8_t salt[LUKS_SALT] = { 0 }, out[NEW_KEY];
    int64_t start = g_get_monotonic_time(), took;
    gsize n;
    const uint8_t *p = g_bytes_get_data(pass, &n);
    uint64_t count;

    derive(h, p, n, salt, TRIAL_ITERATIONS, out, sizeof(out));
    took = MAX(g_get_monotonic_time() - start, 1);
    count = (uint64_t)TRIAL_ITERATIONS * ms * 1000 / (uint64_t)took;
    return (uint32_t)MAX(MIN(count, MAX_ITERATIONS), MIN_ITERATIONS);
}

/* The splitter forwards: @out becomes @stripes pieces that merge to @key. */
static bool af_split(const Hash *h, const uint8_t *key, uint8_t *out,
                     GError **errp)
{
    size_t last = (size_t)NEW_KEY * (LUKS_STRIPES - 1);
    uint8_t sum[MAX_KEY];

    if (!random_bytes(out, 256, errp)) {
        return false;
    }
    for (size_t at = 256; at < last; at += 256) {
        if (!random_bytes(out + at, MIN(last - at, 256), errp)) {
            return false;
        }
    }
    /* The last piece is what the merge of the others leaves of the key. */
    memset(out + last, 0, NEW_KEY);
    af_merge(h, out, LUKS_STRIPES, sum, NEW_KEY);
    for (size_t i = 0; i < NEW_KEY; i++) {
        out[last + i] = sum[i] ^ key[i];
    }
    return true;
}

static void put_slot(uint8_t *head, unsigned i, bool active,
                     uint32_t iterations, const uint8_t *salt)
{
    uint8_t *slot = head + LUKS_SLOT_AT + (size_t)i * LUKS_SLOT_SIZE;

    st_be32(slot, active ? LUKS_ACTIVE : 0x0000dead);
    st_be32(slot + 4, iterations);
    if (salt) {
        memcpy(slot + 8, salt, LUKS_SALT);
    }
    st_be32(slot + 40, (NEW_MATERIAL_AT + i * NEW_MATERIAL) / SECTOR);
    st_be32(slot + 44, LUKS_STRIPES);
}

bool qcow2_crypto_create(BlockNode *file, uint64_t off, const char *secret,
                         uint64_t iter_ms, GError **errp)
{
    const Hash *h = find_hash("sha256");
    g_autofree uint8_t *head = g_malloc0(NEW_MATERIAL_AT + NEW_MATERIAL);
    g_autofree char *uuid = g_uuid_string_random();
    uint8_t key[NEW_KEY], kek[NEW_KEY], salts[2 * LUKS_SALT];
    uint8_t *material = head + NEW_MATERIAL_AT;
    GBytes *pass = secret_get(secret, errp);
    const uint8_t *p;
    uint32_t slot_it, digest_it;
    gsize n;
    Cipher c;
    int ret;

    if (!pass || !random_bytes(key, sizeof(key), errp) ||
        !random_bytes(salts, sizeof(salts), errp) ||
        !af_split(h, key, material, errp)) {
        g_clear_pointer(&pass, g_bytes_unref);
        return false;
    }
    p = g_bytes_get_data(pass, &n);
    slot_it = iterations_for(h, pass, iter_ms);
    digest_it = MAX(slot_it / 8, MIN_ITERATIONS);
    derive(h, p, n, salts, slot_it, kek, sizeof(kek));
    cipher_init(&c, kek, sizeof(kek), true);
    cipher_run(&c, true, 0, material, (size_t)NEW_KEY * LUKS_STRIPES);
    memcpy(head, "LUKS\xba\xbe", 6);
    st_be16(head + 6, 1);
    memcpy(head + 8, "aes", 3);
    memcpy(head + 40, "xts-plain64", 11);
    memcpy(head + 72, "sha256", 6);
    st_be32(head + 104, (uint32_t)(qcow2_crypto_header_size() / SECTOR));
    st_be32(head + 108, NEW_KEY);
    memcpy(head + 132, salts + LUKS_SALT, LUKS_SALT);
    derive(h, key, sizeof(key), salts + LUKS_SALT, digest_it, head + 112,
           LUKS_DIGEST);
    st_be32(head + 164, digest_it);
    g_strlcpy((char *)head + 168, uuid, 40);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        put_slot(head, i, i == 0, i ? 0 : slot_it, i ? NULL : salts);
    }
    ret = block_pwrite(file, off, head, NEW_MATERIAL_AT + NEW_MATERIAL);
    g_bytes_unref(pass);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the LUKS header");
    }
    return ret == 0;
}

static bool aes_open(Qcow2Crypto *c, GBytes *pass)
{
    uint8_t key[16] = { 0 };
    gsize n;
    const void *p = g_bytes_get_data(pass, &n);

    memcpy(key, p, MIN(n, sizeof(key)));
    return cipher_init(&c->cipher, key, sizeof(key), false);
}

bool qcow2_crypto_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autoptr(KeyVal) sub = block_sub_options(options, "encrypt.");
    const char *id = keyval_get(sub, "key-secret");
    const char *format = keyval_get(sub, "format");
    const char *is = s->h.crypt_method == CRYPT_LUKS ? "luks" : "aes";
    GBytes *pass;
    bool ok;

    if (s->h.crypt_method == CRYPT_NONE) {
        if (id || format) {
            error_setg(errp,
                       "No encryption in image header, but options "
                       "specified format '%s'",
                       format ? format : "luks");
        }
        return !id && !format;
    }
    if (format && strcmp(format, is) != 0) {
        error_setg(errp,
                   "Header reported '%s' encryption format but options "
                   "specify '%s'",
                   is, format);
        return false;
    }
    if (!id && (bn->flags & (BLOCK_NO_IO | BLOCK_CHECK))) {
        return true;
    }
    if (!id) {
        error_setg(errp, "Parameter 'encrypt.key-secret' is required for "
                         "cipher");
        return false;
    }
    pass = secret_get(id, errp);
    if (!pass) {
        return false;
    }
    s->crypto = g_new0(Qcow2Crypto, 1);
    s->crypto->luks = s->h.crypt_method == CRYPT_LUKS;
    ok = s->crypto->luks ? luks_open(bn, s->crypto, pass, errp)
                         : aes_open(s->crypto, pass);
    g_bytes_unref(pass);
    bn->align = SECTOR;
    return ok;
}

int qcow2_crypto_run(const Qcow2State *s, bool encrypt, uint64_t guest,
                     uint64_t host, void *buf, size_t len)
{
    const Qcow2Crypto *c = s->crypto;

    if ((guest | host | len) & (SECTOR - 1)) {
        return -EINVAL;
    }
    cipher_run(&c->cipher, encrypt, (c->luks ? host : guest) / SECTOR, buf,
               len);
    return 0;
}
#else
struct Qcow2Crypto {
    int none;
};

bool qcow2_crypto_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autoptr(KeyVal) sub = block_sub_options(options, "encrypt.");

    if (s->h.crypt_method == CRYPT_NONE ||
        (bn->flags & (BLOCK_NO_IO | BLOCK_CHECK))) {
        return true;
    }
    error_setg(errp, "the image is encrypted, and this build lacks nettle "
                     "(nettle-dev)");
    return false;
}

uint64_t qcow2_crypto_header_size(void)
{
    return 0;
}

bool qcow2_crypto_create(BlockNode *file, uint64_t off, const char *secret,
                         uint64_t iter_ms, GError **errp)
{
    error_setg(errp, "encryption needs nettle, which this build lacks "
                     "(nettle-dev)");
    return false;
}

int qcow2_crypto_run(const Qcow2State *s, bool encrypt, uint64_t guest,
                     uint64_t host, void *buf, size_t len)
{
    return -ENOTSUP; /* no such image is open for data */
}
#endif

void qcow2_crypto_close(Qcow2State *s)
{
    g_clear_pointer(&s->crypto, g_free);
}

static void slot_info(InfoItem *list, const uint8_t *slot)
{
    InfoItem *d = info_add(list, NULL, info_new(INFO_DICT));
    bool active = ld_be32(slot) == LUKS_ACTIVE;

    info_add_bool(d, "active", active);
    if (active) {
        info_add_int(d, "iters", ld_be32(slot + 4));
    }
    info_add_int(d, "key-offset", (uint64_t)ld_be32(slot + 40) * SECTOR);
    if (active) {
        info_add_int(d, "stripes", ld_be32(slot + 44));
    }
}

/* A text of the header, which need not end inside its field. */
static char *header_text(const uint8_t *p, size_t size)
{
    g_autofree char *text = g_strndup((const char *)p, size);

    return g_utf8_make_valid(text, -1);
}

/* What the LUKS header says; the key is not needed. */
static void luks_info(InfoItem *d, const uint8_t *head)
{
    g_autofree char *mode = header_text(head + 40, 32);
    g_autofree char *name = header_text(head + 8, 32);
    g_autofree char *hash = header_text(head + 72, 32);
    g_autofree char *uuid = header_text(head + 168, 40);
    char *iv = strchr(mode, '-');
    unsigned bits = ld_be32(head + 108) * 8;
    g_autofree char *alg = NULL;
    InfoItem *slots;

    if (iv) {
        *iv++ = 0;
    }
    alg = g_strdup_printf("%s-%u", name,
                          strcmp(mode, "xts") == 0 ? bits / 2 : bits);
    info_add_str(d, "ivgen-alg", iv ? iv : "");
    info_add_str(d, "hash-alg", hash);
    info_add_str(d, "cipher-alg", alg);
    info_add_str(d, "uuid", uuid);
    info_add_str(d, "format", "luks");
    info_add_str(d, "cipher-mode", mode);
    slots = info_add(d, "slots", info_new(INFO_LIST));
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        slot_info(slots, head + LUKS_SLOT_AT + (size_t)i * LUKS_SLOT_SIZE);
    }
    info_add_int(d, "payload-offset", (uint64_t)ld_be32(head + 104) * SECTOR);
    info_add_int(d, "master-key-iters", ld_be32(head + 164));
}

InfoItem *qcow2_crypto_info(BlockNode *bn)
{
    const Qcow2State *s = bn->s;
    InfoItem *d = info_new(INFO_DICT);
    uint8_t head[LUKS_HEADER];

    if (s->h.crypt_method == CRYPT_LUKS && s->crypto_hdr.len >= LUKS_HEADER &&
        block_pread(bn->file, s->crypto_hdr.off, head, sizeof(head)) == 0) {
        luks_info(d, head);
    } else {
        info_add_str(d, "format",
                     s->h.crypt_method == CRYPT_AES ? "aes" : "luks");
    }
    return d;
}
