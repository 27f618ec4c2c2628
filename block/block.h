/*
 * Disk images: a driver knows one format or protocol, a node is one open
 * image, and nodes stack (qcow2 on file, overlay on backing).
 *
 * Offsets and lengths are bytes. Set-up calls return bool or a pointer and take
 * GError **errp; data calls return 0 or -errno.
 *
 * Threads: a node is opened, closed, resized and reconfigured by one thread
 * while nobody else uses it. Data calls (block_preadv() to block_map()) are
 * synchronous and safe from any number of threads. Devices use block/blk.h,
 * which never waits. Calls that must see no transfer in flight (discard,
 * snapshots) wait for them at the node's gate, see block_gate_*(); when made on
 * the main thread, blk_drain() comes first.
 *
 * A driver function left NULL: read, write: -ENOTSUP; zero: zeroes are written;
 * discard: nothing happens; flush: the file child is flushed; map: everything
 * is data without a host offset; the others: refused with a message.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include "util/osdep.h"
#include "util/keyval.h"
#include "block/info.h"

typedef struct BlockNode BlockNode;
typedef struct BlockDriver BlockDriver;
typedef struct BlockGraph BlockGraph;

/* How to open. Options of the same meaning, when given, win over flags. */
enum {
    BLOCK_RDWR = 1 << 0,         /* read-only=off */
    BLOCK_NO_BACKING = 1 << 1,   /* backing= : do not open the backing file */
    BLOCK_DIRECT = 1 << 2,       /* cache.direct=on: O_DIRECT */
    BLOCK_NO_FLUSH = 1 << 3,     /* cache.no-flush=on: flush does nothing */
    BLOCK_WRITETHROUGH = 1 << 4, /* every write is followed by a flush */
    BLOCK_UNMAP = 1 << 5,        /* discard=unmap: discards reach the file */
    BLOCK_FORCE_SHARE = 1 << 6,  /* force-share=on: take no locks; read-only */
    BLOCK_NO_SHARE = 1 << 7,     /* nobody else may write (devices) */
    BLOCK_CHECK = 1 << 8,        /* for check: open dirty and corrupt images as
                                   they are, repair nothing by itself */
    BLOCK_TEMPORARY = 1 << 9,    /* unlink the file once it is open */
    BLOCK_AUTO_RDONLY = 1 << 10, /* read-only when writing is not permitted */
    BLOCK_RESIZE = 1 << 11,      /* the raw file below will change its size */
    BLOCK_NO_IO = 1 << 12,       /* metadata only (info): no data is read */
};

/* How a stretch of guest data is stored: the longest run of one answer. */
typedef enum ExtentKind {
    EXTENT_HOLE,       /* not in this layer: the backing file shows through,
                          zeroes where there is none */
    EXTENT_ZERO,       /* reads as zeroes, whatever is below */
    EXTENT_DATA,       /* stored; host_offset when has_offset */
    EXTENT_COMPRESSED, /* stored, must be unpacked */
} ExtentKind;

typedef struct BlockExtent {
    ExtentKind kind;
    bool has_offset; /* host_offset is right; also for preallocated EXTENT_ZERO.
                        Not for encrypted data: it must be transformed */
    bool in_place;   /* an overwrite may go straight to host_offset */
    bool allocated;  /* takes space in this layer (also preallocated zeroes) */
    bool recurse;    /* preallocated: holes of @file read as zeroes here too */
    uint64_t len;    /* bytes, at least 1 */
    uint64_t host_offset; /* in @file */
    BlockNode *file;      /* the node host_offset is in; not owned */
} BlockExtent;

enum {
    MAP_NOWAIT = 1 << 0, /* -EAGAIN rather than read tables from disk */
};

enum {
    WRITE_COMPRESSED = 1 << 0, /* store compressed: whole clusters, or up to the
                                  end of the image */
    ZERO_MAY_UNMAP = 1 << 1,   /* zeroes may give their space back */
    ZERO_NO_FALLBACK = 1 << 2, /* -ENOTSUP rather than write zeroes */
};

