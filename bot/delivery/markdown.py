"""Markdown cut into pieces that a platform takes whole, and Markdown as plain text.

How a long text is cut (`cut_markdown`): a piece never ends inside a character, a link, a picture, a mention,
emphasis, inline code, a coloured text, an address, a heading's line or a table's row, as long as that alone
is not longer than the limit. What is longer is

* closed at the cut and opened again in the next piece: code fences with their language, emphasis, inline code
  and colours; a quote's and a heading's mark is repeated, and so is the head of a table whose rows fit;
* cut like any text where that is no help: links, pictures, mentions, addresses, rows, and everything where
  its marks would take half of the limit.

What was added so is in no piece's `text`: these join back to the text that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bot.delivery.markdown_blocks import Block, find_blocks, is_separator
from bot.delivery.markdown_spans import Span, find_spans
from bot.delivery.split import belongs, check_limit, graphemes

_AVOID, _BETWEEN, _, _, _LINE, _BLOCK = range(6)
_SPARE_BYTES = 8
_FIRST_MAYBE_COMBINING = "\u0300"


class MarkdownPiece(NamedTuple):
    """A piece: the stretch of the text it holds, and the same with what was added to open and close it."""

    text: str
    whole: str


class _Frame(NamedTuple):
    """What a cut must close and open again; `kind` is fence, line (stands in front of one) or marks."""

    kind: str
    before: str
    after: str
    size_bytes: int


_Frames = tuple[_Frame, ...]
_NO_FRAMES: _Frames = ()


class _Atom(NamedTuple):
    """What is not cut: its text, how good a cut behind it is, and what such a cut goes through."""

    text: str
    size_bytes: int
    rank: int
    frames: _Frames


def split_markdown(text: str, limit_bytes: int) -> list[str]:
    """Cut a Markdown text into pieces of at most `limit_bytes` bytes of UTF-8; see `cut_markdown`."""
    return [piece.whole for piece in cut_markdown(text, limit_bytes)]


def cut_markdown(text: str, limit_bytes: int) -> list[MarkdownPiece]:
    """Cut a Markdown text into pieces of at most `limit_bytes` bytes of UTF-8 each, marks included.

    A cut stands between blocks, else after a line, a sentence or a word as long as the piece is then at least
    half full, else between two characters as people see them. The time taken grows with the length of the
    text alone.

    Returns:
        The pieces in order, none of them empty; no piece for an empty text.

    Raises:
        ValueError: `limit_bytes` is below 4, the longest code point.
    """
    check_limit(limit_bytes)
    if not text:
        return []
    if _size(text) <= limit_bytes:
        return [MarkdownPiece(text, text)]
    atoms = _Cutter(limit_bytes).cut(text)
    pieces: list[MarkdownPiece] = []
    start, frames = 0, _NO_FRAMES
    while start < len(atoms):
        end = _end_of_piece(atoms, start, frames, limit_bytes)
        body = "".join([atom.text for atom in atoms[start:end]])
        closing = atoms[end - 1].frames if end < len(atoms) else ()
        pieces.append(_piece(frames, body, closing))
        start, frames = end, closing
    return pieces


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _end_of_piece(atoms: Sequence[_Atom], start: int, frames: _Frames, limit_bytes: int) -> int:
    """Return the index behind the last atom of the piece that begins at `start`."""
    used_bytes = sum([_size(frame.before) for frame in frames])
    ends = [0] * (_BLOCK + 1)  # the last possible cut of each rank
    for index in range(start, len(atoms)):
        atom = atoms[index]
        used_bytes += atom.size_bytes
        if used_bytes > limit_bytes:
            break
        is_last = index + 1 == len(atoms)
        closing = 0 if is_last else sum([_closing_bytes(frame) for frame in atom.frames])
        if used_bytes + closing > limit_bytes:
            continue
        if is_last:
            return index + 1
        ends[min(atom.rank, _BETWEEN)] = index + 1
        if atom.rank > _BETWEEN and used_bytes * 2 >= limit_bytes:
            ends[atom.rank] = index + 1
    return next(end for end in reversed(ends) if end)


def _closing_bytes(frame: _Frame) -> int:
    return _size(frame.after) + (frame.kind == "fence")  # the line break before


def _piece(opening: _Frames, body: str, closing: _Frames) -> MarkdownPiece:
    """Return a piece; emphasis next to white space would show its marks, so white space stays outside."""
    before = "".join([frame.before for frame in opening if frame.kind != "marks"])
    bare = body.strip()
    lead = body[: body.index(bare)] if any(frame.kind == "marks" for frame in opening) else ""
    trail = body[body.index(bare) + len(bare) :] if any(frame.kind == "marks" for frame in closing) else ""
    if not bare and (lead or trail):
        return MarkdownPiece(body, before + body)
    if closing and closing[-1].kind == "fence":
        end = closing[-1].after if body.endswith("\n") else "\n" + closing[-1].after
        return MarkdownPiece(body, before + body + end)
    before += lead + "".join([frame.before for frame in opening if frame.kind == "marks"])
    after = "".join([frame.after for frame in reversed(closing)]) + trail
    return MarkdownPiece(body, before + body[len(lead) : len(body) - len(trail)] + after)


# ---------------------------------------------------------------- from text to atoms


class _Cutter:
    """Makes the atoms of one text."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._atoms: list[_Atom] = []

    def cut(self, text: str) -> list[_Atom]:
        for block in find_blocks(text):
            if block.kind == "fence":
                self._fence(block)
            elif block.kind == "table":
                self._table(block)
            elif block.kind in {"heading", "quote", "item"}:
                self._marked(block)
            elif block.kind == "paragraph":
                self._line(block.text, (), _LINE)
            else:
                self._put(block.text, _BLOCK, ())
        return self._atoms

    # ------------------------------------------------------------ blocks

    def _fence(self, block: Block) -> None:
        if _size(block.text) <= self._limit_bytes:
            self._put(block.text, _BLOCK, ())
            return
        first, *content = block.lines
        frames = self._within((), "fence", first if first.endswith("\n") else first + "\n", block.marker)
        last = content.pop() if block.closed else ""
        self._put(first, _AVOID, frames)
        for line in content:
            if _size(line) <= self._room(frames):
                self._put(line, _LINE, frames)
            else:
                self._plain(line, frames)
        if last:
            self._end(_AVOID, frames)
            self._put(last, _BLOCK, ())
        else:
            self._end(_BLOCK, frames)

    def _table(self, block: Block) -> None:
        head, rows = (block.lines[:2], block.lines[2:]) if block.closed else ((), block.lines)
        frames = self._within((), "line", "".join(head), "") if head else ()
        if not all(_size(row) <= self._room(frames) for row in rows):
            frames = ()
        for line in head:
            self._row(line, _AVOID, ())
        if head:
            self._end(_AVOID, frames)
        for row in rows:
            self._row(row, _LINE, frames)
        self._end(_BLOCK, ())

    def _row(self, row: str, rank: int, frames: _Frames) -> None:
        if _size(row) <= self._room(frames):
            self._put(row, rank, frames)
        else:
            self._line(row, frames, rank)

    def _marked(self, block: Block) -> None:
        """Put a line that begins with a mark, which stays with what follows it."""
        (line,), marker = block.lines, block.marker
        rank = _AVOID if block.kind == "heading" else _LINE
        if block.kind == "heading" and _size(line) <= self._limit_bytes:
            self._put(line, rank, ())
            return
        frames = () if block.kind == "item" else self._within((), "line", marker, "")
        self._put(marker, _AVOID, frames)
        self._line(line[len(marker) :], frames, rank)
        self._end(rank, ())

    # ------------------------------------------------------------ lines

    def _line(self, text: str, frames: _Frames, rank: int) -> None:
        """Put a line or paragraph, ending with a cut of this rank outside of all frames but `frames`."""
        if text:
            self._inline(text, 0, len(text), find_spans(text), frames)
            self._end(rank, frames)

    def _inline(self, text: str, start: int, end: int, spans: Sequence[Span], frames: _Frames) -> None:
        at = start
        for span in spans:
            self._plain(text[at : span.start], frames)
            self._span(text, span, frames)
            at = span.end
        self._plain(text[at:end], frames)

    def _span(self, text: str, span: Span, frames: _Frames) -> None:
        whole = text[span.start : span.end]
        if _size(whole) <= self._room(frames):
            self._put(whole, _BETWEEN, frames)
            return
        opening, closing = text[span.start : span.inner_start], text[span.inner_end : span.end]
        if span.kind not in {"emphasis", "font", "code"}:
            self._plain(whole, frames)
            return
        within = self._within(frames, "marks", opening, closing)
        if within == frames:
            self._plain(opening, frames)
            self._inline(text, span.inner_start, span.inner_end, span.inside, frames)
            self._plain(closing, frames)
            return
        first = len(self._atoms)
        self._inline(text, span.inner_start, span.inner_end, span.inside, within)
        # The marks stay with the first and the last character: no piece holds nothing between them.
        atom = self._atoms[first]
        self._atoms[first] = atom._replace(
            text=opening + atom.text, size_bytes=_size(opening) + atom.size_bytes
        )
        atom = self._atoms[-1]
        self._atoms[-1] = _Atom(atom.text + closing, atom.size_bytes + _size(closing), _BETWEEN, frames)

    def _plain(self, text: str, frames: _Frames) -> None:
        for grapheme, rank in graphemes(text):
            self._put(grapheme, rank, frames)

    # ------------------------------------------------------------ atoms

    def _within(self, frames: _Frames, kind: str, before: str, after: str) -> _Frames:
        """Return `frames` and one more; without it where the marks would leave too little room."""
        size_bytes = _size(before) + _size(after) + (kind == "fence")
        within = (*frames, _Frame(kind, before, after, size_bytes))
        spent = sum([frame.size_bytes for frame in within])
        return within if (spent + _SPARE_BYTES) * 2 <= self._limit_bytes else frames

    def _room(self, frames: _Frames) -> int:
        return self._limit_bytes - sum([frame.size_bytes for frame in frames])

    def _put(self, text: str, rank: int, frames: _Frames) -> None:
        atoms = self._atoms
        if atoms and text[0] >= _FIRST_MAYBE_COMBINING and belongs(atoms[-1].text[-1], text[0], 0):
            atoms[-1] = atoms[-1]._replace(rank=_AVOID)
        size_bytes = _size(text)
        if size_bytes <= self._room(frames):
            atoms.append(_Atom(text, size_bytes, rank, frames))
            return
        for char in text:
            atoms.append(_Atom(char, _size(char), _AVOID, frames))
        self._end(rank, frames)

    def _end(self, rank: int, frames: _Frames) -> None:
        """Say how good a cut behind the last atom is, and what it goes through."""
        if self._atoms:
            self._atoms[-1] = self._atoms[-1]._replace(rank=rank, frames=frames)


