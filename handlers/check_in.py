"""签到: one check-in per member and community-day, make-up cards, and the month's calendar."""

from __future__ import annotations

import asyncio
import calendar
from datetime import date

from bot.model import CheckInRules, Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.check_ins import CardRefused, CheckedIn

router = Router("check_in")

# One cell of the calendar is two digits and a sign as wide as a Chinese character; so are these blanks.
_NO_DAY = "\u2007\u2007"  # U+2007 is as wide as a digit


@router.command("签到", "打卡", "checkin", personal=True)
async def check_in(ctx: Context) -> Reply:
    """Accept the first check-in of the day the message was sent on; later ones change nothing and say so."""
    result = await ctx.stores.check_ins.check_in(ctx.ticket, ctx.community)
    today = ctx.calendar.day_of(ctx.now_ms).number == ctx.day.number
    if not result.done:
        return await _already(ctx, today=today)
    return ctx.say(
        "check_in.done" if today else "check_in.done_for",
        day=ctx.day.iso,
        rank=result.rank,
        points=result.points,
        balance=result.balance,
        streak=result.streak,
        total=result.total,
        next=_outlook(ctx, result),
    )


@router.command("补签", "makeup", personal=True)
async def make_up(ctx: Context) -> Reply:
    """Fill the latest missed day with a make-up card, paid in points."""
    rules = ctx.community.check_in
    if not (rules.make_up_days_back and rules.make_up_per_month):
        return ctx.say("make_up.off")
    result = await ctx.stores.check_ins.make_up(ctx.event, ctx.community, ctx.day)
    if result.refused is CardRefused.NOTHING_MISSED or result.day is None:
        return ctx.say("make_up.nothing")
    day = result.day.isoformat()
    if result.refused is CardRefused.MONTH_LIMIT:
        return ctx.say("make_up.limit", day=day, month=result.day.month, limit=result.limit)
    if result.refused is CardRefused.TOO_FEW_POINTS:
        return ctx.say("make_up.poor", day=day, cost=result.cost, balance=result.balance)
    return ctx.say(
        "make_up.done",
        day=day,
        cost=result.cost,
        balance=result.balance,
        streak=result.streak,
        total=result.total,
        next=ctx.text("make_up.bonus", bonus=result.bonus) if result.bonus else ctx.text("make_up.next"),
    )


@router.command("日历", "签到日历", "calendar", personal=True)
async def show_calendar(ctx: Context) -> Reply:
    """Show the month of the message as a calendar in text."""
    today = ctx.day.date
    last = calendar.monthrange(today.year, today.month)[1]
    store, community, member = ctx.stores.check_ins, ctx.community.id, ctx.event.member_id
    marked, streak, total = await asyncio.gather(
        store.days(community, member, today.replace(day=1), today.replace(day=last)),
        store.streak(community, member, ctx.day),
        store.total(community, member),
    )
    lines = [
        ctx.text("calendar.title", year=today.year, month=today.month),
        ctx.text("calendar.weekdays"),
        *_weeks(today, marked),
        ctx.text("calendar.summary", days=len(marked), streak=streak, total=total),
        ctx.text("calendar.hint"),
    ]
    return Reply.text("\n".join(lines))


async def _already(ctx: Context, *, today: bool) -> Reply:
    """Say that the day is checked in, with the figures of now rather than of that check-in."""
    stores, community, member = ctx.stores, ctx.community.id, ctx.event.member_id
    streak, total, balance = await asyncio.gather(
        stores.check_ins.streak(community, member, ctx.day),
        stores.check_ins.total(community, member),
        stores.points.balance(community, member),
    )
    return ctx.say(
        "check_in.already" if today else "check_in.already_for",
        day=ctx.day.iso,
        streak=streak,
        total=total,
        balance=balance,
    )


def _outlook(ctx: Context, result: CheckedIn) -> str:
    """What a check-in has brought beside its points, and what the next days may bring."""
    following = _next_milestone(ctx, ctx.community.check_in, result.streak)
    if not result.bonus:
        return following
    return ctx.text("check_in.bonus", bonus=result.bonus, next=following)


def _next_milestone(ctx: Context, rules: CheckInRules, streak: int) -> str:
    for milestone, bonus in rules.milestones:
        if milestone > streak and bonus:
            return ctx.text("check_in.next", days=milestone - streak, bonus=bonus)
    return ctx.text("check_in.next_none")


def _weeks(today: date, marked: set[date]) -> list[str]:
    """One line per week, Monday first: ✅ for a day checked in, else its number; fits on a phone."""
    lines = []
    for week in calendar.Calendar().monthdatescalendar(today.year, today.month):
        cells = [
            _NO_DAY if day.month != today.month else "✅" if day in marked else f"{day.day:02d}"
            for day in week
        ]
        lines.append(" ".join(cells).rstrip(f" {_NO_DAY}"))
    return lines
