# Every option of every subcommand: what qemu-img does with the same words is what
# we do: output, exit status, and the images afterwards.
. tests/img/lib.sh
need_qemu
set -e
mkdir q r
make_images() # by one tool, with the other's there is no difference to see
{
    rm -f ./*
    "$QEMU_IMG" create -q -f qcow2 base.qcow2 8M
    "$QEMU_IO" -c 'write -P 1 0 2M' -c 'write -P 2 5M 64k' base.qcow2 >/dev/null
    "$QEMU_IMG" create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
    "$QEMU_IO" -c 'write -P 3 1M 1M' -c 'write -z 5M 64k' top.qcow2 >/dev/null
    "$QEMU_IMG" snapshot -c s1 top.qcow2
    "$QEMU_IO" -c 'write -P 4 1M 64k' top.qcow2 >/dev/null
    "$QEMU_IMG" bitmap --add --disable base.qcow2 b0
    cp base.qcow2 other.qcow2
    "$QEMU_IO" -c 'write -P 9 0 64k' other.qcow2 >/dev/null
    "$QEMU_IMG" convert -O raw top.qcow2 a.raw
    "$QEMU_IMG" create -q -f qcow2 leak.qcow2 1M
    "$QEMU_IO" -c 'write 0 64k' leak.qcow2 >/dev/null
    # cluster 5, whose data nothing refers to any more
    printf '\0\0\0\0\0\0\0\0' | dd of=leak.qcow2 bs=1 seek=262144 conv=notrunc 2>/dev/null
}
(cd q && make_images)
cp q/* r/

# Bytes per second, seconds, the table's dates, addresses of new snapshots.
tidy()
{
    steady | sed -e 's/in [0-9.]* seconds.*/in T/' -e 's/(.*\/sec)/(RATE)/' \
        -e "s/[a-zA-Z0-9/.]*build[a-z/]*rhea-img/qemu-img/g" -e 's/rhea-img/qemu-img/g' \
        -e 's/#block[0-9]*/#block/' -e 's,.*@    (100.00/100%)@$,DONE,'
}

