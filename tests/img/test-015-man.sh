# The manual pages have every command and option that the programs print, and
# roff finds nothing wrong with them.
. tests/img/lib.sh
BIN=$(dirname "$IMG")
for p in rhea rhea-img rhea-io; do
    [ -x "$BIN/$p" ] || { echo "no $p"; exit 77; }
    "$TOP/tools/make-man" "$BIN" $p >$p.1 || exit 1
done
"$BIN/rhea" -help | sed -n 's/^-\([^ ]*\).*/\1/p' | sed 's/-/\\-/g' |
    while read -r o; do
        grep -qF ".B \\-$o" rhea.1 || { echo "rhea.1: no -$o"; exit 1; }
    done || exit 1
for c in amend bench bitmap check commit compare convert create dd info map \
    measure snapshot rebase resize; do
    grep -q "^\.B $c\$" rhea-img.1 || { echo "rhea-img.1: no $c"; exit 1; }
done
for c in read write aio_read discard map quit; do
    grep -q "^\.B $c\b" rhea-io.1 || { echo "rhea-io.1: no $c"; exit 1; }
done
grep -q 'cluster_size=<size>' rhea-img.1 || { echo "no create options"; exit 1; }
if command -v groff >/dev/null; then
    for p in rhea rhea-img rhea-io; do
        groff -man -Tascii -ww $p.1 >/dev/null 2>warnings
        [ ! -s warnings ] || { cat warnings; exit 1; }
    done
fi
