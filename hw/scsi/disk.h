/* Private to hw/scsi: disks and CD-ROM drives, which share most commands. */
#ifndef HW_SCSI_DISK_H
#define HW_SCSI_DISK_H

#include "hw/block/errors.h"
#include "hw/scsi/scsi.h"

enum { SCSI_TYPE_DISK = 0x00, SCSI_TYPE_CD = 0x05 }; /* peripheral types */

/* Unit attentions that wait, the first to be reported first. */
enum {
    UA_POWER_ON = 1 << 0,
    UA_MEDIUM_GONE = 1 << 1,
    UA_MEDIUM_CHANGED = 1 << 2,
    UA_CAPACITY = 1 << 3,
};

/* Events of GET EVENT STATUS NOTIFICATION that wait. */
enum { EVENT_EJECT_REQUEST = 1, EVENT_NEW_MEDIA = 2, EVENT_MEDIA_REMOVED = 3 };

typedef struct ScsiDisk {
    ScsiDevice scsi; /* first */
    Drive *drive;    /* NULL: a CD-ROM drive without one */
    Blk *blk, *own_blk;
    bool is_cd;
    DriveErrors on_error;
    bool saved_writeback; /* at power-on */

    bool writeback; /* these are saved */
    bool locked, tray_open;
    uint8_t attention; /* UA_* */
    uint8_t event;     /* EVENT_*; 0: none */
    uint32_t state_target, state_lun;

    char *drive_prop; /* properties */
    char *serial, *device_id, *vendor, *product, *ver;
    char *werror, *rerror, *write_cache;
    uint64_t wwn;
    uint32_t logical, physical, min_io, opt_io; /* bytes */
    uint32_t discard_granularity;
    uint32_t bootindex;
    uint16_t rotation_rate;
    bool removable, dpofua, share_rw;
} ScsiDisk;

static inline ScsiDisk *disk_of(const ScsiRequest *r)
{
    return container_of(r->dev, ScsiDisk, scsi);
}

/* ---- disk.c ------------------------------------------------------------------- */

bool disk_ready(const ScsiDisk *s); /* there is a medium, the tray is closed */
uint64_t disk_blocks(const ScsiDisk *s);
void disk_set_writeback(ScsiDisk *s, bool on);
/* Host I/O of the request: then @next, or, NULL, it ends well. r->iov and r->n
 * are the data of reads and writes. */
void disk_submit(ScsiRequest *r, BlkOp op, uint64_t off, uint64_t len,
                 unsigned flags, void (*next)(ScsiRequest *r));
/* @lba and @blocks are on the medium; false: it ended. */
bool disk_check_range(ScsiRequest *r, uint64_t lba, uint64_t blocks);

/* ---- pages.c: what the disk says of itself --------------------------------------- */

void disk_inquiry(ScsiRequest *r);
void disk_mode_sense(ScsiRequest *r);
void disk_mode_select(ScsiRequest *r);
void disk_read_capacity(ScsiRequest *r);
void disk_service_in(ScsiRequest *r); /* READ CAPACITY(16) */

/* ---- erase.c: commands that write without data -------------------------------------- */

void disk_unmap(ScsiRequest *r);
void disk_write_same(ScsiRequest *r);

/* ---- cdrom.c: commands that only CD-ROM drives have ---------------------------------- */

void cd_read_toc(ScsiRequest *r);
void cd_get_configuration(ScsiRequest *r);
void cd_get_event_status(ScsiRequest *r);
void cd_read_disc_information(ScsiRequest *r);
void cd_mechanism_status(ScsiRequest *r);

#endif
