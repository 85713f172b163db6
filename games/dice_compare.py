"""比大小: everybody throws, the highest sum takes the prize and all that was put in.

Two players tie in 1/6 of the rounds with one die and in 9.3 % with three. Those who lead
together throw again until one leads alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from games.dice import FACES, Entered, ThrownAtTheEnd, awards, throw
from games.fairness import Luck
from games.rules import (
    End,
    Entry,
    IllegalMoveError,
    Settlement,
    Value,
    known_only,
    stakes_back,
    whole,
)

MOST_TIES = 100
"""Sudden deaths before the earliest of the leaders wins.

It bounds the work and changes no game: each sudden death throws most leaders out, and the last two, with one
die each, tie that often once in 6¹⁰⁰.
"""


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """How a round is played.

    Attributes:
        prize: What the winner gets beside all entries.
        dice: How many dice everybody throws.
        entry: The stake that every player puts in.
        least_players: With fewer nothing is thrown and every entry goes back.
    """

    prize: int = 100
    dice: int = 3
    entry: int = 0
    least_players: int = 2


class DiceCompare(ThrownAtTheEnd[CompareSettings]):
    """The rules."""

    name = "dice_compare"

    def settings(self, given: Mapping[str, object]) -> CompareSettings:
        """Return the settings: prize, dice, entry, least_players."""
        known_only(given, frozenset({"prize", "dice", "entry", "least_players"}))
        return CompareSettings(
            prize=whole(given, "prize", 100, 0, 1_000_000),
            dice=whole(given, "dice", 3, 1, 10),
            entry=whole(given, "entry", 0, 0, 1_000_000),
            least_players=whole(given, "least_players", 2, 2, 100),
        )

    def pot(self, settings: CompareSettings) -> int:
        """Return the prize."""
        return settings.prize

    def entry(self, settings: CompareSettings, said: str, stake: int) -> Entry:
        """Take ``join`` with the stake that every player puts in.

        Raises:
            IllegalMoveError: ``no_join``: something else is said; ``wrong_entry`` {entry}: another stake.
        """
        if said != "join":
            raise IllegalMoveError("no_join")
        if stake != settings.entry:
            raise IllegalMoveError("wrong_entry", {"entry": settings.entry})
        return Entry("join")

    def settle(self, state: Entered[CompareSettings], end: End) -> Settlement:
        """Throw for everybody, with the entries mixed in, and pay the one who leads.

        The player in place n, from 0, throws the draws ``throw <n> 0``, ``throw <n> 1``, … and in the k-th
        sudden death, from 1, ``throw <n> again <k> 0``, ….

        Facts: too_few, players in the order of entry, and with too few of them: least. Else: sums: what each
        player threw first; ties: how many sudden deaths it took; winner; dice: what the winner threw first.
        """
        if end is End.CANCELLED:
            return Settlement(stakes_back(state.staked))
        settings, players = state.settings, tuple(state.entries)
        if len(players) < settings.least_players:
            facts: dict[str, Value] = {"too_few": True, "players": players, "least": settings.least_players}
            return Settlement(stakes_back(state.staked), facts)
        luck = state.luck.mixed(state.counted)
        throws = [throw(luck, settings.dice, FACES, f"throw {seat}") for seat in range(len(players))]
        sums = tuple(sum(dice) for dice in throws)
        seat, ties = _sudden_death(luck, settings.dice, _leaders(range(len(players)), sums))
        winner, entries = players[seat], sum(move.stake for move in state.counted)
        return Settlement(
            (
                *stakes_back(state.repeated),
                *awards("entries", {winner: entries}),
                *awards("prize", {winner: settings.prize}),
            ),
            {
                "too_few": False,
                "players": players,
                "sums": sums,
                "ties": ties,
                "winner": winner,
                "dice": throws[seat],
            },
        )


def _sudden_death(luck: Luck, dice: int, leaders: list[int]) -> tuple[int, int]:
    """Return the seat that leads alone in the end, and how often the leaders had to throw again."""
    ties = 0
    while len(leaders) > 1 and ties < MOST_TIES:
        ties += 1
        sums = [sum(throw(luck, dice, FACES, f"throw {seat} again {ties}")) for seat in leaders]
        leaders = _leaders(leaders, sums)
    return leaders[0], ties


def _leaders(seats: Sequence[int], sums: Sequence[int]) -> list[int]:
    """Return those of the seats, in their order, that have the highest sum."""
    highest = max(sums)
    return [seat for seat, total in zip(seats, sums, strict=True) if total == highest]
