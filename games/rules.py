"""What the rules of a game are made of: settings and moves in, a new state and its outcome out.

Rules are pure: standard library only, no clock, no storage, no chat, no chance but `games.fairness`. A round
is therefore replayed from its seed, its settings and its list of moves, anywhere and at any time, and always
ends the same. The life of a round (who may play, when it ends, who pays) is not a game's business.

Points are whole numbers. A round takes in its pot and the stakes of its moves; what the seats and the
settlement do not give to members goes back to who paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeVar

Value = int | str | bool | tuple[int, ...] | tuple[str, ...]
"""What an outcome or a settlement tells of itself: numbers and texts, so that it can be stored and shown."""

NOTHING: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Move:
    """One move as it was received.

    Attributes:
        number: Its place in the order of receipt, from 0.
        member: Who made it, ``<channel>:<user_id>``.
        at_ms: When it was received, Unix milliseconds; never before the move before it.
        said: What was played, as `Rules.entry` wrote it.
        stake: Points the member has put in; 0 for none.
    """

    number: int
    member: str
    at_ms: int
    said: str
    stake: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A move that may be received.

    Attributes:
        said: What is played, in the game's own words; the same for every way of saying it.
        house: Points that may have to be paid on top of the stake, held back for that by who pays.
    """

    said: str
    house: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one move: a word that the game's texts know, and what they tell of it."""

    word: str
    values: Mapping[str, Value] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Award:
    """Points of a member at the end of a round, above 0; `why` is a word such as ``prize``.

    A member has at most one award of each `why`.
    """

    member: str
    points: int
    why: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a round ended: who gets what, and what the game's texts tell of it."""

    awards: tuple[Award, ...] = ()
    facts: Mapping[str, Value] = field(default_factory=lambda: NOTHING)


class End(StrEnum):
    """Why a round ends."""

    OVER = "over"  # a move has decided it, or every seat is taken
    TIME = "time"  # its time is up
    STOPPED = "stopped"  # its host ends it: what is on the table counts
    CANCELLED = "cancelled"  # it counts for nothing: every stake goes back


class IllegalMoveError(ValueError):
    """Something that is no move in this game; `word` and `values` are for the game's texts."""

    def __init__(self, word: str, values: Mapping[str, Value] = NOTHING) -> None:
        """Name what is wrong."""
        super().__init__(word)
        self.word = word
        self.values = values


class BadSettingError(ValueError):
    """A setting that the game does not take: which, what is wrong with it, and what would be right."""

    def __init__(self, setting: str, problem: str, cure: str) -> None:
        """Name setting, problem and cure."""
        super().__init__(f"{setting}: {problem}; {cure}")
        self.setting = setting
        self.problem = problem
        self.cure = cure


SettingsT = TypeVar("SettingsT")
StateT = TypeVar("StateT")


class Rules(Protocol[SettingsT, StateT]):
    """The rules of one game.

    Attributes:
        name: The game's name in settings, API and store: lower-case letters, digits and underscores.
        once: Whether a member makes at most one move in a round.
        mixed: Whether the entries close before anything is drawn, so that their hash is mixed in.
    """

    name: str
    once: bool
    mixed: bool

    def settings(self, given: Mapping[str, object]) -> SettingsT:
        """Return the settings of a round, checked; those not given take their defaults.

        Raises:
            BadSettingError: One is unknown, of a wrong kind or out of bounds.
        """

    def pot(self, settings: SettingsT) -> int:
        """Return the points that are paid at its start: the most it may give beside stakes and house."""

    def open(self, settings: SettingsT, seed: bytes, round_id: str) -> StateT:
        """Return the state before the first move."""

    def seats(self, state: StateT) -> tuple[int, ...]:
        """Return what the first, second, … member to move gets at once, each above 0; empty for other games.

        A round with seats is over when all are taken; each member takes one.
        """

    def entry(self, settings: SettingsT, said: str, stake: int) -> Entry:
        """Return what a member wants to play as a move, before it is received.

        Raises:
            IllegalMoveError: It is none.
        """

    def play(self, state: StateT, move: Move) -> tuple[StateT, Outcome]:
        """Apply one move, in the order of receipt; one that changes nothing has an outcome that says so."""

    def is_over(self, state: StateT) -> bool:
        """Return whether the round is decided; later moves change nothing."""

    def settle(self, state: StateT, end: End) -> Settlement:
        """Return how the round ends now; what seats gave is not part of it.

        The awards never exceed pot, stakes and house, less what the seats gave.
        """


def stakes_back(moves: Iterable[Move]) -> tuple[Award, ...]:
    """Return the awards that give every stake back, one for each member."""
    stakes: dict[str, int] = {}
    for move in moves:
        if move.stake:
            stakes[move.member] = stakes.get(move.member, 0) + move.stake
    return tuple(Award(member, points, "stake_back") for member, points in stakes.items())


def whole(given: Mapping[str, object], name: str, default: int, least: int, most: int) -> int:
    """Return a setting that is a whole number.

    Raises:
        BadSettingError: It is none, or not from `least` to `most`.
    """
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadSettingError(name, "is not such a number", f"a whole number from {least} to {most}")
    return value


def known_only(given: Mapping[str, object], names: frozenset[str]) -> None:
    """Refuse settings that a game does not have.

    Raises:
        BadSettingError: There is one.
    """
    for name in given:
        if name not in names:
            raise BadSettingError(name, "is no setting of this game", f"one of {', '.join(sorted(names))}")
