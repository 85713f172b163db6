"""Events and answers as bytes for the stores; every process of one version reads what another wrote."""

from __future__ import annotations

from typing import get_args

import orjson
from pydantic import TypeAdapter

from bot.model import Content, Event, Message, Part, Report, Text
from bot.part_codec import decode_parts, encode_parts

_NOTHING = b"n"


class EventCodec:
    """Writes and reads events; built once, because making the validators costs milliseconds."""

    def __init__(self) -> None:
        kinds: tuple[type[Content], ...] = (*get_args(Message), *get_args(Report))
        self._contents: dict[str, TypeAdapter[Content]] = {kind.name: TypeAdapter(kind) for kind in kinds}

    def encode(self, event: Event) -> bytes:
        """Return the event as JSON."""
        return orjson.dumps({"event": event._asdict(), "content_name": event.content.name})

    def decode(self, raw: bytes) -> Event:
        """Return the event `encode` was given."""
        fields = orjson.loads(raw)
        event = fields["event"]
        event["content"] = self._contents[fields["content_name"]].validate_python(event["content"])
        return Event(**event)


def encode_answer(part: Part | None) -> bytes:
    """Return what the HTTP answer says, never empty; None is silence."""
    if part is None:
        return _NOTHING
    if type(part) is Text and not part.mentions:
        return b"t" + part.text.encode("utf-8", "replace")
    return b"j" + encode_parts((part,)).encode()


def decode_answer(answer: bytes) -> Part | None:
    """Return what `encode_answer` was given; an empty answer is an acknowledgement, which is silence too."""
    kind, rest = answer[:1], answer[1:]
    if kind == b"t":
        return Text(rest.decode())
    if kind == b"j":
        return decode_parts(rest.decode())[0]
    return None
