"""Servers measured in turns: A B C A B C …, each alone on its core, every answer checked."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.cores import busy, pin
from bench.load import Heard, Load
from bench.process import ServerProcess
from bench.product import LiveState
from bench.send_rate import arrival_faults, await_arrival, joined, queue_deliveries, take_arrived
from bench.sizes import SEED, Sizes
from bench.workload import Workload

LOAD_LEVELS = (0.5, 0.8)
_WAKE_S = 0.1  # a server that goes on first does what its timers missed


@dataclass(frozen=True, slots=True)
class Server:
    """A process under test and the Redis it uses, where it uses one."""

    process: ServerProcess
    state: LiveState | None = None
    store_pid: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is measured: a server under one kind of load.

    `checked` is off for servers that do not answer what the rules say. `store_core` is where its Redis works.
    """

    key: str
    server: Server
    workload: Workload
    store_core: int
    checked: bool = True


@dataclass(slots=True)
class Scores:
    """What an entry reached.

    Attributes:
        rates: Answers per second, one per turn.
        latencies_s: Load level → latencies of all its turns, rising.
        answers: Answers received in all, every status checked.
        opened: Of these, how many were opened as the vendor does and compared with what is due.
        faults: What was wrong, each kind once.
        mean_body_bytes: Of all answers, those without a body included.
        load_share: Highest share of its core that the load generator needed in a turn of throughput.
        cpu_us: CPU time of the server per answer, one per turn of throughput; hardly moves when others
            use the machine at the same time.
        busy: Share of such a turn in which the server ran, one per turn; what is left to 1 and is not
            `disturbed` it spent waiting, for Redis or for requests.
        disturbed: Highest share of such a turn in which something else ran where the server could have.
        left: Messages that the vendor got while the entry was measured, where some were sent.
    """

    rates: list[float] = field(default_factory=list)
    latencies_s: dict[float, array[float]] = field(default_factory=dict)
    answers: int = 0
    opened: int = 0
    faults: list[str] = field(default_factory=list)
    mean_body_bytes: float = 0.0
    load_share: float = 0.0
    cpu_us: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    disturbed: float = 0.0
    left: int = 0

    @property
    def rate(self) -> float:
        """The median of the turns."""
        return median(self.rates)


class Arena:
    """Runs entries in turns and keeps their scores."""

    def __init__(self, sizes: Sizes) -> None:
        """Measure by these amounts."""
        self._sizes = sizes
        self.scores: dict[str, Scores] = {}

    def throughput(self, entries: Iterable[Entry]) -> None:
        """Measure every entry in a closed loop, one turn each."""
        sizes = self._sizes
        for entry in entries:
            load = self._begin(entry)
            before, begun_s = busy(entry.server.process.pid), time.perf_counter()
            heard = load.closed_loop(sizes.connections, sizes.warm_s, sizes.turn_s)
            after, seconds = busy(entry.server.process.pid), time.perf_counter() - begun_s
            scores = self._end(entry, heard)
            scores.rates.append(heard.rate)
            scores.load_share = max(scores.load_share, heard.load_share)
            scores.cpu_us.append((after.ran_s - before.ran_s) / heard.sent * 1e6)
            scores.busy.append((after.ran_s - before.ran_s) / seconds)
            scores.disturbed = max(scores.disturbed, (after.waited_s - before.waited_s) / seconds)

    def latency(self, entries: Sequence[Entry], turn: int) -> None:
        """Measure every entry in an open loop at shares of its own throughput; adds to earlier turns."""
        sizes = self._sizes
        for level in LOAD_LEVELS:
            for entry in entries:
                rate = level * self.scores[entry.key].rate
                load = self._begin(entry)
                seed = f"{SEED} {entry.key} {level} {turn}"
                heard = load.open_loop(sizes.connections, rate, sizes.warm_s, sizes.latency_s, seed)
                scores = self._end(entry, heard)
                together = scores.latencies_s.get(level, array("d")) + heard.latencies_s
                scores.latencies_s[level] = array("d", sorted(together))

    def while_sending(self, entry: Entry, like: str, vendor_port: int, deliveries: int, turn: int) -> None:
        """Measure an entry at half the throughput of `like` while `deliveries` leave for the vendor.

        Raises:
            SendError: None of them arrives.
        """
        sizes, level = self._sizes, LOAD_LEVELS[0]
        load = self._begin(entry)
        assert entry.server.state is not None, "it has a Redis to queue them in"
        time.sleep(_WAKE_S)  # what was under way when its Redis was emptied
        take_arrived(vendor_port)
        asyncio.run(queue_deliveries(entry.server.state.url, deliveries, turn * deliveries))
        first = await_arrival(vendor_port)
        rate, seed = level * self.scores[like].rate, f"{SEED} {entry.key} {turn}"
        heard = load.open_loop(sizes.connections, rate, 0.0, sizes.latency_s, seed)
        meanwhile = take_arrived(vendor_port)
        scores = self._end(entry, heard)
        scores.left += sum(map(len, meanwhile.values()))
        scores.faults += arrival_faults(joined(first, meanwhile))
        together = scores.latencies_s.get(level, array("d")) + heard.latencies_s
        scores.latencies_s[level] = array("d", sorted(together))

    def probe(self, entry: Entry, seconds: float) -> float:
        """Measure an entry briefly, for the mean size of its answers; return bytes."""
        heard = self._begin(entry).closed_loop(self._sizes.connections, 0.0, seconds)
        return self._end(entry, heard).mean_body_bytes

    def _begin(self, entry: Entry) -> Load:
        server = entry.server
        server.process.go_on()
        if server.store_pid:
            pin(server.store_pid, entry.store_core)
        time.sleep(_WAKE_S)
        if server.state is not None:
            server.state.empty()
        answered = tuple(map(bool, entry.workload.expected)) if entry.checked else None
        return Load(server.process.port, entry.workload.requests, answered, cycle=not entry.checked)

    def _end(self, entry: Entry, heard: Heard) -> Scores:
        scores = self.scores.setdefault(entry.key, Scores())
        total_bytes = scores.mean_body_bytes * scores.answers + heard.body_bytes
        scores.answers += heard.sent
        scores.mean_body_bytes = total_bytes / scores.answers
        if entry.checked:
            scores.opened += len(heard.samples)
        for fault in _faults(entry, heard):
            if fault not in scores.faults:
                scores.faults.append(fault)
        entry.server.process.pause()
        return scores


def _faults(entry: Entry, heard: Heard) -> Iterable[str]:
    if heard.refused:
        yield f"{heard.refused} answers with a status other than 200"
    if not entry.checked:
        return
    if heard.misplaced:
        yield f"{heard.misplaced} answers with a body where none was due, or the other way round"
    for number, body in heard.samples:
        if fault := entry.workload.fault_of(number, body):
            yield fault
    if entry.server.state is not None and (counted := entry.server.state.messages()) != heard.sent:
        yield f"{heard.sent} messages were sent, {counted} were counted"
