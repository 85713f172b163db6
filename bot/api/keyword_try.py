"""``keywords/test``: which rules a text would meet, and why each won or lost; nothing is said or changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from bot.api.endpoint import Call, Endpoint, Form, Query, Shown
from bot.api.parts import ApiParts
from bot.api.problem import Flaw, invalid
from bot.api.times import InstantMs
from bot.clock import to_ms
from bot.model import Community, Event, TextMessage
from bot.routing.context import Question
from bot.routing.keyword_answer import choose, compile_answer
from bot.routing.keyword_index import KeywordIndex
from bot.routing.keyword_match import Explained

_MOST_SHOWN = 200
_ASKED_AT_ONCE = 500  # cool-downs per round trip
_BETWEEN_ANSWERS = "\n\n"
_LATEST_MS = to_ms(datetime(9000, 1, 1, tzinfo=UTC))


class TryForm(Form):
    """A message that nobody sent."""

    text: Annotated[str, Field(max_length=10_000, description="As a member would write it.")]
    member: Annotated[
        str | None, Field(max_length=512, description="Who would send it; cool-downs may be a member's own.")
    ] = None
    group: Annotated[
        str | None, Field(max_length=512, description="The group it would be sent to; none: a direct chat.")
    ] = None
    at: Annotated[InstantMs | None, Field(description="When it would be sent; default: now.")] = None


class Tried(Shown):
    """One rule with a trigger in the text."""

    rule: Annotated[int, Field(description="The rule's id.")]
    trigger: Annotated[str, Field(description="The trigger that was found, as written.")]
    outcome: Annotated[str, Field(description="won or lost.")]
    reason: Annotated[
        str,
        Field(
            description="Of the winner only_match or first; of the others command_first, disabled, "
            "other_group, wrong_weekday, outside_hours, cooling_down, lower_priority_than, weaker_kind_than, "
            "shorter_than, newer_than."
        ),
    ]
    values: Annotated[
        dict[str, str | int], Field(description="What the reason is about, such as the winner's id.")
    ]


class TryAnswer(Shown):
    """What would come of the text."""

    matches: Annotated[list[Tried], Field(description="The best first; at most 200.")]
    match_count: Annotated[int, Field(description="How many there are in all.")]
    command: Annotated[
        str | None, Field(description="The chat command the text is; commands come before keyword rules.")
    ]
    answer: Annotated[
        str | None,
        Field(
            description="What would be said, with variables in their braces; of several random answers one "
            "example, of answers in turn the first. Null when no rule answers."
        ),
    ]


async def try_keywords(call: Call[Query, TryForm]) -> TryAnswer:
    """Say which rules a text would meet, and why each won or lost."""
    parts, community = call.parts, call.community
    await parts.keywords.refresh()
    event = _event(parts, community, call.body)
    index, text = parts.keywords.of(community.id), parts.keywords.text_of(event)
    explained = await _explain(parts, community, index, event, text)
    calendar = parts.communities.calendar(community)
    route = parts.dispatcher.route(Question(event, community, calendar, text, index))
    won = next((one for one in explained if one.outcome == "won"), None)
    return TryAnswer(
        matches=[_tried(one, route.word) for one in explained[:_MOST_SHOWN]],
        match_count=len(explained),
        command=route.word or None,
        answer=None if won is None or route.word else _answer(won, event),
    )


def _event(parts: ApiParts, community: Community, form: TryForm) -> Event:
    """Return the message, as if it had come through a channel of the community."""
    at_ms = parts.clock.now_ms() if form.at is None else form.at
    if not 0 <= at_ms < _LATEST_MS:
        raise invalid([Flaw(path="at", problem="is out of range", cure="name an instant from 1970 to 8999")])
    channel, user_id = _sender(community, form)
    return Event(
        id=f"api:{at_ms}:{form.text}",
        channel=channel,
        user_id=user_id,
        account_id="",
        group_id=form.group or "",
        sent_at_ms=at_ms,
        content=TextMessage(form.text),
    )


def _sender(community: Community, form: TryForm) -> tuple[str, str]:
    if form.member:
        channel, _, user_id = form.member.partition(":")
        return channel, user_id
    of_group = [channel for channel, group in community.groups if group == form.group]
    return next(iter((*of_group, *community.channels)), ""), ""


async def _explain(
    parts: ApiParts, community: Community, index: KeywordIndex, event: Event, text: str
) -> list[Explained]:
    """Explain with the cool-downs of the moment; in a thread, since one trigger may be in every rule."""
    at_ms, group = event.sent_at_ms, event.group_id
    explained = await asyncio.to_thread(index.explain, text, at_ms, group)
    slow = [one for one in explained if one.match.rule.cool_down_s]
    cooling = await _cooling(parts, community, event, slow)
    return await asyncio.to_thread(index.explain, text, at_ms, group, cooling) if cooling else explained


async def _cooling(
    parts: ApiParts, community: Community, event: Event, explained: Sequence[Explained]
) -> set[int]:
    """Return the ids of the rules that are cooling down for the sender."""
    gate, at_ms = parts.stores.keyword_gate, event.sent_at_ms
    cooling: set[int] = set()
    for start in range(0, len(explained), _ASKED_AT_ONCE):
        rules = [one.match.rule for one in explained[start : start + _ASKED_AT_ONCE]]
        left = await asyncio.gather(*(gate.cooling_ms(event, community.id, rule, at_ms) for rule in rules))
        cooling.update(rule.id for rule, left_ms in zip(rules, left, strict=True) if left_ms)
    return cooling


def _tried(one: Explained, command: str) -> Tried:
    if command:
        one = Explained(one.match, "lost", "command_first", {"command": command})
    return Tried(
        rule=one.match.rule.id,
        trigger=one.match.trigger,
        outcome=one.outcome,
        reason=one.reason,
        values=dict(one.values),
    )


def _answer(won: Explained, event: Event) -> str:
    """Return what the rule would say; variables stay in their braces."""
    rule = won.match.rule
    chosen = [compile_answer(text) for text in choose(rule.answers, rule.pick, event_id=event.id)]
    return _BETWEEN_ANSWERS.join(
        answer.render({name: f"{{{name}}}" for name in answer.needs}) for answer in chosen
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/communities/{community}/keywords/test",
        try_keywords,
        "Say which rules a text would meet, and why each won or lost; changes nothing.",
        body=TryForm,
        answer=TryAnswer,
    ),
)
