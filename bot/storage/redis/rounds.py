"""Rounds of games as the live state holds them: begun, played and ended, each by one atomic act.

What a round is made of stands in `scripts/lib/round.lua`. The order of its moves is the order in which Redis
received them; every process that replays them finds the same state.

Redis away: `StoreUnavailableError`; nothing is begun, played or paid, and each act may be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from bot.day import Day
from bot.storage.redis.check_ins import day_results_key
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.inbox import COUNTERS_KEPT_MS, Ticket
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value
from bot.storage.redis.new_delivery import delivery_args, delivery_keys
from bot.storage.redis.points import board_keys, ledger_keys
from bot.storage.redis.script_all import ScriptCall, script_all

_DAY_MS = 86_400_000
MOST_MOVES = 100_000  # of one round
_FULL_DUE_MS = 3_000  # after its last seat was taken a round that nobody has ended is ended by a sweeper


class RoundState(StrEnum):
    """How far a round is: open; closed, it was played to its end; expired, its time was up; cancelled."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OpenRound(NamedTuple):
    """An open round as a chat knows it; `word` is the text it listens to in normal form, ``*`` for any."""

    id: str
    game: str
    word: str


class PlayedMove(NamedTuple):
    """One move as it was received; see `games.rules.Move`. `cause` is the event's id."""

    number: int
    member: str
    at_ms: int
    said: str
    stake: int
    cause: str


@dataclass(frozen=True, slots=True)
class Round:
    """A round as it stands.

    Attributes:
        id: Unique within its community.
        community: Community id.
        game: Name of the game.
        place: ``<channel>:<group id>`` where it is played; ``*`` for the direct chats of the whole community.
        state: How far it is.
        end: Why it ended (`games.rules.End`), empty while it is open.
        channel: Channel of whoever began it; empty where the API did without a group.
        user_id: Who that is for the platform; empty for the API.
        group_id: The chat group; empty for none.
        host: Who began it: a member id, or ``api:<token name>``.
        payer: The member whose points are the pot; empty for the community's budget.
        settings: How it is played, JSON.
        word: What it listens to; see `OpenRound`.
        seed: The secret, hexadecimal. Shown to nobody before the end.
        commitment: SHA-256 of the seed, hexadecimal.
        once: Whether a member moves once.
        seats: What each seat holds, in order; empty for games without.
        pot: Points put in by who pays.
        staked: Points put in by members.
        house: Points held back from the budget for what stakes may win.
        paid: Points given to members.
        refund: Points given back to who paid.
        at_ms: When it began, Unix milliseconds.
        ends_at_ms: When its time is up.
        ended_at_ms: When it ended; 0 while it is open.
        day: The community-day whose budget it uses, ``YYYY-MM-DD``.
        facts: What its texts tell of the end, JSON.
        answer_to: What the platform gave last to answer with (`bot.model.Event.answer_to`); a secret.
        ended_by: The event that ended it; empty for none. Only Redis knows it.
    """

    id: str
    community: str
    game: str
    place: str
    state: RoundState
    end: str
    channel: str
    user_id: str
    group_id: str
    host: str
    payer: str
    settings: str
    word: str
    seed: str
    commitment: str
    once: bool
    seats: tuple[int, ...]
    pot: int
    staked: int
    house: int
    paid: int
    refund: int
    at_ms: int
    ends_at_ms: int
    ended_at_ms: int
    day: str
    facts: str
    answer_to: str = ""
    ended_by: str = ""

    def __repr__(self) -> str:
        """Name the round, without its secrets."""
        return f"Round({self.community} {self.id} {self.game} {self.state})"

    @property
    def is_open(self) -> bool:
        """Whether it still goes on."""
        return self.state is RoundState.OPEN


