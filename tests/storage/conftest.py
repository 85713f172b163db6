from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.storage.drain import Drain
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.keys import Keys
from bot.storage.sql.database import Database
from tests.storage.live import Live
from tests.storage.scene import Scene

SHARDS = 8
CONNECTIONS = 4


@pytest.fixture
def keys() -> Keys:
    return Keys(SHARDS)


@pytest.fixture
def live(redis_client: RedisClient, keys: Keys) -> Live:
    """The stores of one process, empty."""
    return Live(redis_client, keys)


@pytest.fixture
async def processes(redis_url: str, keys: Keys) -> AsyncIterator[list[Live]]:
    """The stores as several processes have them: each with its own connection."""
    clients = [await connect(redis_url) for _ in range(CONNECTIONS)]
    yield [Live(client, keys) for client in clients]
    for client in clients:
        await client.close()


@pytest.fixture
async def scene(live: Live, database_url: str) -> AsyncIterator[Scene]:
    """The stores of one process with their history, all empty."""
    database = await Database.open(database_url)
    yield Scene(live, database, Drain(live.redis, live.keys, database))
    await database.close()
