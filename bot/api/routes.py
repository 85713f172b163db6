"""The JSON API under ``/api/v1``: one table of endpoints makes router and OpenAPI document.

The way of a request::

    caller      bearer token → name, role, community                        401, 429
    allowed     least role, then the path's community                       403, 404
    read        query, content type, body → checked models                  422, 415, 413, 408, 400
    act         the endpoint's function                                     409, 404
    answer      model → JSON; whatever is raised → a problem document       503, 500
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel

from bot.api import (
    channels,
    communities,
    deliveries,
    groups,
    keyword_import,
    keyword_try,
    keywords,
    ledger,
    media,
    members,
    rounds,
    status,
)
from bot.api.access import Gate, check_community, check_exists, check_role
from bot.api.endpoint import Answer, Call, Endpoint, Result, Role
from bot.api.openapi import openapi_document
from bot.api.parts import ApiParts
from bot.api.problem import PROBLEMS, ProblemError, problem_response
from bot.api.reading import JSON, check_content_type, read_bytes, read_form, read_query
from bot.errors import StoreError, StoreUnavailableError
from bot.model import Community
from bot.storage.sql.api_tokens import ApiTokenStore

PREFIX = "/api/v1"
_RETRY_AFTER_S = "2"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PATTERNS: Mapping[str, str] = MappingProxyType(
    {"rule": "[0-9]+"}
)  # of path parts that are not just any text

_log = structlog.get_logger("huoqun")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Those with a fixed last part before those where it may be anything.
ENDPOINTS: tuple[Endpoint, ...] = (
    *communities.ENDPOINTS,
    *members.ENDPOINTS,
    *ledger.ENDPOINTS,
    *keyword_try.ENDPOINTS,
    *keyword_import.ENDPOINTS,
    *keywords.ENDPOINTS,
    *groups.ENDPOINTS,
    *rounds.ENDPOINTS,
    *media.ENDPOINTS,
    *deliveries.ENDPOINTS,
    *channels.ENDPOINTS,
    *status.ENDPOINTS,
)
DOCUMENT_PATH = "/openapi.json"


def add_api(app: web.Application, parts: ApiParts) -> None:
    """Serve the API of `parts` under `PREFIX`, and the document that describes it, which needs no token."""
    gate = Gate(ApiTokenStore(parts.database, parts.clock), parts.clock)
    # Wrapped one by one: a middleware anywhere would be walked through by every callback of a platform too.
    api = web.Application()
    for endpoint in ENDPOINTS:
        handler = _with_problems(_handler(parts, gate, endpoint))
        api.router.add_route(endpoint.method, _route(endpoint.path), handler)
    api.router.add_route("GET", DOCUMENT_PATH, _with_problems(_describe))
    places = tuple(api.router.resources())
    nowhere = _with_problems(_nowhere(gate, places))
    api.router.add_route("*", r"/{anything:[\s\S]*}", nowhere)
    app.router.add_route("*", PREFIX, nowhere)
    api.on_response_prepare.append(_add_headers)
    app.add_subapp(PREFIX, api)


async def _describe(_: web.Request) -> web.Response:
    """Return the OpenAPI document; made when it is asked for, which is seldom."""
    return web.Response(body=orjson.dumps(openapi_document(ENDPOINTS, PREFIX)), content_type=JSON)


def _route(path: str) -> str:
    """Return a path for the router; a part takes any text, an encoded slash too."""
    return re.sub(r"\{(\w+)\}", lambda found: f"{{{found[1]}:{_PATTERNS.get(found[1], '[^/]+')}}}", path)


def _handler(parts: ApiParts, gate: Gate, endpoint: Endpoint) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await gate.caller(request)
        check_role(caller, endpoint.role)
        path = dict(request.match_info)
        place: Community | None = None
        if (community_id := path.pop("community", None)) is not None:
            check_community(caller, community_id)
            place = check_exists(parts.communities.get(community_id), community_id)
        query = read_query(request, endpoint.query)
        body = await _body(request, endpoint)
        result = await endpoint.act(Call(parts, caller, place, path, query, body, request))
        if endpoint.role > Role.ANALYST:  # who changes something is on record
            await _log.ainfo("api", act=endpoint.act.__name__, token=caller.name, path=request.path)
        return _response(result, endpoint)

    return handle


async def _body(request: web.Request, endpoint: Endpoint) -> Any:
    if not endpoint.takes_body:
        return None
    check_content_type(request, tuple(endpoint.body_types) or (JSON,))
    data = await read_bytes(request, endpoint.body_bytes)
    return data if endpoint.body is None else read_form(data, endpoint.body)


def _response(result: Result, endpoint: Endpoint) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if result is None:
        return web.Response(status=endpoint.status)
    answer = Answer(result, endpoint.status) if isinstance(result, BaseModel) else result
    return web.Response(
        body=answer.body.model_dump_json().encode(),
        content_type=JSON,
        status=answer.status,
        headers=dict(answer.headers),
    )


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Keep answers out of caches, and let nobody guess their type."""
    response.headers.update(_HEADERS)


# ---------------------------------------------------------------- problems


def _nowhere(gate: Gate, places: Iterable[web.AbstractResource]) -> _Handler:
    """Return what answers where there is no such address, or none for this method."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        await gate.caller(request)  # who has no token is told nothing of what there is
        allowed: set[str] = set()
        for place in places:
            _, methods = await place.resolve(request)
            allowed |= methods
        if allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound

    return refuse


def _with_problems(handler: _Handler) -> _Handler:
    """Return `handler` with whatever it raises turned into a problem document."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ProblemError as error:
            response = problem_response(error)
        except web.HTTPException as error:
            response = problem_response(_of_http(error))
        except StoreUnavailableError as error:
            await _log.awarning("api call not answered, a store is away", path=request.path, error=str(error))
            response = problem_response(_away())
        except StoreError as error:
            await _log.aerror("a store refused an api call", path=request.path, exc_info=error)
            response = problem_response(_internal())
        except Exception as error:  # noqa: BLE001 - a fault of ours must not become a page of aiohttp
            await _log.aerror("api call failed", path=request.path, exc_info=error)
            response = problem_response(_internal())
        return response

    return handle


def _of_http(error: web.HTTPException) -> ProblemError:
    """Return what the router refused: an unknown address or method."""
    word = next((word for word, (status, _) in PROBLEMS.items() if status == error.status), "undecodable")
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ProblemError(word, f"see {PREFIX}{DOCUMENT_PATH} for every address and method", headers=headers)


def _away() -> ProblemError:
    return ProblemError(
        "store_away",
        "the act may or may not have happened; repeat it, with the same request_id where it has one",
        headers={"Retry-After": _RETRY_AFTER_S},
    )


def _internal() -> ProblemError:
    return ProblemError("internal", "the server's log says more")
