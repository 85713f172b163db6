"""Rounds of games in both stores: drained, restored in the middle, and every difference found."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from bot.rounds.orders import Order
from bot.rounds.play import IllegalPlayError
from bot.rounds.records import RoundRecords
from bot.storage.redis.rounds import MoveWord, Round, RoundState
from bot.storage.sql.rounds import KnownRound, RoundHistory, RoundSum
from tests.storage.live import event
from tests.storage.playing import BETS, PACKET, Playing
from tests.storage.scene import Scene

STORES = ("round", "round_moves", "round_marks", "round_players", "round_seats")


async def _history(scene: Scene, played: Round) -> KnownRound:
    await scene.drain.flush("milk")
    known = await RoundHistory(scene.database).get("milk", played.id)
    assert known is not None
    return known


async def _content(scene: Scene, played: Round) -> dict[str, Any]:
    """Return everything that Redis holds of a round and where it is found."""
    live = scene.live
    found: dict[str, Any] = {}
    for store in STORES:
        key = live.keys.key(store, "milk", played.id)
        kind = await live.redis.call("TYPE", key)
        if kind == b"list":
            found[store] = await live.redis.call("LRANGE", key, 0, -1)
        elif kind == b"hash":
            row = await live.redis.call("HGETALL", key)
            found[store] = dict(zip(row[::2], row[1::2], strict=True))
            found[store].pop(b"answer_to", None)  # what the platform gave: history does not have it
    found["listed"] = await live.redis.call("HGETALL", live.keys.key("rounds", "milk"))
    due = f"{live.keys.prefix('milk')}rounds_due"
    found["due"] = await live.redis.call("ZRANGE", due, 0, -1, "WITHSCORES")
    return found


async def _give(scene: Scene, *members: str) -> None:
    for member in members:
        await scene.live.grant(f"app:{member}", 100)


# -------------------------------------------------------------------- drained


async def test_history_knows_a_round_while_it_is_open_and_after_its_end(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "ana", "bob")
    played = await playing.start(BETS, prize=20, stake_most=50)
    await playing.bet(played, "ana", "big", 10)
    await playing.bet(played, "bob", "small", 7)
    known = await _history(scene, played)
    assert known.moves == 2
    assert (known.round.pot, known.round.staked, known.round.house) == (20, 17, 17)
    live = await playing.life.store.get("milk", played.id)
    assert known.round == live

    ended = await playing.end(played)
    known = await _history(scene, played)
    assert known == KnownRound(ended.round, 2)
    assert known.round == await playing.life.store.get("milk", played.id)
    assert await RoundHistory(scene.database).moves("milk", played.id) == await playing.life.store.moves(
        "milk", played.id
    )
    assert await scene.verify() == []


async def test_the_sums_of_the_ledger_are_by_member_and_reason(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "host")
    played = await playing.start(PACKET, payer="app:host", total=30, shares=3, split="equal", best=5)
    await playing.take(played, "ana")
    ended = await playing.end(played, "stopped")
    assert (ended.round.paid, ended.round.refund) == (15, 20)
    await scene.drain.flush("milk")
    assert await RoundHistory(scene.database).sums("milk", played.id) == (
        RoundSum("app:ana", "round_prize", "best_luck", 5),
        RoundSum("app:ana", "round_share", "", 10),
        RoundSum("app:host", "round_pay", "", -35),
        RoundSum("app:host", "round_refund", "", 20),
    )
    assert await scene.verify() == []


async def test_the_budget_holds_nothing_back_for_a_round_that_a_member_pays(scene: Scene) -> None:
    """What is not won would go to that member at the end."""
    playing = Playing.on(scene.live)
    await _give(scene, "host", "ana")
    played = await playing.start(BETS, payer="app:host", prize=10, stake_most=50)
    with pytest.raises(IllegalPlayError, match="stakes_off"):
        await playing.bet(played, "ana", "big", 50)
    assert (await playing.bet(played, "ana", "big")).word is MoveWord.DONE
    await playing.end(played)
    assert await scene.live.balance("host") + await scene.live.balance("ana") == 200
    assert await scene.verify() == []


# -------------------------------------------------------------------- restored


async def test_a_red_packet_goes_on_after_a_total_loss(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    played = await playing.start(PACKET, total=40, shares=3, best=6, member_days=2, checked_in=False)
    first, second = event("ana", group_id="g1"), event("bob", group_id="g1")
    taken = [await playing.take(played, happened) for happened in (first, second)]
    before = await _content(scene, played)
    await scene.lose_memory()
    assert [str(found) for found in await scene.verify() if found.what.startswith("round")] != []
    done = await scene.rebuild()
    assert (done.rounds, done.budgets, done.orders, done.busy) == (1, 1, 0, [])
    assert await _content(scene, played) == before
    assert await scene.verify() == []

    after = Playing.on(scene.live)  # as a process that has just been started
    again = [await after.take(played, happened) for happened in (first, second)]
    assert [(play.word, play.number, play.points, play.balance) for play in again] == [
        (MoveWord.AGAIN, play.number, play.points, play.balance) for play in taken
    ]
    assert (await after.take(played, "ana")).word is MoveWord.ALREADY
    last = await after.take(played, "cyd")
    assert last.ended is not None
    assert (last.ended.round.state, last.ended.round.paid, last.ended.round.refund) == (
        RoundState.CLOSED, 46, 0,
    )  # fmt: skip
    assert sum([await scene.live.balance(user_id) for user_id in ("ana", "bob", "cyd")]) == 46
    assert await after.spent() == 46
    assert await scene.verify() == []


async def test_bets_with_stakes_go_on_after_a_total_loss(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "ana", "bob", "cyd")
    played = await playing.start(BETS, prize=21, stake_most=50)
    mine = event("ana", group_id="g1")
    await playing.bet(played, mine, "big", 30)
    await playing.bet(played, "bob", "small", 4)
    before, spent = await _content(scene, played), await playing.spent()
    assert spent == 21 + 34
    await scene.lose_memory()
    assert (await scene.rebuild()).rounds == 1
    assert await _content(scene, played) == before
    assert await playing.spent() == spent

    after = Playing.on(scene.live)
    again = await after.bet(played, mine, "big", 30)
    assert (again.word, again.balance) == (MoveWord.AGAIN, 70)
    await after.bet(played, "cyd", "odd", 5)
    assert await scene.live.balance("ana") == 70
    ended = (await after.end(played)).round
    assert ended.pot + ended.staked + ended.house == ended.paid + ended.refund
    assert (ended.staked, ended.house) == (39, 39)
    points = [await scene.live.balance(user_id) for user_id in ("ana", "bob", "cyd")]
    assert sum(points) == 300 - 39 + ended.paid
    assert await after.spent() == ended.pot + ended.house - ended.refund
    assert await scene.verify() == []


async def test_conditions_of_entry_are_restored(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    played = await playing.start(PACKET, total=10, shares=2, checked_in=True)
    await scene.lose_memory()
    await scene.rebuild()
    refused = await playing.take(played, "ana")
    assert (refused.word, refused.why) == (MoveWord.REFUSED, "check_in")


async def test_a_budget_that_is_used_already_and_rounds_that_stand_well_stay_as_they_are(
    scene: Scene,
) -> None:
    playing = Playing.on(scene.live)
    played = await playing.start(PACKET, total=10, shares=2)
    await playing.take(played, "ana")
    await scene.live.redis.call("HSET", scene.live.keys.key("round", "milk", played.id), "answer_to", "x")
    done = await scene.rebuild()
    assert (done.rounds, done.budgets) == (0, 0)
    live = await playing.life.store.get("milk", played.id)
    assert live is not None
    assert (live.answer_to, live.paid) == ("x", 10 - live.seats[1])
    assert await playing.spent() == 10


async def test_what_rounds_changed_is_not_taken_for_an_order_of_points(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "ana")
    played = await playing.start(BETS, prize=5, stake_most=5)
    await playing.bet(played, "ana", "big", 5)
    await playing.end(played)
    await scene.lose_memory()
    done = await scene.rebuild()
    assert (done.orders, done.rounds) == (1, 0)
    assert await scene.verify() == []


async def test_a_round_that_only_an_old_copy_of_redis_thinks_open_is_taken_away(scene: Scene) -> None:
    """Else the sweeper would end it a second time, and pay its awards again."""
    playing, live = Playing.on(scene.live), scene.live
    await _give(scene, "ana")
    played = await playing.start(BETS, prize=5, stake_most=5)
    await playing.bet(played, "ana", "big", 5)
    names = [live.keys.key(store, "milk", played.id) for store in STORES]
    names += [live.keys.key("rounds", "milk"), f"{live.keys.prefix('milk')}rounds_due"]
    dumps = {name: await live.redis.call("DUMP", name) for name in names}
    await playing.end(played)
    await scene.drain.flush_all()
    balance = await live.balance()
    for name, dump in dumps.items():
        if dump is not None:
            await live.redis.call("RESTORE", name, 0, dump, "REPLACE")

    lines = [str(found) for found in await scene.verify()]
    assert any(line.startswith(f"milk: round {played.id}: open: redis 1, sql 0") for line in lines), lines
    assert (await scene.rebuild()).rounds == 1
    assert await scene.verify() == []
    assert await playing.life.store.due(playing.clock.now_ms(), playing.clock.now_ms()) == []
    assert await Playing.on(live).life.end(live.community, played.id, "time") is None
    assert await live.balance() == balance


async def test_nothing_disagrees_and_nothing_is_lost_while_members_play_and_a_rebuild_runs(
    scene: Scene,
) -> None:
    playing = Playing.on(scene.live)
    played = await playing.start(PACKET, total=400, shares=200)
    stop, took = asyncio.Event(), 0

    async def grab() -> None:
        nonlocal took
        while not stop.is_set() and took < 190:
            took += 1
            assert (await playing.take(played, f"u{took}")).word is MoveWord.DONE
            await asyncio.sleep(0.06)

    grabbing = asyncio.create_task(grab())
    try:
        key = scene.live.keys.key("round", "milk", played.id)
        for _ in range(3):
            await scene.live.redis.call("HINCRBY", key, "staked", 1)
            assert (await scene.rebuild()).busy == []
            assert await scene.verify() == []
    finally:
        stop.set()
        await grabbing
    assert await scene.verify() == []
    assert (await _history(scene, played)).moves == took


async def test_a_process_that_saw_moves_which_redis_has_lost_plays_on_with_those_that_are_left(
    scene: Scene,
) -> None:
    """A Redis that does not write every move at once may come back without the last ones."""
    playing = Playing.on(scene.live)
    played = await playing.start(BETS, prize=21)
    await playing.bet(played, "ana", "big")
    lost = event("bob", group_id="g1")
    await playing.bet(played, lost, "small")
    await scene.lose_memory()
    await scene.alter("DELETE FROM round_moves WHERE number = 1")
    await scene.rebuild()
    assert (await playing.bet(played, "cyd", "odd")).number == 1
    again = await playing.bet(played, lost, "small")
    assert (again.word, again.number) == (MoveWord.DONE, 2)
    ended = await playing.end(played)
    assert [move.member for move in ended.telling.moves] == ["app:ana", "app:cyd", "app:bob"]
    assert await scene.verify() == []
    records = RoundRecords(playing.life.store, RoundHistory(scene.database), scene.drain, playing.life.games)
    proof = await records.proof("milk", played.id)
    assert proof is not None
    assert proof.problems == ()


async def test_a_round_that_redis_has_lost_is_not_ended_by_who_remembers_it(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    played = await playing.start(BETS, prize=21)
    await playing.bet(played, "ana", "big")
    await scene.lose_memory()
    assert await playing.life.end(scene.live.community, played.id, "time") is None
    assert (await playing.bet(played, "bob", "small")).word is MoveWord.OVER


# -------------------------------------------------------------------- found


@dataclass(frozen=True)
class Planted:
    """A difference in an open round, and the line that tells of it."""

    line: str
    command: tuple[Any, ...] = ()
    statement: str = ""

    def __str__(self) -> str:
        return self.line


PLANTED = [
    Planted("moves: redis 3, sql 2", ("RPUSH", "round_moves", '["app:x","1","big","0","e"]')),
    Planted("moves: redis 2, sql 1", statement="DELETE FROM round_moves WHERE number = 1"),
    Planted("paid: redis 4, sql 0", ("HSET", "round", "paid", 4)),
    Planted("staked: redis 9, sql 7", ("HSET", "round", "staked", 9)),
    Planted("house: redis -, sql 7", ("HSET", "round", "house", "many")),
    Planted("pot: redis 20, sql 21", statement="UPDATE rounds SET pot = 21"),
    Planted("open: redis 0, sql 1", ("HSET", "round", "state", "closed")),
    Planted("open: redis 0, sql 1", ("DEL", "round")),
    Planted(
        "open: redis 1, sql 0",
        statement="UPDATE rounds SET state = 'cancelled', moves = 2, staked = 7, house = 7, refund = 34",
    ),
    Planted("open: redis 1, sql 0", statement="DELETE FROM rounds"),
    Planted("listed where it is played: redis 0, sql 1", ("DEL", "rounds")),
    Planted("due at its end: redis 0, sql 1", ("DEL", "rounds_due")),
]


@pytest.mark.parametrize("planted", PLANTED, ids=str)
async def test_a_difference_in_an_open_round_is_listed_and_cured(scene: Scene, planted: Planted) -> None:
    playing, live = Playing.on(scene.live), scene.live
    await _give(scene, "ana", "bob")
    played = await playing.start(BETS, prize=20, stake_most=50)
    await playing.bet(played, "ana", "big", 7)
    await playing.bet(played, "bob", "small")
    assert await scene.verify() == []
    if planted.statement:
        await scene.alter(planted.statement)
    else:
        act, store, *rest = planted.command
        key = {
            "rounds": live.keys.key("rounds", "milk"),
            "rounds_due": f"{live.keys.prefix('milk')}rounds_due",
        }.get(store, live.keys.key(store, "milk", played.id))
        await live.redis.call(act, key, *rest)

    lines = [str(found) for found in await scene.verify()]
    told = f"milk: round {played.id}: {planted.line} (run.py rebuild"
    assert any(line.startswith(told) for line in lines), lines
    await scene.rebuild()
    left = [str(found) for found in await scene.verify() if "rebuild" in found.cure]
    assert left == []


ENDED = [
    ("UPDATE rounds SET refund = refund + 1", "paid and given back, where 34 were put in: redis -, sql 35"),
    ("UPDATE rounds SET moves = 9", "moves, where it had 9 at its end: redis -, sql 2"),
    (
        "DELETE FROM round_moves WHERE number = 0",
        "moves, where it had 2 at its end: redis -, sql 1",
    ),
    (
        "UPDATE round_moves SET stake = 8 WHERE number = 0",
        "points staked by its moves, where it had 7: redis -, sql 8",
    ),
    (
        "UPDATE round_moves SET house = 6 WHERE number = 0",
        "points held back for its moves, where it had 7: redis -, sql 6",
    ),
    (
        "UPDATE ledger SET delta = delta + 3 WHERE reason = 'round_prize'",
        "points given by the ledger, where it paid 20: redis -, sql 23",
    ),
    (
        "UPDATE ledger SET delta = -9 WHERE reason = 'round_stake'",
        "points staked by the ledger, where it had 7: redis -, sql 9",
    ),
    (
        "UPDATE ledger SET reason = 'round_pay' WHERE reason = 'round_stake'",
        "points of who paid by the ledger, where it used 0: redis -, sql 7",
    ),
    ("DELETE FROM rounds", "has ledger entries or moves, but history does not know it: redis -, sql 1"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "line"), ENDED, ids=[line for _, line in ENDED])
async def test_a_difference_in_an_ended_round_is_listed(scene: Scene, statement: str, line: str) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "ana")
    played = await playing.start(BETS, prize=20, stake_most=50)
    await playing.bet(played, "ana", "small", 7)
    await playing.bet(played, "bob", "big")
    assert (await playing.end(played)).round.paid == 20  # as the seed falls: the stake is lost
    assert await scene.verify() == []
    await scene.alter(statement)
    lines = [str(found) for found in await scene.verify()]
    assert any(one.startswith(f"milk: round {played.id}: {line} (") for one in lines), lines


async def test_one_event_in_two_rounds_is_no_duplicate(scene: Scene) -> None:
    playing = Playing.on(scene.live)
    await _give(scene, "ana")
    happened = event("ana", group_id="g1")
    for cause in ("api:1", "api:2"):
        order: Order = playing.order(BETS, cause=cause, prize=0, stake_most=5)
        order = Order(**{**{name: getattr(order, name) for name in Order.__slots__}, "place": f"app:{cause}"})
        started = await playing.life.start(order)
        assert (await playing.bet(started.round, happened, "big", 5)).word is MoveWord.DONE
    assert await scene.verify() == []
