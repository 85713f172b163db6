"""For people who write handlers: a chat that reads like a conversation, on real stores.

::

    async def test_roll() -> None:
        async with FakeChat([dice.router]) as chat:
            assert await chat.say("alice", "骰子") == "掷出了 4 点"
            chat.pass_time(timedelta(days=1))
            assert chat.transcript == [("alice", "骰子"), ("bot", "掷出了 4 点")]

Members write to an app (channel ``app``), or speak in groups to an AI bot (channel ``bot``) of the same
community, ``chat.say("alice", "骰子", group="g1")``; that they mention it there goes without saying.

Everything is the product's own but the platform: messages enter the line in `bot/app.py` as decoded events,
state is in an embedded Valkey and SQLite in a directory of its own, the clock is yours. What the bot sends
later (`deliver`) stands in the transcript too.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from bot.case import Outcome
from bot.catalog import Catalog, load_catalog
from bot.clock import FixedClock
from bot.codec import decode_answer
from bot.config import Config
from bot.delivery.client import Receiver, SendReceipt
from bot.delivery.decency import DecencyGate
from bot.delivery.sender import Sender
from bot.model import Content, Event, Markdown, Part, Text, TextMessage
from bot.rounds.sweep import RoundSweeper
from bot.routing.router import Router
from bot.storage.redis.embedded import EmbeddedRedis
from bot.storage.redis.pacing import PaceStore
from bot.storage.sql.database import embedded_url
from bot.wiring import Service, open_service

CHANNEL = "app"  # a WeCom app: direct chats only
BOT_CHANNEL = "bot"  # a WeCom AI bot in callback mode: groups, and direct chats of its own
BOT = "bot"  # who speaks for us in a transcript
_ACCOUNTS = {CHANNEL: "ww0000000000test00", BOT_CHANNEL: "aib00000000000test"}
START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday noon in Shanghai


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a chat keeps its state: what `connect` and `Database.open` take."""

    redis_url: str
    database_url: str


