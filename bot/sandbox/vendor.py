"""The front door: `Sandbox` speaks as people of the configured channels and remembers what they got."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.clock import Clock, SystemClock, to_ms
from bot.errors import RefusedError
from bot.sandbox import letters, wire
from bot.sandbox.answers import describe
from bot.sandbox.courier import Courier, Letter, Outcome, Settings
from bot.sandbox.faults import FaultBook
from bot.sandbox.room import Entry, Feed, Room, entry_numbers
from bot.sandbox.tokens import TokenOffice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.letters import Fields, Value
    from bot.sandbox.post import RawAnswer

DEMO_PEOPLE = (("ana", "安娜"), ("xiaoming", "小明"), ("xiaohong", "小红"), ("aqiang", "阿强"))
"""Who stands in every channel from the start: (id, display name)."""

# Events that a passive answer is shown for; the vendor drops answers to others.
_ANSWERED_APP_EVENTS = frozenset(
    {
        "subscribe", "enter_agent", "LOCATION", "click", "view", "view_miniprogram", "scancode_waitmsg",
        "template_card_event", "template_card_menu_event",
    }
)  # fmt: skip
_EVENT_WORDS = {
    "subscribe": "关注 subscribe",
    "unsubscribe": "取消关注 unsubscribe",
    "enter_agent": "进入应用 enter_agent",
}
_VERIFY_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Verification:
    """How the vendor's test of a callback address ended."""

    passed: bool
    http_status: int
    problem: str = ""


