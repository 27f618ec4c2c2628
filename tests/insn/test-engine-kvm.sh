#!/bin/sh
# The programs of the engines' tests once more, executed by KVM.
B=${BUILD:-build}

why=$("$B/rhea" -accel help | sed -n 's/^kvm .*usable: no, because //p')
if [ -n "$why" ]; then
    echo "no KVM here: $why"
    exit 77
fi
bad=0
# A few rounds of each row: every run is a trip into the kernel.
for t in test-engine test-tlb test-simd-engine test-engine-diff test-host-block; do
    if said=$(EVM_ENGINE=kvm SIMD_ROUNDS=2 RHEA_TEST_N=1000 \
        "$B/tests/insn/$t" 2>&1); then
        echo "$t: $(echo "$said" | grep -c '^ok') under KVM"
    else
        echo "$t fails:"
        echo "$said" | grep -E '^(not ok|# |ERROR|Bail)' | tail -n 20
        bad=1
    fi
done
exit $bad
