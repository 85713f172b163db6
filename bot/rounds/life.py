"""The life of a round: begun, played, ended, told.

What is atomic is an act in Redis (`bot.storage.redis.rounds`); what is decided is a game's (`play.Play`). A
move gets its place in the order of receipt from Redis and is then replayed here: every process that replays
the same moves finds the same state, so none of them needs to keep it.

Dies here / comes twice:

* after a move was received, before its outcome was told: the event comes again, finds its own move and is
  told the same;
* after the move that decides a round, before the end: whoever moves next, the event when it comes again, or
  the sweeper at the end of the round's time ends it, with the same awards, since later moves change nothing;
* Redis comes back without its last moves, as it may where it does not write every one at once: what was
  replayed of them is dropped, and the round is replayed anew;
* after the end, before it was told: those who are told by a delivery are in the step of the end; who made
  the deciding move is told when the event comes again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot.clock import Clock
from bot.communities import Communities
from bot.errors import StoreUnavailableError
from bot.model import Community
from bot.rounds.orders import Order, RoundOrders, Started
from bot.rounds.play import Game, IllegalPlayError, Result, Telling, Values, state_after
from bot.rounds.replays import Replay, Replays
from bot.rounds.teller import RoundTeller
from bot.rounds.terms import TermsBook
from bot.storage.redis.inbox import Ticket
from bot.storage.redis.rounds import (
    Caps,
    Ending,
    EndWord,
    MoveWord,
    Paid,
    PlayedMove,
    Round,
    Rounds,
)

DECIDER_MS = 3_000  # how long who has decided a round has to end it
_MOST_TRIES = 20  # of an end that is overtaken by moves

_log = structlog.get_logger("huoqun")


@dataclass(frozen=True, slots=True)
class Ended:
    """A round that has ended.

    `telling` is what there is to tell of it, `told` that as a text.
    """

    telling: Telling
    told: str

    @property
    def round(self) -> Round:
        """The round, as it is after its end."""
        return self.telling.round


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a move.

    Attributes:
        word: What the store said of it.
        result: What the rules said of it; None where it was not received.
        number: Its number.
        points: What the seat held, where it took one.
        balance: The member's points after it; of who has too few for the stake.
        left: Seats left.
        why: The cap or condition that refused it.
        ended: The round's end, where this move decided it.
    """

    word: MoveWord
    result: Result | None = None
    number: int = 0
    points: int = 0
    balance: int = 0
    left: int = 0
    why: str = ""
    ended: Ended | None = None

    @property
    def received(self) -> bool:
        """Whether the event has made a move, now or before."""
        return self.word in {MoveWord.DONE, MoveWord.AGAIN}


