"""From a question to its route, and through the middlewares to its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.errors import ConfigError, Fault
from bot.model import Content, Reply, TextMessage
from bot.rounds.play import Game
from bot.routing.context import Context, Question
from bot.routing.normalise import Normaliser
from bot.routing.router import NOBODY, Command, Finder, Route, Router, Step
from bot.routing.words import words_of

_log = structlog.get_logger("huoqun")

Next = Callable[[Context], Awaitable[Reply | None]]
Middleware = Callable[[Context, Next], Awaitable[Reply | None]]

CANCEL_WORDS = frozenset({"取消", "退出", "cancel", "quit"})
"""What ends a conversation at any step, in normal form."""


async def _cancel(ctx: Context) -> Reply:
    return ctx.end(ctx.say("conversation.cancelled"))


_CANCELLED = Route("dispatcher.cancel", _cancel, personal=True)


class Dispatcher:
    """All routers as one table; immutable once built.

    Attributes:
        commands: Every command: (words, whether it is for managers), in the order of the routers.
        command_words: Every word that is a command, in normal form.
        steps: Every step of a conversation.
        games: Every game by its name.
        normaliser: Brings texts to the form they are compared in.
    """

    def __init__(
        self, routers: Sequence[Router], middlewares: Sequence[Middleware], normaliser: Normaliser
    ) -> None:
        """Join the routers' routes.

        Raises:
            ConfigError: Two commands share a word, or two steps or two games a name; every such one is named.
        """
        self._middlewares = tuple(middlewares)
        self.normaliser = normaliser
        faults: list[Fault] = []
        self._commands = _command_table(routers, normaliser, faults)
        self._steps = _step_table(routers, faults)
        self.games = _game_table(routers, faults)
        if faults:
            raise ConfigError(faults)
        self.command_words = frozenset(self._commands)
        self.steps = frozenset(self._steps)
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

    def route_in(self, question: Question, step: str) -> Route:
        """Return what is to be done with what a member sends whose conversation stands at `step`.

        A word of `CANCEL_WORDS` ends it, a command is carried out beside it, other words answer the step,
        whatever kind of message carries them.

        Raises:
            KeyError: No router has such a step.
        """
        content = question.event.content
        known = self._steps[step]
        if type(content) is not TextMessage and not question.text:
            return known.route if type(content) in known.takes else self.route(question)
        said = words_of(content)
        word, rest = self.normaliser.command_words(said)
        if word in CANCEL_WORDS and not rest:
            return _CANCELLED
        return self._command(said) or known.route

    def route_heard(self, game: str) -> Route | None:
        """Return what is to be done with a text that an open round of a game listens to; None for nothing."""
        known = self.games.get(game)
        if known is None or known.heard is None:
            return None
        return Route(f"game.{game}", known.heard, personal=True)

    def _command(self, text: str) -> Route | None:
        word, rest = self.normaliser.command_words(text)
        command = self._commands.get(word)
        if command is None or (rest and not command.takes_text):
            return None
        return Route(
            command.name, command.handler, word=command.words[0], rest=rest,
            for_managers=command.for_managers, personal=command.personal,
        )  # fmt: skip

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


def _command_table(
    routers: Sequence[Router], normaliser: Normaliser, faults: list[Fault]
) -> dict[str, Command]:
    """Return every command by its words in normal form; those that clash go to `faults`."""
    table: dict[str, Command] = {}
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
    return table


def _step_table(routers: Sequence[Router], faults: list[Fault]) -> dict[str, Step]:
    """Return every step by its name; those that clash go to `faults`."""
    table: dict[str, Step] = {}
    for router in routers:
        for step in router.steps:
            known = table.setdefault(step.route.step, step)
            if known is not step:
                faults.append(
                    Fault(
                        where=f"router {router.name}",
                        path=step.route.name,
                        problem=f"the step {step.route.step} is registered already by {known.route.name}",
                        cure="choose another name, or leave one of the two routers out",
                    )
                )
    return table


def _game_table(routers: Sequence[Router], faults: list[Fault]) -> dict[str, Game]:
    """Return every game by its name; those that clash go to `faults`."""
    games = [(router.name, game) for router in routers for game in router.games]
    table: dict[str, Game] = {}
    for _, game in games:
        table.setdefault(game.play.name, game)
    faults += [
        Fault(
            where=f"router {router}",
            path=game.play.name,
            problem=f"the game {game.play.name} is registered twice",
            cure="choose another name, or leave one of the two routers out",
        )
        for router, game in games
        if table[game.play.name] is not game
    ]
    return table
