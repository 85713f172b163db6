"""Which keyword rules may be saved, and what is said about the others."""

from __future__ import annotations

import re
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import KeywordRule
from bot.routing.keyword_fault import RuleFault
from bot.routing.keyword_index import KeywordIndex
from bot.routing.keyword_rule import check_rule
from bot.routing.normalise import Normaliser

normalise = Normaliser().normalise
SHANGHAI = ZoneInfo("Asia/Shanghai")
COMMANDS = frozenset({"签到", "排行", "help"})
GOOD = KeywordRule(triggers=("价格",), answers=("见 {昵称} 置顶",))


def faults_of(**fields: object) -> list[RuleFault]:
    """Check a good rule with some fields changed."""
    return check_rule(replace(GOOD, **fields), commands=COMMANDS, normalise=normalise)  # type: ignore[arg-type]


def test_a_good_rule_has_no_faults() -> None:
    full = KeywordRule(
        triggers=("價格", "多少钱"),
        answers=("{{一}}", "二 {points}"),
        match="contains",
        pick="in_turn",
        priority=-5,
        cool_down_s=60,
        cool_down_scope="member",
        hours=("09:00-18:00", "22:00-02:00"),
        weekdays=(1, 7),
        groups=("wr1", "wr2"),
        enabled=False,
    )
    assert faults_of() == []
    assert check_rule(full, commands=COMMANDS, normalise=normalise) == []


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"triggers": ()}, "count", "triggers"),
        ({"triggers": tuple(f"词{number}" for number in range(101))}, "count", "triggers"),
        ({"triggers": ("",)}, "empty", "triggers[0]"),
        ({"triggers": ("甲", "\u200b \u3000")}, "empty", "triggers[1]"),
        ({"triggers": ("甲" * 201,)}, "too_many_characters", "triggers[0]"),
        ({"triggers": ("甲\0",)}, "unstorable", "triggers[0]"),
        ({"triggers": ("甲\udc00",), "match": "regex"}, "unstorable", "triggers[0]"),
        ({"triggers": ("Ａ體", "a体 ")}, "duplicate", "triggers[1]"),
        ({"triggers": ("a+", "a+"), "match": "regex"}, "duplicate", "triggers[1]"),
        ({"triggers": ("甲", "(甲"), "match": "regex"}, "regex_syntax", "triggers[1]"),
        ({"triggers": ("甲*",), "match": "regex"}, "regex_matches_empty", "triggers[0]"),
        ({"triggers": ("[一-龥]{900}",), "match": "regex"}, "regex_too_large", "triggers[0]"),
        ({"triggers": ("签到",), "match": "exact"}, "shadowed_by_command", "triggers[0]"),
        ({"triggers": ("／簽到",), "match": "exact"}, "shadowed_by_command", "triggers[0]"),
        ({"triggers": ("HELP",), "match": "exact"}, "shadowed_by_command", "triggers[0]"),
        ({"match": "contain"}, "unknown_choice", "match"),
        ({"match": "pinyin"}, "unknown_choice", "match"),
        ({"pick": "first"}, "unknown_choice", "pick"),
        ({"cool_down_scope": "chat"}, "unknown_choice", "cool_down_scope"),
        ({"answers": ()}, "count", "answers"),
        ({"answers": tuple(map(str, range(21)))}, "count", "answers"),
        ({"answers": ("好", " \n")}, "empty", "answers[1]"),
        ({"answers": ("字" * 1334,)}, "too_many_bytes", "answers[0]"),
        ({"answers": ("a\0",)}, "unstorable", "answers[0]"),
        ({"answers": ("{nmae}",)}, "unknown_variable", "answers[0]"),
        ({"answers": ("a}",)}, "lone_brace", "answers[0]"),
        ({"priority": 1_000_001}, "out_of_range", "priority"),
        ({"priority": -1_000_001}, "out_of_range", "priority"),
        ({"cool_down_s": -1}, "out_of_range", "cool_down_s"),
        ({"cool_down_s": 10**9}, "out_of_range", "cool_down_s"),
        ({"hours": ("9-18",)}, "bad_window", "hours[0]"),
        ({"hours": ("09:00-18:00", "10:00-10:00")}, "bad_window", "hours[1]"),
        ({"hours": ("09:00-18:00", "09:00-18:00")}, "duplicate", "hours"),
        (
            {"hours": tuple(f"{hour:02}:{minute}-24:00" for hour in range(13) for minute in (10, 20))},
            "count",
            "hours",
        ),
        ({"weekdays": (0,)}, "out_of_range", "weekdays[0]"),
        ({"weekdays": (1, 8)}, "out_of_range", "weekdays[1]"),
        ({"weekdays": (1, 1)}, "duplicate", "weekdays"),
        ({"groups": ("",)}, "empty", "groups[0]"),
        ({"groups": ("g" * 129,)}, "too_many_characters", "groups[0]"),
        ({"groups": ("g\0",)}, "unstorable", "groups[0]"),
        ({"groups": ("g", "g")}, "duplicate", "groups"),
        ({"groups": tuple(map(str, range(1001)))}, "count", "groups"),
    ],
)
def test_each_fault_is_named_with_its_place(fields: dict[str, object], code: str, path: str) -> None:
    faults = faults_of(**fields)
    assert [(fault.code, fault.path) for fault in faults] == [(code, path)]
    assert faults[0].problem
    assert faults[0].cure
    assert str(faults[0]).startswith(f"{path}: ")
    chinese = faults[0].text("zh-CN")
    assert re.search("[一-龥]", chinese)
    assert not re.search(r"\{[a-z_]+\}", chinese)  # every hole of the text is filled


