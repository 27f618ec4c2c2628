/*
 * Encrypted qcow2.
 *
 * "luks": a LUKS 1 header lies in clusters of its own; sectors are enciphered
 * with their host offset as IV. LUKS On-Disk Format Specification 1.2.
 * "aes": the old way, AES-128-CBC with the password as key and the guest's
 * sector number as IV: no protection worth the name, for old images and tests.
 */
#include "util/osdep.h"
#include "block/luks.h"
#include "block/qcow2.h"

#include "util/error.h"
#include "util/secret.h"

enum {
    LUKS_HEADER = 592,
    LUKS_SLOTS = 8,
    LUKS_SLOT_AT = 208,
    LUKS_SLOT_SIZE = 48,
    LUKS_ACTIVE = 0x00ac71f3,
    LUKS_DEAD = 0x0000dead,
};

/* Offsets of the fields of a header, and of a slot in it. */
enum {
    H_VERSION = 6,
    H_CIPHER = 8,
    H_MODE = 40,
    H_HASH = 72,
    H_PAYLOAD = 104, /* this, as all places, in sectors */
    H_KEY_LEN = 108,
    H_DIGEST = 112,
    H_DIGEST_SALT = 132,
    H_DIGEST_ITERATIONS = 164,
    H_UUID = 168,
    S_STATE = 0,
    S_ITERATIONS = 4,
    S_SALT = 8,
    S_MATERIAL = 40,
    S_STRIPES = 44,
};

#if CONFIG_NETTLE
enum {
    DIGEST_LEN = 20,
    MAX_ROUNDS = 400000000, /* see rounds_bounded() */
    MATERIAL_AT = 4096,     /* of new headers */
    MATERIAL_ALIGN = 4096,
    DIGEST_SHARE = 8, /* iterations of a slot's key to one of the digest */
    MIN_ITERATIONS = 1000,
    DEFAULT_ITER_MS = 2000,
    AES_KEY = 16,
};

struct Qcow2Crypto {
    LuksCipher cipher;
    bool luks;
    uint8_t key[LUKS_MAX_KEY]; /* for new slots */
};

/* ---- the header ------------------------------------------------------------------- */

typedef struct Luks {
    uint8_t head[LUKS_HEADER];
    uint32_t key_len, digest_iterations;
    LuksMode mode;
    const LuksHash *h;
} Luks;

static uint8_t *slot_of(Luks *l, unsigned i)
{
    return l->head + LUKS_SLOT_AT + (size_t)i * LUKS_SLOT_SIZE;
}

static bool slot_active(Luks *l, unsigned i)
{
    return ld_be32(slot_of(l, i) + S_STATE) == LUKS_ACTIVE;
}

/* What all the stripes of a slot take, in whole sectors. */
static size_t material_len(uint32_t key_len)
{
    return ((size_t)key_len * LUKS_STRIPES + LUKS_SECTOR - 1) / LUKS_SECTOR *
           LUKS_SECTOR;
}

static void text_field(const uint8_t *p, char out[33])
{
    memcpy(out, p, 32);
    out[32] = 0;
}

/* The texts of the header. */
static bool luks_understand(Luks *l, GError **errp)
{
    char cipher[33], mode[33], hash[33];

    text_field(l->head + H_CIPHER, cipher);
    text_field(l->head + H_MODE, mode);
    text_field(l->head + H_HASH, hash);
    if (strcmp(cipher, "aes") || !luks_parse_mode(mode, &l->mode)) {
        error_setg(errp,
                   "LUKS cipher %s-%s is not supported (aes with xts or cbc "
                   "and plain64, plain or essiv:sha256)",
                   cipher, mode);
        return false;
    }
    l->h = luks_find_hash(hash);
    if (!l->h) {
        error_setg(errp,
                   "LUKS hash '%s' is not supported (sha1, sha256, "
                   "sha512)",
                   hash);
    }
    return l->h != NULL;
}

