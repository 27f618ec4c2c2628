/* See luks.h. */
#include "util/osdep.h"
#include "block/luks.h"

#include "util/bits.h"
#include "util/error.h"

#if CONFIG_NETTLE
#include <nettle/cbc.h>
#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/xts.h>

enum {
    MAX_HASH = 64,
    MAX_ITERATIONS = 100000000,
    MIN_ITERATIONS = 1000,
    TRIAL_ITERATIONS = 20000,
    RANDOM_PIECE = 256, /* what getentropy() gives at once */
};

/* ---- ciphers --------------------------------------------------------------------- */

struct LuksAlg {
    const char *name;
    size_t key_len;
    nettle_set_key_func *set_enc, *set_dec;
    nettle_cipher_func *enc, *dec;
};

#define AES(bits) \
    { \
        "aes-" #bits, (bits) / 8, \
            (nettle_set_key_func *)aes##bits##_set_encrypt_key, \
            (nettle_set_key_func *)aes##bits##_set_decrypt_key, \
            (nettle_cipher_func *)aes##bits##_encrypt, \
            (nettle_cipher_func *)aes##bits##_decrypt, \
    }

static const LuksAlg algs[] = { AES(128), AES(192), AES(256) };

bool luks_parse_mode(const char *text, LuksMode *mode)
{
    static const char *const ivs[] = { "plain64", "plain", "essiv:sha256" };
    const char *iv = strchr(text, '-');
    bool xts = g_str_has_prefix(text, "xts-");

    if (!iv || (!xts && !g_str_has_prefix(text, "cbc-"))) {
        return false;
    }
    mode->xts = xts;
    for (unsigned i = 0; i < G_N_ELEMENTS(ivs); i++) {
        if (strcmp(iv + 1, ivs[i]) == 0) {
            mode->iv = i;
            return true;
        }
    }
    return false;
}

size_t luks_key_len(const char *alg, LuksMode mode)
{
    for (size_t i = 0; i < G_N_ELEMENTS(algs); i++) {
        if (strcmp(algs[i].name, alg) == 0) {
            return algs[i].key_len * (mode.xts ? 2 : 1);
        }
    }
    return 0;
}

static void set_essiv(LuksCipher *c, const uint8_t *key, size_t len)
{
    struct sha256_ctx h;
    uint8_t sum[SHA256_DIGEST_SIZE];

    sha256_init(&h);
    sha256_update(&h, len, key);
    sha256_digest(&h, sizeof(sum), sum);
    aes256_set_encrypt_key(&c->tweak.a256, sum);
}

bool luks_cipher_init(LuksCipher *c, const uint8_t *key, size_t len,
                      LuksMode mode)
{
    size_t one = mode.xts ? len / 2 : len;

    memset(c, 0, sizeof(*c));
    c->mode = mode;
    for (size_t i = 0; i < G_N_ELEMENTS(algs); i++) {
        if (algs[i].key_len == one && (!mode.xts || len % 2 == 0)) {
            c->alg = &algs[i];
        }
    }
    if (!c->alg || (mode.xts && mode.iv == LUKS_ESSIV)) {
        return false;
    }
    c->alg->set_enc(&c->enc, key);
    c->alg->set_dec(&c->dec, key);
    if (mode.xts) {
        c->alg->set_enc(&c->tweak, key + one);
    } else if (mode.iv == LUKS_ESSIV) {
        set_essiv(c, key, len);
    }
    return true;
}

static void make_iv(const LuksCipher *c, uint64_t sector, uint8_t iv[16])
{
    memset(iv, 0, 16);
    st_le64(iv, c->mode.iv == LUKS_PLAIN ? (uint32_t)sector : sector);
    if (c->mode.iv == LUKS_ESSIV) {
        aes256_encrypt(&c->tweak.a256, 16, iv, iv);
    }
}

void luks_cipher_run(const LuksCipher *c, bool encrypt, uint64_t sector,
                     uint8_t *p, size_t len)
{
    const LuksAlg *a = c->alg;

    for (; len >= LUKS_SECTOR; len -= LUKS_SECTOR, p += LUKS_SECTOR, sector++) {
        uint8_t iv[16];

        make_iv(c, sector, iv);
        if (c->mode.xts && encrypt) {
            xts_encrypt_message(&c->enc, &c->tweak, a->enc, iv, LUKS_SECTOR, p,
                                p);
        } else if (c->mode.xts) {
            xts_decrypt_message(&c->dec, &c->tweak, a->dec, a->enc, iv,
                                LUKS_SECTOR, p, p);
        } else if (encrypt) {
            cbc_encrypt(&c->enc, a->enc, 16, iv, LUKS_SECTOR, p, p);
        } else {
            cbc_decrypt(&c->dec, a->dec, 16, iv, LUKS_SECTOR, p, p);
        }
    }
}

/* ---- hashes ---------------------------------------------------------------------- */

typedef union HashState {
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;
} HashState;

