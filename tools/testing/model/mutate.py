#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Takes things away from the engine, one at a time.

    mutate.py [PATTERN]   builds each mutant whose name has PATTERN in it, and runs the scenarios that
                          have to catch it; reports in TAP. Runs in the build root, see scripts/model
    mutate.py --fits      only looks whether each is still one: its text is in the source, once, and
                          Documentation/model.rst says what catches it
    mutate.py --rows      the rows of that table

`mutants` says what is taken away.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
HERE = Path('tools/testing/model')
BOOK = SOURCE / 'Documentation' / 'model.rst'
COPY = Path('/build/out/model/mutant')
TARGET = Path('/build/out/model/target')
# Seconds that a scenario may take. A thread that waits for ever is found before that.
LONGEST = 600
KINDS = {'barrier': 'Barriers', 'check': 'What is looked at once more',
         'wake': 'Wake-ups', 'owed': 'What is owed, and where'}


class Mutant:
    """One thing to take away."""

    def __init__(self, title, line):
        self.kind, _, self.name = title.partition(': ')
        self.line, self.scenarios, self.changes = line, [], []
        self.path, self.old, self.new = None, [], []

    def add(self):
        """The change that was read is complete."""
        if self.old or self.new:
            self.changes.append((self.path, '\n'.join(self.old), '\n'.join(self.new)))
        self.old, self.new = [], []

    def text(self):
        """The name as the book has it."""
        return re.sub(r'(?<![`\w])(\w+\(\))', r'``\1``', self.name)

    def row(self):
        """The cells of its row in the book."""
        return self.text(), ', '.join(f'``{name}``' for name in self.scenarios)

    def misfit(self, root):
        """Why it cannot be applied, if so."""
        for path, old, _ in self.changes:
            file = root / path
            times = file.read_text().count(old) if file.exists() else 0
            if times != 1:
                return f'{path} has it {times} times: {old.strip()!r}'
        return None if self.changes else 'it changes nothing'


def mutants():
    """All of them."""
    found = []
    lines = (SOURCE / HERE / 'mutants').read_text().split('\n')
    for number, line in enumerate(lines, 1):
        if line.startswith('#') or not line.strip():
            continue
        kind, _, text = line.partition(' ')
        if kind == '=':
            if found:
                found[-1].add()
            found.append(Mutant(text, number))
        elif kind == 'try':
            found[-1].scenarios = text.split()
        elif kind == 'file':
            found[-1].add()
            found[-1].path = text
        elif kind == '-':
            if found[-1].new:
                found[-1].add()
            found[-1].old.append(text)
        elif kind == '+':
            found[-1].new.append(text)
        else:
            sys.exit(f'mutants:{number}: what is {line!r}?')
    found[-1].add()
    return found


def rows():
    """The tables of the book, one for each kind."""
    for kind, title in KINDS.items():
        print(f'.. list-table:: {title}\n   :header-rows: 1\n\n   * - Taken away\n     - Caught by')
        for mutant in mutants():
            if mutant.kind == kind:
                print('   * - {}\n     - {}'.format(*mutant.row()))
        print()


def fits():
    """What is wrong with the list, a line each."""
    book = re.sub(r'\s+', ' ', BOOK.read_text())
    code = ''.join(path.read_text() for path in (SOURCE / HERE / 'engine/src/scenarios').glob('*.rs'))
    wrong = []
    for mutant in mutants():
        where = f'{HERE}/mutants:{mutant.line}: {mutant.name}'
        misfit = mutant.misfit(SOURCE)
        if misfit:
            wrong.append(f'{where}: {misfit}')
        if mutant.kind not in KINDS:
            wrong.append(f'{where}: there is no kind {mutant.kind!r}')
        wrong += [f'{where}: there is no scenario {name}' for name in mutant.scenarios
                  if not re.search(rf'^    \d {name}: ', code, re.M)]
        if not mutant.scenarios:
            wrong.append(f'{where}: no scenario has to catch it')
        if '* - {} - {}'.format(*mutant.row()) not in book:
            wrong.append(f'{where}: {BOOK.name} does not have its row')
    return wrong


def copy():
    """Makes the copy as the source is. What changes there is new, so that cargo sees it."""
    for part in ('fs', str(HERE)):
        COPY.joinpath(part).mkdir(parents=True, exist_ok=True)
        subprocess.run(['rsync', '-rc', '--delete', f'{SOURCE / part}/', f'{COPY / part}/'], check=True)


def apply(mutant):
    """Takes it away in the copy; what has to be written there afterwards, by path."""
    before = {COPY / path: (COPY / path).read_text() for path, _, _ in mutant.changes}
    for path, old, new in mutant.changes:
        file = COPY / path
        file.write_text(file.read_text().replace(old, new))
    return before


def build():
    """Builds the copy."""
    # Quick to build rather than quick: a mutant does not live long.
    profile = ['package.engine.opt-level=0', 'package.engine.codegen-units=256', 'debug=false',
               'incremental=true']
    return subprocess.run(
        ['cargo', 'build', '--release', '--offline', '--locked', '--quiet', '--package', 'engine',
         '--features', 'loom', *(f'--config=profile.release.{setting}' for setting in profile)],
        cwd=COPY / HERE, capture_output=True, text=True)


def catch(mutant):
    """The scenario that fails, and why; or else what came."""
    for name in mutant.scenarios:
        try:
            run = subprocess.run([TARGET / 'release' / 'engine', '--one', name],
                                 capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            return None, f'{name} does not end within {LONGEST} s'
        if run.returncode != 0:
            why = [line.strip() for line in run.stdout.split('\n')
                   if line.strip() and not line.startswith('to replay')]
            return name, why[-1] if why else f'signal {-run.returncode}'
    return None, 'survives'


def run(pattern):
    """Builds and runs the mutants with this in their names; whether one was not caught."""
    chosen = [mutant for mutant in mutants() if pattern in f'{mutant.kind}: {mutant.name}']
    print(f'1..{len(chosen)}', flush=True)
    copy()
    bad = 0
    for mutant in chosen:
        begin = time.monotonic()
        caught, verdict = None, mutant.misfit(COPY)
        if verdict is None:
            before = apply(mutant)
            built = build()
            if built.returncode == 0:
                caught, verdict = catch(mutant)
            else:
                verdict = 'it does not build: ' + re.sub(r'\s+', ' ', built.stderr)[:400]
            for file, text in before.items():
                file.write_text(text)
        bad += caught is None
        if caught:
            verdict = f'caught by {caught}: {verdict}'
        took = time.monotonic() - begin
        print(f'{"ok" if caught else "not ok"} - {mutant.kind}: {mutant.name}: {verdict} ({took:.0f} s)',
              flush=True)
    return bad != 0


def main():
    """The command line."""
    if sys.argv[1:] == ['--rows']:
        return rows()
    if sys.argv[1:] == ['--fits']:
        wrong = fits()
        print('\n'.join(wrong) if wrong else f'{len(mutants())} mutants fit the source and the book')
        return bool(wrong)
    return run(sys.argv[1] if len(sys.argv) > 1 else '')


if __name__ == '__main__':
    sys.exit(main())
