monitor-srcs := $(wildcard monitor/*.c)
