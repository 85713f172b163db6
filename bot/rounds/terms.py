"""How each game is played in each community: `content/games.yaml`, or as the configuration says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import ValidationError

from bot.config import GameTerms
from bot.config.values import did_you_mean
from bot.errors import ConfigError, Fault
from bot.model import Community
from bot.rounds.play import Game, SettingError
from bot.yaml_tree import read_yaml

_DEFAULT_LIFE_S = 3600
_FILE = "games.yaml"


@dataclass(frozen=True, slots=True)
class Terms:
    """How one game is played in one community.

    Attributes:
        life_s: How long a round lives where nobody says otherwise, seconds.
        most_open: Rounds of the game at a time in one place.
        cool_down_s: How long the game rests in a place after a round, seconds.
        plays_per_day: Rounds a member may play per community-day; 0 is no limit.
        won_per_day: Points a member may win in the game per community-day before they may enter no more
            rounds; 0 is no limit.
        settings: The game's own settings where a round does not name others.
    """

    life_s: int
    most_open: int
    cool_down_s: int
    plays_per_day: int
    won_per_day: int
    settings: Mapping[str, Any]


class TermsBook:
    """The terms of every game."""

    def __init__(self, defaults: Mapping[str, GameTerms]) -> None:
        """Hold the product's `defaults` by game; a game without any has the rules' own."""
        self._defaults = defaults
        self._known: dict[tuple[str, str], Terms] = {}

    @property
    def games(self) -> frozenset[str]:
        """The games that have defaults."""
        return frozenset(self._defaults)

    def of(self, community: Community, game: str) -> Terms:
        """Return the terms of a game in a community; its own go before the product's, one by one."""
        name = (community.id, game)
        found = self._known.get(name)
        if found is None:  # the configuration never changes while we run
            found = self._known[name] = self._terms(community, game)
        return found

    def _terms(self, community: Community, game: str) -> Terms:
        known = self._defaults.get(game, GameTerms()).model_dump(exclude_none=True)
        own = community.games.own.get(game, {})
        both: dict[str, Any] = {**known, **own}
        settings = {**known.get("settings", {}), **_mapping(own.get("settings"))}
        return Terms(
            life_s=both.get("life_s", _DEFAULT_LIFE_S),
            most_open=both.get("most_open", 1),
            cool_down_s=both.get("cool_down_s", 0),
            plays_per_day=both.get("plays_per_day", 0),
            won_per_day=both.get("won_per_day", 0),
            settings=settings,
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def load_terms(folder: Traversable | None = None) -> TermsBook:
    """Load ``games.yaml`` of a folder, by default of `content/`.

    Raises:
        ConfigError: Something in it is wrong; all of it at once.
    """
    file = (files("content") if folder is None else folder) / _FILE
    document = read_yaml(file.read_bytes())
    faults = [
        Fault(f"content/{_FILE}:{found.line}", ".".join(map(str, found.path)), found.problem, found.cure)
        for found in document.findings
    ]
    terms: dict[str, GameTerms] = {}
    for game, section in _mapping(document.tree).items():
        try:
            terms[game] = GameTerms.model_validate(section)
        except ValidationError as error:
            for wrong in error.errors(include_url=False, include_input=False):
                key = (game, *wrong["loc"])
                line = document.line_of(key)
                path = ".".join(map(str, key))
                faults.append(Fault(f"content/{_FILE}:{line}", path, wrong["msg"]))
    if faults:
        raise ConfigError(faults)
    return TermsBook(terms)


def check_terms(terms: TermsBook, communities: Iterable[Community], games: Mapping[str, Game]) -> None:
    """Refuse terms that a game does not take, and games of the configuration that nobody offers.

    Raises:
        ConfigError: All such faults.
    """
    faults = [fault for community in communities for fault in _faults_of_community(terms, community, games)]
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))


def _faults_of_community(
    terms: TermsBook, community: Community, games: Mapping[str, Game]
) -> Iterator[Fault]:
    named = {*community.games.off, *community.games.own}
    for name in sorted(named - games.keys() - terms.games):
        path = f"communities[{community.id}].games"
        cure = did_you_mean(name, {*games, *terms.games})
        yield Fault("configuration", path, f"there is no game {name}", cure)
    for name, game in games.items():
        try:
            game.play.prepare(terms.of(community, name).settings)
        except SettingError as error:
            own = error.setting in _mapping(community.games.own.get(name, {}).get("settings"))
            where = "configuration" if own else f"content/{_FILE}"
            path = f"communities[{community.id}].games.own.{name}" if own else name
            yield Fault(where, f"{path}.settings.{error.setting}", error.problem, error.cure)
