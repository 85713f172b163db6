"""Scenarios: what is wrong with a file is said line by line, and what a play shows is what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ConfigError, RefusedError
from bot.sandbox.courier import Settings
from bot.sandbox.mishaps import MISHAPS
from bot.sandbox.player import Report, play
from bot.sandbox.scenario import (
    Expect,
    Say,
    Together,
    find_scenarios,
    load_scenarios,
    read_scenario,
    shipped_scenarios,
)
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import APP
from tests.sandbox.echo_bot import EchoBot
from tests.sandbox.json_bot import JsonBot, stream
from tests.sandbox.test_ai_bot_callbacks import BOT

QUICK = Settings(repeat_pause_s=0.0, poll_interval_s=0.01, answer_timeout_s=1.0)
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "参加拼团"},
    "task_id": "t-1",
    "button_list": [{"text": "参加", "key": "join"}, {"text": "不了", "key": "no"}],
}


@pytest.fixture
async def ai_bot() -> AsyncIterator[JsonBot]:
    async with JsonBot(BOT) as bot:
        yield bot


def head(kinds: str, steps: str, more: str = "") -> bytes:
    return f"name: 试\non: [{kinds}]\npeople: {{lin: 小林, zhou: 小周}}\n{more}\nsteps:\n{steps}\n".encode()


async def perform(
    base: str, kinds: str, steps: str, more: str = "", **options: Any
) -> tuple[Report, list[str]]:
    printed: list[str] = []
    scenario = read_scenario(head(kinds, steps, more), "s.yaml")
    report = await play(base, [scenario], write=printed.append, **options)
    return report, printed


# ---------------------------------------------------------------- reading


def test_a_scenario_is_read_with_its_places_people_and_branches() -> None:
    scenario = read_scenario(
        head(
            "wecom_aibot",
            '  - lin: "@bot 签到"\n  - bot: [签到, 成功]\n'
            "  - together:\n      - [{lin: 一}, {bot: 二}]\n      - zhou: 三\n",
            "in: group",
        ),
        "s.yaml",
    )

    said, expected, together = scenario.steps
    assert said == Say(6, "lin", "签到", "group", mention=True)
    assert isinstance(expected, Expect)
    assert expected.contains == ("签到", "成功")
    assert isinstance(together, Together)
    assert [len(branch) for branch in together.branches] == [2, 1]
    assert scenario.group == "剧本群 scenario"
    assert (scenario.fits("wecom_aibot", "callback"), scenario.fits("wecom_app", "encrypted")) == (
        True,
        False,
    )


def test_everything_wrong_is_said_at_once_with_line_and_nearest_word() -> None:
    steps = """\
  - lim: 你好
  - expect: {containz: x}
  - fault: callback_doubld
  - clock: 25
  - say: {as: lon, text: x, in: grop}
  - wait: soon
  - expect: {nothing: true, contains: x}
  - expect: {regex: "("}
  - together: [{lin: x}]
  - lin: x
    bot: y
  - expect_delivery: {state: dead_}
