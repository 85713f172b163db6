"""Which rules answer a message, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.clock import to_ms
from bot.model import KeywordRule
from bot.routing.keyword_index import KeywordIndex
from bot.routing.normalise import Normaliser

normalise = Normaliser().normalise
SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY_NOON_MS = to_ms(datetime(2025, 9, 1, 12, tzinfo=SHANGHAI))


def rule(rule_id: int, match: str, *triggers: str, **fields: object) -> KeywordRule:
    made = KeywordRule(triggers=triggers, answers=(f"答{rule_id}",), id=rule_id, match=match)
    return replace(made, **fields)  # type: ignore[arg-type]


def index_of(*rules: KeywordRule) -> KeywordIndex:
    return KeywordIndex.build(rules, SHANGHAI, normalise)


def winners(
    rules: list[KeywordRule], text: str, at_ms: int = MONDAY_NOON_MS, group_id: str = ""
) -> list[int]:
    return [match.rule.id for match in index_of(*rules).match(normalise(text), at_ms, group_id)]


# ---------------------------------------------------------------- what matches


@pytest.mark.parametrize(
    ("match", "trigger", "text", "expected"),
    [
        ("exact", "价格", "价格", True),
        ("exact", "价格", " 價格\u3000", True),
        ("exact", "價格", "价格", True),
        ("exact", "Ａbc", "aBC", True),
        ("exact", "价格", "价格?", False),
        ("exact", "你 好", "你  好", True),
        ("prefix", "价格", "价格多少", True),
        ("prefix", "价格", "价格", True),
        ("prefix", "价格", "问价格", False),
        ("prefix", "价格", "问价格,价格多少", False),
        ("contains", "价格", "问一下價格呢", True),
        ("contains", "价格", "价 格", False),
        ("contains", "😀", "好😀啊", True),
        ("contains", "strasse", "Hauptstraße", True),
        ("contains", "c++", "学Ｃ＋＋吗", True),
        ("contains", "a", "bcd", False),
        ("contains", "很长的触发词很长的触发词", "触发词", False),
        ("regex", r"订单\d{3,}", "查訂單１２３４", True),
        ("regex", r"订单\d{3,}", "订单12", False),
        ("regex", "^(早|早安)$", "早安", True),
        ("regex", "^(早|早安)$", "早安啊", False),
    ],
)
def test_a_trigger_fires(match: str, trigger: str, text: str, *, expected: bool) -> None:
    assert winners([rule(1, match, trigger)], text) == ([1] if expected else [])


def test_nothing_matches_nothing() -> None:
    index = index_of(rule(1, "exact", "甲"), rule(2, "contains", "乙"), rule(3, "regex", "丙+"))
    assert index.match("丁", MONDAY_NOON_MS) == ()
    assert index.best("丁", MONDAY_NOON_MS) is None
    assert index.match("", MONDAY_NOON_MS) == ()
    empty = index_of()
    assert empty.match("甲", MONDAY_NOON_MS) == ()
    assert len(empty) == 0


def test_a_match_says_what_fired() -> None:
    index = index_of(rule(7, "contains", "价钱", "ＰＲＩＣＥ"), rule(8, "regex", "x", r"多少\d+"))
    (match,) = index.match("the price is", MONDAY_NOON_MS)
    assert (match.rule.id, match.trigger, match.length, match.kind) == (7, "ＰＲＩＣＥ", 5, "contains")
    (match,) = index.match("问多少123元", MONDAY_NOON_MS)
    assert (match.rule.id, match.trigger, match.length, match.kind) == (8, r"多少\d+", 5, "regex")


def test_any_trigger_of_a_rule_fires_it_once_with_the_longest() -> None:
    index = index_of(rule(1, "contains", "价", "价格表", "格", "价格"))
    (match,) = index.match("看价格表价", MONDAY_NOON_MS)
    assert match.trigger == "价格表"
    (match,) = index_of(rule(1, "regex", "a+", "[ab]+")).match("aab", MONDAY_NOON_MS)
    assert (match.trigger, match.length) == ("[ab]+", 3)


def test_a_short_trigger_does_not_hide_a_longer_one_around_it() -> None:
    rules = [
        rule(1, "contains", "格"),
        rule(2, "contains", "价格"),
        rule(3, "contains", "价格表"),
        rule(4, "contains", "格表在"),
    ]
    assert winners(rules, "问价格表在哪") == [3, 4, 2, 1]


# ---------------------------------------------------------------- who wins


@pytest.mark.parametrize(
    ("rules", "text", "order"),
    [
        # priority before everything
        ([rule(1, "exact", "价格"), rule(2, "regex", "价.", priority=1)], "价格", [2, 1]),
        ([rule(1, "contains", "价格表", priority=-1), rule(2, "contains", "价")], "价格表", [2, 1]),
        # exact, prefix, contains, regex
        (
            [
                rule(1, "regex", "价格"),
                rule(2, "contains", "价格"),
                rule(3, "prefix", "价格"),
                rule(4, "exact", "价格"),
            ],
            "价格",
            [4, 3, 2, 1],
        ),
        ([rule(1, "contains", "价格表在哪"), rule(2, "prefix", "价")], "价格表在哪", [2, 1]),
        # the longer trigger, of a regex the longer match
        ([rule(1, "contains", "价"), rule(2, "contains", "价格")], "价格", [2, 1]),
        ([rule(1, "prefix", "价"), rule(2, "prefix", "价格")], "价格", [2, 1]),
        ([rule(1, "regex", "价.{1,1}"), rule(2, "regex", "价.+")], "价格表", [2, 1]),
        ([rule(1, "regex", "很长的写法也只看匹配到的|价"), rule(2, "regex", "价格")], "价格", [2, 1]),
        # the older rule
        (
            [rule(9, "contains", "价"), rule(3, "contains", "价"), rule(5, "contains", "格")],
            "价格",
            [3, 5, 9],
        ),
        ([rule(9, "regex", "价."), rule(3, "regex", ".格")], "价格", [3, 9]),
        ([rule(2, "exact", "价"), rule(1, "exact", "价")], "价", [1, 2]),
    ],
)
def test_the_order_of_winners(rules: list[KeywordRule], text: str, order: list[int]) -> None:
    assert winners(rules, text) == order
    assert winners(rules[::-1], text) == order
    best = index_of(*rules).best(normalise(text), MONDAY_NOON_MS)
    assert best is not None
    assert best.rule.id == order[0]


# ---------------------------------------------------------------- who may answer here and now


def test_a_disabled_rule_is_silent() -> None:
    assert winners([rule(1, "contains", "价", enabled=False), rule(2, "contains", "价")], "价") == [2]


def test_a_rule_with_groups_answers_only_there() -> None:
    rules = [rule(1, "contains", "价", groups=("g1", "g2")), rule(2, "contains", "价格")]
    assert winners(rules, "价格", group_id="g2") == [2, 1]
    assert winners(rules, "价格", group_id="g3") == [2]
    assert winners(rules, "价格", group_id="") == [2]


def test_the_next_rule_answers_when_the_first_is_closed() -> None:
    rules = [rule(1, "exact", "价格", hours=("09:00-18:00",), weekdays=(1,)), rule(2, "contains", "价格")]
    noon = MONDAY_NOON_MS
    assert winners(rules, "价格", noon) == [1, 2]
    assert winners(rules, "价格", noon + 6 * 3_600_000) == [2]
    assert winners(rules, "价格", noon + 24 * 3_600_000) == [2]
    best = index_of(*rules).best("价格", noon + 24 * 3_600_000)
    assert best is not None
    assert best.rule.id == 2


def test_the_wall_clock_is_the_zones() -> None:
    night = rule(1, "exact", "价格", hours=("22:00-02:00",), weekdays=(1,))
    at_ms = to_ms(datetime(2025, 9, 1, 17, 30, tzinfo=UTC))  # Tuesday 01:30 in Shanghai, Monday in London
    assert KeywordIndex.build([night], SHANGHAI, normalise).best("价格", at_ms)
    assert not KeywordIndex.build([night], ZoneInfo("Europe/London"), normalise).best("价格", at_ms)


# ---------------------------------------------------------------- rules past the checks


def test_rules_that_cannot_work_are_named_and_left_out() -> None:
    index = index_of(
        rule(1, "fuzzy", "价格"),
        rule(2, "contains", "价格", hours=("9-18",)),
        rule(3, "regex", "(价", "格"),
        rule(4, "contains", "价格", answers=("{nmae}",)),
        rule(5, "contains", "价格", answers=()),
        rule(6, "contains", "价格", weekdays=(8,)),
        rule(7, "contains", "价格", "\u200b"),
    )
    assert {rule_id for rule_id, _ in index.faults} == {1, 2, 3, 4, 5, 6}
    assert all(problem for _, problem in index.faults)
    assert [match.rule.id for match in index.match("价格", MONDAY_NOON_MS)] == [7, 3]
    assert len(index) == 7


def test_two_indexes_share_nothing() -> None:
    first, second = index_of(rule(1, "contains", "甲")), index_of(rule(2, "contains", "乙"))
    assert first.best("甲乙", MONDAY_NOON_MS) == first.match("甲乙", MONDAY_NOON_MS)[0]
    assert [match.rule.id for match in second.match("甲乙", MONDAY_NOON_MS)] == [2]


def test_many_rules_are_all_found() -> None:
    kinds = ("exact", "prefix", "contains", "regex")
    rules = [rule(number, kinds[number % 4], f"词{number}号") for number in range(1, 4001)]
    index = index_of(*rules)
    for number in (1, 2, 3, 4, 1999, 2000, 3997, 3998, 3999, 4000):
        (match,) = index.match(f"词{number}号", MONDAY_NOON_MS)
        assert match.rule.id == number


# ---------------------------------------------------------------- against an independent, slow look

_LETTERS = "ab甲乙Ａ體ß "
_TRIGGER = st.text(_LETTERS, min_size=1, max_size=4)
_PATTERN = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "甲", "乙", ".", "(?:a|ab)", "[a甲]"]), st.sampled_from(["", "", "+", "?"])
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: "".join(atom + repeat for atom, repeat in parts))
_HOURS = st.lists(
    st.sampled_from(["00:00-12:00", "09:00-18:00", "22:00-02:00", "18:00-24:00"]), unique=True, max_size=2
).map(tuple)
_WEEKDAYS = st.lists(st.integers(1, 7), unique=True, max_size=5).map(tuple)
_COMMON = {
    "answers": st.just(("答",)),
    "id": st.integers(1, 10_000),
    "priority": st.integers(-1, 1),
    "enabled": st.sampled_from([True, True, True, False]),
    "groups": st.sampled_from([(), (), (), ("g1",), ("g1", "g2")]),
    "hours": st.one_of(st.just(()), _HOURS),
    "weekdays": st.one_of(st.just(()), _WEEKDAYS),
}
_LITERAL_RULE = st.builds(
    KeywordRule,
    triggers=st.lists(_TRIGGER, min_size=1, max_size=3).map(tuple),
    match=st.sampled_from(["exact", "prefix", "contains"]),
    **_COMMON,
)
_REGEX_RULE = st.builds(
    KeywordRule,
    triggers=st.lists(_PATTERN, min_size=1, max_size=2).map(tuple),
    match=st.just("regex"),
    **_COMMON,
)
_RULES = st.lists(
    st.one_of(_LITERAL_RULE, _LITERAL_RULE, _LITERAL_RULE, _REGEX_RULE),
    max_size=12,
    unique_by=lambda rule: rule.id,
)
_INSTANT = st.datetimes(datetime(2024, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def matched_length(match: str, trigger: str, text: str) -> int:
    """Return how much of the text the trigger covers, by looking at it and at nothing else."""
    if match == "regex":
        compiled = re.compile(trigger)
        for start in range(len(text) + 1):
            ends = [end for end in range(start, len(text) + 1) if compiled.fullmatch(text, start, end)]
            if ends:
                return max(ends) - start
        return 0
    word = normalise(trigger)
    fires = {"exact": text == word, "prefix": text.startswith(word), "contains": word in text}[match]
    return len(word) if fires else 0


def may_answer(one: KeywordRule, at: datetime, group_id: str) -> bool:
    if not one.enabled or (one.groups and group_id not in one.groups):
        return False
    local = at.astimezone(SHANGHAI)
    for hours, days_back in product(one.hours or ("00:00-24:00",), (0, 1)):
        day = local.date() - timedelta(days=days_back)
        if one.weekdays and day.isoweekday() not in one.weekdays:
            continue
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # wall clock
        begin, end = (timedelta(hours=int(part[:2]), minutes=int(part[3:])) for part in hours.split("-"))
        end += timedelta(days=1) if end <= begin else timedelta()
        if midnight + begin <= local.replace(tzinfo=None) < midnight + end:
            return True
    return False


def slow_match(rules: list[KeywordRule], text: str, at: datetime, group_id: str) -> list[tuple[int, int]]:
    """Return (rule id, length) of all who may answer, best first."""
    kinds = ["exact", "prefix", "contains", "regex"]
    found = []
    for one in rules:
        length = max(matched_length(one.match, trigger, text) for trigger in one.triggers)
        if length and may_answer(one, at, group_id):
            found.append((-one.priority, kinds.index(one.match), -length, one.id))
    return [(rule_id, -length) for _, _, length, rule_id in sorted(found)]


@given(_RULES, st.text(_LETTERS, max_size=10), _INSTANT, st.sampled_from(["", "g1", "g2"]))
@settings(max_examples=500, deadline=None)
def test_the_index_finds_what_looking_at_every_rule_finds(
    rules: list[KeywordRule], sent: str, at: datetime, group_id: str
) -> None:
    text, at_ms = normalise(sent), to_ms(at)
    index = index_of(*rules)
    expected = slow_match(rules, text, at, group_id)
    found = index.match(text, at_ms, group_id)
    assert [(match.rule.id, match.length) for match in found] == expected
    assert index.best(text, at_ms, group_id) == (found[0] if found else None)
    won = [one.match.rule.id for one in index.explain(text, at_ms, group_id) if one.outcome == "won"]
    assert won == [rule_id for rule_id, _ in expected[:1]]


# ---------------------------------------------------------------- why


def reasons(
    rules: list[KeywordRule],
    text: str,
    at_ms: int = MONDAY_NOON_MS,
    group_id: str = "",
    cooling: tuple[int, ...] = (),
) -> dict[int, str]:
    explained = index_of(*rules).explain(normalise(text), at_ms, group_id, cooling)
    assert all((one.outcome == "won") == (one.reason in {"first", "only_match"}) for one in explained)
    return {one.match.rule.id: one.reason for one in explained}


def test_every_loser_learns_why() -> None:
    rules = [
        rule(1, "contains", "价格", priority=5),
        rule(2, "exact", "价格表", priority=4),
        rule(3, "exact", "价格", enabled=False),
        rule(4, "contains", "价", priority=9, groups=("g9",)),
        rule(5, "contains", "格", priority=9, weekdays=(2,)),
        rule(6, "contains", "表", priority=9, hours=("18:00-24:00",)),
        rule(7, "regex", "价.", priority=5),
        rule(8, "contains", "价", priority=5),
        rule(9, "contains", "格表", priority=5),
        rule(10, "contains", "没有的"),
        rule(11, "contains", "价", priority=10),
        rule(12, "contains", "价", enabled=False),
    ]
    assert reasons(rules, "价格表", cooling=(11,)) == {
        11: "cooling_down", 4: "other_group", 5: "wrong_weekday", 6: "outside_hours", 1: "first",
        9: "newer_than", 8: "shorter_than", 7: "weaker_kind_than", 2: "lower_priority_than", 12: "disabled",
    }  # fmt: skip


def test_reasons_carry_what_a_text_needs() -> None:
    rules = [
        rule(1, "contains", "价格", priority=5),
        rule(2, "exact", "价格"),
        rule(3, "contains", "价", priority=5),
        rule(4, "regex", "价.", priority=5),
        rule(5, "contains", "价格", priority=5),
        rule(6, "contains", "价", hours=("18:00-24:00",), weekdays=(1,)),
        rule(7, "contains", "价", cool_down_s=30),
    ]
    explained = index_of(*rules).explain("价格", MONDAY_NOON_MS, "", {7})
    values = {one.match.rule.id: dict(one.values) for one in explained}
    assert values == {
        1: {},
        2: {"winner": 1, "own": 0, "others": 5},
        3: {"winner": 1, "own": 1, "others": 2},
        4: {"winner": 1, "own": "regex", "others": "contains"},
        5: {"winner": 1, "own": 5, "others": 1},
        6: {"weekday": 1, "time": "12:00"},
        7: {"cool_down_s": 30},
    }


def test_a_window_of_another_day_is_the_weekdays_fault_and_else_the_hours() -> None:
    night = rule(1, "exact", "价", hours=("22:00-02:00",), weekdays=(1,))
    monday_1_am = to_ms(datetime(2025, 9, 1, 1, tzinfo=SHANGHAI))
    assert reasons([night], "价", monday_1_am) == {1: "wrong_weekday"}
    assert reasons([night], "价", MONDAY_NOON_MS) == {1: "outside_hours"}
    assert reasons([rule(1, "exact", "价", weekdays=(3,))], "价") == {1: "wrong_weekday"}
    assert reasons([rule(1, "exact", "价", hours=("08:00-09:00",))], "价") == {1: "outside_hours"}


def test_a_lone_winner_is_told_so() -> None:
    assert reasons([rule(1, "exact", "价")], "价") == {1: "only_match"}
    assert reasons([rule(1, "exact", "价"), rule(2, "exact", "价", enabled=False)], "价") == {
        1: "only_match",
        2: "disabled",
    }


def test_nobody_wins_when_all_are_kept_from_answering() -> None:
    rules = [rule(1, "exact", "价", enabled=False), rule(2, "exact", "价")]
    assert reasons(rules, "价", cooling=(2,)) == {1: "disabled", 2: "cooling_down"}
    assert reasons(rules, "别的") == {}
