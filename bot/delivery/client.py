"""What a sender may ask of any channel that can send by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.errors import PlatformApiError
from bot.model import Part


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
    """One channel that can send without being asked."""

    channel: str
    kind: str

    async def send(self, user_id: str, part: Part, *, guard: bool = False) -> SendReceipt:
        """Send one part; `guard` asks the platform to drop it should it have the same already.

        Raises:
            NotReachedError: Accepted, but not for this receiver.
            PlatformApiError: Refused, also after a token that the platform refused was replaced once.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreUnavailableError: The access token could not be looked up; nothing was sent.
        """

    async def close(self) -> None:
        """End what runs beside; the session stays open."""
