"""猜点数: the sum of three dice.

A right guess gives ``floor(stake * 216 / ways)`` back, which is fair but for the fraction of a point that is
cut off. Nothing is cut off on 3, 4, 5, 10, 11, 16, 17 and 18, nor on any sum when the stake is a multiple of
its ways. Otherwise it costs a member 1/9 of a point a bet on average at the most, whatever the stake. That is
felt on the smallest ones only: one point on 9 or 12 brings 8 instead of 8.64 points, an edge of -7.4 %; ten
points bring 86 instead of 86.4, -0.5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from games.dice import (
    FACES,
    OUTCOMES,
    SUMS,
    Entered,
    ThrownAtTheEnd,
    check_bet,
    settle_three,
    throw,
    ways,
    wins,
)
from games.rules import End, Entry, Settlement, Value, known_only, stakes_back, whole


@dataclass(frozen=True, slots=True)
class SumSettings:
    """How a round is played.

    Attributes:
        prize: What all who are right share equally; a remainder goes back to who pays.
        stake_most: The highest stake; 0: it is played without.
    """

    prize: int = 100
    stake_most: int = 0


class DiceSum(ThrownAtTheEnd[SumSettings]):
    """The rules."""

    name = "dice_sum"

    def settings(self, given: Mapping[str, object]) -> SumSettings:
        """Return the settings: prize, stake_most."""
        known_only(given, frozenset({"prize", "stake_most"}))
        return SumSettings(
            prize=whole(given, "prize", 100, 0, 1_000_000),
            stake_most=whole(given, "stake_most", 0, 0, 1_000_000),
        )

    def pot(self, settings: SumSettings) -> int:
        """Return the prize."""
        return settings.prize

    def entry(self, settings: SumSettings, said: str, stake: int) -> Entry:
        """Take ``3`` to ``18``; what a right guess gives back beside its stake may have to be paid.

        Raises:
            IllegalMoveError: ``no_bet``, ``stake_too_high`` {most}.
        """
        check_bet(said, stake, SUMS, settings.stake_most)
        return Entry(said, house=given_back(said, stake) - stake)

    def settle(self, state: Entered[SumSettings], end: End) -> Settlement:
        """Throw the draws ``dice 0`` to ``dice 2``, with the entries mixed in, and pay who is right.

        Facts: dice, sum, triple; ways: in how many of 216 that sum falls; entries; winners in the order of
        entry; each: points of the prize for each.
        """
        if end is End.CANCELLED:
            return Settlement(stakes_back(state.staked))
        dice = throw(state.luck.mixed(state.counted), 3, FACES, "dice")
        right = [move for move in state.counted if wins(move.said, dice)]
        more: dict[str, Value] = {"ways": ways(str(sum(dice)))}
        return settle_three(
            state, state.settings.prize, dice, right, lambda move: given_back(move.said, move.stake), more
        )


def given_back(bet: str, stake: int) -> int:
    """Return what a right guess gives back in all, its stake included; never less than the stake."""
    return stake * len(OUTCOMES) // ways(bet)
