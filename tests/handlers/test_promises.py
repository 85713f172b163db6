"""Whatever three members say, in whatever order and however often it comes: the books are right."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.clock import from_ms
from bot.codec import decode_answer
from bot.errors import StoreUnavailableError
from bot.model import Content, Entered, Event, Subscribed, Text, TextMessage, Unsubscribed
from bot.testing import CHANNEL, START, FakeChat, Stores
from run import ROUTERS
from tests.handlers.scenes import COMMUNITY, balance, ledger

MANAGER = 3
APOLOGY = "抱歉，刚才出了点问题"


@dataclass(frozen=True)
class Said:
    """One of three members or the manager says something; `{0}` to `{2}` are the members' accounts.

    `lost` times the store goes away when the handler has done its work: no answer, so it comes again.
    """

    who: int
    content: Content
    minutes_late: int
    lost: int


@dataclass(frozen=True)
class Again:
    """A message said before is delivered once more; `which` counts back from the latest."""

    which: int


@dataclass(frozen=True)
class Wait:
    """The clock moves."""

    minutes: int


Line = Said | Again | Wait

WORDS = st.sampled_from(["鲜奶", "ＷｉＦｉ", "wifi", "签到", "{积分}", "{", "小{0}", "😀", "a=b", "  "])
NUMBERS = st.one_of(
    st.integers(-200, 200).map(str),
    st.sampled_from(["0", "+7", "－３", "1000000000", "1000000001", "很多", "9" * 40]),
)
GRANTS = st.builds("加分 {{{}}} {} {}".format, st.integers(0, 2), NUMBERS, WORDS)
COMMANDS = st.one_of(
    st.sampled_from(
        ["签到", "打卡", "/签到", "簽到 ", "补签", "日历", "积分", "明细", "明细 2", "明细 x", "帮助", "排行",
         "排行 今日", "排行 本周", "排行 本月", "排行 去年", "关键词", "删关键词", "加分", "加分{0} 3"]
    ),
    GRANTS,
    GRANTS,
    st.sampled_from(["签到", "补签"]),
    st.sampled_from(["签到", "补签"]),
    st.builds("关键词 {}={}".format, WORDS, WORDS),
    st.builds("删关键词 {}".format, WORDS),
    WORDS,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
CONTENTS = st.one_of(COMMANDS.map(TextMessage), st.sampled_from([Subscribed(), Entered(), Unsubscribed()]))
# Six days late at most: further back is promised nothing. The manager speaks as often as all members.
LATE = st.one_of(st.just(0), st.just(0), st.integers(0, 6 * 1440))
LOST = st.sampled_from([0, 0, 1, 2])
SAID = st.builds(Said, st.sampled_from([0, 1, 2, MANAGER, MANAGER, MANAGER]), CONTENTS, LATE, LOST)
AGAIN = st.builds(Again, st.integers(0, 5))
LINES = st.one_of(SAID, SAID, SAID, AGAIN, st.builds(Wait, st.integers(1, 2000)))


@dataclass
class Message:
    """What was said, and the answer that was heard."""

    event: Event
    at_ms: int
    answer: str | None = None


def test_sums_hold_and_repeats_are_answered_alike_whatever_is_said(stores: Stores) -> None:
    """One chat for all examples, three new members for each."""
    stories = 0

    with asyncio.Runner() as runner:
        chat = FakeChat(
            ROUTERS, managers=["ana"], stores=stores, server={"member_rate_per_min": 1_000_000},
            community={"check_in": {"milestones": {2: 5, 3: 7}, "make_up": {"cost": 3}}},
        )  # fmt: skip

        @settings(max_examples=100, deadline=None)
        @given(st.lists(LINES, min_size=12, max_size=40))
        def tell(lines: list[Line]) -> None:
            nonlocal stories
            stories += 1
            runner.run(Story(chat, stories).play(lines))

        runner.run(chat.__aenter__())
        try:
            tell()
        finally:
            runner.run(chat.__aexit__())


class Story:
    """One example: what is said, and what was answered."""

    def __init__(self, chat: FakeChat, number: int) -> None:
        self._chat = chat
        self._number = number
        self._members = [f"{name}{number}" for name in ("alice", "bob", "chen")]
        self._said: list[Message] = []

    async def play(self, lines: list[Line]) -> None:
        self._chat.clock.set(START)
        for who in range(len(self._members)):
            await self._say(Said(who, TextMessage("签到"), 0, 0))
        for line in lines:
            if isinstance(line, Wait):
                self._chat.pass_time(timedelta(minutes=line.minutes))
            elif isinstance(line, Again):
                await self._again(line)
            else:
                await self._say(line)
            for member in self._members:
                assert await balance(self._chat, member) >= 0
        await self._check_books()

    async def _say(self, line: Said) -> None:
        who = "ana" if line.who == MANAGER else self._members[line.who]
        content = line.content
        if isinstance(content, TextMessage):
            text = content.text
            for place, member in enumerate(self._members):
                text = text.replace(f"{{{place}}}", member)
            content = TextMessage(text)
        now_ms = self._chat.clock.now_ms()
        sent_at = from_ms(now_ms) - timedelta(minutes=line.minutes_late)
        name = f"{self._number}-{len(self._said)}"
        message = Message(self._chat.event(who, content, message_id=name, at=sent_at), now_ms)
        for _ in range(line.lost):
            await self._lose(message)
        message.answer = await self._deliver(message)
        self._said.append(message)

    async def _lose(self, message: Message) -> None:
        inbox = self._chat.service.parts.stores.inbox
        with pytest.MonkeyPatch.context() as patched, suppress(StoreUnavailableError):
            patched.setattr(inbox, "settle", _away)
            await self._deliver(message)  # an answer that needs no handler is decided already

    async def _again(self, line: Again) -> None:
        """The same answer for ten minutes, silence for the rest of three days."""
        if line.which >= len(self._said):
            return
        message = self._said[-1 - line.which]
        now_ms = self._chat.clock.now_ms()
        age = timedelta(milliseconds=now_ms - message.at_ms)
        if age > timedelta(days=3):
            return
        answer = await self._deliver(message)
        if age > timedelta(minutes=10):
            assert answer is None
        else:
            assert answer == message.answer

    async def _deliver(self, message: Message) -> str | None:
        outcome = await self._chat.deliver_event(message.event)
        if message.event.user_id == "ana":
            await self._chat.refresh_keywords()
        part = decode_answer(outcome.decision.answer)
        assert part is None or (isinstance(part, Text) and part.text and not part.text.startswith(APOLOGY))
        return part.text if part else None

    async def _check_books(self) -> None:
        check_ins = self._chat.service.parts.stores.check_ins
        for member in self._members:
            entries = await ledger(self._chat, member)
            assert sum(entry.delta for entry in entries) == await balance(self._chat, member)
            checked_in = sum(entry.reason in {"check_in", "make_up"} for entry in entries)
            assert checked_in == await check_ins.total(COMMUNITY, f"{CHANNEL}:{member}")
            causes = [(entry.cause, entry.reason) for entry in entries if entry.reason != "milestone"]
            assert len(causes) == len(set(causes))


async def _away(*_: object) -> None:
    raise StoreUnavailableError("away")
