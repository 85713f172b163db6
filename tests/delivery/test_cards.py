"""Template cards as the platform takes them, and what it would refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bot.delivery.cards import card_fault
from bot.model import CardButton, CardClicked, CardQuestion, CardUpdate, Event, TemplateCard
from bot.platforms.replies import render_reply
from bot.platforms.wecom.card_json import card_json

NOTICE = TemplateCard("text_notice", "发货了", url="https://a.example")
PICTURE = TemplateCard("news_notice", "发货了", url="https://a.example", picture_url="https://p.example")
BUTTONS = TemplateCard(
    "button_interaction", "要几瓶？", task_id="t-1@x", buttons=(CardButton("一", "one", 2),)
)
DRINK = CardQuestion("drink", (("a", "鲜奶"), ("b", "酸奶")), title="喝什么")
VOTE = TemplateCard(
    "vote_interaction",
    "投票",
    task_id="t2",
    questions=(replace(DRINK, multiple=True),),
    submit=CardButton("投", "go"),
)
CHOICE = TemplateCard(
    "multiple_interaction", "选择", task_id="t3", questions=(DRINK,) * 3, submit=CardButton("交", "go")
)
EVENT = Event("app:x", "app", "ana", "ww0", "", 1, CardClicked("one", "t-1@x", "button_interaction", "code"))


def test_everything_a_card_says_has_its_place() -> None:
    card = replace(
        BUTTONS, description="每天送到", source="鲜奶", lines=(("价", "5 元"),), links=(("更多", "https://m.example"),),
        questions=(DRINK,),
    )  # fmt: skip
    assert card_json(card) == {
        "card_type": "button_interaction",
        "main_title": {"title": "要几瓶？", "desc": "每天送到"},
        "source": {"desc": "鲜奶"},
        "horizontal_content_list": [{"keyname": "价", "value": "5 元"}],
        "jump_list": [{"type": 1, "title": "更多", "url": "https://m.example"}],
        "task_id": "t-1@x",
        "button_list": [{"text": "一", "style": 2, "key": "one"}],
        "button_selection": {
            "question_key": "drink",
            "title": "喝什么",
            "option_list": [{"id": "a", "text": "鲜奶"}, {"id": "b", "text": "酸奶"}],
        },
    }


def test_each_layout_has_what_it_is_for() -> None:
    assert card_json(PICTURE)["card_image"] == {"url": "https://p.example"}
    vote: dict[str, Any] = card_json(VOTE)
    assert (vote["checkbox"]["mode"], vote["submit_button"]) == (1, {"text": "投", "key": "go"})
    assert len(card_json(CHOICE)["select_list"]) == 3


@pytest.mark.parametrize(
    ("card", "field"),
    [
        (replace(NOTICE, card_type="poster"), "card_type"),
        (replace(NOTICE, title=""), "title"),
        (replace(NOTICE, url=""), "url"),
        (replace(PICTURE, picture_url=""), "picture_url"),
        (replace(NOTICE, task_id="a b"), "task_id"),
        (replace(NOTICE, task_id="a" * 129), "task_id"),
        (replace(BUTTONS, task_id=""), "task_id"),
        (replace(NOTICE, lines=(("a", "b"),) * 7), "lines"),
        (replace(NOTICE, links=(("a", "https://b"),) * 4), "links"),
        (replace(NOTICE, links=(("a", ""),)), "links[0]"),
        (replace(NOTICE, buttons=BUTTONS.buttons), "buttons"),
        (replace(NOTICE, questions=(DRINK,)), "questions"),
        (replace(NOTICE, submit=CardButton("a", "b")), "submit"),
        (replace(BUTTONS, buttons=()), "buttons"),
        (replace(BUTTONS, buttons=(CardButton("a", "b"),) * 7), "buttons"),
        (replace(BUTTONS, buttons=(CardButton("a", "k" * 1025),)), "buttons[0]"),
        (replace(BUTTONS, buttons=(CardButton("a", "b", 5),)), "buttons[0]"),
        (replace(BUTTONS, questions=(DRINK,) * 2), "questions"),
        (replace(VOTE, submit=None), "submit"),
        (replace(VOTE, questions=(replace(DRINK, options=DRINK.options * 11),)), "questions[0].options"),
        (replace(CHOICE, questions=(DRINK,) * 4), "questions"),
        (replace(CHOICE, questions=(replace(DRINK, key=""),)), "questions[0]"),
        (replace(CHOICE, questions=(replace(DRINK, options=()),)), "questions[0].options"),
        (
            replace(CHOICE, questions=(replace(DRINK, options=(("a", "一"), ("a", "二"))),)),
            "questions[0].options",
        ),
    ],
)
def test_what_the_platform_would_refuse_is_refused_with_the_field(card: TemplateCard, field: str) -> None:
    assert card_fault(card).startswith(f"{field}: ")
    with pytest.raises(ValueError, match="^" + field.replace("[", r"\[")):
        card_json(card)


def test_the_limits_themselves_are_taken() -> None:
    assert card_fault(replace(BUTTONS, buttons=(CardButton("a", "k" * 1024),) * 6, task_id="a" * 128)) == ""
    options = tuple((str(number), "x") for number in range(20))
    assert card_fault(replace(VOTE, questions=(replace(DRINK, options=options),))) == ""
    assert card_fault(replace(NOTICE, lines=(("a", "b"),) * 6, links=(("a", "https://b"),) * 3)) == ""


def _reply(update: CardUpdate) -> ET.Element:
    return ET.fromstring(render_reply(EVENT, update, 1_700_000_000_999))  # noqa: S314 - made by the code under test


def test_a_click_is_answered_by_the_new_card() -> None:
    card = replace(NOTICE, lines=(("一", "1"), ("二", "]]><x>")), source="鲜奶")
    reply = _reply(CardUpdate(card))

    assert reply.findtext("MsgType") == "update_template_card"
    assert reply.findtext("ToUserName") == "ana"
    assert reply.findtext("TemplateCard/CardType") == "text_notice"
    assert reply.findtext("TemplateCard/MainTitle/Title") == "发货了"
    assert reply.findtext("TemplateCard/Source/Desc") == "鲜奶"
    assert [
        (line.findtext("KeyName"), line.findtext("Value"))
        for line in reply.findall("TemplateCard/HorizontalContentList")
    ] == [("一", "1"), ("二", "]]><x>")]
    assert reply.findtext("TemplateCard/CardAction/Type") == "1"
    checkbox = _reply(CardUpdate(VOTE)).find("TemplateCard/CheckBox")
    assert checkbox is not None
    assert [option.findtext("Id") for option in checkbox.findall("OptionList")] == ["a", "b"]


def test_a_click_may_only_change_the_button() -> None:
    update = CardUpdate(TemplateCard("update_button", "", submit=CardButton("已选", "")))
    reply = _reply(update)

    assert reply.findtext("MsgType") == "update_button"
    assert reply.findtext("Button/ReplaceName") == "已选"
    assert card_fault(update) == ""
    assert card_fault(CardUpdate(TemplateCard("update_button", ""))).startswith("submit: ")
