"""关键词 and 删关键词: managers write rules in the chat."""

from __future__ import annotations

from datetime import timedelta

from bot.testing import BOT, FakeChat, Stores
from run import ROUTERS
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import add_rule

FORM = (
    "要这样写：关键词 触发词=回复\n"
    "例如：关键词 营业时间=每天 9:00 到 21:00\n"
    "回复可以有多行，也可以用 {昵称}、{积分}、{连续} 这样的变量。"
)


async def command(chat: FakeChat, text: str) -> str:
    """Let Ana send a command that is live at once."""
    answer = await chat.say("ana", text)
    await chat.refresh_keywords()
    return answer or ""


async def test_a_rule_is_written_changed_and_deleted(chat: FakeChat) -> None:
    for who, text in [
        ("alice", "请问营业时间？"),
        ("ana", "关键词 营业时间=每天 9:00 到 21:00"),
        ("alice", "请问营业时间？"),
        ("ana", "关键词 营业时间=全年无休"),
        ("alice", "营业时间"),
        ("ana", "删关键词 营业时间"),
        ("alice", "请问营业时间？"),
    ]:
        await chat.say(who, text)
        await chat.refresh_keywords()

    saved = (
        "已保存关键词「营业时间」。消息里出现它，我就这样回复：\n每天 9:00 到 21:00\n"
        "要改，再发一次「关键词 营业时间=新的回复」；要删，发「删关键词 营业时间」。"
    )
    assert chat.transcript == [
        ("alice", "请问营业时间？"),
        ("ana", "关键词 营业时间=每天 9:00 到 21:00"), (BOT, saved),
        ("alice", "请问营业时间？"), (BOT, "每天 9:00 到 21:00"),
        ("ana", "关键词 营业时间=全年无休"),
        (BOT, "已更新关键词「营业时间」。新的回复是：\n全年无休\n要删，发「删关键词 营业时间」。"),
        ("alice", "营业时间"), (BOT, "全年无休"),
        ("ana", "删关键词 营业时间"),
        (BOT, "已删除关键词「营业时间」。想再用，发「关键词 营业时间=回复」。"),
        ("alice", "请问营业时间？"),
    ]  # fmt: skip


async def test_the_answer_is_kept_character_for_character(chat: FakeChat) -> None:
    """Only the command around it is normalised; the full-width comma is what the manager meant."""
    for written, trigger, answer in (
        ("关键词 价格＝一箱 39 元，买二送一！", "价格", "一箱 39 元，买二送一！"),
        ("关键词 公式=a=b=c", "公式", "a=b=c"),
        (
            "关键词 地址 = 人民路 1 号\n  （地铁）\n\n电话：123 ",
            "地址",
            "人民路 1 号\n  （地铁）\n\n电话：123",
        ),
        ("/關鍵詞 WiFi=密码：ＡＢＣ１２３ {{😀}}", "wifi", "密码：ＡＢＣ１２３ {😀}"),
        ("@小助手 关键词\n你好=你也好", "你好", "你也好"),
    ):
        await command(chat, written)
        assert await chat.say("alice", trigger) == answer


async def test_a_wrong_form_is_answered_with_the_right_one_and_an_example(chat: FakeChat) -> None:
    for wrong in (
        "关键词 营业时间", "关键词 =回复", "关键词 触发=", "关键词 = ", "关键词 ＝",
        "关键词营业时间=九点", "关键词：营业时间=九点",
    ):  # fmt: skip
        assert await command(chat, wrong) == FORM, wrong


async def test_deleting_nothing_is_answered_with_the_right_form(chat: FakeChat) -> None:
    for wrong in ("删关键词", "/删关键词 ", "删关键词营业时间"):
        assert await command(chat, wrong) == "要这样写：删关键词 触发词\n例如：删关键词 营业时间", wrong


async def test_the_hint_of_a_forgotten_space_stands_back_for_a_keyword_rule(chat: FakeChat) -> None:
    await command(chat, "关键词 加分规则=签到加 10 分")
    assert await chat.say("ana", "加分规则2026") == "签到加 10 分"


async def test_what_cannot_be_saved_is_refused_with_the_reason(chat: FakeChat) -> None:
    for written, problem in (
        ("关键词 你好={昵程}", "没有变量“昵程”"),
        ("关键词 你好=左{右", "花括号 { 没有成对"),
        ("关键词 " + "长" * 201 + "=好", "最多 200 个"),
        ("关键词 你好=" + "长" * 2000, "最多 4000 字节"),
        ("关键词 \u200b=好", "没有看得见的文字"),
    ):
        answer = await command(chat, written)
        assert answer.startswith("没有保存。第 1 个")
        assert problem in answer
        assert answer.endswith("改好后请再发一次。")
    assert await chat.service.parts.stores.keyword_rules.versions() == {}


