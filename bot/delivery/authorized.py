"""Calls that carry the access token, and replace it once when the platform refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.delivery.http import VendorApi
from bot.delivery.tokens import AccessTokens
from bot.errors import PlatformApiError


class AuthorizedApi:
    """A vendor's API behind one channel's access token."""

    def __init__(self, api: VendorApi, tokens: AccessTokens, *, refused_codes: frozenset[int]) -> None:
        """Take `refused_codes` for "another token, please"."""
        self._api = api
        self._tokens = tokens
        self._refused_codes = refused_codes

    async def post(self, endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST `body`; with a replaced token a second time where the first one was refused.

        Raises:
            PlatformApiError: Refused; also a token call that was.
            PlatformUnreachableError: No usable answer.
            StoreUnavailableError: The store of tokens is away.
        """
        token = await self._tokens.get()
        try:
            return await self._api.post(endpoint, {"access_token": token}, body, secrets=(token,))
        except PlatformApiError as error:
            if error.errcode not in self._refused_codes:
                raise
            token = await self._tokens.fresh_after(token, error)
        return await self._api.post(endpoint, {"access_token": token}, body, secrets=(token,))

    async def close(self) -> None:
        """Give up a token that is being fetched."""
        await self._tokens.close()
