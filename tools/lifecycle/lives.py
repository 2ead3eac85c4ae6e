# SPDX-License-Identifier: GPL-2.0
"""From a text trace to the lives of requests.

What is read: the `trace` file of tracefs, or what `trace-cmd report` and `perf script` print. The
C module's three events (fuse_request_send, _sent, _end) are enough for a picture; with those of
Documentation/observing.rst it shows every state, and with sched_waking and sched_switch also who
wakes whom. Events of other kinds and lines of other kinds are passed over.
"""

import errno
import re

# A state: its key (also of its colour in page.html), its name, what it means.
STATES = [
    ('background', 'Background', 'waits for a slot'),
    ('pending', 'Pending', 'waits for a reader'),
    ('copying', 'Copying', 'a server reads it'),
    ('sent', 'Sent', 'the server works on it'),
    ('replying', 'Replying', 'its answer is read'),
]
BACKGROUND, PENDING, COPYING, SENT, REPLYING = range(5)

# Flags of a request, as in page.html.
OPEN, FAILED, INTERRUPTED, IN_BACKGROUND, RESENT = 1, 2, 4, 8, 16

# The trace of a kernel names only the operations that it knew when its tracepoints were made.
OPCODES = {
    1: 'LOOKUP', 2: 'FORGET', 3: 'GETATTR', 4: 'SETATTR', 5: 'READLINK', 6: 'SYMLINK', 8: 'MKNOD',
    9: 'MKDIR', 10: 'UNLINK', 11: 'RMDIR', 12: 'RENAME', 13: 'LINK', 14: 'OPEN', 15: 'READ',
    16: 'WRITE', 17: 'STATFS', 18: 'RELEASE', 20: 'FSYNC', 21: 'SETXATTR', 22: 'GETXATTR',
    23: 'LISTXATTR', 24: 'REMOVEXATTR', 25: 'FLUSH', 26: 'INIT', 27: 'OPENDIR', 28: 'READDIR',
    29: 'RELEASEDIR', 30: 'FSYNCDIR', 31: 'GETLK', 32: 'SETLK', 33: 'SETLKW', 34: 'ACCESS',
    35: 'CREATE', 36: 'INTERRUPT', 37: 'BMAP', 38: 'DESTROY', 39: 'IOCTL', 40: 'POLL',
    41: 'NOTIFY_REPLY', 42: 'BATCH_FORGET', 43: 'FALLOCATE', 44: 'READDIRPLUS', 45: 'RENAME2',
    46: 'LSEEK', 47: 'COPY_FILE_RANGE', 48: 'SETUPMAPPING', 49: 'REMOVEMAPPING', 50: 'SYNCFS',
    51: 'TMPFILE', 52: 'STATX', 53: 'COPY_FILE_RANGE_64', 4096: 'CUSE_INIT',
}

# A request that is sent again carries this bit.
RESEND = 1 << 63

# Where an event has a device, a number from here on is a queue of the connection's ring.
QUEUES = 1 << 16

TRACEFS = re.compile(r'\s*(.+)-(\d+)\s+(?:\(\s*([\d-]+)\)\s+)?\[\d+\]\s+(?:[^\s\d]\S*\s+|\S{4,6}\s+)?'
                     r'(\d+)\.(\d+):\s+(\w+):\s*(.*)')
PERF = re.compile(r'\s*(\S.*?)\s+(?:(\d+)/)?(\d+)\s+\[\d+\]\s+(\d+)\.(\d+):\s+\w+:(\w+):\s*(.*)')
KNOWN = re.compile(r': +(?:\w+:)?(?:fuse_|sched_waking:|sched_switch:)')
LOST = re.compile(r'LOST (\d+) EVENTS')
WORD = re.compile(r'(\w+) (-?\w+)')
WOKEN = re.compile(r'(?:comm=(.*) pid=(\d+) prio|(.*):(\d+) \[)')
SWITCH = re.compile(r'.*==> (?:next_comm=(.*) next_pid=(\d+)|(.*):(\d+) \[)')


class Bad(Exception):
    """The input is not a trace that something can be shown of."""


class Task:
    """A thread that asks or serves, or a queue of a ring, whose number as a thread is negative."""

    def __init__(self, pid, comm):
        self.pid, self.comm, self.tgid, self.serves, self.index = pid, comm, 0, False, -1


class Request:
    """One request; times are in nanoseconds of the trace's clock."""

    def __init__(self, connection, unique, opcode, caller, time):
        self.connection, self.unique, self.opcode, self.caller = connection, unique, opcode, caller
        self.node, self.bytes_in, self.bytes_out = '', -1, -1
        self.begin, self.end = time, None
        self.outcome, self.flags = '', 0
        # (state, since when, who holds it)
        self.segments = []
        # (when, what else happened)
        self.marks = []
        # Where its waiter ran again, for who has no scheduler events.
        self.woken, self.ender = None, None
        # The queue of a ring that it goes over.
        self.queue = None

    @property
    def server(self):
        """Who read it."""
        return next((holder for state, _, holder in self.segments if holder), None)

    def enter(self, state, time, holder=None):
        # A state that the trace began in the middle of, or that two events announce.
        if self.segments and self.segments[-1][0] == state:
            return
        self.segments.append((state, time, holder))


class Wake:
    """`by` wakes `to`, because of a request; `ran` is when `to` got a processor."""

    def __init__(self, time, by, to, request, kind):
        self.time, self.by, self.to, self.request, self.kind, self.ran = time, by, to, request, kind, None


class Trace:
    """All that was read."""

    def __init__(self):
        self.tasks, self.requests, self.wakes = {}, [], []
        # Requests by connection and number, and those in the background by their address.
        self.by_unique, self.queued_behind = {}, {}
        # What each thread did last, which tells whom it wakes and why.
        self.last, self.waking = {}, {}
        # (when, thread, what): FORGETs, notifications, aborts.
        self.instants = []
        self.digits, self.events, self.lost = 6, 0, 0
        self.scheduler = False
        self.first_time = self.last_time = None

    def task(self, pid, comm, tgid=None):
        task = self.tasks.get(pid)
        if task is None:
            task = self.tasks[pid] = Task(pid, comm)
        elif comm != task.comm and comm != '<...>':
            # It has executed another program since.
            task.comm = comm
        if tgid:
            task.tgid = tgid
        return task

    def queue(self, connection, device):
        """A queue of the ring: an entry has the request, whichever thread copies it."""
        number = device - QUEUES
        return self.task(-1 - (connection * QUEUES + number), f'ring queue {number}')

    def finish(self):
        """What can only be said when all is read."""
        if not self.requests:
            if self.events:
                raise Bad('the trace has events of FUSE and not one whole request: it must hold fuse_request_send')
            raise Bad('no event of the system fuse in it: record with `-e fuse`, and give a text trace, or a trace.dat')
        self.requests.sort(key=lambda r: r.begin)
        for request in self.requests:
            if request.end is None:
                request.flags |= OPEN
        servers = {request.server for request in self.requests} - {None}
        for server in servers:
            server.serves = True
        kept = []
        for wake in self.wakes:
            queue = wake.request.queue
            if queue and wake.kind == 'queue':
                wake.to = queue
            elif queue and wake.kind == 'end' and wake.by is not wake.request.caller:
                wake.by = queue
            sends = wake.kind == 'queue' and wake.to in servers
            ends = wake.kind == 'end' and wake.to is wake.request.caller
            if (sends or ends) and wake.to is not wake.by:
                kept.append(wake)
        if not self.scheduler:
            kept = [self.wake_of(r) for r in self.requests if r.woken and r.end and r.ender and r.ender is not r.caller]
        self.wakes = sorted(kept, key=lambda w: w.time)
        return self

    @staticmethod
    def wake_of(request):
        wake = Wake(request.end, request.queue or request.ender, request.caller, request, 'end')
        wake.ran = request.woken
        return wake


def describe(error):
    """What an error is called."""
    if error == 0:
        return 'ok'
    return f'{errno.errorcode.get(-error, "error")} ({error})'


def name_of(opcode, details):
    if opcode in OPCODES:
        return OPCODES[opcode]
    found = re.search(r'\((?:FUSE_)?([A-Z]\w*)\)', details)
    return found.group(1) if found else f'opcode {opcode}'


def read(lines):
    """Reads a text trace."""
    trace = Trace()
    for line in lines:
        if not KNOWN.search(line):
            lost = LOST.search(line)
            trace.lost += int(lost.group(1)) if lost else 0
            continue
        match = TRACEFS.match(line)
        if match:
            comm, pid, tgid, seconds, fraction, event, details = match.groups()
        else:
            match = PERF.match(line)
            if not match:
                continue
            comm, tgid, pid, seconds, fraction, event, details = match.groups()
        trace.digits = max(trace.digits, len(fraction))
        time = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, '0')[:9])
        if event.startswith('sched_'):
            trace.scheduler = True
            scheduler(trace, time, int(pid), event, details)
            continue
        trace.first_time = time if trace.first_time is None else trace.first_time
        trace.last_time = time
        trace.events += 1
        words = dict(WORD.findall(details))
        tgid = words.get('tgid', tgid)
        here = trace.task(int(pid), comm.strip(), int(tgid) if tgid and tgid.isdigit() else None)
        fuse(trace, time, here, event, details, words)
    return trace.finish()


