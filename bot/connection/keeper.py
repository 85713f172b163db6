"""Keeps one channel's long connection up from exactly one process of all, and never fights over it.

Every process asks for the right to hold it (`bot.storage.redis.leases`); the one that has it connects, and
the others ask again quietly. What may happen:

=====================  ====================================================================================
the holder dies        its lease ends (15 s), the next who asks takes over
the holder stops       answers under way are acknowledged, the connection closed, the lease given back
the holder slept       its lease is over by its own clock: it closes the connection before anything else
another client kicks   the holder keeps the right, so that no other process of ours comes back in its place,
                       and waits 5 s, 10 s, 20 s …; whoever holds it next waits as long
the platform closes,   back-off with jitter, from a second up
is silent, is away
the holder cannot      after two attempts it gives the right to whoever else asks for it, and asks again later
reach the platform
bot id or secret is    shown in the status and the log, tried again slowly
wrong
=====================  ====================================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import structlog

from bot.background import wait_for
from bot.clock import Clock
from bot.connection.intake import Intake
from bot.connection.session import Session
from bot.errors import PlatformApiError, PlatformUnreachableError, StoreUnavailableError
from bot.storage.redis.leases import ConnectionLeases, ConnectionState, Tenure

_log = structlog.get_logger("huoqun")

_MOST_IN_VAIN = 2  # attempts to reach the platform before another process may try
_BUSY = frozenset({-1, 45009, 45011, 45033})  # a refused subscription that is no matter of bot id and secret


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things last, seconds.

    Attributes:
        lease_s: A lease that is not renewed.
        renew_s: Between renewals.
        ask_s: Between asking for a lease that another has.
        margin_s: How much earlier than Redis we take our lease for over.
        retry_s: First and longest wait after a connection that broke or could not be opened.
        refused_s: The same where the platform does not accept bot id and secret.
        kick_s: The same where another client took our place.
        steady_s: A connection that lasted so long has nothing to do with the failures before it.
        calm_s: The same for kicks.
        settle_s: What was read may take so long to be stored when the process ends.
    """

    lease_s: float = 15.0
    renew_s: float = 5.0
    ask_s: float = 1.0
    margin_s: float = 1.0
    retry_s: tuple[float, float] = (1.0, 60.0)
    refused_s: tuple[float, float] = (60.0, 600.0)
    kick_s: tuple[float, float] = (5.0, 600.0)
    steady_s: float = 60.0
    calm_s: float = 600.0
    settle_s: float = 3.0


class Watch(Protocol):
    """Counts what happens to connections."""

    def connected(self, channel: str, *, up: bool) -> None:
        """Say whether this process has the channel's connection."""

    def connection_ended(self, channel: str, cause: str) -> None:
        """Count the end of a connection, or of an attempt to open it."""


OpenSession = Callable[[Callable[[], bool]], Awaitable[Session]]
"""Connects and subscribes; gets what says whether the right to send lasts."""

RunSender = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Carries what waits in the channel's lane until told to stop."""


class Hold:
    """The right to hold the connection, as this process knows it; `lost` is set when it has ended."""

    def __init__(
        self, leases: ConnectionLeases, channel: str, tenure: Tenure, patience: Patience, asked_s: float
    ) -> None:
        self.tenure = tenure
        self.lost = asyncio.Event()
        self._leases = leases
        self._channel = channel
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._until_s = self._end(asked_s)

    def lasts(self) -> bool:
        """Whether the right lasts by our own clock, however long this process slept."""
        if self._loop.time() >= self._until_s:
            self.lost.set()
        return not self.lost.is_set()

    def _end(self, asked_s: float) -> float:
        return asked_s + self._patience.lease_s - self._patience.margin_s

    async def keep(self) -> None:
        """Renew it until it is lost."""
        wait_s = self._patience.renew_s
        while self.lasts():
            await asyncio.sleep(min(wait_s, max(0.0, self._until_s - self._loop.time())))
            if not self.lasts():
                return
            wait_s = self._patience.renew_s
            asked_s = self._loop.time()
            try:
                async with asyncio.timeout_at(self._until_s):
                    renewed = await self._leases.renew(
                        self._channel, self.tenure.fence, round(self._patience.lease_s * 1000)
                    )
            except StoreUnavailableError:
                wait_s = self._patience.renew_s / 10
                continue
            except TimeoutError:
                continue
            if not renewed:
                self.lost.set()
                return
            self._until_s = self._end(asked_s)


