"""One WebSocket to the platform, from its subscription to its end.

Every request is one frame and waits for its acknowledgement, matched by req_id; frames that share a req_id
(those of one stream) leave strictly one after the other. A frame whose acknowledgement does not come makes
the whole connection doubtful: it is closed, so that a late acknowledgement is never taken for another's.

Nothing is sent once `may_send` says no: the right to hold the connection has ended by then.

Source: WeCom, AI bot, long connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from bot.connection.frames import CALLBACKS, Command, Frame, decode, encode
from bot.errors import PlatformApiError, PlatformUnreachableError

_log = structlog.get_logger("huoqun")

KIND = "wecom_aibot"
MAX_FRAME_BYTES = 1 << 20  # a callback has a few KiB; the connection is closed over one above this


@dataclass(frozen=True, slots=True)
class Pulse:
    """How long a session waits, seconds.

    Attributes:
        connect_s: For the WebSocket to open.
        ack_s: For the acknowledgement of a frame; the platform's own limit for a welcome is as long.
        ping_s: Between two pings.
        pong_s: For the answer to a ping that follows one without answer; then the connection is dead.
        close_s: For the other side to say goodbye too.
    """

    connect_s: float = 10.0
    ack_s: float = 5.0
    ping_s: float = 30.0
    pong_s: float = 10.0
    close_s: float = 1.0


_GOODBYE = (1000).to_bytes(2, "big")  # the close code of a normal end (RFC 6455)

OnCallback = Callable[[Frame], Awaitable[None]]


class Session:
    """A connection in use; made by `open_session`.

    Attributes:
        over: Set when it has ended, for whatever reason.
        kicked: Whether it ended because another client subscribed.
        problem: Why it ended, in words; empty until then.
    """

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        pulse: Pulse,
        on_callback: OnCallback,
        may_send: Callable[[], bool],
        on_junk: Callable[[], None],
    ) -> None:
        self.over = asyncio.Event()
        self.kicked = False
        self.problem = ""
        self._socket = socket
        self._pulse = pulse
        self._on_callback = on_callback
        self._may_send = may_send
        self._on_junk = on_junk
        self._waiters: dict[str, asyncio.Future[Frame]] = {}
        self._last: dict[str, asyncio.Task[Frame]] = {}
        self._unanswered_pings = 0
        self._reading = asyncio.create_task(self._read(), name="connection-read")
        self._tasks: set[asyncio.Task[Any]] = {self._reading}

    # ------------------------------------------------------------ requests

    async def request(self, command: Command, body: dict[str, Any] | None, *, req_id: str = "") -> Frame:
        """Send one frame and return its acknowledgement; without `req_id` it gets one of its own.

        Cancelling the caller does not take the frame back: those behind it still wait for its end.

        Raises:
            PlatformApiError: Acknowledged with an errcode other than 0; `endpoint` is the command.
            PlatformUnreachableError: No acknowledgement: the session is over. It may have been acted upon,
                unless the session was over before.
        """
        name = req_id or f"{command.value}_{secrets.token_hex(8)}"
        task = asyncio.create_task(self._exchange(command, body, name, self._last.get(name)))
        self._last[name] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(name, done))
        frame = await asyncio.shield(task)
        if frame.errcode:
            raise PlatformApiError(
                platform=KIND, endpoint=command.value, errcode=frame.errcode, errmsg=frame.errmsg
            )
        return frame

    async def _exchange(
        self, command: Command, body: dict[str, Any] | None, req_id: str, before: asyncio.Task[Frame] | None
    ) -> Frame:
        if before is not None:
            await asyncio.wait((before,))
        if not self.over.is_set() and not self._may_send():
            self.end("the right to hold the connection has ended")
        if self.over.is_set():
            raise self._unreachable(command)
        waiter = self._waiters[req_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._pulse.ack_s):
                await self._socket.send_str(encode(command, req_id, body))
                frame: Frame = await waiter
                return frame
        except TimeoutError:
            self.end(f"no acknowledgement of {command.value} within {self._pulse.ack_s:g} s")
            raise self._unreachable(command) from None
        except (aiohttp.ClientError, OSError) as error:
            self.end(f"broken: {type(error).__name__}")
            raise self._unreachable(command) from None
        finally:
            self._waiters.pop(req_id, None)

    def _forget(self, req_id: str, task: asyncio.Task[Frame]) -> None:
        self._tasks.discard(task)
        if self._last.get(req_id) is task:
            del self._last[req_id]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    def _unreachable(self, command: Command) -> PlatformUnreachableError:
        return PlatformUnreachableError(platform=KIND, endpoint=command.value, problem=self.problem)

    # ------------------------------------------------------------ what comes in

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.receive()
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    self.end(_goodbye(self._socket, message))
                    return
                await self._hear(message.data)
        except Exception as error:
            self.end(f"broken: {type(error).__name__}")
            raise

    async def _hear(self, raw: str | bytes) -> None:
        try:
            frame = decode(raw)
        except ValueError:
            self._on_junk()
            return
        waiter = None if frame.cmd else self._waiters.get(frame.req_id)
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(frame)
        elif frame.is_kick:
            self.kicked = True
            self.end("another client subscribed with this bot id")
        elif frame.cmd in CALLBACKS:
            await self._on_callback(frame)
        else:
            self._on_junk()

    # ------------------------------------------------------------ life

    async def subscribe(self, bot_id: str, secret: str) -> None:
        """Make this the bot's connection, in the place of any other; then begin to ping.

        Raises:
            PlatformApiError: The platform does not accept us.
            PlatformUnreachableError: No answer.
        """
        await self.request(Command.SUBSCRIBE, {"bot_id": bot_id, "secret": secret})
        self._tasks.add(asyncio.create_task(self._ping(), name="connection-ping"))

    async def _ping(self) -> None:
        """Ask whether the other side is there; two questions without answer say that it is not."""
        while not self.over.is_set():
            await asyncio.sleep(self._pulse.ping_s)
            self._unanswered_pings += 1
            answered = asyncio.create_task(self._ping_once())
            self._tasks.add(answered)
            answered.add_done_callback(self._tasks.discard)
            if self._unanswered_pings > 1:
                await asyncio.wait((answered,), timeout=self._pulse.pong_s)
                if self._unanswered_pings > 1:
                    self.end("two pings without answer")

    async def _ping_once(self) -> None:
        req_id = f"{Command.PING.value}_{secrets.token_hex(8)}"
        waiter = self._waiters[req_id] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_str(encode(Command.PING, req_id, None))
            await waiter
        except (aiohttp.ClientError, OSError, PlatformUnreachableError):
            return
        finally:
            self._waiters.pop(req_id, None)
        self._unanswered_pings = 0

    def end(self, problem: str) -> None:
        """End it now: nothing is sent any more, and what waits for an acknowledgement has failed."""
        if self.over.is_set():
            return
        self.problem = problem
        self.over.set()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(
                    PlatformUnreachableError(platform=KIND, endpoint="long connection", problem=problem)
                )

    async def close(self) -> None:
        """End it in the orderly way and wait until nothing of it is left.

        What the platform sent before it saw our goodbye is still taken in: it would not come again.
        """
        self.end("closed by us")
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._pulse.close_s):
                if not self._socket.closed:
                    # `ClientWebSocketResponse.close` would throw away what still comes; the reader does not.
                    await self._socket.send_frame(_GOODBYE, aiohttp.WSMsgType.CLOSE)
                await asyncio.wait((self._reading,))
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._pulse.close_s):
                await self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _goodbye(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"broken: {type(message.data).__name__}"
    return f"closed by the platform, code {socket.close_code}"


async def open_session(
    http: aiohttp.ClientSession,
    ws_base: str,
    bot_id: str,
    secret: str,
    *,
    pulse: Pulse,
    on_callback: OnCallback,
    may_send: Callable[[], bool],
    on_junk: Callable[[], None],
) -> Session:
    """Connect and subscribe.

    Raises:
        PlatformApiError: The platform does not accept bot id and secret, or asks us to come less often.
        PlatformUnreachableError: No connection, or no answer to the subscription.
    """
    try:
        async with asyncio.timeout(pulse.connect_s):
            socket = await http.ws_connect(
                ws_base,
                max_msg_size=MAX_FRAME_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=pulse.close_s),
            )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        problem = f"no connection: {type(error).__name__}"
        raise PlatformUnreachableError(platform=KIND, endpoint="connect", problem=problem) from error
    session = Session(socket, pulse, on_callback, may_send, on_junk)
    try:
        await session.subscribe(bot_id, secret)
    except BaseException:
        await session.close()
        raise
    return session
