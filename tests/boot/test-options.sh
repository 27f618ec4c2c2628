# Options of drives, objects, memory, processors and of the process itself: one
# clear line for mistakes, and what daemons and their managers rely on.
. tests/boot/lib.sh

hi="-flat file=$G/hi16.bin,addr=0x1000,mode=real"
hello='Hi!
'
head -c 1048576 /dev/zero >"$TMP/a.raw"

# ok NAME STATUS: the line of a test that was done by hand.
ok()
{
    test_no=$((test_no + 1))
    if [ "$2" = 0 ]; then
        echo "ok $test_no $1"
    else
        echo "not ok $test_no $1"
        [ -s "$TMP/err" ] && sed 's/^/#   /' "$TMP/err"
        failed=$((failed + 1))
    fi
}

# ---- mistakes ----------------------------------------------------------------
r="$RHEA -display none"
# shellcheck disable=SC2086
{
a="file=$TMP/a.raw,format=raw"
check_err "drive: no such file" "Could not open '/nowhere'" $r -drive file=/nowhere
check_err "drive: bus" "unsupported bus type 'foo'" $r -drive $a,if=foo
check_err "drive: option" "'foo'" $r -drive $a,foo=1
check_err "drive: place" "drive with bus=0, unit=0 (index=0) exists" \
    $r -drive $a,index=0 -drive driver=null-co,index=0
check_err "drive: twice the file" "it is open in this process" \
    $r -drive $a,if=none,id=x -drive $a,if=none,id=y
check_err "drive: the same id" "Duplicate ID 'x' for drive" \
    $r -drive $a,if=none,id=x -drive driver=null-co,if=none,id=x
check_err "drive: on machine none" "does not support if=ide" $r -M none -drive $a
check_err "scsi-hd: the same place" "lun already used by 'scsi-hd'" \
    $r -device virtio-scsi-pci -drive $a,if=none,id=x -drive driver=null-co,if=none,id=n \
    -device scsi-hd,drive=x,scsi-id=3,lun=0 -device scsi-hd,drive=n,scsi-id=3,lun=0
check_err "scsi-hd: no board" "virtio-scsi-pci before it" \
    $r -drive driver=null-co,if=none,id=n -device scsi-hd,drive=n
check_err "drive: sd" "does not support if=sd" $r -drive $a,if=sd
check_err "cdrom and hdc" "-hdc b: drive with bus=1" $r -cdrom $TMP/a.raw -hdc b
check_err "blockdev: order" "Cannot find device='f'" \
    $r -blockdev raw,node-name=r,file=f -blockdev file,node-name=f,filename=$TMP/a.raw
check_err "blockdev: driver" "did you mean 'null-co'?" $r -blockdev nul-co,node-name=n
check_err "object: kind" "did you mean 'secret'?" $r -object secrte,id=s,data=x
check_err "object: no id" "'id' is missing" $r -object secret,data=x
check_err "object: property" "did you mean 'data'?" $r -object secret,id=s,dtaa=x
check_err "object: not there" "not supported yet" $r -object tls-creds-x509,id=t
check_err "object: property" "(-object memory-backend-ram,help lists them)" \
    $r -object memory-backend-ram,id=m,size=1M,nothere=on
check_err "object as a device" "is added with -object" $r -device secret
check_err "memory: no size" "'size' is missing" $r -object memory-backend-ram,id=m
check_err "memory: no path" "'mem-path' is missing" \
    $r -object memory-backend-file,id=m,size=64M
check_err "memory: no such path" "can't open backing store /nowhere/x" \
    $r -object memory-backend-file,id=m,size=64M,mem-path=/nowhere/x
check_err "memory: another size" "does not match" $r -m 32 \
    -object memory-backend-ram,id=m,size=64M -machine memory-backend=m
check_err "memory: not there" "Memory backend 'n' not found" $r \
    -object memory-backend-ram,id=m,size=64M -machine memory-backend=n
check_err "m: slots alone" "slots specified but no max-size" $r -m 128,slots=2
check_err "m: maxmem in bytes" "say maxmem=4G" $r -m 128,maxmem=256
check_err "m: many slots" "unsupported amount of memory slots: 300" \
    $r -m 128,slots=300,maxmem=1G
check_err "smp: product" "!= maxcpus (4)" $r -smp 4,sockets=3
check_err "smp: maxcpus" "< smp_cpus (4)" $r -smp 4,maxcpus=2
check_err "smp: clusters" "clusters not supported" $r -smp 4,clusters=2
check_err "smp: many" "The max CPUs supported by machine 'pc' is 255" $r -smp 300
check_err "smp: key" "did you mean 'cores'?" $r -smp 4,core=2
check_err "name: key" "did you mean 'process'?" $r -name a,proces=b
check_err "rtc: clock" "must be host, rt or vm" $r -rtc clock=foo
check_err "rtc: driftfix" "must be none or slew" $r -rtc driftfix=foo
check_err "action: value" "does not accept value 'foo'" $r -action reboot=foo
check_err "global: form" "driver.property=value" $r -global foo
check_err "global: keys" "'value' are required" $r -global driver=a,property=b
check_err "global: property" "can't apply global isa-debug-exit.foo=1" \
    $r -global isa-debug-exit.foo=1 -device isa-debug-exit
check_err "add-fd: not open" "fd is not valid" $r -add-fd fd=77,set=1
check_err "add-fd: stdin" "standard I/O stream" $r -add-fd fd=0,set=1
check_err "add-fd: no set" "set option is required" $r -add-fd fd=5
check_err "fdset: none" "No such file" $r -drive file=/dev/fdset/9,format=raw
check_err "set: nothing" "there is no device \"x\"" $r -set device.x.y=1
check_err "set: form" "group.id.arg=value" $r -set foo
check_err "runas: nobody" "doesn't exist" $r -runas no.such.user
check_err "daemonize and nographic" "cannot be used with -daemonize" \
    $RHEA -daemonize -nographic
check_err "daemonize and stdio" "cannot use stdio with -daemonize" \
    $r -daemonize -serial stdio
check_err "daemonize: error of the start" "Could not open '/nowhere'" \
    $r -daemonize -drive file=/nowhere
check_err "sandbox: form" "'on' or 'off'" $r -sandbox foo
check_err "sandbox: key" "did you mean 'spawn'?" $r -sandbox on,span=deny
check_err "sandbox: value" "invalid argument for spawn" $r -sandbox on,spawn=x
check_err "pidfile: place" "cannot create PID file" $r -pidfile /nowhere/x
}

