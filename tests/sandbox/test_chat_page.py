"""The chat page in a real browser, against a real sandbox and an independent bot."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import APP, CHANNELS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.sandbox.echo_bot import EchoBot

pytestmark = pytest.mark.browser

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
        await page.locator("#people").get_by_role("button", name="小红").click()
        hong = page.locator(".phone:visible")
        await hong.get_by_role("button", name="签到").click()
        await hong.get_by_text("echo: 签到").wait_for()
        assert await hong.locator(".name").text_content() == "小红"
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        assert problems == []
