"""YAML as a plain tree, with the line of every key path and everything wrong with it at once.

Scalars stay text, whatever they look like: what a value means is decided by the one who knows which
type the key has. So `secret: 0123` keeps its zero, `id: on` is not a truth value and `12:30` is not a
number of seconds. Only an empty value (also `~`, `null`) is None.

Findings never quote a value of the file, since any value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

import yaml

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the root: ``("channels", 0, "token")``."""


class Broken(Enum):
    """Stands in the tree where a value could not be read; a finding says why."""

    BROKEN = auto()


Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | Broken | None"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a key path, before it is known what the file is called; `line` starts at 1."""

    path: KeyPath
    line: int
    problem: str
    cure: str = ""


class ScalarError(Exception):
    """A scalar reader refuses a value; `problems` are pairs of what is wrong and what to do."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        """Carry `problems`, at least one, none of which quotes the value."""
        self.problems = problems
        super().__init__("; ".join(problem for problem, _cure in problems))


ScalarReader: TypeAlias = Callable[[str, str], str]
"""Turns the tag and the text of a scalar into its value; may raise `ScalarError`."""


@dataclass(frozen=True, slots=True)
class Document:
    """What one YAML file says.

    Attributes:
        tree: The values; `Broken.BROKEN` where one could not be read.
        lines: For each key path the line, from 1, of its key (or of the list item).
        findings: What is wrong so far, in the order of the file.
        broken: The key paths of the broken values.
    """

    tree: Tree
    lines: dict[KeyPath, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of `path`, or of the innermost thing around it that stands in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: KeyPath) -> Tree:
        """Return the value at `path`; None where nothing stands."""
        value = self.tree
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value


_NULL: Final = "tag:yaml.org,2002:null"
_SCALAR_TAGS: Final = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool")}
_CONTAINER_TAGS: Final = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_UNKNOWN_TAG: Final = "has a tag that is not known"
_SYNTAX_CURE: Final = (
    "check the indentation, the space after each colon, and quotes around values that begin with "
    "{ [ * & ! % @ ` or hold ': ' or ' #'"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without its guesses about types, empty values apart."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own class attribute, replaced and never changed
        first: [(_NULL, re.compile(r"(?:~|null|Null|NULL|)$"))] for first in ("~", "n", "N", "")
    }


def plain_scalar(tag: str, text: str) -> str:
    """Read a scalar as its text; the `ScalarReader` of files without tags of their own.

    Raises:
        ScalarError: It has a tag beyond YAML's own for text, numbers and truth values.
    """
    if tag not in _SCALAR_TAGS:
        raise ScalarError((_UNKNOWN_TAG, "put a value that begins with ! in quotes"))
    return text


def read_yaml(data: bytes, read_scalar: ScalarReader = plain_scalar) -> Document:
    """Read one YAML document.

    Syntax errors, undecodable bytes, unknown tags, duplicate keys and values that `read_scalar`
    refuses become findings of the document. With a syntax error the whole tree is broken.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _unreadable(line, "is not UTF-8 text", "save the file as UTF-8")
    walk = _Walk(read_scalar)
    try:
        tree = walk.value(yaml.compose(text, _Loader), ())
    except yaml.YAMLError as error:
        line, problem, cure = _syntax_problem(error, text)
        return _unreadable(line, problem, cure)
    except RecursionError:
        return _unreadable(1, "is nested too deeply", "")
    return Document(tree, walk.lines, walk.findings, walk.broken)


def _unreadable(line: int, problem: str, cure: str) -> Document:
    return Document(Broken.BROKEN, {}, [Finding((), line, problem, cure)], {()})


def _syntax_problem(error: yaml.YAMLError, text: str) -> tuple[int, str, str]:
    """Return line, problem and cure of a syntax error, without any word of the file."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"holds the control character #x{ord(text[error.position]):02x}", "remove it"
    line, problem = 1, ""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or ""
    if "undefined alias" in problem:
        return line, "is not valid YAML: *name without &name", "put a value that begins with * in quotes"
    # PyYAML quotes what it found. Its own token names and single characters may be shown, words not.
    quoted = re.sub(r"'(?:<[a-z ]+>|\\?.)'", "", problem)
    shown = f": {problem}" if problem and "'" not in quoted and '"' not in quoted else ""
    return line, f"is not valid YAML{shown}", _SYNTAX_CURE


class _Walk:
    """One pass over the composed nodes that gathers tree, lines and findings."""

    def __init__(self, read_scalar: ScalarReader) -> None:
        self._read_scalar = read_scalar
        self._open: set[int] = set()
        self.lines: dict[KeyPath, int] = {}
        self.findings: list[Finding] = []
        self.broken: set[KeyPath] = set()

    def value(self, node: yaml.Node | None, path: KeyPath) -> Tree:
        """Return what `node` holds; `path` is where it stands."""
        if node is None:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _CONTAINER_TAGS:
            return self._break(path, _UNKNOWN_TAG, "put a value that begins with ! in quotes")
        if id(node) in self._open:
            return self._break(path, "holds itself through an alias")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.remove(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Tree:
        if node.tag == _NULL:
            return None
        try:
            return self._read_scalar(node.tag, node.value)
        except ScalarError as error:
            for problem, cure in error.problems:
                self._break(path, problem, cure)
            return Broken.BROKEN

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Tree]:
        tree: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in {*_SCALAR_TAGS, _NULL}:
                self.findings.append(Finding(path, line, "holds a key that is not plain text"))
                continue
            inner = (*path, key_node.value)
            if key_node.value in tree:
                cure = f"keep one; the first stands in line {self.lines[inner]}"
                self.findings.append(Finding(inner, line, "is there twice", cure))
                continue
            self.lines[inner] = line
            tree[key_node.value] = self.value(value_node, inner)
        return tree

    def _break(self, path: KeyPath, problem: str, cure: str = "") -> Broken:
        self.findings.append(Finding(path, self.lines[path], problem, cure))
        self.broken.add(path)
        return Broken.BROKEN
