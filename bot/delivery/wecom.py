"""Sends through a WeCom app: ``message/send``, with the token of ``gettoken``.

Source: WeCom, self-built app, message/send; WeCom, access_token.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from bot.clock import Clock
from bot.delivery.authorized import AuthorizedApi
from bot.delivery.body import message_body
from bot.delivery.client import NotReachedError, Receiver, SendReceipt
from bot.delivery.http import VendorApi
from bot.delivery.routes import WECOM_APP
from bot.delivery.tokens import AccessTokens, Fetch, Fetched, fingerprint, read_token
from bot.model import Part
from bot.storage.redis.tokens import TokenStore

_GET_TOKEN = "cgi-bin/gettoken"  # noqa: S105 - an endpoint
_SEND = "cgi-bin/message/send"
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
    ) -> None:
        """Send as app `agent_id` of company `corp_id`; `secret` is the app's."""
        self.channel = channel
        self._agent_id = agent_id
        api = VendorApi(session, platform=self.kind, api_base=api_base)
        access = AccessTokens(
            tokens,
            clock,
            _fetch(api, corp_id, secret),
            channel=channel,
            kind=self.kind,
            fingerprint=fingerprint(self.kind, api_base, corp_id, secret),
        )
        self._api = AuthorizedApi(api, access, refused_codes=frozenset({40014, 42001}))

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:
        """Send one part to one member; `guard` lets the platform drop an equal one of the last four hours.

        The platform compares contents, not ids: see `PaceStore.ask` for when that is wanted.

        Raises:
            NotReachedError: Accepted, but the member is unknown, outside the visible range or unlicensed.
            PlatformApiError: Refused (errcode not 0), also with another access token.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreUnavailableError: The access token could not be looked up; nothing was sent.
        """
        body: dict[str, Any] = {"touser": receiver.user_id, "agentid": self._agent_id, **message_body(part)}
        if guard:
            body |= {"enable_duplicate_check": 1, "duplicate_check_interval": _DUPLICATES_S}
        answer = await self._api.post(_SEND, body)
        for name, reason in (("invaliduser", "invalid_user"), ("unlicenseduser", "unlicensed_user")):
            if answer.get(name):
                raise NotReachedError(platform=self.kind, endpoint=_SEND, reason=reason)
        return SendReceipt(str(answer.get("msgid", "")))

    async def close(self) -> None:
        """Give up a token that is being fetched."""
        await self._api.close()


def _fetch(api: VendorApi, corp_id: str, secret: str) -> Fetch:
    """Return the call of a token; asked again while it is good, the platform gives the same one."""

    async def fetch(_refused: str, _legacy: bool) -> Fetched:  # noqa: FBT001 - the shape of Fetch
        query = {"corpid": corp_id, "corpsecret": secret}
        answer = await api.get(_GET_TOKEN, query, secrets=(secret,))
        return read_token(answer, platform=WecomClient.kind, endpoint=_GET_TOKEN)

    return fetch
