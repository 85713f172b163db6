"""Writes what the drain took from Redis: once, however often and in whatever pieces it is handed over.

Ledger entries, check-ins and moves of rounds are written once and never changed. Members, deliveries,
opt-outs and rounds are states: the one with the latest place in the outbox stays. Counters only grow: the
greatest value stays, so neither a reading that was overtaken nor a Redis that lost its memory can lower the
history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, select

from bot.storage.slices import in_slices
from bot.storage.sql import tables
from bot.storage.sql.entries import (
    DrainedEntry,
    ParsedActivity,
    ParsedEntries,
    fault_row,
    parse_activity,
    parse_entries,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Column, ColumnElement, Table

    from bot.storage.sql.activity import ActivityRow
    from bot.storage.sql.database import Database, Insert
    from bot.storage.sql.entries import Row

__all__ = ["DrainFault", "DrainedEntry", "read_faults", "write_drained", "write_fault"]


@dataclass(frozen=True, slots=True)
class DrainFault:
    """An entry that could not be read; `raw` is its JSON, `problem` names the field that is wrong."""

    id: str
    raw: str = field(repr=False)
    problem: str


async def write_drained(
    database: Database, entries: Sequence[DrainedEntry], activity: Sequence[ActivityRow]
) -> int:
    """Write a batch in one transaction; when this returns it is durable and may be deleted from Redis.

    An entry that cannot be read is kept in `drain_faults`, so that it neither stops the others nor is lost.

    Args:
        database: Where to.
        entries: Outbox entries; those of one stream in the order of the stream.
        activity: Absolute counters as Redis has them now.

    Returns:
        How many entries and counters could not be read.

    Raises:
        StoreUnavailableError: The database did not answer; hand the same batch over again.
        RowRefusedError: It refuses what a row holds; nothing of the batch was written.
        StoreError: It refused; nothing of the batch was written.
    """
    parsed, seen = ParsedEntries(), ParsedActivity()
    async for some_entries in in_slices(entries):
        parse_entries(some_entries, parsed)
    async for some_counters in in_slices(activity):
        parse_activity(some_counters, seen)
    faults = parsed.faults + seen.faults
    steps = [
        (_once(database, tables.ledger), parsed.ledger),
        (_once(database, tables.check_ins), parsed.check_ins),
        (_latest(database, tables.members, without=("first_seen_ms", "last_seen_ms")), parsed.members),
        (_latest(database, tables.deliveries), parsed.deliveries),
        (_latest(database, tables.opt_outs), parsed.opt_outs),
        (_latest(database, tables.rounds), parsed.rounds),
        (_once(database, tables.round_moves), parsed.moves),
        (_greatest(database), seen.activity),
        (_seen(database, tables.members), seen.seen),
        (_seen(database, tables.chat_groups), seen.groups),
        (_once(database, tables.drain_faults), faults),
    ]
    if entries or activity:
        async with database.write() as connection:
            for statement, rows in steps:
                if rows:  # whole: the driver writes in a thread of its own, and many small writes cost more
                    await connection.execute(statement, _in_key_order(statement.table, rows))
    return len(faults)


async def write_fault(database: Database, refused: DrainedEntry | ActivityRow, problem: str) -> None:
    """Keep an entry, or counters, that the database refuses although they can be read.

    Raises:
        StoreError: The database is away, or refuses even that.
    """
    async with database.write() as connection:
        await connection.execute(_once(database, tables.drain_faults), [fault_row(refused, problem)])


async def read_faults(database: Database, *, limit: int = 100) -> tuple[DrainFault, ...]:
    """Return up to `limit` of the entries that could not be read, by id."""
    rows = await database.fetch(select(tables.drain_faults).order_by(tables.drain_faults.c.id).limit(limit))
    return tuple(DrainFault(*row) for row in rows)


def _in_key_order(table: Any, rows: list[Row]) -> list[Row]:
    # Two transactions that lock rows in one order cannot wait for each other. The sort is stable.
    keys = [column.name for column in table.primary_key]
    return sorted(rows, key=lambda row: tuple(row[key] for key in keys))


def _once(database: Database, table: Table) -> Insert:
    return database.insert(table).on_conflict_do_nothing(index_elements=_key(table))


def _latest(database: Database, table: Table, without: tuple[str, ...] = ()) -> Insert:
    statement = database.insert(table)
    new = statement.excluded
    names = [column.name for column in table.c if not column.primary_key and column.name not in without]
    return statement.on_conflict_do_update(
        index_elements=_key(table),
        set_={name: new[name] for name in names},
        where=new.position > table.c.position,
    )


def _greatest(database: Database) -> Insert:
    statement = database.insert(tables.activity)
    new, old = statement.excluded, tables.activity.c
    names = ("messages", "check_ins", "plays", "events", "last_at_ms")
    return statement.on_conflict_do_update(
        index_elements=_key(tables.activity),
        set_={name: _pick(old[name] > new[name], old[name], new[name]) for name in names},
    )


def _seen(database: Database, table: Table) -> Insert:
    statement = database.insert(table)
    new, old = statement.excluded, table.c
    # A comparison with NULL, never seen before, picks the new value.
    return statement.on_conflict_do_update(
        index_elements=_key(table),
        set_={
            "first_seen_ms": _pick(
                old.first_seen_ms < new.first_seen_ms, old.first_seen_ms, new.first_seen_ms
            ),
            "last_seen_ms": _pick(old.last_seen_ms > new.last_seen_ms, old.last_seen_ms, new.last_seen_ms),
        },
    )


def _pick(condition: ColumnElement[bool], chosen: Any, other: Any) -> ColumnElement[Any]:
    return case((condition, chosen), else_=other)


def _key(table: Table) -> Iterable[Column[Any]]:
    return table.primary_key.columns
