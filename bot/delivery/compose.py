"""Makes the delivery of what an HTTP answer cannot carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from bot.delivery.routes import Route, route_after_deadline
from bot.model import Event, Part
from bot.storage.redis.deliveries import Delivery, encode_parts


@dataclass(frozen=True, slots=True)
class SendingChannel:
    """What a channel can send later: its kind, and whether we have the secret that its calls need."""

    kind: str
    has_secret: bool


class Composer:
    """Composes deliveries for the configured channels."""

    def __init__(self, channels: Mapping[str, SendingChannel]) -> None:
        """Know every channel by name."""
        self._routes = {
            name: route_after_deadline(channel.kind, has_secret=channel.has_secret)
            for name, channel in channels.items()
        }

    def compose(self, event: Event, community: str, parts: Sequence[Part], now_ms: int) -> Delivery | None:
        """Return the delivery that answers `event` with `parts`; None for no parts.

        Its id comes from the event's, so an event handled twice makes one delivery. A channel without a
        way to send later makes one too: it is listed as undeliverable rather than forgotten.
        """
        if not parts:
            return None
        return Delivery(
            id=blake2b(f"reply\0{event.id}".encode(), digest_size=12).hexdigest(),
            community=community,
            channel=event.channel,
            user_id=event.user_id,
            member=event.member_id,
            cause=event.id,
            route=self._routes.get(event.channel, Route.NONE),
            created_at_ms=now_ms,
            parts=encode_parts(parts),
        )
