"""A small server of several processes, built the way `bot.processes` says.

Usage: serving_program.py DATA_DIR WORKERS GRACE_S. The main process prints a JSON object with its pids
and port when all workers are ready. Workers answer::

    /pid          their process id
    /count        the next count, from the embedded store
    /slow?s=2     after so many seconds; prints "slow" when it has begun
    /environment  what a worker was given
    /fail         dies at once, as by a fault
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from bot.errors import BotError
from bot.lifeline import Lifeline
from bot.processes import Supervisor, listen
from bot.storage.redis.embedded import EmbeddedRedis

DATA_DIR = Path(sys.argv[1])


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def work(lifeline: Lifeline) -> None:
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.environ.get("FAILING") == str(lifeline.index):
        sys.exit(3)
    from aiohttp import web  # noqa: PLC0415 - the main process starts faster without
    from redis.asyncio import Redis  # noqa: PLC0415

    store = Redis.from_url((DATA_DIR / "redis.url").read_text(encoding="ascii"))

    async def pid(_: web.Request) -> web.Response:
        return web.json_response(os.getpid())

    async def count(_: web.Request) -> web.Response:
        return web.json_response(await store.incr("counted"))

    async def slow(request: web.Request) -> web.Response:
        say("slow")
        await asyncio.sleep(float(request.query["s"]))
        return web.json_response("done")

    async def environment(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "metrics": os.environ.get("PROMETHEUS_MULTIPROC_DIR"),
                "role": os.environ.get("HUOQUN_WORKER"),
                "index": lifeline.index,
                "inheritable": [listener.get_inheritable() for listener in lifeline.listeners],
            }
        )

    async def fail(_: web.Request) -> web.Response:
        os._exit(7)

    app = web.Application()
    app.add_routes([web.get(f"/{act.__name__}", act) for act in (pid, count, slow, environment, fail)])
    runner = web.AppRunner(app, shutdown_timeout=60)
    await runner.setup()
    for listener in lifeline.listeners:
        await web.SockSite(runner, listener).start()
    done = asyncio.Event()
    if "STUBBORN" not in os.environ:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    lifeline.ready()
    await done.wait()
    await runner.cleanup()
    await store.aclose()


async def serve() -> None:
    listeners = listen("127.0.0.1", 0)
    with EmbeddedRedis.start(DATA_DIR) as store:

        def on_ready() -> None:
            port = listeners[0].getsockname()[1]
            say(json.dumps({"port": port, "store": store.pid, "main": os.getpid()}))

        command = [sys.executable, *sys.orig_argv[1:]]
        workers, grace_s = int(sys.argv[2]), float(sys.argv[3])
        supervisor = Supervisor(
            command, workers, listeners, data_dir=DATA_DIR, on_ready=on_ready, grace_s=grace_s
        )
        await supervisor.run()
    for listener in listeners:
        listener.close()
    say("ended")


if __name__ == "__main__":
    given = Lifeline.from_environment()
    try:
        asyncio.run(serve() if given is None else work(given))
    except BotError as error:
        sys.exit(str(error))