# ---------------------------------------------------------------- as plain text

_DEEPEST_LINK = 3
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_V1_ONLY = re.compile(r"<@[^<>\s]{1,80}>|<font\b")
_PICTURE = re.compile(r"!\[[^\]\n]{0,500}\]\(")


def plain_text(text: str) -> str:
    """Return a Markdown text for people who would see the marks.

    Marks of emphasis, headings, quotes and code are taken off; a link is ``text（address）``, a picture the
    same with its description, a bullet ``· ``, a mention ``@id``; cells of a table stand between bars, and
    the line below its head is left out.
    """
    return "".join(line for block in find_blocks(text) for line in _plain_block(block))


def _plain_block(block: Block) -> Iterator[str]:
    if block.kind == "fence":
        yield from block.lines[1 : -1 if block.closed else None]
    elif block.kind == "table":
        for number, line in enumerate(block.lines):
            if not (block.closed and number == 1 and is_separator(line)):
                yield _plain_row(line)
    elif block.kind == "item":
        marker = block.marker
        if not marker.strip()[0].isdigit():
            marker = marker[: len(marker) - len(marker.lstrip())] + "· "
        yield marker + _plain_line(block.text[len(block.marker) :])
    elif block.kind == "rule":
        yield "———" + block.text[len(block.text.rstrip("\r\n")) :]
    else:
        yield _plain_line(block.text[len(block.marker) :])


