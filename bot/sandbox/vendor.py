"""The front door: `Sandbox` speaks as people of the configured channels and remembers what they got."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from bot.clock import Clock, SystemClock, to_ms
from bot.errors import RefusedError
from bot.sandbox import bot_letters, letters, wire
from bot.sandbox.answers import describe
from bot.sandbox.bot_courier import BotCourier
from bot.sandbox.bot_desk import BotDesk
from bot.sandbox.bot_letters import Talk
from bot.sandbox.bot_writing import BotWriter
from bot.sandbox.cards import CardBook, clicked
from bot.sandbox.connection import LongConnections
from bot.sandbox.courier import Courier, Letter, Outcome, Settings
from bot.sandbox.faults import FaultBook
from bot.sandbox.media import MediaStore
from bot.sandbox.room import Entry, Feed, Group, Room, entry_numbers
from bot.sandbox.tokens import TokenOffice
from bot.sandbox.vendor_clock import VendorClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.letters import Value
    from bot.sandbox.post import RawAnswer

DEMO_PEOPLE = (("ana", "安娜"), ("xiaoming", "小明"), ("xiaohong", "小红"), ("aqiang", "阿强"))
"""Who stands in every channel from the start: (id, display name)."""
DEMO_GROUPS = (("wrDEMO01", "鲜奶福利群"),)
"""Which groups of all of them every channel with groups has from the start: (chat id, name)."""

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
        groups: Iterable[tuple[str, str]] = DEMO_GROUPS,
    ) -> None:
        """Play the vendors of `channels`.

        `callback_base` is scheme://host:port of the bot, whose ``/callback/<channel>`` is called; it may
        be set later. `people` stand in every channel from the start, and in every one of `groups` where
        the vendor has groups.
        """
        self.settings = settings or Settings()
        self.clock = VendorClock(clock or SystemClock())
        self.feed = Feed()
        self.faults = FaultBook()
        self.media = MediaStore()
        self.tokens = TokenOffice(
            self.clock, lifetime_s=self.settings.token_lifetime_s, grace_s=self.settings.token_grace_s
        )
        numbers = entry_numbers()
        self.rooms = {channel.name: Room(channel, numbers, self.feed) for channel in channels}
        self.desks = {
            name: BotDesk(room, self.clock)
            for name, room in self.rooms.items()
            if room.channel.kind == "wecom_aibot"
        }
        self.cards = {name: CardBook() for name in self.rooms}
        self._people(tuple(people), tuple(groups))
        # Starts at the present nanosecond, so that ids stay unique over restarts of the sandbox.
        self._msg_ids = itertools.count(time.time_ns())
        self._courier = Courier(callback_base, self.settings, self.clock, self.faults)
        self._writer = BotWriter(self.media, self.clock)
        self._bot_courier = BotCourier(self._courier, self.settings, self.clock, self.faults, self._msg_ids)
        self.connections = LongConnections(
            self.rooms, self.desks, self.media, self.settings, self.clock, self.faults, self._msg_ids
        )
        self._background: set[asyncio.Task[Outcome]] = set()

    @property
    def callback_base(self) -> str:
        """scheme://host:port of the bot whose callback addresses are called."""
        return self._courier.callback_base

    @callback_base.setter
    def callback_base(self, base: str) -> None:
        self._courier.callback_base = base

    @property
    def own_base(self) -> str:
        """scheme://host:port under which the bot reaches the sandbox's own addresses."""
        return self._writer.own_base

    @own_base.setter
    def own_base(self, base: str) -> None:
        self._writer.own_base = base.rstrip("/")

    def move_clock(self, by_ms: int, *, stamps: bool = False) -> None:
        """Move the vendor's clock against ours by `by_ms` milliseconds, backwards where negative.

        Tokens, windows, rates, addresses and streams end by it. With `stamps` callbacks are also signed
        with it, as by a vendor whose clock is wrong (or ours).
        """
        self.clock.move(by_ms, stamps=stamps)

    # ------------------------------------------------------------ speaking

    async def say(
        self,
        channel: str,
        user_id: str,
        text: str,
        *,
        group: str = "",
        mention: bool = True,
        quote: Entry | int | None = None,
        at: datetime | None = None,
        msg_id: int | None = None,
    ) -> Outcome:
        """Send a text as a person and return what came back.

        Args:
            channel: Where.
            user_id: Who.
            text: The words, without the mention.
            group: Chat id of the group it is said in, "" for the direct chat.
            mention: In a group: whether it mentions the bot. Without, only people read it (``unseen``).
            quote: The line it quotes, or the id of that.
            at: Its time of sending, default now.
            msg_id: The vendor's id of it, default a new one.

        The outcome of an AI bot comes when its stream is finished, through a long connection after at
        most `Settings.answer_patience_s`.
        """
        return await self.message(
            channel, user_id, "text", group=group, mention=mention, quote=quote, at=at, msg_id=msg_id,
            Content=text,
        )  # fmt: skip

    async def message(
        self,
        channel: str,
        user_id: str,
        kind: str,
        *,
        group: str = "",
        mention: bool = True,
        quote: Entry | int | None = None,
        media: bytes = b"",
        at: datetime | None = None,
        msg_id: int | None = None,
        **fields: Any,
    ) -> Outcome:
        """Send a message of any type; `fields` carry the vendor's names and overwrite plausible ones.

        To an AI bot `media` are the bytes behind the address of an image, file or video, and of the
        picture in a mixed message. The rest is as in `say`.
        """
        letter = self._message(
            channel, user_id, kind, fields,
            group=group, mention=mention, quote=quote, media=media, at=at, msg_id=msg_id,
        )  # fmt: skip
        return await self._exchange(channel, letter)

    async def event(
        self,
        channel: str,
        user_id: str,
        event: str,
        *,
        group: str = "",
        at: datetime | None = None,
        **fields: Any,
    ) -> Outcome:
        """Let something happen (subscribe, CLICK, enter_chat, …); `fields` as in `message`."""
        return await self._exchange(channel, self._event(channel, user_id, event, fields, group=group, at=at))

    async def enter_chat(self, channel: str, user_id: str) -> Outcome:
        """Open the direct chat: of an AI bot for the first time that day, of an app its window."""
        is_bot = self.room(channel).channel.kind == "wecom_aibot"
        return await self.event(channel, user_id, "enter_chat" if is_bot else "enter_agent")

    async def click(
        self,
        entry: Entry | int,
        button_key: str = "",
        *,
        user_id: str = "",
        selections: Mapping[str, Sequence[str]] | None = None,
    ) -> Outcome:
        """Press a button of a card.

        Args:
            entry: The line that holds the card, or its id.
            button_key: Key of the button (of the submit button, of a menu's item).
            user_id: Who presses, default the person whose line it is.
            selections: Of a vote or a form: question key → chosen option ids.

        Raises:
            RefusedError: It is no such card, or has no such button or option.
        """
        line = self.line(entry)
        return await self._exchange(
            line.channel, self._click(line, button_key, user_id or line.user_id, selections or {})
        )

    def start_click(
        self,
        entry: Entry | int,
        button_key: str = "",
        *,
        user_id: str = "",
        selections: Mapping[str, Sequence[str]] | None = None,
    ) -> Entry:
        """Press a button of a card without waiting; arguments and errors as of `click`."""
        line = self.line(entry)
        return self._start(
            line.channel, self._click(line, button_key, user_id or line.user_id, selections or {})
        )

    async def feedback(
        self,
        entry: Entry | int,
        kind: int = 1,
        *,
        user_id: str = "",
        content: str = "",
        reasons: Sequence[int] = (),
    ) -> Outcome:
        """Judge an AI bot's answer that carries a feedback id.

        `kind` is 1 accurate, 2 inaccurate, 3 withdrawn; `reasons` 1 irrelevant, 2 incomplete, 3 wrong, 4
        data-analysis error.

        Raises:
            RefusedError: The answer takes no feedback.
        """
        line = self.line(entry)
        feedback_id = line.fields.get("feedback")
        if isinstance(feedback_id, dict):
            feedback_id = feedback_id.get("id")
        if not feedback_id:
            raise RefusedError("this line has no feedback id")
        payload: dict[str, Any] = {"id": feedback_id, "type": kind}
        if content:
            payload["content"] = content
        if reasons:
            payload["inaccurate_reason_list"] = list(reasons)
        return await self.event(
            line.channel, user_id or line.user_id, "feedback_event", group=line.group_id, **payload
        )

    def start_message(
        self,
        channel: str,
        user_id: str,
        kind: str,
        fields: Mapping[str, Any],
        *,
        group: str = "",
        mention: bool = True,
        quote: Entry | int | None = None,
        media: bytes = b"",
    ) -> Entry:
        """Send a message without waiting; the transcript tells how it ends."""
        letter = self._message(
            channel, user_id, kind, fields, group=group, mention=mention, quote=quote, media=media
        )
        return self._start(channel, letter)

    def start_event(
        self, channel: str, user_id: str, event: str, fields: Mapping[str, Any], *, group: str = ""
    ) -> Entry:
        """Let something happen without waiting; the transcript tells how it ends."""
        return self._start(channel, self._event(channel, user_id, event, fields, group=group))

    def build_callback(
        self,
        channel: str,
        user_id: str,
        text: str = "",
        *,
        kind: str = "text",
        at: datetime | None = None,
        msg_id: int | None = None,
        group: str = "",
        **fields: Value,
    ) -> wire.Callback:
        """Return the callback of a message without sending it.

        It may be posted as often as wanted. The person counts as having written, so that active sends
        may reach them.
        """
        given: Mapping[str, Value] = {"Content": text, **fields} if kind == "text" else fields
        letter = self._message(channel, user_id, kind, given, group=group, at=at, msg_id=msg_id)
        return self.seal(channel, letter.inner, user_id)

    def build_event(
        self, channel: str, user_id: str, event: str, *, at: datetime | None = None, **fields: Value
    ) -> wire.Callback:
        """Return the callback of an event without sending it."""
        return self.seal(channel, self._event(channel, user_id, event, fields, at=at).inner, user_id)

    def seal(self, channel: str, inner: str, user_id: str = "") -> wire.Callback:
        """Return the callback of any inner XML, signed and encrypted as the channel demands."""
        return self._courier.seal(self.room(channel), inner, user_id)

    def open_answer(self, channel: str, body: bytes, *, nonce: str = "") -> str:
        """Return the inner XML or JSON of an answer in a callback's response, "" for an acknowledgement.

        `nonce` is that of the callback (`wire.Callback.nonce`), which an AI bot must repeat.

        Raises:
            UndecodableAnswerError: the vendor could not use it.
        """
        where = self.room(channel).channel
        if where.kind != "wecom_aibot":
            return wire.open_answer(where, body)
        opened = wire.open_bot_answer(where, body, nonce)
        return "" if opened is None else orjson.dumps(opened).decode()

    async def send_raw(self, channel: str, query: str, body: bytes) -> RawAnswer:
        """Post any bytes to the channel's callback address, once; `channel` may be an unknown one."""
        return await self._courier.post(channel, query, body, json=channel in self.desks)

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

    def groups(self, channel: str) -> tuple[Group, ...]:
        """Return the groups of a channel, oldest first."""
        return tuple(chat.group for chat in self.room(channel).groups.values())

    def add_group(
        self, channel: str, group_id: str, name: str, members: Sequence[str], *, by_app: bool = True
    ) -> Group:
        """Make a group; its first member owns it.

        Raises:
            RefusedError: The vendor has no groups on this kind of channel, or nobody is in it.
        """
        room = self.room(channel)
        if not room.channel.has_groups or not members:
            raise RefusedError(f"channel {channel!r} has no groups" if members else "a group needs members")
        group = Group(group_id, name, tuple(members), members[0], by_app)
        return room.set_group(group).group

    def line(self, entry: Entry | int) -> Entry:
        """Return a line of any transcript as it stands now.

        Raises:
            RefusedError: It is not there any more.
        """
        entry_id = entry if isinstance(entry, int) else entry.id
        for room in self.rooms.values():
            if (found := room.find(entry_id)) is not None:
                return found
        raise RefusedError(f"there is no line {entry_id}")

    def violations(self) -> Counter[str]:
        """Return the documented limits that the bot exceeded so far, over all channels; see `Room`."""
        for name, desk in self.desks.items():
            if self.rooms[name].channel.mode == "long_connection":
                desk.sweep()
        return sum((room.violations for room in self.rooms.values()), Counter())

    def exercised(self) -> dict[str, dict[int, int]]:
        """Return how often the bot was answered what: endpoint or command → errcode → times."""
        told: dict[str, dict[int, int]] = {}
        for room in self.rooms.values():
            for (endpoint, errcode), count in room.errcodes.items():
                codes = told.setdefault(endpoint, {})
                codes[errcode] = codes.get(errcode, 0) + count
        return {endpoint: dict(sorted(codes.items())) for endpoint, codes in sorted(told.items())}

    def inbox(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return what reached a person, or a group, not as the answer to a callback, oldest first."""
        return self.room(channel).inbox(user_id, group)

    def transcript(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return everything said, received or told by the vendor in a direct chat, or in a group."""
        room = self.room(channel)
        place = room.group(group) if group else room.chats.get(user_id)
        return tuple(place.entries.values()) if place else ()

    def heard(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return everything the bot said there that people can read and that is complete, oldest first."""
        return tuple(
            entry
            for entry in self.transcript(channel, user_id, group=group)
            if entry.side == "bot" and entry.status in {"received", "truncated"}
        )

    async def wait_for_inbox(
        self, channel: str, user_id: str = "", *, group: str = "", count: int = 1, timeout_s: float = 10.0
    ) -> tuple[Entry, ...]:
        """Return the inbox as soon as it holds `count` lines.

        Raises:
            TimeoutError: it does not within `timeout_s`.
        """
        return await self._wait_until(
            lambda: self.inbox(channel, user_id, group=group), count=count, timeout_s=timeout_s
        )

    async def wait_for(
        self,
        channel: str,
        user_id: str = "",
        *,
        group: str = "",
        text: str = "",
        kind: str = "",
        after: int = 0,
        count: int = 1,
        timeout_s: float = 10.0,
    ) -> tuple[Entry, ...]:
        """Return what the bot said, by any route, as soon as `count` complete lines fit.

        A line fits that contains `text`, is of `kind`, and has an id above `after`.

        Raises:
            TimeoutError: it does not within `timeout_s`.
        """

        def fitting() -> tuple[Entry, ...]:
            return tuple(
                entry
                for entry in self.heard(channel, user_id, group=group)
                if text in entry.text and kind in {"", entry.kind} and entry.id > after
            )

        return await self._wait_until(fitting, count=count, timeout_s=timeout_s)

    async def _wait_until(
        self, look: Callable[[], tuple[Entry, ...]], *, count: int, timeout_s: float
    ) -> tuple[Entry, ...]:
        async with asyncio.timeout(timeout_s):
            while True:
                with self.feed.listen() as changes:
                    change: object | None = self
                    while change is not None:  # None: too slow a listener was cut off, so listen anew
                        if len(found := look()) >= count:
                            return found
                        change = await changes.get()

    async def aclose(self) -> None:
        """Stop what is under way and close every connection."""
        self.feed.end()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.connections.aclose()
        await self._courier.close()

    # ------------------------------------------------------------ how it is done

    def _people(self, people: Sequence[tuple[str, str]], groups: Sequence[tuple[str, str]]) -> None:
        ids = tuple(user_id for user_id, _ in people)
        for room in self.rooms.values():
            for user_id, name in people:
                room.chat(user_id, name)
            if room.channel.has_groups and ids:
                for group_id, name in groups:
                    room.set_group(Group(group_id, name, ids, ids[0]))

    def _message(
        self,
        channel: str,
        user_id: str,
        kind: str,
        fields: Mapping[str, Any],
        *,
        group: str = "",
        mention: bool = True,
        quote: Entry | int | None = None,
        media: bytes = b"",
        at: datetime | None = None,
        msg_id: int | None = None,
    ) -> Letter:
        room = self.room(channel)
        self._check_place(room, group)
        chat = room.chat(user_id)
        number = next(self._msg_ids) if msg_id is None else msg_id
        if room.channel.kind == "wecom_aibot":
            letter = self._writer.message(
                room, self.desks[channel], Talk(user_id, group), kind, fields,
                msg_id=str(number), mention=mention, media=media,
                quote=None if quote is None else self.line(quote),
                create_time_s=None if at is None else self._seconds(at),
            )  # fmt: skip
            if group and not (mention and kind in bot_letters.GROUP_TYPES):
                return replace(letter, inner="")
            (room.group(group) if group else chat).known_to_bot = True
            return letter
        chat.window.on_message(self.clock.now_ms())
        text = str(fields.get("Content", "")) if kind == "text" else describe(kind)
        shown = {**fields, "MsgId": str(number)}
        if group:  # an app or a robot hears nothing of its groups
            return Letter("", user_id, kind, text, shown, group_id=group)
        inner = letters.message_xml(
            room.channel, user_id, kind, at_s=self._seconds(at), msg_id=number, fields=fields
        )
        return Letter(inner, user_id, kind, text, shown)

    def _event(
        self,
        channel: str,
        user_id: str,
        event: str,
        fields: Mapping[str, Any],
        *,
        group: str = "",
        at: datetime | None = None,
        card_id: int = 0,
    ) -> Letter:
        room = self.room(channel)
        self._check_place(room, group)
        chat = room.chat(user_id)
        if room.channel.kind == "wecom_aibot":
            return self._writer.event(
                room, Talk(user_id, group), event, fields,
                msg_id=str(next(self._msg_ids)), create_time_s=self._seconds(at), card_id=card_id,
            )  # fmt: skip
        if event in {"subscribe", "unsubscribe"}:
            chat.follows = event == "subscribe"
        chat.window.on_event(event, self.clock.now_ms())
        inner = letters.event_xml(room.channel, user_id, event, at_s=self._seconds(at), fields=fields)
        is_app = room.channel.kind == "wecom_app"
        answerable = event in _ANSWERED_APP_EVENTS if is_app else event != "unsubscribe"
        key = str(fields.get("EventKey", ""))
        text = describe("事件 event", _EVENT_WORDS.get(event, event), key)
        return Letter(inner, user_id, "event", text, {"Event": event, **fields}, answerable, card_id=card_id)

    def _click(
        self, line: Entry, button_key: str, user_id: str, selections: Mapping[str, Sequence[str]]
    ) -> Letter:
        said = clicked(line, line.card(user_id), button_key, selections)
        if self.room(line.channel).channel.kind == "wecom_aibot":
            return self._event(
                line.channel, user_id, "template_card_event", said, group=line.group_id, card_id=line.id
            )
        code = self.cards[line.channel].issue((line.id,), self.clock.now_ms())
        fields: dict[str, Any] = {
            "EventKey": said["event_key"], "TaskId": said["task_id"], "CardType": said["card_type"],
            "ResponseCode": code,
        }  # fmt: skip
        items = said.get("selected_items", {}).get("selected_item", [])
        fields["SelectedItems"] = {
            "SelectedItem": [
                {
                    "QuestionKey": item["question_key"],
                    "OptionIds": {"OptionId": item["option_ids"]["option_id"]},
                }
                for item in items
            ]
        }
        return self._event(line.channel, user_id, "template_card_event", fields, card_id=line.id)

    @staticmethod
    def _check_place(room: Room, group: str) -> None:
        """Refuse to speak where the vendor has no such chat."""
        if group:
            room.group(group)
        elif room.channel.kind == "wecom_robot":
            raise RefusedError("nobody can write to a robot alone; name a group")

    def _seconds(self, at: datetime | None) -> int:
        return (self.clock.stamp_ms() if at is None else to_ms(at)) // 1000

    def _start(self, channel: str, letter: Letter) -> Entry:
        entry = self._enter(channel, letter)
        task = asyncio.create_task(self._carry(channel, letter, entry))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return entry

    async def _exchange(self, channel: str, letter: Letter) -> Outcome:
        return await self._carry(channel, letter, self._enter(channel, letter))

    async def _carry(self, channel: str, letter: Letter, entry: Entry) -> Outcome:
        """Take a letter where the channel's vendor takes it, and return what came of it."""
        room = self.room(channel)
        if not letter.inner:
            problem = "said in the group without mentioning the bot"
            room.outcomes["unseen"] += 1
            room.change(entry, status="unseen")
            return Outcome("unseen", http_status=0, attempts=0, problem=problem)
        if room.channel.kind != "wecom_aibot":
            return await self._courier.carry(room, letter, entry)
        if room.channel.mode == "long_connection":
            return await self.connections.carry(room, self.desks[channel], letter, entry)
        return await self._bot_courier.carry(room, self.desks[channel], letter, entry)

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
            group_id=letter.group_id,
        )
