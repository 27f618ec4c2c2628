#!/usr/bin/env python3
"""Two results of "make bench" as one table: tools/bench-compare.py OLD NEW.

Shows how much each line changed; machines are noisy, so changes of less than
a tenth say nothing and are shown in brackets.
"""
import json
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    old, new = (json.load(open(p)) for p in sys.argv[1:])
    print('%-16s %12s %12s %8s' % ('', 'old', 'new', 'new/old'))
    for name in list(old) + [n for n in new if n not in old]:
        o = old.get(name, {}).get('rhea')
        n = new.get(name, {}).get('rhea')
        if not o or n is None:
            print('%-16s %12s %12s' % (name, o, n))
            continue
        ratio = '%.2f' % (n / o)
        if 0.9 < n / o < 1.1:
            ratio = '(%s)' % ratio
        print('%-16s %12.1f %12.1f %8s' % (name, o, n, ratio))


if __name__ == '__main__':
    main()
