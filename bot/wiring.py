"""Where the parts are made and joined; nothing else in the product makes a part for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from aiohttp import ClientSession, web

from bot.app import Line
from bot.background import Background
from bot.case import Parts
from bot.catalog import Catalog
from bot.channels import StreamVoice, abilities_of, open_clients, open_platforms
from bot.clock import Clock
from bot.communities import Communities
from bot.config import Channel, Config, WecomAibotChannel, WecomAppChannel, resolve_communities
from bot.connection.assemble import Rhythm, Surroundings, assemble
from bot.delivery.appchat import AppChats
from bot.delivery.client import ActiveClient
from bot.delivery.compose import Composer
from bot.delivery.decency import DecencyGate
from bot.delivery.http import open_session
from bot.delivery.media import MediaShelf
from bot.delivery.nudges import Nudges
from bot.delivery.sender import Sender
from bot.delivery.wecom import WecomClient
from bot.errors import ConfigError, Fault, RefusedError
from bot.health import Health
from bot.late_worker import LateWorker
from bot.logs import EventLog
from bot.metrics import Metrics
from bot.model import Community, Event
from bot.platforms.protocol import Platform, StreamTexts
from bot.rounds.life import RoundLife
from bot.rounds.orders import RoundOrders
from bot.rounds.sweep import RoundSweeper
from bot.rounds.teller import RoundTeller
from bot.rounds.terms import TermsBook, check_terms, load_terms
from bot.routing.dispatcher import Dispatcher
from bot.routing.keyword_answer import compile_answer
from bot.routing.keyword_book import KeywordBook
from bot.routing.middleware import answer_errors, choose_language, know_role, limit_rate, name_in_group
from bot.routing.names import display_member
from bot.routing.normalise import Normaliser
from bot.routing.router import Router
from bot.routing.stores import Stores
from bot.storage.drain import Drain
from bot.storage.redis.check_ins import CheckIns
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.conversations import Conversations
from bot.storage.redis.decency import DecencyStore
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.inbox import Inbox
from bot.storage.redis.keys import Keys
from bot.storage.redis.keyword_gate import KeywordGate
from bot.storage.redis.late import LateQueue
from bot.storage.redis.media_ids import MediaIds
from bot.storage.redis.members import Members
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.points import Points
from bot.storage.redis.rounds import Round, Rounds
from bot.storage.redis.streams import AddressUses, Streams, stream_id
from bot.storage.redis.tokens import TokenStore
from bot.storage.sql.blobs import BlobStore
from bot.storage.sql.database import Database
from bot.storage.sql.keyword_rules import KeywordRuleStore
from bot.storage.sql.ledger import LedgerHistory
from bot.storage.sql.members import MemberHistory

MIDDLEWARES = (answer_errors, choose_language, name_in_group, limit_rate, know_role)  # the first is outermost


@dataclass(slots=True)
class Service:
    """One process's share of the product, running until `close`."""

    config: Config
    web_app: web.Application
    line: Line
    parts: Parts
    redis: RedisClient
    database: Database
    keys: Keys
    drain: Drain
    deliveries: DeliveryStore
    background: Background
    resources: AsyncExitStack

    async def close(self, grace_s: float = 5.0) -> None:
        """Let handlers end, stop the background, write what can be written, and close the stores."""
        await self.line.work.finish(grace_s)
        await self.background.stop(grace_s)
        await self.resources.aclose()


async def open_service(
    config: Config,
    routers: Sequence[Router],
    catalog: Catalog,
    clock: Clock,
    *,
    redis_url: str,
    database_url: str,
) -> Service:
    """Make everything for one process; nothing runs in the background yet.

    Raises:
        ConfigError: Routers or texts contradict each other.
        StoreError: A store is away or refuses us.
    """
    async with AsyncExitStack() as stack:
        redis = await connect(redis_url)
        stack.push_async_callback(redis.close)
        database = await Database.open(database_url)
        stack.push_async_callback(database.close)
        service = _join(config, routers, catalog, clock, redis, database, stack)
        service.resources = stack.pop_all()  # theirs to close from now on; ours as long as something may fail
        return service


