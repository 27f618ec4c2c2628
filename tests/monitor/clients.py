"""What people drive monitors with, against a real process: a QMP client in
Python over every kind of line, pollers, probes, libvirt's questions, expect on
-monitor stdio. TAP. Usage: clients.py RHEA"""
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

RHEA = sys.argv[1] if len(sys.argv) > 1 else 'build/rhea'
DIR = tempfile.mkdtemp(prefix='rhea-monitor.')
LIMIT = 500  # seconds, for what may hang
QUIET = ['-display', 'none', '-nodefaults']


class Line:
    """A byte stream with a time limit."""

    def __init__(self, rfd, wfd):
        self.rfd, self.wfd, self.buf = rfd, wfd, b''

    def write(self, data):
        os.write(self.wfd, data if isinstance(data, bytes) else data.encode())

    def more(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.rfd], [], [], left)[0]:
            raise AssertionError('nothing came; so far: %r' % self.buf[-300:])
        data = os.read(self.rfd, 65536)
        if not data:
            raise EOFError('closed; so far: %r' % self.buf[-300:])
        self.buf += data

    def until(self, mark, timeout=LIMIT):
        end = time.monotonic() + timeout
        while mark not in self.buf:
            self.more(end)
        head, _, self.buf = self.buf.partition(mark)
        return head

    def expect(self, text):
        return self.until(text.encode())


class Qmp:
    """The client everybody writes."""

    def __init__(self, line, negotiate=True):
        self.line, self.events = line, []
        self.greeting = self.read()
        assert self.greeting['QMP']['version']['qemu']['major'] == 7
        if negotiate:
            self.ask('qmp_capabilities')

    def read(self):
        return json.loads(self.line.until(b'\r\n'))

    def reply(self):
        while True:
            o = self.read()
            if 'event' not in o:
                return o
            self.events.append(o)

    def raw(self, command, **args):
        return self.burst((command, args))[0]

    def burst(self, *requests):
        """In one write: what goes on meanwhile does not get far."""
        text = ''
        for command, args in requests:
            q = {'execute': command}
            if args:
                q['arguments'] = {k.replace('_', '-'): v
                                  for k, v in args.items()}
            text += json.dumps(q) + '\r\n'
        self.line.write(text)
        return [self.reply() for _ in requests]

    def ask(self, command, **args):
        o = self.raw(command, **args)
        assert 'return' in o, '%s: %s' % (command, o)
        return o['return']

    def event(self, name):
        while True:
            for e in self.events:
                if e['event'] == name:
                    self.events.remove(e)
                    return e
            o = self.read()
            assert 'event' in o, o
            self.events.append(o)


STARTED = []


def start(*args, program=RHEA, **kw):
    p = subprocess.Popen([program] + list(args), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    STARTED.append(p)
    return p


def kill_all():
    """What a case that failed has left."""
    for p in STARTED:
        if p.poll() is None:
            p.kill()
            p.wait()
    STARTED.clear()


def stdio(p):
    return Line(p.stdout.fileno(), p.stdin.fileno())


def connect(family, addr):
    end = time.monotonic() + LIMIT
    while True:
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.connect(addr)
            return s, Line(s.fileno(), s.fileno())
        except OSError:
            s.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def finish(p, status=0, timeout=LIMIT):
    try:
        got = p.wait(timeout)
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    err = p.stderr.read().decode() if p.stderr else ''
    for f in (p.stdin, p.stdout, p.stderr):
        if f:
            f.close()
    assert got == status, 'status %s: %s' % (got, err)


def path(name):
    return os.path.join(DIR, name)


# ---- the cases ---------------------------------------------------------------

def probe():
    """An image builder asks for KVM."""
    p = start('-display', 'none', '-machine', 'none,accel=kvm:tcg', '-qmp',
              'stdio', '-S')
    q = Qmp(stdio(p))
    kvm = q.ask('query-kvm')
    assert isinstance(kvm['enabled'], bool) and 'present' in kvm
    q.ask('quit')
    finish(p)


def probe_without_waiting():
    """The same in one write, as shell scripts do."""
    p = start('-display', 'none', '-machine', 'none,accel=kvm:tcg', '-qmp',
              'stdio', '-S')
    out, _ = p.communicate(b'{"execute":"qmp_capabilities"}'
                           b'{"execute":"query-kvm"}{"execute":"quit"}', LIMIT)
    lines = [json.loads(x) for x in out.split(b'\r\n') if x]
    assert any('enabled' in (x.get('return') or {}) for x in lines), lines
    assert p.returncode == 0


def last_words():
    """More than a pipe holds, then quit: all of it comes."""
    p = start(*QUIET, '-M', 'none', '-qmp', 'stdio', '-S')
    p.stdin.write(b'{"execute":"qmp_capabilities"}'
                  b'{"execute":"query-qmp-schema"}{"execute":"quit"}')
    p.stdin.flush()
    time.sleep(0.3)
    out, _ = p.communicate(None, LIMIT)
    lines = [json.loads(x) for x in out.split(b'\r\n') if x]
    assert any(len(x.get('return') or []) > 200 for x in lines)
    assert lines[-1].get('event') == 'SHUTDOWN', lines[-1]
    assert p.returncode == 0


def unix_client():
    sock = path('q')
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp',
              'unix:%s,server=on,wait=off' % sock)
    s, line = connect(socket.AF_UNIX, sock)
    q = Qmp(line)
    q.ask('cont')
    q.event('RESUME')
    for _ in range(200):
        assert q.ask('query-status')['status'] == 'running'
    q.ask('stop')
    assert q.ask('query-status') == {'status': 'paused', 'running': False,
                                     'singlestep': False}
    s.close()
    s, line = connect(socket.AF_UNIX, sock)  # another client, from the start
    q = Qmp(line, negotiate=False)
    assert q.raw('stop')['error']['class'] == 'CommandNotFound'
    q.ask('qmp_capabilities')
    q.ask('quit')
    assert q.event('SHUTDOWN')['data'] == {'guest': False,
                                           'reason': 'host-qmp-quit'}
    s.close()
    finish(p)


