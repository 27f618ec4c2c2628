ui-srcs := $(wildcard ui/*.c)
