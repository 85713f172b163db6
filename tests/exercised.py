"""Which of the vendor's interfaces the tests called and what they were answered, told at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bot.sandbox.vendor import Sandbox

EXERCISED = pytest.StashKey[Counter[tuple[str, int]]]()


def note(config: pytest.Config, told: Mapping[str, Mapping[Any, int]]) -> None:
    """Add what one stand-in for the vendor tells: endpoint or command → error code → times."""
    counts = config.stash.setdefault(EXERCISED, Counter())
    for endpoint, codes in told.items():
        for errcode, times in codes.items():
            counts[endpoint, int(errcode)] += times


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


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the list."""
    counts = config.stash.get(EXERCISED, Counter())
    if not counts:
        return
    terminalreporter.section("interfaces of the vendor: error codes × times")
    told: dict[str, list[str]] = {}
    for (endpoint, errcode), times in sorted(counts.items()):
        told.setdefault(endpoint, []).append(f"{errcode} × {times}")
    for endpoint, codes in told.items():
        terminalreporter.write_line(f"{endpoint}: {', '.join(codes)}")
