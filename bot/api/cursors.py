"""Cursors that a client sends back to us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bot.api.problem import Flaw, invalid
from bot.errors import RefusedError


@contextmanager
def known_cursor() -> Iterator[None]:
    """Make a cursor that a store refuses a wrong field (422)."""
    try:
        yield
    except RefusedError as error:
        flaw = Flaw(path="cursor", problem=str(error), cure="leave it out for the first page")
        raise invalid([flaw]) from None
