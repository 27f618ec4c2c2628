/* The types and events of QMP. Names of types are ours; members are QEMU's. */
#include "util/osdep.h"
#include "monitor/qmp-types.h"

/* clang-format off */
const QmpType qmp_types[] = {
    { "Object", "*" }, /* any */
    /* the machine */
    { "VersionInfo", "qemu:VersionTriple package:s" },
    { "VersionTriple", "major:i minor:i micro:i" },
    { "NameInfo", "name?:s" },
    { "UuidInfo", "UUID:s" },
    { "TargetInfo", "arch:e(i386|x86_64)" },
    { "KvmInfo", "enabled:b present:b" },
    { "RunState", "=e(debug|inmigrate|internal-error|io-error|paused|postmigrate|prelaunch|finish-migrate|restore-vm|running|save-vm|shutdown|suspended|watchdog|guest-panicked|colo)" },
    { "StatusInfo", "running:b singlestep:b status:RunState" },
    { "ShutdownCause", "=e(none|host-error|host-qmp-quit|host-qmp-system-reset|host-signal|host-ui|guest-shutdown|guest-reset|guest-panic|subsystem-reset|snapshot-load)" },
    { "CommandInfo", "name:s" },
    { "MachineInfo", "name:s alias?:s is-default?:b cpu-max:i hotpluggable-cpus:b numa-mem-supported:b deprecated:b default-cpu-type?:s default-ram-id?:s" },
    { "CurrentMachineParams", "wakeup-suspend-support:b" },
    { "CpuDefinitionInfo", "name:s migration-safe?:b static:b unavailable-features?:[s typename:s alias-of?:s deprecated:b" },
    { "CpuModelInfo", "name:s props?:Object" },
    { "CpuModelExpansionInfo", "model:CpuModelInfo" },
    { "CpuInstanceProperties", "node-id?:i socket-id?:i die-id?:i cluster-id?:i core-id?:i thread-id?:i" },
    { "CpuInfoFast", "cpu-index:i qom-path:s thread-id:i props?:CpuInstanceProperties target:e(i386|x86_64)" },
    { "HotpluggableCpu", "type:s vcpus-count:i props:CpuInstanceProperties qom-path?:s" },
    { "MemoryInfo", "base-memory:i plugged-memory?:i" },
    { "Memdev", "id?:s size:i merge:b dump:b prealloc:b share:b reserve?:b host-nodes:[i policy:e(default|preferred|bind|interleave)" },
    { "IOThreadInfo", "id:s thread-id:i poll-max-ns:i poll-grow:i poll-shrink:i aio-max-batch:i" },
    { "MouseInfo", "name:s index:i current:b absolute:b" },
    { "DumpGuestMemoryFormat", "=e(elf)" },
    { "DumpGuestMemoryCapability", "formats:[DumpGuestMemoryFormat" },
    { "DumpQueryResult", "status:e(none|active|completed|failed) completed:i total:i" },
    { "TPMInfo", "id:s model:s options:q" },
    { "DescriptorInfo", "fd:i opaque?:s" },
    { "DescriptorSet", "fdset-id:i fds:[DescriptorInfo" },
    { "AddfdInfo", "fdset-id:i fd:i" },
    { "CommandLineParameterInfo", "name:s type:e(string|boolean|number|size) help?:s default?:s" },
    { "CommandLineOptionInfo", "option:s parameters:[CommandLineParameterInfo" },
    { "SchemaInfo", "name:s meta-type:e(builtin|enum|array|object|alternate|command|event) *" },
    /* objects */
    { "ObjectPropertyInfo", "name:s type:s description?:s default-value?:q" },
    { "ObjectTypeInfo", "name:s abstract?:b parent?:s" },
    /* character devices */
    { "ChardevInfo", "label:s filename:s frontend-open:b" },
    { "ChardevBackendInfo", "name:s" },
    { "ChardevReturn", "pty?:s" },
    { "ChardevBackend", "type:s data?:Object" },
    { "DataFormat", "=e(utf8|base64)" },
    /* network */
    { "RxState", "=e(normal|none|all)" },
    { "RxFilterInfo", "name:s promiscuous:b multicast:RxState unicast:RxState vlan:RxState broadcast-allowed:b multicast-overflow:b unicast-overflow:b main-mac:s vlan-table:[i unicast-table:[s multicast-table:[s" },
    /* PCI */
    { "PciInfo", "bus:i devices:[PciDeviceInfo" },
    { "PciDeviceInfo", "bus:i slot:i function:i class_info:PciDeviceClass id:PciDeviceId irq?:i irq_pin:i qdev_id:s regions:[PciMemoryRegion" },
    { "PciDeviceClass", "desc?:s class:i" },
    { "PciDeviceId", "device:i vendor:i subsystem?:i subsystem-vendor?:i" },
    { "PciMemoryRegion", "bar:i type:s address:i size:i prefetch?:b mem_type_64?:b" },
    /* migration */
    { "MigrationStatus", "=e(none|setup|cancelling|cancelled|active|completed|failed)" },
    { "MigrationStats", "transferred:i remaining:i total:i page-size:i" },
    { "BalloonInfo", "actual:i" },
    { "MigrationInfo", "status?:MigrationStatus ram?:MigrationStats total-time?:i error-desc?:s" },
    { "MigrationCapability", "=e(events)" },
    { "MigrationCapabilityStatus", "capability:MigrationCapability state:b" },
    /* disks */
    { "SnapshotInfo", "id:s name:s vm-state-size:i date-sec:i date-nsec:i vm-clock-sec:i vm-clock-nsec:i icount?:i" },
    { "ImageInfo", "filename:s format:s dirty-flag?:b actual-size?:i virtual-size:i cluster-size?:i encrypted?:b compressed?:b backing-filename?:s full-backing-filename?:s backing-filename-format?:s snapshots?:[SnapshotInfo backing-image?:ImageInfo format-specific?:q" },
    { "BlockdevCacheInfo", "writeback:b direct:b no-flush:b" },
    { "DetectZeroes", "=e(off|on|unmap)" },
    { "BlockDeviceInfo", "file:s node-name?:s ro:b drv:s backing_file?:s backing_file_depth:i encrypted:b detect_zeroes:DetectZeroes bps:i bps_rd:i bps_wr:i iops:i iops_rd:i iops_wr:i image:ImageInfo bps_max?:i bps_rd_max?:i bps_wr_max?:i iops_max?:i iops_rd_max?:i iops_wr_max?:i iops_size?:i cache:BlockdevCacheInfo write_threshold:i" },
    { "BlockInfo", "device:s qdev?:s type:s removable:b locked:b inserted?:BlockDeviceInfo tray_open?:b io-status?:e(ok|failed|nospace)" },
    { "BlockDeviceStats", "rd_bytes:i wr_bytes:i unmap_bytes:i rd_operations:i wr_operations:i flush_operations:i unmap_operations:i rd_total_time_ns:i wr_total_time_ns:i flush_total_time_ns:i unmap_total_time_ns:i wr_highest_offset:i rd_merged:i wr_merged:i unmap_merged:i failed_rd_operations:i failed_wr_operations:i failed_flush_operations:i failed_unmap_operations:i invalid_rd_operations:i invalid_wr_operations:i invalid_flush_operations:i invalid_unmap_operations:i account_invalid:b account_failed:b timed_stats:[q" },
    { "BlockStats", "device?:s qdev?:s node-name?:s stats:BlockDeviceStats" },
    { "BlockdevOptionsCache", "direct?:b no-flush?:b" },
    { "ReadOnlyMode", "=e(retain|read-only|read-write)" },
    { 0 },
};

