#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vmock: the virtiofs driver on devices that lie.

    vmock.py [--module c|rust] [PATTERN]

Prints TAP. Needs two devices that tools/testing/virtiofs/vmock serves, `mock` and `broken`; the
second is one whose queues break. Every case passes on the C module of the same kernel, but for those
that say what is wrong there, which are of ours alone: they would hang. PATTERN picks cases as in
virtiofs.py. Exits with 1 if a case failed.
"""

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time

import virtiofs
from virtiofs import errno_of, expect, mounted, opened, read, read_file, read_past
from virtiofs import wait_for, write_file

READ, WRITE, STATFS, INIT = 15, 16, 17, 26

CASES = []


def case(function):
    CASES.append(function)
    return function


def of_ours(function):
    """A case that says what is wrong in C, where it would hang for ever."""
    function.of_ours = True
    return case(function)


class Setting(virtiofs.Setting):
    """What all cases know."""

    def __init__(self, module):
        self.module = module
        self.mock, self.broken = virtiofs.devices()


def tell(place, line):
    """Gives the device an order."""
    with opened(f'{place}/.vmock', os.O_WRONLY) as file:
        os.write(file, f'{line}\n'.encode())


def lie(place, opcode, word, number=0, times=1):
    """Makes the device lie to the next requests of an opcode."""
    tell(place, f'lie {opcode} {times} {word} {number}')


def counts(place):
    """What the device has counted."""
    with opened(f'{place}/.vmock', os.O_RDONLY) as file:
        lines = os.read(file, 4096).decode().splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


@contextlib.contextmanager
def caller(*words):
    """A process, for the time of a `with`; it must have ended by then."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
    process.wait(20)


@case
def files_are_served(setting):
    """What was written is read anew, and the names are there."""
    data = os.urandom((1 << 20) + 5)
    with mounted('mock') as place:
        write_file(f'{place}/file', data)
        expect('the names', ['.vmock', 'file'], sorted(os.listdir(place)))
    with mounted('mock') as place:
        expect('what is there', True, read_file(f'{place}/file') == data)
        expect('past the cache', True, read_past(f'{place}/file', len(data)) == data)
        os.truncate(f'{place}/file', 3)
        expect('what is left', data[:3], read_file(f'{place}/file'))
        os.unlink(f'{place}/file')
        wait_for('the node to be forgotten', lambda: counts(place)['known'] == 2)


@case
def each_processor_has_its_queue(setting):
    """Both queues are used, each by the processors that its file names."""
    mqs = f'{setting.mock.tree}/mqs'
    expect('the queues', ['0', '1', '2'], sorted(os.listdir(mqs)))
    with mounted('mock') as place:
        for queue in '1', '2':
            expect('its name', f'requests.{int(queue) - 1}\n', read(f'{mqs}/{queue}/name'))
            for cpu in (int(word) for word in read(f'{mqs}/{queue}/cpu_list').split(',')):
                os.sched_setaffinity(0, {cpu})
                before = counts(place)
                for _ in range(10):
                    os.statvfs(place)
                after = counts(place)
                expect(f'requests of processor {cpu}', True,
                       after[f'queue{queue}'] - before[f'queue{queue}'] >= 10)
                other = f'queue{3 - int(queue)}'
                expect('those of the other', True, after[other] - before[other] < 10)
                os.sched_setaffinity(0, range(os.cpu_count()))


# Lies about an answer, which nothing may believe.
LIES = [('used', -1), ('used', 1), ('used', -90), ('used', 4096), ('used', 0x7fffff00),
        ('length', -1), ('length', 1), ('length', 0x7fffff00), ('length', -96),
        ('both', -1), ('both', 1), ('both', -80), ('both', -81), ('both', -96), ('both', 4096),
        ('unique', 1), ('unique', -1), ('unique', 0x7fffffff),
        ('error', 1), ('error', -512), ('error', -0x80000000), ('error', 0x7fffffff),
        ('long-error', -5), ('long-error', 1)]


@case
def answers_that_lie_are_errors(setting):
    """STATFS has an answer of one length: each lie is EIO, and the next answer is good."""
    with mounted('mock') as place:
        for word, number in LIES:
            lie(place, STATFS, word, number)
            expect(f'{word} {number}', 'EIO', errno_of(os.statvfs, place))
            expect(f'after {word} {number}', None, errno_of(os.statvfs, place))


@case
def errors_of_the_device_are_the_caller_s(setting):
    """An error within the range is what the caller gets."""
    with mounted('mock') as place:
        for number in errno.ENOENT, errno.EIO, errno.ENOSPC, errno.ETIMEDOUT:
            lie(place, STATFS, 'error', -number)
            expect('the error', errno.errorcode[number], errno_of(os.statvfs, place))


@case
def reads_that_lie_show_nothing(setting):
    """A READ may be short and may not be long; what it did not write is not shown."""
    data = os.urandom(8192)
    with mounted('mock') as place:
        write_file(f'{place}/file', data)
        for word, number in (('used', 1), ('used', -1), ('length', -1), ('both', 1),
                             ('both', 1 << 20), ('unique', 1), ('error', 5), ('both', -8193)):
            lie(place, READ, word, number)
            expect(f'{word} {number}', 'EIO', errno_of(read_past, f'{place}/file', 8192))
        expect('what is there', True, read_past(f'{place}/file', 8192) == data)
        os.unlink(f'{place}/file')


@case
def writes_that_lie_are_errors(setting):
    """The answer of a WRITE has one length."""
    with mounted('mock') as place:
        for word, number in (('used', 1), ('used', -1), ('both', -1), ('both', -8), ('unique', 1)):
            lie(place, WRITE, word, number)
            # It is seen by the sync at the latest.
            with opened(f'{place}/file', os.O_CREAT | os.O_WRONLY | os.O_SYNC) as file:
                expect(f'{word} {number}', 'EIO', errno_of(os.write, file, b'words'))
        os.unlink(f'{place}/file')


@case
def init_that_lies_is_no_mount(setting):
    """No request is asked after an INIT that lied; the next mount is good."""
    for word, number in (('used', -1), ('both', 1), ('unique', 1), ('error', 1), ('error', -5)):
        with mounted('mock') as place:
            lie(place, INIT, word, number)
        with mounted('mock') as place:
            expect(f'{word} {number}', True, errno_of(os.statvfs, place) is not None)
    with mounted('mock') as place:
        os.statvfs(place)


def held(place, number):
    """As many processes that ask, each of whose requests the device holds."""
    lie(place, STATFS, 'hold', times=number)
    start = [subprocess.Popen(['stat', '-f', place], stdout=subprocess.DEVNULL)
             for _ in range(number)]
    wait_for('to be held', lambda: counts(place)['held'] == number)
    return start


@case
def answers_come_in_any_order(setting):
    """Each is that of its own request."""
    with mounted('mock') as place:
        for order in 'release', 'reverse':
            processes = held(place, 8)
            tell(place, order)
            for process in processes:
                expect('how it ended', 0, process.wait(20))


@case
def answers_come_late(setting):
    """Some late, others meanwhile."""
    with mounted('mock') as place:
        lie(place, STATFS, 'delay', 700)
        start = time.monotonic()
        with caller('stat', '-f', place) as process:
            wait_for('to be held', lambda: counts(place)['held'] == 1)
            expect('a name', 'ENOENT', errno_of(os.stat, f'{place}/nothing'))
            expect('how it ended', 0, process.wait(20))
        expect('it waited', True, time.monotonic() - start >= 0.7)


@case
def a_device_that_takes_nothing_fills_its_queue(setting):
    """What has no room waits, and all of it is answered when the device goes on."""
    with mounted('mock') as place:
        tell(place, 'stop 1500')
        ends = []
        threads = [threading.Thread(target=lambda: ends.append(errno_of(os.statvfs, place)))
                   for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        expect('how they ended', [None] * 200, ends)


@of_ours
def a_killed_caller_leaves_its_memory(setting):
    """The device answers a request whose caller is gone; nothing else sees the answer."""
    with mounted('mock') as place:
        for order in 'release', 'reverse':
            processes = held(place, 4)
            for process in processes:
                process.kill()
            for process in processes:
                expect('how it ended', -signal.SIGKILL, process.wait(10))
            tell(place, order)
            os.statvfs(place)


@of_ours
def a_request_that_is_never_answered_ends_with_the_device(setting):
    """To unbind the device ends it."""
    with mounted('broken') as place:
        processes = held(place, 3)
        setting.broken.unbind()
        for process in processes:
            expect('how it ended', 1, process.wait(10))
    setting.broken.bind()


@of_ours
def answers_that_are_none_break_the_queue(setting):
    """Twice, for a descriptor that is not out, beyond the ring, from before a reset: the queue is
    of no use any more, its requests end when the device is unbound, and it works when it is back."""
    for word, number in ('twice', 0), ('head', 7), ('head', 100000), ('head', -1):
        with mounted('broken') as place:
            lie(place, STATFS, word, number)
            with caller('stat', '-f', place) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                setting.broken.unbind()
                process.wait(10)
        setting.broken.bind()
        with mounted('broken') as place:
            os.statvfs(place)


@of_ours
def answers_of_a_former_life_end_nothing(setting):
    """What the device held over a reset is no answer to a request that came later."""
    # The device holds what came by the queue of the second processor, and uses it when the next
    # request comes there; those of the mount go by the other.
    stat = ['taskset', '-c', '1', 'stat', '-f']
    os.sched_setaffinity(0, {0})
    with mounted('broken') as place:
        lie(place, STATFS, 'stale')
        with caller(*stat, place) as process:
            wait_for('to be held', lambda: counts(place)['held'] == 1)
            setting.broken.unbind()
            expect('how it ended', 1, process.wait(10))
    setting.broken.bind()
    place = f'{virtiofs.PLACE}/stale'
    virtiofs.mount('broken', place)
    with caller(*stat, place) as process:
        process.wait(10)
        setting.broken.unbind()
    virtiofs.umount(place)
    setting.broken.bind()
    with mounted('broken') as place:
        os.statvfs(place)
    os.sched_setaffinity(0, range(os.cpu_count()))


if __name__ == '__main__':
    virtiofs.main(CASES, Setting)
