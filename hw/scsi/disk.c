/*
 * scsi-hd and scsi-cd: disks and CD-ROM drives on a SCSI bus. SBC-3, MMC-6.
 *
 * Each command is a row of commands[]. Data goes between guest memory and the
 * block layer without a copy. Errors of the host go to the guest as sense data,
 * or stop the machine (werror=, rerror=) and are tried again when it goes on.
 *
 * Not modelled: persistent reservations, COMPARE AND WRITE, VERIFY that compares,
 * READ CD, DVD structures, audio.
 */
#include "util/osdep.h"
#include "hw/scsi/disk.h"
#include "hw/block/disk-props.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

extern const DeviceClass scsi_hd_class, scsi_cd_class;

enum {
    C_HD = 1 << 0, /* who has it */
    C_CD = 1 << 1,
    C_BOTH = C_HD | C_CD,
    C_MEDIUM = 1 << 2, /* a medium must be there */
    C_WRITE = 1 << 3,  /* ... and be writable */
    C_NO_UA = 1 << 4,  /* unit attentions wait for another command */
};

enum {
    CD_BLOCK = 2048,
    SERIAL_MAX = 36,
    FUA = 0x08,
    VERIFY_COMPARE = 0x06, /* BYTCHK */
};

typedef struct ScsiCommand {
    const char *name;
    unsigned flags;
    void (*run)(ScsiRequest *r);
} ScsiCommand;

/* ---- host I/O -------------------------------------------------------------------- */

bool disk_ready(const ScsiDisk *s)
{
    return blk_node(s->blk) && !s->tray_open;
}

uint64_t disk_blocks(const ScsiDisk *s)
{
    return blk_size(s->blk) / s->logical;
}

static ScsiSense sense_of_errno(int err)
{
    switch (err) {
    case ENOMEDIUM:
        return SENSE_NO_MEDIUM;
    case ENOSPC:
        return SENSE_SPACE;
    case EPERM:
    case EROFS:
        return SENSE_WRITE_PROTECTED;
    case ENOMEM:
        return SENSE_TARGET_FAILURE;
    default:
        return SENSE_IO_ERROR;
    }
}

static void disk_go_on(ScsiRequest *r)
{
    if (r->cancelled) {
        scsi_end(r, SCSI_TASK_ABORTED);
    } else if (r->next) {
        r->next(r);
    } else {
        scsi_end(r, SCSI_GOOD);
    }
}

static void disk_done(void *opaque, int ret)
{
    ScsiRequest *r = opaque;
    ScsiDisk *s = disk_of(r);
    bool read = r->op == BLK_READ;

    if (ret == 0 || r->cancelled) {
        disk_go_on(r);
        return;
    }
    switch (
        drive_error(&s->on_error, s->scsi.dev.machine, s->blk, read, -ret)) {
    case ON_ERROR_STOP:
        scsi_stop(r);
        break;
    case ON_ERROR_IGNORE:
        disk_go_on(r);
        break;
    default:
        r->moved = 0;
        scsi_check(r, sense_of_errno(-ret));
    }
}

static void disk_restart(ScsiRequest *r)
{
    bool data = r->op == BLK_READ || r->op == BLK_WRITE;

    blk_submit(disk_of(r)->blk, (BlkOp)r->op, r->off, r->len,
               data ? r->iov : NULL, data ? r->n : 0, r->flags, disk_done, r);
}

void disk_submit(ScsiRequest *r, BlkOp op, uint64_t off, uint64_t len,
                 unsigned flags, void (*next)(ScsiRequest *r))
{
    r->op = op;
    r->off = off;
    r->len = len;
    r->flags = flags;
    r->next = next;
    disk_restart(r);
}

bool disk_check_range(ScsiRequest *r, uint64_t lba, uint64_t blocks)
{
    uint64_t max = disk_blocks(disk_of(r));

    if (lba > max || blocks > max - lba) {
        scsi_check(r, SENSE_LBA_RANGE);
        return false;
    }
    return true;
}

