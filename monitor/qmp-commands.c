/*
 * Every command of QMP. Names, members and types are QEMU 7.2's; what is left
 * out of a type is not supported. A command's help is the reference page's.
 */
#include "util/osdep.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

/* clang-format off */
const QmpCommand qmp_commands[] = {
    /* the session */
    { "qmp_capabilities", "enable?:[e(oob)", "",
      "ends the negotiation; before it no other command runs", qmp_capabilities, 0 },
    { "query-version", "", "VersionInfo",
      "the version of QEMU whose behaviour this is, and our own", qmp_query_version, 0 },
    { "query-commands", "", "[CommandInfo",
      "the names in this table", qmp_query_commands, 0 },
    { "query-qmp-schema", "", "[SchemaInfo",
      "commands, events and types, in QEMU's form", qmp_query_schema, 0 },
    { "query-command-line-options", "option?:s", "[CommandLineOptionInfo",
      "options of the command line that take parameters", qmp_query_command_line_options, 0 },
    { "human-monitor-command", "command-line:s cpu-index?:i", "s",
      "a line as typed at the human monitor; returns what it prints", qmp_human_monitor_command, 0 },
    { "quit", "", "", "ends the emulator", qmp_quit, 0 },

    /* the machine */
    { "query-status", "", "StatusInfo",
      "whether the processors run", qmp_query_status, CMD_OOB },
    { "query-name", "", "NameInfo", "-name", qmp_query_name, CMD_OOB },
    { "query-uuid", "", "UuidInfo", "-uuid", qmp_query_uuid, CMD_OOB },
    { "query-target", "", "TargetInfo", "the guest's architecture", qmp_query_target, 0 },
    { "query-kvm", "", "KvmInfo", "whether KVM executes the guest", qmp_query_kvm, 0 },
    { "x-query-kvm-exits", "", "KvmExits",
      "what KVM came back for, how often, and what it cost; of -accel kvm", qmp_query_kvm_exits, 0 },
    { "query-machines", "", "[MachineInfo", "machines for -machine", qmp_query_machines, 0 },
    { "query-current-machine", "", "CurrentMachineParams",
      "what this machine can do", qmp_query_current_machine, 0 },
    { "query-memory-size-summary", "", "MemoryInfo",
      "bytes of memory", qmp_query_memory_size, 0 },
    { "query-memdev", "", "[Memdev", "where the memory comes from", qmp_query_memdev, 0 },
    { "query-mice", "", "[MouseInfo", "pointing devices", qmp_query_mice, 0 },
    { "stop", "", "", "stops the processors", qmp_stop, 0 },
    { "cont", "", "", "lets the processors run", qmp_cont, 0 },
    { "system_reset", "", "", "resets the machine", qmp_system_reset, 0 },
    { "system_powerdown", "", "", "presses the power button", qmp_system_powerdown, 0 },
    { "system_wakeup", "", "", "wakes a suspended guest", qmp_system_wakeup, 0 },
    { "inject-nmi", "", "", "a non-maskable interrupt to every processor", qmp_inject_nmi, 0 },
    { "set-action", "reboot?:e(reset|shutdown) shutdown?:e(poweroff|pause) panic?:e(pause|shutdown|exit-failure|none) watchdog?:WatchdogAction", "",
      "what reset, power-off, panic and a watchdog lead to", qmp_set_action, 0 },
    { "watchdog-set-action", "action:WatchdogAction", "",
      "what a watchdog leads to", qmp_watchdog_set_action, 0 },

    { "trace-event-get-state", "name:s vcpu?:i", "[TraceEventInfo",
      "trace events that fit a name or pattern, and whether they are on", qmp_trace_event_get_state, 0 },
    { "trace-event-set-state", "name:s enable:b ignore-unavailable?:b vcpu?:i", "",
      "switches trace events", qmp_trace_event_set_state, 0 },
    { "x-query-stats", "", "HumanReadableText",
      "what the processors and devices have done so far, as info stats prints it", qmp_x_query_stats, 0 },

    /* processors */
    { "query-cpus-fast", "", "[CpuInfoFast", "the processors", qmp_query_cpus_fast, 0 },
    { "query-hotpluggable-cpus", "", "[HotpluggableCpu",
      "places for processors; all are taken", qmp_query_hotpluggable_cpus, 0 },
    { "query-cpu-definitions", "", "[CpuDefinitionInfo",
      "models for -cpu, and what each lacks here", qmp_query_cpu_definitions, 0 },
    { "query-cpu-model-expansion", "type:e(static|full) model:CpuModelInfo", "CpuModelExpansionInfo",
      "the features of a model", qmp_query_cpu_model_expansion, 0 },

    /* memory */
    { "memsave", "val:i size:i filename:F cpu-index?:i", "",
      "virtual memory to a file", qmp_memsave, 0 },
    { "pmemsave", "val:i size:i filename:F", "", "physical memory to a file", qmp_pmemsave, 0 },
    { "dump-guest-memory", "paging:b protocol:s detach?:b begin?:i length?:i format?:DumpGuestMemoryFormat", "",
      "memory and registers to an ELF core file (file:PATH or fd:NAME); the guest waits meanwhile, detach or not", qmp_dump_guest_memory, 0 },
    { "query-dump", "", "DumpQueryResult", "the dump under way", qmp_query_dump, 0 },
    { "query-dump-guest-memory-capability", "", "DumpGuestMemoryCapability",
      "formats of dump-guest-memory", qmp_query_dump_capability, 0 },

    /* objects */
    { "qom-list", "path:s", "[ObjectPropertyInfo",
      "properties and children of an object", qmp_qom_list, 0 },
    { "qom-get", "path:s property:s", "q", "the value of a property", qmp_qom_get, 0 },
    { "qom-set", "path:s property:s value:q", "",
      "changes a property, where one can be changed", qmp_qom_set, 0 },
    { "qom-list-types", "implements?:s abstract?:b", "[ObjectTypeInfo",
      "everything that can be made", qmp_qom_list_types, 0 },
    { "qom-list-properties", "typename:s", "[ObjectPropertyInfo",
      "properties of a machine or an object of this type", qmp_qom_list_properties, 0 },
    { "device-list-properties", "typename:s", "[ObjectPropertyInfo",
      "properties of a device, as -device TYPE,help", qmp_device_list_properties, 0 },

    /* character devices */
    { "query-chardev", "", "[ChardevInfo", "the character devices", qmp_query_chardev, 0 },
    { "query-chardev-backends", "", "[ChardevBackendInfo",
      "what chardev-add can make", qmp_query_chardev_backends, 0 },
    { "chardev-add", "id:s backend:ChardevBackend", "ChardevReturn",
      "makes a character device", qmp_chardev_add, 0 },
    { "chardev-remove", "id:s", "", "removes one that nobody uses", qmp_chardev_remove, 0 },
    { "chardev-send-break", "id:s", "", "a break to the guest's end", qmp_chardev_send_break, 0 },
    { "ringbuf-read", "device:s size:i format?:DataFormat", "s",
      "takes what the guest wrote to a ringbuf", qmp_ringbuf_read, 0 },
    { "ringbuf-write", "device:s data:s format?:DataFormat", "",
      "appends to a ringbuf", qmp_ringbuf_write, 0 },
    { "getfd", "fdname:s", "",
      "names a descriptor that came along (SCM_RIGHTS)", qmp_getfd, 0 },
    { "closefd", "fdname:s", "", "closes it", qmp_closefd, 0 },
    { "add-fd", "fdset-id?:i opaque?:s", "AddfdInfo", "puts one into a set: /dev/fdset/N is a file name", qmp_add_fd, 0 },
    { "remove-fd", "fdset-id:i fd?:i", "", "closes one, or a set", qmp_remove_fd, 0 },
    { "query-fdsets", "", "[DescriptorSet", "the sets", qmp_query_fdsets, 0 },

    { "object-add", "qom-type:s id:s *", "", "makes a back end, as -object", qmp_object_add, 0 },
    { "object-del", "id:s", "", "removes one that nobody uses", qmp_object_del, 0 },
    { "query-iothreads", "", "[IOThreadInfo", "objects of type iothread; all work is done in the main thread", qmp_query_iothreads, 0 },

    /* disks */
    { "query-block", "", "[BlockInfo", "the disks", qmp_query_block, 0 },
    { "query-blockstats", "query-nodes?:b", "[BlockStats",
      "requests since the start; wr_highest_offset is not counted", qmp_query_blockstats, 0 },
    { "query-named-block-nodes", "flat?:b", "[BlockDeviceInfo", "all block nodes", qmp_query_named_block_nodes, 0 },
    { "blockdev-add", "driver:s node-name?:s discard?:e(ignore|unmap) cache?:BlockdevOptionsCache read-only?:b auto-read-only?:b force-share?:b detect-zeroes?:DetectZeroes *", "",
      "opens an image as a node, as -blockdev", qmp_blockdev_add, 0 },
    { "blockdev-del", "node-name:s", "", "closes a node that nobody uses", qmp_blockdev_del, 0 },
    { "block_resize", "device?:s node-name?:s size:i", "", "gives a disk another size in bytes", qmp_block_resize, 0 },
    { "block_set_io_throttle", "device?:s id?:s bps:i bps_rd:i bps_wr:i iops:i iops_rd:i iops_wr:i bps_max?:i bps_rd_max?:i bps_wr_max?:i iops_max?:i iops_rd_max?:i iops_wr_max?:i iops_size?:i", "",
      "limits a disk's speed; 0: no limit", qmp_block_set_io_throttle, 0 },
    { "eject", "device?:s id?:s force?:b", "", "takes the disc out of a drive", qmp_eject, 0 },
    { "blockdev-change-medium", "device?:s id?:s filename:s format?:s force?:b read-only-mode?:ReadOnlyMode", "",
      "puts another disc into a drive", qmp_change_medium, 0 },
    { "blockdev-remove-medium", "id:s", "", "takes the disc out", qmp_remove_medium, 0 },
    { "blockdev-insert-medium", "id:s node-name:s", "", "puts a node into an empty drive", qmp_insert_medium, 0 },

    /* PCI */
    { "query-pci", "", "[PciInfo", "PCI functions", qmp_query_pci, 0 },

    /* network */
    { "query-rx-filter", "name?:s", "[RxFilterInfo", "which packets a card takes; asking makes NIC_RX_FILTER_CHANGED come again", qmp_query_rx_filter, 0 },
    { "netdev_add", "id:s type:s *", "", "makes a back end, as -netdev", qmp_netdev_add, 0 },
    { "netdev_del", "id:s", "", "removes one", qmp_netdev_del, 0 },
    { "set_link", "name:s up:b", "", "plugs or unplugs the cable of a card or a back end", qmp_set_link, 0 },

    /* migration */
    { "balloon", "value:i", "", "asks the guest to have this many bytes of memory", qmp_balloon, 0 },
    { "query-balloon", "", "BalloonInfo", "what it has", qmp_query_balloon, 0 },
    { "migrate", "uri:s blk?:b inc?:b detach?:b resume?:b", "", "stops the machine and sends it to exec:, file:, unix:, tcp: or fd:", qmp_migrate, 0 },
    { "migrate_cancel", "", "", "gives it up", qmp_migrate_cancel, CMD_OOB },
    { "migrate-incoming", "uri:s", "", "goes on with -incoming defer", qmp_migrate_incoming, 0 },
    { "query-migrate", "", "MigrationInfo", "how far it is", qmp_query_migrate, CMD_OOB },
    { "query-migrate-capabilities", "", "[MigrationCapabilityStatus", "what it can do: tell by events", qmp_query_migrate_capabilities, 0 },
    { "migrate-set-capabilities", "capabilities:[MigrationCapabilityStatus", "", "turns them on", qmp_migrate_set_capabilities, 0 },

    /* jobs */
    { "query-jobs", "", "[JobInfo", "all jobs", qmp_query_jobs, CMD_OOB },
    { "query-block-jobs", "", "[BlockJobInfo", "jobs on disks", qmp_query_block_jobs, CMD_OOB },
    { "drive-mirror", "job-id?:s device:s target:s format?:s node-name?:s replaces?:s sync:MirrorSyncMode mode?:NewImageMode speed?:i granularity?:i buf-size?:i on-source-error?:OnError on-target-error?:OnError unmap?:b copy-mode?:MirrorCopyMode auto-finalize?:b auto-dismiss?:b", "",
      "makes a file the copy of a disk and, on block-job-complete, the disk", qmp_drive_mirror, 0 },
    { "blockdev-mirror", "job-id?:s device:s target:s replaces?:s sync:MirrorSyncMode speed?:i granularity?:i buf-size?:i on-source-error?:OnError on-target-error?:OnError filter-node-name?:s copy-mode?:MirrorCopyMode auto-finalize?:b auto-dismiss?:b", "",
      "the same with a node", qmp_blockdev_mirror, 0 },
    { "drive-backup", "job-id?:s device:s target:s format?:s sync:MirrorSyncMode mode?:NewImageMode speed?:i bitmap?:s bitmap-mode?:BitmapSyncMode compress?:b on-source-error?:OnError on-target-error?:OnError filter-node-name?:s auto-finalize?:b auto-dismiss?:b", "",
      "copies a disk, as it is now, to a file", qmp_drive_backup, 0 },
    { "blockdev-backup", "job-id?:s device:s target:s sync:MirrorSyncMode speed?:i bitmap?:s bitmap-mode?:BitmapSyncMode compress?:b on-source-error?:OnError on-target-error?:OnError filter-node-name?:s auto-finalize?:b auto-dismiss?:b", "",
      "the same with a node", qmp_blockdev_backup, 0 },
    { "block-stream", "job-id?:s device:s base?:s base-node?:s backing-file?:s speed?:i on-error?:OnError filter-node-name?:s auto-finalize?:b auto-dismiss?:b", "",
      "copies what a disk gets from its backing files into it", qmp_block_stream, 0 },
    { "block-commit", "job-id?:s device:s base-node?:s base?:s top-node?:s top?:s backing-file?:s speed?:i on-error?:OnError filter-node-name?:s auto-finalize?:b auto-dismiss?:b", "",
      "puts layers of a disk into the one below", qmp_block_commit, 0 },
    { "block-job-set-speed", "device:s speed:i", "", "limits a job, in bytes per second; 0: no limit", qmp_block_job_set_speed, 0 },
    { "block-job-cancel", "device:s force?:b", "", "ends a job; a ready mirror keeps its copy unless forced", qmp_job_cancel, 0 },
    { "block-job-pause", "device:s", "", "lets a job wait", qmp_job_pause, 0 },
    { "block-job-resume", "device:s", "", "lets it go on", qmp_job_resume, 0 },
    { "block-job-complete", "device:s", "", "ends a job that is ready", qmp_job_complete, 0 },
    { "block-job-dismiss", "id:s", "", "forgets a concluded job", qmp_job_dismiss, 0 },
    { "block-job-finalize", "id:s", "", "jobs finalize themselves", qmp_job_finalize, 0 },
    { "job-cancel", "id:s", "", "breaks a job off", qmp_job_cancel, 0 },
    { "job-pause", "id:s", "", "lets a job wait", qmp_job_pause, 0 },
    { "job-resume", "id:s", "", "lets it go on", qmp_job_resume, 0 },
    { "job-complete", "id:s", "", "ends a job that is ready", qmp_job_complete, 0 },
    { "job-dismiss", "id:s", "", "forgets a concluded job", qmp_job_dismiss, 0 },
    { "job-finalize", "id:s", "", "jobs finalize themselves", qmp_job_finalize, 0 },
    { "snapshot-save", "job-id:s tag:s vmstate:s devices:[s", "", "saves the machine and disks as a snapshot; the job is over when the command is", qmp_snapshot_save, 0 },
    { "snapshot-load", "job-id:s tag:s vmstate:s devices:[s", "", "goes back to a snapshot", qmp_snapshot_load, 0 },
    { "snapshot-delete", "job-id:s tag:s devices:[s", "", "deletes a snapshot", qmp_snapshot_delete, 0 },

    /* snapshots of disks, bitmaps */
    { "blockdev-snapshot-sync", "device?:s node-name?:s snapshot-file:s snapshot-node-name?:s format?:s mode?:NewImageMode", "",
      "lets a disk go on in a new file over the old one", qmp_snapshot_sync, 0 },
    { "blockdev-snapshot", "node:s overlay:s", "", "the same with a node", qmp_snapshot_node, 0 },
    { "blockdev-snapshot-internal-sync", "device:s name:s", "", "a snapshot inside the image", qmp_snapshot_internal, 0 },
    { "blockdev-snapshot-delete-internal-sync", "device:s id?:s name?:s", "SnapshotInfo", "deletes one", qmp_snapshot_delete_internal, 0 },
    { "block-dirty-bitmap-add", "node:s name:s granularity?:i persistent?:b disabled?:b", "", "begins to note what is written", qmp_bitmap_add, 0 },
    { "block-dirty-bitmap-remove", "node:s name:s", "", "deletes a bitmap", qmp_bitmap_remove, 0 },
    { "block-dirty-bitmap-clear", "node:s name:s", "", "empties one", qmp_bitmap_clear, 0 },
    { "block-dirty-bitmap-enable", "node:s name:s", "", "lets it note writes", qmp_bitmap_enable, 0 },
    { "block-dirty-bitmap-disable", "node:s name:s", "", "lets it stay as it is", qmp_bitmap_disable, 0 },
    { "block-dirty-bitmap-merge", "node:s target:s bitmaps:[q", "", "adds what others say", qmp_bitmap_merge, 0 },
    { "transaction", "actions:[TransactionAction properties?:TransactionProperties", "",
      "does all actions, or none if one fails", qmp_transaction, 0 },

    /* what is not here, for clients that ask everybody */
    { "query-tpm", "", "[TPMInfo", "trusted platform modules: none", qmp_query_empty, 0 },
    { "query-tpm-models", "", "[s", "models of them: none", qmp_query_empty, 0 },
    { "query-tpm-types", "", "[s", "types of them: none", qmp_query_empty, 0 },
    { 0 },
};
/* clang-format on */

#endif
