"""What each kind of channel can do, and which way an answer goes.

The table is data: another kind of channel is another row. Limits are the vendors' published ones; the texts
that name them are "WeCom, channel table", "WeCom, self-built app", "appchat", "group robot webhook", "AI bot"
and "Official Account, customer-service messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.storage.redis.deliveries import CONNECTION

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000


_NOTICES = frozenset({"text_notice", "news_notice"})
_CARD_TYPES = _NOTICES | {"button_interaction", "vote_interaction", "multiple_interaction"}


class Route(StrEnum):
    """How a message gets to its receiver."""

    PASSIVE = "passive"  # in the HTTP response to the callback
    ACTIVE = "active"  # by a call of ours, at any time
    WINDOW = "window"  # by a call of ours, as long as the window after the person's last act is open
    RESPONSE_URL = "response_url"  # in the stream the platform polls, else one call to the address it gave
    CONNECTION = CONNECTION  # through the long connection, by the process that holds it
    NONE = ""


class Sight(StrEnum):
    """How much of a group a channel sees; what it cannot see is "not observable", never 0."""

    ALL = "all"
    MENTIONS = "mentions"
    NOTHING = "nothing"


class Scope(StrEnum):
    """What a rate counts over."""

    RECEIVER = "receiver"  # one person or one group
    CHANNEL = "channel"  # everything the channel sends


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` within any `per_ms` milliseconds, counted over `scope`.

    With `persons` a message to a group counts once for each of its members.
    """

    most: int
    per_ms: int
    scope: Scope = Scope.RECEIVER
    persons: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` sends within `per_ms` milliseconds after the receiver did `act`."""

    act: str
    most: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one kind of channel can do, or, where a kind has two ways, one of them; unless said, it cannot.

    Attributes:
        name: Of the row: the kind as `config.yaml` names it, with the mode or way behind it.
        group_sight: What it hears of groups.
        direct_messages: Whether people write to it one to one, and who: empty for nobody.
        join_events: Which events tell of people coming and going; empty for none.
        inviter: How it learns who brought a person; empty where it cannot.
        group_reply: Whether it can answer in a group at once.
        direct_send: Whom it can write to one to one; empty for nobody.
        group_send: Which groups it can write to unprompted; empty for none.
        send_later: Under what condition it can speak unprompted; empty where it cannot.
        human_confirmation: Whether a person must press a button before anything is sent.
        deadline_s: Seconds within which a passive reply must leave; 0 where there is none.
        passive_parts: Kinds of parts a passive reply can be; it holds one part.
        passive_events: Names of the reports (`Report.name`) that take a passive reply; messages always do
            where `passive_parts` is not empty.
        later: The route of an answer that is late or does not fit, NONE where there is no other.
        active_parts: Kinds of parts that route takes.
        card_types: Layouts of template cards it takes, where it takes cards.
        text_limit_bytes: Longest text of either route, UTF-8 bytes; what is longer is split.
        markdown_limit_bytes: The same of Markdown.
        most_articles: Most articles of one news part.
        joins_texts: Whether texts that follow each other go as one message, as far as it is long enough.
        mentions: Whether people can be mentioned so that their phones say so.
        rates: Limits of sending; we wait rather than go over. A channel's own `limits` have the scope of the
            first, per receiver where there is none.
        windows: The acts that open the window of `Route.WINDOW`.
        drops_duplicates_ms: How far back the platform can be asked to drop a message that it has sent to
            the same receiver before; 0 where it cannot.
        most_sends: Messages that one answer may have by the later route; 0 is any number. The channel's
            client refuses more: a poll may have shown the first part, so the part's number does not say.
        answer_for_ms: How long after the event the later route is open, milliseconds; 0 is for ever.
        concurrency: Calls that one of our processes makes at a time.
    """

    name: str
    later: Route
    active_parts: frozenset[str]
    text_limit_bytes: int
    markdown_limit_bytes: int
    most_articles: int
    group_sight: Sight = Sight.NOTHING
    direct_messages: str = ""
    join_events: tuple[str, ...] = ()
    inviter: str = ""
    group_reply: bool = False
    direct_send: str = ""
    group_send: str = ""
    send_later: str = ""
    human_confirmation: bool = False
    deadline_s: float = 0.0
    passive_parts: frozenset[str] = frozenset()
    passive_events: frozenset[str] = frozenset()
    card_types: frozenset[str] = _CARD_TYPES
    joins_texts: bool = False
    mentions: bool = False
    rates: tuple[Rate, ...] = ()
    windows: tuple[Window, ...] = ()
    drops_duplicates_ms: int = 0
    most_sends: int = 0
    answer_for_ms: int = 0
    concurrency: int = 16


_PASSIVE_PARTS = frozenset({"text", "image", "voice", "video", "news"})
# Per company and API (WeCom, access_token, rate limits, error codes: general call limits).
_WECOM_CALLS = (Rate(10_000, _MINUTE_MS, Scope.CHANNEL), Rate(150_000, _HOUR_MS, Scope.CHANNEL))

WECOM_APP = Abilities(
    name="wecom_app",
    direct_messages="employees",
    join_events=("subscribe", "unsubscribe"),  # of the app, not of a group
    direct_send="employees",
    send_later="any time",
    deadline_s=5.0,
    passive_parts=_PASSIVE_PARTS | {"card_update"},
    passive_events=frozenset(
        {"subscribe", "enter", "location_report", "menu_click", "menu_view", "scan_code", "card_click"}
    ),
    later=Route.ACTIVE,
    active_parts=frozenset(
        {"text", "markdown", "image", "voice", "video", "file", "news", "mini_program", "template_card"}
    ),
    text_limit_bytes=2048,
    markdown_limit_bytes=2048,
    most_articles=8,
    rates=(Rate(30, _MINUTE_MS), Rate(1000, _HOUR_MS), *_WECOM_CALLS),
    drops_duplicates_ms=4 * _HOUR_MS,  # the longest; a blocked delivery may be tried again hours later
)

WECOM_APP_GROUP = Abilities(
    name="wecom_app group",  # 应用群聊, appchat
    group_send="groups that the app made itself",
    send_later="any time",
    later=Route.ACTIVE,
    active_parts=frozenset({"text", "markdown", "image", "voice", "video", "file", "news"}),
    text_limit_bytes=2048,
    markdown_limit_bytes=2048,
    most_articles=8,
    mentions=True,
    rates=(
        Rate(200, _MINUTE_MS),  # what each of its members receives from such groups
        Rate(10_000, _DAY_MS),
        Rate(20_000, _MINUTE_MS, Scope.CHANNEL, persons=True),
        Rate(150_000, _HOUR_MS, Scope.CHANNEL, persons=True),  # of the smallest companies
    ),
)

WECOM_AIBOT = Abilities(
    name="wecom_aibot callback",
    group_sight=Sight.MENTIONS,
    direct_messages="employees",
    group_reply=True,
    deadline_s=5.0,
    passive_parts=frozenset({"text", "markdown", "template_card", "card_update"}),
    passive_events=frozenset({"enter", "card_click"}),
    later=Route.RESPONSE_URL,
    active_parts=frozenset({"text", "markdown", "template_card"}),
    text_limit_bytes=20_480,
    markdown_limit_bytes=20_480,
    most_articles=8,
    joins_texts=True,
    most_sends=1,
    answer_for_ms=_HOUR_MS,
)

WECOM_AIBOT_CONNECTION = Abilities(
    name="wecom_aibot long_connection",
    group_sight=Sight.MENTIONS,
    direct_messages="employees",
    group_reply=True,
    direct_send="employees who wrote to it before",
    group_send="groups in which it was mentioned before",
    send_later="to chats it knows",
    deadline_s=5.0,  # of the welcome and of a card's update; an answer has 24 hours
    later=Route.CONNECTION,
    active_parts=frozenset(
        {"text", "markdown", "image", "voice", "video", "file", "template_card", "card_update"}
    ),
    text_limit_bytes=20_480,
    markdown_limit_bytes=20_480,
    most_articles=8,
    joins_texts=True,
    rates=(Rate(30, _MINUTE_MS), Rate(1000, _HOUR_MS)),
    answer_for_ms=24 * _HOUR_MS,
    concurrency=8,
)

WECOM_ROBOT = Abilities(
    name="wecom_robot",
    group_send="the one internal group it was added to",
    send_later="any time",
    later=Route.ACTIVE,
    active_parts=frozenset({"text", "markdown", "image", "voice", "file", "news", "template_card"}),
    text_limit_bytes=2048,
    markdown_limit_bytes=4096,
    most_articles=8,
    card_types=_NOTICES,  # a robot hears of no button
    mentions=True,
    rates=(Rate(20, _MINUTE_MS, Scope.CHANNEL),),
    concurrency=1,
)

WECHAT_OA = Abilities(
    name="wechat_oa",
    direct_messages="followers",
    join_events=("subscribe", "unsubscribe"),
    inviter="scene of the QR code",
    direct_send="followers",
    send_later="within 48 h of their last message, at most 5 messages",
    deadline_s=5.0,
    passive_parts=_PASSIVE_PARTS,
    passive_events=frozenset(
        {"subscribe", "scan", "location_report", "location_select"}
        | {"menu_click", "menu_view", "scan_code", "pictures"}
    ),
    later=Route.WINDOW,
    active_parts=_PASSIVE_PARTS | {"mini_program"},
    text_limit_bytes=2048,
    markdown_limit_bytes=2048,
    most_articles=1,
    windows=(
        Window("message", 5, 48 * _HOUR_MS),
        Window("menu_click", 3, _MINUTE_MS),
        Window("subscribe", 3, _MINUTE_MS),
        Window("scan", 3, _MINUTE_MS),
    ),
)

ABILITIES: dict[str, Abilities] = {
    row.name: row
    for row in (
        WECOM_APP, WECOM_APP_GROUP, WECOM_AIBOT, WECOM_AIBOT_CONNECTION, WECOM_ROBOT, WECHAT_OA,
    )
}  # fmt: skip
"""Every row by its name."""


@dataclass(frozen=True, slots=True)
class ChannelAbilities:
    """The rows of one configured channel, with its own limits: in direct chats, and in groups.

    Attributes:
        kind: As the configuration names it.
        direct: What holds in a direct chat; None where the channel has none.
        group: What holds in a group; None where the channel has none.
        can_send: Whether the channel has what its own calls need (a secret, a key).
    """

    kind: str
    direct: Abilities | None
    group: Abilities | None
    can_send: bool

    def row(self, group_id: str) -> Abilities | None:
        """Return what holds where a message goes."""
        return self.group if group_id else self.direct

    def later(self, group_id: str) -> Route:
        """Return the way of what goes in no HTTP response; NONE: it will be listed as undeliverable."""
        row = self.row(group_id)
        return row.later if row is not None and self.can_send else Route.NONE


_ROWS: dict[str, tuple[Abilities | None, Abilities | None]] = {
    "wecom_app": (WECOM_APP, WECOM_APP_GROUP),
    "wecom_aibot": (WECOM_AIBOT, WECOM_AIBOT),
    "wecom_aibot long_connection": (WECOM_AIBOT_CONNECTION, WECOM_AIBOT_CONNECTION),
    "wecom_robot": (None, WECOM_ROBOT),
    "wechat_oa": (WECHAT_OA, None),
}


def channel_abilities(
    kind: str,
    *,
    long_connection: bool = False,
    can_send: bool = True,
    limits: Mapping[int, int] | None = None,
) -> ChannelAbilities:
    """Return the rows of a channel; `limits` are its own counts by length of time in milliseconds.

    Raises:
        KeyError: No such kind.
    """
    direct, group = _ROWS[f"{kind} long_connection" if long_connection else kind]
    if not can_send:
        direct, group = _without_sends(direct), _without_sends(group)
    return ChannelAbilities(kind, _limited(direct, limits), _limited(group, limits), can_send)


def _without_sends(row: Abilities | None) -> Abilities | None:
    """Return a row whose replies must go in the HTTP response, as text where need be."""
    return None if row is None else replace(row, active_parts=frozenset())


def _limited(row: Abilities | None, limits: Mapping[int, int] | None) -> Abilities | None:
    if row is None or not limits:
        return row
    own = row.rates[0].scope if row.rates else Scope.RECEIVER
    kept = tuple(rate for rate in row.rates if rate.scope is not own or rate.per_ms not in limits)
    return replace(row, rates=(*kept, *(Rate(most, per_ms, own) for per_ms, most in limits.items())))


def takes_passive_reply(row: Abilities, content_name: str, *, is_message: bool) -> bool:
    """Whether the platform shows an answer in the HTTP response to this message or report."""
    return bool(row.passive_parts) and (is_message or content_name in row.passive_events)
