"""What an AI bot says and uploads through its long connection, checked as the vendor checks it.

Source: WeCom, AI bot, long connection; error codes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.sandbox.bot_answers import (
    MEDIA,
    TO_CARD,
    TO_CONNECTION,
    TO_ENTER,
    UNPROMPTED,
    BotAnswer,
    BotAnswerError,
    read_answer,
)
from bot.sandbox.bot_letters import Talk
from bot.sandbox.limits import Rate, upload_rate
from bot.sandbox.media import LEAST_BYTES, MOST_BYTES
from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from bot.sandbox.bot_desk import BotDesk
    from bot.sandbox.courier import Letter
    from bot.sandbox.media import MediaStore
    from bot.sandbox.room import Entry, Room
    from bot.sandbox.vendor_clock import VendorClock

_ANSWER_MS = 24 * 3_600_000
_AT_ONCE_MS = 5_000
_CHUNKS = 100
_CHUNK_BYTES = 512 * 1024
_SESSION_MS = 30 * 60_000
_WRONG_REQ_ID = 846605
_STREAM_OVER = 846608  # seen in clients of the vendor's ecosystem; not in its published list
_SINGLE, _GROUP = 1, 2


@dataclass(slots=True)
class Sent:
    """One callback that went down a connection, and what came back for it.

    Attributes:
        req_id: Of its frame, and of every answer to it.
        letter: What it said.
        talk: Where.
        at_ms: When it was sent, Unix milliseconds.
        entry: Its line in the transcript.
        answers: What the bot answered, by stream id or number, a stream as it stands now.
        done: Set once one answer is complete.
    """

    req_id: str
    letter: Letter
    talk: Talk
    at_ms: int
    entry: Entry
    answers: dict[str, BotAnswer] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Upload:
    channel: str
    kind: str
    filename: str
    size_bytes: int
    chunks: int
    md5: str
    until_ms: int
    got: dict[int, bytes] = field(default_factory=dict)


class ConnectionCalls:
    """Carries out the commands of subscribed bots."""

    def __init__(self, desks: Mapping[str, BotDesk], media: MediaStore, clock: VendorClock) -> None:
        """Write into `desks`, keep uploads in `media`."""
        self._desks, self._media, self._clock = desks, media, clock
        self._uploads: dict[str, _Upload] = {}
        self._upload_rates: dict[str, Rate] = {name: upload_rate() for name in desks}
        self._commands: Mapping[str, Callable[[Room, Sent | None, Mapping[str, Any]], dict[str, Any]]] = {
            "aibot_respond_msg": self._respond,
            "aibot_respond_welcome_msg": self._welcome,
            "aibot_respond_update_msg": self._update,
            "aibot_send_msg": self._send,
            "aibot_upload_media_init": self._upload_init,
            "aibot_upload_media_chunk": self._upload_chunk,
            "aibot_upload_media_finish": self._upload_finish,
        }

    def act(self, room: Room, sent: Sent | None, cmd: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one command and return the body of its ack; `sent` is what its req_id answers.

        Raises:
            VendorError: 846605 the req_id is not one that this command answers, or not any more; 846608
                the stream is over; 45009, 45011 over the minute's or the hour's rate; 40007 no such
                medium; 60011 a chat that the bot does not know; 40058 a wrong shape.
        """
        command = self._commands.get(cmd)
        if command is None:
            raise VendorError(40058, f"unknown cmd {cmd}")
        try:
            return command(room, sent, body)
        except BotAnswerError as error:
            errcode = _STREAM_OVER if error.limit in {"six_minutes", "after_finish"} else 40058
            raise VendorError(errcode, str(error), error.limit) from error

    # ------------------------------------------------------------ answers

    def _respond(self, room: Room, sent: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        if sent is None or sent.letter.event:
            raise VendorError(_WRONG_REQ_ID, "req_id is not that of a message")
        self._check_age(sent, _ANSWER_MS, "24_hours")
        answer = read_answer(body, TO_CONNECTION, images=False)
        self._check_media(room, answer)
        desk = self._desks[room.channel.name]
        is_new = answer.stream is None or desk.stream(answer.stream.id) is None
        if is_new:
            self._spend(desk, sent.talk)
        desk.show(answer, sent.talk, "connection")
        key = answer.stream.id if answer.stream else f"#{len(sent.answers)}"
        sent.answers[key] = answer
        if answer.stream is None or answer.stream.finish:
            self._done(room, sent)
        return {}

    def _welcome(self, room: Room, sent: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        if sent is None or sent.letter.event != "enter_chat" or sent.answers:
            raise VendorError(_WRONG_REQ_ID, "req_id is not that of an enter_chat without an answer")
        self._check_age(sent, _AT_ONCE_MS, "5_seconds")
        answer = read_answer(body, TO_ENTER)
        desk = self._desks[room.channel.name]
        self._spend(desk, sent.talk)
        desk.show(answer, sent.talk, "connection")
        sent.answers["welcome"] = answer
        self._done(room, sent)
        return {}

    def _update(self, room: Room, sent: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        if sent is None or sent.letter.event != "template_card_event" or sent.answers:
            raise VendorError(_WRONG_REQ_ID, "req_id is not that of a click without an answer")
        self._check_age(sent, _AT_ONCE_MS, "5_seconds")
        answer = read_answer(body, TO_CARD)
        card_line = room.find(sent.letter.card_id)
        if card_line is not None:
            self._desks[room.channel.name].update_card(answer, card_line)
        sent.answers["update"] = answer
        self._done(room, sent)
        return {}

    def _send(self, room: Room, _: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        talk = _addressed(room, body)
        answer = read_answer(body, UNPROMPTED)
        self._check_media(room, answer)
        desk = self._desks[room.channel.name]
        self._spend(desk, talk)
        desk.show(answer, talk, "active")
        room.outcomes["active_received"] += 1
        return {}

    def _spend(self, desk: BotDesk, talk: Talk) -> None:
        over = desk.rate(talk).over(self._clock.now_ms())
        if over:
            raise VendorError(
                45009 if over == "per_minute" else 45011, "too many messages to this chat", over
            )

    def _check_age(self, sent: Sent, most_ms: int, limit: str) -> None:
        if self._clock.now_ms() - sent.at_ms > most_ms:
            raise VendorError(_WRONG_REQ_ID, "req_id is too old", limit)

    def _check_media(self, room: Room, answer: BotAnswer) -> None:
        if answer.kind not in MEDIA:
            return
        medium = self._media.find(room.channel.name, answer.media_id, self._clock.now_ms())
        if medium is None or medium.kind != answer.kind:
            raise VendorError(40007, "invalid media_id")

    def _done(self, room: Room, sent: Sent) -> None:
        line = room.find(sent.entry.id)
        if line is not None:
            room.change(line, status="answered")
        sent.done.set()

    # ------------------------------------------------------------ uploads

    def _upload_init(self, room: Room, _: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        kind, filename = body.get("type"), body.get("filename")
        size, chunks, md5 = body.get("total_size"), body.get("total_chunks"), body.get("md5", "")
        if kind not in MOST_BYTES or not isinstance(filename, str) or not filename:
            raise VendorError(40058, "type or filename is wrong")
        if not isinstance(size, int) or not isinstance(chunks, int) or not isinstance(md5, str):
            raise VendorError(40058, "total_size, total_chunks or md5 is wrong")
        if not LEAST_BYTES <= size <= MOST_BYTES[kind]:
            raise VendorError(40006, "invalid media size", "media_bytes")
        if not 1 <= chunks <= _CHUNKS:
            raise VendorError(40058, f"total_chunks is 1 to {_CHUNKS}", "chunks")
        now_ms = self._clock.now_ms()
        if over := self._upload_rates[room.channel.name].over(now_ms):
            raise VendorError(45009 if over == "per_minute" else 45011, "too many uploads", over)
        upload_id = secrets.token_urlsafe(24)
        self._uploads[upload_id] = _Upload(
            room.channel.name, kind, filename, size, chunks, md5, now_ms + _SESSION_MS
        )
        return {"upload_id": upload_id}

    def _upload_chunk(self, room: Room, _: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        upload, index = self._session(room, body), body.get("chunk_index")
        if not isinstance(index, int) or not 0 <= index < upload.chunks:
            raise VendorError(40058, "chunk_index is outside of the upload")
        try:
            blob = base64.b64decode(str(body.get("base64_data", "")), validate=True)
        except binascii.Error:
            raise VendorError(40058, "base64_data cannot be decoded") from None
        if not 1 <= len(blob) <= _CHUNK_BYTES:
            raise VendorError(40058, f"a chunk is 1 to {_CHUNK_BYTES} bytes", "chunk_bytes")
        upload.got[index] = blob
        return {}

    def _upload_finish(self, room: Room, _: Sent | None, body: Mapping[str, Any]) -> dict[str, Any]:
        upload = self._session(room, body)
        blob = b"".join(upload.got[index] for index in sorted(upload.got))
        if len(upload.got) != upload.chunks or len(blob) != upload.size_bytes:
            raise VendorError(40058, "chunks are missing, or total_size is wrong")
        if upload.md5 and hashlib.md5(blob, usedforsecurity=False).hexdigest() != upload.md5.lower():
            raise VendorError(40058, "md5 is wrong")
        del self._uploads[str(body["upload_id"])]
        now_ms = self._clock.now_ms()
        media_id = self._media.upload(room.channel.name, upload.kind, upload.filename, blob, now_ms)
        return {"type": upload.kind, "media_id": media_id, "created_at": now_ms // 1000}

    def _session(self, room: Room, body: Mapping[str, Any]) -> _Upload:
        upload = self._uploads.get(str(body.get("upload_id", "")))
        if upload is None or upload.channel != room.channel.name:
            raise VendorError(40058, "invalid upload_id")
        if self._clock.now_ms() >= upload.until_ms:
            raise VendorError(40058, "the upload is older than 30 minutes", "30_minutes")
        return upload


def _addressed(room: Room, body: Mapping[str, Any]) -> Talk:
    """Return where an unprompted message goes; without chat_type the vendor guesses."""
    chat_id, chat_type = body.get("chatid"), body.get("chat_type")
    if not isinstance(chat_id, str) or not chat_id or chat_type not in {None, 0, _SINGLE, _GROUP}:
        raise VendorError(40058, "chatid or chat_type is wrong")
    is_group = chat_type == _GROUP or (chat_type in {None, 0} and chat_id in room.groups)
    group, chat = room.groups.get(chat_id), room.chats.get(chat_id)
    if is_group:
        if group is None or not group.known_to_bot:
            raise VendorError(60011, "the bot does not know this group")
        return Talk("", chat_id)
    if chat is None or not chat.known_to_bot or not chat.follows:
        raise VendorError(60011, "the user did not write to the bot before")
    return Talk(chat_id)
