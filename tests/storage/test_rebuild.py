from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.model import Subscribed, Unsubscribed
from bot.storage.drain import Drain
from bot.storage.redis.check_ins import CardRefused
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.redis.members import Counters, Greeting
from bot.storage.redis.points import Span
from bot.storage.sql.member_figures import MemberFigures, read_members
from tests.storage.live import DAY_MS, HOUR_MS, MEMORY_MS, NOW_MS, TODAY, Live, at_once, day, event
from tests.storage.redis.test_scripts_settle import delivery
from tests.storage.scene import Scene


async def test_after_a_total_loss_the_two_agree_again(scene: Scene) -> None:
    live = scene.live
    for number in range(30):
        for back in range(0, 60, number % 5 + 1):
            happened = event(f"u{number}", day=day(back))
            await live.inbox.take(live.ticket(happened), NOW_MS)
            await live.check_in(happened)
    await scene.lose_memory()
    assert await scene.verify() != []
    done = await scene.rebuild()
    assert (done.members, done.busy) == (30, [])
    assert await scene.verify() == []


async def test_balances_rankings_and_calendars_are_what_they_were(scene: Scene) -> None:
    live = scene.live
    for back in (40, 9, 3, 2, 1):
        await live.check_in(event("ana", day=day(back)))
    await live.grant("app:ana", 100)
    await live.make_up(event("ana", day=day(0)))
    await live.check_in(event("bob"))

    async def look() -> list[object]:
        today = live.calendar.day(TODAY)
        seen: list[object] = [await live.balance(user_id) for user_id in ("ana", "bob", "cyd")]
        spans = [(span, back) for span in Span for back in (0, 1, 9)]
        for span, back in (*spans, (Span.WEEK, 40), (Span.MONTH, 40)):
            seen += await live.points.ranking("milk", span, live.calendar.day(day(back)))
        for member in ("app:ana", "app:bob"):
            seen.append(await live.check_ins.days("milk", member, day(60), day(0)))
            seen.append(await live.check_ins.total("milk", member))
            seen.append(await live.check_ins.streak("milk", member, today))
        return seen

    before = await look()
    await scene.lose_memory()
    assert await look() != before
    await scene.rebuild()
    assert await look() == before


async def test_a_repeat_of_a_check_in_finds_its_result_and_a_second_one_is_refused(scene: Scene) -> None:
    live = scene.live
    await live.check_in(event("bob"))
    for back in (2, 1):
        await live.check_in(event(day=day(back)))
    happened = event()
    result = await live.check_in(happened)
    assert result.bonus == 10
    await scene.lose_memory()
    assert (await scene.rebuild()).check_ins == 4
    assert await live.check_in(happened) == result
    assert not (await live.check_in(event())).done
    assert (await live.check_in(event("cyd"))).rank == 3
    assert await live.balance() == result.balance


async def test_a_repeat_of_a_check_in_that_gave_nothing_finds_its_result(scene: Scene) -> None:
    live = scene.live
    rules = replace(live.community.check_in, points=0, milestones=())
    live.community = replace(live.community, check_in=rules)
    await live.grant("app:ana", 5)
    happened = event()
    result = await live.check_in(happened)
    await scene.lose_memory()
    await scene.rebuild()
    assert await live.check_in(happened) == result


async def test_a_repeat_of_a_make_up_card_uses_no_other_and_the_month_remembers(scene: Scene) -> None:
    live = scene.live
    await live.grant("app:ana", 500)
    used = [event() for _ in range(3)]
    results = [await live.make_up(happened) for happened in used]
    assert [result.bonus for result in results] == [0, 0, 10]
    await scene.lose_memory()
    await scene.rebuild()
    assert [await live.make_up(happened) for happened in used] == results
    assert (await live.make_up(event())).refused is CardRefused.MONTH_LIMIT


