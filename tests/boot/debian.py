#!/usr/bin/env python3
"""Boots a Debian that lives on its disk and works with it like a person.

    tests/boot/debian.py [options] SCENE...

Scenes, each a boot of its own on a fresh overlay of build/debian/disk.qcow2
(made by tools/make-debian):

    login     the login prompt, systemd without failed units, power off, fsck
    network   DHCP, a TCP transfer both ways through hostfwd, apt-get update
    console   a login on hvc0, entropy from virtio-rng
    balloon   inflate and deflate through the monitor
    kill      kill -9 while files are written: what was synced is there
    rebind    the disk's driver is unbound and bound again, --times
    reboot    the guest reboots, --times
    snapshot  savevm, changes, loadvm with disk and network busy, --times

The machine is chosen with --disk, --transport, --smp, --machine. One line for
each scene in TAP; exit status 1 if one failed. The log of each guest's console
goes to build/debian/NAME.log.
"""
import argparse
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

PROMPT = re.compile(rb'root@rhea:~# ')
BAD = re.compile(
    rb'(?:WARNING: CPU|BUG:|Oops|Kernel panic|rcu_\w+ detected stall|'
    rb'soft lockup|hung task|I/O error|EXT4-fs error|NETDEV WATCHDOG)[^\r\n]*')


class Failed(Exception):
    """What a scene expected and did not see."""


