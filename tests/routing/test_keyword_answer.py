"""Answers with variables, and the choice among several."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.routing.keyword_answer import VARIABLES, choose, compile_answer
from bot.routing.keyword_fault import RuleRefusedError

VALUES = {name: f"<{name}>" for name in VARIABLES}


@pytest.mark.parametrize(
    ("written", "said", "needs"),
    [
        ("你好", "你好", set()),
        ("", "", set()),
        ("{name}你好", "<name>你好", {"name"}),
        ("{昵称}，你有 {积分} 分", "<name>，你有 <points> 分", {"name", "points"}),
        ("{ Name }", "<name>", {"name"}),
        ("{name}{name}", "<name><name>", {"name"}),
        ("{{name}}", "{name}", set()),
        ("{{{name}}}", "{<name>}", {"name"}),
        ("a}}b{{c", "a}b{c", set()),
        ("第 {连续} 天/共 {累计} 天", "第 <streak> 天/共 <check_ins> 天", {"streak", "check_ins"}),
        ("｛name｝", "｛name｝", set()),
        ("第一行\n第二行{群}", "第一行\n第二行<group>", {"group"}),
    ],
)
def test_an_answer_is_filled_in(written: str, said: str, needs: set[str]) -> None:
    answer = compile_answer(written)
    assert answer.render(VALUES) == said
    assert answer.needs == needs
    assert answer.is_constant is (not needs)


@pytest.mark.parametrize("name", list(VARIABLES))
def test_every_variable_has_an_english_and_a_chinese_name(name: str) -> None:
    english, chinese = compile_answer(f"{{{name}}}"), compile_answer(f"{{{VARIABLES[name]}}}")
    assert english == chinese
    assert english.needs == {name}


@pytest.mark.parametrize(
    ("written", "code", "cure"),
    [
        ("{nmae}", "unknown_variable", "did you mean {name}?"),
        ("{呢称}", "unknown_variable", "did you mean {昵称}?"),
        ("{check-ins}", "unknown_variable", "did you mean {check_ins}?"),
        ("{^_^}", "unknown_variable", "{{ and }}"),
        ("{}", "unknown_variable", "{{ and }}"),
        ("{name", "lone_brace", "{{"),
        ("name}", "lone_brace", "}}"),
        ("{a{name}", "lone_brace", "{{"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(written: str, code: str, cure: str) -> None:
    with pytest.raises(RuleRefusedError) as refused:
        compile_answer(written)
    assert refused.value.fault.code == code
    assert cure in refused.value.fault.cure
    assert "花括号" in refused.value.fault.text("zh-CN")


@settings(deadline=None)
@given(st.text())
def test_doubled_braces_make_any_text_an_answer(text: str) -> None:
    answer = compile_answer(text.replace("{", "{{").replace("}", "}}"))
    assert answer.is_constant
    assert answer.render({}) == text


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(list(VARIABLES)).map(lambda name: f"{{{name}}}"), st.text("字 a"))))
def test_variables_stand_where_they_were_written(parts: list[str]) -> None:
    expected = "".join(f"<{part[1:-1]}>" if part.startswith("{") else part for part in parts)
    assert compile_answer("".join(parts)).render(VALUES) == expected


def test_a_missing_value_is_an_error_and_not_a_hole_in_the_text() -> None:
    with pytest.raises(KeyError):
        compile_answer("{points}").render({"name": "小明"})


# ---------------------------------------------------------------- choosing


def test_random_answers_alike_to_every_delivery_of_an_event() -> None:
    answers = ("一", "二", "三")
    first = choose(answers, "random", event_id="oa:u1:23456")
    assert all(choose(answers, "random", event_id="oa:u1:23456") == first for _ in range(5))


def test_random_draws_are_pinned() -> None:
    """The draw may not change between versions: a repeat can meet a newer process."""
    drawn = [choose((0, 1, 2, 3, 4), "random", event_id=f"app:ana:{number}")[0] for number in range(8)]
    assert drawn == [3, 1, 3, 2, 0, 1, 2, 4]


def test_random_gives_every_answer_its_share() -> None:
    drawn = Counter(choose("abc", "random", event_id=f"app:u:{number}")[0] for number in range(3000))
    assert set(drawn) == set("abc")
    assert min(drawn.values()) > 850


def test_in_turn_goes_round_and_all_gives_all() -> None:
    answers = ("一", "二", "三")
    assert [choose(answers, "in_turn", event_id="e", turn=turn)[0] for turn in range(5)] == list("一二三一二")
    assert choose(answers, "all", event_id="e") == answers
    assert choose(("一",), "random", event_id="e") == ("一",)


def test_an_event_id_may_hold_anything() -> None:
    assert choose("ab", "random", event_id="oa:\ud800:1")[0] in "ab"
