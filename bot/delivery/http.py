"""Calls to a vendor's API: bounded in time and size, JSON in and out, without secrets in errors."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from secrets import token_hex
from typing import Any

import aiohttp
import orjson
from yarl import URL

from bot.errors import PlatformApiError, PlatformUnreachableError

CONNECT_TIMEOUT_S = 3.0
TOTAL_TIMEOUT_S = 10.0
UPLOAD_TIMEOUT_S = 20.0  # with a token and a send it stays below what one part may take
RESPONSE_LIMIT_BYTES = 1 << 20
_ERRMSG_LIMIT = 200  # characters of the vendor's text that are kept
_CHUNK_BYTES = 1 << 16
_AT_ONCE_BYTES = 1 << 18
_JSON = "application/json; charset=utf-8"
_TIMEOUT = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
_UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=UPLOAD_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)


class HttpStatusError(PlatformUnreachableError):
    """The answer was an HTTP error; `status` is its code."""

    def __init__(self, *, platform: str, endpoint: str, status: int) -> None:
        """Carry the failed call and the HTTP status."""
        self.status = status
        super().__init__(platform=platform, endpoint=endpoint, problem=f"HTTP status {status}")


def open_session() -> aiohttp.ClientSession:
    """Open the session that all clients share; close it when they are done. Cookies are ignored."""
    return aiohttp.ClientSession(
        timeout=_TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=64),
    )


class VendorApi:
    """One vendor's API under one base address."""

    def __init__(self, session: aiohttp.ClientSession, *, platform: str, api_base: str) -> None:
        """Call `api_base` (scheme, host and port, before ``/cgi-bin/…``) through `session`."""
        self._session = session
        self._platform = platform
        self._base = api_base.rstrip("/")

    async def get(
        self, endpoint: str, query: Mapping[str, str], *, secrets: tuple[str, ...]
    ) -> dict[str, Any]:
        """GET `endpoint` (``cgi-bin/…``); see `post`."""
        return await self._call("GET", self._url(endpoint, query), endpoint, None, secrets)

    async def post(
        self, endpoint: str, query: Mapping[str, str], body: Mapping[str, Any], *, secrets: tuple[str, ...]
    ) -> dict[str, Any]:
        """POST `body` as JSON and return the vendor's JSON object.

        `secrets` are blotted out should the vendor's error text repeat them. Redirects are not followed:
        they would carry the token elsewhere.

        Raises:
            PlatformApiError: errcode is not 0.
            HttpStatusError: The HTTP status is not 2xx.
            PlatformUnreachableError: No usable answer: timeout, connection, over 1 MiB, not a JSON object.
        """
        # Written out, not escaped: the Official Account would show \\uXXXX to the person.
        return await self._call("POST", self._url(endpoint, query), endpoint, orjson.dumps(body), secrets)

    async def post_url(
        self, url: URL, endpoint: str, body: Mapping[str, Any], *, secrets: tuple[str, ...]
    ) -> dict[str, Any]:
        """POST to an address that the vendor gave; `endpoint` is what errors call it. Otherwise as `post`.

        An empty body with a status of 2xx is taken for an empty object.
        """
        return await self._call("POST", url, endpoint, orjson.dumps(body), secrets, blank=True)

    async def upload(
        self,
        endpoint: str,
        query: Mapping[str, str],
        content: bytes,
        *,
        content_type: str,
        file_name: str,
        secrets: tuple[str, ...],
    ) -> dict[str, Any]:
        """POST bytes as the file ``media`` of a form and return the vendor's answer; raises as `post`."""
        boundary = f"----huoqun{token_hex(16)}"
        # Written by hand: the vendors read a file's name as plain UTF-8, not as RFC 5987 has it.
        name = "".join(char for char in file_name if char.isprintable() and char not in '"\\')
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="media"; filename="{name}"; '
            f"filelength={len(content)}\r\nContent-Type: {content_type}\r\n\r\n"
        )
        form = b"".join((head.encode("utf-8", "replace"), content, f"\r\n--{boundary}--\r\n".encode()))
        return await self._call(
            "POST",
            self._url(endpoint, query),
            endpoint,
            form,
            secrets,
            f"multipart/form-data; boundary={boundary}",
        )

    async def _call(
        self,
        method: str,
        url: URL,
        endpoint: str,
        data: bytes | None,
        secrets: tuple[str, ...],
        content_type: str = _JSON,
        *,
        blank: bool = False,
    ) -> dict[str, Any]:
        status, raw = await self._exchange(method, url, endpoint, data, content_type)
        if not 200 <= status < 300:
            raise HttpStatusError(platform=self._platform, endpoint=endpoint, status=status)
        if blank and not raw.strip():
            return {}
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise self._unreachable(endpoint, "the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise self._unreachable(endpoint, "the answer is not a JSON object")
        errcode = answer.get("errcode", 0)
        if isinstance(errcode, bool) or not isinstance(errcode, int):
            raise self._unreachable(endpoint, "errcode is not a number")
        if errcode != 0:
            errmsg = _blot(str(answer.get("errmsg", "")), secrets)[:_ERRMSG_LIMIT]
            raise PlatformApiError(platform=self._platform, endpoint=endpoint, errcode=errcode, errmsg=errmsg)
        return answer

    def _url(self, endpoint: str, query: Mapping[str, str]) -> URL:
        return URL(f"{self._base}/{endpoint}").with_query(query)

    async def _exchange(
        self, method: str, url: URL, endpoint: str, data: bytes | None, content_type: str
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": content_type} if data is not None else {}
        timeout = _TIMEOUT if content_type == _JSON else _UPLOAD_TIMEOUT
        try:
            async with self._session.request(
                method, url, data=_payload(data), headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                raw = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    raw += chunk
                    if len(raw) > RESPONSE_LIMIT_BYTES:
                        raise self._unreachable(endpoint, f"the answer is over {RESPONSE_LIMIT_BYTES} bytes")
                return response.status, bytes(raw)
        except TimeoutError:
            raise self._unreachable(endpoint, "timeout") from None
        except (aiohttp.ClientError, OSError) as error:
            # Without the error's own text, which may hold the address and so the token.
            raise self._unreachable(endpoint, type(error).__name__) from None

    def _unreachable(self, endpoint: str, problem: str) -> PlatformUnreachableError:
        return PlatformUnreachableError(platform=self._platform, endpoint=endpoint, problem=problem)


def _payload(data: bytes | None) -> bytes | BytesIO | None:
    """Return large bytes as a file, which is written piece by piece while the loop serves others."""
    return BytesIO(data) if data is not None and len(data) > _AT_ONCE_BYTES else data


def _blot(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
