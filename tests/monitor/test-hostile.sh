#!/bin/sh
# Clients that nobody wants on a socket: tests/monitor/hostile.py.
. tests/lib/python-test.sh
exec python3 tests/monitor/hostile.py "$RHEA"