def tcp_and_telnet():
    p = start(*QUIET, '-M', 'none', '-qmp', 'stdio',
              '-chardev', 'socket,id=q,host=127.0.0.1,port=0,server,nowait',
              '-mon', 'q,mode=control', '-chardev',
              'socket,id=t,host=127.0.0.1,port=0,server,nowait,telnet=on',
              '-mon', 't')
    where = {c['label']: c['filename'].split(',')[0].split(':')
             for c in Qmp(stdio(p)).ask('query-chardev')}
    assert where['q'][:2] == ['tcp', '127.0.0.1'], where
    assert where['t'][:2] == ['telnet', '127.0.0.1'], where
    port, tport = int(where['q'][2]), int(where['t'][2])
    s, line = connect(socket.AF_INET, ('127.0.0.1', port))
    q = Qmp(line)
    t, tline = connect(socket.AF_INET, ('127.0.0.1', tport))
    tline.expect('(qemu) ')
    tline.write('stop\r\n')
    tline.expect('(qemu) ')
    q.event('STOP')
    tline.write('quit\r\n')
    assert q.event('SHUTDOWN')['data']['reason'] == 'host-qmp-quit'
    finish(p)
    s.close()
    t.close()


def on_a_pty():
    p = start(*QUIET, '-M', 'none', '-qmp', 'stdio', '-chardev', 'pty,id=p',
              '-mon', 'chardev=p,mode=control,pretty=on,id=second')
    q = Qmp(stdio(p))
    where = [c['filename'] for c in q.ask('query-chardev')
             if c['label'] == 'p'][0]
    fd = os.open(where.split(':')[1], os.O_RDWR | os.O_NOCTTY)
    line = Line(fd, fd)
    line.write('{"execute":"qmp_capabilities"}')
    line.write('{"execute":"query-status"}')
    line.expect('    "return": {\r\n        "status": ')
    q.ask('quit')
    finish(p)
    os.close(fd)


def many_at_once():
    args, lines = [], []
    for i in range(6):
        args += ['-qmp', 'unix:%s,server,nowait' % path('many%d' % i)]
    args += ['-monitor', 'unix:%s,server,nowait' % path('hmp')]
    p = start(*QUIET, '-M', 'none', *args)
    for i in range(6):
        s, line = connect(socket.AF_UNIX, path('many%d' % i))
        lines.append((s, Qmp(line)))
    s, hmp = connect(socket.AF_UNIX, path('hmp'))
    hmp.expect("monitor - type 'help' for more information")
    hmp.expect('(qemu) ')
    hmp.write('stop\n')
    hmp.expect('(qemu) ')
    for _, q in lines:
        q.event('STOP')
        q.ask('query-status')
    os.kill(p.pid, signal.SIGTERM)
    for sock, q in lines:
        assert q.event('SHUTDOWN')['data']['reason'] == 'host-signal'
        sock.close()
    s.close()
    finish(p)


