"""One delivery of an event on its way, and everything it may meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bot.catalog import Catalog
from bot.clock import Clock
from bot.communities import Communities
from bot.delivery.compose import Composer
from bot.delivery.division import Division, divide
from bot.delivery.nudges import Nudges
from bot.delivery.routes import Abilities, ChannelAbilities, takes_passive_reply
from bot.logs import EventLog
from bot.metrics import Metrics
from bot.model import CardClicked, CardUpdate, Event, Part, Reply, Turn
from bot.platforms.protocol import Platform
from bot.rounds.desk import Desk
from bot.rounds.life import RoundLife
from bot.routing.context import Context, Question
from bot.routing.dispatcher import Dispatcher
from bot.routing.keyword_book import KeywordBook
from bot.routing.router import Route
from bot.routing.stores import Stores
from bot.storage.redis.conversations import Change, Conversation, begins, make_change, read_conversation
from bot.storage.redis.inbox import Decision, Taken, Ticket
from bot.storage.redis.late import LateQueue
from bot.storage.redis.rounds import listens, read_open


class Case(NamedTuple):
    """One delivery of an event: where it belongs, who answers it, and what its channel can do there.

    `conversation` is what the bot talks about with its member here, `seen` the beginning of the record of
    that, or of one that counts no more; empty for none. `rounds` are the open rounds of the chat, as
    `bot.storage.redis.inbox.Taken` has them.
    """

    platform: Platform
    question: Question
    route: Route
    ticket: Ticket
    now_ms: int
    row: Abilities
    conversation: Conversation | None = None
    seen: str = ""
    rounds: bytes = b""

    @property
    def event(self) -> Event:
        """What was delivered."""
        return self.ticket.event

    def divide(self, reply: Reply | None, *, inline: bool = True) -> Division:
        """Return what of a reply goes in the HTTP answer, if that is still open, and what after it."""
        event = self.ticket.event
        inline = inline and takes_passive_reply(self.row, event.content.name, is_message=event.is_message)
        parts = () if reply is None else reply.parts
        division = divide(parts, self.row, inline=inline)
        if division.passive is None or self._answers(division.passive):
            return division
        return divide(parts, self.row, inline=False)

    def _answers(self, part: Part) -> bool:
        """Whether a part may answer this event at once; a new card answers nothing but a click."""
        event, streams = self.ticket.event, self.platform.streams
        if streams is not None:
            return streams.takes(event, part)
        return type(part) is not CardUpdate or type(event.content) is CardClicked

    @property
    def stream(self) -> str:
        """The name of the stream that shows the answer should it be late; empty where there is none."""
        streams = self.platform.streams
        return "" if streams is None else streams.name(self.ticket.event)


class Outcome(NamedTuple):
    """What came of one delivery of an event.

    `word` is answered, nobody (no handler), repeated, old (answer no longer kept) or late.
    """

    decision: Decision
    route: str
    word: str


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a case goes through, wired by `bot.wiring`."""

    platforms: Mapping[str, Platform]
    abilities: Mapping[str, ChannelAbilities]
    communities: Communities
    dispatcher: Dispatcher
    keywords: KeywordBook
    stores: Stores
    late: LateQueue
    composer: Composer
    catalog: Catalog
    clock: Clock
    metrics: Metrics
    event_log: EventLog
    life: RoundLife
    soft_deadline_s: float
    max_body_bytes: int
    nudges: Nudges

    def case(self, platform: Platform, event: Event, now_ms: int) -> Case:
        """Say where an event belongs and who answers it; asks no state, the same for every delivery."""
        community = self.communities.find(event.channel, event.group_id)
        calendar = self.communities.calendar(community)
        keywords = self.keywords.of(community.id)
        question = Question(event, community, calendar, self.keywords.text_of(event), keywords)
        ticket = self.stores.inbox.ticket(event, community.id, calendar.day_of(event.sent_at_ms))
        row = self.abilities[event.channel].row(event.group_id)
        assert row is not None, "a channel that hears a chat has a row for it"
        return Case(platform, question, self.dispatcher.route(question), ticket, now_ms, row)

    def situate(self, case: Case, record: bytes, rounds: bytes) -> Case:
        """Return the case in its chat: in the conversation of its member and among the open rounds there.

        What a member says in a conversation belongs to that; else a round may listen to it.
        """
        if record or case.seen:
            case = self.converse(case, record)
        event, games = case.event, case.question.community.games
        if (event.channel, event.group_id) in games.off_in:
            rounds = b""  # nothing is played there, not even the rounds of the whole community
        case = case._replace(rounds=rounds)
        return self._heard(case) if case.conversation is None and listens(rounds) else case

    def _heard(self, case: Case) -> Case:
        """Return the case with the handler of the round that listens to its text, unless it is a command."""
        question = case.question
        route = self.dispatcher.route(question)
        if route.word or not question.text:
            return case._replace(route=route)
        for found in read_open(case.rounds):
            if found.word in {"*", question.text}:
                route = self.dispatcher.route_heard(found.game) or route
                break
        return case._replace(route=route)

    def converse(self, case: Case, record: bytes) -> Case:
        """Return the case in the conversation of its member, as its record says; who answers may change.

        A conversation that has expired, or stands at a step that no router has any more, counts as none.
        """
        found = read_conversation(record)
        if found is not None and (
            found.expires_at_ms <= case.now_ms or found.step not in self.dispatcher.steps
        ):
            found = None
        question, dispatcher = case.question, self.dispatcher
        route = dispatcher.route(question) if found is None else dispatcher.route_in(question, found.step)
        return case._replace(route=route, conversation=found, seen=begins(record))

    def change(self, case: Case, reply: Reply | None, now_ms: int, *, surely: bool) -> Change | None:
        """Return what a reply, decided now, does to the conversation; None for nothing.

        `surely` does it whatever another message has made of the conversation meanwhile.
        """
        turn = None if reply is None else reply.turn
        if turn is None and case.seen and case.conversation is None:
            turn = Turn()  # it counts no more: out of the way
        if turn is None and not case.route.step:
            return None
        return make_change(case.ticket, "*" if surely else case.seen, turn, now_ms)

    def context(self, case: Case, taken: Taken) -> Context:
        """Return what the case's handler may see and touch."""
        question, route = case.question, case.route
        return Context(
            event=question.event,
            community=question.community,
            calendar=question.calendar,
            ticket=case.ticket,
            taken=taken,
            now_ms=case.now_ms,
            stores=self.stores,
            rounds=Desk(
                life=self.life,
                community=question.community,
                calendar=question.calendar,
                ticket=case.ticket,
                standing=taken.standing,
                now_ms=case.now_ms,
                open_rounds=read_open(case.rounds),
            ),
            catalog=self.catalog,
            keywords=question.keywords,
            commands=self.dispatcher.commands,
            command_words=self.dispatcher.command_words,
            steps=self.dispatcher.steps,
            normaliser=self.dispatcher.normaliser,
            conversation=case.conversation,
            word=route.word,
            rest=route.rest,
            for_managers=route.for_managers,
            stream=case.stream,
            personal=route.personal,
        )
