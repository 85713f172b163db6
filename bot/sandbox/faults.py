"""Errors on demand: what the vendor's API, callbacks and connection shall do wrong, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from bot.errors import RefusedError

CALLBACK = "callback"
"""As a fault's endpoint: the next callback to the bot."""
POLL = "poll"
"""As a fault's endpoint: the next question for an AI bot's stream."""
_WAYS = "errcode, http_status, broken_json, drop, hang, lost, doubled, reordered"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Exactly one of `errcode`, `http_status`, `broken_json`, `drop`, `hang`, `lost`, `doubled` and
    `reordered` is given, or none of them with a `delay_s`, which alone only slows it down.

    Attributes:
        channel: Channel it hits; empty is every channel.
        endpoint: Path below ``/cgi-bin/`` (``message/send``) or command of a long connection
            (``aibot_respond_msg``); empty is every one of them; `CALLBACK` (``callback``) is the next
            callback to the bot, `POLL` (``poll``) the next question for a stream.
        errcode: Answer with this error code.
        errmsg: The text that goes with it.
        http_status: Answer with this HTTP status and a page that is not JSON.
        delay_s: Seconds before anything else.
        broken_json: Answer 200 with half a JSON object.
        drop: Close the connection without an answer.
        hang: Never answer; the connection stays open.
        lost: Of a callback: it never arrives.
        doubled: Of a callback: it arrives twice at once.
        reordered: Of a callback: the one after it arrives first.
        acted: The call is carried out before it goes wrong: the answer is lost, not the act.
        times: How many calls it hits; 0 is every call until it is cleared.
    """

    channel: str = ""
    endpoint: str = ""
    errcode: int | None = None
    errmsg: str = "sandbox fault"
    http_status: int | None = None
    delay_s: float = 0.0
    broken_json: bool = False
    drop: bool = False
    hang: bool = False
    lost: bool = False
    doubled: bool = False
    reordered: bool = False
    acted: bool = False
    times: int = 1

    @property
    def breaks(self) -> bool:
        """Whether the call's answer is spoilt, not only late."""
        return self._ways() > 0

    def _ways(self) -> int:
        given = (self.broken_json, self.drop, self.hang, self.lost, self.doubled, self.reordered)
        return (self.errcode is not None) + (self.http_status is not None) + sum(given)

    def check(self) -> None:
        """Accept a fault that says one thing.

        Raises:
            RefusedError: It says nothing, two things at once, something its place does not have, or has a
                negative number.
        """
        ways = self._ways()
        if ways > 1:
            raise RefusedError(f"a fault takes one of {_WAYS}")
        if ways == 0 and self.delay_s <= 0:
            raise RefusedError(f"a fault needs {_WAYS} or a delay_s above 0")
        of_callback = self.lost or self.doubled or self.reordered
        if of_callback != (self.endpoint in {CALLBACK, POLL}) and ways:
            raise RefusedError("lost, doubled and reordered go with endpoint callback or poll, and only they")
        if self.times < 0 or self.delay_s < 0:
            raise RefusedError("times and delay_s of a fault cannot be negative")


class FaultBook:
    """The faults that wait for their calls, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Make `fault` wait for its calls.

        Raises:
            RefusedError: it is not a fault, see `Fault.check`.
        """
        fault.check()
        self._faults.append(fault)

    def clear(self) -> None:
        """Make everything work again."""
        self._faults.clear()

    def waiting(self) -> tuple[Fault, ...]:
        """Return the faults that will still happen, `times` counted down."""
        return tuple(self._faults)

    async def meet(self, channel: str, endpoint: str) -> Fault | None:
        """Return the oldest fault for this call, after its delay, and count it down."""
        return await self._meet(channel, {"", endpoint})

    async def meet_callback(self, channel: str, kind: str = CALLBACK) -> Fault | None:
        """Return the oldest fault for this callback, or with `POLL` this poll, as `meet`."""
        return await self._meet(channel, {kind}) if self._faults else None

    async def _meet(self, channel: str, endpoints: set[str]) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if fault.channel in {"", channel} and fault.endpoint in endpoints:
                if fault.times == 1:
                    del self._faults[index]
                elif fault.times > 1:
                    self._faults[index] = replace(fault, times=fault.times - 1)
                await asyncio.sleep(fault.delay_s)
                return fault
        return None
