"""Rounds as one event sees them: those of its chat, begun and played in the name of its sender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.day import CommunityCalendar
from bot.model import Community
from bot.rounds.life import Ended, Played, RoundLife
from bot.rounds.orders import Order, Started
from bot.storage.redis.inbox import Standing, Ticket, place_of
from bot.storage.redis.rounds import MoveWord, OpenRound


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a handler begins, plays and ends rounds.

    `open_rounds` are those of the event's chat when it was taken in, of its group before the community's.
    """

    life: RoundLife
    community: Community
    calendar: CommunityCalendar
    ticket: Ticket
    standing: Standing
    now_ms: int
    open_rounds: tuple[OpenRound, ...]

    def open(self, *games: str) -> tuple[OpenRound, ...]:
        """Return the open rounds of these games here, oldest first; of all games where none is named."""
        return tuple(found for found in self.open_rounds if not games or found.game in games)

    async def played(self, *games: str) -> tuple[OpenRound, ...]:
        """Return the rounds in which this event may have a move: the open ones, or the one it moved in.

        An event that comes again finds only the round it moved in, after that has ended too: another one
        that would not take its move then may take it now.
        """
        found = self.open(*games)
        if self.standing is Standing.NEW:
            return found
        ended = (OpenRound(id_, game, "") for id_, game, _ in await self.recent(*games))
        for one in (*found, *ended):
            if await self.life.store.mark(self.community.id, one.id, self.ticket):
                return (one,)
        return found

    async def recent(self, *games: str) -> tuple[tuple[str, str, int], ...]:
        """Return (id, game, ended at in Unix ms) of the last rounds that ended here, newest first."""
        place = place_of(self.ticket.event)
        recent = await self.life.store.recent(self.community.id, place)
        if place != "*":
            recent += await self.life.store.recent(self.community.id, "*")
        chosen = [row for row in recent if not games or row[1] in games]
        return tuple(sorted(chosen, key=lambda row: row[2], reverse=True))

    async def start(
        self, game: str, given: Mapping[str, object], *, payer: str = "", life_s: int | None = None
    ) -> Started:
        """Begin a round in this chat; the same event begins one. Errors as of `RoundLife.start`.

        `payer` is the member whose points are the pot; empty for the community's budget.
        """
        event = self.ticket.event
        return await self.life.start(
            Order(
                community=self.community,
                game=game,
                place=place_of(event),
                given=given,
                cause=event.id,
                host=event.member_id,
                now_ms=self.now_ms,
                day=self.calendar.day_of(self.now_ms),
                channel=event.channel,
                user_id=event.user_id,
                group_id=event.group_id,
                payer=payer,
                life_s=life_s,
                answer_to=event.answer_to,
            )
        )

    async def move(self, found: OpenRound, said: str, stake: int = 0) -> Played:
        """Make a move in a round; errors as of `RoundLife.move`."""
        return await self.life.move(self.community, found.id, self.ticket, said, stake, self.now_ms)

    async def take(self, found: OpenRound) -> Played:
        """Take the next seat of a round; errors as of `RoundLife.take`."""
        return await self.life.take(self.community, found.id, self.ticket, self.now_ms)

    async def stop(self, found: OpenRound, *, cancel: bool = False) -> Ended | None:
        """End a round now, with what is on the table, or with `cancel` as if it had not been."""
        why = "cancelled" if cancel else "stopped"
        event = self.ticket.event
        return await self.life.end(self.community, found.id, why, teller=event.member_id, cause=event.id)

    async def stopped(self) -> Ended | None:
        """Return the round that this very event has ended; None for none. Only one that comes again has."""
        if self.standing is Standing.NEW:
            return None
        for id_, _, _ in await self.recent():
            known = await self.life.store.get(self.community.id, id_)
            if known is not None and known.ended_by == self.ticket.event.id:
                return await self.told(id_)
        return None

    async def told(self, round_id: str) -> Ended | None:
        """Return how a round ended; None where it is open or no longer kept."""
        return await self.life.told(self.community, round_id)


__all__ = ["Desk", "MoveWord"]
