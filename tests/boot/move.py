#!/usr/bin/env python3
"""Moves a Linux guest that works between the engines, to and fro.

  tests/boot/move.py RHEA WORK TMP MOVES ENGINE ENGINE

WORK is tests/boot/move-work.c, static. The guest runs it; after every few
lines the machine is stopped and sent to a file, and the next engine goes on
with that. The lines must be those that WORK prints here.
"""
import json
import os
import re
import socket
import subprocess
import sys
import time

GUEST = 'build/guest'
LIMIT = 500  # seconds, for what may hang
COMPLAINTS = re.compile(r'BUG:|WARNING:|Oops|Call Trace|segfault|lockup|'
                        r'Kernel panic|rcu.*stall|went back')


class Machine:
    def __init__(self, rhea, engine, tmp, n, initrd, extra):
        self.log, path = '%s/serial%d' % (tmp, n), '%s/qmp%d' % (tmp, n)
        self.p = subprocess.Popen(
            [rhea, '-accel', engine, '-m', '128', '-kernel', GUEST + '/vmlinuz',
             '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1 '
             'rhea.exec=/work,100', '-no-reboot', '-display', 'none',
             '-monitor', 'none', '-serial', 'file:' + self.log, '-qmp',
             'unix:%s,server=on,wait=off' % path] + extra,
            stdin=subprocess.DEVNULL, stderr=open('%s/err%d' % (tmp, n), 'w'))
        self.s = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.s.connect(path)
                break
            except OSError:
                if self.p.poll() is not None:
                    raise
                time.sleep(0.05)
        self.f = self.s.makefile('rw')
        self.f.readline()
        self.ask('qmp_capabilities')

    def ask(self, command, **args):
        self.f.write(json.dumps({'execute': command, 'arguments': args}) + '\n')
        self.f.flush()
        while True:
            r = json.loads(self.f.readline())
            if 'error' in r:
                raise RuntimeError('%s: %s' % (command, r['error']['desc']))
            if 'return' in r:
                return r['return']

    def text(self):
        with open(self.log, 'rb') as f:
            return f.read().decode('latin1').replace('\r', '')

    def lines(self):
        return re.findall(r'^sum .*\n', self.text(), re.M)

    def until(self, enough, seconds):
        end = time.monotonic() + seconds
        while not enough():
            if time.monotonic() > end or self.p.poll() is not None:
                return False
            time.sleep(0.02)
        return True


def main():
    rhea, work, tmp, moves, engines = (sys.argv[1], sys.argv[2], sys.argv[3],
                                       int(sys.argv[4]), sys.argv[5:])
    want = subprocess.run([work], stdout=subprocess.PIPE, check=True,
                          universal_newlines=True).stdout.splitlines(True)
    os.makedirs(tmp + '/fs', exist_ok=True)
    subprocess.run(['cp', work, tmp + '/fs/work'], check=True)
    extra = subprocess.run('echo work | cpio -o -H newc -R 0:0 --quiet | gzip -1',
                           shell=True, cwd=tmp + '/fs', check=True,
                           stdout=subprocess.PIPE).stdout
    with open(GUEST + '/initrd.gz', 'rb') as f, open(tmp + '/initrd', 'wb') as o:
        o.write(f.read() + extra)
    got, text, options = [], '', []
    step = len(want) // (moves + 1)
    for n in range(moves + 1):
        m = Machine(rhea, engines[n % len(engines)], tmp, n, tmp + '/initrd',
                    options)
        try:
            if n:
                m.until(lambda: m.ask('query-status')['status'] != 'inmigrate', LIMIT)
                m.ask('cont')
            if n == moves:
                if not m.until(lambda: 'sum end\n' in m.lines(), LIMIT):
                    raise RuntimeError('no end under %s' % engines[n % 2])
            else:
                if not m.until(lambda: len(m.lines()) >= step, LIMIT):
                    raise RuntimeError('nothing more under %s: %r' %
                                       (engines[n % 2], m.text()[-300:]))
                m.ask('stop')
                state = '%s/state%d' % (tmp, n)
                m.ask('migrate', uri='file:' + state)
                m.until(lambda: m.ask('query-migrate')['status'] == 'completed', LIMIT)
                options = ['-incoming', 'file:' + state]
            text += m.text()
        finally:
            try:
                m.ask('quit')
            except (OSError, ValueError, RuntimeError):
                pass
            try:
                m.p.wait(LIMIT)
            except subprocess.TimeoutExpired:
                m.p.kill()
            if n > 1:
                os.unlink('%s/state%d' % (tmp, n - 2))
    got = re.findall(r'^sum .*\n', text, re.M)
    bad = COMPLAINTS.findall(text)
    if bad:
        sys.exit('the guest complains: %s\n%s' % (bad, text[-2000:]))
    if got != want:
        for n, line in enumerate(want):
            if n >= len(got) or got[n] != line:
                sys.exit('line %d: wanted %r, got %r' %
                         (n, line, got[n] if n < len(got) else None))
        sys.exit('more lines than wanted: %r' % got[len(want):])
    print('%d lines, %d moves' % (len(got), moves))


if __name__ == '__main__':
    main()
