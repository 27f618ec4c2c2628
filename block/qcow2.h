/*
 * qcow2, private: the format's structures and the state of an open image.
 *
 * Format: docs/interop/qcow2.txt of QEMU; docs/qcow2.md here.
 *
 * Locking: Qcow2State.lock protects everything below it, tables and caches
 * included; functions declared here are called with it held unless they say
 * otherwise. Data is transferred without it, inside the node's gate.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "block/block.h"
#include "util/bits.h"

enum {
    QCOW2_MAGIC = 0x514649fb, /* "QFI\xfb" */
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104, /* the least of version 3 */
    QCOW2_OUR_HEADER = 112,
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = 21,
    QCOW2_MAX_L1_BYTES = 32 << 20,
    QCOW2_MAX_REFTABLE_BYTES = 8 << 20,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_TABLE = 64 << 20,
    QCOW2_MAX_BACKING_NAME = 1023,
    QCOW2_SLICE = 4096, /* bytes of a table that the cache holds as one */
    QCOW2_SUBCLUSTERS = 32,
};

/* L1 and L2 entries. */
#define OFLAG_COPIED     (UINT64_C(1) << 63)
#define OFLAG_COMPRESSED (UINT64_C(1) << 62)
#define OFLAG_ZERO       UINT64_C(1)
#define ENTRY_OFFSET     UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED      UINT64_C(0x7f000000000001ff)
#define L2_RESERVED      UINT64_C(0x3f000000000001fe)
#define REFT_OFFSET      UINT64_C(0xfffffffffffffe00)

enum {
    INCOMPAT_DIRTY = 1 << 0,
    INCOMPAT_CORRUPT = 1 << 1,
    INCOMPAT_DATA_FILE = 1 << 2,
    INCOMPAT_COMPRESSION = 1 << 3,
    INCOMPAT_EXTL2 = 1 << 4,
    INCOMPAT_ALL = 31,
    COMPAT_LAZY_REFCOUNTS = 1 << 0,
    AUTOCLEAR_BITMAPS = 1 << 0,
    AUTOCLEAR_DATA_FILE_RAW = 1 << 1,
};

enum {
    EXT_END = 0,
    EXT_BACKING_FORMAT = 0xe2792aca,
    EXT_FEATURE_NAMES = 0x6803f857,
    EXT_BITMAPS = 0x23852875,
    EXT_CRYPTO = 0x0537be77,
    EXT_DATA_FILE = 0x44415441,
};

enum { CRYPT_NONE, CRYPT_AES, CRYPT_LUKS };
enum { COMPRESSION_ZLIB, COMPRESSION_ZSTD };

/* A header extension that we do not read but keep. */
typedef struct Qcow2Ext {
    uint32_t type;
    GByteArray *data;
} Qcow2Ext;

typedef struct Qcow2Snapshot {
    uint64_t l1_offset;
    uint32_t l1_size;
    SnapshotInfo info;
    uint64_t disk_len; /* bytes of its entry in the file, or as written */
    GByteArray *extra; /* extra data that we do not know, kept */
} Qcow2Snapshot;

typedef struct Qcow2Cache Qcow2Cache;
typedef struct Qcow2Bitmap Qcow2Bitmap;
typedef struct Qcow2Crypto Qcow2Crypto;
typedef struct Qcow2Shadow Qcow2Shadow;
typedef struct Qcow2Overlap Qcow2Overlap;
typedef struct Qcow2Codec Qcow2Codec;

typedef struct Qcow2Range {
    uint64_t off, len;
} Qcow2Range;

/* A header's fields, in the order of the file. */
typedef struct Qcow2Header {
    uint32_t version;
    uint64_t backing_off;
    uint32_t backing_len;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_size;
    uint64_t l1_offset;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order;
    uint32_t header_length;
    uint8_t compression_type;
} Qcow2Header;

