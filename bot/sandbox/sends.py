"""What the vendors check before a message of the bot reaches a person, and what they say back.

Source: WeCom, message/send and error codes; Official Account, customer-service messages and error codes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from bot.sandbox.answers import TEXT_LIMIT_BYTES, Said, cut, describe, read_active
from bot.sandbox.cards import CARD_TYPES, CLICKABLE_TYPES, CardError, check_card, title_of
from bot.sandbox.tokens import VendorError
from bot.sandbox.uploads import check_medium

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.room import Chat, Entry, Room, Status
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
_PARTIES = 100
_ARTICLES = 8
_DEFAULT_DUPLICATE_INTERVAL_S = 1800
_LONGEST_DUPLICATE_INTERVAL_S = 4 * 3600


def send_app_message(sandbox: Sandbox, room: Room, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out WeCom's ``message/send`` and return its answer.

    Raises:
        VendorError: nobody or nothing could be sent.
    """
    if body.get("agentid") != room.channel.agent_id:
        raise VendorError(40056, "invalid agentid")
    said = read_message(sandbox, room, body, APP_TYPES)
    wanted = _names(body, "touser")
    if len(wanted) > _RECEIVERS:
        raise VendorError(40058, f"touser takes at most {_RECEIVERS} members", "receivers")
    parties, tags = _names(body, "toparty"), _names(body, "totag")
    if max(len(parties), len(tags)) > _PARTIES:
        raise VendorError(40058, f"toparty and totag take at most {_PARTIES}", "receivers")
    if not wanted and not parties and not tags:
        raise VendorError(40058, "touser, toparty and totag are all empty")
    if wanted == ["@all"]:
        wanted = [user_id for user_id, chat in room.chats.items() if chat.follows]
    invalid = [user_id for user_id in wanted if not _in_range(room, user_id)]
    if len(invalid) == len(wanted):
        raise VendorError(81013, "user & party & tag all invalid")
    now_ms, reached = (
        sandbox.clock.now_ms(),
        [user_id for user_id in dict.fromkeys(wanted) if user_id not in invalid],
    )
    if over := room.person_times(sandbox.settings.company_accounts).over(now_ms, len(reached)):
        raise VendorError(45009, "too many messages of this app today", f"person_times_{over}")
    lines = [_deliver_app_message(sandbox, room, room.chats[user_id], said, body) for user_id in reached]
    answer: dict[str, Any] = {"errcode": 0, "errmsg": "ok", "msgid": f"MSG{now_ms}"}
    if said.kind == "template_card" and said.fields.get("card_type") in CLICKABLE_TYPES:
        book = sandbox.cards[room.channel.name]
        answer["response_code"] = book.issue(tuple(line.id for line in lines), now_ms)
        if not book.is_new_task(str(said.fields["task_id"])):
            room.violate("message/send:card_task_id_reused")
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
    said = read_message(sandbox, room, body, ACCOUNT_TYPES)
    if said.kind == "text" and len(said.text.encode()) > TEXT_LIMIT_BYTES:
        raise VendorError(45002, "content size out of limit", "text_bytes")
    if not chat.follows:
        raise VendorError(43004, "require subscribe")
    errcode = chat.window.spend(sandbox.clock.now_ms())
    if errcode == 45015:
        raise VendorError(45015, "response out of time limit or subscription is canceled", "window")
    if errcode == 45047:
        raise VendorError(45047, "out of response count limit", "window_count")
    _write(sandbox, room, chat, said)
    return {"errcode": 0, "errmsg": "ok"}


