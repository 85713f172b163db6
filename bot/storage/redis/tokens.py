"""The access tokens of the channels, shared by all processes: one fetches, the others wait and read.

Redis away: `StoreUnavailableError`; nothing can be sent then, which is retried later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys

_KEPT_MS = 86_400_000


class Turn(StrEnum):
    """What whoever asked for a token is to do."""

    USE = "use"
    REFRESH = "refresh"  # use it, and fetch the next one beside
    FETCH = "fetch"
    WAIT = "wait"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What came of asking.

    Attributes:
        turn: What to do.
        token: The token, for `USE` and `REFRESH`.
        legacy: For `REFRESH` and `FETCH`: the newer endpoint is known not to be served.
        endpoint: For `FAILED`: the call that failed.
        errcode: For `FAILED`: the platform's code, None when it gave no usable answer.
        errmsg: For `FAILED`: the text of the failure.
    """

    turn: Turn
    token: str = field(default="", repr=False)
    legacy: bool = False
    endpoint: str = ""
    errcode: int | None = None
    errmsg: str = ""


class TokenStore:
    """Typed access to the shared tokens.

    `name` is the channel's name and a fingerprint of its credentials: a corrected secret is used at once, and
    neither meets the token nor the failures of the old one.
    """

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def take(
        self,
        name: str,
        owner: str,
        now_ms: int,
        *,
        lock_ms: int,
        refused_token: str = "",
        forced_apart_ms: int,
    ) -> TokenAnswer:
        """Ask for a token; `refused_token` is one that the platform just refused.

        A refused token is replaced at most once per `forced_apart_ms`, over all processes.
        """
        row: list[Any] = await self._redis.script(
            "token_take", [self._key(name)], [now_ms, owner, lock_ms, refused_token, forced_apart_ms]
        )
        words = [value.decode() for value in row]
        turn = Turn(words[0])
        if turn is Turn.FAILED:
            errcode = int(words[2]) if words[2] else None
            return TokenAnswer(turn, endpoint=words[1], errcode=errcode, errmsg=words[3])
        return TokenAnswer(turn, token="".join(words[1:2]), legacy=words[2:3] == ["1"])

    async def put(
        self, name: str, owner: str, token: str, *, expires_at_ms: int, refresh_at_ms: int, legacy: bool
    ) -> bool:
        """Store what `owner` fetched under its lock; False when the lock had ended."""
        args = (owner, token, expires_at_ms, refresh_at_ms, int(legacy), _KEPT_MS)
        return bool(await self._redis.script("token_put", [self._key(name)], args))

    async def fail(
        self,
        name: str,
        owner: str,
        now_ms: int,
        *,
        endpoint: str,
        errcode: int | None,
        errmsg: str,
        first_ms: int,
        longest_ms: int,
    ) -> bool:
        """Free the lock of `owner` and let nobody fetch for a while that doubles from `first_ms`."""
        code = "" if errcode is None else errcode
        args = (owner, now_ms, endpoint, code, errmsg, first_ms, longest_ms, _KEPT_MS)
        return bool(await self._redis.script("token_fail", [self._key(name)], args))

    def _key(self, name: str) -> str:
        return self._keys.shared("token", name)
