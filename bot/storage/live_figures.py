"""The same figures from both stores, so that they can be compared one by one.

A source names its subjects (members; counters of a member's day) as either store knows them, and gives the
figures of some of them as Redis and as SQL have them: label → number, without zeros.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Protocol

from bot.clock import Clock
from bot.communities import Communities
from bot.storage.redis.boards import Board, earliest_day, kept_boards
from bot.storage.redis.check_ins import calendar_days, calendar_fields, calendar_key
from bot.storage.redis.client import RedisClient
from bot.storage.redis.decency import wishes_key
from bot.storage.redis.inbox import NO_GROUP
from bot.storage.redis.key_scan import CHUNK, members_in_redis, scan_store
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value
from bot.storage.redis.members import COUNTER_NAMES
from bot.storage.redis.script_all import script_all
from bot.storage.sql.activity import ActivityHistory, ActivityRow
from bot.storage.sql.database import Database
from bot.storage.sql.deliveries import DeliveryHistory
from bot.storage.sql.member_figures import known_members, read_members, unknown_members
from bot.storage.sql.opt_outs import WishHistory
from bot.storage.sql.rounds import KnownRound, RoundHistory

Figures = dict[str, int | None]  # None: what is stored is no whole number
Chunk = tuple[str, list[str]]  # community, subjects

COUNTERS_COMPARED_DAYS = 7  # back from today; every event of these days is still counted in Redis
_BLOCK = "check-in days b"
_QUEUED = "queued delivery"
_OPTED_OUT = "wants nothing unprompted"
_ROUND_FIGURES = ("pot", "staked", "house", "paid")
_OPEN, _LISTED, _DUE = "open", "listed where it is played", "due at its end"


class Source(Protocol):
    """One kind of figures."""

    def subjects(self) -> AsyncIterator[Chunk]:
        """Yield every subject that either store knows, in chunks; one may come again."""

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return the live figures of each subject."""

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return the figures that history says each subject has."""

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return for a person: the member, empty for none, and what the figure is."""