/* ---- reading and writing ------------------------------------------------------------ */

/* Where, and how much: the forms of 6, 10, 12 and 16 bytes. */
static void cdb_range(const uint8_t *cdb, uint64_t *lba, uint64_t *blocks)
{
    switch (cdb[0] >> 5) {
    case 0:
        *lba = ld_be32(cdb) & 0x1fffff;
        *blocks = cdb[4] ? cdb[4] : 256;
        break;
    case 4:
        *lba = ld_be64(cdb + 2);
        *blocks = ld_be32(cdb + 10);
        break;
    case 5:
        *lba = ld_be32(cdb + 2);
        *blocks = ld_be32(cdb + 6);
        break;
    default:
        *lba = ld_be32(cdb + 2);
        *blocks = ld_be16(cdb + 7);
    }
}

/* The first @len bytes of the buffers as r->iov. */
static void take_buffers(ScsiRequest *r, bool read, size_t len)
{
    const struct iovec *iov = read ? r->in : r->out;
    int n = read ? r->n_in : r->n_out;

    r->iov = iov;
    r->n = n;
    if (len != (read ? r->in_len : r->out_len)) {
        r->slice = g_new(struct iovec, (size_t)MAX(n, 1));
        r->n = iov_slice(iov, n, 0, len, r->slice);
        r->iov = r->slice;
    }
    r->moved = len;
}

static void read_after_flush(ScsiRequest *r)
{
    disk_submit(r, BLK_READ, r->left, r->moved, 0, NULL);
}

static void disk_transfer(ScsiRequest *r, bool read)
{
    const ScsiDisk *s = disk_of(r);
    bool fua = r->cdb[0] >> 5 && r->cdb[1] & FUA;
    uint64_t lba, blocks, off, len;

    cdb_range(r->cdb, &lba, &blocks);
    if (r->cdb[0] >> 5 && r->cdb[1] >> 5) { /* protection information */
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    if (!disk_check_range(r, lba, blocks)) {
        return;
    }
    off = lba * s->logical;
    len = blocks * s->logical;
    if (len > (read ? r->in_len : r->out_len)) {
        scsi_overrun(r);
        return;
    }
    if (!len) {
        scsi_end(r, SCSI_GOOD);
        return;
    }
    take_buffers(r, read, len);
    if (read && fua) {
        r->left = off;
        disk_submit(r, BLK_FLUSH, 0, 0, 0, read_after_flush);
        return;
    }
    disk_submit(r, read ? BLK_READ : BLK_WRITE, off, len,
                !read && fua ? BLK_FUA : 0, NULL);
}

static void disk_read(ScsiRequest *r)
{
    disk_transfer(r, true);
}

static void disk_write(ScsiRequest *r)
{
    disk_transfer(r, false);
}

static void disk_write_verify(ScsiRequest *r)
{
    if (r->cdb[1] & VERIFY_COMPARE) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    disk_transfer(r, false);
}

/* What is in the image was written well; only the place is looked at. */
static void disk_verify(ScsiRequest *r)
{
    uint64_t lba, blocks;

    cdb_range(r->cdb, &lba, &blocks);
    if (r->cdb[1] & VERIFY_COMPARE || r->cdb[1] >> 5) {
        scsi_check(r, SENSE_INVALID_FIELD);
    } else if (disk_check_range(r, lba, blocks)) {
        scsi_end(r, SCSI_GOOD);
    }
}

static void disk_synchronize(ScsiRequest *r)
{
    disk_submit(r, BLK_FLUSH, 0, 0, 0, NULL);
}

/* ---- other commands ------------------------------------------------------------------ */

static void disk_good(ScsiRequest *r)
{
    scsi_end(r, SCSI_GOOD);
}

/* Sense data went with the status; what is left is a unit attention. */
static ScsiSense take_attention(ScsiDisk *s)
{
    unsigned first = s->attention & -(unsigned)s->attention;

    s->attention &= (uint8_t)~first;
    switch (first) {
    case UA_POWER_ON:
        return SENSE_POWER_ON;
    case UA_MEDIUM_GONE:
        return SENSE_MEDIUM_GONE;
    case UA_MEDIUM_CHANGED:
        return SENSE_MEDIUM_CHANGED;
    case UA_CAPACITY:
        return SENSE_CAPACITY_CHANGED;
    default:
        return SENSE_NONE;
    }
}

static ScsiSense not_ready(const ScsiDisk *s)
{
    return s->tray_open ? SENSE_TRAY_OPEN : SENSE_NO_MEDIUM;
}

static void disk_request_sense(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);
    uint8_t buf[SCSI_SENSE_SIZE];
    ScsiSense sense = take_attention(s);

    if (!sense.key && !disk_ready(s)) {
        sense = not_ready(s);
    }
    scsi_reply(r, buf, scsi_put_sense(buf, sense, r->cdb[1] & 1), r->cdb[4]);
}

