"""Proves that live state and history agree, or lists where they do not.

Compared are, for every member that either store knows: the balance and each ranking that is still kept with
the sums of the ledger, the check-in calendar with the check-ins, the counters of the last days with the
activity history; queued deliveries with what senders will find; who wants nothing unprompted; and what open
rounds of games hold. Looked for are rounds that gave more or less than was put in, or other than their moves
and the ledger say, ledger entries that one cause made twice, entries that could not be drained, and outboxes
that do not get empty. Only communities of the configuration are looked at.

Everything is drained first. With a running server figures move while they are compared, so what differs is
compared again after a fresh drain, and counts only while Redis stands still. Memory is bounded: a chunk of
subjects at a time, and a list that ends at `most`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from bot.clock import Clock
from bot.communities import Communities
from bot.storage.drain import Drain
from bot.storage.live_figures import (
    ActivitySource,
    DeliverySource,
    Figures,
    MemberSource,
    RoundSource,
    Source,
    WishSource,
    explain,
)
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.sql.database import Database
from bot.storage.sql.drained import read_faults
from bot.storage.sql.ledger import LedgerHistory
from bot.storage.sql.rounds import RoundHistory, Unbalanced

LIST_LIMIT = 1000
_RECHECKS = 3
_MOST_TRIES = 20  # of a subject that moves each time
_PAUSE_S = 0.05

_REBUILD = "run.py rebuild restores Redis from SQL"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that is wrong.

    Attributes:
        community: Community id, empty where it is not one community's.
        member: Member id, empty where it is not one member's.
        what: The figure or fault.
        redis: The figure in Redis, None where there is none or it is no number.
        sql: The figure by history.
        cure: What to do.
    """

    community: str
    member: str
    what: str
    redis: int | None
    sql: int | None
    cure: str

    def __str__(self) -> str:
        """Return it as one line for a terminal."""
        place = " ".join(part for part in (self.community, self.member) if part)
        redis, sql = ("-" if figure is None else figure for figure in (self.redis, self.sql))
        return f"{place or '-'}: {self.what}: redis {redis}, sql {sql} ({self.cure})"


async def verify(
    redis: RedisClient,
    keys: Keys,
    database: Database,
    drain: Drain,
    communities: Communities,
    clock: Clock,
    *,
    most: int = LIST_LIMIT,
) -> list[Disagreement]:
    """Return what disagrees, nothing when all is well; at most `most`, then it stops looking.

    Raises:
        StoreUnavailableError: A store is away.
    """
    check = _Check(drain, most)
    await _check_outboxes(check, redis, keys)
    for source in (MemberSource, ActivitySource, DeliverySource, WishSource, RoundSource):
        await check.source(source(redis, keys, database, communities, clock))
    for community in communities:
        await _check_duplicates(check, database, community.id)
        await _check_rounds(check, RoundHistory(database), community.id)
    await _check_faults(check, database)
    return check.found


class _Check:
    """One run: what was found so far."""

    def __init__(self, drain: Drain, most: int) -> None:
        self.drain = drain
        self.found: list[Disagreement] = []
        self._most = most
        self._reported: set[tuple[str, str, str]] = set()

    @property
    def is_full(self) -> bool:
        return len(self.found) >= self._most

    def add(self, disagreement: Disagreement) -> None:
        """List a disagreement, once, while there is room."""
        name = (disagreement.community, disagreement.member, disagreement.what)
        if not self.is_full and name not in self._reported:
            self._reported.add(name)
            self.found.append(disagreement)

    async def source(self, source: Source) -> None:
        """Compare all subjects of a source."""
        async for community, subjects in source.subjects():
            if self.is_full:
                return
            await self._chunk(source, community, subjects)

    async def _chunk(self, source: Source, community: str, subjects: list[str]) -> None:
        """Compare a chunk; what differs again and again while it stands still is listed."""
        times: dict[str, int] = {}
        for number in range(_MOST_TRIES):
            before = await source.in_redis(community, subjects)
            if number:
                await self.drain.flush(community)
            history = await source.in_sql(community, subjects)
            after = await source.in_redis(community, subjects) if number else before
            differing = []
            for subject, live, past, later in zip(subjects, before, history, after, strict=True):
                if live == past:
                    continue
                times[subject] = times.get(subject, 0) + (live == later)
                if times[subject] > _RECHECKS or number == _MOST_TRIES - 1:
                    self._list(source, community, subject, live, past)
                else:
                    differing.append(subject)
            if not differing:
                return
            subjects = differing
            await asyncio.sleep(_PAUSE_S)

    def _list(self, source: Source, community: str, subject: str, live: Figures, past: Figures) -> None:
        for label in sorted(live.keys() | past.keys()):
            redis, sql = live.get(label, 0), past.get(label, 0)
            if redis != sql:
                for shown, here, there in explain(label, redis, sql):
                    member, what = source.name(subject, shown)
                    self.add(Disagreement(community, member, what, here, there, _REBUILD))


