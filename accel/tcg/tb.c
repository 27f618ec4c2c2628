/*
 * Decoded blocks: finding, making and dropping them. See tb.h.
 *
 * What keeps blocks and memory together:
 *   1. before a page is decoded from, is_code is set in its TcgPage and no TLB
 *      of any vCPU has an entry that writes to it unseen;
 *   2. the granules of a block are marked in TcgPage.code before it runs, and
 *      its bytes are compared once more after that;
 *   3. whoever writes to an is_code page looks at the granules after the
 *      write. Either he sees the mark, or 2. saw his bytes.
 */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "accel/tcg/interp.h"
#include "accel/tcg/jit.h"
#include "accel/tcg/tlb.h"
#include "target-x86/cpuid.h"
#include "util/log.h"

#include <sys/mman.h>

enum {
    /* Writes beside code before a page without any is set free again. */
    TB_SLOW_WRITES = 64,
    TB_ALIGN = 16,
    /* Conditional jumps up to here do not end a block. */
    PASS_MAX = 48,
};
/* A page of this vCPU's blocks. */
struct TbPage {
    const uint8_t *host;
    Tb *first;
    TbPage *next;
};

static inline const uint8_t *tb_page_of(const void *host)
{
    return (const uint8_t *)((uintptr_t)host & PAGE_MASK);
}

static inline unsigned tb_hash(const uint8_t *host, uint32_t key)
{
    uint64_t v = ((uintptr_t)host + key) * UINT64_C(0x9e3779b97f4a7c15);

    return v >> 50; /* 14 bits */
}

static inline unsigned tb_page_hash(const uint8_t *page)
{
    return ((uintptr_t)page >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) >>
           52; /* 12 bits */
}

G_STATIC_ASSERT(BLOCK_HASH == 1 << 14 && PAGE_HASH == 1 << 12);

/* ---- pages --------------------------------------------------------------------- */

static TbPage *tb_page(TcgCpu *tc, const uint8_t *page)
{
    TbPage *p = tc->pages[tb_page_hash(page)];

    while (p && p->host != page) {
        p = p->next;
    }
    return p;
}

/* Bits of the granules that [host, host + len) touches; one page. */
static uint64_t tb_granules(const uint8_t *host, uint64_t len)
{
    unsigned first = ((uintptr_t)host & ~PAGE_MASK) >> GRANULE_SHIFT;
    unsigned last = (((uintptr_t)host & ~PAGE_MASK) + len - 1) >> GRANULE_SHIFT;

    return (~UINT64_C(0) << first) & (~UINT64_C(0) >> (63 - last));
}

/* No vCPU writes to the page without looking from now on. */
static void tb_protect_page(TcgCpu *tc, TcgPage *page, const uint8_t *host)
{
    Machine *m = tc->cpu.machine;

    if (__atomic_load_n(&page->is_code, __ATOMIC_SEQ_CST)) {
        return;
    }
    __atomic_store_n(&page->is_code, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&page->wtlb, __ATOMIC_SEQ_CST)) {
        return;
    }
    if (m->ncpus <= 1) {
        tlb_protect(tc, host);
    } else {
        cpus_exclusive_begin(&tc->cpu);
        for (unsigned i = 0; i < m->ncpus; i++) {
            tlb_protect(tcg_cpu(m->cpu[i]), host);
        }
        cpus_exclusive_end(&tc->cpu);
    }
    __atomic_store_n(&page->wtlb, 0, __ATOMIC_SEQ_CST);
}

/* ---- tables --------------------------------------------------------------------- */

/* Makes sure that @size bytes can be had, in a few pieces. */
static void tb_room(TcgCpu *tc, size_t size)
{
    if (size + 4 * TB_ALIGN > ARENA_SIZE - tc->arena_used) {
        tb_flush(tc);
    }
}

static void *tb_alloc(TcgCpu *tc, size_t size)
{
    void *p = tc->arena + tc->arena_used;

    tc->arena_used += (size + TB_ALIGN - 1) & ~(size_t)(TB_ALIGN - 1);
    return p;
}