# ---- what must work -------------------------------------------------------------
# shellcheck disable=SC2086
{
check "m 0 is the default" 0 "$hello" $RHEA $hi -serial stdio -m 0
check "process name" 0 "$hello" $RHEA $hi -serial stdio -name vm,process=vm-1
check "rtc of the machine" 0 "$hello" $RHEA $hi -serial stdio -rtc clock=vm
check "snapshot" 0 "$hello" $RHEA $hi -serial stdio -snapshot \
    -drive file=$TMP/a.raw,format=raw,if=none
for kind in ram memfd file,mem-path=$TMP/ram; do
    check "guest memory: $kind" 0 "$hello" $RHEA $hi -serial stdio \
        -object memory-backend-$kind,id=m,size=32M,share=on -machine memory-backend=m
done
[ "$(stat -c %s "$TMP/ram")" = 33554432 ] && cmp -s -n 16 -i 4096:0 "$TMP/ram" $G/hi16.bin
ok "the guest's memory is in the file" $?
# LeakSanitizer starts a process at the end.
check "sandbox" 0 "$hello" env "ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}" \
    $RHEA $hi -serial stdio \
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
check "mem-path" 0 "$hello" $RHEA $hi -serial stdio -m 16 -mem-path "$TMP" -mem-prealloc
check "iothread and secret" 0 "$hello" $RHEA $hi -serial stdio \
    -object iothread,id=io -object '{"qom-type":"secret","id":"s","data":"x"}'
check "global in words" 0 "$hello" $RHEA $hi -serial stdio \
    -global driver=isa-debug-exit,property=iosize,value=4 -device isa-debug-exit
check "set" 0 "$hello" $RHEA $hi -serial stdio \
    -device isa-debug-exit,id=x -set device.x.iosize=4
}

