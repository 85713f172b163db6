"""Groups that an app makes itself, uploads by an app, cards it sends and changes, limits of all its calls."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.clock import FixedClock
from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import APP
from tests.sandbox.echo_bot import EchoBot
from tests.sandbox.test_vendor_api import Caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox

CARD: dict[str, Any] = {
    "card_type": "vote_interaction", "task_id": "t-1", "main_title": {"title": "选一个"},
    "checkbox": {
        "question_key": "q", "option_list": [{"id": "a", "text": "甲"}, {"id": "b", "text": "乙"}],
    },
    "submit_button": {"text": "提交", "key": "submit"},
}  # fmt: skip


@pytest.fixture
async def server(bot: EchoBot) -> AsyncIterator[SandboxServer]:
    settings = Settings(company_accounts=1, repeat_pause_s=0.0)
    clock = FixedClock(datetime(2026, 1, 2, 8, tzinfo=UTC))
    async with SandboxServer([APP], callback_base=bot.base, settings=settings, clock=clock) as server:
        yield server


@pytest.fixture
async def caller(http: aiohttp.ClientSession) -> Caller:
    return Caller(http)


@pytest.fixture
async def token(caller: Caller) -> str:
    return await caller.app_token()


async def _send(caller: Caller, token: str, chat_id: str, **message: Any) -> int:
    body = {"chatid": chat_id, "msgtype": "text", "text": {"content": "开会了"}, **message}
    return int((await caller.post("appchat/send", body, access_token=token))["errcode"])


async def test_a_group_is_made_changed_read_and_sent_to(caller: Caller, token: str, sandbox: Sandbox) -> None:
    made = await caller.post(
        "appchat/create",
        {"name": "门店", "owner": "ana", "userlist": ["ana", "xiaoming"], "chatid": "shop1"},
        access_token=token,
    )
    changes = {
        "chatid": "shop1",
        "name": "旗舰店",
        "add_user_list": ["aqiang"],
        "del_user_list": ["xiaoming"],
    }
    await caller.post("appchat/update", changes, access_token=token)
    read = await caller.get("appchat/get", chatid="shop1", access_token=token)

    sent = await _send(caller, token, "shop1", text={"content": "开会了", "mentioned_list": ["ana"]})

    assert (made["errcode"], made["chatid"], sent) == (0, "shop1", 0)
    assert read["chat_info"] == {
        "chatid": "shop1", "name": "旗舰店", "owner": "ana", "userlist": ["ana", "aqiang"],
    }  # fmt: skip
    assert sandbox.groups("app")[-1].members == ("ana", "aqiang")
    (line,) = sandbox.inbox("app", group="shop1")
    assert (line.text, line.fields["mentioned_list"]) == ("开会了", ["ana"])


@pytest.mark.parametrize(
    ("changes", "errcode", "limit"),
    [
        ({"chatid": "no-dashes"}, 86001, ""),
        ({"chatid": "wrDEMO01"}, 86001, ""),
        ({"name": "名" * 51}, 86004, "name_characters"),
        ({"owner": "xiaohong"}, 86005, ""),
        ({"userlist": ["ana"], "owner": "ana"}, 86006, "members"),
        ({"userlist": "ana"}, 86006, ""),
        ({"userlist": ["ana", "ghost"]}, 60011, ""),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_group_the_vendor_refuses_is_not_made(
    changes: dict[str, Any], errcode: int, limit: str, caller: Caller, token: str, sandbox: Sandbox
) -> None:
    body = {"name": "门店", "owner": "ana", "userlist": ["ana", "xiaoming"], **changes}

    assert (await caller.post("appchat/create", body, access_token=token))["errcode"] == errcode

    assert len(sandbox.groups("app")) == 1
    assert sandbox.room("app").violations == ({f"appchat/create:{limit}": 1} if limit else {})


async def test_only_groups_of_its_own_are_within_its_reach(
    caller: Caller, token: str, sandbox: Sandbox
) -> None:
    sandbox.add_group("app", "elsewhere", "别人的群", ["ana", "aqiang"], by_app=False)

    assert await _send(caller, token, "elsewhere") == 86003
    assert await _send(caller, token, "nowhere") == 86003
    assert await _send(caller, token, "wrDEMO01", msgtype="template_card", template_card=CARD) == 40008


async def test_a_member_over_two_hundred_a_minute_gets_nothing_and_nobody_is_told(
    caller: Caller, token: str, sandbox: Sandbox
) -> None:
    codes = {await _send(caller, token, "wrDEMO01") for _ in range(201)}

    assert codes == {0}
    assert sandbox.transcript("app", group="wrDEMO01")[-1].status == "dropped"
    assert sandbox.room("app").violations == {"appchat/send:member_per_minute": 4}


async def test_person_times_of_a_company_are_limited(caller: Caller, token: str, sandbox: Sandbox) -> None:
    sandbox.add_group("app", "big", "全员", [f"user{number}" for number in range(2000)])
    codes = [await _send(caller, token, "big") for _ in range(11)]

    assert codes == [0] * 10 + [45009]
    assert sandbox.room("app").violations == {"appchat/send:persons_per_minute": 1}


async def test_a_thousand_groups_may_be_made_a_day(caller: Caller, token: str, sandbox: Sandbox) -> None:
    room = sandbox.room("app")
    for _ in range(1000):
        assert room.new_groups.over(sandbox.clock.now_ms()) == ""
    body = {"name": "门店", "owner": "ana", "userlist": ["ana", "xiaoming"]}

    assert (await caller.post("appchat/create", body, access_token=token))["errcode"] == 45009
    assert room.violations == {"appchat/create:per_day": 1}


async def test_an_app_uploads_and_sends_a_file(
    caller: Caller, token: str, http: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    form = aiohttp.FormData()
    form.add_field("media", b"0123456789", filename="a.txt", content_type="text/plain")
    query = {"access_token": token, "type": "file"}
    async with http.post("/cgi-bin/media/upload", params=query, data=form) as response:
        media_id = (await response.json())["media_id"]

    assert (await caller.app_send(token, msgtype="file", file={"media_id": media_id}))["errcode"] == 0
    assert (await caller.app_send(token, msgtype="image", image={"media_id": media_id}))["errcode"] == 40007
    sandbox.move_clock(3 * 86_400_000)
    token = await caller.app_token()
    assert (await caller.app_send(token, msgtype="file", file={"media_id": media_id}))["errcode"] == 40007


async def test_a_card_is_clicked_and_changed_once_by_its_code(
    caller: Caller, token: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    bot.answer = lambda _: None
    sent = await caller.app_send(token, msgtype="template_card", template_card=CARD)
    (line,) = sandbox.inbox("app", "xiaoming")

    await sandbox.click(line, "submit", selections={"q": ["b"]})
    update = {
        "agentid": APP.agent_id, "response_code": sent["response_code"], "userids": ["xiaoming"],
        "button": {"replace_name": "已提交"},
    }  # fmt: skip
    codes = [
        (await caller.post("message/update_template_card", update, access_token=token))["errcode"]
        for _ in range(2)
    ]

    said = bot.deliveries[-1].plaintext
    for part in ("<EventKey><![CDATA[submit]]>", "<TaskId><![CDATA[t-1]]>", "<OptionId><![CDATA[b]]>"):
        assert part in said
    assert codes == [0, 40058]
    assert sandbox.line(line).fields["replaced_button"] == "已提交"
    assert sandbox.room("app").violations == {"message/update_template_card:response_code": 1}


async def test_a_click_answered_with_a_card_changes_it(
    caller: Caller, token: str, sandbox: Sandbox, bot: EchoBot
) -> None:
    await caller.app_send(token, msgtype="template_card", template_card=CARD)
    (line,) = sandbox.inbox("app", "xiaoming")
    bot.answer = lambda _: "placeholder"
    card = (
        "<TemplateCard><CardType>text_notice</CardType>"
        "<MainTitle><Title><![CDATA[谢谢]]></Title></MainTitle></TemplateCard>"
    )
    bot.edit = lambda inner: inner.replace("[text]", "[update_template_card]").replace(
        "</xml>", card + "</xml>"
    )

    outcome = await sandbox.click(line, "submit", selections={"q": ["a"]})

    assert outcome.status == "answered", outcome.problem
    assert sandbox.line(line).fields == {"card_type": "text_notice", "main_title": {"title": "谢谢"}}


@pytest.mark.parametrize(
    ("fields", "errcode", "limit"),
    [
        ({"toparty": "|".join(map(str, range(101)))}, 40058, "receivers"),
        ({"msgtype": "news", "news": {"articles": [{"title": "x"}] * 9}}, 45008, "articles"),
        (
            {"msgtype": "template_card", "template_card": {**CARD, "task_id": "x" * 129}},
            40058,
            "card_task_id",
        ),
        (
            {"msgtype": "template_card", "template_card": {**CARD, "jump_list": [{}] * 4}},
            40058,
            "card_jump_list",
        ),
    ],
    ids=lambda value: str(value)[:25],
)
async def test_a_message_over_a_limit_is_refused_and_counted(
    fields: dict[str, Any], errcode: int, limit: str, caller: Caller, token: str, sandbox: Sandbox
) -> None:
    assert (await caller.app_send(token, **fields))["errcode"] == errcode

    assert sandbox.room("app").violations == {f"message/send:{limit}": 1}


async def test_two_hundred_person_times_a_day_go_out_for_each_account(
    caller: Caller, token: str, sandbox: Sandbox
) -> None:
    codes = [(await caller.app_send(token, touser="ana|aqiang"))["errcode"] for _ in range(101)]

    assert codes == [0] * 100 + [45009]
    assert sandbox.room("app").violations["message/send:person_times_per_day"] == 1


async def test_ten_thousand_calls_a_minute_may_be_made(caller: Caller, token: str, sandbox: Sandbox) -> None:
    room = sandbox.room("app")
    room.call_rate("message/send").over(sandbox.clock.now_ms(), 10_000)

    assert (await caller.app_send(token))["errcode"] == 45009
    assert room.violations == {"message/send:calls_per_minute": 1}


async def test_a_call_that_hangs_is_never_answered(caller: Caller, token: str, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("app", "message/send", hang=True, acted=True))

    calling = asyncio.create_task(caller.app_send(token))
    (line,) = await sandbox.wait_for_inbox("app", "xiaoming")
    await caller.app_send(token, touser="ana")

    assert line.text == "hi"
    assert not calling.done()
    calling.cancel()


async def test_two_thousand_bad_calls_an_hour_block_the_company_for_an_hour(
    caller: Caller, token: str, sandbox: Sandbox
) -> None:
    sandbox.room("app").bad_calls.over(sandbox.clock.now_ms(), 2000)

    codes = [(await caller.app_send(token, agentid=1))["errcode"], (await caller.app_send(token))["errcode"]]
    sandbox.move_clock(3_600_000)

    assert codes == [40056, 45009]
    assert (await caller.app_send(token))["errcode"] == 0
    assert sandbox.violations() == {"message/send:bad_calls_per_hour": 1}


async def test_every_call_and_its_error_code_is_counted(caller: Caller, token: str, sandbox: Sandbox) -> None:
    await caller.app_send(token)
    await caller.app_send(token, agentid=1)
    await caller.app_send("other")
    await _send(caller, token, "nowhere")

    assert sandbox.exercised() == {
        "appchat/send": {86003: 1}, "gettoken": {0: 1}, "message/send": {0: 1, 40056: 1},
    }  # fmt: skip
