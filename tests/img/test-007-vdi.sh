# vdi, dynamic and static: made, written and read by either program.
. tests/img/lib.sh
need_qemu
set -e
for o in static=off static=on; do
    rm -f ./*
    "$IMG" create -q -f vdi -o $o ours.vdi 10M
    "$QEMU_IMG" create -q -f vdi -o $o theirs.vdi 10M
    "$QEMU_IO" -c 'write -P 5 1500k 2M' -c 'write -P 6 9M 64k' ours.vdi >/dev/null
    "$IO" -c 'write -P 5 1500k 2M' -c 'write -P 6 9M 64k' theirs.vdi >/dev/null
    for f in ours.vdi theirs.vdi; do
        for c in info "info --output=json" check map "map --output=json"; do
            "$QEMU_IMG" $c $f >want 2>&1
            "$TMP/bin/qemu-img" $c $f >got 2>&1
            diff -u want got || { echo "$c $f"; exit 1; }
        done
    done
    "$QEMU_IMG" compare ours.vdi theirs.vdi >/dev/null
    "$IMG" compare ours.vdi theirs.vdi >/dev/null
    "$IMG" convert -O qcow2 ours.vdi a.qcow2
    "$QEMU_IMG" compare a.qcow2 theirs.vdi >/dev/null
    "$IMG" convert -O vdi a.qcow2 c.vdi
    "$QEMU_IMG" check -q c.vdi
    "$QEMU_IMG" compare c.vdi theirs.vdi >/dev/null
done

# Hostile headers: an error, nothing else. 368 is the size, 384 the blocks.
"$IMG" create -q -f vdi bad.vdi 10M
for at in 64 68 72 76 340 344 360 368 372 376 384 388 392 424 440; do
    cp bad.vdi b.vdi
    printf '\377\377\377\377' | dd of=b.vdi bs=1 seek=$at conv=notrunc 2>/dev/null
    for c in info check map; do
        s=0
        timeout $LIMIT "$IMG" $c -f vdi b.vdi >out 2>&1 || s=$?
        [ $s -lt 64 ] || { echo "byte $at, $c: status $s"; cat out; exit 1; }
    done
done
