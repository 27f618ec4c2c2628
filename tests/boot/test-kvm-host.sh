#!/bin/sh
# -accel kvm on other hosts: what is said where KVM cannot be used, in every
# place that says it; without the capabilities and MSRs that can be missed.
# tests/lib/fake-kvm.c plays the host. The texts by themselves, and CPUID's part
# in them: tests/unit/test-kvm-host.c.
. tests/boot/lib.sh

SHIM=$PWD/$BUILD/tests/lib/fake-kvm.so
case $BUILD in /*) SHIM=$BUILD/tests/lib/fake-kvm.so ;; esac
[ -s "$SHIM" ] || { echo "no $SHIM: run make check-boot"; exit 77; }
one="-display none -flat file=$G/hi16.bin,addr=0x1000,mode=real"
on="env ASAN_OPTIONS=verify_asan_link_order=0:$ASAN_OPTIONS LD_PRELOAD=$SHIM"

# host NAME FAKE PART: the same words everywhere.
host()
{
    fake="$on FAKE_KVM=$2"
    words=$3
    check_err "$1: -accel kvm" "-accel kvm: failed to initialize kvm: $words" \
        $fake $RHEA -accel kvm $one
    check_err "$1: -enable-kvm" "failed to initialize kvm: $words" \
        $fake $RHEA -enable-kvm $one
    $fake $RHEA -accel help >"$TMP/help"
    check "$1: -accel help" 0 'tcg    software processor; usable: yes
kvm    yes
' sh -c "sed -n 's/^tcg/&/p' $TMP/help
        grep -qF -- 'kvm    Linux KVM; usable: no, because $words' $TMP/help &&
        echo 'kvm    yes'"
    $fake $RHEA -accel kvm,help >"$TMP/help"
    check "$1: -accel kvm,help" 0 'yes
processor
' sh -c "grep -qF -- 'usable      no, because $words' $TMP/help && echo yes
        grep -o '^processor' $TMP/help"
    for way in "-accel kvm:tcg" "-machine accel=kvm:tcg" "-accel kvm -accel tcg"; do
        check "$1: $way" 0 'Hi!
why 1
falling back to tcg 1
lines 2
' sh -c "$fake $RHEA $way $one 2>$TMP/e
            echo why \$(grep -cF -- '-accel kvm: failed to initialize kvm: $words' $TMP/e)
            echo falling back to tcg \$(grep -c ': falling back to tcg\$' $TMP/e)
            echo lines \$(wc -l <$TMP/e)"
    done
}

host "no node" open=2 "there is no /dev/kvm: "
host "no driver" open=19 "/dev/kvm has no driver behind it: "
host "no permission" open=13 "no permission to open /dev/kvm"
host "another device" version=-1 "/dev/kvm is something else than KVM"
host "old API" version=11 "/dev/kvm speaks version 11 of the KVM API, 12 is needed"
host "no memory" vm=12 \
    "KVM cannot make another virtual machine: out of resources (Cannot allocate memory): "
host "no descriptors" vm=24 \
    "KVM cannot make another virtual machine: out of resources (Too many open files): raise ulimit -n"
host "taken" vm=16 "KVM cannot make a virtual machine: the processor"

check_err "an option that is none" \
    "-accel kvm: there is no option 'kernel-irqchi'; did you mean 'kernel-irqchip'?" \
    $RHEA -accel kvm,kernel-irqchi=off $one
if ! $RHEA -accel help | grep -q '^kvm .*usable: yes'; then
    finish
    exit
fi

# Capabilities that can be missed: guests run without, one at a time.
caps()
{
    $RHEA -accel kvm,help | sed -n 's/^KVM_CAP_\([A-Z0-9_]*\) .*/\1/p'
}
number()
{
    printf '#include <linux/kvm.h>\nKVM_CAP_%s\n' "$1" |
        ${CC:-cc} -E -xc - 2>/dev/null | tail -n 1 | tr -dc 0-9
}
pc="-display none -monitor none -serial stdio -m 64 -kernel $G/mb1-32.elf"
$RHEA -accel tcg $pc >"$TMP/pc" 2>/dev/null
for cap in $(caps); do
    n=$(number "$cap")
    [ -n "$n" ] || continue
    fake="$on FAKE_KVM=cap=$n"
    if $fake $RHEA -accel help | grep -q '^kvm .*lacks'; then
        check_err "needs KVM_CAP_$cap" "it lacks KVM_CAP_$cap (" \
            $fake $RHEA -accel kvm $one
        continue
    fi
    check "without KVM_CAP_$cap" 0 'Hi!
