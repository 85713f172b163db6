from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from bot.background import Background
from bot.errors import StoreError, StoreUnavailableError
from bot.storage.drain import Drain
from bot.storage.drain_batch import BATCH
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.keys import Keys
from bot.storage.redis.script_all import ScriptCall, script_all
from bot.storage.slices import SLICE
from bot.storage.sql.database import Database
from bot.storage.sql.drained import read_faults, write_drained
from bot.storage.sql.entries import DrainedEntry
from tests.conftest import TEST_DATABASE
from tests.storage.live import NOW_MS, TODAY, Live, at_once, day, event
from tests.storage.scene import Scene, equals, until

# -------------------------------------------------------------------- once


async def test_everything_that_happened_is_in_history_and_no_longer_in_the_outbox(scene: Scene) -> None:
    live = scene.live
    for back in (3, 2, 1):
        await live.check_in(event(day=day(back)))
    await live.inbox.take(live.ticket(event()), NOW_MS)
    await scene.drain.flush("milk")
    assert await scene.drain.backlog() == 0
    assert await scene.balance_by_ledger() == await live.balance() == 40
    assert (await scene.count("ledger"), await scene.count("check_ins")) == (4, 3)
    assert await scene.messages() == {"app:ana": 1}


async def test_a_batch_that_was_written_but_not_deleted_is_written_again_without_effect(
    scene: Scene,
) -> None:
    """The process died between the transaction and the deletion."""
    live = scene.live
    await live.grant("app:ana", 5)
    await live.check_in(event())
    shard = live.keys.shard("milk")
    rows = await live.redis.call("XRANGE", live.keys.of_shard(shard, "outbox"), "-", "+")
    written = []
    for stream_id, fields in rows:
        texts = [value.decode() for value in fields]
        values = dict(zip(texts[::2], texts[1::2], strict=True))
        written.append(DrainedEntry(f"{shard:02d}-{stream_id.decode()}", values.pop("kind"), values))
    await write_drained(scene.database, written, [])
    await scene.drain.flush_all()
    assert await scene.balance_by_ledger() == 15
    assert (await scene.count("ledger"), await scene.count("check_ins")) == (2, 1)


@pytest.mark.parametrize("seed", range(8))
async def test_a_drain_that_dies_anywhere_loses_nothing_and_repeats_nothing(scene: Scene, seed: int) -> None:
    """Cancelled after a random number of turns of the loop, again and again, while members act."""
    chance = random.Random(seed)
    expected = 0
    for number in range(12):
        for _ in range(chance.randrange(4)):
            await scene.live.grant("app:ana", 1)
            await scene.live.inbox.take(scene.live.ticket(event()), NOW_MS)
            expected += 1
        dying = asyncio.create_task(Drain(scene.live.redis, scene.live.keys, scene.database).flush("milk"))
        for _ in range(chance.randrange(40) if number else 0):
            await asyncio.sleep(0)
        dying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dying
    await scene.drain.flush("milk")
    assert await scene.balance_by_ledger() == expected
    assert await scene.messages() == ({"app:ana": expected} if expected else {})


async def test_drains_of_several_processes_at_once_write_everything_once(
    processes: list[Live], scene: Scene
) -> None:
    drains = [Drain(live.redis, live.keys, scene.database) for live in processes]
    acts = [processes[number % 4].grant(f"app:u{number % 7}", 1) for number in range(300)]
    messages = [
        live.inbox.take(live.ticket(event(f"u{number % 7}")), NOW_MS)
        for number, live in ((number, processes[number % 4]) for number in range(300))
    ]
    await asyncio.gather(*acts, *messages, *(drain.flush_all() for drain in drains for _ in range(3)))
    await scene.drain.flush_all()
    assert await scene.count("ledger") == 300
    assert sum((await scene.messages()).values()) == 300
    assert await scene.drain.backlog() == 0


# -------------------------------------------------------------------- flush


