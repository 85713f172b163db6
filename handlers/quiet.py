"""退订, 订阅, 静音, 恢复: who wants to hear nothing unprompted. Answers to people are never bound by it."""

from __future__ import annotations

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.decency import EVERYBODY, group_receiver

router = Router("quiet")


@router.command("退订", "unsubscribe")
async def opt_out(ctx: Context) -> Reply:
    """Note that the member wants nothing in direct chats unless they ask."""
    await _put_wish(ctx, ctx.event.member_id, opted_out=True)
    return ctx.say("quiet.opted_out")


@router.command("订阅", "subscribe")
async def opt_in(ctx: Context) -> Reply:
    """Note that the member wants to be told again, and say so where a manager has muted everything."""
    await _put_wish(ctx, ctx.event.member_id, opted_out=False)
    if await ctx.stores.decency.is_opted_out(ctx.community.id, EVERYBODY):
        return ctx.say("quiet.opted_in_muted")
    return ctx.say("quiet.opted_in")


@router.command("静音", "mute", for_managers=True)
async def mute(ctx: Context) -> Reply:
    """Say nothing unprompted in this group; in a direct chat, in the whole community."""
    await _put_wish(ctx, _chat(ctx), opted_out=True)
    return ctx.say("quiet.group_muted" if ctx.event.group_id else "quiet.all_muted")


@router.command("恢复", "unmute", for_managers=True)
async def unmute(ctx: Context) -> Reply:
    """Speak unprompted again where it was muted."""
    await _put_wish(ctx, _chat(ctx), opted_out=False)
    if not ctx.event.group_id:
        return ctx.say("quiet.all_unmuted")
    if await ctx.stores.decency.is_opted_out(ctx.community.id, EVERYBODY):
        return ctx.say("quiet.group_unmuted_muted")
    return ctx.say("quiet.group_unmuted")


def _chat(ctx: Context) -> str:
    event = ctx.event
    return group_receiver(event.channel, event.group_id) if event.group_id else EVERYBODY


async def _put_wish(ctx: Context, receiver: str, *, opted_out: bool) -> None:
    await ctx.stores.decency.put_wish(
        ctx.community.id,
        receiver,
        opted_out=opted_out,
        cause=ctx.event.id,
        at_ms=ctx.event.sent_at_ms,
        operator=ctx.event.member_id,
    )
