"""Each dice game by example, with the dice falling as the example needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product

import pytest

from games.dice import OUTCOMES, SIZES, SUMS, Entered, ways
from games.dice_compare import MOST_TIES, CompareSettings, DiceCompare
from games.dice_point import DicePoint, PointSettings, PointState
from games.dice_size import DiceSize, SizeSettings
from games.dice_sum import DiceSum, SumSettings
from games.fairness import Luck
from games.rules import Award, BadSettingError, End, IllegalMoveError, Move, Outcome, Rules, Settlement

SEED = bytes(range(32))
POINT: Rules[PointSettings, PointState] = DicePoint()
SIZE: Rules[SizeSettings, Entered[SizeSettings]] = DiceSize()
SUM: Rules[SumSettings, Entered[SumSettings]] = DiceSum()
COMPARE: Rules[CompareSettings, Entered[CompareSettings]] = DiceCompare()


@dataclass(frozen=True)
class Rigged(Luck):
    """Dice that fall as told, index → value; all others show 1."""

    falls: Mapping[str, int] = field(default_factory=dict)

    def mixed(self, moves: object) -> Rigged:
        del moves
        return self

    def below(self, most: int, index: str) -> int:
        value = self.falls.get(index, 1)
        assert 1 <= value <= most
        return value - 1


def rigged(**falls: int) -> Rigged:
    """Dice by index, a space written as ``_``."""
    return Rigged(SEED, "r", "", {index.replace("_", " "): value for index, value in falls.items()})


def three(dice: tuple[int, ...]) -> Rigged:
    return Rigged(SEED, "r", "", {f"dice {number}": value for number, value in enumerate(dice)})


def awards_of(settlement: Settlement) -> set[tuple[str, int, str]]:
    return {(award.member, award.points, award.why) for award in settlement.awards}


# 指定点数


def roll(luck: Luck, *rolls: tuple[str, int], **given: object) -> tuple[PointState, list[Outcome]]:
    """Play rolls, given as member and second, and return the state and what came of each."""
    state = replace(POINT.open(POINT.settings(given), SEED, "r"), luck=luck)
    told = []
    for number, (member, at_s) in enumerate(rolls):
        state, outcome = POINT.play(state, Move(number, member, at_s * 1000, "roll"))
        told.append(outcome)
    return state, told


def test_the_first_to_throw_the_point_wins_and_later_rolls_change_nothing() -> None:
    luck = rigged(roll_0=2, roll_1=6, roll_2=6)
    state, told = roll(luck, ("ann", 0), ("bob", 1), ("cat", 2))
    assert told == [
        Outcome("rolled", {"value": 2, "point": 6}),
        Outcome("won", {"value": 6, "point": 6, "prize": 50}),
        Outcome("over"),
    ]
    assert POINT.is_over(state)
    settlement = POINT.settle(state, End.OVER)
    assert settlement.awards == (Award("bob", 50, "prize"),)
    assert settlement.facts == {"point": 6, "rolls": 2, "winner": "bob"}


def test_the_point_can_be_another_one() -> None:
    state, told = roll(rigged(roll_0=6, roll_1=2), ("ann", 0), ("bob", 0), point=2, prize=7)
    assert [outcome.word for outcome in told] == ["rolled", "won"]
    assert POINT.settle(state, End.OVER).awards == (Award("bob", 7, "prize"),)


def test_nobody_who_throws_the_point_nobody_who_gets_the_prize() -> None:
    state, _ = roll(rigged(), ("ann", 0), ("bob", 0))
    assert not POINT.is_over(state)
    settlement = POINT.settle(state, End.TIME)
    assert settlement.awards == ()
    assert settlement.facts == {"point": 6, "rolls": 2, "winner": ""}


def test_a_member_rolls_once_in_an_interval_while_others_roll_on() -> None:
    _, told = roll(
        rigged(), ("ann", 0), ("ann", 1), ("bob", 1), ("ann", 9), ("ann", 10), ("ann", 19), ("ann", 20)
    )
    assert [outcome.word for outcome in told] == [
        "rolled",
        "too_soon",
        "rolled",
        "too_soon",
        "rolled",
        "too_soon",
        "rolled",
    ]


def test_a_roll_that_came_too_soon_is_told_the_whole_seconds_to_wait_and_starts_no_new_interval() -> None:
    state = replace(POINT.open(POINT.settings({}), SEED, "r"), luck=rigged(roll_1=6))
    waits = []
    for number, at_ms in enumerate([5_000, 5_001, 14_000, 14_001, 14_999, 15_000]):
        state, outcome = POINT.play(state, Move(number, "ann", at_ms, "roll"))
        waits.append((outcome.word, outcome.values.get("wait_s")))
    assert waits == [
        ("rolled", None),
        ("too_soon", 10),
        ("too_soon", 1),
        ("too_soon", 1),
        ("too_soon", 1),
        ("rolled", None),
    ]
    assert state.rolls == 2
    assert not state.winner, (
        "the move that came too soon threw no die, though its own would have shown the point"
    )


def test_without_an_interval_every_roll_counts() -> None:
    _, told = roll(rigged(), ("ann", 0), ("ann", 0), ("ann", 0), interval_s=0)
    assert [outcome.word for outcome in told] == ["rolled"] * 3


def test_the_roll_of_a_move_is_the_draw_of_its_number() -> None:
    state = POINT.open(POINT.settings({}), SEED, "r")
    for number in (0, 7, 123):
        _, outcome = POINT.play(state, Move(number, "ann", 0, "roll"))
        assert outcome.values["value"] == Luck(SEED, "r").die(6, f"roll {number}")


def test_a_cancelled_round_gives_not_even_its_winner_a_prize() -> None:
    state, _ = roll(rigged(roll_0=6), ("ann", 0))
    assert POINT.settle(state, End.CANCELLED) == Settlement()


# 猜大小 and 猜点数


def size_round(luck: Luck, *bets: tuple[str, str, int], **given: object) -> Settlement:
    """Settle a round of bets, given as member, bet and stake."""
    state = replace(SIZE.open(SIZE.settings(given), SEED, "r"), luck=luck)
    for number, (member, said, stake) in enumerate(bets):
        state, _ = SIZE.play(state, Move(number, member, 0, said, stake))
    return SIZE.settle(state, End.TIME)


def sum_round(luck: Luck, *bets: tuple[str, str, int], **given: object) -> Settlement:
    state = replace(SUM.open(SUM.settings(given), SEED, "r"), luck=luck)
    for number, (member, said, stake) in enumerate(bets):
        state, _ = SUM.play(state, Move(number, member, 0, said, stake))
    return SUM.settle(state, End.TIME)


def test_who_guesses_right_shares_the_prize_and_doubles_the_stake() -> None:
    settlement = size_round(
        three((5, 4, 2)), ("ann", "big", 10), ("bob", "small", 20), ("cat", "odd", 0), stake_most=50
    )
    assert settlement.awards == (
        Award("ann", 20, "winnings"),
        Award("ann", 50, "prize"),
        Award("cat", 50, "prize"),
    )
    assert settlement.facts == {
        "dice": (5, 4, 2),
        "sum": 11,
        "triple": False,
        "big": 1,
        "small": 0,
        "odd": 1,
        "even": 0,
        "entries": 3,
        "winners": ("ann", "cat"),
        "each": 50,
    }


def test_the_remainder_of_a_prize_is_given_to_nobody() -> None:
    settlement = size_round(three((6, 6, 5)), *((name, "big", 0) for name in ("ann", "bob", "cat")))
    assert [award.points for award in settlement.awards] == [33, 33, 33]
    assert settlement.facts["each"] == 33


def test_a_prize_too_small_to_share_is_no_award_of_nothing() -> None:
    settlement = size_round(three((6, 6, 5)), ("ann", "big", 0), ("bob", "odd", 0), prize=1)
    assert settlement.awards == ()
    assert settlement.facts["winners"] == ("ann", "bob")


def test_nobody_right_gets_nobody_anything() -> None:
    settlement = size_round(three((1, 1, 2)), ("ann", "big", 5), ("bob", "odd", 0), stake_most=5)
    assert settlement.awards == ()
    assert settlement.facts["winners"] == ()


def test_a_round_without_entries_ends_with_a_throw_and_no_awards() -> None:
    settlement = size_round(Luck(SEED, "r"))
    assert settlement.awards == ()
    assert settlement.facts["entries"] == 0


@pytest.mark.parametrize(("triples", "winners"), [("count", ("ann", "bob")), ("lose", ())])
def test_a_triple_counts_or_loses_as_it_was_set(triples: str, winners: tuple[str, ...]) -> None:
    settlement = size_round(three((4, 4, 4)), ("ann", "big", 0), ("bob", "even", 0), triples=triples)
    assert settlement.facts["triple"] is True
    assert settlement.facts["winners"] == winners


def test_only_the_first_bet_of_a_member_counts_and_the_stake_of_another_goes_back() -> None:
    state = replace(SIZE.open(SIZE.settings({"stake_most": 50}), SEED, "r"), luck=three((6, 6, 6)))
    told = []
    bets = [("ann", "small", 10), ("bob", "big", 5), ("ann", "big", 20), ("ann", "big", 7), ("bob", "odd", 0)]
    for number, (member, said, stake) in enumerate(bets):
        state, outcome = SIZE.play(state, Move(number, member, 0, said, stake))
        told.append(outcome)
    assert told == [
        Outcome("entered", {"bet": "small", "stake": 10, "entries": 1}),
        Outcome("entered", {"bet": "big", "stake": 5, "entries": 2}),
        Outcome("already", {"bet": "small", "stake": 10}),
        Outcome("already", {"bet": "small", "stake": 10}),
        Outcome("already", {"bet": "big", "stake": 5}),
    ]
    settlement = SIZE.settle(state, End.TIME)
    assert awards_of(settlement) == {
        ("ann", 27, "stake_back"),
        ("bob", 10, "winnings"),
        ("bob", 100, "prize"),
    }
    assert settlement.facts["entries"] == 2


@pytest.mark.parametrize("stake", [1, 7, 1_000_000])
@pytest.mark.parametrize("bet", SIZES)
@pytest.mark.parametrize(("triples", "edge"), [("count", Fraction(0)), ("lose", Fraction(-6, 216))])
def test_over_all_216_throws_a_stake_on_a_size_wins_or_loses_exactly_the_edge(
    triples: str, edge: Fraction, bet: str, stake: int
) -> None:
    back = sum(
        sum(award.points for award in settlement.awards)
        for settlement in (
            size_round(three(dice), ("ann", bet, stake), triples=triples, prize=0, stake_most=stake)
            for dice in OUTCOMES
        )
    )
    assert Fraction(back, 216 * stake) - 1 == edge


def test_over_all_216_throws_a_stake_on_a_sum_that_divides_evenly_wins_and_loses_nothing() -> None:
    for bet in SUMS:
        stake = ways(bet)
        back = sum(
            award.points
            for dice in OUTCOMES
            for award in sum_round(three(dice), ("ann", bet, stake), prize=0, stake_most=stake).awards
        )
        assert back == 216 * stake, bet


def test_a_right_sum_gives_the_stake_back_by_its_odds_and_shares_the_prize() -> None:
    settlement = sum_round(
        three((2, 3, 4)), ("ann", "9", 10), ("bob", "9", 0), ("cat", "10", 10), prize=101, stake_most=10
    )
    assert settlement.awards == (
        Award("ann", 86, "winnings"),  # floor(10 * 216 / 25)
        Award("ann", 50, "prize"),
        Award("bob", 50, "prize"),
    )
    assert settlement.facts == {
        "dice": (2, 3, 4),
        "sum": 9,
        "triple": False,
        "ways": 25,
        "entries": 3,
        "winners": ("ann", "bob"),
        "each": 50,
    }


def test_what_a_stake_may_win_is_held_back_by_the_house() -> None:
    size, by_sum = SIZE.settings({"stake_most": 10}), SUM.settings({"stake_most": 10})
    assert SIZE.entry(size, "odd", 10).house == 10
    assert SUM.entry(by_sum, "3", 10).house == 2150
    assert SUM.entry(by_sum, "12", 1).house == 7
    assert all(SUM.entry(by_sum, bet, stake).house >= stake for bet in SUMS for stake in range(11))


@pytest.mark.parametrize("end", [End.TIME, End.STOPPED])
def test_the_dice_of_a_round_are_the_published_draws_with_the_entries_mixed_in(end: End) -> None:
    size = SIZE.open(SIZE.settings({}), SEED, "r")
    by_sum = SUM.open(SUM.settings({}), SEED, "r")
    moves = (Move(0, "ann", 0, "big"), Move(1, "bob", 0, "odd"))
    guesses = (Move(0, "ann", 0, "3"), Move(1, "bob", 0, "18"))
    for move, guess in zip(moves, guesses, strict=True):
        size, _ = SIZE.play(size, move)
        by_sum, _ = SUM.play(by_sum, guess)
    size, _ = SIZE.play(size, Move(2, "ann", 0, "even", 5))  # is no entry
    assert SIZE.settle(size, end).facts["dice"] == Luck(SEED, "r").mixed(moves).dice(3, 6, "dice")
    assert SUM.settle(by_sum, end).facts["dice"] == Luck(SEED, "r").mixed(guesses).dice(3, 6, "dice")


def test_the_sums_of_20_000_rounds_are_spread_as_the_odds_say() -> None:
    """Chi-square with 15 degrees of freedom: 1 in 1000 fair dice is above 37.7, 1 in 1000 below 3.48."""
    rounds, fallen = 20_000, Counter[object]()
    settings = SIZE.settings({})
    for number in range(rounds):
        state = SIZE.open(settings, SEED, f"r-{number}")
        state, _ = SIZE.play(state, Move(0, "ann", 0, "big"))
        fallen[SIZE.settle(state, End.TIME).facts["sum"]] += 1
    expected = {int(bet): rounds * ways(bet) / 216 for bet in SUMS}
    assert set(fallen) <= set(expected)
    distance = sum((fallen[total] - mean) ** 2 / mean for total, mean in expected.items())
    assert 3.48 < distance < 37.7


# 比大小


def compare_round(luck: Luck, players: str, entry: int = 0, **given: object) -> Settlement:
    """Settle a round of players with names of one letter."""
    settings = COMPARE.settings({"entry": entry, "dice": 1, **given})
    state = replace(COMPARE.open(settings, SEED, "r"), luck=luck)
    for number, member in enumerate(players):
        state, _ = COMPARE.play(state, Move(number, member, 0, "join", entry))
    return COMPARE.settle(state, End.TIME)


def test_the_highest_sum_takes_prize_and_entries() -> None:
    luck = rigged(throw_0_0=6, throw_1_0=4, throw_1_1=5, throw_2_1=3)
    settlement = compare_round(luck, "abc", entry=20, dice=2)
    assert settlement.awards == (Award("b", 60, "entries"), Award("b", 100, "prize"))
    assert settlement.facts == {
        "too_few": False,
        "players": ("a", "b", "c"),
        "sums": (7, 9, 4),
        "ties": 0,
        "winner": "b",
        "dice": (4, 5),
    }


def test_only_those_who_lead_together_throw_again_until_one_leads_alone() -> None:
    luck = rigged(
        throw_0_0=5,
        throw_1_0=2,
        throw_2_0=5,
        throw_3_0=5,
        throw_0_again_1_0=3,
        throw_1_again_1_0=6,  # has lost already
        throw_2_again_1_0=4,
        throw_3_again_1_0=4,
        throw_0_again_2_0=6,  # has lost by now
        throw_2_again_2_0=1,
        throw_3_again_2_0=2,
    )
    settlement = compare_round(luck, "abcd")
    assert settlement.awards == (Award("d", 100, "prize"),)
    assert settlement.facts["winner"] == "d"
    assert settlement.facts["ties"] == 2
    assert settlement.facts["sums"] == (5, 2, 5, 5)


def test_a_sudden_death_is_thrown_with_all_the_dice() -> None:
    luck = rigged(throw_0_again_1_0=3, throw_1_again_1_1=6)
    settlement = compare_round(luck, "ab", dice=2)
    assert (settlement.facts["winner"], settlement.facts["ties"]) == ("b", 1)


def test_dice_that_tie_for_ever_let_the_earliest_leader_win() -> None:
    settlement = compare_round(rigged(throw_1_0=6, throw_2_0=6), "abc")
    assert settlement.facts["winner"] == "b"
    assert settlement.facts["ties"] == MOST_TIES


def test_too_few_players_get_their_entries_back_and_nothing_else() -> None:
    settlement = compare_round(Luck(SEED, "r"), "aba", entry=20, least_players=3)
    assert settlement.awards == (Award("a", 40, "stake_back"), Award("b", 20, "stake_back"))
    assert settlement.facts == {"too_few": True, "players": ("a", "b"), "least": 3}


def test_a_member_who_joins_again_throws_once_and_gets_the_second_entry_back() -> None:
    settlement = compare_round(rigged(throw_1_0=2), "aba", entry=20)
    assert settlement.facts["players"] == ("a", "b")
    assert awards_of(settlement) == {("a", 20, "stake_back"), ("b", 40, "entries"), ("b", 100, "prize")}


def test_without_prize_and_entries_there_is_a_winner_and_no_award() -> None:
    settlement = compare_round(Luck(SEED, "r"), "abc", prize=0)
    assert settlement.awards == ()
    assert settlement.facts["winner"] in {"a", "b", "c"}


def test_throws_are_the_published_draws_with_the_entries_mixed_in() -> None:
    moves = (Move(0, "a", 0, "join"), Move(1, "b", 0, "join"))
    luck = Luck(SEED, "r").mixed(moves)
    sums = compare_round(Luck(SEED, "r"), "ab", dice=10).facts["sums"]
    assert sums == tuple(sum(luck.dice(10, 6, f"throw {seat}")) for seat in range(2))


def test_two_players_with_one_die_tie_in_a_sixth_of_the_rounds() -> None:
    tied = sum(
        compare_round(rigged(throw_0_0=one, throw_1_0=other), "ab").facts["ties"] != 0
        for one, other in product(range(1, 7), repeat=2)
    )
    assert Fraction(tied, 36) == Fraction(1, 6)


def test_two_players_with_three_dice_tie_in_nine_percent_of_the_rounds() -> None:
    """Any throw stands for all of its sum, weighted by the ways in which that falls."""
    throws = {sum(dice): dice for dice in OUTCOMES}
    tied = Fraction(0)
    for one, other in product(throws, repeat=2):
        falls = {f"throw 0 {n}": value for n, value in enumerate(throws[one])}
        falls |= {f"throw 1 {n}": value for n, value in enumerate(throws[other])}
        falls["throw 0 again 1 0"] = 2
        settlement = compare_round(Rigged(SEED, "r", "", falls), "ab", dice=3)
        if settlement.facts["ties"]:
            tied += Fraction(ways(str(one)) * ways(str(other)), 216**2)
    assert tied == Fraction(4332, 46656)
    assert round(float(tied), 3) == 0.093


# What is taken and what is not


def refused(rules: Rules[PointSettings, PointState], said: str, stake: int) -> str:
    with pytest.raises(IllegalMoveError) as caught:
        rules.entry(rules.settings({}), said, stake)
    return caught.value.word


def test_what_is_no_move_is_refused_by_name() -> None:
    assert refused(POINT, "throw", 0) == "no_roll"
    assert refused(POINT, "roll", 1) == "no_stake"
    size, by_sum = SIZE.settings({"stake_most": 9}), SUM.settings({"stake_most": 9})
    compare = COMPARE.settings({"entry": 20})
    for said in ("", "7", "Big", "triple"):
        with pytest.raises(IllegalMoveError, match="no_bet"):
            SIZE.entry(size, said, 0)
    for said in ("", "2", "19", "03", "big", "+3"):
        with pytest.raises(IllegalMoveError, match="no_bet"):
            SUM.entry(by_sum, said, 0)
    for stake in (10, -1):
        with pytest.raises(IllegalMoveError, match="stake_too_high") as caught:
            SIZE.entry(size, "big", stake)
        assert caught.value.values == {"most": 9}
        with pytest.raises(IllegalMoveError, match="stake_too_high") as caught:
            SUM.entry(by_sum, "3", stake)
        assert caught.value.values == {"most": 9}
    with pytest.raises(IllegalMoveError, match="no_join"):
        COMPARE.entry(compare, "big", 20)
    for stake in (0, 19, 21):
        with pytest.raises(IllegalMoveError, match="wrong_entry") as caught:
            COMPARE.entry(compare, "join", stake)
        assert caught.value.values == {"entry": 20}


def test_what_is_a_move_is_taken_as_it_was_said() -> None:
    assert POINT.entry(POINT.settings({}), "roll", 0).said == "roll"
    assert [SIZE.entry(SIZE.settings({}), bet, 0).said for bet in SIZES] == ["big", "small", "odd", "even"]
    assert SUM.entry(SUM.settings({}), "18", 0).said == "18"
    entry = COMPARE.entry(COMPARE.settings({"entry": 20}), "join", 20)
    assert (entry.said, entry.house) == ("join", 0)


def test_without_settings_a_round_is_free_to_play() -> None:
    assert POINT.settings({}) == PointSettings(prize=50, point=6, interval_s=10)
    assert SIZE.settings({}) == SizeSettings()
    assert (SIZE.settings({}).prize, SIZE.settings({}).triples, SIZE.settings({}).stake_most) == (
        100,
        "count",
        0,
    )
    assert SUM.settings({}) == SumSettings(prize=100, stake_most=0)
    assert COMPARE.settings({}) == CompareSettings(prize=100, dice=3, entry=0, least_players=2)


ANY = POINT, SIZE, SUM, COMPARE


@pytest.mark.parametrize(
    ("name", "setting", "least", "most"),
    [
        ("dice_point", "prize", 1, 1_000_000),
        ("dice_point", "point", 1, 6),
        ("dice_point", "interval_s", 0, 600),
        ("dice_size", "prize", 0, 1_000_000),
        ("dice_size", "stake_most", 0, 1_000_000),
        ("dice_sum", "prize", 0, 1_000_000),
        ("dice_sum", "stake_most", 0, 1_000_000),
        ("dice_compare", "prize", 0, 1_000_000),
        ("dice_compare", "dice", 1, 10),
        ("dice_compare", "entry", 0, 1_000_000),
        ("dice_compare", "least_players", 2, 100),
    ],
)
def test_a_number_is_taken_within_its_bounds_and_refused_outside(
    name: str, setting: str, least: int, most: int
) -> None:
    (take,) = (rules.settings for rules in ANY if rules.name == name)
    for value in (least, most):
        assert getattr(take({setting: value}), setting) == value
    for wrong in (least - 1, most + 1, str(least), float(most), True, None):
        with pytest.raises(BadSettingError) as caught:
            take({setting: wrong})
        assert caught.value.setting == setting
        assert caught.value.cure == f"a whole number from {least} to {most}"


@pytest.mark.parametrize("wrong", ["", "COUNT", "win", 1, None, ["count"]])
def test_triples_count_or_lose_and_nothing_else(wrong: object) -> None:
    assert {SIZE.settings({"triples": rule}).triples for rule in ("count", "lose")} == {"count", "lose"}
    with pytest.raises(BadSettingError, match="triples: is no rule of triples; one of count, lose"):
        SIZE.settings({"triples": wrong})


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("dice_point", "interval_s, point, prize"),
        ("dice_size", "prize, stake_most, triples"),
        ("dice_sum", "prize, stake_most"),
        ("dice_compare", "dice, entry, least_players, prize"),
    ],
)
def test_a_setting_that_a_game_does_not_have_is_refused_with_those_it_has(name: str, known: str) -> None:
    (take,) = (rules.settings for rules in ANY if rules.name == name)
    with pytest.raises(BadSettingError, match=f"sides: is no setting of this game; one of {known}"):
        take({"sides": 6})


def test_only_the_point_is_rolled_for_again_and_again_and_only_the_others_close_before_the_throw() -> None:
    assert [(rules.once, rules.mixed) for rules in ANY] == [(False, False)] + 3 * [(True, True)]
