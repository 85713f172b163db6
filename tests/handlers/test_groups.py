"""Every feature in the groups of an AI bot, where all read what one member asked."""

from __future__ import annotations

from datetime import timedelta

from bot.model import Entered
from bot.testing import BOT, BOT_CHANNEL, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY, add_rule, ledger

G1, G2 = f"{BOT}@g1", f"{BOT}@g2"


async def test_a_day_in_a_group(chat: FakeChat) -> None:
    """Answers about one member begin with their name, as the others read them too."""
    for who, text in [
        ("alice", "签到"), ("bob", "签到"), ("alice", "打卡"), ("bob", "积分"), ("alice", "补签"),
        ("bob", "明细"), ("bob", "你好"),
    ]:  # fmt: skip
        await chat.say(who, text, group="g1")
    checked_in = (
        "{who}，签到成功！今天第 {rank} 位，+10 积分，现有 10 积分。\n"
        "连续 1 天，累计 1 天。再连续 2 天可得奖励 10 积分。"
    )
    already = (
        "alice，今天已经签到过了（连续 1 天，累计 1 天，现有 10 积分），明天再来吧。\n"
        "发「日历」看本月签到，发「排行」看榜单。"
    )
    assert chat.transcript == [
        ("alice@g1", "签到"), (G1, checked_in.format(who="alice", rank=1)),
        ("bob@g1", "签到"), (G1, checked_in.format(who="bob", rank=2)),
        ("alice@g1", "打卡"),
        (G1, already),
        ("bob@g1", "积分"),
        (G1, "bob，你现在有 10 积分，总榜第 1 名。\n发「明细」看流水，发「排行」看榜单。"),
        ("alice@g1", "补签"),
        (G1, "alice，补签 2026-03-01 需要 50 积分，你现在有 10 积分。发「签到」先攒一攒。"),
        ("bob@g1", "明细"), (G1, "bob，积分明细（第 1 页，现有 10 积分）\n03-02 12:00　+10　签到"),
        ("bob@g1", "你好"),
    ]  # fmt: skip


async def test_the_ranking_says_who_you_are(chat: FakeChat) -> None:
    await chat.say("bob", "签到", group="g1")
    assert await chat.say("alice", "排行", group="g1") == (
        "alice，【测试社群】总积分榜\n1. bob　10 分\n你还没有上榜，发「签到」就能上榜。"
    )
    assert await chat.direct("alice", "排行") == (
        "【测试社群】总积分榜\n1. bob　10 分\n你还没有上榜，发「签到」就能上榜。"
    )


async def test_a_day_is_checked_in_once_for_all_groups_and_counted_in_each(chat: FakeChat) -> None:
    await chat.say("alice", "签到", group="g1")
    assert "已经签到过了" in (await chat.say("alice", "签到", group="g2") or "")
    assert "已经签到过了" in (await chat.direct("alice", "签到") or "")
    await chat.say("alice", "大家好", group="g2")

    parts = chat.service.parts
    day = parts.communities.calendar(parts.communities.find(BOT_CHANNEL, "g1")).day_of(chat.clock.now_ms())
    figures = [
        await parts.stores.members.counters(COMMUNITY, "bot:alice", day, group) for group in ("g1", "g2", "")
    ]
    assert [(one.messages, one.check_ins) for one in figures] == [(1, 1), (2, 0), (1, 0)]
    assert await parts.stores.check_ins.total(COMMUNITY, "bot:alice") == 1


async def test_a_person_has_points_of_their_own_on_each_channel(chat: FakeChat) -> None:
    await chat.say("alice", "签到", group="g1")
    assert (await chat.say("alice", "积分") or "").startswith("你现在有 0 积分")
    assert (await chat.direct("alice", "积分") or "").startswith("你现在有 10 积分")


