/* Every format and protocol, in the order "-f help" shows and probing asks. */
#include "util/osdep.h"
#include "block/drivers.h"

const BlockDriver *const block_drivers[] = {
    &block_qcow2,       &block_vdi,
    &block_vmdk,        &block_vpc,
    &block_vhdx,        &block_parallels,
    &block_raw,         &block_file,
    &block_host_device, &block_nbd,
    &block_blkdebug,    &block_null,
    &block_null_zero,   NULL,
};
