"""The AI bot in callback mode: what people say in groups and alone, and what of its answers they read."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto.base import WeChatCipher
from wechatpy.crypto.pkcs7 import PKCS7Encoder
from wechatpy.enterprise.crypto import WeChatCrypto

from bot.errors import RefusedError
from bot.sandbox import wire
from bot.sandbox.channel import SandboxChannel
from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import AES_KEY, APP
from tests.sandbox.json_bot import HANG, JsonBot, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox

BOT = SandboxChannel("bot", "wecom_aibot", "", "aib-bot", "tokTEST3", AES_KEY, mode="callback")
GROUP = "wrDEMO01"
QUICK = Settings(repeat_pause_s=0.0, poll_interval_s=0.01)


@pytest.fixture
async def json_bot() -> AsyncIterator[JsonBot]:
    async with JsonBot(BOT) as json_bot:
        yield json_bot


@pytest.fixture
async def server(json_bot: JsonBot) -> AsyncIterator[SandboxServer]:
    async with SandboxServer([BOT, APP], callback_base=json_bot.base, settings=QUICK) as server:
        yield server


async def test_a_text_in_a_group_mentions_the_bot_and_its_answer_stands_in_the_group(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda said: stream(f"got {said['text']['content']}")

    outcome = await sandbox.say("bot", "ana", "签到", group=GROUP)

    assert (outcome.status, outcome.text) == ("answered", "got @活群 签到")
    (message,) = json_bot.messages
    assert (message["chattype"], message["chatid"], message["from"]) == ("group", GROUP, {"userid": "ana"})
    assert [(line.side, line.text) for line in sandbox.transcript("bot", group=GROUP)] == [
        ("member", "@活群 签到"),
        ("bot", "got @活群 签到"),
    ]
    assert sandbox.transcript("bot", "ana") == ()


async def test_a_text_in_a_group_without_a_mention_is_read_by_people_only(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    outcome = await sandbox.say("bot", "ana", "大家好", group=GROUP, mention=False)

    assert outcome.status == "unseen"
    assert json_bot.heard == []
    (line,) = sandbox.transcript("bot", group=GROUP)
    assert (line.text, line.status, line.group_id) == ("大家好", "unseen", GROUP)


async def test_a_stream_is_asked_for_until_it_is_finished_and_stays_one_bubble(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    states = iter([stream("稍等", finish=False), stream("稍等…", finish=False), stream("好了")])
    json_bot.answer = lambda _: next(states)

    outcome = await sandbox.say("bot", "ana", "算一下")

    assert (outcome.status, outcome.text) == ("answered", "好了")
    assert [poll["stream"] for poll in json_bot.polls] == [{"id": "s-1"}, {"id": "s-1"}]
    (line,) = sandbox.heard("bot", "ana")
    assert (line.kind, line.text, line.fields) == ("stream", "好了", {"id": "s-1", "finish": True})


async def test_a_stream_that_is_not_finished_after_six_minutes_is_cut_and_counted(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda _: stream("…", finish=False)

    saying = asyncio.create_task(sandbox.say("bot", "ana", "算一下"))
    await json_bot.wait_for_polls(1)
    sandbox.move_clock(6 * 60_000)
    outcome = await saying

    assert outcome.text == "…"
    assert sandbox.transcript("bot", "ana")[-1].status == "unfinished"
    assert sandbox.room("bot").violations == {"stream:six_minutes": 1}


async def test_a_fourth_interaction_of_one_person_is_refused_and_shown_as_such(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    gate = asyncio.Event()

    async def wait(said: dict[str, Any]) -> dict[str, Any]:
        await gate.wait()
        return stream("ok", stream_id=said["msgid"])

    json_bot.answer = wait
    three = [asyncio.create_task(sandbox.say("bot", "ana", f"{number}")) for number in range(3)]
    await json_bot.wait_for_messages(3)

    fourth = await sandbox.say("bot", "ana", "4")
    other = asyncio.create_task(sandbox.say("bot", "xiaoming", "1"))
    gate.set()

    assert (fourth.status, fourth.attempts) == ("refused", 0)
    assert sandbox.transcript("bot", "ana")[-1].status == "refused"
    assert [(await task).status for task in (*three, other)] == ["answered"] * 4
    assert (await sandbox.say("bot", "ana", "5")).status == "answered"


async def test_the_response_url_takes_one_answer_within_the_hour(sandbox: Sandbox, json_bot: JsonBot) -> None:
    await sandbox.say("bot", "ana", "慢慢来", group=GROUP)
    await sandbox.say("bot", "ana", "太慢了", group=GROUP)
    first, second = (message["response_url"] for message in json_bot.messages)
    late = {"msgtype": "markdown", "markdown": {"content": "**好了**"}}

    async with aiohttp.ClientSession() as http:
        answers = [await _post(http, first, late), await _post(http, first, late)]
        sandbox.move_clock(3_600_000)
        answers.append(await _post(http, second, late))
        answers.append(await _post(http, second.replace("code=", "code=x"), late))

    assert [answer["errcode"] for answer in answers] == [0, 40058, 40058, 40058]
    (line,) = sandbox.inbox("bot", group=GROUP)
    assert (line.route, line.text, line.user_id) == ("response_url", "**好了**", "ana")
    assert sandbox.room("bot").violations == {
        "aibot/response:used_twice": 1, "aibot/response:one_hour": 1,
    }  # fmt: skip
    assert sandbox.room("bot").errcodes == {("aibot/response", 0): 1, ("aibot/response", 40058): 2}


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        (stream("好" * 6827), "callback:content_bytes"),  # 20 481 bytes
        (stream("a", feedback={"id": "f" * 257}), "callback:feedback_id_bytes"),
        ({"msgtype": "text", "text": {"content": "text is for enter_chat only"}}, ""),
        ({"msgtype": "template_card", "template_card": {"card_type": "no_such_card"}}, ""),
        ({"msgtype": "stream", "stream": {"id": "", "content": "a"}}, ""),
        ([], ""),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_answer_the_vendor_cannot_use_is_shown_to_nobody(
    answer: object, limit: str, sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda _: answer

    outcome = await sandbox.say("bot", "ana", "hi")

    assert outcome.status == "unavailable"
    assert outcome.problem
    assert sandbox.heard("bot", "ana") == ()
    assert sandbox.room("bot").violations == ({limit: 1} if limit else {})


@pytest.mark.parametrize(
    "broken",
    [{"timestamp": "1790000000"}, {"nonce": "other"}, {"msgsignature": "0" * 40}, {"encrypt": "AAAA"}],
    ids=lambda broken: next(iter(broken)),
)
async def test_an_answer_sealed_otherwise_than_documented_is_not_opened(
    broken: dict[str, Any], sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda _: stream("hi")
    json_bot.tamper = lambda outer: {**outer, **broken}

    assert (await sandbox.say("bot", "ana", "hi")).status == "unavailable"


async def test_no_answer_in_time_is_repeated_as_the_same_message(json_bot: JsonBot) -> None:
    json_bot.behaviours = [HANG, 500]
    json_bot.answer = lambda _: stream("here")
    impatient = replace(QUICK, answer_timeout_s=1.0)

    async with SandboxServer([BOT], callback_base=json_bot.base, settings=impatient) as server:
        outcome = await server.sandbox.say("bot", "ana", "hi")

    assert (outcome.text, outcome.attempts) == ("here", 3)
    assert len({message["msgid"] for message in json_bot.messages}) == 1


async def test_opening_the_chat_is_answered_with_a_text(sandbox: Sandbox, json_bot: JsonBot) -> None:
    json_bot.answer = lambda _: {"msgtype": "text", "text": {"content": "欢迎"}}

    outcome = await sandbox.enter_chat("bot", "ana")

    assert (outcome.status, outcome.text) == ("answered", "欢迎")
    assert json_bot.heard[0].said["event"] == {"eventtype": "enter_chat"}


CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "抢红包"},
    "task_id": "t-1",
    "button_list": [{"text": "抢", "key": "grab"}, {"text": "不抢", "key": "leave"}],
}


async def test_a_card_is_clicked_and_updated_for_the_one_who_clicked(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda _: {"msgtype": "template_card", "template_card": CARD}
    await sandbox.say("bot", "ana", "红包", group=GROUP)
    (card,) = sandbox.heard("bot", group=GROUP)
    after = {"card_type": "text_notice", "main_title": {"title": "你抢到 3 元"}}
    json_bot.answer = lambda _: {
        "response_type": "update_template_card", "userids": ["xiaoming"], "template_card": after,
    }  # fmt: skip

    outcome = await sandbox.click(card, "grab", user_id="xiaoming")

    assert outcome.status == "answered"
    event = json_bot.heard[-1].said
    assert (event["from"], event["chatid"]) == ({"userid": "xiaoming"}, GROUP)
    assert event["event"]["template_card_event"] == {
        "card_type": "button_interaction", "event_key": "grab", "task_id": "t-1",
    }  # fmt: skip
    now = sandbox.line(card)
    assert (now.card("xiaoming"), now.card("ana")) == (after, CARD)
    with pytest.raises(RefusedError, match="no button 'steal'"):
        await sandbox.click(card, "steal")


@pytest.mark.parametrize(
    "questions",
    [
        {
            "card_type": "vote_interaction",
            "checkbox": {
                "question_key": "q",
                "option_list": [{"id": "a", "text": "甲"}, {"id": "b", "text": "乙"}],
            },
            "submit_button": {"text": "提交", "key": "send"},
        },
        {
            "card_type": "multiple_interaction",
            "select_list": [{"question_key": "q", "option_list": [{"id": "a", "text": "甲"}]}],
            "submit_button": {"text": "提交", "key": "send"},
        },
        {
            "card_type": "button_interaction",
            "button_selection": {"question_key": "q", "option_list": [{"id": "a", "text": "甲"}]},
            "button_list": [{"text": "提交", "key": "send"}],
        },
    ],
    ids=lambda card: card["card_type"],
)
async def test_what_was_chosen_on_a_card_comes_with_the_click(
    questions: dict[str, Any], sandbox: Sandbox, json_bot: JsonBot
) -> None:
    card = {"main_title": {"title": "选一个"}, "task_id": "t-1", **questions}
    json_bot.answer = lambda _: {"msgtype": "template_card", "template_card": card}
    await sandbox.say("bot", "ana", "投票")
    (line,) = sandbox.heard("bot", "ana")
    json_bot.answer = lambda _: None

    await sandbox.click(line, "send", selections={"q": ["a"]})

    assert json_bot.heard[-1].said["event"]["template_card_event"]["selected_items"] == {
        "selected_item": [{"question_key": "q", "option_ids": {"option_id": ["a"]}}]
    }
    with pytest.raises(RefusedError, match="no question 'q' with z"):
        await sandbox.click(line, "send", selections={"q": ["z"]})


async def test_a_card_comes_with_a_stream_once(sandbox: Sandbox, json_bot: JsonBot) -> None:
    both = {"msgtype": "stream_with_template_card", "template_card": CARD}
    states = iter([
        {**both, **stream("算…", finish=False), "msgtype": "stream_with_template_card"},
        {**both, **stream("算…", finish=False), "msgtype": "stream_with_template_card"},
        stream("好了"),
    ])  # fmt: skip
    json_bot.answer = lambda _: next(states)

    outcome = await sandbox.say("bot", "ana", "红包")

    assert [part.kind for part in outcome.parts] == ["stream", "template_card"]
    assert [line.kind for line in sandbox.heard("bot", "ana")] == ["stream", "template_card"]
    assert sandbox.violations() == {"poll:one_card": 1}


async def test_a_click_that_gets_no_answer_is_not_repeated(sandbox: Sandbox, json_bot: JsonBot) -> None:
    json_bot.answer = lambda _: {"msgtype": "template_card", "template_card": CARD}
    await sandbox.say("bot", "ana", "红包")
    json_bot.behaviours = [500]

    outcome = await sandbox.click(sandbox.heard("bot", "ana")[0], "grab")

    assert (outcome.status, outcome.attempts) == ("refused", 1)


async def test_feedback_names_the_id_of_the_streams_first_frame(sandbox: Sandbox, json_bot: JsonBot) -> None:
    states = iter([stream("a", finish=False, feedback={"id": "fb-1"}), stream("b", feedback={"id": "fb-2"})])
    json_bot.answer = lambda _: next(states)
    await sandbox.say("bot", "ana", "hi")
    json_bot.answer = lambda _: None

    outcome = await sandbox.feedback(sandbox.heard("bot", "ana")[0], 2, reasons=[3], content="错了")

    assert outcome.status == "acknowledged"
    assert json_bot.heard[-1].said["event"]["feedback_event"] == {
        "id": "fb-1", "type": 2, "content": "错了", "inaccurate_reason_list": [3],
    }  # fmt: skip


async def test_a_picture_comes_encrypted_behind_an_address_of_five_minutes(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    await sandbox.message("bot", "ana", "image", media=b"\x89PNG picture")
    url = json_bot.messages[0]["image"]["url"]

    async with aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            encrypted = await response.read()
        sandbox.move_clock(5 * 60_000)
        async with http.get(url) as response:
            over = response.status

    key = json_bot._crypto.key
    assert PKCS7Encoder.decode(WeChatCipher(key).decrypt(encrypted)) == b"\x89PNG picture"
    assert over == 403


async def test_every_type_people_can_send_arrives_as_itself(sandbox: Sandbox, json_bot: JsonBot) -> None:
    for kind in ("image", "mixed", "voice", "file", "video"):
        await sandbox.message("bot", "ana", kind, Content="看")

    assert [message["msgtype"] for message in json_bot.messages] == [
        "image",
        "mixed",
        "voice",
        "file",
        "video",
    ]
    mixed = json_bot.messages[1]["mixed"]["msg_item"]
    assert [item["msgtype"] for item in mixed] == ["text", "image"]
    assert json_bot.messages[2]["voice"] == {"content": "看"}
    with pytest.raises(RefusedError, match="location"):
        await sandbox.message("bot", "ana", "location")


async def test_a_quote_of_the_bots_words_carries_them(sandbox: Sandbox, json_bot: JsonBot) -> None:
    json_bot.answer = lambda said: stream("今天 +10", stream_id=said["msgid"])
    await sandbox.say("bot", "ana", "签到", group=GROUP)
    (answer,) = sandbox.heard("bot", group=GROUP)

    await sandbox.say("bot", "xiaoming", "真的吗", group=GROUP, quote=answer)

    assert json_bot.messages[-1]["quote"] == {"msgtype": "text", "text": {"content": "今天 +10"}}
    said = sandbox.transcript("bot", group=GROUP)[-2]
    assert said.fields["quote"] == {"entry_id": answer.id, "text": "今天 +10"}


async def test_the_callback_address_is_verified_with_an_empty_receiver(sandbox: Sandbox) -> None:
    assert (await sandbox.verify("bot")).passed


async def test_callbacks_are_lost_doubled_and_reordered_on_demand(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda said: stream("ok", stream_id=said["msgid"])

    sandbox.faults.add(Fault("bot", "callback", lost=True))
    assert (await sandbox.say("bot", "ana", "lost")).status == "unavailable"
    sandbox.faults.add(Fault("bot", "callback", doubled=True))
    assert (await sandbox.say("bot", "ana", "doubled")).status == "answered"
    sandbox.faults.add(Fault("bot", "callback", reordered=True))
    await asyncio.gather(sandbox.say("bot", "ana", "after"), sandbox.say("bot", "ana", "before"))

    said = [message["text"]["content"] for message in json_bot.messages]
    assert said == ["doubled", "doubled", "before", "after"]


async def test_a_message_in_a_group_of_an_app_reaches_people_only(sandbox: Sandbox) -> None:
    assert (await sandbox.say("app", "ana", "hi", group=GROUP)).status == "unseen"
    with pytest.raises(RefusedError, match="no group 'elsewhere'"):
        await sandbox.say("bot", "ana", "hi", group="elsewhere")


async def test_a_callback_can_be_built_posted_and_its_answer_opened_by_hand(
    sandbox: Sandbox, json_bot: JsonBot
) -> None:
    json_bot.answer = lambda _: stream("hi")
    callback = sandbox.build_callback("bot", "ana", "签到", group=GROUP)

    raw = await sandbox.send_raw("bot", callback.query, callback.body)

    assert json.loads(sandbox.open_answer("bot", raw.body, nonce=callback.nonce)) == stream("hi")
    assert sandbox.open_answer("bot", b"", nonce=callback.nonce) == ""


async def test_a_picture_cannot_be_fetched_on_demand(sandbox: Sandbox, json_bot: JsonBot) -> None:
    await sandbox.message("bot", "ana", "image")
    sandbox.faults.add(Fault("bot", "aibot/media", http_status=502))
    url = json_bot.messages[0]["image"]["url"]

    async with aiohttp.ClientSession() as http:
        statuses = []
        for _ in range(2):
            async with http.get(url) as response:
                statuses.append(response.status)

    assert statuses == [502, 200]
    assert sandbox.exercised() == {"aibot/media": {0: 1}}


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_survives_the_json_cipher_with_an_empty_receiver(text: str) -> None:
    callback = wire.seal(BOT, json.dumps({"text": text}), timestamp_s=1_790_000_000)
    query = dict(parse_qsl(callback.query))

    inner = WeChatCrypto(BOT.token, BOT.encoding_aes_key, "").decrypt_message(
        {"Encrypt": json.loads(callback.body)["encrypt"]},
        query["msg_signature"],
        query["timestamp"],
        query["nonce"],
    )

    assert json.loads(inner) == {"text": text}


async def _post(http: aiohttp.ClientSession, url: str, body: object) -> dict[str, Any]:
    async with http.post(url, json=body) as response:
        return dict(await response.json())
