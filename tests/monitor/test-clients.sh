#!/bin/sh
# The programs and people that talk to a monitor: tests/monitor/clients.py.
. tests/lib/python-test.sh
exec python3 tests/monitor/clients.py "$RHEA"
