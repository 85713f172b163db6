"""Names that may stand for one thing only, such as a request_id: the first to claim one keeps it.

Kept for as long as an order of points is remembered (`server.event_memory_s`); afterwards the history in SQL,
which is asked first, knows what became of it.
Dies here: the claim stands; the same request repeated carries on where it broke off.
Redis away: `StoreUnavailableError`, nothing is done.
"""

from __future__ import annotations

from hashlib import blake2b

from bot.api.parts import ApiParts


async def claim(parts: ApiParts, community: str, name: str, holder: str) -> str:
    """Claim `name` for `holder` and return whose it is: `holder`, or another that was first."""
    digest = blake2b(name.encode(), digest_size=16).hexdigest()
    key = parts.keys.key("once", community, "api", digest)
    memory_ms = parts.config.server.event_memory_s * 1000
    while True:
        if await parts.redis.call("SET", key, holder, "NX", "PX", memory_ms):
            return holder
        found = await parts.redis.call("GET", key)
        if found is not None:  # else it has just run out
            return str(found.decode())
