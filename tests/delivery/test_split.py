"""Cutting texts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.delivery import split
from bot.delivery.fit import fit_parts
from bot.delivery.routes import WECOM_APP
from bot.delivery.split import split_text
from bot.model import Article, Image, News, Text

CLUSTERS = [
    "a", "。", "，", " ", "\n", "\r\n", "好", "e\u0301", "👨‍👩‍👧‍👦", "🇨🇳", "1\ufe0f\u20e3", "👍🏽", "❤️‍🔥",
    "\u1112\u1161\u11ab", "한", "क्षि", "🏴\U000e0067\U000e0062\U000e007f",
]  # fmt: skip
LONGEST_BYTES = max(len(cluster.encode()) for cluster in CLUSTERS)


@given(st.text(), st.integers(4, 40))
def test_pieces_fit_and_join_back_to_the_text(text: str, limit_bytes: int) -> None:
    pieces = split_text(text, limit_bytes)

    assert "".join(pieces) == text
    assert all(0 < len(piece.encode()) <= limit_bytes for piece in pieces)


@given(st.text(st.sampled_from("字a。， \n\u200d\u0301🇨👍\u1100\u1161"), max_size=200), st.integers(4, 60))
def test_pieces_are_few(text: str, limit_bytes: int) -> None:
    """Two neighbours together always exceed what one piece holds, or half of it where a cut was worth it."""
    pieces = split_text(text, limit_bytes)

    for one, next_ in pairwise(pieces):
        assert len(one.encode()) * 2 >= limit_bytes or len((one + next_).encode()) > limit_bytes - 4


@given(st.lists(st.sampled_from(CLUSTERS), max_size=60), st.integers(LONGEST_BYTES, 3 * LONGEST_BYTES))
def test_no_cut_falls_inside_what_people_see_as_one_character(clusters: list[str], limit_bytes: int) -> None:
    borders, length = {0}, 0
    for cluster in clusters:
        length += len(cluster)
        borders.add(length)

    at = 0
    for piece in split_text("".join(clusters), limit_bytes):
        at += len(piece)
        assert at in borders


def test_a_character_longer_than_the_limit_is_cut_between_code_points() -> None:
    family = "👨‍👩‍👧‍👦"

    assert split_text("ab" + family, 8) == ["ab", "👨‍", "👩‍", "👧‍", "👦"]


@pytest.mark.parametrize(
    ("text", "limit_bytes", "pieces"),
    [
        ("第一行\n第二句。第三", 24, ["第一行\n第二句。", "第三"]),
        ("前面的行\n后面。还有", 24, ["前面的行\n", "后面。还有"]),
        ("今天真好。明天更，好吗", 24, ["今天真好。", "明天更，好吗"]),
        ("他说“走吧！”然后走了啊", 24, ["他说“走吧！”", "然后走了啊"]),
        ("one two three four", 10, ["one two ", "three four"]),
        ("It ends. Then more words", 14, ["It ends. ", "Then more ", "words"]),
        ("see 3.1415926535 now", 12, ["see 3.141592", "6535 now"]),
        ("，一二三四五六七八", 12, ["，一二三", "四五六七", "八"]),
    ],
)
def test_a_cut_prefers_line_then_sentence_then_word(text: str, limit_bytes: int, pieces: list[str]) -> None:
    assert split_text(text, limit_bytes) == pieces


def test_nothing_gives_nothing_and_a_limit_below_a_character_is_refused() -> None:
    assert split_text("", 2048) == []
    with pytest.raises(ValueError, match="at least 4"):
        split_text("x", 3)


@pytest.mark.parametrize(
    "unit", ["字", "a\u0301", "\u200d", "🇨", "一\n", "x" * 600 + "\n", "x" + "\u0301" * 1000]
)
def test_no_character_is_read_more_than_a_few_times(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the time grows with the text alone, whatever stands in it."""
    text = unit * (50_000 // len(unit))
    read = 0
    width_bytes = split._width_bytes

    def counting(char: str) -> int:
        nonlocal read
        read += 1
        return width_bytes(char)

    monkeypatch.setattr(split, "_width_bytes", counting)

    split_text(text, 2048)

    assert len(text) - 2048 <= read <= 3 * len(text)


def test_parts_are_fitted_and_blank_pieces_left_out() -> None:
    articles = tuple(Article(title=str(number)) for number in range(3))

    fitted = fit_parts(
        [Text("字" * 5), Text("\n \n"), Image("m"), News(articles)],
        replace(WECOM_APP, text_limit_bytes=9, most_articles=2),
    )

    assert fitted == (Text("字字字"), Text("字字"), Image("m"), News(articles[:2]), News(articles[2:]))
