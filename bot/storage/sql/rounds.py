"""Rounds of games as history: what was played, by whom, and what the ledger says of it.

A round is written when it begins and when it ends. What an open one holds meanwhile is the sum of its moves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, and_, case, cast, func, or_, select, tuple_

from bot.storage.redis.rounds import PlayedMove, Round, RoundState
from bot.storage.sql.pages import Page, check_limit, decode_cursor, paged
from bot.storage.sql.tables import OF_A_ROUND, ledger, round_moves, rounds

if TYPE_CHECKING:
    from sqlalchemy import Select, Subquery
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bot.storage.sql.database import Database, Record

_COLUMNS, _MOVE, _ENTRY = rounds.c, round_moves.c, ledger.c
# By the instant of the beginning, which never changes.
_NEWEST_FIRST = (_COLUMNS.at_ms, _COLUMNS.id)
_GIVEN, _PUT_IN, _PAYERS = ("round_share", "round_prize"), ("round_stake",), ("round_pay", "round_refund")


@dataclass(frozen=True, slots=True)
class KnownRound:
    """A round as far as it has come, and how many moves it has."""

    round: Round
    moves: int


class RoundSum(NamedTuple):
    """What the ledger says one member got (above 0) or gave in a round for one reason and rule."""

    member: str
    reason: str
    rule: str
    points: int


class Balance(NamedTuple):
    """A member's points after what one cause did in a round."""

    member: str
    cause: str
    points: int


@dataclass(frozen=True, slots=True)
class Unbalanced:
    """An ended round whose figures do not fit together, beside what its moves and the ledger say.

    Attributes:
        round: As it was written at its end; `moves` is how many it then had.
        moves: How many moves history has.
        staked: Points that those put in.
        house: Points that were held back for them.
        given: Points that members got by the ledger.
        put_in: Points that members put in by the ledger, as a number above 0.
        from_payer: What the ledger says who paid has given in the end: below 0 what they got back.
    """

    round: KnownRound
    moves: int
    staked: int
    house: int
    given: int
    put_in: int
    from_payer: int