typedef struct Qcow2State {
    GMutex lock;
    GCond alloc_done; /* an in-flight allocation ended */

    Qcow2Header h;        /* as on disk, or as it will be after write_header */
    GByteArray *unknown;  /* header bytes behind those we know */
    GArray *exts;         /* of Qcow2Ext: unknown ones */
    char *data_file_name; /* of the extension, or NULL */

    unsigned cluster_bits;
    uint64_t cluster_size;
    unsigned l2_entry_size; /* 8, or 16 with subclusters */
    unsigned l2_bits;       /* log2 of entries in an L2 table */
    unsigned sc_bits;       /* log2 of a subcluster's size */
    unsigned nsub;          /* subclusters in a cluster: 1 or 32 */
    bool ext_l2;
    unsigned refblock_bits; /* log2 of refcounts in a block */
    uint64_t refcount_max;
    unsigned csize_shift; /* compressed entries */
    uint64_t csize_mask, coffset_mask;
    unsigned slice; /* bytes */

    uint64_t *l1;       /* host order, h.l1_size entries */
    uint64_t *l1_aside; /* the active one, while a snapshot is viewed */
    uint64_t aside_size, aside_disk_size; /* and h.l1_size, the disk's size */
    bool l1_dirty;
    uint32_t l1_dirty_first, l1_dirty_end;
    uint64_t *reftable;    /* host order */
    uint32_t reftable_len; /* entries */
    bool reftable_dirty;
    uint32_t reft_dirty_first, reft_dirty_end;
    Qcow2Cache *l2_cache, *ref_cache;

    uint64_t free_hint; /* no free cluster below this index */
    uint64_t eof;       /* the file has only zeroes from here on */
    uint64_t reserved;  /* the file was made this long ahead of writes; or 0 */
    uint64_t byte_off;  /* where the next compressed cluster may go; 0 */
    GArray *pending;    /* of Qcow2Range: freed after the next sync */
    uint64_t pending_bytes;
    GQueue allocs;         /* of Qcow2Write, in flight */
    unsigned overlap_mask; /* OVERLAP_* that are looked for */
    Qcow2Overlap *overlap; /* made when needed; NULL: to be made */
    Qcow2Shadow *shadow;   /* between begin and commit; else NULL */
    bool lazy;             /* refcounts wait for close; the dirty bit is on */
    bool unsynced;         /* something was written since the last fsync */
    bool discard_freed;    /* freed clusters are discarded in the file */
    bool flush_failed;     /* and the caller was told */
    int sparse;            /* preallocated by its tables alone: 1, no: -1, not
                           looked at: 0 */
    bool broken;           /* metadata contradicts itself: no more writes */

    Qcow2Snapshot *snapshots; /* h.nb_snapshots of them */
    uint64_t snapshots_len;   /* bytes of their table in the file */
    Qcow2Bitmap *bitmaps;     /* loaded for recording; qcow2-bitmap.c */
    GByteArray *bitmap_ext;   /* contents of the extension, or NULL */
    Qcow2Range crypto_hdr;    /* of the LUKS header */
    Qcow2Crypto *crypto;      /* NULL: not encrypted */
    BlockNode *data;          /* where guest clusters are: bn->file, or ... */
    BlockNode *data_file;     /* ... this, owned */

    Qcow2Codec *codecs; /* spare ones; under unpacked_lock */
    /* The last cluster unpacked: a sequential reader wants it again. */
    GMutex unpacked_lock;
    uint64_t unpacked_entry; /* its L2 entry; 0: none */
    uint8_t *unpacked;
} Qcow2State;

/* What a cluster, or with extended L2 a subcluster, is. */
typedef enum ClusterKind {
    CLUSTER_UNALLOCATED,
    CLUSTER_UNALLOCATED_SC, /* of a cluster that has a place */
    CLUSTER_ZERO,
    CLUSTER_ZERO_ALLOCATED, /* zero, but has a place */
    CLUSTER_NORMAL,
    CLUSTER_COMPRESSED,
    CLUSTER_INVALID,
} ClusterKind;

typedef struct Qcow2Map {
    ClusterKind kind;
    bool copied;   /* nobody else refers to it */
    uint64_t len;  /* bytes of the same kind, one after the other in the file */
    uint64_t host; /* of the byte asked for; or the cluster's, see kind */
    uint64_t entry; /* the L2 entry, for compressed clusters */
} Qcow2Map;

/* A write on its way; lives in a WritePlan or on a stack. */
typedef struct Qcow2Write {
    uint64_t off, len;   /* of the guest, the data */
    uint64_t host;       /* where the data goes */
    uint64_t start, end; /* clusters that it holds; start == end: in place */
    bool fresh;          /* the new clusters read as zeroes so far */
    bool keep;           /* the clusters had their place already */
    bool joins;          /* the cluster is another's write, in flight */
    bool joined;         /* others write to our cluster as well */
    bool linked;         /* one of them was there first */
    uint64_t cow_from, cow_to; /* what is to be filled around the data */
} Qcow2Write;

