"""``deliveries``: what goes out later than inline: queued, delivered, or dead and to be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from datetime import tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, Field, TypeAdapter

from bot.api.access import check_community
from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Form, Listed, ListQuery, Query, Role, Shown
from bot.api.ledger import RequestId, without_nul
from bot.api.parts import ApiParts
from bot.api.problem import Flaw, ProblemError, invalid
from bot.api.times import Instant, InstantMs, rfc3339, rfc3339_or_none
from bot.delivery.compose import UNPROMPTED_USEFUL_S, Unprompted
from bot.delivery.errcodes import explain
from bot.delivery.routes import ChannelAbilities, Route
from bot.delivery.way import NoWay
from bot.errors import StoreError
from bot.model import Community, Markdown, Part, Text
from bot.part_codec import PART_KINDS, decode_parts, read_part
from bot.storage.redis.deliveries import Delivery as LiveDelivery
from bot.storage.sql.deliveries import Delivery, DeliveryHistory

_MOST_MESSAGES = 50
_FURTHEST_MS = 366 * 86_400_000


class DeliveriesQuery(ListQuery):
    """Filters of the list."""

    state: Literal["queued", "delivered", "dead"] | None = None
    community: Annotated[str | None, Field(max_length=512, description="Community id.")] = None
    channel: Annotated[str | None, Field(max_length=64, description="Name of the channel.")] = None
    group: Annotated[str | None, Field(max_length=512, description="Id of the chat group.")] = None
    member: Annotated[str | None, Field(max_length=512, description="Member id.")] = None
    feature: Annotated[str | None, Field(max_length=64, description="What asked for it unprompted.")] = None
    reason: Annotated[str | None, Field(max_length=64, description="Code of the reason.")] = None


class ExplanationShown(Shown):
    """Why it is not delivered, and what to do about it."""

    cause: str
    cure: str
    cause_zh: str
    cure_zh: str


class DeliveryShown(Shown):
    """Something on its way to one receiver."""

    id: str
    community: str
    channel: str
    member: Annotated[str, Field(description="Whom it goes to, or whom it answers in a group.")]
    group: Annotated[str | None, Field(description="The chat group it goes to; null for a direct chat.")]
    cause: Annotated[str, Field(description="The event id it answers, or `<feature>:<request_id>`.")]
    feature: Annotated[str | None, Field(description="What asked for it unprompted; null for an answer.")]
    state: Annotated[str, Field(description="queued, delivered or dead.")]
    route: Annotated[str, Field(description="How it goes; empty where the channel has no way.")]
    reason: Annotated[str | None, Field(description="Why it is dead or was put off.")]
    explanation: Annotated[ExplanationShown | None, Field(description="The reason in plain words.")]
    attempts: Annotated[int, Field(description="Failed attempts at the present part.")]
    parts: Annotated[list[dict[str, Any]], Field(description="What is said: `kind` and the kind's fields.")]
    parts_sent: Annotated[int, Field(description="How many parts the platform has accepted.")]
    created_at: Instant
    updated_at: Instant
    due_at: Annotated[Instant | None, Field(description="Before when it must not go; null for at once.")]
    useful_until: Annotated[
        Instant | None, Field(description="When it is no longer worth sending; null for never.")
    ]


class DeliveryForm(Form):
    """Something to be said that nobody asked for, to a member or to a group."""

    community: Annotated[str, Field(max_length=512, description="Community id.")]
    channel: Annotated[str, Field(max_length=64, description="Name of the channel to send through.")]
    member: Annotated[
        Annotated[str, AfterValidator(without_nul)] | None,
        Field(max_length=128, description="Member id, for a message to one person."),
    ] = None
    group: Annotated[
        Annotated[str, AfterValidator(without_nul)] | None,
        Field(
            min_length=1,
            max_length=128,
            description="Id of the chat group, for a message to a group; a robot needs none.",
        ),
    ] = None
    parts: Annotated[
        list[dict[str, Any]],
        Field(min_length=1, max_length=20, description="What to say: `kind` and the kind's fields."),
    ]
    useful_for_s: Annotated[
        int,
        Field(ge=1, le=2_592_000, description="How long it is worth sending from when it is due, seconds."),
    ] = UNPROMPTED_USEFUL_S
    feature: Annotated[
        str,
        Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", description="What asks for it; caps count over all."),
    ] = "api"
    due_at: Annotated[InstantMs | None, Field(description="When to send it; null for now.")] = None
    request_id: RequestId


class DeliveryList(Listed[DeliveryShown]):
    """Deliveries, the newest made first."""


async def list_deliveries(call: Call[DeliveriesQuery, None]) -> DeliveryList:
    """List deliveries of the communities the token may see, the newest made first."""
    parts, query = call.parts, call.query
    community = query.community or call.caller.community
    if community is not None:
        check_community(call.caller, community)
    await _flush(parts, [community] if community else (known.id for known in parts.communities))
    with known_cursor():
        page = await DeliveryHistory(parts.database).page(
            state=query.state, community=community, channel=query.channel, group=query.group,
            member=query.member, feature=query.feature, reason=query.reason,
            cursor=query.cursor, limit=query.limit,
        )  # fmt: skip
    items = [_shown(parts, delivery) for delivery in page.items]
    return DeliveryList(items=items, next_cursor=page.next_cursor)


async def create_delivery(call: Call[Query, DeliveryForm]) -> Answer:
    """Say something unprompted to a member or a group, once per request_id.

    What the channel cannot do is refused at once instead of being queued to die.
    """
    parts, form = call.parts, call.body
    check_community(call.caller, form.community)
    community = parts.communities.get(form.community)
    if community is None:
        raise invalid([Flaw(path="community", problem="is not configured", cure="see `communities`")])
    wish = _wish(parts, form, community)
    now_ms = parts.clock.now_ms()
    delivery = parts.composer.unprompted(wish, now_ms)
    if isinstance(delivery, NoWay):
        raise _cannot(delivery, form)
    _check_sendable(parts, delivery)
    made = await DeliveryHistory(parts.database).get(delivery.id)
    created = made is None and await parts.deliveries.create(delivery, max(now_ms, delivery.not_before_ms))
    if created:
        parts.wake_senders(community.id)
    await parts.stores.drain.flush(community.id)
    made = await DeliveryHistory(parts.database).get(delivery.id)
    if made is None:
        raise StoreError(f"the history has no delivery {delivery.id} after it was created")
    if not _is_same(made, delivery):
        raise ProblemError(
            "request_id_reused",
            f"the request_id {form.request_id} stands for another delivery: choose a new one for a new one",
        )
    return Answer(_shown(parts, made), 201 if created else 200)


# ---------------------------------------------------------------- what is asked for


def _wish(parts: ApiParts, form: DeliveryForm, community: Community) -> Unprompted:
    """Return what the form asks for.

    Raises:
        ProblemError: 422, every wrong field at once.
    """
    flaws: list[Flaw] = []
    known = parts.abilities.get(form.channel)
    channels = list(dict.fromkeys((*community.channels, *(name for name, _ in community.groups))))
    if known is None or form.channel not in channels:
        cure = f"the channels of {community.id} are: {', '.join(channels)}"
        flaws.append(Flaw(path="channel", problem="is no channel of this community", cure=cure))
        user_id = group_id = ""
    else:
        user_id, group_id = _receiver(form, community, known, flaws)
    said = _read_parts(form.parts, flaws)
    not_before_ms = form.due_at or 0
    if not_before_ms > parts.clock.now_ms() + _FURTHEST_MS:
        flaws.append(Flaw(path="due_at", problem="is more than 366 days away", cure="choose an earlier time"))
    if flaws:
        raise invalid(flaws)
    return Unprompted(
        request_id=form.request_id,
        community=community.id,
        channel=form.channel,
        parts=said,
        user_id=user_id,
        group_id=group_id,
        feature=form.feature,
        useful_for_s=form.useful_for_s,
        not_before_ms=not_before_ms if not_before_ms > parts.clock.now_ms() else 0,
    )


def _receiver(
    form: DeliveryForm, community: Community, known: ChannelAbilities, flaws: list[Flaw]
) -> tuple[str, str]:
    """Return user id and group id, one of which is empty."""
    if form.member is not None and form.group is not None:
        flaws.append(Flaw(path="group", problem="stands beside a member", cure="name one of the two"))
        return "", ""
    if form.group is not None:
        owner = dict.fromkeys(community.groups)
        elsewhere = form.channel not in community.channels and (form.channel, form.group) not in owner
        if elsewhere:
            cure = f"give it to {community.id} under communities[].groups"
            flaws.append(Flaw(path="group", problem="is no group of this community", cure=cure))
        return "", form.group
    if form.member is not None:
        channel, colon, user_id = form.member.partition(":")
        if channel != form.channel or not colon or not user_id.strip():
            cure = f"write {form.channel}:<user_id>; a member is reached through their own channel"
            flaws.append(Flaw(path="member", problem="is no member of this channel", cure=cure))
        return user_id, ""
    if known.direct is None:
        return "", form.channel  # a robot stands in one group, which needs no name
    cure = "name one of the two"
    flaws.append(Flaw(path="member", problem="is missing, and so is group", cure=cure))
    return "", ""


def _read_parts(rows: list[dict[str, Any]], flaws: list[Flaw]) -> list[Part]:
    said: list[Part] = []
    for number, row in enumerate(rows):
        path = f"parts[{number}]"
        if row.get("kind") not in PART_KINDS:
            cure = f"use one of: {', '.join(PART_KINDS)}"
            flaws.append(Flaw(path=f"{path}.kind", problem="is no kind of part", cure=cure))
            continue
        try:
            part = read_part(row)
            TypeAdapter(type(part)).validate_json(orjson.dumps(row), strict=True)
        except (KeyError, TypeError, AttributeError, ValueError):
            cure = "give the fields of its kind, as in answers of `deliveries`"
            flaws.append(Flaw(path=path, problem=f"is no {row['kind']}", cure=cure))
            continue
        if isinstance(part, Text | Markdown) and not part.text.strip():
            flaws.append(Flaw(path=f"{path}.text", problem="is empty", cure="say something"))
            continue
        said.append(part)
    return said


def _check_sendable(parts: ApiParts, delivery: LiveDelivery) -> None:
    """Refuse parts that the channel cannot send there, and too many of them."""
    row = parts.abilities[delivery.channel].row(delivery.group_id)
    assert row is not None, "it has a way"
    said = decode_parts(delivery.parts)
    flaws = [
        Flaw(
            path="parts",
            problem=f"{delivery.channel} cannot send {kind}",
            cure=f"use one of: {', '.join(sorted(row.active_parts))}",
        )
        for kind in dict.fromkeys(part.kind for part in said if part.kind not in row.active_parts)
    ]
    if not said or len(said) > _MOST_MESSAGES:
        cure = f"say it in 1 to {_MOST_MESSAGES} messages of at most {row.text_limit_bytes} bytes"
        flaws.append(Flaw(path="parts", problem=f"makes {len(said)} messages", cure=cure))
    if flaws:
        raise invalid(flaws)


def _cannot(no_way: NoWay, form: DeliveryForm) -> ProblemError:
    """Return the refusal of what the channel cannot do."""
    text = no_way.text
    return ProblemError(
        "cannot_send",
        f"{form.channel}: {text.cause}; {text.cure} / {text.cause_zh}，{text.cure_zh}",
        [Flaw(path=no_way.field, problem=text.cause, cure=text.cure)],
    )


def _is_same(made: Delivery, asked: LiveDelivery) -> bool:
    """Whether a delivery is what the same request made before."""
    return (made.channel, made.user_id, made.group_id, made.parts, made.feature, made.community) == (
        asked.channel, asked.user_id, asked.group_id, asked.parts, asked.feature, asked.community,
    )  # fmt: skip


# ---------------------------------------------------------------- what died


async def resend_delivery(call: Call[Query, None]) -> Answer:
    """Queue a dead delivery again, from its first part that was not sent."""
    parts, delivery_id = call.parts, call.path["delivery"]
    delivery = await _find(parts, delivery_id)
    if delivery is None:
        raise ProblemError("not_found", f"there is no delivery {delivery_id!r}")
    check_community(call.caller, delivery.community)
    now_ms = parts.clock.now_ms()
    if delivery.state == "dead" and await parts.deliveries.resend(_anew(delivery, now_ms), now_ms):
        parts.wake_senders(delivery.community)
        again = await _find(parts, delivery_id)
        return Answer(_shown(parts, again or delivery), 202)
    raise ProblemError(
        "not_dead", f"{delivery_id} is {delivery.state} or queued again; only a dead one is resent"
    )


async def _find(parts: ApiParts, delivery_id: str) -> Delivery | None:
    """Return a delivery as it is now."""
    history = DeliveryHistory(parts.database)
    known = await history.get(delivery_id)
    communities = [known.community] if known else (community.id for community in parts.communities)
    await _flush(parts, communities)
    return await history.get(delivery_id)


async def _flush(parts: ApiParts, communities: Iterable[str]) -> None:
    await asyncio.gather(*(parts.stores.drain.flush(community) for community in communities))


def _anew(delivery: Delivery, now_ms: int) -> LiveDelivery:
    """Return what the outbox takes back: as useful from now on as it was from its beginning.

    An address to answer to lives no longer for that. Hours, caps and opt-outs hold as for a new one.
    """
    useful_until_ms = delivery.useful_until_ms
    if useful_until_ms and delivery.route != Route.RESPONSE_URL:
        useful_until_ms = now_ms + useful_until_ms - max(delivery.created_at_ms, delivery.not_before_ms)
    return LiveDelivery(
        id=delivery.id,
        community=delivery.community,
        channel=delivery.channel,
        user_id=delivery.user_id,
        member=delivery.member,
        cause=delivery.cause,
        route=delivery.route,
        created_at_ms=delivery.created_at_ms,
        parts=delivery.parts,
        next_part=delivery.next_part,
        group_id=delivery.group_id,
        useful_until_ms=useful_until_ms,
        feature=delivery.feature,
        answer_to=delivery.answer_to,
    )


def _shown(parts: ApiParts, delivery: Delivery) -> DeliveryShown:
    zone = _zone(parts, delivery.community)
    known = parts.abilities.get(delivery.channel)
    text = explain(known.kind if known else "", delivery.reason) if delivery.reason else None
    return DeliveryShown(
        id=delivery.id,
        community=delivery.community,
        channel=delivery.channel,
        member=delivery.member,
        group=delivery.group_id or None,
        cause=delivery.cause,
        feature=delivery.feature or None,
        state=delivery.state,
        route=delivery.route,
        reason=delivery.reason or None,
        explanation=None if text is None else ExplanationShown(**asdict(text)),
        attempts=delivery.attempts,
        parts=orjson.loads(delivery.parts),
        parts_sent=delivery.next_part,
        created_at=rfc3339(delivery.created_at_ms, zone),
        updated_at=rfc3339(delivery.updated_at_ms, zone),
        due_at=rfc3339_or_none(delivery.not_before_ms or None, zone),
        useful_until=rfc3339_or_none(delivery.useful_until_ms or None, zone),
    )


def _zone(parts: ApiParts, community_id: str) -> tzinfo:
    """Return the community's zone; of one that is configured no more, the product's."""
    community = parts.communities.get(community_id)
    return community.zone if community else ZoneInfo(parts.config.locale.time_zone)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/deliveries",
        list_deliveries,
        "List deliveries, the newest made first.",
        query=DeliveriesQuery,
        answer=DeliveryList,
    ),
    Endpoint(
        "POST",
        "/deliveries",
        create_delivery,
        "Say something unprompted to a member or a group, once per request_id.",
        role=Role.MANAGER,
        body=DeliveryForm,
        answer=DeliveryShown,
        status=201,
        also={200: "The same was asked for before; nothing was changed."},
        problems=("request_id_reused", "cannot_send"),
    ),
    Endpoint(
        "POST",
        "/deliveries/{delivery}/resend",
        resend_delivery,
        "Queue a dead delivery again, from its first part that was not sent.",
        role=Role.MANAGER,
        answer=DeliveryShown,
        status=202,
        problems=("not_dead",),
    ),
)
