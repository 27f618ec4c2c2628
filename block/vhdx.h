/*
 * vhdx, shared by vhdx.c (opening, data) and vhdx-create.c. Microsoft,
 * [MS-VHDX].
 */
#ifndef BLOCK_VHDX_H
#define BLOCK_VHDX_H

#include "block/block.h"

enum {
    VHDX_HEADER_1 = 64 << 10,
    VHDX_HEADER_2 = 128 << 10,
    VHDX_HEADER_LEN = 4096,
    VHDX_REGIONS_1 = 192 << 10,
    VHDX_REGIONS_2 = 256 << 10,
    VHDX_REGIONS_LEN = 64 << 10,
    VHDX_REGIONS_MAX = 2047,
    VHDX_META_LEN = 64 << 10,
    VHDX_META_MAX = 1024,
    VHDX_LOG_SECTOR = 4096,
    VHDX_BLOCK_MIN = 1 << 20,
    VHDX_BLOCK_MAX = 256 << 20,
};

#define VHDX_MAX_SIZE (UINT64_C(64) << 40)

/* Offsets of a header's fields. */
enum {
    VHDX_H_SUM = 4,
    VHDX_H_SEQUENCE = 8,
    VHDX_H_FILE_GUID = 16,
    VHDX_H_DATA_GUID = 32,
    VHDX_H_LOG_GUID = 48,
    VHDX_H_LOG_VERSION = 64,
    VHDX_H_VERSION = 66,
    VHDX_H_LOG_LEN = 68,
    VHDX_H_LOG_OFF = 72,
};

/* States of a block. */
enum {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_UNMAPPED_095 = 5,
    VHDX_PRESENT = 6,
    VHDX_PARTIAL = 7,
};

#define VHDX_BAT_STATE(e)  ((e)&7)
#define VHDX_BAT_OFFSET(e) ((e) & ~UINT64_C(0xfffff))

typedef struct VhdxState {
    GMutex lock; /* the table, the end, the headers */
    uint64_t bat_off, bat_len, meta_off, meta_len;
    uint32_t block;       /* bytes */
    uint32_t sector;      /* logical: 512 or 4096 */
    uint32_t chunk_ratio; /* blocks to one bitmap block */
    uint64_t blocks;
    uint64_t *bat; /* of @blocks, without the bitmaps; host order */
    uint64_t end;  /* where the next block goes; 0: not known yet */
    uint8_t header[VHDX_HEADER_LEN]; /* the one that counts */
    unsigned newer;                  /* which it is: 0 or 1 */
    bool replayed;                   /* the log, when it was opened */
    gint touched; /* atomic: it has new GUIDs since the image is open */
} VhdxState;

/* Does what the log in the @len bytes at @off of the file says; the caller then
 * takes its @guid out of the headers. A log that is wrong changes nothing. */
bool vhdx_log_replay(BlockNode *bn, uint64_t off, uint64_t len,
                     const uint8_t *guid, GError **errp);

enum VhdxGuid {
    GUID_BAT,
    GUID_META,
    GUID_PARAMS,
    GUID_SIZE,
    GUID_SECTOR,
    GUID_PAGE83,
    GUID_PHYSICAL,
    GUID_COUNT,
};

/* As they lie in the file. */
extern const uint8_t vhdx_guids[GUID_COUNT][16];

/* Writes the sum of @p's @len bytes, a header or a table of regions. */
void vhdx_set_sum(uint8_t *p, size_t len);

/* vhdx-create.c */
bool vhdx_create(const char *filename, KeyVal *opts, GError **errp);
extern const CreateOpt vhdx_create_opts[];

#endif
