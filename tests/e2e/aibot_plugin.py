"""A plug-in of the tests: what only an AI bot shows, beside the waiting commands of `slow_plugin`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from bot.model import (
    CardButton,
    CardClicked,
    CardUpdate,
    FeedbackGiven,
    Markdown,
    Reply,
    TemplateCard,
    Text,
    TextMessage,
)
from bot.routing.context import Context
from bot.routing.router import Router
from tests.e2e.slow_plugin import GATES

router = Router("aibot")

_TICK_S = 0.01


def _card(title: str) -> TemplateCard:
    return TemplateCard("button_interaction", title, task_id="t-1", buttons=(CardButton("去", "yes"),))


async def _gate(name: str) -> None:
    folder = Path(os.environ[GATES])
    with (folder / "done").open("a", encoding="utf-8") as file:
        file.write(f"begun {name}\n")
    while not (folder / name).exists():  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(_TICK_S)


@router.command("显", takes_text=True)
async def show(ctx: Context) -> Reply:
    """Show a first half, then wait, then say the whole."""
    await ctx.show(f"一半 {ctx.rest}")
    await _gate(ctx.rest)
    return Reply.text(f"全部 {ctx.rest}")


@router.command("哑", takes_text=True)
async def mute(ctx: Context) -> None:
    """Wait, and say nothing."""
    await _gate(ctx.rest)


@router.command("多", takes_text=True)
async def many(ctx: Context) -> Reply:
    """Wait, and say more than one message holds."""
    await _gate(ctx.rest)
    return Reply((Text(f"第一 {ctx.rest}"), _card(f"第二 {ctx.rest}"), Markdown(f"第三 {ctx.rest}")))


@router.command("卡", takes_text=True)
async def card(ctx: Context) -> Reply:
    """Answer with a card; after a gate where one is named."""
    if ctx.rest:
        await _gate(ctx.rest)
    return Reply((_card("去不去？"),))


@router.command("引")
async def quote(ctx: Context) -> Reply:
    """Say what was quoted."""
    content = ctx.event.content
    assert isinstance(content, TextMessage)
    return Reply.text(f"引用了 {content.quote.text if content.quote else '无'}")


@router.on(CardClicked)
async def clicked(ctx: Context) -> Reply:
    """Change the card, or, for another key, answer with what no click takes."""
    content = ctx.event.content
    assert isinstance(content, CardClicked)
    if content.key == "yes":
        return Reply((CardUpdate(TemplateCard("text_notice", "已报名", url="https://example.com")),))
    return Reply.text("点了别的")


@router.on(FeedbackGiven)
async def judged(ctx: Context) -> Reply:
    """Answer what must not be answered."""
    return Reply.text(f"谢谢 {ctx.event.user_id}")