"""
    with pytest.raises(ConfigError) as caught:
        read_scenario(head("wecom_ap", steps, "peeple: {}"), "s.yaml")

    told = "\n".join(str(fault) for fault in caught.value.faults)
    for words in (
        "s.yaml:2: on[0]: is not a kind of channel (did you mean wecom_app?)",
        "s.yaml:4: peeple: is not a known key (did you mean people?)",
        "s.yaml:6: steps[0].lim: is neither a kind of step nor one of the people (did you mean lin?)",
        "s.yaml:7: steps[1].expect.containz: is not a known key (did you mean contains?)",
        "s.yaml:8: steps[2].fault: is not a known fault (did you mean callback_doubled?)",
        "s.yaml:9: steps[3].clock: must be a length of time with its sign",
        "s.yaml:10: steps[4].say.as: is none of the people (did you mean lin?)",
        "s.yaml:10: steps[4].say.in: must be one of group, direct (did you mean group?)",
        "s.yaml:11: steps[5].wait: must be a number from 0 to 600",
        "s.yaml:12: steps[6].expect.nothing: stands beside another condition",
        "s.yaml:13: steps[7].expect.regex: is no regular expression",
        "s.yaml:14: steps[8].together: must be a list of two branches or more",
        "s.yaml:15: steps[9]: must be one key and its value",
        "s.yaml:17: steps[10].expect_delivery.state: must be one of queued, delivered, dead",
    ):
        assert words in told


@pytest.mark.parametrize("data", [b"", b"- x", b"name: {", b"\xff", b"name: x\nname: y"])
def test_what_is_no_scenario_is_refused_not_crashed_on(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"s\.yaml:\d+: "):
        read_scenario(data, "s.yaml")


def test_every_shipped_scenario_can_be_read_and_found_by_name(tmp_path: Path) -> None:
    shipped = load_scenarios(shipped_scenarios())

    assert len(shipped) >= 8
    assert load_scenarios(find_scenarios("all")) == shipped
    assert load_scenarios(find_scenarios("living-core"))[0].name.startswith("单聊里的日常")
    with pytest.raises(RefusedError, match="did you mean living-core"):
        find_scenarios("living-cor")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenarios(tmp_path / "none.yaml")


# ---------------------------------------------------------------- playing


async def test_a_play_reads_as_a_conversation_and_everything_holds(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        steps = (
            "  - lin: 你好\n  - bot: 'echo: 你好'\n"
            "  - lin: 再来\n  - expect: {equals: 'echo: 再来', count: 1}\n"
        )
        report, printed = await perform(server.api_base, "wecom_app", steps)

    assert printed == [
        "▶ 试 · app (wecom_app)",
        "   小林: 你好",
        "   活群: echo: 你好",
        "   ✓ 'echo: 你好'",
        "   小林: 再来",
        "   活群: echo: 再来",
        "   ✓ 'echo: 再来'",
        "   ✓ 1 message(s) in all",
        "",
        "✓ 1 played, 3 held, 0 failed",
    ]
    assert report.well


async def test_what_does_not_hold_names_its_line_and_what_came_instead(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        steps = (
            "  - lin: 你好\n  - expect: {contains: 再见, within_s: 0.05}\n"
            "  - expect: {nothing: true, within_s: 0.05}\n"
            "  - expect: {contains: 你好, count: 2}\n"
        )
        report, printed = await perform(server.api_base, "wecom_app", steps)

    assert not report.well
    assert report.failures == [
        "s.yaml:7: app (wecom_app): expected '再见' within 0.05 s; came: echo: 你好",
        "s.yaml:8: app (wecom_app): expected nothing; came: echo: 你好",
        "s.yaml:9: app (wecom_app): expected 2 message(s) in all, came 1: echo: 你好",
    ]
    assert printed[-1] == "✗ 1 played, 1 held, 3 failed"


async def test_a_scenario_that_fits_no_channel_is_not_called_well(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        report, printed = await perform(server.api_base, "wechat_oa", "  - lin: x")

        assert (report.plays, report.well) == (0, False)
        assert "no channel here fits (wechat_oa)" in printed[0]
        with pytest.raises(RefusedError, match="no channel 'nowhere'"):
            await perform(server.api_base, "wecom_app", "  - lin: x", channels=["nowhere"])
        with pytest.raises(RefusedError, match="no fault is called 'rain'"):
            await perform(server.api_base, "wecom_app", "  - lin: x", faults=["rain"])


async def test_in_a_group_the_bot_hears_only_mentions_and_answers_each_who_speaks(ai_bot: JsonBot) -> None:
    numbers = iter(range(100))

    def answer(said: dict[str, Any]) -> dict[str, Any]:
        quoted = said.get("quote", {}).get("text", {}).get("content", "")
        words = f"{said['from']['userid']} {said['text']['content']} {quoted}"
        return stream(words, stream_id=f"s-{next(numbers)}")

    ai_bot.answer = answer
    steps = """\
  - lin: 大家好
  - expect: {nothing: true}
  - lin: "@bot 签到"
  - expect: {regex: "lin-.*签到", count: 1}
  - together:
      - [{lin: "@bot 甲"}, {expect: {contains: ["{lin}", 甲], count: 1}}]
      - [{zhou: "@bot 乙"}, {expect: {contains: ["{zhou}", 乙], count: 1}}]
  - say: {as: zhou, text: "@bot 什么", quote: 签到}
  - bot: [什么, 签到]
  - repeat: {times: 2, steps: [{say: {as: lin, text: 悄悄话, in: direct}}, {bot: 悄悄话}]}