def _join(
    config: Config,
    routers: Sequence[Router],
    catalog: Catalog,
    clock: Clock,
    redis: RedisClient,
    database: Database,
    resources: AsyncExitStack,
) -> Service:
    keys = Keys(config.storage.shards)
    metrics = Metrics()
    metrics.expect(channel.name for channel in config.channels)
    communities = Communities(resolve_communities(config))
    check_welcomes(communities)
    drain = Drain(redis, keys, database, on_drained=metrics.drained.inc)
    deliveries = DeliveryStore(redis, keys, memory_ms=config.server.event_memory_s * 1000)
    abilities = abilities_of(config.channels)
    normaliser = Normaliser()
    stores = _open_stores(config, redis, keys, database, drain, clock)
    dispatcher = Dispatcher(routers, MIDDLEWARES, normaliser)
    composer, nudges = Composer(abilities), Nudges()
    terms = _terms(communities, dispatcher)
    page_of = partial(_page_of, config.server.public_url)
    life = RoundLife(
        stores.rounds,
        dispatcher.games,
        RoundOrders(dispatcher.games, terms, normaliser.normalise, dispatcher.command_words),
        RoundTeller(stores.members, catalog, composer.follow_up, display_member, page_of),
        terms,
        communities,
        clock,
        wake=nudges.wake,
    )
    parts = Parts(
        platforms=open_platforms(config.channels, partial(_voice, communities, keys, catalog)),
        abilities=abilities,
        communities=communities,
        dispatcher=dispatcher,
        keywords=KeywordBook(stores.keyword_rules, communities, normaliser),
        stores=stores,
        late=LateQueue(redis, keys),
        composer=composer,
        catalog=catalog,
        clock=clock,
        metrics=metrics,
        event_log=EventLog(clock, enabled=config.server.log_level in {"debug", "info"}),
        life=life,
        nudges=nudges,
        soft_deadline_s=config.server.soft_deadline_s,
        max_body_bytes=config.server.max_body_bytes,
    )
    line = Line(parts)
    web_app = web.Application(client_max_size=config.server.max_body_bytes)
    add_callbacks(web_app, line, parts.platforms)
    Health(redis, database, drain, metrics).add_routes(web_app)
    return Service(
        config=config,
        web_app=web_app,
        line=line,
        parts=parts,
        redis=redis,
        database=database,
        keys=keys,
        drain=drain,
        deliveries=deliveries,
        background=Background(),
        resources=resources,
    )


def _open_stores(
    config: Config, redis: RedisClient, keys: Keys, database: Database, drain: Drain, clock: Clock
) -> Stores:
    memory_ms = config.server.event_memory_s * 1000
    return Stores(
        inbox=Inbox(
            redis,
            keys,
            reply_memory_ms=config.server.reply_memory_s * 1000,
            event_memory_ms=memory_ms,
            member_rate_per_min=config.server.member_rate_per_min,
        ),
        points=Points(redis, keys, event_memory_ms=memory_ms),
        check_ins=CheckIns(redis, keys),
        conversations=Conversations(redis),
        members=Members(redis, keys, event_memory_ms=memory_ms),
        keyword_gate=KeywordGate(redis, keys, event_memory_ms=memory_ms),
        streams=Streams(redis, keys, memory_ms=memory_ms),
        decency=DecencyStore(redis, keys, event_memory_ms=memory_ms),
        rounds=Rounds(redis, keys, memory_ms=memory_ms),
        drain=drain,
        ledger=LedgerHistory(database),
        member_history=MemberHistory(database),
        keyword_rules=KeywordRuleStore(database, clock),
    )


def _page_of(public_url: str, played: Round) -> str:
    """Return the public address of a round's page; empty where it is not known how the outside reaches us."""
    if not public_url:
        return ""
    return f"{public_url.rstrip('/')}/rounds/{quote(played.community, safe='')}/{played.id}"


def _terms(communities: Communities, dispatcher: Dispatcher) -> TermsBook:
    """Return how each game is played; refuse what no game knows or takes (`ConfigError`)."""
    terms = load_terms()
    check_terms(terms, communities, dispatcher.games)
    return terms


def _voice(communities: Communities, keys: Keys, catalog: Catalog, channel: str) -> StreamVoice:
    """Return how a channel's streams are named, and what they say of themselves."""

    def name(event: Event) -> str:
        return stream_id(keys, communities.find(event.channel, event.group_id).id, event.id)

    language = communities.find(channel, "").language
    texts = StreamTexts(
        working=catalog.text(language, "stream.working"),
        done=catalog.text(language, "stream.done"),
        elsewhere=catalog.text(language, "stream.elsewhere"),
        apart=catalog.text(language, "stream.apart"),
    )
    return StreamVoice(name, texts)


