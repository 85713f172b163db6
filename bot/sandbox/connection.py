"""The AI bot's long connection, the vendor's side: one WebSocket per bot, its frames, who holds it.

Source: WeCom, AI bot, long connection.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import WSMsgType, web

from bot.errors import RefusedError
from bot.sandbox.bot_answers import BotAnswer
from bot.sandbox.bot_courier import TOO_MANY, record
from bot.sandbox.bot_letters import Talk, disconnected_body
from bot.sandbox.connection_calls import ConnectionCalls, Sent
from bot.sandbox.courier import Outcome, lost
from bot.sandbox.limits import minute_rate
from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.sandbox.bot_desk import BotDesk
    from bot.sandbox.courier import Letter, Settings
    from bot.sandbox.faults import Fault, FaultBook
    from bot.sandbox.limits import Rate
    from bot.sandbox.media import MediaStore
    from bot.sandbox.room import Entry, Room
    from bot.sandbox.vendor_clock import VendorClock

_FRAME_BYTES = 4 * 1024 * 1024
_CLOSE_S = 1.0
_REORDER_WAIT_S = 2.0
_PING_PATIENCE_S = 100.0  # a client pings every 30 s; three missed in a row are a dead one
_KEPT_CALLBACKS = 10_000
_EVENT_PATIENCE_S = 5.0


class _Socket:
    """One WebSocket of a client, whether it subscribed or not."""

    def __init__(self, response: web.WebSocketResponse) -> None:
        self.response = response
        self.channel = ""
        self.silent = False
        self.unacked: Counter[str] = Counter()  # stream id → frames not acknowledged yet

    async def send(self, frame: Mapping[str, Any]) -> bool:
        """Send a frame, unless told to be silent; return whether the connection took it."""
        if self.silent or self.response.closed:
            return self.silent
        try:
            await self.response.send_str(orjson.dumps(frame).decode())
        except (ConnectionError, RuntimeError):
            return False
        return True

    async def close(self, code: int = 1000, message: str = "") -> None:
        """Close it without waiting long for the other side."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_S):
                await self.response.close(code=code, message=message.encode())


@dataclass(slots=True)
class _Waiting:
    """A letter that waits for a connection."""

    letter: Letter
    until_ms: int
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class _Link:
    """What the vendor keeps of one bot's connection."""

    def __init__(self, room: Room, settings: Settings) -> None:
        self.room = room
        self.socket: _Socket | None = None
        self.connected = asyncio.Event()
        self.passed = asyncio.Event()
        self.subscribes: Rate = minute_rate(settings.subscribes_per_minute)
        self.sent: dict[str, Sent] = {}
        self.away: deque[_Waiting] = deque()

    def remember(self, sent: Sent) -> None:
        self.sent[sent.req_id] = sent
        if len(self.sent) > _KEPT_CALLBACKS:
            del self.sent[next(iter(self.sent))]


