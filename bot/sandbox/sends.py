"""What the vendors check before a message of the bot reaches a person, and what they say back.

Source: WeCom, message/send and error codes; Official Account, customer-service messages and error codes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from bot.sandbox.answers import TEXT_LIMIT_BYTES, Said, cut, read_active
from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.room import Chat, Room, Status
    from bot.sandbox.vendor import Sandbox

APP_TYPES = frozenset(
    {
        "text", "image", "voice", "video", "file", "textcard", "news", "mpnews", "markdown",
        "miniprogram_notice", "template_card",
    }
)  # fmt: skip
ACCOUNT_TYPES = frozenset(
    {
        "text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle", "msgmenu", "wxcard",
        "miniprogrampage",
    }
)  # fmt: skip
_MEDIA_TYPES = frozenset({"image", "voice", "video", "file"})
_RECEIVERS = 1000
_DEFAULT_DUPLICATE_INTERVAL_S = 1800
_LONGEST_DUPLICATE_INTERVAL_S = 4 * 3600


def send_app_message(sandbox: Sandbox, room: Room, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out WeCom's ``message/send`` and return its answer.

    Raises:
        VendorError: nobody or nothing could be sent.
    """
    if body.get("agentid") != room.channel.agent_id:
        raise VendorError(40056, "invalid agentid")
    said = _read(body, APP_TYPES)
    wanted = _names(body, "touser")
    if len(wanted) > _RECEIVERS:
        raise VendorError(40058, f"touser takes at most {_RECEIVERS} members")
    parties, tags = _names(body, "toparty"), _names(body, "totag")
    if not wanted and not parties and not tags:
        raise VendorError(40058, "touser, toparty and totag are all empty")
    if wanted == ["@all"]:
        wanted = [user_id for user_id, chat in room.chats.items() if chat.follows]
    invalid = [user_id for user_id in wanted if not _in_range(room, user_id)]
    if len(invalid) == len(wanted):
        raise VendorError(81013, "user & party & tag all invalid")
    for user_id in dict.fromkeys(wanted):
        if user_id not in invalid:
            _deliver_app_message(sandbox, room, room.chats[user_id], said, body)
    answer = {"errcode": 0, "errmsg": "ok", "msgid": f"MSG{sandbox.clock.now_ms()}"}
    partly = {"invaliduser": invalid, "invalidparty": parties, "invalidtag": tags}
    return answer | {name: "|".join(names) for name, names in partly.items() if names}


def send_custom_message(sandbox: Sandbox, room: Room, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out the Official Account's ``message/custom/send`` and return its answer.

    Raises:
        VendorError: it was not sent.
    """
    user_id = body.get("touser")
    chat = room.chats.get(user_id) if isinstance(user_id, str) else None
    if chat is None:
        raise VendorError(40003, "invalid openid")
    said = _read(body, ACCOUNT_TYPES)
    if said.kind == "text" and len(said.text.encode()) > TEXT_LIMIT_BYTES:
        raise VendorError(45002, "content size out of limit")
    if not chat.follows:
        raise VendorError(43004, "require subscribe")
    errcode = chat.window.spend(sandbox.clock.now_ms())
    if errcode == 45015:
        raise VendorError(45015, "response out of time limit or subscription is canceled")
    if errcode == 45047:
        raise VendorError(45047, "out of response count limit")
    _write(sandbox, room, chat, said)
    return {"errcode": 0, "errmsg": "ok"}


def _read(body: Mapping[str, Any], types: frozenset[str]) -> Said:
    kind = body.get("msgtype")
    if not isinstance(kind, str) or kind not in types:
        raise VendorError(40008, "invalid message type")
    content = body.get(kind)
    if not isinstance(content, dict) or not content:
        raise VendorError(40058 if "agentid" in body else 40035, f"missing {kind}")
    if kind in {"text", "markdown"} and not content.get("content"):
        raise VendorError(44004, "empty content")
    if kind in _MEDIA_TYPES and not content.get("media_id"):
        raise VendorError(40007, "invalid media_id")
    return read_active(kind, content)


def _names(body: Mapping[str, Any], field: str) -> list[str]:
    value = body.get(field) or ""
    if not isinstance(value, str):
        raise VendorError(40058, f"{field} is not a string")
    return [name for name in value.split("|") if name]


def _in_range(room: Room, user_id: str) -> bool:
    chat = room.chats.get(user_id)
    return chat is not None and chat.follows


def _deliver_app_message(
    sandbox: Sandbox, room: Room, chat: Chat, said: Said, body: Mapping[str, Any]
) -> None:
    """Send to one member; being over the rate or a duplicate is not told to the sender."""
    if _is_duplicate(chat, said, body, sandbox.clock.now_ms()):
        _write(
            sandbox,
            room,
            chat,
            said,
            status="duplicate",
            note="the same message within duplicate_check_interval",
        )
    elif over := chat.rate.over(sandbox.clock.now_ms()):
        room.violate(f"message/send:member_{over}")
        _write(
            sandbox, room, chat, said, status="dropped", note="over the rate of one member, dropped silently"
        )
    elif said.kind in {"text", "markdown"} and len(said.text.encode()) > TEXT_LIMIT_BYTES:
        short = Said(said.kind, cut(said.text), said.fields)
        _write(sandbox, room, chat, short, status="truncated", note=f"cut to {TEXT_LIMIT_BYTES} bytes")
    else:
        _write(sandbox, room, chat, said)


def _is_duplicate(chat: Chat, said: Said, body: Mapping[str, Any], now_ms: int) -> bool:
    if body.get("enable_duplicate_check") != 1:
        return False
    asked_s = body.get("duplicate_check_interval", _DEFAULT_DUPLICATE_INTERVAL_S)
    interval_ms = min(int(asked_s), _LONGEST_DUPLICATE_INTERVAL_S) * 1000
    fields = orjson.dumps([said.kind, dict(said.fields)], option=orjson.OPT_SORT_KEYS)
    fingerprint = hashlib.sha256(fields).hexdigest()
    before_ms = chat.sent_at_ms.get(fingerprint)
    if before_ms is not None and now_ms - before_ms < interval_ms:
        return True
    chat.sent_at_ms[fingerprint] = now_ms
    return False


def _write(
    sandbox: Sandbox, room: Room, chat: Chat, said: Said, *, status: Status = "received", note: str = ""
) -> None:
    room.outcomes[f"active_{status}"] += 1
    room.write(
        chat.person.id,
        "bot",
        "active",
        at_ms=sandbox.clock.now_ms(),
        kind=said.kind,
        text=said.text,
        fields=said.fields,
        status=status,
        note=note,
    )
