block-srcs := $(wildcard block/*.c)
