"""Goes through the live state of all communities, in chunks, while the server serves others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Mapping, Sequence

from bot.storage.redis.boards import Board
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


async def members_in_redis(
    redis: RedisClient, keys: Keys, boards: Mapping[str, Sequence[Board]]
) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield (community, members) of all whom Redis knows in any way; a member comes several times.

    Args:
        redis: Where to look.
        keys: Names of the keys.
        boards: The kept rankings of each community to look at.

    Raises:
        StoreUnavailableError: Redis did not answer.
    """
    for store in ("member", "check_in"):
        async for chunk in scan_store(redis, keys, store, boards):
            yield chunk
    for community, of_community in boards.items():
        for board in of_community:
            async for members in scan_board(redis, board.key):
                yield community, members


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
