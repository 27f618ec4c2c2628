# What no other test has both ways: data files, extensions that nobody knows,
# features that nobody knows, the dirty and the corrupt bit, parts of raw files.
. tests/img/lib.sh
need_qemu
set -e
fail() { echo "$*"; exit 1; }
poke() # FILE OFFSET BYTES (printf's)
{
    # shellcheck disable=SC2059
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
# The same words and status for the same arguments.
alike()
{
    a=0 b=0
    "$QEMU_IMG" "$@" >want 2>&1 </dev/null || a=$?
    "$TMP/bin/qemu-img" "$@" >got 2>&1 </dev/null || b=$?
    diff want got && [ $a = $b ] || fail "$*: $a, ours $b"
}

# External data files, raw or not.
for o in data_file_raw=off data_file_raw=on; do
    for maker in "$QEMU_IMG" "$IMG"; do
        rm -f d.qcow2 d.raw
        "$maker" create -q -f qcow2 -o data_file=d.raw,$o d.qcow2 4M
        "$QEMU_IO" -c 'write -P 3 1M 300k' d.qcow2 >/dev/null
        "$IO" -c 'write -P 4 1100k 1M' -c 'write -z 3M 64k' d.qcow2 >/dev/null
        "$QEMU_IMG" snapshot -c s d.qcow2 2>/dev/null || true
        for t in "$QEMU_IMG" "$IMG"; do
            "$t" check -q d.qcow2 || fail "data file, $o: check"
            "$t" convert -O raw d.qcow2 "all.$(basename "$t")"
        done
        cmp all.qemu-img all.rhea-img
        [ $o != data_file_raw=on ] || cmp all.qemu-img d.raw
        alike map --output=json d.qcow2
    done
done

# QEMU's first extension, the names of features, becomes one of an unknown kind.
"$QEMU_IMG" create -q -f qcow2 e.qcow2 4M
poke e.qcow2 112 '\022\064\126\170'
"$IMG" resize -q e.qcow2 8M
"$IMG" amend -o lazy_refcounts=on e.qcow2
"$IMG" rebase -u -b base -F raw e.qcow2
grep -q "$(printf '\022\064\126\170')" e.qcow2 || fail "an extension is lost"
"$QEMU_IMG" rebase -u -b '' e.qcow2
"$QEMU_IMG" check -q e.qcow2

# An incompatible feature, nameless and named.
"$IMG" create -q -f qcow2 f.qcow2 4M
poke f.qcow2 74 '\001'
alike info f.qcow2
alike check f.qcow2
"$QEMU_IMG" create -q -f qcow2 n.qcow2 4M
poke n.qcow2 120 '\000\050new thing\000' # the first name: type 0, bit 40
poke n.qcow2 74 '\001'
alike info n.qcow2
grep -q 'new thing' got || fail "the feature's name is not told"

# Marked corrupt: read, not written; repaired by either.
for t in "$IMG" "$QEMU_IMG"; do
    "$QEMU_IMG" create -q -f qcow2 c.qcow2 4M
    "$QEMU_IO" -c 'write -P 7 0 64k' c.qcow2 >/dev/null
    poke c.qcow2 79 '\002'
    alike info c.qcow2
    alike check c.qcow2
    "$IO" -r -c 'read -P 7 0 64k' c.qcow2 >/dev/null
    "$IO" -c 'write 0 64k' c.qcow2 >got 2>&1 && fail "a corrupt image is written"
    grep -q 'Image is corrupt' got || fail "the corrupt bit is not told"
    "$t" check -q -r all c.qcow2
    "$IO" -c 'write -P 8 0 64k' c.qcow2 >/dev/null
    "$QEMU_IO" -c 'read -P 8 0 64k' c.qcow2 >/dev/null
done

# Dirty, with refcounts that lag: whoever writes next repairs.
for t in "$IO" "$QEMU_IO"; do
    "$QEMU_IMG" create -q -f qcow2 -o lazy_refcounts=on l.qcow2 4M
    "$QEMU_IO" -c 'write -P 7 0 64k' l.qcow2 >/dev/null
    poke l.qcow2 79 '\001'
    poke l.qcow2 131082 '\000\000' # the count of cluster 5
    alike info l.qcow2
    "$t" -c 'write -P 8 64k 64k' l.qcow2 >/dev/null 2>&1
    "$IMG" check -q l.qcow2 && "$QEMU_IMG" check -q l.qcow2 || fail "dirty"
    "$IO" -c 'read -P 7 0 64k' l.qcow2 >/dev/null
done

# A part of a raw file.
"$QEMU_IMG" create -q -f raw r.raw 4M
part=driver=raw,offset=1M,size=2M,file.filename=r.raw
"$IO" --image-opts -c 'write -P 5 0 2M' -c 'write -z 1M 64k' $part >/dev/null
"$QEMU_IO" --image-opts -c 'read -P 5 0 1M' -c 'write -P 6 1M 512' $part >/dev/null
"$IO" -f raw -c 'read -P 0 0 1M' -c 'read -P 5 1M 1M' -c 'read -P 6 2M 512' \
    -c 'read -P 0 3M 1M' r.raw >/dev/null
"$IMG" convert --image-opts -O raw $part a.raw
"$QEMU_IMG" convert --image-opts -O raw $part b.raw
cmp a.raw b.raw
alike map --output=json --image-opts $part
