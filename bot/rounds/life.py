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

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import structlog

from bot.catalog import Catalog
from bot.clock import Clock
from bot.communities import Communities
from bot.day import Day
from bot.errors import StoreUnavailableError
from bot.model import Community, FollowUp, Text
from bot.rounds.play import (
    Announcing,
    Game,
    IllegalPlayError,
    Prepared,
    Result,
    SettingError,
    Telling,
    Values,
)
from bot.rounds.terms import Terms, TermsBook
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.inbox import Ticket
from bot.storage.redis.members import Members
from bot.storage.redis.rounds import (
    Caps,
    Ending,
    EndWord,
    MoveWord,
    NewRound,
    Opened,
    Paid,
    PlayedMove,
    Round,
    Rounds,
    RoundState,
    joined_before_ms,
)

SEED_BYTES = 32
_KNOWN_ROUNDS = 500  # replayed and kept by one process
DECIDER_MS = 3_000  # how long who has decided a round has to end it
_MOST_TRIES = 20  # of an end that is overtaken by moves
_MOST_TOLD = 200  # persons who are told of the end of a community's round
_MOST_NAMED = 300

_log = structlog.get_logger("huoqun")


class NotPlayedError(Exception):
    """A round that is not to be begun.

    `word` is unknown (no such game), off (not played here) or stakes (it needs them, they are not allowed).
    """

    def __init__(self, word: str) -> None:
        """Say why not."""
        super().__init__(word)
        self.word = word


@dataclass(frozen=True, slots=True)
class Order:
    """A round that somebody wants to begin.

    Attributes:
        community: Where.
        game: Name of the game.
        place: ``<channel>:<group id>``, or ``*`` for the community's direct chats.
        given: Settings that are not to be the usual ones.
        cause: The event id, or ``api:<request_id>``: the same one begins one round.
        host: Member id, or ``api:<token name>``.
        now_ms: When, Unix milliseconds.
        day: The community-day of that.
        channel: Channel of the host or the group; empty for none.
        user_id: The host as the platform names them; empty for the API.
        group_id: The chat group; empty for none.
        payer: The member whose points are the pot; empty for the community's budget.
        life_s: How long it lives, seconds; None for as long as is usual.
        answer_to: What the platform gave to answer with; a secret.
    """

    community: Community
    game: str
    place: str
    given: Mapping[str, object]
    cause: str
    host: str
    now_ms: int
    day: Day
    channel: str = ""
    user_id: str = ""
    group_id: str = ""
    payer: str = ""
    life_s: int | None = None
    answer_to: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Started:
    """What came of an order: the round, or why there is none."""

    opened: Opened
    round: Round
    terms: Terms


@dataclass(frozen=True, slots=True)
class Ended:
    """A round that has ended.

    `telling` is what there is to tell of it, `told` that as a text; `mine` says whether this call ended it.
    """

    telling: Telling
    told: str
    mine: bool

    @property
    def round(self) -> Round:
        """The round, as it is after its end."""
        return self.telling.round


@dataclass(frozen=True, slots=True)
class Play:
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


@dataclass(slots=True)
class _Replay:
    """A round as far as this process has replayed it."""

    round: Round
    game: Game
    state: Any
    moves: list[PlayedMove]
    results: list[Result]
    decided_by: int | None = None

    def see(self, moves: Iterable[PlayedMove]) -> None:
        """Apply moves; those seen already are passed over."""
        for move in moves:
            if move.number == len(self.moves):
                self.state, result = self.game.play.apply(self.state, move)
                self.moves.append(move)
                self.results.append(result)
                if self.decided_by is None and self.game.play.is_over(self.state):
                    self.decided_by = move.number


