# The distribution's own kernel to a shell and to power-off, on several
# processors, sizes of memory and numbers of CPUs, without a complaint in its
# log; and programs that print in the guest what they print on the host.
. tests/boot/lib.sh
need python3 cpio gzip

GUEST=build/guest
[ -s $GUEST/vmlinuz ] && [ -s $GUEST/initrd.gz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}

complaints='rcu.*(stall|detected)|lockup|[Uu]nstable|WARNING|BUG:|Oops|Call Trace|hung_task|segfault'

# boot NAME RHEA-OPTION...
boot()
{
    name=$1
    shift
    test_no=$((test_no + 1))
    rm -f "$TMP/log"
    if tools/demo-session -q -t $LIMIT "$RHEA" -accel tcg -kernel $GUEST/vmlinuz \
        -initrd $GUEST/initrd.gz -append console=ttyS0 -display none \
        -chardev "stdio,id=c,signal=off,logfile=$TMP/log" -serial chardev:c \
        -monitor none -no-reboot "$@" >"$TMP/out" 2>&1 &&
        ! grep -aE "$complaints" "$TMP/log" >"$TMP/bad"; then
        echo "ok $test_no linux: $name"
    else
        echo "not ok $test_no linux: $name"
        sed 's/^/#   /' "$TMP/bad" "$TMP/out" 2>/dev/null | tail -n 30
        failed=$((failed + 1))
    fi
}

boot "max, 256 MiB" -m 256
boot "qemu64" -m 256 -cpu qemu64
boot "Haswell, 2 CPUs" -m 256 -cpu Haswell -smp 2
boot "8 GiB: memory on both sides of the hole" -m 8G

# The same script here and there.
programs()
{
    test_no=$((test_no + 1))
    tools/guest-programs "$TMP/extra"
    if ! grep -q . "$TMP/extra/data/programs"; then
        echo "ok $test_no programs # SKIP none of them is installed"
        return
    fi
    (cd "$TMP/extra" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$TMP/extra.gz"
    cat $GUEST/initrd.gz "$TMP/extra.gz" >"$TMP/initrd"
    sh "$TMP/extra/data/work.sh" "$TMP/extra/data" >"$TMP/want" 2>&1
    timeout $LIMIT "$RHEA" -accel tcg -m 1G -kernel $GUEST/vmlinuz -initrd "$TMP/initrd" \
        -append "console=ttyS0 quiet rhea.exec=echo,BEGIN;sh,/data/work.sh,/data;echo,END" \
        -display none -serial stdio -monitor none </dev/null 2>"$TMP/err" |
        tr -d '\r' | sed -n '/^BEGIN$/,/^END$/p' | sed '1d;$d' >"$TMP/got"
    if cmp -s "$TMP/want" "$TMP/got"; then
        echo "ok $test_no programs: $(wc -l <"$TMP/want") lines as on the host"
    else
        echo "not ok $test_no programs"
        diff "$TMP/want" "$TMP/got" | head -n 20 | sed 's/^/#   /'
        sed 's/^/#   /' "$TMP/err"
        failed=$((failed + 1))
    fi
}
programs
finish