def hmp_person():
    """A person at -monitor stdio, on a terminal."""
    master, slave = pty.openpty()
    p = subprocess.Popen([RHEA, '-M', 'pc', '-m', '16', '-display', 'none',
                          '-serial', 'none', '-S', '-monitor', 'stdio'],
                         stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    line = Line(master, master)
    line.expect('(qemu) ')
    for typed, answer in [('info status', 'VM status: paused (prelaunch)'),
                          ('cont', '(qemu) '),
                          ('info statu\t', 'VM status: running'),
                          ('nosuch', "unknown command: 'nosuch'"),
                          ('xp/2xw 0', '0000000000000000: 0x'),
                          ('print 1+2*3', '0x7')]:
        line.write(typed + '\r')
        line.expect(answer)
    line.write('quit\r')
    finish(p)
    os.close(master)


def expect_script():
    if not shutil.which('expect'):
        return 'expect is not installed'
    script = '''
        set timeout 500
        spawn %s -display none -nodefaults -M pc -m 16 -S -monitor stdio
        expect "(qemu) " { send "info status\\r" } timeout { exit 2 }
        expect "VM status: paused (prelaunch)" {} timeout { exit 3 }
        expect "(qemu) " { send "info registers\\r" } timeout { exit 4 }
        expect -re {EIP=[0-9a-f]+} {} timeout { exit 5 }
        expect "(qemu) " { send "quit\\r" } timeout { exit 6 }
        expect eof
        exit [lindex [wait] 3]
    ''' % RHEA
    p = subprocess.run(['expect', '-c', script], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=LIMIT)
    assert p.returncode == 0, p.stdout
    return None


def hmp_by_pipe():
    """echo ... | rhea -monitor stdio"""
    p = start(*QUIET, '-M', 'none', '-monitor', 'stdio')
    out, _ = p.communicate(b'info version\nquit\n', LIMIT)
    assert b'7.2.0' in out and p.returncode == 0, out


LIBVIRT_TYPES = [
    'virtio-blk-pci', 'virtio-net-pci', 'virtio-scsi-pci', 'virtio-rng-pci',
    'virtio-balloon-pci', 'virtio-serial-pci', 'scsi-hd', 'scsi-cd', 'ide-hd',
    'isa-serial', 'isa-debugcon', 'intel-iommu', 'usb-storage', 'VGA',
    'nvme', 'pcie-root-port', 'vhost-user-fs-device', 'isa-debug-exit',
]


def libvirt():
    """What libvirt 9 asks an emulator that it has not seen before."""
    sock, pid = path('capabilities.monitor'), path('capabilities.pid')
    p = start('-S', '-no-user-config', '-nodefaults', '-nographic',
              '-machine', 'none,accel=kvm:tcg', '-qmp',
              'unix:%s,server=on,wait=off' % sock, '-pidfile', pid,
              '-daemonize')
    finish(p)
    with open(pid, encoding='ascii') as f:
        daemon = int(f.read())
    try:
        s, line = connect(socket.AF_UNIX, sock)
        libvirt_asks(Qmp(line))
        s.close()
        while os.path.exists(pid):
            time.sleep(0.05)
    finally:
        if os.path.exists(pid):
            os.kill(daemon, signal.SIGKILL)


def libvirt_asks(q):
    version = q.ask('query-version')['qemu']
    assert (version['major'], version['minor']) >= (4, 2)
    assert q.ask('query-target')['arch'] == 'x86_64'
    commands = {c['name'] for c in q.ask('query-commands')}
    types = {t['name'] for t in q.ask('qom-list-types')}
    assert 'tcg-accel' in types
    assert 'isa-debug-exit' in types and 'max-x86_64-cpu' in types
    schema = {e['name']: e for e in q.ask('query-qmp-schema')}
    for c in commands:
        assert schema[c]['meta-type'] == 'command', c
    assert schema['SHUTDOWN']['meta-type'] == 'event'
    q.ask('query-kvm')
    for t in LIBVIRT_TYPES:
        o = q.raw('device-list-properties', typename=t)
        if t in types:
            assert all('name' in x and 'type' in x for x in o['return']), o
        else:
            assert o['error']['class'] == 'DeviceNotFound', o
    machines = q.ask('query-machines')
    default = [m for m in machines if m.get('is-default')]
    assert len(default) == 1 and default[0]['cpu-max'] >= 1
    for m in machines:
        q.ask('qom-list-properties', typename=m['name'] + '-machine')
    definitions = q.ask('query-cpu-definitions')
    for d in definitions:
        assert d['typename'].endswith('-x86_64-cpu')
    assert {'max', 'host', 'base', 'qemu64'} <= {d['name']
                                                 for d in definitions}
    assert isinstance(q.ask('query-tpm-models'), list)
    assert isinstance(q.ask('query-tpm-types'), list)
    options = {o['option'] for o in q.ask('query-command-line-options')}
    assert {'machine', 'smp', 'drive', 'chardev'} <= options
    q.ask('query-migrate-capabilities')
    o = q.ask('query-cpu-model-expansion', type='static',
              model={'name': 'max'})
    assert o['model']['props']['lm'] is True
    o = q.ask('query-cpu-model-expansion', type='full', model=o['model'])
    assert o['model']['props']['lm'] is True
    for absent in ('query-gic-capabilities', 'query-sev-capabilities',
                   'query-sgx-capabilities'):
        o = q.raw(absent)
        assert o['error']['class'] in ('CommandNotFound', 'GenericError')
    q.ask('quit')


def nothing_unexplained():
    """What QEMU has and we have not: a line that says why."""
    if not shutil.which('qemu-system-x86_64'):
        return 'qemu-system-x86_64 is not installed'

    def commands(program):
        p = start(*QUIET, '-M', 'none', '-S', '-qmp', 'stdio', program=program)
        q = Qmp(stdio(p))
        return p, q, {c['name'] for c in q.ask('query-commands')}

    def hmp(q, line):
        return q.ask('human-monitor-command', command_line=line)

    qemu, theirs, all_theirs = commands('qemu-system-x86_64')
    p, ours, all_ours = commands(RHEA)
    for name in sorted(all_theirs - all_ours):
        desc = ours.raw(name)['error']['desc']
        assert not desc.endswith('has not been found'), name
    lines = hmp(theirs, 'help').splitlines()
    words = [l.split()[0].split('|')[0] for l in lines
             if ' -- ' in l and l[0].isalpha()]
    words += ['info ' + l.split()[1]
              for l in hmp(theirs, 'help info').splitlines()
              if l.startswith('info ')]
    assert len(words) > 150, len(words)
    for word in words:
        assert 'unknown command' not in hmp(ours, 'help ' + word), word
    theirs.ask('quit')
    ours.ask('quit')
    finish(qemu)
    finish(p)
    return None


def migrate_to_passed_fd():
    """What libvirt's "save" does."""
    sock, image = path('passed'), path('passed.image')
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp',
              'unix:%s,server,nowait' % sock)
    s, line = connect(socket.AF_UNIX, sock)
    q = Qmp(line)
    with open(image, 'wb') as f:
        socket.send_fds(s, [b'{"execute":"getfd","arguments":'
                            b'{"fdname":"migrate"}}\r\n'], [f.fileno()])
        assert 'return' in q.reply()
    q.ask('migrate', uri='fd:migrate')
    while q.ask('query-migrate')['status'] == 'active':
        time.sleep(0.01)
    assert q.ask('query-migrate')['status'] == 'completed'
    q.ask('quit')
    s.close()
    finish(p)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio',
              '-incoming', 'file:' + image)
    q = Qmp(stdio(p))
    while q.ask('query-status')['status'] == 'inmigrate':
        time.sleep(0.01)
    assert q.ask('query-status')['status'] == 'paused'
    q.ask('quit')
    finish(p)


