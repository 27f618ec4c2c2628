"""device_add and device_del with the distribution's kernel: disks, a CD-ROM
drive, a network card, an entropy source, whole SCSI boards and serial ports come
and go while it runs. Then a snapshot of the machine as it has become loads into
a machine that is started that way. TAP. Usage: hotplug.py RHEA [ACCEL]"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

RHEA = sys.argv[1]
ACCEL = sys.argv[2] if len(sys.argv) > 2 else 'tcg'
DIR = tempfile.mkdtemp(prefix='rhea-hotplug.')
LIMIT = 500  # seconds, for what may hang
MODULES = 'virtio_blk virtio_net virtio_scsi sd_mod sr_mod virtio-rng virtio_console'


def path(name):
    return os.path.join(DIR, name)


def connect(name):
    end = time.monotonic() + LIMIT
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path(name))
            return s
        except OSError:
            s.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Stream:
    def __init__(self, name):
        self.s, self.buf = connect(name), b''

    def until(self, mark, limit=LIMIT):
        end = time.monotonic() + limit
        while mark not in self.buf:
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.s.recv(65536)
            except TimeoutError:
                data = b''
            if not data:
                raise AssertionError('no %r in %r' % (mark, self.buf[-600:]))
            self.buf += data
        head, _, self.buf = self.buf.partition(mark)
        return head.decode(errors='replace')


class Vm:
    """A machine with a shell on its serial line."""

    def __init__(self, *args, boot=True):
        for name in ('qmp', 'ser'):
            if os.path.exists(path(name)):
                os.unlink(path(name))
        self.p = subprocess.Popen(
            [RHEA, '-accel', ACCEL, '-m', '256', '-smp', '2', '-nodefaults',
             '-display', 'none', '-no-reboot',
             '-chardev', 'socket,id=s,path=%s,server=on,wait=off' % path('ser'),
             '-serial', 'chardev:s',
             '-qmp', 'unix:%s,server=on,wait=off' % path('qmp'),
             '-kernel', 'build/guest/vmlinuz',
             '-initrd', 'build/guest/initrd-virtio.gz',
             '-append', 'console=ttyS0 panic=-1 loglevel=5'] + list(args))
        self.q, self.ser, self.events = Stream('qmp'), Stream('ser'), []
        self.q.until(b'\r\n')
        self.ask('qmp_capabilities')
        self.n = 0
        if boot:
            self.ser.until(b'rhea# ')
            # Without line editing, which throws away what comes too early.
            self.ser.s.sendall(b"stty -echo; echo he''re; while read -r l; do "
                               b'eval "$l"; done\n')
            self.ser.until(b'here')
            self.sh('modprobe -a ' + MODULES)

    def raw(self, command, **args):
        q = {'execute': command, 'arguments':
             {k.replace('_', '-') if k != 'num_queues' else k: v
              for k, v in args.items()}}
        self.q.s.sendall(json.dumps(q).encode())
        while True:
            o = json.loads(self.q.until(b'\r\n'))
            if 'event' not in o:
                return o
            self.events.append(o)

    def ask(self, command, **args):
        o = self.raw(command, **args)
        assert 'return' in o, '%s: %s' % (command, o)
        return o['return']

    def deleted(self, dev, limit=LIMIT):
        """A path, or an id, which comes as well then."""
        end = time.monotonic() + limit
        where = dev if dev[0] == '/' else '/machine/peripheral/' + dev
        while True:
            for e in self.events:
                if e['event'] == 'DEVICE_DELETED' and \
                        e['data']['path'] == where:
                    assert e['data'].get('device', where) == dev
                    self.events.remove(e)
                    return
            o = json.loads(self.q.until(b'\r\n', end - time.monotonic()))
            self.events.append(o)

    def delete(self, dev):
        self.ask('device_del', id=dev)
        self.deleted(dev)
        assert 'error' in self.raw('device_del', id=dev)

    def sh(self, command):
        """What the guest prints for it."""
        self.n += 1
        mark = 'done-%d-%s' % (self.n, 'x')
        self.ser.s.sendall(("%s\necho done-%d-''x\n" % (command, self.n)).encode())
        return self.ser.until(mark.encode())

    def wait(self, what, there=True):
        out = self.sh('i=0; while [ $i -lt 1000 ]; do [ -e %s ] %s break; '
                      'sleep 0.2; i=$((i+1)); done; [ -e %s ] && echo it-is || '
                      'echo it-is-not' % (what, '&&' if there else '||', what))
        assert ('it-is-not' in out) != there, out

    def sum(self, dev):
        return self.sh('md5sum </dev/%s' % dev).split('  -')[0].split()[-1]

    def end(self):
        self.ask('quit')
        self.p.wait(LIMIT)

    def kill(self):
        self.p.kill()
        self.p.wait()


def disk(name, mib, fmt='raw'):
    if fmt == 'raw':
        with open(path(name), 'wb') as f:
            f.write(os.urandom(mib << 20))
    else:
        subprocess.check_call([RHEA + '-img', 'create', '-q', '-f', fmt,
                               path(name), '%dM' % mib])
    return path(name)


def host_sum(name):
    return subprocess.check_output(['md5sum', path(name)]).decode().split()[0]


def node(vm, name, fmt='raw', mib=8):
    disk(name + '.img', mib, fmt)
    vm.ask('blockdev-add', driver=fmt, node_name=name,
           file={'driver': 'file', 'filename': path(name + '.img')})


def quiet(vm):
    out = vm.sh('dmesg | grep -E "BUG|Call Trace|nobody cared|irq .*disabled"')
    assert 'BUG' not in out and 'Trace' not in out and 'nobody' not in out, out


# ---- the cases -----------------------------------------------------------------

def blk(vm):
    """virtio-blk-pci comes, is read and written, goes, three times."""
    for i in range(3):
        node(vm, 'b%d' % i)
        vm.ask('device_add', driver='virtio-blk-pci', drive='b%d' % i, id='blk')
        vm.wait('/dev/vda')
        assert vm.sum('vda') == host_sum('b%d.img' % i)
        vm.sh('dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync')
        vm.delete('blk')
        vm.wait('/dev/vda', False)
        vm.ask('blockdev-del', node_name='b%d' % i)
        assert open(path('b%d.img' % i), 'rb').read(1 << 20) == bytes(1 << 20)
    quiet(vm)


def blk_used(vm):
    """A disk that is being written to is pulled all the same."""
    vm.ask('blockdev-add', driver='null-co', node_name='u', size=1 << 40)
    vm.ask('device_add', driver='virtio-blk-pci', drive='u', id='used',
           addr='1e')
    vm.wait('/dev/vda')
    vm.sh('dd if=/dev/zero of=/dev/vda bs=64k >/dev/null 2>&1 &')
    vm.delete('used')
    vm.wait('/dev/vda', False)
    vm.ask('blockdev-del', node_name='u')
    quiet(vm)


def drive(vm):
    """HMP: drive_add, device_add, device_del; the drive goes along."""
    disk('d.img', 4)

    def hmp(line):
        return vm.ask('human-monitor-command', command_line=line)

    out = hmp('drive_add 0 if=none,id=d,format=raw,file=' + path('d.img'))
    assert out.strip() == 'OK', out
    assert hmp('device_add virtio-blk-pci,drive=d,id=hd') == ''
    vm.wait('/dev/vda')
    assert vm.sum('vda') == host_sum('d.img')
    assert hmp('device_del hd') == ''
    vm.deleted('hd')
    assert "Device 'd' not found" in hmp('drive_del d')
    out = hmp('device_del hd')
    assert out.strip() == "Error: Device 'hd' not found", out


def net(vm):
    vm.ask('netdev_add', type='user', id='n')
    vm.ask('device_add', driver='virtio-net-pci', netdev='n', id='nic',
           mac='52:54:00:aa:bb:cc')
    vm.wait('/sys/class/net/eth0')
    assert '52:54:00:aa:bb:cc' in vm.sh('cat /sys/class/net/eth0/address')
    assert '10.0.2.15' in vm.sh('dhcp; udhcpc -q -n -i eth0 -s '
                                '/etc/udhcpc.script; ip addr show eth0')
    vm.delete('nic')
    vm.wait('/sys/class/net/eth0', False)
    vm.ask('netdev_del', id='n')
    quiet(vm)


def rng(vm):
    vm.ask('object-add', qom_type='rng-builtin', id='r')
    vm.ask('device_add', driver='virtio-rng-pci', rng='r', id='rng')
    vm.wait('/dev/hwrng')
    assert vm.sh('i=0; while ! dd if=/dev/hwrng bs=64 count=1 2>/dev/null | '
                 'md5sum && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done')
    assert 'virtio' in vm.sh('cat /sys/class/misc/hw_random/rng_available')
    vm.delete('rng')
    assert 'virtio' not in vm.sh('cat /sys/class/misc/hw_random/rng_available')
    vm.ask('object-del', id='r')


def scsi(vm):
    """A board; disks and a CD-ROM drive come and go on it; the board goes."""
    vm.ask('device_add', driver='virtio-scsi-pci', id='sc')
    vm.wait('/sys/class/scsi_host/host0')
    for i in range(2):
        node(vm, 'sa')
        node(vm, 'sb')
        vm.ask('device_add', driver='scsi-hd', drive='sa', bus='sc.0', id='a',
               scsi_id=3, lun=2)
        vm.wait('/dev/sda')
        vm.ask('device_add', driver='scsi-cd', drive='sb', bus='sc.0', id='c')
        vm.wait('/dev/sr0')
        assert vm.sum('sda') == host_sum('sa.img')
        assert vm.sum('sr0') == host_sum('sb.img')
        vm.delete('a')
        vm.wait('/dev/sda', False)
        if i == 0:
            vm.delete('c')
            vm.wait('/dev/sr0', False)
            vm.ask('blockdev-del', node_name='sa')
            vm.ask('blockdev-del', node_name='sb')
    # Linux 6.1 warns if the work of the last event is still under way.
    vm.sh('sleep 1')
    vm.ask('device_del', id='sc')
    vm.deleted('c')
    vm.deleted('sc')
    vm.wait('/dev/sr0', False)
    vm.ask('blockdev-del', node_name='sa')
    vm.ask('blockdev-del', node_name='sb')
    quiet(vm)


def serial(vm):
    vm.ask('device_add', driver='virtio-serial-pci', id='vs')
    vm.ask('chardev-add', id='rb', backend={'type': 'ringbuf', 'data': {}})
    vm.ask('device_add', driver='virtserialport', chardev='rb', id='port',
           bus='vs.0', name='org.rhea.test')
    vm.wait('/sys/class/virtio-ports/vport*p1')
    vm.sh('for p in /dev/vport*p1; do echo hello >$p; done')
    assert vm.ask('ringbuf-read', device='rb', size=10) == 'hello\n'
    vm.delete('port')
    vm.wait('/sys/class/virtio-ports/vport*p1', False)
    vm.delete('vs')
    vm.ask('chardev-remove', id='rb')
    quiet(vm)


def refused(vm):
    """What does not work is an error and leaves nothing behind."""
    pci = vm.ask('query-pci')
    for args, why in [
            ({'driver': 'nosuch'}, 'not a valid device model name'),
            ({'driver': 'isa-debug-exit'}, "Bus 'isa.0' does not support"),
            ({'driver': 'virtio-blk-device', 'drive': 'x'}, 'hotplugging'),
            ({'driver': 'loader', 'file': 'x'}, 'does not support hotplugging'),
            ({'driver': 'PIIX3'}, 'part of the machine'),
            ({'driver': 'virtio-blk-pci', 'drive': 'x'}, "can't find value"),
            ({'driver': 'virtio-rng-pci', 'addr': '1.3'}, 'in use by PIIX4_PM'),
            ({'driver': 'virtio-rng-pci', 'bus': 'pci.7'}, "'pci.7' not found"),
            ({'driver': 'virtio-rng-pci', 'id': '7'}, 'identifier'),
            ({'driver': 'virtio-rng-pci', 'nosuch': 1}, 'not found'),
            ({'driver': 'scsi-hd', 'drive': 'x'}, 'x')]:
        o = vm.raw('device_add', **args)
        assert why in o['error']['desc'], (args, o)
    for dev, why in [('nosuch', 'not found'), ('/machine', 'hotpluggable'),
                     ('/machine/unattached/device[0]', 'hotpluggable'),
                     ('/machine/unattached/device[2]', 'not support')]:
        o = vm.raw('device_del', id=dev)
        assert why in o['error']['desc'], (dev, o)
    assert vm.ask('query-pci') == pci


def anonymous(vm):
    """A device without an id goes by its path."""
    node(vm, 'an')
    vm.ask('device_add', driver='virtio-blk-pci', drive='an')
    vm.wait('/dev/vda')
    anon = [x['name'] for x in
            vm.ask('qom-list', path='/machine/peripheral-anon')
            if x['type'] == 'child<virtio-blk-pci>']
    vm.ask('device_del', id='/machine/peripheral-anon/' + anon[0])
    vm.deleted('/machine/peripheral-anon/' + anon[0])
    vm.wait('/dev/vda', False)
    vm.ask('blockdev-del', node_name='an')


def guest_ejects(vm):
    """The guest throws a device out by itself."""
    node(vm, 'ge')
    vm.ask('device_add', driver='virtio-blk-pci', drive='ge', id='out',
           addr='9')
    vm.wait('/dev/vda')
    vm.sh('(sleep 1; echo 0 >/sys/bus/pci/slots/9/power) &')
    vm.deleted('out')
    vm.wait('/dev/vda', False)
    vm.ask('blockdev-del', node_name='ge')


def snapshot(vm):
    """Saved after devices came and went; loads where they are given."""
    for name in ('s0', 's1'):
        node(vm, name, 'qcow2', 32)
    vm.ask('device_add', driver='virtio-blk-pci', drive='s0', id='first',
           addr='6')
    vm.wait('/dev/vda')
    vm.ask('device_add', driver='virtio-blk-pci', drive='s1', id='second',
           addr='5')
    vm.wait('/dev/vdb')
    vm.ask('device_add', driver='virtio-rng-pci', id='hr', addr='4')
    vm.wait('/dev/hwrng')
    vm.sh('dd if=/dev/urandom of=/dev/vdb bs=64k count=16 conv=fsync; '
          'md5sum </dev/vdb >/tmp/sum')
    out = vm.ask('human-monitor-command', command_line='savevm plugged')
    assert out == '', out
    vm.end()


DRIVES = ['-blockdev', 'qcow2,node-name=s0,file.driver=file,file.filename=' +
          path('s0.img'),
          '-blockdev', 'qcow2,node-name=s1,file.driver=file,file.filename=' +
          path('s1.img')]


def loads():
    # In another order than they came.
    vm = Vm(*DRIVES, '-device', 'virtio-rng-pci,id=hr,addr=4',
            '-device', 'virtio-blk-pci,drive=s0,id=first,addr=6',
            '-device', 'virtio-blk-pci,drive=s1,id=second,addr=5',
            '-loadvm', 'plugged', boot=False)
    try:
        vm.sh('')
        out = vm.sh('md5sum </dev/vdb | diff - /tmp/sum && echo the-same')
        assert 'the-same' in out, out
        vm.delete('first')
        vm.wait('/dev/vda', False)
        vm.end()
    finally:
        vm.kill()


def wrong_place():
    p = subprocess.run(
        [RHEA, '-accel', ACCEL, '-m', '256', '-smp', '2', '-nodefaults',
         '-display', 'none', '-serial', 'null', '-kernel', 'build/guest/vmlinuz',
         *DRIVES, '-device', 'virtio-rng-pci,id=hr,addr=4',
         '-device', 'virtio-blk-pci,drive=s0,id=first,addr=7',
         '-device', 'virtio-blk-pci,drive=s1,id=second,addr=5',
         '-loadvm', 'plugged'], stderr=subprocess.PIPE, timeout=LIMIT)
    assert p.returncode == 1, p
    assert b"'first': it sat in slot 6.0; this one sits in 7.0" in p.stderr, p


def main():
    cases = [blk, blk_used, drive, net, rng, scsi, serial, refused, anonymous,
             guest_ejects, snapshot]
    alone = [loads, wrong_place]
    n = failed = 0
    vm = Vm()
    for case in cases + alone:
        n += 1
        start = time.monotonic()
        try:
            case(*([vm] if case in cases else []))
            print('ok %d %s # %.1f s' % (n, case.__name__,
                                         time.monotonic() - start))
        except Exception as e: # pylint: disable=broad-except
            failed += 1
            print('not ok %d %s' % (n, case.__name__))
            text = ''.join(traceback.format_exception(e))
            print('# ' + text[-2500:].replace('\n', '\n# '))
        sys.stdout.flush()
    vm.kill()
    shutil.rmtree(DIR)
    print('1..%d' % n)
    return failed != 0


sys.exit(main())
