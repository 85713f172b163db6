"""What an AI bot answers, checked as its vendor checks it, on both ways: HTTP response and connection.

Source: WeCom, AI bot, replies in URL mode and long connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.answers import Said, describe
from bot.sandbox.cards import CardError, check_card, title_of
from bot.sandbox.wire import UndecodableAnswerError

CONTENT_LIMIT_BYTES = 20_480
"""Longest content of a stream or of markdown, UTF-8 bytes."""
_FEEDBACK_ID_BYTES = 256
_IMAGES = 10
_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
MEDIA = frozenset({"image", "voice", "video", "file"})

Kind = Literal[
    "stream", "stream_with_template_card", "template_card", "update_template_card", "text", "markdown",
    "image", "voice", "video", "file",
]  # fmt: skip

TO_MESSAGE = frozenset({"stream", "stream_with_template_card", "template_card"})
"""What may answer a message in callback mode."""
TO_POLL = frozenset({"stream", "stream_with_template_card"})
TO_ENTER = frozenset({"text", "template_card"})
TO_CARD = frozenset({"update_template_card"})
TO_FEEDBACK: frozenset[str] = frozenset()
TO_RESPONSE_URL = frozenset({"markdown", "template_card"})
TO_CONNECTION = frozenset({"stream", "stream_with_template_card", "template_card", "markdown"}) | MEDIA
"""What may answer a message on the long connection."""
UNPROMPTED = frozenset({"markdown", "template_card"}) | MEDIA
"""What ``aibot_send_msg`` takes."""


class BotAnswerError(UndecodableAnswerError):
    """The vendor cannot use the answer; `limit` names the documented limit it is over, "" for none."""

    def __init__(self, problem: str, limit: str = "") -> None:
        """Carry the problem and the limit's name."""
        self.limit = limit
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """The full text so far of one stream, and whether it is the last."""

    id: str
    content: str
    finish: bool
    feedback_id: str = ""
    images: int = 0


@dataclass(frozen=True, slots=True)
class BotAnswer:
    """One answer; which fields hold something depends on `kind`.

    Attributes:
        kind: The vendor's message type.
        stream: Of a stream.
        card: Of a card, alone, with a stream, or as an update.
        user_ids: Of an update: who sees it; empty is everyone.
        content: Words of text and markdown.
        media_id: Of an image, voice, video or file.
        feedback_id: Of markdown.
        body: The vendor's object named after the kind.
    """

    kind: Kind
    stream: StreamFrame | None = None
    card: Mapping[str, Any] | None = None
    user_ids: tuple[str, ...] = ()
    content: str = ""
    media_id: str = ""
    feedback_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def said(self) -> Said:
        """Return what a person reads; of a stream with a card only the stream."""
        if self.stream is not None:
            return Said("stream", self.stream.content, {"id": self.stream.id, "finish": self.stream.finish})
        if self.card is not None:
            return Said("template_card", describe("template_card", title_of(self.card)), self.card)
        if self.media_id:
            return Said(self.kind, describe(self.kind, self.media_id), self.body)
        return Said(self.kind, self.content, self.body)


def read_answer(raw: object, permitted: frozenset[str], *, images: bool = True) -> BotAnswer:
    """Return an answer of one of the `permitted` kinds; `images` may stand in a stream's last frame.

    Raises:
        BotAnswerError: It is none of these, lacks something, or is over a limit.
    """
    if not isinstance(raw, Mapping):
        raise BotAnswerError("the answer is not a JSON object")
    kind = raw.get("response_type") if "response_type" in raw else raw.get("msgtype")
    if kind not in permitted:
        allowed = ", ".join(sorted(permitted)) or "an empty body"
        raise BotAnswerError(f"{kind or 'nothing'} cannot be the answer here, only {allowed}")
    if kind in {"stream", "stream_with_template_card"}:
        stream = _stream(raw.get("stream"), images=images)
        # The card comes with one frame of the stream, not with each.
        has_card = kind == "stream_with_template_card" and raw.get("template_card") is not None
        card = _card(raw) if has_card else None
        return BotAnswer(kind, stream, card)
    if kind == "template_card":
        return BotAnswer(kind, card=_card(raw), feedback_id=_feedback(raw.get("template_card")))
    if kind == "update_template_card":
        return BotAnswer(kind, card=_card(raw), user_ids=_user_ids(raw))
    body = raw.get(kind)
    if not isinstance(body, Mapping):
        raise BotAnswerError(f"{kind} is missing")
    if kind in MEDIA:
        media_id = body.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise BotAnswerError(f"{kind}.media_id is missing")
        return BotAnswer(kind, media_id=media_id, body=body)
    content = _content(body, str(kind), needed=True)
    assert kind in {"text", "markdown"}
    return BotAnswer(kind, content=content, feedback_id=_feedback(body), body=body)


