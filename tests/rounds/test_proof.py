"""Recomputing a round finds whatever was changed of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.catalog import load_catalog
from bot.rounds.proof import PROBLEM_VALUES, Proof, recompute
from bot.storage.redis.rounds import PlayedMove, Round, RoundState
from bot.storage.sql.rounds import KnownRound, RoundSum
from games.dice_size import DiceSize
from games.fairness import player_mark
from games.red_packet import RedPacket
from handlers.play import RulesInPlay

Case = tuple[KnownRound, tuple[PlayedMove, ...], tuple[RoundSum, ...], RulesInPlay]
SEED = b"q" * 32
NOON = 1_779_249_600_000


def _round(play: RulesInPlay, given: dict[str, Any], **fields: Any) -> Round:
    prepared = play.prepare(given)
    state = play.open(prepared.settings, SEED, "0123456789abcdef")
    one = Round(
        id="0123456789abcdef", community="milk", game=play.name, place="app:g1", state=RoundState.CLOSED,
        end="over", channel="app", user_id="boss", group_id="g1", host="app:boss", payer="",
        settings=prepared.settings, word="", seed=SEED.hex(), commitment=play.commitment(SEED),
        once=play.once, seats=play.seats(state), pot=prepared.pot, staked=0, house=0, paid=0, refund=0,
        at_ms=NOON, ends_at_ms=NOON + 60_000, ended_at_ms=NOON + 9000, day="2026-05-20", facts="",
    )  # fmt: skip
    return replace(one, **fields)


def _settled(one: Round, moves: tuple[PlayedMove, ...], play: RulesInPlay) -> Case:
    """Return a round as it ends by the rules, with the ledger that goes with it."""
    state = play.open(one.settings, SEED, one.id)
    for move in moves:
        state, _ = play.apply(state, move)
    settled = play.settle(state, one.end)
    taken = play.seats(state)[: len(moves)]
    paid = sum(taken) + sum(award.points for award in settled.awards)
    sums = [
        RoundSum(move.member, "round_share", "", points) for move, points in zip(moves, taken, strict=False)
    ]
    sums += [RoundSum(move.member, "round_stake", "", -move.stake) for move in moves if move.stake]
    sums += [RoundSum(award.member, "round_prize", award.why, award.points) for award in settled.awards]
    refund = one.pot + one.staked + one.house - paid
    if one.payer:
        sums.append(RoundSum(one.payer, "round_pay", "", -one.pot))
        sums += [RoundSum(one.payer, "round_refund", "", refund)] if refund else []
    one = replace(one, paid=paid, refund=refund, facts=json.dumps(dict(settled.facts)))
    return KnownRound(one, len(moves)), moves, tuple(sums), play


def packet() -> Case:
    """A red packet of a member, of which two of three seats were taken."""
    play = RulesInPlay(RedPacket(), listens=True, conditions=True)
    given = {"total": 40, "shares": 3, "best": 5, "checked_in": True}
    one = _round(play, given, payer="app:boss", end="stopped")
    moves = tuple(PlayedMove(n, f"app:u{n}", NOON + n, "grab", 0, f"e{n}") for n in range(2))
    return _settled(one, moves, play)


def bets() -> Case:
    """Bets on dice with stakes, ended by time."""
    play = RulesInPlay(DiceSize())
    one = _round(play, {"prize": 21, "stake_most": 50}, end="time", staked=17, house=17)
    said = (("app:u0", "big", 10), ("app:u1", "small", 7), ("app:u2", "even", 0))
    moves = tuple(
        PlayedMove(n, who, NOON + n, what, stake, f"e{n}") for n, (who, what, stake) in enumerate(said)
    )
    return _settled(one, moves, play)


def prove(case: Case) -> Proof:
    return recompute(*case)


def words(proof: Proof) -> set[str]:
    return {problem.word for problem in proof.problems}


@pytest.mark.parametrize("case", [packet, bets])
def test_a_round_as_it_was_played_agrees(case: Callable[[], Case]) -> None:
    proof = prove(case())
    assert proof.problems == ()
    assert proof.agrees
    assert proof.marks["app:u0"] == player_mark("0123456789abcdef", "app:u0")
    assert sum(award.points for award in proof.awards) == proof.round.paid


def _of_round(**fields: Any) -> Callable[[Case], Case]:
    return lambda case: (replace(case[0], round=replace(case[0].round, **fields)), *case[1:])


def _of_move(place: int, /, **fields: Any) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        moves = list(case[1])
        moves[place] = moves[place]._replace(**fields)
        return case[0], tuple(moves), case[2], case[3]

    return change


def _of_sums(change: Callable[[list[RoundSum]], list[RoundSum]]) -> Callable[[Case], Case]:
    return lambda case: (case[0], case[1], tuple(change(list(case[2]))), case[3])


TAMPERED: list[tuple[Callable[[], Case], Callable[[Case], Case], set[str]]] = [
    (bets, _of_round(seed=(b"x" * 32).hex()), {"commitment"}),
    (packet, _of_round(seed=(b"x" * 32).hex()), {"commitment", "seats"}),
    (bets, _of_round(seed="no seed"), {"refused"}),
    (bets, _of_round(commitment="00" * 32), {"commitment"}),
    (packet, _of_round(settings='{"total": 41, "shares": 3, "best": 5}'), {"pot", "seats"}),
    (packet, _of_round(settings='{"total": 40, "shares": 3, "best": 5, "odd": 1}'), {"refused"}),
    (packet, _of_round(settings="{"), {"refused"}),
    (packet, _of_round(seats=(1, 2, 37)), {"seats"}),
    (packet, _of_round(paid=44), {"paid"}),
    (packet, _of_round(refund=1), {"refund"}),
    (bets, _of_round(staked=18), {"staked", "refund"}),
    (bets, _of_round(house=16), {"refund"}),
    (bets, _of_round(facts='{"dice": [6, 6, 6]}'), {"facts"}),
    (bets, _of_round(facts=""), {"refused"}),
    (packet, _of_round(end="over"), {"undecided"}),
    (packet, _of_round(state=RoundState.EXPIRED), {"state"}),
    (bets, _of_round(end="sometime"), {"refused"}),
    (bets, _of_move(0, said="small"), {"facts"}),
    (bets, _of_move(0, stake=11), {"staked"}),
    (bets, _of_move(1, member="app:u9"), {"points"}),
    (bets, _of_move(1, at_ms=NOON + 60_000), {"move_order"}),
    (packet, _of_move(1, number=7), {"move_order"}),
    (packet, _of_move(1, member="app:u0"), {"move_again"}),
    (packet, lambda case: (case[0], case[1][:1], case[2], case[3]), {"moves", "paid", "points"}),
    (bets, _of_sums(lambda sums: [sums[0]._replace(points=sums[0].points + 1), *sums[1:]]), {"points"}),
    (packet, _of_sums(lambda sums: sums[1:]), {"points"}),
    (packet, _of_sums(lambda sums: [*sums, RoundSum("app:me", "round_prize", "best_luck", 5)]), {"points"}),
    (packet, _of_sums(lambda sums: [row for row in sums if row.reason != "round_refund"]), {"points"}),
]


@pytest.mark.parametrize(("case", "tamper", "found"), TAMPERED)
def test_whatever_was_changed_is_found_and_told_without_naming_anybody(
    case: Callable[[], Case], tamper: Callable[[Case], Case], found: set[str]
) -> None:
    proof = prove(tamper(case()))
    assert not proof.agrees
    assert found <= words(proof), proof.problems
    catalog = load_catalog()
    for problem in proof.problems:
        for language in ("en", "zh-CN"):
            told = catalog.text(language, f"proof.{problem.word}", **problem.values)
            assert "app:" not in told


def test_a_round_that_was_decided_ends_as_decided() -> None:
    known, moves, sums, play = packet()
    last = PlayedMove(2, "app:u2", NOON + 2, "grab", 0, "e2")
    case = _settled(replace(known.round, end="stopped"), (*moves, last), play)
    assert words(prove(case)) == {"decided"}
    assert sums


def test_a_cancelled_round_gives_stakes_back_and_tells_nothing() -> None:
    known, moves, _, play = bets()
    one = replace(known.round, state=RoundState.CANCELLED, end="cancelled")
    known, *rest = _settled(one, moves, play)
    told = replace(known, round=replace(known.round, facts="{}"))
    assert prove((told, *rest)).agrees  # type: ignore[arg-type]
    assert known.round.paid == 17


def test_without_the_rules_nothing_agrees() -> None:
    known, moves, sums, _ = bets()
    proof = recompute(known, moves, sums, None)
    assert words(proof) == {"no_rules"}
    assert proof.marks == {}


def test_every_problem_has_its_texts() -> None:
    load_catalog().require({f"proof.{word}": values for word, values in PROBLEM_VALUES.items()})
