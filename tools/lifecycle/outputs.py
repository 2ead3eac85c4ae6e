# SPDX-License-Identifier: GPL-2.0
"""The lives of requests as a page, and as JSON for Perfetto and chrome://tracing."""

import json
from pathlib import Path

from lives import OPEN, STATES

TEMPLATE = Path(__file__).with_name('page.html')


class Table:
    """Values by their numbers, in the order in which they first came."""

    def __init__(self):
        self.values, self.places = [], {}

    def place(self, value):
        if value not in self.places:
            self.places[value] = len(self.values)
            self.values.append(value)
        return self.places[value]


def page_data(trace, title, source):
    """What the page needs, by columns: it is read by a program, and there may be 100 000 rows."""
    tick = 1000 if trace.digits <= 6 else 1
    zero = min(trace.first_time, trace.requests[0].begin)

    def at(time):
        return (time - zero) // tick

    # A thread is shown if it asks or serves.
    shown = {}
    for request in trace.requests:
        for task in [request.caller] + [holder for _, _, holder in request.segments]:
            if task is not None and task.pid not in shown:
                task.index = len(shown)
                shown[task.pid] = task
    tasks = list(shown.values())
    opcodes, outcomes, connections = Table(), Table(), Table()
    columns = {name: [] for name in ('unique', 'connection', 'op', 'node', 'caller', 'server', 'begin', 'end', 'outcome', 'in', 'out', 'flags')}
    segments = {'first': [0], 'state': [], 'time': [], 'holder': []}
    marks = {'request': [], 'time': [], 'what': []}
    mark_names = Table()
    place = {}
    for number, r in enumerate(trace.requests):
        place[id(r)] = number
        server = r.server
        for name, value in (
                # A number above 2^53 is more than the page can count.
                ('unique', r.unique if r.unique < 2**53 else str(r.unique)), ('connection', connections.place(r.connection)),
                ('op', opcodes.place(r.opcode)), ('node', int(r.node) if r.node and int(r.node) < 2**53 else r.node),
                ('caller', r.caller.index if r.caller else -1), ('server', server.index if server else -1),
                ('begin', at(r.begin)), ('end', -1 if r.end is None else at(r.end)),
                ('outcome', outcomes.place(r.outcome)), ('in', r.bytes_in), ('out', r.bytes_out), ('flags', r.flags)):
            columns[name].append(value)
        for state, time, holder in r.segments:
            segments['state'].append(state)
            segments['time'].append(at(time))
            segments['holder'].append(holder.index if holder else -1)
        segments['first'].append(len(segments['state']))
        for time, what in r.marks:
            marks['request'].append(number)
            marks['time'].append(at(time))
            marks['what'].append(mark_names.place(what))
    wakes = {name: [] for name in ('time', 'ran', 'from', 'to', 'request')}
    for wake in trace.wakes:
        if wake.by.index < 0 or wake.to.index < 0:
            continue
        for name, value in (('time', at(wake.time)), ('ran', at(wake.ran) if wake.ran is not None else -1),
                            ('from', wake.by.index), ('to', wake.to.index), ('request', place[id(wake.request)])):
            wakes[name].append(value)
    instants = {'time': [], 'task': [], 'what': []}
    for time, task, what in trace.instants:
        if task.index >= 0:
            instants['time'].append(at(time))
            instants['task'].append(task.index)
            instants['what'].append(what)
    ends = [r.end for r in trace.requests if r.end is not None] + [trace.last_time] + \
           [wake.ran for wake in trace.wakes if wake.ran is not None]
    return {
        'format': 1, 'title': title, 'source': source, 'tick': tick, 'end': at(max(ends)),
        'states': [{'key': key, 'label': label, 'meaning': meaning} for key, label, meaning in STATES],
        'tasks': [[t.pid, t.comm, 'server' if t.serves else 'caller', t.tgid or t.pid] for t in tasks],
        'opcodes': opcodes.values, 'outcomes': outcomes.values, 'connections': connections.values,
        'requests': columns, 'segments': segments, 'wakes': wakes, 'instants': instants,
        'marks': marks, 'markNames': mark_names.values,
    }


def page(trace, title, source):
    """A page that needs nothing else."""
    data = json.dumps(page_data(trace, title, source), separators=(',', ':'))
    # Nothing in it may end the element that holds it.
    data = data.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')
    return TEMPLATE.read_text(encoding='utf-8').replace('@DATA@', data, 1)


def chrome(trace):
    """The JSON that ui.perfetto.dev and chrome://tracing open: requests as asynchronous slices of
    their callers, with their states nested in them; what a server's thread holds as slices of its
    own; wake-ups as flows."""
    zero = min(trace.first_time, trace.requests[0].begin)
    events = []

    def us(time):
        return (time - zero) / 1000

    named = set()

    def thread(task):
        process = task.tgid or task.pid
        if task.pid not in named:
            named.add(task.pid)
            events.append({'ph': 'M', 'name': 'thread_name', 'pid': process, 'tid': task.pid, 'args': {'name': task.comm}})
            if process not in named or process == task.pid:
                named.add(process)
                events.append({'ph': 'M', 'name': 'process_name', 'pid': process, 'args': {'name': task.comm}})
        return {'pid': process, 'tid': task.pid}

    def slice_of(name, begin, end, where, identity, args):
        common = {'cat': 'fuse', 'id': identity, 'name': name, **where}
        events.append({'ph': 'b', 'ts': us(begin), **({'args': args} if args else {}), **common})
        events.append({'ph': 'e', 'ts': us(end), **common})

    for number, r in enumerate(trace.requests):
        end = trace.last_time if r.end is None else r.end
        args = {'unique': r.unique, 'connection': r.connection, 'nodeid': r.node, 'bytes out': r.bytes_in, 'bytes back': r.bytes_out,
                'outcome': 'not ended' if r.flags & OPEN else r.outcome}
        changes = r.segments + [(None, end, None)]
        if r.caller:
            where, identity = thread(r.caller), f'c{number}'
            slice_of(r.opcode, r.begin, end, where, identity, args)
            for (state, begin, _), (_, until, _) in zip(changes, changes[1:]):
                slice_of(STATES[state][1], begin, until, where, identity, {})
        held = [(s, b, u, h) for (s, b, h), (_, u, _) in zip(changes, changes[1:]) if h]
        if held:
            slice_of(r.opcode, held[0][1], held[-1][2], thread(held[0][3]), f's{number}', {'unique': r.unique})
        for time, what in r.marks:
            if r.caller:
                events.append({'ph': 'i', 's': 't', 'name': f'{what} {r.unique}', 'ts': us(time), **thread(r.caller)})
    for number, wake in enumerate(trace.wakes):
        ran = wake.time if wake.ran is None else wake.ran
        # A flow binds to slices, so each end gets a short one.
        events.append({'ph': 'X', 'name': 'wakes', 'ts': us(wake.time), 'dur': 0.5, **thread(wake.by)})
        events.append({'ph': 's', 'cat': 'wake', 'name': 'wake-up', 'id': number, 'ts': us(wake.time), **thread(wake.by)})
        events.append({'ph': 'X', 'name': 'runs', 'ts': us(ran), 'dur': 0.5, **thread(wake.to)})
        events.append({'ph': 'f', 'bp': 'e', 'cat': 'wake', 'name': 'wake-up', 'id': number, 'ts': us(ran), **thread(wake.to)})
    for time, task, what in trace.instants:
        events.append({'ph': 'i', 's': 't', 'name': what, 'ts': us(time), **thread(task)})
    return json.dumps({'traceEvents': events, 'displayTimeUnit': 'ns'}, separators=(',', ':'))