static void disk_prevent_allow(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);

    s->locked = r->cdb[4] & 1 && (s->is_cd || s->removable);
    scsi_end(r, SCSI_GOOD);
}

static void disk_set_tray(ScsiDisk *s, bool open)
{
    const Device *dev = &s->scsi.dev;

    if (s->tray_open == open) {
        return;
    }
    s->tray_open = open;
    machine_emit(dev->machine, "DEVICE_TRAY_MOVED",
                 EVENT_STR("device", s->drive ? s->drive->id : ""),
                 EVENT_STR("id", dev->id ? dev->id : ""),
                 EVENT_BOOL("tray-open", open));
}

/* Power conditions and spinning change nothing here; the tray moves. */
static void disk_start_stop(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);
    bool start = r->cdb[4] & 1, load_eject = r->cdb[4] & 2;

    if (!load_eject || r->cdb[4] >> 4 || !(s->is_cd || s->removable)) {
        scsi_end(r, SCSI_GOOD);
        return;
    }
    if (!start && !s->tray_open && s->locked) {
        scsi_check(r, SENSE_MEDIUM_LOCKED);
        return;
    }
    if (s->tray_open == start) {
        s->event = start ? EVENT_NEW_MEDIA : EVENT_MEDIA_REMOVED;
        s->attention |= start && blk_node(s->blk) ? UA_MEDIUM_CHANGED : 0;
        disk_set_tray(s, !start);
    }
    scsi_end(r, SCSI_GOOD);
}

/* ---- dispatch --------------------------------------------------------------------------- */