/*
 * Of the hash, to try all slots in vain. A header says for how long its reader
 * counts; QEMU and cryptsetup believe it, up to an hour for each slot. The limit
 * is a minute with a processor that has instructions for SHA-256, four with
 * SHA-512, and three times what eight slots of the default two seconds take.
 */
static uint64_t luks_rounds(Luks *l)
{
    uint64_t blocks = luks_blocks(l->h, l->key_len);
    uint64_t sum = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (slot_active(l, i)) {
            sum += ld_be32(slot_of(l, i) + S_ITERATIONS) * blocks;
            sum +=
                (uint64_t)l->digest_iterations * luks_blocks(l->h, DIGEST_LEN);
        }
    }
    return sum;
}

static bool rounds_bounded(Luks *l, GError **errp)
{
    uint64_t n = luks_rounds(l);

    if (n > MAX_ROUNDS) {
        error_setg(errp,
                   "the LUKS header asks for %" PRIu64
                   " rounds of the hash to try a key; at most %u are done",
                   n, MAX_ROUNDS);
    }
    return n <= MAX_ROUNDS;
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
    if (memcmp(l->head, "LUKS\xba\xbe", 6) ||
        ld_be16(l->head + H_VERSION) != 1) {
        error_setg(errp, "Volume is not in LUKS format");
        return false;
    }
    if (!luks_understand(l, errp)) {
        return false;
    }
    l->key_len = ld_be32(l->head + H_KEY_LEN);
    l->digest_iterations = ld_be32(l->head + H_DIGEST_ITERATIONS);
    if (!l->key_len || l->key_len > LUKS_MAX_KEY || (l->key_len & 7)) {
        error_setg(errp, "LUKS key of %u bytes: the header is broken",
                   l->key_len);
        return false;
    }
    return rounds_bounded(l, errp);
}

/* Is what slot @i says of its place possible? */
static bool slot_sane(BlockNode *bn, Luks *l, unsigned i)
{
    Qcow2State *s = bn->s;
    const uint8_t *slot = slot_of(l, i);
    uint64_t at = (uint64_t)ld_be32(slot + S_MATERIAL) * LUKS_SECTOR;
    size_t len = material_len(l->key_len);

    return ld_be32(slot + S_STRIPES) == LUKS_STRIPES && at >= LUKS_HEADER &&
           len <= s->crypto_hdr.len && at <= s->crypto_hdr.len - len;
}

static uint64_t slot_place(BlockNode *bn, Luks *l, unsigned i)
{
    Qcow2State *s = bn->s;

    return s->crypto_hdr.off +
           (uint64_t)ld_be32(slot_of(l, i) + S_MATERIAL) * LUKS_SECTOR;
}

/* The master key, if @pass opens slot @i. */
static bool luks_try_slot(BlockNode *bn, Luks *l, unsigned i, GBytes *pass,
                          uint8_t *key)
{
    const uint8_t *slot = slot_of(l, i);
    uint32_t iterations = ld_be32(slot + S_ITERATIONS);
    size_t len = material_len(l->key_len);
    g_autofree uint8_t *material = NULL;
    uint8_t k[LUKS_MAX_KEY], digest[DIGEST_LEN];
    g_autoptr(GBytes) found = NULL;
    LuksCipher c;

    if (!slot_active(l, i) || !slot_sane(bn, l, i) || !iterations) {
        return false;
    }
    material = g_try_malloc(len);
    if (!material ||
        block_pread(bn->file, slot_place(bn, l, i), material, len) < 0) {
        return false;
    }
    luks_derive(l->h, pass, slot + S_SALT, iterations, k, l->key_len);
    if (!luks_cipher_init(&c, k, l->key_len, l->mode)) {
        return false;
    }
    luks_cipher_run(&c, false, 0, material, len);
    luks_merge(l->h, material, key, l->key_len);
    found = g_bytes_new(key, l->key_len);
    luks_derive(l->h, found, l->head + H_DIGEST_SALT,
                MAX(l->digest_iterations, 1), digest, DIGEST_LEN);
    return memcmp(digest, l->head + H_DIGEST, DIGEST_LEN) == 0;
}

