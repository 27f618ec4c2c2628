# Names of files that are no plain files: descriptors, devices, directories of
# devices.
. tests/img/lib.sh
set -e
"$IMG" create -q -f qcow2 a.qcow2 1M
"$IO" -c 'write -P 5 0 64k' a.qcow2 >/dev/null
for fd in /proc/self/fd/7 /dev/fd/7; do
    "$IO" -c 'read -P 5 0 64k' -c 'write -P 6 64k 64k' $fd 7<>a.qcow2 >/dev/null
    "$IMG" info $fd 7<a.qcow2 >/dev/null
    # Writing through a descriptor's name asks for the file's permission, not
    # the descriptor's, as in QEMU.
    "$IMG" convert -O raw $fd b.raw 7<a.qcow2
done
"$IO" -c 'read -P 6 64k 64k' a.qcow2 >/dev/null
"$IO" -f raw -c 'read -P 6 64k 64k' b.raw >/dev/null
"$IO" -c 'read -P 5 0 64k' file:a.qcow2 >/dev/null
! "$IMG" info "$TMP" >out 2>&1 || exit 1
grep -q 'it is a directory' out
! "$IMG" info /dev/fdset/1 >out 2>&1 || exit 1
[ "$(wc -l <out)" = 1 ]
# A plain file among the devices.
if [ -w /dev/shm ]; then
    n=/dev/shm/rhea-img-test.$$
    "$IMG" create -q -f raw $n 1M
    "$IMG" convert -O raw a.qcow2 $n
    "$IMG" compare -q -F raw a.qcow2 $n
    rm -f $n
fi
"$IO" -f raw -c 'write 0 512' null-co://,size=1M >/dev/null 2>&1 || true
"$IO" --image-opts -c 'read -P 0 0 1M' driver=null-co,size=1M,read-zeroes=on >/dev/null
"$IO" --image-opts -c 'write 0 1M' driver=null-aio,size=1M >/dev/null
