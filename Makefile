# Rhea. Targets: all check check-unit check-<group> demo bench lint format
# install uninstall coverage fuzz compile_commands.json. Options: V=1 SAN=asan|ubsan|tsan
# T=name (one test) WERROR=1.

ifeq ($(wildcard build/config.mk),)
ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)
$(error run ./configure first (./configure --install-deps brings what is missing))
endif
endif
.DEFAULT_GOAL := all
-include build/config.mk
# A newer configure runs again, with the arguments it had.
ifneq ($(wildcard build/config.mk),)
build/config.mk: configure
	@./configure $(CONFIGURE_ARGS) >/dev/null
endif

# As many jobs as processors, unless -j says otherwise.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

DESTDIR ?=
comma := ,
B := build$(if $(SAN),/$(SAN))
Q := $(if $(V),,@)

DIRS := util system target-x86 accel hw block chardev net ui monitor
include $(wildcard $(addsuffix /sources.mk,$(DIRS)))

SRCS := $(foreach d,$(DIRS),$($(d)-srcs))
MAIN_SRCS := system/main.c
LIB_SRCS := $(filter-out $(MAIN_SRCS),$(SRCS))

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wold-style-definition -Wundef -Wwrite-strings -Wvla -Wformat=2 \
	-Wimplicit-fallthrough -Wno-unused-parameter
# No compiler of today lets these pass.
WARN += -Werror=implicit-function-declaration -Werror=int-conversion \
	-Werror=incompatible-pointer-types
WARN += $(if $(WERROR),-Werror)
OPT ?= -O2
CFLAGS_ALL = -std=gnu11 $(OPT) -g $(WARN) -fno-common -fwrapv \
	-fno-strict-aliasing -pthread -I. -Ibuild $(DEP_CFLAGS) \
	$(SANFLAGS) $(CFLAGS)
LIBS_ALL = $(DEP_LIBS) -lm -pthread -lutil $(LIBS_$(SAN))
# util/tsan.c
LIBS_tsan := $(addprefix -Wl$(comma)--wrap=,g_mutex_lock g_mutex_trylock \
	g_mutex_unlock g_cond_wait g_cond_wait_until g_thread_pool_new \
	g_thread_pool_push)

SANFLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -fno-sanitize=alignment
SANFLAGS_ubsan := -fsanitize=undefined -fno-sanitize-recover=undefined \
	-fno-sanitize=alignment
SANFLAGS_tsan := -fsanitize=thread $(if $(findstring gcc,$(CC)),-Wno-tsan)
# Not for users: the builds of "make fuzz" and "make coverage".
SANFLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined -fno-sanitize=alignment
SANFLAGS_coverage := --coverage -fprofile-update=atomic
# These do not make jumps of calls in tail position: the interpreter must not
# rely on it.
SANFLAGS := $(if $(SAN),$(or $(SANFLAGS_$(SAN)),$(error SAN=$(SAN): asan, ubsan or tsan)) -DINTERP_TRAMPOLINE=1)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB := $(B)/librhea.a

all: $(B)/rhea $(B)/rhea-img $(B)/rhea-io

$(B)/rhea: $(call obj,$(filter $(MAIN_SRCS),$(SRCS))) $(LIB)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

$(LIB): $(call obj,$(LIB_SRCS))
	@echo "  AR   $@"
	$(Q)rm -f $@ && ar rcs $@ $^

# The image tools are made of util and block alone: no machine, no processor.
IMG_LIB := $(B)/libblock.a

$(IMG_LIB): $(call obj,$(util-srcs) $(block-srcs))
	@echo "  AR   $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/rhea-img: $(call obj,$(wildcard tools/img/*.c)) $(IMG_LIB)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

