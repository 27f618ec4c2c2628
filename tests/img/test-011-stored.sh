# Images that QEMU made, stored in images/: what is said of them and what is in
# them, everywhere, also where qemu-img is not installed. The session is
# qemu-img's own (BLESS=1 with a BUILD where rhea-img leads to qemu-img).
. tests/img/lib.sh
command -v xz >/dev/null || { echo "xz is not installed"; exit 77; }
for f in "$TOP"/tests/img/images/*.xz; do
    n=$(basename "$f" .xz)
    xz -dc "$f" | dd of="$n" conv=sparse bs=4k 2>/dev/null
done
begin
for f in monolithicSparse.vmdk monolithicFlat.vmdk twoGbMaxExtentSparse.vmdk \
    twoGbMaxExtentFlat.vmdk zeroed.vmdk stream.vmdk footer.vmdk child.vmdk \
    dynamic.vpc dynamic.vhdx ext.parallels static-off.vdi static-on.vdi; do
    img info $f
    img info --output=json $f
    img check $f
    case $f in
    *Flat* | *.vhdx | static-on*) ;;
    *)
        img map $f
        img map --output=json $f
        ;;
    esac
    # child.vmdk has its own bytes at 64k and the rest of its parent's
    io -r -c 'read -P 5 0 1000' -c 'read -P 0 1000 60k' -c 'read -P 7 1500k 30k' \
        -c 'read -P 6 2M 512' -c 'read -P 0 2049k 1023k' $f
done
img info -f vpc fixed.vpc
img info -f vpc --output=json fixed.vpc
img info --backing-chain child.vmdk
img check -f vpc dynamic.vpc
for f in footer.vmdk stream.vmdk twoGbMaxExtentSparse.vmdk twoGbMaxExtentFlat.vmdk \
    dynamic.vhdx ext.parallels static-off.vdi static-on.vdi; do
    img compare monolithicSparse.vmdk $f
done
img compare child.vmdk monolithicSparse.vmdk
img compare -f vpc -F vpc dynamic.vpc fixed.vpc
img check --output=json ext.parallels
img check --output=json dynamic.vhdx
img check --output=json footer.vmdk
img resize monolithicSparse.vmdk 4M
img resize ext.parallels 4M
img resize dynamic.vpc 4M
for f in vmdk vpc vhdx parallels vdi; do
    img measure -O $f --size 1M
    img create -f $f -o help
    img create -f $f x.$f 10M
    img create -f $f -o foo=1 y.$f 10M
    img create -f $f y.$f
done
img create -f vmdk -o subformat=foo a.vmdk 1M
img create -f vmdk -o subformat=monolithicFlat -b child.vmdk -F vmdk a.vmdk
img create -f vmdk -o subformat=monolithicFlat,zeroed_grain=on a.vmdk 1M
img create -f vmdk -o adapter_type=foo a.vmdk 1M
img create -f vmdk -o compat6,hwversion=4 a.vmdk 1M
img create -f qcow2 b.qcow2 1M
img create -f vmdk -b b.qcow2 -F qcow2 a.vmdk
img create -f vmdk -b child.vmdk -F vmdk a.vmdk
img create -f vpc -o subformat=foo a.vpc 1M
img create -f vpc a.vpc 3T
img create -f vpc -b dynamic.vpc -F vpc a.vpc
img create -f vpc -o subformat=fixed,force_size=on a.vpc 1000k
img create -f vhdx a.vhdx 65T
img create -f vhdx -o subformat=foo a.vhdx 1M
img create -f vhdx -o block_size=3M a.vhdx 1M
img create -f vhdx -o block_size=1M,subformat=fixed,block_state_zero=off a.vhdx 1M
img create -f parallels -o cluster_size=64k a.parallels 1M
finish
