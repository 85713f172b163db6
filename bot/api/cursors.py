"""Cursors that a client sends back to us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bot.api.problem import Flaw, invalid
from bot.errors import RefusedError
from bot.storage.sql.pages import decode_cursor


@contextmanager
def known_cursor() -> Iterator[None]:
    """Make a cursor that a store refuses a wrong field (422)."""
    try:
        yield
    except RefusedError as error:
        flaw = Flaw(path="cursor", problem=str(error), cure="leave it out for the first page")
        raise invalid([flaw]) from None


def position_of(cursor: str | None) -> int:
    """Return where the next page of a list in memory begins: an index into it, 0 without a cursor.

    Raises:
        ProblemError: 422, the cursor is not one of ours.
    """
    if cursor is None:
        return 0
    with known_cursor():
        (position,) = decode_cursor(cursor, int)
    return max(0, int(position))
