"""From a question to its route, and through the middlewares to its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.errors import ConfigError, Fault
from bot.model import Content, Reply, TextMessage
from bot.routing.context import Context, Question
from bot.routing.normalise import Normaliser
from bot.routing.router import NOBODY, Command, Finder, Route, Router
from bot.routing.words import words_of

_log = structlog.get_logger("huoqun")

Next = Callable[[Context], Awaitable[Reply | None]]
Middleware = Callable[[Context, Next], Awaitable[Reply | None]]


class Dispatcher:
    """All routers as one table; immutable once built.

    Attributes:
        commands: Every command: (words, whether it is for managers), in the order of the routers.
        command_words: Every word that is a command, in normal form.
        normaliser: Brings texts to the form they are compared in.
    """

    def __init__(
        self, routers: Sequence[Router], middlewares: Sequence[Middleware], normaliser: Normaliser
    ) -> None:
        """Join the routers' routes.

        Raises:
            ConfigError: Two commands share a word; every such word is named.
        """
        self._middlewares = tuple(middlewares)
        self.normaliser = normaliser
        self._commands = _command_table(routers, normaliser)
        self.command_words = frozenset(self._commands)
        self._finders: tuple[tuple[str, Finder], ...] = tuple(
            named for router in routers for named in router.finders
        )
        self._reports: dict[type[Content], Route] = {}
        for router in routers:
            for kind, name, handler in router.reports:
                self._reports.setdefault(kind, Route(name, handler))
        self.commands = tuple(
            (command.words, command.for_managers) for router in routers for command in router.commands
        )

    def route(self, question: Question) -> Route:
        """Return what is to be done: a command, else the first finder that knows the text, else by kind.

        A finder that fails is logged and passed over.
        """
        content = question.event.content
        if type(content) is TextMessage or question.text:
            # The words of a text and of its normal form correspond one to one, so one look at the first
            # word of the normal form tells almost every message that is no command.
            word = question.text.partition(" ")[0].lstrip("/#")
            if not word or word in self.command_words:  # nothing left of it: the word follows the sign
                route = self._command(words_of(content))
                if route is not None:
                    return route
            for name, finder in self._finders:
                try:
                    found = finder(question)
                except Exception:  # noqa: BLE001 - one feature's fault must not silence the others
                    _log.error(
                        "finder failed", id=question.event.id, finder=name, exc_info=True, private=True
                    )
                    continue
                if found is not None:
                    return found
        return self._reports.get(type(content), NOBODY)

    def _command(self, text: str) -> Route | None:
        word, rest = self.normaliser.command_words(text)
        command = self._commands.get(word)
        if command is None or (rest and not command.takes_text):
            return None
        return Route(
            command.name, command.handler, word=command.words[0], rest=rest, for_managers=command.for_managers
        )

    async def answer(self, context: Context, route: Route) -> Reply | None:
        """Run the route's handler inside the middlewares, the first of the list outermost."""

        async def innermost(ctx: Context) -> Reply | None:
            return route.constant if route.handler is None else await route.handler(ctx)

        step: Next = innermost
        for middleware in reversed(self._middlewares):
            step = _bind(middleware, step)
        return await step(context)


def _bind(middleware: Middleware, following: Next) -> Next:
    async def step(context: Context) -> Reply | None:
        return await middleware(context, following)

    return step


def _command_table(routers: Sequence[Router], normaliser: Normaliser) -> dict[str, Command]:
    table: dict[str, Command] = {}
    faults = []
    for router in routers:
        for command in router.commands:
            for word in command.words:
                known = table.setdefault(normaliser.normalise(word), command)
                if known is not command:
                    faults.append(
                        Fault(
                            where=f"router {router.name}",
                            path=command.name,
                            problem=f"the command {word} is registered already by {known.name}",
                            cure="choose another word, or leave one of the two routers out",
                        )
                    )
    if faults:
        raise ConfigError(faults)
    return table
