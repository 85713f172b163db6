"""Talks in several steps, as authors of handlers write them and members have them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import structlog.testing

from bot.errors import ConfigError, StoreUnavailableError
from bot.late_worker import LateWorker
from bot.model import ImageMessage, MixedMessage, Reply, Subscribed, TextMessage, VoiceMessage
from bot.routing.context import Context, Question
from bot.routing.router import Route, Router
from bot.storage.redis.inbox import Inbox
from bot.testing import BOT, FakeChat, Stores
from bot.work import LEASE_MS

FAILED = "抱歉，刚才出了点问题，已经记下来了。请过一会儿再试一次。"


def shop() -> Router:
    """A feature that takes an order: what, how many, and then a reward for the order."""
    router = Router("shop")

    @router.command("下单")
    async def begin(ctx: Context) -> Reply:
        return ctx.ask("买什么？", step="shop.what")

    @router.step("shop.what", takes=[ImageMessage])
    async def what(ctx: Context) -> Reply:
        if isinstance(ctx.event.content, ImageMessage):
            return Reply.text("好看，但请写字。")
        return ctx.ask(f"{ctx.said}，要几箱？", step="shop.count", data={"what": ctx.said}, expires_s=60)

    @router.step("shop.count")
    async def count(ctx: Context) -> Reply:
        talk = ctx.conversation
        assert talk is not None
        if not ctx.said.isdecimal():
            return Reply.text("请写数字。")
        granted = await ctx.stores.points.grant(
            ctx.community, ctx.event.member_id, 1,
            reason="order", cause=f"order:{talk.set_by}", day=ctx.day, at_ms=ctx.event.sent_at_ms,
        )  # fmt: skip
        return ctx.end(f"{talk.data['what']} {ctx.said} 箱，记下了，积分 {granted.balance}。")

    @router.command("到哪了")
    async def where(ctx: Context) -> Reply:
        return Reply.text(ctx.conversation.step if ctx.conversation else "没有在谈")

    @router.command("算了")
    async def stop(ctx: Context) -> Reply:
        return ctx.end("好的。")

    @router.text
    def milk(question: Question) -> Route | None:
        return Route("shop.milk", constant=Reply.text("鲜奶很好")) if question.text == "鲜奶" else None

    return router


async def test_what_a_member_says_next_goes_to_the_step(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as chat:
        for text in ("鲜奶", "下单", "鲜奶", "3", "鲜奶"):
            await chat.say("alice", text)
    assert chat.transcript == [
        ("alice", "鲜奶"), (BOT, "鲜奶很好"),
        ("alice", "下单"), (BOT, "买什么？"),
        ("alice", "鲜奶"), (BOT, "鲜奶，要几箱？"),
        ("alice", "3"), (BOT, "鲜奶 3 箱，记下了，积分 1。"),
        ("alice", "鲜奶"), (BOT, "鲜奶很好"),
    ]  # fmt: skip


async def test_a_reply_without_a_turn_leaves_the_conversation_and_its_end(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as chat:
        for text in ("下单", "鲜奶"):
            await chat.say("alice", text)
        chat.pass_time(timedelta(seconds=59))
        assert await chat.say("alice", "很多") == "请写数字。"
        assert await chat.say("alice", "到哪了") == "shop.count"
        chat.pass_time(timedelta(seconds=1))
        assert await chat.say("alice", "3") is None
        assert await chat.say("alice", "到哪了") == "没有在谈"


async def test_words_as_sent_reach_the_step_without_the_mention(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as chat:
        await chat.say("alice", "下单")
        assert await chat.say("alice", "@小助手\u2005 ＡＢＣ，ｄ ") == "ＡＢＣ，ｄ，要几箱？"


async def test_other_kinds_of_messages_reach_a_step_that_takes_them(stores: Stores) -> None:
    picture = ImageMessage("http://image", "media")
    async with FakeChat([shop()], stores=stores) as chat:
        assert await chat.send("alice", picture) is None
        await chat.say("alice", "下单")
        assert await chat.send("alice", picture) == "好看，但请写字。"
        assert await chat.send("alice", Subscribed()) is None
        await chat.say("alice", "鲜奶")
        assert await chat.send("alice", picture) is None
        assert await chat.say("alice", "3") == "鲜奶 3 箱，记下了，积分 1。"


async def test_words_of_any_kind_of_message_answer_the_step(stores: Stores) -> None:
    """What a voice message says, and the words beside a picture."""
    picture = ImageMessage("http://image", "media")
    async with FakeChat([shop()], stores=stores) as chat:
        await chat.say("alice", "下单", group="g1")
        assert (
            await chat.send("alice", VoiceMessage("v", "amr", "鲜奶"), group="g1") == "alice，鲜奶，要几箱？"
        )
        assert await chat.send("alice", VoiceMessage("v", "amr"), group="g1") is None
        mixed = MixedMessage((TextMessage("3"), picture))
        assert await chat.send("alice", mixed, group="g1") == "alice，鲜奶 3 箱，记下了，积分 1。"
        await chat.say("alice", "下单", group="g1")
        assert (
            await chat.send("alice", VoiceMessage("v", "amr", "取消"), group="g1") == "alice，好的，已取消。"
        )


async def test_a_command_sees_the_conversation_and_may_end_it(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as chat:
        assert await chat.say("alice", "算了") == "好的。"
        await chat.say("alice", "下单")
        assert await chat.say("alice", "/到哪了") == "shop.what"
        assert await chat.say("alice", "算了") == "好的。"
        assert await chat.say("alice", "到哪了") == "没有在谈"


async def test_two_steps_of_one_name_are_an_error_at_start(stores: Stores) -> None:
    other = Router("other")

    @other.step("shop.what")
    async def what(_: Context) -> None: ...

    with pytest.raises(ConfigError) as raised:
        async with FakeChat([shop(), other], stores=stores):
            pass
    [fault] = raised.value.faults
    assert str(fault) == (
        "router other: other.what: the step shop.what is registered already by shop.what "
        "(choose another name, or leave one of the two routers out)"
    )
    with pytest.raises(ValueError, match="name without spaces"):
        other.step("two words")


async def test_a_step_that_nobody_answers_cannot_be_asked_for(stores: Stores) -> None:
    lost = Router("lost")

    @lost.command("问")
    async def ask(ctx: Context) -> Reply:
        return ctx.ask("？", step="lost.nowhere")

    async with FakeChat([lost], stores=stores) as chat:
        with structlog.testing.capture_logs() as lines:
            assert await chat.say("alice", "问") == FAILED
    assert "lost.nowhere" in str(lines[0]["exc_info"])


async def test_a_step_whose_feature_is_gone_is_forgotten(stores: Stores) -> None:
    rest = Router("rest")

    @rest.text
    def answer(question: Question) -> Route | None:
        return Route("rest.answer", constant=Reply.text("奶")) if question.text == "鲜奶" else None

    async with FakeChat([shop()], stores=stores) as chat:
        await chat.say("alice", "下单", message_id="1")
        await chat.say("bob", "下单", message_id="1")
    async with FakeChat([rest], stores=stores) as chat:
        assert await chat.say("alice", "鲜奶", message_id="2") == "奶"
        assert await chat.say("bob", "你好", message_id="2") is None
    async with FakeChat([shop()], stores=stores) as chat:
        assert await chat.say("alice", "到哪了", message_id="3") == "没有在谈"


async def test_two_members_of_a_group_talk_at_once_each_for_themselves(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as chat:
        for texts in (("下单", "下单"), ("鲜奶", "酸奶"), ("1", "2")):
            await asyncio.gather(
                *(chat.say(who, text, group="g1") for who, text in zip(("alice", "bob"), texts, strict=True))
            )
    said = [text for who, text in chat.transcript if who == f"{BOT}@g1"]
    assert set(said[:2]) == {"alice，买什么？", "bob，买什么？"}
    assert set(said[2:4]) == {"alice，鲜奶，要几箱？", "bob，酸奶，要几箱？"}
    assert set(said[4:]) == {"alice，鲜奶 1 箱，记下了，积分 1。", "bob，酸奶 2 箱，记下了，积分 1。"}


# ---------------------------------------------------------------- again, at once, late


async def test_a_step_that_dies_before_its_answer_is_decided_runs_again_as_if_for_the_first_time(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object, **__: object) -> None:
        raise StoreUnavailableError("away")

    async with FakeChat([shop()], stores=stores) as chat:
        for number, (text, answer) in enumerate(
            [("下单", "买什么？"), ("鲜奶", "鲜奶，要几箱？"), ("3", "鲜奶 3 箱，记下了，积分 1。")]
        ):
            for _ in range(2):
                monkeypatch.setattr(Inbox, "settle", lose)
                with pytest.raises(StoreUnavailableError):
                    await chat.say("alice", text, message_id=str(number))
            monkeypatch.undo()
            assert await chat.say("alice", text, message_id=str(number)) == answer
        assert await chat.say("alice", "到哪了") == "没有在谈"


async def test_two_messages_that_two_processes_handle_at_once_follow_one_another(stores: Stores) -> None:
    """Both find the question for a number; one answers it, the other is no answer to anything any more."""
    async with FakeChat([shop()], stores=stores) as here, FakeChat([shop()], stores=stores) as there:
        for round_ in range(15):
            await here.say("alice", "下单", message_id=f"{round_}a")
            await here.say("alice", "鲜奶", message_id=f"{round_}b")
            answers = await asyncio.gather(
                here.say("alice", "3", message_id=f"{round_}c"),
                there.say("alice", "4", message_id=f"{round_}d"),
            )
            said = [answer for answer in answers if answer]
            assert len(said) == 1, answers
            assert said[0].endswith(f"积分 {round_ + 1}。")


async def test_two_first_messages_at_once_are_steps_one_after_the_other(stores: Stores) -> None:
    async with FakeChat([shop()], stores=stores) as here, FakeChat([shop()], stores=stores) as there:
        for round_ in range(15):
            await here.say("alice", "下单", message_id=f"{round_}a")
            answers = await asyncio.gather(
                here.say("alice", "5", message_id=f"{round_}b"),
                there.say("alice", "6", message_id=f"{round_}c"),
            )
            sums = f"积分 {round_ + 1}。"
            assert sorted(answers, key=str) in (
                ["5 6 箱，记下了，" + sums, "5，要几箱？"], ["6 5 箱，记下了，" + sums, "6，要几箱？"],
            )  # fmt: skip


async def test_messages_of_one_process_wait_for_the_step_before(stores: Stores) -> None:
    slow, may_go = Router("slow"), asyncio.Event()

    @slow.command("慢")
    async def think(ctx: Context) -> Reply:
        await may_go.wait()
        return ctx.ask("说", step="slow.next")

    @slow.step("slow.next")
    async def following(ctx: Context) -> Reply:
        return ctx.end(f"你说{ctx.said}")

    @slow.text
    def other(question: Question) -> Route | None:
        return Route("slow.other", handler=late_answer) if question.text == "好" else None

    async def late_answer(_: Context) -> Reply:
        return Reply.text("不在谈")

    async with FakeChat([slow], stores=stores) as chat:
        first = asyncio.create_task(chat.say("alice", "慢"))
        await asyncio.sleep(0)
        second = asyncio.create_task(chat.say("alice", "好"))
        while sum(task.get_name().startswith("handle ") for task in asyncio.all_tasks()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        may_go.set()
        assert [await first, await second] == ["说", "你说好"]


def slow_shop(may_go: asyncio.Event) -> Router:
    """A step that looks something up for long."""
    router = Router("slow_shop")

    @router.command("下单")
    async def begin(ctx: Context) -> Reply:
        return ctx.ask("买什么？", step="slow.what")

    @router.step("slow.what")
    async def what(ctx: Context) -> Reply:
        await may_go.wait()
        return ctx.ask(f"{ctx.said}，要几箱？", step="slow.count", data={"what": ctx.said})

    @router.step("slow.count")
    async def count(ctx: Context) -> Reply:
        assert ctx.conversation is not None
        return ctx.end(f"{ctx.conversation.data['what']} {ctx.said} 箱")

    return router


async def test_a_slow_step_asks_later_and_the_talk_goes_on(stores: Stores) -> None:
    may_go = asyncio.Event()
    async with FakeChat([slow_shop(may_go)], server={"soft_deadline_s": 0.05}, stores=stores) as chat:
        await chat.say("alice", "下单")
        assert await chat.say("alice", "鲜奶", message_id="m") is None
        may_go.set()
        await chat.service.line.work.finish(grace_s=5)
        await chat.deliver()
        assert chat.transcript[-1] == (BOT, "鲜奶，要几箱？")
        assert await chat.say("alice", "鲜奶", message_id="m") is None
        assert await chat.say("alice", "3") == "鲜奶 3 箱"


async def test_a_slow_step_whose_process_died_is_taken_over_with_the_talk_as_it_was(stores: Stores) -> None:
    for_ever, may_go = asyncio.Event(), asyncio.Event()
    may_go.set()
    async with FakeChat([slow_shop(for_ever)], server={"soft_deadline_s": 0.05}, stores=stores) as dying:
        await dying.say("alice", "下单", message_id="1")
        assert await dying.say("alice", "鲜奶", message_id="2") is None
        for task in asyncio.all_tasks():
            if task.get_name().startswith(("handle ", "lease ")):
                task.cancel()
        async with FakeChat([slow_shop(may_go)], stores=stores) as chat:
            chat.pass_time(timedelta(milliseconds=LEASE_MS + 1))
            service = chat.service
            worker = LateWorker(service.line.work, service.parts.late, chat.clock)
            await worker.look()
            await chat.deliver()
            assert chat.transcript == [(BOT, "鲜奶，要几箱？")]
            assert await chat.say("alice", "3", message_id="3") == "鲜奶 3 箱"


async def test_a_late_step_that_others_overtook_is_handled_as_what_it_is_by_then(stores: Stores) -> None:
    """While the first answer is looked up, the second one has been taken as the answer to the question."""
    may_go = asyncio.Event()
    async with FakeChat([slow_shop(may_go)], server={"soft_deadline_s": 0.05}, stores=stores) as chat:
        await chat.say("alice", "下单")
        assert await chat.say("alice", "鲜奶") is None
        overtaking = asyncio.create_task(chat.say("alice", "取消"))
        assert await overtaking == "好的，已取消。"
        may_go.set()
        await chat.service.line.work.finish(grace_s=5)
        await chat.deliver()
        assert chat.transcript[-1] == (BOT, "好的，已取消。")
        assert await chat.say("alice", "3") is None
