#!/bin/sh
# Boots the demo guest in many forms and looks for trouble in its messages.
#
#   tests/boot/linux-boot.sh [-n TIMES] [-k GUEST_DIR] [-a "RHEA OPTIONS"]...
#
# Without -a: the matrix of processors, their number and memory sizes. Each
# boot runs a command in the guest, powers off and must exit 0 in TIMEOUT (200)
# seconds. Prints one line for each boot; the messages of a bad one are kept.
set -u

BUILD=${BUILD:-build}
RHEA=${RHEA:-$BUILD/rhea}
TIMEOUT=${TIMEOUT:-200}
guest=build/guest
times=1
bad=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/rhea-linux.XXXXXX")
configs=$tmp/configs
: >"$configs"

while [ $# -gt 0 ]; do
    case $1 in
    -n) times=$2; shift ;;
    -k) guest=$2; shift ;;
    -a) echo "$2" >>"$configs"; shift ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 1 ;;
    esac
    shift
done
[ -s "$guest/vmlinuz" ] || { echo "no $guest/vmlinuz: run tools/make-guest"; exit 77; }

if [ ! -s "$configs" ]; then
    for smp in 1 2; do
        for cpu in max qemu64 Haswell,check=off; do
            echo "-m 256 -smp $smp -cpu $cpu" >>"$configs"
        done
    done
    for mem in 96M 1G 3584M 4G 8G; do
        echo "-m $mem" >>"$configs"
    done
    printf '%s\n' "-m 256 -no-hpet" "-m 256 -machine pit=off,pic=off" \
        "-m 256 -smp 4,cores=2,threads=2" >>"$configs"
fi

# What a healthy guest never says.
trouble='BUG:|WARNING:|Call Trace|rcu.*stall|soft lockup|hard LOCKUP|unstable|do_boot_cpu failed|clocksource.*skew|Kernel panic|Oops|segfault|irq .*: nobody cared|Spurious'

boot() # options
{
    # shellcheck disable=SC2086
    timeout "$TIMEOUT" "$RHEA" -accel "${ACCEL:-tcg}" $1 \
        -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -no-reboot \
        -append "console=ttyS0 panic=-1 rhea.exec=echo,result,\$((6*7)),\$(nproc)" \
        -nographic </dev/null >"$tmp/log" 2>&1
    status=$?
    if [ $status != 0 ]; then
        echo "exit status $status"
    elif ! grep -q '^result 42' "$tmp/log"; then
        echo "no result from user space"
    elif grep -qE "$trouble" "$tmp/log"; then
        grep -E "$trouble" "$tmp/log" | head -n 1
    elif ! grep -q "^result 42 $2\>" "$tmp/log"; then
        echo "$(sed -n 's/^result 42 //p' "$tmp/log") processors instead of $2"
    else
        echo ok
    fi
}

cpus_of() # options: how many processors they ask for
{
    n=$(echo "$1" | sed -n 's/.*-smp \([0-9]*\).*/\1/p')
    echo "${n:-1}"
}

while read -r config; do
    i=0
    while [ $i -lt "$times" ]; do
        i=$((i + 1))
        start=$(date +%s)
        verdict=$(boot "$config" "$(cpus_of "$config")")
        echo "$config #$i: $verdict ($(($(date +%s) - start)) s)"
        if [ "$verdict" != ok ]; then
            bad=$((bad + 1))
            mkdir -p "$BUILD/boot-logs"
            cp "$tmp/log" "$BUILD/boot-logs/$bad.log"
            echo "    messages: $BUILD/boot-logs/$bad.log"
        fi
    done
done <"$configs"
rm -rf "$tmp"
[ $bad = 0 ]