static void tb_list(TcgCpu *tc, Tb *tb, const uint8_t *host, int which)
{
    const uint8_t *page = tb_page_of(host);
    TbPage *p = tb_page(tc, page);

    if (!p) {
        unsigned h = tb_page_hash(page);

        p = tb_alloc(tc, sizeof(*p));
        p->host = page;
        p->first = NULL;
        p->next = tc->pages[h];
        tc->pages[h] = p;
    }
    tb->page_next[which] = p->first;
    p->first = tb;
}

static void tb_unlist(TcgCpu *tc, const Tb *tb, const uint8_t *host)
{
    const uint8_t *page = tb_page_of(host);
    Tb **at = &tb_page(tc, page)->first;

    while (*at && *at != tb) {
        at = &(*at)->page_next[tb_page_of((*at)->host) == page ? 0 : 1];
    }
    if (*at) {
        *at = tb->page_next[tb_page_of(tb->host) == page ? 0 : 1];
    }
}

/* A dead block that no lookup is to find again leaves the tables: code that is
 * written anew all the time would fill them. Chains may still lead to it. */
static void tb_lose(TcgCpu *tc, Tb *tb)
{
    Tb **at = &tc->hash[tb_hash(tb->host, tb->key)];

    while (*at != tb) {
        at = &(*at)->hash_next;
    }
    *at = tb->hash_next;
    tb_unlist(tc, tb, tb->host);
    if (tb->host2) {
        tb_unlist(tc, tb, tb->host2);
    }
}

/* The scratch block stands where there is none: it never matches. */
static void tb_clear_jumps(TcgCpu *tc)
{
    for (unsigned i = 0; i < JUMP_CACHE; i++) {
        tc->jump[i] = tc->scratch;
    }
}

void tb_flush(TcgCpu *tc)
{
    memset(tc->hash, 0, BLOCK_HASH * sizeof(tc->hash[0]));
    memset(tc->pages, 0, PAGE_HASH * sizeof(tc->pages[0]));
    tb_clear_jumps(tc);
    tc->arena_used = 0;
    tc->flushes++;
    jit_flush(tc);
}

/* The bytes of a block: how many are in the first page. */
static unsigned tb_first_part(const Tb *tb)
{
    unsigned room = PAGE_SIZE - ((uintptr_t)tb->host & ~PAGE_MASK);

    return MIN(tb->size, room);
}

static bool tb_same_bytes(Tb *tb)
{
    unsigned first = tb_first_part(tb);

    return !memcmp(tb_bytes(tb), tb->host, first) &&
           (!tb->host2 ||
            !memcmp(tb_bytes(tb) + first, tb->host2, tb->size - first));
}

static void tb_mark(TcgCpu *tc, const uint8_t *host, unsigned len)
{
    TcgPage *page = tcg_page(tc->accel, host);

    tb_protect_page(tc, page, host);
    __atomic_fetch_or(&page->code, tb_granules(host, len), __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->slow_writes, 0, __ATOMIC_RELAXED);
}

/* Marks the block's granules. false: its bytes have changed meanwhile. */
static bool tb_arm(TcgCpu *tc, Tb *tb)
{
    unsigned first = tb_first_part(tb);

    tb_mark(tc, tb->host, first);
    if (tb->host2) {
        tb_mark(tc, tb->host2, tb->size - first);
    }
    return tb_same_bytes(tb);
}

/* ---- dropping --------------------------------------------------------------------- */

static bool tb_running(const TcgCpu *tc, const Tb *tb)
{
    const Insn *at = tc->cpu.insn;

    return at >= tb->op && at < tb->op + tb->n;
}

static void tb_kill_one(TcgCpu *tc, Tb *tb)
{
    bool running = tb_running(tc, tb);
    InsnFn *out = jit_killed(tc, tb, running);

    tb->dead = true;
    tb->v_tag = 0;
    tb->first = tb->op[0].exec;
    tb->op[0].exec = interp_dead;
    if (running) {
        /* The instruction ends; whatever comes next leaves the block. */
        for (unsigned i = 1; i <= tb->n; i++) {
            tb->op[i].exec = out;
        }
        tb->spoilt = true;
    }
}

