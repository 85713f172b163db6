"""Rounds of two games on the stores of a scene, under names that no router has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bot.catalog import load_catalog
from bot.clock import FixedClock
from bot.config import GameTerms
from bot.delivery.compose import Composer
from bot.model import Event, GameRules
from bot.rounds.life import Ended, Played, RoundLife
from bot.rounds.orders import Order, RoundOrders, Started
from bot.rounds.play import Game
from bot.rounds.teller import RoundTeller
from bot.rounds.terms import TermsBook
from bot.storage.redis.rounds import Round, Rounds, RoundState
from games.dice_size import DiceSize
from games.red_packet import RedPacket
from handlers.play import RulesInPlay
from tests.storage.live import MEMORY_MS, Live, event
from tests.storage.scene import clock

STAKES = GameRules(budget_per_day=1000, stakes=True)
PACKET, BETS = "packet", "bets"


def games() -> dict[str, Game]:
    """Return a red packet and bets on dice; the packet also under its own name."""
    packet = RulesInPlay(RedPacket(), listens=True, conditions=True)
    bets = RulesInPlay(DiceSize())
    packet.name, bets.name = PACKET, BETS
    as_in_production = RulesInPlay(RedPacket(), listens=True, conditions=True)
    return {
        "red_packet": Game(as_in_production, lambda _: "抢完了", ("红包",)),
        PACKET: Game(packet, lambda _: "抢完了", ("红包",)),
        BETS: Game(bets, lambda told: f"开 {told.facts.get('dice')}", ("大小",)),
    }


@dataclass(slots=True)
class Playing:
    """A process that plays; another one has replayed nothing yet."""

    live: Live
    life: RoundLife
    clock: FixedClock

    @classmethod
    def on(cls, live: Live, seed: bytes = b"s" * 32) -> Playing:
        live.community = replace(live.community, games=STAKES)
        time = clock()
        terms = TermsBook({BETS: GameTerms(life_s=60), PACKET: GameTerms(most_open=3)})
        life = RoundLife(
            Rounds(live.redis, live.keys, memory_ms=MEMORY_MS),
            games(),
            RoundOrders(games(), terms, str.strip),
            RoundTeller(
                live.members, load_catalog(), Composer({}).follow_up, lambda name, _: name, lambda _: ""
            ),
            terms,
            live.communities,
            time,
            wake=lambda _: None,
        )
        life.orders.new_seed = lambda: seed
        return cls(live, life, time)

    def order(self, game: str, *, cause: str = "api:1", payer: str = "", **given: Any) -> Order:
        return Order(
            community=self.live.community,
            game=game,
            place="app:g1",
            given=given,
            cause=cause,
            host="app:boss",
            now_ms=self.clock.now_ms(),
            day=self.live.calendar.day_of(self.clock.now_ms()),
            channel="app",
            user_id="boss",
            group_id="g1",
            payer=payer,
        )

    async def start(self, game: str, *, cause: str = "api:1", payer: str = "", **given: Any) -> Round:
        started: Started = await self.life.start(self.order(game, cause=cause, payer=payer, **given))
        assert started.opened.refused is None
        return started.round

    async def take(self, played: Round, who: str | Event) -> Played:
        happened = event(who, group_id="g1") if isinstance(who, str) else who
        ticket = self.live.ticket(happened)
        return await self.life.take(self.live.community, played.id, ticket, self.clock.now_ms())

    async def bet(self, played: Round, who: str | Event, said: str, stake: int = 0) -> Played:
        happened = event(who, group_id="g1") if isinstance(who, str) else who
        ticket = self.live.ticket(happened)
        return await self.life.move(self.live.community, played.id, ticket, said, stake, self.clock.now_ms())

    async def end(self, played: Round, why: str = "time", *, after_s: int = 60) -> Ended:
        self.clock.move(timedelta(seconds=after_s))
        ended = await self.life.end(self.live.community, played.id, why)
        assert ended is not None
        assert ended.round.state is not RoundState.OPEN
        return ended

    async def spent(self, day: str = "2026-05-20") -> int:
        return await self.life.store.budget_spent(self.live.community.id, day)
