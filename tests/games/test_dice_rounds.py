"""Whatever members play and however a round ends, a dice game gives no more than it took in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.dice import SIZES, SUMS
from games.dice_compare import DiceCompare
from games.dice_point import DicePoint
from games.dice_size import DiceSize
from games.dice_sum import DiceSum
from games.rules import Award, End, IllegalMoveError, Move, Rules, Settlement

Play: TypeAlias = tuple[str, str, int, int]
"""Member, what is said, stake, and the milliseconds since the move before."""


@dataclass(frozen=True)
class Played:
    """A round as it was played."""

    rules: Rules[Any, Any]
    given: dict[str, object]
    seed: bytes
    moves: tuple[Move, ...]
    counted: tuple[Move, ...]
    pot: int
    house: int
    end: End
    settlement: Settlement
    after: Any


ENDS = st.sampled_from(End)
SEEDS = st.binary(min_size=32, max_size=32)
STAKES = st.sampled_from([0, 0, 1, 7, 20, 1_000_000])
PRIZES = st.sampled_from([0, 1, 2, 5, 100, 1_000_000])


def plays(words: Sequence[str], stakes: st.SearchStrategy[int]) -> st.SearchStrategy[list[Play]]:
    """Few members, so that they play again; a word that no game knows is among the words."""
    play = st.tuples(
        st.sampled_from(["ann", "bob", "cat", "dan"]),
        st.sampled_from([*words, "hello"]),
        stakes,
        st.sampled_from([0, 1, 999, 1000, 30_000]),
    )
    return st.lists(play, max_size=12)


def play_round(
    rules: Rules[Any, Any], given: dict[str, object], said: list[Play], seed: bytes, end: End
) -> Played:
    """Play a round as a host would: what is no move is not received."""
    settings_ = rules.settings(given)
    state = rules.open(settings_, seed, "r-1")
    assert rules.seats(state) == ()
    moves: list[Move] = []
    counted: list[Move] = []
    house = at_ms = 0
    for member, word, stake, later_ms in said:
        at_ms += later_ms
        try:
            entry = rules.entry(settings_, word, stake)
        except IllegalMoveError:
            continue
        move = Move(len(moves), member, at_ms, entry.said, stake)
        was_over = rules.is_over(state)
        after, outcome = rules.play(state, move)
        if was_over:
            assert (after, outcome.word) == (state, "over")
        state = after
        moves.append(move)
        if outcome.word in {"entered", "rolled", "won"}:
            counted.append(move)
            house += entry.house
        else:
            assert outcome.word in {"already", "too_soon", "over"}
    settlement = rules.settle(state, end)
    return Played(
        rules, given, seed, tuple(moves), tuple(counted), rules.pot(settings_), house, end, settlement, state
    )


@st.composite
def point_rounds(draw: st.DrawFn) -> Played:
    given_: dict[str, object] = {
        "prize": draw(PRIZES.filter(bool)),
        "point": draw(st.integers(1, 6)),
        "interval_s": draw(st.sampled_from([0, 1, 10])),
    }
    return play_round(DicePoint(), given_, draw(plays(["roll"], STAKES)), draw(SEEDS), draw(ENDS))


@st.composite
def size_rounds(draw: st.DrawFn) -> Played:
    given_: dict[str, object] = {
        "prize": draw(PRIZES),
        "triples": draw(st.sampled_from(["count", "lose"])),
        "stake_most": draw(STAKES),
    }
    return play_round(DiceSize(), given_, draw(plays(SIZES, STAKES)), draw(SEEDS), draw(ENDS))


@st.composite
def sum_rounds(draw: st.DrawFn) -> Played:
    given_: dict[str, object] = {"prize": draw(PRIZES), "stake_most": draw(STAKES)}
    return play_round(DiceSum(), given_, draw(plays(SUMS, STAKES)), draw(SEEDS), draw(ENDS))


@st.composite
def compare_rounds(draw: st.DrawFn) -> Played:
    entry = draw(STAKES)
    given_: dict[str, object] = {
        "prize": draw(PRIZES),
        "entry": entry,
        "dice": draw(st.integers(1, 3)),
        "least_players": draw(st.integers(2, 4)),
    }
    stakes = st.sampled_from([entry] * 9 + [entry + 1])
    return play_round(DiceCompare(), given_, draw(plays(["join"], stakes)), draw(SEEDS), draw(ENDS))


EVERY = {
    "dice_point": point_rounds(),
    "dice_size": size_rounds(),
    "dice_sum": sum_rounds(),
    "dice_compare": compare_rounds(),
}
in_every_game = pytest.mark.parametrize("name", EVERY)
some = settings(max_examples=100, deadline=None)


def points_by(awards: Sequence[Award], why: str) -> Counter[str]:
    """Member → points for that."""
    return Counter({award.member: award.points for award in awards if award.why == why})


def stakes_by(moves: Sequence[Move]) -> Counter[str]:
    """Member → points put in; only those who have put in some."""
    stakes: Counter[str] = Counter()
    for move in moves:
        stakes[move.member] += move.stake
    return +stakes


@in_every_game
@some
@given(st.data())
def test_awards_never_exceed_pot_stakes_and_house(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    given_away = sum(award.points for award in played.settlement.awards)
    assert given_away <= played.pot + sum(move.stake for move in played.moves) + played.house


@in_every_game
@some
@given(st.data())
def test_every_award_is_above_zero_and_the_only_one_of_its_kind_of_somebody_who_played(
    name: str, data: st.DataObject
) -> None:
    played = data.draw(EVERY[name])
    awards = played.settlement.awards
    assert all(award.points > 0 for award in awards)
    assert len({(award.member, award.why) for award in awards}) == len(awards)
    assert {award.member for award in awards} <= {move.member for move in played.moves}


@in_every_game
@some
@given(st.data())
def test_a_cancelled_round_gives_every_stake_back_and_nothing_else(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    cancelled = played.rules.settle(played.after, End.CANCELLED)
    assert {award.why for award in cancelled.awards} <= {"stake_back"}
    assert points_by(cancelled.awards, "stake_back") == stakes_by(played.moves)


@in_every_game
@some
@given(st.data())
def test_a_round_played_again_from_its_seed_and_moves_ends_the_same(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    rules = played.rules
    state = rules.open(rules.settings(played.given), played.seed, "r-1")
    for move in played.moves:
        state, _ = rules.play(state, move)
    assert state == played.after
    assert rules.settle(state, played.end) == played.settlement


@in_every_game
@some
@given(st.data())
def test_a_stake_that_does_not_count_goes_back_however_the_round_ends(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    uncounted = [move for move in played.moves if move not in played.counted]
    back = points_by(played.settlement.awards, "stake_back")
    all_go_back = played.end is End.CANCELLED or played.settlement.facts.get("too_few") is True
    assert back == stakes_by(played.moves if all_go_back else uncounted)


@pytest.mark.parametrize("name", ["dice_size", "dice_sum", "dice_compare"])
@some
@given(st.data())
def test_the_first_move_of_a_member_counts_and_no_other(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    firsts = {move.member: move for move in reversed(played.moves)}
    assert played.counted == tuple(move for move in played.moves if firsts[move.member] == move)


@pytest.mark.parametrize("name", ["dice_point", "dice_compare"])
@some
@given(st.data())
def test_there_is_one_winner_or_none(name: str, data: st.DataObject) -> None:
    played = data.draw(EVERY[name])
    paid = {award.member for award in played.settlement.awards if award.why != "stake_back"}
    assert len(paid) <= 1
    assert paid <= {played.settlement.facts.get("winner")}


@some
@given(compare_rounds())
def test_who_wins_the_comparison_gets_every_entry_that_does_not_go_back(played: Played) -> None:
    awards = played.settlement.awards
    back = points_by(awards, "stake_back") + points_by(awards, "entries")
    assert back.total() == sum(move.stake for move in played.moves)


@pytest.mark.parametrize("name", ["dice_size", "dice_sum"])
@some
@given(st.data())
def test_the_prize_is_shared_equally_by_all_who_are_right_and_only_a_remainder_stays(
    name: str, data: st.DataObject
) -> None:
    played = data.draw(EVERY[name])
    prizes = points_by(played.settlement.awards, "prize")
    winners = played.settlement.facts.get("winners", ())
    assert isinstance(winners, tuple)
    assert len(set(prizes.values())) <= 1
    if winners:
        assert 0 <= played.pot - prizes.total() < len(winners)
    else:
        assert not prizes


@some
@given(point_rounds())
def test_two_rolls_of_a_member_that_count_are_never_closer_than_the_interval(played: Played) -> None:
    interval_s = played.given["interval_s"]
    assert isinstance(interval_s, int)
    last: dict[str, int] = {}
    for move in played.counted:
        assert move.at_ms - last.get(move.member, -1_000_000) >= interval_s * 1000
        last[move.member] = move.at_ms
