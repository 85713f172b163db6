"""What the rest of the product may ask of any platform that answers inside the HTTP request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bot.model import Event, Part


class Platform(Protocol):
    """One configured channel of one vendor: bytes of the wire on one side, our model on the other.

    It holds no state that an event changes, so every process may have its own.

    Attributes:
        channel: Name of the channel, as in the configuration.
        kind: Kind of the channel, as in the configuration (``wecom_app``, ``wechat_oa``).
        content_type: Media type of a non-empty answer.
        text_limit_bytes: Most UTF-8 bytes one text of a passive reply may have.
    """

    channel: str
    kind: str
    content_type: str
    text_limit_bytes: int

    def verify_url(self, query: str) -> bytes:
        """Return the answer to the GET handshake by which a platform tests our address.

        Args:
            query: The raw query string, still percent-encoded, without the question mark.

        Raises:
            CallbackError: The request was not made by the platform.
        """

    def open(self, query: str, body: bytes, received_at_ms: int) -> Event:
        """Verify, decrypt and decode one callback.

        Args:
            query: The raw query string, still percent-encoded, without the question mark.
            body: The request body as received; its size has been checked by the server.
            received_at_ms: When it was received; stands in where the platform gives no time.

        Returns:
            The event. A type we do not know has `Unknown` content; a field that is missing or
            malformed is empty or 0, never an error.

        Raises:
            CallbackError: Not signed, not for this channel, or not decodable.
        """

    def render(self, event: Event, part: Part | None, at_ms: int) -> bytes:
        """Return the HTTP answer to `event`, addressed to its sender.

        Args:
            event: What is answered.
            part: What to say; None for the platform's acknowledgement.
            at_ms: When the answer was decided, so that a repeat has the same plaintext.

        Raises:
            ValueError: `part` is more than one passive reply holds: a text above
                `text_limit_bytes`, or not one to eight articles.
        """