void tb_kill(TcgCpu *tc, const uint8_t *host, uint64_t len)
{
    const uint8_t *page = tb_page_of(host);
    uint64_t mask = ((uint64_t)1 << GRANULE_SHIFT) - 1;
    const uint8_t *from = (const uint8_t *)((uintptr_t)host & ~mask);
    const uint8_t *to =
        (const uint8_t *)(((uintptr_t)host + len + mask) & ~mask);
    TbPage *p = tb_page(tc, page);
    Tb *next;

    for (Tb *tb = p ? p->first : NULL; tb; tb = next) {
        int which = tb_page_of(tb->host) == page ? 0 : 1;
        unsigned first = tb_first_part(tb);
        const uint8_t *b = which ? tb->host2 : tb->host;
        unsigned n = which ? tb->size - first : first;

        next = tb->page_next[which];
        if (!tb->dead && b < to && from < b + n) {
            tb_kill_one(tc, tb);
        }
    }
}

bool tb_written(TcgCpu *tc, TcgPage *page, const uint8_t *host, uint64_t len)
{
    uint64_t bits = tb_granules(host, len);
    uint16_t writes;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&page->code, __ATOMIC_RELAXED) & bits) {
        __atomic_fetch_and(&page->code, ~bits, __ATOMIC_SEQ_CST);
        tb_kill(tc, host, len);
        tcg_request_inval(tc->accel, host, len, tc);
        return false;
    }
    if (!__atomic_load_n(&page->is_code, __ATOMIC_RELAXED)) {
        return true;
    }
    if (__atomic_load_n(&page->code, __ATOMIC_RELAXED)) {
        return false;
    }
    writes = __atomic_add_fetch(&page->slow_writes, 1, __ATOMIC_RELAXED);
    if (writes < TB_SLOW_WRITES) {
        return false;
    }
    /* See tb_arm(): it marks first and looks at is_code then. */
    __atomic_store_n(&page->is_code, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&page->code, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&page->is_code, 1, __ATOMIC_SEQ_CST);
        return false;
    }
    return true;
}

/* ---- availability of an instruction --------------------------------------------------- */

/* The exception that executing it in this mode raises at once, or -1.
 * SDM 2A, 2.4 to 2.5 and the pages of the instructions. */
static int tb_unavailable(const TcgCpu *tc, const Insn *in, uint32_t key)
{
    const InsnRow *row = &insn_rows[in->id];
    uint32_t a = row->attr;

    if (!row->sem) {
        log_mask(LOG_UNIMP, "tcg: %s is not implemented\n", row->name);
        return EXC_UD;
    }
    if (row->feature && tc->cpu.model && !cpu_has(&tc->cpu, row->feature)) {
        return EXC_UD;
    }
    if ((a & (IA_PROT | IA_AVX) || in->vex) && !(key & MODE_PROT)) {
        return EXC_UD;
    }
    if ((a & IA_AVX) && !(key & MODE_AVX)) {
        return EXC_UD;
    }
    if ((a & IA_SSE) && ((key & MODE_EM) || !(key & MODE_SSE))) {
        return EXC_UD;
    }
    if ((a & IA_MMX) && (key & MODE_EM)) {
        return EXC_UD;
    }
    if ((a & IA_PRIV) && (key & MODE_CPL)) {
        return EXC_GP;
    }
    if ((a & IA_X87) && (key & (MODE_EM | MODE_TS))) {
        return EXC_NM;
    }
    if ((a & IA_FWAIT) && !(a & IA_X87) &&
        (key & (MODE_MP | MODE_TS)) == (MODE_MP | MODE_TS)) {
        return EXC_NM;
    }
    if ((a & (IA_SSE | IA_AVX | IA_MMX)) && (key & MODE_TS)) {
        return EXC_NM;
    }
    return -1;
}

/* ---- making ------------------------------------------------------------------------------ */

/* Operations and bytes on their way into a block. */
typedef struct TbDraft {
    Insn op[BLOCK_MAX + 1];
    uint8_t bytes[BLOCK_MAX * 15];
    unsigned n, size;
    const uint8_t *host2;
} TbDraft;

