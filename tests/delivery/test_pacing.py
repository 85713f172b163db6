"""Rates shared by all processes: never over in any length of time, all of them or none, nobody starved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from bot.clock import FixedClock
from bot.delivery.routes import WECOM_APP_GROUP, Rate, Scope, channel_abilities
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceRate, PaceStore, Word
from tests.delivery.conftest import Process, Start, delivery
from tests.delivery.vendor import ABILITIES, FakeVendor

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@pytest.fixture
def pace(redis_client: RedisClient, keys: Keys) -> PaceStore:
    return PaceStore(redis_client, keys)


def most_in_any(sends: list[tuple[int, int]], length_ms: int) -> int:
    """Return the most that was sent within any `length_ms` milliseconds; naively."""
    return max(
        (sum(count for at_ms, count in sends if end_ms - length_ms < at_ms <= end_ms) for end_ms, _ in sends),
        default=0,
    )


# (wait in ms until the next ask, how many persons it reaches, whether the clock of the process is behind)
ASKS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 60), st.integers(-30, 0)), min_size=1, max_size=120
)


@given(asks=ASKS, most=st.integers(60, 300), length_ms=st.integers(100, 3000))
@example(asks=[(0, 58, 0), (0, 3, 0), (0, 30, -3), (118, 57, 0)], most=60, length_ms=120)  # a clock behind
@example(asks=[(0, 60, 0)] * 6, most=300, length_ms=1000)
@example(asks=[(0, 1, 0)] * 5 + [(0, 60, 0)] * 3, most=143, length_ms=279)  # groups of one person count too
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_counted_rate_never_lets_more_through_in_any_length_of_time(
    pace: PaceStore, asks: list[tuple[int, int, int]], most: int, length_ms: int
) -> None:
    """Checked against the exact instants, by the clock that is furthest ahead.

    Whoever is told to wait may send when the wait is over.
    """
    channel, now_ms = uuid4().hex, 1_800_000_000_000
    latest_ms = 0
    sends: list[tuple[int, int]] = []
    for pause_ms, persons, skew_ms in asks:
        now_ms += pause_ms
        at_ms = now_ms + skew_ms
        rate = PaceRate(most, length_ms, whole_channel=True, persons=persons)
        # Another rate that lets all through, so that the exact and the counted ones are asked together.
        leave = await pace.ask(f"{channel}:g", at_ms, [PaceRate(1000, 1), rate])
        if leave.word is Word.FULL:
            event("had to wait")
            at_ms = now_ms = leave.wait_until_ms
            leave = await pace.ask(f"{channel}:g", at_ms, [rate])
        assert leave.word is Word.GO
        latest_ms = max(latest_ms, at_ms)
        sends.append((latest_ms, persons))
    assert most_in_any(sends, length_ms) <= most


@given(asks=st.lists(st.integers(0, 300), min_size=20, max_size=80), most=st.integers(1, 8))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_an_exact_rate_lets_through_all_it_may_and_no_more(
    pace: PaceStore, asks: list[int], most: int
) -> None:
    receiver, now_ms, length_ms = f"{uuid4().hex}:ana", 1_800_000_000_000, 1000
    sends: list[tuple[int, int]] = []
    for pause_ms in asks:
        now_ms += pause_ms
        before = most_in_any([*sends, (now_ms, 1)], length_ms)
        leave = await pace.ask(receiver, now_ms, [(most, length_ms)])
        assert (leave.word is Word.GO) == (before <= most)
        if leave.word is Word.GO:
            sends.append((now_ms, 1))


async def test_a_large_rate_is_used_nearly_whole(pace: PaceStore) -> None:
    """10 000 a minute over ten minutes, always as soon as it may: less than two in a hundred stay unused."""
    now_ms, persons = 1_800_000_000_000, 100
    start_ms, sent = now_ms, 0
    while now_ms < start_ms + 10 * MINUTE_MS:
        leave = await pace.ask("app:x", now_ms, [PaceRate(10_000, MINUTE_MS, True, persons)])  # noqa: FBT003
        if leave.word is Word.FULL:
            now_ms = leave.wait_until_ms
        else:
            sent += persons
            now_ms += 20
    assert 98_000 <= sent <= 110_000


async def test_the_memory_of_a_large_rate_does_not_grow_with_it(
    pace: PaceStore, redis_client: RedisClient
) -> None:
    now_ms = 1_800_000_000_000
    rate = PaceRate(150_000, HOUR_MS, whole_channel=True)
    for number in range(2000):
        await pace.ask("app:x", now_ms + number * 5000, [rate])
    (key,) = [name async for names in redis_client.scan("*pace:channel:app*") for name in names]
    assert await redis_client.call("HLEN", key) <= 62


async def test_a_send_is_taken_from_every_rate_or_from_none(pace: PaceStore) -> None:
    now_ms = 1_800_000_000_000
    mine, everybodys = PaceRate(2, MINUTE_MS), PaceRate(3, MINUTE_MS, whole_channel=True)
    words = [(await pace.ask(f"app:{who}", now_ms, [mine, everybodys])).word for who in ("a", "a", "a", "b")]
    assert words == [Word.GO, Word.GO, Word.FULL, Word.GO]  # the third took nothing of the channel's three
    assert (await pace.ask("app:c", now_ms, [mine, everybodys])).word is Word.FULL
    assert (await pace.ask("app:c", now_ms, [mine])).word is Word.GO  # nor did the last of its own two
    assert (await pace.ask("app:c", now_ms, [mine])).word is Word.GO


async def test_processes_that_ask_at_once_share_one_limit(start: Start, clock: FixedClock) -> None:
    processes = [await start() for _ in range(4)]
    rate = PaceRate(20, MINUTE_MS, whole_channel=True)
    leaves = await asyncio.gather(
        *(processes[number % 4].pace.ask(f"robot:{number}", clock.now_ms(), [rate]) for number in range(100))
    )
    assert [leave.word for leave in leaves].count(Word.GO) == 20


async def test_a_group_of_unknown_size_counts_as_two_hundred_persons(
    process: Process, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """450 persons a minute: two groups of unknown size, then no more."""
    rate = Rate(450, MINUTE_MS, Scope.CHANNEL, persons=True)
    group = replace(WECOM_APP_GROUP, rates=(rate,))
    monkeypatch.setitem(ABILITIES, "app", replace(channel_abilities("wecom_app"), group=group))
    for number in range(3):
        vendor.chats[f"g{number}"] = {"chatid": f"g{number}", "userlist": []}
        new = replace(delivery(f"d{number}", "x", user_id=""), group_id=f"g{number}")
        assert await process.deliveries.create(new, process.clock.now_ms())

    await process.sender.run_once()
    assert len(vendor.to_groups) == 2

    process.clock.move(timedelta(seconds=67))
    await process.sender.run_once()
    assert len(vendor.to_groups) == 3


async def test_nobody_starves_behind_one_who_has_much_to_hear(
    process: Process, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 a minute for the whole channel; who came later is served after who came first, not after all."""
    row = replace(ABILITIES["app"].direct, rates=(Rate(20, MINUTE_MS, Scope.CHANNEL),))  # type: ignore[type-var]
    monkeypatch.setitem(ABILITIES, "app", replace(channel_abilities("wecom_app"), direct=row))
    for number in range(200):
        await process.ask_for(f"a{number}", f"{number}", user_id="ana")
    await process.ask_for("z", "z", user_id="zoe")
    for number in range(50):
        await process.ask_for(f"b{number}", f"{number}", user_id=f"u{number:02d}")

    await process.carry_on(for_s=240)

    assert vendor.texts("zoe") == ["z"]
    assert all(vendor.texts(f"u{number:02d}") for number in range(50))
    assert vendor.texts("ana") == [str(number) for number in range(len(vendor.texts("ana")))]
    sends = [(message.at_ms, 1) for message in vendor.received]
    assert most_in_any(sends, MINUTE_MS) == 20


async def test_who_waits_for_a_rate_asks_once_and_not_again_and_again(
    process: Process, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Word] = []
    ask = PaceStore.ask

    async def counted(self: PaceStore, *args: object, **named: object) -> object:
        leave = await ask(self, *args, **named)  # type: ignore[arg-type]
        asked.append(leave.word)
        return leave

    monkeypatch.setattr(PaceStore, "ask", counted)
    for number in range(60):
        await process.ask_for(f"d{number}", f"{number}")
    for _ in range(129):
        await process.sender.run_once()
        clock.move(timedelta(milliseconds=500))
    assert asked == [Word.GO] * 30 + [Word.FULL]
