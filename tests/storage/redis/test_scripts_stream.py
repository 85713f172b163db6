"""Streams: what polls find at every stage, and that an answer is handed over once, one of two ways."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from bot.answer_ids import answer_id
from bot.model import Event, Text
from bot.storage.redis.deliveries import Delivery, DeliveryStore, encode_parts
from bot.storage.redis.streams import (
    POLL_GRACE_MS,
    POLLED_MS,
    REST_DELAY_MS,
    AddressUse,
    AddressUses,
    Progress,
    Streams,
    StreamView,
    stream_id,
)
from tests.storage.live import MEMORY_MS, NOW_MS, Live, at_once, event

LEASE_MS = 15_000
OWNER = "app:ana"


def streams(live: Live) -> Streams:
    return Streams(live.redis, live.keys, memory_ms=MEMORY_MS)


def deliveries(live: Live) -> DeliveryStore:
    return DeliveryStore(live.redis, live.keys, memory_ms=MEMORY_MS)


def name(live: Live, happened: Event) -> str:
    return stream_id(live.keys, "milk", happened.id)


def answer(happened: Event, *texts: str) -> Delivery:
    return Delivery(
        id=answer_id(happened.id),
        community="milk",
        channel="app",
        user_id="ana",
        member=OWNER,
        cause=happened.id,
        route="response_url",
        created_at_ms=NOW_MS,
        parts=encode_parts([Text(text) for text in texts]),
    )


async def deferred(live: Live, state: str = "working") -> Event:
    """An event that was acknowledged with a stream."""
    happened = event()
    await live.inbox.defer(live.ticket(happened), NOW_MS, LEASE_MS, b"the event", stream=state)
    return happened


async def answered(live: Live, *texts: str) -> Event:
    """The same, with its answer ready."""
    happened = await deferred(live)
    assert await live.late.finish("milk", happened.id, answer(happened, *texts), NOW_MS)
    return happened


async def claimed(live: Live, now_ms: int) -> list[Delivery]:
    return await deliveries(live).claim(live.keys.shard("milk"), now_ms, now_ms + 40_000, 10)


async def left(live: Live) -> list[bytes]:
    """What waits for a sender, in either set."""
    prefix = live.keys.prefix("milk")
    return [
        *await live.redis.call("ZRANGE", f"{prefix}due", 0, -1),
        *await live.redis.call("ZRANGE", f"{prefix}due:order", 0, -1),
    ]


# ---------------------------------------------------------------- what polls find


async def test_while_the_handler_works_a_poll_shows_what_it_has_shown(live: Live) -> None:
    happened = await deferred(live)

    async def look() -> StreamView:
        return await streams(live).look("app", name(live, happened), NOW_MS)

    assert await look() == StreamView(Progress.WORKING, owner=OWNER)
    await streams(live).show(name(live, happened), "一半")
    assert await look() == StreamView(Progress.WORKING, "一半", owner=OWNER)
    await streams(live).show(name(live, happened), "好" * 10_000)
    shown = (await look()).shown
    assert shown == "好" * 6826  # of 20480 bytes
    assert await left(live) == []


async def test_what_was_shown_before_the_event_was_late_is_not_lost(live: Live) -> None:
    happened = event()
    await streams(live).show(name(live, happened), "早")
    await live.inbox.defer(live.ticket(happened), NOW_MS, LEASE_MS, b"the event", stream="working")
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).shown == "早"


async def test_what_was_shown_of_an_event_in_time_is_no_stream(live: Live) -> None:
    happened = event()
    await streams(live).show(name(live, happened), "早")
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).progress is Progress.ELSEWHERE


async def test_a_poll_takes_the_only_part_and_that_is_the_delivery(live: Live) -> None:
    happened = await answered(live, "好了")
    said = StreamView(Progress.SAID, part=Text("好了"), owner=OWNER)
    assert await streams(live).look("app", name(live, happened), NOW_MS + 1) == said
    assert await streams(live).look("app", name(live, happened), NOW_MS + 2) == said
    rows = await live.outbox("delivery")
    assert [(row["state"], row["next_part"]) for row in rows] == [("queued", "0"), ("delivered", "1")]
    assert rows[-1]["updated_at_ms"] == str(NOW_MS + 1)
    assert await left(live) == []
    assert await claimed(live, NOW_MS + 10 * POLL_GRACE_MS) == []
    assert not await deliveries(live).create(answer(happened, "好了"), NOW_MS)  # its id is remembered


async def test_a_poll_takes_the_first_of_several_parts_and_the_rest_is_due_soon_after(live: Live) -> None:
    happened = await answered(live, "一", "二", "三")
    assert (await streams(live).look("app", name(live, happened), NOW_MS + 1)).part == Text("一")
    assert await claimed(live, NOW_MS + REST_DELAY_MS) == []
    [rest] = await claimed(live, NOW_MS + 1 + REST_DELAY_MS)
    assert (rest.id, rest.next_part, rest.state) == (answer_id(happened.id), 1, "queued")
    assert (await streams(live).look("app", name(live, happened), NOW_MS + 2000)).part == Text("一")


async def test_an_answer_waits_for_a_poll_and_then_goes_its_own_way(live: Live) -> None:
    happened = await answered(live, "好了")
    assert await claimed(live, NOW_MS + POLL_GRACE_MS - 1) == []
    [taken] = await claimed(live, NOW_MS + POLL_GRACE_MS)
    assert (await streams(live).look("app", name(live, happened), NOW_MS + POLL_GRACE_MS)).progress is (
        Progress.ELSEWHERE
    )
    assert await deliveries(live).delivered(taken, 1, NOW_MS + POLL_GRACE_MS)
    assert (
        await streams(live).look("app", name(live, happened), NOW_MS + 60_000)
    ).progress is Progress.ELSEWHERE


async def test_an_answer_behind_another_of_its_receiver_can_be_taken_too(live: Live) -> None:
    first, second = await answered(live, "一"), await answered(live, "二", "三")
    third = await answered(live, "四")
    assert (await streams(live).look("app", name(live, second), NOW_MS + 1)).part == Text("二")
    assert (await streams(live).look("app", name(live, third), NOW_MS + 1)).part == Text("四")
    [head] = await claimed(live, NOW_MS + POLL_GRACE_MS)
    assert head.id == answer_id(first.id)
    assert await deliveries(live).delivered(head, 1, NOW_MS + POLL_GRACE_MS)
    [rest] = await claimed(live, NOW_MS + POLL_GRACE_MS)
    assert (rest.id, rest.next_part) == (answer_id(second.id), 1)


async def test_taking_the_first_answer_makes_the_receivers_next_one_due(live: Live) -> None:
    first, second = await answered(live, "一"), await answered(live, "二")
    assert (await streams(live).look("app", name(live, first), NOW_MS + 1)).progress is Progress.SAID
    [taken] = await claimed(live, NOW_MS + POLL_GRACE_MS)
    assert taken.id == answer_id(second.id)


async def test_an_answer_that_came_to_the_front_late_waits_for_the_poll_or_the_sender(live: Live) -> None:
    """It is due from the moment the one before it ended; that is no sender's claim."""
    first, second = await answered(live, "一"), await answered(live, "二")
    [head] = await claimed(live, NOW_MS + POLL_GRACE_MS)
    assert head.id == answer_id(first.id)
    assert await deliveries(live).delivered(head, 1, NOW_MS + 30_000)
    assert (await streams(live).look("app", name(live, second), NOW_MS + 30_000)).part == Text("二")
    assert await left(live) == []


