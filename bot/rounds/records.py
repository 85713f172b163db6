"""Rounds wherever they are: the live state while they are open and for a while after, then history."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from bot.rounds.play import Game
from bot.rounds.proof import Proof, recompute
from bot.storage.drain import Drain
from bot.storage.redis.rounds import Rounds
from bot.storage.sql.rounds import KnownRound, RoundHistory

_ID = re.compile(r"[0-9a-f]{16}")


class RoundRecords:
    """Looks rounds up and proves them; every method raises `StoreUnavailableError` where a store is away."""

    def __init__(self, store: Rounds, history: RoundHistory, drain: Drain, games: Mapping[str, Game]) -> None:
        """Look in both stores; `games` are those whose rounds can be recomputed."""
        self.history = history
        self._store = store
        self._drain = drain
        self._games = games

    async def get(self, community: str, round_id: str) -> KnownRound | None:
        """Return a round as it is now; None for one that never was."""
        if _ID.fullmatch(round_id) is None:
            return None
        live = await self._store.look(community, round_id)
        if live is not None:
            return KnownRound(*live)
        await self._drain.flush(community)
        return await self.history.get(community, round_id)

    async def proof(self, community: str, round_id: str) -> Proof | None:
        """Return the proof of a round, recomputed where it has ended; None for one that never was."""
        known = await self.get(community, round_id)
        if known is None or known.round.is_open:
            return None if known is None else Proof(known.round, known.moves)
        await self._drain.flush(community)
        known = await self.history.get(community, round_id) or known
        moves = await self.history.moves(community, round_id)
        sums = await self.history.sums(community, round_id)
        game = self._games.get(known.round.game)
        # In a thread: a round may have a hundred thousand moves, and others wait for the loop.
        return await asyncio.to_thread(recompute, known, moves, sums, None if game is None else game.play)
