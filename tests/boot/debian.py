#!/usr/bin/env python3
"""Boots a Debian that lives on its disk and works with it like a person.

    tests/boot/debian.py [options] SCENES...
    tests/boot/debian.py [options] --all

SCENES is a scene or several in one boot, joined by "+"; what repeats itself does
so --times, or as often as "*N" behind it says: login+rebind*100. Each boot has a
fresh overlay of build/debian/disk.qcow2 (made by tools/make-debian) and ends
with power off, rhea-img check, e2fsck and a look for alarming kernel messages.

    login      systemd is up, without failed units
    network    DHCP, ping, DNS, --size MB both ways through hostfwd
    apt        apt-get update and install from the mirror of this host
    console    a login on hvc0
    entropy    /dev/hwrng is virtio-rng
    balloon    inflate and deflate through the monitor, seen in /proc/meminfo
    checksums  compressors and hashes give the same result, again and again
    kill       kill -9 while files are written: what was synced is there
    rebind     drivers of both disks' kinds, net, rng, balloon and console are
               unbound and bound again
    reboot     the guest reboots
    snapshot   savevm, changes, loadvm with disk and network busy
    resume     savevm, the end of the process, a new one with -loadvm
    powerdown  the monitor presses the power button

The machine is chosen with --machine, --disk, --transport, --smp; --all plays the
table MATRIX. One line for each boot in TAP; exit status 1 if one failed. What
the guest printed goes to build/debian/NAME.log.
"""
import argparse
import hashlib
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from debian_guest import Console, Failed, Guest, PROMPT, Skipped, serve

# What --all plays: options, and the boots with them. virtio-mmio has two
# interfaces only: "legacy" and what else.
BASIC = 'login+network+console+entropy+balloon'
MATRIX = [
    ('', [BASIC + '+checksums*10+rebind*100+snapshot*50+resume+powerdown',
          'apt+kill*5', 'reboot*20']),
    ('--smp 2', [BASIC + '+checksums*10+rebind*100+snapshot*50+powerdown',
                 'reboot*20']),
    ('--disk scsi', [BASIC + '+snapshot+kill*5']),
    ('--disk scsi --transport modern --smp 2', [BASIC]),
    ('--disk scsi --transport legacy', [BASIC]),
    ('--disk scsi --transport intx', [BASIC]),
    ('--transport modern', [BASIC]),
    ('--transport modern --smp 2', [BASIC]),
    ('--transport legacy', [BASIC]),
    ('--transport legacy --smp 2', [BASIC]),
    ('--transport intx', [BASIC]),
    ('--transport intx --smp 2', [BASIC]),
    ('--machine microvm --transport modern',
     [BASIC + '+rebind*10+snapshot+reboot*3']),
    ('--machine microvm --transport modern --smp 2', [BASIC]),
    ('--machine microvm --transport legacy', [BASIC]),
    ('--machine microvm --transport legacy --smp 2', [BASIC]),
    ('--machine microvm --transport modern --disk scsi', [BASIC]),
]


def scene_login(g):
    failed = g.tty.run('systemctl is-system-running --wait || '
                       'systemctl --failed --no-legend', 300)
    if 'failed' in failed:
        raise Failed(failed)
    g.tty.run('echo hello >/root/was-here && sync')
    if g.tty.run('nproc') != str(g.args.smp):
        raise Failed('the guest does not see %d processors' % g.args.smp)


# ---- network -------------------------------------------------------------------------

def receive(s):
    """All that comes until the other side has no more."""
    pieces = []
    while True:
        piece = s.recv(1 << 18)
        if not piece:
            return b''.join(pieces)
        pieces.append(piece)


