#!/bin/sh
# convert -c packs what deflate makes smaller, and knows noise in advance: of
# these clusters of 64 KiB, all but the first. QEMU packs the same ones.
set -eu
. tests/img/lib.sh

head -c 65536 /dev/urandom >noise
head -c 3000 noise >period # within deflate's window of 4 KiB
{
    cat noise
    for _ in $(seq 22); do cat period; done | head -c 65536
    seq 100000 200000 | head -c 65536
    od -An -tx1 noise | head -c 65536
} >mix.raw
for t in "$IMG" $QEMU_IMG; do
    "$t" convert -f raw -c -O qcow2 mix.raw mix.qcow2
    n=$("$IMG" check --output=json mix.qcow2 |
        sed -n 's/.*"compressed-clusters": \([0-9]*\).*/\1/p')
    [ "$n" = 3 ] || { echo "$t: $n clusters are compressed"; exit 1; }
    "$IMG" compare -q -f raw -F qcow2 mix.raw mix.qcow2
    [ -z "$QEMU_IMG" ] ||
        "$QEMU_IMG" compare -q -f raw -F qcow2 mix.raw mix.qcow2
done
