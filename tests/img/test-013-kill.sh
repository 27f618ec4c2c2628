# kill -9 in the middle of everything: images are valid (leaks at most), also to
# QEMU, and what the guest had stays what it was.
. tests/img/lib.sh

valid() # IMAGE OPERATION
{
    for c in "$IMG" $QEMU_IMG; do
        status=0
        "$c" check -q -f qcow2 "$1" >text 2>&1 || status=$?
        if [ $status != 0 ] && [ $status != 3 ]; then
            echo "$2: $c check: $status"
            cat text
            exit 1
        fi
    done
}

same() # IMAGE COPY OPERATION
{
    "$IMG" compare -q "$1" "$2" || { echo "$3: the data has changed"; exit 1; }
}

killed() # SECONDS COMMAND...
{
    timeout --foreground -s KILL "$@" >/dev/null 2>&1 && done=$((done + 1))
    total=$((total + 1))
}

set -e
"$IMG" create -q -f qcow2 -o cluster_size=4k base.good 24M
"$IO" -c 'write -P 1 0 8M' -c 'write -P 2 10M 3M' -c 'write -z 1M 300k' \
    base.good >/dev/null
"$IMG" create -q -f qcow2 -o cluster_size=4k,backing_file=base.qcow2,backing_fmt=qcow2 \
    -u top.good 24M
cp base.good base.qcow2
"$IO" -c 'write -P 3 2M 7M' -c 'write -P 4 20M 2M' top.good >/dev/null
"$IMG" snapshot -c one top.good
"$IO" -c 'write -P 5 3M 2M' top.good >/dev/null
"$IMG" convert -O raw top.good want.raw
"$IMG" convert -O raw base.good base.raw
done=0 total=0

for t in 0.004 0.01 0.02 0.04 0.1; do
    fresh() { cp base.good base.qcow2; cp top.good top.qcow2; }

    fresh
    killed $t "$IO" -c 'write -P 6 0 6M' -c flush -c 'write -z 4M 5M' \
        -c 'discard 6M 6M' -c 'write -P 7 5M 9M' top.qcow2
    valid top.qcow2 write

    for op in '-c two' '-d one' '-a one'; do
        fresh
        # shellcheck disable=SC2086
        killed $t "$IMG" snapshot $op top.qcow2
        valid top.qcow2 "snapshot $op"
        [ "$op" = '-a one' ] || same top.qcow2 want.raw "snapshot $op"
    done

    for op in 'resize top.qcow2 90M' 'resize --preallocation=metadata top.qcow2 90M' \
        'amend -f qcow2 -o refcount_bits=64 top.qcow2' \
        'amend -f qcow2 -o lazy_refcounts=on top.qcow2' \
        'bitmap --add top.qcow2 b0' 'rebase -b  top.qcow2'; do
        fresh
        # shellcheck disable=SC2086
        if [ "${op%% *}" = rebase ]; then
            killed $t "$IMG" rebase -f qcow2 -b '' top.qcow2
        else
            killed $t "$IMG" $op
        fi
        valid top.qcow2 "$op"
        "$IMG" resize -q --shrink top.qcow2 24M 2>/dev/null || true
        same top.qcow2 want.raw "$op"
    done

    fresh
    "$IMG" bitmap --add --enable top.qcow2 b1
    killed $t "$IMG" bitmap --add --merge b1 top.qcow2 b2
    valid top.qcow2 'bitmap merge'

    fresh
    killed $t "$IMG" commit -q top.qcow2
    valid top.qcow2 commit
    valid base.qcow2 commit
    same top.qcow2 want.raw commit

    fresh
    rm -f out.qcow2
    killed $t "$IMG" convert -O qcow2 top.qcow2 out.qcow2
    valid top.qcow2 convert
    same top.qcow2 want.raw convert
    # before its header is written the target is no image at all
    if "$IMG" info -f qcow2 out.qcow2 >/dev/null 2>&1; then
        valid out.qcow2 'convert: target'
    fi
    killed $t "$IMG" convert -c -O qcow2 top.qcow2 out.qcow2
    same top.qcow2 want.raw 'convert -c'
done
echo "$done of $total commands ended before they were killed"