async def _check_outboxes(check: _Check, redis: RedisClient, keys: Keys) -> None:
    """Drain everything; an outbox whose first entry is still there afterwards does not get empty."""
    outboxes = [keys.of_shard(shard, "outbox") for shard in range(keys.shards)]
    firsts = await _first_entries(redis, outboxes)
    await check.drain.flush_all()
    for outbox, first, now in zip(outboxes, firsts, await _first_entries(redis, outboxes), strict=True):
        if first and first == now:
            waiting = await redis.call("XLEN", outbox)
            cure = "the drain does not get through, see the server's log"
            check.add(Disagreement("", "", f"entries waiting in {outbox}", waiting, None, cure))
    async for names in redis.scan(keys.pattern("outbox")):
        for name in set(names).difference(outboxes):
            waiting = await redis.call("XLEN", name)
            if waiting:
                what = f"entries waiting in {name}, outside storage.shards"
                check.add(Disagreement("", "", what, waiting, None, "run.py rebuild drains them"))


async def _first_entries(redis: RedisClient, outboxes: list[str]) -> list[bytes]:
    rows = await asyncio.gather(*(redis.call("XRANGE", outbox, "-", "+", "COUNT", 1) for outbox in outboxes))
    return [row[0][0] if row else b"" for row in rows]


async def _check_duplicates(check: _Check, database: Database, community: str) -> None:
    async for rows in LedgerHistory(database).duplicates(community):
        for row in rows:
            if check.is_full:
                return
            rule = f" by {row.rule}" if row.rule else ""
            what = f"ledger entries for {row.reason}{rule} of cause {row.cause}"
            cure = "one is right: take the others back with a reversal"
            check.add(Disagreement(community, row.member, what, None, row.entries, cure))


async def _check_rounds(check: _Check, history: RoundHistory, community: str) -> None:
    """List ended rounds whose figures, moves and ledger entries do not sum up; each is one state of SQL."""
    async for rows in history.unbalanced(community):
        for row in rows:
            for what, found in _faults_of_round(row):
                if check.is_full:
                    return
                id_ = row.round.round.id
                cure = f"run.py verify-round {id_} says more; correct points with a grant or a reversal"
                check.add(Disagreement(community, "", f"round {id_}: {what}", None, found, cure))
    async for ids in history.unknown_rounds(community):
        for id_ in ids:
            if check.is_full:
                return
            what = f"round {id_}: has ledger entries or moves, but history does not know it"
            check.add(Disagreement(community, "", what, None, 1, "look for it in drain_faults"))


def _faults_of_round(row: Unbalanced) -> Iterator[tuple[str, int]]:
    """Yield what is wrong with a round, and the figure that does not fit."""
    one = row.round.round
    put_in = one.pot + one.staked + one.house
    paid_by_payer = one.pot - one.refund if one.payer else 0
    for is_right, what, found in (
        (
            put_in == one.paid + one.refund,
            f"paid and given back, where {put_in} were put in",
            one.paid + one.refund,
        ),
        (row.moves == row.round.moves, f"moves, where it had {row.round.moves} at its end", row.moves),
        (row.staked == one.staked, f"points staked by its moves, where it had {one.staked}", row.staked),
        (row.house == one.house, f"points held back for its moves, where it had {one.house}", row.house),
        (row.given == one.paid, f"points given by the ledger, where it paid {one.paid}", row.given),
        (row.put_in == one.staked, f"points staked by the ledger, where it had {one.staked}", row.put_in),
        (
            row.from_payer == paid_by_payer,
            f"points of who paid by the ledger, where it used {paid_by_payer}",
            row.from_payer,
        ),
    ):
        if not is_right:
            yield what, found


async def _check_faults(check: _Check, database: Database) -> None:
    for fault in await read_faults(database):
        what = f"entry {fault.id} could not be drained ({fault.problem})"
        cure = "its content is in drain_faults.raw: enter what it says, then delete the row"
        check.add(Disagreement("", "", what, None, 1, cure))
