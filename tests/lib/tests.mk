# Tests that include tests/lib/fake-access.h get it linked.
FAKE_ACCESS_TESTS := $(shell grep -lE '"tests/lib/(fake-access|(prot|model)-bench).h"' \
	tests/*/test-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(FAKE_ACCESS_TESTS)): $(B)/obj/tests/lib/fake-access.o
HOST_RUN_TESTS := $(shell grep -l '"tests/lib/host-run.h"' \
	tests/*/test-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(HOST_RUN_TESTS)): $(B)/obj/tests/lib/host-run.o
ENGINE_VM_TESTS := $(shell grep -l '"tests/lib/engine-vm.h"' \
	tests/*/test-*.c tests/bench/bench-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(ENGINE_VM_TESTS)): $(B)/obj/tests/lib/engine-vm.o
ENGINE_PROGRAM_TESTS := $(shell grep -l '"tests/lib/engine-program.h"' \
	tests/*/test-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(ENGINE_PROGRAM_TESTS)): \
    $(B)/obj/tests/lib/engine-program.o
HOST_CPU_TESTS := $(shell grep -l '"tests/lib/host-cpu.h"' \
	tests/*/test-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(HOST_CPU_TESTS)): $(B)/obj/tests/lib/host-cpu.o \
    $(B)/obj/tests/lib/host-compare.o $(B)/obj/tests/lib/insn-gen.o
SIMD_CASE_TESTS := $(shell grep -l '"tests/lib/simd-case.h"' \
	tests/*/test-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(SIMD_CASE_TESTS)): $(B)/obj/tests/lib/simd-case.o
MEM_DISK_TESTS := $(shell grep -lE '"tests/lib/(mem-disk|virtio-rig|virtio-faces).h"' \
	tests/*/test-*.c tests/fuzz/fuzz-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(MEM_DISK_TESTS)): $(B)/obj/tests/lib/mem-disk.o
MONITOR_VM_TESTS := $(shell grep -l '"tests/lib/monitor-vm.h"' \
	tests/*/test-*.c tests/fuzz/fuzz-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(MONITOR_VM_TESTS)): $(B)/obj/tests/lib/monitor-vm.o
CLI_VM_TESTS := $(shell grep -l '"tests/lib/cli-vm.h"' \
	tests/*/test-*.c tests/fuzz/fuzz-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(CLI_VM_TESTS)): $(B)/obj/tests/lib/cli-vm.o
QCOW2_MUTATE := $(B)/obj/tests/lib/qcow2-mutate.o
$(B)/tests/fuzz/fuzz-qcow2: $(QCOW2_MUTATE)
$(B)/tests/unit/test-qcow2-hostile: $(QCOW2_MUTATE) \
    $(B)/obj/tests/fuzz/fuzz-qcow2.o $(B)/obj/tests/lib/mem-disk.o
IMAGE_TESTS := $(shell grep -l '"tests/lib/image.h"' \
	tests/*/test-*.c tests/fuzz/fuzz-*.c 2>/dev/null)
$(patsubst %.c,$(B)/%,$(IMAGE_TESTS)): $(B)/obj/tests/lib/image.o
# Loaded before the C library: another host's KVM (tests/boot/test-kvm-host.sh).
$(B)/tests/lib/fake-kvm.so: tests/lib/fake-kvm.c
	@mkdir -p $(@D) && echo "  SO   $@"
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -I. -Ibuild $(DEP_CFLAGS) -fPIC -shared \
	    -o $@ $< -ldl
check check-boot: $(B)/tests/lib/fake-kvm.so $(B)/tests/bench/bare.elf
