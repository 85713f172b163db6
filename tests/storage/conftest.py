from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.keys import Keys
from tests.storage.live import Live

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
