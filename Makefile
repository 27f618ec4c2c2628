# Rhea. Targets: all check check-unit check-<group> demo bench lint format
# install coverage fuzz compile_commands.json. Options: V=1 SAN=asan|ubsan|tsan
# T=name (one test) WERROR=1.

ifeq ($(wildcard build/config.mk),)
ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)
$(error run ./configure first (./configure --install-deps brings what is missing))
endif
endif
-include build/config.mk

VERSION := 0.1.0
DESTDIR ?=
B := build$(if $(SAN),/$(SAN))
Q := $(if $(V),,@)

DIRS := util system target-x86 accel hw block chardev net ui monitor
include $(wildcard $(addsuffix /sources.mk,$(DIRS)))

SRCS := $(foreach d,$(DIRS),$($(d)-srcs))
MAIN_SRCS := system/main.c system/cli.c
LIB_SRCS := $(filter-out $(MAIN_SRCS),$(SRCS))

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wold-style-definition -Wundef -Wwrite-strings -Wvla -Wformat=2 \
	-Wimplicit-fallthrough -Wno-unused-parameter
WARN += $(if $(WERROR),-Werror)
OPT ?= -O2
CFLAGS_ALL = -std=gnu11 $(OPT) -g $(WARN) -fno-common -fwrapv \
	-fno-strict-aliasing -pthread -I. -Ibuild $(DEP_CFLAGS) \
	-DRHEA_VERSION='"$(VERSION)"' $(SANFLAGS) $(CFLAGS)
LIBS_ALL = $(DEP_LIBS) -lm -pthread -lutil

SANFLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -fno-sanitize=alignment
SANFLAGS_ubsan := -fsanitize=undefined -fno-sanitize-recover=undefined \
	-fno-sanitize=alignment
SANFLAGS_tsan := -fsanitize=thread
SANFLAGS := $(if $(SAN),$(or $(SANFLAGS_$(SAN)),$(error SAN=$(SAN): asan, ubsan or tsan)))

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB := $(B)/librhea.a

all: $(B)/rhea

# insn.c refers to the sem functions weakly until all of them are written;
# this list brings in those that are.
SEMS := $(B)/sems.ld
$(SEMS): $(LIB)
	$(Q)nm -g --defined-only $< 2>/dev/null | \
	    sed -n 's/.* [TW] \(sem_[A-Z0-9_]*\)$$/\1/p' | sort -u | \
	    tr '\n' ' ' | sed 's/.*/EXTERN(&)/' >$@
$(B)/rhea: $(SEMS)

$(B)/rhea: $(call obj,$(filter $(MAIN_SRCS),$(SRCS))) $(LIB)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

$(LIB): $(call obj,$(LIB_SRCS))
	@echo "  AR   $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: %.c build/config.h Makefile
	@echo "  CC   $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(CFLAGS-$<) -MMD -MP -c -o $@ $<

# ---- tests -----------------------------------------------------------------
# Every tests/GROUP/test-*.c is a glib test program linked with librhea.a.

GROUPS := unit decode insn qtest monitor
TEST_SRCS := $(foreach g,$(GROUPS),$(wildcard tests/$(g)/test-*.c))
TEST_BINS := $(patsubst %.c,$(B)/%,$(TEST_SRCS))
-include $(wildcard tests/*/tests.mk)
$(filter $(B)/tests/insn/%,$(TEST_BINS)): $(SEMS)

$(B)/tests/%: $(B)/obj/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $< $(filter %.o %.ld,$(filter-out $<,$^)) -Wl,--start-group $(LIB) -Wl,--end-group $(LIBS_ALL) $(ZYDIS_LIBS)

check: all $(TEST_BINS)
	$(Q)tests/run-tests B=$(B) $(T)

check-all: check lint
	$(Q)$(MAKE) SAN=asan check
	$(Q)$(MAKE) SAN=tsan check

$(addprefix check-,$(GROUPS) boot): check-%: all $(TEST_BINS)
	$(Q)tests/run-tests B=$(B) $*$(if $(T),/$(T))

# ---- developer targets -------------------------------------------------------

C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')

format:
	clang-format -i $(C_FILES)

check-format:
	clang-format --dry-run -Werror $(C_FILES)

compile_commands.json: Makefile $(SRCS)
	@{ echo '['; sep=; for f in $(SRCS); do \
	    printf '%s{"directory":"%s","file":"%s","command":"%s -c %s"}\n' \
	    "$$sep" "$(CURDIR)" "$$f" '$(subst ",\",$(CC) $(CFLAGS_ALL))' "$$f"; \
	    sep=,; done; echo ']'; } >$@

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(B)/rhea $(DESTDIR)$(PREFIX)/bin/

clean:
	rm -rf $(B)/obj $(B)/tests $(LIB) $(B)/rhea

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

.PHONY: all check check-all format check-format install clean lint
.SECONDARY:
.DELETE_ON_ERROR:
