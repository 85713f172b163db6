"""Check-ins, make-up cards, orders, reversals and repeats against a model without bits and Lua."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bot.errors import RefusedError
from bot.storage.drain import Drain
from bot.storage.redis.check_ins import CardRefused, CheckedIn, MadeUp
from bot.storage.redis.client import connect
from bot.storage.redis.keys import Keys
from bot.storage.redis.points import Granted, Span
from bot.storage.sql.database import Database
from bot.storage.sql.tables import metadata
from tests.conftest import empty_redis
from tests.storage.live import RULES, TODAY, Live, day, event
from tests.storage.scene import Scene

USERS = ("ana", "bob", "cyd")
T = TypeVar("T")


@dataclass(slots=True)
class Member:
    """What a member must have: every change of points with its day, and every day checked in on."""

    entries: list[tuple[int, date]] = field(default_factory=list)
    days: dict[date, bool] = field(default_factory=dict)  # day → made up

    @property
    def balance(self) -> int:
        return sum(points for points, _ in self.entries)

    def run(self, on: date) -> list[date]:
        """Return the unbroken days around `on`."""
        first = last = on
        while first - timedelta(1) in self.days:
            first -= timedelta(1)
        while last + timedelta(1) in self.days:
            last += timedelta(1)
        return [first + timedelta(number) for number in range((last - first).days + 1)]

    def mark(self, on: date, *, made_up: bool) -> list[int]:
        """Mark a day; return the bonuses it earns: of runs that no part of the new run had reached."""
        parts = [len(self.run(near)) for near in (on - timedelta(1), on + timedelta(1)) if near in self.days]
        self.days[on] = made_up
        length = len(self.run(on))
        return [
            points
            for streak, points in RULES.milestones
            if streak <= length and not any(part >= streak for part in parts)
        ]


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was carried out, and what its repeat must answer while the results of `day` are kept."""

    act: Callable[[], Coroutine[Any, Any, object]]
    answer: object
    day: date = TODAY