class RoundLife:
    """Begins, plays and ends rounds; one per process."""

    def __init__(
        self,
        store: Rounds,
        games: Mapping[str, Game],
        orders: RoundOrders,
        teller: RoundTeller,
        terms: TermsBook,
        communities: Communities,
        clock: Clock,
        wake: Callable[[str], None],
    ) -> None:
        """Played `games` (by name); `wake` has what is told sent soon."""
        self.store = store
        self.games = games
        self.orders = orders
        self.replays = Replays(store, games)
        self._teller = teller
        self._terms = terms
        self._communities = communities
        self._clock = clock
        self._wake = wake

    # ------------------------------------------------------------ begin

    async def start(self, order: Order) -> Started:
        """Begin a round, once for its cause.

        Raises:
            NotPlayedError: There is no such game, it is not played here, or not without stakes.
            SettingError: The game does not take one of the settings.
            StoreUnavailableError: Redis is away; ask again.
        """
        begun = self.orders.round_of(order)
        opened = await self.store.open(begun.new, order.day)
        one = begun.new.round
        if opened.again:  # begun before, with another seed
            one = await self.store.get(one.community, one.id) or one
        elif opened.refused is None:
            self.replays.begin(one, begun.game, begun.state)
        return Started(opened, one)

    def check(self, order: Order) -> None:
        """Raise as `start` does of an order that could be carried out at no time."""
        self.orders.prepare(order)

    def announcement(self, community: Community, one: Round) -> str:
        """Return what is said in a group of a round that nobody there has begun; empty for nothing."""
        game = self.games.get(one.game)
        return "" if game is None else self._teller.announcement(community, game, one)

    # ------------------------------------------------------------ play

    async def move(
        self, community: Community, round_id: str, ticket: Ticket, said: str, stake: int, now_ms: int
    ) -> Played:
        """Make a move for the sender of an event; the same event makes one, with one outcome.

        Raises:
            IllegalPlayError: It is no move in this game, or stakes are not allowed here.
            StoreUnavailableError: Redis is away; ask again.
        """
        replay = await self.replays.get(community.id, round_id)
        if replay is None:
            return Played(MoveWord.OVER)
        if stake and not community.games.stakes:
            raise IllegalPlayError("stakes_off", {})
        said, house = replay.game.play.entry(replay.round.settings, said, stake)
        if house and replay.round.payer:  # what the budget holds back would go to the member who pays
            raise IllegalPlayError("stakes_off", {})
        caps = self._caps(community, replay.round.game)
        moved = await self.store.move(
            ticket, replay.round, said, stake, house, caps, len(replay.moves), now_ms
        )
        replay.see(moved.moves)
        if moved.word not in {MoveWord.DONE, MoveWord.AGAIN, MoveWord.ALREADY}:
            return Played(moved.word, balance=moved.balance, why=moved.why)
        if len(replay.results) <= moved.number:  # another call of this process has moved the window on
            replay = await self.replays.caught_up(replay)
        if not _is_of(replay.moves[moved.number], ticket, moved.word):
            replay = await self.replays.caught_up(replay)
        ended = None
        if replay.decided_by is not None:
            ended = await self._end_decided(community, replay, ticket, moved.number, now_ms)
        return Played(
            moved.word,
            replay.results[moved.number],
            number=moved.number,
            balance=moved.balance,
            ended=ended,
        )

    async def _end_decided(
        self, community: Community, replay: Replay, ticket: Ticket, number: int, now_ms: int
    ) -> Ended | None:
        """End a round that is decided; return its end where the move of this number has decided it.

        Who moves right after that leaves it to the one who decided it, whose answer tells of it; later it is
        plain that they cannot.
        """
        assert replay.decided_by is not None
        if number == replay.decided_by:
            return await self._finish(community, replay, "over", teller=ticket.event.member_id)
        if now_ms - replay.moves[replay.decided_by].at_ms >= DECIDER_MS:
            await self._finish(community, replay, "over", teller="")
        return None

    async def take(self, community: Community, round_id: str, ticket: Ticket, now_ms: int) -> Played:
        """Take the next seat for the sender of an event; the last one ends the round. Errors as of `move`."""
        replay = await self.replays.get(community.id, round_id)
        if replay is None:
            return Played(MoveWord.OVER)
        caps = self._caps(community, replay.round.game)
        taken = await self.store.take(ticket, replay.round, caps, now_ms)
        ended = None
        if taken.word in {MoveWord.DONE, MoveWord.AGAIN} and taken.left == 0:
            ended = await self._finish(community, replay, "over", teller=ticket.event.member_id)
        return Played(
            taken.word,
            number=taken.number,
            points=taken.points,
            balance=taken.balance,
            left=taken.left,
            why=taken.why,
            ended=ended,
        )

    def _caps(self, community: Community, game: str) -> Caps:
        terms, rules = self._terms.of(community, game), community.games
        return Caps(terms.plays_per_day, terms.won_per_day, rules.staked_per_day, rules.budget_per_day)

    # ------------------------------------------------------------ end

    async def end(
        self, community: Community, round_id: str, why: str, *, teller: str = "", cause: str = ""
    ) -> Ended | None:
        """End a round; None for one that is unknown. What had ended before is told as it ended.

        `why` is ``time`` (its time is up), ``stopped`` (its host wants it) or ``cancelled`` (it counts for
        nothing). `teller` is the member whose answer tells of it; nobody else in their chat needs to be told.
        `cause` is the event that ends it.
        """
        replay = await self.replays.get(community.id, round_id)
        if replay is None or await self.store.get(community.id, round_id) is None:
            return None
        return await self._finish(community, replay, why, teller=teller, cause=cause)

    async def _finish(
        self, community: Community, replay: Replay, why: str, *, teller: str, cause: str = ""
    ) -> Ended:
        """End a round as often as other moves come between, until it has ended."""
        for _ in range(_MOST_TRIES):
            replay = await self.replays.caught_up(replay)
            known = await self.store.get(community.id, replay.round.id)
            if known is None:
                raise StoreUnavailableError(f"Redis has lost round {replay.round.id}: run.py rebuild")
            if not known.is_open:
                return await self._as_ended(community, replay, known)
            ended = await self._try_to_end(community, replay, known, why, teller, cause)
            if ended is not None:
                return ended
        raise RuntimeError(f"round {replay.round.id} never stood still")

    async def _try_to_end(
        self, community: Community, replay: Replay, known: Round, why: str, teller: str, cause: str
    ) -> Ended | None:
        """End a round once; None when it has moved or ended meanwhile."""
        now_ms = self._clock.now_ms()
        day = self._communities.calendar(community).day_of(now_ms)
        why = "over" if replay.decided_by is not None and why != "cancelled" else why
        awards, facts = replay.game.play.settle(replay.state, why)
        decided = replay.decided_by is not None
        for _ in range(2):
            after = _after(known, why, awards, facts, now_ms, drawn=replay.game.play.drawn)
            telling = await self._teller.telling(community, replay, after, facts, awards)
            told = replay.game.tell(telling)
            ending = Ending(
                state=after.state,
                end=why,
                awards=_counted(awards, replay.moves),
                made_of=None if decided else len(replay.moves),
                facts=after.facts,
                cause=cause,
                rest_ms=self._terms.of(community, known.game).cool_down_s * 1000,
                deliveries=tuple(
                    (one, now_ms)
                    for one in self._teller.messages(known, replay.moves, awards, told, teller, now_ms)
                ),
            )
            word, refund = await self.store.end(known, ending, day, now_ms)
            if word is EndWord.DONE:
                if ending.deliveries:
                    self._wake(community.id)
                return Ended(replace(telling, round=replace(after, refund=refund)), told)
            if word is not EndWord.UNBALANCED:
                return None
            # A fault of the rules must not hold anybody's points: all of it counts for nothing.
            await _log.aerror(
                "round would give more than it holds, cancelled", round=known.id, game=known.game
            )
            why, decided = "cancelled", False
            awards, facts = _stakes_back(replay.moves), {}
        raise RuntimeError(f"round {known.id} holds less than its stakes")

    async def _as_ended(self, community: Community, replay: Replay, known: Round) -> Ended:
        """Return a round that had ended, as it was told then."""
        awards, facts = replay.game.play.settle(replay.state, known.end)
        telling = await self._teller.telling(community, replay, known, facts, awards)
        return Ended(telling, replay.game.tell(telling))

    # ------------------------------------------------------------ look

    async def told(self, community: Community, round_id: str) -> Ended | None:
        """Return an ended round as it was told; None for one that is open, or no longer kept."""
        replay = await self.replays.get(community.id, round_id)
        if replay is None:
            return None
        replay = await self.replays.caught_up(replay)
        known = await self.store.get(community.id, round_id)
        return None if known is None or known.is_open else await self._as_ended(community, replay, known)

    async def state(self, community: Community, round_id: str) -> tuple[Round, Any] | None:
        """Return a round and the state of its game now; None for one that is not known."""
        replay = await self.replays.get(community.id, round_id)
        if replay is None:
            return None
        replay = await self.replays.caught_up(replay)
        return replay.round, replay.state


