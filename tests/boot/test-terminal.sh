# The terminal: raw while a guest uses it, as before on every way out; Ctrl-a
# keys; the line that says how to leave.
. tests/boot/lib.sh

need python3
# ASan's handler would stand where rhea's restores the terminal.
export ASAN_OPTIONS="handle_segv=0:${ASAN_OPTIONS:-}"
cat >"$TMP/pty.py" <<'EOF'
import os, select, signal, subprocess, sys, termios, time

rhea, flat = sys.argv[1:3]
LIMIT = int(sys.argv[3])


def catches(pid, sig):
    with open('/proc/%d/status' % pid) as f:
        mask = [x.split()[1] for x in f if x.startswith('SigCgt:')][0]
    return int(mask, 16) >> (sig - 1) & 1


def session(how):
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    p = subprocess.Popen([rhea, '-nographic', '-S', '-flat', flat], stdin=slave,
                         stdout=slave, stderr=slave, start_new_session=True)
    out = b''

    def read(want):
        nonlocal out
        while want not in out and p.poll() is None:
            if select.select([master], [], [], 0.1)[0]:
                out += os.read(master, 4096)
        return want in out

    assert read(b'Ctrl-a x quits'), out
    while termios.tcgetattr(slave)[3] & termios.ICANON:
        assert p.poll() is None, out
        time.sleep(0.05)
    while not catches(p.pid, signal.SIGTERM):
        time.sleep(0.05)
    status = how(p, master, read)
    got = p.wait(LIMIT)
    assert got == status, 'status %s, not %s: %r' % (got, status, out)
    assert termios.tcgetattr(slave) == before, 'the terminal is not as before'


def key_x(p, fd, read):
    os.write(fd, b'\x01x')
    return 0


def monitor_quit(p, fd, read):
    os.write(fd, b'\x01c')
    assert read(b'(qemu) '), 'no prompt'
    os.write(fd, b'info status\r')
    assert read(b'VM status: paused (prelaunch)'), 'no answer'
    os.write(fd, b'quit\r')
    return 0


def help_then_x(p, fd, read):
    os.write(fd, b'\x01h')
    assert read(b'C-a c    switch between console and monitor'), 'no help'
    os.write(fd, b'\x01x')
    return 0


def signal_end(sig, status):
    def how(p, fd, read):
        os.kill(p.pid, sig)
        return status
    return how


CASES = [
    ('Ctrl-a x', key_x),
    ('Ctrl-a h', help_then_x),
    ('quit', monitor_quit),
    ('SIGTERM', signal_end(signal.SIGTERM, 0)),
    ('SIGINT', signal_end(signal.SIGINT, 0)),
    ('SIGHUP', signal_end(signal.SIGHUP, 0)),
    ('SIGSEGV', signal_end(signal.SIGSEGV, -signal.SIGSEGV)),
    ('SIGABRT', signal_end(signal.SIGABRT, -signal.SIGABRT)),
]
bad = 0
print('1..%d' % len(CASES))
for i, (name, how) in enumerate(CASES, 1):
    try:
        session(how)
        print('ok %d terminal: %s' % (i, name))
    except (AssertionError, subprocess.TimeoutExpired) as e:
        bad = 1
        print('not ok %d terminal: %s\n# %s' % (i, name, e))
sys.exit(bad)
EOF
python3 "$TMP/pty.py" "$RHEA" "file=$G/hi16.bin,addr=0x1000,mode=real" $LIMIT