/* What an instruction is on a processor without its feature. */
static void tb_fall_back(const TcgCpu *tc, Insn *in)
{
    while (insn_rows[in->id].attr & IA_FALLBACK && tc->cpu.model &&
           !cpu_has(&tc->cpu, insn_rows[in->id].feature)) {
        in->id++;
    }
}

/* What others wrote to the code has been seen after it: requests are served
 * before it goes on. SDM 3A, 8.1.3 and 8.3; the others are IA_END already. */
static bool tb_serializes(const Insn *in)
{
    return insn_rows[in->id].sem == sem_CPUID;
}

/* One more operation, of a block at @host. false: the block ends with it. */
static bool tb_draft_add(const TcgCpu *tc, TbDraft *d, const uint8_t *host,
                         uint32_t key, DecodeResult result)
{
    Insn *in = &d->op[d->n++];
    uint32_t ends = IA_JUMP | IA_END | IA_COND | IA_SHADOW | IA_IO;
    int vector;

    in->off = d->size;
    in->exec = NULL;
    if (result != DECODE_OK) {
        interp_make_fault(in, result == DECODE_UD ? EXC_UD : EXC_GP);
        return false;
    }
    tb_fall_back(tc, in);
    vector = tb_unavailable(tc, in, key);
    if (vector >= 0) {
        interp_make_fault(in, vector);
        return false;
    }
    if (!(insn_rows[in->id].attr & ends) && !tb_serializes(in)) {
        return true;
    }
    return d->n < PASS_MAX && host && interp_passes(in, host, key);
}

/* The instruction that begins with the last @first bytes of a page. false: the
 * rest of it is not memory. */
static bool tb_draft_crossing(TcgCpu *tc, TbDraft *d, uint64_t lin,
                              const uint8_t *host, unsigned first, uint32_t key)
{
    unsigned bits = tc->cpu.mode.code_bits;
    uint64_t lin2 = lin + first;
    DecodeResult r;

    if (bits != 64) {
        lin2 = (uint32_t)lin2;
    }
    d->host2 = tlb_fetch(tc, lin2);
    if (!d->host2) {
        return false;
    }
    memcpy(d->bytes, host, first);
    memcpy(d->bytes + first, d->host2, 15 - first);
    r = decode_insn(d->bytes, 15, bits, &d->op[0]);
    tb_draft_add(tc, d, NULL, key, r);
    d->size = r == DECODE_OK ? d->op[0].len : 15;
    return true;
}

/* Straight code from @host on, up to the end of its page. */
static bool tb_draft(TcgCpu *tc, TbDraft *d, uint64_t lin, const uint8_t *host,
                     uint32_t key)
{
    unsigned avail = PAGE_SIZE - ((uintptr_t)host & ~PAGE_MASK);
    unsigned max = key & MODE_SLOW ? 1 : BLOCK_MAX;
    unsigned bits = tc->cpu.mode.code_bits;
    bool more = true;

    d->n = d->size = 0;
    d->host2 = NULL;
    while (more && d->n < max && d->size < avail) {
        unsigned left = MIN(avail - d->size, 15);
        DecodeResult r;

        /* Decoded from a copy: the bytes may change under us. */
        memcpy(d->bytes + d->size, host + d->size, left);
        r = decode_insn(d->bytes + d->size, left, bits, &d->op[d->n]);
        if (r == DECODE_SHORT) {
            if (d->n > 0) {
                break;
            }
            return tb_draft_crossing(tc, d, lin, host, avail, key);
        }
        more = tb_draft_add(tc, d, host, key, r);
        d->size += r == DECODE_OK ? d->op[d->n - 1].len : left;
    }
    return true;
}

