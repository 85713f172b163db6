"""One bounded HTTP call, and what its answer tells: status, JSON, the other side's clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from yarl import URL

TIMEOUT_S = 10.0
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `problem` says why nothing did, without the address, which may hold a secret.

    Attributes:
        status: HTTP status, 0 for none.
        body: The body as received, at most 1 MiB.
        content_type: Its media type.
        elapsed_s: Seconds from the first byte sent to the last one read.
        skew_s: Our clock minus the other side's ``Date``, whole seconds; None where it sent none.
        problem: Why there is no answer; empty for any answer.
    """

    status: int = 0
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    elapsed_s: float = 0.0
    skew_s: int | None = None
    problem: str = ""

    @property
    def json(self) -> dict[str, Any] | None:
        """The JSON object of the body, None where it is none."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


class Prober:
    """Makes calls through one session; `now_s` is our clock, Unix seconds."""

    def __init__(self, session: aiohttp.ClientSession, now_s: float | None = None) -> None:
        """Judge other clocks by `now_s` where given (tests), else by the system's clock."""
        self._session = session
        self._offset_s = 0.0 if now_s is None else now_s - time.time()

    async def call(
        self, method: str, url: str, query: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> Answer:
        """Call `url`; redirects are not followed."""
        begun_s = time.monotonic()
        try:
            async with self._session.request(
                method,
                URL(url).update_query(query),
                data=None if body is None else orjson.dumps(body),
                headers={} if body is None else {"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                content = await response.content.read(_MOST_BYTES)
                return Answer(
                    status=response.status,
                    body=content,
                    content_type=response.content_type,
                    elapsed_s=time.monotonic() - begun_s,
                    skew_s=self._skew_s(response.headers.get("Date", "")),
                )
        except TimeoutError:
            return Answer(problem=f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            return Answer(problem=f"TLS: {type(error).__name__}")
        except aiohttp.ClientConnectorDNSError:
            return Answer(problem="the host's name is not known")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(problem=type(error).__name__)

    def _skew_s(self, date: str) -> int | None:
        try:
            theirs_s = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return None
        return round(time.time() + self._offset_s - theirs_s)
