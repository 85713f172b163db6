"""``run.py sandbox``: the chat in a terminal, by hand or with piped lines.

你好                 say it as the chosen person
/as 小明             speak as somebody else, by name or id; a new id is added
/channel oa          change the channel
/event subscribe [EventKey]
/people, /help, /quit
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import aiohttp

from bot.errors import RefusedError
from bot.sandbox.remote import RemoteSandbox
from bot.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bot.sandbox.courier import Outcome
    from bot.sandbox.vendor import Sandbox

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_HELP = "/as 谁 · /channel 渠道 · /event 事件 [EventKey] · /people · /quit"


class TerminalChat:
    """One conversation: who speaks where, and what was already printed."""

    def __init__(
        self, sandbox: RemoteSandbox, write: Callable[[str], None], *, linger_s: float = 3.0
    ) -> None:
        """Speak through `sandbox`, print through `write` (whole lines).

        After the last line, an active send for a message that was only acknowledged is waited for up
        to `linger_s`.
        """
        self._sandbox, self._write, self._linger_s = sandbox, write, linger_s
        self._people: dict[str, dict[str, str]] = {}  # channel → id → name
        self._channel = ""
        self._user_id = ""
        self._printed: set[int] = set()
        self._owed: dict[tuple[str, str], int] = {}  # answers that may still come as active sends

    @property
    def prompt(self) -> str:
        """What stands before the cursor: person@channel."""
        return f"{self._name(self._channel, self._user_id)}@{self._channel}> "

    async def open(self) -> None:
        """Learn channels and people, and choose the first of each.

        Raises:
            RefusedError: the sandbox is away or has no channel.
        """
        state = await self._sandbox.state()
        if not state["channels"]:
            raise RefusedError("the sandbox has no channel: configure a wecom_app or wechat_oa channel")
        for channel in state["channels"]:
            self._people[channel["name"]] = {member["id"]: member["name"] for member in channel["members"]}
            for member in channel["members"]:
                for entry in await self._sandbox.inbox(channel["name"], member["id"]):
                    self._printed.add(entry.id)
        self._channel = next(iter(self._people))
        self._user_id = next(iter(self._people[self._channel]), "xiaoming")

    async def take(self, line: str) -> bool:
        """Carry out one line; False means the person wants to leave."""
        line = line.strip()
        if not line:
            return True
        command, _, rest = line.partition(" ")
        try:
            if command == "/quit":
                return False
            if command in {"/as", "/channel", "/event", "/people", "/help"}:
                await self._command(command, rest.strip())
            else:
                self._show(await self._sandbox.say(self._channel, self._user_id, line))
        except RefusedError as error:
            self._write(f"! {error}")
        return True

    async def listen(self) -> None:
        """Print active sends as they come, until cancelled."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async for event, data in self._sandbox.changes():
                if event == "entry":
                    self._show_active(data)
                elif event == "member":
                    self._people[data["channel"]][data["member"]["id"]] = data["member"]["name"]

    async def finish(self) -> None:
        """Print the active sends that belong to what was said, waiting `linger_s` for those still owed."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._linger_s
        while True:
            for channel, user_id in self._owed:
                for entry in await self._sandbox.inbox(channel, user_id):
                    self._show_active({name: getattr(entry, name) for name in entry.__slots__})
            if not any(count > 0 for count in self._owed.values()) or loop.time() >= end_s:
                return
            await asyncio.sleep(0.05)

    async def _command(self, command: str, rest: str) -> None:
        if command == "/as":
            self._become(rest)
        elif command == "/channel":
            self._enter(rest)
        elif command == "/event":
            event, _, key = rest.partition(" ")
            fields = {"EventKey": key.strip()} if key.strip() else {}
            self._show(await self._sandbox.event(self._channel, self._user_id, event, **fields))
        elif command == "/people":
            for user_id, name in self._people[self._channel].items():
                self._write(f"  {name} ({user_id})")
        else:
            self._write(_HELP)

    def _become(self, who: str) -> None:
        if not who:
            raise RefusedError("/as needs a name or id")
        people = self._people[self._channel]
        found = [user_id for user_id, name in people.items() if who in (user_id, name)]
        self._user_id = found[0] if found else who

    def _enter(self, channel: str) -> None:
        if channel not in self._people:
            raise RefusedError(f"no channel {channel!r}; there are: {', '.join(self._people)}")
        self._channel = channel

    def _show(self, outcome: Outcome) -> None:
        key = (self._channel, self._user_id)
        self._owed.setdefault(key, 0)
        for part in outcome.parts:
            self._write(f"bot → {self._name(*key)}: {_clean(part.text)}")
        if outcome.status == "acknowledged":
            self._owed[key] += 1
            self._write("· 已收到，没有当场回答 acknowledged")
        elif outcome.status != "answered":
            self._write(f"! {outcome.status}: {outcome.problem} (HTTP {outcome.http_status or '–'})")
        if outcome.attempts > 1:
            self._write(f"· 共投递 {outcome.attempts} 次 delivered {outcome.attempts} times")

    def _show_active(self, entry: dict[str, Any]) -> None:
        if entry["route"] != "active" or entry["id"] in self._printed:
            return
        self._printed.add(entry["id"])
        key = (entry["channel"], entry["user_id"])
        if key in self._owed:
            self._owed[key] -= 1
        note = f" [{entry['status']}]" if entry["status"] != "received" else ""
        self._write(f"bot → {self._name(*key)}: {_clean(entry['text'])}  (主动消息 active){note}")

    def _name(self, channel: str, user_id: str) -> str:
        return self._people.get(channel, {}).get(user_id, user_id)


async def run_terminal(
    target: str | Sandbox,
    *,
    lines: AsyncIterator[str] | None = None,
    write: Callable[[str], None] = print,
    linger_s: float = 3.0,
) -> None:
    """Chat until the input ends.

    `target` is the address of a running server (scheme://host:port) or a sandbox of this process. Lines
    come from standard input unless given; a prompt is shown only on a terminal.

    Raises:
        RefusedError: no sandbox answers there, or it has no channel.
    """
    interactive = lines is None and sys.stdin.isatty()
    async with AsyncExitStack() as stack:
        if isinstance(target, str):
            base = target
        else:
            base = (await stack.enter_async_context(SandboxServer(sandbox=target))).api_base
        sandbox = await stack.enter_async_context(RemoteSandbox(base))
        chat = TerminalChat(sandbox, write, linger_s=linger_s)
        await chat.open()
        if interactive:
            write(_HELP)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(chat.listen())
            await _converse(chat, lines or _standard_input(), interactive=interactive)
            await chat.finish()
            listening.cancel()


async def _converse(chat: TerminalChat, lines: AsyncIterator[str], *, interactive: bool) -> None:
    while True:
        if interactive:
            sys.stdout.write(chat.prompt)
            sys.stdout.flush()
        line = await anext(lines, None)
        if line is None or not await chat.take(line):
            return


async def _standard_input() -> AsyncIterator[str]:
    """Yield the lines of standard input.

    A daemon thread reads them: it blocks where the loop must not, and does not hold up the exit.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the loop has ended before the input did
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="standard-input", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line


def _clean(text: str) -> str:
    """Return `text` without the control characters by which an answer could steer the terminal."""
    return _CONTROL.sub("", text)
