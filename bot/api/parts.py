"""What the API needs of the product, and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bot.catalog import Catalog
from bot.clock import Clock
from bot.communities import Communities
from bot.config import Config
from bot.delivery.appchat import AppChats
from bot.delivery.compose import Composer
from bot.delivery.routes import ChannelAbilities
from bot.rounds.life import RoundLife
from bot.rounds.records import RoundRecords
from bot.routing.dispatcher import Dispatcher
from bot.routing.keyword_book import KeywordBook
from bot.routing.stores import Stores
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.sql.database import Database


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The parts of one process that the API reads and acts through.

    `life` begins and ends rounds of games, `records` looks them up; `catalog` has the texts of `content/`;
    `started_at_ms` is when the process began to serve, Unix ms; `abilities` is what every channel can do;
    `composer` makes deliveries; `wake_senders` tells this process's senders of a community with a new
    delivery; `app_chats` makes and changes groups, by the channels that can; `import_slot` is held by an
    import.
    """

    config: Config
    communities: Communities
    dispatcher: Dispatcher
    keywords: KeywordBook
    stores: Stores
    deliveries: DeliveryStore
    redis: RedisClient
    keys: Keys
    database: Database
    clock: Clock
    abilities: Mapping[str, ChannelAbilities]
    composer: Composer
    life: RoundLife
    records: RoundRecords
    catalog: Catalog
    started_at_ms: int
    app_chats: Mapping[str, AppChats] = field(default_factory=lambda: MappingProxyType({}))
    wake_senders: Callable[[str], None] = lambda _: None
    import_slot: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
