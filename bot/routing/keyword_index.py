"""All keyword rules of one community, arranged so that a message costs the same under ten or 100 000 rules.

Exact triggers are looked up in a dict, prefixes and parts of texts are found by one Aho-Corasick automaton
in a single pass, regular expressions by sets of RE2. An index is immutable: a change of the rules builds a
new one aside, in a thread if it is large, and swaps it in.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ahocorasick_rs import AhoCorasick

from bot.routing.keyword_answer import compile_answer
from bot.routing.keyword_fault import RuleRefusedError
from bot.routing.keyword_match import KIND_ORDER, Explained, Match, explain_order, order_key
from bot.routing.keyword_pattern import fit_pattern
from bot.routing.keyword_regex import RegexIndex
from bot.routing.keyword_schedule import Spans, closed_because, is_open, minute_of_week, weekly_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from bot.model import KeywordRule

# What triggers are sorted by, the strongest first: priority, kind, length, id; then whose they are.
_Sorted = tuple[int, int, int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class _Limit:
    """Where and when a rule answers; most rules have no limit at all."""

    enabled: bool
    groups: frozenset[str] | None
    spans: Spans | None


class KeywordIndex:
    """The rules of one community, ready to be matched.

    Texts must be in the normal form of the `normalise` the index was built with.

    **Order of winners.** The higher priority first; then exact before prefix before contains before
    regex; then the longest trigger (of a regex: the longest text it matches); then the lower id, which
    is the older rule. A rule appears once, with its best trigger.

    Which rule is cooling down and whose turn an answer is are live state: the caller walks through
    `match` until a rule may answer.

    Attributes:
        faults: (rule id, problem) of rules that cannot work, such as a pattern RE2 does not understand.
            They are left out. `bot.routing.keyword_rule` keeps such rules from being saved.
    """

    __slots__ = (
        "_automaton", "_exact", "_first", "_lengths", "_limits", "_more", "_prefixes", "_regex_triggers",
        "_regexes", "_rule_of", "_rules", "_trigger_of", "_zone", "faults",
    )  # fmt: skip

    def __init__(self, rules: Iterable[KeywordRule], zone: ZoneInfo, normalise: Callable[[str], str]) -> None:
        self._rules = tuple(rules)
        self._zone = zone
        faults: dict[int, str] = {}  # rule number → problem
        self._limits = _limits(self._rules, faults)
        triggers = _sorted_triggers(self._rules, normalise, left_out=frozenset(faults))
        # From here on a trigger is known by its place in this order: the lower, the stronger.
        self._rule_of = array("I", (one[4] for one in triggers))
        self._trigger_of = array("I", (one[5] for one in triggers))
        self._lengths = array("I", (-one[2] for one in triggers))
        self._arrange(triggers)
        for number in self._regexes.broken if self._regexes else ():
            faults[self._rule_of[self._regex_triggers[number]]] = "a pattern is no usable regular expression"
        self.faults = tuple((self._rules[number].id, problem) for number, problem in faults.items())

    @classmethod
    def build(
        cls, rules: Iterable[KeywordRule], zone: ZoneInfo, normalise: Callable[[str], str]
    ) -> KeywordIndex:
        """Build an index over `rules`; pure, so it may run in a thread.

        100 000 rules take about half a second; most of that is one call of the automaton's library, which
        keeps other threads waiting. One automaton all the same: several would cost every message.

        Args:
            rules: Checked rules, disabled ones included so that `explain` can name them.
            zone: Whose wall clock hours and weekdays follow.
            normalise: `Normaliser.normalise`.
        """
        return cls(rules, zone, normalise)

    def __len__(self) -> int:
        """Return the number of rules, those left out included."""
        return len(self._rules)

    def match(self, text: str, at_ms: int, group_id: str = "") -> Sequence[Match]:
        """Return the rules that answer `text` in this group at this instant, the winner first.

        Args:
            text: The message in normal form.
            at_ms: When it was sent, Unix milliseconds.
            group_id: The chat it was sent to, empty for a direct chat.
        """
        found = self._found(text)
        return tuple(self._open(found, at_ms, group_id)) if found else ()

    def best(self, text: str, at_ms: int, group_id: str = "") -> Match | None:
        """Return the first of `match`, or None."""
        found = self._found(text)
        return next(self._open(found, at_ms, group_id), None) if found else None

    def explain(
        self, text: str, at_ms: int, group_id: str = "", cooling: Collection[int] = ()
    ) -> list[Explained]:
        """Return every rule with a trigger in `text`, best first, with the reason it won or lost.

        `cooling` holds the ids of rules that are cooling down for whoever asks.
        """
        found = self._found(text)
        reasons = {}
        for place, (number, match) in enumerate(found):
            if reason := self._refusal(number, at_ms, group_id):
                minute = minute_of_week(at_ms, self._zone)
                reasons[place] = closed_because(match.rule, minute) if reason == "closed" else (reason, {})
        return explain_order([match for _, match in found], reasons, cooling)

    def _arrange(self, triggers: Sequence[_Sorted]) -> None:
        """Fill the structures that find triggers: text → strongest trigger of that text and kind."""
        texts: dict[int, dict[str, int]] = {kind: {} for kind in KIND_ORDER.values()}
        self._more: dict[int, list[int]] = {}  # strongest trigger → others of the same text and kind
        for place, (_, kind, _, _, _, _, text) in enumerate(triggers):
            first = texts[kind].setdefault(text, place)
            if first != place:
                self._more.setdefault(first, []).append(place)
        exact, prefixes, parts, patterns = (texts[kind] for kind in sorted(texts))
        self._exact = exact
        self._prefixes = len(prefixes)  # patterns of the automaton below this number are prefixes
        self._first = array("I", (*prefixes.values(), *parts.values()))
        # Overlapping search needs the standard kind, the default; see `_places`.
        self._automaton = (
            AhoCorasick((*prefixes, *parts), store_patterns=False) if prefixes or parts else None
        )
        self._regexes = RegexIndex(tuple(patterns)) if patterns else None
        self._regex_triggers = array("I", patterns.values())

    def _found(self, text: str) -> list[tuple[int, Match]]:
        """Return (rule number, its best match) of every rule with a trigger in `text`, best first."""
        places = self._places(text)
        spans = self._regexes.spans(text) if self._regexes else ()
        if not places and not spans:
            return []
        found: dict[int, Match] = {}
        for place in sorted(places):
            if (number := self._rule_of[place]) not in found:
                found[number] = self._match(place, self._lengths[place])
        for pattern, length in spans:
            first = self._regex_triggers[pattern]
            for place in (first, *self._more.get(first, ())):
                number = self._rule_of[place]
                if number not in found or found[number].length < length:
                    found[number] = self._match(place, length)
        return sorted(found.items(), key=_pair_key) if spans else list(found.items())

    def _places(self, text: str) -> list[int]:
        """Return the triggers in `text` other than regular expressions, unordered."""
        places = [self._exact[text]] if text in self._exact else []
        if self._automaton is not None:
            # Overlapping, so that a short trigger does not hide a longer one around it.
            for pattern, start, _ in self._automaton.find_matches_as_indexes(text, overlapping=True):
                if start == 0 or pattern >= self._prefixes:
                    places.append(self._first[pattern])
        if self._more and places:
            places += [other for place in set(places) for other in self._more.get(place, ())]
        return places

    def _match(self, place: int, length: int) -> Match:
        rule = self._rules[self._rule_of[place]]
        return Match(rule, rule.triggers[self._trigger_of[place]], length, rule.match)

    def _open(self, found: Iterable[tuple[int, Match]], at_ms: int, group_id: str) -> Iterator[Match]:
        return (match for number, match in found if not self._refusal(number, at_ms, group_id))

    def _refusal(self, number: int, at_ms: int, group_id: str) -> str:
        """Return why a rule does not answer here and now, empty where it does."""
        limit = self._limits.get(number)
        if limit is None:
            return ""
        if not limit.enabled:
            return "disabled"
        if limit.groups is not None and group_id not in limit.groups:
            return "other_group"
        if limit.spans is not None and not is_open(limit.spans, minute_of_week(at_ms, self._zone)):
            return "closed"
        return ""


def _pair_key(pair: tuple[int, Match]) -> tuple[tuple[int, int, int, int], int]:
    return order_key(pair[1]), pair[0]


def _limits(rules: Sequence[KeywordRule], faults: dict[int, str]) -> dict[int, _Limit]:
    """Return rule number → limit for the rules that have one; equal schedules and groups are shared."""
    seen_spans: dict[tuple[object, object], Spans | None] = {}
    seen_groups: dict[tuple[str, ...], frozenset[str]] = {}
    limits: dict[int, _Limit] = {}
    for number, rule in enumerate(rules):
        if problem := _unusable(rule):
            faults[number] = problem
        if rule.enabled and not rule.groups and not rule.hours and not rule.weekdays:
            continue
        schedule = (rule.hours, rule.weekdays)
        if schedule not in seen_spans:
            try:
                seen_spans[schedule] = weekly_spans(*schedule)
            except ValueError as error:
                faults[number] = str(error)
                continue
        groups = seen_groups.setdefault(rule.groups, frozenset(rule.groups)) if rule.groups else None
        limits[number] = _Limit(rule.enabled, groups, seen_spans[schedule])
    return limits


def _unusable(rule: KeywordRule) -> str:
    """Return what keeps a rule from ever being answered, empty for nothing."""
    if rule.match not in KIND_ORDER:
        return f"match {rule.match!r} is not known"
    if not rule.answers:
        return "there is no answer"
    try:
        for answer in rule.answers:
            compile_answer(answer)
    except RuleRefusedError as error:
        return error.fault.problem
    return ""


def _sorted_triggers(
    rules: Sequence[KeywordRule], normalise: Callable[[str], str], left_out: frozenset[int]
) -> list[_Sorted]:
    triggers: list[_Sorted] = []
    for number, rule in enumerate(rules):
        if number in left_out:
            continue
        kind, is_regex = KIND_ORDER[rule.match], rule.match == "regex"
        for place, trigger in enumerate(rule.triggers):
            text = fit_pattern(trigger, normalise) if is_regex else normalise(trigger)
            if text:
                length = 0 if is_regex else len(text)  # what a pattern matches is known later
                triggers.append((-rule.priority, kind, -length, rule.id, number, place, text))
    triggers.sort()
    return triggers
