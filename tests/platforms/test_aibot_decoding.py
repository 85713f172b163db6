"""From the AI bot's JSON to events: every documented kind, and whatever else may come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codec import EventCodec
from bot.model import (
    CardClicked,
    Content,
    Entered,
    Event,
    FeedbackGiven,
    FileMessage,
    ImageMessage,
    MixedMessage,
    Quote,
    TextMessage,
    Unknown,
    VideoMessage,
    VoiceMessage,
)
from bot.platforms.protocol import Poll
from bot.platforms.wecom.aibot_codec import decode
from bot.routing.words import words_of

COMMON = {"msgid": "m-1", "aibotid": "aibEXAMPLE", "chattype": "single", "from": {"userid": "ana"}}
RECEIVED_AT_MS = 1_790_000_003_456


def event(**fields: Any) -> Event:
    found = decode("bot", COMMON | fields, RECEIVED_AT_MS, "secret-address")
    assert isinstance(found, Event)
    return found


def content(**fields: Any) -> Content:
    return event(**fields).content


def text(said: str) -> Content:
    return content(msgtype="text", text={"content": said})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"msgtype": "text", "text": {"content": "hi"}}, TextMessage("hi")),
        (
            {"msgtype": "image", "image": {"url": "https://i", "aeskey": "k"}},
            ImageMessage("https://i", "", "k"),
        ),
        ({"msgtype": "voice", "voice": {"content": "签到"}}, VoiceMessage("", "", "签到")),
        ({"msgtype": "video", "video": {"url": "https://v"}}, VideoMessage("", "", url="https://v")),
        ({"msgtype": "file", "file": {"url": "https://f"}}, FileMessage("https://f")),
        (
            {
                "msgtype": "mixed",
                "mixed": {
                    "msg_item": [
                        {"msgtype": "text", "text": {"content": "@Ops 看这个"}},
                        {"msgtype": "image", "image": {"url": "https://i"}},
                        {"msgtype": "text", "text": {"content": "@ana 说的"}},
                        {"msgtype": "hologram"},
                    ]
                },
            },
            MixedMessage((TextMessage("看这个"), ImageMessage("https://i", ""), TextMessage("@ana 说的"))),
        ),
        ({"msgtype": "event", "event": {"eventtype": "enter_chat"}}, Entered()),
        ({"msgtype": "event", "event": {"eventtype": "disconnected_event"}}, Unknown("disconnected_event")),
        ({"msgtype": "event"}, Unknown("event")),
        ({"msgtype": "hologram"}, Unknown("hologram")),
        ({"msgtype": "x" * 100}, Unknown("x" * 64)),
        ({}, Unknown("")),
    ],
)
def test_every_kind_decodes(fields: dict[str, Any], expected: Content) -> None:
    assert content(**fields) == expected


def test_a_click_carries_what_was_chosen() -> None:
    card = {
        "card_type": "multiple_interaction",
        "event_key": "submit",
        "task_id": "t-1",
        "selected_items": {
            "selected_item": [
                {"question_key": "q1", "option_ids": {"option_id": ["a", "b"]}},
                {"question_key": "q2", "option_ids": {"option_id": "c"}},
            ]
        },
    }
    found = content(msgtype="event", event={"eventtype": "template_card_event", "template_card_event": card})
    assert found == CardClicked(
        "submit", "t-1", "multiple_interaction", "", (("q1", ("a", "b")), ("q2", ("c",)))
    )


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(1, "accurate"), (2, "inaccurate"), (3, "withdrawn"), (9, "9"), ("2", "inaccurate")],
)
def test_a_feedback_carries_verdict_and_reasons(number: object, verdict: str) -> None:
    feedback = {"id": "fb", "type": number, "content": "不对", "inaccurate_reason_list": [1, 3, "x", None]}
    found = content(msgtype="event", event={"eventtype": "feedback_event", "feedback_event": feedback})
    assert found == FeedbackGiven("fb", verdict, "不对", (1, 3))


@pytest.mark.parametrize(
    ("quoted", "expected"),
    [
        ({"msgtype": "text", "text": {"content": "web is down"}}, Quote("text", "web is down")),
        ({"msgtype": "voice", "voice": {"content": "听我说"}}, Quote("voice", "听我说")),
        ({"msgtype": "image", "image": {"url": "https://i"}}, Quote("image")),
        (
            {
                "msgtype": "mixed",
                "mixed": {
                    "msg_item": [
                        {"msgtype": "text", "text": {"content": "一"}},
                        {"msgtype": "image", "image": {}},
                        {"msgtype": "text", "text": {"content": "二"}},
                    ]
                },
            },
            Quote("mixed", "一\n二"),
        ),
        ({}, Quote("")),
        ("text", None),
        (None, None),
    ],
)
def test_a_quote_is_understood(quoted: object, expected: Quote | None) -> None:
    assert content(msgtype="text", text={"content": "怎么办"}, quote=quoted) == TextMessage(
        "怎么办", expected
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("@Ops 签到", "签到"),
        ("@活群小助手\u2005签到", "签到"),
        ("＠Ops\u00a0签到", "签到"),
        ("@Ops\u3000\u3000签到", "签到"),
        (" \u200b@Ops\u202f签到 一下", "签到 一下"),
        ("@Ops @ana 你好", "@ana 你好"),
        ("加分 @ana 5", "加分 @ana 5"),
        ("a@b.cn 是我", "a@b.cn 是我"),
        ("@Ops", "@Ops"),
        ("@ 签到", "@ 签到"),
    ],
)
def test_the_mention_at_the_beginning_goes_whatever_the_bot_is_called(said: str, kept: str) -> None:
    assert text(said) == TextMessage(kept)


def test_the_words_of_pictures_and_voice_are_words() -> None:
    items = [{"msgtype": "image", "image": {}}, {"msgtype": "text", "text": {"content": "@Ops 签到"}}]
    assert words_of(content(msgtype="mixed", mixed={"msg_item": items})) == "签到"
    assert words_of(content(msgtype="voice", voice={"content": "签到"})) == "签到"
    assert words_of(content(msgtype="image", image={"url": "https://i"})) == ""


def test_a_message_is_known_by_its_id_and_an_event_by_all_it_says() -> None:
    assert event(msgtype="text").id == "bot:ana:m-1"
    enter = {"msgtype": "event", "event": {"eventtype": "enter_chat"}, "create_time": 1_790_000_000}
    assert event(**enter).id == event(**enter).id != event(**enter | {"create_time": 1_790_000_001}).id
    assert event(**enter).id.startswith("bot:")
    assert len(event(**enter).id) == 4 + 64
    assert event(msgtype="text", msgid="x" * 129).id != event(msgtype="text", msgid="x" * 130).id


def test_the_time_is_the_platforms_where_it_gives_one() -> None:
    assert event(msgtype="event", create_time=1_790_000_000).sent_at_ms == 1_790_000_000_000
    assert event(msgtype="event", create_time="1790000000").sent_at_ms == 1_790_000_000_000
    nonsenses: list[object] = [None, -1, 0, 10**12, 10**30, "soon", [], 1.5]
    for nonsense in nonsenses:
        assert event(msgtype="text", create_time=nonsense).sent_at_ms == RECEIVED_AT_MS


def test_a_chat_is_a_group_unless_it_is_said_to_be_single() -> None:
    assert event(chattype="group", chatid="wr1").group_id == "wr1"
    assert event(chattype="single", chatid="wr1").group_id == ""


CODEC = EventCodec()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KINDS = ("text", "image", "voice", "video", "file", "mixed", "event", "stream")
FIELDS = (
    *KINDS, "msgid", "aibotid", "chatid", "chattype", "from", "msgtype", "quote", "create_time",
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON),
    st.sampled_from((*KINDS, "")),
    st.sampled_from(("enter_chat", "template_card_event", "feedback_event")),
    JSON,
)
def test_whatever_fields_hold_it_is_an_event_that_survives_the_queue(
    fields: dict[str, Any], kind: str, name: str, payload: object
) -> None:
    body = {"event": {"eventtype": name, name: payload}} | fields
    if kind:
        body["msgtype"] = kind
    found = decode("bot", body, RECEIVED_AT_MS, "")
    if isinstance(found, Event):
        assert CODEC.decode(CODEC.encode(found)) == found
    else:
        assert isinstance(found, Poll)
