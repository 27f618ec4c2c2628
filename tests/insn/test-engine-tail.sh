#!/bin/sh
# The last act of a handler is a jump to the next one, not a call: else the
# stack grows with every instruction of the guest. Looks at the object code.
B=${BUILD:-build}

command -v objdump >/dev/null || { echo "no objdump here"; exit 77; }
case $B in
*/asan | */tsan | */ubsan | */coverage)
    echo "a sanitizer's build uses the trampoline"
    exit 77
    ;;
esac
bad=0
for f in interp-int interp-flow interp-simd; do
    o=$B/obj/accel/tcg/$f.o
    [ -e "$o" ] || { echo "$o is missing"; exit 1; }
    # simd_slow() calls the reference function and comes back
    calls=$(objdump -d "$o" | awk '/^[0-9a-f]+ </ { fn = $2 }
        /call[q]? +\*/ && fn !~ /slow/ { n++ } END { print n + 0 }')
    jumps=$(objdump -d "$o" | grep -cE 'jmp[q]? +\*')
    echo "$f: $jumps jumps to handlers, $calls calls"
    [ "$calls" = 0 ] && [ "$jumps" -gt 10 ] || bad=1
done
exit $bad
