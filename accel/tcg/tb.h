/*
 * Decoded blocks: finding, making and dropping them.
 *
 * A block is known by the host address of its first byte (so that every
 * mapping and alias of the page shares it) and the mode key. It has straight
 * code of one page only; an instruction that crosses into the next page has a
 * block of its own. Blocks belong to one vCPU and need no locks.
 *
 * A block that was written to is not freed: it is "dead", its first handler
 * leads to the lookup, so that no chain into it must be found and undone. When
 * it is wanted again it is made anew in place if the bytes changed, and simply
 * revived if they did not (data next to code).
 */
#ifndef ACCEL_TCG_TB_H
#define ACCEL_TCG_TB_H

#include "accel/tcg/tcg.h"

struct Tb {
    uint64_t v_lin;       /* linear address and ... */
    uint64_t v_tag;       /* ... TcgCpu.vtag it was last found with; 0: never */
    const uint8_t *host;  /* of the first byte */
    const uint8_t *host2; /* of the second page, for a block across pages */
    Tb *hash_next;
    Tb *page_next[2];  /* in the lists of host's and of host2's page */
    InsnFn *first;     /* op[0].exec while the block is dead */
    const void *entry; /* where translated code goes to execute it; never NULL
                        * while tc->jit */
    const void *code;  /* its own, or NULL; entry unless it is dead */
    InsnFn *plain;     /* op[0].exec without the translator */
    uint16_t heat;     /* executions until it is translated */
    uint8_t cooled;    /* times that translated code was for nothing */
    uint32_t key;
    uint16_t size;           /* bytes */
    uint16_t n;              /* instructions */
    uint16_t cap, cap_bytes; /* room in op[], and for bytes behind it */
    bool dead;
    bool spoilt; /* all handlers were replaced: revive is not enough */
    Insn op[];   /* n, one more to fall off, then the bytes */
};

static inline uint8_t *tb_bytes(Tb *tb)
{
    return (uint8_t *)&tb->op[tb->cap];
}

/* The block of an operation in it: the first one has offset 0. */
static inline Tb *tb_of(const Insn *op)
{
    while (op->off) {
        op--;
    }
    return container_of((Insn *)op, Tb, op[0]);
}

static inline unsigned tb_jump_hash(uint64_t lin)
{
    return (lin ^ (lin >> 14)) & (JUMP_CACHE - 1);
}

/* The block at lin is the one we want? */
static inline bool tb_matches(const TcgCpu *tc, const Tb *tb, uint64_t lin)
{
    return tb->v_lin == lin && tb->v_tag == tc->vtag[lin >> 63];
}

bool tb_init(TcgCpu *tc);
void tb_fini(TcgCpu *tc);

/*
 * The block at cs:rip in the current mode. Raises #PF, #GP; c->insn is NULL.
 * May drop all blocks (tc->flushes counts), so operations of older ones must
 * not be touched after it.
 */
Tb *tb_find(TcgCpu *tc);
/* As tb_find(), but of one instruction only and whatever is in MODE_SLOW. */
Tb *tb_find_one(TcgCpu *tc);

void tb_flush(TcgCpu *tc);
/* Bytes have changed: blocks in the granules they touch are dead. */
void tb_kill(TcgCpu *tc, const uint8_t *host, uint64_t len);
/*
 * Bytes at @host, in a page that may hold code, have been written by this
 * vCPU: drops blocks here and in the other vCPUs. Across pages: once for each.
 * true: the page holds no code any more, it may be written freely.
 */
bool tb_written(TcgCpu *tc, TcgPage *page, const uint8_t *host, uint64_t len);

#endif
