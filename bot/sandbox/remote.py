"""A sandbox in another process, over its JSON interface: for the terminal and for tests of whole servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from bot.clock import to_ms
from bot.errors import RefusedError
from bot.sandbox.answers import Said
from bot.sandbox.courier import Outcome
from bot.sandbox.room import Entry
from bot.sandbox.vendor import Verification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime


class RemoteSandbox:
    """The sandbox of a running server; an async context."""

    def __init__(self, base: str) -> None:
        """Speak to the server at `base` (scheme://host:port)."""
        self._base = base.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the HTTP client."""
        if self._session is not None:
            await self._session.close()

    async def say(
        self,
        channel: str,
        user_id: str,
        text: str,
        *,
        group: str = "",
        mention: bool = True,
        at: datetime | None = None,
        msg_id: int | None = None,
    ) -> Outcome:
        """Send a text as a person, alone or in a group, and return what came back."""
        body = {
            "text": text, "group": group, "mention": mention, "msg_id": msg_id,
            "at_ms": to_ms(at) if at else None,
        }  # fmt: skip
        return _outcome(await self._post("say", channel, user_id, body))

    async def message(self, channel: str, user_id: str, kind: str, **fields: Any) -> Outcome:
        """Send a message of any type; `fields` carry the vendor's names."""
        return _outcome(await self._post("say", channel, user_id, {"kind": kind, "fields": fields}))

    async def event(self, channel: str, user_id: str, event: str, **fields: Any) -> Outcome:
        """Let something happen (subscribe, CLICK, …)."""
        return _outcome(await self._post("event", channel, user_id, {"event": event, "fields": fields}))

    async def click(
        self,
        entry_id: int,
        button_key: str = "",
        *,
        user_id: str = "",
        selections: Mapping[str, Sequence[str]] | None = None,
    ) -> Outcome:
        """Press a button of the card in a line; see `Sandbox.click`."""
        body = {
            "entry": entry_id, "button_key": button_key, "user_id": user_id,
            "selections": {key: list(ids) for key, ids in (selections or {}).items()}, "wait": True,
        }  # fmt: skip
        return _outcome(await self._ask("POST", "click", json=body))

    async def verify(self, channel: str) -> Verification:
        """Test the callback address of a channel."""
        answer = await self._ask("POST", "verify", json={"channel": channel})
        return Verification(**answer["verification"])

    async def add_fault(self, **fault: Any) -> None:
        """Let an API call of the bot go wrong; the fields are those of `faults.Fault`."""
        await self._ask("POST", "faults", json=fault)

    async def clear_faults(self) -> None:
        """Make every API call work again."""
        await self._ask("DELETE", "faults")

    async def spoil_tokens(self, channel: str, action: str) -> None:
        """Withdraw or expire every access token of a channel."""
        await self._ask("POST", "tokens", json={"channel": channel, "action": action})

    async def state(self) -> dict[str, Any]:
        """Return channels, people, counts and waiting faults."""
        return await self._ask("GET", "state")

    async def transcript(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return what was said, received and told in a direct chat, or in a group, oldest first."""
        params = {"channel": channel, "user_id": user_id, "group": group}
        answer = await self._ask("GET", "transcript", params=params)
        return tuple(Entry(**entry) for entry in answer["entries"])

    async def inbox(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return what reached a person, or a group, not as the answer to a callback, oldest first."""
        entries = await self.transcript(channel, user_id, group=group)
        return tuple(
            entry
            for entry in entries
            if entry.route in {"active", "response_url"} and entry.status in {"received", "truncated"}
        )

    async def heard(self, channel: str, user_id: str = "", *, group: str = "") -> tuple[Entry, ...]:
        """Return everything the bot said there that people can read and that is complete, oldest first."""
        entries = await self.transcript(channel, user_id, group=group)
        return tuple(
            entry for entry in entries if entry.side == "bot" and entry.status in {"received", "truncated"}
        )

    async def changes(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield (snapshot | entry | member, data) as they come, until the server ends the stream."""
        assert self._session is not None
        async with self._session.get(f"{self._base}/sandbox/api/stream") as response:
            event = ""
            async for line in _lines(response.content):
                if line.startswith(b"event: "):
                    event = line.removeprefix(b"event: ").decode()
                elif line.startswith(b"data: "):
                    yield event, orjson.loads(line.removeprefix(b"data: "))

    async def _post(self, act: str, channel: str, user_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        full = {"channel": channel, "user_id": user_id, "wait": True, **body}
        return await self._ask("POST", act, json=full)

    async def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        assert self._session is not None, "use RemoteSandbox as an async context"
        url = f"{self._base}/sandbox/api/{path}"
        try:
            async with self._session.request(method, url, **more) as response:
                raw = await response.read()
        except aiohttp.ClientError as error:
            raise RefusedError(f"no sandbox answers at {self._base}: {type(error).__name__}") from error
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise RefusedError(f"no sandbox at {self._base}: HTTP {response.status}") from None
        if response.status >= 400:
            raise RefusedError(str(answer.get("title", f"HTTP {response.status}")))
        assert isinstance(answer, dict)
        return answer


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length: a snapshot is longer than aiohttp's own limit for a line."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    outcome = dict(answer["outcome"])
    parts = tuple(Said(**part) for part in outcome.pop("parts"))
    return Outcome(parts=parts, **outcome)
