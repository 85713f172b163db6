"""Cuts a reply to what its channel takes, and says what goes in the HTTP response and what after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.delivery.fit import fit_parts
from bot.delivery.routes import Abilities
from bot.model import Part


@dataclass(frozen=True, slots=True)
class Division:
    """A reply, divided: what goes in the HTTP response, and what goes out as a delivery after it."""

    passive: Part | None
    rest: tuple[Part, ...]


REST_DELAY_MS = 1500
"""How long the rest of a reply waits, so that the person reads the HTTP response first."""


def divide(parts: Iterable[Part], row: Abilities, *, inline: bool) -> Division:
    """Cut a reply to the platform's limits and choose its ways.

    `inline` says whether an HTTP response can still carry one part.

    The parts keep their order: only the first can go in the response, so where its kind cannot be passive
    all go as a delivery.
    """
    fitted = fit_parts(parts, row)
    if inline and fitted and fitted[0].kind in row.passive_parts:
        return Division(fitted[0], fitted[1:])
    return Division(None, fitted)
