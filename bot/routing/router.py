"""Routers: which handler answers what; one object per feature, named in one list in `run.py`.

A handler is a coroutine of one `Context` that returns what to say, or None for nothing. A *finder* is a
plain function of one `Question` that looks at a text before Redis is asked; what it finds may already be the
answer, which then leaves with the event's first and only round trip.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bot.model import Content, Reply
from bot.rounds.play import Game

if TYPE_CHECKING:
    from bot.routing.context import Context, Question

_SIGNS = "/#／＃"

Handler = Callable[["Context"], Awaitable[Reply | None]]


class Route(NamedTuple):
    """What is to be done with an event.

    Attributes:
        name: ``router.handler``, for logs and metrics.
        handler: What answers it; None when nobody does, or when `constant` is the answer.
        constant: The answer, where it depends on nothing but the text.
        word: The command word as it was registered; empty for other routes.
        rest: What followed the command word, as the member wrote it.
        for_managers: Whether only members with the manager role may do it.
        step: The step of a conversation that this is an answer to; empty for other routes.
        personal: Whether the answer is about who asks; in a group it then begins with their name.
    """

    name: str
    handler: Handler | None = None
    constant: Reply | None = None
    word: str = ""
    rest: str = ""
    for_managers: bool = False
    step: str = ""
    personal: bool = False


NOBODY = Route("nobody")

Finder = Callable[["Question"], Route | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as registered: its words, the first of which is its name."""

    name: str
    words: tuple[str, ...]
    handler: Handler
    takes_text: bool
    for_managers: bool
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a conversation as registered; `takes` are the kinds of content it answers beside texts."""

    route: Route
    takes: frozenset[type[Content]]


class Router:
    """The routes of one feature.

    Example::

        router = Router("dice")

        @router.command("骰子", "掷骰子", takes_text=True)
        async def roll(ctx: Context) -> Reply: ...
    """

    def __init__(self, name: str) -> None:
        """Name the feature, as logs and metrics show it."""
        self.name = name
        self.commands: list[Command] = []
        self.finders: list[tuple[str, Finder]] = []
        self.steps: list[Step] = []
        self.reports: list[tuple[type[Content], str, Handler]] = []
        self.games: list[Game] = []

    def command(
        self, *words: str, takes_text: bool = False, for_managers: bool = False, personal: bool = False
    ) -> Callable[[Handler], Handler]:
        """Answer a command: the whole message is one of `words`, or with `takes_text` begins with it.

        The answer of a `personal` one is about who asks, so that in a group it begins with their name.

        Raises:
            ValueError: No word, a word with a space in it, or one that begins with a sign that is taken off
                every message (`/` or `#`), so that it would never be met.
        """
        if not words or any(len(word.split()) != 1 or word[0] in _SIGNS for word in words):
            raise ValueError(
                f"router {self.name}: a command needs words without spaces, / or # in front, not {words}"
            )

        def register(handler: Handler) -> Handler:
            name = f"{self.name}.{getattr(handler, '__name__', words[0])}"
            self.commands.append(Command(name, words, handler, takes_text, for_managers, personal))
            return handler

        return register

    def step(
        self, name: str, *, takes: Collection[type[Content]] = (), for_managers: bool = False
    ) -> Callable[[Handler], Handler]:
        """Answer what a member says next in a conversation that stands at this step (`Context.ask`).

        `name` is unique over all routers and stays in the store for as long as a conversation waits, such
        as ``quiz.answer``. Beside texts the step gets the kinds of content that `takes` names.

        Raises:
            ValueError: The name is empty or has a space in it.
        """
        if len(name.split()) != 1:
            raise ValueError(f"router {self.name}: a step needs a name without spaces, not {name!r}")

        def register(handler: Handler) -> Handler:
            named = f"{self.name}.{getattr(handler, '__name__', name)}"
            route = Route(named, handler, for_managers=for_managers, step=name, personal=True)
            self.steps.append(Step(route, frozenset(takes)))
            return handler

        return register

    def text(self, finder: Finder) -> Finder:
        """Ask `finder` for texts that are no command, in the order of the routers."""
        self.finders.append((f"{self.name}.{getattr(finder, '__name__', 'text')}", finder))
        return finder

    def game(self, game: Game) -> Game:
        """Offer a game: its rounds are begun, played and ended through `Context.rounds`."""
        self.games.append(game)
        return game

    def on(self, *kinds: type[Content]) -> Callable[[Handler], Handler]:
        """Answer events of these content classes, for example `Subscribed` or `ImageMessage`."""

        def register(handler: Handler) -> Handler:
            name = f"{self.name}.{getattr(handler, '__name__', 'on')}"
            self.reports.extend((kind, name, handler) for kind in kinds)
            return handler

        return register