/*
 * One stretch of a write that a driver has planned: whoever has the bytes
 * writes them to @file at @host_offset, then calls write_end(). The plan is the
 * caller's memory; @priv belongs to the driver.
 */
typedef struct WritePlan {
    uint64_t off, len; /* of the guest: the whole of what was asked for */
    uint64_t host_offset;
    BlockNode *file;
    uint64_t priv[12];
} WritePlan;

typedef struct SnapshotInfo {
    char id[128], name[256];
    uint64_t vm_state_size; /* bytes */
    uint64_t date_sec;      /* Unix time */
    uint32_t date_nsec;
    uint64_t vm_clock_nsec; /* guest time */
    uint64_t icount;        /* UINT64_MAX: not recorded */
    uint64_t disk_size;     /* of the guest disk at that time */
} SnapshotInfo;

/* Formats that hold internal snapshots, and the VM state saved with them. */
typedef struct SnapshotOps {
    /* @info's id may be "": the next free number. disk_size is filled in. */
    bool (*create)(BlockNode *bn, SnapshotInfo *info, GError **errp);
    bool (*apply)(BlockNode *bn, const char *id_or_name, GError **errp);
    bool (*remove)(BlockNode *bn, const char *id_or_name, GError **errp);
    GArray *(*list)(BlockNode *bn, GError **errp); /* of SnapshotInfo; owned by
                                                      the caller */
    /* Makes the (read-only) node show the snapshot: convert -l. */
    bool (*load)(BlockNode *bn, const char *id_or_name, GError **errp);
    /* vmstate_read() shows what is kept with the snapshot, or (NULL) the active
     * area again. Meanwhile nobody may read or write the disk. */
    bool (*view)(BlockNode *bn, const char *id_or_name, GError **errp);
    /* The area behind the disk where VM state is kept; offset 0 is its start.
     * What was written is kept by the next create(). */
    int (*vmstate_read)(BlockNode *bn, uint64_t off, void *buf, size_t len);
    int (*vmstate_write)(BlockNode *bn, uint64_t off, const void *buf,
                         size_t len);
} SnapshotOps;

/*
 * Who wants to know of writes to a node: before() may make them wait, and sends
 * all of them to workers; after() is called when one is over, well or not. Any
 * thread. Added and removed on the main thread while no request is in flight.
 */
typedef struct BlockWatch {
    void (*before)(void *opaque, uint64_t off, uint64_t len); /* or NULL */
    void (*after)(void *opaque, uint64_t off, uint64_t len);
    void *opaque;
    struct BlockWatch *next;
} BlockWatch;

/* A dirty bitmap stored in the image. */
typedef struct BitmapInfo {
    char name[1024];
    uint32_t granularity; /* bytes per bit */
    bool enabled;         /* "auto": records new writes */
    bool inconsistent;    /* "in-use": was not written back; only removable */
    uint64_t count;       /* dirty bytes; only from list() */
} BitmapInfo;

typedef struct BitmapOps {
    GArray *(*list)(BlockNode *bn, GError **errp); /* of BitmapInfo */
    /* granularity 0: the default, 64 KiB (or the cluster size if larger). */
    bool (*add)(BlockNode *bn, const BitmapInfo *info, GError **errp);
    bool (*remove)(BlockNode *bn, const char *name, GError **errp);
    bool (*clear)(BlockNode *bn, const char *name, GError **errp);
    bool (*enable)(BlockNode *bn, const char *name, bool on, GError **errp);
    /* @from may be the same node. Bits of both end up in @name. */
    bool (*merge)(BlockNode *bn, const char *name, BlockNode *from,
                  const char *from_name, GError **errp);
    /* Calls @fn for each dirty stretch; then, with @clear, all are clean. */
    bool (*walk)(BlockNode *bn, const char *name, bool clear,
                 void (*fn)(void *opaque, uint64_t off, uint64_t len),
                 void *opaque, GError **errp);
    bool (*mark)(BlockNode *bn, const char *name, uint64_t off, uint64_t len,
                 GError **errp);
} BitmapOps;

