"""Regular expressions of rules: fitted to the normal form, linear, refused with a cure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import RefusedError
from bot.routing.keyword_fault import RuleRefusedError
from bot.routing.keyword_pattern import fit_pattern
from bot.routing.keyword_regex import RegexIndex, check_regex
from bot.routing.normalise import Normaliser

normalise = Normaliser().normalise


def length_in(pattern: str, text: str) -> int:
    """Return how many characters `pattern` matches of `text`, 0 for none."""
    check_regex(pattern, normalise)
    spans = RegexIndex([fit_pattern(pattern, normalise)]).spans(normalise(text))
    return spans[0][1] if spans else 0


@pytest.mark.parametrize(
    ("pattern", "text", "length"),
    [
        (r"订单\d+", "查訂單１２３", 5),
        ("(多少錢|怎麼賣)", "这个怎么卖", 3),
        ("價格？", "价格?", 3),
        ("價格？", "价", 0),
        ("（多少）", "(多少)", 4),
        ("（多少）", "多少", 0),
        ("Ａ＋", "a+", 2),
        ("Ａ＋", "aa", 0),
        ("ABC", "xAbC", 3),
        (r"\W中", "a中", 0),
        (r"\W中", "!中", 2),
        (r"\D+", "１２", 0),
        ("[A-C]+", "bca", 3),
        ("[０-９]{3}", "123", 3),
        ("[Ａ-Ｃ]+x", "BcX", 3),
        ("[一-龥]{2}", "体x育", 0),
        ("[體育]{2}", "体育", 2),
        ("[^體]育", "体育", 0),
        ("[^體]育", "德育", 2),
        (r"[\x{4e00}-\x{9fa5}]{2}", "体育", 2),
        (r"\x{9AD4}育", "体育", 2),
        (r"[\x{9AD4}]育", "体育", 2),
        (r"\x41b", "ab", 2),
        (r"\Q体(育)+\E$", "體（育）＋", 5),
        (r"\Q體", "体", 1),
        (r"\？", "?", 1),
        (r"\.", "．", 1),
        ("ß+", "ssss", 4),
        ("[ß]", "ss", 0),
        ("a　　b", "a b", 3),
        ("a[　]b", "a b", 3),
        (r"a\sb", "a\n\nb", 3),
        ("(?P<Name>甲)乙", "甲乙", 2),
        ("(?i:甲A)", "甲a", 2),
        ("[]a]b", "]b", 2),
        ("[(-]x", "-x", 2),
        (r"[\]－]x", "-x", 2),
        ("[[:digit:]]x", "1x", 2),
        ("[[:^digit:]]x", "1x", 0),
        (r"\p{Han}{3}", "後来啊", 3),
        ("x{2,3}", "xxxx", 3),
        ("a|ab|abc", "abcd", 3),
        ("^开始$", "开始", 2),
        ("^开始$", "不开始", 0),
        ("\u200b中", "中", 1),
        ("[\u200b中]", "中", 1),
        ("{中}", "{中}", 3),
    ],
)
def test_a_pattern_meets_texts_in_normal_form(pattern: str, text: str, length: int) -> None:
    assert length_in(pattern, text) == length


@pytest.mark.parametrize(
    ("pattern", "code", "cure"),
    [
        ("(?=a)b", "regex_syntax", "look-ahead"),
        ("(?!a)b", "regex_syntax", "look-ahead"),
        ("(?<=a)b", "regex_syntax", "look-behind"),
        ("(?<!a)b", "regex_syntax", "look-behind"),
        (r"(a)\1", "regex_syntax", "back-references"),
        ("(?P<n>a)(?P=n)", "regex_syntax", "back-references"),
        ("(?>a)", "regex_syntax", "(?:…)"),
        ("(?#note)a", "regex_syntax", "RE2 knows the groups"),
        ("(?x) a", "regex_syntax", "RE2 knows the groups"),
        (r"a\Z", "regex_syntax", "write $"),
        (r"\C", "regex_syntax", "write ."),
        (r"\y", "regex_syntax", "no such escape"),
        ("a++", "regex_syntax", "remove a sign"),
        ("a**", "regex_syntax", "remove a sign"),
        ("a{1001}", "regex_syntax", "1000 times"),
        ("*a", "regex_syntax", "before the sign"),
        ("[a", "regex_syntax", r"\["),
        ("(a", "regex_syntax", r"\("),
        ("a)", "regex_syntax", r"\)"),
        ("[z-a]", "regex_syntax", "lower end"),
        ("a\\", "regex_syntax", "backslash"),
        (r"\p{Martian}", "regex_syntax", r"\p{Han}"),
        ("[一-龥]{900}", "regex_too_large", "shorten"),
        ("(?:[一-龥]{10}){90}", "regex_too_large", "shorten"),
        ("a*", "regex_matches_empty", "+ instead of *"),
        ("(甲|)", "regex_matches_empty", "+ instead of *"),
        ("^", "regex_matches_empty", "must be there"),
        (r"\b", "regex_matches_empty", "must be there"),
        (r"\B", "regex_matches_empty", "must be there"),
    ],
)
def test_a_useless_pattern_is_refused_with_the_cure(pattern: str, code: str, cure: str) -> None:
    with pytest.raises(RuleRefusedError) as refused:
        check_regex(pattern, normalise)
    fault = refused.value.fault
    assert fault.code == code
    assert cure in fault.cure
    assert isinstance(refused.value, RefusedError)
    assert fault.text("en") == str(fault)
    chinese = fault.text("zh-CN")
    assert re.search("[一-龥]", chinese)
    assert "{chinese" not in chinese


def test_patterns_that_explode_elsewhere_answer_at_once() -> None:
    """A backtracking engine would need longer than the universe has; RE2's work is linear in the text."""
    patterns = ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}c", "^(([a-z])+.)+[0-9]([a-z])+$"]
    for pattern in patterns:
        check_regex(pattern, normalise)
    index = RegexIndex([fit_pattern(pattern, normalise) for pattern in patterns])
    assert index.spans("a" * 2000 + "!") == []
    assert index.spans("a" * 2000) == [(0, 2000), (1, 2000)]
    assert index.spans("a" * 2000 + "b") == [(2, 2001)]


