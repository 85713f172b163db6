"""Whatever goes wrong, a delivery ends delivered or dead, and is never lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bot.clock import FixedClock
from bot.delivery.sender import Sender
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from tests.delivery.conftest import Process, Start, delivery, leftovers, rows
from tests.delivery.vendor import FakeVendor, Fault

FAULTS = st.one_of(
    st.builds(Fault, errcode=st.sampled_from([-1, 42001, 45009, 45011, 45033, 40001, 60020, 40058, 45047])),
    st.builds(Fault, status=st.just(500), acted=st.booleans()),
    st.builds(Fault, raw=st.just(b"{"), acted=st.booleans()),
    st.builds(Fault, drop=st.just(True), acted=st.booleans()),
    st.builds(Fault, kill=st.just(True), acted=st.booleans()),
    st.builds(Fault, extra=st.just({"invaliduser": "ana"})),
    st.just(Fault(acted=True)),  # nothing goes wrong
)
PLANS = st.lists(
    st.tuples(st.sampled_from(["app", "oa"]), st.sampled_from(["ana", "liwei"]), st.integers(1, 3)),
    min_size=1,
    max_size=6,
)


async def work(sender: Sender, vendor: FakeVendor) -> None:
    """Let the sender work until nothing is due, or it is killed in the middle of a send."""
    vendor.killed.clear()
    working = asyncio.create_task(sender.run_once())
    killed = asyncio.create_task(vendor.killed.wait())
    await asyncio.wait({working, killed}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
    killed.cancel()
    await asyncio.gather(working, killed, return_exceptions=True)
    for task in tuple(sender._under_way):
        task.cancel()
    await asyncio.gather(*sender._under_way, return_exceptions=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=PLANS, faults=st.lists(FAULTS, max_size=25))
async def test_every_delivery_ends_delivered_once_or_dead(
    start: Start,
    vendor: FakeVendor,
    clock: FixedClock,
    redis: RedisClient,
    keys: Keys,
    plans: list[tuple[str, str, int]],
    faults: list[Fault],
) -> None:
    """On WeCom every part comes once; an Official Account drops no duplicates: one more per answer lost."""
    await redis.call("FLUSHALL")
    vendor.forget()
    vendor.faults.extend(faults)
    processes: list[Process] = [await start() for _ in range(2)]
    expected: dict[tuple[str, str], list[str]] = {}
    for number, (channel, user_id, parts) in enumerate(plans):
        texts = [f"{number}.{part}" for part in range(parts)]
        expected.setdefault((channel, user_id), []).extend(texts)
        await processes[0].deliveries.create(
            delivery(f"d{number}", *texts, channel=channel, user_id=user_id), clock.now_ms()
        )

    for turn in range(400):
        await work(processes[turn % 2].sender, vendor)
        if not await leftovers(redis):
            break
        clock.move(timedelta(seconds=60))
    for process in processes:
        await process.redis.close()

    assert await leftovers(redis) == []
    history = await rows(redis, keys)
    ends = {row["id"]: row for row in history if row["state"] != "queued"}
    assert len([row for row in history if row["state"] != "queued"]) == len(ends) == len(plans)
    lost_answers = sum(fault.acted and fault != Fault(acted=True) for fault in faults)
    for number, (channel, user_id, parts) in enumerate(plans):
        end = ends[f"d{number}"]
        event(f"{channel} {end['state']}")
        arrived = Counter(
            message.text
            for message in vendor.received
            if message.user_id == user_id and ("agentid" in message.whole) == (channel == "app")
        )
        sent = parts if end["state"] == "delivered" else int(end["next_part"])
        for part in range(parts):
            times = arrived[f"{number}.{part}"]
            assert times >= 1 or part >= sent
            assert times <= (1 if channel == "app" else 1 + lost_answers)
        assert end["reason"] != "" or end["state"] == "delivered"
    for (channel, user_id), texts in expected.items():
        seen = [
            message.text
            for message in vendor.received
            if message.user_id == user_id and ("agentid" in message.whole) == (channel == "app")
        ]
        first_times = list(dict.fromkeys(seen))
        assert first_times == [text for text in texts if text in first_times]
