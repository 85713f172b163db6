"""What the dice games share: throws, the odds of three dice, and rounds whose dice fall when entries close.

Three dice fall in 216 ways, each as likely as any other, so every chance here is a count of ways and every
fair pay an exact fraction. `odds_table` is what members are told; the games reckon with the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from games.fairness import Luck
from games.rules import Award, IllegalMoveError, Move, Outcome, Settlement, Value, stakes_back

FACES = 6
MOST_DICE = 20
MOST_FACES = 1000
OUTCOMES: tuple[tuple[int, ...], ...] = tuple(product(range(1, FACES + 1), repeat=3))
"""Every way in which three dice fall."""

SIZES = ("big", "small", "odd", "even")
SUMS = tuple(str(total) for total in range(3, 19))

_DICE = re.compile(r"([0-9]{0,2})[dD]([0-9]{1,4})")
_NO_ENTRIES: Mapping[str, Move] = MappingProxyType({})

SettingsT = TypeVar("SettingsT")


class Triples(StrEnum):
    """What three equal dice mean for a bet."""

    COUNT = "count"  # they are a throw like any other
    LOSE = "lose"  # no bet wins


def parse_dice(said: str) -> tuple[int, int]:
    """Return count and faces of ``3d6``, ``d20`` (one die), or of nothing said: one die with six faces.

    Raises:
        IllegalMoveError: It names no dice, or too many of them, or dice of a wrong size.
    """
    if not said:
        return 1, FACES
    if (parts := _DICE.fullmatch(said)) is None:
        raise _no_dice()
    count, faces = int(parts[1] or 1), int(parts[2])
    _check_dice(count, faces)
    return count, faces


def throw(luck: Luck, count: int, faces: int, index: str) -> tuple[int, ...]:
    """Return `count` throws; the n-th, from 0, is the draw ``<index> <n>``.

    Raises:
        IllegalMoveError: `parse_dice` knows no such dice.
    """
    _check_dice(count, faces)
    return luck.dice(count, faces, index)


def is_triple(dice: tuple[int, ...]) -> bool:
    """Return whether all dice show the same."""
    return len(set(dice)) == 1


def wins(bet: str, dice: tuple[int, ...], triples: Triples = Triples.COUNT) -> bool:
    """Return whether a bet on three dice is right.

    Raises:
        ValueError: It is neither one of `SIZES` nor of `SUMS`.
    """
    if bet not in SIZES and bet not in SUMS:
        raise ValueError(f"{bet!r} is no bet on three dice")
    if triples is Triples.LOSE and is_triple(dice):
        return False
    total = sum(dice)
    match bet:
        case "big":
            return total >= 11
        case "small":
            return total <= 10
        case "odd":
            return total % 2 == 1
        case "even":
            return total % 2 == 0
        case _:
            return bet == str(total)


@cache
def ways(bet: str, triples: Triples = Triples.COUNT) -> int:
    """Return in how many of the 216 ways a bet is right."""
    return sum(wins(bet, dice, triples) for dice in OUTCOMES)


def player_edge(right: int, pay: Fraction | int) -> Fraction:
    """Return what a member gains on average for each point staked.

    Args:
        right: In how many of the 216 ways the bet is right.
        pay: What one point wins beside itself: 1 for "1:1".
    """
    return Fraction(right * pay - (len(OUTCOMES) - right), len(OUTCOMES))


@dataclass(frozen=True, slots=True)
class Odds:
    """One bet as it is told to members."""

    bet: str
    triples: Triples
    ways: int

    @property
    def fair_pay(self) -> Fraction:
        """What one point would have to win beside itself for nobody to have an edge."""
        return Fraction(len(OUTCOMES) - self.ways, self.ways)

    def edge(self, pay: Fraction | int) -> Fraction:
        """Return the member's edge when one point wins `pay` points."""
        return player_edge(self.ways, pay)


def odds_table() -> tuple[Odds, ...]:
    """Return every bet that can be made: sizes under either rule of triples, then sums, which know none."""
    sizes = [Odds(bet, triples, ways(bet, triples)) for triples in Triples for bet in SIZES]
    sums = [Odds(bet, Triples.COUNT, ways(bet)) for bet in SUMS]
    return (*sizes, *sums)