async def test_a_flush_writes_all_that_had_happened_when_it_was_asked_for(scene: Scene) -> None:
    """More than one batch, of entries and of counters."""
    count = 2 * BATCH + 10
    live = scene.live
    await at_once(live.grant(f"app:u{number}", 1) for number in range(count))
    await at_once(live.inbox.take(live.ticket(event(f"u{number}")), NOW_MS) for number in range(count))
    await scene.drain.flush("milk")
    assert await scene.count("ledger") == count
    assert len(await scene.messages()) == count
    assert await live.redis.call("SCARD", f"{live.keys.prefix('milk')}unwritten") == 0


async def test_callbacks_get_their_turn_at_redis_while_many_counters_are_drained(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one round trip holds is what a callback has to wait for."""
    live, sizes = scene.live, []

    async def note(redis: RedisClient, name: str, calls: Sequence[ScriptCall]) -> list[Any]:
        sizes.append(len(calls))
        return await script_all(redis, name, calls)

    monkeypatch.setattr("bot.storage.drain.script_all", note)
    await at_once(live.inbox.take(live.ticket(event(f"u{number}")), NOW_MS) for number in range(300))
    await scene.drain.flush("milk")
    assert sum(sizes) == 300
    assert max(sizes) <= SLICE


async def test_a_flush_ends_although_members_never_stop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time a batch is written, as much again has happened."""
    live, writes = scene.live, 0

    async def write_while_members_act(*args: Any) -> int:
        nonlocal writes
        writes += 1
        await at_once(live.grant(f"app:u{number}", 1) for number in range(BATCH))
        return await write_drained(*args)

    monkeypatch.setattr("bot.storage.drain.write_drained", write_while_members_act)
    await live.grant("app:ana", 1)
    await at_once(live.grant(f"app:u{number}", 1) for number in range(BATCH - 1))
    async with asyncio.timeout(10):
        await scene.drain.flush("milk")
    assert await scene.balance_by_ledger() == 1
    assert writes <= 2


async def test_what_happens_while_a_flush_writes_is_left_to_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = scene.live
    second: list[asyncio.Task[None]] = []

    async def write_while_another_asks(*args: Any) -> int:
        if not second:
            await live.grant("app:ana", 1)
            second.append(asyncio.create_task(scene.drain.flush("milk")))
            await asyncio.sleep(0.01)
        return await write_drained(*args)

    monkeypatch.setattr("bot.storage.drain.write_drained", write_while_another_asks)
    await live.grant("app:ana", 1)
    await scene.drain.flush("milk")
    await second[0]
    assert await scene.balance_by_ledger() == 2


async def test_who_asks_while_a_flush_runs_sees_what_happened_before_they_asked(scene: Scene) -> None:
    async def act_and_look(number: int) -> None:
        member = f"app:u{number}"
        await scene.live.grant(member, 1)
        await scene.drain.flush("milk")
        assert await scene.balance_by_ledger(member) == 1

    await at_once(act_and_look(number) for number in range(60))


async def test_a_cancelled_flush_does_not_fail_the_others_who_wait_for_it(scene: Scene) -> None:
    await scene.live.grant("app:ana", 1)
    waiting = [asyncio.create_task(scene.drain.flush("milk")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert await scene.balance_by_ledger() == 1


# -------------------------------------------------------------------- in the background


async def test_the_background_drains_every_shard_and_a_last_time_at_the_end(scene: Scene) -> None:
    live, stop = scene.live, asyncio.Event()
    running = asyncio.create_task(scene.drain.run(stop))
    for shard in range(live.keys.shards):
        await _add(live, shard, member=f"app:s{shard}")
    await until(lambda: equals(scene.count("ledger"), live.keys.shards))
    await live.grant("app:ana", 1)
    stop.set()
    await running
    assert await scene.count("ledger") == live.keys.shards + 1


async def test_of_several_processes_one_drains_and_another_takes_over(
    processes: list[Live], scene: Scene
) -> None:
    drained: list[int] = []

    async def who_drains() -> int:
        """Have something drained; whoever does it says so a moment after the backlog is gone."""
        before = len(drained)

        async def is_told() -> bool:
            return len(drained) > before and await scene.drain.backlog() == 0

        await scene.live.grant("app:ana", 1)
        await until(is_told)
        return drained[-1]

    stops = [asyncio.Event(), asyncio.Event()]
    running = []
    for number, stop in enumerate(stops):
        drain = Drain(
            processes[number].redis, processes[number].keys, scene.database,
            on_drained=lambda count, who=number: drained.extend([who] * count),  # type: ignore[misc]
        )  # fmt: skip
        running.append(asyncio.create_task(drain.run(stop)))
        holder = await who_drains()
    assert set(drained) == {holder}
    stops[holder].set()
    await running[holder]
    assert await who_drains() == 1 - holder
    stops[1 - holder].set()
    await asyncio.gather(*running)


async def test_a_backlog_of_many_shards_is_written_in_transactions_of_bounded_size(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def counted(database: Database, entries: list[DrainedEntry], activity: list[object]) -> int:
        sizes.append(len(entries))
        return await write_drained(database, entries, activity)  # type: ignore[arg-type]

    monkeypatch.setattr("bot.storage.drain.write_drained", counted)
    live = scene.live
    for shard in range(live.keys.shards):
        await at_once(_add(live, shard, member=f"app:u{number}") for number in range(BATCH + 1))
    stop = asyncio.Event()
    stop.set()
    await scene.drain.run(stop)
    assert await scene.drain.backlog() == 0
    assert sum(sizes) == live.keys.shards * (BATCH + 1)
    assert max(sizes) <= 2000
    assert len(sizes) <= 4


async def test_while_sql_is_away_entries_wait_and_then_arrive(scene: Scene) -> None:
    background = Background()
    background.start("drain", scene.drain.run)
    await scene.alter("ALTER TABLE ledger RENAME TO ledger_away")
    await scene.live.grant("app:ana", 5)
    with pytest.raises(StoreError):
        await scene.drain.flush("milk")
    assert await scene.drain.backlog() == 1
    await scene.alter("ALTER TABLE ledger_away RENAME TO ledger")
    await until(lambda: equals(scene.balance_by_ledger(), 5))
    await background.stop()
    assert await scene.count("drain_faults") == 0


async def test_while_redis_is_away_the_drain_waits(database_url: str, redis_url: str, keys: Keys) -> None:
    client = await connect(redis_url)
    database = await Database.open(database_url)
    live, drain = Live(client, keys), Drain(client, keys, database)
    await live.grant("app:ana", 5)
    background = Background()
    await _kill_connections(client)
    with contextlib.suppress(StoreUnavailableError):
        await drain.flush("milk")
    background.start("drain", drain.run)
    await until(lambda: _backlog_is(drain, 0))
    await background.stop()
    await client.close()
    await database.close()


# -------------------------------------------------------------------- what cannot be written


async def test_entries_that_cannot_be_read_are_kept_aside_and_the_others_go_on(scene: Scene) -> None:
    live = scene.live
    shard = live.keys.shard("milk")
    outbox = live.keys.of_shard(shard, "outbox")
    await live.grant("app:ana", 1)
    for fields in (
        ("kind", "lottery", "x", "1"),
        ("no", "kind"),
        ("kind", "ledger", "community", "milk"),
        ("kind", b"\xff\xfe", b"\x80", b"\x00"),
    ):
        await live.redis.call("XADD", outbox, "*", *fields)
    await _add(live, shard, delta="1e3")
    await live.grant("app:ana", 2)
    await scene.drain.flush("milk")
    assert await scene.balance_by_ledger() == 3
    assert await scene.drain.backlog() == 0
    faults = await read_faults(scene.database)
    assert [fault.problem for fault in faults] == [
        "kind: unknown",
        "kind: unknown",
        "delta: missing",
        "kind: unknown",
        "delta: not a whole number of 64 bits",
    ]
    assert json.loads(faults[0].raw) == {"kind": "lottery", "fields": {"x": "1"}}


async def test_counters_that_cannot_be_read_are_kept_aside_and_the_others_go_on(scene: Scene) -> None:
    live = scene.live
    prefix = live.keys.prefix("milk")
    for name, count in (
        ("nonsense", "1"),
        ("milk:-:app:ana:2026-13-40", "1"),
        ("milk:-:app:eve:2026-05-20", "many"),
    ):
        await live.redis.call("HSET", f"{prefix}day:{name}", "messages", count)
        await live.redis.call("SADD", f"{prefix}unwritten", name)
    await live.redis.call("SADD", f"{prefix}unwritten", b"\xff\xfe")
    await live.inbox.take(live.ticket(event()), NOW_MS)
    await scene.drain.flush("milk")
    assert await scene.messages() == {"app:ana": 1}
    faults = await read_faults(scene.database)
    kept = {json.loads(fault.raw)["fields"]["name"] for fault in faults}
    assert kept == {"nonsense", "milk:-:app:ana:2026-13-40", "\ufffd\ufffd", "milk:-:app:eve:2026-05-20"}
    assert await live.redis.call("SCARD", f"{prefix}unwritten") == 0


async def test_an_entry_that_sql_refuses_is_kept_aside_and_the_others_go_on(scene: Scene) -> None:
    """A batch is one transaction: the refused entry is searched for, the order stays."""
    await _refuse(scene, "app:bad")
    members = [f"app:u{number}" for number in range(40)]
    members[17] = "app:bad"
    for member in members:
        await scene.live.grant(member, 1)
    await scene.live.grant("app:u3", 1)
    await scene.drain.flush("milk")
    assert await scene.count("ledger") == 40
    assert await scene.balance_by_ledger("app:u3") == 2
    [fault] = await read_faults(scene.database)
    assert json.loads(fault.raw)["fields"]["member"] == "app:bad"
    assert "refused a statement" in fault.problem
    assert await scene.drain.backlog() == 0


async def test_counters_that_are_no_longer_kept_are_forgotten(scene: Scene) -> None:
    live = scene.live
    unwritten = f"{live.keys.prefix('milk')}unwritten"
    await live.redis.call("SADD", unwritten, "milk:-:app:ana:2026-05-20")
    await scene.drain.flush("milk")
    assert await live.redis.call("SCARD", unwritten) == 0
    assert await scene.messages() == {}


async def test_counters_that_move_while_they_are_written_stay_to_be_written_again(scene: Scene) -> None:
    live = scene.live
    name = f"milk:-:app:ana:{TODAY}"
    await live.inbox.take(live.ticket(event()), NOW_MS)
    keys = [f"{live.keys.prefix('milk')}unwritten", f"{live.keys.prefix('milk')}day:{name}"]
    await live.inbox.take(live.ticket(event()), NOW_MS)
    assert await live.redis.script("activity_written", keys, [name, "messages", 1]) == 0
    assert await live.redis.call("SISMEMBER", keys[0], name) == 1
    assert await live.redis.script("activity_written", keys, [name, "messages", 2]) == 1
    assert await live.redis.call("SISMEMBER", keys[0], name) == 0


# -------------------------------------------------------------------- helpers of this file


async def _backlog_is(drain: Drain, expected: int) -> bool:
    try:
        return await drain.backlog() == expected
    except StoreUnavailableError:
        return False


async def _add(live: Live, shard: int, **fields: str) -> None:
    entry = {
        "kind": "ledger", "community": "milk", "member": "app:ana", "delta": "1", "reason": "grant",
        "cause": "api:1", "at_ms": str(NOW_MS), "day": str(TODAY), "balance": "1", "rule": "",
        "operator": "", "note": "", "round": "", "reverses": "",
    } | fields  # fmt: skip
    flat = [part for pair in entry.items() for part in pair]
    await live.redis.call("XADD", live.keys.of_shard(shard, "outbox"), "*", *flat)


async def _refuse(scene: Scene, member: str) -> None:
    """Make the database refuse ledger entries of one member, as a broken rule of its own would."""
    assert re.fullmatch(r"[a-z:]+", member)
    if not TEST_DATABASE:
        await scene.alter(
            f"CREATE TRIGGER refuse BEFORE INSERT ON ledger WHEN NEW.member = '{member}' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        return
    await scene.alter(f"ALTER TABLE ledger ADD CONSTRAINT refuse CHECK (member <> '{member}')")


async def _kill_connections(client: RedisClient) -> None:
    with contextlib.suppress(StoreUnavailableError):
        await client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
