"""`FakeChat` as people use it who write handlers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.catalog import load_catalog
from bot.errors import ConfigError
from bot.model import Entered, Image, ImageMessage, Reply, Subscribed, Text, Unsubscribed
from bot.routing.context import Context
from bot.routing.router import Router
from bot.testing import BOT, BOT_CHANNEL, CHANNEL, START, FakeChat, Stores


def dice() -> Router:
    """A feature as an author would write it."""
    router = Router("dice")

    @router.command("骰子", "dice")
    async def roll(ctx: Context) -> Reply:
        return Reply.text(f"{ctx.event.user_id} 掷出了 4 点")

    @router.command("图")
    async def picture(_: Context) -> Reply:
        return Reply((Text("看："), Image("media-1")))

    @router.command("时间")
    async def clock(ctx: Context) -> Reply:
        return Reply.text(f"{ctx.calendar.local(ctx.event.sent_at_ms):%Y-%m-%d %H:%M}，{ctx.day.iso}")

    @router.command("开门", for_managers=True)
    async def open_door(_: Context) -> Reply:
        return Reply.text("开了")

    @router.on(ImageMessage)
    async def like(_: Context) -> Reply:
        return Reply.text("好看")

    @router.on(Unsubscribed)
    async def miss(_: Context) -> Reply:
        return Reply.text("听不见了")

    return router


async def test_a_conversation_needs_nothing_but_the_router() -> None:
    """The example of the module's own documentation, on stores of its own, which are gone afterwards."""
    async with FakeChat([dice()]) as chat:
        assert await chat.say("alice", "骰子") == "alice 掷出了 4 点"
        chat.pass_time(timedelta(days=1))
        assert await chat.say("bob", "谢谢") is None
        assert chat.transcript == [("alice", "骰子"), (BOT, "alice 掷出了 4 点"), ("bob", "谢谢")]
        with pytest.raises(ConfigError):
            async with FakeChat([dice(), dice()]):
                pass


async def test_the_clock_is_the_authors(stores: Stores) -> None:
    assert datetime(2026, 3, 2, 4, tzinfo=UTC) == START
    async with FakeChat([dice()], stores=stores) as chat:
        assert await chat.say("alice", "时间") == "2026-03-02 12:00，2026-03-02"
        chat.pass_time(timedelta(hours=12, minutes=1))
        assert await chat.say("alice", "时间") == "2026-03-03 00:01，2026-03-03"
        chat.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
        assert await chat.say("alice", "时间") == "2030-01-01 08:00，2030-01-01"
        assert await chat.say("alice", "时间", at=START) == "2026-03-02 12:00，2026-03-02"


async def test_the_community_is_the_authors(stores: Stores) -> None:
    own = {"time_zone": "Europe/Berlin", "day_start": "06:00", "language": "en"}
    at = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
    async with FakeChat([dice()], at=at, managers=["ana"], community=own, stores=stores) as chat:
        assert await chat.say("alice", "时间") == "2026-03-02 05:30，2026-03-01"
        assert await chat.say("ana", "开门") == "开了"
        assert (await chat.say("alice", "开门") or "").startswith("Only managers")


async def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="day_begins"):
        FakeChat([dice()], community={"day_begins": "06:00"})
    with pytest.raises(ValueError, match="workerz"):
        FakeChat([dice()], server={"workerz": 3})
    with pytest.raises(ValueError, match="aware"):
        FakeChat([dice()], at=datetime(2026, 3, 2))  # noqa: DTZ001 - that is the point


async def test_the_same_message_id_is_the_same_message(stores: Stores) -> None:
    async with FakeChat([dice()], stores=stores) as chat:
        named = [await chat.say("alice", text, message_id="1") for text in ("骰子", "骰子", "时间")]
        assert named == ["alice 掷出了 4 点"] * 3
        assert await chat.say("bob", "骰子", message_id="1") == "bob 掷出了 4 点"
        assert await chat.say("alice", "时间") == "2026-03-02 12:00，2026-03-02"
        chat.pass_time(timedelta(minutes=11))
        assert await chat.say("alice", "骰子", message_id="1") is None


async def test_anything_may_come_from_a_member(stores: Stores) -> None:
    async with FakeChat([dice()], stores=stores) as chat:
        assert await chat.send("alice", ImageMessage("http://image", "media")) == "好看"
        assert await chat.send("alice", Subscribed()) is None
        assert await chat.send("alice", Entered()) is None
    assert chat.transcript == [
        ("alice", "[image]"), (BOT, "好看"), ("alice", "[subscribe]"), ("alice", "[enter]"),
    ]  # fmt: skip


async def test_what_the_bot_sends_later_stands_in_the_transcript_when_it_is_due(stores: Stores) -> None:
    async with FakeChat([dice()], stores=stores) as chat:
        assert await chat.say("alice", "图") == "看："
        await chat.deliver()
        assert chat.transcript[-1] == (BOT, "看：")
        chat.pass_time(timedelta(seconds=2))
        await chat.deliver()
        await chat.deliver()
    assert chat.transcript == [("alice", "图"), (BOT, "看："), (BOT, "[image]")]


async def test_a_reply_that_the_platform_shows_nobody_goes_out_as_a_message(stores: Stores) -> None:
    """An unsubscribe has no HTTP answer; whether the message still arrives is the platform's business."""
    async with FakeChat([dice()], stores=stores) as chat:
        assert await chat.send("alice", Unsubscribed()) is None
        chat.pass_time(timedelta(seconds=2))
        await chat.deliver()
    assert chat.transcript == [("alice", "[unsubscribe]"), (BOT, "听不见了")]