"""
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        report, printed = await perform(server.api_base, "wecom_aibot/callback", steps, "in: group")

    assert report.failures == []
    assert "   小林 → 剧本群 scenario: @活群 签到" in printed
    assert {said["chattype"] for said in ai_bot.messages} == {"group", "single"}
    assert len(ai_bot.messages) == 6  # what mentions nobody never came


async def test_cards_are_pressed_and_change_in_place_and_answers_are_judged(ai_bot: JsonBot) -> None:
    def answer(said: dict[str, Any]) -> dict[str, Any] | None:
        kind = said.get("event", {}).get("eventtype")
        if kind == "template_card_event":
            done = {**CARD, "main_title": {"title": "已参加"}}
            return {"response_type": "update_template_card", "template_card": done}
        if kind:
            return None
        if said["text"]["content"].endswith("卡片"):
            return {"msgtype": "template_card", "template_card": CARD}
        return stream("好", feedback={"id": "fb-1"})

    ai_bot.answer = answer
    steps = """\
  - lin: 卡片
  - expect: {card: 参加拼团}
  - click: {as: lin, button: 参加}
  - expect: {card: 已参加}
  - lin: 说得好吗
  - bot: 好
  - feedback: {as: lin, type: inaccurate, text: 太短}
  - expect: {nothing: true, within_s: 0.05}
"""
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        report, _ = await perform(server.api_base, "wecom_aibot", steps)

    assert report.failures == []
    events = [heard.said["event"] for heard in ai_bot.heard if heard.said["msgtype"] == "event"]
    assert events[0]["template_card_event"]["event_key"] == "join"
    assert events[1]["feedback_event"] == {"id": "fb-1", "type": 2, "content": "太短"}


async def test_pressing_and_quoting_what_is_not_there_fails_the_step_and_the_play_goes_on(
    ai_bot: JsonBot,
) -> None:
    ai_bot.answer = lambda _: stream("好")
    steps = (
        "  - click: {as: lin, button: 参加}\n  - say: {as: lin, text: x, quote: last}\n"
        "  - lin: 好吗\n  - bot: 好\n"
    )
    async with SandboxServer([BOT], callback_base=ai_bot.base, settings=QUICK) as server:
        report, _ = await perform(server.api_base, "wecom_aibot", steps)

    assert [failure.split(": ")[0] for failure in report.failures] == ["s.yaml:6", "s.yaml:7"]
    assert report.held == 1


async def test_a_fault_named_for_every_act_happens_before_each(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        steps = "  - lin: 一\n  - bot: 一\n  - lin: 二\n  - bot: 二\n"
        report, _ = await perform(server.api_base, "wecom_app", steps, faults=["callback_doubled", "kick"])

        assert report.failures == []
        assert len(bot.deliveries) == 4
        assert server.sandbox.faults.waiting() == ()


async def test_faults_and_clock_are_put_right_after_a_play(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        steps = (
            "  - fault: {name: api_5xx, times: 3}\n  - fault: token_revoked\n  - clock: +1d1h\n"
            "  - fault: callback_lost\n  - lin: x\n  - expect: {nothing: true, within_s: 0.05}\n"
            "  - fault: kick\n"
        )
        report, printed = await perform(server.api_base, "wecom_app", steps)

        assert "   ⏱ +1 day, 1:00:00" in printed
        assert report.failures == [
            "s.yaml:12: app (wecom_app): kick cannot happen on app (wecom_app, encrypted)"
        ]
        assert server.sandbox.faults.waiting() == ()
        assert abs(server.sandbox.clock.now_ms() - server.sandbox.clock.stamp_ms()) < 1000
        assert bot.deliveries == []


async def test_every_named_fault_says_what_it_is_and_can_be_asked_for(ai_bot: JsonBot) -> None:
    async with SandboxServer([BOT, APP], callback_base=ai_bot.base, settings=QUICK) as server:
        for name, mishap in MISHAPS.items():
            assert mishap.about
            if mishap.mode == "long_connection":
                continue
            kind = "wecom_app" if "wecom_app" in mishap.kinds else "wecom_aibot"
            report, _ = await perform(server.api_base, kind, f"  - fault: {name}")
            assert report.failures == []


async def test_a_delivery_cannot_be_looked_for_without_a_token(bot: EchoBot) -> None:
    async with SandboxServer([APP], callback_base=bot.base, settings=QUICK) as server:
        report, _ = await perform(server.api_base, "wecom_app", "  - expect_delivery: {state: dead}")
        assert "needs a token" in report.failures[0]
        report, _ = await perform(
            server.api_base, "wecom_app", "  - expect_delivery: {state: dead}", api_token="hq_x"
        )
        assert "the list of deliveries" in report.failures[0]


async def test_a_server_that_is_away_is_named_before_anything_is_played() -> None:
    with pytest.raises(RefusedError, match="no sandbox answers at http://127"):
        async with asyncio.timeout(5):
            await perform("http://127.0.0.1:9", "wecom_app", "  - lin: x")