def _stream(raw: object, *, images: bool) -> StreamFrame:
    if not isinstance(raw, Mapping):
        raise BotAnswerError("stream is missing")
    stream_id, finish = raw.get("id"), raw.get("finish", False)
    if not isinstance(stream_id, str) or not stream_id:
        raise BotAnswerError("stream.id is missing")
    if not isinstance(finish, bool):
        raise BotAnswerError("stream.finish is not true or false")
    content = _content(raw, "stream", needed=False)
    return StreamFrame(
        stream_id, content, finish, _feedback(raw), _images(raw.get("msg_item"), finish=finish, taken=images)
    )


def _content(body: Mapping[str, Any], kind: str, *, needed: bool) -> str:
    content = body.get("content", "")
    if not isinstance(content, str) or (needed and not content):
        raise BotAnswerError(f"{kind}.content is not a text")
    if len(content.encode()) > CONTENT_LIMIT_BYTES:
        raise BotAnswerError(f"{kind}.content is over {CONTENT_LIMIT_BYTES} bytes", "content_bytes")
    return content


def _feedback(body: object) -> str:
    feedback = body.get("feedback") if isinstance(body, Mapping) else None
    if feedback is None:
        return ""
    feedback_id = feedback.get("id") if isinstance(feedback, Mapping) else None
    if not isinstance(feedback_id, str) or not feedback_id:
        raise BotAnswerError("feedback.id is not a text")
    if len(feedback_id.encode()) > _FEEDBACK_ID_BYTES:
        raise BotAnswerError(f"feedback.id is over {_FEEDBACK_ID_BYTES} bytes", "feedback_id_bytes")
    return feedback_id


def _images(items: object, *, finish: bool, taken: bool) -> int:
    if items is None:
        return 0
    if not taken:
        raise BotAnswerError("msg_item is not supported on the long connection")
    if not finish:
        raise BotAnswerError("msg_item goes with finish: true only")
    if not isinstance(items, list) or len(items) > _IMAGES:
        raise BotAnswerError(f"msg_item has at most {_IMAGES} images", "images")
    for item in items:
        image = item.get("image") if isinstance(item, Mapping) and item.get("msgtype") == "image" else None
        if not isinstance(image, Mapping):
            raise BotAnswerError("msg_item holds images only")
        check_image(image, _IMAGE_BYTES)
    return len(items)


def check_image(image: Mapping[str, Any], most_bytes: int) -> bytes:
    """Return the bytes of ``{base64, md5}``.

    Raises:
        BotAnswerError: They do not agree, are too many, or no JPG or PNG.
    """
    try:
        raw = base64.b64decode(str(image.get("base64", "")), validate=True)
    except binascii.Error:
        raise BotAnswerError("base64 of an image cannot be decoded") from None
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != str(image.get("md5", "")).lower():
        raise BotAnswerError("md5 is not that of the image")
    if len(raw) > most_bytes:
        raise BotAnswerError(f"an image is over {most_bytes} bytes", "image_bytes")
    if not raw.startswith(_IMAGE_STARTS):
        raise BotAnswerError("an image is neither JPG nor PNG")
    return raw


def _card(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return check_card(raw.get("template_card"))
    except CardError as error:
        raise BotAnswerError(f"template_card: {error}", error.limit) from None


def _user_ids(raw: Mapping[str, Any]) -> tuple[str, ...]:
    user_ids = raw.get("userids", [])
    if not isinstance(user_ids, list) or not all(isinstance(user_id, str) for user_id in user_ids):
        raise BotAnswerError("userids is not a list of texts")
    return tuple(user_ids)