def scheduler(trace, time, pid, event, details):
    """Who woke whom, and when did it run?"""
    if event == 'sched_waking':
        last = trace.last.pop(pid, None)
        if last is None:
            return
        comm, to, other_comm, other = WOKEN.match(details).groups() if WOKEN.match(details) else (None,) * 4
        if to is None and other is None:
            return
        request, kind = last
        wake = Wake(time, trace.tasks[pid], trace.task(int(to or other), comm or other_comm), request, kind)
        trace.wakes.append(wake)
        trace.waking[wake.to.pid] = wake
    elif event == 'sched_switch':
        match = SWITCH.match(details)
        if match:
            wake = trace.waking.pop(int(match.group(2) or match.group(4)), None)
            if wake:
                wake.ran = time


def fuse(trace, time, here, event, details, words):
    """One event of the system fuse."""
    woken = trace.waking.pop(here.pid, None)
    if woken and woken.ran is None:
        woken.ran = time
    if not event.startswith('fuse_request_') and event not in ('fuse_interrupt_queue', 'fuse_interrupt_sent'):
        trace.last.pop(here.pid, None)
        trace.instants.append((time, here, event[5:].replace('_', ' ') + ': ' + details.strip()))
        return
    if 'connection' not in words or 'req' not in words:
        return
    connection, unique = int(words['connection']), int(words['req'])
    opcode = int(words['opcode']) if 'opcode' in words else None
    key = (connection, unique & ~RESEND)
    kind = event[5:]

    if kind == 'request_background':
        request = Request(connection, 0, name_of(opcode, details), here, time)
        request.flags |= IN_BACKGROUND
        request.enter(BACKGROUND, time)
        trace.queued_behind[(connection, words.get('request'))] = request
        trace.requests.append(request)
        common(request, words)
        return

    request = trace.by_unique.get(key)
    if kind == 'request_send' and not (request and unique & RESEND):
        request = Request(connection, unique, name_of(opcode, details), here, time)
        request.enter(PENDING, time)
        trace.by_unique[key] = request
        trace.requests.append(request)
        common(request, words)
        trace.last[here.pid] = (request, 'queue')
        return
    if request is None:
        if opcode is None:
            return
        # The trace began after it: what is left of its life is shown.
        request = trace.by_unique[key] = Request(connection, unique & ~RESEND, name_of(opcode, details), None, time)
        trace.requests.append(request)
    common(request, words)
    if kind in ('request_start', 'request_sent', 'request_reply'):
        device = int(words.get('device', 0))
        if device >= QUEUES:
            request.queue = trace.queue(connection, device)
        # On a ring, who queues a request is who gives it to an entry, and wakes the server's thread then.
        if request.queue is None or kind != 'request_start':
            trace.last.pop(here.pid, None)
    if kind == 'request_queue':
        behind = trace.queued_behind.pop((connection, words.get('request')), None)
        if behind is not None:
            adopt(trace, request, behind)
        if request.segments[-1][0] != PENDING:
            request.enter(PENDING, time)
        trace.last[here.pid] = (request, 'queue')
    elif kind == 'request_start':
        request.enter(COPYING, time, request.queue or here)
    elif kind == 'request_sent':
        request.enter(SENT, time, request.queue or here)
    elif kind == 'request_reply':
        request.enter(REPLYING, time, request.queue or here)
    elif kind == 'request_end':
        request.end, request.ender = time, here
        request.bytes_out = int(words.get('len', 0))
        error = int(words.get('error', 0))
        request.outcome = describe(error)
        request.flags |= FAILED if error else 0
        trace.last[here.pid] = (request, 'end')
    elif kind == 'request_cancel':
        request.end, request.ender, request.outcome = time, here, 'taken back'
        request.flags |= FAILED
    elif kind == 'request_wake':
        request.woken = time
    elif kind == 'request_resend':
        request.flags |= RESENT
        request.enter(PENDING, time)
    elif kind == 'request_copy':
        pass
    else:
        if kind == 'request_interrupt':
            request.flags |= INTERRUPTED
        request.marks.append((time, kind.replace('request_', '').replace('_', ' ')))


def common(request, words):
    """The fields that most events have."""
    if 'nodeid' in words:
        request.node = words['nodeid']
        request.bytes_in = int(words.get('len', request.bytes_in))
    elif request.bytes_in < 0 and 'opcode' in words and 'len' in words:
        request.bytes_in = int(words['len'])


def adopt(trace, request, behind):
    """It was in the background before it had a number."""
    request.begin, request.caller = behind.begin, behind.caller
    request.flags |= behind.flags
    request.segments[:0] = behind.segments
    trace.requests.remove(behind) if trace.requests[-1] is behind else behind_gone(trace, behind)


def behind_gone(trace, behind):
    # Searched from the end: it was queued a short while ago.
    for place in range(len(trace.requests) - 1, -1, -1):
        if trace.requests[place] is behind:
            del trace.requests[place]
            return
