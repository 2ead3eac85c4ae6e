#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a page of the requests in a trace, and JSON for Perfetto.

The trace is a text trace (tracefs, trace-cmd report, perf script), or a trace.dat, which
trace-cmd must be installed for. Needs Python 3 and nothing else.
"""

import argparse
import gc
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import lives
import outputs


def lines_of(path):
    """The lines of a text trace; of a trace.dat, what trace-cmd says of it."""
    if path == '-':
        return sys.stdin
    with open(path, 'rb') as file:
        magic = file.read(10)
    if magic == b'\x17\x08\x44tracing':
        try:
            done = subprocess.run(['trace-cmd', 'report', '-N', '-t', '-i', path], capture_output=True,
                                  encoding='utf-8', errors='replace', check=True)
        except FileNotFoundError:
            raise lives.Bad('a trace.dat needs trace-cmd, which is not installed; or give the text of `trace-cmd report -N -t`') from None
        except subprocess.CalledProcessError as e:
            raise lives.Bad(f'trace-cmd cannot read it: {(e.stderr.strip().splitlines() or ["no reason given"])[-1]}') from None
        return done.stdout.splitlines()
    if magic.startswith(b'PERFILE2'):
        raise lives.Bad('this is a perf.data: give the output of `perf script` instead')
    return open(path, encoding='utf-8', errors='replace')


def main():
    parser = argparse.ArgumentParser(prog='lifecycle', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('trace', help='the trace, or - for standard input')
    parser.add_argument('-o', '--output', default='lifecycle.html', help='the page (default: lifecycle.html); the JSON lies beside it')
    parser.add_argument('--title', help='what the page is about (default: the name of the trace)')
    parser.add_argument('--source', help='where the trace comes from (default: its name)')
    arguments = parser.parse_args()
    # All that is made stays until the end, so there is nothing to collect.
    gc.disable()
    output = Path(arguments.output)
    if output.suffix != '.html':
        parser.error('the output must end in .html')
    try:
        found = lives.read(lines_of(arguments.trace))
        name = Path(arguments.trace).name if arguments.trace != '-' else 'standard input'
        source = arguments.source or name
        if found.lost:
            source += f'; {found.lost} events were lost: make the buffer larger'
        output.write_text(outputs.page(found, arguments.title or name, source), encoding='utf-8')
        output.with_suffix('.json').write_text(outputs.chrome(found), encoding='utf-8')
    except (lives.Bad, OSError) as e:
        print(f'error: {arguments.trace}: {e}', file=sys.stderr)
        return 1
    still = sum(1 for r in found.requests if r.flags & lives.OPEN)
    print(f'{len(found.requests)} requests' + (f', {still} of them not ended' if still else ''))
    print(f'page:     {output.resolve()}')
    print(f'Perfetto: {output.with_suffix(".json").resolve()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
