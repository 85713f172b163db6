"""Joins the parts of one channel's long connection for one process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from bot.clock import Clock
from bot.config import WecomAibotChannel
from bot.connection.client import ConnectionClient
from bot.connection.intake import Intake
from bot.connection.keeper import Keeper, Patience
from bot.connection.session import Pulse, Session, open_session
from bot.delivery.courier import Patience as AttemptPatience
from bot.delivery.decency import DecencyGate
from bot.delivery.media import MediaShelf
from bot.delivery.nudges import Nudges
from bot.delivery.routes import ChannelAbilities, Scope
from bot.delivery.sender import Sender
from bot.delivery.tokens import fingerprint
from bot.metrics import Metrics
from bot.model import Event
from bot.platforms.wecom.aibot_codec import decode
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.redis.leases import ConnectionLeases
from bot.storage.redis.pacing import PaceStore

OnLate = Callable[[Event, str], Awaitable[object]]
Queue = Callable[[Event, OnLate], Awaitable[object]]
"""Stores an event and starts its handler (`Line.queue`); gets what to call where that is late."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long everything waits: on the wire, between connections, between attempts at a delivery.

    A frame is acknowledged within `Pulse.ack_s` or never, and an upload goes on by itself, so a part takes
    less time than by HTTP, and what a killed process was sending is taken over sooner. The second attempt
    comes soon: the usual failure is a connection that broke and is open again within a second.
    """

    pulse: Pulse = field(default_factory=Pulse)
    patience: Patience = field(default_factory=Patience)
    attempts: AttemptPatience = field(
        default_factory=lambda: AttemptPatience(
            lease_ms=20_000, part_timeout_s=12.0, backoff_s=(1, 5, 15, 45, 120)
        )
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the connections of one process share."""

    redis: RedisClient
    keys: Keys
    deliveries: DeliveryStore
    abilities: Mapping[str, ChannelAbilities]
    clock: Clock
    metrics: Metrics
    nudges: Nudges
    decency: DecencyGate
    http: aiohttp.ClientSession
    shelf: MediaShelf
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(frozen=True, slots=True)
class Connection:
    """One channel's connection, as one process takes part in it."""

    keeper: Keeper
    client: ConnectionClient


def assemble(channel: WecomAibotChannel, queue: Queue, around: Surroundings) -> Connection:
    """Make one process's part in a channel's connection; nothing runs until `keeper.run`."""
    name, metrics = channel.name, around.metrics
    pace = PaceStore(around.redis, around.keys)
    row = around.abilities[name].row("")
    assert row is not None, "an AI bot has direct chats"

    async def open_one(may_send: Callable[[], bool]) -> Session:
        return await open_session(
            around.http,
            channel.ws_base,
            channel.bot_id,
            channel.secret.get_secret_value(),
            pulse=around.rhythm.pulse,
            on_callback=intake.put,
            may_send=may_send,
            on_junk=lambda: metrics.connection_junk(name),
        )

    async def accept(event: Event) -> None:
        await queue(event, client.show_waiting)

    intake = Intake(name, decode, accept, around.clock)
    client = ConnectionClient(
        around.redis,
        around.keys,
        pace,
        around.clock,
        around.shelf,
        channel=name,
        account=fingerprint(channel.kind, channel.ws_base, channel.bot_id, channel.secret.get_secret_value()),
        rates=[(rate.most, rate.per_ms) for rate in row.rates if rate.scope is Scope.RECEIVER],
        session=lambda: keeper.session,
    )

    async def run_sender(over: asyncio.Event) -> None:
        sender = Sender(  # each connection has its own: one that was told to stop stays so
            around.deliveries, pace, {name: client}, around.abilities, around.clock,
            on_outcome=metrics.delivery, lane=name, decency=around.decency,
            patience=around.rhythm.attempts,
        )  # fmt: skip
        with around.nudges.listening(sender.wake):
            await sender.run(over)

    leases = ConnectionLeases(around.redis, around.keys, owner=secrets.token_hex(8), holder=_this_process())
    keeper = Keeper(
        name, leases, open_one, run_sender, intake, around.clock, metrics, patience=around.rhythm.patience
    )
    return Connection(keeper, client)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