static inline uint64_t start_of_cluster(const Qcow2State *s, uint64_t off)
{
    return off & ~(s->cluster_size - 1);
}

static inline uint64_t to_clusters(const Qcow2State *s, uint64_t len)
{
    return (len >> s->cluster_bits) + !!(len & (s->cluster_size - 1));
}

/* ---- qcow2.c --------------------------------------------------------------------- */

/* Reports a contradiction in the image once, sets the corrupt bit; -EIO. */
int qcow2_corrupt(BlockNode *bn, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The guest's data without the gate; takes the lock. */
int qcow2_read_guest(BlockNode *bn, uint64_t off, void *buf, size_t len);
int qcow2_write_guest(BlockNode *bn, uint64_t off, const void *buf, size_t len);
int qcow2_flush_locked(BlockNode *bn);

/* ---- qcow2-header.c ---------------------------------------------------------------- */

bool qcow2_read_header(BlockNode *bn, GError **errp);
void qcow2_set_geometry(Qcow2State *s);
int qcow2_write_header(BlockNode *bn);
/* Changes a feature bit in the file alone, and syncs. */
int qcow2_set_incompatible(BlockNode *bn, uint64_t set, uint64_t clear);
void qcow2_free_header(Qcow2State *s);
bool qcow2_valid_table(const Qcow2State *s, uint64_t off, uint64_t entries,
                       size_t entry_len, uint64_t max_bytes, const char *name,
                       GError **errp);
InfoItem *qcow2_specific(BlockNode *bn);

/* ---- qcow2-map.c --------------------------------------------------------------------- */

uint64_t l2_entry(const Qcow2State *s, const uint8_t *slice, unsigned idx);
uint64_t l2_bitmap(const Qcow2State *s, const uint8_t *slice, unsigned idx);
void l2_set(const Qcow2State *s, uint8_t *slice, unsigned idx, uint64_t entry,
            uint64_t bitmap);
/* Of subcluster @sc of an entry. */
ClusterKind qcow2_kind(const Qcow2State *s, uint64_t entry, uint64_t bitmap,
                       unsigned sc);
/* -EAGAIN: @nowait and not in the cache. */
int qcow2_map(BlockNode *bn, uint64_t off, uint64_t len, bool nowait,
              Qcow2Map *out);
/* The slice with @off's entry; *slice NULL: no table. @write: one that may be
 * changed, made or copied if need be. */
int qcow2_l2_slice(BlockNode *bn, uint64_t off, bool write, bool nowait,
                   uint8_t **slice, unsigned *idx);
unsigned qcow2_slice_entries(const Qcow2State *s);
/* Host range of a compressed entry. */
void qcow2_compressed_range(const Qcow2State *s, uint64_t entry, uint64_t *off,
                            uint64_t *len);
uint64_t qcow2_l2_range(const Qcow2State *s); /* guest bytes of an L2 table */

/* ---- qcow2-alloc.c ----------------------------------------------------------------- */

int qcow2_refcount(BlockNode *bn, uint64_t cluster, bool nowait, uint64_t *out);
/* As another refcount table has it. */
int qcow2_refcount_in(BlockNode *bn, const uint64_t *reftable, uint32_t len,
                      uint64_t cluster, uint64_t *out);
/* The first of @n free clusters in a row; they stay free. */
int qcow2_find_free(BlockNode *bn, uint64_t n, uint64_t *out);
void qcow2_refcount_put(const Qcow2State *s, uint8_t *block, uint64_t idx,
                        uint64_t value);
/* For repair. */
int qcow2_refcount_set(BlockNode *bn, uint64_t cluster, uint64_t value);
/* +1 or -1 on each cluster of a range, at once. */
int qcow2_refcount_add(BlockNode *bn, uint64_t off, uint64_t len, int delta);
/* @n clusters in a row, refcount 1. */
int qcow2_alloc(BlockNode *bn, uint64_t n, bool nowait, uint64_t *off);
/* @n bytes for compressed data. */
int qcow2_alloc_bytes(BlockNode *bn, uint64_t n, uint64_t *off);
/* Lowers refcounts once no table on disk refers to the range. */
void qcow2_free_later(BlockNode *bn, uint64_t off, uint64_t len);
/* What an L2 entry owns. */
void qcow2_free_entry(BlockNode *bn, uint64_t entry);
/* Of clusters that were never linked. */
void qcow2_free_now(BlockNode *bn, uint64_t off, uint64_t len);
/* Writes tables in order: see the invariants. */
int qcow2_sync(BlockNode *bn);
int qcow2_write_refcounts(BlockNode *bn); /* even lazy ones */
int qcow2_fsync(BlockNode *bn);
bool qcow2_has_pending(const Qcow2State *s);

/* Before the first change: the dirty bit of lazy refcounts. */
int qcow2_mark_dirty(BlockNode *bn);

/* ---- qcow2-write.c ------------------------------------------------------------------- */

int qcow2_write_begin(BlockNode *bn, uint64_t off, uint64_t len, bool nowait,
                      Qcow2Write *w);
int qcow2_write_end(BlockNode *bn, Qcow2Write *w, int ret);

/* ---- qcow2-overlap.c ------------------------------------------------------------------ */

enum { /* what a write may hit */
       OVERLAP_HEADER = 1 << 0,
       OVERLAP_L1 = 1 << 1,
       OVERLAP_L2 = 1 << 2,
       OVERLAP_REFTABLE = 1 << 3,
       OVERLAP_REFBLOCK = 1 << 4,
       OVERLAP_SNAPSHOTS = 1 << 5,
       OVERLAP_INACTIVE_L1 = 1 << 6,
       OVERLAP_INACTIVE_L2 = 1 << 7,
       OVERLAP_BITMAPS = 1 << 8,
};

bool qcow2_overlap_options(Qcow2State *s, KeyVal *options, GError **errp);
/* The tables at [off, off + len), but those of the kinds @ignore. */
unsigned qcow2_overlap(BlockNode *bn, uint64_t off, uint64_t len,
                       unsigned ignore);
/* -EIO, and the image is marked corrupt: a write there would destroy them.
 * @ignore: what is to be written, 0 for the guest's data. */
int qcow2_check_write(BlockNode *bn, uint64_t off, uint64_t len,
                      unsigned ignore);
void qcow2_overlap_add(Qcow2State *s, unsigned kind, uint64_t off);
void qcow2_overlap_forget(Qcow2State *s); /* tables have moved */

/* ---- qcow2-cache.c ------------------------------------------------------------------- */

Qcow2Cache *qcow2_cache_new(bool is_l2, unsigned slice, size_t bytes);
void qcow2_cache_free(Qcow2Cache *c);
/* The slice at @off. The pointer is good until the lock is dropped or
 * eight more slices were fetched. */
int qcow2_cache_get(BlockNode *bn, Qcow2Cache *c, uint64_t off, bool nowait,
                    uint8_t **data);
void qcow2_cache_dirty(Qcow2Cache *c, const uint8_t *data);
bool qcow2_cache_is_dirty(const Qcow2Cache *c);
int qcow2_cache_write(BlockNode *bn, Qcow2Cache *c); /* all dirty slices */
void qcow2_cache_drop(Qcow2Cache *c, uint64_t off, uint64_t len);
void qcow2_cache_empty(Qcow2Cache *c); /* forgets all, dirty or not */

/* ---- qcow2-snapshot.c ------------------------------------------------------------------ */

extern const SnapshotOps qcow2_snapshot_ops;
bool qcow2_read_snapshots(BlockNode *bn, GError **errp);
void qcow2_free_snapshots(Qcow2State *s);
/* Sets or clears COPIED in the active tables, in place, as the refcounts are:
 * for check. */
int qcow2_fix_copied(BlockNode *bn);

/* ---- qcow2-shadow.c -------------------------------------------------------------------- */

/* Flushes; from here on tables change in memory alone. Fails with nothing
 * changed. */
int qcow2_shadow_begin(BlockNode *bn);
/* Writes s->l1 and the refcounts to new places, then the header with what s->h
 * has: size, L1, snapshots. On failure aborts. */
int qcow2_shadow_commit(BlockNode *bn);
void qcow2_shadow_abort(BlockNode *bn); /* all is as it was before begin */
/* A table of host order to @off. */
int qcow2_write_table(BlockNode *bn, const uint64_t *table, uint64_t n,
                      uint64_t off);
/* For the allocator. */
int qcow2_shadow_was_free(BlockNode *bn, uint64_t cluster, bool *is_free);
void qcow2_shadow_freed(Qcow2State *s, uint64_t cluster);
int qcow2_shadow_grow_reftable(BlockNode *bn, uint64_t need);

/* ---- qcow2-compress.c ------------------------------------------------------------------ */

/* Takes the lock. */
int qcow2_write_packed(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n);
/* Of the cluster with L2 entry @entry. -EAGAIN: it was overwritten meanwhile. */
int qcow2_read_packed(BlockNode *bn, uint64_t guest, uint64_t entry,
                      const struct iovec *iov, int n);
void qcow2_codecs_free(Qcow2State *s);

/* ---- qcow2-check.c, qcow2-create.c, qcow2-resize.c ----------------------------------------- */

bool qcow2_check(BlockNode *bn, CheckResult *res, unsigned fix, GError **errp);
/* Refcounts of another width, all anew. Takes the lock. */
bool qcow2_change_refcount_bits(BlockNode *bn, uint64_t bits, GError **errp);
bool qcow2_create(const char *filename, KeyVal *opts, GError **errp);
extern const CreateOpt qcow2_create_opts[];
bool qcow2_measure(KeyVal *opts, BlockNode *in, MeasureInfo *out,
                   GError **errp);
bool qcow2_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                  bool shrink, GError **errp);
bool qcow2_amend(BlockNode *bn, KeyVal *opts, bool force, const BlockJob *job,
                 GError **errp);