class Keeper:
    """One process's part in keeping one channel's connection.

    Attributes:
        session: The connection in use; None while this process has none.
    """

    def __init__(
        self,
        channel: str,
        leases: ConnectionLeases,
        open_session: OpenSession,
        run_sender: RunSender,
        intake: Intake,
        clock: Clock,
        watch: Watch,
        *,
        patience: Patience | None = None,
        random: Random | None = None,
    ) -> None:
        self.session: Session | None = None
        self._channel = channel
        self._leases = leases
        self._open_session = open_session
        self._run_sender = run_sender
        self._intake = intake
        self._clock = clock
        self._watch = watch
        self._patience = patience or Patience()
        self._random = random or Random()  # noqa: S311 - spreads waits, guards nothing
        self._failures = 0  # since a connection was steady
        self._in_vain = 0  # attempts in a row that did not reach the platform
        self._kicks = 0
        self._not_before_ms = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for the right, and hold the connection while this process has it, until told to stop."""
        loop, patience = asyncio.get_running_loop(), self._patience
        try:
            while not stop.is_set():
                asked_s = loop.time()
                try:
                    tenure = await self._leases.take(self._channel, round(patience.lease_s * 1000))
                except StoreUnavailableError:
                    tenure = None  # the jobs that need Redis more say so
                if tenure is not None:
                    await self._hold(Hold(self._leases, self._channel, tenure, patience, asked_s), stop)
                    if self._in_vain:  # a pause in which others may take the right
                        await _first(stop, timeout_s=self._left_s() + patience.ask_s)
                elif await wait_for(stop, patience.ask_s * self._random.uniform(0.8, 1.2)):
                    return
        finally:
            await self._intake.settle(patience.settle_s)

    async def _hold(self, hold: Hold, stop: asyncio.Event) -> None:
        """Have the right, until it is lost or given back."""
        tenure, now_ms = hold.tenure, self._clock.now_ms()
        calm = now_ms - tenure.kicked_until_ms > self._patience.calm_s * 1000
        self._in_vain, self._kicks = 0, 0 if calm else tenure.kicks
        self._not_before_ms = tenure.kicked_until_ms
        renewal = asyncio.create_task(hold.keep(), name=f"connection lease {self._channel}")
        try:
            while self._in_vain < _MOST_IN_VAIN and await self._may_connect(hold, stop):
                await self._connect_once(hold, stop)
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            if not hold.lost.is_set():
                await self._give_back(hold)

    async def _give_back(self, hold: Hold) -> None:
        try:
            await self._leases.give_back(self._channel, hold.tenure.fence, self._clock.now_ms())
        except StoreUnavailableError:
            _log.warning("the right to hold the connection ends by itself", channel=self._channel)

    async def _may_connect(self, hold: Hold, stop: asyncio.Event) -> bool:
        """Wait until the connection may be opened; False when this process is not to open it any more."""
        if (wait_s := self._left_s()) > 0:
            await _first(stop, hold.lost, timeout_s=wait_s)
        return hold.lasts() and not stop.is_set()

    def _left_s(self) -> float:
        return max(0.0, (self._not_before_ms - self._clock.now_ms()) / 1000)

    # ------------------------------------------------------------ one connection

    async def _connect_once(self, hold: Hold, stop: asyncio.Event) -> None:
        """Open the connection, use it to its end, and decide when it may be opened again."""
        await self._note(hold, ConnectionState.CONNECTING)
        begun_s = asyncio.get_running_loop().time()
        try:
            session = await self._open_session(hold.lasts)
        except PlatformApiError as error:
            refused = error.errcode not in _BUSY
            bounds_s = self._patience.refused_s if refused else self._patience.retry_s
            state = ConnectionState.REFUSED if refused else ConnectionState.WAITING
            await self._wait_after(hold, state, str(error), bounds_s)
            return
        except PlatformUnreachableError as error:
            self._in_vain += 1
            await self._wait_after(hold, ConnectionState.WAITING, error.problem, self._patience.retry_s)
            return
        self._in_vain = 0
        self.session = session
        self._watch.connected(self._channel, up=True)
        _log.info("long connection open", channel=self._channel)
        try:
            await self._use(session, hold, stop)
        finally:
            self.session = None
            self._watch.connected(self._channel, up=False)
            await session.close()
        lasted_s = asyncio.get_running_loop().time() - begun_s
        if not session.kicked and (stop.is_set() or not hold.lasts()):
            self._ended("stopped" if stop.is_set() else "lease_lost", session.problem)
        elif session.kicked:
            await self._wait_after_kick(hold, session.problem, lasted_s)
        else:
            if lasted_s >= self._patience.steady_s:
                self._failures = 0
            await self._wait_after(hold, ConnectionState.WAITING, session.problem, self._patience.retry_s)

    async def _use(self, session: Session, hold: Hold, stop: asyncio.Event) -> None:
        """Send what is due while the connection lasts; on a stop, let what is under way be acknowledged."""
        over = asyncio.Event()
        sending = asyncio.create_task(self._run_sender(over), name=f"connection send {self._channel}")
        try:
            await self._note(hold, ConnectionState.CONNECTED)
            await _first(session.over, hold.lost, stop, sending)
            if not hold.lasts():
                session.end("the right to hold the connection has ended")
            over.set()
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    # ------------------------------------------------------------ when it may be opened again

    async def _wait_after(
        self, hold: Hold, state: ConnectionState, problem: str, bounds_s: tuple[float, float]
    ) -> None:
        self._failures += 1
        wait_s = _doubled(bounds_s, self._failures) * self._random.uniform(0.5, 1.0)
        self._ended("refused" if state is ConnectionState.REFUSED else "broken", problem)
        await self._wait_for(hold, state, problem, wait_s)

    async def _wait_after_kick(self, hold: Hold, problem: str, lasted_s: float) -> None:
        self._kicks = 1 if lasted_s >= self._patience.calm_s else self._kicks + 1
        wait_s = _doubled(self._patience.kick_s, self._kicks) * self._random.uniform(1.0, 1.1)
        self._ended("kicked", problem)
        if hold.lasts():
            await self._wait_for(hold, ConnectionState.KICKED, problem, wait_s, kicks=self._kicks)

    async def _wait_for(
        self, hold: Hold, state: ConnectionState, problem: str, wait_s: float, *, kicks: int | None = None
    ) -> None:
        self._not_before_ms = self._clock.now_ms() + round(wait_s * 1000)
        await self._note(hold, state, error=problem, kicks=kicks)

    def _ended(self, cause: str, problem: str) -> None:
        self._watch.connection_ended(self._channel, cause)
        say = _log.info if cause == "stopped" else _log.error if cause == "refused" else _log.warning
        say("long connection not open", channel=self._channel, cause=cause, problem=problem)

    async def _note(
        self, hold: Hold, state: ConnectionState, *, error: str | None = None, kicks: int | None = None
    ) -> None:
        """Write down how it is; where another has the right by now, ours is lost."""
        try:
            held = await self._leases.note(
                self._channel, hold.tenure.fence, state, self._clock.now_ms(),
                not_before_ms=self._not_before_ms, error=error, kicks=kicks,
            )  # fmt: skip
        except StoreUnavailableError:
            return
        if not held:
            hold.lost.set()


def _doubled(bounds_s: tuple[float, float], count: int) -> float:
    """Return the first bound, doubled with every count after the first, up to the second."""
    first_s, longest_s = bounds_s
    return min(first_s * 2.0 ** min(count - 1, 30), longest_s)


async def _first(*waits: asyncio.Event | asyncio.Task[None], timeout_s: float | None = None) -> None:
    """Wait for the first of events and tasks, at most `timeout_s` seconds; tasks are left to run."""
    own = {asyncio.create_task(wait.wait()): wait for wait in waits if isinstance(wait, asyncio.Event)}
    others = [wait for wait in waits if not isinstance(wait, asyncio.Event)]
    try:
        await asyncio.wait([*own, *others], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
