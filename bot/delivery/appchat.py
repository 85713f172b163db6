"""Groups that a WeCom app makes itself (应用群聊): created, changed, read, sent to.

They hold employees only, and no message of theirs comes back. The app's visible range must be the whole
company.

Source: WeCom, appchat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.delivery.authorized import AuthorizedApi
from bot.delivery.body import message_body
from bot.delivery.client import SendReceipt
from bot.delivery.media import MediaPart, Uploads
from bot.errors import PlatformUnreachableError
from bot.model import Part, Text

NAME_CHARACTERS = 50
LEAST_MEMBERS, MOST_MEMBERS = 2, 2000
CHAT_ID = re.compile(r"[0-9a-zA-Z]{1,32}")
SEND = "cgi-bin/appchat/send"
_CREATE = "cgi-bin/appchat/create"
_UPDATE = "cgi-bin/appchat/update"
_GET = "cgi-bin/appchat/get"
_PLATFORM = "wecom_app"


@dataclass(frozen=True, slots=True)
class AppChat:
    """One such group as the platform knows it; `owner` and `members` are user ids."""

    chat_id: str
    name: str
    owner: str
    members: tuple[str, ...]


class AppChats:
    """The groups of one app. Every method raises as `AuthorizedApi.post` does."""

    def __init__(self, api: AuthorizedApi, uploads: Uploads) -> None:
        """Call `api` with the app's token; what is sent is uploaded by `uploads`."""
        self._api = api
        self._uploads = uploads

    async def create(self, chat: AppChat) -> str:
        """Make a group and return its chat id; an empty one is chosen by the platform.

        Raises:
            ValueError: The platform would refuse it; the text begins with the field's name and a colon.
        """
        check_chat(chat)
        body: dict[str, Any] = {"name": chat.name, "owner": chat.owner, "userlist": list(chat.members)}
        if chat.chat_id:
            body["chatid"] = chat.chat_id
        return str((await self._api.post(_CREATE, body)).get("chatid") or chat.chat_id)

    async def get(self, chat_id: str) -> AppChat:
        """Return a group as it is now.

        Raises:
            PlatformUnreachableError: The answer holds no group.
        """
        answer = await self._api.get(_GET, {"chatid": chat_id})
        info = answer.get("chat_info")
        if not isinstance(info, dict) or not isinstance(info.get("userlist"), list):
            raise PlatformUnreachableError(
                platform=_PLATFORM, endpoint=_GET, problem="the answer holds no chat_info"
            )
        members = tuple(str(user_id) for user_id in info["userlist"])
        return AppChat(chat_id, str(info.get("name", "")), str(info.get("owner", "")), members)

    async def update(
        self,
        chat_id: str,
        *,
        name: str = "",
        owner: str = "",
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> None:
        """Change a group; what is empty stays as it is.

        Raises:
            ValueError: As for `create`.
        """
        if name:
            check_name(name)
        changes = {"name": name, "owner": owner, "add_user_list": list(add), "del_user_list": list(remove)}
        await self._api.post(_UPDATE, {"chatid": chat_id} | {key: new for key, new in changes.items() if new})

    async def send(self, chat_id: str, part: Part) -> SendReceipt:
        """Send one part to a group.

        Raises:
            UnsendableError: The platform never takes this part.
        """
        if isinstance(part, MediaPart):
            await self._uploads.send(part, lambda media_id: self._send(chat_id, part, media_id))
        else:
            await self._send(chat_id, part)
        return SendReceipt("")  # the platform names no message

    async def _send(self, chat_id: str, part: Part, media_id: str = "") -> None:
        try:
            body = message_body(part, media_id)
        except ValueError as error:
            raise self._uploads.unsendable(part.kind, str(error)) from None
        if isinstance(part, Text) and part.mentions:
            body["text"]["mentioned_list"] = list(part.mentions)
        await self._api.post(SEND, {"chatid": chat_id, **body})


def check_chat(chat: AppChat) -> None:
    """Refuse (ValueError) a group that the platform would; the text begins with the field's name."""
    check_name(chat.name)
    if chat.chat_id and not CHAT_ID.fullmatch(chat.chat_id):
        raise ValueError("chat_id: must be 1 to 32 letters and digits")
    if len(set(chat.members)) < len(chat.members):
        raise ValueError("members: a user id stands twice")
    if not LEAST_MEMBERS <= len(chat.members) <= MOST_MEMBERS:
        raise ValueError(f"members: {len(chat.members)}; a group has {LEAST_MEMBERS} to {MOST_MEMBERS}")
    if chat.owner not in chat.members:
        raise ValueError("owner: must be one of the members")


def check_name(name: str) -> None:
    """Refuse (ValueError) a name that the platform would."""
    if not name.strip() or len(name) > NAME_CHARACTERS:
        raise ValueError(f"name: must be 1 to {NAME_CHARACTERS} characters")