static const ScsiCommand commands[256] = {
    [0x00] = { "TEST UNIT READY", C_BOTH | C_MEDIUM, disk_good },
    [0x03] = { "REQUEST SENSE", C_BOTH | C_NO_UA, disk_request_sense },
    [0x08] = { "READ(6)", C_BOTH | C_MEDIUM, disk_read },
    [0x0a] = { "WRITE(6)", C_HD | C_MEDIUM | C_WRITE, disk_write },
    [0x12] = { "INQUIRY", C_BOTH | C_NO_UA, disk_inquiry },
    [0x15] = { "MODE SELECT(6)", C_BOTH, disk_mode_select },
    [0x16] = { "RESERVE(6)", C_BOTH, disk_good },
    [0x17] = { "RELEASE(6)", C_BOTH, disk_good },
    [0x1a] = { "MODE SENSE(6)", C_BOTH, disk_mode_sense },
    [0x1b] = { "START STOP UNIT", C_BOTH, disk_start_stop },
    [0x1e] = { "PREVENT ALLOW MEDIUM REMOVAL", C_BOTH, disk_prevent_allow },
    [0x25] = { "READ CAPACITY(10)", C_BOTH | C_MEDIUM, disk_read_capacity },
    [0x28] = { "READ(10)", C_BOTH | C_MEDIUM, disk_read },
    [0x2a] = { "WRITE(10)", C_HD | C_MEDIUM | C_WRITE, disk_write },
    [0x2e] = { "WRITE AND VERIFY(10)", C_HD | C_MEDIUM | C_WRITE,
               disk_write_verify },
    [0x2f] = { "VERIFY(10)", C_BOTH | C_MEDIUM, disk_verify },
    [0x35] = { "SYNCHRONIZE CACHE(10)", C_BOTH | C_MEDIUM, disk_synchronize },
    [0x41] = { "WRITE SAME(10)", C_HD | C_MEDIUM | C_WRITE, disk_write_same },
    [0x42] = { "UNMAP", C_HD | C_MEDIUM | C_WRITE, disk_unmap },
    [0x43] = { "READ TOC", C_CD | C_MEDIUM, cd_read_toc },
    [0x46] = { "GET CONFIGURATION", C_CD | C_NO_UA, cd_get_configuration },
    [0x4a] = { "GET EVENT STATUS NOTIFICATION", C_CD | C_NO_UA,
               cd_get_event_status },
    [0x51] = { "READ DISC INFORMATION", C_CD | C_MEDIUM,
               cd_read_disc_information },
    [0x55] = { "MODE SELECT(10)", C_BOTH, disk_mode_select },
    [0x56] = { "RESERVE(10)", C_BOTH, disk_good },
    [0x57] = { "RELEASE(10)", C_BOTH, disk_good },
    [0x5a] = { "MODE SENSE(10)", C_BOTH, disk_mode_sense },
    [0x88] = { "READ(16)", C_BOTH | C_MEDIUM, disk_read },
    [0x8a] = { "WRITE(16)", C_HD | C_MEDIUM | C_WRITE, disk_write },
    [0x8e] = { "WRITE AND VERIFY(16)", C_HD | C_MEDIUM | C_WRITE,
               disk_write_verify },
    [0x8f] = { "VERIFY(16)", C_BOTH | C_MEDIUM, disk_verify },
    [0x91] = { "SYNCHRONIZE CACHE(16)", C_BOTH | C_MEDIUM, disk_synchronize },
    [0x93] = { "WRITE SAME(16)", C_HD | C_MEDIUM | C_WRITE, disk_write_same },
    [0x9e] = { "SERVICE ACTION IN(16)", C_BOTH | C_MEDIUM, disk_service_in },
    [0xa0] = { "REPORT LUNS", C_BOTH | C_NO_UA, scsi_report_luns },
    [0xa8] = { "READ(12)", C_BOTH | C_MEDIUM, disk_read },
    [0xaa] = { "WRITE(12)", C_HD | C_MEDIUM | C_WRITE, disk_write },
    [0xae] = { "WRITE AND VERIFY(12)", C_HD | C_MEDIUM | C_WRITE,
               disk_write_verify },
    [0xaf] = { "VERIFY(12)", C_BOTH | C_MEDIUM, disk_verify },
    [0xbb] = { "SET CD SPEED", C_CD, disk_good },
    [0xbd] = { "MECHANISM STATUS", C_CD, cd_mechanism_status },
};

static void disk_command(ScsiRequest *r)
{
    ScsiDisk *s = disk_of(r);
    const ScsiCommand *c = &commands[r->cdb[0]];

    if (!c->run || !(c->flags & (s->is_cd ? C_CD : C_HD))) {
        log_mask(LOG_UNIMP, "%s: command 0x%02x\n", s->scsi.dev.cls->name,
                 r->cdb[0]);
        scsi_check(r, SENSE_INVALID_OPCODE);
    } else if (s->attention && !(c->flags & C_NO_UA)) {
        scsi_check(r, take_attention(s));
    } else if (c->flags & C_MEDIUM && !disk_ready(s)) {
        scsi_check(r, not_ready(s));
    } else if (c->flags & C_WRITE && blk_read_only(s->blk)) {
        scsi_check(r, SENSE_WRITE_PROTECTED);
    } else {
        c->run(r);
    }
}

/* ---- what happens to it ------------------------------------------------------------------ */

void disk_set_writeback(ScsiDisk *s, bool on)
{
    s->writeback = on;
    blk_set_write_cache(s->blk, on);
}

