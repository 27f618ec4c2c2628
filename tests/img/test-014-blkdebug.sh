# Errors on request, by QEMU's options and configuration files; what rhea-io
# prints then is what qemu-io prints.
. tests/img/lib.sh

session() # IO
{
    cp good.qcow2 d.qcow2
    "$1" -f qcow2 -c 'read 0 4k' -c 'read 0 4k' -c 'write 64k 64k' -c flush \
        blkdebug:cfg:d.qcow2
    "$1" --image-opts -c 'write 0 4k' -c 'write 0 4k' \
        "driver=qcow2,$D,file.inject-error.0.event=write_aio,$E"
    "$1" --image-opts -c 'write 1M 4k' -c 'write 1M 4k' -c 'read 1M 4k' \
        "driver=qcow2,$D,file.inject-error.0.event=cluster_alloc,$E"
    "$1" --image-opts -c 'read 512k 4k' -c 'write 512k 4k' \
        "driver=raw,$D,file.inject-error.0.event=none,file.inject-error.0.sector=1025"
    "$1" --image-opts -c 'read 0 4k' -c 'write 0 4k' \
        "driver=raw,$D,file.inject-error.0.event=none,file.inject-error.0.iotype=write"
    "$1" -f qcow2 -c 'read 0 4k' blkdebug:nothing:d.qcow2
}

D=file.driver=blkdebug,file.image.filename=d.qcow2
E=file.inject-error.0.once=on,file.inject-error.0.errno=28
cat >cfg <<'END'
[inject-error]
event = "l2_load"
errno = "5"
once = "on"

[set-state]
state = "1"
event = "write_aio"
new_state = "2"

[inject-error]
event = "flush_to_disk"
state = "2"
errno = "28"
END
"$IMG" create -q -f qcow2 good.qcow2 8M
"$IO" -c 'write 0 64k' good.qcow2 >/dev/null
session "$IO" 2>&1 | steady | grep -v ' ops; \|Could not' >ours
cat >want <<'END'
read failed: Input/output error
read 4096/4096 bytes at offset 0
wrote 65536/65536 bytes at offset 65536
write failed: No space left on device
wrote 4096/4096 bytes at offset 0
write failed: No space left on device
wrote 4096/4096 bytes at offset 1048576
read 4096/4096 bytes at offset 1048576
read failed: Input/output error
write failed: Input/output error
read 4096/4096 bytes at offset 0
write failed: Input/output error
END
diff -u want ours || exit 1
"$IMG" check -q -f qcow2 d.qcow2 || [ $? = 3 ] || exit 1
need_qemu
session "$QEMU_IO" 2>&1 | steady | grep -v ' ops; \|ould not\|No such' >theirs
diff -u theirs ours
