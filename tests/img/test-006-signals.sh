# SIGINT leaves no half-made target; SIGUSR1 tells how far it is.
. tests/img/lib.sh
"$IMG" create -q -f raw a.raw 4G
# An hour and more, unless it is ended.
"$IMG" convert -r 1M -S 0 -f raw -O raw a.raw b.raw 2>err &
pid=$!
while [ ! -s b.raw ] && kill -0 $pid; do
    sleep 0.1
done
until grep -q '/100%)' err || ! kill -0 $pid; do # once it catches the signal
    grep -q '^SigCgt:.*[2367abef]..$' /proc/$pid/status && kill -USR1 $pid
    sleep 0.1
done
kill -INT $pid
wait $pid
status=$?
[ $status -ne 0 ] || { echo "it succeeded"; exit 1; }
[ ! -e b.raw ] || { echo "b.raw is left (status $status)"; exit 1; }
grep -q '/100%)' err || { echo "no progress on SIGUSR1"; cat err; exit 1; }
