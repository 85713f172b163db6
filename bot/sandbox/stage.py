"""A sandbox in another process as scenarios use it: acts that are not waited for, mishaps, the clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp

from bot.errors import RefusedError
from bot.sandbox.remote import RemoteSandbox


class Stage(RemoteSandbox):
    """The sandbox of a running server, for plays; an async context."""

    async def begin(self, act: str, **body: Any) -> int:
        """Let a person say, do or press something; return the id of its line."""
        answer = await self._ask("POST", act, json=body)
        return int(answer["entry"]["id"])

    async def judge(self, **body: Any) -> None:
        """Let a person judge an answer of the bot."""
        await self._ask("POST", "feedback", json=body)

    async def go_wrong(self, **body: Any) -> None:
        """Let a mishap happen."""
        await self._ask("POST", "faults", json=body)

    async def add_person(self, channel: str, user_id: str, name: str) -> None:
        """Add a person, or rename them."""
        await self._ask("POST", "members", json={"channel": channel, "user_id": user_id, "name": name})

    async def add_group(self, channel: str, group: str, name: str, members: Sequence[str]) -> None:
        """Make a group."""
        body = {"channel": channel, "group": group, "name": name, "members": list(members)}
        await self._ask("POST", "groups", json=body)

    async def move_clock(self, by_s: float) -> None:
        """Move the platforms' clock."""
        await self._ask("POST", "clock", json={"by_s": by_s})

    async def deliveries(self, api_token: str) -> list[dict[str, Any]]:
        """Return the newest deliveries that the product's own API lists."""
        assert self._session is not None
        url, headers = f"{self._base}/api/v1/deliveries", {"Authorization": f"Bearer {api_token}"}
        try:
            async with self._session.get(url, headers=headers, params={"limit": "100"}) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            raise RefusedError(f"the list of deliveries is away: {type(error).__name__}") from error
        if response.status != 200:
            raise RefusedError(
                f"the list of deliveries: HTTP {response.status} {answer.get('title', '')}".rstrip()
            )
        return list(answer["items"])

    async def mend(self) -> None:
        """Take every fault back and set the clock right."""
        await self.clear_faults()
        await self._ask("POST", "clock", json={"reset": True})
