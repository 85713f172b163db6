"""Makes the delivery of what an HTTP answer cannot carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.answer_ids import answer_id
from bot.delivery.routes import ChannelAbilities, Route
from bot.model import Event, Part
from bot.part_codec import encode_parts
from bot.storage.redis.deliveries import Delivery

ANSWER_USEFUL_MS = 24 * 3_600_000
"""How long an answer is worth sending where its handler says nothing else and the channel sets no limit."""


class Composer:
    """Composes deliveries for the configured channels."""

    def __init__(self, abilities: Mapping[str, ChannelAbilities]) -> None:
        """Know every channel by name."""
        self._abilities = abilities

    def compose(
        self,
        event: Event,
        community: str,
        parts: Sequence[Part],
        now_ms: int,
        *,
        useful_for_s: int | None = None,
    ) -> Delivery | None:
        """Return the delivery that answers `event` with `parts`; None for no parts.

        Its id comes from the event's, so an event handled twice makes one delivery. A channel without a
        way to send later makes one too: it is listed as undeliverable rather than forgotten.
        """
        if not parts:
            return None
        known = self._abilities.get(event.channel)
        row = None if known is None else known.row(event.group_id)
        useful_ms = ANSWER_USEFUL_MS if useful_for_s is None else useful_for_s * 1000
        if row is not None and row.answer_for_ms:
            useful_ms = min(useful_ms, row.answer_for_ms)
        return Delivery(
            id=answer_id(event.id),
            community=community,
            channel=event.channel,
            user_id=event.user_id,
            group_id=event.group_id,
            member=event.member_id,
            cause=event.id,
            route=Route.NONE if known is None else known.later(event.group_id),
            created_at_ms=now_ms,
            useful_until_ms=now_ms + useful_ms,
            answer_to=event.answer_to,
            parts=encode_parts(parts),
        )