static bool luks_open(BlockNode *bn, Qcow2Crypto *c, GBytes *pass,
                      GError **errp)
{
    Luks l;
    bool ok = false;

    if (!luks_read(bn, &l, errp)) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && !ok; i++) {
        ok = luks_try_slot(bn, &l, i, pass, c->key);
    }
    if (!ok) {
        error_setg(errp, "Invalid password, cannot unlock any keyslot");
        return false;
    }
    return luks_cipher_init(&c->cipher, c->key, l.key_len, l.mode);
}

/* ---- writing key slots --------------------------------------------------------------- */

static int write_at(BlockNode *file, uint64_t off, const void *p, size_t len)
{
    int ret = block_pwrite(file, off, p, len);

    return ret ? ret : block_flush(file);
}

/* Slot @i of the header at @off. It may lie across two sectors: the word that
 * makes it count is written alone, after the rest when that is to count and
 * before when not. */
static int slot_write(BlockNode *file, uint64_t off, Luks *l, unsigned i)
{
    const uint8_t *slot = slot_of(l, i);
    uint64_t at = off + (uint64_t)(slot - l->head);
    uint64_t rest = at + S_ITERATIONS;
    size_t len = LUKS_SLOT_SIZE - S_ITERATIONS;
    int ret;

    if (slot_active(l, i)) {
        ret = write_at(file, rest, slot + S_ITERATIONS, len);
        return ret ? ret : write_at(file, at, slot, S_ITERATIONS);
    }
    ret = write_at(file, at, slot, S_ITERATIONS);
    return ret ? ret : write_at(file, rest, slot + S_ITERATIONS, len);
}

/* @pass shall open slot @i, whose key takes @ms to derive. In memory: the slot
 * and, in *@material, what lies at its place. */
static bool slot_fill(Luks *l, unsigned i, GBytes *pass, const uint8_t *key,
                      uint64_t ms, uint8_t **material, GError **errp)
{
    size_t len = material_len(l->key_len);
    uint8_t *slot = slot_of(l, i), kek[LUKS_MAX_KEY];
    uint32_t n = luks_iterations(l->h, l->key_len, ms);
    g_autofree uint8_t *m = g_malloc0(len);
    LuksCipher c;

    if (!luks_random(slot + S_SALT, LUKS_SALT, errp) ||
        !luks_split(l->h, key, l->key_len, m, errp)) {
        return false;
    }
    st_be32(slot + S_STATE, LUKS_ACTIVE);
    st_be32(slot + S_ITERATIONS, n);
    if (luks_rounds(l) > MAX_ROUNDS) {
        error_setg(errp,
                   "iter-time %" PRIu64 " is too long: to try all key slots "
                   "would take more than %u rounds of the hash",
                   ms, MAX_ROUNDS);
        return false;
    }
    luks_derive(l->h, pass, slot + S_SALT, n, kek, l->key_len);
    if (!luks_cipher_init(&c, kek, l->key_len, l->mode)) {
        error_setg(errp, "no cipher has a key of %u bytes", l->key_len);
        return false;
    }
    luks_cipher_run(&c, true, 0, m, len);
    *material = g_steal_pointer(&m);
    return true;
}

/* ---- a new header ------------------------------------------------------------------ */

static size_t new_material(uint32_t key_len)
{
    return (material_len(key_len) + MATERIAL_ALIGN - 1) / MATERIAL_ALIGN *
           MATERIAL_ALIGN;
}