bool qcow2_preallocate(BlockNode *bn, uint64_t off, uint64_t len,
                       const char *mode, GError **errp);
bool qcow2_make_empty(BlockNode *bn, GError **errp);
/* A larger L1 table. */
int qcow2_grow_l1(BlockNode *bn, uint64_t entries);
/* zero and discard of a stretch; the gate is closed. */
int qcow2_zero_range(BlockNode *bn, uint64_t off, uint64_t len, bool unmap);
int qcow2_discard_range(BlockNode *bn, uint64_t off, uint64_t len, bool full);

/* ---- qcow2-crypt.c --------------------------------------------------------------------- */

bool qcow2_crypto_open(BlockNode *bn, KeyVal *options, GError **errp);
void qcow2_crypto_close(Qcow2State *s);
/* Options of a new LUKS header, in QEMU's names; NULL: the usual. */
typedef struct Qcow2CryptoOpts {
    const char *secret;
    const char *cipher_alg, *cipher_mode, *ivgen_alg, *ivgen_hash, *hash_alg;
    uint64_t iter_ms; /* that deriving the key shall take */
} Qcow2CryptoOpts;

/* Bytes of a new header with its key slots; 0: an option is wrong. */
uint64_t qcow2_crypto_header_size(const Qcow2CryptoOpts *o, GError **errp);
/* Writes one to @off. One slot is in use. */
bool qcow2_crypto_create(BlockNode *file, uint64_t off,
                         const Qcow2CryptoOpts *o, GError **errp);
