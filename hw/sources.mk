hw-srcs := $(wildcard hw/*.c hw/*/*.c)
