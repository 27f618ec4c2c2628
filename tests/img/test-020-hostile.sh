# The fuzzers' images as files, under a limit on memory: what rhea-img and
# rhea-io do with them ends by itself, in time, with 500 MB at most.
. tests/img/lib.sh

command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
python3 - "$TOP/tests/fuzz/corpus" <<'EOF' || exit 1
"""Unpacks inputs of fuzz-formats and fuzz-qcow2 to FORMAT.NAME."""
import os
import struct
import sys

FORMATS = ['vdi', 'vmdk', 'vpc', 'vhdx', 'parallels', 'raw']
LARGEST = 4608 << 10
for name in os.listdir(sys.argv[1] + '/qcow2'):
    with open(sys.argv[1] + '/qcow2/' + name, 'rb') as f:
        data = f.read()[1:]
    with open('qcow2.' + name, 'wb') as f:
        f.write(data)
for name in os.listdir(sys.argv[1] + '/formats'):
    with open(sys.argv[1] + '/formats/' + name, 'rb') as f:
        data = f.read()
    if len(data) < 5:
        continue
    size, at = min(struct.unpack_from('<I', data, 1)[0], LARGEST), 5
    image = bytearray(size)
    while len(data) - at > 6:
        off, n = struct.unpack_from('<IH', data, at)
        piece = data[at + 6:at + 6 + n]
        at += 6 + len(piece)
        if off < size:
            piece = piece[:size - off]
            image[off:off + len(piece)] = piece
    form = FORMATS[data[0] % 8 % len(FORMATS)]
    if form == 'vmdk':  # no name leads out of here
        image = image.replace(b'/', b'_').replace(b':', b'_')
    with open(form + '.' + name, 'wb') as f:
        f.write(image)
EOF
one() # COMMAND...: a signal, or no end, is a failure
{
    (
        ulimit -v "$SMALL"
        timeout $LIMIT "$@" >out 2>&1
    )
    status=$?
    if [ $status -gt 1 ] && { [ $status -gt 123 ] || grep -qi 'sanitizer' out; } ||
        grep -qi 'out of memory\|cannot allocate\|failed to allocate' out; then
        echo "status $status: $*"
        tail -3 out
        bad=1
    fi
}
bad=0 n=0
for f in *.*; do
    form=${f%%.*}
    one "$IMG" info -f "$form" "$f"
    one "$IMG" info "$f"
    one "$IMG" check -f "$form" "$f"
    one "$IMG" map -f "$form" --output=json --max-length=1G "$f"
    one "$IMG" dd -f "$form" -O raw bs=1M count=1 if="$f" of=copy
    one "$IMG" measure -f "$form" -O qcow2 "$f"
    one "$IO" -f "$form" -c 'write 0 64k' -c 'discard 0 1M' -c flush "$f"
    one "$IMG" check -f "$form" -r all "$f"
    one "$IMG" snapshot -l "$f"
    n=$((n + 9))
done
echo "$n commands"
exit $bad
