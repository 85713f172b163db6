"""Cuts what we say into pieces that a platform takes whole."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_ZWJ = "\u200d"
_NO_CUT, _BETWEEN, _WORD, _SENTENCE, _LINE = range(5)
_SENTENCE_ENDS = frozenset("。！？…!?；;")
_FULL_STOPS = frozenset(".．")
_CLOSERS = frozenset("”’」』）】》)]\"'")
_WORD_ENDS = frozenset("，、,：:　\t \u3000\xa0")
_LONGEST_CHARACTER_BYTES = 4


def split_text(text: str, limit_bytes: int) -> list[str]:
    """Cut a text into pieces of at most `limit_bytes` bytes of UTF-8 each; a Chinese character has three.

    The pieces join back to `text`. A cut stands after a line break, else after the end of a sentence, else
    after a space or comma, as long as the piece is then at least half full (every piece counts against the
    platform's rates); else between two characters as people see them: an emoji of several code points, a
    flag, a letter with its accents or a Korean syllable is kept whole unless it alone exceeds the limit.
    The time taken grows with the length of the text alone.

    Returns:
        The pieces in order, none of them empty; no piece for an empty text.

    Raises:
        ValueError: `limit_bytes` is below 4, the longest code point.
    """
    check_limit(limit_bytes)
    pieces = []
    start = 0
    while start < len(text):
        end = _end_of_piece(text, start, limit_bytes)
        pieces.append(text[start:end])
        start = end
    return pieces


def check_limit(limit_bytes: int) -> None:
    """Refuse (ValueError) a limit that no character fits into."""
    if limit_bytes < _LONGEST_CHARACTER_BYTES:
        raise ValueError(f"limit_bytes must be at least {_LONGEST_CHARACTER_BYTES}, not {limit_bytes}")


def _end_of_piece(text: str, start: int, limit_bytes: int) -> int:
    """Return where the piece that begins at `start` ends.

    A cut is at most half a limit behind the last character read, or the character that follows it fills the
    next piece to more than what was reread: no character is read more than a few times.
    """
    if (len(text) - start) * _LONGEST_CHARACTER_BYTES <= limit_bytes:
        return len(text)
    ends = [start] * (_LINE + 1)  # the last possible cut of each rank
    used_bytes = 0
    flags = 0  # regional indicators in a row: two make a flag
    rank = _NO_CUT
    previous = ""
    for index in range(start, len(text)):
        char = text[index]
        if index > start and not belongs(previous, char, flags):
            ends[_BETWEEN] = index
            if rank > _BETWEEN and used_bytes * 2 >= limit_bytes:
                ends[rank] = index
        used_bytes += _width_bytes(char)
        if used_bytes > limit_bytes:
            return _best(ends, start, index)
        flags = flags + 1 if _is_regional(char) else 0
        rank = _rank(char, previous, rank)
        previous = char
    return len(text)


def graphemes(text: str) -> Iterator[tuple[str, int]]:
    """Yield the characters of a text as people see them, each with how good a cut after it is.

    The goodness is 1 (between two characters), 2 (after a word), 3 (after a sentence) or 4 (after a line).
    """
    start, flags, rank, previous = 0, 0, _NO_CUT, ""
    for index, char in enumerate(text):
        if index > start and not belongs(previous, char, flags):
            yield text[start:index], rank
            start = index
        flags = flags + 1 if _is_regional(char) else 0
        rank = _rank(char, previous, rank)
        previous = char
    if text:
        yield text[start:], rank


def _best(ends: list[int], start: int, index: int) -> int:
    """Return the cut of the highest rank; inside a character only where there is no other."""
    for rank in (_LINE, _SENTENCE, _WORD, _BETWEEN):
        if ends[rank] > start:
            return ends[rank]
    return index


def _rank(char: str, previous: str, rank_before: int) -> int:
    """Return how good a cut after `char` is; what closes or follows a sentence belongs to it."""
    if char == "\n":
        return _LINE
    if char in _SENTENCE_ENDS:
        return _SENTENCE
    if char in _CLOSERS:
        return _SENTENCE if rank_before == _SENTENCE else _BETWEEN
    if char in _WORD_ENDS:
        return _SENTENCE if rank_before == _SENTENCE or previous in _FULL_STOPS else _WORD
    return _BETWEEN


def _width_bytes(char: str) -> int:
    code = ord(char)
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def belongs(previous: str, char: str, flags: int) -> bool:
    """Whether `char` continues the character as people see it that `previous` belongs to.

    Follows the grapheme clusters of Unicode (UAX #29), a little wider in the Indic scripts, where any letter
    after a virama is kept with it.
    """
    if char < "\u0300":
        return (previous == "\r" and char == "\n") or (previous == _ZWJ and char > "\x7f")
    if _is_regional(char):
        return flags % 2 == 1
    if "\u4e00" <= char <= "\u9fff" or "\uff00" <= char <= "\uff9d":  # most of what we write
        return False
    return _extends(char) or previous == _ZWJ or _makes_syllable(previous, char)


def _extends(char: str) -> bool:
    """Combining marks, variation selectors, joiners, skin tones, tags of flags, half-width voice marks."""
    return (
        char in "\u200c\u200d\uff9e\uff9f"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
        or unicodedata.category(char) in {"Mn", "Mc", "Me"}
    )


def _makes_syllable(previous: str, char: str) -> bool:
    """Korean jamo that join into one syllable, and Indic letters joined by a virama."""
    initial = "\u1100" <= previous <= "\u115f" or "\ua960" <= previous <= "\ua97c"
    if "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb":  # vowels and final consonants
        return initial or "\u1160" <= previous <= "\u11ff" or "\uac00" <= previous <= "\ud7fb"
    if initial:
        return "\u1100" <= char <= "\u115f" or "\uac00" <= char <= "\ud7a3"
    virama = previous >= "\u0900" and unicodedata.combining(previous) == 9
    return virama and unicodedata.category(char) == "Lo"
