"""``run.py check`` beyond the configuration file: do routers, texts and greetings fit together?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from urllib.parse import urlsplit

from bot import work
from bot.catalog import Catalog
from bot.channels import abilities_of_channel
from bot.communities import Communities
from bot.config import Config, resolve_communities
from bot.delivery.ability_words import sentences
from bot.errors import ConfigError, Fault
from bot.rounds.terms import check_terms, load_terms
from bot.routing import middleware
from bot.routing.dispatcher import Dispatcher
from bot.routing.normalise import Normaliser
from bot.routing.router import Router
from bot.text_keys import TextKey, text_keys
from bot.wiring import MIDDLEWARES, check_welcomes

_PLATFORM_PATIENCE_S = 5.0  # WeCom and WeChat, passive replies
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_program(config: Config, routers: Sequence[Router], catalog: Catalog) -> tuple[str, ...]:
    """Check what the configuration file alone cannot show; return warnings, each one line.

    Raises:
        ConfigError: Two commands share a word, a handler asks for a text that is not there or needs other
            values, or a greeting names an unknown variable; all such faults at once.
    """
    communities = Communities(resolve_communities(config))
    faults = [
        *_faults_of(lambda: Dispatcher(routers, MIDDLEWARES, Normaliser())),
        *_faults_of(lambda: check_welcomes(communities)),
        *_faults_of(lambda: _check_games(communities, routers)),
    ]
    for asked in text_keys((*_modules_of(routers), middleware, work)):
        faults += _text_faults(asked, catalog)
    if faults:
        raise ConfigError(faults)
    return tuple(_warnings(config, communities))


def describe_channels(config: Config) -> Iterator[str]:
    """Yield, line by line, what each channel can do and cannot do, in Chinese and English."""
    for channel in config.channels:
        said = sentences(abilities_of_channel(channel))
        mode = getattr(channel, "mode", "")
        yield f"{channel.name} ({channel.kind}{f', {mode}' if mode else ''})"
        for title, lines in (
            ("能做 / can", (*said.can_zh, *said.can)),
            ("不能 / cannot", (*said.cannot_zh, *said.cannot)),
        ):
            yield f"  {title}:"
            yield from (f"    - {line}" for line in lines)


def _check_games(communities: Communities, routers: Sequence[Router]) -> None:
    games = {game.play.name: game for router in routers for game in router.games}
    check_terms(load_terms(), communities, games)


def _faults_of(attempt: Callable[[], object]) -> list[Fault]:
    try:
        attempt()
    except ConfigError as error:
        return error.faults
    return []


def _modules_of(routers: Iterable[Router]) -> list[ModuleType]:
    """Return the modules in which the routers' handlers are defined, in order."""
    modules: dict[str, ModuleType] = {}
    for router in routers:
        functions = (
            *(command.handler for command in router.commands),
            *(finder for _, finder in router.finders),
            *(step.route.handler for step in router.steps),
            *(handler for _, _, handler in router.reports),
            *(
                part
                for game in router.games
                for part in (game.tell, game.start, game.heard, game.announce)
                if part
            ),
        )
        for function in functions:
            name = getattr(function, "__module__", "")
            if name in sys.modules:
                modules[name] = sys.modules[name]
    return list(modules.values())


def _text_faults(asked: TextKey, catalog: Catalog) -> list[Fault]:
    if asked.begins:
        if any(key.startswith(asked.key) for key in catalog.keys):
            return []
        cure = "add such texts to every language under content/"
        return [Fault(asked.where, f"{asked.key}…", "no text begins so", cure)]
    try:
        catalog.require([asked.key] if asked.values is None else {asked.key: asked.values})
    except ConfigError as error:
        return [
            Fault(fault.where, fault.path, f"{fault.problem}; asked for in {asked.where}", fault.cure)
            for fault in error.faults
        ]
    return []


def _warnings(config: Config, communities: Communities) -> Iterator[str]:
    if not config.channels:
        yield "channels: there is none, so nobody can talk to the bot"
    for channel in config.channels:
        path = f"channels[{channel.name}]"
        field = "ws_base" if getattr(channel, "mode", "") == "long_connection" else "api_base"
        local = urlsplit(getattr(channel, field)).hostname in _LOOPBACK
        if not abilities_of_channel(channel).can_send:
            yield f"{path}.secret is empty: answers that come late or need a second message are not sent"
        if local and not config.sandbox.enabled:
            yield f"{path}.{field} is this machine, but the sandbox is off: nobody may answer there"
        if not local and config.sandbox.enabled:
            yield f"{path}.{field} is the vendor's, but the sandbox is on: what is sent leaves this machine"
    if config.server.soft_deadline_s >= _PLATFORM_PATIENCE_S:
        yield (
            f"server.soft_deadline_s is {config.server.soft_deadline_s:g}: platforms wait "
            f"{_PLATFORM_PATIENCE_S:g} s, then they repeat the callback"
        )
    for community in communities:
        if not community.managers:
            yield f"communities[{community.id}].managers is empty: nobody can use the managers' commands"
