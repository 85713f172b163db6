"""Recomputes an ended round from its seed, settings and moves, and compares what was published and paid.

Pure: what is compared is given, and whoever has the same finds the same. What is found names members by their
marks only (`Play.mark`), so that it may be shown to anybody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from bot.rounds.play import Play, SettingError, Settled, state_after
from bot.storage.redis.rounds import Paid, PlayedMove, Round, RoundState
from bot.storage.sql.rounds import KnownRound, RoundSum

SHARE = "share"  # why a member got what a seat held
_MOST_PROBLEMS = 50  # where the seed is another one, every figure is

# What may be found, and the values of its text `proof.<word>`.
PROBLEM_VALUES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "no_rules": frozenset({"game"}),
        "commitment": frozenset({"published", "found"}),
        "pot": frozenset({"published", "found"}),
        "seats": frozenset(),
        "moves": frozenset({"published", "found"}),
        "move_order": frozenset({"number"}),
        "move_again": frozenset({"number", "who"}),
        "undecided": frozenset(),
        "decided": frozenset({"end"}),
        "state": frozenset({"published", "found"}),
        "staked": frozenset({"published", "found"}),
        "paid": frozenset({"published", "found"}),
        "refund": frozenset({"published", "found"}),
        "facts": frozenset({"name"}),
        "points": frozenset({"who", "why", "published", "found"}),
        "refused": frozenset({"why"}),
    }
)


class Problem(NamedTuple):
    """One thing that does not agree: a word of `PROBLEM_VALUES`, and what its text tells."""

    word: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """A round with all that is needed to recompute it, and what came of doing so.

    Attributes:
        round: The round.
        count: How many moves it has.
        moves: Its moves, in order; none while it is open.
        awards: What members got by the ledger, with why: ``share``, or the word of the award; none while it
            is open.
        marks: Member id → mark.
        problems: What does not agree; empty while it is open.
    """

    round: Round
    count: int
    moves: tuple[PlayedMove, ...] = ()
    awards: tuple[Paid, ...] = ()
    marks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all that was compared is equal."""
        return not self.problems


def recompute(
    known: KnownRound, moves: Sequence[PlayedMove], sums: Sequence[RoundSum], play: Play | None
) -> Proof:
    """Return the proof of an ended round.

    Args:
        known: As it was published at its end, with how many moves it then had.
        moves: Its moves in the order of receipt.
        sums: What the ledger says of it.
        play: The game; None where it is offered no longer, which is a problem too.
    """
    one = known.round
    awards = tuple(
        Paid(row.member, row.points, row.rule or SHARE)
        for row in sums
        if row.reason in {"round_share", "round_prize"}
    )
    if play is None:
        problem = Problem("no_rules", {"game": one.game})
        return Proof(one, known.moves, tuple(moves), awards, problems=(problem,))
    members = dict.fromkeys([*(move.member for move in moves), *(row.member for row in sums)])
    marks = {member: play.mark(one.id, member) for member in members}
    work = _Recomputation(known, moves, sums, play, marks)
    problems = tuple(islice(work.problems(), _MOST_PROBLEMS))
    return Proof(one, known.moves, tuple(moves), awards, marks, problems)


