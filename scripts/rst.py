# SPDX-License-Identifier: GPL-2.0
"""Tables for the chapters that scripts write."""

import itertools
import textwrap


def table(widths, rows):
    """A simple table of reStructuredText: the first row is its head, cells are broken into lines."""
    rule = '  '.join('=' * width for width in widths) + '\n'
    out = [rule]
    for number, row in enumerate(rows):
        cells = [textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [''] for cell, width in zip(row, widths)]
        for line in itertools.zip_longest(*cells, fillvalue=''):
            out.append('  '.join(f'{cell:{width}}' for cell, width in zip(line, widths)).rstrip() + '\n')
        if number == 0:
            out.append(rule)
    return ''.join(out) + rule
