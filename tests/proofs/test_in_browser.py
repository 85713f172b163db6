"""The public page in a real browser: it checks the seed itself, and finds one's own moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from games.fairness import player_mark
from tests.api.test_rounds import PACKET, ROUNDS
from tests.api.test_rounds import world as world_with_games
from tests.sandbox.test_chat_page import browser as chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.api.world import World

pytestmark = pytest.mark.browser

world = world_with_games
browser = chromium


async def _ended(world: World) -> str:
    id_ = str((await world.post(ROUNDS, PACKET)).body["id"])
    for who in ("ana", "bob", "cyd"):
        await world.say(who, "拿")
    return id_


async def _open(world: World, browser: Browser, id_: str, width: int = 360) -> tuple[Page, list[str]]:
    complaints: list[str] = []
    context = await browser.new_context(viewport={"width": width, "height": 780})
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(str(world.client.make_url(f"/rounds/milk/{id_}")))
    return page, complaints


async def test_the_browser_checks_the_seed_and_finds_ones_own_moves(world: World, browser: Browser) -> None:
    id_ = await _ended(world)
    page, complaints = await _open(world, browser, id_)
    await page.locator("#seed-check [data-outcome=agrees]").wait_for()
    assert await page.locator("#seed-check [data-outcome]:visible").count() == 1
    await page.fill("#member", "app:bob")
    await page.locator("#mark [data-found=yes]").wait_for()
    assert await page.locator("#mark code").inner_text() == player_mark(id_, "app:bob")
    assert await page.locator("tr.mine").count() == 2
    await page.fill("#member", "app:nobody")
    await page.locator("#mark [data-found=no]").wait_for()
    assert await page.locator("tr.mine").count() == 0
    await page.fill("#member", "")
    assert await page.locator("#mark").is_hidden()
    assert int(await page.evaluate("document.documentElement.scrollWidth")) <= 360
    assert complaints == []


async def test_the_browser_finds_a_seed_that_was_exchanged(world: World, browser: Browser) -> None:
    id_ = await _ended(world)
    await world.service.drain.flush_all()
    async with world.service.database.write() as connection:
        await connection.execute(text("UPDATE rounds SET seed = :seed"), {"seed": "ab" * 32})
    page, _ = await _open(world, browser, id_)
    await page.locator("#seed-check [data-outcome=differs]").wait_for()


async def test_without_webcrypto_the_page_says_that_it_cannot_check(world: World, browser: Browser) -> None:
    id_ = await _ended(world)
    context = await browser.new_context()
    await context.add_init_script("Object.defineProperty(crypto, 'subtle', {value: undefined})")
    page = await context.new_page()
    await page.goto(str(world.client.make_url(f"/rounds/milk/{id_}")))
    await page.locator("#seed-check [data-outcome=cannot]").wait_for()
    assert await page.locator("#mine").is_hidden()


async def test_the_page_of_an_open_round_runs_without_complaint(world: World, browser: Browser) -> None:
    id_ = str((await world.post(ROUNDS, PACKET)).body["id"])
    page, complaints = await _open(world, browser, id_)
    assert await page.locator("h1").is_visible()
    assert int(await page.evaluate("document.documentElement.scrollWidth")) <= 360
    assert complaints == []
