"""How fast a channel may send, agreed between all processes: rates, pauses of a whole channel, and probes.

Everything of one channel lies in one shard, chosen by the channel's name, so that one script can take a send
from all rates that bind it, those of the receiver and those of the channel, or from none.

A channel that fails as a whole is blocked for a while. When that is over, one part of all processes goes
first and finds out (half open); the others wait for what comes of it. Success ends the block, failure doubles
it.

Redis away: `StoreUnavailableError`; nothing is sent then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value

PROBE_MS = 30_000
"""How long a probe may take before another part is sent as one."""

_EXACT_UP_TO = 1000  # sends whose instants are kept one by one; above that they are counted in buckets
_BUCKETS = 60  # per length of a rate: the part of it that stays unused is at most one bucket's


class PaceRate(NamedTuple):
    """At most `most` within any `per_ms` milliseconds.

    `whole_channel`: counted over all the channel sends, not per receiver. `persons` is how many persons this
    send reaches, for a rate that counts persons; 0 for one that counts messages. A rate counts always the
    one or always the other.
    """

    most: int
    per_ms: int
    whole_channel: bool = False
    persons: int = 0


class Word(StrEnum):
    """What a sender may do."""

    GO = "go"
    PROBE = "probe"  # go, as the one that finds out whether a block is over
    BLOCKED = "blocked"
    PROBED = "probed"  # another finds out at present
    FULL = "full"  # a rate is used up


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether a part may be sent: not before `wait_until_ms` (Unix ms; 0 = now).

    `guard` says whether to ask the platform to drop a duplicate: False where another delivery said the same
    to the same receiver lately, because then this one would be dropped as the duplicate. `reason` is the
    block's, where there is one.
    """

    wait_until_ms: int
    guard: bool
    word: Word = Word.GO
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A channel waits until `until_ms` (Unix ms) because of `reason`; in the past it is only remembered."""

    until_ms: int
    reason: str


class PaceStore:
    """Rates, pauses and probes."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def ask(
        self,
        receiver: str,
        now_ms: int,
        rates: Sequence[PaceRate | tuple[int, int]],
        *,
        claim: str = "",
        content: bytes = b"",
        duplicate_memory_ms: int = 1,
        probe_ms: int = PROBE_MS,
    ) -> Leave:
        """Take one of the sends `receiver` (``<channel>:<person or group>``) may get; every rate is kept.

        With `claim` (``<delivery id>:<part>``, the same for every attempt) and the `content`, also say
        whether the platform may look for a duplicate within `duplicate_memory_ms`.
        """
        channel = receiver.partition(":")[0]
        digest = blake2b(content, digest_size=12).hexdigest()
        keys = [self._block(channel), self._key(channel, f"said:{receiver}:{digest}")]
        args: list[Value] = []
        for rate in (PaceRate(*rate) for rate in rates):
            whose = f"channel:{channel}" if rate.whole_channel else f"to:{receiver}"
            exact = not rate.persons and rate.most <= _EXACT_UP_TO
            key = self._key(channel, f"pace:{whose}" if exact else f"pace:{whose}:{rate.per_ms}")
            if key not in keys:
                keys.append(key)
            place = keys.index(key) + 1
            args += [place, 0 if exact else _BUCKETS, rate.most, rate.per_ms, rate.persons or 1]
        word, wait_until_ms, guard, reason = await self._redis.script(
            "delivery_pace", keys, [now_ms, claim, duplicate_memory_ms, probe_ms, *args]
        )
        return Leave(wait_until_ms, bool(guard), Word(word.decode()), reason.decode())

    async def block(self, channel: str, reason: str, now_ms: int, first_ms: int, longest_ms: int) -> int:
        """Make a channel wait; the wait doubles while no send succeeds. Returns when it ends, Unix ms."""
        end: int = await self._redis.script(
            "delivery_block", [self._block(channel)], [now_ms, first_ms, longest_ms, reason]
        )
        return end

    async def unblock(self, channel: str) -> None:
        """Forget a channel's pauses: the probe succeeded."""
        await self._redis.call("DEL", self._block(channel))

    async def blocks(self, channels: Iterable[str]) -> dict[str, Block]:
        """Return the pauses of those channels that have one; one shared round trip."""
        names = tuple(channels)
        rows = await asyncio.gather(
            *(self._redis.call("HMGET", self._block(name), "until_ms", "reason") for name in names)
        )
        return {
            name: Block(int(until_ms), reason.decode())
            for name, (until_ms, reason) in zip(names, rows, strict=True)
            if until_ms is not None
        }

    def _block(self, channel: str) -> str:
        return self._key(channel, f"pace:block:{channel}")

    def _key(self, channel: str, store: str) -> str:
        shard = crc32(channel.encode()) % self._keys.shards  # not a community's: it counts over all of them
        return self._keys.of_shard(shard, store)
