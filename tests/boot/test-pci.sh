# A tiny guest and the distribution's own kernel on PCI and virtio-pci: which
# functions they find and where interrupts go; a disk in every form of the
# transport; drivers unbound and bound, reboots.
#
# REBINDS and REBOOTS: how often (default 3 and 2).
. tests/boot/lib.sh

# A tiny guest, under every engine that there is here.
printf 'first sector' >"$TMP/hello"
truncate -s 4096 "$TMP/hello"
for a in $(engines); do
    for form in legacy,disable-modern=on modern modern,disable-legacy=on modern,vectors=0; do
        check "tiny guest: $form, $a" 0 "${form%%,*}: first sector, interrupt
" $RHEA -accel "$a" -display none -serial stdio -kernel "$G/pcidisk.elf" -m 64 \
            -drive "if=none,id=d,file=$TMP/hello,format=raw,readonly=on" \
            -device "virtio-blk-pci,drive=d${form#"${form%%,*}"}"
    done
done

GUEST=build/guest
[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd-virtio.gz ] || {
    echo "# no guest kernel: nothing with Linux"
    finish
    exit
}

complaints='BUG:|WARNING|Call Trace|nobody cared|Oops|lockup|segfault|guest error'
CHECK=md5sum

head -c 4194304 /dev/urandom >"$TMP/disk"
sum=$($CHECK <"$TMP/disk" | cut -d' ' -f1)

# run KERNEL-ARGS GUEST-COMMAND RHEA-OPTION...: into $TMP/log. Commas in the
# command are spaces.
run()
{
    args=$1 command=$2
    shift 2
    timeout $LIMIT "$RHEA" -accel "${ACCEL:-tcg}" -m 256 \
        -kernel $GUEST/vmlinuz -initrd $GUEST/initrd-virtio.gz \
        -append "console=ttyS0 panic=-1 $args rhea.exec=$command" \
        -nodefaults -display none -serial stdio -d guest_errors "$@" \
        </dev/null 2>&1 | tr -d '\r' >"$TMP/log"
}

# verdict NAME PATTERN...: all of them, and no complaint.
verdict()
{
    name=$1 why=
    shift
    test_no=$((test_no + 1))
    for pattern in "$@"; do
        grep -qE -- "$pattern" "$TMP/log" || why="no line with: $pattern"
    done
    if [ -z "$why" ] && grep -E "$complaints" "$TMP/log" >"$TMP/bad"; then
        why=$(head -n 1 "$TMP/bad")
    fi
    if [ -z "$why" ]; then
        echo "ok $test_no pci: $name"
    else
        echo "not ok $test_no pci: $name"
        echo "# $why"
        tail -n 30 "$TMP/log" | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

disk="-drive if=none,id=d,file=$TMP/disk,format=raw -device virtio-blk-pci,drive=d"

# form NAME PROPERTIES KERNEL-ARGS INTERRUPT RHEA-OPTION...
form()
{
    name=$1 props=$2 args=$3 irq=$4
    shift 4
    # shellcheck disable=SC2086
    run "$args" "$CHECK,/dev/vda;grep,virtio,/proc/interrupts" \
        $disk$props "$@"
    verdict "$name" "^$sum" "$irq" "^rhea.exec ended with status 0"
}

run "" "ls,/sys/bus/pci/devices;grep,.,/sys/bus/pci/devices/*/irq" -device edu,addr=3 \
    -device edu,addr=4 -device pci-testdev,addr=5.0,multifunction=on -device edu,addr=5.1
verdict "functions and their interrupts" 'LNKA configured for IRQ 10' \
    'LNKD configured for IRQ 11' \
    '0000:00:01.3/irq:9' '0000:00:03.0/irq:11' '0000:00:04.0/irq:11' '0000:00:05.1/irq:10'

form "transitional, MSI-X, 2 CPUs" "" "" 'PCI-MSI.*virtio0-req.1' -smp 2
form "modern, one vector for all queues" ",disable-legacy=on,vectors=2,addr=7" "" \
    'PCI-MSI.*virtio0-virtqueues' -smp 2
form "modern, INTx" ",disable-legacy=on,vectors=0" "" 'IO-APIC *10-fasteoi *virtio0'
form "legacy, MSI-X" ",disable-modern=on" "" 'PCI-MSI.*virtio0-req'
form "legacy, INTx, pci=nomsi, 2 CPUs" ",disable-modern=on,addr=5" pci=nomsi \
    'IO-APIC *10-fasteoi *virtio0' -smp 2

# Without ACPI a guest cannot power off: a reset ends it. Debian's 64-bit kernels
# have no code for MP tables, so they look for the $PIR table.
run "acpi=off" "$CHECK,/dev/vda;grep,virtio,/proc/interrupts;reboot,-f" $disk,vectors=0 -smp 2 \
    -no-reboot
verdict "acpi=off: the \$PIR table" "^$sum" 'PIIX/ICH IRQ router' 'XT-PIC *virtio0'

d=/sys/bus/virtio/drivers/virtio_blk p=/sys/bus/pci/drivers/virtio-pci
run "" "for,i,in,\$(seq,${REBINDS:-3});do,echo,virtio0>$d/unbind;echo,virtio0>$d/bind;echo,0000:00:02.0>$p/unbind;echo,0000:00:02.0>$p/bind;done;$CHECK,/dev/vda;echo,rounds,\$i" $disk
verdict "drivers unbound and bound again" "^$sum" "^rounds ${REBINDS:-3}\$"

# The disk counts the starts.
printf 1000 | dd of="$TMP/disk" conv=notrunc status=none
last=$((1000 + ${REBOOTS:-2}))
run "" "n=\$(head,-c4,/dev/vda);echo,start,\$n;[,\$n,-ge,$last,]||{,printf,%d,\$((n+1))|dd,of=/dev/vda,conv=fsync;reboot,-f;}" \
    $disk -device edu
verdict "reboots" "^start 1001" "^start $last"

check_err "a place that is taken" \
    "PCI: slot 1 function 0 not available for edu, in use by PIIX3" \
    $(rhea) -device edu,addr=1
check_err "no such place" "doesn't take value '20'" $(rhea) -device edu,addr=20
check_err "two devices in one place" "in use by edu,id=first" \
    $(rhea) -device edu,addr=5,id=first -device pci-testdev,addr=5
check_err "neither interface" "neither modern nor legacy mode is enabled" \
    $(rhea) $disk,disable-modern=on,disable-legacy=on
check_err "no bus for it" "No 'PCI' bus found for device 'edu'" \
    $(rhea) -machine none -device edu
finish