def trays():
    """Discs are changed by hand; the tray is open meanwhile."""
    one, two = path('one.iso'), path('two.iso')
    for name in one, two:
        with open(name, 'wb') as f:
            f.truncate(1 << 20)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio',
              '-blockdev', 'driver=raw,node-name=n2,read-only=on,'
              'file.driver=file,file.filename=' + two,
              '-device', 'virtio-scsi-pci', '-drive',
              'if=none,id=cd0,media=cdrom,file=' + one,
              '-device', 'scsi-cd,drive=cd0,id=c')
    q = Qmp(stdio(p))

    def cd():
        return [b for b in q.ask('query-block') if b['device'] == 'cd0'][0]

    assert not cd()['tray_open'] and not cd()['locked']
    assert q.raw('blockdev-remove-medium', id='c')['error']['desc'] == \
        "Tray of device 'cd0' is not open"
    q.ask('blockdev-open-tray', id='c')
    e = q.event('DEVICE_TRAY_MOVED')['data']
    assert e == {'device': 'cd0', 'id': 'c', 'tray-open': True}, e
    assert cd()['tray_open'] and cd()['inserted']['image']['filename'] == one
    q.ask('blockdev-remove-medium', id='c')
    assert 'inserted' not in cd()
    q.ask('blockdev-insert-medium', id='c', node_name='n2')
    assert cd()['tray_open'] and cd()['inserted']['node-name'] == 'n2'
    q.ask('blockdev-close-tray', id='c')
    assert not q.event('DEVICE_TRAY_MOVED')['data']['tray-open']
    assert not cd()['tray_open']
    q.ask('eject', device='cd0')
    assert cd()['tray_open'] and 'inserted' not in cd()
    q.ask('quit')
    finish(p)


def socat():
    """The one-liner of many scripts."""
    if not shutil.which('socat'):
        return 'socat is not installed'
    sock = path('socat')
    p = start(*QUIET, '-M', 'none', '-S', '-monitor',
              'unix:%s,server,nowait' % sock)
    s, _ = connect(socket.AF_UNIX, sock)
    s.close()
    got = subprocess.run(['socat', '-', 'UNIX-CONNECT:' + sock],
                         input=b'info status\n', check=True, timeout=LIMIT,
                         stdout=subprocess.PIPE).stdout
    assert b'VM status: paused (prelaunch)' in got, got
    subprocess.run(['socat', '-', 'UNIX-CONNECT:' + sock], input=b'quit\n',
                   check=False, timeout=LIMIT, stdout=subprocess.PIPE)
    finish(p)
    return None


def disks():
    """Nodes come, grow and go while the machine stands."""
    img = path('disk.raw')
    with open(img, 'wb') as f:
        f.truncate(1 << 20)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio', '-drive',
              'if=none,id=cd0,media=cdrom')
    q = Qmp(stdio(p))
    q.ask('blockdev-add', driver='raw', node_name='n0',
          file={'driver': 'file', 'filename': img, 'node-name': 'f0'})
    nodes = {n['node-name']: n for n in q.ask('query-named-block-nodes')}
    assert nodes['n0']['image']['virtual-size'] == 1 << 20
    assert nodes['n0']['drv'] == 'raw' and nodes['f0']['drv'] == 'file'
    q.ask('block_resize', **{'node_name': 'n0', 'size': 2 << 20})
    assert os.stat(img).st_size == 2 << 20
    text = q.ask('human-monitor-command', command_line='info block -n n0')
    assert text.startswith('n0: ' + img + ' (raw)'), text
    text = q.ask('human-monitor-command', command_line='info block -n -v n0')
    assert '\r\nImages:\r\nimage: ' + img + '\r\nfile format: raw\r\n' \
        'virtual size: 2 MiB (2097152 bytes)\r\n' in text, text
    assert q.raw('blockdev-del', node_name='f0')['error']
    q.ask('blockdev-del', node_name='n0')
    assert not q.ask('query-named-block-nodes')
    o = q.ask('query-block')
    assert o[0]['device'] == 'cd0' and o[0]['tray_open'] and o[0]['removable']
    q.ask('blockdev-change-medium', device='cd0', filename=img)
    assert q.ask('query-block')[0]['inserted']['image']['filename'] == img
    text = q.ask('human-monitor-command', command_line='info block')
    assert text.startswith('cd0 (#block'), text
    q.ask('eject', device='cd0')
    assert 'inserted' not in q.ask('query-block')[0]
    assert q.ask('query-blockstats')[0]['stats']['rd_bytes'] == 0
    text = q.ask('human-monitor-command', command_line='info block')
    assert text.startswith('cd0: [not inserted]'), text
    q.ask('quit')
    finish(p)


def img(*args):
    tool = os.path.join(os.path.dirname(RHEA), 'rhea-img')
    return subprocess.run([tool] + list(args), check=True,
                          stdout=subprocess.PIPE).stdout.decode()


