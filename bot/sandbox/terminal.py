"""``run.py sandbox``: the chat in a terminal, by hand or with piped lines.

你好                 say it as the chosen person; in a group it mentions the bot
/as 小明             speak as somebody else, by name or id; a new id is added
/channel oa          change the channel
/group 鲜奶福利群    speak in a group, by name or id; alone it goes back to the direct chat
/quiet 早上好        say it in the group without mentioning the bot
/event subscribe [EventKey]
/people, /groups, /help, /quit
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import aiohttp

from bot.errors import RefusedError
from bot.sandbox.remote import RemoteSandbox
from bot.sandbox.room import Entry
from bot.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from bot.sandbox.courier import Outcome
    from bot.sandbox.vendor import Sandbox

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_HELP = "/as 谁 · /channel 渠道 · /group 群 · /quiet 不@机器人的话 · /event 事件 · /people · /groups · /quit"
_LATER = {"active": "主动消息 active", "response_url": "晚到的回答 late"}
_COMMANDS = frozenset(
    {"/as", "/channel", "/group", "/quiet", "/event", "/people", "/groups", "/help"}
)  # fmt: skip


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
        self._groups: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}  # channel → id → name, members
        self._channel = ""
        self._user_id = ""
        self._group = ""
        self._printed: set[int] = set()
        # (channel, person, group) → answers that may still come later
        self._owed: dict[tuple[str, str, str], int] = {}

    @property
    def prompt(self) -> str:
        """What stands before the cursor: person@channel, and the group with its size."""
        name, members = self._groups.get(self._channel, {}).get(self._group, ("", ()))
        where = f" {name}({len(members)})" if self._group else ""
        return f"{self._name(self._channel, self._user_id)}@{self._channel}{where}> "

    async def open(self) -> None:
        """Learn channels and people, and choose the first of each.

        Raises:
            RefusedError: the sandbox is away or has no channel.
        """
        state = await self._sandbox.state()
        if not state["channels"]:
            raise RefusedError("the sandbox has no channel: configure a wecom_app or wechat_oa channel")
        for channel in state["channels"]:
            name = channel["name"]
            self._people[name] = {member["id"]: member["name"] for member in channel["members"]}
            self._groups[name] = {
                group["id"]: (group["name"], tuple(group["members"])) for group in channel["groups"]
            }
            for member in channel["members"]:
                self._skip(await self._sandbox.transcript(name, member["id"]))
            for group in channel["groups"]:
                self._skip(await self._sandbox.transcript(name, group=group["id"]))
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
            if command in _COMMANDS:
                await self._command(command, rest.strip())
            else:
                await self._say(line)
        except RefusedError as error:
            self._write(f"! {error}")
        return True

    async def listen(self) -> None:
        """Print active sends as they come, until cancelled."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async for event, data in self._sandbox.changes():
                if event == "snapshot":  # what came since `open` stands only there
                    for channel in data["channels"]:
                        for entry in channel["entries"]:
                            self._show_later(Entry(**entry))
                elif event == "entry":
                    self._show_later(Entry(**data))
                elif event == "member":
                    self._people[data["channel"]][data["member"]["id"]] = data["member"]["name"]
                elif event == "group":
                    group = data["group"]
                    self._groups[data["channel"]][group["id"]] = (group["name"], tuple(group["members"]))

    async def finish(self) -> None:
        """Print the active sends that belong to what was said, waiting `linger_s` for those still owed."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._linger_s
        while True:
            for channel, user_id, group in list(self._owed):
                for entry in await self._sandbox.transcript(channel, user_id, group=group):
                    self._show_later(entry)
            if not any(count > 0 for count in self._owed.values()) or loop.time() >= end_s:
                return
            await asyncio.sleep(0.05)

    async def _command(self, command: str, rest: str) -> None:
        if command == "/as":
            self._become(rest)
        elif command == "/channel":
            self._enter(rest)
        elif command == "/group":
            self._join(rest)
        elif command == "/quiet":
            await self._say_quietly(rest)
        elif command == "/event":
            event, _, key = rest.partition(" ")
            fields = {"EventKey": key.strip()} if key.strip() else {}
            self._show(await self._sandbox.event(self._channel, self._user_id, event, **fields))
        elif command == "/people":
            for user_id, name in self._people[self._channel].items():
                self._write(f"  {name} ({user_id})")
        elif command == "/groups":
            for group_id, (name, members) in self._groups[self._channel].items():
                self._write(f"  {name} ({len(members)}) {group_id}")
        else:
            self._write(_HELP)

    async def _say(self, text: str) -> None:
        self._show(await self._sandbox.say(self._channel, self._user_id, text, group=self._group))

    async def _say_quietly(self, text: str) -> None:
        if not self._group or not text:
            raise RefusedError("/quiet needs words, and a group: choose one with /group")
        await self._sandbox.say(self._channel, self._user_id, text, group=self._group, mention=False)
        self._write("· 机器人看不到未@它的消息 not heard by the bot")

    def _become(self, who: str) -> None:
        if not who:
            raise RefusedError("/as needs a name or id")
        people = self._people[self._channel]
        found = [user_id for user_id, name in people.items() if who in (user_id, name)]
        self._user_id = found[0] if found else who

    def _enter(self, channel: str) -> None:
        if channel not in self._people:
            raise RefusedError(f"no channel {channel!r}; there are: {', '.join(self._people)}")
        self._channel, self._group = channel, ""

    def _join(self, which: str) -> None:
        groups = self._groups[self._channel]
        found = [group_id for group_id, (name, _) in groups.items() if which in (group_id, name)]
        if which and not found:
            known = ", ".join(name for name, _ in groups.values()) or "none"
            raise RefusedError(f"no group {which!r} in {self._channel}; there are: {known}")
        self._group = found[0] if which else ""
        members = groups[self._group][1] if self._group else ()
        if members and self._user_id not in members:
            self._user_id = members[0]

    def _skip(self, entries: Iterable[Entry]) -> None:
        """Never print what was said before."""
        self._printed.update(entry.id for entry in entries)

    def _show(self, outcome: Outcome) -> None:
        key = (self._channel, self._user_id, self._group)
        self._owed.setdefault(key, 0)
        for part in outcome.parts:
            self._write(f"bot → {self._whom(*key)}: {_clean(part.text)}")
        if outcome.status == "acknowledged":
            self._owed[key] += 1
            self._write("· 已收到，没有当场回答 acknowledged")
        elif outcome.status != "answered":
            self._write(f"! {outcome.status}: {outcome.problem} (HTTP {outcome.http_status or '–'})")
        if outcome.attempts > 1:
            self._write(f"· 共投递 {outcome.attempts} 次 delivered {outcome.attempts} times")

    def _show_later(self, entry: Entry) -> None:
        """Print what reached a chat without being the answer at once."""
        if entry.route not in _LATER or entry.status == "writing" or entry.id in self._printed:
            return
        self._printed.add(entry.id)
        key = (entry.channel, entry.user_id, entry.group_id)
        if key in self._owed:
            self._owed[key] -= 1
        note = f" [{entry.status}]" if entry.status != "received" else ""
        self._write(f"bot → {self._whom(*key)}: {_clean(entry.text)}  ({_LATER[entry.route]}){note}")

    def _whom(self, channel: str, user_id: str, group: str) -> str:
        if not group:
            return self._name(channel, user_id)
        name = self._groups.get(channel, {}).get(group, (group, ()))[0]
        return f"{name} @{self._name(channel, user_id)}" if user_id else name

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
