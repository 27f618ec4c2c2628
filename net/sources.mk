net-srcs := $(wildcard net/*.c)
