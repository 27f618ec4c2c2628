chardev-srcs := $(wildcard chardev/*.c)
