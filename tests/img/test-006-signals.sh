# SIGINT leaves no half-made target; SIGUSR1 tells how far it is.
. tests/img/lib.sh
"$IMG" create -q -f raw a.raw 4G
"$IMG" convert -r 64M -S 0 -f raw -O raw a.raw b.raw 2>err &
pid=$!
i=0
while [ ! -s b.raw ] && [ $i -lt 100 ]; do
    sleep 0.1
    i=$((i + 1))
done
i=0
until grep -q '/100%)' err || [ $i = 100 ]; do # once it catches the signal
    grep -q '^SigCgt:.*[2367abef]..$' /proc/$pid/status && kill -USR1 $pid
    sleep 0.1
    i=$((i + 1))
done
kill -INT $pid 2>/dev/null || kill -TERM $pid
i=0
while kill -0 $pid 2>/dev/null && [ $i -lt 100 ]; do
    kill -TERM $pid 2>/dev/null
    sleep 0.1
    i=$((i + 1))
done
wait $pid
status=$?
[ $status -ne 0 ] || { echo "it succeeded"; exit 1; }
[ ! -e b.raw ] || { echo "b.raw is left (status $status)"; exit 1; }
grep -q '/100%)' err || { echo "no progress on SIGUSR1"; cat err; exit 1; }
