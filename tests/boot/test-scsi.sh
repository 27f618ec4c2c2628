#!/bin/sh
# virtio-scsi with the distribution's kernel: two disks at two LUNs, a CD-ROM
# drive, a file system, discards, the write cache, rescans; and -drive if=scsi.
. tests/boot/lib.sh

GUEST=build/guest
[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd-virtio.gz ] &&
    command -v mkfs.ext4 >/dev/null && command -v cpio >/dev/null || {
    echo "no guest kernel, mkfs.ext4 or cpio"
    exit 77
}

mkdir -p "$TMP/add/bin"
cat >"$TMP/add/bin/scsi-test" <<'END'
#!/bin/sh
fail() { echo "scsi-test: $*"; exit 1; }
i=0
while [ $i -lt 500 ] && ! { [ -b /dev/sda ] && [ -b /dev/sdb ] && [ -b /dev/sr0 ]; }; do
    sleep 0.2
    i=$((i + 1))
done
fs=sda
[ "$(cat /sys/block/sda/size)" = 131072 ] || fs=sdb
[ "$(cat /sys/block/$fs/size)" = 131072 ] || fail "sizes"
mkdir /m
mount -t ext4 -o discard /dev/$fs /m || fail mount
dd if=/dev/urandom of=/m/a bs=64k count=64 2>/dev/null || fail write
md5sum /m/a >/tmp/sums
umount /m || fail umount
echo "write through" >/sys/class/scsi_disk/*/cache_type || true
mount -t ext4 /dev/$fs /m && md5sum -c /tmp/sums >/dev/null || fail "read back"
rm /m/a && umount /m || fail "remove"
md5sum </dev/sr0
dmesg | grep -E "I/O error|Sense Key|virtio.*(bug|fail)|nobody cared|Call Trace" &&
    fail messages
echo scsi-test ok
END
chmod 755 "$TMP/add/bin/scsi-test"
(cd "$TMP/add" && find . | cpio -o -H newc --quiet | gzip -1) >"$TMP/add.gz"
cat $GUEST/initrd-virtio.gz "$TMP/add.gz" >"$TMP/initrd"
head -c 3145728 /dev/urandom >"$TMP/cd"
sum=$(md5sum <"$TMP/cd")

linux() # NAME RHEA-OPTION...
{
    name=$1
    shift
    test_no=$((test_no + 1))
    rm -f "$TMP/a" "$TMP/b"
    truncate -s 64M "$TMP/a"
    truncate -s 16M "$TMP/b"
    mkfs.ext4 -q -F "$TMP/a"
    # shellcheck disable=SC2046
    if timeout $LIMIT $(rhea) -m 256 -no-reboot -kernel $GUEST/vmlinuz \
        -initrd "$TMP/initrd" \
        -append "console=ttyS0 quiet panic=-1 no_timer_check rhea.exec=scsi-test" "$@" \
        </dev/null >"$TMP/log" 2>&1 && grep -q 'scsi-test ok' "$TMP/log" &&
        grep -q "$sum" "$TMP/log" && e2fsck -fn "$TMP/a" >>"$TMP/log" 2>&1; then
        echo "ok $test_no linux: $name"
    else
        echo "not ok $test_no linux: $name"
        tail -n 20 "$TMP/log" | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

a="file=$TMP/a,format=raw,discard=unmap" b="file=$TMP/b,format=raw"
c="file=$TMP/cd,format=raw,media=cdrom"
plugs="-drive if=none,id=a,$a -device scsi-hd,drive=a,scsi-id=2,lun=1
    -drive if=none,id=b,$b -device scsi-hd,drive=b,scsi-id=2,lun=300
    -drive if=none,id=c,$c -device scsi-cd,drive=c"
# shellcheck disable=SC2086
{
    linux "pc, several queues, LUNs" -smp 2 -device virtio-scsi-pci $plugs
    linux "microvm, version 2" -M microvm -global virtio-mmio.force-legacy=off \
        -device virtio-scsi-device $plugs
    linux "pc, if=scsi" -drive if=scsi,$a -drive if=scsi,$b -drive if=scsi,$c
}
finish
