"""What the rest of the product may ask of any platform that answers inside the HTTP request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from bot.model import Event, Part


class Poll(NamedTuple):
    """The platform asks for the rest of an answer that was begun; no event: not counted, told apart or kept.

    `stream_id` is the name of the answer, as the platform says it: not to be trusted to be one of ours.
    """

    stream_id: str


class StreamTexts(NamedTuple):
    """What a stream says of itself, in the language of its channel.

    Attributes:
        working: While the handler works and has shown nothing.
        done: When there is nothing (more) to say.
        elsewhere: When the answer goes, or went, as a message of its own.
        apart: To one who has as many answers under way as the platform allows.
    """

    working: str
    done: str
    elsewhere: str
    apart: str


class Streams(Protocol):
    """How a platform asks again for an answer that is late: it polls until the answer is finished.

    Attributes:
        texts: What to say while there is no answer.
        most_open: Unfinished answers one member may have on this channel.
    """

    texts: StreamTexts
    most_open: int

    def name(self, event: Event) -> str:
        """Return the name of the stream that answers `event`, the same for every delivery of it.

        It is ``<shard>-<id of the delivery that answers>`` (`bot.answer_ids`), so a poll alone leads there;
        empty where the platform takes no stream for such an event.
        """

    def takes(self, event: Event, part: Part) -> bool:
        """Whether the platform shows `part`, at once or in a stream, as the answer to `event`."""

    def render(self, stream_id: str, part: Part, at_ms: int, query: str, *, finished: bool) -> bytes:
        """Return the HTTP answer that shows `part`, the whole of the answer so far.

        Raises:
            ValueError: `part` is more than a stream holds, or is of a kind it cannot show.
        """


class Platform(Protocol):
    """One configured channel of one vendor: bytes of the wire on one side, our model on the other.

    It holds no state that an event changes, so every process may have its own.

    Attributes:
        channel: Name of the channel, as in the configuration.
        kind: Kind of the channel, as in the configuration (``wecom_app``, ``wechat_oa``).
        content_type: Media type of a non-empty answer.
        text_limit_bytes: Most UTF-8 bytes one text of a passive reply may have.
        streams: How it asks again for a late answer; None where it does not, and a late event is acknowledged
            without a word.
    """

    channel: str
    kind: str
    content_type: str
    text_limit_bytes: int

    @property
    def streams(self) -> Streams | None:
        """See above; a property, so that a class may say None once."""

    def verify_url(self, query: str) -> bytes:
        """Return the answer to the GET handshake by which a platform tests our address.

        Args:
            query: The raw query string, still percent-encoded, without the question mark.

        Raises:
            CallbackError: The request was not made by the platform.
        """

    def open(self, query: str, body: bytes, received_at_ms: int) -> Event | Poll:
        """Verify, decrypt and decode one callback.

        Args:
            query: The raw query string, still percent-encoded, without the question mark.
            body: The request body as received; its size has been checked by the server.
            received_at_ms: When it was received; stands in where the platform gives no time.

        Returns:
            The event, or, only where there are `streams`, the poll. A type we do not know has `Unknown`
            content; a field that is missing or malformed is empty or 0, never an error.

        Raises:
            CallbackError: Not signed, not for this channel, or not decodable.
        """

    def render(self, event: Event, part: Part | None, at_ms: int, query: str) -> bytes:
        """Return the HTTP answer to `event`, addressed to its sender.

        Args:
            event: What is answered.
            part: What to say; None for the platform's acknowledgement.
            at_ms: When the answer was decided, so that a repeat has the same plaintext.
            query: The raw query string of the request that is answered.

        Raises:
            ValueError: `part` is more than one passive reply holds: a text above
                `text_limit_bytes`, or not one to eight articles.
        """
