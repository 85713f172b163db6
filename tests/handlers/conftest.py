"""Chats for the dialogues: the product's own features, and Ana as manager."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

import pytest

from bot.testing import FakeChat, Stores
from run import ROUTERS


class OpenChat(Protocol):
    """Opens a chat as `FakeChat` does, with every feature of the product."""

    def __call__(self, **settings: object) -> FakeChat: ...


@pytest.fixture
def open_chat(stores: Stores) -> OpenChat:
    return partial(FakeChat, ROUTERS, stores=stores)


@pytest.fixture
async def chat(open_chat: OpenChat) -> AsyncIterator[FakeChat]:
    """A chat at noon of Monday, 2 March 2026, in Shanghai; Ana is a manager."""
    async with open_chat(managers=["ana"]) as chat:
        yield chat