class RoundLife:
    """Begins, plays and ends rounds; one per process."""

    def __init__(
        self,
        store: Rounds,
        members: Members,
        games: Mapping[str, Game],
        terms: TermsBook,
        communities: Communities,
        compose: Callable[[FollowUp, int], Delivery],
        wake: Callable[[str], None],
        catalog: Catalog,
        clock: Clock,
        normalise: Callable[[str], str],
        call: Callable[[str, str], str],
        reserved: Collection[str] = (),
        page_of: Callable[[Round], str] = lambda _: "",
        new_seed: Callable[[], bytes] = lambda: secrets.token_bytes(SEED_BYTES),
    ) -> None:
        """Play `games` (by name).

        `compose` makes the delivery of what is told, `wake` has it sent soon; `call` says of a name and a
        member id how a member is called. `reserved` are words, in normal form, that no round may listen to;
        `page_of` says where anybody can look at a round, empty for nowhere.
        """
        self.store = store
        self.games = games
        self.terms = terms
        self._members = members
        self._communities = communities
        self._compose = compose
        self._wake = wake
        self._catalog = catalog
        self._clock = clock
        self._normalise = normalise
        self._call = call
        self._reserved = frozenset(reserved)
        self._page_of = page_of
        self.new_seed = new_seed
        self._replays: OrderedDict[tuple[str, str], _Replay] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Future[_Replay | None]] = {}

    # ------------------------------------------------------------ begin

    async def start(self, order: Order) -> Started:
        """Begin a round, once for its cause.

        Raises:
            NotPlayedError: There is no such game, it is not played here, or not without stakes.
            SettingError: The game does not take one of the settings.
            StoreUnavailableError: Redis is away; ask again.
        """
        community = order.community
        game, terms, prepared = self._prepared(order)
        new = self._new_round(order, game, terms, prepared)
        opened = await self.store.open(new, order.day)
        one = new.round
        if opened.again:  # begun before, with another seed
            one = await self.store.get(community.id, one.id) or one
        return Started(opened, one, terms)

    def _prepared(self, order: Order) -> tuple[Game, Terms, Prepared]:
        game = self._allowed(order)
        terms = self.terms.of(order.community, order.game)
        prepared = game.play.prepare({**terms.settings, **order.given})
        if prepared.stake and not order.community.games.stakes:
            raise NotPlayedError("stakes")
        if self._normalise(prepared.word).partition(" ")[0].lstrip("/#") in self._reserved:
            raise SettingError("word", "is a command, so nobody could say it", "another word")
        return game, terms, prepared

    def _allowed(self, order: Order) -> Game:
        rules, game = order.community.games, self.games.get(order.game)
        if game is None:
            raise NotPlayedError("unknown")
        if order.game in rules.off or (order.channel, order.group_id) in rules.off_in:
            raise NotPlayedError("off")
        return game

    def _new_round(self, order: Order, game: Game, terms: Terms, prepared: Prepared) -> NewRound:
        seed, id_ = self.new_seed(), round_id(order.community.id, order.cause)
        state = game.play.open(prepared.settings, seed, id_)
        word = prepared.word if prepared.word in {"", "*"} else self._normalise(prepared.word)
        life_s = terms.life_s if order.life_s is None else order.life_s
        one = Round(
            id=id_,
            community=order.community.id,
            game=order.game,
            place=order.place,
            state=RoundState.OPEN,
            end="",
            channel=order.channel,
            user_id=order.user_id,
            group_id=order.group_id,
            host=order.host,
            payer=order.payer,
            settings=prepared.settings,
            word=word,
            seed=seed.hex(),
            commitment=game.play.commitment(seed),
            once=game.play.once,
            seats=game.play.seats(state),
            pot=prepared.pot,
            staked=0,
            house=0,
            paid=0,
            refund=0,
            at_ms=order.now_ms,
            ends_at_ms=order.now_ms + life_s * 1000,
            ended_at_ms=0,
            day=order.day.iso,
            facts="",
            answer_to=order.answer_to,
        )
        return NewRound(
            one,
            order.cause,
            order.community.games.budget_per_day,
            terms.most_open,
            checked_in=prepared.checked_in,
            joined_before_ms=joined_before_ms(order.now_ms, prepared.member_days),
        )

    def check(self, order: Order) -> None:
        """Raise as `start` does of an order that could be carried out at no time."""
        self._prepared(order)

    def announcement(self, community: Community, one: Round) -> str:
        """Return what is said in a group of a round that nobody there has begun; empty for nothing."""
        game = self.games.get(one.game)
        if game is None or game.announce is None:
            return ""
        return game.announce(Announcing(community, one, self._text_of(community, one)))

    # ------------------------------------------------------------ play

    async def move(
        self, community: Community, round_id: str, ticket: Ticket, said: str, stake: int, now_ms: int
    ) -> Play:
        """Make a move for the sender of an event; the same event makes one, with one outcome.

        Raises:
            IllegalPlayError: It is no move in this game, or stakes are not allowed here.
            StoreUnavailableError: Redis is away; ask again.
        """
        replay = await self._replay(community.id, round_id)
        if replay is None:
            return Play(MoveWord.OVER)
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
            return Play(moved.word, balance=moved.balance, why=moved.why)
        if len(replay.results) <= moved.number:  # another call of this process has moved the window on
            replay = await self._caught_up(replay)
        if not _is_of(replay.moves[moved.number], ticket, moved.word):
            replay = await self._caught_up(replay)
        ended = None
        if replay.decided_by is not None:
            ended = await self._end_decided(community, replay, ticket, moved.number, now_ms)
        return Play(
            moved.word,
            replay.results[moved.number],
            number=moved.number,
            balance=moved.balance,
            ended=ended,
        )

    async def _end_decided(
        self, community: Community, replay: _Replay, ticket: Ticket, number: int, now_ms: int
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

    async def take(self, community: Community, round_id: str, ticket: Ticket, now_ms: int) -> Play:
        """Take the next seat for the sender of an event; the last one ends the round. Errors as of `move`."""
        replay = await self._replay(community.id, round_id)
        if replay is None:
            return Play(MoveWord.OVER)
        caps = self._caps(community, replay.round.game)
        taken = await self.store.take(ticket, replay.round, caps, now_ms)
        ended = None
        if taken.word in {MoveWord.DONE, MoveWord.AGAIN} and taken.left == 0:
            ended = await self._finish(community, replay, "over", teller=ticket.event.member_id)
        return Play(
            taken.word,
            number=taken.number,
            points=taken.points,
            balance=taken.balance,
            left=taken.left,
            why=taken.why,
            ended=ended,
        )

    def _caps(self, community: Community, game: str) -> Caps:
        terms, rules = self.terms.of(community, game), community.games
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
        replay = await self._replay(community.id, round_id)
        if replay is None or await self.store.get(community.id, round_id) is None:
            return None
        return await self._finish(community, replay, why, teller=teller, cause=cause)

    async def _finish(
        self, community: Community, replay: _Replay, why: str, *, teller: str, cause: str = ""
    ) -> Ended:
        """End a round as often as other moves come between, until it has ended."""
        for _ in range(_MOST_TRIES):
            replay = await self._caught_up(replay)
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
        self, community: Community, replay: _Replay, known: Round, why: str, teller: str, cause: str
    ) -> Ended | None:
        """End a round once; None when it has moved or ended meanwhile."""
        now_ms = self._clock.now_ms()
        day = self._communities.calendar(community).day_of(now_ms)
        why = "over" if replay.decided_by is not None and why != "cancelled" else why
        awards, facts = replay.game.play.settle(replay.state, why)
        decided = replay.decided_by is not None
        for _ in range(2):
            after = _after(known, why, awards, facts, now_ms, drawn=replay.game.play.drawn)
            telling = await self._telling(community, replay, after, facts, awards)
            told = replay.game.tell(telling)
            ending = Ending(
                state=after.state,
                end=why,
                awards=_counted(awards, replay.moves),
                made_of=None if decided else len(replay.moves),
                facts=after.facts,
                cause=cause,
                rest_ms=self.terms.of(community, known.game).cool_down_s * 1000,
                deliveries=tuple(
                    (one, now_ms)
                    for one in self._announcements(known, replay.moves, awards, told, teller, now_ms)
                ),
            )
            word, refund = await self.store.end(known, ending, day, now_ms)
            if word is EndWord.DONE:
                if ending.deliveries:
                    self._wake(community.id)
                return Ended(replace(telling, round=replace(after, refund=refund)), told, mine=True)
            if word is not EndWord.UNBALANCED:
                return None
            # A fault of the rules must not hold anybody's points: all of it counts for nothing.
            await _log.aerror(
                "round would give more than it holds, cancelled", round=known.id, game=known.game
            )
            why, decided = "cancelled", False
            awards, facts = _stakes_back(replay.moves), {}
        raise RuntimeError(f"round {known.id} holds less than its stakes")

    async def _as_ended(self, community: Community, replay: _Replay, known: Round) -> Ended:
        """Return a round that had ended, as it was told then."""
        awards, facts = replay.game.play.settle(replay.state, known.end)
        telling = await self._telling(community, replay, known, facts, awards)
        return Ended(telling, replay.game.tell(telling), mine=False)

    async def _telling(
        self, community: Community, replay: _Replay, after: Round, facts: Values, awards: Sequence[Paid]
    ) -> Telling:
        members = dict.fromkeys(award.member for award in awards)
        members.update(dict.fromkeys(move.member for move in replay.moves[:_MOST_NAMED]))
        if ":" in after.host:
            members[after.host] = None
        found = await self._members.names(community.id, list(members)) if members else {}
        names = {member: self._call(name, member) for member, name in found.items()}
        return Telling(
            community=community,
            round=after,
            state=replay.state,
            facts=facts,
            awards=awards,
            moves=tuple(replay.moves),
            names=names,
            page=self._page_of(after),
            text=self._text_of(community, after),
        )

    def _text_of(self, community: Community, one: Round) -> Callable[..., str]:
        return lambda key, **values: self._catalog.text(community.language, key, pick_by=one.id, **values)

    def _announcements(
        self,
        played: Round,
        moves: Sequence[PlayedMove],
        awards: Sequence[Paid],
        told: str,
        teller: str,
        now_ms: int,
    ) -> list[Delivery]:
        """Return who must be told of an end by a message of its own.

        In a group that is the group, unless somebody's answer there says it. A round of direct chats tells
        its host, those who get something at the end, and the others who played.
        """
        if not told:
            return []

        def follow_up(channel: str, user_id: str, group_id: str, answer_to: str) -> Delivery:
            name = f"round:{played.id}:{channel}:{group_id or user_id}"
            return self._compose(
                FollowUp(
                    name=name,
                    community=played.community,
                    cause=f"round:{played.id}",
                    channel=channel,
                    parts=(Text(told),),
                    user_id=user_id,
                    group_id=group_id,
                    answer_to=answer_to,
                ),
                now_ms,
            )

        if played.group_id:
            if teller:
                return []
            return [follow_up(played.channel, "", played.group_id, played.answer_to)]
        persons = dict.fromkeys([played.host] if played.user_id else [])
        persons.update(dict.fromkeys(award.member for award in awards))
        persons.update(dict.fromkeys(move.member for move in moves))
        persons.pop(teller, None)
        split = [member.partition(":") for member in list(persons)[:_MOST_TOLD]]
        return [follow_up(channel, user_id, "", "") for channel, _, user_id in split]

    # ------------------------------------------------------------ look

    async def told(self, community: Community, round_id: str) -> Ended | None:
        """Return an ended round as it was told; None for one that is open, or no longer kept."""
        replay = await self._replay(community.id, round_id)
        if replay is None:
            return None
        replay = await self._caught_up(replay)
        known = await self.store.get(community.id, round_id)
        return None if known is None or known.is_open else await self._as_ended(community, replay, known)

    async def state(self, community: Community, round_id: str) -> tuple[Round, Any] | None:
        """Return a round and the state of its game now; None for one that is not known."""
        replay = await self._replay(community.id, round_id)
        if replay is None:
            return None
        replay = await self._caught_up(replay)
        return replay.round, replay.state

    async def _replay(self, community: str, round_id: str) -> _Replay | None:
        """Return what this process knows of a round; those who ask for an unknown one share one reading."""
        key = (community, round_id)
        known = self._replays.get(key)
        if known is not None:
            self._replays.move_to_end(key)
            return known
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.ensure_future(self._read(community, round_id))
            self._reading[key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(reading)

    async def _caught_up(self, replay: _Replay) -> _Replay:
        """Return a replay with all moves; another one where Redis has come back without some that it saw."""
        one, seen = replay.round, len(replay.moves)
        rows = await self.store.moves(one.community, one.id, max(seen - 1, 0))
        if seen and list(rows[:1]) != replay.moves[-1:] and seen == len(replay.moves):
            self._replays.pop((one.community, one.id), None)
            state = replay.game.play.open(one.settings, bytes.fromhex(one.seed), one.id)
            replay = self._remember(one, replay.game, state)
            rows = await self.store.moves(one.community, one.id)
        replay.see(rows)
        return replay

    async def _read(self, community: str, round_id: str) -> _Replay | None:
        found = await self.store.get(community, round_id)
        game = None if found is None else self.games.get(found.game)
        if found is None or game is None:
            return None
        return self._remember(
            found, game, game.play.open(found.settings, bytes.fromhex(found.seed), found.id)
        )

    def _remember(self, known: Round, game: Game, state: Any) -> _Replay:
        replay = _Replay(known, game, state, [], [])
        replay = self._replays.setdefault((known.community, known.id), replay)
        while len(self._replays) > _KNOWN_ROUNDS:
            self._replays.popitem(last=False)
        return replay


def round_id(community: str, cause: str) -> str:
    """Return the id of the round that a cause begins: the same however often it is asked for."""
    return blake2b(f"round\0{community}\0{cause}".encode(), digest_size=8).hexdigest()


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
    state = {
        "over": RoundState.CLOSED,
        "stopped": RoundState.CLOSED,
        "time": RoundState.CLOSED if drawn else RoundState.EXPIRED,
        "cancelled": RoundState.CANCELLED,
    }[why]
    return replace(
        known,
        state=state,
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
