"""Finds what must stay together in a line of Markdown: links, emphasis, code, fonts, mentions, addresses.

Made for what WeCom's clients show rather than for all of CommonMark: ``<@id>`` mentions somebody, and
``<font …>`` colours. The time taken grows with the length of the text alone, whatever stands in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"\\[^\w\s]|`+|<@[^<>\s]{1,80}>|<font\b[^<>\n]{0,120}>|</font>"
    r"|https?://[^\s<>()\[\]`*\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+"
    r"|!?\[|\]|\(|\)|\*+|_+|~~"
)
_LEAVES = frozenset({"code", "link", "image", "url", "mention", "escape"})
_DEEPEST = 16  # emphasis in emphasis; nobody writes more, and nobody may make us go deeper


class Span(NamedTuple):
    """A stretch of text that stands together.

    Attributes:
        kind: code | link | image | url | mention | escape | font | emphasis.
        start: Where it begins.
        inner_start: Where what people read of it begins.
        inner_end: Where that ends.
        end: Where it ends.
        target: Where a link or picture leads.
        inside: Spans within; only of font and emphasis.
    """

    kind: str
    start: int
    inner_start: int
    inner_end: int
    end: int
    target: str = ""
    inside: tuple[Span, ...] = ()


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def find_spans(text: str) -> tuple[Span, ...]:
    """Return the outermost spans of a paragraph, in order; none overlaps another."""
    tokens = [_Token(found[0], found.start(), found.end()) for found in _TOKEN.finditer(text)]
    leaves, tokens = _code(tokens)
    links, tokens = _links(text, tokens)
    leaves += links
    rest = []
    for token in tokens:
        kind = _leaf_kind(token.text)
        if kind:
            leaves.append(Span(kind, token.start, *_shown(token), token.end))
        else:
            rest.append(token)
    return _nested(leaves + _emphasis(text, rest, _fonts(rest)))


def _leaf_kind(token: str) -> str:
    if token.startswith("\\"):
        return "escape"
    if token.startswith("<@"):
        return "mention"
    return "url" if token.startswith("http") else ""


def _shown(token: _Token) -> tuple[int, int]:
    """Return what is read of an escape, a mention or an address."""
    if token.text.startswith("\\"):
        return token.start + 1, token.end
    return (token.start + 1, token.end - 1) if token.text.startswith("<@") else (token.start, token.end)


def _code(tokens: Sequence[_Token]) -> tuple[list[Span], list[_Token]]:
    """Return the code spans, and the tokens that are in none: code says nothing else."""
    closer: list[int | None] = [None] * len(tokens)
    following: dict[str, int] = {}
    for index in range(len(tokens) - 1, -1, -1):
        run = tokens[index].text
        if run[0] == "`":
            closer[index] = following.get(run)
            following[run] = index
    spans, rest, index = [], [], 0
    while index < len(tokens):
        token, end = tokens[index], closer[index]
        if end is not None:
            close = tokens[end]
            spans.append(Span("code", token.start, token.end, close.start, close.end))
            index = end
        elif token.text[0] != "`":
            rest.append(token)
        index += 1
    return spans, rest


def _links(text: str, tokens: Sequence[_Token]) -> tuple[list[Span], list[_Token]]:
    """Return the outermost links and pictures, and the tokens that are in none."""
    partner, line = _pairs(tokens), _lines(text, tokens)
    spans, rest, index = [], [], 0
    while index < len(tokens):
        token = tokens[index]
        close = partner.get(index) if token.text in {"[", "!["} else None
        # ``](`` without anything between; then the address up to its parenthesis.
        opened = None if close is None else close + 1
        if (
            close is not None
            and opened is not None
            and opened in partner
            and tokens[opened].text == "("
            and tokens[opened].start == tokens[close].end
            and line[opened] == line[partner[opened]]
        ):
            end = tokens[partner[opened]]
            spans.append(
                Span(
                    "link" if token.text == "[" else "image",
                    token.start,
                    token.end,
                    tokens[close].start,
                    end.end,
                    text[tokens[opened].end : end.start].strip(),
                )
            )
            index = partner[opened]
        else:
            rest.append(token)
        index += 1
    return spans, rest


def _lines(text: str, tokens: Sequence[_Token]) -> list[int]:
    """Return in which line every token stands."""
    lines, line, at = [], 0, 0
    for token in tokens:
        line += text.count("\n", at, token.start)
        at = token.start
        lines.append(line)
    return lines


def _pairs(tokens: Sequence[_Token]) -> dict[int, int]:
    """Return for every opening bracket and parenthesis the one that closes it, by index."""
    partner: dict[int, int] = {}
    brackets: list[int] = []
    parentheses: list[int] = []
    for index, token in enumerate(tokens):
        if token.text in {"[", "!["}:
            brackets.append(index)
        elif token.text == "(":
            parentheses.append(index)
        elif token.text == "]" and brackets:
            partner[brackets.pop()] = index
        elif token.text == ")" and parentheses:
            partner[parentheses.pop()] = index
    return partner


def _fonts(tokens: Iterable[_Token]) -> dict[int, int]:
    """Return start → start of the tags that colour something; a tag without its other half is text."""
    pairs: dict[int, int] = {}
    opened: _Token | None = None
    for token in tokens:
        if token.text.startswith("<font"):
            opened = token
        elif token.text == "</font>" and opened is not None:
            pairs[opened.start] = token.start
            opened = None
    return pairs


class _Frame:
    """What is open within one font, or outside of all."""

    def __init__(self) -> None:
        self.open: list[_Token] = []
        self.count: Counter[str] = Counter()

    def close(self, mark: str) -> _Token | None:
        """Return the last open `mark`, and forget what was opened after it; None for none."""
        if not self.count[mark]:
            return None
        while True:
            token = self.open.pop()
            self.count[token.text] -= 1
            if token.text == mark:
                return token


def _emphasis(text: str, tokens: Iterable[_Token], fonts: dict[int, int]) -> list[Span]:
    """Return bold, italic and struck text, and what is coloured; they nest and never cross."""
    spans: list[Span] = []
    frames = [_Frame()]
    opened: list[_Token] = []
    ends = set(fonts.values())
    for token in tokens:
        if token.start in fonts:
            opened.append(token)
            frames.append(_Frame())
        elif token.start in ends:
            start = opened.pop()
            frames.pop()
            spans.append(Span("font", start.start, start.end, token.start, token.end))
        elif token.text[0] in "*_~":
            spans += _delimit(text, token, frames[-1])
    return spans


def _delimit(text: str, token: _Token, frame: _Frame) -> tuple[Span, ...]:
    """Let a run of marks close what it can close, else open something."""
    before = text[token.start - 1] if token.start else " "
    after = text[token.end] if token.end < len(text) else " "
    # snake_case and 2*3*4 are no emphasis.
    in_word = before.isalnum() and after.isalnum() and token.text[0] == "_"
    in_word = in_word or (before.isdigit() and after.isdigit() and token.text == "*")
    if len(token.text) > 3 or in_word:
        return ()
    if not before.isspace():
        start = frame.close(token.text)
        if start is not None:
            return (Span("emphasis", start.start, start.end, token.start, token.end),)
    if not after.isspace():
        frame.open.append(token)
        frame.count[token.text] += 1
    return ()


def _nested(spans: list[Span]) -> tuple[Span, ...]:
    """Put spans into those that hold them."""
    spans.sort(key=lambda span: (span.start, -span.end))
    holding: list[tuple[Span, list[Span]]] = []
    top: list[Span] = []

    def finish() -> None:
        span, inside = holding.pop()
        (holding[-1][1] if holding else top).append(span._replace(inside=tuple(inside)))

    for span in spans:
        while holding and holding[-1][0].end <= span.start:
            finish()
        if holding and (holding[-1][0].kind in _LEAVES or span.end > holding[-1][0].end):
            continue
        if len(holding) >= _DEEPEST:
            continue
        holding.append((span, []))
    while holding:
        finish()
    return tuple(top)