typedef union HmacState {
    struct hmac_sha1_ctx sha1;
    struct hmac_sha256_ctx sha256;
    struct hmac_sha512_ctx sha512;
} HmacState;

struct LuksHash {
    const char *name;
    size_t size;
    nettle_hash_init_func *init;
    nettle_hash_update_func *update;
    nettle_hash_digest_func *digest;
    void (*hmac_set_key)(void *ctx, size_t len, const uint8_t *key);
    nettle_hash_update_func *hmac_update;
    nettle_hash_digest_func *hmac_digest;
};

#define SHA(bits, bytes) \
    { \
        "sha" #bits, bytes, (nettle_hash_init_func *)sha##bits##_init, \
            (nettle_hash_update_func *)sha##bits##_update, \
            (nettle_hash_digest_func *)sha##bits##_digest, \
            (void (*)(void *, size_t, \
                      const uint8_t *))hmac_sha##bits##_set_key, \
            (nettle_hash_update_func *)hmac_sha##bits##_update, \
            (nettle_hash_digest_func *)hmac_sha##bits##_digest, \
    }

static const LuksHash hashes[] = { SHA(1, SHA1_DIGEST_SIZE),
                                   SHA(256, SHA256_DIGEST_SIZE),
                                   SHA(512, SHA512_DIGEST_SIZE) };

const LuksHash *luks_find_hash(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
        if (strcmp(hashes[i].name, name) == 0) {
            return &hashes[i];
        }
    }
    return NULL;
}

void luks_derive(const LuksHash *h, GBytes *pass, const uint8_t *salt,
                 uint32_t iterations, uint8_t *out, size_t out_len)
{
    HmacState ctx;
    gsize n;
    const uint8_t *p = g_bytes_get_data(pass, &n);

    h->hmac_set_key(&ctx, n, p);
    nettle_pbkdf2(&ctx, h->hmac_update, h->hmac_digest, h->size, iterations,
                  LUKS_SALT, salt, out_len, out);
}

unsigned luks_blocks(const LuksHash *h, size_t out_len)
{
    return (unsigned)((out_len + h->size - 1) / h->size);
}

/* Of this thread, in microseconds: others may have the processor, too. */
static int64_t time_used(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

uint32_t luks_iterations(const LuksHash *h, size_t key_len, uint64_t ms)
{
    uint8_t salt[LUKS_SALT] = { 0 }, out[LUKS_MAX_KEY];
    GBytes *pass = g_bytes_new_static("password", 8);
    int64_t start = time_used(), took;
    double count;

    luks_derive(h, pass, salt, TRIAL_ITERATIONS, out, key_len);
    g_bytes_unref(pass);
    took = MAX(time_used() - start, 1);
    count = (double)TRIAL_ITERATIONS * (double)ms * 1000 / (double)took;
    return (uint32_t)CLAMP(count, MIN_ITERATIONS, MAX_ITERATIONS);
}

/* ---- the splitter ------------------------------------------------------------------ */

bool luks_random(uint8_t *p, size_t len, GError **errp)
{
    for (size_t at = 0; at < len; at += RANDOM_PIECE) {
        if (getentropy(p + at, MIN(len - at, RANDOM_PIECE)) < 0) {
            error_setg_errno(errp, errno, "no random numbers for the key");
            return false;
        }
    }
    return true;
}

/* Diffusion: each piece of the hash's size becomes the hash of it. */
static void diffuse(const LuksHash *h, uint8_t *key, size_t len)
{
    uint8_t be[4], full[MAX_HASH];

    for (size_t at = 0, n = 0; at < len; at += h->size, n++) {
        size_t part = MIN(h->size, len - at);
        HashState ctx;

        st_be32(be, (uint32_t)n);
        h->init(&ctx);
        h->update(&ctx, sizeof(be), be);
        h->update(&ctx, part, key + at);
        h->digest(&ctx, h->size, full);
        memcpy(key + at, full, part);
    }
}

void luks_merge(const LuksHash *h, const uint8_t *in, uint8_t *key, size_t len)
{
    memset(key, 0, len);
    for (unsigned i = 0; i < LUKS_STRIPES; i++) {
        for (size_t k = 0; k < len; k++) {
            key[k] ^= in[i * len + k];
        }
        if (i < LUKS_STRIPES - 1) {
            diffuse(h, key, len);
        }
    }
}

bool luks_split(const LuksHash *h, const uint8_t *key, size_t len, uint8_t *out,
                GError **errp)
{
    size_t last = len * (LUKS_STRIPES - 1);
    uint8_t sum[LUKS_MAX_KEY];

    if (!luks_random(out, last, errp)) {
        return false;
    }
    /* The last piece is what the merge of the others leaves of the key. */
    memset(out + last, 0, len);
    luks_merge(h, out, sum, len);
    for (size_t i = 0; i < len; i++) {
        out[last + i] = sum[i] ^ key[i];
    }
    return true;
}
#else
/* ISO C forbids an empty translation unit. */
typedef int LuksNothing;
#endif