def test_a_broken_pattern_is_named_and_does_not_harm_the_others() -> None:
    """Rules written before a change of the engine, or past the checks, must not silence a community."""
    index = RegexIndex(["甲+", "(乙", "丙", "[\ud800]"])
    assert index.broken == (1, 3)
    assert sorted(index.spans("甲甲丙")) == [(0, 2), (2, 1)]


def test_patterns_too_large_for_one_set_are_split_over_several() -> None:
    def many(number: int) -> str:
        return "".join(chr(0x4E00 + (number * 37 + place * 101) % 20000) for place in range(150))

    patterns = [many(number) for number in range(300)]
    index = RegexIndex(patterns)
    assert index.broken == ()
    assert index.spans(f"前{patterns[7]}中{patterns[299]}后") == [(7, 150), (299, 150)]


def test_more_patterns_than_one_set_holds_keep_their_numbers() -> None:
    patterns = [f"词{number}号" for number in range(2500)]
    index = RegexIndex(patterns)
    assert index.spans("词3号词1003号词2499号") == [(3, 3), (1003, 6), (2499, 6)]


def test_a_pattern_far_too_large_to_run_is_passed_over() -> None:
    index = RegexIndex(["(?:[一-龥]{10}){90}", "甲"])
    assert (1, 1) in index.spans("甲" * 950)


def test_a_pattern_that_matches_nothing_visible_never_fires() -> None:
    assert RegexIndex(["a*"]).spans("baa") == []


# ---------------------------------------------------------------- against an independent search

_ATOM = st.sampled_from(["a", "b", "甲", "乙", ".", "[ab]", "[^a]", "(?:a|乙b)", "(?:a|ab|甲)", r"\d", "1"])
_PATTERN = st.lists(
    st.tuples(_ATOM, st.sampled_from(["", "", "", "+", "?", "*", "{2}"])), min_size=1, max_size=4
).map(lambda parts: "".join(atom + repeat for atom, repeat in parts))


def leftmost_longest(pattern: str, text: str) -> int:
    """Try every span with the standard library: the first place that matches, the longest match there."""
    compiled = re.compile(pattern)
    for start in range(len(text) + 1):
        ends = [end for end in range(start, len(text) + 1) if compiled.fullmatch(text, start, end)]
        if ends:
            return max(ends) - start
    return 0


@given(st.lists(_PATTERN, max_size=6), st.text("ab甲乙1", max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_sets_find_what_trying_every_span_finds(patterns: list[str], text: str) -> None:
    expected = [
        (number, length)
        for number, pattern in enumerate(patterns)
        if (length := leftmost_longest(pattern, text))
    ]
    assert RegexIndex(patterns).spans(text) == expected


@given(
    st.text(
        st.one_of(st.sampled_from(r"\[](){}?*+|^$.-:<>QEpPx0aA體Ａ？（ 　"), st.characters()), max_size=12
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_as_a_pattern_is_accepted_or_refused_never_worse(pattern: str) -> None:
    try:
        check_regex(pattern, normalise)
    except (RuleRefusedError, UnicodeEncodeError):
        return
    RegexIndex([fit_pattern(pattern, normalise)]).spans("任何 text 123")


@settings(deadline=None)
@given(st.text("aB体體Ａ＋？（ß　 !.", max_size=10).filter(lambda text: normalise(text) != ""))
def test_a_quoted_text_finds_itself_in_normal_form(text: str) -> None:
    """Between \\Q and \\E every character is a literal, so fitting must do what normalising does."""
    assert length_in(rf"\Q{text}\E", f"前{text}后") >= len(normalise(text))
