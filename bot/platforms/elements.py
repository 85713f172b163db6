"""Reading a decoded body: elements by name, of the type we need, never with an error.

XML and JSON bodies both become `Elements`: a leaf is its text, an element with children is again
`Elements`, one that stands several times is a list. Platforms leave fields out, add some and send
numbers as text; a reader here then gives the empty value of its type.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Leaf: TypeAlias = str
Element: TypeAlias = "Leaf | dict[str, Element] | list[Element]"
Elements: TypeAlias = dict[str, Element]

_INTEGER_LIMIT = 2**63  # what SQL and Redis can hold


def text(elements: Elements, name: str) -> str:
    """Return the text of element `name`, the first of several; empty without one."""
    value = elements.get(name, "")
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""


def word(elements: Elements, name: str) -> str:
    """Return the text of element `name` without surrounding white space."""
    return text(elements, name).strip()


def texts(elements: Elements, name: str) -> tuple[str, ...]:
    """Return the texts of every element `name`, in order."""
    return tuple(value for value in _each(elements, name) if isinstance(value, str))


def child(elements: Elements, name: str) -> Elements:
    """Return the elements inside element `name`, the first of several; none without one."""
    return next(iter(children(elements, name)), {})


def children(elements: Elements, name: str) -> tuple[Elements, ...]:
    """Return, for every element `name` with elements inside, those."""
    return tuple(value for value in _each(elements, name) if isinstance(value, dict))


def integer(elements: Elements, name: str) -> int:
    """Return element `name` as an integer of 64 bits; 0 where it is none."""
    try:
        value = int(word(elements, name))
    except ValueError:
        value = int(decimal(elements, name))
    return value if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT else 0


def decimal(elements: Elements, name: str) -> float:
    """Return element `name` as a finite number; 0.0 where it is none."""
    try:
        value = float(word(elements, name))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def leaves(elements: Elements, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every leaf in order; the names of a path are joined by slashes."""
    for name in elements:
        for value in _each(elements, name):
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{name}/")
            elif isinstance(value, str):
                yield prefix + name, value


def _each(elements: Elements, name: str) -> list[Element]:
    """Return every element `name`."""
    value = elements.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
