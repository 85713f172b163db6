"""Check-ins: once per member and community-day, with streak, total and rank of the day.

Redis away: `StoreUnavailableError`, no check-in; the platform repeats the callback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from bot.day import Day
from bot.model import CheckInRules, Community, Event
from bot.storage.redis.client import RedisClient
from bot.storage.redis.inbox import COUNTERS_KEPT_MS, Ticket
from bot.storage.redis.keys import Keys
from bot.storage.redis.points import cause_mark, ledger_keys, milestones_text

_DAY_MS = 86_400_000
_BLOCK_DAYS = 30
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """What came of a check-in.

    `done` is False when another message had checked the member in for that day; then the figures are that
    one's, and `rank` is 0 when they are no longer kept. `points` includes `bonus`.
    """

    done: bool
    streak: int
    total: int
    rank: int
    points: int
    bonus: int
    balance: int


class CardRefused(StrEnum):
    """Why a make-up card was not used."""

    NOTHING_MISSED = "none"
    MONTH_LIMIT = "limit"
    TOO_FEW_POINTS = "poor"


@dataclass(frozen=True, slots=True)
class MadeUp:
    """What came of a make-up card; `day` is the day made up, or the one it would have been."""

    refused: CardRefused | None
    day: date | None = None
    streak: int = 0
    total: int = 0
    cost: int = 0
    bonus: int = 0
    balance: int = 0
    limit: int = 0


class CheckIns:
    """Typed access to check-ins."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def check_in(self, ticket: Ticket, community: Community) -> CheckedIn:
        """Check the sender in on the event's community-day; the same event always has the same result."""
        event, day = ticket.event, ticket.day
        prefix = self._keys.prefix(community.id)
        word, *figures = await self._redis.script(
            "check_in",
            [
                *ledger_keys(self._keys, community.id, event.member_id, day),
                self._calendar(community.id, event.member_id),
                self._of_day(community.id, day.iso),
                f"{prefix}day:{ticket.counters}",
                f"{prefix}unwritten",
            ],
            [
                community.id, event.member_id, day.iso, day.number, event.id, event.sent_at_ms,
                community.check_in.points, milestones_text(community.check_in.milestones),
                COUNTERS_KEPT_MS, COUNTERS_KEPT_MS, ticket.counters,
            ],
        )  # fmt: skip
        return CheckedIn(word != b"already", *figures)

    async def make_up(self, event: Event, community: Community, today: Day) -> MadeUp:
        """Use a make-up card for the latest missed day; the same event always has the same result."""
        rules = community.check_in
        candidates = [today.date - timedelta(days=back) for back in range(1, rules.make_up_days_back + 1)]
        if not candidates:
            return MadeUp(CardRefused.NOTHING_MISSED)
        word, *rest = await self._redis.script(
            "make_up",
            [
                *ledger_keys(self._keys, community.id, event.member_id, today),
                self._calendar(community.id, event.member_id),
                make_up_key(self._keys, community.id, event.member_id, event.id),
            ],
            [
                community.id, event.member_id, today.iso, len(candidates), event.id, event.sent_at_ms,
                rules.make_up_cost, milestones_text(rules.milestones),
                make_up_memory_ms(rules),
                rules.make_up_per_month, today.number - 1, *(day.isoformat() for day in candidates),
            ],
        )  # fmt: skip
        if word in {b"done", b"again"}:
            streak, total, cost, bonus, balance, day = rest
            return MadeUp(None, date.fromisoformat(day.decode()), streak, total, cost, bonus, balance)
        refused = CardRefused(word.decode())
        if refused is CardRefused.MONTH_LIMIT:
            return MadeUp(refused, date.fromisoformat(rest[1].decode()), limit=rest[0])
        if refused is CardRefused.TOO_FEW_POINTS:
            return MadeUp(refused, date.fromisoformat(rest[2].decode()), cost=rest[0], balance=rest[1])
        return MadeUp(refused)

    async def days(self, community: str, member: str, first: date, last: date) -> set[date]:
        """Return the days from `first` to `last`, both included, on which the member checked in."""
        start, end = _number(first), _number(last)
        blocks = range(start // _BLOCK_DAYS, end // _BLOCK_DAYS + 1)
        values = await self._redis.call(
            "HMGET", self._calendar(community, member), *(f"b{block}" for block in blocks)
        )
        marked: set[date] = set()
        for block, value in zip(blocks, values, strict=True):
            bits = int(value or 0)
            marked.update(
                first + timedelta(days=number - start)
                for number in range(max(start, block * _BLOCK_DAYS), min(end, block * _BLOCK_DAYS + 29) + 1)
                if bits >> (number % _BLOCK_DAYS) & 1
            )
        return marked

    async def streak(self, community: str, member: str, today: Day) -> int:
        """Return the days in a row up to today, or up to yesterday while today may still be added."""
        length, last = 0, today.date
        while True:
            first = last - timedelta(days=89)
            marked = await self.days(community, member, first, last)
            if last == today.date and last not in marked:
                last -= timedelta(days=1)
            while last >= first and last in marked:
                length += 1
                last -= timedelta(days=1)
            if last >= first:
                return length

    async def total(self, community: str, member: str) -> int:
        """Return on how many days the member ever checked in."""
        return int(await self._redis.call("HGET", self._calendar(community, member), "total") or 0)

    def _calendar(self, community: str, member: str) -> str:
        return calendar_key(self._keys, community, member)

    def _of_day(self, community: str, iso: str) -> str:
        return day_results_key(self._keys, community, iso)


def calendar_key(keys: Keys, community: str, member: str) -> str:
    """Return the key of a member's check-in days (scripts/lib/calendar.lua)."""
    return keys.key("check_in", community, member)


def day_results_key(keys: Keys, community: str, iso: str) -> str:
    """Return the key of the results of all check-ins of one community-day."""
    return keys.key("check_ins", community, iso)


def make_up_key(keys: Keys, community: str, member: str, cause: str) -> str:
    """Return the key of the result of one event that used a make-up card."""
    return keys.key("once", community, "make_up", cause_mark(cause, member))


def make_up_memory_ms(rules: CheckInRules) -> int:
    """Return how long that result is kept."""
    return COUNTERS_KEPT_MS + rules.make_up_days_back * _DAY_MS


def calendar_fields(days: Iterable[tuple[date, bool]]) -> dict[str, int]:
    """Return the hash that holds the days checked in on, each with whether a make-up card paid for it.

    Fields: ``b<block>`` 30 days as bits, ``total``, ``u<yyyymm>`` cards used for a month; empty for no days.
    """
    fields: dict[str, int] = {}
    for day, made_up in days:
        number = _number(day)
        block = f"b{number // _BLOCK_DAYS}"
        fields[block] = fields.get(block, 0) | 1 << number % _BLOCK_DAYS
        fields["total"] = fields.get("total", 0) + 1
        if made_up:
            month = f"u{day:%Y%m}"
            fields[month] = fields.get(month, 0) + 1
    return fields


def calendar_days(fields: Mapping[str, int]) -> set[date]:
    """Return the days that such a hash holds."""
    return {
        _EPOCH + timedelta(days=int(name[1:]) * _BLOCK_DAYS + place)
        for name, bits in fields.items()
        if name.startswith("b")
        for place in range(_BLOCK_DAYS)
        if bits >> place & 1
    }


def _number(day: date) -> int:
    return (day - _EPOCH).days
