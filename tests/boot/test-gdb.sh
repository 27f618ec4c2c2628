#!/bin/sh
# A real gdb at the stub: breakpoints, steps from real to long mode, a
# watchpoint, registers, memory, the monitor; under each engine.
. tests/boot/lib.sh

need gdb

cat >"$TMP/commands" <<EOF
set confirm off
set pagination off
set architecture i386:x86-64
file $G/modes.elf
target remote $TMP/gdb
info registers rip
break to32
continue
stepi
info registers rip cs
x/i \$pc
hbreak to64
continue
stepi
info registers rip efer
watch *(long*)&counter
continue
print/x *(long*)&counter
bt 1
finish
monitor info status
delete
break done
continue
print/x *(long*)&counter
print/x \$rax
set \$rax = 5
set *(int*)0x9000 = 0x12345678
print/x \$rax
print/x *(int*)0x9000
set *(long*)0x12008 = 0x200083
set *(long*)0x200000 = 0x1111
set *(long*)0 = 0x2222
set *(long*)0x9100 = 0x0020000025048b48
set \$rip = 0x9100
stepi
print/x \$rax
set *(long*)0x12008 = 0x83
set \$rip = 0x9100
stepi
print/x \$rax
set \$rip = done
info threads
rwatch *(long*)&counter
info registers mxcsr
detach
EOF

session() # engine
{
    timeout $LIMIT "$RHEA" -accel $1 -display none -S \
        -flat file=$G/modes.bin,addr=0x7c00,mode=real \
        -gdb unix:"$TMP/gdb" >"$TMP/log" 2>&1 &
    gdb_play $!
    wait $! || true
    rm -f "$TMP/gdb"
}

for engine in $(engines); do
    session $engine
    gdb_saw "$engine: stops at the start" "0x0000000000007c00 in _start ()"
    gdb_saw "$engine: a breakpoint in real mode" "in to32 ()"
    gdb_saw "$engine: a step into protected mode" "in in32 ()"
    gdb_saw "$engine: code there" "<in32>:	mov    \$0x10,%ax"
    gdb_saw "$engine: a breakpoint in protected mode" "in to64 ()"
    gdb_saw "$engine: a step into long mode" "in in64 ()"
    gdb_saw "$engine: EFER" "efer           0x500 "
    gdb_saw "$engine: a watchpoint" "Old value = 64"
    gdb_saw "$engine: ... and its new value" "New value = 65"
    gdb_saw "$engine: a backtrace" "#0  0x0000000000007ca5 in counted ()"
    gdb_saw "$engine: the monitor" "VM status: paused (debug)"
    gdb_saw "$engine: memory" "0x43"
    gdb_saw "$engine: a register" "0x1122334455667788"
    gdb_saw "$engine: a register that was set" " = 0x5"
    gdb_saw "$engine: memory that was set" " = 0x12345678"
    gdb_saw "$engine: a mapping made by gdb" " = 0x1111"
    gdb_saw "$engine: ... and changed by it" " = 0x2222"
    gdb_saw "$engine: threads" "CPU#0 [running]"
    gdb_saw "$engine: detaches" "detached]"
done
finish
