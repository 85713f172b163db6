"""Within one chat, effects follow the order in which the messages were received (contract, promise 7)."""

from __future__ import annotations

import asyncio


class Place:
    """One event's place in its chat's order; `leave` lets the next one go."""

    __slots__ = ("_before", "_chat", "_done", "_order")

    def __init__(self, order: ChatOrder, chat: str, before: asyncio.Future[None] | None) -> None:
        self._order = order
        self._chat = chat
        self._before = before
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float) -> bool:
        """Wait for the event before, at most `seconds`: one that hangs must not silence the chat.

        Returns:
            Whether there was one to wait for.
        """
        before, self._before = self._before, None
        if before is None or before.done():
            return False
        await asyncio.wait((before,), timeout=seconds)
        return True

    def leave(self) -> None:
        """Let the next event of the chat go; doing it twice is harmless."""
        if not self._done.done():
            self._done.set_result(None)
        self._order.forget(self._chat, self)

    @property
    def done(self) -> asyncio.Future[None]:
        """Done when the event has left its place."""
        return self._done


class ChatOrder:
    """Gives every event of a chat a place behind the one received before it, in this process.

    Across processes the order of receipt is the order in which Redis runs the acts.
    """

    def __init__(self) -> None:
        self._last: dict[str, Place] = {}

    def enter(self, chat: str) -> Place:
        """Return a place behind all earlier events of the chat."""
        before = self._last.get(chat)
        place = Place(self, chat, before.done if before is not None else None)
        self._last[chat] = place
        return place

    def forget(self, chat: str, place: Place) -> None:
        """Drop a chat whose last event has left."""
        if self._last.get(chat) is place:
            del self._last[chat]
