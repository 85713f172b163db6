"""One installation on disk: accounts at the platforms, a configuration file, a data directory, its stores."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.vendor import Sandbox
from bot.storage.redis.client import connect
from bot.storage.sql.database import Database, embedded_url
from tests.e2e.records import Records
from tests.e2e.serving import Server, serving

APP = SandboxChannel(
    name="app",
    kind="wecom_app",
    receiver_id="ww0000000000e2e000",
    account_id="ww0000000000e2e000",
    token="hiddenTokenOfTheApp",
    encoding_aes_key="hiddenKeyOfTheApp00hiddenKeyOfTheApp0000000",
    secret="hidden-secret-of-the-app",
    agent_id=1000007,
)
OA = SandboxChannel(
    name="oa",
    kind="wechat_oa",
    receiver_id="wx0000000000e2e000",
    account_id="gh_0000000000e2e",
    token="hiddenTokenOfTheAccount",
    encoding_aes_key="hiddenKeyOfTheAccount0hiddenKeyOfTheAccount",
    secret="hidden-secret-of-the-account",
)
COMPATIBLE = replace(OA, name="compatible", receiver_id="wx0000000000e2e001", mode="compatible")
PLAIN = replace(OA, name="plain", receiver_id="wx0000000000e2e002", mode="plain", encoding_aes_key="")
MUTE = replace(APP, name="mute", agent_id=1000008, secret="")
NEW_YORK = replace(APP, name="newyork", agent_id=1000009, secret="hidden-secret-of-new-york")
NIGHT = replace(APP, name="night", agent_id=1000010, secret="hidden-secret-of-the-night")
ACCOUNTS = (APP, OA, COMPATIBLE, PLAIN, MUTE, NEW_YORK, NIGHT)
BOT = SandboxChannel(
    name="bot",
    kind="wecom_aibot",
    receiver_id="",
    account_id="aib-e2e",
    token="hiddenTokenOfTheBot",
    encoding_aes_key="hiddenKeyOfTheBot00hiddenKeyOfTheBot0000000",
    mode="callback",
)

MANAGER = "boss"
COMMUNITIES: tuple[dict[str, Any], ...] = (
    {"id": "milk", "name": "鲜奶社群", "channels": ["app", "oa"], "managers": [f"app:{MANAGER}"]},
    {"id": "york", "channels": ["newyork"], "time_zone": "America/New_York"},
    {"id": "owls", "channels": ["night"], "day_start": "04:00"},
    # compatible, plain and mute are in none: each is a community of its own.
)
# Where games are played: one community in groups of the AI bot, one in direct chats, both with stakes.
_STAKES = {
    "stakes": True,
    "own": {game: {"cool_down_s": 0} for game in ("dice_point", "dice_size", "dice_sum", "dice_compare")},
}
GAME_COMMUNITIES: tuple[dict[str, Any], ...] = (
    {"id": "group", "channels": ["bot"], "managers": [f"bot:{MANAGER}"], "games": _STAKES},
    {"id": "direct", "channels": ["oa"], "managers": [f"oa:{MANAGER}"], "games": _STAKES},
)


@dataclass(frozen=True)
class Deployment:
    """One installation; `settings` are sections of its configuration that differ from the usual."""

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    redis_url: str = "embedded"
    database_url: str = "embedded"
    api_base: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    accounts: Sequence[SandboxChannel] = ACCOUNTS

    @property
    def data_dir(self) -> Path:
        """Where the embedded stores are."""
        return self.folder / "data"

    @property
    def config(self) -> Path:
        """The configuration file, as it is to be now."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self._tree(), allow_unicode=True), encoding="utf-8")
        return path

    def _tree(self) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "port": 0, "member_rate_per_min": 1_000_000},
            "storage": {"data_dir": "data", "redis": self.redis_url, "database": self.database_url},
            "communities": list(COMMUNITIES),
            "channels": [self._channel(account) for account in self.accounts],
        }
        for section, values in self.settings.items():
            usual[section] = {**usual.get(section, {}), **values} if isinstance(values, dict) else values
        return usual

    def _channel(self, account: SandboxChannel) -> dict[str, Any]:
        common = {
            "name": account.name,
            "kind": account.kind,
            "token": account.token,
            "encoding_aes_key": account.encoding_aes_key,
            **({"api_base": self.api_base} if self.api_base else {}),
        }
        if account.kind == "wecom_aibot":
            return common
        common["secret"] = account.secret
        if account.kind == "wecom_app":
            return {**common, "corp_id": account.receiver_id, "agent_id": account.agent_id}
        own = {"app_id": account.receiver_id, "original_id": account.account_id, "mode": account.mode}
        return {**common, **own}

    @contextlib.contextmanager
    def serve(self) -> Iterator[Server]:
        """Run a server until the context ends."""
        with serving(self.config, self.environment) as server:
            yield server

    @contextlib.asynccontextmanager
    async def records(self) -> AsyncIterator[Records]:
        """Look into the stores of the running server."""
        redis_url, database_url = self.redis_url, self.database_url
        if redis_url == "embedded":
            redis_url = (self.data_dir / "redis.url").read_text(encoding="ascii")
        if database_url == "embedded":
            database_url = embedded_url(self.data_dir)
        async with contextlib.AsyncExitStack() as stack:
            redis = await connect(redis_url)
            stack.push_async_callback(redis.close)
            database = await Database.open(database_url)
            stack.push_async_callback(database.close)
            yield Records(redis, database)


def games_deployment(folder: Path, api_base: str) -> Deployment:
    """Return an installation whose communities play in groups and in direct chats."""
    return Deployment(folder, {"communities": list(GAME_COMMUNITIES)}, api_base=api_base, accounts=(BOT, OA))


def platforms(accounts: Sequence[SandboxChannel] = ACCOUNTS) -> Sandbox:
    """Return the platforms of `accounts`, to make callbacks with."""
    return Sandbox(accounts, people=())
