accel-srcs := $(wildcard accel/*.c accel/*/*.c)
# Two scalars that are stored side by side go through a vector register else.
# In sanitizers' builds these large files take less time this way; the thread
# sanitizer must not look at guest memory, where races are the guest's.
NO_TSAN := $(if $(filter tsan,$(SAN)),-fno-sanitize=thread)
CFLAGS-accel/tcg/interp-int.c := -fno-tree-slp-vectorize $(if $(SAN),-O1 -fno-sanitize=undefined) $(NO_TSAN)
CFLAGS-accel/tcg/interp-simd.c := $(if $(SAN),-O1 -fno-sanitize=undefined) $(NO_TSAN)
CFLAGS-accel/tcg/interp-flow.c := $(NO_TSAN)
CFLAGS-accel/tcg/access.c := $(NO_TSAN)
CFLAGS-target-x86/sem-string.c := $(NO_TSAN)
