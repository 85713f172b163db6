"""What a sender may ask of any channel that can send by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bot.errors import PlatformApiError
from bot.model import Part


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom one part of a delivery goes to, and what names this sending.

    Attributes:
        user_id: The person, as the platform names them; empty where it is for a whole group.
        group_id: The chat group it goes to; empty in a direct chat.
        answer_to: What the platform gave to answer with (`bot.model.Event.answer_to`); a secret.
        delivery_id: The delivery's id, the same at every attempt.
        part_number: Which part of it, from 0.
    """

    user_id: str
    group_id: str = ""
    answer_to: str = field(default="", repr=False)
    delivery_id: str = ""
    part_number: int = 0


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """The platform accepted a part; `message_id` is its name for it, empty where it gives none."""

    message_id: str


class NotReachedError(PlatformApiError):
    """The platform accepted the call, but not this receiver; `reason` is a code of `errcodes.py`."""

    def __init__(self, *, platform: str, endpoint: str, reason: str) -> None:
        """Carry the failed call and why the receiver was left out."""
        self.reason = reason
        super().__init__(platform=platform, endpoint=endpoint, errcode=0, errmsg=reason)


class ActiveClient(Protocol):
    """One channel that can send without being asked; `kind` as the configuration names it."""

    channel: str
    kind: str

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:
        """Send one part; `guard` asks the platform to drop it should it have the same already.

        Raises:
            NotReachedError: Accepted, but not for this receiver.
            PlatformApiError: Refused, also after a token that the platform refused was replaced once.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreUnavailableError: The access token could not be looked up; nothing was sent.
        """

    async def close(self) -> None:
        """End what runs beside; the session stays open."""
