"""签到: one check-in per member and community-day, make-up cards, and the month's calendar."""

from __future__ import annotations

import calendar
from datetime import date

from bot.model import CheckInRules, Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.check_ins import CardRefused

router = Router("check_in")


@router.command("签到", "打卡", "checkin")
async def check_in(ctx: Context) -> Reply:
    """Accept the first check-in of the day the message was sent on; later ones change nothing and say so."""
    result = await ctx.stores.check_ins.check_in(ctx.ticket, ctx.community)
    today = ctx.calendar.day_of(ctx.now_ms).number == ctx.day.number
    figures = {"streak": result.streak, "total": result.total, "balance": result.balance}
    if not result.done:
        return ctx.say("check_in.already" if today else "check_in.already_for", **figures, day=ctx.day.iso)
    if result.bonus:
        outlook = ctx.text("check_in.bonus", bonus=result.bonus)
    else:
        outlook = _next_milestone(ctx, ctx.community.check_in, result.streak)
    return ctx.say(
        "check_in.done" if today else "check_in.done_for",
        **figures,
        rank=result.rank,
        points=result.points,
        next=outlook,
        day=ctx.day.iso,
    )


@router.command("补签", "makeup")
async def make_up(ctx: Context) -> Reply:
    """Fill the latest missed day with a make-up card, paid in points."""
    if not ctx.community.check_in.make_up_days_back:
        return ctx.say("make_up.off")
    result = await ctx.stores.check_ins.make_up(ctx.event, ctx.community, ctx.day)
    if result.refused is CardRefused.NOTHING_MISSED or result.day is None:
        return ctx.say("make_up.nothing")
    day = result.day.isoformat()
    if result.refused is CardRefused.MONTH_LIMIT:
        return ctx.say("make_up.limit", month=result.day.month, limit=result.limit)
    if result.refused is CardRefused.TOO_FEW_POINTS:
        return ctx.say("make_up.poor", day=day, cost=result.cost, balance=result.balance)
    return ctx.say(
        "make_up.done",
        day=day,
        cost=result.cost,
        balance=result.balance,
        streak=result.streak,
        total=result.total,
        bonus=ctx.text("make_up.bonus", bonus=result.bonus) if result.bonus else "",
    )


@router.command("日历", "签到日历", "calendar")
async def show_calendar(ctx: Context) -> Reply:
    """Show the month of the message as a calendar in text."""
    today = ctx.day.date
    last = calendar.monthrange(today.year, today.month)[1]
    store, community, member = ctx.stores.check_ins, ctx.community.id, ctx.event.member_id
    marked = await store.days(community, member, today.replace(day=1), today.replace(day=last))
    lines = [
        ctx.text("calendar.title", year=today.year, month=today.month),
        ctx.text("calendar.weekdays"),
        *_weeks(today, marked),
        ctx.text(
            "calendar.summary",
            days=len(marked),
            streak=await store.streak(community, member, ctx.day),
            total=await store.total(community, member),
        ),
        ctx.text("calendar.hint"),
    ]
    return Reply.text("\n".join(lines))


def _next_milestone(ctx: Context, rules: CheckInRules, streak: int) -> str:
    for milestone, bonus in rules.milestones:
        if milestone > streak:
            return ctx.text("check_in.next", days=milestone - streak, bonus=bonus)
    return ctx.text("check_in.next_none")


def _weeks(today: date, marked: set[date]) -> list[str]:
    """One line per week, Monday first: the day's number and ✓ or ·; days to come without a mark."""
    lines = []
    for week in calendar.Calendar().monthdatescalendar(today.year, today.month):
        cells = []
        for day in week:
            mark = "✓" if day in marked else "·" if day <= today else " "
            cells.append(f"{day.day:2d}{mark}" if day.month == today.month else "   ")
        lines.append(" ".join(cells).rstrip())
    return lines
