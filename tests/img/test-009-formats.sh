# vpc, vhdx and parallels made, written and read by either program.
. tests/img/lib.sh
need_qemu
set -e

same_words() # FORMAT IMAGE COMMAND...
{
    f=$1 i=$2
    shift 2
    for c in "$@"; do
        s=0 t=0
        "$QEMU_IMG" $c -f $f "$i" >want 2>&1 || s=$?
        "$TMP/bin/qemu-img" $c -f $f "$i" >got 2>&1 || t=$?
        diff -u want got || { echo "$o: $c $i"; exit 1; }
        [ $s = $t ] || { echo "$o: $c $i: $s, $t"; exit 1; }
    done
}

fill() # TOOL FORMAT IMAGE
{
    "$1" -f $2 -c 'write -P 5 1500k 3M' -c 'write -P 6 9M 64k' \
        -c 'write -P 7 100 77' -c 'write -z 2M 10k' "$3" >/dev/null
}

both() # FORMAT SIZE COMMAND...
{
    fmt=$1 size=$2
    shift 2
    rm -f ./*
    "$IMG" create -q -f $fmt ${o:+-o $o} ours $size
    "$QEMU_IMG" create -q -f $fmt ${o:+-o $o} theirs $size
    same_words $fmt ours "$@"
    fill "$QEMU_IO" $fmt ours
    fill "$IO" $fmt theirs
    for x in ours theirs; do
        same_words $fmt $x "$@"
    done
    "$QEMU_IMG" compare -q -f $fmt -F $fmt ours theirs
    "$IMG" compare -q -f $fmt -F $fmt ours theirs
    "$IMG" convert -f $fmt -O raw ours a.raw
    "$QEMU_IMG" convert -f $fmt -O raw theirs b.raw
    cmp a.raw b.raw
    "$IMG" convert -f raw -O $fmt ${o:+-o $o} a.raw c
    "$QEMU_IMG" compare -q -f $fmt -F $fmt c theirs
}

for o in '' subformat=fixed force_size=on; do
    both vpc 10M info "info --output=json" check map "map --output=json"
done
# The geometry decides about the size.
for size in 1 1000 512k 1023k 1M 63M 300M 504M 3G 31G 32255M 127G 128G 200G 2040G; do
    for o in force_size=off force_size=on; do
        rm -f ./*
        "$IMG" create -q -f vpc -o $o ours $size
        "$QEMU_IMG" create -q -f vpc -o $o theirs $size
        same_words vpc ours info
        # All but the time, the sum and the UUID.
        [ "$(cmp -l -n 512 ours theirs | awk '($1 < 25 || $1 > 28) && ($1 < 65 || $1 > 84)' | wc -l)" = 0 ]
        cmp -i 512 -n 1028 ours theirs
        [ "$(wc -c <ours)" = "$(wc -c <theirs)" ]
    done
done

for o in '' cluster_size=64k; do
    both parallels 10M info "info --output=json" "map --output=json" map check "check --output=json"
done
rm -f ./*
o=
"$IMG" create -q -f parallels -o cluster_size=64k ours 1000001
"$QEMU_IMG" create -q -f parallels -o cluster_size=64k theirs 1000001
cmp ours theirs
"$IMG" create -q -f parallels big 1T
"$QEMU_IMG" create -q -f parallels tbig 1T
cmp big tbig
# Not closed: marked; reading is allowed, writing is not, check mends it.
printf 'Ynot' | dd of=ours bs=1 seek=44 conv=notrunc 2>/dev/null
"$IO" -r -f parallels -c 'read 0 512' ours >/dev/null
! "$IO" -f parallels -c 'read 0 512' ours >/dev/null 2>&1 || exit 1
same_words parallels ours check
"$IMG" check -q -f parallels -r all ours
"$QEMU_IMG" check -q -f parallels ours
"$IO" -f parallels -c 'write -P 3 0 100k' ours >/dev/null
[ "$(od -An -tx4 -j44 -N4 ours)" = ' 00000000' ]

# QEMU has no map for vhdx: there is data everywhere.
for o in '' subformat=fixed block_size=1M block_state_zero=off log_size=3M; do
    both vhdx 40M info "info --output=json" check
done
for size in 1 1000001 1G 40G 120G 2T 40T; do
    o=
    "$IMG" create -q -f vhdx ours $size
    "$QEMU_IMG" create -q -f vhdx theirs $size
    same_words vhdx ours info check
    [ "$(wc -c <ours)" -le "$(wc -c <theirs)" ]
    "$QEMU_IMG" info -f vhdx theirs | sed 's/theirs/ours/' | grep -v '^disk size' >want
    "$IMG" info -f vhdx ours | grep -v '^disk size' | diff -u want -
done
# A disk with several chunks: bitmap entries between the blocks.
"$QEMU_IMG" create -q -f vhdx -o block_size=1M big.vhdx 20G
"$QEMU_IO" -c 'write -P 1 4095M 2M' -c 'write -P 2 4097M 1M' -c 'write -P 3 12G 5M' big.vhdx >/dev/null
"$IO" -r -c 'read -P 1 4095M 2M' -c 'read -P 2 4097M 1M' -c 'read -P 3 12G 5M' -c 'read -P 0 4098M 1M' big.vhdx >/dev/null
"$IO" -c 'write -P 8 4094M 4M' -c 'write -P 9 19G 512' big.vhdx >/dev/null
"$QEMU_IO" -c 'read -P 8 4094M 4M' -c 'read -P 9 19G 512' -c 'read -P 3 12G 5M' \
    -c 'read -P 0 4098M 1M' big.vhdx >/dev/null
"$QEMU_IMG" check -q big.vhdx

# Probing.
for f in vdi vmdk vpc vhdx parallels qcow2; do
    "$QEMU_IMG" create -q -f $f x.$f 1M
    same_words $f x.$f info
    [ "$("$IMG" info x.$f | sed -n 's/file format: //p')" = $f ]
done

# Hostile headers: an error, nothing else.
"$IMG" create -q -f vpc x.vpc 10M
"$IO" -c 'write 0 1M' x.vpc >/dev/null
"$IMG" create -q -f parallels x.parallels 10M
for f in vpc parallels vhdx; do
    for at in 0 4 8 16 20 24 28 32 36 40 44 48 52 56 60 64 68 \
        528 532 540 544 1536 65600 65604 196616 196640 1048600; do
        for v in '\377\377\377\377' '\001\000\000\000\000\000\000\100'; do
            cp x.$f b.$f
            printf "$v" | dd of=b.$f bs=1 seek=$at conv=notrunc 2>/dev/null
            for c in info check map; do
                s=0
                (ulimit -v $SMALL; timeout $LIMIT "$IMG" $c -f $f b.$f) >out 2>&1 || s=$?
                [ $s -lt 64 ] || { echo "$f: byte $at, $c: status $s"; cat out; exit 1; }
            done
        done
    done
done