def fill(name, seed):
    """A raw file with something in it."""
    with open(name, 'wb') as f:
        f.truncate(4 << 20)
        for i in range(0, 4 << 20, 256 << 10):
            f.seek(i)
            f.write(bytes([seed + i // (256 << 10)]) * 5000)


def inserted(q):
    return q.ask('query-block')[0]['inserted']


def job_states(q, job):
    """Up to the end, and what was the end."""
    states, end = [], None
    while not states or states[-1] not in ('concluded', 'null'):
        e = q.events.pop(0) if q.events else q.read()
        if e['event'] == 'JOB_STATUS_CHANGE' and e['data']['id'] == job:
            states.append(e['data']['status'])
        elif e['event'].startswith('BLOCK_JOB_') and \
                e['data']['device'] == job:
            if e['event'] == 'BLOCK_JOB_READY':
                q.ask('block-job-complete', device=job)
            else:
                end = e
    return states, end


def start_with_disk(name):
    """A machine whose disk d0 is NAME.qcow2, made of NAME.raw."""
    raw, base = path(name + '.raw'), path(name + '.qcow2')
    fill(raw, 1)
    img('convert', '-O', 'qcow2', raw, base)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio', '-drive',
              'if=none,id=d0,file=' + base)
    return p, Qmp(stdio(p)), raw, base


def disk_jobs():
    """Overlays, commits, backups, mirrors, streams; all or nothing."""
    p, q, raw, base = start_with_disk('j')
    over = path('over.qcow2')
    o = q.raw('transaction', actions=[
        {'type': 'block-dirty-bitmap-add', 'data': {'node': 'd0',
                                                    'name': 'b0'}},
        {'type': 'blockdev-snapshot-sync',
         'data': {'device': 'd0', 'snapshot-file': over}},
        {'type': 'blockdev-snapshot-internal-sync',
         'data': {'device': 'd0', 'name': 's0'}},
        {'type': 'abort', 'data': {}}])
    assert o['error']['desc'] == 'Transaction aborted using Abort action', o
    assert inserted(q)['file'] == base and not inserted(q)['ro']
    assert 'snapshots' not in inserted(q)['image']
    assert q.raw('block-dirty-bitmap-remove', node='d0', name='b0')['error']
    o = q.raw('transaction', actions=[
        {'type': 'block-dirty-bitmap-add',
         'data': {'node': 'd0', 'name': 'b', 'x': 1}}])
    assert o['error']['desc'] == \
        "Parameter 'actions[0].data.x' is unexpected", o
    q.ask('blockdev-snapshot-internal-sync', device='d0', name='s1')
    assert inserted(q)['image']['snapshots'][0]['name'] == 's1'
    o = q.ask('blockdev-snapshot-delete-internal-sync', device='d0', name='s1')
    assert o['name'] == 's1'

    q.ask('blockdev-snapshot-sync', device='d0', snapshot_file=over,
          snapshot_node_name='o1')
    i = inserted(q)
    assert i['file'] == over and i['backing_file_depth'] == 1, i
    assert i['node-name'] == 'o1' and i['backing_file'] == base
    q.ask('block-commit', job_id='c0', device='d0')
    states, end = job_states(q, 'c0')
    assert end['event'] == 'BLOCK_JOB_COMPLETED' and 'error' not in end['data']
    assert states == ['created', 'running', 'ready', 'waiting', 'pending',
                      'concluded'], states
    assert inserted(q)['file'] == base, inserted(q)

    q.ask('drive-backup', job_id='b', device='d0', target=path('back.qcow2'),
          sync='full', **{'auto_dismiss': False})
    states, end = job_states(q, 'b')
    assert end['event'] == 'BLOCK_JOB_COMPLETED' and 'error' not in end['data']
    jobs = q.ask('query-jobs')
    assert jobs[0]['status'] == 'concluded' and jobs[0]['type'] == 'backup'
    assert q.raw('job-pause', id='b')['error']['desc'] == \
        "Job 'b' in state 'concluded' cannot accept command verb 'pause'"
    q.ask('job-dismiss', id='b')
    assert q.ask('query-jobs') == []
    assert 'identical' in img('compare', raw, path('back.qcow2'))

    q.ask('drive-mirror', device='d0', target=path('mirror.qcow2'),
          sync='full')
    states, end = job_states(q, 'd0')
    assert end['event'] == 'BLOCK_JOB_COMPLETED', end
    assert inserted(q)['file'] == path('mirror.qcow2')
    q.ask('blockdev-snapshot-sync', device='d0',
          snapshot_file=path('over2.qcow2'))
    q.ask('block-stream', job_id='s', device='d0')
    states, end = job_states(q, 's')
    assert end['data']['type'] == 'stream' and 'error' not in end['data']
    assert inserted(q)['backing_file_depth'] == 0
    assert q.raw('block-job-cancel', device='x')['error'] == {
        'class': 'DeviceNotActive', 'desc': "Block job 'x' not found"}
    assert q.raw('job-cancel', id='x')['error']['desc'] == 'Job not found'
    hmp = lambda text: q.ask('human-monitor-command', command_line=text)
    assert hmp('info block-jobs') == 'No active jobs\r\n'
    assert hmp('snapshot_blkdev d0 ' + path('over3.qcow2')) == ''
    assert 'over3.qcow2' in hmp('info block d0')
    assert hmp('commit d0') == ''
    assert hmp('block_job_cancel x').startswith('Error: Block job')
    q.ask('quit')
    finish(p)
    assert 'identical' in img('compare', raw, path('over2.qcow2'))
    img('check', path('over2.qcow2'))
    img('check', base)


def jobs_by_hand():
    """auto-finalize=false: chains change when somebody says so, or never."""
    p, q, raw, base = start_with_disk('h')
    over = path('hover.qcow2')
    hand = {'auto_finalize': False, 'auto_dismiss': False}
    q.ask('blockdev-snapshot-sync', device='d0', snapshot_file=over)
    for verb, left in (('job-cancel', over), ('job-finalize', over),
                       ('block-job-finalize', over)):
        q.ask('block-stream', job_id='s', device='d0', **hand)
        e = q.event('BLOCK_JOB_PENDING')
        assert e['data'] == {'type': 'stream', 'id': 's'}, e
        j = q.ask('query-block-jobs')[0]
        assert j['status'] == 'pending' and not j['auto-finalize'] and \
            not j['auto-dismiss'], j
        o = q.raw('job-pause', id='s')
        assert o['error']['desc'] == \
            "Job 's' in state 'pending' cannot accept command verb 'pause'", o
        assert 'error' in q.raw('job-dismiss', id='s')
        depth = inserted(q)['backing_file_depth']
        assert depth == (0 if verb == 'block-job-finalize' else 1), depth
        q.ask(verb, id='s')
        if verb == 'job-cancel':
            assert q.event('BLOCK_JOB_CANCELLED')['data']['type'] == 'stream'
        else:
            e = q.event('BLOCK_JOB_COMPLETED')
            assert 'error' not in e['data'], e
        o = q.raw(verb, id='s')
        assert "in state 'concluded' cannot accept" in o['error']['desc'], o
        q.ask('job-dismiss', id='s')
        assert inserted(q)['file'] == left
    assert inserted(q)['backing_file_depth'] == 0
    q.events.clear()
    q.ask('drive-mirror', job_id='m', device='d0', target=path('hm.qcow2'),
          sync='full', auto_finalize=False)
    q.event('BLOCK_JOB_READY')
    q.ask('block-job-complete', device='m')
    q.event('BLOCK_JOB_PENDING')
    assert inserted(q)['file'] == over
    q.ask('job-finalize', id='m')
    assert 'error' not in q.event('BLOCK_JOB_COMPLETED')['data']
    assert inserted(q)['file'] == path('hm.qcow2')
    states = [e['data']['status'] for e in q.events
              if e['event'] == 'JOB_STATUS_CHANGE']
    assert states[:5] == ['created', 'running', 'ready', 'waiting',
                          'pending'], states
    q.ask('blockdev-snapshot-sync', device='d0',
          snapshot_file=path('hover2.qcow2'))
    q.ask('block-stream', job_id='left', device='d0', **hand)
    q.event('BLOCK_JOB_PENDING')
    q.ask('quit') # with one that waits
    finish(p)
    assert 'identical' in img('compare', raw, path('hover2.qcow2'))
    img('check', path('hover2.qcow2'))


def created(q, job, **options):
    q.ask('blockdev-create', job_id=job,
          options={k.replace('_', '-'): v for k, v in options.items()})
    while True:
        e = q.event('JOB_STATUS_CHANGE')
        if e['data'] == {'status': 'concluded', 'id': job}:
            break
    j = q.ask('query-jobs')[0]
    assert j['type'] == 'create' and j['status'] == 'concluded', j
    q.ask('job-dismiss', id=job)
    return j.get('error')


def new_images():
    """blockdev-create, as libvirt uses it: a file, then a format in it."""
    fill(path('ni.raw'), 4)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio')
    q = Qmp(stdio(p))
    cases = [
        ('qcow2', {'version': 'v3', 'cluster_size': 65536,
                   'lazy_refcounts': True}),
        ('qcow2', {'version': 'v2', 'backing_file': path('ni.raw'),
                   'backing_fmt': 'raw'}),
        ('qcow2', {'preallocation': 'metadata', 'extended_l2': True}),
        ('vmdk', {}), ('vdi', {'preallocation': 'metadata'}), ('vpc', {}),
        ('vhdx', {'log_size': 1 << 20}), ('parallels', {})]
    for i, (fmt, options) in enumerate(cases):
        name = path('ni%d' % i)
        assert created(q, 'f', driver='file', filename=name, size=0) is None
        q.ask('blockdev-add', driver='file', node_name='p', filename=name)
        err = created(q, 'c', driver=fmt, file='p', size=4 << 20, **options)
        assert err is None, (fmt, options, err)
        q.ask('blockdev-add', driver=fmt, node_name='n', file='p')
        o = q.raw('blockdev-create', job_id='x', options={
            'driver': fmt, 'file': 'p', 'size': 1 << 20})
        assert o['error']['desc'] == "Node 'p' is in use", o
        q.ask('blockdev-del', node_name='n')
        q.ask('blockdev-del', node_name='p')
        info = json.loads(img('info', '--output=json', '-f', fmt, name))
        assert info['virtual-size'] == 4 << 20 or fmt == 'vpc', info
        if fmt not in ('vpc', ):
            img('check', '-f', fmt, name)
    info = json.loads(img('info', '--output=json', path('ni1')))
    assert info['backing-filename'] == path('ni.raw') and \
        info['format-specific']['data']['compat'] == '0.10', info
    assert 'identical' in img('compare', '-F', 'raw', path('ni1'),
                              path('ni.raw'))
    err = created(q, 'f', driver='file', filename='/nosuch/x', size=1)
    assert 'No such file' in err, err
    for options, why in (
            ({'driver': 'raw', 'size': 1}, 'does not support'),
            ({'driver': 'qcow2', 'size': 1}, "'options.file' is missing"),
            ({'driver': 'file', 'size': 1}, "'options.filename' is missing"),
            ({'driver': 'file', 'filename': 'x'}, "'options.size' is missing"),
            ({'driver': 'qcow2', 'size': 1, 'file': 'zz'}, "node-name='zz'")):
        o = q.raw('blockdev-create', job_id='x', options=options)
        assert why in o['error']['desc'], o
    q.ask('quit')
    finish(p)


def shared_limits():
    """throttling.group: one set of limits for two disks; copy-on-read=on."""
    fill(path('sl.raw'), 1)
    img('create', '-f', 'qcow2', '-F', 'raw', '-b', path('sl.raw'),
        path('sl.qcow2'))
    limits = 'throttling.group=g,throttling.iops-total='
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio',
              '-drive', 'if=none,id=d0,driver=null-co,' + limits + '100',
              '-drive', 'if=none,id=d1,driver=null-co,throttling.group=g',
              '-drive', 'if=none,id=d2,copy-on-read=on,file=' +
              path('sl.qcow2'))
    q = Qmp(stdio(p))
    iops = lambda: [b['inserted']['iops'] for b in q.ask('query-block')]
    assert iops() == [100, 100, 0], iops()
    q.ask('human-monitor-command',
          command_line='block_set_io_throttle d1 0 0 0 50 0 0')
    assert iops() == [50, 50, 0], iops()
    q.ask('human-monitor-command', command_line='drive_del d0')
    assert iops() == [50, 0], iops()
    q.ask('blockdev-snapshot-sync', device='d2',
          snapshot_file=path('sl2.qcow2'))
    q.ask('quit')
    finish(p)
    p = subprocess.run([RHEA, *QUIET, '-M', 'none', '-S', '-monitor', 'stdio',
                        '-drive', 'if=none,copy-on-read=on,readonly=on,file=' +
                        path('sl.qcow2')], input=b'quit\n',
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b'disabling copy-on-read on read-only drive' in p.stderr, p


def unplug_with_job():
    """A disk that is being copied is pulled: the job goes on without it."""
    fill(path('uj.raw'), 4)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio',
              '-device', 'virtio-scsi-pci,id=sc', '-blockdev',
              'raw,node-name=n,file.driver=file,file.filename=' +
              path('uj.raw'))
    q = Qmp(stdio(p))
    for end in ('job-cancel', 'finish', 'quit'):
        q.ask('device_add', driver='scsi-hd', drive='n', id='d')
        q.ask('drive-backup', job_id='b', device='n', target=path('uj.out'),
              format='raw', sync='full', speed=1 if end != 'finish' else 65536)
        q.ask('device_del', id='d')
        q.event('DEVICE_DELETED')
        assert q.ask('query-block-jobs')[0]['device'] == 'b'
        if end == 'job-cancel':
            q.ask(end, id='b')
            q.event('BLOCK_JOB_CANCELLED')
        elif end == 'finish':
            q.ask('block-job-set-speed', device='b', speed=0)
            assert 'error' not in q.event('BLOCK_JOB_COMPLETED')['data']
            assert 'identical' in img('compare', '-f', 'raw', '-F', 'raw',
                                      '-U', path('uj.raw'), path('uj.out'))
    q.ask('quit')
    finish(p)


def job_errors():
    """A target that is full for a moment: the job waits for who resumes it."""
    raw, copy = path('e.raw'), path('e-copy.raw')
    fill(raw, 3)
    with open(raw, 'rb') as f:
        size = f.seek(0, 2)
    with open(copy, 'wb') as f:
        f.truncate(size)
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio', '-drive',
              'if=none,format=raw,id=d0,file=' + raw)
    q = Qmp(stdio(p))
    q.ask('blockdev-add', driver='raw', node_name='t',
          file={'driver': 'blkdebug',
                'image': {'driver': 'file', 'filename': copy},
                'inject-error': [{'event': 'write_aio', 'errno': 28,
                                  'once': True}]})
    q.ask('blockdev-mirror', job_id='m', device='d0', target='t', sync='full',
          on_target_error='enospc', copy_mode='write-blocking')
    error = paused = None
    while not (error and paused):
        e = q.events.pop(0) if q.events else q.read()
        if e['event'] == 'BLOCK_JOB_ERROR':
            error = e['data']
        elif e['event'] == 'JOB_STATUS_CHANGE':
            paused = e['data']['status'] == 'paused'
    assert error == {'device': 'm', 'operation': 'write', 'action': 'stop'}
    job = q.ask('query-block-jobs')[0]
    assert job['io-status'] == 'nospace' and job['paused'], job
    q.ask('block-job-resume', device='m')
    states, end = job_states(q, 'm')
    assert end['event'] == 'BLOCK_JOB_COMPLETED' and 'error' not in end['data']
    assert 'ready' in states, states
    q.ask('quit')
    finish(p)
    assert 'identical' in img('compare', '-f', 'raw', '-F', 'raw', raw, copy)


