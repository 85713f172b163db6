"""What every layer shares: events, replies, ids, communities; frozen, without behaviour of their own.

An `Event` is what happened on a platform, in our words. Its `content` is one of the dataclasses below:
`…Message` for what a person sent, the others for what the platform reports. A `Reply` is what we say,
one or more parts; how a part gets there is delivery's business.

What is made for every message (`Event` here, others along the line) is a named tuple, as immutable as a
frozen dataclass and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from types import MappingProxyType
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

# ---------------------------------------------------------------- what people send


@dataclass(frozen=True, slots=True)
class Quote:
    """What a message quotes: the vendor's kind of it, and its words where it has any."""

    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A text; `text` is as sent, not normalised, without the leading mention of the bot."""

    text: str
    quote: Quote | None = None
    name: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """A picture; with `aes_key` (43 base64 characters) the bytes behind `url` are encrypted."""

    url: str
    media_id: str
    aes_key: str = field(default="", repr=False)
    name: ClassVar[str] = "image"


@dataclass(frozen=True, slots=True)
class VoiceMessage:
    """A voice message; `recognition` is the platform's transcript, empty where it makes none."""

    media_id: str
    format: str
    recognition: str = ""
    name: ClassVar[str] = "voice"


@dataclass(frozen=True, slots=True)
class VideoMessage:
    """A video; `short` marks the Official Account's shortvideo; `url` and `aes_key` as of a picture."""

    media_id: str
    thumb_media_id: str
    short: bool = False
    url: str = ""
    aes_key: str = field(default="", repr=False)
    name: ClassVar[str] = "video"


@dataclass(frozen=True, slots=True)
class LocationMessage:
    """A place the person sent; degrees, map scale and its name."""

    latitude: float
    longitude: float
    scale: int
    label: str
    name: ClassVar[str] = "location"


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """A shared link."""

    title: str
    description: str
    url: str
    name: ClassVar[str] = "link"


@dataclass(frozen=True, slots=True)
class FileMessage:
    """A file; `url` and `aes_key` as of a picture."""

    url: str
    file_name: str = ""
    aes_key: str = field(default="", repr=False)
    name: ClassVar[str] = "file"


@dataclass(frozen=True, slots=True)
class MixedMessage:
    """Texts and pictures in one message, in order."""

    items: tuple[TextMessage | ImageMessage, ...]
    quote: Quote | None = None
    name: ClassVar[str] = "mixed"


# ---------------------------------------------------------------- what platforms report


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The person followed the account or entered the app's range.

    `scene` is the value of the QR code they came through, empty otherwise; `ticket` names that code.
    """

    scene: str = ""
    ticket: str = ""
    name: ClassVar[str] = "subscribe"


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The person left; no answer can reach them."""

    name: ClassVar[str] = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Entered:
    """The person opened the app's chat window (WeCom enter_agent)."""

    name: ClassVar[str] = "enter"


@dataclass(frozen=True, slots=True)
class Scanned:
    """A follower scanned a QR code of ours."""

    scene: str
    ticket: str
    name: ClassVar[str] = "scan"


@dataclass(frozen=True, slots=True)
class LocationReported:
    """The client reported where the person is; degrees, precision in metres."""

    latitude: float
    longitude: float
    precision: float
    name: ClassVar[str] = "location_report"


@dataclass(frozen=True, slots=True)
class MenuClicked:
    """A menu button with a key was pressed."""

    key: str
    name: ClassVar[str] = "menu_click"


@dataclass(frozen=True, slots=True)
class MenuViewed:
    """A menu button that opens a page or, with `mini_program`, a mini program was pressed."""

    key: str
    menu_id: str = ""
    mini_program: bool = False
    name: ClassVar[str] = "menu_view"


@dataclass(frozen=True, slots=True)
class CodeScanned:
    """A menu button opened the scanner; `waits` says whether the person waits for our answer."""

    key: str
    scan_type: str
    scan_result: str
    waits: bool
    name: ClassVar[str] = "scan_code"


