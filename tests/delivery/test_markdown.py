"""Cutting Markdown, and saying it without its marks."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.delivery import markdown
from bot.delivery.markdown import cut_markdown, needs_v2, plain_text, split_markdown
from bot.delivery.split import graphemes

BITS = st.sampled_from(
    [
        "好",
        "字字",
        "a",
        "word ",
        "。",
        "\n",
        "\n\n",
        "- ",
        "1. ",
        "> ",
        "## ",
        "| a | b |\n",
        "|---|---|\n",
        "```",
        "```py\n",
        "```\n",
        "`",
        "**",
        "*",
        "_",
        "~~",
        "[",
        "](",
        ")",
        "![",
        "<@ana>",
        '<font color="info">',
        "</font>",
        "\\*",
        "https://a.example/x?y=1",
        "👨‍👩‍👧‍👦",
        "🇨🇳",
        "e\u0301",
        "\r\n",
        " ",
        "x = 1\n",
    ]
)
ANYTHING = st.lists(BITS, max_size=60).map("".join) | st.text(max_size=80)


@given(ANYTHING, st.integers(4, 90))
@example("~~~~" * 9, 4)
@example("- **字字字字字字字字字字字字**", 30)
def test_pieces_fit_and_join_back_to_the_text(text: str, limit_bytes: int) -> None:
    pieces = cut_markdown(text, limit_bytes)

    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)
    assert [piece.whole for piece in pieces] == split_markdown(text, limit_bytes)
    for piece in pieces:
        assert len(piece.whole.encode()) <= limit_bytes
        assert len(piece.whole) >= len(piece.text)


@given(ANYTHING, st.integers(40, 90))
def test_no_cut_falls_inside_what_people_see_as_one_character(text: str, limit_bytes: int) -> None:
    borders, length = {0}, 0
    for character, _ in graphemes(text):
        length += len(character)
        borders.add(length)
        if len(character.encode()) > 10:  # one that alone may be longer than what the marks leave
            borders |= set(range(length - len(character), length))

    at = 0
    for piece in cut_markdown(text, limit_bytes):
        at += len(piece.text)
        assert at in borders


WHOLE = [
    "[一个链接](https://a.example/x(1))",
    "![图](https://p.example/1.png)",
    "**粗体字**",
    "*斜 体*",
    "`a * b`",
    "<@liwei>",
    '<font color="warning">注 意</font>',
    "https://a.example/long?x=1&y=2",
    "~~旧价~~",
    "**[粗](https://a.example)**",
]
WORDS = st.lists(
    st.sampled_from([*WHOLE, "普通的字，", "words and ", "。", "\n", "\n- ", "\n> "]), max_size=40
)


@given(WORDS, st.integers(60, 120))
def test_what_belongs_together_is_not_cut(words: list[str], limit_bytes: int) -> None:
    text = " ".join(words)
    pieces = split_markdown(text, limit_bytes)

    for whole in WHOLE:
        assert sum(piece.count(whole) for piece in pieces) == text.count(whole)


@given(WORDS, st.integers(40, 120))
def test_no_piece_has_half_a_link_or_half_of_bold(words: list[str], limit_bytes: int) -> None:
    for piece in split_markdown(" ".join(words), limit_bytes):
        assert piece.count("**") % 2 == 0
        assert piece.count("~~") % 2 == 0
        assert piece.count("`") % 2 == 0
        assert piece.count("<font") == piece.count("</font>")
        assert len(re.findall(r"\[[^\]]*\]\(\S*\)", piece)) == piece.count("](")


@given(
    st.lists(
        st.sampled_from(["x = 1\n", "\n", "# no heading\n", "字" * 9 + "\n", "y" * 80 + "\n"]), min_size=20
    )
)
def test_a_fence_longer_than_a_piece_is_closed_and_opened_again(lines: list[str]) -> None:
    text = "前言\n```python\n" + "".join(lines) + "```\n后记"
    pieces = split_markdown(text, 70)

    code = []
    for piece in pieces:
        assert piece.count("```") % 2 == 0
        code += re.findall(r"```python\n(.*?)```", piece, re.DOTALL)
    assert "".join(code).replace("\n", "") == "".join(lines).replace("\n", "")


def test_bold_longer_than_a_piece_is_closed_and_opened_again_without_white_space_at_its_marks() -> None:
    text = "**" + "one two three four " * 5 + "end**"

    pieces = split_markdown(text, 40)

    assert len(pieces) > 2
    assert all(re.fullmatch(r"\*\*\S.*\S\*\*\s*", piece) for piece in pieces)


def test_a_table_s_head_is_repeated_and_no_row_is_cut() -> None:
    head = "| 名 | 分 |\n|---|---|\n"
    rows = [f"| 成员{number} | {number} |\n" for number in range(30)]

    pieces = split_markdown(head + "".join(rows), 200)

    assert len(pieces) > 2
    assert all(piece.startswith(head) for piece in pieces)
    assert [line + "\n" for piece in pieces for line in piece.splitlines()[2:]] == rows


def test_a_long_quote_keeps_its_mark_and_a_list_s_mark_its_text() -> None:
    quoted = split_markdown("> " + "引用的话，" * 20, 60)
    assert all(piece.startswith("> ") for piece in quoted)

    listed = split_markdown("".join(f"- 第{number}项的文字\n" for number in range(20)), 60)
    assert not any(piece.rstrip().endswith("-") for piece in listed)
    assert all(piece.startswith("- ") for piece in listed)


def test_a_heading_goes_with_what_it_heads() -> None:
    text = "字" * 12 + "\n\n## 标题\n" + "正文" * 6 + "\n"

    assert split_markdown(text, 60) == ["字" * 12 + "\n\n", "## 标题\n" + "正文" * 6 + "\n"]


def test_pieces_are_filled_to_half_at_least() -> None:
    text = "一段普通的文字，没有标记。" * 200

    for one, next_ in pairwise(split_markdown(text, 300)):
        assert len(one.encode()) * 2 >= 300, next_


@pytest.mark.parametrize(
    "unit",
    [
        "**a ",
        "[",
        "[a](",
        "](",
        "![",
        "`",
        "``` ",
        "<font>",
        "</font>",
        "- ",
        "> ",
        "| a ",
        "|-",
        "#",
        "_a",
        "~~",
        "字",
        "\n",
        "\\",
        "(",
        "**a *b ",
        "x**",
        "<@",
        "https://a",
        "e\u0301",
    ],
)
def test_no_atom_is_looked_at_more_than_a_few_times(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the time of packing grows with the text alone, whatever stands in it."""
    looks = 0

    class Watched(list[markdown._Atom]):
        def __getitem__(self, at: Any) -> Any:
            nonlocal looks
            looks += isinstance(at, int)
            return super().__getitem__(at)

    cut = markdown._Cutter.cut
    monkeypatch.setattr(markdown._Cutter, "cut", lambda cutter, text: Watched(cut(cutter, text)))
    text = unit * (40_000 // len(unit))

    pieces = split_markdown(text, 2048)
    assert len(pieces) > 10
    assert looks <= 3 * len(text)


def test_a_limit_below_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        split_markdown("x", 3)
    assert split_markdown("", 4) == []


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("# 标题\n**粗** *斜* ~~删~~", "标题\n粗 斜 删"),
        ("> 引用 `代码`", "引用 代码"),
        ("- 一\n  * 二\n3. 三", "· 一\n  · 二\n3. 三"),
        ("[文字](https://a.example/x)", "文字（https://a.example/x）"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("![图](https://p.example)", "图（https://p.example）"),
        ("**[粗](https://a.example)**", "粗（https://a.example）"),
        ('<font color="info">绿</font> <@ana> 好', "绿 @ana 好"),
        ("```py\nx = **1**\n```\n完", "x = **1**\n完"),
        ("| 名 | 分 |\n|---|:-:|\n| **安** | 3 |\n", "名 | 分\n安 | 3\n"),
        ("---\nsnake_case_name 2*3*4 \\*", "———\nsnake_case_name 2*3*4 *"),
        ("半个 **粗 和 [链接](", "半个 **粗 和 [链接]("),
    ],
)
def test_marks_are_taken_off(marked: str, plain: str) -> None:
    assert plain_text(marked) == plain


@given(st.text(st.characters(categories=["L", "Nd"], include_characters="，。 \n"), max_size=60))
def test_a_text_without_marks_stays_as_it_is(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("**粗** [链](https://a.example)", False),
        ("- 一\n- 二", True),
        ("| a |\n|---|\n", True),
        ("```\nx\n```", True),
        ("![图](https://p.example)", True),
        ("- 一 <@ana>", False),
        ('| a |\n<font color="info">x</font>', False),
    ],
)
def test_which_version_of_markdown_a_robot_needs(text: str, *, wanted: bool) -> None:
    assert needs_v2(text) is wanted
