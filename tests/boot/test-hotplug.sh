#!/bin/sh
# device_add and device_del with the distribution's kernel: tests/boot/hotplug.py,
# with the software CPU; ACCEL=kvm for the other.
BUILD=${BUILD:-build}
RHEA=${RHEA:-$BUILD/rhea}

[ -x "$RHEA" ] || { echo "no $RHEA: run make"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
[ -s build/guest/vmlinuz ] && [ -s build/guest/initrd-virtio.gz ] ||
    { echo "no guest kernel: run make guest"; exit 77; }
grep -q 'CONFIG_JSON_C 1' "$BUILD/config.h" build/config.h 2>/dev/null ||
    { echo "built without json-c"; exit 77; }
exec python3 tests/boot/hotplug.py "$RHEA" "${ACCEL:-tcg}"
