"""What a delivery must know of the callback it answers, as the text of `Event.answer_to`.

The platform asks for another frame in answer to a message, to the opening of a chat and to the click on a
card, and sets each another deadline. Kind and time of the callback stand before its req_id, so that whoever
carries the delivery needs nothing else, in whatever process and however late.

Source: WeCom, AI bot, permitted answers; long connection.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from bot.connection.frames import Command, Frame


class Kind(StrEnum):
    """Of a callback, by the answer it permits."""

    MESSAGE = "m"  # a stream, a card or media, for 24 hours
    ENTER = "w"  # a text or a card as welcome, for 5 s
    CARD = "c"  # an update of the card, for 5 s


class AnswerTo(NamedTuple):
    """A callback that may be answered; `received_at_ms` is when it came, Unix milliseconds."""

    kind: Kind
    received_at_ms: int
    req_id: str

    def __str__(self) -> str:
        """Return it as an event and its delivery carry it."""
        return f"{self.kind.value}:{self.received_at_ms}:{self.req_id}"


def answer_to_of(frame: Frame, received_at_ms: int) -> str:
    """Return what answers to a callback need; empty where it permits none (feedback, unknown events)."""
    if not frame.req_id:
        return ""
    if frame.cmd == Command.MESSAGE:
        return str(AnswerTo(Kind.MESSAGE, received_at_ms, frame.req_id))
    event = frame.body.get("event")
    name = event.get("eventtype") if isinstance(event, dict) else None
    kinds = {"enter_chat": Kind.ENTER, "template_card_event": Kind.CARD}
    kind = kinds.get(name) if isinstance(name, str) else None
    return "" if kind is None else str(AnswerTo(kind, received_at_ms, frame.req_id))


def read_answer_to(text: str) -> AnswerTo | None:
    """Return what `answer_to_of` wrote; None for an empty text, or one from before this shape."""
    kind, _, rest = text.partition(":")
    received_at, _, req_id = rest.partition(":")
    if kind not in set(Kind) or not received_at.isdecimal() or not req_id:
        return None
    return AnswerTo(Kind(kind), int(received_at), req_id)