class RoundHistory:
    """Reads what was drained of rounds; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    # ------------------------------------------------------------ rounds

    async def page(
        self,
        community: str,
        *,
        game: str | None = None,
        state: str | None = None,
        place: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[KnownRound]:
        """Return rounds of a community, the newest begun first; `place` is as of `Round.place`.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        query = _all_of(community)
        filters = ((_COLUMNS.game, game), (_COLUMNS.state, state), (_COLUMNS.place, place))
        for column, value in filters:
            if value is not None:
                query = query.where(column == value)
        if cursor is not None:
            query = query.where(tuple_(*_NEWEST_FIRST) < decode_cursor(cursor, int, str))
        query = query.order_by(*(column.desc() for column in _NEWEST_FIRST)).limit(check_limit(limit) + 1)
        return paged(await self._read(query), limit, lambda known: (known.round.at_ms, known.round.id))

    async def get(self, community: str, round_id: str) -> KnownRound | None:
        """Return the round of that id, None when it is unknown or not drained yet."""
        found = await self._read(_all_of(community).where(_COLUMNS.id == round_id))
        return found[0] if found else None

    async def find(self, round_id: str) -> KnownRound | None:
        """Return the round of that id, of whichever community; of several the first by community."""
        query = select(rounds).where(_COLUMNS.id == round_id).order_by(_COLUMNS.community).limit(1)
        found = await self._read(query)
        return found[0] if found else None

    async def among(self, community: str, ids: Sequence[str]) -> dict[str, KnownRound]:
        """Return those of a few rounds that are known, by id."""
        found = await self._read(_all_of(community).where(_COLUMNS.id.in_(ids)))
        return {known.round.id: known for known in found}

    async def open_rounds(self, community: str) -> AsyncIterator[tuple[str, ...]]:
        """Yield the ids of the open rounds of a community, the first begun first, in chunks."""
        query = select(_COLUMNS.id).where(_COLUMNS.community == community, _COLUMNS.state == "open")
        async for rows in self._database.stream(query.order_by(*_NEWEST_FIRST)):
            yield tuple(row.id for row in rows)

    async def _read(self, query: Select[Any]) -> list[KnownRound]:
        """Return rounds with what their moves sum up to, all of one state of the database."""
        async with self._database.read() as connection:
            found = [_known(row) for row in await connection.execute(query)]
            open_ones = [known.round for known in found if known.round.is_open]
            if not open_ones:
                return found
            sums = await _sums_of_moves(connection, open_ones)
        return [_so_far(known, sums) if known.round.is_open else known for known in found]

    # ------------------------------------------------------------ moves and points

    async def moves(self, community: str, round_id: str) -> tuple[PlayedMove, ...]:
        """Return the moves of a round in the order of receipt."""
        query = select(_MOVE.number, _MOVE.member, _MOVE.at_ms, _MOVE.said, _MOVE.stake, _MOVE.cause)
        query = query.where(_MOVE.community == community, _MOVE.round == round_id).order_by(_MOVE.number)
        moves: list[PlayedMove] = []
        async for rows in self._database.stream(query):
            moves.extend(PlayedMove(*row) for row in rows)
        return tuple(moves)

    async def sums(self, community: str, round_id: str) -> tuple[RoundSum, ...]:
        """Return the sums of the ledger's entries of a round, by member, reason and rule."""
        what = (_ENTRY.member, _ENTRY.reason, _ENTRY.rule)
        query = (
            select(*what, _whole_sum(_ENTRY.delta))
            .where(_ENTRY.community == community, OF_A_ROUND, _ENTRY.round == round_id)
            .group_by(*what)
            .order_by(*what)
        )
        return tuple(RoundSum(*row) for row in await self._database.fetch(query))

    async def balances(self, community: str, round_id: str) -> tuple[Balance, ...]:
        """Return what members had after the moves of a round that changed their points."""
        query = select(_ENTRY.member, _ENTRY.cause, _ENTRY.balance_after).where(
            _ENTRY.community == community,
            OF_A_ROUND,
            _ENTRY.round == round_id,
            _ENTRY.reason.in_(("round_share", "round_stake")),
        )
        return tuple(Balance(*row) for row in await self._database.fetch(query))

    async def spent(self, community: str, from_day: date) -> dict[date, int]:
        """Return what rounds have taken from the budget of each day from `from_day` on, less what came back.

        Below 0 where members have lost more stakes than they won.
        """
        held = (
            select(_MOVE.round, _whole_sum(_MOVE.house).label("house"))
            .join_from(
                round_moves, rounds, and_(_MOVE.community == _COLUMNS.community, _MOVE.round == _COLUMNS.id)
            )
            .where(_MOVE.community == community, _COLUMNS.state == "open")
            .group_by(_MOVE.round)
            .subquery()
        )
        taken = _COLUMNS.pot + _COLUMNS.house - _COLUMNS.refund + func.coalesce(held.c.house, 0)
        query = (
            select(_COLUMNS.day, _whole_sum(taken))
            .join_from(rounds, held, held.c.round == _COLUMNS.id, isouter=True)
            .where(_COLUMNS.community == community, _COLUMNS.day >= from_day, _COLUMNS.payer == "")
            .group_by(_COLUMNS.day)
            .order_by(_COLUMNS.day)
        )
        return {row[0]: row[1] for row in await self._database.fetch(query)}

    # ------------------------------------------------------------ do they fit together?

    async def unbalanced(self, community: str) -> AsyncIterator[tuple[Unbalanced, ...]]:
        """Yield the ended rounds whose figures do not fit together, by id, in chunks."""
        moved, posted = _moved(community), _posted(community)
        moves, staked, house = (func.coalesce(moved.c[name], 0) for name in ("moves", "staked", "house"))
        given, put_in, payers = (func.coalesce(posted.c[name], 0) for name in ("given", "put_in", "payers"))
        paid_in = _COLUMNS.pot + _COLUMNS.staked + _COLUMNS.house
        query = (
            select(rounds, moves, staked, house, given, put_in, payers)
            .join_from(rounds, moved, moved.c.round == _COLUMNS.id, isouter=True)
            .join(posted, posted.c.round == _COLUMNS.id, isouter=True)
            .where(
                _COLUMNS.community == community,
                _COLUMNS.state != "open",
                or_(
                    paid_in != _COLUMNS.paid + _COLUMNS.refund,
                    moves != _COLUMNS.moves,
                    staked != _COLUMNS.staked,
                    house != _COLUMNS.house,
                    given != _COLUMNS.paid,
                    put_in != _COLUMNS.staked,
                    payers != case((_COLUMNS.payer == "", 0), else_=_COLUMNS.pot - _COLUMNS.refund),
                ),
            )
            .order_by(_COLUMNS.id)
        )
        async for rows in self._database.stream(query):
            yield tuple(Unbalanced(_known(row), *tuple(row)[-6:]) for row in rows)

    async def unknown_rounds(self, community: str) -> AsyncIterator[tuple[str, ...]]:
        """Yield the ids of rounds that history knows only from the ledger or by moves, in chunks."""
        of_ledger = select(_ENTRY.round.label("round")).where(_ENTRY.community == community, OF_A_ROUND)
        of_moves = select(_MOVE.round.label("round")).where(_MOVE.community == community)
        named = of_ledger.union(of_moves).subquery()
        same = and_(_COLUMNS.id == named.c.round, _COLUMNS.community == community)
        query = select(named.c.round).join_from(named, rounds, same, isouter=True)
        async for rows in self._database.stream(query.where(_COLUMNS.id.is_(None)).order_by(named.c.round)):
            yield tuple(row.round for row in rows)


