"""How much of everything one run does; the three usual amounts."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 20260301
"""Every random choice of a run derives from it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The amounts of one run.

    Attributes:
        name: What the run is called in the report.
        rule_counts: How many keyword rules the product is measured with; rising, at least one.
        compared_rules: Which of them is compared with others and measured for latency.
        callbacks: Distinct callbacks made per rule count; none is sent twice in one turn.
        members: Distinct senders among them.
        connections: Kept-alive connections of the load generator.
        turns: How often each server is measured; the servers take turns.
        warm_s: Seconds at the start of each turn that do not count.
        turn_s: Seconds of each turn that do.
        latency_turns: How often each load level is measured.
        latency_s: Seconds of each.
        member_counts: Distinct members whose cost is compared; rising.
        group_counts: Distinct groups whose cost is compared; rising.
        growth_events: Events measured at each of those.
        seen_events: Events over which the memory of a remembered id is measured.
        kept_answers: Events over which the memory of a kept answer is measured.
        drained_check_ins: Check-ins whose outbox entries are drained.
        deliveries: Messages that are sent.
        grabs: Shares of red packets that are grabbed in a turn.
    """

    name: str
    rule_counts: tuple[int, ...]
    compared_rules: int
    callbacks: int
    members: int
    connections: int
    turns: int
    warm_s: float
    turn_s: float
    latency_turns: int
    latency_s: float
    member_counts: tuple[int, ...]
    group_counts: tuple[int, ...]
    growth_events: int
    seen_events: int
    kept_answers: int
    drained_check_ins: int
    deliveries: int
    grabs: int


FULL = Sizes(
    name="full",
    rule_counts=(10, 1_000, 10_000, 100_000),
    compared_rules=10_000,
    callbacks=40_000,
    members=500,
    connections=50,
    turns=3,
    warm_s=0.5,
    turn_s=2.5,
    latency_turns=3,
    latency_s=3.0,
    member_counts=(100, 10_000, 1_000_000),
    group_counts=(1, 1_000, 100_000),
    growth_events=50_000,
    seen_events=1_000_000,
    kept_answers=100_000,
    drained_check_ins=10_000,
    deliveries=10_000,
    grabs=5_000,
)
QUICK = Sizes(
    name="quick",
    rule_counts=(10, 10_000, 100_000),
    compared_rules=10_000,
    callbacks=8_000,
    members=500,
    connections=50,
    turns=3,
    warm_s=0.15,
    turn_s=0.4,
    latency_turns=1,
    latency_s=1.0,
    member_counts=(100, 50_000),
    group_counts=(1, 10_000),
    growth_events=10_000,
    seen_events=50_000,
    kept_answers=20_000,
    drained_check_ins=2_000,
    deliveries=2_000,
    grabs=2_000,
)
TOY = Sizes(
    name="toy",
    rule_counts=(40,),
    compared_rules=40,
    callbacks=400,
    members=20,
    connections=5,
    turns=1,
    warm_s=0.02,
    turn_s=0.08,
    latency_turns=1,
    latency_s=0.1,
    member_counts=(10, 50),
    group_counts=(1, 20),
    growth_events=200,
    seen_events=2_000,
    kept_answers=500,
    drained_check_ins=50,
    deliveries=100,
    grabs=200,
)
