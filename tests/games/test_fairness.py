"""Every draw can be recomputed from the published words alone, and is as fair as it says."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from games.fairness import SEED_BYTES, Luck, commitment, entries_hash, player_mark
from games.rules import Move

SEED = bytes(range(SEED_BYTES))
SEEDS = st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES)
ROUND = "r-20250901-7"
HALF_REJECTED = 2**255 + 1
"""With so many results, all numbers from 2**255 + 1 on are thrown away: nearly half of them."""
KNOWN_NUMBER = 0xD982C6A3790B9677576245C95EEC5311F2F857FA55FD329666B068887096FB44


def move(
    number: int, member: str, said: str = "grab", stake: int = 0, at_ms: int = 1_756_700_000_000
) -> Move:
    return Move(number, f"wecom:{member}", at_ms + number, said, stake)


MOVES = (move(0, "ann", "3", 10), move(1, "bob", "5", 20), move(2, "cat", "3", 10))


def number_of(seed: bytes, text: str) -> int:
    return int(hmac.new(seed, text.encode(), hashlib.sha256).hexdigest(), 16)


def drawn(seed: bytes, scope: str, most: int) -> tuple[int, int]:
    """A draw as the words of `games.fairness` describe it, and how many numbers were thrown away for it."""
    last_multiple = 2**256 // most * most
    thrown, number = 0, number_of(seed, scope)
    while number >= last_multiple:
        thrown += 1
        number = number_of(seed, f"{scope}|{thrown}")
    return number % most, thrown


def chi_square_z(counts: Sequence[float], expected: Sequence[float]) -> float:
    """How many standard deviations the chi-square of the counts lies above its mean (Wilson and Hilferty)."""
    chi_square = sum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
    freedom = len(expected) - 1
    spread = 2 / (9 * freedom)
    return float(((chi_square / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread))


# ---------------------------------------------------------------- draws


@given(seed=SEEDS, most=st.integers(1, 2**256), index=st.text(max_size=20))
@example(seed=SEED, most=6, index="roll 4")
@example(seed=SEED, most=1, index="roll 4")
@example(seed=SEED, most=2**256, index="roll 4")
@example(seed=SEED, most=HALF_REJECTED, index="roll 4")
def test_a_draw_is_in_range_and_is_what_anyone_computes_from_the_published_words(
    seed: bytes, most: int, index: str
) -> None:
    result = Luck(seed, ROUND).below(most, index)
    assert 0 <= result < most
    assert result == drawn(seed, f"{ROUND}|{index}", most)[0]


def test_a_known_seed_has_known_draws() -> None:
    """As OpenSSL computes them; they must never change, or old rounds could not be checked any more."""
    luck = Luck(SEED, ROUND)
    assert luck.below(2**256, "roll 4") == KNOWN_NUMBER
    assert luck.below(1000, "roll 4") == KNOWN_NUMBER % 1000


def test_a_number_above_the_last_multiple_is_thrown_away_and_the_next_one_is_taken() -> None:
    luck = Luck(SEED, ROUND)
    counts: Counter[int] = Counter()
    for draw in range(1000):
        result, thrown = drawn(SEED, f"{ROUND}|draw {draw}", HALF_REJECTED)
        counts[thrown] += 1
        assert luck.below(HALF_REJECTED, f"draw {draw}") == result
    # The chance of n numbers thrown away is 2^-(n+1); 4.5 standard deviations of the first is 71.
    assert 429 <= counts[0] <= 571
    assert max(counts) >= 5


def test_the_first_number_thrown_away_is_the_last_multiple_itself() -> None:
    """So large a number of results goes once into 2**256: it is its own last multiple."""
    luck = Luck(SEED, ROUND)
    assert luck.below(KNOWN_NUMBER + 1, "roll 4") == KNOWN_NUMBER
    assert luck.below(KNOWN_NUMBER, "roll 4") == drawn(SEED, f"{ROUND}|roll 4|1", KNOWN_NUMBER)[0] != 0


def test_nothing_is_thrown_away_where_every_result_has_as_many_numbers() -> None:
    luck = Luck(SEED, ROUND)
    for draw in range(100):
        assert luck.below(2**255, f"draw {draw}") == number_of(SEED, f"{ROUND}|draw {draw}") % 2**255


@pytest.mark.parametrize("most", [0, -1, 2**256 + 1])
def test_a_draw_without_results_or_with_too_many_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match=f"not {most}"):
        Luck(SEED, ROUND).below(most, "roll 4")


def test_seed_round_and_index_each_make_another_draw() -> None:
    luck = Luck(SEED, ROUND)
    others = (replace(luck, seed=bytes(SEED_BYTES)), replace(luck, round_id="r-20250901-8"), luck)
    draws = [other.below(2**256, "roll 4") for other in others]
    assert len({*draws, luck.below(2**256, "roll 5")}) == 4


def test_dice_have_their_faces_and_one_index_each() -> None:
    luck = Luck(SEED, ROUND)
    assert luck.dice(3, 6, "throw") == tuple(
        1 + drawn(SEED, f"{ROUND}|throw {number}", 6)[0] for number in range(3)
    )
    assert luck.die(6, "throw 1") == luck.dice(3, 6, "throw")[1]
    assert luck.dice(0, 6, "throw") == ()
    assert {luck.die(1, f"throw {number}") for number in range(9)} == {1}


@pytest.mark.parametrize("faces", [2, 6, 10, 100])
def test_the_faces_of_a_die_come_up_equally_often(faces: int) -> None:
    throws = Counter(Luck(SEED, ROUND).dice(60_000, faces, f"d{faces}"))
    assert set(throws) == set(range(1, faces + 1))
    z = chi_square_z([throws[face] for face in range(1, faces + 1)], [60_000 / faces] * faces)
    # Far below is as suspicious as far above: dealt out evenly is not drawn.
    assert abs(z) < 4.5


def test_throws_that_follow_each_other_are_independent() -> None:
    throws = Luck(SEED, ROUND).dice(60_000, 6, "pair")
    pairs = Counter(zip(throws[::2], throws[1::2], strict=True))
    assert (
        abs(chi_square_z([pairs[a, b] for a in range(1, 7) for b in range(1, 7)], [30_000 / 36] * 36)) < 4.5
    )


# ---------------------------------------------------------------- commitment


def test_a_commitment_is_the_sha_256_of_the_seed() -> None:
    assert commitment(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(seed=SEEDS, bit=st.integers(0, 8 * SEED_BYTES - 1))
def test_a_seed_with_one_other_bit_has_another_commitment(seed: bytes, bit: int) -> None:
    other = (int.from_bytes(seed, "big") ^ 1 << bit).to_bytes(SEED_BYTES, "big")
    assert commitment(other) != commitment(seed)


# ---------------------------------------------------------------- entries


def test_a_mark_is_the_members_own_and_another_in_every_round() -> None:
    mark = player_mark(ROUND, "wecom:ann")
    assert mark == hashlib.sha256(f"{ROUND}|wecom:ann".encode()).hexdigest()[:16]
    assert mark != player_mark(ROUND, "wecom:bob")
    assert mark != player_mark("r-20250901-8", "wecom:ann")


def lines_of(moves: Sequence[Move]) -> str:
    marks = [hashlib.sha256(f"{ROUND}|{each.member}".encode()).hexdigest()[:16] for each in moves]
    return "".join(f"{mark} {each.said} {each.stake}\n" for mark, each in zip(marks, moves, strict=True))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_hash_of_the_entries_is_that_of_their_published_lines(count: int) -> None:
    expected = hashlib.sha256(lines_of(MOVES[:count]).encode()).hexdigest()
    assert entries_hash(ROUND, MOVES[:count]) == expected


def test_a_mixed_draw_is_what_anyone_computes_from_the_published_lines() -> None:
    entries = hashlib.sha256(lines_of(MOVES).encode()).hexdigest()
    luck = Luck(SEED, ROUND).mixed(MOVES)
    assert luck.below(37, "ball") == drawn(SEED, f"{ROUND}|{entries}|ball", 37)[0]
    assert luck.below(HALF_REJECTED, "ball") == drawn(SEED, f"{ROUND}|{entries}|ball", HALF_REJECTED)[0]


ANN, BOB, CAT = MOVES
CHANGED = {
    "nothing mixed": None,
    "no entries": (),
    "one missing": (ANN, BOB),
    "one more": (ANN, BOB, CAT, move(3, "dan", "3", 10)),
    "one twice": (ANN, BOB, CAT, CAT),
    "other order": (BOB, ANN, CAT),
    "another stake": (ANN, BOB, replace(CAT, stake=11)),
    "another word": (replace(ANN, said="4"), BOB, CAT),
    "another member": (ANN, replace(BOB, member="wecom:bib"), CAT),
    "words swapped": (replace(ANN, said="5"), replace(BOB, said="3"), CAT),
    "stakes swapped": (replace(ANN, stake=20), replace(BOB, stake=10), CAT),
}


@pytest.mark.parametrize("change", CHANGED)
def test_whatever_changes_in_the_entries_changes_the_draw(change: str) -> None:
    plain, moves = Luck(SEED, ROUND), CHANGED[change]
    changed = plain if moves is None else plain.mixed(moves)
    assert changed.below(2**256, "ball") != plain.mixed(MOVES).below(2**256, "ball")


def test_entries_can_be_mixed_in_from_a_stream_and_only_those_of_the_last_time_count() -> None:
    luck = Luck(SEED, ROUND)
    assert luck.mixed(iter(MOVES)) == luck.mixed(MOVES) == luck.mixed(MOVES[:1]).mixed(MOVES)


def test_the_time_of_an_entry_is_not_part_of_its_line() -> None:
    later = [replace(each, at_ms=each.at_ms + 1) for each in MOVES]
    assert entries_hash(ROUND, later) == entries_hash(ROUND, MOVES)
