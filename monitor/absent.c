/*
 * Every command of QEMU 7.2's monitors that is not here, with the reason: the
 * answer to who types it, and a part of docs/monitor.md.
 */
#include "util/osdep.h"
#include "monitor/absent.h"

/* clang-format off */
const AbsentCommand absent_commands[] = {
    { "info usb|info usbhost|x-query-usb", "there is no USB" },
    { "screendump|client_migrate_info|set_password|expire_password|change-vnc-password|add_client|display-reload|display-update|query-display-options|query-vnc|query-vnc-servers|query-spice|info vnc|info spice",
      "there are no screens" },
    { "wavcapture|stopcapture|info capture", "there is no sound" },
    { "boot_set", "without firmware there is no boot order: -kernel or -flat say what starts" },
    { "info roms|x-query-roms", "nothing is loaded as a ROM: info mtree -f shows what lies where" },
    { "dumpdtb", "a PC has no device tree" },
    { "exit_preconfig|x-exit-preconfig", "there is no -preconfig" },
    { "announce_self|announce-self", "only a machine that comes by -incoming or loadvm announces its cards" },
    { "mce", "machine checks are not injected" },
    { "pcie_aer_inject_error", "there is no PCI Express" },
    { "qemu-io", "rhea-io does that, on images that no machine uses" },
    { "nbd_server_start|nbd_server_add|nbd_server_remove|nbd_server_stop|nbd-server-start|nbd-server-add|nbd-server-remove|nbd-server-stop|block-export-add|block-export-del|query-block-exports",
      "disks are not exported" },
    { "singlestep", "steps are gdb's: see gdbserver" },
    { "sync-profile|info sync-profile|info profile|info opcount|x-query-profile|x-query-opcount",
      "QEMU's profilers look at QEMU: info stats counts what the guest does" },
    { "migrate_continue|migrate_pause|migrate_recover|migrate_start_postcopy|migrate-continue|migrate-pause|migrate-recover|migrate-start-postcopy|calc_dirty_rate|calc-dirty-rate|info dirty_rate|query-dirty-rate|set_vcpu_dirty_limit|set-vcpu-dirty-limit|cancel_vcpu_dirty_limit|cancel-vcpu-dirty-limit|info vcpu_dirty_limit|query-vcpu-dirty-limit|query-colo-status|x_colo_lost_heartbeat|x-colo-lost-heartbeat|info rdma|x-query-rdma|yank",
      "a machine is stopped while it is sent: there is no live migration" },
    { "replay_break|replay_delete_break|replay_seek|info replay|replay-break|replay-delete-break|replay-seek|query-replay",
      "there is no record and replay" },
    { "info rocker|info rocker-ports|info rocker-of-dpa-flows|info rocker-of-dpa-groups|query-rocker|query-rocker-ports|query-rocker-of-dpa-flows|query-rocker-of-dpa-groups",
      "there are no rocker switches" },
    { "info sev|query-sev|query-sev-capabilities|query-sev-launch-measure|query-sev-attestation-report|sev-inject-launch-secret|info sgx|query-sgx|query-sgx-capabilities",
      "guests are not encrypted: no SEV, no SGX" },
    { "info tpm", "there is no trusted platform module" },
    { "info virtio|info virtio-status|info virtio-queue-status|info virtio-vhost-queue-status|info virtio-queue-element|x-query-virtio|x-query-virtio-status|x-query-virtio-queue-status|x-query-virtio-vhost-queue-status|x-query-virtio-queue-element",
      "virtio devices are shown by info qtree, their work by -trace 'virtio_*'" },
    { "info vm-generation-id|query-vm-generation-id", "there is no vmgenid device" },
    { "xen-save-devices-state|xen-load-devices-state|xen-set-global-dirty-log|xen-set-replication|query-xen-replication-status|xen-colo-do-checkpoint",
      "there is no Xen" },
    { "set-numa-node", "there is no NUMA" },
    { "query-stats|query-stats-schemas", "these are KVM's own numbers; x-query-stats and x-query-kvm-exits have ours" },
    { "blockdev-reopen", "a node keeps its options: blockdev-add makes another" },
    { "change-backing-file", "rhea-img rebase -u does that, on images that no machine uses" },
    { "block-set-write-threshold", "nobody is told how far a disk is written: query-blockstats has wr_highest_offset" },
    { "chardev-change", "a character device in use stays; chardev-remove and chardev-add exchange one that is not" },
    { "block-latency-histogram-set", "latencies are not sorted into histograms" },
    { "x-blockdev-amend|x-blockdev-change|x-blockdev-set-iothread|x-debug-block-dirty-bitmap-sha256|x-debug-query-block-graph",
      "QEMU calls it unstable, and it is not here" },
    { 0 },
};
/* clang-format on */

const char *absent_why(const char *name)
{
    size_t n = strlen(name);

    for (const AbsentCommand *a = absent_commands; a->names; a++) {
        for (const char *p = a->names; *p;) {
            size_t len = strcspn(p, "|");

            if (len == n && !memcmp(p, name, n)) {
                return a->why;
            }
            p += len + (p[len] == '|');
        }
    }
    return NULL;
}