class OpenRefused(StrEnum):
    """Why no round was begun."""

    BUSY = "busy"  # one of its kind is open in the place
    RESTING = "resting"  # the game rests there for a while
    POOR = "poor"  # who pays has too few points
    BUDGET = "budget"  # the community's budget of the day has too few


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of beginning a round.

    `figure` belongs to a refusal: the instant (Unix ms) until which the game rests, the points of who pays,
    or what is left of the budget; `busy_id` is the round that is open. `again`: it had been begun before.
    """

    refused: OpenRefused | None = None
    figure: int = 0
    busy_id: str = ""
    again: bool = False


class MoveWord(StrEnum):
    """What came of a move."""

    DONE = "done"
    AGAIN = "again"  # this very event had made it before; the same result
    ALREADY = "already"  # another event of the member had moved, and each moves once
    OVER = "over"  # the round is over, or unknown
    GONE = "gone"  # every seat is taken
    FULL = "full"  # the round has as many moves as it may have
    CAPPED = "capped"  # the member has played, won or staked enough for today
    POOR = "poor"  # too few points for the stake
    BUDGET = "budget"  # the budget cannot hold back what the stake may win
    REFUSED = "refused"  # the member does not fulfil a condition


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move without a seat.

    `number` is that of the member's move (of their first, with ALREADY); `balance` their points after it, or
    of who has too few; `moves` those the caller had not seen, in order; `why` names the cap.
    """

    word: MoveWord
    number: int = 0
    balance: int = 0
    moves: tuple[PlayedMove, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking a seat: its number from 0, its points, how many are left; `why` as in `Moved`."""

    word: MoveWord
    number: int = 0
    points: int = 0
    balance: int = 0
    left: int = 0
    at_ms: int = 0
    why: str = ""


class Paid(NamedTuple):
    """One award of a settlement; of its points `won` count as won, since what the member put in does not."""

    member: str
    points: int
    why: str
    won: int = 0


class Caps(NamedTuple):
    """What one member may do a community-day; 0 is no limit.

    `plays` and `won` count in one game, `staked` over all; `budget` is what the community gives a day.
    """

    plays: int
    won: int
    staked: int
    budget: int


@dataclass(frozen=True, slots=True)
class NewRound:
    """A round that is to begin, under its limits.

    Attributes:
        round: What it will be.
        cause: The event id, or ``api:<request_id>``, that asked for it.
        budget_per_day: Points the community gives a day.
        most_open: Rounds of this game at a time in one place.
        checked_in: Whether only who has checked in today may take a seat.
        joined_before_ms: Who is seen to have joined at this instant or later may take no seat; 0 for anybody.
    """

    round: Round
    cause: str
    budget_per_day: int
    most_open: int
    checked_in: bool = False
    joined_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a round is to end.

    Attributes:
        state: Its state after it.
        end: Why it ends.
        awards: Who gets what.
        made_of: How many moves that was made of; None where later ones do not matter.
        facts: What its texts tell of it, JSON.
        cause: The event that ends it; empty for none.
        rest_ms: How long the game rests in the place.
        deliveries: Who is told, each due at the instant beside it.
    """

    state: RoundState
    end: str
    awards: tuple[Paid, ...]
    made_of: int | None
    facts: str
    cause: str = ""
    rest_ms: int = 0
    deliveries: tuple[tuple[Delivery, int], ...] = ()


class EndWord(StrEnum):
    """What came of ending a round."""

    DONE = "done"
    AGAIN = "again"  # it had ended before
    MOVED = "moved"  # there are other moves by now: look again
    UNBALANCED = "unbalanced"  # it would give more than was put in: a fault of the rules
    UNKNOWN = "unknown"


def read_open(record: bytes) -> tuple[OpenRound, ...]:
    """Return the open rounds of a chat, as an event finds them: those of its group, then the community's."""
    rounds: list[OpenRound] = []
    for line in record.split(b"\n"):
        if line:
            rounds.extend(OpenRound(*row) for row in json.loads(line[1:]))
    return tuple(rounds)


def listens(record: bytes) -> bool:
    """Whether one of these rounds listens to what people write."""
    return record.startswith(b"w") or b"\nw" in record


class Rounds:
    """Typed access to rounds; `memory_ms` is how long an ended one is kept here."""

    def __init__(self, redis: RedisClient, keys: Keys, *, memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = memory_ms

    # ------------------------------------------------------------ looking

    async def get(self, community: str, round_id: str) -> Round | None:
        """Return a round; None for one that Redis does not know or no longer keeps."""
        row = await self._redis.call("HGETALL", self._keys.key("round", community, round_id))
        return _round(round_id, row)

    async def look(self, community: str, round_id: str) -> tuple[Round, int] | None:
        """Return a round and how many moves it has; None as of `get`."""
        row, moves = await self._redis.call_many(
            [
                ("HGETALL", self._keys.key("round", community, round_id)),
                ("LLEN", self._keys.key("round_moves", community, round_id)),
            ]
        )
        found = _round(round_id, row)
        return None if found is None else (found, moves)

    async def moves(self, community: str, round_id: str, first: int = 0) -> tuple[PlayedMove, ...]:
        """Return the moves of a round from the number `first` on, in the order of receipt."""
        key = self._keys.key("round_moves", community, round_id)
        return _moves(await self._redis.call("LRANGE", key, first, -1), first)

    async def open_in(self, community: str, place: str) -> bytes:
        """Return the open rounds of a place as `Taken.rounds` of the inbox holds them."""
        here, wide = await self._redis.call("HMGET", self._open(community), place, "*")
        if place == "*":
            here = None
        return b"\n".join((here or b"", wide or b"")) if here or wide else b""

    async def recent(self, community: str, place: str) -> tuple[tuple[str, str, int], ...]:
        """Return (id, game, ended at in Unix ms) of the last rounds that ended in a place, newest first."""
        row = await self._redis.call("HGET", self._recent(community), place)
        return tuple((id_, game, int(at)) for id_, game, at in json.loads(row or b"[]"))

    async def mark(self, community: str, round_id: str, ticket: Ticket) -> bool:
        """Whether this very event has made a move in a round."""
        key = self._keys.key("round_marks", community, round_id)
        return bool(await self._redis.call("HEXISTS", key, ticket.id))

    async def budget_spent(self, community: str, day: str) -> int:
        """Return the points of a day's budget that are spent."""
        return int(await self._redis.call("GET", self._budget(community, day)) or 0)

    # ------------------------------------------------------------ acting

    async def open(self, new: NewRound, day: Day) -> Opened:
        """Begin a round: pay its pot and let members play; the same id has one effect."""
        one, id_ = new.round, new.round.id
        community = one.community
        fields: list[Value] = [
            "channel", one.channel, "user_id", one.user_id, "group_id", one.group_id, "host", one.host,
            "answer_to", one.answer_to, "settings", one.settings, "seed", one.seed,
            "commitment", one.commitment, "once", int(one.once), "checked_in", int(new.checked_in),
            "joined_before_ms", new.joined_before_ms,
        ]  # fmt: skip
        word, figure = await self._redis.script(
            "round_open",
            [
                *ledger_keys(self._keys, community, one.payer, day),
                *self._of_round(community, id_, "round", "round_moves", "round_seats"),
                self._open(community),
                f"{self._keys.prefix(community)}rounds_due",
                self._budget(community, one.day),
                self._rests(community),
            ],
            [
                community, id_, one.at_ms, one.day, new.cause, one.place, one.game, one.ends_at_ms, one.pot,
                one.payer, new.budget_per_day, COUNTERS_KEPT_MS, new.most_open, one.word,
                len(one.seats), *one.seats, *fields,
            ],
        )  # fmt: skip
        if word == b"done":
            return Opened()
        if word == b"again":
            return Opened(again=True)
        refused = OpenRefused(word.decode())
        if refused is OpenRefused.BUSY:
            return Opened(refused, busy_id=figure.decode())
        return Opened(refused, figure)

    async def move(
        self,
        ticket: Ticket,
        played: Round,
        said: str,
        stake: int,
        house: int,
        caps: Caps,
        seen: int,
        now_ms: int,
    ) -> Moved:
        """Receive a move of the sender, one for each event; `seen` is how many moves the caller knows."""
        event = ticket.event
        word, *rest = await self._redis.script(
            "round_move",
            [*self._of_move(ticket, played), self._budget(played.community, played.day)],
            [
                *_who(ticket, played, now_ms), said, stake, house, ticket.counters, COUNTERS_KEPT_MS,
                caps.plays, caps.won, caps.staked, caps.budget, event.answer_to, MOST_MOVES, seen,
            ],
        )  # fmt: skip
        found = MoveWord(word.decode())
        if found in {MoveWord.DONE, MoveWord.AGAIN, MoveWord.ALREADY}:
            number, balance, rows = rest
            return Moved(found, number, balance, _moves(rows, seen))
        if found is MoveWord.CAPPED:
            return Moved(found, why=rest[0].decode())
        return Moved(found, balance=rest[0] if found is MoveWord.POOR else 0)

    async def take(self, ticket: Ticket, played: Round, caps: Caps, now_ms: int) -> Taken:
        """Take the next seat for the sender; the same event, and the same member, takes one."""
        return _taken(await self._redis.script("round_take", *self.take_call(ticket, played, caps, now_ms)))

    def take_call(self, ticket: Ticket, played: Round, caps: Caps, now_ms: int) -> ScriptCall:
        """Return KEYS and ARGV of scripts/round_take.lua."""
        keys = [
            *self._of_move(ticket, played),
            self._keys.key("round_seats", played.community, played.id),
            day_results_key(self._keys, played.community, ticket.day.iso),
            f"{self._keys.prefix(played.community)}rounds_due",
        ]
        args = [
            *_who(ticket, played, now_ms), ticket.counters, COUNTERS_KEPT_MS, caps.plays, caps.won,
            ticket.event.answer_to, now_ms + _FULL_DUE_MS,
        ]  # fmt: skip
        return keys, args

    async def end(self, played: Round, ending: Ending, day: Day, now_ms: int) -> tuple[EndWord, int]:
        """End a round: pay the awards, give the rest back, and queue what is to be told, in one step.

        Returns:
            What came of it, and the refund.
        """
        community, prefix = played.community, self._keys.prefix(played.community)
        awards = ending.awards
        deliveries = [
            (delivery_keys(prefix, one)[:3], delivery_args(one, due)) for one, due in ending.deliveries
        ]
        word, figure = await self._redis.script(
            "round_end",
            [
                *self._of_round(community, played.id, "round", "round_moves"),
                self._open(community),
                f"{prefix}rounds_due",
                self._budget(community, played.day),
                f"{prefix}outbox",
                *board_keys(self._keys, community, day),
                self._rests(community),
                self._recent(community),
                self._caps(community, day.iso),
                *self._of_round(community, played.id, "round_marks", "round_players", "round_seats"),
                self._keys.key("member", community, played.payer),
                *(self._keys.key("member", community, award.member) for award in awards),
                *(key for keys, _ in deliveries for key in keys),
            ],
            [
                community, played.id, now_ms, day.iso, ending.state.value, ending.end,
                -1 if ending.made_of is None else ending.made_of, ending.rest_ms, self._memory_ms,
                COUNTERS_KEPT_MS, ending.facts, ending.cause,
                len(awards), *(value for award in awards for value in award),
                len(deliveries),
                *(
                    value
                    for _, (id_, due, *fields) in deliveries
                    for value in (id_, due, len(fields), *fields)
                ),
            ],
        )  # fmt: skip
        return EndWord(word.decode()), figure

    async def due(self, now_ms: int, until_ms: int, *, most: int = 20) -> list[tuple[str, str]]:
        """Take (community, id) of rounds whose time is up, up to `most` of each shard, until `until_ms`."""
        keys = [self._keys.of_shard(shard, "rounds_due") for shard in range(self._keys.shards)]
        waiting = await self._redis.call_many([("ZCOUNT", key, "-inf", now_ms) for key in keys])
        calls: list[ScriptCall] = [
            ([key], [now_ms, until_ms, most]) for key, count in zip(keys, waiting, strict=True) if count
        ]
        found = await script_all(self._redis, "round_due", calls)
        names = [name.decode().split(" ", 1) for rows in found for name in rows]
        return [(community, id_) for community, id_ in names]

    # ------------------------------------------------------------ names

    def _of_move(self, ticket: Ticket, played: Round) -> list[str]:
        prefix, community = self._keys.prefix(played.community), played.community
        one = f"{community}:{played.id}"
        return [
            *ledger_keys(self._keys, community, ticket.event.member_id, ticket.day),
            f"{prefix}round:{one}",
            f"{prefix}round_moves:{one}",
            f"{prefix}round_marks:{one}",
            f"{prefix}round_players:{one}",
            f"{prefix}day:{ticket.counters}",
            f"{prefix}unwritten",
            f"{prefix}round_caps:{community}:{ticket.day.iso}",
        ]

    def _of_round(self, community: str, round_id: str, *stores: str) -> list[str]:
        return [self._keys.key(store, community, round_id) for store in stores]

    def _open(self, community: str) -> str:
        return self._keys.key("rounds", community)

    def _recent(self, community: str) -> str:
        return self._keys.key("rounds_recent", community)

    def _rests(self, community: str) -> str:
        return self._keys.key("round_rests", community)

    def _budget(self, community: str, day: str) -> str:
        return budget_key(self._keys, community, day)

    def _caps(self, community: str, day: str) -> str:
        return self._keys.key("round_caps", community, day)


def budget_key(keys: Keys, community: str, day: str) -> str:
    """Return the key of what is spent of a day's budget; `day` is YYYY-MM-DD."""
    return keys.key("budget", community, day)


def joined_before_ms(at_ms: int, member_days: int) -> int:
    """Return the instant before which who has been here for so many days has joined; 0 for no days."""
    return at_ms - member_days * _DAY_MS + 1 if member_days else 0


def move_record(move: PlayedMove) -> str:
    """Return a move as scripts/round_move.lua keeps it."""
    record = (move.member, str(move.at_ms), move.said, str(move.stake), move.cause)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _who(ticket: Ticket, played: Round, now_ms: int) -> tuple[Value, ...]:
    event = ticket.event
    return (
        played.community, event.member_id, ticket.day.iso, event.id, ticket.id, now_ms, played.id,
    )  # fmt: skip


def _taken(reply: Sequence[Any]) -> Taken:
    """Read what scripts/round_take.lua returns."""
    word = MoveWord(reply[0].decode())
    if word in {MoveWord.DONE, MoveWord.AGAIN, MoveWord.ALREADY}:
        _, number, points, balance, left, at_ms = reply
        return Taken(word, number, points, balance, left, at_ms)
    if word in {MoveWord.CAPPED, MoveWord.REFUSED}:
        return Taken(word, why=reply[1].decode())
    return Taken(word)


def _moves(rows: Sequence[bytes], first: int) -> tuple[PlayedMove, ...]:
    moves = []
    for number, row in enumerate(rows, first):
        member, at_ms, said, stake, cause = json.loads(row)
        moves.append(PlayedMove(number, member, int(at_ms), said, int(stake), cause))
    return tuple(moves)


def _round(round_id: str, row: Sequence[bytes]) -> Round | None:
    values = {name.decode(): value.decode() for name, value in zip(row[::2], row[1::2], strict=True)}
    return read_round(round_id, values) if values else None


def read_round(round_id: str, values: Mapping[str, str]) -> Round:
    """Return the round of these fields, as a script or a row of the history has them."""
    return Round(
        id=round_id,
        community=values["community"],
        game=values["game"],
        place=values["place"],
        state=RoundState(values["state"]),
        end=values["end"],
        channel=values["channel"],
        user_id=values["user_id"],
        group_id=values["group_id"],
        host=values["host"],
        payer=values["payer"],
        settings=values["settings"],
        word=values["word"],
        seed=values["seed"],
        commitment=values["commitment"],
        once=values["once"] == "1",
        seats=tuple(int(points) for points in values["shares"].split()),
        pot=int(values["pot"]),
        staked=int(values["staked"]),
        house=int(values["house"]),
        paid=int(values["paid"]),
        refund=int(values["refund"]),
        at_ms=int(values["at_ms"]),
        ends_at_ms=int(values["ends_at_ms"]),
        ended_at_ms=int(values["ended_at_ms"]),
        day=values["day"],
        facts=values["facts"],
        answer_to=values.get("answer_to", ""),
        ended_by=values.get("ended_by", ""),
    )
