# Sourced by tests/boot/test-*.sh. The scripts run from the top of the tree
# with BUILD set; they speak TAP.
# shellcheck shell=sh

BUILD=${BUILD:-build}
RHEA=${RHEA:-$BUILD/rhea}
G=$BUILD/tests/boot
TMP=$(mktemp -d "${TMPDIR:-/tmp}/rhea-boot.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
trap 'exit 1' INT TERM HUP
# Seconds, for what may hang. The runner gives up sooner and shows where it hangs.
LIMIT=${LIMIT:-1000}
test_no=0
failed=0

[ -x "$RHEA" ] || { echo "no $RHEA: run make"; exit 77; }
[ -s "$G/hi16.bin" ] || { echo "no guests: run make boot-guests"; exit 77; }

# need TOOL...: the script skips without them.
need()
{
    for tool; do
        command -v "$tool" >/dev/null || { echo "$tool is not installed"; exit 77; }
    done
}

# check NAME STATUS EXPECTED COMMAND...: exit status, and stdout exactly.
check()
{
    name=$1 want_status=$2 want=$3
    shift 3
    test_no=$((test_no + 1))
    status=0
    timeout $LIMIT "$@" >"$TMP/out" 2>"$TMP/err" </dev/null || status=$?
    printf '%s' "$want" >"$TMP/want"
    tr -d '\r' <"$TMP/out" >"$TMP/got"
    if [ "$status" = "$want_status" ] && cmp -s "$TMP/want" "$TMP/got"; then
        echo "ok $test_no $name"
    else
        echo "not ok $test_no $name"
        echo "# $*"
        echo "# status $status, wanted $want_status; output:"
        sed 's/^/#   /' "$TMP/got" "$TMP/err"
        failed=$((failed + 1))
    fi
}

# check_err NAME PART COMMAND...: exit status 1, one line on stderr with PART;
# notes on the host ("info:") are none of them.
check_err()
{
    name=$1 part=$2
    shift 2
    test_no=$((test_no + 1))
    status=0
    timeout $LIMIT "$@" >"$TMP/out" 2>"$TMP/all" </dev/null || status=$?
    grep -v '^[^ ]*: info: ' "$TMP/all" >"$TMP/err"
    if [ "$status" = 1 ] && [ "$(wc -l <"$TMP/err")" = 1 ] &&
        grep -qF -- "$part" "$TMP/err"; then
        echo "ok $test_no $name"
    else
        echo "not ok $test_no $name"
        echo "# $*"
        echo "# status $status; wanted 1 and one line with: $part"
        sed 's/^/#   /' "$TMP/out" "$TMP/err"
        failed=$((failed + 1))
    fi
}

# The machine every test starts from: COM1 on stdout, nothing else.
rhea()
{
    echo "$RHEA -accel ${ACCEL:-tcg} -display none -monitor none -serial stdio"
}

# The engines that there are here, or the one that ACCEL names.
engines()
{
    echo "${ACCEL:-tcg}"
    [ -n "${ACCEL:-}" ] || "$RHEA" -accel help |
        sed -n 's/^\(kvm\) .*usable: yes.*/\1/p'
}

# gdb_play PID: gdb plays $TMP/commands once the emulator with that PID listens
# at $TMP/gdb; what it says is in $TMP/gdb.out.
gdb_play()
{
    until grep -q " 00010000 .* $TMP/gdb\$" /proc/net/unix || ! kill -0 "$1"; do
        sleep 0.05
    done
    timeout $LIMIT gdb -nx -batch -x "$TMP/commands" >"$TMP/gdb.out" 2>&1
}

# gdb_saw NAME TEXT [-E]: gdb said TEXT, or something that the pattern fits.
gdb_saw()
{
    test_no=$((test_no + 1))
    if grep -q ${3:--F} -- "$2" "$TMP/gdb.out"; then
        echo "ok $test_no $1"
    else
        echo "not ok $test_no $1"
        echo "# no '$2' in what gdb said:"
        sed 's/^/#   /' "$TMP/gdb.out" "$TMP/log"
        failed=$((failed + 1))
    fi
}

finish()
{
    echo "1..$test_no"
    [ "$failed" = 0 ]
}
