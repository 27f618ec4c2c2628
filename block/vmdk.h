/*
 * vmdk, shared by vmdk.c (data), vmdk-open.c (headers, descriptors) and
 * vmdk-create.c. VMware, "Virtual Disk Format 5.0".
 *
 * A disk is a row of extents. A flat one is a piece of a file; a sparse one is
 * cut into grains that a directory (GD) of tables (GT) of 32-bit sector numbers
 * leads to. A text, the descriptor, names the extents; it is a file of its own
 * or lies inside the only extent.
 */
#ifndef BLOCK_VMDK_H
#define BLOCK_VMDK_H

#include "block/block.h"

enum {
    VMDK_SECTOR = 512,
    VMDK_HEADER = 512,
    VMDK_MARKER = 12,      /* in front of a compressed grain: lba, size */
    VMDK_GTES = 512,       /* entries of a table, at most, in "KDMV" */
    VMDK_COWD_GTES = 4096, /* always, in "COWD" */
    VMDK_CACHED = 32,      /* tables kept in memory, each extent */
    VMDK_DESC_MAX = 1 << 20,
    VMDK_MAX_GD = 32 << 20,     /* entries of a directory */
    VMDK_MAX_GRAIN = 1 << 30,   /* bytes */
    VMDK_MAX_PACKED = 16 << 20, /* bytes of a grain that is compressed */
    VMDK_MAX_EXTENTS = 32768,
    VMDK_GTE_ZEROED = 1,
};

/* Offsets of the fields of a "KDMV" header. */
enum {
    K_MAGIC = 0,
    K_VERSION = 4,
    K_FLAGS = 8,
    K_CAPACITY = 12, /* this and the next in sectors */
    K_GRAIN = 20,
    K_DESC = 28,
    K_DESC_SIZE = 36,
    K_GTES = 44,
    K_RGD = 48,
    K_GD = 56,
    K_OVERHEAD = 64,
    K_UNCLEAN = 72,
    K_CHECK = 73, /* "\n \r\n", which careless transfers change */
    K_COMPRESS = 77,
};

enum {
    K_FLAG_NL = 1 << 0, /* K_CHECK is there */
    K_FLAG_RGD = 1 << 1,
    K_FLAG_ZERO_GRAIN = 1 << 2,
    K_FLAG_COMPRESSED = 1 << 16,
    K_FLAG_MARKERS = 1 << 17,
    K_DEFLATE = 1,
};

#define VMDK_GD_AT_END UINT64_MAX
#define VMDK_NO_CID    0xffffffffu

typedef struct VmdkTable {
    uint32_t index; /* in the directory */
    uint32_t *gte;  /* host order; NULL: unused slot */
} VmdkTable;

typedef struct VmdkExtent {
    BlockNode *file;
    bool own_file; /* to be closed here; else it is the node's */
    bool flat, zero, compressed, has_marker, has_zero_grain;
    char type[16]; /* of the descriptor: "FLAT", "SPARSE"; "" if not named */
    unsigned version;
    uint64_t start, size;     /* bytes, of the guest's disk */
    uint64_t flat_off;        /* where a flat one begins in its file */
    uint32_t grain;           /* bytes; 0 when flat */
    uint32_t gtes;            /* entries of one table */
    uint32_t gds;             /* entries of the directory */
    uint64_t gd_off, rgd_off; /* bytes; rgd_off 0: no second directory */
    uint32_t *gd, *rgd;       /* sector numbers of the tables; 0: none */
    uint64_t overhead;        /* bytes that are never a grain's */
    uint64_t next;            /* where the next grain goes; 0: not known yet */
    VmdkTable cache[VMDK_CACHED];
} VmdkExtent;

typedef struct VmdkState {
    GMutex lock; /* tables, next, the descriptor */
    VmdkExtent *extents;
    unsigned n;
    char create_type[64];
    uint64_t desc_off;  /* in bn->file */
    uint32_t desc_room; /* bytes the descriptor may fill; 0: a file */
    uint32_t cid, parent_cid;
    gint cid_fresh;   /* atomic: the CID was changed since the image is open */
    gint cid_checked; /* atomic: the parent is what it was; -1: it is not */
} VmdkState;

/* vmdk-open.c */
bool vmdk_open(BlockNode *bn, KeyVal *options, GError **errp);
void vmdk_close(BlockNode *bn);
/* Gives the image a new CID, before the first write after opening. */
int vmdk_touch_cid(BlockNode *bn);

/* vmdk-create.c */
bool vmdk_create(const char *filename, KeyVal *opts, GError **errp);
extern const CreateOpt vmdk_create_opts[];

#endif
