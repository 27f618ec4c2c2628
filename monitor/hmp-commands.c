/*
 * Every command of the human monitor, in the order help shows. A row named "#"
 * is a heading; what follows a newline in a help text is an example.
 */
#include "util/osdep.h"
#include "monitor/hmp.h"

#define HEADING(text) \
    { \
        "#", "", "", text, NULL, NULL \
    }

/* clang-format off */
const HmpCommand hmp_commands[] = {
    HEADING("Help"),
    { "help|?", "name?:S", "[cmd]", "show the help of all commands or of one\nhelp x", hmp_help, NULL },
    { "info", "item?:s", "[subcommand]", "show various information about the machine\ninfo registers", NULL, hmp_info_commands },

    HEADING("Running and stopping"),
    { "stop|s", "", "", "stop the processors", hmp_stop, NULL },
    { "cont|c", "", "", "let the processors run on", hmp_cont, NULL },
    { "system_reset", "", "", "reset the machine", hmp_system_reset, NULL },
    { "system_powerdown", "", "", "press the power button", hmp_system_powerdown, NULL },
    { "system_wakeup", "", "", "wake a guest that sleeps", hmp_system_wakeup, NULL },
    { "gdbserver", "device?:s", "[device]", "wait for gdb on tcp::1234 or another character device (none: no more)", hmp_gdbserver, NULL },
    { "nmi", "", "", "send a non-maskable interrupt to every processor", hmp_nmi, NULL },
    { "watchdog_action", "action:s", "[reset|shutdown|poweroff|pause|debug|none|inject-nmi]", "what a watchdog leads to that runs out\nwatchdog_action pause", hmp_watchdog_action, NULL },
    { "quit|q", "", "", "end the emulator", hmp_quit, NULL },

    HEADING("Snapshots and migration"),
    { "savevm", "name?:s", "[tag]", "save the machine and its disks as a snapshot", hmp_savevm, NULL },
    { "loadvm", "name:s", "tag|id", "go back to a snapshot", hmp_loadvm, NULL },
    { "delvm", "name:s", "tag", "delete a snapshot", hmp_delvm, NULL },
    { "balloon", "value:i", "target", "ask the guest to have this many MiB of memory", hmp_balloon, NULL },
    { "migrate", "detach:-d uri:s", "[-d] uri", "send the machine, stopped, to exec:, file:, unix: or tcp: (-d: do not wait)", hmp_migrate, NULL },
    { "migrate_cancel", "", "", "give the migration up", hmp_migrate_cancel, NULL },
#if CONFIG_JSON_C
    { "migrate_set_capability", "capability:s state:b", "capability on|off", "turn a capability on (info migrate_capabilities lists them)", hmp_migrate_set_capability, NULL },
    { "migrate_set_parameter", "parameter:s value:s", "parameter value", "change a parameter (info migrate_parameters lists them)\nmigrate_set_parameter max-bandwidth 100M", hmp_migrate_set_parameter, NULL },
#endif
    { "migrate_incoming", "uri:s", "uri", "go on with -incoming defer", hmp_migrate_incoming, NULL },

    HEADING("Processors, memory and ports"),
    { "cpu", "index:i", "index", "choose the processor other commands look at\ncpu 1", hmp_cpu, NULL },
    { "print|p", "fmt:f val:x", "/fmt expr", "print the value of an expression; $reg is a register\np/x $rsp+8", hmp_print, NULL },
    { "x", "fmt:f addr:a", "/fmt addr", "dump virtual memory at addr; fmt is count, format (x d u o c i) and size (b h w g)\nx/10i $pc", hmp_x, NULL },
    { "xp", "fmt:f addr:x", "/fmt addr", "dump physical memory at addr\nxp/16xb 0x7c00", hmp_xp, NULL },
    { "gva2gpa", "addr:x", "addr", "physical address of a virtual one\ngva2gpa $rip", hmp_gva2gpa, NULL },
    { "gpa2hva", "addr:x", "addr", "where physical memory is in this process\ngpa2hva 0x100000", hmp_gpa2hva, NULL },
    { "gpa2hpa", "addr:x", "addr", "where it is in the host's memory (for root)", hmp_gpa2hpa, NULL },
    { "i", "fmt:f addr:x index?:x", "/fmt addr", "read an I/O port\ni /b 0x64", hmp_port_in, NULL },
    { "o", "fmt:f addr:x val:x", "/fmt addr value", "write an I/O port\no /b 0x70 0x0a", hmp_port_out, NULL },
    { "sum", "start:x size:x", "addr size", "checksum (16 bits) of physical memory", hmp_sum, NULL },
    { "memsave", "val:x size:x filename:F", "addr size file", "save virtual memory to a file\nmemsave 0xc0000000 4096 page.bin", hmp_memsave, NULL },
    { "pmemsave", "val:x size:x filename:F", "addr size file", "save physical memory to a file\npmemsave 0 0x100000 low.bin", hmp_pmemsave, NULL },
#if CONFIG_JSON_C
    { "dump-guest-memory", "paging:-p filename:F begin?:x length?:x", "filename [begin length]", "save memory and registers as an ELF core file for crash and gdb\ndump-guest-memory vmcore", hmp_dump_guest_memory, NULL },

    HEADING("Disks"),
    { "block_resize", "device:B size:o", "device size", "resize a block image (the unit is MiB)\nblock_resize virtio0 4G", hmp_block_resize, NULL },
    { "block_set_io_throttle", "device:B bps:l bps_rd:l bps_wr:l iops:l iops_rd:l iops_wr:l", "device bps bps_rd bps_wr iops iops_rd iops_wr", "limit a disk's speed; 0: no limit", hmp_block_set_io_throttle, NULL },
    { "eject", "force:-f device:B", "[-f] device", "eject a removable medium", hmp_eject, NULL },
    { "change", "device:B force:-f target:F arg?:s read-only-mode?:s", "device [-f] filename [format [read-only-mode]]", "put another disc into a drive\nchange ide1-cd0 next.iso", hmp_change, NULL },
    { "commit", "device:B", "device|all", "write what a disk has over its backing file into that file\ncommit all", hmp_commit, NULL },
    { "snapshot_blkdev", "new:-n device:B snapshot-file:F format?:s", "[-n] device new-image-file [format]", "let a disk go on in a new file over the old one (-n: the file exists)", hmp_snapshot_blkdev, NULL },
    { "snapshot_blkdev_internal", "device:B name:s", "device name", "take a snapshot inside an image", hmp_snapshot_blkdev_internal, NULL },
    { "snapshot_delete_blkdev_internal", "device:B name:s id?:s", "device name [id]", "delete one", hmp_snapshot_delete_blkdev_internal, NULL },
    { "drive_mirror", "new:-n full:-f device:B target:F format?:s", "[-n] [-f] device target [format]", "follow a disk with a copy, which block_job_complete makes the disk (-n: the file exists; -f: all, not the top layer)", hmp_drive_mirror, NULL },
    { "drive_backup", "new:-n full:-f compress:-c device:B target:F format?:s", "[-n] [-f] [-c] device target [format]", "copy a disk, as it is now (-c: compressed)\ndrive_backup -f virtio0 backup.qcow2", hmp_drive_backup, NULL },
    { "block_stream", "device:B speed?:o base?:s", "device [speed [base]]", "copy what a disk gets from its backing files into it", hmp_block_stream, NULL },
    { "block_job_set_speed", "device:B speed:o", "device speed", "limit a job, in MiB per second", hmp_block_job_set_speed, NULL },
    { "block_job_cancel", "force:-f device:B", "[-f] device", "end a job (-f: even one that is ready)", hmp_block_job_cancel, NULL },
    { "block_job_complete", "device:B", "device", "end a job that is ready", hmp_block_job_complete, NULL },
    { "block_job_pause", "device:B", "device", "let a job wait", hmp_block_job_pause, NULL },
    { "block_job_resume", "device:B", "device", "let it go on", hmp_block_job_resume, NULL },
#endif
    { "drive_add", "pci_addr:s opts:S", "0 if=none,file=name,id=id,...", "add a drive that a device can take\ndrive_add 0 if=none,id=d1,file=data.qcow2", hmp_drive_add, NULL },
    { "drive_del", "id:B", "device", "remove a drive that nobody uses", hmp_drive_del, NULL },

    HEADING("Devices"),
    { "device_add", "device:S", "driver[,prop=value][,...]", "plug a device into the running machine, as -device\ndevice_add virtio-blk-pci,drive=d1,id=disk1", hmp_device_add, NULL },
#if CONFIG_JSON_C
    { "device_del", "id:D", "device", "ask the guest to let go of a device\ndevice_del disk1", hmp_device_del, NULL },
#endif

    HEADING("Network"),
    { "set_link", "name:s up:b", "name on|off", "plug or unplug the cable of a network card or back end\nset_link net0 off", hmp_set_link, NULL },
    { "hostfwd_add", "arg1:s arg2?:s", "[netdev_id] [tcp|udp]:[host]:port-[guest]:port", "forward a port of the host into the guest\nhostfwd_add tcp:127.0.0.1:2222-:22", hmp_hostfwd_add, NULL },
    { "hostfwd_remove", "arg1:s arg2?:s", "[netdev_id] [tcp|udp]:[host]:port", "forward that port no more\nhostfwd_remove tcp:127.0.0.1:2222", hmp_hostfwd_remove, NULL },
    { "netdev_add", "netdev:S", "type,id=id[,prop=value...]", "add a network back end, as -netdev\nnetdev_add user,id=n1", hmp_netdev_add, NULL },
    { "netdev_del", "id:s", "id", "remove a network back end", hmp_netdev_del, NULL },

    HEADING("Back ends"),
    { "object_add", "object:S", "type,id=id,...", "create an object, as -object\nobject_add secret,id=s0,data=letmein", hmp_object_add, NULL },
    { "object_del", "id:O", "id", "remove an object that nobody uses", hmp_object_del, NULL },
    { "chardev-add", "args:S", "backend,id=id,...", "create a character device, as -chardev\nchardev-add ringbuf,id=r0,size=64k", hmp_chardev_add, NULL },
#if CONFIG_JSON_C
    { "chardev-remove", "id:C", "id", "remove one that nobody uses", hmp_chardev_remove, NULL },
    { "chardev-send-break", "id:C", "id", "send a break to the guest", hmp_chardev_send_break, NULL },
    { "getfd", "fdname:s", "name", "name a descriptor that came over the monitor's unix socket", hmp_getfd, NULL },
    { "closefd", "fdname:s", "name", "close it", hmp_closefd, NULL },
    { "ringbuf_read", "device:C size:i", "device size", "take what the guest wrote to a ringbuf", hmp_ringbuf_read, NULL },
    { "ringbuf_write", "device:C data:s", "device data", "append to a ringbuf", hmp_ringbuf_write, NULL },
    { "qom-list", "path?:s", "[path]", "properties and children of an object\nqom-list /machine/peripheral", hmp_qom_list, NULL },
    { "qom-get", "path:s property:s", "path property", "the value of a property\nqom-get /machine/unattached/device[0] vendor", hmp_qom_get, NULL },
    { "qom-set", "path:s property:s value:S", "path property value", "change a property, where one can be changed", hmp_qom_set, NULL },
#endif

    HEADING("Keyboard and mouse"),
    { "sendkey", "keys:s hold-time?:i", "keys [hold_ms]", "press keys together for 100 ms\nsendkey ctrl-alt-delete", hmp_sendkey, NULL },
    { "mouse_move", "dx:s dy:s dz?:s", "dx dy [dz]", "move the mouse (dz: turn its wheel)\nmouse_move 10 -5", hmp_mouse_move, NULL },
    { "mouse_set", "index:i", "index", "choose the mouse; there is one, 0", hmp_mouse_set, NULL },
    { "mouse_button", "state:i", "state", "hold mouse buttons: 1 left, 2 middle, 4 right, 0 none", hmp_mouse_button, NULL },

    HEADING("Logging"),
    { "log", "items:L", "item1[,...]", "choose what is logged (log help lists it; none)\nlog int,guest_errors", hmp_log, NULL },
    { "trace-event", "name:s option:b", "name on|off", "switch a trace event, or those that fit a pattern (info trace-events lists them)\ntrace-event virtio_* on", hmp_trace_event, NULL },
    { "logfile", "filename:F", "filename", "write the log to a file", hmp_logfile, NULL },
    { 0 },
};

