"""The AI bot's inner JSON, written by the sandbox's own hand: every message, event and poll.

Source: WeCom, AI bot, what it receives and incoming JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.letters import Fields

MESSAGE_TYPES = frozenset({"text", "image", "mixed", "voice", "file", "video"})
"""What a person can send in the direct chat; each may quote."""
GROUP_TYPES = frozenset({"text", "mixed"})
"""What can mention the bot, so that it reaches it from a group."""
MEDIA_TYPES = frozenset({"image", "file", "video"})
"""Types whose bytes stand, encrypted, behind a url of five minutes."""
EVENT_TYPES = ("enter_chat", "template_card_event", "feedback_event")
"""Events a person causes; ``disconnected_event`` belongs to the connection."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Where something is said: by whom, and in which group, "" for the direct chat."""

    user_id: str
    group_id: str = ""


def message_body(
    channel: SandboxChannel,
    talk: Talk,
    kind: str,
    content: Mapping[str, Any],
    *,
    msg_id: str,
    quote: Mapping[str, Any] | None = None,
    response_url: str = "",
    create_time_s: int | None = None,
) -> dict[str, Any]:
    """Return one message; `content` is the object named after its type."""
    body = {**_head(channel, talk, msg_id), "msgtype": kind, kind: dict(content)}
    if response_url:
        body["response_url"] = response_url
    if create_time_s is not None:
        body["create_time"] = create_time_s
    if quote is not None:
        body["quote"] = dict(quote)
    return body


def event_body(
    channel: SandboxChannel,
    talk: Talk,
    event: str,
    payload: Fields,
    *,
    msg_id: str,
    create_time_s: int,
) -> dict[str, Any]:
    """Return one event; `payload` is the object named after it, left out where there is none."""
    inner: dict[str, Any] = {"eventtype": event}
    if event != "enter_chat" or payload:
        inner[event] = dict(payload)
    head = _head(channel, talk, msg_id)
    return {**head, "create_time": create_time_s, "msgtype": "event", "event": inner}


def poll_body(channel: SandboxChannel, talk: Talk, stream_id: str, *, msg_id: str) -> dict[str, Any]:
    """Return the question for the present state of a stream."""
    return {**_head(channel, talk, msg_id), "msgtype": "stream", "stream": {"id": stream_id}}


def disconnected_body(channel: SandboxChannel, *, msg_id: str, create_time_s: int) -> dict[str, Any]:
    """Return what a connection is told when another one takes its place."""
    return {
        "msgid": msg_id,
        "create_time": create_time_s,
        "aibotid": channel.account_id,
        "msgtype": "event",
        "event": {"eventtype": "disconnected_event"},
    }


def plain_content(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object named after a type, with plausible values where `fields` leave them.

    `fields` may spell the words as an XML message does (Content).
    """
    given = {name: value for name, value in fields.items() if name != "Content"}
    if kind == "text":
        return {"content": str(fields.get("content", fields.get("Content", ""))), **given}
    if kind == "voice":
        return {"content": str(fields.get("Content", "今天有什么活动")), **given}
    return given


def mention(channel: SandboxChannel, text: str) -> str:
    """Return a text that mentions the bot, as the vendor hands it over."""
    return f"@{channel.bot_name} {text}"


def _head(channel: SandboxChannel, talk: Talk, msg_id: str) -> dict[str, Any]:
    head: dict[str, Any] = {"msgid": msg_id, "aibotid": channel.account_id}
    if talk.group_id:
        head["chatid"] = talk.group_id
    return {**head, "chattype": "group" if talk.group_id else "single", "from": {"userid": talk.user_id}}
