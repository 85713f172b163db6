"""The OpenAPI 3.1 document, made from the table of endpoints and the models they use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bot.api.endpoint import Endpoint, Schema
from bot.api.keyword_forms import KeywordRuleForm, KeywordRuleShown
from bot.api.problem import CONTENT_TYPE, PROBLEMS, ProblemDocument

_REF: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = ("unauthorized", "forbidden", "invalid", "too_many_attempts", "internal", "store_away")
_WITH_BODY: Final = ("undecodable", "timeout", "too_large", "unsupported_media_type")
_PATH_PARTS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "community": ("Community id.", {"type": "string"}),
    "member": ("Member id `<channel>:<user_id>`, URL-encoded.", {"type": "string"}),
    "entry": ("Id of a ledger entry.", {"type": "string"}),
    "rule": ("Id of a keyword rule.", {"type": "integer", "minimum": 1}),
    "channel": ("Name of a channel.", {"type": "string"}),
    "delivery": ("Id of a delivery.", {"type": "string"}),
    "round": ("Id of a round.", {"type": "string"}),
    "group": ("Id of a group `<channel>:<chat_id>`, URL-encoded.", {"type": "string"}),
}
_DESCRIPTION: Final = """\
Bearer tokens come from `run.py token create`; a role allows what the lower ones do: owner, manager, analyst.
A token of one community is refused (403) everything of another, whether or not that exists, and sees its own
in lists. Errors are RFC 9457 problem documents. Lists take `cursor` and `limit`. Instants are RFC 3339 with
the community's offset. Figures that no channel can observe are null, never 0. After 100 wrong tokens in a
minute, an address has to wait for the next minute (429)."""


def openapi_document(endpoints: Sequence[Endpoint], prefix: str) -> dict[str, Any]:
    """Return the document that describes `endpoints` under `prefix`."""
    schemas, references = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, references)
        paths.setdefault(prefix + endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Huoqun API", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {word: _problem(word) for word in PROBLEMS},
        },
    }


_References = Mapping[type[BaseModel], dict[str, Any]]


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[str, Any], _References]:
    """Return every model's schema by name, and for each model the reference to it."""
    models: dict[type[BaseModel], None] = dict.fromkeys((ProblemDocument, KeywordRuleForm, KeywordRuleShown))
    for endpoint in endpoints:
        for model in (endpoint.body, endpoint.answer, *endpoint.body_types.values()):
            if isinstance(model, type):
                models.setdefault(model)
    references, document = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return document["$defs"], {model: references[model, "validation"] for model in models}


def _operation(endpoint: Endpoint, references: _References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.act.__name__,
        "summary": endpoint.summary,
        "description": f"Least role: {endpoint.role.name.lower()}.",
        "tags": [_tag(endpoint)],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": _responses(endpoint, references),
    }
    if endpoint.takes_body:
        types: Mapping[str, Schema] = endpoint.body_types or {"application/json": endpoint.body or {}}
        operation["requestBody"] = {"required": True, "content": _content(types, references)}
    return operation


def _tag(endpoint: Endpoint) -> str:
    words = [word for word in endpoint.path.split("/") if word and not word.startswith("{")]
    return words[1] if words[0] == "communities" and len(words) > 1 else words[0]


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARTS[name][0],
            "schema": _PATH_PARTS[name][1],
        }
        for name in names
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    properties: dict[str, Any] = endpoint.query.model_json_schema(ref_template=_REF).get("properties", {})
    parameters = []
    for name, schema in properties.items():
        shown = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        if "anyOf" in shown:  # a parameter is there or it is not: null cannot be sent
            (given,) = (kind for kind in shown.pop("anyOf") if kind != {"type": "null"})
            shown = {**{key: value for key, value in shown.items() if value is not None}, **given}
        parameter = {"name": name, "in": "query", "required": False, "schema": shown}
        if "description" in schema:
            parameter["description"] = schema["description"]
        parameters.append(parameter)
    return parameters


def _responses(endpoint: Endpoint, references: _References) -> dict[str, Any]:
    success: dict[str, Any] = {"description": endpoint.summary}
    types: Mapping[str, Schema] = endpoint.answer_types
    if endpoint.answer is not None:
        types = {"application/json": endpoint.answer}
    if types:
        success["content"] = _content(types, references)
    responses: dict[str, Any] = {str(endpoint.status): success}
    for status, meaning in endpoint.also.items():
        responses[str(status)] = {**success, "description": meaning}
    words = [*_EVERYWHERE, *(_WITH_BODY if endpoint.takes_body else ()), *endpoint.problems]
    if "{" in endpoint.path:
        words.append("not_found")
    for status, same in _by_status(words).items():
        responses[str(status)] = _one_or_several(same)
    return dict(sorted(responses.items()))


def _by_status(words: Iterable[str]) -> dict[int, list[str]]:
    grouped: dict[int, list[str]] = {}
    for word in words:
        grouped.setdefault(PROBLEMS[word][0], []).append(word)
    return grouped


def _one_or_several(words: Sequence[str]) -> dict[str, Any]:
    """Return the response of problems that share a status."""
    if len(words) == 1:
        return {"$ref": f"#/components/responses/{words[0]}"}
    return {**_problem(words[0]), "description": "; ".join(f"{word}: {PROBLEMS[word][1]}" for word in words)}


def _problem(word: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=ProblemDocument.__name__)}
    return {"description": PROBLEMS[word][1], "content": {CONTENT_TYPE: {"schema": schema}}}


def _content(types: Mapping[str, Schema], references: _References) -> dict[str, Any]:
    return {
        name: {"schema": references[schema] if isinstance(schema, type) else dict(schema)}
        for name, schema in types.items()
    }
