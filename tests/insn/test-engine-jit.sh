#!/bin/sh
# The engine's tests once more, with every block translated before it runs:
# most of their code is not executed often enough otherwise.
B=${BUILD:-build}
bad=0

for t in test-engine test-engine-diff test-engine-smp test-host-block \
    test-tlb test-prot test-excp test-system test-stack test-string \
    test-simd-engine; do
    said=$(EVM_JIT=0 SIMD_ROUNDS=4 "$B/tests/insn/$t" 2>&1)
    case $? in
    0) echo "$t: $(echo "$said" | grep -c '^ok') translated" ;;
    77) echo "$t: not on this host" ;;
    *)
        echo "$t fails:"
        echo "$said" | grep -vE '^ok' | tail -n 30
        bad=1
        ;;
    esac
done
exit $bad
