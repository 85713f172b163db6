"""What an endpoint of the API is: one row of a table, from which router and OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.api.parts import ApiParts
from bot.model import Community

BODY_BYTES = 1 << 20
DEFAULT_LIMIT, MOST_LIMIT = 50, 200


class Role(IntEnum):
    """What a token allows; each role also what the lower ones do."""

    ANALYST = 1
    MANAGER = 2
    OWNER = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name and role; `community` None is every community."""

    name: str
    role: Role
    community: str | None

    def may_see(self, community: str) -> bool:
        """Whether the token is for this community."""
        return self.community is None or self.community == community


# ---------------------------------------------------------------- what goes in


class Query(BaseModel):
    """The parameters of a query string: none but those named."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ListQuery(Query):
    """A page of a list."""

    cursor: Annotated[
        str | None,
        Field(max_length=4000, description="`next_cursor` of the page before; absent for the first."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_LIMIT, description="Most items of the page.")] = DEFAULT_LIMIT


class Form(BaseModel):
    """A JSON body: strict about types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


QueryT = TypeVar("QueryT", bound=BaseModel)
BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class Call(Generic[QueryT, BodyT]):
    """One request, read and allowed.

    Attributes:
        parts: The product.
        caller: Who asks.
        place: The community named in the path; None where the path names none.
        path: The other parts of the path, decoded.
        query: The parameters.
        body: The body: of the endpoint's model, the bytes where it has none, None without a body.
        request: The HTTP request, for endpoints that stream.
    """

    parts: ApiParts
    caller: Caller
    place: Community | None
    path: Mapping[str, str]
    query: QueryT
    body: BodyT
    request: web.Request

    @property
    def community(self) -> Community:
        """The community named in the path."""
        assert self.place is not None
        return self.place


# ---------------------------------------------------------------- what comes out


class Shown(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


ItemT = TypeVar("ItemT")


class Listed(Shown, Generic[ItemT]):
    """A page of a list."""

    items: list[ItemT]
    next_cursor: Annotated[str | None, Field(description="Asks for what follows; null when nothing does.")]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose status or headers are not the endpoint's usual ones."""

    body: BaseModel
    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


Schema = type[BaseModel] | Mapping[str, Any]
"""A model, or a JSON Schema as it stands in the document."""

Result = BaseModel | Answer | web.StreamResponse | None
Act = Callable[[Call[Any, Any]], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One act of the API.

    Attributes:
        method: HTTP method.
        path: Address below the prefix; ``{names}`` become `Call.path`, ``{community}`` becomes `Call.place`.
        act: What does it; its name is the operation's id.
        summary: One line for the document.
        role: The least role.
        query: Model of the parameters.
        body: Model of the JSON body; None for none.
        body_types: Content types of a body that is read by the act itself, with their schemas.
        body_bytes: Largest body.
        answer: Model of the answer; None for none (204) or a stream.
        answer_types: Content types of a streamed answer, with their schemas.
        status: Status of success.
        also: Other statuses of success, with their meaning.
        problems: Words of problems beyond those every endpoint may have.
    """

    method: str
    path: str
    act: Act
    summary: str
    role: Role = Role.ANALYST
    query: type[BaseModel] = Query
    body: type[BaseModel] | None = None
    body_types: Mapping[str, Schema] = field(default_factory=lambda: MappingProxyType({}))
    body_bytes: int = BODY_BYTES
    answer: type[BaseModel] | None = None
    answer_types: Mapping[str, Schema] = field(default_factory=lambda: MappingProxyType({}))
    status: int = 200
    also: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[str, ...] = ()

    @property
    def takes_body(self) -> bool:
        """Whether a request has a body."""
        return self.body is not None or bool(self.body_types)