def read_message(sandbox: Sandbox, room: Room, body: Mapping[str, Any], types: frozenset[str]) -> Said:
    """Return what a send says, checked as far as all ways of sending check it.

    Raises:
        VendorError: 40008 a type that is not one of `types`; 40058 (40035 on an Official Account) a wrong
            shape; 44004 empty; 40007 no such medium; 45008 a number of articles.
    """
    kind = body.get("msgtype")
    if not isinstance(kind, str) or kind not in types:
        raise VendorError(40008, "invalid message type")
    content = body.get(kind)
    if not isinstance(content, dict) or not content:
        raise VendorError(40035 if room.channel.kind == "wechat_oa" else 40058, f"missing {kind}")
    if kind in {"text", "markdown"} and not content.get("content"):
        raise VendorError(44004, "empty content")
    if kind in _MEDIA_TYPES:
        check_medium(sandbox, room, kind, content.get("media_id"))
    elif kind == "news":
        check_articles(content, 1 if room.channel.kind == "wechat_oa" else _ARTICLES)
    elif kind == "template_card":
        return read_active(kind, dict(checked_card(content)))
    return read_active(kind, content)


def check_articles(content: Mapping[str, Any], most: int = 8) -> None:
    """Refuse a number of articles that the vendor does not take.

    Raises:
        VendorError: 45008.
    """
    articles = content.get("articles")
    if not isinstance(articles, list) or not 1 <= len(articles) <= most:
        raise VendorError(45008, f"articles are 1 to {most}", "articles")


def checked_card(content: object, types: frozenset[str] = CARD_TYPES) -> Mapping[str, Any]:
    """Return a card that the vendor takes.

    Raises:
        VendorError: 40058 (its own codes for cards are not published).
    """
    try:
        return check_card(content, types)
    except CardError as error:
        raise VendorError(40058, f"template_card: {error}", error.limit) from None


def update_app_card(sandbox: Sandbox, room: Room, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out WeCom's ``message/update_template_card`` and return its answer.

    Raises:
        VendorError: 40056 another app's; 40058 a response_code that is unknown, used, or older than 72
            hours, or a card that the vendor does not take.
    """
    if body.get("agentid") != room.channel.agent_id:
        raise VendorError(40056, "invalid agentid")
    button, card = body.get("button"), body.get("template_card")
    if isinstance(button, dict) and not button.get("replace_name"):
        raise VendorError(40058, "button.replace_name is missing")
    new = None if isinstance(button, dict) else checked_card(card)
    lines = sandbox.cards[room.channel.name].spend(str(body.get("response_code", "")), sandbox.clock.now_ms())
    if lines is None:
        raise VendorError(40058, "invalid response_code", "response_code")
    everyone = body.get("atall") == 1 or not body.get("userids")
    wanted = set() if everyone else {str(user_id) for user_id in body["userids"]}
    for line in filter(None, map(room.find, lines)):
        if everyone or line.user_id in wanted:
            replace_card(room, line, new, str(button["replace_name"]) if isinstance(button, dict) else "")
    return {"errcode": 0, "errmsg": "ok"}


def replace_card(room: Room, line: Entry, card: Mapping[str, Any] | None, button: str) -> Entry:
    """Put a card in the place of a line's, or make its buttons one that reads `button`."""
    new = {**line.fields, "replaced_button": button} if card is None else card
    return room.change(line, fields=new, text=describe("template_card", title_of(new)))


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
) -> Entry:
    """Send to one member; being over the rate or a duplicate is not told to the sender."""
    if _is_duplicate(chat, said, body, sandbox.clock.now_ms()):
        note = "the same message within duplicate_check_interval"
        return _write(sandbox, room, chat, said, status="duplicate", note=note)
    if over := chat.rate.over(sandbox.clock.now_ms()):
        room.violate(f"message/send:member_{over}")
        note = "over the rate of one member, dropped silently"
        return _write(sandbox, room, chat, said, status="dropped", note=note)
    if said.kind in {"text", "markdown"} and len(said.text.encode()) > TEXT_LIMIT_BYTES:
        room.violate(f"message/send:{said.kind}_bytes")
        short = Said(said.kind, cut(said.text), said.fields)
        note = f"cut to {TEXT_LIMIT_BYTES} bytes"
        return _write(sandbox, room, chat, short, status="truncated", note=note)
    return _write(sandbox, room, chat, said)


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
) -> Entry:
    room.outcomes[f"active_{status}"] += 1
    return room.write(
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
