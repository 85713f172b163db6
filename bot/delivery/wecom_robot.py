"""Sends through a WeCom group robot (群机器人 / 消息推送): ``webhook/send``, with the key in the address.

The key is all the secret there is, so it is in no error, log or `repr`. The platform names no message and
drops no duplicates.

Source: WeCom, group robot webhook.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import aiohttp

from bot.delivery.body import message_body
from bot.delivery.client import Receiver, SendReceipt
from bot.delivery.http import VendorApi
from bot.delivery.markdown import needs_v2
from bot.delivery.media import MediaPart, MediaRule, MediaShelf, Uploads
from bot.delivery.routes import WECOM_ROBOT
from bot.delivery.tokens import fingerprint
from bot.model import Image, Markdown, Part, TemplateCard, Text
from bot.storage.sql.blobs import Blob

_SEND = "cgi-bin/webhook/send"
_UPLOAD = "cgi-bin/webhook/upload_media"
_RULES = {
    "image": MediaRule(frozenset({"image/jpeg", "image/png"}), 2 << 20),
    "voice": MediaRule(frozenset({"audio/amr"}), 2 << 20),
    "file": MediaRule(frozenset(), 20 << 20),
}


class WecomRobotClient:
    """One robot in one group."""

    kind = "wecom_robot"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        channel: str,
        key: str,
        api_base: str,
        shelf: MediaShelf | None = None,
    ) -> None:
        """Send as the robot with `key`; bytes of our own come from `shelf`."""
        self.channel = channel
        self._key = key
        self._api = VendorApi(session, platform=self.kind, api_base=api_base)
        self._uploads = Uploads(
            shelf,
            self._upload,
            platform=self.kind,
            account=f"{channel}:{fingerprint(self.kind, api_base, key)}",
            endpoint=_SEND,
            rules=_RULES,
        )

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        """Send one part to the robot's group, whoever `receiver` names; `guard` has no effect.

        Raises:
            UnsendableError: The platform never takes this part.
            PlatformApiError: Refused (errcode not 0).
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreError: A store is away; nothing was sent.
        """
        if isinstance(part, Image):
            await self._post(await self._picture(part))
        elif isinstance(part, MediaPart):
            await self._uploads.send(part, lambda media_id: self._post(message_body(part, media_id)))
        else:
            await self._post(self._body(part))
        return SendReceipt("")

    async def close(self) -> None:
        """Give up what is being uploaded."""
        await self._uploads.close()

    def _body(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TemplateCard) and part.card_type not in WECOM_ROBOT.card_types:
            raise self._uploads.unsendable(part.kind, f"card_type: a robot has no {part.card_type}")
        try:
            body = message_body(part)
        except ValueError as error:
            raise self._uploads.unsendable(part.kind, str(error)) from None
        if isinstance(part, Text) and part.mentions:
            body["text"]["mentioned_list"] = list(part.mentions)
        if isinstance(part, Markdown) and needs_v2(part.text):
            return {"msgtype": "markdown_v2", "markdown_v2": body["markdown"]}
        return body

    async def _picture(self, part: Image) -> dict[str, Any]:
        """Return a picture as the webhook wants it: the bytes themselves and their MD5."""
        content = (await self._uploads.blob(part)).content
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()  # as the platform wants it
        return {"msgtype": "image", "image": {"base64": b64encode(content).decode(), "md5": digest}}

    async def _post(self, body: dict[str, Any]) -> None:
        await self._api.post(_SEND, {"key": self._key}, body, secrets=(self._key,))

    async def _upload(self, kind: str, blob: Blob, file_name: str) -> dict[str, Any]:
        return await self._api.upload(
            _UPLOAD,
            {"key": self._key, "type": kind},
            blob.content,
            content_type=blob.content_type,
            file_name=file_name,
            secrets=(self._key,),
        )
