"""Access tokens: fetched once for all processes, refreshed ahead of their end, replaced when refused.

Bounds: one fetch at a time over all processes; a refused token is replaced at most once per 30 s; after a
failure nobody asks the platform for a while that doubles (a wrong secret: 1 to 30 minutes), so that neither
a mistake nor an outage can use up the daily quota of the token call. A token is never in an error or a log.

Source: WeCom, access_token; Official Account, access_token and error codes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import structlog

from bot.clock import Clock
from bot.delivery.errcodes import explain
from bot.errors import PlatformApiError, PlatformUnreachableError, StoreError
from bot.storage.redis.tokens import TokenAnswer, TokenStore, Turn

REFRESH_AHEAD_S = 300
FORCED_APART_MS = 30_000
LOCK_MS = 30_000
_FETCH_TIMEOUT_S = 25.0  # below the lock's length: a fetcher that lives never outlives its lock
_WAIT_LIMIT_S = 35.0
_WAIT_STEP_S = 0.05
_CONFIGURATION_BACKOFF_MS = (60_000, 1_800_000)
_PASSING_BACKOFF_MS = (1_000, 30_000)
_PASSING_ERRCODES = frozenset({-1, 45011})
_LONGEST_LIFE_S = 30 * 86_400

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A token as the platform gave it; it lives `expires_in_s` seconds from the request on."""

    token: str = field(repr=False)
    expires_in_s: int
    legacy: bool = False


Fetch = Callable[[str, bool], Awaitable[Fetched]]
"""Fetches a token, given the one refused ('' for none) and whether only the older endpoint is served."""


