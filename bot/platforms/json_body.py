"""JSON bodies of callbacks, as the Official Account sends them when its console says so.

Field names are those of XML; a list is an object when single and an array when several.

Source: WeChat, callback URL and security, modes; events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from bot.errors import UndecodableError

if TYPE_CHECKING:
    from bot.platforms.elements import Element, Elements

MAX_DEPTH = 16
MAX_VALUES = 10_000


def is_json(body: bytes) -> bool:
    """Return whether `body` begins as a JSON object."""
    return body[:1] == b"{" or body[:64].lstrip(b" \t\r\n")[:1] == b"{"


def parse(body: bytes) -> Elements:
    """Return a JSON object as elements: numbers become text as XML would hold it, null the empty text.

    Raises:
        UndecodableError: Not JSON, not UTF-8, not an object, deeper than 16 levels or more than 10 000
            values.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UndecodableError("broken JSON") from None
    if not isinstance(value, dict):
        raise UndecodableError("the JSON is not an object")
    left = [MAX_VALUES]
    return {name: _element(inner, 1, left) for name, inner in value.items()}


def _element(value: object, depth: int, left: list[int]) -> Element:
    """Return one JSON value; `left[0]` counts down how many more there may be."""
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise UndecodableError("the JSON is too deep or too long")
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {name: _element(inner, depth + 1, left) for name, inner in value.items()}
    if isinstance(value, list):
        return [_element(inner, depth + 1, left) for inner in value]
    return "" if value is None else str(value).lower()
