"""A plug-in of the tests: a talk whose step gives a point and then waits at a gate, as `slow_plugin` does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from tests.e2e.slow_plugin import GATES

router = Router("talk")

_TICK_S = 0.01


@router.command("报名")
async def begin(ctx: Context) -> Reply:
    """Ask for a name."""
    return ctx.ask("叫什么名字？", step="talk.name")


@router.step("talk.name")
async def take_name(ctx: Context) -> Reply:
    """Give a point for the name, and say so when the gate opens."""
    assert ctx.conversation is not None
    granted = await ctx.stores.points.grant(
        ctx.community,
        ctx.event.member_id,
        1,
        reason="talk",
        cause=f"talk:{ctx.conversation.set_by}",
        day=ctx.day,
        at_ms=ctx.event.sent_at_ms,
    )
    gates = Path(os.environ[GATES])
    with (gates / "done").open("a", encoding="utf-8") as file:
        file.write(f"begun {ctx.said}\n")
    while not (gates / "gate").exists():  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(_TICK_S)
    return ctx.ask(f"{ctx.said} 报名成功，积分 {granted.balance}。要几个座位？", step="talk.seats")


@router.step("talk.seats")
async def take_seats(ctx: Context) -> Reply:
    """End the talk."""
    return ctx.end(f"{ctx.said} 个座位。")
