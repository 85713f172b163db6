"""Rounds as this process has replayed them: the same moves give the same state in every process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.rounds.play import Game, Result
from bot.storage.redis.rounds import PlayedMove, Round, Rounds

_KNOWN_ROUNDS = 500  # kept by one process


@dataclass(slots=True)
class Replay:
    """A round as far as this process has replayed it.

    Attributes:
        round: It, as it was when it was read; of its figures only those of its start are right.
        game: Its game.
        state: The game's state after the moves.
        moves: Its moves, in the order of receipt.
        results: What came of each.
        decided_by: The number of the move that decided it; None where none has.
    """

    round: Round
    game: Game
    state: Any
    moves: list[PlayedMove]
    results: list[Result]
    decided_by: int | None = None

    def see(self, moves: Iterable[PlayedMove]) -> None:
        """Apply moves; those seen already are passed over."""
        for move in moves:
            if move.number == len(self.moves):
                self.state, result = self.game.play.apply(self.state, move)
                self.moves.append(move)
                self.results.append(result)
                if self.decided_by is None and self.game.play.is_over(self.state):
                    self.decided_by = move.number


class Replays:
    """What this process has replayed; what is asked for first is kept last."""

    def __init__(self, store: Rounds, games: Mapping[str, Game]) -> None:
        """Read from `store` the rounds of `games` (by name)."""
        self._store = store
        self._games = games
        self._known: OrderedDict[tuple[str, str], Replay] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Future[Replay | None]] = {}

    def forget(self) -> None:
        """Forget everything; whoever asks next reads it anew."""
        self._known.clear()

    async def get(self, community: str, round_id: str) -> Replay | None:
        """Return what this process knows of a round; those who ask for an unknown one share one reading."""
        key = (community, round_id)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.ensure_future(self._read(community, round_id))
            self._reading[key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(reading)

    async def caught_up(self, replay: Replay) -> Replay:
        """Return a replay with all moves; another one where Redis has come back without some that it saw."""
        one, seen = replay.round, len(replay.moves)
        rows = await self._store.moves(one.community, one.id, max(seen - 1, 0))
        if seen and list(rows[:1]) != replay.moves[-1:] and seen == len(replay.moves):
            self._known.pop((one.community, one.id), None)
            state = replay.game.play.open(one.settings, bytes.fromhex(one.seed), one.id)
            replay = self._remember(one, replay.game, state)
            rows = await self._store.moves(one.community, one.id)
        replay.see(rows)
        return replay

    async def _read(self, community: str, round_id: str) -> Replay | None:
        found = await self._store.get(community, round_id)
        game = None if found is None else self._games.get(found.game)
        if found is None or game is None:
            return None
        return self._remember(
            found, game, game.play.open(found.settings, bytes.fromhex(found.seed), found.id)
        )

    def begin(self, begun: Round, game: Game, state: Any) -> None:
        """Remember a round that this process has begun, so that nobody needs to read it."""
        self._remember(begun, game, state)

    def _remember(self, known: Round, game: Game, state: Any) -> Replay:
        replay = Replay(known, game, state, [], [])
        replay = self._known.setdefault((known.community, known.id), replay)
        while len(self._known) > _KNOWN_ROUNDS:
            self._known.popitem(last=False)
        return replay
