#!/bin/sh
# Multiboot 1 and 2, PVH: what tiny kernels find in what they are handed.
. tests/boot/lib.sh

printf 'first' >$TMP/m1
printf 'second' >$TMP/m2
mods="$TMP/m1 arg one,$TMP/m2"

for k in mb1-32.elf mb1-64.elf mb1-kludge.bin; do
    check "$k" 0 "mb1 magic
$G/$k a b
0000027f lower
0000fc00 upper
map
module $TMP/m1 arg one: first
module $TMP/m2: second
mb1 ok
" $(rhea) -m 64 -kernel $G/$k -append "a b" -initrd "$mods"
done
for k in mb2-32.elf mb2-64.elf; do
    check "$k" 0 "mb2 magic
cmdline a b
map
module $TMP/m1 arg one: first
module $TMP/m2: second
sections
text
rsdp
mb2 ok
" $(rhea) -m 64 -kernel $G/$k -append "a b" -initrd "$mods"
done
check "pvh" 0 "pvh magic
cmdline a b
rsdp
map
module first
pvh ok
" $(rhea) -m 64 -kernel $G/pvh.elf -append "a b" -initrd $TMP/m1

finish
