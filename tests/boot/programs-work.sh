#!/bin/sh
# Work for programs of the host, which prints the same wherever they run.
# test-programs.sh copies those of its first argument; "$2" is a number that the
# work depends on.
#
#   programs-work.sh DIR SEED [PROGRAM...]
cd "$1" || exit 1
seed=$2
shift 2
[ $# -gt 0 ] || set -- data gzip bzip2 xz zstd hashes ciphers sort mawk perl bc lua python

# With ONLY=DIR: there, because a guest's busybox has what the host may not.
have()
{
    command -v "${ONLY:+$ONLY/}$1" >/dev/null 2>&1
}

show() # NAME, of what comes in
{
    echo "WORK $1 $(sha256sum | cut -c1-32)"
}

# Numbers that look like noise, and text that repeats itself.
work_data()
{
    mawk -v s="$seed" 'BEGIN {
        for (i = 0; i < 60000; i++) {
            s = (s * 69069 + 12345) % 4294967296
            printf "%d %s %.6f line %d\n", s, s % 7 ? "some" : "words", s / 3, i
        }
    }' >data
    show text <data
}

packer()
{
    have "$1" || return
    "$1" "$2" -c <data >packed
    show "$1" <packed
    "$1" -dc <packed | cmp - data && echo "WORK $1 back"
}

work_gzip()
{
    packer gzip -9n
}

work_bzip2()
{
    packer bzip2 -4
}

work_xz()
{
    packer xz -2
}

work_zstd()
{
    packer zstd -5
}

# 64 MiB through one pipe into all of them.
work_hashes()
{
    have openssl || return
    for h in md5 sha1 sha256 sha512 sha3-256 blake2b512; do
        yes "seed $seed" | head -c 4194304 | openssl dgst -r -$h | show $h
    done
    yes "seed $seed" | head -c 67108864 | sha256sum | show sha256sum
}

work_ciphers()
{
    have openssl || return
    for c in aes-256-cbc aes-128-ctr chacha20 camellia-128-cbc; do
        openssl enc -$c -K "$(printf '%064d' "$seed" | cut -c1-64)" \
            -iv 0123456789abcdef0123456789abcdef -nosalt <data 2>/dev/null | show $c
    done
}

work_sort()
{
    sort -k3,3n data | show sort-n
    LC_ALL=C sort -k2 -u data | show sort-u
}

work_mawk()
{
    mawk '{ n[$2] += $1; x += sqrt($1) * sin(NR); y = y * 0.99 + log($1 + 1) }
        END { for (k in n) print k, n[k] | "sort"; close("sort")
              printf "%.12g %.12g\n", x, y }' data | show mawk
}

work_perl()
{
    have perl || return
    perl -ne '$h{$2}++ while /(\w)(\w)/g; $x = ($x * 31 + $1) % 1000003 if /^(\d+)/;
        END { print map({ "$_ $h{$_}\n" } sort keys %h), $x, "\n",
              join(",", map { sprintf "%.10g", exp(sin($_ * 0.37)) } 1..2000) }' data | show perl
}

work_bc()
{
    have bc || return
    echo "scale=200; 4*a(1) + $seed; e(1); 2^2000 % 1000007; sqrt($seed + 2)" | bc -l | show bc
}

work_lua()
{
    have lua || return
    cat >work.lua <<'END'
local s, t, out = tonumber(arg[1]), {}, {}
for i = 1, 60000 do
  s = (s * 1103515245 + 12345) % 2147483648
  t[i] = s
end
table.sort(t)
local x = 0.0
for i = 1, #t do x = x + math.sqrt(t[i]) * math.cos(i) end
for w in io.open("data"):read("*a"):gmatch("%d+%.%d") do out[#out + 1] = w:reverse() end
print(t[1], t[#t], string.format("%.12g", x), #out, out[#out])
END
    lua work.lua "$seed" | show lua
}

work_python()
{
    have python3 || return
    cat >work.py <<'END'
import hashlib, json, math, re, sys, zlib
seed = int(sys.argv[1])
data = open('data', 'rb').read()
print(hashlib.sha256(data).hexdigest(), hashlib.blake2b(data).hexdigest())
print(zlib.crc32(data), zlib.adler32(data), len(zlib.compress(data, 6)))
words = {}
for w in re.findall(rb'[a-z]+|\d+', data[:600000]):
    words[w] = words.get(w, 0) + 1
print(sorted((n, w) for w, n in words.items())[-5:])
n = pow(3, 40000 + seed, 10 ** 3000 + 9)
print(n % 10 ** 50, math.isqrt(n) % 10 ** 30)
x = [math.sin(i * 0.001 + seed) / (1 + math.exp(-i % 17)) for i in range(30000)]
print(math.fsum(x), sum(x), max(x))
s = json.dumps({'x': x[:3000], 'seed': seed, 'text': 'ä' * 100})
print(len(s), hash(tuple(json.loads(s)['x'])))
primes = bytearray([1]) * 200000
for i in range(2, 448):
    if primes[i]:
        primes[i * i::i] = bytes(len(range(i * i, len(primes), i)))
print(sum(primes), struct_check := sum(i * p for i, p in enumerate(primes)))
END
    python3 -E -S -B work.py "$seed" | show python
}

for w in "$@"; do
    "work_$w"
done
echo "WORK end"
