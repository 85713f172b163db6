"""The table: one line per figure, as a ratio where another machine would give another figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.arena import LOAD_LEVELS, Scores
from bench.contest import (
    AI_BOT,
    ALWAYS,
    CHECK_IN,
    CHECK_IN_ALWAYS,
    FLOOR,
    FLOOR_UVLOOP,
    SENDING,
    SHARED,
    SINK,
    WECHATPY,
    WECHATPY_SHARED,
    WEROBOT,
    rules_key,
)
from bench.load import percentile
from bench.results import GrowthRow, Results
from bench.sizes import SEED
from bot.errors import RefusedError

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_PERCENTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured.
        figure: The figure, a ratio unless its unit says otherwise.
        spread: Lowest and highest turn, in the same unit; empty where there was one turn.
        target: What it should be; empty where nothing is asked.
        met: Whether it is; None without a target.
        absolute: The figure on this machine, printed but not published.
    """

    what: str
    figure: str
    spread: str = ""
    target: str = ""
    met: bool | None = None
    absolute: str = ""


def rows_of(results: Results) -> list[Row]:
    """Return the whole table."""
    return [
        *_throughput(results),
        *_comparisons(results),
        *_latency(results),
        _while_sending(results),
        *_memory(results),
        *_start_up(results),
        *_growth("members", results.members),
        *_growth("groups", results.groups),
        *_stores(results),
        _sending(results),
        *_grabbing(results),
        _correctness(results),
    ]


