# A guest that writes rubbish to all that it reaches: hammer.c, hammer.py. HAMMER:
# for how many seconds.
. tests/boot/lib.sh

need python3
for accel in tcg tcg,jit=off; do
    test_no=$((test_no + 1))
    if timeout "$((${HAMMER:-8} + LIMIT))" python3 tests/boot/hammer.py "$RHEA" \
        "$G/hammer.elf" "${HAMMER:-8}" -accel "$accel" >"$TMP/out" 2>&1; then
        grep '^#' "$TMP/out"
        echo "ok $test_no hammer: $accel"
    else
        sed 's/^/# /' "$TMP/out"
        echo "not ok $test_no hammer: $accel"
        failed=$((failed + 1))
    fi
done
finish
