from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from bot.storage.redis.boards import kept_boards
from bot.storage.redis.check_ins import calendar_key
from bot.storage.redis.deliveries import DeliveryStore
from tests.storage.live import MEMORY_MS, NOW_MS, TODAY, Live, at_once, day, event
from tests.storage.redis.test_scripts_settle import delivery
from tests.storage.scene import Scene


async def _live_a_while(live: Live) -> None:
    """Give a few members everything that is compared."""
    for user_id, backs in (("ana", (45, 4, 3, 2, 0)), ("bob", (1, 0)), ("cyd", (6,))):
        for back in backs:
            happened = event(user_id, day=day(back))
            await live.inbox.take(live.ticket(happened), NOW_MS)
            await live.check_in(happened)
    await live.inbox.take(live.ticket(event("ana", group_id="wr1")), NOW_MS)
    await live.grant("app:bob", 40)
    await live.grant("app:bob", -25)
    await live.make_up(event("ana"))
    await live.grant("app:dan", 7)
    await live.grant("app:dan", -7)
    await live.grant("app:eve", -3, reverses="00-1-0")
    await DeliveryStore(live.redis, live.keys, memory_ms=MEMORY_MS).create(delivery(), NOW_MS)


async def test_nothing_disagrees_in_empty_stores(scene: Scene) -> None:
    assert await scene.verify() == []


async def test_nothing_disagrees_after_ordinary_days(scene: Scene) -> None:
    await _live_a_while(scene.live)
    assert await scene.verify() == []
    assert await scene.drain.backlog() == 0


@dataclass(frozen=True, slots=True)
class Tamper:
    """One change behind the product's back: a Redis command or an SQL statement, and what must be said."""

    name: str
    line: str
    command: tuple[str | int, ...] = ()
    statement: str = ""

    def __str__(self) -> str:
        return self.name


def _key(store: str, *parts: str) -> str:
    return ":".join((f"PREFIX{store}", "milk", *parts))


TAMPERS = [
    Tamper(
        "a balance that grew by itself",
        "milk app:bob: balance: redis 36, sql 35",
        ("HINCRBY", _key("member", "app:bob"), "points", 1),
    ),
    Tamper(
        "a balance that is no number",
        "milk app:bob: balance: redis -, sql 35",
        ("HSET", _key("member", "app:bob"), "points", "many"),
    ),
    Tamper(
        "a member whom Redis has forgotten",
        "milk app:bob: balance: redis 0, sql 35",
        ("DEL", _key("member", "app:bob")),
    ),
    Tamper(
        "a member whom only Redis knows",
        "milk app:ghost: balance: redis 5, sql 0",
        ("HSET", _key("member", "app:ghost"), "points", 5),
    ),
    Tamper(
        "a wrong place in the ranking of all time",
        "milk app:cyd: ranking all: redis 11, sql 10",
        ("ZINCRBY", _key("board", "all"), 1, "app:cyd"),
    ),
    Tamper(
        "a wrong place in the ranking of a past day",
        "milk app:cyd: ranking day 2026-05-14: redis 0, sql 10",
        ("ZREM", _key("board", "day", "2026-05-14"), "app:cyd"),
    ),
    Tamper(
        "a wrong place in the ranking of a week",
        "milk app:cyd: ranking week 2026-W20: redis 11, sql 10",
        ("ZINCRBY", _key("board", "week", "2026-W20"), 1, "app:cyd"),
    ),
    Tamper(
        "a wrong place in the ranking of a month",
        "milk app:ana: ranking month 2026-04: redis 0, sql 10",
        ("DEL", _key("board", "month", "2026-04")),
    ),
    Tamper(
        "somebody in a ranking whom nobody knows",
        "milk app:ghost: ranking day 2026-05-20: redis 9, sql 0",
        ("ZADD", _key("board", "day", "2026-05-20"), 9, "app:ghost"),
    ),
    Tamper(
        "a check-in that Redis has forgotten",
        "milk app:cyd: check-in of 2026-05-14: redis 0, sql 1",
        ("DEL", _key("check_in", "app:cyd")),
    ),
    Tamper(
        "a wrong number of check-ins",
        "milk app:ana: check-ins: redis 7, sql 6",
        ("HINCRBY", _key("check_in", "app:ana"), "total", 1),
    ),
    Tamper(
        "a make-up card that Redis has forgotten",
        "milk app:ana: make-up cards of 2026-05: redis 0, sql 1",
        ("HDEL", _key("check_in", "app:ana"), "u202605"),
    ),
    Tamper(
        "counters that Redis has forgotten",
        "milk app:cyd: messages of 2026-05-14: redis 0, sql 1",
        ("DEL", _key("day", "-", "app:cyd", "2026-05-14")),
    ),
    Tamper(
        "counters of a group that grew by themselves",
        "milk app:ana: messages of 2026-05-20 in group wr1: redis 3, sql 1",
        ("HSET", _key("day", "wr1", "app:ana", "2026-05-20"), "messages", 3),
    ),
    Tamper(
        "a delivery that nobody will send",
        "milk: queued delivery d1: redis 0, sql 1",
        ("DEL", "PREFIXdelivery:d1"),
    ),
    Tamper(
        "a ledger entry that was deleted",
        "milk app:dan: balance: redis 0, sql -7",
        statement="DELETE FROM ledger WHERE member = 'app:dan' AND delta = 7",
    ),
    Tamper(
        "a check-in that was deleted from history",
        "milk app:cyd: check-in of 2026-05-14: redis 1, sql 0",
        statement="DELETE FROM check_ins WHERE member = 'app:cyd'",
    ),
    Tamper(
        "activity that was changed in history",
        "milk app:cyd: check_ins of 2026-05-14: redis 1, sql 4",
        statement="UPDATE activity SET check_ins = 4 WHERE member = 'app:cyd'",
    ),
]


