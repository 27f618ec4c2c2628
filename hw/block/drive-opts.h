/* Private to hw/block/drive*.c: options to drives and nodes. */
#ifndef HW_BLOCK_DRIVE_OPTS_H
#define HW_BLOCK_DRIVE_OPTS_H

#include "hw/block/drive.h"

/* Takes it out of its machine. NULL is fine. */
void drive_free(Drive *d);

#endif