$(B)/rhea-io: $(call obj,$(wildcard tools/io/*.c)) $(IMG_LIB)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

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

$(B)/tests/%: $(B)/obj/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $< $(filter %.o %.ld,$(filter-out $<,$^)) -Wl,--start-group $(LIB) -Wl,--end-group $(LIBS_ALL) $(ZYDIS_LIBS)

# Every tests/fuzz/fuzz-*.c is a libFuzzer target. Here it gets a main() that
# replays tests/fuzz/corpus/NAME/* and some changes of each; see "fuzz" below.
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz-*.c)
FUZZ_BINS := $(patsubst %.c,$(B)/%,$(FUZZ_SRCS))
FUZZ_MAIN := $(B)/obj/tests/lib/fuzz-replay.o
ifeq ($(SAN),fuzz)
$(FUZZ_BINS): LIBS_ALL += -fsanitize=fuzzer
else
$(FUZZ_BINS): $(FUZZ_MAIN)
endif
ifneq ($(SAN),fuzz)
TEST_BINS += $(FUZZ_BINS)
endif

# They print pages of docs/ from tables.
DOC_TOOLS := $(addprefix $(B)/tools/,instructions-md devices-md monitor-md)

check: all $(TEST_BINS) $(DOC_TOOLS)
	$(Q)tests/run-tests B=$(B) $(T)

# The kernel for tests/boot/test-linux.sh, which skips where apt has none.
guest:
	$(Q)tools/make-guest >/dev/null 2>&1 || echo "no guest kernel to be had: its tests will skip"
check check-boot: guest
.PHONY: guest
# A whole Debian in every scene and on every machine of its table: an hour, and
# root to make the image. SCENES="--smp 2 login+network" plays a part.
SCENES ?= --all
debian-scenes: all
	$(Q)RHEA_IMG=$(B)/rhea-img tools/make-debian
	$(Q)tests/boot/debian.py --rhea $(B)/rhea --img $(B)/rhea-img $(SCENES)
.PHONY: debian-scenes

check-all: check lint
	$(Q)$(MAKE) SAN=asan check
	$(Q)$(MAKE) SAN=tsan check

$(addprefix check-,$(GROUPS) fuzz boot img): check-%: all $(TEST_BINS) \
    $(DOC_TOOLS)
	$(Q)tests/run-tests B=$(B) $*$(if $(T),/$(T))

# Each test of T so many times, more of them at a time than there are CPUs: what
# fails only now and then.
N ?= 20
J ?= 6
soak: all $(TEST_BINS) $(DOC_TOOLS)
	$(Q)tests/run-tests B=$(B) N=$(N) J=$(J) $(T)
.PHONY: soak

# ---- demo ----------------------------------------------------------------------
# An unmodified Debian kernel to a shell; without a terminal the shell is driven
# by a script that checks the answers.

GUEST := build/guest
DEMO = $(B)/rhea -accel tcg -m 256 -kernel $(GUEST)/vmlinuz \
	-initrd $(GUEST)/initrd.gz -append "console=ttyS0 quiet" -nographic

$(GUEST)/vmlinuz:
	tools/make-guest --out $(GUEST)

demo: all $(GUEST)/vmlinuz
	$(Q)if [ -t 0 ] && [ -t 1 ]; then \
	    echo "poweroff -f or Ctrl-A x ends it"; exec $(DEMO); \
	else exec tools/demo-session $(DEMO); fi

# ---- developer targets -------------------------------------------------------

C_FILES = $(filter-out tests/boot/%.h,$(shell git ls-files --cached --others --exclude-standard '*.c' '*.h'))

# Layers, layout, sizes, links of docs/; every header alone; clang-tidy, cppcheck,
# shellcheck and pyflakes where they are installed. A file is looked at again
# when what the compiler sees of it changed. L="system/ accel/cpus.c": only some.
# NODES=225000 looks as deep as the analyzer can, ten times as long.
lint: all check-format
	$(Q)tools/check-includes.py
	$(Q)tools/check-sizes.py
	$(Q)tools/check-links.py
	$(Q)$(call where,shellcheck,$(call scripts,sh) $(filter-out $(call scripts,sh),$(shell git ls-files '*.sh')))
	$(Q)$(call where,pyflakes3,$(call scripts,python3))
	$(Q)$(MAKE) --no-print-directory -k lint-files
	$(Q)$(if $(L),,tools/check-symbols.py $(B))
	@echo "lint: nothing to say"

# $(call where,TOOL,FILES): the tool over the files if it is installed.
where = if command -v $(1) >/dev/null; then $(1) $(2); \
	else echo "$(1) is not installed: skipped"; fi
# Those whose first line names the interpreter.
scripts = $(shell git ls-files | xargs awk 'FNR == 1 && /^\#!.*[\/ ]$(1)( |$$)/ \
	{ print FILENAME } FNR == 1 { nextfile }')

NODES ?= 20000
ifneq ($(filter lint-files,$(MAKECMDGOALS)),)
# Those with a guard; what is included again and again is no header.
HEADERS := $(shell grep -l '^\#ifndef [A-Z0-9_]*_H$$' $(filter %.h,$(C_FILES)))
WANTED := $(or $(addsuffix %,$(L)),%)
LINT_SRCS := $(filter $(WANTED),$(SRCS) $(TEST_SRCS) $(FUZZ_SRCS) \
	$(wildcard tests/lib/*.c tools/*.c tools/*/*.c))
