"""Groups that a WeCom app makes itself (应用群聊, appchat): made, changed, read, sent to.

Error codes of groups are those of the vendor's global list; its own page of this API names none.

Source: WeCom, appchat.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.sandbox.answers import TEXT_LIMIT_BYTES, Said, cut
from bot.sandbox.room import Group
from bot.sandbox.sends import APP_TYPES, read_message
from bot.sandbox.tokens import VendorError
from bot.sandbox.vendor_call import entitled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.room import Chat, GroupChat, Room
    from bot.sandbox.vendor import Sandbox
    from bot.sandbox.vendor_call import VendorCall

_NAME_CHARACTERS = 50
_LEAST, _MOST = 2, 2000
_CHAT_ID = re.compile(r"[0-9a-zA-Z]{1,32}")
_TYPES = APP_TYPES - {"template_card", "miniprogram_notice"}


def create_group(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``appchat/create``.

    Raises:
        VendorError: 86001 chatid, 86004 name, 86005 owner, 86006 members; 60011 somebody outside of the
            app's visible range; 45009 over 1000 groups a day.
    """
    room, body = entitled(sandbox, call, "wecom_app"), call.body
    chat_id = body.get("chatid") or secrets.token_hex(12)
    if not isinstance(chat_id, str) or not _CHAT_ID.fullmatch(chat_id) or chat_id in room.groups:
        raise VendorError(86001, "invalid chatid, or one that is taken")
    members = _members(room, body.get("userlist"))
    owner = body.get("owner") or members[0]
    _check_size(members)
    if owner not in members:
        raise VendorError(86005, "the owner is not in userlist")
    group = Group(chat_id, _name(body.get("name") or "群聊"), members, str(owner))
    if over := room.new_groups.over(sandbox.clock.now_ms()):
        raise VendorError(45009, "too many new groups today", over)
    room.set_group(group)
    return {"errcode": 0, "errmsg": "ok", "chatid": chat_id}


def update_group(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``appchat/update``; raises as `create_group`, 86003 for a group it did not make."""
    room, body = entitled(sandbox, call, "wecom_app"), call.body
    group = _own(room, body).group
    added = _members(room, body.get("add_user_list") or [])
    removed = {str(user_id) for user_id in body.get("del_user_list") or ()}
    members = tuple(user_id for user_id in dict.fromkeys((*group.members, *added)) if user_id not in removed)
    _check_size(members)
    owner = str(body.get("owner") or group.owner)
    if owner not in members:
        raise VendorError(86005, "the owner is not in the group")
    name = _name(body["name"]) if body.get("name") else group.name
    room.set_group(replace(group, name=name, members=members, owner=owner))
    return {"errcode": 0, "errmsg": "ok"}


def get_group(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``appchat/get``.

    Raises:
        VendorError: 86003 a group the app did not make.
    """
    room = entitled(sandbox, call, "wecom_app")
    group = _own(room, call.query).group
    info = {
        "chatid": group.id, "name": group.name, "owner": group.owner, "userlist": list(group.members),
    }  # fmt: skip
    return {"errcode": 0, "errmsg": "ok", "chat_info": info}


def send_to_group(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    """Carry out ``appchat/send``; members over their own rate get nothing, and nobody is told.

    Raises:
        VendorError: 86003 a group the app did not make; 45009 over the company's person-times; and as
            `read_message`.
    """
    room = entitled(sandbox, call, "wecom_app")
    place = _own(room, call.body)
    said, now_ms = read_message(sandbox, room, call.body, _TYPES), sandbox.clock.now_ms()
    if over := room.app_group_rate.over(now_ms, len(place.group.members)):
        raise VendorError(45009, "api freq out of limit", over)
    missed = [user_id for user_id in place.group.members if _is_over(room, room.chats[user_id], now_ms)]
    if said.kind in {"text", "markdown"} and len(said.text.encode()) > TEXT_LIMIT_BYTES:
        room.violate(f"{call.endpoint}:{said.kind}_bytes")
        said = Said(said.kind, cut(said.text), said.fields)
    status = "dropped" if len(missed) == len(place.group.members) else "received"
    room.outcomes[f"active_{status}"] += 1
    room.outcomes["app_group_missed"] += len(missed)
    room.write(
        "", "bot", "active", at_ms=now_ms, kind=said.kind, text=said.text, fields=said.fields,
        status=status, group_id=place.group.id,
        note=f"over the rate of: {', '.join(missed)}" if missed else "",
    )  # fmt: skip
    return {"errcode": 0, "errmsg": "ok"}


def _is_over(room: Room, chat: Chat, now_ms: int) -> bool:
    over = chat.app_group_rate.over(now_ms)
    if over:
        room.violate(f"appchat/send:member_{over}")
    return bool(over)


def _own(room: Room, body: Mapping[str, Any]) -> GroupChat:
    chat = room.groups.get(str(body.get("chatid", "")))
    if chat is None or not chat.group.by_app:
        raise VendorError(86003, "chatid is not one of this app's groups")
    return chat


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise VendorError(86004, "invalid name")
    if len(name) > _NAME_CHARACTERS:
        raise VendorError(86004, f"name is over {_NAME_CHARACTERS} characters", "name_characters")
    return name


def _members(room: Room, users: object) -> tuple[str, ...]:
    if not isinstance(users, list) or not all(isinstance(user_id, str) for user_id in users):
        raise VendorError(86006, "the list of users is no list of texts")
    strangers = [user_id for user_id in users if user_id not in room.chats or not room.chats[user_id].follows]
    if strangers:
        raise VendorError(60011, f"no privilege to access/modify {'|'.join(strangers)}")
    return tuple(dict.fromkeys(users))


def _check_size(members: tuple[str, ...]) -> None:
    if not _LEAST <= len(members) <= _MOST:
        raise VendorError(86006, f"a group has {_LEAST} to {_MOST} members", "members")
