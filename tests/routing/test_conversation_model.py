"""Any interleaving of messages, repeats, lost answers and time against a model without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from unittest.mock import patch

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.errors import StoreUnavailableError
from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.inbox import Inbox
from bot.testing import FakeChat, Stores

WAIT_S = 60
KEPT_S = 600  # answers, `server.reply_memory_s`

router = Router("sum")


@router.command("加法")
async def begin(ctx: Context) -> Reply:
    return ctx.ask("开始", step="sum.next", data={"sum": 0}, expires_s=WAIT_S)


@router.step("sum.next")
async def add(ctx: Context) -> Reply:
    assert ctx.conversation is not None
    total = ctx.conversation.data["sum"]
    if ctx.said == "够了":
        return ctx.end(f"共 {total}")
    if not ctx.said.isdecimal():
        return Reply.text("要数字")
    total += int(ctx.said)
    return ctx.ask(f"现在 {total}", step="sum.next", data={"sum": total}, expires_s=WAIT_S)


@router.command("旁白")
async def aside(ctx: Context) -> Reply:
    return Reply.text(f"在 {ctx.conversation.data['sum']}" if ctx.conversation else "不在")


@dataclass(frozen=True)
class Said:
    """A message, or with `lost` one whose answer is lost before it is decided."""

    who: str
    group: str
    text: str
    lost: bool = False


@dataclass(frozen=True)
class Again:
    """An earlier message, delivered again; `back` counts from the last."""

    back: int


@dataclass(frozen=True)
class Pause:
    """Nobody says anything for some seconds."""

    seconds: int


@dataclass(frozen=True)
class Together:
    """Members say something in one group at once."""

    group: str
    texts: tuple[str, ...]


TEXTS = st.sampled_from(["加法", "加法", "1", "2", "30", "嗯", "够了", "取消", "旁白"])
GROUPS = st.sampled_from(["", "g1", "g2"])
WHO = ("ana", "bob", "cyd")
ACTS = st.one_of(
    st.builds(Said, st.sampled_from(WHO[:2]), GROUPS, TEXTS),
    st.builds(Said, st.sampled_from(WHO[:2]), GROUPS, TEXTS, st.just(value=True)),
    st.builds(Again, st.integers(0, 5)),
    st.builds(Pause, st.sampled_from([1, 30, 59, 60, 61, 599, 601])),
    st.builds(Together, GROUPS.filter(bool), st.tuples(TEXTS, TEXTS, TEXTS)),
)


@dataclass
class Model:
    """What every message must be answered with."""

    now_s: int = 0
    talks: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # (sum, waits until)
    decided: dict[str, tuple[int, str | None]] = field(default_factory=dict)  # (when, answer)
    begun: dict[str, int] = field(default_factory=dict)

    def say(self, said: Said, name: str) -> str | None:
        """Return the answer to a delivery whose answer is not lost."""
        if name in self.decided:
            at_s, answer = self.decided[name]
            return answer if self.now_s - at_s <= KEPT_S else None
        if self.now_s - self.begun.setdefault(name, self.now_s) > KEPT_S:
            return None
        answer = self._answer((said.who, said.group), said.text)
        self.decided[name] = (self.now_s, answer)
        return answer

    def lose(self, name: str) -> None:
        self.begun.setdefault(name, self.now_s)

    def _answer(self, place: tuple[str, str], text: str) -> str | None:
        total, until_s = self.talks.get(place, (0, 0))
        waits = place in self.talks and self.now_s < until_s
        if text == "加法":
            self.talks[place] = (0, self.now_s + WAIT_S)
            return "开始"
        if text == "旁白":
            return f"在 {total}" if waits else "不在"
        if not waits:
            return None
        if text in {"够了", "取消"}:
            del self.talks[place]
            return f"共 {total}" if text == "够了" else "好的，已取消。"
        if text == "嗯":
            return "要数字"
        self.talks[place] = (total + int(text), self.now_s + WAIT_S)
        return f"现在 {total + int(text)}"


class Play:
    """One run of acts on a chat, compared with the model act by act."""

    def __init__(self, chat: FakeChat, number: int) -> None:
        self._chat = chat
        self._prefix = f"x{number}"
        self._model = Model()
        self._said: list[tuple[Said, str]] = []

    async def act(self, one: Said | Again | Pause | Together) -> None:
        match one:
            case Pause(seconds):
                self._chat.pass_time(timedelta(seconds=seconds))
                self._model.now_s += seconds
            case Again(back):
                if back < len(self._said):
                    await self._check([self._said[-1 - back]])
            case Together(group, texts):
                said = [Said(who, group, text) for who, text in zip(WHO, texts, strict=True)]
                await self._check([self._new(one) for one in said])
            case Said(lost=True):
                await self._lose(self._new(one))
            case Said():
                await self._check([self._new(one)])

    def _new(self, said: Said) -> tuple[Said, str]:
        self._said.append((said, f"{len(self._said)}"))
        return self._said[-1]

    async def _deliver(self, said: Said, name: str) -> str | None:
        who, group = f"{self._prefix}{said.who}", f"{self._prefix}{said.group}" if said.group else ""
        answer = await self._chat.say(who, said.text, group=group, message_id=name)
        return answer and answer.removeprefix(f"{who}，")  # in groups

    async def _check(self, messages: Sequence[tuple[Said, str]]) -> None:
        answers = await asyncio.gather(*(self._deliver(said, name) for said, name in messages))
        assert answers == [self._model.say(said, name) for said, name in messages]

    async def _lose(self, message: tuple[Said, str]) -> None:
        async def lose(*_: object, **__: object) -> None:
            raise StoreUnavailableError("away")

        with patch.object(Inbox, "settle", lose), suppress(StoreUnavailableError):
            await self._deliver(*message)
        self._lost(message)

    def _lost(self, message: tuple[Said, str]) -> None:
        """A text nobody answers is decided without a handler, unless its member is in a conversation."""
        said, name = message
        stays_open = said.text in {"加法", "旁白"} or (said.who, said.group) in self._model.talks
        if stays_open:
            self._model.lose(name)
        else:
            self._model.say(said, name)


def test_any_interleaving_keeps_the_model(stores: Stores) -> None:
    with asyncio.Runner() as runner:
        chat = FakeChat([router], server={"member_rate_per_min": 1000}, stores=stores)
        runner.run(chat.__aenter__())
        number = iter(range(10**6))

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(ACTS, max_size=25))
        @example([Said("ana", "", "加法"), Pause(59), Said("ana", "", "1"), Pause(60), Said("ana", "", "1")])
        @example([Said("ana", "g1", "加法"), Said("ana", "g1", "2", lost=True), Again(0), Again(0)])
        @example([Said("ana", "", "加法"), Said("ana", "", "2", lost=True), Pause(61), Again(0), Again(1)])
        def check(acts: list[Said | Again | Pause | Together]) -> None:
            play = Play(chat, next(number))
            for act in acts:
                runner.run(play.act(act))

        try:
            check()
        finally:
            runner.run(chat.__aexit__())
