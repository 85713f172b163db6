"""The group robot (群机器人): what its webhook address takes, into the one group it stands in.

Source: WeCom, group robot webhook.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bot.sandbox.answers import TEXT_LIMIT_BYTES, Said, describe, read_active
from bot.sandbox.bot_answers import BotAnswerError, check_image
from bot.sandbox.cards import ROBOT_CARD_TYPES
from bot.sandbox.sends import check_articles, checked_card
from bot.sandbox.tokens import VendorError
from bot.sandbox.uploads import check_medium, take_upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.room import GroupChat, Room
    from bot.sandbox.vendor import Sandbox
    from bot.sandbox.vendor_call import VendorCall

MARKDOWN_LIMIT_BYTES = 4096
_IMAGE_BYTES = 2 * 1024 * 1024
_UPLOADS = frozenset({"file", "voice"})
_TEXTS = {"text": TEXT_LIMIT_BYTES, "markdown": MARKDOWN_LIMIT_BYTES, "markdown_v2": MARKDOWN_LIMIT_BYTES}
_MENTION = re.compile(r"<@([^>\s]+)>")


def send_by_robot(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``webhook/send`` and return its answer.

    Raises:
        VendorError: 93000 no such key; 45009 over 20 a minute; 40008 no such type; 44004 empty; 40058 a
            wrong shape or over a limit (the vendor's own codes for these are not published); 40007 no
            such medium.
    """
    room = _by_key(call)
    said = _read(sandbox, room, call.body)
    if over := room.robot_rate.over(sandbox.clock.now_ms()):
        raise VendorError(45009, "api freq out of limit", over)
    group = _home(room)
    room.outcomes["active_received"] += 1
    room.write(
        "", "bot", "active", at_ms=sandbox.clock.now_ms(), kind=said.kind, text=said.text,
        fields=said.fields, group_id=group.group.id,
    )  # fmt: skip
    return {"errcode": 0, "errmsg": "ok"}


def upload_by_robot(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``webhook/upload_media`` and return its answer.

    Raises:
        VendorError: 93000 no such key, and as `take_upload`.
    """
    return take_upload(sandbox, call, _by_key(call), _UPLOADS)


def _by_key(call: VendorCall) -> Room:
    if call.room is None or call.room.channel.kind != "wecom_robot":
        raise VendorError(93000, "invalid webhook url")
    return call.room


def _home(room: Room) -> GroupChat:
    """Return the group the robot stands in: the channel's first."""
    if not room.groups:
        raise VendorError(93000, "the robot was removed from its group")
    return next(iter(room.groups.values()))


def _read(sandbox: Sandbox, room: Room, body: Mapping[str, Any]) -> Said:
    kind = body.get("msgtype")
    if not isinstance(kind, str) or kind not in {*_TEXTS, "image", "news", "file", "voice", "template_card"}:
        raise VendorError(40008, "invalid message type")
    content = body.get(kind)
    if not isinstance(content, dict) or not content:
        raise VendorError(40058, f"missing {kind}")
    if kind in _TEXTS:
        return _text(kind, content)
    if kind == "image":
        try:
            raw = check_image(content, _IMAGE_BYTES)
        except BotAnswerError as error:
            raise VendorError(40058, str(error), error.limit) from error
        media_id = sandbox.media.upload(
            room.channel.name, "image", "image", raw, sandbox.clock.now_ms()
        )  # so that the chat page can show it
        return Said("image", describe("image"), {"md5": content["md5"], "media_id": media_id})
    if kind == "news":
        check_articles(content)
    elif kind == "template_card":
        content = dict(checked_card(content, ROBOT_CARD_TYPES))
    else:
        check_medium(sandbox, room, kind, content.get("media_id"))
    return read_active(kind, content)


def _text(kind: str, content: Mapping[str, Any]) -> Said:
    words = content.get("content")
    if not isinstance(words, str) or not words:
        raise VendorError(44004, "empty content")
    if len(words.encode()) > _TEXTS[kind]:
        raise VendorError(40058, f"content is over {_TEXTS[kind]} bytes", f"{kind}_bytes")
    fields = dict(content)
    for name in ("mentioned_list", "mentioned_mobile_list"):
        listed = content.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise VendorError(40058, f"{name} is not a list of texts")
    if kind == "markdown" and (mentioned := _MENTION.findall(words)):
        fields["mentioned_list"] = mentioned
    return Said(kind, words, fields)