/* Into a block with room for it. */
static void tb_settle(TcgCpu *tc, Tb *tb, const TbDraft *d)
{
    Insn *fall = &tb->op[d->n];

    memcpy(tb->op, d->op, d->n * sizeof(Insn));
    memset(fall, 0, sizeof(*fall));
    fall->off = d->size;
    fall->imm = d->n;
    tb->n = d->n;
    tb->size = d->size;
    tb->host2 = d->host2;
    memcpy(tb_bytes(tb), d->bytes, d->size);
    tb->dead = tb->spoilt = false;
    interp_specialise(tc, tb);
    jit_watch(tc, tb);
    tc->n_blocks++;
}

static Tb *tb_new(TcgCpu *tc, const TbDraft *d, const uint8_t *host,
                  uint32_t key)
{
    size_t size = sizeof(Tb) + (d->n + 1) * sizeof(Insn) + d->size;
    unsigned h = tb_hash(host, key);
    Tb *tb;

    tb_room(tc, size + 2 * sizeof(TbPage));
    tb = tb_alloc(tc, size);
    tb->host = host;
    tb->key = key;
    tb->v_tag = 0;
    tb->v_lin = 0;
    tb->cap = d->n + 1;
    tb->cap_bytes = d->size;
    tb->cooled = 0;
    tb_settle(tc, tb, d);

    tb_list(tc, tb, host, 0);
    if (tb->host2) {
        tb_list(tc, tb, tb->host2, 1);
    }
    tb->hash_next = tc->hash[h];
    tc->hash[h] = tb;
    return tb;
}

static void tb_log(TcgCpu *tc, const Tb *tb, uint64_t lin)
{
    if (log_enabled(LOG_IN_ASM)) {
        tcg_log_block(tc, tb, lin);
    }
}

/* A dead block that is wanted: as it was, or made anew in its place. NULL: it
 * does not fit there and is out of the tables now. */
static Tb *tb_revive(TcgCpu *tc, Tb *tb, uint64_t lin)
{
    TbDraft d;

    if (!tb->spoilt && tb_arm(tc, tb)) {
        tb->op[0].exec = tb->first;
        tb->dead = false;
        jit_revived(tc, tb);
        return tb;
    }
    if (tb->host2) {
        tb_lose(tc, tb);
        return NULL;
    }
    tb_mark(tc, tb->host, 1);
    if (!tb_draft(tc, &d, lin, tb->host, tb->key) || d.host2 ||
        d.n >= tb->cap || d.size > tb->cap_bytes) {
        tb_lose(tc, tb);
        return NULL;
    }
    tb_settle(tc, tb, &d);
    if (!tb_arm(tc, tb)) {
        tb_kill_one(tc, tb);
        return tb_revive(tc, tb, lin);
    }
    tb_log(tc, tb, lin);
    return tb;
}

static Tb *tb_make(TcgCpu *tc, uint64_t lin, const uint8_t *host, uint32_t key)
{
    TbDraft d;
    Tb *tb;

    do {
        tb_protect_page(tc, tcg_page(tc->accel, host), host);
        if (!tb_draft(tc, &d, lin, host, key)) {
            return NULL;
        }
        tb = tb_new(tc, &d, host, key);
        if (!tb_arm(tc, tb)) {
            tb_kill_one(tc, tb);
            tb_lose(tc, tb);
            tb = NULL;
        }
    } while (!tb);
    tb_log(tc, tb, lin);
    return tb;
}

/* ---- code that is not plain memory, or at the edge of its segment ------------------------- */

/* One instruction, fetched byte by byte; nothing remembers it. */
static Tb *tb_scratch(TcgCpu *tc, uint64_t rip, uint32_t key)
{
    X86Cpu *c = &tc->cpu;
    const X86Seg *cs = &c->s.seg[S_CS];
    Tb *tb = tc->scratch;
    DecodeResult r = DECODE_SHORT;
    TbDraft d = { 0 };

    for (unsigned n = 0; r == DECODE_SHORT; n++) {
        uint64_t lin =
            c->mode.code64 ? rip + n : (uint32_t)(cs->base + rip + n);

        if (n == 15) {
            r = DECODE_LONG;
            break;
        }
        if (!c->mode.code64 && rip + n > cs->limit) {
            x86_raise_err(c, EXC_GP, 0);
        }
        if (c->mode.code64 && !tlb_canonical(tc, lin)) {
            x86_raise_err(c, EXC_GP, 0);
        }
        d.bytes[n] = tlb_fetch_io(tc, lin);
        r = decode_insn(d.bytes, n + 1, c->mode.code_bits, &d.op[0]);
    }
    tb_draft_add(tc, &d, NULL, key, r);
    d.size = r == DECODE_OK ? d.op[0].len : 1;
    tb->host = NULL;
    tb->key = key | MODE_SLOW;
    tb->v_tag = 0;
    tb->cap = 2;
    tb->cap_bytes = sizeof(d.bytes);
    tb_settle(tc, tb, &d);
    return tb;
}

