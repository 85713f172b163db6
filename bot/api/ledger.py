"""``ledger``: every change of a balance; points by order, and corrections by reversal only.

What was acknowledged shows at once: what Redis still holds is written to SQL before SQL is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bot.api.claims import claim
from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Form, Listed, ListQuery, Query, Role, Shown
from bot.api.problem import Flaw, ProblemError, invalid
from bot.api.times import Instant, InstantMs, rfc3339
from bot.errors import RefusedError, StoreError
from bot.model import Community, LedgerEntry
from bot.storage.redis.points import MOST_POINTS

_MOST_MEMBER_CHARACTERS = 128  # at most 512 bytes, the longest id that SQL keeps
_REQUEST_ID = r"^[!-~]{1,200}$"


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise PydanticCustomError("zero", "must not be 0", {"cure": "give points above 0 or take them below"})
    return delta


def without_nul(text: str) -> str:
    """Refuse a text that some databases cannot hold."""
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character", {"cure": "type it again"})
    return text


class LedgerQuery(ListQuery):
    """Filters of the ledger."""

    member: Annotated[str | None, Field(max_length=512, description="Member id.")] = None
    reason: Annotated[str | None, Field(max_length=512, description="check_in, grant, reversal, …")] = None
    since: Annotated[InstantMs | None, Field(description="From this instant on.")] = None
    until: Annotated[InstantMs | None, Field(description="Before this instant.")] = None


RequestId = Annotated[
    str,
    Field(
        pattern=_REQUEST_ID,
        description="Chosen by you, 1 to 200 visible ASCII characters: the same one twice has one effect.",
    ),
]
Note = Annotated[str, AfterValidator(without_nul), Field(max_length=500, description="Why.")]


class GrantForm(Form):
    """An order to give points (above 0) or take them (below 0)."""

    member: Annotated[
        str, AfterValidator(without_nul), Field(max_length=_MOST_MEMBER_CHARACTERS, description="Member id.")
    ]
    delta: Annotated[
        int,
        AfterValidator(_not_zero),
        Field(ge=-MOST_POINTS, le=MOST_POINTS, description="Not 0.", json_schema_extra={"not": {"const": 0}}),
    ]
    note: Note = ""
    request_id: RequestId


class ReverseForm(Form):
    """An order to take an entry back."""

    note: Note = ""
    request_id: RequestId


class LedgerRow(Shown):
    """One change of one balance."""

    id: str
    member: str
    delta: int
    reason: str
    cause: Annotated[str, Field(description="The event id, or `api:<request_id>`, that made it.")]
    at: Instant
    rule: Annotated[str | None, Field(description="The rule that decided it.")]
    operator: Annotated[str | None, Field(description="Member id or token name that ordered it.")]
    note: str
    round: Annotated[str | None, Field(description="The round of a game it belongs to.")]
    reverses: Annotated[str | None, Field(description="Id of the entry it takes back.")]


class LedgerList(Listed[LedgerRow]):
    """Ledger entries, the newest first."""


async def list_ledger(call: Call[LedgerQuery, None]) -> LedgerList:
    """List ledger entries, the newest first."""
    parts, community, query = call.parts, call.community, call.query
    await parts.stores.drain.flush(community.id)
    with known_cursor():
        page = await parts.stores.ledger.page(
            community.id,
            member=query.member,
            reason=query.reason,
            since_ms=query.since,
            until_ms=query.until,
            cursor=query.cursor,
            limit=query.limit,
        )
    return LedgerList(items=[_row(community, entry) for entry in page.items], next_cursor=page.next_cursor)


async def grant_points(call: Call[Query, GrantForm]) -> Answer:
    """Give or take points by order, once per request_id."""
    form = call.body
    _check_member(call.community, form.member)
    order = _Order(form.request_id, form.member, form.delta, "grant", form.note)
    return await _made_before(call, order) or await _carry_out(call, order)


async def reverse_entry(call: Call[Query, ReverseForm]) -> Answer:
    """Take an entry back by an entry of the opposite sign, once per entry."""
    parts, community, form = call.parts, call.community, call.body
    await parts.stores.drain.flush(community.id)
    entry = await parts.stores.ledger.get(call.path["entry"])
    if entry is None or entry.community != community.id:
        raise ProblemError("not_found", f"{community.id} has no ledger entry {call.path['entry']!r}")
    if entry.reverses:
        raise ProblemError("is_reversal", f"{entry.id} takes {entry.reverses} back; grant points instead")
    order = _Order(form.request_id, entry.member, -entry.delta, "reversal", form.note, entry.id)
    made = await _made_before(call, order)
    if made is not None:
        return made
    await _check_not_reversed(call, entry)
    return await _carry_out(call, order)


# ---------------------------------------------------------------- orders

_OrderCall = Call[Query, GrantForm] | Call[Query, ReverseForm]


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be posted under one request_id."""

    request_id: str
    member: str
    delta: int
    reason: str
    note: str
    reverses: str = ""

    @property
    def cause(self) -> str:
        return f"api:{self.request_id}"

    @property
    def content(self) -> str:
        """What must be equal in a repeat, as one short text."""
        values = orjson.dumps((self.member, self.delta, self.reason, self.note, self.reverses))
        return blake2b(values, digest_size=16).hexdigest()

    def matches(self, entry: LedgerEntry) -> bool:
        """Whether `entry` is what this order made."""
        return (entry.member, entry.delta, entry.reason, entry.note, entry.reverses) == (
            self.member, self.delta, self.reason, self.note, self.reverses,
        )  # fmt: skip