def snapshot_jobs():
    """The machine's snapshots through QMP."""
    disk = path('snap.qcow2')
    img('create', '-f', 'qcow2', disk, '16M')
    p = start(*QUIET, '-M', 'pc', '-m', '16', '-S', '-qmp', 'stdio', '-drive',
              'if=none,id=d0,node-name=n0,file=' + disk)
    q = Qmp(stdio(p))
    for i, (command, args) in enumerate([
            ('snapshot-save', {'tag': 'a', 'vmstate': 'n0'}),
            ('snapshot-load', {'tag': 'a', 'vmstate': 'n0'}),
            ('snapshot-delete', {'tag': 'a'})]):
        job = 'j%d' % i
        q.ask(command, job_id=job, devices=['n0'], **args)
        states, _ = job_states(q, job)
        assert states[-1] == 'concluded', states
        o = q.ask('query-jobs')[0]
        assert o['type'] == command and 'error' not in o, o
        q.ask('job-dismiss', id=job)
    q.ask('snapshot-load', job_id='bad', tag='nosuch', vmstate='n0',
          devices=['n0'])
    states, _ = job_states(q, 'bad')
    assert 'aborting' in states
    assert q.ask('query-jobs')[0]['error']
    assert q.raw('snapshot-save', job_id='bad', tag='x', vmstate='n0',
                 devices=['n0'])['error']['desc'] == \
        "Job ID 'bad' already in use"
    q.ask('quit')
    finish(p)


