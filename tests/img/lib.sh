# Sourced by tests/img/test-*.sh, which run from the top of the tree with BUILD
# set. A script writes its session to stdout; finish() compares it with
# NAME.out beside it. BLESS=1 rewrites that file, for a person to read.
# shellcheck shell=sh

BUILD=${BUILD:-build}
TOP=$PWD
NAME=$(basename "$0" .sh)
NAME=${NAME#test-}
IMG=$TOP/$BUILD/rhea-img
IO=$TOP/$BUILD/rhea-io
[ "${BUILD#/}" = "$BUILD" ] || { IMG=$BUILD/rhea-img IO=$BUILD/rhea-io; }
[ -x "$IMG" ] && [ -x "$IO" ] || { echo "no $IMG: run make"; exit 77; }
TMP=$(mktemp -d "${TMPDIR:-/tmp}/rhea-img.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
trap 'exit 1' INT TERM HUP
export TZ=UTC
# The tools are called by QEMU's names, as scripts call them.
mkdir "$TMP/bin" "$TMP/work"
ln -s "$IMG" "$TMP/bin/qemu-img"
ln -s "$IO" "$TMP/bin/qemu-io"
QEMU_IMG=$(command -v qemu-img || true)
QEMU_IO=$(command -v qemu-io || true)
cd "$TMP/work" || exit 1
# KiB that a tool gets for a small image; one built with the address sanitizer
# does not start in that.
SMALL=500000
{ (ulimit -v $SMALL && "$IMG" --version) || SMALL=unlimited; } >"$TMP/version" 2>&1

# Sizes on the host's file system and dates differ from run to run.
steady()
{
    sed -e 's/^disk size: .*/disk size: SIZE/' \
        -e 's/"actual-size": [0-9]*/"actual-size": SIZE/' \
        -e 's/"date-sec": [0-9]*/"date-sec": N/' \
        -e 's/"date-nsec": [0-9]*/"date-nsec": N/' \
        -e 's/ [0-9-]\{10\} [0-9:]\{8\} / DATE /' \
        -e 's/; [0-9:.]* sec (.*/; TIME/' \
        -e 's/completed in [0-9.]* sec/completed in N sec/' | tr '\r' '@'
}

# Seconds, for what may hang. The runner gives up sooner and shows where it hangs.
LIMIT=${LIMIT:-1000}

# listens PID SOCKET: waits until somebody can connect; false: PID has ended.
listens()
{
    until grep -q " 00010000 .* $2\$" /proc/net/unix; do
        kill -0 "$1" 2>/dev/null || return
        sleep 0.05
    done
}

run()
{
    echo "\$ $*"
    tool=$1
    shift
    status=0
    timeout $LIMIT "$TMP/bin/$tool" "$@" >"$TMP/text" 2>&1 </dev/null || status=$?
    steady <"$TMP/text"
    [ $status = 0 ] || echo "[$status]"
}

img() { run qemu-img "$@"; }
io() { run qemu-io "$@"; }

# After "begin", all output belongs to the session.
begin() { exec 3>&1 >"$TMP/session" 2>&1; }

finish()
{
    exec >&3 2>&1
    want=$TOP/tests/img/$NAME.out
    if [ -n "${BLESS:-}" ]; then
        cp "$TMP/session" "$want"
    fi
    diff -u "$want" "$TMP/session"
}

need_qemu()
{
    [ -n "$QEMU_IMG" ] && [ -n "$QEMU_IO" ] && return
    echo "qemu-img and qemu-io are not installed"
    exit 77
}