/* ---- finding -------------------------------------------------------------------------------- */

/* The block at linear address @lin, through the tables. */
static Tb *tb_lookup(TcgCpu *tc, uint64_t lin, uint32_t key)
{
    const uint8_t *host = tlb_fetch(tc, lin);
    Tb *tb;

    if (!host) {
        return NULL;
    }
    for (tb = tc->hash[tb_hash(host, key)]; tb; tb = tb->hash_next) {
        if (tb->host == host && tb->key == key &&
            (!tb->host2 ||
             tb->host2 == tlb_fetch(tc, (lin | ~PAGE_MASK) + 1))) {
            break;
        }
    }
    if (tb && tb->dead) {
        tb = tb_revive(tc, tb, lin);
    }
    return tb ? tb : tb_make(tc, lin, host, key);
}

/* CS has a base or a limit. */
static Tb *tb_find_seg(TcgCpu *tc, uint32_t key)
{
    X86Cpu *c = &tc->cpu;
    const X86Seg *cs = &c->s.seg[S_CS];
    uint64_t rip = c->s.rip;
    Tb *tb;

    if (rip > cs->limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
    tb = tb_lookup(tc, (uint32_t)(cs->base + rip), key);
    if (!tb || rip + tb->size - 1 > cs->limit) {
        return tb_scratch(tc, rip, key);
    }
    return tb;
}

Tb *tb_find_one(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;
    uint32_t key = (c->mode.key & MODE_BLOCK) | MODE_SLOW;
    Tb *tb;

    if (!c->mode.flat) {
        return tb_find_seg(tc, key);
    }
    if (c->mode.code64 && !tlb_canonical(tc, c->s.rip)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    tb = tb_lookup(tc, c->s.rip, key);
    return tb ? tb : tb_scratch(tc, c->s.rip, key);
}

Tb *tb_find(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;
    uint64_t lin = c->s.rip;
    Tb **jump = &tc->jump[tb_jump_hash(lin)], *tb = *jump;
    uint32_t key = c->mode.key & MODE_BLOCK;

    if (!c->mode.flat) {
        return tb_find_seg(tc, key);
    }
    if (likely(tb_matches(tc, tb, lin))) {
        return tb;
    }
    if (c->mode.code64 && !tlb_canonical(tc, lin)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    tb = tb_lookup(tc, lin, key);
    if (!tb) {
        return tb_scratch(tc, lin, key);
    }
    tb->v_lin = lin;
    tb->v_tag = tc->vtag[lin >> 63];
    *jump = tb;
    return tb;
}

bool tb_init(TcgCpu *tc)
{
    tc->arena_room = ARENA_SIZE + jit_room(tc->accel);
    tc->arena = mmap(NULL, tc->arena_room, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tc->arena == MAP_FAILED) {
        tc->arena = NULL;
        return false;
    }
    tc->hash = g_new0(Tb *, BLOCK_HASH);
    tc->pages = g_new0(TbPage *, PAGE_HASH);
    tc->scratch = g_malloc0(sizeof(Tb) + 2 * sizeof(Insn) + BLOCK_MAX * 15);
    tb_clear_jumps(tc);
    jit_init(tc);
    return true;
}

void tb_fini(TcgCpu *tc)
{
    jit_fini(tc);
    if (tc->arena) {
        munmap(tc->arena, tc->arena_room);
    }
    g_free(tc->hash);
    g_free(tc->pages);
    g_free(tc->scratch);
}
