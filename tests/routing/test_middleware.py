"""What every handler is wrapped in, met through a chat."""

from __future__ import annotations

import pytest
import structlog.testing

from bot.codec import EventCodec
from bot.errors import RefusedError, StoreUnavailableError
from bot.model import Entered, Reply, TextMessage
from bot.routing.context import Context
from bot.routing.router import Router
from bot.testing import FakeChat, Stores
from bot.wiring import MIDDLEWARES

FAILED = "抱歉，刚才出了点问题，已经记下来了。请过一会儿再试一次。"


def feature() -> Router:
    router = Router("feature")

    @router.command("你是谁")
    async def role(ctx: Context) -> Reply:
        return Reply.text(f"{ctx.language} {'manager' if ctx.is_manager else 'member'}")

    @router.command("关门", for_managers=True)
    async def close(_: Context) -> Reply:
        return Reply.text("关门了")

    @router.command("出错", takes_text=True)
    async def fail(ctx: Context) -> Reply:
        faults: dict[str, BaseException] = {
            "refused": RefusedError("不可以"),
            "timeout": TimeoutError(),
            "away": StoreUnavailableError("away"),
        }
        raise faults.get(ctx.rest) or ZeroDivisionError(ctx.event.content)

    @router.on(Entered)
    async def enter(_: Context) -> Reply:
        return Reply.text("来了")

    return router


def test_the_order_stands_in_one_place() -> None:
    """Errors outermost, so that nothing escapes them; the language before anything speaks."""
    assert [step.__name__ for step in MIDDLEWARES] == [
        "answer_errors",
        "choose_language",
        "name_in_group",
        "limit_rate",
        "know_role",
    ]


async def test_a_handler_knows_language_and_role(stores: Stores) -> None:
    async with FakeChat([feature()], managers=["ana"], community={"language": "en"}, stores=stores) as chat:
        assert await chat.say("ana", "你是谁") == "en manager"
        assert await chat.say("alice", "你是谁") == "en member"


async def test_a_command_for_managers_is_for_managers(stores: Stores) -> None:
    async with FakeChat([feature()], managers=["ana"], stores=stores) as chat:
        assert await chat.say("ana", "关门") == "关门了"
        assert await chat.say("alice", "关门") == "这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"


@pytest.mark.parametrize("fault", ["", "timeout"])
async def test_a_fault_becomes_an_apology_and_its_log_line_has_no_text_of_the_member(
    stores: Stores, fault: str
) -> None:
    async with FakeChat([feature()], stores=stores) as chat:
        with structlog.testing.capture_logs() as lines:
            assert await chat.say("alice", f"出错 {fault}", message_id="m") == FAILED
    assert [line["event"] for line in lines] == ["handler failed"]
    assert all("出错" not in str(value) for key, value in lines[0].items() if key != "exc_info")


async def test_a_refusal_becomes_its_text(stores: Stores) -> None:
    async with FakeChat([feature()], stores=stores) as chat:
        assert await chat.say("alice", "出错 refused") == "不可以"


async def test_a_store_that_is_away_is_no_answer_so_that_the_platform_repeats(stores: Stores) -> None:
    async with FakeChat([feature()], stores=stores) as chat:
        for _ in range(2):  # the event stays open
            with pytest.raises(StoreUnavailableError):
                await chat.say("alice", "出错 away", message_id="m")
    assert chat.transcript == []


async def test_the_rate_is_of_the_member_and_the_notice_comes_once(stores: Stores) -> None:
    async with FakeChat([feature()], server={"member_rate_per_min": 2}, stores=stores) as chat:
        said = [await chat.say("alice", "你是谁") for _ in range(5)]
        other = await chat.say("bob", "你是谁")
    assert said == ["zh-CN member"] * 2 + ["发得太快啦，这一分钟里先不回复你了，休息一下再来吧。", None, None]
    assert other == "zh-CN member"


async def test_messages_nobody_answers_count_and_reports_are_always_worked(stores: Stores) -> None:
    async with FakeChat([feature()], server={"member_rate_per_min": 1}, stores=stores) as chat:
        assert await chat.say("alice", "大家好") is None
        assert (await chat.say("alice", "大家好") or "").startswith("发得太快啦")
        assert await chat.say("alice", "你是谁") is None
        assert await chat.send("alice", Entered()) == "来了"


async def test_a_handler_that_ended_its_process_each_time_is_given_up_in_the_language_of_the_community(
    stores: Stores,
) -> None:
    async with FakeChat([feature()], community={"language": "en"}, stores=stores) as chat:
        parts, event = chat.service.parts, chat.event("alice", TextMessage("你是谁"))
        case = parts.case(parts.platforms["app"], event, chat.clock.now_ms())
        await parts.stores.inbox.take(case.ticket, case.now_ms)
        await parts.stores.inbox.defer(case.ticket, case.now_ms, 1, EventCodec().encode(event))
        await chat.service.line.work.give_up(EventCodec().encode(event))
        await chat.deliver()
    assert chat.transcript == [
        ("bot", "Sorry, something went wrong just now. It has been noted; please try again in a moment.")
    ]