async def test_another_spelling_of_a_trigger_is_the_same_trigger(chat: FakeChat) -> None:
    """To members WiFi and wifi read the same, so a second rule would never answer."""
    await command(chat, "关键词 WiFi=旧密码")
    assert (await command(chat, "关键词 ｗｉｆｉ=新密码")).startswith("已更新关键词「ｗｉｆｉ」")
    assert await chat.say("alice", "WIFI 密码是什么") == "新密码"
    assert (await command(chat, "删关键词 WIFI")).startswith("已删除关键词「WIFI」")
    assert await chat.say("alice", "wifi") is None


async def test_a_rule_that_another_one_hides_says_so(chat: FakeChat) -> None:
    await add_rule(chat, "营业时间", "几点开门", answers=("看门口的牌子",))
    answer = await command(chat, "关键词 营业时间=九点")
    assert answer.endswith(
        "注意：另一条规则（触发词「营业时间」）会抢先回答这句话。不要那一条的话，发「删关键词 营业时间」。"
    )
    assert await chat.say("alice", "营业时间") == "看门口的牌子"

    await command(chat, "删关键词 营业时间")
    assert await chat.say("alice", "几点开门") == "看门口的牌子"
    assert "注意" not in await command(chat, "关键词 营业时间=九点")
    assert await chat.say("alice", "营业时间") == "九点"


async def test_a_weaker_rule_hides_nothing(chat: FakeChat) -> None:
    await add_rule(chat, "时间", answers=("现在",))
    await add_rule(chat, ".*时间", answers=("随时",), match="regex")
    assert "注意" not in await command(chat, "关键词 营业时间=九点")
    assert await chat.say("alice", "营业时间") == "九点"


async def test_deleting_takes_the_trigger_out_of_every_rule_and_leaves_the_others(chat: FakeChat) -> None:
    await add_rule(chat, "发货", "快递", answers=("三天内发货",))
    await add_rule(chat, "快递", answers=("顺丰",), match="exact")
    await command(chat, "删关键词 快递")
    assert await chat.say("alice", "快递") is None
    assert await chat.say("alice", "发货") == "三天内发货"


async def test_a_trigger_nobody_has_saved_is_not_found(chat: FakeChat) -> None:
    await command(chat, "关键词 营业时间=九点")
    assert await command(chat, "删关键词 营业") == (
        "现在没有关键词「营业」，不用删。触发词要写完整，例如：删关键词 营业时间"
    )
    assert await chat.say("alice", "营业时间") == "九点"


async def test_a_rule_never_hides_a_command(chat: FakeChat) -> None:
    await command(chat, "关键词 签到=我是规则")
    assert (await chat.say("alice", "签到") or "").startswith("签到成功！")
    assert await chat.say("alice", "签到有什么用") == "我是规则"


async def test_a_rule_saved_in_one_process_is_live_in_another(stores: Stores) -> None:
    async with (
        FakeChat(ROUTERS, managers=["ana"], stores=stores) as here,
        FakeChat(ROUTERS, managers=["ana"], stores=stores) as there,
    ):
        await here.say("ana", "关键词 你好=大家好")
        await there.refresh_keywords()
        assert await there.say("alice", "你好") == "大家好"
        await there.say("ana", "删关键词 你好")
        await here.refresh_keywords()
        assert await here.say("bob", "你好") is None


async def test_the_longest_answer_is_shown_back_in_pieces(chat: FakeChat) -> None:
    answer = "长" * 1333
    await command(chat, f"关键词 长文={answer}")
    chat.pass_time(timedelta(seconds=2))
    await chat.deliver()
    said = "".join(text for who, text in chat.transcript if who == BOT)
    assert answer in said
    assert said.endswith("要删，发「删关键词 长文」。")


async def test_an_english_community_writes_rules_in_english(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"language": "en"}) as chat:
        assert await command(chat, "keyword opening hours") == (
            "Write: keyword trigger=answer\nFor example: keyword opening hours=9:00 to 21:00 every day\n"
            "An answer may have several lines and variables such as {name}, {points} and {streak}."
        )
        assert (await command(chat, "keyword opening hours=9 to 21")).startswith(
            'Saved the keyword "opening hours". Whenever a message holds it, I answer:\n9 to 21\n'
        )
        assert await chat.say("bob", "your Opening Hours?") == "9 to 21"
        assert (await command(chat, "keyword x={nam}")).startswith(
            "Not saved. answers[0]: there is no variable"
        )
        assert (await command(chat, "delkeyword Opening hours")).startswith("Deleted the keyword")
        assert (await command(chat, "delkeyword opening hours")).startswith("There is no keyword")
