"""What a handler may see and touch: one typed object, completed by any editor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from bot.day import CommunityCalendar, Day
from bot.model import Community, Event, Reply, Turn
from bot.routing.normalise import strip_mentions
from bot.routing.words import words_of
from bot.storage.redis.conversations import Conversation, turn_to

if TYPE_CHECKING:
    from bot.catalog import Catalog
    from bot.rounds.desk import Desk
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
        rounds: Where rounds of games are begun, played and ended.
        catalog: The texts of answers.
        commands: Every command: (words, whether it is for managers).
        command_words: Every word that is a command, in normal form.
        steps: Every step of a conversation that some router answers.
        normaliser: Brings texts to the form they are compared in.
        conversation: What the bot talks about with this member here; None for nothing. With a command it
            is what the command came in between.
        word: The command word that matched; `rest` what followed it, as written.
        personal: Whether the answer is about the sender, so that in a group it begins with their name.
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
    rounds: Desk
    catalog: Catalog
    keywords: KeywordIndex
    commands: tuple[tuple[tuple[str, ...], bool], ...]
    command_words: frozenset[str]
    steps: frozenset[str]
    normaliser: Normaliser
    conversation: Conversation | None = None
    word: str = ""
    rest: str = ""
    for_managers: bool = False
    personal: bool = False
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

    @property
    def said(self) -> str:
        """The words as sent, character for character, without a mention of the bot; empty for none."""
        return strip_mentions(words_of(self.event.content)).strip()

    def ask(
        self,
        said: Reply | str,
        *,
        step: str,
        data: Mapping[str, object] | None = None,
        expires_s: int = 300,
    ) -> Reply:
        """Return a reply that asks the member something: what they say next goes to `step`.

        Args:
            said: The question.
            step: Name of the step that answers (`Router.step`).
            data: What `ctx.conversation.data` will be there: a JSON object of at most 8192 bytes.
            expires_s: How many seconds the bot waits, 1 to 86400; then the conversation counts no more.

        Raises:
            ValueError: No router has the step, `data` or `expires_s` is out of bounds, or there is nobody
                who could answer.
        """
        if step not in self.steps:
            raise ValueError(f"no router has a step {step!r}")
        if not self.event.user_id:
            raise ValueError("there is nobody to ask")
        return replace(_reply(said), turn=turn_to(step, data or {}, expires_s))

    def end(self, said: Reply | str) -> Reply:
        """Return a reply that ends the conversation, if there is one."""
        return replace(_reply(said), turn=Turn())

    def text(self, key: str, **values: str | int) -> str:
        """Return a text of `content/` in the language of the answer, its `{variables}` filled in."""
        return self.catalog.text(self.language, key, pick_by=self.event.id, **values)

    def say(self, key: str, **values: str | int) -> Reply:
        """Return a reply of one text of `content/`."""
        return Reply.text(self.text(key, **values))


def _reply(said: Reply | str) -> Reply:
    return Reply.text(said) if isinstance(said, str) else said