class Console:
    """A stream of the guest: what it printed, and waiting for more."""

    def __init__(self, reader, writer, log):
        self.reader, self.writer, self.log = reader, writer, log
        self.text, self.seen, self.closed = b'', 0, False
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = os.read(self.reader, 65536)
            except OSError:
                data = b''
            with self.more:
                self.text += data
                self.closed = not data
                self.more.notify_all()
            if not data:
                return
            self.log.write(data)
            self.log.flush()

    def expect(self, pattern, seconds):
        """Waits for @pattern after what was last seen; returns the text."""
        pattern = re.compile(pattern) if isinstance(pattern, bytes) else pattern
        end = time.monotonic() + seconds
        with self.more:
            while True:
                m = pattern.search(self.text, self.seen)
                if m:
                    before = self.text[self.seen:m.start()]
                    self.seen = m.end()
                    return before
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    why = 'ended' if self.closed else 'said nothing for so long'
                    raise Failed('%s while waiting for %r; last: %r' % (
                        why, pattern.pattern, self.text[-300:]))
                self.more.wait(left)

    def send(self, text):
        os.write(self.writer, text.encode())

    def login(self, seconds):
        self.expect(rb'login: ', seconds)
        self.send('root\n')
        self.expect(PROMPT, 120)
        self.send("stty -echo cols 400; bind 'set enable-bracketed-paste off'\n")
        self.expect(PROMPT, 60)
        self.run('dmesg -n 4', 60)

    def run(self, command, seconds=120):
        """Output of @command; a status other than 0 fails the scene."""
        self.send(command + '; echo "status=$?="\n')
        out = self.expect(rb'status=(\d+)=', seconds)
        status = int(re.search(rb'status=(\d+)=$', self.text[:self.seen])[1])
        self.expect(PROMPT, 60)
        out = out.replace(b'\r', b'').decode(errors='replace').strip()
        if status:
            raise Failed('%s: status %d: %s' % (command, status, out))
        return out


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Guest:
    """One rhea process with its consoles, monitor and overlay."""

    def __init__(self, args, name):
        self.args, self.name = args, name
        self.dir = args.dir
        self.disk = os.path.join(args.dir, name + '.qcow2')
        self.qmp_path = os.path.join(args.dir, name + '.qmp')
        self.hvc_path = os.path.join(args.dir, name + '.hvc')
        self.port = free_port()
        self.proc = self.qmp = None
        self.log = open(os.path.join(args.dir, name + '.log'), 'wb')
        subprocess.run([args.img, 'create', '-q', '-f', 'qcow2', '-F', 'qcow2',
                        '-b', 'disk.qcow2', self.disk], check=True)

    def device(self, kind, props=''):
        """-device of @kind on the transport that was asked for."""
        a = self.args
        if a.machine == 'microvm':
            return ['-device', '%s-device%s' % (kind, props)]
        extra = {'modern': ',disable-legacy=on', 'transitional':
                 ',disable-legacy=off', 'legacy': ',disable-modern=on',
                 'intx': ',vectors=0'}[a.transport]
        return ['-device', '%s-pci%s%s' % (kind, extra, props)]

    def command(self):
        a = self.args
        root = '/dev/vda1'
        drive = ['-drive', 'file=%s,format=qcow2,if=none,id=disk' % self.disk]
        if a.disk == 'scsi':
            root = '/dev/sda1'
            drive += self.device('virtio-scsi') + ['-device',
                                                   'scsi-hd,drive=disk']
        else:
            drive += self.device('virtio-blk', ',drive=disk')
        cmd = [a.rhea, '-machine', a.machine, '-accel', a.accel,
               '-m', a.memory, '-smp', str(a.smp), '-nodefaults',
               '-display', 'none', '-serial', 'stdio',
               '-kernel', os.path.join(a.dir, 'vmlinuz'),
               '-initrd', os.path.join(a.dir, 'initrd.img'),
               '-append', 'root=%s console=ttyS0 %s' % (root, a.append),
               '-qmp', 'unix:%s,server=on,wait=off' % self.qmp_path]
        cmd += drive
        cmd += ['-netdev', 'user,id=net,hostfwd=tcp:127.0.0.1:%d-:7000' %
                self.port] + self.device('virtio-net', ',netdev=net')
        cmd += ['-object', 'rng-random,id=rng,filename=/dev/urandom']
        cmd += self.device('virtio-rng', ',rng=rng')
        cmd += self.device('virtio-balloon', ',id=balloon')
        cmd += ['-chardev', 'socket,id=hvc,path=%s,server=on,wait=off' %
                self.hvc_path]
        cmd += self.device('virtio-serial') + ['-device',
                                               'virtconsole,chardev=hvc']
        return cmd + a.extra

    def start(self):
        cmd = self.command()
        self.log.write((' '.join(cmd) + '\n').encode())
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        self.tty = Console(self.proc.stdout.fileno(),
                           self.proc.stdin.fileno(), self.log)
        return self

    def login(self):
        self.tty.login(self.args.timeout)
        return self.tty

    def monitor(self, command, **arguments):
        """A QMP command; returns its value."""
        if not self.qmp:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(60)
            s.connect(self.qmp_path)
            self.qmp = s.makefile('rw')
            self.qmp.readline()
            self.monitor('qmp_capabilities')
        self.qmp.write(json.dumps({'execute': command,
                                   'arguments': arguments}) + '\n')
        self.qmp.flush()
        while True:
            answer = json.loads(self.qmp.readline())
            if 'error' in answer:
                raise Failed('%s: %s' % (command, answer['error']))
            if 'return' in answer:
                return answer['return']

    def power_off(self):
        self.tty.send('systemctl poweroff\n')
        self.wait()

    def wait(self):
        try:
            status = self.proc.wait(self.args.timeout)
        except subprocess.TimeoutExpired:
            raise Failed('did not power off') from None
        if status:
            raise Failed('rhea ended with status %d' % status)

    def check(self):
        """Nothing alarming in the log; image and file system are clean."""
        bad = BAD.search(self.tty.text)
        if bad:
            raise Failed(bad[0].decode(errors='replace'))
        self.check_disk()

    def check_disk(self, repair=False):
        a = self.args
        subprocess.run([a.img, 'check', '-q', self.disk], check=True)
        # e2fsck forgets "?offset=" once it has replayed the journal.
        raw, whole = self.disk + '.raw', self.disk + '.whole'
        try:
            subprocess.run([a.img, 'convert', '-O', 'raw', self.disk, whole],
                           check=True)
            subprocess.run(['dd', 'if=' + whole, 'of=' + raw, 'bs=1M',
                            'skip=1', 'conv=sparse', 'status=none'],
                           check=True)
            how = '-fy' if repair else '-fn'
            r = subprocess.run(['e2fsck', how, raw],
                               capture_output=True, text=True, check=False)
            if r.returncode > (1 if repair else 0):
                raise Failed('e2fsck: ' + r.stdout[-500:])
        finally:
            for path in (raw, whole):
                if os.path.exists(path):
                    os.unlink(path)

    def end(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()
        self.log.close()
        for path in (self.disk, self.qmp_path, self.hvc_path):
            if os.path.exists(path) and not self.args.keep:
                os.unlink(path)


def scene_login(g):
    tty = g.login()
    failed = tty.run('systemctl is-system-running --wait || '
                     'systemctl --failed --no-legend')
    if 'failed' in failed:
        raise Failed(failed)
    tty.run('echo hello >/root/was-here && sync')
    g.power_off()
    g.check()


def send_to_guest(g, data):
    """@data through hostfwd to a program in the guest; its answer."""
    with socket.create_connection(('127.0.0.1', g.port), 60) as s:
        s.settimeout(300)
        sender = threading.Thread(target=lambda: (
            s.sendall(data), data and s.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = b''
        while True:
            piece = s.recv(1 << 16)
            if not piece:
                break
            answer += piece
        sender.join()
        return answer


def scene_network(g):
    tty = g.login()
    tty.run('for i in $(seq 60); do ip -4 -br addr show scope global | '
            'grep -q 10.0.2.15 && break; sleep 1; done; '
            'ip -4 -br addr | grep 10.0.2.15', 120)
    data = os.urandom(1 << 20) * 16
    digest = hashlib.sha256(data).hexdigest()
    tty.run('(nc -l -p 7000 >/tmp/in; sync) & sleep 1')
    send_to_guest(g, data)
    got = tty.run('wait; sha256sum </tmp/in', 300).split()
    if digest not in got:
        raise Failed('to the guest: %s instead of %s' % (got, digest))
    tty.run('(nc -N -l -p 7000 </tmp/in >/dev/null) & sleep 1')
    answer = send_to_guest(g, b'')
    if hashlib.sha256(answer).hexdigest() != digest:
        raise Failed('from the guest: %d bytes, not the same' % len(answer))
    if g.args.mirror:
        tty.run('apt-get update -qq', 600)
    g.power_off()
    g.check()


def scene_console(g):
    tty = g.login()
    s = socket.socket(socket.AF_UNIX)
    s.connect(g.hvc_path)
    hvc = Console(s.fileno(), s.fileno(), g.log)
    hvc.send('\n')
    hvc.login(120)
    if hvc.run('tty') != '/dev/hvc0':
        raise Failed('the virtio console is not hvc0')
    hvc.run('seq 1 20000 | sha256sum')
    tty.run('cat /sys/class/misc/hw_random/rng_current | grep virtio')
    tty.run('head -c 4096 /dev/hwrng | wc -c | grep 4096')
    g.power_off()
    g.check()


def scene_balloon(g):
    tty = g.login()
    for mib in (192, int(g.args.memory)):
        g.monitor('balloon', value=mib << 20)
        for _ in range(120):
            if g.monitor('query-balloon')['actual'] == mib << 20:
                break
            time.sleep(0.5)
        else:
            raise Failed('balloon never reached %d MiB' % mib)
        tty.run('free -m')
    g.power_off()
    g.check()


def scene_kill(g):
    tty = g.login()
    tty.run('for i in $(seq 20); do head -c 200000 /dev/urandom '
            '>/root/f$i; done; sha256sum /root/f* >/root/sums; sync', 300)
    tty.send('while :; do cp /root/f* /var/tmp; rm /var/tmp/f*; done\n')
    time.sleep(3)
    g.proc.send_signal(signal.SIGKILL)
    g.proc.wait()
    g.check_disk(repair=True)
    g.start()
    tty = g.login()
    tty.run('sha256sum -c --quiet /root/sums', 300)
    g.power_off()
    g.check()


def scene_rebind(g):
    tty = g.login()
    disk = '/sys/class/net/%s/device' % tty.run(
        'ls /sys/class/net | grep -v lo')
    dev = tty.run('basename $(readlink -f %s)' % disk)
    tty.run('cd /sys/bus/virtio/drivers/virtio_net')
    tty.send('PS1="root@rhea:~# "\n')
    tty.expect(PROMPT, 60)
    tty.run('for i in $(seq %d); do echo %s >unbind && echo %s >bind || exit 1;'
            ' done' % (g.args.times, dev, dev), 20 * g.args.times)
    tty.run('cd; for i in $(seq 60); do ip -4 -br addr | grep -q 10.0.2.15 && '
            'break; sleep 1; done; ip -4 -br addr | grep 10.0.2.15', 120)
    g.power_off()
    g.check()


def scene_reboot(g):
    for _ in range(g.args.times):
        tty = g.login()
        tty.send('systemctl reboot\n')
    g.login()
    g.power_off()
    g.check()


def hmp(g, line):
    """A line of the human monitor, which must not complain."""
    out = g.monitor('human-monitor-command', **{'command-line': line})
    if 'Error' in out:
        raise Failed('%s: %s' % (line, out.strip()))
    return out


def keep_busy(g, tty):
    """Disk and network work in the background."""
    tty.run('(while :; do dd if=/dev/urandom of=/var/tmp/busy bs=64k count=64 '
            'conv=fsync; done) >/dev/null 2>&1 & :')
    tty.run('(while :; do ping -q -c 20 -i 0.2 10.0.2.2; done) '
            '>/dev/null 2>&1 & :')
    tty.run('mkdir -p /run/mem /root/files; mount -t tmpfs none /run/mem')


def scene_snapshot(g):
    tty = g.login()
    keep_busy(g, tty)
    for i in range(g.args.times):
        before = tty.run('echo %d >/root/files/n; echo %d >/run/mem/n; sync; '
                         'date +%%s.%%N' % (i, i))
        hmp(g, 'stop')
        hmp(g, 'savevm a')
        hmp(g, 'cont')
        tty.run('echo wrong >/root/files/n; echo wrong >/run/mem/n; '
                'head -c 3000000 /dev/urandom >/root/files/more; sync')
        hmp(g, 'loadvm a')
        # What is typed now comes to the machine of the past.
        tty.send('\n')
        tty.expect(PROMPT, 60)
        got = tty.run('cat /root/files/n /run/mem/n; ls /root/files')
        if got.split() != [str(i), str(i), 'n']:
            raise Failed('round %d: the guest has %r' % (i, got))
        after = tty.run('date +%s.%N')
        if not 0 <= float(after) - float(before) < 30:
            raise Failed('round %d: the clock went from %s to %s' %
                         (i, before, after))
        hmp(g, 'stop')
        subprocess.run([g.args.img, 'check', '-U', '-q', g.disk], check=True)
        hmp(g, 'cont')
    tty.run('kill $(jobs -p); wait; true')
    hmp(g, 'delvm a')
    g.power_off()
    g.check()


SCENES = {name[6:]: f for name, f in sorted(globals().items())
          if name.startswith('scene_')}


def parse():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument('scenes', nargs='*', metavar='SCENE', default=['login'])
    p.add_argument('--rhea', default='build/rhea')
    p.add_argument('--img', default='build/rhea-img')
    p.add_argument('--dir', default='build/debian')
    p.add_argument('--accel', default='tcg')
    p.add_argument('--machine', default='pc', choices=['pc', 'microvm'])
    p.add_argument('--memory', default='512', help='MiB')
    p.add_argument('--smp', type=int, default=1)
    p.add_argument('--disk', default='virtio', choices=['virtio', 'scsi'])
    p.add_argument('--transport', default='transitional', choices=[
        'modern', 'transitional', 'legacy', 'intx'])
    p.add_argument('--append', default='', help='more for the kernel')
    p.add_argument('--times', type=int, default=3)
    p.add_argument('--timeout', type=int, default=600,
                   help='seconds to the login prompt')
    p.add_argument('--mirror', action='store_true', help='try apt-get')
    p.add_argument('--keep', action='store_true', help='keep the overlays')
    args, args.extra = p.parse_known_args()
    for scene in args.scenes:
        if scene not in SCENES:
            p.error('no scene %r; there are: %s' % (scene, ', '.join(SCENES)))
    return args


def main():
    args = parse()
    if not os.path.exists(os.path.join(args.dir, 'disk.qcow2')):
        print('1..0 # SKIP no %s/disk.qcow2: run tools/make-debian' % args.dir)
        return 0
    failures = 0
    print('1..%d' % len(args.scenes), flush=True)
    for n, scene in enumerate(args.scenes, 1):
        name = '%s-%s-%s-%s-%d' % (scene, args.machine, args.disk,
                                   args.transport, args.smp)
        g = Guest(args, name)
        began = time.monotonic()
        try:
            SCENES[scene](g.start())
            print('ok %d - %s (%.0f s)' % (n, name, time.monotonic() - began),
                  flush=True)
        except (Failed, subprocess.CalledProcessError, OSError) as e:
            failures += 1
            print('not ok %d - %s: %s' % (n, name, e), flush=True)
        finally:
            g.end()
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
