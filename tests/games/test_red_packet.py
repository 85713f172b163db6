"""A red packet gives what is in it, to each seat as much as to any other, and asks nobody to pay."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import sqrt
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from games.fairness import Luck
from games.red_packet import (
    RedPacket,
    RedPacketSettings,
    RedPacketState,
    Row,
    Split,
    results,
    split_equal,
    split_random,
)
from games.rules import Award, BadSettingError, End, Entry, IllegalMoveError, Move, Outcome, Rules, Settlement
from tests.games.test_fairness import chi_square_z

RULES: Rules[RedPacketSettings, RedPacketState] = RedPacket()
SEED = bytes(range(32))
ROUND = "r-20250901-7"
NOON_MS = 1_756_700_000_000
KNOWN_SHARES = (12, 6, 10, 6, 3, 24, 4, 21, 9, 5)
KNOWN_LUCKY_SEAT = 7
"""What the packet of `SEED` holds; it must never change, or old packets could not be checked any more."""

Given = dict[str, object]


def opened(settings: Given, seed: bytes = SEED) -> RedPacketState:
    return RULES.open(RULES.settings(settings), seed, ROUND)


def grabs(members: Iterable[str]) -> list[Move]:
    return [Move(number, member, NOON_MS + 7 * number, "grab") for number, member in enumerate(members)]


def played(state: RedPacketState, moves: Iterable[Move]) -> tuple[RedPacketState, list[Outcome]]:
    outcomes = []
    for move in moves:
        state, outcome = RULES.play(state, move)
        outcomes.append(outcome)
    return state, outcomes


def grabbed(settings: Given, members: str) -> RedPacketState:
    """A packet that members with these letters for names have grabbed."""
    return played(opened(settings), grabs(members))[0]


def awards(settlement: Settlement) -> dict[str, tuple[str, int]]:
    return {award.why: (award.member, award.points) for award in settlement.awards}


# ---------------------------------------------------------------- any packet, any hands

PRIZES = st.integers(1, 1_000_000)
SEEDS = st.binary(min_size=32, max_size=32)


@st.composite
def any_settings(draw: st.DrawFn) -> Given:
    """Settings that are in order, every prize on or off; often so few points that many shares are equal."""
    shares = draw(st.integers(1, 8) | st.integers(1, 200))
    total = draw(st.integers(shares, 3 * shares) | st.integers(shares, 1_000_000))
    given: Given = {"total": total, "shares": shares, "split": draw(st.sampled_from(list(Split)))}
    ways: dict[str, st.SearchStrategy[object]] = {
        "tail_digits": st.lists(st.integers(0, 9), min_size=1, max_size=12),
        "sofa": st.integers(1, 200),
        "floor": st.integers(1, shares),
    }
    for way, values in ways.items():
        if draw(st.booleans()):
            given[way] = draw(values)
            given[f"{way.removesuffix('_digits')}_prize"] = draw(PRIZES)
    for prize in ("best", "lucky_prize", *(["consolation"] if shares > 1 else [])):
        if draw(st.booleans()):
            given[prize] = draw(PRIZES)
    return given


@st.composite
def any_play(draw: st.DrawFn) -> tuple[RedPacketState, list[Move]]:
    """A sealed packet and hands that reach for it: some twice, some too late."""
    state = opened(draw(any_settings()), draw(SEEDS))
    crowd = min(len(state.shares) + 2, 12)
    members = draw(st.lists(st.integers(1, crowd).map("wecom:u{}".format), max_size=3 * crowd))
    return state, grabs(members)


ANY_END = st.sampled_from(list(End))


@given(play=any_play())
def test_a_packet_is_cut_into_whole_shares_that_make_the_total(
    play: tuple[RedPacketState, list[Move]],
) -> None:
    sealed, _ = play
    assert sum(sealed.shares) == sealed.settings.total
    assert len(sealed.shares) == sealed.settings.shares
    assert min(sealed.shares) >= 1


@given(play=any_play(), end=ANY_END)
def test_what_a_packet_gives_is_never_more_than_its_pot(
    play: tuple[RedPacketState, list[Move]], end: End
) -> None:
    sealed, moves = play
    pot = RULES.pot(sealed.settings)
    state, _ = played(sealed, moves)
    given_at_seats = sum(RULES.seats(state)[: len(state.members)])
    settlement = RULES.settle(state, end)
    awarded = sum(award.points for award in settlement.awards)
    assert awarded <= pot - given_at_seats
    assert settlement.facts["given"] == given_at_seats
    assert settlement.facts["rest"] == pot - given_at_seats - awarded
    # Also if every seat that is not taken yet were taken.
    assert sum(RULES.seats(state)) + sealed.settings.best + sealed.settings.consolation <= pot


@given(play=any_play(), end=ANY_END)
def test_nobody_ever_pays(play: tuple[RedPacketState, list[Move]], end: End) -> None:
    state, _ = played(*play)
    assert min(RULES.seats(state)) >= 1
    assert all(award.points >= 1 for award in RULES.settle(state, end).awards)
    assert RULES.entry(state.settings, "grab", 0) == Entry("grab", house=0)


@given(play=any_play())
def test_seats_go_in_the_order_of_grabbing_and_one_to_each_member(
    play: tuple[RedPacketState, list[Move]],
) -> None:
    sealed, moves = play
    state, outcomes = played(sealed, moves)
    seats, points = len(sealed.shares), RULES.seats(sealed)
    taken: dict[str, int] = {}
    for move, outcome in zip(moves, outcomes, strict=True):
        if move.member in taken:
            assert outcome.word == "already"
            assert outcome.values["seat"] == taken[move.member]
            assert outcome.values["points"] == points[taken[move.member] - 1]
            assert outcome.values["left"] == seats - len(taken)
        elif len(taken) == seats:
            assert outcome.word == "gone"
        else:
            taken[move.member] = len(taken) + 1
            assert outcome.word == "grabbed"
            assert outcome.values["seat"] == len(taken)
            assert outcome.values["points"] == points[len(taken) - 1]
            assert outcome.values["left"] == seats - len(taken)
    assert state.members == tuple(taken)
    assert RULES.is_over(state) == (len(taken) == seats)


@given(play=any_play())
def test_hands_that_come_twice_or_too_late_change_nothing(play: tuple[RedPacketState, list[Move]]) -> None:
    state, moves = play
    for move in moves:
        after, outcome = RULES.play(state, move)
        assert (after is state) == (outcome.word != "grabbed")
        state = after


@given(play=any_play())
def test_what_a_packet_holds_does_not_depend_on_who_grabs(play: tuple[RedPacketState, list[Move]]) -> None:
    sealed, moves = play
    state, _ = played(sealed, moves)
    assert (state.settings, state.shares, state.lucky_seat) == (
        sealed.settings,
        sealed.shares,
        sealed.lucky_seat,
    )
    assert RULES.seats(state) == RULES.seats(sealed)


@given(settings=any_settings(), seed=SEEDS, members=st.lists(st.sampled_from("abcdefg"), max_size=12))
def test_a_replay_from_seed_settings_and_moves_ends_the_same(
    settings: Given, seed: bytes, members: list[str]
) -> None:
    first, outcomes = played(opened(settings, seed), grabs(members))
    stored = json.loads(json.dumps(asdict(first.settings)))
    again, same_outcomes = played(opened(stored, seed), grabs(members))
    assert again == first
    assert same_outcomes == outcomes
    assert RULES.settle(again, End.OVER) == RULES.settle(first, End.OVER)


@given(play=any_play())
def test_best_luck_and_consolation_go_to_the_earliest_of_equal_shares(
    play: tuple[RedPacketState, list[Move]],
) -> None:
    state, _ = played(*play)
    taken = list(zip(state.shares, state.members, strict=False))
    won = awards(RULES.settle(state, End.TIME))
    expected: dict[str, tuple[str, int]] = {}
    if state.settings.best and taken:
        most = max(share for share, _ in taken)
        winner = next(member for share, member in taken if share == most)
        expected["best_luck"] = (winner, state.settings.best)
    if state.settings.consolation and len(taken) >= 2:
        least = min(share for share, _ in taken)
        winner = next(member for share, member in taken if share == least)
        expected["consolation"] = (winner, state.settings.consolation)
    assert won == expected


@given(play=any_play(), end=ANY_END)
def test_outcomes_and_facts_can_be_stored_as_json(play: tuple[RedPacketState, list[Move]], end: End) -> None:
    state, outcomes = played(*play)
    facts = dict(RULES.settle(state, end).facts)
    assert json.loads(json.dumps(facts)) == facts
    for outcome in outcomes:
        values = dict(outcome.values)
        assert json.loads(json.dumps(values)) == values


@given(play=any_play())
def test_the_table_of_results_says_who_got_what_and_when(
    play: tuple[RedPacketState, list[Move]],
) -> None:
    state, outcomes = played(*play)
    grabbed = [
        (move, outcome.values)
        for move, outcome in zip(play[1], outcomes, strict=True)
        if outcome.word == "grabbed"
    ]
    assert [asdict(row) for row in results(state)] == [
        {
            "seat": values["seat"],
            "member": move.member,
            "share": values["share"],
            "points": values["points"],
            "at_ms": move.at_ms,
        }
        for move, values in grabbed
    ]


# ---------------------------------------------------------------- prizes, one by one

EACH_TEN: Given = {"total": 30, "shares": 3, "split": "equal"}


@pytest.mark.parametrize(
    ("prizes", "seats"),
    [
        ({}, (10, 10, 10)),
        ({"tail_digits": "0", "tail_prize": 5}, (15, 15, 15)),
        ({"tail_digits": "135", "tail_prize": 5}, (10, 10, 10)),
        ({"total": 31, "tail_digits": "135", "tail_prize": 5}, (16, 10, 10)),
        ({"sofa": 1, "sofa_prize": 5}, (15, 10, 10)),
        ({"sofa": 2, "sofa_prize": 5}, (15, 15, 10)),
        ({"sofa": 9, "sofa_prize": 5}, (15, 15, 15)),
        ({"floor": 1, "floor_prize": 5}, (15, 10, 10)),
        ({"floor": 3, "floor_prize": 5}, (10, 10, 15)),
        ({"best": 5, "consolation": 5}, (10, 10, 10)),
    ],
)
def test_a_prize_falls_on_its_seats_and_on_no_other(prizes: Given, seats: tuple[int, ...]) -> None:
    assert RULES.seats(opened(EACH_TEN | prizes)) == seats


def test_the_lucky_seat_alone_wins_the_lucky_prize() -> None:
    state = opened(EACH_TEN | {"lucky_prize": 5})
    expected = [10, 10, 10]
    expected[state.lucky_seat - 1] = 15
    assert RULES.seats(state) == tuple(expected)


def test_a_packet_without_a_lucky_prize_has_no_lucky_seat() -> None:
    assert opened(EACH_TEN).lucky_seat == 0


@pytest.mark.parametrize(
    ("settings", "pot"),
    [
        ({}, 100),
        ({"total": 7, "shares": 7}, 7),
        ({"best": 5}, 105),
        ({"consolation": 5}, 105),
        ({"tail_digits": "1", "tail_prize": 5}, 150),
        ({"sofa": 3, "sofa_prize": 5}, 115),
        ({"sofa": 200, "sofa_prize": 5}, 150),
        ({"floor": 7, "floor_prize": 5}, 105),
        ({"lucky_prize": 5}, 105),
    ],
)
def test_the_pot_holds_every_prize_as_often_as_it_can_be_won(settings: Given, pot: int) -> None:
    assert RULES.pot(RULES.settings(settings)) == pot


ALL_PRIZES: Given = {
    "best": 1,
    "consolation": 10,
    "tail_digits": [0],
    "tail_prize": 100,
    "sofa": 5,
    "sofa_prize": 1_000,
    "floor": 2,
    "floor_prize": 10_000,
    "lucky_prize": 100_000,
}


def test_where_every_prize_is_won_nothing_of_the_pot_is_left() -> None:
    state = grabbed(EACH_TEN | ALL_PRIZES, "abc")
    assert sum(RULES.seats(state)) == 3 * 10 + 3 * 100 + 3 * 1_000 + 10_000 + 100_000
    settlement = RULES.settle(state, End.OVER)
    assert awards(settlement) == {"best_luck": ("a", 1), "consolation": ("a", 10)}
    assert settlement.facts["rest"] == 0


def test_who_grabs_is_told_each_part_of_what_they_got() -> None:
    lucky = opened(EACH_TEN | ALL_PRIZES).lucky_seat
    _, (first, second) = played(opened(EACH_TEN | ALL_PRIZES), grabs("ab"))
    assert first.values == {
        "seat": 1,
        "share": 10,
        "tail": 100,
        "sofa": 1_000,
        "floor": 0,
        "lucky": 100_000 if lucky == 1 else 0,
        "points": 1_110 + (100_000 if lucky == 1 else 0),
        "left": 2,
    }
    assert (second.values["floor"], second.values["left"]) == (10_000, 1)


def test_who_reaches_again_is_told_of_their_own_seat_even_when_all_are_gone() -> None:
    state = grabbed({"total": 3, "shares": 2, "split": "equal"}, "ab")
    _, (again, late) = played(state, grabs("bc"))
    assert (again.word, again.values["seat"], again.values["points"]) == ("already", 2, 1)
    assert (late.word, late.values) == ("gone", {"shares": 2})


# ---------------------------------------------------------------- the end


def test_the_end_names_best_and_worst_of_those_who_grabbed() -> None:
    sealed = opened({"best": 3, "consolation": 2, "lucky_prize": 4})
    assert sealed.shares == KNOWN_SHARES
    assert sealed.lucky_seat == KNOWN_LUCKY_SEAT
    state, _ = played(sealed, grabs("abcdefghij"))
    settlement = RULES.settle(state, End.OVER)
    best, worst = KNOWN_SHARES.index(max(KNOWN_SHARES)), KNOWN_SHARES.index(min(KNOWN_SHARES))
    assert settlement.awards == (
        Award("abcdefghij"[best], 3, "best_luck"),
        Award("abcdefghij"[worst], 2, "consolation"),
    )
    assert settlement.facts == {
        "taken": 10,
        "shares": 10,
        "given": 104,
        "rest": 0,
        "lucky_seat": KNOWN_LUCKY_SEAT,
        "lucky_member": "abcdefghij"[KNOWN_LUCKY_SEAT - 1],
        "best_member": "abcdefghij"[best],
        "best_share": max(KNOWN_SHARES),
        "best_seat": best + 1,
        "worst_member": "abcdefghij"[worst],
        "worst_share": min(KNOWN_SHARES),
        "worst_seat": worst + 1,
    }


def test_shares_that_nobody_took_count_neither_as_best_nor_as_worst() -> None:
    sealed = opened({"best": 3, "consolation": 2})
    state, _ = played(sealed, grabs("abc"))
    facts = RULES.settle(state, End.TIME).facts
    assert (facts["best_share"], facts["worst_share"]) == (max(KNOWN_SHARES[:3]), min(KNOWN_SHARES[:3]))
    assert facts["given"] == sum(KNOWN_SHARES[:3])
    assert facts["rest"] == 100 - sum(KNOWN_SHARES[:3])


@pytest.mark.parametrize("end", [End.TIME, End.STOPPED])
def test_one_who_grabbed_alone_has_best_luck_but_needs_no_consolation(end: End) -> None:
    state = grabbed(EACH_TEN | {"best": 3, "consolation": 2}, "a")
    settlement = RULES.settle(state, end)
    assert awards(settlement) == {"best_luck": ("a", 3)}
    assert settlement.facts["rest"] == 30 + 3 + 2 - 10 - 3
    assert "worst_member" not in settlement.facts


@pytest.mark.parametrize("end", End)
def test_a_packet_that_nobody_grabbed_goes_back_whole(end: End) -> None:
    settlement = RULES.settle(opened(EACH_TEN | ALL_PRIZES), end)
    assert settlement.awards == ()
    assert settlement.facts["rest"] == RULES.pot(RULES.settings(EACH_TEN | ALL_PRIZES))
    assert not {"best_member", "worst_member", "lucky_member"} & set(settlement.facts)


def test_a_cancelled_packet_has_no_awards() -> None:
    state = grabbed(EACH_TEN | {"best": 3, "consolation": 2}, "ab")
    settlement = RULES.settle(state, End.CANCELLED)
    assert settlement.awards == ()
    assert settlement.facts["rest"] == 30 + 3 + 2 - 20


def test_the_lucky_member_is_named_as_soon_as_their_seat_is_taken() -> None:
    members = "abcdefghij"
    before = grabbed({"lucky_prize": 4}, members[: KNOWN_LUCKY_SEAT - 1])
    assert "lucky_member" not in RULES.settle(before, End.TIME).facts
    taken = grabbed({"lucky_prize": 4}, members[:KNOWN_LUCKY_SEAT])
    assert RULES.settle(taken, End.TIME).facts["lucky_member"] == members[KNOWN_LUCKY_SEAT - 1]


def test_the_table_of_results_is_in_the_order_of_seats() -> None:
    state = grabbed({"total": 7, "shares": 3, "split": "equal", "sofa": 1, "sofa_prize": 5}, "babc")
    assert results(state) == (
        Row(1, "b", 3, 8, NOON_MS),
        Row(2, "a", 2, 2, NOON_MS + 7),
        Row(3, "c", 2, 2, NOON_MS + 21),
    )


# ---------------------------------------------------------------- moves and settings


@pytest.mark.parametrize("said", ["grab", "抢", "恭喜发财", ""])
def test_however_it_is_said_a_grab_is_a_grab(said: str) -> None:
    assert RULES.entry(RULES.settings({}), said, 0) == Entry("grab")


@pytest.mark.parametrize("stake", [1, -1, 1_000_000])
def test_a_stake_is_refused(stake: int) -> None:
    with pytest.raises(IllegalMoveError) as refused:
        RULES.entry(RULES.settings({}), "grab", stake)
    assert refused.value.word == "no_stake"


def test_a_packet_is_grabbed_once_by_each_and_open_from_the_start() -> None:
    assert (RULES.name, RULES.once, RULES.mixed) == ("red_packet", True, False)


def test_settings_not_given_take_their_defaults() -> None:
    settings = RULES.settings({})
    assert settings == RedPacketSettings()
    assert (settings.total, settings.shares, settings.split) == (100, 10, Split.RANDOM)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"total": 1, "shares": 1}, RedPacketSettings(total=1, shares=1)),
        ({"total": 1_000_000, "shares": 200}, RedPacketSettings(total=1_000_000, shares=200)),
        ({"split": "equal"}, RedPacketSettings(split=Split.EQUAL)),
        (
            {"tail_digits": [5, 1, 3, 1], "tail_prize": 1},
            RedPacketSettings(tail_digits=(1, 3, 5), tail_prize=1),
        ),
        ({"tail_digits": "5131", "tail_prize": 1}, RedPacketSettings(tail_digits=(1, 3, 5), tail_prize=1)),
        ({"tail_digits": (0, 9), "tail_prize": 1}, RedPacketSettings(tail_digits=(0, 9), tail_prize=1)),
        ({"tail_digits": [], "tail_prize": 0}, RedPacketSettings()),
        ({"tail_digits": ""}, RedPacketSettings()),
        ({"floor": 10, "floor_prize": 1_000_000}, RedPacketSettings(floor=10, floor_prize=1_000_000)),
        ({"sofa": 200, "sofa_prize": 1}, RedPacketSettings(sofa=200, sofa_prize=1)),
        ({"word": " 恭喜发财 "}, RedPacketSettings(word="恭喜发财")),
        ({"word": "福" * 30}, RedPacketSettings(word="福" * 30)),
        ({"blessing": "福" * 100}, RedPacketSettings(blessing="福" * 100)),
        ({"word": " \u3000"}, RedPacketSettings()),
    ],
)
def test_settings_in_order_are_taken(given: Given, expected: RedPacketSettings) -> None:
    assert RULES.settings(given) == expected


PRIZE_NAMES = ("best", "consolation", "tail_prize", "sofa_prize", "floor_prize", "lucky_prize")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"totl": 100}, "totl"),
        ({"total": 0}, "total"),
        ({"total": 1_000_001}, "total"),
        ({"total": "100"}, "total"),
        ({"total": 10.0}, "total"),
        ({"total": True, "shares": 1}, "total"),
        ({"total": None}, "total"),
        ({"total": 9}, "total"),
        ({"shares": 101}, "total"),
        ({"shares": 0}, "shares"),
        ({"shares": 201, "total": 1_000}, "shares"),
        ({"split": "fair"}, "split"),
        ({"split": ["random"]}, "split"),
        ({"split": None}, "split"),
        *(({prize: -1}, prize) for prize in PRIZE_NAMES),
        *(({prize: 1_000_001}, prize) for prize in PRIZE_NAMES),
        *(({prize: "5"}, prize) for prize in PRIZE_NAMES),
        ({"shares": 1, "consolation": 5}, "consolation"),
        ({"tail_digits": [10], "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": [-1], "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": ["1"], "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": [True], "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": [[1]], "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": "1,3", "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": "１", "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": 135, "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": None, "tail_prize": 5}, "tail_digits"),
        ({"tail_digits": "135"}, "tail_digits"),
        ({"tail_prize": 5}, "tail_prize"),
        ({"tail_prize": 5, "tail_digits": []}, "tail_prize"),
        ({"sofa": -1, "sofa_prize": 5}, "sofa"),
        ({"sofa": 201, "sofa_prize": 5}, "sofa"),
        ({"sofa": 3}, "sofa"),
        ({"sofa_prize": 5}, "sofa_prize"),
        ({"floor": -1, "floor_prize": 5}, "floor"),
        ({"floor": 11, "floor_prize": 5}, "floor"),
        ({"floor": 201, "floor_prize": 5, "shares": 200, "total": 1_000}, "floor"),
        ({"floor": 3}, "floor"),
        ({"floor_prize": 5}, "floor_prize"),
        ({"word": "福" * 31}, "word"),
        ({"word": 8}, "word"),
        ({"word": None}, "word"),
        ({"blessing": "福" * 101}, "blessing"),
        ({"blessing": ["福"]}, "blessing"),
    ],
)
def test_a_setting_out_of_order_is_named_with_problem_and_cure(given: Given, named: str) -> None:
    with pytest.raises(BadSettingError) as refused:
        RULES.settings(given)
    assert refused.value.setting == named
    assert str(refused.value) == f"{named}: {refused.value.problem}; {refused.value.cure}"
    assert refused.value.problem
    assert refused.value.cure


# ---------------------------------------------------------------- the cut


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [(100, 3, (34, 33, 33)), (11, 3, (4, 4, 3)), (3, 3, (1, 1, 1)), (5, 1, (5,)), (9, 3, (3, 3, 3))],
)
def test_an_equal_packet_gives_the_odd_points_to_the_first(
    total: int, shares: int, expected: tuple[int, ...]
) -> None:
    assert split_equal(total, shares) == expected
    assert opened({"total": total, "shares": shares, "split": "equal"}).shares == expected


@pytest.mark.parametrize(("total", "shares"), [(2, 3), (0, 0), (5, 0), (5, -1)])
def test_what_cannot_be_cut_is_refused(total: int, shares: int) -> None:
    with pytest.raises(ValueError, match=f"{total} points do not make {shares} shares"):
        split_random(total, shares, Luck(SEED, ROUND))
    with pytest.raises(ValueError, match=f"{total} points do not make {shares} shares"):
        split_equal(total, shares)


def drawn(seed: bytes, index: str, most: int) -> int:
    """A draw computed without the game's code; these are so small that no number is ever thrown away."""
    digest = hmac.new(seed, f"{ROUND}|{index}".encode(), hashlib.sha256).hexdigest()
    return int(digest, 16) % most


