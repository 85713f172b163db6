"""The AI bot on a long connection, as the line of messages sees it: a platform that is never called back.

Its events come through `bot.connection`, all of its answers are deliveries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from bot.errors import CallbackError

if TYPE_CHECKING:
    from bot.model import Event, Part


class NoAddressError(CallbackError):
    """The channel has no callback address."""

    status = 404


class AibotConnection:
    """One AI bot in long-connection mode as a `bot.platforms.protocol.Platform`."""

    kind = "wecom_aibot"
    content_type = "application/json"
    text_limit_bytes = 0
    streams = None

    def __init__(self, channel: str) -> None:
        """Stand for the channel of that name."""
        self.channel = channel

    def verify_url(self, query: str) -> NoReturn:  # noqa: ARG002 - the shape of a platform
        """Refuse: nobody calls back.

        Raises:
            NoAddressError: Always.
        """
        raise NoAddressError("this channel uses a long connection and has no callback address")

    def open(self, query: str, body: bytes, received_at_ms: int) -> NoReturn:  # noqa: ARG002
        """Refuse: nobody calls back.

        Raises:
            NoAddressError: Always.
        """
        raise NoAddressError("this channel uses a long connection and has no callback address")

    def render(self, event: Event, part: Part | None, at_ms: int, query: str = "") -> bytes:  # noqa: ARG002
        """Return nothing: no answer travels in an HTTP response."""
        return b""
