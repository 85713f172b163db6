"""One model, and what each channel makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.delivery.degrade import INSTEAD
from bot.delivery.division import divide
from bot.delivery.fit import fit_parts
from bot.delivery.routes import (
    ABILITIES,
    WECHAT_OA,
    WECOM_AIBOT,
    WECOM_AIBOT_CONNECTION,
    WECOM_APP,
    WECOM_APP_GROUP,
    WECOM_ROBOT,
    Abilities,
    channel_abilities,
)
from bot.model import (
    Article,
    CardButton,
    CardQuestion,
    CardUpdate,
    File,
    Image,
    Markdown,
    MiniProgram,
    News,
    Part,
    TemplateCard,
    Text,
    Video,
    Voice,
)

NOTICE = TemplateCard(
    "text_notice",
    "发货了",
    description="三天内到",
    source="鲜奶",
    lines=(("单号", "17"),),
    links=(("查物流", "https://a.example/x"),),
    url="https://a.example",
)
BUTTONS = TemplateCard(
    "button_interaction",
    "要几瓶？",
    task_id="t1",
    buttons=(CardButton("一瓶", "one"), CardButton("两瓶", "two")),
)
VOTE = TemplateCard(
    "vote_interaction",
    "喝什么",
    task_id="t2",
    questions=(CardQuestion("q", (("a", "鲜奶"), ("b", "酸奶"))),),
    submit=CardButton("投票", "vote"),
)
ARTICLE = Article("周报[三]", "一周的事", "https://a.example/(3)", "https://p.example/3.png")
PROGRAM = MiniProgram(
    "wx0", "pages/milk", "订奶", "每天送到", url="https://a.example/m", lines=(("价", "5 元"),)
)
EVERY: tuple[Part, ...] = (
    Text("你好", ("ana",)),
    Markdown("**好** <@liwei>", ("@all",)),
    Image("m"),
    Image(blob="a" * 64),
    Voice("m"),
    Video("m", "片", "短"),
    Video(blob="b" * 64),
    File(blob="c" * 64, file_name="价目.pdf"),
    News((ARTICLE,) * 10),
    PROGRAM,
    NOTICE,
    BUTTONS,
    VOTE,
    CardUpdate(NOTICE),
)
ROWS = pytest.mark.parametrize("row", ABILITIES.values(), ids=list(ABILITIES))


def only(part: Part, row: Abilities) -> Part:
    (fitted,) = fit_parts([part], row)
    return fitted


@ROWS
def test_every_kind_of_part_becomes_one_the_channel_takes(row: Abilities) -> None:
    for part in EVERY:
        for fitted in fit_parts([part], row):
            assert fitted.kind in row.passive_parts | row.active_parts


@ROWS
@given(
    parts=st.lists(
        st.sampled_from(EVERY) | st.text(max_size=80).map(lambda text: Text(text * 40)), max_size=6
    )
)
def test_everything_fits_whatever_comes_together(row: Abilities, parts: list[Part]) -> None:
    row = replace(row, text_limit_bytes=300, markdown_limit_bytes=400)
    for fitted in fit_parts(parts, row):
        if isinstance(fitted, Text):
            assert 0 < len(fitted.text.encode()) <= 300
        elif isinstance(fitted, Markdown):
            assert 0 < len(fitted.text.encode()) <= 400
        elif isinstance(fitted, News):
            assert len(fitted.articles) <= row.most_articles
        if not row.mentions:
            assert not getattr(fitted, "mentions", ())
    for inline in (True, False):
        division = divide(parts, row, inline=inline)
        if row.active_parts:
            assert {part.kind for part in division.rest} <= row.active_parts
        if division.passive is not None:
            assert division.passive.kind in row.passive_parts


def test_the_table_knows_every_kind_and_leads_only_to_kinds() -> None:
    kinds = {part.kind for part in get_args(Part)}
    assert set(INSTEAD) == kinds
    assert {kind for chain in INSTEAD.values() for kind in chain} <= kinds


@pytest.mark.parametrize(
    ("part", "row", "expected"),
    [
        (Markdown("# 标题\n[文](https://a.example)"), WECHAT_OA, Text("标题\n文（https://a.example）")),
        (Image("m"), WECOM_AIBOT, Text("［图片］")),
        (Voice("m"), WECOM_AIBOT, Text("［语音］")),
        (Video("m", "片", "短"), WECOM_AIBOT, Text("［视频］\n片\n短")),
        (Video(blob="b"), WECOM_ROBOT, File(blob="b")),
        (Video("m"), WECOM_ROBOT, Text("［视频］")),
        (File(blob="c", file_name="价目.pdf"), WECHAT_OA, Text("［文件 价目.pdf］")),
        (
            News((ARTICLE, Article("乙"))),
            WECOM_AIBOT,
            Markdown("**[周报［三］](https://a.example/%283%29)**\n一周的事\n\n**乙**"),
        ),
        (
            News((ARTICLE,)),
            replace(WECOM_AIBOT, active_parts=frozenset(), passive_parts=frozenset({"text"})),
            Text("周报[三]\n一周的事\nhttps://a.example/(3)"),
        ),
        (PROGRAM, WECOM_ROBOT, News((Article("订奶", "每天送到", "https://a.example/m"),))),
        (replace(PROGRAM, url=""), WECOM_ROBOT, Markdown("**订奶**\n每天送到\n价：5 元")),
        (PROGRAM, WECHAT_OA, News((Article("订奶", "每天送到", "https://a.example/m"),))),
        (
            NOTICE,
            WECHAT_OA,
            Text("鲜奶\n发货了\n三天内到\n单号：17\n查物流（https://a.example/x）\nhttps://a.example"),
        ),
        (
            NOTICE,
            WECOM_APP_GROUP,
            Markdown(
                "鲜奶\n**发货了**\n三天内到\n单号：17\n[查物流](https://a.example/x)\n"
                "[https://a.example](https://a.example)"
            ),
        ),
        (BUTTONS, WECOM_ROBOT, Markdown("**要几瓶？**\n〔一瓶〕 〔两瓶〕")),
        (VOTE, WECOM_ROBOT, Markdown("**喝什么**\n· 鲜奶\n· 酸奶\n〔投票〕")),
        (CardUpdate(BUTTONS), WECHAT_OA, Text("要几瓶？\n〔一瓶〕 〔两瓶〕")),
        (Text("在吗", ("ana", "@all")), WECOM_APP, Text("@ana @all 在吗")),
        (Text("在吗", ("ana",)), WECOM_ROBOT, Text("在吗", ("ana",))),
        (Markdown("**在**吗", ("ana",)), WECOM_ROBOT, Markdown("<@ana> **在**吗")),
        (Markdown("**在**吗", ("@all",)), WECOM_ROBOT, Text("在吗", ("@all",))),
        (Markdown("<@ana> 在吗", ("liwei",)), WECOM_APP, Markdown("@liwei @ana 在吗")),
    ],
)
def test_what_stands_for_what_a_channel_does_not_take(part: Part, row: Abilities, expected: Part) -> None:
    assert only(part, row) == expected


@pytest.mark.parametrize(
    "part", [PROGRAM, NOTICE, BUTTONS, VOTE, Markdown("**x**"), File("m"), News((ARTICLE,))]
)
def test_what_a_channel_takes_stays_as_it_is(part: Part) -> None:
    assert only(part, WECOM_APP) == part
    assert only(replace(PROGRAM, thumb_media_id="t"), WECHAT_OA) == replace(PROGRAM, thumb_media_id="t")


def test_texts_that_follow_each_other_are_one_message_where_one_is_all_there_is() -> None:
    parts: list[Part] = [Text("一\n"), Text("二"), Image("m"), Markdown("**三**"), Text("四"), Text(" \n")]

    assert fit_parts(parts, WECOM_AIBOT_CONNECTION) == (
        Text("一\n\n二"),
        Image("m"),
        Markdown("**三**\n\n四"),
    )
    assert fit_parts(parts, WECOM_AIBOT) == (Markdown("一\n\n二\n\n［图片］\n\n**三**\n\n四"),)
    assert len(fit_parts(parts, WECOM_APP)) == 5


def test_joined_texts_are_cut_where_they_are_longer_than_one_message() -> None:
    pieces = fit_parts([Text("字" * 30), Text("句" * 30)], replace(WECOM_AIBOT, text_limit_bytes=120))

    assert [len(piece.text.encode()) <= 120 for piece in pieces if isinstance(piece, Text)] == [True, True]


def test_only_the_first_piece_of_a_long_text_mentions_people() -> None:
    row = replace(WECOM_ROBOT, text_limit_bytes=30)

    assert fit_parts([Text("字" * 20, ("ana",))], row) == (Text("字" * 10, ("ana",)), Text("字" * 10))


def test_a_response_holds_no_bytes_that_must_be_uploaded_first() -> None:
    assert divide([Image("m")], WECOM_APP, inline=True).passive == Image("m")
    assert divide([Image(blob="a")], WECOM_APP, inline=True).rest == (Image(blob="a"),)


def test_a_card_the_platform_would_refuse_is_left_to_die_where_it_is_seen() -> None:
    broken = CardUpdate(replace(BUTTONS, buttons=()))

    assert divide([CardUpdate(BUTTONS)], WECOM_APP, inline=True).passive == CardUpdate(BUTTONS)
    assert divide([broken], WECOM_APP, inline=True).passive is None
    assert divide([broken], WECOM_APP, inline=True).rest == (broken.card,)


def test_a_channel_without_a_secret_says_in_its_response_what_it_can_as_text() -> None:
    row = channel_abilities("wecom_app", can_send=False).direct
    assert row is not None

    assert divide([Markdown("**好**"), Text("二")], row, inline=True).passive == Text("好")
    assert divide([Markdown("**好**")], WECOM_APP, inline=True).passive is None
