/*
 * AES-NI, PCLMULQDQ and SHA: the host's instructions, one for one.
 */
#include "util/osdep.h"
#include "target-x86/sem-vec.h"

#define CRYPTO_BINARY(name, op) \
    SEM(name) \
    { \
        V s = v_src128(c, in), d = v_reg(c, v_first(in)); \
        V_OP(op, d, s); \
        v_put128(c, in, d); \
    }

CRYPTO_BINARY(AESENC, aesenc)
CRYPTO_BINARY(AESENCLAST, aesenclast)
CRYPTO_BINARY(AESDEC, aesdec)
CRYPTO_BINARY(AESDECLAST, aesdeclast)
CRYPTO_BINARY(SHA1NEXTE, sha1nexte)
CRYPTO_BINARY(SHA1MSG1, sha1msg1)
CRYPTO_BINARY(SHA1MSG2, sha1msg2)
CRYPTO_BINARY(SHA256MSG1, sha256msg1)
CRYPTO_BINARY(SHA256MSG2, sha256msg2)

SEM(AESIMC)
{
    V s = v_src128(c, in), d = v_zero();

    V_OP(aesimc, d, s);
    v_put128(c, in, d);
}

/* The round constant is XORed into the rotated words, 1 and 3. */
SEM(AESKEYGENASSIST)
{
    V s = v_src128(c, in), d = v_zero();
    int rcon = (uint8_t)in->imm;

    V_OPI(aeskeygenassist, 0, d, s);
    v_put128(c, in, _mm_xor_si128(d, _mm_set_epi32(rcon, 0, rcon, 0)));
}

SEM(PCLMULQDQ)
{
    V s = v_src128(c, in), d = v_reg(c, v_first(in));

    if (in->imm & 1) {
        d = _mm_unpackhi_epi64(d, d);
    }
    if (in->imm & 0x10) {
        s = _mm_unpackhi_epi64(s, s);
    }
    V_OPI(pclmulqdq, 0, d, s);
    v_put128(c, in, d);
}

SEM(SHA1RNDS4)
{
    V s = v_src128(c, in), d = v_reg(c, in->reg);

    switch (in->imm & 3) {
    case 0:
        V_OPI(sha1rnds4, 0, d, s);
        break;
    case 1:
        V_OPI(sha1rnds4, 1, d, s);
        break;
    case 2:
        V_OPI(sha1rnds4, 2, d, s);
        break;
    default:
        V_OPI(sha1rnds4, 3, d, s);
    }
    v_put128(c, in, d);
}

SEM(SHA256RNDS2) /* the keys are in xmm0 */
{
    V s = v_src128(c, in), d = v_reg(c, in->reg);
    register V keys asm("xmm0") = v_reg(c, 0);

    asm("sha256rnds2 %%xmm0, %1, %0" : "+x"(d) : "x"(s), "x"(keys));
    v_put128(c, in, d);
}