class LongConnections:
    """The connections of every AI bot that is in long-connection mode."""

    def __init__(
        self,
        rooms: Mapping[str, Room],
        desks: Mapping[str, BotDesk],
        media: MediaStore,
        settings: Settings,
        clock: VendorClock,
        faults: FaultBook,
        msg_ids: Iterator[int],
    ) -> None:
        """Serve the bots among `rooms`."""
        self._desks, self._settings, self._clock, self._faults = desks, settings, clock, faults
        self._msg_ids = msg_ids
        self._links = {
            name: _Link(rooms[name], settings)
            for name in desks
            if rooms[name].channel.mode == "long_connection"
        }
        self._calls = ConnectionCalls(desks, media, clock)
        self._sockets: set[_Socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ the client's side

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hold one connection until either side ends it."""
        response = web.WebSocketResponse(max_msg_size=_FRAME_BYTES, autoping=False, timeout=_CLOSE_S)
        await response.prepare(request)
        socket = _Socket(response)
        self._sockets.add(socket)
        try:
            await self._listen(socket)
        finally:
            self._sockets.discard(socket)
            link = self._links.get(socket.channel)
            if link is not None and link.socket is socket:
                link.socket = None
                link.connected.clear()
        return response

    async def _listen(self, socket: _Socket) -> None:
        while True:
            try:
                message = await socket.response.receive(timeout=_PING_PATIENCE_S)
            except TimeoutError:
                if socket.channel and not socket.silent:
                    self._links[socket.channel].room.violate("ping:interval")
                await socket.close(message="no ping")
                return
            if message.type is WSMsgType.PING:
                if not socket.silent:
                    await socket.response.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                if not socket.silent:
                    self._start(self._take(socket, message.data))
            elif message.type is not WSMsgType.PONG:
                return

    async def _take(self, socket: _Socket, data: str) -> None:
        """Carry out one frame and acknowledge it, or do what a fault demands."""
        frame = _parsed(data)
        if frame is None:
            await socket.send(_ack("", 47001, "data format error"))
            return
        cmd, req_id, body = frame
        if cmd == "aibot_subscribe":
            socket_room = self._room_of(body)
        else:
            socket_room = self._links[socket.channel].room if socket.channel else None
        if socket_room is not None:
            socket_room.calls[cmd] += 1
        stream_id = _stream_id(body)
        if stream_id and socket_room is not None:
            if socket.unacked[stream_id]:
                socket_room.violate(f"{cmd}:overlap")
            socket.unacked[stream_id] += 1
        fault = await self._faults.meet(socket_room.channel.name if socket_room else "", cmd)
        if fault is None or fault.acted or not fault.breaks:
            ack = self._act(socket, socket_room, cmd, req_id, body)
        else:
            ack = _ack(req_id, 0, "ok")
        if stream_id:
            await asyncio.sleep(self._settings.ack_delay_s)
        if fault is not None and fault.breaks:
            await self._spoil(socket, socket_room, cmd, req_id, fault)
        else:
            await socket.send(ack)
        socket.unacked[stream_id] -= 1

    def _act(
        self, socket: _Socket, room: Room | None, cmd: str, req_id: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            result = self._carry_out(socket, room, cmd, req_id, body)
        except VendorError as error:
            if error.limit and room is not None:
                room.violate(f"{cmd}:{error.limit}")
            if room is not None:
                room.errcodes[cmd, error.errcode] += 1
            return _ack(req_id, error.errcode, error.errmsg)
        if room is not None:
            room.errcodes[cmd, 0] += 1
        ack = _ack(req_id, 0, "ok")
        return {**ack, "body": dict(result)} if result else ack

    def _carry_out(
        self, socket: _Socket, room: Room | None, cmd: str, req_id: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        if cmd == "aibot_subscribe":
            self._subscribe(socket, room, body)
            return {}
        if cmd == "ping":
            return {}
        if room is None:
            raise VendorError(40001, "subscribe first")
        link = self._links[socket.channel]
        if link.socket is not socket:
            raise VendorError(40001, "another connection has subscribed")
        return self._calls.act(room, link.sent.get(req_id), cmd, body)

    async def _spoil(self, socket: _Socket, room: Room | None, cmd: str, req_id: str, fault: Fault) -> None:
        if fault.errcode is not None:
            if room is not None:
                room.errcodes[cmd, fault.errcode] += 1
            await socket.send(_ack(req_id, fault.errcode, fault.errmsg))
        elif fault.broken_json:
            with suppress(ConnectionError, RuntimeError):
                await socket.response.send_str('{"headers":{"req_id":')
        elif not fault.hang:  # a status has no meaning here: the connection ends, as on drop
            await socket.close(1011, "sandbox fault")

    def _room_of(self, body: Mapping[str, Any]) -> Room | None:
        bot_id = body.get("bot_id")
        return next(
            (link.room for link in self._links.values() if link.room.channel.account_id == bot_id), None
        )

    def _subscribe(self, socket: _Socket, room: Room | None, body: Mapping[str, Any]) -> None:
        if room is None:
            raise VendorError(40058, "invalid bot_id, or the bot is in callback mode")
        link = self._links[room.channel.name]
        if over := link.subscribes.over(self._clock.now_ms()):
            raise VendorError(45009, "subscribe too often", over)
        known, given = room.channel.secret, str(body.get("secret", ""))
        if not known or not hmac.compare_digest(known.encode(), given.encode()):
            raise VendorError(40001, "invalid secret")
        old = link.socket
        link.socket, socket.channel = socket, room.channel.name
        link.connected.set()
        if old is not None and old is not socket:
            self._start(self._dismiss(link, old))
        self._start(self._hand_over(link))

    async def _dismiss(self, link: _Link, socket: _Socket) -> None:
        """Tell a connection that another one has its place, and end it."""
        link.room.outcomes["kicks"] += 1
        body = disconnected_body(
            link.room.channel, msg_id=self._new_id(), create_time_s=self._clock.stamp_ms() // 1000
        )
        await socket.send(
            {"cmd": "aibot_event_callback", "headers": {"req_id": self._new_id()}, "body": body}
        )
        await socket.close(message="another connection has subscribed")

    # ------------------------------------------------------------ the people's side

    async def carry(self, room: Room, desk: BotDesk, letter: Letter, entry: Entry) -> Outcome:
        """Send a letter down the bot's connection and wait a while for its answer."""
        is_message = not letter.event
        if is_message and not desk.begin(letter.user_id):
            outcome = Outcome("refused", http_status=0, attempts=0, problem=TOO_MANY)
            return record(room, entry, outcome)
        try:
            return await self._carry(self._links[room.channel.name], letter, entry)
        finally:
            if is_message:
                desk.end(letter.user_id)

    async def _carry(self, link: _Link, letter: Letter, entry: Entry) -> Outcome:
        room = link.room
        fault = await self._faults.meet_callback(room.channel.name)
        if fault is not None and fault.lost:
            room.outcomes["lost"] += 1
            return record(room, entry, lost())
        if fault is not None and fault.reordered:
            link.passed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_REORDER_WAIT_S):
                    await link.passed.wait()
        if link.socket is None and not await self._away(link, letter):
            problem = "the bot has no connection"
            return record(room, entry, Outcome("unavailable", http_status=0, attempts=0, problem=problem))
        sent = await self._send(link, letter, entry)
        if fault is not None and fault.doubled:
            room.outcomes["doubled"] += 1
            await self._send(link, letter, entry)
        if sent is None:
            problem = "the connection broke"
            return record(room, entry, Outcome("unavailable", http_status=0, problem=problem))
        room.change(entry, status="acknowledged")
        return await self._answered(room, letter, sent, entry)

    async def _away(self, link: _Link, letter: Letter) -> bool:
        """Keep a letter until the bot subscribes; False when it does not in time."""
        if self._settings.away_s <= 0:
            return False
        waiting = _Waiting(letter, self._clock.now_ms())
        link.away.append(waiting)
        try:
            async with asyncio.timeout(self._settings.away_s):
                await waiting.gone.wait()
        except TimeoutError:
            link.away.remove(waiting)
            return False
        return True

    async def _hand_over(self, link: _Link) -> None:
        """Let what waited go, in its order."""
        while link.away:
            link.away.popleft().gone.set()
            await asyncio.sleep(0)

    async def _send(self, link: _Link, letter: Letter, entry: Entry) -> Sent | None:
        if link.socket is None:
            return None
        talk = Talk(letter.user_id, letter.group_id)
        sent = Sent(self._new_id(), letter, talk, self._clock.now_ms(), entry)
        link.remember(sent)
        frame = {
            "cmd": "aibot_event_callback" if letter.event else "aibot_msg_callback",
            "headers": {"req_id": sent.req_id},
            "body": orjson.loads(letter.inner),
        }
        taken = await link.socket.send(frame)
        link.passed.set()
        return sent if taken else None

    async def _answered(self, room: Room, letter: Letter, sent: Sent, entry: Entry) -> Outcome:
        patience_s = self._settings.answer_patience_s
        if letter.event:
            patience_s = min(patience_s, _EVENT_PATIENCE_S) if letter.permitted else 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await sent.done.wait()
        entry = room.find(entry.id) or entry
        if not sent.answers:
            return record(room, entry, Outcome("acknowledged"))
        parts = tuple(answer.said() for answer in sent.answers.values())
        return record(room, entry, Outcome("answered", parts, _plain(sent.answers)))

    # ------------------------------------------------------------ on demand

    def is_connected(self, channel: str) -> bool:
        """Whether a bot has subscribed now."""
        return self._link(channel).socket is not None

    async def wait_connected(self, channel: str, *, timeout_s: float = 10.0) -> None:
        """Return once a bot has subscribed.

        Raises:
            TimeoutError: It does not within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            await self._link(channel).connected.wait()

    async def kick(self, channel: str) -> bool:
        """Let another client take the connection over and go again; return whether there was one."""
        link = self._link(channel)
        socket, link.socket = link.socket, None
        link.connected.clear()
        if socket is not None:
            await self._dismiss(link, socket)
        return socket is not None

    async def close(self, channel: str) -> bool:
        """Close the connection as a server that restarts; return whether there was one."""
        link = self._link(channel)
        socket, link.socket = link.socket, None
        link.connected.clear()
        if socket is not None:
            await socket.close(1001, "going away")
        return socket is not None

    def silence(self, channel: str, *, silent: bool = True) -> bool:
        """Let the present connection say nothing more and hear nothing; return whether there was one."""
        socket = self._link(channel).socket
        if socket is not None:
            socket.silent = silent
        return socket is not None

    async def aclose(self) -> None:
        """End every connection."""
        for socket in list(self._sockets):
            await socket.close(1001, "going away")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _link(self, channel: str) -> _Link:
        if channel not in self._links:
            raise RefusedError(f"channel {channel!r} has no long connection")
        return self._links[channel]

    def _new_id(self) -> str:
        return f"sandbox-{next(self._msg_ids)}"

    def _start(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _parsed(data: str) -> tuple[str, str, Mapping[str, Any]] | None:
    """Return (cmd, req_id, body) of a frame, None for what is none."""
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(frame, dict) or not isinstance(frame.get("cmd"), str):
        return None
    headers, body = frame.get("headers"), frame.get("body", {})
    req_id = headers.get("req_id") if isinstance(headers, dict) else None
    if not isinstance(req_id, str) or not isinstance(body, dict):
        return None
    return frame["cmd"], req_id, body


def _stream_id(body: Mapping[str, Any]) -> str:
    stream = body.get("stream")
    return str(stream.get("id", "")) if isinstance(stream, dict) else ""


def _ack(req_id: str, errcode: int, errmsg: str) -> dict[str, Any]:
    return {"headers": {"req_id": req_id}, "errcode": errcode, "errmsg": errmsg}


def _plain(answers: Mapping[str, BotAnswer]) -> str:
    return orjson.dumps([answer.kind for answer in answers.values()]).decode()
