"""One spelling of every text, so that what a person typed meets what a manager wrote.

The normal form: full-width ASCII variants and the ideographic space become half-width, traditional
characters become simplified ones character by character, letters are case-folded, zero-width, control
and unpaired surrogate characters vanish, every run of whitespace is one space, the ends are trimmed.
Half-width katakana stays as it is. The form is made for comparing, never for showing or storing: which
characters the conversion dictionary knows changes from version to version.

Every character is mapped by itself, and no visible character becomes whitespace or the other way round.
So the words of a text and of its normal form correspond one to one; that is all the alignment that
`Normaliser.command_words` needs to cut the original text where the normal form has its first space.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from opencc import OpenCC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_IDEOGRAPHS = (range(0x3400, 0xA000), range(0x20000, 0x33480))  # unified, of all planes
# Radicals (copied out of PDF files) and compatibility ideographs: second codes of plain characters.
_SECOND_CODES = (range(0x2F00, 0x2FD6), range(0xF900, 0xFB00), range(0x2F800, 0x2FA20))
_CONVERTED_AT_ONCE = 1024  # characters per call of the converter: its working memory stays small
# Beyond the dictionary, which keeps these because simplified Chinese knows them too; people on
# traditional keyboards write them for the plain character.
_ALSO_SIMPLIFIED = {"著": "着", "妳": "你", "牠": "它"}
# Characters without a width of their own that Unicode does not file under "format".
_IGNORABLE = (
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0,
    *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
)  # fmt: skip
# Planes in which a text goes through the table without a closer look; emoji (1F000-1FFFF) are not in it.
_RARE_PLANES = "\U00010000-\U0001efff\U00020000-\U0010ffff"

_INVISIBLE = r"\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_LEADING_MENTION = re.compile(rf"[{_INVISIBLE}]*[@＠]\S+\s+")

_Table = dict[int, "int | str | None"]


class Normaliser:
    """Brings texts to their normal form; the first takes about 0.1 s, later ones share its tables."""

    __slots__ = ("_changes", "_table", "_width")

    def __init__(self) -> None:
        self._table = _normal_table()
        self._width = _width_table()
        changed = (chr(code) for code, form in self._table.items() if code < 0x10000 and code != form)
        mapped = "".join(map(re.escape, changed))
        self._changes = re.compile(f"[{mapped}{_RARE_PLANES}]")

    def normalise(self, text: str) -> str:
        """Return the normal form of `text`; normalising twice changes nothing more.

        Costs well under a microsecond for a chat line: most are found to need no mapping at all.
        """
        if text.isascii() and text.isprintable():
            return " ".join(text.lower().split())
        if self._changes.search(text):
            text = text.translate(self._table)
        return " ".join(text.split())

    def half_width(self, text: str) -> str:
        """Return `text` with its width normalised and nothing else: case and script stay.

        Full-width ASCII variants and wide or odd spaces become their plain forms, control characters
        except line feed and tab vanish, the ends are trimmed. Joiners and variation selectors stay, as
        emoji are made of them.
        """
        return text.translate(self._width).strip()

    def command_words(self, text: str, bot_names: Collection[str] = ()) -> tuple[str, str]:
        """Split a message, as sent, into its command word and the rest.

        Mentions of the bot are stripped first; one ``/`` or ``#`` (of either width) before the word is
        no part of it.

        Returns:
            The first word in normal form, empty for an empty message; and what follows it, with its
            width normalised but neither case-folded nor simplified, so that names survive.
        """
        word, rest = self._split(strip_mentions(text, bot_names))
        return word, self.half_width(rest)

    def rest_as_sent(self, text: str, bot_names: Collection[str] = ()) -> str:
        """Return what follows the command word, character for character as sent, ends trimmed.

        For texts that will be shown again, such as the answer of a keyword rule, where a full-width
        comma is what the manager meant.
        """
        return self._split(strip_mentions(text, bot_names))[1]

    def _split(self, text: str) -> tuple[str, str]:
        """Cut `text` after its first word that is not empty in normal form."""
        prefix_seen = False
        while True:
            words = text.split(None, 1)
            if not words:
                return "", ""
            word = self.normalise(words[0])
            text = words[1].strip() if len(words) > 1 else ""
            if not prefix_seen and word.startswith(("/", "#")):
                word, prefix_seen = word[1:], True
            if word:
                return word, text


def strip_mentions(text: str, bot_names: Collection[str] = ()) -> str:
    """Return `text`, as sent, without the mentions that address the bot.

    A leading ``@word`` that whitespace follows (WeCom writes U+2005 there) is stripped whatever the bot is
    called, once; a bot name of several words counts as one. ``@<bot name>`` is stripped elsewhere too,
    unless more letters follow, which make it another person's name, or letters stand before it, which
    make it an address. A message that begins with a bot's name and goes on without any space, as people
    type it by hand, loses the name only. Other mentions stay: they may be the member a command is about.

    Source: WeCom, AI bot message callback, text.content ("@RobotA hello robot").
    """
    if "@" not in text and "＠" not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(bot_names, key=len, reverse=True) if name)
    own = re.compile(rf"[@＠](?:{names})(?!\w)\s?", re.IGNORECASE) if names else None
    text = text[_leading_mention_length(text, names) :]
    return (own.sub(_space_unless_address, text) if own else text).strip()


def _leading_mention_length(text: str, names: str) -> int:
    patterns = [_LEADING_MENTION]
    if names:
        name = rf"[{_INVISIBLE}]*[@＠](?:{names})"
        whole = re.compile(rf"{name}(?!\w)", re.IGNORECASE)
        glued = re.compile(rf"{name}(?=\S+\s*\Z)", re.IGNORECASE)
        patterns = [whole, _LEADING_MENTION, glued]
    return next((found.end() for pattern in patterns if (found := pattern.match(text))), 0)


def _space_unless_address(found: re.Match[str]) -> str:
    before = found.string[: found.start()][-1:]
    if re.match(r"[A-Za-z0-9_.-]", before):
        return found.group()
    return "" if before.isspace() else " "


# ---------------------------------------------------------------- tables, made once


@cache
def _normal_table() -> _Table:
    """Return code point → its normal form, for every character that is not its own and some that are."""
    steps: dict[str, str] = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    steps.update(zip("￠￡￢￣￤￥￦", "¢£¬¯¦¥₩", strict=True))
    steps.update(_plain_codes())
    steps.update(_simplified())
    steps.update(_ALSO_SIMPLIFIED)
    for code in range(0x20000):  # no letter beyond has a case
        character = chr(code)
        if (folded := character.casefold()) != character:
            steps[character] = folded
    table: _Table = {}
    for character in steps:
        form = _settled(character, steps)
        table[ord(character)] = ord(form) if len(form) == 1 else form
    table.update(_blanks(keep=frozenset()))
    for code in _everyday_codes():  # looking up what is not there costs twice as much
        table.setdefault(code, code)
    return table


def _settled(text: str, steps: dict[str, str]) -> str:
    """Apply `steps` until nothing changes: some dictionary entries lead to another entry."""
    while (after := "".join(steps.get(character, character) for character in text)) != text:
        text = after
    return text


@cache
def _width_table() -> _Table:
    table: _Table = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    table.update({ord(wide): ord(plain) for wide, plain in zip("￠￡￢￣￤￥￦", "¢£¬¯¦¥₩", strict=True)})
    table.update(_blanks(keep=frozenset({*_IGNORABLE, 0x200C, 0x200D, 0x0A, 0x09})))
    return table


def _blanks(keep: frozenset[int]) -> _Table:
    """Return the mapping of whitespace to the space, and of what takes no room to nothing."""
    table: _Table = dict.fromkeys(range(0xD800, 0xE000), None)
    table.update(dict.fromkeys(_IGNORABLE, None))
    # One code after the other: a tuple of them all would leave holes of 4 MiB in every process's memory.
    for code in chain(range(0x20000), range(0xE0000, 0xE0080)):
        character = chr(code)
        if character.isspace() and code != 0x20:
            table[code] = 0x20
        elif unicodedata.category(character) in {"Cc", "Cf"}:
            table[code] = None
    return {code: form for code, form in table.items() if code not in keep}


def _everyday_codes() -> Iterable[int]:
    """Yield the codes most texts are made of: ASCII, Chinese punctuation, GB 2312's frequent characters."""
    yield from range(0x20, 0x7F)
    yield from map(ord, "、。“”…《》")
    frequent = bytes(byte for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF) for byte in (row, cell))
    yield from map(ord, frequent.decode("gb2312", errors="ignore"))


def _plain_codes() -> Iterable[tuple[str, str]]:
    """Yield characters that are only a second code of another, with that other."""
    for character in (chr(code) for codes in _SECOND_CODES for code in codes):
        plain = unicodedata.normalize("NFKC", character)
        if plain != character and len(plain) == 1:
            yield character, plain


def _simplified() -> Iterable[tuple[str, str]]:
    """Yield traditional characters with their simplified form; the converter is dropped afterwards."""
    converter = OpenCC("t2s")
    for codes in _IDEOGRAPHS:
        for start in codes[::_CONVERTED_AT_ONCE]:
            block = [chr(code) for code in range(start, min(start + _CONVERTED_AT_ONCE, codes.stop))]
            # A line each: the dictionary also knows words, which must not join neighbours here.
            converted = converter.convert("\n".join(block)).split("\n")
            for character, simplified in zip(block, converted, strict=True):
                if simplified != character:
                    yield character, simplified
