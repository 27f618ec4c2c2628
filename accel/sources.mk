accel-srcs := $(wildcard accel/*.c accel/*/*.c)
