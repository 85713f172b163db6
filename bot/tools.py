"""What the command line does beside serving: verify, rebuild, sandbox …; the server may run or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bot.catalog import Catalog
from bot.clock import SystemClock
from bot.communities import Communities
from bot.config import Config, resolve_communities
from bot.doctor.examination import Places, run_doctor
from bot.errors import RefusedError
from bot.logs import configure_logs
from bot.rounds.play import Game
from bot.rounds.proof import Proof
from bot.rounds.records import RoundRecords
from bot.sandbox.player import play
from bot.sandbox.scenario import find_scenarios, load_scenarios
from bot.sandbox.terminal import run_terminal
from bot.serve import database_url
from bot.storage.drain import Drain
from bot.storage.rebuild import Rebuilt, rebuild
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.embedded import open_store
from bot.storage.redis.keys import Keys
from bot.storage.redis.rounds import Rounds
from bot.storage.sql.database import Database
from bot.storage.sql.rounds import RoundHistory
from bot.storage.verify import LIST_LIMIT, Disagreement, verify

WELL, WRONG = 0, 1

Echo = Callable[[str], object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Stores:
    """Both stores of a deployment, open."""

    redis: RedisClient
    keys: Keys
    database: Database
    drain: Drain
    communities: Communities


def run_verify(config: Config, *, as_json: bool, echo: Echo) -> int:
    """Compare live state and history, print what disagrees, and return the exit code.

    Raises:
        StoreError: A store is away or does not start.
    """

    async def check(stores: _Stores) -> list[Disagreement]:
        return await verify(
            stores.redis, stores.keys, stores.database, stores.drain, stores.communities, SystemClock()
        )

    found = _with_stores(config, check)
    if as_json:
        echo(json.dumps([asdict(item) for item in found], ensure_ascii=False, indent=2))
    else:
        for item in found:
            echo(str(item))
        if len(found) == LIST_LIMIT:
            echo(f"… and perhaps more: the list ends at {LIST_LIMIT}")
        echo(f"{len(found)} found" if found else "well: live state and history agree")
    return WRONG if found else WELL


def run_verify_round(
    config: Config, games: Mapping[str, Game], catalog: Catalog, round_id: str, *, as_json: bool, echo: Echo
) -> int:
    """Recompute one ended round, print what came of it, and return the exit code.

    Raises:
        RefusedError: There is no such round, or it is still open.
        StoreError: A store is away or does not start.
    """

    async def prove(stores: _Stores) -> Proof | None:
        await stores.drain.flush_all()
        history = RoundHistory(stores.database)
        known = await history.find(round_id)
        if known is None:
            return None
        memory_ms = config.server.event_memory_s * 1000
        rounds = Rounds(stores.redis, stores.keys, memory_ms=memory_ms)
        records = RoundRecords(rounds, history, stores.drain, games)
        return await records.proof(known.round.community, round_id)

    proof = _with_stores(config, prove)
    if proof is None:
        raise RefusedError(f"there is no round {round_id}; the API lists them: communities/…/rounds")
    one = proof.round
    if one.is_open:
        raise RefusedError(f"round {round_id} is still open: there is nothing to recompute before its end")
    problems = [catalog.text("en", f"proof.{found.word}", **found.values) for found in proof.problems]
    if as_json:
        told = {
            "round": one.id, "community": one.community, "game": one.game, "state": one.state.value,
            "moves": len(proof.moves), "paid": one.paid, "refund": one.refund, "agrees": proof.agrees,
            "problems": problems,
        }  # fmt: skip
        echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for problem in problems:
            echo(problem)
        found = f"{len(problems)} found" if problems else "well, all of it agrees"
        what = f"round {one.id} of {one.game} in {one.community}"
        echo(f"{what}: {len(proof.moves)} moves, {one.paid} points paid: {found}")
    return WELL if proof.agrees else WRONG


def run_rebuild(config: Config, *, as_json: bool, echo: Echo) -> int:
    """Restore Redis from SQL, print what was done, and return the exit code.

    Raises:
        StoreError: A store is away or does not start.
    """

    async def restore(stores: _Stores) -> Rebuilt:
        return await rebuild(
            stores.redis, stores.keys, stores.database, stores.drain, stores.communities, SystemClock(),
            event_memory_ms=config.server.event_memory_s * 1000,
        )  # fmt: skip

    done = _with_stores(config, restore)
    if as_json:
        echo(json.dumps(asdict(done), ensure_ascii=False, indent=2))
    else:
        echo(
            f"restored {done.members} members; of what Redis lacked: {done.check_ins} results of check-ins, "
            f"{done.orders} of orders, {done.counters} counters, {done.deliveries} deliveries, "
            f"{done.opt_outs} opt-outs, {done.rounds} rounds, {done.budgets} budgets"
        )
        for member in done.busy:
            echo(f"{member}: never stood still, run rebuild again")
    return WRONG if done.busy else WELL


def run_doctor_here(config: Config, *, as_json: bool, echo: Echo) -> int:
    """Examine this deployment from outside in, print what is found, and return the exit code."""
    storage = config.storage
    places = Places(
        redis_url="" if storage.redis.embedded else storage.redis.get_secret_value(),
        database_url=database_url(config),
        own_address=_own_address(config) if config.server.port else "",
    )
    configure_logs("error")  # what is wrong is among the findings
    return run_doctor(config, places, as_json=as_json, echo=echo)


def run_sandbox(config: Config) -> int:
    """Chat in the terminal with the running server, until the input ends.

    Raises:
        RefusedError: The configuration has no sandbox, or no server answers.
    """
    if not config.sandbox.enabled:
        raise RefusedError(
            "this configuration has no sandbox: set sandbox.enabled: true and start the server"
        )
    base = _own_address(config)
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(run_terminal(base))
        except RefusedError as error:
            raise RefusedError(f"{error} (is `run.py serve` running with this configuration?)") from error
    return WELL


@dataclass(frozen=True, slots=True)
class PlayOrder:
    """What `run_play` plays.

    Attributes:
        files: Files or folders of scenarios; ``all`` or the name of one stands for those that came with us.
        channels: Only on these channels; empty is every one that fits.
        faults: What goes wrong before every act of a person, by name.
        api_token: Of our own API, for steps that look at deliveries.
    """

    files: tuple[str, ...]
    channels: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    api_token: str = ""


def run_play(config: Config, order: PlayOrder, *, echo: Echo) -> int:
    """Play scenarios against the running server, print them, and return the exit code.

    Raises:
        ConfigError: A scenario is wrong.
        RefusedError: The configuration has no sandbox, no server answers, or something named is unknown.
    """
    if not config.sandbox.enabled:
        raise RefusedError(
            "this configuration has no sandbox: set sandbox.enabled: true and start the server"
        )
    scenarios = [scenario for file in order.files for scenario in load_scenarios(find_scenarios(file))]
    report = asyncio.run(
        play(
            _own_address(config), scenarios, write=echo, channels=order.channels, faults=order.faults,
            api_token=order.api_token,
        )
    )  # fmt: skip
    return WELL if report.well else WRONG


def _own_address(config: Config) -> str:
    host, port = config.server.host, config.server.port
    if not port:
        raise RefusedError("server.port is 0, so nobody knows where the server listens: give it a number")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _with_stores(config: Config, ask: Callable[[_Stores], Coroutine[Any, Any, _T]]) -> _T:
    """Ask both stores something; the embedded one is the running server's, or is started for the time."""
    configure_logs("warning")

    async def run(redis_url: str) -> _T:
        async with _open_stores(config, redis_url) as stores:
            return await ask(stores)

    with ExitStack() as stack:
        redis_url = config.storage.redis.get_secret_value()
        if config.storage.redis.embedded:
            store = open_store(config.storage.data_dir, config.storage.appendfsync)
            redis_url = stack.enter_context(store).url
        return asyncio.run(run(redis_url))


@asynccontextmanager
async def _open_stores(config: Config, redis_url: str) -> AsyncIterator[_Stores]:
    redis = await connect(redis_url)
    try:
        database = await Database.open(database_url(config))
        try:
            keys = Keys(config.storage.shards)
            communities = Communities(resolve_communities(config))
            yield _Stores(redis, keys, database, Drain(redis, keys, database), communities)
        finally:
            await database.close()
    finally:
        await redis.close()
