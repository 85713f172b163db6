"""Texts that managers write, with their variables filled in (`bot.routing.keyword_answer` lists them)."""

from __future__ import annotations

from collections.abc import Sequence

from bot.routing.context import Context
from bot.routing.keyword_answer import compile_answer
from bot.routing.names import display_name
from bot.storage.redis.points import Span

_WEEKDAYS = {"zh-CN": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}


async def fill(ctx: Context, texts: Sequence[str]) -> list[str]:
    """Return the texts with their variables filled in; only what they need is asked of the stores."""
    answers = [compile_answer(text) for text in texts]
    values = await _values(ctx, frozenset[str]().union(*(answer.needs for answer in answers)))
    return [answer.render(values) for answer in answers]


async def _values(ctx: Context, needs: frozenset[str]) -> dict[str, str]:
    community, member = ctx.community.id, ctx.event.member_id
    local = ctx.calendar.local(ctx.event.sent_at_ms)
    weekdays = _WEEKDAYS.get(ctx.language, _WEEKDAYS["zh-CN"])
    values = {
        "member": member,
        "community": ctx.community.name,
        "group": ctx.event.group_id,
        "date": local.strftime("%Y-%m-%d"),
        "time": local.strftime("%H:%M"),
        "weekday": weekdays[local.weekday()],
    }
    if needs & {"name", "points"}:
        live = await ctx.stores.members.get(community, member)
        values["name"] = display_name(live.name, ctx.event.user_id)
        values["points"] = str(live.points)
    if "streak" in needs:
        values["streak"] = str(await ctx.stores.check_ins.streak(community, member, ctx.day))
    if "check_ins" in needs:
        values["check_ins"] = str(await ctx.stores.check_ins.total(community, member))
    if "rank" in needs:
        placed = await ctx.stores.points.place(community, Span.ALL, ctx.day, member)
        values["rank"] = str(placed.place) if placed else "-"
    return values