def _all_of(community: str) -> Select[Any]:
    return select(rounds).where(_COLUMNS.community == community)


def _moved(community: str) -> Subquery:
    """Return what the moves of each round sum up to."""
    return (
        select(
            _MOVE.round,
            func.count().label("moves"),
            _whole_sum(_MOVE.stake).label("staked"),
            _whole_sum(_MOVE.house).label("house"),
        )
        .where(_MOVE.community == community)
        .group_by(_MOVE.round)
        .subquery()
    )


def _posted(community: str) -> Subquery:
    """Return what the ledger's entries of each round sum up to."""

    def sum_of(reasons: Sequence[str], sign: int) -> Any:
        return _whole_sum(case((_ENTRY.reason.in_(reasons), sign * _ENTRY.delta), else_=0))

    return (
        select(
            _ENTRY.round,
            sum_of(_GIVEN, 1).label("given"),
            sum_of(_PUT_IN, -1).label("put_in"),
            sum_of(_PAYERS, -1).label("payers"),
        )
        .where(_ENTRY.community == community, OF_A_ROUND)
        .group_by(_ENTRY.round)
        .subquery()
    )


async def _sums_of_moves(connection: AsyncConnection, open_ones: Sequence[Round]) -> dict[Any, Record]:
    """Return moves, stakes, house, points and the last instant of each round that has moves."""
    key = (_MOVE.community, _MOVE.round)
    query = (
        select(
            *key,
            func.count().label("moves"),
            _whole_sum(_MOVE.stake).label("staked"),
            _whole_sum(_MOVE.house).label("house"),
            _whole_sum(_MOVE.points).label("paid"),
        )
        .where(
            _MOVE.community.in_(list({one.community for one in open_ones})),
            _MOVE.round.in_([one.id for one in open_ones]),
        )
        .group_by(*key)
    )
    return {(row.community, row.round): row for row in await connection.execute(query)}


def _so_far(known: KnownRound, sums: dict[Any, Record]) -> KnownRound:
    found = sums.get((known.round.community, known.round.id))
    if found is None:
        return known
    one = replace(known.round, staked=found.staked, house=found.house, paid=found.paid)
    return KnownRound(one, found.moves)


def _whole_sum(column: Any) -> Any:
    return cast(func.sum(column), BigInteger)  # PostgreSQL sums BIGINT to NUMERIC


def _known(row: Record) -> KnownRound:
    one = Round(
        id=row.id,
        community=row.community,
        game=row.game,
        place=row.place,
        state=RoundState(row.state),
        end=row.end,
        channel=row.channel,
        user_id=row.user_id,
        group_id=row.group_id,
        host=row.host,
        payer=row.payer,
        settings=row.settings,
        word=row.word,
        seed=row.seed,
        commitment=row.commitment,
        once=row.once,
        seats=tuple(int(points) for points in row.shares.split()),
        pot=row.pot,
        staked=row.staked,
        house=row.house,
        paid=row.paid,
        refund=row.refund,
        at_ms=row.at_ms,
        ends_at_ms=row.ends_at_ms,
        ended_at_ms=row.ended_at_ms,
        day=row.day.isoformat(),
        facts=row.facts,
    )
    return KnownRound(one, row.moves)
