"""What a handler may see and touch: one typed object, completed by any editor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bot.day import CommunityCalendar, Day
from bot.model import Community, Event, Reply
from bot.routing.words import words_of

if TYPE_CHECKING:
    from bot.catalog import Catalog
    from bot.routing.keyword_index import KeywordIndex
    from bot.routing.normalise import Normaliser
    from bot.routing.stores import Stores
    from bot.storage.redis.inbox import Taken, Ticket


class Question(NamedTuple):
    """A text before any state was asked: what finders look at.

    `text` is normalised (width, script, case, spaces, mentions); the words as sent are in the event.
    """

    event: Event
    community: Community
    calendar: CommunityCalendar
    text: str
    keywords: KeywordIndex


@dataclass(slots=True)
class Context:
    """One event on its way through its handler.

    Attributes:
        event: What happened.
        community: Where it counts.
        calendar: The community's days.
        ticket: The event's names in the stores, and its community-day (`day`).
        taken: What the inbox knew of it.
        now_ms: When this delivery was received, Unix ms.
        stores: Everything with state.
        catalog: The texts of answers.
        commands: Every command: (words, whether it is for managers).
        command_words: Every word that is a command, in normal form.
        normaliser: Brings texts to the form they are compared in.
        word: The command word that matched; `rest` what followed it, as written.
        language: What to answer in.
        is_manager: Whether the sender has the manager role here.
        stream: The name of the stream that will show the answer should it be late; empty for none.
    """

    event: Event
    community: Community
    calendar: CommunityCalendar
    ticket: Ticket
    taken: Taken
    now_ms: int
    stores: Stores
    catalog: Catalog
    keywords: KeywordIndex
    commands: tuple[tuple[tuple[str, ...], bool], ...]
    command_words: frozenset[str]
    normaliser: Normaliser
    word: str = ""
    rest: str = ""
    for_managers: bool = False
    language: str = "zh-CN"
    is_manager: bool = False
    stream: str = ""

    @property
    def day(self) -> Day:
        """The community-day on which the event counts."""
        return self.ticket.day

    @property
    def rest_as_sent(self) -> str:
        """What followed the command word, character for character as sent, ends trimmed."""
        return self.normaliser.rest_as_sent(words_of(self.event.content))

    async def show(self, text: str) -> None:
        """Show `text`, the whole of the answer so far, to whoever waits for it, cut to 20480 bytes.

        For handlers that take long. People see it only where the channel polls for answers (AI bot);
        elsewhere it does nothing. The reply that the handler returns takes its place.
        """
        if self.stream:
            await self.stores.streams.show(self.stream, text)

    def text(self, key: str, **values: str | int) -> str:
        """Return a text of `content/` in the language of the answer, its `{variables}` filled in."""
        return self.catalog.text(self.language, key, pick_by=self.event.id, **values)

    def say(self, key: str, **values: str | int) -> Reply:
        """Return a reply of one text of `content/`."""
        return Reply.text(self.text(key, **values))