def through_hostfwd(g, data):
    """@data to a program in the guest; its answer."""
    with socket.create_connection(('127.0.0.1', g.port), 60) as s:
        s.settimeout(900)
        sender = threading.Thread(target=lambda: (
            s.sendall(data), data and s.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = receive(s)
        sender.join()
        return answer


def have_address(g):
    g.tty.until('ip -4 -br addr | grep 10.0.2.15')


def mirror_of_host():
    """What apt uses here: its proxy, and lines for a guest's sources.list with
    the address each can be asked for at."""
    try:
        config = subprocess.run(
            ['apt-config', 'shell', 'PROXY', 'Acquire::http::Proxy'],
            capture_output=True, text=True, check=True).stdout
        targets = subprocess.run(
            ['apt-get', 'indextargets', '--format',
             '$(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages'],
            capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        raise Skipped('no apt here: %s' % e) from None
    proxy = re.search(r"PROXY='(http://[^']*)'", config)
    found = [line.split() for line in targets.splitlines()
             if re.match(r'http://\S+ [a-z]+ main$', line)]
    if not found:
        raise Skipped("this host's apt has no plain http source")
    return proxy and proxy[1], found


def seen_from_guest(uri):
    """This host's own addresses are 10.0.2.2 for the guest."""
    return re.sub(r'//(localhost|127\.[0-9.]+)(?=[:/])', '//10.0.2.2', uri)


def reachable(proxy, uri):
    handlers = [urllib.request.ProxyHandler({'http': proxy} if proxy else {})]
    try:
        with urllib.request.build_opener(*handlers).open(uri, timeout=20) as r:
            return r.status == 200
    except OSError:
        return False


def dns_name():
    """A name that this host can resolve; None without one."""
    try:
        for uri, _, _ in mirror_of_host()[1]:
            name = re.match(r'http://([^:/]+)', uri)[1]
            socket.getaddrinfo(name, 80, socket.AF_INET)
            return name
    except (Skipped, OSError):
        pass
    return None


def scene_network(g):
    tty = g.tty
    have_address(g)
    tty.run('ping -c 3 -W 10 10.0.2.2')
    name = dns_name()
    if name:
        tty.run('getent ahostsv4 %s' % shlex.quote(name))
    data = os.urandom(1 << 20) * g.args.size
    digest = hashlib.sha256(data).hexdigest()
    tty.run('mkdir -p /run/net; mount -t tmpfs -o size=%dm none /run/net' %
            (g.args.size + 4))
    tty.run('(nc -l -p 7000 >/run/net/in) & sleep 1')
    through_hostfwd(g, data)
    if digest not in tty.run('wait; sha256sum </run/net/in', 600):
        raise Failed('what came to the guest is not what was sent')
    tty.run('(nc -N -l -p 7000 </run/net/in >/dev/null) & sleep 1')
    answer = through_hostfwd(g, b'')
    if hashlib.sha256(answer).hexdigest() != digest:
        raise Failed('from the guest: %d bytes, not the same' % len(answer))
    tty.run('wait; umount /run/net')


def scene_apt(g):
    proxy, found = mirror_of_host()
    release = g.tty.run('. /etc/os-release; echo $VERSION_CODENAME')
    found = [f for f in found if f[1] == release]
    if not found:
        raise Skipped("this host's apt has nothing for %s" % release)
    uri = found[0][0]
    if not reachable(proxy, '%sdists/%s/InRelease' % (uri, release)):
        raise Skipped('no mirror can be reached')
    have_address(g)
    g.tty.run('rm -f /etc/apt/sources.list.d/*; echo "deb %s %s main" '
              '>/etc/apt/sources.list' % (seen_from_guest(uri), release))
    if proxy:
        g.tty.run("echo 'Acquire::http::Proxy \"%s\";' "
                  '>/etc/apt/apt.conf.d/90proxy' % seen_from_guest(proxy))
    g.tty.run('apt-get update -qq', 1800)
    g.tty.run('DEBIAN_FRONTEND=noninteractive apt-get install -y -qq hello '
              '>/dev/null', 600)
    if g.tty.run('hello') != 'Hello, world!':
        raise Failed('what was installed does not say hello')


# ---- the small devices ---------------------------------------------------------------

def scene_console(g):
    s = socket.socket(socket.AF_UNIX)
    s.connect(g.hvc_path)
    hvc = Console(s.fileno(), s.fileno(), g.log, g.args.slow)
    hvc.send('\n')
    hvc.login(120)
    if hvc.run('tty') != '/dev/hvc0':
        raise Failed('the virtio console is not hvc0')
    want = hashlib.sha256(b''.join(b'%d\n' % i for i in range(1, 20001)))
    out = hvc.run('seq 1 20000', 300).replace('\r', '') + '\n'
    if hashlib.sha256(out.encode()).digest() != want.digest():
        raise Failed('hvc0 lost some of 20000 lines')
    hvc.send('exit\n')
    hvc.expect(rb'login: ', 60)
    s.shutdown(socket.SHUT_RDWR)
    s.close()


def scene_entropy(g):
    g.tty.run('grep virtio /sys/class/misc/hw_random/rng_current')
    packed = g.tty.run('head -c 65536 /dev/hwrng >/run/random; '
                       'gzip -c </run/random | wc -c; wc -c </run/random')
    if [int(n) >= 65536 for n in packed.split()] != [True, True]:
        raise Failed('not random: %s' % packed)


def meminfo(g, field):
    return int(g.tty.run("sed -n 's/^%s: *\\([0-9]*\\) kB/\\1/p' "
                         '/proc/meminfo' % field)) // 1024


def set_balloon(g, mib):
    g.monitor('balloon', value=mib << 20)
    for _ in range(240 * g.args.slow):
        if g.monitor('query-balloon')['actual'] == mib << 20:
            return
        time.sleep(0.5)
    raise Failed('the balloon never reached %d MiB' % mib)


def scene_balloon(g):
    whole, small = int(g.args.memory), 320
    g.tty.run('sync; echo 3 >/proc/sys/vm/drop_caches')
    before = meminfo(g, 'MemFree')
    set_balloon(g, small)
    inside = meminfo(g, 'MemFree')
    set_balloon(g, whole)
    after = meminfo(g, 'MemFree')
    if not before - inside > (whole - small) * 3 // 4 or after < before - 32:
        raise Failed('MemFree was %d, %d and %d MiB' % (before, inside, after))


# ---- work, and being torn away from it -------------------------------------------------

def scene_checksums(g):
    """The same work again and again; only the first is compared with Python's,
    the others with the first."""
    g.tty.run('cat /usr/bin/*[a-m] 2>/dev/null | head -c 3000000 >/run/blob')
    work = ('for c in md5sum sha1sum sha256sum sha512sum cksum "gzip -n" '
            '"xz -1 -T1" "gzip -9n"; do $c </run/blob | md5sum; done; '
            'gzip -c /run/blob | gzip -dc | cmp - /run/blob')
    first = g.tty.run(work, 600)
    for i in range(g.args.times):
        again = g.tty.run(work, 600)
        if again != first:
            raise Failed('round %d: %r, before %r' % (i, again, first))


WRITER = ('mkdir -p /root/s; n=%d; while :; do n=$((n+1)); f=/root/s/$n; '
          'head -c $((n*7919%%60000+1)) /dev/urandom >$f; '
          'sha256sum $f >$f.sum; sync $f $f.sum /root/s; echo synced=$n=; '
          'cp $f /var/tmp/dirt; done\n')


def scene_kill(g):
    """Every file that the guest has said to be synced is there afterwards."""
    done = 0
    for _ in range(g.args.times):
        g.tty.run('(while :; do cp /bin/[a-m]* /var/tmp; rm /var/tmp/*; done) '
                  '>/dev/null 2>&1 & :')
        g.tty.send(WRITER % done)
        g.tty.expect(b'synced=%d=' % (done + 3), 300)
        time.sleep(2)
        g.kill()
        done = max(int(n) for n in
                   re.findall(rb'synced=(\d+)=', g.tty.text))
        g.check_disk(repair=True)
        g.start()
        g.login()
        g.tty.run('for n in $(seq %d); do sha256sum -c --quiet /root/s/$n.sum '
                  '|| exit 1; done; ls /root/s | wc -l' % done, 300)


def virtio_of(g, path):
    """virtioN, of which @path (in /sys) is a child."""
    return g.tty.run('readlink -f %s | grep -o "virtio[0-9]*" | head -n 1' %
                     path)


def rebind(g, driver, dev, each):
    """@each is what must succeed in the guest after every bind."""
    g.tty.run('cd /sys/bus/virtio/drivers/%s; for i in $(seq %d); do '
              'echo %s >unbind && echo %s >bind && (%s) || exit 1; done; cd' %
              (driver, g.args.times, dev, dev, each), 60 * g.args.times)


def rebind_disk(g, driver, name):
    """The disk /dev/@name comes back with its contents."""
    dev = virtio_of(g, '/sys/block/' + name)
    g.tty.run('dd if=/run/pattern of=/dev/%s conv=fsync status=none' % name)
    rebind(g, driver, dev, 'for j in $(seq 100); do [ -b /dev/%s ] && break; '
           'sleep 0.1; done; cmp -n 1000000 /dev/%s /run/pattern' %
           (name, name))


def rebind_only(g, driver, each):
    """The only device of @driver."""
    rebind(g, driver, g.tty.run('basename /sys/bus/virtio/drivers/%s/virtio*' %
                                driver), each)


def scene_rebind(g):
    tty = g.tty
    have_address(g)
    tty.run('head -c 1000000 /dev/urandom >/run/pattern')
    rebind_disk(g, 'virtio_blk', tty.run(
        'basename $(dirname $(grep -l blk /sys/block/vd*/serial))'))
    if g.args.disk == 'virtio':
        rebind_disk(g, 'virtio_scsi', 'sda')
    rebind_only(g, 'virtio_net', 'true')
    have_address(g)
    tty.run('ping -c 1 -W 10 10.0.2.2')
    rebind_only(g, 'virtio_rng', 'head -c 16 /dev/hwrng >/dev/null')
    rebind_only(g, 'virtio_balloon', 'true')
    scene_balloon(g)
    tty.run('systemctl stop serial-getty@hvc0')
    rebind_only(g, 'virtio_console', 'echo hello >/dev/hvc0')
    tty.run('systemctl start serial-getty@hvc0')
    scene_console(g)


def scene_reboot(g):
    for _ in range(g.args.times):
        g.tty.send('systemctl reboot\n')
        g.tty.expect(rb'Linux version', g.args.timeout)
        g.login()


def scene_powerdown(g):
    g.monitor('system_powerdown')
    g.wait()


# ---- snapshots -----------------------------------------------------------------------

def keep_busy(g):
    """Disk and network work in the background; counts in /run/mem."""
    have_address(g)
    g.tty.run('mkdir -p /run/mem /root/files; mount -t tmpfs none /run/mem')
    g.tty.run('(n=0; while dd if=/dev/urandom of=/var/tmp/busy bs=64k '
              'count=64 conv=fsync; do n=$((n+1)); echo $n >/run/mem/disk; '
              'done) >/dev/null 2>&1 & :')
    # A connection of the present means nothing to the host's end in the past.
    g.tty.run('(n=0; while :; do timeout 10 nc -d -w 5 10.0.2.2 %d '
              '>/run/mem/got; [ $(stat -c %%s /run/mem/got) = 1048576 ] && '
              'n=$((n+1)) && echo $n >/run/mem/net; done) '
              '>/dev/null 2>&1 & :' % serve())
    g.tty.until('test -s /run/mem/disk && test -s /run/mem/net', 120)


# Without a fork between them, which takes its time on a busy host.
CLOCKS = ('read up idle </proc/uptime; now=$EPOCHREALTIME; '
          'read rtc </sys/class/rtc/rtc0/since_epoch; echo $now $up $rtc')


def clocks(g):
    """The guest's: time of day, since boot, RTC."""
    return [float(f) for f in g.tty.run(CLOCKS).split()]


def check_clocks(before, after, ran):
    """@ran: seconds for which the machine can have run between the two."""
    went = [a - b for a, b in zip(after, before)]
    for name, d, slack in zip(('time of day', 'uptime', 'RTC'), went,
                              (0.05, 0.05, 1.05)):
        if not 0 <= d <= ran + slack:
            raise Failed('%s went from %s to %s in %.1f s' % (
                name, before, after, ran))
    if abs(went[0] - went[1]) > 0.5:
        raise Failed('the clocks disagree: %s, then %s' % (before, after))


def scene_snapshot(g):
    tty = g.tty
    keep_busy(g)
    for i in range(g.args.times):
        tty.run('echo %d >/root/files/n; echo %d >/run/mem/n; sync' % (i, i),
                300)
        began = time.monotonic()
        before = clocks(g)
        g.hmp('stop')
        ran = time.monotonic() - began
        g.hmp('savevm a')
        g.hmp('cont')
        tty.run('echo wrong >/root/files/n; echo wrong >/run/mem/n; '
                'head -c 3000000 /dev/urandom >/root/files/more; sync', 300)
        g.hmp('stop')
        g.hmp('loadvm a')
        began = time.monotonic()
        g.hmp('cont')
        # What is typed now comes to the machine of the past.
        tty.send('\n')
        tty.expect(PROMPT, 60)
        check_clocks(before, clocks(g), ran + time.monotonic() - began)
        got = tty.run('cat /root/files/n /run/mem/n; ls /root/files')
        if got.split() != [str(i), str(i), 'n']:
            raise Failed('round %d: the guest has %r' % (i, got))
        g.hmp('stop')
        g.check_image('-U')
        g.hmp('cont')
    counts = 'echo $(cat /run/mem/disk /run/mem/net)'
    was = tty.run(counts)
    tty.until('[ "$(%s)" != "%s" ]' % (counts, was.strip()), 60)
    tty.run('kill $(jobs -p); wait; true')
    g.hmp('delvm a')


def scene_resume(g):
    """Another process goes on where this one was."""
    tty = g.tty
    tty.run('echo here >/root/files; echo there >/run/there; sync')
    before = clocks(g)
    g.hmp('savevm a')
    tty.run('rm /root/files /run/there; sync')
    g.monitor('quit')
    g.wait()
    g.start('-loadvm', 'a')
    g.tty.send('\n')
    g.tty.expect(PROMPT, 120)
    if g.tty.run('cat /root/files /run/there').split() != ['here', 'there']:
        raise Failed('the files are not those of the snapshot')
    check_clocks(before, clocks(g), 30)
    g.hmp('delvm a')


# ---- all together ----------------------------------------------------------------------

SCENES = {name[6:]: f for name, f in globals().items()
          if name.startswith('scene_')}


def parse(argv):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument('scenes', nargs='*', metavar='SCENES')
    p.add_argument('--all', action='store_true', help='the whole MATRIX')
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
    p.add_argument('--size', type=int, default=100, help='MB to transfer')
    p.add_argument('--timeout', type=int, default=600,
                   help='seconds to the login prompt')
    p.add_argument('--slow', type=int, default=1,
                   help='wait so many times longer: a busy host')
    p.add_argument('--keep', action='store_true', help='keep the overlays')
    args, args.extra = p.parse_known_args(argv)
    for scenes in args.scenes:
        for scene, _ in split(scenes):
            if scene not in SCENES:
                p.error('no scene %r; there are: %s' %
                        (scene, ', '.join(SCENES)))
    if not args.scenes and not args.all:
        p.error('name a scene, or --all')
    return args


def boots(argv, args):
    """(args, scenes) of every boot that was asked for."""
    if not args.all:
        return [(args, scenes) for scenes in args.scenes]
    return [(parse(argv + options.split()), scenes)
            for options, list_ in MATRIX for scenes in list_]


def split(scenes):
    """(name, how often or None) of each in "a+b*3"."""
    found = re.findall(r'(?:^|\+)([a-z]+)(?:\*(\d+))?(?=\+|$)', scenes)
    if '+'.join(n + ('*' + t if t else '') for n, t in found) != scenes:
        return [(scenes, None)]
    return found


def play(args, scenes):
    """One boot; what TAP says behind its name."""
    name = '%s-%s-%s-%s-%d' % (scenes.replace('*', ''), args.machine,
                               args.disk, args.transport, args.smp)
    began, given = time.monotonic(), args.times
    g = Guest(args, name)
    try:
        g.start().login()
        for scene, times in split(scenes):
            args.times = int(times or given)
            SCENES[scene](g)
            g.note('scene %s is over' % scene)
        if g.proc.poll() is None:
            g.power_off()
        g.check()
        return True, '%s (%.0f s)' % (name, time.monotonic() - began)
    except Skipped as e:
        return True, '%s # SKIP %s' % (name, e)
    except (Failed, subprocess.CalledProcessError, OSError) as e:
        return False, '%s: %s' % (name, e)
    finally:
        args.times = given
        g.end()


def main(argv):
    args = parse(argv)
    if not os.path.exists(os.path.join(args.dir, 'disk.qcow2')):
        print('1..0 # SKIP no %s/disk.qcow2: run tools/make-debian' % args.dir)
        return 0
    failures = 0
    plan = boots(argv, args)
    print('1..%d' % len(plan), flush=True)
    for n, (one, scenes) in enumerate(plan, 1):
        good, text = play(one, scenes)
        failures += not good
        print('%s %d - %s' % ('ok' if good else 'not ok', n, text), flush=True)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
