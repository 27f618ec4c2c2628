/* Jobs and snapshots of disks for people. */
#include "util/osdep.h"
#include "block/jobs.h"
#include "hw/block/drive.h"
#include "monitor/hmp.h"
#include "monitor/jobs.h"

#if CONFIG_JSON_C

/* ---- commit: everything into the backing file, now ----------------------------- */

static void commit(Monitor *mon, Blk *blk)
{
    BlockNode *bn = blk_node(blk);
    GError *err = NULL;
    bool ok;

    if (!bn || !bn->backing) {
        mon_printf(mon, "Error: '%s' error: no backing file to commit to\n",
                   blk_name(blk));
        return;
    }
    ok = block_is_idle(bn, &err);
    if (ok) {
        blk_quiesce(blk);
        ok = block_commit(bn, bn->backing, true, &(BlockJob) { 0 }, &err);
        blk_resume(blk);
    }
    if (!ok) {
        mon_report(mon, err);
    }
}

void hmp_commit(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    const char *device = args_str(args, "device");
    GError *err = NULL;
    Blk *blk;

    if (!strcmp(device, "all")) {
        for (guint i = 0; i < machine_drives(m)->len; i++) {
            const Drive *d = m->drives->pdata[i];

            if (blk_node(d->blk) && blk_node(d->blk)->backing) {
                commit(mon, d->blk);
            }
        }
        return;
    }
    blk = qmp_find_blk(m, device, &err);
    if (blk) {
        commit(mon, blk);
    } else {
        mon_report(mon, err);
    }
}

/* ---- jobs ------------------------------------------------------------------------ */

void hmp_info_block_jobs(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list = hmp_call(mon, "query-block-jobs", NULL);

    if (list && !json_object_array_length(list)) {
        mon_puts(mon, "No active jobs\n");
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);
        const char *type = js_get_str(o, "type");
        bool stream = !strcmp(type, "stream");

        mon_printf(mon,
                   "%s%s%s device %s: Completed %" PRId64 " of %" PRId64
                   " bytes, speed limit %" PRId64 " bytes/s\n",
                   stream ? "Streaming" : "Type ", stream ? "" : type,
                   stream ? "" : ",", js_get_str(o, "device"),
                   js_get_int(o, "offset"), js_get_int(o, "len"),
                   js_get_int(o, "speed"));
    }
}

void hmp_block_job_cancel(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    js_bool(o, "force", args_bool(args, "force", false));
    hmp_do(mon, "block-job-cancel", o);
}

void hmp_block_job_complete(Monitor *mon, const Args *args)
{
    hmp_do(mon, "block-job-complete", hmp_args(args, "device"));
}

void hmp_block_job_pause(Monitor *mon, const Args *args)
{
    hmp_do(mon, "block-job-pause", hmp_args(args, "device"));
}

void hmp_block_job_resume(Monitor *mon, const Args *args)
{
    hmp_do(mon, "block-job-resume", hmp_args(args, "device"));
}

void hmp_block_job_set_speed(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    js_int(o, "speed", args_int(args, "speed", 0));
    hmp_do(mon, "block-job-set-speed", o);
}

void hmp_block_stream(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device");

    if (args_has(args, "speed")) {
        js_int(o, "speed", args_int(args, "speed", 0));
    }
    js_str(o, "base", args_str(args, "base"));
    hmp_do(mon, "block-stream", o);
}

/* What drive_mirror and drive_backup share. */
static json_object *copy_args(const Args *args)
{
    json_object *o = hmp_args(args, "device", "target", "format");

    js_str(o, "sync", args_bool(args, "full", false) ? "full" : "top");
    js_str(o, "mode",
           args_bool(args, "new", false) ? "existing" : "absolute-paths");
    return o;
}

void hmp_drive_mirror(Monitor *mon, const Args *args)
{
    hmp_do(mon, "drive-mirror", copy_args(args));
}

void hmp_drive_backup(Monitor *mon, const Args *args)
{
    json_object *o = copy_args(args);

    js_bool(o, "compress", args_bool(args, "compress", false));
    hmp_do(mon, "drive-backup", o);
}

/* ---- snapshots of one disk --------------------------------------------------------- */

void hmp_snapshot_blkdev(Monitor *mon, const Args *args)
{
    json_object *o = hmp_args(args, "device", "snapshot-file", "format");

    js_str(o, "mode",
           args_bool(args, "new", false) ? "existing" : "absolute-paths");
    hmp_do(mon, "blockdev-snapshot-sync", o);
}

void hmp_snapshot_blkdev_internal(Monitor *mon, const Args *args)
{
    hmp_do(mon, "blockdev-snapshot-internal-sync",
           hmp_args(args, "device", "name"));
}

void hmp_snapshot_delete_blkdev_internal(Monitor *mon, const Args *args)
{
    hmp_do(mon, "blockdev-snapshot-delete-internal-sync",
           hmp_args(args, "device", "name", "id"));
}

#endif
