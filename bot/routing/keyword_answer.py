"""The answers of a keyword rule: variables in braces, and which of several answers is given.

========== ======== ===============================================
variable   Chinese  meaning
========== ======== ===============================================
name       昵称     the member's display name
member     成员     the member's id
points     积分     the member's balance
streak     连续     days in a row the member has checked in
check_ins  累计     check-ins of the member in all
rank       排名     the member's place by points
community  社群     name of the community
group      群       name of the group, empty in a direct chat
date       日期     the day of the message by the community's clock
time       时间     the time of the message, likewise
weekday    星期     the weekday of the message, likewise
========== ======== ===============================================

``{{`` and ``}}`` write the braces themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from bot.routing.keyword_fault import RuleFault, RuleRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "name": "昵称", "member": "成员", "points": "积分", "streak": "连续", "check_ins": "累计",
        "rank": "排名", "community": "社群", "group": "群", "date": "日期", "time": "时间", "weekday": "星期",
    }
)  # fmt: skip
"""Every variable with its Chinese name; an answer may use either."""

_CANONICAL: Mapping[str, str] = MappingProxyType(
    {**{name: name for name in VARIABLES}, **{chinese: name for name, chinese in VARIABLES.items()}}
)
_TOKENS = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """One compiled answer.

    Attributes:
        pieces: Literal text and names of variables in turn; begins and ends with a literal.
        needs: The variables in it, so that a caller fetches only the state that is asked for.
    """

    pieces: tuple[str, ...]
    needs: frozenset[str]

    @property
    def is_constant(self) -> bool:
        """Whether every member is told the same."""
        return not self.needs

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text, with `values` (by the English names) in place of the variables.

        Raises:
            KeyError: A variable in `needs` has no value.
        """
        if not self.needs:
            return self.pieces[0]
        return "".join(values[piece] if place % 2 else piece for place, piece in enumerate(self.pieces))


_NOTHING: frozenset[str] = frozenset()


def compile_answer(text: str) -> Answer:
    """Take an answer to pieces; cheap enough to do for the one answer that is given.

    Raises:
        RuleRefusedError: A variable is unknown or a brace stands alone; names the nearest variable.
    """
    if "{" not in text and "}" not in text:
        return Answer((text,), _NOTHING)
    pieces = [""]
    for place, token in enumerate(_TOKENS.split(text)):
        if place % 2 == 0:
            pieces[-1] += token
        elif token in {"{{", "}}"}:
            pieces[-1] += token[0]
        else:
            pieces += [_variable(token), ""]
    return Answer(tuple(pieces), frozenset(pieces[1::2]))


def choose(answers: Sequence[_T], pick: str, *, event_id: str, turn: int = 0) -> Sequence[_T]:
    """Return which of a rule's answers are given.

    `random` draws by the event's id, so that every delivery of one event is answered alike; `in_turn`
    takes the answer number `turn`, counted on without end by the caller; `all` gives all, in order.
    """
    if pick == "all" or len(answers) == 1:
        return answers
    if pick == "random":
        drawn = blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        turn = int.from_bytes(drawn)
    return (answers[turn % len(answers)],)


def _variable(token: str) -> str:
    written = token.strip("{}").strip()
    if len(token) > 1 and (name := _CANONICAL.get(written.lower())):
        return name
    if len(token) == 1:
        fault = RuleFault(
            "lone_brace",
            "",
            f"a {token} stands alone",
            f"write {token}{token} to show a brace",
            {"brace": token},
        )
        raise RuleRefusedError(fault)
    nearest = next(iter(get_close_matches(written.lower(), _CANONICAL, 1, 0.4)), "")
    meant = f"did you mean {{{nearest}}}? " if nearest else ""
    known = " ".join(f"{{{chinese}}}" for chinese in VARIABLES.values())
    fault = RuleFault(
        "unknown_variable",
        "",
        f"there is no variable {token}",
        f"{meant}Known are {', '.join(_CANONICAL)}; write {{{{ and }}}} to show braces",
        {"variable": written, "nearest": nearest, "known": known},
    )
    raise RuleRefusedError(fault)
