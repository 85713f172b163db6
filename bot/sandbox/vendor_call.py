"""One HTTP call of the bot, taken apart: for the modules that answer it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.channel import Kind
    from bot.sandbox.room import Room
    from bot.sandbox.vendor import Sandbox


@dataclass(frozen=True, slots=True)
class Upload:
    """The file in a form: its name and bytes."""

    filename: str
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VendorCall:
    """One call; `room` is None when it names no channel of ours.

    Attributes:
        method: HTTP method.
        endpoint: Path below ``/cgi-bin/``.
        query: What stands behind the question mark.
        body: The JSON object, empty for none.
        upload: The file of a form, None for none.
        room: The channel by its token, key, code or id.
    """

    method: str
    endpoint: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    upload: Upload | None
    room: Room | None


def entitled(sandbox: Sandbox, call: VendorCall, *kinds: Kind) -> Room:
    """Return the channel whose living token the call carries.

    Raises:
        VendorError: No such token, or one of another kind of channel.
    """
    room = sandbox.rooms[sandbox.tokens.check(call.query.get("access_token", ""))]
    if room.channel.kind not in kinds:
        raise VendorError(40014, "invalid access_token")
    return room