def render(rows: Sequence[Row], *, absolute: bool) -> str:
    """Return the rows as a Markdown table, with this machine's absolute figures or without."""
    heads = ["measured", "figure", "min–max", "target", "met", *(["here"] if absolute else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        met = "" if row.met is None else ("yes" if row.met else "**no**")
        cells = [row.what, row.figure, row.spread, row.target, met, *([row.absolute] if absolute else [])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def heading(results: Results) -> str:
    """Say what the table is of, without anything that names the machine."""
    sizes = results.sizes
    disturbed = max(results.scores[key].disturbed for key in (FLOOR, rules_key(sizes.compared_rules)))
    return (
        f"{results.machine}; run `{sizes.name}`: {sizes.turns} alternating turns of {sizes.turn_s:g} s, "
        f"{sizes.connections} connections, {sizes.members} members, seed {SEED}. "
        "Server on one core; load generator and Redis on the other. "
        f"Something else ran on the server's core for at most {disturbed:.0%} of a turn."
    )


def write_into(document: Path, text: str) -> None:
    """Put `text` between the markers of `document`.

    Raises:
        RefusedError: The document does not have both markers, in order.
    """
    whole = document.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RefusedError(f"{document.name} needs the lines {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


# ---------------------------------------------------------------- sections


def _throughput(results: Results) -> Iterable[Row]:
    compared = results.sizes.compared_rules
    yield _rate(results, FLOOR, "floor: bare aiohttp handler, constant answer, default loop")
    yield _rate(results, FLOOR_UVLOOP, "the same handler on uvloop")
    for count in results.sizes.rule_counts:
        target = 0.60 if count == compared else None
        yield _rate(results, rules_key(count), f"**Huoqun, {_number(count)} rules**", at_least=target)
    here = f"Huoqun, {_number(compared)} rules"
    yield _rate(results, AI_BOT, f"Huoqun, AI bot in a group (JSON), {_number(compared)} rules")
    yield _rate(results, SHARED, f"{here}, Redis on the server's core too")
    yield _rate(results, ALWAYS, f"{here}, `appendfsync always`")
    yield _rate(results, CHECK_IN, "Huoqun, check-ins (签到): three round trips, ledger, drain")
    yield _rate(results, CHECK_IN_ALWAYS, "Huoqun, check-ins, `appendfsync always`")
    yield _rate(results, WECHATPY, f"(b) wechatpy + aiohttp as documented, {_number(compared)} rules")
    yield _rate(results, WECHATPY_SHARED, "(b), Redis on the server's core too")
    if WEROBOT in results.missing:
        yield Row("(c) WeRoBot in Tornado", "not measured", absolute=results.missing[WEROBOT])
    else:
        yield _rate(results, WEROBOT, f"(c) WeRoBot in Tornado, {_number(compared)} rules, no Redis work")
    yield _rate(results, SINK, "load generator against a server that does nothing", at_least=1.3)


def _rate(results: Results, key: str, what: str, at_least: float | None = None) -> Row:
    scores = results.scores[key]
    ratios = _turn_by_turn(results, key, FLOOR)
    ratio = median(ratios)
    target = "" if at_least is None else f"≥ {at_least:.2f}"
    return Row(
        f"{what} ÷ floor",
        _ratio(ratio),
        _spread(ratios),
        target,
        None if at_least is None else ratio >= at_least,
        f"{scores.rate:,.0f}/s, {median(scores.cpu_us):.1f} µs CPU each; "
        f"busy {median(scores.busy):.0%}, disturbed {scores.disturbed:.0%}, load {scores.load_share:.0%}",
    )


def _comparisons(results: Results) -> Iterable[Row]:
    sizes = results.sizes
    times = _turn_by_turn(results, rules_key(sizes.compared_rules), WECHATPY)
    what = f"Huoqun ÷ (b), {_number(sizes.compared_rules)} rules"
    yield Row(what, _ratio(median(times)), _spread(times), "≥ 8", median(times) >= 8)
    few, many = sizes.rule_counts[0], sizes.rule_counts[-1]
    costs = _turn_by_turn(results, rules_key(few), rules_key(many))
    what = f"cost of a message at {_number(many)} rules ÷ at {_number(few)}"
    cpu = [median(results.scores[rules_key(count)].cpu_us) for count in (many, few)]
    yield Row(
        what, _ratio(median(costs)), _spread(costs), "≤ 1.10", median(costs) <= 1.10,
        f"by CPU time {_ratio(cpu[0] / cpu[1])}",
    )  # fmt: skip


def _turn_by_turn(results: Results, key: str, other: str) -> list[float]:
    """Return the ratio of two throughputs in each turn: what disturbs the machine disturbs both."""
    return [
        one / base for one, base in zip(results.scores[key].rates, results.scores[other].rates, strict=True)
    ]


def _spread(ratios: Sequence[float]) -> str:
    return f"{_ratio(min(ratios))}–{_ratio(max(ratios))}"


def _latency(results: Results) -> Iterable[Row]:
    compared = results.sizes.compared_rules
    for level in LOAD_LEVELS:
        floor = _percentiles(results.scores[FLOOR], level)
        absolute = _milliseconds(floor)
        yield Row(
            f"p50 / p99 / p99.9 at {level:.0%} of own throughput: floor", "1 / 1 / 1", absolute=absolute
        )
        for key, name in ((rules_key(compared), "**Huoqun**"), (WECHATPY, "(b)")):
            own = _percentiles(results.scores[key], level)
            ratios = [one / other for one, other in zip(own, floor, strict=True)]
            asked = level == LOAD_LEVELS[0] and key != WECHATPY
            yield Row(
                f"the same: {name} ÷ floor",
                " / ".join(map(_ratio, ratios)),
                "",
                "p99 ≤ 2" if asked else "",
                ratios[1] <= 2 if asked else None,
                _milliseconds(own),
            )


def _while_sending(results: Results) -> Row:
    level, key = LOAD_LEVELS[0], rules_key(results.sizes.compared_rules)
    own, alone = (_percentiles(results.scores[one], level) for one in (SENDING, key))
    return Row(
        f"p50 / p99 / p99.9 of Huoqun at {level:.0%}, while {_number(results.sizes.deliveries)} messages "
        "leave ÷ without",
        " / ".join(_ratio(one / other) for one, other in zip(own, alone, strict=True)),
        absolute=f"{_milliseconds(own)}; {_number(results.scores[SENDING].left)} messages left meanwhile",
    )


def _sending(results: Results) -> Row:
    sent = results.sent
    ratios = [bare / own for own, bare in zip(sent.seconds, sent.bare_seconds, strict=True)]
    own, bare = (sent.sent / median(seconds) for seconds in (sent.seconds, sent.bare_seconds))
    return Row(
        f"{_number(results.sizes.deliveries)} deliveries to 100 people: messages/s ÷ bare aiohttp calls/s",
        _ratio(median(ratios)),
        _spread(ratios),
        absolute=f"{own:,.0f}/s, bare {bare:,.0f}/s",
    )


def _grabbing(results: Results) -> Iterable[Row]:
    grabbed = results.grabbed
    ratios = [bare / own for own, bare in zip(grabbed.seconds, grabbed.bare_seconds, strict=True)]
    own, bare, flood = (
        grabbed.grabs / median(seconds)
        for seconds in (grabbed.seconds, grabbed.bare_seconds, grabbed.flood_seconds)
    )
    yield Row(
        f"{_number(grabbed.grabs)} shares of red packets grabbed, sums checked: grabs/s ÷ the act alone/s",
        _ratio(median(ratios)),
        _spread(ratios),
        "≥ 0.8",
        median(ratios) >= 0.8,
        f"{own:,.0f}/s, alone {bare:,.0f}/s",
    )
    floods = [own / flood for own, flood in zip(grabbed.seconds, grabbed.flood_seconds, strict=True)]
    yield Row(
        f"{_number(grabbed.grabs)} members want the 200 shares of one packet: grabs/s ÷ those above",
        _ratio(median(floods)),
        _spread(floods),
        absolute=f"{flood:,.0f}/s",
    )


def _percentiles(scores: Scores, level: float) -> list[float]:
    return [percentile(scores.latencies_s[level], share) for share in _PERCENTILES]


def _milliseconds(seconds: Iterable[float]) -> str:
    return " / ".join(f"{1000 * one:.2f}" for one in seconds) + " ms"


def _memory(results: Results) -> Iterable[Row]:
    sizes = results.sizes
    wanted = [(FLOOR, "floor"), (WECHATPY, "(b)"), (WEROBOT, "(c)")]
    wanted += [(rules_key(count), f"**Huoqun, {_number(count)} rules**") for count in sizes.rule_counts]
    for key, name in wanted:
        if key not in results.weights:
            continue
        weights = results.weights[key]
        asked = key == rules_key(sizes.rule_counts[0])
        assert weights.loaded is not None
        yield Row(
            f"memory of {name}, RSS: idle, after load",
            f"{weights.idle.rss_mib:.0f}, {weights.loaded.rss_mib:.0f} MiB",
            "",
            "idle ≤ 90 MiB" if asked else "",
            weights.idle.rss_mib <= 90 if asked else None,
            f"PSS {weights.idle.pss_mib:.0f}, {weights.loaded.pss_mib:.0f} MiB",
        )


def _start_up(results: Results) -> Iterable[Row]:
    found = results.start_up
    yield Row("start until ready: empty directory", f"{found.empty_directory_s:.1f} s")
    yield Row("second start", f"{found.second_s:.1f} s", "", "< 3 s", found.second_s < 3)
    rules = _number(results.sizes.compared_rules)
    what = f"start with {rules} rules and what this run left in the stores"
    yield Row(what, f"{found.after_the_run_s:.1f} s", "", "< 3 s", found.after_the_run_s < 3)
    yield Row(
        f"building the index of {_number(results.index_rules)} rules, aside", f"{results.index_s:.1f} s"
    )


def _growth(name: str, rows: Sequence[GrowthRow]) -> Iterable[Row]:
    first = rows[0]
    for row in rows[1:]:
        yield Row(
            f"a message at {_number(row.count)} {name} ÷ at {_number(first.count)}: our CPU, Redis' CPU",
            f"{_ratio(row.cpu_us / first.cpu_us)}, {_ratio(row.redis_us / first.redis_us)}",
            absolute=f"{row.cpu_us:.1f}, {row.redis_us:.1f} µs; wall {row.us:.1f} µs",
        )
    each = "member" if name == "members" else "group and member"
    yield Row(f"Redis memory per {each} active today", f"{rows[-1].bytes_each:.0f} bytes")


def _stores(results: Results) -> Iterable[Row]:
    sizes, drained = results.sizes, results.drained
    yield Row(
        f"Redis memory per remembered event (of {_number(sizes.seen_events)})",
        f"{results.seen_bytes:.1f} bytes",
    )
    yield Row(
        f"Redis memory per kept answer (of {_number(sizes.kept_answers)})",
        f"{results.answer_bytes:.0f} bytes",
    )
    rate = drained.entries / drained.seconds
    made = results.scores[CHECK_IN].rate * drained.entries / drained.counters
    yield Row(
        "drain into SQLite: entries/s ÷ entries/s that check-ins at full load make",
        _ratio(rate / made),
        absolute=f"{rate:,.0f} entries/s, and {drained.counters / drained.seconds:,.0f} members' counters/s",
    )


def _correctness(results: Results) -> Row:
    answers = sum(scores.answers for scores in results.scores.values())
    opened = sum(scores.opened for scores in results.scores.values())
    faults = len(results.faults)
    return Row(
        "answers received, each with its status checked; of these opened and compared; wrong",
        f"{_number(answers)}; {_number(opened)}; {faults}",
        "",
        "0 wrong",
        faults == 0,
    )


def _ratio(value: float) -> str:
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")
