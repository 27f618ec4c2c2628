#!/bin/sh
# A machine saved under kvm loads under tcg, and the other way round, while its
# Linux works: to and fro several times. MOVE_CHIPS=on: with controllers in the
# kernel, too, which takes an interpreting KVM long on a busy machine (docs/kvm.md).
. tests/boot/lib.sh
need python3 cpio gzip

why=$($RHEA -accel help | sed -n 's/^kvm .*usable: no, because //p')
if [ -n "$why" ]; then
    echo "no KVM here: $why"
    exit 77
fi
[ -s build/guest/vmlinuz ] && [ -s build/guest/initrd.gz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}
${CC:-cc} -O2 -static -o "$TMP/work" tests/boot/move-work.c 2>"$TMP/e" || {
    echo "no static C library here"
    exit 77
}
move()
{
    check "$*" 0 "49 lines, $1 moves
" tests/boot/move.py "$RHEA" "$TMP/work" "$TMP" "$@"
}
move 6 kvm tcg
move 3 tcg kvm
if [ "${MOVE_CHIPS:-}" = on ]; then
    move 4 kvm,kernel-irqchip=on tcg kvm,kernel-irqchip=split tcg
fi
finish
