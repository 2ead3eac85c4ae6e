#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints a trace as tracefs would, of as many requests as asked for: synthetic.py [COUNT] [SEED].

Sixteen callers ask four threads of a server; some requests go by the background, some fail, some
are interrupted, one is never answered. For trying the page of scripts/lifecycle with a large trace.
"""

import random
import sys

OPERATIONS = [(1, 'LOOKUP', 12), (3, 'GETATTR', 20), (14, 'OPEN', 6), (15, 'READ', 30), (16, 'WRITE', 12), (18, 'RELEASE', 6), (44, 'READDIRPLUS', 4)]
NAMES = ['ls', 'cat', 'git', 'make', 'a b-1', 'kworker/u8:2', '<b>rsync</b>', 'cc1']


def trace(count, seed=1):
    rng = random.Random(seed)
    codes = [o[:2] for o in OPERATIONS]
    weights = [o[2] for o in OPERATIONS]
    callers = [(1000 + i, NAMES[i % len(NAMES)]) for i in range(16)]
    servers = [(500 + i, 'passthrough_ll') for i in range(4)]
    free_caller = {c: 1_000_000 for c in callers}
    free_server = {s: 1_000_000 for s in servers}
    events = []

    def event(time, task, name, text):
        events.append((time, len(events), f'{task[1]:>16}-{task[0]:<7} [{task[0] % 2:03}] ..... {time // 1_000_000:5}.{time % 1_000_000:06}: {name}: {text}'))

    for number in range(1, count + 1):
        unique = number * 2
        code, name = rng.choices(codes, weights)[0]
        caller = min(callers, key=lambda c: free_caller[c] + rng.random() * 40)
        server = min(servers, key=lambda s: free_server[s])
        background = name in ('RELEASE',) or (name == 'READ' and rng.random() < .3)
        node, length = rng.randrange(1, 200), 40 + rng.randrange(8, 60)
        common = f'connection 45 req {{}} opcode {code} (FUSE_{name}) nodeid {node} pid {caller[0]} tgid {{}} len {length}'
        told = common.format(unique, caller[0])
        by_server = common.format(unique, 500)
        time = free_caller[caller] + rng.randrange(1, 60)
        if background:
            event(time, caller, 'fuse_request_background', common.format(0, caller[0]) + f' request {number:016x}')
            free_caller[caller] = time + 3
            time += rng.randrange(0, 30)
        event(time, caller, 'fuse_request_send', f'connection 45 req {unique} opcode {code} (FUSE_{name}) len {length} ')
        event(time, caller, 'fuse_request_queue', told + f' request {number:016x}')
        start = max(time + rng.randrange(4, 20), free_server[server] + 1)
        event(time + 1, caller, 'sched_waking', f'comm={server[1]} pid={server[0]} prio=120 target_cpu=000')
        event(start - 1, (0, 'swapper/0'), 'sched_switch',
              f'prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm={server[1]} next_pid={server[0]} next_prio=120')
        event(start, server, 'fuse_request_start', by_server + ' device 0')
        event(start + 2, server, 'fuse_request_copy', by_server + f' direction out bytes {length} error 0')
        event(start + 3, server, 'fuse_request_sent', f'connection 45 req {unique} opcode {code} (FUSE_{name})')
        if number == count // 2:
            event(start + 50, caller, 'fuse_request_interrupt', told)
            event(start + 51, caller, 'fuse_interrupt_queue', told)
            free_caller[caller] = 1 << 60
            free_server[server] = start + 60
            continue
        reply = start + 5 + int(rng.expovariate(1 / 40))
        error = -2 if name == 'LOOKUP' and rng.random() < .2 else 0
        event(reply, server, 'fuse_request_reply', by_server + ' device 0')
        event(reply + 1, server, 'fuse_request_copy', by_server + f' direction in bytes {96 if not error else 0} error 0')
        event(reply + 2, server, 'fuse_request_end', f'connection 45 req {unique} len {112 if not error else 16} error {error}')
        free_server[server] = reply + 5
        if not background:
            event(reply + 3, server, 'sched_waking', f'comm={caller[1]} pid={caller[0]} prio=120 target_cpu=000')
            ran = reply + 5 + rng.randrange(0, 15)
            event(ran, (0, 'swapper/1'), 'sched_switch',
                  f'prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm={caller[1]} next_pid={caller[0]} next_prio=120')
            event(ran + 1, caller, 'fuse_request_wake', told + f' error {error}')
            free_caller[caller] = ran + 2
    events.sort()
    yield '# tracer: nop\n'
    for _, _, text in events:
        yield text + '\n'


if __name__ == '__main__':
    sys.stdout.writelines(trace(*(int(a) for a in sys.argv[1:3] or [1000])))
