accel-srcs := $(wildcard accel/*.c accel/*/*.c)
# Two scalars that are stored side by side go through a vector register else.
CFLAGS-accel/tcg/interp-int.c := -fno-tree-slp-vectorize $(if $(SAN),-O1 -fno-sanitize=undefined)
CFLAGS-accel/tcg/interp-simd.c := $(if $(SAN),-O1 -fno-sanitize=undefined)