async def _made_before(call: _OrderCall, order: _Order) -> Answer | None:
    """Return the entry that this order has made, however long ago; refuse another use of its request_id."""
    entry = await _entry_of(call, order)
    if entry is None:
        return None
    if not order.matches(entry):
        raise _reused(order)
    return Answer(_row(call.community, entry), 200)


async def _carry_out(call: _OrderCall, order: _Order) -> Answer:
    parts, community = call.parts, call.community
    holder = await claim(parts, community.id, order.cause, order.content)
    if holder != order.content:
        raise _reused(order)
    if order.reverses:
        holder = await claim(parts, community.id, f"reverse:{order.reverses}", order.request_id)
        if holder != order.request_id:
            raise ProblemError(
                "already_reversed", f"{order.reverses} is being taken back under the request_id {holder}"
            )
    now_ms = parts.clock.now_ms()
    try:
        granted = await parts.stores.points.grant(
            community,
            order.member,
            order.delta,
            reason=order.reason,
            cause=order.cause,
            day=parts.communities.calendar(community).day_of(now_ms),
            at_ms=now_ms,
            operator=call.caller.name,
            note=order.note,
            reverses=order.reverses,
        )
    except RefusedError as error:
        raise ProblemError("too_few_points", str(error)) from None
    entry = await _entry_of(call, order)
    if entry is None:
        raise StoreError(f"the ledger has no entry of {order.cause} after it was posted")
    return Answer(_row(community, entry), 200 if granted.again else 201)


async def _entry_of(call: _OrderCall, order: _Order) -> LedgerEntry | None:
    await call.parts.stores.drain.flush(call.community.id)
    found = await call.parts.stores.ledger.by_cause(call.community.id, order.cause)
    return found[0] if found else None


async def _check_not_reversed(call: Call[Query, ReverseForm], entry: LedgerEntry) -> None:
    """Refuse an entry that another order has taken back, however long ago."""
    cursor: str | None = None
    while True:
        page = await call.parts.stores.ledger.page(
            call.community.id, member=entry.member, reason="reversal", cursor=cursor, limit=200
        )
        for reversal in page.items:
            if reversal.reverses == entry.id:
                raise ProblemError("already_reversed", f"{entry.id} was taken back by {reversal.id}")
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _reused(order: _Order) -> ProblemError:
    return ProblemError(
        "request_id_reused",
        f"the request_id {order.request_id} stands for another order: choose a new one for a new order",
    )


def _check_member(community: Community, member: str) -> None:
    """Refuse (422) what cannot be a member of the community; one not seen yet may be given points."""
    channels = list(dict.fromkeys((*community.channels, *(channel for channel, _ in community.groups))))
    channel, colon, user_id = member.partition(":")
    if channel in channels and colon and user_id and user_id.isprintable() and not user_id.isspace():
        return
    cure = f"write <channel>:<user_id> with a channel of the community: {', '.join(channels)}"
    raise invalid([Flaw(path="member", problem="is no member id of this community", cure=cure)])


def _row(community: Community, entry: LedgerEntry) -> LedgerRow:
    return LedgerRow(
        id=entry.id,
        member=entry.member,
        delta=entry.delta,
        reason=entry.reason,
        cause=entry.cause,
        at=rfc3339(entry.at_ms, community.zone),
        rule=entry.rule or None,
        operator=entry.operator or None,
        note=entry.note,
        round=entry.round or None,
        reverses=entry.reverses or None,
    )


_DONE_BEFORE = {200: "The same order had been carried out before; nothing was changed."}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities/{community}/ledger",
        list_ledger,
        "List ledger entries, the newest first.",
        query=LedgerQuery,
        answer=LedgerList,
    ),
    Endpoint(
        "POST",
        "/communities/{community}/ledger",
        grant_points,
        "Give or take points by order, once per request_id.",
        role=Role.MANAGER,
        body=GrantForm,
        answer=LedgerRow,
        status=201,
        also=_DONE_BEFORE,
        problems=("request_id_reused", "too_few_points"),
    ),
    Endpoint(
        "POST",
        "/communities/{community}/ledger/{entry}/reverse",
        reverse_entry,
        "Take an entry back by an entry of the opposite sign, once per entry.",
        role=Role.MANAGER,
        body=ReverseForm,
        answer=LedgerRow,
        status=201,
        also=_DONE_BEFORE,
        problems=("request_id_reused", "already_reversed", "is_reversal"),
    ),
)
