# snapshot and resize.
. tests/img/lib.sh
begin
img create -q -f qcow2 a.qcow2 4M
io -c 'write -P 1 0 64k' a.qcow2
img snapshot -c one a.qcow2
io -c 'write -P 2 0 64k' a.qcow2
img snapshot -c two a.qcow2
img snapshot -l a.qcow2
img info --output=json a.qcow2
img snapshot -a one a.qcow2
io -c 'read -P 1 0 64k' a.qcow2
img convert -l two -O raw a.qcow2 two.raw
io -f raw -c 'read -P 2 0 64k' two.raw
img snapshot -d one a.qcow2
img snapshot -d one a.qcow2
img snapshot -a nosuch a.qcow2
img snapshot -a x -c y a.qcow2
img check a.qcow2
img snapshot -d two a.qcow2
img check a.qcow2
img resize a.qcow2 +1M
img resize a.qcow2 1M
img resize --shrink a.qcow2 1M
img resize a.qcow2 -5M
img resize a.qcow2 abc
img resize --preallocation=foo a.qcow2 +1M
img check a.qcow2
io -c 'read -P 1 0 64k' a.qcow2
finish