@given(seed=SEEDS, shares=st.integers(1, 30), more=st.integers(0, 1_000))
@example(seed=SEED, shares=10, more=90)
def test_anyone_can_recompute_a_packet_from_the_seed_and_the_published_words(
    seed: bytes, shares: int, more: int
) -> None:
    above, cut = more, []
    for seat in range(1, shares):
        left = shares - seat + 1
        upper = drawn(seed, f"share {seat} upper", left) < 2 * above % left
        cut.append(1 + drawn(seed, f"share {seat}", 2 * above // left + upper + 1))
        above -= cut[-1] - 1
    state = opened({"total": shares + more, "shares": shares, "lucky_prize": 1}, seed)
    assert state.shares == (*cut, 1 + above)
    assert state.lucky_seat == 1 + drawn(seed, "lucky seat", shares)


# ---------------------------------------------------------------- exact odds of small packets


class ForkError(Exception):
    """A draw that is not written down: each of its results is another way."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


@dataclass(frozen=True)
class Written(Luck):
    """Draws that are written down beforehand."""

    draws: Iterator[int] = field(default_factory=lambda: iter(()))

    def below(self, most: int, index: str) -> int:  # noqa: ARG002
        for draw in self.draws:
            return draw
        raise ForkError(most)


def ways(total: int, shares: int, draws: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every way through the draws of the split itself: the packet it makes, and its chance."""
    try:
        packet = split_random(total, shares, Written(SEED, ROUND, draws=iter(draws)))
    except ForkError as fork:
        for draw in range(fork.most):
            for found, chance in ways(total, shares, (*draws, draw)):
                yield found, chance / fork.most
    else:
        yield packet, Fraction(1)


def odds(total: int, shares: int) -> dict[tuple[int, ...], Fraction]:
    chances: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for packet, chance in ways(total, shares):
        chances[packet] += chance
    return dict(chances)


SMALL_PACKETS = [
    (1, 1),
    (4, 1),
    (2, 2),
    (5, 2),
    (3, 3),
    (4, 3),
    (5, 3),
    (6, 3),
    (10, 3),
    (6, 4),
    (9, 4),
    (7, 5),
]


@pytest.mark.parametrize(("total", "shares"), SMALL_PACKETS)
def test_every_seat_of_a_small_packet_is_worth_exactly_the_same(total: int, shares: int) -> None:
    chances = odds(total, shares)
    assert sum(chances.values()) == 1
    for seat in range(shares):
        assert sum(packet[seat] * chance for packet, chance in chances.items()) == Fraction(total, shares)


@pytest.mark.parametrize(("total", "shares"), SMALL_PACKETS)
def test_every_way_to_cut_a_small_packet_makes_the_total_with_a_point_for_each(
    total: int, shares: int
) -> None:
    for packet in odds(total, shares):
        assert sum(packet) == total
        assert len(packet) == shares
        assert min(packet) >= 1


def test_five_points_in_three_shares_have_the_odds_worked_out_by_hand() -> None:
    """Two points above one each: 4 = 1 · 3 + 1, so the first seat has 0 or 1 of them, with 1/3 up to 2."""
    assert odds(5, 3) == {
        (1, 1, 3): Fraction(4, 27),
        (1, 2, 2): Fraction(4, 27),
        (1, 3, 1): Fraction(4, 27),
        (2, 1, 2): Fraction(6, 27),
        (2, 2, 1): Fraction(6, 27),
        (3, 1, 1): Fraction(3, 27),
    }


Chance = TypeVar("Chance", Fraction, float)


def law(total: int, shares: int, certain: Chance) -> list[dict[int, Chance]]:
    """The chance of every share at every seat, worked out seat by seat from the words of the split."""
    rests = {total - shares: certain}
    seats: list[dict[int, Chance]] = []
    for left in range(shares, 1, -1):
        here: dict[int, Chance] = defaultdict(lambda: certain * 0)
        after: dict[int, Chance] = defaultdict(lambda: certain * 0)
        for above, chance in rests.items():
            bound, more = divmod(2 * above, left)
            for upper, of_left in ((bound, left - more), (bound + 1, more)):
                for drawn_above in range(upper + 1 if of_left else 0):
                    part = chance * of_left / (left * (upper + 1))
                    here[1 + drawn_above] += part
                    after[above - drawn_above] += part
        seats.append(dict(here))
        rests = dict(after)
    seats.append({1 + above: chance for above, chance in rests.items()})
    return seats


@pytest.mark.parametrize(("total", "shares"), SMALL_PACKETS)
def test_the_law_of_each_seat_is_that_of_the_split(total: int, shares: int) -> None:
    """So that the law can stand for the split where the ways are too many to walk."""
    expected: list[dict[int, Fraction]] = [defaultdict(Fraction) for _ in range(shares)]
    for packet, chance in odds(total, shares).items():
        for seat, share in enumerate(packet):
            expected[seat][share] += chance
    assert law(total, shares, Fraction(1)) == expected


@pytest.mark.parametrize(("total", "shares"), [(17, 7), (30, 10), (41, 6), (25, 20)])
def test_every_seat_of_a_larger_packet_is_worth_exactly_the_same(total: int, shares: int) -> None:
    for chances in law(total, shares, Fraction(1)):
        assert sum(chances.values()) == 1
        assert sum(share * chance for share, chance in chances.items()) == Fraction(total, shares)


# ---------------------------------------------------------------- many packets

SHAPES = [(10, 3), (20, 10), (100, 10), (200, 5)]
FAR = 4.5
"""Standard deviations from the expected that chance does not reach: once in 150 000 times."""


@dataclass(frozen=True)
class Seen:
    """How often many packets of one shape had each share at each seat, each lucky seat, each best seat."""

    packets: int
    shares: list[Counter[int]]
    lucky: Counter[int]
    best: Counter[int]


def many(total: int, shares: int, packets: int) -> Seen:
    """Open packets with seeds of their own, each checked to be whole."""
    settings = RULES.settings({"total": total, "shares": shares, "best": 1, "lucky_prize": 1})
    seen = Seen(packets, [Counter() for _ in range(shares)], Counter(), Counter())
    for number in range(packets):
        seed = hashlib.sha256(f"packet {number} of {total} in {shares}".encode()).digest()
        state = RULES.open(settings, seed, ROUND)
        assert sum(state.shares) == total
        assert min(state.shares) >= 1
        for counts, share in zip(seen.shares, state.shares, strict=True):
            counts[share] += 1
        seen.lucky[state.lucky_seat] += 1
        seen.best[1 + state.shares.index(max(state.shares))] += 1
    return seen


def mean_z(counts: Counter[int], chances: Mapping[int, float], expected: float) -> float:
    """How many standard errors the mean share lies above the expected one."""
    variance = sum(chance * (share - expected) ** 2 for share, chance in chances.items())
    mean = sum(share * count for share, count in counts.items()) / counts.total()
    return float((mean - expected) / sqrt(variance / counts.total()))


def fit_z(counts: Mapping[int, float], chances: Mapping[int, float]) -> float:
    """How badly the counts fit the chances; what is expected less than ten times is taken together."""
    packets = sum(counts.values())
    assert set(counts) <= set(chances)
    common = [share for share, chance in chances.items() if chance * packets >= 10]
    seen = [counts.get(share, 0) for share in common]
    expected = [chances[share] * packets for share in common]
    rare = packets - sum(expected)
    if rare >= 10:
        return chi_square_z([*seen, packets - sum(seen)], [*expected, rare])
    return chi_square_z(seen, expected)


def by_last_digit(shares: Mapping[int, float]) -> dict[int, float]:
    digits: dict[int, float] = defaultdict(float)
    for share, weight in shares.items():
        digits[share % 10] += weight
    return dict(digits)


def scores(total: int, shares: int, seen: Seen) -> dict[str, Sequence[float]]:
    """Compare packets with the law of their shape: for each seat, how far off its shares are."""
    laws = law(total, shares, 1.0)
    places = range(1, shares + 1)
    return {
        "mean": [mean_z(*pair, total / shares) for pair in zip(seen.shares, laws, strict=True)],
        "shares": [fit_z(*pair) for pair in zip(seen.shares, laws, strict=True)],
        "last digits": [
            fit_z(by_last_digit(counts), by_last_digit(chances))
            for counts, chances in zip(seen.shares, laws, strict=True)
        ],
        "lucky seat": [chi_square_z([seen.lucky[seat] for seat in places], [seen.packets / shares] * shares)],
    }


@pytest.mark.parametrize(("total", "shares"), SHAPES)
def test_forty_thousand_packets_favour_no_seat(total: int, shares: int) -> None:
    for what, found in scores(total, shares, many(total, shares, 40_000 // len(SHAPES))).items():
        assert max(map(abs, found)) < FAR, (what, found)


@pytest.mark.soak
@pytest.mark.parametrize(("total", "shares"), SHAPES)
def test_a_million_packets_favour_no_seat(
    total: int, shares: int, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = many(total, shares, 1_000_000 // len(SHAPES))
    found = scores(total, shares, seen)
    means = [sum(share * count for share, count in counts.items()) / seen.packets for counts in seen.shares]
    bests = [seen.best[seat] / seen.packets for seat in range(1, shares + 1)]
    lines = [
        f"{seen.packets} packets of {total} points in {shares} shares: each sum exact, each share >= 1",
        f"  smallest and largest share {min(map(min, seen.shares))}, {max(map(max, seen.shares))}",
        f"  mean of each seat          {' '.join(f'{mean:.4f}' for mean in means)}",
        f"  best luck at each seat     {' '.join(f'{best:.4f}' for best in bests)}",
        *(f"  z of {what:<21} {' '.join(f'{z:+.2f}' for z in zs)}" for what, zs in found.items()),
    ]
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
    for what, zs in found.items():
        assert max(map(abs, zs)) < FAR, (what, zs)
