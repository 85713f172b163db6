"""Real HTTP to the bot's callback address, one delivery at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

_ANSWER_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back from one delivery.

    `http_status` is 0 when nothing came in time; then `problem` says why.
    """

    http_status: int
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    problem: str = ""


class Postman:
    """Posts callbacks; one HTTP client for its life, made at first use."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, query: str, body: bytes, *, timeout_s: float, content_type: str = "text/xml"
    ) -> RawAnswer:
        """Deliver a callback, cutting the connection after `timeout_s` as the vendors do."""
        return await self._ask("POST", url, query, body, timeout_s, content_type)

    async def get(self, url: str, query: str, *, timeout_s: float) -> RawAnswer:
        """Ask for the verification of a callback address."""
        return await self._ask("GET", url, query, None, timeout_s, "")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, url: str, query: str, body: bytes | None, timeout_s: float, content_type: str
    ) -> RawAnswer:
        headers = {"Content-Type": content_type} if body is not None else {}
        # encoded=True: the vendor's own percent-encoding goes out as it is.
        target = URL(f"{url}?{query}", encoded=True)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._client().request(
                    method, target, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                answer = await response.content.read(_ANSWER_LIMIT_BYTES)
                while not response.content.at_eof() and len(answer) < _ANSWER_LIMIT_BYTES:
                    answer += await response.content.read(_ANSWER_LIMIT_BYTES - len(answer))
                return RawAnswer(response.status, response.content_type, answer)
        except TimeoutError:
            return RawAnswer(0, problem=f"no answer in {timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return RawAnswer(0, problem=f"no connection: {type(error).__name__}")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
