r"""A manager's regular expression, rewritten so that it fits texts in normal form.

Texts are matched in normal form, so the literal characters of a pattern are brought to it too, one by
one, while everything that has a meaning stays as written: ``\W`` is not ``\w``. A full-width character
is always a literal: ``（`` looks for a bracket, ``(`` opens a group. Ranges in a class keep their ends,
except full-width ASCII ones, which move as a whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CODE = r"\\x\{[0-9A-Fa-f]+\}|\\x[0-9A-Fa-f]{2}"
_ESCAPE = rf"{_CODE}|\\[pP]\{{[^}}]*\}}|\\[pP].|\\."
_TOKEN = re.compile(
    rf"""
    \\Q(?P<quoted>.*?)(?:\\E|\Z)
  | (?P<escape>{_ESCAPE})
  | (?P<group>\(\?(?:P?<\w*>|[A-Za-z-]*[:)]|P?(?:<?[=!]|>|\#))?)
  | \[(?P<negated>\^?)(?P<members>\]?(?:\[:\^?\w+:\]|{_ESCAPE}|[^\]\\])*)\]
  | (?P<repeat>\{{\d+(?:,\d*)?\}})
  | (?P<space>\s+)
  | (?P<operator>[()|.*+?^$\[\]{{}}\\])
  | (?P<literal>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(
    rf"(?P<range>(?:{_CODE}|\\.|[^\\])-(?:{_CODE}|\\.|[^\\]))|(?P<named>\[:\^?\w+:\])|(?P<escape>{_ESCAPE})|.",
    re.DOTALL,
)
_WIDE_RANGE = re.compile("([\uff01-\uff5e])-([\uff01-\uff5e])")


def fit_pattern(pattern: str, normalise: Callable[[str], str]) -> str:
    """Return `pattern` (RE2 syntax) for texts that `normalise` has brought to their normal form.

    The result may still be no valid pattern; RE2 decides that.
    """
    return _TOKEN.sub(lambda found: _token(found, normalise), pattern)


def _token(found: re.Match[str], normalise: Callable[[str], str]) -> str:
    kind, text = found.lastgroup, found.group()
    if kind == "quoted":
        return "".join(_literal(character, normalise) for character in re.sub(r"\s+", " ", found["quoted"]))
    if kind == "escape":
        character = _escaped_character(text)
        return text if character is None else _literal(character, normalise)
    if kind == "members":
        members = _MEMBER.sub(lambda member: _member(member, normalise), found["members"])
        return f"[{found['negated']}{members}]"
    if kind == "space":
        return " "
    return _literal(text, normalise) if kind == "literal" else text


def _member(found: re.Match[str], normalise: Callable[[str], str]) -> str:
    """Fit one member of a character class; it cannot become longer than a character."""
    kind, text = found.lastgroup, found.group()
    if kind == "named":
        return text
    if kind == "range":
        wide = _WIDE_RANGE.fullmatch(text)
        return "-".join(_quoted(chr(ord(end) - 0xFEE0)) for end in wide.groups()) if wide else text
    character = _escaped_character(text) if kind == "escape" else text
    if character is None:
        return text
    if character.isspace():
        return " "
    form = normalise(character)
    if form == character and kind != "escape":
        return text
    return _quoted(form) if len(form) < 2 else text


def _escaped_character(escape: str) -> str | None:
    """Return the letter an escape stands for, None where it is an operator or plain punctuation.

    RE2 knows no escaped character beyond ASCII; here it means the character itself.
    """
    if escape.startswith("\\x") and len(escape) > 2:
        code = int(escape[2:].strip("{}"), 16)
        return chr(code) if code <= 0x10FFFF else None
    return escape[1] if len(escape) == 2 and not escape[1].isascii() else None


def _literal(character: str, normalise: Callable[[str], str]) -> str:
    if character.isspace():
        return " "
    form = normalise(character)
    if len(form) == 1:
        return _quoted(form)
    return f"(?:{''.join(map(_quoted, form))})"  # a repeat behind it takes all of it


def _quoted(text: str) -> str:
    """Escape ASCII punctuation, which might be an operator; letters, digits and the rest never are."""
    return (
        f"\\{text}"
        if text.isascii() and text.isprintable() and not text.isalnum() and text not in " _"
        else text
    )
