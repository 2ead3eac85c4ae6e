#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Holds the threads of a virtiofsd that serve its queues; the one that talks to QEMU goes on.

    hold.py PID

So the device has what it is given, does not answer, and can be reset: a server that is stopped as a
whole would also keep QEMU, and with it the guest, from resetting the device. Prints a line when the
threads are held. The kernel lets them go on when this program ends.
"""

import ctypes
import os
import signal
import sys

# As virtiofsd names them.
NAME = 'vring_worker'
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
# Also children that are threads of another process.
WALL = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def trace(request, thread):
    if LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None):
        raise OSError(ctypes.get_errno(), 'ptrace')


def main():
    process = sys.argv[1]
    held = 0
    for thread in os.listdir(f'/proc/{process}/task'):
        with open(f'/proc/{process}/task/{thread}/comm', encoding='utf-8') as file:
            if file.read().strip() != NAME:
                continue
        trace(PTRACE_SEIZE, int(thread))
        trace(PTRACE_INTERRUPT, int(thread))
        os.waitpid(int(thread), WALL)
        held += 1
    print(f'held {held}', flush=True)
    signal.pause()


if __name__ == '__main__':
    main()
