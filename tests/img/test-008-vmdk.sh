# vmdk, every subformat: made, written and read by either program.
. tests/img/lib.sh
need_qemu
set -e

same_words() # IMAGE
{
    for c in info "info --output=json" check map "map --output=json"; do
        "$QEMU_IMG" $c "$1" >want 2>&1 || true
        "$TMP/bin/qemu-img" $c "$1" >got 2>&1 || true
        diff -u want got || { echo "$o: $c $1"; exit 1; }
    done
}

fill() { "$1" -c 'write -P 5 1500k 2M' -c 'write -P 6 9M 64k' -c 'write -P 7 100 77' "$2" >/dev/null; }

for o in subformat=monolithicSparse subformat=monolithicFlat \
    subformat=twoGbMaxExtentSparse subformat=twoGbMaxExtentFlat zeroed_grain=on \
    adapter_type=lsilogic,hwversion=7; do
    rm -f ./*
    "$IMG" create -q -f vmdk -o $o ours.vmdk 10M
    "$QEMU_IMG" create -q -f vmdk -o $o theirs.vmdk 10M
    same_words ours.vmdk
    fill "$QEMU_IO" ours.vmdk
    fill "$IO" theirs.vmdk
    for f in ours.vmdk theirs.vmdk; do
        same_words $f
    done
    "$QEMU_IMG" compare -q ours.vmdk theirs.vmdk
    "$IMG" compare -q ours.vmdk theirs.vmdk
    "$IMG" convert -O raw ours.vmdk a.raw
    "$QEMU_IMG" convert -O raw theirs.vmdk b.raw
    cmp a.raw b.raw
    "$IMG" convert -O vmdk -o $o a.raw c.vmdk
    "$QEMU_IMG" check -q c.vmdk
    "$QEMU_IMG" compare -q c.vmdk theirs.vmdk
    [ $o != zeroed_grain=on ] && continue
    for t in "$IO" "$QEMU_IO"; do
        $t -c 'write -z 1M 4M' -c 'read -P 0 1M 4M' ours.vmdk >/dev/null
        same_words ours.vmdk
        $t -c 'write -P 9 2M 1000' -c 'read -P 0 2049k 10k' ours.vmdk >/dev/null
        same_words ours.vmdk
    done
done

# Several extents; a write across their border.
for o in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
    rm -f ./*
    "$IMG" create -q -f vmdk -o subformat=$o ours.vmdk 4100M
    "$QEMU_IMG" create -q -f vmdk -o subformat=$o theirs.vmdk 4100M
    for p in "$QEMU_IO ours" "$IO theirs"; do
        ${p% *} -c 'write -P 5 2047M 2M' -c 'write -P 6 4099M 1M' ${p#* }.vmdk >/dev/null
    done
    same_words ours.vmdk
    same_words theirs.vmdk
    "$QEMU_IMG" compare -q ours.vmdk theirs.vmdk
    "$IMG" compare -q ours.vmdk theirs.vmdk
    [ "$(ls | sed -n 's/^ours//p')" = "$(ls | sed -n 's/^theirs//p')" ]
done

# Compressed, by convert alone.
rm -f ./*
"$IMG" create -q -f raw a.raw 5000k
seq 300000 | dd of=a.raw conv=notrunc 2>/dev/null
"$IO" -f raw -c 'write -P 5 3500k 64k' a.raw >/dev/null
o=subformat=streamOptimized
"$IMG" convert -O vmdk -o $o a.raw ours.vmdk
"$IMG" convert -f raw -c -O vmdk -o $o a.raw c.vmdk
"$QEMU_IMG" convert -f raw -O vmdk -o $o a.raw theirs.vmdk
[ "$(wc -c <ours.vmdk)" -lt 3000000 ]
for f in ours c theirs; do
    same_words $f.vmdk
    "$QEMU_IMG" compare -q -f raw -F vmdk a.raw $f.vmdk
    "$IMG" compare -q -f raw -F vmdk a.raw $f.vmdk
done
# Behind the descriptor, with its CID, the same bytes; QEMU leaves more at the end.
n=$(wc -c <ours.vmdk)
for f in c theirs; do
    cmp -i 10752 -n $((n - 10752)) ours.vmdk $f.vmdk
done

# Parent and child; the child of a changed parent is not read.
rm -f ./*
o=backing
"$IMG" create -q -f vmdk base.vmdk 10M
"$IO" -c 'write -P 1 0 10M' base.vmdk >/dev/null
"$IMG" create -q -f vmdk -b base.vmdk -F vmdk ours.vmdk
"$QEMU_IMG" create -q -f vmdk -b base.vmdk -F vmdk theirs.vmdk
for p in "$QEMU_IO ours" "$IO theirs"; do
    ${p% *} -c 'write -P 2 100k 1000' -c 'read -P 1 64k 36k' -c 'write -z 1M 100k' ${p#* }.vmdk >/dev/null
done
same_words ours.vmdk
same_words theirs.vmdk
"$QEMU_IMG" compare -q ours.vmdk theirs.vmdk
"$IMG" compare -q ours.vmdk theirs.vmdk
"$IO" -c 'write -P 3 0 64k' base.vmdk >/dev/null
if "$IO" -c 'read 512k 1k' theirs.vmdk >out 2>&1; then
    echo "the changed parent was read"
    exit 1
fi
grep -q 'was changed since' out
! "$QEMU_IO" -c 'read 512k 1k' theirs.vmdk >/dev/null 2>&1 || exit 1

# Faults that check finds.
o=broken
"$IMG" create -q -f vmdk bad.vmdk 10M
"$IO" -c 'write 0 64k' bad.vmdk >/dev/null
printf '\377\377\377\177' | dd of=bad.vmdk bs=1 seek=$((27 * 512)) conv=notrunc 2>/dev/null
s=0
"$IMG" check bad.vmdk >out 2>&1 || s=$?
[ $s = 2 ] && grep -q 'cluster offset after file size' out

# What an old file of the same name held is not in the new image; sizes.
"$IMG" create -q -f vmdk odd.vmdk 1000001
"$QEMU_IMG" create -q -f vmdk odd2.vmdk 1000001
"$QEMU_IMG" compare -q odd.vmdk odd2.vmdk

# Hostile headers: an error, nothing else.
at=0
while [ $at -lt 80 ]; do
    for v in '\377\377\377\377' '\001\000\000\000\000\000\000\100'; do
        cp ours.vmdk b.vmdk
        printf "$v" | dd of=b.vmdk bs=1 seek=$at conv=notrunc 2>/dev/null
        for c in info check map; do
            s=0
            (ulimit -v $SMALL; timeout $LIMIT "$IMG" $c -f vmdk b.vmdk) >out 2>&1 || s=$?
            [ $s -lt 64 ] || { echo "byte $at, $c: status $s"; cat out; exit 1; }
        done
    done
    at=$((at + 4))
done