@dataclass(frozen=True, slots=True)
class PicturesSent:
    """A menu button sent pictures; `source` is the platform's event name, `md5_sums` one per picture."""

    key: str
    source: str
    md5_sums: tuple[str, ...]
    name: ClassVar[str] = "pictures"


@dataclass(frozen=True, slots=True)
class LocationSelected:
    """A menu button sent a chosen place."""

    key: str
    latitude: float
    longitude: float
    scale: int
    label: str
    poi_name: str
    name: ClassVar[str] = "location_select"


@dataclass(frozen=True, slots=True)
class CardClicked:
    """A template card (or, with `menu`, its corner menu) was used; `selected` is question → options."""

    key: str
    task_id: str
    card_type: str
    response_code: str
    selected: tuple[tuple[str, tuple[str, ...]], ...] = ()
    menu: bool = False
    name: ClassVar[str] = "card_click"


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """A member judged an answer of the AI bot.

    `verdict` is accurate, inaccurate, withdrawn, or the vendor's number where it is another; `reasons` are
    the vendor's numbers (1 irrelevant, 2 incomplete, 3 wrong, 4 data-analysis error); `text` is what they
    wrote.
    """

    feedback_id: str
    verdict: str
    text: str = ""
    reasons: tuple[int, ...] = ()
    name: ClassVar[str] = "feedback"


@dataclass(frozen=True, slots=True)
class BatchJobDone:
    """An asynchronous job of the platform ended."""

    job_id: str
    job_type: str
    errcode: int
    errmsg: str
    name: ClassVar[str] = "batch_job"


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """The company's address book changed; `fields` holds the platform's elements as they came."""

    change_type: str
    fields: tuple[tuple[str, str], ...]
    name: ClassVar[str] = "contacts_change"


@dataclass(frozen=True, slots=True)
class ApprovalChanged:
    """An approval moved on; `source` is the platform's event name, `fields` its top-level elements."""

    source: str
    fields: tuple[tuple[str, str], ...]
    name: ClassVar[str] = "approval_change"


@dataclass(frozen=True, slots=True)
class TemplateMessageSent:
    """A template message was delivered or not; `status` is the platform's word."""

    message_id: str
    status: str
    name: ClassVar[str] = "template_sent"


@dataclass(frozen=True, slots=True)
class MassMessageSent:
    """A mass message ended, with its counts of people."""

    message_id: str
    status: str
    total: int
    filtered: int
    sent: int
    failed: int
    name: ClassVar[str] = "mass_sent"


@dataclass(frozen=True, slots=True)
class NoticeConsent:
    """One subscription notice: template and what the person chose (accept, reject) or its delivery.

    `error_code` is the platform's code of a delivery, 0 elsewhere.
    """

    template_id: str
    status: str
    message_id: str = ""
    error_code: int = 0


