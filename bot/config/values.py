"""Values from outside the configuration file: `${NAME}`, `${NAME:-default}` and `!file path`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bot.yaml_tree import ScalarError, plain_scalar

_REFERENCE: Final = re.compile(
    r"(?P<literal>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<wrong>\$\{)"
)
_REFERENCE_BYTES: Final = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*(?::-[^}\n]*)?)\}")
_OPEN: Final = "\U0010fff0"  # private characters, which nobody's text holds
_CLOSE: Final = "\U0010fff1"
_MAX_FILE_BYTES: Final = 65_536  # of a secret or a key; also stops an endless device file


def nearest(word: str, valid: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the word of `valid` that looks most like `word`, empty where none does."""
    matches = difflib.get_close_matches(word, list(valid), n=1, cutoff=cutoff)
    return matches[0] if matches else ""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return a cure that names the word of `valid` nearest to `word`, else all of them."""
    words = sorted(valid)
    match = nearest(word, words)
    if match:
        return f"did you mean {match}?"
    return f"valid: {', '.join(words)}" if words else ""


def with_marked_references(data: bytes) -> bytes:
    """Return a YAML file whose ``${…}`` `OutsideValues` can read.

    YAML takes braces for its own inside of ``{…}`` and ``[…]``, so that ``{token: ${TOKEN}}`` would be a
    syntax error; two private characters stand for the braces of a reference until it is read.
    """
    return _REFERENCE_BYTES.sub(rb"%b\1%b" % (_OPEN.encode(), _CLOSE.encode()), data)


class OutsideValues:
    """A scalar reader that puts environment variables and files in their places.

    `$${` stands for the characters `${` themselves. What comes out of a variable or a file is not
    looked at again.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        """Read files relative to `directory` and variables from `environ`."""
        self._directory = directory
        self._environ = environ

    def __call__(self, tag: str, text: str) -> str:
        """Return the value of a scalar with this tag and text.

        Raises:
            ScalarError: A variable is missing, a file cannot be read, or the tag is unknown.
        """
        text = text.replace(_OPEN, "${").replace(_CLOSE, "}")
        if tag == "!file":
            return self._file(self._expanded(text))
        try:
            plain_scalar(tag, text)
        except ScalarError:
            raise ScalarError(
                ("has a tag that is not known", "the only tag is !file; quote a value that begins with !")
            ) from None
        return self._expanded(text)

    def _expanded(self, text: str) -> str:
        problems: list[tuple[str, str]] = []

        def value_of(match: re.Match[str]) -> str:
            if match["literal"]:
                return "${"
            if match["wrong"]:
                cure = "write ${NAME} or ${NAME:-default}, and $${ for the characters themselves"
                problems.append(("holds ${ without a valid name and }", cure))
                return ""
            value = self._environ.get(match["name"], "")
            if value:
                return value
            if match["default"] is None:
                problems.append(self._missing(match["name"]))
            return match["default"] or ""

        expanded = _REFERENCE.sub(value_of, text)
        if problems:
            raise ScalarError(*problems)
        return expanded

    def _missing(self, name: str) -> tuple[str, str]:
        if name in self._environ:
            cure = f"give it a value, or write ${{{name}:-}} where nothing is meant"
            return f"environment variable {name} is empty", cure
        similar = nearest(name, self._environ, cutoff=0.8)
        cure = f"did you mean {similar}?" if similar else f"set it, or write ${{{name}:-default}}"
        return f"environment variable {name} is not set", cure

    def _file(self, name: str) -> str:
        try:
            with (self._directory / name).open("rb") as file:
                data = file.read(_MAX_FILE_BYTES + 1)
            text = data.decode("utf-8")
        except OSError as error:
            cure = "the path is relative to the directory of the configuration file"
            raise ScalarError((f"the file cannot be read: {error.strerror}", cure)) from None
        except ValueError:  # not UTF-8, or a path with a null character
            raise ScalarError(("the file is not UTF-8 text", "")) from None
        if len(data) > _MAX_FILE_BYTES:
            raise ScalarError((f"the file is larger than {_MAX_FILE_BYTES} bytes", "")) from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise ScalarError(("the file is empty", "put the value into it"))
        return text
