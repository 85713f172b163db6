"""What a platform calls bytes that were uploaded to it, so that all processes upload them once.

One SET or GET each. Dies here, comes twice: the bytes are uploaded again, which harms nothing.
Redis away: `StoreUnavailableError`; nothing can be sent then, which is retried later.
"""

from __future__ import annotations

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys

KEPT_MS = 2 * 86_400_000
"""Two of the three days for which the platforms keep what was uploaded."""


class MediaIds:
    """Typed access to what is known of uploads."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    async def get(self, account: str, kind: str, digest: str) -> str:
        """Return the media id of bytes uploaded as `kind` to an account of a channel; empty for none."""
        found = await self._redis.call("GET", self._key(account, kind, digest))
        return "" if found is None else str(found.decode())

    async def put(self, account: str, kind: str, digest: str, media_id: str) -> None:
        """Remember a media id for as long as the platform surely does."""
        await self._redis.call("SET", self._key(account, kind, digest), media_id, "PX", KEPT_MS)

    async def forget(self, account: str, kind: str, digest: str) -> None:
        """Forget one that the platform no longer knows."""
        await self._redis.call("DEL", self._key(account, kind, digest))

    def _key(self, account: str, kind: str, digest: str) -> str:
        return self._keys.shared("media", account, kind, digest)