typedef struct CheckResult {
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t total_clusters, allocated_clusters;
    uint64_t compressed_clusters, fragmented_clusters;
    uint64_t image_end_offset;
    GString *messages; /* one line per finding, as QEMU words them; may be NULL.
                          The caller's */
} CheckResult;

enum {
    CHECK_FIX_LEAKS = 1 << 0,
    CHECK_FIX_ERRORS = 1 << 1,
};

/* A create or amend option: "-o name=value", listed by "-o help". */
typedef struct CreateOpt {
    const char *name;
    enum { OPT_SIZE, OPT_STR, OPT_BOOL, OPT_NUM, OPT_END } kind;
    const char *help;
    /* "amend -o" takes it, too, or alone. */
    enum { CREATE_OPT, AMEND_TOO, AMEND_ONLY } amend;
} CreateOpt;

/* What a new image would need: "measure". */
typedef struct MeasureInfo {
    uint64_t required, fully_allocated;
    uint64_t bitmaps;
    bool has_bitmaps;
} MeasureInfo;

/* "info" knows these for every format. */
typedef struct BlockInfo {
    bool valid;            /* the format, or the file below raw, tells */
    uint32_t cluster_size; /* 0: has none */
    bool dirty;            /* dirty-flag */
    bool corrupt;
    bool encrypted;
    bool
        compressed_only; /* takes whole clusters, compressed: convert does so */
    uint64_t vm_state_offset;
} BlockInfo;

/* Progress of a long operation and the wish to end it. All may be zero. */
typedef struct BlockJob {
    /* Called now and then from the thread that runs the operation. */
    void (*progress)(void *opaque, uint64_t done, uint64_t total);
    void *opaque;
    int *cancel; /* becomes nonzero (another thread, a signal): end soon with
                    the error "cancelled", everything valid */
    uint64_t rate_limit; /* bytes per second; 0: none */
} BlockJob;

struct BlockDriver {
    const char *name;   /* "qcow2", "raw", "file" */
    const char *prefix; /* of file names, "nbd:"; protocols only */
    size_t size;        /* of the driver's state, zeroed, in bn->s */
    bool is_format;     /* wants a child node called "file" */
    bool has_backing;

    /* How sure @head, the first bytes of the file, is of this format: 0 to
     * 100. @filename may help; may be NULL. */
    int (*probe)(const uint8_t *head, size_t len, const char *filename);
    /* Every key of @opts must be looked at; what is left is an unknown option.
     * "size" is in bytes or with suffix. */
    bool (*create)(const char *filename, KeyVal *opts, GError **errp);
    const CreateOpt *create_opts; /* ends with OPT_END; NULL: cannot create */
    /* Sets bn->size and, for formats, bn->backing_name and backing_fmt; the
     * file child is open already, the backing file comes after. */
    bool (*open)(BlockNode *bn, KeyVal *options, GError **errp);
    void (*close)(BlockNode *bn); /* after a flush; frees what open made */

    int (*read)(BlockNode *bn, uint64_t off, const struct iovec *iov, int n);
    int (*write)(BlockNode *bn, uint64_t off, const struct iovec *iov, int n,
                 unsigned flags);
    int (*zero)(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags);
    int (*discard)(BlockNode *bn, uint64_t off, uint64_t len);
    int (*flush)(BlockNode *bn);
    int (*map)(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
               BlockExtent *out);
    /* Allocates in memory only, or -EAGAIN: then write() does it; -EBUSY:
     * another write in flight holds the place, try when it is over. Never waits.
     * Each success is followed by one write_end(), whose @ret is that of the
     * transfer; its result is the result of the write. */
    int (*write_begin)(BlockNode *bn, uint64_t off, uint64_t len,
                       WritePlan *plan);
    int (*write_end)(BlockNode *bn, WritePlan *plan, int ret);

