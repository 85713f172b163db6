"""Measures without HTTP, each in a process of its own on the server's core: ``python -m bench.<measure>``.

Each such module has a `main` that takes its amounts as JSON and prints its figures as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.cores import on_core, pin
from bench.process import ROOT
from bot.errors import BotError
from bot.storage.redis.embedded import EmbeddedRedis

_LIMIT_S = 300.0


class MeasureError(BotError):
    """A measure in a process of its own failed; carries what it said."""


def measure_apart(measure: str, core: int, **amounts: object) -> Any:
    """Run ``bench.<measure>`` on `core` and return its figures.

    Raises:
        MeasureError: It failed or took more than five minutes.
    """
    command = [sys.executable, "-m", f"bench.{measure}", json.dumps(amounts)]
    with on_core(core):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        figures, errors = process.communicate(timeout=_LIMIT_S)
    except BaseException as error:
        process.terminate()  # its store ends with it
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise MeasureError(f"bench.{measure} took more than {_LIMIT_S:.0f} s") from None
        raise
    if process.returncode:
        raise MeasureError(f"bench.{measure} failed:\n{errors.decode(errors='replace')[-2000:]}")
    return json.loads(figures)


def run_measure(measure: Callable[[dict[str, Any]], object]) -> None:
    """Be such a process: read the amounts, measure, print the figures."""
    amounts = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    print(json.dumps(measure(amounts)))


@contextmanager
def own_store(core: int) -> Iterator[tuple[str, Path]]:
    """Run an embedded store on `core`; give its URL and its directory, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="huoqun-bench-") as folder:
        data_dir = Path(folder)
        with EmbeddedRedis.start(data_dir) as store:
            pin(store.pid, core)
            yield store.url, data_dir
