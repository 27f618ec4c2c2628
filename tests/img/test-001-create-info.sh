# create and info: options, announcements, mistakes, both outputs.
. tests/img/lib.sh
begin
img create -f raw a.raw 10M
img create -f qcow2 a.qcow2 64M
img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
img create -f qcow2 -b none -F raw c.qcow2
img create -f qcow2 -o cluster_size=4k,lazy_refcounts=on,refcount_bits=32 l.qcow2 1M
img create -f qcow2 -o compat=0.10 v2.qcow2 1M
img create -f qcow2 -u -b none -F raw u.qcow2 1M
img create -f foo x 1M
img create -f qcow2 -o foo=1 x 1M
img create -f raw x 1Q
img create -f raw x
img create -f raw x 9E
img create -f raw -o size=1M x 2M
img create
img create -z
img create -o help x
for f in a.raw a.qcow2 b.qcow2 l.qcow2 v2.qcow2 u.qcow2; do
    img info $f
    img info --output=json $f
done
img info --backing-chain b.qcow2
img info --backing-chain --output=json b.qcow2
img info --backing-chain u.qcow2
img info nosuch
img info -f foo a.raw
img info -f qcow2 a.raw
img info --output=xml a.raw
img info --image-opts driver=qcow2,file.filename=b.qcow2
img info --image-opts -f qcow2 b.qcow2
img foo
finish
