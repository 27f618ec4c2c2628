# nbd: against qemu-nbd; a server that dies, one that never answers, and one
# that answers nonsense.
. tests/img/lib.sh
need_qemu
QEMU_NBD=$(command -v qemu-nbd || true)
[ -n "$QEMU_NBD" ] || { echo "qemu-nbd is not installed"; exit 77; }
"$IMG" info nbd+unix:///?socket=none 2>&1 | grep -q libnbd && { echo "built without libnbd"; exit 77; }
set -e
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null || true; rm -rf "$TMP"' EXIT

serve() # ARGUMENTS of qemu-nbd
{
    rm -f sock
    "$QEMU_NBD" -k "$PWD/sock" -t "$@" &
    server=$!
    listens $server "$PWD/sock" || { echo "qemu-nbd does not start"; exit 1; }
}

unserve()
{
    kill $server 2>/dev/null || true
    wait $server 2>/dev/null || true
    server=
}

"$IMG" create -q -f qcow2 a.qcow2 10M
"$IO" -c 'write -P 5 1M 2M' -c 'write -P 6 9M 64k' a.qcow2 >/dev/null
serve -f qcow2 --discard=unmap a.qcow2
u="nbd+unix:///?socket=$PWD/sock"
for c in info "info --output=json" "map --output=json" map; do
    "$QEMU_IMG" $c -f raw "$u" >want 2>&1
    "$TMP/bin/qemu-img" $c -f raw "$u" >got 2>&1
    diff -u want got || { echo "$c"; exit 1; }
done
"$IO" -f raw -c 'read -P 5 1M 2M' -c 'read -P 6 9M 64k' -c 'read -P 0 3M 6M' \
    -c 'write -P 7 5000 100k' -c 'read -P 7 5000 100k' -c 'write -P 8 2M 8M' \
    -c 'write -z 4M 1M' -c 'read -P 0 4M 1M' -c 'discard 1M 1M' -c flush \
    -c 'write -z -u 8M 1M' -c 'read -P 8 7M 1M' "$u" >out
"$IO" -f raw -c 'read -P 7 5000 100k' "nbd:unix:$PWD/sock" >/dev/null
"$IO" --image-opts -c 'read -P 7 5000 100k' driver=nbd,path=$PWD/sock >/dev/null
"$IO" --image-opts -c 'read -P 7 5000 100k' \
    driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=$PWD/sock >/dev/null
"$IMG" convert -f raw -O raw "$u" b.raw
unserve
"$IMG" compare -q -f raw -F qcow2 b.raw a.qcow2
"$QEMU_IMG" check -q a.qcow2

# A format over it, written by convert; an export with a name.
"$IMG" create -q -f raw c.raw 20M
serve -f raw -x 'my export' c.raw
u="nbd+unix:///my%20export?socket=$PWD/sock"
"$IMG" info -f raw "$u" | grep -q '20 MiB'
! "$IMG" info "nbd+unix:///wrong?socket=$PWD/sock" 2>out || exit 1
grep -q wrong out
# What the disk held before is gone where the source has zeroes.
"$IO" -f raw -c 'write -P 9 0 20M' "$u" >/dev/null
"$IMG" convert -f raw -O raw b.raw "$u"
"$IO" -f raw -c 'write -z 10M 10M' "$u" >/dev/null
"$IMG" compare -q -f raw -F raw b.raw "$u"
! "$IMG" create -f raw "$u" 21M >out 2>&1 || exit 1
grep -q 'cannot be made larger' out
"$IMG" create -q -f qcow2 "$u" 12M
"$IMG" convert -n -f raw -O qcow2 b.raw "$u"
"$IMG" compare -q -f raw -F qcow2 b.raw "$u"
for f in vmdk vhdx parallels vpc; do
    ! "$IMG" create -q -f $f "$u" 10M 2>out || exit 1
    grep -q 'has a fixed size' out
done
"$IO" -f raw -c 'write -P 9 0 20M' "$u" >/dev/null
"$IMG" create -q -f vdi "$u" 10M
"$IO" -f vdi -c 'read -P 0 0 10M' -c 'write -P 1 3M 100k' -c 'read -P 1 3M 100k' \
    -c 'read -P 0 3172k 100k' "$u" >out
unserve

# Read-only.
serve -f raw -r c.raw
u="nbd+unix:///?socket=$PWD/sock"
"$IO" -r -f raw -c 'read 0 512' "$u" >/dev/null
! "$IO" -f raw -c 'write 0 512' "$u" >/dev/null 2>&1 || exit 1
unserve

