util-srcs := $(wildcard util/*.c)
