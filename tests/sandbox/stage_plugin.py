"""A plug-in for played scenarios: answers that come late, and a card to press."""

from __future__ import annotations

import asyncio

from bot.model import CardButton, CardClicked, CardUpdate, FeedbackGiven, Reply, TemplateCard
from bot.routing.context import Context
from bot.routing.router import Router

router = Router("stage")


@router.command("慢", takes_text=True)
async def slow(ctx: Context) -> Reply:
    """Answer after so many seconds, longer than the platform waits."""
    await asyncio.sleep(float(ctx.rest))
    return Reply.text(f"慢慢来，过了 {ctx.rest} 秒")


@router.command("拼团")
async def offer(ctx: Context) -> Reply:
    """Answer with a card that has buttons."""
    return Reply((_card("参加拼团", ctx.event.event_id),))


@router.on(CardClicked)
async def join(ctx: Context) -> Reply:
    """Turn the card into another one."""
    content = ctx.event.content
    assert isinstance(content, CardClicked)
    return Reply((CardUpdate(_card(f"已选 {content.key}", content.task_id)),))


@router.on(FeedbackGiven)
async def listen(ctx: Context) -> None:
    """Take a judgement without an answer, as the platform demands."""


def _card(title: str, name: str) -> TemplateCard:
    task_id = "".join(sign if sign.isalnum() else "-" for sign in name if sign.isascii())[-100:]
    buttons = (CardButton("参加", "join"), CardButton("不了", "no", 2))
    return TemplateCard("button_interaction", title, "满 5 人成团", task_id=task_id, buttons=buttons)
