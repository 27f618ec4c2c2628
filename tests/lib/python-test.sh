# Sourced by tests that are a Python program which talks QMP to rhea: what they
# need, or a reason to skip. BUILD and RHEA are set.
BUILD=${BUILD:-build}
RHEA=${RHEA:-$BUILD/rhea}

[ -x "$RHEA" ] || { echo "no $RHEA: run make"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
grep -q 'CONFIG_JSON_C 1' "$BUILD/config.h" build/config.h 2>/dev/null ||
    { echo "built without json-c"; exit 77; }
