#!/usr/bin/env python3
"""Reads what a build with --coverage left behind and prints a table.

  tools/coverage.py BUILDDIR [FILE-PREFIX ...]

Without prefixes a line per directory, with prefixes one per file. A line counts
as executed if any object file that contains it executed it.
"""
import json
import os
import subprocess
import sys
from collections import defaultdict


def gcda_files(build):
    for root, _, names in os.walk(os.path.join(build, 'obj')):
        for n in names:
            if n.endswith('.gcno'):
                yield os.path.join(root, n)


def lines_of(files):
    """{source file: {line number: executed?}}"""
    result = defaultdict(dict)
    for f in files:
        out = subprocess.run(['gcov', '--json-format', '--stdout', f],
                             stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout
        for doc in out.splitlines():
            for src in json.loads(doc).get('files', []):
                name = os.path.normpath(src['file'])
                if name.startswith(('/', 'tests/')):
                    continue
                for line in src['lines']:
                    no = line['line_number']
                    result[name][no] = (result[name].get(no, False) or
                                        line['count'] > 0)
    return result


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, prefixes = sys.argv[1], tuple(sys.argv[2:])
    table = defaultdict(lambda: [0, 0])
    for name, lines in lines_of(gcda_files(build)).items():
        if prefixes and not name.startswith(prefixes):
            continue
        key = name if prefixes else os.path.dirname(name)
        table[key][0] += sum(lines.values())
        table[key][1] += len(lines)
    if not table:
        sys.exit('no coverage data in ' + build)
    table['all'] = [sum(v[0] for v in table.values()),
                    sum(v[1] for v in table.values())]
    for key, (hit, total) in sorted(table.items(),
                                    key=lambda kv: (kv[0] == 'all', kv[0])):
        print('%-32s %6d of %6d lines  %5.1f %%' %
              (key, hit, total, 100 * hit / max(total, 1)))


if __name__ == '__main__':
    main()
