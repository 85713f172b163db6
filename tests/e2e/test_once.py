"""Every effect once, and the same answer to every delivery, over four processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bot.clock import SystemClock
from bot.model import KeywordRule
from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback
from bot.storage.sql import tables
from bot.storage.sql.keyword_rules import KeywordRuleStore
from tests.e2e.conftest import Running
from tests.e2e.deployments import MANAGER, Deployment
from tests.e2e.lines import Answer, Line, lines_to_workers, post
from tests.e2e.records import Records, until

TIMES = 50
PROCESSES = 4


@asynccontextmanager
async def spread(running: Running) -> AsyncIterator[list[Line]]:
    """Open 50 connections, evenly to all processes, interleaved so that none is far ahead of the others."""
    async with lines_to_workers(running.server, -(-TIMES // PROCESSES)) as workers:
        assert len(workers) == PROCESSES
        yield [line for row in zip(*workers.values(), strict=True) for line in row][:TIMES]


async def at_once(lines: list[Line], channel: str, callback: Callback) -> list[Answer]:
    """Deliver the same callback on every line at once."""
    for line in lines:
        await line.send_callback(channel, callback)
    return [await line.receive() for line in lines]


def words(vendor: Sandbox, channel: str, answers: list[Answer]) -> list[str]:
    """The plaintexts of answers."""
    assert {answer.status for answer in answers} == {200}
    return [vendor.open_answer(channel, answer.body) for answer in answers]


async def test_one_check_in_delivered_50_times_at_once_has_one_effect_and_50_equal_answers(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    for channel in ("app", "oa"):
        callback = vendor.build_callback(channel, "fifty", "签到")
        async with spread(four) as lines:
            answers = words(vendor, channel, await at_once(lines, channel, callback))
        assert len(answers) == TIMES
        assert "签到成功！" in answers[0]
        assert set(answers) == {answers[0]}

        drained = await four_records.drained(member=f"{channel}:fifty")
        assert drained.deltas == [("check_in", 10)]
        assert len(drained.check_ins) == 1
        assert [(row["messages"], row["check_ins"]) for row in drained.activity] == [(1, 1)]


async def test_of_many_handlers_that_decide_the_first_decision_is_every_deliverys_answer(
    four: Running, vendor: Sandbox
) -> None:
    """Each process runs the handler, and each run comes to another answer."""
    async with spread(four) as lines:
        for number in range(3):
            callback = vendor.build_callback("app", f"guesser{number}", "抽签")
            answers = words(vendor, "app", await at_once(lines, "app", callback))
            assert "抽到 " in answers[0]
            assert set(answers) == {answers[0]}


async def test_points_given_by_a_message_delivered_50_times_at_once_are_given_once(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    """Unlike a check-in, nothing about the act itself forbids a second one."""
    await post(four.server.base, "app", vendor.build_callback("app", "poor", "帮助"))
    await four_records.until_drained()
    async with spread(four) as lines:
        callback = vendor.build_callback("app", MANAGER, "加分 poor 7 晒单")
        answers = words(vendor, "app", await at_once(lines, "app", callback))
        assert "7 积分" in answers[0]
        assert set(answers) == {answers[0]}
        assert (await four_records.drained(member="app:poor")).deltas == [("grant", 7)]

        again = vendor.build_callback("app", MANAGER, "加分 poor 7 晒单")
        words(vendor, "app", await at_once(lines, "app", again))
    assert (await four_records.drained(member="app:poor")).deltas == [("grant", 7), ("grant", 7)]
    assert (await four_records.drained(member=f"app:{MANAGER}")).messages == 2


RANDOM = tuple(f"答案 {number}" for number in range(40))


async def test_a_rule_with_random_answers_and_a_cool_down_gives_50_deliveries_the_same_answer(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    await save(
        four,
        four_records,
        vendor,
        "compatible",
        KeywordRule(("星期",), RANDOM, cool_down_s=600, cool_down_scope="member"),
    )
    chosen = set()
    async with spread(four) as lines:
        for member in ("ann", "ben", "cid", "dot"):
            callback = vendor.build_callback("compatible", member, "星期几")
            given = words(vendor, "compatible", await at_once(lines, "compatible", callback))
            assert "答案 " in given[0]
            assert set(given) == {given[0]}
            chosen.add(given[0].partition("答案 ")[2])
            later = vendor.build_callback("compatible", member, "星期几")
            assert set(words(vendor, "compatible", await at_once(lines, "compatible", later))) == {""}
    assert len(chosen) > 1  # it really is chosen: what decides is the event, not the member or the rule
    assert (await four_records.drained(member="compatible:ann")).messages == 2


async def test_of_50_members_at_once_one_wins_the_answer_of_a_rule_that_cools_down(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    await save(
        four,
        four_records,
        vendor,
        "plain",
        KeywordRule(("天气",), RANDOM, cool_down_s=600, cool_down_scope="rule"),
    )
    async with spread(four) as lines:
        for number, line in enumerate(lines):
            await line.send_callback("plain", vendor.build_callback("plain", f"asks{number}", "天气如何"))
        given = words(vendor, "plain", [await line.receive() for line in lines])
    assert len([answer for answer in given if answer]) == 1


async def save(running: Running, records: Records, vendor: Sandbox, channel: str, rule: KeywordRule) -> None:
    """Save a rule and wait until every process has it; beside it a rule that shows so without spending it."""
    probe = f"{rule.triggers[0][0]}在吗"
    store = KeywordRuleStore(records.database, SystemClock())
    await store.create_many(channel, [rule, KeywordRule((probe,), ("在",))], created_by="test")
    async with lines_to_workers(running.server, 1) as workers:
        for (line,) in workers.values():

            async def has_it(line: Line = line) -> bool:
                return (
                    await line.post(channel, vendor.build_callback(channel, "probe", probe))
                ).body != b"success"

            await until(has_it, "the rule on every process", 5.0)


async def test_equal_texts_with_different_ids_are_two_messages(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    first, second = (vendor.build_callback("oa", "twice", "签到") for _ in range(2))
    async with lines_to_workers(four.server, 1) as workers:
        lines = [line for (line,) in workers.values()]
        answers = words(vendor, "oa", [await line.post("oa", first) for line in lines])
        others = words(vendor, "oa", [await line.post("oa", second) for line in lines])
    assert set(answers) == {answers[0]}
    assert set(others) == {others[0]}
    assert "签到成功！" in answers[0]
    assert "今天已经签到过了" in others[0]
    drained = await four_records.drained(member="oa:twice")
    assert (drained.messages, drained.deltas) == (2, [("check_in", 10)])


async def test_a_report_without_a_message_id_is_known_by_its_content(
    four: Running, four_records: Records, vendor: Sandbox
) -> None:
    """Follow, leave and follow again: three happenings, each told to every process, each counted once."""
    async with spread(four) as lines:
        for number, name in enumerate(("subscribe", "unsubscribe", "subscribe")):
            at = datetime(2026, 3, 2, 4, number, tzinfo=UTC)
            callback = vendor.build_event("oa", "fickle", name, at=at)
            answers = words(vendor, "oa", await at_once(lines, "oa", callback))
            assert set(answers) == {answers[0]}
            assert ("欢迎" in answers[0]) == (name == "subscribe")
    await four_records.until_drained()
    (member,) = await four_records.rows(tables.members, member="oa:fickle")
    assert (member["joins"], member["left_at_ms"]) == (2, None)
    (row,) = await four_records.rows(tables.activity, member="oa:fickle")
    assert row["events"] == 3


async def test_a_repeat_gets_the_same_answer_for_a_while_then_silence_and_never_a_second_effect(
    tmp_path: Path, vendor: Sandbox
) -> None:
    """With a memory of one second for answers and four for events."""
    reply_s, event_s = 1.0, 4.0
    memory = {"reply_memory_s": int(reply_s), "event_memory_s": int(event_s)}
    deployment = Deployment(tmp_path, {"server": memory})
    with deployment.serve() as server:
        async with deployment.records() as records, Line(server.base) as line:
            await line.post("app", vendor.build_callback("app", "poor", "帮助"))
            await records.until_drained()
            callback = vendor.build_callback("app", MANAGER, "加分 poor 7")
            begun_s = time.monotonic()
            answer = vendor.open_answer("app", (await line.post("app", callback)).body)
            decided_s = time.monotonic()
            assert "7 积分" in answer
            same = silent = 0
            while (sent_s := time.monotonic()) < begun_s + event_s - 0.5:
                again = vendor.open_answer("app", (await line.post("app", callback)).body)
                if time.monotonic() < begun_s + reply_s:
                    assert again == answer
                    same += 1
                elif sent_s > decided_s + reply_s + 0.1:
                    assert again == ""
                    silent += 1
                await asyncio.sleep(0.02)
            assert same > 3
            assert silent > 3
            assert (await records.drained(member="app:poor")).deltas == [("grant", 7)]
            assert (await records.drained(member=f"app:{MANAGER}")).messages == 1
