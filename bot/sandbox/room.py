"""What the sandbox remembers of one channel: its people and groups, what was said, what was counted.

Everything here that is a dataclass goes out as JSON field by field (``/sandbox/api/…``), so names and
shapes of `Person`, `Group` and `Entry` are what the chat page, the terminal and scenarios read.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bot.errors import RefusedError
from bot.sandbox.limits import (
    Rate,
    Window,
    app_group_member_rate,
    app_group_rate,
    bad_call_rate,
    bot_rate,
    call_rate,
    daily_rate,
    member_rate,
    robot_rate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from bot.sandbox.channel import SandboxChannel

Side = Literal["member", "bot", "vendor"]
Route = Literal["callback", "passive", "active", "notice", "response_url", "connection"]
Status = Literal[
    "sending", "answered", "acknowledged", "refused", "unavailable", "unseen",  # of what a member sent
    "received", "truncated", "dropped", "duplicate", "writing", "unfinished",  # of what the bot sent
]  # fmt: skip

COLOURS = 8
_KEPT_ENTRIES_PER_MEMBER = 500
_WAITING_CHANGES = 1000
_NEW_GROUPS_PER_DAY = 1000
_PERSON_TIMES_PER_ACCOUNT = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Someone to speak as: id as the vendor names them, display name, avatar letter and colour number."""

    id: str
    name: str
    letter: str
    colour: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group chat as its vendor knows it.

    JSON: ``{"id": "wrDEMO01", "name": "鲜奶福利群", "members": ["ana", …], "owner": "ana", "by_app": true}``.

    Attributes:
        id: The vendor's chat id.
        name: What stands above the chat.
        members: Ids of the people in it, in order of joining.
        owner: Id of the owner.
        by_app: Whether the app of the channel made it, so that it may send into it (appchat).
    """

    id: str
    name: str
    members: tuple[str, ...]
    owner: str = ""
    by_app: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transcript.

    What `fields` holds: of a card (kind ``template_card``) the card itself as the vendor shows it now
    (``card_type``, ``main_title``, ``button_list``, …), of a stream ``{"id", "finish", "feedback"?}``, of
    a text ``{"content", "mentioned_list"?}``, of a quoting message also ``quote: {"entry_id", "text"}``.

    Attributes:
        id: Rises over all channels; the same entry keeps it while its status changes.
        at_ms: When it was sent or shown, Unix milliseconds.
        channel: Channel name.
        user_id: The person whose chat it stands in; in a group who said it or to whom it answers, "" where
            nobody was answered.
        side: member (they said it), bot, or vendor (a notice of the platform itself).
        route: How it travelled: callback, passive, active, response_url, connection (an answer through
            the long connection) or notice.
        kind: The vendor's message type, or event.
        text: Its words, or one readable line.
        fields: The vendor's fields of that type.
        status: For the member's side sending → answered | acknowledged | refused | unavailable, or unseen
            (said in a group without mentioning the bot: only people read it); for the bot's received |
            truncated | dropped | duplicate, and of a stream writing → received | unfinished.
        http_status: Status of the last delivery of a callback; 0 when no answer came.
        repeats: How many times the callback was delivered again.
        note: Why, where something went wrong.
        group_id: The group it stands in, "" for a direct chat.
        versions: Of a card that was updated for some of a group only: their ids → the card they see
            instead of `fields`.
    """

    id: int
    at_ms: int
    channel: str
    user_id: str
    side: Side
    route: Route
    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "received"
    http_status: int = 0
    repeats: int = 0
    note: str = ""
    group_id: str = ""
    versions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def card(self, user_id: str) -> Mapping[str, Any]:
        """Return the card as one person sees it."""
        return self.versions.get(user_id, self.fields)

    @property
    def truncated(self) -> bool:
        """Whether the vendor cut the text to its limit."""
        return self.status == "truncated"


@dataclass(slots=True)
class Chat:
    """One person in one channel; `follows` means in the app's visible range, or a follower."""

    person: Person
    follows: bool = True
    entries: dict[int, Entry] = field(default_factory=dict)
    rate: Rate = field(default_factory=member_rate)
    bot_rate: Rate = field(default_factory=bot_rate)
    app_group_rate: Rate = field(default_factory=app_group_member_rate)
    known_to_bot: bool = False  # wrote to the AI bot before, so that it may send unprompted
    window: Window = field(default_factory=Window)
    sent_at_ms: dict[str, int] = field(default_factory=dict)  # fingerprint of a message → when last sent


@dataclass(slots=True)
class GroupChat:
    """One group in one channel; `known_to_bot`: the AI bot was mentioned in it before."""

    group: Group
    entries: dict[int, Entry] = field(default_factory=dict)
    bot_rate: Rate = field(default_factory=bot_rate)
    known_to_bot: bool = False


