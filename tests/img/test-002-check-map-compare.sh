# check, map, compare and measure, for people and as JSON.
. tests/img/lib.sh
begin
img create -q -f qcow2 a.qcow2 64M
io -c 'write -P 5 1M 3M' -c 'write -z 2M 64k' a.qcow2
img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
io -c 'write -P 6 1M 128k' -c 'write -c -P 7 8M 64k' b.qcow2
for f in a.qcow2 b.qcow2; do
    img check $f
    img check --output=json $f
    img map $f
    img map --output=json $f
done
img map -s 1M -l 64k --output=json a.qcow2
img compare a.qcow2 a.qcow2
img compare a.qcow2 b.qcow2
img compare -s a.qcow2 b.qcow2
img compare a.qcow2 nosuch
img create -q -f qcow2 small.qcow2 1M
img create -q -f qcow2 large.qcow2 2M
img compare small.qcow2 large.qcow2
img compare -s small.qcow2 large.qcow2
img measure -O qcow2 --size 1G
img measure --output=json -O qcow2 a.qcow2
img measure
img create -q -f raw r.raw 1M
img check -f raw r.raw
finish
