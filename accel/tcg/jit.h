/*
 * The translator: hot blocks of decoded operations become host code.
 *
 * x86-64 hosts only. A translated block is the same Tb: op[0].exec leads into
 * its code instead of the first handler, so the interpreter, the lookup and
 * everything that drops blocks need not know of it. What has no template goes
 * through the interpreter's handlers and the reference functions.
 *
 * Belongs to one vCPU, as its blocks do. Needs no locks.
 */
#ifndef ACCEL_TCG_JIT_H
#define ACCEL_TCG_JIT_H

#include "accel/tcg/tb.h"

enum {
    JIT_HEAT = 24,     /* executions, by default */
    JIT_MIB = 64,      /* for code, by default */
    JIT_MIB_MAX = 512, /* jumps and the arena are within 32 bits */
};

/* Bytes behind the arena for code. */
size_t jit_room(const TcgAccel *a);
/* At the end of tb_init(). Where the host has no translator, or will not give
 * memory to execute from, tc->jit stays NULL: one warning for all vCPUs. */
void jit_init(TcgCpu *tc);
void jit_fini(TcgCpu *tc);

/* A block has new operations with handlers: begins to count. */
void jit_watch(TcgCpu *tc, Tb *tb);
/* It is dead; @running: in the middle of it, and its handlers are to be
 * replaced by what this returns. */
InsnFn *jit_killed(TcgCpu *tc, Tb *tb, bool running);
/* It lives again, unchanged. */
void jit_revived(TcgCpu *tc, Tb *tb);
/* All blocks are gone. */
void jit_flush(TcgCpu *tc);

/* What "info jit" says of it. */
void jit_stats(TcgCpu *tc, CpuStatFn *fn, void *opaque);

#endif
