/* Encrypted qcow2: recognised, described, and refused where data is wanted. */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"

bool qcow2_crypto_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autoptr(KeyVal) sub = block_sub_options(options, "encrypt.");

    if (s->h.crypt_method == CRYPT_NONE || (bn->flags & BLOCK_NO_IO)) {
        return true;
    }
    error_setg(errp,
               "the image is encrypted (%s), which this version cannot "
               "read",
               s->h.crypt_method == CRYPT_AES ? "aes" : "luks");
    return false;
}

void qcow2_crypto_close(Qcow2State *s)
{
}

int qcow2_crypto_run(const Qcow2State *s, bool encrypt, uint64_t guest,
                     uint64_t host, void *buf, size_t len)
{
    return -ENOTSUP; /* no such image is open for data */
}

InfoItem *qcow2_crypto_info(const Qcow2State *s)
{
    InfoItem *d = info_new(INFO_DICT);

    info_add_str(d, "format", s->h.crypt_method == CRYPT_AES ? "aes" : "luks");
    return d;
}
