/* The drivers, for block/registry.c. */
#ifndef BLOCK_DRIVERS_H
#define BLOCK_DRIVERS_H

#include "block/block.h"

extern const BlockDriver block_raw;
extern const BlockDriver block_qcow2;
extern const BlockDriver block_vdi;
extern const BlockDriver block_vmdk;
extern const BlockDriver block_vpc;
extern const BlockDriver block_vhdx;
extern const BlockDriver block_parallels;
extern const BlockDriver block_file;
extern const BlockDriver block_host_device;
extern const BlockDriver block_nbd;
extern const BlockDriver block_blkdebug;
extern const BlockDriver block_null;      /* null-co:// */
extern const BlockDriver block_null_zero; /* null-aio:// */

/* Of file, and of raw, which makes nothing but a file. */
extern const CreateOpt block_file_create_opts[];

#endif
