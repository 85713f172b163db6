"""``keywords``: the rules of a community; a change is live on every process within a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Listed, ListQuery, Query, Role
from bot.api.keyword_forms import (
    KeywordRuleForm,
    KeywordRulePatch,
    KeywordRuleShown,
    RuleReader,
    show_rule,
)
from bot.api.parts import ApiParts
from bot.api.problem import Flaw, ProblemError, invalid
from bot.api.reading import read_json
from bot.model import KeywordRule

_ID_DIGITS = 18


class KeywordRuleList(Listed[KeywordRuleShown]):
    """Keyword rules, the oldest first."""


async def list_keywords(call: Call[ListQuery, None]) -> KeywordRuleList:
    """List keyword rules, the oldest first."""
    with known_cursor():
        page = await call.parts.stores.keyword_rules.page(
            call.community.id, cursor=call.query.cursor, limit=call.query.limit
        )
    return KeywordRuleList(items=[show_rule(rule) for rule in page.items], next_cursor=page.next_cursor)


async def create_keyword(call: Call[Query, bytes]) -> Answer:
    """Save a new rule."""
    rule = _read(call.parts, read_json(call.body))
    saved = await call.parts.stores.keyword_rules.create(call.community.id, rule, created_by=call.caller.name)
    return Answer(show_rule(saved), 201, {"Location": f"{call.request.rel_url.raw_path}/{saved.id}"})


async def get_keyword(call: Call[Query, None]) -> KeywordRuleShown:
    """Return one rule."""
    return show_rule(await _find(call))


async def replace_keyword(call: Call[Query, bytes]) -> KeywordRuleShown:
    """Save a rule in the place of another."""
    value = read_json(call.body)
    return await _save(call, (await _find(call)).id, value)


async def change_keyword(call: Call[Query, bytes]) -> KeywordRuleShown:
    """Change some fields of a rule; of two changes at once the later one stands."""
    value = read_json(call.body)
    known = await _find(call)
    if not isinstance(value, dict):
        raise invalid([Flaw(path="", problem="is no JSON object", cure="send the fields to be changed")])
    before: dict[str, Any] = show_rule(known).model_dump()
    fields = dict(before)
    for name, wanted in value.items():
        if wanted is None:
            fields.pop(name, None)
        else:
            fields[name] = wanted
    # What was wrong before, such as a trigger that has become a command, keeps no other field from changing.
    accepted = rule_reader(call.parts).read(before)[1]
    return await _save(call, known.id, fields, accepted)


async def delete_keyword(call: Call[Query, None]) -> None:
    """Delete a rule."""
    known = await _find(call)
    if not await call.parts.stores.keyword_rules.delete(call.community.id, known.id):
        raise _unknown(call)


async def _save(
    call: Call[Query, bytes], rule_id: int, value: object, accepted: Sequence[Flaw] = ()
) -> KeywordRuleShown:
    rule = _read(call.parts, value, rule_id, accepted)
    saved = await call.parts.stores.keyword_rules.replace(call.community.id, replace(rule, id=rule_id))
    if saved is None:
        raise _unknown(call)
    return show_rule(saved)


def rule_reader(parts: ApiParts) -> RuleReader:
    """Return what checks rules against the commands of this product."""
    return RuleReader(parts.dispatcher.command_words, parts.dispatcher.normaliser.normalise)


def _read(
    parts: ApiParts, value: object, rule_id: int | None = None, accepted: Sequence[Flaw] = ()
) -> KeywordRule:
    rule, found = rule_reader(parts).read(value)
    flaws = [flaw for flaw in found if flaw not in accepted]
    given = value.get("id") if isinstance(value, dict) else None
    if rule_id is not None and given not in (None, rule_id):
        flaws.append(Flaw(path="id", problem=f"is not {rule_id}", cure="leave it out, or use the rule's own"))
    if flaws:
        raise invalid(flaws)
    return rule


async def _find(call: Call[Any, Any]) -> KeywordRule:
    number = call.path["rule"]
    rule = None
    if number.isascii() and number.isdecimal() and len(number) <= _ID_DIGITS:
        rule = await call.parts.stores.keyword_rules.get(call.community.id, int(number))
    if rule is None:
        raise _unknown(call)
    return rule


def _unknown(call: Call[Any, Any]) -> ProblemError:
    return ProblemError("not_found", f"{call.community.id} has no keyword rule {call.path['rule']!r}")


_RULE = {"application/json": KeywordRuleForm}
_CHANGES = {"application/json": KeywordRulePatch, "application/merge-patch+json": KeywordRulePatch}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities/{community}/keywords",
        list_keywords,
        "List keyword rules, the oldest first.",
        query=ListQuery,
        answer=KeywordRuleList,
    ),
    Endpoint(
        "POST",
        "/communities/{community}/keywords",
        create_keyword,
        "Save a new keyword rule.",
        role=Role.MANAGER,
        body_types=_RULE,
        answer=KeywordRuleShown,
        status=201,
    ),
    Endpoint(
        "GET",
        "/communities/{community}/keywords/{rule}",
        get_keyword,
        "Return one keyword rule.",
        answer=KeywordRuleShown,
    ),
    Endpoint(
        "PUT",
        "/communities/{community}/keywords/{rule}",
        replace_keyword,
        "Save a keyword rule in the place of another.",
        role=Role.MANAGER,
        body_types=_RULE,
        answer=KeywordRuleShown,
    ),
    Endpoint(
        "PATCH",
        "/communities/{community}/keywords/{rule}",
        change_keyword,
        "Change some fields of a keyword rule (JSON merge patch).",
        role=Role.MANAGER,
        body_types=_CHANGES,
        answer=KeywordRuleShown,
    ),
    Endpoint(
        "DELETE",
        "/communities/{community}/keywords/{rule}",
        delete_keyword,
        "Delete a keyword rule.",
        role=Role.MANAGER,
        status=204,
    ),
)
