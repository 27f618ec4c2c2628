#!/bin/sh
# The same guests with -accel kvm: same output, same verdicts; the messages
# where it cannot be used; falling back.
. tests/boot/lib.sh

why=$($RHEA -accel help | sed -n 's/^kvm .*usable: no, because //p')
if [ -n "$why" ]; then
    echo "no KVM here: $why"
    exit 77
fi

# The scripts for tcg, one result each.
for t in flat multiboot ends smp; do
    test_no=$((test_no + 1))
    if ACCEL=kvm sh tests/boot/test-$t.sh >"$TMP/out" 2>&1; then
        echo "ok $test_no $t"
    else
        echo "not ok $test_no $t"
        grep -v '^ok' "$TMP/out" | sed 's/^/# /'
        failed=$((failed + 1))
    fi
done

# Controllers in the kernel.
for chips in on split; do
    test_no=$((test_no + 1))
    if ACCEL=kvm,kernel-irqchip=$chips sh tests/boot/test-multiboot.sh \
        >"$TMP/out" 2>&1; then
        echo "ok $test_no multiboot, kernel-irqchip=$chips"
    else
        echo "not ok $test_no multiboot, kernel-irqchip=$chips"
        grep -v '^ok' "$TMP/out" | sed 's/^/# /'
        failed=$((failed + 1))
    fi
done

# A spinning guest, stopped, reset and continued: the same under both engines,
# whether it has run by then or not.
session()
{
    printf '\353\376' >"$TMP/spin.bin"
    {
        sleep 1
        for c in "info status" stop "info status" "info registers" cont \
            "info status" stop system_reset "info registers" cont \
            "info status" quit; do
            echo "$c"
            sleep 0.1
        done
    } | timeout $LIMIT "$RHEA" -accel "$1" -display none -serial none \
        -monitor stdio -flat "file=$TMP/spin.bin,addr=0x1000,mode=real,limit=60" \
        2>/dev/null | grep -aoE 'VM status: [a-z]*|EIP=[0-9a-f]*'
}
test_no=$((test_no + 1))
session tcg >"$TMP/tcg"
session kvm >"$TMP/kvm"
if cmp -s "$TMP/tcg" "$TMP/kvm" && [ "$(grep -c running "$TMP/kvm")" = 3 ]; then
    echo "ok $test_no stop, cont, system_reset"
else
    echo "not ok $test_no stop, cont, system_reset"
    diff "$TMP/tcg" "$TMP/kvm" | sed 's/^/#   /'
    failed=$((failed + 1))
fi

one="-display none -flat file=$G/hi16.bin,addr=0x1000,mode=real"
check "-enable-kvm" 0 'Hi!
' $RHEA -enable-kvm $one
check "-machine accel=kvm:tcg" 0 'Hi!
' $RHEA -machine accel=kvm:tcg $one
check "-cpu host" 0 'Hi!
' $RHEA -accel kvm -cpu host $one
# As people write it for QEMU.
pc="-display none -monitor none -serial stdio -m 64 -kernel $G/mb1-32.elf"
$RHEA -accel tcg $pc 2>/dev/null | tr -d '\r' >"$TMP/pc"
for line in "-enable-kvm -cpu host" "-accel kvm -cpu host -smp 2" \
    "-machine accel=kvm:tcg,kernel-irqchip=on -cpu host" \
    "-machine pc,accel=kvm,kernel_irqchip=split -cpu max" \
    "-M pc -accel kvm,kernel-irqchip=off -cpu qemu64,check=off" \
    "-enable-kvm -machine kernel-irqchip=on -accel kvm -smp 2" \
    "-accel kvm,kernel-irqchip=on -accel tcg -cpu host,-kvmclock"; do
    check "$line" 0 "$(cat "$TMP/pc")
" $RHEA $line $pc
done
check_err "kernel-irqchip=often" "kernel-irqchip must be on, split or off, not 'often'" \
    $RHEA -accel kvm -machine kernel-irqchip=often $one
check_err "kernel-irqchip and -flat" "kernel-irqchip=on: -flat ends at HLT" \
    $RHEA -accel kvm -machine kernel-irqchip=on $one
check_err "no such device" "there is no /nowhere/kvm: " \
    $RHEA -accel kvm,device=/nowhere/kvm $one
check_err "another device" "/dev/null is something else than KVM" \
    $RHEA -accel kvm,device=/dev/null $one
# The distribution's kernel as it is: no clearcpuid=, no internal error.
if [ -s build/guest/vmlinuz ] && [ -s build/guest/initrd.gz ]; then
    check "Linux to user space" 0 'result 42
' sh -c "$RHEA -accel kvm -m 256 -kernel build/guest/vmlinuz \
        -initrd build/guest/initrd.gz -no-reboot -display none -serial stdio \
        -append 'console=ttyS0 panic=-1 rhea.exec=echo,result,\$((6*7))' |
        tr -d '\r' | grep -a '^result'"
