# docs/devices.md is what hw/registry.c says. "make docs BLESS=1" renews it.
"${BUILD:-build}/tools/devices-md" | diff -u docs/devices.md - | head -20 >&2
"${BUILD:-build}/tools/devices-md" | cmp -s docs/devices.md -
