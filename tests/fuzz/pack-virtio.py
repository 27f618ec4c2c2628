#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/fuzz-virtio.c: drivers that behave.

  tests/fuzz/pack-virtio.py DIR

Opcodes are the places in its ops[], devices those in its devices[].
"""
import os
import struct
import sys

(WRITE_REG, READ_REG, NEGOTIATE, QUEUE, OK, DESC, OFFER, REQUEST, MEMORY, LOOP,
 STOP, RESET, STATE, FRAME, SCSI, CONFIG, WILD, INDEX, TIME, LINE, PAGES,
 MONITOR) = range(22)
NEXT, WRITE = 1, 2
KINDS = 4
BUF = 0x20000


def addr(a):
    return bytes([0]) + struct.pack('<H', a // 4)


def start(queues, features=0xffffffff):
    out = bytes([NEGOTIATE]) + struct.pack('<IB', features, 255)
    for q in queues:
        out += bytes([QUEUE, q, 5])
    return out + bytes([OK])


def memory(at, data):
    out = b''
    for i in range(0, len(data), 28):
        part = data[i:i + 28]
        out += bytes([MEMORY]) + addr(at + i) + bytes([len(part)]) + part
    return out


def desc(q, i, at, length, flags=0, following=0):
    return bytes([DESC, q, i, flags, following]) + addr(at) + \
        struct.pack('<H', length)


def offer(q, head):
    return bytes([OFFER, q, head, LOOP, 4])


def state():
    return bytes([STATE, 0, 0, 0, LOOP, 3])


def rng():
    out = start([0])
    for i in range(4):
        out += desc(0, i, BUF + 0x1000 * i, 0x800, WRITE) + offer(0, i)
    return out + state() + bytes([TIME, 20, 0, LOOP, 2, READ_REG, 0x30, 2])


def balloon():
    out = start([0, 1, 2, 3]) + bytes([MONITOR, 9, LOOP, 2])
    for q in (0, 1):
        out += bytes([PAGES, q, 0x30, 0, 1, 20])
        out += desc(q, 0, BUF + 256 * q, 80) + offer(q, 0)
    out += memory(BUF + 0x800, struct.pack('<HQHQ', 4, 1000, 5, 2000))
    out += desc(2, 0, BUF + 0x800, 20) + offer(2, 0) + state()
    out += bytes([TIME, 0, 8, LOOP, 3])
    return out + desc(3, 0, 0x30000, 0x2000, WRITE) + offer(3, 0) + state()


def serial():
    out = start(range(6))
    for q in (0, 2, 4):
        for i in range(4):
            out += desc(q, i, BUF + 0x1000 * q + 64 * i, 64, WRITE)
            out += bytes([OFFER, q, i])
    n = 0
    for port, event in ((0xffffffff, 0), (0, 3), (1, 3), (0, 6), (1, 6)):
        out += memory(BUF + 0x8000 + 16 * n, struct.pack('<IHH', port, event, 1))
        out += desc(3, n, BUF + 0x8000 + 16 * n, 8) + offer(3, n)
        n += 1
    for q, line in ((1, 0), (5, 1)):
        out += bytes([LINE, line | 2, 10])
        out += desc(q, 0, BUF, 100, NEXT, 1) + desc(q, 1, BUF, 7) + offer(q, 0)
        out += bytes([LINE, line, 40, LOOP, 3])
    return out + state() + bytes([LINE, 2, 1, LINE, 3, 1, LINE, 5, 0, LOOP, 3])


def blk():
    out = start([0])
    for kind in (0, 1, 4, 8, 11, 13):
        out += bytes([REQUEST, 0, kind * 4, kind, 0, 0, 2, LOOP, 3])
    return out + state() + bytes([RESET])


def net():
    out = start([0, 1, 2])
    for i in range(4):
        out += desc(0, i, BUF + 0x1000 * i, 0x800, WRITE) + bytes([OFFER, 0, i])
    frame = bytes(12) + b'\xff' * 6 + b'\x52\x54\0\x12\x34\x56\x08\0'
    out += memory(BUF + 0x8000, frame)
    out += desc(1, 0, BUF + 0x8000, 100) + offer(1, 0)
    out += memory(BUF + 0x9000, bytes([0, 0, 1]))
    out += desc(2, 0, BUF + 0x9000, 2, NEXT, 1)
    out += desc(2, 1, BUF + 0x9002, 1, NEXT, 2)
    out += desc(2, 2, BUF + 0x9100, 1, WRITE) + offer(2, 0)
    out += bytes([FRAME, 10, 14, 0]) + b'\xff' * 6 + bytes(8)
    return out + bytes(11) + state()


def scsi():
    out = start([0, 1, 2])
    for cdb in (b'\x12\0\0\0\x24', b'\x28\0\0\0\0\0\0\0\1', b'\x2a\0\0\0\0\0\0\0\1'):
        write = cdb[0] == 0x2a
        out += bytes([SCSI, 2, 0]) + struct.pack('<HH', 0 if write else 512,
                                                 512 if write else 0)
        out += cdb.ljust(16, b'\0') + bytes([LOOP, 4])
    return out + bytes([SCSI, 0, 0, 8, 0, 0, 0, 1, LOOP, 4]) + state()


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for i, fn in enumerate((blk, net, scsi, rng, balloon, serial)):
        for kind in range(KINDS):
            with open('%s/%s-%d' % (out, fn.__name__, kind), 'wb') as f:
                f.write(bytes([i, kind]) + fn())


main()
