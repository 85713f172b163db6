from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.world import World, close_world, open_world


@pytest.fixture
async def world(redis_url: str, database_url: str) -> AsyncIterator[World]:
    """The product on empty stores, at noon in Shanghai."""
    opened = await open_world(redis_url, database_url)
    yield opened
    await close_world(opened)
