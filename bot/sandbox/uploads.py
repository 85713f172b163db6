"""Files the bot uploads by form: an app's and an account's media/upload, a robot's upload_media.

Source: WeCom, group robot webhook; sizes as its documentation of temporary media names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.sandbox.letters import MESSAGES
from bot.sandbox.media import LEAST_BYTES, MOST_BYTES
from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from bot.sandbox.room import Room
    from bot.sandbox.vendor import Sandbox
    from bot.sandbox.vendor_call import VendorCall

# Media ids of what people sent; they can be sent on.
_INCOMING = frozenset(
    str(fields["MediaId"]) for kind in MESSAGES.values() for fields in kind.values() if "MediaId" in fields
)


def take_upload(sandbox: Sandbox, call: VendorCall, room: Room, kinds: frozenset[str]) -> dict[str, Any]:
    """Keep a file of ``?type=`` and return the vendor's answer.

    Raises:
        VendorError: 40004 a type that is not one of `kinds`, 41005 no file, 40006 too small or too large.
    """
    kind = call.query.get("type", "")
    if kind not in kinds:
        raise VendorError(40004, "invalid media type")
    if call.upload is None:
        raise VendorError(41005, "media data missing")
    blob = call.upload.blob
    if not LEAST_BYTES <= len(blob) <= MOST_BYTES[kind]:
        raise VendorError(40006, "invalid media size", "media_bytes")
    now_ms = sandbox.clock.now_ms()
    media_id = sandbox.media.upload(room.channel.name, kind, call.upload.filename, blob, now_ms)
    created_at: str | int = now_ms // 1000
    if room.channel.kind != "wechat_oa":
        created_at = str(created_at)
    return {
        "errcode": 0, "errmsg": "ok", "type": kind, "media_id": media_id, "created_at": created_at,
    }  # fmt: skip


def check_medium(sandbox: Sandbox, room: Room, kind: str, media_id: object) -> None:
    """Refuse a media id that is not good on this channel for this type.

    Raises:
        VendorError: 40007.
    """
    if not isinstance(media_id, str) or not media_id:
        raise VendorError(40007, "invalid media_id")
    if media_id in _INCOMING and room.channel.kind != "wecom_robot":
        return
    medium = sandbox.media.find(room.channel.name, media_id, sandbox.clock.now_ms())
    if medium is None or medium.kind != kind:
        raise VendorError(40007, "invalid media_id")
