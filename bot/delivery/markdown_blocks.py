"""Tells the lines of a Markdown text apart: fences, tables, headings, quotes, list items, paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)")
_SHORTEST_RULE = 3
_MARKERS = {
    "heading": re.compile(r"[ \t]{0,3}#{1,6}[ \t]+"),
    "quote": re.compile(r"[ \t]{0,3}(?:>[ \t]?)+"),
    "item": re.compile(r"[ \t]*(?:[-*+·]|[0-9]{1,9}[.)、])[ \t]+"),
}


class Block(NamedTuple):
    """Lines that belong together.

    Attributes:
        kind: fence | table | heading | quote | item | rule | blank | paragraph.
        lines: With their line breaks; heading, quote and item have one each.
        marker: What makes a heading, quote or item one; of a fence, its row of marks.
        closed: Of a fence, whether its end is there; of a table, whether its second line separates.
    """

    kind: str
    lines: tuple[str, ...]
    marker: str = ""
    closed: bool = False

    @property
    def text(self) -> str:
        """The block as it stands in the text."""
        return "".join(self.lines)


def find_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text; together they are the text."""
    lines = _LINE.findall(text)
    at = 0
    while at < len(lines):
        block = _block(lines, at)
        at += len(block.lines)
        yield block


def _block(lines: Sequence[str], at: int) -> Block:
    fence = _FENCE.match(lines[at])
    if fence is not None and fence.end() == len(lines[at].rstrip("\n")):
        return _fence(lines, at, fence[1])
    if _is_table(lines, at):
        return _table(lines, at)
    kind, marker = _kind(lines[at])
    if kind != "paragraph":
        return Block(kind, (lines[at],), marker)
    end = at + 1
    while end < len(lines) and _kind(lines[end])[0] == "paragraph" and not _is_table(lines, end):
        if _FENCE.match(lines[end]):
            break
        end += 1
    return Block(kind, tuple(lines[at:end]))


def _kind(line: str) -> tuple[str, str]:
    """Return kind and marker of a line that stands for itself."""
    if not line.strip():
        return "blank", ""
    bare = "".join(line.split())
    if len(bare) >= _SHORTEST_RULE and bare[0] in "-*_" and bare == bare[0] * len(bare):
        return "rule", ""
    for kind, pattern in _MARKERS.items():
        marker = pattern.match(line)
        if marker is not None:
            return kind, marker[0]
    return "paragraph", ""


def _fence(lines: Sequence[str], at: int, marks: str) -> Block:
    """Return a fence up to its end, or to the end of the text."""
    for end in range(at + 1, len(lines)):
        line = lines[end].strip()
        if len(line) >= len(marks) and line == marks[0] * len(line):
            return Block("fence", tuple(lines[at : end + 1]), marks, closed=True)
    return Block("fence", tuple(lines[at:]), marks)


def is_separator(line: str) -> bool:
    """Whether a line parts a table's head from its rows."""
    return "-" in line and "|" in line and set(line.strip()) <= set("|:- \t")


def _is_table(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if line.lstrip(" \t").startswith("|"):
        return True
    return "|" in line and at + 1 < len(lines) and is_separator(lines[at + 1])


def _table(lines: Sequence[str], at: int) -> Block:
    closed = at + 1 < len(lines) and is_separator(lines[at + 1])
    end = at + 1
    while end < len(lines) and "|" in lines[end] and (closed or lines[end].lstrip(" \t").startswith("|")):
        end += 1
    return Block("table", tuple(lines[at:end]), closed=closed)