async def test_managers_give_points_to_whom_the_group_sees(chat: FakeChat) -> None:
    """The same account is a member of the app too: here, the one of here is meant."""
    await chat.say("alice", "你好")
    for who in ("alice", "bob"):
        await chat.say(who, "你好", group="g1")
    for order, answer in [
        ("加分 alice 20 晒单", "已给 alice 加 20 积分，对方现有 20 积分。理由：晒单"),
        ("加分 @bob 5", "已给 bob 加 5 积分，对方现有 5 积分。理由：未填写"),
        ("加分 app:alice 3", "已给 alice 加 3 积分，对方现有 3 积分。理由：未填写"),
        ("加分 carol 5", "没有找到成员「carol」。请核对名字或账号；对方要先和我说过话，我才认得。"),
    ]:
        assert await chat.say("ana", order, group="g1") == answer
    assert await chat.say("ana", "加分 alice 1") == "已给 alice 加 1 积分，对方现有 4 积分。理由：未填写"
    entries = [(entry.member, entry.delta, entry.operator) for entry in await ledger(chat)]
    assert entries == [
        ("bot:alice", 20, "bot:ana"), ("bot:bob", 5, "bot:ana"), ("app:alice", 3, "bot:ana"),
        ("app:alice", 1, "app:ana"),
    ]  # fmt: skip


async def test_who_is_refused_in_a_group_is_named(open_chat: OpenChat) -> None:
    async with open_chat(server={"member_rate_per_min": 2}) as chat:
        assert await chat.say("bob", "加分 bob 100", group="g1") == (
            "bob，这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
        )
        await chat.say("bob", "积分", group="g2")
        assert await chat.say("bob", "积分", group="g1") == (
            "bob，发得太快啦，这一分钟里先不回复你了，休息一下再来吧。"
        )
        assert await chat.say("bob", "积分", group="g2") is None


async def test_a_rule_rests_in_the_group_where_it_answered(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("{昵称}，{群} 里有鲜奶",), cool_down_s=60)
    for who, group in (("alice", "g1"), ("bob", "g1"), ("bob", "g2")):
        await chat.say(who, "鲜奶", group=group)
    chat.pass_time(timedelta(seconds=60))
    await chat.say("bob", "鲜奶", group="g1")
    assert chat.transcript == [
        ("alice@g1", "鲜奶"), (G1, "alice，g1 里有鲜奶"),
        ("bob@g1", "鲜奶"),
        ("bob@g2", "鲜奶"), (G2, "bob，g2 里有鲜奶"),
        ("bob@g1", "鲜奶"), (G1, "bob，g1 里有鲜奶"),
    ]  # fmt: skip


async def test_the_menu_of_a_group_says_to_mention_the_bot_and_fits_on_a_screen(chat: FakeChat) -> None:
    menu = await chat.say("ana", "帮助", group="g1") or ""
    lines = menu.splitlines()
    assert lines[0] == "【测试社群】可以这样和我说："
    assert lines[-1] == "（在群里先 @我，再说这些话。）"
    assert len(lines) <= 13
    assert "先 @我" not in (await chat.direct("ana", "帮助") or "")


async def test_who_opens_the_direct_chat_of_the_bot_is_greeted_once_a_day(chat: FakeChat) -> None:
    hello = "alice，欢迎来到【测试社群】！每天发「签到」领积分，发「帮助」看看我还会什么。"
    assert await chat.send("alice", Entered(), channel=BOT_CHANNEL) == hello
    assert await chat.send("alice", Entered(), channel=BOT_CHANNEL) != hello


async def test_a_repeat_in_a_group_is_told_the_same(chat: FakeChat) -> None:
    for text in ("签到", "积分", "排行", "日历", "帮助"):
        said = [await chat.say("alice", text, group="g1", message_id=text) for _ in range(3)]
        assert said == [said[0]] * 3
        assert said[0]
    assert len(await ledger(chat)) == 1


async def test_an_english_group_reads_the_name_too(open_chat: OpenChat) -> None:
    async with open_chat(community={"language": "en"}) as chat:
        assert (await chat.say("bob", "checkin", group="g1") or "").startswith("bob: ")
        assert (await chat.say("bob", "help", group="g1") or "").endswith("(In a group, mention me first.)")