/* Key slots are added or erased as state, keyslot, new-secret, old-secret and
 * iter-time say; nothing happens where none is given. @force: also the last
 * one. */
bool qcow2_crypto_amend(BlockNode *bn, KeyVal *opts, bool force, GError **errp);
/* In place; @off: the guest's for AES, the host's for LUKS. Any thread. */
int qcow2_crypto_run(const Qcow2State *s, bool encrypt, uint64_t guest,
                     uint64_t host, void *buf, size_t len);
InfoItem *qcow2_crypto_info(BlockNode *bn);

/* ---- qcow2-bitmap.c -------------------------------------------------------------------- */

extern const BitmapOps qcow2_bitmap_ops;
bool qcow2_bitmaps_open(BlockNode *bn, GError **errp); /* starts recording */
void qcow2_bitmaps_close(BlockNode *bn);               /* and writes them */
/* True if the write need not be recorded (again). */
bool qcow2_bitmaps_have(const Qcow2State *s, uint64_t off, uint64_t len);
void qcow2_bitmaps_mark(Qcow2State *s, uint64_t off, uint64_t len);
/* Before the disk gets another size: there is memory for the bits. After: there
 * are as many bits as it needs. */
bool qcow2_bitmaps_room(BlockNode *bn, uint64_t size, GError **errp);
void qcow2_bitmaps_resized(BlockNode *bn);
void qcow2_bitmaps_info(BlockNode *bn, InfoItem *to);
/* Reports what the directory and its tables refer to: for check. */
typedef int Qcow2RefFn(void *opaque, uint64_t off, uint64_t len);
int qcow2_bitmaps_walk(BlockNode *bn, Qcow2RefFn *fn, void *opaque);

#endif