def start_background(
    service: Service,
    *,
    sends: bool = True,
    rhythm: Rhythm | None = None,
) -> None:
    """Start what runs beside the answers.

    `sends` is off only where a test carries deliveries itself, `rhythm` of long connections is another only
    where a test has no time.
    """
    parts, background = service.parts, service.background
    background.start("drain", service.drain.run)
    background.start("keywords", parts.keywords.run)
    background.start("rounds", RoundSweeper(parts.life, parts.communities, parts.clock).run)
    background.start("late", LateWorker(service.line.work, parts.late, parts.clock).run)
    if sends:
        session = open_session()
        service.resources.push_async_callback(session.close)
        clients = _clients(service, session, service.config.channels)
        decency = DecencyGate(parts.stores.decency, parts.communities)
        sender = Sender(
            service.deliveries,
            PaceStore(service.redis, service.keys),
            clients,
            parts.abilities,
            parts.clock,
            decency=decency,
            on_outcome=parts.metrics.delivery,
        )
        service.resources.enter_context(parts.nudges.listening(sender.wake))
        background.start("send", sender.run)
        _start_connections(service, session, decency, rhythm or Rhythm())


def _start_connections(service: Service, http: ClientSession, decency: DecencyGate, rhythm: Rhythm) -> None:
    """Take part in keeping the long connection of every channel that has one."""
    parts = service.parts
    around = Surroundings(
        redis=service.redis,
        keys=service.keys,
        deliveries=service.deliveries,
        abilities=parts.abilities,
        clock=parts.clock,
        metrics=parts.metrics,
        nudges=parts.nudges,
        decency=decency,
        http=http,
        shelf=_shelf(service),
        rhythm=rhythm,
    )
    for channel in service.config.channels:
        if isinstance(channel, WecomAibotChannel) and channel.mode == "long_connection":
            connection = assemble(channel, partial(service.line.queue, parts.platforms[channel.name]), around)
            service.resources.push_async_callback(connection.client.close)
            service.background.start(f"connection {channel.name}", connection.keeper.run)


def open_app_chats(service: Service) -> dict[str, AppChats]:
    """Return what makes and changes groups, by the names of the channels that can; `service` closes it."""
    session = open_session()
    service.resources.push_async_callback(session.close)
    apps = [channel for channel in service.config.channels if isinstance(channel, WecomAppChannel)]
    clients = _clients(service, session, apps)
    return {name: client.chats for name, client in clients.items() if isinstance(client, WecomClient)}


def _clients(
    service: Service, session: ClientSession, channels: Iterable[Channel]
) -> dict[str, ActiveClient]:
    """Open the clients of channels; `service` closes them."""
    clock = service.parts.clock
    clients = open_clients(
        channels,
        session,
        TokenStore(service.redis, service.keys),
        clock,
        AddressUses(service.redis, service.keys),
        _shelf(service),
    )
    for client in clients.values():
        service.resources.push_async_callback(client.close)
    return clients


def _shelf(service: Service) -> MediaShelf:
    blobs = BlobStore(service.database, service.parts.clock)
    return MediaShelf(blobs, MediaIds(service.redis, service.keys))


def add_callbacks(app: web.Application, line: Line, platforms: Mapping[str, Platform]) -> None:
    """Serve ``/callback/<channel>`` of every channel; one route each, found without a pattern."""
    for name, platform in platforms.items():
        app.router.add_get(f"/callback/{name}", partial(line.verify, platform))
        app.router.add_post(f"/callback/{name}", partial(line.receive, platform))
    app.router.add_route("*", "/callback/{channel}", partial(_not_served, platforms))


async def _not_served(platforms: Mapping[str, Platform], request: web.Request) -> web.Response:
    name = request.match_info["channel"]
    if name in platforms:
        raise web.HTTPMethodNotAllowed(request.method, ("GET", "POST"))
    return web.Response(status=404, text=f"there is no channel {name!r} in the configuration\n")


def check_welcomes(communities: Communities) -> None:
    """Refuse a community's own greeting that names an unknown variable.

    Raises:
        ConfigError: All such greetings.
    """
    faults = [fault for community in communities for fault in _welcome_faults(community)]
    if faults:
        raise ConfigError(faults)


def _welcome_faults(community: Community) -> list[Fault]:
    faults = []
    for name, text in (("first", community.welcome.first), ("returning", community.welcome.returning)):
        try:
            compile_answer(text)
        except RefusedError as error:
            path = f"communities[{community.id}].welcome.{name}"
            faults.append(Fault("configuration", path, str(error)))
    return faults
