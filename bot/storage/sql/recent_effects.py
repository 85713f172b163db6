"""What lately happened once and must not happen again: the results that Redis remembers by their cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import or_, select

from bot.storage.sql.check_ins import CheckIn
from bot.storage.sql.database import Database
from bot.storage.sql.pages import within_int64
from bot.storage.sql.tables import check_ins, ledger

_CAUSES = 500  # per query
_OWN_REASONS = ("check_in", "milestone", "make_up")  # their results stand in the check-ins


@dataclass(slots=True)
class PaidCheckIn:
    """A check-in with what the ledger says of its cause.

    Attributes:
        row: The check-in.
        cost: Points a make-up card cost, 0 for others.
        bonus: Points of milestones.
        balance: The member's balance after it; None where it changed no points.
    """

    row: CheckIn
    cost: int = 0
    bonus: int = 0
    balance: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A ledger entry made by order; `made_at_ms` is when Redis made it, Unix milliseconds."""

    member: str
    cause: str
    reverses: str
    balance_after: int
    made_at_ms: int


async def recent_check_ins(
    database: Database, community: str, members: Sequence[str], since: date
) -> list[PaidCheckIn]:
    """Return the check-ins of a few members for the days from `since` on.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    row = check_ins.c
    query = select(check_ins).where(row.community == community, row.member.in_(members), row.day >= since)
    paid = [PaidCheckIn(CheckIn(*found)) for found in await database.fetch(query)]
    by_cause = {(found.row.member, found.row.cause): found for found in paid}
    causes = list({found.row.cause for found in paid})
    for start in range(0, len(causes), _CAUSES):
        await _add_payments(database, community, by_cause, causes[start : start + _CAUSES])
    return paid


async def _add_payments(
    database: Database, community: str, by_cause: dict[tuple[str, str], PaidCheckIn], causes: list[str]
) -> None:
    entry = ledger.c
    query = (
        select(entry.member, entry.cause, entry.reason, entry.delta, entry.balance_after)
        .where(entry.community == community, entry.cause.in_(causes), entry.reason.in_(_OWN_REASONS))
        .order_by(entry.position)
    )
    for member, cause, reason, delta, balance_after in await database.fetch(query):
        paid = by_cause.get((member, cause))
        if paid is not None:
            paid.balance = balance_after
            paid.cost -= delta if reason == "make_up" else 0
            paid.bonus += delta if reason == "milestone" else 0


async def recent_orders(database: Database, community: str, since_ms: int) -> AsyncIterator[list[Order]]:
    """Yield the orders of points made since an instant, and every reversal ever made, in chunks.

    What a round of a game changed is no order: the round itself remembers it.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    entry = ledger.c
    query = select(entry.member, entry.cause, entry.reverses, entry.balance_after, entry.position).where(
        entry.community == community,
        entry.reason.not_in(_OWN_REASONS),
        entry.round == "",
        or_(entry.position >= within_int64(since_ms << 20), entry.reverses != ""),
    )
    async for rows in database.stream(query):
        yield [
            Order(row.member, row.cause, row.reverses, row.balance_after, row.position >> 20) for row in rows
        ]
