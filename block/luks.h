/*
 * The pieces of LUKS 1 that know no image: ciphers, hashes, the splitter. LUKS
 * On-Disk Format Specification 1.2. Only where the build has nettle.
 */
#ifndef BLOCK_LUKS_H
#define BLOCK_LUKS_H

#include "util/osdep.h"

enum { LUKS_SECTOR = 512 };

#if CONFIG_NETTLE
#include <nettle/aes.h>

enum {
    LUKS_SALT = 32,
    LUKS_STRIPES = 4000,
    LUKS_MAX_KEY = 64,
};

typedef struct LuksAlg LuksAlg;
typedef struct LuksHash LuksHash;

typedef union LuksKey {
    struct aes128_ctx a128;
    struct aes192_ctx a192;
    struct aes256_ctx a256;
} LuksKey;

/* How sectors are enciphered: the texts of a header, understood. */
typedef struct LuksMode {
    bool xts; /* else CBC */
    enum { LUKS_PLAIN64, LUKS_PLAIN, LUKS_ESSIV } iv;
} LuksMode;

typedef struct LuksCipher {
    LuksMode mode;
    const LuksAlg *alg;
    LuksKey enc, dec, tweak; /* the last also for ESSIV, with AES-256 */
} LuksCipher;

/* False: not known. Texts as in a header: "xts-plain64"; "sha256". */
bool luks_parse_mode(const char *text, LuksMode *mode);
const LuksHash *luks_find_hash(const char *name);
/* Bytes of the key of "aes-256" in this mode; 0: not known. */
size_t luks_key_len(const char *alg, LuksMode mode);

/* False: no cipher has a key of that length. */
bool luks_cipher_init(LuksCipher *c, const uint8_t *key, size_t len,
                      LuksMode mode);
/* Whole sectors in place, the first of them number @sector. */
void luks_cipher_run(const LuksCipher *c, bool encrypt, uint64_t sector,
                     uint8_t *p, size_t len);

/* PBKDF2; @salt has LUKS_SALT bytes. */
void luks_derive(const LuksHash *h, GBytes *pass, const uint8_t *salt,
                 uint32_t iterations, uint8_t *out, size_t out_len);
/* Rounds of the hash that an iteration has: one for each piece of its size. */
unsigned luks_blocks(const LuksHash *h, size_t out_len);
/* As many iterations as take @ms on this machine. */
uint32_t luks_iterations(const LuksHash *h, size_t key_len, uint64_t ms);

bool luks_random(uint8_t *p, size_t len, GError **errp);
/* @out gets LUKS_STRIPES pieces of @len bytes that merge to @key. */
bool luks_split(const LuksHash *h, const uint8_t *key, size_t len, uint8_t *out,
                GError **errp);
void luks_merge(const LuksHash *h, const uint8_t *in, uint8_t *key, size_t len);
#endif

#endif
