"""``serve``: from a checked configuration to a process that answers, and back to nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
import uvloop
from aiohttp import ClientSession, web

from bot.api.parts import ApiParts
from bot.api.routes import add_api
from bot.catalog import Catalog
from bot.clock import Clock, SystemClock
from bot.config import Config
from bot.errors import RefusedError
from bot.lifeline import Lifeline
from bot.logs import configure_logs
from bot.processes import Supervisor, listen
from bot.proofs.page import RoundPages
from bot.rounds.records import RoundRecords
from bot.routing.router import Router
from bot.storage.redis.embedded import EmbeddedRedis, open_store
from bot.storage.sql.database import embedded_url
from bot.storage.sql.migrate import migrate
from bot.storage.sql.rounds import RoundHistory
from bot.wiring import Service, open_app_chats, open_service, start_background

_log = structlog.get_logger("huoqun")

REDIS_URL = "HUOQUN_EMBEDDED_REDIS_URL"  # how the main process tells its workers where its store listens
SANDBOX_URL = "HUOQUN_SANDBOX_URL"  # and where its sandbox does
_GRACE_S = 5.0
_WARM_UP_REQUESTS = 300  # see `_warm_up`


@dataclass(frozen=True, slots=True)
class Program:
    """What every process of one deployment is made from."""

    config: Config
    routers: Sequence[Router]
    catalog: Catalog


def serve(program: Program, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `announce` gets the base address once every process answers.

    Raises:
        RefusedError: The port is taken or the address is not ours.
        DataDirBusyError: Another process owns the data directory.
        StoreError: A store does not start or is away.
    """
    lifeline = Lifeline.from_environment()
    configure_logs(program.config.server.log_level)
    if lifeline is not None:
        uvloop.run(_work(program, lifeline))
    else:
        _serve_as_main(program, announce)


def _serve_as_main(program: Program, announce: Callable[[str], None]) -> None:
    config = program.config
    refuse_exposed_sandbox(config)
    with ExitStack() as stack:
        listeners = listen(config.server.host, config.server.port)
        for listener in listeners:
            stack.callback(listener.close)
        redis_url = config.storage.redis.get_secret_value()
        if config.storage.redis.embedded:
            store = EmbeddedRedis.start(config.storage.data_dir, appendfsync=config.storage.appendfsync)
            redis_url = stack.enter_context(store).url
        base = base_address(listeners)
        if config.server.workers == 1:
            uvloop.run(_serve_here(program, listeners, redis_url, lambda: announce(base)))
        else:
            uvloop.run(_supervise(program, listeners, redis_url, lambda: announce(base)))


def database_url(config: Config) -> str:
    """Return the URL of the history database, the embedded one where none is configured."""
    if config.storage.database.embedded:
        config.storage.data_dir.mkdir(parents=True, exist_ok=True)
        return embedded_url(config.storage.data_dir)
    return config.storage.database.get_secret_value()


def base_address(listeners: Sequence[socket.socket]) -> str:
    """Return ``http://host:port`` of the first listener, as a person on this machine can open it."""
    host, port = listeners[0].getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - read, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_exposed_sandbox(config: Config) -> None:
    """Refuse a vendor stand-in that others could reach (the configuration check says the same earlier).

    Raises:
        RefusedError: The sandbox is on and the host is not a loopback address.
    """
    host = config.server.host
    local = host in {"localhost", "::1"} or host.startswith("127.")
    if config.sandbox.enabled and not local and not config.sandbox.allow_remote:
        raise RefusedError("sandbox.enabled needs a loopback server.host, or sandbox.allow_remote: true")


def work_beside(program: Program) -> None:
    """Do the background work in this process, beside servers that run elsewhere or here, until told to stop.

    Raises:
        RefusedError: The embedded Redis is configured, but no server of this data directory runs.
        StoreError: A store is away.
    """
    configure_logs(program.config.server.log_level)
    storage = program.config.storage
    if not storage.redis.embedded:
        uvloop.run(_work_beside(program, storage.redis.get_secret_value()))
        return
    with open_store(storage.data_dir, storage.appendfsync) as store:
        if not store.attached:
            raise RefusedError(
                "with storage.redis: embedded a worker needs a running `serve`: start that first"
            )
        uvloop.run(_work_beside(program, store.url))


async def _work_beside(program: Program, redis_url: str) -> None:
    service = await open_service(
        program.config, program.routers, program.catalog, SystemClock(),
        redis_url=redis_url, database_url=database_url(program.config),
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.close, _GRACE_S)
        await service.parts.keywords.refresh()
        start_background(service)
        await _told_to_stop()


# -------------------------------------------------------------------- one process


async def _serve_here(
    program: Program, listeners: Sequence[socket.socket], redis_url: str, on_ready: Callable[[], None]
) -> None:
    """Serve in the main process alone."""
    async with _answering(program, listeners, redis_url, sandbox_here=program.config.sandbox.enabled):
        on_ready()
        await _told_to_stop()


async def _work(program: Program, lifeline: Lifeline) -> None:
    """Serve as one of several workers."""
    redis_url = os.environ.get(REDIS_URL) or program.config.storage.redis.get_secret_value()
    async with _answering(program, lifeline.listeners, redis_url, sandbox_here=False):
        lifeline.ready()
        await _told_to_stop()


