"""退订, 订阅, 静音, 恢复: what people and managers say about being told unprompted, and what it does."""

from __future__ import annotations

from datetime import timedelta

from bot.delivery.compose import Composer, Unprompted
from bot.delivery.division import REST_DELAY_MS
from bot.delivery.way import NoWay
from bot.model import Text
from bot.storage.redis.deliveries import Delivery
from bot.testing import CHANNEL, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY, say_in


async def ask_in(chat: FakeChat, group: str, user_id: str, text: str) -> str:
    """Let somebody say something in a group, and return what is said there, which an app sends later."""
    await say_in(chat, group, user_id, text)
    chat.pass_time(timedelta(milliseconds=REST_DELAY_MS))
    await chat.deliver()
    return chat.transcript[-1][1]


async def tell(chat: FakeChat, who: str = "", *, group: str = "") -> bool:
    """Let the product say something unprompted; whether it was said."""
    before = len(chat.transcript)
    wish = Unprompted(
        request_id=f"r{before}-{who}-{group}", community=COMMUNITY, channel=CHANNEL,
        parts=(Text("今晚开奖"),), user_id=who, group_id=group,
    )  # fmt: skip
    now_ms = chat.clock.now_ms()
    made: Delivery | NoWay = Composer(chat.service.parts.abilities).unprompted(wish, now_ms)
    assert isinstance(made, Delivery)
    assert await chat.service.deliveries.create(made, now_ms)
    await chat.deliver()
    return [text for _, text in chat.transcript[before:]] == ["今晚开奖"]


async def test_a_member_opts_out_and_in_again(chat: FakeChat) -> None:
    assert await tell(chat, "alice")
    assert (await chat.say("alice", "退订") or "") == (
        "已退订：我不会再主动私信你，你发的消息我照常回答。群里的公告不受影响。\n想重新收到，发「订阅」。"
    )
    assert not await tell(chat, "alice")
    assert await tell(chat, "bob")
    assert (await chat.say("alice", "积分") or "").startswith("你现在有 0 积分")

    assert (await chat.say("alice", "订阅") or "").startswith("已订阅：")
    assert await tell(chat, "alice")


async def test_an_old_wish_that_comes_again_does_not_undo_a_newer_one(chat: FakeChat) -> None:
    first = await chat.say("alice", "退订", message_id="m1")
    await chat.say("alice", "订阅", message_id="m2")
    assert await chat.say("alice", "退订", message_id="m1") == first
    assert await tell(chat, "alice")


async def test_a_manager_mutes_one_group_and_ends_it_there(chat: FakeChat) -> None:
    assert (await ask_in(chat, "g1", "ana", "静音")).startswith("已静音：我不会在这个群里主动发言")
    assert not await tell(chat, group="g1")
    assert await tell(chat, group="g2")
    assert await tell(chat, "alice")
    assert (await ask_in(chat, "g1", "ana", "恢复")).startswith("已恢复：我可以在这个群里")
    assert await tell(chat, group="g1")


async def test_a_manager_mutes_the_whole_community_in_a_direct_chat(chat: FakeChat) -> None:
    assert (await chat.say("ana", "静音") or "").startswith("已静音：整个社群")
    assert not await tell(chat, "alice")
    assert not await tell(chat, group="g1")
    assert "管理员暂时把整个社群静音了" in (await chat.say("alice", "订阅") or "")
    assert "不过整个社群还在静音中" in (await ask_in(chat, "g1", "ana", "恢复"))
    assert (await chat.say("ana", "恢复") or "").startswith("已恢复：整个社群")
    assert await tell(chat, "alice")


async def test_only_managers_mute(chat: FakeChat) -> None:
    assert (await chat.say("alice", "静音") or "").startswith("这个命令只有社群管理员可以用")
    assert await tell(chat, "alice")


async def test_every_answer_says_how_to_undo_it_in_english_too(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"language": "en"}) as chat:
        for said, undo in (
            ("unsubscribe", '"subscribe"'),
            ("subscribe", '"unsubscribe"'),
            ("mute", '"unmute"'),
            ("unmute", '"mute"'),
        ):
            assert undo in (await chat.say("ana", said) or "")
            assert undo in await ask_in(chat, "g", "ana", said)


async def test_at_night_a_question_is_answered_and_nothing_else_is_said(chat: FakeChat) -> None:
    chat.pass_time(timedelta(hours=11))
    assert not await tell(chat, "alice")
    assert (await chat.say("alice", "积分") or "").startswith("你现在有 0 积分")
    chat.pass_time(timedelta(hours=9))
    await chat.deliver()
    assert chat.transcript[-1][1] == "今晚开奖"
