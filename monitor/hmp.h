/* The parts of the human monitor, for one another. Main thread. */
#ifndef MONITOR_HMP_H
#define MONITOR_HMP_H

#include "monitor/monitor.h"
#include "monitor/args.h"

/* Runs one typed line, errors included. */
void hmp_run(Monitor *mon, const char *line);
/* Finds the command and parses its arguments, no more. */
bool hmp_check(Monitor *mon, const char *line, GError **errp);
/* What could stand for @word behind @before; caller frees. */
GPtrArray *hmp_complete(Monitor *mon, const char *before, const char *word);
/* "help" and "help name". */
void hmp_print_help(Monitor *mon, const char *name);

void mon_puts(Monitor *mon, const char *text);
bool mon_set_cpu(Monitor *mon, unsigned index);
GPtrArray *mon_history(Monitor *mon);
/* While on, $rip and $eip are linear addresses: what x means by them. */
void mon_set_linear_pc(Monitor *mon, bool on);
bool mon_linear_pc(Monitor *mon);

#if CONFIG_JSON_C
/* Runs a command of QMP; @args (taken; NULL: none). Prints the error and returns
 * NULL if there is one; else the value, the caller's. */
json_object *hmp_call(Monitor *mon, const char *name, json_object *args);
/* For @args of both: the words of the line that have these names. */
#define hmp_args(args, ...) \
    hmp_args_of(args, (const char *const[]) { __VA_ARGS__, NULL })
json_object *hmp_args_of(const Args *args, const char *const *names);
/* As hmp_call(), for what returns nothing of interest. */
void hmp_do(Monitor *mon, const char *name, json_object *args);
#endif

/* A command's function, for the tables. */
typedef void HmpFn(Monitor *mon, const Args *args);

/* hmp-block.c */
HmpFn hmp_info_block, hmp_info_blockstats, hmp_block_resize,
    hmp_block_set_io_throttle, hmp_eject, hmp_change;
/* hmp-jobs.c */
HmpFn hmp_commit, hmp_info_block_jobs, hmp_block_job_cancel,
    hmp_block_job_complete, hmp_block_job_pause, hmp_block_job_resume,
    hmp_block_job_set_speed, hmp_block_stream, hmp_drive_mirror,
    hmp_drive_backup, hmp_snapshot_blkdev, hmp_snapshot_blkdev_internal,
    hmp_snapshot_delete_blkdev_internal;
/* hmp-objects.c */
HmpFn hmp_device_add, hmp_device_del, hmp_object_add, hmp_object_del,
    hmp_drive_add, hmp_drive_del, hmp_chardev_add, hmp_chardev_remove,
    hmp_chardev_send_break, hmp_ringbuf_write, hmp_ringbuf_read, hmp_sendkey,
    hmp_mouse_move, hmp_mouse_button, hmp_dump_guest_memory, hmp_info_mice,
    hmp_info_memory_size, hmp_info_memdev, hmp_info_iothreads, hmp_qom_list,
    hmp_getfd, hmp_closefd, hmp_mouse_set, hmp_info_memory_devices,
    hmp_info_hotpluggable_cpus, hmp_info_dump, hmp_qom_get, hmp_qom_set,
    hmp_info_qom_tree;

/* hmp-info.c */
void hmp_info_status(Monitor *mon, const Args *args);
void hmp_info_version(Monitor *mon, const Args *args);
void hmp_info_name(Monitor *mon, const Args *args);
void hmp_info_uuid(Monitor *mon, const Args *args);
void hmp_info_cpus(Monitor *mon, const Args *args);
void hmp_info_registers(Monitor *mon, const Args *args);
void hmp_info_mtree(Monitor *mon, const Args *args);
void hmp_info_qtree(Monitor *mon, const Args *args);
void hmp_info_pci(Monitor *mon, const Args *args);
void hmp_info_pic(Monitor *mon, const Args *args);
void hmp_info_lapic(Monitor *mon, const Args *args);
void hmp_info_symbol(Monitor *mon, const Args *args);
void hmp_info_kvm(Monitor *mon, const Args *args);
void hmp_info_exits(Monitor *mon, const Args *args);
void hmp_info_chardev(Monitor *mon, const Args *args);
void hmp_info_history(Monitor *mon, const Args *args);