class PointsMachine(RuleBasedStateMachine):
    """Acts at random on real stores; the model says what each must answer."""

    redis_url: str
    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.members = {user_id: Member() for user_id in USERS}
        self.ranks: dict[date, int] = {}
        self.done: list[Done] = []
        self.granted: list[tuple[str, int]] = []
        self.reversed: set[str] = set()
        empty_redis(self.redis_url)
        self.scene = self.do(self._open())

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(act)

    async def _open(self) -> Scene:
        database = await Database.open(self.database_url)
        async with database.write() as connection:
            for table in metadata.sorted_tables:
                await connection.execute(table.delete())
        keys = Keys(4)
        redis = await connect(self.redis_url)
        return Scene(Live(redis, keys), database, Drain(redis, keys, database))

    # ------------------------------------------------------------ acts

    @rule(user_id=st.sampled_from(USERS), back=st.integers(0, 40))
    def check_in(self, user_id: str, back: int) -> None:
        member, on = self.members[user_id], day(back)
        happened = event(user_id, day=on)
        result = self.do(self.scene.live.check_in(happened))
        if on in member.days:
            assert not result.done
            return
        bonuses = member.mark(on, made_up=False)
        member.entries += [(points, on) for points in (RULES.points, *bonuses)]
        self.ranks[on] = self.ranks.get(on, 0) + 1
        assert result == CheckedIn(
            done=True,
            streak=len(member.run(on)),
            total=len(member.days),
            rank=self.ranks[on],
            points=RULES.points + sum(bonuses),
            bonus=sum(bonuses),
            balance=member.balance,
        )
        self.done.append(Done(lambda: self.scene.live.check_in(happened), result, on))

    @rule(user_id=st.sampled_from(USERS), back=st.integers(0, 10))
    def make_up(self, user_id: str, back: int) -> None:
        member, today = self.members[user_id], day(back)
        happened = event(user_id, day=today)
        result = self.do(self.scene.live.make_up(happened))
        candidates = [today - timedelta(number) for number in range(1, RULES.make_up_days_back + 1)]
        missed = next((on for on in candidates if on not in member.days), None)
        if missed is None:
            assert result == MadeUp(CardRefused.NOTHING_MISSED)
            return
        used = [on for on, made_up in member.days.items() if made_up and on.month == missed.month]
        if len(used) >= RULES.make_up_per_month:
            assert result == MadeUp(CardRefused.MONTH_LIMIT, missed, limit=RULES.make_up_per_month)
            return
        if member.balance < RULES.make_up_cost:
            assert result == MadeUp(
                CardRefused.TOO_FEW_POINTS, missed, cost=RULES.make_up_cost, balance=member.balance
            )
            return
        bonuses = member.mark(missed, made_up=True)
        member.entries += [(points, today) for points in (-RULES.make_up_cost, *bonuses)]
        assert result == MadeUp(
            refused=None,
            day=missed,
            streak=len(member.run(missed)),
            total=len(member.days),
            cost=RULES.make_up_cost,
            bonus=sum(bonuses),
            balance=member.balance,
        )
        self.done.append(Done(lambda: self.scene.live.make_up(happened), result))

    @rule(user_id=st.sampled_from(USERS), delta=st.integers(-60, 60).filter(bool))
    def grant(self, user_id: str, delta: int) -> None:
        member, cause = self.members[user_id], f"api:{len(self.granted)}"

        def order() -> Coroutine[Any, Any, Granted]:
            return self.scene.live.grant(f"app:{user_id}", delta, cause=cause)

        try:
            result = self.do(order())
        except RefusedError:
            assert member.balance + delta < 0
            return
        assert delta > 0 or member.balance + delta >= 0
        member.entries.append((delta, TODAY))
        assert result == Granted(member.balance, again=False)
        self.granted.append((user_id, delta))
        self.done.append(Done(order, Granted(result.balance, again=True)))

    @rule(which=st.integers(0, 10**6))
    def take_back(self, which: int) -> None:
        """Reverse an order, twice by two orders: the second has no effect."""
        if not self.granted:
            return
        number = which % len(self.granted)
        user_id, delta = self.granted[number]
        entry_id = f"00-{number}-0"
        member, member_id = self.members[user_id], f"app:{user_id}"
        fresh = entry_id not in self.reversed
        if fresh:
            member.entries.append((-delta, TODAY))
            self.reversed.add(entry_id)
        for again in (not fresh, True):
            result = self.do(self.scene.live.grant(member_id, -delta, reverses=entry_id))
            assert result.again is again

    # ------------------------------------------------------------ repeats

    @rule(which=st.integers(0, 10**6))
    def repeat(self, which: int) -> None:
        """Anything may be delivered again, however late: it changes nothing and answers the same."""
        if self.done:
            done = self.done[which % len(self.done)]
            assert self.do(done.act()) == done.answer

    @rule()
    def drain(self) -> None:
        self.do(self.scene.drain.flush_all())

    @rule()
    def lose_memory_and_rebuild(self) -> None:
        """After which everything above still holds, repeats of the last days included."""
        self.do(self.scene.lose_memory())
        self.do(self.scene.rebuild())
        # Older results than those of the last days are gone with the memory; the calendar still refuses.
        kept = TODAY - timedelta(8)
        self.done = [done for done in self.done if done.day >= kept]
        self.ranks = {on: rank for on, rank in self.ranks.items() if on >= kept}

    # ------------------------------------------------------------ what always holds

    @invariant()
    def figures_are_the_models(self) -> None:
        self.do(self._compare())

    async def _compare(self) -> None:
        live = self.scene.live
        today = live.calendar.day(TODAY)
        for user_id, member in self.members.items():
            assert await live.balance(user_id) == member.balance
            assert await live.check_ins.total("milk", f"app:{user_id}") == len(member.days)
            marked = await live.check_ins.days("milk", f"app:{user_id}", day(60), TODAY)
            assert marked == set(member.days)
            latest = TODAY if TODAY in member.days else TODAY - timedelta(1)
            streak = len(member.run(latest)) if latest in member.days else 0
            assert await live.check_ins.streak("milk", f"app:{user_id}", today) == streak

    def teardown(self) -> None:
        self.do(self._end())
        self.runner.close()

    async def _end(self) -> None:
        try:
            assert await self.scene.verify() == []
            await self._compare_boards()
            for user_id, member in self.members.items():
                entries = await self.scene.entries(f"app:{user_id}")
                assert sorted(entry.delta for entry in entries) == sorted(
                    points for points, _ in member.entries
                )
        finally:
            await self.scene.live.redis.close()
            await self.scene.database.close()

    async def _compare_boards(self) -> None:
        live = self.scene.live
        for back in (0, 1, 8, 20):
            on = live.calendar.day(day(back))
            for span in Span:
                sums = {
                    f"app:{user_id}": sum(
                        points for points, when in member.entries if _same(span, when, on.date)
                    )
                    for user_id, member in self.members.items()
                }
                rows = await live.points.ranking("milk", span, on)
                expected = {member: points for member, points in sums.items() if points > 0}
                assert {row.member: row.points for row in rows} == expected


def _same(span: Span, one: date, other: date) -> bool:
    if span is Span.DAY:
        return one == other
    if span is Span.WEEK:
        return one.isocalendar()[:2] == other.isocalendar()[:2]
    return span is Span.ALL or (one.year, one.month) == (other.year, other.month)


def _run(redis_url: str, database_url: str, *, examples: int, steps: int) -> None:
    class Machine(PointsMachine):
        pass

    Machine.redis_url, Machine.database_url = redis_url, database_url
    checks = list(HealthCheck)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )


def test_sums_streaks_and_rankings_equal_a_model_whatever_happens(redis_url: str, database_url: str) -> None:
    _run(redis_url, database_url, examples=12, steps=30)


@pytest.mark.soak
def test_sums_streaks_and_rankings_equal_a_model_for_a_long_time(redis_url: str, database_url: str) -> None:
    _run(redis_url, database_url, examples=600, steps=80)