def snapshot_in_background():
    """QMP answers while a snapshot of some size is written and read; what must
    wait is refused, and a job can be broken off."""
    disk, ram = path('big.qcow2'), path('ram')
    img('create', '-f', 'qcow2', disk, '16M')
    with open(ram, 'wb') as f:
        f.write(os.urandom(1 << 20) * 96)
    p = start(*QUIET, '-M', 'pc', '-m', '128', '-S', '-qmp', 'stdio', '-drive',
              'if=none,id=d0,node-name=n0,file=' + disk, '-device',
              'loader,addr=0x1000000,force-raw=on,file=' + ram)
    q = Qmp(stdio(p))

    def look(job):
        """Until it is concluded: what query-jobs says on the way."""
        seen = []
        while not seen or seen[-1]['status'] != 'concluded':
            seen.append([j for j in q.ask('query-jobs') if j['id'] == job][0])
        return seen

    def hmp(text):
        return q.ask('human-monitor-command', command_line=text)

    def hmp_request(text):
        return 'human-monitor-command', {'command_line': text}

    disk_of = {'vmstate': 'n0', 'devices': ['n0']}
    started, cont, *old, resize, dismiss = q.burst(
        ('snapshot-save', {'job_id': 's', 'tag': 'a', **disk_of}),
        ('cont', {}), hmp_request('savevm b'), hmp_request('loadvm a'),
        hmp_request('delvm a'),
        ('block_resize', {'device': 'd0', 'size': 32 << 20}),
        ('job-dismiss', {'id': 's'}))
    assert 'return' in started, started
    assert cont['error']['desc'] == \
        'a snapshot is being saved: wait until that is over'
    for o in old:
        assert 'a snapshot is being saved' in o['return'], o
    assert 'is being saved' in resize['error']['desc']
    assert dismiss['error']['desc'] == \
        "Job 's' in state 'running' cannot accept command verb 'dismiss'"
    seen = look('s')
    steps = {j['current-progress'] for j in seen}
    assert seen[-1]['current-progress'] == seen[-1]['total-progress'], seen[-1]
    assert len(steps) > 2, seen
    assert 'error' not in seen[-1], seen[-1]
    for o in q.burst(('snapshot-save', {'job_id': 'c', 'tag': 'c', **disk_of}),
                     ('job-cancel', {'id': 'c'})):
        assert 'return' in o, o
    assert 'canceled' in look('c')[-1]['error'].lower(), look('c')
    listed = hmp('info snapshots')
    assert ' a ' in listed and ' c ' not in listed, listed
    o, jobs = q.burst(('snapshot-load', {'job_id': 'l', 'tag': 'a', **disk_of}),
                      ('query-jobs', {}))
    assert 'return' in o, o
    assert [j['status'] for j in jobs['return'] if j['id'] == 'l'] == \
        ['running'], jobs
    seen = look('l')
    assert 'error' not in seen[-1], seen
    q.ask('snapshot-delete', job_id='d', tag='a', devices=['n0'])
    assert 'error' not in look('d')[-1]
    q.ask('snapshot-save', job_id='e', tag='e', vmstate='n0', devices=['n0'])
    q.ask('quit')  # in the middle
    finish(p)
    img('check', disk)


