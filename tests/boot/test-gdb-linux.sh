#!/bin/sh
# A real gdb in a distribution's kernel: break at start_kernel, bt, finish, watch
# a variable; under each engine. Names come from the guest's own /proc/kallsyms,
# because the packages have no symbols. KALLSYMS=FILE saves the boot that asks for
# it (of the same kernel, with nokaslr); ENGINES="tcg kvm" chooses.
. tests/boot/lib.sh

GUEST=build/guest
need gdb as ld objcopy
[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd.gz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}
names='_text|start_kernel|setup_arch|rest_init|jiffies_64|x86_64_start_kernel|x86_64_start_reservations|secondary_startup_64'
engines=${ENGINES:-$(engines | paste -sd ' ')}

linux() # arguments; in a subshell, whose place it takes: a signal to that ends it
{
    exec timeout $LIMIT "$RHEA" -m 256 -display none -monitor none -no-reboot \
        -kernel $GUEST/vmlinuz -initrd $GUEST/initrd.gz "$@"
}

kallsyms()
{
    if [ -n "${KALLSYMS:-}" ]; then
        cat "$KALLSYMS"
    else
        linux -accel "${engines%% *}" -serial stdio -append \
            "console=ttyS0 quiet nokaslr panic=-1 rhea.exec=grep,-w,-e,$(echo "$names" | sed 's/|/,-e,/g'),/proc/kallsyms" \
            </dev/null 2>/dev/null
    fi
}

# An ELF file without contents, with the names where the kernel has them.
kallsyms | tr -d '\r' | grep -E "^[0-9a-f]{16} . ($names)\$" >"$TMP/symbols"
text=$(sed -n 's/ T _text$//p' "$TMP/symbols")
echo "# the first boot has ended"
if [ -z "$text" ]; then
    echo "the guest's kernel tells no addresses"
    exit 77
fi
echo '.section .ktext,"ax",@nobits; .skip 0x8000000' | as -o "$TMP/empty.o" -
ld --section-start=.ktext="0x$text" -e 0 -o "$TMP/empty.elf" "$TMP/empty.o"
set --
while read -r addr type name; do
    case $type in [tT]) kind=function ;; *) kind=object ;; esac
    # the shell counts to 2^63: without the upper half
    offset=$(printf %x $((0x${addr#ffffffff} - 0x${text#ffffffff})))
    set -- "$@" --add-symbol "$name=.ktext:0x$offset,global,$kind"
done <"$TMP/symbols"
objcopy "$@" "$TMP/empty.elf" "$TMP/vmlinux"

cat >"$TMP/commands" <<EOF
set confirm off
set pagination off
set architecture i386:x86-64
file $TMP/vmlinux
target remote $TMP/gdb
hbreak start_kernel
continue
bt 1
hbreak setup_arch
continue
bt 2
finish
x/i \$pc
delete
hbreak rest_init
continue
delete
watch *(long*)&jiffies_64
continue
info threads
monitor info status
detach
EOF

session() # engine
{
    linux -accel "$1" -S -serial none -append "nokaslr quiet panic=-1" \
        -gdb unix:"$TMP/gdb" >"$TMP/log" 2>&1 &
    gdb_play $!
    kill $! 2>/dev/null
    wait $! 2>/dev/null
    rm -f "$TMP/gdb"
}

saw() # name pattern
{
    gdb_saw "$1" "$2" -E
}

for engine in $engines; do
    session $engine
    saw "$engine: start_kernel" '^Breakpoint 1, .* in start_kernel \(\)'
    saw "$engine: bt" '^#0  0x[0-9a-f]+ in start_kernel \(\)'
    saw "$engine: setup_arch" '^Breakpoint 2, .* in setup_arch \(\)'
    saw "$engine: its caller" '^#1  0x[0-9a-f]+ in start_kernel \(\)'
    saw "$engine: finish, to the caller" '^=> 0x[0-9a-f]+ <start_kernel\+[0-9]+>'
    saw "$engine: a watchpoint" '^New value = [0-9]+'
    saw "$engine: threads" 'CPU#0 \[running\]'
    saw "$engine: the monitor" 'VM status: paused \(debug\)'
    saw "$engine: detaches" 'detached\]'
done
finish