@dataclass(frozen=True, slots=True)
class NoticesChanged:
    """Subscription notices were accepted, rejected, changed or delivered; `source` is the event name."""

    source: str
    notices: tuple[NoticeConsent, ...]
    name: ClassVar[str] = "notices"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type we do not know: acknowledged and counted, never an error."""

    type_name: str
    name: ClassVar[str] = "unknown"


Message = (
    TextMessage | ImageMessage | VoiceMessage | VideoMessage | LocationMessage | LinkMessage
    | FileMessage | MixedMessage
)  # fmt: skip
Report = (
    Subscribed | Unsubscribed | Entered | Scanned | LocationReported | MenuClicked | MenuViewed
    | CodeScanned | PicturesSent | LocationSelected | CardClicked | FeedbackGiven | BatchJobDone
    | ContactsChanged | ApprovalChanged | TemplateMessageSent | MassMessageSent | NoticesChanged | Unknown
)  # fmt: skip
Content = Message | Report

MESSAGE_TYPES = (
    TextMessage, ImageMessage, VoiceMessage, VideoMessage, LocationMessage, LinkMessage, FileMessage,
    MixedMessage,
)  # fmt: skip


class Event(NamedTuple):
    """Something that happened on a platform.

    Attributes:
        id: Stable over every delivery of the same happening: ``<channel>:<user_id>:<MsgId>`` for a
            message, ``<channel>:<hex SHA-256 of the decrypted body>`` for the rest.
        channel: Name of the channel it came through.
        user_id: The sender as the platform names them (userid, openid); empty for none.
        account_id: The account that received it, as the platform names it in ToUserName.
        group_id: The chat group, empty in a direct chat.
        sent_at_ms: When it was sent (the platform's CreateTime), Unix milliseconds.
        content: What happened.
        answer_to: What the platform gave for an answer that comes later: the AI bot's response_url (callback
            mode) or req_id (long connection); empty where there is none. It is a secret.
    """

    id: str
    channel: str
    user_id: str
    account_id: str
    group_id: str
    sent_at_ms: int
    content: Content
    answer_to: str = ""

    @property
    def member_id(self) -> str:
        """The sender as the product names them: ``<channel>:<user_id>``."""
        return f"{self.channel}:{self.user_id}"

    def __repr__(self) -> str:
        """Return the event without what it can be answered with, which is a secret."""
        shown = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._fields[:-1], self[:-1], strict=True)
        )
        return f"Event({shown})"

    @property
    def is_message(self) -> bool:
        """Whether a person sent it, as against a report of the platform."""
        return isinstance(self.content, MESSAGE_TYPES)


# ---------------------------------------------------------------- what we say
#
# Pictures, voice, video and files are named by `media_id`, where they were uploaded to that very channel, or
# by `blob`, the SHA-256 (hex) of bytes in the product's own store, which delivery uploads or encloses as the
# channel wants it. `mentions` are user ids of the channel, or "@all".


@dataclass(frozen=True, slots=True)
class Text:
    """A text, of any length; delivery splits it."""

    text: str
    mentions: tuple[str, ...] = ()
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Markdown:
    """A text with Markdown: headings, bold, links, quotes, lists, code; other channels get plain text."""

    text: str
    mentions: tuple[str, ...] = ()
    kind: ClassVar[str] = "markdown"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture."""

    media_id: str = ""
    blob: str = ""
    kind: ClassVar[str] = "image"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice message."""

    media_id: str = ""
    blob: str = ""
    kind: ClassVar[str] = "voice"


@dataclass(frozen=True, slots=True)
class Video:
    """A video."""

    media_id: str = ""
    title: str = ""
    description: str = ""
    blob: str = ""
    kind: ClassVar[str] = "video"


@dataclass(frozen=True, slots=True)
class File:
    """A file; `file_name` is what people see."""

    media_id: str = ""
    blob: str = ""
    file_name: str = ""
    kind: ClassVar[str] = "file"


@dataclass(frozen=True, slots=True)
class Article:
    """One article of a news message; `url` opens on a tap, `picture_url` is its cover."""

    title: str
    description: str = ""
    url: str = ""
    picture_url: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """One to eight articles."""

    articles: tuple[Article, ...]
    kind: ClassVar[str] = "news"


@dataclass(frozen=True, slots=True)
class MiniProgram:
    """A mini program's page; `url` is where people go who cannot open it, `lines` are (name, value)."""

    app_id: str
    page_path: str
    title: str
    description: str = ""
    thumb_media_id: str = ""
    url: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "mini_program"


@dataclass(frozen=True, slots=True)
class CardButton:
    """A button of a card; `key` comes back in `CardClicked`, `style` is the vendor's number 1 to 4."""

    text: str
    key: str
    style: int = 1


