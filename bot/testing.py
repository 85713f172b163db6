"""For people who write handlers: a chat that reads like a conversation, on real stores.

::

    async def test_roll() -> None:
        async with FakeChat([dice.router]) as chat:
            assert await chat.say("alice", "骰子") == "掷出了 4 点"
            chat.pass_time(timedelta(days=1))
            assert chat.transcript == [("alice", "骰子"), ("bot", "掷出了 4 点")]

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
from bot.model import Content, Event, Part, Text, TextMessage
from bot.routing.router import Router
from bot.storage.redis.embedded import EmbeddedRedis
from bot.storage.redis.pacing import PaceStore
from bot.storage.sql.database import embedded_url
from bot.wiring import Service, open_service

CHANNEL = "app"
BOT = "bot"
START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday noon in Shanghai


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a chat keeps its state: what `connect` and `Database.open` take."""

    redis_url: str
    database_url: str


class FakeChat:
    """One community on one channel, with members who speak when told to.

    Attributes:
        clock: The only clock; `pass_time` moves it.
        transcript: (who, text) in order; the bot's parts other than text stand as ``[image]``.
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
            managers: User ids that have the manager role.
            community: More keys of the community, as `communities[]` of the configuration takes them.
            server: Keys of `server` in the configuration.
            catalog: Texts; by default the product's.
            stores: Stores that run already; by default embedded ones of its own.
        """
        self.clock = FixedClock(at)
        self.transcript: list[tuple[str, str]] = []
        self.service: Service
        self._routers = tuple(routers)
        self._config = _config(managers, community or {}, server or {})
        self._catalog = catalog
        self._stores = stores
        self._numbers = 0
        self._resources = AsyncExitStack()
        self._sender: Sender

    async def __aenter__(self) -> Self:
        """Open the stores and join the parts."""
        async with AsyncExitStack() as stack:
            stores = self._stores or self._own_stores(stack)
            self.service = await open_service(
                self._config, self._routers, self._catalog or load_catalog(), self.clock,
                redis_url=stores.redis_url, database_url=stores.database_url,
            )  # fmt: skip
            stack.push_async_callback(self.service.close)
            self._sender = Sender(
                self.service.deliveries,
                PaceStore(self.service.redis, self.service.keys),
                {CHANNEL: _TranscriptClient(self.transcript)},
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
        self, user_id: str, text: str, *, message_id: str = "", at: datetime | None = None
    ) -> str | None:
        """Let a member send a text; return the bot's answer, None for silence.

        The same `message_id` is the same message delivered again; `at` is when it was sent, if not now.
        """
        return await self.send(user_id, TextMessage(text), message_id=message_id, at=at)

    async def send(
        self, user_id: str, content: Content, *, message_id: str = "", at: datetime | None = None
    ) -> str | None:
        """Let anything come from a member: a picture, `Subscribed()`, …; otherwise as `say`."""
        outcome = await self.deliver_event(self.event(user_id, content, message_id=message_id, at=at))
        said = content.text if isinstance(content, TextMessage) else f"[{content.name}]"
        self.transcript.append((user_id, said))
        answer = decode_answer(outcome.decision.answer)
        if answer is None:
            return None
        self.transcript.append((BOT, _shown(answer)))
        return _shown(answer)

    def event(
        self, user_id: str, content: Content, *, message_id: str = "", at: datetime | None = None
    ) -> Event:
        """Return the event a platform would make of it; every call makes another message unless named.

        Messages without a name are numbered by this chat; of two chats on the same stores, name them.
        """
        self._numbers += 1
        sent_at = FixedClock(at).now_ms() if at is not None else self.clock.now_ms()
        return Event(
            id=f"{CHANNEL}:{user_id}:{message_id or f'#{self._numbers}'}",
            channel=CHANNEL,
            user_id=user_id,
            account_id="ww0000000000test00",
            group_id="",
            sent_at_ms=sent_at,
            content=content,
        )

    async def deliver_event(self, event: Event) -> Outcome:
        """Send an event through the line and return what came of it."""
        parts = self.service.parts
        begun_s = asyncio.get_running_loop().time()
        return await self.service.line.answer(parts.platforms[CHANNEL], event, begun_s)

    def pass_time(self, length: timedelta) -> None:
        """Move the clock."""
        self.clock.move(length)

    async def deliver(self) -> None:
        """Carry what the bot wants to send later and is due by now; it then stands in the transcript."""
        await self._sender.run_once()

    async def refresh_keywords(self) -> None:
        """Take over changed keyword rules at once, as a running server does within a second."""
        await self.service.parts.keywords.refresh()


class _TranscriptClient:
    """Sends into the transcript."""

    channel = CHANNEL
    kind = "wecom_app"

    def __init__(self, transcript: list[tuple[str, str]]) -> None:
        self._transcript = transcript

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        self._transcript.append((BOT, _shown(part)))
        return SendReceipt(message_id="")

    async def close(self) -> None:
        """Nothing runs beside."""


def _shown(part: Part) -> str:
    return part.text if isinstance(part, Text) else f"[{part.kind}]"


def _config(managers: Sequence[str], community: Mapping[str, object], server: Mapping[str, object]) -> Config:
    channel = {
        "name": CHANNEL,
        "kind": "wecom_app",
        "corp_id": "ww0000000000test00",
        "agent_id": 1000002,
        "secret": "secret",
        "token": "token",
        "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    }
    own = {
        "id": "test",
        "name": "测试社群",
        "channels": [CHANNEL],
        "managers": [f"{CHANNEL}:{user_id}" for user_id in managers],
        **community,
    }
    return Config.model_validate({"channels": [channel], "communities": [own], "server": server})
