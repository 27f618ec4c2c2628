/*
 * What capstone and zydis think of some bytes, and where they and we are known
 * to differ.
 */
#ifndef TESTS_DECODE_ORACLE_H
#define TESTS_DECODE_ORACLE_H

#include "target-x86/insn.h"

typedef enum OracleKind { ORACLE_CAPSTONE, ORACLE_ZYDIS, ORACLES } OracleKind;

typedef struct Opinion {
    bool valid;
    unsigned len;
    char name[32]; /* mnemonic, lower case, without prefixes */
} Opinion;

/* False: this one is not compiled in. */
bool oracle_have(OracleKind kind);
Opinion oracle_ask(OracleKind kind, const uint8_t *p, size_t n,
                   unsigned code_bits);
/* Our row and their mnemonic mean the same. */
bool oracle_same_name(const Insn *in, const char *name);
/*
 * Why a difference is none of our faults, or NULL. @in: what we decoded, if
 * @ours is DECODE_OK. Both lengths may be wrong; see the table in oracle.c.
 */
const char *oracle_excuse(OracleKind kind, const uint8_t *p, size_t n,
                          unsigned code_bits, DecodeResult ours, const Insn *in,
                          const Opinion *theirs);

#endif
