/* Every command of the human monitor, in the order help shows. */
#include "util/osdep.h"
#include "monitor/hmp.h"

/* clang-format off */
const HmpCommand hmp_commands[] = {
    { "help|?", "name?:S", "[cmd]", "show the help of all commands or of one",
      hmp_help, NULL },
    { "info", "item?:s", "[subcommand]", "show various information about the machine",
      NULL, hmp_info_commands },
    { "quit|q", "", "", "end the emulator", hmp_quit, NULL },
    { "stop|s", "", "", "stop the processors", hmp_stop, NULL },
    { "cont|c", "", "", "let the processors run on", hmp_cont, NULL },
    { "system_reset", "", "", "reset the machine", hmp_system_reset, NULL },
    { "system_powerdown", "", "", "press the power button", hmp_system_powerdown, NULL },
    { "savevm", "name?:s", "[tag]", "save the machine and its disks as a snapshot", hmp_savevm, NULL },
    { "loadvm", "name:s", "tag|id", "go back to a snapshot", hmp_loadvm, NULL },
    { "delvm", "name:s", "tag", "delete a snapshot", hmp_delvm, NULL },
    { "nmi", "", "", "send a non-maskable interrupt to every processor", hmp_nmi, NULL },
    { "cpu", "index:i", "index", "choose the processor other commands look at", hmp_cpu, NULL },
    { "x", "fmt:f addr:a", "/fmt addr", "dump virtual memory at addr; fmt is count, format (x d u o c i) and size (b h w g)", hmp_x, NULL },
    { "xp", "fmt:f addr:x", "/fmt addr", "dump physical memory at addr", hmp_xp, NULL },
    { "print|p", "fmt:f val:x", "/fmt expr", "print the value of an expression; $reg is a register", hmp_print, NULL },
    { "i", "fmt:f addr:x index?:x", "/fmt addr", "read an I/O port", hmp_port_in, NULL },
    { "o", "fmt:f addr:x val:x", "/fmt addr value", "write an I/O port", hmp_port_out, NULL },
    { "sum", "start:x size:x", "addr size", "checksum (16 bits) of physical memory", hmp_sum, NULL },
    { "memsave", "val:x size:x filename:s", "addr size file", "save virtual memory to a file", hmp_memsave, NULL },
    { "pmemsave", "val:x size:x filename:s", "addr size file", "save physical memory to a file", hmp_pmemsave, NULL },
    { "gva2gpa", "addr:x", "addr", "physical address of a virtual one", hmp_gva2gpa, NULL },
    { "log", "items:s", "item1[,...]", "choose what is logged (log help lists it; none)", hmp_log, NULL },
    { "logfile", "filename:F", "filename", "write the log to a file", hmp_logfile, NULL },
    { 0 },
};

const HmpCommand hmp_info_commands[] = {
    { "status", "", "", "whether the machine runs", hmp_info_status, NULL },
    { "cpus", "", "", "the processors", hmp_info_cpus, NULL },
    { "registers", "all:-a vcpu?:i", "[-a|vcpu]", "processor registers (-a: of all)", hmp_info_registers, NULL },
    { "mem", "", "", "virtual memory that is mapped", hmp_info_mem, NULL },
    { "tlb", "", "", "virtual to physical mappings, page by page", hmp_info_tlb, NULL },
    { "mtree", "flatview:-f", "[-f]", "physical memory and ports (-f: resolved)", hmp_info_mtree, NULL },
    { "qtree", "", "", "the devices", hmp_info_qtree, NULL },
    { "pci", "", "", "PCI functions", hmp_info_pci, NULL },
    { "pic", "", "", "interrupt controllers", hmp_info_pic, NULL },
    { "lapic", "index?:i", "[index]", "the local APIC of a processor", hmp_info_lapic, NULL },
    { "kvm", "", "", "KVM, and what was completed in software", hmp_info_kvm, NULL },
    { "exits", "", "", "exits of KVM by reason, port and address", hmp_info_exits, NULL },
    { "chardev", "", "", "character devices", hmp_info_chardev, NULL },
    { "snapshots", "", "", "snapshots of the machine", hmp_info_snapshots, NULL },
    { "history", "", "", "lines typed before", hmp_info_history, NULL },
    { "name", "", "", "name of the guest", hmp_info_name, NULL },
    { "uuid", "", "", "UUID of the guest", hmp_info_uuid, NULL },
    { "version", "", "", "version of the emulator", hmp_info_version, NULL },
    { 0 },
};
/* clang-format on */