class Sandbox:
    """The vendors of every given channel, in memory, with people to speak as."""

    def __init__(
        self,
        channels: Sequence[SandboxChannel],
        *,
        callback_base: str = "",
        settings: Settings | None = None,
        clock: Clock | None = None,
        people: Iterable[tuple[str, str]] = DEMO_PEOPLE,
    ) -> None:
        """Play the vendors of `channels`.

        `callback_base` is scheme://host:port of the bot, whose ``/callback/<channel>`` is called; it may
        be set later. `people` stand in every channel from the start.
        """
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self.feed = Feed()
        self.faults = FaultBook()
        self.tokens = TokenOffice(
            self.clock, lifetime_s=self.settings.token_lifetime_s, grace_s=self.settings.token_grace_s
        )
        numbers = entry_numbers()
        self.rooms = {channel.name: Room(channel, numbers, self.feed) for channel in channels}
        for room in self.rooms.values():
            for user_id, name in people:
                room.chat(user_id, name)
        # Starts at the present nanosecond, so that ids stay unique over restarts of the sandbox.
        self._msg_ids = itertools.count(time.time_ns())
        self._courier = Courier(callback_base, self.settings, self.clock)
        self._background: set[asyncio.Task[Outcome]] = set()

    @property
    def callback_base(self) -> str:
        """scheme://host:port of the bot whose callback addresses are called."""
        return self._courier.callback_base

    @callback_base.setter
    def callback_base(self, base: str) -> None:
        self._courier.callback_base = base

    # ------------------------------------------------------------ speaking

    async def say(
        self, channel: str, user_id: str, text: str, *, at: datetime | None = None, msg_id: int | None = None
    ) -> Outcome:
        """Send a text as a person and return what came back; `at` is its CreateTime, default now."""
        return await self.message(channel, user_id, "text", at=at, msg_id=msg_id, Content=text)

    async def message(
        self,
        channel: str,
        user_id: str,
        kind: str,
        *,
        at: datetime | None = None,
        msg_id: int | None = None,
        **fields: Value,
    ) -> Outcome:
        """Send a message of any type; `fields` carry the vendor's names and overwrite plausible ones."""
        return await self._exchange(
            channel, self._message(channel, user_id, kind, fields, at=at, msg_id=msg_id)
        )

    async def event(
        self, channel: str, user_id: str, event: str, *, at: datetime | None = None, **fields: Value
    ) -> Outcome:
        """Let something happen (subscribe, CLICK, …); `fields` as in `message`."""
        return await self._exchange(channel, self._event(channel, user_id, event, fields, at=at))

    def start_message(self, channel: str, user_id: str, kind: str, fields: Fields) -> Entry:
        """Send a message without waiting; the transcript tells how it ends."""
        return self._start(channel, self._message(channel, user_id, kind, fields))

    def start_event(self, channel: str, user_id: str, event: str, fields: Fields) -> Entry:
        """Let something happen without waiting; the transcript tells how it ends."""
        return self._start(channel, self._event(channel, user_id, event, fields))

    def build_callback(
        self,
        channel: str,
        user_id: str,
        text: str = "",
        *,
        kind: str = "text",
        at: datetime | None = None,
        msg_id: int | None = None,
        **fields: Value,
    ) -> wire.Callback:
        """Return the callback of a message without sending it.

        It may be posted as often as wanted. The person counts as having written, so that active sends
        may reach them.
        """
        given: Fields = {"Content": text, **fields} if kind == "text" else fields
        letter = self._message(channel, user_id, kind, given, at=at, msg_id=msg_id)
        return self.seal(channel, letter.inner, user_id)

    def build_event(
        self, channel: str, user_id: str, event: str, *, at: datetime | None = None, **fields: Value
    ) -> wire.Callback:
        """Return the callback of an event without sending it."""
        return self.seal(channel, self._event(channel, user_id, event, fields, at=at).inner, user_id)

    def seal(self, channel: str, inner: str, user_id: str = "") -> wire.Callback:
        """Return the callback of any inner XML, signed and encrypted as the channel demands."""
        return self._courier.seal(self.room(channel), inner, user_id)

    def open_answer(self, channel: str, body: bytes) -> str:
        """Return the inner XML of a passive answer, "" for an acknowledgement.

        Raises:
            UndecodableAnswerError: the vendor could not use it.
        """
        return wire.open_answer(self.room(channel).channel, body)

    async def send_raw(self, channel: str, query: str, body: bytes) -> RawAnswer:
        """Post any bytes to the channel's callback address, once; `channel` may be an unknown one."""
        return await self._courier.post(channel, query, body)

    async def verify(self, channel: str) -> Verification:
        """Test the callback address as the vendor does when an administrator saves it.

        The echo must come back alone, byte for byte, within a second.
        """
        echo = str(secrets.randbelow(10**18))
        now_s = self.clock.now_ms() // 1000
        query = wire.verification_query(self.room(channel).channel, echo, timestamp_s=now_s)
        raw = await self._courier.get(channel, query, timeout_s=_VERIFY_TIMEOUT_S)
        if raw.http_status != 200:
            return Verification(passed=False, http_status=raw.http_status, problem=raw.problem or "not 200")
        if raw.body != echo.encode():
            return Verification(passed=False, http_status=200, problem="the answer is not the echo alone")
        return Verification(passed=True, http_status=200)

    # ------------------------------------------------------------ looking

    def room(self, channel: str) -> Room:
        """Return what is remembered of a channel.

        Raises:
            RefusedError: no such channel here.
        """
        try:
            return self.rooms[channel]
        except KeyError:
            known = ", ".join(self.rooms) or "none"
            raise RefusedError(f"the sandbox has no channel {channel!r}; it has: {known}") from None

    def inbox(self, channel: str, user_id: str) -> tuple[Entry, ...]:
        """Return the active sends that a person received, oldest first."""
        return self.room(channel).inbox(user_id)

    def transcript(self, channel: str, user_id: str) -> tuple[Entry, ...]:
        """Return everything a person said, received or was told by the vendor, oldest first."""
        chat = self.room(channel).chats.get(user_id)
        return tuple(chat.entries.values()) if chat else ()

    async def wait_for_inbox(
        self, channel: str, user_id: str, *, count: int = 1, timeout_s: float = 10.0
    ) -> tuple[Entry, ...]:
        """Return the inbox as soon as it holds `count` active sends.

        Raises:
            TimeoutError: it does not within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                with self.feed.listen() as changes:
                    change: object | None = self
                    while change is not None:  # None: too slow a listener was cut off, so listen anew
                        if len(inbox := self.inbox(channel, user_id)) >= count:
                            return inbox
                        change = await changes.get()

    async def aclose(self) -> None:
        """Stop what is under way and close every connection."""
        self.feed.end()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._courier.close()

    # ------------------------------------------------------------ how it is done

    def _message(
        self,
        channel: str,
        user_id: str,
        kind: str,
        fields: Fields,
        *,
        at: datetime | None = None,
        msg_id: int | None = None,
    ) -> Letter:
        room = self.room(channel)
        room.chat(user_id).window.on_message(self.clock.now_ms())
        number = next(self._msg_ids) if msg_id is None else msg_id
        inner = letters.message_xml(
            room.channel, user_id, kind, at_s=self._seconds(at), msg_id=number, fields=fields
        )
        text = str(fields.get("Content", "")) if kind == "text" else describe(kind)
        return Letter(inner, user_id, kind, text, {**fields, "MsgId": str(number)})

    def _event(
        self, channel: str, user_id: str, event: str, fields: Fields, *, at: datetime | None = None
    ) -> Letter:
        room = self.room(channel)
        chat = room.chat(user_id)
        if event in {"subscribe", "unsubscribe"}:
            chat.follows = event == "subscribe"
        chat.window.on_event(event, self.clock.now_ms())
        inner = letters.event_xml(room.channel, user_id, event, at_s=self._seconds(at), fields=fields)
        is_app = room.channel.kind == "wecom_app"
        answerable = event in _ANSWERED_APP_EVENTS if is_app else event != "unsubscribe"
        key = str(fields.get("EventKey", ""))
        text = describe("事件 event", _EVENT_WORDS.get(event, event), key)
        return Letter(inner, user_id, "event", text, {"Event": event, **fields}, answerable)

    def _seconds(self, at: datetime | None) -> int:
        return (self.clock.now_ms() if at is None else to_ms(at)) // 1000

    def _start(self, channel: str, letter: Letter) -> Entry:
        entry = self._enter(channel, letter)
        task = asyncio.create_task(self._courier.carry(self.room(channel), letter, entry))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return entry

    async def _exchange(self, channel: str, letter: Letter) -> Outcome:
        return await self._courier.carry(self.room(channel), letter, self._enter(channel, letter))

    def _enter(self, channel: str, letter: Letter) -> Entry:
        return self.room(channel).write(
            letter.user_id,
            "member",
            "callback",
            at_ms=self.clock.now_ms(),
            kind=letter.kind,
            text=letter.text,
            fields=letter.fields,
            status="sending",
        )
