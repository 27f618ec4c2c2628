# The bare-metal guest of "make bench".
$(B)/tests/bench/bare.elf: tests/bench/bare.S tests/boot/at-1m.lds
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -c -o $(@D)/bare.o $<
	$(Q)ld -m elf_i386 -nostdlib -z noexecstack --no-warn-rwx-segments \
	    -T tests/boot/at-1m.lds -o $@ $(@D)/bare.o
bench: $(B)/tests/bench/bare.elf
