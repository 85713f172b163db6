"""Which texts of `content/` handlers ask for, read from their source.

Found are calls of `say` and `text` on a handler's `Context` or a game's `Telling` or `Announcing`: the key as
a constant, as a choice of constants, as a name that was given such a value in the same function, or as an
f-string, of which the constant beginning counts. What else a handler does with keys is not seen.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

_CALLS = frozenset({"say", "text"})
_USUAL_NAMES = frozenset({"ctx", "context"})


@dataclass(frozen=True, slots=True)
class TextKey:
    """One place where a text is asked for.

    Attributes:
        where: ``file:line``.
        key: The key, or with `begins` how it begins.
        begins: Whether the rest of the key is known at run time only.
        values: Names of the values that are passed; None where they are known at run time only.
    """

    where: str
    key: str
    begins: bool
    values: frozenset[str] | None


def text_keys(modules: Iterable[ModuleType]) -> Iterator[TextKey]:
    """Yield every text that the functions of `modules` ask for."""
    for module in modules:
        file = inspect.getsourcefile(module) or module.__name__
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _in_function(node, file)


def _in_function(function: ast.FunctionDef | ast.AsyncFunctionDef, file: str) -> Iterator[TextKey]:
    contexts = _USUAL_NAMES | {
        argument.arg
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if argument.annotation is not None
        and ast.unparse(argument.annotation).endswith(("Context", "Telling", "Announcing"))
    }
    for call in ast.walk(function):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
            continue
        owner = call.func.value
        if call.func.attr in _CALLS and isinstance(owner, ast.Name) and owner.id in contexts:
            names = [keyword.arg for keyword in call.keywords]
            known = frozenset(name for name in names if name is not None)
            for key, begins in _keys(call.args[0], function):
                yield TextKey(f"{file}:{call.lineno}", key, begins, None if None in names else known)


def _keys(node: ast.expr, function: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield what a key may be: (text, whether only its beginning is known)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, False
    elif isinstance(node, ast.IfExp):
        yield from _keys(node.body, function)
        yield from _keys(node.orelse, function)
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        yield str(node.values[0].value), True
    elif isinstance(node, ast.Name):
        for given in ast.walk(function):
            if isinstance(given, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == node.id for target in given.targets
            ):
                yield from _keys(given.value, function)
