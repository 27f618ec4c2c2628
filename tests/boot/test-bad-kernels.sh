#!/bin/sh
# Mistakes with kernels and machines: one clear line, exit status 1.
. tests/boot/lib.sh

r="$RHEA -accel tcg -display none"
head -c 5000 /dev/zero >$TMP/zeros
head -c 100 $G/mb1-32.elf >$TMP/short.elf
head -c 4100 $G/long.elf >$TMP/cut.elf

check_err "no such kernel" "could not open kernel file '/nowhere'" \
    $r -kernel /nowhere
check_err "a directory" "could not open kernel file '/'" $r -kernel /
check_err "not a kernel" "is not a kernel" $r -kernel $TMP/zeros
check_err "truncated ELF" "truncated" $r -kernel $TMP/cut.elf
check_err "truncated ELF header" "truncated" $r -kernel $TMP/short.elf
check_err "no such initrd" "could not open initrd file '/nowhere'" \
    $r -kernel $G/pvh.elf -initrd /nowhere
check_err "second module missing" "could not open initrd file '/nowhere'" \
    $r -kernel $G/mb1-32.elf -initrd "$TMP/zeros,/nowhere x"
truncate -s 70M $TMP/large
check_err "initrd too large" "does not fit" \
    $r -m 64 -kernel $G/pvh.elf -initrd $TMP/large
check_err "-append alone" "-append only allowed with -kernel" $r -append x
check_err "-initrd alone" "-initrd only allowed with -kernel" \
    $r -initrd $TMP/zeros
check_err "unknown machine option" "did you mean 'hpet'" $r -machine hpe=on
check_err "bad machine option" "must be on or off" $r -machine graphics=maybe
check_err "machine option to come" "not supported yet" $r -machine nvdimm=on
check_err "no memory for a pc" "1M" $r -m 4k
check_err "machine none, kernel" "boots nothing" \
    $r -machine none -kernel $G/pvh.elf

ldr="$r -device loader"
check_err "loader: no such file" "Could not open" \
    $ldr,file=/nowhere,addr=0
check_err "loader: outside RAM" "are not in RAM" \
    $ldr,file=$TMP/zeros,addr=0xa0000
check_err "loader: two sources" "not both" \
    $ldr,file=$TMP/zeros,addr=0,data=1,data-len=1
check_err "loader: nothing" "give file=" $ldr,addr=0
check_err "loader: no such CPU" "no CPU 3" $ldr,addr=0,cpu-num=3
check_err "loader: data too long" "1 to 8" $ldr,addr=0,data=1,data-len=9

finish