    /* @prealloc: "off", "metadata", "falloc", "full". */
    bool (*resize)(BlockNode *bn, uint64_t size, const char *prealloc,
                   bool shrink, GError **errp);
    bool (*check)(BlockNode *bn, CheckResult *res, unsigned fix, GError **errp);
    void (*get_info)(BlockNode *bn, BlockInfo *out);
    InfoItem *(*specific)(BlockNode *bn); /* "format-specific", a dict */
    uint64_t (*allocated)(BlockNode *bn); /* bytes on the host */
    int (*fd)(BlockNode *bn);             /* for direct transfers; -1: none */
    /* NULL @name: no backing file. Only the name in the image changes. */
    bool (*change_backing)(BlockNode *bn, const char *name, const char *fmt,
                           GError **errp);
    /* Drops all data of this layer: after a commit. */
    bool (*make_empty)(BlockNode *bn, GError **errp);
    bool (*amend)(BlockNode *bn, KeyVal *opts, bool force, const BlockJob *job,
                  GError **errp);
    /* @in: what would be converted; may be NULL, then "size" of @opts. */
    bool (*measure)(KeyVal *opts, BlockNode *in, MeasureInfo *out,
                    GError **errp);
    /* An event of blkdebug.h in the format above. Any thread. */
    void (*debug_event)(BlockNode *bn, unsigned event);
    const SnapshotOps *snapshots;
    const BitmapOps *bitmaps;
};

/*
 * The gate of a node: transfers to offsets that map() or write_begin() gave
 * pass it together; who frees or moves clusters passes alone.
 */
typedef struct BlockGate {
    GMutex lock;
    GCond cond;
    unsigned shared;  /* inside */
    unsigned waiting; /* exclusive ones in front of it; the rest queue up */
    bool exclusive;
} BlockGate;

struct BlockNode {
    const BlockDriver *drv;
    void *s;
    unsigned refs;     /* parents and other holders; block_close() drops one */
    BlockGraph *graph; /* where its name is known; NULL: nowhere */
    char *name;        /* node-name; generated "#block123" if none was given */
    char *filename; /* as QEMU shows it; "json:{...}" when there is no better */
    uint64_t size;  /* what the guest sees */
    uint32_t align; /* requests to this node best are multiples of it */
    unsigned flags; /* BLOCK_* */
    bool read_only;
    bool probed;               /* the format was guessed */
    bool refused;              /* ... and a write for it; said so (atomic) */
    bool growable;             /* writes past the end extend it (files) */
    BlockNode *file, *backing; /* one reference each; may be NULL */
    char *backing_name, *backing_fmt; /* as stored in the image, or NULL */
    char *backing_options_json;       /* what -blockdev overrode, or NULL */
    BlockGate gate;
    BlockWatch *watches;
    struct BlockBitmap *bitmaps; /* in memory; block/dirty.c */
    unsigned jobs;   /* that read or write it in threads of theirs (live.c) */
    const char *job; /* the type of the last that came */
};

/* False and @errp: a job uses it, so it must not be resized, reopened, got a layer
 * on top or be given to a device. Main thread. */
bool block_is_idle(const BlockNode *bn, GError **errp);

extern const BlockDriver *const block_drivers[]; /* NULL-terminated */
const BlockDriver *block_find_driver(const char *name);
/* The protocol of @filename by its prefix, else "file". */
const BlockDriver *block_find_protocol(const char *filename, GError **errp);

/* ---- the graph --------------------------------------------------------------- */

/*
 * The nodes of one machine by name. Whatever is opened with a graph is found in
 * it until it is closed; options then may name a node that is open already:
 * "file=NODE", "backing=NODE", which gets one more reference ("backing=" or, in
 * JSON, null: none). Main thread.
 */
