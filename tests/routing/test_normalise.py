"""One spelling of every text: what people type meets what managers wrote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.routing.normalise import Normaliser, strip_mentions

NORMALISER = Normaliser()
EVERY_CODE = range(0x110000)

# Characters that something happens to, among some that nothing happens to.
_TELLING = st.text(
    st.one_of(
        st.sampled_from(
            "Ａａ０＝／＃＠　\u2005\u00a0\u200b\u200d\ufe0f\ufeff\t\n\x00\x1f體簽薴ßİſǅ€⼈豈ｶ｡ \ud800著/#@"
        ),
        st.characters(),
    )
)


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        ("ＡＢＣ　１２３！", "abc 123!"),
        ("￥５", "¥5"),
        ("ﾊﾝｶｸ", "ﾊﾝｶｸ"),
        ("簽到", "签到"),
        ("怎麼領取優惠券", "怎么领取优惠券"),
        ("看著妳", "看着你"),
        ("後來 后来", "后来 后来"),
        ("⼈", "人"),
        ("\uf900", "岂"),
        ("HELLO World", "hello world"),
        ("Straße", "strasse"),
        ("签\u200b到\ufeff", "签到"),
        ("❤\ufe0f", "❤"),
        ("👨\u200d👩", "👨👩"),
        ("签\x00到\x07", "签到"),
        ("半\ud83d个", "半个"),
        ("  签到 \r\n\t 打卡\u2005", "签到 打卡"),
        ("a\x1fb\x7fc", "a bc"),
        ("", ""),
        (" \u200b\u3000 ", ""),
        ("订单123：已发货。", "订单123:已发货。"),
    ],
)
def test_a_text_becomes_its_normal_form(sent: str, normal: str) -> None:
    assert NORMALISER.normalise(sent) == normal


def test_every_character_settles_at_once() -> None:
    """Dictionary entries that lead to further entries are followed to their end when the table is built."""
    forms = {code: NORMALISER.normalise(chr(code)) for code in EVERY_CODE}
    changed = {code: form for code, form in forms.items() if form != chr(code)}
    assert [hex(code) for code, form in changed.items() if NORMALISER.normalise(form) != form] == []
    assert len(changed) > 5000  # the dictionary is there


def test_no_character_is_overlooked_between_others() -> None:
    """A text is only mapped when a quick look finds something to map; the look must miss nothing."""
    for code in EVERY_CODE:
        character = chr(code)
        alone = NORMALISER.normalise(character)
        if not character.isspace():
            assert NORMALISER.normalise(f"中{character}中") == f"中{alone}中", hex(code)
        else:
            assert NORMALISER.normalise(f"中{character}中") == "中 中", hex(code)


def test_what_remains_is_folded_visible_and_can_be_encoded() -> None:
    for code in EVERY_CODE:
        form = NORMALISER.normalise(chr(code))
        assert form.casefold() == form, hex(code)
        assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in form), hex(code)
        form.encode()


@settings(deadline=None)
@given(_TELLING)
@example("ẛ̣")
@example("a\u200b b")
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = NORMALISER.normalise(text)
    assert NORMALISER.normalise(once) == once
    assert once == once.strip()
    assert "  " not in once


@settings(deadline=None)
@given(_TELLING)
def test_half_width_leaves_case_and_script_alone(text: str) -> None:
    narrow = NORMALISER.half_width(text)
    assert NORMALISER.half_width(narrow) == narrow
    assert NORMALISER.normalise(narrow) == NORMALISER.normalise(text)


# ---------------------------------------------------------------- mentions


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("@bot 签到", "签到"),
        ("@whoever\u2005签到", "签到"),
        ("＠Ａｎａ　签到", "签到"),
        ("  \u200b@x 签到", "签到"),
        ("@My Bot 签到", "签到"),
        ("@my bot\u2005签到", "签到"),
        ("@小活签到", "签到"),
        ("@小活，在吗", "，在吗"),
        ("@小活宝 你好", "你好"),
        ("你好 @小活宝", "你好 @小活宝"),
        ("你好@小活\u2005在吗", "你好 在吗"),
        ("在吗@小活", "在吗"),
        ("在吗 @小活！", "在吗 ！"),
        ("@小活 @张三 加分", "@张三 加分"),
        ("@小活 签到 @小活", "签到"),
        ("加分 @张三 10", "加分 @张三 10"),
        ("@小活", ""),
        ("@小活 ", ""),
        ("@张三", "@张三"),
        ("me@bot.com", "me@bot.com"),
        ("签到", "签到"),
        ("@", "@"),
        ("@ 签到", "@ 签到"),
    ],
)
def test_mentions_of_the_bot_are_stripped_and_others_stay(sent: str, left: str) -> None:
    assert strip_mentions(sent, ["bot", "My Bot", "小活"]) == left


def test_a_leading_mention_is_stripped_whatever_the_bot_is_called() -> None:
    assert strip_mentions("@RobotA hello robot") == "hello robot"
    assert strip_mentions("hello @RobotA robot") == "hello @RobotA robot"


def test_a_bot_name_is_taken_as_text_not_as_a_pattern() -> None:
    assert strip_mentions("在吗 @a.c+ 签到", ["a.c+"]) == "在吗 签到"
    assert strip_mentions("在吗 @abc 签到", ["a.c"]) == "在吗 @abc 签到"


def test_an_empty_bot_name_strips_nothing() -> None:
    assert strip_mentions("在吗 @张三", [""]) == "在吗 @张三"


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize(
    ("sent", "word", "rest"),
    [
        ("签到", "签到", ""),
        ("/签到", "签到", ""),
        ("＃簽到 ", "签到", ""),
        ("/ 签到", "签到", ""),
        ("//签到", "/签到", ""),
        ("签#到", "签#到", ""),
        ("HELP", "help", ""),
        (" 排行　本週 ", "排行", "本週"),
        ("加分\u2005張三 １０ Good Work", "加分", "張三 10 Good Work"),
        ("关键词 體育=Ａ，b\n第二行", "关键词", "體育=A,b\n第二行"),
        ("@bot /签到 x", "签到", "x"),
        ("\u200d签\u200b到 x", "签到", "x"),
        ("\u200d 签到 x", "签到", "x"),
        ("/", "", ""),
        ("", "", ""),
        ("\u200b", "", ""),
    ],
)
def test_a_message_splits_into_command_word_and_rest(sent: str, word: str, rest: str) -> None:
    assert NORMALISER.command_words(sent) == (word, rest)


def test_the_rest_can_be_had_as_it_was_sent() -> None:
    """A manager's answer keeps its full-width comma, its emoji and its lines."""
    sent = "关键词　早=早安，❤\ufe0f！\n　第二行 "
    assert NORMALISER.rest_as_sent(sent) == "早=早安，❤\ufe0f！\n　第二行"
    assert NORMALISER.rest_as_sent("签到") == ""
    assert NORMALISER.rest_as_sent("@bot /删关键词 Ａ") == "Ａ"


@settings(deadline=None)
@given(_TELLING.filter(lambda text: "@" not in text and "＠" not in text))
def test_word_and_rest_make_up_the_normal_form(text: str) -> None:
    """The original is cut where the normal form has its first space; nothing is lost or doubled."""
    word, rest = NORMALISER.command_words(text)
    normal = NORMALISER.normalise(text)
    if normal[:1] in {"/", "#"}:
        normal = normal[1:].strip()
    assert f"{word} {NORMALISER.normalise(rest)}".strip() == normal
    assert NORMALISER.half_width(NORMALISER.rest_as_sent(text)) == rest
    assert NORMALISER.rest_as_sent(text) in text


@settings(deadline=None)
@given(_TELLING, st.lists(_TELLING, max_size=3))
def test_stripping_mentions_never_fails_and_only_takes_away(text: str, names: list[str]) -> None:
    left = strip_mentions(text, names)
    assert len(left) <= len(text)
    if "@" not in text and "＠" not in text:
        assert left == text
