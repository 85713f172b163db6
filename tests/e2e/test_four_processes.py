"""Four processes behind one port are one bot: its rules, its figures."""

from __future__ import annotations

import asyncio
import time

from bot.sandbox.vendor import Sandbox
from tests.e2e.conftest import Running
from tests.e2e.deployments import MANAGER
from tests.e2e.lines import Answer, Line, lines_to_workers
from tests.e2e.records import until
from tests.e2e.serving import tell

LIMIT_S = 3.0  # what is promised is 1 s; the rest is for a machine that does more than this


async def test_a_rule_saved_replaced_and_deleted_on_one_process_is_so_on_all(
    four: Running, vendor: Sandbox
) -> None:
    async with lines_to_workers(four.server, 1) as workers:
        lines = [line for (line,) in workers.values()]
        assert len(lines) == 4
        for place, (order, expected) in enumerate(
            (
                ("关键词 营业时间=每天 9:00 到 21:00", "每天 9:00 到 21:00"),
                ("关键词 营业时间=节日休息", "节日休息"),
                ("删关键词 营业时间", ""),
            )
        ):
            saved_on = lines[place]
            assert vendor.open_answer("app", (await say(saved_on, vendor, MANAGER, order)).body)
            saved_s = time.monotonic()
            waits_s = await asyncio.gather(*(answered(line, vendor, expected) for line in lines))
            tell(f"{order}: live on all processes after {time.monotonic() - saved_s:.2f} s, {waits_s}")


async def answered(line: Line, vendor: Sandbox, expected: str) -> float:
    """Wait until a process answers as `expected`; return how many seconds it took."""

    async def as_expected() -> bool:
        inner = vendor.open_answer("app", (await say(line, vendor, "ana", "请问营业时间？")).body)
        return expected in inner if expected else not inner

    return round(await until(as_expected, f"the answer {expected!r}", LIMIT_S), 2)


async def say(line: Line, vendor: Sandbox, user_id: str, text: str) -> Answer:
    answer = await line.post("app", vendor.build_callback("app", user_id, text))
    assert answer.status == 200
    return answer


async def test_the_figures_of_four_processes_are_one_sum_whichever_is_asked(
    four: Running, vendor: Sandbox
) -> None:
    async with lines_to_workers(four.server, 1) as workers:
        lines = [line for (line,) in workers.values()]
        assert len(lines) == 4
        for count, line in enumerate(lines, 1):
            for number in range(count):
                member = f"m{line.own_port}n{number}"
                assert (
                    await line.post("night", vendor.build_callback("night", member, "签到"))
                ).status == 200
            refused = await line.ask("POST", "/callback/night?nonce=1", b"<xml/>")
            assert refused.status == 403
        for line in lines:
            figures = (await line.ask("GET", "/metrics")).body.decode()
            assert value(figures, "huoqun_events_total", channel="night", outcome="answered") == 1 + 2 + 3 + 4
            assert value(figures, "huoqun_answer_seconds_count", channel="night") == 1 + 2 + 3 + 4
            assert value(figures, "huoqun_callbacks_refused_total", channel="night", status="403") == 4


def value(figures: str, name: str, **labels: str) -> float:
    """The value of one figure in Prometheus' text."""
    found = [
        row.rpartition(" ")[2]
        for row in figures.splitlines()
        if row.partition("{")[0] == name and all(f'{key}="{text}"' in row for key, text in labels.items())
    ]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return float(found[0])