def migrate_in_background():
    """info migrate moves; a client can give it up."""
    ram = path('ram2')
    with open(ram, 'wb') as f:
        f.write(os.urandom(1 << 20) * 64)
    p = start(*QUIET, '-M', 'pc', '-m', '96', '-S', '-qmp', 'stdio', '-device',
              'loader,addr=0x1000000,force-raw=on,file=' + ram)
    q = Qmp(stdio(p))
    rate = 1 << 20
    q.ask('migrate-set-parameters', **{'max-bandwidth': rate})
    began = time.monotonic()
    q.ask('migrate', uri='exec:cat >/dev/null')
    o = q.ask('query-migrate')
    assert o['status'] == 'active', o
    assert q.raw('cont')['error']['desc'] == \
        'the machine is being sent: wait until that is over'
    later = o['ram']
    while not o['ram']['transferred'] < later['transferred'] > rate:
        time.sleep(0.05)
        later = q.ask('query-migrate')['ram']
        assert 0 < later['remaining'] <= o['ram']['total'], later
    assert later['transferred'] < rate * (time.monotonic() - began + 20), later
    q.ask('migrate_cancel')
    while q.ask('query-migrate')['status'] == 'active':
        time.sleep(0.05)
    assert q.ask('query-migrate')['status'] == 'cancelled'
    fifo = path('fifo')
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    q.ask('migrate', uri='file:' + fifo)  # nobody reads
    q.ask('migrate_cancel')
    while q.ask('query-migrate')['status'] == 'active':
        time.sleep(0.05)
    os.close(end)
    q.ask('migrate-set-parameters', **{'max-bandwidth': 0})
    assert q.raw('migrate', uri='fd:nosuch')['error']['desc'] == \
        "File descriptor named 'nosuch' not found"
    q.events.clear()
    q.ask('migrate', uri='file:' + path('image'))
    assert q.event('MIGRATION_PASS')['data'] == {'pass': 1}
    while q.ask('query-migrate')['status'] == 'active':
        time.sleep(0.01)
    o = q.ask('query-migrate')
    assert o['status'] == 'completed' and o['ram']['remaining'] == 0, o
    assert q.ask('query-status')['status'] == 'postmigrate'
    q.ask('quit')
    finish(p)


def no_keyboard():
    """Keys and clicks where nothing takes them."""
    p = start(*QUIET, '-M', 'none', '-S', '-monitor', 'stdio')
    line = stdio(p)
    for command in ('sendkey a', 'mouse_button 1', 'mouse_move 1 1'):
        line.expect('(qemu) ')
        line.write(command + '\n')
        line.expect('Error: ')
    line.write('quit\n')
    finish(p)


CASES = [probe, no_keyboard, probe_without_waiting, last_words, unix_client,
         tcp_and_telnet, on_a_pty,
         many_at_once, hmp_person, expect_script, hmp_by_pipe, libvirt, socat,
         trays, disks, disk_jobs, jobs_by_hand, new_images, shared_limits, unplug_with_job, job_errors, snapshot_jobs,
         snapshot_in_background, migrate_in_background, migrate_to_passed_fd,
         nothing_unexplained]


def main():
    bad = 0
    print('1..%d' % len(CASES))
    for i, case in enumerate(CASES, 1):
        name = case.__name__.replace('_', '-')
        try:
            skip = case()
            print('ok %d clients: %s%s' % (i, name,
                                           ' # SKIP ' + skip if skip else ''))
        except (AssertionError, EOFError, OSError, KeyError, ValueError,
                subprocess.TimeoutExpired) as e:
            bad = 1
            print('not ok %d clients: %s\n# %s: %s' %
                  (i, name, type(e).__name__, str(e).replace('\n', '\n# ')))
        kill_all()
        sys.stdout.flush()
    shutil.rmtree(DIR, ignore_errors=True)
    return bad


if __name__ == '__main__':
    sys.exit(main())
