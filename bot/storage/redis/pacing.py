"""How fast a channel may send, agreed between all processes: rates per receiver, pauses of a whole channel.

Redis away: `StoreUnavailableError`; nothing is sent then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether a part may be sent: not before `wait_until_ms` (Unix ms; 0 = now).

    `guard` says whether to ask the platform to drop a duplicate: False where another delivery said the same
    to the same receiver lately, because then this one would be dropped as the duplicate.
    """

    wait_until_ms: int
    guard: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A channel waits until `until_ms` (Unix ms) because of `reason`; in the past it is only remembered."""

    until_ms: int
    reason: str


class PaceStore:
    """Rates and pauses."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def ask(
        self,
        member: str,
        now_ms: int,
        rates: Sequence[tuple[int, int]],
        *,
        claim: str = "",
        content: bytes = b"",
        duplicate_memory_ms: int = 1,
    ) -> Leave:
        """Take one of the sends that `member` may get; every rate, (most sends, in how many ms), is kept.

        With `claim` (``<delivery id>:<part>``, the same for every attempt) and the `content`, also say
        whether the platform may look for a duplicate within `duplicate_memory_ms`.
        """
        shard = crc32(member.encode()) % self._keys.shards  # not the community's: it counts over all of them
        digest = blake2b(content, digest_size=12).hexdigest()
        wait_until_ms, guard = await self._redis.script(
            "delivery_pace",
            [
                self._keys.of_shard(shard, f"pace:{member}"),
                self._keys.of_shard(shard, f"said:{member}:{digest}"),
            ],
            [now_ms, claim, duplicate_memory_ms, *(number for rate in rates for number in rate)],
        )
        return Leave(wait_until_ms, bool(guard))

    async def block(self, channel: str, reason: str, now_ms: int, first_ms: int, longest_ms: int) -> int:
        """Make a channel wait; the wait doubles while no send succeeds. Returns when it ends, Unix ms."""
        end: int = await self._redis.script(
            "delivery_block", [self._block(channel)], [now_ms, first_ms, longest_ms, reason]
        )
        return end

    async def unblock(self, channel: str) -> None:
        """Forget a channel's pauses: a send succeeded."""
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
        return self._keys.shared("block", channel)
