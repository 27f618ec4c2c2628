#!/bin/bash
# A Debian kernel on the network: user mode (DHCP, forwardings, TFTP, IPv6,
# captures), two machines on each kind of cable, and a tap.
. tests/boot/lib.sh
need python3 cpio gzip
GUEST=build/guest
[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd-virtio.gz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}
"$RHEA" -netdev help | grep -qx user || {
    echo "built without libslirp"
    exit 77
}

# initrd SCRIPT OUT [FILE...]: the usual initramfs with /script and files in /.
initrd()
{
    rm -rf "$TMP/fs" && mkdir "$TMP/fs"
    cp "$1" "$TMP/fs/script"
    mkdir "$TMP/fs/etc" && cp tools/guest-udhcpc "$TMP/fs/etc/udhcpc.script"
    made=$2
    shift 2
    [ $# = 0 ] || cp "$@" "$TMP/fs/"
    (cd "$TMP/fs" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$TMP/extra.gz"
    cat $GUEST/initrd-virtio.gz "$TMP/extra.gz" >"$made"
}

# start LOG INITRD OPTION...: a machine in the background; its pid in $pid.
start()
{
    log=$1 ramdisk=$2
    shift 2
    timeout $LIMIT "$RHEA" -accel tcg -m 256 -kernel $GUEST/vmlinuz -initrd "$ramdisk" \
        -append "console=ttyS0 quiet panic=-1 rhea.exec=sh,/script" -display none \
        -serial stdio -monitor none -no-reboot "$@" </dev/null >"$log" 2>&1 &
    pid=$!
}

# wait_for LOG TEXT: false when the machine has ended.
wait_for()
{
    while kill -0 "$pid" 2>/dev/null; do
        grep -qaF -- "$2" "$1" && return
        sleep 0.2
    done
    grep -qaF -- "$2" "$1"
}

# verdict NAME LOG TEXT: the log has the text.
verdict()
{
    test_no=$((test_no + 1))
    if grep -qa -- "$3" "$2"; then
        echo "ok $test_no $1"
    else
        echo "not ok $test_no $1"
        echo "# wanted: $3"
        tr -d '\r' <"$2" | tail -n 40 | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

skip()
{
    test_no=$((test_no + 1))
    echo "ok $test_no $1 # SKIP $2"
}

free_port()
{
    python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# transfer PORT OUT [FILE]: sends the file, or nothing; keeps what comes back.
transfer()
{
    timeout $LIMIT python3 - "$@" <<'PY'
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
if len(sys.argv) > 3:
    s.sendall(open(sys.argv[3], 'rb').read())
    s.shutdown(socket.SHUT_WR)
with open(sys.argv[2], 'wb') as f:
    while True:
        data = s.recv(65536)
        if not data:
            break
        f.write(data)
PY
}

head -c 3000000 /dev/urandom >"$TMP/data"
sum=$(sha256sum <"$TMP/data" | cut -c1-64)

# ---- user mode -----------------------------------------------------------------

cat >"$TMP/script" <<'EOF'
driver=/sys/bus/virtio/drivers/virtio_net
for n in $(seq 20); do
    echo virtio0 >$driver/unbind; echo virtio0 >$driver/bind; ip link set eth0 up
done
dhcp
ping -c 2 10.0.7.2 | grep packets
cat /etc/resolv.conf
cat /tmp/bootfile
hostname
tftp -g -r data -l /tmp/tftp 10.0.7.2 && sha256sum </tmp/tftp
mkfifo /open
for to in "10.0.7.100 99" "10.0.7.101 98"; do
    { echo; sleep 1000; } >/open & # nc ends when its input does
    timeout 10 nc $to </open
done
echo listening 8000
sleep 1000 >/open &
nc -l -p 8000 </open >/tmp/in && echo in $(sha256sum </tmp/in)
echo listening 8001
nc -l -p 8001 </data
n=0
until ip -6 addr show dev eth0 | grep fec0 | grep -qv tentative || [ $n = 3000 ]; do
    usleep 100000; n=$((n + 1))
done
ping6 -c 2 fec0::2 | grep packets
sleep 1000 >/open &
echo six $(nc fec0::2 $(cat /port6) </open | sha256sum)
echo end
EOF
# What the guest asks for over IPv6 comes from the host's ::1.
timeout $LIMIT python3 - "$TMP/data" >"$TMP/port6" <<'PY' &
import socket, sys
try:
    s = socket.create_server(('::1', 0), family=socket.AF_INET6)
except OSError:
    print('none', flush=True)
    sys.exit()
print(s.getsockname()[1], flush=True)
try:
    c = s.accept()[0]
    c.sendall(open(sys.argv[1], 'rb').read())
    c.close()
except OSError:
    pass
PY
server=$!
while [ ! -s "$TMP/port6" ]; do sleep 0.05; done
initrd "$TMP/script" "$TMP/initrd" "$TMP/data" "$TMP/port6"
mkdir "$TMP/tftp" && cp "$TMP/data" "$TMP/tftp/data"
start "$TMP/user.log" "$TMP/initrd" -device virtio-net-pci,netdev=n,id=net0 \
    -chardev "socket,id=fwd,path=$TMP/fwd,server=on,wait=off" \
    -netdev "user,id=n,net=10.0.7.0/24,hostname=guesty,domainname=example.org,dnssearch=a.test,tftp=$TMP/tftp,bootfile=boot.img,hostfwd=tcp:127.0.0.1:0-:8000,hostfwd=tcp:127.0.0.1:0-:8001,hostfwd=tcp:127.0.0.1:0-:22,guestfwd=tcp:10.0.7.100:99-cmd:echo from a command,guestfwd=tcp:10.0.7.101:98-chardev:fwd" \
    -object "filter-dump,id=f,netdev=n,file=$TMP/n.pcap"
python3 - "$TMP/fwd" <<'PY' &
import socket, sys, time
for _ in range(1000):
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect(sys.argv[1])
        s.recv(1)
        s.sendall(b'from a chardev\n')
        time.sleep(1)
        s.close()
        break
    except OSError:
        time.sleep(0.2)
PY
forwarded() # PORT: the host's port for it
{
    sed -n "s/.*127.0.0.1:0-:$1 listens on 127.0.0.1:\([0-9]*\).*/\1/p" "$TMP/user.log"
}
wait_for "$TMP/user.log" "listening 8000" && transfer "$(forwarded 8000)" /dev/null "$TMP/data"
wait_for "$TMP/user.log" "listening 8001" && transfer "$(forwarded 8001)" "$TMP/back"
wait "$pid"
status=$?
verdict "user: DHCP, after the driver came and went 20 times" "$TMP/user.log" "lease 10.0.7.15 router 10.0.7.2 dns 10.0.7.3"
verdict "user: name server and search list" "$TMP/user.log" "^nameserver 10.0.7.3"
verdict "user: boot file" "$TMP/user.log" "^boot.img"
verdict "user: ping" "$TMP/user.log" "2 packets transmitted, 2 packets received"
verdict "user: TFTP" "$TMP/user.log" "^$sum"
verdict "user: guestfwd to a command" "$TMP/user.log" "^from a command"
verdict "user: guestfwd to a character device" "$TMP/user.log" "^from a chardev"
verdict "user: hostfwd into the guest" "$TMP/user.log" "^in $sum"
sha256sum <"$TMP/back" >"$TMP/back.sum" 2>&1
verdict "user: hostfwd out of the guest" "$TMP/back.sum" "^$sum"
verdict "user: port 0 is reported" "$TMP/user.log" "hostfwd tcp:127.0.0.1:0-:22 listens on 127.0.0.1:[1-9]"
if [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; then
    verdict "user: TCP over IPv6" "$TMP/user.log" "^six $sum"
else
    skip "user: TCP over IPv6" "the host has no IPv6"
fi
echo "status $status" >"$TMP/end"
verdict "user: ends" "$TMP/end" "status 0"
kill $server 2>/dev/null

# What the capture has, by tcpdump or by its own length fields.
if command -v tcpdump >/dev/null; then
    tcpdump -nr "$TMP/n.pcap" >"$TMP/dump" 2>&1
    verdict "filter-dump: readable by tcpdump" "$TMP/dump" "ARP, Reply 10.0.7.2 is-at 52:55:0a:00:07:02"
else
    python3 - "$TMP/n.pcap" >"$TMP/dump" <<'PY'
import struct, sys
d = open(sys.argv[1], 'rb').read()
at, n = 24, 0
while at < len(d):
    at += 16 + struct.unpack('<I', d[at + 8:at + 12])[0]
    n += 1
print('whole' if at == len(d) and n > 100 else 'broken')
PY
    verdict "filter-dump: whole records" "$TMP/dump" whole
fi

# ---- what is there without being asked for ---------------------------------------

printf 'info network\nquit\n' | timeout $LIMIT "$RHEA" -S -display none -serial none -monitor stdio >"$TMP/info" 2>&1
verdict "default: a card on a user network" "$TMP/info" \
    "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56"
for o in "-nodefaults" "-nic none" "-net none"; do
    # shellcheck disable=SC2086
    printf 'info network\nquit\n' |
        timeout $LIMIT "$RHEA" $o -S -display none -serial none -monitor stdio >"$TMP/info" 2>&1
    grep -c type= "$TMP/info" >"$TMP/count"
    verdict "none with $o" "$TMP/count" "^0"
done
printf 'info network\nquit\n' | timeout $LIMIT "$RHEA" -S -display none -serial none -monitor stdio \
    -net nic,model=virtio,macaddr=52:54:00:00:00:99 -net user >"$TMP/info" 2>&1
verdict "-net: both on hub 0" "$TMP/info" 'hub0port1: #net0: index=0,type=user'
check_err "a netdev used twice" "can't take value 'n', it's in use by 'virtio-net-pci.0'" \
    "$RHEA" -netdev user,id=n -device virtio-net-pci,netdev=n -device virtio-net-pci,netdev=n
check_err "no such netdev" "can't find value 'm'" "$RHEA" -device virtio-net-pci,netdev=m
check_err "a card there is not" "Unsupported NIC model: e1000" "$RHEA" -nic user,model=e1000
python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(1000)' >"$TMP/taken" &
holder=$!
while [ ! -s "$TMP/taken" ]; do sleep 0.1; done
check_err "a port that is taken, and by whom" \
    "Could not set up host forwarding rule 'tcp:127.0.0.1:$(cat "$TMP/taken")-:22': 127.0.0.1:$(cat "$TMP/taken") is in use by pid $holder" \
    "$RHEA" -nic "user,hostfwd=tcp:127.0.0.1:$(cat "$TMP/taken")-:22"
kill $holder

# ---- two machines ------------------------------------------------------------------

# Interface N of the first is 10.N.0.1, of the second 10.N.0.2.
cat >"$TMP/script1" <<'EOF'
for n in 0 1 2 3; do ip addr add 10.$n.0.1/24 dev eth$n; ip link set eth$n up; done
echo listening
mkfifo /open
for n in 0 1 2 3; do sleep 1000 >/open & nc -l -p 700$n </open | sha256sum | sed "s/^/cable $n /"; done
EOF
cat >"$TMP/script2" <<'EOF'
for n in 0 1 2 3; do ip addr add 10.$n.0.2/24 dev eth$n; ip link set eth$n up; done
for n in 0 1 2 3; do
    ping -c 1 -w 600 10.$n.0.1 | grep packets
    k=0
    until nc 10.$n.0.1 700$n </small || [ $k = 3000 ]; do usleep 100000; k=$((k + 1)); done
done
sleep 600 # until the other end has it all
EOF
head -c 300000 "$TMP/data" >"$TMP/small"
sum=$(sha256sum <"$TMP/small" | cut -c1-64)
initrd "$TMP/script1" "$TMP/initrd1"
initrd "$TMP/script2" "$TMP/initrd2" "$TMP/small"
tcp=$(free_port) mc=$(free_port) multicast=yes
mcast="socket,id=n2,mcast=239.192.7.8:$mc,localaddr=127.0.0.1"
echo quit | timeout $LIMIT "$RHEA" -M none -S -display none -monitor stdio -netdev "$mcast" >"$TMP/mc" 2>&1
grep -q multicast "$TMP/mc" && multicast=no mcast=hubport,id=n2,hubid=9
cards()
{
    for n in 0 1 2 3; do
        echo "-device virtio-net-pci,netdev=n$n,mac=52:54:00:00:0$n:0$1"
    done
}
# shellcheck disable=SC2046
start "$TMP/one.log" "$TMP/initrd1" $(cards 1) \
    -netdev "stream,id=n0,server=on,addr.type=unix,addr.path=$TMP/stream" \
    -netdev "socket,id=n1,listen=127.0.0.1:$tcp" -netdev "$mcast" \
    -netdev "dgram,id=n3,local.type=unix,local.path=$TMP/d1,remote.type=unix,remote.path=$TMP/d2"
one=$pid
while [ ! -S "$TMP/d1" ] && kill -0 $one; do sleep 0.1; done
# shellcheck disable=SC2046
start "$TMP/two.log" "$TMP/initrd2" $(cards 2) \
    -netdev "stream,id=n0,addr.type=unix,addr.path=$TMP/stream" \
    -netdev "socket,id=n1,connect=127.0.0.1:$tcp" -netdev "$mcast" \
    -netdev "dgram,id=n3,local.type=unix,local.path=$TMP/d2,remote.type=unix,remote.path=$TMP/d1"
wait_for "$TMP/one.log" 'cable 3'
kill $one "$pid" 2>/dev/null
wait $one "$pid"
verdict "two machines: stream, unix" "$TMP/one.log" "^cable 0 $sum"
verdict "two machines: socket, TCP" "$TMP/one.log" "^cable 1 $sum"
if [ $multicast = yes ]; then
    verdict "two machines: socket, multicast" "$TMP/one.log" "^cable 2 $sum"
    verdict "two machines: dgram, unix" "$TMP/one.log" "^cable 3 $sum"
else
    skip "two machines: multicast" "$(tail -n 1 "$TMP/mc")"
fi

# ---- tap, in a network of its own ---------------------------------------------------

cat >"$TMP/script" <<'EOF'
ip addr add 10.8.0.2/24 dev eth0
ip link set eth0 up
ping -c 2 -w 600 10.8.0.1 | grep packets
nc 10.8.0.1 7000 </data
ls -d /sys/class/net/eth0/queues/rx-*
EOF
cat >"$TMP/tap" <<'EOF'
printf '#!/bin/sh\nip addr add 10.8.0.1/24 dev $1\nip link set $1 up\n' >"$TMP/ifup"
chmod +x "$TMP/ifup"
ip link set lo up
timeout $LIMIT python3 -c '
import hashlib, socket
s = socket.create_server(("0.0.0.0", 7000))
c = s.accept()[0]
h = hashlib.sha256()
while True:
    d = c.recv(65536)
    if not d:
        break
    h.update(d)
print("tap " + h.hexdigest(), flush=True)' &
timeout $LIMIT "$RHEA" -accel tcg -m 256 -smp 2 -kernel build/guest/vmlinuz -initrd "$TMP/initrd" \
    -append "console=ttyS0 quiet panic=-1 rhea.exec=sh,/script" -display none -serial stdio \
    -monitor none -no-reboot -netdev "tap,id=t,ifname=rtap0,script=$TMP/ifup,downscript=no,queues=2" \
    -device virtio-net-pci,netdev=t,mq=on,vectors=8 </dev/null
kill %1 2>/dev/null
EOF
sum=$(sha256sum <"$TMP/data" | cut -c1-64)
initrd "$TMP/script" "$TMP/initrd" "$TMP/data"
if ! unshare -n true 2>/dev/null; then
    skip tap "no network namespaces without privileges"
elif ! command -v ip >/dev/null; then
    skip tap "no ip command"
elif ! unshare -n ip tuntap add dev x mode tap 2>"$TMP/err"; then
    skip tap "$(head -n 1 "$TMP/err")"
else
    export TMP RHEA LIMIT
    timeout $LIMIT unshare -n sh "$TMP/tap" >"$TMP/tap.log" 2>&1
    verdict "tap: ping" "$TMP/tap.log" "2 packets transmitted, 2 packets received"
    verdict "tap: TCP with offloads" "$TMP/tap.log" "^tap $sum"
    verdict "tap: two queues" "$TMP/tap.log" "queues/rx-1"
fi
finish
