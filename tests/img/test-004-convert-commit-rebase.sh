# convert, commit, rebase, amend, bitmap, dd.
. tests/img/lib.sh
begin
img create -q -f raw a.raw 4M
io -f raw -c 'write -P 5 1M 1M' a.raw
img convert -f raw -O qcow2 a.raw a.qcow2
img compare -f raw a.raw a.qcow2
img convert -c -O qcow2 a.qcow2 c.qcow2
img check c.qcow2
img compare a.qcow2 c.qcow2
img convert -O raw c.qcow2 b.raw
img compare -f raw -F raw a.raw b.raw
img convert -c -O raw a.qcow2 x
img convert -O foo a.qcow2 x
img convert -n -O qcow2 a.qcow2 nosuch
img convert -S 100 a.qcow2 x
img convert -m 20 a.qcow2 x
img convert -O raw a.qcow2 nosuchdir/x
img convert a.qcow2
img create -q -f qcow2 -b a.qcow2 -F qcow2 o.qcow2
io -c 'write -P 7 0 128k' o.qcow2
img commit o.qcow2
io -c 'read -P 7 0 128k' -c 'read -P 5 1M 1M' a.qcow2
img check a.qcow2
img commit a.qcow2
img commit -b foo o.qcow2
img rebase -b '' o.qcow2
io -c 'read -P 7 0 128k' -c 'read -P 5 1M 1M' o.qcow2
img rebase -u -b a.qcow2 -F qcow2 o.qcow2
img compare a.qcow2 o.qcow2
img rebase o.qcow2
img rebase -u -b a.qcow2 o.qcow2
img rebase -b nosuch -F raw o.qcow2
img amend -o compat=0.10 c.qcow2
img amend -o foo=1 c.qcow2
img amend c.qcow2
img bitmap --add -g 64k a.qcow2 b0
img bitmap --add a.qcow2 b0
img bitmap --remove a.qcow2 b1
img bitmap --disable --clear a.qcow2 b0
img bitmap a.qcow2 b0
img bitmap --remove a.qcow2 b0
img dd -f raw if=a.raw of=d.raw bs=64k count=4 skip=14
io -f raw -c length -c 'read -P 0 0 128k' -c 'read -P 5 128k 128k' d.raw
img dd if=a.raw
img dd foo=1
img bench -c 10 -d 2 a.qcow2
finish
