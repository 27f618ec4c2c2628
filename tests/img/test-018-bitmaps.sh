# Bitmaps both ways: added, filled, merged and removed by either program, and kept
# through resizing, after which each table has the length that its reader wants.
. tests/img/lib.sh
need_qemu
set -e
check()
{
    "$IMG" check -q $1 && "$QEMU_IMG" check -q $1 || { echo "$1: $2"; exit 1; }
    "$IMG" info --output=json $1 | grep -A400 '"bitmaps"' >ours || true
    "$QEMU_IMG" info --output=json $1 | grep -A400 '"bitmaps"' >theirs || true
    diff ours theirs || { echo "$1: $2: info differs"; exit 1; }
}
# Dirty bytes, as either program's merge into a fresh bitmap of 64 KiB says.
for maker in "$QEMU_IMG" "$IMG"; do
    for flag in --enable --disable; do
        rm -f b.qcow2
        "$maker" create -q -f qcow2 b.qcow2 1G
        "$maker" bitmap --add $flag -g 512 b.qcow2 fine
        "$maker" bitmap --add $flag b.qcow2 coarse
        "$QEMU_IO" -c 'write 900M 64k' b.qcow2 >/dev/null
        "$IO" -c 'write 100M 3k' b.qcow2 >/dev/null
        check b.qcow2 "$flag, written"
        for size in 4G 950M 8G 1M 64k 3G; do
            for t in "$IMG" "$QEMU_IMG"; do
                "$t" resize -q --shrink b.qcow2 $size
                check b.qcow2 "$flag, $size by $t"
            done
        done
        "$IO" -c 'write 2G 1M' b.qcow2 >/dev/null
        "$QEMU_IMG" bitmap --merge fine b.qcow2 coarse
        "$IMG" bitmap --merge coarse b.qcow2 fine
        check b.qcow2 "$flag, merged"
        "$IMG" bitmap --remove b.qcow2 fine
        "$QEMU_IMG" bitmap --clear --remove b.qcow2 coarse
        check b.qcow2 "$flag, removed"
    done
done