TIDY := $(shell command -v clang-tidy)
CPPCHECK := $(shell command -v cppcheck)
endif

lint-files: $(if $(WANTED),$(patsubst %,$(B)/lint/%.ok,$(filter $(WANTED),$(HEADERS)))) \
	$(if $(TIDY),$(patsubst %,$(B)/lint/%.tidy,$(LINT_SRCS))) \
	$(if $(CPPCHECK),$(patsubst %,$(B)/lint/%.cppcheck,$(LINT_SRCS)))
	@$(if $(TIDY),,echo "clang-tidy is not installed: skipped")
	@$(if $(CPPCHECK),,echo "cppcheck is not installed: skipped")

$(B)/lint/%.h.ok: %.h build/config.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -Werror -fmax-errors=5 -x c -fsyntax-only $<
	@touch $@

# What the compiler sees of a file, and with -MMD when to look again.
SEEN = $(CC) $(CFLAGS_ALL) -E -CC -MMD -MP -MF $@.d -MT $@ $*.c

$(B)/lint/%.c.tidy: %.c .clang-tidy build/config.h
	@echo "  TIDY $*.c"
	@mkdir -p $(@D)
	$(Q)$(SEEN) | cat - .clang-tidy | tools/lint-once $@ \
	    clang-tidy --quiet --warnings-as-errors='*' $*.c -- $(CFLAGS_ALL) \
	    -Wno-unknown-warning-option \
	    -Xclang -analyzer-config -Xclang max-nodes=$(NODES)

$(B)/lint/%.c.cppcheck: %.c .cppcheck build/config.h
	@echo "  CPPCHECK $*.c"
	@mkdir -p $(@D)
	$(Q)$(SEEN) | cat - .cppcheck | tools/lint-once $@ \
	    cppcheck --quiet --error-exitcode=1 --inline-suppr --library=gtk \
	    --enable=warning,portability --std=c11 -I. -Ibuild \
	    -D'G_NORETURN=__attribute__((noreturn))' \
	    --suppressions-list=.cppcheck $*.c

ifneq ($(filter lint-files,$(MAKECMDGOALS)),)
-include $(shell find $(B)/lint -name '*.d' 2>/dev/null)
endif

coverage:
	-$(Q)$(MAKE) --no-print-directory SAN=coverage OPT=-O1 check
	$(Q)tools/coverage.py build/coverage

