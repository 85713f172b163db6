"""Files of keyword rules, row by row: a JSON array, CSV or YAML.

Meant for a thread: no single step keeps the interpreter long, so that the loop goes on answering beside it.

JSON and YAML hold a list of rules with the fields of the API. A CSV file has a header with the names of the
fields, in English or Chinese:

* A list field may stand in several columns (``answer``, ``answer 2``) or in one cell as JSON (``["a"]``); all
  but answers also one per line, or separated: triggers by ``|`` (unless ``regex``), others by commas.
* UTF-8, or GB 18030 as spreadsheets save it; comma, semicolon or tab.

In CSV and YAML every value is text first, so ``666`` may be a trigger; an empty one is left out.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bot.api.keyword_words import from_text, list_of, name_of
from bot.api.keyword_yaml import yaml_members
from bot.api.problem import unreadable

JSON_TYPES: Final = ("application/json",)
CSV_TYPES: Final = ("text/csv", "application/csv")
YAML_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

_CHUNK_BYTES = 1 << 20
_WHITESPACE = re.compile(r"[ \t\r\n]*")
_LISTS: Final = frozenset({"triggers", "answers", "hours", "weekdays", "groups"})


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of a file, not checked yet; `line` is where it begins, from 1, 0 where that is not known."""

    line: int
    value: object


def rows_of(data: bytes, content_type: str) -> Iterator[Row]:
    """Yield the rules of a file.

    Raises:
        ProblemError: 400, it cannot be read; says where.
    """
    if content_type in CSV_TYPES:
        return _csv_rows(_text(data, "utf-8-sig", "gb18030"))
    text = _text(data, "utf-8-sig")
    return _json_rows(text) if content_type in JSON_TYPES else _yaml_rows(text)


def _text(data: bytes, *encodings: str) -> str:
    for encoding in encodings:
        decoder = codecs.getincrementaldecoder(encoding)()
        chunks = (data[start : start + _CHUNK_BYTES] for start in range(0, len(data), _CHUNK_BYTES))
        try:
            return "".join([*map(decoder.decode, chunks), decoder.decode(b"", final=True)])
        except UnicodeDecodeError:
            continue
    raise unreadable(f"it is not text in {' or '.join(encodings).replace('utf-8-sig', 'UTF-8')}")


# ---------------------------------------------------------------- JSON


def _json_rows(text: str) -> Iterator[Row]:
    """Yield the members of a JSON array one by one: one call for all of it would stop every other thread."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise unreadable("it is no JSON array of rules")
    at = _after_space(text, at + 1)
    if text[at : at + 1] == "]":
        _end_json(text, at + 1)
        return
    while True:
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise unreadable(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise unreadable(f"{_place(text, at)}: {error}") from None
        yield Row(0, value)
        at = _after_space(text, at)
        sign = text[at : at + 1]
        if sign == "]":
            _end_json(text, at + 1)
            return
        if sign != ",":
            raise unreadable(f"{_place(text, at)}: a comma or ] is missing")
        at = _after_space(text, at + 1)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _after_space(text: str, at: int) -> int:
    found = _WHITESPACE.match(text, at)
    assert found is not None
    return found.end()


def _end_json(text: str, at: int) -> None:
    rest = _after_space(text, at)
    if rest < len(text):
        raise unreadable(f"{_place(text, rest)}: something follows the array")


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}"


# ---------------------------------------------------------------- CSV


def _csv_rows(text: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    try:
        names = [name_of(cell) for cell in next(reader, [])]
        if not any(names):
            raise unreadable("a header with the names of the fields is missing")
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(line, _csv_rule(names, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise unreadable(f"line {reader.line_num}: {error}") from None


def _csv_rule(names: list[str], cells: list[str]) -> dict[str, Any]:
    columns: dict[str, list[str]] = {}
    for place, cell in enumerate(cells):
        if cell.strip():
            name = names[place] if place < len(names) else ""
            columns.setdefault(name or f"column {place + 1}", []).append(cell.strip())
    is_regex = from_text("match", columns.get("match", [""])[0]) == "regex"
    rule: dict[str, Any] = {}
    for name, given in columns.items():
        if name in _LISTS:
            rule[name] = from_text(
                name, [item for cell in given for item in list_of(name, cell, is_regex=is_regex)]
            )
        else:
            rule[name] = from_text(name, given[-1])
    return rule


# ---------------------------------------------------------------- YAML


def _yaml_rows(text: str) -> Iterator[Row]:
    for line, value in yaml_members(text):
        yield Row(line, _yaml_rule(value))


def _yaml_rule(value: object) -> object:
    if not isinstance(value, dict):
        return value
    rule: dict[str, Any] = {}
    for written, given in value.items():
        name = name_of(written)
        if given is not None:
            as_list = name in _LISTS and not isinstance(given, list)
            rule[name] = from_text(name, list_of(name, given, is_regex=True) if as_list else given)
    return rule
