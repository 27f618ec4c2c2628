# The command line: texts that programs parse, and one clear line for mistakes.
. tests/boot/lib.sh

# has NAME PATTERN COMMAND...: exit status 0 and a line of stdout that matches.
has()
{
    name=$1 pattern=$2
    shift 2
    test_no=$((test_no + 1))
    if timeout $LIMIT "$@" >"$TMP/out" 2>"$TMP/err" </dev/null &&
        grep -qE -- "$pattern" "$TMP/out"; then
        echo "ok $test_no $name"
    else
        echo "not ok $test_no $name"
        echo "# no line like $pattern in the output of $*"
        head -n 20 "$TMP/out" "$TMP/err" | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

has "version" '^QEMU emulator version [0-9]+\.[0-9]+\.[0-9]+ \(' "$RHEA" -version
has "version with two dashes" '^QEMU emulator version' "$RHEA" --version
for o in -gdb -no-user-config -nodefaults -no-hpet; do
    has "help has $o" "^$o " "$RHEA" -help
done
has "machine help" '^pc +' "$RHEA" -machine help
has "M ?" '^none +' "$RHEA" -M '?'
has "cpu help" '^x86 Haswell' "$RHEA" -cpu help
has "accel help" '^tcg .*usable: yes' "$RHEA" -accel help
has "device help" '^name "isa-debug-exit", bus ISA, desc "' "$RHEA" -device help
has "device properties" '^  iobase=<' "$RHEA" -device isa-debug-exit,help
has "display help" '^none' "$RHEA" -display help
has "vga help" '^none' "$RHEA" -vga help
has "chardev help" '^  socket' "$RHEA" -chardev help
has "d help" '^guest_errors' "$RHEA" -d help

# What people mistype.
check_err "unknown option" '-nosuch: invalid option' "$RHEA" -nosuch
check_err "nearest option" "did you mean -kernel?" "$RHEA" -kernal x
check_err "missing argument" '-kernel: requires an argument' "$RHEA" -kernel
check_err "a word is a disk image" "-hda nosuch.img: Could not open 'nosuch.img'" \
    "$RHEA" nosuch.img
check_err "unknown machine" "did you mean 'pc'?" "$RHEA" -machine pcc
check_err "image options" "-hda nosuch.img,format=raw: Could not open 'nosuch.img'" \
    "$RHEA" -hda nosuch.img,format=raw
check_err "two images in one place" 'drive with bus=0, unit=0 (index=0) exists' \
    "$RHEA" /dev/null /dev/null
check_err "machine that is not there" "unsupported machine type 'q35' (there are: pc, microvm, none; use" \
    "$RHEA" -machine q35
check_err "machine option" "foo" "$RHEA" -machine pc,foo=1
has "machine options" '^  hpet  *- ' "$RHEA" -machine pc,help
has "machine options of microvm" '^  isa-serial ' "$RHEA" -M microvm,help
check_err "boot device" 'Invalid boot device for PC' "$RHEA" -boot x
check_err "boot device" 'given twice' "$RHEA" -boot order=cc
check_err "unknown CPU" "unable to find CPU model 'Haswel'" "$RHEA" -cpu Haswel
check_err "unknown CPU feature" "nosuch" "$RHEA" -cpu max,+nosuch
check_err "unknown device" "'isa-debug-exi' is not a valid device model name" \
    "$RHEA" -device isa-debug-exi
check_err "device of QEMU" "'nvme' is not a valid device model name: there is no such disk controller; use virtio-blk-pci" \
    "$RHEA" -device nvme,help
check_err "option of QEMU" "-icount: not supported yet: the guest's clock follows" \
    "$RHEA" -icount shift=1
check_err "screen" '-vnc: not supported yet: there are no screens; -nographic' \
    "$RHEA" -vnc :0
check_err "unknown property" "foo" "$RHEA" -device isa-debug-exit,foo=1
check_err "bad property" "iosize" "$RHEA" -device isa-debug-exit,iosize=9
check_err "unknown accelerator" 'invalid accelerator hvf' "$RHEA" -accel hvf
check_err "memory without sense" '-m foo' "$RHEA" -m foo
check_err "no memory" "guest memory must be" "$RHEA" -m 100k
check_err "too much memory" 'guest memory must be' "$RHEA" -m 100T
check_err "too many CPUs" "cpus must be 1 to" "$RHEA" -smp 5000
check_err "topology" 'Invalid CPU topology' "$RHEA" -smp 4,sockets=3
check_err "stdio twice" 'cannot use stdio by multiple character devices' \
    "$RHEA" -serial stdio -monitor stdio -display none
check_err "unknown chardev" "not a character device" "$RHEA" -serial nosuch
check_err "unknown log item" 'nosuch' "$RHEA" -d nosuch
check_err "five serial ports" 'has 4 serial ports' "$RHEA" -serial null \
    -serial null -serial null -serial null -serial null
check_err "bad date" '-rtc base=' "$RHEA" -rtc base=yesterday
check_err "bad uuid" '-uuid 7' "$RHEA" -uuid 7
check_err "no such image" "-hda x: Could not open 'x'" "$RHEA" -hda x
check_err "a parallel port" "-parallel pty: not supported yet: there is no parallel port" \
    "$RHEA" -parallel pty
check_err "a remote screen" "-vnc: not supported yet: there are no screens" "$RHEA" -vnc :1
check_err "a window" "-display gtk: not supported yet: there are no screens" "$RHEA" -display gtk
check_err "a text screen" "-curses: not supported yet: there are no screens" "$RHEA" -curses
check_err "no such back end" "did you mean 'user'" "$RHEA" -netdev usr,id=n

# What must be accepted; the guest prints Hi! and halts.
hi="-flat file=$G/hi16.bin,addr=0x1000,mode=real -serial stdio"
hello='Hi!
'
# shellcheck disable=SC2086
{
check "silent options" 0 "$hello" "$RHEA" $hi -no-user-config -nodefaults \
    -parallel none -name guest=x,debug-threads=on -msg timestamp=on \
    -overcommit mem-lock=off -no-hpet -boot strict=on -display none -vga none \
    -net none -nic none -usb -k en-us -audiodev none,id=a -L /nowhere
check "two dashes" 0 "$hello" "$RHEA" --flat file=$G/hi16.bin,addr=0x1000,mode=real \
    --serial stdio
check "accelerators in a list" 0 "$hello" "$RHEA" $hi -accel hvf -accel tcg
check "accel of the machine" 0 "$hello" "$RHEA" $hi -machine accel=hvf:tcg
check "machines merge" 0 "$hello" "$RHEA" $hi -machine pc -machine usb=off \
    -M pc-i440fx-7.2,accel=tcg
check "a global for nobody" 0 "$hello" "$RHEA" $hi -global nosuch.x=1
check "order does not matter" 0 "$hello" "$RHEA" -device isa-serial,chardev=c,index=1 \
    $hi -chardev null,id=c
check "memory in all forms" 0 "$hello" "$RHEA" $hi -m size=64M,slots=2,maxmem=1G
check "topology" 0 "$hello" "$RHEA" $hi -smp 4,sockets=2,cores=2,threads=1,maxcpus=4
check "nographic" 0 "$hello" "$RHEA" -nographic \
    -flat file=$G/hi16.bin,addr=0x1000,mode=real
}

# logged NAME PATTERN ITEMS: a line of the log of a guest that prints Hi!
logged()
{
    test_no=$((test_no + 1))
    rm -f "$TMP/d.log"
    # shellcheck disable=SC2086
    if timeout $LIMIT "$RHEA" $hi -d "$3" -D "$TMP/d.log" >/dev/null 2>"$TMP/err" </dev/null &&
        grep -qE -- "$2" "$TMP/d.log"; then
        echo "ok $test_no $1"
    else
        echo "not ok $test_no $1"
        echo "# no line like $2 with -d $3"
        failed=$((failed + 1))
    fi
}
logged "log: instructions" '^0x00001000: +[0-9a-f ]+ mov' in_asm
logged "log: blocks" '^Trace 0: ' exec
logged "log: registers" '^EIP=00001000 ' cpu,nochain
logged "log: reset" '^CPU Reset' cpu_reset
check_err "log file that cannot be" '/nosuch/dir/log' "$RHEA" -D /nosuch/dir/log -version

# The terminal, the process: signals, pidfile, log file.
test_no=$((test_no + 1))
"$RHEA" -display none -S -pidfile "$TMP/pid" -flat "file=$G/hi16.bin,addr=0x1000,mode=real" \
    2>"$TMP/err" &
pid=$!
# The file is there early; SIGTERM is bit 14 of what the process catches.
while { [ ! -s "$TMP/pid" ] || ! grep -q '^SigCgt:.*[4-7c-f]...$' /proc/$pid/status; } &&
    kill -0 $pid; do sleep 0.1; done
seen=$(cat "$TMP/pid")
kill -TERM $pid
status=0
wait $pid || status=$?
if [ "$seen" = $pid ] && [ ! -e "$TMP/pid" ] && grep -q "terminating on signal 15 from pid" "$TMP/err"; then
    echo "ok $test_no signal and pidfile"
else
    echo "not ok $test_no signal and pidfile"
    sed "s/^/# status $status: /" "$TMP/err"
    failed=$((failed + 1))
fi
finish
