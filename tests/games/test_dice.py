"""Throws are what was asked for, and the odds are those of 216 equally likely ways."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.dice import (
    MOST_DICE,
    MOST_FACES,
    OUTCOMES,
    SIZES,
    SUMS,
    Triples,
    is_triple,
    odds_table,
    parse_dice,
    player_edge,
    throw,
    ways,
    wins,
)
from games.dice_sum import given_back
from games.fairness import Luck
from games.rules import IllegalMoveError

LUCK = Luck(bytes(range(32)), "r-1")
FOUND = {(row.bet, row.triples): row for row in odds_table()}


@pytest.mark.parametrize(
    ("said", "dice"),
    [
        ("", (1, 6)),
        ("d20", (1, 20)),
        ("3d6", (3, 6)),
        ("3D6", (3, 6)),
        ("1d2", (1, 2)),
        ("20d1000", (20, 1000)),
    ],
)
def test_dice_are_named_by_count_and_faces(said: str, dice: tuple[int, int]) -> None:
    assert parse_dice(said) == dice


@pytest.mark.parametrize(
    "said",
    [
        "0d6",
        "21d6",
        "3d1",
        "3d0",
        "d1001",
        "3d",
        "d",
        "3",
        "-3d6",
        "3d-6",
        "3d6\n",
        " 3d6",
        "3x6",
        "3个6",
        "٣d6",
        "3d6+1",
        "d" * 99,
    ],
)
def test_anything_else_names_no_dice(said: str) -> None:
    with pytest.raises(IllegalMoveError) as caught:
        parse_dice(said)
    assert caught.value.word == "no_dice"
    assert caught.value.values == {"most_dice": 20, "most_faces": 1000}


@given(st.text(alphabet="0123456789dD+ ", max_size=8) | st.text(max_size=8))
def test_whatever_is_said_dice_that_are_named_can_be_thrown(said: str) -> None:
    try:
        count, faces = parse_dice(said)
    except IllegalMoveError:
        return
    thrown = throw(LUCK, count, faces, said)
    assert len(thrown) == count
    assert all(1 <= value <= faces for value in thrown)


@pytest.mark.parametrize(("count", "faces"), [(0, 6), (MOST_DICE + 1, 6), (1, 1), (1, MOST_FACES + 1)])
def test_dice_that_cannot_be_named_cannot_be_thrown(count: int, faces: int) -> None:
    with pytest.raises(IllegalMoveError, match="no_dice"):
        throw(LUCK, count, faces, "x")


def test_each_of_several_dice_is_a_draw_of_its_own_that_anyone_can_recompute() -> None:
    assert throw(LUCK, 3, 6, "dice") == tuple(LUCK.die(6, f"dice {number}") for number in range(3))


def test_three_dice_fall_in_216_ways() -> None:
    assert len(set(OUTCOMES)) == len(OUTCOMES) == 216
    assert sum(is_triple(dice) for dice in OUTCOMES) == 6
    assert [dice for dice in OUTCOMES if is_triple(dice)][3] == (4, 4, 4)


@pytest.mark.parametrize("bet", SIZES)
def test_a_size_is_right_in_108_ways_and_in_105_where_triples_lose(bet: str) -> None:
    assert FOUND[bet, Triples.COUNT].ways == 108
    assert FOUND[bet, Triples.LOSE].ways == 105


def test_sums_fall_in_as_many_ways_as_every_table_says() -> None:
    table = [1, 3, 6, 10, 15, 21, 25, 27, 27, 25, 21, 15, 10, 6, 3, 1]
    assert [FOUND[bet, Triples.COUNT].ways for bet in SUMS] == table
    assert sum(table) == 216


def test_the_table_has_every_bet_once_under_the_rules_it_is_played_by() -> None:
    assert len(odds_table()) == len(FOUND) == 2 * len(SIZES) + len(SUMS)
    assert {bet for bet, triples in FOUND if triples is Triples.LOSE} == set(SIZES)


@pytest.mark.parametrize(
    ("bet", "triples", "pay"),
    [
        ("big", Triples.COUNT, Fraction(1)),
        ("odd", Triples.COUNT, Fraction(1)),
        ("small", Triples.LOSE, Fraction(111, 105)),
        ("4", Triples.COUNT, Fraction(71)),
        ("9", Triples.COUNT, Fraction(191, 25)),
        ("10", Triples.COUNT, Fraction(7)),
        ("18", Triples.COUNT, Fraction(215)),
    ],
)
def test_fair_pay_is_what_the_field_says(bet: str, triples: Triples, pay: Fraction) -> None:
    assert FOUND[bet, triples].fair_pay == pay


def test_at_fair_pay_nobody_has_an_edge() -> None:
    for row in odds_table():
        assert row.edge(row.fair_pay) == 0, row
        assert row.edge(row.fair_pay - 1) == Fraction(-row.ways, 216), row


@pytest.mark.parametrize(
    ("right", "pay", "edge"),
    [
        (ways("big", Triples.LOSE), 1, Fraction(-6, 216)),  # -2.78 %
        (ways("even", Triples.LOSE), 1, Fraction(-6, 216)),
        (ways("even"), 1, Fraction(0)),
        (sum(is_triple(dice) for dice in OUTCOMES), 24, Fraction(-66, 216)),  # -30.6 %
        (sum(is_triple(dice) for dice in OUTCOMES), 30, Fraction(-30, 216)),  # -13.9 %
        (OUTCOMES.count((5, 5, 5)), 180, Fraction(-35, 216)),  # -16.2 %
        (ways("17"), 60, Fraction(-33, 216)),  # -15.3 %
        (ways("12"), 6, Fraction(-41, 216)),  # -19.0 %
        (ways("11"), 6, Fraction(-27, 216)),  # -12.5 %
    ],
)
def test_what_is_usually_paid_leaves_the_member_the_edge_that_the_field_says(
    right: int, pay: int, edge: Fraction
) -> None:
    assert player_edge(right, pay) == edge


def test_big_and_small_and_odd_and_even_are_opposites_where_triples_count() -> None:
    for dice in OUTCOMES:
        assert wins("big", dice) != wins("small", dice)
        assert wins("odd", dice) != wins("even", dice)
        assert sum(wins(bet, dice) for bet in SUMS) == 1


def test_a_triple_that_loses_loses_for_every_bet_and_changes_no_other_throw() -> None:
    for dice in OUTCOMES:
        for bet in SIZES:
            assert wins(bet, dice, Triples.LOSE) == (wins(bet, dice) and not is_triple(dice))


@pytest.mark.parametrize("bet", ["", "2", "19", "03", "BIG", "triple"])
def test_what_is_no_bet_has_no_chance(bet: str) -> None:
    with pytest.raises(ValueError, match="no bet"):
        wins(bet, (1, 2, 3))


def test_cutting_off_fractions_costs_a_guess_of_the_sum_a_ninth_of_a_point_at_the_most() -> None:
    """As the head of `games.dice_sum` says: the exact average of what is lost, over stakes and sums."""
    lost = {
        (bet, stake): stake - Fraction(given_back(bet, stake) * ways(bet), 216)
        for bet in SUMS
        for stake in range(1, 217)
    }
    assert min(lost.values()) == 0
    assert max(lost.values()) == Fraction(1, 9)
    assert {bet for bet, _ in lost if lost[bet, 1] == 0} == {"3", "4", "5", "10", "11", "16", "17", "18"}
    assert all(not points for (bet, stake), points in lost.items() if stake % ways(bet) == 0)
    assert lost["9", 1] == Fraction(16, 216)
    assert lost["9", 10] / 10 == Fraction(1, 216)