static void disk_plug(ScsiDevice *d, bool on)
{
    Blk *blk = container_of(d, ScsiDisk, scsi)->blk;

    if (on) {
        blk_plug(blk);
    } else {
        blk_unplug(blk);
    }
}

static void disk_drain(ScsiDevice *d)
{
    blk_drain(container_of(d, ScsiDisk, scsi)->blk);
}

static void disk_reset(ScsiDevice *d)
{
    ScsiDisk *s = container_of(d, ScsiDisk, scsi);

    s->locked = false;
    s->tray_open = false;
    s->event = 0;
    s->attention = UA_POWER_ON;
    disk_set_writeback(s, s->saved_writeback);
}

static const ScsiDeviceOps disk_ops = {
    .command = disk_command,
    .restart = disk_restart,
    .plug = disk_plug,
    .drain = disk_drain,
    .reset = disk_reset,
};

static void disk_resized(Device *dev)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    s->attention |= UA_CAPACITY;
    scsi_changed(&s->scsi, SENSE_CAPACITY_CHANGED);
}

static void disk_media_changed(Device *dev, bool loaded)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    s->event = loaded ? EVENT_NEW_MEDIA : EVENT_MEDIA_REMOVED;
    s->attention &= (uint8_t) ~(UA_MEDIUM_GONE | UA_MEDIUM_CHANGED);
    s->attention |= loaded ? UA_MEDIUM_CHANGED : UA_MEDIUM_GONE;
    if (!loaded) {
        s->locked = false; /* the monitor's hands are stronger */
    }
    disk_set_tray(s, !loaded);
}

static void disk_move_tray(ScsiDisk *s, bool open)
{
    if (s->tray_open != open) {
        s->event = open ? EVENT_MEDIA_REMOVED : EVENT_NEW_MEDIA;
        s->attention &= (uint8_t) ~(UA_MEDIUM_GONE | UA_MEDIUM_CHANGED);
        s->attention |= open               ? UA_MEDIUM_GONE
                        : blk_node(s->blk) ? UA_MEDIUM_CHANGED
                                           : 0;
        disk_set_tray(s, open);
    }
}

static bool disk_tray(Device *dev, TrayOp op)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    switch (op) {
    case TRAY_OP_IS_OPEN:
        return s->tray_open;
    case TRAY_OP_IS_LOCKED:
        return s->locked;
    case TRAY_OP_ASK:
        s->event = EVENT_EJECT_REQUEST;
        return true;
    default:
        disk_move_tray(s, op == TRAY_OP_OPEN);
        return true;
    }
}

/* ---- properties --------------------------------------------------------------------------- */

static bool check_topology(ScsiDisk *s, GError **errp)
{
    uint32_t standard = s->is_cd ? CD_BLOCK : 512;

    s->logical = s->logical ? s->logical : standard;
    s->physical = s->physical ? s->physical : s->logical;
    if (!disk_check_block_sizes(s->logical, s->physical, errp)) {
        return false;
    }
    if (s->is_cd && s->logical != CD_BLOCK) {
        error_setg(errp, "logical_block_size of a scsi-cd must be 2048");
        return false;
    }
    if (s->discard_granularity == UINT32_MAX) {
        s->discard_granularity = MAX(4096, s->logical);
    }
    if (s->discard_granularity % s->logical || s->min_io % s->logical ||
        s->opt_io % s->logical) {
        error_setg(errp,
                   "discard_granularity, min_io_size and opt_io_size must be "
                   "multiples of logical_block_size (%u)",
                   s->logical);
        return false;
    }
    return true;
}

static bool check_text(const char *name, const char *text, size_t max,
                       GError **errp)
{
    if (strlen(text) > max) {
        error_setg(errp, "%s has %zu characters, at most %zu fit", name,
                   strlen(text), max);
        return false;
    }
    return true;
}