@pytest.mark.parametrize(
    "fields",
    [
        {"triggers": ("甲" * 200,)},
        {"triggers": tuple(f"词{number}" for number in range(100))},
        {"triggers": ("签到",), "match": "contains"},
        {"triggers": ("签到",), "match": "prefix"},
        {"triggers": ("签到了",), "match": "exact"},
        {"triggers": (r"\w+", r"\W+"), "match": "regex"},
        {"answers": ("字" * 1333,)},
        {"answers": tuple(map(str, range(20)))},
        {"priority": 1_000_000},
        {"cool_down_s": 0},
        {"hours": ("00:00-24:00",)},
        {"weekdays": (7, 6, 5, 4, 3, 2, 1)},
        {"groups": tuple(map(str, range(1000)))},
    ],
)
def test_what_is_just_within_the_limits_is_accepted(fields: dict[str, object]) -> None:
    assert faults_of(**fields) == []


def test_all_faults_come_at_once_in_the_order_of_the_fields() -> None:
    faults = faults_of(
        match="exakt", triggers=("",), answers=("{x}", "}"), priority=10**7, hours=("x",), weekdays=(9,)
    )
    assert [fault.path for fault in faults] == [
        "match", "triggers[0]", "answers[0]", "answers[1]", "priority", "hours[0]", "weekdays[0]",
    ]  # fmt: skip


def test_the_nearest_choice_is_offered() -> None:
    (fault,) = faults_of(match="contain")
    assert "did you mean contains?" in fault.cure
    assert fault.values["nearest"] == "contains"


def test_a_fault_reads_well_in_both_languages() -> None:
    (fault,) = faults_of(triggers=("甲", "签到"), match="exact")
    assert fault.text("en-GB").startswith("triggers[1]: 签到 is a chat command")
    assert fault.text("zh-CN").startswith("第 2 个触发词：“签到”是聊天命令")
    (fault,) = faults_of(priority=10**7)
    assert fault.text("zh") == "优先级：10000000 超出范围，请用 -1000000 到 1000000 之间的数"


_ANY_TEXT = st.text(max_size=12)


@settings(deadline=None)
@given(
    st.builds(
        KeywordRule,
        triggers=st.lists(_ANY_TEXT, max_size=4).map(tuple),
        answers=st.lists(_ANY_TEXT, max_size=3).map(tuple),
        match=st.sampled_from(["exact", "contains", "prefix", "regex", "fuzzy"]),
        hours=st.lists(st.sampled_from(["", "09:00-18:00", "22:00-02:00", "9"]), max_size=2).map(tuple),
        weekdays=st.lists(st.integers(-1, 9), max_size=3).map(tuple),
        groups=st.lists(_ANY_TEXT, max_size=2).map(tuple),
    )
)
def test_what_passes_the_checks_works_in_an_index(rule: KeywordRule) -> None:
    """And what does not pass is refused with words, never with a crash, in check and index alike."""
    faults = check_rule(rule, commands=COMMANDS, normalise=normalise)
    index = KeywordIndex.build([rule], SHANGHAI, normalise)
    assert all(fault.text("zh-CN") and fault.text("en") for fault in faults)
    if not faults:
        assert index.faults == ()
