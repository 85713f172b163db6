"""Puts the rules of a game (`games/`) behind what the life of its rounds needs of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.rounds.play import IllegalPlayError, Prepared, Result, SettingError, Settled
from bot.storage.redis.rounds import Paid, PlayedMove
from games.fairness import commitment, player_mark
from games.rules import BadSettingError, End, IllegalMoveError, Move, Rules

_NO_CONDITIONS: Mapping[str, object] = {}


class RulesInPlay:
    """The rules of one game, in play; see `bot.rounds.play.Play`."""

    def __init__(self, rules: Rules[Any, Any], *, listens: bool = False, conditions: bool = False) -> None:
        """Play by `rules`.

        With `listens` the setting ``word`` is what a round listens to. With `conditions` the settings
        ``checked_in`` (whether only who has checked in today may enter) and ``member_days`` (for how many
        days at least) are the round's, and not passed to the rules.
        """
        self.rules = rules
        self.name = rules.name
        self.once = rules.once
        self.drawn = rules.mixed
        self._listens = listens
        self._conditions = conditions

    def prepare(self, given: Mapping[str, object]) -> Prepared:
        """Check the settings of a round."""
        conditions, own = self._split(given)
        settings = self._settings(own)
        values = {**asdict(settings), **conditions}
        word = values.get("word", "") if self._listens else ""
        return Prepared(
            settings=json.dumps(values, ensure_ascii=False),
            pot=self.rules.pot(settings),
            word=str(word),
            checked_in=bool(conditions.get("checked_in", False)),
            member_days=int(str(conditions.get("member_days", 0))),
            stake=int(str(values.get("entry", 0))),
        )

    def conditions(self, settings: str) -> tuple[bool, int]:
        """Return ``checked_in`` and ``member_days`` of a round's settings."""
        values = json.loads(settings)
        return values.get("checked_in", False), values.get("member_days", 0)

    def commitment(self, seed: bytes) -> str:
        """Return what is published of a seed."""
        return commitment(seed)

    def mark(self, round_id: str, member: str) -> str:
        """Return what a member is called in the published list of moves."""
        return player_mark(round_id, member)

    def open(self, settings: str, seed: bytes, round_id: str) -> Any:
        """Return the state before the first move."""
        return self.rules.open(self.read(settings), seed, round_id)

    def seats(self, state: Any) -> tuple[int, ...]:
        """Return the points of each seat."""
        return self.rules.seats(state)

    def entry(self, settings: str, said: str, stake: int) -> tuple[str, int]:
        """Return a move as the rules write it, and what the house must hold back."""
        try:
            entry = self.rules.entry(self.read(settings), said, stake)
        except IllegalMoveError as error:
            raise IllegalPlayError(error.word, error.values) from None
        return entry.said, entry.house

    def apply(self, state: Any, move: PlayedMove) -> tuple[Any, Result]:
        """Apply one move."""
        played = Move(move.number, move.member, move.at_ms, move.said, move.stake)
        after, outcome = self.rules.play(state, played)
        return after, Result(outcome.word, outcome.values)

    def is_over(self, state: Any) -> bool:
        """Return whether the round is decided."""
        return self.rules.is_over(state)

    def settle(self, state: Any, end: str) -> Settled:
        """Return how the round ends now."""
        settlement = self.rules.settle(state, End(end))
        awards = tuple(Paid(award.member, award.points, award.why) for award in settlement.awards)
        return Settled(awards, dict(settlement.facts))

    # ------------------------------------------------------------ settings

    def _split(self, given: Mapping[str, object]) -> tuple[Mapping[str, object], dict[str, object]]:
        """Return the entry conditions, checked, and the settings that the rules know."""
        if not self._conditions:
            return _NO_CONDITIONS, dict(given)
        own = dict(given)
        checked_in, days = own.pop("checked_in", False), own.pop("member_days", 0)
        if not isinstance(checked_in, bool):
            raise SettingError("checked_in", "is neither true nor false", "true, or leave it out")
        if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= 3650:
            raise SettingError("member_days", "is not such a number", "a whole number from 0 to 3650")
        return {"checked_in": checked_in, "member_days": days}, own

    def _settings(self, own: Mapping[str, object]) -> Any:
        try:
            return self.rules.settings(own)
        except BadSettingError as error:
            raise SettingError(error.setting, error.problem, error.cure) from None

    def read(self, settings: str) -> Any:
        """Return settings as they were stored; the rules take them as they gave them."""
        return self._settings(self._split(json.loads(settings))[1])