async def test_a_repeat_of_an_order_has_no_second_effect(scene: Scene) -> None:
    live = scene.live
    granted = await live.grant("app:ana", 30, cause="api:1")
    taken_back = await live.grant("app:ana", -30, cause="api:2", reverses="00-1-0")
    await scene.lose_memory()
    assert (await scene.rebuild()).orders == 2
    assert await live.grant("app:ana", 30, cause="api:1") == replace(granted, again=True)
    assert await live.grant("app:ana", -30, cause="api:9", reverses="00-1-0") == replace(
        taken_back, again=True
    )
    assert await live.balance() == 0
    assert await scene.verify() == []


async def test_members_are_who_they_were_and_are_greeted_as_known(scene: Scene) -> None:
    live = scene.live

    async def arrive(user_id: str, at_ms: int) -> Greeting:
        happened = event(user_id, Subscribed(), at_ms=at_ms)
        ticket = live.ticket(happened)
        return await live.members.arrive(happened, ticket.digest, live.community, ticket.day)

    for user_id in ("ana", "bob"):
        await arrive(user_id, NOW_MS)
    await live.members.leave(event("bob", Unsubscribed(), at_ms=NOW_MS + HOUR_MS), live.community)
    await live.inbox.take(live.ticket(event("cyd")), NOW_MS)
    before = [await live.members.get("milk", f"app:{user_id}") for user_id in ("ana", "bob", "cyd")]
    await scene.lose_memory()
    await scene.rebuild()
    after = [await live.members.get("milk", f"app:{user_id}") for user_id in ("ana", "bob", "cyd")]
    assert after == before
    assert await arrive("cyd", NOW_MS + DAY_MS) is Greeting.RETURNING
    # The platform repeats an arrival of before the loss: it is the same one.
    assert await arrive("ana", NOW_MS) is Greeting.RETURNING
    assert (await live.members.get("milk", "app:ana")).joins == 1


async def test_counters_of_the_kept_days_go_on_where_they_were(scene: Scene) -> None:
    live = scene.live
    for back in (0, 0, 7, 20):
        happened = event(day=day(back))
        await live.inbox.take(live.ticket(happened), NOW_MS)
    await live.check_in(event())
    await scene.lose_memory()
    assert (await scene.rebuild()).counters == 2
    today = live.calendar.day(TODAY)
    assert await live.members.counters("milk", "app:ana", today) == Counters(messages=2, check_ins=1)
    await live.inbox.take(live.ticket(event()), NOW_MS)
    await scene.drain.flush_all()
    assert await scene.messages() == {"app:ana": 3}
    assert await scene.verify() == []
    key = live.keys.key("day", "milk", "-", "app:ana", TODAY.isoformat())
    assert 0 < await live.redis.call("PTTL", key) <= 9 * DAY_MS


async def test_counters_that_history_has_greater_are_raised_and_others_stay(scene: Scene) -> None:
    live = scene.live
    for user_id, count in (("ana", 3), ("bob", 1)):
        for _ in range(count):
            await live.inbox.take(live.ticket(event(user_id)), NOW_MS)
    await scene.lose_memory()
    for user_id in ("ana", "bob", "bob"):
        await live.inbox.take(live.ticket(event(user_id)), NOW_MS)
    await scene.rebuild()
    today = live.calendar.day(TODAY)
    counted = [await live.members.counters("milk", f"app:{user_id}", today) for user_id in ("ana", "bob")]
    assert counted == [Counters(messages=3), Counters(messages=2)]
    assert await scene.verify() == []


async def test_queued_deliveries_are_sent_after_all_in_the_order_of_their_making(scene: Scene) -> None:
    live = scene.live
    store = DeliveryStore(live.redis, live.keys, memory_ms=MEMORY_MS)
    shard = live.keys.shard("milk")
    made = [delivery(f"d{number}", at_ms=NOW_MS - 60_000 + number) for number in range(3)]
    for one in made:
        await store.create(one, NOW_MS)
    other = delivery("e1", "bob")
    await store.create(other, NOW_MS)
    claimed = {one.id: one for one in await store.claim(shard, NOW_MS, NOW_MS + 1, 10)}
    assert claimed.keys() == {"d0", "e1"}
    await store.delivered(claimed["e1"], 1, NOW_MS)
    await scene.lose_memory()
    assert (await scene.rebuild()).deliveries == 3
    assert (await scene.rebuild()).deliveries == 0
    sent = []
    for _ in range(3):
        [one] = await store.claim(shard, NOW_MS + 5, NOW_MS + 6, 10)
        assert (one.user_id, one.parts, one.state) == ("ana", made[0].parts, "queued")
        sent.append(one.id)
        assert await store.delivered(one, 1, NOW_MS + 5)
    assert sent == ["d0", "d1", "d2"]
    await scene.drain.flush_all()
    assert await scene.count("deliveries") == 4


