#!/bin/sh
# What tells of the guest: the report of a triple fault, trace events,
# statistics, log ranges.
. tests/boot/lib.sh

# The guest of test-ends.sh, which ends in way $1.
ends()
{
    echo "$(rhea) -device loader,file=$G/ends.bin,addr=0x100000,cpu-num=0" \
        "-device loader,addr=0x7ff0,data=$1,data-len=4"
}
# seen NAME FILE PATTERN: the file has a line like it. unseen: it has none.
verdict()
{
    test_no=$((test_no + 1))
    if [ "$1" = "$2" ]; then
        echo "ok $test_no $3"
    else
        echo "not ok $test_no $3"
        sed 's/^/#   /' "$4" | head -40
        failed=$((failed + 1))
    fi
}
seen()
{
    grep -q -- "$3" "$2" && found=yes || found=no
    verdict $found yes "$1" "$2"
}
unseen()
{
    grep -q -- "$3" "$2" && found=yes || found=no
    verdict $found no "$1" "$2"
}

check "a triple fault with -no-reboot" 0 'triple
' $(ends 7) -no-reboot
seen "where" "$TMP/err" ': Triple fault on CPU 0 at 0010:000000000010010e$'
seen "the first" "$TMP/err" '  1: #UD invalid opcode$'
seen "no gate" "$TMP/err" \
    '  2: #GP general protection, error 0033 (IDT entry 0x06), delivering #UD$'
seen "nor for that" "$TMP/err" \
    '  3: #GP general protection, error 006b (IDT entry 0x0d), delivering #GP$'
seen "nor for #DF" "$TMP/err" \
    '  4: #GP general protection, error 0043 (IDT entry 0x08), delivering #DF$'
seen "registers" "$TMP/err" '^EIP=0010010e '
seen "code" "$TMP/err" '^0x0010010e:  0f 0b .*ud2'
check "and -action reboot=shutdown" 0 'triple
' $(ends 7) -action reboot=shutdown
seen "the report" "$TMP/err" 'Triple fault on CPU 0'
check "without, only a reset" 0 'triple
again
acpi
' $(ends 7)
unseen "no report" "$TMP/err" 'Triple fault'
check "-d cpu_reset" 0 'triple
again
acpi
' $(ends 7) -d cpu_reset -D "$TMP/log"
seen "in the log" "$TMP/log" '^Triple fault on CPU 0'

check "trace events" 0 'acpi
' $(ends 1) -trace 'serial_*' \
    -trace "memory_region_ops_write,file=$TMP/trace"
seen "a write of the serial port" "$TMP/trace" \
    '^serial_write write addr 0x00 val 0x61$'
seen "which was a port" "$TMP/trace" \
    "^memory_region_ops_write .* addr 0x3f8 value 0x61 size 1 name 'serial'"
unseen "nothing else" "$TMP/trace" '^memory_region_ops_read'
printf '# some\nserial_*\n-serial_read\n' >"$TMP/events"
check "from a file" 0 'acpi
' $(ends 1) -trace events="$TMP/events" -D "$TMP/log"
seen "in the log" "$TMP/log" '^serial_write write'
unseen "but the one switched off" "$TMP/log" '^serial_read'
check "-d trace:, -D with the process id" 0 'acpi
' $(ends 1) -d 'trace:serial_write' -D "$TMP/log-%d"
cat "$TMP"/log-[0-9]* >"$TMP/log"
seen "in the log" "$TMP/log" '^serial_write write'
check "an unknown event" 0 'acpi
' $(ends 1) -trace serial_writ
seen "is warned of" "$TMP/err" \
    "event 'serial_writ' does not exist (did you mean 'serial_write'?)"
check_err "no file of events" "-trace: " $(rhea) -trace events=/nonexistent

