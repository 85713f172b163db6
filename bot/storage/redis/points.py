"""Points: one balance per member, changed only together with its ledger entry.

Redis away: `StoreUnavailableError` and no points; nothing that hands out value fails open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from bot.day import Day
from bot.errors import RefusedError
from bot.model import Community
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys

MOST_POINTS = 1_000_000_000  # per entry; sums stay far below 2**53, where Lua's numbers end
REVERSAL_MEMORY_MS = 3650 * 86_400_000  # an entry is taken back once, not once per order to do so


class Span(StrEnum):
    """The time a ranking covers."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Granted:
    """What an order of points did; `again` when the same order had been carried out before."""

    balance: int
    again: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """One line of a ranking; members of equal points share a place."""

    place: int
    member: str
    points: int


def board_keys(keys: Keys, community: str, day: Day) -> list[str]:
    """Return the keys of the rankings a change on `day` belongs to: the day, its week, its month, all."""
    board = f"{keys.prefix(community)}board:{community}:"
    return [f"{board}day:{day.iso}", f"{board}week:{day.week}", f"{board}month:{day.month}", f"{board}all"]


def ledger_keys(keys: Keys, community: str, member: str, day: Day) -> list[str]:
    """Return the first six KEYS of every act that posts to the ledger (scripts/lib/ledger.lua)."""
    prefix = keys.prefix(community)
    return [
        f"{prefix}member:{community}:{member}",
        f"{prefix}outbox",
        *board_keys(keys, community, day),
    ]


def cause_mark(cause: str, member: str) -> str:
    """Return the short name under which the effect of `cause` on `member` is remembered."""
    return blake2b(f"{cause}\0{member}".encode(), digest_size=12).hexdigest()


def grant_key(keys: Keys, community: str, member: str, *, cause: str, reverses: str = "") -> str:
    """Return the key that remembers an order of points; that of a reversal is the entry's it takes back."""
    mark = cause_mark(f"reverses:{reverses}" if reverses else cause, member)
    return keys.key("once", community, "grant", mark)


class Points:
    """Balances and rankings."""

    def __init__(self, redis: RedisClient, keys: Keys, *, event_memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = event_memory_ms

    async def balance(self, community: str, member: str) -> int:
        """Return the member's points; 0 for one who never had any."""
        return int(await self._redis.call("HGET", self._keys.key("member", community, member), "points") or 0)

    async def grant(
        self,
        community: Community,
        member: str,
        delta: int,
        *,
        reason: str,
        cause: str,
        day: Day,
        at_ms: int,
        operator: str = "",
        note: str = "",
        reverses: str = "",
    ) -> Granted:
        """Give (`delta` above 0) or take points by order; the same `cause` has one effect.

        `reverses` is the id of the entry that is taken back: that happens once, whatever the cause, and only
        so may a balance fall below zero.

        Raises:
            RefusedError: `delta` is 0 or too large, or the member has too few points.
        """
        if not 0 < abs(delta) <= MOST_POINTS:
            raise RefusedError(f"points must be a whole number from 1 to {MOST_POINTS}, or the same below 0")
        word, balance = await self._redis.script(
            "grant",
            [
                *ledger_keys(self._keys, community.id, member, day),
                grant_key(self._keys, community.id, member, cause=cause, reverses=reverses),
            ],
            [
                community.id, member, day.iso, delta, reason, cause, at_ms, operator, note, reverses,
                REVERSAL_MEMORY_MS if reverses else self._memory_ms, int(bool(reverses)),
            ],
        )  # fmt: skip
        if word == b"poor":
            raise RefusedError(f"{member} has {balance} points, {-delta} cannot be taken")
        return Granted(balance=balance, again=word == b"again")

    async def ranking(
        self, community: str, span: Span, day: Day, most: int = 10, first: int = 0
    ) -> list[Placed]:
        """Return the members with the most points gained in the span (ledger sums above 0), best first."""
        board = self._board(community, span, day)
        rows = await self._redis.call(
            "ZRANGE", board, "+inf", "(0", "BYSCORE", "REV", "LIMIT", first, most, "WITHSCORES"
        )
        placed: list[Placed] = []
        for i in range(0, len(rows), 2):
            member, points = rows[i].decode(), int(rows[i + 1])
            if placed and placed[-1].points == points:
                place = placed[-1].place
            elif placed or not first:
                place = first + len(placed) + 1
            else:
                place = await self._better(board, points) + 1
            placed.append(Placed(place, member, points))
        return placed

    async def place(self, community: str, span: Span, day: Day, member: str) -> Placed | None:
        """Return where one member stands in a ranking; None for one without points in it."""
        board = self._board(community, span, day)
        score = await self._redis.call("ZSCORE", board, member)
        if score is None or int(score) <= 0:
            return None
        return Placed(await self._better(board, int(score)) + 1, member, int(score))

    def _board(self, community: str, span: Span, day: Day) -> str:
        return board_keys(self._keys, community, day)[list(Span).index(span)]

    async def _better(self, board: str, points: int) -> int:
        count: int = await self._redis.call("ZCOUNT", board, f"({points}", "+inf")
        return count


def milestones_text(milestones: Sequence[tuple[int, int]]) -> str:
    """Return milestones as the scripts read them: ``3=10,7=30``."""
    return ",".join(f"{streak}={points}" for streak, points in milestones if points)
