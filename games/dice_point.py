"""指定点数: the first member whose die shows the named point wins.

A die shows it after six rolls on average. So that nobody wins by typing faster, a member's roll counts only
some seconds after their last one that counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from games.dice import FACES, awards
from games.fairness import Luck
from games.rules import End, Entry, IllegalMoveError, Move, Outcome, Settlement, Value, known_only, whole

_NO_ROLLS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PointSettings:
    """How a round is played.

    Attributes:
        prize: What the winner gets.
        point: What the die has to show.
        interval_s: Seconds between two rolls of a member.
    """

    prize: int = 50
    point: int = 6
    interval_s: int = 10


@dataclass(frozen=True, slots=True)
class PointState:
    """A round in play.

    Attributes:
        settings: How it is played.
        luck: Its draws.
        rolls: How many rolls have counted.
        rolled_at_ms: Member → when they made their last roll that counted.
        winner: Who has won; nobody yet if empty.
    """

    settings: PointSettings
    luck: Luck
    rolls: int = 0
    rolled_at_ms: Mapping[str, int] = field(default_factory=lambda: _NO_ROLLS)
    winner: str = ""


class DicePoint:
    """The rules."""

    name = "dice_point"
    once = False
    mixed = False

    def settings(self, given: Mapping[str, object]) -> PointSettings:
        """Return the settings: prize, point, interval_s."""
        known_only(given, frozenset({"prize", "point", "interval_s"}))
        return PointSettings(
            prize=whole(given, "prize", 50, 1, 1_000_000),
            point=whole(given, "point", 6, 1, FACES),
            interval_s=whole(given, "interval_s", 10, 0, 600),
        )

    def pot(self, settings: PointSettings) -> int:
        """Return the prize."""
        return settings.prize

    def open(self, settings: PointSettings, seed: bytes, round_id: str) -> PointState:
        """Return the state before the first roll."""
        return PointState(settings, Luck(seed, round_id))

    def seats(self, state: PointState) -> tuple[int, ...]:  # noqa: ARG002
        """Return nothing: it is no game of seats."""
        return ()

    def entry(self, settings: PointSettings, said: str, stake: int) -> Entry:  # noqa: ARG002
        """Take ``roll``, without a stake.

        Raises:
            IllegalMoveError: ``no_roll``: something else is said; ``no_stake``: there is a stake.
        """
        if said != "roll":
            raise IllegalMoveError("no_roll")
        if stake:
            raise IllegalMoveError("no_stake")
        return Entry("roll")

    def play(self, state: PointState, move: Move) -> tuple[PointState, Outcome]:
        """Roll the die; the draw is ``roll <number of the move>``.

        Outcomes: ``rolled`` {value, point}, ``won`` {value, point, prize}; without a roll: ``too_soon``
        {wait_s}, ``over``.
        """
        if state.winner:
            return state, Outcome("over")
        if (wait_ms := _wait_ms(state, move)) > 0:
            return state, Outcome("too_soon", {"wait_s": -(-wait_ms // 1000)})
        value = state.luck.die(FACES, f"roll {move.number}")
        point, prize = state.settings.point, state.settings.prize
        after = replace(
            state, rolls=state.rolls + 1, rolled_at_ms={**state.rolled_at_ms, move.member: move.at_ms}
        )
        if value != point:
            return after, Outcome("rolled", {"value": value, "point": point})
        won = Outcome("won", {"value": value, "point": point, "prize": prize})
        return replace(after, winner=move.member), won

    def is_over(self, state: PointState) -> bool:
        """Return whether somebody has won."""
        return bool(state.winner)

    def settle(self, state: PointState, end: End) -> Settlement:
        """Give the winner the prize, if there is one.

        Facts: point, rolls, winner (empty: nobody).
        """
        if end is End.CANCELLED:
            return Settlement()
        prize = {state.winner: state.settings.prize} if state.winner else {}
        facts: dict[str, Value] = {
            "point": state.settings.point,
            "rolls": state.rolls,
            "winner": state.winner,
        }
        return Settlement(awards("prize", prize), facts)


def _wait_ms(state: PointState, move: Move) -> int:
    """Return how long the member still has to wait; 0 or less: not at all."""
    last_ms = state.rolled_at_ms.get(move.member)
    return 0 if last_ms is None else last_ms + state.settings.interval_s * 1000 - move.at_ms