# make fuzz F=keyval [T=seconds]. New inputs gather in build/fuzz/corpus/F.
fuzz:
	$(if $(wildcard tests/fuzz/fuzz-$(F).c),,$(error make fuzz F=NAME T=seconds, \
	    NAME one of $(patsubst tests/fuzz/fuzz-%.c,%,$(FUZZ_SRCS))))
	@mkdir -p build/fuzz/corpus/$(F)
	$(Q)if command -v clang >/dev/null; then \
	    $(MAKE) --no-print-directory SAN=fuzz CC=clang build/fuzz/tests/fuzz/fuzz-$(F) && \
	    build/fuzz/tests/fuzz/fuzz-$(F) -max_total_time=$(or $(T),60) -timeout=10 \
		-artifact_prefix=build/fuzz/ -print_final_stats=1 \
		build/fuzz/corpus/$(F) $(wildcard tests/fuzz/corpus/$(F)); \
	else \
	    echo "no clang, no libFuzzer: replaying tests/fuzz/corpus/$(F)"; \
	    $(MAKE) --no-print-directory check-fuzz T=$(F); \
	fi

# Pages printed from tables; without BLESS=1 they are only compared.
docs: $(DOC_TOOLS)
	$(Q)tools/monitor-docs $(B) $(if $(BLESS),bless)
	$(Q)for page in instructions devices; do \
	    $(B)/tools/$$page-md >$(B)/$$page.md && \
	    $(if $(BLESS),cp $(B)/$$page.md docs/,cmp $(B)/$$page.md docs/$$page.md || \
		{ echo "make docs BLESS=1 brings it up to date"; exit 1; }) || exit 1; \
	done

$(B)/tools/%: $(B)/obj/tools/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $< -Wl,--start-group $(LIB) -Wl,--end-group $(LIBS_ALL)

bench: all
	$(Q)tests/bench/run B=$(B) $(T)
	$(Q)tests/bench/run-block B=$(B) $(T)
	$(Q)tests/bench/run-net B=$(B) $(T)
	$(Q)tests/bench/run-snapshot B=$(B) $(T)

format:
	clang-format -i $(C_FILES)

check-format:
	$(Q)$(call where,clang-format,--dry-run -Werror $(C_FILES))

compile_commands.json: Makefile $(SRCS)
	@{ echo '['; sep=; for f in $(SRCS); do \
	    printf '%s{"directory":"%s","file":"%s","command":"%s -c %s"}\n' \
	    "$$sep" "$(CURDIR)" "$$f" '$(subst ",\",$(CC) $(CFLAGS_ALL))' "$$f"; \
	    sep=,; done; echo ']'; } >$@

PROGRAMS := rhea rhea-img rhea-io
MAN_PAGES := $(PROGRAMS:%=$(B)/man/%.1)
man: $(MAN_PAGES)
$(B)/man/%.1: $(B)/% tools/make-man
	@mkdir -p $(@D)
	$(Q)tools/make-man $(B) $* >$@
.PHONY: man

DOC_DIR = $(DESTDIR)$(PREFIX)/share/doc/rhea
install: all man
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man1/
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(PROGRAMS:%=$(B)/%) $(DESTDIR)$(PREFIX)/bin/
	install -d $(DOC_DIR)/docs
	install -m 644 README.md LICENSE $(DOC_DIR)/
	install -m 644 $(wildcard docs/*.md) $(DOC_DIR)/docs/

uninstall:
	rm -f $(PROGRAMS:%=$(DESTDIR)$(PREFIX)/bin/%) \
	    $(PROGRAMS:%=$(DESTDIR)$(PREFIX)/share/man/man1/%.1)
	rm -rf $(DOC_DIR)

clean:
	rm -rf $(B)/obj $(B)/tests $(B)/lint $(LIB) $(IMG_LIB) $(B)/rhea \
	    $(B)/rhea-img $(B)/rhea-io

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

.PHONY: docs all check check-all demo format check-format install uninstall clean lint \
	lint-files coverage fuzz bench
.SECONDARY:
.DELETE_ON_ERROR:
