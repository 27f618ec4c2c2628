# tsan.c: see there.
util-srcs := $(filter-out $(if $(filter tsan,$(SAN)),,util/tsan.c),$(wildcard util/*.c))
