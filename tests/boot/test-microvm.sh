#!/bin/sh
# Machine microvm: the machine information, and the distribution's kernel with a
# file system on a virtio disk: mmio with both interfaces, and on the PC pci.
. tests/boot/lib.sh

GUEST=build/guest
minfo=$BUILD/tests/boot/minfo.elf

printf 'first sector' >"$TMP/hello.img"
truncate -s 4096 "$TMP/hello.img"
disk="-drive if=virtio,file=$TMP/hello.img,format=raw,readonly=on"
list='machine information
memory 0000000000+000009fc00 RAM
memory 000009fc00+0000000400 keep
memory 00000e0000+0000020000 keep
memory 0000100000+0003f00000 RAM
memory 00feb00000+0000000200 device
device feb00000 virtio-mmio
port   00000020 pic
port   00000040 pit
port   00000070 rtc
port   00000510 fw-cfg
port   00000600 acpi-pm
port   00000cf9 reset
port   000003f8 serial
'
seen='sector first sector
interrupt seen
'
# shellcheck disable=SC2046,SC2086
{
    for a in $(engines); do
        check "machine information, legacy disk, $a" 0 "$list$seen" \
            $(ACCEL=$a rhea) -M microvm -m 64 -kernel "$minfo" $disk
        check "machine information, disk of version 2, $a" 0 "$list$seen" \
            $(ACCEL=$a rhea) -M microvm -m 64 -kernel "$minfo" $disk \
            -global virtio-mmio.force-legacy=off
    done
    check "random numbers from virtio-rng, found by its id" 0 'random
interrupt seen
' sh -c "$(rhea) -M microvm -kernel $minfo $disk -device virtio-rng-device |
        tr -d '\r' | sed -n 's/^random [0-9a-f]\{32\}\$/random/p; /^interrupt/p'"
    check "machine information of the PC" 0 'port   00000cf8 pci
' sh -c "$(rhea) -M pc -kernel $minfo | tr -d '\r' | grep pci"
    check "machine information without what is turned off" 0 \
        "$(printf '%s' "$list" | sed 's/0003f0/0001f0/
            / pic$/d; / pit$/d; / rtc$/d; /virtio-mmio$/d; / device$/d')
no virtio-rng, no virtio-blk
" \
        $(rhea) -M microvm,pic=off,pit=off,rtc=off -m 32 -kernel "$minfo"
    check_err "an unknown option of the machine" "did you mean 'auto-kernel-cmdline'" \
        $(rhea) -M microvm,auto-kernel-cmd=off
    check_err "an option of another machine" "unknown option 'rtc'" \
        $(rhea) -M pc,rtc=off
    check_err "more disks than slots" "no virtio-mmio slot left" \
        $(rhea) -M microvm $(for i in 1 2 3 4 5 6 7 8 9; do
            echo "-drive if=none,id=d$i,file=$TMP/hello.img,format=raw,readonly=on -device virtio-blk-device,drive=d$i"
        done)
}

[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd-virtio.gz ] &&
    command -v mkfs.ext4 >/dev/null && command -v cpio >/dev/null || {
    echo "# no guest kernel, mkfs.ext4 or cpio: nothing with Linux"
    finish
    exit
}

# Writes, reads back through the disk, takes the driver away and gives it back.
mkdir -p "$TMP/add/bin"
cat >"$TMP/add/bin/disk-test" <<'END'
#!/bin/sh
fail() { echo "disk-test: $*"; exit 1; }
mkdir /m
for i in 1 2 3 4 5 6 7 8; do
    mount -t ext4 /dev/vda /m || fail mount
    [ $i = 1 ] || (cd / && md5sum -c /tmp/sums >/dev/null) || fail "read back"
    dd if=/dev/urandom of=/m/file$i bs=64k count=16 2>/dev/null || fail write
    (cd / && md5sum m/file* >/tmp/sums)
    umount /m || fail umount
    dev=$(basename "$(readlink -f /sys/block/vda/device)")
    echo "$dev" >/sys/bus/virtio/drivers/virtio_blk/unbind
    [ ! -b /dev/vda ] || fail unbind
    echo "$dev" >/sys/bus/virtio/drivers/virtio_blk/bind
done
cat /sys/block/vda/serial; echo
echo "write through" >/sys/block/vda/cache_type || fail cache_type
dd if=/dev/vda of=/dev/null bs=1M iflag=direct 2>/dev/null || fail direct
dmesg | grep -E "I/O error|virtio.*(bug|fail)|nobody cared|Call Trace" && fail messages
echo disk-test ok
END
chmod 755 "$TMP/add/bin/disk-test"
(cd "$TMP/add" && find . | cpio -o -H newc --quiet | gzip -1) >"$TMP/add.gz"
cat $GUEST/initrd-virtio.gz "$TMP/add.gz" >"$TMP/initrd"

linux() # NAME FORMAT RHEA-OPTION...
{
    name=$1 format=$2
    shift 2
    test_no=$((test_no + 1))
    rm -f "$TMP/disk" "$TMP/raw"
    truncate -s 64M "$TMP/raw"
    mkfs.ext4 -q -F "$TMP/raw"
    "$BUILD/rhea-img" convert -O "$format" "$TMP/raw" "$TMP/disk"
    # shellcheck disable=SC2046
    if timeout $LIMIT $(rhea) -m 256 -no-reboot -kernel $GUEST/vmlinuz \
        -initrd "$TMP/initrd" \
        -append "console=ttyS0 quiet panic=-1 no_timer_check rhea.exec=disk-test" \
        -drive "if=none,id=d0,file=$TMP/disk,format=$format" "$@" \
        </dev/null >"$TMP/log" 2>&1 && grep -q 'disk-test ok' "$TMP/log" &&
        grep -q SERIAL-7 "$TMP/log" &&
        "$BUILD/rhea-img" convert -f "$format" -O raw "$TMP/disk" "$TMP/raw" &&
        e2fsck -fn "$TMP/raw" >>"$TMP/log" 2>&1; then
        echo "ok $test_no linux: $name"
    else
        echo "not ok $test_no linux: $name"
        tail -n 20 "$TMP/log" | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

linux "microvm, legacy, raw" raw -M microvm \
    -device virtio-blk-device,drive=d0,serial=SERIAL-7
linux "microvm, version 2, qcow2, 2 processors" qcow2 -M microvm -smp 2 \
    -global virtio-mmio.force-legacy=off \
    -device virtio-blk-device,drive=d0,serial=SERIAL-7,num-queues=2
linux "pc, qcow2, several queues" qcow2 -smp 2 \
    -device virtio-blk-pci,drive=d0,serial=SERIAL-7,queue-size=64

finish
