"""Clients that nobody wants on a socket: garbage, half a word and away, a byte at
a time, floods that are never read. One process has all kinds of listening
sockets; after each client the process is as large as before (some megabytes
are allowed), its QMP answers while the client is still there, and the socket
takes the next one. TAP. Usage: hostile.py RHEA [SEED]"""
import os
import random
import shutil
import socket
import sys
import time

from clients import DIR, QUIET, Qmp, connect, finish, path, start

SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.getrandbits(32)
# ASan keeps what is freed for a while.
GROWTH = (400 if 'asan' in sys.argv[1] else 48) << 20
FLOOD = 64 << 20
PATIENCE = 200

MON = 'info registers\nhelp\ninfo mtree\n'
KINDS = {
    'qmp': b'{"execute":"qmp_capabilities"}' +
           b'{"execute":"query-commands"}' * 100,
    'hmp': MON.encode() * 100,
    'telnet': MON.encode() * 50 + b'\xff\xfb\x01\xff\xfa\x18\xff\xf0',
    'gdb': b'$qSupported#37$g#67$m0,1000#ee$?#3f+-\x03' * 100,
    'serial': b'x' * 4096,
}


class Vm:
    def __init__(self):
        opts = []
        for kind in KINDS:
            opts += ['-chardev', 'socket,id=%s,path=%s,server=on,wait=off%s' %
                     (kind, path(kind), ',telnet=on' if kind == 'telnet'
                      else '')]
        self.p = start(*QUIET, '-M', 'pc', '-m', '16', '-accel', 'tcg', *opts,
                       '-mon', 'qmp,mode=control', '-mon', 'hmp',
                       '-mon', 'telnet', '-serial', 'chardev:serial',
                       '-gdb', 'chardev:gdb', '-qmp',
                       'unix:%s,server=on,wait=off' % path('ours'))
        self.socket, line = connect(socket.AF_UNIX, path('ours'))
        self.q = Qmp(line)

    def rss(self):
        with open('/proc/%d/statm' % self.p.pid) as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE')

    def answers(self):
        start_at = time.monotonic()
        assert 'status' in self.q.ask('query-status')
        self.q.events.clear()
        took = time.monotonic() - start_at
        assert took < PATIENCE, 'QMP answered after %.1f s' % took
        return took

    def knock(self, kind):
        end = time.monotonic() + PATIENCE
        while True:
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            try:
                s.connect(path(kind))
                s.setblocking(True)
                return s
            except BlockingIOError:
                s.close()
                assert time.monotonic() < end, kind + ' takes nobody'
                time.sleep(0.01)

    def is_well(self, kind):
        """The next client is served."""
        ask, answer = {
            'qmp': (b'', b'"QMP"'),
            'hmp': (b'info status\n', b'VM status'),
            'telnet': (b'info status\n', b'VM status'),
            'gdb': (b'$?#3f', b'$T'),
            'serial': (b'', b''),
        }[kind]
        with self.knock(kind) as s:
            s.settimeout(PATIENCE)
            s.sendall(ask)
            got = b''
            while answer not in got:
                piece = s.recv(65536)
                assert piece, '%s: closed after %r' % (kind, got[-200:])
                got += piece
        self.q.raw('cont')


def garbage(vm, kind, rnd):
    with vm.knock(kind) as s:
        s.settimeout(0.2)
        for _ in range(40):
            # An HMP's "q" after a byte that ends or empties the line is "quit".
            data = rnd.randbytes(rnd.randrange(1, 4000)).replace(b'q', b'Q')
            try:
                s.send(data)
                s.recv(65536)
            except (TimeoutError, ConnectionError):
                pass
        vm.answers()


def half(vm, kind, rnd):
    words = KINDS[kind][:400]
    for i in range(60):
        s = vm.knock(kind)
        try:
            s.send(words[:rnd.randrange(len(words))])
            if i % 3 == 0:
                s.shutdown(socket.SHUT_WR)
            elif i % 3 == 1:
                s.shutdown(socket.SHUT_RD)
        except ConnectionError:
            pass
        s.close()
    vm.answers()


def slow(vm, kind, rnd):
    with vm.knock(kind) as s:
        for b in KINDS[kind][:60]:
            s.send(bytes([b]))
            vm.answers()


def flood(vm, kind, rnd):
    """Sends and sends, and never reads."""
    before, worst, sent = vm.rss(), 0, 0
    with vm.knock(kind) as s:
        s.settimeout(1)
        try:
            while sent < FLOOD:
                sent += s.send(KINDS[kind])
                if sent >> 20 != (sent - len(KINDS[kind])) >> 20:
                    worst = max(worst, vm.answers())
                    assert vm.rss() < before + GROWTH, \
                        '%d MiB more after %d bytes' % (
                            (vm.rss() - before) >> 20, sent)
        except TimeoutError:
            pass  # it is made to wait: well
        for _ in range(20):
            worst = max(worst, vm.answers())
        assert vm.rss() < before + GROWTH, \
            '%d MiB more after %d bytes' % ((vm.rss() - before) >> 20, sent)
    return '%d bytes taken, %d KiB more, QMP answers within %.2f s' % (
        sent, (vm.rss() - before) >> 10, worst)


def crowd(vm, kind, rnd):
    """More than the backlog at once; they wait, and go."""
    some = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(path(kind))
        except BlockingIOError:
            s.close()
            break
        some.append(s)
    vm.answers()
    for s in some:
        s.close()
    vm.answers()


def main():
    print('# seed %d\n1..%d' % (SEED, 5 * len(KINDS)))
    rnd = random.Random(SEED)
    n, bad = 0, 0
    vm = Vm()
    for kind in KINDS:
        for how in (garbage, half, slow, flood, crowd):
            n += 1
            try:
                text = how(vm, kind, rnd)
                vm.is_well(kind)
                if text:
                    print('# ' + text)
                print('ok %d hostile: %s, %s' % (n, kind, how.__name__))
            except (AssertionError, EOFError, OSError, KeyError,
                    ValueError) as e:
                bad = 1
                print('not ok %d hostile: %s, %s\n# %s: %s' %
                      (n, kind, how.__name__, type(e).__name__, e))
                if vm.p.poll() is None:
                    vm.p.kill()
                vm.p.wait()
                sys.stdout.write(vm.p.stderr.read().decode(errors='replace')[-5000:])
                vm = Vm()
            sys.stdout.flush()
    vm.q.ask('quit')
    try:
        finish(vm.p)
    except AssertionError as e:
        bad = 1
        print('# at the end: %s' % e)
    shutil.rmtree(DIR, ignore_errors=True)
    return bad


sys.exit(main())
