"""A keyword rule as JSON, and from JSON to a rule that may be saved: everything wrong with it at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bot.api.endpoint import Form, Shown
from bot.api.problem import Flaw
from bot.api.reading import flaws_of
from bot.model import KeywordRule
from bot.routing.keyword_match import KIND_ORDER
from bot.routing.keyword_rule import (
    COOL_DOWN_SCOPES,
    MAX_ANSWERS,
    MAX_COOL_DOWN_S,
    MAX_GROUPS,
    MAX_PRIORITY,
    MAX_TRIGGERS,
    MAX_WINDOWS,
    PICKS,
    check_rule,
)

_LARGEST = 1 << 62  # numbers beyond are refused before anybody computes with them


def _words(valid: Sequence[str], said: str) -> Any:
    # The schema names what is valid; `check_rule` refuses the rest, and knows the nearest valid word.
    return Field(description=said, json_schema_extra={"enum": list(valid)})


def _list(least: int, most: int, said: str) -> Any:
    return Field(description=said, json_schema_extra={"minItems": least, "maxItems": most})


def _number(least: int, most: int, said: str) -> Any:
    shown = {"minimum": least, "maximum": most}
    return Field(ge=-_LARGEST, le=_LARGEST, description=said, json_schema_extra=dict(shown))


_Triggers = Annotated[list[str], _list(1, MAX_TRIGGERS, "Any of them fires the rule.")]
_Answers = Annotated[list[str], _list(1, MAX_ANSWERS, "Texts with `{variables}`.")]
_Match = Annotated[str, _words(tuple(KIND_ORDER), "How a trigger is looked for.")]
_Pick = Annotated[str, _words(PICKS, "Which of several answers is given.")]
_Priority = Annotated[int, _number(-MAX_PRIORITY, MAX_PRIORITY, "Higher wins.")]
_CoolDown = Annotated[int, _number(0, MAX_COOL_DOWN_S, "Seconds of silence after an answer; 0 for none.")]
_Scope = Annotated[str, _words(COOL_DOWN_SCOPES, "Who waits for whom.")]
_Hours = Annotated[
    list[str], _list(0, MAX_WINDOWS, "`HH:MM-HH:MM` by the community's clock; empty is always.")
]
_Weekday = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
_Weekdays = Annotated[list[_Weekday], _list(0, 7, "1 (Monday) to 7; empty is every day.")]
_Groups = Annotated[list[str], _list(0, MAX_GROUPS, "Group ids it answers in; empty is everywhere.")]


class KeywordRuleForm(Form):
    """A keyword rule to be saved; what is left out has its default."""

    id: Annotated[
        int | None, Field(description="Given by the server; taken back from an answer, else left out.")
    ] = None
    triggers: _Triggers
    answers: _Answers
    match: _Match = "contains"
    pick: _Pick = "random"
    priority: _Priority = 0
    cool_down_s: _CoolDown = 0
    cool_down_scope: _Scope = "group"
    hours: _Hours = Field(default=[])
    weekdays: _Weekdays = Field(default=[])
    groups: _Groups = Field(default=[])
    enabled: bool = True


class KeywordRulePatch(Form):
    """Fields of a keyword rule to be changed; null sets the default, what is left out stays."""

    id: int | None = None
    triggers: _Triggers | None = None
    answers: _Answers | None = None
    match: _Match | None = None
    pick: _Pick | None = None
    priority: _Priority | None = None
    cool_down_s: _CoolDown | None = None
    cool_down_scope: _Scope | None = None
    hours: _Hours | None = None
    weekdays: _Weekdays | None = None
    groups: _Groups | None = None
    enabled: bool | None = None


class KeywordRuleShown(Shown):
    """A keyword rule."""

    id: int
    triggers: _Triggers
    match: _Match
    answers: _Answers
    pick: _Pick
    priority: _Priority
    cool_down_s: _CoolDown
    cool_down_scope: _Scope
    hours: _Hours
    weekdays: _Weekdays
    groups: _Groups
    enabled: bool


# Stands in for a field of the wrong type, so that the rest of the rule is checked all the same.
_SOUND: Mapping[str, Any] = KeywordRuleForm(triggers=["x"], answers=["x"]).model_dump()


class RuleReader:
    """Turns JSON into rules that may be saved."""

    def __init__(self, commands: Collection[str], normalise: Callable[[str], str]) -> None:
        """Check against these command words (in normal form) with this normaliser."""
        self._commands, self._normalise = commands, normalise

    def read(self, value: object) -> tuple[KeywordRule, list[Flaw]]:
        """Return the rule, with id 0, and everything wrong with it; a rule with flaws must not be used."""
        flaws: list[Flaw] = []
        try:
            form = KeywordRuleForm.model_validate(value)
        except ValidationError as error:
            flaws = flaws_of(error, KeywordRuleForm)
            form = _sound_part(value, {str(found["loc"][0]) for found in error.errors() if found["loc"]})
        rule = _rule(form)
        wrong = {flaw.path.partition("[")[0] for flaw in flaws}
        for fault in check_rule(rule, commands=self._commands, normalise=self._normalise):
            if fault.path.partition("[")[0] not in wrong:
                flaws.append(Flaw(path=fault.path, problem=fault.problem, cure=fault.cure))
        return rule, flaws


def _sound_part(value: object, wrong: Collection[str]) -> KeywordRuleForm:
    fields = {**value} if isinstance(value, dict) else {}
    return KeywordRuleForm.model_validate(
        {name: fields[name] if name in fields and name not in wrong else _SOUND[name] for name in _SOUND}
    )


def _rule(form: KeywordRuleForm) -> KeywordRule:
    return KeywordRule(
        triggers=tuple(form.triggers),
        answers=tuple(form.answers),
        match=form.match,
        pick=form.pick,
        priority=form.priority,
        cool_down_s=form.cool_down_s,
        cool_down_scope=form.cool_down_scope,
        hours=tuple(form.hours),
        weekdays=tuple(form.weekdays),
        groups=tuple(form.groups),
        enabled=form.enabled,
    )


def show_rule(rule: KeywordRule) -> KeywordRuleShown:
    """Return a rule as the API shows it."""
    return KeywordRuleShown(
        id=rule.id,
        triggers=list(rule.triggers),
        match=rule.match,
        answers=list(rule.answers),
        pick=rule.pick,
        priority=rule.priority,
        cool_down_s=rule.cool_down_s,
        cool_down_scope=rule.cool_down_scope,
        hours=list(rule.hours),
        weekdays=list(rule.weekdays),
        groups=list(rule.groups),
        enabled=rule.enabled,
    )