async def test_a_handler_with_nothing_to_say_ends_its_stream(live: Live) -> None:
    happened = await deferred(live)
    assert await live.late.finish("milk", happened.id)
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).progress is Progress.SILENT


async def test_an_answer_no_stream_can_show_goes_its_own_way_at_once(live: Live) -> None:
    happened = await deferred(live)
    assert await live.late.finish("milk", happened.id, answer(happened, "好了"), NOW_MS, showable=False)
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).progress is Progress.ELSEWHERE
    assert len(await claimed(live, NOW_MS)) == 1


async def test_one_answer_too_many_goes_its_own_way_at_once_whatever_repeats_say(live: Live) -> None:
    happened = await deferred(live, "apart")
    await live.inbox.defer(live.ticket(happened), NOW_MS, LEASE_MS, b"the event", stream="working")
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).progress is Progress.APART
    assert await live.late.finish("milk", happened.id, answer(happened, "好了"), NOW_MS)
    assert len(await claimed(live, NOW_MS)) == 1
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).progress is Progress.APART


@pytest.mark.parametrize(
    "unknown", ["", "x", "0-", "8-" + "a" * 24, "0-" + "a" * 24, "0-" + "A" * 24, "-1-a"]
)
async def test_a_name_of_no_stream_is_answered_and_leaves_nothing(live: Live, unknown: str) -> None:
    assert await streams(live).look("app", unknown, NOW_MS) == StreamView(Progress.ELSEWHERE)
    assert [key async for keys in live.redis.scan("hq:*") for key in keys] == []