/* hmp-memory.c */
void hmp_x(Monitor *mon, const Args *args);
void hmp_xp(Monitor *mon, const Args *args);
void hmp_print(Monitor *mon, const Args *args);
void hmp_port_in(Monitor *mon, const Args *args);
void hmp_port_out(Monitor *mon, const Args *args);
void hmp_sum(Monitor *mon, const Args *args);
void hmp_memsave(Monitor *mon, const Args *args);
void hmp_pmemsave(Monitor *mon, const Args *args);
void hmp_gpa2hva(Monitor *mon, const Args *args);
void hmp_gpa2hpa(Monitor *mon, const Args *args);
void hmp_gva2gpa(Monitor *mon, const Args *args);
void hmp_info_mem(Monitor *mon, const Args *args);
void hmp_info_tlb(Monitor *mon, const Args *args);

/* hmp-machine.c */
void hmp_help(Monitor *mon, const Args *args);
void hmp_quit(Monitor *mon, const Args *args);
void hmp_stop(Monitor *mon, const Args *args);
void hmp_cont(Monitor *mon, const Args *args);
void hmp_system_reset(Monitor *mon, const Args *args);
void hmp_system_powerdown(Monitor *mon, const Args *args);
void hmp_nmi(Monitor *mon, const Args *args);
void hmp_system_wakeup(Monitor *mon, const Args *args);
void hmp_watchdog_action(Monitor *mon, const Args *args);
void hmp_cpu(Monitor *mon, const Args *args);
void hmp_log(Monitor *mon, const Args *args);
void hmp_logfile(Monitor *mon, const Args *args);

/* hmp-net.c */
void hmp_info_network(Monitor *mon, const Args *args);
void hmp_info_usernet(Monitor *mon, const Args *args);
void hmp_hostfwd_add(Monitor *mon, const Args *args);
void hmp_hostfwd_remove(Monitor *mon, const Args *args);
void hmp_set_link(Monitor *mon, const Args *args);
void hmp_netdev_add(Monitor *mon, const Args *args);
void hmp_netdev_del(Monitor *mon, const Args *args);

/* Around reading or changing registers: the vCPUs stand still meanwhile.
 * Returns what mon_cpus_release() wants to know. */
bool mon_cpus_hold(Monitor *mon);
void mon_cpus_release(Monitor *mon, bool held);

/* hmp-snapshot.c */
void hmp_savevm(Monitor *mon, const Args *args);
void hmp_loadvm(Monitor *mon, const Args *args);
void hmp_delvm(Monitor *mon, const Args *args);
void hmp_info_snapshots(Monitor *mon, const Args *args);

/* hmp-migrate.c */
void hmp_migrate(Monitor *mon, const Args *args);
void hmp_migrate_cancel(Monitor *mon, const Args *args);
void hmp_migrate_incoming(Monitor *mon, const Args *args);
HmpFn hmp_migrate_set_capability, hmp_migrate_set_parameter,
    hmp_info_migrate_capabilities, hmp_info_migrate_parameters;
void hmp_info_migrate(Monitor *mon, const Args *args);

/* qmp-balloon.c */
void hmp_balloon(Monitor *mon, const Args *args);
void hmp_info_balloon(Monitor *mon, const Args *args);

/* hmp-see.c */
HmpFn hmp_info_irq, hmp_info_jit, hmp_info_ramblock, hmp_info_numa,
    hmp_info_qdm, hmp_info_stats, hmp_info_trace_events, hmp_trace_event;

/* hmp-gdb.c */
void hmp_gdbserver(Monitor *mon, const Args *args);

#endif
