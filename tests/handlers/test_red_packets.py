"""发红包、抢: packets as a group and a whole community live them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.model import TextMessage
from bot.testing import BOT_CHANNEL, CHANNEL, FakeChat
from games.fairness import commitment
from games.red_packet import RedPacket, RedPacketSettings
from handlers.red_packets import read_packet
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY

SEED = bytes(range(32))
GROUP = "g1"


@pytest.fixture
async def group(open_chat: OpenChat) -> AsyncIterator[FakeChat]:
    """A group of the AI bot in which Ana is a manager, and every seed is the same."""
    async with open_chat(managers=["ana"]) as chat:
        chat.service.parts.life.orders.new_seed = lambda: SEED
        yield chat


async def say(chat: FakeChat, who: str, text: str) -> str:
    return await chat.say(who, text, group=GROUP) or ""


def round_of(announcement: str) -> str:
    found = re.search(r"编号 ([0-9a-f]{16})", announcement)
    assert found is not None, announcement
    return found[1]


def shares_of(round_id: str, **settings: object) -> tuple[int, ...]:
    rules = RedPacket()
    return rules.open(rules.settings(settings), SEED, round_id).shares


async def points(chat: FakeChat, member: str) -> int:
    return await chat.service.parts.stores.points.balance(COMMUNITY, member)


async def spent(chat: FakeChat) -> int:
    return await chat.service.parts.stores.rounds.budget_spent(COMMUNITY, "2026-03-02")


# ---------------------------------------------------------------- a packet from beginning to end


async def test_a_packet_is_sent_grabbed_and_its_result_told_by_the_last_hand(group: FakeChat) -> None:
    sent = await say(group, "ana", "发红包 30 3 祝福 周末 快乐")
    round_id = round_of(sent)
    first, second, third = shares_of(round_id, total=30, shares=3)
    assert sent == (
        "🧧 ana 发了一个红包：30 积分，3 份（拼手气）\n"
        "「周末 快乐」\n"
        "发「抢」来抢，1 天内有效，先到先得。\n"
        f"公平承诺 {commitment(SEED)[:32]}…（编号 {round_id}，结束后公布种子，人人可验）"
    )

    won = f"bob，🎉 你抢到 {first} 积分（第 1 个，份额 {first}）！现有 {first} 积分。"
    assert await say(group, "bob", "抢") == f"{won}\n还剩 2 份，快叫大家来抢。"
    assert await say(group, "bob", "抢红包") == f"bob，这个红包你已经抢过了，抢到 {first} 积分，还剩 2 份。"
    group.pass_time(timedelta(seconds=4))
    await say(group, "cy", "抢")
    group.pass_time(timedelta(seconds=70))
    last = await say(group, "dan", "抢")

    assert last.startswith(
        f"dan，🎉 你抢到 {third} 积分（第 3 个，份额 {third}）！现有 {third} 积分。\n🧧 红包抢完了"
    )
    rows = {"bob": (first, 0), "cy": (second, 4), "dan": (third, 74)}
    best = max(rows, key=lambda name: rows[name][0])
    for name, (share, seconds) in rows.items():
        crown = "👑 手气最佳" if name == best else ""
        assert f"{name}　{share} 分（{seconds} 秒）{crown}\n" in last
    assert last.endswith(f"编号 {round_id}，种子 {SEED.hex()}")
    assert await say(group, "eve", "抢") == "eve，手慢了，红包已经抢完或结束了。发「结果」看看谁的手气最好。"
    assert (await say(group, "eve", "结果")).startswith("🧧 红包抢完了：30 积分，3 份。")
    assert [await points(group, f"bot:{who}") for who in rows] == [first, second, third]
    assert await spent(group) == 30


async def test_what_nobody_grabs_goes_back_when_its_time_is_up_and_the_group_is_told(group: FakeChat) -> None:
    await say(group, "ana", "发红包 10 2 均分 90秒")
    await say(group, "bob", "抢")
    group.pass_time(timedelta(seconds=89))
    await group.sweep()
    await group.deliver()
    assert group.transcript[-1][0] == "bot@g1"
    assert "剩 1 份" in group.transcript[-1][1]  # nothing has been told yet

    group.pass_time(timedelta(seconds=1))
    late = await say(group, "cy", "抢")
    assert late == "cy，手慢了，红包已经抢完或结束了。发「结果」看看谁的手气最好。"
    await group.sweep()
    await group.sweep()
    await group.deliver()

    who, told = group.transcript[-1]
    assert who == "bot@g1"
    assert told.startswith(
        "🧧 红包时间到：10 积分，2 份里抢走了 1 份。\n1. bob　5 分（0 秒）\n没有送出的 5 积分退回社群预算。"
    )
    assert [said for _, said in group.transcript].count(told) == 1
    assert await spent(group) == 5


async def test_a_packet_of_ones_own_points_is_charged_once_and_the_rest_given_back_once(
    group: FakeChat,
) -> None:
    assert await say(group, "ana", "发红包 10 2 均分 自付") == "没有开始：这一局要 10 积分，你只有 0 积分。"
    await say(group, "ana", "加分 ana 25 本钱")
    await say(group, "ana", "签到")
    had = await points(group, "bot:ana")

    await say(group, "ana", "发红包 10 2 均分 自付 最佳3")
    assert await points(group, "bot:ana") == had - 13
    await say(group, "bob", "抢")
    assert "没有送出的 5 积分已退还 ana。" in await say(group, "ana", "结束")
    assert (
        await say(group, "ana", "结束")
        == "这里现在没有进行中的游戏。发「开局」开一局，或者发「发红包 100 10」。"
    )

    assert await points(group, "bot:ana") == had - 8  # 5 for Bob's share, 3 for his best luck
    assert await points(group, "bot:bob") == 8
    assert await spent(group) == 0


async def test_a_packet_with_a_word_is_grabbed_by_saying_it_and_by_nothing_else(group: FakeChat) -> None:
    sent = await say(group, "ana", "发红包 10 5 口令 恭喜发财")
    assert "说出口令「恭喜发财」来抢" in sent
    assert await say(group, "bob", "抢") == "bob，这个红包要说出口令才能抢，看看发红包的那条消息。"
    assert await say(group, "bob", "恭喜") == ""
    assert (await say(group, "bob", "恭喜發財")).startswith("bob，🎉 你抢到")  # any way of writing it
    assert (await say(group, "bob", "恭喜发财")).startswith("bob，这个红包你已经抢过了")
    assert await chat_elsewhere(group, "恭喜发财") == ""  # another group hears nothing of it
    assert (await say(group, "cy", "签到")).startswith("cy，签到成功")  # commands go their way


async def chat_elsewhere(chat: FakeChat, text: str) -> str:
    return await chat.say("zoe", text, group="g2") or ""


async def test_a_keyword_rule_answers_beside_a_packet_that_listens_to_another_word(group: FakeChat) -> None:
    await say(group, "ana", "关键词 恭喜=同喜")
    await group.refresh_keywords()
    await say(group, "ana", "发红包 10 5 口令 恭喜发财")
    assert await say(group, "bob", "恭喜") == "同喜"
    assert (await say(group, "bob", "恭喜发财")).startswith("bob，🎉 你抢到")
    assert await say(group, "bob", "恭喜大家") == "同喜"


# ---------------------------------------------------------------- the side rules


async def play_out(chat: FakeChat, command: str, members: int) -> tuple[str, list[str], str]:
    """Send a packet and let so many members grab; return its id, their answers, and the last one."""
    round_id = round_of(await say(chat, "ana", command))
    answers = [await say(chat, f"m{number}", "抢") for number in range(1, members + 1)]
    return round_id, answers, answers[-1]


async def test_best_luck_wins_more_and_of_equal_shares_the_earlier(group: FakeChat) -> None:
    round_id, _, last = await play_out(group, "发红包 40 4 最佳手气奖20", 4)
    shares = shares_of(round_id, total=40, shares=4, best=20)
    lucky = f"m{shares.index(max(shares)) + 1}"
    assert f"手气最佳奖：{lucky} +20" in last
    assert await points(group, f"bot:{lucky}") == max(shares) + 20

    _, _, last = await play_out(group, "发红包 40 4 均分 最佳20", 4)
    assert "手气最佳奖：m1 +20" in last


async def test_shares_that_end_in_a_chosen_digit_win_more(group: FakeChat) -> None:
    round_id, answers, _ = await play_out(group, "发红包 60 6 逢1、3、5奖7", 6)
    shares = shares_of(round_id, total=60, shares=6, tail_digits="135", tail_prize=7)
    assert any(share % 10 in {1, 3, 5} for share in shares)
    for share, answer in zip(shares, answers, strict=True):
        assert ("尾数奖 7" in answer) == (share % 10 in {1, 3, 5})


async def test_the_first_ones_and_a_named_floor_win_more(group: FakeChat) -> None:
    _, answers, _ = await play_out(group, "发红包 20 4 均分 抢沙发2奖3 第4楼奖9", 4)
    assert ["沙发奖 3" in answer for answer in answers] == [True, True, False, False]
    assert ["楼层奖 9" in answer for answer in answers] == [False, False, False, True]
    assert [await points(group, f"bot:m{number}") for number in range(1, 5)] == [8, 8, 5, 14]


async def test_a_secret_place_wins_more_and_is_told_only_when_it_is_taken(group: FakeChat) -> None:
    sent = await say(group, "ana", "发红包 20 4 均分 幸运9")
    assert "加奖：幸运位置 +9" in sent
    state = RedPacket().open(RedPacketSettings(20, 4, lucky_prize=9), SEED, round_of(sent))
    answers = [await say(group, f"m{number}", "抢") for number in range(1, 5)]
    assert ["幸运奖 9" in answer for answer in answers] == [
        number == state.lucky_seat for number in range(1, 5)
    ]
    assert f"幸运位置是第 {state.lucky_seat} 个：m{state.lucky_seat}" in answers[-1]


async def test_the_smallest_share_is_consoled(group: FakeChat) -> None:
    round_id, _, last = await play_out(group, "发红包 40 4 安慰6", 4)
    shares = shares_of(round_id, total=40, shares=4, consolation=6)
    unlucky = f"m{shares.index(min(shares)) + 1}"
    assert f"安慰奖：{unlucky} +6" in last
    assert await points(group, f"bot:{unlucky}") == min(shares) + 6


async def test_all_rules_on_one_packet_add_up(group: FakeChat) -> None:
    command = "发红包 50 5 最佳20+安慰5+逢0、2、4、6、8奖1+沙发2奖3+第5楼奖4+幸运6"
    round_id, _, last = await play_out(group, command, 5)
    assert "红包抢完了：50 积分，5 份。" in last
    total = sum([await points(group, f"bot:m{number}") for number in range(1, 6)])
    shares = shares_of(round_id, total=50, shares=5)
    assert total == 50 + 20 + 5 + sum(share % 2 == 0 for share in shares) + 2 * 3 + 4 + 6
    assert await spent(group) == total


async def test_only_who_has_checked_in_today_may_grab_where_the_packet_says_so(group: FakeChat) -> None:
    assert "今天签过到的成员才能抢" in await say(group, "ana", "发红包 10 5 均分 今日签到")
    refusal = await say(group, "bob", "抢")
    assert refusal == "bob，这一局要今天签过到才能参加。先发「签到」，再来一次。"
    await say(group, "bob", "签到")
    assert (await say(group, "bob", "抢")).startswith("bob，🎉 你抢到 2 积分")


async def test_who_joined_lately_may_not_grab_where_the_packet_says_so(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"]) as chat:
        for who, joined_at_ms in (("new", chat.clock.now_ms() - 3_600_000), ("old", 1_000)):
            key = chat.service.keys.key("member", COMMUNITY, f"{CHANNEL}:{who}")
            await chat.service.redis.call("HSET", key, "joined_at", joined_at_ms)
        assert "入群满 3 天的成员才能抢" in (await chat.say("ana", "发红包 10 5 均分 入群3天") or "")
        assert await chat.say("new", "抢") == "这一局只给更早入群的成员，下次吧。"
        assert (await chat.say("old", "抢") or "").startswith("🎉 你抢到 2 积分")
        assert (await chat.say("unseen", "抢") or "").startswith("🎉 你抢到 2 积分")


# ---------------------------------------------------------------- a whole community, each in their own chat


async def test_a_community_grabs_one_packet_each_from_their_own_chat(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"]) as chat:
        await chat.say("ana", "发红包 9 3 均分 最佳2 1小时")
        for who in ("bob", "cy"):
            assert (await chat.say(who, "抢") or "").startswith("🎉 你抢到 3 积分")
        assert (await chat.direct("cy", "抢") or "").startswith("🎉 你抢到 3 积分")  # on the other channel
        await chat.deliver()

        told = [(who, said) for who, said in chat.transcript if "红包抢完了" in said]
        assert [who for who, _ in told] == ["bot"] * 4  # the last by the answer, Ana, Bob and Cy by messages
        assert await points(chat, f"{CHANNEL}:bob") == 5
        assert await points(chat, f"{BOT_CHANNEL}:cy") == 3


async def test_a_group_may_grab_the_packet_of_its_community_when_it_has_none_of_its_own(
    open_chat: OpenChat,
) -> None:
    async with open_chat(managers=["ana"]) as chat:
        await chat.say("ana", "发红包 9 3 均分")
        assert (await say(chat, "bob", "抢")).startswith("bob，🎉 你抢到 3 积分")
        await say(chat, "ana", "发红包 20 2 均分")
        assert (await say(chat, "bob", "抢")).startswith("bob，🎉 你抢到 10 积分")


# ---------------------------------------------------------------- the same again, and after a crash


async def test_an_event_that_comes_again_is_told_of_its_own_share_also_after_the_packet_has_ended(
    open_chat: OpenChat,
) -> None:
    async with open_chat(managers=["ana"]) as chat:
        chat.service.parts.life.orders.new_seed = lambda: SEED
        await chat.say("ana", "发红包 9 3", group=GROUP, message_id="send")
        first = await chat.say("bob", "抢", group=GROUP, message_id="bob")
        assert await chat.say("bob", "抢", group=GROUP, message_id="bob") == first
        await chat.say("cy", "抢", group=GROUP, message_id="cy")
        last = await chat.say("dan", "抢", group=GROUP, message_id="dan")
        for record in ("bob", "dan"):  # both died before their answers were kept
            await forget_answer(chat, record)

        async with open_chat(managers=["ana"]) as another:  # another process, which has seen nothing of it
            another.clock.move(timedelta(seconds=5))
            again = await another.say("bob", "抢", group=GROUP, message_id="bob")
            assert again is not None
            assert first is not None
            assert again.partition("\n")[0] == first.partition("\n")[0]
            assert await another.say("dan", "抢", group=GROUP, message_id="dan") == last
        total = sum([await points(chat, f"bot:{who}") for who in ("bob", "cy", "dan")])
        assert total == 9


async def test_a_packet_whose_sending_comes_again_is_one_packet(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"]) as chat:
        sent = await chat.say("ana", "发红包 9 3", group=GROUP, message_id="send")
        await forget_answer(chat, "send", who="ana")
        again = await chat.say("ana", "发红包 9 3", group=GROUP, message_id="send")
        assert again == sent  # also the commitment: the second seed was never used
        assert await spent(chat) == 9


async def forget_answer(chat: FakeChat, message_id: str, who: str = "") -> None:
    """Leave an event as a process leaves it that dies between its effect and its answer."""
    event = chat.event(who or message_id, TextMessage("抢"), group=GROUP, message_id=message_id)
    case = chat.service.parts.case(chat.service.parts.platforms[event.channel], event, chat.clock.now_ms())
    await chat.service.redis.call("SET", case.ticket.record_key, f"{chat.clock.now_ms()}P", "PX", 600_000)


# ---------------------------------------------------------------- who may, and how much


async def test_members_send_packets_only_where_the_community_lets_them_and_pay_themselves(
    open_chat: OpenChat,
) -> None:
    async with open_chat(managers=["ana"]) as chat:
        assert (
            await say(chat, "bob", "发红包 5 2")
            == "bob，这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
        )
    async with open_chat(managers=["ana"], community={"games": {"from_members": True}}) as chat:
        assert await chat.say("bob", "发红包 5 2", group=GROUP, message_id="b1") == (
            "没有开始：这一局要 5 积分，你只有 0 积分。"
        )
        await chat.say("bob", "签到", group=GROUP, message_id="b2")
        sent = await chat.say("bob", "发红包 5 2 均分", group=GROUP, message_id="b3") or ""
        assert "bob 发了一个红包：5 积分" in sent
        assert await points(chat, "bot:bob") == 5
        assert await spent(chat) == 0


async def test_the_budget_of_the_day_is_never_overdrawn_and_fresh_tomorrow(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"games": {"budget_per_day": 100}}) as chat:
        await say(chat, "ana", "发红包 60 2 均分")
        refusal = await say(chat, "ana", "发红包 50 2 均分")
        assert refusal == (
            "没有开始：这一局最多要送出 50 积分，而社群今天的预算 100 只剩 40。可以改小一点，或者明天再来。"
        )
        await say(chat, "bob", "抢")
        await say(chat, "ana", "结束")  # 30 come back
        assert "🧧" in await say(chat, "ana", "发红包 70 2 均分")
        chat.pass_time(timedelta(days=1))
        assert "🧧" in await say(chat, "ana", "发红包 100 2 均分")


async def test_a_member_who_has_had_enough_today_is_told_so(open_chat: OpenChat) -> None:
    own = {"red_packet": {"plays_per_day": 2, "won_per_day": 100, "most_open": 5}}
    async with open_chat(managers=["ana"], community={"games": {"own": own}}) as chat:
        for _ in range(3):
            await say(chat, "ana", "发红包 10 2 均分")
        assert [(await say(chat, "bob", "抢"))[:11] for _ in range(2)] == ["bob，🎉 你抢到 5"] * 2
        assert "次数已经够多了" in await say(chat, "bob", "抢")

    own = {"red_packet": {"won_per_day": 40, "most_open": 5}}
    async with open_chat(managers=["ana"], community={"games": {"own": own}}) as chat:
        chat.pass_time(timedelta(days=1))
        for number in range(2):
            await chat.say("ana", "发红包 100 2 均分", group="g9", message_id=f"p{number}")
        assert "🎉" in (await chat.say("bob", "抢", group="g9", message_id="x1") or "")
        assert "到上限了" in (await chat.say("bob", "抢", group="g9", message_id="x2") or "")


async def test_as_many_packets_at_a_time_as_are_allowed_and_a_game_that_rests(open_chat: OpenChat) -> None:
    own = {"red_packet": {"most_open": 1, "cool_down_s": 30}}
    async with open_chat(managers=["ana"], community={"games": {"own": own}}) as chat:
        await say(chat, "ana", "发红包 10 2")
        busy = "这里已经有一局同样的游戏在进行，先玩完它吧。管理员可以发「结束」。"
        assert await say(chat, "ana", "发红包 10 2") == busy
        assert "🧧" in (await chat.say("ana", "发红包 10 2", group="g2") or "")
        await say(chat, "ana", "结束")
        assert await say(chat, "ana", "发红包 10 2") == "刚玩过一局，30 秒后可以再开。"
        chat.pass_time(timedelta(seconds=30))
        assert "🧧" in await say(chat, "ana", "发红包 10 2")


async def test_where_games_are_off_nothing_begins(open_chat: OpenChat) -> None:
    off_in = [{"channel": "bot", "chat_id": GROUP}]
    async with open_chat(managers=["ana"], community={"games": {"off_in": off_in}}) as chat:
        assert await say(chat, "ana", "发红包 10 2") == "这里没有开放这个游戏，请联系社群管理员。"
        assert "🧧" in (await chat.say("ana", "发红包 10 2", group="g2") or "")
    async with open_chat(managers=["ana"], community={"games": {"off": ["red_packet"]}}) as chat:
        answer = await chat.say("ana", "发红包 10 2", group="g3", message_id="o1")
        assert answer == "这里没有开放这个游戏，请联系社群管理员。"


# ---------------------------------------------------------------- written wrong


@pytest.mark.parametrize("command", ["发红包", "发红包 100", "发红包 十 个", "发红包 100 10x"])
async def test_a_command_that_lacks_something_is_answered_with_the_form_and_an_example(
    group: FakeChat, command: str
) -> None:
    answer = await say(group, "ana", command)
    assert answer.startswith("要这样写：发红包 总额 个数 玩法\n例如：发红包 100 10\n")
    assert await spent(group) == 0


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("发红包 5 10", "总额要写 1 到 1000000 的整数，而且每份至少 1 积分"),
        ("发红包 500 201", "个数要写 1 到 200 的整数"),
        ("发红包 10 2 第3楼奖5", "楼层不能超过红包的份数，后面写上奖多少，例如：第8楼奖10"),
        ("发红包 10 2 快乐", "看不懂「快乐」"),
    ],
)
async def test_what_cannot_be_is_named_and_nothing_is_paid(
    group: FakeChat, command: str, problem: str
) -> None:
    answer = await say(group, "ana", command)
    assert answer.startswith(f"没有开始：{problem}。\n要这样写：发红包 总额 个数 玩法\n例如：发红包 100 10")
    assert await spent(group) == 0


@pytest.mark.parametrize(
    ("text", "given", "own"),
    [
        ("100 10", {"total": 100, "shares": 10}, False),
        ("100积分 10份 均分", {"total": 100, "shares": 10, "split": "equal"}, False),
        ("9 3 逢 1 3 5 有奖 2 自付", {"total": 9, "shares": 3, "tail_digits": "135", "tail_prize": 2}, True),
        ("9 3 沙发奖2", {"total": 9, "shares": 3, "sofa": 1, "sofa_prize": 2}, False),
        (
            "9 3 口令：芝麻开门 祝福：早 安",
            {"total": 9, "shares": 3, "word": "芝麻开门", "blessing": "早 安"},
            False,
        ),
        (
            "9 3 幸运5，安慰2；最佳3",
            {"total": 9, "shares": 3, "lucky_prize": 5, "consolation": 2, "best": 3},
            False,
        ),
    ],
)
def test_how_people_write_it(text: str, given: dict[str, object], own: bool) -> None:  # noqa: FBT001
    read = read_packet(text)
    assert read is not None
    wanted, pays_own = read
    assert (wanted.given, wanted.unknown, pays_own) == (given, "", own)
