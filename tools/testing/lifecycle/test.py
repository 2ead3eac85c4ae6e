#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of tools/lifecycle: test.py DIRECTORY [PATTERN].

Runs in the root of scripts/browser. DIRECTORY gets the pages and their pictures; where it holds a
`recorded.trace`, that is what the guest recorded of `ls -la /mnt`. The report is TAP; each test says
in its first line what must hold.
"""

import fnmatch
import json
import subprocess
import sys
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
TREE = HERE.parents[2]
sys.path[:0] = [str(TREE / 'tools' / 'lifecycle'), str(TREE / 'scripts'), str(HERE)]

import lives
import outputs
import synthetic
from browser import Browser

DIRECTORY = Path(sys.argv[1]).resolve()
TRACES = HERE / 'traces'
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def equal(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what}: got {got!r}, wanted {wanted!r}')


def truth(value, what):
    if not value:
        raise AssertionError(what)


def read(name):
    return lives.read((TRACES / f'{name}.txt').read_text().splitlines())


def by_opcode(trace):
    return {request.opcode: request for request in trace.requests}


def states(request):
    zero = request.begin
    return [(lives.STATES[state][0], (time - zero) // 1000) for state, time, _ in request.segments]


def write_page(trace, name, title='a test'):
    (DIRECTORY / f'{name}.html').write_text(outputs.page(trace, title, 'a test'), encoding='utf-8')
    return DIRECTORY / f'{name}.html'


# --- what is read ---

@test
def c_events_alone():
    """The C module's three events give the order, the times, the errors and who woke whom."""
    trace = read('c')
    equal([r.opcode for r in trace.requests], ['GETATTR', 'LISTXATTR', 'GETXATTR', 'OPENDIR', 'READDIRPLUS', 'READLINK', 'READDIRPLUS', 'RELEASEDIR'])
    first = trace.requests[0]
    equal((first.unique, first.connection, first.bytes_in, first.bytes_out, first.outcome), (6, 28, 56, 120, 'ok'))
    equal(states(first), [('pending', 0), ('sent', 3524)])
    equal((first.end - first.begin) // 1000, 8750)
    equal((first.caller.comm, first.caller.pid, first.server.comm, first.server.pid, first.server.tgid), ('ls', 92, 'fuse_worker', 90, 84))
    equal(trace.requests[1].outcome, 'ENOSYS (-38)')
    truth(trace.requests[1].flags & lives.FAILED, 'an error is a failure')
    wakes = [(w.kind, w.by.pid, w.to.pid) for w in trace.wakes if w.request is first]
    equal(wakes, [('queue', 92, 90), ('end', 90, 92)], 'wake-ups')
    equal(len(trace.wakes), 15, 'RELEASEDIR wakes nobody at its end, all others two')


@test
def every_state():
    """All states, with who holds them, and the fields of our events."""
    request = by_opcode(read('ours'))['GETATTR']
    equal(states(request), [('pending', 0), ('copying', 20), ('sent', 25), ('replying', 100)])
    equal([holder and holder.pid for _, _, holder in request.segments], [None, 90, 90, 90])
    equal((request.node, request.bytes_in, request.bytes_out), ('1', 56, 120))
    equal((request.woken - request.end) // 1000, 15)


@test
def background():
    """A request of the background begins on its queue, and belongs to who asked, not to who freed the slot."""
    request = by_opcode(read('ours'))['READ']
    equal(states(request), [('background', 0), ('pending', 100), ('copying', 120), ('sent', 125), ('replying', 130)])
    equal((request.caller.comm, request.unique, request.outcome), ('ls', 8, 'EIO (-5)'))
    truth(request.flags & lives.IN_BACKGROUND, 'it is marked')
    still = by_opcode(read('ours'))['RELEASE']
    equal((states(still), still.end, still.flags & lives.OPEN), ([('background', 0)], None, lives.OPEN))


@test
def over_a_ring():
    """What a ring has is in the lane of its queue, whichever thread copies it."""
    trace = read('ring')
    request = by_opcode(trace)['GETATTR']
    equal(states(request), [('pending', 0), ('copying', 2), ('sent', 25), ('replying', 100)])
    equal({holder.comm for _, _, holder in request.segments if holder}, {'ring queue 1'})
    equal([(w.kind, w.by.comm, w.to.comm, w.ran - w.time) for w in trace.wakes],
          [('queue', 'ls', 'ring queue 1', 7000), ('end', 'ring queue 1', 'ls', 9000)])
    truth('ring queue 1' in outputs.page(trace, 'a test', 'a test'), 'the page shows it')


@test
def taken_back():
    """A request whose caller was killed ends when it is taken back, and what led to it is kept."""
    request = by_opcode(read('ours'))['LOOKUP']
    equal((request.outcome, (request.end - request.begin) // 1000, request.server), ('taken back', 102, None))
    equal([what for _, what in request.marks], ['interrupt', 'kill'])
    truth(request.flags & lives.INTERRUPTED, 'it is marked')


@test
def sent_again():
    """A request that is sent again keeps its number and waits for a reader once more."""
    request = by_opcode(read('ours'))['COPY_FILE_RANGE_64']
    equal((request.unique, request.flags & lives.RESENT), (14, lives.RESENT))
    equal([s for s, _ in states(request)], ['pending', 'copying', 'sent', 'pending', 'copying', 'sent'])


@test
def what_is_no_request():
    """FORGETs and notifications are kept as events of their threads."""
    equal([what.split(':')[0] for _, _, what in read('ours').instants], ['forget sent', 'notify', 'notify end'])


@test
def other_tools():
    """What trace-cmd and perf print is read, with nanoseconds where there are; lost events are counted."""
    trace = read('trace-cmd')
    first = trace.requests[0]
    equal((trace.digits, trace.lost, [r.opcode for r in trace.requests]), (9, 17, ['GETATTR', 'LISTXATTR']))
    equal([time - first.begin for _, time, _ in first.segments], [0, 461810, 21707880, 22821890])
    equal([(w.kind, w.ran - w.time) for w in trace.wakes if w.request is first], [('queue', 56240), ('end', 4992390)])
    # With trace-cmd's plugins, the scheduler's events look otherwise.
    lines = ['ls-9 [001] 1.000000100: fuse_request_send: connection 1 req 2 opcode 3 (FUSE_GETATTR) len 56',
             'ls-9 [001] 1.000000200: sched_waking: server:7 [120]<CPU:001>',
             '<idle>-0 [000] 1.000000300: sched_switch: swapper/0:0 [120] R ==> server:7 [120]',
             'server-7 [000] 1.000000400: fuse_request_sent: connection 1 req 2 opcode 3 (FUSE_GETATTR)']
    equal([(w.to.comm, w.ran - w.time) for w in lives.read(lines).wakes], [('server', 100)])
    trace = read('perf')
    equal((trace.requests[0].opcode, trace.requests[0].server.pid, trace.requests[0].server.tgid, trace.requests[0].end is not None), ('GETATTR', 90, 84, True))


@test
def no_trace():
    """What is no trace of FUSE is refused with one clear line."""
    tool = TREE / 'tools' / 'lifecycle' / 'lifecycle.py'
    for text, wanted in ((b'', 'no event of the system fuse'), (b'\x00\xff' * 1000, 'no event of the system fuse'),
                         (b'PERFILE2' + b'\0' * 50, 'perf script'), (b'\x17\x08\x44tracing6\0', 'trace-cmd'),
                         (b'ls-1 [000] 1.000001: fuse_request_end: connection 1 req 2 len 16 error 0\n', 'must hold fuse_request_send')):
        path = DIRECTORY / 'bad.txt'
        path.write_bytes(text)
        done = subprocess.run([sys.executable, '-B', tool, path, '-o', DIRECTORY / 'bad.html'], capture_output=True, encoding='utf-8')
        equal(done.returncode, 1, text[:10])
        equal(done.stderr.count('\n'), 1, done.stderr)
        truth(done.stderr.startswith('error: ') and wanted in done.stderr, done.stderr)
        truth(not (DIRECTORY / 'bad.html').exists(), 'a page of nothing was written')


@test
def operations_are_those_of_the_table():
    """The names of operations agree with fs/fuse/op/table.rs."""
    import re
    table = re.findall(r'"(\w+)" = (\d+):', (TREE / 'fs' / 'fuse' / 'op' / 'table.rs').read_text())
    equal({int(number): name for name, number in table}, lives.OPCODES)


@test
def perfetto():
    """The JSON has each request with its states nested in it, in balance, and flows for wake-ups."""
    trace = read('ours')
    events = json.loads(outputs.chrome(trace))['traceEvents']
    kinds = [e['ph'] for e in events]
    equal(kinds.count('b'), kinds.count('e'), 'begins and ends')
    getattr_ = [e for e in events if e['ph'] == 'b' and e['id'] == 'c0']
    equal([(e['name'], e['ts']) for e in getattr_], [('GETATTR', 0), ('Pending', 0), ('Copying', 20), ('Sent', 25), ('Replying', 100)])
    equal(getattr_[0]['args']['nodeid'], '1')
    equal([(e['ph'], e['pid'], e['tid']) for e in events if e.get('cat') == 'wake'], [('s', 92, 92), ('f', 84, 90), ('s', 84, 90), ('f', 92, 92)])
    for event in events:
        truth(event['ph'] == 'M' or event['ts'] >= 0, event)


# --- what is shown ---

def texts(browser, selector):
    return browser.js(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")


def place(browser, request, server=False):
    """Where on the screen a request is drawn: the middle of its bar."""
    return browser.js(f'''(() => {{
        const r = {request}, row = page.rows().find(w => w.items.some(i => i.r === r && i.server === {'true' if server else 'false'}));
        const i = row.items.find(i => i.r === r), box = document.getElementById('lanes').getBoundingClientRect();
        return [box.left + (page.X(i.t0) + page.X(i.t1)) / 2, box.top + row.y + row.h / 2 + 24 - document.getElementById('scroll').scrollTop];
    }})()''')


def clean(browser):
    equal(browser.complaints(), [], 'errors in the page')


@test
def opens_from_a_file(browser):
    """The page opens from the file system, asks for nothing else, and has no error."""
    browser.open(write_page(read('ours'), 'ours', 'ls <b>&amp;</script> "x"'))
    equal(browser.js('document.querySelector("h1").textContent'), 'ls <b>&amp;</script> "x"')
    equal(texts(browser, '#list tbody td:nth-child(3)'), ['GETATTR', 'READ', 'RELEASE', 'LOOKUP', 'COPY_FILE_RANGE_64'])
    equal(texts(browser, '#list tbody td:nth-child(10)'), ['ok', 'EIO (-5)', 'not ended', 'taken back', 'not ended'])
    equal(texts(browser, '#status'), ['5 of 5 requests, 3 callers, 2 threads of servers'])
    browser.screenshot(DIRECTORY / 'ours.png', True)
    clean(browser)


@test
def hover_and_choose(browser):
    """Hovering shows the fields; a click, and the keys n and p, choose a request."""
    browser.open(write_page(read('ours'), 'ours'))
    x, y = place(browser, 0)
    browser.mouse('mouseMoved', x, y)
    tip = texts(browser, '#tip')[0]
    for part in ('GETATTR', '#6', 'node 1', 'ls (92) → fuse_worker (90)', 'took 105 µs', 'queue 25 µs', 'service 80 µs'):
        truth(part in tip, f'{part!r} is not in {tip!r}')
    browser.click(x, y)
    equal(texts(browser, '#detail tbody td:first-child'), ['Pending', 'Copying', 'Sent', 'Replying'])
    equal(texts(browser, '#detail tbody td:last-child'), ['20 µs', '5 µs', '75 µs', '5 µs'])
    browser.screenshot(DIRECTORY / 'hover.png')
    browser.key('n')
    truth('READ' in texts(browser, '#detail')[0], 'n chooses the next')
    browser.key('p')
    truth('GETATTR' in texts(browser, '#detail')[0], 'p chooses the previous')
    x, y = place(browser, 0, True)
    browser.click(x, y)
    truth('GETATTR' in texts(browser, '#detail')[0], 'the server\'s bar is the same request')
    clean(browser)


@test
def filters(browser):
    """Operation, node, pid, duration and outcome leave what fits, in the picture and in the tables."""
    path = write_page(read('ours'), 'ours')
    for fragment, wanted in (('op=READ', ['READ']), ('node=7', ['READ', 'RELEASE']), ('pid=95', ['LOOKUP']), ('pid=88', ['READ']),
                             ('pid=84', ['GETATTR', 'READ', 'COPY_FILE_RANGE_64']), ('min=120', ['READ', 'RELEASE', 'COPY_FILE_RANGE_64']), ('end=failed', ['READ', 'LOOKUP']),
                             ('end=open', ['RELEASE', 'COPY_FILE_RANGE_64']), ('end=interrupted', ['LOOKUP']), ('op=READ&node=1', [])):
        browser.open(path, fragment)
        equal(texts(browser, '#list tbody td:nth-child(3)'), wanted, fragment)
        equal(browser.js('page.shown()'), len(wanted), fragment)
    # By hand: the select, then the button.
    browser.open(path)
    browser.js("const s = document.getElementById('f-op'); s.value = 'LOOKUP'; s.dispatchEvent(new Event('change'))")
    equal(texts(browser, '#summary tbody td:first-child'), ['LOOKUP'])
    browser.js("document.getElementById('reset').click()")
    equal(browser.js('page.shown()'), 5)
    clean(browser)


@test
def states_have_their_colours(browser):
    """Each state is drawn in the colour that the legend gives it."""
    browser.open(write_page(read('ours'), 'ours'), 'view=0,110')
    found = browser.js('''(() => {
        page.paint();
        const c = document.getElementById('lanes').getContext('2d'), style = getComputedStyle(document.documentElement);
        const row = page.rows().find(w => w.items.some(i => i.r === 0 && i.server)), out = [];
        for (const [time, key] of [[22, 'copying'], [90, 'sent'], [103, 'replying']]) {
            const [r, g, b] = c.getImageData(page.X(time), row.y + 24 + 1, 1, 1).data;
            out.push('#' + [r, g, b].map(v => v.toString(16).padStart(2, '0')).join('') === style.getPropertyValue('--s-' + key).trim());
        }
        return out;
    })()''')
    equal(found, [True, True, True])


@test
def light_and_dark(browser):
    """The page follows the reader's theme, and its contrast is enough to read in both."""
    path = write_page(read('ours'), 'ours')
    for dark in (False, True):
        browser.dark(dark)
        browser.open(path, 'request=6')
        ratio = browser.js('''(() => {
            const of = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
            const worst = [];
            for (const e of document.querySelectorAll('h1, h2, .sub, dt, dd, th, td, label, caption, .hint, td button')) {
                let back = e; while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
                const a = of(getComputedStyle(e).color), b = of(getComputedStyle(back || document.body).backgroundColor);
                worst.push((Math.max(a, b) + .05) / (Math.min(a, b) + .05));
            }
            return Math.min(...worst);
        })()''')
        truth(ratio >= 4.5, f'contrast {ratio:.2f}, dark: {dark}')
        browser.screenshot(DIRECTORY / ('dark.png' if dark else 'light.png'), True)
    browser.dark(False)
    clean(browser)


@test
def can_be_used_without_seeing_it(browser):
    """Everything has a name: controls, the canvas, the columns; what is chosen is announced."""
    browser.open(write_page(read('ours'), 'ours'))
    nameless = browser.js('''[...document.querySelectorAll('input, select, button, canvas:not([aria-hidden])')].filter(e =>
        !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()).length''')
    equal(nameless, 0)
    equal(browser.js("document.querySelectorAll('th:not([scope])').length"), 0)
    equal(browser.js("document.querySelector('aside').getAttribute('aria-live')"), 'polite')
    equal(browser.js("document.documentElement.lang"), 'en')


@test
def a_hundred_thousand(browser):
    """100 000 requests open in seconds, and moving among them is smooth."""
    path = write_page(lives.read(synthetic.trace(100_000)), 'many', '100 000 requests')
    browser.open(path)
    equal(browser.js('page.shown()'), 100_000)
    elements = browser.js("document.querySelectorAll('*').length")
    truth(elements < 1500, f'{elements} elements')
    ready = browser.js('+document.documentElement.dataset.ready')
    paint, zoomed = browser.js('''(() => {
        const time = f => { const t = performance.now(); for (let i = 0; i < 20; i++) f(i); return (performance.now() - t) / 20; };
        const all = time(() => page.paint());
        const part = time(i => { page.setView(600000 + i * 1000, 620000 + i * 1000); page.paint(); });
        return [all, part];
    })()''')
    print(f'# {ready} ms until it is there, {paint:.1f} ms a frame of all, {zoomed:.1f} ms a frame of a part')
    # A machine that is busy otherwise gets room: unloaded, these are 500, 17 and 5.
    truth(ready < 8000, f'{ready} ms until it was there')
    truth(paint < 100 and zoomed < 100, f'{paint} and {zoomed} ms a frame')
    browser.js('page.setView(0, 1e12)')
    browser.screenshot(DIRECTORY / 'many.png')
    # The one that was never answered is found by its outcome.
    browser.open(path, 'end=open')
    equal(browser.js('page.shown()'), 1)
    clean(browser)


@test
def recorded(browser):
    """What the guest recorded of `ls -la` shows OPENDIR, GETATTR, READDIRPLUS and RELEASEDIR with their times, in order."""
    path = DIRECTORY / 'recorded.trace'
    trace = lives.read(path.read_text().splitlines())
    browser.open(write_page(trace, 'recorded', 'ls -la /mnt'))
    browser.screenshot(DIRECTORY / 'recorded.png', True)
    rows = browser.js("[...document.querySelectorAll('#list tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    names = [row[2] for row in rows if row[4].startswith('ls ')]
    for name in ('GETATTR', 'OPENDIR', 'READDIRPLUS', 'RELEASEDIR'):
        truth(name in names, f'{name} is not in {names}')
    truth(names.index('OPENDIR') < names.index('READDIRPLUS') < names.index('RELEASEDIR'), names)
    units = {'µs': 1, 'ms': 1e3, 's': 1e6}
    times = [float(row[0].split()[0]) * units[row[0].split()[1]] for row in rows]
    equal(times, sorted(times), 'in the order of time')
    for row in rows:
        truth(row[8] not in ('', '0 µs'), f'{row[2]} took no time')
        truth(row[9] == 'ok' or row[9].startswith('E'), f'{row[2]}: {row[9]}')
    truth(trace.wakes, 'nobody was woken')
    ours = any('fuse_request_start' in line for line in path.open())
    if ours:
        request = by_opcode(trace)['OPENDIR']
        equal([lives.STATES[s][0] for s, _, _ in request.segments], ['pending', 'copying', 'sent', 'replying'])
        truth(request.node == '1', 'OPENDIR of the root')
    clean(browser)


def main():
    pattern = f'*{sys.argv[2] if len(sys.argv) > 2 else ""}*'
    chosen = [t for t in TESTS if fnmatch.fnmatchcase(t.__name__, pattern)]
    print(f'1..{len(chosen)}')
    bad = 0
    browser = None
    for number, function in enumerate(chosen, 1):
        try:
            if function.__code__.co_argcount:
                browser = browser or Browser()
                function(browser)
            else:
                function()
            print(f'ok {number} lifecycle::{function.__name__}', flush=True)
        except Exception:
            bad += 1
            print(f'not ok {number} lifecycle::{function.__name__}: {function.__doc__}')
            print('\n'.join('# ' + line for line in traceback.format_exc().splitlines()), flush=True)
    if browser:
        browser.process.kill()
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
