"""Whatever is begun, played, repeated and ended in whatever order: every point is somewhere, once.

Moves come also late, again, from outsiders and after the end. What each game must keep (one winner, one move
a member, nothing below zero) is asked of the rounds as the store has them; what all must keep is asked of the
books.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.model import Community, Event, TextMessage
from bot.rounds.life import Played, RoundLife
from bot.rounds.orders import Order, Started
from bot.rounds.play import IllegalPlayError
from bot.storage.redis.inbox import Ticket, place_of
from bot.storage.redis.rounds import MoveWord, Round
from bot.storage.sql.database import Database
from bot.storage.sql.tables import metadata
from bot.storage.verify import verify
from bot.testing import FakeChat, Stores
from run import ROUTERS
from tests.conftest import empty_redis
from tests.handlers.scenes import COMMUNITY

T = TypeVar("T")
MEMBERS = ("ana", "bob", "cyd", "dan")
GROUPS = ("g1", "g2", "")
START_POINTS = 60
BUDGET = 400
GAMES = {
    "games": {
        "budget_per_day": BUDGET,
        "stakes": True,
        "staked_per_day": 45,
        "own": {
            "red_packet": {"most_open": 2, "life_s": 60, "plays_per_day": 4},
            "dice_point": {"most_open": 1, "life_s": 60, "cool_down_s": 5},
            "dice_size": {"most_open": 1, "life_s": 30, "cool_down_s": 0},
            "dice_sum": {"most_open": 1, "life_s": 30, "cool_down_s": 0},
            "dice_compare": {"most_open": 1, "life_s": 30, "cool_down_s": 0},
        },
    }
}
PACKETS = st.fixed_dictionaries(
    {"total": st.integers(3, 40), "shares": st.integers(1, 3)},
    optional={
        "best": st.integers(0, 9),
        "split": st.sampled_from(["random", "equal"]),
        "lucky_prize": st.integers(0, 9),
    },
)
WISHES = st.one_of(
    st.tuples(st.just("red_packet"), PACKETS),
    st.tuples(
        st.just("dice_point"),
        st.fixed_dictionaries({"prize": st.integers(1, 30), "point": st.integers(1, 6)}),
    ),
    st.tuples(
        st.just("dice_size"),
        st.fixed_dictionaries(
            {
                "prize": st.integers(0, 30),
                "stake_most": st.just(20),
                "triples": st.sampled_from(["count", "lose"]),
            }
        ),
    ),
    st.tuples(
        st.just("dice_sum"), st.fixed_dictionaries({"prize": st.integers(0, 30), "stake_most": st.just(5)})
    ),
    st.tuples(
        st.just("dice_compare"),
        st.fixed_dictionaries({"prize": st.integers(0, 30), "entry": st.integers(0, 12)}),
    ),
)
SAYINGS = {
    "red_packet": st.just("grab"),
    "dice_point": st.just("roll"),
    "dice_size": st.sampled_from(["big", "small", "odd", "even", "middle"]),
    "dice_sum": st.integers(2, 19).map(str),
    "dice_compare": st.just("join"),
}


@dataclass(frozen=True)
class Made:
    """A move that was tried, and what came of it."""

    event: Event
    round_id: str
    said: str
    stake: int
    play: Played | None  # None: it was no move


class RoundsMachine(RuleBasedStateMachine):
    """Acts at random on real stores."""

    stores: Stores

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.rounds: dict[str, tuple[Started, str]] = {}  # id → it, and its group
        self.ended: dict[str, Round] = {}
        self.made: list[Made] = []
        self.orders: list[Order] = []
        empty_redis(self.stores.redis_url)
        self.do(self._open())

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(act)

    async def _open(self) -> None:
        database = await Database.open(self.stores.database_url)
        async with database.write() as connection:
            for table in metadata.sorted_tables:
                await connection.execute(table.delete())
        await database.close()
        self.chat = FakeChat(ROUTERS, managers=["ana"], community=GAMES, stores=self.stores)
        await self.chat.__aenter__()
        seeds = itertools.count()
        self.life.orders.new_seed = lambda: next(seeds).to_bytes(32, "big")
        for who in MEMBERS:
            await self.chat.say("ana", f"加分 bot:{who} {START_POINTS}", group="g1")
            await self.chat.say(who, "签到", group="g1")
            await self.chat.say("ana", f"加分 {who} {START_POINTS}", group="g1")
        self.granted = sum(await self._balances())

    @property
    def life(self) -> RoundLife:
        return self.chat.service.parts.life

    async def _balances(self) -> list[int]:
        points = self.chat.service.parts.stores.points
        return [await points.balance(COMMUNITY, f"bot:{who}") for who in MEMBERS]

    def ticket(self, event_: Event) -> Ticket:
        parts = self.chat.service.parts
        return parts.case(parts.platforms[event_.channel], event_, self.chat.clock.now_ms()).ticket

    @property
    def community(self) -> Community:
        found = self.chat.service.parts.communities.get(COMMUNITY)
        assert found is not None
        return found

    # ------------------------------------------------------------ acts

    @rule(wish=WISHES, group=st.sampled_from(GROUPS), own=st.booleans())
    def begin(self, wish: tuple[str, dict[str, object]], group: str, own: bool) -> None:  # noqa: FBT001
        game, given = wish
        happened = self.chat.event("ana", TextMessage("开局"), group=group, channel="bot")
        day = self.ticket(happened).day
        order = Order(
            community=self.community,
            game=game,
            place=place_of(happened),
            given=given,
            cause=happened.id,
            host="bot:ana",
            now_ms=self.chat.clock.now_ms(),
            day=day,
            channel="bot",
            user_id="ana",
            group_id=group,
            payer="bot:ana" if own and game in {"red_packet", "dice_point"} else "",
        )
        self.orders.append(order)
        self._begin(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def begin_again(self, data: st.DataObject) -> None:
        self._begin(data.draw(st.sampled_from(self.orders)))

    def _begin(self, order: Order) -> None:
        started = self.do(self.life.start(order))
        if started.opened.refused is None:
            known = self.rounds.setdefault(started.round.id, (started, order.group_id))
            assert started.round.commitment == known[0].round.commitment
            event(f"begun: {order.game}")

    @precondition(lambda self: self.rounds)
    @rule(
        data=st.data(),
        who=st.sampled_from([*MEMBERS, "stranger"]),
        stake=st.sampled_from([0, 0, 3, 5, 12, 20]),
    )
    def play(self, data: st.DataObject, who: str, stake: int) -> None:
        round_id = data.draw(st.sampled_from(sorted(self.rounds)))
        started, group = self.rounds[round_id]
        said = data.draw(SAYINGS[started.round.game])
        if started.round.game in {"red_packet", "dice_point"}:
            stake = 0
        happened = self.chat.event(who, TextMessage(said), group=group, channel="bot")
        self._play(Made(happened, round_id, said, stake, None))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def play_again(self, data: st.DataObject) -> None:
        """An event comes again, perhaps days late: what it did is told again, and nothing else happens."""
        made = data.draw(st.sampled_from(self.made))
        before = self.do(self._balances())
        again = self._try(made)
        if made.play is not None and made.play.received:
            assert again is not None
            assert again.word is MoveWord.AGAIN
            assert replace(again, word=made.play.word, ended=None, left=0) == replace(
                made.play, ended=None, left=0
            )
            if made.play.ended is None:
                assert self.do(self._balances()) == before

    def _play(self, made: Made) -> None:
        play = self._try(made)
        if play is not None:
            event(f"{self.rounds[made.round_id][0].round.game}: {play.word}")
        self.made.append(replace(made, play=play))

    def _try(self, made: Made) -> Played | None:
        now_ms = self.chat.clock.now_ms()
        ticket = self.ticket(made.event)
        try:
            if made.said == "grab":
                return self.do(self.life.take(self.community, made.round_id, ticket, now_ms))
            return self.do(
                self.life.move(self.community, made.round_id, ticket, made.said, made.stake, now_ms)
            )
        except IllegalPlayError:
            return None

    @rule(seconds=st.sampled_from([1, 6, 20, 45]))
    def wait(self, seconds: int) -> None:
        self.chat.pass_time(timedelta(seconds=seconds))

    @rule()
    def sweep(self) -> None:
        self.do(self.chat.sweep())

    @precondition(lambda self: self.rounds)
    @rule(data=st.data(), why=st.sampled_from(["stopped", "cancelled", "time"]))
    def end(self, data: st.DataObject, why: str) -> None:
        round_id = data.draw(st.sampled_from(sorted(self.rounds)))
        ended = self.do(self.life.end(self.community, round_id, why))
        assert ended is not None
        event(f"ended: {ended.round.state}")

    @rule()
    def another_process(self) -> None:
        """Whoever replays the moves finds the same."""
        self.life.replays.forget()  # as in a process that has seen nothing yet

    # ------------------------------------------------------------ what must hold

    @invariant()
    def the_books_are_right(self) -> None:
        self.do(self._check())

    async def _check(self) -> None:
        store = self.chat.service.parts.stores.rounds
        balances = await self._balances()
        stranger = await self.chat.service.parts.stores.points.balance(COMMUNITY, "bot:stranger")
        assert all(balance >= 0 for balance in balances), balances
        spent, moved = 0, 0
        for round_id in self.rounds:
            known = await store.get(COMMUNITY, round_id)
            assert known is not None
            moves = await store.moves(COMMUNITY, round_id)
            put_in = known.pot + known.staked + known.house
            assert known.staked == sum(move.stake for move in moves)
            assert known.paid + known.refund <= put_in
            if known.once:
                assert len({move.member for move in moves}) == len(moves)
            if not known.is_open:
                assert known.paid + known.refund == put_in
                assert self.ended.setdefault(round_id, known) == known, "an ended round changed"
            elif known.seats:
                assert known.paid == sum(known.seats[: len(moves)])
            else:
                assert known.paid == 0
            payer = known.pot if known.payer else 0
            moved += known.paid - known.staked - payer + (known.refund if known.payer else 0)
            spent += known.house + (0 if known.payer else known.pot - known.refund)
        assert sum(balances) + stranger == self.granted + moved
        assert await store.budget_spent(COMMUNITY, "2026-03-02") == spent <= BUDGET

    def teardown(self) -> None:
        try:
            self.do(self._finish())
        finally:
            self.runner.close()

    async def _finish(self) -> None:
        self.chat.pass_time(timedelta(seconds=3600))
        await self.chat.sweep()
        await self._check()
        store, service = self.chat.service.parts.stores.rounds, self.chat.service
        for round_id in self.rounds:
            known = await store.get(COMMUNITY, round_id)
            assert known is not None
            assert not known.is_open
            if known.game in {"dice_point", "dice_compare"} and known.end != "cancelled":
                ended = await self.life.told(self.community, round_id)
                assert ended is not None
                winners = {award.member for award in ended.telling.awards if award.why == "prize"}
                assert len(winners) <= 1
        await self.chat.service.drain.flush(COMMUNITY)
        found = await verify(
            service.redis, service.keys, service.database, service.drain,
            service.parts.communities, self.chat.clock,
        )  # fmt: skip
        assert found == []
        await self.chat.__aexit__(None, None, None)


def _run(stores: Stores, examples: int, steps: int) -> None:
    machine = type("Machine", (RoundsMachine,), {"stores": stores})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_point_is_somewhere_once(stores: Stores) -> None:
    _run(stores, examples=25, steps=40)


@pytest.mark.soak
def test_every_point_is_somewhere_once_for_long(stores: Stores) -> None:
    _run(stores, examples=400, steps=80)
