"""Calls that carry the access token, and replace it once when the platform refuses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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
        return await self._authorized(
            lambda token: self._api.post(endpoint, {"access_token": token}, body, secrets=(token,))
        )

    async def get(self, endpoint: str, query: Mapping[str, str]) -> dict[str, Any]:
        """GET `endpoint`; otherwise as `post`."""
        return await self._authorized(
            lambda token: self._api.get(endpoint, {**query, "access_token": token}, secrets=(token,))
        )

    async def upload(
        self, endpoint: str, query: Mapping[str, str], content: bytes, *, content_type: str, file_name: str
    ) -> dict[str, Any]:
        """POST bytes as a file; otherwise as `post`."""
        return await self._authorized(
            lambda token: self._api.upload(
                endpoint,
                {**query, "access_token": token},
                content,
                content_type=content_type,
                file_name=file_name,
                secrets=(token,),
            )
        )

    async def _authorized(self, call: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        token = await self._tokens.get()
        try:
            return await call(token)
        except PlatformApiError as error:
            if error.errcode not in self._refused_codes:
                raise
            token = await self._tokens.fresh_after(token, error)
        return await call(token)

    async def close(self) -> None:
        """Give up a token that is being fetched."""
        await self._tokens.close()
