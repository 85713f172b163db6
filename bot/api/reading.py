"""From a request's query string and body to checked values; what is wrong becomes a problem."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from bot.api.problem import Flaw, ProblemError, invalid

JSON = "application/json"
_SLOWEST_BODY_S = 60.0
_CLOSING = {"Connection": "close"}  # what is left of such a body is not worth waiting for

Model = TypeVar("Model", bound=BaseModel)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the parameters; an empty one is one that is not there.

    Raises:
        ProblemError: 422, with every wrong parameter.
    """
    given: dict[str, str] = {}
    twice = []
    for name, value in request.query.items():
        if name in given:
            twice.append(Flaw(path=name, problem="stands there twice", cure="keep one"))
        elif value:
            given[name] = value
    try:
        query = model.model_validate(given)
    except ValidationError as error:
        raise invalid([*twice, *flaws_of(error, model)]) from None
    if twice:
        raise invalid(twice)
    return query


async def read_bytes(request: web.Request, most_bytes: int) -> bytes:
    """Return the body.

    Raises:
        ProblemError: 413 above `most_bytes`, 408 when it does not arrive, 400 when its encoding is broken.
    """
    length = request.content_length
    if length is not None and length > most_bytes:
        raise _too_large(most_bytes)
    chunks: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(_SLOWEST_BODY_S):
            async for chunk in request.content.iter_any():
                total += len(chunk)
                if total > most_bytes:
                    raise _too_large(most_bytes)
                chunks.append(chunk)
    except TimeoutError:
        detail = f"the body took more than {_SLOWEST_BODY_S:.0f} s; send it again"
        raise ProblemError("timeout", detail, headers=_CLOSING) from None
    except web.RequestPayloadError as error:
        why = str(error.__cause__ or error).partition("\n")[2].strip() or "it is broken"
        detail = f"the body's encoding cannot be undone: {why}"
        raise ProblemError("undecodable", detail, headers=_CLOSING) from None
    return b"".join(chunks)


def _too_large(most_bytes: int) -> ProblemError:
    return ProblemError("too_large", f"a body has at most {most_bytes} bytes here", headers=_CLOSING)


def check_content_type(request: web.Request, taken: Sequence[str]) -> str:
    """Return the body's content type.

    Raises:
        ProblemError: 415, it is none of `taken`.
    """
    content_type = request.content_type.lower() if "Content-Type" in request.headers else "none"
    if content_type in taken:
        return content_type
    raise ProblemError(
        "unsupported_media_type", f"the Content-Type is {content_type}; taken here: {', '.join(taken)}"
    )


def read_json(data: bytes) -> Any:
    """Return a JSON body.

    Raises:
        ProblemError: 400, it is no JSON in UTF-8.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProblemError("undecodable", f"the body is no JSON in UTF-8: {error}") from None


def read_form(data: bytes, model: type[Model]) -> Model:
    """Return a JSON body as `model`.

    Raises:
        ProblemError: 400 for no JSON, 422 with every wrong field.
    """
    value = read_json(data)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(flaws_of(error, model)) from None


def flaws_of(error: ValidationError, model: type[BaseModel]) -> list[Flaw]:
    """Return what a validation found, in the words of the API."""
    return [
        _flaw(found["type"], found["loc"], found["msg"], found.get("ctx", {}), list(model.model_fields))
        for found in error.errors(include_url=False, include_input=False)
    ]


def _flaw(
    kind: str, place: Sequence[int | str], said: str, context: dict[str, Any], known: list[str]
) -> Flaw:
    path = path_of(place)
    if kind == "extra_forbidden":
        nearest = get_close_matches(str(place[-1]), known, 1, 0.5)
        meant = f"did you mean {nearest[0]}? " if nearest else ""
        return Flaw(path=path, problem="is not known", cure=f"{meant}Known are {', '.join(known) or 'none'}")
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return Flaw(path=path, problem="is no JSON object", cure="send {…} with the fields")
    if kind == "missing":
        return Flaw(path=path, problem="is missing", cure="give it")
    return Flaw(path=path, problem=said, cure=str(context.get("cure", "")))


def path_of(place: Iterable[int | str]) -> str:
    """Return ``triggers[0]`` for ``("triggers", 0)``."""
    path = ""
    for step in place:
        path += f"[{step}]" if isinstance(step, int) else f"{'.' if path else ''}{step}"
    return path
