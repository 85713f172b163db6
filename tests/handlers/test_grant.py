"""加分: a manager gives and takes points by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.model import Subscribed
from bot.testing import BOT, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import balance, introduce, ledger

FORM = (
    "要这样写：加分 成员 数 理由\n"
    "例如：加分 ana 20 晒单奖励\n"
    "成员写名字或账号，数写成负数就是扣分，理由可以不写。"
)  # fmt: skip
BAD_NUMBER = "数要写成 1 到 1000000000 的整数（扣分写负数），例如：加分 ana 20 晒单奖励"


async def test_a_manager_gives_and_takes_points_and_the_ledger_knows_who_and_why(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    await chat.say("ana", "加分 alice 20 晒单奖励")
    await chat.say("ana", "加分 alice -5")

    assert chat.transcript[1:] == [
        ("ana", "加分 alice 20 晒单奖励"), (BOT, "已给 alice 加 20 积分，对方现有 20 积分。理由：晒单奖励"),
        ("ana", "加分 alice -5"), (BOT, "已扣 alice 5 积分，对方现有 15 积分。理由：未填写"),
    ]  # fmt: skip
    given, taken = await ledger(chat)
    assert (given.member, given.delta, given.reason, given.operator, given.note) == (
        "app:alice", 20, "grant", "app:ana", "晒单奖励",
    )  # fmt: skip
    assert (taken.delta, taken.note) == (-5, "")


async def test_only_managers_may(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    refusal = "这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
    for text in ("加分 alice 100", "加分", "关键词 a=b", "删关键词 a"):
        assert await chat.say("alice", text) == refusal
    assert await ledger(chat) == []


async def test_the_same_message_gives_once_however_often_it_comes(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    first = await chat.say("ana", "加分 alice 20", message_id="m")
    repeats = await asyncio.gather(*(chat.say("ana", "加分 alice 20", message_id="m") for _ in range(20)))

    assert set(repeats) == {first}
    assert await balance(chat, "alice") == 20


async def test_the_same_words_again_are_another_message_and_give_again(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    await chat.say("ana", "加分 alice 20")
    await chat.say("ana", "加分 alice 20")
    assert await balance(chat, "alice") == 40


ORDERS = (
    ("加分 alice +7", 7, ""),
    ("加分　ａｌｉｃｅ　＋７　辛苦了，谢谢！", 7, "辛苦了，谢谢！"),
    ("加分 @alice 7 2 张照片", 7, "2 张照片"),
    ("加分 app:alice 7分", 7, ""),
    ("/加分   alice\n7\n第一行\n 第二行", 7, "第一行\n 第二行"),
    ("grant alice 0007", 7, ""),
    ("加分 alice －３", -3, ""),
    ("加分 alice −3 {points}", -3, "{points}"),
)
NO_NUMBERS = (
    "很多", "0", "-0", "1.5", "1000000001", "-1000000001", "9" * 4400, "+-5", "5元", "０", "1e3", "--5", "²"
)  # fmt: skip


async def test_an_order_has_many_spellings(chat: FakeChat) -> None:
    await chat.say("alice", "签到")
    for order, points, note in ORDERS:
        chat.pass_time(timedelta(seconds=1))
        await chat.say("ana", order)
        entry = (await ledger(chat, "alice"))[-1]
        assert (entry.delta, entry.note) == (points, note), order


async def test_half_an_order_is_answered_with_the_right_form(chat: FakeChat) -> None:
    for order in ("加分", "加分 alice", "/加分", "加分 20"):
        assert await chat.say("ana", order) == FORM, order


async def test_a_forgotten_space_is_answered_with_the_right_form_but_to_managers_only(chat: FakeChat) -> None:
    for order in ("加分alice 20", "加分alice20", "加分：alice 20"):
        assert await chat.say("ana", order) == FORM, order
        assert await chat.say("alice", order) is None, order


async def test_what_is_no_such_number_changes_nothing(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    for number in NO_NUMBERS:
        assert await chat.say("ana", f"加分 alice {number} 理由") == BAD_NUMBER, number
    assert await ledger(chat) == []


async def test_the_largest_number_is_given_exactly_and_again(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    for _ in range(3):
        await chat.say("ana", "加分 alice 1000000000")
    assert await balance(chat, "alice") == 3_000_000_000
    assert (await chat.say("alice", "排行") or "").splitlines()[1] == "1. alice　3000000000 分"


async def test_no_more_is_taken_than_there_is(chat: FakeChat) -> None:
    await chat.say("alice", "签到")
    assert await chat.say("ana", "加分 alice -11") == (
        "没有扣成：alice 现有 10 积分，不够扣 11。请改小一点再发一次。"
    )
    assert await chat.say("ana", "加分 alice -10") == "已扣 alice 10 积分，对方现有 0 积分。理由：未填写"
    assert await balance(chat, "alice") == 0


async def test_a_member_the_bot_has_never_met_is_not_found(chat: FakeChat) -> None:
    assert await chat.say("ana", "加分 nobody 20") == (
        "没有找到成员「nobody」。请核对名字或账号；对方要先和我说过话，我才认得。"
    )


async def test_who_only_followed_or_only_wrote_is_found_at_once(chat: FakeChat) -> None:
    await chat.send("follower", Subscribed())
    await chat.say("writer", "大家好")
    for member in ("follower", "writer"):
        assert (await chat.say("ana", f"加分 {member} 5") or "").startswith(f"已给 {member} 加 5 积分")


async def test_members_are_found_by_names_also_with_spaces_and_full_width_signs(chat: FakeChat) -> None:
    await introduce(chat, "u1", "Li Hua")
    await introduce(chat, "u2", "小明（客服）")
    assert await chat.say("ana", "加分 Li Hua 5 谢谢") == "已给 Li Hua 加 5 积分，对方现有 5 积分。理由：谢谢"
    assert (await chat.say("ana", "加分 小明（客服） 6") or "").startswith("已给 小明（客服） 加 6 积分")
    assert [await balance(chat, "u1"), await balance(chat, "u2")] == [5, 6]


async def test_of_two_members_of_one_name_the_account_decides(chat: FakeChat) -> None:
    """Keyed on nicknames, two people of one name would be one."""
    await introduce(chat, "u1", "小明")
    await introduce(chat, "u2", "小明")
    assert await chat.say("ana", "加分 小明 5") == "有 2 位成员叫「小明」。请写账号再发一次：app:u1、app:u2"
    assert await chat.say("ana", "加分 app:u2 5") == "已给 小明 加 5 积分，对方现有 5 积分。理由：未填写"
    assert [await balance(chat, "u1"), await balance(chat, "u2")] == [0, 5]


async def test_managers_may_name_themselves(chat: FakeChat) -> None:
    assert (await chat.say("ana", "加分 ana 5") or "").startswith("已给 ana 加 5 积分")


async def test_an_english_community_is_answered_in_english(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"language": "en"}) as chat:
        await chat.say("bob", "hi")
        assert await chat.say("bob", "grant bob 5") == (
            'Only managers of this community can use that. Send "help" to see what you can do.'
        )
        assert await chat.say("ana", "grant bob 5 nice photo") == (
            "Gave bob 5 points; they have 5 now. Reason: nice photo"
        )
        assert await chat.say("ana", "GRANT bob -6") == (
            "Nothing was taken: bob has 5 points, less than 6. Please try a smaller number."
        )
        assert await chat.say("ana", "grant bob -5") == (
            "Took 5 points from bob; they have 0 now. Reason: none given"
        )