static bool check_texts(ScsiDisk *s, GError **errp)
{
    const char *id = s->drive && !s->drive->blockdev ? s->drive->id : "";

    if (!s->serial && s->drive && s->drive->serial) {
        s->serial = g_strdup(s->drive->serial);
    }
    if (!s->product) {
        s->product = g_strdup(s->is_cd ? "QEMU CD-ROM" : "QEMU HARDDISK");
    }
    if (!s->device_id) { /* long names of drives are cut */
        s->device_id = g_strndup(s->serial ? s->serial : id, 64);
    }
    return check_text("serial", s->serial ? s->serial : "", SERIAL_MAX, errp) &&
           check_text("device_id", s->device_id, 64, errp) &&
           check_text("vendor", s->vendor, 8, errp) &&
           check_text("product", s->product, 16, errp) &&
           check_text("ver", s->ver, 4, errp);
}

static bool check_cache(ScsiDisk *s, GError **errp)
{
    bool on;

    if (!disk_write_cache(s->write_cache, blk_node(s->blk), &on, errp)) {
        return false;
    }
    s->saved_writeback = on;
    disk_set_writeback(s, on);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool take_drive(ScsiDisk *s, GError **errp)
{
    Device *dev = &s->scsi.dev;

    if (s->is_cd && !s->drive_prop) {
        s->blk = s->own_blk = blk_new("", NULL, BLK_AIO_DEFAULT);
        return true;
    }
    s->drive = drive_take(dev->machine, s->drive_prop, dev, errp);
    if (!s->drive) {
        return false;
    }
    s->blk = s->drive->blk;
    if (!s->is_cd && !blk_node(s->blk) && !s->removable) {
        error_setg(errp, "Device needs media, but drive is empty");
        return false;
    }
    return true;
}

static void give_drive_back(ScsiDisk *s)
{
    if (s->own_blk) {
        blk_free(s->own_blk);
    }
    drive_release(s->drive);
    s->drive = NULL;
    s->blk = s->own_blk = NULL;
}

static bool disk_realize(Device *dev, GError **errp)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    s->is_cd = dev->cls == &scsi_cd_class;
    s->drive = NULL;
    s->own_blk = NULL;
    if (!take_drive(s, errp) || !check_topology(s, errp) ||
        !check_texts(s, errp) || !check_cache(s, errp) ||
        !drive_errors_parse(&s->on_error, s->drive, s->werror, s->rerror,
                            errp) ||
        !scsi_attach(&s->scsi, &disk_ops, errp)) {
        give_drive_back(s);
        return false;
    }
    if (s->drive) {
        s->drive->cdrom |= s->is_cd || s->removable;
        s->drive->resized = disk_resized;
        s->drive->media_changed = disk_media_changed;
        s->drive->tray = s->is_cd || s->removable ? disk_tray : NULL;
    }
    return true;
}

static void disk_unrealize(Device *dev)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    scsi_detach(&s->scsi);
    give_drive_back(s);
}

static void disk_class_reset(Device *dev)
{
    ScsiDisk *s = container_of(dev, ScsiDisk, scsi.dev);

    disk_drain(&s->scsi);
    disk_reset(&s->scsi);
}

static void disk_pre_save(void *obj)
{
    ScsiDisk *s = obj;

    s->state_target = s->scsi.target;
    s->state_lun = s->scsi.lun;
}

static bool disk_post_load(void *obj, int version, GError **errp)
{
    ScsiDisk *s = obj;

    if (version >= 2 &&
        (s->state_target != s->scsi.target || s->state_lun != s->scsi.lun)) {
        error_setg(errp,
                   "state of '%s': it was target %u, unit %u; this one is %u, "
                   "%u: give scsi-id= and lun=",
                   s->scsi.dev.id ? s->scsi.dev.id : s->scsi.dev.cls->name,
                   s->state_target, s->state_lun, s->scsi.target, s->scsi.lun);
        return false;
    }
    blk_set_write_cache(s->blk, s->writeback);
    return true;
}

