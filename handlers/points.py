"""积分: my balance, my ledger, the rankings."""

from __future__ import annotations

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.points import Span
from handlers.names import display_member

router = Router("points")

_PAGE_ROWS = 10
_MOST_PAGES = 100
_RANKING_ROWS = 10
_SPANS = {
    "": Span.ALL,
    "今日": Span.DAY, "今天": Span.DAY, "日": Span.DAY, "today": Span.DAY, "day": Span.DAY,
    "本周": Span.WEEK, "周": Span.WEEK, "week": Span.WEEK,
    "本月": Span.MONTH, "月": Span.MONTH, "month": Span.MONTH,
    "总": Span.ALL, "总榜": Span.ALL, "all": Span.ALL,
}  # fmt: skip


@router.command("积分", "我的积分", "points")
async def show_balance(ctx: Context) -> Reply:
    """Say how many points the member has, and their place of all."""
    points, community, member = ctx.stores.points, ctx.community.id, ctx.event.member_id
    balance = await points.balance(community, member)
    placed = await points.place(community, Span.ALL, ctx.day, member)
    place = ctx.text("points.place", place=placed.place) if placed else ""
    return ctx.say("points.balance", balance=balance, place=place)


@router.command("明细", "积分明细", "ledger", takes_text=True)
async def show_ledger(ctx: Context) -> Reply:
    """Show one page of the member's ledger, newest first."""
    if ctx.rest and not (ctx.rest.isdecimal() and 0 < int(ctx.rest) <= _MOST_PAGES):
        return ctx.say("ledger.bad_page", most=_MOST_PAGES)
    number = int(ctx.rest or 1)
    community, member = ctx.community.id, ctx.event.member_id
    await ctx.stores.drain.flush(community)
    page = await ctx.stores.ledger.page(community, member=member, limit=_PAGE_ROWS)
    for _ in range(number - 1):
        if page.next_cursor is None:
            return ctx.say("ledger.end")
        page = await ctx.stores.ledger.page(
            community, member=member, cursor=page.next_cursor, limit=_PAGE_ROWS
        )
    if not page.items:
        return ctx.say("ledger.empty")
    balance = await ctx.stores.points.balance(community, member)
    lines = [ctx.text("ledger.title", page=number, balance=balance)]
    for entry in page.items:
        at = ctx.calendar.local(entry.at_ms).strftime("%m-%d %H:%M")
        reason = ctx.text(f"reason.{entry.reason}")
        note = f"（{entry.note}）" if entry.note else ""
        lines.append(ctx.text("ledger.row", at=at, delta=f"{entry.delta:+d}", reason=f"{reason}{note}"))
    if page.next_cursor is not None:
        lines.append(ctx.text("ledger.more", page=number + 1))
    return Reply.text("\n".join(lines))


@router.command("排行", "排行榜", "rank", takes_text=True)
async def show_ranking(ctx: Context) -> Reply:
    """Show the members with the most points gained today, this week, this month or ever."""
    span = _SPANS.get(ctx.rest.strip().casefold())
    if span is None:
        return ctx.say("ranking.bad_span")
    points, community = ctx.stores.points, ctx.community.id
    rows = await points.ranking(community, span, ctx.day, _RANKING_ROWS)
    title = ctx.text("ranking.title", community=ctx.community.name, span=ctx.text(f"ranking.{span.value}"))
    if not rows:
        return Reply.text(f"{title}\n{ctx.text('ranking.empty')}")
    lines = [title]
    for row in rows:
        member = await ctx.stores.members.get(community, row.member)
        name = display_member(member.name, row.member)
        lines.append(ctx.text("ranking.row", place=row.place, name=name, points=row.points))
    mine = await points.place(community, span, ctx.day, ctx.event.member_id)
    lines.append(
        ctx.text("ranking.you", place=mine.place, points=mine.points) if mine else ctx.text("ranking.you_none")
    )
    return Reply.text("\n".join(lines))
