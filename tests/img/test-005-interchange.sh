# What we write qemu-img reads, checks and finds the same, and back.
. tests/img/lib.sh
need_qemu
set -e

same()
{
    "$QEMU_IMG" compare "$1" "$2" >/dev/null
    "$IMG" compare "$1" "$2" >/dev/null
}

fill() # TOOL IMAGE
{
    "$1" -c 'write -P 3 0 100k' -c 'write -P 4 1M 1M' -c 'write -z 1100k 64k' \
        -c 'write -P 9 3M 512' "$2" >/dev/null
}

for o in compat=1.1 compat=0.10 cluster_size=512 cluster_size=2M \
    refcount_bits=1 refcount_bits=64 lazy_refcounts=on extended_l2=on \
    compression_type=zstd preallocation=metadata; do
    rm -f ./*.qcow2
    "$IMG" create -q -f qcow2 -o $o ours.qcow2 4M
    "$QEMU_IMG" create -q -f qcow2 -o $o theirs.qcow2 4M
    fill "$QEMU_IO" ours.qcow2
    fill "$IO" theirs.qcow2
    for f in ours theirs; do
        "$QEMU_IMG" check -q $f.qcow2 || { echo "$o: $f: qemu check"; exit 1; }
        "$IMG" check -q $f.qcow2 || { echo "$o: $f: check"; exit 1; }
    done
    same ours.qcow2 theirs.qcow2 || { echo "$o: differ"; exit 1; }
    "$IMG" convert -O raw theirs.qcow2 a.raw
    "$QEMU_IMG" convert -O raw ours.qcow2 b.raw
    cmp a.raw b.raw
    "$IMG" convert -c -O qcow2 -o $o a.raw packed.qcow2 2>/dev/null ||
        [ $o = preallocation=metadata ]
    if [ -s packed.qcow2 ] && [ $o != preallocation=metadata ]; then
        same packed.qcow2 theirs.qcow2 || { echo "$o: packed"; exit 1; }
        "$QEMU_IMG" check -q packed.qcow2
    fi
done

# Snapshots and chains.
rm -f ./*.qcow2
"$IMG" create -q -f qcow2 base.qcow2 4M
fill "$IO" base.qcow2
"$IMG" snapshot -c ours base.qcow2
"$QEMU_IO" -c 'write -P 8 0 64k' base.qcow2 >/dev/null
"$QEMU_IMG" snapshot -c theirs base.qcow2
"$IMG" snapshot -a ours base.qcow2
"$QEMU_IO" -c 'read -P 3 0 64k' base.qcow2 >/dev/null
"$QEMU_IMG" check -q base.qcow2
"$IMG" snapshot -d theirs base.qcow2
"$QEMU_IMG" check -q base.qcow2
"$QEMU_IMG" create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
"$IO" -c 'write -P 1 2M 64k' top.qcow2 >/dev/null
"$IMG" convert -O raw top.qcow2 a.raw
"$QEMU_IMG" convert -O raw top.qcow2 b.raw
cmp a.raw b.raw
"$IMG" commit -q top.qcow2
"$QEMU_IMG" check -q base.qcow2
"$QEMU_IMG" check -q top.qcow2
"$QEMU_IMG" compare -F raw base.qcow2 a.raw >/dev/null

# The same words for the same images.
"$IMG" create -q -f qcow2 words.qcow2 4M
"$IO" -c 'write -P 3 0 128k' -c 'write -P 4 1M 1M' -c 'write -z 1M 64k' \
    -c 'write -P 1 3M 64k' words.qcow2 >/dev/null
"$IMG" snapshot -c one words.qcow2
"$IMG" create -q -f qcow2 -b words.qcow2 -F qcow2 over.qcow2
"$IO" -c 'write -P 3 64k 128k' over.qcow2 >/dev/null
for c in "info --output=json" info check "check --output=json" \
    "map --output=json" map "measure -O qcow2" "snapshot -l"; do
    for f in words.qcow2 over.qcow2; do
        "$QEMU_IMG" $c $f >want 2>&1
        "$TMP/bin/qemu-img" $c $f >got 2>&1
        diff -u want got || { echo "$c $f"; exit 1; }
    done
done

# What info, measure and map tell of images of QEMU's making is what QEMU tells.
rm -f ./*.qcow2
luks_create() # now and then it cannot measure its own speed
{
    "$QEMU_IMG" create -q -f qcow2 --object secret,id=s,data=abc123 \
        -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 \
        l.qcow2 8M 2>luks.err
}
luks_create || luks_create || luks_create || luks_create || luks_create ||
    { cat luks.err; exit 1; }
"$QEMU_IMG" create -q -f qcow2 bm.qcow2 1G
"$QEMU_IMG" bitmap --add bm.qcow2 b0
"$QEMU_IMG" bitmap --add -g 512 bm.qcow2 b1
"$QEMU_IMG" create -q -f qcow2 -o preallocation=metadata pm.qcow2 16M
for t in "$IMG" "$QEMU_IMG"; do
    for o in human json; do
        "$t" info --output=$o l.qcow2
        "$t" info --output=$o bm.qcow2
        "$t" measure --output=$o -O qcow2 bm.qcow2
        "$t" map --output=$o pm.qcow2
    done >"told-by-$(basename "$t")" 2>&1
done
diff -u told-by-qemu-img told-by-rhea-img
