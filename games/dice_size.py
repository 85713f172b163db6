"""猜大小、单双: big or small, odd or even on the sum of three dice.

Big is 11 to 18, small is 3 to 10. Where triples count like any other throw, each of the four bets is right
in 108 of 216 ways, and a stake paid 1:1 has no edge for either side. Where a triple loses for every bet it is
105 ways, and a member loses 6/216 of the stake (2.78 %) on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from games.dice import (
    FACES,
    SIZES,
    Entered,
    ThrownAtTheEnd,
    Triples,
    check_bet,
    settle_three,
    throw,
    wins,
)
from games.rules import BadSettingError, End, Entry, Settlement, Value, known_only, stakes_back, whole


@dataclass(frozen=True, slots=True)
class SizeSettings:
    """How a round is played.

    Attributes:
        prize: What all who are right share equally; a remainder goes back to who pays.
        triples: What three equal dice mean.
        stake_most: The highest stake; 0: it is played without.
    """

    prize: int = 100
    triples: Triples = Triples.COUNT
    stake_most: int = 0


class DiceSize(ThrownAtTheEnd[SizeSettings]):
    """The rules."""

    name = "dice_size"

    def settings(self, given: Mapping[str, object]) -> SizeSettings:
        """Return the settings: prize, triples, stake_most."""
        known_only(given, frozenset({"prize", "triples", "stake_most"}))
        return SizeSettings(
            prize=whole(given, "prize", 100, 0, 1_000_000),
            triples=_triples(given.get("triples", "count")),
            stake_most=whole(given, "stake_most", 0, 0, 1_000_000),
        )

    def pot(self, settings: SizeSettings) -> int:
        """Return the prize."""
        return settings.prize

    def entry(self, settings: SizeSettings, said: str, stake: int) -> Entry:
        """Take ``big``, ``small``, ``odd`` or ``even``; as much as the stake may be won.

        Raises:
            IllegalMoveError: ``no_bet``, ``stake_too_high`` {most}.
        """
        check_bet(said, stake, SIZES, settings.stake_most)
        return Entry(said, house=stake)

    def settle(self, state: Entered[SizeSettings], end: End) -> Settlement:
        """Throw the draws ``dice 0`` to ``dice 2``, with the entries mixed in, and pay who is right.

        Facts: dice, sum, triple; big, small, odd, even: how many are right with that; entries; winners in the
        order of entry; each: points of the prize for each.
        """
        if end is End.CANCELLED:
            return Settlement(stakes_back(state.staked))
        dice = throw(state.luck.mixed(state.counted), 3, FACES, "dice")
        right = [move for move in state.counted if wins(move.said, dice, state.settings.triples)]
        more: dict[str, Value] = {bet: sum(move.said == bet for move in right) for bet in SIZES}
        return settle_three(state, state.settings.prize, dice, right, lambda move: 2 * move.stake, more)


def _triples(value: object) -> Triples:
    if not isinstance(value, str) or value not in set(Triples):
        raise BadSettingError("triples", "is no rule of triples", f"one of {', '.join(Triples)}")
    return Triples(value)
