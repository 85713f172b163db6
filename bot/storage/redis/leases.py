"""Who holds a channel's long connection: one process of all, by a lease; and how that connection is.

The right is fenced: each taking gets a higher number, with which the holder renews it, writes down how the
connection is and gives it back. A holder that slept through the end of its lease is refused each of these.

Redis away: `StoreUnavailableError`; who cannot renew in time must act as if the lease were lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value

_KNOWN_MS = 7 * 86_400_000
_LONGEST_ERROR = 200


class ConnectionState(StrEnum):
    """How a long connection is."""

    NONE = "none"  # no process holds it
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # it broke or could not be opened; the holder tries again at `not_before_ms`
    KICKED = "kicked"  # another client subscribed in our place; the holder waits before it comes back
    REFUSED = "refused"  # the platform does not accept bot id and secret


@dataclass(frozen=True, slots=True)
class Tenure:
    """The right to hold a connection.

    Attributes:
        fence: Its number.
        kicks: How often the connection was kicked in a row, by any holder.
        kicked_until_ms: How long the last kick forbids to come back, Unix milliseconds; 0 for not at all.
    """

    fence: int
    kicks: int
    kicked_until_ms: int


@dataclass(frozen=True, slots=True)
class ConnectionKnown:
    """What is known of a channel's long connection.

    Attributes:
        holder: The process that holds it, ``<host>:<pid>``; empty while none does.
        state: How it is.
        since_ms: Since when, Unix milliseconds; 0 where it was never held.
        error: Why it was closed or not opened last; empty where it never was.
        kicks: How often it was kicked in a row.
        not_before_ms: When the holder connects again, Unix milliseconds; 0 for at once.
    """

    holder: str
    state: ConnectionState
    since_ms: int
    error: str
    kicks: int
    not_before_ms: int


class ConnectionLeases:
    """The rights to hold connections, as one process asks for them; `owner` is unlike that of any other."""

    def __init__(self, redis: RedisClient, keys: Keys, *, owner: str, holder: str) -> None:
        """Ask as `owner`; people read `holder`, ``<host>:<pid>``."""
        self._redis = redis
        self._keys = keys
        self._owner = owner
        self._holder = holder

    async def take(self, channel: str, length_ms: int) -> Tenure | None:
        """Take the right for `length_ms`; None when another has it."""
        return await self._ask(channel, 0, length_ms)

    async def renew(self, channel: str, fence: int, length_ms: int) -> bool:
        """Keep the right for another `length_ms`; False when it was lost."""
        return await self._ask(channel, fence, length_ms) is not None

    async def _ask(self, channel: str, fence: int, length_ms: int) -> Tenure | None:
        number, kicks, kicked_until = await self._redis.script(
            "connection_take", _keys(self._keys, channel), [self._owner, fence, length_ms]
        )
        return Tenure(number, kicks, int(kicked_until)) if number else None

    async def note(
        self,
        channel: str,
        fence: int,
        state: ConnectionState,
        now_ms: int,
        *,
        not_before_ms: int = 0,
        error: str | None = None,
        kicks: int | None = None,
    ) -> bool:
        """Write down how the connection is; False when the right is another's by now.

        None leaves the last error and the number of kicks as they are. With `kicks`, whoever has the right
        next does not connect before `not_before_ms` either.
        """
        fields: list[Value] = [
            "holder", self._holder, "state", state.value, "since_ms", now_ms, "not_before_ms", not_before_ms,
        ]  # fmt: skip
        if error is not None:
            fields += ["error", error[:_LONGEST_ERROR]]
        if kicks is not None:
            fields += ["kicks", kicks, "kicked_until_ms", not_before_ms]
        return await self._write(channel, fence, fields)

    async def give_back(self, channel: str, fence: int, now_ms: int) -> bool:
        """Give the right back, so that another process takes it at once; False when it was lost."""
        fields: list[Value] = ["holder", "", "state", ConnectionState.NONE.value, "since_ms", now_ms]
        return await self._write(channel, fence, fields, give=True)

    async def _write(self, channel: str, fence: int, fields: list[Value], *, give: bool = False) -> bool:
        args = [self._owner, fence, int(give), _KNOWN_MS, *fields]
        return bool(await self._redis.script("connection_note", _keys(self._keys, channel), args))


class ConnectionStatus:
    """Reads how connections are; for the API, `check --channels` and whoever else asks."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def read(self, channel: str) -> ConnectionKnown:
        """Return what is known; a connection whose holder died without a word has the state ``none``."""
        lease_key, known_key = _keys(self._keys, channel)
        lease, row = await asyncio.gather(
            self._redis.call("GET", lease_key), self._redis.call("HGETALL", known_key)
        )
        known = {name.decode(): value.decode() for name, value in zip(row[::2], row[1::2], strict=True)}
        held = lease is not None
        return ConnectionKnown(
            holder=known.get("holder", "") if held else "",
            state=ConnectionState(known.get("state", "connecting")) if held else ConnectionState.NONE,
            since_ms=int(known.get("since_ms", "0")),
            error=known.get("error", ""),
            kicks=int(known.get("kicks", "0")),
            not_before_ms=int(known.get("not_before_ms", "0")),
        )


def _keys(keys: Keys, channel: str) -> tuple[str, str]:
    return keys.shared("lease", "connection", channel), keys.shared("connection", channel)
