/* Every QMP command's function, for the table in qmp-commands.c. */
#ifndef MONITOR_QMP_CMDS_H
#define MONITOR_QMP_CMDS_H

#include "block/block.h"
#include "monitor/qmp.h"

#if CONFIG_JSON_C

typedef json_object *QmpFn(Machine *m, const Args *args, GError **errp);

/* qmp-machine.c */
QmpFn qmp_query_version, qmp_query_target, qmp_query_kvm, qmp_query_kvm_exits,
    qmp_query_status, qmp_query_name, qmp_query_uuid, qmp_query_commands,
    qmp_query_machines, qmp_query_current_machine, qmp_query_memory_size,
    qmp_query_memdev, qmp_query_empty, qmp_query_mice,
    qmp_query_command_line_options, qmp_query_schema, qmp_stop, qmp_cont,
    qmp_system_reset, qmp_system_powerdown, qmp_system_wakeup, qmp_quit,
    qmp_inject_nmi, qmp_rtc_reset_reinjection, qmp_set_action,
    qmp_watchdog_set_action, qmp_human_monitor_command, qmp_capabilities;
/* qmp-cpu.c */
QmpFn qmp_query_cpu_definitions, qmp_query_cpu_model_expansion,
    qmp_query_cpus_fast, qmp_query_hotpluggable_cpus;
/* qmp-memory.c, dump.c */
QmpFn qmp_memsave, qmp_pmemsave, qmp_dump_guest_memory, qmp_query_dump,
    qmp_query_dump_capability;
/* qmp-qom.c */
QmpFn qmp_qom_list, qmp_qom_get, qmp_qom_set, qmp_qom_list_types,
    qmp_qom_list_properties, qmp_device_list_properties, qmp_object_add,
    qmp_object_del, qmp_query_iothreads;
/* qmp-device.c */
QmpFn qmp_device_add, qmp_device_del;
/* qmp-chardev.c */
QmpFn qmp_query_chardev, qmp_query_chardev_backends, qmp_chardev_add,
    qmp_chardev_remove, qmp_chardev_send_break, qmp_ringbuf_read,
    qmp_ringbuf_write, qmp_getfd, qmp_closefd, qmp_add_fd, qmp_remove_fd,
    qmp_query_fdsets;

/* qmp-jobs.c */
QmpFn qmp_query_jobs, qmp_query_block_jobs, qmp_job_cancel, qmp_job_complete,
    qmp_job_pause, qmp_job_resume, qmp_job_finalize, qmp_job_dismiss,
    qmp_block_job_set_speed, qmp_snapshot_save, qmp_snapshot_load,
    qmp_snapshot_delete;
/* qmp-mirror.c */
QmpFn qmp_drive_mirror, qmp_blockdev_mirror, qmp_drive_backup,
    qmp_blockdev_backup, qmp_block_stream, qmp_block_commit;
/* qmp-transaction.c */
QmpFn qmp_transaction, qmp_snapshot_sync, qmp_snapshot_node,
    qmp_snapshot_internal, qmp_snapshot_delete_internal, qmp_bitmap_add,
    qmp_bitmap_remove, qmp_bitmap_clear, qmp_bitmap_enable, qmp_bitmap_disable,
    qmp_bitmap_merge;
/* qmp-create.c */
QmpFn qmp_blockdev_create;
/* qmp-net.c */
QmpFn qmp_query_rx_filter, qmp_netdev_add, qmp_netdev_del, qmp_set_link;
/* qmp-pci.c, qmp-migrate.c */
QmpFn qmp_query_pci, qmp_migrate, qmp_migrate_cancel, qmp_migrate_incoming,
    qmp_query_migrate, qmp_query_migrate_capabilities,
    qmp_migrate_set_capabilities, qmp_query_migrate_parameters,
    qmp_migrate_set_parameters;
/* qmp-keys.c */
QmpFn qmp_send_key, qmp_input_send_event;
/* qmp-balloon.c */
QmpFn qmp_balloon, qmp_query_balloon;
/* qmp-see.c */
QmpFn qmp_trace_event_get_state, qmp_trace_event_set_state, qmp_x_query_stats,
    qmp_x_query_irq, qmp_x_query_jit, qmp_x_query_ramblock, qmp_x_query_numa;
/* qmp-block.c */
QmpFn qmp_query_block, qmp_query_named_block_nodes, qmp_query_blockstats,
    qmp_blockdev_add, qmp_blockdev_del, qmp_block_resize,
    qmp_block_set_io_throttle, qmp_eject, qmp_change_medium, qmp_remove_medium,
    qmp_insert_medium, qmp_open_tray, qmp_close_tray;

/* The top node of the drive @device, or the node @node (one may be NULL; a
 * @device may also be a node's name). */
BlockNode *qmp_find_node(Machine *m, const char *device, const char *node,
                         GError **errp);
/* "/machine/peripheral/net0": where qom-list finds @dev; new. */
char *qom_path(const Device *dev);
/* The device with the id @name, or at that path. */
Device *qom_find_device(Machine *m, const char *name, GError **errp);
char *qom_cpu_path(const Machine *m, unsigned index);
/* "qemu64-x86_64-cpu"; new. */
char *qom_cpu_type(const char *model);
/* New: names of features that the model has and we do not; core-id, thread-id
 * and so on of a processor. */
json_object *qom_cpu_unavailable(const CpuModel *cm);
/* A balloon's guest-stats, and its guest-stats-polling-interval anew. */
json_object *qom_balloon_stats(Machine *m, GError **errp);
void qom_balloon_poll(Machine *m, int64_t seconds, GError **errp);
json_object *qom_cpu_topology(const Machine *m, unsigned index);
/* Adds features and numbers of @cm to @o. */
void qom_cpu_props(json_object *o, const CpuModel *cm);

#endif
#endif