check "-dfilter" 0 'acpi
' $(ends 1) -d in_asm,exec -dfilter 0x100000+0x10 -D "$TMP/log"
seen "inside" "$TMP/log" '^0x00100000:'
unseen "not outside" "$TMP/log" '^Trace .*0000001001'
check "-d op,out_asm" 0 'acpi
' $(ends 1) -accel tcg,jit-threshold=0 -d op,out_asm -D "$TMP/log"
seen "what becomes of an instruction" "$TMP/log" '^ ---- 00000000001[0-9a-f]*  [A-Z][A-Z]*  *template$'
seen "code of a block" "$TMP/log" '^OUT: [[]size=[1-9][0-9]*[]]$'
seen "of each instruction" "$TMP/log" '^  -- guest addr 0x00000000001[0-9a-f]*$'
seen "what leads away from it" "$TMP/log" '^  -- tails$'
check_err "-dfilter that is none" "must be start..end" $(rhea) -dfilter 5
check_err "-dfilter past the end" "runs past" $(rhea) -dfilter 0xfffffffffffffff0+32
check_err "-d plugin" "there are no plugins" $(rhea) -d plugin

check "--stats-on-exit" 0 'acpi
' $(ends 1) --stats-on-exit
seen "instructions" "$TMP/err" '^  instructions  *[1-9]'
seen "blocks" "$TMP/err" '^  blocks decoded  *[1-9]'
seen "devices" "$TMP/err" '^  serial  *[1-9][0-9]*  *5$'

"$BUILD/rhea-img" create -q -f qcow2 "$TMP/disk.qcow2" 64M
# shellcheck disable=SC2016  # the inner shell expands it
check "-explain ends" 0 '' sh -c '"$@" >"$0"' "$TMP/is" "$RHEA" -explain \
    -m 96 -smp 3,sockets=3 -kernel "$G/pvh.elf" -append 'a "b"' -S \
    -hda "$TMP/disk.qcow2" -drive "if=none,id=other,file=$TMP/disk.qcow2,snapshot=on,file.locking=off" \
    -serial "unix:$TMP/serial,server=on,wait=off" -nic user,id=lan \
    -qmp "unix:$TMP/qmp,server=on,wait=off" -device virtio-rng-pci,addr=9 -s
seen "machine" "$TMP/is" '^machine    pc: Standard PC'
seen "engine" "$TMP/is" '^engine     tcg: '
seen "processors" "$TMP/is" '^processors 3 of model max'
seen "how they sit" "$TMP/is" '^           sockets 3, dies 1, cores 1, threads 1$'
seen "memory" "$TMP/is" '^memory     96 MiB$'
seen "the program" "$TMP/is" "^starts     .*pvh.elf: ELF with a PVH note$"
seen "its command line" "$TMP/is" '^           command line: a "b"$'
seen "paused" "$TMP/is" '^           paused, until "cont"'
seen "a disk" "$TMP/is" '^disks      ide0-hd0: .*disk.qcow2, qcow2, 64 MiB$'
seen "its name" "$TMP/is" '^             on virtio-blk-pci; Linux calls it /dev/vda$'
seen "a file below" "$TMP/is" '^             over .*disk.qcow2, qcow2$'
seen "nobody's disk" "$TMP/is" '^             no device has it: -device ...,drive=other$'
seen "network" "$TMP/is" 'lan: index=0,type=user'
seen "serial" "$TMP/is" '^serial     COM1, ttyS0 in Linux: unix:'
seen "monitor" "$TMP/is" '^monitor    QMP, for programs: unix:'
seen "gdb" "$TMP/is" '^gdb        tcp::1234$'
seen "a device" "$TMP/is" '^           09.0         virtio-rng-pci  *Entropy$'
seen "a port" "$TMP/is" '^           port 0x3f8   isa-serial '
# shellcheck disable=SC2016
check "-explain, nothing given" 0 '' sh -c '"$@" >"$0" 2>/dev/null' \
    "$TMP/is" "$RHEA" -explain
seen "no program" "$TMP/is" '^starts     nothing (-kernel or -flat names a program)$'
seen "no disk" "$TMP/is" '^disks      none '
seen "this terminal" "$TMP/is" '^serial     COM1, ttyS0 in Linux: this terminal, with a monitor'
check_err "-explain of a machine that cannot be" "is not a kernel" "$RHEA" \
    -explain -kernel /dev/null

finish