# ---- -readconfig --------------------------------------------------------------------
cat >"$TMP/vm.cfg" <<EOF
# a machine
[machine]
  type = "pc"
[memory]
  size = "64M"
[drive "d0"]
  file = "$TMP/a.raw"
  format = "raw"
  if = "none"
[device "dbg"]
  driver = "isa-debug-exit"
  iosize = "4"
EOF
# shellcheck disable=SC2086
check "readconfig" 0 "$hello" $RHEA $hi -serial stdio -readconfig "$TMP/vm.cfg"
# shellcheck disable=SC2086
check "readconfig from a descriptor" 0 "$hello" $RHEA $hi -serial stdio \
    -readconfig /proc/self/fd/7 7<"$TMP/vm.cfg"
check_err "readconfig: no file" "/nowhere" "$RHEA" -readconfig /nowhere
printf '[drive "d"]\n  nonsense\n' >"$TMP/bad.cfg"
check_err "readconfig: a bad line" "bad.cfg:2: parse error" \
    "$RHEA" -readconfig "$TMP/bad.cfg"
printf '[drve "d"]\n' >"$TMP/bad.cfg"
check_err "readconfig: a bad group" "did you mean 'drive'?" \
    "$RHEA" -readconfig "$TMP/bad.cfg"
printf 'a = "b"\n' >"$TMP/bad.cfg"
check_err "readconfig: no group" "no group defined" "$RHEA" -readconfig "$TMP/bad.cfg"

# ---- descriptors ------------------------------------------------------------------------
# shellcheck disable=SC2086
{
check "add-fd" 0 "$hello" $RHEA -flat file=/dev/fdset/1,addr=0x1000,mode=real \
    -serial stdio -add-fd fd=8,set=1,opaque=guest 8<$G/hi16.bin
check "a disk in a set" 0 "$hello" $RHEA $hi -serial stdio -add-fd fd=8,set=2 \
    -drive file=/dev/fdset/2,format=raw,if=none 8<>"$TMP/a.raw"
check "a disk in /proc/self/fd" 0 "$hello" $RHEA $hi -serial stdio \
    -drive file=/proc/self/fd/8,format=raw,if=none 8<>"$TMP/a.raw"
check_err "a set for reading only" "Permission denied" $r -add-fd fd=8,set=2 \
    -blockdev file,filename=/dev/fdset/2,node-name=f 8<"$TMP/a.raw"
}

# ---- in the background ----------------------------------------------------------------------
status=0
case $RHEA in /*) rhea=$RHEA ;; *) rhea=$PWD/$RHEA ;; esac
(cd "$TMP" && timeout $LIMIT "$rhea" -display none -S -daemonize -pidfile pid -name process=rhea-bg \
    -chardev file,id=c,path="$TMP/serial" -serial chardev:c >out 2>err </dev/null) || status=$?
ok "daemonize ends with status 0" $status
pid=$(cat "$TMP/pid")
kill -0 "$pid" 2>/dev/null
ok "and something runs" $?
[ "$(cat "/proc/$pid/comm")" = rhea-bg ] && [ "$(readlink "/proc/$pid/fd/2")" = /dev/null ]
ok "it has its name and no terminal" $?
check_err "pidfile: it is taken" "another one runs with it (process $pid)" \
    "$RHEA" -display none -S -pidfile "$TMP/pid"
[ "$(cat "$TMP/pid")" = "$pid" ]
ok "the file is untouched" $?
kill -TERM "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
[ ! -e "$TMP/pid" ]
ok "the file goes with the process" $?
"$RHEA" -display none -pidfile "$TMP/pid" -drive file=/nowhere 2>/dev/null
[ ! -e "$TMP/pid" ]
ok "and after a failed start" $?
finish
