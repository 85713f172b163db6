"""Frames of the long connection: text frames of JSON, ``{"cmd", "headers": {"req_id"}, "body"}``.

An acknowledgement has no cmd but errcode and errmsg, and the req_id of what it acknowledges.

Source: WeCom, AI bot, long connection.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

_LONGEST_REQ_ID = 512
_LONGEST_ERRMSG = 200


class Command(StrEnum):
    """What a frame is."""

    SUBSCRIBE = "aibot_subscribe"
    PING = "ping"
    MESSAGE = "aibot_msg_callback"
    EVENT = "aibot_event_callback"
    RESPOND = "aibot_respond_msg"
    WELCOME = "aibot_respond_welcome_msg"
    UPDATE = "aibot_respond_update_msg"
    SEND = "aibot_send_msg"
    UPLOAD_INIT = "aibot_upload_media_init"
    UPLOAD_CHUNK = "aibot_upload_media_chunk"
    UPLOAD_FINISH = "aibot_upload_media_finish"


CALLBACKS = frozenset({Command.MESSAGE, Command.EVENT})


class Frame(NamedTuple):
    """One frame from the platform; `cmd` is empty for an acknowledgement, whose `errcode` is 0 when well."""

    cmd: str
    req_id: str
    body: dict[str, Any]
    errcode: int
    errmsg: str

    @property
    def is_kick(self) -> bool:
        """Whether it says that another client has subscribed in our place."""
        event = self.body.get("event")
        return (
            self.cmd == Command.EVENT
            and isinstance(event, dict)
            and event.get("eventtype") == "disconnected_event"
        )


def encode(command: Command, req_id: str, body: dict[str, Any] | None) -> str:
    """Return the frame to send; what UTF-8 cannot carry is the caller's to replace."""
    frame: dict[str, Any] = {"cmd": command.value, "headers": {"req_id": req_id}}
    if body is not None:
        frame["body"] = body
    return orjson.dumps(frame).decode()


def decode(raw: str | bytes) -> Frame:
    """Return a frame of the platform; fields that are missing are empty, an errcode that is missing is 0.

    Raises:
        ValueError: Not JSON, not an object, or a field has the wrong type.
    """
    value = orjson.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for whatever is wrong with it
    headers, body = value.get("headers"), value.get("body")
    req_id = headers.get("req_id", "") if isinstance(headers, dict) else ""
    cmd, errcode = value.get("cmd", ""), value.get("errcode", 0)
    if not isinstance(req_id, str) or len(req_id) > _LONGEST_REQ_ID:
        raise ValueError("req_id is not a text of usual length")
    if not isinstance(cmd, str) or not isinstance(errcode, int) or not isinstance(body, dict | None):
        raise ValueError("a field has the wrong type")  # noqa: TRY004
    errmsg = str(value.get("errmsg", ""))[:_LONGEST_ERRMSG]
    return Frame(cmd, req_id, body or _payload(value), errcode, errmsg)


def _payload(value: dict[str, Any]) -> dict[str, Any]:
    """Return what an acknowledgement carries beside its usual fields, where it has no body for it."""
    return {name: item for name, item in value.items() if name not in _USUAL}


_USUAL = frozenset({"cmd", "headers", "body", "errcode", "errmsg"})
