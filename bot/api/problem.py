"""What the API says when it cannot do what it was asked: RFC 9457 problem documents.

`type` is ``urn:huoqun:problem:<word>``: branch on it, not on texts. `errors` lists every wrong field at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bot.errors import BotError

CONTENT_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:huoqun:problem:"

# word: (HTTP status, title)
PROBLEMS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "undecodable": (400, "The request cannot be read"),
        "unauthorized": (401, "A bearer token in force is needed"),
        "forbidden": (403, "The token does not allow this"),
        "not_found": (404, "There is no such thing"),
        "method_not_allowed": (405, "The address does not know this method"),
        "timeout": (408, "The body did not arrive in time"),
        "request_id_reused": (409, "The request_id was used for something else"),
        "too_few_points": (409, "The member has too few points"),
        "already_reversed": (409, "The entry is taken back already"),
        "is_reversal": (409, "A reversal cannot be taken back"),
        "cannot_send": (409, "The channel cannot do this"),
        "not_dead": (409, "The delivery is not dead"),
        "group_exists": (409, "The chat id is taken"),
        "not_made_here": (409, "The group was not made here"),
        "round_open": (409, "A round of this game is open there"),
        "game_resting": (409, "The game rests there for a while"),
        "budget_spent": (409, "The budget of the day has too few points"),
        "round_over": (409, "The round has ended"),
        "too_large": (413, "The body is too large"),
        "unsupported_media_type": (415, "The content type is not taken here"),
        "invalid": (422, "Some fields are wrong"),
        "too_many_attempts": (429, "Too many wrong tokens from this address"),
        "internal": (500, "Something broke on our side"),
        "platform_refused": (502, "The platform refused it"),
        "store_away": (503, "A store is away; try again"),
        "platform_away": (504, "The platform gave no usable answer"),
    }
)


class Flaw(BaseModel):
    """One thing wrong with what was sent."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="Where: `triggers[0]`, `limit`; empty for the whole.")
    problem: str = Field(description="What is wrong.")
    cure: str = Field(description="What to do about it; may be empty.")


class ProblemDocument(BaseModel):
    """RFC 9457 problem document."""

    type: str = Field(description="`urn:huoqun:problem:<word>`, stable.")
    title: str
    status: int
    detail: str
    errors: list[Flaw]


class ProblemError(BotError):
    """A request is refused; becomes a problem document.

    Attributes:
        word: One of `PROBLEMS`.
        detail: What is wrong in this case, and what to do.
        errors: The wrong fields.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        word: str,
        detail: str,
        errors: Sequence[Flaw] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Refuse with the problem `word`."""
        self.word, self.detail, self.errors, self.headers = word, detail, errors, headers
        super().__init__(detail)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return PROBLEMS[self.word][0]


def invalid(errors: Iterable[Flaw]) -> ProblemError:
    """Return the refusal of fields, all at once."""
    flaws = tuple(errors)
    count = "one field is wrong" if len(flaws) == 1 else f"{len(flaws)} things are wrong"
    return ProblemError("invalid", f"{count}: see errors", flaws)


def unreadable(why: str) -> ProblemError:
    """Return the refusal of a file that cannot be read at all."""
    return ProblemError("undecodable", f"the file cannot be read: {why}")


def problem_response(error: ProblemError) -> web.Response:
    """Return the HTTP answer that says `error`."""
    status, title = PROBLEMS[error.word]
    document = {
        "type": _TYPE_PREFIX + error.word,
        "title": title,
        "status": status,
        "detail": error.detail,
        "errors": [flaw.model_dump() for flaw in error.errors],
    }
    body = orjson.dumps(_encodable(document))
    return web.Response(status=status, body=body, content_type=CONTENT_TYPE, headers=dict(error.headers))


def _encodable(value: object) -> object:
    """Return texts without half surrogate pairs, which a path may quote from what was sent."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value
