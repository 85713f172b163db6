"""What the sandbox remembers of one channel: its people, what was said, what was counted."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bot.sandbox.limits import SendRate, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from bot.sandbox.channel import SandboxChannel

Side = Literal["member", "bot", "vendor"]
Route = Literal["callback", "passive", "active", "notice"]
Status = Literal[
    "sending", "answered", "acknowledged", "refused", "unavailable",  # of what a member sent
    "received", "truncated", "dropped", "duplicate",  # of what the bot sent
]  # fmt: skip

COLOURS = 8
_KEPT_ENTRIES_PER_MEMBER = 500
_WAITING_CHANGES = 1000


@dataclass(frozen=True, slots=True)
class Person:
    """Someone to speak as: id as the vendor names them, display name, avatar letter and colour number."""

    id: str
    name: str
    letter: str
    colour: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transcript.

    Attributes:
        id: Rises over all channels; the same entry keeps it while its status changes.
        at_ms: When it was sent or shown, Unix milliseconds.
        channel: Channel name.
        user_id: The person whose chat it stands in.
        side: member (they said it), bot, or vendor (a notice of the platform itself).
        route: callback, passive, active or notice: how it travelled.
        kind: The vendor's message type, or event.
        text: Its words, or one readable line.
        fields: The vendor's fields of that type.
        status: For the member's side sending → answered | acknowledged | refused | unavailable; for the
            bot's received | truncated | dropped | duplicate.
        http_status: Status of the last delivery of a callback; 0 when no answer came.
        repeats: How many times the callback was delivered again.
        note: Why, where something went wrong.
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
    rate: SendRate = field(default_factory=SendRate)
    window: Window = field(default_factory=Window)
    sent_at_ms: dict[str, int] = field(default_factory=dict)  # fingerprint of a message → when last sent


class Feed:
    """Tells everyone who listens of every change; who does not keep up is cut off and may ask anew."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[object | None]] = set()

    def listen(self) -> AbstractContextManager[asyncio.Queue[object | None]]:
        """Return a context with a queue of changes (`Entry` or (channel, `Person`)); None ends it."""
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
    """One channel: chats by person, and counts of what happened."""

    def __init__(self, channel: SandboxChannel, ids: Iterator[int], feed: Feed) -> None:
        """Start empty; `ids` numbers the entries of all rooms, `feed` hears of every change."""
        self.channel = channel
        self.chats: dict[str, Chat] = {}
        self.calls: Counter[str] = Counter()
        self.errcodes: Counter[tuple[str, int]] = Counter()
        self.outcomes: Counter[str] = Counter()
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

    def write(
        self, user_id: str, side: Side, route: Route, *, at_ms: int, kind: str, text: str, **more: Any
    ) -> Entry:
        """Add a line to a person's transcript, the oldest one leaving when there are too many."""
        entry = Entry(next(self._ids), at_ms, self.channel.name, user_id, side, route, kind, text, **more)
        entries = self.chat(user_id).entries
        entries[entry.id] = entry
        if len(entries) > _KEPT_ENTRIES_PER_MEMBER:
            del entries[next(iter(entries))]
        self._feed.tell(entry)
        return entry

    def change(self, entry: Entry, **changes: Any) -> Entry:
        """Put a changed entry in the place of `entry` and return it."""
        changed = replace(entry, **changes)
        entries = self.chat(entry.user_id).entries
        if entry.id in entries:
            entries[entry.id] = changed
        self._feed.tell(changed)
        return changed

    def inbox(self, user_id: str) -> tuple[Entry, ...]:
        """Return the active sends that reached a person, oldest first."""
        chat = self.chats.get(user_id)
        entries = chat.entries.values() if chat else ()
        return tuple(
            entry
            for entry in entries
            if entry.route == "active" and entry.status in {"received", "truncated"}
        )


def entry_numbers() -> Iterator[int]:
    """Return the numbers 1, 2, 3 … for the entries of one sandbox."""
    return itertools.count(1)
