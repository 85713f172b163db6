"""积分: my balance, my ledger, the rankings."""

from __future__ import annotations

import asyncio

from bot.model import LedgerEntry, Reply
from bot.routing.context import Context
from bot.routing.names import display_member
from bot.routing.router import Router
from bot.storage.redis.points import Placed, Span

router = Router("points")

_PAGE_ROWS = 10
_MOST_PAGES = 100
_RANKING_ROWS = 10
_NOTE_CHARACTERS = 30  # of a page's row; the whole note stands in the ledger
_REASONS = frozenset(
    {
        "check_in", "milestone", "make_up", "grant", "reversal",
        "round_pay", "round_share", "round_stake", "round_prize", "round_refund",
    }
)  # fmt: skip
_PRIZES = frozenset({"best_luck", "consolation", "entries", "stake_back", "winnings"})
_SPANS = {
    "": Span.ALL,
    "今日": Span.DAY, "今天": Span.DAY, "日": Span.DAY, "日榜": Span.DAY, "today": Span.DAY, "day": Span.DAY,
    "本周": Span.WEEK, "周": Span.WEEK, "周榜": Span.WEEK, "week": Span.WEEK,
    "本月": Span.MONTH, "月": Span.MONTH, "月榜": Span.MONTH, "month": Span.MONTH,
    "总": Span.ALL, "总榜": Span.ALL, "all": Span.ALL,
}  # fmt: skip


@router.command("积分", "我的积分", "points", personal=True)
async def show_balance(ctx: Context) -> Reply:
    """Say how many points the member has, and their place of all."""
    points, community, member = ctx.stores.points, ctx.community.id, ctx.event.member_id
    balance, placed = await asyncio.gather(
        points.balance(community, member), points.place(community, Span.ALL, ctx.day, member)
    )
    place = ctx.text("points.place", place=placed.place) if placed else ""
    return ctx.say("points.balance", balance=balance, place=place)


@router.command("明细", "积分明细", "ledger", takes_text=True, personal=True)
async def show_ledger(ctx: Context) -> Reply:
    """Show one page of the member's ledger, newest first."""
    number = _page_number(ctx.rest)
    if number is None:
        return ctx.say("ledger.bad_page", most=_MOST_PAGES)
    community, member = ctx.community.id, ctx.event.member_id
    await ctx.stores.drain.flush(community)
    page = await ctx.stores.ledger.page(community, member=member, limit=_PAGE_ROWS)
    for _ in range(number - 1):
        if page.next_cursor is None:
            return ctx.say("ledger.end" if page.items else "ledger.empty")
        page = await ctx.stores.ledger.page(
            community, member=member, cursor=page.next_cursor, limit=_PAGE_ROWS
        )
    if not page.items:
        return ctx.say("ledger.empty")
    balance = await ctx.stores.points.balance(community, member)
    lines = [
        ctx.text("ledger.title", page=number, balance=balance),
        *(_row(ctx, entry) for entry in page.items),
    ]
    if page.next_cursor is not None and number < _MOST_PAGES:
        lines.append(ctx.text("ledger.more", page=number + 1))
    return Reply.text("\n".join(lines))


@router.command("排行", "排行榜", "rank", takes_text=True, personal=True)
async def show_ranking(ctx: Context) -> Reply:
    """Show the members with the most points gained today, this week, this month or ever."""
    span = _SPANS.get(ctx.normaliser.normalise(ctx.rest))
    if span is None:
        return ctx.say("ranking.bad_span")
    points, community = ctx.stores.points, ctx.community.id
    rows, mine = await asyncio.gather(
        points.ranking(community, span, ctx.day, _RANKING_ROWS),
        points.place(community, span, ctx.day, ctx.event.member_id),
    )
    title = ctx.text("ranking.title", community=ctx.community.name, span=ctx.text(f"ranking.{span.value}"))
    if not rows:
        return Reply.text(f"{title}\n{ctx.text('ranking.empty')}")
    lines = [title, *await _ranking_lines(ctx, rows)]
    if mine is None:
        lines.append(ctx.text("ranking.you_none"))
    else:
        lines.append(ctx.text("ranking.you", place=mine.place, points=mine.points))
    return Reply.text("\n".join(lines))


def _page_number(text: str) -> int | None:
    """Return the page that is asked for, the first where none is named; None for what is no page."""
    if not text:
        return 1
    if not (text.isdecimal() and len(text) <= len(str(_MOST_PAGES))):
        return None
    return int(text) if 0 < int(text) <= _MOST_PAGES else None


def _row(ctx: Context, entry: LedgerEntry) -> str:
    # A plug-in's own reason has no text in `content/`; its word is better than nothing.
    reason = ctx.text(f"reason.{entry.reason}") if entry.reason in _REASONS else entry.reason
    if entry.reason == "round_prize" and entry.rule in _PRIZES:
        reason = ctx.text(f"prize.{entry.rule}")
    note = " ".join(entry.note.split())
    if len(note) > _NOTE_CHARACTERS:
        note = f"{note[:_NOTE_CHARACTERS]}…"
    return ctx.text(
        "ledger.row_noted" if note else "ledger.row",
        at=ctx.calendar.local(entry.at_ms).strftime("%m-%d %H:%M"),
        delta=f"{entry.delta:+d}",
        reason=reason,
        note=note,
    )


async def _ranking_lines(ctx: Context, rows: list[Placed]) -> list[str]:
    members = await asyncio.gather(*(ctx.stores.members.get(ctx.community.id, row.member) for row in rows))
    names = [display_member(known.name, row.member) for row, known in zip(rows, members, strict=True)]
    return [
        ctx.text("ranking.row", place=row.place, name=name, points=row.points)
        for row, name in zip(rows, names, strict=True)
    ]
