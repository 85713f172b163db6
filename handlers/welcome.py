"""入群欢迎: greet who follows the account or opens the app; note who leaves."""

from __future__ import annotations

from bot.model import Entered, Reply, Subscribed, Unsubscribed
from bot.routing.context import Context
from bot.routing.names import display_name
from bot.routing.router import Router
from bot.storage.redis.members import Greeting
from handlers.answers import fill

router = Router("welcome")


@router.on(Subscribed, Entered)
async def greet(ctx: Context) -> Reply | None:
    """Greet who comes first, and differently who returns; opening the chat welcomes back once a day."""
    members = ctx.stores.members
    greeting = await members.arrive(ctx.event, ctx.ticket.digest, ctx.community, ctx.day)
    if greeting is Greeting.QUIET:
        return None
    own = ctx.community.welcome.first if greeting is Greeting.FIRST else ctx.community.welcome.returning
    if own:
        return Reply.text((await fill(ctx, [own]))[0])
    member = await members.get(ctx.community.id, ctx.event.member_id)
    return ctx.say(
        f"welcome.{greeting.value}",
        community=ctx.community.name,
        name=display_name(member.name, ctx.event.user_id),
        points=member.points,
    )


@router.on(Unsubscribed)
async def say_goodbye(ctx: Context) -> None:
    """Note the leave; no answer can reach them any more."""
    await ctx.stores.members.leave(ctx.event, ctx.community)
