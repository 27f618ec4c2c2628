# The bare-metal guest of "make bench".
$(B)/tests/bench/bare.elf: tests/bench/bare.S tests/boot/at-1m.lds
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -c -o $(@D)/bare.o $<
	$(Q)ld -m elf_i386 -nostdlib -z noexecstack --no-warn-rwx-segments \
	    -T tests/boot/at-1m.lds -o $@ $(@D)/bare.o
bench: $(B)/tests/bench/bare.elf

# The guest of tests/bench/run-net: the usual one and a program more.
$(B)/tests/bench/net-initrd.gz: tests/bench/guest-net.c build/guest/initrd-virtio.gz
	@mkdir -p $(@D)/net-fs/bin
	$(Q)$(CC) -O2 -static -o $(@D)/net-fs/bin/guest-net $<
	$(Q)cd $(@D)/net-fs && { cat $(CURDIR)/build/guest/initrd-virtio.gz; \
	    find . | cpio -o -H newc --quiet | gzip -9n; } >../net-initrd.gz

# The same for "make bench T=disk".
$(B)/tests/bench/io-initrd.gz: tests/bench/guest-io.c build/guest/initrd-virtio.gz
	@mkdir -p $(@D)/io-fs/bin
	$(Q)$(CC) -O2 -static -o $(@D)/io-fs/bin/guest-io $<
	$(Q)cd $(@D)/io-fs && { cat $(CURDIR)/build/guest/initrd-virtio.gz; \
	    find . | cpio -o -H newc --quiet | gzip -9n; } >../io-initrd.gz