class Feed:
    """Tells everyone who listens of every change; who does not keep up is cut off and may ask anew."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[object | None]] = set()

    def listen(self) -> AbstractContextManager[asyncio.Queue[object | None]]:
        """Return a context with a queue of changes; None ends it.

        A change is an `Entry`, (channel, `Person`) or (channel, `Group`).
        """
        return _Listening(self._listeners)

    def tell(self, change: object) -> None:
        """Give `change` to everyone."""
        for queue in list(self._listeners):
            if queue.qsize() >= _WAITING_CHANGES:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(change)

    def end(self) -> None:
        """End every listening, so that a server can stop."""
        for queue in list(self._listeners):
            queue.put_nowait(None)


class _Listening:
    def __init__(self, listeners: set[asyncio.Queue[object | None]]) -> None:
        self._listeners = listeners
        self._queue: asyncio.Queue[object | None] = asyncio.Queue()

    def __enter__(self) -> asyncio.Queue[object | None]:
        self._listeners.add(self._queue)
        return self._queue

    def __exit__(self, *_: object) -> None:
        self._listeners.discard(self._queue)


class Room:
    """One channel: chats by person and by group, and counts of what happened.

    Attributes:
        chats: Direct chats by user id.
        groups: Group chats by chat id.
        calls: Calls of the bot, by endpoint or command.
        errcodes: Answers to them, by (endpoint or command, errcode).
        outcomes: How callbacks and sends ended, by status.
        violations: Documented limits that the bot exceeded, by ``<endpoint>:<limit>``; nothing in it is
            what tests want.
    """

    def __init__(self, channel: SandboxChannel, ids: Iterator[int], feed: Feed) -> None:
        """Start empty; `ids` numbers the entries of all rooms, `feed` hears of every change."""
        self.channel = channel
        self.chats: dict[str, Chat] = {}
        self.groups: dict[str, GroupChat] = {}
        self.calls: Counter[str] = Counter()
        self.errcodes: Counter[tuple[str, int]] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.robot_rate = robot_rate()
        self.app_group_rate = app_group_rate()
        self.new_groups = daily_rate(_NEW_GROUPS_PER_DAY)
        self.bad_calls = bad_call_rate()
        self.blocked_until_ms = 0
        self.call_rates: dict[str, Rate] = {}
        self._person_times: Rate | None = None
        self._ids = ids
        self._feed = feed

    def chat(self, user_id: str, name: str = "") -> Chat:
        """Return the chat of a person, who is added when new; a `name` renames them."""
        chat = self.chats.get(user_id)
        if chat is None:
            person = Person(user_id, name or user_id, (name or user_id)[-1:], len(self.chats) % COLOURS)
            chat = self.chats[user_id] = Chat(person)
            self._feed.tell((self.channel.name, person))
        elif name and name != chat.person.name:
            chat.person = replace(chat.person, name=name, letter=name[-1:])
            self._feed.tell((self.channel.name, chat.person))
        return chat

    def set_group(self, group: Group) -> GroupChat:
        """Add a group, or change its name and members; people who are new become known."""
        for user_id in group.members:
            self.chat(user_id)
        chat = self.groups.get(group.id)
        if chat is None:
            chat = self.groups[group.id] = GroupChat(group)
        else:
            chat.group = group
        self._feed.tell((self.channel.name, group))
        return chat

    def group(self, group_id: str) -> GroupChat:
        """Return a group chat.

        Raises:
            RefusedError: no such group here.
        """
        try:
            return self.groups[group_id]
        except KeyError:
            known = ", ".join(self.groups) or "none"
            raise RefusedError(
                f"channel {self.channel.name!r} has no group {group_id!r}; it has: {known}"
            ) from None

    def entries(self, user_id: str = "", group_id: str = "") -> dict[int, Entry]:
        """Return the lines of a direct chat, or of a group, by id; the person is added when new."""
        return self.group(group_id).entries if group_id else self.chat(user_id).entries

    def write(
        self, user_id: str, side: Side, route: Route, *, at_ms: int, kind: str, text: str, **more: Any
    ) -> Entry:
        """Add a line to a transcript, of the group in `group_id` if given; the oldest leaves a full one."""
        entry = Entry(next(self._ids), at_ms, self.channel.name, user_id, side, route, kind, text, **more)
        entries = self.entries(user_id, entry.group_id)
        entries[entry.id] = entry
        if len(entries) > _KEPT_ENTRIES_PER_MEMBER:
            del entries[next(iter(entries))]
        self._feed.tell(entry)
        return entry

    def change(self, entry: Entry, **changes: Any) -> Entry:
        """Put a changed entry in the place of `entry` and return it."""
        changed = replace(entry, **changes)
        entries = self.entries(entry.user_id, entry.group_id)
        if entry.id in entries:
            entries[entry.id] = changed
        self._feed.tell(changed)
        return changed

    def find(self, entry_id: int) -> Entry | None:
        """Return the present state of an entry, None when it has left."""
        places: tuple[Chat | GroupChat, ...] = (*self.chats.values(), *self.groups.values())
        return next((place.entries[entry_id] for place in places if entry_id in place.entries), None)

    def inbox(self, user_id: str, group_id: str = "") -> tuple[Entry, ...]:
        """Return what reached a person, or a group, not as the answer to a callback, oldest first."""
        place = self.groups.get(group_id) if group_id else self.chats.get(user_id)
        entries = place.entries.values() if place else ()
        return tuple(
            entry
            for entry in entries
            if entry.route in {"active", "response_url"} and entry.status in {"received", "truncated"}
        )

    def call_rate(self, endpoint: str) -> Rate:
        """Return how often this company may still call one API."""
        if endpoint not in self.call_rates:
            self.call_rates[endpoint] = call_rate()
        return self.call_rates[endpoint]

    def person_times(self, accounts: int) -> Rate:
        """Return the person-times an app may still send today: 200 for each of the company's `accounts`."""
        if self._person_times is None:
            self._person_times = daily_rate(accounts * _PERSON_TIMES_PER_ACCOUNT)
        return self._person_times

    def violate(self, name: str) -> None:
        """Count a documented limit that the bot exceeded, named ``<endpoint>:<limit>``."""
        self.violations[name] += 1


def entry_numbers() -> Iterator[int]:
    """Return the numbers 1, 2, 3 … for the entries of one sandbox."""
    return itertools.count(1)