fi

# virtio on mmio: the first notification attaches an eventfd for those that follow.
printf 'first sector' >"$TMP/hello.img"
truncate -s 4096 "$TMP/hello.img"
for legacy in on off; do
    check "microvm, force-legacy=$legacy: an ioeventfd" 0 'sector first sector
interrupt seen
yes
' sh -c "$RHEA -accel kvm -M microvm -display none -monitor none -serial stdio \
        -m 64 -kernel $BUILD/tests/boot/minfo.elf \
        -global virtio-mmio.force-legacy=$legacy -d kvm -D $TMP/events \
        -drive if=virtio,file=$TMP/hello.img,format=raw,readonly=on |
        tr -d '\r' | tail -n 2
    grep -q 'ioeventfd mmio addr=feb00050 len=4' $TMP/events && echo yes"
done

# As an ordinary user, with nodes of our own: /dev/kvm is others', too.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
    mknod "$TMP/node" c 10 232 2>/dev/null && chmod 755 "$TMP"; then
    user="setpriv --reuid=65534 --regid=65534 --clear-groups"
    # Where devices may be opened (a file system can forbid it: nodev).
    if $user test -x "$RHEA" && (: <>"$TMP/node") 2>/dev/null; then
        chmod 000 "$TMP/node"
        check_err "chmod 000" "no permission to open $TMP/node (mode 000, group root): let group kvm have it" \
            $user $RHEA -accel kvm,device=$TMP/node $one
        chmod 660 "$TMP/node"
        chown 0:12 "$TMP/node"
        group=$(getent group 12 | cut -d: -f1)
        check_err "not in its group" "(mode 660), which belongs to group $group: usermod -aG $group " \
            $user $RHEA -accel kvm,device=$TMP/node $one
        chmod 666 "$TMP/node"
        check "opened by its mode" 0 'Hi!
' $user $RHEA -accel kvm,device=$TMP/node $one
    fi
fi

check "falls back, with one line and why" 0 'Hi!
2
' sh -c "$RHEA -accel kvm:tcg,device=/dev/null $one 2>$TMP/e; wc -l <$TMP/e"
check "-accel kvm,help" 0 'usable      yes
' sh -c "$RHEA -accel kvm,help | grep -o '^usable      yes'"
# The way from open() to an exit, step by step and in this order.
cat >"$TMP/steps" <<'EOF'
kvm: open("/dev/kvm"): @
kvm: ioctl(@, KVM_GET_API_VERSION): 12
kvm: ioctl(@ kvm, KVM_CREATE_VM): @
kvm: ioctl(@, KVM_SET_TSS_ADDR): 0
kvm: cap=KVM_CAP_@
kvm: ioctl(@, KVM_ENABLE_CAP): 0
kvm: ioctl(@, KVM_GET_VCPU_MMAP_SIZE): @
kvm: ioctl(@ kvm-vm, KVM_CREATE_VCPU): @
kvm: mmap(@): struct kvm_run of CPU 0, @ bytes at @
kvm: ioctl(@, KVM_SET_CPUID2): 0
kvm: slot 0: guest_phys_addr=0 memory_size=a0000 userspace_addr=@
kvm: ioctl(@, KVM_SET_USER_MEMORY_REGION): 0
kvm: ioctl(@, KVM_SET_SREGS@): 0
kvm: ioctl(@, KVM_SET_REGS): 0
kvm: ioctl(@ kvm-vcpu@, KVM_RUN): 0
kvm: CPU 0: exit KVM_EXIT_IO: out port=03f8 size=1 count=1
kvm: ioctl(@ kvm-vcpu@, KVM_RUN): 0
kvm: CPU 0: exit KVM_EXIT_IO: out port=03f8 size=1 count=1
kvm: ioctl(@ kvm-vcpu@, KVM_RUN): 0
kvm: CPU 0: exit KVM_EXIT_HLT
EOF
# Kernels before 5.10 have none to enable.
$RHEA -accel kvm,help | grep -qE \
    '^KVM_CAP_(X86_USER_SPACE_MSR|EXIT_ON_EMULATION_FAILURE) +[1-9]' ||
    sed -i '/KVM_CAP_@/d; /KVM_ENABLE_CAP/d' "$TMP/steps"
check "-d kvm" 0 'Hi!
all steps
' sh -c "$RHEA -accel kvm,turns=off -d kvm -D $TMP/log $one &&
    awk -v steps=$TMP/steps '
        function next_step() {
            if ((getline want <steps) <= 0) { print \"all steps\"; exit }
            gsub(/[][().*+?^\$]/, \"\\\\\\\\&\", want)
            gsub(/@/, \".*\", want)
        }
        BEGIN { next_step() }
        \$0 ~ \"^\" want \"\$\" { next_step() }' $TMP/log"
finish
