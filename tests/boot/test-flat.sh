#!/bin/sh
# -flat: the classic lessons, modes, registers, verdicts, and its mistakes.
. tests/boot/lib.sh

flat="$RHEA -accel ${ACCEL:-tcg} -display none -flat"

check "16-bit program at 0x1000" 0 'Hi!
' $flat file=$G/hi16.bin,addr=0x1000,mode=real
check "4 + 2" 0 '6
' $flat file=$G/add.bin,addr=0x1000,mode=real,rax=4,rbx=2,expect=rax:6
check "wrong answer" 1 '7
' $flat file=$G/add.bin,addr=0x1000,mode=real,rax=4,rbx=3,expect=rax:6
check "two expectations" 0 '6
' $flat file=$G/add.bin,addr=0x1000,mode=real,rax=4,rbx=2,expect=al:6/rbx:2,expect=cs:0
check "ELF, protected mode" 0 'elf32 ok
' $flat file=$G/elf32.elf,expect=eax:0x2a
check "ELF, long mode" 0 'long ok
' $flat file=$G/long.elf,expect=rax:0x123456789abcdef0
check "flat binary, long mode" 0 'long ok
' $flat file=$G/long.bin,addr=0x100000,mode=long,expect=rax:0x123456789abcdef0
check "ELF kernel, protected mode" 0 'elf32 ok
' sh -c "$(rhea) -kernel $G/elf32.elf >$TMP/elf32 &
    until grep -q ok $TMP/elf32 || ! kill -0 \$!; do sleep 0.1; done
    kill \$!; wait \$!; cat $TMP/elf32"

# A mismatch is one line each, on stderr.
check "differences are printed" 0 '2
' sh -c "$flat file=$G/add.bin,addr=0x1000,mode=real,expect=rax:1/rbx:2 \
    2>&1 >/dev/null | grep -c 'flat: r.x is 0x0 (0), expected 0x'"

printf '\017\013' >$TMP/ud2
printf '\353\376' >$TMP/loop
check_err "exception without a handler" \
    "flat: interrupt 0x06 at 0000:1000 has no handler" \
    $flat file=$TMP/ud2,addr=0x1000,mode=real
check_err "triple fault" "flat: triple fault" \
    $flat file=$TMP/ud2,addr=0x100000,mode=protected
check_err "limit" "flat: not halted after 1 s" \
    $flat file=$TMP/loop,addr=0x1000,mode=real,limit=1

check_err "no file=" "file= is missing" $flat addr=0x1000,mode=real
check_err "no such file" "could not open flat file '/nowhere'" \
    $flat file=/nowhere,addr=0,mode=real
check_err "no addr=" "addr= is missing" $flat file=$G/hi16.bin,mode=real
check_err "no mode=" "mode= is missing" $flat file=$G/hi16.bin,addr=0x1000
check_err "bad mode" "must be real, protected or long, not 'x'" \
    $flat file=$G/hi16.bin,addr=0x1000,mode=x
check_err "unknown option" "did you mean 'limit'" \
    $flat file=$G/hi16.bin,addr=0x1000,mode=real,limi=3
check_err "unknown register" "names no register 'rxx'" \
    $flat file=$G/hi16.bin,addr=0x1000,mode=real,expect=rxx:3
check_err "number too large" "not a number of 8 bits" \
    $flat file=$G/hi16.bin,addr=0x1000,mode=real,expect=al:256
check_err "outside RAM" "are outside RAM" \
    $flat file=$G/hi16.bin,addr=0xa0000,mode=real
check_err "beyond RAM" "are outside RAM" \
    $RHEA -m 16 -flat file=$G/hi16.bin,addr=0x1000000,mode=protected
check_err "real mode's reach" "out of reach" \
    $flat file=$G/hi16.bin,addr=0x100000,mode=real
check_err "with a kernel" "exclude each other" \
    $flat file=$G/hi16.bin,addr=0x1000,mode=real -kernel $G/elf32.elf

finish
