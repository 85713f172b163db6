"""Pages of long lists: the cursor names the last row seen, so rows that arrive meanwhile shift nothing."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from bot.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
CursorValue = str | int

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of a list; `next_cursor` asks for what follows, None when nothing does."""

    items: tuple[Item, ...]
    next_cursor: str | None


def paged(items: Sequence[Item], limit: int, key_of: Callable[[Item], tuple[CursorValue, ...]]) -> Page[Item]:
    """Return the page of `limit` items, given one more than that where the list goes on."""
    shown = tuple(items[:limit])
    more = len(items) > limit
    return Page(shown, encode_cursor(*key_of(shown[-1])) if more else None)


def check_limit(limit: int) -> int:
    """Return `limit`; raise ValueError where it would make an empty page."""
    if limit < 1:
        raise ValueError(f"a page holds one item or more, not {limit}")
    return limit


def encode_cursor(*values: CursorValue) -> str:
    """Return an opaque cursor that holds `values`, safe in a URL."""
    return urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


def decode_cursor(cursor: str, *kinds: type[CursorValue]) -> tuple[CursorValue, ...]:
    """Return the values of a cursor of this list, of the given kinds.

    Raises:
        RefusedError: It was not made by us, or for another list.
    """
    try:
        values = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        values = None
    if (
        not isinstance(values, list)
        or [type(value) for value in values] != list(kinds)
        or not all(value in _INT64 for value in values if isinstance(value, int))
    ):
        raise RefusedError("this cursor belongs to no page of this list: ask again without a cursor")
    return tuple(values)


def fits_int64(value: int) -> bool:
    """Return whether a number of the outside can be compared with a column at all."""
    return value in _INT64


def within_int64(value: int) -> int:
    """Return `value`, or the nearest number a column can hold."""
    return min(max(value, _INT64.start), _INT64.stop - 1)
