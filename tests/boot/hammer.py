"""Runs tests/boot/hammer.c, a guest that writes rubbish to all it reaches, on a pc
with everything plugged in. It is reset now and then, and started again when it
stops; QMP must answer all the time, and at the end. Prints figures.

Usage: hammer.py RHEA HAMMER.ELF SECONDS [RHEA-OPTION ...]"""
import os
import shutil
import sys
import time

sys.path.insert(0, 'tests/monitor')
sys.argv, ARGS = sys.argv[:2], sys.argv[2:]
from clients import QUIET, Qmp, finish, path, start, stdio  # noqa: E402

PATIENCE = 500  # seconds
RESET_EVERY = 10


def devices():
    disks = []
    for name in 'abc':
        with open(path(name), 'wb') as f:
            f.truncate(1 << 20)
        disks += ['-drive', 'if=none,id=%s,format=raw,file=%s' %
                  (name, path(name))]
    return disks + [x for d in (
        'virtio-blk-pci,drive=a', 'virtio-blk-pci,drive=b,disable-modern=on',
        'virtio-scsi-pci,id=s', 'scsi-hd,drive=c,bus=s.0', 'virtio-net-pci',
        'virtio-serial-pci', 'virtconsole', 'virtio-rng-pci',
        'virtio-balloon-pci', 'edu', 'pci-testdev', 'pvpanic',
        'i6300esb', 'ib700') for x in ('-device', d)]


def main():
    elf, seconds, more = ARGS[0], float(ARGS[1]), ARGS[2:]
    p = start(*QUIET, '-M', 'pc', '-m', '64', '-kernel', elf,
              '-qmp', 'stdio', '-serial', 'null', '-no-shutdown', '-action',
              'watchdog=none', '-debugcon', 'file:' + path('steps'),
              *devices(), *more)
    q = Qmp(stdio(p))
    while not os.path.getsize(path('steps')):
        assert p.poll() is None, 'it did not start'
        time.sleep(0.05)
    end = time.monotonic() + seconds
    worst, n, starts, reset_at = 0, 0, 0, time.monotonic()
    while time.monotonic() < end:
        before = time.monotonic()
        status = q.ask('query-status')['status']
        worst, n = max(worst, time.monotonic() - before), n + 1
        q.events.clear()
        if status != 'running' or before > reset_at + RESET_EVERY:
            q.ask('system_reset')
            q.raw('cont')
            starts, reset_at = starts + 1, before
        if worst > PATIENCE:
            break
        time.sleep(0.2)
    steps = os.path.getsize(path('steps')) * 4096
    q.ask('quit')
    p.stdin.close()
    p.stdin = None
    text = p.stderr.read().decode(errors='replace')
    finish(p, timeout=PATIENCE)
    print('# %d steps, %d resets and starts, %d answers of QMP within %.2f s' %
          (steps, starts, n, worst))
    at = max(text.find('Sanitizer'), text.find('runtime error'), 0)
    assert worst < PATIENCE, 'QMP did not answer'
    assert not at, text[max(at - 200, 0):at + 6000]


try:
    main()
finally:
    shutil.rmtree(path(''), ignore_errors=True)
