"""From what is wrong to faults a person can act on: key path, line, problem, nearest valid key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import isclass
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.config.models import CHANNEL_KINDS, WRONG_VALUE, Config
from bot.config.values import did_you_mean, nearest
from bot.errors import Fault
from bot.yaml_tree import Document, Finding, KeyPath

_MAPPING: Final = ("must hold keys and values", "write `key: value` lines or {key: value}")
_LIST: Final = ("must be a list", "write `- item` lines or [item, item]")
_PLAIN: Final[Mapping[str, tuple[str, str]]] = {
    "int_parsing": ("must be a whole number", ""),
    "int_type": ("must be a whole number", ""),
    "int_from_float": ("must be a whole number", ""),
    "float_parsing": ("must be a number", ""),
    "float_type": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool_parsing": ("must be true or false", ""),
    "bool_type": ("must be true or false", ""),
    "string_type": ("must be text", ""),
    "path_type": ("must be text", ""),
    "tuple_type": _LIST,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}
_LIMITS: Final = {
    "greater_than": ("must be above", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than_equal": ("must be at most", "le"),
}


def model_findings(errors: Iterable[ErrorDetails], document: Document) -> list[Finding]:
    """Return the findings of the models' validation errors, which must come without their input.

    What concerns a value that could not be read is left out: the document's own findings tell of it.
    """
    findings = []
    for error in errors:
        path = _tree_path(error["loc"])
        if any(path[:length] in document.broken for length in range(len(path) + 1)):
            continue
        if error["type"] == "union_tag_invalid":  # an unknown kind, which `check_whole` reports
            continue
        if error["type"] == "union_tag_not_found":
            path = (*path, "kind")
        problem, cure = _words(error, path, document)
        findings.append(Finding(path, document.line_of(path), problem, cure))
    return findings


def to_faults(findings: Iterable[Finding], document: Document, file: str) -> list[Fault]:
    """Return `findings` as faults of `file`, each once, in the order of its lines."""
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: finding.line)
    return [
        Fault(f"{file}:{finding.line}", _shown(finding.path, document), finding.problem, finding.cure)
        for finding in ordered
    ]


def _tree_path(loc: Sequence[str | int]) -> KeyPath:
    """Return where in the file a validation error points; pydantic adds channel kinds and key marks."""
    path = tuple(loc)
    if path[:1] == ("channels",) and len(path) > 2 and path[2] in CHANNEL_KINDS:
        path = path[:2] + path[3:]
    return path[:-1] if path[-1:] == ("[key]",) else path


def _words(error: ErrorDetails, path: KeyPath, document: Document) -> tuple[str, str]:
    """Return problem and cure of one validation error, without its input."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"missing", "union_tag_not_found"}:
        problem = "has no value" if path in document.lines else "is missing"
        choice = "" if kind == "missing" else f", one of {', '.join(CHANNEL_KINDS)}"
        return problem, f"write {path[-1]}: and its value{choice}"
    if kind == "extra_forbidden":
        return "is not a known key", _key_cure(error["loc"])
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        value = document.at(path)
        match = nearest(value, words) if isinstance(value, str) else ""
        return f"must be one of {', '.join(words)}", f"did you mean {match}?" if match else ""
    if kind in _LIMITS:
        words_of_limit, name = _LIMITS[kind]
        return f"{words_of_limit} {str(context[name]).removesuffix('.0')}", ""
    if kind == WRONG_VALUE:
        return context["problem"], context["cure"]
    return _PLAIN.get(kind, ("has a wrong value", ""))


def _key_cure(loc: Sequence[str | int]) -> str:
    """Return a cure that names the nearest valid key, or the missing space after a colon."""
    keys = valid_keys(loc[:-1])
    key = str(loc[-1])
    before_colon = key.partition(":")[0]
    if before_colon != key and before_colon in keys:
        return f"put a space after {before_colon}:"
    return did_you_mean(key, keys)


def valid_keys(loc: Sequence[str | int]) -> list[str]:
    """Return the keys that the configuration knows in the section at pydantic's location `loc`."""
    models: list[type[BaseModel]] = [Config]
    for step in loc:
        if isinstance(step, int):
            continue
        of_kind = [model for model in models if _kind(model) == step]
        models = of_kind or [
            inner
            for model in models
            if step in model.model_fields
            for inner in _models_in(model.model_fields[step].annotation)
        ]
    return sorted({key for model in models for key in model.model_fields})


def _kind(model: type[BaseModel]) -> object:
    field = model.model_fields.get("kind")
    return field.default if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models an annotation is made of: ``tuple[A | B, ...]`` → A, B."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _shown(path: KeyPath, document: Document) -> str:
    """Return `path` as ``channels[0].token``.

    A key that is not a plain word, or an unknown one without a value, may be a secret that lost its
    own key (``token:secret`` without the space); it is shown as ``?``.
    """
    text = ""
    for length, step in enumerate(path, start=1):
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        plain = re.fullmatch(r"[A-Za-z0-9_-]{1,40}", step) is not None
        inner = path[:length]
        lone = inner in document.lines and document.at(inner) is None and step not in _ALL_KEYS
        text += f".{step}" if plain and not lone else ".?"
    return text.removeprefix(".") or "(file)"


def _all_keys(model: type[BaseModel]) -> set[str]:
    inner = [sub for field in model.model_fields.values() for sub in _models_in(field.annotation)]
    return set(model.model_fields).union(*(_all_keys(sub) for sub in inner))


_ALL_KEYS: Final = frozenset(_all_keys(Config))
