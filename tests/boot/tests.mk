# The tiny guests of tests/boot: assembled and linked by the host's tools, no
# multilib needed.

BOOT_OUT := $(B)/tests/boot
BOOT_GUESTS := $(addprefix $(BOOT_OUT)/,hi16.bin add.bin elf32.elf long.bin \
	long.elf mb1-32.elf mb1-64.elf mb1-kludge.bin mb2-32.elf mb2-64.elf \
	pvh.elf smp.bin ends.bin modes.elf modes.bin minfo.elf pcidisk.elf hammer.elf)

BOOT_AS = @mkdir -p $(@D) && echo "  AS   $@" &&
BOOT_LD32 = ld -m elf_i386 -nostdlib -z noexecstack --no-warn-rwx-segments
BOOT_LD64 = ld -m elf_x86_64 -nostdlib -z noexecstack -z max-page-size=4096 \
	--no-warn-rwx-segments
BOOT_AT_1M = -T tests/boot/at-1m.lds

$(BOOT_OUT)/%-32.o: tests/boot/%.S tests/boot/guest.h
	$(BOOT_AS) $(CC) -m32 -c -o $@ $<
$(BOOT_OUT)/%-64.o: tests/boot/%.S tests/boot/guest.h
	$(BOOT_AS) $(CC) -m64 -c -o $@ $<
$(BOOT_OUT)/mb1-kludge.o: tests/boot/mb1.S tests/boot/guest.h
	$(BOOT_AS) $(CC) -m32 -DKLUDGE -c -o $@ $<

$(BOOT_OUT)/hi16.bin $(BOOT_OUT)/add.bin: $(BOOT_OUT)/%.bin: $(BOOT_OUT)/%-32.o
	$(Q)$(BOOT_LD32) -Ttext=0x1000 --oformat binary -o $@ $<
# The ELF has the symbols, the binary is what runs.
$(BOOT_OUT)/modes.elf: $(BOOT_OUT)/modes-64.o
	$(Q)$(BOOT_LD64) -Ttext=0x7c00 -o $@ $<
$(BOOT_OUT)/modes.bin: $(BOOT_OUT)/modes-64.o
	$(Q)$(BOOT_LD64) -Ttext=0x7c00 --oformat binary -o $@ $<
$(BOOT_OUT)/smp.bin $(BOOT_OUT)/ends.bin $(BOOT_OUT)/mb1-kludge.bin: \
		tests/boot/at-1m.lds
$(BOOT_OUT)/smp.bin $(BOOT_OUT)/ends.bin: $(BOOT_OUT)/%.bin: $(BOOT_OUT)/%-32.o
	$(Q)$(BOOT_LD32) $(BOOT_AT_1M) --oformat binary -o $@ $<
$(BOOT_OUT)/mb1-kludge.bin: $(BOOT_OUT)/mb1-kludge.o
	$(Q)$(BOOT_LD32) $(BOOT_AT_1M) --oformat binary -o $@ $<
$(BOOT_OUT)/elf32.elf: $(BOOT_OUT)/elf32-32.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD32) $(BOOT_AT_1M) -o $@ $<
$(BOOT_OUT)/mb1-32.elf $(BOOT_OUT)/mb2-32.elf: $(BOOT_OUT)/%.elf: $(BOOT_OUT)/%.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD32) $(BOOT_AT_1M) -o $@ $<
$(BOOT_OUT)/mb1-64.elf $(BOOT_OUT)/mb2-64.elf: $(BOOT_OUT)/%.elf: $(BOOT_OUT)/%.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD64) $(BOOT_AT_1M) -o $@ $<
$(BOOT_OUT)/long.elf $(BOOT_OUT)/pvh.elf: $(BOOT_OUT)/%.elf: $(BOOT_OUT)/%-64.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD64) $(BOOT_AT_1M) -o $@ $<
$(BOOT_OUT)/long.bin: $(BOOT_OUT)/long-64.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD64) $(BOOT_AT_1M) --oformat binary -o $@ $<
# In C, without anything below them.
$(BOOT_OUT)/minfo.o $(BOOT_OUT)/pcidisk.o $(BOOT_OUT)/hammer.o: $(BOOT_OUT)/%.o: tests/boot/%.c
	$(BOOT_AS) $(CC) -m64 -O2 -Wall -Wextra -Wno-unused-parameter -ffreestanding \
	    -fno-pic -fno-stack-protector -fcf-protection=none -mno-red-zone \
	    -mgeneral-regs-only -c -o $@ $<
$(BOOT_OUT)/minfo.elf $(BOOT_OUT)/pcidisk.elf $(BOOT_OUT)/hammer.elf: $(BOOT_OUT)/%.elf: $(BOOT_OUT)/%.o tests/boot/at-1m.lds
	$(Q)$(BOOT_LD64) $(BOOT_AT_1M) -o $@ $<

boot-guests: $(BOOT_GUESTS)
check check-boot: boot-guests
.PHONY: boot-guests
