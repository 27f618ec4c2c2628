# Floating point, vectors and the kernel's saving of them: fpu.c prints the same
# in the guest, where it is the only process, as on the host. The processors
# without AVX and FMA run other code in the C library, so there only traps and
# threads are compared.
. tests/boot/lib.sh
need cpio

GUEST=build/guest
[ -s $GUEST/vmlinuz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}
mkdir -p "$TMP/root/dev"
${CC:-gcc} -O2 -static -o "$TMP/root/init" tests/boot/fpu.c -lm -lpthread || {
    echo "no static C library: apt-get install libc6-dev"
    exit 77
}
(cd "$TMP/root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$TMP/initrd"

lines() # of the program, from a console
{
    tr -d '\r' | sed -n '/^BEGIN$/,/^END$/p' | grep -E "$1"
}

# compare NAME LINES RHEA-OPTION...
compare()
{
    name=$1
    wanted=$2
    shift 2
    test_no=$((test_no + 1))
    "$TMP/root/init" | lines "$wanted" >"$TMP/want"
    timeout $LIMIT "$RHEA" -accel tcg -m 256 -kernel $GUEST/vmlinuz -initrd "$TMP/initrd" \
        -append "console=ttyS0 quiet panic=-1" -display none -serial stdio -monitor none \
        -no-reboot "$@" </dev/null 2>"$TMP/err" | lines "$wanted" >"$TMP/got"
    if cmp -s "$TMP/want" "$TMP/got"; then
        echo "ok $test_no fpu: $name"
    else
        echo "not ok $test_no fpu: $name"
        diff "$TMP/want" "$TMP/got" | sed 's/^/#   /'
        sed 's/^/#   /' "$TMP/err"
        failed=$((failed + 1))
    fi
}

if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then
    compare "max" . -cpu max
    compare "Haswell, 2 CPUs" . -cpu Haswell,check=off -smp 2
fi
compare "qemu64: no AVX, no XSAVE" 'trap|threads' -cpu qemu64
finish
