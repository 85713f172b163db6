"""Makes deliveries: of what an HTTP answer cannot carry, and of what nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from bot.answer_ids import answer_id, follow_up_id
from bot.delivery.fit import fit_parts
from bot.delivery.routes import Abilities, ChannelAbilities
from bot.delivery.way import NoWay, way_of_answer, way_unprompted
from bot.model import Event, FollowUp, Part
from bot.part_codec import encode_parts
from bot.storage.redis.deliveries import Delivery

ANSWER_USEFUL_MS = 24 * 3_600_000
"""How long an answer is worth sending where its handler says nothing else and the channel sets no limit."""


UNPROMPTED_USEFUL_S = 24 * 3600
"""How long something unprompted is worth sending where nobody says otherwise, seconds."""


def unprompted_id(community: str, request_id: str) -> str:
    """Return the id of the delivery that a request asks for: the same however often it is made."""
    return blake2b(f"unprompted\0{community}\0{request_id}".encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Unprompted:
    """Something to be said to a member or a group that nobody asked for.

    Attributes:
        request_id: Names the wish, unique within the community: the same one twice has one effect.
        community: Community id.
        channel: The channel to send through.
        parts: What to say.
        user_id: The person, as the platform names them; empty for a group.
        group_id: The chat group; empty for a person.
        feature: What asks for it, a word; caps count over all features.
        useful_for_s: How long it is worth sending from when it is due, seconds.
        not_before_ms: When it is due, Unix milliseconds; 0 for now.
    """

    request_id: str
    community: str
    channel: str
    parts: Sequence[Part]
    user_id: str = ""
    group_id: str = ""
    feature: str = "api"
    useful_for_s: int = UNPROMPTED_USEFUL_S
    not_before_ms: int = 0


class Composer:
    """Composes deliveries for the configured channels."""

    def __init__(self, abilities: Mapping[str, ChannelAbilities]) -> None:
        """Know every channel by name."""
        self._abilities = abilities

    def unprompted(self, wish: Unprompted, now_ms: int) -> Delivery | NoWay:
        """Return the delivery of what nobody asked for; why not, where the channel cannot say it.

        Raises:
            KeyError: There is no such channel.
        """
        way = way_unprompted(self._abilities[wish.channel], wish.group_id)
        if isinstance(way, NoWay):
            return way
        due_ms = max(now_ms, wish.not_before_ms)
        return Delivery(
            id=unprompted_id(wish.community, wish.request_id),
            community=wish.community,
            channel=wish.channel,
            user_id=wish.user_id,
            group_id=wish.group_id,
            member=f"{wish.channel}:{wish.user_id}" if wish.user_id else "",
            cause=f"{wish.feature}:{wish.request_id}",
            route=way.route,
            created_at_ms=now_ms,
            useful_until_ms=due_ms + wish.useful_for_s * 1000,
            feature=wish.feature,
            not_before_ms=wish.not_before_ms,
            parts=encode_parts(fit_parts(wish.parts, way.row)),
        )

    def follow_up(self, told: FollowUp, now_ms: int) -> Delivery:
        """Return the delivery of what comes after something somebody asked for, such as a round's end.

        It goes the way an answer goes that comes later. A channel without such a way gets one too: it is
        listed as undeliverable rather than forgotten.
        """
        known = self._abilities.get(told.channel)
        row = None if known is None else known.row(told.group_id)
        useful_ms = _useful_ms(row, ANSWER_USEFUL_MS)
        return Delivery(
            id=follow_up_id(told.community, told.name),
            community=told.community,
            channel=told.channel,
            user_id=told.user_id,
            group_id=told.group_id,
            member=f"{told.channel}:{told.user_id}" if told.user_id else "",
            cause=told.cause,
            route=way_of_answer(known, told.group_id),
            created_at_ms=now_ms,
            useful_until_ms=now_ms + useful_ms,
            answer_to=told.answer_to,
            parts=encode_parts(told.parts if row is None else fit_parts(told.parts, row)),
        )

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
        useful_ms = _useful_ms(row, ANSWER_USEFUL_MS if useful_for_s is None else useful_for_s * 1000)
        return Delivery(
            id=answer_id(event.id),
            community=community,
            channel=event.channel,
            user_id=event.user_id,
            group_id=event.group_id,
            member=event.member_id,
            cause=event.id,
            route=way_of_answer(known, event.group_id),
            created_at_ms=now_ms,
            useful_until_ms=now_ms + useful_ms,
            answer_to=event.answer_to,
            parts=encode_parts(parts),
        )


def _useful_ms(row: Abilities | None, wanted_ms: int) -> int:
    """Return how long an answer is worth sending, which the channel may limit, milliseconds."""
    return min(wanted_ms, row.answer_for_ms) if row is not None and row.answer_for_ms else wanted_ms