async def test_a_delivery_that_was_sent_is_not_sent_again(scene: Scene) -> None:
    live = scene.live
    store = DeliveryStore(live.redis, live.keys, memory_ms=MEMORY_MS)
    await store.create(delivery(), NOW_MS)
    [claimed] = await store.claim(live.keys.shard("milk"), NOW_MS, NOW_MS + 1, 10)
    await scene.drain.flush_all()
    await store.delivered(claimed, 1, NOW_MS)
    assert (await scene.rebuild()).deliveries == 0


async def test_doing_it_twice_changes_nothing(scene: Scene) -> None:
    live = scene.live
    for back in range(10):
        await live.check_in(event(day=day(back)))
    await scene.rebuild()
    before = await live.redis.call("HGETALL", live.keys.key("member", "milk", "app:ana"))
    await scene.rebuild()
    assert await live.redis.call("HGETALL", live.keys.key("member", "milk", "app:ana")) == before
    assert await scene.verify() == []


@dataclass(slots=True)
class Actor:
    """A member who never stops, and what they must have in the end."""

    live: Live
    user_id: str
    points: int = 0
    days: set[object] = field(default_factory=set)

    async def act(self, chance: random.Random, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if chance.random() < 0.5:
                self.points += 1
                await self.live.grant(f"app:{self.user_id}", 1)
            else:
                on = day(chance.randrange(60))
                if (await self.live.check_in(event(self.user_id, day=on))).done:
                    self.days.add(on)
            await asyncio.sleep(chance.random() / 20)


async def test_nothing_that_happens_meanwhile_is_lost(processes: list[Live], scene: Scene) -> None:
    """Members act through other processes, which also drain, while everything is restored again and again."""
    stop = asyncio.Event()
    actors = [Actor(processes[number % 3], f"u{number}") for number in range(6)]
    drains = [Drain(live.redis, live.keys, scene.database) for live in processes[:2]]
    tasks = [asyncio.create_task(actor.act(random.Random(7), stop)) for actor in actors]
    tasks += [asyncio.create_task(drain.run(stop)) for drain in drains]
    tasks.append(asyncio.create_task(_flush_on_and_on(drains[1], stop)))
    for _ in range(4):
        done = await scene.rebuild()
        assert done.busy == []
    stop.set()
    await asyncio.gather(*tasks)
    assert await scene.verify() == []
    live = scene.live
    for actor in actors:
        member = f"app:{actor.user_id}"
        assert await live.check_ins.days("milk", member, day(70), day(0)) == actor.days
        assert await live.check_ins.total("milk", member) == len(actor.days)
        granted = sum(1 for entry in await scene.entries(member) if entry.reason == "grant")
        assert granted == actor.points


ACTS = ("grant", "check_in", "check_in_for_nothing", "make_up", "arrive", "leave")


async def _act(live: Live, act: str) -> None:
    if act == "grant":
        await live.grant("app:ana", 1)
    elif act == "make_up":
        await live.make_up(event())
    elif act == "check_in":
        await live.check_in(event())
    elif act == "check_in_for_nothing":
        rules = replace(live.community.check_in, points=0, milestones=())
        await replace(live, community=replace(live.community, check_in=rules)).check_in(event())
    elif act == "arrive":
        happened = event("ana", Subscribed(), at_ms=NOW_MS + HOUR_MS)
        ticket = live.ticket(happened)
        await live.members.arrive(happened, ticket.digest, live.community, ticket.day)
    else:
        await live.members.leave(event("ana", Unsubscribed(), at_ms=NOW_MS + HOUR_MS), live.community)


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_between_reading_history_and_restoring_is_not_overwritten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Also when another process has drained it by then, so that no outbox shows it."""
    live = scene.live
    await live.grant("app:ana", 100)
    times = 0

    async def read_then_act(*args: Any) -> dict[str, MemberFigures]:
        nonlocal times
        figures = await read_members(*args)
        times += 1
        if times == 1:
            await _act(live, act)
            await scene.drain.flush_all()
        return figures

    monkeypatch.setattr("bot.storage.rebuild.read_members", read_then_act)
    await scene.rebuild()
    seen = (
        await live.balance(),
        await live.check_ins.total("milk", "app:ana"),
        await live.members.get("milk", "app:ana"),
    )
    assert times >= 2
    await scene.lose_memory()
    await scene.rebuild()
    assert seen == (
        await live.balance(),
        await live.check_ins.total("milk", "app:ana"),
        await live.members.get("milk", "app:ana"),
    )
    assert await scene.verify() == []
    balance, check_ins, member = seen
    assert balance == {"grant": 101, "check_in": 110, "make_up": 80}.get(act, 100)
    assert check_ins == ("check" in act or act == "make_up")
    assert (member.joins == 1) == (act == "arrive")
    assert (member.left_at_ms is not None) == (act == "leave")


async def test_a_member_who_acts_at_every_look_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = scene.live
    await live.grant("app:ana", 1)

    async def read_then_act(*args: Any) -> dict[str, MemberFigures]:
        figures = await read_members(*args)
        await live.grant("app:ana", 1)
        return figures

    monkeypatch.setattr("bot.storage.rebuild.read_members", read_then_act)
    done = await scene.rebuild()
    assert done.busy == ["milk app:ana"]
    assert await scene.verify() == []


async def _flush_on_and_on(drain: Drain, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await drain.flush("milk")
        await asyncio.sleep(0)


async def test_after_a_loss_under_a_running_server_what_came_since_counts_on_top(scene: Scene) -> None:
    live = scene.live
    await live.grant("app:ana", 100)
    await live.check_in(event(day=day(1)))
    await scene.lose_memory()
    await live.grant("app:ana", 7)
    await live.check_in(event(day=day(0)))
    await scene.rebuild()
    assert await live.balance() == 127
    assert await live.check_ins.streak("milk", "app:ana", live.calendar.day(TODAY)) == 2
    assert await scene.verify() == []


async def test_a_changed_number_of_shards_takes_everything_along(scene: Scene) -> None:
    """Also what waited in a shard that is no more."""
    old = scene.live
    for number in range(8):
        community = replace(old.community, id=f"c{number}", channels=(f"ch{number}",))
        await replace(old, community=community).grant("app:ana", 5)
    for shards in (2, 16):
        keys = Keys(shards)
        for number in range(8):
            community = replace(old.community, id=f"c{number}", channels=(f"ch{number}",))
            live = Live(old.redis, keys, community)
            moved = Scene(live, scene.database, Drain(old.redis, keys, scene.database))
            await moved.rebuild()
            assert await moved.verify() == []
            assert await live.balance() == 5
            await live.grant("app:ana", 1)
            await live.grant("app:ana", -1)


async def test_many_members_are_restored(scene: Scene) -> None:
    live = scene.live
    await at_once(live.check_in(event(f"u{number}")) for number in range(1200))
    await scene.lose_memory()
    assert (await scene.rebuild()).members == 1200
    assert await scene.verify() == []
    assert (await live.check_in(event("new"))).rank == 1201


async def test_what_is_remembered_of_orders_ends_by_itself(scene: Scene) -> None:
    live = scene.live
    await live.grant("app:ana", 30, cause="api:1")
    await scene.lose_memory()
    await scene.rebuild()
    lives = [
        await live.redis.call("PTTL", name)
        async for names in live.redis.scan(live.keys.pattern("once:"))
        for name in names
    ]
    assert len(lives) == 1
    assert lives[0] > 0