@dataclass(frozen=True, slots=True)
class CardQuestion:
    """A choice on a card: `options` are (id, text); with `multiple` several may be ticked."""

    key: str
    options: tuple[tuple[str, str], ...]
    title: str = ""
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class TemplateCard:
    """A card with a layout of the platform's.

    Attributes:
        card_type: text_notice | news_notice | button_interaction | vote_interaction | multiple_interaction.
        title: Its first line.
        description: The line below.
        task_id: Its name, unique per channel; needed where it has buttons or questions.
        source: Small line above the title.
        lines: (name, value) below, at most 6.
        links: (text, url), at most 3.
        url: What a tap on the card opens; needed by the two notices.
        picture_url: Cover of a news_notice.
        buttons: At most 6.
        questions: One of a vote_interaction, at most 3 of a multiple_interaction.
        submit: The button below questions.
    """

    card_type: str
    title: str
    description: str = ""
    task_id: str = ""
    source: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    url: str = ""
    picture_url: str = ""
    buttons: tuple[CardButton, ...] = ()
    questions: tuple[CardQuestion, ...] = ()
    submit: CardButton | None = None
    kind: ClassVar[str] = "template_card"


@dataclass(frozen=True, slots=True)
class CardUpdate:
    """What a clicked card turns into; answers a `CardClicked` alone, within its deadline.

    `user_ids` are those who see the new card; empty is the one who clicked. A card whose type is
    `update_button` leaves the card as it is but for its button, which reads `submit.text` from then on
    (the self-built app alone).
    """

    card: TemplateCard
    user_ids: tuple[str, ...] = ()
    kind: ClassVar[str] = "card_update"


Part = Text | Markdown | Image | Voice | Video | File | News | MiniProgram | TemplateCard | CardUpdate


@dataclass(frozen=True, slots=True)
class Turn:
    """What a reply makes of the conversation with its member (`Context.ask`, `Context.end`).

    `step` comes next, '' ends the conversation; `data` is a JSON object; after `expires_s` seconds without
    an answer the conversation counts no more.
    """

    step: str = ""
    data: bytes = b"{}"
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler says: one or more parts, in order.

    `useful_for_s` is for how many seconds it is worth sending; None leaves it to delivery. `turn` is what
    becomes of the conversation; None leaves it as it is.
    """

    parts: tuple[Part, ...]
    useful_for_s: int | None = None
    turn: Turn | None = None

    @classmethod
    def text(cls, text: str, *, mentions: tuple[str, ...] = ()) -> Reply:
        """Return a reply of one text."""
        return cls((Text(text, mentions),))


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Something to be said to a group or a person because of what was asked there before.

    Attributes:
        name: Unique within the community: the same one twice has one effect.
        community: Community id.
        cause: What it follows, such as ``round:<id>``.
        channel: The channel to send through.
        parts: What to say.
        user_id: The person; empty for a group.
        group_id: The chat group; empty for a person.
        answer_to: What the platform gave to answer with (`bot.model.Event.answer_to`), a secret, or empty.
    """

    name: str
    community: str
    cause: str
    channel: str
    parts: tuple[Part, ...] = field(repr=False)
    user_id: str = ""
    group_id: str = ""
    answer_to: str = field(default="", repr=False)


# ---------------------------------------------------------------- where it belongs


@dataclass(frozen=True, slots=True)
class CheckInRules:
    """What a check-in is worth.

    Attributes:
        points: Points of every check-in, 0 or more.
        milestones: (streak in days, bonus points) in rising order; a bonus is paid when a streak reaches it.
        make_up_cost: Points one make-up card (补签卡) costs; 0 is free.
        make_up_days_back: How many community-days back a missed day may be made up; 0 switches it off.
        make_up_per_month: Make-up cards a member may use per calendar month of the day made up.
    """

    points: int = 10
    milestones: tuple[tuple[int, int], ...] = ((3, 10), (7, 30), (30, 150))
    make_up_cost: int = 50
    make_up_days_back: int = 7
    make_up_per_month: int = 3


SHORTEST_ROUND_S, LONGEST_ROUND_S = 10, 30 * 86_400
"""How long a round of a game may live, seconds."""


