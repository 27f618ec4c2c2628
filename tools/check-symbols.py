#!/usr/bin/env python3
"""Functions and tables that nobody needs, or that need not be public.

Looks at the objects of rhea, rhea-img and rhea-io in BUILD (build). A public
symbol that no other object of theirs names is for its own file alone (make it
static) or for tests alone (say why in TESTS, or remove it); what its own file
uses tests may use, too. A function that a header declares and no object
defines is told as well. Exit status 1 if there is one.
"""
import glob
import os
import re
import subprocess
import sys

# Only tests call these.
TESTS = {
    'block_open_over': 'an image over a file in memory',
    'clock_step': 'their time',
    'decode_conflicts': 'looks over the tables',
    'i8259_intr': 'the line as a pin',
    'log_set_flags': 'as -d, and off again',
    'mc146818_get_cmos': 'its bytes from the back',
    'mc146818_set_host_clock': 'their time',
    'mc146818_set_nmi_mask': 'no board has a source of NMIs behind it yet',
    'monitor_check_line': 'fuzzing',
    'monitor_complete': 'fuzzing',
    'msix_watch': 'for routes of KVM: not used yet',
    'region_set_coalesced': 'for the ring of KVM: no device asks for it yet',
    'vmstate_dump': 'differences in words',
    'x86_msr_name': 'each number has a name',
}

# Public all the same, and why.
KEPT = {
    'kvm_takes_turns': 'being worked on',
    'io_commands': 'its "help" stands before it',
    'net_disconnect': 'undoes net_connect()',
}

DIRS = ('util system target-x86 accel hw block chardev net ui monitor '
        'tools/img tools/io').split()


def symbols(obj):
    """The names that an object defines and those it wants."""
    out = subprocess.run(['nm', '-P', obj], check=True, stdout=subprocess.PIPE,
                         universal_newlines=True).stdout
    rows = [line.split()[:2] for line in out.splitlines()]
    return ({n for n, kind in rows if kind in 'TDBRC'},
            {n for n, kind in rows if kind == 'U'})


def objects(build, dirs):
    for d in dirs:
        for where, _, names in os.walk('%s/obj/%s' % (build, d)):
            for name in names:
                source = os.path.join(where, name)[len(build) + 5:-2] + '.c'
                if name.endswith('.o') and os.path.exists(source):
                    yield source, os.path.join(where, name)


def declared():
    """(header, name) of the functions that headers declare."""
    head = re.compile(r'^(?!static|typedef|#|\s|/|return)\w[\w\s*]*?\b(\w+)\('
                      r'[^;{]*;', re.M)
    for path in subprocess.run(['git', 'ls-files', '*.h'], check=True,
                               stdout=subprocess.PIPE, universal_newlines=True
                               ).stdout.split():
        if path.split('/')[0] in DIRS:
            with open(path, encoding='utf-8') as f:
                text = re.sub(r'/\*.*?\*/|\\\n', ' ', f.read(), flags=re.S)
            for m in head.finditer(text):
                yield path, m.group(1)


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else 'build'
    defined, wanted = {}, {}
    for source, obj in objects(build, DIRS):
        defs, needs = symbols(obj)
        for name in defs:
            defined.setdefault(name, []).append(source)
        for name in needs:
            wanted.setdefault(name, set()).add(source)
    by_tests = set()
    for path in glob.glob('tests/**/*.[ch]', recursive=True) + glob.glob(
            'tools/*.c'):
        with open(path, encoding='utf-8') as f:
            by_tests |= set(re.findall(r'\w+', f.read()))
    bad = []
    alone = set(defined) - set(wanted) - set(KEPT) - {'main'}
    for name in sorted(n for n in alone if not n.startswith('opt_')):
        with open(defined[name][0], encoding='utf-8') as f:
            own = len(re.findall(r'\b%s\b' % name, f.read())) > 1
        if name not in by_tests:
            bad.append('%s: %s: %s' % (
                defined[name][0], name,
                'make it static' if own else 'nobody uses it'))
        elif not own and name not in TESTS:
            bad.append('%s: %s: only tests use it' % (defined[name][0], name))
    bad += ['tools/check-symbols.py: %s: take its row out' % name
            for name in TESTS if name not in alone]
    bad += ['%s: %s: declared, defined nowhere' % row
            for row in sorted(set(declared())) if row[1] not in defined]
    print('\n'.join(bad), end='\n' if bad else '')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