const HmpCommand hmp_info_commands[] = {
    HEADING("The machine"),
    { "status", "", "", "whether the machine runs", hmp_info_status, NULL },
    { "name", "", "", "name of the guest", hmp_info_name, NULL },
    { "uuid", "", "", "UUID of the guest", hmp_info_uuid, NULL },
    { "version", "", "", "version of the emulator", hmp_info_version, NULL },
    { "history", "", "", "lines typed before", hmp_info_history, NULL },

    HEADING("Processors and memory"),
    { "cpus", "", "", "the processors", hmp_info_cpus, NULL },
    { "registers", "all:-a vcpu?:i", "[-a|vcpu]", "processor registers (-a: of all)", hmp_info_registers, NULL },
    { "symbol", "addr:a", "addr", "the kernel's name for an address\ninfo symbol $rip", hmp_info_symbol, NULL },
    { "mem", "", "", "virtual memory that is mapped", hmp_info_mem, NULL },
    { "tlb", "", "", "virtual to physical mappings, page by page", hmp_info_tlb, NULL },
    { "mtree", "flatview:-f", "[-f]", "physical memory and ports (-f: resolved)", hmp_info_mtree, NULL },
#if CONFIG_JSON_C
    { "memory_size_summary", "", "", "how much memory there is", hmp_info_memory_size, NULL },
    { "memory-devices", "", "", "memory that was plugged in: none", hmp_info_memory_devices, NULL },
    { "memdev", "", "", "where the memory comes from", hmp_info_memdev, NULL },
#endif
    { "ramblock", "", "", "RAM and ROM, and where they are in this process", hmp_info_ramblock, NULL },
    { "numa", "", "", "nodes of memory: none", hmp_info_numa, NULL },
    { "jit", "", "", "what the software CPU has decoded", hmp_info_jit, NULL },
    { "kvm", "", "", "KVM, and what was completed in software", hmp_info_kvm, NULL },
    { "exits", "", "", "exits of KVM by reason, port and address", hmp_info_exits, NULL },
    { "stats", "", "", "what the processors and devices have done so far", hmp_info_stats, NULL },
    { "trace-events", "name?:s", "[pattern]", "trace events, and which are on", hmp_info_trace_events, NULL },

    HEADING("Devices"),
    { "qtree", "", "", "the devices on their buses, with their properties", hmp_info_qtree, NULL },
    { "qdm", "", "", "devices for -device", hmp_info_qdm, NULL },
    { "pci", "", "", "PCI functions", hmp_info_pci, NULL },
    { "pic", "", "", "interrupt controllers", hmp_info_pic, NULL },
    { "irq", "", "", "how often each interrupt input rose", hmp_info_irq, NULL },
    { "lapic", "index?:i", "[index]", "the local APIC of a processor", hmp_info_lapic, NULL },
#if CONFIG_JSON_C
    { "qom-tree", "path?:s", "[path]", "all objects", hmp_info_qom_tree, NULL },
    { "block", "nodes:-n verbose:-v device?:B", "[-n] [-v] [device]", "the disks (-n: all nodes; -v: more of each)", hmp_info_block, NULL },
    { "blockstats", "", "", "requests to the disks", hmp_info_blockstats, NULL },
    { "block-jobs", "", "", "jobs on disks", hmp_info_block_jobs, NULL },
    { "mice", "", "", "pointing devices", hmp_info_mice, NULL },
    { "hotpluggable-cpus", "", "", "places for processors; all are taken", hmp_info_hotpluggable_cpus, NULL },
    { "dump", "", "", "the dump-guest-memory under way", hmp_info_dump, NULL },
    { "iothreads", "", "", "objects of type iothread", hmp_info_iothreads, NULL },
#endif
    { "network", "", "", "network cards and back ends", hmp_info_network, NULL },
    { "usernet", "", "", "connections of user mode networks", hmp_info_usernet, NULL },
    { "chardev", "", "", "character devices", hmp_info_chardev, NULL },

    HEADING("Snapshots and migration"),
    { "snapshots", "", "", "snapshots of the machine", hmp_info_snapshots, NULL },
    { "balloon", "", "", "how much memory the guest has", hmp_info_balloon, NULL },
    { "migrate", "", "", "how far the migration is", hmp_info_migrate, NULL },
#if CONFIG_JSON_C
    { "migrate_capabilities", "", "", "what migrate_set_capability sets", hmp_info_migrate_capabilities, NULL },
    { "migrate_parameters", "", "", "what migrate_set_parameter sets", hmp_info_migrate_parameters, NULL },
#endif
    { 0 },
};
/* clang-format on */