bad=0 n=0
while read -r line; do
    case $line in '' | \#*) continue ;; esac
    n=$((n + 1))
    same=${line%%\~*}
    line=${line#\~}
    for t in q r; do
        tool=$QEMU_IMG
        [ $t = q ] || tool=$TMP/bin/qemu-img
        status=0
        # shellcheck disable=SC2086
        (cd $t && eval "timeout $LIMIT \"$tool\" $line") >out.$t 2>&1 </dev/null ||
            status=$?
        { tidy <out.$t; echo; } | sed '/^$/d' >text.$t
        # "~": in words of our own; as a rule they say what would be right
        [ "$same" ] || : >text.$t
        echo "[$status]" >>text.$t
    done
    if ! diff text.q text.r >differs; then
        echo "$line"
        cat differs
        bad=1
    fi
done <<'EOF'
create -f qcow2 -b base.qcow2 -F qcow2 n1.qcow2
create -q -f qcow2 -u -b nosuch -F raw n2.qcow2 1M
create -f qcow2 --object secret,id=x,data=y n3.qcow2 1M
create -f qcow2 -b base.qcow2 n4.qcow2
create -6 -f vmdk n5.vmdk 1M
create -f raw -o preallocation=falloc n6.raw 1M
create -f raw -o preallocation=full n7.raw 1M
create -f qcow2 -o size=1M,preallocation=metadata n8.qcow2
create -f qcow2 n9.qcow2 -1
create -f qcow2 n9.qcow2 1M 2M
create -f qcow2 -o cluster_size=3k n9.qcow2 1M
create -f qcow2 -o refcount_bits=3 n9.qcow2 1M
create -f qcow2 -o compat=0.10,lazy_refcounts=on n9.qcow2 1M
create -f qcow2 -o extended_l2=on,cluster_size=8k n9.qcow2 1M
~create -f qcow2 -o compression_type=lzo n9.qcow2 1M
create -f qcow2 -o data_file_raw=on n9.qcow2 1M
create -f qcow2 -o data_file=n10.raw,data_file_raw=on n10.qcow2 1M
~create -f qcow2 -o preallocation=foo n9.qcow2 1M
info base.qcow2
info --output=json top.qcow2
info --backing-chain --output=human top.qcow2
info -U -f qcow2 top.qcow2
info --image-opts driver=qcow2,file.driver=file,file.filename=top.qcow2
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"top.qcow2"}}'
info --output=foo top.qcow2
info nosuch.qcow2
info n10.qcow2
check top.qcow2
check -q top.qcow2
check --output=json top.qcow2
check -f raw a.raw
check -U top.qcow2
check -T none top.qcow2
check -T foo top.qcow2
check leak.qcow2
check --output=json leak.qcow2
check -r foo leak.qcow2
check -q -r leaks leak.qcow2
check -r all leak.qcow2
check nosuch.qcow2
check --image-opts driver=qcow2,file.filename=top.qcow2
compare base.qcow2 base.qcow2
compare -q base.qcow2 other.qcow2
compare base.qcow2 other.qcow2
compare -s base.qcow2 top.qcow2
compare -p -U base.qcow2 base.qcow2
compare -f qcow2 -F raw top.qcow2 a.raw
compare -T none -f qcow2 -F raw top.qcow2 a.raw
compare --image-opts driver=qcow2,file.filename=top.qcow2 driver=raw,file.filename=a.raw
compare base.qcow2
compare a b c
convert -O raw top.qcow2 c1.raw
convert -f qcow2 -O qcow2 top.qcow2 c2.qcow2
convert -c -O qcow2 top.qcow2 c3.qcow2
convert -c -O qcow2 -o compression_type=zstd top.qcow2 c4.qcow2
convert -l s1 -O raw top.qcow2 c5.raw
convert -l snapshot.id=1,snapshot.name=s1 -O raw top.qcow2 c6.raw
convert -l nosuch -O raw top.qcow2 c7.raw
convert -S 64k -O raw top.qcow2 c8.raw
convert -S 0 -O qcow2 top.qcow2 c9.qcow2
convert -S 100 -O raw top.qcow2 c10.raw
convert -m 1 -W -O qcow2 top.qcow2 c11.qcow2
convert -m 17 -O qcow2 top.qcow2 c12.qcow2
convert -n -O raw top.qcow2 c1.raw
convert -n --target-is-zero -O raw top.qcow2 c1.raw
convert --target-is-zero -O raw top.qcow2 c13.raw
convert -n --target-image-opts top.qcow2 driver=raw,file.filename=c1.raw
convert --target-image-opts top.qcow2 driver=raw,file.filename=c1.raw
convert --image-opts -O raw driver=qcow2,file.filename=top.qcow2 c14.raw
convert -B base.qcow2 -F qcow2 -O qcow2 top.qcow2 c15.qcow2
convert -B base.qcow2 -O qcow2 top.qcow2 c16.qcow2
convert -o backing_file=base.qcow2,backing_fmt=qcow2 -O qcow2 top.qcow2 c17.qcow2
convert -B base.qcow2 -F qcow2 -O raw top.qcow2 c18.raw
convert --bitmaps -O qcow2 base.qcow2 c19.qcow2
convert --bitmaps --skip-broken-bitmaps -O qcow2 base.qcow2 c20.qcow2
convert --bitmaps -O raw base.qcow2 c21.raw
convert --skip-broken-bitmaps -O raw base.qcow2 c21.raw
convert -r 1G -O raw top.qcow2 c22.raw
convert -t none -T none -O raw top.qcow2 c23.raw
~convert -t foo -O raw top.qcow2 c24.raw
convert -T foo -O raw top.qcow2 c24.raw
convert -U -q -O raw top.qcow2 c25.raw
convert -C -O raw top.qcow2 c26.raw
convert -C -S 4k -O raw top.qcow2 c27.raw
convert --salvage -O raw top.qcow2 c28.raw
convert -C --salvage -O raw top.qcow2 c28.raw
convert -O raw base.qcow2 other.qcow2 c29.raw
convert -O raw nosuch c30.raw
convert -p -O raw base.qcow2 c31.raw
convert -O qcow2 -o cluster_size=512 base.qcow2 c32.qcow2
convert -O qcow2 -o preallocation=full base.qcow2 c33.qcow2
map top.qcow2
map --output=json top.qcow2
map --start-offset=1M --max-length=64k --output=json top.qcow2
map -s 1M -l 1M top.qcow2
map -s 9M top.qcow2
map -U -f qcow2 base.qcow2
map -f raw --output=json a.raw
map --image-opts --output=json driver=qcow2,file.filename=top.qcow2
measure -O qcow2 --size 1G
measure --output=json -O qcow2 -o cluster_size=4k,refcount_bits=64 --size 1G
measure -O raw top.qcow2
measure -O qcow2 -l s1 top.qcow2
measure -O qcow2 --image-opts driver=qcow2,file.filename=top.qcow2
measure -O qcow2 -f qcow2 base.qcow2
measure -O foo --size 1M
measure -O qcow2 -o foo=1 --size 1M
measure -O qcow2 --size 1M top.qcow2
snapshot -l top.qcow2
snapshot top.qcow2
snapshot -U -l top.qcow2
snapshot -q -c s2 top.qcow2
snapshot -a s2 top.qcow2
snapshot -d s2 top.qcow2
snapshot -d s2 top.qcow2
snapshot --image-opts -l driver=qcow2,file.filename=top.qcow2
snapshot -l a.raw
~snapshot -c x a.raw
bitmap --add top.qcow2 t0
bitmap --add -g 512 --disable top.qcow2 t1
bitmap --enable top.qcow2 t1
bitmap --merge t0 top.qcow2 t1
bitmap --clear top.qcow2 t1
bitmap --merge b0 -b base.qcow2 -F qcow2 top.qcow2 t1
bitmap --remove top.qcow2 t0
bitmap --add -g 3 top.qcow2 t2
bitmap --add -g 256 top.qcow2 t2
bitmap --remove top.qcow2 nosuch
bitmap top.qcow2 t1
~bitmap --add a.raw t1
bitmap --image-opts --clear driver=qcow2,file.filename=top.qcow2 t1
bitmap -f qcow2 --disable top.qcow2 t1
bitmap --remove top.qcow2 t1
amend -f qcow2 -o lazy_refcounts=on base.qcow2
amend -p -o lazy_refcounts=off base.qcow2
amend -q -t none -o compat=1.1 base.qcow2
amend -o refcount_bits=64 other.qcow2
amend -o foo=1 other.qcow2
amend -o cluster_size=4k other.qcow2
amend --image-opts -o size=9M driver=qcow2,file.filename=other.qcow2
amend -f raw -o size=1M a.raw
amend other.qcow2
amend -o backing_file=nosuch other.qcow2
resize other.qcow2 10M
resize other.qcow2 +1M
resize -q --shrink other.qcow2 -2M
resize other.qcow2 1M
resize --preallocation=metadata other.qcow2 +1M
resize --preallocation=falloc other.qcow2 +64k
resize --preallocation=foo other.qcow2 +1M
resize -f raw a.raw +512
~resize a.raw +512
resize --shrink -f raw a.raw 8M
resize --image-opts driver=qcow2,file.filename=other.qcow2 +1M
resize other.qcow2 0x
resize other.qcow2
rebase -u -b other.qcow2 -F qcow2 top.qcow2
rebase -u -b base.qcow2 -F qcow2 top.qcow2
rebase -b other.qcow2 -F qcow2 top.qcow2
rebase -p -b base.qcow2 -F qcow2 top.qcow2
rebase -t none -T none -q -f qcow2 -b other.qcow2 -F qcow2 top.qcow2
rebase -U -b base.qcow2 -F qcow2 top.qcow2
rebase -b base.qcow2 top.qcow2
rebase -b nosuch -F qcow2 top.qcow2
rebase --image-opts -b base.qcow2 -F qcow2 driver=qcow2,file.filename=top.qcow2
rebase -b '' top.qcow2
rebase top.qcow2
commit n1.qcow2
commit -d n1.qcow2
commit -q -p -f qcow2 -t writeback -r 1G n1.qcow2
commit -b base.qcow2 n1.qcow2
commit -b nosuch n1.qcow2
commit --image-opts driver=qcow2,file.filename=n1.qcow2
commit base.qcow2
dd if=base.qcow2 of=d1.raw bs=64k count=4 skip=1
dd -f qcow2 -O qcow2 if=base.qcow2 of=d2.qcow2 bs=1M
dd -U if=base.qcow2 of=d3.raw bs=1M count=1
dd --image-opts if=driver=qcow2,file.filename=base.qcow2 of=d4.raw bs=1M count=1
dd bs=0 if=base.qcow2 of=d5.raw
dd if=base.qcow2 of=d5.raw skip=1000000
dd of=d5.raw
dd seek=1 if=base.qcow2 of=d5.raw
bench -c 10 -d 2 base.qcow2
bench -q -c 10 -s 64k -S 128k -o 1M -f qcow2 base.qcow2
bench -q -w --pattern=7 -c 10 --flush-interval=5 --no-drain base.qcow2
bench -q -w -c 10 --flush-interval=5 base.qcow2
bench -q -c 10 --no-drain base.qcow2
bench -q -n -t none -c 10 base.qcow2
bench -q -i threads -c 10 base.qcow2
bench -q -i io_uring -c 10 base.qcow2
bench -q -i foo -c 10 base.qcow2
bench -q -U -c 10 base.qcow2
bench --image-opts -q -c 10 driver=qcow2,file.filename=base.qcow2
info -Z base.qcow2
info
foo
EOF
for f in q/*; do
    f=${f#q/}
    # QEMU makes c24.raw before it looks at -t, and d1.raw shorter by skip=; n2
    # has no backing file, n5 an unknown option, n10 a data file; metadata alone
    # for other.qcow2 makes old tables of QEMU's visible as data
    case $f in
    c24.raw | d1.raw | n2.qcow2 | n5.vmdk | n10.qcow2 | other.qcow2) continue ;;
    esac
    [ -e "r/$f" ] || { echo "r/$f is not there"; bad=1; continue; }
    case $f in *.raw) fmt=raw ;; *) fmt=${f##*.} ;; esac
    "$QEMU_IMG" compare -f "$fmt" -F "$fmt" "q/$f" "r/$f" >/dev/null 2>text ||
        { echo "$f differs"; cat text; bad=1; }
done
for f in r/*; do
    [ -e "q/${f#r/}" ] || { echo "$f is too many"; bad=1; }
done
echo "$n commands"
exit $bad
