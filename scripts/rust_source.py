# SPDX-License-Identifier: GPL-2.0
"""Just enough of Rust's lexical grammar for the checks beside this file.

A check that looks for a word must not stumble over the same word in a comment
or a string, so a source file is first taken apart: `code` is the text with
comments and the contents of strings blanked out, `comments` the text of the
comments alone. Both keep every line in its place.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_RAW_STRING = re.compile(r'\b(?:b|c)?r(#*)"')
_CHAR = re.compile(r"b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])'")


class Source:
    """One file: its lines of code and its lines of comment."""

    def __init__(self, path):
        self.path = Path(path)
        text = self.path.read_text(encoding='utf-8')
        code, comments = _split(text)
        self.text = code
        self.code = code.split('\n')
        self.comments = comments.split('\n')
        self.name = str(self.path.resolve().relative_to(ROOT))

    def line_of(self, offset):
        return self.text.count('\n', 0, offset) + 1


def _split(text):
    code, comments = [], []
    i, n = 0, len(text)

    def put(piece, kind):
        blank = re.sub(r'[^\n]', ' ', piece)
        code.append(piece if kind == 'code' else blank)
        comments.append(piece if kind == 'comment' else blank)

    while i < n:
        if text.startswith('//', i):
            end = text.find('\n', i)
            end = n if end < 0 else end
            put(text[i:end], 'comment')
            i = end
            continue
        if text.startswith('/*', i):
            depth, end = 1, i + 2
            while end < n and depth:
                if text.startswith('/*', end):
                    depth, end = depth + 1, end + 2
                elif text.startswith('*/', end):
                    depth, end = depth - 1, end + 2
                else:
                    end += 1
            put(text[i:end], 'comment')
            i = end
            continue
        raw = _RAW_STRING.match(text, i)
        if raw and not (i and (text[i - 1].isalnum() or text[i - 1] == '_')):
            close = '"' + raw.group(1)
            end = text.find(close, raw.end())
            end = n if end < 0 else end + len(close)
            put(text[i:end], 'string')
            i = end
            continue
        if text[i] == '"':
            end = i + 1
            while end < n and text[end] != '"':
                end += 2 if text[end] == '\\' else 1
            put(text[i:end + 1], 'string')
            i = end + 1
            continue
        char = _CHAR.match(text, i)
        if char:
            put(char.group(), 'string')
            i = char.end()
            continue
        put(text[i], 'code')
        i += 1
    return ''.join(code), ''.join(comments)


def sources(*directories):
    """All Rust files below these directories of the tree, in order."""
    for directory in directories:
        base = ROOT / directory
        if base.is_file():
            yield Source(base)
            continue
        for path in sorted(base.rglob('*.rs')):
            if not path.name.endswith('_generated.rs'):
                yield Source(path)
