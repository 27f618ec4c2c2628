system-srcs := $(wildcard system/*.c)
