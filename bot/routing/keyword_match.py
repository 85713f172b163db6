"""What a keyword index finds, in which order, and why one match beats another."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bot.model import KeywordRule

KIND_ORDER: Mapping[str, int] = MappingProxyType({"exact": 0, "prefix": 1, "contains": 2, "regex": 3})
"""Kinds of match, the strongest first."""


class Match(NamedTuple):
    """One rule whose trigger is in a text.

    Attributes:
        rule: The rule, as it was given to the index.
        trigger: The trigger that fired, as written.
        length: Characters it covers of the text in normal form, at least 1.
        kind: exact | prefix | contains | regex.
    """

    rule: KeywordRule
    trigger: str
    length: int
    kind: str


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a rule whose trigger matched won or lost.

    Attributes:
        match: The best match of the rule.
        outcome: won | lost.
        reason: A stable word. Of the winner: ``only_match`` or ``first``. Of the others, the first that
            holds: ``disabled``, ``other_group``, ``wrong_weekday``, ``outside_hours``, ``cooling_down``,
            ``lower_priority_than``, ``weaker_kind_than``, ``shorter_than``, ``newer_than``.
        values: What the word is about: for ``…_than`` the `winner`'s rule id and the two things
            compared, `own` and `others`; for ``wrong_weekday`` and ``outside_hours`` what the clock shows.
    """

    match: Match
    outcome: str
    reason: str
    values: Mapping[str, str | int] = field(default_factory=dict)


def order_key(match: Match) -> tuple[int, int, int, int]:
    """Return a key that sorts matches, the winner first; the order is `KeywordIndex`'s."""
    rule = match.rule
    return -rule.priority, KIND_ORDER[match.kind], -match.length, rule.id


def explain_order(
    matches: Sequence[Match],
    refusals: Mapping[int, tuple[str, Mapping[str, str | int]]],
    cooling: Collection[int],
) -> list[Explained]:
    """Say of each match, given best first and one per rule, why it wins or loses.

    `refusals` holds reason and values by place in `matches` for rules that do not answer here or now,
    `cooling` the ids of rules that are cooling down.
    """
    open_places = [
        place for place, match in enumerate(matches) if place not in refusals and match.rule.id not in cooling
    ]
    winner = open_places[0] if open_places else None
    alone = len(open_places) == 1
    explained = []
    for place, match in enumerate(matches):
        if place == winner:
            one = Explained(match, "won", "only_match" if alone else "first")
        elif place in refusals:
            one = Explained(match, "lost", *refusals[place])
        elif match.rule.id in cooling:
            one = Explained(match, "lost", "cooling_down", {"cool_down_s": match.rule.cool_down_s})
        else:
            assert winner is not None
            one = Explained(match, "lost", *_beaten_by(matches[winner], match))
        explained.append(one)
    return explained


def _beaten_by(winner: Match, loser: Match) -> tuple[str, Mapping[str, str | int]]:
    comparisons: tuple[tuple[str, str | int, str | int], ...] = (
        ("lower_priority_than", loser.rule.priority, winner.rule.priority),
        ("weaker_kind_than", loser.kind, winner.kind),
        ("shorter_than", loser.length, winner.length),
    )
    for reason, own, others in comparisons:
        if own != others:
            return reason, {"winner": winner.rule.id, "own": own, "others": others}
    return "newer_than", {"winner": winner.rule.id, "own": loser.rule.id, "others": winner.rule.id}