static const VMState vmstate_scsi_disk = {
    .name = "scsi-disk",
    .version = 2,
    .min_version = 1,
    .pre_save = disk_pre_save,
    .post_load = disk_post_load,
    .fields =
        (const VMField[]) {
            VM_BOOL(ScsiDisk, writeback),
            VM_BOOL(ScsiDisk, locked),
            VM_BOOL(ScsiDisk, tray_open),
            VM_U8(ScsiDisk, attention),
            VM_U8(ScsiDisk, event),
            VM_U32_SINCE(ScsiDisk, state_target, 2),
            VM_U32_SINCE(ScsiDisk, state_lun, 2),
            VM_FIELDS_END,
        },
};

/* clang-format off */
#define PROP(name, kind, field, defval, help) \
    { name, kind, offsetof(ScsiDisk, field), defval, help }

#define DISK_PROPS \
    PROP("drive", PROP_DRIVE, drive_prop, 0, \
         "disk: id of -drive or node name of -blockdev"), \
    SCSI_DEVICE_PROPS(ScsiDisk), \
    PROP("serial", PROP_STRING, serial, 0, "serial number, page 80h"), \
    PROP("device_id", PROP_STRING, device_id, 0, \
         "name in page 83h (the serial number, or the drive's id)"), \
    PROP("vendor", PROP_STRING, vendor, (uintptr_t)"QEMU", "who made it"), \
    PROP("product", PROP_STRING, product, 0, "what it is"), \
    PROP("ver", PROP_STRING, ver, (uintptr_t)"2.5+", "its revision"), \
    PROP("wwn", PROP_U64, wwn, 0, "world wide name"), \
    PROP("logical_block_size", PROP_U32, logical, 0, \
         "smallest unit of transfer, bytes"), \
    PROP("physical_block_size", PROP_U32, physical, 0, \
         "smallest unit written without reading, bytes"), \
    PROP("min_io_size", PROP_U32, min_io, 0, "smallest good transfer, bytes"), \
    PROP("opt_io_size", PROP_U32, opt_io, 0, "best transfer, bytes"), \
    PROP("discard_granularity", PROP_U32, discard_granularity, UINT32_MAX, \
         "unit of discards, bytes; 0: none"), \
    PROP("write-cache", PROP_STRING, write_cache, (uintptr_t)"auto", \
         "at power-on: on, off, or auto, as the drive's cache="), \
    PROP("werror", PROP_STRING, werror, 0, \
         "when a write fails: report, stop, ignore, enospc"), \
    PROP("rerror", PROP_STRING, rerror, 0, \
         "when a read fails: report, stop, ignore"), \
    PROP("share-rw", PROP_BOOL, share_rw, 0, \
         "others may write to the image as well"), \
    PROP("bootindex", PROP_U32, bootindex, UINT32_MAX, \
         "for firmware: place in the boot order")

static const Property scsi_hd_props[] = {
    DISK_PROPS,
    PROP("removable", PROP_BOOL, removable, 0, "the medium can be changed"),
    PROP("dpofua", PROP_BOOL, dpofua, 1, "offer writes past the cache"),
    PROP("rotation_rate", PROP_U16, rotation_rate, 0,
         "turns a minute; 1: none at all"),
    { .kind = PROP_END },
};

static const Property scsi_cd_props[] = {
    DISK_PROPS,
    { .kind = PROP_END },
};
/* clang-format on */

const DeviceClass scsi_hd_class = {
    .name = "scsi-hd",
    .desc = "Disk on a SCSI bus",
    .category = DEVICE_STORAGE,
    .bus = "SCSI",
    .size = sizeof(ScsiDisk),
    .props = scsi_hd_props,
    .vmstate = &vmstate_scsi_disk,
    .realize = disk_realize,
    .reset = disk_class_reset,
    .unrealize = disk_unrealize,
};

const DeviceClass scsi_cd_class = {
    .name = "scsi-cd",
    .desc = "CD-ROM drive on a SCSI bus",
    .category = DEVICE_STORAGE,
    .bus = "SCSI",
    .size = sizeof(ScsiDisk),
    .props = scsi_cd_props,
    .vmstate = &vmstate_scsi_disk,
    .realize = disk_realize,
    .reset = disk_class_reset,
    .unrealize = disk_unrealize,
};
