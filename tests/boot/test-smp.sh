#!/bin/sh
# Processors start by INIT and SIPI.
. tests/boot/lib.sh

flat="$(rhea) -flat file=$G/smp.bin,addr=0x100000,mode=protected,limit=300"

check "two" 0 'cpu 00000001
all here
' $flat,rbx=1,expect=eax:1 -smp 2
check "eight" 0 "$(for i in 1 2 3 4 5 6 7; do echo "cpu 0000000$i"; done)
all here
" $flat,rbx=7,expect=eax:7 -smp 8
check "one" 0 'all here
' $flat,rbx=0,expect=eax:0

finish