@pytest.mark.parametrize("tamper", TAMPERS, ids=str)
async def test_what_was_changed_behind_our_back_is_listed_and_cured(scene: Scene, tamper: Tamper) -> None:
    live = scene.live
    await _live_a_while(live)
    await scene.drain.flush_all()
    if tamper.statement:
        await scene.alter(tamper.statement)
    else:
        prefix = live.keys.prefix("milk")
        await live.redis.call(*(str(part).replace("PREFIX", prefix) for part in tamper.command))
    lines = [str(found) for found in await scene.verify()]
    assert any(line.startswith(tamper.line) for line in lines), lines
    assert all("run.py rebuild" in line for line in lines)
    await scene.rebuild()
    left = [str(found) for found in await scene.verify()]
    # What Redis counted and history does not know stays: the greater figure is the truth.
    assert left == ([] if tamper.name != "counters of a group that grew by themselves" else lines)


async def test_an_entry_that_was_made_twice_by_one_cause_is_listed(scene: Scene) -> None:
    await scene.live.grant("app:ana", 5, cause="api:7")
    await scene.drain.flush_all()
    await scene.alter(
        "INSERT INTO ledger (id, community, member, delta, reason, cause, at_ms, day, balance_after, rule, "
        "operator, note, round, reverses, position) SELECT '99-1-0', community, member, delta, reason, "
        "cause, at_ms, day, balance_after, rule, operator, note, round, reverses, 1 FROM ledger"
    )
    lines = [str(found) for found in await scene.verify()]
    assert any(
        line.startswith("milk app:ana: ledger entries for grant of cause api:7: redis -, sql 2")
        for line in lines
    )


async def test_two_milestones_of_one_check_in_are_no_duplicate(scene: Scene) -> None:
    for back in (7, 6, 4, 3, 2, 1, 5):
        await scene.live.check_in(event(day=day(back)))
    assert await scene.verify() == []


async def test_an_entry_that_could_not_be_drained_is_listed(scene: Scene) -> None:
    outbox = f"{scene.live.keys.prefix('milk')}outbox"
    await scene.live.redis.call("XADD", outbox, "*", "kind", "lottery")
    [found] = await scene.verify()
    assert "could not be drained (kind: unknown)" in str(found)


async def test_entries_in_a_shard_that_no_longer_exists_are_listed(scene: Scene) -> None:
    await scene.live.redis.call("XADD", "hq:{s77}:outbox", "*", "kind", "ledger")
    [found] = await scene.verify()
    assert str(found) == (
        "-: entries waiting in hq:{s77}:outbox, outside storage.shards: redis 1, sql - "
        "(run.py rebuild drains them)"
    )


async def test_nothing_disagrees_while_members_act_all_the_time(scene: Scene) -> None:
    live, stop = scene.live, asyncio.Event()

    async def act(user_id: str) -> None:
        back = 0
        while not stop.is_set():
            happened = event(user_id, day=day(back % 30))
            await live.inbox.take(live.ticket(happened), NOW_MS)
            await live.check_in(happened)
            await live.grant(f"app:{user_id}", 1)
            await asyncio.sleep(0.02)
            back += 1

    acting = [asyncio.create_task(act(f"u{number}")) for number in range(8)]
    try:
        for _ in range(3):
            assert await scene.verify() == []
    finally:
        stop.set()
        await asyncio.gather(*acting)


async def test_the_list_ends_at_its_limit(scene: Scene) -> None:
    live = scene.live
    await at_once(live.grant(f"app:u{number}", 1) for number in range(50))
    await scene.lose_memory()
    assert len(await scene.verify(most=20)) == 20


async def test_more_members_than_one_chunk_are_all_compared(scene: Scene) -> None:
    live = scene.live
    await at_once(live.grant(f"app:u{number}", 1) for number in range(1203))
    assert await scene.verify() == []
    await live.redis.call("HINCRBY", live.keys.key("member", "milk", "app:u1100"), "points", 1)
    assert [found.member for found in await scene.verify()] == ["app:u1100"]


async def test_keys_of_other_programs_and_other_communities_are_left_alone(scene: Scene) -> None:
    await scene.live.redis.call("HSET", "hq:{s00}:member:nobody:app:x", "points", 5)
    await scene.live.redis.call("HSET", "other:member:milk:app:x", "points", 5)
    assert await scene.verify() == []


def test_kept_rankings_are_those_whose_every_entry_is_still_there(live: Live) -> None:
    boards = kept_boards(live.keys, "milk", live.calendar, NOW_MS)
    names = [board.name for board in boards]
    assert len(names) == len(set(names))
    assert names[0] == "all"
    days = [board for board in boards if board.name.startswith("day")]
    assert max(board.first for board in days).toordinal() == TODAY.toordinal() + 1
    assert 30 <= len(days) <= 36
    for board in boards[1:]:
        assert (board.first - TODAY).days * -86_400_000 < board.keep_ms
    assert calendar_key(live.keys, "milk", "app:ana").endswith(":check_in:milk:app:ana")
