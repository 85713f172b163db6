"""关键词回复: the rules managers set, matched before any state is asked.

A rule that answers everybody alike and always leaves with the event's only round trip; variables, turns and
cool-downs need state and so a handler. The answer of one message is one rule's; a rule that cools down lets
the next one that matches answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

from bot.model import Reply
from bot.routing.context import Context, Question
from bot.routing.keyword_answer import choose, compile_answer
from bot.routing.keyword_match import Match
from bot.routing.router import Route, Router
from handlers.answers import fill

router = Router("keywords")

_BETWEEN_ANSWERS = "\n\n"  # a passive reply is one message, so answers of `pick: all` are joined


@router.text
def match(question: Question) -> Route | None:
    """Find the rule that answers the text."""
    event = question.event
    best = question.keywords.best(question.text, event.sent_at_ms, event.group_id)
    if best is None:
        return None
    rule = best.rule
    if not rule.cool_down_s and rule.pick != "in_turn":
        constant = _constant(choose(rule.answers, rule.pick, event_id=event.id))
        if constant is not None:
            return Route("keywords.match", constant=constant)
    matches = question.keywords.match(question.text, event.sent_at_ms, event.group_id)
    return Route("keywords.match", handler=partial(_answer, matches))


def _constant(chosen: Sequence[str]) -> Reply | None:
    """Return the reply of answers that tell everybody the same, None where they have variables."""
    if len(chosen) == 1 and "{" not in chosen[0] and "}" not in chosen[0]:
        return Reply.text(chosen[0])  # the usual one; to remember it would cost more, with many rules
    return _compiled(tuple(chosen))


@lru_cache(maxsize=10_000)
def _compiled(chosen: tuple[str, ...]) -> Reply | None:
    answers = [compile_answer(text) for text in chosen]
    if not all(answer.is_constant for answer in answers):
        return None
    return Reply.text(_BETWEEN_ANSWERS.join(answer.render({}) for answer in answers))


async def _answer(matches: Sequence[Match], ctx: Context) -> Reply | None:
    """Answer with the first rule that is not cooling down."""
    for found in matches:
        rule = found.rule
        turn = await ctx.stores.keyword_gate.pass_through(
            ctx.event, ctx.ticket.digest, ctx.community.id, rule, ctx.now_ms
        )
        if turn is not None:
            chosen = choose(rule.answers, rule.pick, event_id=ctx.event.id, turn=turn)
            return Reply.text(_BETWEEN_ANSWERS.join(await fill(ctx, chosen)))
    return None
