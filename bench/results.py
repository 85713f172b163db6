"""What a run found, before it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.arena import Scores
from bench.contest import Weights
from bench.sizes import Sizes


@dataclass(frozen=True, slots=True)
class StartUp:
    """Seconds from the start of the process to the line ``ready``."""

    empty_directory_s: float
    second_s: float
    after_the_run_s: float


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """The cost of one message at `count` members or groups; see `bench.growth`."""

    count: int
    us: float
    cpu_us: float
    redis_us: float
    bytes_each: float


@dataclass(frozen=True, slots=True)
class Drained:
    """Outbox entries and members' counters moved to SQL, and the seconds it took."""

    entries: int
    counters: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """Deliveries that left in each turn, the seconds each turn took, and those of as many bare calls."""

    sent: int
    seconds: Sequence[float]
    bare_seconds: Sequence[float]


@dataclass(frozen=True, slots=True)
class Grabbed:
    """Shares of red packets grabbed in each turn, the seconds of each, of as many bare acts, and of a flood.

    A flood is as many members who want the shares of one packet.
    """

    grabs: int
    seconds: Sequence[float]
    bare_seconds: Sequence[float]
    flood_seconds: Sequence[float]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything of one run.

    `index_s` is the time to build the index of `index_rules` rules; `seen_bytes` and `answer_bytes` are what
    Redis keeps per remembered event and per kept answer.
    """

    sizes: Sizes
    machine: str
    scores: Mapping[str, Scores]
    weights: Mapping[str, Weights]
    missing: Mapping[str, str]
    start_up: StartUp
    index_rules: int
    index_s: float
    members: Sequence[GrowthRow]
    groups: Sequence[GrowthRow]
    seen_bytes: float
    answer_bytes: float
    drained: Drained
    sent: Sent
    grabbed: Grabbed

    @property
    def faults(self) -> list[str]:
        """Everything that was answered or counted wrongly."""
        return [f"{key}: {fault}" for key, scores in self.scores.items() for fault in scores.faults]
