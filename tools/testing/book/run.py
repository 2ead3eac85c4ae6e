#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does what a chapter of the book says, in the guest, and looks whether it is so: run.py CHAPTER...

In a block `.. code-block:: console` a line that begins with `# ` is a command, and what follows it
until the next one is what it prints. All commands of a chapter go to one shell. A number in the book
stands for any number, white space for any, `...` for anything in a line, and a line of `...` alone for
any lines. Where the book shows nothing, nothing may be printed. The report is TAP.
"""

import re
import subprocess
import sys
import threading
from pathlib import Path

LIMIT = 60


def steps(text):
    """The commands of a chapter with the lines that they are to print, and where they stand."""
    found, block = [], False
    for number, line in enumerate(text.split('\n'), 1):
        if line.startswith('.. code-block:: console'):
            block = True
            continue
        if block and line and not line[0].isspace():
            block = False
        if not block or not line.strip():
            continue
        line = line.strip()
        if line.startswith('# '):
            found.append((number, line[2:], []))
        elif found:
            found[-1][2].append(line)
    return found


def pattern(lines):
    """What the output must match."""
    out = []
    for line in lines:
        if line == '...':
            out.append(r'(?:.*\n)*?')
            continue
        words = []
        for word in line.split():
            word = '.*'.join(re.sub(r'\d+', r'\\d+', re.escape(part).replace(r'\-', '-')) for part in word.split('...'))
            words.append(word)
        out.append(r'\s*' + r'\s+'.join(words) + r'\s*?\n')
    return re.compile(''.join(out) + r'\s*')


class Shell:
    """One bash, which runs command after command."""

    def __init__(self):
        self.process = subprocess.Popen(['bash', '--norc'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')

    def run(self, command, number):
        mark = f'--- done {number} '
        self.process.stdin.write(f"{command}\nprintf '\\n{mark}%d\\n' $?\n")
        self.process.stdin.flush()
        timer = threading.Timer(LIMIT, self.process.kill)
        timer.start()
        out = []
        for line in self.process.stdout:
            if line.startswith(mark):
                timer.cancel()
                return ''.join(out)
            out.append(line)
        timer.cancel()
        raise TimeoutError(f'no end after {LIMIT} s; so far it printed: {"".join(out)}')


def main():
    chapters = [(Path(name), steps(Path(name).read_text(encoding='utf-8'))) for name in sys.argv[1:]]
    print(f'1..{sum(len(found) for _, found in chapters)}')
    done, bad = 0, 0
    for path, found in chapters:
        shell, broken = Shell(), ''
        for number, command, lines in found:
            done += 1
            name = f'book::{path.stem}:{number} {command}'
            if broken:
                print(f'not ok {done} {name}\n# not run: {broken}')
                bad += 1
                continue
            try:
                printed = shell.run(command, done)
            except (TimeoutError, BrokenPipeError) as e:
                broken = f'line {number} failed: {e}'
                printed = None
            # The empty line before the mark ends what did not end in one.
            text = re.sub(r'\n+$', '\n', printed or '').lstrip('\n')
            if printed is not None and pattern(lines).fullmatch(text):
                print(f'ok {done} {name}', flush=True)
                continue
            bad += 1
            print(f'not ok {done} {name}')
            for line in ['it is to print:', *lines, 'it printed:', *(text.splitlines() if not broken else [broken])]:
                print(f'# {line}')
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
