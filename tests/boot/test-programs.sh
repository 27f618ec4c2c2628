# Programs of the host (compressors, hashes, ciphers, interpreters) in a Linux
# guest: what they print is what they print on the host. With the translator as
# it is and with every block translated at once.
#
# ROUNDS=N plays other numbers as well. PROGRAMS="gzip lua" some of them.
. tests/boot/lib.sh

GUEST=build/guest
[ -s $GUEST/vmlinuz ] || {
    echo "no guest kernel: run tools/make-guest"
    exit 77
}
for p in mawk sha256sum cpio ldd; do
    command -v $p >/dev/null || { echo "no $p here"; exit 77; }
done
ROOT=$TMP/root
mkdir -p "$ROOT/work" "$ROOT/host/bin" "$ROOT/host/lib"

# copy FILE TO: and the libraries it wants
copy()
{
    cp -L "$1" "$2" 2>/dev/null || return 0
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
        mkdir -p "$ROOT$(dirname "$lib")"
        [ -e "$ROOT$lib" ] || cp -L "$lib" "$ROOT$lib"
    done
}

for p in sh gzip bzip2 xz zstd openssl sort mawk perl bc lua sha256sum cmp head yes cut; do
    f=$(command -v $p) && copy "$f" "$ROOT/host/bin/$p"
done
# Python: as much of its library as the work imports.
lib=$(python3 -c 'import sysconfig as s; print(s.get_paths()["stdlib"])' 2>/dev/null) && {
    copy "$(python3 -c 'import sys; print(sys.executable)')" "$ROOT/host/bin/python3"
    mkdir -p "$ROOT$lib/lib-dynload"
    cp "$lib"/*.py "$ROOT$lib/"
    for d in encodings json re collections importlib; do
        [ -d "$lib/$d" ] && cp -r "$lib/$d" "$ROOT$lib/"
    done
    for f in "$lib"/lib-dynload/*.so; do
        case ${f##*/} in
        *hashlib* | *blake2* | math* | zlib* | _json* | _struct* | _sha* | _md5* | binascii*)
            copy "$f" "$ROOT$f" ;;
        esac
    done
}
cp tests/boot/programs-work.sh "$ROOT/host/"
(cd "$ROOT" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$TMP/extra"
cat $GUEST/initrd.gz "$TMP/extra" >"$TMP/initrd"

# play NAME SEED RHEA-OPTION...
play()
{
    name=$1
    seed=$2
    shift 2
    test_no=$((test_no + 1))
    mkdir -p "$TMP/host"
    # shellcheck disable=SC2086 # words
    sh tests/boot/programs-work.sh "$TMP/host" "$seed" ${PROGRAMS:-} 2>&1 | grep WORK >"$TMP/want"
    # shellcheck disable=SC2016 # the guest's
    printf '#!/bin/sh\nexport PATH=/host/bin:$PATH ONLY=/host/bin PYTHONHOME=%s LC_ALL=C\nexec /host/bin/sh /host/programs-work.sh /work %s %s\n' \
        "${lib%/lib/*}" "$seed" "${PROGRAMS:-}" >"$ROOT/run.sh"
    chmod +x "$ROOT/run.sh"
    (cd "$ROOT" && echo ./run.sh | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$TMP/last"
    cat "$TMP/initrd" "$TMP/last" >"$TMP/all"
    timeout $LIMIT "$RHEA" "$@" -m 768 -kernel $GUEST/vmlinuz -initrd "$TMP/all" \
        -append "console=ttyS0 quiet panic=-1 rhea.exec=/run.sh" -display none \
        -serial stdio -monitor none -no-reboot </dev/null 2>"$TMP/err" |
        tr -d '\r' >"$TMP/out"
    grep WORK "$TMP/out" >"$TMP/got"
    if grep -q 'WORK end' "$TMP/got" && cmp -s "$TMP/want" "$TMP/got"; then
        echo "ok $test_no programs: $name, $(grep -c . "$TMP/got") results"
    else
        echo "not ok $test_no programs: $name"
        diff "$TMP/want" "$TMP/got" | sed 's/^/#   /'
        tail -n 20 "$TMP/out" "$TMP/err" | sed 's/^/#   /'
        failed=$((failed + 1))
    fi
}

export LC_ALL=C
i=1
while [ $i -le "${ROUNDS:-1}" ]; do
    play "$i" $i -accel tcg
    play "$i, every block translated" $((i + 1000)) -accel tcg,jit-threshold=0
    i=$((i + 1))
done
finish
