"""``deliveries``: what goes out later than inline: queued, delivered, or dead and to be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field

from bot.api.access import check_community
from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Listed, ListQuery, Query, Role, Shown
from bot.api.parts import ApiParts
from bot.api.problem import ProblemError
from bot.api.times import Instant, rfc3339
from bot.storage.redis.deliveries import Delivery as LiveDelivery
from bot.storage.sql.deliveries import Delivery, DeliveryHistory


class DeliveriesQuery(ListQuery):
    """Filters of the list."""

    state: Literal["queued", "delivered", "dead"] | None = None
    community: Annotated[str | None, Field(max_length=512, description="Community id.")] = None


class DeliveryShown(Shown):
    """Something on its way to one receiver."""

    id: str
    community: str
    channel: str
    member: Annotated[str, Field(description="Whom it goes to.")]
    cause: Annotated[str, Field(description="The event id it answers.")]
    state: Annotated[str, Field(description="queued, delivered or dead.")]
    route: Annotated[str, Field(description="How it goes; empty where the channel has no way.")]
    reason: Annotated[str | None, Field(description="Why it is dead or was put off.")]
    attempts: Annotated[int, Field(description="Failed attempts at the present part.")]
    parts: Annotated[list[dict[str, Any]], Field(description="What is said: `kind` and the kind's fields.")]
    parts_sent: Annotated[int, Field(description="How many parts the platform has accepted.")]
    created_at: Instant
    updated_at: Instant


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
            state=query.state, community=community, cursor=query.cursor, limit=query.limit
        )
    items = [_shown(parts, delivery) for delivery in page.items]
    return DeliveryList(items=items, next_cursor=page.next_cursor)


async def resend_delivery(call: Call[Query, None]) -> Answer:
    """Queue a dead delivery again, from its first part that was not sent."""
    parts, delivery_id = call.parts, call.path["delivery"]
    delivery = await _find(parts, delivery_id)
    if delivery is None:
        raise ProblemError("not_found", f"there is no delivery {delivery_id!r}")
    check_community(call.caller, delivery.community)
    if delivery.state == "dead" and await parts.deliveries.resend(_live(delivery), parts.clock.now_ms()):
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


def _live(delivery: Delivery) -> LiveDelivery:
    """Return what the outbox takes back."""
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
        useful_until_ms=delivery.useful_until_ms,
        feature=delivery.feature,
        answer_to=delivery.answer_to,
        not_before_ms=delivery.not_before_ms,
    )


def _shown(parts: ApiParts, delivery: Delivery) -> DeliveryShown:
    zone = _zone(parts, delivery.community)
    return DeliveryShown(
        id=delivery.id,
        community=delivery.community,
        channel=delivery.channel,
        member=delivery.member,
        cause=delivery.cause,
        state=delivery.state,
        route=delivery.route,
        reason=delivery.reason or None,
        attempts=delivery.attempts,
        parts=orjson.loads(delivery.parts),
        parts_sent=delivery.next_part,
        created_at=rfc3339(delivery.created_at_ms, zone),
        updated_at=rfc3339(delivery.updated_at_ms, zone),
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
        "/deliveries/{delivery}/resend",
        resend_delivery,
        "Queue a dead delivery again, from its first part that was not sent.",
        role=Role.MANAGER,
        answer=DeliveryShown,
        status=202,
        problems=("not_dead",),
    ),
)
