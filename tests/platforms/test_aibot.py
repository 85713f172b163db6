"""The AI bot in callback mode: handshake, refusals, answers."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto.cryptography import WeChatCipher

from bot.errors import CallbackError, ReceiverError, SignatureError, UndecodableError
from bot.model import (
    CardButton,
    CardClicked,
    CardUpdate,
    Event,
    Image,
    Markdown,
    Part,
    TemplateCard,
    Text,
    TextMessage,
)
from bot.platforms.protocol import Poll, StreamTexts
from bot.platforms.wecom.aibot import WecomAibot
from tests.aibot_vendor import AES_KEY, TOKEN, AibotVendor, Callback

if TYPE_CHECKING:
    from bot.platforms.protocol import Platform

AT_MS = 1_790_000_004_999
TEXTS = StreamTexts(working="…", done="好了", elsewhere="见下一条", apart="稍后")
CARD = TemplateCard(
    "button_interaction",
    "去不去？",
    task_id="t-1",
    buttons=(CardButton("去", "yes"), CardButton("不去", "no")),
)


@pytest.fixture(scope="module")
def aibot() -> WecomAibot:
    return WecomAibot(
        channel="bot",
        token=TOKEN,
        encoding_aes_key=AES_KEY,
        stream_name=lambda event: f"7-{event.id}",
        texts=TEXTS,
    )


@pytest.fixture(scope="module")
def vendor() -> AibotVendor:
    return AibotVendor()


def opened(aibot: WecomAibot, callback: Callback) -> Event:
    event = aibot.open(callback.query, callback.body, AT_MS)
    assert isinstance(event, Event)
    return event


def test_it_is_a_platform_that_polls(aibot: WecomAibot) -> None:
    platform: Platform = aibot
    assert (platform.channel, platform.kind, platform.content_type) == (
        "bot", "wecom_aibot", "application/json",
    )  # fmt: skip
    assert platform.streams is not None
    assert platform.streams.most_open == 3


# ---------------------------------------------------------------- handshake


def test_the_handshake_answers_the_decrypted_echostr_alone(aibot: WecomAibot, vendor: AibotVendor) -> None:
    fields = vendor.handshake("8124691872645")
    echostr = fields.pop("echostr")
    for sent in (quote(echostr, safe=""), quote(echostr, safe="+/="), echostr.replace("+", "%20")):
        assert aibot.verify_url(f"{urlencode(fields)}&echostr={sent}") == b"8124691872645"


def test_a_handshake_of_an_app_or_of_another_is_refused(aibot: WecomAibot, vendor: AibotVendor) -> None:
    with pytest.raises(ReceiverError):
        aibot.verify_url(urlencode(AibotVendor(receiver="ww0example").handshake("1")))
    with pytest.raises(SignatureError):
        aibot.verify_url(urlencode(AibotVendor(token="another").handshake("1")))
    with pytest.raises(SignatureError):
        aibot.verify_url(urlencode(vendor.handshake("1") | {"echostr": ""}))


# ---------------------------------------------------------------- what comes in


def test_the_second_test_vector_of_the_cipher_opens(aibot: WecomAibot) -> None:
    """With 26 bytes of padding, more than an AES block."""
    encrypted = "Q3stYC6hdFzMh9T8HCvyDD712uX8onmHUva9KNYQqhHhJQeojMWP+B2d9+v8WlysuzAHHrvUZ9vvpslnY8rN/A=="
    query = urlencode(
        {
            "msg_signature": "d698d130222d2237bd184fe58d65972f9f1fea22",
            "timestamp": "1790000000",
            "nonce": "nonce42",
        }
    )
    event = opened(aibot, Callback(query, json.dumps({"encrypt": encrypted}).encode(), "nonce42"))
    assert event.content == TextMessage("")
    assert event.sent_at_ms == AT_MS  # the bot's messages carry no time


def test_a_text_of_a_group_is_an_event_with_all_that_is_needed(
    aibot: WecomAibot, vendor: AibotVendor
) -> None:
    message = vendor.text("签到", group="wrCHAT") | {"msgid": "m-1", "response_url": "https://x/?c=1"}
    event = opened(aibot, vendor.seal(message))
    assert event == Event(
        "bot:ana:m-1", "bot", "ana", "aibEXAMPLE", "wrCHAT", AT_MS, TextMessage("签到"), "https://x/?c=1"
    )


def test_a_poll_is_no_event(aibot: WecomAibot, vendor: AibotVendor) -> None:
    callback = vendor.seal(vendor.poll("7-abc"))
    assert aibot.open(callback.query, callback.body, AT_MS) == Poll("7-abc")


@pytest.mark.parametrize("field", ["msg_signature", "timestamp", "nonce"])
def test_a_callback_with_a_query_field_changed_or_missing_is_refused(
    field: str, aibot: WecomAibot, vendor: AibotVendor
) -> None:
    callback = vendor.seal(vendor.text("签到"))
    for query in (callback.query.replace(f"{field}=", f"{field}=1"), callback.query.replace(field, "other")):
        with pytest.raises(SignatureError):
            aibot.open(query, callback.body, AT_MS)


def test_a_callback_for_an_app_of_the_same_key_is_refused(aibot: WecomAibot) -> None:
    callback = AibotVendor(receiver="ww0example").seal({"msgtype": "text"})
    with pytest.raises(ReceiverError):
        aibot.open(callback.query, callback.body, AT_MS)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", UndecodableError),
        (b"<xml><Encrypt>AAAA</Encrypt></xml>", UndecodableError),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>', UndecodableError),
        (b"[]", UndecodableError),
        (b'{"encrypt":[]}', UndecodableError),
        (b'{"encrypt":{"encrypt":"x"}}', UndecodableError),
        (b"[" * 200_000, UndecodableError),
        (b'{"encrypt":' * 100_000, UndecodableError),
        (b"\xff\xfe", UndecodableError),
        (b"{}", SignatureError),
        (b'{"Encrypt":"QUFB"}', SignatureError),
        (b'{"encrypt":"QUFB"}', SignatureError),
    ],
)
def test_a_body_that_is_no_callback_is_refused(
    body: bytes, error: type[CallbackError], aibot: WecomAibot, vendor: AibotVendor
) -> None:
    with pytest.raises(error):
        aibot.open(vendor.seal("{}").query, body, AT_MS)


@pytest.mark.parametrize("inner", ["", "[]", "null", "x", "<xml/>", "[" * 100_000, '{"a":' * 100_000])
def test_a_signed_message_that_is_no_json_object_is_undecodable(
    inner: str, aibot: WecomAibot, vendor: AibotVendor
) -> None:
    callback = vendor.seal(inner)
    with pytest.raises(UndecodableError):
        aibot.open(callback.query, callback.body, AT_MS)


@given(st.binary(max_size=300))
def test_whatever_bytes_come_they_are_refused_and_nothing_else(body: bytes) -> None:
    bot = WecomAibot(
        channel="bot", token=TOKEN, encoding_aes_key=AES_KEY, stream_name=lambda _: "", texts=TEXTS
    )
    with pytest.raises(CallbackError):
        bot.open("msg_signature=a&timestamp=1&nonce=b", body, AT_MS)


# ---------------------------------------------------------------- what goes out


def answer(aibot: WecomAibot, vendor: AibotVendor, message: dict[str, Any], part: Part) -> dict[str, Any]:
    callback = vendor.seal(message)
    event = opened(aibot, callback)
    return vendor.open(callback, aibot.render(event, part, AT_MS, callback.query))


@pytest.mark.parametrize("part", [Text("签到成功 🎉"), Markdown("签到成功 🎉")])
def test_a_text_answers_a_message_as_a_finished_stream(
    part: Part, aibot: WecomAibot, vendor: AibotVendor
) -> None:
    message = vendor.text("签到") | {"msgid": "m-9"}
    assert answer(aibot, vendor, message, part) == {
        "msgtype": "stream",
        "stream": {"id": "7-bot:ana:m-9", "finish": True, "content": "签到成功 🎉"},
    }


def test_the_opening_of_the_chat_is_answered_with_plain_text(aibot: WecomAibot, vendor: AibotVendor) -> None:
    assert answer(aibot, vendor, vendor.event("enter_chat"), Text("欢迎")) == {
        "msgtype": "text",
        "text": {"content": "欢迎"},
    }


def test_a_card_is_answered_as_a_card_and_a_click_with_the_new_card(
    aibot: WecomAibot, vendor: AibotVendor
) -> None:
    shown = answer(aibot, vendor, vendor.text("投票"), CARD)
    assert shown["msgtype"] == "template_card"
    assert shown["template_card"]["button_list"][0] == {"text": "去", "style": 1, "key": "yes"}
    click = vendor.event(
        "template_card_event", card_type="button_interaction", event_key="yes", task_id="t-1"
    )
    update = answer(aibot, vendor, click, CardUpdate(CARD))
    assert (update["response_type"], update["userids"]) == ("update_template_card", ["ana"])
    assert update["template_card"]["task_id"] == "t-1"


def test_silence_is_an_empty_body(aibot: WecomAibot, vendor: AibotVendor) -> None:
    callback = vendor.seal(vendor.event("feedback_event", id="fb", type=1))
    assert aibot.render(opened(aibot, callback), None, AT_MS, callback.query) == b""


def test_a_stream_shows_text_so_far_and_ends_with_text_or_card(
    aibot: WecomAibot, vendor: AibotVendor
) -> None:
    callback = vendor.seal(vendor.poll("7-x"))
    for finished in (False, True):
        body = aibot.streams.render("7-x", Text("一半"), AT_MS, callback.query, finished=finished)
        assert vendor.open(callback, body) == {
            "msgtype": "stream",
            "stream": {"id": "7-x", "finish": finished, "content": "一半"},
        }
    ended = vendor.open(callback, aibot.streams.render("7-x", CARD, AT_MS, callback.query, finished=True))
    assert ended["msgtype"] == "stream_with_template_card"
    assert ended["stream"] == {"id": "7-x", "finish": True, "content": "好了"}
    assert ended["template_card"]["task_id"] == "t-1"


def test_half_a_surrogate_pair_becomes_a_question_mark(aibot: WecomAibot, vendor: AibotVendor) -> None:
    shown = answer(aibot, vendor, vendor.text("x"), Text("好\ud83c"))
    assert shown["stream"]["content"] == "好?"


def test_a_text_is_measured_in_bytes(aibot: WecomAibot, vendor: AibotVendor) -> None:
    callback = vendor.seal(vendor.text("x"))
    event = opened(aibot, callback)
    assert aibot.render(event, Text("好" * 6826), AT_MS, callback.query)
    with pytest.raises(ValueError, match="20481 bytes"):
        aibot.render(event, Text("好" * 6827), AT_MS, callback.query)
    assert aibot.streams.takes(event, Text("好" * 6826))
    assert not aibot.streams.takes(event, Text("好" * 6827))


def test_what_answers_which_event_is_known_before(aibot: WecomAibot, vendor: AibotVendor) -> None:
    message = opened(aibot, vendor.seal(vendor.text("x")))
    click = message._replace(content=CardClicked("k", "t", "button_interaction", ""))
    update, broken = CardUpdate(CARD), TemplateCard("button_interaction", "", task_id="t")
    takes = aibot.streams.takes
    assert [takes(message, part) for part in (Text("a"), CARD, update, broken, Image("m"))] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert [takes(click, part) for part in (Text("a"), CARD, update, CardUpdate(broken))] == [
        False, False, True, False,
    ]  # fmt: skip
    assert (aibot.streams.name(message), aibot.streams.name(click)) == (f"7-{message.id}", "")


def test_media_are_decrypted_with_the_channels_key_or_the_messages_own(aibot: WecomAibot) -> None:
    other = "0" * 43
    for key, given_key in ((AES_KEY, ""), (other, other)):
        raw = b64decode(key + "=")
        encrypted = WeChatCipher(raw).encrypt(b"picture" + bytes([25]) * 25)
        assert aibot.decrypt_media(encrypted, given_key) == b"picture"
    with pytest.raises(UndecodableError):
        aibot.decrypt_media(encrypted)
