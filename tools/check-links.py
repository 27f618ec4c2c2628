#!/usr/bin/env python3
"""Links of README, CONTRIBUTING and docs/: to files and headings that are there.

Paths that the text names (tests/boot/test-gdb.sh, hw/pci/pci.c, build/ aside)
must exist, too, and every page of docs/ must be reached from docs/index.md.
Prints one line per broken one; exit status 1 if there is one.
"""
import glob
import os
import re
import subprocess
import sys

LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
HEADING = re.compile(r'^#+\s+(.*?)\s*$', re.M)
CODE_BLOCK = re.compile(r'^```.*?^```', re.M | re.S)
TOP = ('accel block chardev docs hw monitor net system target-x86 tests tools '
       'ui util').split()
# A path from the top of the tree: of a file by its ending, or of a test.
PATH = re.compile(r'(?<![\w./-])((?:%s)/[\w./*-]*[\w*])' % '|'.join(TOP))


def anchor(heading):
    """As GitHub makes it of a heading."""
    text = re.sub(r'[^\w\- ]', '', heading.replace('`', '').lower())
    return text.replace(' ', '-')


def anchors(path):
    with open(path, encoding='utf-8') as f:
        return {anchor(h) for h in HEADING.findall(CODE_BLOCK.sub('', f.read()))}


def there(path):
    """Is there such a file, module (x for x.c and x.h), folder or test?"""
    return bool(glob.glob(path) or glob.glob('tests/' + path) or
                not os.path.splitext(path)[1] and
                (glob.glob(path + '*') or glob.glob('tests/' + path + '*')))


def tree(text):
    """The paths that the indented tree under "## The tree" names.

    A folder in the first column; below it files or folders of its, two spaces
    in, and two spaces before what is said of them. "cli" stands for cli.h.
    """
    top = sub = ''
    for line in re.findall(r'^    (\S.*|  .*)$', text, re.M):
        indent = len(line) - len(line.lstrip())
        first = re.split(r'  +', line.strip())[0].split()
        if not indent:
            top, sub = first[0], ['']
        elif indent == 2:
            sub = [d for d in first if d.endswith('/')] or ['']
            for name in first:
                if '.' not in name and not name.endswith('/'):
                    yield [top + name + '.h']
        for name in re.findall(r'[\w/-]+\.(?:c|h|def|py)\b', line):
            yield [name] + [top + d + name for d in sub]


def check(page):
    with open(page, encoding='utf-8') as f:
        text = f.read()
    for target in LINK.findall(CODE_BLOCK.sub('', text)):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, part = target.partition('#')
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)
                                if path else page)
        if not os.path.exists(path):
            yield 'link to %s, which is not there' % target
        elif part and part not in anchors(path):
            yield 'link to %s: there is no such heading' % target
    if '## The tree' in text:
        part = text.split('## The tree')[1].split('\n## ')[0]
        for places in tree(part):
            if not any(os.path.exists(p) for p in places):
                yield 'the tree has %s, which is not there' % places[0]
    made = set(re.findall(r'^```c (\S+)', text, re.M))  # by a worked example
    for path in sorted(set(PATH.findall(text)) - made):
        if not there(path.rstrip('.')):
            yield 'names %s, which is not there' % path


def main():
    pages = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard',
         '*.md'], check=True, stdout=subprocess.PIPE,
        universal_newlines=True).stdout.split()
    bad = ['%s: %s' % (p, why) for p in pages for why in check(p)]
    with open('docs/index.md', encoding='utf-8') as f:
        index = f.read()
    bad += ['%s: docs/index.md does not lead to it' % p for p in pages
            if p.startswith('docs/') and p != 'docs/index.md' and
            '(%s' % os.path.basename(p) not in index]
    print('\n'.join(bad), end='\n' if bad else '')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
