"""Sends through an Official Account: ``message/custom/send``, with the token of ``stable_token``.

Source: Official Account, customer-service messages; Official Account, access_token and error codes. Sizes
and types of uploads are the vendor's published ones (temporary media).
"""

from __future__ import annotations

from typing import Any

import aiohttp

from bot.clock import Clock
from bot.delivery.authorized import AuthorizedApi
from bot.delivery.body import message_body
from bot.delivery.client import Receiver, SendReceipt
from bot.delivery.http import HttpStatusError, VendorApi
from bot.delivery.media import MediaPart, MediaRule, MediaShelf, Uploads
from bot.delivery.tokens import AccessTokens, Fetch, Fetched, fingerprint, read_token
from bot.errors import PlatformApiError
from bot.model import MiniProgram, Part
from bot.storage.redis.tokens import TokenStore
from bot.storage.sql.blobs import Blob

_STABLE_TOKEN = "cgi-bin/stable_token"  # noqa: S105 - an endpoint
_TOKEN = "cgi-bin/token"  # noqa: S105 - an endpoint
_SEND = "cgi-bin/message/custom/send"
_UPLOAD = "cgi-bin/media/upload"
_RULES = {
    "image": MediaRule(frozenset({"image/jpeg", "image/png", "image/gif"}), 10 << 20),
    "voice": MediaRule(frozenset({"audio/amr", "audio/mpeg"}), 2 << 20),
    "video": MediaRule(frozenset({"video/mp4"}), 10 << 20),
}
_NOT_SERVED_STATUS = 404
_NOT_SERVED_ERRCODE = 48001


class WechatClient:
    """One Official Account."""

    kind = "wechat_oa"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tokens: TokenStore,
        clock: Clock,
        *,
        channel: str,
        app_id: str,
        secret: str,
        api_base: str,
        shelf: MediaShelf | None = None,
    ) -> None:
        """Send as the account `app_id`; `secret` is its AppSecret; bytes of our own come from `shelf`."""
        self.channel = channel
        account = fingerprint(self.kind, api_base, app_id, secret)
        api = VendorApi(session, platform=self.kind, api_base=api_base)
        access = AccessTokens(
            tokens,
            clock,
            _fetch(api, app_id, secret),
            channel=channel,
            kind=self.kind,
            fingerprint=account,
        )
        self._api = AuthorizedApi(api, access, refused_codes=frozenset({40001, 40014, 41001, 42001}))
        self._uploads = Uploads(
            shelf,
            self._upload,
            platform=self.kind,
            account=f"{channel}:{account}",
            endpoint=_SEND,
            rules=_RULES,
        )

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        """Send one part to one follower; the platform drops no duplicates, so `guard` has no effect.

        Raises:
            UnsendableError: The platform never takes this part.
            PlatformApiError: Refused (errcode not 0), also with another access token.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreError: A store is away; nothing was sent.
        """
        if isinstance(part, MediaPart):
            return await self._uploads.send(
                part, lambda media_id: self._send(receiver, message_body(part, media_id))
            )
        try:
            body = _page(part) if isinstance(part, MiniProgram) else message_body(part)
        except ValueError as error:
            raise self._uploads.unsendable(part.kind, str(error)) from None
        return await self._send(receiver, body)

    async def _send(self, receiver: Receiver, message: dict[str, Any]) -> SendReceipt:
        answer = await self._api.post(_SEND, {"touser": receiver.user_id, **message})
        return SendReceipt(str(answer.get("msgid", "")))

    async def _upload(self, kind: str, blob: Blob, file_name: str) -> dict[str, Any]:
        return await self._api.upload(
            _UPLOAD, {"type": kind}, blob.content, content_type=blob.content_type, file_name=file_name
        )

    async def close(self) -> None:
        """Give up what is being uploaded, and a token that is being fetched."""
        await self._uploads.close()
        await self._api.close()


def _page(part: MiniProgram) -> dict[str, Any]:
    """Return a page of a mini program, which needs a picture."""
    if not part.thumb_media_id:
        raise ValueError("thumb_media_id: an account's mini program needs a picture")
    page = {
        "title": part.title,
        "appid": part.app_id,
        "pagepath": part.page_path,
        "thumb_media_id": part.thumb_media_id,
    }
    return {"msgtype": "miniprogrampage", "miniprogrampage": page}


def _fetch(api: VendorApi, app_id: str, secret: str) -> Fetch:
    """Return the call of a token.

    ``stable_token`` gives all replicas the same one; it is forced to make a new one only when it still gives
    the one that was refused. Where it is not served, ``token``, each call of which ends the token before.
    """

    async def stable(*, force: bool) -> Fetched:
        body = {"grant_type": "client_credential", "appid": app_id, "secret": secret, "force_refresh": force}
        answer = await api.post(_STABLE_TOKEN, {}, body, secrets=(secret,))
        return read_token(answer, platform=WechatClient.kind, endpoint=_STABLE_TOKEN)

    async def older() -> Fetched:
        query = {"grant_type": "client_credential", "appid": app_id, "secret": secret}
        answer = await api.get(_TOKEN, query, secrets=(secret,))
        return read_token(answer, platform=WechatClient.kind, endpoint=_TOKEN, legacy=True)

    async def fetch(refused: str, legacy: bool) -> Fetched:  # noqa: FBT001 - the shape of Fetch
        if legacy:
            return await older()
        try:
            fetched = await stable(force=False)
            return await stable(force=True) if refused and fetched.token == refused else fetched
        except HttpStatusError as error:
            if error.status != _NOT_SERVED_STATUS:
                raise
        except PlatformApiError as error:
            if error.errcode != _NOT_SERVED_ERRCODE:
                raise
        return await older()

    return fetch
