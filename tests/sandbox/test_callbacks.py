"""What the sandbox sends is what wechatpy, the independent implementation, opens and understands."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import xmltodict
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto

from bot.errors import RefusedError
from bot.sandbox import letters, wire
from bot.sandbox.courier import UNAVAILABLE_NOTICE
from tests.sandbox.conftest import ACCOUNT, APP, CHANNELS, COMPATIBLE, PLAIN, impatient
from tests.sandbox.echo_bot import HANG, EchoBot

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.vendor import Sandbox


def _always(said: object) -> Callable[[Any], Any]:
    return lambda _: said


every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)


@every_channel
async def test_a_text_is_delivered_and_its_answer_opened_in_every_kind_and_mode(
    channel: SandboxChannel, sandbox: Sandbox, bot: EchoBot
) -> None:
    outcome = await sandbox.say(channel.name, "xiaoming", "签到 <&> 😀")

    assert (outcome.status, outcome.text, outcome.attempts) == ("answered", "echo: 签到 <&> 😀", 1)
    assert xmltodict.parse(outcome.plaintext)["xml"]["FromUserName"] == channel.account_id
    (delivery,) = bot.deliveries
    assert (delivery.message.source, delivery.message.target) == ("xiaoming", channel.account_id)


async def test_create_time_message_id_and_agent_are_what_was_asked_for(
    sandbox: Sandbox, bot: EchoBot
) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    await sandbox.say("app", "xiaoming", "hi", at=at, msg_id=9_223_372_036_854_775_807)

    fields = xmltodict.parse(bot.deliveries[0].plaintext)["xml"]
    assert fields["CreateTime"] == str(int(at.timestamp()))
    assert (fields["MsgId"], fields["AgentID"]) == ("9223372036854775807", "1000007")


async def test_two_equal_texts_are_two_messages_with_their_own_ids(sandbox: Sandbox, bot: EchoBot) -> None:
    await asyncio.gather(*(sandbox.say("oa", "xiaoming", "same") for _ in range(20)))

    assert len({delivery.message.id for delivery in bot.deliveries}) == 20


@pytest.mark.parametrize(
    ("channel", "kind"),
    [(channel, kind) for channel in (APP, ACCOUNT) for kind in letters.MESSAGES[channel.kind]],
    ids=lambda value: getattr(value, "name", value),
)
async def test_every_message_type_arrives_as_itself(
    channel: SandboxChannel, kind: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    outcome = await sandbox.message(channel.name, "xiaoming", kind)

    assert outcome.status == "answered"
    fields = xmltodict.parse(bot.deliveries[0].plaintext)["xml"]
    assert fields["MsgType"] == kind
    assert letters.MESSAGES[channel.kind][kind].keys() <= fields.keys()


@pytest.mark.parametrize(
    ("channel", "event"),
    [(channel, event) for channel in (APP, ACCOUNT) for event in letters.EVENTS[channel.kind]],
    ids=lambda value: getattr(value, "name", value),
)
async def test_every_event_arrives_with_its_fields_and_without_a_message_id(
    channel: SandboxChannel, event: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.answer = lambda _: None

    outcome = await sandbox.event(channel.name, "xiaoming", event)

    assert outcome.status == "acknowledged"
    fields = xmltodict.parse(bot.deliveries[0].plaintext)["xml"]
    assert (fields["MsgType"], fields["Event"]) == ("event", event)
    assert letters.EVENTS[channel.kind][event].keys() <= fields.keys()
    assert "MsgId" not in fields
    by_system = channel is APP and event in letters.SYSTEM_EVENTS
    assert fields["FromUserName"] == ("sys" if by_system else "xiaoming")


@pytest.mark.parametrize("change", list(letters.CONTACT_CHANGES))
async def test_every_contact_change_carries_its_own_fields(
    change: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.answer = lambda _: None

    await sandbox.event("app", "xiaoming", "change_contact", ChangeType=change)

    fields = xmltodict.parse(bot.deliveries[0].plaintext)["xml"]
    assert fields["ChangeType"] == change
    assert letters.CONTACT_CHANGES[change].keys() <= fields.keys()


async def test_nested_and_repeated_fields_are_understood_by_wechatpy(sandbox: Sandbox, bot: EchoBot) -> None:
    bot.answer = lambda _: None

    await sandbox.event("oa", "xiaoming", "scancode_waitmsg", EventKey="k")
    await sandbox.event("oa", "xiaoming", "subscribe", EventKey="qrscene_fair-07", Ticket="T")
    await sandbox.event("oa", "xiaoming", "subscribe_msg_popup_event")

    scan, follow, popup = (delivery.message for delivery in bot.deliveries)
    assert (scan.key, scan.scan_type) == ("k", "qrcode")
    assert (follow.event, follow.scene_id) == ("subscribe_scan", "fair-07")
    listed = popup._data["SubscribeMsgPopupEvent"]["List"]
    assert [one["SubscribeStatusString"] for one in listed] == ["accept", "reject"]


async def test_an_event_or_message_type_that_no_vendor_has_can_be_sent_too(
    sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.answer = lambda _: None

    await sandbox.event("app", "xiaoming", "brand_new_event", Novelty="1")
    await sandbox.message("oa", "xiaoming", "hologram", MediaId="m")

    event, message = (xmltodict.parse(delivery.plaintext)["xml"] for delivery in bot.deliveries)
    assert (event["Event"], event["Novelty"]) == ("brand_new_event", "1")
    assert (message["MsgType"], message["MediaId"]) == ("hologram", "m")


@every_channel
async def test_the_address_is_verified_by_an_echo_that_must_come_back_alone(
    channel: SandboxChannel, sandbox: Sandbox, bot: EchoBot
) -> None:
    assert (await sandbox.verify(channel.name)).passed

    bot.behaviours = [b'"123"\n', 403]
    quoted, refused = await sandbox.verify(channel.name), await sandbox.verify(channel.name)
    assert (quoted.passed, quoted.http_status) == (False, 200)
    assert (refused.passed, refused.http_status) == (False, 403)


async def test_an_acknowledged_message_is_not_an_answer(sandbox: Sandbox, bot: EchoBot) -> None:
    for said in (None, b"success", b""):
        bot.answer = _always(said)
        outcome = await sandbox.say("oa", "xiaoming", "hi")
        assert (outcome.status, outcome.parts, outcome.text) == ("acknowledged", (), "")


async def test_no_answer_in_time_is_repeated_until_one_comes(bot: EchoBot) -> None:
    bot.behaviours = [HANG, HANG]

    async with aclosing(impatient(bot, answer_timeout_s=0.6)) as sandbox:
        outcome = await sandbox.say("app", "xiaoming", "hi")

    assert (outcome.status, outcome.attempts, outcome.text) == ("answered", 3, "echo: hi")
    first, second, third = bot.deliveries
    assert first.plaintext == second.plaintext == third.plaintext
    assert (first.query, first.body) == (second.query, second.body), "the first repeat has the same bytes"
    assert third.query["nonce"] != first.query["nonce"], "a later repeat is signed anew"


async def test_a_status_other_than_200_is_repeated_three_times_and_then_told(
    sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.behaviours = [503] * 3 + [403]

    outcome = await sandbox.say("app", "xiaoming", "hi")

    assert (outcome.status, outcome.http_status, outcome.attempts) == ("refused", 403, 4)
    (line,) = sandbox.transcript("app", "xiaoming")
    assert (line.status, line.http_status, line.repeats) == ("refused", 403, 3)


async def test_a_follower_reads_the_vendors_notice_when_the_bot_never_answers(bot: EchoBot) -> None:
    bot.behaviours = [HANG] * 4

    async with aclosing(impatient(bot, answer_timeout_s=0.2)) as sandbox:
        outcome = await sandbox.say("oa", "xiaoming", "hi")

    assert (outcome.status, outcome.http_status, outcome.attempts) == ("unavailable", 0, 4)
    said, notice = sandbox.transcript("oa", "xiaoming")
    assert (said.status, said.note) == ("unavailable", "no answer in 0.2 s")
    assert (notice.side, notice.route, notice.text) == ("vendor", "notice", UNAVAILABLE_NOTICE)


async def test_a_bot_that_is_away_counts_as_no_answer(sandbox: Sandbox) -> None:
    sandbox.callback_base = "http://127.0.0.1:9"

    outcome = await sandbox.say("app", "xiaoming", "hi")

    assert (outcome.status, outcome.attempts) == ("unavailable", 4)
    assert "connection" in outcome.problem


@pytest.mark.parametrize(
    ("name", "tamper", "problem"),
    [
        ("oa", lambda _: "hello", "not an <xml> document"),
        ("oa", lambda _: "<xml/>", "no elements"),
        ("oa", lambda _: "<xml><a>1</a></xml>", "no Encrypt"),
        ("app", lambda _: "<xml><a>1</a></xml>", "no Encrypt"),
        ("oa-plain", lambda _: "<xml><Encrypt>QQ==</Encrypt></xml>", "plain mode"),
        ("app", lambda answer: answer.replace("MsgSignature", "Signature"), "lacks MsgSignature"),
        ("app", lambda answer: answer.replace("<TimeStamp>", "<TimeStamp>x"), "not a number"),
        ("app", lambda answer: answer.replace("<TimeStamp>", "<TimeStamp>1"), "InvalidSignature"),
        ("oa", lambda answer: answer.replace("n0nce", "nonce"), "InvalidSignature"),
    ],
)
async def test_an_answer_that_the_vendor_cannot_use_is_not_shown(
    name: str, tamper: Any, problem: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.tamper = tamper

    outcome = await sandbox.say(name, "xiaoming", "hi")

    assert (outcome.status, outcome.attempts) == ("unavailable", 1)
    assert problem in outcome.problem
    shown = [line.text for line in sandbox.transcript(name, "xiaoming") if line.side != "member"]
    assert shown == ([] if name == "app" else [UNAVAILABLE_NOTICE])


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda inner: inner.replace("xiaoming", "xiaohong"), "swapped"),
        (lambda inner: inner.replace("gh_example", "gh_other"), "swapped"),
        (lambda inner: inner.replace("<CreateTime>", "<CreateTime>soon"), "CreateTime"),
        (lambda inner: inner.replace("[text]", "[telepathy]"), "telepathy"),
        (lambda inner: inner.replace("[text]", "[image]"), "image lacks MediaId"),
        (lambda inner: inner.replace("[text]", "[update_button]"), "update_button"),
        (lambda inner: inner.replace("Content>", "Contents>"), "text lacks Content"),
        (lambda inner: inner.replace("echo: ", "x" * 2048), "longer than 2048"),
    ],
)
async def test_an_answer_whose_inside_is_wrong_is_not_shown(
    edit: Any, problem: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.edit = edit

    outcome = await sandbox.say("oa", "xiaoming", "hi")

    assert outcome.status == "unavailable"
    assert problem in outcome.problem


async def test_an_answer_meant_for_another_receiver_is_not_shown(sandbox: Sandbox, bot: EchoBot) -> None:
    def foreign(_: str) -> str:
        return str(
            CorpCrypto(APP.token, APP.encoding_aes_key, "ww0other").encrypt_message("<xml/>", "n", "1")
        )

    bot.tamper = foreign

    outcome = await sandbox.say("app", "xiaoming", "hi")

    assert (outcome.status, "InvalidCorpId" in outcome.problem) == ("unavailable", True)


async def test_wecom_cuts_a_long_answer_between_characters(sandbox: Sandbox, bot: EchoBot) -> None:
    bot.answer = lambda _: "满" * 683  # 2049 bytes

    outcome = await sandbox.say("app", "xiaoming", "hi")

    assert outcome.text == "满" * 683
    shown = sandbox.transcript("app", "xiaoming")[-1]
    assert (shown.text, shown.truncated) == ("满" * 682, True)


async def test_compatible_mode_takes_a_clear_answer_too(sandbox: Sandbox, bot: EchoBot) -> None:
    clear = "<xml><ToUserName>xiaoming</ToUserName><FromUserName>gh_example</FromUserName>"
    bot.tamper = lambda _: (
        f"{clear}<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>hi</Content></xml>"
    )

    assert (await sandbox.say(COMPATIBLE.name, "xiaoming", "hi")).text == "hi"


async def test_news_pictures_and_other_answers_are_read(sandbox: Sandbox, bot: EchoBot) -> None:
    article = {
        "title": "鲜奶",
        "description": "d",
        "image": "https://example.invalid/i",
        "url": "https://a.invalid",
    }
    bot.answer = lambda _: [article]
    news = await sandbox.say("oa", "xiaoming", "hi")
    bot.answer = lambda _: "M1"
    bot.edit = lambda inner: (
        inner.replace("[text]", "[image]")
        .replace("<Content>", "<Image><MediaId>")
        .replace("</Content>", "</MediaId></Image>")
    )
    picture = await sandbox.say("app", "xiaoming", "hi")

    assert (news.parts[0].kind, news.text) == ("news", "[图文 news] 鲜奶")
    assert (picture.parts[0].kind, picture.text) == ("image", "[图片 image] M1")
    assert picture.parts[0].fields == {"MediaId": "M1"}


async def test_the_vendor_shows_no_answer_to_somebody_who_has_left(sandbox: Sandbox) -> None:
    outcome = await sandbox.event("oa", "xiaoming", "unsubscribe")

    assert (outcome.status, outcome.parts) == ("acknowledged", ())
    assert [line.side for line in sandbox.transcript("oa", "xiaoming")] == ["member"]


async def test_a_built_callback_can_be_posted_as_often_as_wanted(sandbox: Sandbox, bot: EchoBot) -> None:
    callback = sandbox.build_callback("app", "xiaoming", "签到", msg_id=77)
    event = sandbox.build_event("oa", "xiaoming", "CLICK", EventKey="menu")

    answers = await asyncio.gather(
        *(sandbox.send_raw("app", callback.query, callback.body) for _ in range(5)),
        sandbox.send_raw("oa", event.query, event.body),
    )

    assert {answer.http_status for answer in answers} == {200}
    assert "echo: 签到" in sandbox.open_answer("app", answers[0].body)
    assert [delivery.plaintext for delivery in bot.deliveries].count(callback.plaintext) == 5
    assert sandbox.transcript("app", "xiaoming") == ()


async def test_raw_bytes_may_go_to_a_channel_that_nobody_knows(sandbox: Sandbox) -> None:
    assert (await sandbox.send_raw("nobody", "a=1", b"<xml/>")).http_status == 404
    with pytest.raises(RefusedError, match="it has: app, oa"):
        await sandbox.say("nobody", "xiaoming", "hi")


def test_the_query_of_each_mode_names_what_the_reference_lists() -> None:
    def names(channel: SandboxChannel) -> set[str]:
        callback = wire.seal(channel, "<xml><a>1</a></xml>", timestamp_s=1790000000, openid="o1")
        return {pair.partition("=")[0] for pair in callback.query.split("&")}

    common = {"timestamp", "nonce"}
    assert names(APP) == common | {"msg_signature"}
    assert names(PLAIN) == common | {"signature", "openid"}
    assert names(ACCOUNT) == names(COMPATIBLE) == names(PLAIN) | {"encrypt_type", "msg_signature"}


def test_compatible_mode_carries_the_message_in_clear_and_encrypted() -> None:
    body = wire.seal(COMPATIBLE, "<xml><Content>hi</Content></xml>", timestamp_s=1).body

    assert xmltodict.parse(body)["xml"].keys() == {"Content", "Encrypt"}


def test_the_reference_signature_of_plain_mode_is_ours() -> None:
    """Own test vector of the protocol notes: WeCom, callback security, vector 3."""
    signature = "1fc3ee6c4fc69936ec6bf228bec75e6903b092b0"

    assert wire.sign("tokTEST1", "1790000000", "nonce42") == signature


@given(st.text(max_size=60))
def test_any_text_survives_the_wire_except_what_xml_cannot_carry(text: str) -> None:
    inner = letters.message_xml(APP, "xiaoming", "text", at_s=1, msg_id=1, fields={"Content": text})
    callback = wire.seal(APP, inner, timestamp_s=1, nonce="n")
    outer = xmltodict.parse(callback.body)["xml"]
    signature = callback.query.rpartition("=")[2]

    opened = CorpCrypto(APP.token, APP.encoding_aes_key, "ww0example").decrypt_message(
        outer, signature, "1", "n"
    )

    carried = "".join(
        char for char in text if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff")
    )
    read = xmltodict.parse(opened, strip_whitespace=False)["xml"]["Content"] or ""
    assert read == carried.replace("\r\n", "\n").replace("\r", "\n")
