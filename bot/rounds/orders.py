"""From what somebody wants to the round that is to begin: may it be played here, and how."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from bot.day import Day
from bot.model import Community
from bot.rounds.play import Game, Prepared, SettingError
from bot.rounds.terms import Terms, TermsBook
from bot.storage.redis.rounds import NewRound, Opened, Round, RoundState, joined_before_ms

SEED_BYTES = 32


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


@dataclass(frozen=True, slots=True)
class Begun:
    """A round that may begin: it, its game and the game's first state."""

    new: NewRound
    game: Game
    state: Any


class RoundOrders:
    """Makes rounds of orders.

    Attributes:
        new_seed: Draws the secret of a round; tests have their own.
    """

    def __init__(
        self,
        games: Mapping[str, Game],
        terms: TermsBook,
        normalise: Callable[[str], str],
        reserved: Collection[str] = (),
    ) -> None:
        """Offer `games` (by name) under `terms`; `reserved` are words that no round may listen to."""
        self.new_seed: Callable[[], bytes] = lambda: secrets.token_bytes(SEED_BYTES)
        self._games = games
        self._terms = terms
        self._normalise = normalise
        self._reserved = frozenset(reserved)

    def prepare(self, order: Order) -> tuple[Game, Terms, Prepared]:
        """Return the game of an order, its terms, and its settings, checked.

        Raises:
            NotPlayedError: There is no such game, it is not played here, or not without stakes.
            SettingError: The game does not take one of the settings.
        """
        game = self._allowed(order)
        terms = self._terms.of(order.community, order.game)
        prepared = game.play.prepare({**terms.settings, **order.given})
        if prepared.stake and not order.community.games.stakes:
            raise NotPlayedError("stakes")
        if self._normalise(prepared.word).partition(" ")[0].lstrip("/#") in self._reserved:
            raise SettingError("word", "is a command, so nobody could say it", "another word")
        return game, terms, prepared

    def _allowed(self, order: Order) -> Game:
        rules, game = order.community.games, self._games.get(order.game)
        if game is None:
            raise NotPlayedError("unknown")
        if order.game in rules.off or (order.channel, order.group_id) in rules.off_in:
            raise NotPlayedError("off")
        return game

    def round_of(self, order: Order) -> Begun:
        """Return the round that an order begins; errors as of `prepare`."""
        game, terms, prepared = self.prepare(order)
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
        new = NewRound(
            one,
            order.cause,
            order.community.games.budget_per_day,
            terms.most_open,
            checked_in=prepared.checked_in,
            joined_before_ms=joined_before_ms(order.now_ms, prepared.member_days),
        )
        return Begun(new, game, state)


def round_id(community: str, cause: str) -> str:
    """Return the id of the round that a cause begins: the same however often it is asked for."""
    return blake2b(f"round\0{community}\0{cause}".encode(), digest_size=8).hexdigest()
