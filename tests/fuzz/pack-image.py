#!/usr/bin/env python3
"""pack-image.py FORMAT IMAGE OUT [WHAT]: an input of fuzz-formats. Runs of
zeroes of 64 bytes and more are left out."""
import re
import struct
import sys

FORMATS = ['vdi', 'vmdk', 'vpc', 'vhdx', 'parallels', 'raw']
name, image, out = sys.argv[1:4]
what = int(sys.argv[4]) if len(sys.argv) > 4 else 0
data = open(image, 'rb').read()
packed = struct.pack('<BI', FORMATS.index(name) + 8 * what, len(data))
for m in re.finditer(rb'[^\0](?:\0{0,63}[^\0])*', data):
    for at in range(m.start(), m.end(), 65535):
        piece = data[at:min(at + 65535, m.end())]
        packed += struct.pack('<IH', at, len(piece)) + piece
open(out, 'wb').write(packed)