class AccessTokens:
    """The access token of one channel."""

    def __init__(
        self, store: TokenStore, clock: Clock, fetch: Fetch, *, channel: str, kind: str, fingerprint: str
    ) -> None:
        """Share the token through `store` under the channel's name and `fingerprint` (see `fingerprint`)."""
        self._store = store
        self._clock = clock
        self._fetch = fetch
        self._channel = channel
        self._kind = kind
        self._name = f"{channel}:{fingerprint}"
        self._fetching: set[asyncio.Task[str]] = set()

    async def get(self) -> str:
        """Return a token that is good as far as we know.

        Raises:
            PlatformApiError: The platform refuses to give one, now or a moment ago.
            PlatformUnreachableError: It gives no usable answer, now or a moment ago.
            StoreUnavailableError: The store is away.
        """
        return await self._obtain("", None)

    async def fresh_after(self, refused_token: str, error: PlatformApiError) -> str:
        """Return another token than the one the platform just refused with `error`.

        Raises:
            PlatformApiError: `error` itself where a token was replaced less than 30 s ago; else as for `get`.
            PlatformUnreachableError: As for `get`.
            StoreUnavailableError: As for `get`.
        """
        return await self._obtain(refused_token, error)

    async def close(self) -> None:
        """Give up what is being fetched; its lock ends by itself."""
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    async def _obtain(self, refused: str, error: PlatformApiError | None) -> str:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _WAIT_LIMIT_S
        owner = uuid4().hex
        while loop.time() < deadline_s:
            answer = await self._store.take(
                self._name,
                owner,
                self._clock.now_ms(),
                lock_ms=LOCK_MS,
                refused_token=refused,
                forced_apart_ms=FORCED_APART_MS,
            )
            if answer.turn is Turn.USE:
                return answer.token
            if answer.turn is Turn.REFRESH:
                self._start(owner, refused, answer).add_done_callback(_log_failure)
                return answer.token
            if answer.turn is Turn.FETCH:
                # Shielded: a caller that gives up must not leave the lock behind for others to wait on.
                token = await asyncio.shield(self._start(owner, refused, answer))
                if token:
                    return token
            elif answer.turn is Turn.WAIT:
                await asyncio.sleep(_WAIT_STEP_S)
            else:
                raise self._refusal(answer, error)
        raise PlatformUnreachableError(
            platform=self._kind, endpoint="access_token", problem="another process has not fetched it in time"
        )

    def _refusal(self, answer: TokenAnswer, error: PlatformApiError | None) -> Exception:
        if answer.turn is Turn.REFUSED and error is not None:
            return error
        if answer.errcode is None:
            return PlatformUnreachableError(
                platform=self._kind, endpoint=answer.endpoint, problem=answer.errmsg
            )
        return PlatformApiError(
            platform=self._kind, endpoint=answer.endpoint, errcode=answer.errcode, errmsg=answer.errmsg
        )

    def _start(self, owner: str, refused: str, answer: TokenAnswer) -> asyncio.Task[str]:
        task = asyncio.create_task(
            self._fetch_and_store(owner, refused, legacy=answer.legacy), name=f"token-{self._channel}"
        )
        self._fetching.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[str]) -> None:
        self._fetching.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where the caller had given up waiting

    async def _fetch_and_store(self, owner: str, refused: str, *, legacy: bool) -> str:
        """Fetch under the lock; empty when the lock ended meanwhile: another's token may be the valid one."""
        asked_at_ms = self._clock.now_ms()
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                fetched = await self._fetch(refused, legacy)
        except PlatformApiError as error:
            raise await self._refused(owner, error) from None
        except PlatformUnreachableError as error:
            await self._fail(owner, error.endpoint, None, error.problem, _PASSING_BACKOFF_MS)
            raise
        except TimeoutError:
            problem = f"no token within {_FETCH_TIMEOUT_S:.0f} s"
            await self._fail(owner, "access_token", None, problem, _PASSING_BACKOFF_MS)
            raise PlatformUnreachableError(
                platform=self._kind, endpoint="access_token", problem=problem
            ) from None
        ahead_s = min(REFRESH_AHEAD_S, fetched.expires_in_s // 4)
        stored = await self._store.put(
            self._name,
            owner,
            fetched.token,
            expires_at_ms=asked_at_ms + fetched.expires_in_s * 1000,
            refresh_at_ms=asked_at_ms + (fetched.expires_in_s - ahead_s) * 1000,
            legacy=fetched.legacy,
        )
        return fetched.token if stored else ""

    async def _refused(self, owner: str, error: PlatformApiError) -> PlatformApiError:
        """Note a refusal for all processes and return it with its cure."""
        if error.errcode in _PASSING_ERRCODES:
            await self._fail(owner, error.endpoint, error.errcode, error.errmsg, _PASSING_BACKOFF_MS)
            return error
        text = explain(self._kind, f"token_{error.errcode}")
        errmsg = f"{error.errmsg}; {text.cause}: {text.cure}"
        await self._fail(owner, error.endpoint, error.errcode, errmsg, _CONFIGURATION_BACKOFF_MS)
        _log.error(
            "token_refused", channel=self._channel, errcode=error.errcode, cause=text.cause, cure=text.cure
        )
        return PlatformApiError(
            platform=error.platform, endpoint=error.endpoint, errcode=error.errcode, errmsg=errmsg
        )

    async def _fail(
        self, owner: str, endpoint: str, errcode: int | None, errmsg: str, backoff_ms: tuple[int, int]
    ) -> None:
        await self._store.fail(
            self._name,
            owner,
            self._clock.now_ms(),
            endpoint=endpoint,
            errcode=errcode,
            errmsg=errmsg,
            first_ms=backoff_ms[0],
            longest_ms=backoff_ms[1],
        )


def _log_failure(task: asyncio.Task[str]) -> None:
    """Log a fetch that failed beside the use of a token that is still good."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, PlatformApiError | PlatformUnreachableError | StoreError):
        _log.warning("token_refresh_failed", problem=str(error))
    elif error is not None:
        _log.error("token_refresh_failed", exc_info=error)


def fingerprint(*credentials: str) -> str:
    """Return a short name for credentials, from which they cannot be told."""
    return hashlib.sha256("\0".join(credentials).encode()).hexdigest()[:12]


def read_token(answer: dict[str, object], *, platform: str, endpoint: str, legacy: bool = False) -> Fetched:
    """Return the token of a vendor's answer.

    Raises:
        PlatformUnreachableError: It holds none, or one without a sensible life.
    """
    token, expires_in_s = answer.get("access_token"), answer.get("expires_in")
    if (
        isinstance(token, str)
        and token
        and isinstance(expires_in_s, int)
        and 0 < expires_in_s <= _LONGEST_LIFE_S
    ):
        return Fetched(token, expires_in_s, legacy)
    raise PlatformUnreachableError(
        platform=platform, endpoint=endpoint, problem="the answer holds no usable access_token"
    )