class MemberSource:
    """Balance, rankings and check-in calendar of each member."""

    def __init__(
        self, redis: RedisClient, keys: Keys, database: Database, communities: Communities, clock: Clock
    ) -> None:
        """Compare as of the community-days of `clock`."""
        self._redis = redis
        self._keys = keys
        self._database = database
        self._ids = [community.id for community in communities]
        now_ms = clock.now_ms()
        self._boards = {
            community.id: kept_boards(keys, community.id, communities.calendar(community), now_ms)
            for community in communities
        }

    async def subjects(self) -> AsyncIterator[Chunk]:
        """Yield the members of history, then those whom only Redis knows."""
        for community in self._ids:
            async for members in known_members(self._database, community):
                yield community, members
        async for community, members in members_in_redis(self._redis, self._keys, self._boards):
            unknown = await unknown_members(self._database, community, members)
            if unknown:
                yield community, unknown

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return what the live state holds."""
        boards = self._boards[community]
        calls = [
            ((self._keys.key("member", community, member), calendar_key(self._keys, community, member)), ())
            for member in subjects
        ]
        members, *scores = await asyncio.gather(
            script_all(self._redis, "verify_member", calls),
            *(self._redis.call("ZMSCORE", board.key, *subjects) for board in boards),
        )
        figures: list[Figures] = []
        for points, *calendar in members:
            values = zip(calendar[::2], calendar[1::2], strict=True)
            found = _calendar_figures({name.decode(): _whole(value) for name, value in values})
            figures.append({"balance": _whole(points), **found})
        for board, of_board in zip(boards, scores, strict=True):
            label = f"ranking {board.name}"
            for found, score in zip(figures, of_board, strict=True):
                if score is not None:
                    found[label] = _whole(score)
        return [_without_zeros(found) for found in figures]

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return what ledger and check-ins sum to."""
        boards = self._boards[community]
        members = await read_members(self._database, community, subjects, earliest_day(boards))
        boards_of_day = _boards_of_day(boards)
        figures: list[Figures] = []
        for member in subjects:
            of_member = members[member]
            found: Figures = {"balance": of_member.points, "ranking all": of_member.points}
            sums: dict[str, int] = {}
            for day, points in of_member.by_day.items():
                for name in boards_of_day.get(day, ()):
                    sums[name] = sums.get(name, 0) + points
            found.update(sums)
            found.update(_calendar_figures(calendar_fields(of_member.check_ins)))
            figures.append(_without_zeros(found))
        return figures

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return the member, who is the subject, and the label."""
        return subject, label


class ActivitySource:
    """The counters of each member, group and day that Redis still keeps whole.

    A subject is ``<group or ->:<member>:<YYYY-MM-DD>``.
    """

    def __init__(
        self, redis: RedisClient, keys: Keys, database: Database, communities: Communities, clock: Clock
    ) -> None:
        """Compare as of the community-days of `clock`."""
        self._redis = redis
        self._keys = keys
        self._history = ActivityHistory(database)
        self._days: dict[str, list[date]] = {}
        for community in communities:
            today = communities.calendar(community).day_of(clock.now_ms()).date
            backs = range(COUNTERS_COMPARED_DAYS, -2, -1)  # to tomorrow, for senders whose clock is ahead
            self._days[community.id] = [today - timedelta(days=back) for back in backs]

    async def subjects(self) -> AsyncIterator[Chunk]:
        """Yield the counters of history, then those that only Redis knows."""
        for community, days in self._days.items():
            async for rows in self._history.days(community, days[0], days[-1]):
                yield community, [_name_of(row) for row in rows]
        async for community, names in scan_store(self._redis, self._keys, "day", self._days):
            kept_days = {day.isoformat() for day in self._days[community]}
            kept = [name for name in names if name.rpartition(":")[2] in kept_days]
            known = await self._rows(community, kept)
            unknown = [name for name in kept if name not in known]
            if unknown:
                yield community, unknown

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return the live counters."""
        calls = [((self._keys.key("day", community, name),), COUNTER_NAMES) for name in subjects]
        rows = await script_all(self._redis, "verify_counters", calls)
        return [_without_zeros(dict(zip(COUNTER_NAMES, map(_whole, row), strict=True))) for row in rows]

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return the counters as drained."""
        rows = await self._rows(community, subjects)
        return [rows.get(name, {}) for name in subjects]

    async def _rows(self, community: str, subjects: Sequence[str]) -> dict[str, Figures]:
        days = [date.fromisoformat(name.rpartition(":")[2]) for name in subjects]
        if not days:
            return {}
        members = sorted({_member_of(name) for name in subjects})
        found: dict[str, Figures] = {}
        for row in await self._history.of_members(community, members, min(days), max(days)):
            counts = (row.messages, row.check_ins, row.plays, row.events, row.last_at_ms)
            found[_name_of(row)] = _without_zeros(dict(zip(COUNTER_NAMES, counts, strict=True)))
        return found

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return the member of the counters, and which counter of which day and group."""
        group, _, rest = subject.partition(":")
        place = "" if group == NO_GROUP else f" in group {group}"
        return _member_of(subject), f"{label} of {rest.rpartition(':')[2]}{place}"


class DeliverySource:
    """Deliveries that history knows as queued: each must be in Redis, else nobody sends it.

    A subject is a delivery's id.
    """

    def __init__(
        self, redis: RedisClient, keys: Keys, database: Database, communities: Communities, _: Clock
    ) -> None:
        """Look at the deliveries of `communities`."""
        self._redis = redis
        self._keys = keys
        self._history = DeliveryHistory(database)
        self._ids = [community.id for community in communities]

    async def subjects(self) -> AsyncIterator[Chunk]:
        """Yield the deliveries on their way."""
        for community in self._ids:
            async for deliveries in self._history.queued(community):
                yield community, [delivery.id for delivery in deliveries]

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return 1 for each that senders will find."""
        prefix = self._keys.prefix(community)
        states = await asyncio.gather(
            *(self._redis.call("HGET", f"{prefix}delivery:{name}", "state") for name in subjects)
        )
        return [{_QUEUED: 1} if state == b"queued" else {} for state in states]

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:  # noqa: ARG002 - ids are unique
        """Return 1 for each on its way."""
        queued = await self._history.queued_among(subjects)
        return [{_QUEUED: 1} if name in queued else {} for name in subjects]

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return no member, and the delivery."""
        return "", f"{label} {subject}"