/* Names as QEMU's options have them; the texts of the header. */
static bool new_texts(const Qcow2CryptoOpts *o, Luks *l, GError **errp)
{
    const char *alg = o->cipher_alg ? o->cipher_alg : "aes-256";
    const char *hash = o->hash_alg ? o->hash_alg : "sha256";
    const char *mode = o->cipher_mode ? o->cipher_mode : "xts";
    const char *iv = o->ivgen_alg ? o->ivgen_alg : "plain64";
    bool essiv = strcmp(iv, "essiv") == 0;
    g_autofree char *text =
        g_strdup_printf("%s-%s%s%s", mode, iv, essiv ? ":" : "",
                        essiv && o->ivgen_hash ? o->ivgen_hash
                        : essiv                ? "sha256"
                                               : "");

    if (!luks_parse_mode(text, &l->mode)) {
        error_setg(errp,
                   "encrypt.cipher-mode must be xts or cbc and "
                   "encrypt.ivgen-alg plain64, plain or essiv (with sha256), "
                   "not '%s'",
                   text);
        return false;
    }
    l->key_len = (uint32_t)luks_key_len(alg, l->mode);
    if (!l->key_len) {
        error_setg(errp,
                   "encrypt.cipher-alg must be aes-128, aes-192 or aes-256, "
                   "not '%s'",
                   alg);
        return false;
    }
    l->h = luks_find_hash(hash);
    if (!l->h) {
        error_setg(errp,
                   "encrypt.hash-alg must be sha1, sha256 or sha512, not '%s'",
                   hash);
        return false;
    }
    memcpy(l->head + H_CIPHER, "aes", 3);
    g_strlcpy((char *)l->head + H_MODE, text, 32);
    g_strlcpy((char *)l->head + H_HASH, hash, 32);
    return true;
}

uint64_t qcow2_crypto_header_size(const Qcow2CryptoOpts *o, GError **errp)
{
    Luks l = { .head = { 0 } };

    return new_texts(o, &l, errp)
               ? MATERIAL_AT + (uint64_t)LUKS_SLOTS * new_material(l.key_len)
               : 0;
}

static bool new_header(Luks *l, const Qcow2CryptoOpts *o, const uint8_t *key,
                       uint32_t iterations, GError **errp)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autoptr(GBytes) master = g_bytes_new(key, l->key_len);
    uint32_t n = MAX(iterations / DIGEST_SHARE, MIN_ITERATIONS);

    memcpy(l->head, "LUKS\xba\xbe", 6);
    st_be16(l->head + H_VERSION, 1);
    st_be32(l->head + H_PAYLOAD,
            (uint32_t)(qcow2_crypto_header_size(o, NULL) / LUKS_SECTOR));
    st_be32(l->head + H_KEY_LEN, l->key_len);
    if (!luks_random(l->head + H_DIGEST_SALT, LUKS_SALT, errp)) {
        return false;
    }
    luks_derive(l->h, master, l->head + H_DIGEST_SALT, n, l->head + H_DIGEST,
                DIGEST_LEN);
    st_be32(l->head + H_DIGEST_ITERATIONS, n);
    g_strlcpy((char *)l->head + H_UUID, uuid, 40);
    return true;
}

bool qcow2_crypto_create(BlockNode *file, uint64_t off,
                         const Qcow2CryptoOpts *o, GError **errp)
{
    Luks l = { .head = { 0 } };
    uint8_t key[LUKS_MAX_KEY];
    g_autofree uint8_t *material = NULL;
    g_autoptr(GBytes) pass = secret_get(o->secret, errp);
    int ret;

    if (!pass || !new_texts(o, &l, errp) ||
        !luks_random(key, sizeof(key), errp)) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        st_be32(slot_of(&l, i) + S_STATE, LUKS_DEAD);
        st_be32(slot_of(&l, i) + S_STRIPES, LUKS_STRIPES);
        st_be32(slot_of(&l, i) + S_MATERIAL,
                (uint32_t)((MATERIAL_AT + i * new_material(l.key_len)) /
                           LUKS_SECTOR));
    }
    if (!slot_fill(&l, 0, pass, key, o->iter_ms, &material, errp) ||
        !new_header(&l, o, key, ld_be32(slot_of(&l, 0) + S_ITERATIONS), errp)) {
        return false;
    }
    ret = block_pwrite(file, off + MATERIAL_AT, material,
                       material_len(l.key_len));
    if (ret == 0) {
        ret = block_pwrite(file, off, l.head, LUKS_HEADER);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the LUKS header");
    }
    return ret == 0;
}

