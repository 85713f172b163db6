"""What the life of a round needs of a game: its rules, and how it is talked about.

Rules live in `games/` and know nothing of this package; `handlers/play.py` puts them behind `Play`. All that
passes is numbers, texts and JSON, so that a round can be stored, replayed and shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from bot.errors import RefusedError
from bot.model import Community
from bot.storage.redis.rounds import Paid, PlayedMove, Round, RoundState

Values = Mapping[str, Any]
"""What an outcome or an ending tells of itself; JSON."""


class SettingError(RefusedError):
    """A setting that a game does not take; `setting` names it, `problem` and `cure` say the rest."""

    def __init__(self, setting: str, problem: str, cure: str) -> None:
        """Name setting, problem and cure."""
        super().__init__(f"{setting}: {problem}; {cure}")
        self.setting = setting
        self.problem = problem
        self.cure = cure


class IllegalPlayError(Exception):
    """Something that is no move in a game; `word` and `values` are for the game's texts."""

    def __init__(self, word: str, values: Values) -> None:
        """Name what is wrong."""
        super().__init__(word)
        self.word = word
        self.values = values


class Result(NamedTuple):
    """What came of one move by the rules."""

    word: str
    values: Values


class Settled(NamedTuple):
    """How a round ends by the rules: who gets what, and what its texts tell of it."""

    awards: tuple[Paid, ...]
    facts: Values


@dataclass(frozen=True, slots=True)
class Prepared:
    """Settings of a round, checked.

    Attributes:
        settings: All of them, JSON.
        pot: Points to be put in at the start.
        word: What the round listens to, as written; ``*`` for any text, empty for nothing.
        checked_in: Whether only who has checked in today may take a seat.
        member_days: For how many days at least a member must have been here to take one; 0 for anybody.
        stake: Points that everybody who joins must put in; 0 for none.
    """

    settings: str
    pot: int
    word: str = ""
    checked_in: bool = False
    member_days: int = 0
    stake: int = 0


def state_after(end: str, *, drawn: bool) -> RoundState:
    """Return a round's state after it has ended so; `drawn` is as of `Play`."""
    if end == "cancelled":
        return RoundState.CANCELLED
    return RoundState.EXPIRED if end == "time" and not drawn else RoundState.CLOSED


class Play(Protocol):
    """One game. A *state* is the game's own frozen object; nobody else looks into it.

    Attributes:
        name: The game's name in settings, API and store.
        once: Whether a member moves once.
        drawn: Whether chance decides when the entries close, so that to end by time is to be played out.
    """

    name: str
    once: bool
    drawn: bool

    def prepare(self, given: Mapping[str, object]) -> Prepared:
        """Check the settings of a round; those not given take the rules' defaults.

        Raises:
            SettingError: One is unknown or wrong.
        """

    def commitment(self, seed: bytes) -> str:
        """Return what is published of a seed at the start."""

    def mark(self, round_id: str, member: str) -> str:
        """Return what a member is called in the published list of moves; nobody is known by it."""

    def open(self, settings: str, seed: bytes, round_id: str) -> Any:
        """Return the state before the first move."""

    def seats(self, state: Any) -> tuple[int, ...]:
        """Return the points of each seat, in order; empty for a game without seats."""

    def entry(self, settings: str, said: str, stake: int) -> tuple[str, int]:
        """Return a move as the rules write it, and what the house must hold back for its stake.

        Raises:
            IllegalPlayError: It is no move.
        """

    def apply(self, state: Any, move: PlayedMove) -> tuple[Any, Result]:
        """Apply one move, in the order of receipt."""

    def is_over(self, state: Any) -> bool:
        """Return whether the round is decided."""

    def settle(self, state: Any, end: str) -> Settled:
        """Return how the round ends now; `end` is over, time, stopped or cancelled."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What is known when the end of a round is told.

    Attributes:
        community: Where it was played.
        round: It, as it is after its end.
        state: The last state of its game.
        facts: What the rules tell of the end.
        awards: Who got what at the end.
        moves: All its moves.
        names: How its members are called, by member id.
        page: The address where anybody can check it; empty for none.
        text: Fills in a text of `content/`, ``text(key, **values)``, in the community's language.
    """

    community: Community
    round: Round
    state: Any
    facts: Values
    awards: Sequence[Paid]
    moves: Sequence[PlayedMove]
    names: Mapping[str, str]
    page: str
    text: Callable[..., str]

    def name(self, member: str) -> str:
        """Return how a member is called."""
        return self.names.get(member, member)


@dataclass(frozen=True, slots=True)
class Announcing:
    """What is known when a round is announced in its group that nobody there has begun.

    Attributes:
        community: Where it is played.
        round: It, as it begins.
        text: As of `Telling`.
    """

    community: Community
    round: Round
    text: Callable[..., str]


Tell = Callable[[Telling], str]
"""Returns what is said at the end of a round."""


@dataclass(frozen=True, slots=True)
class Game:
    """A game as a router brings it.

    Attributes:
        play: Its rules.
        tell: What is said at its end.
        words: How the game is called in chat, the first of them in texts; one of them follows 开局.
        start: A handler that begins a round: of the context, and of what followed the game's word. None for
            a game that has a command of its own.
        heard: The handler of a text that one of its rounds listens to; None for none.
        help_key: The text that explains the game to members.
        announce: What is said in a group when one of its rounds is begun there through the API: of an
            `Announcing`. None to say nothing.
    """

    play: Play
    tell: Tell
    words: tuple[str, ...]
    start: Callable[[Any, str], Awaitable[Any]] | None = None
    heard: Callable[[Any], Awaitable[Any]] | None = None
    help_key: str = ""
    announce: Callable[[Any], str] | None = None
