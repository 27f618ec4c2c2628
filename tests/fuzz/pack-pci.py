#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/fuzz-pci.c: drivers that behave.

  tests/fuzz/pack-pci.py DIR

Devices are numbered as fuzz-pci.c makes them: host bridge, ISA bridge, then
the PCI classes of hw/registry.c in order. A seed tries the same on each of the
first devices, so it does not matter much when the order changes.
"""
import os
import struct
import sys

FIRST, LAST = 2, 8
RING, BUF = 0x10000, 0x20000


def config(dev, off, value, size):
    return bytes([0, dev, off, {1: 0, 2: 1, 4: 2}[size]]) + \
        value.to_bytes(size, 'little')


def bar(dev, n, off, value, size):
    return bytes([2, dev, n]) + struct.pack('<H', off) + \
        bytes([{1: 0, 2: 1, 4: 2, 8: 3}[size]]) + struct.pack('<I', value)


def bar_read(dev, n, off, size):
    return bytes([3, dev, n]) + struct.pack('<H', off) + \
        bytes([{1: 0, 2: 1, 4: 2, 8: 3}[size]])


def memory(addr, data):
    return bytes([4]) + addr.to_bytes(3, 'little') + bytes([len(data)]) + data


def step(ms):
    return bytes([5, ms])


def state(dev):
    return bytes([7, dev, 0])


SETTLE = bytes([6])


def ring(queue):
    """One request: 16 bytes for the device, 512 for us, a status byte."""
    base = RING + queue * 0x4000
    desc = struct.pack('<QIHH', BUF, 16, 1, 1) + \
        struct.pack('<QIHH', BUF + 0x200, 512, 3, 2) + \
        struct.pack('<QIHH', BUF + 0x600, 1, 2, 0)
    return memory(base, desc) + \
        memory(base + 0x1000, struct.pack('<HHH', 0, 1, 0)) + \
        memory(base + 0x2000, bytes(64)) + memory(BUF, bytes(16))


def modern(dev):
    out = b''
    for status in (0, 1, 3):
        out += bar(dev, 4, 20, status, 1)
    out += bar(dev, 4, 8, 1, 4) + bar(dev, 4, 12, 1, 4)
    out += bar(dev, 4, 20, 11, 1) + bar_read(dev, 4, 20, 1)
    out += ring(0) + bar(dev, 4, 22, 0, 2) + bar(dev, 4, 24, 16, 2)
    out += bar(dev, 4, 26, 0, 2)
    for i, part in enumerate((0, 0x1000, 0x2000)):
        out += bar(dev, 4, 32 + 8 * i, RING + part, 4)
    out += bar(dev, 4, 28, 1, 2) + bar(dev, 4, 20, 15, 1)
    out += bar(dev, 4, 0x3000, 0, 2) + SETTLE + state(dev) + SETTLE
    out += bar_read(dev, 4, 0x1000, 1) + bar(dev, 4, 58, 1, 2)
    return out + bar_read(dev, 4, 56, 4) + bar(dev, 4, 20, 0, 1)


def legacy(dev):
    out = b''
    for status in (0, 1, 3):
        out += bar(dev, 0, 18, status, 1)
    out += bar(dev, 0, 4, 0, 4) + ring(0) + bar(dev, 0, 14, 0, 2)
    out += bar(dev, 0, 8, RING >> 12, 4) + bar(dev, 0, 18, 7, 1)
    return out + bar(dev, 0, 16, 0, 2) + SETTLE + state(dev) + \
        bar_read(dev, 0, 19, 1) + bar(dev, 0, 8, 0, 4)


def msix(dev):
    out = config(dev, 0x9b, 0x80, 1)
    for v in range(2):
        out += bar(dev, 1, 16 * v, 0x3000, 4) + bar(dev, 1, 16 * v + 8, v, 4)
        out += bar(dev, 1, 16 * v + 12, 0, 4)
    return out


def edu(dev):
    out = bar(dev, 0, 8, 20, 4) + bar(dev, 0, 0x20, 0x80, 4) + step(1)
    out += bar(dev, 0, 0x64, 1, 4)
    for reg, value in ((0x80, BUF), (0x88, 0x40000), (0x90, 256), (0x98, 5)):
        out += bar(dev, 0, reg, value, 4)
    return out + step(200) + state(dev)


def sizing(dev):
    out = config(dev, 4, 0, 2)
    for n in range(6):
        out += config(dev, 0x10 + 4 * n, 0xffffffff, 4)
    out += config(dev, 4, 7, 2)
    for n in range(6):
        out += config(dev, 0x10 + 4 * n, 0xe8000000 + (n << 20), 4)
    return out + config(1, 0x60, 11, 1) + config(0, 0x5a, 0x31, 1)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for fn in (modern, legacy, edu, sizing):
        for dev in range(FIRST, LAST):
            with open('%s/%s-%d' % (out, fn.__name__, dev), 'wb') as f:
                f.write((msix(dev) if dev % 2 else b'') + fn(dev))


main()