@asynccontextmanager
async def _answering(
    program: Program, listeners: Sequence[socket.socket], redis_url: str, *, sandbox_here: bool
) -> AsyncIterator[Service]:
    """Answer on `listeners` while the context lasts."""
    clock: Clock = SystemClock()
    service = await open_service(
        program.config, program.routers, program.catalog, clock,
        redis_url=redis_url, database_url=database_url(program.config),
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.close, _GRACE_S)
        await service.parts.keywords.refresh()
        add_pages(service)
        if sandbox_here:
            _mount_sandbox(service, base_address(listeners))
        elif SANDBOX_URL in os.environ:
            _forward_sandbox(service, os.environ[SANDBOX_URL])
        runner = web.AppRunner(service.web_app, access_log=None, handle_signals=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        put_callbacks_first(runner, service)
        for listener in listeners:
            await web.SockSite(runner, listener, backlog=1024).start()
        start_background(service)
        await _warm_up(base_address(listeners))
        # What was made up to here lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        _give_memory_back()
        # A turn makes more objects than the first threshold's 700 and frees nearly all of them itself.
        gc.set_threshold(20_000, 20, 20)
        yield service


def add_pages(service: Service) -> None:
    """Serve the API and the public pages of rounds."""
    parts = api_parts(service)
    add_api(service.web_app, parts)
    called = {name: game.words[0] for name, game in parts.life.games.items()}
    RoundPages(parts.records, parts.communities, parts.catalog, called).add_routes(service.web_app)


def api_parts(service: Service) -> ApiParts:
    """Return what the API needs of a service."""
    parts = service.parts
    return ApiParts(
        config=service.config,
        communities=parts.communities,
        dispatcher=parts.dispatcher,
        keywords=parts.keywords,
        stores=parts.stores,
        deliveries=service.deliveries,
        redis=service.redis,
        keys=service.keys,
        database=service.database,
        clock=parts.clock,
        abilities=parts.abilities,
        composer=parts.composer,
        life=parts.life,
        records=RoundRecords(
            parts.stores.rounds, RoundHistory(service.database), service.drain, parts.life.games
        ),
        catalog=parts.catalog,
        started_at_ms=parts.clock.now_ms(),
        app_chats=open_app_chats(service),
        wake_senders=parts.nudges.wake,
    )


def _mount_sandbox(service: Service, callback_base: str) -> None:
    from bot.sandbox.channel import SandboxChannel  # noqa: PLC0415 - production never loads it
    from bot.sandbox.server import mount_sandbox  # noqa: PLC0415
    from bot.sandbox.vendor import Sandbox  # noqa: PLC0415

    channels = [SandboxChannel.from_config(channel) for channel in service.config.channels]
    sandbox = Sandbox(channels, callback_base=callback_base, clock=service.parts.clock)
    mount_sandbox(service.web_app, sandbox, allow_remote=service.config.sandbox.allow_remote)


def _forward_sandbox(service: Service, sandbox_url: str) -> None:
    from bot.sandbox.forward import forward_sandbox  # noqa: PLC0415 - production never loads it

    forward_sandbox(service.web_app, sandbox_url, allow_remote=service.config.sandbox.allow_remote)


async def _warm_up(base: str) -> None:
    """Ask ourselves a few hundred times before anybody else does.

    A server whose first connections all come at once stays slower for their whole life
    (`docs/benchmarks.md`, warm-up); a few hundred requests before that prevent it.
    """
    with contextlib.suppress(OSError):
        async with ClientSession() as session:
            for _ in range(_WARM_UP_REQUESTS):
                async with session.get(f"{base}/healthz") as response:
                    await response.read()


def put_callbacks_first(runner: web.AppRunner, service: Service) -> None:
    """Let callbacks pass by the router, whose look-up costs an eighth of what aiohttp needs in all.

    Everything else, a GET of a callback address too, goes through the application as always.
    """
    server = runner.server
    assert server is not None  # it is there once the runner is set up
    through_the_application = server.request_handler
    receive, platforms = (
        service.line.receive,
        {f"/callback/{name}": platform for name, platform in service.parts.platforms.items()},
    )

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        platform = platforms.get(request.rel_url.raw_path) if request.method == "POST" else None
        return through_the_application(request) if platform is None else receive(platform, request)

    server.request_handler = handle


def _give_memory_back() -> None:
    """Return to the system what only the start needed, where the C library can (glibc: a few MiB)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


# -------------------------------------------------------------------- several processes


async def _supervise(
    program: Program, listeners: Sequence[socket.socket], redis_url: str, on_ready: Callable[[], None]
) -> None:
    """Keep the workers running, and the sandbox, whose people live in one process only."""
    config = program.config
    await migrate(database_url(config))
    environment = {**os.environ, REDIS_URL: redis_url}
    async with AsyncExitStack() as stack:
        if config.sandbox.enabled:
            environment[SANDBOX_URL] = await stack.enter_async_context(
                _sandbox_beside(config, base_address(listeners))
            )
        supervisor = Supervisor(
            [sys.executable, *sys.orig_argv[1:]],
            config.server.workers,
            listeners,
            data_dir=config.storage.data_dir,
            on_ready=on_ready,
            environment=environment,
        )
        await supervisor.run()


@asynccontextmanager
async def _sandbox_beside(config: Config, callback_base: str) -> AsyncIterator[str]:
    """Run the sandbox on a port of its own; workers forward to it."""
    from bot.sandbox.channel import SandboxChannel  # noqa: PLC0415 - production never loads it
    from bot.sandbox.server import SandboxServer  # noqa: PLC0415

    channels = [SandboxChannel.from_config(channel) for channel in config.channels]
    async with SandboxServer(channels, callback_base=callback_base) as server:
        yield server.api_base
