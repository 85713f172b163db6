"""Whether a keyword rule may be saved: every limit and every error at once, for API, import and chat."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from bot.routing.keyword_answer import compile_answer
from bot.routing.keyword_fault import RuleFault, RuleRefusedError
from bot.routing.keyword_match import KIND_ORDER
from bot.routing.keyword_regex import check_regex
from bot.routing.keyword_schedule import EVERY_DAY, parse_window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Sequence

    from bot.model import KeywordRule

MAX_TRIGGERS = 100
MAX_TRIGGER_CHARACTERS = 200
MAX_ANSWERS = 20
MAX_ANSWER_BYTES = 4000
MAX_GROUPS = 1000
MAX_GROUP_CHARACTERS = 128
MAX_WINDOWS = 24
MAX_PRIORITY = 1_000_000
MAX_COOL_DOWN_S = 366 * 86_400

PICKS = ("random", "in_turn", "all")
COOL_DOWN_SCOPES = ("rule", "group", "member")


def check_rule(
    rule: KeywordRule, *, commands: Collection[str], normalise: Callable[[str], str]
) -> list[RuleFault]:
    """Return everything that is wrong with `rule`, in the order of its fields; empty when it may be saved.

    Args:
        rule: The rule as a person wrote it.
        commands: Every chat command word and alias in normal form. A command is tried before keyword
            rules, so an exact trigger equal to one would never fire.
        normalise: `Normaliser.normalise`.
    """
    return [
        *_check_choices(rule),
        *_check_triggers(rule, commands, normalise),
        *_check_answers(rule),
        *_check_numbers(rule),
        *_check_schedule(rule),
        *_check_groups(rule),
    ]


def _check_choices(rule: KeywordRule) -> Iterator[RuleFault]:
    fields: tuple[tuple[str, str, Sequence[str]], ...] = (
        ("match", rule.match, tuple(KIND_ORDER)),
        ("pick", rule.pick, PICKS),
        ("cool_down_scope", rule.cool_down_scope, COOL_DOWN_SCOPES),
    )
    for path, value, valid in fields:
        if value not in valid:
            nearest = next(iter(get_close_matches(value, valid, 1, 0.4)), "")
            meant = f"did you mean {nearest}? " if nearest else ""
            yield RuleFault(
                "unknown_choice",
                path,
                f"{value!r} is not known",
                f"{meant}Valid are {', '.join(valid)}",
                {"value": value, "valid": ", ".join(valid), "nearest": nearest},
            )


def _check_triggers(
    rule: KeywordRule, commands: Collection[str], normalise: Callable[[str], str]
) -> Iterator[RuleFault]:
    yield from _check_count("triggers", len(rule.triggers), 1, MAX_TRIGGERS)
    seen: dict[str, int] = {}
    for place, trigger in enumerate(rule.triggers[:MAX_TRIGGERS]):
        path = f"triggers[{place}]"
        # A pattern's letters may mean other things in another case, so only equal ones are the same.
        first = seen.setdefault(trigger if rule.match == "regex" else normalise(trigger), place)
        if fault := _trigger_fault(rule, path, trigger, commands=commands, normalise=normalise):
            yield fault
        elif first != place:
            same = f"triggers[{first}]"
            yield RuleFault("duplicate", path, f"the same as {same}", "remove one of them", {"same": same})


def _trigger_fault(
    rule: KeywordRule,
    path: str,
    trigger: str,
    *,
    commands: Collection[str],
    normalise: Callable[[str], str],
) -> RuleFault | None:
    if fault := _unstorable(path, trigger):
        return fault
    form = normalise(trigger)
    if not form:
        return _empty(path)
    if len(trigger) > MAX_TRIGGER_CHARACTERS:
        return _too_long("characters", path, len(trigger), MAX_TRIGGER_CHARACTERS)
    if rule.match == "regex":
        return _refusal(path, check_regex, trigger, normalise)
    word = form[1:].strip() if form[:1] in {"/", "#"} else form
    if rule.match == "exact" and word in commands:
        return RuleFault(
            "shadowed_by_command",
            path,
            f"{word} is a chat command, which is answered before any keyword rule",
            "choose another trigger, or match: contains to answer longer texts with that word",
            {"command": word},
        )
    return None


def _check_answers(rule: KeywordRule) -> Iterator[RuleFault]:
    yield from _check_count("answers", len(rule.answers), 1, MAX_ANSWERS)
    for place, answer in enumerate(rule.answers[:MAX_ANSWERS]):
        path = f"answers[{place}]"
        if fault := _unstorable(path, answer):
            yield fault
        elif not answer.strip():
            yield _empty(path)
        elif (size := len(answer.encode())) > MAX_ANSWER_BYTES:
            yield _too_long("bytes", path, size, MAX_ANSWER_BYTES)
        elif fault := _refusal(path, compile_answer, answer):
            yield fault


def _check_numbers(rule: KeywordRule) -> Iterator[RuleFault]:
    fields = (
        ("priority", rule.priority, -MAX_PRIORITY, MAX_PRIORITY),
        ("cool_down_s", rule.cool_down_s, 0, MAX_COOL_DOWN_S),
    )
    for path, value, low, high in fields:
        if not low <= value <= high:
            yield _out_of_range(path, value, low, high)


def _check_schedule(rule: KeywordRule) -> Iterator[RuleFault]:
    yield from _check_count("hours", len(rule.hours), 0, MAX_WINDOWS)
    for place, window in enumerate(rule.hours[:MAX_WINDOWS]):
        try:
            parse_window(window)
        except ValueError as error:
            cure = "write 09:00-18:00, 22:00-02:00 or 18:00-24:00; leave hours empty for always"
            yield RuleFault("bad_window", f"hours[{place}]", str(error), cure, {"window": window})
    for place, day in enumerate(rule.weekdays[: 2 * len(EVERY_DAY)]):
        if day not in EVERY_DAY:
            yield _out_of_range(f"weekdays[{place}]", day, EVERY_DAY[0], EVERY_DAY[-1])
    yield from _check_repeats("weekdays", rule.weekdays)
    yield from _check_repeats("hours", rule.hours)


def _check_groups(rule: KeywordRule) -> Iterator[RuleFault]:
    yield from _check_count("groups", len(rule.groups), 0, MAX_GROUPS)
    for place, group in enumerate(rule.groups[:MAX_GROUPS]):
        path = f"groups[{place}]"
        if fault := _unstorable(path, group):
            yield fault
        elif not group.strip():
            yield _empty(path)
        elif len(group) > MAX_GROUP_CHARACTERS:
            yield _too_long("characters", path, len(group), MAX_GROUP_CHARACTERS)
    yield from _check_repeats("groups", rule.groups)


# ---------------------------------------------------------------- faults that several fields share


def _check_count(path: str, count: int, low: int, high: int) -> Iterator[RuleFault]:
    if not low <= count <= high:
        problem = f"{count} entries, where {low} to {high} are allowed"
        cure = "add one" if count < low else "remove some"
        yield RuleFault("count", path, problem, cure, {"count": count, "low": low, "high": high})


def _refusal(path: str, check: Callable[..., object], *arguments: object) -> RuleFault | None:
    """Return the fault for which `check` refuses its arguments, at `path`."""
    try:
        check(*arguments)
    except RuleRefusedError as error:
        return replace(error.fault, path=path)
    return None


def _check_repeats(path: str, values: Sequence[Hashable]) -> Iterator[RuleFault]:
    if len(set(values)) < len(values):
        yield RuleFault("duplicate", path, "an entry stands there twice", "remove one of them")


def _unstorable(path: str, text: str) -> RuleFault | None:
    """Refuse what neither UTF-8 nor PostgreSQL can hold."""
    if not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        return None
    return RuleFault(
        "unstorable", path, "it holds a character that is none (NUL or half a pair)", "type it again"
    )


def _empty(path: str) -> RuleFault:
    problem = "nothing is left of it but spaces and invisible characters"
    return RuleFault("empty", path, problem, "write at least one visible character")


def _too_long(unit: str, path: str, size: int, limit: int) -> RuleFault:
    problem = f"{size} {unit}, at most {limit} are allowed"
    return RuleFault(f"too_many_{unit}", path, problem, "shorten it", {"size": size, "limit": limit})


def _out_of_range(path: str, value: int, low: int, high: int) -> RuleFault:
    return RuleFault(
        "out_of_range",
        path,
        f"{value} is outside {low} to {high}",
        f"choose a number from {low} to {high}",
        {"value": value, "low": low, "high": high},
    )
