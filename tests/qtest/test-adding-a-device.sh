# The device and the test in docs/adding-a-device.md, cut out, built and run.
# The driver is built too where the headers of a kernel are (KERNEL_HEADERS).
set -eu
B=${BUILD:-build}
page=docs/adding-a-device.md
tmp=$(mktemp -d "${TMPDIR:-/tmp}/rhea-dice.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# cut FILE: what stands between "```c FILE" and "```".
cut_out()
{
    mkdir -p "$tmp/$(dirname "$1")"
    sed -n "\\|^\`\`\`c $1\$|,/^\`\`\`\$/p" $page | sed '1d;$d' >"$tmp/$1"
    [ -s "$tmp/$1" ]
}

case $B in
*/*) echo "only the plain build"; exit 77 ;; # its objects have no sanitizer
esac
cut_out hw/misc/dice.c
cut_out tests/qtest/test-dice.c
cut_out dice/dice_drv.c
make -s --no-print-directory -f - "B=$B" "T=$tmp" <<'M'
include build/config.mk
all:
	@$(CC) -std=gnu11 -O1 -Wall -Wextra -Wshadow -Wmissing-prototypes -Werror \
	    -Wno-unused-parameter -fwrapv -fno-strict-aliasing -pthread -I. -Ibuild \
	    $(DEP_CFLAGS) -o $T/test-dice $T/hw/misc/dice.c $T/tests/qtest/test-dice.c \
	    $B/librhea.a $(DEP_LIBS) -lm -pthread -lutil
M
"$tmp/test-dice" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
grep -q '^ok 3' "$tmp/log"
if [ -n "${KERNEL_HEADERS:-}" ]; then
    echo 'obj-m += dice_drv.o' >"$tmp/dice/Kbuild"
    make -s -C "$KERNEL_HEADERS" M="$tmp/dice" modules
fi