@dataclass(frozen=True, slots=True)
class GameRules:
    """What games a community plays, and what they may cost.

    Attributes:
        budget_per_day: Points its rounds may give away per community-day, those paid by members not counted.
        stakes: Whether members may put in points of their own.
        staked_per_day: Points a member may put in per community-day, over all games; 0 is no limit.
        from_members: Whether members who are no managers may send red packets, from their own points.
        off: Games that are not played at all.
        off_in: (channel, group id) of groups in which nothing is played.
        own: Game → its terms where they differ from `content/games.yaml`.
    """

    budget_per_day: int = 100_000
    stakes: bool = False
    staked_per_day: int = 500
    from_members: bool = False
    off: frozenset[str] = frozenset()
    off_in: frozenset[tuple[str, str]] = frozenset()
    own: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class DecencyRules:
    """How much a community says unprompted; answers to people are not bound by it.

    Attributes:
        quiet_hours: ``HH:MM-HH:MM`` in the community's zone in which nothing unprompted leaves; may pass
            midnight.
        member_per_day: Unprompted messages a member may get per community-day, over all features; 0 is none.
        group_per_day: The same of a group.
    """

    quiet_hours: tuple[str, ...] = ("22:00-08:00",)
    member_per_day: int = 5
    group_per_day: int = 10


@dataclass(frozen=True, slots=True)
class WelcomeTexts:
    """A community's own greetings; empty means the default of `content/`."""

    first: str = ""
    returning: str = ""


@dataclass(frozen=True, slots=True)
class Community:
    """The scope of points, keyword rules, games, rankings and reports.

    `day_start` is when a community-day begins in `zone`; `managers` are member ids with the manager role;
    `groups` are (channel, group id) pairs that belong here, `channels` whole channels that do.
    """

    id: str
    name: str
    channels: tuple[str, ...]
    zone: ZoneInfo
    groups: tuple[tuple[str, str], ...] = ()
    day_start: time = time(0)
    managers: frozenset[str] = frozenset()
    language: str = "zh-CN"
    check_in: CheckInRules = field(default_factory=CheckInRules)
    decency: DecencyRules = field(default_factory=DecencyRules)
    games: GameRules = field(default_factory=GameRules)
    welcome: WelcomeTexts = field(default_factory=WelcomeTexts)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One change of one balance.

    Attributes:
        id: Unique over all time; sorts by shard, then time.
        community: Community id.
        member: Member id, ``<channel>:<user_id>``.
        delta: Points gained (above 0) or spent (below 0); never 0.
        reason: One word of the product: check_in, milestone, make_up, grant, reversal, …
        cause: The event id, or ``api:<request_id>``, that made it.
        at_ms: When it counts, Unix milliseconds.
        rule: The rule that decided it, where one did.
        operator: Member or token that ordered it, where one did.
        note: What the operator wrote.
        round: The round of a game it belongs to.
        reverses: Id of the entry it takes back.
    """

    id: str
    community: str
    member: str
    delta: int
    reason: str
    cause: str
    at_ms: int
    rule: str = ""
    operator: str = ""
    note: str = ""
    round: str = ""
    reverses: str = ""


@dataclass(frozen=True, slots=True)
class KeywordRule:
    """Trigger → answers, as contract section 4 names its fields.

    Attributes:
        id: Positive integer given by the store; 0 before it was saved.
        triggers: One or more; any of them fires the rule.
        match: exact | contains | prefix | regex.
        answers: One or more texts with `{variables}`.
        pick: random | in_turn | all.
        priority: Higher wins.
        cool_down_s: Seconds of silence after an answer, 0 for none.
        cool_down_scope: rule (once for the community) | group (once per chat) | member.
        hours: ``HH:MM-HH:MM`` in the community's zone; empty is always; may pass midnight.
        weekdays: 1 (Monday) … 7; empty is every day. By the clock of the zone, not the community-day.
        groups: Group ids it answers in; empty is everywhere.
        enabled: Whether it answers at all.
    """

    triggers: tuple[str, ...]
    answers: tuple[str, ...]
    id: int = 0
    match: str = "contains"
    pick: str = "random"
    priority: int = 0
    cool_down_s: int = 0
    cool_down_scope: str = "group"
    hours: tuple[str, ...] = ()
    weekdays: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    enabled: bool = True
