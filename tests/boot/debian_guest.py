"""A Debian on its disk under rhea: its consoles, its monitor, its end.

tests/boot/debian.py plays the scenes on it.
"""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

PROMPT = re.compile(rb'root@rhea:~# ')
# What a healthy guest never says.
BAD = re.compile(
    rb'(?:WARNING: CPU|BUG:|Oops|Kernel panic|rcu\S* \S*detected|'
    rb'soft lockup|hung_task|blocked for more than|I/O error|EXT4-fs error|'
    rb'NETDEV WATCHDOG|Buffer I/O|nobody cared|clocksource.*unstable|'
    rb'segfault|general protection|timed out waiting for device|'
    rb'Call Trace|critical target error)[^\r\n]*')


class Failed(Exception):
    """What a scene expected and did not see."""


class Skipped(Exception):
    """What a scene needs and this host, machine or transport has not."""


class Console:
    """A stream of the guest: what it printed, and waiting for more."""

    def __init__(self, reader, writer, log, slow=1):
        self.reader, self.writer, self.log = reader, writer, log
        self.slow = slow # every wait is so many times longer
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
            if not data or self.log.closed:
                return
            self.log.write(data)
            self.log.flush()

    def expect(self, pattern, seconds):
        """Waits for @pattern after what was last seen; returns the text."""
        pattern = re.compile(pattern) if isinstance(pattern, bytes) else pattern
        end = time.monotonic() + seconds * self.slow
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

    def until(self, command, seconds=60):
        """Repeats @command in the guest until it succeeds; its last output."""
        return self.run('for i in $(seq %d); do (%s) >/run/until 2>&1 && break; '
                        'sleep 0.5; done; cat /run/until; %s >/dev/null' %
                        (seconds * 2, command, command), seconds * 3)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def serve():
    """A server on this host that gives a megabyte to everybody; its port."""
    listener = socket.create_server(('127.0.0.1', 0))
    data = os.urandom(1 << 20)

    def give(s):
        with s:
            try:
                s.sendall(data)
            except OSError:
                pass # a guest of the past

    def accept():
        while True:
            threading.Thread(target=give, args=(listener.accept()[0],),
                             daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


class Guest:
    """One rhea process with its consoles, monitor and overlays."""

    def __init__(self, args, name):
        self.args, self.name = args, name
        self.dir = args.dir
        self.disk = os.path.join(args.dir, name + '.qcow2')
        self.others = [os.path.join(args.dir, name + n)
                       for n in ('-blk.qcow2', '-scsi.qcow2')]
        self.port = free_port()
        # The path of a socket has room for a hundred characters only.
        self.qmp_path = os.path.join(args.dir, '%d.qmp' % self.port)
        self.hvc_path = os.path.join(args.dir, '%d.hvc' % self.port)
        self.proc = self.qmp = self.tty = None
        self.began = time.monotonic()
        self.said = b'' # by the boots before this one
        self.log = open(os.path.join(args.dir, name + '.log'), 'wb')
        subprocess.run([args.img, 'create', '-q', '-f', 'qcow2', '-F', 'qcow2',
                        '-b', 'disk.qcow2', self.disk], check=True)
        for disk in self.others:
            subprocess.run([args.img, 'create', '-q', '-f', 'qcow2', disk,
                            '64M'], check=True)

    def device(self, kind, props=''):
        """-device of @kind on the transport that was asked for."""
        a = self.args
        if a.machine == 'microvm':
            return ['-device', '%s-device%s' % (kind, props)]
        extra = {'modern': ',disable-legacy=on', 'transitional':
                 ',disable-legacy=off', 'legacy': ',disable-modern=on',
                 'intx': ',vectors=0'}[a.transport]
        return ['-device', '%s-pci%s%s' % (kind, extra, props)]

    def disks(self):
        """The root disk as --disk says, and small ones to play with."""
        cmd = []
        for name, path in zip(('disk', 'blk', 'lun'),
                              [self.disk] + self.others):
            cmd += ['-drive', 'file=%s,format=qcow2,if=none,id=%s' % (path,
                                                                     name)]
        blk = self.device('virtio-blk', ',drive=blk,serial=blk')
        scsi = self.device('virtio-scsi')
        if self.args.disk == 'virtio':
            return cmd + self.device('virtio-blk', ',drive=disk') + blk + scsi \
                + ['-device', 'scsi-hd,drive=lun']
        # Alone on its bus: Linux names what it finds first sda.
        return cmd + scsi + ['-device', 'scsi-hd,drive=disk'] + blk

    def command(self, more=()):
        a = self.args
        root = '/dev/vda1' if a.disk == 'virtio' else '/dev/sda1'
        # A busy host: timers are late, no service is given up, and less is
        # printed.
        patient = ' no_timer_check loglevel=6 systemd.show_status=0' \
            ' systemd.default_timeout_start_sec=1800' \
            ' systemd.mask=e2scrub_reap.service' if a.slow > 1 else ''
        cmd = [a.rhea, '-machine', a.machine, '-accel', a.accel,
               '-m', a.memory, '-smp', str(a.smp), '-nodefaults',
               '-display', 'none', '-serial', 'stdio',
               '-rtc', 'clock=vm', # or it shows the host's time after loadvm
               '-kernel', os.path.join(a.dir, 'vmlinuz'),
               '-initrd', os.path.join(a.dir, 'initrd.img'),
               '-append', 'root=%s console=ttyS0 %s%s' % (
                   root, a.append, patient),
               '-qmp', 'unix:%s,server=on,wait=off' % self.qmp_path]
        if a.machine == 'microvm' and a.transport != 'legacy':
            cmd += ['-global', 'virtio-mmio.force-legacy=off']
        cmd += self.disks()
        cmd += ['-netdev', 'user,id=net,hostfwd=tcp:127.0.0.1:%d-:7000' %
                self.port] + self.device('virtio-net', ',netdev=net')
        cmd += ['-object', 'rng-random,id=rng,filename=/dev/urandom']
        cmd += self.device('virtio-rng', ',rng=rng')
        cmd += self.device('virtio-balloon', ',id=balloon')
        cmd += ['-chardev', 'socket,id=hvc,path=%s,server=on,wait=off' %
                self.hvc_path]
        cmd += self.device('virtio-serial') + ['-device',
                                               'virtconsole,chardev=hvc']
        return cmd + list(more) + a.extra

    def start(self, *more):
        """A new process on the same disks; @more options for this one."""
        cmd = self.command(more)
        self.log.write((' '.join(cmd) + '\n').encode())
        self.qmp = None
        if self.tty:
            self.said += self.tty.text
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        self.tty = Console(self.proc.stdout.fileno(),
                           self.proc.stdin.fileno(), self.log,
                           self.args.slow)
        return self

    def note(self, text):
        """A line in the log, with the time since the start."""
        self.log.write(b'\n[%.0f s] %s\n' % (time.monotonic() - self.began,
                                            text.encode()))
        self.log.flush()

    def login(self):
        self.tty.login(self.args.timeout)
        return self.tty

    def monitor(self, command, **arguments):
        """A QMP command; returns its value."""
        if not self.qmp:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(120)
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

    def hmp(self, line):
        """A line of the human monitor, which must not complain."""
        out = self.monitor('human-monitor-command', **{'command-line': line})
        if 'Error' in out:
            raise Failed('%s: %s' % (line, out.strip()))
        return out

    def kill(self):
        """kill -9, as when the host's memory is short."""
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def power_off(self):
        self.tty.run('dmesg | tail -n 400')
        self.tty.send('systemctl poweroff\n')
        self.wait()

    def wait(self):
        try:
            status = self.proc.wait(self.args.timeout * self.args.slow)
        except subprocess.TimeoutExpired:
            raise Failed('did not power off') from None
        if status:
            raise Failed('rhea ended with status %d' % status)

    def check(self):
        """Nothing alarming in the log; image and file system are clean."""
        bad = BAD.search(self.said + self.tty.text)
        if bad:
            raise Failed(bad[0].decode(errors='replace'))
        self.check_disk()

    def check_image(self, *options):
        for disk in [self.disk] + self.others:
            r = subprocess.run([self.args.img, 'check', *options, disk],
                               capture_output=True, text=True, check=False)
            if r.returncode:
                raise Failed('%s check: status %d: %s' % (
                    self.args.img, r.returncode, (r.stdout + r.stderr)[-500:]))

    def check_disk(self, repair=False):
        a = self.args
        self.check_image()
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
            self.kill()
        self.log.close()
        for path in self.others + [self.disk, self.qmp_path, self.hvc_path]:
            if os.path.exists(path) and not self.args.keep:
                os.unlink(path)
