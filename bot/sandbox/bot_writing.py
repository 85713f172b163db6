"""What people do with an AI bot, written as its vendor's letters: messages, quotes, clicks, feedback.

Source: WeCom, AI bot, what it receives and incoming JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from bot.errors import RefusedError
from bot.sandbox import bot_answers, bot_letters, wire
from bot.sandbox.answers import describe
from bot.sandbox.bot_letters import Talk
from bot.sandbox.courier import Letter

if TYPE_CHECKING:
    from bot.sandbox.bot_desk import BotDesk
    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.media import MediaStore
    from bot.sandbox.room import Entry, Room
    from bot.sandbox.vendor_clock import VendorClock

_WORDS = {
    "enter_chat": "打开聊天 enter_chat",
    "template_card_event": "点击卡片 click",
    "feedback_event": "评价 feedback",
}
_PERMITTED = {
    "enter_chat": bot_answers.TO_ENTER,
    "template_card_event": bot_answers.TO_CARD,
    "feedback_event": bot_answers.TO_FEEDBACK,
}


class BotWriter:
    """Writes letters to AI bots; `own_base` is scheme://host:port of the sandbox itself."""

    def __init__(self, media: MediaStore, clock: VendorClock) -> None:
        """Keep what is sent as bytes in `media`."""
        self.own_base = ""
        self._media, self._clock = media, clock

    def message(
        self,
        room: Room,
        desk: BotDesk,
        talk: Talk,
        kind: str,
        fields: Mapping[str, Any],
        *,
        msg_id: str,
        mention: bool,
        quote: Entry | None = None,
        media: bytes = b"",
        create_time_s: int | None = None,
    ) -> Letter:
        """Return the letter of one message.

        Raises:
            RefusedError: The vendor has no such type.
        """
        if kind not in bot_letters.MESSAGE_TYPES:
            known = ", ".join(sorted(bot_letters.MESSAGE_TYPES))
            raise RefusedError(f"people send an AI bot no {kind}; they send {known}")
        channel = room.channel
        content = bot_letters.plain_content(kind, fields)
        if kind == "mixed":
            content = self._mixed(channel, fields, media)
        elif kind in bot_letters.MEDIA_TYPES:
            content = {**self._medium(channel, media or b"sandbox"), **content}
        if talk.group_id and mention:
            _mention(channel, kind, content)
        address = ""
        if channel.mode == "callback":
            address = f"{self.own_base}/cgi-bin/aibot/response?response_code={desk.new_address(talk)}"
        body = bot_letters.message_body(
            channel, talk, kind, content,
            msg_id=msg_id, quote=self._quote(channel, quote), response_url=address,
            create_time_s=create_time_s,
        )  # fmt: skip
        shown: dict[str, Any] = {**content, "msgid": msg_id}
        if quote is not None:
            shown["quote"] = {"entry_id": quote.id, "text": quote.text}
        permitted = bot_answers.TO_MESSAGE if channel.mode == "callback" else bot_answers.TO_CONNECTION
        return Letter(
            orjson.dumps(body).decode(), talk.user_id, kind, _line(kind, content), shown,
            group_id=talk.group_id, permitted=permitted,
        )  # fmt: skip

    def event(
        self,
        room: Room,
        talk: Talk,
        event: str,
        payload: Mapping[str, Any],
        *,
        msg_id: str,
        create_time_s: int,
        card_id: int = 0,
    ) -> Letter:
        """Return the letter of one event."""
        body = bot_letters.event_body(
            room.channel, talk, event, payload, msg_id=msg_id, create_time_s=create_time_s
        )
        key = str(payload.get("event_key", payload.get("id", "")))
        return Letter(
            orjson.dumps(body).decode(), talk.user_id, "event",
            describe("事件 event", _WORDS.get(event, event), key), {"Event": event, **payload},
            group_id=talk.group_id, permitted=_PERMITTED.get(event, frozenset()), event=event,
            card_id=card_id, repeated=event != "template_card_event",
        )  # fmt: skip

    def _medium(self, channel: SandboxChannel, blob: bytes) -> dict[str, Any]:
        """Return url, and on a long connection the key, of bytes a person sent."""
        own_key = channel.mode == "long_connection"
        key = wire.new_media_key() if own_key else channel.encoding_aes_key
        name = self._media.serve(channel.name, wire.encrypt_media(key, blob), self._clock.now_ms())
        url = f"{self.own_base}/cgi-bin/aibot/media/{name}"
        return {"url": url, "aeskey": key} if own_key else {"url": url}

    def _mixed(self, channel: SandboxChannel, fields: Mapping[str, Any], media: bytes) -> dict[str, Any]:
        """Return a mixed message: its items as given, else the words with one picture."""
        if "msg_item" in fields:
            return {"msg_item": [dict(item) for item in fields["msg_item"]]}
        words = str(fields.get("content", fields.get("Content", "")))
        picture = self._medium(channel, media or b"sandbox")
        text = {"msgtype": "text", "text": {"content": words}}
        return {"msg_item": [text, {"msgtype": "image", "image": picture}]}

    def _quote(self, channel: SandboxChannel, quote: Entry | None) -> dict[str, Any] | None:
        if quote is None:
            return None
        if quote.kind in bot_letters.MEDIA_TYPES:
            return {"msgtype": quote.kind, quote.kind: self._medium(channel, b"sandbox")}
        if quote.kind == "voice":
            return {"msgtype": "voice", "voice": {"content": str(quote.fields.get("content", quote.text))}}
        if quote.kind == "mixed":
            return {"msgtype": "mixed", "mixed": {"msg_item": quote.fields.get("msg_item", [])}}
        return {"msgtype": "text", "text": {"content": quote.text}}


def _mention(channel: SandboxChannel, kind: str, content: dict[str, Any]) -> None:
    """Put the mention where the vendor leaves it: into the words, once."""
    if kind == "mixed":
        words = next((item for item in content["msg_item"] if item.get("msgtype") == "text"), None)
        if words is None:
            words = {"msgtype": "text", "text": {"content": ""}}
            content["msg_item"].insert(0, words)
        content = words["text"]
    said = str(content.get("content", ""))
    if f"@{channel.bot_name}" not in said:
        content["content"] = bot_letters.mention(channel, said)


def _line(kind: str, content: Mapping[str, Any]) -> str:
    if kind == "text":
        return str(content.get("content", ""))
    if kind == "mixed":
        words = [
            str(item["text"].get("content", "")) if item.get("msgtype") == "text" else describe("image")
            for item in content["msg_item"]
        ]
        return " ".join(words)
    return describe(kind, str(content.get("content", "")))
