"""A sending process killed with −9 between two parts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from tests.delivery.conftest import delivery, until, waiting
from tests.delivery.dying_sender import send
from tests.delivery.vendor import FakeVendor

LEASE_MS = 1000


@pytest.mark.crash
@pytest.mark.parametrize(("channel", "texts"), [("app", ["1", "2", "3"]), ("oa", ["1", "2", "2", "3"])])
async def test_what_a_killed_process_was_sending_is_sent_on_by_another(
    redis_url: str, redis_client: RedisClient, keys: Keys, channel: str, texts: list[str]
) -> None:
    """Killed while the platform has part 2 and we do not know: that one comes twice, not so on WeCom."""
    clock = SystemClock()
    async with FakeVendor(clock) as vendor:
        vendor.hold, vendor.hold_text = asyncio.Event(), "2"
        store = DeliveryStore(redis_client, keys, memory_ms=60_000)
        await store.create(delivery("d1", "1", "2", "3", channel=channel), clock.now_ms())
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.delivery.dying_sender",
            redis_url,
            vendor.base,
            str(LEASE_MS),
            cwd=Path(__file__).parents[2],
        )
        async with asyncio.timeout(15):
            await vendor.held.wait()
        child.kill()
        await child.wait()
        vendor.hold.set()

        stop = asyncio.Event()
        successor = asyncio.create_task(send(redis_url, vendor.base, LEASE_MS, stop))
        await until(lambda: vendor.texts("ana")[-1:] == ["3"])
        stop.set()
        await successor

        assert vendor.texts("ana") == texts
        assert await waiting(redis_client, keys) == 0
        assert await redis_client.call("HGET", f"{keys.prefix('milk')}delivery:d1", "state") == b"delivered"