BlockGraph *block_graph_new(void);
/* Nodes that are still open live on without their names. */
void block_graph_free(BlockGraph *g);
/* NULL if there is none. Not a new reference. */
BlockNode *block_graph_find(BlockGraph *g, const char *node_name);
/* All of them, in the order of opening; the array alone is the caller's. */
GPtrArray *block_graph_nodes(BlockGraph *g);
/* As block_open(), with all nodes of the chain in @g (may be NULL). */
BlockNode *block_open_in(BlockGraph *g, const char *filename, const char *fmt,
                         KeyVal *options, unsigned flags, GError **errp);
/* Puts @bn into @g under @name (NULL: the one it has). */
bool block_graph_add(BlockGraph *g, BlockNode *bn, const char *name,
                     GError **errp);
/* The node for "file=NAME" and the like, with one more reference. */
BlockNode *block_open_ref(BlockGraph *g, const char *name, GError **errp);
/* One more reference; block_close() drops it. Any thread. */
BlockNode *block_ref(BlockNode *bn);

/* ---- opening ------------------------------------------------------------- */

/*
 * Opens @filename (a path, "PROTOCOL:...", "json:{...}", or NULL when @options
 * says it all) and its backing chain. @options may be NULL; the caller keeps
 * it. Keys: driver, filename, node-name, file.*, backing.*, cache.direct,
 * cache.no-flush, read-only, auto-read-only, force-share, discard, and those of
 * the driver; an unknown key is an error. Without "driver" the format is
 * guessed. @fmt, if not NULL, is as options' driver.
 */
BlockNode *block_open(const char *filename, const char *fmt, KeyVal *options,
                      unsigned flags, GError **errp);
/* A mode of "cache=" (none, writethrough ...) over the cache bits of *flags;
 * false: no such mode. */
bool block_cache_mode(const char *mode, unsigned *flags);
/* A format over a node that is open already and is taken (also on failure). */
BlockNode *block_open_over(BlockNode *file, const char *fmt, KeyVal *options,
                           unsigned flags, GError **errp);
/* A bare node with zeroed state; whoever makes one fills it in. */
BlockNode *block_node_new(const BlockDriver *drv, unsigned flags);
/* -snapshot: a temporary overlay in $TMPDIR over @bn, which it takes. */
BlockNode *block_open_snapshot(BlockNode *bn, GError **errp);
/* Drops a reference; with the last one, flushes, closes and frees the node and
 * drops those to the nodes below it. NULL is fine. False: the flush failed and
 * @errp says so; the node is gone all the same. */
bool block_close(BlockNode *bn, GError **errp);
/* Switches between reading and writing. */
bool block_reopen(BlockNode *bn, bool rdwr, GError **errp);

/* Guesses the format: never NULL, "raw" at worst. Safe on any content. */
const BlockDriver *block_probe(BlockNode *file);
/* Where @name, found in the image @base, leads: a new string. */
char *block_combine_path(const char *base, const char *name);
bool block_has_protocol(const char *filename);
/* Full name of the backing file, or NULL. */
char *block_backing_path(const BlockNode *bn);

/* ---- data ---------------------------------------------------------------- */

/* All bytes or an error. Past the end: -EIO for images, zeroes for files. */
int block_preadv(BlockNode *bn, uint64_t off, const struct iovec *iov, int n);
int block_pwritev(BlockNode *bn, uint64_t off, const struct iovec *iov, int n,
                  unsigned flags);
int block_pread(BlockNode *bn, uint64_t off, void *buf, size_t len);
int block_pwrite(BlockNode *bn, uint64_t off, const void *buf, size_t len);
int block_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags);
int block_discard(BlockNode *bn, uint64_t off, uint64_t len);
int block_flush(BlockNode *bn);

/* This layer only. @len > 0 and inside the image. */
int block_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
              BlockExtent *out);
/* Down the chain to, and without, @base (NULL: all of it): out->kind is never
 * HOLE unless @base was reached or nothing has it; @depth (may be NULL) gets
 * the number of layers down, @owner (may be NULL) that layer. */