# TCP, on a port that the system finds free.
if command -v python3 >/dev/null; then
    rm -f port
    python3 - "$QEMU_NBD" -t -f raw c.raw >port <<'END' &
import os, socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
os.dup2(s.fileno(), 3)  # as systemd hands it over
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
END
    server=$!
    while [ ! -s port ]; do
        kill -0 $server || { echo "no TCP"; exit 1; }
        sleep 0.05
    done
    port=$(cat port)
    "$IMG" info -f raw "nbd://127.0.0.1:$port" >/dev/null
    "$IMG" info -f raw "nbd:127.0.0.1:$port" >/dev/null
    "$IMG" info --image-opts driver=nbd,host=127.0.0.1,port=$port >/dev/null
    unserve
fi

# The server dies between two requests: an error, soon.
serve -f raw c.raw
s=0
mkfifo commands
timeout $LIMIT "$IO" -f raw "$u" <commands >out 2>&1 &
client=$!
{
    echo 'read 0 512'
    until grep -q 'read 512/512' out || ! kill -0 $client; do sleep 0.1; done
    kill -9 $server
    printf '%s\n' 'read 0 512' 'write 0 512' quit
} >commands
wait $client || s=$?
[ $s -lt 124 ]
grep -q 'read 512/512' out
grep -q 'Input/output error' out
wait $server 2>/dev/null || true
server=

# No server, no address.
for bad in "nbd+unix:///?socket=$PWD/none" nbd+unix:///x nbd+unix://host/x?socket=y \
    nbd+vsock://1/ nbd:foo nbd: nbd:unix: "nbd://127.0.0.1:1/" "nbd://[::1"; do
    ! timeout $LIMIT "$IMG" info "$bad" >out 2>&1 || { echo "$bad"; exit 1; }
    [ "$(wc -l <out)" = 1 ] || { cat out; exit 1; }
done

command -v python3 >/dev/null || exit 0
cat >hostile.py <<'END'
# A server: what argv[2] says goes wrong.
import os, socket, struct, sys
how = sys.argv[2]
ls = socket.socket(socket.AF_UNIX)
ls.bind(sys.argv[1])
ls.listen(1)
c, _ = ls.accept()
def get(n):
    b = b''
    while len(b) < n:
        p = c.recv(n - len(b))
        if not p:
            sys.exit()
        b += p
    return b
def stall():
    while c.recv(65536):
        pass
    sys.exit()
if how == 'garbage':
    c.sendall(os.urandom(65536))
    stall()
c.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 3))
get(4)
while True:
    magic, opt, n = struct.unpack('>8sII', get(16))
    get(n)
    def reply(kind, data=b''):
        c.sendall(struct.pack('>QIII', 0x3e889045565a9, opt, kind, len(data)) + data)
    if opt == 7:
        size = {'huge': 1 << 63, 'odd': 1000001}.get(how, 1 << 20)
        reply(3, struct.pack('>HQH', 0, size, 1 | 4))
        if how == 'blocks':
            reply(3, struct.pack('>HIII', 3, 3, 7, 1))
        if how == 'odd':
            reply(3, struct.pack('>HIII', 3, 512, 4096, 1 << 20))
        reply(1)
        break
    reply(0x80000001)
while True:
    magic, flags, cmd, cookie, off, n = struct.unpack('>IHHQQI', get(28))
    if how == 'stall':
        stall()
    if how == 'cookie':
        cookie += 1
    if how == 'half':
        c.sendall(struct.pack('>IIQ', 0x67446698, 0, cookie) + b'x' * (n // 2))
        sys.exit()
    if how == 'error':
        c.sendall(struct.pack('>IIQ', 0x67446698, 22, cookie))
        continue
    c.sendall(struct.pack('>IIQ', 0x67446698, 0, cookie) + b'x' * n)
END
for how in garbage huge odd blocks stall cookie half error; do
    rm -f sock
    python3 hostile.py "$PWD/sock" $how &
    server=$!
    listens $server "$PWD/sock" || { echo "no server"; exit 1; }
    s=0
    timeout $LIMIT "$IO" --image-opts -c 'read 4096 4096' -c 'read 0 512' \
        driver=nbd,path=sock,request-timeout=1 >out 2>&1 || s=$?
    [ $s -lt 124 ] || { echo "$how: status $s"; cat out; exit 1; }
    # libnbd leaves out block sizes that make no sense.
    [ $how = blocks ] || [ $s != 0 ] || grep -q 'failed' out || { echo "$how was believed"; cat out; exit 1; }
    unserve
done
