"""What managers do in the chat: keyword rules and points by hand."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.errors import RefusedError
from bot.model import KeywordRule, Reply
from bot.routing.context import Context, Question
from bot.routing.keyword_match import Match, order_key
from bot.routing.keyword_rule import check_rule
from bot.routing.names import display_member
from bot.routing.router import Route, Router
from bot.storage.redis.conversations import fits
from bot.storage.redis.points import MOST_POINTS

router = Router("managers")

# The steps of the talk that 关键词 alone begins.
_TRIGGER, _ANSWER, _CONFIRM = (
    "managers.keyword_trigger",
    "managers.keyword_answer",
    "managers.keyword_confirm",
)
_BETWEEN_TRIGGERS = re.compile(r"[、\n]")
_YES = frozenset({"确认", "确定", "保存", "好", "好的", "是", "对", "ok", "yes", "confirm", "save"})

_WORD = re.compile(r"\S+")
_NUMBER = re.compile(r"([-－−]|[+＋])?(\d+)分?")
_NUMBER_DIGITS = len(str(MOST_POINTS))
# Chinese is written without spaces, so the one behind a command word is forgotten easily.
_SPACE_FORGOTTEN = re.compile(r"(?P<keyword>关键词[^=]+=.)|(?P<delete>删关键词.)|(?P<grant>加分\D+\d)")


@router.command("关键词", "keyword", takes_text=True, for_managers=True)
async def add_keyword(ctx: Context) -> Reply:
    """Save ``触发=回复``: messages that contain the trigger get the answer; the same trigger is replaced.

    Alone it begins a talk that asks for one after the other.
    """
    if not ctx.rest:
        question = ctx.text("keyword.ask_trigger")
        if ctx.event.group_id:
            question += f"\n{ctx.text('group.answer_me')}"
        return ctx.ask(question, step=_TRIGGER)
    trigger, answer = _split(ctx.rest_as_sent)
    if not (trigger and answer):
        return ctx.say("keyword.form")
    problem = _problem(ctx, (trigger,), answer)
    if problem:
        return ctx.say("keyword.refused", problem=problem)
    said = Reply.text(await _save(ctx, (trigger,), answer))
    talked_of = ctx.conversation is not None and ctx.conversation.step in {_TRIGGER, _ANSWER, _CONFIRM}
    return ctx.end(said) if talked_of else said


@router.step(_TRIGGER, for_managers=True)
async def take_trigger(ctx: Context) -> Reply:
    """Take one or more triggers and ask for the answer."""
    triggers = tuple(filter(None, map(str.strip, _BETWEEN_TRIGGERS.split(ctx.said))))
    problem = _problem(ctx, triggers, "?")
    if problem:
        return ctx.ask(ctx.say("keyword.again", problem=problem), step=_TRIGGER)
    said = ctx.say("keyword.ask_answer", triggers="、".join(triggers))
    return ctx.ask(said, step=_ANSWER, data={"triggers": triggers})


@router.step(_ANSWER, for_managers=True)
async def take_answer(ctx: Context) -> Reply:
    """Take the answer, show it all again and ask whether it is right."""
    triggers = _talk(ctx)["triggers"]
    data = {"triggers": triggers, "answer": ctx.said}
    problem = _problem(ctx, triggers, ctx.said)
    if problem:
        said = ctx.say("keyword.again", problem=problem)
        return ctx.ask(said, step=_ANSWER, data={"triggers": triggers})
    return _ask_whether_right(ctx, data)


@router.step(_CONFIRM, for_managers=True)
async def confirm_keyword(ctx: Context) -> Reply:
    """Save what was talked of; anything but a yes asks again."""
    data = _talk(ctx)
    if ctx.normaliser.normalise(ctx.said) not in _YES:
        return _ask_whether_right(ctx, data)
    return ctx.end(await _save(ctx, data["triggers"], data["answer"]))


def _ask_whether_right(ctx: Context, data: Mapping[str, Any]) -> Reply:
    said = ctx.say("keyword.ask_confirm", triggers="、".join(data["triggers"]), answer=data["answer"])
    return ctx.ask(said, step=_CONFIRM, data=data)


def _talk(ctx: Context) -> Mapping[str, Any]:
    assert ctx.conversation is not None, "a step runs in a conversation"
    return ctx.conversation.data


@router.command("删关键词", "delkeyword", takes_text=True, for_managers=True)
async def delete_keyword(ctx: Context) -> Reply:
    """Take the trigger, however it is spelt, out of every rule; a rule without triggers left is deleted."""
    trigger = ctx.rest_as_sent
    if not trigger:
        return ctx.say("keyword.delete_form")
    form = ctx.normaliser.normalise(trigger)
    known = ctx.keywords.explain(form, ctx.event.sent_at_ms, ctx.event.group_id)
    written = {one.match.trigger for one in known if ctx.normaliser.normalise(one.match.trigger) == form}
    deleted = 0
    for spelling in (trigger, *sorted(written - {trigger})):
        deleted += await ctx.stores.keyword_rules.remove_trigger(ctx.community.id, spelling)
    return ctx.say("keyword.deleted" if deleted else "keyword.not_found", trigger=trigger)


@router.command("加分", "grant", takes_text=True, for_managers=True)
async def grant(ctx: Context) -> Reply:
    """Give a member points, or take them with a negative number; the ledger keeps who and why."""
    order = _order(ctx.rest_as_sent)
    if order is None:
        return ctx.say("grant.bad_number" if len(ctx.rest.split()) > 1 else "grant.form", most=MOST_POINTS)
    if order.delta is None:
        return ctx.say("grant.bad_number", most=MOST_POINTS)
    found = await _find(ctx, order.who)
    if not found:
        return ctx.say("grant.not_found", member=order.who)
    if len(found) > 1:
        ids = "、".join(member for member, _ in found)
        return ctx.say("grant.ambiguous", count=len(found), member=order.who, ids=ids)
    return await _carry_out(ctx, order, *found[0])


@router.text
def show_form(question: Question) -> Route | None:
    """Show managers the right form where they forgot the space behind the command."""
    if question.event.member_id not in question.community.managers:
        return None
    found = _SPACE_FORGOTTEN.match(question.text)
    event = question.event
    if found is None or question.keywords.best(question.text, event.sent_at_ms, event.group_id) is not None:
        return None
    return Route("managers.show_form", _FORMS[found.lastgroup or ""])


async def _keyword_form(ctx: Context) -> Reply:
    return ctx.say("keyword.form")


async def _delete_form(ctx: Context) -> Reply:
    return ctx.say("keyword.delete_form")


async def _grant_form(ctx: Context) -> Reply:
    return ctx.say("grant.form")


_FORMS = {"keyword": _keyword_form, "delete": _delete_form, "grant": _grant_form}


# ---------------------------------------------------------------- keywords


def _problem(ctx: Context, triggers: Sequence[str], answer: str) -> str:
    """Return what is wrong with a rule as a manager wrote it, empty when it may be saved."""
    rule = KeywordRule(triggers=tuple(triggers), answers=(answer,))
    faults = check_rule(rule, commands=ctx.command_words, normalise=ctx.normaliser.normalise)
    if faults:
        return faults[0].text(ctx.language)
    return "" if fits({"triggers": triggers, "answer": answer}) else ctx.text("keyword.too_much")


async def _save(ctx: Context, triggers: Sequence[str], answer: str) -> str:
    """Save one rule for each trigger, so that each can be changed and deleted by its name; say so."""
    saved = [await _save_one(ctx, trigger, answer) for trigger in triggers]
    if len(saved) == 1:
        replaced, _ = saved[0]
        said = ctx.text(
            "keyword.replaced" if replaced else "keyword.added", trigger=triggers[0], answer=answer
        )
    else:
        listed = "、".join(triggers)
        said = ctx.text("keyword.added_all", count=len(saved), triggers=listed, answer=answer)
    hiding = dict.fromkeys(other.trigger for _, other in saved if other is not None)
    return "\n".join((said, *(ctx.text("keyword.hidden", other=other) for other in hiding)))


async def _save_one(ctx: Context, trigger: str, answer: str) -> tuple[bool, Match | None]:
    """Save a rule; return whether one was replaced, and the rule that answers before it."""
    before = _same_trigger(ctx, trigger)
    triggers = (trigger,) if before is None else before.rule.triggers
    replaced = await ctx.stores.keyword_rules.put_single(
        ctx.community.id,
        KeywordRule(triggers=triggers, answers=(answer,)),
        created_by=ctx.event.member_id,
    )
    return replaced, _answers_first(ctx, trigger, before)


def _split(text: str) -> tuple[str, str]:
    """Split at the first equals sign of either width."""
    places = [place for place in (text.find("="), text.find("＝")) if place >= 0]
    if not places:
        return text.strip(), ""
    return text[: min(places)].strip(), text[min(places) + 1 :].strip()


def _same_trigger(ctx: Context, trigger: str) -> Match | None:
    """Return the rule whose one trigger reads the same to members, such as WiFi for wifi; it is replaced.

    The index may be half a second old: then the other spelling becomes a second rule.
    """
    form = ctx.normaliser.normalise(trigger)
    for found in ctx.keywords.match(form, ctx.event.sent_at_ms, ctx.event.group_id):
        if len(found.rule.triggers) == 1 and ctx.normaliser.normalise(found.trigger) == form:
            return found
    return None


def _answers_first(ctx: Context, trigger: str, replaced: Match | None) -> Match | None:
    """Return the rule that answers a message of just the trigger before the saved rule does."""
    form = ctx.normaliser.normalise(trigger)
    own_id = replaced.rule.id if replaced else sys.maxsize
    own = Match(KeywordRule(triggers=(trigger,), answers=("",), id=own_id), trigger, len(form), "contains")
    for found in ctx.keywords.match(form, ctx.event.sent_at_ms, ctx.event.group_id):
        if found.rule.id != own_id:
            return found if order_key(found) < order_key(own) else None
    return None


# ---------------------------------------------------------------- points


@dataclass(frozen=True, slots=True)
class _Order:
    """What a manager wrote; `delta` is None for a number that cannot be given."""

    who: str
    delta: int | None
    note: str


def _order(text: str) -> _Order | None:
    """Read ``who number note``: the number is the first word that is one, so that names may have spaces."""
    for word in list(_WORD.finditer(text))[1:]:
        number = _NUMBER.fullmatch(word[0])
        if number:
            who = text[: word.start()].strip().lstrip("@＠")
            return _Order(who, _delta(number), text[word.end() :].strip())
    return None


def _delta(number: re.Match[str]) -> int | None:
    digits = number[2]
    if len(digits) > _NUMBER_DIGITS or not 0 < int(digits) <= MOST_POINTS:
        return None
    return int(digits) if number[1] in {None, "+", "＋"} else -int(digits)


async def _find(ctx: Context, who: str) -> list[tuple[str, str]]:
    """Return (member id, name) of those meant by a member id, an account or a name.

    An order that was carried out before means whom it meant then, whoever else is called so by now.
    """
    community = ctx.community.id
    await ctx.stores.drain.flush(community)
    done = await ctx.stores.ledger.by_cause(community, ctx.event.id)
    spellings = [done[0].member] if done else dict.fromkeys((who, ctx.normaliser.half_width(who)))
    for spelling in spellings:
        found = await ctx.stores.member_history.find(community, spelling)
        # A person may be a member of two channels; said here, an account is the one people know here.
        here = [member for member in found if member.member == f"{ctx.event.channel}:{spelling}"]
        if found:
            return [(member.member, member.name) for member in here or found]
    return []


async def _carry_out(ctx: Context, order: _Order, member: str, name: str) -> Reply:
    assert order.delta is not None
    shown = display_member(name, member)
    try:
        granted = await ctx.stores.points.grant(
            ctx.community,
            member,
            order.delta,
            reason="grant",
            cause=ctx.event.id,
            day=ctx.day,
            at_ms=ctx.event.sent_at_ms,
            operator=ctx.event.member_id,
            note=order.note,
        )
    except RefusedError:
        balance = await ctx.stores.points.balance(ctx.community.id, member)
        return ctx.say("grant.poor", member=shown, balance=balance, points=abs(order.delta))
    return ctx.say(
        "grant.given" if order.delta > 0 else "grant.taken",
        member=shown,
        points=abs(order.delta),
        balance=granted.balance,
        note=order.note or ctx.text("grant.no_note"),
    )