same
' sh -c "$fake $RHEA -accel kvm $one 2>$TMP/e
            $fake $RHEA -accel kvm $pc >$TMP/pc2 2>>$TMP/e
            cmp $TMP/pc $TMP/pc2 && echo same
            sed '/ info: /d; / warning: kvm: this host does not take MSR /d' $TMP/e"
done
for chips in on:IRQCHIP split:SPLIT_IRQCHIP on:SIGNAL_MSI; do
    n=$(number "${chips#*:}")
    [ -n "$n" ] || continue
    check_err "kernel-irqchip=${chips%:*} without ${chips#*:}" \
        "kernel-irqchip=${chips%:*}: this host's KVM has " \
        $on FAKE_KVM=cap=$n $RHEA -accel kvm \
        -machine kernel-irqchip=${chips%:*} $pc
done
# MSRs that were there when asked one by one, and are refused later.
msrs="0x174 0x175 0x176 0xc0000081 0xc0000082 0xc0000083 0xc0000084
    0xc0000102 0xc0000103 0x277 0x1a0 0x1d9 0x2ff 0x250 0x200 0x20f"
all=$(for m in $msrs; do printf ',msr=%s' "$m"; done)
check "MSRs that the host refuses are warnings, one each" 0 'Hi!
yes
' sh -c "$on FAKE_KVM=x$all $RHEA -accel kvm -cpu host $one 2>$TMP/e
    sed -i '/ info: /d' $TMP/e
    n=\$(grep -c 'warning: kvm: this host does not take MSR 0x[0-9a-f]*; it is left out' $TMP/e)
    [ \$n -ge 12 ] && [ \$n -le 16 ] && [ \$n = \$(wc -l <$TMP/e) ] &&
    [ \$n = \$(sort -u $TMP/e | wc -l) ] && echo yes"
# AVX-512: to a guest only where KVM has it and executes it.
cat >"$TMP/avx512" <<EOF
$on FAKE_KVM=avx512=\$1 $RHEA -accel kvm -cpu \$2 $one 2>$TMP/e
echo status \$?
grep -o "host doesn't support requested feature.*avx512.*" $TMP/e
exit 0
EOF
avx512="sh $TMP/avx512"
lines="host doesn't support requested feature: CPUID.07H:EBX.avx512f [bit 16]
host doesn't support requested feature: CPUID.07H:EBX.avx512dq [bit 17]
host doesn't support requested feature: CPUID.07H:EBX.avx512cd [bit 28]
host doesn't support requested feature: CPUID.07H:EBX.avx512bw [bit 30]
host doesn't support requested feature: CPUID.07H:EBX.avx512vl [bit 31]
"
if $RHEA -accel kvm,help | grep -q '^KVM_CAP_XSAVE  *1' &&
    grep -qw avx512f /proc/cpuinfo; then
    check "AVX-512, executed" 0 'Hi!
status 0
' $avx512 1 max,+avx512f,+avx512vl,enforce
    check "AVX-512, executed: a model that has it" 0 'Hi!
status 0
' $avx512 1 Skylake-Server-v1
    check "AVX-512, not executed" 0 "Hi!
status 0
$lines" $avx512 0 Skylake-Server-v1
    check "AVX-512, not executed, enforced" 0 "status 1
$(echo "$lines" | head -n 1)
" $avx512 0 max,+avx512f,enforce
fi
# An exit costs one call of the kernel: KVM_RUN. The processor's thread is the one
# that makes most of them; now and then it waits for the lock or is kicked out,
# but not at each exit. The main loop's calls are as many as the time is long.
if command -v strace >/dev/null && [ -s "$BUILD/tests/bench/bare.elf" ]; then
    bare="-accel kvm,turns=off -machine kernel-irqchip=off -m 64 -display none"
    bare="$bare -serial none -monitor none -kernel $BUILD/tests/bench/bare.elf"
    bare="$bare -device isa-debug-exit,iobase=0xf4,iosize=4"
    cat >"$TMP/calls.awk" <<'EOF'
/ resumed>|\+\+\+|---/ { next }
/KVM_RUN/ { runs[$1]++; next }
{ others[$1]++ }
END {
    for (t in runs) { if (runs[t] > runs[vcpu]) { vcpu = t } }
    print (runs[vcpu] >= 5000 && runs[vcpu] < 9000 &&
           others[vcpu] < 4000) ? "yes" : runs[vcpu] " and " others[vcpu]
}
EOF
    for letter in o m; do
        check "system calls of 5000 exits, $letter" 0 'yes
' sh -c "strace -f -o $TMP/st $RHEA $bare -append ${letter}5000 2>/dev/null
            awk -f $TMP/calls.awk $TMP/st"
    done
fi
finish
