"""The course of one run: start, take turns, weigh, stop, then the measures that need no server."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.apart import measure_apart
from bench.arena import Arena
from bench.contest import FLOOR, SENDING, WECHATPY, Contest, make_workloads, rules_key
from bench.cores import Cores, machine
from bench.product import Product, prepare
from bench.results import Drained, Grabbed, GrowthRow, Results, Sent, StartUp
from bench.sizes import SEED, Sizes

_PROBE_S = 0.3


@dataclass(frozen=True, slots=True)
class _Apart:
    """What was measured without HTTP."""

    index_s: float
    members: list[GrowthRow]
    groups: list[GrowthRow]
    seen_bytes: float
    answer_bytes: float
    drained: Drained
    sent: Sent
    grabbed: Grabbed


def run(sizes: Sizes, cores: Cores) -> Results:
    """Measure everything; the calling process is the load generator and has to be on the load's core.

    Raises:
        BotError: Something did not start, broke off or failed; every process has ended.
    """
    _say(f"seed {SEED}, run {sizes.name}, server on core {cores.server}, load and Redis on core {cores.load}")
    with tempfile.TemporaryDirectory(prefix="huoqun-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        contest = Contest(sizes, cores, folder, stack, Arena(sizes))
        _start(contest)
        _measure(contest)
        contest.weigh_again()
        stack.close()
        _say("starting again")
        after_s = _start_and_stop(folder / rules_key(sizes.compared_rules), cores)
        empty_s, second_s = _first_starts(folder / "fresh", cores)
    apart = _measure_apart(sizes, cores)
    return Results(
        sizes=sizes,
        machine=machine(),
        scores=contest.arena.scores,
        weights=contest.weights,
        missing=contest.missing,
        start_up=StartUp(empty_s, second_s, after_s),
        index_rules=sizes.rule_counts[-1],
        index_s=apart.index_s,
        members=apart.members,
        groups=apart.groups,
        seen_bytes=apart.seen_bytes,
        answer_bytes=apart.answer_bytes,
        drained=apart.drained,
        sent=apart.sent,
        grabbed=apart.grabbed,
    )


def _first_starts(folder: Path, cores: Cores) -> tuple[float, float]:
    prepare(folder, ())
    return _start_and_stop(folder, cores), _start_and_stop(folder, cores)


def _start_and_stop(folder: Path, cores: Cores) -> float:
    product = Product.start(folder, cores)
    product.stop()
    return product.process.started_in_s


def _start(contest: Contest) -> None:
    """Start every server; the floor answers as many bytes as the product does on average."""
    sizes = contest.sizes
    _say("making callbacks")
    chats, check_ins = make_workloads(sizes)
    _say("starting servers")
    contest.add_products(chats, check_ins)
    compared = chats[sizes.compared_rules]
    body_bytes = contest.arena.probe(contest.entries[rules_key(sizes.compared_rules)], _PROBE_S)
    contest.add_floors(compared, round(body_bytes))
    contest.add_rivals(compared)


def _measure(contest: Contest) -> None:
    sizes, arena, entries = contest.sizes, contest.arena, contest.entries
    for turn in range(sizes.turns):
        _say(f"throughput, turn {turn + 1} of {sizes.turns}")
        arena.throughput(contest.in_turn())
    compared = [entries[key] for key in (FLOOR, rules_key(sizes.compared_rules), WECHATPY)]
    for turn in range(sizes.latency_turns):
        _say(f"latency, turn {turn + 1} of {sizes.latency_turns}")
        arena.latency(compared, turn)
        arena.while_sending(
            entries[SENDING], rules_key(sizes.compared_rules), contest.vendor_port, sizes.deliveries, turn
        )


def _measure_apart(sizes: Sizes, cores: Cores) -> _Apart:
    _say("index, growth, memory per event, drain")
    core, store = cores.server, {"store_core": cores.load}
    index = measure_apart("index_build", core, rules=sizes.rule_counts[-1])
    growth = measure_apart(
        "growth",
        core,
        **store,
        events=sizes.growth_events,
        member_counts=sizes.member_counts,
        group_counts=sizes.group_counts,
    )
    footprint = measure_apart("footprint", core, **store, seen=sizes.seen_events, kept=sizes.kept_answers)
    drained = measure_apart("drain_rate", core, **store, check_ins=sizes.drained_check_ins)
    sent = measure_apart("send_rate", core, **store, deliveries=sizes.deliveries, turns=sizes.turns)
    grabbed = measure_apart("grab_rate", core, **store, grabs=sizes.grabs, turns=sizes.turns)
    return _Apart(
        index_s=index["seconds"],
        members=[GrowthRow(**row) for row in growth["members"]],
        groups=[GrowthRow(**row) for row in growth["groups"]],
        seen_bytes=footprint["seen_bytes"],
        answer_bytes=footprint["answer_bytes"],
        drained=Drained(**drained),
        sent=Sent(**sent),
        grabbed=Grabbed(**grabbed),
    )


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
