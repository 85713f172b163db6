"""Goes through the live state of all communities, in chunks, while the server serves others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container

from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys

CHUNK = 500
_MOST_HELD = 50_000


async def scan_store(
    redis: RedisClient, keys: Keys, store: str, communities: Container[str]
) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield (community, ids) of the keys ``<store>:<community>:<id>``; an id may come twice.

    Raises:
        StoreUnavailableError: Redis did not answer.
    """
    held: dict[str, list[str]] = {}
    count = 0
    async for names in redis.scan(keys.pattern(f"{store}:")):
        for name in names:
            community, rest = keys.find(name)
            if not rest or community not in communities:
                continue
            ids = held.setdefault(community, [])
            ids.append(rest)
            count += 1
            if len(ids) == CHUNK or count == _MOST_HELD:
                del held[community]
                count -= len(ids)
                yield community, ids
    for community, ids in held.items():
        yield community, ids


async def scan_board(redis: RedisClient, board: str) -> AsyncIterator[list[str]]:
    """Yield the members of a ranking, in chunks; one may come twice.

    Raises:
        StoreUnavailableError: Redis did not answer.
    """
    cursor = b"0"
    while True:
        cursor, rows = await redis.call("ZSCAN", board, cursor, "COUNT", CHUNK)
        if rows:
            yield [member.decode(errors="replace") for member in rows[::2]]
        if cursor == b"0":
            return
