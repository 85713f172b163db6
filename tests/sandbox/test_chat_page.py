"""The chat page in a real browser, against a real sandbox and an independent bot."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import APP, CHANNELS
from tests.sandbox.json_bot import JsonBot, stream
from tests.sandbox.test_ai_bot_callbacks import BOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.sandbox.echo_bot import EchoBot

pytestmark = pytest.mark.browser

QUICK = Settings(repeat_pause_s=0.0, poll_interval_s=0.05, answer_timeout_s=1.0)
GROUP = "wrDEMO01"

_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415  the machine may lack it
    except ImportError:
        _lacking("playwright is not installed: pip install playwright")
    if chromium is None:
        _lacking("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS))
        yield browser
        await browser.close()


def _lacking(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


async def _fits(page: Page, width: int) -> bool:
    """Whether nothing of the page is wider than the screen."""
    return int(await page.evaluate("document.documentElement.scrollWidth")) <= width


async def _open(browser: Browser, server: SandboxServer, width: int, height: int) -> tuple[Page, list[str]]:
    page = await browser.new_page(viewport={"width": width, "height": height})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: problems.append(request.url) if not request.url.startswith(server.api_base) else None,
    )
    page.set_default_timeout(5000)
    await page.goto(f"{server.api_base}/sandbox/")
    await page.locator("#live[data-state=live]").wait_for()
    return page, problems


async def test_people_talk_side_by_side_and_see_answers_and_active_sends(
    browser: Browser, bot: EchoBot
) -> None:
    async with SandboxServer(CHANNELS, callback_base=bot.base) as server:
        page, problems = await _open(browser, server, 1280, 800)
        ming, hong = (page.locator(f".phone[data-id={name}]") for name in ("xiaoming", "xiaohong"))
        field = ming.locator("textarea")
        await field.fill("你好 <b>bold</b>")
        await field.press("Enter")
        await ming.get_by_text("echo: 你好 <b>bold</b>", exact=True).wait_for()
        assert await field.input_value() == ""
        await hong.get_by_role("button", name="签到").click()
        await hong.get_by_text("echo: 签到").wait_for()
        assert await ming.get_by_text("签到", exact=True).count() == 0
        await hong.get_by_role("button", name="进入应用").click()
        await hong.get_by_text("enter_agent").wait_for()

        token, _ = server.sandbox.tokens.app_token("app")
        async with aiohttp.ClientSession(server.api_base) as http:
            text = {"content": "晚到的回答"}
            body = {"touser": "xiaoming", "msgtype": "text", "agentid": APP.agent_id, "text": text}
            await http.post(f"/cgi-bin/message/send?access_token={token}", json=body)
        late = ming.locator(".line.active", has_text="晚到的回答")
        await late.get_by_text("主动消息 active").wait_for()

        await page.reload()
        await ming.get_by_text("晚到的回答").wait_for()
        assert problems == []


async def test_channels_members_and_errors_are_at_hand(browser: Browser, bot: EchoBot) -> None:
    async with SandboxServer(CHANNELS, callback_base=bot.base) as server:
        page, problems = await _open(browser, server, 1280, 800)
        await page.locator("#channels").get_by_role("button", name="oa · Official").click()
        assert await page.get_by_role("button", name="进入应用").count() == 0

        await page.get_by_role("button", name="＋ 成员").click()
        await page.get_by_label("名字").fill("丽丽")
        await page.get_by_label("名字").press("Enter")
        lili = page.locator(".phone", has_text="丽丽")
        await lili.locator("textarea:focus").wait_for()
        bot.tamper = lambda _: "gibberish"
        await page.keyboard.type("在吗")
        await page.keyboard.press("Enter")
        await lili.get_by_text("该公众号暂时无法提供服务").wait_for()
        await lili.get_by_text("没有可用的回答 no usable answer").wait_for()

        await lili.get_by_role("button", name="收起 丽丽").click()
        assert await lili.count() == 0
        assert problems == []


async def test_a_phone_shows_one_person_at_a_time(browser: Browser, bot: EchoBot) -> None:
    async with SandboxServer(CHANNELS, callback_base=bot.base) as server:
        page, problems = await _open(browser, server, 390, 844)
        assert await page.locator(".phone:visible").count() == 1
        await page.locator("#chats").get_by_role("button", name="小红").click()
        hong = page.locator(".phone:visible")
        await hong.get_by_role("button", name="签到").click()
        await hong.get_by_text("echo: 签到").wait_for()
        assert await hong.locator(".name").text_content() == "小红"
        assert await _fits(page, 390)
        assert problems == []


@pytest.fixture
async def ai_bot() -> AsyncIterator[JsonBot]:
    async with JsonBot(BOT) as bot:
        yield bot


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_group_is_shown_as_a_phone_shows_it_with_everybody_to_speak_as(
    browser: Browser, ai_bot: JsonBot, width: int
) -> None:
    numbers = iter(range(100))
    ai_bot.answer = lambda said: stream(
        f"**{said['from']['userid']}** 说了 `{said['text']['content']}`", stream_id=f"s-{next(numbers)}"
    )
    async with SandboxServer([BOT, APP], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, width, 844)
        group = page.locator(f".phone[data-chat='g:{GROUP}']")
        assert await group.locator(".name").text_content() == "鲜奶福利群 (4)"

        field = group.locator("textarea")
        await field.fill("签到")
        await field.press("Enter")
        own = group.locator(".line.own", has_text="@活群 签到")
        await own.wait_for()
        answer = group.locator(".line.bot", has_text="ana 说了")
        await answer.locator("strong", has_text="ana").wait_for()
        assert await answer.locator("code").text_content() == "@活群 签到"
        assert await answer.locator(".who").text_content() == "活群"

        # Somebody else speaks: what was one's own is another's now, with name and picture.
        await group.get_by_role("radio", name="小红").click()
        await group.locator(".line.other", has_text="@活群 签到").locator(".who", has_text="安娜").wait_for()
        await group.get_by_role("button", name="@活群").click()
        await field.fill("大家好")
        await field.press("Enter")
        await group.locator(".line.own.unseen").get_by_text("机器人看不到未@它的消息").wait_for()
        assert len(ai_bot.messages) == 1

        # The bot is mentioned by typing @ and choosing it.
        await field.press_sequentially("@活")
        await group.get_by_role("option", name="活群").wait_for()
        await field.press("Enter")
        assert await group.get_by_role("button", name="@活群").get_attribute("aria-pressed") == "true"
        await field.press_sequentially("积分")
        await field.press("Enter")
        await group.locator(".line.bot", has_text="xiaohong 说了").wait_for()
        assert await _fits(page, width)
        assert problems == []


async def test_a_message_is_quoted_and_the_bot_gets_the_quote(browser: Browser, ai_bot: JsonBot) -> None:
    numbers = iter(range(100))
    ai_bot.answer = lambda _: stream("满 5 人成团", stream_id=f"s-{next(numbers)}")
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, 1280, 800)
        group = page.locator(f".phone[data-chat='g:{GROUP}']")
        field = group.locator("textarea")
        await field.fill("拼团")
        await field.press("Enter")
        bubble = group.locator(".line.bot .bubble", has_text="满 5 人成团")
        await bubble.click(button="right")
        await group.locator(".quoting", has_text="满 5 人成团").wait_for()
        await field.press_sequentially("什么时候")
        await field.press("Enter")
        await group.locator(".line.own .quoted", has_text="满 5 人成团").wait_for()
        assert await group.locator(".quoting").is_hidden()
        await ai_bot.wait_for_messages(2)
        assert ai_bot.messages[1]["quote"]["text"]["content"] == "满 5 人成团"
        assert problems == []


async def test_a_stream_grows_in_place_and_is_judged(browser: Browser, ai_bot: JsonBot) -> None:
    words = ["统计", "统计中", "统计好了"]

    def answer(said: dict[str, Any]) -> dict[str, Any] | None:
        if said["msgtype"] == "event":
            return None
        text = words.pop(0)
        return stream(text, finish=not words, feedback={"id": "fb-7"})

    ai_bot.answer = answer
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, 1280, 800)
        group = page.locator(f".phone[data-chat='g:{GROUP}']")
        await group.get_by_role("button", name="排行").click()
        line = group.locator(".line.bot")
        await line.get_by_text("统计好了", exact=True).wait_for()
        assert await line.count() == 1
        await line.get_by_role("button", name="没用").click()
        await line.locator("[aria-pressed=true]", has_text="没用").wait_for()
        assert ai_bot.heard[-1].said["event"]["feedback_event"] == {"id": "fb-7", "type": 2}
        assert problems == []


@pytest.mark.parametrize("width", [1280, 390])
async def test_cards_are_answered_and_change_in_place(browser: Browser, ai_bot: JsonBot, width: int) -> None:
    vote = {
        "card_type": "vote_interaction",
        "main_title": {"title": "下周想买什么？"},
        "task_id": "t-1",
        "checkbox": {
            "question_key": "q",
            "mode": 1,
            "option_list": [{"id": "a", "text": "酸奶"}, {"id": "b", "text": "奶酪"}],
        },
        "submit_button": {"text": "投票", "key": "go"},
    }

    def answer(said: dict[str, Any]) -> dict[str, Any]:
        if said["msgtype"] == "event":
            done = {**vote, "main_title": {"title": "谢谢参与"}}
            return {"response_type": "update_template_card", "template_card": done}
        return {"msgtype": "template_card", "template_card": vote}

    ai_bot.answer = answer
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, width, 844)
        group = page.locator(f".phone[data-chat='g:{GROUP}']")
        await group.get_by_role("button", name="签到").click()
        card = group.locator(".line.has-card")
        await card.get_by_text("下周想买什么？").wait_for()
        await card.get_by_label("奶酪").check()
        await card.get_by_role("button", name="投票").click()
        await card.get_by_text("谢谢参与").wait_for()
        assert await card.count() == 1
        event = ai_bot.heard[-1].said["event"]["template_card_event"]
        assert event["event_key"] == "go"
        (item,) = event["selected_items"]["selected_item"]
        assert item == {"question_key": "q", "option_ids": {"option_id": ["b"]}}
        assert await _fits(page, width)
        assert problems == []


async def test_words_of_the_bot_never_become_markup(browser: Browser, ai_bot: JsonBot) -> None:
    nasty = (
        "<img src=x onerror=alert(1)> [点我](javascript:alert(1)) [好](https://example.com/a?b=1) "
        '<font color="info"><b>粗</b></font> <@xiaoming> **<i>x</i>**\n> <script>alert(2)</script>'
    )
    ai_bot.answer = lambda _: stream(nasty)
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, 1280, 800)
        group = page.locator(f".phone[data-chat='g:{GROUP}']")
        await group.get_by_role("button", name="帮助").click()
        body = group.locator(".line.bot .md")
        await body.locator(".at", has_text="@小明").wait_for()
        for tag in ("img", "script", "b", "i"):
            assert await body.locator(tag).count() == 0
        assert await body.locator(".font-info").text_content() == "<b>粗</b>"
        link = body.locator("a")
        assert await link.count() == 1
        assert await link.get_attribute("href") == "https://example.com/a?b=1"
        assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert await body.locator("blockquote").text_content() == "<script>alert(2)</script>"
        assert problems == []


async def test_groups_are_made_and_changed_and_the_platform_is_let_fail(
    browser: Browser, ai_bot: JsonBot
) -> None:
    numbers = iter(range(100))
    ai_bot.answer = lambda _: stream("好", stream_id=f"s-{next(numbers)}")
    async with SandboxServer([BOT, APP], callback_base=ai_bot.base, settings=QUICK) as server:
        page, problems = await _open(browser, server, 1280, 800)
        await page.get_by_role("button", name="＋ 群").click()
        await page.get_by_label("群名").fill("小分队")
        await page.locator("#group-people").get_by_text("安娜").click()
        await page.get_by_role("button", name="保存").click()
        group = page.locator(".phone", has_text="小分队 (3)")
        await group.get_by_role("radio", name="小明").wait_for()
        assert await group.get_by_role("radio", name="安娜").count() == 0

        await page.locator("#faults-open").click()
        dialog = page.locator("#faults-dialog")
        assert await dialog.get_by_role("button", name="踢下线").count() == 0  # not on this channel
        await dialog.get_by_role("button", name="下一次丢失").first.click()
        await dialog.get_by_text("lost true").wait_for()
        await dialog.get_by_role("button", name="＋1 天").click()
        await page.locator("#clock", has_text="1.0 天").wait_for()
        await dialog.get_by_role("button", name="关闭").click()
        await group.get_by_role("button", name="签到").click()
        await (
            group.locator(".line.own", has_text="已收到，未回答")
            .or_(group.locator(".line.own .problem"))
            .first.wait_for()
        )
        assert ai_bot.messages == []
        await page.locator("#faults-open").click()
        await dialog.get_by_role("button", name="全部恢复").click()
        await dialog.get_by_role("button", name="拨回现在").click()
        await page.locator("#clock").wait_for(state="hidden")
        assert problems == []


async def test_a_send_only_group_says_that_the_bot_hears_nothing(browser: Browser, bot: EchoBot) -> None:
    async with SandboxServer(CHANNELS, callback_base=bot.base) as server:
        server.sandbox.room("app").write(
            "", "bot", "active", at_ms=0, kind="text", text="大家看一下", group_id=GROUP,
            fields={"content": "大家看一下", "mentioned_list": ["xiaohong"]},
        )  # fmt: skip
        page, problems = await _open(browser, server, 1280, 800)
        await page.locator("#chats").get_by_role("button", name="鲜奶福利群").click()
        group = page.locator(".phone.group")
        await group.locator(".line.active", has_text="大家看一下").locator(".at", has_text="@小红").wait_for()
        await group.get_by_text("听不到群里的话").wait_for()
        assert await group.locator("textarea").is_hidden()
        assert problems == []
