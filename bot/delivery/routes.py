"""What each kind of channel can do, and which way an answer goes.

The table is data: another kind of channel is another row. Limits are the vendors' published ones; the texts
that name them are "WeCom, channel table", "WeCom, self-built app" and "Official Account, customer-service
messages".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bot.delivery.split import fit_parts
from bot.model import Part

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


class Route(StrEnum):
    """How a reply gets to its receiver."""

    PASSIVE = "passive"  # in the HTTP response to the callback
    ACTIVE = "active"  # by a call of ours, at any time
    WINDOW = (
        "window"  # by a call of ours, as long as the platform's window after the person's last act is open
    )
    NONE = ""


class Sight(StrEnum):
    """How much of a group a channel sees; what it cannot see is "not observable", never 0."""

    ALL = "all"
    MENTIONS = "mentions"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` sends per receiver within any `per_ms` milliseconds."""

    most: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` sends within `per_ms` milliseconds after the receiver did `act`."""

    act: str
    most: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one kind of channel can do.

    Attributes:
        kind: The kind, as `config.yaml` names it.
        group_sight: What it sees of groups.
        direct_messages: Whether people write to it one to one, and who: empty for nobody.
        join_events: Which events tell of people coming and going; empty for none.
        inviter: How it learns who brought a person; empty where it cannot.
        group_reply: Whether it can answer in a group at once.
        human_confirmation: Whether a person must press a button before anything is sent.
        deadline_s: Seconds within which a passive reply must leave; 0 where there is none.
        passive_parts: Kinds of parts a passive reply can be; it holds one part.
        passive_events: Names of the reports (`Report.name`) that take a passive reply; messages always do
            where `passive_parts` is not empty.
        later: The route of an answer that is late or does not fit, NONE where there is no other.
        active_parts: Kinds of parts that route takes.
        text_limit_bytes: Longest text of either route, UTF-8 bytes; what is longer is split.
        most_articles: Most articles of one news part.
        rates: Per receiver; excess is dropped without a word, so we wait.
        windows: The acts that open the window of `Route.WINDOW`.
        drops_duplicates_ms: How far back the platform can be asked to drop a message that it has sent to
            the same receiver before; 0 where it cannot.
        concurrency: Calls that one of our processes makes at a time.
    """

    kind: str
    group_sight: Sight
    direct_messages: str
    join_events: tuple[str, ...]
    inviter: str
    group_reply: bool
    human_confirmation: bool
    deadline_s: float
    passive_parts: frozenset[str]
    passive_events: frozenset[str]
    later: Route
    active_parts: frozenset[str]
    text_limit_bytes: int
    most_articles: int
    rates: tuple[Rate, ...] = ()
    windows: tuple[Window, ...] = ()
    drops_duplicates_ms: int = 0
    concurrency: int = 16


_EVERY_PART = frozenset({"text", "image", "voice", "video", "news"})

WECOM_APP = Abilities(
    kind="wecom_app",
    group_sight=Sight.NOTHING,
    direct_messages="employees",
    join_events=("subscribe", "unsubscribe"),  # of the app, not of a group
    inviter="",
    group_reply=False,
    human_confirmation=False,
    deadline_s=5.0,
    passive_parts=_EVERY_PART,
    passive_events=frozenset(
        {"subscribe", "enter", "location_report", "menu_click", "menu_view", "scan_code", "card_click"}
    ),
    later=Route.ACTIVE,
    active_parts=_EVERY_PART,
    text_limit_bytes=2048,
    most_articles=8,
    rates=(Rate(30, _MINUTE_MS), Rate(1000, _HOUR_MS)),
    drops_duplicates_ms=4 * _HOUR_MS,  # the longest; a blocked delivery may be tried again hours later
)

WECHAT_OA = Abilities(
    kind="wechat_oa",
    group_sight=Sight.NOTHING,  # there are no groups of any kind
    direct_messages="followers",
    join_events=("subscribe", "unsubscribe"),
    inviter="scene of the QR code",
    group_reply=False,
    human_confirmation=False,
    deadline_s=5.0,
    passive_parts=_EVERY_PART,
    passive_events=frozenset(
        {"subscribe", "scan", "location_report", "location_select"}
        | {"menu_click", "menu_view", "scan_code", "pictures"}
    ),
    later=Route.WINDOW,
    active_parts=_EVERY_PART,
    text_limit_bytes=2048,
    most_articles=1,
    windows=(
        Window("message", 5, 48 * _HOUR_MS),
        Window("menu_click", 3, _MINUTE_MS),
        Window("subscribe", 3, _MINUTE_MS),
        Window("scan", 3, _MINUTE_MS),
    ),
)

ABILITIES: dict[str, Abilities] = {row.kind: row for row in (WECOM_APP, WECHAT_OA)}


def abilities(kind: str) -> Abilities:
    """Return the row of a kind of channel.

    Raises:
        KeyError: No such kind.
    """
    return ABILITIES[kind]


def route_after_deadline(kind: str, *, has_secret: bool) -> Route:
    """Return the way of an answer that missed the soft deadline; NONE: it will be listed as undeliverable.

    Calls need an access token and so the channel's secret.
    """
    row = ABILITIES.get(kind)
    return row.later if row is not None and has_secret else Route.NONE


def takes_passive_reply(kind: str, content_name: str, *, is_message: bool) -> bool:
    """Whether the platform shows an answer in the HTTP response to this message or report."""
    row = ABILITIES[kind]
    return bool(row.passive_parts) and (is_message or content_name in row.passive_events)


@dataclass(frozen=True, slots=True)
class Division:
    """A reply, divided: what goes in the HTTP response, and what goes out as a delivery after it."""

    passive: Part | None
    rest: tuple[Part, ...]


REST_DELAY_MS = 1500
"""How long the rest of a reply waits, so that the person reads the HTTP response first."""


def divide(parts: Iterable[Part], kind: str, *, inline: bool) -> Division:
    """Cut a reply to the platform's limits and choose its ways.

    `inline` says whether an HTTP response can still carry one part.

    The parts keep their order: only the first can go in the response, so where its kind cannot be passive
    all go as a delivery.
    """
    row = ABILITIES[kind]
    fitted = fit_parts(parts, text_limit_bytes=row.text_limit_bytes, most_articles=row.most_articles)
    if inline and fitted and fitted[0].kind in row.passive_parts:
        return Division(fitted[0], fitted[1:])
    return Division(None, fitted)
