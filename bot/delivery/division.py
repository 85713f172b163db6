"""Cuts a reply to what its channel takes, and says what goes in the HTTP response and what after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.delivery.cards import card_fault
from bot.delivery.fit import fit_parts
from bot.delivery.routes import Abilities
from bot.model import CardUpdate, Image, Part, TemplateCard, Video, Voice


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
    parts = tuple(parts)
    if inline:
        fitted = fit_parts(parts, row)
        if fitted and _can_be_passive(fitted[0], row):
            rest = fitted[1:]
            if all(part.kind in row.active_parts for part in rest):
                return Division(fitted[0], rest)
            return Division(fitted[0], _for_later(rest, row))
    return Division(None, _for_later(parts, row))


def _for_later(parts: tuple[Part, ...], row: Abilities) -> tuple[Part, ...]:
    """Fit parts to the other route; of a channel without one they stay as they are, to be listed so."""
    return fit_parts(parts, row, row.active_parts or None) if parts else ()


def _can_be_passive(part: Part, row: Abilities) -> bool:
    """Whether an HTTP response can hold a part.

    Not bytes that must be uploaded first, nor a card that the platform would refuse: as a delivery that
    dies with its reason it is seen.
    """
    if part.kind not in row.passive_parts:
        return False
    if isinstance(part, Image | Voice | Video):
        return bool(part.media_id)
    return not (isinstance(part, TemplateCard | CardUpdate) and card_fault(part))
