"""Sends through a WeCom app: ``message/send`` to people, ``appchat/send`` to the app's own groups.

Source: WeCom, self-built app, message/send; WeCom, appchat; WeCom, access_token. Sizes and types of uploads
are the vendor's published ones (temporary media).
"""

from __future__ import annotations

from typing import Any

import aiohttp

from bot.clock import Clock
from bot.delivery.appchat import AppChats
from bot.delivery.authorized import AuthorizedApi
from bot.delivery.body import message_body
from bot.delivery.client import NotReachedError, Receiver, SendReceipt
from bot.delivery.http import VendorApi
from bot.delivery.media import MediaPart, MediaRule, MediaShelf, Uploads
from bot.delivery.routes import WECOM_APP
from bot.delivery.tokens import AccessTokens, Fetch, Fetched, fingerprint, read_token
from bot.model import MiniProgram, Part
from bot.storage.redis.tokens import TokenStore
from bot.storage.sql.blobs import Blob

_GET_TOKEN = "cgi-bin/gettoken"  # noqa: S105 - an endpoint
_SEND = "cgi-bin/message/send"
_UPLOAD = "cgi-bin/media/upload"
_MOST_LINES = 10
_RULES = {
    "image": MediaRule(frozenset({"image/jpeg", "image/png"}), 10 << 20),
    "voice": MediaRule(frozenset({"audio/amr"}), 2 << 20),
    "video": MediaRule(frozenset({"video/mp4"}), 10 << 20),
    "file": MediaRule(frozenset(), 20 << 20),
}
_DUPLICATES_S = WECOM_APP.drops_duplicates_ms // 1000


class WecomClient:
    """One app of one company."""

    kind = "wecom_app"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tokens: TokenStore,
        clock: Clock,
        *,
        channel: str,
        corp_id: str,
        agent_id: int,
        secret: str,
        api_base: str,
        shelf: MediaShelf | None = None,
    ) -> None:
        """Send as app `agent_id` of company `corp_id`; `secret` is the app's.

        Bytes of our own come from `shelf`.
        """
        self.channel = channel
        self._agent_id = agent_id
        account = fingerprint(self.kind, api_base, corp_id, secret)
        api = VendorApi(session, platform=self.kind, api_base=api_base)
        access = AccessTokens(
            tokens,
            clock,
            _fetch(api, corp_id, secret),
            channel=channel,
            kind=self.kind,
            fingerprint=account,
        )
        self._api = AuthorizedApi(api, access, refused_codes=frozenset({40014, 42001}))
        self._uploads = Uploads(
            shelf,
            self._upload,
            platform=self.kind,
            account=f"{channel}:{account}",
            endpoint=_SEND,
            rules=_RULES,
        )
        self.chats = AppChats(self._api, self._uploads)

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:
        """Send one part to one member, or to a group that the app made.

        `guard` lets the platform drop an equal one that the member got in the last four hours; it compares
        contents, not ids: see `PaceStore.ask` for when that is wanted. In groups it has no effect.

        Raises:
            NotReachedError: Accepted, but the member is unknown, outside the visible range or unlicensed.
            UnsendableError: The platform never takes this part.
            PlatformApiError: Refused (errcode not 0), also with another access token.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreError: A store is away; nothing was sent.
        """
        if receiver.group_id:
            return await self.chats.send(receiver.group_id, part)
        if isinstance(part, MediaPart):
            return await self._uploads.send(
                part, lambda media_id: self._send(receiver, message_body(part, media_id), guard=guard)
            )
        try:
            body = _notice(part) if isinstance(part, MiniProgram) else message_body(part)
        except ValueError as error:
            raise self._uploads.unsendable(part.kind, str(error)) from None
        return await self._send(receiver, body, guard=guard)

    async def _send(self, receiver: Receiver, message: dict[str, Any], *, guard: bool) -> SendReceipt:
        body: dict[str, Any] = {"touser": receiver.user_id, "agentid": self._agent_id, **message}
        if guard:
            body |= {"enable_duplicate_check": 1, "duplicate_check_interval": _DUPLICATES_S}
        answer = await self._api.post(_SEND, body)
        for name, reason in (("invaliduser", "invalid_user"), ("unlicenseduser", "unlicensed_user")):
            if answer.get(name):
                raise NotReachedError(platform=self.kind, endpoint=_SEND, reason=reason)
        return SendReceipt(str(answer.get("msgid", "")))

    async def _upload(self, kind: str, blob: Blob, file_name: str) -> dict[str, Any]:
        return await self._api.upload(
            _UPLOAD, {"type": kind}, blob.content, content_type=blob.content_type, file_name=file_name
        )

    async def close(self) -> None:
        """Give up what is being uploaded, and a token that is being fetched."""
        await self._uploads.close()
        await self._api.close()


def _notice(part: MiniProgram) -> dict[str, Any]:
    """Return a mini program as a notice with what its lines say."""
    notice: dict[str, Any] = {"appid": part.app_id, "page": part.page_path, "title": part.title}
    if part.description:
        notice["description"] = part.description
    if part.lines:
        notice["content_item"] = [{"key": name, "value": value} for name, value in part.lines[:_MOST_LINES]]
    return {"msgtype": "miniprogram_notice", "miniprogram_notice": notice}


def _fetch(api: VendorApi, corp_id: str, secret: str) -> Fetch:
    """Return the call of a token; asked again while it is good, the platform gives the same one."""

    async def fetch(_refused: str, _legacy: bool) -> Fetched:  # noqa: FBT001 - the shape of Fetch
        query = {"corpid": corp_id, "corpsecret": secret}
        answer = await api.get(_GET_TOKEN, query, secrets=(secret,))
        return read_token(answer, platform=WecomClient.kind, endpoint=_GET_TOKEN)

    return fetch
