"""What managers do in the chat: keyword rules and points by hand."""

from __future__ import annotations

from bot.errors import RefusedError
from bot.model import KeywordRule, Reply
from bot.routing.context import Context
from bot.routing.keyword_rule import check_rule
from bot.routing.router import Router
from bot.storage.redis.points import MOST_POINTS
from handlers.names import display_member

router = Router("managers")

_NUMBER_DIGITS = len(str(MOST_POINTS))


@router.command("关键词", "keyword", takes_text=True, for_managers=True)
async def add_keyword(ctx: Context) -> Reply:
    """Save ``触发=回复``: messages that contain the trigger get the answer; the same trigger is replaced."""
    trigger, answer = _split(ctx.rest_as_sent)
    if not (trigger and answer):
        return ctx.say("keyword.form")
    rule = KeywordRule(triggers=(trigger,), answers=(answer,))
    faults = check_rule(rule, commands=ctx.command_words, normalise=ctx.normaliser.normalise)
    if faults:
        return ctx.say("keyword.refused", problem=faults[0].text(ctx.language))
    replaced = await ctx.stores.keyword_rules.put_single(ctx.community.id, rule, created_by=ctx.event.member_id)
    key = "keyword.replaced" if replaced else "keyword.added"
    return ctx.say(key, trigger=trigger, answer=answer)


@router.command("删关键词", "delkeyword", takes_text=True, for_managers=True)
async def delete_keyword(ctx: Context) -> Reply:
    """Take the trigger out of every rule; a rule without triggers left is deleted."""
    trigger = ctx.rest_as_sent
    if not trigger:
        return ctx.say("keyword.delete_form")
    deleted = await ctx.stores.keyword_rules.remove_trigger(ctx.community.id, trigger)
    return ctx.say("keyword.deleted" if deleted else "keyword.not_found", trigger=trigger)


@router.command("加分", "grant", takes_text=True, for_managers=True)
async def grant(ctx: Context) -> Reply:
    """Give a member points, or take them with a negative number; the ledger keeps who and why."""
    words = ctx.rest.split(None, 2)
    if len(words) < 2:
        return ctx.say("grant.form")
    who, number = words[0].removeprefix("@"), words[1]
    note = words[2] if len(words) > 2 else ""
    delta = _whole_number(number)
    if delta is None:
        return ctx.say("grant.bad_number", most=MOST_POINTS)
    found = await _find(ctx, who)
    if len(found) != 1:
        if not found:
            return ctx.say("grant.not_found", member=who)
        ids = "、".join(member.partition(":")[2] for member, _ in found)
        return ctx.say("grant.ambiguous", count=len(found), member=who, ids=ids)
    member, name = found[0]
    shown = display_member(name, member)
    try:
        granted = await ctx.stores.points.grant(
            ctx.community,
            member,
            delta,
            reason="grant",
            cause=ctx.event.id,
            day=ctx.day,
            at_ms=ctx.event.sent_at_ms,
            operator=ctx.event.member_id,
            note=note,
        )
    except RefusedError:
        balance = await ctx.stores.points.balance(ctx.community.id, member)
        return ctx.say("grant.poor", member=shown, balance=balance)
    return ctx.say(
        "grant.done",
        member=shown,
        delta=f"{delta:+d}",
        balance=granted.balance,
        note=note or ctx.text("grant.no_note"),
    )


def _split(text: str) -> tuple[str, str]:
    """Split at the first equals sign of either width."""
    places = [place for place in (text.find("="), text.find("＝")) if place >= 0]
    if not places:
        return text.strip(), ""
    return text[: min(places)].strip(), text[min(places) + 1 :].strip()


def _whole_number(text: str) -> int | None:
    digits = text.removeprefix("+").removeprefix("-")
    if not (digits.isdecimal() and len(digits) <= _NUMBER_DIGITS):
        return None
    number = int(text)
    return number if 0 < abs(number) <= MOST_POINTS else None


async def _find(ctx: Context, who: str) -> list[tuple[str, str]]:
    """Return (member id, name) of those meant by a member id, an account or a name."""
    await ctx.stores.drain.flush(ctx.community.id)
    found = await ctx.stores.member_history.find(ctx.community.id, who)
    return [(member.member, member.name) for member in found]