def check_bet(said: str, stake: int, bets: tuple[str, ...], stake_most: int) -> None:
    """Refuse what is no bet, or a stake out of bounds.

    Raises:
        IllegalMoveError: ``no_bet`` or ``stake_too_high``.
    """
    if said not in bets:
        raise IllegalMoveError("no_bet")
    if not 0 <= stake <= stake_most:
        raise IllegalMoveError("stake_too_high", {"most": stake_most})


def share(points: int, winners: int) -> int:
    """Return what each winner gets of points that are shared equally; the remainder stays with who pays."""
    return points // winners if winners else 0


def awards(why: str, points: Mapping[str, int]) -> tuple[Award, ...]:
    """Return an award for each member who gets something."""
    return tuple(Award(member, won, why) for member, won in points.items() if won)


@dataclass(frozen=True, slots=True)
class Entered(Generic[SettingsT]):
    """A round whose dice fall when its entries close.

    Attributes:
        settings: Those of the game.
        luck: The draws, without the entries' hash.
        entries: Member → the entry that counts, in the order of entry.
        repeated: What members put in again: stakes that go back in any case.
    """

    settings: SettingsT
    luck: Luck
    entries: Mapping[str, Move] = field(default_factory=lambda: _NO_ENTRIES)
    repeated: tuple[Move, ...] = ()

    @property
    def counted(self) -> tuple[Move, ...]:
        """The entries that count."""
        return tuple(self.entries.values())

    @property
    def staked(self) -> tuple[Move, ...]:
        """All moves whose stakes are on the table."""
        return (*self.entries.values(), *self.repeated)


class ThrownAtTheEnd(Generic[SettingsT]):
    """What the rules of such a round have in common: each member enters once, and only the end decides."""

    once = True
    mixed = True

    def open(self, settings: SettingsT, seed: bytes, round_id: str) -> Entered[SettingsT]:
        """Return the state before the first entry."""
        return Entered(settings, Luck(seed, round_id))

    def seats(self, state: Entered[SettingsT]) -> tuple[int, ...]:  # noqa: ARG002
        """Return nothing: it is no game of seats."""
        return ()

    def play(self, state: Entered[SettingsT], move: Move) -> tuple[Entered[SettingsT], Outcome]:
        """Take a member's first entry; a later one does not count, and its stake goes back at the end.

        Outcomes: ``entered`` {bet, stake, entries}, ``already`` {bet, stake: those that count}.
        """
        if (first := state.entries.get(move.member)) is not None:
            repeated = (*state.repeated, move) if move.stake else state.repeated
            after = Entered(state.settings, state.luck, state.entries, repeated)
            return after, Outcome("already", {"bet": first.said, "stake": first.stake})
        entries = {**state.entries, move.member: move}
        after = Entered(state.settings, state.luck, entries, state.repeated)
        return after, Outcome("entered", {"bet": move.said, "stake": move.stake, "entries": len(entries)})

    def is_over(self, state: Entered[SettingsT]) -> bool:  # noqa: ARG002
        """Return False: only time or the host closes the entries."""
        return False


def settle_three(
    state: Entered[Any],
    prize: int,
    dice: tuple[int, ...],
    right: Sequence[Move],
    back: Callable[[Move], int],
    more: Mapping[str, Value],
) -> Settlement:
    """Return the end of a round on three dice: who is `right` shares the prize and gets `back` of the stake.

    Facts: dice, sum, triple, entries; winners in the order of entry; each: points of the prize for each; and
    `more` of the game's own.
    """
    winners = tuple(move.member for move in right)
    each = share(prize, len(winners))
    return Settlement(
        (
            *stakes_back(state.repeated),
            *awards("winnings", {move.member: back(move) for move in right}),
            *awards("prize", dict.fromkeys(winners, each)),
        ),
        {
            "dice": dice,
            "sum": sum(dice),
            "triple": is_triple(dice),
            **more,
            "entries": len(state.entries),
            "winners": winners,
            "each": each,
        },
    )


def _check_dice(count: int, faces: int) -> None:
    if not 1 <= count <= MOST_DICE or not 2 <= faces <= MOST_FACES:
        raise _no_dice()


def _no_dice() -> IllegalMoveError:
    return IllegalMoveError("no_dice", {"most_dice": MOST_DICE, "most_faces": MOST_FACES})
