#!/bin/sh
# How small guests end: power off, reset, exit with a status.
. tests/boot/lib.sh

ends="-flat file=$G/ends.bin,addr=0x100000,mode=protected,rax"
run()
{
    title=$1 wanted=$2 out=$3 way=$4
    shift 4
    check "$title" "$wanted" "$out" $(rhea) "$@" \
        -device loader,file=$G/ends.bin,addr=0x100000,cpu-num=0 \
        -device loader,addr=0x7ff0,data=$way,data-len=4
}

check "ACPI at 604" 0 'acpi
' $(rhea) $ends=1
check "power management at B004" 0 'b004
' $(rhea) $ends=2
check "Shutdown at 8900" 0 'bochs
' $(rhea) $ends=3
check "debug exit" 33 'debug exit
' $(rhea) -device isa-debug-exit,iobase=0xf4,iosize=0x04 $ends=4
# A reset brings the program back; with -no-reboot it ends there.
for n in 5:kbd 6:cf9 7:triple 8:bios; do
    run "${n#*:} resets" 0 "${n#*:}
again
acpi
" "${n%:*}"
    run "${n#*:}, -no-reboot" 0 "${n#*:}
" "${n%:*}" -no-reboot
done

finish