/* ---- changing key slots: amend ------------------------------------------------------- */

typedef struct Amend {
    const char *new_secret, *old_secret;
    bool has_slot, force;
    uint64_t slot, iter_ms;
} Amend;

static unsigned slots_active(Luks *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        n += slot_active(l, i);
    }
    return n;
}

/* Hostile headers may name places that are another slot's. */
static bool slots_apart(BlockNode *bn, Luks *l, unsigned i, GError **errp)
{
    size_t len = material_len(l->key_len);
    uint64_t a = slot_place(bn, l, i);

    if (!slot_sane(bn, l, i)) {
        error_setg(errp, "Keyslot %u is corrupted", i);
        return false;
    }
    for (unsigned k = 0; k < LUKS_SLOTS; k++) {
        uint64_t b = slot_place(bn, l, k);

        if (k != i && slot_active(l, k) && a < b + len && b < a + len) {
            error_setg(errp, "Keyslots %u and %u are overlapping in the header",
                       MIN(i, k), MAX(i, k));
            return false;
        }
    }
    return true;
}

static bool amend_slot_number(const Amend *a, GError **errp)
{
    if (a->has_slot && a->slot >= LUKS_SLOTS) {
        error_setg(errp,
                   "Invalid keyslot %" PRIu64
                   " specified, must be between 0 and %u",
                   a->slot, LUKS_SLOTS - 1);
        return false;
    }
    return true;
}

/* What lies there first, then the slot that leads to it. */
static bool amend_activate(BlockNode *bn, Luks *l, const Amend *a,
                           GError **errp)
{
    Qcow2State *s = bn->s;
    g_autoptr(GBytes) pass = NULL;
    g_autofree uint8_t *material = NULL;
    unsigned i = 0;
    int ret;

    if (!a->new_secret) {
        error_setg(errp, "'new-secret' is required to activate a keyslot");
        return false;
    }
    if (a->old_secret) {
        error_setg(errp, "'old-secret' must not be given when activating "
                         "keyslots");
        return false;
    }
    if (!amend_slot_number(a, errp)) {
        return false;
    }
    if (a->has_slot) {
        i = (unsigned)a->slot;
        if (slot_active(l, i) && !a->force) {
            error_setg(errp,
                       "Refusing to overwrite active keyslot %u - please "
                       "erase it first",
                       i);
            return false;
        }
    }
    while (!a->has_slot && i < LUKS_SLOTS && slot_active(l, i)) {
        i++;
    }
    if (i == LUKS_SLOTS) {
        error_setg(errp, "Can't add a keyslot - all keyslots are in use");
        return false;
    }
    pass = secret_get(a->new_secret, errp);
    if (!pass || !slots_apart(bn, l, i, errp) ||
        !slot_fill(l, i, pass, s->crypto->key, a->iter_ms, &material, errp)) {
        return false;
    }
    ret = write_at(bn->file, slot_place(bn, l, i), material,
                   material_len(l->key_len));
    ret = ret ? ret : slot_write(bn->file, s->crypto_hdr.off, l, i);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to write to keyslot %u", i);
    }
    return ret == 0;
}

/* First it does not count, then noise covers what it was. */
static bool slot_erase(BlockNode *bn, Luks *l, unsigned i, GError **errp)
{
    Qcow2State *s = bn->s;
    size_t len = material_len(l->key_len);
    g_autofree uint8_t *noise = g_malloc(len);
    uint8_t *slot = slot_of(l, i);
    int ret;

    if (!slots_apart(bn, l, i, errp) || !luks_random(noise, len, errp)) {
        return false;
    }
    st_be32(slot + S_STATE, LUKS_DEAD);
    st_be32(slot + S_ITERATIONS, 0);
    memset(slot + S_SALT, 0, LUKS_SALT);
    ret = slot_write(bn->file, s->crypto_hdr.off, l, i);
    ret = ret ? ret : write_at(bn->file, slot_place(bn, l, i), noise, len);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to erase keyslot %u", i);
    }
    return ret == 0;
}