def _is_of(move: PlayedMove, ticket: Ticket, word: MoveWord) -> bool:
    """Whether a move that was replayed is the one that the store speaks of."""
    if word is MoveWord.ALREADY:
        return move.member == ticket.event.member_id
    return move.cause == ticket.event.id


def _after(
    known: Round, why: str, awards: Sequence[Paid], facts: Values, now_ms: int, *, drawn: bool
) -> Round:
    """Return the round as it will be when it has ended."""
    given = sum(award.points for award in awards)
    return replace(
        known,
        state=state_after(why, drawn=drawn),
        end=why,
        ended_at_ms=now_ms,
        paid=known.paid + given,
        refund=known.pot + known.staked + known.house - known.paid - given,
        facts=json.dumps(dict(facts), ensure_ascii=False),
        answer_to="",
    )


def _counted(awards: Iterable[Paid], moves: Iterable[PlayedMove]) -> tuple[Paid, ...]:
    """Return awards that say how much of each is won: what a member gets beyond what they put in."""
    put_in: dict[str, int] = {}
    for move in moves:
        put_in[move.member] = put_in.get(move.member, 0) + move.stake
    counted = []
    for award in awards:
        own = min(award.points, put_in.get(award.member, 0))
        put_in[award.member] = put_in.get(award.member, 0) - own
        counted.append(award._replace(won=award.points - own))
    return tuple(counted)


def _stakes_back(moves: Iterable[PlayedMove]) -> tuple[Paid, ...]:
    stakes: dict[str, int] = {}
    for move in moves:
        if move.stake:
            stakes[move.member] = stakes.get(move.member, 0) + move.stake
    return tuple(Paid(member, points, "stake_back") for member, points in stakes.items())