async def test_a_handler_slower_than_the_deadline_answers_later_and_once(stores: Stores) -> None:
    slow, may_go = Router("slow"), asyncio.Event()

    @slow.command("慢")
    async def think(_: Context) -> Reply:
        await may_go.wait()
        return Reply.text("想好了")

    async with FakeChat([slow], server={"soft_deadline_s": 0.05}, stores=stores) as chat:
        assert await chat.say("alice", "慢", message_id="m") is None
        assert await chat.say("alice", "慢", message_id="m") is None
        may_go.set()
        await chat.service.line.work.finish(grace_s=5)
        await chat.deliver()
        await chat.deliver()
    assert chat.transcript == [("alice", "慢"), ("alice", "慢"), (BOT, "想好了")]


async def test_a_slow_handler_does_not_hold_up_other_members(stores: Stores) -> None:
    slow, may_go = Router("slow"), asyncio.Event()

    @slow.command("慢")
    async def think(_: Context) -> Reply:
        await may_go.wait()
        return Reply.text("想好了")

    async with FakeChat([slow, dice()], stores=stores) as chat:
        waiting = asyncio.create_task(chat.say("alice", "慢"))
        assert await chat.say("bob", "骰子") == "bob 掷出了 4 点"
        behind = asyncio.create_task(chat.say("alice", "骰子"))
        await asyncio.sleep(0)
        may_go.set()
        assert await waiting == "想好了"
        assert await behind == "alice 掷出了 4 点"


async def test_texts_may_be_the_authors(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "zh-CN").mkdir()
    (tmp_path / "zh-CN" / "shop.yaml").write_text("shop.open: '{name}，商店开门了'\n", "utf-8")
    shop = Router("shop")

    @shop.command("商店")
    async def visit(ctx: Context) -> Reply:
        return ctx.say("shop.open", name=ctx.event.user_id)

    async with FakeChat([shop], catalog=load_catalog(tmp_path), stores=stores) as chat:
        assert await chat.say("alice", "商店") == "alice，商店开门了"


async def test_handlers_find_every_store_and_a_second_chat_finds_what_the_first_left(stores: Stores) -> None:
    counter = Router("counter")

    @counter.command("领")
    async def take(ctx: Context) -> Reply:
        granted = await ctx.stores.points.grant(
            ctx.community, ctx.event.member_id, 5,
            reason="counter", cause=ctx.event.id, day=ctx.day, at_ms=ctx.event.sent_at_ms,
        )  # fmt: skip
        return Reply.text(f"现有 {granted.balance}")

    async with FakeChat([counter], stores=stores) as chat:
        assert await chat.say("alice", "领", message_id="1") == "现有 5"
    async with FakeChat([counter], stores=stores) as chat:
        assert await chat.say("alice", "领", message_id="2") == "现有 10"
        assert chat.event("alice", Subscribed()).member_id == f"{CHANNEL}:alice"


# ---------------------------------------------------------------- groups


async def test_a_group_is_a_chat_of_the_ai_bot(stores: Stores) -> None:
    where = Router("where")

    @where.command("在哪")
    async def tell(ctx: Context) -> Reply:
        event = ctx.event
        return Reply.text(f"{event.channel}/{event.group_id}/{event.member_id}/{bool(event.answer_to)}")

    async with FakeChat([where], stores=stores) as chat:
        assert await chat.say("alice", "在哪", group="g1") == "bot/g1/bot:alice/True"
        assert await chat.direct("alice", "在哪") == "bot//bot:alice/True"
        assert await chat.say("alice", "在哪") == "app//app:alice/False"
    assert [who for who, _ in chat.transcript] == ["alice@g1", f"{BOT}@g1", "alice", BOT, "alice", BOT]


async def test_managers_are_managers_in_groups_too(stores: Stores) -> None:
    async with FakeChat([dice()], managers=["ana"], stores=stores) as chat:
        assert await chat.say("ana", "开门", group="g1") == "开了"
        assert (await chat.say("bob", "开门", group="g1") or "").startswith("bob，这个命令只有")


async def test_members_of_a_group_send_pictures_and_repeat_themselves(stores: Stores) -> None:
    picture = ImageMessage("http://image", "media")
    async with FakeChat([dice()], stores=stores) as chat:
        assert await chat.send("alice", picture, group="g1") == "好看"
        assert await chat.send("alice", Entered(), channel=BOT_CHANNEL) is None
        said = [await chat.say("alice", text, group="g1", message_id="1") for text in ("骰子", "时间")]
    assert said == ["alice 掷出了 4 点"] * 2


async def test_a_late_answer_of_a_group_comes_to_the_group(stores: Stores) -> None:
    slow, may_go = Router("slow"), asyncio.Event()

    @slow.command("慢")
    async def think(_: Context) -> Reply:
        await may_go.wait()
        return Reply.text("想好了")

    async with FakeChat([slow], server={"soft_deadline_s": 0.05}, stores=stores) as chat:
        assert await chat.say("alice", "慢", group="g1") is None
        may_go.set()
        await chat.service.line.work.finish(grace_s=5)
        await chat.deliver()
    assert chat.transcript == [("alice@g1", "慢"), (f"{BOT}@g1", "想好了")]