static bool amend_erase_one(BlockNode *bn, Luks *l, const Amend *a, GBytes *old,
                            GError **errp)
{
    unsigned i = (unsigned)a->slot;
    uint8_t key[LUKS_MAX_KEY];

    if (!amend_slot_number(a, errp)) {
        return false;
    }
    if (old && !luks_try_slot(bn, l, i, old, key)) {
        error_setg(errp,
                   "Given keyslot %u doesn't contain the given old password "
                   "for erase operation",
                   i);
        return false;
    }
    if (!a->force && !slot_active(l, i)) {
        error_setg(errp, "Given keyslot %u is already erased (inactive) ", i);
        return false;
    }
    if (!a->force && slots_active(l) == 1) {
        error_setg(errp,
                   "Attempt to erase the only active keyslot %u which will "
                   "erase all the data in the image irreversibly - refusing "
                   "operation",
                   i);
        return false;
    }
    return slot_erase(bn, l, i, errp);
}

static bool amend_erase_matching(BlockNode *bn, Luks *l, const Amend *a,
                                 GBytes *old, GError **errp)
{
    bool match[LUKS_SLOTS];
    uint8_t key[LUKS_MAX_KEY];
    unsigned n = 0;
    bool ok = true;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        match[i] = luks_try_slot(bn, l, i, old, key);
        n += match[i];
    }
    if (n == 0) {
        error_setg(errp, "No keyslots match given (old) password for erase "
                         "operation");
        return false;
    }
    if (!a->force && n == slots_active(l)) {
        error_setg(errp, "All the active keyslots match the (old) password "
                         "that was given and erasing them will erase all the "
                         "data in the image irreversibly - refusing "
                         "operation");
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && ok; i++) {
        ok = !match[i] || slot_erase(bn, l, i, errp);
    }
    return ok;
}

static bool amend_erase(BlockNode *bn, Luks *l, const Amend *a, bool has_iter,
                        GError **errp)
{
    g_autoptr(GBytes) old = NULL;

    if (a->new_secret || has_iter) {
        error_setg(errp, "'%s' must not be given when erasing keyslots",
                   a->new_secret ? "new-secret" : "iter-time");
        return false;
    }
    if (a->old_secret) {
        old = secret_get(a->old_secret, errp);
        if (!old) {
            return false;
        }
    }
    if (a->has_slot) {
        return amend_erase_one(bn, l, a, old, errp);
    }
    if (old) {
        return amend_erase_matching(bn, l, a, old, errp);
    }
    error_setg(errp, "To erase keyslot(s), either explicit keyslot index or "
                     "the password currently contained in them must be given");
    return false;
}

bool qcow2_crypto_amend(BlockNode *bn, KeyVal *opts, bool force, GError **errp)
{
    Qcow2State *s = bn->s;
    const char *state = keyval_get(opts, "state");
    bool has_iter = keyval_get(opts, "iter-time") != NULL;
    Amend a = {
        .new_secret = keyval_get(opts, "new-secret"),
        .old_secret = keyval_get(opts, "old-secret"),
        .has_slot = keyval_get(opts, "keyslot") != NULL,
        .force = force,
    };
    Luks l;

    if (!keyval_u64(opts, "keyslot", 0, &a.slot, errp) ||
        !keyval_u64(opts, "iter-time", DEFAULT_ITER_MS, &a.iter_ms, errp)) {
        return false;
    }
    if (!state && !has_iter && !a.new_secret && !a.old_secret && !a.has_slot) {
        return true; /* it is about other things */
    }
    if (!s->crypto) {
        error_setg(errp, "Can't amend encryption options - encryption not "
                         "present");
        return false;
    }
    if (!s->crypto->luks) {
        error_setg(errp, "Only LUKS encryption options can be amended");
        return false;
    }
    if (!state) {
        error_setg(errp, "Parameter 'state' is missing");
        return false;
    }
    if (strcmp(state, "active") && strcmp(state, "inactive")) {
        error_setg(errp, "Parameter 'state' does not accept value '%s'", state);
        return false;
    }
    if (!luks_read(bn, &l, errp)) {
        return false;
    }
    return strcmp(state, "active") == 0
               ? amend_activate(bn, &l, &a, errp)
               : amend_erase(bn, &l, &a, has_iter, errp);
}

