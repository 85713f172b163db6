"""What every handler is wrapped in; the order stands in `bot/wiring.py`."""

from __future__ import annotations

from dataclasses import replace

import structlog

from bot.errors import RefusedError, StoreError
from bot.model import Markdown, Reply, Text
from bot.routing.context import Context
from bot.routing.dispatcher import Next
from bot.routing.names import display_name

_log = structlog.get_logger("huoqun")


async def answer_errors(ctx: Context, following: Next) -> Reply | None:
    """Turn a refusal into its text and a fault of ours into an apology and a log entry.

    A store that is away is neither: the callback must fail, so that the platform repeats it.
    """
    try:
        return await following(ctx)
    except StoreError:
        raise
    except RefusedError as error:
        return Reply.text(str(error))
    except Exception as error:  # noqa: BLE001 - a handler's fault must not become a silent chat
        await _log.aerror(
            "handler failed", id=ctx.event.id, channel=ctx.event.channel, exc_info=error, private=True
        )
        return ctx.say("common.failed")


async def limit_rate(ctx: Context, following: Next) -> Reply | None:
    """Tell a member who sends too much to slow down, once a minute, and do nothing for the rest.

    What the platform reports is never left undone: a leave that is not noted is a wrong figure for ever.
    """
    inbox = ctx.stores.inbox
    if not ctx.event.is_message or inbox.within_rate(ctx.taken):
        return await following(ctx)
    ctx.personal = True
    return ctx.say("common.slow_down") if inbox.first_above_rate(ctx.taken) else None


async def choose_language(ctx: Context, following: Next) -> Reply | None:
    """Answer in the community's language."""
    ctx.language = ctx.community.language
    return await following(ctx)


async def name_in_group(ctx: Context, following: Next) -> Reply | None:
    """Begin what is meant for one member of a group with their name: others read it too.

    That is what a personal command answers, a question to the member, and a refusal.
    """
    reply = await following(ctx)
    if not (ctx.event.group_id and reply and reply.parts):
        return reply
    asks = reply.turn is not None and reply.turn.step
    first = reply.parts[0]
    if not (ctx.personal or asks) or not isinstance(first, Text | Markdown):
        return reply
    member = await ctx.stores.members.get(ctx.community.id, ctx.event.member_id)
    name = display_name(member.name, ctx.event.user_id)
    named = replace(first, text=ctx.text("group.to_member", name=name, text=first.text))
    return replace(reply, parts=(named, *reply.parts[1:]))


async def know_role(ctx: Context, following: Next) -> Reply | None:
    """Know whether the sender is a manager of the community, and keep managers' commands to managers."""
    ctx.is_manager = ctx.event.member_id in ctx.community.managers
    if ctx.for_managers and not ctx.is_manager:
        ctx.personal = True
        refusal = ctx.say("common.managers_only", command=ctx.word)
        # Who lost the role in the middle of a conversation must not hear this until it expires.
        return refusal if ctx.word else ctx.end(refusal)
    return await following(ctx)