class FakeChat:
    """One community on an app and an AI bot, with members who speak when told to.

    A person is a member of each channel apart: ``app:ana`` has other points than ``bot:ana``.

    Attributes:
        clock: The only clock; `pass_time` moves it.
        transcript: (who, text) in order; what was said in a group is by ``ana@g1``; the bot's parts other
            than text stand as ``[image]``.
        service: The running product, for looking deeper.
    """

    def __init__(
        self,
        routers: Sequence[Router],
        *,
        at: datetime = START,
        managers: Sequence[str] = (),
        community: Mapping[str, object] | None = None,
        server: Mapping[str, object] | None = None,
        catalog: Catalog | None = None,
        stores: Stores | None = None,
    ) -> None:
        """Prepare a chat.

        Args:
            routers: The features under test.
            at: When it begins; aware.
            managers: User ids that have the manager role, on either channel.
            community: More keys of the community, as `communities[]` of the configuration takes them.
            server: Keys of `server` in the configuration.
            catalog: Texts that come before the product's.
            stores: Stores that run already; by default embedded ones of its own.
        """
        self.clock = FixedClock(at)
        self.transcript: list[tuple[str, str]] = []
        self.service: Service
        self._routers = tuple(routers)
        self._config = _config(managers, community or {}, server or {})
        self._catalog = catalog.over(load_catalog()) if catalog else load_catalog()
        self._stores = stores
        self._numbers = 0
        self._resources = AsyncExitStack()
        self._sender: Sender

    async def __aenter__(self) -> Self:
        """Open the stores and join the parts."""
        async with AsyncExitStack() as stack:
            stores = self._stores or self._own_stores(stack)
            self.service = await open_service(
                self._config, self._routers, self._catalog, self.clock,
                redis_url=stores.redis_url, database_url=stores.database_url,
            )  # fmt: skip
            stack.push_async_callback(self.service.close)
            self._sender = Sender(
                self.service.deliveries,
                PaceStore(self.service.redis, self.service.keys),
                {
                    CHANNEL: _TranscriptClient(CHANNEL, "wecom_app", self.transcript),
                    BOT_CHANNEL: _TranscriptClient(BOT_CHANNEL, "wecom_aibot", self.transcript),
                },
                self.service.parts.abilities,
                self.clock,
                decency=DecencyGate(self.service.parts.stores.decency, self.service.parts.communities),
            )
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything; own stores are deleted."""
        await self._resources.aclose()

    def _own_stores(self, stack: AsyncExitStack) -> Stores:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="huoqun-")))
        return Stores(stack.enter_context(EmbeddedRedis.start(folder)).url, embedded_url(folder))

    # ------------------------------------------------------------ talking

    async def say(
        self,
        user_id: str,
        text: str,
        *,
        group: str = "",
        message_id: str = "",
        at: datetime | None = None,
    ) -> str | None:
        """Let a member send a text; return the bot's answer, None for silence.

        With `group` they say it there, to the AI bot, and `text` is what stands behind the mention. The same
        `message_id` is the same message delivered again; `at` is when it was sent, if not now.
        """
        return await self.send(user_id, TextMessage(text), group=group, message_id=message_id, at=at)

    async def direct(
        self, user_id: str, text: str, *, message_id: str = "", at: datetime | None = None
    ) -> str | None:
        """Let a member write to the AI bot one to one; otherwise as `say`."""
        return await self.send(user_id, TextMessage(text), channel=BOT_CHANNEL, message_id=message_id, at=at)

    async def send(
        self,
        user_id: str,
        content: Content,
        *,
        group: str = "",
        channel: str = "",
        message_id: str = "",
        at: datetime | None = None,
    ) -> str | None:
        """Let anything come from a member: a picture, `Subscribed()`, …; otherwise as `say`."""
        event = self.event(user_id, content, group=group, channel=channel, message_id=message_id, at=at)
        outcome = await self.deliver_event(event)
        said = content.text if isinstance(content, TextMessage) else f"[{content.name}]"
        self.transcript.append((_speaker(user_id, group), said))
        answer = decode_answer(outcome.decision.answer)
        if answer is None:
            return None
        self.transcript.append((_speaker(BOT, group), _shown(answer)))
        return _shown(answer)

    def event(
        self,
        user_id: str,
        content: Content,
        *,
        group: str = "",
        channel: str = "",
        message_id: str = "",
        at: datetime | None = None,
    ) -> Event:
        """Return the event a platform would make of it; every call makes another message unless named.

        `channel` is the app's where nothing else is said, in a group the AI bot's. Messages without a name
        are numbered by this chat; of two chats on the same stores, name them.
        """
        self._numbers += 1
        channel = channel or (BOT_CHANNEL if group else CHANNEL)
        name = message_id or f"#{self._numbers}"
        return Event(
            id=f"{channel}:{user_id}:{name}",
            channel=channel,
            user_id=user_id,
            account_id=_ACCOUNTS[channel],
            group_id=group,
            sent_at_ms=FixedClock(at).now_ms() if at is not None else self.clock.now_ms(),
            content=content,
            answer_to=f"https://wecom.test/response?code={name}" if channel == BOT_CHANNEL else "",
        )

    async def deliver_event(self, event: Event) -> Outcome:
        """Send an event through the line and return what came of it."""
        parts = self.service.parts
        begun_s = asyncio.get_running_loop().time()
        return await self.service.line.answer(parts.platforms[event.channel], event, begun_s)

    def pass_time(self, length: timedelta) -> None:
        """Move the clock."""
        self.clock.move(length)

    async def sweep(self) -> None:
        """End the rounds whose time is up by now, as a running server does within a second."""
        parts = self.service.parts
        await RoundSweeper(parts.life, parts.communities, self.clock).sweep()

    async def deliver(self) -> None:
        """Carry what the bot wants to send later and is due by now; it then stands in the transcript."""
        await self._sender.run_once()

    async def refresh_keywords(self) -> None:
        """Take over changed keyword rules at once, as a running server does within a second."""
        await self.service.parts.keywords.refresh()


class _TranscriptClient:
    """Sends into the transcript."""

    def __init__(self, channel: str, kind: str, transcript: list[tuple[str, str]]) -> None:
        self.channel = channel
        self.kind = kind
        self._transcript = transcript

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        self._transcript.append((_speaker(BOT, receiver.group_id), _shown(part)))
        return SendReceipt(message_id="")

    async def close(self) -> None:
        """Nothing runs beside."""


def _speaker(who: str, group: str) -> str:
    return f"{who}@{group}" if group else who


def _shown(part: Part) -> str:
    return part.text if isinstance(part, Text | Markdown) else f"[{part.kind}]"


def _config(managers: Sequence[str], community: Mapping[str, object], server: Mapping[str, object]) -> Config:
    secrets = {"token": "token", "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}
    channels = [
        {
            "name": CHANNEL,
            "kind": "wecom_app",
            "corp_id": _ACCOUNTS[CHANNEL],
            "agent_id": 1000002,
            "secret": "secret",
            **secrets,
        },
        {"name": BOT_CHANNEL, "kind": "wecom_aibot", **secrets},
    ]
    own = {
        "id": "test",
        "name": "测试社群",
        "channels": [CHANNEL, BOT_CHANNEL],
        "managers": [f"{channel}:{user_id}" for channel in (CHANNEL, BOT_CHANNEL) for user_id in managers],
        **community,
    }
    return Config.model_validate({"channels": channels, "communities": [own], "server": server})