/* ---- opening ----------------------------------------------------------------------- */

static bool aes_open(Qcow2Crypto *c, GBytes *pass)
{
    static const LuksMode mode = { false, LUKS_PLAIN64 };
    uint8_t key[AES_KEY] = { 0 };
    gsize n;
    const void *p = g_bytes_get_data(pass, &n);

    memcpy(key, p, MIN(n, sizeof(key)));
    return luks_cipher_init(&c->cipher, key, sizeof(key), mode);
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
    bn->align = LUKS_SECTOR;
    return ok;
}

int qcow2_crypto_run(const Qcow2State *s, bool encrypt, uint64_t guest,
                     uint64_t host, void *buf, size_t len)
{
    const Qcow2Crypto *c = s->crypto;

    if ((guest | host | len) & (LUKS_SECTOR - 1)) {
        return -EINVAL;
    }
    luks_cipher_run(&c->cipher, encrypt, (c->luks ? host : guest) / LUKS_SECTOR,
                    buf, len);
    return 0;
}
#else
struct Qcow2Crypto {
    int none;
};

bool qcow2_crypto_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;

    keyval_free(block_sub_options(options, "encrypt.")); /* taken, unused */
    if (s->h.crypt_method == CRYPT_NONE ||
        (bn->flags & (BLOCK_NO_IO | BLOCK_CHECK))) {
        return true;
    }
    error_setg(errp, "the image is encrypted, and this build lacks nettle "
                     "(nettle-dev)");
    return false;
}

static bool no_nettle(GError **errp)
{
    error_setg(errp, "encryption needs nettle, which this build lacks "
                     "(nettle-dev)");
    return false;
}

uint64_t qcow2_crypto_header_size(const Qcow2CryptoOpts *o, GError **errp)
{
    return no_nettle(errp);
}

bool qcow2_crypto_create(BlockNode *file, uint64_t off,
                         const Qcow2CryptoOpts *o, GError **errp)
{
    return no_nettle(errp);
}

bool qcow2_crypto_amend(BlockNode *bn, KeyVal *opts, bool force, GError **errp)
{
    return !keyval_get(opts, "state") || no_nettle(errp);
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
    bool active = ld_be32(slot + S_STATE) == LUKS_ACTIVE;

    info_add_bool(d, "active", active);
    if (active) {
        info_add_int(d, "iters", ld_be32(slot + S_ITERATIONS));
    }
    info_add_int(d, "key-offset",
                 (uint64_t)ld_be32(slot + S_MATERIAL) * LUKS_SECTOR);
    if (active) {
        info_add_int(d, "stripes", ld_be32(slot + S_STRIPES));
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
    g_autofree char *mode = header_text(head + H_MODE, 32);
    g_autofree char *name = header_text(head + H_CIPHER, 32);
    g_autofree char *hash = header_text(head + H_HASH, 32);
    g_autofree char *uuid = header_text(head + H_UUID, 40);
    char *iv = strchr(mode, '-');
    unsigned bits = ld_be32(head + H_KEY_LEN) * 8;
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
    info_add_int(d, "payload-offset",
                 (uint64_t)ld_be32(head + H_PAYLOAD) * LUKS_SECTOR);
    info_add_int(d, "master-key-iters", ld_be32(head + H_DIGEST_ITERATIONS));
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
