"""The durable outbox: created once, leased, in order, remembered."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import Article, Image, News, Part, Text, Video, Voice
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import Delivery, DeliveryStore, decode_parts, encode_parts
from bot.storage.redis.keys import Keys
from tests.delivery.conftest import MEMORY_MS, delivery, from_row, rows, waiting

LEASE_MS = 40_000


@pytest.fixture
def store(redis_client: RedisClient, keys: Keys) -> DeliveryStore:
    return DeliveryStore(redis_client, keys, memory_ms=MEMORY_MS)


async def claim(store: DeliveryStore, keys: Keys, at_ms: int) -> list[Delivery]:
    return await store.claim(keys.shard("milk"), at_ms, at_ms + LEASE_MS, 10)


articles = st.builds(Article, st.text(), st.text(), st.text(), st.text())
parts = st.one_of(
    st.builds(Text, st.text()),
    st.builds(Image, st.text()),
    st.builds(Voice, st.text()),
    st.builds(Video, st.text(), st.text(), st.text()),
    st.builds(News, st.lists(articles, max_size=3).map(tuple)),
)


@given(st.lists(parts, max_size=5).map(tuple))
def test_parts_survive_being_stored(stored: tuple[Part, ...]) -> None:
    assert decode_parts(encode_parts(stored)) == stored


def test_half_a_character_cannot_poison_a_delivery() -> None:
    assert decode_parts(encode_parts((Text("a\ud83d"), News((Article("\ude00"),))))) == (
        Text("a?"),
        News((Article("?"),)),
    )


@pytest.mark.parametrize(
    "stored", ["", "x", "{}x", "[1]", '[{"kind":"text"}]', '[{"kind":"song","text":""}]', "1"]
)
def test_what_is_not_parts_is_refused(stored: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_parts(stored)


async def test_a_delivery_is_created_once_and_told_to_sql(
    store: DeliveryStore, redis_client: RedisClient, keys: Keys
) -> None:
    new = delivery("d1", "你好", at_ms=5)

    created = await asyncio.gather(*(store.create(new, 7) for _ in range(20)))

    assert sum(created) == 1
    (row,) = await rows(redis_client, keys)
    assert row == {
        "kind": "delivery", "id": "d1", "community": "milk", "channel": "app", "user_id": "ana",
        "member": "app:ana", "cause": "cause of d1", "state": "queued", "route": "active", "reason": "",
        "attempts": "0",
        "created_at_ms": "5", "updated_at_ms": "5", "next_part": "0",
        "parts": '[{"kind":"text","text":"你好"}]',
        "group_id": "", "useful_until_ms": "0", "feature": "", "answer_to": "", "not_before_ms": "0",
    }  # fmt: skip
    stored = await store.get("milk", "d1")
    assert stored is not None
    assert stored.parts == new.parts
    assert stored.queued_at_ms == 7
    assert "你好" not in repr(stored)


async def test_a_lease_keeps_others_away_until_it_ends(store: DeliveryStore, keys: Keys) -> None:
    await store.create(delivery("d1", "x"), 1000)
    assert await claim(store, keys, 999) == []
    assert [(shard, count) for shard, count in await store.due(1000)] == [(keys.shard("milk"), 1)]

    assert len(await claim(store, keys, 1000)) == 1
    assert await claim(store, keys, 1000 + LEASE_MS - 1) == []
    assert len(await claim(store, keys, 1000 + LEASE_MS)) == 1


async def test_who_lost_the_lease_changes_nothing(
    store: DeliveryStore, redis_client: RedisClient, keys: Keys
) -> None:
    await store.create(delivery("d1", "x", "y"), 1000)
    (mine,) = await claim(store, keys, 1000)
    held_ms = 1000 + LEASE_MS
    await claim(store, keys, held_ms)
    before = len(await rows(redis_client, keys))

    assert not await store.hold(mine, held_ms, held_ms + 1)
    assert not await store.retry_later(mine, held_ms, held_ms + 1, "unreachable", held_ms, counts=True)
    assert not await store.dead(mine, held_ms, "unreachable", 0, held_ms)
    assert len(await rows(redis_client, keys)) == before
    assert await claim(store, keys, held_ms + LEASE_MS - 1) == []


async def test_what_the_platform_has_counts_even_from_who_lost_the_lease(
    store: DeliveryStore, keys: Keys
) -> None:
    """Otherwise the next sender would send that part again."""
    await store.create(delivery("d1", "x", "y"), 1000)
    (mine,) = await claim(store, keys, 1000)
    held_ms = 1000 + LEASE_MS
    await claim(store, keys, held_ms)

    assert not await store.part_sent(mine, held_ms, held_ms + 1, 0, held_ms)
    stored = await store.get("milk", "d1")
    assert stored is not None
    assert stored.next_part == 1
    assert await claim(store, keys, held_ms + LEASE_MS - 1) == []

    assert await store.delivered(mine, 2, held_ms)
    assert not await store.delivered(mine, 2, held_ms)
    assert await store.get("milk", "d1") is None


async def test_a_part_counts_once(store: DeliveryStore, redis_client: RedisClient, keys: Keys) -> None:
    await store.create(delivery("d1", "x", "y", "z"), 1000)
    (mine,) = await claim(store, keys, 1000)
    held_ms = 1000 + LEASE_MS

    assert await store.retry_later(mine, held_ms, 2000, "unreachable", 1500, counts=True)
    (mine,) = await claim(store, keys, 2000)
    assert (mine.attempts, mine.reason) == (1, "unreachable")
    for _ in range(3):
        assert await store.part_sent(mine, 2000 + LEASE_MS, 2000 + LEASE_MS, 0, 2000)

    stored = await store.get("milk", "d1")
    assert stored is not None
    assert (stored.next_part, stored.attempts, stored.reason) == (1, 0, "")
    assert [(row["next_part"], row["attempts"]) for row in await rows(redis_client, keys)] == [
        ("0", "0"), ("0", "1"), ("1", "0"),
    ]  # fmt: skip


async def test_one_receiver_s_deliveries_are_due_one_after_the_other(
    store: DeliveryStore, keys: Keys
) -> None:
    for number in range(5):
        await store.create(delivery(f"d{number}", "x"), 1000 - number)
    await store.create(delivery("other", "x", user_id="liwei"), 1000)
    await store.create(delivery("prefix", "x", user_id="ana2"), 1000)

    order = []
    for turn in range(5):
        now_ms = 1000 + turn
        claimed = {one.user_id: one for one in await claim(store, keys, now_ms)}
        assert set(claimed) == ({"ana", "liwei", "ana2"} if turn == 0 else {"ana"})
        order.append(claimed["ana"].id)
        if turn % 2:
            await store.dead(claimed["ana"], now_ms + LEASE_MS, "no_route", 0, now_ms)
        else:
            await store.delivered(claimed["ana"], 1, now_ms)

    assert order == ["d0", "d1", "d2", "d3", "d4"]


async def test_a_waiting_delivery_keeps_its_own_due_time(store: DeliveryStore, keys: Keys) -> None:
    await store.create(delivery("d1", "x"), 1000)
    await store.create(delivery("d2", "x"), 9000)
    (first,) = await claim(store, keys, 1000)
    await store.delivered(first, 1, 1000)

    assert await claim(store, keys, 8999) == []
    assert [one.id for one in await claim(store, keys, 9000)] == ["d2"]


@pytest.mark.parametrize("state", ["delivered", "dead"])
async def test_a_finished_id_is_remembered_and_nothing_else_is(
    store: DeliveryStore, redis_client: RedisClient, keys: Keys, state: str
) -> None:
    new = delivery("d1", "x" * 2000)
    await store.create(new, 1000)
    (mine,) = await claim(store, keys, 1000)
    if state == "delivered":
        await store.delivered(mine, 1, 1000)
    else:
        await store.dead(mine, 1000 + LEASE_MS, "no_route", 0, 1000)

    assert not await store.create(new, 2000)
    assert (await rows(redis_client, keys))[-1]["state"] == state
    assert await waiting(redis_client, keys) == 0
    key = f"{keys.prefix('milk')}delivery:d1"
    assert await redis_client.call("HGETALL", key) == [b"state", state.encode()]
    assert MEMORY_MS - 10_000 < await redis_client.call("PTTL", key) <= MEMORY_MS


async def test_a_dead_delivery_can_be_sent_again_once_and_only_a_dead_one(
    store: DeliveryStore, redis_client: RedisClient, keys: Keys
) -> None:
    await store.create(delivery("d1", "x", "y", "z", at_ms=5), 1000)
    (mine,) = await claim(store, keys, 1000)
    assert not await store.resend(mine, 1100)
    await store.part_sent(mine, 1000 + LEASE_MS, 1000 + LEASE_MS, 0, 1000)
    await store.dead(mine, 1000 + LEASE_MS, "errcode_45015", 1, 1200)
    known = from_row((await rows(redis_client, keys))[-1])
    await store.create(delivery("d2", "later"), 1300)

    assert sum(await asyncio.gather(*(store.resend(known, 2000) for _ in range(5)))) == 1

    row = (await rows(redis_client, keys))[-1]
    assert {name: row[name] for name in ("state", "reason", "attempts", "next_part")} == {
        "state": "queued", "reason": "", "attempts": "0", "next_part": "1",
    }  # fmt: skip
    assert (row["created_at_ms"], row["updated_at_ms"]) == ("5", "2000")
    (second,) = await claim(store, keys, 2000)
    assert second.id == "d2"  # the resent one waits behind
    await store.delivered(second, 1, 2000)
    (again,) = await claim(store, keys, 2000)
    assert (again.id, again.queued_at_ms) == ("d1", 2000)
    await store.delivered(again, 3, 2000)
    assert not await store.resend(known, 3000)
