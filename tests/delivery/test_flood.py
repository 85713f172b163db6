"""Thousands of messages over four real processes, any of which may be killed with −9 at any moment.

Shown: none is lost, the order of each receiver is kept, no limit is exceeded by the vendor's own count, and
what comes twice is the one part that was on its way when its process died: WeCom drops it when asked to, the
Official Account has no such check.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from asyncio.subprocess import Process
from pathlib import Path
from random import Random

import pytest

from bot.clock import SystemClock
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from tests.delivery.conftest import delivery, waiting
from tests.delivery.flood import LIMITS, SHARDS
from tests.delivery.vendor import FakeVendor

PROCESSES = 4


async def start_process(url: str, base: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.delivery.flood", url, base, cwd=Path(__file__).parents[2]
    )


async def queue(store: DeliveryStore, receivers: list[tuple[str, str]], messages: int) -> None:
    """Queue message after message, each to all receivers."""
    now_ms = SystemClock().now_ms()
    for number in range(messages):
        await asyncio.gather(
            *(
                store.create(
                    delivery(f"{who}-{number}", str(number), channel=channel, user_id=who, at_ms=now_ms),
                    now_ms,
                )
                for channel, who in receivers
            )
        )


async def kill_and_replace(processes: list[Process], url: str, base: str, random: Random) -> None:
    """Kill one process after the other, at random moments, and start another in its place."""
    while True:
        await asyncio.sleep(random.uniform(0.5, 2.0))
        number = random.randrange(len(processes))
        processes[number].kill()
        await processes[number].wait()
        KILLS.append(number)
        processes[number] = await start_process(url, base)


KILLS: list[int] = []


async def flood(url: str, redis: RedisClient, *, receivers: int, messages: int, within_s: int) -> None:
    keys, random = Keys(SHARDS), Random(receivers * messages)
    people = [("app" if number % 5 else "oa", f"u{number:03d}") for number in range(receivers)]
    KILLS.clear()
    async with FakeVendor(SystemClock(), limits=LIMITS) as vendor:
        vendor.answer_delay_s = 0.03  # as from a vendor far away: a kill finds calls on their way
        await queue(DeliveryStore(redis, keys, memory_ms=600_000), people, messages)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        processes = [await start_process(url, vendor.base) for _ in range(PROCESSES)]
        killing = asyncio.create_task(kill_and_replace(processes, url, vendor.base, random))
        try:
            async with asyncio.timeout(within_s):
                while await waiting(redis, keys):
                    assert not killing.done()
                    await asyncio.sleep(0.2)
            took_s = loop.time() - begun_s
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    expected = [str(number) for number in range(messages)]
    twice = 0
    for _, who in people:
        texts = vendor.texts(who)
        assert [text for text, _ in itertools.groupby(texts)] == expected, who
        twice += len(texts) - len(expected)
    assert vendor.over_rate == []
    # Each kill leaves at most the calls that a process makes at a time on their way, sixteen on each channel.
    assert twice + len(vendor.duplicates) <= 32 * len(KILLS)
    print(  # noqa: T201 - the figures are what the test is for
        f"\n{receivers * messages} messages to {receivers} receivers by {PROCESSES} processes "
        f"in {took_s:.0f} s, {len(KILLS)} killed: 0 lost, 0 out of order, 0 above a limit; "
        "on its way at a kill and sent again: "
        f"{len(vendor.duplicates)} dropped by WeCom's own check, {twice} read twice on the Official Account"
    )


@pytest.mark.crash
async def test_a_thousand_messages_survive_kills_in_order_and_within_the_limits(
    redis_url: str, redis_client: RedisClient
) -> None:
    await flood(redis_url, redis_client, receivers=20, messages=50, within_s=120)


@pytest.mark.soak
@pytest.mark.crash
async def test_ten_thousand_messages_to_a_hundred_receivers_do_too(
    redis_url: str, redis_client: RedisClient
) -> None:
    await flood(redis_url, redis_client, receivers=100, messages=100, within_s=500)
