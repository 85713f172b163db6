"""Sends through an Official Account: ``message/custom/send``, with the token of ``stable_token``.

Source: Official Account, customer-service messages; Official Account, access_token and error codes.
"""

from __future__ import annotations

import aiohttp

from bot.clock import Clock
from bot.delivery.authorized import AuthorizedApi
from bot.delivery.body import message_body
from bot.delivery.client import Receiver, SendReceipt
from bot.delivery.http import HttpStatusError, VendorApi
from bot.delivery.tokens import AccessTokens, Fetch, Fetched, fingerprint, read_token
from bot.errors import PlatformApiError
from bot.model import Part
from bot.storage.redis.tokens import TokenStore

_STABLE_TOKEN = "cgi-bin/stable_token"  # noqa: S105 - an endpoint
_TOKEN = "cgi-bin/token"  # noqa: S105 - an endpoint
_SEND = "cgi-bin/message/custom/send"
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
    ) -> None:
        """Send as the account `app_id`; `secret` is its AppSecret."""
        self.channel = channel
        api = VendorApi(session, platform=self.kind, api_base=api_base)
        access = AccessTokens(
            tokens,
            clock,
            _fetch(api, app_id, secret),
            channel=channel,
            kind=self.kind,
            fingerprint=fingerprint(self.kind, api_base, app_id, secret),
        )
        self._api = AuthorizedApi(api, access, refused_codes=frozenset({40001, 40014, 41001, 42001}))

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        """Send one part to one follower; the platform drops no duplicates, so `guard` has no effect.

        Raises:
            PlatformApiError: Refused (errcode not 0), also with another access token.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreUnavailableError: The access token could not be looked up; nothing was sent.
        """
        answer = await self._api.post(_SEND, {"touser": receiver.user_id, **message_body(part)})
        return SendReceipt(str(answer.get("msgid", "")))

    async def close(self) -> None:
        """Give up a token that is being fetched."""
        await self._api.close()


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