const QmpEvent qmp_events[] = {
    { "SHUTDOWN", "guest:b reason:ShutdownCause", "the machine ends, or stops for good with -no-shutdown", 0, NULL },
    { "RESET", "guest:b reason:ShutdownCause", "the machine was reset", 0, NULL },
    { "STOP", "", "the processors stand still", 0, NULL },
    { "RESUME", "", "the processors run", 0, NULL },
    { "POWERDOWN", "", "the power button was pressed", 0, NULL },
    { "GUEST_PANICKED", "action:e(pause|poweroff|run)", "the guest's system says that it failed", 0, NULL },
    { "RTC_CHANGE", "offset:i qom-path:s", "the guest set its clock; offset: seconds from what it was started with", 1000, NULL },
    { "BALLOON_CHANGE", "actual:i", "the guest's memory has a new size, in bytes", 1000, NULL },
    { "VSERPORT_CHANGE", "id:s open:b", "a program in the guest opened or closed a virtio serial port", 1000, "id" },
    { "NIC_RX_FILTER_CHANGED", "name?:s path:s", "the guest changed which packets it takes; comes once until query-rx-filter", 0, NULL },
    { "MIGRATION", "status:MigrationStatus", "a migration has got further", 0, NULL },
    { "BLOCK_IO_ERROR", "device:s node-name?:s operation:e(read|write) action:e(ignore|report|stop) nospace?:b reason:s", "a disk request failed", 0, NULL },
    { "DUMP_COMPLETED", "result:DumpQueryResult error?:s", "dump-guest-memory is over", 0, NULL },
    { 0 },
};
/* clang-format on */