@dataclass(frozen=True, slots=True)
class _Recomputation:
    """One round and what is said of it."""

    known: KnownRound
    moves: Sequence[PlayedMove]
    sums: Sequence[RoundSum]
    play: Play
    marks: Mapping[str, str]

    def problems(self) -> Iterator[Problem]:
        """Yield what does not agree; what was tampered with may be refused by rules that never saw such."""
        try:
            yield from self._of_beginning()
            yield from self._of_moves()
            yield from self._of_end()
        except SettingError as error:
            yield Problem("refused", {"why": str(error)})
        except Exception as error:  # noqa: BLE001 - whatever the rules make of it, it is no round of theirs
            yield Problem("refused", {"why": type(error).__name__})

    def _of_beginning(self) -> Iterator[Problem]:
        one = self.known.round
        commitment = self.play.commitment(bytes.fromhex(one.seed))
        yield from _compare("commitment", one.commitment, commitment)
        yield from _compare("pot", one.pot, self.play.prepare(json.loads(one.settings)).pot)
        if self.play.seats(self._opened()) != one.seats:
            yield Problem("seats", {})

    def _opened(self) -> Any:
        one = self.known.round
        return self.play.open(one.settings, bytes.fromhex(one.seed), one.id)

    def _of_moves(self) -> Iterator[Problem]:
        one = self.known.round
        yield from _compare("moves", self.known.moves, len(self.moves))
        yield from _compare("staked", one.staked, sum(move.stake for move in self.moves))
        last_ms, moved = one.at_ms, set()
        for number, move in enumerate(self.moves):
            if move.number != number or move.at_ms < last_ms:
                yield Problem("move_order", {"number": number})
            if self.play.once and move.member in moved:
                yield Problem("move_again", {"number": number, "who": self._mark(move.member)})
            moved.add(move.member)
            last_ms = move.at_ms

    def _of_end(self) -> Iterator[Problem]:
        one = self.known.round
        state = self._opened()
        seats = self.play.seats(state)
        for move in self.moves:
            state, _ = self.play.apply(state, move)
        decided = self.play.is_over(state)
        if one.end == "over" and not decided:
            yield Problem("undecided", {})
        if decided and one.end in {"time", "stopped"}:
            yield Problem("decided", {"end": one.end})
        yield from _compare("state", one.state.value, state_after(one.end, drawn=self.play.drawn).value)
        settled = self.play.settle(state, one.end)
        taken = seats[: len(self.moves)]
        paid = sum(taken) + sum(award.points for award in settled.awards)
        refund = one.pot + one.staked + one.house - paid
        yield from _compare("paid", one.paid, paid)
        yield from _compare("refund", one.refund, refund)
        yield from self._of_facts(settled)
        yield from self._of_points(self._by_rules(settled, taken, refund))

    def _of_facts(self, settled: Settled) -> Iterator[Problem]:
        """Compare what was told of the end; a round that counts for nothing has nothing to tell."""
        one = self.known.round
        if one.state is RoundState.CANCELLED:
            return
        told, found = json.loads(one.facts), json.loads(json.dumps(dict(settled.facts)))
        for name in sorted(told.keys() | found.keys()):
            if told.get(name) != found.get(name):
                yield Problem("facts", {"name": name})

    def _by_rules(
        self, settled: Settled, taken: Sequence[int], refund: int
    ) -> dict[tuple[str, str, str], int]:
        """Return what the ledger has to say by the rules: points by member, reason and rule."""
        one = self.known.round
        points: dict[tuple[str, str, str], int] = {}

        def post(member: str, reason: str, rule: str, delta: int) -> None:
            key = (member, reason, rule)
            points[key] = points.get(key, 0) + delta

        if one.payer:
            post(one.payer, "round_pay", "", -one.pot)
            post(one.payer, "round_refund", "", refund)
        for move in self.moves:
            post(move.member, "round_stake", "", -move.stake)
        for move, share in zip(self.moves, taken, strict=False):
            post(move.member, "round_share", "", share)
        for award in settled.awards:
            post(award.member, "round_prize", award.why, award.points)
        return {key: delta for key, delta in points.items() if delta}

    def _of_points(self, by_rules: Mapping[tuple[str, str, str], int]) -> Iterator[Problem]:
        by_ledger = {(row.member, row.reason, row.rule): row.points for row in self.sums}
        for key in sorted(by_ledger.keys() | by_rules.keys()):
            published, found = by_ledger.get(key, 0), by_rules.get(key, 0)
            if published != found:
                member, reason, rule = key
                values = {"who": self._mark(member), "why": rule or reason.removeprefix("round_")}
                yield Problem("points", {**values, "published": published, "found": found})

    def _mark(self, member: str) -> str:
        return self.marks.get(member) or self.play.mark(self.known.round.id, member)


def _compare(word: str, published: object, found: object) -> Iterator[Problem]:
    if published != found:
        yield Problem(word, {"published": published, "found": found})