class WishSource:
    """Who wants nothing unprompted. A subject is a receiver (`bot.storage.redis.decency`)."""

    def __init__(
        self, redis: RedisClient, keys: Keys, database: Database, communities: Communities, _: Clock
    ) -> None:
        """Look at the wishes in `communities`."""
        self._redis = redis
        self._keys = keys
        self._history = WishHistory(database)
        self._ids = [community.id for community in communities]

    async def subjects(self) -> AsyncIterator[Chunk]:
        """Yield the receivers of history, then those that only Redis knows."""
        for community in self._ids:
            async for wishes in self._history.all(community):
                yield community, [wish.receiver for wish in wishes]
            names = await self._redis.call("HKEYS", wishes_key(self._keys, community))
            live = [name.decode() for name in names]
            for first in range(0, len(live), CHUNK):
                chunk = live[first : first + CHUNK]
                known = await self._history.among(community, chunk)
                unknown = [receiver for receiver in chunk if receiver not in known]
                if unknown:
                    yield community, unknown

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return 1 for each who wants nothing."""
        wishes = await self._redis.call("HMGET", wishes_key(self._keys, community), *subjects)
        return [{_OPTED_OUT: 1} if (wish or b"").startswith(b"1") else {} for wish in wishes]

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return 1 for each who wants nothing."""
        wishes = await self._history.among(community, subjects)
        return [
            {_OPTED_OUT: 1} if receiver in wishes and wishes[receiver].opted_out else {}
            for receiver in subjects
        ]

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return the receiver, and what it wants."""
        return subject, label


class RoundSource:
    """Rounds that are open by either store. A subject is a round's id."""

    def __init__(
        self, redis: RedisClient, keys: Keys, database: Database, communities: Communities, _: Clock
    ) -> None:
        """Look at the rounds of `communities`."""
        self._redis = redis
        self._keys = keys
        self._history = RoundHistory(database)
        self._ids = [community.id for community in communities]

    async def subjects(self) -> AsyncIterator[Chunk]:
        """Yield the rounds that history says are open, then those of which Redis says so in any way."""
        for community in self._ids:
            async for known in self._history.open_rounds(community):
                yield community, list(known)
        async for community, ids in scan_store(self._redis, self._keys, "round", self._ids):
            states = await self.standing(community, ids)
            yield (
                community,
                [id_ for id_, state in zip(ids, states, strict=True) if state.startswith("open ")],
            )
        due = await self._due()
        for community in self._ids:
            named = sorted({*await self._listed(community), *due.get(community, ())})
            for first in range(0, len(named), CHUNK):
                yield community, named[first : first + CHUNK]

    async def standing(self, community: str, ids: Sequence[str]) -> list[str]:
        """Return ``<state> <moves>`` of each, empty for what Redis does not know: changed by every act."""
        commands: list[tuple[Value, ...]] = []
        for id_ in ids:
            commands.append(("HGET", self._keys.key("round", community, id_), "state"))
            commands.append(("LLEN", self._keys.key("round_moves", community, id_)))
        answers = await self._redis.call_many(commands)
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return ["" if state is None else f"{state.decode()} {moves}" for state, moves in pairs]

    async def in_redis(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return what the live state holds of those that are open, and whether they will be found."""
        commands: list[tuple[Value, ...]] = []
        due = f"{self._keys.prefix(community)}rounds_due"
        for id_ in subjects:
            round_key = self._keys.key("round", community, id_)
            commands.append(("HMGET", round_key, "state", "seats", *_ROUND_FIGURES))
            commands.append(("LLEN", self._keys.key("round_moves", community, id_)))
            commands.append(("ZSCORE", due, f"{community} {id_}"))
        answers = await self._redis.call_many(commands)
        listed = await self._listed(community)
        figures: list[Figures] = []
        for id_, row, moves, score in zip(subjects, answers[::3], answers[1::3], answers[2::3], strict=True):
            found: Figures = {_LISTED: int(id_ in listed), _DUE: int(score is not None)}
            if row[0] == b"open":
                values = dict(zip(("seats", *_ROUND_FIGURES), map(_whole, row[1:]), strict=True))
                found |= {_OPEN: 1, "moves": moves, **values}
            figures.append(_without_zeros(found))
        return figures

    async def in_sql(self, community: str, subjects: Sequence[str]) -> list[Figures]:
        """Return what history says of those that are open."""
        known = await self._history.among(community, subjects)
        return [_round_figures(known.get(id_)) for id_ in subjects]

    def name(self, subject: str, label: str) -> tuple[str, str]:
        """Return no member, and the figure of the round."""
        return "", f"round {subject}: {label}"

    async def _listed(self, community: str) -> set[str]:
        """Return the ids of the open rounds of all places."""
        records = await self._redis.call("HVALS", self._keys.key("rounds", community))
        return {str(row[0]) for record in records for row in json.loads(record[1:])}

    async def _due(self) -> dict[str, list[str]]:
        """Return the rounds that wait for the end of their time, by community."""
        found: dict[str, list[str]] = {}
        for shard in sorted({self._keys.shard(community) for community in self._ids}):
            for name in await self._redis.call("ZRANGE", self._keys.of_shard(shard, "rounds_due"), 0, -1):
                community, _, id_ = name.decode().partition(" ")
                found.setdefault(community, []).append(id_)
        return found


def _round_figures(known: KnownRound | None) -> Figures:
    if known is None or not known.round.is_open:
        return {}
    one = known.round
    figures: Figures = {_OPEN: 1, _LISTED: 1, _DUE: 1, "moves": known.moves, "seats": len(one.seats)}
    figures |= {"pot": one.pot, "staked": one.staked, "house": one.house, "paid": one.paid}
    return _without_zeros(figures)


def _member_of(name: str) -> str:
    return name.partition(":")[2].rpartition(":")[0]


def _name_of(row: ActivityRow) -> str:
    return f"{row.group_id or NO_GROUP}:{row.member}:{row.day}"


def explain(label: str, redis: int | None, sql: int | None) -> list[tuple[str, int | None, int | None]]:
    """Return one difference as a person reads it: 30 days as bits become the days that differ."""
    if not label.startswith(_BLOCK) or redis is None or sql is None:
        return [(label, redis, sql)]
    name = label.removeprefix(_BLOCK[:-1])
    here, there = calendar_days({name: redis}), calendar_days({name: sql})
    return [(f"check-in of {day}", int(day in here), int(day in there)) for day in sorted(here ^ there)]


def _calendar_figures(fields: Mapping[str, int | None]) -> Figures:
    figures: Figures = {}
    for name, value in fields.items():
        if name.startswith("b"):
            figures[f"{_BLOCK}{name[1:]}"] = value
        elif name.startswith("u"):
            figures[f"make-up cards of {name[1:5]}-{name[5:]}"] = value
        else:
            figures["check-ins"] = value
    return figures


def _boards_of_day(boards: Sequence[Board]) -> dict[date, list[str]]:
    names: dict[date, list[str]] = {}
    for board in boards:
        if board.keep_ms:
            for number in range((board.last - board.first).days + 1):
                day = board.first + timedelta(days=number)
                names.setdefault(day, []).append(f"ranking {board.name}")
    return names


def _whole(value: bytes | None) -> int | None:
    try:
        return int(value or 0)
    except ValueError:
        return None


def _without_zeros(figures: Figures) -> Figures:
    return {label: value for label, value in figures.items() if value != 0}
