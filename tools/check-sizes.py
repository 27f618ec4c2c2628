#!/usr/bin/env python3
"""Functions that do not fit a screen, and files of more than one subject.

The layout is clang-format's, so a function's body stands between a '{' and a
'}' in the first column. Prints one line for each that is too long; exit status
1 if there is one. With --most N: the N longest of each, whatever their size.
"""
import re
import subprocess
import sys

FUNCTION_LINES = 70
FILE_LINES = 1000

# What may be longer, and why; a row that is not needed any more is told, too.
LONGER = {
}

NAME = re.compile(r'(\w+)\(')


def functions(lines):
    """(name, lines of the body) of each function in a file."""
    start, name = None, ''
    for i, line in enumerate(lines):
        if line == '{' and start is None:
            # The line of the name is the last that begins in column 0.
            head = next((h for h in reversed(lines[:i])
                         if h[:1].isalnum() or h[:1] == '_'), '')
            names = NAME.findall(head)
            start, name = i, names[0] if names else head
        elif line == '}' and start is not None:
            yield name, i - start - 1
            start = None


def main():
    files = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard',
         '*.c', '*.h'], check=True, stdout=subprocess.PIPE,
        universal_newlines=True).stdout.split()
    long_files, long_functions = [], []
    for path in files:
        with open(path, encoding='utf-8') as f:
            lines = f.read().split('\n')
        long_files.append((len(lines) - 1, path))
        long_functions += [(n, '%s:%s' % (path, name))
                           for name, n in functions(lines)]
    if sys.argv[1:2] == ['--most']:
        for rows in (long_functions, long_files):
            for n, where in sorted(rows, reverse=True)[:int(sys.argv[2])]:
                print('%5d %s' % (n, where))
        return 0
    rows = [r + (FUNCTION_LINES,) for r in long_functions]
    rows += [r + (FILE_LINES,) for r in long_files]
    over = {where: (n, limit) for n, where, limit in rows if n > limit}
    bad = ['%s: %d lines, more than %d: cut it along a subject' % (w, *over[w])
           for w in sorted(over) if w not in LONGER]
    bad += ['%s: fits now: take its row out of tools/check-sizes.py' % where
            for where in LONGER if where not in over]
    print('\n'.join(bad), end='\n' if bad else '')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
