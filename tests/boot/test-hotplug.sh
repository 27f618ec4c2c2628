#!/bin/sh
# device_add and device_del with the distribution's kernel: tests/boot/hotplug.py,
# with the software CPU; ACCEL=kvm for the other.
. tests/lib/python-test.sh
[ -s build/guest/vmlinuz ] && [ -s build/guest/initrd-virtio.gz ] ||
    { echo "no guest kernel: run make guest"; exit 77; }
exec python3 tests/boot/hotplug.py "$RHEA" "${ACCEL:-tcg}"
