"""Questions without stores."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from bot.day import CommunityCalendar
from bot.model import Community, Content, Event, TextMessage
from bot.routing.context import Question
from bot.routing.keyword_index import KeywordIndex
from bot.routing.normalise import Normaliser, strip_mentions

Ask = Callable[[str | Content], Question]
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="session")
def normaliser() -> Normaliser:
    return Normaliser()


@pytest.fixture
def ask(normaliser: Normaliser) -> Ask:
    """Return the question that a text, or anything else that happened, puts to the dispatcher."""
    community = Community("milk", "鲜奶社群", ("app",), SHANGHAI)
    keywords = KeywordIndex.build((), SHANGHAI, normaliser.normalise)

    def make(content: str | Content) -> Question:
        if isinstance(content, str):
            content = TextMessage(content)
        event = Event("app:alice:1", "app", "alice", "ww1", "", 0, content)
        text = normaliser.normalise(strip_mentions(content.text)) if isinstance(content, TextMessage) else ""
        return Question(event, community, CommunityCalendar(SHANGHAI), text, keywords)

    return make
