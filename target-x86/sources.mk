target-x86-srcs := $(wildcard target-x86/*.c)