def _plain_row(line: str) -> str:
    bare = line.strip()
    cells = _CELL_BORDER.split(bare.removeprefix("|").removesuffix("|"))
    end = line[len(line.rstrip("\r\n")) :]
    return " | ".join(_plain_line(cell.strip()) for cell in cells) + end


def _plain_line(text: str, depth: int = 0) -> str:
    return _shown(text, 0, len(text), find_spans(text), depth)


def _shown(text: str, start: int, end: int, spans: Sequence[Span], depth: int) -> str:
    said, at = [], start
    for span in spans:
        said += [text[at : span.start], _plain_span(text, span, depth)]
        at = span.end
    return "".join([*said, text[at:end]])


def _plain_span(text: str, span: Span, depth: int) -> str:
    inner = text[span.inner_start : span.inner_end]
    if span.kind in {"emphasis", "font"}:
        return _shown(text, span.inner_start, span.inner_end, span.inside, depth)
    if span.kind in {"link", "image"}:
        words = (_plain_line(inner, depth + 1) if depth < _DEEPEST_LINK else inner).strip()
        return f"{words}（{span.target}）" if words and words != span.target else span.target
    return inner  # an escaped character, code, an address, @id


def needs_v2(text: str) -> bool:
    """Whether a robot must send this as markdown_v2: it has tables, lists, code or pictures.

    Not where it mentions people or has colours, which only the first version knows.

    Source: WeCom, group robot webhook.
    """
    if _V1_ONLY.search(text):
        return False
    return _PICTURE.search(text) is not None or any(
        block.kind in {"fence", "table", "item"} for block in find_blocks(text)
    )
