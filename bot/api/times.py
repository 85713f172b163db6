"""Instants as the API writes and reads them: RFC 3339 with offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# What every zone can show.
_FIRST_MS: Final = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // _MS
_LAST_MS: Final = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH) // _MS
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_SCHEMA: Final = {"type": "string", "format": "date-time"}

Instant = Annotated[str, WithJsonSchema(_SCHEMA)]
"""An instant in an answer."""


def rfc3339(at_ms: int, zone: tzinfo) -> str:
    """Return an instant as `zone` shows it, to the millisecond."""
    within = min(max(at_ms, _FIRST_MS), _LAST_MS)
    return (_EPOCH + timedelta(milliseconds=within)).astimezone(zone).isoformat(timespec="milliseconds")


def rfc3339_or_none(at_ms: int | None, zone: tzinfo) -> str | None:
    """Return an instant as `rfc3339` does, None for None."""
    return None if at_ms is None else rfc3339(at_ms, zone)


def _parse(value: object) -> int:
    """Return Unix milliseconds.

    A plus sign that a query string has turned into a space is taken as one.
    """
    if isinstance(value, str):
        text = re.sub(r" (?=\d\d:\d\d$)", "+", value)
        if _RFC_3339.fullmatch(text):
            try:
                at_ms = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MS
            except ValueError:
                pass
            else:
                return min(max(at_ms, _FIRST_MS), _LAST_MS)
    raise PydanticCustomError(
        "instant",
        "is not an instant of RFC 3339",
        {"cure": "write date, time and offset, such as 2026-05-04T09:30:00+08:00"},
    )


InstantMs = Annotated[int, BeforeValidator(_parse), WithJsonSchema(_SCHEMA)]
"""An instant in a request, as Unix milliseconds."""
