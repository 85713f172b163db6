"""The members of a YAML list, from the parser's events: no aliases, no recursion, all scalars text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from bot.api.problem import unreadable

_DEEPEST = 4  # list, rule, list, text
_NO_VALUES: Final = frozenset({"", "~", "null", "Null", "NULL"})


def yaml_members(text: str) -> Iterator[tuple[int, object]]:
    """Yield (line from 1, value) of every member of the list that is the whole document; no value is None.

    Raises:
        ProblemError: 400, it is no YAML or no plain list.
    """
    walk = _Walk()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            walk.step(event)
            while walk.finished:
                yield walk.finished.pop()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unreadable(f"line {mark.line + 1 if mark else 1}: {error.problem or 'no YAML'}") from None
    except yaml.YAMLError as error:
        raise unreadable(f"it is no YAML: {type(error).__name__}") from None


class _Walk:
    """Builds values from events; `finished` holds the member that has just ended."""

    def __init__(self) -> None:
        self.finished: list[tuple[int, object]] = []
        self._open: list[_Container] = []
        self._documents = 0
        self._line = 1

    def step(self, event: Any) -> None:
        """Take the next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._begin(event)
            is_none = event.implicit[0] and event.value in _NO_VALUES
            self._put(None if is_none else event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
            if len(self._open) == _DEEPEST:
                raise unreadable(f"line {_line_of(event)}: it is nested too deeply for a rule")
            self._open.append(_Container({} if isinstance(event, yaml.MappingStartEvent) else []))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._put(self._open.pop().value)
        elif isinstance(event, yaml.AliasEvent):
            raise unreadable(f"line {_line_of(event)}: aliases are not taken")
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise unreadable("it holds more than one document")

    def _begin(self, event: Any) -> None:
        if not self._open and not isinstance(event, yaml.SequenceStartEvent):
            raise unreadable("it is no list of rules")
        if len(self._open) == 1:
            self._line = _line_of(event)

    def _put(self, value: object) -> None:
        if len(self._open) == 1:
            self.finished.append((self._line, value))
        elif self._open:
            self._open[-1].add(value)


class _Container:
    """A list or mapping that is being filled."""

    __slots__ = ("_key", "_waits", "value")

    def __init__(self, value: dict[str, object] | list[object]) -> None:
        self.value = value
        self._key = ""
        self._waits = False  # for the value of `_key`

    def add(self, item: object) -> None:
        """Take the next item: of a mapping, keys and values in turn."""
        if isinstance(self.value, list):
            self.value.append(item)
        elif self._waits:
            self.value[self._key] = item
            self._waits = False
        else:
            self._key, self._waits = str(item), True


def _line_of(event: Any) -> int:
    return int(event.start_mark.line) + 1
