"""Which of the vendor's interfaces the tests called and what they were answered, told once at the end.

Where the tests run in several processes (pytest-xdist), each hands its counts to the one that prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bot.sandbox.vendor import Sandbox

EXERCISED = pytest.StashKey[Counter[tuple[str, int]]]()
HANDED_OVER = "interfaces_of_the_vendor"


def note(config: pytest.Config, told: Mapping[str, Mapping[Any, int]]) -> None:
    """Add what one stand-in for the vendor tells: endpoint or command → error code → times."""
    counts = config.stash.setdefault(EXERCISED, Counter())
    for endpoint, codes in told.items():
        for errcode, times in codes.items():
            counts[endpoint, int(errcode)] += times


def told_by(config: pytest.Config) -> dict[str, dict[int, int]]:
    """Return all that was noted, sorted, in the form `note` takes and a worker can send."""
    told: dict[str, dict[int, int]] = {}
    for (endpoint, errcode), times in sorted(config.stash.get(EXERCISED, Counter()).items()):
        told.setdefault(endpoint, {})[errcode] = times
    return told


@pytest.fixture(scope="session", autouse=True)
def sandboxes_tell(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ask every sandbox of this process, when it is closed, what was called."""
    close = Sandbox.aclose

    async def tell_and_close(self: Sandbox) -> None:
        note(request.config, self.exercised())
        await close(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "aclose", tell_and_close)
        yield


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist, hand over what it counted; its fixtures are torn down by now."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[HANDED_OVER] = told_by(session.config)


@pytest.hookimpl(optionalhook=True)  # it is pytest-xdist's
def pytest_testnodedown(node: Any) -> None:
    """Take in what a worker counted; one that crashed hands nothing over, and is a failure of its own."""
    note(node.config, getattr(node, "workeroutput", {}).pop(HANDED_OVER, {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the list."""
    told = told_by(config)
    if not told:
        return
    terminalreporter.section("interfaces of the vendor: error codes × times")
    for endpoint, codes in told.items():
        listed = ", ".join(f"{errcode} × {times}" for errcode, times in codes.items())
        terminalreporter.write_line(f"{endpoint}: {listed}")