int block_map_chain(BlockNode *bn, BlockNode *base, uint64_t off, uint64_t len,
                    BlockExtent *out, BlockNode **owner, int *depth);
/* Does the stretch read as zeroes, by its tables alone? *len: how far that
 * answer goes. Below 0: -errno. */
int block_is_zero(BlockNode *bn, uint64_t off, uint64_t len, uint64_t *n);

/* ---- whole images ---------------------------------------------------------- */

/*
 * As "create -f fmt filename -o opts": @opts has size, backing_file,
 * backing_fmt and so on. Fills in the size from the backing file; unknown
 * options and sizes are refused with QEMU's words. BLOCK_NO_BACKING in @flags:
 * do not look at the backing file (-u).
 */
bool block_create(const char *filename, const char *fmt, KeyVal *opts,
                  unsigned flags, GError **errp);
/* The file itself: a driver's create() begins with it. An existing one is
 * emptied; a device or a server's disk must have the size and loses its first
 * sector. Returns it open for writing. */
BlockNode *block_create_file(const char *filename, uint64_t size, KeyVal *opts,
                             GError **errp);
bool block_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                  bool shrink, GError **errp);
bool block_check(BlockNode *bn, CheckResult *res, unsigned fix, GError **errp);
/* Bytes the file takes on the host (what "disk size" shows); UINT64_MAX: nobody
 * knows. */
uint64_t block_allocated(BlockNode *bn);
void block_get_info(BlockNode *bn, BlockInfo *out);
InfoItem *block_specific(BlockNode *bn); /* NULL: nothing */
/* QMP's ImageInfo without backing-image: a dict, the caller's. */
InfoItem *block_describe(BlockNode *bn);
/* Of SnapshotInfo, the caller's; NULL: none, or they cannot be read. */
GArray *block_snapshots(BlockNode *bn);
bool block_change_backing(BlockNode *bn, const char *name, const char *fmt,
                          GError **errp);
bool block_make_empty(BlockNode *bn, GError **errp);
bool block_amend(BlockNode *bn, KeyVal *opts, bool force, const BlockJob *job,
                 GError **errp);
bool block_measure(const char *fmt, KeyVal *opts, BlockNode *in,
                   MeasureInfo *out, GError **errp);
/* The chain member whose file is @filename, or NULL. */
BlockNode *block_find_in_chain(BlockNode *bn, const char *filename);
/* Finds a snapshot by id or, failing that, by name. */
bool block_snapshot_find(BlockNode *bn, const char *id_or_name,
                         SnapshotInfo *out, GError **errp);

/* ---- for drivers and block/blk.c ------------------------------------------- */

void block_watch_add(BlockNode *bn, BlockWatch *w); /* @w is the caller's */
void block_watch_remove(BlockNode *bn, BlockWatch *w);
/* Must writes go through block_pwritev()? */
bool block_watch_waits(const BlockNode *bn);
/* A write went around block_pwritev(). */
void block_wrote(BlockNode *bn, uint64_t off, uint64_t len);
/* A write that nobody watches: it does not change what is read. */
int block_pwrite_unwatched(BlockNode *bn, uint64_t off, const void *buf,
                           size_t len);
bool block_gate_enter(BlockGate *g, bool wait); /* false: would have to wait */
void block_gate_leave(BlockGate *g);
void block_gate_close(BlockGate *g); /* alone inside when it returns */
void block_gate_open(BlockGate *g);
/* Progress and cancellation: false, with @errp set, when cancelled. */
bool block_job_step(const BlockJob *job, uint64_t done, uint64_t total,
                    GError **errp);
/* A transfer went around the driver of a growable file, up to @end. */
void block_grew(BlockNode *file, uint64_t end);
/* The pairs whose key begins with @prefix, without it; they count as used in
 * @kv. */
KeyVal *block_sub_options(KeyVal *kv, const char *prefix);
/* False with "unknown option" when somebody gave what nobody asked for. */
bool block_options_used(KeyVal *kv, const char *driver, GError **errp);

#endif
