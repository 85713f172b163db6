"""Work beside the answers: drains, sends, refreshes; each a loop that survives its own faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bot.errors import StoreError

_log = structlog.get_logger("huoqun")
_PAUSE_AFTER_FAULT_S = 1.0

Job = Callable[[asyncio.Event], Awaitable[None]]


class Background:
    """Runs jobs until told to stop; a job that fails is logged and started again."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, job: Job) -> None:
        """Start one job; it gets the event that tells it to end."""
        self._tasks.append(asyncio.create_task(self._keep(name, job), name=name))

    async def stop(self, grace_s: float = 5.0) -> None:
        """Ask every job to end and wait for it; one that does not end in time is cancelled."""
        self._stop.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _keep(self, name: str, job: Job) -> None:
        while not self._stop.is_set():
            try:
                await job(self._stop)
            except StoreError as error:
                await _log.awarning("background job waits for its store", job=name, error=str(error))
            except Exception as error:  # noqa: BLE001 - one fault must not end the job for good
                await _log.aerror("background job failed", job=name, exc_info=error)
            await wait_for(self._stop, _PAUSE_AFTER_FAULT_S)


async def wait_for(stop: asyncio.Event, seconds: float) -> bool:
    """Wait until `stop` is set or `seconds` have passed; whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