async def test_a_channel_sees_its_own_streams_alone(live: Live) -> None:
    happened = await answered(live, "好了")
    for other in ("bot", "ap", "app:ana", ""):
        assert await streams(live).look(other, name(live, happened), NOW_MS) == StreamView(Progress.ELSEWHERE)
    assert (await streams(live).look("app", name(live, happened), NOW_MS)).part == Text("好了")


# ---------------------------------------------------------------- all at once


async def test_fifty_polls_and_senders_at_once_one_way_gets_the_answer(processes: list[Live]) -> None:
    """At the instant at which the answer becomes a sender's as well."""
    ways = set()
    for number in range(40):
        happened = await answered(processes[0], "好了")
        now_ms = NOW_MS + POLL_GRACE_MS
        acts: list[Awaitable[StreamView | list[Delivery]]] = [
            streams(processes[one % 4]).look("app", name(processes[0], happened), now_ms) for one in range(12)
        ]
        acts.insert(number % 13, claimed(processes[number % 4], now_ms))
        words: set[Progress] = set()
        taken: list[Delivery] = []
        for found in await at_once(acts):
            if isinstance(found, StreamView):
                words.add(found.progress)
            else:
                taken = found
        assert words == {Progress.ELSEWHERE if taken else Progress.SAID}
        ways.add(bool(taken))
        for one_taken in taken:
            assert await deliveries(processes[0]).delivered(one_taken, 1, now_ms)
        assert await left(processes[0]) == []
    assert ways == {True, False}, "both ways were to win at times"


async def test_of_fifty_messages_at_once_three_have_a_stream(processes: list[Live]) -> None:
    begun = await at_once(
        streams(processes[number % 4]).begin(f"0-{number}", OWNER, NOW_MS, 3) for number in range(50)
    )
    assert sum(begun) == 3
    another = await streams(processes[0]).begin("0-99", "app:ben", NOW_MS, 3)
    assert another


async def test_a_stream_counts_once_until_it_ends_or_its_polling_does(live: Live) -> None:
    names = [f"0-{number}" for number in range(5)]
    assert [await streams(live).begin(one, OWNER, NOW_MS, 3) for one in names[:4]] == [True] * 3 + [False]
    assert [await streams(live).begin(one, OWNER, NOW_MS, 3) for one in names[:3]] == [True] * 3
    await streams(live).end(names[0], OWNER)
    await streams(live).end(names[0], OWNER)
    assert await streams(live).begin(names[3], OWNER, NOW_MS + 1, 3)
    assert not await streams(live).begin(names[4], OWNER, NOW_MS + POLLED_MS - 1, 3)
    assert await streams(live).begin(names[4], OWNER, NOW_MS + POLLED_MS, 3)


async def test_an_address_is_used_by_one_part_which_learns_when_it_tried_before(
    processes: list[Live],
) -> None:
    uses = [AddressUses(live.redis, live.keys) for live in processes]
    taken = await at_once(uses[number % 4].take("d1", number) for number in range(20))
    assert sorted(taken) == [AddressUse.FIRST] + [AddressUse.TAKEN] * 19
    winner = taken.index(AddressUse.FIRST)
    assert await uses[0].take("d1", winner) is AddressUse.AGAIN
    assert await uses[0].take("d2", 0) is AddressUse.FIRST
