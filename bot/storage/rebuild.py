"""Restores Redis from SQL, while the server runs or not: `run.py rebuild`.

Restored are balances, rankings, check-in calendars with totals and make-up cards, members (joined, left,
name, greeted), the results of recent check-ins, make-up cards and orders of points (so that a repeat of the
event or request that caused them has no second effect), the counters of the days still kept, queued
deliveries, who wants nothing unprompted, open rounds of games with their moves, and what is spent of the
budgets of the days still kept. Rounds that have ended need nothing: history has them whole.

How it stays exact while members act: everything in Redis is drained to SQL first. A member is restored by one
script, which does so only if the member's latest change (`entry`, an outbox id) is still the one that was
read before that drain; else the member is drained, read and tried again. So nothing that happens meanwhile is
overwritten, whoever else drains. Doing it twice, or on two machines at once, changes nothing. Rounds are
restored in the same way, by how many moves they have; a budget only where Redis has none.

What SQL does not know cannot be restored after a loss of Redis' memory:

* what Redis had not drained yet, usually the last quarter of a second;
* ids of events and the answers kept for repeats: an event of before the loss that a platform repeats after it
  is counted as a message again, and its handler runs again. Check-ins, make-up cards and orders find their
  results; a greeting may be said again, as to one who returns;
* acknowledged events whose handler was late and had not finished;
* cool-downs and turns of keyword rules, the pace of sends, how much was said unprompted today, access tokens
  (fetched anew);
* how often members played today and what they won and staked: their daily caps begin anew. How long a game
  rests after a round, which rounds ended last in a chat, and what a platform gave to answer the group of an
  open round with;
* that an event or request of before the loss began a round that has ended: it would begin another one;
* counters that grew between the loss and the rebuild where history had more: the greater figure stays.

What members do between a loss and the rebuild counts on top of their history, except that Redis then did not
know of it: a check-in of that time may be the second of its day. Rebuild before letting members in again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from bot.clock import Clock
from bot.communities import Communities
from bot.model import Community
from bot.storage.drain import Drain
from bot.storage.live_figures import RoundSource
from bot.storage.redis.boards import Board, earliest_day, kept_boards
from bot.storage.redis.check_ins import (
    calendar_fields,
    calendar_key,
    day_results_key,
    make_up_key,
    make_up_memory_ms,
)
from bot.storage.redis.client import RedisClient
from bot.storage.redis.decency import wishes_key
from bot.storage.redis.deliveries import due_key
from bot.storage.redis.inbox import COUNTERS_KEPT_MS, NO_GROUP, event_mark
from bot.storage.redis.key_scan import members_in_redis
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value
from bot.storage.redis.members import COUNTER_NAMES
from bot.storage.redis.points import REVERSAL_MEMORY_MS, grant_key
from bot.storage.redis.rounds import PlayedMove, Round, budget_key, joined_before_ms, move_record
from bot.storage.redis.script_all import ScriptCall, script_all
from bot.storage.sql.activity import ActivityHistory, ActivityRow
from bot.storage.sql.database import Database
from bot.storage.sql.deliveries import Delivery, DeliveryHistory
from bot.storage.sql.member_figures import MemberFigures, known_members, read_members, unknown_members
from bot.storage.sql.opt_outs import WishHistory
from bot.storage.sql.recent_effects import PaidCheckIn, recent_check_ins, recent_orders
from bot.storage.sql.rounds import RoundHistory

_DAY_MS = 86_400_000
_MOST_TRIES = 50  # of a member who acts each time between two looks
_MOST_SHARDS = 1024
_MEMBERS = 500  # per query


@dataclass(slots=True)
class Rebuilt:
    """What was restored, as numbers; `busy` names members and rounds that never stood still: call again.

    `rounds` counts also those taken from Redis of which history says that they are not open.
    """

    members: int = 0
    check_ins: int = 0
    orders: int = 0
    counters: int = 0
    deliveries: int = 0
    opt_outs: int = 0
    rounds: int = 0
    budgets: int = 0
    busy: list[str] = field(default_factory=list)


async def rebuild(
    redis: RedisClient,
    keys: Keys,
    database: Database,
    drain: Drain,
    communities: Communities,
    clock: Clock,
    *,
    event_memory_ms: int,
) -> Rebuilt:
    """Restore the communities' live state and return what was done.

    Also after `storage.shards` was changed: what waits in shards that no longer exist is drained as well.

    Raises:
        StoreUnavailableError: A store is away; nothing is lost, call again.
    """
    await Drain(redis, Keys(_MOST_SHARDS), database).flush_all()
    work = _Rebuild(redis, keys, database, drain, clock.now_ms(), event_memory_ms)
    for community in communities:
        await work.community(community, communities)
    await work.strangers()
    await work.rounds(RoundSource(redis, keys, database, communities, clock))
    return work.rebuilt


@dataclass(slots=True)
class _Rebuild:
    """One run."""

    redis: RedisClient
    keys: Keys
    database: Database
    drain: Drain
    now_ms: int
    event_memory_ms: int
    rebuilt: Rebuilt = field(default_factory=Rebuilt)
    boards: dict[str, list[Board]] = field(default_factory=dict)

    async def community(self, community: Community, communities: Communities) -> None:
        """Restore one community: first what keeps effects from happening twice."""
        calendar = communities.calendar(community)
        today = calendar.day_of(self.now_ms).date
        self.boards[community.id] = kept_boards(self.keys, community.id, calendar, self.now_ms)
        await self._orders(community.id)
        async for members in known_members(self.database, community.id):
            await self._members(community.id, members)
            await self._results(community, members, today)
        first = today - timedelta(days=COUNTERS_KEPT_MS // _DAY_MS - 1)
        history = ActivityHistory(self.database)
        async for rows in history.days(community.id, first, today + timedelta(days=1)):
            done = await script_all(self.redis, "restore_counters", [self._counters(row) for row in rows])
            self.rebuilt.counters += sum(done)
        await self._wishes(community.id)
        await self._budgets(community.id, first)
        async for deliveries in DeliveryHistory(self.database).queued(community.id):
            done = await script_all(
                self.redis, "restore_delivery", [self._delivery(delivery) for delivery in deliveries]
            )
            self.rebuilt.deliveries += sum(done)

    async def strangers(self) -> None:
        """Take away what Redis says of members of whom history knows nothing."""
        async for community, members in members_in_redis(self.redis, self.keys, self.boards):
            unknown = await unknown_members(self.database, community, members)
            if unknown:
                await self._members(community, unknown)

    # ------------------------------------------------------------ rounds

    async def rounds(self, source: RoundSource) -> None:
        """Make Redis hold of every round that is open by either store what history says of it."""
        async for community, ids in source.subjects():
            pending = ids
            for _ in range(_MOST_TRIES):
                standing = await source.standing(community, pending)
                live = await source.in_redis(community, pending)
                await self.drain.flush(community)
                past = await source.in_sql(community, pending)
                pending = [
                    id_
                    for id_, stood, here, there in zip(pending, standing, live, past, strict=True)
                    if here != there and not await self._round(community, id_, stood)
                ]
                if not pending:
                    break
            self.rebuilt.busy.extend(f"{community} round {id_}" for id_ in pending)

    async def _round(self, community: str, round_id: str, stood: str) -> bool:
        """Restore one round; False where it has moved since it stood as it did."""
        history = RoundHistory(self.database)
        known = await history.get(community, round_id)
        values: list[Value] = [0]
        if known is not None and known.round.is_open:
            moves = await history.moves(community, round_id)
            fields = _round_fields(known.round, moves)
            values = [2 * len(fields), *(part for pair in fields.items() for part in pair)]
            values += [len(known.round.seats), *known.round.seats]
            values += await self._moves(history, known.round, moves)
        stores = ("round", "round_moves", "round_marks", "round_players", "round_seats")
        done = await self.redis.script(
            "restore_round",
            [
                *(self.keys.key(store, community, round_id) for store in stores),
                self.keys.key("rounds", community),
                f"{self.keys.prefix(community)}rounds_due",
            ],
            [community, round_id, stood, *values],
        )
        self.rebuilt.rounds += done
        return bool(done)

    async def _moves(self, history: RoundHistory, one: Round, moves: Sequence[PlayedMove]) -> list[Value]:
        """Return of each move: member, mark, balance after it, the move as the round keeps it."""
        balances = {
            (balance.member, balance.cause): balance.points
            for balance in await history.balances(one.community, one.id)
        }
        # After a move that changed no points: the nearest to what the member then had, the present sum.
        others = sorted({move.member for move in moves if (move.member, move.cause) not in balances})
        sums: dict[str, int] = {}
        for start in range(0, len(others), _MEMBERS):
            figures = await read_members(
                self.database, one.community, others[start : start + _MEMBERS], date.max
            )
            sums.update({member: found.points for member, found in figures.items()})
        values: list[Value] = []
        for move in moves:
            balance = balances.get((move.member, move.cause))
            values += [
                move.member, event_mark(move.cause), sums[move.member] if balance is None else balance,
                move_record(move),
            ]  # fmt: skip
        return values

    # ------------------------------------------------------------ members

    async def _members(self, community: str, members: Sequence[str]) -> None:
        """Restore members, those who act meanwhile after another look at history."""
        pending = list(members)
        since = earliest_day(self.boards[community])
        for _ in range(_MOST_TRIES):
            latest = await asyncio.gather(*(self._latest_change(community, member) for member in pending))
            await self.drain.flush(community)
            figures = await read_members(self.database, community, pending, since)
            calls = [
                self._member(community, member, entry, figures[member])
                for member, entry in zip(pending, latest, strict=True)
            ]
            restored = await script_all(self.redis, "restore_member", calls)
            pending = [member for member, done in zip(pending, restored, strict=True) if not done]
            self.rebuilt.members += sum(restored)
            if not pending:
                return
        self.rebuilt.busy.extend(f"{community} {member}" for member in pending)

    async def _latest_change(self, community: str, member: str) -> bytes:
        key = self.keys.key("member", community, member)
        return await self.redis.call("HGET", key, "entry") or b""

    def _member(self, community: str, member: str, entry: bytes, figures: MemberFigures) -> ScriptCall:
        boards = self.boards[community]
        days = [part for pair in calendar_fields(figures.check_ins).items() for part in pair]
        sums: list[Value] = []
        for board in boards:
            sums += [_sum(figures, board), board.keep_ms]
        return (
            [
                self.keys.key("member", community, member),
                calendar_key(self.keys, community, member),
                *(board.key for board in boards),
            ],
            [
                member, entry, figures.points, int(figures.known),
                figures.name, _text(figures.joined_at_ms), _text(figures.left_at_ms), figures.joins,
                len(days), *days, *sums,
            ],
        )  # fmt: skip

    # ------------------------------------------------------------ results, so that nothing happens twice

    async def _results(self, community: Community, members: Sequence[str], today: date) -> None:
        """Restore the results of recent check-ins and make-up cards."""
        memory_ms = make_up_memory_ms(community.check_in)
        since = today - timedelta(days=memory_ms // _DAY_MS)
        recent = await recent_check_ins(self.database, community.id, members, since)
        await self._add_balances(community.id, [paid for paid in recent if paid.balance is None])
        first = today - timedelta(days=COUNTERS_KEPT_MS // _DAY_MS - 1)
        cards = [self._card(paid, memory_ms) for paid in recent if paid.row.made_up]
        check_ins = [
            self._check_in(paid) for paid in recent if not paid.row.made_up and paid.row.day >= first
        ]
        done = await script_all(self.redis, "restore_once", cards)
        done += await script_all(self.redis, "restore_result", check_ins)
        self.rebuilt.check_ins += sum(done)

    async def _add_balances(self, community: str, unpaid: Sequence[PaidCheckIn]) -> None:
        """Give check-ins that changed no points the nearest to what the member then had: the present sum."""
        members = sorted({paid.row.member for paid in unpaid})
        figures = await read_members(self.database, community, members, date.max) if members else {}
        for paid in unpaid:
            paid.balance = figures[paid.row.member].points

    def _card(self, paid: PaidCheckIn, memory_ms: int) -> ScriptCall:
        row = paid.row
        result = f"{row.streak} {row.total} {paid.cost} {paid.bonus} {paid.balance} {row.day}"
        return [make_up_key(self.keys, row.community, row.member, row.cause)], [result, memory_ms]

    def _check_in(self, paid: PaidCheckIn) -> ScriptCall:
        row = paid.row
        figures = f"{row.streak} {row.total} {row.rank} {row.points} {paid.bonus} {paid.balance}"
        key = day_results_key(self.keys, row.community, row.day.isoformat())
        return [key], [row.member, f"{figures}|{row.cause}", COUNTERS_KEPT_MS]

    async def _orders(self, community: str) -> None:
        """Restore that recent orders of points were carried out."""
        async for orders in recent_orders(self.database, community, self.now_ms - self.event_memory_ms):
            calls: list[ScriptCall] = []
            for order in orders:
                memory_ms = REVERSAL_MEMORY_MS if order.reverses else self.event_memory_ms
                left_ms = order.made_at_ms + memory_ms - self.now_ms
                key = grant_key(
                    self.keys, community, order.member, cause=order.cause, reverses=order.reverses
                )
                if left_ms > 0:
                    calls.append(([key], [order.balance_after, left_ms]))
            self.rebuilt.orders += sum(await script_all(self.redis, "restore_once", calls))

    # ------------------------------------------------------------ counters and deliveries

    def _counters(self, row: ActivityRow) -> ScriptCall:
        key = self.keys.key("day", row.community, row.group_id or NO_GROUP, row.member, row.day.isoformat())
        counts = (row.messages, row.check_ins, row.plays, row.events, row.last_at_ms)
        pairs = [part for pair in zip(COUNTER_NAMES, counts, strict=True) for part in pair]
        return [key], [COUNTERS_KEPT_MS, *pairs]

    async def _budgets(self, community: str, first: date) -> None:
        """Restore what is spent of the budgets since a day; one that Redis has, has been used meanwhile."""
        await self.drain.flush(community)
        spent = await RoundHistory(self.database).spent(community, first)
        calls: list[ScriptCall] = [
            ([budget_key(self.keys, community, day.isoformat())], [points, COUNTERS_KEPT_MS])
            for day, points in spent.items()
        ]
        self.rebuilt.budgets += sum(await script_all(self.redis, "restore_once", calls))

    async def _wishes(self, community: str) -> None:
        """Restore who wants nothing unprompted; what is said meanwhile is newer than history, and stays."""
        key = wishes_key(self.keys, community)
        rows = await self.redis.call("HGETALL", key)
        live = {name.decode(): value.decode() for name, value in zip(rows[::2], rows[1::2], strict=True)}
        await self.drain.flush(community)
        known: set[str] = set()
        async for wishes in WishHistory(self.database).all(community):
            known |= {wish.receiver for wish in wishes}
            calls: list[ScriptCall] = [
                ([key], [wish.receiver, live.get(wish.receiver, ""), wish.stored]) for wish in wishes
            ]
            self.rebuilt.opt_outs += sum(await script_all(self.redis, "restore_opt_out", calls))
        unknown: list[ScriptCall] = [
            ([key], [receiver, value, ""]) for receiver, value in live.items() if receiver not in known
        ]
        self.rebuilt.opt_outs += sum(await script_all(self.redis, "restore_opt_out", unknown))

    def _delivery(self, delivery: Delivery) -> ScriptCall:
        prefix = self.keys.prefix(delivery.community)
        fields: dict[str, Value] = {
            "community": delivery.community, "channel": delivery.channel, "user_id": delivery.user_id,
            "member": delivery.member, "cause": delivery.cause, "state": delivery.state,
            "route": delivery.route, "reason": delivery.reason, "attempts": delivery.attempts,
            "created_at_ms": delivery.created_at_ms, "updated_at_ms": delivery.updated_at_ms,
            "parts": delivery.parts, "next_part": delivery.next_part, "group_id": delivery.group_id,
            "useful_until_ms": delivery.useful_until_ms, "feature": delivery.feature,
            "answer_to": delivery.answer_to, "not_before_ms": delivery.not_before_ms,
        }  # fmt: skip
        due = due_key(prefix, delivery.route, delivery.channel)
        return (
            [f"{prefix}delivery:{delivery.id}", due, f"{due}:order"],
            [
                delivery.id, max(self.now_ms, delivery.not_before_ms),
                max(delivery.created_at_ms, delivery.not_before_ms), delivery.channel, delivery.user_id,
                delivery.group_id, delivery.feature, delivery.useful_until_ms,
                *(part for pair in fields.items() for part in pair),
            ],
        )  # fmt: skip


def _round_fields(one: Round, moves: Sequence[PlayedMove]) -> dict[str, Value]:
    """Return a round as scripts/lib/round.lua keeps it."""
    conditions = json.loads(one.settings)
    days = conditions.get("member_days", 0)
    return {
        "game": one.game, "place": one.place, "community": one.community, "state": one.state.value,
        "end": one.end, "channel": one.channel, "user_id": one.user_id, "group_id": one.group_id,
        "host": one.host, "payer": one.payer, "settings": one.settings, "word": one.word, "seed": one.seed,
        "commitment": one.commitment, "once": int(one.once), "seats": len(one.seats), "pot": one.pot,
        "staked": one.staked, "house": one.house, "paid": one.paid, "refund": one.refund,
        "at_ms": one.at_ms, "ends_at_ms": one.ends_at_ms, "ended_at_ms": one.ended_at_ms,
        "last_at_ms": moves[-1].at_ms if moves else one.at_ms, "day": one.day, "facts": one.facts,
        "shares": " ".join(map(str, one.seats)), "checked_in": int(conditions.get("checked_in") is True),
        "joined_before_ms": joined_before_ms(one.at_ms, days) if isinstance(days, int) else 0,
    }  # fmt: skip


def _sum(figures: MemberFigures, board: Board) -> Value:
    """Return the member's sum in a ranking, '' where the ledger has no entry for it."""
    if not board.keep_ms:
        return figures.points if figures.points or figures.by_day else ""
    points = [points for day, points in figures.by_day.items() if board.first <= day <= board.last]
    return sum(points) if points else ""


def _text(at_ms: int | None) -> Value:
    return "" if at_ms is None else at_ms
