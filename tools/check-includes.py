#!/usr/bin/env python3
"""Who may include whom: the layers of docs/architecture.md as a table.

Also: osdep.h comes first in every .c file (in tests it may come with the
header they share), and nobody includes a .c file.
Prints one line per broken rule; exit status 1 if there is one.
"""
import re
import subprocess
import sys

ABOVE_NOTHING = 'util'
HOST_ENDS = 'block chardev net ui'.split()
MACHINE = 'util system'.split()
PROCESSOR = MACHINE + ['target-x86']
DEVICES = MACHINE + HOST_ENDS + ['hw']
ALL = PROCESSOR + HOST_ENDS + ['accel', 'hw', 'monitor']

# The first row whose prefix fits a file says which directories it may use.
RULES = [
    ('util/', [ABOVE_NOTHING]),
    ('block/', ['util', 'block']),
    ('chardev/', ['util', 'chardev']),
    ('net/', ['util', 'net', 'chardev']),
    ('ui/', ['util', 'ui']),
    ('system/main.c', ALL),
    ('system/cli.c', ALL),
    ('system/cli-', ALL),
    ('system/snapshot', ALL),
    ('system/migrate.c', ALL),
    ('system/', MACHINE),
    ('target-x86/', PROCESSOR),
    ('accel/', PROCESSOR + ['accel']),
    ('hw/i386/', DEVICES + ['target-x86']),
    ('hw/intc/apic', DEVICES + ['target-x86']),
    ('hw/', DEVICES),
    ('monitor/', ALL),
    ('tools/img/', ['util', 'block', 'tools']),
    ('tools/io/', ['util', 'block', 'tools']),
    ('tools/', ALL + ['tools']),
    ('tests/', ALL + ['tests']),
]

# Programs of the guest: nothing of ours is in them.
GUESTS = ('tests/boot/', 'tests/bench/guest-')

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# Private to the build, or made by it.
ANYWHERE = {'config.h'}


def allowed(path):
    return next((dirs for prefix, dirs in RULES if path.startswith(prefix)),
                None)


def check(path):
    with open(path, encoding='utf-8') as f:
        text = f.read()
    includes = INCLUDE.findall(text)
    dirs = allowed(path)
    if dirs is None:
        yield 'is in no known directory'
        return
    first = includes[0] if includes else ''
    if path.endswith('.c') and first != 'util/osdep.h' and not (
            path.startswith(GUESTS) or
            (path.startswith('tests/') and first.startswith('tests/'))):
        yield 'util/osdep.h must be its first include'
    for inc in includes:
        if inc in ANYWHERE:
            continue
        if inc.endswith('.c'):
            yield 'includes %s: link it instead' % inc
        elif inc.split('/')[0] not in dirs or '/' not in inc:
            yield 'may not include "%s" (may use: %s)' % (inc, ' '.join(dirs))


def main():
    files = sys.argv[1:] or subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard',
         '*.c', '*.h', '*.def'], check=True, stdout=subprocess.PIPE,
        universal_newlines=True).stdout.split()
    bad = ['%s: %s' % (f, why) for f in files for why in check(f)]
    print('\n'.join(bad), end='\n' if bad else '')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
